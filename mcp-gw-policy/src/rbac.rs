//! Who a rule is for: ids, kinds, roles, groups, scopes, claims, and what a caller has by way of
//! something else.

use std::collections::HashSet;

use mcp_gw_core::Caller;
use serde_json::Value;

use crate::fault::{nearest, shown};

mod claims;
mod closure;
mod grants;
mod scopes;
mod who;

pub(crate) use claims::Doubt;
use claims::{ClaimPattern, claim_patterns, claims_at, claims_meant};
pub(crate) use grants::{Grants, GrantsConfig};
pub use grants::{GroupConfig, RoleConfig};
pub(crate) use scopes::{FEW_TRIES, MOST_TRIES, smallest_missing};
pub use scopes::{ScopeRequirement, ScopesConfig};
pub use who::WhoConfig;
pub(crate) use who::WhoKeys;

/// What the caller has, directly or by way of something else. Made once per request.
#[derive(Debug, Clone)]
pub(crate) struct Identity<'a> {
    caller: &'a Caller,
    derived: Option<Derived<'a>>,
}

/// All that a caller has, when that is more than the caller says.
#[derive(Debug, Clone, Default)]
struct Derived<'a> {
    roles: Vec<&'a str>,
    groups: Vec<&'a str>,
    scopes: Vec<&'a str>,
    /// What the caller may have beside that: it hangs on a claim of which it is not clear what it says.
    doubtful_roles: Vec<&'a str>,
    doubtful_groups: Vec<&'a str>,
}

/// Walks over what the caller says, or over what was derived from it.
enum Names<'i> {
    Own(std::slice::Iter<'i, String>),
    Derived(std::slice::Iter<'i, &'i str>),
}

impl<'i> Iterator for Names<'i> {
    type Item = &'i str;

    fn next(&mut self) -> Option<&'i str> {
        match self {
            Self::Own(own) => own.next().map(String::as_str),
            Self::Derived(derived) => derived.next().copied(),
        }
    }
}

impl<'a> Identity<'a> {
    /// A caller who has what it says and nothing more.
    pub(crate) const fn of(caller: &'a Caller) -> Self {
        Self {
            caller,
            derived: None,
        }
    }

    fn names<'i>(
        &'i self,
        own: &'i [String],
        derived: impl FnOnce(&'i Derived<'a>) -> &'i [&'a str],
    ) -> Names<'i> {
        match &self.derived {
            Some(all) => Names::Derived(derived(all).iter()),
            None => Names::Own(own.iter()),
        }
    }

    /// All roles of the caller.
    pub(crate) fn roles(&self) -> impl Iterator<Item = &str> {
        self.names(&self.caller.roles, |all| &all.roles)
    }

    /// All groups of the caller.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        self.names(&self.caller.groups, |all| &all.groups)
    }

    /// The roles that count for what takes away, beside [`Identity::roles`].
    pub(crate) fn doubtful_roles(&self) -> impl Iterator<Item = &str> {
        let derived = self.derived.iter();
        derived.flat_map(|all| all.doubtful_roles.iter().copied())
    }

    /// The groups that count for what takes away, beside [`Identity::groups`].
    pub(crate) fn doubtful_groups(&self) -> impl Iterator<Item = &str> {
        let derived = self.derived.iter();
        derived.flat_map(|all| all.doubtful_groups.iter().copied())
    }

    /// All scopes of the caller.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = &str> {
        self.names(&self.caller.scopes, |all| &all.scopes)
    }
}

/// The callers that a rule is for, ready to be compared.
#[derive(Debug, Default)]
pub(crate) struct Who {
    ids: HashSet<String>,
    kinds: HashSet<String>,
    issuers: HashSet<String>,
    roles: HashSet<String>,
    groups: HashSet<String>,
    scopes: HashSet<String>,
    claims: Box<[(String, Vec<ClaimPattern>)]>,
    doubt: Doubt,
    any_of: Box<[Self]>,
    all_of: Box<[Self]>,
}

/// What is wrong with a [`WhoConfig`]: the key below it, the message, the help.
pub(crate) type WhoFault = (&'static str, String, String);

impl Who {
    pub(crate) fn compile(config: &WhoConfig, doubt: Doubt) -> Result<Self, Vec<WhoFault>> {
        let mut faults: Vec<WhoFault> = config
            .empty_keys()
            .map(|key| {
                let message = "an empty list is nobody".to_owned();
                let help = "name at least one, or remove the key for everybody".to_owned();
                (key, message, help)
            })
            .collect();
        for kind in config.kinds.iter().flatten() {
            if !KINDS.contains(&&**kind) {
                let message = format!("{} is no kind of caller", shown(kind));
                let help = match nearest(kind, KINDS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the kinds are {}", KINDS.join(", ")),
                };
                faults.push(("kinds", message, help));
            }
        }
        for scope in config
            .scopes
            .iter()
            .flatten()
            .filter(|scope| !is_scope(scope))
        {
            let message = format!("{} is no OAuth scope", shown(scope));
            faults.push(("scopes", message, SCOPES_ARE.to_owned()));
        }
        let claims = config
            .claims
            .iter()
            .flatten()
            .map(|(name, wanted)| (name.clone(), claim_patterns(name, wanted, &mut faults)))
            .collect();
        let mut nested = |key: &'static str, list: &Option<Vec<WhoConfig>>| -> Box<[Self]> {
            let mut compiled = Vec::new();
            for who in list.iter().flatten() {
                if who.is_open() {
                    let message = "an empty entry means everybody".to_owned();
                    faults.push((key, message, "leave it out".to_owned()));
                }
                match Self::compile(who, doubt) {
                    Ok(who) => compiled.push(who),
                    Err(inner) => faults.extend(inner),
                }
            }
            compiled.into()
        };
        let any_of = nested("any_of", &config.any_of);
        let all_of = nested("all_of", &config.all_of);
        if !faults.is_empty() {
            return Err(faults);
        }
        let set = |list: &Option<Vec<String>>| list.iter().flatten().cloned().collect();
        Ok(Self {
            ids: set(&config.ids),
            kinds: set(&config.kinds),
            issuers: set(&config.issuers),
            roles: set(&config.roles),
            groups: set(&config.groups),
            scopes: set(&config.scopes),
            claims,
            doubt,
            any_of,
            all_of,
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
        let claim = |(name, wanted): &(String, Vec<ClaimPattern>)| {
            let doubt = self.doubt;
            let fits = |claim: &Value| wanted.iter().any(|pattern| pattern.fits(claim, doubt));
            match doubt {
                Doubt::Fits => claims_meant(&caller.claims, name).into_iter().any(fits),
                Doubt::Misses => claims_at(&caller.claims, name).next().is_some_and(fits),
            }
        };
        let counts = self.doubt == Doubt::Fits;
        let role = || {
            one(&self.roles, identity.roles())
                || (counts && one(&self.roles, identity.doubtful_roles()))
        };
        let group = || {
            one(&self.groups, identity.groups())
                || (counts && one(&self.groups, identity.doubtful_groups()))
        };
        if !one(&self.ids, std::iter::once(&*caller.id)) {
            Some("ids")
        } else if !one(&self.kinds, std::iter::once(caller.kind.as_str())) {
            Some("kinds")
        } else if !one(&self.issuers, std::iter::once(&*caller.issuer)) {
            Some("issuers")
        } else if !role() {
            Some("roles")
        } else if !group() {
            Some("groups")
        } else if !one(&self.scopes, identity.scopes()) {
            Some("scopes")
        } else if !self.claims.iter().all(claim) {
            Some("claims")
        } else if !self.all_of.iter().all(|who| who.matches(caller, identity)) {
            Some("all_of")
        } else if !self.any_of.is_empty()
            && !self.any_of.iter().any(|who| who.matches(caller, identity))
        {
            Some("any_of")
        } else {
            None
        }
    }
}

/// RFC 6749 §3.3: what a challenge can carry.
pub(crate) fn is_scope(text: &str) -> bool {
    let fits = |byte: u8| (0x21..=0x7e).contains(&byte) && !matches!(byte, b'"' | b'\\');
    !text.is_empty() && text.bytes().all(fits)
}

pub(crate) const SCOPES_ARE: &str =
    "scopes are visible ASCII without spaces, quotes and backslashes";

/// How callers differ.
pub(crate) const KINDS: [&str; 5] = ["anonymous", "local", "user", "api_key", "oauth_client"];

#[cfg(test)]
mod tests;
