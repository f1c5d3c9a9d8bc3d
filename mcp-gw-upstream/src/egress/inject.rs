//! The credential that goes with a request, once it has been found.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{HeaderName, HeaderValue};
use mcp_gw_core::Secret;

use crate::egress::headers;

/// Whose credential it is: connections are shared by requests with the same one only (E-12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CredentialId(u64);

impl CredentialId {
    /// Requests without a credential.
    pub const NONE: Self = Self(0);

    /// Of one request only.
    pub(crate) const ALONE: Self = Self(u64::MAX);

    /// One that no other credential of this process has.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The same for no other.
    pub(crate) const fn number(self) -> u64 {
        self.0
    }
}

/// What a credential adds to a request: headers and query parameters. Nothing of it is shown.
#[derive(Clone)]
pub struct Injected {
    pub(crate) id: CredentialId,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) query: Vec<(String, Secret<String>)>,
    /// What must not come back to the caller.
    pub(crate) secrets: Vec<Secret<String>>,
}

impl Injected {
    /// Nothing.
    pub const fn none() -> Self {
        Self::new(CredentialId::NONE)
    }

    /// What is added for the credential `id`, of which [`with_header`](Self::with_header) and
    /// [`with_query`](Self::with_query) say more.
    pub const fn new(id: CredentialId) -> Self {
        Self {
            id,
            headers: Vec::new(),
            query: Vec::new(),
            secrets: Vec::new(),
        }
    }

    /// With this header. `secret` is the part of its value that must not come back to the caller.
    ///
    /// # Errors
    /// When it cannot be sent, or is about the connection.
    pub fn with_header(
        mut self,
        name: HeaderName,
        value: &Secret<String>,
        secret: &Secret<String>,
    ) -> Result<Self, InjectError> {
        let mut value = headers::checked_value(value.expose()).ok_or(InjectError::Value)?;
        if headers::is_of_message(&name) {
            return Err(InjectError::Header(name));
        }
        value.set_sensitive(true);
        self.secrets.push(secret.clone());
        self.headers.push((name, value));
        Ok(self)
    }

    /// With this query parameter, neither part of it encoded.
    #[must_use]
    pub fn with_query(mut self, name: impl Into<String>, value: &Secret<String>) -> Self {
        self.secrets.push(value.clone());
        self.query.push((name.into(), value.clone()));
        self
    }

    /// With one more text that must not come back to the caller.
    #[must_use]
    pub fn hiding(mut self, secret: &Secret<String>) -> Self {
        self.secrets.push(secret.clone());
        self
    }

    /// A token that came with the call (C-4), as `Authorization: Bearer`. Its connection is not kept for
    /// others.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn bearer_of_call(token: &Secret<String>) -> Result<Self, InjectError> {
        let value = Secret::new(format!("Bearer {}", token.expose()));
        Self::new(CredentialId::ALONE).with_header(http::header::AUTHORIZATION, &value, token)
    }

    /// Whose credential it is.
    pub const fn id(&self) -> CredentialId {
        self.id
    }

    /// The names of the headers that it sets.
    pub fn header_names(&self) -> impl Iterator<Item = &HeaderName> {
        self.headers.iter().map(|(name, _)| name)
    }

    /// The names of the query parameters that it sets.
    pub fn query_names(&self) -> impl Iterator<Item = &str> {
        self.query.iter().map(|(name, _)| &**name)
    }
}

/// Why a credential cannot be sent. Says nothing of its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InjectError {
    /// The value has characters that no header may have.
    #[error("the credential has characters that no header may have")]
    Value,
    /// The header is not one for credentials.
    #[error("the header {0} cannot carry a credential")]
    Header(HeaderName),
}

impl fmt::Debug for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Injected")
            .field("headers", &self.header_names().collect::<Vec<_>>())
            .field("query", &self.query_names().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
