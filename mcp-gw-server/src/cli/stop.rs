//! When to stop: Ctrl-C or SIGTERM once to finish what is open, twice to leave it. SIGHUP does the
//! same, or asks to read the configuration again.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Told by signals when to stop, and when to stop waiting.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Stop {
    /// The first signal came: finish what is open.
    pub gently: CancellationToken,
    /// The second came: finish nothing more.
    pub now: CancellationToken,
    /// Notified when the configuration is to be read again.
    pub reload: Arc<Notify>,
}

/// What SIGHUP asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hangup {
    /// To stop, as SIGTERM does: there is no file that could be read again.
    Stops,
    /// To read the configuration again; see [`Stop::reload`].
    Reloads,
}

/// Begins to listen for signals. Must be called in a tokio runtime.
///
/// # Errors
/// When the system does not let signals be handled.
pub fn stop_signals(hangup: Hangup) -> std::io::Result<Stop> {
    let stop = Stop {
        gently: CancellationToken::new(),
        now: CancellationToken::new(),
        reload: Arc::new(Notify::new()),
    };
    let told = stop.clone();
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        for then in [&told.gently, &told.now] {
            while signals.next().await == Signal::Hangup && hangup == Hangup::Reloads {
                told.reload.notify_one();
            }
            then.cancel();
        }
    });
    Ok(stop)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Signal {
    End,
    #[cfg_attr(not(unix), expect(dead_code, reason = "there is no such signal"))]
    Hangup,
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

    async fn next(&mut self) -> Signal {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => Signal::End,
            _ = terminate.recv() => Signal::End,
            _ = hangup.recv() => Signal::Hangup,
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

    async fn next(&mut self) -> Signal {
        let _ = tokio::signal::ctrl_c().await;
        Signal::End
    }
}
