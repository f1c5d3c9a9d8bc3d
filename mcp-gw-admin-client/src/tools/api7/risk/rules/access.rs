//! Who may call: authentication, secrets, rate limits, what is exposed.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Judge, Rule, Severity, step};
use crate::tools::api7::risk::scan::{Resource, Served};
use crate::tools::api7::risk::source::Source;

/// Plugins that let in only who proves who they are.
pub(super) const AUTH: [&str; 17] = [
    "acl",
    "authz-casbin",
    "authz-casdoor",
    "authz-keycloak",
    "basic-auth",
    "cas-auth",
    "forward-auth",
    "hmac-auth",
    "jwe-decrypt",
    "jwt-auth",
    "key-auth",
    "ldap-auth",
    "multi-auth",
    "opa",
    "openid-connect",
    "saml-auth",
    "wolf-rbac",
];

const LIMITS: [&str; 6] = [
    "ai-rate-limiting",
    "limit-conn",
    "limit-count",
    "limit-count-advanced",
    "limit-req",
    "workflow",
];

pub(super) static RULES: &[Rule] = &[
    Rule {
        id: "route-without-auth",
        category: "authentication",
        severity: Severity::High,
        title: "A route lets in everybody",
        remedy: "Give the route, its service or a global rule an authentication plugin: key-auth, jwt-auth, \
                 openid-connect. Leave it only where the API is meant for the public.",
        reference: "https://owasp.org/API-Security/editions/2023/en/0xa2-broken-authentication/",
        needs: &[Source::Routes, Source::GlobalRules],
        run: open_routes,
    },
    Rule {
        id: "weak-secret",
        category: "authentication",
        severity: Severity::High,
        title: "The secret of a consumer is short",
        remedy: "Make a new random secret, or keep it in a secret provider and refer to it with $secret://.",
        reference: "https://owasp.org/API-Security/editions/2023/en/0xa2-broken-authentication/",
        needs: &[Source::Credentials],
        run: weak_secrets,
    },
    Rule {
        id: "long-lived-token",
        category: "authentication",
        severity: Severity::Low,
        title: "JWTs of a consumer are good for too long",
        remedy: "Set a smaller `exp` in jwt-auth, and let callers get new tokens.",
        reference: "https://www.rfc-editor.org/rfc/rfc8725",
        needs: &[Source::Credentials],
        run: long_tokens,
    },
    Rule {
        id: "sensitive-without-limit",
        category: "access",
        severity: Severity::Medium,
        title: "A sensitive path has no rate limit",
        remedy: "Give the route or its service limit-count or limit-req, by consumer or by address.",
        reference: "https://owasp.org/API-Security/editions/2023/en/0xa4-unrestricted-resource-consumption/",
        needs: &[Source::Routes, Source::GlobalRules],
        run: unlimited,
    },
    Rule {
        id: "limit-too-high",
        category: "access",
        severity: Severity::Low,
        title: "A rate limit lets nearly everything through",
        remedy: "Set the limit to what one caller needs, with some room.",
        reference: "https://owasp.org/API-Security/editions/2023/en/0xa4-unrestricted-resource-consumption/",
        needs: &[Source::Routes, Source::GlobalRules],
        run: high_limits,
    },
    Rule {
        id: "exposed-endpoint",
        category: "exposure",
        severity: Severity::High,
        title: "A path for administration or debugging is open to everybody",
        remedy: "Remove the route, or protect it with authentication or ip-restriction.",
        reference: "https://owasp.org/API-Security/editions/2023/en/0xa8-security-misconfiguration/",
        needs: &[Source::Routes, Source::GlobalRules],
        run: exposed,
    },
    Rule {
        id: "cors-any-origin",
        category: "exposure",
        severity: Severity::High,
        title: "Every web site may call with the cookies of its visitors",
        remedy: "Name the origins in allow_origins, or set allow_credential to false.",
        reference: "https://apisix.apache.org/docs/apisix/plugins/cors/",
        needs: &[Source::Routes, Source::GlobalRules],
        run: any_origin,
    },
];

/// Plugins of the gateway and of the configuration.
pub(super) fn auth_plugins<'a>(judge: &Judge<'a>) -> Vec<&'a str> {
    let limits = judge.limits;
    let own = limits.auth_plugins.iter().map(String::as_str);
    AUTH.iter().copied().chain(own).collect()
}

/// What a plugin, or all of them, do about who may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard<'a> {
    Shut,
    /// It depends on what a configuration does not tell.
    Unsure(&'static str),
    /// Everybody comes in, though there is this plugin, for this reason.
    Open(Option<(&'a str, &'static str)>),
}

/// What the plugins of a route with these names do, all together.
fn guarded<'a>(served: &'a Served<'a>, names: &[&str]) -> Guard<'a> {
    let mut all = Guard::Open(None);
    for (_, name, settings) in served.plugins().filter(|(_, name, _)| names.contains(name)) {
        match (guard(name, settings), all) {
            (Guard::Shut, _) => return Guard::Shut,
            (Guard::Open(_), Guard::Unsure(_)) => {}
            (other, _) => all = other,
        }
    }
    all
}

/// What one plugin does, by its settings.
fn guard<'a>(name: &'a str, settings: &'a Value) -> Guard<'a> {
    let is_set = |member: &str| settings.get(member).and_then(Value::as_bool) == Some(true);
    let text = |member: &str| settings.get(member).and_then(Value::as_str);
    if text("anonymous_consumer").is_some_and(|consumer| !consumer.is_empty()) {
        return Guard::Open(Some((name, "who proves nothing is its anonymous_consumer")));
    }
    let filter = settings.pointer("/_meta/filter").and_then(Value::as_array);
    if filter.is_some_and(|filter| !filter.is_empty()) {
        return Guard::Unsure("its plugin runs for some requests only (_meta.filter)");
    }
    if is_set("allow_degradation") {
        return Guard::Unsure(
            "its plugin lets in everybody while its server is down (allow_degradation)",
        );
    }
    match name {
        "openid-connect" if text("unauth_action") == Some("pass") && is_set("bearer_only") => {
            Guard::Unsure("openid-connect has both unauth_action \"pass\" and bearer_only")
        }
        "openid-connect" if text("unauth_action") == Some("pass") => {
            Guard::Open(Some((name, "its unauth_action is \"pass\"")))
        }
        "multi-auth" => one_of(settings),
        "ip-restriction" => restriction(name, settings),
        _ => Guard::Shut,
    }
}

/// Whoever one of them lets in comes in.
fn one_of(settings: &Value) -> Guard<'_> {
    let plugins = settings.get("auth_plugins").and_then(Value::as_array);
    let each = plugins.into_iter().flatten().filter_map(Value::as_object);
    let mut all = Guard::Shut;
    for (name, settings) in each.flatten() {
        match guard(name, settings) {
            open @ Guard::Open(_) => return open,
            Guard::Unsure(why) => all = Guard::Unsure(why),
            Guard::Shut => {}
        }
    }
    all
}

fn restriction<'a>(name: &'a str, settings: &Value) -> Guard<'a> {
    let listed = settings.get("whitelist").and_then(Value::as_array);
    let Some(listed) = listed.filter(|listed| !listed.is_empty()) else {
        return Guard::Open(Some((name, "it only names who may not")));
    };
    let is_all = |entry: &Value| entry.as_str().is_some_and(|range| range.ends_with("/0"));
    if listed.iter().any(is_all) {
        return Guard::Open(Some((name, "its whitelist has every address")));
    }
    Guard::Shut
}

/// Global rules hold for all routes: without them nothing can be said about a route that has no plugin itself.
const NO_GLOBAL_RULES: &str = "the global rules of the gateway group are not known";

fn knows_global_rules(served: &Served<'_>) -> bool {
    !served.group.missing.contains(&Source::GlobalRules)
}

fn open_routes(judge: &mut Judge<'_>) {
    let auth = auth_plugins(judge);
    for served in judge.scan.routes() {
        judge.look();
        let gap = match guarded(&served, &auth) {
            Guard::Shut => continue,
            _ if !knows_global_rules(&served) => {
                judge.undecided(NO_GLOBAL_RULES);
                continue;
            }
            Guard::Unsure(why) => {
                judge.undecided(why);
                continue;
            }
            Guard::Open(why) => why,
        };
        let is_writing = served.is_writing();
        let severity = if is_writing {
            Severity::High
        } else {
            Severity::Medium
        };
        let methods = served.methods();
        let shown = if methods.is_empty() {
            "all methods".to_owned()
        } else {
            methods.into_iter().collect::<Vec<_>>().join(", ")
        };
        let paths = served.paths().join(", ");
        let says = match gap {
            None => {
                format!(
                    "no authentication plugin on route, service or global rules; {shown} {paths}"
                )
            }
            Some((plugin, why)) => format!("{plugin} lets in everybody: {why}; {shown} {paths}"),
        };
        judge.found_as(
            severity,
            served.route,
            "/plugins",
            names(served.route),
            says,
        );
    }
}

/// The names of plugins, which are no secret.
fn names(resource: &Resource) -> Value {
    let names: Vec<&str> = resource.plugins().map(|(name, _)| name).collect();
    json!(names)
}

fn weak_secrets(judge: &mut Judge<'_>) {
    const SECRETS: [(&str, &str); 4] = [
        ("key-auth", "key"),
        ("basic-auth", "password"),
        ("jwt-auth", "secret"),
        ("hmac-auth", "secret_key"),
    ];
    let least = judge.limits.min_secret_length;
    for proof in judge.scan.proofs() {
        for (plugin, member) in SECRETS {
            let Some(settings) = proof.plugin(plugin) else {
                continue;
            };
            judge.look();
            let Some(secret) = settings.get(member).and_then(Value::as_str) else {
                // jwt-auth with RS256 has no secret, and the API may keep it to itself.
                if plugin != "jwt-auth" {
                    judge.undecided("the API does not show the secret");
                }
                continue;
            };
            let lower = secret.to_ascii_lowercase();
            if lower.starts_with("$secret://") || lower.starts_with("$env://") {
                continue;
            }
            if secret.is_empty() || secret.chars().all(|c| matches!(c, '*' | '•')) {
                judge.undecided("the API does not show the secret");
                continue;
            }
            if secret.chars().count() < least {
                let field = format!("/plugins/{plugin}/{member}");
                let says = format!("it has fewer than {least} characters");
                judge.found(proof, field, json!("[redacted]"), says);
            }
        }
    }
}

fn long_tokens(judge: &mut Judge<'_>) {
    let most = judge.limits.max_token_seconds;
    for proof in judge.scan.proofs() {
        let Some(settings) = proof.plugin("jwt-auth") else {
            continue;
        };
        judge.look();
        // Without `exp` it is a day.
        if let Some(exp) = settings.get("exp").and_then(Value::as_u64)
            && exp > most
        {
            let says = format!("tokens are good for {}; at most {}", days(exp), days(most));
            judge.found(proof, "/plugins/jwt-auth/exp", json!(exp), says);
        }
    }
}

fn days(seconds: u64) -> String {
    let days = Duration::from_secs(seconds).as_secs() / 86_400;
    if days > 0 {
        format!("{days} days")
    } else {
        format!("{seconds} s")
    }
}

fn unlimited(judge: &mut Judge<'_>) {
    let words = &judge.limits.sensitive_words;
    for served in judge.scan.routes() {
        let Some((path, word)) = served.path_with(words) else {
            continue;
        };
        judge.look();
        if served.has_any(&LIMITS) {
            continue;
        }
        if !knows_global_rules(&served) {
            judge.undecided(NO_GLOBAL_RULES);
            continue;
        }
        let says =
            format!("{word:?} in the path, and no rate limit on route, service or global rules");
        judge.found(served.route, "/paths", json!(path), says);
    }
}

fn high_limits(judge: &mut Judge<'_>) {
    let most = judge.limits.max_requests_per_second;
    for holder in judge.scan.with_plugins() {
        for (name, settings) in holder.plugins() {
            let number = |member: &str| settings.get(member).and_then(Value::as_f64);
            let (member, rate) = match name {
                "limit-count" | "limit-count-advanced" => {
                    let rate = number("count").zip(number("time_window"));
                    (
                        "count",
                        rate.filter(|(_, window)| *window > 0.0).map(|(c, w)| c / w),
                    )
                }
                "limit-req" => ("rate", number("rate")),
                _ => continue,
            };
            judge.look();
            let Some(rate) = rate else {
                judge.undecided("the limit is no plain number");
                continue;
            };
            if rate > f64::from(most) {
                let field = format!("/plugins/{}/{member}", step(name));
                let value = settings.get(member).cloned().unwrap_or_default();
                let says = format!("{rate:.0} requests a second for one key; at most {most}");
                judge.found(holder, field, value, says);
            }
        }
    }
}

fn exposed(judge: &mut Judge<'_>) {
    let mut guards = auth_plugins(judge);
    guards.extend(["ip-restriction", "consumer-restriction"]);
    let words = &judge.limits.exposed_words;
    for served in judge.scan.routes() {
        let Some((path, word)) = served.path_with(words) else {
            continue;
        };
        judge.look();
        let gap = match guarded(&served, &guards) {
            Guard::Shut => continue,
            _ if !knows_global_rules(&served) => {
                judge.undecided(NO_GLOBAL_RULES);
                continue;
            }
            Guard::Unsure(why) => {
                judge.undecided(why);
                continue;
            }
            Guard::Open(why) => why,
        };
        let says = match gap {
            None => format!("{word:?} in the path, and neither authentication nor ip-restriction"),
            Some((plugin, why)) => {
                format!("{word:?} in the path, and {plugin} lets in everybody: {why}")
            }
        };
        judge.found(served.route, "/paths", json!(path), says);
    }
}

fn any_origin(judge: &mut Judge<'_>) {
    for holder in judge.scan.with_plugins() {
        let Some(cors) = holder.plugin("cors") else {
            continue;
        };
        judge.look();
        let origins = cors
            .get("allow_origins")
            .and_then(Value::as_str)
            .unwrap_or("*");
        let is_with_cookies = cors.get("allow_credential").and_then(Value::as_bool) == Some(true);
        // `**` is how all origins are written when cookies go along.
        if matches!(origins, "*" | "**") && is_with_cookies {
            let says = "all origins are allowed, with credentials";
            judge.found(holder, "/plugins/cors/allow_origins", json!(origins), says);
        }
    }
}
