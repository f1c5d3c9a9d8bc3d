//! Who may call, in the configuration: tokens and signatures, beside API keys.

use std::path::PathBuf;

use mcp_gw_core::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::DurationText;
use super::types::{ApiKeyConfig, seconds};

mod address;
mod check;
mod explain;
mod secret;

pub(crate) use address::{AddressFault, keys_at};
pub(super) use check::check;
pub(super) use explain::explain;
pub use secret::SecretError;
pub(super) use secret::is_weak;

/// Who may call.
///
/// Without any key, token or signature, callers from this machine are let in as the caller `local`, as
/// long as the gateway listens on loopback.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct AuthConfig {
    /// Lets callers without a key in, as the caller `anonymous`.
    pub anonymous: bool,
    /// The callers that show an API key.
    pub api_keys: Vec<ApiKeyConfig>,
    /// The header that an API key may stand in, instead of `Authorization: Bearer`.
    pub api_key_header: String,
    /// Who issues the tokens (JWT) that callers may show as `Authorization: Bearer`.
    pub jwt: Vec<JwtConfig>,
    /// Whether requests are signed, beside what tells who the caller is.
    pub signature: Option<SignatureConfig>,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            anonymous: false,
            api_keys: Vec::new(),
            api_key_header: "X-API-Key".to_owned(),
            jwt: Vec::new(),
            signature: None,
        }
    }
}

impl AuthConfig {
    /// The issuers of tokens, as callers have them: the empty text where `iss` is not looked at.
    pub(crate) fn issuers(&self) -> impl Iterator<Item = &str> {
        let all = self.jwt.iter();
        all.map(|jwt| jwt.issuer.as_deref().unwrap_or_default())
    }

    /// True when there is a credential that tells who calls: a key, or a token.
    pub const fn has_credentials(&self) -> bool {
        !self.api_keys.is_empty() || !self.jwt.is_empty()
    }

    /// True when nobody gets in without a key, a token or a signature.
    pub fn is_required(&self) -> bool {
        let signed = self.signature.as_ref();
        (self.has_credentials() && !self.anonymous)
            || signed.is_some_and(|signature| signature.required)
    }

    /// The files that it names.
    pub(super) fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let keys = self.api_keys.iter_mut();
        let keys = keys.filter_map(|key| key.key_file.as_mut());
        let tokens = self.jwt.iter_mut().flat_map(|issuer| {
            let jwks = issuer.jwks.as_mut().and_then(|jwks| jwks.file.as_mut());
            issuer.hs256_secret_file.iter_mut().chain(jwks)
        });
        let signed = self.signature.iter_mut();
        let signed = signed.flat_map(|signature| signature.keys.iter_mut());
        let signed = signed.filter_map(|key| key.secret_file.as_mut());
        keys.chain(tokens).chain(signed)
    }

    /// The files that it names.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let keys = self.api_keys.iter();
        let keys = keys.filter_map(|key| key.key_file.as_ref());
        let tokens = self.jwt.iter().flat_map(|issuer| {
            let jwks = issuer.jwks.as_ref().and_then(|jwks| jwks.file.as_ref());
            issuer.hs256_secret_file.iter().chain(jwks)
        });
        let signed = self.signature.iter();
        let signed = signed.flat_map(|signature| signature.keys.iter());
        let signed = signed.filter_map(|key| key.secret_file.as_ref());
        keys.chain(tokens).chain(signed)
    }
}

/// Tokens of one issuer: JSON Web Tokens that are signed with a shared secret (`hs256_secret`), or with
/// a key that the issuer publishes (`jwks`). Several entries may have the same issuer: a token is good
/// when one of them takes it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct JwtConfig {
    /// What `iss` of a token must be, to the letter, such as `https://login.example.com/`. It may be
    /// left out for a shared secret alone: then `iss` is not looked at, and the caller has no issuer.
    pub issuer: Option<String>,
    /// Whom tokens must be made out to: one of these must be in `aud`. As a rule the public URL of the
    /// endpoint. It may be left out for a shared secret alone: then tokens with `aud` are refused.
    pub audience: Vec<String>,
    /// The secret that tokens are signed with by HMAC-SHA256, at least 32 bytes; take it from the
    /// environment as `${JWT_SECRET}`.
    #[schemars(extend("writeOnly" = true))]
    pub hs256_secret: Option<Secret<String>>,
    /// A file that holds the secret; blanks and line ends around it are ignored.
    pub hs256_secret_file: Option<PathBuf>,
    /// Where the keys of the issuer are.
    pub jwks: Option<JwksConfig>,
    /// The algorithms that tokens may be signed with. `HS256` for a shared secret; for published keys
    /// `RS256`, `PS256`, `ES256` and `EdDSA` if not given.
    pub algorithms: Vec<JwtAlgorithm>,
    /// How old a token may be at most, by its `iat`, whatever its `exp` says. If not given, `exp`
    /// alone decides.
    pub max_age: Option<DurationText>,
    /// How far the clocks of issuer and gateway may be apart, at most `60s`.
    pub leeway: DurationText,
    /// Which claims say who the caller is, and what it has.
    pub claims: ClaimsConfig,
    /// Takes tokens whoever they are made out to: for a secret of this gateway's own issuer alone.
    #[serde(skip)]
    pub(crate) any_audience: bool,
}

impl Default for JwtConfig {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: Vec::new(),
            hs256_secret: None,
            hs256_secret_file: None,
            jwks: None,
            algorithms: Vec::new(),
            max_age: None,
            leeway: seconds(60),
            claims: ClaimsConfig::default(),
            any_audience: false,
        }
    }
}

impl JwtConfig {
    /// Tokens that are signed with a shared secret of at least 32 bytes.
    pub fn hs256(secret: impl Into<Secret<String>>) -> Self {
        Self {
            hs256_secret: Some(secret.into()),
            ..Self::default()
        }
    }

    /// Tokens of `issuer` for `audience`, signed with the keys at `url`.
    pub fn jwks(
        issuer: impl Into<String>,
        audience: impl Into<String>,
        url: impl Into<String>,
    ) -> Self {
        let jwks = JwksConfig {
            url: Some(url.into()),
            ..JwksConfig::default()
        };
        Self {
            issuer: Some(issuer.into()),
            audience: vec![audience.into()],
            jwks: Some(jwks),
            ..Self::default()
        }
    }

    /// Sets how old a token may be at most, by its `iat`.
    #[must_use]
    pub const fn with_max_age(mut self, max_age: DurationText) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// The algorithms that tokens may be signed with.
    pub(crate) fn allowed(&self) -> Vec<JwtAlgorithm> {
        match (&*self.algorithms, &self.jwks) {
            ([], None) => vec![JwtAlgorithm::Hs256],
            ([], Some(_)) => JwtAlgorithm::USUAL.to_vec(),
            (chosen, _) => chosen.to_vec(),
        }
    }
}

/// Where the keys of an issuer are (RFC 7517): exactly one of `url` and `file`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct JwksConfig {
    /// The address that they are fetched from: `https`, or `http` on this machine.
    pub url: Option<String>,
    /// Allows addresses that are not public: a login server in a private network. Those of this machine
    /// are allowed where `url` names it.
    pub allow_private: bool,
    /// Single addresses that are allowed besides, even those from which clouds tell machines their secrets.
    pub allow_addresses: Vec<String>,
    /// A file that holds them. It is read at the start and when the configuration is read anew.
    pub file: Option<PathBuf>,
    /// How long fetched keys are good for before they are fetched again, from `1m` to `24h`. What the
    /// server says in `Cache-Control: max-age` comes first, within the same bounds.
    pub refresh: DurationText,
    /// How long fetched keys are used at most when they cannot be fetched again, up to `168h`.
    pub max_stale: DurationText,
}

impl Default for JwksConfig {
    fn default() -> Self {
        Self {
            url: None,
            allow_private: false,
            allow_addresses: Vec::new(),
            file: None,
            refresh: seconds(10 * 60),
            max_stale: seconds(24 * 3600),
        }
    }
}

/// Which claims of a token say who the caller is, and what it has. Each is the name of a claim, or a
/// path in one such as `realm_access.roles`; a list of texts, or one text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ClaimsConfig {
    /// The id of the caller. Tokens without it are refused.
    pub id: String,
    /// Its roles.
    pub roles: String,
    /// Its groups.
    pub groups: String,
    /// Its scopes; in a text they stand between blanks. If not given, `scope` and `scp`.
    pub scopes: Option<String>,
}

impl Default for ClaimsConfig {
    fn default() -> Self {
        Self {
            id: "sub".to_owned(),
            roles: "roles".to_owned(),
            groups: "groups".to_owned(),
            scopes: None,
        }
    }
}

/// An algorithm that tokens are signed with (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
#[non_exhaustive]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256 and a shared secret.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl JwtAlgorithm {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Hs256,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// Those of published keys that nearly all issuers use.
    const USUAL: [Self; 4] = [Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa];

    /// The name in the header of tokens.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Signatures of requests by HMAC-SHA256: who took a request off the wire can neither change it nor
/// send it again. They come beside keys and tokens, and are looked at first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SignatureConfig {
    /// The secrets that requests may be signed with. All are good, so that one can take the place of
    /// another.
    #[schemars(length(min = 1, max = 16))]
    pub keys: Vec<SignatureKeyConfig>,
    /// Refuses requests without a signature. Otherwise only those with a wrong one are refused.
    pub required: bool,
    /// The forms that are taken.
    pub profiles: Vec<SignatureProfile>,
    /// How old a signature may be, at most `15m`.
    pub max_age: DurationText,
    /// How far in the future a signature may have been made, by the gateway's clock, at most `5m`.
    pub max_skew: DurationText,
    /// The header of the profile `compact`.
    pub header: String,
    /// What `tag` of a signature of the profile `rfc9421` must be. Anything if not given.
    pub tag: Option<String>,
    /// How many signatures of one key are remembered, so that none is good twice. When there are as
    /// many within `max_age`, further requests are refused with 503.
    #[schemars(range(min = 100, max = 10_000_000))]
    pub max_nonces: u32,
}

impl Default for SignatureConfig {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            required: true,
            profiles: vec![SignatureProfile::Rfc9421, SignatureProfile::Compact],
            max_age: seconds(300),
            max_skew: seconds(60),
            header: "X-Signature".to_owned(),
            tag: None,
            max_nonces: 100_000,
        }
    }
}

/// A form of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[non_exhaustive]
pub enum SignatureProfile {
    /// HTTP Message Signatures, RFC 9421, in `Signature-Input` and `Signature`.
    Rfc9421,
    /// A time and a MAC in one header of its own: `t=1700000000,v1=<hex>`.
    Compact,
}

/// A secret that requests are signed with: exactly one of `secret` and `secret_file`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SignatureKeyConfig {
    /// The name that signatures call it by, `keyid`: 1 to 128 visible ASCII characters.
    pub id: String,
    /// The secret, at least 32 bytes; take it from the environment as `${SIGNING_SECRET}`.
    #[schemars(extend("writeOnly" = true))]
    pub secret: Option<Secret<String>>,
    /// A file that holds the secret; blanks and line ends around it are ignored.
    pub secret_file: Option<PathBuf>,
    /// The id of the only caller whose requests it may sign, that of an API key unless `issuer` says whose
    /// token it is. Anybody's if not given.
    pub caller: Option<String>,
    /// The issuer of the tokens of `caller`, one of those in `auth.jwt`; `""` for tokens without.
    pub issuer: Option<String>,
}

#[cfg(test)]
mod tests;
