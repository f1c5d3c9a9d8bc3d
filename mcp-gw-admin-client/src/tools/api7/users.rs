//! Users.

use mcp_gw_core::{JsonText, ObjectWriter, RawJson, ToolError};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api7::{Kind, ListParams, Place, action};
use crate::tools::advice;
use crate::tools::answer::{Outcome, Sent};
use crate::tools::api7::input::Id;
use crate::tools::api7::shared::{Api7, unbuilt};
use crate::tools::desk::aside;
use crate::tools::operation::{Effect, Operation};
use crate::tools::view::View;

#[derive(Deserialize, JsonSchema)]
pub(crate) struct UserArgs {
    /// The user's id: `get_userId_by_username` finds it.
    id: Id,
    #[serde(flatten)]
    view: View,
}

pub(crate) struct GetRoleByUserId;

impl Operation<Api7> for GetRoleByUserId {
    const NAME: &'static str = "get_role_by_user_id";
    const TITLE: &'static str = "Read the roles of a user";
    const DESCRIPTION: &'static str = "Reads the roles of a user, by the user's id.";
    const EFFECT: Effect = Effect::Reads;
    type Args = UserArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: UserArgs) -> Result<Outcome, ToolError> {
        let request = Kind::User
            .get(&Place::global(), Some(&args.id.0))
            .map_err(unbuilt)?;
        let mut outcome = Outcome::new(Sent::line(&request));
        let answer = shared.client.raw(request).await;
        let mut answer = answer.map_err(|error| advice::failed(&error))?;
        let body = answer.body.unwrap_or_default();
        let roles = aside(body.len(), move || roles_of(&body)).await?;
        let roles = roles.ok_or_else(|| {
            ToolError::failed(
                "The dashboard answered without a user, so nothing is known of the roles: there may be some. Do not \
                 assign roles from this. Check the id (get_userId_by_username), and read the user with get_admin_api.",
            )
        })?;
        if roles.as_bytes() == b"[]" {
            outcome.remarks.push("The user has no roles.".to_owned());
        }
        answer.body = Some(roles);
        let budget = shared.budget(&args.view);
        shared
            .show(&mut outcome, answer, &args.view, budget)
            .await?;
        Ok(outcome)
    }
}

/// The roles in an answer that is about a user; `None` when it is about something else.
fn roles_of(body: &RawJson) -> Option<RawJson> {
    let inner = body.member("value").ok()?;
    let user = inner.as_ref().unwrap_or(body);
    let roles = user.member("roles").ok()?.filter(|roles| !roles.is_null());
    if let Some(roles) = roles {
        return roles.as_bytes().starts_with(b"[").then_some(roles);
    }
    let is_user = ["id", "username"]
        .iter()
        .any(|name| matches!(user.member(name), Ok(Some(id)) if !id.is_null()));
    let none = || RawJson::parse(b"[]".as_slice()).unwrap_or_default();
    is_user.then(none)
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct SearchArgs {
    /// A part of the username; all users without it.
    username: Option<String>,
    /// The page, from 1.
    #[schemars(range(min = 1))]
    page: Option<u32>,
    /// Users a page.
    #[schemars(range(min = 1))]
    page_size: Option<u32>,
    #[serde(flatten)]
    view: View,
}

pub(crate) struct GetUserId;

impl Operation<Api7> for GetUserId {
    const NAME: &'static str = "get_userId_by_username";
    const TITLE: &'static str = "Find users";
    const DESCRIPTION: &'static str = "Finds users whose username holds a text, with id, name and username. The search \
        is for a part of the name: compare the username before you take an id. `body.total` says how many there are; \
        more than are listed are on the next page.";
    const EFFECT: Effect = Effect::Reads;
    type Args = SearchArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: SearchArgs) -> Result<Outcome, ToolError> {
        let params = ListParams {
            page: args.page,
            page_size: args.page_size,
            search: args.username,
            ..ListParams::default()
        };
        let request = Kind::User
            .list(&Place::global(), &params)
            .map_err(unbuilt)?;
        let mut outcome = Outcome::new(Sent::line(&request));
        let answer = shared.client.raw(request).await;
        let mut answer = answer.map_err(|error| advice::failed(&error))?;
        let body = answer.body.unwrap_or_default();
        let reduced = aside(body.len(), move || reduced(&body)).await?;
        let (users, odd) = reduced.ok_or_else(|| {
            ToolError::failed(
                "The dashboard answered without a list of users. The user has to check that DASHBOARD_URL is the \
                 address of the dashboard itself.",
            )
        })?;
        if odd > 0 {
            outcome.remarks.push(format!(
                "{odd} entries of the list are no users and were left out."
            ));
        }
        answer.body = Some(users);
        let budget = shared.budget(&args.view);
        shared
            .show(&mut outcome, answer, &args.view, budget)
            .await?;
        Ok(outcome)
    }
}

/// The list with `id`, `name` and `username` alone, and the total; how many entries are no users.
fn reduced(body: &RawJson) -> Option<(RawJson, usize)> {
    let inner = body.member("value").ok().flatten();
    let within = inner.filter(|inner| inner.member("list").is_ok_and(|list| list.is_some()));
    let body = within.as_ref().unwrap_or(body);
    let list = body.member("list").ok()??;
    // What is empty is `null` to some.
    let users: Vec<JsonText<'_>> = if list.is_null() {
        Vec::new()
    } else {
        list.decode().ok()?
    };
    let mut short = Vec::with_capacity(users.len());
    for user in &users {
        let user = list.slice(*user);
        let Ok(members) = user.members() else {
            continue;
        };
        let writer = ["id", "name", "username"]
            .iter()
            .filter_map(|name| members.get(name).map(|value| (*name, value)))
            .fold(ObjectWriter::default(), |writer, (name, value)| {
                writer.raw_value(name, value)
            });
        short.push(writer.finish());
    }
    let odd = users.len() - short.len();
    let is_null = |user: &JsonText<'_>| user.get() == "null";
    if short.is_empty() && !users.iter().all(is_null) {
        return None;
    }
    let mut writer = ObjectWriter::default().array("list", &short);
    if let Some(total) = body.member("total").ok().flatten() {
        writer = writer.raw("total", &total);
    }
    Some((writer.finish(), odd))
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct HealthArgs {
    /// The gateway group.
    gateway_group_id: Id,
    /// The id of the service template, not that of the published service: `get_resource` with `serviceTemplate` lists them.
    service_template_id: Id,
    #[serde(flatten)]
    view: View,
}

pub(crate) struct GetServiceHealth;

impl Operation<Api7> for GetServiceHealth {
    const NAME: &'static str = "get_service_healthcheck";
    const TITLE: &'static str = "Read the health of a service";
    const DESCRIPTION: &'static str = "Reads what health checks say about the upstream nodes of a service in a gateway \
        group. Wants the id of the service template, not of the published service.";
    const EFFECT: Effect = Effect::Reads;
    type Args = HealthArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: HealthArgs) -> Result<Outcome, ToolError> {
        let request = action::service_health(&args.gateway_group_id.0, &args.service_template_id.0);
        shared.read(request, &args.view).await
    }
}
