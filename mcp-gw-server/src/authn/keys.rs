//! Callers that show an API key.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use mcp_gw_core::{
    Authenticator, AuthnError, Caller, CallerKind, Credentials, NoAuthentication, Transport,
};
use sha2::{Digest, Sha256};

use crate::config::{ApiKeyConfig, Config, KeyError};

/// Knows callers by their API keys. Only digests are kept; a look-up by digest tells an attacker's
/// clock nothing about the key.
#[derive(Debug)]
pub(crate) struct ApiKeys {
    callers: HashMap<[u8; 32], Arc<Caller>>,
    /// Who comes over HTTP without a key, if anybody may.
    without_key: Option<Arc<Caller>>,
    open: NoAuthentication,
}

impl ApiKeys {
    /// The callers of a configuration.
    ///
    /// # Errors
    /// When a key cannot be had; a checked configuration has none such, unless a key file changed
    /// since.
    pub(crate) fn of(config: &Config) -> Result<Self, (String, KeyError)> {
        let mut callers = HashMap::new();
        for key in &config.auth.api_keys {
            let digest = key.sha256().map_err(|error| (key.id.clone(), error))?;
            callers.insert(digest, Arc::new(caller_of(key)));
        }
        let loopback = config
            .http
            .listen_address()
            .is_some_and(|address| address.ip().is_loopback());
        let without_key = if config.auth.anonymous {
            Some(Caller::anonymous())
        } else if !callers.is_empty() {
            None
        } else if loopback {
            Some(Caller::local())
        } else {
            Some(Caller::anonymous())
        };
        Ok(Self {
            callers,
            without_key: without_key.map(Arc::new),
            open: NoAuthentication::new(),
        })
    }

    /// True when a caller who came in before comes in with the same rights now.
    pub(crate) fn knows(&self, caller: &Caller) -> bool {
        let now = self.callers.values().chain(&self.without_key);
        let has_key = now.into_iter().any(|now| has_same_rights(now, caller));
        // Whoever holds the other end of standard input is not asked for a key.
        has_key || (caller.kind == CallerKind::Local && self.without_key.is_none())
    }

    /// True when every key stands for the same as in `other`.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let has = |digest, caller: &Arc<Caller>| {
            let theirs: Option<&Arc<Caller>> = other.callers.get(digest);
            theirs.is_some_and(|theirs| has_same_rights(theirs, caller))
        };
        let others = other.without_key.as_ref().map(|caller| caller.kind);
        self.callers.len() == other.callers.len()
            && self
                .callers
                .iter()
                .all(|(digest, caller)| has(digest, caller))
            && self.without_key.as_ref().map(|caller| caller.kind) == others
    }
}

/// Whom a key stands for.
pub(crate) fn caller_of(key: &ApiKeyConfig) -> Caller {
    Caller::new(CallerKind::ApiKey, key.id.as_str())
        .with_roles(key.roles.iter().cloned())
        .with_groups(key.groups.iter().cloned())
        .with_scopes(key.scopes.iter().cloned())
        .with_claims(key.claims.clone())
}

/// The same identity with the same rights.
pub(crate) fn has_same_rights(one: &Caller, other: &Caller) -> bool {
    one.is_same(other)
        && (&one.roles, &one.groups, &one.scopes, &one.claims)
            == (&other.roles, &other.groups, &other.scopes, &other.claims)
}

#[async_trait]
impl Authenticator for ApiKeys {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Arc<Caller>, AuthnError> {
        if credentials.transport != Transport::Http {
            return self.open.authenticate(credentials).await;
        }
        // Where no key is known, a token that some client always sends is nobody's concern.
        let sent = [&credentials.bearer, &credentials.api_key]
            .into_iter()
            .flatten();
        let mut found: Option<&Arc<Caller>> = None;
        let mut any = false;
        for key in sent.filter(|_| !self.callers.is_empty()) {
            any = true;
            let digest: [u8; 32] = Sha256::digest(key.expose().as_bytes()).into();
            match (self.callers.get(&digest), found) {
                (Some(caller), None) => found = Some(caller),
                (Some(caller), Some(other)) if caller.is_same(other) => {}
                _ => {
                    return Err(AuthnError::Invalid {
                        reason: "unknown API key".to_owned(),
                    });
                }
            }
        }
        match (found, any) {
            (Some(caller), _) => Ok(Arc::clone(caller)),
            (None, false) => self.without_key.clone().ok_or(AuthnError::Missing),
            (None, true) => Err(AuthnError::Invalid {
                reason: "unknown API key".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::testing::authenticator_contract;

    use super::*;

    fn config(text: &str) -> Config {
        let text = format!("{text}\nservers: {{ a: {{ command: a }} }}");
        Config::load("test", &text, &|_| None).unwrap()
    }

    const KEYS: &str = "
policy: { default: allow }
auth:
  api_keys:
    - { id: ann, key: ann-0123456789abcdef, roles: [admin] }
    - { id: bob, key: bob-0123456789abcdef, tools: [\"get_*\"] }
";

    #[tokio::test]
    async fn keys_make_callers_and_nothing_else_does() {
        let keys = ApiKeys::of(&config(KEYS)).unwrap();
        let http = || Credentials::none(Transport::Http);
        let good = http().with_bearer("ann-0123456789abcdef".to_owned());
        authenticator_contract(&keys, Some(good.clone())).await;
        assert_eq!(&*keys.authenticate(&good).await.unwrap().id, "ann");
        assert_eq!(
            keys.authenticate(&http()).await.unwrap_err(),
            AuthnError::Missing
        );
        let both = good.clone().with_api_key("bob-0123456789abcdef".to_owned());
        assert!(
            keys.authenticate(&both).await.is_err(),
            "two callers at once are none"
        );
        let local = keys
            .authenticate(&Credentials::none(Transport::Stdio))
            .await
            .unwrap();
        assert_eq!(local.kind, CallerKind::Local);
    }

    #[tokio::test]
    async fn without_keys_the_address_says_who_it_is() {
        let http = Credentials::none(Transport::Http);
        for (text, kind) in [
            ("policy: { default: allow }", CallerKind::Local),
            (
                "policy: { default: allow }\nauth: { anonymous: true }",
                CallerKind::Anonymous,
            ),
            (
                "policy: { default: allow }\nhttp: { listen: 0.0.0.0:1, insecure: true }",
                CallerKind::Anonymous,
            ),
        ] {
            let keys = ApiKeys::of(&config(text)).unwrap();
            authenticator_contract(&keys, None).await;
            assert_eq!(keys.authenticate(&http).await.unwrap().kind, kind, "{text}");
            let stray = http.clone().with_bearer("whatever".to_owned());
            assert_eq!(
                keys.authenticate(&stray).await.unwrap().kind,
                kind,
                "{text}"
            );
        }
    }
}
