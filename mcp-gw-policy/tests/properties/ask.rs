//! Requests and policies that are made up.

use std::collections::BTreeMap;

use mcp_gw_core::{
    AccessRequest, Arguments, Caller, CallerKind, Feature, Phase, RequestMeta, Transport,
};
use mcp_gw_policy::{
    ConsumerConfig, DefaultEffect, LayerConfig, MatchOn, Method, Mode, NamePattern, PolicyConfig,
    RuleConfig, RuleEffect, WhoConfig,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value};

/// What a claim or an argument can be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Flag {
    True,
    False,
    /// Of a type that no condition takes.
    Odd,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) name: String,
    pub(crate) upstream_name: String,
    pub(crate) server: String,
    pub(crate) id: String,
    pub(crate) roles: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) claims: BTreeMap<String, Flag>,
    pub(crate) arguments: BTreeMap<String, Flag>,
    /// Whether the address is within 10.0.0.0/8, if it is known.
    pub(crate) is_inside: Option<bool>,
}

impl Ask {
    pub(crate) fn is_tool(&self) -> bool {
        self.method.starts_with("tools/")
    }

    /// Hands the request to `ask`.
    pub(crate) fn with<T>(&self, ask: impl FnOnce(&AccessRequest<'_>) -> T) -> T {
        let caller = Caller::new(CallerKind::User, self.id.as_str())
            .with_roles(self.roles.clone())
            .with_groups(self.groups.clone())
            .with_claims(object(&self.claims));
        let address = self.is_inside.map(|inside| {
            if inside {
                [10, 1, 2, 3]
            } else {
                [192, 0, 2, 1]
            }
        });
        let meta = RequestMeta::new("1", Transport::Http)
            .with_client_addr(address.map(std::net::IpAddr::from));
        let arguments = Arguments::from_serialize(&object(&self.arguments)).unwrap();
        let feature = if self.is_tool() {
            Feature::Tool
        } else {
            Feature::Prompt
        };
        let mut request = AccessRequest::new(&caller, &meta, self.method, feature, &self.name);
        request.upstream_name = &self.upstream_name;
        request.server = &self.server;
        if self.method.ends_with("/list") {
            request.phase = Phase::List;
        } else {
            request.arguments = Some(&arguments);
        }
        ask(&request)
    }
}

fn object(flags: &BTreeMap<String, Flag>) -> Map<String, Value> {
    let value = |flag: &Flag| match flag {
        Flag::True => Value::Bool(true),
        Flag::False => Value::Bool(false),
        Flag::Odd => Value::from("odd"),
    };
    flags
        .iter()
        .map(|(name, flag)| (name.clone(), value(flag)))
        .collect()
}

const NAMES: [&str; 9] = [
    "get_a", "get_b", "set_a", "a", "b", "ab", "x_get_a", "ä", "",
];
const SERVERS: [&str; 3] = ["s", "t", "other"];
const METHODS: [&str; 4] = ["tools/list", "tools/call", "prompts/list", "prompts/get"];

fn some(of: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    subsequence(of, 0..=most).prop_map(|found| found.into_iter().map(str::to_owned).collect())
}

fn flags(names: &'static [&'static str]) -> impl Strategy<Value = BTreeMap<String, Flag>> {
    let value = select(vec![Flag::True, Flag::False, Flag::Odd]);
    let all = prop::collection::vec(prop::option::weighted(0.8, value), names.len());
    all.prop_map(|found| {
        names
            .iter()
            .zip(found)
            .filter_map(|(name, flag)| Some(((*name).to_owned(), flag?)))
            .collect()
    })
}

pub(crate) fn ask() -> impl Strategy<Value = Ask> {
    let what = (
        select(&METHODS[..]),
        select(&NAMES[..]),
        select(&NAMES[..]),
        select(&SERVERS[..]),
    );
    let who = (
        select(vec!["ann", "bob"]),
        some(&["r1", "r2", "r3"], 3),
        some(&["g1", "g2"], 2),
    );
    let facts = (
        flags(&["flag"]),
        flags(&["a0", "a1", "a2"]),
        any::<Option<bool>>(),
    );
    (what, who, facts).prop_map(|(what, who, facts)| Ask {
        method: what.0,
        name: what.1.to_owned(),
        upstream_name: what.2.to_owned(),
        server: what.3.to_owned(),
        id: who.0.to_owned(),
        roles: who.1,
        groups: who.2,
        claims: facts.0,
        arguments: facts.1,
        is_inside: facts.2,
    })
}

fn pattern() -> impl Strategy<Value = NamePattern> {
    let globs = vec![
        "get_*", "*_a", "?", "*", "*et*", "s*a", "*?", "g?t_a", "**b", "a", "[a]",
    ];
    let regexes = vec!["get_.*", ".*_b", "a|ab", "b|get_.*|set_a", ".*"];
    let literals = vec!["get_a", "a", "b", "*", "ä"];
    prop_oneof![
        1 => Just(NamePattern::Any),
        4 => select(globs).prop_map(|text| NamePattern::Glob(text.to_owned())),
        3 => select(literals).prop_map(|text| NamePattern::Literal(text.to_owned())),
        1 => select(regexes).prop_map(|text| NamePattern::Regex(text.to_owned())),
    ]
}

fn patterns() -> impl Strategy<Value = Option<Vec<NamePattern>>> {
    prop::option::of(prop::collection::vec(pattern(), 1..4))
}

pub(crate) fn effect() -> impl Strategy<Value = RuleEffect> {
    select(vec![
        RuleEffect::Allow,
        RuleEffect::Allow,
        RuleEffect::Deny,
        RuleEffect::Require,
    ])
}

pub(crate) fn mode() -> impl Strategy<Value = Mode> {
    select(vec![
        Mode::Enforce,
        Mode::Enforce,
        Mode::Enforce,
        Mode::Shadow,
    ])
}

pub(crate) fn default_effect() -> impl Strategy<Value = DefaultEffect> {
    select(vec![DefaultEffect::Allow, DefaultEffect::Deny])
}

fn who() -> impl Strategy<Value = WhoConfig> {
    let lists = (
        some(&["ann", "bob"], 1),
        some(&["r1", "r2", "r3"], 2),
        some(&["g1", "g2"], 1),
    );
    let who = lists.prop_map(|(ids, roles, groups)| {
        let mut who = WhoConfig::default();
        let said = |list: Vec<String>| (!list.is_empty()).then_some(list);
        (who.ids, who.roles, who.groups) = (said(ids), said(roles), said(groups));
        who
    });
    prop_oneof![3 => Just(WhoConfig::default()), 2 => who]
}

fn when() -> impl Strategy<Value = Option<String>> {
    let conditions = vec![
        "true",
        "false",
        "jwt.flag",
        "jwt.missing",
        "mcp.tool.arguments.a0",
        "mcp.tool.arguments.a1",
        "mcp.tool.arguments.a2",
    ];
    let condition = select(conditions).prop_map(str::to_owned);
    prop::option::weighted(0.4, condition)
}

/// The methods of a rule that names these features.
fn methods(tools: bool, prompts: bool) -> impl Strategy<Value = Option<Vec<Method>>> {
    let mut all = vec![
        vec![Method::List],
        vec![Method::Call],
        vec![Method::List, Method::Call],
    ];
    if tools || !prompts {
        all.push(vec![Method::ToolsCall]);
    }
    if prompts && !tools {
        all.push(vec![Method::PromptsList]);
    }
    if tools == prompts {
        all.retain(|methods| methods[0] != Method::ToolsCall || !tools);
    }
    prop::option::weighted(0.5, select(all))
}

pub(crate) fn rule() -> impl Strategy<Value = RuleConfig> {
    let names = (patterns(), patterns()).prop_flat_map(|(tools, prompts)| {
        let methods = methods(tools.is_some(), prompts.is_some());
        (Just(tools), Just(prompts), methods)
    });
    let servers = prop::option::weighted(
        0.3,
        prop::collection::vec(
            select(vec!["s", "t", "*"]).prop_map(NamePattern::from),
            1..3,
        ),
    );
    let on = select(vec![MatchOn::Name, MatchOn::Name, MatchOn::UpstreamName]);
    let from = prop::option::weighted(0.2, Just(vec!["10.0.0.0/8".to_owned()]));
    (effect(), names, servers, on, (who(), from, when()), mode()).prop_map(
        |(effect, (tools, prompts, methods), servers, on, (who, from, when), mode)| {
            let mut rule = RuleConfig::new("?", effect);
            (rule.tools, rule.prompts, rule.methods) = (tools, prompts, methods);
            (rule.servers, rule.match_on, rule.mode) = (servers, on, mode);
            (rule.who, rule.from, rule.when) = (who, from, when);
            if rule.effect == RuleEffect::Require
                && rule.who.is_open()
                && rule.from.is_none()
                && rule.when.is_none()
            {
                rule.when = Some("jwt.flag".to_owned());
            }
            rule
        },
    )
}

pub(crate) fn policy() -> impl Strategy<Value = PolicyConfig> {
    let rules = |most| prop::collection::vec(rule(), 0..most);
    let layer = move || (default_effect(), mode(), rules(5));
    let global = (default_effect(), prop::bool::weighted(0.1), rules(14));
    let server = prop::option::weighted(0.4, layer());
    let consumers = prop::collection::vec((who(), layer()), 0..3);
    (global, server, consumers).prop_map(|((default, is_shadow, rules), server, consumers)| {
        let mut policy = PolicyConfig::default();
        (policy.default, policy.rules) = (default, rules);
        if is_shadow {
            policy.mode = Mode::Shadow;
        }
        if let Some((default, mode, rules)) = server {
            let mut layer = LayerConfig::default();
            (layer.default, layer.mode, layer.rules) = (default, mode, rules);
            policy.servers.insert("s".to_owned(), layer);
        }
        for (at, (mut who, (default, mode, rules))) in consumers.into_iter().enumerate() {
            if who.is_open() {
                who = WhoConfig::roles(["r1"]);
            }
            let mut layer = ConsumerConfig::new(format!("c{at}"), who);
            (layer.default, layer.mode, layer.rules) = (default, mode, rules);
            policy.consumers.push(layer);
        }
        name_rules(&mut policy);
        policy
    })
}

/// All rules of a policy.
pub(crate) fn rules(policy: &mut PolicyConfig) -> Vec<&mut RuleConfig> {
    let servers = policy
        .servers
        .values_mut()
        .flat_map(|layer| &mut layer.rules);
    let consumers = policy
        .consumers
        .iter_mut()
        .flat_map(|layer| &mut layer.rules);
    policy
        .rules
        .iter_mut()
        .chain(servers)
        .chain(consumers)
        .collect()
}

fn name_rules(policy: &mut PolicyConfig) {
    for (at, rule) in rules(policy).into_iter().enumerate() {
        rule.id = format!("r{at}");
    }
}
