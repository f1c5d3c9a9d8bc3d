//! Creating, replacing, patching, deleting what the dashboard knows.

use mcp_gw_core::ToolError;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::api7::{Kind, action};
use crate::tools::advice;
use crate::tools::answer::Outcome;
use crate::tools::api7::input::{Id, Name, Writing};
use crate::tools::api7::patch::patched;
use crate::tools::api7::read::{KindName, PlaceArgs, RawPath};
use crate::tools::api7::shared::Api7;
use crate::tools::desk::agree;
use crate::tools::operation::{Checked, Effect, Operation};

/// Any object.
type Object = Checked<Map<String, Value>>;

#[derive(Deserialize, JsonSchema)]
pub(crate) struct BodyArgs {
    /// What is written.
    kind: KindName<true>,
    /// The id; for a consumer its username, for plugins their name.
    id: Option<Name>,
    #[serde(flatten)]
    place: PlaceArgs,
    /// The resource, as the Admin API describes it.
    body: Object,
    /// Whether to check settings of plugins first; true when it is not given.
    validate: Option<bool>,
    #[serde(flatten)]
    writing: Writing,
}

impl BodyArgs {
    /// Remarks about what could not be checked.
    async fn checked(&self, shared: &Api7) -> Result<Vec<String>, ToolError> {
        if let Some(id) = self.id() {
            agree(named_by(self.kind.0), id, &self.body.raw)?;
        }
        let place = self.place.place();
        for (member, id) in [
            ("service_id", &place.service_id),
            ("gateway_group_id", &place.gateway_group_id),
        ] {
            if let Some(id) = id {
                agree(member, id, &self.body.raw)?;
            }
        }
        shared.may_be_sent(&self.body.raw)?;
        shared.may_write(&self.writing)?;
        if self.validate == Some(false) {
            return Ok(Vec::new());
        }
        let place = self.place.place();
        shared.validate(self.kind.0, &place, &self.body.raw).await
    }

    fn id(&self) -> Option<&str> {
        self.id.as_ref().map(|id| &*id.0)
    }
}

/// The member that names a resource.
fn named_by(kind: Kind) -> &'static str {
    match kind {
        Kind::Consumer => "username",
        _ => "id",
    }
}

pub(crate) struct CreateResource;

impl Operation<Api7> for CreateResource {
    const NAME: &'static str = "create_resource";
    const TITLE: &'static str = "Make a resource";
    const DESCRIPTION: &'static str = "Makes a resource that is not there yet: a service, route, upstream, consumer, \
        credential, certificate … Some kinds need an `id` of your choice (route, streamRoute, credential, globalRules, \
        pluginMetadata, secretProvider); one that exists is not overwritten. Settings of plugins are checked first.";
    const EFFECT: Effect = Effect::Adds;
    type Args = BodyArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: BodyArgs) -> Result<Outcome, ToolError> {
        let place = args.place.place();
        let request = args.kind.0.create(&place, args.id(), &args.body.raw);
        let is_put = request
            .as_ref()
            .is_ok_and(|request| request.method() == http::Method::PUT);
        let remarks = args.checked(shared).await?;
        if is_put {
            refuse_existing(shared, &args).await?;
        }
        let mut outcome = shared.write(request, &args.writing).await?.outcome;
        outcome.remarks.extend(remarks);
        Ok(outcome)
    }
}

/// A PUT would put the new one in the place of the old one.
async fn refuse_existing(shared: &Api7, args: &BodyArgs) -> Result<(), ToolError> {
    let kind = args.kind.0;
    let request = kind
        .get(&args.place.place(), args.id())
        .map_err(crate::tools::api7::shared::unbuilt)?;
    match shared.first().send(request).await {
        Ok(_) => Err(ToolError::failed(format!(
            "Nothing was changed: this {} exists already. Read it (read_resource), then replace_resource or patch_resource.",
            kind.name()
        ))),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(ToolError::failed(format!(
            "Nothing was changed: whether it exists already could not be read. {}",
            advice::explain(&error)
        ))),
    }
}

pub(crate) struct ReplaceResource;

impl Operation<Api7> for ReplaceResource {
    const NAME: &'static str = "replace_resource";
    const TITLE: &'static str = "Replace a resource";
    const DESCRIPTION: &'static str = "Puts a resource in the place of the one with this id: members that are not given \
        are gone. Read it first (read_resource), with show_secrets when it holds secrets. Settings of plugins are checked \
        first. To change a part, use patch_resource.";
    const EFFECT: Effect = Effect::Replaces;
    type Args = BodyArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: BodyArgs) -> Result<Outcome, ToolError> {
        let place = args.place.place();
        let request = args.kind.0.replace(&place, args.id(), &args.body.raw);
        let remarks = args.checked(shared).await?;
        let mut outcome = shared.write(request, &args.writing).await?.outcome;
        outcome.remarks.extend(remarks);
        Ok(outcome)
    }
}

/// An operation of a JSON Patch (RFC 6902).
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[expect(dead_code, reason = "read to be checked; what is sent is the text")]
pub(crate) struct PatchOperation {
    /// What is done.
    op: PatchOp,
    /// Where: a JSON Pointer such as /plugins/limit-count/count.
    path: String,
    /// Where from, for move and copy.
    from: Option<String>,
    /// What is put there.
    value: Option<Value>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum PatchOp {
    Add,
    Remove,
    Replace,
    Move,
    Copy,
    Test,
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct PatchArgs {
    /// What is changed.
    kind: KindName<true>,
    /// The id; for a consumer its username.
    id: Option<Name>,
    #[serde(flatten)]
    place: PlaceArgs,
    /// The operations, in their order; all are made or none.
    operations: Checked<Vec<PatchOperation>>,
    /// Whether to check settings of plugins first; true when it is not given.
    validate: Option<bool>,
    #[serde(flatten)]
    writing: Writing,
}

pub(crate) struct PatchResource;

impl Operation<Api7> for PatchResource {
    const NAME: &'static str = "patch_resource";
    const TITLE: &'static str = "Change a part of a resource";
    const DESCRIPTION: &'static str = "Changes parts of a resource by the operations of a JSON Patch (RFC 6902), and leaves \
        the rest as it is. Not for all kinds: others are replaced as a whole (replace_resource).";
    const EFFECT: Effect = Effect::Changes;
    type Args = PatchArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: PatchArgs) -> Result<Outcome, ToolError> {
        let id = args.id.as_ref().map(|id| &*id.0);
        let named = (named_by(args.kind.0), id.unwrap_or_default());
        let (plugins, mut remarks) = patched(&args.operations.raw, named)?;
        shared.may_be_sent(&args.operations.raw)?;
        let place = args.place.place();
        let request = args.kind.0.patch(&place, id, &args.operations.raw);
        shared.may_write(&args.writing)?;
        if args.validate == Some(false) {
            remarks.clear();
        } else {
            remarks.extend(shared.validate(args.kind.0, &place, &plugins).await?);
        }
        let mut outcome = shared.write(request, &args.writing).await?.outcome;
        outcome.remarks.extend(remarks);
        Ok(outcome)
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct DeleteArgs {
    /// What is removed.
    kind: KindName<true>,
    /// The id; for a consumer its username, for plugins their name.
    id: Name,
    #[serde(flatten)]
    place: PlaceArgs,
    #[serde(flatten)]
    writing: Writing,
}

pub(crate) struct DeleteResource;

impl Operation<Api7> for DeleteResource {
    const NAME: &'static str = "delete_resource";
    const TITLE: &'static str = "Remove a resource";
    const DESCRIPTION: &'static str =
        "Removes a resource for good. Read it first (read_resource), and ask the user.";
    const EFFECT: Effect = Effect::Replaces;
    type Args = DeleteArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: DeleteArgs) -> Result<Outcome, ToolError> {
        let request = args.kind.0.delete(&args.place.place(), &args.id.0);
        Ok(shared.write(request, &args.writing).await?.outcome)
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct ServiceVersion {
    /// The id of the service template.
    service_id: Id,
    /// The version that it gets, such as 1.0.0.
    version: Name,
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct PublishArgs {
    /// The gateway group.
    gateway_group_id: Id,
    /// The services, with their versions.
    #[schemars(length(min = 1))]
    services: Vec<ServiceVersion>,
    /// Whether these are new versions; true when it is not given.
    create_new_version: Option<bool>,
    #[serde(flatten)]
    writing: Writing,
}

pub(crate) struct PublishService;

impl Operation<Api7> for PublishService {
    const NAME: &'static str = "publish_service";
    const TITLE: &'static str = "Publish services";
    const DESCRIPTION: &'static str = "Publishes service templates in a gateway group: from then on they take traffic, in \
        the place of versions that were there.";
    const EFFECT: Effect = Effect::Changes;
    type Args = PublishArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: PublishArgs) -> Result<Outcome, ToolError> {
        let services: Vec<(String, String)> = args
            .services
            .into_iter()
            .map(|service| (service.service_id.0, service.version.0))
            .collect();
        let is_new = args.create_new_version.unwrap_or(true);
        let request = action::publish(&args.gateway_group_id.0, &services, is_new);
        Ok(shared.write(request, &args.writing).await?.outcome)
    }
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
enum RawMethod {
    Post,
    Put,
    Patch,
    Delete,
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct RawWriteArgs {
    /// The HTTP method.
    method: RawMethod,
    /// The body; none without it.
    body: Option<Checked<Value>>,
    #[serde(flatten)]
    path: RawPath,
    #[serde(flatten)]
    writing: Writing,
}

pub(crate) struct WriteRaw;

impl Operation<Api7> for WriteRaw {
    const NAME: &'static str = "write_admin_api";
    const TITLE: &'static str = "Send any write to the Admin API";
    const DESCRIPTION: &'static str = "Sends a POST, PUT, PATCH or DELETE to any path of the Admin API, for what no other \
        tool can do: accepting an approval, a new admin key, importing OpenAPI, contact points of alerts … Only for paths that are documented for \
        this version of the dashboard; nothing is checked before. Ask the user.";
    const EFFECT: Effect = Effect::Changes;
    type Args = RawWriteArgs;
    type Output = Outcome;

    async fn run(shared: &Api7, args: RawWriteArgs) -> Result<Outcome, ToolError> {
        let method = match args.method {
            RawMethod::Post => http::Method::POST,
            RawMethod::Put => http::Method::PUT,
            RawMethod::Patch => http::Method::PATCH,
            RawMethod::Delete => http::Method::DELETE,
        };
        let body = args.body.as_ref().map(|body| &body.raw);
        let request = args
            .path
            .target()
            .and_then(|target| target.request(method, body));
        let desk = shared.with_words(&advice::ANY_PATH);
        Ok(desk.write(request, &args.writing).await?.outcome)
    }
}
