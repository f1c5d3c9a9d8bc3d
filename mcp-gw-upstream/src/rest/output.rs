//! What a caller is told of an answer: a status, data, headers, and where the rest is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use mcp_gw_core::{Caller, GatewayError, ObjectWriter, RawJson, ToolOutput};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::api::{Api, Failed, Reply, Stay};
use super::kept::{Handle, KeptAnswer, KeptAnswers};
use super::piece::{Form, Piece, Place};
use super::scan::is_readable;
use super::select::Selection;
use crate::egress::RefusalCode;

/// How many selections this process makes at a time: each may take some hundred MiB.
static SELECTIONS: Semaphore = Semaphore::const_new(2);

/// The scheme of the URIs of answers that are kept.
const SCHEME: &str = "answer";

/// The schema of results (C-5), and of what says why there is none (C-6): clients hold both against it.
pub(crate) const OUTPUT_SCHEMA: &str = r#"{"type":"object","properties":{"status":{"type":"integer","description":"The HTTP status."},"data":{"description":"The body: JSON as it is, anything else as text, or in base64."},"headers":{"type":"object","additionalProperties":{"type":"string"}},"truncated":{"type":"boolean","description":"True when this is not the whole body."},"next":{"type":"string","description":"Where the body goes on: a resource to read, or a value for the argument that reads on."},"encoding":{"const":"base64"},"code":{"type":"string","description":"What went wrong, when nothing else is there."},"message":{"type":"string"},"limit":{"type":"string","description":"The limit that was reached."},"retry_after_ms":{"type":"integer"}},"anyOf":[{"required":["status","data","headers","truncated"]},{"required":["code","message"]}]}"#;

/// The place of the rest of an answer: `answer://<api>/<handle>/<offset>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rest {
    pub(crate) api: String,
    pub(crate) handle: Handle,
    pub(crate) from: Place,
}

impl Rest {
    /// The template of these URIs for one API, or for all.
    pub(crate) fn template(api: Option<&str>) -> String {
        format!(
            "{SCHEME}://{}/{{answer}}/{{offset}}",
            api.unwrap_or("{api}")
        )
    }

    /// Reads a URI; `None` when it is none of these.
    pub(crate) fn parse(uri: &str) -> Option<Self> {
        let rest = uri.strip_prefix(SCHEME)?.strip_prefix("://")?;
        let mut parts = rest.split('/');
        let (api, handle, from) = (parts.next()?, parts.next()?, parts.next()?);
        (parts.next().is_none() && !api.is_empty()).then_some(())?;
        Some(Self {
            api: api.to_owned(),
            handle: Handle::parse(handle)?,
            from: Place::parse(from)?,
        })
    }

    fn uri(&self) -> String {
        format!("{SCHEME}://{}/{}/{}", self.api, self.handle, self.from)
    }
}

/// How much of an answer is of use, if not all that the rules allow: what is not shown has to be kept or
/// selected from.
pub(crate) fn most(api: &Api, kept: Option<&KeptAnswers>, selects: bool) -> Option<usize> {
    (kept.is_none() && !selects).then(|| api.config().max_shown)
}

/// The result of a request: as much of the answer as a caller gets at once, the rest kept. What is selected
/// of it is selected in the time and the room that the request has.
pub(crate) async fn of_reply(
    api: &Api,
    kept: Option<&KeptAnswers>,
    caller: &Caller,
    (reply, stay): (Reply, Stay<'_>),
    selection: Option<Selection>,
) -> ToolOutput {
    let most = api.config().max_shown;
    let media = media_type(&reply.headers);
    let body = without_mark(reply.body);
    let (form, mut value) = Form::read(&body, media.as_deref());
    let mut answer = KeptAnswer {
        api: Arc::clone(api.name()),
        form,
        media_type: media.map(Into::into),
        body,
        is_truncated: reply.is_truncated,
    };
    // What went wrong is told as it is.
    if let Some(selection) = selection.filter(|_| reply.status.is_success()) {
        if answer.is_truncated {
            let message = "the answer is longer than what is read of it, so nothing can be selected; \
                           ask the API for less";
            return of_failure(&Failed::new("select_invalid", message));
        }
        let body = answer.body.clone();
        let most = kept.map_or(most, KeptAnswers::max_bytes).max(most);
        match selected(selection, body, most, stay.left(), &SELECTIONS).await {
            Ok(selected) => {
                answer.body = selected.to_bytes();
                value = Some(selected);
                answer.form = Form::Json;
                answer.media_type = Some("application/json".into());
            }
            Err(failed) => return of_failure(&failed),
        }
    }
    drop(stay);
    let piece = Piece::first(&answer.body, answer.form, value, most);
    let next = piece.next.and_then(|from| {
        let handle = kept?.keep(caller, answer.clone())?;
        Some(Rest {
            api: answer.api.to_string(),
            handle,
            from,
        })
    });
    let is_whole = piece.next.is_none() && !answer.is_truncated;
    let shown = Shown {
        status: i64::from(reply.status.as_u16()),
        headers: headers_of(&reply.headers),
        is_whole,
        piece: &piece,
        next: next.as_ref(),
    };
    shown.output(answer.media_type.as_deref())
}

/// What `selection` takes of `body`, made in `left` and with others in `room`.
async fn selected(
    selection: Selection,
    body: Bytes,
    most: usize,
    left: Duration,
    room: &'static Semaphore,
) -> Result<RawJson, Failed> {
    let invalid = |message: String| Failed::new("select_invalid", message);
    let work = async {
        let permit = room.acquire().await;
        // Nobody can stop it: the room is its own until it is over, also when nobody waits any more.
        spawn_blocking(move || {
            let _permit = permit;
            selection.apply(&body, most)
        })
        .await
    };
    match timeout(left, work).await {
        Ok(Ok(found)) => found.map_err(|error| invalid(error.to_string())),
        Ok(Err(_)) => Err(invalid("`select` came to nothing".to_owned())),
        Err(_) => Err(Failed::new(
            RefusalCode::UpstreamTimeout.as_str(),
            "the time of the call was over before `select` was done; ask the API for less",
        )),
    }
}

/// A later piece of an answer that was kept, as the result of a call.
pub(crate) fn of_rest(answer: &KeptAnswer, rest: &Rest, most: usize) -> ToolOutput {
    let piece = Piece::of(&answer.body, answer.form, rest.from, most);
    let next = piece.next.map(|from| Rest {
        from,
        ..rest.clone()
    });
    let shown = Shown {
        // It has one already: this is no new answer.
        status: 206,
        headers: RawJson::empty_object(),
        is_whole: piece.next.is_none() && !answer.is_truncated,
        piece: &piece,
        next: next.as_ref(),
    };
    shown.output(answer.media_type.as_deref())
}

/// The same as a `ReadResourceResult`: the piece, and a pointer to the next.
pub(crate) fn resource_of_rest(
    uri: &str,
    answer: &KeptAnswer,
    rest: &Rest,
    most: usize,
) -> RawJson {
    let piece = Piece::of(&answer.body, answer.form, rest.from, most);
    let mut content = ObjectWriter::with_capacity(piece.data.len() + 128).string("uri", uri);
    let is_json = answer.form == Form::Json && !piece.data.as_bytes().starts_with(b"\"");
    if is_json {
        content = content.string("mimeType", "application/json");
    } else if let Some(media_type) = &answer.media_type {
        content = content.string("mimeType", media_type);
    }
    // A string is shown as what it says, anything else as its text.
    content = if piece.is_base64 {
        content.raw("blob", &piece.data)
    } else if is_json {
        content.string("text", piece.data.as_str())
    } else {
        content.raw("text", &piece.data)
    };
    let mut contents = vec![content.finish()];
    if let Some(from) = piece.next {
        let next = Rest {
            from,
            ..rest.clone()
        };
        let says = format!("It goes on: read {}", next.uri());
        contents.push(
            ObjectWriter::default()
                .string("uri", &next.uri())
                .string("mimeType", "text/plain")
                .string("text", &says)
                .finish(),
        );
    }
    ObjectWriter::default()
        .array("contents", &contents)
        .finish()
}

/// Without a byte order mark, which is no part of a text (RFC 3629 §6).
fn without_mark(body: Bytes) -> Bytes {
    match body.strip_prefix(b"\xef\xbb\xbf") {
        Some(_) => body.slice(3..),
        None => body,
    }
}

/// A value in a result that nests deeper goes as text, as does whatever else readers stop at: clients do at some
/// 128 levels, and then read nothing of the message.
const DEEPEST: usize = 100;

struct Shown<'a> {
    status: i64,
    headers: RawJson,
    is_whole: bool,
    piece: &'a Piece,
    next: Option<&'a Rest>,
}

impl Shown<'_> {
    fn output(&self, media_type: Option<&str>) -> ToolOutput {
        let next = self.next.map(Rest::uri);
        let first = ObjectWriter::default().integer("status", self.status);
        let mut last = ObjectWriter::with_capacity(self.headers.len() + 128)
            .raw("headers", &self.headers)
            .boolean("truncated", !self.is_whole);
        if self.piece.is_base64 {
            last = last.string("encoding", "base64");
        }
        let mut blocks = Vec::new();
        if let Some(next) = &next {
            last = last.string("next", next);
            blocks.push(link(next, media_type));
        }
        let (first, last) = (first.finish(), last.finish());
        let data = &self.piece.data;
        if is_readable(data.as_bytes()) {
            let (output, depth) = ToolOutput::around(&first, ("data", data), &last, &blocks);
            if depth <= DEEPEST {
                return output;
            }
        }
        let text = RawJson::string(data.as_str());
        ToolOutput::around(&first, ("data", &text), &last, &blocks).0
    }
}

/// A link to the rest of an answer.
fn link(next: &str, media_type: Option<&str>) -> RawJson {
    let link = ObjectWriter::default()
        .string("type", "resource_link")
        .string("uri", next)
        .string("name", "rest of the answer")
        .string(
            "description",
            "Where the answer goes on; it is kept for a few minutes.",
        );
    match media_type {
        Some(media_type) => link.string("mimeType", media_type).finish(),
        None => link.finish(),
    }
}

/// A result that says what went wrong (C-6).
pub(crate) fn of_failure(failed: &Failed) -> ToolOutput {
    of_failure_with(failed, &[])
}

/// The same with more members.
fn of_failure_with(failed: &Failed, more: &[(&str, &str)]) -> ToolOutput {
    let mut structured = ObjectWriter::default()
        .string("code", failed.code)
        .string("message", &failed.message);
    for (name, text) in more {
        structured = structured.string(name, text);
    }
    if let Some(wait) = failed.retry_after {
        // Rounded up: a client that waits so long is not too early.
        let millis = i64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX);
        structured = structured.integer("retry_after_ms", millis);
    }
    let text = format!("{}: {}", failed.code, failed.message);
    let raw = ObjectWriter::default()
        .array("content", &[text_block(&text)])
        .raw("structuredContent", &structured.finish())
        .boolean("isError", true)
        .finish();
    ToolOutput::from_raw(raw).unwrap_or_else(|_| ToolOutput::error("the result cannot be written"))
}

/// What a limit of the gateway refused, told as what the gateway refuses otherwise (C-6, C-14).
pub(crate) fn of_limit(error: &GatewayError) -> Option<ToolOutput> {
    let GatewayError::Limited { limit_name, .. } = error else {
        return None;
    };
    let mut failed = Failed::new(RefusalCode::RateLimited.as_str(), error.public_message());
    failed.retry_after = error.retry_after();
    Some(of_failure_with(&failed, &[("limit", limit_name)]))
}

fn text_block(text: &str) -> RawJson {
    ObjectWriter::with_capacity(text.len() + 32)
        .string("type", "text")
        .string("text", text)
        .finish()
}

/// `type/subtype` of the body in lower case.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let kind = value.split(';').next().unwrap_or_default().trim();
    (!kind.is_empty()).then(|| kind.to_ascii_lowercase())
}

/// Headers as an object of strings; several values of one name are joined, as they may be (RFC 9110 §5.3).
fn headers_of(headers: &HeaderMap) -> RawJson {
    let mut writer = ObjectWriter::default();
    for name in headers.keys() {
        let values = headers.get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        writer = writer.string(name.as_str(), &values.join(", "));
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_selection_waits_for_its_turn_as_long_as_the_call_may_take() {
        static FULL: Semaphore = Semaphore::const_new(0);
        static FREE: Semaphore = Semaphore::const_new(1);
        let ask = |room, left| {
            let selection = Selection::parse("[0]").unwrap();
            selected(selection, Bytes::from_static(b"[7]"), 10, left, room)
        };
        let late = ask(&FULL, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(late.code, "upstream_timeout");
        for _ in 0..2 {
            let found = ask(&FREE, Duration::MAX).await.unwrap();
            assert_eq!(found.as_str(), "7");
        }
    }
}
