//! What the server remembers, and waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::value::RawValue;

/// Whoever waits longer than this waits in vain.
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Era {
    #[default]
    Legacy,
    Modern,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) era: Era,
    /// So many plain tools more, listed in pages.
    pub(crate) many: usize,
    /// The file that holds what the tool `fickle` says of itself; without it there is no such tool.
    pub(crate) fickle: Option<PathBuf>,
    /// It has resources and prompts too, and says in them that this is its name.
    pub(crate) items: Option<String>,
    /// Its lists have things in them that say not what they are called.
    pub(crate) nameless: bool,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) options: Options,
    memory: Mutex<Memory>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Calls by tool.
    pub(crate) calls: BTreeMap<String, u64>,
    /// Ids of requests that were cancelled.
    pub(crate) cancelled: BTreeSet<String>,
    /// Calls of `never` that were given up by the other side.
    pub(crate) given_up: u64,
    /// Steps released, by key.
    pub(crate) released: BTreeMap<String, u64>,
}

impl State {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            memory: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn look<T>(&self, read: impl FnOnce(&Memory) -> T) -> T {
        read(&self.lock())
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Memory) -> T) -> T {
        let value = change(&mut self.lock());
        self.changed.notify_all();
        value
    }

    /// Takes note that a request was cancelled, and says why if it knows.
    pub(crate) fn cancelled(&self, id: &RawValue, reason: Option<&RawValue>) {
        let reason = reason.map_or("nobody knows", RawValue::get);
        eprintln!("cancelled because: {reason}");
        self.change(|memory| memory.cancelled.insert(id.get().to_owned()));
    }

    /// Waits until `is_true`; false when it does not become so.
    pub(crate) fn wait(&self, is_true: impl Fn(&Memory) -> bool) -> bool {
        let (_memory, late) = self
            .changed
            .wait_timeout_while(self.lock(), LIMIT, |memory| !is_true(memory))
            .unwrap_or_else(PoisonError::into_inner);
        !late.timed_out()
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
