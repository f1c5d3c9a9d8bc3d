//! Roles and groups, who holds them, and what follows from them.

use std::collections::{BTreeMap, HashMap, HashSet};

use mcp_gw_core::Caller;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::closure::Closure;
use super::scopes::ScopesConfig;
use super::{Derived, Doubt, Identity, Who, WhoConfig, WhoKeys};
use crate::fault::{FaultPath, PolicyFault, nearest, shown};

/// A role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RoleConfig {
    /// What it is for; for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Roles that whoever has this one has too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inherits: Vec<String>,
    /// Callers that have it besides those whose credential says so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<WhoConfig>,
}

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct GroupConfig {
    /// What it is for; for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Groups that this one is part of: whoever is in this one is in them too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub part_of: Vec<String>,
    /// Callers that are in it besides those whose credential says so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<WhoConfig>,
}

/// What [`Grants`] are made of: sections of a policy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GrantsConfig<'c> {
    pub(crate) roles: &'c BTreeMap<String, RoleConfig>,
    pub(crate) groups: &'c BTreeMap<String, GroupConfig>,
    pub(crate) scopes: &'c ScopesConfig,
}

/// Compiled roles, groups and scopes: turns a caller into an [`Identity`].
#[derive(Debug, Default)]
pub(crate) struct Grants {
    scopes: Closure,
    groups: Bindings,
    roles: Bindings,
    /// Scopes that members of roles and groups are told by.
    named_scopes: Vec<String>,
    is_empty: bool,
}

/// Who holds which names, and what follows from them.
#[derive(Debug, Default)]
struct Bindings {
    follows: Closure,
    bound: Vec<Bound>,
    /// Entries of `bound` that name ids or groups of their callers, by these.
    by_id: HashMap<String, Vec<usize>>,
    by_group: HashMap<String, Vec<usize>>,
    /// The other entries.
    open: Vec<usize>,
}

/// Whom a name is bound to.
#[derive(Debug)]
struct Bound {
    name: String,
    who: Who,
    /// Those who may be meant as well, where claims or groups leave a doubt.
    in_doubt: Option<Who>,
}

/// Names that a caller holds, and those that it may hold besides.
struct Held<'a> {
    names: Vec<&'a str>,
    doubtful: Vec<&'a str>,
}

impl Grants {
    /// Compiles the sections; paths of faults begin with the name of a section.
    pub(crate) fn compile(config: GrantsConfig<'_>) -> Result<Self, Vec<PolicyFault>> {
        let mut faults = Vec::new();
        let groups = Bindings::compile(
            "groups",
            "part_of",
            &mut config
                .groups
                .iter()
                .map(|(name, group)| (name.as_str(), &*group.part_of, &*group.members)),
            &mut faults,
        );
        let roles = Bindings::compile(
            "roles",
            "inherits",
            &mut config
                .roles
                .iter()
                .map(|(name, role)| (name.as_str(), &*role.inherits, &*role.members)),
            &mut faults,
        );
        let implies = config.scopes.implies.iter();
        let edges: BTreeMap<&str, &[String]> = implies
            .map(|(name, implied)| (name.as_str(), implied.as_slice()))
            .collect();
        let path = FaultPath::root().key("scopes").key("implies");
        let entries: Vec<Entry<'_>> = edges
            .iter()
            .map(|(name, nexts)| (*name, *nexts, &[][..]))
            .collect();
        limit("scopes", "implies", &entries, &mut faults);
        let scopes = follow(&edges, &path, "implies", &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            scopes,
            groups,
            roles,
            named_scopes: config
                .roles
                .values()
                .flat_map(|role| &role.members)
                .chain(config.groups.values().flat_map(|group| &group.members))
                .flat_map(WhoConfig::named_scopes)
                .map(str::to_owned)
                .collect(),
            is_empty: config.roles.is_empty()
                && config.groups.is_empty()
                && config.scopes.implies.is_empty(),
        })
    }

    /// Scopes that members of roles and groups are told by.
    pub(crate) fn named_scopes(&self) -> &[String] {
        &self.named_scopes
    }

    /// How many other scopes this one brings.
    pub(crate) fn weight(&self, scope: &str) -> usize {
        self.scopes.weight(scope)
    }

    /// All that a caller has. Allocates only when the policy has roles, groups or implied scopes.
    pub(crate) fn identity<'a>(&'a self, caller: &'a Caller) -> Identity<'a> {
        if self.is_empty {
            return Identity::of(caller);
        }
        self.identity_with(caller, &[])
    }

    /// All that a caller would have with some more scopes.
    pub(crate) fn identity_with<'a>(
        &'a self,
        caller: &'a Caller,
        more_scopes: &[&'a str],
    ) -> Identity<'a> {
        let own = |list: &'a [String]| list.iter().map(String::as_str).collect::<Vec<&'a str>>();
        let mut scopes = own(&caller.scopes);
        scopes.extend_from_slice(more_scopes);
        self.scopes.extend(&mut scopes);
        let mut identity = Identity {
            caller,
            derived: Some(Derived {
                roles: own(&caller.roles),
                groups: own(&caller.groups),
                scopes,
                ..Derived::default()
            }),
        };
        let groups = self.groups.of(caller, &identity, &caller.groups);
        if let Some(derived) = &mut identity.derived {
            derived.groups = groups.names;
            derived.doubtful_groups = groups.doubtful;
        }
        let roles = self.roles.of(caller, &identity, &caller.roles);
        if let Some(derived) = &mut identity.derived {
            derived.roles = roles.names;
            derived.doubtful_roles = roles.doubtful;
        }
        identity
    }
}

/// A name, what follows from it, and who holds it.
type Entry<'c> = (&'c str, &'c [String], &'c [WhoConfig]);

impl Bindings {
    fn compile<'c>(
        section: &'static str,
        follows: &'static str,
        entries: &mut dyn Iterator<Item = Entry<'c>>,
        faults: &mut Vec<PolicyFault>,
    ) -> Self {
        let entries: Vec<Entry<'c>> = entries.collect();
        let names = || entries.iter().map(|(name, ..)| *name);
        let known: HashSet<&str> = names().collect();
        limit(section, follows, &entries, faults);
        let mut bindings = Self::default();
        for (name, nexts, members) in &entries {
            let path = FaultPath::root().key(section).key(name);
            for (index, next) in nexts.iter().enumerate() {
                if known.contains(next.as_str()) || faults.len() >= MOST_FAULTS {
                    continue;
                }
                let path = path.key(follows).index(index);
                let help = match nearest(next, names()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("add {} to `{section}`", shown(next)),
                };
                let message = format!("there is no {} in `{section}`", shown(next));
                faults.push(PolicyFault::new(path, message).with_help(help));
            }
            for (index, who) in members.iter().enumerate() {
                let path = path.key("members").index(index);
                bindings.bind(section, name, who, &path, faults);
            }
        }
        let edges = entries
            .iter()
            .map(|(name, nexts, _)| (*name, *nexts))
            .collect();
        bindings.follows = follow(&edges, &FaultPath::root().key(section), follows, faults);
        bindings
    }

    fn bind(
        &mut self,
        section: &str,
        name: &str,
        who: &WhoConfig,
        path: &FaultPath,
        faults: &mut Vec<PolicyFault>,
    ) {
        if who.is_open() {
            let message = "an empty entry means everybody";
            let help = "name the kinds of callers that are meant, such as `kinds: [local]`";
            faults.push(PolicyFault::new(path.clone(), message).with_help(help));
        }
        if let Some(key) = looks_at(who, section) {
            let (message, help) = match section {
                "roles" => (
                    "members of a role are not told by roles",
                    "use `inherits` of the other role",
                ),
                _ => (
                    "members of a group are not told by groups or roles",
                    "use `part_of` of the other group",
                ),
            };
            faults.push(PolicyFault::new(path.key(key), message).with_help(help));
        }
        match Who::compile(who, Doubt::Misses) {
            Err(inner) => faults.extend(inner.into_iter().map(|(key, message, help)| {
                PolicyFault::new(path.key(key), message).with_help(help)
            })),
            Ok(compiled) => {
                let at = self.bound.len();
                match who.keys() {
                    WhoKeys::Ids(ids) => {
                        for id in ids {
                            self.by_id.entry(id.clone()).or_default().push(at);
                        }
                    }
                    WhoKeys::Groups(groups) => {
                        for group in groups {
                            self.by_group.entry(group.clone()).or_default().push(at);
                        }
                    }
                    WhoKeys::Roles(_) | WhoKeys::Open => self.open.push(at),
                }
                let in_doubt = has_doubt(who).then(|| Who::compile(who, Doubt::Fits).ok());
                self.bound.push(Bound {
                    name: name.to_owned(),
                    who: compiled,
                    in_doubt: in_doubt.flatten(),
                });
            }
        }
    }

    /// The names that the caller holds; `own` are those that its credential says.
    fn of<'a>(
        &'a self,
        caller: &'a Caller,
        identity: &Identity<'a>,
        own: &'a [String],
    ) -> Held<'a> {
        let mut names: Vec<&'a str> = own.iter().map(String::as_str).collect();
        let mut held: HashSet<&'a str> = names.iter().copied().collect();
        let mut doubtful: Vec<&'a str> = Vec::new();
        let by_id = self
            .by_id
            .get(&*caller.id)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let by_group = identity
            .groups()
            .chain(identity.doubtful_groups())
            .filter_map(|group| self.by_group.get(group))
            .flatten();
        for at in by_id.iter().chain(by_group).chain(&self.open) {
            let Some(bound) = self.bound.get(*at) else {
                continue;
            };
            let name = bound.name.as_str();
            if held.contains(name) {
                continue;
            }
            if bound.who.matches(caller, identity) {
                held.insert(name);
                names.push(name);
            } else if let Some(in_doubt) = &bound.in_doubt {
                doubtful.extend(in_doubt.matches(caller, identity).then_some(name));
            }
        }
        self.follows.extend(&mut names);
        if !doubtful.is_empty() {
            held.extend(&names);
            doubtful.sort_unstable();
            doubtful.dedup();
            self.follows.extend(&mut doubtful);
            doubtful.retain(|name| !held.contains(name));
        }
        Held { names, doubtful }
    }
}

/// True when somebody may be meant of whom it is not certain.
fn has_doubt(who: &WhoConfig) -> bool {
    who.claims.is_some() || who.groups.is_some() || who.nested().any(has_doubt)
}

/// The most names of a section, and the most that follow directly from others of it.
const MOST_NAMES: usize = 10_000;
const MOST_EDGES: usize = 100_000;

/// So many faults of names are told.
const MOST_FAULTS: usize = 100;

/// What a caller has is followed on each request.
fn limit(section: &str, follows: &str, entries: &[Entry<'_>], faults: &mut Vec<PolicyFault>) {
    let path = FaultPath::root().key(section);
    let edges: usize = entries.iter().map(|(_, nexts, _)| nexts.len()).sum();
    if entries.len() > MOST_NAMES {
        let message = format!("there are more than {MOST_NAMES} of `{section}`");
        faults.push(PolicyFault::new(path, message).with_help("use fewer, broader ones"));
    } else if edges > MOST_EDGES {
        let message = format!("`{follows}` names more than {MOST_EDGES} altogether");
        let help = "leave out what follows from another one already";
        faults.push(PolicyFault::new(path, message).with_help(help));
    }
}

/// The key of `who` that looks at what is being worked out: it would come out by chance.
fn looks_at(who: &WhoConfig, section: &str) -> Option<&'static str> {
    if who.roles.is_some() {
        return Some("roles");
    }
    if section == "groups" && who.groups.is_some() {
        return Some("groups");
    }
    who.nested().find_map(|who| looks_at(who, section))
}

fn follow(
    edges: &BTreeMap<&str, &[String]>,
    path: &FaultPath,
    verb: &str,
    faults: &mut Vec<PolicyFault>,
) -> Closure {
    match Closure::new(edges) {
        Ok(closure) => closure,
        Err(circles) => {
            for circle in circles {
                let first = circle.first().cloned().unwrap_or_default();
                let way = circle.iter().chain([&first]).map(String::as_str);
                let way = way.collect::<Vec<_>>().join(" -> ");
                let message = format!("these go round in a circle: {way}");
                let help = format!("take one of them out of `{verb}`");
                faults.push(PolicyFault::new(path.key(&first), message).with_help(help));
            }
            Closure::default()
        }
    }
}
