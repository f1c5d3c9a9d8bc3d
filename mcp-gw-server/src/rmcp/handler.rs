//! The same service in the SDK's own types, for what takes nothing else.

use std::borrow::Cow;

use ::rmcp::RoleServer;
use ::rmcp::handler::server::ServerHandler;
use ::rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientRequest, CompleteRequestParams,
    CompleteResult, CustomRequest, CustomResult, DiscoverResult, ErrorData, GetPromptRequestParams,
    GetPromptResponse, GetPromptResult, InitializeRequestParams, InitializeResult,
    InputRequiredResult, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
    ListToolsResult, PaginatedRequestParams, ProtocolVersion, ReadResourceRequestParams,
    ReadResourceResponse, ReadResourceResult, Request, RequestOptionalParam, ServerConfig,
};
use ::rmcp::service::{RequestContext, Service as _};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{GatewayService, Tell, typed};

/// Serves a gateway where the SDK takes a `ServerHandler`: its streamable HTTP, for which a clone for
/// each session is what its factory returns.
///
/// Everything passes through the types of the SDK once more than with [`GatewayService`]: see the
/// [table](super#what-is-lost). A list with an item that has no place in them is an error as a whole.
#[derive(Clone, Debug)]
pub struct GatewayHandler(GatewayService);

impl GatewayHandler {
    /// Serves what `service` serves.
    pub const fn new(service: GatewayService) -> Self {
        Self(service)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: ClientRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<T, ErrorData> {
        typed(self.0.ask(request, context, Tell::Typed).await?)
    }

    /// For methods whose answer may be a question to the client.
    async fn ask_or_wait<T: DeserializeOwned, R: From<T> + From<InputRequiredResult>>(
        &self,
        request: ClientRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<R, ErrorData> {
        let result = self.0.ask(request, context, Tell::Typed).await?;
        if result.get("resultType").and_then(Value::as_str) == Some("input_required") {
            return typed::<InputRequiredResult>(result).map(R::from);
        }
        typed::<T>(result).map(R::from)
    }
}

/// A request for one page of a list.
fn page<M: Default>(
    params: Option<PaginatedRequestParams>,
) -> RequestOptionalParam<M, PaginatedRequestParams> {
    RequestOptionalParam {
        params,
        ..RequestOptionalParam::default()
    }
}

impl ServerHandler for GatewayHandler {
    async fn initialize(
        &self,
        params: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        context.peer.set_peer_info(params.clone());
        let request = ClientRequest::InitializeRequest(Request::new(params));
        self.ask(request, context).await
    }

    async fn discover(
        &self,
        context: RequestContext<RoleServer>,
    ) -> Result<DiscoverResult, ErrorData> {
        let request = ClientRequest::DiscoverRequest(::rmcp::model::DiscoverRequest::default());
        self.ask(request, context).await
    }

    async fn list_tools(
        &self,
        params: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.ask(ClientRequest::ListToolsRequest(page(params)), context)
            .await
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let request = ClientRequest::CallToolRequest(Request::new(params));
        self.ask_or_wait::<CallToolResult, _>(request, context)
            .await
    }

    async fn list_prompts(
        &self,
        params: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        self.ask(ClientRequest::ListPromptsRequest(page(params)), context)
            .await
    }

    async fn get_prompt(
        &self,
        params: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let request = ClientRequest::GetPromptRequest(Request::new(params));
        self.ask_or_wait::<GetPromptResult, _>(request, context)
            .await
    }

    async fn list_resources(
        &self,
        params: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.ask(ClientRequest::ListResourcesRequest(page(params)), context)
            .await
    }

    async fn list_resource_templates(
        &self,
        params: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let request = ClientRequest::ListResourceTemplatesRequest(page(params));
        self.ask(request, context).await
    }

    async fn read_resource(
        &self,
        params: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let request = ClientRequest::ReadResourceRequest(Request::new(params));
        self.ask_or_wait::<ReadResourceResult, _>(request, context)
            .await
    }

    async fn complete(
        &self,
        params: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let request = ClientRequest::CompleteRequest(Request::new(params));
        self.ask(request, context).await
    }

    /// What the SDK could not read into a type of its own: the gateway says what is wrong with it.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let request = ClientRequest::CustomRequest(request);
        self.0
            .ask(request, context, Tell::Typed)
            .await
            .map(CustomResult)
    }

    fn get_info(&self) -> ServerConfig {
        self.0.get_info()
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.0.supported_protocol_versions()
    }
}
