//! Who calls: credentials as they arrive, and the caller they stand for.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::Secret;
use crate::context::Transport;

/// What kind of identity a [`Caller`] has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallerKind {
    /// Nobody in particular: no credential was asked for.
    Anonymous,
    /// The user of this machine: standard input and output, or loopback without credentials.
    Local,
    /// A person, known by name.
    User,
    /// The holder of an API key.
    ApiKey,
    /// An OAuth 2.1 client with an access token.
    OAuthClient,
}

impl CallerKind {
    /// The name used in audit events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Local => "local",
            Self::User => "user",
            Self::ApiKey => "api_key",
            Self::OAuthClient => "oauth_client",
        }
    }
}

/// An authenticated identity, without the credential that proved it.
///
/// Sessions, tasks and subscriptions belong to a caller: two callers are the same exactly when
/// [`Caller::is_same`] says so.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Caller {
    /// Stable id, unique within its kind and issuer. Appears in audit events.
    pub id: Arc<str>,
    /// What kind of identity it is.
    pub kind: CallerKind,
    /// Who vouches for the id: the issuer of a token; empty for the gateway itself.
    pub issuer: Arc<str>,
    /// Roles, for policy.
    pub roles: Vec<String>,
    /// Groups, for policy.
    pub groups: Vec<String>,
    /// OAuth scopes that the credential carries.
    pub scopes: Vec<String>,
    /// Verified claims of the credential; never the credential.
    pub claims: Map<String, Value>,
}

impl Caller {
    /// A caller with nothing but an id and a kind.
    pub fn new(kind: CallerKind, id: impl Into<Arc<str>>) -> Self {
        Self {
            id: id.into(),
            kind,
            issuer: Arc::from(""),
            roles: Vec::new(),
            groups: Vec::new(),
            scopes: Vec::new(),
            claims: Map::new(),
        }
    }

    /// The caller without credentials.
    pub fn anonymous() -> Self {
        Self::new(CallerKind::Anonymous, "anonymous")
    }

    /// The user of this machine.
    pub fn local() -> Self {
        Self::new(CallerKind::Local, "local")
    }

    /// Sets the issuer.
    #[must_use]
    pub fn with_issuer(mut self, issuer: impl Into<Arc<str>>) -> Self {
        self.issuer = issuer.into();
        self
    }

    /// Sets the roles.
    #[must_use]
    pub fn with_roles<S: Into<String>>(mut self, roles: impl IntoIterator<Item = S>) -> Self {
        self.roles = roles.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the groups.
    #[must_use]
    pub fn with_groups<S: Into<String>>(mut self, groups: impl IntoIterator<Item = S>) -> Self {
        self.groups = groups.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the scopes.
    #[must_use]
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the verified claims.
    #[must_use]
    pub fn with_claims(mut self, claims: Map<String, Value>) -> Self {
        self.claims = claims;
        self
    }

    /// True when `other` is the same identity, whatever its rights are now.
    pub fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind && self.id == other.id && self.issuer == other.issuer
    }
}

/// How a configuration names one caller. An id alone is that of a caller whom the gateway itself knows:
/// by an API key, or as `local` or `anonymous`. Who has a token is named with its issuer, too: whoever
/// issues tokens gives ids, and may give one that somebody else has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CallerName {
    id: Arc<str>,
    issuer: Option<Arc<str>>,
}

impl CallerName {
    /// A caller whom the gateway itself knows.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self {
            id: id.into(),
            issuer: None,
        }
    }

    /// The holder of a token of this issuer instead; the empty text for tokens that name none.
    #[must_use]
    pub fn with_issuer(mut self, issuer: impl Into<Arc<str>>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// The name of this caller.
    pub fn of(caller: &Caller) -> Self {
        let issuer = match caller.kind {
            CallerKind::Anonymous | CallerKind::Local | CallerKind::ApiKey => None,
            CallerKind::User | CallerKind::OAuthClient => Some(Arc::clone(&caller.issuer)),
        };
        Self {
            id: Arc::clone(&caller.id),
            issuer,
        }
    }
}

/// What an adapter read off the wire, before anybody checked it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Credentials {
    /// Token of `Authorization: Bearer …` (RFC 6750 §2.1).
    pub bearer: Option<Secret<String>>,
    /// Value of the header for API keys, `X-API-Key` unless the adapter is told otherwise.
    pub api_key: Option<Secret<String>>,
    /// True when the header that carries a credential was there but not readable: another scheme,
    /// given twice, or not text.
    pub malformed: bool,
    /// What the adapter found wrong with the request itself, such as its signature: the authenticator
    /// is not asked.
    pub refused: Option<AuthnError>,
    /// Address of the client, after trusted proxies.
    pub client_addr: Option<IpAddr>,
    /// How the caller is connected.
    pub transport: Transport,
}

impl Credentials {
    /// No credential, over `transport`.
    pub fn none(transport: Transport) -> Self {
        Self {
            transport,
            ..Self::default()
        }
    }

    /// Sets the bearer token.
    #[must_use]
    pub fn with_bearer(mut self, token: impl Into<Secret<String>>) -> Self {
        self.bearer = Some(token.into());
        self
    }

    /// Sets the API key.
    #[must_use]
    pub fn with_api_key(mut self, key: impl Into<Secret<String>>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// Says that a credential was sent in a form that cannot be read.
    #[must_use]
    pub fn with_malformed(mut self) -> Self {
        self.malformed = true;
        self
    }

    /// Says that the request is refused, whoever it is from.
    #[must_use]
    pub fn with_refusal(mut self, refused: AuthnError) -> Self {
        self.refused = Some(refused);
        self
    }

    /// Sets the client's address.
    #[must_use]
    pub fn with_client_addr(mut self, addr: IpAddr) -> Self {
        self.client_addr = Some(addr);
        self
    }

    /// True when a credential was sent, readable or not.
    pub fn is_some(&self) -> bool {
        self.bearer.is_some() || self.api_key.is_some() || self.malformed
    }
}

/// What is wrong with the signature of a request, in words that the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureFault {
    /// There is none, and one is needed.
    Missing,
    /// It is not good, or not of all that it must cover.
    Invalid,
    /// It was made too long ago, or in the future.
    Expired,
    /// It was used before.
    Replayed,
}

impl SignatureFault {
    /// The word for it: `signature_missing`, `signature_invalid`, `signature_expired`,
    /// `signature_replayed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "signature_missing",
            Self::Invalid => "signature_invalid",
            Self::Expired => "signature_expired",
            Self::Replayed => "signature_replayed",
        }
    }
}

impl std::fmt::Display for SignatureFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why credentials did not make a caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthnError {
    /// None were sent and some are needed.
    #[error("no credentials were sent")]
    Missing,
    /// They were sent in a form that cannot be read (RFC 6750 §3.1 `invalid_request`).
    #[error("the credentials cannot be read")]
    Malformed,
    /// They are wrong, expired or revoked. Which one is for the log, not for the client.
    #[error("the credentials are not valid: {reason}")]
    Invalid {
        /// For the log.
        reason: String,
    },
    /// Nobody may come from the client's address. They were not looked at.
    #[error("the address of the client is refused: {reason}")]
    Address {
        /// For the log.
        reason: &'static str,
    },
    /// The request is not signed as it must be. Credentials were not looked at.
    #[error("{fault}: {reason}")]
    Signature {
        /// What the client is told.
        fault: SignatureFault,
        /// For the log.
        reason: &'static str,
    },
    /// They could not be checked now.
    #[error("credentials cannot be checked at the moment: {reason}")]
    Unavailable {
        /// For the log.
        reason: String,
    },
}

/// Turns credentials into a [`Caller`].
///
/// The gateway calls it for every request; it is never asked "the same session as before?". It must
/// compare secrets in constant time, or by digest, and must never put a credential into a
/// [`Caller`], an error or a log. It is cancelled by dropping the future.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Checks `credentials`.
    ///
    /// # Errors
    /// [`AuthnError::Missing`] only when no credential was sent at all; what was sent and is not
    /// good is [`AuthnError::Invalid`], never an anonymous caller.
    async fn authenticate(&self, credentials: &Credentials) -> Result<Arc<Caller>, AuthnError>;
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: Authenticator + ?Sized> Authenticator for Arc<T> {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Arc<Caller>, AuthnError> {
        (**self).authenticate(credentials).await
    }
}

/// Asks for no credentials: over stdio and in process everybody is [`Caller::local`], over HTTP
/// [`Caller::anonymous`]. What those may do is up to the policy.
#[derive(Debug, Clone)]
pub struct NoAuthentication {
    local: Arc<Caller>,
    anonymous: Arc<Caller>,
}

impl NoAuthentication {
    /// Asks for no credentials.
    pub fn new() -> Self {
        Self {
            local: Arc::new(Caller::local()),
            anonymous: Arc::new(Caller::anonymous()),
        }
    }
}

impl Default for NoAuthentication {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Authenticator for NoAuthentication {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Arc<Caller>, AuthnError> {
        Ok(match credentials.transport {
            Transport::Http => Arc::clone(&self.anonymous),
            Transport::Stdio | Transport::InProcess => Arc::clone(&self.local),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_one_caller_whoever_else_has_the_id() {
        let alone = CallerName::new("ann");
        let of_issuer = CallerName::new("ann").with_issuer("https://one");
        let of_nobody = CallerName::new("ann").with_issuer("");
        let named = |kind, issuer: &str| {
            let caller = Caller::new(kind, "ann").with_issuer(issuer);
            let name = CallerName::of(&caller);
            [&alone, &of_issuer, &of_nobody].map(|known| *known == name)
        };
        assert_eq!(named(CallerKind::ApiKey, ""), [true, false, false]);
        for kind in [CallerKind::User, CallerKind::OAuthClient] {
            assert_eq!(named(kind, "https://one"), [false, true, false]);
            assert_eq!(named(kind, "https://two"), [false; 3]);
            assert_eq!(named(kind, ""), [false, false, true]);
        }
        let local = CallerName::of(&Caller::local());
        assert_eq!(local, CallerName::new("local"));
    }
}
