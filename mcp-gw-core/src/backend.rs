//! What calls leave to: local tools, MCP servers, REST APIs behind one trait.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::context::{CallContext, CallNotification, ClientRef, SessionKey};
use crate::freshness::ListHints;
use crate::item_uri::check_uri;
use crate::json::RawJson;
use crate::mount::LeftOut;
use crate::policy::Feature;
use crate::tool::{Arguments, BoxError, SpecError, ToolOutput, ToolSpec, check_name, identity};

/// The definition of a resource, resource template or prompt, as its list shows it.
#[derive(Debug, Clone)]
pub struct ItemSpec {
    key: Arc<str>,
    definition: RawJson,
}

impl ItemSpec {
    /// Takes a `Resource`, `ResourceTemplate` or `Prompt` object as it came from a server.
    ///
    /// # Errors
    /// When it is not an object, or what identifies it (`uri`, `uriTemplate`, `name`) is missing
    /// or cannot be used.
    pub fn from_definition(feature: Feature, definition: RawJson) -> Result<Self, SpecError> {
        let member = match feature {
            Feature::Resource => "uri",
            Feature::ResourceTemplate => "uriTemplate",
            Feature::Tool | Feature::Prompt => "name",
        };
        let members = definition.members().map_err(SpecError::Json)?;
        let key = identity(&members, member)?;
        match feature {
            Feature::Tool | Feature::Prompt => check_name(&key)?,
            Feature::Resource | Feature::ResourceTemplate => {
                let is_template = feature == Feature::ResourceTemplate;
                check_uri(&key, is_template)?;
            }
        }
        Ok(Self {
            key: key.into(),
            definition,
        })
    }

    /// What identifies it: the URI, the URI template, or the name.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The whole definition.
    pub const fn definition(&self) -> &RawJson {
        &self.definition
    }
}

/// Everything that a backend has on offer at one moment.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Offer {
    /// Its tools, in its own order.
    pub tools: Vec<ToolSpec>,
    /// Its resources.
    pub resources: Vec<ItemSpec>,
    /// Its resource templates.
    pub resource_templates: Vec<ItemSpec>,
    /// Its prompts.
    pub prompts: Vec<ItemSpec>,
    /// Its `ServerCapabilities` object.
    pub capabilities: Option<RawJson>,
    /// Its instructions for the model.
    pub instructions: Option<String>,
    /// Its texts are written for this gateway: where its instructions, and the `description`s in its definitions,
    /// name its own items (a tool by its name, a resource by its URI, as words of their own), clients read the
    /// names that they know, and of items that their endpoint does not show that it does not. False for servers
    /// whose words are not the gateway's to change. The same for what a call answers:
    /// [`CallContext::in_names_of_client`](crate::CallContext::in_names_of_client).
    pub texts_follow_names: bool,
    /// Items that such texts name and that are not offered: they are chosen not to be.
    pub absent: Vec<Arc<str>>,
    /// What it says about keeping its lists.
    pub hints: ListHints,
    /// What it has and cannot be shown.
    pub left_out: Vec<LeftOut>,
    /// What else people should know about it: sentences.
    pub remarks: Vec<String>,
}

impl Offer {
    /// An offer of tools alone.
    pub fn of_tools(tools: Vec<ToolSpec>) -> Self {
        Self {
            tools,
            ..Self::default()
        }
    }
}

/// What came with a request beside the members that this crate names.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Extras {
    /// The client's `_meta` without the keys that belong to the hop; `None` when nothing is left.
    pub meta: Option<RawJson>,
    /// Other members of `params`, in their order.
    pub members: Vec<(String, RawJson)>,
}

impl Extras {
    /// These extras.
    pub const fn new(meta: Option<RawJson>, members: Vec<(String, RawJson)>) -> Self {
        Self { meta, members }
    }
}

/// A `tools/call`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ToolCall {
    /// The tool; the client's name for it on the way in, the backend's own once it is there.
    pub name: Arc<str>,
    /// The arguments.
    pub arguments: Arguments,
    /// The rest of `params`.
    pub extras: Extras,
}

impl ToolCall {
    /// A call of `name`.
    pub fn new(name: impl Into<Arc<str>>, arguments: Arguments) -> Self {
        Self {
            name: name.into(),
            arguments,
            extras: Extras::default(),
        }
    }

    /// Sets the rest of `params`.
    #[must_use]
    pub fn with_extras(mut self, extras: Extras) -> Self {
        self.extras = extras;
        self
    }
}

/// A `resources/read`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ResourceRead {
    /// The resource.
    pub uri: Arc<str>,
    /// The rest of `params`.
    pub extras: Extras,
}

impl ResourceRead {
    /// A read of `uri`.
    pub fn new(uri: impl Into<Arc<str>>, extras: Extras) -> Self {
        Self {
            uri: uri.into(),
            extras,
        }
    }
}

/// A `prompts/get`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PromptGet {
    /// The prompt.
    pub name: Arc<str>,
    /// The arguments.
    pub arguments: Arguments,
    /// The rest of `params`.
    pub extras: Extras,
}

impl PromptGet {
    /// A request for the prompt `name`.
    pub fn new(name: impl Into<Arc<str>>, arguments: Arguments, extras: Extras) -> Self {
        Self {
            name: name.into(),
            arguments,
            extras,
        }
    }
}

/// What a completion is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompletionRef {
    /// An argument of the prompt with this name (`ref/prompt`).
    Prompt(Arc<str>),
    /// A variable of this resource template, or of the resource with this URI (`ref/resource`).
    Resource(Arc<str>),
}

/// A `completion/complete`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Completion {
    /// What it is about.
    pub reference: CompletionRef,
    /// The rest of the member `ref`, such as a `title`: without its `type` and the name or URI.
    pub reference_members: Vec<(String, RawJson)>,
    /// The member `argument`.
    pub argument: RawJson,
    /// The rest of `params`, `context` among it.
    pub extras: Extras,
}

impl Completion {
    /// A completion of `argument`.
    pub const fn new(reference: CompletionRef, argument: RawJson, extras: Extras) -> Self {
        Self {
            reference,
            reference_members: Vec::new(),
            argument,
            extras,
        }
    }

    /// Sets what else the member `ref` says.
    #[must_use]
    pub fn with_reference_members(mut self, members: Vec<(String, RawJson)>) -> Self {
        self.reference_members = members;
        self
    }
}

/// What is asked about a task (extension `io.modelcontextprotocol/tasks`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskMethod {
    /// `tasks/get`: how it stands.
    Get,
    /// `tasks/update`: answers to what it asks for.
    Update,
    /// `tasks/cancel`: it is not wanted any more.
    Cancel,
}

impl TaskMethod {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "tasks/get",
            Self::Update => "tasks/update",
            Self::Cancel => "tasks/cancel",
        }
    }
}

/// A request about a task.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TaskAsk {
    /// What is asked.
    pub method: TaskMethod,
    /// The task, as its server named it.
    pub task_id: Arc<str>,
    /// The rest of `params`.
    pub extras: Extras,
}

impl TaskAsk {
    /// A request about the task `task_id`.
    pub fn new(method: TaskMethod, task_id: impl Into<Arc<str>>, extras: Extras) -> Self {
        Self {
            method,
            task_id: task_id.into(),
            extras,
        }
    }
}

/// Something that happened at a backend outside of any call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendEvent {
    /// What it offers has changed, or may have: ask for the offer again.
    OfferChanged,
    /// A resource that somebody subscribed to was updated: `params` of
    /// `notifications/resources/updated`.
    ResourceUpdated {
        /// The resource.
        uri: Arc<str>,
        /// The whole `params`.
        params: RawJson,
    },
    /// A task that somebody watches has changed: `params` of `notifications/tasks`.
    TaskChanged {
        /// The task.
        task_id: Arc<str>,
        /// The whole `params`.
        params: RawJson,
    },
    /// The server told one client session something that belongs to no call: a log message, for
    /// example.
    ForSession {
        /// The session.
        session: SessionKey,
        /// What it was told.
        notification: CallNotification,
    },
    /// It can no longer be reached.
    Down {
        /// For the log.
        reason: String,
    },
}

/// Hears of [`BackendEvent`]s. Must not block.
pub trait BackendListener: Send + Sync + 'static {
    /// Something happened.
    fn on_event(&self, event: BackendEvent);
}

/// Why a backend has no answer.
///
/// `Unavailable` promises that the request never left, `Busy` and `Refused` that it was turned away
/// unread; `Lost` and `Timeout` promise nothing about what the backend did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// It could not be reached; the request was not sent.
    #[error("server `{server}` is not available: {reason}")]
    Unavailable {
        /// The backend.
        server: Arc<str>,
        /// For the log.
        reason: String,
    },
    /// It takes no more requests now: they are more than it, or what leads to it, may have at a time.
    #[error("server `{server}` takes no more requests now: {reason}")]
    Busy {
        /// The backend.
        server: Arc<str>,
        /// For the log.
        reason: String,
        /// When it takes some again, if it said so.
        retry_after: Option<Duration>,
    },
    /// It refused the credentials with which the gateway comes to it.
    #[error(
        "server `{server}` refused the gateway's credentials: it answers {status}; look at `headers` \
         of this server"
    )]
    Refused {
        /// The backend.
        server: Arc<str>,
        /// The status of its answer: 401 or 403 over HTTP.
        status: u16,
    },
    /// It does not know the session that it gave for this request, again and again, and so did not
    /// look at the request.
    #[error(
        "server `{server}` does not know the session that it has given; are there several instances of \
         it behind one address, without session affinity?"
    )]
    Forgetful {
        /// The backend.
        server: Arc<str>,
    },
    /// The request was sent and the answer did not arrive.
    #[error("server `{server}` went away before it answered: {reason}")]
    Lost {
        /// The backend.
        server: Arc<str>,
        /// For the log.
        reason: String,
    },
    /// The request was sent and no answer came in time.
    #[error("server `{server}` did not answer within {after:?}")]
    Timeout {
        /// The backend.
        server: Arc<str>,
        /// How long it was given.
        after: Duration,
    },
    /// It answered with something that is not MCP.
    #[error("server `{server}` answered with something that is not MCP: {reason}")]
    Protocol {
        /// The backend.
        server: Arc<str>,
        /// For the log.
        reason: String,
    },
    /// Its answer is longer than allowed.
    #[error("the answer of server `{server}` is longer than {limit} bytes")]
    TooLarge {
        /// The backend.
        server: Arc<str>,
        /// The limit, in bytes.
        limit: usize,
    },
    /// It answered with a JSON-RPC error object, which is handed on as it is.
    #[error("the server answered with an error: {}", beginning(.0))]
    Rpc(RawJson),
    /// It does not have this item any more.
    #[error("no such {}: {name}", feature.as_str())]
    NotFound {
        /// What kind of item.
        feature: Feature,
        /// Its name or URI.
        name: String,
    },
    /// It does not serve this method.
    #[error("server `{server}` does not serve {method}")]
    Unsupported {
        /// The backend.
        server: Arc<str>,
        /// The method.
        method: &'static str,
    },
    /// It is broken.
    #[error("server `{server}` failed internally")]
    Internal {
        /// The backend.
        server: Arc<str>,
        /// What happened.
        source: BoxError,
    },
}

/// So much of an error object that a log can bear it.
fn beginning(error: &RawJson) -> String {
    error.as_str().chars().take(512).collect()
}

impl BackendError {
    /// True when the backend certainly did nothing: the request did not reach it, or it was turned
    /// away unread.
    pub const fn is_unsent(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::Busy { .. }
                | Self::Refused { .. }
                | Self::Forgetful { .. }
                | Self::Unsupported { .. }
        )
    }
}

/// Something that serves tools, resources and prompts.
///
/// The pipeline is the only caller of the methods that take a [`CallContext`]; having one is the
/// proof that the call may be made. Names and URIs are the backend's own. Cancellation drops the
/// future: a backend that passes calls on must then cancel there too. Payload is handed on as text,
/// unknown members included.
///
/// Methods have a default for primitives that many backends do not serve; wrappers should deny
/// `clippy::missing_trait_methods`, so that they cannot lose one. [`forward_backend`] writes those
/// that a wrapper only hands on.
///
/// [`forward_backend`]: crate::forward_backend
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// The name it was configured with; unique in a gateway.
    fn name(&self) -> &str;

    /// What it offers, when that is known without asking anybody: local tools.
    fn offer_now(&self) -> Option<Offer> {
        None
    }

    /// What it offers now: all pages of all lists. A list that the server does not serve is empty;
    /// an item that cannot be read is left out, it does not spoil the rest.
    ///
    /// # Errors
    /// When the backend cannot be asked.
    async fn offer(&self) -> Result<Offer, BackendError>;

    /// Calls a tool.
    ///
    /// # Errors
    /// When there is no result of the tool. A tool that failed is a result with `isError: true`.
    async fn call_tool(
        &self,
        ctx: &CallContext,
        call: ToolCall,
    ) -> Result<ToolOutput, BackendError>;

    /// What a call of this tool with these arguments comes to, under the names that clients know, where
    /// that is something else than what the client sent: what is left out is gone, what is filled in is
    /// there. It is what the policy judges. `None` where they go on as they are. It asks nobody.
    fn arguments_in_effect(&self, tool: &str, arguments: &Arguments) -> Option<Arguments> {
        let _ = (tool, arguments);
        None
    }

    /// Reads a resource; the answer is a `ReadResourceResult` object.
    ///
    /// # Errors
    /// When there is no result.
    async fn read_resource(
        &self,
        ctx: &CallContext,
        read: ResourceRead,
    ) -> Result<RawJson, BackendError> {
        let _ = (ctx, read);
        Err(self.unsupported("resources/read"))
    }

    /// Gets a prompt; the answer is a `GetPromptResult` object.
    ///
    /// # Errors
    /// When there is no result.
    async fn get_prompt(&self, ctx: &CallContext, get: PromptGet) -> Result<RawJson, BackendError> {
        let _ = (ctx, get);
        Err(self.unsupported("prompts/get"))
    }

    /// Completes an argument; the answer is a `CompleteResult` object.
    ///
    /// # Errors
    /// When there is no result.
    async fn complete(
        &self,
        ctx: &CallContext,
        completion: Completion,
    ) -> Result<RawJson, BackendError> {
        let _ = (ctx, completion);
        Err(self.unsupported("completion/complete"))
    }

    /// Asks how a task stands, answers what it asks for, or cancels it; the answer is an object.
    ///
    /// # Errors
    /// When there is no result.
    async fn task(&self, ctx: &CallContext, ask: TaskAsk) -> Result<RawJson, BackendError> {
        let _ = ctx;
        Err(self.unsupported(ask.method.as_str()))
    }

    /// Asks for [`BackendEvent::TaskChanged`] of a task. Counted: each is ended by one
    /// [`Backend::unwatch_task`].
    ///
    /// # Errors
    /// When the backend cannot tell of changes.
    async fn watch_task(&self, ctx: &CallContext, task_id: &str) -> Result<(), BackendError> {
        let _ = (ctx, task_id);
        Err(self.unsupported("subscriptions/listen"))
    }

    /// Ends one [`Backend::watch_task`].
    async fn unwatch_task(&self, task_id: &str) {
        let _ = task_id;
    }

    /// Asks for [`BackendEvent::ResourceUpdated`] of a resource. Counted: each that succeeded is ended
    /// by one [`Backend::unsubscribe`].
    ///
    /// # Errors
    /// When the backend cannot tell of updates.
    async fn subscribe(&self, ctx: &CallContext, uri: &str) -> Result<(), BackendError> {
        let _ = (ctx, uri);
        Err(self.unsupported("resources/subscribe"))
    }

    /// Takes over a subscription that was allowed at another backend which does the same work and is
    /// of no use any more. There is no context, as no client asks: it ends like one of
    /// [`Backend::subscribe`].
    ///
    /// # Errors
    /// When the backend cannot tell of updates.
    async fn resubscribe(&self, uri: &str) -> Result<(), BackendError> {
        let _ = uri;
        Err(self.unsupported("resources/subscribe"))
    }

    /// Ends one [`Backend::subscribe`] of this client; `None` ends one [`Backend::resubscribe`].
    ///
    /// # Errors
    /// When the backend cannot be asked.
    async fn unsubscribe(&self, uri: &str, client: Option<&ClientRef>) -> Result<(), BackendError> {
        let _ = (uri, client);
        Err(self.unsupported("resources/unsubscribe"))
    }

    /// Registers the gateway for events. Called once, before anything else.
    fn watch(&self, listener: Arc<dyn BackendListener>) {
        let _ = listener;
    }

    /// Asks whether the server is there and answers, by the cheapest request there is.
    ///
    /// # Errors
    /// When it does not answer.
    async fn check(&self) -> Result<(), BackendError> {
        Ok(())
    }

    /// The server does not answer [`Backend::check`] any more, for this reason: what can be made anew, as
    /// a child process can, is ended, and the next request or check makes it anew. What waits there
    /// fails at once. A backend that only reaches a server which others run does nothing. Must not block.
    fn renew(&self, reason: &str) {
        let _ = reason;
    }

    /// A client has begun a session, and has called nothing yet: what is to be held for it alone may
    /// be made ready. Nothing may be called on its behalf, as nothing was permitted. What is held ends
    /// with [`Backend::end_session`]. Must not block.
    fn greet(&self, client: &ClientRef) {
        let _ = client;
    }

    /// A client session has ended: what is held for it alone is of no use any more. Must not block.
    fn end_session(&self, session: &SessionKey) {
        let _ = session;
    }

    /// The client of this session says that its roots have changed. Must not block.
    fn roots_changed(&self, session: &SessionKey) {
        let _ = session;
    }

    /// Ends what the backend holds: connections, child processes. Calls after it may fail.
    async fn close(&self) {}

    /// The error of a method that this backend does not serve.
    fn unsupported(&self, method: &'static str) -> BackendError {
        BackendError::Unsupported {
            server: self.name().into(),
            method,
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: Backend + ?Sized> Backend for Arc<T> {
    crate::forward_backend!(|this| (**this) =>
        name, offer_now, offer, call_tool, arguments_in_effect, read_resource, get_prompt, complete, task,
        watch_task, unwatch_task, subscribe, resubscribe, unsubscribe, watch, check, renew,
        greet, end_session, roots_changed, close, unsupported);
}
