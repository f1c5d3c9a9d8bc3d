//! JSON text within a JSON string, written in one pass.

use memchr::memchr2;

/// Writes the text of a JSON value as a string, and says how deep the value nests. Of its pieces none ends
/// within a string.
///
/// What is within a string of the value has no control characters, so only its quotes and backslashes
/// are looked for there: that is done for many bytes at once.
pub(super) fn write(out: &mut Vec<u8>, json: &[&[u8]]) -> usize {
    let mut depth = Depth::default();
    out.push(b'"');
    for piece in json {
        write_piece(out, piece, &mut depth);
    }
    out.push(b'"');
    depth.deepest
}

/// How many lists and objects are open, and were at the most.
#[derive(Default)]
struct Depth {
    now: usize,
    deepest: usize,
}

fn write_piece(out: &mut Vec<u8>, json: &[u8], depth: &mut Depth) {
    let mut rest = json;
    while !rest.is_empty() {
        let is_structure = |byte: &&u8| !matches!(byte, b'"' | ..0x20);
        let mut count = 0;
        for byte in rest.iter().take_while(is_structure) {
            count += 1;
            match byte {
                b'[' | b'{' => {
                    depth.now += 1;
                    depth.deepest = depth.deepest.max(depth.now);
                }
                b']' | b'}' => depth.now = depth.now.saturating_sub(1),
                _ => {}
            }
        }
        let (structure, behind) = rest.split_at(count);
        out.extend_from_slice(structure);
        rest = match behind {
            [b'"', inner @ ..] => {
                out.extend_from_slice(b"\\\"");
                string(out, inner)
            }
            [blank, behind @ ..] => {
                out.extend_from_slice(match blank {
                    b'\n' => b"\\n",
                    b'\r' => b"\\r",
                    b'\t' => b"\\t",
                    // JSON has no other there.
                    _ => b" ",
                });
                behind
            }
            [] => &[],
        };
    }
}

/// Writes a string from behind its first quote on; what comes after it.
fn string<'j>(out: &mut Vec<u8>, json: &'j [u8]) -> &'j [u8] {
    let mut rest = json;
    while let Some(at) = memchr2(b'"', b'\\', rest) {
        let (plain, found) = rest.split_at(at);
        out.extend_from_slice(plain);
        match found {
            [b'"', behind @ ..] => {
                out.extend_from_slice(b"\\\"");
                return behind;
            }
            [b'\\', sign, behind @ ..] => {
                out.extend_from_slice(b"\\\\");
                if matches!(sign, b'"' | b'\\') {
                    out.push(b'\\');
                }
                out.push(*sign);
                rest = behind;
            }
            _ => break,
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::{ObjectWriter, RawJson};

    fn quoted(text: &str) -> (String, usize) {
        let value = RawJson::parse(text.to_owned()).unwrap();
        let (writer, depth) = ObjectWriter::default().quoted("q", &[value.as_bytes()]);
        let written = writer.finish();
        let text: Value = serde_json::from_slice(written.as_bytes()).unwrap();
        (text["q"].as_str().unwrap().to_owned(), depth)
    }

    #[test]
    fn the_text_comes_back_with_its_depth() {
        for (text, depth) in [
            ("1", 0),
            (r#""[[[""#, 0),
            ("[ {\n\t\"a\\\"[\" : \"\\\\\", \"b\\u005b\":\r [] } ]", 3),
            (r#"[[],[[]],{"x":1}]"#, 3),
            ("\"\u{e4}\u{1f600}\\n\"", 0),
        ] {
            assert_eq!(quoted(text), (text.to_owned(), depth), "{text}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map(".{0,6}", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
            Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or_default(),
            _ => 0,
        }
    }

    proptest! {
        #[test]
        fn any_value_comes_back(value in value(), pretty in any::<bool>()) {
            let text = if pretty {
                serde_json::to_string_pretty(&value).unwrap()
            } else {
                value.to_string()
            };
            prop_assert_eq!(quoted(&text), (text, depth(&value)));
        }
    }
}
