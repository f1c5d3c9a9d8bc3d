//! The tools against a scripted dashboard and gateway.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod definitions;
mod gateway;
mod metrics;
mod originals;
mod reading;
mod risk;
mod writing;

use std::sync::Arc;

use mcp_gw_admin_client::tools::api7::{Access, Api7Config, backend_with_clock};
use mcp_gw_core::testing::{ManualClock, call_context};
use mcp_gw_core::{Arguments, Backend, Caller, NoClient, RawJson, Secret, ToolCall};
use serde_json::Value;
use support::{Plan, Scripted};

/// What must never be seen.
const TOKEN: &str = "a7ee-hidden-token";

/// A dashboard, and the tools for it.
struct Setup {
    dashboard: Scripted,
    backend: Arc<dyn Backend>,
}

/// What a tool answered.
#[derive(Debug)]
struct Answered {
    is_error: bool,
    text: String,
    structured: Value,
}

impl Answered {
    /// The structured content of an answer that is no error.
    #[track_caller]
    fn ok(self) -> Value {
        assert!(!self.is_error, "{}", self.text);
        self.structured
    }

    /// The text of an answer that is an error.
    #[track_caller]
    fn error(self) -> String {
        assert!(self.is_error, "{}", self.text);
        self.text
    }
}

impl Setup {
    async fn new(plans: impl IntoIterator<Item = Plan>) -> Self {
        Self::with(plans, |_| {}).await
    }

    /// What writes is allowed to.
    async fn writing(plans: impl IntoIterator<Item = Plan>) -> Self {
        Self::with(plans, |config| config.access = Access::ReadWrite).await
    }

    async fn with(
        plans: impl IntoIterator<Item = Plan>,
        change: impl FnOnce(&mut Api7Config),
    ) -> Self {
        let dashboard = Scripted::start(plans).await;
        let mut config = Api7Config::new(dashboard.url(), Secret::new(TOKEN.to_owned()));
        change(&mut config);
        // It stands at 2001-09-09T01:46:40Z.
        let clock = Arc::new(ManualClock::new());
        let backend = backend_with_clock(&config, clock).unwrap();
        Self { dashboard, backend }
    }

    async fn call(&self, tool: &str, arguments: Value) -> Answered {
        let ctx = call_context(Caller::anonymous(), Arc::new(NoClient::new()));
        let arguments = Arguments::from_serialize(&arguments).unwrap();
        let output = self
            .backend
            .call_tool(&ctx, ToolCall::new(tool, arguments))
            .await;
        let output = output.unwrap();
        assert!(
            !output.as_raw().as_str().contains(TOKEN),
            "the token is shown"
        );
        let tree = output.as_raw().to_value().unwrap();
        let answered = Answered {
            is_error: output.is_error(),
            text: tree["content"][0]["text"].as_str().unwrap().to_owned(),
            structured: tree["structuredContent"].clone(),
        };
        if !answered.is_error {
            self.hold_to_schema(tool, &answered.structured);
        }
        answered
    }

    /// What is answered is what was promised.
    fn hold_to_schema(&self, tool: &str, structured: &Value) {
        let offer = self.backend.offer_now().unwrap();
        let spec = offer.tools.iter().find(|spec| spec.name() == tool).unwrap();
        let schema = spec.definition().to_value().unwrap()["outputSchema"].clone();
        if let Err(fault) = jsonschema::validate(&schema, structured) {
            panic!("{tool} answers with something else than its schema says: {fault}");
        }
    }
}

fn raw(value: &Value) -> RawJson {
    RawJson::from_serialize(value).unwrap()
}
