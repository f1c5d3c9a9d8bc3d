//! What users of the dashboard may do.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::patterns::{Is, Pattern};
use super::{Judge, Rule, Severity};
use crate::tools::api7::risk::scan::{Resource, Scan};
use crate::tools::api7::risk::source::Source;

pub(super) static RULES: &[Rule] = &[
    Rule {
        id: "policy-allows-everything",
        category: "roles",
        severity: Severity::High,
        title: "A permission policy of yours allows everything",
        remedy: "Name the actions and resources that are needed.",
        reference: "https://owasp.org/API-Security/editions/2023/en/0xa5-broken-function-level-authorization/",
        needs: &[Source::Policies],
        run: everything,
    },
    Rule {
        id: "wildcard-policy",
        category: "roles",
        severity: Severity::Medium,
        title: "A permission policy of yours allows all actions, or on all resources of any kind",
        remedy: "Name the actions and resources that are needed.",
        reference: "https://owasp.org/API-Security/editions/2023/en/0xa5-broken-function-level-authorization/",
        needs: &[Source::Policies],
        run: wildcards,
    },
    Rule {
        id: "unused-policy",
        category: "roles",
        severity: Severity::Low,
        title: "A permission policy of yours belongs to no role",
        remedy: "Attach it to a role, or remove it.",
        reference: "https://csrc.nist.gov/glossary/term/least_privilege",
        needs: &[Source::Policies, Source::Roles, Source::RolePolicies],
        run: unused_policies,
    },
    Rule {
        id: "unused-role",
        category: "roles",
        severity: Severity::Low,
        title: "A role has no user",
        remedy: "Give it to somebody, or remove it.",
        reference: "https://csrc.nist.gov/glossary/term/least_privilege",
        needs: &[Source::Roles, Source::Users],
        run: unused_roles,
    },
    Rule {
        id: "roles-clash",
        category: "roles",
        severity: Severity::Medium,
        title: "A user has one role that allows what another denies",
        remedy: "Denying wins: take one of the roles away, or change its policies.",
        reference: "https://csrc.nist.gov/glossary/term/separation_of_duty",
        needs: &[
            Source::Policies,
            Source::Roles,
            Source::RolePolicies,
            Source::Users,
        ],
        run: clashes,
    },
    Rule {
        id: "many-full-admins",
        category: "roles",
        severity: Severity::Medium,
        title: "Many users may do everything",
        remedy: "Give most of them a role for what they do.",
        reference: "https://csrc.nist.gov/glossary/term/least_privilege",
        needs: &[
            Source::Policies,
            Source::Roles,
            Source::RolePolicies,
            Source::Users,
        ],
        run: admins,
    },
];

/// One statement of a policy.
struct Statement<'a> {
    at: usize,
    is_allow: bool,
    actions: Vec<Pattern<'a>>,
    resources: Vec<Pattern<'a>>,
    has_conditions: bool,
}

/// What a policy says.
struct Said<'a> {
    statements: Vec<Statement<'a>>,
    /// False when something of it cannot be read.
    is_whole: bool,
}

impl<'a> Said<'a> {
    fn of(policy: &'a Resource) -> Self {
        let all = policy.body.pointer("/policy_document/statement");
        let mut said = Self {
            statements: Vec::new(),
            is_whole: all.is_some_and(Value::is_array),
        };
        let all = all.and_then(Value::as_array).into_iter().flatten();
        for (at, statement) in all.enumerate() {
            match Statement::of(at, statement) {
                Some(statement) => said.statements.push(statement),
                None => said.is_whole = false,
            }
        }
        said
    }
}

impl<'a> Statement<'a> {
    /// `None` when it is not as policies are written.
    fn of(at: usize, statement: &'a Value) -> Option<Self> {
        let is_empty = |value: &Value| {
            value.is_null()
                || value.as_object().is_some_and(serde_json::Map::is_empty)
                || value.as_array().is_some_and(Vec::is_empty)
        };
        Some(Self {
            at,
            is_allow: match statement.get("effect")?.as_str()? {
                "allow" => true,
                "deny" => false,
                _ => return None,
            },
            actions: patterns(statement, "actions")?,
            resources: patterns(statement, "resources")?,
            has_conditions: !statement.get("conditions").is_none_or(is_empty),
        })
    }

    /// For which namespaces it allows everything without conditions.
    fn grants(&self) -> Grants {
        if !self.is_allow || self.has_conditions {
            return Grants::NONE;
        }
        Grants(NAMESPACES.map(|namespace| {
            let actions = any(&self.actions, &format!("{namespace}:"));
            let resources = any(&self.resources, &format!("arn:api7:{namespace}:"));
            actions.min(resources)
        }))
    }

    /// The widest action or resource that is all of a namespace, or may be.
    fn widest(&self) -> Option<(&'static str, &'a str, Is)> {
        let of = |member, patterns: &[Pattern<'a>], before: &str, colons| {
            let each = patterns.iter().map(move |pattern| {
                let known = NAMESPACES.map(|name| pattern.covers(&format!("{before}{name}:")));
                let own = pattern
                    .until_colon(colons)
                    .filter(|own| own.starts_with(before));
                let own = own.map_or(Is::No, |own| pattern.covers(&own));
                let is = known.into_iter().max().unwrap_or(Is::No).max(own);
                (member, pattern.text, is)
            });
            // The first of the widest.
            let each: Vec<_> = each.collect();
            each.into_iter().rev().max_by_key(|(_, _, is)| *is)
        };
        let actions = of("actions", &self.actions, "", 1);
        let resources = of("resources", &self.resources, "arn:api7:", 3);
        let both = resources.into_iter().chain(actions);
        both.max_by_key(|(_, _, is)| *is)
            .filter(|(_, _, is)| *is != Is::No)
    }
}

fn patterns<'a>(statement: &'a Value, name: &str) -> Option<Vec<Pattern<'a>>> {
    let list = statement.get(name)?.as_array()?;
    list.iter()
        .map(|item| item.as_str().map(Pattern::of))
        .collect()
}

/// Whether one of them fits all that begins so.
fn any(patterns: &[Pattern<'_>], prefix: &str) -> Is {
    let all = patterns.iter().map(|pattern| pattern.covers(prefix));
    all.max().unwrap_or(Is::No)
}

/// What actions and resources are divided into.
const NAMESPACES: [&str; 3] = ["gateway", "iam", "portal"];

/// For which namespaces everything is allowed.
#[derive(Clone, Copy)]
struct Grants([Is; 3]);

impl Grants {
    const NONE: Self = Self([Is::No; 3]);

    fn and(self, other: Self) -> Self {
        let mut both = self.0;
        for (one, more) in both.iter_mut().zip(other.0) {
            *one = (*one).max(more);
        }
        Self(both)
    }

    fn of<'a>(statements: impl IntoIterator<Item = &'a Statement<'a>>) -> Self {
        let all = statements.into_iter().map(Statement::grants);
        all.fold(Self::NONE, Self::and)
    }

    /// Whether it is everything in all of them.
    fn is_all(self) -> Is {
        self.0.into_iter().min().unwrap_or(Is::No)
    }
}

/// What comes with the product is not the user's to change.
fn is_own(policy: &Resource) -> bool {
    policy.text("type") != Some("built_in")
}

const NO_STATEMENTS: &str = "the API does not show what the policy says, or not all of it";
const NO_PATTERN: &str = "it cannot be told what a regular expression of the policy fits";

/// Judges by what was found of a policy, when that is not enough for a finding.
fn rest_of(judge: &mut Judge<'_>, is_whole: bool, is: Is) {
    if !is_whole {
        judge.undecided(NO_STATEMENTS);
    } else if is == Is::Maybe {
        judge.undecided(NO_PATTERN);
    }
}

fn everything(judge: &mut Judge<'_>) {
    for policy in judge.scan.policies.iter().filter(|policy| is_own(policy)) {
        judge.look();
        let said = Said::of(policy);
        let is = Grants::of(&said.statements).is_all();
        let mut granting = said.statements.iter();
        let granting = granting.find(|statement| statement.grants().0.contains(&Is::Sure));
        let (Is::Sure, Some(statement)) = (is, granting) else {
            rest_of(judge, said.is_whole, is);
            continue;
        };
        let field = format!("/policy_document/statement/{}/actions", statement.at);
        let texts: Vec<&str> = statement.actions.iter().map(|action| action.text).collect();
        judge.found(policy, field, json!(texts), "all actions on all resources");
    }
}

fn wildcards(judge: &mut Judge<'_>) {
    for policy in judge.scan.policies.iter().filter(|policy| is_own(policy)) {
        judge.look();
        let said = Said::of(policy);
        let (mut open, mut is_found) = (Is::No, false);
        let wide = said.statements.iter();
        let wide = wide.filter(|s| s.is_allow && !s.has_conditions);
        for statement in wide.filter(|s| s.grants().is_all() != Is::Sure) {
            let Some((member, value, is)) = statement.widest() else {
                continue;
            };
            if is == Is::Maybe {
                open = Is::Maybe;
                continue;
            }
            is_found = true;
            let field = format!("/policy_document/statement/{}/{member}", statement.at);
            judge.found(
                policy,
                field,
                json!(value),
                format!("all {member} of a namespace, or of all"),
            );
        }
        if !is_found {
            rest_of(judge, said.is_whole, open);
        }
    }
}

/// Ids in a list of ids, or of objects with ids.
fn ids<'a>(resource: &'a Resource, member: &str) -> BTreeSet<&'a str> {
    let list = resource.body.get(member).and_then(Value::as_array);
    let items = list.into_iter().flatten();
    items
        .filter_map(|item| {
            item.as_str()
                .or_else(|| item.get("id").and_then(Value::as_str))
        })
        .collect()
}

/// Whether all ids of such a list can be read. A list that is missing is empty.
fn is_readable(resource: &Resource, member: &str) -> bool {
    match resource.body.get(member) {
        None | Some(Value::Null) => true,
        Some(Value::Array(items)) => items
            .iter()
            .all(|item| item.is_string() || item.get("id").is_some_and(Value::is_string)),
        // How Lua writes an empty list.
        Some(Value::Object(members)) => members.is_empty(),
        Some(_) => false,
    }
}

/// Nothing can be said of what is not used while not all is known that could use it.
fn lacks(scan: &Scan, sources: &[Source]) -> bool {
    sources.iter().any(|source| scan.missing.contains(source))
}

fn unused_policies(judge: &mut Judge<'_>) {
    let scan = judge.scan;
    let used: BTreeSet<&str> = scan
        .roles
        .iter()
        .flat_map(|role| ids(role, "policies"))
        .collect();
    for policy in scan.policies.iter().filter(|policy| is_own(policy)) {
        judge.look();
        if used.contains(policy.id.as_str()) {
            continue;
        }
        let is_odd = |role: &Resource| !is_readable(role, "policies");
        if lacks(scan, &[Source::Roles, Source::RolePolicies]) || scan.roles.iter().any(is_odd) {
            judge.undecided("not all roles and their policies are known");
            continue;
        }
        judge.found(policy, "/id", json!(policy.id), "no role has it");
    }
}

fn unused_roles(judge: &mut Judge<'_>) {
    let scan = judge.scan;
    let shows_roles = shows_roles(scan) && scan.users.iter().all(|user| is_readable(user, "roles"));
    let used: BTreeSet<&str> = scan
        .users
        .iter()
        .flat_map(|user| ids(user, "roles"))
        .collect();
    for role in scan.roles.iter().filter(|role| is_own(role)) {
        judge.look();
        if used.contains(role.id.as_str()) {
            continue;
        }
        if lacks(scan, &[Source::Users]) || !shows_roles {
            judge.undecided("not all users and their roles are known");
            continue;
        }
        judge.found(role, "/id", json!(role.id), "no user has it");
    }
}

/// The policies of each role.
fn policies_of(scan: &Scan) -> BTreeMap<&str, Vec<&Resource>> {
    let by_id: BTreeMap<&str, &Resource> = scan
        .policies
        .iter()
        .map(|policy| (policy.id.as_str(), policy))
        .collect();
    let roles = scan.roles.iter();
    roles
        .map(|role| {
            let policies = ids(role, "policies");
            let known = policies.into_iter().filter_map(|id| by_id.get(id).copied());
            (role.id.as_str(), known.collect())
        })
        .collect()
}

/// What is known of a role.
struct Duty<'a> {
    /// What its policies say.
    said: Vec<Said<'a>>,
    /// False when not all of that is known.
    is_whole: bool,
}

impl<'a> Duty<'a> {
    fn statements(&self) -> impl Iterator<Item = &Statement<'a>> {
        self.said.iter().flat_map(|said| &said.statements)
    }
}

/// What is known of all roles.
fn duties(scan: &Scan) -> BTreeMap<&str, Duty<'_>> {
    let known: BTreeSet<&str> = scan.policies.iter().map(|p| p.id.as_str()).collect();
    let by_id: BTreeMap<&str, &Resource> =
        scan.roles.iter().map(|role| (&*role.id, role)).collect();
    let all = policies_of(scan).into_iter();
    all.map(|(id, policies)| {
        let said: Vec<Said<'_>> = policies.into_iter().map(Said::of).collect();
        let knows_all = by_id.get(id).is_some_and(|role| {
            is_readable(role, "policies") && ids(role, "policies").is_subset(&known)
        });
        let is_whole = knows_all && said.iter().all(|said| said.is_whole);
        (id, Duty { said, is_whole })
    })
    .collect()
}

/// Whether it is known all that a user's roles say. `shows_roles` when the API shows the roles of users at all.
fn knows_all(user: &Resource, duties: &BTreeMap<&str, Duty<'_>>, shows_roles: bool) -> bool {
    let roles = ids(user, "roles");
    let mut known = roles.iter().map(|role| duties.get(role));
    shows_roles
        && is_readable(user, "roles")
        && known.all(|duty| duty.is_some_and(|duty| duty.is_whole))
}

fn shows_roles(scan: &Scan) -> bool {
    let mut users = scan.users.iter();
    users.any(|user| user.body.get("roles").is_some())
}

/// Comparing all patterns of all roles takes no more steps.
const MOST: usize = 40_000_000;

/// Whether two roles clash, and about which action and resource, when that is sure.
type Clash<'a> = (Is, Option<(&'a str, &'a str)>);

/// What an allowed action and resource have in common with denied ones: the first that is sure, else whether there may be.
fn clash<'a>(allowing: &Duty<'a>, denying: &Duty<'a>, room: &mut usize) -> Clash<'a> {
    let mut most = Is::No;
    for allow in allowing.statements().filter(|one| one.is_allow) {
        for deny in denying.statements().filter(|one| !one.is_allow) {
            let (is, action) = common(&allow.actions, &deny.actions, room);
            if is == Is::No {
                continue;
            }
            let (also, resource) = common(&allow.resources, &deny.resources, room);
            most = most.max(is.min(also));
            if let (Is::Sure, Some(action), Some(resource)) = (most, action, resource) {
                return (most, Some((action, resource)));
            }
        }
    }
    (most, None)
}

fn common<'a>(
    some: &[Pattern<'a>],
    others: &[Pattern<'a>],
    room: &mut usize,
) -> (Is, Option<&'a str>) {
    let mut most = Is::No;
    for one in some {
        for other in others {
            let Some(left) = room.checked_sub(one.steps(other)) else {
                return (most.max(Is::Maybe), None);
            };
            *room = left;
            most = most.max(one.overlaps(other));
            if most == Is::Sure {
                return (most, Some(one.text));
            }
        }
    }
    (most, None)
}

fn clashes(judge: &mut Judge<'_>) {
    let scan = judge.scan;
    let duties = duties(scan);
    let shows_roles = shows_roles(scan);
    let is_vague = lacks(
        scan,
        &[Source::Roles, Source::RolePolicies, Source::Policies],
    );
    let mut room = MOST;
    // Users share roles: two roles are compared once.
    let mut known: BTreeMap<(&str, &str), Clash<'_>> = BTreeMap::new();
    for user in &scan.users {
        judge.look();
        let roles = ids(user, "roles");
        let (mut found, mut most) = (None, Is::No);
        for denies in roles.iter().copied() {
            for allows in roles.iter().copied().filter(|role| *role != denies) {
                let (Some(allowing), Some(denying)) = (duties.get(allows), duties.get(denies))
                else {
                    continue;
                };
                let (is, pair) = *known
                    .entry((allows, denies))
                    .or_insert_with(|| clash(allowing, denying, &mut room));
                most = most.max(is);
                found = found.or(pair.map(|pair| (pair, allows, denies)));
            }
        }
        if let Some(((action, resource), allows, denies)) = found {
            let says = format!(
                "role {allows} allows {action} on {resource}, role {denies} denies it, or some of it"
            );
            judge.found(user, "/roles", json!([allows, denies]), says);
        } else if is_vague || !knows_all(user, &duties, shows_roles) {
            judge.undecided("not all roles and policies are known, or can be read");
        } else if most == Is::Maybe {
            judge.undecided("it cannot be told whether patterns of two roles overlap");
        }
    }
}

fn admins(judge: &mut Judge<'_>) {
    let scan = judge.scan;
    let duties = duties(scan);
    let shows_roles = shows_roles(scan);
    let grants: BTreeMap<&str, Grants> = duties
        .iter()
        .map(|(role, duty)| (*role, Grants::of(duty.statements())))
        .collect();
    let (mut who, mut open) = (Vec::new(), 0);
    for user in &scan.users {
        judge.look();
        let roles = ids(user, "roles");
        let of_roles = roles.iter().filter_map(|role| grants.get(role));
        match of_roles
            .fold(Grants::NONE, |all, one| all.and(*one))
            .is_all()
        {
            Is::Sure => who.push(user),
            Is::No if knows_all(user, &duties, shows_roles) => {}
            Is::No | Is::Maybe => open += 1,
        }
    }
    let most = judge.limits.max_full_admins;
    let needed = [
        Source::Roles,
        Source::RolePolicies,
        Source::Policies,
        Source::Users,
    ];
    if who.len() > most {
        let shown: Vec<&str> = who.iter().take(10).map(|user| user.id.as_str()).collect();
        let says = format!("{} users may do everything; at most {most}", who.len());
        if let Some(first) = who.first() {
            judge.found(first, "/roles", json!(shown), says);
        }
    } else if lacks(scan, &needed) {
        judge.look();
        judge.undecided("not all users, roles and policies are known");
    } else if who.len() + open > most {
        for _ in 0..open {
            judge.undecided("it cannot be told what all roles of a user allow");
        }
    }
}
