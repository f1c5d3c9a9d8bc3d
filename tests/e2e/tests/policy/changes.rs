//! P-12 to P-14: what rules would do, what is told of decisions, and a policy that changes.

use super::*;

#[test]
fn a_rule_in_shadow_refuses_nothing_and_is_told_of() {
    let policy = "policy: { default: allow, rules: [{ id: try-out, effect: deny, tools: [progress], mode: shadow }] }";
    let metrics = "metrics: { listen: \"127.0.0.1:0\" }";
    let gateway = full("2025-11-25").with(policy).with(metrics).over_http();
    let line = gateway.process.stderr.with("metrics");
    let client = gateway.client(Era::Modern);
    assert!(tools(&client).contains(&"progress".to_owned()));
    client
        .ask("tools/call", r#"{"name":"echo","arguments":{}}"#)
        .result();
    let event = audited(&gateway, "\"echo\"");
    assert!(!event.contains("\"shadow\""), "{event}");
    assert!(event.contains("\"policy_version\":\""), "{event}");
    client.begin_tool("progress", "{}").rest();
    let event = audited(&gateway, "\"progress\"");
    for said in [
        "\"shadow\":\"would deny: try-out\"",
        "\"effect\":\"allow\"",
        "\"reason\":\"default\"",
    ] {
        assert!(event.contains(said), "no {said} in {event}");
    }
    gateway.process.stderr.with("\"would deny\"");
    let (_, rest) = line.split_once("http://").unwrap();
    let address = rest.split(['"', ' ', '\\']).next().unwrap();
    let text = Endpoint::at(&format!("http://{address}"))
        .send("GET", &[], b"")
        .text();
    for sample in [
        "mcp_gw_policy_decisions_total{effect=\"deny\",feature=\"tool\",method=\"tools/call\",mode=\"shadow\",reason=\"deny_rule\",server=\"full\"} 1\n",
        "mcp_gw_policy_decisions_total{effect=\"allow\",feature=\"tool\",method=\"tools/call\",mode=\"enforce\",reason=\"default\",server=\"full\"} 2\n",
        "mcp_gw_policy_rule_hits_total{effect=\"deny\",rule=\"try-out\"} 2\n",
        "mcp_gw_policy_reload_total{result=\"failed\"} 0\n",
    ] {
        assert!(text.contains(sample), "no {sample} in {text}");
    }
    assert!(text.contains("\nmcp_gw_policy_info{version=\""), "{text}");
}

#[test]
fn a_policy_changes_as_a_whole_or_not_at_all_and_streams_go_on_under_the_new_one() {
    // A.8-12.
    let yaml = |policy: &str| {
        format!(
            "http: {{ listen: \"127.0.0.1:0\" }}\npolicy: {policy}\nservers: {{ full: {{ command: {FULL_BIN:?}, args: [\"2025-11-25\"] }} }}\n"
        )
    };
    let one = "{ rules: [{ id: echo, effect: allow, tools: [echo] }] }";
    let gateway = Setup::verbatim(&yaml(one)).over_http();
    let client = gateway.client(Era::Modern);
    let mut heard = client.begin(
        "subscriptions/listen",
        r#"{"notifications":{"toolsListChanged":true}}"#,
    );
    heard.next();
    assert_eq!(tools(&client), ["echo"]);
    let first = gateway.process.stderr.with("policy in force");

    for (bad, says) in [
        (
            "{ rules: [{ id: echo, effect: alow, tools: [echo] }] }",
            "alow",
        ),
        (
            "{ rules: [{ id: echo, effect: allow, when: \"jwt.x ==\" }] }",
            "rule `echo`",
        ),
        (
            "{ rules: [{ id: a, effect: allow }, { id: a, effect: deny }] }",
            "two rules with the id",
        ),
        (
            "{ default: allow, servers: { ful: { default: allow } } }",
            "did you mean `full`?",
        ),
        (
            "{ default: allow, extra_methods: [vendor/x] }",
            "only methods of MCP",
        ),
    ] {
        gateway.configure(&yaml(bad));
        let line = gateway.process.stderr.with(says);
        assert!(
            line.contains("not reloaded") && line.contains("2:"),
            "{line}"
        );
    }
    assert_eq!(tools(&client), ["echo"]);
    assert_eq!(client.tool("grow", "{}").fault().0, -32602);

    gateway.configure(&yaml(
        "{ rules: [{ id: echo, effect: allow, tools: [echo, touch] }] }",
    ));
    let is_second = |line: &str| line.contains("policy in force");
    let second = gateway.process.stderr.first(2, is_second).remove(1);
    let version = |line: &str| at(line, &["version"]);
    assert_ne!(version(&first), version(&second));
    let method = at(&heard.next().0, &["method"]);
    assert_eq!(method, r#""notifications/tools/list_changed""#);
    assert_eq!(tools(&client), ["echo", "touch"]);
}

#[test]
fn a_list_in_shadow_is_one_line_of_the_log() {
    let gateway = full("2025-11-25")
        .with("policy: { mode: shadow }")
        .over_http();
    let client = gateway.client(Era::Modern);
    assert!(tools(&client).len() > 8);
    client.tool("echo", "{}").result();
    let is_would = |line: &str| line.contains("\"would deny\"");
    let lines = gateway.process.stderr.first(2, is_would);
    assert!(
        lines[0].contains("\"items\":") && lines[0].contains("tools/list"),
        "{lines:?}"
    );
    assert!(lines[1].contains("\"name\":\"echo\""), "{lines:?}");
    let of_audit = at(&audited(&gateway, "\"echo\""), &["request_id"]);
    assert!(
        lines[1].contains(&format!("\"request_id\":{of_audit}")),
        "{of_audit} {lines:?}"
    );
}

#[test]
fn conditions_that_grow_are_errors_and_no_end_of_the_gateway() {
    let yaml = |policy: &str| {
        format!(
            "http: {{ listen: \"127.0.0.1:0\" }}\npolicy:\n  default: allow\n  rules:\n{policy}servers: {{ full: {{ command: {FULL_BIN:?}, args: [\"2025-11-25\"] }} }}\n"
        )
    };
    let guard = "    - { id: rq, effect: require, tools: [touch], when: \"mcp.tool.arguments.a.exists(x, x == 'q')\" }\n";
    let gateway = Setup::verbatim(&yaml(guard)).over_http();
    let client = gateway.client(Era::Modern);
    let items: Vec<String> = (0..400).map(|at| format!("\"v{at}\"")).collect();
    let arguments = format!(
        r#"{{"a":[{},"q"],"s":"{}"}}"#,
        items.join(","),
        "a".repeat(30_000)
    );
    client.tool("touch", &arguments).result();

    // Made when it is loaded, and made of what a caller sends; and rules in shadow that take long.
    let grows = ".map(x,x+x)".repeat(30);
    let heavy = "mcp.tool.arguments.a.exists(x, mcp.tool.arguments.a.exists(y, x == y + 'z'))";
    let bombs = format!(
        "{guard}    - {{ id: b1, effect: allow, when: \"size(['aaaaaaaaaaaaaaaa']{grows}[0]) > 0\" }}\n    \
         - {{ id: b2, effect: allow, tools: [touch], when: \"size([mcp.tool.arguments.s]{grows}[0]) > 0\" }}\n    \
         - {{ id: b3, effect: deny, mode: shadow, tools: [touch], when: \"{heavy}\" }}\n    \
         - {{ id: b4, effect: deny, mode: shadow, tools: [touch], when: \"{heavy}\" }}\n"
    );
    gateway.configure(&yaml(&bombs));
    let warning = gateway.process.stderr.with("can never be true");
    assert!(
        warning.contains("b1") && warning.contains("more steps"),
        "{warning}"
    );
    let is_second = |line: &str| line.contains("policy in force");
    gateway.process.stderr.first(2, is_second);
    client.tool("touch", &arguments).result();
    let event = audited(&gateway, "\"touch\"");
    assert!(event.contains("\"effect\":\"allow\""), "{event}");
}

#[test]
fn a_rule_that_cannot_be_evaluated_refuses_and_is_told_of() {
    // P-4, A.8-7.
    let policy = r#"policy:
  default: allow
  rules:
    - { id: sales-not, effect: deny, tools: [echo], when: "jwt.dept == 'sales'" }
    - { id: small, effect: require, tools: [touch], when: "mcp.tool.arguments.n < 10" }
"#;
    for gateway in both(|| full("2025-11-25").with(policy)) {
        cannot_be_evaluated(&gateway);
    }
}

fn cannot_be_evaluated(gateway: &Running) {
    let client = gateway.client(Era::Modern);
    for _ in 0..3 {
        assert_eq!(client.tool("echo", "{}").fault().0, -32602);
    }
    for (arguments, allowed) in [
        (r#"{"n":9}"#, true),
        (r#"{"n":10}"#, false),
        (r#"{"n":"9"}"#, false),
        (r#"{"n":9,"n":11}"#, false),
        ("{}", false),
    ] {
        let answer = client.tool("touch", arguments);
        let is_allowed = answer.0.contains("\"result\"");
        assert_eq!(is_allowed, allowed, "{arguments}: {answer:?}");
    }
    // Visible all the same: what depends on arguments hides nothing (P-10).
    assert!(tools(&client).contains(&"touch".to_owned()));
    let event = audited(gateway, "\"echo\"");
    for said in [
        "\"errored_rules\":\"sales-not\"",
        "\"reason\":\"deny_rule\"",
        "\"reasons\":\"sales-not\"",
    ] {
        assert!(event.contains(said), "no {said} in {event}");
    }
    // Once a minute, however often it happens; a minute may end in between.
    let lines = gateway.process.stderr.so_far();
    let warnings = lines
        .iter()
        .filter(|line| line.contains("a rule cannot be evaluated") && line.contains("sales-not"));
    assert!((1..=2).contains(&warnings.count()));
}

#[test]
fn who_is_locked_out_by_a_reload_is_locked_out() {
    // P-2: a policy that lets nobody do anything is one, and a key goes whoever speaks of it.
    let yaml = |policy: &str, keys: &str| {
        format!(
            "http: {{ listen: \"127.0.0.1:0\" }}\npolicy: {policy}\nauth: {{ api_keys: [{keys}] }}\n\
             servers: {{ full: {{ command: {FULL_BIN:?}, args: [\"2025-11-25\"] }} }}\n"
        )
    };
    let (ann, bob) = (
        "{ id: ann, key: ann-0123456789abcdef }",
        "{ id: bob, key: bob-0123456789abcdef, roles: [admin] }",
    );
    let rule = "{ default: allow, rules: [{ id: no-bob, effect: deny, tools: [touch], who: { ids: [bob], roles: [admin] } }] }";
    let gateway = Setup::verbatim(&yaml(rule, &format!("{ann}, {bob}"))).over_http();
    let client = client_of(&gateway, "ann", Era::Legacy);
    assert!(tools(&client).contains(&"touch".to_owned()));

    gateway.configure(&yaml(rule, ann));
    gateway
        .process
        .stderr
        .with("policy.rules[0].who.ids[0]: there is no caller `bob`");
    gateway.process.stderr.with("\"reloaded: ");
    let key = ("authorization", "Bearer bob-0123456789abcdef");
    let reply = gateway
        .endpoint()
        .send("POST", &[JSON[0], JSON[1], key], b"{}");
    assert_eq!(reply.status, 401);

    for (times, policy) in [
        (2, "{ rules: [{ id: no, effect: deny, tools: [touch] }] }"),
        (3, "{ default: deny }"),
    ] {
        gateway.configure(&yaml(policy, ann));
        let warned = |line: &str| line.contains("policy: nobody may call anything");
        gateway.process.stderr.first(times - 1, warned);
        let done = |line: &str| line.contains("\"reloaded: ");
        gateway.process.stderr.first(times, done);
        assert_eq!(tools(&client), [""; 0], "{policy}");
    }
}

#[test]
fn rules_that_refuse_nothing_by_the_names_of_now_are_told_of() {
    // P-6: names are those that clients see, and these change when a second server comes.
    let server =
        |name: &str| format!("{name}: {{ command: {FULL_BIN:?}, args: [\"2025-11-25\"] }}");
    let yaml = |policy: &str, servers: &str| {
        format!("http: {{ listen: \"127.0.0.1:0\" }}\npolicy: {policy}\nservers: {{ {servers} }}\n")
    };
    let by_name = "{ default: allow, rules: [{ id: no-touch, effect: deny, tools: [touch], resources: [\"test://watched\"] }] }";
    let both = format!("{}, {}", server("full"), server("two"));
    let gateway = Setup::verbatim(&yaml(by_name, &server("full"))).over_http();
    assert!(!tools(&gateway.client(Era::Modern)).contains(&"touch".to_owned()));
    gateway.configure(&yaml(by_name, &both));
    let warning = gateway
        .process
        .stderr
        .with("does not refuse what it may mean");
    for said in [
        "\"WARN\"",
        "policy.rules[0]: the rule `no-touch`",
        "`touch` of server `full` is `full__touch`",
        "`test://watched` of server `full` is `full+test://watched`",
        "match: upstream_name",
    ] {
        assert!(warning.contains(said), "no {said} in {warning}");
    }
    // A gateway that starts so says it at once, of both servers.
    let gateway = Setup::verbatim(&yaml(by_name, &both)).over_http();
    let warning = gateway
        .process
        .stderr
        .with("does not refuse what it may mean");
    assert!(
        warning.contains("`test://watched` of server `two` is `two+test://watched`"),
        "{warning}"
    );
    // By the names of servers the rule holds whatever clients see.
    let by_own = by_name.replace("effect: deny,", "effect: deny, match: upstream_name,");
    let gateway = Setup::verbatim(&yaml(&by_own, &server("full"))).over_http();
    gateway.configure(&yaml(&by_own, &both));
    gateway.process.stderr.with("\"reloaded: ");
    let seen = tools(&gateway.client(Era::Modern));
    assert!(!seen.iter().any(|name| name.ends_with("touch")), "{seen:?}");
}
