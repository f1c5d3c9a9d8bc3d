//! Session ids that carry their session: sealed under a key that every replica has, so that each
//! can serve what another began.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use mcp_gw_core::{Caller, ObjectWriter, RawJson, Secret};
use sha2::{Digest as _, Sha256};

use crate::client::Client;
use crate::revision::Revision;
use crate::states::StateSeal;

/// Seals sessions into their ids, and opens them again.
///
/// An id is XChaCha20-Poly1305 over the revision, the time and what the client said of itself; it is
/// bound to the caller, the audience and the endpoint. Who has no key can neither read nor make nor change one.
#[derive(Clone)]
pub struct SessionSeal {
    keys: Arc<[Key]>,
    max_age: Duration,
    audience: Arc<str>,
}

struct Key {
    name: [u8; 4],
    cipher: XChaCha20Poly1305,
    of_states: XChaCha20Poly1305,
}

/// Tells one sealed session from all others.
pub(crate) type Uid = [u8; NONCE];

/// What a sealed id says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) uid: Uid,
    pub(crate) revision: Revision,
    pub(crate) expires: SystemTime,
    pub(crate) info: Option<RawJson>,
    pub(crate) capabilities: Option<RawJson>,
}

/// Why a session cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SealRefusal {
    /// What the client says of itself does not fit into a header.
    TooLarge,
    /// The system gives no random numbers.
    NoRandomness,
}

impl SessionSeal {
    /// Seals with the first of these keys, and opens what any of them sealed, so that keys can be
    /// changed: add the new one behind, then put it first, then remove the old one. `None` without
    /// a key. An id is good for `max_age`.
    pub fn new(
        keys: impl IntoIterator<Item = Secret<[u8; 32]>>,
        max_age: Duration,
    ) -> Option<Self> {
        let keys: Arc<[Key]> = keys.into_iter().map(|key| Key::new(key.expose())).collect();
        (!keys.is_empty()).then(|| Self {
            keys,
            max_age,
            audience: Arc::from(""),
        })
    }

    /// Sets what ids are for, such as the endpoint's path: those for something else are not opened.
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<Arc<str>>) -> Self {
        self.audience = audience.into();
        self
    }

    /// Seals what servers give to clients to bring back, with keys that follow from these.
    pub(crate) fn states(&self) -> StateSeal {
        let ciphers = self.keys.iter().map(|key| key.of_states.clone());
        StateSeal::new(ciphers, Arc::clone(&self.audience))
    }

    /// The id of this client's session, and what it says.
    pub(crate) fn seal(
        &self,
        client: &Client,
        now: SystemTime,
    ) -> Result<(String, Sealed), SealRefusal> {
        let mut uid = [0; NONCE];
        getrandom::fill(&mut uid).map_err(|_| SealRefusal::NoRandomness)?;
        let issued = seconds(now);
        let expires = issued.saturating_add(self.max_age.as_secs().max(1));
        let mut sealed = Sealed {
            uid,
            revision: client.revision,
            expires: time(expires),
            info: client.info.clone(),
            capabilities: client.capabilities.clone(),
        };
        let mut text = sealed.to_json(issued, expires);
        if text.len() > LONGEST_TEXT {
            // Its name is good to know; what it can do must be known.
            sealed.info = None;
            text = sealed.to_json(issued, expires);
        }
        if text.len() > LONGEST_TEXT {
            return Err(SealRefusal::TooLarge);
        }
        let key = self.keys.first().ok_or(SealRefusal::TooLarge)?;
        let head = head(key.name);
        let aad = self.aad(head, &client.caller, client.endpoint.as_deref());
        let payload = Payload {
            msg: text.as_bytes(),
            aad: &aad,
        };
        let body = key
            .cipher
            .encrypt(&XNonce::from(uid), payload)
            .map_err(|_| SealRefusal::TooLarge)?;
        let id = URL_SAFE_NO_PAD.encode([&head[..], &uid, &body].concat());
        Ok((id, sealed))
    }

    /// What this id says, if it was sealed for this caller at this endpoint and is still good.
    pub(crate) fn open(
        &self,
        id: &str,
        caller: &Caller,
        endpoint: Option<&str>,
        now: SystemTime,
    ) -> Option<Sealed> {
        if id.len() > LONGEST_ID {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(id).ok()?;
        let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
        let (uid, body) = rest.split_first_chunk::<NONCE>()?;
        let aad = self.aad(*head, caller, endpoint);
        let text = self
            .keys
            .iter()
            .filter(|key| *head == self::head(key.name))
            .find_map(|key| {
                let payload = Payload {
                    msg: body,
                    aad: &aad,
                };
                key.cipher.decrypt(&XNonce::from(*uid), payload).ok()
            })?;
        let sealed = Sealed::from_json(*uid, &RawJson::parse(text).ok()?)?;
        (now < sealed.expires).then_some(sealed)
    }

    /// What is not in an id and must be the same when it is opened. Each part has its length before
    /// it, so that none can be moved into another.
    fn aad(&self, head: [u8; HEAD], caller: &Caller, endpoint: Option<&str>) -> Vec<u8> {
        let mut aad = head.to_vec();
        let parts = [
            "mcp-gw session",
            &self.audience,
            caller.kind.as_str(),
            &caller.issuer,
            &caller.id,
        ];
        for part in parts.into_iter().chain(endpoint) {
            aad.extend_from_slice(&(part.len() as u64).to_be_bytes());
            aad.extend_from_slice(part.as_bytes());
        }
        aad
    }
}

impl std::fmt::Debug for SessionSeal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionSeal")
            .field("keys", &self.keys.len())
            .field("max_age", &self.max_age)
            .field("audience", &self.audience)
            .finish()
    }
}

impl Key {
    fn new(key: &[u8; 32]) -> Self {
        let digest = Sha256::new()
            .chain_update("mcp-gw session key")
            .chain_update(key)
            .finalize();
        let mut name = [0; 4];
        name.iter_mut()
            .zip(digest)
            .for_each(|(to, from)| *to = from);
        Self {
            name,
            cipher: XChaCha20Poly1305::new(key.into()),
            of_states: StateSeal::derived(key),
        }
    }
}

impl Sealed {
    fn to_json(&self, issued: u64, expires: u64) -> RawJson {
        let number = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        let mut writer = ObjectWriter::default()
            .string("revision", self.revision.as_str())
            .integer("issued", number(issued))
            .integer("expires", number(expires));
        for (name, part) in [("info", &self.info), ("capabilities", &self.capabilities)] {
            if let Some(part) = part {
                writer = writer.raw(name, part);
            }
        }
        writer.finish()
    }

    fn from_json(uid: Uid, text: &RawJson) -> Option<Self> {
        let member = |name| text.member(name).ok().flatten();
        let revision: String = member("revision")?.decode_owned().ok()?;
        Some(Self {
            uid,
            revision: Revision::parse(&revision).filter(|revision| !revision.is_modern())?,
            expires: time(member("expires")?.decode_owned().ok()?),
            info: member("info"),
            capabilities: member("capabilities"),
        })
    }
}

const fn head([a, b, c, d]: [u8; 4]) -> [u8; HEAD] {
    [VERSION, a, b, c, d]
}

fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn time(seconds: u64) -> SystemTime {
    let since = Duration::from_secs(seconds.min(u64::from(u32::MAX) * 64));
    SystemTime::UNIX_EPOCH + since
}

/// Of the form of ids; another form gets another one.
const VERSION: u8 = 1;
const HEAD: usize = 5;
const NONCE: usize = 24;
const TAG: usize = 16;

/// The longest id, in characters: many servers read headers of 4 KiB in all.
const LONGEST_ID: usize = 3 * 1024;

/// The longest text that fits into such an id.
const LONGEST_TEXT: usize = LONGEST_ID / 4 * 3 - HEAD - NONCE - TAG;

#[cfg(test)]
mod tests;
