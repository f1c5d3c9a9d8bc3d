//! The sampling rule of a debug session: one expression of Kong's router language, made of the arguments of
//! `CreateDebugSession`.
//!
//! What somebody gives becomes the value of one comparison and nothing else: a rule never samples more than what was
//! asked for, and confirmed.

use std::fmt::Write as _;

use super::ArgumentFault;
use super::ids::ScopedId;
use super::text::is_unseen;

/// The arguments as they were given. Those that are `None` restrict nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SamplingInput {
    /// Path of the requests, without a query: compared as a whole.
    pub http_path: Option<String>,
    /// One of [`METHODS`].
    pub http_method: Option<String>,
    /// Status of the response, such as `500`.
    pub http_status_code: Option<String>,
    /// The least total latency, as `>=<int>ms`.
    pub http_latency: Option<String>,
    /// A service, bare or as `<control_plane_id>:<id>`.
    pub service_id: Option<String>,
    /// The control plane of the session; a service of another one is refused.
    pub control_plane_id: Option<String>,
    /// Seconds, [`DURATION`]; [`DEFAULT_DURATION`] when it is `None`.
    pub session_duration: Option<i64>,
    /// Traces, [`SAMPLES`]; [`DEFAULT_SAMPLES`] when it is `None`.
    pub max_samples: Option<i64>,
}

/// What a session is created with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SamplingPlan {
    /// The expression.
    pub rule: String,
    /// How many comparisons it is made of: none means that every request is sampled.
    pub conditions: usize,
    /// Seconds.
    pub duration_seconds: u32,
    /// Traces.
    pub max_samples: u32,
}

/// Methods that a session can be about.
pub const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PATCH"];
/// Seconds that a session can last.
pub const DURATION: std::ops::RangeInclusive<i64> = 10..=1800;
/// Traces that a session can collect.
pub const SAMPLES: std::ops::RangeInclusive<i64> = 1..=1000;
/// Seconds that a session lasts when nothing is said.
pub const DEFAULT_DURATION: u32 = 60;
/// Traces that a session collects when nothing is said.
pub const DEFAULT_SAMPLES: u32 = 100;
/// The longest path, in bytes.
pub const LONGEST_PATH: usize = 2048;
/// The greatest latency that can be asked for: a day, in milliseconds.
pub const GREATEST_LATENCY: u32 = 86_400_000;

/// Each request has a path, and each path begins with this.
const EVERYTHING: &str = "http.path ^= \"/\"";

/// Checks all arguments and makes the rule: all comparisons hold at once.
///
/// # Errors
/// All arguments that cannot be used.
pub fn plan(input: &SamplingInput) -> Result<SamplingPlan, Vec<ArgumentFault>> {
    let mut faults = Vec::new();
    let mut all = Vec::new();
    let conditions = [
        condition(input.http_path.as_deref(), path),
        condition(input.http_method.as_deref(), method),
        condition(input.http_status_code.as_deref(), status),
        condition(input.http_latency.as_deref(), latency),
        condition(input.service_id.as_deref(), |id| {
            service(id, input.control_plane_id.as_deref())
        }),
    ];
    for one in conditions.into_iter().flatten() {
        match one {
            Ok(condition) => all.push(condition),
            Err(fault) => faults.push(fault),
        }
    }
    let duration = number(
        "session_duration",
        "seconds",
        input.session_duration,
        &DURATION,
    );
    let samples = number("max_samples", "traces", input.max_samples, &SAMPLES);
    match (duration, samples) {
        (Ok(duration), Ok(samples)) if faults.is_empty() => Ok(SamplingPlan {
            conditions: all.len(),
            rule: if all.is_empty() {
                EVERYTHING.to_owned()
            } else {
                all.join(" && ")
            },
            duration_seconds: duration.unwrap_or(DEFAULT_DURATION),
            max_samples: samples.unwrap_or(DEFAULT_SAMPLES),
        }),
        (duration, samples) => {
            faults.extend(duration.err());
            faults.extend(samples.err());
            Err(faults)
        }
    }
}

type Condition = Result<String, ArgumentFault>;

fn condition(given: Option<&str>, make: impl Fn(&str) -> Condition) -> Option<Condition> {
    given.map(make)
}

fn path(path: &str) -> Condition {
    let fault = |message: String| Err(ArgumentFault::new("http_path", message));
    if !path.starts_with('/') {
        return fault("begins with `/`: give the path of a request, such as /api/users".to_owned());
    }
    if path.len() > LONGEST_PATH {
        return fault(format!("is longer than {LONGEST_PATH} bytes"));
    }
    if path.contains(['?', '#']) {
        return fault("has no query and no fragment: give what is before `?`".to_owned());
    }
    if path.chars().any(|c| is_unseen(c) || c.is_whitespace()) {
        return fault(
            "has no blanks and no characters that cannot be seen: no request has them in its path"
                .to_owned(),
        );
    }
    Ok(format!("http.path == {}", literal(path)))
}

fn method(method: &str) -> Condition {
    if METHODS.contains(&method) {
        return Ok(format!("http.method == {}", literal(method)));
    }
    let message = format!("is one of {}", METHODS.join(", "));
    Err(ArgumentFault::new("http_method", message))
}

fn status(status: &str) -> Condition {
    let is_number = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
    match status.parse::<u16>() {
        Ok(code @ 100..=999) if is_number => Ok(format!("http.response.status_code == {code}")),
        _ => Err(ArgumentFault::new(
            "http_status_code",
            "is one status as a string of three digits, such as \"500\"",
        )),
    }
}

fn latency(latency: &str) -> Condition {
    let fault = || {
        ArgumentFault::new(
            "http_latency",
            format!("has the form >=<int>ms, such as >=1000ms, and is at most {GREATEST_LATENCY}"),
        )
    };
    let digits = latency
        .strip_prefix(">=")
        .and_then(|rest| rest.strip_suffix("ms"))
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or_else(fault)?;
    // Written anew: a number that begins with a zero would be octal in a rule.
    match digits.parse::<u32>() {
        Ok(ms) if ms <= GREATEST_LATENCY => Ok(format!("proxy.kong.latency_total_ms >= {ms}")),
        _ => Err(fault()),
    }
}

fn service(id: &str, plane: Option<&str>) -> Condition {
    let fault = |error: super::ids::IdError| ArgumentFault::new("service_id", error.to_string());
    let mut id = ScopedId::parse(id).map_err(fault)?;
    if let (Some(plane), Some(_)) = (plane, &id.control_plane_id) {
        id = id.within(plane).map_err(fault)?;
    }
    Ok(format!("proxy.kong.service.id == {}", literal(&id.id)))
}

fn number(
    argument: &'static str,
    unit: &str,
    given: Option<i64>,
    bounds: &std::ops::RangeInclusive<i64>,
) -> Result<Option<u32>, ArgumentFault> {
    let Some(given) = given else {
        return Ok(None);
    };
    match u32::try_from(given) {
        Ok(number) if bounds.contains(&given) => Ok(Some(number)),
        _ => {
            let (least, most) = (bounds.start(), bounds.end());
            let message = format!("is {least} to {most} {unit}");
            Err(ArgumentFault::new(argument, message))
        }
    }
}

/// A string literal of the router language: `"` and `\` are escaped, what cannot be is refused before.
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        let _ = out.write_char(c);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests;
