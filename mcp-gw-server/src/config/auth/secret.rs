//! Secrets that both sides know.

use std::io;
use std::path::Path;

use mcp_gw_core::Secret;

use super::{JwtConfig, SignatureKeyConfig};

/// Why there is no secret, or no set of keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Not exactly one of the sources is given.
    #[error("not exactly one source of the secret is given")]
    Source,
    /// The secret can be guessed.
    #[error("the secret is shorter than {SHORTEST} bytes, or one character again and again")]
    Weak,
    /// The file cannot be read.
    #[error("the file cannot be read: {}", source.kind())]
    File {
        /// What the operating system says.
        source: io::Error,
    },
    /// The file holds no keys that can be used.
    #[error("the file holds no keys that can be used: {reason}")]
    Keys {
        /// Why not.
        reason: String,
    },
}

impl SecretError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Source => "give one of them: best the secret as `${SOME_VARIABLE}`",
            Self::Weak => "make one with `openssl rand -hex 32`, and give it to the issuer too",
            Self::File { .. } => "check the path, and that this program may read it",
            Self::Keys { .. } => {
                "write a JSON Web Key Set, `{\"keys\": […]}`, with keys for signatures"
            }
        }
    }
}

impl JwtConfig {
    /// The shared secret; reads `hs256_secret_file`. `None` when tokens are signed with published keys.
    ///
    /// # Errors
    /// [`SecretError`] if there are two secrets, or it is shorter than 32 bytes, or the file cannot be
    /// read.
    pub fn secret(&self) -> Result<Option<Secret<String>>, SecretError> {
        match (&self.hs256_secret, self.hs256_secret_file.as_deref()) {
            (None, None) => Ok(None),
            (secret, file) => one_of(secret.as_ref(), file).map(Some),
        }
    }
}

impl SignatureKeyConfig {
    /// The secret; reads `secret_file`.
    ///
    /// # Errors
    /// [`SecretError`] if there is not exactly one source, or it is shorter than 32 bytes, or the file
    /// cannot be read.
    pub fn bytes(&self) -> Result<Secret<String>, SecretError> {
        one_of(self.secret.as_ref(), self.secret_file.as_deref())
    }
}

fn one_of(
    secret: Option<&Secret<String>>,
    file: Option<&Path>,
) -> Result<Secret<String>, SecretError> {
    let secret = match (secret, file) {
        (Some(secret), None) => secret.clone(),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file);
            let text = Secret::new(text.map_err(|source| SecretError::File { source })?);
            Secret::new(text.expose().trim().to_owned())
        }
        _ => return Err(SecretError::Source),
    };
    if is_weak(secret.expose()) {
        return Err(SecretError::Weak);
    }
    Ok(secret)
}

/// True for what is too short, blanks around it left out, or says nothing.
pub(in crate::config) fn is_weak(secret: &str) -> bool {
    let mut characters = secret.chars();
    let first = characters.next();
    secret.trim().len() < SHORTEST || characters.all(|c| Some(c) == first)
}

/// The shortest secret: as long as what SHA-256 makes of it (RFC 7518 §3.2).
const SHORTEST: usize = 32;
