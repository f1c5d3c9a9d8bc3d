//! An MCP server that speaks one revision completely, over standard streams or HTTP, so that each
//! revision of clients can be tried in front of each revision of servers.
//!
//! `full-server REVISION [--http[=PORT]]`; over HTTP it prints its address as one line.
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
    let port = args.find_map(|arg| {
        let port = arg.strip_prefix("--http")?;
        Some(
            port.strip_prefix('=')
                .map_or(0, |port| port.parse().expect("a port")),
        )
    });
    let state = Arc::new(State::new(&revision));
    match port {
        Some(port) => http::serve(state, port).await,
        None => stdio::serve(state).await,
    }
}
