//! Sends what was checked: over connections to judged addresses, with a credential, within bounds.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue, RANGE};
use rustls::ClientConfig;
use tokio::time::Instant;

use crate::egress::answer::Answer;
use crate::egress::check::{self, Checked};
use crate::egress::inject::{CredentialId, Injected};
use crate::egress::query;
use crate::egress::redirect;
use crate::egress::refusal::{Refusal, RefusalCode};
use crate::egress::rules::{ApiRules, Rules};
use crate::egress::send_error::SendError;
use crate::egress::tls::{Trust, TrustError};
use crate::net::client::{Address, Client as Sender, Response};
use crate::net::connect::{Connector, Lookup, Resolve};

/// So many groups of connections are kept: one for each API and credential.
const MOST_POOLS: usize = 512;
/// So many connections of a group are kept for the next requests.
const IDLE_CONNECTIONS: usize = 32;

/// Sends requests that were checked, and nothing else. One is enough for all APIs; clones share their
/// connections.
///
/// Connections are for one API and one credential each (E-12). A name is looked up for each new one, all its
/// addresses are judged by the rules of the API, and the connection goes to one of these (E-5). There is no
/// cookie jar, no proxy, and no HTTP cache.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    names: Option<Arc<dyn Resolve>>,
    agent: HeaderValue,
    pools: Mutex<Pools>,
}

#[derive(Default)]
struct Pools {
    all: HashMap<(usize, CredentialId), Pool>,
    /// Who is believed is read once for all that believe the same.
    tls: HashMap<(Trust, bool), Arc<ClientConfig>>,
    turn: u64,
}

struct Pool {
    /// Keeps the place of the rules from being used for others, so that it stands for them.
    rules: Weak<Rules>,
    sender: Sender,
    used: u64,
}

impl Client {
    /// Names are looked up as the operating system does it.
    pub fn new() -> Self {
        Self::made(None)
    }

    /// Names are looked up by `names`.
    pub fn with_resolver(names: Arc<dyn Resolve>) -> Self {
        Self::made(Some(names))
    }

    fn made(names: Option<Arc<dyn Resolve>>) -> Self {
        let agent = concat!("mcp-gw/", env!("CARGO_PKG_VERSION"));
        Self(Arc::new(Inner {
            names,
            agent: HeaderValue::from_static(agent),
            pools: Mutex::default(),
        }))
    }

    /// Reads what is needed to trust this API, so that faults are seen before the first call. It may read
    /// files of the operating system.
    ///
    /// # Errors
    /// When its certificates cannot be read.
    pub fn prepare(&self, rules: &ApiRules) -> Result<(), TrustError> {
        let mut pools = self.0.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.tls(&rules.0).map(|_| ())
    }

    /// Sends a request, and follows redirects where the rules of the API say so.
    ///
    /// # Errors
    /// When there is no answer, or none that may be taken.
    pub async fn send(&self, request: Checked, injected: &Injected) -> Result<Answer, SendError> {
        let until = Instant::now() + request.timeout;
        let sender = self.sender(&request, injected.id)?;
        let mut request = request;
        let mut hops = 0;
        loop {
            let sent = self.once(&sender, &request, injected, until).await;
            let response = sent.map_err(|error| SendError {
                // Further hops follow one that was sent.
                is_unsent: error.is_unsent && hops == 0,
                ..error
            })?;
            let next = redirect::next(&request, injected, response.status(), response.headers());
            match next.map_err(SendError::of_refusal)? {
                None => return Ok(Answer::new(response, &request, injected, until)),
                Some(_) if hops == redirect::MOST => {
                    let message = format!("the API redirects more than {} times", redirect::MOST);
                    return Err(SendError::of_refusal(redirect::blocked(message)));
                }
                Some(next) => request = next,
            }
            hops += 1;
        }
    }

    /// A request without a credential.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn get(&self, request: Checked) -> Result<Answer, SendError> {
        self.send(request, &Injected::none()).await
    }

    async fn once(
        &self,
        sender: &Sender,
        request: &Checked,
        injected: &Injected,
        until: Instant,
    ) -> Result<Response, SendError> {
        let address = address(request, injected).map_err(SendError::before)?;
        let headers = headers(request, injected).map_err(SendError::before)?;
        let response = sender
            .request(request.method.clone(), &address)
            .headers(&headers)
            .body(request.body.clone().unwrap_or_default())
            .timeout(until.saturating_duration_since(Instant::now()))
            .send()
            .await
            .map_err(|error| SendError::of_send(&error))?;
        if response.status().is_informational() {
            return Err(SendError::new(
                RefusalCode::UpstreamInvalid,
                "C-17",
                "the API wants to speak another protocol",
            ));
        }
        Ok(response)
    }

    /// Who sends for this API with this credential.
    fn sender(&self, request: &Checked, id: CredentialId) -> Result<Sender, SendError> {
        let rules = &request.rules;
        let mut pools = self.0.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.turn += 1;
        let turn = pools.turn;
        let key = (Arc::as_ptr(rules).addr(), id);
        if let Some(pool) = pools.all.get_mut(&key) {
            pool.used = turn;
            return Ok(pool.sender.clone());
        }
        let tls = pools.tls(rules).map_err(|_| {
            SendError::new(
                RefusalCode::UpstreamUnreachable,
                "E-10",
                "the certificates to trust for this API cannot be read",
            )
        })?;
        let admit = Arc::clone(&rules.addresses);
        let lookup = Lookup::guarded(self.0.names.clone(), admit);
        let connector = Connector::new(lookup, rules.connect_timeout, tls);
        let agent = self.0.agent.clone();
        if id == CredentialId::ALONE {
            return Ok(Sender::over(connector, agent, 0));
        }
        pools.make_room();
        let sender = Sender::over(connector, agent, IDLE_CONNECTIONS);
        let pool = Pool {
            rules: Arc::downgrade(rules),
            sender: sender.clone(),
            used: turn,
        };
        pools.all.insert(key, pool);
        Ok(sender)
    }
}

impl Pools {
    fn tls(&mut self, rules: &Rules) -> Result<Arc<ClientConfig>, TrustError> {
        let is_https = rules.base.is_https();
        let key = (rules.trust.clone(), is_https);
        if let Some(known) = self.tls.get(&key) {
            return Ok(Arc::clone(known));
        }
        let made = Arc::new(rules.trust.client_config(is_https)?);
        self.tls.insert(key, Arc::clone(&made));
        Ok(made)
    }

    /// Rules that nobody has any more go first, then what was not used for longest. Requests under way have
    /// what they need.
    fn make_room(&mut self) {
        self.all.retain(|_, pool| pool.rules.strong_count() > 0);
        while self.all.len() >= MOST_POOLS {
            let oldest = self.all.iter().min_by_key(|(_, pool)| pool.used);
            let Some(key) = oldest.map(|(key, _)| *key) else {
                return;
            };
            self.all.remove(&key);
        }
        if self.tls.len() > MOST_POOLS {
            self.tls.clear();
        }
    }
}

/// The address with what the credential adds to it.
fn address(request: &Checked, injected: &Injected) -> Result<Address, Refusal> {
    let rules = &request.rules;
    let path = rules.base.below(request.uri.path()).unwrap_or("/");
    let mut query = request.uri.query().map(str::to_owned);
    for (name, value) in &injected.query {
        // The rules say so too, if whoever made them thought of it.
        if request
            .uri
            .query()
            .is_some_and(|query| query::has(query, name))
        {
            let message = "a query parameter belongs to the credential of this API; leave it out";
            return Err(Refusal::endpoint("E-11", message));
        }
        query::append(query.get_or_insert_default(), name, value.expose());
    }
    let uri = check::uri(rules, path, query.as_deref())?;
    Address::new(uri).ok_or_else(|| Refusal::endpoint("E-1", "the address names no host"))
}

/// The headers with what the credential adds to them.
fn headers(request: &Checked, injected: &Injected) -> Result<HeaderMap, Refusal> {
    let mut headers = request.headers.clone();
    let is_ours = !injected.secrets.is_empty() && injected.id != CredentialId::ALONE;
    if is_ours && headers.contains_key(RANGE) && !request.rules.request_headers.contains(&RANGE) {
        // An API that shows what it was sent would give the credential away in pieces (C-15).
        let message = "the header range is not allowed for an API with a credential of the gateway, unless its configuration names it; leave it out";
        return Err(Refusal::new(RefusalCode::HeaderNotAllowed, "E-9", message));
    }
    for (name, value) in &injected.headers {
        if request.headers.contains_key(name) {
            let message = format!("the header {name} belongs to the credential of this API");
            return Err(Refusal::new(RefusalCode::HeaderNotAllowed, "E-9", message));
        }
        headers.append(name.clone(), value.clone());
    }
    if !headers.contains_key(ACCEPT) {
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    }
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Ok(headers)
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}
