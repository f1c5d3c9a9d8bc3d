//! A whole policy, compiled: layers of rules with an index each.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use mcp_gw_core::{Effect, PolicyVersion};

use crate::compile::{LayerCosts, Worst};
use crate::config::{MatchOn, OnDenied};
use crate::fault::PolicyFault;
use crate::index::{Bucket, NameIndex};
use crate::ip::IpRules;
use crate::op::Op;
use crate::rbac::{Grants, Who};
use crate::rule::Rule;

/// What comes before the name of a layer whose default refuses.
pub(crate) const DEFAULT_OF: &str = "default of ";

/// An immutable policy. One request sees one.
#[derive(Debug)]
pub(crate) struct PolicySet {
    pub(crate) version: PolicyVersion,
    pub(crate) on_denied: OnDenied,
    pub(crate) grants: Grants,
    pub(crate) ip: IpRules,
    pub(crate) extra_methods: HashSet<String>,
    pub(crate) global: Layer,
    pub(crate) servers: HashMap<Box<str>, Layer>,
    pub(crate) consumers: Vec<Consumers>,
    /// Finds those that a caller may be in.
    pub(crate) consumer_index: Bucket,
    pub(crate) is_uniform: bool,
    /// The steps that the conditions of one request may take at most, all together.
    pub(crate) steps: u64,
    /// Where that is more than they may.
    pub(crate) worst: Worst,
    pub(crate) warnings: Vec<PolicyFault>,
    /// The rules whose conditions read `tls`.
    pub(crate) needs_tls: Vec<PolicyFault>,
}

/// A layer for some callers.
#[derive(Debug)]
pub(crate) struct Consumers {
    pub(crate) who: Who,
    pub(crate) layer: Layer,
}

/// Rules that come to a decision by themselves.
#[derive(Debug)]
pub(crate) struct Layer {
    /// For explanations: `global`, `server x`, `consumer x`.
    pub(crate) name: Box<str>,
    pub(crate) default: Effect,
    pub(crate) is_shadow: bool,
    /// Sorted by id, so that nothing depends on the order in the file.
    pub(crate) rules: Box<[Rule]>,
    pub(crate) ops: Box<[OpIndex]>,
    /// What its conditions may cost.
    pub(crate) costs: LayerCosts,
}

/// The rules about one operation.
#[derive(Debug, Default)]
pub(crate) struct OpIndex {
    pub(crate) by_name: Option<NameIndex>,
    pub(crate) by_upstream_name: Option<NameIndex>,
}

impl Layer {
    /// The indexes to look into, with which name they know.
    pub(crate) fn indexes(&self, op: Op) -> impl Iterator<Item = (MatchOn, &NameIndex)> {
        let found = self.ops.get(op as usize);
        let name = found.and_then(|op| op.by_name.as_ref());
        let upstream = found.and_then(|op| op.by_upstream_name.as_ref());
        let name = name.map(|index| (MatchOn::Name, index));
        let upstream = upstream.map(|index| (MatchOn::UpstreamName, index));
        name.into_iter().chain(upstream)
    }
}

impl PolicySet {
    pub(crate) fn layers(&self) -> impl Iterator<Item = &Layer> {
        std::iter::once(&self.global)
            .chain(self.servers.values())
            .chain(self.consumers.iter().map(|consumers| &consumers.layer))
    }

    /// How a decision names the default that it came from. Whose it is, is worth telling where it
    /// refuses and is not that of the policy itself.
    pub(crate) fn default_of(&self, effect: Effect, layer: &Layer) -> Cow<'static, str> {
        if effect == Effect::Allow || std::ptr::eq(layer, &raw const self.global) {
            Cow::Borrowed("default")
        } else {
            Cow::Owned(format!("{DEFAULT_OF}{}", layer.name))
        }
    }

    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.layers().flat_map(|layer| &layer.rules)
    }
}
