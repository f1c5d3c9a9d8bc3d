//! The text of a pins file: read strictly, written so that a change shows as a line.

#[cfg(feature = "management")]
mod rows;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;

use mcp_gw_core::{Members, RawJson};

use super::diff::is_visible;
use super::print::{Digest, Kind, Print, Seen, Sight};

/// The version of the format that is read and written.
const VERSION: u64 = 1;

/// A definition longer than this, in bytes of its canonical form, is pinned by its digest alone.
const LONGEST_KEPT: usize = 32 * 1024;
/// So many bytes the definitions of one server may have in all; the rest is pinned by digest alone.
const MOST_KEPT: usize = 4 * 1024 * 1024;

/// What a pins file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PinsFile {
    pub(crate) servers: BTreeMap<String, ServerPins>,
    /// Members that this version has no name for.
    rest: Rest,
}

/// What is pinned of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerPins {
    pub(crate) pins: BTreeMap<(Kind, String), Pin>,
    rest: Rest,
}

/// What is pinned under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) digest: Digest,
    /// What the digest was taken of, unless it is too long to be kept.
    pub(crate) text: Option<RawJson>,
    rest: Rest,
}

type Rest = Vec<(String, RawJson)>;

/// Why a text is not a pins file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FileFault {
    /// It was written by a later version of this program.
    Newer(u64),
    /// It is damaged.
    Damaged(String),
}

impl Pin {
    fn of(print: &Print, budget: &mut usize) -> Self {
        let length = print.text.len();
        let is_kept = length <= LONGEST_KEPT && length <= *budget;
        if is_kept {
            *budget -= length;
        }
        Self {
            digest: print.digest,
            text: is_kept.then(|| print.text.detached()),
            rest: Rest::new(),
        }
    }
}

impl ServerPins {
    /// Pins everything that is offered once. What is offered twice is not pinned: it counts as new
    /// until the server makes up its mind.
    pub(crate) fn of(sight: &Sight) -> Self {
        let mut pins = Self::default();
        pins.put_all(sight.0.iter().filter_map(|(key, seen)| match seen {
            Seen::Once(print) => Some((key.clone(), print)),
            Seen::Twice(_) => None,
        }));
        pins
    }

    /// Pins each print under its key, in place of what was pinned there.
    pub(crate) fn put_all<'p>(
        &mut self,
        prints: impl IntoIterator<Item = ((Kind, String), &'p Print)>,
    ) {
        let kept = self.pins.values().filter_map(|pin| pin.text.as_ref());
        let mut budget = MOST_KEPT.saturating_sub(kept.map(RawJson::len).sum());
        for (key, print) in prints {
            let mut pin = Pin::of(print, &mut budget);
            match self.pins.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(pin);
                }
                Entry::Occupied(mut place) => {
                    pin.rest = std::mem::take(&mut place.get_mut().rest);
                    place.insert(pin);
                }
            }
        }
    }
}

impl PinsFile {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// When it is not what [`PinsFile::write`] writes, members that are not known aside.
    pub(crate) fn parse(text: Vec<u8>) -> Result<Self, FileFault> {
        let root = RawJson::parse(text).map_err(|error| damaged(error.to_string()))?;
        let members = object(&root, "the file")?;
        let version = members
            .get("version")
            .and_then(|version| version.get().parse::<u64>().ok())
            .ok_or_else(|| damaged("it has no whole number `version`"))?;
        if version > VERSION {
            return Err(FileFault::Newer(version));
        }
        if version < VERSION {
            return Err(damaged(format!("there is no version {version}")));
        }
        let servers = root
            .member("servers")
            .ok()
            .flatten()
            .ok_or_else(|| damaged("it has no `servers`"))?;
        let mut file = Self {
            servers: BTreeMap::new(),
            rest: rest(&root, &members, &["version", "servers"]),
        };
        for (name, value) in object(&servers, "`servers`")?.iter() {
            let server = read_server(&servers.slice(value), name)?;
            file.servers.insert(name.to_owned(), server);
        }
        Ok(file)
    }

    /// The text of the file, with a line for each pin.
    pub(crate) fn write(&self) -> String {
        let mut out = format!("{{\n  \"version\": {VERSION}");
        write_rest(&mut out, &self.rest, "  ");
        out.push_str(",\n  \"servers\": {");
        for (place, (name, server)) in self.servers.iter().enumerate() {
            begin(&mut out, place, "    ", name);
            out.push_str("{\n");
            for (place, kind) in Kind::ALL.into_iter().enumerate() {
                out.push_str(if place > 0 { ",\n" } else { "" });
                write_kind(&mut out, kind, server);
            }
            write_rest(&mut out, &server.rest, "      ");
            out.push_str("\n    }");
        }
        out.push_str(if self.servers.is_empty() {
            "}"
        } else {
            "\n  }"
        });
        out.push_str("\n}\n");
        out
    }
}

fn read_server(value: &RawJson, name: &str) -> Result<ServerPins, FileFault> {
    let what = format!("server {name:?}");
    let members = object(value, &what)?;
    let mut server = ServerPins {
        pins: BTreeMap::new(),
        rest: rest(value, &members, &Kind::ALL.map(Kind::plural)),
    };
    for kind in Kind::ALL {
        let Some(pins) = members.get(kind.plural()).map(|pins| value.slice(pins)) else {
            let missing = format!("{what} has no `{}`", kind.plural());
            return Err(damaged(missing));
        };
        for (key, pin) in object(&pins, &what)?.iter() {
            let pin = read_pin(&pins.slice(pin), kind).map_err(|reason| {
                damaged(format!("{} {key:?} of {what}: {reason}", kind.as_str()))
            })?;
            server.pins.insert((kind, key.to_owned()), pin);
        }
    }
    Ok(server)
}

fn read_pin(value: &RawJson, kind: Kind) -> Result<Pin, &'static str> {
    let members = value.members().map_err(|_| "it is not an object")?;
    let digest = members
        .get("sha256")
        .and_then(|digest| serde_json::from_str::<String>(digest.get()).ok())
        .and_then(|digest| Digest::parse(&digest))
        .ok_or("it has no `sha256` of 64 hexadecimal digits")?;
    let text = members
        .get("definition")
        .map(|definition| checked(kind, &value.slice(definition), digest))
        .transpose()?;
    Ok(Pin {
        digest,
        text,
        rest: rest(value, &members, &["sha256", "definition"]),
    })
}

/// The text that is kept of a definition, which has to have this digest.
fn checked(kind: Kind, definition: &RawJson, digest: Digest) -> Result<RawJson, &'static str> {
    let print = Print::of(kind, definition);
    if print.digest == digest {
        Ok(print.text.detached())
    } else {
        Err("its `sha256` is not that of its `definition`")
    }
}

fn object<'v>(value: &'v RawJson, what: &str) -> Result<Members<'v>, FileFault> {
    value
        .members()
        .map_err(|error| damaged(format!("{what} is no object that can be read: {error}")))
}

fn damaged(reason: impl Into<String>) -> FileFault {
    FileFault::Damaged(reason.into())
}

/// The members that are not among `known`.
fn rest(value: &RawJson, members: &Members<'_>, known: &[&str]) -> Rest {
    members
        .iter()
        .filter(|(name, _)| !known.contains(name))
        .map(|(name, part)| (name.to_owned(), value.slice(part).detached()))
        .collect()
}

fn write_kind(out: &mut String, kind: Kind, server: &ServerPins) {
    let pins = server.pins.iter().filter(|((of, _), _)| *of == kind);
    out.push_str("      \"");
    out.push_str(kind.plural());
    out.push_str("\": {");
    let mut is_empty = true;
    for (place, ((_, name), pin)) in pins.enumerate() {
        is_empty = false;
        begin(out, place, "        ", name);
        out.push_str("{\"sha256\": \"");
        out.push_str(&pin.digest.to_string());
        out.push('"');
        if let Some(text) = &pin.text {
            out.push_str(", \"definition\": ");
            write_visible(out, text.as_str());
        }
        for (name, value) in &pin.rest {
            out.push_str(", ");
            out.push_str(RawJson::string(name).as_str());
            out.push_str(": ");
            out.push_str(value.as_str());
        }
        out.push('}');
    }
    out.push_str(if is_empty { "}" } else { "\n      }" });
}

/// Starts the member `name` on a line of its own.
fn begin(out: &mut String, place: usize, indent: &str, name: &str) {
    out.push_str(if place > 0 { ",\n" } else { "\n" });
    out.push_str(indent);
    write_visible(out, RawJson::string(name).as_str());
    out.push_str(": ");
}

/// Writes JSON with escapes for what cannot be seen: people read this file, and changes of it.
fn write_visible(out: &mut String, json: &str) {
    for c in json.chars() {
        if is_visible(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
}

fn write_rest(out: &mut String, rest: &Rest, indent: &str) {
    for (name, value) in rest {
        begin(out, 1, indent, name);
        out.push_str(value.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(text: &str) -> Print {
        Print::of(Kind::Tool, &RawJson::parse(text.to_owned()).unwrap())
    }

    fn key(name: &str) -> (Kind, String) {
        (Kind::Tool, name.to_owned())
    }

    fn parse(text: &str) -> Result<PinsFile, FileFault> {
        PinsFile::parse(text.as_bytes().to_vec())
    }

    fn sample() -> PinsFile {
        let mut server = ServerPins::default();
        let odd = "quote\" and \u{202e}";
        let definition =
            "{\"name\":\"a\",\"description\":\"d\\n\u{e0041}\",\"inputSchema\":{\"n\":1.0}}";
        server.put_all([(key("a"), &print(definition))]);
        server.put_all([
            (key(odd), &print(r#"{"name":"b"}"#)),
            ((Kind::Prompt, "p".to_owned()), &print(r#"{"name":"p"}"#)),
        ]);
        let mut file = PinsFile::default();
        file.servers.insert("docs".to_owned(), server);
        file.servers
            .insert("empty".to_owned(), ServerPins::default());
        file
    }

    #[test]
    fn what_is_written_reads_back_and_shows_a_line_for_each_pin() {
        let file = sample();
        let text = file.write();
        assert_eq!(parse(&text), Ok(file));
        insta::assert_snapshot!(text);
        let none = PinsFile::default();
        assert_eq!(parse(&none.write()), Ok(none));
    }

    #[test]
    fn members_of_other_programs_stay() {
        let digest = print("{}").digest;
        let text = format!(
            r#"{{"version":1,"by":[1.0],"servers":{{"s":{{"x":null,"prompts":{{}},"tools":{{"t":{{"note":"kept","sha256":"{digest}"}}}}}}}}}}"#
        );
        let mut file = parse(&text).unwrap();
        assert_eq!(parse(&file.write()), Ok(file.clone()));
        let written = file.write();
        for part in ["\"by\": [1.0]", "\"x\": null", "\"note\": \"kept\""] {
            assert!(written.contains(part), "{written}");
        }
        let server = file.servers.get_mut("s").unwrap();
        server.put_all([(key("t"), &print(r#"{"name":"t"}"#))]);
        assert!(file.write().contains("\"note\": \"kept\""));
    }

    #[test]
    fn a_newer_version_is_not_touched() {
        assert_eq!(parse(r#"{"version":2}"#), Err(FileFault::Newer(2)));
    }

    #[test]
    fn what_is_damaged_is_not_read() {
        let good = sample().write();
        let digest = print("{}").digest.to_string();
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"version":1}"#,
            r#"{"version":0,"servers":{}}"#,
            r#"{"version":1.0,"servers":{}}"#,
            r#"{"version":"1","servers":{}}"#,
            r#"{"version":1,"servers":{},"servers":{}}"#,
            r#"{"version":1,"servers":[]}"#,
            r#"{"version":1,"servers":{"s":{}}}"#,
            r#"{"version":1,"servers":{"s":{"tools":{}}}}"#,
            r#"{"version":1,"servers":{"s":{"tools":{"t":{}},"prompts":{}}}}"#,
            r#"{"version":1,"servers":{"s":{"tools":{"t":{"sha256":"12"}},"prompts":{}}}}"#,
            good.split_at(good.len() / 2).0,
            &good.replace("\"d\\n", "\"e"),
            &good.replace("\"sha256\": \"", &format!("\"sha256\": \"{digest}")),
        ] {
            assert!(
                matches!(parse(bad), Err(FileFault::Damaged(_))),
                "{bad}: {:?}",
                parse(bad)
            );
        }
    }

    #[test]
    fn long_definitions_are_pinned_by_their_digest_alone() {
        let long = print(&format!(r#"{{"name":"{}"}}"#, "x".repeat(LONGEST_KEPT)));
        let mut server = ServerPins::default();
        server.put_all([(key("long"), &long)]);
        assert_eq!(server.pins[&key("long")].digest, long.digest);
        assert_eq!(server.pins[&key("long")].text, None);
        let half = print(&format!(r#"{{"name":"{}"}}"#, "x".repeat(LONGEST_KEPT / 2)));
        let many = 0..2 * (MOST_KEPT / LONGEST_KEPT) + 10;
        server.put_all(many.map(|number| (key(&number.to_string()), &half)));
        assert!(server.pins.values().any(|pin| pin.text.is_some()));
        let kept = server.pins.values().filter_map(|pin| pin.text.as_ref());
        assert!(kept.map(RawJson::len).sum::<usize>() <= MOST_KEPT);
        assert!(
            server
                .pins
                .values()
                .all(|pin| pin.digest == half.digest || pin.digest == long.digest)
        );
    }
}
