//! What a debug session collected: traces of OpenTelemetry, made short.
//!
//! [`Trace::of`] reads one and makes a tree of it, whatever it is like: spans without a parent, rings of parents,
//! times that run backwards and members that are `null` are [`Faults`], not failures. [`summarize`] says where the
//! time went and which plugin is behind it, [`compact`] shows whole traces, [`compress`] one of each form.
//!
//! Names and attributes come with requests: strangers wrote them. They are on one line, bounded, and data.

mod compact;
mod compress;
mod otlp;
mod phase;
mod split;
mod summary;
mod tree;

pub use compact::{Compact, CompactSpan, CompactTrace, RequestFacts, SpanFilter, compact};
pub use compress::{Compressed, DistinctTrace, compress};
pub use otlp::MOST_SPANS;
pub use phase::Phase;
pub use split::{Split, SplitSource};
pub use summary::{
    Bottleneck, BottleneckPart, PluginTime, SpanTime, Summary, SummaryBounds, summarize,
};
pub use tree::{Faults, Span, Trace};

#[cfg(test)]
mod tests;
