//! MCP servers over streamable HTTP.

mod config;
mod exchange;
mod listen;
mod messages;
mod news;
mod old_stream;
mod resume;
mod server;
mod session;
pub(crate) mod sse;
pub(crate) mod wire;

pub use config::HttpServerConfig;
pub use server::HttpServer;
