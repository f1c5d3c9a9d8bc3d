//! A tool of your own behind a gateway, inside an axum service that has routes of its own.
//!
//! `cargo run -p mcp-gw-http --example embed [ADDRESS]`

#[path = "shared/mod.rs"]
mod shared;

use axum::{Router, routing::get};
use mcp_gw_core::schemars::{self, JsonSchema};
use mcp_gw_core::{AllowAll, BuildError, CallContext, Gateway, ToolError, TypedTool};
use mcp_gw_http::{HttpConfig, router};
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
struct GreetArgs {
    /// Whom to greet.
    name: String,
}

struct Greet;

impl TypedTool for Greet {
    const NAME: &'static str = "greet";
    const DESCRIPTION: &'static str = "Greets somebody by name.";
    type Args = GreetArgs;
    type Output = String;

    async fn call(&self, ctx: &CallContext, args: GreetArgs) -> Result<String, ToolError> {
        Ok(format!("Hello {}, says {}.", args.name, ctx.caller().id))
    }
}

/// The service: a route that was there before, and the gateway beside it.
pub(crate) fn app() -> Result<Router, BuildError> {
    let gateway = Gateway::builder()
        .tool(Greet)
        .policy(AllowAll::new())
        .build()?;
    Ok(Router::new()
        .route("/health", get(async || "fine"))
        .nest_service("/mcp", router(gateway, HttpConfig::default())))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    shared::serve_until_ctrl_c(app()?, "greet", r#"{"name":"Ada"}"#, None).await
}
