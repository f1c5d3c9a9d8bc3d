//! Calls the tools for API7 Enterprise or Apache APISIX through a gateway, one call a line: `{"tool": …, "arguments": {…}}` on
//! standard input, the result on standard output.
//!
//! `DASHBOARD_URL=… GATEWAY_URL=… TOKEN=… cargo run -p mcp-gw-admin-client --features tools --example tool_calls [--allow-write]`
//! `APISIX_ADMIN_KEY=… cargo run -p mcp-gw-admin-client --features tools --example tool_calls -- --apisix [--allow-write]`

use std::io::{BufRead as _, Write as _};
use std::sync::Arc;

use mcp_gw_admin_client::tools::api7::{self, Access, Api7Config};
use mcp_gw_admin_client::tools::apisix::{self, ApisixConfig};
use mcp_gw_core::{
    AllowAll, Arguments, Backend, Caller, CallerKind, Gateway, Incoming, RawJson, RequestMeta,
    ToolCall, Transport,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Line {
    tool: String,
    #[serde(default)]
    arguments: RawJson,
}

#[expect(
    clippy::disallowed_methods,
    reason = "an example reads its arguments and the environment"
)]
fn backend() -> Result<Arc<dyn Backend>, Box<dyn std::error::Error>> {
    let look_up = |name: &str| std::env::var(name).ok();
    let is_given = |flag: &str| std::env::args().any(|argument| argument == flag);
    let access = if is_given("--allow-write") {
        Access::ReadWrite
    } else {
        Access::default()
    };
    if is_given("--apisix") {
        let config = ApisixConfig::from_lookup(look_up)?.with_access(access);
        return Ok(apisix::backend(&config)?);
    }
    let config = Api7Config::from_lookup(look_up)?.with_access(access);
    Ok(api7::backend(&config)?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let gateway = Gateway::builder()
        .backend(backend()?)
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
