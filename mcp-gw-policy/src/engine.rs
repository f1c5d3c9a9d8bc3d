//! The engine: the policy in force, which can be replaced while it is asked.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use mcp_gw_core::{
    AccessRequest, Clock, Decision, Effect, ListPolicy, Policy, PolicyVersion, ShadowVerdict,
    SystemClock,
};

use crate::aside::{self, Aside};
use crate::challenge::missing_scopes;
use crate::compile::{Known, compile};
use crate::condition::Facts;
use crate::config::{Mode, OnDenied, PolicyConfig};
use crate::decide::{Outcome, Session, Side};
use crate::explain::{Explanation, explain};
use crate::fault::{FaultPath, PolicyFault, PolicyFaults};
use crate::set::PolicySet;
use crate::shadow::ShadowLog;
use crate::stats::{Counters, PolicyStats};

/// Decides who may use what, by the rules of a [`PolicyConfig`].
///
/// A decision is a pure function of the policy and the request: no I/O, no lock, no panic. The
/// policy is immutable and replaced as a whole by [`PolicyEngine::reload`]; a request, and a list of
/// them, sees one. A clone is another handle to the same engine.
///
/// As a [`Policy`] it makes those decisions that may take longer than a few milliseconds on the threads
/// that tokio has for blocking work, as many at a time as there are processors; without a runtime, and by
/// [`PolicyEngine::decide_now`], everything is decided where it is asked.
#[derive(Clone)]
pub struct PolicyEngine {
    shared: Arc<Shared>,
}

struct Shared {
    current: ArcSwap<PolicySet>,
    counters: Counters,
    clock: Arc<dyn Clock>,
    began: Instant,
    aside: Aside,
}

/// A policy that was put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reloaded {
    /// Its version.
    pub version: PolicyVersion,
    /// True when it says something else than the one before.
    pub is_new: bool,
    /// What looks wrong with it.
    pub warnings: Vec<PolicyFault>,
}

/// A policy that is compiled and not in force yet, see [`PolicyEngine::prepare`].
#[derive(Debug)]
#[must_use = "it is not in force yet"]
pub struct PreparedPolicy(PolicySet);

impl PolicyEngine {
    /// Compiles a policy.
    ///
    /// # Errors
    /// Everything that is wrong with the policy.
    pub fn compile(config: &PolicyConfig) -> Result<Self, PolicyFaults> {
        Self::with_clock(config, Arc::new(SystemClock::new()))
    }

    /// As [`PolicyEngine::compile`], with the clock that decisions are timed by.
    ///
    /// # Errors
    /// Everything that is wrong with the policy.
    pub fn with_clock(config: &PolicyConfig, clock: Arc<dyn Clock>) -> Result<Self, PolicyFaults> {
        let set = compile(config, &Known::new())?;
        let shared = Shared {
            current: ArcSwap::from_pointee(set),
            counters: Counters::default(),
            began: clock.now(),
            clock,
            aside: Aside::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Puts another policy in force, or leaves everything as it is (P-14). Counters of rules that
    /// keep their id go on.
    ///
    /// # Errors
    /// Everything that is wrong with the new policy; the old one stays in force.
    pub fn reload(&self, config: &PolicyConfig) -> Result<Reloaded, PolicyFaults> {
        self.prepare(config).map(|prepared| self.put(prepared))
    }

    /// The first half of [`PolicyEngine::reload`]: all that can fail, for who must know that nothing
    /// fails any more before anything changes.
    ///
    /// # Errors
    /// Everything that is wrong with the new policy.
    pub fn prepare(&self, config: &PolicyConfig) -> Result<PreparedPolicy, PolicyFaults> {
        let before = self.shared.current.load_full();
        let known = before
            .rules()
            .map(|rule| (Arc::clone(&rule.id), Arc::clone(&rule.counters)))
            .collect();
        match compile(config, &known) {
            Ok(set) => Ok(PreparedPolicy(set)),
            Err(faults) => {
                self.count_refused();
                Err(faults)
            }
        }
    }

    /// Puts what was prepared in force.
    pub fn put(&self, prepared: PreparedPolicy) -> Reloaded {
        let PreparedPolicy(set) = prepared;
        let (version, warnings) = (set.version, first_of(&set.warnings));
        let before = self.shared.current.swap(Arc::new(set));
        self.shared.counters.reloaded.fetch_add(1, Relaxed);
        Reloaded {
            version,
            is_new: version != before.version,
            warnings,
        }
    }

    /// Counts a policy that was refused before it came to [`PolicyEngine::reload`].
    pub fn count_refused(&self) {
        let counters = &self.shared.counters;
        counters.reload_failed.fetch_add(1, Relaxed);
    }

    /// The version of the policy in force.
    pub fn version(&self) -> PolicyVersion {
        self.shared.current.load().version
    }

    /// What looks wrong with the policy in force: the first 50, and how many more there are.
    pub fn warnings(&self) -> Vec<PolicyFault> {
        first_of(&self.shared.current.load().warnings)
    }

    /// A fault for each rule of the policy in force whose condition reads `tls`. Whoever cannot set
    /// [`RequestMeta::tls`](mcp_gw_core::RequestMeta::tls), because TLS ends somewhere else, refuses
    /// a policy that has any: what is never there can be in no rule on purpose. The programs of this
    /// workspace do.
    pub fn needs_tls(&self) -> Vec<PolicyFault> {
        self.shared.current.load().needs_tls.clone()
    }

    /// The steps that the conditions of any request, or of this one, may take at most.
    pub(crate) fn most_steps(&self, request: Option<&AccessRequest<'_>>) -> u64 {
        let set = self.shared.current.load();
        request.map_or(set.steps, |request| set.most_steps(request))
    }

    /// Room for decisions that may take long.
    pub(crate) fn aside(&self) -> &Aside {
        &self.shared.aside
    }

    /// How a refusal looks to the client.
    pub fn on_denied(&self) -> OnDenied {
        self.shared.current.load().on_denied
    }

    /// What it did so far.
    pub fn stats(&self) -> PolicyStats {
        let set = self.shared.current.load();
        let rules = set.rules();
        let rules = rules.map(|rule| {
            (
                Arc::clone(&rule.id),
                rule.effect,
                Arc::clone(&rule.counters),
            )
        });
        self.shared.counters.snapshot(rules)
    }

    /// Decides one request.
    ///
    /// Of several rules that allow, the decision names one for each layer; of those that deny, the
    /// first eight, and then `and N more`; so of those that cannot be evaluated.
    pub fn decide_now(&self, request: &AccessRequest<'_>) -> Decision {
        let set = self.shared.current.load();
        self.timed(|| {
            let identity = set.grants.identity(request.caller);
            let facts = Facts::new(request.caller, &identity, request.meta);
            let session = Session::new(&set, request.caller, &identity, &facts);
            let mut shadow = ShadowLog::default();
            let outcome = set.decide(&session, request);
            let decision = self.decision(&set, request, &outcome, &mut shadow);
            shadow.tell();
            decision
        })
    }

    /// Decides the items of a list in one pass: what is known of the caller is worked out once, and
    /// all items see the same policy. The answers are those of [`PolicyEngine::decide_now`], in any
    /// order, but where conditions that look at the items take more than 10,000 steps for each of them
    /// together with all else that a request may take: these conditions are then errors for all items.
    pub fn decide_all_now(&self, requests: &[AccessRequest<'_>]) -> Vec<Decision> {
        let set = self.shared.current.load();
        self.timed(|| {
            let mut shadow = ShadowLog::default();
            let decisions = set.decide_lists(requests, true, |request, outcome| {
                self.decision(&set, request, outcome, &mut shadow)
            });
            shadow.tell();
            decisions
        })
    }

    /// Tells why a request is decided as it is. It counts as no decision, and takes time in
    /// the number of rules.
    pub fn explain(&self, request: &AccessRequest<'_>) -> Explanation {
        let set = self.shared.current.load();
        let identity = set.grants.identity(request.caller);
        let facts = Facts::new(request.caller, &identity, request.meta);
        let start = self.shared.clock.now();
        let session = Session::new(&set, request.caller, &identity, &facts);
        let outcome = set.decide(&session, request);
        let took = self.since(start);
        explain(&set, &session, request, &outcome, took)
    }

    fn since(&self, start: Instant) -> Duration {
        self.shared.clock.now().saturating_duration_since(start)
    }

    fn timed<T>(&self, work: impl FnOnce() -> T) -> T {
        if !self.shared.counters.is_sampled() {
            return work();
        }
        let start = self.shared.clock.now();
        let done = work();
        self.shared.counters.time(self.since(start));
        done
    }

    /// Counts and logs an outcome, and makes the decision of it.
    fn decision(
        &self,
        set: &PolicySet,
        request: &AccessRequest<'_>,
        outcome: &Outcome<'_>,
        shadow: &mut ShadowLog,
    ) -> Decision {
        let side = &outcome.enforced;
        self.shared
            .counters
            .count(outcome.op, Mode::Enforce, side.effect, side.reason);
        let count = side.rules.len();
        let more = count.saturating_sub(MOST_NAMED);
        let room = count.min(MOST_NAMED) + usize::from(side.by_default.is_some() || more > 0);
        let mut decision = Decision::of(side.effect)
            .with_kind(side.reason.as_str())
            .with_version(set.version)
            .with_room(room.max(1));
        for (at, decider) in side.rules.iter().enumerate() {
            decider.rule.counters.hits.fetch_add(1, Relaxed);
            if at < MOST_NAMED {
                decision = decision.because(Arc::clone(&decider.rule.id));
            }
        }
        if more > 0 {
            decision = decision.because(and_more(more));
        }
        if let Some(layer) = side.by_default {
            decision = decision.because(set.default_of(side.effect, layer));
        } else if room == 0 {
            decision = decision.because(side.reason.as_str());
        }
        if side.effect == Effect::Deny && set.on_denied == OnDenied::Challenge {
            let missing = missing_scopes(set, request, outcome);
            if !missing.is_empty() {
                decision = decision.with_missing_scopes(missing);
            }
        }
        let decision = self.with_errors(decision, outcome);
        match &outcome.full {
            None => decision,
            Some(full) => {
                let would = self.would(set, outcome, full);
                let Some((effect, reasons)) = would else {
                    return decision;
                };
                shadow.take(request, effect, &reasons);
                let verdict = ShadowVerdict::new(effect, reasons);
                decision.with_shadow(verdict.with_kind(full.reason.as_str()))
            }
        }
    }

    /// Counts, logs and names the rules that cannot be evaluated.
    fn with_errors(&self, mut decision: Decision, outcome: &Outcome<'_>) -> Decision {
        if outcome.errors.is_empty() {
            return decision;
        }
        let minute = self.since(self.shared.began).as_secs() / 60;
        let (mut named, mut logged) = (0_usize, 0_usize);
        for (rule, is_shadow, why) in &outcome.errors {
            rule.counters.errors.fetch_add(1, Relaxed);
            if logged < MOST_NAMED && rule.counters.may_log(minute) {
                logged += 1;
                let effect = rule.effect.as_str();
                tracing::warn!(target: TARGET, rule = &*rule.id, effect, error = why, "a rule cannot be evaluated");
            }
            if !is_shadow {
                named += 1;
                if named <= MOST_NAMED {
                    decision = decision.with_errored_rule(Arc::clone(&rule.id), why);
                }
            }
        }
        match named.checked_sub(MOST_NAMED) {
            Some(more) if more > 0 => decision.with_error(and_more(more)),
            _ => decision,
        }
    }

    /// Counts what rules in shadow would have done, and gives it where it differs (P-12).
    fn would(
        &self,
        set: &PolicySet,
        outcome: &Outcome<'_>,
        full: &Side<'_>,
    ) -> Option<(Effect, Vec<Arc<str>>)> {
        for decider in full.rules.iter().filter(|decider| decider.is_shadow) {
            decider.rule.counters.hits.fetch_add(1, Relaxed);
        }
        if full.effect == outcome.enforced.effect {
            return None;
        }
        self.shared
            .counters
            .count(outcome.op, Mode::Shadow, full.effect, full.reason);
        let mut reasons: Vec<Arc<str>> = full
            .rules
            .iter()
            .take(MOST_NAMED)
            .map(|decider| Arc::clone(&decider.rule.id))
            .collect();
        let more = full.rules.len().saturating_sub(MOST_NAMED);
        if more > 0 {
            reasons.push(and_more(more).into());
        }
        if let Some(layer) = full.by_default {
            reasons.push(set.default_of(full.effect, layer).into());
        } else if reasons.is_empty() {
            reasons.push(full.reason.as_str().into());
        }
        Some((full.effect, reasons))
    }
}

/// The `tracing` target of what the policy logs.
pub(crate) const TARGET: &str = "mcp_gw::policy";

/// So many warnings of a policy are told.
const MOST_WARNINGS: usize = 50;

fn first_of(warnings: &[PolicyFault]) -> Vec<PolicyFault> {
    let mut first: Vec<PolicyFault> = warnings.iter().take(MOST_WARNINGS).cloned().collect();
    let more = warnings.len().saturating_sub(MOST_WARNINGS);
    if more > 0 {
        let message = format!("there are {more} more warnings");
        let fault = PolicyFault::new(FaultPath::root(), message);
        first.push(fault.with_help("`policy check` looks the whole over"));
    }
    first
}

/// So many rules are named in a decision, and as many errors logged for one.
pub(crate) const MOST_NAMED: usize = 8;

/// What stands for the others.
fn and_more(rules: usize) -> String {
    format!("and {rules} more")
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Policy for PolicyEngine {
    async fn decide(&self, request: &AccessRequest<'_>) -> Decision {
        aside::decide(self, request).await
    }

    async fn decide_all(&self, requests: &[AccessRequest<'_>]) -> Vec<Decision> {
        aside::decide_all(self, requests).await
    }

    fn is_uniform(&self) -> bool {
        self.shared.current.load().is_uniform
    }

    fn refuses_address(&self, addr: Option<IpAddr>) -> Option<&'static str> {
        let set = self.shared.current.load();
        if set.global.is_shadow {
            return None;
        }
        set.ip.refusal(addr)
    }

    fn as_of_now(&self) -> Option<Arc<dyn ListPolicy>> {
        Some(self.shared.current.load_full())
    }
}

impl fmt::Debug for PolicyEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyEngine")
            .field("version", &self.version().to_string())
            .finish_non_exhaustive()
    }
}
