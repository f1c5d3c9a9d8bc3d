//! Plugins that get in each other's way, and code in plugins.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::access::auth_plugins;
use super::{Judge, Rule, Severity, step};
use crate::tools::api7::risk::scan::Resource;
use crate::tools::api7::risk::source::Source;

pub(super) static RULES: &[Rule] = &[
    Rule {
        id: "plugin-twice",
        category: "plugins",
        severity: Severity::Low,
        title: "A plugin is set up twice for one route",
        remedy: "Keep one. The route's settings replace those of its service; a global rule runs besides both.",
        reference: "https://apisix.apache.org/docs/apisix/terminology/plugin/",
        needs: &[Source::Routes, Source::GlobalRules],
        run: twice,
    },
    Rule {
        id: "several-auth-plugins",
        category: "plugins",
        severity: Severity::Low,
        title: "A caller has to pass several authentication plugins",
        remedy: "Keep one, or put them into multi-auth, where one of them is enough.",
        reference: "https://apisix.apache.org/docs/apisix/plugins/multi-auth/",
        needs: &[Source::Routes, Source::GlobalRules],
        run: several_auth,
    },
    Rule {
        id: "test-plugin-active",
        category: "plugins",
        severity: Severity::Medium,
        title: "A plugin for tests is switched on",
        remedy: "Remove the plugin, if this gateway serves real callers.",
        reference: "https://apisix.apache.org/docs/apisix/plugins/fault-injection/",
        needs: &[Source::Routes, Source::StreamRoutes, Source::GlobalRules],
        run: for_tests,
    },
    Rule {
        id: "dangerous-code",
        category: "plugins",
        severity: Severity::High,
        title: "Code in a plugin starts programs or runs text as code",
        remedy: "Read the code. Replace the call, or make sure that nothing of a request gets into it.",
        reference: "https://owasp.org/www-community/attacks/Code_Injection",
        needs: &[Source::Routes, Source::GlobalRules, Source::CustomPlugins],
        run: dangerous,
    },
    Rule {
        id: "hard-coded-secret",
        category: "plugins",
        severity: Severity::High,
        title: "Code in a plugin holds a secret",
        remedy: "Take the secret out, change it, and read it from a secret provider or an environment variable.",
        reference: "https://cwe.mitre.org/data/definitions/798.html",
        needs: &[Source::Routes, Source::GlobalRules, Source::CustomPlugins],
        run: secrets,
    },
];

fn twice(judge: &mut Judge<'_>) {
    for served in judge.scan.routes() {
        judge.look();
        let mut holders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (holder, name, _) in served.plugins() {
            let kinds = holders.entry(name).or_default();
            if !kinds.contains(&holder.kind) {
                kinds.push(holder.kind);
            }
        }
        let doubled = holders.into_iter().filter(|(_, kinds)| kinds.len() > 1);
        // What only service and global rules share is said of the service, once.
        for (name, kinds) in doubled.filter(|(_, kinds)| kinds.contains(&"route")) {
            let field = format!("/plugins/{}", step(name));
            let says = format!("{name} is on {}", kinds.join(", "));
            judge.found(served.route, field, Value::Null, says);
        }
    }
    for (group, service) in judge.scan.services() {
        let global: Vec<&str> = group
            .global_rules
            .iter()
            .flat_map(|rule| rule.plugins().map(|(name, _)| name))
            .collect();
        for (name, _) in service
            .resource
            .plugins()
            .filter(|(name, _)| global.contains(name))
        {
            let field = format!("/plugins/{}", step(name));
            let says = format!("{name} is on publishedService, globalRules");
            judge.found(&service.resource, field, Value::Null, says);
        }
    }
}

fn several_auth(judge: &mut Judge<'_>) {
    let auth = auth_plugins(judge);
    // These ask about somebody who is known already.
    let later = [
        "acl",
        "authz-casbin",
        "authz-keycloak",
        "forward-auth",
        "opa",
        "multi-auth",
    ];
    for served in judge.scan.routes() {
        judge.look();
        let mut names: Vec<&str> = served
            .plugins()
            .map(|(_, name, _)| name)
            .filter(|name| auth.contains(name) && !later.contains(name))
            .collect();
        names.sort_unstable();
        names.dedup();
        if names.len() > 1 {
            let says = format!("{} must all be passed", names.join(", "));
            judge.found(served.route, "/plugins", json!(names), says);
        }
    }
}

fn for_tests(judge: &mut Judge<'_>) {
    for holder in judge.scan.with_plugins() {
        judge.look();
        for (name, _) in holder.plugins() {
            if matches!(name, "mocking" | "fault-injection" | "echo" | "inspect") {
                let field = format!("/plugins/{}", step(name));
                judge.found(
                    holder,
                    field,
                    Value::Null,
                    format!("{name} changes answers or shows what is inside"),
                );
            }
        }
    }
}

/// Code, and where it is.
fn code<'a>(judge: &Judge<'a>) -> Vec<(&'a Resource, String, &'a str)> {
    let mut all = Vec::new();
    for holder in judge.scan.with_plugins() {
        for (name, settings) in holder.plugins() {
            if name.starts_with("serverless-") {
                texts(
                    settings,
                    &format!("/plugins/{}", step(name)),
                    6,
                    &mut |field, text| {
                        all.push((holder, field, text));
                    },
                );
            }
        }
    }
    for plugin in judge
        .scan
        .custom_plugins
        .iter()
        .filter(|plugin| shows_code(plugin))
    {
        texts(&plugin.body, "", 6, &mut |field, text| {
            all.push((plugin, field, text));
        });
    }
    all
}

/// Whether the list of custom plugins holds the code, and not only the name.
fn shows_code(plugin: &Resource) -> bool {
    let mut is_code = false;
    texts(&plugin.body, "", 6, &mut |_, text| {
        is_code |= text.contains("function");
    });
    is_code
}

fn texts<'a>(value: &'a Value, at: &str, depth: usize, see: &mut impl FnMut(String, &'a str)) {
    if depth == 0 {
        return;
    }
    match value {
        Value::String(text) => see(at.to_owned(), text),
        Value::Object(members) => {
            for (name, value) in members {
                texts(value, &format!("{at}/{}", step(name)), depth - 1, see);
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                texts(item, &format!("{at}/{number}"), depth - 1, see);
            }
        }
        _ => {}
    }
}

/// Lua that starts programs, or runs text as code.
const DANGEROUS: [&str; 6] = [
    "os.execute",
    "io.popen",
    "loadstring",
    "dofile",
    "loadfile",
    "ngx.pipe",
];

/// A call of `name`: not a part of a longer name.
fn calls(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code.get(..at).and_then(|head| head.chars().next_back());
        let after = code
            .get(at + name.len()..)
            .and_then(|tail| tail.chars().next());
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        !is_word(before) && !is_word(after)
    })
}

fn dangerous(judge: &mut Judge<'_>) {
    for (holder, field, text) in code(judge) {
        judge.look();
        let found: Vec<&str> = DANGEROUS
            .iter()
            .copied()
            .filter(|name| calls(text, name))
            .collect();
        if !found.is_empty() {
            let says = format!("the code uses {}", found.join(", "));
            judge.found(holder, field, json!(found), says);
        }
    }
    no_code(judge);
}

/// Custom plugins whose code the list does not show.
fn no_code(judge: &mut Judge<'_>) {
    for plugin in &judge.scan.custom_plugins {
        if !shows_code(plugin) {
            judge.look();
            judge.undecided("the list of custom plugins does not show their code");
        }
    }
}

const NAMES: [&str; 7] = [
    "password",
    "passwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "access_key",
];

/// The name of a variable that is set to a text that looks like a secret.
fn assigned(code: &str) -> Option<&'static str> {
    let lower = code.to_ascii_lowercase();
    NAMES.iter().copied().find(|name| {
        lower.match_indices(name).any(|(at, _)| {
            let rest = lower.get(at + name.len()..).unwrap_or_default();
            let rest = rest.trim_start_matches(['"', '\'', ']']).trim_start();
            let Some(rest) = rest.strip_prefix('=').filter(|rest| !rest.starts_with('=')) else {
                return false;
            };
            let rest = rest.trim_start();
            let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
                return false;
            };
            let text = rest
                .get(1..)
                .and_then(|rest| rest.split(quote).next())
                .unwrap_or_default();
            text.len() >= 8 && !text.contains(char::is_whitespace) && !text.starts_with('$')
        })
    })
}

fn secrets(judge: &mut Judge<'_>) {
    for (holder, field, text) in code(judge) {
        judge.look();
        if let Some(name) = assigned(text) {
            let says = format!("a text is assigned to a variable called {name}");
            judge.found(holder, field, json!("[redacted]"), says);
        }
    }
    no_code(judge);
}
