//! A rule, ready to be asked: what it is about, and whether it applies.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use mcp_gw_core::{AccessRequest, Feature};

use crate::compile::Shares;
use crate::condition::{Condition, Possible, RequestFacts, Verdict};
use crate::config::{MatchOn, RuleEffect};
use crate::decide::Session;
use crate::ip::Cidrs;
use crate::op::{Op, Ops};
use crate::pattern::Pattern;
use crate::rbac::{Identity, Who};
use crate::set::PolicySet;
use crate::stats::RuleCounters;
use crate::subject::Names;

/// A rule of a layer.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: Arc<str>,
    pub(crate) effect: RuleEffect,
    pub(crate) is_shadow: bool,
    pub(crate) match_on: MatchOn,
    /// What it is about, for explanations; the index has it too.
    pub(crate) targets: Box<[Target]>,
    pub(crate) servers: Option<Box<[Arc<Pattern>]>>,
    pub(crate) who: Option<Who>,
    pub(crate) from: Option<Cidrs>,
    pub(crate) when: Option<Arc<Condition>>,
    /// The steps that the condition has, or has a share of: see [`Shares`].
    pub(crate) steps: u64,
    /// The scopes that `who` and `when` name.
    pub(crate) scopes: Box<[Box<str>]>,
    pub(crate) counters: Arc<RuleCounters>,
}

/// Some operations and the names in them.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) ops: Ops,
    pub(crate) patterns: Box<[Arc<Pattern>]>,
}

/// One question, with what is shared by all rules that are asked.
pub(crate) struct Question<'a, 'f> {
    pub(crate) request: &'a AccessRequest<'a>,
    pub(crate) op: Op,
    pub(crate) identity: &'a Identity<'a>,
    pub(crate) facts: RequestFacts<'a, 'f>,
    /// The same about a URI with everything decoded, where that is another one: how a server may read it.
    other: Option<RequestFacts<'a, 'f>>,
    /// What a condition has of its steps.
    shares: Shares,
    /// For the items of a list: what came out the same for all of them.
    pub(crate) known: Option<&'a Known>,
}

/// What conditions came to that do not look at what is asked for, by condition, feature and steps.
#[derive(Debug, Default)]
pub(crate) struct Known(RefCell<HashMap<(usize, Feature, u64), Asked>>);

/// What a condition came to.
#[derive(Debug, Clone)]
enum Asked {
    Verdict(Verdict),
    /// In a list, where there are no arguments (P-10).
    Possible(Possible),
}

impl<'a, 'f> Question<'a, 'f> {
    pub(crate) fn new(
        set: &PolicySet,
        session: &Session<'a, 'f>,
        request: &'a AccessRequest<'a>,
        op: Op,
        names: &'a Names<'a>,
    ) -> Self {
        let facts = session.facts;
        let other = names.decoded.as_ref();
        Self {
            request,
            op,
            identity: session.identity,
            facts: facts.of(request, &names.client),
            other: other.map(|(client, _)| facts.of(request, client)),
            shares: set.shares(session, request, names),
            known: None,
        }
    }

    /// The same, with what is known already.
    pub(crate) const fn with_known(mut self, known: Option<&'a Known>) -> Self {
        self.known = known;
        self
    }

    /// Asks the condition of a rule. What takes away is asked about both readings of a URI.
    fn ask(&self, rule: &Rule, is_shadow: bool) -> Option<Asked> {
        let when = rule.when.as_ref()?;
        let steps = |is_shared| self.shares.of(rule.steps, is_shadow, is_shared);
        let asked = self.ask_about(&self.facts, when, steps);
        let other = self.other.as_ref().filter(|_| when.reads_target());
        let other = other.map(|facts| self.ask_about(facts, when, steps));
        Some(match (rule.effect, asked, other) {
            (RuleEffect::Deny, Asked::Verdict(here), Some(Asked::Verdict(there))) => {
                Asked::Verdict(either(here, there))
            }
            (RuleEffect::Require, Asked::Verdict(here), Some(Asked::Verdict(there))) => {
                Asked::Verdict(both(here, there))
            }
            (_, asked, _) => asked,
        })
    }

    /// Asks a condition that has so many steps: fewer, perhaps, where what it says is for all of a list.
    fn ask_about(
        &self,
        facts: &RequestFacts<'_, '_>,
        when: &Arc<Condition>,
        steps: impl Fn(bool) -> u64,
    ) -> Asked {
        let feature = self.op.feature();
        let in_list = self.op.is_list() && when.reads_arguments(feature);
        // The arguments are those of one item.
        let is_shared = !when.reads_target() && (in_list || !when.reads_arguments(feature));
        let steps = steps(is_shared);
        let ask = || {
            if in_list {
                Asked::Possible(when.possible(facts, steps))
            } else {
                Asked::Verdict(when.evaluate_within(facts, steps))
            }
        };
        match self.known.filter(|_| is_shared) {
            Some(Known(known)) => {
                let key = (Arc::as_ptr(when).addr(), feature, steps);
                let before = known.borrow().get(&key).cloned();
                before.unwrap_or_else(|| {
                    let asked = ask();
                    known.borrow_mut().insert(key, asked.clone());
                    asked
                })
            }
            // What all evaluations together may take is used up, and it tells for none of them.
            None if when.counts_steps() && facts.steps_left() == 0 => {
                Asked::Verdict(Verdict::Error(USED_UP.to_owned()))
            }
            None => ask(),
        }
    }
}

/// Holds if one does; cannot be told if one cannot.
fn either(here: Verdict, there: Verdict) -> Verdict {
    match (here, there) {
        (Verdict::True, _) | (_, Verdict::True) => Verdict::True,
        (Verdict::Error(why), _) | (_, Verdict::Error(why)) => Verdict::Error(why),
        (Verdict::False, Verdict::False) => Verdict::False,
    }
}

/// Holds if both do; cannot be told if one cannot.
fn both(here: Verdict, there: Verdict) -> Verdict {
    match (here, there) {
        (Verdict::False, _) | (_, Verdict::False) => Verdict::False,
        (Verdict::Error(why), _) | (_, Verdict::Error(why)) => Verdict::Error(why),
        (Verdict::True, Verdict::True) => Verdict::True,
    }
}

const USED_UP: &str = "the conditions for one list take more steps than they may";

/// Whether what a rule says of caller, address and condition holds.
#[derive(Debug, PartialEq)]
pub(crate) enum Holds {
    Yes,
    No(Part),
    /// It cannot be told (P-4).
    Error(String),
}

/// A part of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Who(&'static str),
    From,
    When,
}

impl Rule {
    /// True when it is about what this server offers.
    pub(crate) fn is_about_server(&self, server: &str) -> bool {
        match &self.servers {
            None => true,
            Some(servers) => servers.iter().any(|pattern| pattern.matches(server)),
        }
    }

    /// Whether caller, address and condition are as the rule says. A part that does not hold
    /// outweighs one that cannot be told. `is_shadow` says whose steps its condition shares.
    pub(crate) fn holds(&self, question: &Question<'_, '_>, is_shadow: bool) -> Holds {
        let request = question.request;
        if let Some(who) = &self.who {
            if let Some(key) = who.miss(request.caller, question.identity) {
                return Holds::No(Part::Who(key));
            }
        }
        let mut unknown = None;
        if let Some(from) = &self.from {
            match request.meta.client_addr {
                Some(address) if from.contains(address) => {}
                Some(_) => return Holds::No(Part::From),
                None => unknown = Some("the address of the client is not known".to_owned()),
            }
        }
        let verdict = match question.ask(self, is_shadow) {
            // What the arguments could be counts in favour (P-10).
            Some(Asked::Possible(may_be)) => match self.effect {
                RuleEffect::Allow | RuleEffect::Require if may_be.truth => Verdict::True,
                RuleEffect::Deny if !may_be.falsehood => Verdict::True,
                RuleEffect::Deny => Verdict::False,
                _ if may_be.falsehood => Verdict::False,
                _ => Verdict::Error("it cannot be true, whatever the arguments are".to_owned()),
            },
            Some(Asked::Verdict(verdict)) => verdict,
            None => Verdict::True,
        };
        match (verdict, unknown) {
            (Verdict::False, _) => Holds::No(Part::When),
            (Verdict::Error(why), _) | (Verdict::True, Some(why)) => Holds::Error(why),
            (Verdict::True, None) => Holds::Yes,
        }
    }

    /// The name that it is compared with.
    pub(crate) fn subject<'r>(&self, client: &'r str, upstream: &'r str) -> &'r str {
        match self.match_on {
            MatchOn::Name => client,
            MatchOn::UpstreamName => upstream,
        }
    }

    pub(crate) fn is_about_op(&self, op: Op) -> bool {
        self.targets.iter().any(|target| target.ops.contains(op))
    }

    pub(crate) fn is_about_name(&self, op: Op, name: &str) -> bool {
        let mut targets = self.targets.iter().filter(|target| target.ops.contains(op));
        targets.any(|target| target.patterns.iter().any(|pattern| pattern.matches(name)))
    }

    /// True when the answer to `op` may differ between two requests of one caller for the same thing.
    pub(crate) fn looks_at_request(&self, op: Op) -> bool {
        let of_condition = |when: &Condition| {
            // In a list nothing is asked of one that reads arguments, see `holds`.
            when.reads_request() && !(op.is_list() && when.reads_arguments(op.feature()))
        };
        self.from.is_some() || self.when.as_ref().is_some_and(|when| of_condition(when))
    }

    /// True when the answer may differ between callers or requests for the same thing.
    pub(crate) fn looks_at_caller(&self) -> bool {
        let when = self.when.as_deref();
        let may_differ = |when: &Condition| when.reads_caller() || when.counts_steps();
        self.who.is_some() || self.from.is_some() || when.is_some_and(may_differ)
    }
}
