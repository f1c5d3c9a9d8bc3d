//! What users of the dashboard may do.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

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
    actions: Vec<&'a str>,
    resources: Vec<&'a str>,
    has_conditions: bool,
}

/// The statements; `None` when the API does not show them.
fn statements(policy: &Resource) -> Option<Vec<Statement<'_>>> {
    let all = policy
        .body
        .pointer("/policy_document/statement")?
        .as_array()?;
    Some(
        all.iter()
            .enumerate()
            .map(|(at, statement)| Statement {
                at,
                is_allow: statement.get("effect").and_then(Value::as_str) == Some("allow"),
                actions: strs(statement, "actions"),
                resources: strs(statement, "resources"),
                has_conditions: statement
                    .get("conditions")
                    .and_then(Value::as_object)
                    .is_some_and(|conditions| !conditions.is_empty()),
            })
            .collect(),
    )
}

fn strs<'a>(value: &'a Value, name: &str) -> Vec<&'a str> {
    let list = value.get(name).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Any text at all.
fn is_any(pattern: &str) -> bool {
    matches!(pattern, "*" | "<.*>" | "<.+>" | "<*>")
}

/// All actions, of everything or of one namespace.
fn is_any_action(action: &str) -> bool {
    let of_namespace = action.split_once(':').is_some_and(|(_, rest)| is_any(rest));
    is_any(action) || of_namespace
}

/// All resources of all kinds, of everything or of one namespace.
fn is_any_resource(resource: &str) -> bool {
    if is_any(resource) {
        return true;
    }
    let Some(rest) = resource.strip_prefix("arn:api7:") else {
        return false;
    };
    is_any(rest) || rest.split_once(':').is_some_and(|(_, rest)| is_any(rest))
}

/// Everything, in all namespaces.
fn is_all_action(action: &str) -> bool {
    is_any(action)
        || action
            .split_once(':')
            .is_some_and(|(a, b)| is_any(a) && is_any(b))
}

fn is_all_resource(resource: &str) -> bool {
    is_any(resource)
        || resource.strip_prefix("arn:api7:").is_some_and(|rest| {
            is_any(rest)
                || rest
                    .split_once(':')
                    .is_some_and(|(a, b)| is_any(a) && is_any(b))
        })
}

/// What comes with the product is not the user's to change.
fn is_own(policy: &Resource) -> bool {
    policy.text("type") != Some("built_in")
}

fn is_full(statement: &Statement<'_>) -> bool {
    statement.is_allow
        && !statement.has_conditions
        && statement.actions.iter().any(|action| is_all_action(action))
        && statement
            .resources
            .iter()
            .any(|resource| is_all_resource(resource))
}

const NO_STATEMENTS: &str = "the API does not show what the policy says";

fn everything(judge: &mut Judge<'_>) {
    for policy in judge.scan.policies.iter().filter(|policy| is_own(policy)) {
        judge.look();
        let Some(statements) = statements(policy) else {
            judge.undecided(NO_STATEMENTS);
            continue;
        };
        if let Some(statement) = statements.iter().find(|statement| is_full(statement)) {
            let field = format!("/policy_document/statement/{}/actions", statement.at);
            let says = "all actions on all resources";
            judge.found(policy, field, json!(statement.actions), says);
        }
    }
}

fn wildcards(judge: &mut Judge<'_>) {
    for policy in judge.scan.policies.iter().filter(|policy| is_own(policy)) {
        judge.look();
        let Some(statements) = statements(policy) else {
            judge.undecided(NO_STATEMENTS);
            continue;
        };
        let wide = statements
            .iter()
            .filter(|s| s.is_allow && !s.has_conditions && !is_full(s));
        for statement in wide {
            let action = statement
                .actions
                .iter()
                .find(|action| is_any_action(action));
            let resource = statement
                .resources
                .iter()
                .find(|resource| is_any_resource(resource));
            let (member, value) = match (action, resource) {
                (Some(action), _) => ("actions", action),
                (None, Some(resource)) => ("resources", resource),
                (None, None) => continue,
            };
            let field = format!("/policy_document/statement/{}/{member}", statement.at);
            judge.found(
                policy,
                field,
                json!(value),
                format!("all {member} of a namespace, or of all"),
            );
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
        if lacks(scan, &[Source::Roles, Source::RolePolicies]) {
            judge.undecided("not all roles and their policies are known");
            continue;
        }
        judge.found(policy, "/id", json!(policy.id), "no role has it");
    }
}

fn unused_roles(judge: &mut Judge<'_>) {
    let scan = judge.scan;
    let shows_roles = scan
        .users
        .iter()
        .any(|user| user.body.get("roles").is_some());
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

/// More pairs of action and resource of one role are not compared.
const MOST: usize = 20_000;

/// What a role says of actions on resources.
#[derive(Default)]
struct Said<'a> {
    allows: BTreeSet<(&'a str, &'a str)>,
    denies: BTreeSet<(&'a str, &'a str)>,
    is_cut: bool,
}

impl<'a> Said<'a> {
    fn of(policies: &[&'a Resource]) -> Self {
        let mut said = Self::default();
        for statement in policies
            .iter()
            .filter_map(|policy| statements(policy))
            .flatten()
        {
            for action in &statement.actions {
                for resource in &statement.resources {
                    if said.allows.len() + said.denies.len() >= MOST {
                        said.is_cut = true;
                        return said;
                    }
                    let pairs = if statement.is_allow {
                        &mut said.allows
                    } else {
                        &mut said.denies
                    };
                    pairs.insert((*action, *resource));
                }
            }
        }
        said
    }
}

fn clashes(judge: &mut Judge<'_>) {
    let scan = judge.scan;
    let said: BTreeMap<&str, Said<'_>> = policies_of(scan)
        .into_iter()
        .map(|(role, policies)| (role, Said::of(&policies)))
        .collect();
    let is_vague = lacks(
        scan,
        &[Source::Roles, Source::RolePolicies, Source::Policies],
    ) || said.values().any(|said| said.is_cut);
    // Users share roles: two roles are compared once.
    let mut known: BTreeMap<(&str, &str), Option<(&str, &str)>> = BTreeMap::new();
    for user in &scan.users {
        judge.look();
        let roles = ids(user, "roles");
        let denying = roles
            .iter()
            .filter_map(|role| Some((*role, said.get(role)?)));
        let mut clash = None;
        for (denies, denying) in denying.filter(|(_, said)| !said.denies.is_empty()) {
            for allows in roles.iter().copied().filter(|role| *role != denies) {
                let Some(allowing) = said.get(allows) else {
                    continue;
                };
                let pair = known.entry((allows, denies)).or_insert_with(|| {
                    denying
                        .denies
                        .intersection(&allowing.allows)
                        .next()
                        .copied()
                });
                clash = clash.or(pair.map(|pair| (pair, allows, denies)));
            }
        }
        if let Some(((action, resource), allows, denies)) = clash {
            let says =
                format!("role {allows} allows {action} on {resource}, role {denies} denies it");
            judge.found(user, "/roles", json!([allows, denies]), says);
        } else if is_vague {
            judge.undecided("not all roles and policies are known");
        }
    }
}

fn admins(judge: &mut Judge<'_>) {
    let scan = judge.scan;
    let policies = policies_of(scan);
    let is_full_policy = |policy: &&Resource| {
        let statements = statements(policy).unwrap_or_default();
        statements.iter().any(is_full)
    };
    let full: BTreeSet<&str> = policies
        .iter()
        .filter(|(_, policies)| policies.iter().any(&is_full_policy))
        .map(|(role, _)| *role)
        .collect();
    let mut who = Vec::new();
    for user in &scan.users {
        judge.look();
        if ids(user, "roles").iter().any(|role| full.contains(role)) {
            who.push(user);
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
    }
}
