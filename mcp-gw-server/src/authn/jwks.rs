//! Keys that an issuer publishes: fetched, kept, fetched again.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderMap};
use mcp_gw_core::Clock;
use mcp_gw_upstream::egress::{Client, FixedUrl, RefusalCode, SendError};
use tokio::sync::watch;

use super::key::{KeySet, LONGEST_SET};
use crate::config::{JwksConfig, keys_at, origin};

/// A key set must be there within this time, from the first byte sent to the last received.
const WITHIN: Duration = Duration::from_secs(5);
/// A key that is not in the set has it fetched again, but not sooner than so long after the last time.
const BETWEEN: Duration = Duration::from_secs(30);
/// While there are no keys at all it is tried after so long, and after longer each time up to
/// [`BETWEEN`].
const AT_FIRST: Duration = Duration::from_secs(1);
/// What a server may say of how long its keys are good for.
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A key set as it came.
pub(crate) struct Fetched {
    /// The text.
    pub(crate) body: Bytes,
    /// How long it is good for, where that is said.
    pub(crate) max_age: Option<Duration>,
}

/// Where a key set comes from.
#[async_trait]
pub(crate) trait JwksSource: Send + Sync + 'static {
    /// Fetches the set. `Err` is for the log.
    async fn fetch(&self) -> Result<Fetched, String>;
}

/// Fetches a key set from the address that the configuration names, through the guard on everything that
/// goes out. Redirects are not followed: who may redirect could say which keys are believed.
struct HttpSource {
    client: Client,
    url: FixedUrl,
}

impl HttpSource {
    fn of(url: FixedUrl) -> Self {
        let url = url.with_timeout(WITHIN).with_max_response(LONGEST_SET);
        Self {
            client: Client::new(),
            url,
        }
    }
}

#[async_trait]
impl JwksSource for HttpSource {
    async fn fetch(&self) -> Result<Fetched, String> {
        let request = self.url.get().map_err(|refusal| refusal.message)?;
        let answer = self.client.get(request).await;
        let answer = answer.map_err(|error| said(&error))?;
        if answer.status() != http::StatusCode::OK {
            return Err(format!("the server answers with {}", answer.status()));
        }
        let max_age = max_age(answer.headers());
        let body = answer.read_whole().await.map_err(|error| said(&error))?;
        Ok(Fetched { body, max_age })
    }
}

/// What came of a fetch, for the log.
fn said(error: &SendError) -> String {
    match error.code {
        RefusalCode::EgressBlocked => {
            "the name leads to an address that is not public; if the login server \
             is there, add `allow_private: true` or `allow_addresses` to `jwks`"
                .to_owned()
        }
        RefusalCode::ResponseTooLarge => {
            format!("the key set is longer than {LONGEST_SET} bytes")
        }
        _ => error.message.clone(),
    }
}

/// How long an answer is good for (RFC 9111 §5.2.2.1).
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(CACHE_CONTROL).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let directives: Vec<_> = lines.flat_map(|line| line.split(',')).collect();
    let is = |name: &str| {
        directives
            .iter()
            .any(|d| d.trim().eq_ignore_ascii_case(name))
    };
    if is("no-store") || is("no-cache") {
        return Some(Duration::ZERO);
    }
    directives.iter().find_map(|directive| {
        let (name, value) = directive.trim().split_once('=')?;
        let seconds = value.trim_matches('"').parse().ok()?;
        let is_it = name.eq_ignore_ascii_case("max-age");
        is_it.then_some(Duration::from_secs(seconds))
    })
}

/// The keys of one issuer, as they were fetched last. A clone is another handle to the same.
#[derive(Clone)]
pub(crate) struct Jwks(Arc<Shared>);

struct Shared {
    source: Box<dyn JwksSource>,
    clock: Arc<dyn Clock>,
    /// For the log.
    place: String,
    refresh: Duration,
    max_stale: Duration,
    held: ArcSwapOption<Held>,
    fetching: Mutex<Fetching>,
}

struct Held {
    set: Arc<KeySet>,
    since: Instant,
    fresh_until: Instant,
}

/// What is known of fetching. The lock is never held while anybody waits.
#[derive(Default)]
struct Fetching {
    /// Its sender goes when the fetch that is under way ends.
    running: Option<watch::Receiver<()>>,
    /// When a fetch began last that was not made for a key that nobody knows.
    tried: Option<Instant>,
    /// When one began last for such a key.
    tried_for_key: Option<Instant>,
    failures: u32,
}

/// Why a fetch is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// There are no keys, or old ones.
    Age,
    /// A token names a key that is not there.
    Key,
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Jwks").field(&self.0.place).finish()
    }
}

impl Jwks {
    /// The keys that `config` says where to fetch; `None` when it names no address that can be used.
    pub(crate) fn of(config: &JwksConfig, clock: &Arc<dyn Clock>) -> Option<Self> {
        let url = config.url.as_deref()?;
        let source = HttpSource::of(keys_at(config, url).ok()?);
        Some(Self::new(
            Box::new(source),
            origin(url),
            (config.refresh.get(), config.max_stale.get()),
            Arc::clone(clock),
        ))
    }

    pub(crate) fn new(
        source: Box<dyn JwksSource>,
        place: String,
        (refresh, max_stale): (Duration, Duration),
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self(Arc::new(Shared {
            source,
            clock,
            place,
            refresh,
            max_stale,
            held: ArcSwapOption::empty(),
            fetching: Mutex::default(),
        }))
    }

    /// Takes over the keys of another one, of the same address.
    pub(crate) fn take_over(&self, before: &Self) {
        self.0.held.store(before.0.held.load_full());
    }

    /// Begins to fetch keys, if there are none.
    pub(crate) fn prefetch(&self) {
        if self.0.held.load().is_none() {
            let _ = self.fetch(Cause::Age);
        }
    }

    /// The keys that may be used now; waits for them when there are none. Old ones are used while new
    /// ones are fetched.
    ///
    /// # Errors
    /// When there are none, and none can be had.
    pub(crate) async fn keys(&self) -> Result<Arc<KeySet>, String> {
        let unavailable = || format!("the keys of {} cannot be had", self.0.place);
        if let Some(set) = self.usable() {
            return Ok(set);
        }
        let under_way = self.fetch(Cause::Age).ok_or_else(unavailable)?;
        ended(under_way).await;
        self.usable().ok_or_else(unavailable)
    }

    /// The keys once more, after a token named one that is not among them: fetched anew unless that was
    /// done a short time ago. `None` when there are no others.
    pub(crate) async fn newer_keys(&self) -> Option<Arc<KeySet>> {
        ended(self.fetch(Cause::Key)?).await;
        self.usable()
    }

    /// The keys unless they are too old; has them fetched when they are not fresh.
    fn usable(&self) -> Option<Arc<KeySet>> {
        let shared = &*self.0;
        let held = shared.held.load();
        let held = held.as_ref()?;
        let now = shared.clock.now();
        if now >= held.fresh_until {
            let _ = self.fetch(Cause::Age);
        }
        let age = now.saturating_duration_since(held.since);
        (age <= shared.max_stale).then(|| Arc::clone(&held.set))
    }

    /// What ends with the fetch that is under way; begins one if there is none. `None` when it is too
    /// early for another one.
    fn fetch(&self, cause: Cause) -> Option<watch::Receiver<()>> {
        let shared = &self.0;
        let mut fetching = lock(&shared.fetching);
        if let Some(running) = &fetching.running
            && running.has_changed().is_ok()
        {
            return Some(running.clone());
        }
        let now = shared.clock.now();
        let (last, pause) = match cause {
            Cause::Age => (fetching.tried, self.pause(fetching.failures)),
            Cause::Key => (fetching.tried_for_key, BETWEEN),
        };
        if last.is_some_and(|last| now.saturating_duration_since(last) < pause) {
            return None;
        }
        match cause {
            Cause::Age => fetching.tried = Some(now),
            Cause::Key => fetching.tried_for_key = Some(now),
        }
        let (under_way, ended) = watch::channel(());
        fetching.running = Some(ended.clone());
        drop(fetching);
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let fetched = tokio::time::timeout(WITHIN, shared.source.fetch()).await;
            let fetched = fetched.unwrap_or_else(|_| Err("there is no answer in time".to_owned()));
            shared.take(fetched);
            drop(under_way);
        });
        Some(ended)
    }

    /// How long it takes until it is tried again.
    fn pause(&self, failures: u32) -> Duration {
        if self.0.held.load().is_some() {
            return BETWEEN;
        }
        match failures.checked_sub(1) {
            None => Duration::ZERO,
            Some(more) => AT_FIRST.saturating_mul(1 << more.min(5)).min(BETWEEN),
        }
    }
}

impl Shared {
    fn take(&self, fetched: Result<Fetched, String>) {
        let now = self.clock.now();
        let read = fetched.and_then(|fetched| {
            let set = KeySet::parse(&fetched.body)?;
            let good_for = fetched.max_age.unwrap_or(self.refresh);
            Ok((set, good_for.clamp(SHORTEST, LONGEST)))
        });
        let mut fetching = lock(&self.fetching);
        match read {
            Ok((set, good_for)) => {
                fetching.failures = 0;
                let (place, keys) = (&self.place, set.len());
                tracing::debug!(target: "mcp_gw::authn", %place, keys, "keys of an issuer fetched");
                self.held.store(Some(Arc::new(Held {
                    set: Arc::new(set),
                    since: now,
                    fresh_until: now.checked_add(good_for).unwrap_or(now),
                })));
            }
            Err(reason) => {
                fetching.failures = fetching.failures.saturating_add(1);
                let place = &self.place;
                tracing::warn!(target: "mcp_gw::authn", %place, %reason,
                    "the keys of an issuer cannot be fetched");
            }
        }
    }
}

/// Waits until a fetch has ended, one way or the other.
async fn ended(mut under_way: watch::Receiver<()>) {
    while under_way.changed().await.is_ok() {}
}

fn lock(fetching: &Mutex<Fetching>) -> std::sync::MutexGuard<'_, Fetching> {
    fetching.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
