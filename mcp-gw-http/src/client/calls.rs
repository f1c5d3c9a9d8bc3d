//! Tool calls, and what else MCP servers offer.

use http::Method;
use mcp_gw_admin_client::http::Target;
use mcp_gw_core::RawJson;
use serde::{Deserialize, Serialize};

use super::error::ClientError;
use super::send::{Call, Client};
use super::told::ToolResult;

#[derive(Serialize)]
struct ServerCall<'a> {
    server_id: &'a str,
    tool_name: &'a str,
    arguments: &'a RawJson,
}

#[derive(Serialize)]
struct NamedCall<'a> {
    name: &'a str,
    arguments: &'a RawJson,
}

#[derive(Serialize)]
struct ResourceOf<'a> {
    uri: &'a str,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(
        alias = "tools",
        alias = "resources",
        alias = "resourceTemplates",
        alias = "prompts"
    )]
    items: Vec<RawJson>,
}

fn template(name: &str) -> Result<Target, ClientError> {
    Ok(Target::at("/mcp").name("template", name)?)
}

/// Calls. Definitions and results are as the server wrote them.
impl Client {
    /// Calls a tool of a server, by the id of the server; `arguments` is an object.
    ///
    /// # Errors
    /// See [`ClientError`]. A tool that fails is no error here: see [`ToolResult::is_error`].
    pub async fn call_tool(
        &self,
        server_id: &str,
        tool_name: &str,
        arguments: &RawJson,
    ) -> Result<ToolResult, ClientError> {
        let body = ServerCall {
            server_id,
            tool_name,
            arguments,
        };
        let call = Call::send(Method::POST, Target::at("/tools/call"), &body)?;
        self.ask(call).await
    }

    /// Calls a tool of a template, at the server whose turn it is.
    ///
    /// # Errors
    /// As [`Client::call_tool`].
    pub async fn call_template_tool(
        &self,
        name: &str,
        tool: &str,
        arguments: &RawJson,
    ) -> Result<ToolResult, ClientError> {
        let target = template(name)?.then("/tools/call");
        let body = NamedCall {
            name: tool,
            arguments,
        };
        self.ask(Call::send(Method::POST, target, &body)?).await
    }

    async fn listed(&self, target: Target) -> Result<Vec<RawJson>, ClientError> {
        Ok(self.ask::<Listed>(Call::get(target)?).await?.items)
    }

    /// The tools of a server.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn server_tools(&self, id: &str) -> Result<Vec<RawJson>, ClientError> {
        let target = Target::at("/servers").name("server", id)?;
        self.listed(target.then("/tools")).await
    }

    /// The tools of a template.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list_tools(&self, name: &str) -> Result<Vec<RawJson>, ClientError> {
        self.listed(template(name)?.then("/tools/list")).await
    }

    /// The resources of a template.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list_resources(&self, name: &str) -> Result<Vec<RawJson>, ClientError> {
        self.listed(template(name)?.then("/resources/list")).await
    }

    /// The resource templates of a template.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list_resource_templates(&self, name: &str) -> Result<Vec<RawJson>, ClientError> {
        let target = template(name)?.then("/resources/templates/list");
        self.listed(target).await
    }

    /// Reads a resource of a template.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn read_resource(&self, name: &str, uri: &str) -> Result<RawJson, ClientError> {
        let target = template(name)?.then("/resources/read");
        let call = Call::send(Method::POST, target, &ResourceOf { uri })?;
        self.ask(call).await
    }

    /// The prompts of a template.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list_prompts(&self, name: &str) -> Result<Vec<RawJson>, ClientError> {
        self.listed(template(name)?.then("/prompts/list")).await
    }

    /// Gets a prompt of a template; `arguments` is an object.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get_prompt(
        &self,
        name: &str,
        prompt: &str,
        arguments: &RawJson,
    ) -> Result<RawJson, ClientError> {
        let target = template(name)?.then("/prompts/get");
        let body = NamedCall {
            name: prompt,
            arguments,
        };
        self.ask(Call::send(Method::POST, target, &body)?).await
    }
}
