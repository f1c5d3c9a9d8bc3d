//! What a backend does beside all calls.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Tasks that end with the backend.
///
/// `None` when no more are taken.
pub(crate) struct Chores(Mutex<Option<JoinSet<()>>>);

impl Default for Chores {
    fn default() -> Self {
        Self(Mutex::new(Some(JoinSet::new())))
    }
}

impl Chores {
    /// Begins one, unless all were stopped or there is no runtime.
    pub(crate) fn spawn(&self, chore: impl Future<Output = ()> + Send + 'static) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let mut state = self.lock();
        if let Some(tasks) = &mut *state {
            while tasks.try_join_next().is_some() {}
            tasks.spawn_on(chore, &runtime);
        }
    }

    /// Gives all up, and begins none any more.
    pub(crate) fn stop(&self) {
        let tasks = self.lock().take();
        drop(tasks);
    }

    fn lock(&self) -> MutexGuard<'_, Option<JoinSet<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Chores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chores")
    }
}
