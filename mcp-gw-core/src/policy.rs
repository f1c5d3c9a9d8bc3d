//! The question that policy answers, and the answer's type.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::caller::Caller;
use crate::context::RequestMeta;
use crate::tool::{Arguments, ToolSpec};

mod reason;

use reason::Reasons;

pub use reason::Reason;

/// What a caller wants to do: one of MCP's primitives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Feature {
    /// Tools: `tools/list`, `tools/call`.
    Tool,
    /// Resources: `resources/list`, `resources/read`, `resources/subscribe`.
    Resource,
    /// Resource templates: `resources/templates/list`.
    ResourceTemplate,
    /// Prompts: `prompts/list`, `prompts/get`.
    Prompt,
}

impl Feature {
    /// The name used in audit events, metrics and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Resource => "resource",
            Self::ResourceTemplate => "resource_template",
            Self::Prompt => "prompt",
        }
    }
}

/// Whether an item is about to be shown in a list or used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// May the caller see it? Arguments are absent.
    List,
    /// May the caller use it?
    Call,
}

/// One question to the policy.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AccessRequest<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// Facts about the request.
    pub meta: &'a RequestMeta,
    /// The MCP method, such as `tools/call`.
    pub method: &'a str,
    /// Which primitive it is about.
    pub feature: Feature,
    /// Seen in a list, or used.
    pub phase: Phase,
    /// The name (tools, prompts) or URI (resources, templates) at the main endpoint, whatever
    /// endpoint the client came to.
    pub name: &'a str,
    /// The same as the server itself calls it, whatever the gateway's configuration renames it to.
    pub upstream_name: &'a str,
    /// The backend that serves it.
    pub server: &'a str,
    /// The tool's definition. Its annotations are the upstream's words: hints, not facts.
    pub tool: Option<&'a ToolSpec>,
    /// The arguments, in the phase [`Phase::Call`] of tools and prompts: what goes to the server, under
    /// the names that clients know ([`Backend::arguments_in_effect`](crate::Backend)). For a task they are those of
    /// the call that made it; absent when they were longer than 64 KiB, or had to make room.
    pub arguments: Option<&'a Arguments>,
}

impl<'a> AccessRequest<'a> {
    /// The question whether `caller` may use `name` by `method`: a tool `tools/call`, and so on. To
    /// ask about a list, set [`AccessRequest::phase`] too. The names are the same on both sides and
    /// the server has none, until they are set.
    pub const fn new(
        caller: &'a Caller,
        meta: &'a RequestMeta,
        method: &'a str,
        feature: Feature,
        name: &'a str,
    ) -> Self {
        Self {
            caller,
            meta,
            method,
            feature,
            phase: Phase::Call,
            name,
            upstream_name: name,
            server: "",
            tool: None,
            arguments: None,
        }
    }
}

/// The one thing a policy can say. Exhaustive on purpose: no caller may need a wildcard arm that
/// could come to mean "allow".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third effect would be a different policy model"
)]
pub enum Effect {
    /// Let it through.
    Allow,
    /// Refuse it.
    Deny,
}

impl Effect {
    /// The name used in audit events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// What the policy decided and why. Reasons and errors are for audit, never for the client.
///
/// ```compile_fail
/// use mcp_gw_core::{Decision, Effect};
/// let decision = Decision { effect: Effect::Allow, reasons: vec![], errors: vec![] };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    effect: Effect,
    kind: &'static str,
    version: Option<PolicyVersion>,
    reasons: Reasons,
    errors: Vec<String>,
    /// What few decisions have.
    rare: Option<Box<Rare>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rare {
    shadow: Option<ShadowVerdict>,
    missing_scopes: Vec<String>,
    errored_rules: Vec<Arc<str>>,
}

/// Which policy decided: a short hash of its content, shown as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyVersion(u64);

impl PolicyVersion {
    /// The version of this hash.
    pub const fn new(hash: u64) -> Self {
        Self(hash)
    }
}

impl fmt::Display for PolicyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a policy would have decided had all of it been in force.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShadowVerdict {
    /// The effect that it would have had.
    pub effect: Effect,
    /// The kind of reason, as of [`Decision::kind`].
    pub kind: &'static str,
    /// What would have decided: ids of rules, or `default`.
    pub reasons: Vec<Arc<str>>,
}

impl ShadowVerdict {
    /// The verdict that these rules would have come to.
    pub const fn new(effect: Effect, reasons: Vec<Arc<str>>) -> Self {
        Self {
            effect,
            kind: "",
            reasons,
        }
    }

    /// Sets the kind of reason.
    #[must_use]
    pub const fn with_kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }
}

impl Decision {
    /// Allows.
    pub const fn allow() -> Self {
        Self::of(Effect::Allow)
    }

    /// Denies.
    pub const fn deny() -> Self {
        Self::of(Effect::Deny)
    }

    /// A decision with this effect.
    pub const fn of(effect: Effect) -> Self {
        Self {
            effect,
            kind: "",
            version: None,
            reasons: Reasons::None,
            errors: Vec::new(),
            rare: None,
        }
    }

    /// Makes room for so many reasons.
    #[must_use]
    pub fn with_room(mut self, reasons: usize) -> Self {
        self.reasons.reserve(reasons);
        self
    }

    /// Sets the kind of reason, a word for metrics such as `deny_rule`.
    #[must_use]
    pub const fn with_kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// Says which policy decided.
    #[must_use]
    pub const fn with_version(mut self, version: PolicyVersion) -> Self {
        self.version = Some(version);
        self
    }

    /// Says what would have been decided had all of the policy been in force.
    #[must_use]
    pub fn with_shadow(mut self, shadow: ShadowVerdict) -> Self {
        self.rare().shadow = Some(shadow);
        self
    }

    /// Sets the scopes that, had the caller had them, would have allowed it.
    #[must_use]
    pub fn with_missing_scopes<S: Into<String>>(
        mut self,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        self.rare().missing_scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a rule that could not be evaluated, with the reason.
    #[must_use]
    pub fn with_errored_rule(mut self, rule: impl Into<Arc<str>>, error: &str) -> Self {
        let rule = rule.into();
        self.errors.push(format!("{rule}: {error}"));
        self.rare().errored_rules.push(rule);
        self
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Adds what decided: the id of a rule, or `default`.
    #[must_use]
    pub fn because(mut self, reason: impl Into<Reason>) -> Self {
        self.reasons.push(reason.into());
        self
    }

    /// Adds an error met on the way.
    #[must_use]
    pub fn with_error(mut self, error: impl Into<String>) -> Self {
        self.errors.push(error.into());
        self
    }

    /// The effect.
    pub const fn effect(&self) -> Effect {
        self.effect
    }

    /// True when it allows.
    pub const fn is_allowed(&self) -> bool {
        matches!(self.effect, Effect::Allow)
    }

    /// What decided.
    pub fn reasons(&self) -> &[Reason] {
        self.reasons.as_slice()
    }

    /// Errors met on the way.
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    /// The kind of reason, a word for metrics such as `deny_rule`; empty when the policy gives none.
    pub const fn kind(&self) -> &'static str {
        self.kind
    }

    /// Which policy decided, if it has versions.
    pub const fn version(&self) -> Option<PolicyVersion> {
        self.version
    }

    /// What would have been decided had all of the policy been in force, where that is something
    /// else: "would deny".
    pub fn shadow(&self) -> Option<&ShadowVerdict> {
        self.rare.as_ref()?.shadow.as_ref()
    }

    /// The fewest scopes that would have turned this into an allow; empty when scopes would not help,
    /// or when nobody may be told.
    pub fn missing_scopes(&self) -> &[String] {
        match &self.rare {
            Some(rare) => &rare.missing_scopes,
            None => &[],
        }
    }

    /// The ids of rules that could not be evaluated; [`Decision::errors`] says why.
    pub fn errored_rules(&self) -> &[Arc<str>] {
        match &self.rare {
            Some(rare) => &rare.errored_rules,
            None => &[],
        }
    }
}

/// Decides who may see and use what.
///
/// The pipeline asks once per call and once per item of a list, with the same function. The answer
/// must depend on the request alone, so that what is listed is what can be called. It must not do
/// I/O on the way of a call where it can be avoided, and is cancelled by dropping the future.
///
/// It is also asked about names that nobody serves, as the client wrote them and with an empty
/// server: so they take as long as what it refuses. What it says of those is not used.
///
/// ```
/// use mcp_gw_core::{AccessRequest, Decision, Policy, async_trait};
///
/// /// Lets callers with the role `admin` do everything, and the others read.
/// struct AdminsWrite;
///
/// #[async_trait]
/// impl Policy for AdminsWrite {
///     async fn decide(&self, request: &AccessRequest<'_>) -> Decision {
///         let reads = request.tool.is_some_and(|tool| tool.annotations().is_read_only());
///         if reads || request.caller.roles.iter().any(|role| role == "admin") {
///             Decision::allow().because("admins-write")
///         } else {
///             Decision::deny().because("admins-write")
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Policy: Send + Sync + 'static {
    /// Decides one request.
    async fn decide(&self, request: &AccessRequest<'_>) -> Decision;

    /// Decides several requests of one caller, in their order: a list. An engine that can share
    /// work between them overrides this; the answers must be those of [`Policy::decide`].
    async fn decide_all(&self, requests: &[AccessRequest<'_>]) -> Vec<Decision> {
        let mut decisions = Vec::with_capacity(requests.len());
        for request in requests {
            decisions.push(self.decide(request).await);
        }
        decisions
    }

    /// True when the answers are the same for all callers and requests, so that a list may be kept
    /// for everybody (`cacheScope: public`). When in doubt it is not.
    fn is_uniform(&self) -> bool {
        false
    }

    /// Why nobody may come from this address, whoever they are; `None` when they may. It is asked
    /// before credentials are looked at, of requests over HTTP. `None` as the address stands for one
    /// that is not known. The answer is for the audit log.
    fn refuses_address(&self, addr: Option<IpAddr>) -> Option<&'static str> {
        let _ = addr;
        None
    }

    /// The policy as it is now, to be asked what it shows in lists after another one took its place:
    /// by this the gateway finds out whose lists have changed. The same `Arc` for as long as nothing
    /// has. `None` when it cannot be asked so; all clients are told of all changes then.
    fn as_of_now(&self) -> Option<Arc<dyn ListPolicy>> {
        None
    }
}

/// A policy as it was at one moment, see [`Policy::as_of_now`].
pub trait ListPolicy: Send + Sync + 'static {
    /// Whether a list would show these to who asks, in their order, with the answers of
    /// [`Policy::decide`] to the phase [`Phase::List`]. `None` where that depends on more than the
    /// caller, the item, the transport and the endpoint: an address, a header, the time. The rest of
    /// [`RequestMeta`] is empty, for no client asks. So nothing is to be counted or logged either.
    fn shows(&self, requests: &[AccessRequest<'_>]) -> Vec<Option<bool>>;
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: Policy + ?Sized> Policy for Arc<T> {
    // As an `async fn` it would be one more future around that of the policy.
    fn decide<'a, 'b, 'c, 'f>(
        &'a self,
        request: &'b AccessRequest<'c>,
    ) -> Pin<Box<dyn Future<Output = Decision> + Send + 'f>>
    where
        'a: 'f,
        'b: 'f,
        'c: 'f,
        Self: 'f,
    {
        (**self).decide(request)
    }

    async fn decide_all(&self, requests: &[AccessRequest<'_>]) -> Vec<Decision> {
        (**self).decide_all(requests).await
    }

    fn is_uniform(&self) -> bool {
        (**self).is_uniform()
    }

    fn refuses_address(&self, addr: Option<IpAddr>) -> Option<&'static str> {
        (**self).refuses_address(addr)
    }

    fn as_of_now(&self) -> Option<Arc<dyn ListPolicy>> {
        (**self).as_of_now()
    }
}

/// Allows everything. It has to be asked for by name.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct AllowAll;

impl AllowAll {
    /// Allows everything.
    pub const fn new() -> Self {
        Self
    }
}

#[async_trait]
impl Policy for AllowAll {
    async fn decide(&self, _request: &AccessRequest<'_>) -> Decision {
        Decision::allow()
    }

    async fn decide_all(&self, requests: &[AccessRequest<'_>]) -> Vec<Decision> {
        vec![Decision::allow(); requests.len()]
    }

    fn is_uniform(&self) -> bool {
        true
    }
}

/// Denies everything: what a gateway does until it is given a policy.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct DenyAll;

impl DenyAll {
    /// Denies everything.
    pub const fn new() -> Self {
        Self
    }
}

#[async_trait]
impl Policy for DenyAll {
    async fn decide(&self, _request: &AccessRequest<'_>) -> Decision {
        Decision::deny().because("no policy")
    }
}
