//! A small MCP server made with the official Rust SDK, with typed tools, on standard streams.
#![expect(clippy::print_stderr, reason = "a test tool")]

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ProgressNotificationParam, RequestMetaObject};
use rmcp::service::RequestContext;
use rmcp::{Json, Peer, RoleServer, ServerHandler, ServiceExt, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, JsonSchema)]
struct Numbers {
    a: i64,
    b: i64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Sum {
    sum: i64,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Steps {
    steps: u32,
}

#[derive(Debug, Clone)]
struct Server {
    tool_router: ToolRouter<Self>,
}

#[tool_router(router = tool_router)]
impl Server {
    /// Adds two numbers.
    #[tool]
    async fn add(
        &self,
        Parameters(Numbers { a, b }): Parameters<Numbers>,
    ) -> Result<Json<Sum>, String> {
        let sum = a.checked_add(b).ok_or("the sum is too large")?;
        Ok(Json(Sum { sum }))
    }

    /// Says how far it is, then ends.
    #[tool]
    async fn count(
        &self,
        meta: RequestMetaObject,
        client: Peer<RoleServer>,
        Parameters(Steps { steps }): Parameters<Steps>,
    ) -> String {
        if let Some(token) = meta.get_progress_token() {
            for step in 1..=steps {
                let progress = ProgressNotificationParam::new(token.clone(), f64::from(step))
                    .with_total(f64::from(steps));
                let _ = client.notify_progress(progress).await;
            }
        }
        format!("counted to {steps}")
    }

    /// Waits until it is given up.
    #[tool]
    async fn wait(&self, context: RequestContext<RoleServer>) -> String {
        eprintln!("called: wait");
        context.ct.cancelled().await;
        eprintln!("given up: wait");
        "given up".to_owned()
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Server {}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server {
        tool_router: Server::tool_router(),
    };
    server
        .serve(rmcp::transport::stdio())
        .await?
        .waiting()
        .await?;
    Ok(())
}
