//! When a request is sent again, and after how long.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::time::Duration;

use http::Method;

use crate::http::error::{Done, Error, ErrorKind};

/// How often, and after how long, a request that failed is sent again.
///
/// `GET` and `HEAD` are sent again when it may help. `PUT` and `DELETE` only when the failed one had certainly
/// no effect: sent again after somebody else's change, they would undo it. `POST` and `PATCH` never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How often it is sent at most. 3 by default; 1 sends nothing again.
    pub attempts: u32,
    /// The pause before the second attempt, which doubles from then on. 200 ms by default.
    pub first_pause: Duration,
    /// The longest pause. An API that asks for a longer one (`Retry-After`) is not asked again by the client:
    /// the error says how long it wants to be left alone. 5 s by default.
    pub longest_pause: Duration,
}

impl RetryPolicy {
    /// Sends nothing again.
    pub fn never() -> Self {
        Self {
            attempts: 1,
            ..Self::default()
        }
    }

    /// Sets how often a request is sent at most.
    #[must_use]
    pub const fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets the first and the longest pause.
    #[must_use]
    pub const fn with_pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.first_pause = first;
        self.longest_pause = longest;
        self
    }

    /// How long to wait before attempt `sent + 1`, or `None` when there is none.
    ///
    /// `chance` is between 0 and 1: the pause lies between its half and its whole, and an API that names
    /// a time is never asked earlier.
    pub(crate) fn pause(
        &self,
        method: &Method,
        error: &Error,
        sent: u32,
        chance: f64,
    ) -> Option<Duration> {
        if sent >= self.attempts || !may_repeat(method, error) {
            return None;
        }
        let doublings = 2_u32.saturating_pow(sent.saturating_sub(1).min(16));
        let whole = self.first_pause.saturating_mul(doublings);
        let half = whole.min(self.longest_pause) / 2;
        match error.retry_after {
            Some(wanted) if wanted > self.longest_pause => None,
            Some(wanted) => Some(wanted + half.mul_f64(chance)),
            None => Some(half + half.mul_f64(chance)),
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 3,
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(5),
        }
    }
}

fn may_repeat(method: &Method, error: &Error) -> bool {
    if !error.is_transient() {
        return false;
    }
    match method.as_str() {
        "GET" | "HEAD" => true,
        // A gateway's 503 may stand for a request that was taken; a 429 and a refused connection do not.
        "PUT" | "DELETE" => {
            error.done == Done::No
                && (error.status.is_none() || error.kind == ErrorKind::RateLimited)
        }
        _ => false,
    }
}

/// A number between 0 and 1, good enough to keep clients from coming all at once.
pub(crate) fn chance() -> f64 {
    let bits = RandomState::new().hash_one(0_u8) >> 40;
    // 24 bits fit into a float without loss.
    f64::from(u32::try_from(bits).unwrap_or(0)) / f64::from(1_u32 << 24)
}

/// Reads `Retry-After` (RFC 9110 §10.2.3): seconds, or a date, which is held against the `Date` of the same answer, as
/// two clocks need not agree. Without it the seconds in `RateLimit-Reset`, which some send instead, of a limit that is
/// used up (`RateLimit-Remaining: 0`).
pub(crate) fn retry_after(headers: &http::HeaderMap) -> Option<Duration> {
    let said = |name: &str| headers.get(name)?.to_str().ok();
    let Some(text) = headers.get(http::header::RETRY_AFTER) else {
        let is_used_up = said("ratelimit-remaining")?.trim() == "0";
        let seconds: u32 = said("ratelimit-reset")?.trim().parse().ok()?;
        return is_used_up.then(|| Duration::from_secs(u64::from(seconds)));
    };
    let text = text.to_str().ok()?;
    if let Ok(seconds) = text.trim().parse::<u32>() {
        return Some(Duration::from_secs(u64::from(seconds)));
    }
    let now = headers.get(http::header::DATE)?.to_str().ok()?;
    let wait = seconds_of(text)?.saturating_sub(seconds_of(now)?);
    Some(Duration::from_secs(u64::try_from(wait).unwrap_or(0)))
}

/// A date such as `Fri, 31 Dec 1999 23:59:59 GMT` (RFC 9110 §5.6.7), in seconds from some day on.
fn seconds_of(date: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, date) = date.trim().split_once(", ")?;
    let mut parts = date.split(' ');
    let day: i64 = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let year: i64 = parts.next()?.parse().ok()?;
    let mut time = parts
        .next()?
        .split(':')
        .map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let is_date = (1..=31).contains(&day) && (1..=9999).contains(&year);
    let is_time = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..61).contains(&second);
    if !is_date || !is_time || parts.next() != Some("GMT") {
        return None;
    }
    // A year that begins in March has its odd day at the end.
    let month = i64::try_from(month).ok()?;
    let (year, month) = if month < 2 {
        (year - 1, month + 10)
    } else {
        (year, month - 2)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn failed(kind: ErrorKind, done: Done) -> Error {
        Error::new(kind, "", done)
    }

    #[test]
    fn only_what_cannot_do_harm_is_sent_again() {
        let policy = RetryPolicy::default();
        let again = |method: Method, error: &Error| policy.pause(&method, error, 1, 0.5).is_some();
        let unsent = failed(ErrorKind::Unavailable, Done::No);
        let lost = failed(ErrorKind::Lost, Done::Unknown);
        let mut busy = failed(ErrorKind::Unavailable, Done::Unknown);
        busy.status = Some(503);
        let mut limited = failed(ErrorKind::RateLimited, Done::No);
        limited.status = Some(429);
        for error in [&unsent, &lost, &busy, &limited] {
            assert!(again(Method::GET, error), "{error:?}");
            assert!(!again(Method::POST, error), "{error:?}");
            assert!(!again(Method::PATCH, error), "{error:?}");
        }
        for method in [Method::PUT, Method::DELETE] {
            assert!(again(method.clone(), &unsent));
            assert!(again(method.clone(), &limited));
            assert!(!again(method.clone(), &lost));
            assert!(!again(method, &busy));
        }
        for kind in [
            ErrorKind::Unauthorized,
            ErrorKind::NotFound,
            ErrorKind::Invalid,
            ErrorKind::Server,
            ErrorKind::NotJson,
            ErrorKind::TooLarge,
        ] {
            assert!(!again(Method::GET, &failed(kind, Done::No)), "{kind:?}");
        }
    }

    #[test]
    fn an_api_that_wants_a_long_rest_is_left_alone() {
        let mut limited = failed(ErrorKind::RateLimited, Done::No);
        limited.retry_after = Some(Duration::from_secs(6));
        assert_eq!(
            RetryPolicy::default().pause(&Method::GET, &limited, 1, 0.0),
            None
        );
        limited.retry_after = Some(Duration::from_secs(2));
        let pause = RetryPolicy::default().pause(&Method::GET, &limited, 1, 0.0);
        assert_eq!(pause, Some(Duration::from_secs(2)));
    }

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        for (text, seconds) in [
            ("Tue, 29 Feb 2000 00:00:07 GMT", Some(8)),
            ("Wed, 01 Mar 2000 00:00:00 GMT", Some(86_401)),
            ("Wed, 28 Feb 2001 23:59:59 GMT", Some(366 * 86_400)),
            ("Mon, 28 Feb 2000 23:59:00 GMT", Some(0)),
            ("Mon, 28 Feb 2000 25:59:00 GMT", None),
            ("Mon, 28 Feb 2000 23:59:00 CET", None),
            ("28 Feb 2000", None),
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("-1", None),
            ("99999999999999999999", None),
        ] {
            let mut headers = http::HeaderMap::new();
            headers.insert("date", "Mon, 28 Feb 2000 23:59:59 GMT".parse().unwrap());
            headers.insert("retry-after", text.parse().unwrap());
            assert_eq!(
                retry_after(&headers),
                seconds.map(Duration::from_secs),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn pauses_are_bounded_and_attempts_too(
            attempts in 0_u32..9, sent in 1_u32..40, chance in 0.0..=1.0, longest in 0_u64..9_000,
        ) {
            let policy = RetryPolicy::default()
                .with_attempts(attempts)
                .with_pauses(Duration::from_millis(200), Duration::from_millis(longest));
            let error = failed(ErrorKind::Lost, Done::Unknown);
            match policy.pause(&Method::GET, &error, sent, chance) {
                Some(pause) => {
                    prop_assert!(sent < attempts);
                    prop_assert!(pause <= policy.longest_pause);
                }
                None => prop_assert!(sent >= attempts),
            }
        }
    }

    #[test]
    fn a_limit_that_is_used_up_says_when_it_begins_again() {
        let mut headers = http::HeaderMap::new();
        headers.insert("ratelimit-reset", "17".parse().unwrap());
        headers.insert("ratelimit-remaining", "1".parse().unwrap());
        assert_eq!(retry_after(&headers), None);
        headers.insert("ratelimit-remaining", "0".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(17)));
        headers.insert("retry-after", "3".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(3)));
    }

    #[test]
    fn chance_is_between_0_and_1() {
        for _ in 0..1_000 {
            assert!((0.0..1.0).contains(&chance()));
        }
    }
}
