//! Where a server is, as clients say it.

use mcp_gw_core::RawJson;
use mcp_gw_server::store::{EnvVars, InstanceSpec, ServerTransport};

use super::ask::Ask;
use super::body;
use super::fault::{Fault, Item};
use super::shapes::{Command, Place};

/// What the place of a server is, said beside the other members, in `config`, or partly here and there.
pub(super) fn spec_of(
    ask: &Ask,
    metadata: Option<RawJson>,
    config: Option<RawJson>,
) -> Result<InstanceSpec, Fault> {
    let metadata = object(metadata, "instance_metadata")?;
    let config = object(config, "config")?;
    let top: Place = ask.json()?;
    let inner: Place = match &config {
        None => Place::default(),
        Some(config) => body::json(config).map_err(|fault| fault.within("config"))?,
    };
    let mut twice = Vec::new();
    let mut spec = InstanceSpec::new();
    spec.endpoint = either("endpoint", top.endpoint, inner.endpoint, &mut twice);
    let command = either("command", top.command, inner.command, &mut twice);
    spec.command = command.map(Command::into_words);
    if let Some(transport) = either("transport", top.transport, inner.transport, &mut twice) {
        spec.transport = transport;
    } else if spec.command.is_some() && spec.endpoint.is_none() {
        // There is nothing to connect to, and something to start.
        spec.transport = ServerTransport::Stdio;
    }
    if let Some(backend) = either("backend", top.backend, inner.backend, &mut twice) {
        spec.backend = backend;
    }
    spec.container_id = either(
        "container_id",
        top.container_id,
        inner.container_id,
        &mut twice,
    );
    spec.deployment_id = either(
        "deployment_id",
        top.deployment_id,
        inner.deployment_id,
        &mut twice,
    );
    spec.namespace = either("namespace", top.namespace, inner.namespace, &mut twice);
    spec.working_dir = either(
        "working_dir",
        top.working_dir,
        inner.working_dir,
        &mut twice,
    );
    let env_vars = either("env_vars", top.env_vars, inner.env_vars, &mut twice);
    spec.env_vars = env_vars.map(EnvVars::new);
    if let Some(is_active) = either("is_active", top.is_active, inner.is_active, &mut twice) {
        spec.is_active = is_active;
    }
    spec.instance_metadata = metadata;
    spec.config = config;
    if twice.is_empty() {
        Ok(spec)
    } else {
        Err(Fault::invalid(twice))
    }
}

fn either<T>(name: &str, top: Option<T>, inner: Option<T>, twice: &mut Vec<Item>) -> Option<T> {
    if top.is_some() && inner.is_some() {
        let says = "It is in `config` as well: give one of them";
        twice.push(Item::new(&["body", name], says, "duplicate"));
    }
    top.or(inner)
}

pub(super) fn object(value: Option<RawJson>, name: &str) -> Result<Option<RawJson>, Fault> {
    match value {
        Some(value) if value.is_null() => Ok(None),
        Some(value) if !value.is_object() => Err(Fault::at(
            &["body", name],
            "Input should be an object",
            "dict_type",
        )),
        // What is kept must not hold on to the whole request.
        value => Ok(value.map(|value| value.detached())),
    }
}
