//! What a result is (`resultType`, MCP 2026-07-28, basic): the one question that is asked about every result, and by
//! several on its way.

use crate::json::{ESCAPE, Needle, RawJson};

static TYPE: Needle = Needle::new("\"resultType\"");

/// True when a result is seen to be the answer itself without reading all of it: where its members are known, it says
/// `complete` or nothing of its type; otherwise it says `complete`, and nothing is written in a way that could hide
/// another type. False says nothing.
pub fn is_plainly_complete(result: &RawJson) -> bool {
    if let Some(known) = result.known() {
        let kind = known.get("resultType");
        return kind.is_none_or(|kind| kind.as_bytes() == COMPLETE);
    }
    let Some(value) = TYPE
        .find(result.as_bytes())
        .and_then(|at| result.as_bytes().get(at + 12..))
    else {
        return false;
    };
    let is_complete = value
        .trim_ascii_start()
        .strip_prefix(b":")
        .is_some_and(|value| value.trim_ascii_start().starts_with(COMPLETE));
    is_complete && result.is_object() && TYPE.find(value).is_none() && !ESCAPE.is_in(result)
}

const COMPLETE: &[u8] = b"\"complete\"";

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::jsonrpc::Message;

    /// As it comes from a server: its members are known unless something about them is odd.
    fn answered(result: &str) -> RawJson {
        let text = Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#));
        match Message::parse(&text) {
            Ok(Message::Response(response)) => response.outcome_in(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_result_is_complete_only_when_no_reader_can_see_another_type() {
        for (text, when_known, when_searched) in [
            (r#"{"resultType":"complete","content":[]}"#, true, true),
            (r#"{"content":[],"resultType" : "complete"}"#, true, true),
            (r#"{"content":[]}"#, true, false),
            (r#"{"resultType":"task","taskId":"1"}"#, false, false),
            (r#"{"resultType":"completed"}"#, false, false),
            (
                r#"{"resultType":"complete","resultType":"task"}"#,
                false,
                false,
            ),
            (
                r#"{"resultType":"complete","result\u0054ype":"task"}"#,
                false,
                false,
            ),
            (r#"{"result\u0054ype":"task"}"#, false, false),
            (r#"{"resultType":"\u0063omplete"}"#, false, false),
            (
                r#"{"a":{"resultType":"complete"},"resultType":"task"}"#,
                false,
                false,
            ),
            (r#"{"resultType":null}"#, false, false),
        ] {
            assert_eq!(is_plainly_complete(&answered(text)), when_known, "{text}");
            let searched = RawJson::parse(text.to_owned()).unwrap();
            assert_eq!(is_plainly_complete(&searched), when_searched, "{text}");
        }
    }
}
