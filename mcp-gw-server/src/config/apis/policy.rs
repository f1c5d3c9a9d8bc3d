//! What `callers` of an API adds to the policy: whoever else calls is refused.

use mcp_gw_policy::{NamePattern, RuleConfig, RuleEffect, WhoConfig};

use super::ApiCallers;
use crate::config::Config;

/// What rules begin with that `callers` of an API stands for; its name follows.
const API_RULE: &str = "apis.callers:";

/// A rule for each API that names its callers: they are required, whatever else allows.
pub(in crate::config) fn rules(config: &Config) -> impl Iterator<Item = RuleConfig> {
    with_callers(config).map(|(name, callers)| {
        let id = format!("{API_RULE}{name}");
        let mut rule = RuleConfig::new(id, RuleEffect::Require).with_who(callers.who());
        rule.servers = Some(vec![NamePattern::Literal(name.to_owned())]);
        rule
    })
}

/// The API that the rule at this place of [`rules`] comes from.
pub(in crate::config) fn of_rule(config: &Config, index: usize) -> Option<&str> {
    with_callers(config).map(|(name, _)| name).nth(index)
}

fn with_callers(config: &Config) -> impl Iterator<Item = (&str, &ApiCallers)> {
    let apis = config.apis.iter();
    let apis = apis.filter_map(|(name, api)| Some((name.as_str(), api.callers.as_ref()?)));
    // Nobody in particular is a fault of its own.
    apis.filter(|(_, callers)| !callers.is_empty())
}

impl ApiCallers {
    /// A caller who is in one of the lists, and of one of the issuers and kinds.
    pub(super) fn who(&self) -> WhoConfig {
        let mut any = Vec::new();
        let mut put = |names: &[String], set: fn(&mut WhoConfig, Vec<String>)| {
            if !names.is_empty() {
                let mut who = WhoConfig::default();
                set(&mut who, names.to_vec());
                any.push(who);
            }
        };
        put(&self.ids, |who, names| who.ids = Some(names));
        put(&self.roles, |who, names| who.roles = Some(names));
        put(&self.groups, |who, names| who.groups = Some(names));
        put(&self.scopes, |who, names| who.scopes = Some(names));
        let some = |names: &[String]| (!names.is_empty()).then(|| names.to_vec());
        let mut who = WhoConfig::default();
        who.any_of = (!any.is_empty()).then_some(any);
        who.issuers = some(&self.issuers);
        who.kinds = some(&self.kinds);
        who
    }
}
