//! Who a rule is for.

use std::collections::HashSet;

use mcp_gw_core::Caller;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Callers. Of each key that is there the caller must have one; a key that is absent says nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct WhoConfig {
    /// Ids of callers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// Kinds of callers: `anonymous`, `local`, `user`, `api_key`, `oauth_client`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Roles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Scopes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Claims of the caller's credential, each with the value that it must have.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub claims: Map<String, Value>,
}

impl WhoConfig {
    /// Callers with one of these ids.
    pub fn ids<S: Into<String>>(ids: impl IntoIterator<Item = S>) -> Self {
        Self {
            ids: ids.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Callers with one of these roles.
    pub fn roles<S: Into<String>>(roles: impl IntoIterator<Item = S>) -> Self {
        Self {
            roles: roles.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// True when it says nothing: everybody.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }
}

/// What the caller has, directly or by way of something else.
#[derive(Debug)]
pub(crate) struct Identity<'a> {
    caller: &'a Caller,
}

impl<'a> Identity<'a> {
    pub(crate) const fn of(caller: &'a Caller) -> Self {
        Self { caller }
    }

    /// All roles of the caller.
    pub(crate) fn roles(&self) -> impl Iterator<Item = &str> {
        self.caller.roles.iter().map(String::as_str)
    }

    /// All groups of the caller.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        self.caller.groups.iter().map(String::as_str)
    }

    /// All scopes of the caller.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = &str> {
        self.caller.scopes.iter().map(String::as_str)
    }
}

/// What a caller must have one of to be meant; the index keeps rules by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhoKeys<'a> {
    Ids(&'a [String]),
    Roles(&'a [String]),
    Groups(&'a [String]),
    /// It is not told by one such list.
    Open,
}

impl WhoConfig {
    /// The list that narrows it down most.
    pub(crate) fn keys(&self) -> WhoKeys<'_> {
        if !self.ids.is_empty() {
            WhoKeys::Ids(&self.ids)
        } else if !self.roles.is_empty() {
            WhoKeys::Roles(&self.roles)
        } else if !self.groups.is_empty() {
            WhoKeys::Groups(&self.groups)
        } else {
            WhoKeys::Open
        }
    }
}

/// The callers that a rule is for, ready to be compared.
#[derive(Debug)]
pub(crate) struct Who {
    ids: HashSet<String>,
    kinds: HashSet<String>,
    roles: HashSet<String>,
    groups: HashSet<String>,
    scopes: HashSet<String>,
    claims: Map<String, Value>,
}

/// What is wrong with a [`WhoConfig`]: the key below it, the message, the help.
pub(crate) type WhoFault = (&'static str, String, String);

impl Who {
    pub(crate) fn compile(config: &WhoConfig) -> Result<Self, Vec<WhoFault>> {
        let mut faults = Vec::new();
        for kind in &config.kinds {
            if !KINDS.contains(&&**kind) {
                let message = format!("{} is no kind of caller", crate::fault::shown(kind));
                let help = match crate::fault::nearest(kind, KINDS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the kinds are {}", KINDS.join(", ")),
                };
                faults.push(("kinds", message, help));
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let set = |list: &[String]| list.iter().cloned().collect();
        Ok(Self {
            ids: set(&config.ids),
            kinds: set(&config.kinds),
            roles: set(&config.roles),
            groups: set(&config.groups),
            scopes: set(&config.scopes),
            claims: config.claims.clone(),
        })
    }

    pub(crate) fn matches(&self, caller: &Caller, identity: &Identity<'_>) -> bool {
        self.miss(caller, identity).is_none()
    }

    /// The key that the caller does not meet.
    pub(crate) fn miss(&self, caller: &Caller, identity: &Identity<'_>) -> Option<&'static str> {
        fn one<'n>(wanted: &HashSet<String>, mut has: impl Iterator<Item = &'n str>) -> bool {
            wanted.is_empty() || has.any(|name| wanted.contains(name))
        }
        if !self.ids.is_empty() && !self.ids.contains(&*caller.id) {
            Some("ids")
        } else if !self.kinds.is_empty() && !self.kinds.contains(caller.kind.as_str()) {
            Some("kinds")
        } else if !one(&self.roles, identity.roles()) {
            Some("roles")
        } else if !one(&self.groups, identity.groups()) {
            Some("groups")
        } else if !one(&self.scopes, identity.scopes()) {
            Some("scopes")
        } else if !self
            .claims
            .iter()
            .all(|(name, value)| caller.claims.get(name) == Some(value))
        {
            Some("claims")
        } else {
            None
        }
    }
}

const KINDS: [&str; 5] = ["anonymous", "local", "user", "api_key", "oauth_client"];
