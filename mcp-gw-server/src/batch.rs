//! JSON-RPC batches, which revision 2025-03-26 has and no other.

use bytes::Bytes;
use mcp_gw_core::{JsonText, RawJson, code};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

use crate::revision::Revision;
use crate::rpc_error::RpcError;

/// So many messages one batch may have.
pub(crate) const MOST: usize = 100;

/// True when the text is an array, if it is JSON at all.
pub(crate) fn is_array(text: &[u8]) -> bool {
    let mut bytes = text.iter();
    bytes.find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) == Some(&b'[')
}

/// The elements of an array: messages, or what is none (JSON-RPC 2.0 §6).
///
/// # Errors
/// When the text is not JSON, or has no elements or too many: then the whole has one answer.
pub(crate) fn split(text: &Bytes) -> Result<Vec<RawJson>, RpcError> {
    let Elements { first, count } = serde_json::from_slice(text)
        .map_err(|_| RpcError::with_status(400, code::PARSE_ERROR, "Parse error: not JSON"))?;
    match count {
        0 => Err(refused("Invalid request: the batch is empty")),
        1..=MOST => Ok(first
            .into_iter()
            .map(|part| RawJson::within(text, part))
            .collect()),
        _ => Err(refused(&format!(
            "Invalid request: a batch may have {MOST} messages"
        ))),
    }
}

/// Batches are for clients that shook hands for the one revision that has them.
pub(crate) fn check_revision(revision: Option<Revision>) -> Result<(), RpcError> {
    if revision == Some(Revision::V2025_03_26) {
        return Ok(());
    }
    Err(refused(
        "Invalid request: send one message at a time; only protocol revision 2025-03-26 has batches",
    ))
}

/// The answer to an element that may not be in a batch.
pub(crate) fn not_here(method: &str) -> RpcError {
    let shown: String = method.chars().take(64).collect();
    RpcError::new(
        code::INVALID_REQUEST,
        &format!("Invalid request: `{shown}` may not be part of a batch"),
    )
}

/// Answers as one array.
pub(crate) fn join<'a>(answers: impl IntoIterator<Item = &'a RawJson>) -> Bytes {
    let mut out = vec![b'['];
    for answer in answers {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(answer.as_bytes());
    }
    out.push(b']');
    out.into()
}

fn refused(says: &str) -> RpcError {
    RpcError::with_status(400, code::INVALID_REQUEST, says)
}

/// The first elements of an array, and how many there are.
struct Elements<'a> {
    first: Vec<JsonText<'a>>,
    count: usize,
}

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ElementsVisitor;
        impl<'de> Visitor<'de> for ElementsVisitor {
            type Value = Elements<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let (mut first, mut count) = (Vec::new(), 0);
                while count < MOST {
                    let Some(element) = seq.next_element()? else {
                        return Ok(Elements { first, count });
                    };
                    first.push(element);
                    count += 1;
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Elements { first, count })
            }
        }
        deserializer.deserialize_seq(ElementsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> Result<Vec<String>, i64> {
        let parts = split(&Bytes::copy_from_slice(text.as_bytes()));
        let parts = parts.map_err(|error| {
            assert_eq!(error.status, 400);
            let code = error.object.member("code").unwrap().unwrap();
            code.decode_owned::<i64>().unwrap()
        })?;
        Ok(parts.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_array_comes_apart_as_text() {
        assert!(is_array(b" \r\n\t[") && !is_array(b"{[") && !is_array(b""));
        assert_eq!(parts(" [1.0, {\"a\":[]} ]").unwrap(), ["1.0", "{\"a\":[]}"]);
        for (text, expected) in [
            ("[", code::PARSE_ERROR),
            ("[1,]", code::PARSE_ERROR),
            ("[1] 2", code::PARSE_ERROR),
            ("[]", code::INVALID_REQUEST),
        ] {
            assert_eq!(parts(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_batch_has_a_bound() {
        let array = |count: usize| format!("[{}]", vec!["0"; count].join(","));
        assert_eq!(parts(&array(MOST)).unwrap().len(), MOST);
        assert_eq!(parts(&array(MOST + 1)), Err(code::INVALID_REQUEST));
    }

    proptest! {
        #[test]
        fn joining_undoes_splitting(values in prop::collection::vec(any::<i32>(), 1..20)) {
            let text = serde_json::to_vec(&values).unwrap();
            let parts = split(&Bytes::from(text.clone())).unwrap();
            prop_assert_eq!(join(&parts), Bytes::from(text));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = split(&Bytes::from(bytes));
        }
    }
}
