//! Callers as a policy names them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::present;

/// Callers. Of each key that is there the caller must have one; a key that is absent says nothing.
/// An empty list would be nobody, and is refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct WhoConfig {
    /// Ids of callers.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub ids: Option<Vec<String>>,
    /// Kinds of callers: `anonymous`, `local`, `user`, `api_key`, `oauth_client`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub kinds: Option<Vec<String>>,
    /// Issuers of the caller's token, such as `https://login.example.com`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub issuers: Option<Vec<String>>,
    /// Roles, held directly or by inheritance.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub roles: Option<Vec<String>>,
    /// Groups, held directly or by membership.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub groups: Option<Vec<String>>,
    /// Scopes, held directly or implied by others.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub scopes: Option<Vec<String>>,
    /// Verified claims of the caller's credential, all of which must fit. The name is that of a claim,
    /// or a path in it such as `realm_access.roles`. A string is a glob; a list means any of its
    /// values; of a claim that is a list one value must fit. `"*"` is every value but null, and `5` is
    /// `5.0`. For a `deny` and for `consumers`, `5` is also `"5"`, `true` is also `"true"`, and of a
    /// claim `a.b` and a member `b` of `a` either counts; for everything else the claim comes first.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub claims: Option<Map<String, Value>>,
    /// The caller must be one of at least one of these.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub any_of: Option<Vec<Self>>,
    /// The caller must be one of each of these.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub all_of: Option<Vec<Self>>,
}

impl WhoConfig {
    /// Callers with one of these ids; without any a policy refuses it.
    pub fn ids<S: Into<String>>(ids: impl IntoIterator<Item = S>) -> Self {
        Self {
            ids: Some(ids.into_iter().map(Into::into).collect()),
            ..Self::default()
        }
    }

    /// Callers with one of these roles; without any a policy refuses it.
    pub fn roles<S: Into<String>>(roles: impl IntoIterator<Item = S>) -> Self {
        Self {
            roles: Some(roles.into_iter().map(Into::into).collect()),
            ..Self::default()
        }
    }

    /// Callers in one of these groups; without any a policy refuses it.
    pub fn groups<S: Into<String>>(groups: impl IntoIterator<Item = S>) -> Self {
        Self {
            groups: Some(groups.into_iter().map(Into::into).collect()),
            ..Self::default()
        }
    }

    /// The same callers, if they have one of these ids.
    #[must_use]
    pub fn with_ids<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.ids = Some(ids.into_iter().map(Into::into).collect());
        self
    }

    /// The same callers, if they have one of these roles.
    #[must_use]
    pub fn with_roles<S: Into<String>>(mut self, roles: impl IntoIterator<Item = S>) -> Self {
        self.roles = Some(roles.into_iter().map(Into::into).collect());
        self
    }

    /// The same callers, if they are in one of these groups.
    #[must_use]
    pub fn with_groups<S: Into<String>>(mut self, groups: impl IntoIterator<Item = S>) -> Self {
        self.groups = Some(groups.into_iter().map(Into::into).collect());
        self
    }

    /// The same callers, if their token is of one of these issuers.
    #[must_use]
    pub fn with_issuers<S: Into<String>>(mut self, issuers: impl IntoIterator<Item = S>) -> Self {
        self.issuers = Some(issuers.into_iter().map(Into::into).collect());
        self
    }

    /// The same callers, if they have one of these scopes.
    #[must_use]
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// The same callers, if they are of one of these kinds.
    #[must_use]
    pub fn with_kinds<S: Into<String>>(mut self, kinds: impl IntoIterator<Item = S>) -> Self {
        self.kinds = Some(kinds.into_iter().map(Into::into).collect());
        self
    }

    /// The same callers, if they have this claim with one of these values.
    #[must_use]
    pub fn with_claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let claims = self.claims.get_or_insert_with(Map::new);
        claims.insert(name.into(), value.into());
        self
    }

    /// Callers with all of these scopes; without any a policy refuses it.
    pub fn all_scopes<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Self {
        let one = |scope: S| Self {
            scopes: Some(vec![scope.into()]),
            ..Self::default()
        };
        Self {
            all_of: Some(scopes.into_iter().map(one).collect()),
            ..Self::default()
        }
    }

    /// True when it says nothing: everybody.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// The list that narrows it down most.
    pub(crate) fn keys(&self) -> WhoKeys<'_> {
        match (&self.ids, &self.roles, &self.groups) {
            (Some(ids), ..) => WhoKeys::Ids(ids),
            (_, Some(roles), _) => WhoKeys::Roles(roles),
            (.., Some(groups)) => WhoKeys::Groups(groups),
            (None, None, None) => WhoKeys::Open,
        }
    }

    /// The scopes that it names anywhere.
    pub(crate) fn named_scopes(&self) -> Vec<&str> {
        let mut named: Vec<&str> = self.scopes.iter().flatten().map(String::as_str).collect();
        for nested in self.nested() {
            named.extend(nested.named_scopes());
        }
        named
    }

    /// The entries of `any_of` and `all_of`.
    pub(crate) fn nested(&self) -> impl Iterator<Item = &Self> {
        self.any_of.iter().chain(&self.all_of).flatten()
    }

    /// The keys that are there without a value. Nobody would have one of none.
    pub(super) fn empty_keys(&self) -> impl Iterator<Item = &'static str> {
        let is_empty = |list: &Option<Vec<String>>| list.as_ref().is_some_and(Vec::is_empty);
        let nested = |list: &Option<Vec<Self>>| list.as_ref().is_some_and(Vec::is_empty);
        let claims = self.claims.as_ref();
        [
            ("ids", is_empty(&self.ids)),
            ("kinds", is_empty(&self.kinds)),
            ("issuers", is_empty(&self.issuers)),
            ("roles", is_empty(&self.roles)),
            ("groups", is_empty(&self.groups)),
            ("scopes", is_empty(&self.scopes)),
            ("claims", claims.is_some_and(Map::is_empty)),
            ("any_of", nested(&self.any_of)),
            ("all_of", nested(&self.all_of)),
        ]
        .into_iter()
        .filter_map(|(key, is_empty)| is_empty.then_some(key))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::WhoConfig;

    #[test]
    fn keys_are_put_together_as_a_file_does() {
        let built = WhoConfig::ids(["ann"])
            .with_groups(["g", "h"])
            .with_roles(["r"])
            .with_scopes(["s"])
            .with_issuers(["https://login.example.com"])
            .with_kinds(["user"])
            .with_claim("dept", "sales");
        let written = json!({
            "ids": ["ann"], "groups": ["g", "h"], "roles": ["r"], "scopes": ["s"],
            "issuers": ["https://login.example.com"], "kinds": ["user"], "claims": {"dept": "sales"},
        });
        assert_eq!(serde_json::to_value(&built).unwrap(), written);
        let later = WhoConfig::default().with_ids(["ann"]);
        assert_eq!(later, WhoConfig::ids(["ann"]));
    }
}
