//! Calls of tools, and what else servers offer: all of it goes through the gateway, as calls of MCP clients do.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use mcp_gw_core::{Arguments, Feature, GatewayError, ObjectWriter, RawJson, ToolOutput};
use mcp_gw_server::identity::Scope;
use mcp_gw_server::registry::CallFault;

use super::ask::{Ask, Reply};
use super::fault::Fault;
use super::shapes::{
    CallResult, NamedCall, Passed, PromptList, ResourceList, ResourceOf, ResourceTemplateList,
    ServerCall, ToolList,
};
use super::table::{Need, Operation};

const CALL: Need = Need::Scope(Scope::Call);

/// What there is about calls.
pub(super) fn table() -> Vec<Operation> {
    vec![
        Operation::new(
            (Method::POST, "/tools/call", "call_tool"),
            CALL,
            "Call a tool of a server",
            call,
        )
        .takes::<ServerCall>()
        .gives::<CallResult>(StatusCode::OK)
        .fails(&[404]),
        Operation::new(
            (Method::GET, "/servers/{server_id}/tools", "server_tools"),
            Need::Scope(Scope::Read),
            "The tools of a server",
            server_tools,
        )
        .gives::<ToolList>(StatusCode::OK),
        Operation::new(
            (Method::GET, "/mcp/{template}/tools/list", "list_tools"),
            Need::Anybody,
            "The tools of a template",
            tools,
        )
        .gives::<ToolList>(StatusCode::OK),
        Operation::new(
            (
                Method::POST,
                "/mcp/{template}/tools/call",
                "call_template_tool",
            ),
            CALL,
            "Call a tool of a template, at the instance whose turn it is",
            call_template,
        )
        .takes::<NamedCall>()
        .gives::<CallResult>(StatusCode::OK),
        Operation::new(
            (
                Method::GET,
                "/mcp/{template}/resources/list",
                "list_resources",
            ),
            Need::Anybody,
            "The resources of a template",
            resources,
        )
        .gives::<ResourceList>(StatusCode::OK),
        Operation::new(
            (
                Method::GET,
                "/mcp/{template}/resources/templates/list",
                "list_resource_templates",
            ),
            Need::Anybody,
            "The resource templates of a template",
            resource_templates,
        )
        .gives::<ResourceTemplateList>(StatusCode::OK),
        Operation::new(
            (
                Method::POST,
                "/mcp/{template}/resources/read",
                "read_resource",
            ),
            Need::Anybody,
            "Read a resource of a template",
            read,
        )
        .takes::<ResourceOf>()
        .gives::<Passed>(StatusCode::OK),
        Operation::new(
            (Method::GET, "/mcp/{template}/prompts/list", "list_prompts"),
            Need::Anybody,
            "The prompts of a template",
            prompts,
        )
        .gives::<PromptList>(StatusCode::OK),
        Operation::new(
            (Method::POST, "/mcp/{template}/prompts/get", "get_prompt"),
            Need::Anybody,
            "Get a prompt of a template",
            prompt,
        )
        .takes::<NamedCall>()
        .gives::<Passed>(StatusCode::OK),
    ]
    .into_iter()
    .map(|row| row.tag("calls").behind())
    .collect()
}

fn arguments(raw: Option<RawJson>) -> Result<Arguments, Fault> {
    let raw = raw
        .filter(|raw| !raw.is_null())
        .unwrap_or_else(RawJson::empty_object);
    let wrong = |_| {
        Fault::at(
            &["body", "arguments"],
            "Input should be an object",
            "dict_type",
        )
    };
    Arguments::from_raw(raw).map_err(wrong)
}

/// A result of a tool. It always has `content` and `isError`.
fn result(output: ToolOutput) -> Result<Reply, Fault> {
    let is_error = output.is_error();
    let raw = output.into_raw();
    let broken = |_| {
        let detail = "The server answered with something else than a result";
        Fault::new(StatusCode::BAD_GATEWAY, "SERVER_FAILED", detail)
    };
    let members = raw.members().map_err(broken)?;
    let mut writer = match members.get("content") {
        Some(content) => ObjectWriter::with_capacity(raw.len() + 32).raw_value("content", content),
        None => ObjectWriter::default().array("content", []),
    };
    writer = writer.boolean("isError", is_error);
    Ok(Reply::raw(
        &writer.members(&members, &["content", "isError"]).finish(),
    ))
}

async fn call(ask: Ask) -> Result<Reply, Fault> {
    let asked: ServerCall = ask.json()?;
    let arguments = arguments(asked.arguments)?;
    let (caller, meta) = (Arc::clone(&ask.caller), ask.meta());
    let registry = &ask.api.registry;
    let answer = registry.call(caller, meta, &asked.server_id, &asked.tool_name, arguments);
    result(answer.await?)
}

async fn call_template(ask: Ask) -> Result<Reply, Fault> {
    let asked: NamedCall = ask.json()?;
    let arguments = arguments(asked.arguments)?;
    let (caller, meta) = (Arc::clone(&ask.caller), ask.meta());
    let (registry, template) = (&ask.api.registry, ask.param("template")?);
    match registry
        .call_template(caller, meta, template, &asked.name, arguments)
        .await
    {
        Ok(output) => result(output),
        // Clients of this path expect what an MCP server says of a tool that it has not.
        Err(CallFault::Gateway(
            error @ (GatewayError::Unknown { .. } | GatewayError::Denied { .. }),
        )) => result(ToolOutput::error(error.public_message())),
        Err(error) => Err(error.into()),
    }
}

async fn server_tools(ask: Ask) -> Result<Reply, Fault> {
    let (caller, meta) = (Arc::clone(&ask.caller), ask.meta());
    let tools = ask
        .api
        .registry
        .tools(caller, meta, ask.param("server_id")?)
        .await?;
    Ok(Reply::raw(
        &ObjectWriter::default().array("tools", &tools).finish(),
    ))
}

async fn listed(ask: Ask, feature: Feature, name: &str) -> Result<Reply, Fault> {
    let (caller, meta) = (Arc::clone(&ask.caller), ask.meta());
    let template = ask.param("template")?;
    let items = ask
        .api
        .registry
        .list_template(caller, meta, template, feature)
        .await?;
    Ok(Reply::raw(
        &ObjectWriter::default().array(name, &items).finish(),
    ))
}

async fn tools(ask: Ask) -> Result<Reply, Fault> {
    listed(ask, Feature::Tool, "tools").await
}

async fn resources(ask: Ask) -> Result<Reply, Fault> {
    listed(ask, Feature::Resource, "resources").await
}

async fn resource_templates(ask: Ask) -> Result<Reply, Fault> {
    listed(ask, Feature::ResourceTemplate, "resourceTemplates").await
}

async fn prompts(ask: Ask) -> Result<Reply, Fault> {
    listed(ask, Feature::Prompt, "prompts").await
}

async fn read(ask: Ask) -> Result<Reply, Fault> {
    let asked: ResourceOf = ask.json()?;
    let (caller, meta) = (Arc::clone(&ask.caller), ask.meta());
    let (registry, template) = (&ask.api.registry, ask.param("template")?);
    let read = registry
        .read_template(caller, meta, template, &asked.uri)
        .await?;
    Ok(Reply::raw(&read))
}

async fn prompt(ask: Ask) -> Result<Reply, Fault> {
    let asked: NamedCall = ask.json()?;
    let arguments = arguments(asked.arguments)?;
    let (caller, meta) = (Arc::clone(&ask.caller), ask.meta());
    let (registry, template) = (&ask.api.registry, ask.param("template")?);
    let got = registry.get_template_prompt(caller, meta, template, &asked.name, arguments);
    Ok(Reply::raw(&got.await?))
}
