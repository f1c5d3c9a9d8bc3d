//! When to stop: Ctrl-C, SIGTERM or SIGHUP once to finish what is open, twice to leave it.

use tokio_util::sync::CancellationToken;

/// Told by signals when to stop, and when to stop waiting.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Stop {
    /// The first signal came: finish what is open.
    pub gently: CancellationToken,
    /// The second came: finish nothing more.
    pub now: CancellationToken,
}

/// Begins to listen for signals. Must be called in a tokio runtime.
///
/// # Errors
/// When the system does not let signals be handled.
pub fn stop_signals() -> std::io::Result<Stop> {
    let stop = Stop {
        gently: CancellationToken::new(),
        now: CancellationToken::new(),
    };
    let told = stop.clone();
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        signals.next().await;
        told.gently.cancel();
        signals.next().await;
        told.now.cancel();
    });
    Ok(stop)
}

#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 3]);

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
