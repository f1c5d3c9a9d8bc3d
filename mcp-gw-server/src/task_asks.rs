//! What tasks ask for while they run (extension `io.modelcontextprotocol/tasks`): `inputRequests` of a
//! task are held to what the client declared and servers may ask for, as those of a call are.

use mcp_gw_core::{ObjectWriter, RawJson};
use memchr::memmem;

use crate::askable::Askable;
use crate::rewrite::{read_requests, short};

/// The member with the questions.
const REQUESTS: &str = "inputRequests";

/// Why a client cannot be told this answer about a task: a clause whose subject is the answer.
pub(crate) fn objection(answer: &RawJson, askable: Askable) -> Option<String> {
    let requests = match requests(answer) {
        Ok(requests) => requests?,
        Err(reason) => return Some(reason),
    };
    match read_requests(&requests) {
        Ok(requests) => undeclared(&requests, askable),
        Err(_) => Some("it asks for input in a way that cannot be read".to_owned()),
    }
}

/// Why these questions cannot be put to a client: a server must not ask for what the client did not
/// declare (basic/patterns/mrtr).
pub(crate) fn undeclared(requests: &[(String, RawJson)], askable: Askable) -> Option<String> {
    let mut all = requests.iter();
    let refused = all.find(|(method, params)| !askable.allows(method, params));
    refused.map(|(method, _)| {
        let method = short(method);
        format!("it asks for `{method}` in a way that the client did not declare")
    })
}

/// News of a task as a client may be told them: with no question where one of them cannot be put to
/// it. So it still hears that the task waits, and `tasks/get` says why it cannot go on. `None` when
/// nobody can say what they ask.
pub(crate) fn told(params: RawJson, askable: Askable) -> Option<RawJson> {
    if objection(&params, askable).is_none() {
        return Some(params);
    }
    let members = params.members().ok()?;
    let mut writer = ObjectWriter::with_capacity(params.len());
    for (name, value) in members.iter() {
        writer = match name {
            REQUESTS => writer.raw(name, &RawJson::empty_object()),
            _ => writer.raw_value(name, value),
        };
    }
    Some(writer.finish())
}

/// The questions in what is said of a task; an error where a reader could see others than are seen
/// here.
fn requests(said: &RawJson) -> Result<Option<RawJson>, String> {
    let text = said.as_bytes();
    let has = |word: &[u8]| memmem::find(text, word).is_some();
    // A name may be written with escapes.
    if !has(REQUESTS.as_bytes()) && !has(b"\\u") {
        return Ok(None);
    }
    let members = said.members();
    let members = members.map_err(|_| "it names a member twice".to_owned())?;
    Ok(members.get(REQUESTS).map(|requests| said.slice(requests)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revision::Revision;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    fn forms() -> Askable {
        Askable::of(Revision::V2026_07_28, &raw(r#"{"elicitation":{}}"#))
    }

    #[test]
    fn a_task_asks_for_what_was_declared() {
        for fine in [
            r#"{"taskId":"1","status":"working"}"#,
            r#"{"taskId":"\u0031","status":"working"}"#,
            r#"{"inputRequests":{}}"#,
            r#"{"status":"input_required","inputRequests":{"k":{"method":"elicitation/create","params":{"n":1.0}}}}"#,
        ] {
            assert_eq!(objection(&raw(fine), forms()), None, "{fine}");
            assert_eq!(told(raw(fine), forms()), Some(raw(fine)));
        }
    }

    #[test]
    fn what_was_not_declared_is_not_asked_for_by_a_task() {
        let elicits = r#""e":{"method":"elicitation/create"}"#;
        for (asks, why) in [
            (
                r#"{"k":{"method":"sampling/createMessage"}}"#.to_owned(),
                "sampling/createMessage",
            ),
            (
                format!(r#"{{{elicits},"k":{{"method":"roots/list"}}}}"#),
                "roots/list",
            ),
            (r#"{"k":{"method":"tools/call"}}"#.to_owned(), "tools/call"),
            (
                r#"{"k":{"method":"elicitation/create","params":{"mode":"url"}}}"#.to_owned(),
                "elicitation",
            ),
            (format!("{{{elicits},{elicits}}}"), "cannot be read"),
            ("[]".to_owned(), "cannot be read"),
            ("null".to_owned(), "cannot be read"),
            (r#"{"k":1}"#.to_owned(), "cannot be read"),
        ] {
            // However its name is written.
            for name in ["inputRequests", r"input\u0052equests"] {
                let text = format!(r#"{{"taskId":"1","{name}":{asks},"x":1.0}}"#);
                let reason = objection(&raw(&text), forms()).unwrap();
                assert!(reason.contains(why), "{text}: {reason}");
                assert_eq!(
                    told(raw(&text), forms()).unwrap().as_str(),
                    r#"{"taskId":"1","inputRequests":{},"x":1.0}"#
                );
            }
        }
        let twice = r#"{"inputRequests":{},"inputRequests":{"k":{"method":"roots/list"}}}"#;
        assert!(objection(&raw(twice), forms()).unwrap().contains("twice"));
        assert_eq!(told(raw(twice), forms()), None);
    }
}
