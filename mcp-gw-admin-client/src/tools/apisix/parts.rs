//! Writing what is identified in a way of its own: consumers, credentials, plugins, secrets.

use std::borrow::Cow;

use mcp_gw_core::{ObjectWriter, RawJson, ToolError};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::apisix::{Kind, Place};
use crate::tools::apisix::bodies::{ConsumerBody, CredentialBody, PluginConfigBody, SecretBody};
use crate::tools::apisix::input::{Manager, Object, Saving, Shaped};
use crate::tools::apisix::shared::{Apisix, Told};
use crate::tools::apisix::update::something;
use crate::tools::input::{Id, Name, Writing};
use crate::tools::operation::{Effect, Operation};

/// A consumer, with how it is saved beside its own members.
#[derive(Debug)]
pub(crate) struct ConsumerArgs {
    body: RawJson,
    saving: Saving,
}

/// What of the arguments is not the consumer's.
const OURS: [&str; 3] = ["validate", "dry_run", "show_secrets"];

impl<'de> Deserialize<'de> for ConsumerArgs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawJson::deserialize(deserializer)?;
        let fault = |error: mcp_gw_core::JsonError| serde::de::Error::custom(error.message);
        let saving = raw.decode_owned().map_err(fault)?;
        let members = raw.members().map_err(fault)?;
        let body = ObjectWriter::default().members(&members, &OURS).finish();
        Ok(Self { body, saving })
    }
}

/// The schema of [`ConsumerArgs`].
#[derive(JsonSchema)]
#[expect(dead_code, reason = "read for its schema")]
struct ConsumerShape {
    #[serde(flatten)]
    consumer: ConsumerBody,
    #[serde(flatten)]
    saving: Saving,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl JsonSchema for ConsumerArgs {
    fn schema_name() -> Cow<'static, str> {
        ConsumerShape::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        ConsumerShape::json_schema(generator)
    }
}

pub(crate) struct SaveConsumer;

impl Operation<Apisix> for SaveConsumer {
    const NAME: &'static str = "create_or_update_consumer";
    const TITLE: &'static str = "Make or replace a consumer";
    const DESCRIPTION: &'static str = "Makes a consumer: somebody who calls APIs. One of that username is replaced, as a whole. \
        Settings of plugins are checked first.";
    const EFFECT: Effect = Effect::Replaces;
    type Args = ConsumerArgs;
    type Output = Told;

    async fn run(shared: &Apisix, args: ConsumerArgs) -> Result<Told, ToolError> {
        let request = Kind::Consumer.put(&Place::root(), None, &args.body);
        shared
            .save(Kind::Consumer, request, &args.body, &args.saving)
            .await
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct SaveCredentialArgs {
    /// The consumer.
    username: Name,
    /// The id of the credential.
    id: Id,
    /// The credential.
    credential: Shaped<CredentialBody>,
    #[serde(flatten)]
    saving: Saving,
}

pub(crate) struct SaveCredential;

impl Operation<Apisix> for SaveCredential {
    const NAME: &'static str = "create_or_update_credential";
    const TITLE: &'static str = "Make or replace a credential";
    const DESCRIPTION: &'static str = "Makes a credential of a consumer that is there: what it proves itself with, in a plugin \
        such as key-auth. One of that id is replaced, as a whole. Settings of plugins are checked first.";
    const EFFECT: Effect = Effect::Replaces;
    type Args = SaveCredentialArgs;
    type Output = Told;

    async fn run(shared: &Apisix, args: SaveCredentialArgs) -> Result<Told, ToolError> {
        let body = &args.credential.raw;
        let place = Place::of_consumer(args.username.0);
        let request = Kind::Credential.put(&place, Some(&args.id.0), body);
        shared
            .save(Kind::Credential, request, body, &args.saving)
            .await
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct DeleteCredentialArgs {
    /// The consumer.
    username: Name,
    /// The id of the credential.
    id: Id,
    #[serde(flatten)]
    writing: Writing,
}

pub(crate) struct DeleteCredential;

impl Operation<Apisix> for DeleteCredential {
    const NAME: &'static str = "delete_credential";
    const TITLE: &'static str = "Remove a credential";
    const DESCRIPTION: &'static str =
        "Removes a credential of a consumer for good: who uses it is locked out. Ask the user.";
    const EFFECT: Effect = Effect::Replaces;
    type Args = DeleteCredentialArgs;
    type Output = Told;

    async fn run(shared: &Apisix, args: DeleteCredentialArgs) -> Result<Told, ToolError> {
        let place = Place::of_consumer(args.username.0);
        let request = Kind::Credential.delete(&place, &args.id.0, false);
        shared.change(request, &args.writing).await
    }
}

/// A global rule as APISIX takes it.
fn rule(id: &str, plugins: &RawJson) -> RawJson {
    ObjectWriter::default()
        .string("id", id)
        .raw("plugins", plugins)
        .finish()
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct CreateRuleArgs {
    /// The id.
    id: Id,
    /// Settings by the names of plugins.
    plugins: Object,
    #[serde(flatten)]
    saving: Saving,
}

pub(crate) struct CreateGlobalRule;

impl Operation<Apisix> for CreateGlobalRule {
    const NAME: &'static str = "create_global_rule";
    const TITLE: &'static str = "Make a global rule";
    const DESCRIPTION: &'static str = "Makes a global rule: plugins that run for every request to this APISIX. One of that id is \
        replaced, as a whole. Settings of plugins are checked first.";
    const EFFECT: Effect = Effect::Replaces;
    type Args = CreateRuleArgs;
    type Output = Told;

    async fn run(shared: &Apisix, args: CreateRuleArgs) -> Result<Told, ToolError> {
        let body = rule(&args.id.0, &args.plugins.raw);
        let request = Kind::GlobalRule.put(&Place::root(), Some(&args.id.0), &body);
        shared
            .save(Kind::GlobalRule, request, &body, &args.saving)
            .await
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct UpdateRuleArgs {
    /// The id.
    id: Id,
    /// Settings by the names of plugins: merged into what is there; null removes a plugin.
    plugins: Object,
    #[serde(flatten)]
    saving: Saving,
}

pub(crate) struct UpdateGlobalRule;

impl Operation<Apisix> for UpdateGlobalRule {
    const NAME: &'static str = "update_global_rule";
    const TITLE: &'static str = "Change a part of a global rule";
    const DESCRIPTION: &'static str = "Changes plugins of a global rule that is there, and leaves the rest as it is. Read it \
        first with get_resource. Settings of plugins are checked first.";
    const EFFECT: Effect = Effect::Replaces;
    type Args = UpdateRuleArgs;
    type Output = Told;

    async fn run(shared: &Apisix, args: UpdateRuleArgs) -> Result<Told, ToolError> {
        something(&args.plugins)?;
        let body = rule(&args.id.0, &args.plugins.raw);
        shared
            .amend(Kind::GlobalRule, &args.id.0, &body, &args.saving)
            .await
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct CreateConfigArgs {
    /// The id.
    id: Id,
    /// The plugin config: its member `plugins` has the settings by the names of plugins.
    plugins: Shaped<PluginConfigBody>,
    #[serde(flatten)]
    saving: Saving,
}

pub(crate) struct CreatePluginConfig;

impl Operation<Apisix> for CreatePluginConfig {
    const NAME: &'static str = "create_plugin_config";
    const TITLE: &'static str = "Make a plugin config";
    const DESCRIPTION: &'static str = "Makes a plugin config: plugins that several routes have in common (plugin_config_id). One \
        of that id is replaced, as a whole. Settings of plugins are checked first.";
    const EFFECT: Effect = Effect::Replaces;
    type Args = CreateConfigArgs;
    type Output = Told;

    async fn run(shared: &Apisix, args: CreateConfigArgs) -> Result<Told, ToolError> {
        let body = &args.plugins.raw;
        let request = Kind::PluginConfig.put(&Place::root(), Some(&args.id.0), body);
        shared
            .save(Kind::PluginConfig, request, body, &args.saving)
            .await
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct SaveMetadataArgs {
    /// The name of the plugin.
    name: Name,
    /// The metadata, as the plugin describes them.
    metadata: Object,
    #[serde(flatten)]
    writing: Writing,
}

pub(crate) struct SavePluginMetadata;

impl Operation<Apisix> for SavePluginMetadata {
    const NAME: &'static str = "create_or_update_plugin_metadata";
    const TITLE: &'static str = "Make or replace plugin metadata";
    const DESCRIPTION: &'static str = "Sets the metadata of a plugin: settings that hold for all who use it, such as the format \
        of a log. Metadata that are there are replaced, as a whole.";
    const EFFECT: Effect = Effect::Replaces;
    type Args = SaveMetadataArgs;
    type Output = Told;

    async fn run(shared: &Apisix, args: SaveMetadataArgs) -> Result<Told, ToolError> {
        let place = Place::root();
        let request = Kind::PluginMetadata.put(&place, Some(&args.name.0), &args.metadata.raw);
        shared.change(request, &args.writing).await
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct DeleteMetadataArgs {
    /// The name of the plugin.
    name: Name,
    #[serde(flatten)]
    writing: Writing,
}

pub(crate) struct DeletePluginMetadata;

impl Operation<Apisix> for DeletePluginMetadata {
    const NAME: &'static str = "delete_plugin_metadata";
    const TITLE: &'static str = "Remove plugin metadata";
    const DESCRIPTION: &'static str = "Removes the metadata of a plugin: it works with what it has by itself again.\
        the request without sending it.";
    const EFFECT: Effect = Effect::Replaces;
    type Args = DeleteMetadataArgs;
    type Output = Told;

    async fn run(shared: &Apisix, args: DeleteMetadataArgs) -> Result<Told, ToolError> {
        let request = Kind::PluginMetadata.delete(&Place::root(), &args.name.0, false);
        shared.change(request, &args.writing).await
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct CreateSecretArgs {
    /// The id. APISIX wants one.
    id: Option<Id>,
    /// The manager of the secret.
    manager: Manager,
    /// The settings that the manager needs.
    secret: Shaped<SecretBody>,
    #[serde(flatten)]
    writing: Writing,
}

pub(crate) struct CreateSecret;

impl Operation<Apisix> for CreateSecret {
    const NAME: &'static str = "create_secret";
    const TITLE: &'static str = "Say where secrets come from";
    const DESCRIPTION: &'static str = "Sets how APISIX gets secrets from a manager; resources then refer to \
        $secret://manager/id/…. Needs an `id`: one of that id is replaced, as a whole.";
    const EFFECT: Effect = Effect::Replaces;
    type Args = CreateSecretArgs;
    type Output = Told;

    async fn run(shared: &Apisix, args: CreateSecretArgs) -> Result<Told, ToolError> {
        let body = &args.secret.raw;
        same_manager(args.manager, body)?;
        let place = Place::of_manager(args.manager.as_str());
        let id = args.id.as_ref().map(|id| &*id.0);
        shared
            .change(Kind::Secret.put(&place, id, body), &args.writing)
            .await
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct UpdateSecretArgs {
    /// The id.
    id: Id,
    /// The manager of the secret.
    manager: Manager,
    /// What is changed: members are merged into what is there; null removes one.
    secret: Object,
    #[serde(flatten)]
    writing: Writing,
}

pub(crate) struct UpdateSecret;

impl Operation<Apisix> for UpdateSecret {
    const NAME: &'static str = "update_secret";
    const TITLE: &'static str = "Change where secrets come from";
    const DESCRIPTION: &'static str = "Changes parts of how APISIX gets secrets from a manager, and leaves the rest as it is. Read \
        it first with get_secret_by_id.";
    const EFFECT: Effect = Effect::Replaces;
    type Args = UpdateSecretArgs;
    type Output = Told;

    async fn run(shared: &Apisix, args: UpdateSecretArgs) -> Result<Told, ToolError> {
        something(&args.secret)?;
        same_manager(args.manager, &args.secret.raw)?;
        let place = Place::of_manager(args.manager.as_str());
        let request = Kind::Secret.patch(&place, &args.id.0, &args.secret.raw);
        shared.change(request, &args.writing).await
    }
}

/// The type in the body and the manager in the path must be the same.
fn same_manager(manager: Manager, body: &RawJson) -> Result<(), ToolError> {
    let named = body.member("type").ok().flatten();
    let named: Option<String> = named.and_then(|named| named.decode_owned().ok());
    match named {
        Some(named) if named != manager.as_str() => Err(ToolError::invalid_arguments(format!(
            "`secret.type` is {named:?} and `manager` is {:?}: which one is meant?",
            manager.as_str()
        ))),
        _ => Ok(()),
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct DeleteSecretArgs {
    /// The id.
    id: Id,
    /// The manager of the secret.
    manager: Manager,
    #[serde(flatten)]
    writing: Writing,
}

pub(crate) struct DeleteSecret;

impl Operation<Apisix> for DeleteSecret {
    const NAME: &'static str = "delete_secret";
    const TITLE: &'static str = "Remove where secrets come from";
    const DESCRIPTION: &'static str = "Removes how APISIX gets secrets from a manager: what refers to it does not work any more. \
        Ask the user.";
    const EFFECT: Effect = Effect::Replaces;
    type Args = DeleteSecretArgs;
    type Output = Told;

    async fn run(shared: &Apisix, args: DeleteSecretArgs) -> Result<Told, ToolError> {
        let place = Place::of_manager(args.manager.as_str());
        let request = Kind::Secret.delete(&place, &args.id.0, false);
        shared.change(request, &args.writing).await
    }
}
