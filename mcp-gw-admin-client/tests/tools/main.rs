//! The tools against a scripted dashboard and gateway.
#![cfg(test)]

#[path = "../support/calling.rs"]
mod calling;
#[path = "../support/listed.rs"]
mod listed;
#[path = "../support/mod.rs"]
mod support;

mod definitions;
mod gateway;
mod metrics;
mod originals;
mod reading;
mod risk;
mod secrets;
mod time;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use calling::{Answered, call, call_within};
use mcp_gw_admin_client::tools::api7::{Access, Api7Config, backend_with_clock};
use mcp_gw_core::testing::ManualClock;
use mcp_gw_core::{Backend, RawJson, Secret};
use serde_json::Value;
use support::{Plan, Scripted};

/// What must never be seen.
const TOKEN: &str = "a7ee-hidden-token";

/// A dashboard, and the tools for it.
struct Setup {
    dashboard: Scripted,
    backend: Arc<dyn Backend>,
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

    async fn call_within(&self, time: Duration, tool: &str, arguments: Value) -> Answered {
        call_within(&*self.backend, tool, &arguments, TOKEN, Some(time)).await
    }

    async fn call(&self, tool: &str, arguments: Value) -> Answered {
        call(&*self.backend, tool, &arguments, TOKEN).await
    }
}

fn raw(value: &Value) -> RawJson {
    RawJson::from_serialize(value).unwrap()
}
