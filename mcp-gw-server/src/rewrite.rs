//! Results between the eras: what one revision requires and another does not know.
//!
//! Nothing but members of this hop is touched, and most results are not even taken apart: members
//! are added behind the opening brace, and removed only where a search finds their name.

use mcp_gw_core::jsonrpc::as_str;
use mcp_gw_core::{
    CacheHint, ESCAPE, JsonError, JsonText, Members, Needle, ObjectWriter, RawJson,
    is_plainly_complete,
};

use crate::revision::Revision;
use crate::rounds::STATE;
use mcp_gw_core::meta_key::SERVER_INFO;

/// What the client is told about keeping a result (MCP 2026-07-28, server/utilities/caching).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hints {
    /// The method has none.
    None,
    /// `ttlMs` and `cacheScope` are required. The gateway filters by caller, so the result is
    /// private; what says nothing is stale at once.
    Private,
    /// They are required, and what the result says of them is true here too.
    Kept,
}

/// What a result is to the client that gets it.
#[derive(Debug)]
pub(crate) enum Kind {
    /// The answer.
    Answer,
    /// A task, which only clients understand that declared the extension.
    Task,
    /// Something of an extension that the gateway does not know, for clients that declared it: its
    /// type, shortened.
    Extension(String),
    /// A request for input: methods with their params; an error when it asks in no way that there is.
    Input(Result<Vec<(String, RawJson)>, JsonError>),
}

/// What a client of `revision` can be told: a result is an object that says nothing twice, and, for
/// clients of older revisions, the answer and not a request for input, which they would take for the
/// answer.
///
/// # Errors
/// Why it cannot be told this one: a clause whose subject is the result.
pub(crate) fn kind(result: &RawJson, revision: Revision) -> Result<Kind, String> {
    if is_plainly_complete(result) {
        return Ok(Kind::Answer);
    }
    kind_of_members(result, revision)
}

fn kind_of_members(result: &RawJson, revision: Revision) -> Result<Kind, String> {
    let members = match look(result, revision)? {
        Look::Plain => return Ok(Kind::Answer),
        Look::Members(members) => members,
    };
    let Some(kind) = members.get("resultType") else {
        return Ok(Kind::Answer);
    };
    // A type that is no text is none that a client could know (MCP 2026-07-28, results).
    let kind = as_str(kind).ok_or("its `resultType` is not a string")?;
    Ok(match &*kind {
        "complete" => Kind::Answer,
        "task" => Kind::Task,
        "input_required" => {
            let state = members.get(STATE);
            if state.is_some_and(|state| as_str(state).is_none()) {
                return Err("its `requestState` is not a string".to_owned());
            }
            match members.get("inputRequests") {
                Some(requests) => Kind::Input(read_requests(&result.slice(requests))),
                None if state.is_some() => Kind::Input(Ok(Vec::new())),
                None => {
                    let says =
                        "it asks for input and says neither which nor what to come back with";
                    return Err(says.to_owned());
                }
            }
        }
        other => Kind::Extension(short(other)),
    })
}

/// Reads `inputRequests`: methods with their params.
///
/// # Errors
/// When it asks in no way that there is.
pub(crate) fn read_requests(requests: &RawJson) -> Result<Vec<(String, RawJson)>, JsonError> {
    let read = |request: JsonText<'_>| {
        let request = requests.slice(request);
        let method = request.member("method")?.unwrap_or_default();
        let params = request.member("params")?;
        Ok((
            method.decode_owned()?,
            params.unwrap_or_else(RawJson::empty_object),
        ))
    };
    let members = requests.members()?;
    members.iter().map(|(_, request)| read(request)).collect()
}

/// What a look at a result finds.
enum Look<'r> {
    /// Nothing in it concerns this hop.
    Plain,
    /// Something among these members may.
    Members(Members<'r>),
}

/// The beginning of a word of a server, for a message.
pub(crate) fn short(word: &str) -> String {
    word.chars().take(64).collect()
}

/// Looks at a result; otherwise why it cannot be told.
fn look(result: &RawJson, revision: Revision) -> Result<Look<'_>, String> {
    if !result.is_object() {
        return Err("it is not an object".to_owned());
    }
    let names = if revision.is_modern() {
        &MODERN_MEMBERS[..]
    } else {
        &LEGACY_STRIPPED[..]
    };
    let concerns = result.may_have(names) || (!revision.is_modern() && names_server(result));
    if !concerns {
        return Ok(Look::Plain);
    }
    let Ok(members) = result.members() else {
        return Err("it names a member twice".to_owned());
    };
    let kind = members.get("resultType");
    let is_answer = kind.is_none_or(says_complete);
    if revision.is_modern() || is_answer {
        return Ok(Look::Members(members));
    }
    Err(match kind.and_then(as_str).as_deref() {
        Some("input_required") => {
            "it asks for input in a way that the client's protocol revision does not know"
                .to_owned()
        }
        Some(kind) => {
            let kind = short(kind);
            format!(
                "it is of the type `{kind}`, which the client's protocol revision does not know"
            )
        }
        None => "its `resultType` is not a string".to_owned(),
    })
}

/// Members that make a result worth a look before a modern client gets it.
const MODERN_MEMBERS: [&Needle; 5] = [&TYPE, &REQUEST_STATE, &META, &TTL, &SCOPE];

/// The same for clients of older revisions.
const LEGACY_STRIPPED: [&Needle; 3] = [&TYPE, &TTL, &SCOPE];

static TYPE: Needle = Needle::new("\"resultType\"");
static REQUEST_STATE: Needle = Needle::new("\"requestState\"");
static META: Needle = Needle::new("\"_meta\"");
static TTL: Needle = Needle::new("\"ttlMs\"");
static SCOPE: Needle = Needle::new("\"cacheScope\"");
static INFO: Needle = Needle::new(SERVER_INFO);

/// True when a server may say in it who it is, as servers of revisions before 2026-07-28 do in their handshake only.
fn names_server(result: &RawJson) -> bool {
    result.may_have(&[&META]) && (INFO.is_in(result) || ESCAPE.is_in(result))
}

/// The result as a client of `revision` expects it.
///
/// # Errors
/// Why it cannot be told to that client.
pub(crate) fn result(
    result: RawJson,
    revision: Revision,
    hints: Hints,
    server_info: &RawJson,
) -> Result<RawJson, String> {
    let members = match look(&result, revision)? {
        Look::Plain => None,
        Look::Members(members) => Some(members),
    };
    let rewritten = if revision.is_modern() {
        Some(to_modern(&result, members.as_ref(), hints, server_info))
    } else {
        members.and_then(|members| to_legacy(&members, result.len()))
    };
    Ok(rewritten.unwrap_or(result))
}

/// Why a client of an old revision cannot be told this result of a server of an old revision, if it
/// cannot: neither of them knows types of results, so what the server writes there says nothing, except
/// that what claims to ask for input or to be a task is not the answer that the client would take it for.
pub(crate) fn objection_to_plain(result: &RawJson) -> Option<String> {
    if !result.may_have(&STRIPPED_FROM_PLAIN) {
        return None;
    }
    let Ok(members) = result.members() else {
        return Some("it names a member twice".to_owned());
    };
    let kind = members.get("resultType").and_then(as_str)?;
    matches!(&*kind, "input_required" | "task").then(|| {
        format!("it says that it is of the type `{kind}`, which the client's protocol revision does not know")
    })
}

/// Such a result without what the revision does not have.
pub(crate) fn plain(result: RawJson) -> RawJson {
    if !result.may_have(&STRIPPED_FROM_PLAIN) {
        return result;
    }
    match result.members() {
        Ok(members) if NO_MEMBERS.iter().any(|name| members.get(name).is_some()) => {
            ObjectWriter::with_capacity(result.len())
                .members(&members, &NO_MEMBERS)
                .finish()
        }
        _ => result,
    }
}

/// Members that results of revisions before 2026-07-28 do not have.
const NO_MEMBERS: [&str; 3] = ["resultType", "ttlMs", "cacheScope"];

/// Members that make a result worth a look for them.
const STRIPPED_FROM_PLAIN: [&Needle; 3] = [&TYPE, &TTL, &SCOPE];

fn to_modern(
    result: &RawJson,
    members: Option<&Members<'_>>,
    hints: Hints,
    server_info: &RawJson,
) -> RawJson {
    match members {
        None => {
            modern_head(result.len(), &Members::default(), hints, server_info).finish_with(result)
        }
        Some(members) => {
            let head = modern_head(result.len(), members, hints, server_info);
            head.members(members, &HEAD).finish()
        }
    }
}

/// True for `complete`, in whatever way the string is written.
fn says_complete(kind: JsonText<'_>) -> bool {
    as_str(kind).as_deref() == Some("complete")
}

/// What a list that the gateway itself writes begins with for a client of 2026-07-28, and room for so many bytes
/// behind it.
pub(crate) fn list_head(room: usize, hint: CacheHint, server_info: &RawJson) -> ObjectWriter {
    let ttl = i64::try_from(hint.ttl.as_millis()).unwrap_or(i64::MAX);
    let scope = if hint.is_public { "public" } else { "private" };
    let meta = ObjectWriter::default().raw(SERVER_INFO, server_info);
    ObjectWriter::with_capacity(room + 256)
        .string("resultType", "complete")
        .integer("ttlMs", ttl)
        .string("cacheScope", scope)
        .raw("_meta", &meta.finish())
}

/// Members that [`modern_head`] writes.
const HEAD: [&str; 4] = ["resultType", "_meta", "ttlMs", "cacheScope"];

/// Its members, with room for so many bytes behind them.
fn modern_head(
    room: usize,
    members: &Members<'_>,
    hints: Hints,
    server_info: &RawJson,
) -> ObjectWriter {
    let mut writer = ObjectWriter::with_capacity(room + 256);
    let mut complete = true;
    writer = match members.get("resultType") {
        Some(kind) => {
            complete = says_complete(kind);
            writer.raw_value("resultType", kind)
        }
        None => writer.string("resultType", "complete"),
    };
    let ours = hints != Hints::None && complete;
    writer = match members.get("ttlMs") {
        Some(ttl) => writer.raw_value("ttlMs", ttl),
        None if ours => writer.integer("ttlMs", 0),
        None => writer,
    };
    writer = match members.get("cacheScope") {
        Some(scope) if hints == Hints::Kept && scope.get() == "\"public\"" => {
            writer.raw_value("cacheScope", scope)
        }
        // An upstream's "public" is no longer true behind a policy that looks at the caller.
        Some(_) | None if ours => writer.string("cacheScope", "private"),
        Some(scope) => writer.raw_value("cacheScope", scope),
        None => writer,
    };
    let theirs = members
        .get("_meta")
        .and_then(|raw| serde_json::from_str(raw.get()).ok());
    let theirs: Members<'_> = theirs.unwrap_or_default();
    let meta = ObjectWriter::default()
        .raw(SERVER_INFO, server_info)
        .members(&theirs, &[SERVER_INFO]);
    writer.raw("_meta", &meta.finish())
}

/// The members without those that older revisions do not know; `None` when there are none such.
fn to_legacy(members: &Members<'_>, capacity: usize) -> Option<RawJson> {
    let ours = ["resultType", "ttlMs", "cacheScope", "_meta"];
    if !ours.iter().any(|name| members.get(name).is_some()) {
        return None;
    }
    let mut writer = ObjectWriter::with_capacity(capacity);
    for (name, value) in members.iter() {
        writer = match name {
            "resultType" | "ttlMs" | "cacheScope" => writer,
            "_meta" => match serde_json::from_str::<Members<'_>>(value.get()) {
                Ok(meta) if meta.get(SERVER_INFO).is_some() => {
                    if meta.len() == 1 {
                        writer
                    } else {
                        let meta = ObjectWriter::default()
                            .members(&meta, &[SERVER_INFO])
                            .finish();
                        writer.raw("_meta", &meta)
                    }
                }
                _ => writer.raw_value("_meta", value),
            },
            _ => writer.raw_value(name, value),
        };
    }
    Some(writer.finish())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn info() -> RawJson {
        RawJson::parse(r#"{"name":"gw","version":"1"}"#).unwrap()
    }

    fn modern(text: &str, hints: Hints) -> String {
        let raw = RawJson::parse(text.to_owned()).unwrap();
        let text = result(raw, Revision::V2026_07_28, hints, &info()).unwrap();
        assert!(RawJson::parse(text.to_bytes()).is_ok());
        text.as_str().to_owned()
    }

    fn legacy(text: &str) -> Option<String> {
        let raw = RawJson::parse(text.to_owned()).unwrap();
        let told = result(raw, Revision::V2025_11_25, Hints::None, &info());
        told.ok().map(|raw| raw.as_str().to_owned())
    }

    const META: &str =
        r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"gw","version":"1"}}"#;

    #[test]
    fn a_plain_result_is_kept_byte_for_byte_behind_ours() {
        assert_eq!(
            modern(r#"{ "content" : [1.0, 1e5] , "x":{}}"#, Hints::None),
            format!(r#"{{"resultType":"complete",{META}, "content" : [1.0, 1e5] , "x":{{}}}}"#)
        );
        assert_eq!(
            modern("{ }", Hints::None),
            format!(r#"{{"resultType":"complete",{META} }}"#)
        );
    }

    #[test]
    fn what_the_server_said_of_itself_is_replaced_and_the_rest_of_meta_stays() {
        assert_eq!(
            modern(
                r#"{"_meta":{"v":1.0,"io.modelcontextprotocol/serverInfo":{"name":"up"}},"resultType":"input_required","requestState":"s"}"#,
                Hints::Private
            ),
            r#"{"resultType":"input_required","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"gw","version":"1"},"v":1.0},"requestState":"s"}"#
        );
    }

    #[test]
    fn what_an_old_server_says_in_words_of_later_revisions_reaches_no_old_client() {
        let raw = |text: &str| RawJson::parse(text.to_owned()).unwrap();
        for (text, expected) in [
            (
                r#"{"content":[],"ttlMs":1.0,"x": 1e5}"#,
                r#"{"content":[],"x":1e5}"#,
            ),
            (
                r#"{"resultType":"x/y","cacheScope":"public","content":[]}"#,
                r#"{"content":[]}"#,
            ),
            (r#"{"resultType":5,"a":1.0}"#, r#"{"a":1.0}"#),
            (r#"{"result\u0054ype":"complete","a":1.0}"#, r#"{"a":1.0}"#),
            (
                r#"{ "content" : [{"ttlMs":1}] , "_meta":{"ttlMs":2} }"#,
                r#"{ "content" : [{"ttlMs":1}] , "_meta":{"ttlMs":2} }"#,
            ),
        ] {
            assert_eq!(objection_to_plain(&raw(text)), None, "{text}");
            assert_eq!(plain(raw(text)).as_str(), expected);
        }
        for text in [
            r#"{"resultType":"input_required","inputRequests":{},"content":[]}"#,
            r#"{"resultType":"tas\u006b","taskId":"t1","content":[]}"#,
            r#"{"resultType":"complete","resultType":"task","content":[]}"#,
        ] {
            assert!(objection_to_plain(&raw(text)).is_some(), "{text}");
        }
    }

    #[test]
    fn the_state_of_a_server_passes_byte_for_byte() {
        let plain = r#"{"resultType":"input_required","requestState":"a\u0062 \/"}"#;
        let text = modern(plain, Hints::None);
        assert!(text.ends_with(r#","requestState":"a\u0062 \/"}"#), "{text}");
    }

    fn kind_of(text: &str) -> Result<Kind, String> {
        kind(
            &RawJson::parse(text.to_owned()).unwrap(),
            Revision::V2026_07_28,
        )
    }

    #[test]
    fn what_a_result_asks_for_is_known_however_it_is_written() {
        let asked = |text: &str| match kind_of(text).unwrap() {
            Kind::Input(Ok(requests)) if requests.is_empty() => None,
            Kind::Input(requests) => Some(requests.map_err(|_| ())),
            _ => None,
        };
        let requests = r#"{"a":{"method":"roots/list"},"b":{"method":"elicitation\/create","params":{"n":1.0}}}"#;
        for kind in ["input_required", r"input\u005frequired"] {
            let text = format!(r#"{{"resultType":"{kind}","inputRequests":{requests}}}"#);
            let found = asked(&text).unwrap().unwrap();
            let found: Vec<_> = found
                .iter()
                .map(|(method, params)| (method.as_str(), params.as_str()))
                .collect();
            let expected = [("roots/list", "{}"), ("elicitation/create", r#"{"n":1.0}"#)];
            assert_eq!(found, expected);
        }
        for text in [
            r#"{"content":[{"text":"\"input_required\""}]}"#,
            r#"{"resultType":"input_required","requestState":"s"}"#,
            r#"{"resultType":"complete","inputRequests":{}}"#,
        ] {
            assert_eq!(asked(text), None, "{text}");
        }
        for requests in ["[]", r#"{"a":1}"#, r#"{"a":{}}"#, r#"{"a":{"method":1}}"#] {
            let text = format!(r#"{{"resultType":"input_required","inputRequests":{requests}}}"#);
            assert_eq!(asked(&text), Some(Err(())), "{text}");
        }
    }

    #[test]
    fn who_asks_says_what_for_or_what_to_come_back_with() {
        let of = |members: &str| kind_of(&format!(r#"{{"resultType":"input_required"{members}}}"#));
        for members in ["", r#","content":[]"#] {
            let refused = of(members).unwrap_err();
            assert!(refused.contains("neither which nor what"), "{refused}");
        }
        for state in ["5", "null", "{}", r#""\ud800""#] {
            for requests in ["", r#","inputRequests":{"r":{"method":"roots/list"}}"#] {
                let refused = of(&format!(r#"{requests},"requestState":{state}"#)).unwrap_err();
                assert_eq!(refused, "its `requestState` is not a string");
            }
        }
    }

    #[test]
    fn a_task_is_known_however_it_is_written() {
        for (text, task) in [
            (r#"{"resultType":"task","taskId":"1"}"#, true),
            (r#"{"resultType":"t\u0061sk"}"#, true),
            (r#"{"resultType":"complete","x":"task"}"#, false),
            (r#"{"content":[]}"#, false),
        ] {
            assert_eq!(matches!(kind_of(text), Ok(Kind::Task)), task, "{text}");
        }
    }

    #[test]
    fn a_type_that_is_not_known_is_no_answer() {
        let of = |kind: &str| kind_of(&format!(r#"{{"content":[],"resultType":{kind}}}"#));
        for kind in ["\"COMPLETE\"", "\"x/later\"", "\"\""] {
            assert!(matches!(of(kind), Ok(Kind::Extension(_))), "{kind}");
        }
        for kind in ["null", "7", "{}", r#"["complete"]"#] {
            assert_eq!(of(kind).unwrap_err(), "its `resultType` is not a string");
        }
        assert!(matches!(of(r#""comple\u0074e""#), Ok(Kind::Answer)));
    }

    #[test]
    fn cache_hints_are_there_where_they_are_required_and_public_only_where_that_is_true() {
        for (scope, hints, expected) in [
            ("public", Hints::Kept, "public"),
            ("private", Hints::Kept, "private"),
            ("PUBLIC", Hints::Kept, "private"),
            ("public", Hints::Private, "private"),
        ] {
            let text = format!(r#"{{"contents":[],"cacheScope":"{scope}","ttlMs":5}}"#);
            let text = modern(&text, hints);
            let says = format!(r#""ttlMs":5,"cacheScope":"{expected}""#);
            assert!(text.contains(&says), "{text}");
        }
        let text = modern(
            r#"{"contents":[],"cacheScope":"public","ttlMs":5}"#,
            Hints::Private,
        );
        assert!(
            text.contains(r#""ttlMs":5,"cacheScope":"private""#),
            "{text}"
        );
        let text = modern(r#"{"contents":[]}"#, Hints::Private);
        assert!(
            text.contains(r#""ttlMs":0,"cacheScope":"private""#),
            "{text}"
        );
    }

    #[test]
    fn a_legacy_client_sees_nothing_of_the_new_era() {
        assert_eq!(
            legacy(r#"{"resultType":"complete","content":[],"ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{}}}"#).unwrap(),
            r#"{"content":[]}"#
        );
        assert_eq!(
            legacy(r#"{"r\u0065sultType":"complete","content":[]}"#).unwrap(),
            r#"{"content":[]}"#
        );
        assert_eq!(legacy(r#"{"resultType":"input_required"}"#), None);
        assert_eq!(legacy("[]"), None);
        for twice in [
            r#"{"_meta":{},"_meta":{}}"#,
            r#"{"resultType":"a","resultType":"b"}"#,
        ] {
            let raw = RawJson::parse(twice).unwrap();
            let refused = kind(&raw, Revision::V2026_07_28).unwrap_err();
            assert_eq!(refused, "it names a member twice", "{twice}");
        }
        let untouched = r#"{ "content":[{"text":"resultType"}] }"#;
        assert_eq!(legacy(untouched).unwrap(), untouched);
    }

    fn trees() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "[a-zA-Z\"\\\\\u{e9}]{0,8}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("_meta|resultType|ttlMs|[a-c\"]{1,3}", inner, 0..4)
                    .prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn payload_comes_out_as_it_went_in(
            content in prop::collection::hash_map("[a-d\"]{1,4}", trees(), 0..5)
        ) {
            let before = json!(content);
            for revision in Revision::ALL {
                let raw = RawJson::from_serialize(&before).unwrap();
                let after = result(raw, revision, Hints::Private, &info()).unwrap();
                let mut after = after.to_value().unwrap();
                for ours in ["resultType", "ttlMs", "cacheScope", "_meta"] {
                    after.as_object_mut().unwrap().remove(ours);
                }
                prop_assert_eq!(&after, &before);
            }
        }
    }

    /// A piece of an object in which the type may be hidden, nested or said twice.
    fn piece() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            Just(r#""resultType""#),
            Just(r#""result\u0054ype""#),
            Just(r#""a""#),
        ];
        let value = prop_oneof![
            Just(r#""complete""#.to_owned()),
            Just(r#""task""#.to_owned()),
            Just(r#""input_required""#.to_owned()),
            Just(r#""resultType""#.to_owned()),
            Just(r#""\"resultType\":\"complete\"""#.to_owned()),
            Just(r#"{"resultType":"complete"}"#.to_owned()),
            Just(r#"{"resultType":"task"}"#.to_owned()),
            Just("7".to_owned()),
        ];
        let colon = prop_oneof![Just(":"), Just(" : "), Just("\n:\t")];
        (name, colon, value).prop_map(|(name, colon, value)| format!("{name}{colon}{value}"))
    }

    proptest! {
        /// What is seen at a glance is what is read in full.
        #[test]
        fn a_glance_never_takes_another_type_for_an_answer(
            pieces in proptest::collection::vec(piece(), 0..4),
        ) {
            let raw = RawJson::parse(format!("{{{}}}", pieces.join(","))).unwrap();
            if is_plainly_complete(&raw) {
                for revision in [Revision::V2026_07_28, Revision::V2025_11_25] {
                    // What is no object at all to a client is refused when it is written for them.
                    let written = result(raw.clone(), revision, Hints::None, &info());
                    let read = kind_of_members(&raw, revision);
                    let is_answer = matches!(read, Ok(Kind::Answer));
                    prop_assert!(is_answer || written.is_err(), "{}", raw.as_str());
                }
            }
        }
    }

    #[test]
    fn a_type_is_a_string_however_it_is_written() {
        let escaped = r#"{"resultType":"compl\u0065te","content":[]}"#;
        assert_eq!(legacy(escaped).as_deref(), Some(r#"{"content":[]}"#));
        assert!(modern(escaped, Hints::Private).contains("cacheScope"));
    }

    #[test]
    fn an_answer_is_seen_at_a_glance() {
        let is = |text: &str| is_plainly_complete(&RawJson::parse(text.to_owned()).unwrap());
        assert!(is(r#"{"resultType":"complete","content":[]}"#));
        assert!(is(
            r#"{"content":[{"text":"a \"quote\""}], "resultType" : "complete"}"#
        ));
        assert!(!is(r#"{"content":[]}"#));
        assert!(!is(r#"{"resultType":"task"}"#));
        assert!(!is(r#"{"resultType":"complete","result\u0054ype":"task"}"#));
    }
}
