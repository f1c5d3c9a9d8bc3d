//! Credentials of APIs (C-15): what the gateway adds to a request, so that no caller has to know it.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderName};
use mcp_gw_core::{Clock, Secret};
use tokio::time::{Instant, timeout_at};

use crate::egress::{Answer, Checked, Client, CredentialId, InjectError, Injected, SendError};
use crate::rest::oauth::{ClientCredentials, Tokens};

/// How an API is told who asks.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Credential {
    /// `Authorization: Bearer` and this token.
    Bearer(Secret<String>),
    /// A header of this name.
    Header {
        /// The name.
        name: HeaderName,
        /// The whole value.
        value: Secret<String>,
    },
    /// `Authorization: Basic` (RFC 7617).
    Basic {
        /// The name of the user, without a colon.
        username: String,
        /// The password.
        password: Secret<String>,
    },
    /// A query parameter of this name. Servers log these: use it where there is no other way.
    Query {
        /// The name, not encoded.
        name: String,
        /// The value, not encoded.
        value: Secret<String>,
    },
    /// `Authorization: Bearer` and a token that the gateway gets for itself (RFC 6749 §4.4).
    OAuth2ClientCredentials(ClientCredentials),
}

impl Credential {
    /// The headers that it is sent in: for
    /// [`ApiRules::with_credential_headers`](crate::egress::ApiRules::with_credential_headers).
    pub fn headers(&self) -> Option<HeaderName> {
        match self {
            Self::Bearer(_) | Self::Basic { .. } | Self::OAuth2ClientCredentials(_) => {
                Some(AUTHORIZATION)
            }
            Self::Header { name, .. } => Some(name.clone()),
            Self::Query { .. } => None,
        }
    }

    /// The query parameter that it is sent in: for
    /// [`ApiRules::with_credential_query`](crate::egress::ApiRules::with_credential_query).
    pub fn query(&self) -> Option<&str> {
        match self {
            Self::Query { name, .. } => Some(name),
            _ => None,
        }
    }

    /// What it adds to each request; `None` when that is found out later.
    fn fixed(&self) -> Result<Option<Injected>, InjectError> {
        let new = || Injected::new(CredentialId::next());
        let authorization = |scheme: &str, secret: &Secret<String>| {
            let value = Secret::new(format!("{scheme} {}", secret.expose()));
            new().with_header(AUTHORIZATION, &value, secret)
        };
        match self {
            Self::Bearer(token) => authorization("Bearer", token).map(Some),
            Self::Header { name, value } => new().with_header(name.clone(), value, value).map(Some),
            Self::Basic { username, password } => {
                if username.contains(':') {
                    return Err(InjectError::Value);
                }
                let encoded = basic(username, password);
                authorization("Basic", &encoded).map(|it| Some(it.hiding(password)))
            }
            Self::Query { name, value } => Ok(Some(new().with_query(name, value))),
            Self::OAuth2ClientCredentials(_) => Ok(None),
        }
    }
}

/// User and password as a header has them.
pub(crate) fn basic(username: &str, password: &Secret<String>) -> Secret<String> {
    let pair = Secret::new(format!("{username}:{}", password.expose()));
    Secret::new(STANDARD.encode(pair.expose()))
}

/// Keeps a credential ready, and sends requests with it. Clones share what they have found out.
#[derive(Clone)]
pub struct Keeper(Arc<Inner>);

struct Inner {
    client: Client,
    /// The same for all tokens that are got.
    id: CredentialId,
    kind: Kind,
}

enum Kind {
    Fixed(Injected),
    Tokens(Arc<Tokens>),
}

impl Keeper {
    /// Sends with `credential`, or with none, through `client`.
    ///
    /// # Errors
    /// When the credential has what no request can have.
    pub fn new(
        credential: Option<&Credential>,
        client: &Client,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InjectError> {
        let kind = match credential {
            None => Kind::Fixed(Injected::none()),
            Some(Credential::OAuth2ClientCredentials(config)) => {
                Kind::Tokens(Arc::new(Tokens::new(config, client.clone(), clock)?))
            }
            Some(credential) => Kind::Fixed(credential.fixed()?.unwrap_or_else(Injected::none)),
        };
        let id = match &kind {
            Kind::Fixed(injected) => injected.id(),
            Kind::Tokens(_) => CredentialId::next(),
        };
        Ok(Self(Arc::new(Inner {
            client: client.clone(),
            id,
            kind,
        })))
    }

    /// Which credential it is; none when requests have nothing added.
    pub(crate) fn id(&self) -> CredentialId {
        self.0.id
    }

    /// The headers that it is in.
    pub(crate) fn headers(&self) -> Vec<HeaderName> {
        match &self.0.kind {
            Kind::Fixed(injected) => injected.header_names().cloned().collect(),
            Kind::Tokens(_) => vec![AUTHORIZATION],
        }
    }

    /// True when it is in the query.
    pub(crate) fn is_in_query(&self) -> bool {
        matches!(&self.0.kind, Kind::Fixed(injected) if injected.query_names().next().is_some())
    }

    /// Sends a request with the credential. A token that the API answers with 401 is dropped, and the
    /// request is sent once more with another one.
    ///
    /// # Errors
    /// As [`Client::send`]; `auth_required` when no token is to be had.
    pub async fn send(&self, request: Checked) -> Result<Answer, SendError> {
        let client = &self.0.client;
        let tokens = match &self.0.kind {
            Kind::Fixed(injected) => return client.send(request, injected).await,
            Kind::Tokens(tokens) => tokens,
        };
        let until = Instant::now() + request.time();
        let token = in_time(until, tokens.get()).await?;
        let left = || until.saturating_duration_since(Instant::now());
        let first = request.clone().within(left());
        let answer = client.send(first, &token.injected).await?;
        if answer.status() != StatusCode::UNAUTHORIZED || !tokens.dropped(&token) {
            return Ok(answer);
        }
        drop(answer);
        let token = in_time(until, tokens.get()).await?;
        client.send(request.within(left()), &token.injected).await
    }
}

/// Getting a token counts for the time of the request that it is for.
async fn in_time<T>(
    until: Instant,
    token: impl Future<Output = Result<T, SendError>>,
) -> Result<T, SendError> {
    timeout_at(until, token)
        .await
        .unwrap_or_else(|_| Err(SendError::late_token()))
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0.kind {
            Kind::Fixed(injected) => format!("{injected:?}"),
            Kind::Tokens(_) => "tokens".to_owned(),
        };
        f.debug_tuple("Keeper").field(&kind).finish()
    }
}
