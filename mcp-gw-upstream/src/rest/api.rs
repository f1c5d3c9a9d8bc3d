//! One API: requests to it, sent again where that is right, held back where it fails, kept where that is
//! allowed.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, StatusCode};
use mcp_gw_core::{ApiExchange, BackendError, CallContext, Caller, CallerName, Clock, Secret};
use tokio::sync::SemaphorePermit;
use tokio::time::sleep;

use super::breaker::{Breaker, BreakerConfig, Change};
use super::cache::{Cache, CacheConfig, Found, Who, Whole};
use super::charset;
use super::credential::Keeper;
use crate::balance::budget::Budget;
use crate::balance::gate::Gate;
use crate::balance::random::Random;
use crate::egress::{
    Answer, ApiRules, Checked, Client, CredentialId, Injected, Refusal, RefusalCode, RequestParts,
    SendError,
};
use crate::http::wire::retry_after_at;

/// The first pause before a request is sent again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How many requests may wait for those under way.
const MAX_QUEUE: usize = 128;

/// When a request is sent again: if it certainly did not arrive, or if its method is one of which two do
/// what one does (RFC 9110 §9.2.2) and the API could not be reached or answered 429, 502, 503 or 504.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiRetries {
    /// How many times in all the API may get the same request; 1 means that nothing is sent again. 2 by
    /// default.
    pub attempts: u32,
    /// So many percent of all requests may be sent again although the API may have got them; 10 a second
    /// always may. 20 by default.
    pub budget_percent: u32,
    /// How long a request waits at most for its next attempt. 5 s by default.
    pub max_wait: Duration,
}

impl Default for ApiRetries {
    fn default() -> Self {
        Self {
            attempts: 2,
            budget_percent: 20,
            max_wait: Duration::from_secs(5),
        }
    }
}

impl ApiRetries {
    /// So many attempts in all, so much of all requests, waiting for so long at most.
    pub const fn new(attempts: u32, budget_percent: u32, max_wait: Duration) -> Self {
        Self {
            attempts,
            budget_percent,
            max_wait,
        }
    }
}

/// What is said of one API.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ApiConfig {
    /// The server that it is for policy, limits and audit.
    pub name: Arc<str>,
    /// Where requests may go, and what they may be. Its `max_response` bounds what is read; see
    /// [`ApiConfig::max_shown`].
    pub rules: ApiRules,
    /// What models are told about it.
    pub description: Option<String>,
    /// How long a request may take, all attempts and the whole answer. 30 s by default.
    pub timeout: Duration,
    /// How much of an answer a caller gets at once, in bytes. 1 MiB by default.
    pub max_shown: usize,
    /// Lets callers give a token of their own (C-4).
    pub allow_auth_token: bool,
    /// Makes a query of a body that comes with a method that has none (C-3).
    pub get_body_as_query: bool,
    /// When a request is sent again.
    pub retries: ApiRetries,
    /// When the API is left alone.
    pub breaker: BreakerConfig,
    /// How many requests may be under way at a time; no limit by default.
    pub max_concurrent: Option<usize>,
    /// Which answers are used again; none by default.
    pub cache: Option<CacheConfig>,
}

impl ApiConfig {
    /// An API with the defaults.
    pub fn new(name: impl Into<Arc<str>>, rules: ApiRules) -> Self {
        Self {
            name: name.into(),
            rules,
            description: None,
            timeout: Duration::from_secs(30),
            max_shown: 1 << 20,
            allow_auth_token: false,
            get_body_as_query: true,
            retries: ApiRetries::default(),
            breaker: BreakerConfig::default(),
            max_concurrent: None,
            cache: None,
        }
    }

    /// Sets what models are told about it.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Sets how long a request may take.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how much of an answer a caller gets at once.
    #[must_use]
    pub const fn with_max_shown(mut self, bytes: usize) -> Self {
        self.max_shown = bytes;
        self
    }

    /// Lets callers give a token of their own.
    #[must_use]
    pub const fn with_auth_token(mut self, allow: bool) -> Self {
        self.allow_auth_token = allow;
        self
    }

    /// Sets whether a query is made of a body that a method cannot have.
    #[must_use]
    pub const fn with_get_body_as_query(mut self, allow: bool) -> Self {
        self.get_body_as_query = allow;
        self
    }

    /// Sets when a request is sent again.
    #[must_use]
    pub const fn with_retries(mut self, retries: ApiRetries) -> Self {
        self.retries = retries;
        self
    }

    /// Sets when the API is left alone.
    #[must_use]
    pub const fn with_breaker(mut self, breaker: BreakerConfig) -> Self {
        self.breaker = breaker;
        self
    }

    /// Sets how many requests may be under way at a time.
    #[must_use]
    pub const fn with_max_concurrent(mut self, requests: Option<usize>) -> Self {
        self.max_concurrent = requests;
        self
    }

    /// Sets which answers are used again.
    #[must_use]
    pub const fn with_cache(mut self, cache: Option<CacheConfig>) -> Self {
        self.cache = cache;
        self
    }
}

/// An API with all that is known of it. Clones are the same one: the tool that reaches many APIs and the
/// tools that are operations of this one share its connections, its room and its health.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    config: ApiConfig,
    client: Client,
    keeper: Keeper,
    by_caller: HashMap<CallerName, Keeper>,
    clock: Arc<dyn Clock>,
    gate: Gate,
    breaker: Breaker,
    cache: Option<Cache>,
    luck: Mutex<(Budget, Random)>,
}

/// A request for an API.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) ctx: &'a CallContext,
    /// Rules that allow more than those of the API.
    pub(crate) rules: Option<&'a ApiRules>,
    pub(crate) parts: RequestParts,
    /// It may be sent again where the method allows that. What certainly did not arrive always is.
    pub(crate) may_repeat: bool,
    /// No credential goes with it.
    pub(crate) is_open: bool,
    /// A token of the caller's own.
    pub(crate) token: Option<Secret<String>>,
    /// It may take so long, if that is less than the API may.
    pub(crate) within: Option<Duration>,
    /// It must be over by then.
    pub(crate) until: Option<Instant>,
    /// No more of the answer is of use.
    pub(crate) most: Option<usize>,
}

/// What an API answered, as far as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The body goes on.
    pub(crate) is_truncated: bool,
}

/// The room that a request has at its API, which is given back when this is dropped, and its time.
#[derive(Debug)]
pub(crate) struct Stay<'a> {
    _room: Option<SemaphorePermit<'a>>,
    left: Duration,
}

impl Stay<'_> {
    /// How much time was left when the answer was there.
    pub(crate) const fn left(&self) -> Duration {
        self.left
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) retry_after: Option<Duration>,
}

impl Failed {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after: None,
        }
    }

    fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code.as_str(), refusal.message)
    }
}

impl From<SendError> for Failed {
    fn from(error: SendError) -> Self {
        Self::new(error.code.as_str(), error.message)
    }
}

impl Api {
    /// An API. `keeper` has the credential of requests, except for the callers in
    /// `by_caller`; all of them send through `client`.
    pub fn new(
        config: ApiConfig,
        client: Client,
        keeper: Keeper,
        by_caller: HashMap<CallerName, Keeper>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let gate = Gate::new(
            Arc::clone(&config.name),
            config.max_concurrent,
            MAX_QUEUE,
            config.timeout,
        );
        let budget = Budget::new(config.retries.budget_percent, clock.now());
        Self(Arc::new(Inner {
            client,
            keeper,
            by_caller,
            gate,
            breaker: Breaker::new(config.breaker),
            cache: config.cache.map(Cache::new),
            luck: Mutex::new((budget, Random::seeded())),
            clock,
            config,
        }))
    }

    /// What was said of it.
    pub fn config(&self) -> &ApiConfig {
        &self.0.config
    }

    /// The server that it is.
    pub fn name(&self) -> &Arc<str> {
        &self.0.config.name
    }

    /// Its address as it is written: the value of `api`.
    pub fn base(&self) -> String {
        self.0.config.rules.base().to_string()
    }

    /// Sends a request, and reads the answer.
    pub(crate) async fn exchange(&self, ask: Ask<'_>) -> Result<(Reply, Stay<'_>), Failed> {
        let began = self.0.clock.now();
        let ctx = ask.ctx;
        let told = ApiExchange::new(&*ask.parts.method, path_of(&ask.parts.endpoint));
        ctx.tell_exchange(|it| *it = told);
        let result = self.exchanged(ask, began).await;
        let took = self.0.clock.now().saturating_duration_since(began);
        let (status, code, bytes) = match &result {
            Ok((reply, _)) => (Some(reply.status.as_u16()), None, reply.body.len()),
            Err(failed) => (None, Some(failed.code), 0),
        };
        ctx.tell_exchange(|told| {
            (told.status, told.code, told.bytes) = (status, code, bytes);
            told.duration = Some(took);
            tracing::debug!(
                target: "mcp_gw::rest",
                api = &**self.name(),
                method = told.method,
                path = told.path,
                status,
                code,
                attempts = told.attempts,
                ?took,
                "a request to an API"
            );
        });
        result
    }

    async fn exchanged(&self, ask: Ask<'_>, began: Instant) -> Result<(Reply, Stay<'_>), Failed> {
        let inner = &*self.0;
        let config = &inner.config;
        let rules = ask.rules.unwrap_or(&config.rules);
        let request = rules.check(ask.parts.clone())?;
        let limit = ask
            .within
            .map_or(config.timeout, |limit| limit.min(config.timeout));
        let until = began + limit;
        let until = ask.until.map_or(until, |end| end.min(until));
        let entered = inner.gate.enter();
        let left = until.saturating_duration_since(inner.clock.now());
        let room = tokio::time::timeout(left, entered)
            .await
            .map_err(|_| self.full())?
            .map_err(|error| self.no_room(&error))?;
        if config.max_concurrent.is_some() && until <= inner.clock.now() {
            return Err(self.full());
        }
        let reply = self.answered(rules, &request, &ask, until).await?;
        let left = until.saturating_duration_since(inner.clock.now());
        Ok((reply, Stay { _room: room, left }))
    }

    /// What is known of an answer, or what the API says.
    async fn answered(
        &self,
        rules: &ApiRules,
        request: &Checked,
        ask: &Ask<'_>,
        until: Instant,
    ) -> Result<Reply, Failed> {
        let inner = &*self.0;
        let cache = inner.cache.as_ref().filter(|_| ask.token.is_none());
        let who = self.who(ask.ctx.caller(), ask.is_open);
        let mut asked_again = None;
        if let Some(cache) = cache.filter(|_| Cache::concerns(request)) {
            match cache.find(request, &who, inner.clock.wall()) {
                Found::Fresh(whole) => return Ok(whole.into()),
                Found::Stale(headers) => {
                    let mut parts = ask.parts.clone();
                    parts.headers.extend(headers);
                    asked_again = rules.check(parts).ok();
                }
                Found::Nothing => {}
            }
        }
        let sent = asked_again.as_ref().unwrap_or(request);
        let reply = self.attempts(sent, ask, until).await?;
        let now = inner.clock.wall();
        let Some(cache) = cache else {
            // With whatever token it was changed, what others have of it is old now.
            if let Some(cache) = &inner.cache
                && !request.method().is_safe()
            {
                cache.learn(request, &who, &reply.clone().into(), now);
            }
            return Ok(reply);
        };
        if asked_again.is_some() && reply.status == StatusCode::NOT_MODIFIED {
            if let Some(whole) = cache.still_the_same(request, &who, &reply.headers, now) {
                return Ok(whole.into());
            }
            // It has gone in the meantime: the whole of it.
            return self.attempts(request, ask, until).await;
        }
        if !reply.is_truncated {
            cache.learn(request, &who, &reply.clone().into(), now);
        }
        Ok(reply)
    }

    /// Sends a request as often as it may be.
    async fn attempts(
        &self,
        request: &Checked,
        ask: &Ask<'_>,
        until: Instant,
    ) -> Result<Reply, Failed> {
        let inner = &*self.0;
        let retries = inner.config.retries;
        let is_safe = ask.may_repeat && is_idempotent(request.method());
        self.luck(|budget, _| budget.earn());
        let mut attempt = 1;
        loop {
            let now = inner.clock.now();
            let left = until.saturating_duration_since(now);
            if left.is_zero() {
                return Err(self.late());
            }
            let pass = inner
                .breaker
                .enter(now)
                .map_err(|wait| self.resting(wait))?;
            let is_whole = self.is_whole(left);
            let sent = request.clone().within(left);
            let sent = sent.up_to(ask.most.unwrap_or(usize::MAX));
            ask.ctx.tell_exchange(|told| told.attempts += 1);
            let outcome = self.send(sent, ask).await;
            if matches!(&outcome, Err(error) if error.is_unsent) {
                ask.ctx.tell_exchange(|told| told.attempts -= 1);
            }
            let (is_unsent, may_pass, wait) = match &outcome {
                Ok(answer) => (
                    false,
                    is_passing(answer.status()),
                    retry_after_at(answer.headers(), inner.clock.wall()),
                ),
                Err(error) => (
                    error.is_unsent,
                    error.code == RefusalCode::UpstreamUnreachable,
                    None,
                ),
            };
            let may_repeat = may_pass && attempt < retries.attempts && (is_unsent || is_safe);
            if may_repeat && let Some(pause) = self.pause(attempt, wait, until, is_unsent) {
                let is_well = matches!(&outcome, Ok(answer) if answer.status() == StatusCode::TOO_MANY_REQUESTS);
                self.ended(pass.end(is_well, inner.clock.now()));
                drop(outcome);
                sleep(pause).await;
                attempt += 1;
                continue;
            }
            let read = match outcome {
                Ok(answer) => read(answer).await,
                Err(error) => Err(error),
            };
            let is_well = match &read {
                Ok(reply) => Some(!reply.status.is_server_error()),
                Err(error) => says_of_api(error.code, is_whole),
            };
            if let Some(is_well) = is_well {
                self.ended(pass.end(is_well, inner.clock.now()));
            }
            return Ok(read?);
        }
    }

    /// True when this is the time that the API has, but for what it takes to get here: neither the caller
    /// nor waiting has shortened it.
    fn is_whole(&self, left: Duration) -> bool {
        left >= self.0.config.timeout / 10 * 9
    }

    async fn send(&self, request: Checked, ask: &Ask<'_>) -> Result<Answer, SendError> {
        match &ask.token {
            None if ask.is_open => self.0.client.get(request).await,
            None => self.keeper(ask.ctx.caller()).send(request).await,
            Some(token) => {
                let injected = Injected::bearer_of_call(token).map_err(|_| SendError {
                    code: RefusalCode::HeaderNotAllowed,
                    rule: "C-4",
                    message: "`authToken` has characters that no header may have".to_owned(),
                    is_unsent: true,
                })?;
                self.0.client.send(request, &injected).await
            }
        }
    }

    fn keeper(&self, caller: &Caller) -> &Keeper {
        let own = self.0.by_caller.get(&CallerName::of(caller));
        own.unwrap_or(&self.0.keeper)
    }

    /// How long to wait before the next attempt; `None` when there should be none.
    fn pause(
        &self,
        attempt: u32,
        wait: Option<Duration>,
        until: Instant,
        is_unsent: bool,
    ) -> Option<Duration> {
        let now = self.0.clock.now();
        let pause = self.luck(|_, random| {
            let full = FIRST_PAUSE * 2_u32.pow((attempt - 1).min(6));
            let half = full / 2;
            let micros = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
            half + Duration::from_micros(random.below(micros))
        });
        let pause = wait.map_or(pause, |wait| wait.max(pause));
        let is_in_time = pause <= self.0.config.retries.max_wait && now + pause < until;
        (is_in_time && (is_unsent || self.luck(|budget, _| budget.spend(now)))).then_some(pause)
    }

    fn luck<T>(&self, with: impl FnOnce(&mut Budget, &mut Random) -> T) -> T {
        let mut luck = self.0.luck.lock().unwrap_or_else(PoisonError::into_inner);
        let (budget, random) = &mut *luck;
        with(budget, random)
    }

    fn ended(&self, change: Option<Change>) {
        let api = &**self.name();
        match change {
            Some(Change::Opened) => tracing::warn!(
                target: "mcp_gw::rest",
                api,
                open_for = ?self.0.config.breaker.open_for,
                "an API fails and is left alone for a while"
            ),
            Some(Change::Closed) => {
                tracing::info!(target: "mcp_gw::rest", api, "an API is well again");
            }
            None => {}
        }
    }

    fn late(&self) -> Failed {
        let message = format!("API `{}` did not answer in time", self.name());
        Failed::new(RefusalCode::UpstreamTimeout.as_str(), message)
    }

    fn resting(&self, wait: Duration) -> Failed {
        let message = format!(
            "API `{}` has failed several times and is left alone for now; nothing was sent. Try again \
             in {} s",
            self.name(),
            wait.as_secs().max(1)
        );
        Failed::new(RefusalCode::UpstreamUnreachable.as_str(), message).after(wait)
    }

    fn no_room(&self, error: &BackendError) -> Failed {
        if matches!(error, BackendError::Busy { .. }) {
            return self.full();
        }
        let message = format!("API `{}` is closed; nothing was sent", self.name());
        Failed::new(RefusalCode::UpstreamUnreachable.as_str(), message)
    }

    /// There was no room, however long it waited.
    fn full(&self) -> Failed {
        let message = format!(
            "API `{}` has as many requests under way as it may have; nothing was sent. Try again soon",
            self.name()
        );
        Failed::new(RefusalCode::RateLimited.as_str(), message).after(Duration::from_secs(1))
    }

    fn who(&self, caller: &Caller, is_open: bool) -> Who {
        let name = format!("{}\0{}\0{}", caller.kind.as_str(), caller.issuer, caller.id);
        let keeper = (!is_open).then(|| self.keeper(caller));
        Who {
            name: name.into(),
            credential: keeper.map_or(CredentialId::NONE, Keeper::id),
            headers: keeper.map(Keeper::headers).unwrap_or_default(),
            is_in_query: keeper.is_some_and(Keeper::is_in_query),
        }
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}

impl From<Whole> for Reply {
    fn from(whole: Whole) -> Self {
        Self {
            status: whole.status,
            headers: whole.headers,
            body: whole.body,
            is_truncated: false,
        }
    }
}

impl From<Reply> for Whole {
    fn from(reply: Reply) -> Self {
        Self {
            status: reply.status,
            headers: reply.headers,
            body: reply.body,
        }
    }
}

async fn read(mut answer: Answer) -> Result<Reply, SendError> {
    let body = answer.read().await?;
    let content_type = answer.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let text = content_type.and_then(|it| charset::in_utf8(&body, it, answer.is_truncated()));
    let body = match text {
        // Credentials were looked for in other bytes.
        Some(text) => answer.scrubbed(text).await?,
        None => body,
    };
    Ok(Reply {
        status: answer.status(),
        headers: answer.headers().clone(),
        body,
        is_truncated: answer.is_truncated(),
    })
}

/// Two of them do what one does (RFC 9110 §9.2.2).
fn is_idempotent(method: &Method) -> bool {
    method.is_safe() || *method == Method::PUT || *method == Method::DELETE
}

/// Another time the answer may be another one.
const fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

/// What it says of an API that there is no answer: that it fails, that it is well, or nothing.
const fn says_of_api(code: RefusalCode, is_whole: bool) -> Option<bool> {
    match code {
        RefusalCode::UpstreamUnreachable | RefusalCode::UpstreamInvalid => Some(false),
        // Who gives an API less time than it needs learns nothing of it.
        RefusalCode::UpstreamTimeout if is_whole => Some(false),
        RefusalCode::ResponseTooLarge => Some(true),
        // What we do not let through says nothing of it either.
        _ => None,
    }
}

/// A path for the log; what is in a query is nobody's business.
fn path_of(endpoint: &str) -> String {
    let path = endpoint.split(['?', '#']).next().unwrap_or_default();
    path.chars().take(200).collect()
}
