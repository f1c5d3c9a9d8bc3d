//! Which scopes a caller would have needed (B-9): for the mode `challenge` only.

use mcp_gw_core::{AccessRequest, Effect};

use crate::compile::REQUEST_STEPS;
use crate::condition::Facts;
use crate::decide::{Outcome, Session};
use crate::rbac::{FEW_TRIES, MOST_TRIES, smallest_missing};
use crate::rule::Rule;
use crate::set::PolicySet;
use crate::subject::Names;

/// The fewest scopes that would turn this refusal into an allow; of several such sets the one with the
/// least rights. Empty when scopes would not help.
pub(crate) fn missing_scopes(
    set: &PolicySet,
    request: &AccessRequest<'_>,
    outcome: &Outcome<'_>,
) -> Vec<String> {
    let (Some(op), Ok(names)) = (outcome.op, Names::of(request)) else {
        return Vec::new();
    };
    let is_about = |rule: &&Rule| {
        !rule.scopes.is_empty()
            && rule.is_about_name(op, rule.subject(&names.client, &names.upstream))
    };
    let asked_for = set
        .rules()
        .filter(is_about)
        .flat_map(|rule| &rule.scopes)
        .map(|scope| &**scope);
    let identity = set.grants.identity(request.caller);
    let mut candidates: Vec<&str> = asked_for
        .chain(set.grants.named_scopes().iter().map(String::as_str))
        .filter(|scope| !identity.scopes().any(|held| held == *scope))
        .collect();
    // The least rights first.
    candidates.sort_unstable();
    candidates.dedup();
    candidates.sort_by_cached_key(|scope| (set.grants.weight(scope), *scope));
    let arguments = request
        .arguments
        .map_or(0, |arguments| arguments.as_raw().len());
    let tries = if arguments > LONG {
        FEW_TRIES
    } else {
        MOST_TRIES
    };
    // Each of them asks all rules anew; their conditions share what those of a request may take.
    let rules = set.rules().count().max(1);
    let tries = tries.min((MOST_ASKED / rules).max(1));
    let mut steps = set.steps.max(REQUEST_STEPS);
    let missing = smallest_missing(&candidates, tries, |scopes| {
        let identity = set.grants.identity_with(request.caller, scopes);
        let facts = Facts::new(request.caller, &identity, request.meta).with_steps(steps);
        let session = Session::new(set, request.caller, &identity, &facts);
        let effect = set.decide(&session, request).enforced.effect;
        steps = facts.steps_left();
        effect == Effect::Allow && steps > 0
    });
    missing.into_iter().map(str::to_owned).collect()
}

/// So many rules are asked for one challenge.
const MOST_ASKED: usize = 100_000;

/// Bytes of arguments from which on few sets are tried.
const LONG: usize = 4096;
