//! P-15: how a refusal looks where the policy lets callers know which scopes they lack.

use super::*;

fn policy(on_denied: &str) -> String {
    format!(
        "policy: {{ default: allow, on_denied: {on_denied}, scopes: {{ implies: {{ \"files:write\": [\"files:read\"] }}, required: [{{ tools: [progress], scopes: [\"files:read\"] }}, {{ tools: [wait], scopes: [\"files:read\", \"tools:wait\"] }}] }}, rules: [{{ id: never, effect: deny, tools: [grow] }}] }}"
    )
}

#[test]
fn who_lacks_a_scope_is_told_which_and_nobody_else_is() {
    let gateway = full("2025-11-25")
        .with(KEYS)
        .with(&policy("challenge"))
        .over_http();
    let ask = |caller: &str, tool: &str| {
        let endpoint = endpoint_of(&gateway, caller);
        post(&endpoint, tool, &call(&format!("\"{tool}\""), "{}"))
    };
    for (caller, tool, missing) in [
        ("bob", "progress", "files:read"),
        ("bob", "wait", "files:read tools:wait"),
        // What implies a scope counts (B-10).
        ("ann", "wait", "tools:wait"),
    ] {
        let mut reply = ask(caller, tool);
        assert_eq!(reply.status, 403, "{caller} {tool}");
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{missing}\"");
        assert_eq!(reply.header("www-authenticate"), Some(&*challenge));
        let text = reply.text();
        assert_eq!(at(&text, &["error", "code"]), "-31006", "{text}");
        assert_eq!(string(&at(&text, &["error", "data", "scope"])), missing);
    }
    assert_eq!(ask("ann", "progress").status, 200);
    // No scope would help here, so it is not there.
    for tool in ["grow", "no_such"] {
        let mut reply = ask("bob", tool);
        assert_eq!(
            (reply.status, reply.header("www-authenticate")),
            (200, None)
        );
        assert_eq!(at(&reply.text(), &["error", "code"]), "-32602");
    }
    let old = client_of(&gateway, "bob", Era::Legacy);
    assert_eq!(old.tool("progress", "{}").fault().0, -31006);
}

#[test]
fn over_standard_streams_it_is_an_error() {
    let gateway = full("2025-11-25").with(&policy("challenge")).over_stdio();
    for era in ERAS {
        let answer = gateway.client(era).tool("progress", "{}");
        let says = "Insufficient scope: this needs the scope files:read";
        assert_eq!(answer.fault(), (-31006, says.to_owned()), "{era:?}");
    }
}

#[test]
fn hidden_stays_hidden() {
    let gateway = full("2025-11-25")
        .with(KEYS)
        .with(&policy("hide"))
        .over_http();
    let answer = |tool: &str| {
        let endpoint = endpoint_of(&gateway, "bob");
        let mut reply = post(&endpoint, tool, &call(&format!("\"{tool}\""), "{}"));
        reply.headers.remove("date");
        (
            reply.status,
            reply.headers.clone(),
            reply.text().replace(tool, "NAME"),
        )
    };
    let refused = answer("progress");
    assert_eq!(refused, answer("regressp"));
    assert!(!refused.2.contains("files:read"), "{refused:?}");
    assert_eq!(refused.0, 200);
}
