//! Who one is, and how that is written.

use http::HeaderValue;
use mcp_gw_admin_client::http::{Done, ErrorKind};
use mcp_gw_core::Secret;

use super::error::ClientError;

/// How one is known to the gateway.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Credentials {
    /// Not at all: health, and what else everybody may ask.
    #[default]
    None,
    /// An API key, `mcp_…`.
    ApiKey(Secret<String>),
    /// A token of a login that was made elsewhere. It is not renewed.
    Token(Secret<String>),
    /// A user, who is logged in when first needed, and again before the token ends or when it is refused.
    Password {
        /// The name.
        username: String,
        /// The password.
        password: Secret<String>,
    },
}

impl Credentials {
    /// A user and a password.
    pub fn password(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Password {
            username: username.into(),
            password: Secret::new(password.into()),
        }
    }

    /// An API key.
    pub fn api_key(key: impl Into<String>) -> Self {
        Self::ApiKey(Secret::new(key.into()))
    }

    /// A token.
    pub fn token(token: impl Into<String>) -> Self {
        Self::Token(Secret::new(token.into()))
    }
}

pub(super) fn bearer(secret: &Secret<String>) -> Result<HeaderValue, ClientError> {
    let value = HeaderValue::from_str(&format!("Bearer {}", secret.expose()));
    let mut value = value.map_err(|_| {
        let message =
            "the credentials hold characters that no header may have; look for a line break";
        ClientError::new(ErrorKind::Request, message, Done::No)
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The body of a login.
pub(super) fn form(username: &str, password: &Secret<String>) -> String {
    let mut form = String::from("username=");
    escape(&mut form, username);
    form.push_str("&password=");
    escape(&mut form, password.expose());
    form
}

/// Adds a value as a form has it.
fn escape(to: &mut String, value: &str) {
    use std::fmt::Write as _;

    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            to.push(char::from(byte));
        } else {
            let _ = write!(to, "%{byte:02X}");
        }
    }
}
