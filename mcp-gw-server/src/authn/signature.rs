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
pub(crate) use nonces::Nonces;
use nonces::{OfSecret, Seen, Use};

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
        has_body(self.method)
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
#[derive(Clone)]
struct SigningKey {
    id: Arc<str>,
    key: hmac::Key,
    secret: OfSecret,
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
    /// What is spent when the body is right.
    spent: Option<Spent>,
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
    keys: Vec<SigningKey>,
    /// Signatures from before were too old when this one came.
    oldest: u64,
    nonces: Arc<Nonces>,
}

/// All good signatures of a request: neither can be sent again without the other.
struct Spent {
    uses: Vec<Use>,
    /// Signatures from before were too old when these came.
    oldest: u64,
    nonces: Arc<Nonces>,
}

impl std::fmt::Debug for Spent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spent").finish_non_exhaustive()
    }
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
            Left::Nothing => {}
            Left::Digest(digest) => {
                if <[u8; 32]>::from(Sha256::digest(body)) != *digest {
                    return Err(invalid("the body is not what its digest says").into());
                }
            }
            Left::Compact(left) => {
                let (key, spent) = left.check(body)?;
                (self.key, self.caller) = (Some(key.id), key.caller);
                self.spent = Some(spent);
                self.left = Left::Nothing;
            }
        }
        // Not before: who saw the head of a request could have the whole one refused.
        match self.spent.take() {
            Some(spent) => refused(spent.nonces.take(&spent.uses, spent.oldest)),
            None => Ok(()),
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
    /// What the configuration says. Signatures that `nonces` remembers are not forgotten.
    ///
    /// # Errors
    /// When a secret cannot be had, with the index of its key.
    pub(crate) fn of(
        config: &SignatureConfig,
        nonces: &Arc<Nonces>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, (usize, SecretError)> {
        let keys = config.keys.iter().enumerate().map(|(index, key)| {
            let secret = key.bytes().map_err(|error| (index, error))?;
            let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
            Ok(SigningKey {
                id: Arc::from(key.id.as_str()),
                secret: known_by(&secret),
                key: secret,
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
        nonces.set_room(usize::try_from(config.max_nonces).unwrap_or(usize::MAX));
        let signatures = Self {
            keys: keys.collect::<Result<_, _>>()?,
            required: config.required,
            rfc9421: has(SignatureProfile::Rfc9421),
            header: header.filter(|_| has(SignatureProfile::Compact)),
            tag: config.tag.clone(),
            max_age: config.max_age.get().as_secs(),
            max_skew: config.max_skew.get().as_secs(),
            nonces: Arc::clone(nonces),
            clock: Arc::clone(clock),
        };
        let oldest = signatures.now().saturating_sub(LONGEST_REMEMBERED);
        signatures.nonces.forget(oldest);
        Ok(signatures)
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
        let mut why = invalid("nobody knows the key of the signature");
        let mut good = Vec::new();
        for signature in signed {
            let key = self.keys.iter().find(|key| *key.id == *signature.keyid);
            let Some(key) = key else {
                continue;
            };
            // Before the time: who has no key is told nothing of those that there are.
            let checked = signature.check(head, &key.key).map_err(invalid);
            let checked = checked.and_then(|digest| {
                self.in_time(signature.created, signature.expires)?;
                Ok(digest)
            });
            match checked {
                Ok(digest) => good.push((key, signature, digest)),
                Err(refused) if why.0 != SignatureFault::Expired => why = refused,
                Err(_) => {}
            }
        }
        let Some((key, _, digest)) = good.first() else {
            return Err(why.into());
        };
        let uses = good.iter().map(|(key, signature, _)| {
            Use::new(key.secret, signature.nonce.as_bytes(), signature.created)
        });
        let spent = Spent {
            uses: uses.collect(),
            oldest: self.oldest(),
            nonces: Arc::clone(&self.nonces),
        };
        refused(spent.nonces.look(&spent.uses, spent.oldest))?;
        Ok(PendingSignature {
            left: digest.map_or(Left::Nothing, Left::Digest),
            spent: Some(spent),
            key: Some(Arc::clone(&key.id)),
            caller: key.caller.clone(),
        })
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
        if !self.keys.iter().any(|key| signature.is_by(&key.id)) {
            return Err(invalid("nobody knows the key of the signature").into());
        }
        let left = CompactLeft {
            beginning: signature.beginning(head),
            signature,
            keys: self.keys.clone(),
            oldest: self.oldest(),
            nonces: Arc::clone(&self.nonces),
        };
        Ok(PendingSignature {
            left: Left::Compact(Box::new(left)),
            spent: None,
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

    /// What is asked for, where it is not there (RFC 9421 §5.1), in a request of this method.
    pub(crate) fn accept(&self, method: &str) -> Option<String> {
        let tag = self.tag.as_deref();
        let made = || message::accept(tag, has_body(method));
        self.rfc9421.then(made).flatten()
    }
}

impl CompactLeft {
    /// The key that it is signed with, and what is spent by that: every good MAC, also those of keys
    /// that it does not name, which it could name the next time.
    fn check(&self, body: &[u8]) -> Result<(SigningKey, Spent), AuthnError> {
        let text = compact::whole(&self.beginning, body);
        let mut uses = Vec::new();
        let mut good = None;
        for key in &self.keys {
            for mac in &self.signature.macs {
                // In constant time.
                if hmac::verify(&key.key, text.as_bytes(), &mac[..]).is_err() {
                    continue;
                }
                // Without a number used once the signature itself is one.
                let nonce = self.signature.nonce.as_ref();
                let nonce = nonce.map_or(&mac[..], |nonce| nonce.as_bytes());
                uses.push(Use::new(key.secret, nonce, self.signature.time));
                if self.signature.is_by(&key.id) {
                    good.get_or_insert(key);
                }
            }
        }
        let key = good.ok_or_else(|| invalid("the signature is not good"))?;
        let spent = Spent {
            uses,
            oldest: self.oldest,
            nonces: Arc::clone(&self.nonces),
        };
        Ok((key.clone(), spent))
    }
}

/// True for methods whose requests have a body.
fn has_body(method: &str) -> bool {
    !matches!(method, "GET" | "DELETE" | "HEAD" | "OPTIONS")
}

/// What signatures by a secret are remembered by.
fn known_by(key: &hmac::Key) -> OfSecret {
    let tag = hmac::sign(key, b"mcp-gw: signatures that were used");
    let mut known = [0; 32];
    for (to, from) in known.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    known
}

/// Whether signatures are taken of which that is known.
fn refused(seen: Seen) -> Result<(), AuthnError> {
    match seen {
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

/// No configuration takes signatures that are older, in seconds.
const LONGEST_REMEMBERED: u64 = 15 * 60;

#[cfg(test)]
mod tests;
