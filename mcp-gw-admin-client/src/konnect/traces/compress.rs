//! One trace of each form.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::compact::{CompactTrace, whole};
use super::tree::{Faults, Trace};
use crate::konnect::Spread;

/// Traces without those that are like others: two are alike when their spans have the same names in the same order.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct Compressed {
    /// How many traces there are.
    pub traces: usize,
    /// How many forms they have.
    pub forms: usize,
    /// The most frequent form first; as many as there is room for.
    pub distinct: Vec<DistinctTrace>,
    /// What was wrong with the traces.
    #[serde(default, skip_serializing_if = "Faults::is_none")]
    pub faults: Faults,
}

/// All traces of one form.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct DistinctTrace {
    /// How many there are.
    pub count: usize,
    /// How long they took.
    pub latency_ms: Spread,
    /// The slowest of them.
    pub slowest: CompactTrace,
}

/// The slowest trace of each form: `most_forms` of them, `most_spans` spans in all.
pub fn compress(traces: &[Trace], most_forms: usize, most_spans: usize) -> Compressed {
    let mut forms: HashMap<Vec<&str>, Vec<&Trace>> = HashMap::new();
    let mut order: Vec<Vec<&str>> = Vec::new();
    let mut faults = Faults::default();
    for trace in traces {
        faults.add(&trace.faults);
        let names: Vec<&str> = trace.spans.iter().map(|span| span.name.as_str()).collect();
        if !forms.contains_key(&names) {
            order.push(names.clone());
        }
        forms.entry(names).or_default().push(trace);
    }
    // The sort keeps the first that was seen before others that are as frequent.
    let mut groups: Vec<Vec<&Trace>> = order
        .iter()
        .filter_map(|names| forms.remove(names))
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let mut room = most_spans;
    let mut distinct = Vec::new();
    for group in groups.iter().take(most_forms) {
        // Of equally slow ones the first.
        let slowest = group.iter().rev().max_by_key(|trace| trace.duration_ns);
        let latency = Spread::of(group.iter().map(|trace| trace.duration_ms()));
        let (Some(slowest), Some(latency_ms)) = (slowest, latency) else {
            continue;
        };
        if room == 0 {
            break;
        }
        let slowest = whole(slowest, room);
        room -= slowest.spans.len().clamp(1, room);
        distinct.push(DistinctTrace {
            count: group.len(),
            latency_ms,
            slowest,
        });
    }
    Compressed {
        traces: traces.len(),
        forms: groups.len(),
        distinct,
        faults,
    }
}
