//! Each revision of clients in front of each revision of servers, over both transports on both
//! sides: what a client can do with the server directly, it can do through the gateway. And the same
//! under trouble: servers that restart, sessions and children that come and go.

#![cfg(test)]

mod checks;
mod client;
mod front;
mod restart;
#[cfg(target_os = "linux")]
mod soak;

use client::Client;
use front::{Front, REVISIONS, Upstream};

/// Runs all checks of one upstream: one gateway a front, one client a revision.
async fn run(upstream: Upstream) {
    // More than one test may come first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The checks themselves: without a gateway between, they hold.
    let direct = Front::Direct.start(upstream).await;
    let client = Client::open(&direct, upstream.revision, true).await;
    let pair = format!("directly at {upstream:?}");
    checks::all(&client, &pair).await;
    checks::changes(&client, &pair).await;
    drop((client, direct));
    for front in [Front::Http, Front::Stdio] {
        for revision in REVISIONS {
            let gateway = front.start(upstream).await;
            let pair = format!("{revision} over {front:?} -> {upstream:?}");
            let client = Client::open(&gateway, revision, true).await;
            checks::all(&client, &pair).await;
            checks::changes(&client, &pair).await;
            drop(client);
            let gateway = gateway.again().await;
            let dumb = Client::open(&gateway, revision, false).await;
            checks::without_capabilities(&dumb, &pair).await;
        }
    }
}

macro_rules! upstreams {
    ($($name:ident: $revision:expr, $is_http:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            run(Upstream { revision: $revision, is_http: $is_http }).await;
        }
    )*};
}

upstreams! {
    in_front_of_2025_03_26_over_http: "2025-03-26", true;
    in_front_of_2025_06_18_over_http: "2025-06-18", true;
    in_front_of_2025_11_25_over_http: "2025-11-25", true;
    in_front_of_2026_07_28_over_http: "2026-07-28", true;
    in_front_of_2025_03_26_over_stdio: "2025-03-26", false;
    in_front_of_2025_06_18_over_stdio: "2025-06-18", false;
    in_front_of_2025_11_25_over_stdio: "2025-11-25", false;
    in_front_of_2026_07_28_over_stdio: "2026-07-28", false;
}
