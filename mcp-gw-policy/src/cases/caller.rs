//! Who asks in a case.

use std::collections::BTreeMap;
use std::fmt;

use mcp_gw_core::{Caller, CallerKind};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fault::{PolicyFaults, nearest, shown};
use crate::load;

/// Who asks: a caller as written, or the name of one that is written elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CaseCaller {
    /// The name of a caller that is written elsewhere; then nothing else counts.
    #[serde(skip)]
    pub name: Option<String>,
    /// The id.
    pub id: Option<String>,
    /// The kind of caller, such as `api_key`; `anonymous` without an id, `user` with one.
    pub kind: Option<String>,
    /// Who vouches for the id, such as the issuer of a token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// Roles.
    pub roles: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Scopes.
    pub scopes: Vec<String>,
    /// Claims.
    pub claims: Map<String, Value>,
}

impl CaseCaller {
    /// Reads a caller from YAML, of which JSON is a part: `{id: ann, groups: [staff]}`, or a name.
    ///
    /// # Errors
    /// What is wrong with it, with line and column.
    pub fn from_yaml(text: &str) -> Result<Self, PolicyFaults> {
        load::value_of(text)
    }

    /// The caller that a token with these claims stands for: `sub`, `iss`, `scope` or `scp`, `roles` and
    /// `groups` are what they are in a gateway that is not told otherwise.
    fn of_claims(claims: Map<String, Value>) -> Self {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let list = |name: &str| -> Vec<String> {
            match claims.get(name) {
                Some(Value::String(words)) => words.split_whitespace().map(str::to_owned).collect(),
                Some(Value::Array(words)) => {
                    let words = words.iter().filter_map(Value::as_str);
                    words.map(str::to_owned).collect()
                }
                _ => Vec::new(),
            }
        };
        let mut scopes = list("scope");
        scopes.extend(list("scp"));
        Self {
            name: None,
            id: text("sub"),
            kind: None,
            issuer: text("iss").unwrap_or_default(),
            roles: list("roles"),
            groups: list("groups"),
            scopes,
            claims,
        }
    }

    /// A caller that is written elsewhere, under `name`.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            ..Self::default()
        }
    }

    /// The caller that this one stands for, among those with names. `anonymous` and `local` are always
    /// known.
    ///
    /// # Errors
    /// When nobody has its name; a sentence for people.
    pub fn among<'c>(&'c self, callers: &'c BTreeMap<String, Self>) -> Result<&'c Self, String> {
        let Some(name) = &self.name else {
            return Ok(self);
        };
        if let Some(caller) = callers.get(name) {
            return match &caller.name {
                None => Ok(caller),
                Some(_) => Err(format!("the caller {} is only another name", shown(name))),
            };
        }
        if BUILT_IN.contains(&&**name) {
            return Ok(self);
        }
        let known = || callers.keys().map(String::as_str).chain(BUILT_IN);
        let help = nearest(name, known()).map_or_else(
            || {
                let known: Vec<_> = known().take(MOST_SHOWN).map(shown).collect();
                format!(
                    "known are {}, or write one as `{{id: …}}`",
                    known.join(", ")
                )
            },
            |near| format!("did you mean `{near}`?"),
        );
        Err(format!("there is no caller {} here; {help}", shown(name)))
    }

    /// As the gateway knows callers.
    ///
    /// # Errors
    /// When there is no such kind of caller, or the caller is written elsewhere.
    pub fn to_caller(&self) -> Result<Caller, String> {
        match self.name.as_deref() {
            None => {}
            Some("anonymous") => return Ok(Caller::anonymous()),
            Some("local") => return Ok(Caller::local()),
            Some(name) => return Err(format!("there is no caller {} here", shown(name))),
        }
        let kind = match (self.kind.as_deref(), &self.id) {
            (Some("anonymous"), _) | (None, None) => CallerKind::Anonymous,
            (Some("local"), _) => CallerKind::Local,
            (Some("user"), _) | (None, Some(_)) => CallerKind::User,
            (Some("api_key"), _) => CallerKind::ApiKey,
            (Some("oauth_client"), _) => CallerKind::OAuthClient,
            (Some(other), _) => {
                return Err(format!(
                    "there is no kind of caller {}; there are {KINDS}",
                    shown(other)
                ));
            }
        };
        let id = self.id.as_deref().unwrap_or(kind.as_str());
        Ok(Caller::new(kind, id)
            .with_issuer(self.issuer.as_str())
            .with_roles(self.roles.clone())
            .with_groups(self.groups.clone())
            .with_scopes(self.scopes.clone())
            .with_claims(self.claims.clone()))
    }
}

const BUILT_IN: [&str; 2] = ["anonymous", "local"];
const KINDS: &str = "anonymous, local, user, api_key, oauth_client";
const MOST_SHOWN: usize = 12;

impl From<&Caller> for CaseCaller {
    fn from(caller: &Caller) -> Self {
        Self {
            name: None,
            id: Some(caller.id.to_string()),
            kind: Some(caller.kind.as_str().to_owned()),
            issuer: caller.issuer.to_string(),
            roles: caller.roles.clone(),
            groups: caller.groups.clone(),
            scopes: caller.scopes.clone(),
            claims: caller.claims.clone(),
        }
    }
}

/// What may stand in the mapping of a caller.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    id: Option<String>,
    kind: Option<String>,
    issuer: String,
    roles: Vec<String>,
    groups: Vec<String>,
    scopes: Vec<String>,
    claims: Map<String, Value>,
}

impl<'de> Deserialize<'de> for CaseCaller {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CallerVisitor)
    }
}

struct CallerVisitor;

impl<'de> Visitor<'de> for CallerVisitor {
    type Value = CaseCaller;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a caller such as `{id: ann, groups: [staff]}`, or the name of one")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<CaseCaller, E> {
        Ok(CaseCaller::named(name))
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<CaseCaller, M::Error> {
        let members = Map::deserialize(MapAccessDeserializer::new(map))?;
        if members.contains_key("sub") && !members.contains_key("id") {
            return Ok(CaseCaller::of_claims(members));
        }
        let written = Written::deserialize(Value::Object(members)).map_err(de::Error::custom)?;
        Ok(CaseCaller {
            name: None,
            id: written.id,
            kind: written.kind,
            issuer: written.issuer,
            roles: written.roles,
            groups: written.groups,
            scopes: written.scopes,
            claims: written.claims,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> CaseCaller {
        CaseCaller::from_yaml(text).unwrap()
    }

    #[test]
    fn a_caller_is_written_out_or_named() {
        let ann = read("{ id: ann, kind: api_key, groups: [staff] }");
        let callers = BTreeMap::from([
            ("ann".to_owned(), ann.clone()),
            ("me".to_owned(), read("ann")),
        ]);
        let caller = read("ann").among(&callers).unwrap().to_caller().unwrap();
        assert_eq!(CaseCaller::from(&caller), ann);
        let local = read("local");
        let local = local.among(&callers).unwrap().to_caller().unwrap();
        assert_eq!(local.kind, CallerKind::Local);
        for (text, word) in [
            ("an", "did you mean `ann`?"),
            ("zebra", "known are `ann`, `me`, `anonymous`, `local`"),
            ("me", "only another name"),
        ] {
            let error = read(text).among(&callers).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn the_claims_of_a_token_are_a_caller() {
        let token = read(r#"{"sub": "ann", "scope": "a b", "iss": "https://x", "groups": ["g"]}"#);
        let caller = token.to_caller().unwrap();
        assert_eq!((&*caller.id, &*caller.issuer), ("ann", "https://x"));
        assert_eq!(caller.scopes, ["a", "b"]);
        assert_eq!(caller.groups, ["g"]);
        assert_eq!(caller.claims["scope"], "a b");
    }

    #[test]
    fn what_is_no_caller_is_refused() {
        for (text, word) in [
            ("{ id: ann, group: [staff] }", "did you mean `groups`?"),
            ("[ann]", "a caller such as"),
            ("7", "a caller such as"),
        ] {
            let faults = CaseCaller::from_yaml(text).unwrap_err().to_string();
            assert!(faults.contains(word), "{faults}");
        }
        let error = read("{ kind: boss }").to_caller().unwrap_err();
        assert!(
            error.contains("there are anonymous, local, user"),
            "{error}"
        );
    }
}
