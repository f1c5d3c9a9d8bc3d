//! Names in a policy that stand for nothing.

use std::collections::HashMap;

use mcp_gw_core::Feature;

use super::{CatalogueName, LayerView, Lint, LintKind, words};
use crate::config::{MatchOn, NamePattern, PolicyConfig, WhoConfig};
use crate::fault::{FaultPath, nearest, shown};
use crate::pattern::{Pattern, Subject};
use crate::rule::Rule;

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
            let names: Vec<&str> = catalogue
                .iter()
                .filter(|item| item.feature == feature && rule.is_about_server(&item.server))
                .filter(|item| layer.server.is_none_or(|server| server == item.server))
                .map(|item| match config.match_on {
                    MatchOn::Name => item.name.as_str(),
                    MatchOn::UpstreamName => item.upstream_name.as_str(),
                })
                .collect();
            for (index, pattern) in patterns.iter().flatten().enumerate() {
                let Ok(compiled) = Pattern::compile(pattern, subject) else {
                    continue;
                };
                if names.iter().any(|name| compiled.matches(name)) {
                    continue;
                }
                let near = match pattern {
                    NamePattern::Literal(text) | NamePattern::Glob(text) => {
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

/// Roles and groups that are close to ones the policy has, and none of them.
pub(super) fn known(config: &PolicyConfig, layer: &LayerView<'_>, lints: &mut Vec<Lint>) {
    for (at, rule) in layer.rules.iter().enumerate() {
        let mut found = Vec::new();
        unknown(config, &rule.who, &mut found);
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

fn unknown(
    config: &PolicyConfig,
    who: &WhoConfig,
    found: &mut Vec<(&'static str, String, String)>,
) {
    let roles = || config.roles.keys().map(String::as_str);
    let groups = || config.groups.keys().map(String::as_str);
    for role in who
        .roles
        .iter()
        .flatten()
        .filter(|role| !config.roles.contains_key(*role))
    {
        if let Some(near) = nearest(role, roles()) {
            found.push(("roles", role.clone(), near.to_owned()));
        }
    }
    for group in who
        .groups
        .iter()
        .flatten()
        .filter(|group| !config.groups.contains_key(*group))
    {
        if let Some(near) = nearest(group, groups()) {
            found.push(("groups", group.clone(), near.to_owned()));
        }
    }
    for nested in who.nested() {
        unknown(config, nested, found);
    }
}
