//! APIs as tools: what callers get of them, over a server that keeps every byte.
#![cfg(test)]

mod audited;
mod cached;
mod charset;
mod large;
mod operations;
#[path = "../egress/raw.rs"]
#[expect(dead_code, reason = "the guard's tests need more of it")]
mod raw;
mod resilience;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "tests of transports need more of it")]
mod support;
mod tool;

use std::collections::HashMap;
use std::sync::Arc;

use mcp_gw_core::testing::{RecordingLink, call_context};
use mcp_gw_core::{
    Backend as _, CallContext, Caller, CallerKind, CallerName, Clock, Secret, SystemClock,
};
use mcp_gw_upstream::egress::{ApiRules, Base, BaseRules, Client};
use mcp_gw_upstream::rest::{
    Api, ApiConfig, ApiGateway, ApiGatewayConfig, Credential, Keeper, KeptAnswers, KeptConfig,
};
use raw::Raw;
use serde_json::{Value, json};

use crate::support::call;

/// The tool over one API, which is this server.
struct Setup {
    server: Raw,
    tool: ApiGateway,
    base: String,
}

fn rules(server: &Raw) -> ApiRules {
    let rules = BaseRules::new().with_http(true).with_ip(true);
    let base = Base::parse(&format!("{}/v1", server.url()), rules).unwrap();
    ApiRules::new(base).with_allow_private(true)
}

fn keeper(client: &Client, token: Option<&str>) -> Keeper {
    let credential = token.map(|token| Credential::Bearer(Secret::new(token.to_owned())));
    Keeper::new(credential.as_ref(), client, Arc::new(SystemClock::new())).unwrap()
}

fn api(config: ApiConfig, token: Option<&str>, clock: Arc<dyn Clock>) -> Api {
    let client = Client::new();
    let own = keeper(&client, token);
    let anns = HashMap::from([(
        CallerName::new("ann"),
        keeper(&client, Some("token-of-ann")),
    )]);
    Api::new(config, client, own, anns, clock)
}

impl Setup {
    fn of(server: Raw, change: impl FnOnce(ApiConfig) -> ApiConfig) -> Self {
        Self::at(Arc::new(SystemClock::new()), server, change)
    }

    fn at(clock: Arc<dyn Clock>, server: Raw, change: impl FnOnce(ApiConfig) -> ApiConfig) -> Self {
        let config = change(ApiConfig::new("things", rules(&server)));
        let api = api(config, Some("token-of-all"), Arc::clone(&clock));
        let kept = KeptAnswers::new(KeptConfig::default(), clock);
        let base = api.base();
        let tool = ApiGateway::new(ApiGatewayConfig::default(), [api], Some(kept)).unwrap();
        Self { server, tool, base }
    }

    /// The whole result of a call.
    async fn result(&self, ctx: &CallContext, mut arguments: Value) -> Value {
        if arguments["api"].is_null() {
            arguments["api"] = json!(self.base);
        }
        let call = call("api_gateway", &arguments.to_string());
        let output = self.tool.call_tool(ctx, call).await.unwrap();
        output.as_raw().to_value().unwrap()
    }

    /// `structuredContent` of a call.
    async fn ask(&self, arguments: Value) -> Value {
        self.result(&of("bob"), arguments).await["structuredContent"].clone()
    }

    async fn get(&self, endpoint: &str) -> Value {
        self.ask(json!({"endpoint": endpoint, "method": "GET"}))
            .await
    }
}

fn of(caller: &str) -> CallContext {
    let caller = Caller::new(CallerKind::ApiKey, caller);
    call_context(caller, Arc::new(RecordingLink::new()))
}
