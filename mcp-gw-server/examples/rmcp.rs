//! A gateway in a program that serves MCP with the official SDK, over standard input and output.
//!
//! ```sh
//! cargo run -p mcp-gw-server --example rmcp --features rmcp
//! ```

use mcp_gw_core::schemars::{self, JsonSchema};
use mcp_gw_core::{AllowAll, CallContext, Credentials, Gateway, ToolError, Transport, TypedTool};
use mcp_gw_server::rmcp::GatewayService;
use mcp_gw_server::{Engine, EngineConfig};
use rmcp::ServiceExt as _;
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

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let gateway = Gateway::builder()
        .tool(Greet)
        .policy(AllowAll::new())
        .build()?;
    let service = GatewayService::new(Engine::new(gateway, EngineConfig::default()))
        .with_credentials(|_| Credentials::none(Transport::Stdio));
    let streams = (tokio::io::stdin(), tokio::io::stdout());
    service.serve(streams).await?.waiting().await?;
    Ok(())
}
