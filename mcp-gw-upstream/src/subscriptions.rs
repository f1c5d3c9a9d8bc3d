//! Who is subscribed to what: counted, so that a server is asked once for each resource, and known,
//! so that it can be asked again when it was met anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mcp_gw_core::BackendError;

/// The most resources that may be watched at one server.
const MOST: usize = 10_000;

/// The resources that somebody watches, and at what each of them is watched.
#[derive(Debug)]
pub(crate) struct Subscriptions<T = ()>(Mutex<BTreeMap<Arc<str>, Arc<Entry<T>>>>);

#[derive(Debug)]
struct Entry<T> {
    /// Held while the server is asked, so that one asks and the others wait for what comes of it.
    turn: tokio::sync::Mutex<()>,
    held: Mutex<Option<Held<T>>>,
}

#[derive(Debug, Clone)]
struct Held<T> {
    count: usize,
    at: T,
}

impl<T> Default for Subscriptions<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Subscriptions<T> {
    /// Adds a subscriber of `uri` at `server`; the first one calls `ask`, and is none if that fails
    /// or is given up.
    pub(crate) async fn add(
        &self,
        server: &str,
        uri: &str,
        ask: impl AsyncFnOnce() -> Result<T, BackendError>,
    ) -> Result<(), BackendError> {
        let visit = self.visit(uri).ok_or_else(|| BackendError::Internal {
            server: server.into(),
            source: format!("more than {MOST} resources are subscribed to").into(),
        })?;
        let _turn = visit.entry.turn.lock().await;
        if let Some(held) = &mut *visit.entry.held() {
            held.count += 1;
            return Ok(());
        }
        let at = ask().await?;
        *visit.entry.held() = Some(Held { count: 1, at });
        Ok(())
    }

    /// Removes a subscriber of `uri`, if there is one; the last one calls `ask`, and is gone whatever comes of that.
    pub(crate) async fn remove(
        &self,
        uri: &str,
        ask: impl AsyncFnOnce(T) -> Result<(), BackendError>,
    ) -> Result<(), BackendError> {
        let Some(visit) = self.visit(uri) else {
            return Ok(());
        };
        let _turn = visit.entry.turn.lock().await;
        let at = {
            let mut held = visit.entry.held();
            match &mut *held {
                None => return Ok(()),
                Some(Held { count: 1, at }) => {
                    let at = at.clone();
                    *held = None;
                    at
                }
                Some(held) => {
                    held.count -= 1;
                    return Ok(());
                }
            }
        };
        ask(at).await
    }

    /// Has `uri` watched somewhere else, if it is still watched; its subscribers stay.
    pub(crate) async fn relocate(
        &self,
        uri: &str,
        ask: impl AsyncFnOnce(T) -> Result<T, BackendError>,
    ) -> Result<(), BackendError> {
        let Some(visit) = self.visit(uri) else {
            return Ok(());
        };
        let _turn = visit.entry.turn.lock().await;
        let Some(at) = visit.entry.held().as_ref().map(|held| held.at.clone()) else {
            return Ok(());
        };
        let at = ask(at).await?;
        if let Some(held) = &mut *visit.entry.held() {
            held.at = at;
        }
        Ok(())
    }

    /// At what `uri` is watched.
    pub(crate) fn at(&self, uri: &str) -> Option<T> {
        let entry = self.lock().get(uri).map(Arc::clone)?;
        let held = entry.held();
        held.as_ref().map(|held| held.at.clone())
    }

    /// True when nobody watches anything, or is about to.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Changes where everything is watched.
    pub(crate) fn change_all(&self, change: impl Fn(&mut T)) {
        for entry in self.lock().values() {
            if let Some(held) = &mut *entry.held() {
                change(&mut held.at);
            }
        }
    }

    /// Everything that is watched.
    pub(crate) fn all(&self) -> Vec<(Arc<str>, T)> {
        let all = self.lock();
        all.iter()
            .filter_map(|(uri, entry)| {
                let at = entry.held().as_ref().map(|held| held.at.clone())?;
                Some((Arc::clone(uri), at))
            })
            .collect()
    }

    /// `None` when there is no room for another one.
    fn visit(&self, uri: &str) -> Option<Visit<'_, T>> {
        let mut all = self.lock();
        let entry = match all.get(uri) {
            Some(entry) => Arc::clone(entry),
            None if all.len() >= MOST => {
                return None;
            }
            None => {
                let entry = Arc::new(Entry {
                    turn: tokio::sync::Mutex::default(),
                    held: Mutex::new(None),
                });
                all.insert(uri.into(), Arc::clone(&entry));
                entry
            }
        };
        drop(all);
        Some(Visit {
            all: self,
            uri: uri.into(),
            entry,
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Entry<T>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Entry<T> {
    fn held(&self) -> MutexGuard<'_, Option<Held<T>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who changes an entry; the last one to leave takes away what nobody holds.
struct Visit<'a, T> {
    all: &'a Subscriptions<T>,
    uri: Arc<str>,
    entry: Arc<Entry<T>>,
}

impl<T> Drop for Visit<'_, T> {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Others get at an entry through the map alone, which is locked.
        let is_last = Arc::strong_count(&self.entry) == 2;
        if is_last && self.entry.held().is_none() {
            all.remove(&self.uri);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::FutureExt as _;
    use tokio::sync::Notify;

    use super::*;
    use crate::settings::Settings;

    fn refused() -> BackendError {
        Settings::for_test().lost("refused")
    }

    #[tokio::test]
    async fn the_first_asks_the_last_ends_and_nothing_is_left() {
        let (subscriptions, asked) = (Subscriptions::default(), Cell::new(0));
        let ask = async || {
            asked.set(asked.get() + 1);
            Ok(())
        };
        for _ in 0..3 {
            subscriptions.add("s", "a:b", ask).await.unwrap();
        }
        assert_eq!(asked.get(), 1);
        assert_eq!(subscriptions.all(), [("a:b".into(), ())]);
        let end = async |()| {
            asked.set(asked.get() + 10);
            Ok(())
        };
        for _ in 0..5 {
            subscriptions.remove("a:b", end).await.unwrap();
        }
        assert_eq!(asked.get(), 11);
        assert!(subscriptions.lock().is_empty());
    }

    #[tokio::test]
    async fn who_comes_while_the_server_is_asked_waits_and_asks_again_when_that_failed() {
        let (subscriptions, go) = (Subscriptions::default(), Notify::new());
        let fails = async || {
            go.notified().await;
            Err(refused())
        };
        let mut first = Box::pin(subscriptions.add("s", "a:b", fails));
        assert!(first.as_mut().now_or_never().is_none());
        let mut second = Box::pin(subscriptions.add("s", "a:b", async || Ok(())));
        assert!(second.as_mut().now_or_never().is_none());
        go.notify_one();
        assert!(first.await.is_err());
        assert!(subscriptions.all().is_empty());
        second.await.unwrap();
        assert_eq!(subscriptions.all().len(), 1);
    }

    #[tokio::test]
    async fn a_subscriber_that_gives_up_is_none() {
        let subscriptions = Subscriptions::<()>::default();
        let mut first = Box::pin(subscriptions.add("s", "a:b", std::future::pending));
        assert!(first.as_mut().now_or_never().is_none());
        drop(first);
        assert!(subscriptions.lock().is_empty());
        let fails = async || Err(refused());
        assert!(subscriptions.add("s", "a:b", fails).await.is_err());
        assert!(subscriptions.lock().is_empty());
    }

    #[tokio::test]
    async fn the_place_changes_and_the_subscribers_stay() {
        let subscriptions = Subscriptions::default();
        for _ in 0..2 {
            subscriptions.add("s", "a:b", async || Ok(1)).await.unwrap();
        }
        let fails = async |_| Err(refused());
        assert!(subscriptions.relocate("a:b", fails).await.is_err());
        assert_eq!(subscriptions.at("a:b"), Some(1));
        let moves = async |from| Ok(from + 1);
        subscriptions.relocate("a:b", moves).await.unwrap();
        subscriptions.relocate("x:y", moves).await.unwrap();
        assert_eq!(subscriptions.all(), [("a:b".into(), 2)]);
        let never = async |_| Err(refused());
        subscriptions.remove("a:b", never).await.unwrap();
        let ends = async |at| {
            assert_eq!(at, 2);
            Ok(())
        };
        subscriptions.remove("a:b", ends).await.unwrap();
    }

    #[tokio::test]
    async fn their_number_is_bounded() {
        let subscriptions = Subscriptions::default();
        for at in 0..MOST {
            subscriptions
                .add("s", &format!("a:{at}"), async || Ok(()))
                .await
                .unwrap();
        }
        assert!(
            subscriptions
                .add("s", "one:more", async || Ok(()))
                .await
                .is_err()
        );
        assert!(subscriptions.add("s", "a:1", async || Ok(())).await.is_ok());
        subscriptions
            .remove("a:2", async |()| Ok(()))
            .await
            .unwrap();
        assert!(
            subscriptions
                .add("s", "one:more", async || Ok(()))
                .await
                .is_ok()
        );
    }
}
