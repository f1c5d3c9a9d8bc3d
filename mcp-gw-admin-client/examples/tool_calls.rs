//! Calls the tools for API7 Enterprise through a gateway, one call a line: `{"tool": …, "arguments": {…}}` on standard input,
//! the result on standard output.
//!
//! `DASHBOARD_URL=… GATEWAY_URL=… TOKEN=… cargo run -p mcp-gw-admin-client --features tools --example tool_calls [--allow-write]`

use std::io::{BufRead as _, Write as _};

use mcp_gw_admin_client::tools::api7::{Access, Api7Config, backend};
use mcp_gw_core::{
    AllowAll, Arguments, Caller, CallerKind, Gateway, Incoming, RawJson, RequestMeta, ToolCall,
    Transport,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Line {
    tool: String,
    #[serde(default)]
    arguments: RawJson,
}

#[tokio::main]
#[expect(
    clippy::disallowed_methods,
    reason = "an example reads its arguments and the environment"
)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Api7Config::from_lookup(|name| std::env::var(name).ok())?;
    if std::env::args().any(|argument| argument == "--allow-write") {
        config.access = Access::ReadWrite;
    }
    let gateway = Gateway::builder()
        .backend(backend(&config)?)
        .policy(AllowAll::new())
        .build()?;
    let mut out = std::io::stdout();
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line: Line = serde_json::from_str(&line?)?;
        let arguments = Arguments::from_raw(line.arguments).unwrap_or_default();
        let caller = Caller::new(CallerKind::Local, "example");
        let meta = RequestMeta::new(number.to_string(), Transport::InProcess);
        let call = ToolCall::new(line.tool, arguments);
        match gateway.call_tool(&Incoming::new(caller, meta), call).await {
            Ok(output) => writeln!(out, "{}", output.as_raw())?,
            Err(error) => writeln!(out, "{}", RawJson::string(&error.public_message()))?,
        }
    }
    Ok(())
}
