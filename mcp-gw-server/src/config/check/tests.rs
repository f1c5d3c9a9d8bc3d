use mcp_gw_policy::{RuleConfig, RuleEffect};

use super::super::{Config, Fault, PinMode, PolicyConfig, ServerConfig};

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn env(name: &str) -> Option<String> {
    (name == "KEY").then(|| KEY.to_owned())
}

fn load(text: &str) -> String {
    match Config::load("mcp-gw.yaml", text, &env) {
        Ok(_) => "no fault".to_owned(),
        Err(faults) => faults.to_string(),
    }
}

/// What the lines of `table` say in an otherwise sound file.
fn all(rest: &str, table: &[&str]) -> String {
    let rendered = table.iter().map(|text| {
        let loaded = load(&format!("{text}\n{rest}"));
        format!("{text}\n=> {loaded}\n")
    });
    rendered.collect::<Vec<_>>().join("\n")
}

const SERVER: &str = "servers: { a: { command: npx } }";
const ALLOW: &str = "policy: { default: allow }";

#[test]
fn listening() {
    let rest = format!("{SERVER}\n{ALLOW}");
    insta::assert_snapshot!(all(
        &rest,
        &[
            "http: { listen: '127.0.0.1:0' }",
            "http: { listen: '[::1]:8080' }",
            "http: { listen: localhost }",
            "http: { listen: ':8080' }",
            "http: { listen: '${KEY}' }",
            "http: { listen: '0.0.0.0:8080' }",
            "http: { listen: '0.0.0.0:8080', insecure: true }",
            "http: { listen: '0.0.0.0:8080' }\nauth: { api_keys: [ { id: a, key: '${KEY}' } ] }",
            "http: { listen: '0.0.0.0:8080' }\nauth: { anonymous: true }",
            "http: { listen: '[::]:80' }\nauth: { anonymous: true, api_keys: [ { id: a, key: '${KEY}' } ] }",
            "http: { path: mcp }",
            "http: { path: '/mcp?x=1' }",
            "http: { path: '/m cp' }",
            "http: { path: '/{id}' }",
            "http: { max_body_size: 0 }",
            "http: { shutdown_grace: 0s, sessions: { idle_timeout: 0ms } }",
            "http: { sessions: { max_age: 0s, replay: { max_age: 0s, max_messages: 0 } } }",
            "http: { sessions: { max_age: 721h } }",
            "http: { sessions: { keys: [ {}, { key: '${KEY}' }, { key: c2hvcnQ= }, { key_file: /does/not/exist } ] } }",
            "http: { sessions: { keys: [ { key: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= }, { key: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= } ] } }",
            "http: { allowed_hosts: [ mcp.example.com, 'mcp.example.com:8443', 'https://x', 'a b', '' ] }",
            "http: { trusted_proxies: [ 10.0.0.0/8, '::1', proxy.example.com, 10.0.0.0/33 ], forwarded_header: x-real-ip }",
            "http: { allowed_origins: [ 'https://a.example', 'a.example', 'https://a.example/x', '*' ] }",
            "call_timeout: 0s",
            "call_timeout: 61m",
            "name: \"a\\nb\"",
        ]
    ));
}

#[test]
fn pins() {
    let rest = format!("{SERVER}\n{ALLOW}");
    insta::assert_snapshot!(all(
        &rest,
        &[
            "pins: { mode: off }",
            "pins: { mode: block, file: kept/pins.json }",
            "pins: { mode: strict }",
            "pins: { mode: warn, file: '..' }",
            "pins: { file: '' }",
        ]
    ));
    // Made in code, it has no file to stand beside.
    let config = Config::default()
        .with_policy(PolicyConfig::allow())
        .with_server(
            "a",
            ServerConfig::stdio("npx", ["x"]).with_pins(PinMode::Warn),
        );
    let faults = config.check("code").unwrap_err().to_string();
    assert!(
        faults.contains("pins.file: there is no file to keep pins in; name one"),
        "{faults}"
    );
}

#[test]
fn metrics() {
    let rest = format!("{SERVER}\n{ALLOW}");
    insta::assert_snapshot!(all(
        &rest,
        &[
            "metrics: {}",
            "metrics: { listen: '127.0.0.1:9464' }",
            "metrics: { listen: '127.0.0.1:9464', path: / }",
            "metrics: { listen: localhost }",
            "metrics: { listen: '${KEY}' }",
            "metrics: { listen: '127.0.0.1:8080' }",
            "metrics: { listen: '0.0.0.0:9464' }",
            "metrics: { listen: '0.0.0.0:9464', insecure: true }",
            "metrics: { listen: '0.0.0.0:9464', token: '${KEY}' }",
            "metrics: { listen: '0.0.0.0:9464', token: short }",
            "metrics: { listen: '0.0.0.0:9464', token: '' }",
            "metrics: { listen: '0.0.0.0:9464', token_file: /does/not/exist }",
            "metrics: { listen: '127.0.0.1:0', token: '${KEY}', token_file: /x }",
            "metrics: { listen: '127.0.0.1:0', path: 'm?x' }",
            "metrics: { token: '${KEY}' }",
            "metrics: { port: 9464 }",
        ]
    ));
    let explain = |text: &str| {
        let config = Config::load("x", &format!("{text}\n{rest}"), &env).unwrap();
        config.explain()
    };
    for (text, says) in [
        (
            "{ listen: '127.0.0.1:1' }",
            "metrics at http://127.0.0.1:1/metrics (no token, this machine only)",
        ),
        (
            "{ listen: '0.0.0.0:1', insecure: true }",
            "(no token, everybody who can reach the address)",
        ),
        ("{ listen: '0.0.0.0:1', token: '${KEY}' }", "(with a token)"),
    ] {
        let found = explain(&format!("metrics: {text}"));
        assert!(found.contains(says) && !found.contains(KEY), "{found}");
    }
    assert!(!explain("").contains("metrics"));
}

#[test]
fn pins_are_kept_beside_the_configuration() {
    let file = |text: &str| {
        let text = format!("{text}\n{SERVER}\n{ALLOW}");
        let config = Config::load("/etc/gw/mcp-gw.yaml", &text, &env).unwrap();
        config.pins.file.unwrap().display().to_string()
    };
    assert_eq!(file(""), "/etc/gw/mcp-gw.pins.json");
    assert_eq!(file("pins: { file: kept/x }"), "/etc/gw/kept/x");
    assert_eq!(file("pins: { file: /var/x }"), "/var/x");
}

#[test]
fn callers() {
    let rest = format!("{SERVER}\n{ALLOW}");
    insta::assert_snapshot!(all(
        &rest,
        &[
            "auth: { api_keys: [ { id: a } ] }",
            "auth: { api_keys: [ { id: a, key: '${KEY}', key_file: /x } ] }",
            "auth: { api_keys: [ { id: a, key: short } ] }",
            "auth: { api_keys: [ { id: a, key: 'a key with blanks in it' } ] }",
            "auth: { api_keys: [ { id: a, key_sha256: abc } ] }",
            "auth: { api_keys: [ { id: a, key_file: /does/not/exist } ] }",
            "auth: { api_keys: [ { id: '', key: '${KEY}' } ] }",
            "auth: { api_keys: [ { id: 'a b', key: '${KEY}' } ] }",
            "auth: { api_keys: [ { id: anonymous, key: '${KEY}' } ] }",
            "auth:\n  api_keys:\n    - { id: a, key: '${KEY}' }\n    - { id: a, key: '${KEY}' }",
            "auth:\n  api_keys:\n    - { id: a, key: '${KEY}' }\n    - id: b\n      key_sha256: 3eb82ab6ae4afbe1a5fdf15a7e6dbdc4c2ba4b0b0e1df1e1ad4cb32b2b1ab7c9",
            "auth: { api_keys: [ { id: a, key: '${KEY}', tools: [ '', ' get_*' ] } ] }",
        ]
    ));
}

#[test]
fn a_key_and_its_own_digest_are_the_same_key() {
    use sha2::{Digest as _, Sha256};
    use std::fmt::Write as _;
    let mut digest = String::new();
    for byte in Sha256::digest(KEY) {
        write!(digest, "{byte:02x}").unwrap();
    }
    let text = format!(
        "auth: {{ api_keys: [ {{ id: a, key: '${{KEY}}' }}, {{ id: b, key_sha256: {digest} }} ] }}\n\
         {SERVER}\n{ALLOW}"
    );
    let faults = load(&text);
    assert!(
        faults.contains("auth.api_keys[1].key_sha256: the key of `auth.api_keys[0]` is used"),
        "{faults}"
    );
    assert!(!faults.contains(&digest), "{faults}");
}

#[test]
fn a_pattern_is_the_same_wherever_one_stands_and_a_lone_backslash_is_none() {
    for (place, at) in [
        (
            "policy: { default: allow, rules: [{ id: a, effect: deny, tools: ['PATTERN'] }] }",
            "policy.rules[0].tools",
        ),
        (
            "policy: { default: allow }\nauth: { api_keys: [{ id: a, key: '${KEY}', tools: ['PATTERN'] }] }",
            "auth.api_keys[0].tools",
        ),
        (
            "policy: { default: allow }\nendpoints: { e: { tools: ['PATTERN'] } }",
            "endpoints.e.tools[0]",
        ),
        (
            "policy: { default: allow }\nlimits: { rules: [{ name: r, quota: 1, window: 1s, for: { tools: ['PATTERN'] } }] }",
            "limits.rules[0].for.tools[0]",
        ),
        (
            "policy: { default: allow }\nlimits: { costs: [{ tools: ['PATTERN'], cost: 2 }] }",
            "limits.costs[0].tools[0]",
        ),
    ] {
        let with =
            |pattern: &str| load(&format!("{}\n{SERVER}", place.replace("PATTERN", pattern)));
        assert_eq!(with(r"a\*b*?\\"), "no fault", "{place}");
        let says = with(r"a\");
        assert!(
            says.contains(at) && says.contains("backslash"),
            "{place}: {says}"
        );
    }
}

#[test]
fn a_rule_about_tls_which_ends_before_the_gateway() {
    let text = format!(
        "policy:\n  default: allow\n  rules:\n    - {{ id: a, effect: deny, when: \"has(tls.sni)\" }}\n{SERVER}"
    );
    let says = load(&text);
    for part in ["mcp-gw.yaml:4:", "rule `a`", "`tls`", "request.headers"] {
        assert!(says.contains(part), "no {part} in {says}");
    }
    let sound = text.replace("has(tls.sni)", "has(request.headers.sni)");
    assert_eq!(load(&sound), "no fault");
}

#[test]
fn a_policy_that_lets_nobody_do_anything() {
    insta::assert_snapshot!(all(
        SERVER,
        &[
            "",
            "auth: { api_keys: [ { id: a, key: '${KEY}' } ] }",
            "auth: { api_keys: [ { id: a, key: '${KEY}', tools: [ '*' ] } ] }",
        ]
    ));
}

/// What looks wrong with a configuration that is good.
fn remarks(text: &str) -> Vec<String> {
    let config = Config::load("mcp-gw.yaml", &format!("{text}\n{SERVER}"), &env).unwrap();
    sentences(&config)
}

fn sentences(config: &Config) -> Vec<String> {
    config.remarks().iter().map(Fault::sentence).collect()
}

#[test]
fn who_locks_everybody_out_is_told_so_and_not_kept_from_it() {
    let deny = "rules: [{ id: no, effect: deny, tools: [x] }]";
    for text in [
        "policy: {}",
        "policy: { default: deny }",
        &format!("policy: {{ {deny} }}"),
        "policy: { mode: enforce }\nauth: { api_keys: [ { id: a, key: '${KEY}' } ] }",
        "auth: { api_keys: [ { id: a, key: '${KEY}', tools: [] } ] }",
    ] {
        let told = remarks(text).concat();
        assert!(
            told.starts_with("policy: nobody may call anything"),
            "{text}: {told}"
        );
    }
    // The command line changes what was read, and has it checked again.
    let text = format!("policy: {{}}\n{SERVER}");
    let again = Config::load("mcp-gw.yaml", &text, &env).unwrap();
    again.check("command line").unwrap();
    let made = Config::default()
        .with_policy(PolicyConfig::default().with_rule(RuleConfig::new("no", RuleEffect::Deny)))
        .with_server("a", ServerConfig::stdio("a", ["b"]));
    made.check("here").unwrap();
    assert!(
        sentences(&made)
            .concat()
            .contains("nobody may call anything")
    );
    let shadow = "policy: { mode: shadow, rules: [{ id: no, effect: deny, tools: [x] }] }";
    assert_eq!(remarks(shadow), [""; 0]);
}

#[test]
fn who_is_named_and_is_not_there_is_told_of_and_stops_nothing() {
    let text = "auth: { api_keys: [ { id: alice, key: '${KEY}', roles: [reader] } ] }
policy:
  default: allow
  rules: [{ id: a, effect: deny, who: { ids: [alise, gone], roles: [reader, admin] } }]
  groups: { staff: { members: [{ ids: ['${KEY}'] }] } }
  consumers: [{ name: c, who: { any_of: [{ groups: [stuff] }] }, default: allow }]";
    assert_eq!(
        remarks(text),
        [
            "policy.consumers[0].who.any_of[0].groups[0]: there is no group `stuff`; did you mean \
             `staff`?",
            "policy.rules[0].who.ids[0]: there is no caller `alise`; did you mean `alice`?",
            "policy.rules[0].who.ids[1]: there is no caller `gone`; write an id that a key in \
             `auth.api_keys` has",
            "policy.rules[0].who.roles[1]: there is no role `admin`; give it to a key in \
             `auth.api_keys`, or add it to `policy.roles`",
            "policy.groups.staff.members[0].ids[0]: there is no caller the value; write an id that \
             a key in `auth.api_keys` has",
        ]
    );
    // A server is there or not, whoever calls.
    let says = load(&format!(
        "policy: {{ default: allow, rules: [{{ id: a, effect: deny, servers: [none] }}] }}\n{SERVER}"
    ));
    assert!(says.contains("there is no server `none`"), "{says}");
}

#[test]
fn servers() {
    insta::assert_snapshot!(all(
        ALLOW,
        &[
            "",
            "servers: {}",
            "servers: { 'my server': { command: npx } }",
            "servers: { docs: { command: npx }, Docs: { command: npx } }",
            "servers: { a: {} }",
            "servers: { a: { command: npx, url: 'https://x' } }",
            "servers: { a: { command: '' } }",
            "servers: { a: { command: npx -y server } }",
            "servers: { a: { command: '/opt/My App/server' } }",
            "servers: { a: { command: npx, headers: { A: b }, connect_timeout: 5s } }",
            "servers: { a: { command: npx, env: { 'A=B': c } } }",
            "servers: { a: { command: npx, timeout: 0s, start_timeout: 0s } }",
            "servers: { a: { command: npx, max_connections: 1025, idle_timeout: 0s } }",
            "servers: { a: { url: 'https://x', max_connections: 65537 } }",
            "servers: { a: { url: 'https://x', max_connections: 4, max_connections_per_caller: 5 } }",
            "servers: { a: { command: npx, max_connections_per_caller: 17 } }",
            "servers: { a: { command: npx, max_connections_per_caller: 0 } }",
            "servers: { a: { command: npx, max_connections_per_caller: 16 } }",
            "servers: { a: { url: 'https://x', max_connections: 0, idle_timeout: 1h } }",
            "servers: { a: { url: 'https://x', args: [a], env: { A: b }, cwd: /, start_timeout: 1s } }",
            "servers: { a: { url: 'nonsense' } }",
            "servers: { a: { url: 'ftp://x/y' } }",
            "servers: { a: { url: 'https://u:p@x/y#z' } }",
            "servers: { a: { url: 'https://x', headers: { 'A B': c } } }",
            "servers: { a: { url: 'https://x', headers: { Host: c, Mcp-Session-Id: d, Connection: e } } }",
            "servers: { a: { url: 'https://x', headers: { X: a, x: b } } }",
            "servers: { a: { url: 'https://x', headers: { X: \"a\\nb\" } } }",
            "servers: { a: { url: 'https://x', headers: { Authorization: 'Bearer ${KEY}' } } }",
        ]
    ));
}

#[test]
fn servers_in_several_places() {
    insta::assert_snapshot!(all(
        ALLOW,
        &[
            "servers: { a: { urls: ['https://x', 'https://y'], balance: { strategy: consistent } } }",
            "servers: { a: { urls: ['https://x', nonsense, 'https://x'], args: [b] } }",
            "servers: { a: { urls: ['https://x'], url: 'https://y' } }",
            "servers: { a: { urls: ['https://x'], replicas: [ { url: 'https://y' } ] } }",
            "servers: { a: { replicas: [ { url: 'https://x' }, { command: b }, {}, { command: c, url: 'https://x' } ] } }",
            "servers: { a: { replicas: [ { url: 'https://x', args: [] }, { command: npx -y b } ], headers: { Host: c } } }",
            "servers: { a: { replicas: [ { command: b }, { command: b } ], headers: { C: d } } }",
            "servers: { a: { replicas: [ { url: 'https://x' }, { url: 'https://x' } ], cwd: / } }",
            "servers: { a: { replicas: [ { url: 'https://x', weight: 0 }, { url: 'https://y' } ] } }",
            "servers: { a: { replicas: [ { url: 'https://x', weight: 2 }, { url: 'https://y' } ] } }",
            "servers: { a: { url: 'https://x', balance: { strategy: weighted } } }",
            "servers: { a: { url: 'https://x', health: { interval: 0s, timeout: 0s, unhealthy_after: 0 } } }",
            "servers: { a: { url: 'https://x', retries: { attempts: 0, budget: 101, wait: 0s } } }",
            "servers: { a: { url: 'https://x', max_queue: 1, queue_timeout: 1s } }",
            "servers: { a: { url: 'https://x', max_concurrent: 0 } }",
            "servers: { a: { url: 'https://x', max_concurrent: 1, queue_timeout: 60s } }",
            "servers: { a: { url: 'https://x', max_concurrent: 1, max_queue: 0, queue_timeout: 59s } }",
        ]
    ));
}

#[test]
fn places_are_explained_without_what_is_secret() {
    let text = "servers:
  a: { urls: ['https://x.example/${KEY}', 'https://y.example/mcp?key=k'], max_concurrent: 7 }
  b: { replicas: [ { command: b, args: ['${KEY}'] }, { url: 'https://z.example' } ], balance: { strategy: two_choices } }
";
    let config = Config::load("x", &format!("{ALLOW}\n{text}"), &env).unwrap();
    let explained = config.explain();
    let (_, explained) = explained.split_once("what is behind it\n").unwrap();
    let (explained, _) = explained.split_once("\nlimits").unwrap();
    assert_eq!(
        explained,
        "  a: 2 replicas, round_robin
    https://x.example, answers in 30s
    https://y.example/mcp?key=..., answers in 30s
    at most 7 calls at a time
  b: 2 replicas, two_choices
    starts `b` with 1 argument, answers in 30s
    https://z.example, answers in 30s
"
    );
}

#[test]
fn faults_of_shape_and_of_meaning_are_reported_together() {
    let text = r#"htp: {}
http:
  listen: nonsense
  max_body_size: true
auth:
  api_keys:
    - { id: alice, key: short }
    - { id: alice, key: "${NOPE}" }
policy: { default: allow }
servers:
  "bad name": { command: "npx -y foo" }
  ok: { url: "ftp://x", timeout: 3 }
"#;
    let faults = Config::load("mcp-gw.yaml", text, &|_| None).unwrap_err();
    insta::assert_snapshot!(faults);
}

#[test]
fn one_fault_does_not_hide_those_beside_it() {
    for (text, says) in [
        (
            "http: {listen: here}\nauth: {api_keys: [{id: a, key: k, x: 1}]}\nservers: {d: {command: x}}",
            "http.listen",
        ),
        (
            "auth: {api_keys: [{id: 'a b', tools: 7}, {id: local}]}\nservers: {d: {command: x}}",
            "auth.api_keys[0].id",
        ),
        (
            "auth: {api_keys: [{id: 'a b', tools: 7}, {id: local}]}\nservers: {d: {command: x}}",
            "auth.api_keys[1]",
        ),
        ("servers: {d: {timeout: soon}}", "servers.d"),
        ("servers: {d: {url: x, replicas: []}}", "servers.d.replicas"),
        ("servers: {d: {urls: []}}", "servers.d.urls"),
        (
            "servers: {d: {replicas: [{url: 'ftp://x'}, {command: x, weight: 0}]}}",
            "servers.d.replicas[0].url",
        ),
        (
            "servers: {'d e': {command: x, timeout: soon}}",
            "servers[\"d e\"]",
        ),
        (
            "servers: {d: {command: x, args: [1, 2], env: {\"A=B\": x}}}",
            "servers.d.env[\"A=B\"]",
        ),
        (
            "servers:\n  b: {command: x, timeout: 5}\n  e: {url: 'ftp://x'}\n  b: {command: x}",
            "servers.e.url",
        ),
    ] {
        let text = format!("policy: {{ default: allow }}\n{text}");
        let faults = Config::load("f", &text, &|_| None).unwrap_err();
        let paths: Vec<_> = faults
            .faults()
            .iter()
            .map(|f| f.path().to_string())
            .collect();
        assert!(paths.contains(&says.to_owned()), "{text}: {faults}");
    }
}

#[test]
fn what_is_faulty_itself_is_not_taken_for_missing() {
    for (text, says) in [
        (
            "policy: { default: allow }\nservers: { a: { commnd: x } }",
            "servers.a.commnd",
        ),
        (
            "policy: { default: allow }\nservers: { a: { replicas: [7] } }",
            "servers.a.replicas[0]",
        ),
        // The only key of its list cannot be read, but there is one.
        (
            "http: { listen: '0.0.0.0:80' }\nauth: { api_keys: [{ id: 7 }] }\n\
             servers: { a: { command: a } }",
            "auth.api_keys[0].id",
        ),
        (
            "policy: { default: 7 }\nservers: { a: { command: a } }",
            "policy.default",
        ),
        (
            "polcy: { default: allow }\nservers: { a: { command: a } }",
            "polcy",
        ),
        (
            "policy: { default: allow }\nservers: { a: { command: 7 } }",
            "servers.a.command",
        ),
        (
            "policy: { default: allow }\nservers: { a: { command: '${X}' } }",
            "servers.a.command",
        ),
        ("- 1", ""),
        ("policy: { default: allow }\nservers: 1", "servers"),
    ] {
        let faults = Config::load("f", text, &|_| None).unwrap_err();
        let paths: Vec<_> = faults
            .faults()
            .iter()
            .map(|f| f.path().to_string())
            .collect();
        assert!(paths.contains(&says.to_owned()), "{text}: {faults}");
        for wrong in ["http.listen", "policy", "servers", "servers.a"] {
            assert!(
                wrong == says || !paths.contains(&wrong.to_owned()),
                "{text}: {faults}"
            );
        }
    }
}

#[test]
fn all_semantic_faults_are_reported_together() {
    let text = "http:\n  listen: here\nauth:\n  api_keys:\n    - id: a\n      key: weak\n\
                servers:\n  a: { url: x }\n";
    let faults = Config::load("x.yaml", text, &env).unwrap_err();
    let lines: Vec<_> = faults
        .faults()
        .iter()
        .map(|f| f.position().unwrap().line())
        .collect();
    assert_eq!(lines, [1, 2, 6, 8], "{faults}");
}

#[test]
fn relative_paths_are_taken_from_the_folder_of_the_file() {
    let folder = std::env::temp_dir().join(format!("mcp-gw-key-file-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("alice.key"), format!("{KEY}\n")).unwrap();
    let text = "auth: { api_keys: [ { id: a, key_file: alice.key, tools: [x] } ] }\n\
                servers: { a: { command: npx, cwd: work } }";
    let name = folder.join("mcp-gw.yaml");
    let config = Config::load(name.to_str().unwrap(), text, &env).unwrap();
    assert_eq!(
        config.servers["a"].cwd.as_deref(),
        Some(folder.join("work").as_path())
    );
    let direct = super::super::ApiKeyConfig::new("a", KEY.to_owned());
    assert_eq!(
        config.auth.api_keys[0].sha256().unwrap(),
        direct.sha256().unwrap()
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_configuration_made_in_code_is_checked_without_positions() {
    let config = Config::default().with_server("a", ServerConfig::stdio("npx", ["-y", "x"]));
    let faults = config.clone().check("the command line").unwrap_err();
    assert!(
        faults
            .to_string()
            .starts_with("the command line: policy: nobody may"),
        "{faults}"
    );
    config
        .with_policy(PolicyConfig::allow())
        .check("the command line")
        .unwrap();
}

#[test]
fn an_explanation_says_who_may_do_what_and_no_secret() {
    let text = "
name: demo
auth:
  api_keys:
    - { id: alice, key: '${KEY}', roles: [admin], tools: ['get_*', echo] }
    - { id: bob, key: 'another-key-of-bob', tools: [] }
limits: { calls_per_minute: 60 }
servers:
  everything: { command: npx, args: [-y, x, '${KEY}'], env: { A: '${KEY}' } }
  docs: { url: 'https://x.example/t/${KEY}?k=${KEY}', headers: { Authorization: 'Bearer ${KEY}' } }
";
    let config = Config::load("x", text, &env).unwrap();
    let explained = config.explain();
    assert!(!explained.contains(KEY) && !explained.contains("another-key"));
    assert!(!format!("{:?}", config.auth).contains(KEY));
    insta::assert_snapshot!(explained);
}

#[test]
fn callers_without_a_key_are_explained() {
    let rest = format!("{SERVER}\n{ALLOW}\n");
    let explain = |text: &str| {
        Config::load("x", &format!("{rest}{text}"), &env)
            .unwrap()
            .explain()
    };
    assert!(explain("").contains("local (no key, this machine only): every tool"));
    assert!(explain("auth: { anonymous: true }").contains("anonymous (no key): every tool"));
    assert!(explain("http: { listen: '0.0.0.0:1', insecure: true }").contains("everybody who"));
}

#[test]
fn servers_side_by_side() {
    let two = |a: &str, b: &str| {
        format!("servers: {{ a: {{ command: npx{a} }}, b_: {{ url: 'https://x'{b} }} }}")
    };
    let table = [
        two("", ""),
        two(", prefix_name: b", ", prefix: on_collision"),
        two(", prefix_name: b", ", prefix: never"),
        two(", prefix: never, prefix_name: x", ", prefix: sometimes"),
        two(
            ", prefix: never, uris: prefix, prefix_name: b.",
            ", uris: prefix, prefix: never",
        ),
        two(", prefix_name: 'a b'", ", prefix_name: ''"),
        "servers: { a: { command: npx, prefix_name: x } }".to_owned(),
        "servers: { a: { command: npx, prefix: always, prefix_name: x__y } }".to_owned(),
        "servers: { a: { command: npx }, a__b: { command: npx } }".to_owned(),
        "servers: { a-b: { command: npx }, a_b: { command: npx } }".to_owned(),
    ];
    let table: Vec<_> = table.iter().map(String::as_str).collect();
    insta::assert_snapshot!(all(ALLOW, &table));
}

#[test]
fn endpoints() {
    let rest = format!("{SERVER}\n{ALLOW}");
    insta::assert_snapshot!(all(
        &rest,
        &[
            "endpoints: { reading: { servers: [a], tools: ['a__get_*'], instructions: Read. } }",
            "endpoints: { a: { tools: ['*'] } }",
            "endpoints: { 'a b': { tools: ['*'] } }",
            "endpoints: { x: {} }",
            "endpoints: { x: { servers: [b, a] } }",
            "endpoints: { x: { tools: [''], prompts: [' a'], resources: ['a '] } }",
        ]
    ));
}

#[test]
fn shapes_of_tools() {
    let shapes = [
        "{ t: { rename: u, title: T, description: D, annotations: { read_only: true } } }",
        "{ t: {} }",
        "{ t: { hide: true, title: T } }",
        "{ t: { rename: 'a b' }, u: { rename: x }, v: { rename: x } }",
        "{ t: { annotations: { readOnlyHint: true } } }",
        "{ t: { arguments: { a: { fix: null }, b: { default: [1, { c: d }] }, e: { hide: true } } } }",
        "{ t: { arguments: { a: { fix: 1, default: 2 }, b: { fix: 1, rename: c }, d: {} } } }",
        "{ t: { arguments: { a: { rename: '' }, b: { rename: c }, d: { rename: c } } } }",
    ];
    let table: Vec<_> = shapes
        .iter()
        .map(|shape| format!("servers: {{ a: {{ command: npx, tools: {shape} }} }}"))
        .collect();
    let table: Vec<_> = table.iter().map(String::as_str).collect();
    insta::assert_snapshot!(all(ALLOW, &table));
}

#[test]
fn a_section_that_is_missing_is_reported_with_the_other_faults() {
    let missing = "servers: there is no server behind the gateway";
    for beside in [
        "http: { listen: 7 }",
        "http: { zzz: 1 }",
        "call_timeout: 61m",
        "name: '${UNSET}'",
        "auth: { api_keys: 7 }",
        "auth: { api_keys: [{ id: 7 }] }",
    ] {
        let says = load(&format!("{ALLOW}\n{beside}\n"));
        assert!(says.contains(missing), "{beside}: {says}");
        let section = beside.split_once(':').unwrap().0;
        assert!(says.contains(&format!(" {section}")), "{beside}: {says}");
    }
    // Whoever wrote it otherwise hears of that first, and what is there is not called missing.
    for meant in [
        "server: { a: { command: npx } }",
        "servers: 7",
        "servers: { a: 7 }",
        "servers: { a: { command: 7 } }",
    ] {
        let says = load(&format!("{ALLOW}\nhttp: {{ zzz: 1 }}\n{meant}\n"));
        assert!(!says.contains("there is no server"), "{meant}: {says}");
        assert!(says.contains("zzz"), "{meant}: {says}");
    }
}
