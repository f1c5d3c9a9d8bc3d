//! How answers tell of limits: as those of MCP endpoints do, but with the reset as a time.

use std::time::UNIX_EPOCH;

use axum::http::{HeaderMap, HeaderValue, StatusCode};
use mcp_gw_core::{Clock as _, LimitReport, SystemClock};
use mcp_gw_server::http::limit_headers;

/// The header that says when the window ends.
const RESET: &str = "x-ratelimit-reset";

/// Puts in what there is to tell to a caller who is answered with this status.
pub(super) fn tell(headers: &mut HeaderMap, status: StatusCode, limits: &LimitReport) {
    for (name, value) in limit_headers(status, limits) {
        let value = match name {
            RESET => at(&value),
            _ => value,
        };
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.entry(name).or_insert(value);
        }
    }
}

/// The time in so many seconds, in seconds since 1970.
fn at(wait: &str) -> String {
    let wait: u64 = wait.parse().unwrap_or_default();
    let since = SystemClock::new().wall().duration_since(UNIX_EPOCH);
    // The second after, so that nobody comes too early.
    let now = since.map_or(0, |since| since.as_secs().saturating_add(1));
    now.saturating_add(wait).to_string()
}
