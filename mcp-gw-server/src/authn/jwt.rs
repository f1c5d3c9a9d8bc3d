//! Callers that show a token of an issuer: JSON Web Tokens (RFC 7519) as access tokens (RFC 9068),
//! checked as RFC 8725 says.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use mcp_gw_core::{AuthnError, Caller, CallerKind, Clock};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::jose::{Reason, Token};
use super::jwks::Jwks;
use super::key::{Found, Key, KeySet, key_set_of_file};
use crate::config::{ClaimsConfig, DurationText, JwtAlgorithm, JwtConfig, SecretError};

/// The longest id of a caller, in bytes.
const LONGEST_ID: usize = 256;

/// Of so many tokens of an issuer it is remembered that they were signed well. When there are more, all
/// are forgotten and looked at again.
const MOST_REMEMBERED: usize = 1024;

/// Ids that callers without a credential have.
const RESERVED: [&str; 2] = ["anonymous", "local"];

/// The issuers whose tokens are taken.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    issuers: Vec<Issuer>,
}

/// One entry of `auth.jwt`.
pub(crate) struct Issuer {
    name: Option<String>,
    audience: Vec<String>,
    any_audience: bool,
    algorithms: Vec<JwtAlgorithm>,
    keys: Keys,
    max_age: Option<Duration>,
    leeway: Duration,
    claims: ClaimsConfig,
    signed: Mutex<Signed>,
    clock: Arc<dyn Clock>,
}

/// Tokens that were signed by keys of one set, by their digests: clients show one token many times, and
/// a signature takes longer to check than everything else. Only that is not done again.
#[derive(Default)]
struct Signed {
    set: Option<Arc<KeySet>>,
    callers: HashMap<[u8; 32], Arc<Caller>>,
}

impl Signed {
    fn find(&self, set: &Arc<KeySet>, token: &[u8; 32]) -> Option<Arc<Caller>> {
        let is_of_set = self.set.as_ref().is_some_and(|of| Arc::ptr_eq(of, set));
        self.callers.get(token).filter(|_| is_of_set).cloned()
    }

    fn add(&mut self, set: &Arc<KeySet>, token: [u8; 32], caller: &Arc<Caller>) {
        let is_of_set = self.set.as_ref().is_some_and(|of| Arc::ptr_eq(of, set));
        if !is_of_set || self.callers.len() >= MOST_REMEMBERED {
            self.callers.clear();
            self.set = Some(Arc::clone(set));
        }
        self.callers.insert(token, Arc::clone(caller));
    }
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

enum Keys {
    Known(Arc<KeySet>),
    Fetched { url: String, jwks: Jwks },
}

/// Why a token makes no caller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Invalid(Reason),
    Unavailable(String),
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self::Invalid(reason)
    }
}

impl From<Refused> for AuthnError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid(reason) => Self::Invalid {
                reason: reason.to_owned(),
            },
            Refused::Unavailable(reason) => Self::Unavailable { reason },
        }
    }
}

impl Tokens {
    /// The issuers of a configuration; keys that `before` has fetched from the same address are kept.
    ///
    /// # Errors
    /// When a secret or the keys of a file cannot be had, with the index of the issuer.
    pub(crate) fn of(
        all: &[JwtConfig],
        before: Option<&Self>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, (usize, SecretError)> {
        let issuers = all.iter().enumerate().map(|(index, config)| {
            Issuer::of(config, before, clock).map_err(|error| (index, error))
        });
        let issuers = issuers.collect::<Result<_, _>>()?;
        Ok(Self { issuers })
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// Begins to fetch the keys that are not there yet.
    pub(crate) fn prefetch(&self) {
        for issuer in &self.issuers {
            if let Keys::Fetched { jwks, .. } = &issuer.keys {
                jwks.prefetch();
            }
        }
    }

    /// The caller that a token stands for.
    pub(crate) async fn check(&self, text: &str) -> Result<Arc<Caller>, Refused> {
        let token = Token::parse(text)?;
        let claimed = token.claims.get("iss").and_then(Value::as_str);
        let mut refused = Refused::Invalid("nobody knows the issuer of the token");
        for issuer in self.of_name(claimed) {
            match issuer.check(text, &token).await {
                Ok(caller) => return Ok(caller),
                // That one could not be asked says more than that another one does not know it.
                Err(error) if !matches!(refused, Refused::Unavailable(_)) => refused = error,
                Err(_) => {}
            }
        }
        Err(refused)
    }

    /// The entries for tokens with this `iss`. Those without a name are for tokens that no other entry
    /// is for: who has their secret cannot speak for the issuers that have a name.
    fn of_name(&self, claimed: Option<&str>) -> impl Iterator<Item = &Issuer> {
        let is_named = |issuer: &&Issuer| claimed.is_some() && issuer.name.as_deref() == claimed;
        let has_name = self.issuers.iter().any(|issuer| is_named(&issuer));
        self.issuers.iter().filter(move |issuer| {
            if has_name {
                claimed.is_some() && issuer.name.as_deref() == claimed
            } else {
                issuer.name.is_none()
            }
        })
    }

    /// The keys that were fetched from this address.
    fn fetched(&self, address: &str) -> Option<&Jwks> {
        self.issuers.iter().find_map(|issuer| match &issuer.keys {
            Keys::Fetched { url, jwks } if url == address => Some(jwks),
            _ => None,
        })
    }

    /// True when a token with these claims makes the same caller still, as long as it is good.
    pub(crate) fn knows(
        &self,
        caller: &Caller,
        is_same: impl Fn(&Caller, &Caller) -> bool,
    ) -> bool {
        let claimed = caller.claims.get("iss").and_then(Value::as_str);
        self.of_name(claimed).any(|issuer| {
            issuer.is_for(&caller.claims).is_ok()
                && issuer
                    .caller(&caller.claims)
                    .is_ok_and(|now| is_same(&now, caller))
        })
    }
}

impl Issuer {
    fn of(
        config: &JwtConfig,
        before: Option<&Tokens>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, SecretError> {
        let known = |set| Keys::Known(Arc::new(set));
        let keys = match (config.secret()?, &config.jwks) {
            (Some(secret), _) => known(KeySet::of(Key::shared(&secret))),
            (None, None) => return Err(SecretError::Source),
            (None, Some(published)) => {
                if let Some(file) = &published.file {
                    known(key_set_of_file(file)?)
                } else {
                    let jwks = Jwks::of(published, clock).ok_or(SecretError::Source)?;
                    let url = published.url.clone().unwrap_or_default();
                    if let Some(fetched) = before.and_then(|before| before.fetched(&url)) {
                        jwks.take_over(fetched);
                    }
                    Keys::Fetched { url, jwks }
                }
            }
        };
        Ok(Self {
            name: config.issuer.clone(),
            audience: config.audience.clone(),
            any_audience: config.any_audience,
            algorithms: config.allowed(),
            keys,
            max_age: config.max_age.map(DurationText::get),
            leeway: config.leeway.get(),
            claims: config.claims.clone(),
            signed: Mutex::default(),
            clock: Arc::clone(clock),
        })
    }

    async fn check(&self, text: &str, token: &Token<'_>) -> Result<Arc<Caller>, Refused> {
        if !self.algorithms.contains(&token.algorithm) {
            return Err("the token is signed by an algorithm that is not allowed".into());
        }
        // Cheap before dear: nobody's keys are fetched for a token that is not for this gateway.
        self.is_for(&token.claims)?;
        self.is_in_time(&token.claims)?;
        let mut set = match &self.keys {
            Keys::Known(set) => Arc::clone(set),
            Keys::Fetched { jwks, .. } => jwks.keys().await.map_err(Refused::Unavailable)?,
        };
        let digest = Sha256::digest(text).into();
        if let Some(caller) = self.signed().find(&set, &digest) {
            return Ok(caller);
        }
        let mut is_good = is_signed(&set, token);
        if let (None, Keys::Fetched { jwks, .. }) = (is_good, &self.keys)
            && let Some(newer) = jwks.newer_keys().await
        {
            is_good = is_signed(&newer, token);
            set = newer;
        }
        match is_good {
            Some(true) => {
                let caller = Arc::new(self.caller(&token.claims)?);
                self.signed().add(&set, digest, &caller);
                Ok(caller)
            }
            Some(false) => Err("the signature of the token is not good".into()),
            None => Err("nobody knows the key of the token".into()),
        }
    }

    fn signed(&self) -> std::sync::MutexGuard<'_, Signed> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `iss` and `aud` are right (RFC 7519 §4.1.1, §4.1.3).
    fn is_for(&self, claims: &Map<String, Value>) -> Result<(), Reason> {
        let issuer = match claims.get("iss") {
            None => None,
            Some(Value::String(issuer)) => Some(issuer),
            Some(_) => return Err("the issuer of the token is not a text"),
        };
        if self.name.is_some() && self.name.as_ref() != issuer {
            return Err("the token is of another issuer");
        }
        let ours = |audience: &Value| audience.as_str().is_some_and(|a| self.is_audience(a));
        match claims.get("aud") {
            None if self.audience.is_empty() => Ok(()),
            None => Err("the token says nothing of whom it is for"),
            Some(Value::String(audience)) if self.is_audience(audience) => Ok(()),
            Some(Value::Array(all)) if all.iter().all(Value::is_string) && all.iter().any(ours) => {
                Ok(())
            }
            Some(Value::String(_) | Value::Array(_)) => Err("the token is for somebody else"),
            Some(_) => Err("whom the token is for is not a text"),
        }
    }

    fn is_audience(&self, audience: &str) -> bool {
        self.any_audience || self.audience.iter().any(|ours| ours == audience)
    }

    /// Whether it is good now (RFC 7519 §4.1.4 to §4.1.6).
    fn is_in_time(&self, claims: &Map<String, Value>) -> Result<(), Reason> {
        let since = self.clock.wall().duration_since(SystemTime::UNIX_EPOCH);
        let now = since.map_or(0.0, |since| since.as_secs_f64());
        let leeway = self.leeway.as_secs_f64();
        let date = |name| match claims.get(name) {
            None => Ok(None),
            // JSON has no infinite numbers.
            Some(Value::Number(number)) => Ok(number.as_f64()),
            Some(_) => Err("a date of the token is not a number"),
        };
        let expires = date("exp")?.ok_or("the token never expires")?;
        if expires + leeway <= now {
            return Err("the token has expired");
        }
        if date("nbf")?.is_some_and(|begins| begins - leeway > now) {
            return Err("the token is not good yet");
        }
        let issued = date("iat")?;
        if issued.is_some_and(|issued| issued - leeway > now) {
            return Err("the token was issued in the future");
        }
        if let Some(max_age) = self.max_age {
            let issued = issued.ok_or("the token does not say how old it is")?;
            if now - issued > max_age.as_secs_f64() + leeway {
                return Err("the token is too old");
            }
        }
        Ok(())
    }

    /// Whom the claims stand for. Claims of another form than expected are refused: a role that is not
    /// seen is one that no rule can refuse.
    fn caller(&self, claims: &Map<String, Value>) -> Result<Caller, Reason> {
        let names = &self.claims;
        let id = match at(claims, &names.id) {
            Some(Value::String(id)) => id.as_str(),
            Some(_) => return Err("the id in the token is not a text"),
            None => return Err("the token does not say whose it is"),
        };
        if id.is_empty() || id.len() > LONGEST_ID || id.chars().any(char::is_control) {
            return Err("the id in the token is empty, too long, or no plain text");
        }
        if RESERVED.contains(&id) {
            return Err("the id in the token stands for callers without one");
        }
        let mut scopes = Vec::new();
        match &names.scopes {
            Some(name) => scopes = texts(at(claims, name), true)?,
            // RFC 9068 §2.2.3, and what Okta and Entra write.
            None => {
                for name in ["scope", "scp"] {
                    for scope in texts(claims.get(name), true)? {
                        if !scopes.contains(&scope) {
                            scopes.push(scope);
                        }
                    }
                }
            }
        }
        Ok(Caller::new(kind(claims, id), id)
            .with_issuer(self.name.as_deref().unwrap_or_default())
            .with_roles(texts(at(claims, &names.roles), false)?)
            .with_groups(texts(at(claims, &names.groups), false)?)
            .with_scopes(scopes)
            .with_claims(claims.clone()))
    }
}

/// Whether a key of the set has signed the token; `None` when there is no key of that name.
fn is_signed(set: &KeySet, token: &Token<'_>) -> Option<bool> {
    match set.find(token.kid.as_deref(), token.algorithm) {
        Found::Keys(keys) => Some(
            keys.iter()
                .any(|key| key.verifies(token.algorithm, token.signed, &token.signature)),
        ),
        Found::Refused => Some(false),
        Found::Unknown => None,
    }
}

/// A client that acts for itself has a token whose subject is the client (RFC 9068 §2.2); everybody
/// else is a user.
fn kind(claims: &Map<String, Value>, id: &str) -> CallerKind {
    let is_client = |name| claims.get(name).and_then(Value::as_str) == Some(id);
    if is_client("client_id") || is_client("azp") {
        CallerKind::OAuthClient
    } else {
        CallerKind::User
    }
}

/// What no claim is read as.
static NOTHING_OF_USE: Value = Value::Bool(false);

/// The claim of this name, or the one that a path leads to: `realm_access.roles`. Where something else than
/// an object is on the way, that is not the same as nothing.
fn at<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    let mut value = claims.get(first)?;
    for part in rest.split('.') {
        value = match value {
            Value::Object(members) => members.get(part)?,
            Value::Null => return None,
            _ => return Some(&NOTHING_OF_USE),
        };
    }
    Some(value)
}

/// The texts of a claim: a list, or one. `in_one` says that one text holds several, between blanks.
fn texts(claim: Option<&Value>, in_one: bool) -> Result<Vec<String>, Reason> {
    let all: Vec<Cow<'_, str>> = match claim {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) if in_one => text.split_whitespace().map(Cow::from).collect(),
        Some(Value::String(text)) => vec![Cow::from(text)],
        Some(Value::Array(items)) => {
            let texts = items.iter().map(|item| item.as_str().map(Cow::from));
            let texts: Option<_> = texts.collect();
            texts.ok_or("a list in the token holds something else than texts")?
        }
        Some(_) => return Err("a claim of the token is not a list of texts"),
    };
    Ok(all.into_iter().map(Cow::into_owned).collect())
}

#[cfg(test)]
mod tests;
