//! What may be wrong with what is said of tokens and signatures.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use http::HeaderName;

use super::super::check::Checker;
use super::super::path::ConfigPath;
use super::super::text::DurationText;
use super::super::types::{Config, seconds};
use super::{
    AddressFault, AuthConfig, JwksConfig, JwtAlgorithm, JwtConfig, SecretError, SignatureConfig,
    SignatureKeyConfig, keys_at,
};
use crate::authn::key_set_of_file;

/// Checks what the types do not say.
pub(in super::super) fn check(checker: &mut Checker<'_>, config: &Config, path: &ConfigPath) {
    let auth = &config.auth;
    let at = path.key("api_key_header");
    header(checker, &auth.api_key_header, "X-API-Key", &at);
    for (index, issuer) in auth.jwt.iter().enumerate() {
        jwt(checker, issuer, &path.key("jwt").index(index));
    }
    if let Some(signed) = &auth.signature {
        signature(checker, auth, signed, &path.key("signature"));
    }
}

/// Headers that have a meaning of their own.
const TAKEN: [&str; 20] = [
    "accept",
    "authorization",
    "connection",
    "content-digest",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "origin",
    "proxy-authorization",
    "signature",
    "signature-input",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

fn header(checker: &mut Checker<'_>, name: &str, usual: &str, at: &ConfigPath) {
    let help = format!("write a name such as `{usual}`");
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        let message = format!("{} is not the name of a header", checker.shown(at, name));
        return checker.fault(at, message, help);
    };
    let name = name.as_str();
    if TAKEN.contains(&name) || name.starts_with("mcp-") {
        let message = format!("the header `{name}` has another meaning");
        checker.fault(at, message, help);
    }
}

fn jwt(checker: &mut Checker<'_>, issuer: &JwtConfig, path: &ConfigPath) {
    source(checker, issuer, path);
    if let Some(jwks) = &issuer.jwks {
        self::jwks(checker, jwks, &path.key("jwks"));
        // Keys that everybody may read sign tokens for many others, too.
        if issuer.issuer.is_none() {
            let help = "write what `iss` of its tokens is, as `issuer: https://login.example.com/`";
            checker.fault(&path.key("issuer"), "published keys need an issuer", help);
        }
        if issuer.audience.is_empty() {
            let help = "write what `aud` of tokens for this gateway is, as a rule its public URL: \
                        `audience: [\"https://mcp.example.com/mcp\"]`";
            let message = "published keys need an audience: the issuer's tokens for others would \
                           be good here";
            checker.fault(&path.key("audience"), message, help);
        }
    }
    for (key, texts) in [
        ("issuer", issuer.issuer.as_slice()),
        ("audience", issuer.audience.as_slice()),
    ] {
        for text in texts {
            if text.trim() != text || text.is_empty() {
                let message = "an empty text, or blanks around it, is in no token";
                checker.fault(&path.key(key), message, "write it as tokens have it");
            }
        }
    }
    algorithms(checker, issuer, &path.key("algorithms"));
    if let Some(max_age) = issuer.max_age {
        checker.duration(&path.key("max_age"), max_age);
    }
    at_most(checker, issuer.leeway, LONGEST_LEEWAY, &path.key("leeway"));
    let claims = &issuer.claims;
    for (key, claim) in [
        ("id", Some(&claims.id)),
        ("roles", Some(&claims.roles)),
        ("groups", Some(&claims.groups)),
        ("scopes", claims.scopes.as_ref()),
    ] {
        if claim.is_some_and(|claim| claim.trim().is_empty()) {
            let help = "write the name of a claim, such as `sub` or `realm_access.roles`";
            let at = path.key("claims").key(key);
            checker.fault(&at, "an empty name is no claim", help);
        }
    }
}

/// Where the keys come from.
fn source(checker: &mut Checker<'_>, issuer: &JwtConfig, path: &ConfigPath) {
    let has_secret = issuer.hs256_secret.is_some() || issuer.hs256_secret_file.is_some();
    if has_secret == issuer.jwks.is_some() {
        let keys = ["hs256_secret", "hs256_secret_file", "jwks"];
        let values = keys.map(|key| path.key(key)).into();
        let message = "not exactly one of `hs256_secret`, `hs256_secret_file` and `jwks` is given";
        let help = "give `jwks: { url: … }` for tokens of a login server, or `hs256_secret: \
                    ${JWT_SECRET}` for a secret that both sides know";
        return checker.fault_of(path, values, message, help);
    }
    if let Err(error) = issuer.secret() {
        let at = match (&issuer.hs256_secret, &issuer.hs256_secret_file) {
            (Some(_), None) => path.key("hs256_secret"),
            (None, Some(_)) => path.key("hs256_secret_file"),
            _ => path.clone(),
        };
        checker.fault(&at, error.to_string(), error.help());
    }
}

fn jwks(checker: &mut Checker<'_>, jwks: &JwksConfig, path: &ConfigPath) {
    match (&jwks.url, &jwks.file) {
        (Some(url), None) => {
            if let Err(AddressFault { message, help }) = keys_at(jwks, url) {
                checker.fault(&path.key("url"), message, help);
            }
        }
        (None, Some(file)) => {
            if let Err(error) = key_set_of_file(file) {
                checker.fault(&path.key("file"), error.to_string(), error.help());
            }
        }
        _ => {
            let values = vec![path.key("url"), path.key("file")];
            let message = "not exactly one of `url` and `file` is given";
            let help = "give `url: https://login.example.com/jwks.json`; the `jwks_uri` of your \
                        login server is in its `/.well-known/openid-configuration`";
            checker.fault_of(path, values, message, help);
        }
    }
    for (index, text) in jwks.allow_addresses.iter().enumerate() {
        if text.parse::<IpAddr>().is_err() {
            let at = path.key("allow_addresses").index(index);
            let message = format!("{} is not a single address", checker.shown(&at, text));
            checker.fault(&at, message, "write it as `192.168.7.1` or `fd00::1`");
        }
    }
    let refresh = jwks.refresh.get();
    if refresh < SHORTEST_REFRESH.get() || refresh > LONGEST_REFRESH.get() {
        let help = format!("write something from `{SHORTEST_REFRESH}` to `{LONGEST_REFRESH}`");
        let message = "no time after which keys can be fetched again";
        checker.fault(&path.key("refresh"), message, help);
    }
    at_most(
        checker,
        jwks.max_stale,
        LONGEST_STALE,
        &path.key("max_stale"),
    );
    if jwks.max_stale < jwks.refresh {
        let message = "shorter than `refresh`: keys would be gone before they are fetched again";
        let help = "write a longer time, such as `24h`";
        checker.fault(&path.key("max_stale"), message, help);
    }
}

fn algorithms(checker: &mut Checker<'_>, issuer: &JwtConfig, path: &ConfigPath) {
    for (index, algorithm) in issuer.algorithms.iter().enumerate() {
        let at = path.index(index);
        let name = algorithm.as_str();
        if issuer.algorithms.iter().take(index).any(|a| a == algorithm) {
            checker.fault(&at, format!("`{name}` is there again"), "remove one");
        }
        let is_shared = *algorithm == JwtAlgorithm::Hs256;
        if is_shared == issuer.jwks.is_some() {
            let (message, help) = if is_shared {
                (
                    "a published key is no secret: everybody could sign with it",
                    "remove it, or give `hs256_secret` in an entry of its own",
                )
            } else {
                (
                    "a shared secret signs with `HS256` alone",
                    "remove it, or give `jwks` in an entry of its own",
                )
            };
            checker.fault(&at, message, help);
        }
    }
}

fn signature(
    checker: &mut Checker<'_>,
    auth: &AuthConfig,
    signed: &SignatureConfig,
    path: &ConfigPath,
) {
    let mut ids = BTreeMap::new();
    let mut secrets = BTreeMap::new();
    if signed.keys.is_empty() {
        let help = "add one: `keys: [{ id: ci, secret: \"${SIGNING_SECRET}\" }]`";
        checker.fault(&path.key("keys"), "there is no key to sign with", help);
    }
    for (index, key) in signed.keys.iter().enumerate() {
        let at = path.key("keys").index(index);
        if let Some(first) = ids.insert(key.id.as_str(), index) {
            let message = format!("the id of `auth.signature.keys[{first}]` is used again");
            checker.fault(&at.key("id"), message, "give each key its own id");
        }
        if let Ok(secret) = key.bytes()
            && let Some(first) = secrets.insert(secret.expose().clone(), index)
        {
            let message = format!("the secret of `auth.signature.keys[{first}]` is used again");
            let help = "make one with `openssl rand -hex 32` for each key";
            let source = if key.secret.is_some() {
                "secret"
            } else {
                "secret_file"
            };
            checker.fault(&at.key(source), message, help);
        }
        signing_key(checker, auth, key, &at);
    }
    if signed.profiles.is_empty() {
        let message = "no form of signatures is taken";
        checker.fault(&path.key("profiles"), message, "remove the key for both");
    }
    for (key, value, most) in [
        ("max_age", signed.max_age, LONGEST_SIGNATURE),
        ("max_skew", signed.max_skew, LONGEST_SKEW),
    ] {
        at_most(checker, value, most, &path.key(key));
    }
    if signed.max_age.get() < Duration::from_secs(1) {
        let message = "a signature would be too old at once";
        checker.fault(&path.key("max_age"), message, "write at least `1s`");
    }
    header(checker, &signed.header, "X-Signature", &path.key("header"));
    if signed.header.eq_ignore_ascii_case(&auth.api_key_header) {
        let message = "the header of API keys, `auth.api_key_header`, is the same";
        let help = "write another one, such as `X-Signature`";
        checker.fault(&path.key("header"), message, help);
    }
}

fn signing_key(
    checker: &mut Checker<'_>,
    auth: &AuthConfig,
    key: &SignatureKeyConfig,
    at: &ConfigPath,
) {
    let visible = key.id.bytes().all(|byte| byte.is_ascii_graphic());
    if !visible || !(1..=128).contains(&key.id.len()) || key.id.contains(['"', '\\', ',']) {
        let message = "the id is not made of 1 to 128 visible ASCII characters without quotes, \
                           commas and backslashes";
        checker.fault(&at.key("id"), message, "write a name such as `ci-2026`");
    }
    if let Err(error) = key.bytes() {
        let at = match (&key.secret, &key.secret_file) {
            (Some(_), None) => at.key("secret"),
            (None, Some(_)) => at.key("secret_file"),
            _ => at.clone(),
        };
        let help = match error {
            SecretError::Weak => "make one with `openssl rand -hex 32`, and give it to who signs",
            _ => error.help(),
        };
        checker.fault(&at, error.to_string(), help);
    }
    if let Some(caller) = &key.caller
        && key.issuer.is_none()
        && !auth.api_keys.iter().any(|other| other.id == *caller)
    {
        let at = at.key("caller");
        let message = format!("there is no caller {}", checker.shown(&at, caller));
        let help =
            "write an id that a key in `auth.api_keys` has, or give the `issuer` of its tokens";
        checker.fault(&at, message, help);
    }
    if let Some(issuer) = &key.issuer {
        let at = at.key("issuer");
        if key.caller.is_none() {
            let message = "it says of which tokens `caller` is, and there is none";
            checker.fault(&at, message, "give `caller`, or remove it");
        } else if !auth.issuers().any(|known| known == issuer) {
            let message = format!("there is no issuer {}", checker.shown(&at, issuer));
            checker.fault(&at, message, "write one of those in `auth.jwt`");
        }
    }
}

fn at_most(checker: &mut Checker<'_>, value: DurationText, most: DurationText, at: &ConfigPath) {
    if value > most {
        checker.fault(
            at,
            "longer than it can be",
            format!("write at most `{most}`"),
        );
    }
}

/// The longest `leeway` of tokens.
const LONGEST_LEEWAY: DurationText = seconds(60);
/// The shortest and the longest time for which fetched keys are good.
const SHORTEST_REFRESH: DurationText = seconds(60);
const LONGEST_REFRESH: DurationText = seconds(24 * 3600);
/// The longest time for which keys are used that cannot be fetched again.
const LONGEST_STALE: DurationText = seconds(168 * 3600);
/// The longest `max_age` of signatures.
const LONGEST_SIGNATURE: DurationText = seconds(15 * 60);
/// The longest `max_skew` of signatures.
const LONGEST_SKEW: DurationText = seconds(5 * 60);
