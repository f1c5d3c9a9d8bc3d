//! Requests that wait for their answer, by id.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mcp_gw_core::{CallNotification, ClientLink, RawJson};
use tokio::sync::{Notify, oneshot};

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Reply {
    Result(RawJson),
    Error(RawJson),
    /// There was an answer, longer than allowed.
    TooLarge,
    /// There was an answer that could not be read.
    Malformed(String),
    /// There will be none.
    Dead(String),
}

/// Where the answer of one request goes.
pub(crate) struct Waiting {
    pub(crate) answer: oneshot::Sender<Reply>,
    /// Where its progress goes, when somebody asked for it.
    pub(crate) link: Option<Arc<dyn ClientLink>>,
    /// Told of progress, so that whoever waits goes on waiting.
    pub(crate) alive: Arc<Notify>,
}

/// The requests to one process.
#[derive(Default)]
pub(crate) struct Pending(Mutex<Table>);

#[derive(Default)]
struct Table {
    waiting: HashMap<i64, Waiting>,
    dead: Option<String>,
}

impl Pending {
    /// Adds a request.
    ///
    /// # Errors
    /// Why the process is of no use, when it is of none.
    pub(crate) fn add(&self, id: i64, waiting: Waiting) -> Result<(), String> {
        let mut table = self.lock();
        if let Some(reason) = &table.dead {
            return Err(reason.clone());
        }
        table.waiting.insert(id, waiting);
        Ok(())
    }

    /// Gives a request up. True when it still waited.
    pub(crate) fn remove(&self, id: i64) -> bool {
        self.lock().waiting.remove(&id).is_some()
    }

    /// Hands an answer to its request. False when there is none, or not any more.
    pub(crate) fn answer(&self, id: i64, reply: Reply) -> bool {
        let waiting = self.lock().waiting.remove(&id);
        waiting.is_some_and(|waiting| waiting.answer.send(reply).is_ok())
    }

    /// Hands progress to its request.
    pub(crate) fn progress(&self, id: i64, params: RawJson) {
        let found = self.lock().waiting.get(&id).and_then(|waiting| {
            let link = waiting.link.as_ref().map(Arc::clone)?;
            Some((link, Arc::clone(&waiting.alive)))
        });
        if let Some((link, alive)) = found {
            link.notify(CallNotification::Progress(params));
            alive.notify_one();
        }
    }

    /// Fails everything that waits and everything that will be added.
    pub(crate) fn close(&self, reason: &str) {
        let mut table = self.lock();
        table.dead.get_or_insert_with(|| reason.to_owned());
        let waiting: Vec<Waiting> = table.waiting.drain().map(|(_, waiting)| waiting).collect();
        drop(table);
        for waiting in waiting {
            let _ = waiting.answer.send(Reply::Dead(reason.to_owned()));
        }
    }

    /// Why the process is of no use any more, when that is so.
    pub(crate) fn dead(&self) -> Option<String> {
        self.lock().dead.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("waiting", &self.lock().waiting.len())
            .finish_non_exhaustive()
    }
}
