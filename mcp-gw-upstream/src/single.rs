//! One connection for everybody: whoever comes first starts it, the rest wait for the same.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mcp_gw_core::BackendError;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::settings::Settings;

type Outcome<T> = Option<Result<Arc<T>, Arc<BackendError>>>;

/// Holds at most one `T`, made on demand by a task that no caller's cancellation ends.
#[derive(Debug)]
pub(crate) struct Single<T>(Mutex<Slot<T>>);

#[derive(Debug)]
enum Slot<T> {
    Empty,
    Starting(watch::Receiver<Outcome<T>>, AbortHandle),
    Ready(Arc<T>),
    Closed,
}

impl<T> Default for Single<T> {
    fn default() -> Self {
        Self(Mutex::new(Slot::Empty))
    }
}

impl<T: Send + Sync + 'static> Single<T> {
    /// The one that is there, or a new one.
    pub(crate) async fn get<F>(
        &self,
        settings: &Settings,
        start: impl FnOnce() -> F,
    ) -> Result<Arc<T>, BackendError>
    where
        F: Future<Output = Result<T, BackendError>> + Send + 'static,
    {
        let waiting = {
            let mut slot = self.lock();
            match &*slot {
                Slot::Ready(ready) => return Ok(Arc::clone(ready)),
                Slot::Closed => return Err(settings.unavailable("it was closed")),
                Slot::Starting(waiting, _) => waiting.clone(),
                Slot::Empty => {
                    let (done, waiting) = watch::channel(None);
                    let future = start();
                    let starting = tokio::spawn(async move {
                        let outcome = future.await.map(Arc::new).map_err(Arc::new);
                        // Kept in the channel also when nobody waits any more.
                        done.send_replace(Some(outcome));
                    });
                    *slot = Slot::Starting(waiting.clone(), starting.abort_handle());
                    waiting
                }
            }
        };
        let outcome = wait(waiting.clone()).await;
        self.settle(&waiting, outcome.as_ref());
        match outcome {
            Some(Ok(ready)) => Ok(ready),
            Some(Err(error)) => Err(again(settings, &error)),
            None => Err(settings.unavailable("connecting to it was broken off")),
        }
    }

    /// The one that is there, if it is.
    pub(crate) fn ready(&self) -> Option<Arc<T>> {
        match &*self.lock() {
            Slot::Ready(ready) => Some(Arc::clone(ready)),
            Slot::Empty | Slot::Starting(..) | Slot::Closed => None,
        }
    }

    /// Lets go of `old`, unless something newer has taken its place. True when it was there.
    pub(crate) fn forget(&self, old: &Arc<T>) -> bool {
        let mut slot = self.lock();
        let is_it = matches!(&*slot, Slot::Ready(ready) if Arc::ptr_eq(ready, old));
        if is_it {
            *slot = Slot::Empty;
        }
        is_it
    }

    /// Lets go of what is there and makes no other any more. What is about to be made is given up:
    /// whoever stops the gateway does not wait for a server that does not come.
    pub(crate) async fn close(&self) -> Option<Arc<T>> {
        let slot = std::mem::replace(&mut *self.lock(), Slot::Closed);
        match slot {
            Slot::Ready(ready) => Some(ready),
            Slot::Starting(waiting, starting) => {
                starting.abort();
                wait(waiting).await?.ok()
            }
            Slot::Empty | Slot::Closed => None,
        }
    }

    fn settle(
        &self,
        waited: &watch::Receiver<Outcome<T>>,
        outcome: Option<&Result<Arc<T>, Arc<BackendError>>>,
    ) {
        let mut slot = self.lock();
        if matches!(&*slot, Slot::Starting(waiting, _) if waiting.same_channel(waited)) {
            *slot = match outcome {
                Some(Ok(ready)) => Slot::Ready(Arc::clone(ready)),
                Some(Err(_)) | None => Slot::Empty,
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slot<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn wait<T>(mut waiting: watch::Receiver<Outcome<T>>) -> Outcome<T> {
    match waiting.wait_for(Option::is_some).await {
        Ok(outcome) => outcome.clone(),
        Err(_) => None,
    }
}

/// The same error for another one who waited for it.
fn again(settings: &Settings, error: &BackendError) -> BackendError {
    match error {
        // Whatever happened to the handshake, the request itself was not sent.
        BackendError::Lost { reason, .. } | BackendError::Unavailable { reason, .. } => {
            settings.unavailable(reason.clone())
        }
        BackendError::Timeout { after, .. } => {
            settings.unavailable(format!("it did not answer the handshake within {after:?}"))
        }
        BackendError::Protocol { reason, .. } => settings.protocol(reason.clone()),
        BackendError::Busy {
            reason,
            retry_after,
            ..
        } => settings.busy(reason.clone(), *retry_after),
        BackendError::Refused { status, .. } => settings.refused(*status),
        BackendError::Rpc(error) => settings.unavailable(format!(
            "it refuses the handshake: {}",
            crate::settings::excerpt(error.as_bytes())
        )),
        other => settings.unavailable(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn one_start_serves_all_and_outlives_whoever_began_it() {
        let (settings, starts) = (Settings::for_test(), Arc::new(AtomicUsize::new(0)));
        let (single, go) = (Single::default(), Arc::new(Notify::new()));
        let start = || {
            let (starts, go) = (Arc::clone(&starts), Arc::clone(&go));
            async move {
                go.notified().await;
                Ok(starts.fetch_add(1, Ordering::SeqCst))
            }
        };
        {
            let mut first = Box::pin(single.get(&settings, start));
            tokio::select! {
                biased;
                _ = &mut first => panic!("nothing has let it go"),
                () = tokio::task::yield_now() => {}
            }
        }
        go.notify_one();
        let (second, third) =
            tokio::join!(single.get(&settings, start), single.get(&settings, start));
        let second = second.unwrap();
        assert!(Arc::ptr_eq(&second, &third.unwrap()));
        assert_eq!(starts.load(Ordering::SeqCst), 1);

        assert!(single.forget(&second));
        assert!(!single.forget(&second));
        go.notify_one();
        assert_eq!(*single.get(&settings, start).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_failure_reaches_all_who_waited_and_nobody_after() {
        let (settings, single) = (Settings::for_test(), Single::<()>::default());
        let fails = || {
            let error = settings.lost("hung up");
            async move { Err(error) }
        };
        let (first, second) =
            tokio::join!(single.get(&settings, fails), single.get(&settings, fails));
        for error in [first.unwrap_err(), second.unwrap_err()] {
            assert!(
                error.is_unsent() && error.to_string().contains("hung up"),
                "{error}"
            );
        }
        single.get(&settings, || async { Ok(()) }).await.unwrap();
    }

    #[tokio::test]
    async fn closing_does_not_wait_for_what_does_not_come() {
        let (settings, single) = (Settings::for_test(), Single::<()>::default());
        let never = || std::future::pending();
        tokio::join!(
            async { assert!(single.get(&settings, never).await.is_err()) },
            async { assert!(single.close().await.is_none()) },
        );
    }

    #[tokio::test]
    async fn nothing_starts_after_it_was_closed() {
        let (settings, single) = (Settings::for_test(), Single::default());
        single.get(&settings, || async { Ok(7) }).await.unwrap();
        assert_eq!(single.close().await.as_deref(), Some(&7));
        assert!(single.get(&settings, || async { Ok(8) }).await.is_err());
        assert_eq!(single.close().await, None);
    }
}
