use std::sync::Arc;

use mcp_gw_core::testing::{ManualClock, RecordingAudit};
use mcp_gw_core::{
    Arguments, Caller, Feature, Gateway, Incoming, Outcome, PolicyVersion, RequestMeta,
    ShadowVerdict, ToolCall, Transport,
};

use super::*;

/// An event of a call that was refused.
async fn event() -> AuditEvent {
    let audit = RecordingAudit::new();
    let gateway = Gateway::builder()
        .audit(audit.clone())
        .clock(ManualClock::new())
        .build()
        .unwrap();
    let mut meta = RequestMeta::new("r1", Transport::Http);
    meta.client_addr = Some([127, 0, 0, 1].into());
    let incoming = Incoming::new(Caller::local(), meta);
    let call = ToolCall::new("echo", Arguments::none());
    assert!(gateway.call_tool(&incoming, call).await.is_err());
    audit.events().remove(0)
}

#[tokio::test]
async fn what_an_event_says_is_kept() {
    let mut event = event().await;
    event.duration = Duration::from_micros(17);
    event.protocol_version = Some("2025-06-18");
    event.name_known = true;
    event.server = Some(Arc::from("s"));
    event.effect = Some(Effect::Deny);
    event.feature = Some(Feature::Tool);
    event.reason = Some("deny_rule");
    event.reasons = vec!["a".into(), "b\"".into()];
    event.policy_version = Some(PolicyVersion::new(1));
    event.policy_duration = Some(Duration::from_micros(3));
    event.shadow = Some(ShadowVerdict::new(Effect::Allow, vec![Arc::from("x")]));
    event.errored_rules = vec![Arc::from("c")];
    event.policy_errors = vec!["d".to_owned()];
    event.outcome = Outcome::ToolError;
    event.error = Some("e".to_owned());
    event.backend_asked = true;
    (event.request_bytes, event.response_bytes) = (5, 6);
    event.items = Some((9, 8));
    let some = |text: &str| Some(text.to_owned());
    let details = r#"{"name_known":true,"feature":"tool","policy_us":3,"shadow_effect":"allow","shadow_reasons":["x"],"errored_rules":["c"],"policy_errors":["d"],"items":9,"items_visible":8}"#;
    let wanted = AuditRecord {
        event_id: None,
        time: Time::from_micros(1_000_000_000_000_000),
        duration: Duration::from_micros(17),
        request_id: "r1".to_owned(),
        transport: "http".to_owned(),
        client_addr: some("127.0.0.1"),
        protocol_version: some("2025-06-18"),
        caller_id: "local".to_owned(),
        caller_kind: "local".to_owned(),
        method: "tools/call".to_owned(),
        name: some("echo"),
        server: some("s"),
        effect: some("deny"),
        reason: some("deny_rule"),
        reasons: vec!["a".to_owned(), "b\"".to_owned()],
        policy_version: some("0000000000000001"),
        outcome: "tool_error".to_owned(),
        error: some("e"),
        backend_asked: true,
        request_bytes: 5,
        response_bytes: 6,
        details: RawJson::parse(details).ok(),
    };
    assert_eq!(AuditRecord::of(&event), wanted);
    assert_eq!(
        wanted.clone().tamed(),
        wanted,
        "what is usual stays as it is"
    );
}
