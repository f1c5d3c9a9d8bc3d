//! The management API of the program, once its gateway runs: the servers in its database, and its routes.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use mcp_gw_server::Running;
use mcp_gw_server::config::Config;
use mcp_gw_server::config::ManagementConfig;
use mcp_gw_server::registry::{Registry, RegistryOptions};
use mcp_gw_server::store::Strategy;

use crate::management::ManagementApi;
use crate::router::HttpConfig;

/// Puts the servers of that database behind the gateway.
pub(crate) async fn start(running: &Running, config: &Config) -> anyhow::Result<Option<Registry>> {
    let (Some(management), Some(section)) = (running.management(), &config.management) else {
        return Ok(None);
    };
    let options = options(section);
    let store = Arc::clone(management.store());
    let registry = Registry::start(running, store, options).await;
    let registry = registry.context("the servers in the database cannot be read")?;
    Ok(Some(registry))
}

fn options(section: &ManagementConfig) -> RegistryOptions {
    let mut options = RegistryOptions::new();
    options
        .allowed_commands
        .clone_from(&section.allowed_commands);
    options.local_commands = section.local_commands;
    options.addresses = options.addresses.with_private(section.allow_private);
    let (balancer, said) = (&mut options.load_balancer, &section.load_balancer);
    balancer.strategy = Strategy::from_name(said.strategy.as_str()).unwrap_or_default();
    balancer.health_check_interval = said.health_check_interval;
    options
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
        .with_authentication(config.is_keyed())
        .with_strategy(section.load_balancer.strategy.as_str());
    Some(api.router_with_mcp(&config.http.path, mcp))
}

#[cfg(test)]
mod tests {
    use mcp_gw_server::config::SpreadName;

    use super::*;

    #[test]
    fn the_section_says_what_servers_may_be_and_how_calls_are_spread() {
        let mut section = ManagementConfig::default();
        section.allowed_commands = vec!["uvx".to_owned()];
        section.load_balancer.health_check_interval = 7;
        for name in [
            SpreadName::RoundRobin,
            SpreadName::LeastConnections,
            SpreadName::Weighted,
            SpreadName::HealthBased,
            SpreadName::Random,
        ] {
            section.load_balancer.strategy = name;
            let options = options(&section);
            let balancer = options.load_balancer;
            assert_eq!(balancer.strategy.as_str(), name.as_str());
            assert_eq!(balancer.health_check_interval, 7);
            assert_eq!(options.allowed_commands, ["uvx"]);
        }
    }
}
