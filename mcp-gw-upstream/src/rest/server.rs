//! One API as a server: a tool for each of its operations.

use std::collections::HashMap;
use std::fmt;

use async_trait::async_trait;
use http::HeaderName;
use mcp_gw_core::{
    Backend, BackendError, CallContext, Feature, Offer, RawJson, ResourceRead, ToolCall, ToolOutput,
};

use super::api::{Api, Ask, Failed};
use super::beside::Beside;
use super::gateway::{read_on, read_rest, template};
use super::gateway_call::invalid;
use super::handmade::ToolConfigError;
use super::kept::KeptAnswers;
use super::openapi::DescriptionError;
use super::operation::Operation;
use super::output::{self, OUTPUT_SCHEMA};
use crate::egress::ApiRules;

/// Why operations cannot be the tools of a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiServerError {
    /// Two have one name.
    #[error("two operations are called {name:?}; give one of them another name")]
    Twice {
        /// The name.
        name: String,
    },
    /// A tool that is written by hand cannot be one.
    #[error(transparent)]
    ByHand(ToolConfigError),
    /// Nothing of a description can be used.
    #[error("its description")]
    Description(#[source] DescriptionError),
    /// The definition of one cannot be one of a tool.
    #[error("operation {name:?} cannot be a tool")]
    Spec {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: mcp_gw_core::SpecError,
    },
}

/// A backend with a tool for each operation of an API.
pub struct ApiServer {
    api: Api,
    /// With what the operations need besides.
    rules: ApiRules,
    operations: HashMap<String, Offered>,
    kept: Option<KeptAnswers>,
    offer: Offer,
}

/// An operation, and what its tool takes beside its arguments.
struct Offered {
    operation: Operation,
    beside: Option<Beside>,
}

impl ApiServer {
    /// The tools of `operations`, in their order. The rest of long answers is kept in `kept`.
    ///
    /// # Errors
    /// When two have one name, or one cannot be a tool.
    pub fn new(
        api: Api,
        operations: impl IntoIterator<Item = Operation>,
        kept: Option<KeptAnswers>,
    ) -> Result<Self, ApiServerError> {
        let output_schema =
            RawJson::parse(OUTPUT_SCHEMA).unwrap_or_else(|_| RawJson::empty_object());
        let mut tools = Vec::new();
        let mut known = HashMap::new();
        for operation in operations {
            let name = operation.name().to_owned();
            let beside = Beside::of(&operation, kept.is_some());
            let spec = operation.spec();
            let spec = spec.and_then(|spec| spec.with_output_schema(&output_schema));
            let spec = spec.and_then(|spec| match &beside {
                Some(beside) => spec.with_input_schema(&beside.schema(operation.input_schema())),
                None => Ok(spec),
            });
            let spec = spec.map(|spec| spec.with_limit_result(output::of_limit));
            tools.push(spec.map_err(|source| ApiServerError::Spec {
                name: name.clone(),
                source,
            })?);
            let offered = Offered { operation, beside };
            if known.insert(name.clone(), offered).is_some() {
                return Err(ApiServerError::Twice { name });
            }
        }
        let mut offer = Offer::of_tools(tools);
        if kept.is_some() {
            offer.resource_templates.extend(template(Some(api.name())));
        }
        offer.instructions.clone_from(&api.config().description);
        let rules = rules_for(&api, known.values().map(|offered| &offered.operation));
        Ok(Self {
            api,
            rules,
            operations: known,
            kept,
            offer,
        })
    }

    /// Says more about what is offered: what was left out of a description, for example.
    #[must_use]
    pub fn with_remarks(mut self, remarks: impl IntoIterator<Item = String>) -> Self {
        self.offer.remarks.extend(remarks);
        self
    }

    async fn called(
        &self,
        ctx: &CallContext,
        offered: &Offered,
        arguments: &RawJson,
    ) -> Result<ToolOutput, Failed> {
        let kept = self.kept.as_ref();
        let beside = offered.beside.as_ref();
        let taken = beside.map(|beside| beside.take(arguments)).transpose()?;
        let taken = taken.unwrap_or_default();
        if let Some(uri) = &taken.read_on {
            return read_on(kept, ctx, &self.api, uri);
        }
        let arguments = taken.arguments.as_ref().unwrap_or(arguments);
        let operation = &offered.operation;
        let parts = operation.parts(arguments);
        let parts = parts.and_then(|parts| operation.check_segments(arguments).map(|()| parts));
        let ask = Ask {
            ctx,
            rules: Some(&self.rules),
            parts: parts.map_err(|error| invalid(error.to_string()))?,
            may_repeat: offered.operation.may_repeat(),
            is_open: offered.operation.is_open(),
            token: None,
            within: None,
            until: ctx.end(),
            most: output::most(&self.api, kept, taken.selection.is_some()),
        };
        let reply = self.api.exchange(ask).await?;
        Ok(output::of_reply(&self.api, kept, ctx.caller(), reply, taken.selection).await)
    }
}

/// The rules of the API, and what these operations need: their methods, headers and types of bodies.
fn rules_for<'o>(api: &Api, operations: impl Iterator<Item = &'o Operation> + Clone) -> ApiRules {
    let methods = operations.clone();
    let methods = methods.filter_map(|operation| operation.method().parse().ok());
    let headers = operations.clone().flat_map(Operation::headers);
    let headers = headers.filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
    let types = operations.filter_map(Operation::content_type);
    let rules = api.config().rules.clone();
    rules.also(methods, headers, types.map(str::to_owned))
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiServer")
            .field("api", &self.api)
            .field("operations", &self.operations.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Backend for ApiServer {
    fn name(&self) -> &str {
        self.api.name()
    }

    fn offer_now(&self) -> Option<Offer> {
        Some(self.offer.clone())
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        Ok(self.offer.clone())
    }

    async fn call_tool(
        &self,
        ctx: &CallContext,
        call: ToolCall,
    ) -> Result<ToolOutput, BackendError> {
        let Some(offered) = self.operations.get(&*call.name) else {
            return Err(BackendError::NotFound {
                feature: Feature::Tool,
                name: call.name.to_string(),
            });
        };
        let answer = self.called(ctx, offered, call.arguments.as_raw()).await;
        Ok(answer.unwrap_or_else(|failed| output::of_failure(&failed)))
    }

    async fn read_resource(
        &self,
        ctx: &CallContext,
        read: ResourceRead,
    ) -> Result<RawJson, BackendError> {
        read_rest(self.kept.as_ref(), ctx, &read.uri, |name| {
            (*name == **self.api.name()).then_some(self.api.config().max_shown)
        })
    }
}
