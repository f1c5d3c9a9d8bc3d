//! What many traces come to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::Serialize;

use super::phase::Place;
use super::split::{Split, places};
use super::tree::{Faults, Span, Trace, milliseconds};
use crate::konnect::Spread;
use crate::konnect::spread::percent;

/// What some traces come to.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct Summary {
    /// How many traces there are.
    pub traces: usize,
    /// How long they took; not there when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<Spread>,
    /// Where the time of a request went, in the mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// Where the most time goes, with the plugin behind it.
    pub bottlenecks: Vec<Bottleneck>,
    /// Plugins, the slowest first.
    pub plugins: Vec<PluginTime>,
    /// Spans by name, those with the most time of their own first.
    pub spans: Vec<SpanTime>,
    /// How many names of spans, plugins and bottlenecks are not listed.
    pub not_listed: usize,
    /// What was wrong with the traces.
    #[serde(default, skip_serializing_if = "Faults::is_none")]
    pub faults: Faults,
}

/// All spans of one name.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct SpanTime {
    /// Name.
    pub name: String,
    /// How many there are.
    pub count: usize,
    /// Of them, how many ended in an error.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub errors: usize,
    /// All of them together.
    pub total_ms: f64,
    /// One of them, in the mean.
    pub mean_ms: f64,
    /// 95 % of them took no longer.
    pub p95_ms: f64,
    /// All of them together without the time of spans below them.
    pub self_ms: f64,
    /// That time as a part of the time of all traces, in per cent.
    pub share_percent: f64,
}

/// All spans of one plugin as it is configured once.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct PluginTime {
    /// The plugin, such as `openid-connect`.
    pub plugin: String,
    /// Its id, for `GetPlugin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin_id: Option<String>,
    /// In how many traces it is.
    pub traces: usize,
    /// All its time together.
    pub total_ms: f64,
    /// Of that, what it waited for others.
    pub waiting_ms: f64,
    /// Its time as a part of the time of all traces, in per cent.
    pub share_percent: f64,
}

/// Where time goes: a plugin with all that it waits for, or a part of the gateway that is no plugin's.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct Bottleneck {
    /// `plugin <name>`, or the name of the span.
    pub what: String,
    /// The plugin behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Its id, for `GetPlugin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin_id: Option<String>,
    /// Time that belongs to it and nothing below it, in all traces.
    pub self_ms: f64,
    /// That time as a part of the time of all traces, in per cent.
    pub share_percent: f64,
    /// In how many traces it is.
    pub traces: usize,
    /// Its spans with the most of that time, three at most.
    pub parts: Vec<BottleneckPart>,
    /// The trace in which it took longest.
    pub worst_trace_id: String,
    /// How long it took there.
    pub worst_ms: f64,
}

/// A part of a [`Bottleneck`].
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct BottleneckPart {
    /// Name of the spans.
    pub span: String,
    /// How many there are.
    pub count: usize,
    /// Their own time, in all traces.
    pub self_ms: f64,
}

/// How much a summary lists.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SummaryBounds {
    /// Names of spans.
    pub spans: usize,
    /// Plugins.
    pub plugins: usize,
    /// Bottlenecks.
    pub bottlenecks: usize,
}

impl Default for SummaryBounds {
    fn default() -> Self {
        Self {
            spans: 20,
            plugins: 20,
            bottlenecks: 10,
        }
    }
}

// serde hands over references.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde wants"
)]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Sums traces up.
pub fn summarize(traces: &[Trace], bounds: SummaryBounds) -> Summary {
    let whole: u64 = traces
        .iter()
        .fold(0, |sum, trace| sum.saturating_add(trace.duration_ns));
    let (mut spans, mut plugins, mut units) =
        (Names::default(), Plugins::default(), Units::default());
    let mut faults = Faults::default();
    for (at, trace) in traces.iter().enumerate() {
        faults.add(&trace.faults);
        for (span, place) in trace.spans.iter().zip(places(trace)) {
            spans.add(span);
            plugins.add(at, trace, span, place);
            units.add(at, trace, span);
        }
    }
    let (spans, more_spans) = cut(spans.listed(whole), bounds.spans);
    let (plugins, more_plugins) = cut(plugins.listed(whole), bounds.plugins);
    let (bottlenecks, more_bottlenecks) = cut(units.listed(traces, whole), bounds.bottlenecks);
    Summary {
        traces: traces.len(),
        latency_ms: Spread::of(traces.iter().map(Trace::duration_ms)),
        split: Split::of(traces),
        bottlenecks,
        plugins,
        spans,
        not_listed: more_spans + more_plugins + more_bottlenecks,
        faults,
    }
}

fn cut<T>(mut all: Vec<T>, most: usize) -> (Vec<T>, usize) {
    let more = all.len().saturating_sub(most);
    all.truncate(most);
    (all, more)
}

fn share(part: u64, whole: u64) -> f64 {
    percent(milliseconds(part), milliseconds(whole))
}

/// Spans by name.
#[derive(Default)]
struct Names<'t>(HashMap<&'t str, Name>);

#[derive(Default)]
struct Name {
    durations: Vec<u64>,
    own: u64,
    errors: usize,
}

impl<'t> Names<'t> {
    fn add(&mut self, span: &'t Span) {
        let name = self.0.entry(&span.name).or_default();
        name.durations.push(span.duration_ns);
        name.own = name.own.saturating_add(span.self_ns);
        name.errors += usize::from(span.is_error);
    }

    fn listed(self, whole: u64) -> Vec<SpanTime> {
        let mut all: Vec<(u64, &str, Name)> = self
            .0
            .into_iter()
            .map(|(name, it)| (it.own, name, it))
            .collect();
        all.sort_by(|(a, a_name, _), (b, b_name, _)| b.cmp(a).then(a_name.cmp(b_name)));
        let listed = all.into_iter().map(|(own, name, it)| {
            let spread = Spread::of(it.durations.iter().map(|one| milliseconds(*one)));
            let total = it
                .durations
                .iter()
                .fold(0, |sum: u64, one| sum.saturating_add(*one));
            SpanTime {
                name: name.to_owned(),
                count: it.durations.len(),
                errors: it.errors,
                total_ms: milliseconds(total),
                mean_ms: spread.map_or(0.0, |spread| spread.mean),
                p95_ms: spread.map_or(0.0, |spread| spread.p95),
                self_ms: milliseconds(own),
                share_percent: share(own, whole),
            }
        });
        listed.collect()
    }
}

type PluginKey<'t> = (&'t str, Option<&'t str>);

/// Plugins, by name and id.
#[derive(Default)]
struct Plugins<'t>(HashMap<PluginKey<'t>, (u64, u64, BTreeSet<usize>)>);

impl<'t> Plugins<'t> {
    fn add(&mut self, at: usize, trace: &'t Trace, span: &'t Span, place: Place) {
        let Some(key) = trace.plugin_of(span) else {
            return;
        };
        let (total, waiting, traces) = self.0.entry(key).or_default();
        *total = total.saturating_add(span.self_ns);
        if place == Place::ThirdParty {
            *waiting = waiting.saturating_add(span.self_ns);
        }
        traces.insert(at);
    }

    fn listed(self, whole: u64) -> Vec<PluginTime> {
        let mut all: Vec<_> = self.0.into_iter().collect();
        all.sort_by(|(a, (a_time, ..)), (b, (b_time, ..))| b_time.cmp(a_time).then(a.cmp(b)));
        let listed = all
            .into_iter()
            .map(|((plugin, id), (total, waiting, traces))| PluginTime {
                plugin: plugin.to_owned(),
                plugin_id: id.map(str::to_owned),
                traces: traces.len(),
                total_ms: milliseconds(total),
                waiting_ms: milliseconds(waiting),
                share_percent: share(total, whole),
            });
        listed.collect()
    }
}

/// What is behind the time of a span: its plugin, and where there is none, what its name says.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Cause<'t> {
    Plugin(PluginKey<'t>),
    Span(&'t str),
}

#[derive(Default)]
struct Unit<'t> {
    own: u64,
    by_trace: BTreeMap<usize, u64>,
    parts: HashMap<&'t str, (usize, u64)>,
}

#[derive(Default)]
struct Units<'t>(HashMap<Cause<'t>, Unit<'t>>);

impl<'t> Units<'t> {
    fn add(&mut self, at: usize, trace: &'t Trace, span: &'t Span) {
        let cause = trace
            .plugin_of(span)
            .map_or(Cause::Span(&span.name), Cause::Plugin);
        let unit = self.0.entry(cause).or_default();
        unit.own = unit.own.saturating_add(span.self_ns);
        let in_trace = unit.by_trace.entry(at).or_default();
        *in_trace = in_trace.saturating_add(span.self_ns);
        let (count, own) = unit.parts.entry(&span.name).or_default();
        *count += 1;
        *own = own.saturating_add(span.self_ns);
    }

    /// Those that took time.
    fn listed(self, traces: &[Trace], whole: u64) -> Vec<Bottleneck> {
        let mut all: Vec<_> = self
            .0
            .into_iter()
            .filter(|(_, unit)| unit.own > 0)
            .collect();
        all.sort_by(|(a, a_unit), (b, b_unit)| b_unit.own.cmp(&a_unit.own).then(a.cmp(b)));
        let listed = all
            .into_iter()
            .map(|(cause, unit)| unit.told(&cause, traces, whole));
        listed.collect()
    }
}

impl Unit<'_> {
    fn told(self, cause: &Cause<'_>, traces: &[Trace], whole: u64) -> Bottleneck {
        // The first of those that took equally long.
        let worst = self
            .by_trace
            .iter()
            .max_by_key(|(at, own)| (**own, std::cmp::Reverse(**at)));
        let (worst_at, worst_own) = worst.map_or((0, 0), |(at, own)| (*at, *own));
        let mut parts: Vec<_> = self.parts.into_iter().collect();
        parts.sort_by(|(a, (_, a_own)), (b, (_, b_own))| b_own.cmp(a_own).then(a.cmp(b)));
        let parts = parts
            .into_iter()
            .take(3)
            .map(|(span, (count, own))| BottleneckPart {
                span: span.to_owned(),
                count,
                self_ms: milliseconds(own),
            });
        let (what, plugin, plugin_id) = match cause {
            Cause::Plugin((plugin, id)) => (format!("plugin {plugin}"), Some(*plugin), *id),
            Cause::Span(name) => ((*name).to_owned(), None, None),
        };
        Bottleneck {
            what,
            plugin: plugin.map(str::to_owned),
            plugin_id: plugin_id.map(str::to_owned),
            self_ms: milliseconds(self.own),
            share_percent: share(self.own, whole),
            traces: self.by_trace.len(),
            parts: parts.collect(),
            worst_trace_id: traces
                .get(worst_at)
                .map(|trace| trace.id.clone())
                .unwrap_or_default(),
            worst_ms: milliseconds(worst_own),
        }
    }
}
