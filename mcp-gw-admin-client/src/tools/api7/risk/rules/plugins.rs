//! Plugins that get in each other's way, and code in plugins.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::guard::auth_plugins;
use super::{Judge, Rule, Severity, lua, step};
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
        judge.note_odd_plugins(holder);
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
struct Code<'a> {
    holder: &'a Resource,
    field: String,
    text: &'a str,
    /// False for what only may be code.
    is_sure: bool,
}

fn code<'a>(judge: &Judge<'a>) -> Vec<Code<'a>> {
    let mut all = Vec::new();
    for holder in judge.scan.with_plugins() {
        let of_route = ["script", "filter_func"].iter();
        let of_route = of_route.filter_map(|name| Some((*name, holder.text(name)?)));
        all.extend(of_route.map(|(name, text)| Code {
            holder,
            field: format!("/{name}"),
            text,
            is_sure: true,
        }));
        for (name, settings) in holder.plugins() {
            if name.starts_with("serverless-") {
                let at = format!("/plugins/{}", step(name));
                texts(settings, &at, &mut |field, text| {
                    all.push(Code {
                        is_sure: field.contains("/functions"),
                        holder,
                        field,
                        text,
                    });
                });
            }
        }
    }
    let plugins = judge.scan.custom_plugins.iter();
    for plugin in plugins.filter(|plugin| shows_code(plugin)) {
        texts(&plugin.body, "", &mut |field, text| {
            all.push(Code {
                holder: plugin,
                field,
                text,
                is_sure: text.contains("function"),
            });
        });
    }
    all
}

/// Whether the list of custom plugins holds the code, and not only the name.
fn shows_code(plugin: &Resource) -> bool {
    let mut is_code = false;
    texts(&plugin.body, "", &mut |_, text| {
        is_code |= text.contains("function");
    });
    is_code
}

/// All texts; JSON is no deeper than it was read.
fn texts<'a>(value: &'a Value, at: &str, see: &mut impl FnMut(String, &'a str)) {
    match value {
        Value::String(text) => see(at.to_owned(), text),
        Value::Object(members) => {
            for (name, value) in members {
                texts(value, &format!("{at}/{}", step(name)), see);
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                texts(item, &format!("{at}/{number}"), see);
            }
        }
        _ => {}
    }
}

fn dangerous(judge: &mut Judge<'_>) {
    odd_plugins(judge);
    for code in code(judge) {
        judge.look();
        let judged = lua::judged(code.text, code.is_sure);
        if !judged.uses.is_empty() {
            let says = format!("the code uses {}", judged.uses.join(", "));
            judge.found(code.holder, code.field, json!(judged.uses), says);
        } else if let Some(why) = judged.open {
            judge.undecided(&why);
        }
    }
    no_code(judge);
}

/// Where plugins cannot be read there may be code.
fn odd_plugins(judge: &mut Judge<'_>) {
    for holder in judge.scan.with_plugins() {
        judge.note_odd_plugins(holder);
    }
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

fn secrets(judge: &mut Judge<'_>) {
    odd_plugins(judge);
    for code in code(judge) {
        judge.look();
        match lua::secret(code.text, code.is_sure) {
            Ok(Some(says)) => judge.found(code.holder, code.field, json!("[redacted]"), says),
            Ok(None) => {}
            Err(why) => judge.undecided(&why),
        }
    }
    no_code(judge);
}
