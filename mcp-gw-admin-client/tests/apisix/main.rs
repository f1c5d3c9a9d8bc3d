//! The client and the tools of Apache APISIX against a scripted Admin API and gateway.
#![cfg(test)]

#[path = "../support/calling.rs"]
mod calling;
#[path = "../support/listed.rs"]
mod listed;
#[path = "../support/mod.rs"]
mod support;

mod client;
mod definitions;
mod originals;
mod reading;
mod writing;

use std::sync::Arc;

use calling::{Answered, call};
use mcp_gw_admin_client::tools::apisix::{Access, ApisixConfig, backend};
use mcp_gw_core::{Backend, Secret};
use serde_json::Value;
use support::{Plan, Scripted};

/// What must never be seen.
const KEY: &str = "hidden-admin-key";

/// What all paths of the Admin API begin with.
const PREFIX: &str = "/apisix/admin";

/// An Admin API, and the tools for it.
struct Setup {
    admin: Scripted,
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
        change: impl FnOnce(&mut ApisixConfig),
    ) -> Self {
        let admin = Scripted::start(plans).await;
        let url = format!("{}{PREFIX}", admin.url());
        let mut config = ApisixConfig::new(url, Secret::new(KEY.to_owned()));
        change(&mut config);
        let backend = backend(&config).unwrap();
        Self { admin, backend }
    }

    async fn call(&self, tool: &str, arguments: Value) -> Answered {
        call(&*self.backend, tool, &arguments, KEY).await
    }
}

/// Plans a request to the Admin API: `GET /routes/1`.
fn on(line: &str) -> Plan {
    let (method, path) = line.split_once(' ').unwrap();
    support::on(&format!("{method} {PREFIX}{path}"))
}
