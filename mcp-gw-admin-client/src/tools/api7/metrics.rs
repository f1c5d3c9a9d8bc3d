//! `get_prometheus_metrics`: what the gateways measured, as the dashboard's Prometheus has it.

mod promql;
mod report;
mod series;
mod span;
mod text;

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::Request;
use mcp_gw_core::{RawJson, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::{Error, ErrorKind, RequestError, Target};
use crate::tools::advice;
use crate::tools::answer::Failure;
use crate::tools::api7::shared::{Api7, unbuilt};
use crate::tools::desk::aside;
use crate::tools::operation::{Effect, Operation};
use crate::tools::spoken::Spoken;
use promql::{Label, Metric, Parts};
use series::{Answered, Stats, Unread};
pub(crate) use series::{Point, Series, rounded};
use span::{Span, Wanted, time_text};

/// Where the dashboard lets Prometheus answer.
const PROMETHEUS: &str = "/api/control_plane/prometheus/api/v1";

/// As many as there are metrics.
const TOGETHER: usize = 7;

/// Points of one series in an answer, when a call does not say.
const POINTS: u32 = 60;

/// Series of one metric in an answer, when a call does not say.
const SERIES: u32 = 20;

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(Metric),
    More(Vec<Metric>),
}

impl JsonSchema for OneOrMore {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Metrics".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = Metric::json_schema(generator);
        schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1, "maxItems": 32 }] })
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Args {
    /// What was measured: api-status-dist (requests by status), api-failure-requests (requests with 4xx or 5xx),
    /// api-requests (all requests), api-bandwidth, api-latency (average), api-connections, api-qps (requests a second
    /// by status). One, or several.
    r#type: OneOrMore,
    /// Where it begins: RFC 3339 with its zone (2026-04-10T02:34:00Z), seconds since 1970, or now-6h.
    #[schemars(length(max = 64))]
    start: Option<String>,
    /// Where it ends; now when it is missing. Written like `start`.
    #[schemars(length(max = 64))]
    end: Option<String>,
    /// The time between two points: 15s, 5m. Chosen to fit when it is missing; Prometheus answers with at most 11000
    /// points.
    #[schemars(length(max = 64))]
    step: Option<String>,
    /// How long it lasts up to `end`, when there is no `start`: 15m (the default), 6h, 7d.
    #[schemars(length(max = 64))]
    raw_time: Option<String>,
    /// Only this route.
    #[schemars(length(max = 256))]
    route_id: Option<String>,
    /// Only this service.
    #[schemars(length(max = 256))]
    service_id: Option<String>,
    /// Only this gateway instance.
    #[schemars(length(max = 256))]
    instance_id: Option<String>,
    /// Only this gateway group.
    #[schemars(length(max = 256))]
    gateway_group_id: Option<String>,
    /// What series are told apart by; none of them for one series of all. `gateway_group_id` when it is missing.
    #[schemars(length(max = 16))]
    group_by: Option<Vec<Label>>,
    /// The most points of one series; 60 when it is missing. Of more, the least and the greatest of each part are kept.
    #[schemars(range(min = 2, max = 1000))]
    max_points: Option<u32>,
    /// The most series of one type; 20 when it is missing. The greatest come first.
    #[schemars(range(min = 1, max = 1000))]
    max_series: Option<u32>,
    /// Leave out so many series at the beginning: to read on where the last answer was cut.
    skip_series: Option<u32>,
}

/// What was asked about, after defaults.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Window {
    /// Where it begins, in UTC.
    start: String,
    /// Where it ends, in UTC.
    end: String,
    /// The time between two points.
    step: String,
    /// The label conditions; all of them hold.
    filters: BTreeMap<&'static str, String>,
}

/// A series: points with the same labels.
#[derive(Serialize, JsonSchema)]
struct Row {
    /// What tells it apart.
    labels: BTreeMap<String, String>,
    /// What all points come to.
    #[serde(flatten)]
    stats: Stats,
    /// Its part of all requests of the same group, in percent (api-status-dist).
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<f64>,
    /// [seconds since 1970, value]; "NaN", "+Inf" and "-Inf" are no numbers.
    values: Vec<Point>,
    /// True when these are not all points: of each part of the time the least and the greatest are kept.
    downsampled: bool,
    #[serde(skip)]
    course: String,
}

/// What came of one type.
#[derive(Serialize, JsonSchema)]
struct OneResult {
    /// The type.
    r#type: &'static str,
    /// Whether it was answered.
    ok: bool,
    /// What is counted.
    unit: &'static str,
    /// The query.
    query: String,
    /// The series, the greatest first.
    series: Vec<Row>,
    /// How many series there are.
    total_series: usize,
    /// What to call again with for the next series.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// What else there is to know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<String>,
    /// Why it was not answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Output {
    /// What was asked about.
    window: Window,
    /// One for each type, in their order.
    results: Vec<OneResult>,
}

impl Spoken for Output {
    fn each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        for result in &mut self.results {
            result.remarks.iter_mut().for_each(&mut *change);
            result.error.each_text(change);
        }
    }
}

pub(crate) struct GetMetrics;

impl Operation<Api7> for GetMetrics {
    const NAME: &'static str = "get_prometheus_metrics";
    const TITLE: &'static str = "Read metrics";
    const DESCRIPTION: &'static str = "Reads what API7 gateways measured: requests, failures, statuses, latency, bandwidth, \
        connections. Give route_id, service_id, instance_id or gateway_group_id to look at a part (all given must hold), \
        group_by to compare parts, start and end (or raw_time) for the time. Answers with the series, shortened to \
        max_points, and a table of them.";
    const EFFECT: Effect = Effect::Reads;
    type Args = Args;
    type Output = Output;

    async fn run(shared: &Api7, args: Args) -> Result<Output, ToolError> {
        let wanted = Wanted {
            start: given(args.start.as_ref()),
            end: given(args.end.as_ref()),
            step: given(args.step.as_ref()),
            raw_time: given(args.raw_time.as_ref()),
        };
        let span = Span::of(&wanted, shared.clock.wall()).map_err(ToolError::invalid_arguments)?;
        let asks = asks(&args, &span)?;
        let show = Show {
            points: args.max_points.unwrap_or(POINTS) as usize,
            series: args.max_series.unwrap_or(SERIES) as usize,
            skip: args.skip_series.unwrap_or(0) as usize,
            budget: shared.answer_bytes / asks.len().max(1),
            bounds: (seconds(span.start), seconds(span.end)),
        };
        let show = &show;
        let results: Vec<OneResult> = stream::iter(asks)
            .map(|ask| one(shared, ask, show))
            .buffered(TOGETHER)
            .collect()
            .await;
        if results.iter().all(|result| !result.ok) {
            let all: Vec<String> = results
                .iter()
                .filter_map(|result| {
                    Some(format!(
                        "{}: {}",
                        result.r#type,
                        result.error.as_ref()?.message
                    ))
                })
                .collect();
            return Err(ToolError::failed(all.join("\n")));
        }
        let filters = filters(&args);
        Ok(Output {
            window: Window {
                start: time_text(span.start),
                end: time_text(span.end),
                step: span.step_text.clone(),
                filters: filters
                    .iter()
                    .map(|(label, value)| (label.as_str(), (*value).to_owned()))
                    .collect(),
            },
            results,
        })
    }

    fn text(output: &Output) -> Option<String> {
        Some(report::written(output))
    }
}

/// What is there and not empty.
fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of our time are exact"
)]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

/// In the order of the original.
fn filters(args: &Args) -> Vec<(Label, &str)> {
    [
        (Label::Service, given(args.service_id.as_ref())),
        (Label::Route, given(args.route_id.as_ref())),
        (Label::Instance, given(args.instance_id.as_ref())),
        (Label::GatewayGroup, given(args.gateway_group_id.as_ref())),
    ]
    .into_iter()
    .filter_map(|(label, value)| Some((label, value?)))
    .collect()
}

/// A query, and what is said about it.
struct Ask {
    metric: Metric,
    query: String,
    request: Request<Bytes>,
    remarks: Vec<String>,
}

fn asks(args: &Args, span: &Span) -> Result<Vec<Ask>, ToolError> {
    let mut metrics: Vec<Metric> = Vec::new();
    let named = match &args.r#type {
        OneOrMore::One(metric) => std::slice::from_ref(metric),
        OneOrMore::More(metrics) => metrics,
    };
    for metric in named {
        if !metrics.contains(metric) {
            metrics.push(*metric);
        }
    }
    let filters = filters(args);
    let default = [Label::GatewayGroup];
    let group_by = args.group_by.as_deref().unwrap_or(&default);
    let parts = Parts {
        filters: &filters,
        group_by,
        range: &span.range,
        window: &span.window,
    };
    let mut asks = Vec::new();
    for metric in metrics {
        let query = promql::query(metric, &parts);
        let request = request(metric, &query, span).map_err(unbuilt)?;
        let mut remarks = Vec::new();
        let named = filters.iter().map(|(label, _)| label).chain(group_by);
        let mut unknown: Vec<&str> = named
            .filter(|label| !metric.knows(**label))
            .map(|label| label.as_str())
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            remarks.push(format!(
                "Connections are not measured by {}: these numbers are of all.",
                unknown.join(" and ")
            ));
        }
        if span.is_named && args.raw_time.is_some() && args.start.is_some() {
            remarks.push("`raw_time` is not used: `start` is given.".to_owned());
        }
        asks.push(Ask {
            metric,
            query,
            request,
            remarks,
        });
    }
    Ok(asks)
}

fn request(metric: Metric, query: &str, span: &Span) -> Result<Request<Bytes>, RequestError> {
    let target = Target::at(PROMETHEUS);
    if metric.is_instant() {
        let target = target.then("/query").query("query", query)?;
        let at = span.is_named.then(|| time_text(span.end));
        return target.query_if("time", at.as_deref())?.get();
    }
    target
        .then("/query_range")
        .query("query", query)?
        .query("start", &time_text(span.start))?
        .query("end", &time_text(span.end))?
        .query("step", &span.step_text)?
        .get()
}

/// The series in an answer of Prometheus.
///
/// # Errors
/// What to do about an answer that holds none.
pub(crate) fn read_series(body: &RawJson) -> Result<Vec<Series>, String> {
    let answered = series::read(body).map_err(|unread| unreadable(unread).message)?;
    Ok(answered.series)
}

/// How much of the answers is shown.
struct Show {
    points: usize,
    series: usize,
    skip: usize,
    budget: usize,
    bounds: (f64, f64),
}

async fn one(shared: &Api7, ask: Ask, show: &Show) -> OneResult {
    let mut result = OneResult {
        r#type: ask.metric.name(),
        ok: false,
        unit: ask.metric.unit(),
        query: ask.query,
        series: Vec::new(),
        total_series: 0,
        next: None,
        remarks: ask.remarks,
        error: None,
    };
    match shared.client.raw(ask.request).await {
        Err(error) => result.error = Some(failure(&error)),
        Ok(answer) => {
            let body = answer.body.unwrap_or_else(RawJson::null);
            let read = aside(body.len(), move || series::read(&body)).await;
            let broken = |_| Err(Unread::Odd("it could not be read".to_owned()));
            match read.unwrap_or_else(broken) {
                Ok(answered) => fill(&mut result, ask.metric, answered, show),
                Err(unread) => result.error = Some(unreadable(unread)),
            }
        }
    }
    result
}

fn failure(error: &Error) -> Failure {
    let mut failure = advice::failure(error);
    match error.kind {
        ErrorKind::Invalid => {
            failure.message = format!(
                "Prometheus refuses the query: {}. Try a shorter time, a longer step or fewer labels in group_by.",
                advice::says(error)
            );
        }
        ErrorKind::TooLarge => {
            failure.message = format!(
                "{}. Ask for a longer step, a shorter time, or fewer labels in group_by.",
                advice::says(error)
            );
        }
        _ => {}
    }
    failure
}

fn unreadable(unread: Unread) -> Failure {
    match unread {
        Unread::Refused(says) => Failure {
            kind: "invalid".to_owned(),
            status: None,
            message: format!(
                "Prometheus refuses the query: {}. Try a shorter time, a longer step or fewer labels in group_by.",
                crate::http::one_line(&says, 1024)
            ),
        },
        Unread::Odd(says) => Failure {
            kind: "not_prometheus".to_owned(),
            status: None,
            message: format!(
                "The answer is not one of Prometheus: {}. The user has to check that monitoring is set up in the \
                 dashboard and that DASHBOARD_URL is its address.",
                crate::http::one_line(&says, 256)
            ),
        },
    }
}

fn fill(result: &mut OneResult, metric: Metric, answered: Answered, show: &Show) {
    result.ok = true;
    for warning in answered.warnings.iter().take(8) {
        let warning = crate::http::one_line(warning, 256);
        result.remarks.push(format!("Prometheus warns: {warning}"));
    }
    let mut all = answered.series;
    let is_idle = |series: &Series| {
        let mut points = series.points.iter().map(|point| point.1);
        points.all(|value| value.is_nan() || value == 0.0)
    };
    // Where there are only zeros, they are what was measured.
    if metric == Metric::Qps && !all.iter().all(is_idle) {
        let before = all.len();
        all.retain(|series| !is_idle(series));
        if all.len() < before {
            let left_out = before - all.len();
            result.remarks.push(format!(
                "{left_out} series that are 0 all the time are left out."
            ));
        }
    }
    series::sort(&mut all);
    let percents = (metric == Metric::StatusDist).then(|| percents(&all));
    result.total_series = all.len();
    let mut room = show.budget;
    for (at, series) in all.iter().enumerate().skip(show.skip).take(show.series) {
        let percent = percents.as_ref().and_then(|all| all.get(at)).copied();
        let row = row(series, percent.flatten(), show);
        let length = RawJson::from_serialize(&row).map_or(0, |raw| raw.len());
        if length > room && !result.series.is_empty() {
            break;
        }
        room = room.saturating_sub(length);
        result.series.push(row);
    }
    let end = show.skip + result.series.len();
    if end < all.len() {
        result.next = Some(format!("skip_series: {end}"));
    }
}

fn row(series: &Series, percent: Option<f64>, show: &Show) -> Row {
    let values = series::downsample(&series.points, show.points);
    Row {
        labels: series.labels.clone(),
        stats: Stats::of(&series.points),
        percent,
        downsampled: values.len() < series.points.len(),
        course: text::sparkline(&series.points, show.bounds.0, show.bounds.1),
        values,
    }
}

/// The part of each series in those that differ from it by status only.
fn percents(all: &[Series]) -> Vec<Option<f64>> {
    let group = |series: &Series| {
        let mut labels = series.labels.clone();
        labels.remove("code");
        labels
    };
    let value = |series: &Series| {
        let last = series.points.last().map(|point| point.1);
        last.filter(|value| value.is_finite())
    };
    let mut sums: BTreeMap<BTreeMap<String, String>, f64> = BTreeMap::new();
    for series in all {
        *sums.entry(group(series)).or_default() += value(series).unwrap_or(0.0);
    }
    all.iter()
        .map(|series| {
            let sum = sums.get(&group(series)).copied().unwrap_or(0.0);
            value(series)
                .filter(|_| sum > 0.0)
                .map(|value| (value / sum * 1000.0).round() / 10.0)
        })
        .collect()
}
