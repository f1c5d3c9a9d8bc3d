//! The clients and the tools of Kong Konnect, and of a Kong of one's own, against scripted APIs.
#![cfg(test)]

#[path = "../support/calling.rs"]
mod calling;
#[path = "../support/listed.rs"]
mod listed;
#[path = "../support/mod.rs"]
mod support;

mod analytics;
mod by_route;
mod client;
mod debugging;
mod definitions;
mod entities;
mod gateway;
mod knowledge;
mod odd_input;
mod requests;
mod rights;
mod tracing;

use std::sync::Arc;

use calling::{Answered, call};
use knowledge::Book;
use mcp_gw_admin_client::http::{BaseUrl, RetryPolicy};
use mcp_gw_admin_client::konnect::{Client, ClientConfig, Region, Uuid};
use mcp_gw_admin_client::tools::konnect::{
    Access, KongConfig, KonnectConfig, Parts, konnect_backend,
};
use mcp_gw_core::{Backend, Secret};
use serde_json::{Value, json};
use support::{Plan, SHORT, Scripted, on};

/// What must never be seen.
const TOKEN: &str = "kpat_hidden-token";

/// Control planes.
const CP: &str = "7f9fd312-a987-4628-b4c5-bb4f4fddd5f7";
const CP2: &str = "00000000-a987-4628-b4c5-bb4f4fddd5f7";

/// Something in a control plane.
const ID: &str = "5f9fd312-a987-4628-b4c5-bb4f4fddd5f7";

fn uuid(text: &str) -> Uuid {
    text.parse().unwrap()
}

/// A client of a scripted Konnect, whose region is called `eu`.
fn konnect(api: &Scripted) -> Client {
    let base: BaseUrl = api.url().parse().unwrap();
    let mut config = ClientConfig::at(base.clone(), base, "eu");
    let policy = RetryPolicy::default().with_pauses(SHORT, SHORT * 5);
    config.regional.retries = policy;
    config.global.retries = policy;
    Client::with_config(config, Secret::new(TOKEN.to_owned())).unwrap()
}

/// Plans a request to the core entities of the first control plane: `GET /services?size=1000`.
fn on_core(line: &str) -> Plan {
    let (method, path) = line.split_once(' ').unwrap();
    on(&format!(
        "{method} /v2/control-planes/{CP}/core-entities{path}"
    ))
}

/// All control planes of a region, in one page.
fn planes(planes: &[(&str, &str)]) -> Plan {
    let data: Vec<Value> = planes
        .iter()
        .map(|(id, name)| json!({"id": id, "name": name, "labels": {"env": "test"}, "config": {"cluster_type": "CLUSTER_TYPE_CONTROL_PLANE"}}))
        .collect();
    let total = data.len();
    let body = json!({"data": data, "meta": {"page": {"number": 1, "size": 100, "total": total}}});
    on("GET /v2/control-planes?page%5Bsize%5D=100&page%5Bnumber%5D=1").body(body.to_string())
}

/// A page of entities that is all there is.
fn data(items: &Value) -> String {
    json!({"data": items, "next": null}).to_string()
}

/// A scripted Konnect, whose region is called `eu`, and its tools.
struct Setup {
    api: Scripted,
    backend: Arc<dyn Backend>,
}

impl Setup {
    async fn new(plans: impl IntoIterator<Item = Plan>) -> Self {
        Self::with(plans, |_| {}).await
    }

    async fn with(
        plans: impl IntoIterator<Item = Plan>,
        change: impl FnOnce(&mut KonnectConfig),
    ) -> Self {
        let api = Scripted::start(plans).await;
        let mut config = KonnectConfig::new(Region::Eu, Secret::new(TOKEN.to_owned()));
        config.base_url = Some(api.url());
        change(&mut config);
        let backend = konnect_backend(&config, Parts::default()).unwrap();
        Self { api, backend }
    }

    async fn call(&self, tool: &str, arguments: Value) -> Answered {
        call(&*self.backend, tool, &arguments, TOKEN).await
    }
}
