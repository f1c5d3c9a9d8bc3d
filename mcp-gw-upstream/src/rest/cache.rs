//! Answers that may be used again, by the rules of HTTP caching (RFC 9111).
//!
//! What an API says is `public`, and not `private`, is for all callers; anything else only for who asked. A
//! request with a credential of the gateway counts as one with `Authorization`. What depends on the credential,
//! as it is part of the address or as `Vary` says so, is for callers with the same one at most.

mod directives;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, VARY};
use http::{Method, Request, Response, StatusCode};
use http_cache_semantics::{AfterResponse, BeforeRequest, CacheOptions, CachePolicy};

use directives::{as_said, canonical, directives, update};

use crate::egress::{Checked, CredentialId};

/// How many answers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheConfig {
    /// Answers. 1,000 by default.
    pub max_entries: usize,
    /// Bytes of all answers. 16 MiB by default.
    pub max_bytes: usize,
    /// How long an answer is good at most, whatever the API says. 1 h by default.
    pub max_age: Duration,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            max_entries: 1_000,
            max_bytes: 16 << 20,
            max_age: Duration::from_secs(3600),
        }
    }
}

impl CacheConfig {
    /// So many answers of so many bytes together, each for so long at most.
    pub const fn new(max_entries: usize, max_bytes: usize, max_age: Duration) -> Self {
        Self {
            max_entries,
            max_bytes,
            max_age,
        }
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Whole {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Who an answer is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum For {
    Everybody,
    /// Who is served with this credential.
    Holders(CredentialId),
    /// The caller that this text names.
    One(Arc<str>),
}

/// Answers of one API.
pub(crate) struct Cache {
    config: CacheConfig,
    stock: Mutex<Stock>,
}

#[derive(Default)]
struct Stock {
    /// By what was asked for, without what a credential adds, and for whom.
    entries: HashMap<(Arc<str>, For), Entry>,
    bytes: usize,
    turn: u64,
}

struct Entry {
    policy: CachePolicy,
    whole: Whole,
    stored: SystemTime,
    used: u64,
}

/// What there is for a request.
pub(crate) enum Found {
    /// Nothing that helps.
    Nothing,
    /// An answer that may be used.
    Fresh(Whole),
    /// An answer that may be used if the API says that it is still the same: asked with these headers.
    Stale(Vec<(String, String)>),
}

impl Cache {
    pub(crate) fn new(config: CacheConfig) -> Self {
        Self {
            config,
            stock: Mutex::default(),
        }
    }

    /// True when a request is one whose answer may be kept. Callers who ask for a part or on a condition of
    /// their own get what the API says.
    pub(crate) fn concerns(request: &Checked) -> bool {
        let own = |name: &http::HeaderName| name == "range" || name.as_str().starts_with("if-");
        *request.method() == Method::GET && !request.headers().keys().any(own)
    }

    /// What there is for this request of `caller`.
    pub(crate) fn find(&self, request: &Checked, who: &Who, now: SystemTime) -> Found {
        let mut stock = self.stock();
        stock.turn += 1;
        let turn = stock.turn;
        let mut found = Found::Nothing;
        for who_for in who.all() {
            let key = (Arc::from(request.target()), who_for);
            let Some(entry) = stock.entries.get_mut(&key) else {
                continue;
            };
            let is_old = now
                .duration_since(entry.stored)
                .is_ok_and(|age| age > self.config.max_age);
            match entry.policy.before_request(&as_asked(request, who), now) {
                BeforeRequest::Fresh(parts) if !is_old => {
                    entry.used = turn;
                    let whole = entry.whole.clone();
                    return Found::Fresh(Whole {
                        headers: as_said(parts.headers, &[&whole.headers]),
                        ..whole
                    });
                }
                BeforeRequest::Stale { request, matches } if matches && !is_old => {
                    let headers = request.headers.iter();
                    let asked = headers.filter(|(name, _)| name.as_str().starts_with("if-"));
                    let asked = asked.filter_map(|(name, value)| {
                        Some((name.to_string(), value.to_str().ok()?.to_owned()))
                    });
                    let asked: Vec<_> = asked.collect();
                    if !asked.is_empty() && matches!(found, Found::Nothing) {
                        entry.used = turn;
                        found = Found::Stale(asked);
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// The API says that what was found is still the same: that, with what it says now, which may be that it
    /// is for others than it was.
    pub(crate) fn still_the_same(
        &self,
        request: &Checked,
        who: &Who,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Option<Whole> {
        let same = self.take_if_same(request, who, headers, now)?;
        self.learn(request, who, &same, now);
        Some(same)
    }

    fn take_if_same(
        &self,
        request: &Checked,
        who: &Who,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Option<Whole> {
        let response = response(StatusCode::NOT_MODIFIED, headers);
        let asked = as_asked(request, who);
        let mut stock = self.stock();
        for who_for in who.all() {
            let key = (Arc::from(request.target()), who_for);
            let Some(entry) = stock.entries.get(&key) else {
                continue;
            };
            let after = entry.policy.after_response(&asked, &response, now);
            if matches!(after, AfterResponse::NotModified(..)) {
                let mut whole = entry.whole.clone();
                update(&mut whole.headers, headers);
                stock.remove(&key);
                return Some(whole);
            }
        }
        None
    }

    /// Keeps an answer, if that may be; forgets what a change has made wrong (RFC 9111 §4.4).
    pub(crate) fn learn(&self, request: &Checked, who: &Who, whole: &Whole, now: SystemTime) {
        if !request.method().is_safe() {
            if whole.status.is_success() || whole.status.is_redirection() {
                self.stock().forget(request.target());
            }
            return;
        }
        if !Self::concerns(request) {
            return;
        }
        let response = response(whole.status, &whole.headers);
        let says = |directive: &str| {
            let mut all = directives(&whole.headers, &CACHE_CONTROL).into_iter();
            all.any(|(name, _)| name == directive)
        };
        let is_public = (says("public") || says("s-maxage")) && !says("private");
        let who_for = match is_public {
            true if who.is_told_by(&whole.headers) => For::Holders(who.credential),
            true => For::Everybody,
            false => who.one(),
        };
        let options = CacheOptions {
            shared: is_public,
            // Nobody said that it may be kept: it is asked for again.
            cache_heuristic: 0.0,
            ..CacheOptions::default()
        };
        let policy = CachePolicy::new_options(&as_asked(request, who), &response, now, options);
        let size = whole.body.len() + OVERHEAD;
        let mut stock = self.stock();
        let key = (Arc::from(request.target()), who_for);
        stock.remove(&key);
        if !policy.is_storable() || size > self.config.max_bytes || self.config.max_entries == 0 {
            return;
        }
        let can_be_asked_again = ["etag", "last-modified"]
            .iter()
            .any(|name| whole.headers.contains_key(*name));
        if policy.time_to_live(now).is_zero() && !can_be_asked_again {
            return;
        }
        while stock.entries.len() >= self.config.max_entries
            || stock.bytes + size > self.config.max_bytes
        {
            let oldest = stock.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                break;
            };
            stock.remove(&oldest);
        }
        stock.turn += 1;
        stock.bytes += size;
        let entry = Entry {
            policy,
            whole: whole.clone(),
            stored: now,
            used: stock.turn,
        };
        stock.entries.insert(key, entry);
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an entry takes beside the body, about.
const OVERHEAD: usize = 1024;

impl Stock {
    fn remove(&mut self, key: &(Arc<str>, For)) {
        if let Some(gone) = self.entries.remove(key) {
            let size = gone.whole.body.len() + OVERHEAD;
            self.bytes = self.bytes.saturating_sub(size);
        }
    }

    fn forget(&mut self, target: &str) {
        let keys = self.entries.keys().filter(|(of, _)| **of == *target);
        let keys: Vec<_> = keys.cloned().collect();
        for key in keys {
            self.remove(&key);
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("entries", &self.stock().entries.len())
            .finish_non_exhaustive()
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    /// The same for the same caller, and for no other.
    pub(crate) name: Arc<str>,
    /// What the gateway shows the API, on which its answer may depend.
    pub(crate) credential: CredentialId,
    /// The headers that this is in.
    pub(crate) headers: Vec<HeaderName>,
    /// It is in the query, and so a part of the address.
    pub(crate) is_in_query: bool,
}

impl Who {
    fn one(&self) -> For {
        For::One(Arc::clone(&self.name))
    }

    /// For whom an answer may be that this caller gets.
    fn all(&self) -> impl Iterator<Item = For> {
        let all = (!self.is_in_query).then_some(For::Everybody);
        [self.one(), For::Holders(self.credential)]
            .into_iter()
            .chain(all)
    }

    /// True when an answer with these headers is for callers with the same credential at most.
    fn is_told_by(&self, headers: &HeaderMap) -> bool {
        let varies = directives(headers, &VARY);
        let is_named = |name: &HeaderName| varies.iter().any(|(header, _)| header == name.as_str());
        self.is_in_query || self.headers.iter().any(is_named)
    }
}

/// The request as the rules of caching are asked about it.
fn as_asked(request: &Checked, who: &Who) -> Request<()> {
    let mut asked = Request::new(());
    *asked.method_mut() = request.method().clone();
    *asked.uri_mut() = request.uri().clone();
    *asked.headers_mut() = canonical(request.headers());
    if who.credential != CredentialId::NONE {
        let headers = asked.headers_mut();
        let value = HeaderValue::from_static("credential");
        headers.insert(AUTHORIZATION, value);
        // Nobody needs to know it: another credential has another number.
        let number = HeaderValue::from(who.credential.number());
        for name in &who.headers {
            headers.insert(name.clone(), number.clone());
        }
    }
    asked
}

fn response(status: StatusCode, headers: &HeaderMap) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = canonical(headers);
    response
}
