//! Sessions that are followed: status, analysis after the end, partial and broken ones, stopping.

use super::*;

fn session(status: &str) -> Plan {
    let body = json!({"id": ID, "control_plane_id": CP, "status": status, "duration_seconds": 60, "max_samples": 100,
        "traces_collected": 2});
    on(&format!("GET {}", path(""))).body(body.to_string())
}

fn path(below: &str) -> String {
    format!("/v2/control-planes/{CP}/debug-sessions/{ID}{below}")
}

fn span(id: &str, parent: &str, name: &str, from: u64, to: u64, plugin: Option<&str>) -> Value {
    let attributes: Vec<Value> = plugin
        .into_iter()
        .map(|id| json!({"key": "proxy.kong.plugin.id", "value": {"stringValue": id}}))
        .collect();
    let at = |ms: u64| ((ms + 1) * 1_000_000).to_string();
    json!({"spanId": id, "parentSpanId": parent, "name": name, "startTimeUnixNano": at(from), "endTimeUnixNano": at(to),
        "attributes": attributes})
}

/// A request whose plugin waits for its identity provider.
fn trace(id: &str) -> Value {
    let spans = [
        span("1", "", "kong", 0, 1000, None),
        span("2", "1", "kong.phase.access", 10, 900, None),
        span(
            "3",
            "2",
            "kong.access.plugin.openid-connect",
            20,
            800,
            Some(CP2),
        ),
        span("4", "3", "kong.io.http.request", 30, 780, None),
        span("5", "1", "kong.read_headers_from_upstream", 900, 990, None),
    ];
    json!({"trace_id": id, "duration_ms": 1000, "otlp": {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}})
}

fn traces(items: &[Value]) -> Plan {
    let body = json!({"data": items, "meta": {"page": {"size": 25, "next": null}}});
    on(&format!("GET {}?page%5Bsize%5D=25", path("/traces"))).body(body.to_string())
}

fn ask(operation: &str) -> Value {
    json!({"control_plane_id": CP, "debug_session_id": ID, "operation": operation})
}

#[tokio::test]
async fn a_status_says_how_long_to_wait_or_what_to_do() {
    for (status, has_ended, says) in [
        ("pending", false, "Wait 10 s"),
        ("in_progress", false, "Wait 10 s"),
        ("completed", true, "summarize_session"),
        ("timed_out", true, "by then"),
        ("cancelled", true, "by then"),
        ("something new", false, "Wait"),
    ] {
        let setup = Setup::new([session(status)]).await;
        let answer = setup
            .call("ActiveTracingSession", ask("fetch_status"))
            .await
            .ok();
        assert_eq!(
            (&answer["status"], &answer["has_ended"]),
            (&json!(status), &json!(has_ended))
        );
        assert_eq!(answer["wait_seconds"].is_null(), has_ended);
        assert!(answer["next"].as_str().unwrap().contains(says), "{answer}");
    }
}

#[tokio::test]
async fn traces_are_not_looked_at_before_the_end() {
    for operation in ["summarize_session", "compact_traces", "compressed_traces"] {
        let setup = Setup::new([session("in_progress")]).await;
        let error = setup
            .call("ActiveTracingSession", ask(operation))
            .await
            .error();
        assert!(error.contains("every 10 s"), "{error}");
    }
}

#[tokio::test]
async fn the_plugin_that_waits_is_the_bottleneck() {
    let setup = Setup::new([session("completed"), traces(&[trace("a"), trace("b")])]).await;
    let answered = setup
        .call("ActiveTracingSession", ask("summarize_session"))
        .await;
    assert!(
        answered.text.contains("bottleneck plugin openid-connect"),
        "{}",
        answered.text
    );
    let answer = answered.ok();
    let first = &answer["summary"]["bottlenecks"][0];
    assert_eq!(
        (&first["plugin"], &first["plugin_id"]),
        (&json!("openid-connect"), &json!(CP2))
    );
    assert_eq!(answer["summary"]["latency_ms"]["p50"], 1000.0);
    assert_eq!(answer["remarks"], Value::Null);
}

#[tokio::test]
async fn all_pages_are_read_and_a_part_is_said_to_be_one() {
    let first = json!({"data": [trace("a")], "meta": {"page": {"next": format!("{}?page[after]=c", path("/traces"))}}});
    let lines = [
        format!("GET {}?page%5Bsize%5D=25", path("/traces")),
        format!(
            "GET {}?page%5Bsize%5D=25&page%5Bafter%5D=c",
            path("/traces")
        ),
    ];
    let rest = json!({"data": [trace("b"), null, {"trace_id": "c", "otlp": null}], "meta": {"page": {"next": null}}});
    let setup = Setup::new([
        session("cancelled"),
        on(&lines[0]).body(first.to_string()),
        on(&lines[1]).body(rest.to_string()),
        session("timed_out"),
        on(&lines[0]).body(first.to_string()),
        on(&lines[1]).status(500).body("{}"),
    ])
    .await;
    let answer = setup
        .call("ActiveTracingSession", ask("summarize_session"))
        .await
        .ok();
    assert!(
        answer["summary"]["traces"].as_u64().unwrap() >= 2,
        "{answer}"
    );
    assert!(
        answer["remarks"][0]
            .as_str()
            .unwrap()
            .contains("was cancelled")
    );
    let answer = setup
        .call("ActiveTracingSession", ask("summarize_session"))
        .await
        .ok();
    assert_eq!(answer["summary"]["traces"], 1);
    assert!(
        answer["remarks"].to_string().contains("broke off after 1"),
        "{answer}"
    );
}

#[tokio::test]
async fn compact_traces_are_filtered_by_phase_and_plugin_under_both_names() {
    for (name, value, spans) in [
        ("phase", json!("egress"), 2),
        ("plugin_filter", json!(CP2), 4),
        ("phase_filter", json!(CP2), 4),
        ("phase", Value::Null, 5),
    ] {
        let setup = Setup::new([session("completed"), traces(&[trace("a")])]).await;
        let mut arguments = ask("compact_traces");
        if !value.is_null() {
            arguments[name] = value;
        }
        let answer = setup.call("ActiveTracingSession", arguments).await.ok();
        let shown = answer["compact"]["traces"][0]["spans"].as_array().unwrap();
        assert_eq!(shown.len(), spans, "{name}: {answer}");
    }
}

#[tokio::test]
async fn traces_of_one_form_are_one_and_no_answer_is_too_long() {
    let many: Vec<Value> = (0..25).map(|n| trace(&n.to_string())).collect();
    let plans = || [session("completed"), traces(&many)];
    let setup = Setup::with(plans().into_iter().chain(plans()), |config| {
        config.answer_bytes = 4000;
    })
    .await;
    let answer = setup
        .call("ActiveTracingSession", ask("compressed_traces"))
        .await
        .ok();
    assert_eq!(
        (
            &answer["compressed"]["forms"],
            &answer["compressed"]["distinct"][0]["count"]
        ),
        (&json!(1), &json!(25))
    );
    let answer = setup
        .call("ActiveTracingSession", ask("compact_traces"))
        .await
        .ok();
    assert!(
        answer.to_string().len() < 6000,
        "{}",
        answer.to_string().len()
    );
    assert!(answer["compact"]["left_out"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_session_without_traces_says_what_to_do() {
    let setup = Setup::new([session("completed"), traces(&[])]).await;
    let answer = setup
        .call("ActiveTracingSession", ask("summarize_session"))
        .await
        .ok();
    assert!(
        answer["next"].as_str().unwrap().contains("fewer filters"),
        "{answer}"
    );
}

#[tokio::test]
async fn stopping_is_a_write() {
    let stop = || on(&format!("POST {}", path("/stop")));
    let setup = Setup::new([
        stop().body(json!({"id": ID, "status": "cancelled"}).to_string()),
        stop().status(409).body(r#"{"title":"Conflict"}"#),
    ])
    .await;
    let answer = setup
        .call("ActiveTracingSession", ask("stop_session"))
        .await
        .ok();
    assert_eq!(answer["status"], "cancelled");
    let error = setup
        .call("ActiveTracingSession", ask("stop_session"))
        .await
        .error();
    assert!(error.contains("has ended already"), "{error}");
    for access in [Access::ReadOnly, Access::Preview] {
        let setup = Setup::with([], |config| config.access = access).await;
        let error = setup
            .call("ActiveTracingSession", ask("stop_session"))
            .await
            .error();
        assert!(error.contains("Nothing was stopped"), "{error}");
    }
}

#[tokio::test]
async fn filters_that_contradict_or_do_nothing_are_refused() {
    let setup = Setup::new([]).await;
    for (operation, more, says) in [
        (
            "fetch_status",
            json!({"phase": "ingress"}),
            "`phase` is not for",
        ),
        (
            "summarize_session",
            json!({"plugin_filter": CP}),
            "`plugin_filter` is not for",
        ),
        ("compact_traces", json!({"phase": "access"}), "ingress"),
        ("compact_traces", json!({"plugin_filter": "jwt"}), "UUID"),
        (
            "compact_traces",
            json!({"plugin_filter": CP, "phase_filter": ID}),
            "another plugin",
        ),
    ] {
        let mut arguments = ask(operation);
        arguments
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let error = setup.call("ActiveTracingSession", arguments).await.error();
        assert!(error.contains(says), "{error}");
    }
}
