//! The management API of the program, once its gateway runs: the servers in its database, and its routes.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use mcp_gw_server::Running;
use mcp_gw_server::config::Config;
use mcp_gw_server::registry::{Registry, RegistryOptions};

use crate::management::ManagementApi;
use crate::router::HttpConfig;

/// Puts the servers of that database behind the gateway.
pub(crate) async fn start(running: &Running, config: &Config) -> anyhow::Result<Option<Registry>> {
    let (Some(management), Some(section)) = (running.management(), &config.management) else {
        return Ok(None);
    };
    let mut options = RegistryOptions::new();
    options.allowed_commands = section.allowed_commands.clone();
    options.addresses = options.addresses.with_private(section.allow_private);
    let store = Arc::clone(management.store());
    let registry = Registry::start(running, store, options).await;
    let registry = registry.context("the servers in the database cannot be read")?;
    Ok(Some(registry))
}

/// The routes of the management API, with the MCP endpoints `mcp` at the configured path.
pub(crate) fn routes(
    running: &Running,
    registry: &Registry,
    config: &Config,
    http: HttpConfig,
    mcp: Router,
) -> Option<Router> {
    let (management, section) = (running.management()?, config.management.as_ref()?);
    let (engine, identity) = (running.engine().clone(), management.identity().clone());
    let api = ManagementApi::new(engine, identity, registry.clone())
        .with_audit(management.audit().cloned())
        .with_http(http)
        .with_origins(section.cors_origins.iter().cloned())
        .with_strategy(section.load_balancer.strategy.as_str());
    Some(api.router_with_mcp(&config.http.path, mcp))
}
