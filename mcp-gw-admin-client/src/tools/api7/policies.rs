//! Permission policies.

use std::borrow::Cow;
use std::collections::BTreeMap;

use mcp_gw_core::{ObjectWriter, RawJson, ToolError};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::api7::{Kind, Place, iam};
use crate::tools::answer::Outcome;
use crate::tools::api7::actions;
use crate::tools::api7::input::{Id, Writing};
use crate::tools::api7::roles::{DeleteArgs, ReadArgs};
use crate::tools::api7::shared::Api7;
use crate::tools::operation::{Checked, Effect, Operation};
use crate::tools::view::View;

pub(crate) struct GetPolicy;

impl Operation<Api7> for GetPolicy {
    const NAME: &'static str = "get_permission_policy";
    const TITLE: &'static str = "Read permission policies";
    const DESCRIPTION: &'static str = "Reads a permission policy by its id, or lists those whose name holds `search`; \
        all without both.";
    const EFFECT: Effect = Effect::Reads;
    type Args = ReadArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: ReadArgs) -> Result<Outcome, ToolError> {
        args.read(shared, Kind::PermissionPolicy).await
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct OfRoleArgs {
    /// The id of the role.
    id: Id,
    #[serde(flatten)]
    view: View,
}

pub(crate) struct GetPolicyByRole;

impl Operation<Api7> for GetPolicyByRole {
    const NAME: &'static str = "get_permission_policy_by_role";
    const TITLE: &'static str = "Read the permission policies of a role";
    const DESCRIPTION: &'static str =
        "Reads the permission policies of a role, by the id of the role.";
    const EFFECT: Effect = Effect::Reads;
    type Args = OfRoleArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: OfRoleArgs) -> Result<Outcome, ToolError> {
        shared
            .read(iam::policies_of_role(&args.id.0), &args.view)
            .await
    }
}

/// How a label is compared.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum LabelOperator {
    ExactMatch,
    ContainsString,
    Present,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct LabelOptions {
    /// The key of the label.
    #[expect(dead_code, reason = "read to be checked; what is sent is the text")]
    key: String,
    /// How its value is compared.
    operator: LabelOperator,
    /// The value; not needed to ask whether the label is present.
    value: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
enum MatchLabel {
    MatchLabel,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
enum AllOfStrings {
    AllOfStrings,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
#[expect(dead_code, reason = "read to be checked; what is sent is the text")]
struct LabelCondition {
    /// The kind of condition.
    #[serde(rename = "type")]
    kind: MatchLabel,
    /// The label.
    options: LabelOptions,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
#[expect(dead_code, reason = "read to be checked; what is sent is the text")]
struct Boundaries {
    /// The kind of condition.
    #[serde(rename = "type")]
    kind: AllOfStrings,
    /// The ids of the policies that bound what a user may do.
    options: Vec<String>,
}

macro_rules! conditions {
    ($($name:ident,)*) => {
        /// All of them must hold.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Conditions {
            $($name: Option<LabelCondition>,)*
            #[expect(dead_code, reason = "read to be checked; what is sent is the text")]
            permission_boundaries: Option<Boundaries>,
        }

        impl Conditions {
            const LABELS: &[&str] = &[$(stringify!($name)),*];

            fn labels(&self) -> Vec<(&'static str, &LabelCondition)> {
                [$((stringify!($name), self.$name.as_ref())),*]
                    .into_iter()
                    .filter_map(|(name, condition)| Some((name, condition?)))
                    .collect()
            }
        }
    };
}

conditions! {
    gateway_group_label,
    service_label,
    permission_policy_label,
    role_label,
    user_label,
    consumer_label,
    secret_provider_label,
    contact_point_label,
    alert_policy_label,
    developer_label,
    api_product_label,
    ca_certificate_label,
    certificate_label,
    sni_label,
}

/// The labels are named, and what they have in common is written once. Other names are refused when the arguments are
/// read.
impl JsonSchema for Conditions {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Conditions".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let says = format!(
            "When the statement applies; always without it. What has labels: {}.",
            Self::LABELS.join(", ")
        );
        let mut boundaries = Boundaries::json_schema(generator);
        boundaries.insert(
            "description".to_owned(),
            "The policies that a user's permissions must stay within.".into(),
        );
        json_schema!({
            "type": "object",
            "description": says,
            "properties": { "permission_boundaries": boundaries },
            "additionalProperties": LabelCondition::json_schema(generator),
        })
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum StatementEffect {
    Allow,
    Deny,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
#[expect(dead_code, reason = "read to be checked; what is sent is the text")]
struct StatementBody {
    /// Whether it allows or denies.
    effect: StatementEffect,
    /// Patterns of resources.
    #[schemars(length(min = 1))]
    resources: Vec<String>,
    /// Actions, such as gateway:GetGatewayGroup.
    #[schemars(length(min = 1))]
    actions: Vec<String>,
    conditions: Option<Conditions>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct DocumentBody {
    /// The rules; one that denies wins.
    #[schemars(length(min = 1))]
    statement: Vec<StatementBody>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum PolicyKind {
    BuiltIn,
    Custom,
}

/// A permission policy.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
#[expect(dead_code, reason = "read to be checked; what is sent is the text")]
struct PolicyBody {
    /// Its name.
    #[schemars(length(min = 1, max = 100))]
    name: String,
    /// custom when it is not given.
    r#type: Option<PolicyKind>,
    /// What it is for.
    #[schemars(length(max = 65_536))]
    desc: Option<String>,
    /// Labels.
    labels: Option<BTreeMap<String, String>>,
    /// The rules.
    policy_document: DocumentBody,
}

impl PolicyBody {
    /// A comparison needs something to compare with.
    fn check(&self) -> Result<(), ToolError> {
        for (at, statement) in self.policy_document.statement.iter().enumerate() {
            let conditions = statement.conditions.iter().flat_map(Conditions::labels);
            for (name, condition) in conditions {
                let is_compared = !matches!(condition.options.operator, LabelOperator::Present);
                if is_compared && condition.options.value.is_none() {
                    return Err(ToolError::invalid_arguments(format!(
                        "at /permissionPolicy/policy_document/statement/{at}/conditions/{name}/options: `value` is \
                         missing; only the operator present needs none"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// The body that is sent: the text as it came, with the type that it has when none was given.
fn body(policy: &Checked<PolicyBody>) -> Result<RawJson, ToolError> {
    policy.value.check()?;
    if policy.value.r#type.is_some() {
        return Ok(policy.raw.clone());
    }
    let members = policy
        .raw
        .members()
        .map_err(|error| ToolError::invalid_arguments(error.message))?;
    Ok(ObjectWriter::with_capacity(policy.raw.len() + 24)
        .members(&members, &["type"])
        .string("type", "custom")
        .finish())
}

/// The list of actions, for who says that it was not read.
fn insist(has_read: bool) -> Result<(), ToolError> {
    if has_read {
        return Ok(());
    }
    Err(ToolError::failed(format!(
        "Nothing was sent. Take actions and resources from the following list (it is also the resource {}), then call \
         again with alreadyReadPermissionPolicyConfig: true.\n{}",
        actions::URI,
        actions::TEXT
    )))
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreatePolicyArgs {
    /// The policy.
    permission_policy: Checked<PolicyBody>,
    /// Whether actions and resources come from `text://policy-resources-actions.json`. With false the answer is that list.
    already_read_permission_policy_config: bool,
    #[serde(flatten)]
    writing: Writing,
}

pub(crate) struct CreatePolicy;

impl Operation<Api7> for CreatePolicy {
    const NAME: &'static str = "create_permission_policy";
    const TITLE: &'static str = "Make a permission policy";
    const DESCRIPTION: &'static str = "Makes a permission policy. Take actions and resources from the resource \
        text://policy-resources-actions.json (call with alreadyReadPermissionPolicyConfig: false to be shown it). All \
        conditions of a statement must hold. It has an effect when it is attached to a role \
        (attach_permission_policy_to_role).";
    const EFFECT: Effect = Effect::Adds;
    type Args = CreatePolicyArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: CreatePolicyArgs) -> Result<Outcome, ToolError> {
        insist(args.already_read_permission_policy_config)?;
        let body = body(&args.permission_policy)?;
        let request = Kind::PermissionPolicy.create(&Place::global(), None, &body);
        let mut written = shared.write(request, &args.writing).await?;
        written.outcome.console_url = written.id().map(|id| shared.console("/policies", &id, ""));
        Ok(written.outcome)
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpdatePolicyArgs {
    /// The id of the policy.
    id: Id,
    /// The whole policy as it is to be.
    permission_policy: Checked<PolicyBody>,
    /// Whether actions and resources come from `text://policy-resources-actions.json`. With false the answer is that list.
    already_read_permission_policy_config: bool,
    #[serde(flatten)]
    writing: Writing,
}

pub(crate) struct UpdatePolicy;

impl Operation<Api7> for UpdatePolicy {
    const NAME: &'static str = "update_permission_policy";
    const TITLE: &'static str = "Replace a permission policy";
    const DESCRIPTION: &'static str = "Puts a new permission policy in the place of an old one: what is not given is \
        gone, for all roles that have it. Read it first (get_permission_policy).";
    const EFFECT: Effect = Effect::Replaces;
    type Args = UpdatePolicyArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: UpdatePolicyArgs) -> Result<Outcome, ToolError> {
        insist(args.already_read_permission_policy_config)?;
        let body = body(&args.permission_policy)?;
        let request = Kind::PermissionPolicy.replace(&Place::global(), Some(&args.id.0), &body);
        let mut outcome = shared.write(request, &args.writing).await?.outcome;
        if !outcome.dry_run {
            outcome.console_url = Some(shared.console("/policies", &args.id.0, ""));
        }
        Ok(outcome)
    }
}

pub(crate) struct DeletePolicy;

impl Operation<Api7> for DeletePolicy {
    const NAME: &'static str = "delete_permission_policy";
    const TITLE: &'static str = "Remove a permission policy";
    const DESCRIPTION: &'static str = "Removes a permission policy for good: roles that have it lose what it allows, \
        and what it denies. Read it first, and ask the user.";
    const EFFECT: Effect = Effect::Replaces;
    type Args = DeleteArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: DeleteArgs) -> Result<Outcome, ToolError> {
        args.delete(shared, Kind::PermissionPolicy).await
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BindArgs {
    /// The id of the role.
    id: Id,
    /// The ids of the policies.
    #[schemars(length(min = 1))]
    permission_policy_id: Vec<Id>,
    #[serde(flatten)]
    writing: Writing,
}

impl BindArgs {
    async fn bind(self, shared: &Api7, is_attached: bool) -> Result<Outcome, ToolError> {
        let ids: Vec<String> = self
            .permission_policy_id
            .into_iter()
            .map(|id| id.0)
            .collect();
        let request = if is_attached {
            iam::attach_policies(&self.id.0, &ids)
        } else {
            iam::detach_policies(&self.id.0, &ids)
        };
        let mut outcome = shared.write(request, &self.writing).await?.outcome;
        if !outcome.dry_run {
            outcome.console_url = Some(shared.console("/roles", &self.id.0, "/detail"));
        }
        Ok(outcome)
    }
}

pub(crate) struct AttachPolicies;

impl Operation<Api7> for AttachPolicies {
    const NAME: &'static str = "attach_permission_policy_to_role";
    const TITLE: &'static str = "Give permission policies to a role";
    const DESCRIPTION: &'static str = "Gives permission policies to a role: all its users get what they allow. dry_run \
        shows the request without sending it.";
    // What is added here are rights.
    const EFFECT: Effect = Effect::Replaces;
    type Args = BindArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: BindArgs) -> Result<Outcome, ToolError> {
        args.bind(shared, true).await
    }
}

pub(crate) struct DetachPolicies;

impl Operation<Api7> for DetachPolicies {
    const NAME: &'static str = "detach_permission_policy_from_role";
    const TITLE: &'static str = "Take permission policies from a role";
    const DESCRIPTION: &'static str = "Takes permission policies from a role: all its users lose what they allow, and \
        are no longer held to what they deny.";
    const EFFECT: Effect = Effect::Replaces;
    type Args = BindArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: BindArgs) -> Result<Outcome, ToolError> {
        args.bind(shared, false).await
    }
}
