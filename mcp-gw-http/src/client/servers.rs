//! Servers and templates.

use futures_util::Stream;
use http::Method;
use http::header::ETAG;
use mcp_gw_admin_client::http::Target;
use serde::Deserialize;

use super::accounts::page_of;
use super::asked::{NewServer, PageQuery, ServerChange, ServerQuery, TemplateChange};
use super::error::{ClientError, header};
use super::paging;
use super::send::{Call, Client};
use super::told::{Logs, Page, Server, Template};

#[derive(Deserialize)]
struct Names {
    templates: Vec<String>,
}

fn server(id: &str) -> Result<Target, ClientError> {
    Ok(Target::at("/servers").name("server", id)?)
}

fn template(name: &str) -> Result<Target, ClientError> {
    Ok(Target::at("/gateway/templates").name("template", name)?)
}

/// Servers.
impl Client {
    async fn server_of(&self, call: Call) -> Result<Server, ClientError> {
        let answer = self.answer(call).await?;
        let mut server: Server = answer.read()?;
        server.etag = header(&answer.headers, ETAG.as_str()).map(str::to_owned);
        Ok(server)
    }

    /// A page of the servers, with how they do.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list_servers(
        &self,
        query: &ServerQuery,
        page: &PageQuery,
    ) -> Result<Page<Server>, ClientError> {
        // Without a limit this list has no pages.
        let limit = page.limit.or(Some(100));
        let page = PageQuery {
            limit,
            ..page.clone()
        };
        let target = page_of(Target::at("/servers"), &page)?
            .query("include_health", "true")?
            .query_if("template_name", query.template_name.as_deref())?;
        let answer = self.answer(Call::get(target)?).await?;
        let next = header(&answer.headers, "x-next-cursor").map(str::to_owned);
        Ok(Page::new(answer.read()?, next))
    }

    /// All servers, page by page.
    pub fn servers(&self, query: ServerQuery) -> impl Stream<Item = Result<Server, ClientError>> {
        let query = std::sync::Arc::new(query);
        paging::items(move |page| {
            let query = std::sync::Arc::clone(&query);
            async move { self.list_servers(&query, &page).await }
        })
    }

    /// Registers a server.
    ///
    /// # Errors
    /// `SERVER_EXISTS`, or what is wrong with the members.
    pub async fn register_server(&self, new: &NewServer) -> Result<Server, ClientError> {
        let call = Call::send(Method::POST, Target::at("/servers"), new)?;
        self.server_of(call).await
    }

    /// A server, with how it does.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get_server(&self, id: &str) -> Result<Server, ClientError> {
        self.server_of(Call::get(server(id)?)?).await
    }

    /// Changes a server, with `etag` only when the revision is still that one.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn update_server(
        &self,
        id: &str,
        change: &ServerChange,
        etag: Option<&str>,
    ) -> Result<Server, ClientError> {
        let call = Call::send(Method::PATCH, server(id)?, change)?;
        self.server_of(call.expecting(etag)?).await
    }

    /// Removes a server.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete_server(&self, id: &str, etag: Option<&str>) -> Result<(), ClientError> {
        self.tell(Call::delete(server(id)?)?.expecting(etag)?).await
    }

    /// Lets a server get calls.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn enable_server(&self, id: &str) -> Result<Server, ClientError> {
        self.server_of(Call::post(server(id)?.then("/enable"))?)
            .await
    }

    /// Lets a server get no more calls.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn disable_server(&self, id: &str) -> Result<Server, ClientError> {
        self.server_of(Call::post(server(id)?.then("/disable"))?)
            .await
    }

    /// The last lines of a server, and its last error.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn server_logs(&self, id: &str, last: Option<u32>) -> Result<Logs, ClientError> {
        let last = last.map(|last| last.to_string());
        let target = server(id)?
            .then("/logs")
            .query_if("last", last.as_deref())?;
        self.ask(Call::get(target)?).await
    }
}

/// Templates.
impl Client {
    async fn template_of(&self, call: Call) -> Result<Template, ClientError> {
        let answer = self.answer(call).await?;
        let mut template: Template = answer.read()?;
        template.etag = header(&answer.headers, ETAG.as_str()).map(str::to_owned);
        Ok(template)
    }

    /// The names of the templates.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list_templates(&self) -> Result<Vec<String>, ClientError> {
        let call = Call::get(Target::at("/gateway/templates"))?.open();
        Ok(self.ask::<Names>(call).await?.templates)
    }

    /// A template with its servers.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get_template(&self, name: &str) -> Result<Template, ClientError> {
        self.template_of(Call::get(template(name)?)?).await
    }

    /// Changes how the calls of a template are spread.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn update_template(
        &self,
        name: &str,
        change: &TemplateChange,
        etag: Option<&str>,
    ) -> Result<Template, ClientError> {
        let call = Call::send(Method::PATCH, template(name)?, change)?;
        self.template_of(call.expecting(etag)?).await
    }

    /// Removes a template without servers.
    ///
    /// # Errors
    /// `IN_USE` and others.
    pub async fn delete_template(&self, name: &str, etag: Option<&str>) -> Result<(), ClientError> {
        self.tell(Call::delete(template(name)?)?.expecting(etag)?)
            .await
    }

    /// Registers a server of the template that `new` names; one of the same id is replaced. It needs an id.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn register_instance(&self, new: &NewServer) -> Result<Server, ClientError> {
        let target = template(&new.template_name)?.then("/instances");
        self.server_of(Call::send(Method::POST, target, new)?).await
    }

    /// Removes a server of a template.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete_instance(&self, name: &str, id: &str) -> Result<(), ClientError> {
        let target = template(name)?.then("/instances").name("server", id)?;
        self.tell(Call::delete(target)?).await
    }
}
