//! The contract of an MCP gateway.

mod secret;

pub use secret::Secret;
