//! Names in a policy that stand for nothing.

use std::collections::{HashMap, HashSet};

use mcp_gw_core::Feature;

use super::{CatalogueName, LayerView, Lint, LintKind, words};
use crate::config::{MatchOn, NamePattern, PolicyConfig, WhoConfig};
use crate::fault::{FaultPath, nearest, shown};
use crate::pattern::{Pattern, Subject};
use crate::rule::Rule;

/// So many suggestions are made for one layer.
const MOST_SUGGESTIONS: usize = 100;

/// Patterns that match nothing in the catalogue.
pub(super) fn look_up(
    layer: &LayerView<'_>,
    compiled: &HashMap<&str, &Rule>,
    catalogue: &[CatalogueName],
    lints: &mut Vec<Lint>,
) {
    // URIs made from a template are in no list.
    let has_templates = catalogue
        .iter()
        .any(|item| item.feature == Feature::ResourceTemplate);
    // A suggestion looks at all names; nobody reads thousands.
    let mut suggestions = MOST_SUGGESTIONS;
    let all: HashSet<(Feature, &str)> = catalogue
        .iter()
        .map(|item| (item.feature, item.name.as_str()))
        .collect();
    for (at, config) in layer.rules.iter().enumerate() {
        let Some(rule) = compiled.get(config.id.as_str()) else {
            continue;
        };
        let keys = [
            ("tools", &config.tools, Feature::Tool, Subject::Name),
            (
                "resources",
                &config.resources,
                Feature::Resource,
                Subject::Uri,
            ),
            (
                "resource_templates",
                &config.resource_templates,
                Feature::ResourceTemplate,
                Subject::Uri,
            ),
            ("prompts", &config.prompts, Feature::Prompt, Subject::Name),
        ];
        for (key, patterns, feature, subject) in keys {
            if feature == Feature::Resource && has_templates {
                continue;
            }
            let Some(patterns) = patterns else {
                continue;
            };
            // Most rules name what there is.
            let is_there = |pattern: &NamePattern| {
                matches!(pattern, NamePattern::Literal(name) | NamePattern::Glob(name)
                    if all.contains(&(feature, name.as_str())))
            };
            let is_open = layer.server.is_none() && config.servers.is_none();
            if is_open && config.match_on == MatchOn::Name && patterns.iter().all(is_there) {
                continue;
            }
            let names: Vec<&str> = catalogue
                .iter()
                .filter(|item| item.feature == feature && rule.is_about_server(&item.server))
                .filter(|item| layer.server.is_none_or(|server| server == item.server))
                .map(|item| match config.match_on {
                    MatchOn::Name => item.name.as_str(),
                    MatchOn::UpstreamName => item.upstream_name.as_str(),
                })
                .collect();
            for (index, pattern) in patterns.iter().enumerate() {
                let Ok(compiled) = Pattern::compile(pattern, subject) else {
                    continue;
                };
                if names.iter().any(|name| compiled.matches(name)) {
                    continue;
                }
                let near = match pattern {
                    NamePattern::Literal(text) | NamePattern::Glob(text) if suggestions > 0 => {
                        suggestions -= 1;
                        nearest(text, names.iter().copied())
                    }
                    _ => None,
                };
                let help = near.map_or_else(
                    || "mend the pattern, or remove it".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                let message = format!(
                    "{} matches nothing that there is",
                    shown(&pattern.to_string())
                );
                let mut lint = layer.lint(LintKind::MatchesNothing, at, None, message, help);
                lint.path = lint.path.key(key).index(index);
                lints.push(lint);
            }
        }
    }
}

/// Layers for servers that there are not.
pub(super) fn servers(config: &PolicyConfig, catalogue: &[CatalogueName], lints: &mut Vec<Lint>) {
    let there = words(catalogue.iter().map(|item| item.server.as_str()));
    for name in config
        .servers
        .keys()
        .filter(|name| !there.contains(name.as_str()))
    {
        let help = match nearest(name, there.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "name a server, or remove the layer".to_owned(),
        };
        lints.push(Lint {
            kind: LintKind::Dead,
            rule: None,
            path: FaultPath::root().key("servers").key(name),
            message: format!("the server {} offers nothing", shown(name)),
            help,
        });
    }
}

/// Conditions that ask for servers that there are not.
pub(super) fn asked_servers(
    layer: &LayerView<'_>,
    compiled: &HashMap<&str, &Rule>,
    catalogue: &[CatalogueName],
    lints: &mut Vec<Lint>,
) {
    let there = words(catalogue.iter().map(|item| item.server.as_str()));
    for (at, config) in layer.rules.iter().enumerate() {
        let when = compiled
            .get(config.id.as_str())
            .and_then(|rule| rule.when.as_deref());
        let wanted = when
            .and_then(|when| when.wanted("mcp.server"))
            .unwrap_or_default();
        let is_there = |name: &&str| there.contains(name);
        let Some(first) = wanted.first().filter(|_| !wanted.iter().any(is_there)) else {
            continue;
        };
        let help = match nearest(first, there.iter().copied()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => "name a server, or remove the rule".to_owned(),
        };
        let message = format!(
            "the condition can never be true: the server {} offers nothing",
            shown(first)
        );
        lints.push(layer.lint(LintKind::NeverTrue, at, Some("when"), message, help));
    }
}

/// Roles and groups that are close to ones the policy has, and none of them.
pub(super) fn known(config: &PolicyConfig, layer: &LayerView<'_>, lints: &mut Vec<Lint>) {
    let mut nearest = HashMap::new();
    for (at, rule) in layer.rules.iter().enumerate() {
        let mut found = Vec::new();
        unknown(config, &rule.who, &mut nearest, &mut found);
        for (key, name, near) in found {
            let message = format!("there is no {} in `{key}`", shown(&name));
            let help = format!(
                "did you mean `{near}`? Add {} to `{key}` if not",
                shown(&name)
            );
            let mut lint = layer.lint(LintKind::UnknownName, at, Some("who"), message, help);
            lint.path = lint.path.key(key);
            lints.push(lint);
        }
    }
}

/// Names of callers with a star: they are compared as they are.
pub(super) fn stars(layer: &LayerView<'_>, lints: &mut Vec<Lint>) {
    for (at, rule) in layer.rules.iter().enumerate() {
        let named = [
            ("ids", &rule.who.ids),
            ("roles", &rule.who.roles),
            ("groups", &rule.who.groups),
            ("scopes", &rule.who.scopes),
        ];
        for (key, names) in named {
            for name in names.iter().flatten().filter(|name| name.contains('*')) {
                let message = format!(
                    "{} is compared as it is: a star in `{key}` is no wildcard",
                    shown(name)
                );
                let help = match key {
                    "ids" => "remove `who` for everybody, or name them, their kind, role or group",
                    _ => "name each of them, or write a condition",
                };
                let mut lint = layer.lint(LintKind::UnknownName, at, Some("who"), message, help);
                lint.path = lint.path.key(key);
                lints.push(lint);
            }
        }
    }
}

/// What is nearest to a name of a section, once it was looked for.
type Nearest<'c> = HashMap<(&'static str, &'c str), Option<&'c str>>;

fn unknown<'c>(
    config: &'c PolicyConfig,
    who: &'c WhoConfig,
    known: &mut Nearest<'c>,
    found: &mut Vec<(&'static str, String, String)>,
) {
    let mut look = |key: &'static str, name: &'c str, names: &mut dyn Iterator<Item = &'c str>| {
        let looked_for = known.len();
        let near = known
            .entry((key, name))
            .or_insert_with(|| (looked_for < MOST_SUGGESTIONS).then(|| nearest(name, names))?);
        if let Some(near) = near {
            found.push((key, name.to_owned(), (*near).to_owned()));
        }
    };
    for role in who.roles.iter().flatten() {
        if !config.roles.contains_key(role) {
            look("roles", role, &mut config.roles.keys().map(String::as_str));
        }
    }
    for group in who.groups.iter().flatten() {
        if !config.groups.contains_key(group) {
            look(
                "groups",
                group,
                &mut config.groups.keys().map(String::as_str),
            );
        }
    }
    for nested in who.nested() {
        unknown(config, nested, known, found);
    }
}
