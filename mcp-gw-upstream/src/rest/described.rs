//! An API whose description is fetched: its tools are there once that was read.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use mcp_gw_core::{
    Backend, BackendError, CallContext, Feature, Offer, RawJson, ResourceRead, ToolCall, ToolOutput,
};

use super::api::Api;
use super::handmade::ToolConfig;
use super::kept::KeptAnswers;
use super::openapi::{self, DescriptionError, Guarded, Options, Report};
use super::server::{ApiServer, ApiServerError};
use crate::egress::{Client, FixedUrl};

/// What the tools of an API are made of.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ApiTools {
    /// Tools that are written by hand.
    pub by_hand: Vec<ToolConfig>,
    /// What to take of a description.
    pub options: Options,
}

impl ApiTools {
    /// These tools, and these operations of a description.
    pub const fn new(by_hand: Vec<ToolConfig>, options: Options) -> Self {
        Self { by_hand, options }
    }

    /// The server of an API with these tools, and with those of the description if there is one.
    ///
    /// What of the description cannot be used is left out and said in the remarks of the offer.
    ///
    /// # Errors
    /// When nothing of the description can be used, or a tool that is written by hand.
    pub fn server(
        &self,
        api: Api,
        description: Option<&[u8]>,
        kept: Option<KeptAnswers>,
    ) -> Result<ApiServer, ApiServerError> {
        let by_hand = self.by_hand.iter().map(ToolConfig::build);
        let mut operations = by_hand
            .collect::<Result<Vec<_>, _>>()
            .map_err(ApiServerError::ByHand)?;
        let mut remarks = Vec::new();
        if let Some(bytes) = description {
            let rules = &api.config().rules;
            let (headers, queries) = rules.credential_names();
            let options = self.options.clone().with_base(api.base());
            let options = options.guarded_by(Guarded {
                headers,
                queries,
                parts: !rules.allows_parts(),
                empty_segments: !rules.allows_empty_segments(),
            });
            let read = openapi::read(bytes, &options).map_err(ApiServerError::Description)?;
            let is_empty = read.operations.is_empty();
            tell(&api, &read.report, is_empty);
            remarks.extend(remark(&read.report, is_empty));
            for operation in read.operations {
                // Who writes a tool by hand means it to take the place of another.
                let is_taken = operations
                    .iter()
                    .any(|known| known.name() == operation.name());
                if !is_taken {
                    operations.push(operation);
                }
            }
        }
        Ok(ApiServer::new(api, operations, kept)?.with_remarks(remarks))
    }
}

fn tell(api: &Api, report: &Report, is_empty: bool) {
    let api = &**api.name();
    if is_empty {
        let message = "nothing of the description becomes a tool";
        tracing::warn!(target: "mcp_gw::rest", api, "{message}: {report}");
    } else if report.skipped.is_empty() {
        tracing::debug!(target: "mcp_gw::rest", api, "the description: {report}");
    } else {
        let message = "not all of the description can be used";
        tracing::warn!(target: "mcp_gw::rest", api, "{message}: {report}");
    }
}

/// What people should know of a description, in a sentence.
fn remark(report: &Report, is_empty: bool) -> Option<String> {
    let (skipped, total) = (report.unusable, report.total);
    if total == 0 {
        let says =
            "the description has no operation under `paths`, so nothing of it becomes a tool";
        return Some(says.to_owned());
    }
    if is_empty {
        return Some(format!(
            "none of {total} operations of the description becomes a tool; the log says why"
        ));
    }
    (skipped > 0).then(|| {
        format!(
            "{skipped} of {total} operations of the description cannot be used; the log says why"
        )
    })
}

/// A backend with the operations of a description that is fetched when it is asked what it offers.
///
/// While the description cannot be had, what was read of it last stays.
pub struct DescribedApi {
    api: Api,
    tools: ApiTools,
    url: FixedUrl,
    client: Client,
    kept: Option<KeptAnswers>,
    server: Mutex<Option<Arc<ApiServer>>>,
}

impl DescribedApi {
    /// The operations of the description at `url`, fetched through `client`.
    pub const fn new(
        api: Api,
        tools: ApiTools,
        url: FixedUrl,
        client: Client,
        kept: Option<KeptAnswers>,
    ) -> Self {
        Self {
            api,
            tools,
            url,
            client,
            kept,
            server: Mutex::new(None),
        }
    }

    fn server(&self) -> Option<Arc<ApiServer>> {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.clone()
    }

    async fn read(&self) -> Result<ApiServer, String> {
        let shown = self.url.shown();
        let request = self.url.get().map_err(|refusal| refusal.to_string())?;
        let answer = self.client.get(request).await;
        let answer = answer.map_err(|error| format!("its description at {shown}: {error}"))?;
        if !answer.status().is_success() {
            let status = answer.status().as_u16();
            return Err(format!(
                "its description at {shown} is answered with {status}"
            ));
        }
        let bytes = answer.read_whole().await;
        let bytes = bytes.map_err(|error| format!("its description at {shown}: {error}"))?;
        let (tools, api, kept) = (self.tools.clone(), self.api.clone(), self.kept.clone());
        // A large one takes a while.
        let read = tokio::task::spawn_blocking(move || tools.server(api, Some(&bytes), kept));
        match read.await {
            Ok(Ok(server)) => Ok(server),
            Ok(Err(error)) => Err(chain(&error)),
            Err(_) => Err(format!("its description at {shown} cannot be read")),
        }
    }

    fn unavailable(&self, reason: impl Into<String>) -> BackendError {
        BackendError::Unavailable {
            server: Arc::clone(self.api.name()),
            reason: reason.into(),
        }
    }
}

fn chain(error: &ApiServerError) -> String {
    match error {
        ApiServerError::Description(DescriptionError::TooLarge { .. }) => error.to_string(),
        _ => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

impl fmt::Debug for DescribedApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DescribedApi")
            .field("api", &self.api)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Backend for DescribedApi {
    fn name(&self) -> &str {
        self.api.name()
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        match self.read().await {
            Ok(server) => {
                let server = Arc::new(server);
                let offer = server.offer().await;
                let mut last = self.server.lock().unwrap_or_else(PoisonError::into_inner);
                *last = Some(server);
                offer
            }
            Err(reason) => match self.server() {
                None => Err(self.unavailable(reason)),
                Some(last) => {
                    tracing::warn!(
                        target: "mcp_gw::rest",
                        api = self.name(),
                        reason,
                        "the description cannot be read again; what it said before stays"
                    );
                    last.offer().await
                }
            },
        }
    }

    async fn call_tool(
        &self,
        ctx: &CallContext,
        call: ToolCall,
    ) -> Result<ToolOutput, BackendError> {
        match self.server() {
            Some(server) => server.call_tool(ctx, call).await,
            None => Err(BackendError::NotFound {
                feature: Feature::Tool,
                name: call.name.to_string(),
            }),
        }
    }

    async fn read_resource(
        &self,
        ctx: &CallContext,
        read: ResourceRead,
    ) -> Result<RawJson, BackendError> {
        match self.server() {
            Some(server) => server.read_resource(ctx, read).await,
            None => Err(self.unavailable("its description was not read yet")),
        }
    }
}
