//! What tasks ask for while they run (extension `io.modelcontextprotocol/tasks`): `inputRequests` of a
//! task are held to what the client declared and servers may ask for, as those of a call are. So is what
//! a task ends with, for a client takes it for the answer to its call.

use mcp_gw_core::{Members, ObjectWriter, RawJson, code};
use memchr::memmem;

use crate::askable::Askable;
use crate::revision::Revision;
use crate::rewrite::{Kind, kind, read_requests, short};
use crate::url_first;

/// The member with the questions.
const REQUESTS: &str = "inputRequests";
/// The members with which a task ends: what its call would have been answered.
const ENDS: [&str; 2] = ["result", "error"];

/// Why a client cannot be told this answer about a task: a clause whose subject is the answer.
pub(crate) fn objection(answer: &RawJson, askable: Askable) -> Option<String> {
    let members = match members(answer) {
        Ok(members) => members?,
        Err(reason) => return Some(reason),
    };
    objection_to_questions(answer, &members, askable).or_else(|| objection_to_end(answer, &members))
}

fn objection_to_questions(
    answer: &RawJson,
    members: &Members<'_>,
    askable: Askable,
) -> Option<String> {
    match read_requests(&answer.slice(members.get(REQUESTS)?)) {
        Ok(requests) => undeclared(&requests, askable),
        Err(_) => Some("it asks for input in a way that cannot be read".to_owned()),
    }
}

/// A task that has ended asks for nothing, neither in its result nor by its error: nobody could bring
/// back what it asks for.
fn objection_to_end(answer: &RawJson, members: &Members<'_>) -> Option<String> {
    let [result, error] = ENDS.map(|name| {
        let end = members.get(name).map(|end| answer.slice(end));
        end.filter(RawJson::is_object)
    });
    if error.is_some_and(|error| url_first::is_sent(&error) || url_first::is_of_code(&error)) {
        let wants = "its error wants the user to visit a URL first, for which a task that has ended \
                     cannot ask";
        return Some(wants.to_owned());
    }
    match kind(&result?, Revision::V2026_07_28) {
        Ok(Kind::Answer | Kind::Extension(_)) => None,
        Ok(Kind::Input(_)) => {
            Some("its result asks for input, which a task that has ended cannot".to_owned())
        }
        Ok(Kind::Task) => Some("its result is a task itself".to_owned()),
        Err(reason) => Some(format!("its result is none: {reason}")),
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
/// it, and as failed where what it ended with is none that it could be told. So it still hears that the
/// task waits or has ended, and `tasks/get` says why it cannot go on. `None` when nobody can say what they
/// ask.
pub(crate) fn told(params: RawJson, askable: Askable) -> Option<RawJson> {
    if objection(&params, askable).is_none() {
        return Some(params);
    }
    let members = params.members().ok()?;
    let end = objection_to_end(&params, &members);
    let mut writer = ObjectWriter::with_capacity(params.len());
    for (name, value) in members.iter() {
        writer = match name {
            REQUESTS => writer.raw(name, &RawJson::empty_object()),
            "status" if end.is_some() => writer.string(name, "failed"),
            _ if end.is_some() && ENDS.contains(&name) => writer,
            _ => writer.raw_value(name, value),
        };
    }
    if let Some(reason) = end {
        let message = format!("The task's end cannot be told to this client: {reason}.");
        let error = ObjectWriter::default()
            .integer("code", code::UPSTREAM_INVALID)
            .string("message", &message);
        writer = writer.raw("error", &error.finish());
    }
    Some(writer.finish())
}

/// The members of what is said of a task, where something in it may ask for something; an error where a
/// reader could see others than are seen here.
fn members(said: &RawJson) -> Result<Option<Members<'_>>, String> {
    let text = said.as_bytes();
    let has = |word: &str| memmem::find(text, word.as_bytes()).is_some();
    // A name may be written with escapes.
    if ![REQUESTS, "\"result\"", "\"error\"", "\\u"]
        .into_iter()
        .any(has)
    {
        return Ok(None);
    }
    let members = said.members();
    let members = members.map_err(|_| "it names a member twice".to_owned())?;
    Ok(Some(members))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_task_that_has_ended_asks_for_nothing() {
        let url = r#"{"elicitations":[{"mode":"url","url":"https://x.example/"}]}"#;
        let all = r#"{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{}}"#;
        let all = Askable::of(Revision::V2026_07_28, &raw(all));
        for (end, why) in [
            (
                format!(r#""error":{{"code":-32042,"message":"m","data":{url}}}"#),
                "visit a URL",
            ),
            (
                format!(r#""err\u006fr":{{"code":-3.2042e4,"data":{url}}}"#),
                "visit a URL",
            ),
            (
                format!(r#""error":{{"code":1,"code":-32042,"data":{url}}}"#),
                "visit a URL",
            ),
            (
                r#""result":{"resultType":"input_required","inputRequests":{}}"#.to_owned(),
                "asks for input",
            ),
            (
                r#""res\u0075lt":{"resultType":"input_required","requestState":"s"}"#.to_owned(),
                "asks for input",
            ),
            (
                r#""result":{"resultType":"task","taskId":"2"}"#.to_owned(),
                "a task itself",
            ),
            (
                r#""result":{"resultType":"x","resultType":"complete"}"#.to_owned(),
                "twice",
            ),
        ] {
            let text = format!(r#"{{"taskId":"1","status":"completed",{end},"x":1.0}}"#);
            for askable in [forms(), all] {
                let reason = objection(&raw(&text), askable).unwrap();
                assert!(reason.contains(why), "{text}: {reason}");
                let told = told(raw(&text), askable).unwrap();
                let head = r#"{"taskId":"1","status":"failed","x":1.0,"error":{"code":-31004,"#;
                assert!(told.as_str().starts_with(head), "{told:?}");
                assert_eq!(objection(&told, askable), None);
            }
        }
        for fine in [
            r#"{"status":"failed","error":{"code":-32603,"message":"m","data":{"elicitations":[]}}}"#,
            r#"{"status":"completed","result":{"content":[],"resultType":"complete"}}"#,
            r#"{"status":"working","result":null,"error":null}"#,
        ] {
            assert_eq!(objection(&raw(fine), forms()), None, "{fine}");
            assert_eq!(told(raw(fine), forms()), Some(raw(fine)));
        }
    }
}
