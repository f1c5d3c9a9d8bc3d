//! How answers over HTTP tell of limits.

use std::fmt::Write as _;
use std::time::Duration;

use mcp_gw_core::LimitStanding;

/// The most that an integer of a structured field may be (RFC 9651 §3.3.1).
const MOST: u64 = 999_999_999_999_999;

/// So many policies are told of, the tightest: headers have a length that clients and proxies bear.
const MOST_TOLD: usize = 16;

/// The header fields that tell of limits; empty when none applied. `standings` begin with the
/// tightest, as those of an [`Admission`](mcp_gw_core::Admission) do.
///
/// - `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers, §3 and §4, as of
///   September 2025): the policies, the tightest 16 if there are more, and where the caller stands with the tightest; `t` is the time
///   until its quota is whole again, and that of `Retry-After` when it refused for a time.
/// - `X-RateLimit-Limit`, `-Remaining` and `-Reset`: the same of the tightest. The limit is what is left
///   when nothing was used: the quota with its burst, or a bucket's burst. The reset is a number of
///   seconds from now, not a time.
/// - `Retry-After` (RFC 9110 §10.2.3), in seconds, when a limit refused and will ever admit.
pub fn headers(standings: &[LimitStanding]) -> Vec<(&'static str, String)> {
    let Some(first) = standings.first() else {
        return Vec::new();
    };
    // What never fits has nothing to wait for.
    let retry = first.retry_after.filter(|retry| *retry != Duration::MAX);
    let wait = match retry {
        Some(retry) => seconds(retry).max(1),
        None => seconds(first.quota.reset),
    };
    // What is left is a part of this, with a burst too.
    let most = first.capacity.max(first.quota.remaining);
    let mut fields = vec![
        ("ratelimit-policy", policies(standings)),
        ("ratelimit", tightest(first, wait)),
        ("x-ratelimit-limit", most.to_string()),
        ("x-ratelimit-remaining", first.quota.remaining.to_string()),
        ("x-ratelimit-reset", wait.to_string()),
    ];
    if retry.is_some() {
        fields.push(("retry-after", wait.to_string()));
    }
    fields
}

/// The value of `RateLimit`.
fn tightest(first: &LimitStanding, wait: u64) -> String {
    let mut value = String::with_capacity(first.name.len() + 48);
    push_string(&mut value, &first.name);
    let (left, wait) = (first.quota.remaining.min(MOST), wait.min(MOST));
    // Writing to a string does not fail.
    let _ = write!(value, ";r={left};t={wait}");
    value
}

/// The value of `RateLimit-Policy`.
fn policies(standings: &[LimitStanding]) -> String {
    let told = standings.iter().take(MOST_TOLD);
    let length = told.clone().map(|standing| standing.name.len() + 48);
    let mut list = String::with_capacity(length.sum());
    for standing in told {
        if !list.is_empty() {
            list.push_str(", ");
        }
        push_string(&mut list, &standing.name);
        // Writing to a string does not fail.
        let _ = write!(list, ";q={}", standing.quota.limit.min(MOST));
        match standing.window {
            // Windows are whole seconds there.
            Some(window) => {
                let _ = write!(list, ";w={}", seconds(window).clamp(1, MOST));
            }
            None => list.push_str(";qu=\"concurrent-requests\""),
        }
        if standing.burst > 0 {
            let _ = write!(list, ";mcp-gw-burst={}", standing.burst.min(MOST));
        }
    }
    list
}

/// Whole seconds, rounded up, so that nobody comes too early.
fn seconds(duration: Duration) -> u64 {
    let more = u64::from(duration.subsec_nanos() > 0);
    duration.as_secs().saturating_add(more)
}

/// Writes a string of a structured field (RFC 9651 §3.3.3).
fn push_string(quoted: &mut String, text: &str) {
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mcp_gw_core::Quota;
    use proptest::prelude::*;

    use super::*;

    /// A list of strings with parameters, as RFC 9651 §4.2.1 reads it.
    fn parse(text: &str) -> Option<Vec<(String, BTreeMap<String, String>)>> {
        let mut rest = text;
        let mut items = Vec::new();
        loop {
            let (name, after) = string_of(rest)?;
            rest = after;
            let mut parameters = BTreeMap::new();
            while let Some(parameter) = rest.strip_prefix(';') {
                let (key, value) = parameter.split_once('=')?;
                let is_key =
                    |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.*".contains(c);
                if key.is_empty() || !key.chars().all(is_key) {
                    return None;
                }
                let (value, after) = string_of(value).or_else(|| integer_of(value))?;
                parameters.insert(key.to_owned(), value);
                rest = after;
            }
            items.push((name, parameters));
            if rest.is_empty() {
                return Some(items);
            }
            rest = rest.strip_prefix(',')?.trim_start_matches([' ', '\t']);
        }
    }

    fn integer_of(text: &str) -> Option<(String, &str)> {
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (digits, after) = text.split_at(end);
        (1..=15).contains(&end).then(|| (digits.to_owned(), after))
    }

    fn string_of(text: &str) -> Option<(String, &str)> {
        let mut rest = text.strip_prefix('"')?.chars();
        let mut read = String::new();
        loop {
            match rest.next()? {
                '"' => return Some((read, rest.as_str())),
                '\\' => read.push(rest.next().filter(|c| matches!(c, '"' | '\\'))?),
                c @ ' '..='~' => read.push(c),
                _ => return None,
            }
        }
    }

    fn standing(name: &str, limit: u64, remaining: u64, reset: u64) -> LimitStanding {
        let quota = Quota::new(limit, remaining, Duration::from_millis(reset));
        LimitStanding::new(name, quota, Some(Duration::from_secs(60)))
    }

    #[test]
    fn fields_say_what_the_draft_says() {
        let tight = standing("caller", 100, 12, 6_001).with_burst(20);
        let quota = Quota::new(8, 30, Duration::ZERO);
        let busy = LimitStanding::new("busy", quota, None);
        let day = LimitStanding::new(
            "day",
            Quota::new(5_000, 400, Duration::from_secs(9)),
            Some(Duration::from_secs(86_400)),
        );
        let all = [tight.clone(), busy, day];
        assert_eq!(
            headers(&all),
            [
                (
                    "ratelimit-policy",
                    "\"caller\";q=100;w=60;mcp-gw-burst=20, \
                     \"busy\";q=8;qu=\"concurrent-requests\", \"day\";q=5000;w=86400"
                        .to_owned()
                ),
                ("ratelimit", "\"caller\";r=12;t=7".to_owned()),
                ("x-ratelimit-limit", "100".to_owned()),
                ("x-ratelimit-remaining", "12".to_owned()),
                ("x-ratelimit-reset", "7".to_owned()),
            ]
        );
        let refused = headers(&[tight.refused(Duration::from_millis(1))]);
        assert_eq!(refused[1].1, "\"caller\";r=12;t=1");
        assert_eq!(refused.last(), Some(&("retry-after", "1".to_owned())));
        assert_eq!(headers(&[]), []);
    }

    #[test]
    fn nobody_is_told_to_come_back_when_it_never_helps() {
        let never = headers(&[standing("l", 1, 1, 0).refused(Duration::MAX)]);
        assert!(never.iter().all(|(name, _)| *name != "retry-after"));
    }

    #[test]
    fn what_is_left_is_no_more_than_the_limit() {
        let told = |quota, capacity, left| {
            let standing = standing("l", quota, left, 0).with_burst(5);
            let fields: BTreeMap<_, _> = headers(&[standing.with_capacity(capacity)])
                .into_iter()
                .collect();
            let number = |name| fields[name].parse::<u64>().unwrap();
            (number("x-ratelimit-limit"), number("x-ratelimit-remaining"))
        };
        assert_eq!(told(5, 10, 9), (10, 9), "a window with a burst");
        assert_eq!(told(600, 20, 19), (20, 19), "a bucket");
    }

    /// Units of a window in parts count for up to a sixtieth longer.
    #[test]
    fn who_has_to_wait_longer_than_a_year_is_told_how_long() {
        let wait = Duration::from_secs(366 * 86_400 * 61 / 60);
        let refused = headers(&[standing("l", 257, 0, 0).refused(wait)]);
        let last = refused.last().unwrap();
        assert_eq!(last, &("retry-after", wait.as_secs().to_string()));
    }

    #[test]
    fn the_list_of_policies_has_a_bound() {
        let all: Vec<_> = (0..500)
            .map(|n| standing(&format!("limit-{n}"), 9, 1, 1))
            .collect();
        let fields: BTreeMap<_, _> = headers(&all).into_iter().collect();
        let told = parse(&fields["ratelimit-policy"]).unwrap();
        assert_eq!((told.len(), &*told[0].0), (MOST_TOLD, "limit-0"));
    }

    proptest! {
        #[test]
        fn fields_are_structured_and_t_is_not_after_retry_after(
            names in proptest::collection::vec(".{0,12}", 1..4), limit: u64, remaining: u64,
            reset: u64, retry in proptest::option::of(any::<u64>()), window in 1_u64..100_000_000,
        ) {
            let all: Vec<_> = names.iter().map(|name| {
                let mut standing = standing(name, limit, remaining, reset);
                standing.window = Some(Duration::from_millis(window));
                standing.retry_after = retry.map(Duration::from_millis);
                standing
            }).collect();
            let fields: BTreeMap<_, _> = headers(&all).into_iter().collect();
            let policies = parse(&fields["ratelimit-policy"]);
            let policies = policies.expect("a list");
            prop_assert_eq!(policies.len(), names.len());
            for (_, parameters) in policies {
                prop_assert!(parameters.contains_key("q"));
                prop_assert!(parameters["w"].parse::<u64>().unwrap() > 0);
            }
            let limits = parse(&fields["ratelimit"]).expect("a list");
            prop_assert!(limits[0].1.contains_key("r"));
            let t: u64 = limits[0].1["t"].parse().unwrap();
            if let Some(after) = fields.get("retry-after") {
                let after = after.parse::<u64>().unwrap();
                prop_assert!(t <= after && after >= 1);
                prop_assert!(Duration::from_secs(after) >= Duration::from_millis(retry.unwrap()));
            }
        }
    }
}
