//! Callers that show an API key.

use std::collections::HashMap;
use std::sync::Arc;

use mcp_gw_core::{Caller, CallerKind, Secret};
use sha2::{Digest, Sha256};

use super::has_same_rights;
use crate::config::{ApiKeyConfig, Config, KeyError};

/// Knows callers by their API keys. Only digests are kept; a look-up by digest tells an attacker's
/// clock nothing about the key.
#[derive(Debug)]
pub(crate) struct ApiKeys {
    callers: HashMap<[u8; 32], Arc<Caller>>,
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
        Ok(Self { callers })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.callers.is_empty()
    }

    /// All callers with a key.
    pub(crate) fn callers(&self) -> impl Iterator<Item = &Arc<Caller>> {
        self.callers.values()
    }

    /// Whose key it is.
    pub(crate) fn find(&self, key: &Secret<String>) -> Option<&Arc<Caller>> {
        let digest: [u8; 32] = Sha256::digest(key.expose().as_bytes()).into();
        self.callers.get(&digest)
    }

    /// True when every key stands for the same as in `other`.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let has = |digest, caller: &Arc<Caller>| {
            let theirs: Option<&Arc<Caller>> = other.callers.get(digest);
            theirs.is_some_and(|theirs| has_same_rights(theirs, caller))
        };
        self.callers.len() == other.callers.len()
            && self
                .callers
                .iter()
                .all(|(digest, caller)| has(digest, caller))
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
