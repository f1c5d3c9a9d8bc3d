//! How many calls are under way at a time, and how many wait.

use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::BackendError;
use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError};
use tokio::time::timeout;

/// Lets so many calls through at a time; the next ones wait in the order they came, and beyond a
/// bound none waits.
#[derive(Debug)]
pub(crate) struct Gate {
    server: Arc<str>,
    /// `None` lets everybody through.
    room: Option<Room>,
}

#[derive(Debug)]
struct Room {
    /// Fair: who waits is served before who comes.
    inside: Semaphore,
    max_inside: usize,
    queue: Semaphore,
    max_queue: usize,
    patience: Duration,
}

impl Gate {
    pub(crate) fn new(
        server: Arc<str>,
        max_inside: Option<usize>,
        max_queue: usize,
        patience: Duration,
    ) -> Self {
        let bounded = |count: usize| count.min(Semaphore::MAX_PERMITS);
        let room = max_inside.map(bounded).map(|max_inside| Room {
            inside: Semaphore::new(max_inside),
            max_inside,
            queue: Semaphore::new(bounded(max_queue)),
            max_queue: bounded(max_queue),
            patience,
        });
        Self { server, room }
    }

    /// Waits for room. What it gives is the room; dropping it, or the wait, gives it back.
    ///
    /// # Errors
    /// `Busy` when too many wait already, or it takes too long; `Unavailable` when it was closed.
    pub(crate) async fn enter(&self) -> Result<Option<SemaphorePermit<'_>>, BackendError> {
        let Some(room) = &self.room else {
            return Ok(None);
        };
        match room.inside.try_acquire() {
            Ok(permit) => return Ok(Some(permit)),
            Err(TryAcquireError::Closed) => return Err(self.closed()),
            Err(TryAcquireError::NoPermits) => {}
        }
        let place = match room.queue.try_acquire() {
            Ok(place) => place,
            Err(TryAcquireError::Closed) => return Err(self.closed()),
            Err(TryAcquireError::NoPermits) => {
                return Err(self.busy(format!(
                    "{} calls are under way and {} wait, which is as many as `max_concurrent` and \
                     `max_queue` allow",
                    room.max_inside, room.max_queue
                )));
            }
        };
        let entered = timeout(room.patience, room.inside.acquire()).await;
        drop(place);
        match entered {
            Ok(Ok(permit)) => Ok(Some(permit)),
            Ok(Err(_)) => Err(self.closed()),
            Err(_) => Err(self.busy(format!(
                "the call waited {:?} (`queue_timeout`) while {} others were under way",
                room.patience, room.max_inside
            ))),
        }
    }

    /// How many wait at this moment.
    pub(crate) fn waiting(&self) -> usize {
        self.room.as_ref().map_or(0, |room| {
            let free = room.queue.available_permits();
            room.max_queue.saturating_sub(free)
        })
    }

    /// Lets nobody in any more.
    pub(crate) fn close(&self) {
        if let Some(room) = &self.room {
            room.inside.close();
            room.queue.close();
        }
    }

    fn closed(&self) -> BackendError {
        BackendError::Unavailable {
            server: Arc::clone(&self.server),
            reason: "it was closed".to_owned(),
        }
    }

    fn busy(&self, reason: String) -> BackendError {
        BackendError::Busy {
            server: Arc::clone(&self.server),
            reason,
            retry_after: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt as _;

    use super::*;

    fn gate(max_inside: usize, max_queue: usize) -> Gate {
        Gate::new(
            "s".into(),
            Some(max_inside),
            max_queue,
            Duration::from_secs(5),
        )
    }

    fn says<T: std::fmt::Debug>(outcome: Result<T, BackendError>) -> String {
        let error = outcome.unwrap_err();
        assert!(error.is_unsent());
        error.to_string()
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_queue_nobody_waits_and_in_it_nobody_waits_for_ever() {
        let gate = gate(1, 1);
        let inside = gate.enter().await.unwrap();
        assert_eq!(gate.waiting(), 0);
        let mut waiting = Box::pin(gate.enter());
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(gate.waiting(), 1);
        let refused = gate.enter().await;
        assert!(matches!(refused, Err(BackendError::Busy { .. })));
        let refused = says(refused);
        assert!(
            refused.contains("1 calls are under way and 1 wait"),
            "{refused}"
        );
        let late = says(waiting.await);
        assert!(late.contains("waited 5s"), "{late}");
        assert_eq!(gate.waiting(), 0);
        drop(inside);
        assert!(gate.enter().await.unwrap().is_some());
    }

    #[tokio::test]
    async fn who_came_first_is_let_in_first() {
        let gate = Arc::new(gate(1, 10));
        let order = Arc::new(Mutex::new(Vec::new()));
        let inside = gate.enter().await.unwrap();
        let mut tasks = Vec::new();
        for at in 0..10 {
            let (gate, order) = (Arc::clone(&gate), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let _room = gate.enter().await.unwrap();
                order.lock().unwrap().push(at);
            }));
            tokio::task::yield_now().await;
        }
        drop(inside);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), (0..10).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_no_hole() {
        let gate = gate(1, 1);
        let inside = gate.enter().await.unwrap();
        for _ in 0..3 {
            let mut waiting = Box::pin(gate.enter());
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        let mut waiting = Box::pin(gate.enter());
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(inside);
        // Room that was given to one who is gone at the same moment goes to the next.
        drop(waiting);
        assert!(gate.enter().await.unwrap().is_some());
    }

    #[tokio::test]
    async fn closing_ends_the_wait() {
        let gate = gate(1, 1);
        let _inside = gate.enter().await.unwrap();
        let (waited, ()) = tokio::join!(gate.enter(), async { gate.close() });
        assert!(says(waited).contains("closed"));
    }

    #[tokio::test]
    async fn without_a_bound_everybody_gets_in() {
        let gate = Gate::new("s".into(), None, 0, Duration::ZERO);
        let all = [gate.enter().await, gate.enter().await];
        assert!(all.iter().all(Result::is_ok));
    }
}
