//! Requests on their way: with which credentials, how often, and what comes back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, IF_MATCH};
use http::{Method, Request};
use mcp_gw_admin_client::http::{
    BaseUrl, Done, ErrorKind, Reading, RetryPolicy, Target, Transport, TransportConfig,
    TransportError,
};
use mcp_gw_core::{RawJson, Secret};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::credentials::{Credentials, bearer, form};
use super::error::ClientError;
use super::told::Token;

/// A client of the management API of one gateway. A clone is cheap and shares connections and login.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    transport: Transport,
    retries: RetryPolicy,
    credentials: Credentials,
    /// The token of a login.
    held: Mutex<Option<Held>>,
}

struct Held {
    token: Secret<String>,
    until: Option<Instant>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("transport", &self.inner.transport)
            .field("credentials", &self.inner.credentials)
            .finish_non_exhaustive()
    }
}

/// A request, and what is special about it.
pub(super) struct Call {
    request: Request<Bytes>,
    /// Credentials are not needed, and not sent.
    is_open: bool,
    /// A status that is answered as success is.
    also: Option<u16>,
}

impl Call {
    pub(super) fn get(target: Target) -> Result<Self, ClientError> {
        Ok(Self::of(target.get()?))
    }

    pub(super) fn delete(target: Target) -> Result<Self, ClientError> {
        Ok(Self::of(target.request(Method::DELETE, None)?))
    }

    pub(super) fn post(target: Target) -> Result<Self, ClientError> {
        Ok(Self::of(target.request(Method::POST, None)?))
    }

    pub(super) fn send<T: Serialize>(
        method: Method,
        target: Target,
        body: &T,
    ) -> Result<Self, ClientError> {
        let wrong = |error: mcp_gw_core::JsonError| {
            ClientError::new(ErrorKind::Request, error.to_string(), Done::No)
        };
        let body = RawJson::from_serialize(body).map_err(wrong)?;
        Ok(Self::of(target.request(method, Some(&body))?))
    }

    fn of(request: Request<Bytes>) -> Self {
        Self {
            request,
            is_open: false,
            also: None,
        }
    }

    pub(super) const fn open(mut self) -> Self {
        self.is_open = true;
        self
    }

    pub(super) const fn also(mut self, status: u16) -> Self {
        self.also = Some(status);
        self
    }

    /// Only when the revision is still this one.
    pub(super) fn expecting(mut self, etag: Option<&str>) -> Result<Self, ClientError> {
        if let Some(etag) = etag {
            let wrong = |_| ClientError::new(ErrorKind::Request, "the `ETag` is none", Done::No);
            let value = HeaderValue::from_str(etag).map_err(wrong)?;
            self.request.headers_mut().insert(IF_MATCH, value);
        }
        Ok(self)
    }
}

/// An answer of success.
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    status: u16,
    body: Bytes,
}

impl Answer {
    /// # Errors
    /// When it is not what this operation answers with.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let status = self.status;
            let message = format!(
                "the answer ({status}) is not one of the management API: {error}; is the URL right?"
            );
            let mut error = ClientError::new(ErrorKind::NotJson, message, Done::Unknown);
            error.status = Some(status);
            error
        })
    }
}

impl Client {
    /// A client of the gateway at `base`. Nothing is sent yet.
    ///
    /// # Errors
    /// When the certificates of the system cannot be used.
    pub fn new(base: BaseUrl, credentials: Credentials) -> Result<Self, TransportError> {
        Self::with_config(TransportConfig::new(base), credentials)
    }

    /// The same with other times, bounds, certificates or a proxy. `credential` of `config` is not used.
    ///
    /// # Errors
    /// When something in `config` cannot be used.
    pub fn with_config(
        mut config: TransportConfig,
        credentials: Credentials,
    ) -> Result<Self, TransportError> {
        config.credential = None;
        if let Credentials::ApiKey(text) | Credentials::Token(text) = &credentials {
            bearer(text).map_err(|_| TransportError::Credential)?;
        }
        let retries = config.retries;
        let inner = Inner {
            transport: Transport::new(config)?,
            retries,
            credentials,
            held: Mutex::new(None),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Where the gateway is.
    pub fn base(&self) -> &BaseUrl {
        self.inner.transport.base()
    }

    /// Logs in and gives the token, which this client does not keep (`login`). With
    /// [`Credentials::Password`] that is done by itself.
    ///
    /// # Errors
    /// `INVALID_CREDENTIALS`, or `TOO_MANY_ATTEMPTS` with the time to wait.
    pub async fn login(
        &self,
        username: &str,
        password: &Secret<String>,
    ) -> Result<Token, ClientError> {
        let mut call = Call::post(Target::at("/auth/login"))?.open();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        call.request.headers_mut().insert(CONTENT_TYPE, kind);
        *call.request.body_mut() = form(username, password).into();
        self.once(&call, Some(password)).await?.read()
    }

    pub(super) async fn ask<T: DeserializeOwned>(&self, call: Call) -> Result<T, ClientError> {
        self.answer(call).await?.read()
    }

    /// For what is answered with nothing.
    pub(super) async fn tell(&self, call: Call) -> Result<(), ClientError> {
        self.answer(call).await.map(|_| ())
    }

    pub(super) async fn answer(&self, mut call: Call) -> Result<Answer, ClientError> {
        let (mut sent, mut is_renewed) = (0, false);
        loop {
            let secret = if call.is_open {
                None
            } else {
                self.credential().await?
            };
            if let Some(secret) = &secret {
                let headers = call.request.headers_mut();
                headers.insert(AUTHORIZATION, bearer(secret)?);
            }
            sent += 1;
            let error = match self.once(&call, secret.as_ref()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if error.kind == ErrorKind::Unauthorized
                && !is_renewed
                && self.forget(secret.as_ref()).await
            {
                is_renewed = true;
                continue;
            }
            let is_safe = call.request.method().is_safe();
            let Some(pause) = pause(&self.inner.retries, &error, is_safe, sent) else {
                return Err(error);
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn once(
        &self,
        call: &Call,
        secret: Option<&Secret<String>>,
    ) -> Result<Answer, ClientError> {
        let done = if call.request.method().is_safe() {
            Done::No
        } else {
            Done::Unknown
        };
        let reading = self.inner.transport.exchange(call.request.clone()).await?;
        let status = reading.status;
        if status.is_redirection() {
            let message = format!(
                "the answer is a redirect ({}), which is not followed; is the URL right?",
                status.as_u16()
            );
            let error = ClientError::new(ErrorKind::Redirected, message, done);
            return Err(error.with_status(status));
        }
        if reading.is_cut {
            let message = format!(
                "the answer ({}) is longer than {} bytes",
                status.as_u16(),
                reading.body.len()
            );
            let error = ClientError::new(ErrorKind::TooLarge, message, done);
            return Err(error.with_status(status));
        }
        if status.is_success() || call.also == Some(status.as_u16()) {
            let Reading { headers, body, .. } = reading;
            let status = status.as_u16();
            return Ok(Answer {
                headers,
                status,
                body,
            });
        }
        let secret = secret.map(|secret| secret.expose().as_str());
        Err(ClientError::of(&reading, done, secret))
    }

    /// What goes with the next request.
    async fn credential(&self) -> Result<Option<Secret<String>>, ClientError> {
        let (username, password) = match &self.inner.credentials {
            Credentials::None => return Ok(None),
            Credentials::ApiKey(text) | Credentials::Token(text) => return Ok(Some(text.clone())),
            Credentials::Password { username, password } => (username, password),
        };
        // Whoever else needs it waits for this login.
        let mut held = self.inner.held.lock().await;
        let now = Instant::now();
        if let Some(held) = &*held
            && held.until.is_none_or(|until| now < until)
        {
            return Ok(Some(held.token.clone()));
        }
        let token = self.login(username, password).await?;
        // A tenth before it ends, so that a request on its way is not refused.
        let lasts = Duration::from_secs(token.expires_in);
        let until = now.checked_add(lasts.saturating_sub(lasts / 10));
        let text = token.access_token;
        *held = Some(Held {
            token: text.clone(),
            until,
        });
        Ok(Some(text))
    }

    /// Forgets a token that was refused; true when there may be another one.
    async fn forget(&self, refused: Option<&Secret<String>>) -> bool {
        if !matches!(self.inner.credentials, Credentials::Password { .. }) {
            return false;
        }
        let mut held = self.inner.held.lock().await;
        // Somebody else may have logged in again meanwhile.
        let is_same = |held: &Held| refused.is_some_and(|one| one.expose() == held.token.expose());
        if held.as_ref().is_some_and(is_same) {
            *held = None;
        }
        true
    }

    /// Forgets the token of the own login, which ended.
    pub(super) async fn forget_login(&self) {
        *self.inner.held.lock().await = None;
    }
}

/// How long to wait before it is sent again, if it may be.
fn pause(retries: &RetryPolicy, error: &ClientError, is_safe: bool, sent: u32) -> Option<Duration> {
    if sent >= retries.attempts {
        return None;
    }
    let may = match (error.status, error.kind) {
        // Refused, so it was not done.
        (Some(429), _) => error.retry_after.is_some(),
        (Some(503), _) => is_safe && error.retry_after.is_some(),
        (None, ErrorKind::Unavailable) => error.done == Done::No,
        (None, ErrorKind::Lost) => is_safe,
        _ => false,
    };
    if !may {
        return None;
    }
    let doublings = 2_u32.saturating_pow(sent.saturating_sub(1).min(16));
    let own = retries.first_pause.saturating_mul(doublings);
    let own = own.min(retries.longest_pause);
    match error.retry_after {
        Some(wanted) if wanted > retries.longest_pause => None,
        Some(wanted) => Some(wanted),
        None => Some(own),
    }
}
