//! What all tests share.

pub(crate) mod client;
pub(crate) mod http;
pub(crate) mod json;
pub(crate) mod process;
pub(crate) mod setup;
pub(crate) mod stdio;
#[path = "../../src/odd_server/vendor.rs"]
pub(crate) mod vendor;

use std::time::Duration;

/// Nothing that a test waits for takes longer, also on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// The servers under test.
pub(crate) const HTTP_BIN: &str = env!("CARGO_BIN_EXE_e2e-http");
pub(crate) const STDIO_BIN: &str = env!("CARGO_BIN_EXE_e2e-stdio");
/// A server behind them that is made with the official SDK.
pub(crate) const RMCP_BIN: &str = env!("CARGO_BIN_EXE_rmcp-server");
/// A server behind them that speaks one revision completely.
pub(crate) const FULL_BIN: &str = env!("CARGO_BIN_EXE_full-server");
/// The odd server behind them.
pub(crate) const ODD_BIN: &str = env!("CARGO_BIN_EXE_odd-server");
