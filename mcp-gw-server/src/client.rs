//! A client that shook hands, whatever transport it came by: what it said of itself, and what is
//! open between it and the gateway.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mcp_gw_core::{Caller, LogLevel, RawJson, SessionKey};

use crate::inflight::InFlight;
use crate::outbox::Outbox;
use crate::revision::Revision;

/// A client between its requests.
#[derive(Debug)]
pub(crate) struct Client {
    /// Names it to backends; not the id that it sends.
    pub(crate) key: SessionKey,
    pub(crate) caller: Arc<Caller>,
    /// The endpoint that it came to; `None` is the main one.
    pub(crate) endpoint: Option<Arc<str>>,
    pub(crate) revision: Revision,
    /// Its `Implementation` and `ClientCapabilities` objects.
    pub(crate) info: Option<RawJson>,
    pub(crate) capabilities: Option<RawJson>,
    /// Its open requests.
    pub(crate) in_flight: InFlight,
    /// Where messages go that belong to no request of it.
    #[cfg_attr(not(test), expect(dead_code, reason = "used by notifications"))]
    pub(crate) outbox: Outbox,
    log_level: Mutex<Option<LogLevel>>,
}

static KEYS: AtomicU64 = AtomicU64::new(0);

impl Client {
    /// A client that has said this of itself.
    pub(crate) fn new(
        caller: Arc<Caller>,
        revision: Revision,
        info: Option<&RawJson>,
        capabilities: Option<&RawJson>,
        outbox: Outbox,
    ) -> Self {
        let number = KEYS.fetch_add(1, Ordering::Relaxed);
        Self {
            key: SessionKey::new(format!("session-{number}")),
            caller,
            endpoint: None,
            revision,
            info: info.map(RawJson::detached),
            capabilities: capabilities.map(RawJson::detached),
            in_flight: InFlight::default(),
            outbox,
            log_level: Mutex::default(),
        }
    }

    /// Sets the endpoint that it came to.
    pub(crate) fn at(mut self, endpoint: Option<Arc<str>>) -> Self {
        self.endpoint = endpoint;
        self
    }

    /// The least level of log messages that it wants (`logging/setLevel`).
    pub(crate) fn log_level(&self) -> Option<LogLevel> {
        *self
            .log_level
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the level.
    #[expect(dead_code, reason = "used by logging/setLevel")]
    pub(crate) fn set_log_level(&self, level: LogLevel) {
        *self
            .log_level
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(level);
    }
}
