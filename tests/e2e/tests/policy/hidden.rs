//! P-15, A.7, A.8: what is hidden is answered and counted as what does not exist.

use super::surfaces::{ASKED, HALF};
use super::*;

/// Limits that tell items apart: by tool, by server, by cost.
const LIMITS: &str = r"limits:
  calls_per_minute: 1000
  costs: [{ tools: [progress], cost: 3 }]
  rules:
    - { name: by-tool, quota: 2, window: 1h, per: tool, for: { tools: [progress, echo] } }
    - { name: by-server, quota: 1000, window: 1h, per: caller_and_server, for: { servers: [full] } }
  concurrent: [{ name: at-once, max: 9, per: caller_and_server }]
";

/// Status, headers and body of the answer to a modern client, without what time changes.
fn all_of(endpoint: &Endpoint, method: &str, params: &str) -> String {
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}"#;
    let params = params.strip_suffix('}').unwrap();
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params},{meta}}}}}"#);
    let named = ["name", "uri", "taskId"];
    let named = named.map(|key| crate::support::json::member(&format!("{params}}}"), key));
    let named = named.into_iter().flatten().next().map(|name| string(&name));
    let mut headers = JSON.to_vec();
    headers.extend([
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", method),
    ]);
    if let Some(name) = named.as_deref().filter(|_| method != "completion/complete") {
        headers.push(("mcp-name", name));
    }
    let mut reply = endpoint.send("POST", &headers, body.as_bytes());
    let mut lines: Vec<_> = reply
        .headers
        .iter()
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| format!("{name}: {}", without_time(value)))
        .collect();
    lines.sort();
    let text = reply.text();
    format!("{}\n{}\n{text}", reply.status, lines.join("\n"))
}

/// A limit's header without the seconds until it is whole again.
fn without_time(value: &str) -> String {
    let parts = value.split(';');
    let parts = parts.map(|part| match part.strip_prefix("t=") {
        Some(rest) => rest.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => part,
    });
    parts.collect::<Vec<_>>().join(";")
}

#[test]
fn what_is_hidden_is_counted_and_answered_as_what_does_not_exist() {
    const TASK: (&str, &str, &str, &str) = (
        "tasks/get",
        "",
        r#"{"taskId":"progress"}"#,
        r#"{"taskId":"regressp"}"#,
    );
    // One gateway is asked for what is hidden, and one for what is not there.
    let [one, two] = [(), ()].map(|()| full("2026-07-28").with(HALF).with(LIMITS).over_http());
    for gateway in [&one, &two] {
        assert_eq!(tools(&gateway.client(Era::Modern)).len(), 2);
    }
    for (method, _, hidden, unknown) in ASKED.into_iter().chain([TASK]) {
        for n in 0..4 {
            let hidden = all_of(one.endpoint(), method, hidden);
            let unknown = all_of(two.endpoint(), method, unknown);
            let unknown = unknown.replace("regressp", "progress");
            let unknown = unknown.replace("tactis", "static");
            let unknown = unknown.replace("ask_third", "ask_first");
            assert_eq!(hidden, unknown, "{method} {n}");
            assert!(hidden.starts_with("200\n"), "{method} {n}: {hidden}");
            assert!(hidden.contains("\nratelimit"), "{method} {n}: {hidden}");
        }
    }
    // What may be used is counted by tool, at its cost and for its server.
    let client = one.client(Era::Modern);
    for left in [true, true, false] {
        let answer = client.tool("echo", "{}");
        assert_eq!(answer.0.contains("\"result\""), left, "{answer:?}");
    }
}

/// P-6, over both transports: a tool is the server's own to rules by the server's names, whatever it is
/// renamed to.
#[test]
fn rules_by_the_servers_names_mean_what_is_renamed_and_prefixed() {
    const SHAPES: &str = ", tools: { echo: { rename: say }, count: { rename: echo } }";
    let policy = "policy: { rules: [{ id: echoes, effect: allow, tools: [echo], match: upstream_name, servers: [docs] }] }";
    let setup = || {
        Setup::new()
            .odd("docs", Odd::stdio(Era::Modern), &[], SHAPES)
            .odd("more", Odd::stdio(Era::Modern), &[], SHAPES)
            .with(policy)
    };
    for gateway in [setup().over_http(), setup().over_stdio()] {
        let client = gateway.client(Era::Modern);
        assert_eq!(tools(&client), ["docs__say"]);
        assert_eq!(client.tool("docs__say", "{}").text(), "{}");
        for name in [
            "docs__echo",
            "docs__count",
            "more__say",
            "more__echo",
            "echo",
        ] {
            assert_eq!(client.tool(name, "{}").fault().0, -32602, "{name}");
        }
    }
}

/// The same of resources, and of news about them.
#[test]
fn rules_by_the_servers_names_are_about_news_too() {
    let policy = r#"policy:
  rules:
    - { id: touch, effect: allow, tools: [touch], match: upstream_name }
    - { id: watch, effect: allow, resources: ["test://watched"], match: upstream_name, servers: [one] }
"#;
    for revision in ["2025-11-25", "2026-07-28"] {
        let setup = || {
            Setup::new()
                .command("one", FULL_BIN, &[revision])
                .command("two", FULL_BIN, &[revision])
                .with(policy)
        };
        for gateway in [setup().over_http(), setup().over_stdio()] {
            let client = gateway.client(Era::Modern);
            let uris = listed(&client, "resources/list", "resources", "uri");
            assert_eq!(uris, ["one+test://watched"]);
            let wanted = r#"{"notifications":{"resourceSubscriptions":["two+test://watched","one+test://watched","test://watched"]}}"#;
            let mut heard = client.begin("subscriptions/listen", wanted);
            let accepted = at(&heard.next().0, &["params", "notifications"]);
            let expected = r#"{"resourceSubscriptions":["one+test://watched"]}"#;
            assert_eq!(accepted, expected, "{revision}");
            client.tool("two__touch", "{}").result();
            client.tool("one__touch", "{}").result();
            let said = heard.next().0;
            let uri = at(&said, &["params", "uri"]);
            assert_eq!(uri, r#""one+test://watched""#, "{revision}");
        }
    }
}
