//! What a configuration chooses: which tools there are, and where test requests go.

use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::{Secret, ToolRegistry};

use crate::http::{BaseUrl, RetryPolicy, Transport, TransportConfig, Trust};
use crate::tools::api7::{Access, ToolsError};
use crate::tools::operation::{Blueprint, Effect, Shared};

/// How long a test request may take.
const GATEWAY_TIMEOUT: Duration = Duration::from_secs(10);

/// So much of an answer to a test request is read.
const GATEWAY_BYTES: usize = 1024 * 1024;

/// Those of `tools` that a configuration asks for.
///
/// # Errors
/// When a name is unknown, or none is left.
pub(crate) fn wanted<S: Shared>(
    tools: &'static [Blueprint<S>],
    only: Option<&[String]>,
    exclude: &[String],
    access: Access,
) -> Result<Vec<&'static Blueprint<S>>, ToolsError> {
    let named = only.iter().copied().flatten().chain(exclude);
    let unknown: Vec<String> = named
        .filter(|name| tools.iter().all(|tool| tool.name != **name))
        .cloned()
        .collect();
    if !unknown.is_empty() {
        let known: Vec<&str> = tools.iter().map(|tool| tool.name).collect();
        return Err(ToolsError::UnknownTools {
            names: unknown,
            known: known.join(", "),
        });
    }
    let is_named =
        |names: &[String], tool: &Blueprint<S>| names.iter().any(|name| name == tool.name);
    let left: Vec<_> = tools
        .iter()
        .filter(|tool| only.is_none_or(|names| is_named(names, tool)))
        .filter(|tool| !is_named(exclude, tool))
        .filter(|tool| access != Access::ReadOnly || tool.least_effect == Effect::Reads)
        .collect();
    if left.is_empty() {
        return Err(ToolsError::NoTools);
    }
    Ok(left)
}

/// The names of those of `tools` that are not `wanted`.
pub(crate) fn absent<S: Shared>(
    tools: &'static [Blueprint<S>],
    wanted: &[&'static Blueprint<S>],
) -> Vec<Arc<str>> {
    let is_wanted = |tool: &&Blueprint<S>| wanted.iter().any(|wanted| wanted.name == tool.name);
    let left_out = tools.iter().filter(|tool| !is_wanted(tool));
    left_out.map(|tool| tool.name.into()).collect()
}

/// The tools of these blueprints, as `name`.
///
/// # Errors
/// When one has no usable definition: a fault of this crate.
pub(crate) fn registry<S: Shared>(
    name: &str,
    wanted: Vec<&'static Blueprint<S>>,
    shared: S,
) -> Result<ToolRegistry, ToolsError> {
    let shared = Arc::new(shared);
    let tools = wanted
        .into_iter()
        .map(|blueprint| blueprint.build(Arc::clone(&shared)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(ToolRegistry::builder(name).extend(tools).build()?)
}

/// The way to an API, still without its credential: only the authorities that are given are believed. Less than a second
/// is one.
pub(crate) fn to_api(
    base: BaseUrl,
    trust: Trust,
    proxy: Option<Secret<String>>,
    timeout_seconds: u32,
) -> TransportConfig {
    let mut config = TransportConfig::new(base);
    config.trust = trust;
    config.proxy = proxy;
    config.timeout = Duration::from_secs(u64::from(timeout_seconds.max(1)));
    config
}

/// The way to a gateway: no credentials, no second attempt. The authorities of the system are believed, and those that are
/// given.
///
/// # Errors
/// When it cannot be reached like this.
pub(crate) fn to_gateway(
    url: &str,
    trust: Trust,
    proxy: Option<Secret<String>>,
) -> Result<Transport, ToolsError> {
    let base: BaseUrl = url.parse().map_err(ToolsError::GatewayUrl)?;
    let mut config = TransportConfig::new(base);
    // A gateway may have a certificate of the company's own authority, or one of a public one.
    config.trust = match trust {
        Trust::Pem(pem) => Trust::SystemAnd(pem),
        trust => trust,
    };
    config.proxy = proxy;
    config.timeout = GATEWAY_TIMEOUT;
    config.max_response_bytes = GATEWAY_BYTES;
    config.retries = RetryPolicy::never();
    Transport::new(config).map_err(ToolsError::Gateway)
}
