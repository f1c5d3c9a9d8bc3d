//! Keys that signatures are checked with, and sets of them (RFC 7517, RFC 7518 §6, RFC 8037).

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcp_gw_core::Secret;
use ring::hmac;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::{Map, Value};

use super::jose::{Reason, Unique};
use crate::config::{JwtAlgorithm, SecretError};

/// The longest key set that is looked at, in bytes.
pub(crate) const LONGEST_SET: usize = 512 * 1024;

/// So many keys of one name are tried. Issuers have one; a few share a name while they change.
const MOST_TRIED: usize = 4;

/// A key, and what it may be used for.
pub(crate) struct Key {
    kid: Option<String>,
    /// The one algorithm that it is for, where its owner says so.
    algorithm: Option<JwtAlgorithm>,
    material: Material,
}

enum Material {
    Shared(hmac::Key),
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

impl Key {
    /// A secret that both sides know.
    pub(crate) fn shared(secret: &Secret<String>) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        Self {
            kid: None,
            algorithm: Some(JwtAlgorithm::Hs256),
            material: Material::Shared(key),
        }
    }

    /// A public key of a set; `Err` says why it cannot be used. A secret is none (RFC 8725 §2.1).
    fn published(members: &Map<String, Value>) -> Result<Self, Reason> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        if text("use").is_some_and(|usage| usage != "sig") {
            return Err("it is not for signatures (`use`)");
        }
        if let Some(operations) = members.get("key_ops") {
            let verifies = |operations: &Vec<Value>| operations.iter().any(|op| op == "verify");
            if !operations.as_array().is_some_and(verifies) {
                return Err("it is not for checking signatures (`key_ops`)");
            }
        }
        let material = Material::of(members)?;
        let algorithm = match text("alg") {
            None => None,
            Some(name) => {
                let known = JwtAlgorithm::ALL.into_iter().find(|a| a.as_str() == name);
                let known = known.filter(|known| material.fits(*known));
                Some(known.ok_or("its algorithm (`alg`) is not known, or not for such a key")?)
            }
        };
        Ok(Self {
            kid: text("kid").map(str::to_owned),
            algorithm,
            material,
        })
    }

    /// True when signatures of this algorithm may be checked with it. The key says what it is for, not
    /// the token (RFC 8725 §3.1).
    pub(crate) fn fits(&self, algorithm: JwtAlgorithm) -> bool {
        self.material.fits(algorithm) && self.algorithm.is_none_or(|only| only == algorithm)
    }

    /// True when `signature` is that of `message` with this key.
    pub(crate) fn verifies(
        &self,
        algorithm: JwtAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        let public = |how: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(how, key).verify(message, signature)
        };
        let result = match &self.material {
            // In constant time.
            Material::Shared(key) => hmac::verify(key, message, signature),
            Material::Rsa { n, e } => match rsa(algorithm) {
                Some(how) => RsaPublicKeyComponents { n, e }.verify(how, message, signature),
                None => return false,
            },
            Material::P256(key) => public(&ECDSA_P256_SHA256_FIXED, key),
            Material::P384(key) => public(&ECDSA_P384_SHA384_FIXED, key),
            Material::Ed25519(key) => public(&ED25519, key),
        };
        result.is_ok()
    }
}

fn rsa(algorithm: JwtAlgorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        JwtAlgorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        JwtAlgorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
        JwtAlgorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
        JwtAlgorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
        JwtAlgorithm::Ps384 => &RSA_PSS_2048_8192_SHA384,
        JwtAlgorithm::Ps512 => &RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

impl Material {
    fn of(members: &Map<String, Value>) -> Result<Self, Reason> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let bytes = |name: &str| -> Result<Vec<u8>, Reason> {
            let part = text(name).ok_or("a part of the key is missing")?;
            let bytes = URL_SAFE_NO_PAD.decode(part);
            bytes.map_err(|_| "a part of the key is not Base64 for URLs")
        };
        match (text("kty"), text("crv")) {
            (Some("RSA"), _) => {
                let number = |name| bytes(name).map(without_zeros);
                let (n, e) = (number("n")?, number("e")?);
                // What `ring` would refuse at each signature is told once. 2048 to 8192 bits.
                if !(256..=1024).contains(&n.len()) {
                    return Err("it has not 2048 to 8192 bits");
                }
                Ok(Self::Rsa { n, e })
            }
            (Some("EC"), Some("P-256")) => Ok(Self::P256(point(bytes("x")?, bytes("y")?, 32)?)),
            (Some("EC"), Some("P-384")) => Ok(Self::P384(point(bytes("x")?, bytes("y")?, 48)?)),
            (Some("OKP"), Some("Ed25519")) => {
                let key = bytes("x")?;
                let is_whole = key.len() == 32;
                is_whole
                    .then_some(Self::Ed25519(key))
                    .ok_or("it has not 32 bytes")
            }
            _ => Err("its type (`kty`, `crv`) is not one that signatures are checked with"),
        }
    }

    const fn fits(&self, algorithm: JwtAlgorithm) -> bool {
        use JwtAlgorithm as A;
        match self {
            Self::Shared(_) => matches!(algorithm, A::Hs256),
            Self::Rsa { .. } => matches!(
                algorithm,
                A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512
            ),
            Self::P256(_) => matches!(algorithm, A::Es256),
            Self::P384(_) => matches!(algorithm, A::Es384),
            Self::Ed25519(_) => matches!(algorithm, A::EdDsa),
        }
    }
}

/// Some write a number with zeros before it, which RFC 7518 §2 forbids.
fn without_zeros(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}

/// A point in its uncompressed form (SEC 1 §2.3.3).
fn point(x: Vec<u8>, y: Vec<u8>, size: usize) -> Result<Vec<u8>, Reason> {
    if x.len() != size || y.len() != size {
        return Err("a coordinate has another length than its curve");
    }
    Ok([vec![4], x, y].concat())
}

/// The keys of an issuer.
#[derive(Debug, Default)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

/// What a set says of the key that a token names.
pub(crate) enum Found<'s> {
    /// These may have signed it.
    Keys(Vec<&'s Key>),
    /// There is no such key, yet.
    Unknown,
    /// There is one, and it is not for this algorithm; or the token names none of several.
    Refused,
}

impl KeySet {
    /// One secret that both sides know.
    pub(crate) fn of(key: Key) -> Self {
        Self { keys: vec![key] }
    }

    /// Reads a set. Keys that cannot be used are left out: issuers publish some for other purposes.
    ///
    /// # Errors
    /// When it is none, or has no key that can be used.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        if text.len() > LONGEST_SET {
            return Err(format!("it is longer than {LONGEST_SET} bytes"));
        }
        let Ok(Unique(Value::Object(set))) = serde_json::from_slice(text) else {
            return Err("it is not a JSON object that names nothing twice".to_owned());
        };
        let Some(Value::Array(all)) = set.get("keys") else {
            return Err("it has no list `keys`".to_owned());
        };
        let mut keys = Vec::new();
        let mut why = None;
        for key in all {
            let key = key.as_object().ok_or("a key is not an object");
            match key.and_then(Key::published) {
                Ok(key) => keys.push(key),
                Err(reason) => why = why.or(Some(reason)),
            }
        }
        if keys.is_empty() {
            let why = why.unwrap_or("the list is empty");
            return Err(format!("no key of it can be used: {why}"));
        }
        Ok(Self { keys })
    }

    /// How many keys it has.
    pub(crate) const fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys that may have signed a token with this header. One that names no key can only be of
    /// the one that there is.
    pub(crate) fn find(&self, kid: Option<&str>, algorithm: JwtAlgorithm) -> Found<'_> {
        let shared = |key: &Key| matches!(key.material, Material::Shared(_));
        if self.keys.iter().any(shared) {
            // The name of the key is between issuer and gateway; there is but one.
            let keys = self.keys.iter().filter(|key| key.fits(algorithm));
            return Found::Keys(keys.collect());
        }
        let Some(kid) = kid else {
            let mut fit = self.keys.iter().filter(|key| key.fits(algorithm));
            return match (fit.next(), fit.next()) {
                (Some(key), None) => Found::Keys(vec![key]),
                _ => Found::Refused,
            };
        };
        let named = |key: &&Key| key.kid.as_deref() == Some(kid);
        let mut named = self.keys.iter().filter(named).peekable();
        if named.peek().is_none() {
            return Found::Unknown;
        }
        let fit: Vec<_> = named.filter(|key| key.fits(algorithm)).collect();
        if fit.is_empty() {
            return Found::Refused;
        }
        Found::Keys(fit.into_iter().take(MOST_TRIED).collect())
    }
}

/// The keys that a file holds.
pub(crate) fn key_set_of_file(file: &Path) -> Result<KeySet, SecretError> {
    let text = std::fs::read(file).map_err(|source| SecretError::File { source })?;
    KeySet::parse(&text).map_err(|reason| SecretError::Keys { reason })
}

#[cfg(test)]
mod tests;
