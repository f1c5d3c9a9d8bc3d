//! Each row of the table of keys, and each defect of API Gateway MCP that is about configuration, has a
//! test here that is named for it.

use std::collections::BTreeSet;
use std::time::Duration;

use mcp_gw_core::testing::ManualClock;
use mcp_gw_core::{
    Admission, Caller, CallerKind, Charge, RateLimiter as _, RequestMeta, Transport,
};
use mcp_gw_ratelimit::Limiter;
use proptest::prelude::*;
use serde_json::Value;

use super::file::SeedFile;
use crate::config::source::schema_of;
use crate::config::{ApiCredential, Config, Fault};

/// The file as its authors show it.
const FILE: &str = include_str!("api-gateway-mcp-config.yaml");

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn env(name: &str) -> Option<String> {
    ["JWT_SECRET", "WEATHER_API_KEY", "GITHUB_API_KEY", "KEY"]
        .contains(&name)
        .then(|| format!("{SECRET}-{name}"))
}

fn with_env<'v>(variables: &'v [(&'v str, &'v str)]) -> impl Fn(&str) -> Option<String> + 'v {
    move |name| {
        let set = variables.iter().find(|(other, _)| *other == name);
        set.map(|(_, value)| (*value).to_owned())
            .or_else(|| env(name))
    }
}

fn load(text: &str) -> Result<Config, String> {
    load_with(text, &[])
}

fn load_with(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let config = Config::load("seed.yaml", text, &with_env(variables));
    config.map_err(|faults| faults.to_string())
}

/// What `check` says of a file: the remarks and the explanation, or the faults.
fn report(text: &str, variables: &[(&str, &str)]) -> String {
    match load_with(text, variables) {
        Ok(config) => {
            let remarks = config.remarks();
            let lines = remarks.iter().map(|remark| remark.line("seed.yaml") + "\n");
            lines.chain([config.explain()]).collect()
        }
        Err(faults) => faults,
    }
}

/// The faults of a file with these lines beside an API, or what looks wrong with it.
fn faults(lines: &str) -> String {
    let text = format!(
        "api_gateway: {{ allowed_apis: ['https://a.example', 'https://b.example'] }}\n{lines}\n"
    );
    match load(&text) {
        Ok(config) => {
            let remarks = config.remarks();
            let lines: Vec<_> = remarks.iter().map(Fault::sentence).collect();
            match lines.as_slice() {
                [] => "no fault".to_owned(),
                lines => lines.join("\n"),
            }
        }
        Err(faults) => faults,
    }
}

fn all(table: &[&str]) -> String {
    let lines = table
        .iter()
        .map(|text| format!("{text}\n=> {}\n", faults(text)));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_file_is_taken_as_it_stands() {
    let text = report(FILE, &[]);
    assert!(!text.contains(SECRET), "{text}");
    assert!(!format!("{:?}", load(FILE).unwrap()).contains(SECRET));
    insta::assert_snapshot!(text);
}

#[test]
fn every_unset_variable_of_the_file_is_told_of() {
    let faults = Config::load("seed.yaml", FILE, &|_| None).unwrap_err();
    let lines: Vec<_> = faults
        .faults()
        .iter()
        .map(|it| it.path().to_string())
        .collect();
    assert_eq!(
        lines,
        [
            "authentication.token_validation.jwt_secret",
            "authentication.api_keys[0].key",
            "authentication.api_keys[1].key",
        ]
    );
    assert!(
        faults
            .faults()
            .iter()
            .all(|fault| fault.position().is_some())
    );
}

#[test]
fn sections_are_found_where_they_may_stand() {
    let flat = FILE
        .replace("  audit_logging:\n    enabled: true\n    level: info\n    storage: database\n    retention: 90d\n", "")
        + "audit_logging: { enabled: true, level: info, storage: database, retention: 90d }\n";
    let nested = load(FILE).unwrap();
    let config = load(&flat).unwrap();
    assert_eq!(config.explain(), nested.explain());
    assert_eq!(config.remarks().len(), nested.remarks().len());
    // All of it below `api_gateway`, as in copies that lost their indentation.
    let (server, rest) = FILE.split_once("authentication:").unwrap();
    let rest = format!("authentication:{rest}");
    let rest = format!("  {}\n", rest.trim_end().replace('\n', "\n  "));
    let inside = load(&format!("{server}{rest}")).unwrap();
    assert_eq!(inside.explain(), nested.explain());
    assert_eq!(inside.remarks().len(), nested.remarks().len());
    let parts = "  token_validation: { jwt_secret: '${JWT_SECRET}' }\n  api_keys: [{ name: ann, key: '${KEY}' }]\n  \
                 request_validation: { max_body_size: 5 }\n  audit_logging: { retention: 9d }\n  alerts: { high_latency: 5 }\n";
    let asked = "authentication: { methods: [api_key, bearer_token] }\n";
    let config = load(&format!(
        "api_gateway:\n  allowed_apis: ['https://a.example']\n{parts}{asked}"
    ))
    .unwrap();
    assert_eq!((config.auth.jwt.len(), config.auth.api_keys.len()), (1, 1));
    assert_eq!(config.http.max_body_size.bytes(), 5);
    assert_eq!(config.remarks().len(), 2);
    let both = format!("{FILE}alerts: {{ high_latency: 5 }}\n");
    let faults = load(&both).unwrap_err();
    assert!(faults.contains("`alerts` says it, too"), "{faults}");
    let twice = FILE.to_owned() + "rate_limits: { default: 5 }\n";
    let faults = load(&twice).unwrap_err();
    assert!(
        faults.contains("rate_limits: `api_gateway.rate_limits` says it, too"),
        "{faults}"
    );
}

// Rows of the table of keys.

#[test]
fn key_server() {
    let config = load(FILE).unwrap();
    assert_eq!(config.name, "api-gateway-mcp");
    assert_eq!(config.version.as_deref(), Some("1.0.0"));
    assert_eq!(config.http.listen, "127.0.0.1:3000");
    insta::assert_snapshot!(all(&[
        "server: { host: 127.0.0.1 }",
        "server: { host: '::1', port: 0 }",
        "server: { host: '[::1]' }",
        "server: { host: example.com }",
        "server: { host: '${KEY}' }",
        "server: { host: 0.0.0.0 }",
        "server: { host: 0.0.0.0, insecure: true }",
        "server: { host: 0.0.0.0 }\nauthentication: { required: false, methods: [api_key], api_keys: [{ name: ann, key: '${KEY}' }] }",
        "server: { host: 0.0.0.0 }\nauthentication: { required: true, methods: [api_key], api_keys: [{ name: ann, key: '${KEY}' }] }",
        "server: { port: 70000 }",
        "server: { port: '3000' }",
        "server: { port: '${PORT:-4000}' }\nrate_limits: { default: '${RATE:-7}' }",
        "server: { port: '${PORT:-70000}' }",
        "server: { port: '${PORT:-4000 }' }",
        "server: { port: '${PORT:-4x}' }",
        "server: { version: 1.0 }",
        "server: { name: \"a\\u0007b\" }",
        "server: { trusted_proxies: [proxy] }",
        "server: { hots: localhost }",
    ]));
}

#[test]
fn key_allowed_apis() {
    insta::assert_snapshot!(
        [
            "api_gateway: { allowed_apis: ['https://a.example/v1/', { url: 'http://10.0.0.7:8080', allow_http: true, allow_ip: true, allow_private: true, methods: [GET], paths: ['/x/*'] }] }",
            "api_gateway: { allowed_apis: [] }",
            "api_gateway: {}",
            "server: { port: 1 }",
            "api_gateway: { allowed_apis: ['http://a.example', 'https://10.0.0.7', 'https://ann:pw@a.example', 'https://a.example?x', 'https://a.example#x', 'https://*.example', 'https://a.example/../b', a.example, 'ftp://a.example'] }",
            "api_gateway: { allowed_apis: ['https://a.example', 'https://A.example:443/', { url: 'http://b.example' }, { url: 'https://c.example', methods: [get] }, { ulr: x }, 7] }",
            "api_gateway: { allowed_apis: https://a.example }",
            "api_gateway: { allowed_apis: [{ url: 'https://a.example', credential: { bearer: '' }, deny_paths: [x] }] }",
        ]
        .map(|text| format!("{text}\n=> {}\n", report(text, &[])))
        .join("\n")
    );
}

#[test]
fn key_rate_limits() {
    let config = load(FILE).unwrap();
    let [rule] = config.limits.rules.as_slice() else {
        panic!("{:?}", config.limits)
    };
    assert_eq!(
        (rule.quota, rule.window.unwrap().get().as_secs()),
        (100, 60)
    );
    insta::assert_snapshot!(all(&[
        "rate_limits: { default: 5, per_api: { 'https://A.example:443': 7 } }",
        "rate_limits: { default: 0 }",
        "rate_limits: { default: -1 }",
        "rate_limits: { default: 1.5 }",
        "rate_limits: { default: .nan }",
        "rate_limits: { default: '100' }",
        "rate_limits: { default: ten }",
        "rate_limits: { default: 9999999999 }",
        "rate_limits: { per_api: { 'https://a.example': 0, 'https://b.example': x } }",
        "rate_limits: { per_api: { 'https://c.example': 5, 'not an address': 5 } }",
        "rate_limits: { per_api: { 'https://a.example': 5, 'https://a.example/': 6 } }",
        "rate_limits: { burst: 5 }",
    ]));
}

#[test]
fn key_authentication() {
    insta::assert_snapshot!(all(&[
        "authentication: { required: true }",
        "authentication: { required: true, methods: [] }",
        "authentication: { required: 'yes' }",
        "authentication: { required: true, methods: [password] }",
        "authentication: { required: true, methods: [oauth2] }",
        "authentication: { required: true, methods: [api_key] }",
        "authentication: { required: true, methods: [api_key], api_keys: [{ name: ann, key: '${KEY}' }] }",
    ]));
}

#[test]
fn key_token_validation() {
    insta::assert_snapshot!(all(&[
        "authentication: { required: true, methods: [bearer_token] }",
        "authentication: { methods: [bearer_token] }",
        "authentication: { required: true, methods: [bearer_token], token_validation: { jwt_secret: '${KEY}', token_expiry: 60 } }",
        "authentication: { required: true, methods: [bearer_token], token_validation: { jwt_secret: 'thirty-one-bytes-is-too-short-x' } }",
        "authentication: { required: true, methods: [bearer_token], token_validation: { jwt_secret: '${NONE}' } }",
        "authentication: { token_validation: { jwt_secret: '${KEY}' } }",
        "authentication: { required: true, methods: [bearer_token], token_validation: { jwt_secret: '${KEY}', token_expiry: 0 } }",
        "authentication: { required: true, methods: [bearer_token], token_validation: { jwt_secret: '${KEY}', token_expiry: 1h } }",
    ]));
}

#[test]
fn who_is_let_in() {
    let caller = "authentication: { required: REQUIRED, methods: [api_key], api_keys: [{ name: ann, key: '${KEY}' }] }\n\
                  api_gateway: { allowed_apis: ['https://a.example'] }";
    let config = load(&caller.replace("REQUIRED", "true")).unwrap();
    assert_eq!(config.auth.api_keys[0].id, "ann");
    assert!(!config.auth.anonymous);
    let config = load(&caller.replace("REQUIRED", "false")).unwrap();
    assert!(config.auth.anonymous, "a key is not needed, and known");
    // The file of its authors asks for tokens: nobody comes without one.
    let config = load(FILE).unwrap();
    assert!(config.auth.is_required() && config.auth.api_keys.is_empty());
    let config = load("api_gateway: { allowed_apis: ['https://a.example'] }").unwrap();
    assert!(config.auth.api_keys.is_empty() && !config.auth.anonymous);
}

#[test]
fn key_api_keys() {
    let config = load(FILE).unwrap();
    let credential = |name: &str| {
        let api = &config.apis[name];
        api.credential.as_ref().map(|it| it.resolve().unwrap())
    };
    match credential("api-openweathermap-org") {
        Some(ApiCredential::Query { name, value }) => {
            assert_eq!(name, "appid");
            assert_eq!(value.expose(), &format!("{SECRET}-WEATHER_API_KEY"));
        }
        other => panic!("{other:?}"),
    }
    match credential("api-github-com") {
        Some(ApiCredential::Bearer { token }) => {
            assert_eq!(token.expose(), &format!("{SECRET}-GITHUB_API_KEY"));
        }
        other => panic!("{other:?}"),
    }
    assert!(credential("api-stripe-com").is_none());
    let both = "allowed_apis: ['https://a.example', 'https://b.example']";
    let key = |rest: &str| format!("api_keys: [{{ name: k, key: '${{KEY}}', {rest} }}]");
    let table = [
        key(both),
        key(&format!("{both}, as: header")),
        key(&format!("{both}, as: header, parameter: X-Token")),
        key(&format!("{both}, as: query, parameter: key")),
        key(&format!("{both}, as: query")),
        key(&format!("{both}, parameter: x")),
        key(&format!("{both}, as: cookie")),
        key(&format!("{both}, as: header, parameter: Host")),
        key("allowed_apis: ['https://A.example:443/']"),
        key("allowed_apis: ['https://c.example', '${KEY}']"),
        key("allowed_apis: []"),
        key("note: x"),
        "api_keys: [{ name: k, key: '${KEY}' }]".to_owned(),
        "api_keys: [{ name: k, key: short, allowed_apis: ['https://a.example'] }]".to_owned(),
        "api_keys: [{ name: k, key: \"two words\", allowed_apis: ['https://a.example'] }]".to_owned(),
        "api_keys: [{ name: k, key: '', allowed_apis: ['https://a.example'] }]".to_owned(),
        "api_keys: [{ key: x }, { name: k }]".to_owned(),
        "api_keys: [{ name: k, key: one, allowed_apis: ['https://a.example'] }, { name: k, key: one, allowed_apis: ['https://b.example'] }]".to_owned(),
        "api_keys: [{ name: k, key: one, allowed_apis: ['https://a.example'] }, { name: l, key: two, allowed_apis: ['https://a.example/'] }]".to_owned(),
        "authentication: { methods: [api_key], api_keys: [{ name: 'a b', key: short }, { name: local, key: '${KEY}', as: header }] }".to_owned(),
    ];
    let table: Vec<_> = table.iter().map(String::as_str).collect();
    insta::assert_snapshot!(all(&table));
}

#[test]
fn key_ip_lists() {
    let config = load(FILE).unwrap();
    let allowed = config.policy.ip.allow.as_deref().unwrap();
    assert_eq!(allowed, ["192.168.1.0/24", "10.0.0.0/8"]);
    // The gateway of that file listens where no address of the list comes from.
    let remarks = config.remarks();
    let told = remarks
        .iter()
        .find(|it| it.path().to_string() == "security.ip_whitelist");
    assert!(told.unwrap().message().starts_with("nobody gets in"));
    insta::assert_snapshot!(all(&[
        "security: { ip_allowlist: [127.0.0.1], ip_denylist: [10.6.6.6] }",
        "security: { ip_whitelist: [10.0.0.0/8, '::1', '127.0.0.0/8'] }",
        "security: { ip_whitelist: [] }",
        "security: { ip_blacklist: ['2001:db8::/32'] }",
        "security: { ip_whitelist: [10.0.0.1/8, nowhere], ip_blacklist: [10.0.0.0/33] }",
        "security: { ip_whitelist: [127.0.0.1], ip_allowlist: [127.0.0.1] }",
        "security: { ip_whitelist: 127.0.0.1 }",
        "security: { ip_whitelist: [10.0.0.0/8] }\nserver: { trusted_proxies: [127.0.0.1] }",
    ]));
}

#[test]
fn key_request_validation() {
    let text = FILE.replace("1048576", "2048");
    let text = text.replace("      - application/x-www-form-urlencoded\n", "");
    let config = load(&text).unwrap();
    assert_eq!(config.http.max_body_size.bytes(), 2048);
    for api in config.apis.values() {
        assert_eq!(api.max_body_size.bytes(), 2048);
        assert_eq!(api.content_types, ["application/json"]);
    }
    insta::assert_snapshot!(all(&[
        "request_validation: { max_body_size: 0 }",
        "request_validation: { max_body_size: -1 }",
        "request_validation: { max_body_size: 1MiB }",
        "request_validation: { max_body_size: big }",
        "request_validation: { allowed_content_types: ['text/plain; charset=utf-8', json] }",
        "request_validation: { max_size: 1 }",
    ]));
}

#[test]
fn key_audit_logging() {
    insta::assert_snapshot!(all(&[
        "audit_logging: { enabled: true, level: info, storage: database, retention: 90d }",
        "audit_logging: { enabled: false }",
        "audit_logging: { storage: log }",
        "audit_logging: { level: loud, storage: tape, retention: 90 }",
        "audit_logging: { retention: 0d }",
        "audit_logging: { retention: -1d }",
        "audit_logging: { retention: forever }",
        "audit_logging: { retention: '${KEY}' }",
        "audit_logging: { retentoin: 90d }",
        "audit_logging: { level: info }\nsecurity: { audit_logging: { level: info } }",
    ]));
}

#[test]
fn key_monitoring_metrics() {
    let config = load(FILE).unwrap();
    assert_eq!(config.metrics.listen.as_deref(), Some("127.0.0.1:9464"));
    assert!(config.metrics.is_optional, "a second gateway may start");
    insta::assert_snapshot!(all(&[
        "monitoring: { metrics: { prometheus: true } }",
        "monitoring: { metrics: { enabled: true } }",
        "monitoring: { metrics: { enabled: false, prometheus: true } }",
        "monitoring: { metrics: { enabled: false } }",
        "monitoring: { metrics: { prometheus: true, custom_metrics: [api_calls_total, api_response_time_seconds] } }",
        "monitoring: { metrics: { prometheus: true, custom_metrics: [api_calls] } }",
        "monitoring: { metrics: { prometheus: true } }\nserver: { port: 9464 }",
    ]));
}

#[test]
fn key_alerts() {
    insta::assert_snapshot!(all(&[
        "monitoring: { alerts: { high_error_rate: 0.05, high_latency: 5000, rate_limit_exceeded: true } }",
        "alerts: { rate_limit_exceeded: false }",
        "alerts: { high_error_rate: 1 }",
        "alerts: { high_error_rate: 0, high_latency: 0, rate_limit_exceeded: 1 }",
        "alerts: { high_error_rate: 5, high_latency: 1.5 }",
        "alerts: { high_error_rate: .nan }",
        "alerts: { high_error_rate: .inf }",
        "alerts: { low_error_rate: 1 }",
    ]));
}

#[test]
fn keys_of_the_environment_beat_the_file() {
    let config = load_with(
        FILE,
        &[
            (
                "ALLOWED_APIS",
                " https://api.github.com ,https://other.example/v1,, ",
            ),
            ("RATE_LIMIT", "7"),
            ("AUTH_REQUIRED", "false"),
        ],
    )
    .unwrap();
    let names: Vec<_> = config.apis.keys().collect();
    assert_eq!(names, ["api-github-com", "other-example-v1"]);
    let rule = &config.limits.rules[0];
    assert_eq!(rule.quota, 7);
    assert_eq!(rule.overrides.len(), 1, "the API's own limit stays");
    assert_eq!(rule.overrides[0].quota, Some(30));
    assert!(config.auth.anonymous);
    assert!(config.apis["api-github-com"].credential.is_some());
    // What the file says of APIs that are left out has no effect, which is told.
    let remarks = config.remarks();
    let left_out = remarks
        .iter()
        .filter(|it| it.message().contains("leaves the API out"));
    assert_eq!(left_out.count(), 4);
    // What the file allows an API it keeps.
    let text = "api_gateway: { allowed_apis: [{ url: 'http://a.example', allow_http: true, methods: [GET] }] }";
    let config = load_with(text, &[("ALLOWED_APIS", "http://A.example/")]).unwrap();
    assert_eq!(config.apis["a-example"].methods.len(), 1);
}

#[test]
fn the_environment_alone_starts_a_gateway() {
    let of = |variables: &[(&str, &str)]| Config::from_env(&with_env(variables));
    assert!(of(&[]).is_none());
    assert!(of(&[("ALLOWED_APIS", " "), ("RATE_LIMIT", "7")]).is_none());
    let config = of(&[("ALLOWED_APIS", "https://a.example, https://b.example")]);
    let config = config.unwrap().unwrap();
    assert_eq!(config.http.listen, "127.0.0.1:3000");
    assert_eq!(config.limits.rules[0].quota, 100);
    insta::assert_snapshot!(config.explain());
    let faults = |variables: &[(&str, &str)]| of(variables).unwrap().unwrap_err().to_string();
    let secret = "https://ann:hush@a.example";
    let many = "https://a.example,".repeat(1001);
    let told = [
        faults(&[("ALLOWED_APIS", ",,")]),
        faults(&[("ALLOWED_APIS", &many)]),
        faults(&[(
            "ALLOWED_APIS",
            &format!("{secret}, a.example,http://a.example,https://1.2.3.4"),
        )]),
        faults(&[
            ("ALLOWED_APIS", "https://a.example"),
            ("RATE_LIMIT", "x"),
            ("AUTH_REQUIRED", "TRUE"),
        ]),
        faults(&[
            ("ALLOWED_APIS", "https://a.example"),
            ("AUTH_REQUIRED", "true"),
        ]),
    ]
    .join("\n\n");
    assert!(!told.contains("hush"));
    insta::assert_snapshot!(told);
}

// Defects, by their number.

/// How many requests of a caller to an API are let through before the first that is not, of 2000.
async fn let_through(limiter: &Limiter, caller: &str, api: &str) -> usize {
    let caller = Caller::new(CallerKind::ApiKey, caller);
    let meta = RequestMeta::new("1", Transport::Http);
    let charge = Charge::new(&caller, &meta, "tools/call").of(Some("api_gateway"), Some(api));
    for count in 0..2000 {
        match limiter.admit(&charge).await.unwrap() {
            Admission::Admitted { .. } => {}
            _ => return count,
        }
    }
    2000
}

#[tokio::test]
async fn defects_2_and_5_a_limit_opens_again_and_is_not_shared_by_all_callers() {
    let config = load_with(
        FILE,
        &[(
            "ALLOWED_APIS",
            "https://api.github.com,https://other.example",
        )],
    );
    let clock = ManualClock::new();
    let limiter = Limiter::in_memory(&config.unwrap().limits, clock.clone()).unwrap();
    assert_eq!(let_through(&limiter, "ann", "api-github-com").await, 30);
    assert_eq!(let_through(&limiter, "ann", "api-github-com").await, 0);
    assert_eq!(let_through(&limiter, "bob", "api-github-com").await, 30);
    assert_eq!(let_through(&limiter, "ann", "other-example").await, 100);
    clock.advance(Duration::from_secs(61));
    assert_eq!(let_through(&limiter, "ann", "api-github-com").await, 30);
}

#[test]
fn defect_6_limits_of_single_apis_hold() {
    let config = load(FILE).unwrap();
    let rule = &config.limits.rules[0];
    let quotas: Vec<_> = rule
        .overrides
        .iter()
        .map(|it| (it.applies_to.servers[0].as_str(), it.quota.unwrap()))
        .collect();
    assert_eq!(
        quotas,
        [
            ("api-github-com", 30),
            ("api-openweathermap-org", 60),
            ("api-stripe-com", 1000),
            ("api-twilio-com", 50),
        ]
    );
    assert_eq!(rule.applies_to.servers.len(), 4);
    assert!(
        rule.applies_to
            .servers
            .iter()
            .all(|name| config.apis.contains_key(name))
    );
}

#[test]
fn defect_13_a_token_that_is_only_there_lets_nobody_in() {
    let auth = load(FILE).unwrap().auth;
    assert!(auth.is_required() && auth.api_keys.is_empty());
    let [tokens] = auth.jwt.as_slice() else {
        panic!("{:?}", auth.jwt);
    };
    assert!(tokens.hs256_secret.is_some());
    assert!(tokens.any_audience, "the file cannot name one");
    assert_eq!(tokens.max_age.unwrap().get().as_secs(), 3600);
}

#[test]
fn defect_18_blanks_around_addresses_of_the_environment_mean_nothing() {
    let apis = " https://a.example ,\thttps://b.example\n, https://c.example";
    let config = Config::from_env(&with_env(&[("ALLOWED_APIS", apis)]));
    let config = config.unwrap().unwrap();
    let urls: Vec<_> = config.apis.values().map(|api| api.url.as_str()).collect();
    assert_eq!(
        urls,
        [
            "https://a.example",
            "https://b.example",
            "https://c.example"
        ]
    );
}

#[test]
fn defect_20_a_limit_that_is_no_number_stops_the_start() {
    for text in [
        "NaN",
        "x",
        "-1",
        "0",
        "1.5",
        "1e3",
        "0x10",
        "+",
        "+5",
        "1 000",
        "99999999999999999999",
        "１００",
    ] {
        let faults = load_with(FILE, &[("RATE_LIMIT", text)]).unwrap_err();
        assert!(
            faults.contains("RATE_LIMIT: the variable is not a whole number"),
            "{text}: {faults}"
        );
        assert!(text.len() < 3 || !faults.contains(text), "{faults}");
    }
    let config = load_with(FILE, &[("RATE_LIMIT", " 12 ")]).unwrap();
    assert_eq!(config.limits.rules[0].quota, 12);
    let config = load_with(FILE, &[("RATE_LIMIT", "")]).unwrap();
    assert_eq!(config.limits.rules[0].quota, 100, "as if it were not set");
    for text in ["TRUE", "True", "1", "yes", "", " true"] {
        let faults = load_with(FILE, &[("AUTH_REQUIRED", text)]).unwrap_err();
        assert!(
            faults.contains("AUTH_REQUIRED: the variable is neither"),
            "{text}: {faults}"
        );
    }
}

#[test]
fn defect_21_what_is_not_done_yet_is_said() {
    let remarks = load(FILE).unwrap().remarks();
    let idle = remarks
        .iter()
        .filter(|it| it.message().starts_with("not active yet"));
    let paths: Vec<_> = idle.map(|it| it.path().to_string()).collect();
    assert_eq!(
        paths,
        [
            "authentication.methods[2]",
            "security.audit_logging.storage",
            "security.audit_logging.level",
            "security.audit_logging.retention",
            "monitoring.alerts.high_error_rate",
            "monitoring.alerts.high_latency",
            "monitoring.alerts.rate_limit_exceeded",
        ]
    );
}

// What is whose.

#[test]
fn a_file_is_known_by_its_keys() {
    for (text, is_theirs) in [
        ("api_gateway: {}", true),
        ("rate_limits: {}", true),
        ("server: { port: 1 }", true),
        ("server: { url: 'https://x' }", false),
        ("server: { port: 1 }\nservers: {}", false),
        ("monitoring: {}\nname: x", false),
        ("api_gateway: {}\nservers: {}", true),
        ("servers: {}", false),
        ("- api_gateway", false),
        ("api_gateway: [", false),
        ("", false),
    ] {
        assert_eq!(super::is_seed(text), is_theirs, "{text}");
    }
    let faults =
        load("api_gateway: { allowed_apis: ['https://a.example'] }\nservers: {}").unwrap_err();
    assert!(
        faults.contains("seed.yaml:2:1: servers: unknown key"),
        "{faults}"
    );
}

/// The keys of all mappings of a schema.
fn keys_of(schema: &Value, keys: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Object(properties)) = object.get("properties") {
                keys.extend(properties.keys().cloned());
            }
            object.values().for_each(|part| keys_of(part, keys));
        }
        Value::Array(items) => items.iter().for_each(|item| keys_of(item, keys)),
        _ => {}
    }
}

#[test]
fn the_guide_tells_of_every_key_and_variable() {
    let guide = include_str!("../../../../docs/rest-apis.md");
    let (_, guide) = guide.split_once("## Moving from API Gateway MCP").unwrap();
    let mut schema = schema_of::<SeedFile>();
    // What APIs may say is in the reference.
    let definitions = schema["$defs"].as_object_mut().unwrap();
    definitions.retain(|name, _| {
        [
            "Part",
            "Key",
            "Limits",
            "Authentication",
            "Validation",
            "Security",
            "Logging",
            "Monitoring",
            "Alerts",
        ]
        .iter()
        .any(|end| name.ends_with(end))
    });
    let mut keys = BTreeSet::new();
    keys_of(&schema, &mut keys);
    assert!(keys.len() > 35, "{keys:?}");
    keys.extend(["ALLOWED_APIS", "RATE_LIMIT", "AUTH_REQUIRED"].map(str::to_owned));
    for key in keys {
        assert!(
            guide.contains(&key),
            "docs/rest-apis.md does not tell of `{key}`"
        );
    }
}

#[test]
fn what_differs_between_two_files_is_known_by_section() {
    let before = load(FILE).unwrap();
    let differ = |from: &str, to: &str, variables: &[(&str, &str)]| {
        let after = load_with(&FILE.replace(from, to), variables).unwrap();
        let sections = [
            "name", "http", "auth", "policy", "limits", "metrics", "apis", "pins",
        ];
        let differ = |section: &&str| before.marks.differ(&after.marks, section);
        sections.into_iter().filter(differ).collect::<Vec<_>>()
    };
    assert!(differ("", "", &[]).is_empty());
    // What of APIs is learnt in use stays where they are what they were.
    assert_eq!(differ("default: 100", "default: 99", &[]), ["limits"]);
    assert_eq!(differ("10.0.0.0/8", "10.0.0.0/9", &[]), ["http", "policy"]);
    assert_eq!(
        differ("token_expiry: 3600", "token_expiry: 60", &[]),
        ["auth"]
    );
    assert_eq!(
        differ("max_body_size: 1048576", "max_body_size: 1048577", &[]),
        ["http", "policy", "apis"]
    );
    assert_eq!(
        differ("key: ${GITHUB_API_KEY}", "key: another-key-of-theirs", &[]),
        ["auth", "apis"]
    );
    let weather = "https://api.openweathermap.org";
    assert_eq!(
        differ("", "", &[("ALLOWED_APIS", weather)]),
        ["limits", "apis"]
    );
    assert_eq!(
        differ("name: api-gateway-mcp", "name: other", &[]),
        ["name", "http"]
    );
    assert_eq!(differ("", "", &[("RATE_LIMIT", "3")]), ["limits"]);
    let config = |apis: &str| {
        Config::from_env(&with_env(&[("ALLOWED_APIS", apis)]))
            .unwrap()
            .unwrap()
    };
    let (one, other) = (config("https://a.example"), config("https://b.example"));
    assert!(one.marks.differ(&other.marks, "apis"));
    assert!(!one.marks.differ(&other.marks, "auth"));
}

#[test]
fn faults_of_shape_and_of_meaning_are_told_together() {
    let text = FILE
        .replace("port: 3000", "port: x")
        .replace("- 10.0.0.0/8", "- 10.0.0.1/8")
        .replace("https://api.twilio.com: 50", "https://api.twilio.org: 50")
        .replace("retention: 90d", "retention: long")
        .replace("api_error_rate", "api_errors")
        .replace("key: ${GITHUB_API_KEY}", "key: ${UNSET}");
    insta::assert_snapshot!(report(&text, &[("AUTH_REQUIRED", "perhaps")]));
}

/// A line of the file, or something like it.
fn line() -> impl Strategy<Value = String> {
    let lines: Vec<&'static str> = FILE.lines().collect();
    prop_oneof![
        4 => proptest::sample::select(lines).prop_map(str::to_owned),
        1 => "[ ]{0,6}[a-z_]{1,12}: ?\\PC{0,20}",
        1 => "[ ]{0,6}- \\PC{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_file_is_taken_or_refused(lines in proptest::collection::vec(line(), 0..40)) {
        // It must not panic, and shows no secret.
        let text = format!("api_gateway:\n{}", lines.join("\n"));
        prop_assert!(!report(&text, &[]).contains(SECRET));
        let _ = report(&lines.join("\n"), &[]);
    }

    #[test]
    fn a_file_with_a_line_changed_is_taken_or_refused(at in 0..64_usize, other in line()) {
        let mut lines: Vec<_> = FILE.lines().map(str::to_owned).collect();
        if let Some(line) = lines.get_mut(at) {
            *line = other;
        }
        let text = lines.join("\n");
        prop_assert!(!report(&text, &[]).contains(SECRET));
    }

    #[test]
    fn any_variable_is_taken_or_refused(apis in "\\PC{0,60}", rate in "\\PC{0,12}", auth in "\\PC{0,6}") {
        let variables = [("ALLOWED_APIS", &*apis), ("RATE_LIMIT", &*rate), ("AUTH_REQUIRED", &*auth)];
        if let Some(Ok(config)) = Config::from_env(&with_env(&variables)) {
            prop_assert!(config.apis.values().all(|api| api.canonical_url().is_some()));
        }
    }
}
