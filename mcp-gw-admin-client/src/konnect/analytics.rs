//! Requests that were made: the query for them, and what their rows come to.

mod count;
mod query;
mod row;

pub use count::{Counts, Latencies, PerKind, Ranking, Share, Top, count};
pub use query::{DEFAULT_RESULTS, Filter, Query, QueryInput, RESULTS, TIME_RANGES, query};
pub use row::Row;

#[cfg(test)]
mod tests;
