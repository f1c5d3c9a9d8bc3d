//! Errors of servers between the eras: codes that one revision has and another does not.

use mcp_gw_core::{JsonText, Members, ObjectWriter, RawJson, code};

use crate::revision::Revision;

/// What the request was about that a server answered with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    Tool,
    Resource,
    Other,
}

/// What a client is told instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// This error object.
    Error(RawJson),
    /// This result of a tool that failed.
    ToolError(RawJson),
}

/// The error object of a server as a client of `revision` can read it. Message, data and what else
/// is in it stay as they are.
pub(crate) fn error(object: &RawJson, about: About, revision: Revision) -> Told {
    let Ok(members) = object.members() else {
        return Told::Error(object.clone());
    };
    let found: Option<i64> = members
        .get("code")
        .and_then(|code| serde_json::from_str(code.get()).ok());
    let other = |code| Told::Error(with_code(&members, code, object.len()));
    match (found, revision.is_modern()) {
        (Some(code::RESOURCE_NOT_FOUND_LEGACY), true) => other(code::INVALID_PARAMS),
        (Some(code::INVALID_PARAMS), false) if about == About::Resource && names_uri(&members) => {
            other(code::RESOURCE_NOT_FOUND_LEGACY)
        }
        // The revision between gateway and server is not the client's matter; neither are headers that
        // the gateway wrote, and a client would read the list again and call again for nothing.
        (Some(code::UNSUPPORTED_PROTOCOL_VERSION | code::HEADER_MISMATCH), _) => {
            other(code::UPSTREAM_INVALID)
        }
        (Some(code::MISSING_CLIENT_CAPABILITY), false) => {
            let says = lacking(&members);
            if about == About::Tool {
                return Told::ToolError(tool_error(&says));
            }
            let rest = ObjectWriter::with_capacity(object.len() + says.len())
                .integer("code", code::INVALID_REQUEST)
                .string("message", &says)
                .members(&members, &["code", "message"]);
            Told::Error(rest.finish())
        }
        _ => Told::Error(object.clone()),
    }
}

fn with_code(members: &Members<'_>, code: i64, capacity: usize) -> RawJson {
    ObjectWriter::with_capacity(capacity + 8)
        .integer("code", code)
        .members(members, &["code"])
        .finish()
}

fn data<'m>(members: &Members<'m>) -> Option<Members<'m>> {
    serde_json::from_str(members.get("data")?.get()).ok()
}

fn names_uri(members: &Members<'_>) -> bool {
    let uri = data(members).and_then(|data| data.get("uri"));
    uri.is_some_and(|uri| uri.get().starts_with('"'))
}

/// A sentence that names the capabilities which the server misses.
fn lacking(members: &Members<'_>) -> String {
    let required: Option<JsonText<'_>> =
        data(members).and_then(|data| data.get("requiredCapabilities"));
    let required: Members<'_> = required
        .and_then(|required| serde_json::from_str(required.get()).ok())
        .unwrap_or_default();
    let names: Vec<String> = required
        .iter()
        .take(8)
        .map(|(name, _)| format!("`{}`", name.chars().take(64).collect::<String>()))
        .collect();
    let what = if names.is_empty() {
        "a capability".to_owned()
    } else {
        names.join(", ")
    };
    format!("The server needs of its client what this one did not declare: {what}.")
}

fn tool_error(says: &str) -> RawJson {
    let text = ObjectWriter::default()
        .string("type", "text")
        .string("text", says)
        .finish();
    ObjectWriter::default()
        .array("content", [&text])
        .boolean("isError", true)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_era_gets_the_codes_that_it_knows() {
        let (old, new) = (Revision::V2025_11_25, Revision::V2026_07_28);
        for (revision, about, text, expected) in [
            (
                new,
                About::Resource,
                r#"{"code":-32002,"message":"gone","data":{"uri":"a"},"x":1.0}"#,
                r#"{"code":-32602,"message":"gone","data":{"uri":"a"},"x":1.0}"#,
            ),
            (
                old,
                About::Resource,
                r#"{"message":"gone","code":-32602,"data":{"uri":"a","n":1e2}}"#,
                r#"{"code":-32002,"message":"gone","data":{"uri":"a","n":1e2}}"#,
            ),
            (
                old,
                About::Resource,
                r#"{"code":-32602,"message":"cursor"}"#,
                r#"{"code":-32602,"message":"cursor"}"#,
            ),
            (
                old,
                About::Tool,
                r#"{"code":-32602,"message":"no","data":{"uri":"a"}}"#,
                r#"{"code":-32602,"message":"no","data":{"uri":"a"}}"#,
            ),
            (
                new,
                About::Tool,
                r#"{"code":-32022,"message":"version"}"#,
                r#"{"code":-31004,"message":"version"}"#,
            ),
            (
                new,
                About::Tool,
                r#"{"code":-32020,"message":"header","data":1.0}"#,
                r#"{"code":-31004,"message":"header","data":1.0}"#,
            ),
            (
                old,
                About::Other,
                r#"{"code":-32020,"message":"header"}"#,
                r#"{"code":-31004,"message":"header"}"#,
            ),
            (
                new,
                About::Tool,
                r#"{"code":-32021,"message":"m","data":{"requiredCapabilities":{"sampling":{}}}}"#,
                r#"{"code":-32021,"message":"m","data":{"requiredCapabilities":{"sampling":{}}}}"#,
            ),
            (
                old,
                About::Other,
                r#"{"code":-32021,"message":"m","data":{"requiredCapabilities":{"sampling":{}}}}"#,
                r#"{"code":-32600,"message":"The server needs of its client what this one did not declare: `sampling`.","data":{"requiredCapabilities":{"sampling":{}}}}"#,
            ),
        ] {
            let object = RawJson::parse(text.to_owned()).unwrap();
            let expected = RawJson::parse(expected.to_owned()).unwrap();
            assert_eq!(error(&object, about, revision), Told::Error(expected));
        }
        let text = r#"{"code":-32021,"message":"m","data":{"requiredCapabilities":{"elicitation":{},"roots":{}}}}"#;
        let Told::ToolError(told) = error(&RawJson::parse(text).unwrap(), About::Tool, old) else {
            panic!()
        };
        assert!(told.as_str().contains("`elicitation`, `roots`"), "{told}");
    }
}
