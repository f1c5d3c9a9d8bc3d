//! What the gateway shows an API: of which kind, and where the secret comes from.

use std::path::{Path, PathBuf};

use mcp_gw_core::{CallerName, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::path::ConfigPath;

/// What the gateway shows an API: exactly one of `bearer`, `bearer_file`, `header`, `basic`, `query` and
/// `oauth2`. It goes to that API and nowhere else.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CredentialConfig {
    /// A token that is sent as `Authorization: Bearer <token>`; take it from the environment as
    /// `${GITHUB_TOKEN}`.
    #[schemars(extend("writeOnly" = true))]
    pub bearer: Option<Secret<String>>,
    /// A file that holds that token; blanks and line ends around it are ignored.
    pub bearer_file: Option<PathBuf>,
    /// A header.
    pub header: Option<NamedCredential>,
    /// A user and password, as RFC 7617 sends them.
    pub basic: Option<BasicCredential>,
    /// A parameter of the query. Where an API takes a header, give that one: addresses stand in more logs
    /// than headers.
    pub query: Option<NamedCredential>,
    /// Tokens that the gateway gets for itself, by the client credentials grant of OAuth 2 (RFC 6749 §4.4).
    pub oauth2: Option<OAuth2Credential>,
    /// Under `credentials_by_caller` alone: it is for the holder of a token of this issuer, one of those
    /// in `auth.jwt`, or of one without (`""`). If not given, for the caller of an API key.
    pub issuer: Option<String>,
}

/// A secret with a name; exactly one of `value` and `value_file`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NamedCredential {
    /// The name of the header or parameter, such as `X-API-Key`.
    pub name: String,
    /// The secret; take it from the environment.
    #[schemars(extend("writeOnly" = true))]
    pub value: Option<Secret<String>>,
    /// A file that holds it; blanks and line ends around it are ignored.
    pub value_file: Option<PathBuf>,
}

/// A user and password; exactly one of `password` and `password_file`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BasicCredential {
    /// The user.
    pub username: String,
    /// The password; take it from the environment.
    #[schemars(extend("writeOnly" = true))]
    pub password: Option<Secret<String>>,
    /// A file that holds it; blanks and line ends around it are ignored.
    pub password_file: Option<PathBuf>,
}

/// Where tokens come from; exactly one of `client_secret` and `client_secret_file`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OAuth2Credential {
    /// The token endpoint. What the API says with `allow_http`, `allow_ip`, `allow_private` and
    /// `allow_addresses` counts for it, too.
    pub token_url: String,
    /// The id of this gateway there.
    pub client_id: String,
    /// Its secret; take it from the environment.
    #[schemars(extend("writeOnly" = true))]
    pub client_secret: Option<Secret<String>>,
    /// A file that holds it; blanks and line ends around it are ignored.
    pub client_secret_file: Option<PathBuf>,
    /// The scopes that are asked for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Whom the tokens are for, where the endpoint wants to know.
    pub audience: Option<String>,
}

/// A credential with its secret at hand.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ApiCredential {
    /// `Authorization: Bearer <token>`.
    Bearer {
        /// The token.
        token: Secret<String>,
    },
    /// A header.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: Secret<String>,
    },
    /// `Authorization: Basic …` (RFC 7617).
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: Secret<String>,
    },
    /// A parameter of the query.
    Query {
        /// Its name.
        name: String,
        /// Its value.
        value: Secret<String>,
    },
    /// Tokens of a token endpoint, by the client credentials grant.
    OAuth2 {
        /// The endpoint.
        token_url: String,
        /// The client's id there.
        client_id: String,
        /// Its secret.
        client_secret: Secret<String>,
        /// The scopes that are asked for.
        scopes: Vec<String>,
        /// Whom the tokens are for.
        audience: Option<String>,
    },
}

impl ApiCredential {
    /// What nobody else may see of it.
    pub(super) const fn secret(&self) -> &Secret<String> {
        match self {
            Self::Bearer { token: secret }
            | Self::Header { value: secret, .. }
            | Self::Query { value: secret, .. }
            | Self::Basic {
                password: secret, ..
            }
            | Self::OAuth2 {
                client_secret: secret,
                ..
            } => secret,
        }
    }
}

/// Why a credential cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// Not exactly one kind is given.
    #[error(
        "not exactly one of `bearer`, `bearer_file`, `header`, `basic`, `query` and `oauth2` is given"
    )]
    Kind,
    /// The secret is not given exactly once.
    #[error("not exactly one of `{key}` and `{key}_file` is given")]
    Source {
        /// The key that would hold it.
        key: &'static str,
    },
    /// The file cannot be read.
    #[error("the file cannot be read: {kind}")]
    File {
        /// The key that names it.
        key: &'static str,
        /// What the operating system says.
        kind: std::io::ErrorKind,
    },
    /// The secret is empty, or has characters that cannot be sent.
    #[error("the secret is empty or has a character that cannot be sent")]
    Unsendable {
        /// The key that holds it.
        key: &'static str,
    },
}

impl CredentialConfig {
    /// A token that is sent as `Authorization: Bearer <token>`.
    pub fn bearer(token: impl Into<Secret<String>>) -> Self {
        Self {
            bearer: Some(token.into()),
            ..Self::default()
        }
    }

    /// A header.
    pub fn header(name: impl Into<String>, value: impl Into<Secret<String>>) -> Self {
        Self {
            header: Some(NamedCredential::new(name, value)),
            ..Self::default()
        }
    }

    /// A parameter of the query.
    pub fn query(name: impl Into<String>, value: impl Into<Secret<String>>) -> Self {
        Self {
            query: Some(NamedCredential::new(name, value)),
            ..Self::default()
        }
    }

    /// The caller that it is for, under this key of `credentials_by_caller`.
    pub fn whose(&self, id: &str) -> CallerName {
        let name = CallerName::new(id);
        match &self.issuer {
            Some(issuer) => name.with_issuer(issuer.as_str()),
            None => name,
        }
    }

    /// The credential with its secret, which is read from a file where one is named.
    ///
    /// # Errors
    /// When it is not of exactly one kind, or its secret cannot be had or sent.
    pub fn resolve(&self) -> Result<ApiCredential, CredentialError> {
        let kinds = [
            self.bearer.is_some() || self.bearer_file.is_some(),
            self.header.is_some(),
            self.basic.is_some(),
            self.query.is_some(),
            self.oauth2.is_some(),
        ];
        if kinds.into_iter().filter(|kind| *kind).count() != 1 {
            return Err(CredentialError::Kind);
        }
        if let Some(header) = &self.header {
            let (name, value) = header.resolve(Form::Header)?;
            return Ok(ApiCredential::Header { name, value });
        }
        if let Some(query) = &self.query {
            let (name, value) = query.resolve(Form::Any)?;
            return Ok(ApiCredential::Query { name, value });
        }
        if let Some(basic) = &self.basic {
            let source = (basic.password.as_ref(), basic.password_file.as_deref());
            return Ok(ApiCredential::Basic {
                username: basic.username.clone(),
                password: secret("password", "password_file", source, Form::Any)?,
            });
        }
        if let Some(oauth2) = &self.oauth2 {
            let file = oauth2.client_secret_file.as_deref();
            let source = (oauth2.client_secret.as_ref(), file);
            return Ok(ApiCredential::OAuth2 {
                token_url: oauth2.token_url.clone(),
                client_id: oauth2.client_id.clone(),
                client_secret: secret("client_secret", "client_secret_file", source, Form::Any)?,
                scopes: oauth2.scopes.clone(),
                audience: oauth2.audience.clone(),
            });
        }
        let source = (self.bearer.as_ref(), self.bearer_file.as_deref());
        Ok(ApiCredential::Bearer {
            token: secret("bearer", "bearer_file", source, Form::Token)?,
        })
    }

    /// The file that holds its secret.
    pub(super) fn file(&self) -> Option<&PathBuf> {
        let named = [&self.header, &self.query].into_iter().flatten();
        let basic = self.basic.iter().filter_map(|it| it.password_file.as_ref());
        let oauth2 = self.oauth2.iter();
        let mut oauth2 = oauth2.filter_map(|it| it.client_secret_file.as_ref());
        let mut all = self.bearer_file.iter();
        let mut rest = named.filter_map(|it| it.value_file.as_ref()).chain(basic);
        all.next().or_else(|| rest.next().or_else(|| oauth2.next()))
    }

    /// The same, to be changed.
    pub(super) fn file_mut(&mut self) -> Option<&mut PathBuf> {
        let named = [&mut self.header, &mut self.query].into_iter().flatten();
        let named = named.filter_map(|it| it.value_file.as_mut());
        let basic = self.basic.iter_mut();
        let oauth2 = self.oauth2.iter_mut();
        let rest = basic
            .filter_map(|it| it.password_file.as_mut())
            .chain(oauth2.filter_map(|it| it.client_secret_file.as_mut()));
        let mut all = self.bearer_file.iter_mut().chain(named).chain(rest);
        all.next()
    }

    /// Where one of its keys stands, below `path`.
    pub(super) fn place(&self, path: &ConfigPath, key: &str) -> ConfigPath {
        let section = [
            ("header", self.header.is_some()),
            ("query", self.query.is_some()),
            ("basic", self.basic.is_some()),
            ("oauth2", self.oauth2.is_some()),
        ];
        match section.into_iter().find(|(_, is_there)| *is_there) {
            Some((section, _)) => path.key(section).key(key),
            None => path.key(key),
        }
    }

    /// In words, without the secret.
    pub(super) fn explain(&self) -> String {
        if let Some(header) = &self.header {
            format!("the header {}", header.name)
        } else if let Some(query) = &self.query {
            format!("`{}` in the query", query.name)
        } else if let Some(basic) = &self.basic {
            format!("the password of {}", basic.username)
        } else if let Some(oauth2) = &self.oauth2 {
            format!("tokens of {}", crate::config::origin(&oauth2.token_url))
        } else {
            "a bearer token".to_owned()
        }
    }
}

impl NamedCredential {
    fn new(name: impl Into<String>, value: impl Into<Secret<String>>) -> Self {
        Self {
            name: name.into(),
            value: Some(value.into()),
            value_file: None,
        }
    }

    fn resolve(&self, form: Form) -> Result<(String, Secret<String>), CredentialError> {
        let source = (self.value.as_ref(), self.value_file.as_deref());
        let value = secret("value", "value_file", source, form)?;
        Ok((self.name.clone(), value))
    }
}

/// Where a secret is put.
#[derive(Clone, Copy)]
enum Form {
    /// Behind `Bearer`.
    Token,
    /// In a header by itself.
    Header,
    /// Where any character is encoded.
    Any,
}

impl Form {
    fn takes(self, secret: &str) -> bool {
        match self {
            Self::Token => secret.bytes().all(|byte| byte.is_ascii_graphic()),
            Self::Header => http::HeaderValue::try_from(secret).is_ok(),
            Self::Any => !secret.contains('\0'),
        }
    }
}

fn secret(
    key: &'static str,
    file_key: &'static str,
    source: (Option<&Secret<String>>, Option<&Path>),
    form: Form,
) -> Result<Secret<String>, CredentialError> {
    let (key, secret) = match source {
        (Some(secret), None) => (key, secret.clone()),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file).map_err(|error| CredentialError::File {
                key: file_key,
                kind: error.kind(),
            })?;
            (file_key, Secret::new(text.trim().to_owned()))
        }
        _ => return Err(CredentialError::Source { key }),
    };
    if secret.expose().is_empty() || !form.takes(secret.expose()) {
        return Err(CredentialError::Unsendable { key });
    }
    Ok(secret)
}
