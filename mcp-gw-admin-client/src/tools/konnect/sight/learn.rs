//! Asking Konnect what a token may do: who it belongs to, their roles and teams, and where that says nothing, something
//! small.

use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt as _};
use mcp_gw_core::RawJson;
use tokio::join;

use crate::http::Error;
use crate::konnect::analytics::{QueryInput, query};
use crate::konnect::rights::{May, Rights};
use crate::konnect::{
    AssignedRole, Client, Organization, Page, PlaneParams, Region, Team, User, Uuid,
};

/// More roles or teams are not read: then nobody knows.
const MOST: usize = 2000;
/// So many teams are asked for their roles.
const MOST_TEAMS: usize = 20;
/// So many of them at the same time.
const AT_ONCE: usize = 4;

/// What was learnt.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) rights: Rights,
    pub(super) organization: Option<Organization>,
    /// Everybody answered, if only with a refusal.
    pub(super) is_sure: bool,
    /// When Konnect wants to be asked again.
    pub(super) retry_after: Option<Duration>,
}

/// Of nobody who answers.
impl Default for Found {
    fn default() -> Self {
        Self {
            rights: Rights::UNKNOWN,
            organization: None,
            is_sure: false,
            retry_after: None,
        }
    }
}

/// How questions were taken.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    /// The token was accepted, if only to be refused something.
    is_accepted: bool,
    is_unauthorized: bool,
    /// Somebody may answer later.
    is_passing: bool,
    retry_after: Option<Duration>,
}

impl Heard {
    fn of<T>(answer: &Result<T, Error>) -> Self {
        let Err(error) = answer else {
            return Self {
                is_accepted: true,
                ..Self::default()
            };
        };
        Self {
            is_accepted: error.is_forbidden(),
            is_unauthorized: error.is_unauthorized(),
            is_passing: error.is_transient() || error.status.is_some_and(|status| status >= 500),
            retry_after: error.retry_after,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            is_accepted: self.is_accepted || other.is_accepted,
            is_unauthorized: self.is_unauthorized || other.is_unauthorized,
            is_passing: self.is_passing || other.is_passing,
            retry_after: self.retry_after.max(other.retry_after),
        }
    }

    /// A token that is accepted nowhere has expired, or Konnect has a bad day: that says nothing of rights.
    const fn is_sure(self) -> bool {
        !self.is_passing && (self.is_accepted || !self.is_unauthorized)
    }
}

/// All that can be learnt.
pub(super) async fn learn(client: &Client, region: Option<Region>) -> Found {
    let (organization, (mut rights, of_owner)) =
        join!(client.organization(), of_owner(client, region));
    let mut heard = Heard::of(&organization).and(of_owner);
    // Who does not answer now is not asked more.
    if !heard.is_passing {
        let wants_read = rights.read == May::Unknown;
        let wants_analytics = rights.analytics != May::Yes;
        let (read, requests) = join!(
            asked(wants_read, reads(client)),
            asked(wants_analytics, sees_requests(client))
        );
        for answer in [&read, &requests].into_iter().flatten() {
            heard = heard.and(Heard::of(answer));
        }
        // An empty list is no proof of anything.
        if read.is_some_and(|answer| says(&answer, heard) == May::No) {
            rights.read = May::No;
        }
        match requests.map(|answer| says(&answer, heard)) {
            None | Some(May::Unknown) => {}
            Some(known) => rights.analytics = known,
        }
    }
    Found {
        rights,
        organization: organization.ok(),
        is_sure: heard.is_sure(),
        retry_after: heard.retry_after,
    }
}

fn id_of(user: &User) -> Option<Uuid> {
    user.id.as_deref()?.parse().ok()
}

/// What the owner of the token may do, if that is a person.
async fn of_owner(client: &Client, region: Option<Region>) -> (Rights, Heard) {
    let me = client.me().await;
    let heard = Heard::of(&me);
    match me.as_ref().ok().and_then(id_of) {
        Some(id) => {
            let (rights, of_roles) = of_person(client, &id, region).await;
            (rights, heard.and(of_roles))
        }
        None => (Rights::UNKNOWN, heard),
    }
}

/// What a person may do, by their own roles and those of their teams.
async fn of_person(client: &Client, id: &Uuid, region: Option<Region>) -> (Rights, Heard) {
    let (own, teams) = join!(all(client.roles_of_user(id)), all(client.teams_of_user(id)));
    let (own, heard) = of_roles(own, region);
    let (of_teams, of_asking) = of_teams(client, teams, region).await;
    (own.and(of_teams), heard.and(of_asking))
}

async fn of_teams(
    client: &Client,
    teams: Result<Option<Vec<Team>>, Error>,
    region: Option<Region>,
) -> (Rights, Heard) {
    let mut heard = Heard::of(&teams);
    let Ok(Some(teams)) = teams else {
        return (Rights::UNKNOWN, heard);
    };
    let mut rights = Rights::NONE;
    let mut own = Vec::new();
    for team in &teams {
        match (Rights::of_team(team), team.id.as_deref().map(str::parse)) {
            (Some(known), _) => rights = rights.and(known),
            (None, Some(Ok(id))) if own.len() < MOST_TEAMS => own.push(id),
            (None, _) => rights = rights.and(Rights::UNKNOWN),
        }
    }
    let mut coming = stream::iter(own)
        .map(|id: Uuid| async move { all(client.roles_of_team(&id)).await })
        .buffer_unordered(AT_ONCE);
    while let Some(roles) = coming.next().await {
        let (of_team, of_asking) = of_roles(roles, region);
        rights = rights.and(of_team);
        heard = heard.and(of_asking);
    }
    (rights, heard)
}

fn of_roles(
    roles: Result<Option<Vec<AssignedRole>>, Error>,
    region: Option<Region>,
) -> (Rights, Heard) {
    let heard = Heard::of(&roles);
    let rights = match roles {
        Ok(Some(roles)) => roles
            .iter()
            .map(|role| Rights::of_role(role, region))
            .fold(Rights::NONE, Rights::and),
        Ok(None) | Err(_) => Rights::UNKNOWN,
    };
    (rights, heard)
}

/// A whole list; `None` when it is too long.
async fn all<M>(
    pages: impl Stream<Item = Result<Page<M>, Error>> + Send,
) -> Result<Option<Vec<M>>, Error> {
    let mut pages = std::pin::pin!(pages);
    let mut items = Vec::new();
    while let Some(page) = pages.next().await {
        items.extend(page?.items);
        if items.len() > MOST {
            return Ok(None);
        }
    }
    Ok(Some(items))
}

async fn asked(
    is_wanted: bool,
    question: impl Future<Output = Result<(), Error>> + Send,
) -> Option<Result<(), Error>> {
    if is_wanted {
        Some(question.await)
    } else {
        None
    }
}

async fn reads(client: &Client) -> Result<(), Error> {
    let one = PlaneParams::default().with_number(1).with_size(1);
    client.control_plane_page::<RawJson>(&one).await.map(drop)
}

async fn sees_requests(client: &Client) -> Result<(), Error> {
    let mut input = QueryInput::default();
    "15M".clone_into(&mut input.time_range);
    input.max_results = Some(1);
    match query(&input) {
        Ok(query) => client.requests::<RawJson>(&query).await.map(drop),
        // It can be made: a test sends it.
        Err(_) => Ok(()),
    }
}

/// What an answer says of the right to ask.
fn says(answer: &Result<(), Error>, heard: Heard) -> May {
    match answer {
        Ok(()) => May::Yes,
        Err(error) if error.is_forbidden() => May::No,
        Err(error) if error.is_unauthorized() && heard.is_accepted => May::No,
        Err(_) => May::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::paging;
    use crate::tools::konnect::backend::TOOLS;
    use crate::tools::konnect::sight::needs::is_met;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
            word().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec((word(), inner), 0..5)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    /// What matters, more often than chance would have it.
    fn word() -> impl Strategy<Value = String> {
        let known = [
            "data",
            "meta",
            "page",
            "total",
            "id",
            "name",
            "role_name",
            "entity_type_name",
            "entity_region",
            "system_team",
            "Admin",
            "Viewer",
            "Control Planes",
            "*",
            "eu",
            "organization-admin",
            "state",
            "active",
        ];
        prop_oneof![4 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => ".{0,6}"]
    }

    /// Roles that Kong gives a meaning, none of which lets anybody create sessions.
    fn narrow() -> impl Strategy<Value = Value> {
        let name = proptest::sample::select(
            &["Viewer", "Deployer", "Creator", "Gateway Plugin Admin"][..],
        );
        let region = proptest::sample::select(&["*", "eu", "us"][..]);
        (name, region, json()).prop_map(|(name, region, odd)| {
            serde_json::json!({"role_name": name, "entity_type_name": "Control Planes", "entity_region": region, "x": odd})
        })
    }

    fn read(body: &Value) -> Result<Option<Vec<AssignedRole>>, Error> {
        let body = RawJson::from_serialize(body).unwrap();
        paging::data(&body).map(|page| Some(page.items))
    }

    fn shown(rights: Rights) -> Vec<&'static str> {
        let all = TOOLS.iter().map(|tool| tool.name);
        all.filter(|tool| is_met(tool, rights)).collect()
    }

    proptest! {
        #[test]
        fn no_answer_of_whatever_kind_is_too_much(body in json(), wrap in any::<bool>()) {
            let body = if wrap { serde_json::json!({"data": [body]}) } else { body };
            let roles = read(&body);
            let is_read = roles.is_ok();
            let (rights, _) = of_roles(roles, Some(Region::Eu));
            let shown = shown(rights);
            prop_assert!(shown.contains(&"GetControlPlane"));
            // What cannot be read excludes nothing.
            prop_assert!(is_read || shown.len() == TOOLS.len());
            if let Ok(team) = serde_json::from_value::<Team>(body.clone()) {
                prop_assert!(Rights::of_team(&team).is_none_or(|of_team| of_team.and(rights).read >= rights.read));
            }
            let _ = serde_json::from_value::<User>(body).ok().as_ref().and_then(id_of);
        }

        #[test]
        fn what_the_roles_exclude_is_never_shown(roles in proptest::collection::vec(narrow(), 0..5)) {
            let (rights, heard) = of_roles(read(&serde_json::json!({"data": roles})), Some(Region::Eu));
            prop_assert!(heard.is_accepted);
            let shown = shown(rights);
            prop_assert!(!shown.contains(&"CreateDebugSession"), "{:?}", shown);
            let is_here = |role: &Value| role["entity_region"] != "us";
            let reads = roles.iter().filter(|role| is_here(role)).any(|role| role["role_name"] != "Creator");
            prop_assert_eq!(shown.contains(&"GetService"), reads);
            let views = roles.iter().any(|role| is_here(role) && role["role_name"] == "Viewer");
            prop_assert_eq!(shown.contains(&"ActiveTracingSession"), views);
        }
    }
}
