//! MCP servers as child processes. The child is this very test program, told by a variable to be
//! a server instead.
#![cfg(test)]
#![cfg(unix)]

mod broken;
#[path = "../support/child.rs"]
mod child;
#[path = "../support/client.rs"]
mod client;
mod lanes;
mod life;
#[path = "../support/odd_json.rs"]
mod odd_json;
mod own;
#[path = "../support/mod.rs"]
mod support;
mod why;
