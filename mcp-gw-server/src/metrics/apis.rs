//! What requests to HTTP APIs came to, under the names that API Gateway MCP gives its metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mcp_gw_core::ApiExchange;

use super::exposition::Families;
use super::series::{Durations, load};
use super::table::NameTable;

/// How many APIs are told apart.
const MAX_APIS: usize = 512;
/// How many methods with a status are told apart of one API, which chooses the latter.
const MAX_CALLS: usize = 256;
/// The part of the window that is forgotten at once, in seconds...
const STEP: u64 = 10;
/// ...and how many of them there are: 5 minutes.
const STEPS: usize = 30;

/// All APIs.
#[derive(Debug)]
pub(super) struct Apis(NameTable<ApiSeries>);

impl Default for Apis {
    fn default() -> Self {
        Self(NameTable::new(MAX_APIS))
    }
}

#[derive(Debug)]
struct ApiSeries {
    /// By `method status`.
    calls: NameTable<AtomicU64>,
    durations: Durations,
    window: Mutex<Window>,
}

impl Default for ApiSeries {
    fn default() -> Self {
        Self {
            calls: NameTable::new(MAX_CALLS),
            durations: Durations::default(),
            window: Mutex::default(),
        }
    }
}

/// What failed of what was asked in the last five minutes.
#[derive(Debug, Default)]
struct Window([Slot; STEPS]);

#[derive(Debug, Default, Clone, Copy)]
struct Slot {
    step: u64,
    calls: u64,
    errors: u64,
}

impl Window {
    fn add(&mut self, seconds: u64, is_error: bool) {
        let step = seconds / STEP;
        let at = usize::try_from(step % STEPS as u64).unwrap_or_default();
        let Some(slot) = self.0.get_mut(at) else {
            return;
        };
        if slot.step != step {
            *slot = Slot {
                step,
                ..Slot::default()
            };
        }
        slot.calls += 1;
        slot.errors += u64::from(is_error);
    }

    /// The part of the calls that failed; `None` without any.
    #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52")]
    fn rate(&self, seconds: u64) -> Option<f64> {
        let now = seconds / STEP;
        let is_young = |slot: &&Slot| slot.step + STEPS as u64 > now && slot.step <= now;
        let young = self.0.iter().filter(is_young);
        let (calls, errors) = young.fold((0, 0), |(calls, errors), slot| {
            (calls + slot.calls, errors + slot.errors)
        });
        (calls > 0).then(|| errors as f64 / calls as f64)
    }
}

impl Apis {
    /// A call of `api` has ended.
    pub(super) fn add(&self, api: &str, exchange: &ApiExchange, at: SystemTime) {
        let series = self.0.of(api);
        let status = exchange.status.map(|status| status.to_string());
        let status = status.as_deref().or(exchange.code).unwrap_or("cancelled");
        let calls = series.calls.of(&format!("{} {status}", exchange.method));
        calls.fetch_add(1, Ordering::Relaxed);
        if let Some(duration) = exchange.duration.filter(|_| exchange.status.is_some()) {
            series.durations.add(duration);
        }
        // What the gateway refused says nothing of the API, nor what a client gave up.
        let is_of_api = exchange.status.is_some() || is_failure(exchange.code);
        if is_of_api {
            let is_error = exchange.status.is_none_or(|status| status >= 500);
            series.window().add(seconds(at), is_error);
        }
    }

    pub(super) fn collect(&self, families: &mut Families, now: SystemTime) {
        for (api, series) in self.0.iter() {
            for (call, count) in series.calls.iter() {
                let (method, status) = call.split_once(' ').unwrap_or((call, call));
                let labels = [("api", api), ("method", method), ("status", status)];
                families.counter(CALLS.0, CALLS.1).add(&labels, load(count));
            }
            for name in ["api_response_time", "api_response_time_seconds"] {
                let spread = series.durations.spread();
                families.histogram(name, TIME).add(&[("api", api)], spread);
            }
            if let Some(rate) = series.window().rate(seconds(now)) {
                families
                    .gauge(ERRORS.0, ERRORS.1)
                    .set(&[("api", api)], rate);
            }
        }
    }
}

impl ApiSeries {
    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_failure(code: Option<&str>) -> bool {
    code.is_some_and(|code| code.starts_with("upstream_") || code == "response_too_large")
}

fn seconds(time: SystemTime) -> u64 {
    let since: Duration = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs()
}

const CALLS: (&str, &str) = (
    "api_calls_total",
    "Requests to HTTP APIs, by status, or by the word that says why there is none.",
);
const TIME: &str = "How long HTTP APIs took to answer, in seconds.";
const ERRORS: (&str, &str) = (
    "api_error_rate",
    "The part of the last five minutes' requests to which an API gave no answer, or a status from 500 on.",
);

#[cfg(test)]
mod tests {
    use super::super::exposition::Format;
    use super::*;

    fn exchange(status: Option<u16>, code: Option<&'static str>) -> ApiExchange {
        let mut exchange = ApiExchange::new("GET", "/a");
        (exchange.status, exchange.code) = (status, code);
        exchange.duration = Some(Duration::from_millis(3));
        exchange
    }

    #[test]
    fn calls_are_counted_by_what_they_came_to() {
        let apis = Apis::default();
        let at = UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (status, code) in [
            (Some(200), None),
            (Some(200), None),
            (Some(404), None),
            (Some(503), None),
            (None, Some("upstream_timeout")),
            (None, Some("endpoint_invalid")),
            (None, None),
        ] {
            apis.add("github", &exchange(status, code), at);
        }
        let text = |now| {
            let mut families = Families::default();
            apis.collect(&mut families, now);
            families.render(Format::Prometheus)
        };
        let now = text(at + Duration::from_secs(200));
        for line in [
            r#"api_calls_total{api="github",method="GET",status="200"} 2"#,
            r#"api_calls_total{api="github",method="GET",status="404"} 1"#,
            r#"api_calls_total{api="github",method="GET",status="upstream_timeout"} 1"#,
            r#"api_calls_total{api="github",method="GET",status="endpoint_invalid"} 1"#,
            r#"api_calls_total{api="github",method="GET",status="cancelled"} 1"#,
            r#"api_error_rate{api="github"} 0.4"#,
            r#"api_response_time_count{api="github"} 4"#,
            r#"api_response_time_seconds_count{api="github"} 4"#,
        ] {
            assert!(now.contains(line), "{line}\n{now}");
        }
        let later = text(at + Duration::from_secs(310));
        assert!(!later.contains("api_error_rate"), "{later}");
        apis.add(
            "github",
            &exchange(Some(200), None),
            at + Duration::from_secs(310),
        );
        let later = text(at + Duration::from_secs(311));
        assert!(
            later.contains(r#"api_error_rate{api="github"} 0"#),
            "{later}"
        );
    }
}
