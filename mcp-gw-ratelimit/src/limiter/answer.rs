//! From what a store says of each demand to what the limiter says of the call.

use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::{Admission, LimitStanding, LimiterError, Quota};

use super::{Limit, Part, Standing};

/// What a limiter says, given where the call stands with each limit.
pub(super) fn admission(mut all: Vec<LimitStanding>) -> Admission {
    sort(&mut all);
    // All have to be waited for.
    let refused = all
        .first()
        .and_then(|first| Some((first, first.retry_after?)));
    let answer = match refused {
        Some((first, retry)) => Admission::limited(Arc::clone(&first.name), first.quota, retry),
        None => Admission::admitted(all.first().map(|first| first.quota)),
    };
    answer.with_standings(all)
}

/// The same answer, with more limits that applied and refuse nothing.
pub(super) fn with(answer: Admission, more: Vec<LimitStanding>) -> Admission {
    let (Admission::Admitted { standings, .. } | Admission::Limited { standings, .. }) = answer
    else {
        return answer;
    };
    admission(standings.into_iter().chain(more).collect())
}

/// The tightest first: what refuses, the longest first, and then what has the least left.
pub(super) fn sort(all: &mut [LimitStanding]) {
    all.sort_by(LimitStanding::by_tightness);
}

/// One standing for each part; a part has one or two demands.
pub(super) fn of_parts(
    parts: &[Part<'_>],
    standings: &[Standing],
) -> Result<Vec<LimitStanding>, LimiterError> {
    let mut standings = standings.iter();
    let each = parts.iter().map(|part| {
        let mut own = Vec::with_capacity(2);
        for limit in part.quotas.limits() {
            own.push(standing(part, limit, standings.next()?));
        }
        sort(&mut own);
        own.into_iter().next()
    });
    let each: Option<_> = each.collect();
    each.ok_or_else(|| LimiterError::new("the store has not answered all demands"))
}

fn standing(part: &Part<'_>, limit: &Limit, standing: &Standing) -> LimitStanding {
    let quota = Quota::new(part.quotas.quota, standing.remaining, standing.reset);
    let window = Some(part.quotas.main.window());
    let told = LimitStanding::new(Arc::clone(&part.rule.name), quota, window);
    let told = told
        .with_burst(part.quotas.burst)
        .with_capacity(limit.capacity());
    if standing.admitted {
        return told;
    }
    told.refused(standing.retry_after.unwrap_or(Duration::MAX))
}
