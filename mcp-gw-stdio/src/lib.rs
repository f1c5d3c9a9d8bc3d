#![doc = include_str!("../README.md")]

use mcp_gw_core::Gateway;
use mcp_gw_server::{Engine, EngineConfig, LineConfig, serve_lines};
use tokio::io::{AsyncRead, AsyncWrite};

pub use mcp_gw_server::LineConfig as StdioConfig;

#[doc(hidden)]
pub mod cli;

/// Serves a gateway over a pair of byte streams, one message a line, until the client closes its
/// end. Every revision of MCP that the engine knows is spoken.
///
/// The caller is whom the gateway's authenticator makes of a connection without credentials:
/// without an authenticator, `local`.
///
/// # Errors
/// When the caller is refused, or the streams fail.
pub async fn serve(
    gateway: Gateway,
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin + Send + 'static,
) -> std::io::Result<()> {
    let engine = Engine::new(gateway, EngineConfig::default());
    serve_lines(&engine, LineConfig::default(), reader, writer).await
}
