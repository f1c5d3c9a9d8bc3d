//! Whole traces, in few words.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::phase::{self, Phase};
use super::tree::{Faults, Span, Trace, milliseconds};
use crate::konnect::ArgumentFault;
use crate::konnect::ids::is_uuid;

/// Which spans are shown. The spans above them are shown too, so that it can be seen where they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanFilter {
    /// Only of this phase.
    pub phase: Option<Phase>,
    /// Only of this plugin, and what is below its spans. In lower case.
    pub plugin_id: Option<String>,
}

impl SpanFilter {
    /// The arguments of `ActiveTracingSession`. Two names are in use for the plugin filter; the second is also taken for
    /// a phase, which its name says.
    ///
    /// # Errors
    /// A phase that there is not, a plugin that is no UUID, two arguments that say different things.
    pub fn of(
        phase: Option<&str>,
        plugin_filter: Option<&str>,
        phase_filter: Option<&str>,
    ) -> Result<Self, ArgumentFault> {
        let mut filter = Self::default();
        if let Some(phase) = phase {
            let message = "is ingress or egress";
            let phase = read_phase(phase).ok_or_else(|| ArgumentFault::new("phase", message))?;
            filter.phase = Some(phase);
        }
        for (argument, given) in [
            ("plugin_filter", plugin_filter),
            ("phase_filter", phase_filter),
        ] {
            let Some(given) = given else {
                continue;
            };
            let fault = |message: &str| Err(ArgumentFault::new(argument, message));
            match read_phase(given).filter(|_| argument == "phase_filter") {
                Some(phase) if filter.phase.is_some_and(|other| other != phase) => {
                    return fault("says another phase than phase does: give one of them");
                }
                Some(phase) => filter.phase = Some(phase),
                None if !is_uuid(given) => return fault("is the UUID of a plugin"),
                None => {
                    let id = given.to_ascii_lowercase();
                    if filter.plugin_id.as_ref().is_some_and(|other| *other != id) {
                        return fault(
                            "says another plugin than plugin_filter does: give one of them",
                        );
                    }
                    filter.plugin_id = Some(id);
                }
            }
        }
        Ok(filter)
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn takes(&self, trace: &Trace, span: &Span) -> bool {
        let is_of_plugin = |wanted: &String| {
            let id = trace.plugin_of(span).and_then(|(_, id)| id);
            id.is_some_and(|id| id.eq_ignore_ascii_case(wanted))
        };
        self.phase.is_none_or(|phase| span.phase == Some(phase))
            && self.plugin_id.as_ref().is_none_or(is_of_plugin)
    }
}

fn read_phase(phase: &str) -> Option<Phase> {
    match phase {
        "ingress" => Some(Phase::Ingress),
        "egress" => Some(Phase::Egress),
        _ => None,
    }
}

/// Traces in few words.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct Compact {
    /// As many as there is room for.
    pub traces: Vec<CompactTrace>,
    /// Traces in which nothing is what the filters ask for.
    pub without_match: usize,
    /// Traces that there is no room for.
    pub left_out: usize,
    /// What was wrong with the traces.
    #[serde(default, skip_serializing_if = "Faults::is_none")]
    pub faults: Faults,
}

/// One trace in few words.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct CompactTrace {
    /// Its id.
    pub trace_id: String,
    /// How long it took.
    pub duration_ms: f64,
    /// What the request was.
    pub request: RequestFacts,
    /// Its spans, each below the nearest one before it with a smaller depth.
    pub spans: Vec<CompactSpan>,
    /// Spans of it that there is no room for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spans_left_out: Option<usize>,
}

/// What a request was. Its sender wrote method and address: they are data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct RequestFacts {
    /// Method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Status of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The gateway's id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Consumer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer_id: Option<String>,
    /// Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_id: Option<String>,
    /// Route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_id: Option<String>,
}

/// One span in few words.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct CompactSpan {
    /// How many spans are above it.
    pub depth: usize,
    /// Name.
    pub name: String,
    /// From the start of the trace.
    pub start_ms: f64,
    /// How long it took.
    pub duration_ms: f64,
    /// Of that, what no span below it took.
    pub self_ms: f64,
    /// The id of its plugin, at the spans of plugins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin_id: Option<String>,
    /// It ended in an error.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_error: bool,
    /// It is here only as something below it was asked for.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_context: bool,
    /// What else is said of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

// serde hands over references.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde wants"
)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Attributes that [`RequestFacts`] and [`CompactSpan`] have members for.
const LIFTED: [&str; 8] = [
    "http.request.method",
    "url.full",
    "http.response.status_code",
    "proxy.kong.request.id",
    "proxy.kong.consumer.id",
    "proxy.kong.router.service_id",
    "proxy.kong.router.route_id",
    "proxy.kong.plugin.id",
];

/// Traces in few words: those spans that a filter takes, `most_spans` in all.
pub fn compact(traces: &[Trace], filter: &SpanFilter, most_spans: usize) -> Compact {
    let mut room = most_spans;
    let mut all = Compact {
        traces: Vec::new(),
        without_match: 0,
        left_out: 0,
        faults: Faults::default(),
    };
    for trace in traces {
        all.faults.add(&trace.faults);
        let shown = shown(trace, filter);
        if shown.is_empty() && !filter.is_empty() {
            all.without_match += 1;
        } else if room == 0 {
            all.left_out += 1;
        } else {
            let one = one(trace, &shown, room);
            room -= one.spans.len().clamp(1, room);
            all.traces.push(one);
        }
    }
    all
}

/// The spans that are shown, in their order, and whether each is only context.
fn shown(trace: &Trace, filter: &SpanFilter) -> Vec<(usize, bool)> {
    let mut marks: Vec<Option<bool>> = vec![None; trace.spans.len()];
    // Children come after their parents: from the end, what is below a span has been looked at.
    for (at, span) in trace.spans.iter().enumerate().rev() {
        let takes = filter.takes(trace, span);
        let Some(mark) = marks.get_mut(at) else {
            continue;
        };
        if takes {
            *mark = Some(false);
        }
        let is_shown = mark.is_some();
        let above = span.parent.and_then(|parent| marks.get_mut(parent));
        if let Some(above @ None) = above.filter(|_| is_shown) {
            *above = Some(true);
        }
    }
    let marked = marks.into_iter().enumerate();
    marked.filter_map(|(at, mark)| Some((at, mark?))).collect()
}

pub(super) fn whole(trace: &Trace, room: usize) -> CompactTrace {
    let all: Vec<(usize, bool)> = (0..trace.spans.len()).map(|at| (at, false)).collect();
    one(trace, &all, room)
}

fn one(trace: &Trace, shown: &[(usize, bool)], room: usize) -> CompactTrace {
    let spans = shown.iter().take(room).filter_map(|(at, is_context)| {
        let span = trace.spans.get(*at)?;
        Some(CompactSpan::of(span, *is_context))
    });
    let left_out = shown.len().saturating_sub(room);
    CompactTrace {
        trace_id: trace.id.clone(),
        duration_ms: trace.duration_ms(),
        request: RequestFacts::of(trace),
        spans: spans.collect(),
        spans_left_out: (left_out > 0).then_some(left_out),
    }
}

impl RequestFacts {
    fn of(trace: &Trace) -> Self {
        let root = |key: &str| trace.root()?.attribute(key).map(str::to_owned);
        let anywhere = |key: &str| {
            let mut values = trace.spans.iter().filter_map(|span| span.attribute(key));
            values.next().map(str::to_owned)
        };
        Self {
            method: root("http.request.method"),
            url: root("url.full"),
            status: root("http.response.status_code"),
            request_id: root("proxy.kong.request.id"),
            consumer_id: root("proxy.kong.consumer.id"),
            service_id: anywhere("proxy.kong.router.service_id"),
            route_id: anywhere("proxy.kong.router.route_id"),
        }
    }
}

impl CompactSpan {
    fn of(span: &Span, is_context: bool) -> Self {
        // Below the root these can mean another request, such as one of a plugin.
        let is_lifted = |key: &str| {
            LIFTED.contains(&key) && (span.depth == 0 || key.starts_with("proxy.kong."))
        };
        let rest = span.attributes.iter().filter(|(key, _)| !is_lifted(key));
        Self {
            depth: span.depth,
            name: span.name.clone(),
            start_ms: milliseconds(span.offset_ns),
            duration_ms: milliseconds(span.duration_ns),
            self_ms: milliseconds(span.self_ns),
            plugin_id: phase::plugin(&span.name)
                .and_then(|_| span.attribute("proxy.kong.plugin.id"))
                .map(str::to_owned),
            is_error: span.is_error,
            is_context,
            attributes: if is_context {
                BTreeMap::new()
            } else {
                rest.cloned().collect()
            },
        }
    }
}
