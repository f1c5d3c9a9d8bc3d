//! Calling the tools of a backend, and holding what they answer to what they promise.
#![expect(unreachable_pub, reason = "each test uses the part that it needs")]

use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::testing::call_context;
use mcp_gw_core::{Arguments, Backend, Caller, NoClient, ToolCall};
use serde_json::Value;

/// What a tool answered.
#[derive(Debug)]
pub struct Answered {
    is_error: bool,
    pub text: String,
    structured: Value,
}

impl Answered {
    /// The structured content of an answer that is no error.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(!self.is_error, "{}", self.text);
        self.structured
    }

    /// The text of an answer that is an error.
    #[track_caller]
    pub fn error(self) -> String {
        assert!(self.is_error, "{}", self.text);
        self.text
    }
}

/// Calls a tool. `secret` must not be in what it answers.
pub async fn call(backend: &dyn Backend, tool: &str, arguments: &Value, secret: &str) -> Answered {
    call_within(backend, tool, arguments, secret, None).await
}

/// Calls a tool that has so much time.
pub async fn call_within(
    backend: &dyn Backend,
    tool: &str,
    arguments: &Value,
    secret: &str,
    time: Option<Duration>,
) -> Answered {
    let ctx = call_context(Caller::anonymous(), Arc::new(NoClient::new()));
    if let Some(time) = time {
        ctx.set_end((tokio::time::Instant::now() + time).into_std());
    }
    let arguments = Arguments::from_serialize(arguments).unwrap();
    let output = backend
        .call_tool(&ctx, ToolCall::new(tool, arguments))
        .await;
    let output = output.unwrap();
    assert!(
        !output.as_raw().as_str().contains(secret),
        "the token is shown"
    );
    let tree = output.as_raw().to_value().unwrap();
    let answered = Answered {
        is_error: output.is_error(),
        text: tree["content"][0]["text"].as_str().unwrap().to_owned(),
        structured: tree["structuredContent"].clone(),
    };
    if !answered.is_error {
        hold_to_schema(backend, tool, &answered.structured);
    }
    answered
}

/// What is answered is what was promised.
fn hold_to_schema(backend: &dyn Backend, tool: &str, structured: &Value) {
    let offer = backend.offer_now().unwrap();
    let spec = offer.tools.iter().find(|spec| spec.name() == tool).unwrap();
    let schema = spec.definition().to_value().unwrap()["outputSchema"].clone();
    if let Err(fault) = jsonschema::validate(&schema, structured) {
        panic!("{tool} answers with something else than its schema says: {fault}");
    }
}
