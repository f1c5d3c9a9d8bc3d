//! Debug sessions and alerts: nobody creates one without the user.

use std::sync::Mutex;

use async_trait::async_trait;
use mcp_gw_core::{
    AllowAll, Arguments, CallNotification, Caller, ClientLink, ClientLinkError, Extras, Gateway,
    Incoming, RawJson, RequestMeta, ToolCall, Transport,
};

use super::*;

fn sessions() -> String {
    format!("POST /v2/control-planes/{CP}/debug-sessions")
}

fn created() -> Plan {
    let body = json!({"id": ID, "control_plane_id": CP, "status": "pending"});
    on(&sessions()).status(201).body(body.to_string())
}

fn slow() -> Value {
    json!({"control_plane_id": CP, "http_path": "/slow", "http_latency": ">=1000ms", "session_duration": 60})
}

fn with(mut arguments: Value, name: &str, value: Value) -> Value {
    arguments[name] = value;
    arguments
}

#[tokio::test]
async fn nothing_is_created_before_it_is_confirmed() {
    let setup = Setup::new([]).await;
    // Also with `confirm`, as nothing was shown yet; and what was shown is not something else.
    for arguments in [
        with(slow(), "confirm", json!(true)),
        with(slow(), "http_path", json!("/other")),
    ] {
        let answer = setup.call("CreateDebugSession", arguments).await.ok();
        assert_eq!(answer["created"], false);
        assert!(answer["next"].as_str().unwrap().contains("confirm: true"));
    }
    let other = with(
        with(slow(), "http_path", json!("/third")),
        "confirm",
        json!(true),
    );
    let answer = setup.call("CreateDebugSession", other).await.ok();
    assert_eq!(answer["created"], false);
    setup.api.plan(created());
    let answer = setup
        .call("CreateDebugSession", with(slow(), "confirm", json!(true)))
        .await
        .ok();
    assert_eq!(
        (&answer["created"], &answer["debug_session_id"]),
        (&json!(true), &json!(ID))
    );
    let sent = setup.api.seen()[0].json();
    let rule = r#"http.path == "/slow" && proxy.kong.latency_total_ms >= 1000"#;
    assert_eq!(
        sent,
        json!({"sampling_rule": rule, "duration_seconds": 60, "max_samples": 100})
    );
    assert_eq!(answer["sampling_rule"], rule);
    // An agreement is to one session.
    let again = setup
        .call("CreateDebugSession", with(slow(), "confirm", json!(true)))
        .await
        .ok();
    assert_eq!(again["created"], false);
}

#[tokio::test]
async fn who_may_change_nothing_is_shown_what_it_would_be() {
    let setup = Setup::with([], |config| config.access = Access::Preview).await;
    let answer = setup
        .call("CreateDebugSession", with(slow(), "confirm", json!(true)))
        .await
        .ok();
    assert_eq!(answer["created"], false);
    assert!(answer["next"].as_str().unwrap().contains("read-write"));
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_refused_before_anything_is_asked() {
    let setup = Setup::new([]).await;
    for (name, value) in [
        ("http_status_code", json!(500)),
        ("http_status_code", json!("5xx")),
        ("http_latency", json!("1000")),
        ("http_method", json!("FETCH")),
        ("session_duration", json!(9)),
        ("session_duration", json!(1801)),
        ("max_samples", json!(0)),
        ("service_id", json!("x")),
        ("service_id", json!(format!("{CP2}:{ID}"))),
        ("http_path", json!("slow")),
        ("rule", json!("http.path ^= \"/\"")),
    ] {
        let arguments = with(with(slow(), "confirm", json!(true)), name, value.clone());
        let error = setup.call("CreateDebugSession", arguments).await.error();
        assert!(error.contains(name), "{name} {value}: {error}");
    }
}

#[tokio::test]
async fn failures_of_a_session_say_what_helps() {
    for (status, says) in [
        (403, "Debug Session Creator"),
        (404, "This tool is a stand-in"),
        (409, "Another debug session"),
        (503, "may have been done"),
    ] {
        let setup = Setup::new([on(&sessions()).status(status).body(r#"{"title":"no"}"#)]).await;
        setup.call("CreateDebugSession", slow()).await.ok();
        let error = setup
            .call("CreateDebugSession", with(slow(), "confirm", json!(true)))
            .await
            .error();
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn an_alert_hands_on_what_a_session_is_created_with() {
    let inputs = slow();
    let body = json!({"id": ID, "control_plane_id": CP, "entity_id": CP2, "entity_type": "service", "rule": {"x": 1},
        "debug_session_inputs": inputs});
    let line = format!("GET /v2/alerting/events/{ID}");
    let setup = Setup::new([
        on(&line).body(body.to_string()),
        on(&line).status(404).body("{}"),
    ])
    .await;
    let answer = setup
        .call("FetchAlertingEventDetails", json!({"alert_event_id": ID}))
        .await
        .ok();
    assert_eq!(answer["debug_session_inputs"], inputs);
    assert_eq!(
        (&answer["entity_id"], &answer["event"]["rule"]["x"]),
        (&json!(CP2), &json!(1))
    );
    let taken = setup
        .call("CreateDebugSession", answer["debug_session_inputs"].clone())
        .await
        .ok();
    assert_eq!(taken["created"], false);
    let error = setup
        .call("FetchAlertingEventDetails", json!({"alert_event_id": ID}))
        .await
        .error();
    assert!(error.contains("region eu"), "{error}");
    assert!(
        error.contains("stand-in") && !error.contains("Take ids"),
        "{error}"
    );
}

#[tokio::test]
async fn an_alert_agrees_to_nothing_and_hands_on_what_can_be_used() {
    let line = format!("GET /v2/alerting/events/{ID}");
    let event = |inputs: Value| {
        let body = json!({"id": ID, "control_plane_id": CP, "debug_session_inputs": inputs});
        on(&line).body(body.to_string())
    };
    let setup = Setup::new([
        event(json!({"http_path": "/x", "confirm": true, "http_status_code": 500, "http_latency": null, "hint": "y",
            "session_duration": 5})),
        event(json!("a text")),
    ])
    .await;
    let fetch = json!({"alert_event_id": ID});
    let answer = setup
        .call("FetchAlertingEventDetails", fetch.clone())
        .await
        .ok();
    assert_eq!(
        answer["debug_session_inputs"],
        json!({"control_plane_id": CP, "http_path": "/x", "http_status_code": "500"})
    );
    let next = answer["next"].as_str().unwrap();
    assert!(
        next.contains(": confirm, hint, session_duration."),
        "{next}"
    );
    assert!(answer["event"].get("debug_session_inputs").is_none());
    let taken = setup
        .call("CreateDebugSession", answer["debug_session_inputs"].clone())
        .await
        .ok();
    assert_eq!(taken["created"], false);
    let answer = setup.call("FetchAlertingEventDetails", fetch).await.ok();
    assert!(answer.get("debug_session_inputs").is_none());
    assert_eq!(answer["control_plane_id"], CP);
}

/// A client that can be asked by requests, and answers one thing.
struct Person {
    answer: &'static str,
    asked: Arc<Mutex<Vec<Value>>>,
}

#[async_trait]
impl ClientLink for Person {
    fn notify(&self, _: CallNotification) {}

    fn wants_progress(&self) -> bool {
        false
    }

    fn capabilities(&self) -> Option<RawJson> {
        Some(RawJson::parse(r#"{"elicitation":{}}"#).unwrap())
    }

    fn accepts_input_requests(&self) -> bool {
        false
    }

    async fn request(&self, method: &str, params: RawJson) -> Result<RawJson, ClientLinkError> {
        assert_eq!(method, "elicitation/create");
        self.asked.lock().unwrap().push(params.to_value().unwrap());
        Ok(RawJson::parse(self.answer).unwrap())
    }
}

async fn through_a_gateway(setup: &Setup, incoming: Incoming, call: ToolCall) -> Value {
    let gateway = Gateway::builder()
        .backend(Arc::clone(&setup.backend))
        .policy(AllowAll::new())
        .build()
        .unwrap();
    let output = gateway.call_tool(&incoming, call).await.unwrap();
    output.as_raw().to_value().unwrap()
}

fn tool_call(arguments: &Value) -> ToolCall {
    ToolCall::new(
        "CreateDebugSession",
        Arguments::from_serialize(arguments).unwrap(),
    )
}

#[tokio::test]
async fn a_client_that_asks_its_user_is_asked_whatever_the_model_says() {
    for (answer, is_created) in [
        (r#"{"action":"accept","content":{"create":true}}"#, true),
        (r#"{"action":"accept"}"#, true),
        (r#"{"action":"accept","content":{"create":false}}"#, false),
        (r#"{"action":"accept","content":{"create":"true"}}"#, false),
        (r#"{"action":"decline"}"#, false),
        (r#"{"action":"cancel"}"#, false),
        ("{}", false),
    ] {
        let setup = Setup::new(is_created.then(created)).await;
        let asked = Arc::default();
        let person = Person {
            answer,
            asked: Arc::clone(&asked),
        };
        let meta = RequestMeta::new("r", Transport::InProcess);
        let incoming = Incoming::new(Caller::local(), meta).with_link(Arc::new(person));
        let call = tool_call(&with(slow(), "confirm", json!(true)));
        let output = through_a_gateway(&setup, incoming, call).await;
        assert_eq!(output["isError"] == true, !is_created, "{output}");
        assert_eq!(output["structuredContent"]["created"] == true, is_created);
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), 1);
        let message = asked[0]["message"].as_str().unwrap();
        for part in [CP, "/slow", "60 s", "max_samples: 100"] {
            assert!(message.contains(part), "{message}");
        }
    }
}

#[tokio::test]
async fn a_client_of_today_is_asked_by_a_result_and_agrees_to_what_it_was_shown() {
    let capabilities = RawJson::parse(r#"{"elicitation":{"form":{}}}"#).unwrap();
    let incoming = || {
        let meta = RequestMeta::new("r", Transport::InProcess);
        let meta = meta.with_client(None, Some(capabilities.clone()));
        Incoming::new(Caller::local(), meta)
    };
    let setup = Setup::new([]).await;
    let asks = through_a_gateway(&setup, incoming(), tool_call(&slow())).await;
    assert_eq!(asks["resultType"], "input_required");
    assert_eq!(
        asks["inputRequests"]["confirm"]["method"],
        "elicitation/create"
    );
    let extras = || {
        let raw = |value: &Value| RawJson::from_serialize(value).unwrap();
        let answers = json!({"confirm": {"action": "accept", "content": {"create": true}}});
        Extras::new(
            None,
            vec![
                ("inputResponses".to_owned(), raw(&answers)),
                ("requestState".to_owned(), raw(&asks["requestState"])),
            ],
        )
    };
    // What was agreed to is no agreement to something else.
    let other = tool_call(&with(slow(), "http_path", json!("/"))).with_extras(extras());
    let again = through_a_gateway(&setup, incoming(), other).await;
    assert_eq!(again["resultType"], "input_required");
    setup.api.plan(created());
    let same = tool_call(&slow()).with_extras(extras());
    let output = through_a_gateway(&setup, incoming(), same).await;
    assert_eq!(output["structuredContent"]["created"], true, "{output}");
    // What cannot be created is not asked about.
    let wrong = tool_call(&with(slow(), "session_duration", json!(7)));
    let output = through_a_gateway(&setup, incoming(), wrong).await;
    assert_eq!(output["isError"], true);
}
