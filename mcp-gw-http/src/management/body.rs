//! What clients send, read strictly: JSON of the declared types, a form, numbers in paths, queries.
//!
//! Types are not converted: `"true"` is no boolean and `"1"` no number. A member that is there twice is refused.
//! A member that nobody knows is ignored where other gateways of this API ignore it too, and then named in the
//! header `X-Ignored-Members`; where only this gateway has the route, it is refused.

use std::borrow::Cow;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use mcp_gw_core::RawJson;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use super::fault::{Fault, Item};

/// The body of a request as JSON, read once; or why it is none.
pub(super) type Whole = Result<RawJson, String>;

/// Reads it.
pub(super) fn whole(body: &Bytes) -> Whole {
    RawJson::parse(body.clone()).map_err(|error| error.to_string())
}

/// What is in it.
pub(super) fn of_whole<T: DeserializeOwned>(whole: &Whole) -> Result<T, Fault> {
    let whole = whole.as_ref();
    json(whole.map_err(|error| Fault::at(&["body"], error.clone(), "json_invalid"))?)
}

/// What is in an object of JSON.
pub(super) fn json<T: DeserializeOwned>(whole: &RawJson) -> Result<T, Fault> {
    if !whole.is_object() {
        return Err(Fault::at(
            &["body"],
            "Input should be an object",
            "dict_type",
        ));
    }
    let mut reader = serde_json::Deserializer::from_slice(whole.as_bytes());
    serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| Fault::invalid(vec![item(&error)]))
}

fn item(error: &serde_path_to_error::Error<serde_json::Error>) -> Item {
    let mut loc = vec!["body".to_owned()];
    for segment in error.path() {
        match segment {
            Segment::Map { key } | Segment::Enum { variant: key } => loc.push(key.clone()),
            Segment::Seq { index } => loc.push(index.to_string()),
            Segment::Unknown => {}
        }
    }
    let text = error.inner().to_string();
    // Where in the text it was is of no use to who sent members.
    let text = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(text, _)| text);
    let named = |prefix: &str| {
        let rest = text.strip_prefix(prefix)?;
        rest.split('`').next().map(str::to_owned)
    };
    let (name, msg, kind) = if let Some(name) = named("missing field `") {
        (Some(name), "Field required".to_owned(), "missing")
    } else if let Some(name) = named("duplicate field `") {
        (
            Some(name),
            "The member is there more than once".to_owned(),
            "duplicate",
        )
    } else if let Some(name) = named("unknown field `") {
        (
            Some(name),
            "There is no such member".to_owned(),
            "extra_forbidden",
        )
    } else {
        (None, text.to_owned(), "value_error")
    };
    if let Some(name) = name
        && loc.last() != Some(&name)
    {
        loc.push(name);
    }
    Item {
        loc,
        msg,
        kind: kind.to_owned(),
    }
}

/// The names of the members of a body that are not among `known`, as far as a header can carry them.
pub(super) fn ignored(whole: &Whole, known: &[String]) -> Option<String> {
    let whole = whole.as_ref().ok()?;
    let members = whole.members().ok()?;
    let names = members.iter().map(|(name, _)| name);
    let is_plain =
        |name: &&str| name.len() <= 64 && name.bytes().all(|b| b.is_ascii_graphic() && b != b',');
    let mut unknown: Vec<&str> = names
        .filter(|name| !known.iter().any(|one| one == name))
        .collect();
    let count = unknown.len();
    unknown.retain(is_plain);
    unknown.truncate(16);
    if count > unknown.len() {
        unknown.push("...");
    }
    (count > 0).then(|| unknown.join(", "))
}

/// Refuses a body that is no form: what a form would have is not in it.
pub(super) fn expect_form(headers: &HeaderMap, members: &[&str]) -> Result<(), Fault> {
    let says = "Field required: send a form, `application/x-www-form-urlencoded`";
    let missing = |name: &&str| Item::new(&["body", name], says, "missing");
    expect_type(headers, "application/x-www-form-urlencoded")
        .map_err(|_| Fault::invalid(members.iter().map(missing).collect()))
}

/// Refuses a body of another kind than `wanted`; none said is taken for it.
pub(super) fn expect_type(headers: &HeaderMap, wanted: &str) -> Result<(), Fault> {
    let Some(found) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let found = found.to_str().unwrap_or_default();
    let kind = found.split(';').next().unwrap_or_default().trim();
    let is_other_json = wanted == "application/json" && kind.ends_with("+json");
    if kind.eq_ignore_ascii_case(wanted) || is_other_json {
        return Ok(());
    }
    Err(Fault::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "UNSUPPORTED_MEDIA_TYPE",
        format!("The body must be `{wanted}`"),
    ))
}

/// The pairs of a form or a query, decoded. What is no UTF-8 is refused.
pub(super) fn pairs(text: &[u8], place: &str) -> Result<Vec<(String, String)>, Fault> {
    let text = std::str::from_utf8(text)
        .map_err(|_| Fault::at(&[place], "It is not UTF-8", "string_unicode"))?;
    let mut pairs = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((decoded(name, place)?, decoded(value, place)?));
    }
    Ok(pairs)
}

fn decoded(text: &str, place: &str) -> Result<String, Fault> {
    let wrong = || {
        Fault::at(
            &[place],
            "A percent sign is not followed by UTF-8 in hex",
            "value_error",
        )
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (high, low) = (rest.next(), rest.next());
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (Some(high), Some(low)) = (digit(high), digit(low)) else {
                    return Err(wrong());
                };
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// The one value of a name, if it is there; twice is refused.
pub(super) fn one<'p>(
    pairs: &'p [(String, String)],
    name: &str,
    place: &str,
) -> Result<Option<&'p str>, Fault> {
    let mut found = pairs.iter().filter(|(other, _)| other == name);
    let first = found.next().map(|(_, value)| value.as_str());
    match found.next() {
        None => Ok(first),
        Some(_) => Err(Fault::at(
            &[place, name],
            "It is there more than once",
            "duplicate",
        )),
    }
}

/// The value of a name that must be there.
pub(super) fn needed<'p>(
    pairs: &'p [(String, String)],
    name: &str,
    place: &str,
) -> Result<&'p str, Fault> {
    one(pairs, name, place)?.ok_or_else(|| Fault::at(&[place, name], "Field required", "missing"))
}

/// A boolean in a query, in the words that other gateways of this API take.
pub(super) fn flag(text: &str) -> Option<bool> {
    let text: Cow<'_, str> = text.to_ascii_lowercase().into();
    match &*text {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Two {
        #[expect(dead_code, reason = "only whether it can be read matters")]
        name: String,
        #[serde(default)]
        #[expect(dead_code, reason = "only whether it can be read matters")]
        list: Vec<bool>,
    }

    fn said(body: &'static str) -> String {
        match of_whole::<Two>(&whole(&Bytes::from_static(body.as_bytes()))) {
            Ok(_) => "good".to_owned(),
            Err(fault) => format!("{fault:?}"),
        }
    }

    #[test]
    fn faults_say_where_they_are() {
        for (body, needles) in [
            (r#"{"name":"a"}"#, &["good"][..]),
            (r#"{"name":"a","other":1}"#, &["good"]),
            ("{}", &[r#""body", "name""#, "missing"]),
            (
                r#"{"name":"a","name":"b"}"#,
                &[r#""body", "name""#, "duplicate"],
            ),
            (r#"{"name":1}"#, &[r#""body", "name""#, "expected a string"]),
            (
                r#"{"name":"a","list":[true,"true"]}"#,
                &[r#""body", "list", "1""#],
            ),
            ("[]", &["dict_type"]),
            ("", &["json_invalid"]),
            ("{", &["json_invalid"]),
            ("{} x", &["json_invalid"]),
            ("\u{feff}{}", &["json_invalid"]),
        ] {
            let said = said(body);
            for needle in needles {
                assert!(said.contains(needle), "{body}: {said}");
            }
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!(r#"{{"name":{}"#, "[".repeat(200_000));
        assert!(of_whole::<Two>(&whole(&Bytes::from(deep))).is_err());
    }

    #[test]
    fn forms_are_decoded_or_refused() {
        let pairs = pairs(b"username=a%40b+c&password=%C3%A9&x", "body").unwrap();
        assert_eq!(needed(&pairs, "username", "body").unwrap(), "a@b c");
        assert_eq!(needed(&pairs, "password", "body").unwrap(), "\u{e9}");
        assert_eq!(one(&pairs, "x", "body").unwrap(), Some(""));
        assert!(needed(&pairs, "y", "body").is_err());
        for bad in [&b"a=%"[..], b"a=%1", b"a=%zz", b"a=%FF", b"a=\xff"] {
            assert!(super::pairs(bad, "body").is_err(), "{bad:?}");
        }
        let twice = super::pairs(b"a=1&a=2", "query").unwrap();
        assert!(one(&twice, "a", "query").is_err());
    }

    #[test]
    fn members_that_nobody_knows_are_told() {
        let known = ["name".to_owned()];
        let told =
            |body: &'static str| ignored(&whole(&Bytes::from_static(body.as_bytes())), &known);
        assert_eq!(told(r#"{"name":1}"#), None);
        assert_eq!(told(r#"{"name":1,"scope":2}"#).as_deref(), Some("scope"));
        assert_eq!(told("{\"a\\r\\nb\":1}").as_deref(), Some("..."));
    }
}
