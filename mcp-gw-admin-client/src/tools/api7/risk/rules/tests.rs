//! Each rule with what it finds, what it lets pass, and what it does when something is missing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;
use crate::tools::api7::metrics::{Point, Series};
use crate::tools::api7::risk::scan::{Consumer, Group, Service};

/// 2026-07-28.
const NOW: i64 = 1_785_231_000;

/// What a rule is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Finds(usize),
    Passes,
    Undecided,
}

use Says::{Finds, Passes, Undecided};

fn list(value: &Value, name: &str) -> Vec<Value> {
    value[name].as_array().cloned().unwrap_or_default()
}

fn resources(
    of: &Value,
    name: &str,
    kind: &'static str,
    group: &str,
    owner: &str,
) -> Vec<Resource> {
    let owner = Some(owner).filter(|owner| !owner.is_empty());
    let all = list(of, name).into_iter();
    all.map(|body| Resource::new(kind, group, owner, body))
        .collect()
}

fn missing(of: &Value) -> BTreeSet<Source> {
    let all = list(of, "missing").into_iter();
    all.map(|name| match name.as_str().unwrap() {
        "global rules" => Source::GlobalRules,
        "roles" => Source::Roles,
        "users" => Source::Users,
        "policies" => Source::Policies,
        other => panic!("{other}"),
    })
    .collect()
}

fn service(body: &Value) -> Service {
    let id = body["id"].as_str().unwrap_or("s").to_owned();
    Service {
        resource: Resource::new("publishedService", "g", None, body.clone()),
        routes: resources(body, "_routes", "route", "g", &id),
        stream_routes: resources(body, "_stream_routes", "streamRoute", "g", &id),
        upstreams: resources(body, "_upstreams", "upstream", "g", &id),
    }
}

fn consumer(body: &Value) -> Consumer {
    Consumer {
        resource: Resource::new("consumer", "g", None, body.clone()),
        credentials: resources(body, "_credentials", "credential", "g", "jack"),
    }
}

fn series(of: &Value, name: &str) -> Option<Vec<Series>> {
    let all = of.get(name)?.as_array()?.iter();
    let all = all.map(|one| {
        let labels = [
            ("gateway_group_id", "g"),
            ("code", one[0].as_str().unwrap()),
        ];
        Series {
            labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            points: vec![Point(0.0, one[1].as_f64().unwrap())],
        }
    });
    Some(all.collect())
}

/// A scan of one gateway group `g`.
fn scan(of: &Value) -> Scan {
    let group = Group {
        resource: Resource::new("gatewayGroup", "", None, json!({"id": "g", "name": "main"})),
        services: list(of, "services").iter().map(service).collect(),
        global_rules: resources(of, "global_rules", "globalRules", "g", ""),
        certificates: resources(of, "certificates", "certificate", "g", ""),
        ca_certificates: resources(of, "ca_certificates", "caCertificate", "g", ""),
        snis: resources(of, "snis", "sni", "g", ""),
        consumers: list(of, "consumers").iter().map(consumer).collect(),
        instances: resources(of, "instances", "gatewayInstance", "g", ""),
        missing: missing(of),
    };
    Scan {
        groups: vec![group],
        custom_plugins: resources(of, "custom_plugins", "customPlugin", "", ""),
        roles: resources(of, "roles", "role", "", ""),
        policies: resources(of, "policies", "permissionPolicy", "", ""),
        users: resources(of, "users", "user", "", ""),
        traffic: series(of, "traffic"),
        traffic_before: series(of, "before"),
        now: NOW,
        missing: missing(of),
    }
}

fn route(route: Value) -> Value {
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

fn limits() -> RiskConfig {
    RiskConfig {
        min_gateway_version: Some("3.8.0".to_owned()),
        max_full_admins: 1,
        ..RiskConfig::default()
    }
}

const DAY: i64 = 86_400;

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
            route(json!({"id": "r", "paths": ["/admin"], "plugins": {"ip-restriction": {}}})),
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

fn cases() -> Vec<(&'static str, Says, Value)> {
    [
        access(),
        transport(),
        routing(),
        plugins(),
        iam(),
        traffic(),
    ]
    .concat()
}

#[test]
fn rules_find_what_is_a_risk_and_nothing_else() {
    let limits = limits();
    for (id, says, body) in cases() {
        let rule = all().find(|rule| rule.id == id).expect(id);
        let scan = scan(&body);
        let judge = Judge::run(rule, &scan, &limits);
        let said = match (judge.findings.len(), judge.undecided) {
            (0, 0) => Passes,
            (0, _) => Undecided,
            (found, _) => Finds(found),
        };
        assert_eq!(said, says, "{id}: {body}\n{:?}", judge.findings);
        assert_eq!(judge.undecided > 0, judge.why.is_some(), "{id}");
        for finding in &judge.findings {
            assert!(finding.field.starts_with('/'), "{id}: {finding:?}");
            assert!(
                !finding.says.is_empty() && !finding.resource.id.is_empty(),
                "{id}"
            );
        }
    }
}

#[test]
fn every_rule_has_its_three_cases() {
    let mut said: BTreeMap<&str, (bool, bool, usize)> = BTreeMap::new();
    for (id, says, _) in cases() {
        let known = said.entry(id).or_default();
        match says {
            Finds(_) => known.0 = true,
            Passes => known.1 = true,
            Undecided => {}
        }
        known.2 += 1;
    }
    let mut ids = BTreeSet::new();
    for rule in all() {
        let (finds, passes, number) = said.get(rule.id).copied().unwrap_or_default();
        assert!(finds && passes && number >= 3, "{}", rule.id);
        assert!(ids.insert(rule.id), "{} is there twice", rule.id);
        assert!(
            !rule.needs.is_empty() && rule.reference.starts_with("https://"),
            "{}",
            rule.id
        );
        assert!(
            rule.remedy.ends_with('.') && rule.title.len() > 10,
            "{}",
            rule.id
        );
    }
    assert_eq!(ids.len(), said.len());
}

#[test]
fn what_is_not_there_is_no_risk_and_no_panic() {
    let hostile = json!({
        "services": [{"_routes": [{"paths": [7, null], "plugins": [], "methods": {}}, 7], "upstream": []}],
        "certificates": [{"exptime": -1}, {"exptime": "x"}, null], "consumers": [{"plugins": null}],
        "instances": [{"version": ""}], "roles": [{"policies": 7}], "users": [{"roles": [null]}],
        "policies": [{"policy_document": {"statement": [null, {"actions": 7}]}}], "custom_plugins": [[]],
        "global_rules": [{"plugins": {"cors": 7, "limit-count": null, "jwt-auth": []}}],
    });
    let limits = limits();
    for body in [json!({}), hostile] {
        let scan = scan(&body);
        for rule in all() {
            let judge = Judge::run(rule, &scan, &limits);
            assert!(
                judge.checked >= judge.undecided || !scan.custom_plugins.is_empty(),
                "{}",
                rule.id
            );
        }
    }
}

#[test]
fn no_secret_is_evidence() {
    let code = "local password = 'SECRET-SECRET' loadstring('SECRET')";
    let body = json!({
        "services": [{"id": "s", "_routes": [{"id": "r", "plugins": {
            "serverless-pre-function": {"functions": [code]},
            "openid-connect": {"client_secret": "SECRET", "ssl_verify": false},
        }}]}],
        "consumers": [{"username": "j", "plugins": {"key-auth": {"key": "SECRET"}, "jwt-auth": {"secret": "SECRET", "exp": 99_999_999}}}],
    });
    let (scan, limits) = (scan(&body), limits());
    let mut findings = 0;
    for rule in all() {
        let judge = Judge::run(rule, &scan, &limits);
        findings += judge.findings.len();
        let text = serde_json::to_string(&judge.findings).unwrap();
        assert!(!text.contains("SECRET"), "{text}");
    }
    assert!(findings >= 6, "{findings}");
}

#[test]
fn how_bad_something_is_depends_on_what_it_is() {
    let limits = limits();
    for (id, body, severity) in [
        (
            "route-without-auth",
            route(json!({"id": "r", "methods": ["GET"]})),
            Severity::Medium,
        ),
        (
            "route-without-auth",
            route(json!({"id": "r"})),
            Severity::High,
        ),
        (
            "certificate-expiring",
            json!({"certificates": [{"id": "c", "exptime": NOW + DAY}]}),
            Severity::High,
        ),
        (
            "certificate-expiring",
            json!({"certificates": [{"id": "c", "exptime": NOW + 9 * DAY}]}),
            Severity::Medium,
        ),
    ] {
        let rule = all().find(|rule| rule.id == id).unwrap();
        let scan = scan(&body);
        let judge = Judge::run(rule, &scan, &limits);
        assert_eq!(judge.findings[0].severity, severity, "{body}");
    }
}
