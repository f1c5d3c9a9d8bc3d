//! The error by which servers of older revisions want the user to visit URLs first (2025-11-25,
//! client/elicitation): `URLElicitationRequiredError`.

use mcp_gw_core::jsonrpc::as_str;
use mcp_gw_core::{JsonText, Members, ObjectWriter, RawJson};
use memchr::memmem;

const URL_ELICITATION_REQUIRED: f64 = -32042.0;
/// The member of `data` with the URLs.
const ELICITATIONS: &str = "elicitations";

/// True when a client could take this error object for one that sends its user to a URL. One of that
/// code without URLs may be anything: revisions before do not have it.
pub(crate) fn is_sent(error: &RawJson) -> bool {
    let text = error.as_bytes();
    let has = |word: &[u8]| memmem::find(text, word).is_some();
    // A name may be written with escapes.
    if !has(ELICITATIONS.as_bytes()) && !has(b"\\u") {
        return false;
    }
    // Of a member that is named twice nobody can say which one a client reads.
    let Ok(members) = error.members() else {
        return true;
    };
    if !has_code(&members) {
        return false;
    }
    match members.get("data").map(|data| error.slice(data)) {
        Some(data) if data.is_object() => data
            .members()
            .map_or(true, |data| data.get(ELICITATIONS).is_some()),
        _ => false,
    }
}

/// True when it has the code, whatever else it says.
pub(crate) fn is_of_code(error: &RawJson) -> bool {
    error.members().is_ok_and(|members| has_code(&members))
}

/// A number has more than one spelling.
fn has_code(members: &Members<'_>) -> bool {
    let code = members.get("code").map(JsonText::get);
    let code: Option<f64> = code.and_then(|code| serde_json::from_str(code).ok());
    code.is_some_and(|code| code.total_cmp(&URL_ELICITATION_REQUIRED).is_eq())
}

/// The URLs of the error as `inputRequests`. `None` when one of them cannot be read.
pub(crate) fn requests(error: &RawJson) -> Option<RawJson> {
    let data = error.member("data").ok()??;
    let list = data.member(ELICITATIONS).ok()??;
    let list: Vec<Members<'_>> = list.decode().ok()?;
    let mut requests = ObjectWriter::default();
    for (at, elicitation) in list.iter().enumerate() {
        let is_url = elicitation.get("mode").and_then(as_str).as_deref() == Some("url");
        if !is_url || elicitation.get("url").and_then(as_str).is_none() {
            return None;
        }
        let params = ObjectWriter::default().members(elicitation, &[]).finish();
        let request = ObjectWriter::default()
            .string("method", "elicitation/create")
            .raw("params", &params);
        requests = requests.raw(&format!("input-{}", at + 1), &request.finish());
    }
    (!list.is_empty()).then(|| requests.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn what_sends_to_urls_is_known_however_it_is_spelled() {
        let url = r#"{"elicitations":[{"mode":"url","url":"https://x.example/"}]}"#;
        for (error, is_one) in [
            (
                format!(r#"{{"code":-32042,"message":"m","data":{url}}}"#),
                true,
            ),
            (format!(r#"{{"code":-3.2042e4,"data":{url}}}"#), true),
            (
                r#"{"code":-32042.0,"data":{"elicitat\u0069ons":[]}}"#.into(),
                true,
            ),
            (format!(r#"{{"code":-1,"code":-32042,"data":{url}}}"#), true),
            (
                r#"{"code":-32042,"data":{"elicitations":1,"elicitations":[]}}"#.into(),
                true,
            ),
            (format!(r#"{{"code":-32041,"data":{url}}}"#), false),
            (format!(r#"{{"data":{url}}}"#), false),
            (format!(r#"{{"code":-32042,"data":[{url}]}}"#), false),
            (r#"{"code":-32042,"message":"elicitations"}"#.into(), false),
            (
                r#"{"code":-32042,"message":"busy","data":{"after":1}}"#.into(),
                false,
            ),
        ] {
            assert_eq!(is_sent(&raw(&error)), is_one, "{error}");
        }
        assert!(is_of_code(&raw(r#"{"code":-32042,"message":"busy"}"#)));
        assert!(!is_of_code(&raw(r#"{"code":-32043}"#)));
    }

    #[test]
    fn urls_become_questions_or_none_does() {
        let error = |list: &str| raw(&format!(r#"{{"data":{{"elicitations":{list}}}}}"#));
        let asks = requests(&error(r#"[{"mode":"url","url":"u","n":1.0}]"#));
        let expected = r#"{"input-1":{"method":"elicitation/create","params":{"mode":"url","url":"u","n":1.0}}}"#;
        assert_eq!(asks, Some(raw(expected)));
        for odd in [
            "[]",
            "1",
            r#"[{"mode":"form","url":"u"}]"#,
            r#"[{"mode":"url"}]"#,
        ] {
            assert_eq!(requests(&error(odd)), None, "{odd}");
        }
    }
}
