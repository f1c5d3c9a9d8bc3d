//! Conditions that refuse by a role or group of which it may be in doubt who has it.

use std::collections::{BTreeSet, HashMap};

use super::{LayerView, Lint, LintKind};
use crate::config::{PolicyConfig, RuleEffect, WhoConfig};
use crate::fault::shown;
use crate::rule::Rule;

/// The roles and groups whose members are told by claims, in whatever way.
pub(super) struct Doubtful<'c> {
    roles: BTreeSet<&'c str>,
    groups: BTreeSet<&'c str>,
}

impl<'c> Doubtful<'c> {
    pub(super) fn of(config: &'c PolicyConfig) -> Self {
        let claims = |who: &WhoConfig| who.claims.is_some();
        let groups = config.groups.iter();
        let groups = reached(
            groups.map(|(name, group)| (&**name, &*group.part_of, &*group.members)),
            &claims,
        );
        let in_doubt = |who: &WhoConfig| {
            let mut named = who.groups.iter().flatten();
            claims(who) || named.any(|group| groups.contains(group.as_str()))
        };
        let roles = config.roles.iter();
        let roles = reached(
            roles.map(|(name, role)| (&**name, &*role.inherits, &*role.members)),
            &in_doubt,
        );
        Self { roles, groups }
    }

    pub(super) fn look_at(
        &self,
        layer: &LayerView<'_>,
        compiled: &HashMap<&str, &Rule>,
        lints: &mut Vec<Lint>,
    ) {
        if self.roles.is_empty() && self.groups.is_empty() {
            return;
        }
        let denies = |rule: &&&Rule| rule.effect == RuleEffect::Deny;
        for (at, config) in layer.rules.iter().enumerate() {
            let rule = compiled.get(config.id.as_str()).filter(denies);
            let Some(when) = rule.and_then(|rule| rule.when.as_deref()) else {
                continue;
            };
            let mut roles = when.named_roles().iter().map(|name| ("roles", name));
            let mut groups = when.named_groups().iter().map(|name| ("groups", name));
            let named = roles
                .find(|(_, name)| self.roles.contains(name.as_str()))
                .or_else(|| groups.find(|(_, name)| self.groups.contains(name.as_str())));
            if let Some((key, name)) = named {
                let message = format!(
                    "claims tell who has {}, and in a condition whoever has it for certain counts alone: \
                     where a claim can be read in two ways, the rule does not deny",
                    shown(name)
                );
                let help =
                    format!("write it in `who.{key}`, where a doubt counts against the caller");
                lints.push(layer.lint(LintKind::InDoubt, at, Some("when"), message, help));
            }
        }
    }
}

/// The names with such members, and all that follows from them.
fn reached<'c>(
    entries: impl Iterator<Item = (&'c str, &'c [String], &'c [WhoConfig])>,
    is_in_doubt: &dyn Fn(&WhoConfig) -> bool,
) -> BTreeSet<&'c str> {
    fn any(who: &WhoConfig, is: &dyn Fn(&WhoConfig) -> bool) -> bool {
        is(who) || who.nested().any(|who| any(who, is))
    }
    let mut open = Vec::new();
    let mut follows: HashMap<&str, &[String]> = HashMap::new();
    for (name, nexts, members) in entries {
        follows.insert(name, nexts);
        if members.iter().any(|who| any(who, is_in_doubt)) {
            open.push(name);
        }
    }
    let mut found = BTreeSet::new();
    while let Some(name) = open.pop() {
        if found.insert(name) {
            let nexts = follows.get(name).copied().unwrap_or_default();
            open.extend(nexts.iter().map(String::as_str));
        }
    }
    found
}
