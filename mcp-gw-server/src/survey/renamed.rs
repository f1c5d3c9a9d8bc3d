//! Rules that refuse something by a name that clients do not see, or see no more.
//!
//! Names in rules are those that clients see, unless a rule says `match: upstream_name`: one meaning
//! for each rule, whatever is behind the gateway. So a rule by a plain name is about nothing from the
//! day on which names get a prefix, and what it refused is there under its new name. A rule does not
//! follow by itself: of two servers with a `search` it cannot tell which was meant, and who writes a
//! rule would not know any more what it is about. It is told of instead, at the start and whenever
//! names change.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use mcp_gw_core::{
    AccessRequest, Caller, Catalogue, Feature, Gateway, GatewayEvent, GatewayListener, Phase,
    RequestMeta, Transport,
};
use mcp_gw_policy::{
    NamePattern, PolicyConfig, PolicyEngine, Reason, RuleConfig, RuleEffect, ScopeRequirement,
};

use crate::swap::Swap;

/// So many items are named for one rule.
const NAMED: usize = 3;
/// The names of so many items are remembered.
const REMEMBERED: usize = 100_000;

const FEATURES: [Feature; 4] = [
    Feature::Tool,
    Feature::Resource,
    Feature::ResourceTemplate,
    Feature::Prompt,
];

/// Something that a server offers: what it is, the server, and the server's own name for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Item {
    feature: Feature,
    server: Arc<str>,
    own: Arc<str>,
}

/// An item that was known under another name than clients see.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Renamed {
    item: Item,
    old: Arc<str>,
    new: Arc<str>,
}

/// Each item of a catalogue with its name.
fn items(catalogue: &Catalogue) -> impl Iterator<Item = (Item, Arc<str>)> {
    FEATURES.into_iter().flat_map(move |feature| {
        catalogue.entries(feature).iter().map(move |entry| {
            let item = Item {
                feature,
                server: Arc::clone(&entry.server),
                own: Arc::clone(&entry.own_name),
            };
            (item, Arc::clone(&entry.canonical))
        })
    })
}

/// Rules that refuse nothing there is, and mean something by the name that its server gives it: one
/// sentence for each.
pub(super) fn misnamed(gateway: &Gateway, policy: &PolicyConfig) -> Vec<String> {
    let catalogue = gateway.catalogue();
    let renamed = items(&catalogue)
        .filter(|(item, name)| item.own != *name)
        .map(|(item, new)| Renamed {
            old: Arc::clone(&item.own),
            item,
            new,
        });
    let renamed: Vec<_> = renamed.collect();
    if renamed.is_empty() {
        return Vec::new();
    }
    let there: Vec<_> = items(&catalogue).collect();
    let is_about_something = |probe: &Probe, feature| {
        let mut same = there.iter().filter(|(item, _)| item.feature == feature);
        same.any(|(item, name)| probe.is_about(item, name))
    };
    sentences(policy, &renamed, is_about_something)
}

/// What rules refused by a name that clients see no more: one sentence for each rule.
fn lost(policy: &PolicyConfig, renamed: &[Renamed]) -> Vec<String> {
    sentences(policy, renamed, |_, _| false)
}

fn sentences(
    policy: &PolicyConfig,
    renamed: &[Renamed],
    is_about_something: impl Fn(&Probe, Feature) -> bool,
) -> Vec<String> {
    let mut sentences = Vec::new();
    for (path, server, rule) in refusing(policy) {
        let Some(probe) = Probe::of(&rule, server) else {
            continue;
        };
        let mut missed = BTreeMap::new();
        for feature in FEATURES {
            let of_feature = renamed.iter().filter(|it| it.item.feature == feature);
            let found: Vec<_> = of_feature.filter_map(|it| probe.misses(it)).collect();
            if !found.is_empty() && !is_about_something(&probe, feature) {
                missed.extend(found);
            }
        }
        if !missed.is_empty() {
            sentences.push(sentence(&path, &rule, &missed));
        }
    }
    sentences
}

fn sentence(path: &str, rule: &RuleConfig, missed: &BTreeMap<(String, String), String>) -> String {
    let named = missed
        .iter()
        .take(NAMED)
        .map(|((old, server), new)| format!("`{old}` of server `{server}` is `{new}`"));
    let mut named: Vec<_> = named.collect();
    let more = missed.len().saturating_sub(NAMED);
    if more > 0 {
        named.push(format!("and so on, {more} more"));
    }
    let id = match rule.id.as_str() {
        "" => String::new(),
        id => format!(" `{id}`"),
    };
    format!(
        "{path}: the rule{id} does not refuse what it may mean: to clients {}; write the names that \
         clients see, or `match: upstream_name`",
        named.join(", ")
    )
}

/// The rules that take something away, with their places and the servers that they are about.
fn refusing(policy: &PolicyConfig) -> Vec<(String, Option<&str>, RuleConfig)> {
    let mut found = Vec::new();
    let mut add = |path: String, server, rules: &[RuleConfig]| {
        for (at, rule) in rules.iter().enumerate() {
            if rule.effect != RuleEffect::Allow {
                found.push((format!("{path}rules[{at}]"), server, rule.clone()));
            }
        }
    };
    add("policy.".to_owned(), None, &policy.rules);
    for (name, layer) in &policy.servers {
        add(
            format!("policy.servers.{name}."),
            Some(name.as_str()),
            &layer.rules,
        );
    }
    for (at, layer) in policy.consumers.iter().enumerate() {
        add(format!("policy.consumers[{at}]."), None, &layer.rules);
    }
    for (at, required) in policy.scopes.required.iter().enumerate() {
        let path = format!("policy.scopes.required[{at}]");
        found.push((path, None, rule_of(required)));
    }
    found
}

/// The rule that required scopes stand for, as far as it is about names.
fn rule_of(required: &ScopeRequirement) -> RuleConfig {
    let patterns = |globs: &Option<Vec<String>>| {
        let globs = globs.as_ref()?.iter();
        Some(globs.map(|glob| NamePattern::from(glob.as_str())).collect())
    };
    let mut rule = RuleConfig::new("", RuleEffect::Require);
    rule.tools = patterns(&required.tools);
    rule.resources = patterns(&required.resources);
    rule.resource_templates = patterns(&required.resource_templates);
    rule.prompts = patterns(&required.prompts);
    rule.servers = patterns(&required.servers);
    rule
}

/// Tells what a rule is about, whoever asks and on whatever condition.
struct Probe<'a> {
    engine: PolicyEngine,
    rule: &'a RuleConfig,
    server: Option<&'a str>,
    caller: Caller,
    meta: RequestMeta,
}

impl<'a> Probe<'a> {
    /// `None` for a rule that names nothing, and so is about everything.
    fn of(rule: &'a RuleConfig, server: Option<&'a str>) -> Option<Self> {
        let mut bare = RuleConfig::new("it", RuleEffect::Deny);
        bare.tools.clone_from(&rule.tools);
        bare.resources.clone_from(&rule.resources);
        bare.resource_templates.clone_from(&rule.resource_templates);
        bare.prompts.clone_from(&rule.prompts);
        bare.servers.clone_from(&rule.servers);
        bare.match_on = rule.match_on;
        let lists = [
            &bare.tools,
            &bare.resources,
            &bare.resource_templates,
            &bare.prompts,
        ];
        if lists.into_iter().all(Option::is_none) {
            return None;
        }
        let config = PolicyConfig::allow().with_rule(bare);
        Some(Self {
            engine: PolicyEngine::compile(&config).ok()?,
            rule,
            server,
            caller: Caller::local(),
            meta: RequestMeta::new("", Transport::InProcess),
        })
    }

    /// Whether it is about the item when clients know that by `name`.
    fn is_about(&self, item: &Item, name: &str) -> bool {
        self.covers(item.feature, item, name, &item.own)
    }

    fn covers(&self, feature: Feature, item: &Item, name: &str, own: &str) -> bool {
        if self.server.is_some_and(|server| *server != *item.server) {
            return false;
        }
        let method = match feature {
            Feature::Tool => "tools/call",
            Feature::Prompt => "prompts/get",
            Feature::ResourceTemplate => "resources/templates/list",
            _ => "resources/read",
        };
        let mut request = AccessRequest::new(&self.caller, &self.meta, method, feature, name);
        if feature == Feature::ResourceTemplate {
            request.phase = Phase::List;
        }
        request.upstream_name = own;
        request.server = &item.server;
        let decision = self.engine.decide_now(&request);
        !decision.is_allowed() && decision.kind() == Reason::DenyRule.as_str()
    }

    /// What it was about by the old name and is not by the new one: the old name with the server,
    /// and the new name.
    fn misses(&self, renamed: &Renamed) -> Option<((String, String), String)> {
        let Renamed { item, old, new } = renamed;
        let told = |old: &str, new: String| ((old.to_owned(), item.server.to_string()), new);
        if self.is_about(item, old) && !self.is_about(item, new) {
            return Some(told(old, new.to_string()));
        }
        if item.feature != Feature::ResourceTemplate {
            return None;
        }
        // Resources that a template describes are in no list.
        self.rule.resources.iter().flatten().find_map(|pattern| {
            let (NamePattern::Glob(text) | NamePattern::Literal(text)) = pattern else {
                return None;
            };
            let head = |template: &'_ str| template.split('{').next().map(str::to_owned);
            let (before, after) = (head(old)?, head(new)?);
            let rest = text.strip_prefix(&*before)?;
            let moved = format!("{after}{rest}");
            let some = |text: &str| text.replace(['*', '?'], "x");
            let (was, is) = (some(text), some(&moved));
            let about = |name: &str| self.covers(Feature::Resource, item, name, &was);
            (about(&was) && !about(&is)).then(|| told(text, moved))
        })
    }
}

/// Hears of other names, and logs which rules refuse nothing by them.
pub(crate) struct NameWatch {
    policy: Swap<PolicyConfig>,
    /// The last name of each item; those of servers that are away, too.
    known: Mutex<HashMap<Item, Arc<str>>>,
}

impl NameWatch {
    pub(crate) fn new(policy: &PolicyConfig) -> Self {
        Self {
            policy: Swap::new(policy.clone()),
            known: Mutex::default(),
        }
    }

    /// The policy whose rules are looked at from now on.
    pub(crate) fn put(&self, policy: &PolicyConfig) {
        self.policy.put(policy.clone());
    }

    /// Remembers the names there are, and says which are other ones.
    fn note(&self, catalogue: &Catalogue) -> Vec<Renamed> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut renamed = Vec::new();
        for (item, new) in items(catalogue) {
            if known.get(&item).is_some_and(|old| *old == new) {
                continue;
            }
            if known.len() >= REMEMBERED {
                known.clear();
            }
            if let Some(old) = known.insert(item.clone(), Arc::clone(&new)) {
                renamed.push(Renamed { item, old, new });
            }
        }
        renamed
    }
}

impl GatewayListener for NameWatch {
    fn on_event(&self, event: &GatewayEvent) {
        let GatewayEvent::CatalogueChanged { swap, .. } = event else {
            return;
        };
        let renamed = self.note(&swap.after);
        let (before, after) = (Arc::clone(&swap.before), Arc::clone(&swap.after));
        let policy = self.policy.now();
        let tell = move || {
            let undecided = super::undecided::news(&before, &after);
            for line in lost(&policy, &renamed).into_iter().chain(undecided) {
                tracing::warn!(target: "mcp_gw::policy", "{line}");
            }
        };
        // It takes its time where there are many rules.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(tell)),
            Err(_) => tell(),
        }
    }
}

#[cfg(test)]
mod tests;
