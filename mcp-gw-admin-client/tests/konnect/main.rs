//! The clients and the tools of Kong Konnect, and of a Kong of one's own, against scripted APIs.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod client;

use mcp_gw_admin_client::http::{BaseUrl, RetryPolicy};
use mcp_gw_admin_client::konnect::{Client, ClientConfig, Uuid};
use mcp_gw_core::Secret;
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
