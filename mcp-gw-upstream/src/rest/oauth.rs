//! Tokens that the gateway gets for itself: OAuth 2.0 client credentials (RFC 6749 §4.4).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::AUTHORIZATION;
use mcp_gw_core::{Clock, Secret};
use serde::Deserialize;
use serde_json::Value;
use tokio::runtime::Handle;

use crate::egress::{
    Client, CredentialId, FixedUrl, InjectError, Injected, RefusalCode, SendError, form,
};
use crate::rest::credential::basic;

/// For a token whose life nobody has told.
const LIFE: Duration = Duration::from_secs(300);
/// No token is kept for longer.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// So long before its end a token is not used any more.
const MARGIN: Duration = Duration::from_secs(5);
/// So long after a failure nobody asks again.
const PAUSE: Duration = Duration::from_secs(1);
/// So long a token that took the place of a refused one is kept, even if it is refused too.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long may be what a token endpoint answers.
const MAX_ANSWER: usize = 64 * 1024;

/// Where the gateway gets tokens from, and as whom.
#[derive(Clone)]
#[non_exhaustive]
pub struct ClientCredentials {
    /// The token endpoint.
    pub token_url: FixedUrl,
    /// The id of the gateway there.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret<String>,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
    /// Further parameters of the request, such as `audience` and `resource`.
    pub parameters: Vec<(String, String)>,
    /// How id and secret are sent.
    pub auth: ClientAuth,
}

/// How id and secret are sent to a token endpoint (RFC 6749 §2.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientAuth {
    /// In `Authorization: Basic`.
    #[default]
    Basic,
    /// In the form, for endpoints that take nothing else.
    Form,
}

impl ClientCredentials {
    /// Tokens from `token_url`, without scopes.
    pub const fn new(
        token_url: FixedUrl,
        client_id: String,
        client_secret: Secret<String>,
    ) -> Self {
        Self {
            token_url,
            client_id,
            client_secret,
            scopes: Vec::new(),
            parameters: Vec::new(),
            auth: ClientAuth::Basic,
        }
    }

    /// Sets the scopes to ask for.
    #[must_use]
    pub fn with_scopes(mut self, scopes: impl IntoIterator<Item = String>) -> Self {
        self.scopes = scopes.into_iter().collect();
        self
    }

    /// Adds a parameter of the request, such as `audience`.
    #[must_use]
    pub fn with_parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// Sets how id and secret are sent.
    #[must_use]
    pub const fn with_auth(mut self, auth: ClientAuth) -> Self {
        self.auth = auth;
        self
    }

    /// The form of the request.
    fn form(&self) -> String {
        let mut pairs = vec![("grant_type", "client_credentials")];
        let scopes = self.scopes.join(" ");
        if !scopes.is_empty() {
            pairs.push(("scope", &scopes));
        }
        for (name, value) in &self.parameters {
            pairs.push((name, value));
        }
        if self.auth == ClientAuth::Form {
            pairs.push(("client_id", &self.client_id));
            pairs.push(("client_secret", self.client_secret.expose()));
        }
        form(pairs)
    }

    fn injected(&self) -> Result<Injected, InjectError> {
        let new = Injected::new(CredentialId::next());
        if self.auth == ClientAuth::Form {
            return Ok(new.hiding(&self.client_secret));
        }
        // Both are encoded as in a form first.
        let encoded = |text: &str| form([(text, "")]).trim_end_matches('=').to_owned();
        let secret = Secret::new(encoded(self.client_secret.expose()));
        let pair = basic(&encoded(&self.client_id), &secret);
        let value = Secret::new(format!("Basic {}", pair.expose()));
        let injected = new.with_header(AUTHORIZATION, &value, &pair)?;
        Ok(injected.hiding(&self.client_secret))
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("token_url", &self.token_url.shown())
            .field("client_id", &self.client_id)
            .field("client_secret", &self.client_secret)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// A token, as requests carry it.
pub(crate) struct Token {
    pub(crate) injected: Injected,
    born: Instant,
    /// From then on it is time for another one.
    stale: Instant,
    /// From then on it is not used.
    end: Instant,
    /// It took the place of one that was refused.
    is_second: bool,
}

/// Gets tokens, one at a time, and keeps the one in use.
pub(crate) struct Tokens {
    config: ClientCredentials,
    /// Goes with requests to the token endpoint.
    own: Injected,
    /// Of the requests that carry tokens: the same for all of them.
    id: CredentialId,
    client: Client,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Whoever has it asks for a token.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct State {
    token: Option<Arc<Token>>,
    /// When it was last in vain, and why.
    failure: Option<(Instant, SendError)>,
    was_refused: bool,
}

impl Tokens {
    pub(crate) fn new(
        config: &ClientCredentials,
        client: Client,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InjectError> {
        Ok(Self {
            own: config.injected()?,
            id: CredentialId::next(),
            config: ClientCredentials {
                token_url: config.token_url.clone().with_max_response(MAX_ANSWER),
                ..config.clone()
            },
            client,
            clock,
            state: Mutex::default(),
            turn: Arc::default(),
        })
    }

    /// The token in use, or another one when there is none or its time is nearly over.
    pub(crate) async fn get(self: &Arc<Self>) -> Result<Arc<Token>, SendError> {
        let now = self.clock.now();
        let held = self.with(|state| state.token.clone());
        match held.filter(|token| now < token.end) {
            Some(token) if now < token.stale => Ok(token),
            // Good for a while still: nobody waits for another one.
            Some(token) => {
                self.renew(now);
                Ok(token)
            }
            None => {
                let _turn = self.turn.lock().await;
                let now = self.clock.now();
                let held = self.with(|state| state.token.clone());
                match held.filter(|token| now < token.end) {
                    Some(token) => Ok(token),
                    None => self.asked(now).await,
                }
            }
        }
    }

    /// Asks for another token in the background, unless somebody does.
    fn renew(self: &Arc<Self>, now: Instant) {
        let turn = Arc::clone(&self.turn).try_lock_owned();
        if let (Ok(turn), Ok(runtime)) = (turn, Handle::try_current()) {
            let this = Arc::clone(self);
            runtime.spawn(async move {
                // Why it was in vain is known to whoever needs it, when the one in use has ended.
                let _ = this.asked(now).await;
                drop(turn);
            });
        }
    }

    /// Notes that the API refused a token. False when asking for another one is of no use.
    pub(crate) fn dropped(&self, refused: &Arc<Token>) -> bool {
        let now = self.clock.now();
        self.with(|state| {
            let is_current = |token: &Arc<Token>| Arc::ptr_eq(token, refused);
            if !state.token.as_ref().is_some_and(is_current) {
                return true;
            }
            if refused.is_second && now < refused.born + PATIENCE {
                return false;
            }
            state.token = None;
            state.was_refused = true;
            true
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks for a token, unless that was in vain a moment ago. For who has the turn.
    async fn asked(&self, now: Instant) -> Result<Arc<Token>, SendError> {
        let failed = self.with(|state| state.failure.clone());
        if let Some((at, error)) = failed
            && now < at + PAUSE
        {
            return Err(error);
        }
        let granted = self.request().await;
        let is_second = self.with(|state| std::mem::take(&mut state.was_refused));
        let token = granted.and_then(|granted| self.token(&granted, now, is_second));
        let now = self.clock.now();
        self.with(|state| match &token {
            Ok(token) => {
                state.token = Some(Arc::clone(token));
                state.failure = None;
            }
            Err(error) => state.failure = Some((now, error.clone())),
        });
        token
    }

    /// A token that was asked for at `born`.
    fn token(
        &self,
        granted: &Granted,
        born: Instant,
        is_second: bool,
    ) -> Result<Arc<Token>, SendError> {
        let value = Secret::new(format!("Bearer {}", granted.access_token.expose()));
        let injected = Injected::new(self.id)
            .with_header(AUTHORIZATION, &value, &granted.access_token)
            .map_err(|_| unusable())?;
        let life = granted.life();
        Ok(Arc::new(Token {
            injected,
            born,
            stale: born + life.mul_f64(0.8),
            end: born + life.saturating_sub(MARGIN.min(life / 10)),
            is_second,
        }))
    }

    async fn request(&self) -> Result<Granted, SendError> {
        let form = self.config.form();
        let request = self.config.token_url.post_form(form.into());
        let request = request.map_err(|_| unusable())?;
        let unreachable = |error: SendError| SendError {
            message: format!("no token for this API: {}", error.message),
            is_unsent: true,
            ..error
        };
        let answer = self.client.send(request, &self.own).await;
        let answer = answer.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.read_whole().await.map_err(unreachable)?;
        if !status.is_success() {
            self.log_refusal(status, &body);
            return Err(failed(if status.is_client_error() {
                "no token for this API: its token endpoint refuses the gateway"
            } else {
                "no token for this API: its token endpoint does not work"
            }));
        }
        let granted: Granted = serde_json::from_slice(&body).map_err(|_| unusable())?;
        if !granted.token_type.eq_ignore_ascii_case("bearer") {
            return Err(unusable());
        }
        Ok(granted)
    }

    /// For the operator: the code of the standard (RFC 6749 §5.2), if it is one, and nothing else of the body.
    fn log_refusal(&self, status: StatusCode, body: &[u8]) {
        #[derive(Deserialize)]
        struct Refused {
            error: String,
        }
        let known = [
            "invalid_request",
            "invalid_client",
            "invalid_grant",
            "unauthorized_client",
            "unsupported_grant_type",
            "invalid_scope",
            "invalid_target",
        ];
        let said = serde_json::from_slice::<Refused>(body).ok();
        let code = said.and_then(|said| known.into_iter().find(|code| *code == said.error));
        tracing::warn!(
            target: "mcp_gw::egress",
            token_url = self.config.token_url.shown(),
            status = status.as_u16(),
            error = code.unwrap_or("none that is known"),
            "a token endpoint gives no token"
        );
    }
}

fn failed(message: &str) -> SendError {
    let mut error = SendError::new(RefusalCode::AuthRequired, "C-15", message);
    error.is_unsent = true;
    error
}

fn unusable() -> SendError {
    failed("no token for this API: what its token endpoint answers cannot be used")
}

/// What a token endpoint grants (RFC 6749 §5.1).
#[derive(Deserialize)]
struct Granted {
    access_token: Secret<String>,
    token_type: String,
    /// Seconds; some send them as text.
    #[serde(default)]
    expires_in: Option<Value>,
}

impl Granted {
    fn life(&self) -> Duration {
        let seconds = match &self.expires_in {
            None | Some(Value::Null) => return LIFE,
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(value) => value.as_f64(),
        };
        match seconds {
            Some(seconds) if seconds > 0.0 => Duration::try_from_secs_f64(seconds)
                .unwrap_or(LONGEST)
                .min(LONGEST),
            _ => Duration::ZERO,
        }
    }
}
