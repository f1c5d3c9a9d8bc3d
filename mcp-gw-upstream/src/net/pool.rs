//! Connections that wait for the next request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::uri::{Authority, Scheme};
use tokio::runtime::Handle;
use tokio::time::{Instant, interval};

use crate::net::client::{Address, Error};
use crate::net::connect::Connector;
use crate::net::lane::Lane;

/// After so long without a request a connection is closed.
const IDLE: Duration = Duration::from_secs(90);
/// How often it is looked which connections have waited too long, or were ended by the other side.
const SWEEP: Duration = Duration::from_secs(5);

/// What two requests must have in common to go over the same connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
}

/// Opens connections, and keeps them between requests.
pub(crate) struct Pool {
    connector: Connector,
    /// So many are kept for each origin.
    most: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    lanes: HashMap<Arc<Origin>, Vec<(Lane, Instant)>>,
    is_swept: bool,
}

impl Pool {
    pub(crate) fn new(connector: Connector, most: usize) -> Arc<Self> {
        Arc::new(Self {
            connector,
            most,
            kept: Mutex::default(),
        })
    }

    /// A connection that was used before and is free: the one that was used last, as that is the likeliest to be open.
    pub(crate) fn kept(&self, origin: &Origin) -> Option<Lane> {
        loop {
            // One at a time: what has ended is closed without the lock.
            let (mut lane, since) = self.lock().lanes.get_mut(origin)?.pop()?;
            if since.elapsed() < IDLE && lane.is_free() {
                return Some(lane);
            }
        }
    }

    /// A new connection.
    pub(crate) async fn open(&self, address: &Address) -> Result<Lane, Error> {
        let stream = self.connector.connect(address.uri().clone()).await;
        let lane = Lane::new(stream.map_err(Error::Connect)?).await;
        lane.map_err(|error| Error::Connect(error.into()))
    }

    /// Keeps a connection for the next request, when it is free and there is room.
    pub(crate) fn keep(self: &Arc<Self>, origin: &Arc<Origin>, mut lane: Lane) {
        if self.most == 0 || !lane.is_free() {
            return;
        }
        // Without a runtime it can be neither used nor closed in time.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let mut kept = self.lock();
        if !kept.lanes.contains_key(origin) {
            kept.lanes.insert(Arc::clone(origin), Vec::new());
        }
        let Some(lanes) = kept.lanes.get_mut(origin) else {
            return;
        };
        if lanes.len() < self.most {
            lanes.push((lane, Instant::now()));
        }
        if !kept.is_swept {
            kept.is_swept = true;
            runtime.spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// How many are kept.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.lock().lanes.values().map(Vec::len).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes what nobody will use, for as long as there is anything.
async fn sweep(pool: Weak<Pool>) {
    let mut turns = interval(SWEEP);
    loop {
        turns.tick().await;
        let Some(pool) = pool.upgrade() else { return };
        let mut kept = pool.lock();
        kept.lanes.retain(|_, lanes| {
            lanes.retain_mut(|(lane, since)| since.elapsed() < IDLE && lane.is_free());
            !lanes.is_empty()
        });
        if kept.lanes.is_empty() {
            kept.is_swept = false;
            return;
        }
    }
}
