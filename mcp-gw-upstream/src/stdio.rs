//! MCP servers as child processes that speak over standard input and output.

mod child;
mod config;
mod ident;
mod life;
mod lines;
mod pipe;
mod process;
mod router;
mod server;

pub use config::StdioServerConfig;
pub use server::StdioServer;
