//! Every scenario over HTTP.

#[path = "../scenarios/calls.rs"]
mod calls;
#[path = "../scenarios/cancel.rs"]
mod cancel;
#[path = "../scenarios/envelope.rs"]
mod envelope;
#[path = "../scenarios/failures.rs"]
mod failures;
#[path = "../scenarios/listen.rs"]
mod listen;
#[path = "../scenarios/lists.rs"]
mod lists;
#[path = "../scenarios/lossless.rs"]
mod lossless;
#[path = "../scenarios/progress.rs"]
mod progress;
#[path = "../scenarios/stop.rs"]
mod stop;

use crate::support::setup::{Running, Setup};

/// Starts the gateway of this transport.
pub(crate) fn start(setup: Setup) -> Running {
    setup.over_http()
}
