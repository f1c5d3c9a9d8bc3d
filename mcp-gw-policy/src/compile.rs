//! From a policy as written to one that decides. Everything that is wrong with it is found at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use mcp_gw_core::{Effect, PolicyVersion};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::condition::{Condition, ConditionCompiler, ConditionLimits};
use crate::config::{
    DefaultEffect, MatchOn, Method, Mode, NamePattern, PolicyConfig, RuleConfig, RuleEffect,
};
use crate::fault::{FaultPath, PolicyFault, PolicyFaults, nearest, shown};
use crate::index::{Bucket, BucketBuilder, Keys, NameIndexBuilder, RuleIndex};
use crate::ip::{Cidrs, IpRules};
use crate::op::{Op, Ops};
use crate::pattern::{Pattern, PatternFault, Subject};
use crate::rbac::{Doubt, Grants, Who, WhoConfig, WhoKeys};
use crate::rule::{Rule, Target};
use crate::set::{Consumers, Layer, OpIndex, PolicySet};
use crate::stats::RuleCounters;

mod sections;
mod steps;
mod target;
mod version;
mod when;

pub(crate) use steps::{LayerCosts, REQUEST_STEPS, Shares, TOO_MANY_STEPS, Worst};
pub(crate) use when::NO_ROLE;

/// The counters of rules that were there before, by id.
pub(crate) type Known = HashMap<Arc<str>, Arc<RuleCounters>>;

/// The most rules of one policy.
const MOST_RULES: usize = 100_000;

/// Compiles a policy.
pub(crate) fn compile(config: &PolicyConfig, known: &Known) -> Result<PolicySet, PolicyFaults> {
    let expanded = sections::expanded(config);
    let written = config;
    let config = expanded.as_ref().unwrap_or(config);
    let mut compiler = Compiler {
        config,
        known,
        conditions: ConditionCompiler::new(&config.vars, &ConditionLimits::default()),
        patterns: HashMap::new(),
        whens: HashMap::new(),
        ids: HashMap::new(),
        faults: Vec::new(),
        warnings: Vec::new(),
        needs_tls: Vec::new(),
    };
    let sections = compiler.sections();
    let set = compiler.set();
    match (set, sections) {
        (Some(mut set), Some(sections)) if compiler.faults.is_empty() => {
            set.version = version::of(written);
            set.is_uniform &= sections.ip.is_empty();
            set.grants = sections.grants;
            set.ip = sections.ip;
            set.extra_methods = sections.extra_methods;
            steps::count(&mut set);
            Ok(set)
        }
        _ => Err(PolicyFaults::new(sections::relocated(
            compiler.faults,
            written,
        ))),
    }
}

struct Compiler<'a> {
    config: &'a PolicyConfig,
    known: &'a Known,
    conditions: ConditionCompiler,
    /// Equal patterns are compiled once.
    patterns: HashMap<(Subject, &'a NamePattern), Arc<Pattern>>,
    /// Equal conditions, too.
    whens: HashMap<&'a str, Arc<Condition>>,
    /// Where each rule id was first seen.
    ids: HashMap<&'a str, FaultPath>,
    faults: Vec<PolicyFault>,
    warnings: Vec<PolicyFault>,
    needs_tls: Vec<PolicyFault>,
}

/// A layer as written.
struct Source<'a> {
    name: String,
    path: FaultPath,
    default: DefaultEffect,
    mode: Mode,
    rules: &'a [RuleConfig],
}

/// A rule on its way: the compiled rule, and what the index keeps it under.
struct Compiled<'a> {
    rule: Rule,
    /// The patterns of each target, with the text that tells them apart.
    named: target::Targets,
    who: WhoKeys<'a>,
    servers: Option<Vec<Box<str>>>,
}

impl<'a> Compiler<'a> {
    fn set(&mut self) -> Option<PolicySet> {
        let config = self.config;
        let root = FaultPath::root();
        let rules = config.rules.len()
            + config
                .servers
                .values()
                .map(|layer| layer.rules.len())
                .sum::<usize>()
            + config
                .consumers
                .iter()
                .map(|layer| layer.rules.len())
                .sum::<usize>();
        if rules > MOST_RULES {
            let message = format!("there are more than {MOST_RULES} rules");
            let fault = PolicyFault::new(root.key("rules"), message);
            self.faults
                .push(fault.with_help("use patterns, roles and groups instead of single names"));
            return None;
        }
        let global = self.layer(&Source {
            name: "global".to_owned(),
            path: root.clone(),
            default: config.default,
            mode: config.mode,
            rules: &config.rules,
        });
        let mut servers = HashMap::new();
        for (name, layer) in &config.servers {
            let compiled = self.layer(&Source {
                name: format!("server {name}"),
                path: root.key("servers").key(name),
                default: layer.default,
                mode: layer.mode,
                rules: &layer.rules,
            });
            servers.extend(compiled.map(|layer| (Box::from(name.as_str()), layer)));
        }
        let consumers = self.consumers();
        let global = global?;
        let is_uniform = consumers.is_empty()
            && global.rules.iter().all(|rule| !rule.looks_at_caller())
            && servers
                .values()
                .all(|layer| layer.rules.iter().all(|rule| !rule.looks_at_caller()));
        Some(PolicySet {
            version: PolicyVersion::new(0),
            on_denied: config.on_denied,
            grants: Grants::default(),
            ip: IpRules::default(),
            extra_methods: HashSet::new(),
            global,
            servers,
            consumer_index: index_of(&consumers),
            consumers: consumers
                .into_iter()
                .map(|(_, consumers)| consumers)
                .collect(),
            is_uniform,
            steps: 0,
            worst: Worst::default(),
            warnings: std::mem::take(&mut self.warnings),
            needs_tls: std::mem::take(&mut self.needs_tls),
        })
    }

    fn consumers(&mut self) -> Vec<(WhoKeys<'a>, Consumers)> {
        let mut consumers = Vec::new();
        let mut names = HashMap::new();
        for (at, consumer) in self.config.consumers.iter().enumerate() {
            let path = FaultPath::root().key("consumers").index(at);
            if let Some(first) = names.insert(&*consumer.name, at) {
                let message = format!("the name {} is given twice", shown(&consumer.name));
                let help =
                    format!("give one of the two another; the first is `consumers[{first}]`");
                self.faults
                    .push(PolicyFault::new(path.key("name"), message).with_help(help));
            }
            if consumer.who.is_open() {
                let fault = PolicyFault::new(
                    path.key("who"),
                    "this says nothing, so the layer is for everybody",
                );
                self.faults
                    .push(fault.with_help("say who, or move the rules to `rules`"));
            }
            let who = self.who(&consumer.who, &path, None, Doubt::Fits);
            let layer = self.layer(&Source {
                name: format!("consumer {}", consumer.name),
                path,
                default: consumer.default,
                mode: consumer.mode,
                rules: &consumer.rules,
            });
            let compiled = who.zip(layer);
            let keys = consumer.who.keys();
            consumers.extend(compiled.map(|(who, layer)| (keys, Consumers { who, layer })));
        }
        consumers
    }

    fn layer(&mut self, source: &Source<'a>) -> Option<Layer> {
        let is_shadow = self.config.mode == Mode::Shadow || source.mode == Mode::Shadow;
        let path = source.path.key("rules");
        let mut compiled: Vec<Compiled<'a>> = Vec::new();
        for (at, rule) in source.rules.iter().enumerate() {
            compiled.extend(self.rule(rule, &path.index(at)));
        }
        self.warn_of_nothing(source, &path, is_shadow);
        // From here on nothing depends on the order in the file.
        compiled.sort_by(|a, b| a.rule.id.cmp(&b.rule.id));
        let ops = self.index(&compiled, &path)?;
        Some(Layer {
            name: source.name.as_str().into(),
            default: match source.default {
                DefaultEffect::Deny => Effect::Deny,
                DefaultEffect::Allow => Effect::Allow,
            },
            is_shadow,
            rules: compiled.into_iter().map(|compiled| compiled.rule).collect(),
            ops,
            costs: LayerCosts::default(),
        })
    }

    /// A layer that allows nothing at all is seldom meant (P-2).
    fn warn_of_nothing(&mut self, source: &Source<'_>, path: &FaultPath, is_shadow: bool) {
        let allows = |rule: &RuleConfig| {
            rule.effect == RuleEffect::Allow && (rule.mode == Mode::Enforce || is_shadow)
        };
        if source.default == DefaultEffect::Allow || source.rules.iter().any(allows) {
            return;
        }
        let is_global = source.path == FaultPath::root();
        let has_more =
            is_global && !(self.config.servers.is_empty() && self.config.consumers.is_empty());
        let message = match (source.rules.is_empty(), is_global) {
            // That there is nothing at all is told elsewhere.
            (true, true) if !has_more => return,
            (true, true) => {
                "nothing is allowed here, so nothing is, whatever the other layers allow"
            }
            (true, false) => {
                "this layer has no rules, and its default is to deny: nothing of what it is about is \
                 allowed, whatever the other layers allow"
            }
            (false, _) => {
                "no rule allows anything here, and the default is to deny: nothing is allowed"
            }
        };
        let fault = PolicyFault::new(path.clone(), message);
        self.warnings
            .push(fault.with_help("write `default: allow`, or a rule with `effect: allow`"));
    }

    fn index(&mut self, compiled: &[Compiled<'a>], path: &FaultPath) -> Option<Box<[OpIndex]>> {
        let mut builders: Vec<[NameIndexBuilder<'_>; 2]> = Vec::new();
        builders.resize_with(Op::COUNT, Default::default);
        for (at, compiled) in compiled.iter().enumerate() {
            let at = RuleIndex::try_from(at).ok()?;
            let keys = Keys {
                who: compiled.who,
                servers: compiled.servers.as_deref(),
            };
            for (ops, patterns) in &compiled.named {
                for op in ops.iter() {
                    let [by_name, by_upstream] = builders.get_mut(op as usize)?;
                    let builder = match compiled.rule.match_on {
                        MatchOn::Name => by_name,
                        MatchOn::UpstreamName => by_upstream,
                    };
                    for (text, pattern) in patterns {
                        builder.add(text, pattern, at, keys);
                    }
                }
            }
        }
        let mut build = |builder: NameIndexBuilder<'_>| {
            if builder.is_empty() {
                return None;
            }
            builder
                .build(path)
                .map_err(|fault| self.faults.push(fault))
                .ok()
        };
        let ops = builders.into_iter().map(|[by_name, by_upstream]| OpIndex {
            by_name: build(by_name),
            by_upstream_name: build(by_upstream),
        });
        Some(ops.collect())
    }

    fn rule(&mut self, config: &'a RuleConfig, path: &FaultPath) -> Option<Compiled<'a>> {
        let before = self.faults.len();
        self.id(config, path);
        let named = self.targets(config, path);
        let doubt = match config.effect {
            RuleEffect::Deny => Doubt::Fits,
            RuleEffect::Allow | RuleEffect::Require => Doubt::Misses,
        };
        let who = if config.who.is_open() {
            None
        } else {
            self.who(&config.who, path, Some(config), doubt)
        };
        let from = config
            .from
            .as_ref()
            .and_then(|from| self.from(config, from, path));
        let when = config.when.as_deref();
        let when = when.and_then(|when| self.when(config, when, path));
        let servers = config
            .servers
            .as_ref()
            .map(|servers| self.patterns(config, servers, Subject::Name, &path.key("servers")));
        let guards = config.when.is_some() || config.from.is_some() || !config.who.is_open();
        if config.effect == RuleEffect::Require && !guards {
            let message = "a `require` rule without `who`, `from` or `when` asks for nothing";
            self.fault(config, path.clone(), message, "say what must hold");
        }
        if self.faults.len() > before {
            return None;
        }
        let id: Arc<str> = Arc::from(config.id.as_str());
        let only = config.servers.as_deref().and_then(literals);
        let rule = Rule {
            counters: self.known.get(&id).cloned().unwrap_or_default(),
            id,
            effect: config.effect,
            is_shadow: config.mode == Mode::Shadow,
            match_on: config.match_on,
            targets: named
                .iter()
                .map(|(ops, patterns)| Target {
                    ops: *ops,
                    patterns: patterns
                        .iter()
                        .map(|(_, pattern)| Arc::clone(pattern))
                        .collect(),
                })
                .collect(),
            servers: servers.map(|found| found.into_iter().map(|(_, pattern)| pattern).collect()),
            who,
            from,
            scopes: sections::scopes_named(config, when.as_deref()),
            steps: when.as_ref().map_or(0, |when| when.steps()),
            when,
        };
        self.warn_of_names(&rule, path);
        Some(Compiled {
            rule,
            named,
            // What a `require` rule says of callers must hold for all of them.
            who: match config.effect {
                RuleEffect::Require => WhoKeys::Open,
                RuleEffect::Allow | RuleEffect::Deny => config.who.keys(),
            },
            servers: only,
        })
    }

    fn id(&mut self, config: &'a RuleConfig, path: &FaultPath) {
        let at = path.key("id");
        let id = config.id.as_str();
        if id.is_empty() || id.len() > LONGEST_ID || !is_plain(id) {
            let message = format!("{} cannot be the id of a rule", shown(id));
            let help = format!(
                "write 1 to {LONGEST_ID} characters that can be seen, without blanks at the ends"
            );
            self.fault(config, at, message, &help);
        } else if is_count(id) {
            let message = format!("{} stands for other rules in explanations", shown(id));
            self.fault(config, at, message, "give the rule another id");
        } else if id == "default" {
            let message = "`default` stands for the default in explanations";
            self.fault(config, at, message, "give the rule another id");
        } else if let Some(first) = self.ids.get(id) {
            let message = format!("there are two rules with the id {}", shown(id));
            let help = format!("give one of the two another; the first is `{first}`");
            self.fault(config, at, message, &help);
        } else {
            self.ids.insert(id, path.clone());
        }
    }

    fn who(
        &mut self,
        who: &WhoConfig,
        path: &FaultPath,
        rule: Option<&RuleConfig>,
        doubt: Doubt,
    ) -> Option<Who> {
        let faults = match Who::compile(who, doubt) {
            Ok(who) => return Some(who),
            Err(faults) => faults,
        };
        for (key, message, help) in faults {
            let mut fault = PolicyFault::new(path.key("who").key(key), message).with_help(help);
            fault.rule = rule.map(|rule| rule.id.clone());
            self.faults.push(fault);
        }
        None
    }

    fn from(&mut self, config: &RuleConfig, from: &[String], path: &FaultPath) -> Option<Cidrs> {
        let path = path.key("from");
        if from.is_empty() {
            let message = "an empty list matches no address";
            self.fault(config, path, message, "name some blocks, or remove the key");
            return None;
        }
        match Cidrs::parse_list(from) {
            Ok(cidrs) => Some(cidrs),
            Err(faults) => {
                for (at, message, help) in faults {
                    self.fault(config, path.index(at), message, &help);
                }
                None
            }
        }
    }

    fn fault(
        &mut self,
        rule: &RuleConfig,
        path: FaultPath,
        message: impl Into<String>,
        help: &str,
    ) {
        let mut fault = PolicyFault::new(path, message).with_rule(&rule.id);
        if !help.is_empty() {
            fault = fault.with_help(help);
        }
        self.faults.push(fault);
    }
}

/// Finds the layers that a caller may be in.
fn index_of(consumers: &[(WhoKeys<'_>, Consumers)]) -> Bucket {
    let mut index = BucketBuilder::default();
    for (at, (who, _)) in (0..).zip(consumers) {
        let keys = Keys {
            who: *who,
            servers: None,
        };
        index.add(at, keys);
    }
    index.build()
}

/// The names, when the patterns are nothing else.
fn literals(patterns: &[NamePattern]) -> Option<Vec<Box<str>>> {
    patterns
        .iter()
        .map(|pattern| match pattern {
            NamePattern::Literal(name) => Some(name.as_str().into()),
            NamePattern::Glob(name) if !name.contains(['*', '?', '\\']) => {
                Some(name.as_str().into())
            }
            _ => None,
        })
        .collect()
}

/// The longest id of a rule, in bytes.
const LONGEST_ID: usize = 128;

/// True for a name that looks like what it is: no blanks at its ends, no characters that cannot be seen
/// or that turn the text around them.
fn is_plain(id: &str) -> bool {
    let is_unseen = |c: char| {
        c.is_control()
            || (c.is_whitespace() && c != ' ')
            || matches!(
                c,
                '\u{ad}'
                    | '\u{34f}'
                    | '\u{61c}'
                    | '\u{115f}'
                    | '\u{1160}'
                    | '\u{17b4}'
                    | '\u{17b5}'
            )
            || matches!(c, '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
            || matches!(c, '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
    };
    id.trim() == id && !id.chars().any(is_unseen)
}

/// True for `and 3 more`, which stands where there are too many rules to name.
fn is_count(id: &str) -> bool {
    let count = id
        .strip_prefix("and ")
        .and_then(|id| id.strip_suffix(" more"));
    count.is_some_and(|count| count.bytes().all(|byte| byte.is_ascii_digit()))
}
