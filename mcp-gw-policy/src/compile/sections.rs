//! The sections of a policy that are no rules: roles, groups, scopes, addresses, other methods.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::Compiler;
use crate::condition::Condition;
use crate::config::{NamePattern, PolicyConfig, RuleConfig, RuleEffect, WhoConfig};
use crate::fault::{FaultPath, PathStep, PolicyFault, shown};
use crate::ip::IpRules;
use crate::number::SKIPS_INTEGERS;
use crate::rbac::{Grants, GrantsConfig, SCOPES_ARE, is_scope};

/// The sections, compiled.
pub(super) struct Sections {
    pub(super) grants: Grants,
    pub(super) ip: IpRules,
    pub(super) extra_methods: HashSet<String>,
}

impl Compiler<'_> {
    pub(super) fn sections(&mut self) -> Option<Sections> {
        let config = self.config;
        let before = self.faults.len();
        let grants = Grants::compile(GrantsConfig {
            roles: &config.roles,
            groups: &config.groups,
            scopes: &config.scopes,
        });
        let ip = IpRules::compile_at(&config.ip, &FaultPath::root().key("ip"));
        let grants = grants.map_err(|faults| self.faults.extend(faults)).ok();
        let ip = ip.map_err(|faults| self.faults.extend(faults)).ok();
        self.implied();
        self.requirements();
        self.extra_methods();
        self.vars();
        if self.faults.len() > before {
            return None;
        }
        if ip.as_ref().is_some_and(IpRules::is_shut) {
            let path = FaultPath::root().key("ip");
            let message = "every address that may come is in `deny`: nobody may come";
            let help =
                "take blocks out of `deny`; those of IPv6 such as `::/0` hold all of IPv4, too";
            self.warnings
                .push(PolicyFault::new(path, message).with_help(help));
        }
        Some(Sections {
            grants: grants?,
            ip: ip?,
            extra_methods: config.extra_methods.iter().cloned().collect(),
        })
    }

    /// Scopes that are none would be in no credential.
    fn implied(&mut self) {
        let path = FaultPath::root().key("scopes").key("implies");
        for (name, implied) in &self.config.scopes.implies {
            for scope in std::iter::once(name).chain(implied) {
                if !is_scope(scope) {
                    let message = format!("{} is no OAuth scope", shown(scope));
                    let fault = PolicyFault::new(path.key(name), message);
                    self.faults.push(fault.with_help(SCOPES_ARE));
                }
            }
        }
    }

    fn requirements(&mut self) {
        let path = FaultPath::root().key("scopes").key("required");
        for (at, required) in self.config.scopes.required.iter().enumerate() {
            let path = path.index(at);
            if required.scopes.is_empty() {
                let fault = PolicyFault::new(path.key("scopes"), "no scope is required");
                self.faults
                    .push(fault.with_help("name the scopes, such as `[files:read]`"));
            }
            for (index, scope) in required.scopes.iter().enumerate() {
                if !is_scope(scope) {
                    let message = format!("{} is no OAuth scope", shown(scope));
                    let fault = PolicyFault::new(path.key("scopes").index(index), message);
                    self.faults.push(fault.with_help(SCOPES_ARE));
                }
            }
        }
    }

    /// Conditions compare numbers exactly.
    pub(super) fn vars(&mut self) {
        let root = FaultPath::root().key("vars");
        let members = self.config.vars.iter();
        let mut open: Vec<(FaultPath, &Value)> = members
            .map(|(name, value)| (root.key(name), value))
            .collect();
        while let Some((path, value)) = open.pop() {
            match value {
                Value::Array(items) => {
                    open.extend(
                        items
                            .iter()
                            .enumerate()
                            .map(|(at, item)| (path.index(at), item)),
                    );
                }
                Value::Object(members) => {
                    open.extend(
                        members
                            .iter()
                            .map(|(name, member)| (path.key(name), member)),
                    );
                }
                Value::Number(number) if is_inexact(number) => {
                    let message = format!("{number} cannot be compared exactly");
                    let help = "from 2^53 on write integers, without a point or an exponent; the largest is \
                                9223372036854775807";
                    self.faults
                        .push(PolicyFault::new(path, message).with_help(help));
                }
                _ => {}
            }
        }
    }

    fn extra_methods(&mut self) {
        let path = FaultPath::root().key("extra_methods");
        for (at, method) in self.config.extra_methods.iter().enumerate() {
            let path = path.index(at);
            if KNOWN_METHODS.contains(&method.as_str()) {
                let message = format!("{} is a method of MCP, which rules are for", shown(method));
                let help = "write a rule with `effect: allow`, and remove it here";
                self.faults
                    .push(PolicyFault::new(path, message).with_help(help));
            } else if method.is_empty() || method.chars().any(|c| c.is_control() || c == '*') {
                let message = format!("{} is no name of a method", shown(method));
                let help = "write each method out, such as `vendor/thing`";
                self.faults
                    .push(PolicyFault::new(path, message).with_help(help));
            }
        }
    }
}

fn is_inexact(number: &serde_json::Number) -> bool {
    let double = number.as_f64().filter(|_| number.is_f64());
    double.is_some_and(|double| double.abs() >= SKIPS_INTEGERS)
}

/// Methods that a policy decides by its rules.
const KNOWN_METHODS: [&str; 16] = [
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "resources/templates/list",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "subscriptions/listen",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
    "tasks/result",
    "tasks/list",
];

/// The policy with its required scopes written as rules; `None` when it has none.
pub(super) fn expanded(config: &PolicyConfig) -> Option<PolicyConfig> {
    let required = &config.scopes.required;
    if required.is_empty() {
        return None;
    }
    let mut expanded = config.clone();
    // An empty list is told as that of a rule.
    let patterns = |globs: &Option<Vec<String>>| -> Option<Vec<NamePattern>> {
        let globs = globs.as_ref()?.iter().cloned();
        Some(globs.map(NamePattern::Glob).collect())
    };
    for (at, required) in required.iter().enumerate() {
        let mut rule = RuleConfig::new(format!("scopes.required[{at}]"), RuleEffect::Require);
        rule.tools = patterns(&required.tools);
        rule.resources = patterns(&required.resources);
        rule.resource_templates = patterns(&required.resource_templates);
        rule.prompts = patterns(&required.prompts);
        rule.servers = patterns(&required.servers);
        if !required.scopes.iter().all(|scope| is_scope(scope)) || required.scopes.is_empty() {
            // A fault by itself, which is told there.
            rule.when = Some("true".to_owned());
        } else {
            rule.who = WhoConfig::all_scopes(required.scopes.iter().cloned());
        }
        expanded.rules.push(rule);
    }
    Some(expanded)
}

/// Faults of rules that [`expanded`] made are faults of what they were made from.
pub(super) fn relocated(faults: Vec<PolicyFault>, written: &PolicyConfig) -> Vec<PolicyFault> {
    let place = |fault: PolicyFault| {
        let [PathStep::Key(key), PathStep::Index(at), rest @ ..] = fault.path.steps() else {
            return fault;
        };
        let Some(at) = at
            .checked_sub(written.rules.len())
            .filter(|_| key == "rules")
        else {
            return fault;
        };
        let path = FaultPath::root().key("scopes").key("required").index(at);
        let path = rest.iter().fold(path, |path, step| match step {
            PathStep::Key(key) => path.key(key),
            PathStep::Index(index) => path.index(*index),
        });
        PolicyFault {
            path,
            rule: None,
            ..fault
        }
    };
    faults.into_iter().map(place).collect()
}

/// The scopes that a rule asks for by name.
pub(super) fn scopes_named(config: &RuleConfig, when: Option<&Condition>) -> Box<[Box<str>]> {
    let in_who = config.who.named_scopes();
    let in_when = when.map(Condition::named_scopes).unwrap_or_default();
    let all: BTreeSet<&str> = in_who
        .into_iter()
        .chain(in_when.iter().map(String::as_str))
        .collect();
    all.into_iter().map(Box::from).collect()
}
