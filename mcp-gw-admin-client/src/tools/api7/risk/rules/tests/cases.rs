//! The cases: a rule, what it is to say, and of what.
#![expect(
    clippy::needless_pass_by_value,
    clippy::too_many_lines,
    reason = "tables are long, and easier to read with values"
)]

mod certificates;
mod unjudged;

use serde_json::{Value, json};

use super::{
    NOW, Says,
    Says::{Finds, Passes, Undecided},
};

pub(super) fn route(route: Value) -> Value {
    routes(&[route])
}

fn routes(routes: &[Value]) -> Value {
    json!({"services": [{"id": "s", "name": "users", "path_prefix": "/v1/", "_routes": routes}]})
}

fn with(mut scan: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        scan[name] = value.clone();
    }
    scan
}

fn upstream(upstream: Value) -> Value {
    json!({"services": [{"id": "s", "upstream": upstream}]})
}

fn proof(plugin: &str, settings: Value) -> Value {
    json!({"consumers": [{"username": "jack", "_credentials": [{"id": "c", "plugins": {plugin: settings}}]}]})
}

fn policy(actions: &str, resources: &str) -> Value {
    json!({"id": "p", "type": "custom", "policy_document": {"statement": [
        {"effect": "allow", "actions": [actions], "resources": [resources]}
    ]}})
}

pub(super) const DAY: i64 = 86_400;

fn access() -> Vec<(&'static str, Says, Value)> {
    let key = json!({"key-auth": {}});
    vec![
        (
            "route-without-auth",
            Finds(1),
            route(json!({"id": "r", "paths": ["/a"], "methods": ["POST"]})),
        ),
        (
            "route-without-auth",
            Finds(1),
            route(json!({"id": "r", "plugins": {"key-auth": {"_meta": {"disable": true}}}})),
        ),
        (
            "route-without-auth",
            Passes,
            route(json!({"id": "r", "plugins": key})),
        ),
        (
            "route-without-auth",
            Passes,
            with(
                route(json!({"id": "r"})),
                json!({"global_rules": [{"id": "1", "plugins": key}]}),
            ),
        ),
        (
            "route-without-auth",
            Undecided,
            with(
                route(json!({"id": "r"})),
                json!({"missing": ["global rules"]}),
            ),
        ),
        (
            "route-without-auth",
            Passes,
            route(json!({"id": "r", "status": 0})),
        ),
        (
            "route-without-auth",
            Finds(1),
            route(json!({"id": "r", "plugins": {"key-auth": {"anonymous_consumer": "a"}}})),
        ),
        (
            "route-without-auth",
            Finds(1),
            route(json!({"id": "r", "plugins": {"openid-connect": {"unauth_action": "pass"}}})),
        ),
        (
            "route-without-auth",
            Finds(1),
            route(
                json!({"id": "r", "plugins": {"multi-auth": {"auth_plugins": [
                    {"key-auth": {}}, {"basic-auth": {"anonymous_consumer": "a"}},
                ]}}}),
            ),
        ),
        (
            "route-without-auth",
            Undecided,
            route(
                json!({"id": "r", "plugins": {"jwt-auth": {"_meta": {"filter": [["arg_x", "==", "1"]]}}}}),
            ),
        ),
        (
            "route-without-auth",
            Undecided,
            route(json!({"id": "r", "plugins": {"forward-auth": {"allow_degradation": true}}})),
        ),
        (
            "route-without-auth",
            Passes,
            route(
                json!({"id": "r", "plugins": {"forward-auth": {"allow_degradation": true}, "key-auth": {}}}),
            ),
        ),
        (
            "route-without-auth",
            Finds(1),
            json!({"services": [{"id": "s", "plugins": key, "_routes": [
                {"id": "r", "plugins": {"key-auth": {"anonymous_consumer": "a"}}},
            ]}]}),
        ),
        (
            "weak-secret",
            Finds(1),
            proof("key-auth", json!({"key": "short"})),
        ),
        (
            "weak-secret",
            Passes,
            proof("basic-auth", json!({"password": "a-long-enough-password"})),
        ),
        (
            "weak-secret",
            Passes,
            proof("key-auth", json!({"key": "$secret://v/1/k"})),
        ),
        ("weak-secret", Undecided, proof("key-auth", json!({}))),
        (
            "weak-secret",
            Undecided,
            proof("basic-auth", json!({"password": "******"})),
        ),
        (
            "long-lived-token",
            Finds(1),
            proof("jwt-auth", json!({"exp": 31_536_000})),
        ),
        (
            "long-lived-token",
            Passes,
            proof("jwt-auth", json!({"exp": 3600})),
        ),
        ("long-lived-token", Passes, proof("jwt-auth", json!({}))),
        (
            "sensitive-without-limit",
            Finds(1),
            route(json!({"id": "r", "paths": ["/user-login"]})),
        ),
        (
            "sensitive-without-limit",
            Passes,
            route(json!({"id": "r", "paths": ["/login"], "plugins": {"limit-req": {}}})),
        ),
        (
            "sensitive-without-limit",
            Undecided,
            with(
                route(json!({"id": "r", "paths": ["/login"]})),
                json!({"missing": ["global rules"]}),
            ),
        ),
        (
            "limit-too-high",
            Finds(1),
            route(json!({"id": "r", "plugins": {"limit-count": {"count": 1e6, "time_window": 1}}})),
        ),
        (
            "limit-too-high",
            Passes,
            route(json!({"id": "r", "plugins": {"limit-req": {"rate": 5}}})),
        ),
        (
            "limit-too-high",
            Undecided,
            route(json!({"id": "r", "plugins": {"limit-count": {"count": "$x"}}})),
        ),
        (
            "exposed-endpoint",
            Finds(1),
            route(json!({"id": "r", "paths": ["/Actuator/*"]})),
        ),
        (
            "exposed-endpoint",
            Passes,
            route(
                json!({"id": "r", "paths": ["/admin"], "plugins": {"ip-restriction": {"whitelist": ["10.0.0.0/8"]}}}),
            ),
        ),
        (
            "exposed-endpoint",
            Finds(1),
            route(
                json!({"id": "r", "paths": ["/admin"], "plugins": {"ip-restriction": {"blacklist": ["10.0.0.0/8"]}}}),
            ),
        ),
        (
            "exposed-endpoint",
            Finds(1),
            route(
                json!({"id": "r", "paths": ["/admin"], "plugins": {"ip-restriction": {"whitelist": ["0.0.0.0/0"]}}}),
            ),
        ),
        (
            "exposed-endpoint",
            Undecided,
            route(
                json!({"id": "r", "paths": ["/admin"], "plugins": {"forward-auth": {"allow_degradation": true}}}),
            ),
        ),
        (
            "exposed-endpoint",
            Undecided,
            with(
                route(json!({"id": "r", "paths": ["/.git/*"]})),
                json!({"missing": ["global rules"]}),
            ),
        ),
        (
            "cors-any-origin",
            Finds(1),
            route(
                json!({"id": "r", "plugins": {"cors": {"allow_origins": "**", "allow_credential": true}}}),
            ),
        ),
        (
            "cors-any-origin",
            Passes,
            route(
                json!({"id": "r", "plugins": {"cors": {"allow_origins": "https://a.example", "allow_credential": true}}}),
            ),
        ),
        (
            "cors-any-origin",
            Passes,
            route(json!({"id": "r", "plugins": {"cors": {}}})),
        ),
    ]
}

fn transport() -> Vec<(&'static str, Says, Value)> {
    let certificate =
        |end: i64| json!({"certificates": [{"id": "c", "name": "web", "exptime": end}]});
    let nodes =
        |host: &str| json!({"scheme": "http", "nodes": [{"host": host, "port": 80, "weight": 1}]});
    let version = |versions: &[&str]| {
        let all: Vec<Value> = versions
            .iter()
            .map(|v| json!({"id": v, "version": v}))
            .collect();
        json!({ "instances": all })
    };
    vec![
        ("certificate-expired", Finds(1), certificate(NOW - DAY)),
        (
            "certificate-expired",
            Finds(1),
            json!({"ca_certificates": [{"id": "c", "exptime": (NOW - DAY).to_string()}]}),
        ),
        ("certificate-expired", Passes, certificate(NOW + DAY)),
        (
            "certificate-expired",
            Undecided,
            json!({"certificates": [{"id": "c"}]}),
        ),
        (
            "certificate-expiring",
            Finds(1),
            certificate(NOW + 20 * DAY),
        ),
        ("certificate-expiring", Passes, certificate(NOW + 40 * DAY)),
        (
            "certificate-expiring",
            Passes,
            certificate((NOW + 40 * DAY) * 1000),
        ),
        (
            "certificate-expiring",
            Undecided,
            json!({"certificates": [{"id": "c", "exptime": null}]}),
        ),
        (
            "weak-tls-protocol",
            Finds(1),
            json!({"snis": [{"id": "n", "ssl_protocols": ["TLSv1.1", "TLSv1.2"]}]}),
        ),
        (
            "weak-tls-protocol",
            Passes,
            json!({"snis": [{"id": "n", "ssl_protocols": ["TLSv1.3"]}]}),
        ),
        (
            "weak-tls-protocol",
            Undecided,
            json!({"snis": [{"id": "n"}]}),
        ),
        (
            "verification-off",
            Finds(1),
            route(json!({"id": "r", "plugins": {"openid-connect": {"ssl_verify": false}}})),
        ),
        (
            "verification-off",
            Finds(1),
            proof("x", json!({"a": [{"tls_verify": false}]})),
        ),
        (
            "verification-off",
            Passes,
            route(json!({"id": "r", "plugins": {"openid-connect": {"ssl_verify": true}}})),
        ),
        (
            "verification-off",
            Passes,
            route(json!({"id": "r", "plugins": {"openid-connect": {}}})),
        ),
        (
            "plain-upstream",
            Finds(1),
            upstream(nodes("api.example.com")),
        ),
        (
            "plain-upstream",
            Finds(1),
            upstream(json!({"nodes": {"8.8.8.8:80": 1}})),
        ),
        ("plain-upstream", Passes, upstream(nodes("10.0.0.7"))),
        (
            "plain-upstream",
            Undecided,
            upstream(json!({"service_name": "x", "discovery_type": "dns"})),
        ),
        ("no-https-redirect", Finds(1), route(json!({"id": "r"}))),
        (
            "no-https-redirect",
            Passes,
            route(json!({"id": "r", "plugins": {"redirect": {"http_to_https": true}}})),
        ),
        (
            "no-https-redirect",
            Undecided,
            with(
                route(json!({"id": "r"})),
                json!({"missing": ["global rules"]}),
            ),
        ),
        (
            "mixed-gateway-versions",
            Finds(1),
            version(&["3.8.1", "3.9.0"]),
        ),
        (
            "mixed-gateway-versions",
            Passes,
            version(&["3.9.0", "3.9.0"]),
        ),
        (
            "mixed-gateway-versions",
            Undecided,
            json!({"instances": [{"id": "i"}]}),
        ),
        ("old-gateway-version", Finds(1), version(&["3.7.9"])),
        ("old-gateway-version", Passes, version(&["v3.10.0-rc1"])),
        ("old-gateway-version", Undecided, version(&["master"])),
    ]
}

fn routing() -> Vec<(&'static str, Says, Value)> {
    let a = json!({"id": "a", "paths": ["/x"], "methods": ["GET"]});
    let nodes = json!([{"host": "a", "weight": 1}, {"host": "b"}]);
    let upstreams = |upstream: Value| json!({"services": [{"id": "s", "_upstreams": [upstream]}]});
    vec![
        (
            "duplicate-route",
            Finds(1),
            routes(&[a.clone(), json!({"id": "b", "paths": ["/x"]})]),
        ),
        (
            "duplicate-route",
            Passes,
            routes(&[
                a.clone(),
                json!({"id": "b", "paths": ["/x"], "methods": ["POST"]}),
            ]),
        ),
        (
            "duplicate-route",
            Passes,
            routes(&[
                a.clone(),
                json!({"id": "b", "paths": ["/x"], "hosts": ["h"]}),
            ]),
        ),
        (
            "duplicate-route",
            Undecided,
            routes(&[
                a.clone(),
                json!({"id": "b", "paths": ["/x"], "vars": [["arg_a", "==", "1"]]}),
            ]),
        ),
        (
            "shadowed-route",
            Finds(1),
            routes(&[
                a.clone(),
                json!({"id": "b", "paths": ["/x"], "priority": 9}),
            ]),
        ),
        (
            "shadowed-route",
            Passes,
            routes(&[
                a.clone(),
                json!({"id": "b", "paths": ["/x"], "priority": 9, "methods": ["PUT"]}),
            ]),
        ),
        (
            "shadowed-route",
            Undecided,
            routes(&[
                a,
                json!({"id": "b", "paths": ["/x"], "priority": 9, "vars": [["x"]]}),
            ]),
        ),
        (
            "no-health-check",
            Finds(1),
            upstream(json!({"nodes": nodes})),
        ),
        (
            "no-health-check",
            Finds(1),
            upstreams(json!({"id": "u", "nodes": nodes, "checks": {"active": {}}})),
        ),
        (
            "no-health-check",
            Passes,
            upstreams(json!({"id": "u", "nodes": nodes, "checks": {"active": {"type": "http"}}})),
        ),
        (
            "no-health-check",
            Passes,
            upstream(json!({"nodes": [{"host": "a"}]})),
        ),
        ("no-health-check", Undecided, upstream(json!({"name": "x"}))),
        (
            "no-live-node",
            Finds(1),
            upstream(json!({"nodes": [{"host": "a", "weight": 0}]})),
        ),
        ("no-live-node", Finds(1), upstream(json!({"nodes": []}))),
        (
            "no-live-node",
            Passes,
            upstream(json!({"nodes": [{"host": "a"}]})),
        ),
        ("no-live-node", Undecided, upstream(json!({"name": "x"}))),
    ]
}

fn plugins() -> Vec<(&'static str, Says, Value)> {
    let code = |text: &str| {
        route(json!({"id": "r", "plugins": {"serverless-pre-function": {"functions": [text]}}}))
    };
    let of = |plugins: Value| route(json!({"id": "r", "plugins": plugins}));
    let global = |scan: Value, plugins: Value| {
        with(
            scan,
            json!({"global_rules": [{"id": "1", "plugins": plugins}]}),
        )
    };
    vec![
        (
            "plugin-twice",
            Finds(1),
            global(of(json!({"limit-count": {}})), json!({"limit-count": {}})),
        ),
        (
            "plugin-twice",
            Passes,
            global(of(json!({"limit-count": {}})), json!({"prometheus": {}})),
        ),
        ("plugin-twice", Passes, route(json!({"id": "r"}))),
        (
            "several-auth-plugins",
            Finds(1),
            of(json!({"key-auth": {}, "jwt-auth": {}})),
        ),
        (
            "several-auth-plugins",
            Passes,
            of(json!({"key-auth": {}, "opa": {}})),
        ),
        ("several-auth-plugins", Passes, route(json!({"id": "r"}))),
        ("test-plugin-active", Finds(1), of(json!({"mocking": {}}))),
        (
            "test-plugin-active",
            Passes,
            of(json!({"mocking": {"_meta": {"disable": true}}})),
        ),
        ("test-plugin-active", Passes, route(json!({"id": "r"}))),
        (
            "dangerous-code",
            Finds(1),
            code("return function() os.execute(ngx.var.arg_x) end"),
        ),
        (
            "dangerous-code",
            Finds(1),
            json!({"custom_plugins": [{"id": "c", "code": "function f() io.popen('x') end"}]}),
        ),
        (
            "dangerous-code",
            Passes,
            code("return function() my_os.execute_later() end"),
        ),
        (
            "dangerous-code",
            Undecided,
            json!({"custom_plugins": [{"id": "c", "name": "mine"}]}),
        ),
        (
            "hard-coded-secret",
            Finds(1),
            code("local API_KEY = \"abcdef123456\""),
        ),
        (
            "hard-coded-secret",
            Finds(1),
            code("h['x-token'] = 'abcdef123456'"),
        ),
        (
            "hard-coded-secret",
            Passes,
            code("if token == 'abcdef123456' then password = os.getenv('P') end"),
        ),
        (
            "hard-coded-secret",
            Undecided,
            json!({"custom_plugins": [{"id": "c"}]}),
        ),
    ]
}

fn iam() -> Vec<(&'static str, Says, Value)> {
    let role = |policies: Value| json!([{"id": "r", "name": "dev", "policies": policies}]);
    let user = |id: &str| json!({"id": id, "roles": [{"id": "r"}]});
    let full = policy("<.*>", "<.*>");
    let own = policy("gateway:GetRole", "arn:api7:gateway:x/1");
    let deny = json!({"id": "q", "policy_document": {"statement": [
        {"effect": "deny", "actions": ["gateway:GetRole"], "resources": ["arn:api7:gateway:x/1"]}
    ]}});
    let both = json!({"policies": [own, deny], "roles": [{"id": "r", "policies": ["p"]}, {"id": "t", "policies": ["q"]}]});
    vec![
        (
            "policy-allows-everything",
            Finds(1),
            json!({"policies": [full]}),
        ),
        (
            "policy-allows-everything",
            Finds(1),
            json!({"policies": [policy("<.*>:<.*>", "arn:api7:<.*>:<.*>")]}),
        ),
        (
            "policy-allows-everything",
            Passes,
            json!({"policies": [own, with(full.clone(), json!({"type": "built_in"}))]}),
        ),
        (
            "policy-allows-everything",
            Undecided,
            json!({"policies": [{"id": "p"}]}),
        ),
        (
            "wildcard-policy",
            Finds(1),
            json!({"policies": [policy("gateway:<.*>", "arn:api7:gateway:x/1")]}),
        ),
        (
            "wildcard-policy",
            Finds(1),
            json!({"policies": [policy("iam:GetRole", "arn:api7:iam:<.*>")]}),
        ),
        ("wildcard-policy", Passes, json!({"policies": [own]})),
        (
            "wildcard-policy",
            Undecided,
            json!({"policies": [{"id": "p"}]}),
        ),
        (
            "unused-policy",
            Finds(1),
            json!({"policies": [own], "roles": role(json!([]))}),
        ),
        (
            "unused-policy",
            Passes,
            json!({"policies": [own], "roles": role(json!([{"id": "p"}]))}),
        ),
        (
            "unused-policy",
            Undecided,
            json!({"policies": [own], "missing": ["roles"]}),
        ),
        (
            "unused-role",
            Finds(1),
            json!({"roles": role(json!([])), "users": [{"id": "u", "roles": []}]}),
        ),
        (
            "unused-role",
            Passes,
            json!({"roles": role(json!([])), "users": [user("u")]}),
        ),
        (
            "unused-role",
            Undecided,
            json!({"roles": role(json!([])), "users": [{"id": "u"}]}),
        ),
        (
            "unused-role",
            Passes,
            json!({"roles": [{"id": "r", "type": "built_in"}], "users": [{"id": "u", "roles": []}]}),
        ),
        (
            "roles-clash",
            Finds(1),
            with(
                both.clone(),
                json!({"users": [{"id": "u", "roles": ["r", "t"]}]}),
            ),
        ),
        (
            "roles-clash",
            Passes,
            with(both, json!({"users": [{"id": "u", "roles": ["r"]}]})),
        ),
        (
            "roles-clash",
            Undecided,
            json!({"users": [user("u")], "missing": ["policies"]}),
        ),
        (
            "many-full-admins",
            Finds(1),
            json!({"policies": [full], "roles": role(json!(["p"])), "users": [user("u"), user("v")]}),
        ),
        (
            "many-full-admins",
            Passes,
            json!({"policies": [full], "roles": role(json!(["p"])), "users": [user("u")]}),
        ),
        ("many-full-admins", Undecided, json!({"missing": ["users"]})),
    ]
}

fn traffic() -> Vec<(&'static str, Says, Value)> {
    vec![
        (
            "server-errors",
            Finds(1),
            json!({"traffic": [["200", 900.0], ["502", 100.0]]}),
        ),
        (
            "server-errors",
            Passes,
            json!({"traffic": [["200", 990.0], ["502", 10.0]]}),
        ),
        ("server-errors", Undecided, json!({})),
        (
            "client-errors",
            Finds(1),
            json!({"traffic": [["200", 500.0], ["401", 500.0]]}),
        ),
        (
            "client-errors",
            Passes,
            json!({"traffic": [["200", 900.0], ["404", 100.0]]}),
        ),
        (
            "client-errors",
            Undecided,
            json!({"traffic": [["404", 10.0]]}),
        ),
        (
            "traffic-change",
            Finds(1),
            json!({"traffic": [["200", 10.0]], "before": [["200", 5000.0]]}),
        ),
        (
            "traffic-change",
            Passes,
            json!({"traffic": [["200", 900.0]], "before": [["200", 700.0]]}),
        ),
        (
            "traffic-change",
            Undecided,
            json!({"traffic": [["200", 900.0]]}),
        ),
    ]
}

pub(super) fn cases() -> Vec<(&'static str, Says, Value)> {
    [
        access(),
        transport(),
        certificates::cases(),
        routing(),
        plugins(),
        iam(),
        traffic(),
        unjudged::unjudged(),
    ]
    .concat()
}
