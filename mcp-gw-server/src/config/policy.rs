//! The policy of a configuration: what `auth.api_keys[].tools` adds to it, and what may be wrong with
//! it.

mod words;

use std::collections::BTreeSet;

use mcp_gw_core::CallerKind;
use mcp_gw_policy::{
    ConsumerConfig, DefaultEffect, FaultPath, Mode, NamePattern, PathStep, PolicyConfig,
    PolicyEngine, PolicyFault, RuleConfig, RuleEffect, WhoConfig,
};

use super::apis::{self, ApiConfig};
use super::check::Checker;
use super::fault::Fault;
use super::management::{self, MANAGEMENT_ISSUER};
use super::path::ConfigPath;
use super::structure::nearest;
use super::types::{ApiKeyConfig, Config};
pub(super) use words::{explain, in_short};

/// What rules begin with that a key's `tools` stand for; the id of the caller follows.
pub(crate) const KEY_RULE: &str = "auth.api_keys.tools:";

impl Config {
    /// The policy in force: what `policy` says, and what the `tools` of API keys stand for. A key with
    /// `tools` gets a rule that allows it to call them, and a layer in which it may do nothing else;
    /// rules that deny or require something hold for it, too. `callers` of an API stands for a
    /// rule that requires them. Users and keys of the management API need the scope `tools:call` for all but
    /// lists.
    pub fn whole_policy(&self) -> PolicyConfig {
        let mut policy = self.policy.clone();
        for (key, tools) in keys_with_tools(self) {
            let id = rule_id(key);
            let mut who = WhoConfig::ids([key.id.as_str()]);
            who.kinds = Some(vec![CallerKind::ApiKey.as_str().to_owned()]);
            let rule = |id: String| {
                RuleConfig::new(id, RuleEffect::Allow)
                    .with_tools(tools.iter().cloned().map(NamePattern::Glob))
            };
            let mut layer = ConsumerConfig::new(id.as_str(), who.clone());
            if !tools.is_empty() {
                layer.rules.push(rule(format!("{id}:only")));
                policy.rules.push(rule(id).with_who(who));
            }
            policy.consumers.push(layer);
        }
        policy.rules.extend(apis::rules(self));
        policy.consumers.extend(management::layer(self));
        policy
    }
}

fn keys_with_tools(config: &Config) -> impl Iterator<Item = (&ApiKeyConfig, &[String])> {
    let keys = config.auth.api_keys.iter();
    keys.filter_map(|key| Some((key, key.tools.as_deref()?)))
}

/// The id of the rule that a key's `tools` stand for. The longest ids of callers are cut; equal ones
/// are found as two rules of one id.
fn rule_id(key: &ApiKeyConfig) -> String {
    const ROOM: usize = 128 - KEY_RULE.len() - ":only".len();
    let end = key.id.char_indices().nth(ROOM);
    let end = end.map_or(key.id.len(), |(at, _)| at);
    format!("{KEY_RULE}{}", key.id.get(..end).unwrap_or_default())
}

/// What looks wrong with the policy and stops nothing: one sentence for each.
pub(crate) fn warnings(config: &Config, engine: &PolicyEngine) -> Vec<String> {
    let found = engine.warnings();
    let remarks = config.remarks();
    // That nobody may do anything is said once.
    let is_said = lets_nobody_in(config);
    let of_all = [PathStep::Key("rules".to_owned())];
    let is_whole = |fault: &PolicyFault| {
        let steps = fault.path.steps();
        is_said && fault.rule.is_none() && (steps.is_empty() || *steps == of_all)
    };
    let ours = found
        .iter()
        .filter(|fault| key_of(config, &fault.path).is_none() && !is_whole(fault));
    let ours = ours.map(|fault| {
        let path = match api_of(config, &fault.path) {
            Some(api) => ConfigPath::root().key("apis").key(api).key("callers"),
            None => at(&ConfigPath::root().key("policy"), &fault.path),
        };
        let rule = rule_of(fault).map_or_else(String::new, |rule| format!("rule `{rule}`: "));
        let help = fault.help.as_deref();
        let help = help.map_or_else(String::new, |help| format!("; {help}"));
        format!("{path}: {rule}{}{help}", fault.message)
    });
    let remarks = remarks.iter().map(Fault::sentence);
    remarks.chain(ours).collect()
}

fn rule_of(fault: &PolicyFault) -> Option<&str> {
    fault.rule.as_deref()
}

/// The place in the file that a place in the policy is.
fn at(policy: &ConfigPath, path: &FaultPath) -> ConfigPath {
    path.steps()
        .iter()
        .fold(policy.clone(), |at, step| match step {
            PathStep::Key(key) => at.key(key),
            PathStep::Index(index) => at.index(*index),
            _ => at,
        })
}

/// The index of the key whose `tools` a place in the whole policy comes from.
fn key_of(config: &Config, path: &FaultPath) -> Option<usize> {
    let (PathStep::Key(section), PathStep::Index(index)) =
        (path.steps().first()?, path.steps().get(1)?)
    else {
        return None;
    };
    let keys = config.auth.api_keys.iter().enumerate();
    let with_tools = keys.filter_map(|(at, key)| Some((at, key.tools.as_ref()?)));
    let (written, mut made): (usize, Vec<usize>) = match section.as_str() {
        "rules" => (
            config.policy.rules.len(),
            with_tools
                .filter(|(_, tools)| !tools.is_empty())
                .map(|(at, _)| at)
                .collect(),
        ),
        "consumers" => (
            config.policy.consumers.len(),
            with_tools.map(|(at, _)| at).collect(),
        ),
        _ => return None,
    };
    let made_at = index.checked_sub(written)?;
    (made_at < made.len()).then(|| made.swap_remove(made_at))
}

/// The name of the API whose `callers` a place in the whole policy comes from.
fn api_of<'c>(config: &'c Config, path: &FaultPath) -> Option<&'c str> {
    let (PathStep::Key(section), PathStep::Index(index)) =
        (path.steps().first()?, path.steps().get(1)?)
    else {
        return None;
    };
    let of_keys = keys_with_tools(config).filter(|(_, tools)| !tools.is_empty());
    let before = config.policy.rules.len().checked_add(of_keys.count())?;
    let made_at = index.checked_sub(before)?;
    (section == "rules").then(|| apis::of_rule(config, made_at))?
}

/// Reports everything that is wrong with the policy.
pub(super) fn check(checker: &mut Checker<'_>, config: &Config, path: &ConfigPath) {
    nobody(checker, config, path);
    let faults = match PolicyEngine::compile(&config.whole_policy()) {
        // Neither program speaks TLS to its clients.
        Ok(engine) => engine.needs_tls(),
        Err(faults) => faults.into_faults(),
    };
    for fault in faults {
        report(checker, config, path, &fault);
    }
    for (index, method) in config.policy.extra_methods.iter().enumerate() {
        let at = path.key("extra_methods").index(index);
        let message = format!(
            "no server behind the gateway is asked for {}: only methods of MCP are passed on",
            checker.shown(&at, method)
        );
        checker.fault(&at, message, "remove it");
    }
    References::of(config).check(checker, config, path);
}

/// A policy under which nobody may do anything is one: that is how a gateway is locked. Where none is
/// written it was forgotten.
fn nobody(checker: &mut Checker<'_>, config: &Config, path: &ConfigPath) {
    if !lets_nobody_in(config) {
        return;
    }
    let message = "nobody may call anything: the default is to deny, no rule allows anything, and \
                   no key names `tools`";
    let help = "add `policy: { default: allow }`, a rule with `effect: allow`, or `tools:` to a key \
                in `auth.api_keys`";
    // What a file says was looked at when it was read.
    let is_written =
        checker.says(path) || config.remarks.is_some() || config.policy != PolicyConfig::default();
    if is_written || keys_with_tools(config).next().is_some() {
        checker.remark(path, message, help);
    } else {
        let values = vec![path.clone(), ConfigPath::root().key("auth")];
        checker.fault_of(path, values, message, help);
    }
}

fn report(checker: &mut Checker<'_>, config: &Config, path: &ConfigPath, fault: &PolicyFault) {
    let help = fault.help.clone().unwrap_or_default();
    if let Some(key) = key_of(config, &fault.path) {
        let tools = config
            .auth
            .api_keys
            .get(key)
            .and_then(|key| key.tools.as_ref());
        // Of both rules that it stands for; and empty ones are told of there.
        let is_told = fault.path.steps().first() == Some(&PathStep::Key("consumers".to_owned()));
        if is_told
            || tools
                .into_iter()
                .flatten()
                .any(|tool| tool.trim().is_empty())
        {
            return;
        }
        let keys = ConfigPath::root().key("auth").key("api_keys");
        let path = keys.index(key).key("tools");
        return checker.fault(&path, fault.message.clone(), help);
    }
    let path = match api_of(config, &fault.path) {
        Some(api) => ConfigPath::root().key("apis").key(api).key("callers"),
        None => at(path, &fault.path),
    };
    if checker.is_from_env(&path) {
        return checker.fault(
            &path,
            "the value cannot be used here",
            "see docs/configuration.md",
        );
    }
    let rule = rule_of(fault).map_or_else(String::new, |rule| format!("rule `{rule}`: "));
    checker.fault(&path, format!("{rule}{}", fault.message), help);
}

/// True when no request at all can be allowed.
fn lets_nobody_in(config: &Config) -> bool {
    let policy = &config.policy;
    let allows = |rule: &RuleConfig| rule.effect == RuleEffect::Allow;
    let by_key = keys_with_tools(config).any(|(_, tools)| !tools.is_empty());
    policy.default == DefaultEffect::Deny
        && policy.mode == Mode::Enforce
        && !policy.rules.iter().any(allows)
        && !by_key
}

/// What a policy may refer to.
struct References<'a> {
    ids: BTreeSet<&'a str>,
    roles: BTreeSet<&'a str>,
    groups: BTreeSet<&'a str>,
    /// What calls can be of.
    servers: BTreeSet<&'a str>,
    /// The tool that reaches APIs: its calls are of these.
    gateway_tool: Option<&'a str>,
    has_tokens: bool,
    issuers: BTreeSet<&'a str>,
    /// There may be servers that are in a database.
    has_others: bool,
}

impl<'a> References<'a> {
    fn of(config: &'a Config) -> Self {
        let keys = || config.auth.api_keys.iter();
        let policy = &config.policy;
        let named = |names: &'a [String]| names.iter().map(String::as_str);
        Self {
            ids: keys()
                .map(|key| key.id.as_str())
                .chain(["anonymous", "local"])
                .collect(),
            roles: keys()
                .flat_map(|key| named(&key.roles))
                .chain(policy.roles.keys().map(String::as_str))
                .collect(),
            groups: keys()
                .flat_map(|key| named(&key.groups))
                .chain(policy.groups.keys().map(String::as_str))
                .collect(),
            servers: config.called_names().collect(),
            gateway_tool: config.gateway_tool(),
            has_tokens: !config.auth.jwt.is_empty() || config.management.is_some(),
            issuers: config
                .auth
                .issuers()
                .chain(config.management.as_ref().map(|_| MANAGEMENT_ISSUER))
                .collect(),
            has_others: config.management.is_some(),
        }
    }

    fn check(&self, checker: &mut Checker<'_>, config: &Config, path: &ConfigPath) {
        let policy = &config.policy;
        for (name, api) in &config.apis {
            self.api(checker, api, &ConfigPath::root().key("apis").key(name));
        }
        for name in policy.servers.keys() {
            let at = path.key("servers").key(name);
            if self.gateway_tool == Some(name) {
                let (message, help) = of_apis(name);
                checker.key_fault(&at, message, help);
                continue;
            }
            let near = nearest(name, &self.servers.iter().copied().collect::<Vec<_>>());
            let help = near.map_or_else(
                || "write a name that `servers` at the top of the file has".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            if !self.servers.contains(name.as_str()) && !self.has_others {
                let message = format!("there is no server {}", checker.shown(&at, name));
                checker.key_fault(&at, message, help);
            }
        }
        let layers = policy.servers.iter().map(|(name, layer)| {
            let path = path.key("servers").key(name).key("rules");
            (path, &layer.rules)
        });
        let consumers = policy.consumers.iter().enumerate();
        let consumers = consumers.map(|(index, consumer)| {
            let path = path.key("consumers").index(index);
            self.who(checker, &consumer.who, &path.key("who"));
            (path.key("rules"), &consumer.rules)
        });
        let consumers: Vec<_> = consumers.collect();
        let all = std::iter::once((path.key("rules"), &policy.rules));
        for (path, rules) in all.chain(layers).chain(consumers) {
            for (index, rule) in rules.iter().enumerate() {
                let path = path.index(index);
                self.who(checker, &rule.who, &path.key("who"));
                self.rule_servers(checker, rule, &path.key("servers"));
            }
        }
        let members = policy
            .roles
            .iter()
            .map(|(name, role)| ("roles", name, &role.members));
        let groups = policy
            .groups
            .iter()
            .map(|(name, group)| ("groups", name, &group.members));
        for (section, name, members) in members.chain(groups) {
            let path = path.key(section).key(name).key("members");
            for (index, who) in members.iter().enumerate() {
                self.who(checker, who, &path.index(index));
            }
        }
    }

    /// Callers whom an API names.
    fn api(&self, checker: &mut Checker<'_>, api: &ApiConfig, path: &ConfigPath) {
        if let Some(callers) = &api.callers {
            let mut who = WhoConfig::default();
            who.ids = Some(callers.ids.clone());
            who.roles = Some(callers.roles.clone());
            who.groups = Some(callers.groups.clone());
            self.who(checker, &who, &path.key("callers"));
            let is_open = callers.issuers.is_empty() && callers.kinds.is_empty();
            if self.has_tokens && !callers.ids.is_empty() && is_open {
                let message = "whoever issues tokens gives ids, and may give these to others";
                let help = "say whose they are, `kinds: [api_key]` or `issuers`";
                checker.remark(&path.key("callers").key("ids"), message, help);
            }
        }
        for (caller, credential) in &api.credentials_by_caller {
            let at = path.key("credentials_by_caller").key(caller);
            if let Some(issuer) = &credential.issuer {
                if !self.issuers.contains(issuer.as_str()) {
                    let at = at.key("issuer");
                    let message = format!("there is no issuer {}", checker.shown(&at, issuer));
                    checker.fault(&at, message, "write one of those in `auth.jwt`");
                }
                continue;
            }
            let help =
                "write an id that a key in `auth.api_keys` has, or the `issuer` of its tokens";
            let found = unknown(checker, &at, ("no caller", caller), &self.ids, help);
            if let Some((message, help)) = found {
                checker.remark(&at, message, help);
            }
        }
    }

    /// A caller, role or group that nobody is or has makes a rule that is about nobody. That is no
    /// fault: whoever takes a key away, and the last that has a role with it, is not kept from it by
    /// what is said of it elsewhere. Who has a token may be and have anything.
    fn who(&self, checker: &mut Checker<'_>, who: &WhoConfig, path: &ConfigPath) {
        if self.has_tokens {
            return;
        }
        for (key, what, names, known) in [
            ("ids", "no caller", &who.ids, &self.ids),
            ("roles", "no role", &who.roles, &self.roles),
            ("groups", "no group", &who.groups, &self.groups),
        ] {
            for (index, name) in names.iter().flatten().enumerate() {
                let at = path.key(key).index(index);
                let help = match key {
                    "ids" => "write an id that a key in `auth.api_keys` has",
                    "roles" => "give it to a key in `auth.api_keys`, or add it to `policy.roles`",
                    _ => "give it to a key in `auth.api_keys`, or add it to `policy.groups`",
                };
                let found = unknown(checker, &at, (what, name), known, help);
                if let Some((message, help)) = found {
                    checker.remark(&at, message, help);
                }
            }
        }
        for (key, nested) in [("any_of", &who.any_of), ("all_of", &who.all_of)] {
            for (index, who) in nested.iter().flatten().enumerate() {
                self.who(checker, who, &path.key(key).index(index));
            }
        }
    }

    /// A plain name that no server has is a mistake. A pattern may match what comes later, and may be one.
    fn rule_servers(&self, checker: &mut Checker<'_>, rule: &RuleConfig, path: &ConfigPath) {
        let help = "write a name that `servers` at the top of the file has";
        for (index, pattern) in rule.servers.iter().flatten().enumerate() {
            let at = path.index(index);
            let name = match pattern {
                NamePattern::Literal(name) => name,
                NamePattern::Glob(glob) if !glob.contains(['*', '?', '\\']) => glob,
                pattern => {
                    self.servers_of(checker, rule, pattern, &at);
                    continue;
                }
            };
            if self.gateway_tool == Some(name) {
                if !is_of_rests(rule) {
                    let (message, help) = of_apis(name);
                    checker.fault(&at, message, help);
                }
            } else if let Some((message, help)) =
                unknown(checker, &at, ("no server", name), &self.servers, help)
                && !self.has_others
            {
                checker.fault(&at, message, help);
            }
        }
    }

    /// A pattern that no server fits.
    fn servers_of(
        &self,
        checker: &mut Checker<'_>,
        rule: &RuleConfig,
        pattern: &NamePattern,
        at: &ConfigPath,
    ) {
        // What is wrong with a pattern itself is told elsewhere.
        let fits = |server: &&str| pattern.fits(server).unwrap_or(true);
        let is_of_rests = is_of_rests(rule) && self.gateway_tool.as_ref().is_some_and(fits);
        if self.servers.is_empty() || self.servers.iter().any(fits) || is_of_rests {
            return;
        }
        let then = match rule.effect {
            RuleEffect::Allow => "allows",
            RuleEffect::Deny => "denies",
            _ => "requires",
        };
        let message = format!("no server in `servers` fits this, so the rule {then} nothing by it");
        checker.remark(at, message, "name one that is there, or remove it");
    }
}

/// True when a rule is about resources alone. The rest of a long answer is one, of the tool that reaches
/// APIs.
fn is_of_rests(rule: &RuleConfig) -> bool {
    let is_of_resources = rule.resources.is_some() || rule.resource_templates.is_some();
    is_of_resources && rule.tools.is_none() && rule.prompts.is_none()
}

/// What is wrong with the tool that reaches APIs in the place of a server, and what to do.
fn of_apis(tool: &str) -> (String, String) {
    (
        format!("no call is one of `{tool}`: each is one of the API that it names"),
        format!("name the APIs, or write `tools: [{tool}]` in a rule for all of them"),
    )
}

/// What is wrong with a name that is none of those that are known, and what to do.
fn unknown(
    checker: &Checker<'_>,
    at: &ConfigPath,
    (what, name): (&str, &str),
    known: &BTreeSet<&str>,
    help: &str,
) -> Option<(String, String)> {
    if known.contains(name) {
        return None;
    }
    let near = nearest(name, &known.iter().copied().collect::<Vec<_>>());
    let help = match near {
        Some(near) if !checker.is_from_env(at) => format!("did you mean `{near}`?"),
        _ => help.to_owned(),
    };
    Some((format!("there is {what} {}", checker.shown(at, name)), help))
}
