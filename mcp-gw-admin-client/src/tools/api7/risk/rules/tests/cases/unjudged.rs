//! What looks safe by the name of a plugin, and is not, or cannot be judged.

use serde_json::{Value, json};

use super::{
    Says,
    Says::{Finds, Passes, Undecided},
    policy, proof, route, routes,
};

fn of(plugins: Value) -> Value {
    route(json!({"id": "r", "paths": ["/a"], "plugins": plugins}))
}

fn callers() -> Vec<(Says, Value)> {
    vec![
        (Finds(1), json!({"jwe-decrypt": {"strict": false}})),
        (Passes, json!({"jwe-decrypt": {"strict": true}})),
        (
            Undecided,
            json!({"authz-keycloak": {"policy_enforcement_mode": "PERMISSIVE"}}),
        ),
        (
            Passes,
            json!({"authz-keycloak": {"policy_enforcement_mode": "ENFORCING"}}),
        ),
        (Undecided, json!({"multi-auth": {"auth_plugins": []}})),
        (
            Undecided,
            json!({"multi-auth": {"auth_plugins": [{"key-auth": null}]}}),
        ),
        (Undecided, json!({"key-auth": null})),
        (Undecided, json!({"key-auth": false})),
        (
            Undecided,
            json!({"key-auth": {"_meta": {"disable": "true"}}}),
        ),
        (
            Undecided,
            json!({"basic-auth": {"anonymous_consumer": {"x": 1}}}),
        ),
        (
            Undecided,
            json!({"openid-connect": {"unauth_action": "auto"}}),
        ),
        (Passes, json!({"openid-connect": {"unauth_action": "deny"}})),
        (Undecided, json!({"forward-auth": {"status_on_error": 200}})),
        (Undecided, json!({"opa": {}})),
        (Undecided, json!({"authz-casbin": {"username": "user"}})),
        (
            Undecided,
            json!({"forward-auth": {"allow_degradation": "yes"}}),
        ),
        (Passes, json!({"opa": {}, "key-auth": []})),
        (Undecided, json!(["key-auth"])),
    ]
}

fn limits() -> Vec<(Says, Value)> {
    let count = |more: Value| {
        let mut settings = json!({"count": 5, "time_window": 60});
        for (name, value) in more.as_object().unwrap() {
            settings[name] = value.clone();
        }
        json!({"limit-count": settings})
    };
    let steps = |rule: Value| json!({"workflow": {"rules": [rule]}});
    let few = json!(["limit-count", {"count": 5, "time_window": 60}]);
    vec![
        (Passes, count(json!({}))),
        (
            Undecided,
            count(json!({"_meta": {"filter": [["arg_x", "==", "1"]]}})),
        ),
        (Undecided, count(json!({"key": "http_x_forwarded_for"}))),
        (Passes, count(json!({"key": "remote_addr"}))),
        (Undecided, count(json!({"count": "$http_x"}))),
        (Finds(1), count(json!({"count": 1e9}))),
        (Finds(1), json!({"limit-conn": {"conn": 1_000_000_000}})),
        (Passes, json!({"limit-conn": {"conn": 10}})),
        (
            Finds(1),
            steps(json!({"actions": [["return", {"code": 403}]]})),
        ),
        (
            Undecided,
            steps(json!({"case": [["uri", "==", "/x"]], "actions": [few]})),
        ),
        (Passes, steps(json!({"actions": [few]}))),
        (Undecided, json!({"limit-count": null})),
    ]
}

fn origins() -> Vec<(Says, Value)> {
    let by = |patterns: Value| json!({"cors": {"allow_origins": "https://a", "allow_origins_by_regex": patterns, "allow_credential": true}});
    vec![
        (Finds(1), by(json!([".*"]))),
        (
            Finds(1),
            by(json!(["^https://a\\.example$", "^https?://.*$"])),
        ),
        (Undecided, by(json!(["^https://.*example\\.com$"]))),
        (Passes, by(json!(["^https://[a-z]+\\.example\\.com$"]))),
        (
            Finds(1),
            json!({"cors": {"allow_origins": "https://a,null", "allow_credential": true}}),
        ),
        (
            Undecided,
            json!({"cors": {"allow_origins": "https://a", "allow_credential": "true"}}),
        ),
        (Undecided, json!({"cors": 7})),
        (Undecided, json!("cors")),
    ]
}

fn code() -> Vec<(&'static str, Says, &'static str)> {
    vec![
        (
            "dangerous-code",
            Finds(1),
            "require('resty.shell').run(ngx.var.arg_x)",
        ),
        ("dangerous-code", Finds(1), "load(ngx.var.arg_x)()"),
        ("dangerous-code", Finds(1), "local h = io . popen('id')"),
        ("dangerous-code", Finds(1), "os['execute']('id')"),
        (
            "dangerous-code",
            Finds(1),
            "local ffi = require('ffi') ffi.C.system('x')",
        ),
        (
            "dangerous-code",
            Passes,
            "-- never use os.execute here\nreturn 1",
        ),
        (
            "dangerous-code",
            Undecided,
            "local f = _G['o' .. 's'] f.x()",
        ),
        ("dangerous-code", Undecided, "return 'not closed"),
        (
            "hard-coded-secret",
            Finds(1),
            "local k = [[-----BEGIN RSA PRIVATE KEY-----]]",
        ),
        (
            "hard-coded-secret",
            Finds(1),
            "set_header('Authorization', 'Bearer abcdefghijk')",
        ),
        (
            "hard-coded-secret",
            Finds(1),
            "local k = 'AKIAIOSFODNN7EXAMPLE'",
        ),
        (
            "hard-coded-secret",
            Finds(1),
            "local client_key = 'abcdefgh'",
        ),
        (
            "hard-coded-secret",
            Undecided,
            "local k = 'a8f5f167f44f4964e6c998dee827110c'",
        ),
    ]
}

/// Sixty routes at one path of which one, without conditions, comes first.
fn many(first: &str) -> Value {
    let others = (0..59).map(|at| {
        json!({"id": format!("r{at:02}"), "paths": ["/x"], "vars": [["arg_a", "==", at.to_string()]]})
    });
    let last = json!({"id": "z", "paths": ["/x"], "priority": 10, "methods": [first]});
    routes(&others.chain([last]).collect::<Vec<_>>())
}

fn iam() -> Vec<(&'static str, Says, Value)> {
    let document =
        |statements: Value| json!({"id": "p", "policy_document": {"statement": statements}});
    let rule = |effect: &str, actions: &[&str], resources: &[&str]| json!({"effect": effect, "actions": actions, "resources": resources});
    let three = ["gateway:<.*>", "iam:<.*>", "portal:<.*>"];
    let all = [
        "arn:api7:gateway:<.*>",
        "arn:api7:iam:<.*>",
        "arn:api7:portal:<.*>",
    ];
    let parts: Vec<Value> = (0..3)
        .map(|at| rule("allow", &three[at..=at], &all[at..=at]))
        .collect();
    let admins = |policy: Value| {
        json!({"policies": [policy], "roles": [{"id": "r", "policies": ["p"]}],
               "users": [{"id": "u", "roles": ["r"]}, {"id": "v", "roles": ["r"]}]})
    };
    let clash = |allow: Value, deny: Value| {
        json!({"policies": [
                {"id": "p", "policy_document": {"statement": [allow]}},
                {"id": "q", "policy_document": {"statement": [deny]}},
            ],
            "roles": [{"id": "r", "policies": ["p"]}, {"id": "t", "policies": ["q"]}],
            "users": [{"id": "u", "roles": ["r", "t"]}]})
    };
    let any = &["<.*>"][..];
    let delete = &["gateway:DeleteRoute"][..];
    let everything = "policy-allows-everything";
    vec![
        (
            everything,
            Finds(1),
            json!({"policies": [document(json!([rule("allow", &three, any)]))]}),
        ),
        (
            everything,
            Finds(1),
            json!({"policies": [document(json!(parts))]}),
        ),
        (
            everything,
            Passes,
            json!({"policies": [document(json!(parts[..2]))]}),
        ),
        (
            everything,
            Finds(1),
            json!({"policies": [policy("<.{0,}>", "<^.*$>")]}),
        ),
        (
            everything,
            Undecided,
            json!({"policies": [policy("<[a-zA-Z:]+>", "<.*>")]}),
        ),
        (
            everything,
            Passes,
            json!({"policies": [policy("gateway:<Get.*>", "<.*>")]}),
        ),
        (
            everything,
            Undecided,
            json!({"policies": [document(json!([
            {"effect": "allow", "actions": "<.*>", "resources": ["<.*>"]}]))]}),
        ),
        (
            everything,
            Undecided,
            json!({"policies": [document(json!([rule("Allow", any, any)]))]}),
        ),
        (
            "wildcard-policy",
            Undecided,
            json!({"policies": [policy("gateway:<[A-Z].*>", "arn:api7:gateway:x/1")]}),
        ),
        ("many-full-admins", Finds(1), admins(document(json!(parts)))),
        (
            "many-full-admins",
            Undecided,
            admins(policy("<[a-zA-Z:]+>", "<.*>")),
        ),
        (
            "many-full-admins",
            Undecided,
            admins(document(json!([rule("Allow", any, any)]))),
        ),
        (
            "roles-clash",
            Finds(1),
            clash(rule("allow", any, any), rule("deny", delete, any)),
        ),
        (
            "roles-clash",
            Finds(1),
            clash(
                rule("allow", &["gateway:<.*>"], any),
                rule("deny", delete, any),
            ),
        ),
        (
            "roles-clash",
            Finds(1),
            clash(rule("allow", delete, any), rule("deny", any, any)),
        ),
        (
            "roles-clash",
            Passes,
            clash(
                rule("allow", &["gateway:<Get.*>"], any),
                rule("deny", delete, any),
            ),
        ),
        (
            "roles-clash",
            Undecided,
            clash(
                rule("allow", &["gateway:<(Get|Delete).*>"], any),
                rule("deny", delete, any),
            ),
        ),
        (
            "roles-clash",
            Undecided,
            clash(rule("allow", delete, any), rule("Deny", delete, any)),
        ),
        (
            "roles-clash",
            Undecided,
            json!({"roles": [], "users": [{"id": "u", "roles": ["gone"]}]}),
        ),
    ]
}

pub(super) fn unjudged() -> Vec<(&'static str, Says, Value)> {
    let mut all: Vec<_> = callers()
        .into_iter()
        .map(|(says, plugins)| ("route-without-auth", says, of(plugins)))
        .collect();
    all.extend(limits().into_iter().map(|(says, plugins)| {
        let route = route(json!({"id": "r", "paths": ["/login"], "plugins": plugins}));
        ("sensitive-without-limit", says, route)
    }));
    let cors = origins().into_iter();
    all.extend(cors.map(|(says, plugins)| ("cors-any-origin", says, of(plugins))));
    all.extend(code().into_iter().map(|(rule, says, text)| {
        let plugins = json!({"serverless-pre-function": {"functions": [text]}});
        (rule, says, of(plugins))
    }));
    all.extend(iam());
    all.extend([
        (
            "route-without-auth",
            Undecided,
            route(json!({"id": "r", "plugin_config_id": "1"})),
        ),
        (
            "exposed-endpoint",
            Undecided,
            route(json!({"id": "r", "paths": ["/admin"], "plugins": {
                "ip-restriction": {"whitelist": ["0.0.0.0/1", "128.0.0.0/1"]}}})),
        ),
        (
            "exposed-endpoint",
            Undecided,
            route(json!({"id": "r", "paths": ["/admin"], "plugins": {
                "consumer-restriction": {"type": "route_id", "blacklist": ["x"]}}})),
        ),
        (
            "exposed-endpoint",
            Finds(1),
            route(json!({"id": "r", "paths": ["/phpMyAdmin/*"]})),
        ),
        (
            "verification-off",
            Undecided,
            of(json!({"opa": {"ssl_verify": "false"}})),
        ),
        (
            "mixed-gateway-versions",
            Finds(1),
            json!({"instances": [{"id": "a", "version": "3.8.0"}, {"id": "b", "version": "3.8.0-rc1"}]}),
        ),
        (
            "plain-upstream",
            Passes,
            json!({"services": [{"id": "s", "upstream": {"nodes": [{"host": "::ffff:10.0.0.1"}]}}]}),
        ),
        (
            "plain-upstream",
            Undecided,
            json!({"services": [{"id": "s", "upstream": {"nodes": [{"host": "10.0.0.1"}, {"port": 80}]}}]}),
        ),
        (
            "route-without-auth",
            Passes,
            of(json!({"forward-auth": {}, "jwt-auth": {"_meta": {"priority": 1}}})),
        ),
        (
            "long-lived-token",
            Undecided,
            proof("jwt-auth", json!({"exp": "31536000"})),
        ),
        (
            "weak-secret",
            Finds(1),
            proof(
                "key-auth",
                json!({"key": "edd1c9f034335f136f87ad84b625c8f1"}),
            ),
        ),
        (
            "weak-secret",
            Finds(1),
            proof("key-auth", json!({"key": "aaaaaaaaaaaaaaaaaaaa"})),
        ),
        (
            "weak-secret",
            Finds(1),
            proof(
                "basic-auth",
                json!({"username": "jack-the-long-name", "password": "jack-the-long-name"}),
            ),
        ),
    ]);
    // What the API does not say, the certificate does: these end in 2126.
    let pem = crate::tools::api7::risk::key::tests::RSA_1024;
    let millis = 1_600_000_000_000.5;
    all.extend([
        (
            "certificate-expired",
            Passes,
            json!({"certificates": [{"id": "c", "cert": pem}]}),
        ),
        (
            "certificate-expired",
            Finds(1),
            json!({"certificates": [{"id": "c", "exptime": millis}]}),
        ),
        (
            "certificate-expired",
            Undecided,
            json!({"certificates": [{"id": "c", "cert": "-----BEGIN"}]}),
        ),
    ]);
    // The first of all is looked at, however many there are.
    let mut shadowing = many("GET");
    all.push(("shadowed-route", Undecided, shadowing.clone()));
    shadowing["services"][0]["_routes"][59]["methods"] = json!([]);
    all.push(("shadowed-route", Finds(59), shadowing));
    all
}
