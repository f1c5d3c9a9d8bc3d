//! How the gateway does, and what was done.

use futures_util::Stream;
use mcp_gw_admin_client::http::Target;
use mcp_gw_core::RawJson;

use super::accounts::page_of;
use super::asked::{AuditQuery, PageQuery};
use super::error::ClientError;
use super::figures::{
    AuditEvent, GatewayHealth, GatewayStats, Health, RegistryCounts, Stats, TemplateHealth,
};
use super::paging;
use super::send::{Call, Client};
use super::told::Page;

/// The gateway itself.
impl Client {
    /// How it does; also when its database cannot be asked (503).
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn health(&self) -> Result<Health, ClientError> {
        let call = Call::get(Target::at("/health"))?.open().also(503);
        self.ask(call).await
    }

    /// How it does, with templates.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn gateway_health(&self) -> Result<GatewayHealth, ClientError> {
        self.ask(Call::get(Target::at("/gateway/health"))?.open())
            .await
    }

    /// How the servers of a template do.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn template_health(&self, name: &str) -> Result<TemplateHealth, ClientError> {
        let target = Target::at("/mcp").name("template", name)?;
        self.ask(Call::get(target.then("/health"))?.open()).await
    }

    /// How much is used.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn stats(&self) -> Result<Stats, ClientError> {
        self.ask(Call::get(Target::at("/stats"))?).await
    }

    /// How much is used, by template and server.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn gateway_stats(&self) -> Result<GatewayStats, ClientError> {
        self.ask(Call::get(Target::at("/gateway/stats"))?).await
    }

    /// How many templates and servers there are.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn registry(&self) -> Result<RegistryCounts, ClientError> {
        self.ask(Call::get(Target::at("/gateway/registry"))?).await
    }

    /// Does nothing: what is registered is in force. It is there as other gateways have it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn sync_registry(&self) -> Result<(), ClientError> {
        self.tell(Call::post(Target::at("/gateway/registry/sync"))?)
            .await
    }

    /// The description of the API in the form of `OpenAPI` 3.1.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn openapi(&self) -> Result<RawJson, ClientError> {
        self.ask(Call::get(Target::at("/openapi.json"))?.open())
            .await
    }

    /// A page of audit events, the last first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list_audit_events(
        &self,
        query: &AuditQuery,
        page: &PageQuery,
    ) -> Result<Page<AuditEvent>, ClientError> {
        let target = page_of(Target::at("/audit/events"), page)?
            .query_if("from", query.from.as_deref())?
            .query_if("to", query.to.as_deref())?
            .query_if("caller_id", query.caller_id.as_deref())?
            .query_if("method", query.method.as_deref())?
            .query_if("name", query.name.as_deref())?
            .query_if("server", query.server.as_deref())?
            .query_if("outcome", query.outcome.as_deref())?;
        self.ask(Call::get(target)?).await
    }

    /// All of them, page by page.
    pub fn audit_events(
        &self,
        query: AuditQuery,
    ) -> impl Stream<Item = Result<AuditEvent, ClientError>> {
        let query = std::sync::Arc::new(query);
        paging::items(move |page| {
            let query = std::sync::Arc::clone(&query);
            async move { self.list_audit_events(&query, &page).await }
        })
    }
}
