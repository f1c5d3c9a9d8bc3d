//! Test requests through a gateway, without the credentials of its admin API.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request};
use mcp_gw_core::{RawJson, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::http::{Reading, Transport, encode};
use crate::tools::advice;
use crate::tools::answer::Failure;
use crate::tools::api7::{Access, Secrets};
use crate::tools::desk::Desk;
use crate::tools::redact::{Place, REDACTED, clean, is_secret_header};
use crate::tools::view::{Cut, View};

/// No body is shown shorter than that, however many there are.
const LEAST: usize = 256;

/// Headers that belong to one connection, or would make two readers see two requests.
const REFUSED: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers and parameters by which many frameworks let a request say that it is another one than it looks like.
const OVERRIDES: [&str; 4] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "-method",
];

/// Whether a header or a parameter of this name may make a write of a read.
fn is_override(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    OVERRIDES.contains(&&*name)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(inline)]
struct Entry {
    /// The path and query, beginning with a slash: /get?x=1. What is not allowed in a URL must be percent-encoded.
    path: String,
    /// The HTTP method.
    method: String,
    /// The body: JSON, unless headers name another Content-Type. A text goes as it is with text/plain, an object as a
    /// form with application/x-www-form-urlencoded.
    data: Option<Body>,
    /// Headers. Host chooses the host of a route. The credentials of the admin API are never sent.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// How often it is sent.
    #[schemars(range(min = 1))]
    repeat_count: Option<u32>,
}

/// Any JSON.
#[derive(Deserialize)]
#[serde(transparent)]
struct Body(RawJson);

impl JsonSchema for Body {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Body".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::Schema::default()
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Args {
    /// The requests; they are sent side by side.
    requests: Vec<Entry>,
    /// Show cookies, keys, passwords and tokens in answers instead of "[redacted]".
    show_secrets: Option<bool>,
    /// The longest answer, all bodies together, in bytes.
    #[schemars(range(min = 256, max = 1_048_576))]
    max_bytes: Option<u32>,
}

/// What came back to one request.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Returned {
    /// Which of the requests it answers, from 0.
    request: usize,
    /// The HTTP status; missing when there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// The body: JSON as it is, anything else as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Value>")]
    data: Option<RawJson>,
    /// The headers.
    headers: BTreeMap<String, String>,
    /// How many headers are not shown, as they are too many or too long.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(default)]
    headers_left_out: usize,
    /// From sending to the end of the answer, in milliseconds.
    duration_ms: u64,
    /// What of the body was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<Cut>,
    /// What else there is to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    remarks: Vec<String>,
    /// Why there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

/// All of them counted.
#[derive(Default, Serialize, JsonSchema)]
struct Summary {
    /// How many were sent.
    total: usize,
    /// How many were answered with 2xx.
    successful: usize,
    /// How many were answered with 4xx or 5xx, or not at all.
    failed: usize,
    /// How many of these were not answered.
    unanswered: usize,
    /// How many were not sent, as the time of the call was over: those at the end.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(default)]
    not_sent: usize,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Output {
    /// One for each request that was sent, in their order.
    results: Vec<Returned>,
    /// All of them counted.
    summary: Summary,
    /// What else there is to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    remarks: Vec<String>,
}

/// Sends them all and tells what came back.
///
/// # Errors
/// When one cannot be sent: then none is.
pub(crate) async fn send_all(shared: &Desk, args: Args) -> Result<Output, ToolError> {
    let gateway = shared.gateway.as_ref().ok_or_else(|| {
        ToolError::failed(format!(
            "Nothing was sent: this server knows no gateway. The user has to set {}, like \
             http://gateway.example.com:9080, and start it again.",
            shared.words.gateway
        ))
    })?;
    let mut jobs = Vec::new();
    for (at, entry) in args.requests.iter().enumerate() {
        let request = prepare(shared, gateway, entry).map_err(|reason| {
            ToolError::invalid_arguments(format!("at /requests/{at}: {reason}. Nothing was sent"))
        })?;
        let times = entry.repeat_count.unwrap_or(1).max(1) as usize;
        let most = shared.max_gateway_requests;
        if times > most.saturating_sub(jobs.len()) {
            return Err(ToolError::invalid_arguments(format!(
                "more than {most} requests in one call. Nothing was sent; make it several calls"
            )));
        }
        jobs.extend(std::iter::repeat_n((at, request), times));
    }
    let wanted = args.max_bytes.and_then(|bytes| usize::try_from(bytes).ok());
    let budget = wanted.unwrap_or(shared.answer_bytes) / jobs.len().max(1);
    let show = Show {
        budget: budget.max(LEAST),
        secrets: args.show_secrets == Some(true) && shared.secrets == Secrets::OnRequest,
        setting: shared.words.gateway,
    };
    let show = &show;
    let all = jobs.len();
    let results: Vec<Returned> = stream::iter(jobs)
        .map(|(at, request)| send(gateway, at, request, show))
        .buffered(shared.gateway_concurrency.max(1))
        .filter_map(std::future::ready)
        .collect()
        .await;
    let mut summary = count(&results);
    summary.not_sent = all - results.len();
    let remarks = (summary.not_sent > 0).then(|| {
        format!(
            "{} of the {all} requests were not sent: the time that a call may take is over. Those that were are all told \
             of here; send the others in another call.",
            summary.not_sent
        )
    });
    Ok(Output {
        results,
        summary,
        remarks: remarks.into_iter().collect(),
    })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

fn count(results: &[Returned]) -> Summary {
    let mut summary = Summary {
        total: results.len(),
        ..Summary::default()
    };
    for result in results {
        match result.status {
            Some(200..=299) => summary.successful += 1,
            Some(400..) => summary.failed += 1,
            Some(_) => {}
            None => {
                summary.failed += 1;
                summary.unanswered += 1;
            }
        }
    }
    summary
}

struct Show {
    budget: usize,
    secrets: bool,
    /// Where the gateway's address is set.
    setting: &'static str,
}

/// `None` when there was no time left to send it.
async fn send(
    gateway: &Transport,
    at: usize,
    request: Request<Bytes>,
    show: &Show,
) -> Option<Returned> {
    if !gateway.has_time(request.method()) {
        return None;
    }
    let begin = Instant::now();
    let result = gateway.exchange(request).await;
    let mut returned = Returned {
        request: at,
        status: None,
        data: None,
        headers: BTreeMap::new(),
        headers_left_out: 0,
        duration_ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
        cut: None,
        remarks: Vec::new(),
        error: None,
    };
    match result {
        Ok(reading) => fill(&mut returned, &reading, show),
        Err(error) => {
            let mut failure = advice::failure(&error);
            let help = advice::distrust(&error).unwrap_or_default();
            failure.message = format!(
                "{error}.{help} If that is not what you expect, the user has to check {} and the gateway.",
                show.setting
            );
            returned.error = Some(failure);
        }
    }
    Some(returned)
}

fn fill(returned: &mut Returned, reading: &Reading, show: &Show) {
    returned.status = Some(reading.status.as_u16());
    // They may be as long as the body.
    let mut room = show.budget.max(4 * LEAST);
    for (name, value) in &reading.headers {
        let length = name.as_str().len() + value.len() + 6;
        if length > room {
            returned.headers_left_out += 1;
            continue;
        }
        room -= length;
        let mut text = String::from_utf8_lossy(value.as_bytes());
        if !show.secrets && is_secret_header(name.as_str(), &text) {
            text = REDACTED.into();
        }
        let known = returned.headers.entry(name.to_string()).or_default();
        if !known.is_empty() {
            known.push_str(", ");
        }
        known.push_str(&text);
    }
    if reading.body.is_empty() {
        return;
    }
    let (data, more) = read_body(reading);
    let clean = clean(&data, &Place::default(), show.secrets);
    returned.remarks = clean.remarks;
    let data = clean.raw;
    let length = data.len();
    // A view that asks for nothing cannot ask for what is not there.
    if let Ok(shown) = View::default().show(&data, show.budget) {
        returned.data = Some(shown.body);
        let is_cut = shown.cut.is_some() || more.is_some();
        returned.cut = is_cut.then(|| Cut {
            bytes: length,
            of: None,
            next: more
                .unwrap_or_else(|| "max_bytes: a greater number, or fewer requests".to_owned()),
        });
    }
}

/// The body as JSON, and what has to be said about it.
fn read_body(reading: &Reading) -> (RawJson, Option<String>) {
    let body = &reading.body;
    let more = reading
        .is_cut
        .then(|| format!("nothing: only the first {} bytes were read", body.len()));
    if let Ok(json) = RawJson::parse(body.clone()) {
        return (json, more);
    }
    let text = String::from_utf8_lossy(body);
    let is_text = !body.contains(&0) && (reading.is_cut || std::str::from_utf8(body).is_ok());
    if is_text {
        (RawJson::string(&text), more)
    } else {
        let note = format!(
            "nothing: {} bytes that are not text are not shown",
            body.len()
        );
        (RawJson::null(), Some(note))
    }
}

/// The request, or why there is none.
fn prepare(shared: &Desk, gateway: &Transport, entry: &Entry) -> Result<Request<Bytes>, String> {
    let method = Method::from_bytes(entry.method.to_ascii_uppercase().as_bytes())
        .ok()
        .filter(|method| !matches!(*method, Method::CONNECT | Method::TRACE))
        .ok_or("`method` is not one that can be sent")?;
    if !method.is_safe() && shared.access != Access::ReadWrite {
        return Err(format!(
            "`method` {method} may change something. This server changes nothing until the user starts it with \
             --allow-write"
        ));
    }
    check_path(&entry.path)?;
    if shared.access != Access::ReadWrite {
        refuse_override(entry)?;
    }
    let mut request = Request::builder().method(method).uri(&entry.path);
    let mut content_type = None;
    for (name, value) in &entry.headers {
        let (header, value) = check_header(shared, name, value)?;
        if header == CONTENT_TYPE {
            content_type = Some(value.clone());
        }
        request = request.header(header, value);
    }
    let data = entry.data.as_ref().filter(|data| !data.0.is_null());
    let body = match data {
        None => Bytes::new(),
        Some(data) => {
            if content_type.is_none() {
                request = request.header(CONTENT_TYPE, "application/json");
            }
            write_body(&data.0, content_type.as_ref())?
        }
    };
    let secret = shared.words.secret;
    if shared.scrub(&String::from_utf8_lossy(&body)).as_bytes() != &*body && body.is_ascii() {
        return Err(format!("`data` holds the {secret}"));
    }
    if shared.scrub(&entry.path) != entry.path {
        return Err(format!("`path` holds the {secret}"));
    }
    let request = request
        .body(body)
        .map_err(|_| "`path` is not one that can be sent")?;
    if gateway.base().join(request.uri()).is_none() {
        return Err("`path` leads up (`..`) or elsewhere".to_owned());
    }
    Ok(request)
}

/// Refuses what would be a write behind the gateway.
fn refuse_override(entry: &Entry) -> Result<(), String> {
    let says = |what: &str, name: &str| {
        format!(
            "the {what} {name:?} makes another request of it, which may change something. This server changes nothing \
             until the user starts it with --allow-write"
        )
    };
    if let Some(name) = entry.headers.keys().find(|name| is_override(name)) {
        return Err(says("header", &crate::http::one_line(name, 64)));
    }
    let query = entry.path.split_once('?').map_or("", |(_, query)| query);
    // Some separate parameters by `;`.
    for part in query.split(['&', ';']) {
        let mut pairs = url::form_urlencoded::parse(part.as_bytes());
        if let Some((name, _)) = pairs.find(|(name, _)| is_override(name)) {
            return Err(says("parameter", &crate::http::one_line(&name, 64)));
        }
    }
    Ok(())
}

/// Judges the path before any parser sees it: what two readers may read differently is refused, not repaired.
fn check_path(path: &str) -> Result<(), String> {
    let mut bytes = path.bytes();
    if bytes.next() != Some(b'/') || matches!(bytes.next(), Some(b'/' | b'\\')) {
        return Err("`path` must begin with exactly one slash".to_owned());
    }
    if path.len() > 8 * 1024 {
        return Err("`path` is longer than 8 KiB".to_owned());
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/?%[]".contains(c);
    if let Some(c) = path.chars().find(|&c| !is_allowed(c)) {
        return Err(format!("`path` holds {c:?}, which must be percent-encoded"));
    }
    let mut rest = path;
    while let Some((_, tail)) = rest.split_once('%') {
        let is_escape = tail.len() >= 2 && tail.bytes().take(2).all(|b| b.is_ascii_hexdigit());
        if !is_escape {
            return Err(
                "`path` holds a % that is not followed by two hexadecimal digits".to_owned(),
            );
        }
        rest = tail;
    }
    Ok(())
}

fn check_header(
    shared: &Desk,
    name: &str,
    value: &str,
) -> Result<(HeaderName, HeaderValue), String> {
    let shown: String = name.chars().take(64).collect();
    let header = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("{shown:?} is not the name of a header"))?;
    if REFUSED.contains(&header.as_str()) {
        return Err(format!("the header {header} cannot be set"));
    }
    if shared.scrub(value) != value {
        return Err(format!(
            "the header {header} holds the {}",
            shared.words.secret
        ));
    }
    let value = HeaderValue::from_str(value)
        .map_err(|_| format!("the header {header} holds a character that no header may have"))?;
    Ok((header, value))
}

fn write_body(data: &RawJson, content_type: Option<&HeaderValue>) -> Result<Bytes, String> {
    let kind = content_type
        .and_then(|value| value.to_str().ok())
        .map(|value| {
            value
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        });
    let is_json = kind
        .as_deref()
        .is_none_or(|kind| kind == "application/json" || kind.ends_with("+json"));
    if is_json {
        return Ok(data.to_bytes());
    }
    if kind.as_deref() == Some("application/x-www-form-urlencoded")
        && let Ok(form) = data.decode_owned::<Map<String, Value>>()
    {
        return write_form(&form);
    }
    match data.decode_owned::<String>() {
        Ok(text) => Ok(text.into()),
        Err(_) => Ok(data.to_bytes()),
    }
}

fn write_form(form: &Map<String, Value>) -> Result<Bytes, String> {
    let mut out = String::new();
    for (name, value) in form {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Null => continue,
            _ => {
                return Err(format!(
                    "`data`: {name:?} is not a plain value, as a form needs"
                ));
            }
        };
        if !out.is_empty() {
            out.push('&');
        }
        encode(&mut out, name);
        out.push('=');
        encode(&mut out, &text);
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::BaseUrl;

    #[test]
    fn a_path_that_two_readers_read_differently_is_refused() {
        for path in [
            "",
            "x",
            "@evil:80/x",
            "//evil/x",
            "/\\evil",
            "/a b",
            "/a#b",
            "/%zz",
            "/%4",
            "/%",
            "/ü",
            "/a\n",
            "/\"",
            "/{x}",
            "/a\\b",
        ] {
            assert!(check_path(path).is_err(), "{path}");
        }
        for path in ["/", "/a/b?x=1&y[]=2", "/@x:1/y;z", "/%2F?%20"] {
            assert!(check_path(path).is_ok(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_gateway(path in "/?(@|//|\\.\\.|%2e|[a-z/?.:@%#\\\\]|.){0,12}") {
            let base: BaseUrl = "http://gateway.example:9080/base".parse().unwrap();
            if check_path(&path).is_err() {
                return Ok(());
            }
            let Ok(uri) = path.parse::<http::Uri>() else { return Ok(()) };
            if let Some(url) = base.join(&uri) {
                prop_assert_eq!(url.origin().ascii_serialization(), "http://gateway.example:9080");
                prop_assert!(url.path().starts_with("/base/"));
                prop_assert_eq!(url.username(), "");
            }
        }
    }
}
