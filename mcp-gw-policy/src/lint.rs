//! What looks wrong with a policy that is valid: rules that do nothing, or not what they seem to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use mcp_gw_core::Feature;
use serde::Serialize;

use crate::compile::{Known, NO_ROLE, TOO_MANY_STEPS, compile};
use crate::config::{DefaultEffect, PolicyConfig, RuleConfig};
use crate::fault::{FaultPath, PolicyFaults};
use crate::rule::Rule;

mod covers;
mod doubt;
mod features;
mod hosts;
mod idle;
mod names;
mod pairs;

/// What a lint is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LintKind {
    /// The rule has no effect where it stands.
    Dead,
    /// Another rule decides everything that this one could.
    Shadowed,
    /// Two rules say opposite things of the same requests, or ask for what cannot both be.
    Contradictory,
    /// The condition can never be true.
    NeverTrue,
    /// Nothing is allowed here: rules that only refuse, and a default that refuses too.
    NothingAllowed,
    /// A pattern matches nothing that there is.
    MatchesNothing,
    /// The condition reads what only some of the things have that the rule is about: for the others it is an
    /// error.
    OtherFeature,
    /// The conditions may take more steps than a request has, so each has a share of what it would have.
    Costly,
    /// A star stands in the host of a web address, and takes slashes, too.
    WideHost,
    /// A condition of a `deny` asks for a role or group whose members are told by claims. In a condition only
    /// those are in it who are for certain.
    InDoubt,
    /// A role or group that the policy does not have, and that is close to one it has; or a name with a
    /// star, where a star is no wildcard.
    UnknownName,
}

impl LintKind {
    /// How reports call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Shadowed => "shadowed",
            Self::Contradictory => "contradictory",
            Self::NeverTrue => "never_true",
            Self::NothingAllowed => "nothing_allowed",
            Self::MatchesNothing => "matches_nothing",
            Self::OtherFeature => "other_feature",
            Self::Costly => "costly",
            Self::WideHost => "wide_host",
            Self::InDoubt => "in_doubt",
            Self::UnknownName => "unknown_name",
        }
    }
}

/// One thing that looks wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lint {
    /// What it is about.
    pub kind: LintKind,
    /// The rule, if it is about one.
    pub rule: Option<String>,
    /// Where it is.
    pub path: FaultPath,
    /// What looks wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: ", self.path, self.kind.as_str())?;
        if let Some(rule) = &self.rule {
            write!(f, "rule {}: ", crate::fault::shown(rule))?;
        }
        write!(f, "{}; {}", self.message, self.help)
    }
}

/// Something that servers offer, for lints about names that match nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CatalogueName {
    /// What it is.
    pub feature: Feature,
    /// Its name or URI as clients see it.
    pub name: String,
    /// As its server calls it.
    pub upstream_name: String,
    /// Its server.
    pub server: String,
}

impl CatalogueName {
    /// Something that `server` offers, and calls the same as clients do.
    pub fn new(feature: Feature, server: impl Into<String>, name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            feature,
            upstream_name: name.clone(),
            name,
            server: server.into(),
        }
    }

    /// Sets what its server calls it.
    #[must_use]
    pub fn with_upstream_name(mut self, name: impl Into<String>) -> Self {
        self.upstream_name = name.into();
        self
    }
}

/// Looks a policy over; with a catalogue, also for names that match nothing in it. The lints come in
/// the order of their places.
///
/// What it costs follows the number of rules: of a layer with very many different patterns or
/// conditions not all are compared with one another. Of each kind the first 50 are told, and how many
/// more there are; for one rule, one of each kind.
///
/// ```
/// use mcp_gw_policy::{LintKind, PolicyConfig, lint};
///
/// let policy = PolicyConfig::from_yaml("
/// rules:
///   - { id: read, effect: allow, tools: ['get_*'] }
///   - { id: no-get, effect: deny, tools: ['get*'] }
/// ")?;
/// let lints = lint(&policy, None)?;
/// assert_eq!(lints[0].kind, LintKind::Shadowed);
/// assert_eq!(lints[0].rule.as_deref(), Some("read"));
/// # Ok::<(), mcp_gw_policy::PolicyFaults>(())
/// ```
///
/// # Errors
/// When the policy is not valid.
pub fn lint(
    config: &PolicyConfig,
    catalogue: Option<&[CatalogueName]>,
) -> Result<Vec<Lint>, PolicyFaults> {
    let set = compile(config, &Known::new())?;
    let mut lints: Vec<Lint> = set.warnings.iter().map(of_warning).collect();
    let compiled: HashMap<&str, &Rule> = set.rules().map(|rule| (&*rule.id, rule)).collect();
    let doubtful = doubt::Doubtful::of(config);
    for layer in layers(config) {
        pairs::compare(&layer, &compiled, &mut lints);
        if let Some(catalogue) = catalogue {
            names::look_up(&layer, &compiled, catalogue, &mut lints);
            names::asked_servers(&layer, &compiled, catalogue, &mut lints);
        }
        names::known(config, &layer, &mut lints);
        names::stars(&layer, &mut lints);
        hosts::look_at(&layer, &mut lints);
        features::look_at(&layer, &compiled, &mut lints);
        idle::look_at(&layer, &compiled, &set.ip, &mut lints);
        doubtful.look_at(&layer, &compiled, &mut lints);
    }
    if let Some(catalogue) = catalogue {
        names::servers(config, catalogue, &mut lints);
    }
    lints.extend(says_nothing(config));
    Ok(bounded(lints))
}

/// The part of [`lint`] that is about a catalogue: patterns, and layers of servers, that match nothing
/// in it. For a policy that was looked over before.
///
/// # Errors
/// When the policy is not valid.
pub fn lint_names(
    config: &PolicyConfig,
    catalogue: &[CatalogueName],
) -> Result<Vec<Lint>, PolicyFaults> {
    let set = compile(config, &Known::new())?;
    let compiled: HashMap<&str, &Rule> = set.rules().map(|rule| (&*rule.id, rule)).collect();
    let mut lints = Vec::new();
    for layer in layers(config) {
        names::look_up(&layer, &compiled, catalogue, &mut lints);
        names::asked_servers(&layer, &compiled, catalogue, &mut lints);
    }
    names::servers(config, catalogue, &mut lints);
    Ok(bounded(lints))
}

/// A policy without anything in it refuses everything, which may be meant and is seldom.
fn says_nothing(config: &PolicyConfig) -> Option<Lint> {
    let is_empty = config.default == DefaultEffect::Deny
        && config.rules.is_empty()
        && config.servers.is_empty()
        && config.consumers.is_empty();
    is_empty.then(|| Lint {
        kind: LintKind::NothingAllowed,
        rule: None,
        path: FaultPath::root().key("rules"),
        message: "there are no rules, and the default is to deny: nothing is allowed".to_owned(),
        help: "write `default: allow`, or a rule with `effect: allow`".to_owned(),
    })
}

/// So many lints of one kind are told.
const MOST_OF_A_KIND: usize = 50;

/// The lints in order, with a number in place of those that are too many.
fn bounded(mut lints: Vec<Lint>) -> Vec<Lint> {
    lints.sort_by(|a, b| (&a.path, a.kind, &a.message).cmp(&(&b.path, b.kind, &b.message)));
    lints.dedup();
    let mut told: HashMap<LintKind, usize> = HashMap::new();
    let mut kept = Vec::with_capacity(lints.len().min(MOST_OF_A_KIND));
    let mut others: BTreeMap<LintKind, Lint> = BTreeMap::new();
    for lint in lints {
        let count = told.entry(lint.kind).or_default();
        *count = count.saturating_add(1);
        if *count <= MOST_OF_A_KIND {
            kept.push(lint);
        } else {
            others.entry(lint.kind).or_insert(lint);
        }
    }
    for (kind, lint) in others {
        let count = told.get(&kind).copied().unwrap_or_default();
        let more = count.saturating_sub(MOST_OF_A_KIND);
        kept.push(Lint {
            rule: None,
            message: format!("and {more} more like it from here on"),
            help: "mend those that are told, and look again".to_owned(),
            ..lint
        });
    }
    kept
}

fn of_warning(warning: &crate::PolicyFault) -> Lint {
    let is_about = |what: &str| warning.message.starts_with(what);
    Lint {
        kind: if is_about(NO_ROLE) {
            LintKind::UnknownName
        } else if is_about(TOO_MANY_STEPS) {
            LintKind::Costly
        } else if warning.rule.is_some() {
            LintKind::NeverTrue
        } else {
            LintKind::NothingAllowed
        },
        rule: warning.rule.clone(),
        path: warning.path.clone(),
        message: warning.message.clone(),
        help: warning.help.clone().unwrap_or_default(),
    }
}

/// A layer as written.
struct LayerView<'c> {
    path: FaultPath,
    /// The server whose layer it is.
    server: Option<&'c str>,
    allows_by_default: bool,
    rules: &'c [RuleConfig],
}

impl LayerView<'_> {
    fn lint(
        &self,
        kind: LintKind,
        at: usize,
        key: Option<&str>,
        message: String,
        help: impl Into<String>,
    ) -> Lint {
        let path = self.path.key("rules").index(at);
        Lint {
            kind,
            rule: self.rules.get(at).map(|rule| rule.id.clone()),
            path: key.map_or_else(|| path.clone(), |key| path.key(key)),
            message,
            help: help.into(),
        }
    }
}

fn layers(config: &PolicyConfig) -> Vec<LayerView<'_>> {
    use crate::config::DefaultEffect::Allow;
    let root = FaultPath::root();
    let mut layers = vec![LayerView {
        path: root.clone(),
        server: None,
        allows_by_default: config.default == Allow,
        rules: &config.rules,
    }];
    layers.extend(config.servers.iter().map(|(name, layer)| LayerView {
        path: root.key("servers").key(name),
        server: Some(name),
        allows_by_default: layer.default == Allow,
        rules: &layer.rules,
    }));
    let consumers = config.consumers.iter().enumerate();
    layers.extend(consumers.map(|(at, layer)| LayerView {
        path: root.key("consumers").index(at),
        server: None,
        allows_by_default: layer.default == Allow,
        rules: &layer.rules,
    }));
    layers
}

/// The names of a set, for suggestions.
fn words<'n>(names: impl Iterator<Item = &'n str>) -> HashSet<&'n str> {
    names.collect()
}

#[cfg(test)]
mod tests;
