//! Places that a call lends to others while it waits for its client.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use mcp_gw_core::Lend;

use super::{InFlight, Places, Wants};

/// The places of a call that was admitted. Those that callers share are lent while the call waits for
/// its client, or a few who never answer would keep everybody else out; its caller's own are not.
pub(crate) struct Lending {
    table: InFlight,
    /// What is lent.
    wants: Wants,
    _own: Places,
    state: Mutex<State>,
}

struct State {
    /// Questions that are open.
    asked: usize,
    /// `None` while they are lent.
    places: Option<Places>,
}

impl Lending {
    /// The call was admitted; `is_shared` tells for each want, by its number, whether it is lent.
    pub(crate) fn new(mut places: Places, is_shared: impl FnMut(usize) -> bool) -> Self {
        let shared = places.split(is_shared);
        Self {
            table: shared.table.clone(),
            wants: shared.wants.clone(),
            _own: places,
            state: Mutex::new(State {
                asked: 0,
                places: Some(shared),
            }),
        }
    }

    /// True when they are missing, and nobody is asked any more.
    fn is_due(state: &State) -> bool {
        state.asked == 0 && state.places.is_none()
    }

    fn put(&self, places: Option<Places>) {
        let Some(mut places) = places else { return };
        places.keep();
        let mut state = self.lock();
        // It may have asked again meanwhile: then they go on to others.
        if Self::is_due(&state) {
            state.places = Some(places);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Lend for Lending {
    fn lend(&self) {
        let lent = {
            let mut state = self.lock();
            state.asked += 1;
            state.places.take()
        };
        drop(lent);
    }

    fn take_back(&self) {
        let is_due = {
            let mut state = self.lock();
            state.asked = state.asked.saturating_sub(1);
            Self::is_due(&state)
        };
        if is_due {
            self.put(self.table.take_now(&self.wants));
        }
    }

    async fn taken_back(&self) {
        // Taken out of the condition, which would hold the lock.
        let is_due = Self::is_due(&self.lock());
        if is_due {
            self.put(self.table.take_again(&self.wants).await);
        }
    }
}
