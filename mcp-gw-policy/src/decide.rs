//! The decision: a pure function of a policy and a request.

use mcp_gw_core::{AccessRequest, Caller, Effect};

use crate::condition::Facts;
use crate::config::{MatchOn, RuleEffect};
use crate::explain::Reason;
use crate::index::{Asker, RuleIndex};
use crate::op::{Asked, Op};
use crate::rbac::Identity;
use crate::rule::{Holds, Known, Part, Question, Rule};
use crate::set::{Consumers, Layer, PolicySet};
use crate::subject::Names;

/// What a policy says of a request.
#[derive(Debug)]
pub(crate) struct Outcome<'p> {
    pub(crate) op: Option<Op>,
    pub(crate) enforced: Side<'p>,
    /// How it would have come out had all rules been in force; `None` when all are, or had no say.
    pub(crate) full: Option<Side<'p>>,
    /// Rules that could not be evaluated, and whether they are in shadow.
    pub(crate) errors: Vec<(&'p Rule, bool, String)>,
    /// Another request of the same caller might come out otherwise, by what is in force.
    pub(crate) by_request: bool,
}

/// An effect and what decided.
#[derive(Debug, Clone)]
pub(crate) struct Side<'p> {
    pub(crate) effect: Effect,
    pub(crate) reason: Reason,
    pub(crate) rules: Few<Decider<'p>>,
    /// The last layer that came to it by its default.
    pub(crate) by_default: Option<&'p Layer>,
}

/// A rule that decided, and whether it is in shadow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decider<'p> {
    pub(crate) rule: &'p Rule,
    pub(crate) is_shadow: bool,
}

/// A list that is short nearly always.
#[derive(Debug, Clone)]
pub(crate) struct Few<T> {
    first: [Option<T>; 3],
    more: Vec<T>,
}

impl<T: Copy> Few<T> {
    const fn new() -> Self {
        Self {
            first: [None; 3],
            more: Vec::new(),
        }
    }

    fn push(&mut self, item: T) {
        match self.first.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(item),
            None => self.more.push(item),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = T> {
        self.first.iter().flatten().chain(&self.more).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.iter().count()
    }
}

/// Who asks, resolved once for all items of a list.
pub(crate) struct Session<'a, 'f> {
    pub(crate) identity: &'a Identity<'a>,
    pub(crate) facts: &'a Facts<'f>,
    /// The layers for groups of callers that this one is in.
    consumers: Vec<&'a Layer>,
    /// For a list: what came out the same for all of its items.
    known: Option<Known>,
}

impl<'a, 'f> Session<'a, 'f> {
    pub(crate) fn new(
        set: &'a PolicySet,
        caller: &'a Caller,
        identity: &'a Identity<'a>,
        facts: &'a Facts<'f>,
    ) -> Self {
        let mut found = Vec::new();
        let asker = Asker {
            id: &caller.id,
            server: "",
            identity,
        };
        set.consumer_index.visit(&asker, &mut |at| {
            let at = usize::try_from(at).ok();
            let consumers = at.and_then(|at| set.consumers.get(at));
            let is_in = |consumers: &&Consumers| consumers.who.matches(caller, identity);
            if let Some(consumers) = consumers.filter(is_in) {
                found.push(consumers);
            }
        });
        // The index knows no order, and may know a layer by two roles.
        found.sort_by(|a, b| a.layer.name.cmp(&b.layer.name));
        found.dedup_by(|a, b| std::ptr::eq::<Consumers>(*a, *b));
        Self {
            identity,
            facts,
            consumers: found.into_iter().map(|found| &found.layer).collect(),
            known: None,
        }
    }

    /// The same for the items of a list.
    pub(crate) fn of_list(mut self) -> Self {
        self.known = Some(Known::default());
        self
    }

    /// The layers that a request to `server` falls into.
    pub(crate) fn layers(
        &self,
        set: &'a PolicySet,
        server: &str,
    ) -> impl Iterator<Item = &'a Layer> {
        let of_server = if set.servers.is_empty() {
            None
        } else {
            set.servers.get(server)
        };
        std::iter::once(&set.global)
            .chain(of_server)
            .chain(self.consumers.iter().copied())
    }
}

impl PolicySet {
    /// Decides one request.
    pub(crate) fn decide<'p>(
        &'p self,
        session: &Session<'p, '_>,
        request: &AccessRequest<'_>,
    ) -> Outcome<'p> {
        let asked = Asked::of(request);
        if !self.ip.permits(request.meta.client_addr) {
            let op = if let Asked::Op(op) = asked {
                Some(op)
            } else {
                None
            };
            return self.by_itself(op, Effect::Deny, Reason::Address);
        }
        self.decide_here(session, request, asked)
    }

    /// As [`PolicySet::decide`], for a request from an address that is not refused.
    pub(crate) fn decide_here<'p>(
        &'p self,
        session: &Session<'p, '_>,
        request: &AccessRequest<'_>,
        asked: Asked,
    ) -> Outcome<'p> {
        let op = match asked {
            Asked::Op(op) => op,
            Asked::Unknown if self.extra_methods.contains(request.method) => {
                return self.by_itself(None, Effect::Allow, Reason::Pass);
            }
            Asked::Pass => return self.by_itself(None, Effect::Allow, Reason::Pass),
            Asked::Unknown => return self.by_itself(None, Effect::Deny, Reason::UnknownMethod),
        };
        let names = match Names::of(request) {
            Ok(names) => names,
            Err(reason) => return self.by_itself(Some(op), Effect::Deny, reason),
        };
        let question =
            Question::new(self, session, request, op, &names).with_known(session.known.as_ref());
        let mut enforced = Sum::new();
        let mut full = Sum::new();
        let mut errors = Vec::new();
        let (mut differs, mut by_request) = (false, false);
        for layer in session.layers(self, request.server) {
            let mut found = Findings::new(layer);
            found.look_up(&question, &names);
            if !layer.is_shadow {
                enforced.add(layer, &[&found.enforced]);
            }
            full.add(layer, &[&found.enforced, &found.shadow]);
            differs |= layer.is_shadow || found.shadow.is_something();
            by_request |= found.by_request;
            errors.append(&mut found.errors);
        }
        Outcome {
            op: Some(op),
            enforced: enforced.side(),
            full: differs.then(|| full.side()),
            errors,
            by_request,
        }
    }

    /// A decision that no rule has a say in.
    pub(crate) fn by_itself(&self, op: Option<Op>, effect: Effect, reason: Reason) -> Outcome<'_> {
        let side = Side {
            effect,
            reason,
            rules: Few::new(),
            by_default: None,
        };
        if self.global.is_shadow && effect == Effect::Deny {
            Outcome {
                op,
                enforced: Sum::new().side(),
                full: Some(side),
                errors: Vec::new(),
                by_request: false,
            }
        } else {
            Outcome {
                op,
                enforced: side,
                full: None,
                errors: Vec::new(),
                by_request: false,
            }
        }
    }
}

/// What the rules of a layer say.
struct Findings<'p> {
    layer: &'p Layer,
    enforced: Found,
    shadow: Found,
    errors: Vec<(&'p Rule, bool, String)>,
    /// Another request of the same caller might find otherwise.
    by_request: bool,
    /// The rules among these: one may be found more than once.
    known: Bits,
}

/// Rules that apply, of one layer.
#[derive(Default)]
struct Found {
    denies: Vec<RuleIndex>,
    unmet: Vec<RuleIndex>,
    /// One is enough.
    allow: Option<RuleIndex>,
}

impl Found {
    fn is_something(&self) -> bool {
        !self.denies.is_empty() || !self.unmet.is_empty() || self.allow.is_some()
    }
}

impl<'p> Findings<'p> {
    fn new(layer: &'p Layer) -> Self {
        Self {
            layer,
            enforced: Found::default(),
            shadow: Found::default(),
            errors: Vec::new(),
            by_request: false,
            known: Bits::default(),
        }
    }

    fn look_up(&mut self, question: &Question<'_, '_>, names: &Names<'_>) {
        let request = question.request;
        let asker = Asker {
            id: &request.caller.id,
            server: request.server,
            identity: question.identity,
        };
        let layer = self.layer;
        for (on, index) in layer.indexes(question.op) {
            let name = match on {
                MatchOn::Name => &*names.client,
                MatchOn::UpstreamName => &*names.upstream,
            };
            index.visit(name, &asker, &mut |at| self.visit(at, question, false));
            // What a server may read the URI as counts for those that take away.
            if let Some((client, upstream)) = &names.decoded {
                let name = match on {
                    MatchOn::Name => client,
                    MatchOn::UpstreamName => upstream,
                };
                index.visit(name, &asker, &mut |at| self.visit(at, question, true));
            }
        }
    }

    fn visit(&mut self, at: RuleIndex, question: &Question<'_, '_>, takes_away: bool) {
        let rule = usize::try_from(at)
            .ok()
            .and_then(|at| self.layer.rules.get(at));
        let Some(rule) = rule else {
            return;
        };
        let is_shadow = rule.is_shadow || self.layer.is_shadow;
        let found = if is_shadow {
            &mut self.shadow
        } else {
            &mut self.enforced
        };
        let is_settled = match rule.effect {
            RuleEffect::Allow => takes_away || found.allow.is_some() || self.known.has(at),
            RuleEffect::Deny | RuleEffect::Require => self.known.has(at),
        };
        if is_settled || !rule.is_about_server(question.request.server) {
            return;
        }
        let holds = rule.holds(question, is_shadow);
        // Whom it is not about, it is not about in any request.
        let is_about_them = !matches!(holds, Holds::No(Part::Who(_)));
        self.by_request |= is_about_them && !is_shadow && rule.looks_at_request(question.op);
        let is_error = matches!(holds, Holds::Error(_));
        match (rule.effect, &holds) {
            (RuleEffect::Allow, Holds::Yes) => found.allow = Some(at),
            (RuleEffect::Deny, Holds::Yes | Holds::Error(_)) => found.denies.push(at),
            (RuleEffect::Require, Holds::No(_) | Holds::Error(_)) => found.unmet.push(at),
            _ if !is_error => return,
            _ => {}
        }
        self.known.put(at, self.layer.rules.len());
        if let Holds::Error(why) = holds {
            self.errors.push((rule, is_shadow, why));
        }
    }
}

/// Some of the rules of a layer. Takes no memory before the first one.
#[derive(Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn place(at: RuleIndex) -> Option<(usize, u64)> {
        Some((usize::try_from(at / 64).ok()?, 1 << (at % 64)))
    }

    fn has(&self, at: RuleIndex) -> bool {
        let word = Self::place(at).and_then(|(word, bit)| Some(self.0.get(word)? & bit));
        word.is_some_and(|bit| bit != 0)
    }

    fn put(&mut self, at: RuleIndex, of: usize) {
        if self.0.is_empty() {
            self.0.resize(of / 64 + 1, 0);
        }
        let place = Self::place(at).and_then(|(word, bit)| Some((self.0.get_mut(word)?, bit)));
        if let Some((word, bit)) = place {
            *word |= bit;
        }
    }
}

/// The sum of what layers say: all must allow (P-3).
struct Sum<'p> {
    side: Option<Side<'p>>,
}

impl<'p> Sum<'p> {
    const fn new() -> Self {
        Self { side: None }
    }

    /// Adds what a layer says by the rules that were found (P-1).
    fn add(&mut self, layer: &'p Layer, found: &[&Found]) {
        let (effect, reason) = layer.verdict(
            found.iter().any(|found| !found.denies.is_empty()),
            found.iter().any(|found| !found.unmet.is_empty()),
            found.iter().any(|found| found.allow.is_some()),
        );
        let side = match &mut self.side {
            // All that allow decide, by a rule or by default.
            Some(side) if side.effect == Effect::Allow && effect == Effect::Allow => {
                if side.reason.rank() < reason.rank() {
                    side.reason = reason;
                }
                side
            }
            Some(side) if side.reason.rank() > reason.rank() => return,
            Some(side) if side.reason == reason => side,
            place => place.insert(Side {
                effect,
                reason,
                rules: Few::new(),
                by_default: None,
            }),
        };
        let mut add = |at: RuleIndex| {
            let rule = usize::try_from(at).ok().and_then(|at| layer.rules.get(at));
            if let Some(rule) = rule {
                let is_shadow = rule.is_shadow || layer.is_shadow;
                side.rules.push(Decider { rule, is_shadow });
            }
        };
        match reason {
            Reason::DenyRule => found
                .iter()
                .for_each(|found| found.denies.iter().copied().for_each(&mut add)),
            Reason::RequireFailed => found
                .iter()
                .for_each(|found| found.unmet.iter().copied().for_each(&mut add)),
            Reason::AllowRule => {
                if let Some(at) = found.iter().find_map(|found| found.allow) {
                    add(at);
                }
            }
            _ => side.by_default = Some(layer),
        }
    }

    /// Without any layer in force nothing is refused.
    fn side(self) -> Side<'p> {
        self.side.unwrap_or(Side {
            effect: Effect::Allow,
            reason: Reason::Shadow,
            rules: Few::new(),
            by_default: None,
        })
    }
}

impl Layer {
    /// What a layer says when rules of these sorts apply (P-1).
    pub(crate) const fn verdict(
        &self,
        denied: bool,
        unmet: bool,
        allowed: bool,
    ) -> (Effect, Reason) {
        match (denied, unmet, allowed, self.default) {
            (true, ..) => (Effect::Deny, Reason::DenyRule),
            (_, true, ..) => (Effect::Deny, Reason::RequireFailed),
            (_, _, true, _) => (Effect::Allow, Reason::AllowRule),
            (.., Effect::Allow) => (Effect::Allow, Reason::Default),
            (.., Effect::Deny) => (Effect::Deny, Reason::NoRule),
        }
    }
}
