//! Who calls: what comes over HTTP, made into a caller.
//!
//! A caller shows an API key or a token; a request may have to be signed besides. What the
//! configuration says of it is swapped as a whole when it is read anew: a request sees one version.

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderName;
use mcp_gw_core::{
    Authenticator, AuthnError, Caller, CallerKind, Clock, Credentials, NoAuthentication, Secret,
    Transport,
};
use sha2::{Digest as _, Sha256};

use crate::config::{Config, KeyError, MANAGEMENT_ISSUER, SecretError};
#[cfg(feature = "management")]
use crate::identity::{Identity, all_powerful, is_stored};
use crate::swap::Swap;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod jose;
mod jwks;
mod jwt;
mod key;
mod keys;
mod signature;

#[cfg(feature = "management")]
pub(crate) use jose::issuer_of;
#[cfg(feature = "management")]
pub(crate) use jwt::Tokens as JwtTokens;
pub(crate) use key::key_set_of_file;
#[cfg(feature = "cli")]
pub(crate) use keys::caller_of;
pub use signature::{PendingSignature, SignedHead};

use jwt::Tokens;
use keys::ApiKeys;
use signature::{Nonces, Signatures};

/// Why what a configuration says of callers cannot be put in force.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The API key of this caller.
    Key(String, KeyError),
    /// The secret at this place.
    Secret(String, SecretError),
}

/// Knows callers by what they show.
#[derive(Debug)]
pub(crate) struct Callers {
    keys: ApiKeys,
    tokens: Tokens,
    signatures: Option<Signatures>,
    /// Signatures that were used, also while none are asked for.
    used: Arc<Nonces>,
    api_key_header: HeaderName,
    /// Who comes over HTTP without a key or a token, if anybody may.
    without: Option<Arc<Caller>>,
    open: NoAuthentication,
    /// Users and keys in a database, if there are any.
    #[cfg(feature = "management")]
    stored: Option<Identity>,
    /// Of all secrets, to know when one is another: nothing else tells when a file of one has changed.
    fingerprint: [u8; 32],
}

impl Callers {
    /// The callers of a configuration. What `before` knows and cannot be had from the configuration is
    /// kept: keys that were fetched, signatures that were used.
    ///
    /// # Errors
    /// When a key or a secret cannot be had; a checked configuration has none such, unless a file
    /// changed since.
    pub(crate) fn of(
        config: &Config,
        before: Option<&Self>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Fault> {
        let auth = &config.auth;
        let keys = ApiKeys::of(config).map_err(|(id, error)| Fault::Key(id, error))?;
        let tokens = Tokens::of(&auth.jwt, before.map(|before| &before.tokens), clock);
        let tokens =
            tokens.map_err(|(index, error)| Fault::Secret(format!("auth.jwt[{index}]"), error))?;
        let used = before.map(|before| Arc::clone(&before.used));
        let used = used.unwrap_or_default();
        let signatures = match &auth.signature {
            None => None,
            Some(signed) => {
                let signatures =
                    Signatures::of(signed, &used, clock).map_err(|(index, error)| {
                        Fault::Secret(format!("auth.signature.keys[{index}]"), error)
                    })?;
                Some(signatures)
            }
        };
        let loopback = config
            .http
            .listen_address()
            .is_some_and(|address| address.ip().is_loopback());
        let without = if auth.anonymous {
            Some(Caller::anonymous())
        } else if config.knows_callers() {
            None
        } else if loopback {
            Some(Caller::local())
        } else {
            Some(Caller::anonymous())
        };
        Ok(Self {
            keys,
            tokens,
            signatures,
            used,
            // A checked configuration has a name that can be one.
            api_key_header: HeaderName::from_bytes(auth.api_key_header.as_bytes())
                .unwrap_or(API_KEY),
            without: without.map(Arc::new),
            open: NoAuthentication::new(),
            #[cfg(feature = "management")]
            stored: before.and_then(|before| before.stored.clone()),
            fingerprint: fingerprint(config),
        })
    }

    /// Knows the users and keys of a database, too, unless nobody is asked who they are.
    #[cfg(feature = "management")]
    pub(crate) fn with_stored(mut self, config: &Config, identity: Option<&Identity>) -> Self {
        let managed = config.management.as_ref();
        let is_asked = managed.is_some_and(|management| management.auth_enabled);
        self.stored = identity.filter(|_| is_asked).cloned();
        if managed.is_some() && !config.knows_callers() {
            let everything = |caller: Arc<Caller>| Arc::new(all_powerful((*caller).clone()));
            self.without = self.without.map(everything);
        }
        self
    }

    #[cfg(feature = "management")]
    const fn is_stored_known(&self) -> bool {
        self.stored.is_some()
    }

    #[cfg(not(feature = "management"))]
    #[expect(
        clippy::unused_self,
        reason = "with users in a database it looks for them"
    )]
    const fn is_stored_known(&self) -> bool {
        false
    }

    /// True when a caller is in the database; whether they still are is for others to see.
    #[cfg(feature = "management")]
    fn is_of_store(&self, caller: &Caller) -> bool {
        self.stored.is_some() && is_stored(caller)
    }

    #[cfg(not(feature = "management"))]
    #[expect(
        clippy::unused_self,
        reason = "with users in a database it looks for them"
    )]
    const fn is_of_store(&self, _: &Caller) -> bool {
        false
    }

    /// Begins to fetch the keys of issuers that are not there yet.
    pub(crate) fn prefetch(&self) {
        self.tokens.prefetch();
    }

    /// True when a caller who came in before comes in with the same rights now.
    pub(crate) fn knows(&self, caller: &Caller) -> bool {
        let mut now = self.keys.callers().chain(&self.without);
        now.any(|now| has_same_rights(now, caller))
            || self.tokens.knows(caller, has_same_rights)
            || self.is_of_store(caller)
            // Whoever holds the other end of standard input is not asked for a key.
            || (caller.kind == CallerKind::Local && self.without.is_none())
    }

    /// True when every key and secret stands for the same as in `other`.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let without = |callers: &Self| callers.without.as_ref().map(|caller| caller.kind);
        self.keys.is_same(&other.keys)
            && self.fingerprint == other.fingerprint
            && self.is_stored_known() == other.is_stored_known()
            && without(self) == without(other)
    }

    /// The caller that one credential stands for.
    async fn identify(
        &self,
        credential: &Secret<String>,
        is_bearer: bool,
    ) -> Result<Arc<Caller>, AuthnError> {
        if let Some(caller) = self.keys.find(credential) {
            return Ok(Arc::clone(caller));
        }
        #[cfg(feature = "management")]
        if let Some(identity) = &self.stored
            && Identity::is_ours(credential, is_bearer)
        {
            return identity.check(credential).await;
        }
        if !is_bearer || self.tokens.is_empty() {
            return Err(AuthnError::Invalid {
                reason: "unknown API key".to_owned(),
            });
        }
        Ok(self.tokens.check(credential.expose()).await?)
    }
}

/// The header of API keys, if nothing else is said.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Of what is in files: that they hold something else is not seen otherwise.
fn fingerprint(config: &Config) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        // Of the same length each, so that no two lists make one text.
        hash.update(Sha256::digest(part));
    };
    for issuer in &config.auth.jwt {
        if let Ok(Some(secret)) = issuer.secret() {
            add(secret.expose().as_bytes());
        }
        let file = issuer.jwks.as_ref().and_then(|jwks| jwks.file.as_ref());
        if let Some(bytes) = file.and_then(|file| std::fs::read(file).ok()) {
            add(&bytes);
        }
    }
    let signed = config.auth.signature.as_ref();
    for key in signed.into_iter().flat_map(|signed| &signed.keys) {
        if let Ok(secret) = key.bytes() {
            add(secret.expose().as_bytes());
        }
    }
    hash.finalize().into()
}

/// The same identity with the same rights.
pub(crate) fn has_same_rights(one: &Caller, other: &Caller) -> bool {
    one.is_same(other)
        && (&one.roles, &one.groups, &one.scopes, &one.claims)
            == (&other.roles, &other.groups, &other.scopes, &other.claims)
}

/// Which token or key of the database a caller came with: the name of it, which is no secret.
pub(crate) const CREDENTIAL: &str = "credential";

/// Until when that is good, in microseconds since 1970; not there where it has no end.
pub(crate) const CREDENTIAL_UNTIL: &str = "credential_until";

/// The same identity with the same rights, whichever of its tokens it came with.
pub(crate) fn is_alike(one: &Caller, other: &Caller) -> bool {
    if &*one.issuer != MANAGEMENT_ISSUER {
        return has_same_rights(one, other);
    }
    let facts = |caller: &Caller| {
        let mut facts = caller.claims.clone();
        facts.retain(|name, _| name != CREDENTIAL && name != CREDENTIAL_UNTIL);
        facts
    };
    one.is_same(other)
        && (&one.roles, &one.groups, &one.scopes) == (&other.roles, &other.groups, &other.scopes)
        && facts(one) == facts(other)
}

#[async_trait]
impl Authenticator for Callers {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Arc<Caller>, AuthnError> {
        if credentials.transport != Transport::Http {
            return self.open.authenticate(credentials).await;
        }
        let sent = [(&credentials.bearer, true), (&credentials.api_key, false)];
        let mut found: Option<Arc<Caller>> = None;
        // Where nothing is known, a token that some client always sends is nobody's concern.
        if !self.keys.is_empty() || !self.tokens.is_empty() || self.is_stored_known() {
            for (credential, is_bearer) in sent {
                let Some(credential) = credential else {
                    continue;
                };
                let caller = self.identify(credential, is_bearer).await?;
                if found.as_ref().is_some_and(|other| !caller.is_same(other)) {
                    return Err(AuthnError::Invalid {
                        reason: "two credentials of two callers".to_owned(),
                    });
                }
                found.get_or_insert(caller);
            }
        }
        let caller = found.or_else(|| self.without.clone());
        caller.ok_or(AuthnError::Missing)
    }
}

/// What an HTTP endpoint must know of authentication before it asks the gateway: where keys stand, and
/// how requests are signed. A clone is another handle to the same, which follows the configuration.
#[derive(Debug, Clone)]
pub struct Inbound(Swap<Callers>);

impl Inbound {
    pub(crate) const fn new(callers: Swap<Callers>) -> Self {
        Self(callers)
    }

    /// The header that an API key may stand in.
    pub fn api_key_header(&self) -> HeaderName {
        self.0.now().api_key_header.clone()
    }

    /// Looks at the signature of a request whose body was not read yet. `None` when there is none, and
    /// none is needed.
    ///
    /// # Errors
    /// [`AuthnError::Signature`] when it is missing, or cannot be good whatever the body is;
    /// [`AuthnError::Unavailable`] when too many are remembered to take another one.
    pub fn signature(&self, head: &SignedHead<'_>) -> Result<Option<PendingSignature>, AuthnError> {
        match &self.0.now().signatures {
            Some(signatures) => signatures.begin(head),
            None => Ok(None),
        }
    }

    /// What `Accept-Signature` says to a client that has not signed a request of this method (RFC 9421
    /// §5.1).
    pub fn accept_signature(&self, method: &str) -> Option<String> {
        self.0.now().signatures.as_ref()?.accept(method)
    }
}

#[cfg(test)]
mod tests;
