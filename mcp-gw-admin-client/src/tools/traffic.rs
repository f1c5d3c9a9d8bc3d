//! Test requests through a gateway, without the credentials of its admin API.

mod fill;
mod request;

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::Request;
use mcp_gw_core::{RawJson, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use crate::http::Transport;
use crate::tools::advice;
use crate::tools::answer::Failure;
use crate::tools::api7::Secrets;
use crate::tools::desk::{Desk, aside};
use crate::tools::spoken::Spoken;
use crate::tools::view::Cut;
use fill::{Show, fill};
use request::prepare;

/// No body is shown shorter than that, however many there are.
const LEAST: usize = 256;

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
    /// The longest answer, in bytes: all bodies together, and as much for headers.
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
    /// How many more answers were like this one but for headers and time; only when there is no room for all.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(default)]
    more_like_it: usize,
    /// Why there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

impl Returned {
    /// Nothing yet of the request with this number.
    const fn of(request: usize) -> Self {
        Self {
            request,
            status: None,
            data: None,
            headers: BTreeMap::new(),
            headers_left_out: 0,
            duration_ms: 0,
            cut: None,
            remarks: Vec::new(),
            more_like_it: 0,
            error: None,
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        let kind = |returned: &Self| returned.error.as_ref().map(|error| error.kind.clone());
        (self.request, self.status) == (other.request, other.status)
            && self.data == other.data
            && kind(self) == kind(other)
    }
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
    /// One for each request that was sent, in their order, as far as there is room.
    results: Vec<Returned>,
    /// All of them counted.
    summary: Summary,
    /// What else there is to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    remarks: Vec<String>,
}

impl Spoken for Output {
    fn each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        for result in &mut self.results {
            result.remarks.iter_mut().for_each(&mut *change);
            result.error.each_text(change);
        }
        self.remarks.iter_mut().for_each(change);
    }
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
    let budget = wanted.unwrap_or(shared.answer_bytes);
    let show = Show {
        budget: (budget / args.requests.len().max(1)).max(LEAST),
        secrets: args.show_secrets == Some(true) && shared.secrets == Secrets::OnRequest,
        setting: shared.words.gateway,
    };
    let all = jobs.len();
    let results: Vec<Returned> = stream::iter(jobs)
        .map(|(at, request)| send(gateway, at, request, show))
        .buffered(shared.gateway_concurrency.max(1))
        .filter_map(std::future::ready)
        .collect()
        .await;
    let mut summary = count(&results);
    summary.not_sent = all - results.len();
    let (results, left_out) = fitting(results, budget.saturating_mul(2));
    let mut remarks = Vec::new();
    if summary.not_sent > 0 {
        remarks.push(format!(
            "{} of the {all} requests were not sent: the time that a call may take is over. Those that were are all told \
             of here; send the others in another call.",
            summary.not_sent
        ));
    }
    if let Some(left_out) = left_out {
        remarks.push(left_out);
    }
    Ok(Output {
        results,
        summary,
        remarks,
    })
}

/// The first results that fit, with those like them counted, and what is said of the others.
fn fitting(results: Vec<Returned>, budget: usize) -> (Vec<Returned>, Option<String>) {
    let length = |returned: &Returned| RawJson::from_serialize(returned).map_or(0, |raw| raw.len());
    if results.iter().map(length).sum::<usize>() <= budget {
        return (results, None);
    }
    let mut kept: Vec<Returned> = Vec::new();
    let mut left_out: BTreeMap<String, usize> = BTreeMap::new();
    let mut room = budget;
    for returned in results {
        if let Some(known) = kept.iter_mut().find(|known| known.is_like(&returned)) {
            known.more_like_it += 1;
            continue;
        }
        let length = length(&returned);
        if length <= room || kept.is_empty() {
            room = room.saturating_sub(length);
            kept.push(returned);
            continue;
        }
        let status = returned.status.map(|status| status.to_string());
        *left_out
            .entry(status.unwrap_or_else(|| "no answer".to_owned()))
            .or_default() += 1;
    }
    if left_out.is_empty() {
        return (kept, None);
    }
    let all: Vec<String> = left_out
        .iter()
        .map(|(status, times)| format!("{times} with {status}"))
        .collect();
    let says = format!(
        "There is no room for all answers: {} are not shown, and counted in the summary. A greater max_bytes or fewer \
         requests show them.",
        all.join(", ")
    );
    (kept, Some(says))
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

/// `None` when there was no time left to send it.
async fn send(
    gateway: &Transport,
    at: usize,
    request: Request<Bytes>,
    show: Show,
) -> Option<Returned> {
    if !gateway.has_time(request.method()) {
        return None;
    }
    let begin = Instant::now();
    let result = gateway.exchange(request).await;
    let mut returned = Returned::of(at);
    returned.duration_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    match result {
        Ok(reading) => {
            let length = reading.body.len();
            let filled = aside(length, move || {
                fill(&mut returned, &reading, show);
                returned
            });
            return filled.await.ok();
        }
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
