//! Roles.

use std::collections::BTreeMap;

use mcp_gw_core::ToolError;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api7::{Kind, Place, iam};
use crate::tools::answer::Outcome;
use crate::tools::api7::input::{Id, Paging, Writing};
use crate::tools::api7::shared::Api7;
use crate::tools::operation::{Checked, Effect, Operation};
use crate::tools::view::View;

/// One by its id, or a list.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct ReadArgs {
    /// The id; without it there is a list.
    id: Option<Id>,
    #[serde(flatten)]
    paging: Paging,
    #[serde(flatten)]
    view: View,
}

impl ReadArgs {
    /// Reads it. An id wins over what is for lists.
    pub(crate) async fn read(self, shared: &Api7, kind: Kind) -> Result<Outcome, ToolError> {
        let place = Place::global();
        let request = match &self.id {
            Some(id) => kind.get(&place, Some(&id.0)),
            None => kind.list(&place, &self.paging.params(&serde_json::Map::new())?),
        };
        shared.read(request, &self.view).await
    }
}

pub(crate) struct GetRole;

impl Operation<Api7> for GetRole {
    const NAME: &'static str = "get_role";
    const TITLE: &'static str = "Read roles";
    const DESCRIPTION: &'static str =
        "Reads a role by its id, or lists the roles whose name holds `search`; all without both.";
    const EFFECT: Effect = Effect::Reads;
    type Args = ReadArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: ReadArgs) -> Result<Outcome, ToolError> {
        args.read(shared, Kind::Role).await
    }
}

/// What a role is made of.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
#[expect(dead_code, reason = "read to be checked; what is sent is the text")]
pub(crate) struct RoleBody {
    /// Its name.
    #[schemars(length(min = 1, max = 256))]
    name: String,
    /// What it is for.
    #[schemars(length(max = 65_536))]
    desc: Option<String>,
    /// Labels.
    labels: Option<BTreeMap<String, String>>,
    /// The ids of its permission policies.
    policies: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct CreateRoleArgs {
    /// The role.
    role: Checked<RoleBody>,
    #[serde(flatten)]
    writing: Writing,
}

pub(crate) struct CreateRole;

impl Operation<Api7> for CreateRole {
    const NAME: &'static str = "create_role";
    const TITLE: &'static str = "Make a role";
    const DESCRIPTION: &'static str = "Makes a role with the permission policies that are named by id \
        (get_permission_policy lists them). Give users the role with update_assigned_roles_for_user.";
    const EFFECT: Effect = Effect::Adds;
    type Args = CreateRoleArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: CreateRoleArgs) -> Result<Outcome, ToolError> {
        let request = Kind::Role.create(&Place::global(), None, &args.role.raw);
        let mut written = shared.write(request, &args.writing).await?;
        written.outcome.console_url = written.id().map(|id| shared.console("/roles", &id, ""));
        Ok(written.outcome)
    }
}

/// One by its id, to be removed.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct DeleteArgs {
    /// The id.
    id: Id,
    #[serde(flatten)]
    writing: Writing,
}

impl DeleteArgs {
    pub(crate) async fn delete(self, shared: &Api7, kind: Kind) -> Result<Outcome, ToolError> {
        let request = kind.delete(&Place::global(), &self.id.0);
        Ok(shared.write(request, &self.writing).await?.outcome)
    }
}

pub(crate) struct DeleteRole;

impl Operation<Api7> for DeleteRole {
    const NAME: &'static str = "delete_role";
    const TITLE: &'static str = "Remove a role";
    const DESCRIPTION: &'static str = "Removes a role for good: its users lose what it allows. Read it with get_role \
        first, and ask the user.";
    const EFFECT: Effect = Effect::Replaces;
    type Args = DeleteArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: DeleteArgs) -> Result<Outcome, ToolError> {
        args.delete(shared, Kind::Role).await
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct AssignArgs {
    /// The user's id: `get_userId_by_username` finds it.
    user_id: Id,
    /// The ids of all roles that the user has afterwards; others are taken away. None with [].
    roles: Vec<Id>,
    #[serde(flatten)]
    writing: Writing,
}

pub(crate) struct AssignRoles;

impl Operation<Api7> for AssignRoles {
    const NAME: &'static str = "update_assigned_roles_for_user";
    const TITLE: &'static str = "Set the roles of a user";
    const DESCRIPTION: &'static str = "Sets all roles of a user: roles that are not named are taken away. To add one, \
        read the roles of the user first (get_role_by_user_id) and name them too.";
    const EFFECT: Effect = Effect::Replaces;
    type Args = AssignArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: AssignArgs) -> Result<Outcome, ToolError> {
        let roles: Vec<String> = args.roles.into_iter().map(|role| role.0).collect();
        let request = iam::assign_roles(&args.user_id.0, &roles);
        let mut outcome = shared.write(request, &args.writing).await?.outcome;
        if !outcome.dry_run {
            outcome.console_url = Some(shared.console("/users", &args.user_id.0, ""));
        }
        Ok(outcome)
    }
}
