#![doc = include_str!("../README.md")]

use mcp_gw_core::Gateway;
use mcp_gw_server::{Engine, EngineConfig, LineConfig, serve_lines};
use tokio::io::{AsyncRead, AsyncWrite};

#[doc(hidden)]
pub mod cli;

/// Serves a gateway over a byte stream, one message a line, until the client closes its end. Every
/// revision of MCP that the engine knows is spoken. Two streams become one by [`tokio::io::join`].
///
/// The caller is whom the gateway's authenticator makes of a connection without credentials:
/// without an authenticator, `local`.
///
/// # Errors
/// When the caller is refused, or the stream fails.
pub async fn serve(
    gateway: Gateway,
    io: impl AsyncRead + AsyncWrite + Send + 'static,
) -> std::io::Result<()> {
    let engine = Engine::new(gateway, EngineConfig::default());
    let (reader, writer) = tokio::io::split(io);
    serve_lines(&engine, LineConfig::default(), reader, writer).await
}
