//! What users and keys may do, and the callers that they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_gw_core::{Caller, CallerKind};
use mcp_gw_store::{ApiKey, KeyId, Time, User, UserId};
use serde_json::{Map, Value, json};

use crate::authn::{CREDENTIAL, CREDENTIAL_UNTIL};
use crate::config::{KEY_ID, MANAGEMENT_ISSUER};

/// The role of callers who have the scope `admin`, and of nobody else.
pub(super) const ADMIN_ROLE: &str = "admin";

/// What a credential is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// To see servers and figures.
    Read,
    /// To change servers.
    Write,
    /// To call tools.
    Call,
    /// To do everything, with users and keys, too.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Call, Self::Admin];

    /// What every user has.
    const OF_ALL: [Self; 2] = [Self::Read, Self::Call];

    /// Its name: `gateway:read`, `gateway:write`, `tools:call`, `admin`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "gateway:read",
            Self::Write => "gateway:write",
            Self::Call => "tools:call",
            Self::Admin => "admin",
        }
    }

    /// The scope of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }

    /// What a caller holds. Who has `admin` has them all; a token of another issuer never has it, as what
    /// that calls an administrator need not be one here.
    pub fn held_by(caller: &Caller) -> Vec<Self> {
        let names = caller.scopes.iter();
        let mut held: Vec<Self> = names.filter_map(|name| Self::from_name(name)).collect();
        let is_ours = match caller.kind {
            CallerKind::Local | CallerKind::Anonymous | CallerKind::ApiKey => true,
            _ => &*caller.issuer == MANAGEMENT_ISSUER,
        };
        if !is_ours {
            held.retain(|scope| *scope != Self::Admin);
        } else if held.contains(&Self::Admin) {
            return Self::ALL.to_vec();
        }
        held.sort_unstable();
        held.dedup();
        held
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The scopes that roles give, beside those that all users have.
#[derive(Debug, Clone, Default)]
pub(super) struct RoleScopes(BTreeMap<String, Vec<Scope>>);

impl RoleScopes {
    /// Of the configuration. A role never gives `admin`.
    pub(super) fn of(config: &BTreeMap<String, Vec<String>>) -> Self {
        let scopes = |names: &Vec<String>| {
            let scopes = names.iter().filter_map(|name| Scope::from_name(name));
            scopes.filter(|scope| *scope != Scope::Admin).collect()
        };
        let roles = config.iter();
        Self(
            roles
                .map(|(role, names)| (role.clone(), scopes(names)))
                .collect(),
        )
    }

    /// What a user may do.
    pub(super) fn of_user(&self, user: &User) -> Vec<Scope> {
        if user.is_superuser {
            return Scope::ALL.to_vec();
        }
        let by_role = user.roles.iter().filter_map(|role| self.0.get(role));
        let mut held = Scope::OF_ALL.to_vec();
        held.extend(by_role.flatten());
        held.sort_unstable();
        held.dedup();
        held
    }

    /// What a key may do: never more than its user. `admin` on a superuser's key is everything.
    pub(super) fn of_key(&self, key: &ApiKey, user: &User) -> Vec<Scope> {
        let theirs = self.of_user(user);
        let named = key.scopes.iter().filter_map(|name| Scope::from_name(name));
        let mut held: Vec<Scope> = named.filter(|scope| theirs.contains(scope)).collect();
        if held.contains(&Scope::Admin) {
            return Scope::ALL.to_vec();
        }
        held.sort_unstable();
        held.dedup();
        held
    }

    /// The caller that a user with this token is.
    pub(super) fn user_caller(&self, user: &User, token: &Shown<'_>) -> Arc<Caller> {
        let scopes = self.of_user(user);
        let mut facts = facts(user);
        token.put(&mut facts);
        // Streams of tokens that were ended are not those of the user any more.
        facts.insert("token_epoch".to_owned(), json!(user.token_epoch));
        let caller = Caller::new(CallerKind::User, user.username.as_str());
        Arc::new(dressed(caller, user, &scopes, facts))
    }

    /// The caller that a key is.
    pub(super) fn key_caller(&self, key: &ApiKey, user: &User) -> Arc<Caller> {
        let scopes = self.of_key(key, user);
        let mut facts = facts(user);
        facts.insert("key_id".to_owned(), json!(key.id.get()));
        facts.insert("key_name".to_owned(), json!(key.name));
        let shown = Shown {
            name: &key.public_id,
            until: key.expires_at,
        };
        shown.put(&mut facts);
        let caller = Caller::new(CallerKind::ApiKey, format!("{KEY_ID}{}", key.id));
        Arc::new(dressed(caller, user, &scopes, facts))
    }
}

/// The credential that somebody came with. What was opened with one ends with it.
pub(super) struct Shown<'c> {
    /// Names it, and is no secret.
    pub(super) name: &'c str,
    /// Until when it is good.
    pub(super) until: Option<Time>,
}

impl<'c> Shown<'c> {
    /// That of a caller of the store.
    pub(super) fn of(caller: &'c Caller) -> Self {
        let name = caller.claims.get(CREDENTIAL).and_then(Value::as_str);
        let until = caller.claims.get(CREDENTIAL_UNTIL).and_then(Value::as_i64);
        Self {
            name: name.unwrap_or_default(),
            until: until.map(Time::from_micros),
        }
    }

    fn put(&self, facts: &mut Map<String, Value>) {
        facts.insert(CREDENTIAL.to_owned(), json!(self.name));
        if let Some(until) = self.until {
            facts.insert(CREDENTIAL_UNTIL.to_owned(), json!(until.as_micros()));
        }
    }
}

fn facts(user: &User) -> Map<String, Value> {
    let mut facts = Map::new();
    facts.insert("user_id".to_owned(), json!(user.id.get()));
    facts.insert("username".to_owned(), json!(user.username));
    facts.insert("superuser".to_owned(), json!(user.is_superuser));
    facts
}

fn dressed(caller: Caller, user: &User, scopes: &[Scope], facts: Map<String, Value>) -> Caller {
    // What the role means is decided by scopes, whatever is written down.
    let roles = user
        .roles
        .iter()
        .filter(|role| *role != ADMIN_ROLE)
        .cloned();
    let admin = scopes
        .contains(&Scope::Admin)
        .then(|| ADMIN_ROLE.to_owned());
    caller
        .with_issuer(MANAGEMENT_ISSUER)
        .with_roles(roles.chain(admin))
        .with_groups(user.groups.iter().cloned())
        .with_scopes(scopes.iter().map(|scope| scope.as_str()))
        .with_claims(facts)
}

/// Everybody, where nobody is asked who they are.
pub(crate) fn all_powerful(caller: Caller) -> Caller {
    caller
        .with_roles([ADMIN_ROLE])
        .with_scopes(Scope::ALL.map(Scope::as_str))
}

/// A user of the store, or a program that calls with a key on behalf of one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Principal {
    /// The user.
    pub user_id: UserId,
    /// The user's name.
    pub username: String,
    /// The key, if it is one that calls.
    pub key_id: Option<KeyId>,
    /// Whether the user is a superuser; a key of one need not have the scope `admin`.
    pub is_superuser: bool,
    /// What may be done.
    pub scopes: Vec<Scope>,
}

impl Principal {
    /// Who a caller is, or `None` for callers that are not in the store.
    pub fn of(caller: &Caller) -> Option<Self> {
        let is_ours = matches!(caller.kind, CallerKind::User | CallerKind::ApiKey)
            && &*caller.issuer == MANAGEMENT_ISSUER;
        if !is_ours {
            return None;
        }
        let number = |name: &str| caller.claims.get(name).and_then(Value::as_i64);
        Some(Self {
            user_id: UserId::new(number("user_id")?),
            username: caller.claims.get("username")?.as_str()?.to_owned(),
            key_id: number("key_id").map(KeyId::new),
            is_superuser: caller.claims.get("superuser")?.as_bool()?,
            scopes: Scope::held_by(caller),
        })
    }

    /// True when this scope is held.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// True when everything may be done.
    pub fn is_admin(&self) -> bool {
        self.may(Scope::Admin)
    }
}
