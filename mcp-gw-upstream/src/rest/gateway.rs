//! The one tool that reaches many APIs, `api_gateway`.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use mcp_gw_core::{
    Arguments, Backend, BackendError, CallContext, Feature, ItemSpec, ObjectWriter, Offer, RawJson,
    ResourceRead, ServerChoice, ToolAnnotations, ToolCall, ToolOutput, ToolSpec,
};

use super::api::{Api, Ask, Failed};
use super::gateway_call::{Call, input_schema};
use super::kept::KeptAnswers;
use super::output::{self, OUTPUT_SCHEMA, Rest};
use super::select::Selection;
use crate::egress::{Base, BaseRules, RefusalCode};

/// How the tool that reaches many APIs is shown.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ApiGatewayConfig {
    /// The name of the tool, and of the server that it is. `api_gateway` by default.
    pub name: String,
    /// What models are told about it; by default what it does and which APIs there are.
    pub description: Option<String>,
}

impl Default for ApiGatewayConfig {
    fn default() -> Self {
        Self {
            name: "api_gateway".to_owned(),
            description: None,
        }
    }
}

impl ApiGatewayConfig {
    /// Under this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// Sets what models are told about it.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }
}

/// A backend with one tool, which sends requests to APIs.
///
/// Each call is one of the API that its argument `api` names: policy, limits and audit know the APIs as
/// servers ([`ServerChoice`]), and lists show those that the caller may use.
pub struct ApiGateway {
    name: String,
    apis: Vec<(String, Api)>,
    kept: Option<KeptAnswers>,
    offer: Offer,
}

impl ApiGateway {
    /// The tool for `apis`, which keeps the rest of long answers in `kept`.
    ///
    /// # Errors
    /// When the name cannot be one of a tool.
    pub fn new(
        config: ApiGatewayConfig,
        apis: impl IntoIterator<Item = Api>,
        kept: Option<KeptAnswers>,
    ) -> Result<Self, mcp_gw_core::SpecError> {
        let apis: Vec<_> = apis.into_iter().map(|api| (api.base(), api)).collect();
        let bases: Vec<String> = apis.iter().map(|(base, _)| base.clone()).collect();
        let methods = apis
            .iter()
            .flat_map(|(_, api)| api.config().rules.methods());
        let methods: BTreeSet<String> = methods.map(ToString::to_string).collect();
        let methods: Vec<&str> = in_order(&methods);
        let takes_token = apis.iter().any(|(_, api)| api.config().allow_auth_token);
        let description = config.description.unwrap_or_else(|| describe(&apis));
        let choice = apis
            .iter()
            .fold(ServerChoice::by("api"), |choice, (base, api)| {
                choice.with_option(base.as_str(), Arc::clone(api.name()))
            });
        let choice = choice.with_form(canonical).with_refusals(
            output::of_failure(&unknown_api()),
            output::of_failure(&Failed::new(
                RefusalCode::Forbidden.as_str(),
                "the policy of the gateway does not allow this request to the API",
            )),
        );
        let output_schema =
            RawJson::parse(OUTPUT_SCHEMA).unwrap_or_else(|_| RawJson::empty_object());
        let is_read_only = methods
            .iter()
            .all(|method| matches!(*method, "GET" | "HEAD"));
        let hints = if is_read_only {
            ToolAnnotations::read_only()
        } else {
            ToolAnnotations::destructive()
        };
        let hints = hints.with_title("API gateway").with_open_world(true);
        let tool = ToolSpec::new(&config.name, &description)?
            .with_input_schema(&input_schema(&bases, &methods, takes_token))?
            .with_output_schema(&output_schema)?
            .with_annotations(&hints)?
            .with_choice(choice)
            .with_limit_result(output::of_limit);
        let mut offer = Offer::of_tools(vec![tool]);
        if kept.is_some() {
            offer.resource_templates.extend(template(None));
        }
        Ok(Self {
            name: config.name,
            apis,
            kept,
            offer,
        })
    }

    async fn called(&self, ctx: &CallContext, arguments: &Arguments) -> Result<ToolOutput, Failed> {
        // First of all: nothing else is said of a call to an API that the policy refuses, either.
        if let Ok(Named { api }) = serde_json::from_str(arguments.as_raw().as_str()) {
            self.api(&api)?;
        }
        let mut call = Call::read(arguments)?;
        let api = self.api(&call.api)?;
        if let Some(uri) = &call.read_on {
            return read_on(self.kept.as_ref(), ctx, api, uri);
        }
        let selection = call.select.as_deref().map(Selection::parse).transpose();
        let selection =
            selection.map_err(|error| Failed::new("select_invalid", error.to_string()))?;
        let token = call.token(api)?;
        let parts = call.parts(api)?;
        let ask = Ask {
            ctx,
            rules: None,
            parts,
            may_repeat: true,
            is_open: false,
            token,
            within: call.timeout(),
            until: ctx.end(),
            most: output::most(api, self.kept.as_ref(), selection.is_some()),
        };
        let reply = api.exchange(ask).await?;
        let kept = self.kept.as_ref();
        Ok(output::of_reply(api, kept, ctx.caller(), reply, selection).await)
    }

    fn api(&self, base: &str) -> Result<&Api, Failed> {
        let of = |base: &str| self.apis.iter().find(|(known, _)| known == base);
        let found = of(base).or_else(|| of(&canonical(base)?));
        found.map(|(_, api)| api).ok_or_else(unknown_api)
    }
}

impl fmt::Debug for ApiGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiGateway")
            .field("name", &self.name)
            .field("apis", &self.apis)
            .finish_non_exhaustive()
    }
}

/// The one form of the address of an API (E-1), whatever the API allows: it has to be there to be found.
fn canonical(base: &str) -> Option<String> {
    let all = BaseRules::new().with_http(true).with_ip(true);
    Base::parse(base, all).ok().map(|base| base.to_string())
}

/// Which API a call is for, whatever else it says.
#[derive(serde::Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    api: Cow<'a, str>,
}

/// There is no such API, for this caller at least: both are told in the same words.
fn unknown_api() -> Failed {
    Failed::new(
        RefusalCode::ApiNotAllowed.as_str(),
        "this API may not be called; `api` must be one of those that the tool's schema lists",
    )
}

/// As people expect them.
fn in_order(methods: &BTreeSet<String>) -> Vec<&str> {
    const ORDER: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let known = ORDER.into_iter().filter(|method| methods.contains(*method));
    let others = methods.iter().map(String::as_str);
    known
        .chain(others.filter(|method| !ORDER.contains(method)))
        .collect()
}

/// What models are told when nobody says something else. It is the same for every caller, so it names no
/// API: those that a caller may use are in the schema.
fn describe(apis: &[(String, Api)]) -> String {
    let mut text =
        "Sends a request to one of the HTTP APIs that `api` lists, with the gateway's own \
                    credentials, and gives status, data and headers. An answer of 400 or more is a \
                    result, too."
            .to_owned();
    if apis.iter().any(|(_, api)| api.config().allow_auth_token) {
        text.push_str(" Give `authToken` only where an API asks for a token of your own.");
    }
    text
}

/// The template of answers that are kept.
pub(super) fn template(api: Option<&str>) -> Option<ItemSpec> {
    let definition = ObjectWriter::default()
        .string("uriTemplate", &Rest::template(api))
        .string("name", "rest of an answer")
        .string(
            "description",
            "Where an answer goes on that was too long for one result. Only the caller who got it can \
             read it, for a few minutes.",
        )
        .finish();
    ItemSpec::from_definition(Feature::ResourceTemplate, definition).ok()
}

/// A later piece of an answer, as the result of a call.
pub(super) fn read_on(
    kept: Option<&KeptAnswers>,
    ctx: &CallContext,
    api: &Api,
    uri: &str,
) -> Result<ToolOutput, Failed> {
    let rest = Rest::parse(uri).filter(|rest| *rest.api == **api.name());
    let found = rest.and_then(|rest| {
        let answer = kept?.find(ctx.caller(), rest.handle)?;
        (answer.api == *api.name()).then_some((answer, rest))
    });
    let Some((answer, rest)) = found else {
        return Err(Failed::new(
            "answer_gone",
            "there is no such answer (any more): answers are kept for a few minutes, for the caller \
             and the API that they are of. Send the request again",
        ));
    };
    Ok(output::of_rest(&answer, &rest, api.config().max_shown))
}

/// Reads a later piece of an answer.
pub(super) fn read_rest(
    kept: Option<&KeptAnswers>,
    ctx: &CallContext,
    uri: &str,
    most: impl Fn(&str) -> Option<usize>,
) -> Result<RawJson, BackendError> {
    let found = Rest::parse(uri).and_then(|rest| {
        let answer = kept?.find(ctx.caller(), rest.handle)?;
        let most = most(&rest.api).filter(|_| *answer.api == *rest.api)?;
        Some(output::resource_of_rest(uri, &answer, &rest, most))
    });
    found.ok_or_else(|| BackendError::NotFound {
        feature: Feature::Resource,
        name: uri.to_owned(),
    })
}

#[async_trait]
impl Backend for ApiGateway {
    fn name(&self) -> &str {
        &self.name
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
        if *call.name != *self.name {
            return Err(BackendError::NotFound {
                feature: Feature::Tool,
                name: call.name.to_string(),
            });
        }
        let answer = self.called(ctx, &call.arguments).await;
        Ok(answer.unwrap_or_else(|failed| output::of_failure(&failed)))
    }

    async fn read_resource(
        &self,
        ctx: &CallContext,
        read: ResourceRead,
    ) -> Result<RawJson, BackendError> {
        read_rest(self.kept.as_ref(), ctx, &read.uri, |name| {
            let apis = self.apis.iter().map(|(_, api)| api);
            let api = apis.into_iter().find(|api| **api.name() == *name)?;
            Some(api.config().max_shown)
        })
    }
}
