//! What the examples share: a listener, and a line for a shell to call them with.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use mcp_gw_http::serve;
use tokio::net::TcpListener;

/// Serves `app` on the address of the first argument, or on a free port of this machine, until
/// Ctrl-C. Prints how to call `tool`, with `key` if there is one.
#[expect(clippy::disallowed_methods, reason = "an example reads its argument")]
pub(crate) async fn serve_until_ctrl_c(
    app: Router,
    tool: &str,
    arguments: &str,
    key: Option<&str>,
) -> Result<(), Box<dyn std::error::Error>> {
    let address: SocketAddr = match std::env::args().nth(1) {
        Some(address) => address.parse()?,
        None => SocketAddr::from(([127, 0, 0, 1], 0)),
    };
    let listener = TcpListener::bind(address).await?;
    let url = format!("http://{}/mcp", listener.local_addr()?);
    writeln!(
        std::io::stdout(),
        "{url}\n\n{}",
        curl(&url, tool, arguments, key)
    )?;
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    Ok(serve(listener, app, stop, Duration::from_secs(5)).await?)
}

/// A call of MCP revision 2026-07-28: one request, no handshake before it.
fn curl(url: &str, tool: &str, arguments: &str, key: Option<&str>) -> String {
    let key = key.map_or_else(String::new, |key| {
        format!("-H 'Authorization: Bearer {key}' ")
    });
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let params = format!(r#"{{"name":"{tool}","arguments":{arguments},{meta}}}"#);
    format!(
        "curl -s {url} {key}-H 'Content-Type: application/json' \
         -H 'Accept: application/json, text/event-stream' \
         -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/call' -H 'Mcp-Name: {tool}' \
         -d '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{params}}}'"
    )
}
