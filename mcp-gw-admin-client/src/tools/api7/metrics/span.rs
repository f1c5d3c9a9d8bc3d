//! Times and durations that a call names, checked before they are part of a query.

use std::time::{Duration, SystemTime};

use mcp_gw_core::rfc3339;

/// More points of one series Prometheus does not answer with.
const MOST_POINTS: u64 = 11_000;

/// So many points a series has about when nobody names a step.
const POINTS: u64 = 240;

/// The least step when nobody names one, and what Prometheus usually looks at gateways at.
const LEAST_STEP: u64 = 15_000;

/// A year and a day.
const LONGEST: u64 = 366 * 86_400_000;

/// The time that is asked about; milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) step: u64,
    /// What instant queries look back on, as Prometheus writes it.
    pub(crate) range: String,
    /// What rates are made of, as Prometheus writes it.
    pub(crate) window: String,
    /// The step, as Prometheus writes it.
    pub(crate) step_text: String,
    /// Start or end were named: instant queries have to say when, too.
    pub(crate) is_named: bool,
}

/// What a call says about time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) start: Option<&'a str>,
    pub(crate) end: Option<&'a str>,
    pub(crate) step: Option<&'a str>,
    pub(crate) raw_time: Option<&'a str>,
}

impl Span {
    /// # Errors
    /// A sentence that names the argument.
    pub(crate) fn of(wanted: &Wanted<'_>, now: SystemTime) -> Result<Self, String> {
        let now = millis(now);
        let named = |name, text: Option<&str>| {
            text.map(|text| moment(text, now).map_err(|why| format!("`{name}`: {why}")))
                .transpose()
        };
        let text = wanted.raw_time.unwrap_or("15m");
        let back = duration(text).map_err(|why| format!("`raw_time`: {why}"))?;
        let end = named("end", wanted.end)?;
        let start = named("start", wanted.start)?;
        let is_named = start.is_some() || end.is_some();
        let end = end.unwrap_or(now);
        let start = start.unwrap_or_else(|| end.saturating_sub(back));
        if start >= end {
            return Err(format!(
                "`start` ({}) must be before `end` ({})",
                time_text(start),
                time_text(end)
            ));
        }
        if start > now {
            return Err(format!(
                "`start` is in the future: now it is {}",
                time_text(now)
            ));
        }
        let length = end - start;
        if length > LONGEST {
            return Err("it is more than 366 days from start to end".to_owned());
        }
        let (step, step_text) = step(wanted.step, length)?;
        let window = if step <= 60_000 {
            "1m".to_owned()
        } else {
            // Shorter, and what happens between two points would not be seen.
            duration_text(step)
        };
        Ok(Self {
            start,
            end,
            step,
            range: if is_named {
                duration_text(length)
            } else {
                text.to_owned()
            },
            window,
            step_text,
            is_named,
        })
    }
}

fn step(wanted: Option<&str>, length: u64) -> Result<(u64, String), String> {
    let Some(text) = wanted else {
        let step = length.div_ceil(POINTS).max(LEAST_STEP);
        // Whole steps of 15 s are easier to compare.
        let step = step.div_ceil(LEAST_STEP) * LEAST_STEP;
        return Ok((step, duration_text(step)));
    };
    // Prometheus takes plain seconds for a step.
    let step = match text.parse::<u64>() {
        Ok(seconds) if seconds <= LONGEST / 1000 => seconds * 1000,
        _ => duration(text).map_err(|why| format!("`step`: {why}"))?,
    };
    if step < 1000 {
        return Err("`step` must be at least 1s".to_owned());
    }
    let points = length / step + 1;
    if points > MOST_POINTS {
        let least = length.div_ceil(MOST_POINTS - 1).div_ceil(1000) * 1000;
        return Err(format!(
            "`step` {text} makes {points} points of each series, and Prometheus answers with at most {MOST_POINTS}: \
             take {} or more, or leave `step` out",
            duration_text(least)
        ));
    }
    Ok((step, text.to_owned()))
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// RFC 3339 in UTC.
pub(crate) fn time_text(millis: u64) -> String {
    rfc3339(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
}

/// A duration as Prometheus writes it, in one unit.
pub(crate) fn duration_text(millis: u64) -> String {
    for (unit, length) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
    ] {
        if millis >= length && millis.is_multiple_of(length) {
            return format!("{}{unit}", millis / length);
        }
    }
    format!("{millis}ms")
}

/// A duration of Prometheus: `15m`, `1h30m`, `2w`. In milliseconds.
pub(crate) fn duration(text: &str) -> Result<u64, String> {
    let wrong = || {
        let shown: String = text.chars().take(40).collect();
        format!("{shown:?} is not a duration like 90s, 15m, 6h, 7d or 1h30m")
    };
    let units = [
        ("y", 365 * 86_400_000),
        ("w", 7 * 86_400_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ];
    let (mut rest, mut total, mut left) = (text, 0_u64, units.as_slice());
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at_checked(digits).ok_or_else(wrong)?;
        let letters = tail
            .find(|c: char| !c.is_ascii_lowercase())
            .unwrap_or(tail.len());
        let (name, tail) = tail.split_at_checked(letters).ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        // Each unit once, the longer before the shorter.
        let at = left.iter().position(|(unit, _)| *unit == name);
        let at = at.ok_or_else(wrong)?;
        let (_, length) = left.get(at).ok_or_else(wrong)?;
        left = left.get(at + 1..).unwrap_or_default();
        total = number
            .checked_mul(*length)
            .and_then(|more| total.checked_add(more))
            .ok_or_else(wrong)?;
        rest = tail;
    }
    if total == 0 {
        return Err(wrong());
    }
    if total > LONGEST {
        return Err("it is longer than 366 days".to_owned());
    }
    Ok(total)
}

/// RFC 3339, seconds since 1970, or `now-15m`. In milliseconds since 1970.
fn moment(text: &str, now: u64) -> Result<u64, String> {
    let wrong = || {
        let shown: String = text.chars().take(40).collect();
        format!(
            "{shown:?} is not a time like 2026-04-10T02:34:00Z (with its zone), seconds since 1970, or now-15m"
        )
    };
    if let Some(back) = text.strip_prefix("now") {
        return match back.strip_prefix('-') {
            None if back.is_empty() => Ok(now),
            Some(back) => Ok(now.saturating_sub(duration(back)?)),
            None => Err(wrong()),
        };
    }
    let is_number = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    if is_number && text.len() >= 9 {
        let (seconds, part) = text.split_once('.').unwrap_or((text, ""));
        let seconds: u64 = seconds.parse().map_err(|_| wrong())?;
        if part.contains('.') || seconds > 32_503_680_000 {
            return Err(wrong());
        }
        return Ok(seconds * 1000 + thousandths(part));
    }
    read_rfc3339(text).ok_or_else(wrong)
}

/// The first three digits after the point.
fn thousandths(digits: &str) -> u64 {
    let padded: String = digits.chars().chain("000".chars()).take(3).collect();
    padded.parse().unwrap_or(0)
}

fn read_rfc3339(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let part = text.get(from..to)?;
        let is_number = part.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| part.parse().ok()).flatten()
    };
    let sign =
        |at: usize, signs: &[char]| text.get(at..).is_some_and(|rest| rest.starts_with(signs));
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let days_of_month = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !sign(4, &['-']) || !sign(7, &['-']) || !(1..=days_of_month).contains(&day) || year < 1970 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    if text.len() == 10 {
        return u64::try_from(days * 86_400_000).ok();
    }
    let (hour, minute) = (number(11, 13)?, number(14, 16)?);
    if !sign(10, &['T', 't', ' ']) || !sign(13, &[':']) || hour > 23 || minute > 59 {
        return None;
    }
    let (mut second, mut fraction, mut rest) = (0, 0, text.get(16..)?);
    if rest.starts_with(':') {
        second = number(17, 19)?;
        rest = text.get(19..)?;
    }
    if let Some(tail) = rest.strip_prefix('.') {
        let digits = tail
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (part, tail) = tail.split_at_checked(digits)?;
        if part.is_empty() {
            return None;
        }
        fraction = i64::try_from(thousandths(part)).ok()?;
        rest = tail;
    }
    if second > 60 {
        return None;
    }
    let offset = offset(rest)?;
    let minutes = (days * 24 + hour) * 60 + minute - offset;
    u64::try_from((minutes * 60 + second) * 1000 + fraction).ok()
}

/// Minutes east of Greenwich.
fn offset(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let sign = match text.bytes().next()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let is_pair = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    if !is_pair(hours) || !is_pair(minutes) {
        return None;
    }
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, from 1970 on.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // The year begins with March, so that the leap day is its last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let of_era = year % 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_231_000)
    }

    #[test]
    fn durations_are_those_of_prometheus() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("1h30m", 5400),
            ("2w", 1_209_600),
            ("1d", 86_400),
            ("1000ms", 1),
        ] {
            assert_eq!(duration(text), Ok(seconds * 1000), "{text}");
        }
        for text in [
            "",
            "0s",
            "m",
            "15",
            "15M",
            "1.5h",
            "-5m",
            "30m1h",
            "1m1m",
            "5m]) or up",
            "5m ",
            "2y",
            "99999999999999999999s",
            "18446744073709551615w",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_are_read_as_rfc_3339_seconds_or_relative() {
        let now = millis(now());
        for (text, expected) in [
            ("2026-07-28T09:30:00.125Z", 1_785_231_000_125),
            ("2026-07-28T11:30:00+02:00", 1_785_231_000_000),
            ("2026-07-28 04:00-05:30", 1_785_231_000_000),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("1970-01-01", 0),
            ("1785231000", 1_785_231_000_000),
            ("1785231000.5", 1_785_231_000_500),
            ("now", now),
            ("now-1h", now - 3_600_000),
        ] {
            assert_eq!(moment(text, now), Ok(expected), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2026-07-28T09:30:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01",
            "2026-07-28T24:00:00Z",
            "2026-07-28T09:30:00+2:00",
            "2026-07-28T09:30:00.Z",
            "now+1h",
            "nowhere",
            "1.2.3456789",
            "99999999999",
            "2026-07-28T09:30:00Z&query=up",
            "ü026-07-28",
        ] {
            assert!(moment(text, now).is_err(), "{text}");
        }
    }

    #[test]
    fn a_span_is_what_was_asked_for_or_says_what_is_wrong() {
        let of = |start, end, step, raw_time| {
            Span::of(
                &Wanted {
                    start,
                    end,
                    step,
                    raw_time,
                },
                now(),
            )
        };
        let plain = of(None, None, None, None).unwrap();
        assert_eq!(
            (&*plain.range, &*plain.window, &*plain.step_text),
            ("15m", "1m", "15s")
        );
        assert_eq!((plain.end - plain.start, plain.is_named), (900_000, false));
        let week = of(None, None, None, Some("7d")).unwrap();
        assert_eq!((&*week.step_text, &*week.window), ("42m", "42m"));
        let named = of(
            Some("2026-07-28T08:00:00Z"),
            Some("2026-07-28T09:00:00Z"),
            Some("60"),
            None,
        );
        let named = named.unwrap();
        assert_eq!(
            (&*named.range, &*named.step_text, named.step),
            ("1h", "60", 60_000)
        );
        assert!(named.is_named);
        let ending = of(None, Some("now-1h"), None, Some("30m")).unwrap();
        assert_eq!(ending.end - ending.start, 1_800_000);
        for (start, end, step, raw_time, says) in [
            (Some("now"), Some("now-1h"), None, None, "must be before"),
            (
                Some("2099-01-01"),
                Some("2099-01-02"),
                None,
                None,
                "in the future",
            ),
            (Some("2020-01-01"), None, None, None, "366 days"),
            (None, None, Some("15s"), Some("7d"), "take 55s or more"),
            (None, None, Some("1ms"), None, "at least 1s"),
            (None, None, Some("x"), None, "`step`"),
            (None, None, None, Some("5m]"), "`raw_time`"),
            (Some("x"), None, None, None, "`start`"),
        ] {
            let error = of(start, end, step, raw_time).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(millis in 0_u64..30_000_000_000_000, length in 1_u64..LONGEST) {
            prop_assert_eq!(moment(&time_text(millis), 0), Ok(millis));
            prop_assert_eq!(duration(&duration_text(length)), Ok(length));
        }

        #[test]
        fn nothing_but_letters_and_digits_is_a_duration(text in "\\PC{0,12}") {
            if duration(&text).is_ok() {
                prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric()));
            }
            let _ = moment(&text, 0);
        }

        #[test]
        fn no_series_has_more_points_than_prometheus_gives(length in 1_u64..LONGEST) {
            let (step, text) = step(None, length).unwrap();
            prop_assert!(length / step < 250);
            prop_assert_eq!(duration(&text), Ok(step));
        }
    }
}
