//! Each rule with what it finds, what it lets pass, and what it does when something is missing.

mod cases;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
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
use cases::{DAY, cases, route};

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
        "services" => Source::Services,
        "certificates" => Source::Certificates,
        "snis" => Source::Snis,
        "health" => Source::Health,
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
        health: body.get("_health").cloned(),
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

fn limits() -> RiskConfig {
    RiskConfig {
        min_gateway_version: Some("3.8.0".to_owned()),
        max_full_admins: 1,
        ..RiskConfig::default()
    }
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
fn a_plugin_that_the_user_names_authenticates() {
    let body = route(json!({"id": "r", "plugins": {"opa": {}}}));
    let rule = all().find(|rule| rule.id == "route-without-auth").unwrap();
    for (named, undecided) in [(vec![], 1), (vec!["opa".to_owned()], 0)] {
        let limits = RiskConfig {
            auth_plugins: named,
            ..limits()
        };
        let scan = scan(&body);
        let judge = Judge::run(rule, &scan, &limits);
        assert_eq!((judge.findings.len(), judge.undecided), (0, undecided));
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
            assert_eq!(judge.undecided > 0, judge.why.is_some(), "{}", rule.id);
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

#[test]
fn what_multiplies_is_bounded() {
    let many = |prefix: &str, number: usize| -> Vec<String> {
        (0..number).map(|at| format!("{prefix}{at}")).collect()
    };
    let wide = json!({"id": "w", "hosts": many("h", 2000), "paths": many("/p", 2000)});
    let same: Vec<Value> = many("r", 400)
        .into_iter()
        .map(|id| json!({"id": id, "paths": many("/p", 30)}))
        .collect();
    let all_routes = [vec![wide], same].concat();
    let grant = |effect: &str| {
        json!({"id": effect, "policy_document": {"statement": [
            {"effect": effect, "actions": many("gateway:A", 2000), "resources": many("arn:api7:gateway:", 2000)}
        ]}})
    };
    let body = json!({
        "services": [{"id": "s", "_routes": all_routes}],
        "policies": [grant("allow"), grant("deny")],
        "roles": [{"id": "a", "policies": ["allow"]}, {"id": "d", "policies": ["deny"]}],
        "users": many("u", 2000).iter().map(|id| json!({"id": id, "roles": ["a", "d"]})).collect::<Vec<_>>(),
    });
    let (scan, limits) = (scan(&body), limits());
    for id in ["duplicate-route", "shadowed-route", "roles-clash"] {
        let rule = all().find(|rule| rule.id == id).unwrap();
        let judge = Judge::run(rule, &scan, &limits);
        assert!(judge.findings.len() <= 10_000, "{id}");
        assert!(id == "roles-clash" || judge.undecided > 0, "{id}");
    }
}

/// Anything, under the names that rules look at.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "[a-z:/*.<>=' \"]{0,12}|serverless-x|\\PC{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 5, |inner| {
        let name = "services|_routes|_upstreams|upstream|nodes|plugins|consumers|_credentials|id|name|paths|hosts|\
                    methods|priority|checks|roles|policies|users|policy_document|statement|actions|resources|effect|\
                    certificates|exptime|snis|ssl_protocols|instances|version|global_rules|custom_plugins|key-auth|\
                    cert|certificate_id|sni|_health|service_id|status|\
                    limit-count|count|time_window|cors|jwt-auth|exp|serverless-x|functions|host|weight";
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name, inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_answer_of_an_api_breaks_a_rule_and_the_same_is_found_twice(
        all in proptest::collection::btree_map(
            "services|consumers|certificates|snis|instances|global_rules|custom_plugins|roles|policies|users",
            proptest::collection::vec(anything(), 0..4), 0..6),
    ) {
        let body = json!(all);
        let limits = limits();
        let (first, second) = (scan(&body), scan(&body));
        for rule in super::all() {
            let a = Judge::run(rule, &first, &limits);
            let b = Judge::run(rule, &second, &limits);
            prop_assert_eq!(
                serde_json::to_string(&a.findings).unwrap(),
                serde_json::to_string(&b.findings).unwrap()
            );
            prop_assert_eq!(a.undecided > 0, a.why.is_some());
        }
    }
}
