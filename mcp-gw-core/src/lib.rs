//! The contract of an MCP gateway.
