//! Tokens of users: JSON Web Tokens (RFC 7519) with HS256.
//!
//! `sub` is the number of the user, which is never given out twice: a name can be. `epoch` is that of the user's
//! tokens: when it goes up, all before end. `jti` names the token itself, so that one alone can be ended.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcp_gw_core::{AuthnError, Clock, Secret};
use mcp_gw_store::{Time, User, UserId};
use ring::hmac;
use serde_json::{Value, json};

use super::error::IdentityError;
use crate::authn::JwtTokens;
use crate::config::{DurationText, JwtConfig, MANAGEMENT_ISSUER};

/// Who issues tokens, and whom they are for.
pub const ISSUER: &str = MANAGEMENT_ISSUER;

/// By how much the clocks of two gateways may differ.
pub(super) const LEEWAY: Duration = Duration::from_secs(5);

/// A token that was issued. It is told once.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IssuedToken {
    /// The token, for `Authorization: Bearer`.
    pub access_token: Secret<String>,
    /// For how long it is good, in seconds.
    pub expires_in: u64,
}

/// Issues tokens, and knows them again.
pub(super) struct TokenMaker {
    key: hmac::Key,
    /// The code that checks everybody's tokens checks these, too.
    known: JwtTokens,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for TokenMaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenMaker")
    }
}

/// What a token says that was signed here and is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claimed {
    pub(super) user: UserId,
    pub(super) epoch: i64,
    pub(super) id: String,
    pub(super) issued: Time,
    pub(super) until: Time,
}

impl TokenMaker {
    /// # Errors
    /// When the secret cannot be used.
    pub(super) fn new(
        secret: &Secret<String>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, IdentityError> {
        let mut config = JwtConfig::hs256(secret.clone());
        config.issuer = Some(ISSUER.to_owned());
        config.audience = vec![ISSUER.to_owned()];
        config.leeway = DurationText::new(LEEWAY);
        let known = JwtTokens::of(&[config], None, clock);
        let known = known.map_err(|_| IdentityError::internal("the secret cannot be used"))?;
        Ok(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()),
            known,
            clock: Arc::clone(clock),
        })
    }

    /// A token for this user.
    ///
    /// # Errors
    /// When the machine has no random numbers.
    pub(super) fn issue(&self, user: &User, life: Duration) -> Result<IssuedToken, IdentityError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id)
            .map_err(|_| IdentityError::internal("this machine has no random numbers"))?;
        let since = self.clock.wall().duration_since(SystemTime::UNIX_EPOCH);
        let now = since.map_or(0, |since| since.as_secs());
        let claims = json!({
            "iss": ISSUER,
            "aud": ISSUER,
            "sub": user.id.to_string(),
            "username": user.username,
            "epoch": user.token_epoch,
            "jti": URL_SAFE_NO_PAD.encode(id),
            "iat": now,
            "exp": now.saturating_add(life.as_secs()),
        });
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = hmac::sign(&self.key, signed.as_bytes());
        let text = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        Ok(IssuedToken {
            access_token: Secret::new(text),
            expires_in: life.as_secs(),
        })
    }

    /// What a token says, once its signature, issuer, audience and times are found good.
    pub(super) async fn read(&self, text: &str) -> Result<Claimed, AuthnError> {
        let caller = self.known.check(text).await?;
        let claims = &caller.claims;
        let number = |name: &str| claims.get(name).and_then(Value::as_i64);
        let claimed = || {
            let user = claims.get("sub")?.as_str()?;
            // In its one spelling: a name is not taken for a number.
            let user: i64 = user
                .parse()
                .ok()
                .filter(|id: &i64| id.to_string() == user)?;
            let id = claims.get("jti")?.as_str()?;
            Some(Claimed {
                user: UserId::new(user),
                epoch: number("epoch")?,
                id: (1..=256).contains(&id.len()).then(|| id.to_owned())?,
                issued: seconds(number("iat")?)?,
                until: seconds(number("exp")?)?,
            })
        };
        claimed().ok_or_else(|| AuthnError::Invalid {
            reason: "the token does not say what tokens of this gateway say".to_owned(),
        })
    }
}

fn seconds(seconds: i64) -> Option<Time> {
    Some(Time::from_micros(seconds.checked_mul(1_000_000)?))
}
