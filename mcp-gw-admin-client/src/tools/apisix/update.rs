//! Changing parts of resources, and removing them.

use mcp_gw_core::ToolError;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::apisix::{Kind, Place};
use crate::tools::apisix::input::{Object, Saving, Type};
use crate::tools::apisix::shared::{Apisix, Told};
use crate::tools::input::{Id, Writing};
use crate::tools::operation::{Effect, Operation};

macro_rules! updates {
    ($($operation:ident($args:ident): $kind:ident, $tool:literal, $title:literal, $what:literal, $checked:literal,
        $(#[serde($serde:meta)])? $field:ident;)*) => {$(
        #[derive(Deserialize, JsonSchema)]
        pub(crate) struct $args {
            /// The id.
            id: Id,
            /// What is changed: members are merged into what is there, at any depth; null removes one; lists are replaced as a
            /// whole. The members are those of the tool that makes one.
            $(#[serde($serde)])?
            $field: Object,
            #[serde(flatten)]
            saving: Saving,
        }

        pub(crate) struct $operation;

        impl Operation<Apisix> for $operation {
            const NAME: &'static str = $tool;
            const TITLE: &'static str = $title;
            const DESCRIPTION: &'static str = concat!(
                "Changes parts of ", $what, " that is there, and leaves the rest as it is. Read it first with get_resource.", $checked
            );
            const EFFECT: Effect = Effect::Replaces;
            type Args = $args;
            type Output = Told;

            async fn run(shared: &Apisix, args: $args) -> Result<Told, ToolError> {
                something(&args.$field)?;
                shared.amend(Kind::$kind, &args.id.0, &args.$field.raw, &args.saving).await
            }
        }
    )*};
}

updates! {
    UpdateRoute(UpdateRouteArgs): Route, "update_route", "Change a part of a route", "a route", " Settings of plugins are checked first.", route;
    UpdateService(UpdateServiceArgs): Service, "update_service", "Change a part of a service", "a service", " Settings of plugins are checked first.", service;
    UpdateUpstream(UpdateUpstreamArgs): Upstream, "update_upstream", "Change a part of an upstream", "an upstream", "", upstream;
    UpdateSsl(UpdateSslArgs): Ssl, "update_ssl", "Change a part of a certificate", "a certificate", "", ssl;
    UpdateConsumerGroup(UpdateConsumerGroupArgs): ConsumerGroup, "update_consumer_group",
        "Change a part of a consumer group", "a consumer group", " Settings of plugins are checked first.", #[serde(rename = "consumerGroup")] consumer_group;
    UpdatePluginConfig(UpdatePluginConfigArgs): PluginConfig, "update_plugin_config",
        "Change a part of a plugin config", "a plugin config (`plugins`, `desc`, `labels`)", " Settings of plugins are checked first.", plugins;
}

/// A change of nothing is a mistake.
pub(crate) fn something(object: &Object) -> Result<(), ToolError> {
    if object.value.is_empty() {
        return Err(ToolError::invalid_arguments(
            "nothing is to be changed: name at least one member",
        ));
    }
    Ok(())
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct DeleteArgs {
    /// The id; of a consumer its username.
    id: Id,
    /// The type of resource.
    #[serde(rename = "type")]
    kind: Type,
    /// Remove it also when others refer to it, which then do not work any more.
    force: Option<bool>,
    #[serde(flatten)]
    writing: Writing,
}

pub(crate) struct DeleteResource;

impl Operation<Apisix> for DeleteResource {
    const NAME: &'static str = "delete_resource";
    const TITLE: &'static str = "Remove a resource";
    const DESCRIPTION: &'static str = "Removes a resource by its type and id, for good; a consumer with its credentials. APISIX \
        refuses while others refer to it, unless `force` is true. Read it with get_resource first, and ask the user. dry_run \
        shows the request without sending it.";
    const EFFECT: Effect = Effect::Replaces;
    type Args = DeleteArgs;
    type Output = Told;

    async fn run(shared: &Apisix, args: DeleteArgs) -> Result<Told, ToolError> {
        let is_forced = args.force == Some(true);
        let request = args
            .kind
            .kind()
            .delete(&Place::root(), &args.id.0, is_forced);
        shared.change(request, &args.writing).await
    }
}
