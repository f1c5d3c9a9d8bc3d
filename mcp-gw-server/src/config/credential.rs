//! Where an API key comes from, and its digest.

use std::io;
use std::path::{Path, PathBuf};

use mcp_gw_core::Secret;
use sha2::{Digest as _, Sha256};

use super::types::ApiKeyConfig;

impl ApiKeyConfig {
    /// Where the key comes from; `None` unless exactly one source is given.
    pub fn source(&self) -> Option<KeySource<'_>> {
        match (&self.key, &self.key_sha256, &self.key_file) {
            (Some(key), None, None) => Some(KeySource::Key(key)),
            (None, Some(digest), None) => Some(KeySource::Sha256(digest)),
            (None, None, Some(file)) => Some(KeySource::File(file)),
            _ => None,
        }
    }

    /// The SHA-256 digest of the key, which is what a gateway keeps; reads `key_file`.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if there is not exactly one source, the key is shorter than 16 characters, the
    /// digest is not 64 hexadecimal digits, or the file cannot be read.
    pub fn sha256(&self) -> Result<[u8; 32], KeyError> {
        match self.source().ok_or(KeyError::Source)? {
            KeySource::Key(key) => digest(key.expose()),
            KeySource::Sha256(text) => from_hex(text.expose()).ok_or(KeyError::Digest),
            KeySource::File(file) => digest_of_file(file),
        }
    }
}

/// Where an API key comes from.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum KeySource<'a> {
    /// The key itself.
    Key(&'a Secret<String>),
    /// Its SHA-256 digest in hexadecimal.
    Sha256(&'a Secret<String>),
    /// The file that holds it.
    File(&'a Path),
}

/// Why there is no digest of an API key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not exactly one of the three sources is given.
    #[error("not exactly one of `key`, `key_sha256` and `key_file` is given")]
    Source,
    /// The key can be guessed.
    #[error("the key is shorter than {SHORTEST_KEY} characters")]
    Weak,
    /// The key cannot be sent in a header.
    #[error("the key has a character that cannot be sent in a header")]
    Unsendable,
    /// The digest is malformed.
    #[error("the digest is not made of 64 hexadecimal digits")]
    Digest,
    /// The file cannot be read.
    #[error("the file cannot be read: {}", source.kind())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

impl KeyError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Source => "give one of them",
            Self::Weak => "make one with `openssl rand -hex 32`",
            Self::Unsendable => {
                "use visible ASCII characters only: `openssl rand -hex 32` makes such a key"
            }
            Self::Digest => "`printf %s \"$KEY\" | sha256sum` writes the digest of a key",
            Self::File { .. } => "check the path, and that this program may read it",
        }
    }
}

/// The digest of the key that a file holds.
pub(super) fn digest_of_file(file: &Path) -> Result<[u8; 32], KeyError> {
    let text = std::fs::read_to_string(file).map_err(|source| KeyError::File {
        path: file.to_owned(),
        source,
    })?;
    digest(text.trim())
}

/// The digest of a key that can be used.
pub(super) fn digest(key: &str) -> Result<[u8; 32], KeyError> {
    if key.chars().count() < SHORTEST_KEY {
        return Err(KeyError::Weak);
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(KeyError::Unsendable);
    }
    Ok(Sha256::digest(key.as_bytes()).into())
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    if rest.is_empty() {
        bytes.try_into().ok()
    } else {
        None
    }
}

/// The shortest key that is accepted, in characters.
const SHORTEST_KEY: usize = 16;
