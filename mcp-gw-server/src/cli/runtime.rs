//! The threads that both servers run on.

use tokio::runtime::{Builder, Runtime};

/// How many tasks a thread takes from its own queue before it looks into the shared one.
///
/// A thread's own queue has room for 256 tasks. With more connections than that ready at once half of them move to the
/// shared queue, from which by default one is taken in a fifth of a millisecond: they would wait several times as
/// long as the others. To look when nothing is there costs one load.
const SHARED_QUEUE_EVERY: u32 = 3;

/// The runtime of a server: a thread for each core that the process may use.
///
/// # Errors
/// When the system gives no threads.
pub fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .global_queue_interval(SHARED_QUEUE_EVERY)
        .enable_all()
        .build()
}
