//! Answers that fit into a model's context, and the way to the rest of them.

mod outline;

use mcp_gw_core::{JsonText, ObjectWriter, RawJson};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tools::lexer::Lexer;
pub(crate) use outline::LEFT_OUT;
use outline::outline;

/// Which part of an answer is wanted.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub(crate) struct View {
    /// Only this part of the body: a JSON Pointer such as /value/plugins.
    #[serde(default)]
    pub(crate) pointer: Option<String>,
    /// Leave out so many items, members or characters, to read on.
    #[serde(default)]
    pub(crate) skip: Option<u32>,
    /// The longest body, in bytes.
    #[serde(default)]
    #[schemars(range(min = 256, max = 1_048_576))]
    pub(crate) max_bytes: Option<u32>,
    /// Show secrets, not "[redacted]". Only when the user needs to see them.
    #[serde(default)]
    pub(crate) show_secrets: Option<bool>,
}

/// What was left out of an answer, and how to get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Cut {
    /// The length of the whole, in bytes.
    pub(crate) bytes: usize,
    /// How many items, members or characters the whole has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) of: Option<usize>,
    /// What to call again with to read on.
    pub(crate) next: String,
}

/// A body, or the part of it that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) body: RawJson,
    pub(crate) cut: Option<Cut>,
}

impl View {
    /// The part of `whole` that is wanted, in at most about `budget` bytes.
    ///
    /// # Errors
    /// A sentence, when there is no such part.
    pub(crate) fn show(&self, whole: &RawJson, budget: usize) -> Result<Shown, String> {
        let pointer = self.pointer.as_deref().unwrap_or_default();
        let part = at(whole, pointer)?;
        let skip = self.skip.map_or(0, |skip| skip as usize);
        if skip == 0 && part.len() <= budget {
            return Ok(Shown {
                body: part,
                cut: None,
            });
        }
        Ok(cut(&part, pointer, skip, budget).unwrap_or(Shown {
            body: part,
            cut: None,
        }))
    }
}

/// What `pointer` points at.
fn at(whole: &RawJson, pointer: &str) -> Result<RawJson, String> {
    if pointer.is_empty() {
        return Ok(whole.clone());
    }
    let Some(steps) = pointer.strip_prefix('/') else {
        return Err("`pointer` must begin with a slash: /value/plugins".to_owned());
    };
    let mut lexer = Lexer::new(whole);
    for step in steps.split('/') {
        let step = step.replace("~1", "/").replace("~0", "~");
        let here = lexer.clone();
        let is_found = match lexer.peek() {
            Some(b'{') => lexer.find_member(&step),
            Some(b'[') => step.parse().is_ok_and(|at| lexer.find_item(at)),
            _ => false,
        };
        if !is_found {
            let step = crate::http::one_line(&step, 64);
            let there = names(&value_at(whole, here));
            return Err(format!(
                "`pointer`: there is no {step:?} here; there is: {there}"
            ));
        }
    }
    Ok(value_at(whole, lexer))
}

/// The value that comes next.
fn value_at(whole: &RawJson, mut lexer: Lexer<'_>) -> RawJson {
    lexer.peek();
    let start = lexer.position();
    lexer.skip();
    RawJson::parse(whole.to_bytes().slice(start..lexer.position())).unwrap_or_default()
}

/// What a value has, for somebody who looked for something else.
fn names(raw: &RawJson) -> String {
    match raw.as_bytes().first() {
        Some(b'{') => {
            let members = raw.members().unwrap_or_default();
            let names: Vec<&str> = members.iter().map(|(name, _)| name).take(50).collect();
            names.join(", ")
        }
        Some(b'[') => {
            let items: Vec<JsonText<'_>> = raw.decode().unwrap_or_default();
            format!("a list of {}", items.len())
        }
        _ => "a plain value".to_owned(),
    }
}

fn cut(part: &RawJson, pointer: &str, skip: usize, budget: usize) -> Option<Shown> {
    match part.as_bytes().first()? {
        b'[' => cut_list(part, pointer, skip, budget),
        b'"' => cut_text(part, skip, budget),
        b'{' => cut_within(part, pointer, skip, budget, true)
            .filter(|shown| shown.body.len() <= budget)
            .or_else(|| {
                let is_cut = part.len() > budget || skip > 0;
                is_cut.then(|| outline(part, pointer, skip, budget))
            }),
        _ => None,
    }
}

/// Cuts the list in `{"list": …}` or `{"value": {"list": …}}` and keeps what is around it.
fn cut_within(
    part: &RawJson,
    pointer: &str,
    skip: usize,
    budget: usize,
    is_outer: bool,
) -> Option<Shown> {
    for name in ["list", "value"] {
        let Some(inner) = part.member(name).ok().flatten() else {
            continue;
        };
        let around = part.len() - inner.len();
        let budget = budget.saturating_sub(around);
        let below = format!("{pointer}/{name}");
        let shown = match (name, inner.as_bytes().first()) {
            ("list", Some(b'[')) => cut_list(&inner, &below, skip, budget),
            ("value", Some(b'{')) if is_outer => cut_within(&inner, &below, skip, budget, false),
            _ => None,
        };
        if let Some(shown) = shown {
            let members = part.members().ok()?;
            let writer = members
                .iter()
                .fold(ObjectWriter::default(), |writer, (key, value)| {
                    if key == name {
                        writer.raw(key, &shown.body)
                    } else {
                        writer.raw_value(key, value)
                    }
                });
            return Some(Shown {
                body: writer.finish(),
                cut: shown.cut,
            });
        }
    }
    None
}

fn cut_list(list: &RawJson, pointer: &str, skip: usize, budget: usize) -> Option<Shown> {
    let items: Vec<JsonText<'_>> = list.decode().ok()?;
    let mut room = budget.saturating_sub(2);
    let mut kept = Vec::new();
    for item in items.iter().skip(skip) {
        let length = item.get().len() + 1;
        if length > room {
            break;
        }
        room -= length;
        kept.push(list.slice(*item));
    }
    let mut end = skip + kept.len();
    if kept.is_empty()
        && let Some(item) = items.get(skip)
    {
        // Not even one fits: show what it has, and how to look into it.
        let item = list.slice(*item);
        kept.push(outline(&item, &format!("{pointer}/{skip}"), 0, budget).body);
        end = skip + 1;
    }
    let is_whole = end >= items.len();
    let cut = (!is_whole).then(|| Cut {
        bytes: list.len(),
        of: Some(items.len()),
        next: format!("skip: {end}"),
    });
    Some(Shown {
        body: RawJson::from_serialize(&kept).ok()?,
        cut,
    })
}

fn cut_text(raw: &RawJson, skip: usize, budget: usize) -> Option<Shown> {
    let text: String = raw.decode_owned().ok()?;
    let mut room = budget.saturating_sub(2);
    let mut kept = String::new();
    for c in text.chars().skip(skip) {
        let length = RawJson::string(c.encode_utf8(&mut [0; 4])).len() - 2;
        if length > room {
            break;
        }
        room -= length;
        kept.push(c);
    }
    let end = skip + kept.chars().count();
    let of = text.chars().count();
    Some(Shown {
        body: RawJson::string(&kept),
        cut: (end < of).then(|| Cut {
            bytes: raw.len(),
            of: Some(of),
            next: format!("skip: {end}"),
        }),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    fn view(pointer: &str, skip: u32) -> View {
        View {
            pointer: Some(pointer.to_owned()),
            skip: Some(skip),
            ..View::default()
        }
    }

    #[test]
    fn what_fits_stays_byte_for_byte() {
        let whole = raw(r#"{"list" : [1.50, {"a":1}], "total":2}"#);
        let shown = View::default().show(&whole, 100).unwrap();
        assert_eq!((shown.body, shown.cut), (whole, None));
    }

    #[test]
    fn a_pointer_leads_to_a_part_or_says_what_there_is() {
        let whole = raw(r#"{"value":{"a/b":[{"~":1}],"c":2}}"#);
        let part = view("/value/a~1b/0/~0", 0).show(&whole, 100).unwrap();
        assert_eq!(part.body.as_str(), "1");
        for (pointer, says) in [
            ("value", "must begin with a slash"),
            ("/value/x", "a/b, c"),
            ("/value/a~1b/7", "a list of 1"),
            ("/value/c/x", "a plain value"),
        ] {
            let error = view(pointer, 0).show(&whole, 100).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_list_is_read_on_where_it_was_cut() {
        let whole = raw(r#"{"list":["aaaaaaaaaa","bbbbbbbbbb","cccccccccc"],"total":3}"#);
        let first = View::default().show(&whole, 50).unwrap();
        assert_eq!(
            first.body.as_str(),
            r#"{"list":["aaaaaaaaaa","bbbbbbbbbb"],"total":3}"#
        );
        let cut = first.cut.unwrap();
        assert_eq!((cut.of, &*cut.next), (Some(3), "skip: 2"));
        let rest = view("", 2).show(&whole, 50).unwrap();
        assert_eq!(rest.body.as_str(), r#"{"list":["cccccccccc"],"total":3}"#);
        assert_eq!(rest.cut, None);
    }

    #[test]
    fn an_item_that_is_too_long_is_outlined() {
        let long = "x".repeat(400);
        let whole = raw(&format!(
            r#"{{"list":[{{"id":"1","config":"{long}"}},{{"id":"2"}}]}}"#
        ));
        let shown = View::default().show(&whole, 200).unwrap();
        assert_eq!(
            shown.body.as_str(),
            r#"{"list":[{"id":"1","config":"[cut: 402 bytes at pointer /list/0/config]"}]}"#
        );
        assert_eq!(shown.cut.unwrap().next, "skip: 1");
        let part = view("/list/0/config", 0).show(&whole, 200).unwrap();
        assert_eq!(part.body.len(), 200);
        assert_eq!(part.cut.unwrap().next, "skip: 198");
    }

    #[test]
    fn an_object_in_an_envelope_is_looked_into() {
        let long = "x".repeat(4000);
        let text = format!(
            r#"{{"value":{{"id":"1","plugins":{{"a":{{"n":1.50}},"b":"{long}"}},"list":[1]}}}}"#
        );
        let shown = View::default().show(&raw(&text), 1000).unwrap();
        assert_eq!(
            shown.body.as_str(),
            r#"{"value":{"id":"1","plugins":{"a":{"n":1.50},"b":"[cut: 4002 bytes at pointer /value/plugins/b]"},"list":[1]}}"#
        );
    }

    #[test]
    fn an_object_of_many_members_is_read_on_where_it_was_cut() {
        let members: Vec<String> = (0..8000).map(|n| format!(r#""k{n}":{n}"#)).collect();
        let whole = raw(&format!(r#"{{"value":{{{}}}}}"#, members.join(",")));
        let shown = View::default().show(&whole, 2000).unwrap();
        assert!(shown.body.len() <= 2000);
        let body = shown.body.to_value().unwrap();
        let inner = body["value"].as_object().unwrap();
        let says = inner["[cut]"].as_str().unwrap();
        let next = inner.len() - 1;
        let wanted = format!("{} more: pointer: /value, skip: {next}", 8000 - next);
        assert_eq!(says, wanted);
        let part = view("/value", u32::try_from(next).unwrap());
        let part = part.show(&whole, 2000).unwrap();
        let start = format!(r#"{{"k{next}":{next},"#);
        assert!(part.body.as_str().starts_with(&start), "{}", part.body);
        assert_eq!(part.cut.unwrap().of, Some(8000));
        // All names are told when there is room for them.
        let members: Vec<String> = (0..400)
            .map(|n| format!(r#""plugin-{n}":"{}""#, "x".repeat(2000)))
            .collect();
        let whole = raw(&format!("{{{}}}", members.join(",")));
        let shown = View::default().show(&whole, 32_768).unwrap();
        let body = shown.body.to_value().unwrap();
        assert_eq!(body.as_object().unwrap().len(), 400);
        assert!(shown.cut.unwrap().next.starts_with("pointer: "));
    }

    #[test]
    fn who_skips_more_than_there_is_is_told() {
        let whole = raw(r#"{"value":{"a":1,"b":2}}"#);
        let shown = view("", 7).show(&whole, 500).unwrap();
        assert_eq!(shown.body.as_str(), "{}");
        assert!(shown.cut.unwrap().next.starts_with("skip: less than 1"));
        let shown = view("/value", 1).show(&whole, 500).unwrap();
        assert_eq!((shown.body.as_str(), shown.cut), (r#"{"b":2}"#, None));
    }

    proptest! {
        #[test]
        fn all_of_an_object_is_seen_by_reading_on(
            lengths in proptest::collection::vec((0_usize..30, 0_usize..200), 0..60), budget in 256_usize..600,
        ) {
            let members: serde_json::Map<_, _> = lengths.iter().enumerate()
                .map(|(at, (name, value))| (format!("{at:03}{}", "n".repeat(*name)), "x".repeat(*value).into())).collect();
            let whole = RawJson::from_serialize(&members).unwrap();
            let (mut skip, mut seen) = (0, Vec::new());
            loop {
                let shown = view("", skip).show(&whole, budget).unwrap();
                prop_assert!(shown.body.len() <= budget, "{} of {budget}: {}", shown.body.len(), shown.body);
                let page = shown.body.to_value().unwrap();
                seen.extend(page.as_object().unwrap().keys().filter(|name| *name != LEFT_OUT).cloned());
                let next = shown.cut.and_then(|cut| cut.next.strip_prefix("skip: ")?.parse().ok());
                let Some(next) = next else { break };
                prop_assert!(next > skip);
                skip = next;
            }
            prop_assert_eq!(seen, members.keys().cloned().collect::<Vec<_>>());
        }

        #[test]
        fn all_of_a_list_is_seen_by_reading_on(
            lengths in proptest::collection::vec(0_usize..40, 0..30), budget in 64_usize..300,
        ) {
            let items: Vec<String> = lengths.iter().map(|&n| "x".repeat(n)).collect();
            let whole = RawJson::from_serialize(&serde_json::json!({ "list": items })).unwrap();
            let (mut skip, mut seen) = (0, Vec::new());
            loop {
                let shown = view("", skip).show(&whole, budget).unwrap();
                prop_assert!(shown.body.len() <= budget);
                let page = shown.body.to_value().unwrap();
                let page = page["list"].as_array().unwrap();
                seen.extend(page.iter().map(|item| item.as_str().unwrap().to_owned()));
                let Some(cut) = shown.cut else { break };
                let next: u32 = cut.next.strip_prefix("skip: ").unwrap().parse().unwrap();
                prop_assert!(next > skip);
                skip = next;
            }
            prop_assert_eq!(seen, items);
        }

        #[test]
        fn no_object_is_longer_than_it_may_be(
            lengths in proptest::collection::btree_map("[a-z~/]{1,6}", 0_usize..600, 1..20), budget in 256_usize..900,
        ) {
            let map: serde_json::Map<_, _> = lengths.into_iter().map(|(k, n)| (k, "x".repeat(n).into())).collect();
            let whole = RawJson::from_serialize(&map).unwrap();
            let shown = View::default().show(&whole, budget).unwrap();
            prop_assert!(shown.body.len() <= budget, "{}", shown.body.len());
        }
    }
}
