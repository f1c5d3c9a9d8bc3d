//! A trace as a tree.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::otlp::{self, RawSpan};
use super::phase::{self, Phase};
use crate::konnect::spread::rounded;
use crate::konnect::text::tame;

/// One trace.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Trace {
    /// Its id.
    pub id: String,
    /// Nanoseconds that it took: of its root, or from the first start to the last end where it has several roots or
    /// none with times.
    pub duration_ns: u64,
    /// Its spans: parents before children, children by their start. A span's depth says what is below what.
    pub spans: Vec<Span>,
    /// What was wrong with it.
    pub faults: Faults,
}

/// One span of a trace.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Span {
    /// Name, at most 128 characters.
    pub name: String,
    /// How many spans are above it.
    pub depth: usize,
    /// The place of its parent in [`Trace::spans`].
    pub parent: Option<usize>,
    /// Nanoseconds from the start of the trace to its own.
    pub offset_ns: u64,
    /// Nanoseconds that it took.
    pub duration_ns: u64,
    /// Nanoseconds of these in which none of its children was at work.
    pub self_ns: u64,
    /// The phase that it, or the nearest span above it that has one, belongs to.
    pub phase: Option<Phase>,
    /// The plugin that it, or the nearest span above it that has one, is of: place in [`Trace::spans`].
    pub plugin: Option<usize>,
    /// It ended in an error.
    pub is_error: bool,
    /// Attributes, in the order in which they are written.
    pub attributes: Vec<(String, String)>,
}

/// What was wrong with traces. All of them are worked around.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct Faults {
    /// Spans whose parent is not there: they are roots.
    pub without_parent: usize,
    /// Rings of spans that are each other's parents: opened at the span that starts first.
    pub rings: usize,
    /// Spans that end before they start, or lack a time: they took no time.
    pub without_duration: usize,
    /// Spans with an id that an earlier one has.
    pub same_id: usize,
    /// Things among the spans that are none.
    pub unreadable: usize,
    /// Spans over [`MOST_SPANS`](super::MOST_SPANS) of a trace.
    pub spans_left_out: usize,
}

impl Faults {
    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.without_parent += other.without_parent;
        self.rings += other.rings;
        self.without_duration += other.without_duration;
        self.same_id += other.same_id;
        self.unreadable += other.unreadable;
        self.spans_left_out += other.spans_left_out;
    }
}

impl Span {
    /// The value of an attribute.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        let mut all = self.attributes.iter();
        all.find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }
}

impl Trace {
    /// Reads a trace: `{trace_id, duration_ms, otlp: {resourceSpans}}`, or OTLP alone. Something without spans is a
    /// trace without spans.
    pub fn of(trace: &Value) -> Self {
        let mut faults = Faults::default();
        let otlp = trace.get("otlp").unwrap_or(trace);
        let raw = otlp::spans(otlp, &mut faults);
        let (order, parents) = order(&raw, &mut faults);
        let spans = planted(&raw, &order, &parents, &mut faults);
        let id = trace.get("trace_id").and_then(Value::as_str).or_else(|| {
            let span = otlp.pointer("/resourceSpans/0/scopeSpans/0/spans/0/traceId");
            span.and_then(Value::as_str)
        });
        let mut trace = Self {
            id: tame(id.unwrap_or_default(), 64),
            duration_ns: 0,
            spans,
            faults,
        };
        trace.measure();
        trace
    }

    /// The first root: the span `kong` where all is well.
    pub fn root(&self) -> Option<&Span> {
        self.spans.first()
    }

    /// Milliseconds that it took.
    pub fn duration_ms(&self) -> f64 {
        milliseconds(self.duration_ns)
    }

    /// The plugin that a span is of: its name, and its id where that is known.
    pub fn plugin_of(&self, span: &Span) -> Option<(&str, Option<&str>)> {
        let at = self.spans.get(span.plugin?)?;
        Some((
            phase::plugin(&at.name)?,
            at.attribute("proxy.kong.plugin.id"),
        ))
    }

    fn measure(&mut self) {
        let mut children: Vec<Vec<(u64, u64)>> = vec![Vec::new(); self.spans.len()];
        for span in &self.spans {
            let slot = span.parent.and_then(|parent| children.get_mut(parent));
            if let Some(slot) = slot {
                slot.push((
                    span.offset_ns,
                    span.offset_ns.saturating_add(span.duration_ns),
                ));
            }
        }
        for (span, children) in self.spans.iter_mut().zip(children) {
            let end = span.offset_ns.saturating_add(span.duration_ns);
            let busy = covered(children, span.offset_ns, end);
            span.self_ns = span.duration_ns.saturating_sub(busy);
        }
        let roots = self.spans.iter().filter(|span| span.parent.is_none());
        self.duration_ns = match (self.spans.first(), roots.count()) {
            (Some(root), 1) if root.duration_ns > 0 => root.duration_ns,
            _ => {
                let ends = self.spans.iter();
                ends.map(|span| span.offset_ns.saturating_add(span.duration_ns))
                    .max()
                    .unwrap_or(0)
            }
        };
    }
}

/// How much of a time is covered by others, which may lie over each other and reach beyond it.
pub(super) fn covered(mut parts: Vec<(u64, u64)>, start: u64, end: u64) -> u64 {
    parts.sort_unstable();
    let (mut sum, mut until) = (0u64, start);
    for (from, to) in parts {
        let (from, to) = (from.max(until), to.min(end));
        if to > from {
            sum = sum.saturating_add(to - from);
            until = to;
        }
    }
    sum
}

pub(super) fn milliseconds(nanoseconds: u64) -> f64 {
    rounded(std::time::Duration::from_nanos(nanoseconds).as_secs_f64() * 1000.0)
}

/// The order of spans, parents before children, and the parent of each by its place among the raw ones.
fn order(raw: &[RawSpan], faults: &mut Faults) -> (Vec<usize>, Vec<Option<usize>>) {
    let mut by_id: HashMap<&str, usize> = HashMap::new();
    for (at, span) in raw.iter().enumerate() {
        if span.id.is_empty() {
            continue;
        }
        if by_id.contains_key(span.id.as_str()) {
            faults.same_id += 1;
        } else {
            by_id.insert(&span.id, at);
        }
    }
    let mut parents: Vec<Option<usize>> = Vec::with_capacity(raw.len());
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); raw.len()];
    for (at, span) in raw.iter().enumerate() {
        let parent = span.parent.as_deref().and_then(|id| by_id.get(id).copied());
        if span.parent.is_some() && parent.is_none() {
            faults.without_parent += 1;
        }
        if let Some(slot) = parent.and_then(|parent| children.get_mut(parent)) {
            slot.push(at);
        }
        parents.push(parent);
    }
    let start = |at: &usize| {
        (
            raw.get(*at).and_then(|span| span.start).unwrap_or(u64::MAX),
            *at,
        )
    };
    for children in &mut children {
        children.sort_unstable_by_key(start);
    }
    let mut roots: Vec<usize> = (0..raw.len())
        .filter(|at| parents.get(*at).is_some_and(Option::is_none))
        .collect();
    // The one with a proper end comes first: what hangs loose comes after it.
    roots.sort_by_key(|at| {
        (
            raw.get(*at).is_none_or(|span| span.parent.is_some()),
            start(at),
        )
    });
    let mut walk = Walk::new(&children);
    for root in roots {
        walk.from(root);
    }
    // What no root leads to hangs on a ring.
    let mut rest: Vec<usize> = (0..raw.len()).filter(|at| !walk.has(*at)).collect();
    rest.sort_unstable_by_key(start);
    for at in rest {
        if !walk.has(at) && is_in_ring(at, &parents) {
            faults.rings += 1;
            if let Some(parent) = parents.get_mut(at) {
                *parent = None;
            }
            walk.from(at);
        }
    }
    (walk.order, parents)
}

/// Whether its own parents lead back to it.
fn is_in_ring(at: usize, parents: &[Option<usize>]) -> bool {
    let mut above = parents.get(at).copied().flatten();
    for _ in 0..parents.len() {
        match above {
            Some(one) if one == at => return true,
            Some(one) => above = parents.get(one).copied().flatten(),
            None => return false,
        }
    }
    false
}

/// Depth first, without calling itself: a trace may be as deep as it is long.
struct Walk<'c> {
    children: &'c [Vec<usize>],
    seen: Vec<bool>,
    order: Vec<usize>,
}

impl<'c> Walk<'c> {
    fn new(children: &'c [Vec<usize>]) -> Self {
        Self {
            children,
            seen: vec![false; children.len()],
            order: Vec::with_capacity(children.len()),
        }
    }

    fn has(&self, at: usize) -> bool {
        self.seen.get(at).copied().unwrap_or(true)
    }

    fn from(&mut self, root: usize) {
        let mut stack = vec![root];
        while let Some(at) = stack.pop() {
            if self.has(at) {
                continue;
            }
            if let Some(seen) = self.seen.get_mut(at) {
                *seen = true;
            }
            self.order.push(at);
            let children = self.children.get(at).into_iter().flatten();
            stack.extend(children.rev().copied());
        }
    }
}

fn planted(
    raw: &[RawSpan],
    order: &[usize],
    parents: &[Option<usize>],
    faults: &mut Faults,
) -> Vec<Span> {
    let begin = raw.iter().filter_map(|span| span.start).min().unwrap_or(0);
    let mut places: HashMap<usize, usize> = HashMap::new();
    let mut spans: Vec<Span> = Vec::with_capacity(order.len());
    for at in order {
        let Some(span) = raw.get(*at) else {
            continue;
        };
        let parent = parents.get(*at).copied().flatten();
        let parent = parent.and_then(|parent| places.get(&parent).copied());
        let above = parent.and_then(|parent| spans.get(parent));
        let duration = match (span.start, span.end) {
            (Some(start), Some(end)) if end >= start => end - start,
            _ => {
                faults.without_duration += 1;
                0
            }
        };
        let place = spans.len();
        let is_plugin = phase::plugin(&span.name).is_some();
        let planted = Span {
            name: span.name.clone(),
            depth: above.map_or(0, |above| above.depth + 1),
            parent,
            offset_ns: match span.start {
                Some(start) => start - begin,
                None => above.map_or(0, |above| above.offset_ns),
            },
            duration_ns: duration,
            self_ns: 0,
            phase: phase::of(&span.name).or_else(|| above.and_then(|above| above.phase)),
            plugin: if is_plugin {
                Some(place)
            } else {
                above.and_then(|above| above.plugin)
            },
            is_error: span.is_error,
            attributes: span.attributes.clone(),
        };
        places.insert(*at, place);
        spans.push(planted);
    }
    spans
}
