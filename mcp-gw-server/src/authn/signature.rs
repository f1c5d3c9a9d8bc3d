//! Signatures of requests: HMAC-SHA256 with a secret that both sides know.
//!
//! Two forms: HTTP Message Signatures (RFC 9421) with a digest of the body (RFC 9530), and a compact
//! one in a single header. Either covers method, path, query and body, is good for a short time, and
//! good once.

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, HeaderName, Uri};
use mcp_gw_core::{AuthnError, Caller, CallerName, Clock, SignatureFault};
use ring::hmac;
use sha2::{Digest as _, Sha256};

use crate::config::{SecretError, SignatureConfig, SignatureProfile};

mod compact;
mod message;
mod nonces;

use compact::Compact;
use nonces::{Nonces, Seen};

/// The head of a request, as it came over the wire.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SignedHead<'a> {
    /// The method.
    pub method: &'a str,
    /// `Host`, or `:authority` of HTTP/2.
    pub host: Option<&'a str>,
    /// The target, with the whole path.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
}

impl<'a> SignedHead<'a> {
    /// The head of a request.
    pub const fn new(
        method: &'a str,
        host: Option<&'a str>,
        uri: &'a Uri,
        headers: &'a HeaderMap,
    ) -> Self {
        Self {
            method,
            host,
            uri,
            headers,
        }
    }

    /// True when it says what its body must be.
    fn has_body(&self) -> bool {
        !matches!(self.method, "GET" | "DELETE" | "HEAD" | "OPTIONS")
    }

    /// The path; an empty one is `/` (RFC 9421 §2.2.6).
    fn path(&self) -> &'a str {
        match self.uri.path() {
            "" => "/",
            path => path,
        }
    }
}

/// Why a signature is refused: what the client is told, and what the log is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) SignatureFault, pub(crate) &'static str);

impl From<Refused> for AuthnError {
    fn from(Refused(fault, reason): Refused) -> Self {
        Self::Signature { fault, reason }
    }
}

const fn invalid(reason: &'static str) -> Refused {
    Refused(SignatureFault::Invalid, reason)
}

/// A key that requests may be signed with.
struct SigningKey {
    id: Arc<str>,
    key: hmac::Key,
    caller: Option<CallerName>,
}

/// Checks signatures.
pub(crate) struct Signatures {
    keys: Vec<SigningKey>,
    required: bool,
    rfc9421: bool,
    header: Option<HeaderName>,
    tag: Option<String>,
    max_age: u64,
    max_skew: u64,
    nonces: Arc<Nonces>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Signatures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<_> = self.keys.iter().map(|key| &key.id).collect();
        f.debug_struct("Signatures")
            .field("keys", &keys)
            .finish_non_exhaustive()
    }
}

/// A signature that was found, and what of it is left to be checked: the body.
#[derive(Debug)]
#[must_use = "a signature is good when its body was looked at"]
pub struct PendingSignature {
    left: Left,
    key: Option<Arc<str>>,
    caller: Option<CallerName>,
}

enum Left {
    /// The signature is good, and covers this digest of the body.
    Digest([u8; 32]),
    /// The signature is good, and the request has no body.
    Nothing,
    /// Nothing of it is known to be good.
    Compact(Box<CompactLeft>),
}

struct CompactLeft {
    signature: Compact,
    /// What is signed, but for the digest of the body.
    beginning: String,
    keys: Vec<(Arc<str>, hmac::Key, Option<CallerName>)>,
    /// Signatures from before were too old when this one came.
    oldest: u64,
    nonces: Arc<Nonces>,
}

impl std::fmt::Debug for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Digest(_) => "Digest",
            Self::Nothing => "Nothing",
            Self::Compact(_) => "Compact",
        })
    }
}

impl PendingSignature {
    /// True when nothing is known of it without the body: that is read before anybody is asked who the
    /// caller is.
    pub const fn needs_body(&self) -> bool {
        matches!(self.left, Left::Compact(_))
    }

    /// Looks at the body: all of it, as it came; nothing for a request that has none.
    ///
    /// # Errors
    /// [`AuthnError::Signature`] when the body is not what was signed, or the signature was there
    /// before; [`AuthnError::Unavailable`] when too many are remembered to take another one.
    pub fn check_body(&mut self, body: &[u8]) -> Result<(), AuthnError> {
        match &self.left {
            Left::Nothing => Ok(()),
            Left::Digest(digest) => {
                let is_signed = <[u8; 32]>::from(Sha256::digest(body)) == *digest;
                let refused = || invalid("the body is not what its digest says");
                is_signed.then_some(()).ok_or_else(|| refused().into())
            }
            Left::Compact(left) => {
                let (key, caller) = left.check(body)?;
                (self.key, self.caller) = (Some(key), caller);
                self.left = Left::Nothing;
                Ok(())
            }
        }
    }

    /// Whether a request of the caller may be signed with this key.
    ///
    /// # Errors
    /// [`AuthnError::Signature`] when the key is somebody else's.
    pub fn check_caller(&self, caller: &Caller) -> Result<(), AuthnError> {
        match &self.caller {
            Some(name) if *name != CallerName::of(caller) => {
                Err(invalid("the key is for requests of another caller").into())
            }
            _ => Ok(()),
        }
    }

    /// The name of the key, as far as it is known.
    pub fn key_id(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

impl Signatures {
    /// What the configuration says. Signatures that `before` remembers are not forgotten.
    ///
    /// # Errors
    /// When a secret cannot be had, with the index of its key.
    pub(crate) fn of(
        config: &SignatureConfig,
        before: Option<&Self>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, (usize, SecretError)> {
        let keys = config.keys.iter().enumerate().map(|(index, key)| {
            let secret = key.bytes().map_err(|error| (index, error))?;
            Ok(SigningKey {
                id: Arc::from(key.id.as_str()),
                key: hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()),
                caller: key.caller.as_deref().map(|caller| {
                    let name = CallerName::new(caller);
                    match &key.issuer {
                        Some(issuer) => name.with_issuer(issuer.as_str()),
                        None => name,
                    }
                }),
            })
        });
        let has = |profile| config.profiles.contains(&profile);
        let header = HeaderName::from_bytes(config.header.as_bytes()).ok();
        let nonces = before.map(|before| Arc::clone(&before.nonces));
        let nonces = nonces.unwrap_or_default();
        nonces.set_room(usize::try_from(config.max_nonces).unwrap_or(usize::MAX));
        Ok(Self {
            keys: keys.collect::<Result<_, _>>()?,
            required: config.required,
            rfc9421: has(SignatureProfile::Rfc9421),
            header: header.filter(|_| has(SignatureProfile::Compact)),
            tag: config.tag.clone(),
            max_age: config.max_age.get().as_secs(),
            max_skew: config.max_skew.get().as_secs(),
            nonces,
            clock: Arc::clone(clock),
        })
    }

    /// Looks at what can be checked without the body.
    pub(crate) fn begin(
        &self,
        head: &SignedHead<'_>,
    ) -> Result<Option<PendingSignature>, AuthnError> {
        let is_there = |name: &str| head.headers.contains_key(name);
        let message = self.rfc9421 && (is_there("signature") || is_there("signature-input"));
        let compact = self.header.as_ref();
        let compact = compact.filter(|name| head.headers.contains_key(*name));
        match (message, compact) {
            (true, None) => self.message(head).map(Some),
            (false, Some(name)) => self.compact(head, name).map(Some),
            (true, Some(_)) => Err(invalid("there are signatures of two forms").into()),
            (false, None) if self.required => {
                Err(Refused(SignatureFault::Missing, "there is no signature").into())
            }
            (false, None) => Ok(None),
        }
    }

    fn message(&self, head: &SignedHead<'_>) -> Result<PendingSignature, AuthnError> {
        let signed = message::read(head, self.tag.as_deref())?;
        let mut refused = invalid("nobody knows the key of the signature");
        for signature in signed {
            let key = self.keys.iter().find(|key| *key.id == *signature.keyid);
            let Some(key) = key else {
                continue;
            };
            self.in_time(signature.created, signature.expires)?;
            let digest = match signature.check(head, &key.key) {
                Ok(digest) => digest,
                Err(reason) => {
                    refused = invalid(reason);
                    continue;
                }
            };
            remember(
                &self.nonces,
                (&key.id, signature.nonce.as_bytes()),
                (signature.created, self.oldest()),
            )?;
            return Ok(PendingSignature {
                left: digest.map_or(Left::Nothing, Left::Digest),
                key: Some(Arc::clone(&key.id)),
                caller: key.caller.clone(),
            });
        }
        Err(refused.into())
    }

    fn compact(
        &self,
        head: &SignedHead<'_>,
        name: &HeaderName,
    ) -> Result<PendingSignature, AuthnError> {
        let mut lines = head.headers.get_all(name).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return Err(invalid("the header of the signature is there twice").into());
        };
        let line = line
            .to_str()
            .map_err(|_| invalid("the signature is no text"))?;
        let signature = Compact::parse(line).map_err(invalid)?;
        self.in_time(signature.time, None)?;
        let named = |key: &&SigningKey| signature.key.as_ref().is_none_or(|id| **id == *key.id);
        let keys = self.keys.iter().filter(named);
        let keys = keys.map(|key| (Arc::clone(&key.id), key.key.clone(), key.caller.clone()));
        let keys: Vec<_> = keys.collect();
        if keys.is_empty() {
            return Err(invalid("nobody knows the key of the signature").into());
        }
        let left = CompactLeft {
            beginning: signature.beginning(head),
            signature,
            keys,
            oldest: self.oldest(),
            nonces: Arc::clone(&self.nonces),
        };
        Ok(PendingSignature {
            left: Left::Compact(Box::new(left)),
            key: None,
            caller: None,
        })
    }

    /// Seconds since 1970.
    fn now(&self) -> u64 {
        let since = self.clock.wall().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }

    /// Signatures from before are too old.
    fn oldest(&self) -> u64 {
        self.now().saturating_sub(self.max_age)
    }

    /// Whether a signature of that time is good now.
    fn in_time(&self, created: u64, expires: Option<u64>) -> Result<(), Refused> {
        let now = self.now();
        let refuse = |reason| Err(Refused(SignatureFault::Expired, reason));
        if created > now.saturating_add(self.max_skew) {
            return refuse("the signature was made in the future");
        }
        if now.saturating_sub(created) > self.max_age {
            return refuse("the signature is too old");
        }
        if expires.is_some_and(|expires| expires < now) {
            return refuse("the signature has expired");
        }
        Ok(())
    }

    /// What is asked for, where it is not there (RFC 9421 §5.1).
    pub(crate) fn accept(&self) -> Option<String> {
        let tag = self.tag.as_deref();
        self.rfc9421.then(|| message::accept(tag)).flatten()
    }
}

impl CompactLeft {
    /// The key that it is signed with, and whose that is.
    fn check(&self, body: &[u8]) -> Result<(Arc<str>, Option<CallerName>), AuthnError> {
        let text = compact::whole(&self.beginning, body);
        for (id, key, caller) in &self.keys {
            let mut macs = self.signature.macs.iter();
            // In constant time.
            let mac = macs.find(|mac| hmac::verify(key, text.as_bytes(), &mac[..]).is_ok());
            let Some(mac) = mac else {
                continue;
            };
            // Without a number used once the signature itself is one.
            let nonce = self.signature.nonce.as_ref();
            let nonce = nonce.map_or(&mac[..], |nonce| nonce.as_bytes());
            let created = self.signature.time;
            remember(&self.nonces, (id, nonce), (created, self.oldest))?;
            return Ok((Arc::clone(id), caller.clone()));
        }
        Err(invalid("the signature is not good").into())
    }
}

/// Takes a signature that is good, unless it was there before.
fn remember(
    nonces: &Nonces,
    (key, nonce): (&Arc<str>, &[u8]),
    (created, oldest): (u64, u64),
) -> Result<(), AuthnError> {
    match nonces.take(key, nonce, created, oldest) {
        Seen::Never => Ok(()),
        Seen::Before => {
            Err(Refused(SignatureFault::Replayed, "the signature was used before").into())
        }
        Seen::TooOld => Err(Refused(SignatureFault::Expired, "the signature is too old").into()),
        Seen::NoRoom => Err(AuthnError::Unavailable {
            reason: "too many signatures are remembered (`auth.signature.max_nonces`)".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests;
