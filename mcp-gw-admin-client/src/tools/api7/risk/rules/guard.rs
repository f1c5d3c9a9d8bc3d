//! What plugins do about who may come in and how often, as far as their settings tell.
//!
//! Only settings that are understood keep somebody out. All else cannot be judged: it never counts as a guard.

use serde_json::Value;

use super::Judge;
use crate::tools::api7::risk::scan::Served;

/// What a plugin, or all of them, do about who may come in, or how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard<'a> {
    Shut,
    /// It depends on what a configuration does not tell.
    Unsure(&'static str),
    /// Everybody comes in, though there is this plugin, for this reason.
    Open(Option<(&'a str, &'static str)>),
}

/// Plugins that are asked who somebody is, and tell by their settings alone.
const AUTH: [&str; 12] = [
    "authz-casdoor",
    "authz-keycloak",
    "basic-auth",
    "cas-auth",
    "hmac-auth",
    "jwe-decrypt",
    "jwt-auth",
    "key-auth",
    "ldap-auth",
    "openid-connect",
    "saml-auth",
    "wolf-rbac",
];

/// Those where others decide: no setting says whether they let in everybody.
const ELSEWHERE: [(&str, &str); 4] = [
    (
        "acl",
        "acl asks about a caller whom another plugin has to know",
    ),
    (
        "authz-casbin",
        "authz-casbin believes a header that names the user",
    ),
    (
        "forward-auth",
        "another server decides (forward-auth); when it proves who somebody is, name it in risk.auth_plugins",
    ),
    (
        "opa",
        "a policy elsewhere decides (opa); when it proves who somebody is, name it in risk.auth_plugins",
    ),
];

/// All plugins that are about who somebody is, with those of the configuration.
pub(super) fn auth_plugins<'a>(judge: &Judge<'a>) -> Vec<&'a str> {
    let own = judge.limits.auth_plugins.iter().map(String::as_str);
    let elsewhere = ELSEWHERE.iter().map(|(name, _)| *name);
    let known = AUTH.iter().copied().chain(elsewhere);
    known.chain(["multi-auth"]).chain(own).collect()
}

/// What the authentication of a route does, all of it together; `more` are other plugins that keep callers out.
pub(super) fn of_callers<'a>(judge: &Judge<'_>, served: &Served<'a>, more: &[&str]) -> Guard<'a> {
    let own = &judge.limits.auth_plugins;
    let names = auth_plugins(judge);
    together(
        served,
        |name| names.contains(&name) || more.contains(&name),
        |name, settings| caller(name, settings, own),
    )
}

/// What the rate limits of a route do; `most` requests a second for one key are no limit.
pub(super) fn of_rate<'a>(served: &Served<'a>, most: f64) -> Guard<'a> {
    let of = |name, settings| rate(name, settings, most);
    together(served, |name| LIMITS.contains(&name), of)
}

fn together<'a>(
    served: &Served<'a>,
    is_meant: impl Fn(&str) -> bool,
    of: impl Fn(&'a str, &'a Value) -> Guard<'a>,
) -> Guard<'a> {
    let mut all = Guard::Open(None);
    for (_, name, settings) in served.plugins().filter(|(_, name, _)| is_meant(name)) {
        match (of(name, settings), all) {
            (Guard::Shut, _) => return Guard::Shut,
            (Guard::Open(_), Guard::Unsure(_)) => {}
            (other, _) => all = other,
        }
    }
    match (all, served.odd_plugins()) {
        (Guard::Open(_), Some(why)) => Guard::Unsure(why),
        _ => all,
    }
}

/// A switch that is off when it is missing; `None` when it is neither.
fn switch(settings: &Value, name: &str) -> Option<bool> {
    match settings.get(name) {
        None | Some(Value::Null) => Some(false),
        Some(value) => value.as_bool(),
    }
}

/// Why it cannot be judged what a plugin does, whichever it is.
fn unreadable(settings: &Value) -> Option<&'static str> {
    if !settings.is_object() && *settings != Value::Array(Vec::new()) {
        return Some("the settings of its plugin cannot be read");
    }
    let meta = settings.get("_meta")?;
    let is_empty = |value: &Value| {
        value.is_null()
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty)
    };
    if is_empty(meta) {
        return None;
    }
    if !meta.is_object() || switch(meta, "disable").is_none() {
        return Some("it cannot be told whether its plugin is switched on (_meta)");
    }
    let filter = meta.get("filter");
    filter
        .is_some_and(|filter| !is_empty(filter))
        .then_some("its plugin runs for some requests only (_meta.filter)")
}

/// What one plugin does, by its settings. Those in `own` do what the user says.
fn caller<'a>(name: &'a str, settings: &'a Value, own: &[String]) -> Guard<'a> {
    match settings.get("anonymous_consumer") {
        None | Some(Value::Null) => {}
        Some(Value::String(consumer)) if consumer.is_empty() => {}
        Some(Value::String(_)) => {
            return Guard::Open(Some((name, "who proves nothing is its anonymous_consumer")));
        }
        Some(_) => return Guard::Unsure("its anonymous_consumer cannot be read"),
    }
    if let Some(why) = unreadable(settings) {
        return Guard::Unsure(why);
    }
    if switch(settings, "allow_degradation") != Some(false) {
        return Guard::Unsure(
            "its plugin lets in everybody while its server is down (allow_degradation)",
        );
    }
    match name {
        "openid-connect" => openid(name, settings),
        "multi-auth" => one_of(settings, own),
        "ip-restriction" => addresses(name, settings),
        "consumer-restriction" => consumers(settings),
        "jwe-decrypt" => match settings.get("strict") {
            None | Some(Value::Null | Value::Bool(true)) => Guard::Shut,
            Some(Value::Bool(false)) => Guard::Open(Some((
                name,
                "strict is false: it lets through who has no token",
            ))),
            Some(_) => Guard::Unsure("strict of jwe-decrypt cannot be read"),
        },
        "authz-keycloak" => match settings.get("policy_enforcement_mode") {
            None | Some(Value::Null) => Guard::Shut,
            Some(mode) if mode == "ENFORCING" => Guard::Shut,
            Some(_) => Guard::Unsure(
                "authz-keycloak does not enforce its policies (policy_enforcement_mode)",
            ),
        },
        "forward-auth" if is_success(settings.get("status_on_error")) => {
            Guard::Unsure("forward-auth answers failures with success (status_on_error)")
        }
        _ if own.iter().any(|own| own == name) => Guard::Shut,
        _ => {
            let elsewhere = ELSEWHERE.iter().find(|(known, _)| *known == name);
            match elsewhere {
                Some((_, why)) => Guard::Unsure(why),
                None if AUTH.contains(&name) => Guard::Shut,
                None => Guard::Unsure("it is not known what its plugin does"),
            }
        }
    }
}

fn is_success(status: Option<&Value>) -> bool {
    status.is_some_and(|status| {
        !status.is_null() && !status.as_u64().is_some_and(|s| (400..600).contains(&s))
    })
}

fn openid<'a>(name: &'a str, settings: &Value) -> Guard<'a> {
    match settings.get("unauth_action").map(Value::as_str) {
        None | Some(Some("auth" | "deny")) => Guard::Shut,
        Some(Some("pass")) if switch(settings, "bearer_only") != Some(false) => {
            Guard::Unsure("openid-connect has both unauth_action \"pass\" and bearer_only")
        }
        Some(Some("pass")) => Guard::Open(Some((name, "its unauth_action is \"pass\""))),
        Some(None) if settings.get("unauth_action") == Some(&Value::Null) => Guard::Shut,
        Some(_) => Guard::Unsure("unauth_action of openid-connect is none that is known"),
    }
}

/// Whoever one of them lets in comes in.
fn one_of<'a>(settings: &'a Value, own: &[String]) -> Guard<'a> {
    let plugins = settings.get("auth_plugins").and_then(Value::as_array);
    let Some(plugins) = plugins.filter(|plugins| !plugins.is_empty()) else {
        return Guard::Unsure("multi-auth names no plugin");
    };
    let mut all = Guard::Shut;
    for plugin in plugins {
        let Some(plugin) = plugin.as_object().filter(|plugin| !plugin.is_empty()) else {
            all = Guard::Unsure("a plugin of multi-auth cannot be read");
            continue;
        };
        for (name, settings) in plugin {
            // One in another is nothing that the gateway takes.
            let is_nested = name == "multi-auth";
            let guard = if is_nested {
                Guard::Unsure("multi-auth holds another")
            } else {
                caller(name, settings, own)
            };
            match guard {
                open @ Guard::Open(_) => return open,
                Guard::Unsure(why) => all = Guard::Unsure(why),
                Guard::Shut => {}
            }
        }
    }
    all
}

fn addresses<'a>(name: &'a str, settings: &Value) -> Guard<'a> {
    let listed = match settings.get("whitelist") {
        None | Some(Value::Null) => &[],
        Some(Value::Array(listed)) => listed.as_slice(),
        Some(_) => return Guard::Unsure("the whitelist of ip-restriction cannot be read"),
    };
    if listed.is_empty() {
        return Guard::Open(Some((name, "it only names who may not")));
    }
    let mut is_wide = false;
    for entry in listed {
        let Some(range) = entry.as_str() else {
            return Guard::Unsure("the whitelist of ip-restriction cannot be read");
        };
        if range.ends_with("/0") {
            return Guard::Open(Some((name, "its whitelist has every address")));
        }
        let bits = range.split_once('/').map(|(_, bits)| bits.parse::<u8>());
        // A network of one's own has 8 bits at least.
        is_wide |= bits.is_some_and(|bits| bits.map_or(true, |bits| bits < 7));
    }
    if is_wide {
        return Guard::Unsure("the whitelist of ip-restriction has a large part of all addresses");
    }
    Guard::Shut
}

fn consumers(settings: &Value) -> Guard<'_> {
    let listed = settings.get("whitelist").and_then(Value::as_array);
    let kind = settings.get("type").and_then(Value::as_str);
    let is_of_callers = matches!(kind, None | Some("consumer_name" | "consumer_group_id"));
    if is_of_callers && listed.is_some_and(|listed| !listed.is_empty()) {
        return Guard::Shut;
    }
    Guard::Unsure("consumer-restriction does not name who may come in")
}

/// Plugins that limit how often somebody comes in.
const LIMITS: [&str; 6] = [
    "ai-rate-limiting",
    "limit-conn",
    "limit-count",
    "limit-count-advanced",
    "limit-req",
    "workflow",
];

/// A number of the settings.
enum Number {
    Missing,
    Known(f64),
    /// A variable, or nothing that could be a number.
    Odd,
}

fn number(settings: &Value, name: &str) -> Number {
    match settings.get(name) {
        None | Some(Value::Null) => Number::Missing,
        Some(value) => value.as_f64().map_or(Number::Odd, Number::Known),
    }
}

/// What one limit does.
fn rate<'a>(name: &'a str, settings: &'a Value, most: f64) -> Guard<'a> {
    const ODD: Guard<'_> = Guard::Unsure("the limit is no plain number");
    const HIGH: &str = "it lets nearly everything through";
    if let Some(why) = unreadable(settings) {
        return Guard::Unsure(why);
    }
    if let Some(why) = chosen_key(settings) {
        return Guard::Unsure(why);
    }
    let per_second = match name {
        "limit-count" | "limit-count-advanced" => {
            match (number(settings, "count"), number(settings, "time_window")) {
                (Number::Known(count), Number::Known(window)) if window > 0.0 => count / window,
                (Number::Missing, _) if settings.get("rules").is_none_or(Value::is_null) => 0.0,
                _ => return ODD,
            }
        }
        "limit-req" => match number(settings, "rate") {
            Number::Known(rate) => rate,
            Number::Missing => 0.0,
            Number::Odd => return ODD,
        },
        // So many at once: of requests that take a second it is as many a second.
        "limit-conn" => match number(settings, "conn") {
            Number::Known(conn) => conn,
            Number::Missing => 0.0,
            Number::Odd => return ODD,
        },
        "workflow" => return steps(name, settings, most),
        _ => return Guard::Unsure("the limit counts the tokens of models, not requests"),
    };
    if per_second > most {
        Guard::Open(Some((name, HIGH)))
    } else {
        Guard::Shut
    }
}

/// Who names a new key with each request is never at its limit.
fn chosen_key(settings: &Value) -> Option<&'static str> {
    const OF_REQUEST: [&str; 6] = [
        "http_",
        "arg_",
        "cookie_",
        "post_arg_",
        "request_id",
        "graphql_",
    ];
    let key = settings.get("key").and_then(Value::as_str)?;
    let mut parts = key.split([' ', '$', '{', '}', ':', '-']);
    let is_chosen = parts.any(|part| OF_REQUEST.iter().any(|of| part.starts_with(of)));
    is_chosen.then_some("the caller chooses the key of the limit")
}

/// A limit among the actions of `workflow`.
fn steps<'a>(name: &'a str, settings: &'a Value, most: f64) -> Guard<'a> {
    const ODD: Guard<'_> = Guard::Unsure("the rules of workflow cannot be read");
    let Some(rules) = settings.get("rules").and_then(Value::as_array) else {
        return ODD;
    };
    let mut all = Guard::Open(Some((name, "none of its actions is a limit")));
    for rule in rules {
        let Some(actions) = rule.get("actions").and_then(Value::as_array) else {
            return ODD;
        };
        for action in actions {
            let parts = action.get(0).and_then(Value::as_str);
            let Some(action_name) = parts else {
                return ODD;
            };
            if !LIMITS.contains(&action_name) || action_name == "workflow" {
                continue;
            }
            let is_for_all = rule
                .get("case")
                .is_none_or(|case| case.is_null() || case.as_array().is_some_and(Vec::is_empty));
            let settings = action.get(1).unwrap_or(&Value::Null);
            match rate(action_name, settings, most) {
                Guard::Shut if is_for_all => return Guard::Shut,
                Guard::Shut => {
                    all = Guard::Unsure("workflow limits some requests only (case)");
                }
                Guard::Unsure(why) => all = Guard::Unsure(why),
                Guard::Open(_) => {}
            }
        }
    }
    all
}
