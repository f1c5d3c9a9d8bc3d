//! MCP servers as child processes that speak over standard input and output.

mod child;
mod config;
mod ident;
mod life;
pub(crate) mod lines;
mod pipe;
mod process;
mod router;
mod server;

pub use child::BEFORE_LAST_WORDS;
pub use config::{LogLines, StdioServerConfig};
pub use server::StdioServer;
