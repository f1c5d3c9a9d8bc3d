//! A rule, ready to be asked: what it is about, and whether it applies.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use mcp_gw_core::{AccessRequest, Feature};

use crate::condition::{Condition, Facts, Possible, RequestFacts, Verdict};
use crate::config::{MatchOn, RuleEffect};
use crate::ip::Cidrs;
use crate::op::{Op, Ops};
use crate::pattern::Pattern;
use crate::rbac::{Identity, Who};
use crate::stats::RuleCounters;

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
    /// The steps that the condition has, whatever others take.
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
        request: &'a AccessRequest<'a>,
        op: Op,
        identity: &'a Identity<'a>,
        facts: &'a Facts<'f>,
    ) -> Self {
        Self {
            request,
            op,
            identity,
            facts: facts.of(request),
            known: None,
        }
    }

    /// The same, with what is known already.
    pub(crate) const fn with_known(mut self, known: Option<&'a Known>) -> Self {
        self.known = known;
        self
    }

    /// Asks a condition that has so many steps.
    fn ask(&self, when: &Arc<Condition>, steps: u64) -> Asked {
        let feature = self.op.feature();
        let in_list = self.op.is_list() && when.reads_arguments(feature);
        let ask = || {
            if in_list {
                Asked::Possible(when.possible(&self.facts, steps))
            } else {
                Asked::Verdict(when.evaluate_within(&self.facts, steps))
            }
        };
        // The arguments are those of one item.
        let is_shared = !when.reads_target() && (in_list || !when.reads_arguments(feature));
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
            None if when.counts_steps() && self.facts.steps_left() == 0 => {
                Asked::Verdict(Verdict::Error(USED_UP.to_owned()))
            }
            None => ask(),
        }
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
    /// outweighs one that cannot be told.
    pub(crate) fn holds(&self, question: &Question<'_, '_>) -> Holds {
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
        let asked = self.when.as_ref();
        let verdict = match asked.map(|when| question.ask(when, self.steps)) {
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
