//! Who may call: authentication, secrets, rate limits, what is exposed.

use std::time::Duration;

use serde_json::{Value, json};

use super::guard::{self, Guard};
use super::origins::{self, Origins};
use super::{Judge, Rule, Severity, step};
use crate::tools::api7::risk::scan::{Resource, Served};
use crate::tools::api7::risk::source::Source;

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

/// Global rules hold for all routes: without them nothing can be said about a route that has no plugin itself.
const NO_GLOBAL_RULES: &str = "the global rules of the gateway group are not known";

fn knows_global_rules(served: &Served<'_>) -> bool {
    !served.group.missing.contains(&Source::GlobalRules)
}

/// How a route is open: by no plugin at all, or in spite of one.
type Gap<'a> = Option<(&'a str, &'static str)>;

/// How a route is open by its guard. `None` when it is shut, or when that cannot be told, which is noted.
fn gap<'a>(judge: &mut Judge<'_>, served: &Served<'a>, guard: Guard<'a>) -> Option<Gap<'a>> {
    match guard {
        Guard::Shut => {}
        _ if !knows_global_rules(served) => judge.undecided(NO_GLOBAL_RULES),
        Guard::Unsure(why) => judge.undecided(why),
        Guard::Open(gap) => return Some(gap),
    }
    None
}

fn open_routes(judge: &mut Judge<'_>) {
    for served in judge.scan.routes() {
        judge.look();
        let guard = guard::of_callers(judge, &served, &[]);
        let Some(gap) = gap(judge, &served, guard) else {
            continue;
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
            let username = settings.get("username").and_then(Value::as_str);
            let owner = username.or(proof.owner.as_deref()).unwrap_or(&proof.id);
            if let Some(says) = weakness(secret, owner, least) {
                let field = format!("/plugins/{plugin}/{member}");
                judge.found(proof, field, json!("[redacted]"), says);
            }
        }
    }
}

/// What is wrong with a secret of this owner.
fn weakness(secret: &str, owner: &str, least: usize) -> Option<String> {
    // What APISIX and its handbook are published with.
    const PUBLISHED: [&str; 2] = [
        "edd1c9f034335f136f87ad84b625c8f1",
        "4054f7cf07e344346cd3f287985e76a2",
    ];
    if secret.chars().count() < least {
        return Some(format!("it has fewer than {least} characters"));
    }
    if PUBLISHED.contains(&secret) {
        return Some("it is one that everybody can read on the web".to_owned());
    }
    let letters: std::collections::BTreeSet<char> = secret.chars().collect();
    if letters.len() < 5 {
        return Some("it is made of very few different characters".to_owned());
    }
    (secret.eq_ignore_ascii_case(owner)).then(|| "it is the name of its owner".to_owned())
}

fn long_tokens(judge: &mut Judge<'_>) {
    let most = judge.limits.max_token_seconds;
    for proof in judge.scan.proofs() {
        let Some(settings) = proof.plugin("jwt-auth") else {
            continue;
        };
        judge.look();
        // Without `exp` it is a day.
        match settings.get("exp") {
            None | Some(Value::Null) => {}
            Some(exp) => match exp.as_u64() {
                Some(exp) if exp > most => {
                    let says = format!("tokens are good for {}; at most {}", days(exp), days(most));
                    judge.found(proof, "/plugins/jwt-auth/exp", json!(exp), says);
                }
                Some(_) => {}
                None => judge.undecided("how long tokens are good for is no whole number"),
            },
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

/// Finds the routes with one of `words` in their path that are open: `lacks` is what there is none of, and `no` says what
/// a plugin that is there does not come to.
fn open_paths(
    judge: &mut Judge<'_>,
    words: &[String],
    guard: impl for<'s> Fn(&Judge<'_>, &Served<'s>) -> Guard<'s>,
    (lacks, no): (&str, &str),
) {
    for served in judge.scan.routes() {
        let Some((path, word)) = served.path_with(words) else {
            continue;
        };
        judge.look();
        let guard = guard(judge, &served);
        let Some(gap) = gap(judge, &served, guard) else {
            continue;
        };
        let says = match gap {
            None => format!("{word:?} in the path, and {lacks}"),
            Some((plugin, why)) => format!("{word:?} in the path, and {plugin} {no}: {why}"),
        };
        judge.found(served.route, "/paths", json!(path), says);
    }
}

fn unlimited(judge: &mut Judge<'_>) {
    let most = f64::from(judge.limits.max_requests_per_second);
    open_paths(
        judge,
        &judge.limits.sensitive_words,
        |_, served| guard::of_rate(served, most),
        (
            "no rate limit on route, service or global rules",
            "is no limit",
        ),
    );
}

fn high_limits(judge: &mut Judge<'_>) {
    let most = judge.limits.max_requests_per_second;
    for holder in judge.scan.with_plugins() {
        judge.note_odd_plugins(holder);
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
    open_paths(
        judge,
        &judge.limits.exposed_words,
        |judge, served| {
            guard::of_callers(judge, served, &["ip-restriction", "consumer-restriction"])
        },
        (
            "neither authentication nor ip-restriction",
            "lets in everybody",
        ),
    );
}

fn any_origin(judge: &mut Judge<'_>) {
    for holder in judge.scan.with_plugins() {
        judge.note_odd_plugins(holder);
        let Some(cors) = holder.plugin("cors") else {
            continue;
        };
        judge.look();
        match origins::judged(cors) {
            Origins::Named => {}
            Origins::Unsure(why) => judge.undecided(why),
            Origins::Any { member, says } => {
                let value = cors.get(member).cloned().unwrap_or_else(|| json!("*"));
                judge.found(holder, format!("/plugins/cors/{member}"), value, says);
            }
        }
    }
}
