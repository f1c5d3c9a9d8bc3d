//! Lists: their items are decided in one go. And what a policy shows in them, asked without a request:
//! whose lists are others than they were.

use mcp_gw_core::{AccessRequest, Effect, ListPolicy};

use crate::condition::Facts;
use crate::decide::{Outcome, Session};
use crate::op::Asked;
use crate::set::PolicySet;

impl ListPolicy for PolicySet {
    fn shows(&self, requests: &[AccessRequest<'_>]) -> Vec<Option<bool>> {
        self.decide_lists(requests, false, |_, outcome| self.shown(outcome))
    }
}

impl PolicySet {
    fn shown(&self, outcome: &Outcome<'_>) -> Option<bool> {
        // Who is refused for the address sees no list; in shadow, sees all.
        if self.global.is_shadow && !self.ip.is_empty() {
            return None;
        }
        (!outcome.by_request).then_some(outcome.enforced.effect == Effect::Allow)
    }

    /// Decides the items of lists, one after the other: those that follow one another with the same
    /// caller and request are one list. Addresses are looked at if `by_address`.
    ///
    /// What comes out for an item does not depend on the others, nor on their order, except that all
    /// together have a bound: a list that goes beyond it is decided again, without the conditions that
    /// look at the items and count steps. They are errors then, for all of its items.
    pub(crate) fn decide_lists<T>(
        &self,
        requests: &[AccessRequest<'_>],
        by_address: bool,
        mut finish: impl FnMut(&AccessRequest<'_>, &Outcome<'_>) -> T,
    ) -> Vec<T> {
        let mut done = Vec::with_capacity(requests.len());
        let mut rest = requests;
        while let Some(first) = rest.first() {
            let identity = self.grants.identity(first.caller);
            let is_same = |request: &&AccessRequest<'_>| {
                std::ptr::eq(first.caller, request.caller) && std::ptr::eq(first.meta, request.meta)
            };
            let (these, others) = rest.split_at(rest.iter().take_while(is_same).count());
            let items = u64::try_from(these.len()).unwrap_or(u64::MAX);
            let most = self.steps.saturating_add(items.saturating_mul(ITEM_STEPS));
            for steps in [most, 0] {
                let facts = Facts::new(first.caller, &identity, first.meta).with_steps(steps);
                let session = Session::new(self, first.caller, &identity, &facts);
                let session = session.of_list();
                let decide = |request| {
                    if by_address {
                        self.decide(&session, request)
                    } else {
                        self.decide_here(&session, request, Asked::of(request))
                    }
                };
                let outcomes: Vec<Outcome<'_>> = these.iter().map(decide).collect();
                if steps == 0 || facts.steps_left() > 0 {
                    let both = these.iter().zip(&outcomes);
                    done.extend(both.map(|(request, outcome)| finish(request, outcome)));
                    break;
                }
            }
            rest = others;
        }
        done
    }
}

/// Steps for each item of a list, for the conditions that look at it; besides all that one request
/// may take.
const ITEM_STEPS: u64 = 10_000;

#[cfg(test)]
mod tests {
    use mcp_gw_core::testing::access_request;
    use mcp_gw_core::{Caller, CallerKind, Phase, Policy, RequestMeta, Transport};

    use crate::{PolicyConfig, PolicyEngine};

    const NAMES: [&str; 4] = ["get_a", "get_b", "set_a", "drop"];

    fn engine(policy: &str) -> PolicyEngine {
        let config: PolicyConfig = serde_json::from_str(policy).unwrap();
        PolicyEngine::compile(&config).unwrap()
    }

    /// What is shown of [`NAMES`], a letter each: yes, no, or it depends.
    fn shown(engine: &PolicyEngine, caller: &Caller) -> String {
        let meta = RequestMeta::new("", Transport::Http);
        let requests = NAMES.map(|name| {
            let mut request = access_request(caller, &meta, name);
            (request.method, request.phase) = ("tools/list", Phase::List);
            request
        });
        let shown = engine.as_of_now().unwrap().shows(&requests);
        let letter = |shown: &Option<bool>| shown.map_or('?', |yes| if yes { 'y' } else { 'n' });
        shown.iter().map(letter).collect()
    }

    fn ann() -> Caller {
        Caller::new(CallerKind::ApiKey, "ann").with_roles(["admin"])
    }

    #[test]
    fn what_depends_on_the_request_is_not_guessed() {
        let bob = Caller::new(CallerKind::ApiKey, "bob");
        for (policy, of_ann, of_bob) in [
            (r#"{"default":"allow"}"#, "yyyy", "yyyy"),
            (r#"{"default":"deny"}"#, "nnnn", "nnnn"),
            (
                r#"{"rules":[{"id":"a","effect":"allow","tools":["get_*"],"who":{"ids":["ann"]}}]}"#,
                "yynn",
                "nnnn",
            ),
            (
                r#"{"rules":[{"id":"a","effect":"allow","tools":["get_*"],"when":"identity.has_role('admin')"}]}"#,
                "yynn",
                "nnnn",
            ),
            // A rule that looks at the address, for one caller and some names.
            (
                r#"{"default":"allow","rules":[{"id":"a","effect":"require","tools":["get_*"],"from":["10.0.0.0/8"],"who":{"roles":["admin"]}}]}"#,
                "??yy",
                "nnyy",
            ),
            (
                r#"{"default":"allow","rules":[{"id":"a","effect":"deny","tools":["drop"],"when":"request.time.getHours() < 8"}]}"#,
                "yyy?",
                "yyy?",
            ),
            // In shadow it hides nothing.
            (
                r#"{"default":"allow","rules":[{"id":"a","effect":"deny","mode":"shadow","when":"request.time.getHours() < 8"}]}"#,
                "yyyy",
                "yyyy",
            ),
            // Whoever lists at all has an address that is not refused.
            (
                r#"{"default":"allow","ip":{"allow":["10.0.0.0/8"]},"rules":[{"id":"a","effect":"deny","tools":["drop"]}]}"#,
                "yyyn",
                "yyyn",
            ),
            (
                r#"{"default":"allow","mode":"shadow","ip":{"allow":["10.0.0.0/8"]}}"#,
                "????",
                "????",
            ),
            // Arguments hide nothing (P-10).
            (
                r#"{"default":"allow","rules":[{"id":"a","effect":"deny","when":"mcp.tool.arguments.n > 1"}]}"#,
                "yyyy",
                "yyyy",
            ),
        ] {
            let engine = engine(policy);
            assert_eq!(shown(&engine, &ann()), of_ann, "{policy}");
            assert_eq!(shown(&engine, &bob), of_bob, "{policy}");
        }
    }

    #[test]
    fn it_stays_as_it_was_and_counts_nothing() {
        let engine = engine(r#"{"default":"allow"}"#);
        let (before, same) = (engine.as_of_now().unwrap(), engine.as_of_now().unwrap());
        assert!(std::sync::Arc::ptr_eq(&before, &same));
        let next: PolicyConfig = serde_json::from_str(r#"{"default":"deny"}"#).unwrap();
        engine.reload(&next).unwrap();
        assert_eq!(shown(&engine, &ann()), "nnnn");
        let (caller, meta) = (ann(), RequestMeta::new("", Transport::Http));
        let request = access_request(&caller, &meta, "drop");
        assert_eq!(before.shows(&[request]), [Some(true)]);
        assert!(engine.stats().decisions.is_empty());
    }
}
