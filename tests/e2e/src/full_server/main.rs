//! An MCP server that speaks one revision completely, over standard streams or HTTP, so that each
//! revision of clients can be tried in front of each revision of servers.
//!
//! `full-server REVISION [--http]`; over HTTP it prints its address as one line.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test tool"
)]

mod call;
mod features;
mod http;
mod state;
mod stdio;

use std::sync::Arc;

use state::State;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut args = std::env::args().skip(1);
    let revision = args.next().expect("a revision");
    let is_http = args.any(|arg| arg == "--http");
    let state = Arc::new(State::new(&revision));
    if is_http {
        http::serve(state).await;
    } else {
        stdio::serve(state).await;
    }
}
