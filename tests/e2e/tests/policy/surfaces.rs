//! A.7: every method that a policy is about, over both transports, for clients of both eras in front of
//! servers of both.

use super::*;

/// Half of everything, for everybody.
pub(super) const HALF: &str = r#"policy:
  rules:
    - { id: some-tools, effect: allow, tools: [echo, cancelled_count] }
    - { id: watched, effect: allow, resources: ["test://watched"] }
    - { id: items, effect: allow, resource_templates: [{ literal: "test://items/{id}" }] }
    - { id: one-item, effect: allow, methods: [resources/read], resources: ["test://items/7"] }
    - { id: greet, effect: allow, prompts: [greet] }
"#;

/// What is asked for: a method, params that are allowed, params that are not, and params for what there
/// is not at all.
pub(super) const ASKED: [(&str, &str, &str, &str); 5] = [
    (
        "tools/call",
        r#"{"name":"echo","arguments":{}}"#,
        r#"{"name":"progress","arguments":{}}"#,
        r#"{"name":"regressp","arguments":{}}"#,
    ),
    (
        "resources/read",
        r#"{"uri":"test://items/7"}"#,
        r#"{"uri":"test://static"}"#,
        r#"{"uri":"test://tactis"}"#,
    ),
    (
        "prompts/get",
        r#"{"name":"greet","arguments":{"name":"Ann"}}"#,
        r#"{"name":"ask_first","arguments":{}}"#,
        r#"{"name":"ask_third","arguments":{}}"#,
    ),
    (
        "completion/complete",
        r#"{"ref":{"type":"ref/prompt","name":"greet"},"argument":{"name":"name","value":"A"}}"#,
        r#"{"ref":{"type":"ref/prompt","name":"ask_first"},"argument":{"name":"name","value":"A"}}"#,
        r#"{"ref":{"type":"ref/prompt","name":"ask_third"},"argument":{"name":"name","value":"A"}}"#,
    ),
    (
        "completion/complete",
        r#"{"ref":{"type":"ref/resource","uri":"test://items/{id}"},"argument":{"name":"id","value":"A"}}"#,
        r#"{"ref":{"type":"ref/resource","uri":"test://static"},"argument":{"name":"id","value":"A"}}"#,
        r#"{"ref":{"type":"ref/resource","uri":"test://tactis"},"argument":{"name":"id","value":"A"}}"#,
    ),
];

fn gateways(revision: &str) -> [Running; 2] {
    both(|| full(revision).with(HALF))
}

const REVISIONS: [&str; 2] = ["2025-11-25", "2026-07-28"];

#[test]
fn what_is_used_is_allowed_or_is_not_there() {
    for (gateway, era) in REVISIONS
        .into_iter()
        .flat_map(gateways)
        .flat_map(|gateway| {
            let gateway = Arc::new(gateway);
            ERAS.map(|era| (Arc::clone(&gateway), era))
        })
    {
        let client = gateway.client(era);
        for (method, allowed, refused, unknown) in ASKED {
            client.ask(method, allowed).result();
            let [refused, unknown] = [refused, unknown].map(|params| client.ask(method, params));
            let (code, _) = refused.fault();
            let is_old_read = method == "resources/read" && era == Era::Legacy;
            assert_eq!(code, if is_old_read { -32002 } else { -32602 }, "{method}");
            // P-15: but for the name, the two answers are one.
            let blank = |text: &str| {
                let text = text
                    .replace("regressp", "progress")
                    .replace("tactis", "static");
                text.replace("ask_third", "ask_first")
            };
            let (refused, unknown) = (blank(&refused.error()), blank(&unknown.error()));
            assert_eq!(refused, unknown, "{era:?} {method}");
        }
    }
}

#[test]
fn lists_hold_what_may_be_used_in_their_order() {
    for (revision, era) in REVISIONS.into_iter().flat_map(|r| ERAS.map(|era| (r, era))) {
        for gateway in gateways(revision) {
            let client = gateway.client(era);
            let told = [
                listed(&client, "tools/list", "tools", "name"),
                listed(&client, "resources/list", "resources", "uri"),
                listed(
                    &client,
                    "resources/templates/list",
                    "resourceTemplates",
                    "uriTemplate",
                ),
                listed(&client, "prompts/list", "prompts", "name"),
            ];
            let expected: [&[&str]; 4] = [
                &["cancelled_count", "echo"],
                &["test://watched"],
                &["test://items/{id}"],
                &["greet"],
            ];
            assert_eq!(
                told.each_ref().map(Vec::as_slice),
                expected,
                "{revision} {era:?}"
            );
        }
    }
}

#[test]
fn what_says_nothing_of_what_there_is_passes_and_what_mcp_does_not_know_does_not() {
    // Nothing at all may be used.
    let nothing = "policy: { rules: [{ id: one, effect: allow, tools: [no_such_tool] }] }";
    let gateway = full("2025-11-25").with(nothing).over_http();
    let legacy = gateway.client(Era::Legacy);
    legacy.ask("ping", "{}").result();
    let modern = gateway.client(Era::Modern);
    let told = modern.ask("server/discover", "{}").result();
    // Of features that there are, and that this caller has nothing of, nothing is said.
    let told = at(&told, &["capabilities"]);
    assert_eq!(told, r#"{"tools":{"listChanged":true}}"#);
    assert_eq!(tools(&legacy), [""; 0]);
    for (client, method) in [
        (&legacy, "vendor/method"),
        (&modern, "vendor/method"),
        (&legacy, "tools/Call"),
        (&modern, "tasks/list"),
    ] {
        assert_eq!(client.ask(method, "{}").fault().0, -32601, "{method}");
    }
    // It takes away, and nobody learns anything by it.
    let unsubscribed = legacy.ask("resources/unsubscribe", r#"{"uri":"test://watched"}"#);
    unsubscribed.result();
}

#[test]
fn who_subscribes_may_and_hears_only_of_what_it_may_read() {
    let policy = |read: &str| {
        format!(
            "policy: {{ rules: [{{ id: tools, effect: allow, tools: [touch, echo] }}, {{ id: watch, effect: allow, methods: [resources/list, resources/subscribe{read}], resources: [\"test://watched\"] }}] }}"
        )
    };
    for (revision, gateway) in REVISIONS.into_iter().flat_map(|revision| {
        both(|| full(revision).with(&policy(""))).map(|gateway| (revision, gateway))
    }) {
        let client = gateway.client(Era::Modern);
        let wanted = r#"{"notifications":{"resourceSubscriptions":["test://static","test://watched","test://none"]}}"#;
        let mut heard = client.begin("subscriptions/listen", wanted);
        let accepted = at(&heard.next().0, &["params", "notifications"]);
        assert_eq!(
            accepted, r#"{"resourceSubscriptions":["test://watched"]}"#,
            "{revision}"
        );
        // On standard streams notifications of two clients would be in one line of messages.
        let streams = gateway.endpoint.is_none();
        let other = streams.then(|| full(revision).with(&policy("")).over_stdio());
        let old = other.as_ref().unwrap_or(&gateway).client(Era::Legacy);
        let subscribe =
            |uri: &str| old.ask("resources/subscribe", &format!(r#"{{"uri":"{uri}"}}"#));
        subscribe("test://watched").result();
        for uri in ["test://static", "test://none"] {
            assert_eq!(subscribe(uri).fault().0, -32002, "{revision} {uri}");
        }
        // It is touched, and the caller may not read it: nothing is said. Then it may.
        client.tool("touch", "{}").result();
        let said = heard_after(&gateway, &client, &mut heard, &policy(", resources/read"));
        assert_eq!(
            at(&said, &["method"]),
            r#""notifications/resources/updated""#
        );
        assert_eq!(at(&said, &["params", "uri"]), r#""test://watched""#);
    }
}

/// Puts another policy in force, touches the resource, and tells what was heard first.
fn heard_after(
    gateway: &Running,
    client: &Client,
    heard: &mut crate::support::client::Call,
    policy: &str,
) -> String {
    let yaml = gateway.configuration();
    let lines = yaml.lines().map(|line| {
        if line.starts_with("policy:") {
            policy
        } else {
            line
        }
    });
    gateway.configure(&lines.collect::<Vec<_>>().join("\n"));
    gateway.process.stderr.with("reloaded: ");
    client.tool("touch", "{}").result();
    heard.next().0
}

#[test]
fn a_list_that_is_made_for_somebody_is_kept_for_nobody_else() {
    // P-9, A.8-9.
    let policy = "policy: { default: allow, rules: [{ id: admins, effect: require, tools: [progress], who: { roles: [admin] } }] }";
    let gateway = full("2026-07-28").with(KEYS).with(policy).over_http();
    for era in ERAS {
        let (ann, bob) = (
            client_of(&gateway, "ann", era),
            client_of(&gateway, "bob", era),
        );
        for _ in 0..2 {
            assert!(tools(&ann).contains(&"progress".to_owned()));
            assert!(!tools(&bob).contains(&"progress".to_owned()));
        }
    }
    let list = client_of(&gateway, "bob", Era::Modern)
        .ask("tools/list", "{}")
        .result();
    assert_eq!(at(&list, &["cacheScope"]), r#""private""#);
    assert_eq!(at(&list, &["ttlMs"]), "0");
}

#[test]
fn a_condition_sees_the_request_that_it_is_about() {
    let policy = r#"policy:
  rules:
    - { id: tenant, effect: allow, when: "request.headers['x-tenant'] == 'acme' && request.path == '/mcp' && request.method == 'POST'" }
"#;
    let gateway = full("2025-11-25").with(policy).over_http();
    for era in ERAS {
        let of_tenant = |tenant: &str| -> Client {
            let endpoint = gateway.endpoint().clone().with_header("x-tenant", tenant);
            Client::open(&(Arc::new(endpoint) as Arc<dyn Wire>), era)
        };
        assert_eq!(of_tenant("acme").tool("echo", "{}").text(), "{}", "{era:?}");
        assert_eq!(
            of_tenant("other").tool("echo", "{}").fault().0,
            -32602,
            "{era:?}"
        );
        assert_eq!(
            gateway.client(era).tool("echo", "{}").fault().0,
            -32602,
            "{era:?}"
        );
    }
}

#[test]
fn a_condition_knows_how_the_request_came_and_what_only_http_has_is_an_error() {
    let policy = r#"policy:
  rules:
    - { id: streams, effect: allow, tools: [echo], when: "request.transport == 'stdio' && mcp.method.startsWith('tools/')" }
    - { id: http, effect: allow, tools: [touch], when: "request.transport == 'http' && request.path == '/mcp'" }
    - { id: no-headers, effect: deny, tools: [cancelled_count], when: "request.path == '/nowhere'" }
    - { id: count, effect: allow, tools: [cancelled_count] }
    - { id: few, effect: require, tools: [echo, touch], when: "!has(mcp.tool.arguments.n) || mcp.tool.arguments.n < 10" }
"#;
    for gateway in both(|| full("2025-11-25").with(policy)) {
        let (own, others, counts) = match gateway.endpoint {
            Some(_) => ("touch", "echo", true),
            None => ("echo", "touch", false),
        };
        let client = gateway.client(Era::Modern);
        let listed = tools(&client);
        assert!(listed.contains(&own.to_owned()) && !listed.contains(&others.to_owned()));
        // What is not known of a request on standard streams cannot be asked: a deny applies.
        assert_eq!(listed.contains(&"cancelled_count".to_owned()), counts);
        client.tool(own, r#"{"n":9}"#).result();
        for arguments in [r#"{"n":10}"#, r#"{"n":"9"}"#] {
            assert_eq!(client.tool(own, arguments).fault().0, -32602, "{arguments}");
        }
        assert_eq!(client.tool(others, "{}").fault().0, -32602);
        let counted = client.tool("cancelled_count", "{}");
        assert_eq!(counted.0.contains("\"result\""), counts, "{counted:?}");
    }
}

#[test]
fn an_address_is_judged_before_a_key_and_told_nothing() {
    let setup = |ip: &str, http: &str| {
        let policy = format!("policy: {{ default: allow, ip: {ip} }}");
        let http = format!("http: {{ listen: \"127.0.0.1:0\"{http} }}");
        full("2025-11-25").with(KEYS).with(&policy).with(&http)
    };
    let body = call("\"echo\"", "{}");
    let gateway = setup("{ deny: [127.0.0.0/8] }", "").over_http();
    for caller in ["ann", "nobody"] {
        for (method, media) in [
            ("POST", &JSON[..]),
            ("GET", &JSON),
            ("DELETE", &JSON),
            // Nor is anything said of what it should have sent.
            ("POST", &[]),
            ("GET", &[]),
            ("PUT", &[]),
        ] {
            let endpoint = endpoint_of(&gateway, caller);
            let mut headers = media.to_vec();
            headers.extend([("mcp-protocol-version", "2025-11-25")]);
            let own = endpoint.headers.iter();
            headers.extend(own.map(|(name, value)| (name.as_str(), value.as_str())));
            let mut reply = endpoint.send(method, &headers, b"{");
            assert_eq!(
                (reply.status, reply.text().as_str()),
                (403, "Forbidden.\n"),
                "{method}"
            );
            assert_eq!(reply.header("www-authenticate"), None);
        }
    }
    let event = audited(&gateway, "\"authenticate\"");
    for said in [
        "\"ip.deny\"",
        "\"outcome\":\"denied\"",
        "\"effect\":\"deny\"",
        "\"reason\":\"address\"",
    ] {
        assert!(event.contains(said), "no {said} in {event}");
    }
    // Behind a proxy the client's own address counts; one that is none may be any.
    for lists in [
        "{ allow: [192.0.2.0/24] }",
        "{ deny: [198.51.100.0/24] }",
        "{ allow: [192.0.2.0/24], deny: [198.51.100.0/24] }",
    ] {
        let gateway = setup(lists, ", trusted_proxies: [127.0.0.1]").over_http();
        for (address, status) in [
            ("192.0.2.7", 200),
            ("198.51.100.7", 403),
            ("not an address", 403),
            ("192.0.2.7, ", 403),
        ] {
            let endpoint = endpoint_of(&gateway, "ann").with_header("x-forwarded-for", address);
            let reply = post(&endpoint, "echo", &body);
            assert_eq!(reply.status, status, "{lists}: {address}");
        }
    }
    // Over standard streams there is no address: nothing may be used where only some may come.
    let gateway = setup("{ allow: [127.0.0.0/8] }", "").over_stdio();
    let client = gateway.client(Era::Modern);
    assert_eq!(tools(&client), [""; 0]);
    assert_eq!(client.tool("echo", "{}").fault().0, -32602);
}
