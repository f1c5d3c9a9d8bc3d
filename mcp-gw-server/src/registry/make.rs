//! A record of the store becomes a way to a server.

use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::{Backend, Clock};
use mcp_gw_store::{Instance, InstanceSpec, LoadBalancer, ServerTransport, Strategy};
use mcp_gw_upstream::egress::AddressRules;
use mcp_gw_upstream::{
    BalanceConfig, Balanced, CheckTurns, ClientInfo, HealthConfig, HttpServer, HttpServerConfig,
    LogLines, Replica, RetryConfig, StdioServer, StdioServerConfig, Vet,
};
use url::Url;

use super::place::Place;
use super::record::Record;
use crate::config::LONGEST_CALL;
use crate::pins::Guard;
use crate::stored::Children;

/// The most instances of one template that get calls.
pub(crate) const MOST_REPLICAS: usize = 64;
/// The greatest weight.
pub(crate) const HEAVIEST: u32 = 1_000_000;
/// So many instances that are down are checked at a time: of thousands that nobody can reach, each check may take
/// all of its time.
const ILL_AT_ONCE: usize = 64;
/// How long a check of health may take.
const CHECK: Duration = Duration::from_secs(10);

/// Makes places and servers.
pub(crate) struct Workbench {
    addresses: AddressRules,
    children: Children,
    pub(crate) clock: Arc<dyn Clock>,
    check_turns: CheckTurns,
}

impl Workbench {
    pub(crate) fn new(addresses: AddressRules, children: Children, clock: Arc<dyn Clock>) -> Self {
        Self {
            addresses,
            children,
            clock,
            check_turns: CheckTurns::new(ILL_AT_ONCE),
        }
    }

    /// The way to an instance, for the server `name`; `guard` looks at each connection.
    ///
    /// # Errors
    /// With what people should know when there is none.
    pub(crate) fn place(
        &self,
        name: &str,
        timeout: Duration,
        spec: &InstanceSpec,
        record: &Arc<Record>,
        guard: Option<&Arc<Guard>>,
    ) -> Result<Arc<Place>, String> {
        let vet = guard.map(|guard| Arc::clone(guard) as Arc<dyn Vet>);
        let backend = match spec.transport {
            ServerTransport::Http => self.http(name, timeout, spec, vet)?,
            ServerTransport::Stdio => self.stdio(name, timeout, spec, record, vet)?,
            other => return Err(format!("the gateway does not know the transport `{other}`")),
        };
        Ok(Place::new(backend, Arc::clone(record)))
    }

    fn http(
        &self,
        name: &str,
        timeout: Duration,
        spec: &InstanceSpec,
        vet: Option<Arc<dyn Vet>>,
    ) -> Result<Arc<dyn Backend>, String> {
        let endpoint = spec.endpoint.as_deref();
        let endpoint = endpoint.ok_or("it has no `endpoint` to connect to")?;
        let config = HttpServerConfig::new(name, mcp_url(endpoint)?)
            .with_client_info(identity())
            .with_connect_timeout(Duration::from_secs(5))
            .with_timeout(timeout)
            .with_max_total_timeout(LONGEST_CALL.get())
            .with_addresses(self.addresses.clone())
            .with_vet(vet);
        let server = HttpServer::new(&config).map_err(|error| error.to_string())?;
        Ok(Arc::new(server))
    }

    fn stdio(
        &self,
        name: &str,
        timeout: Duration,
        spec: &InstanceSpec,
        record: &Arc<Record>,
        vet: Option<Arc<dyn Vet>>,
    ) -> Result<Arc<dyn Backend>, String> {
        let Some([program, args @ ..]) = spec.command.as_deref() else {
            return Err("it has no `command` to start".to_owned());
        };
        let mut config = StdioServerConfig::new(name, program)
            .with_args(args)
            .with_inherited_env(self.children.env.iter().cloned())
            .with_client_info(identity())
            .with_timeout(timeout)
            .with_max_total_timeout(LONGEST_CALL.get())
            .with_log_lines(Arc::clone(record) as Arc<dyn LogLines>)
            .with_vet(vet);
        if let Some(variables) = &spec.env_vars {
            for (variable, value) in variables.expose() {
                config = config.with_env(variable, value.clone());
            }
        }
        if let Some(folder) = &spec.working_dir {
            config = config.with_cwd(folder);
        }
        if let Some(grace) = self.children.grace {
            config = config.with_grace(grace);
        }
        let server = StdioServer::new(&config).map_err(|error| error.to_string())?;
        Ok(Arc::new(server))
    }

    /// The server `name` over these instances.
    ///
    /// # Errors
    /// With what people should know when there is none.
    pub(crate) fn server(
        &self,
        name: &str,
        balancer: &LoadBalancer,
        members: &[(&Instance, &Arc<Place>)],
    ) -> Result<Arc<Balanced>, String> {
        let checks = HealthConfig::default()
            .with_interval(seconds(balancer.health_check_interval))
            .with_timeout(CHECK)
            .with_thresholds(2, 1);
        let retries = RetryConfig::default().with_attempts(balancer.max_retries.saturating_add(1));
        let config = BalanceConfig::new(name)
            .with_strategy(strategy(balancer.strategy))
            .with_health(Some(checks))
            .with_check_turns(self.check_turns.clone())
            .with_retries(retries);
        let replicas = members.iter().map(|(instance, place)| {
            let weight = share(balancer.strategy, &instance.spec);
            Replica::new(&*instance.id, Arc::new(place.seat())).with_weight(weight)
        });
        let server = Balanced::new(config, replicas.collect(), Arc::clone(&self.clock));
        Ok(Arc::new(server.map_err(|error| error.to_string())?))
    }
}

fn identity() -> ClientInfo {
    ClientInfo::new("mcp-gw", env!("CARGO_PKG_VERSION"))
}

pub(crate) fn seconds(number: u32) -> Duration {
    Duration::from_secs(u64::from(number.max(1)))
}

const fn strategy(name: Strategy) -> mcp_gw_upstream::Strategy {
    match name {
        Strategy::LeastConnections => mcp_gw_upstream::Strategy::LeastConnections,
        Strategy::Weighted => mcp_gw_upstream::Strategy::Repeated,
        Strategy::HealthBased => mcp_gw_upstream::Strategy::HealthBased,
        Strategy::Random => mcp_gw_upstream::Strategy::Random,
        // Round robin, and whatever a later store knows.
        _ => mcp_gw_upstream::Strategy::RoundRobin,
    }
}

/// The share of the calls that an instance gets: only `weighted` looks at weights.
pub(crate) fn share(strategy: Strategy, spec: &InstanceSpec) -> u32 {
    match strategy {
        Strategy::Weighted => weight(spec),
        _ => 1,
    }
}

/// `instance_metadata.weight`, 1 where there is none. What older versions have taken and is no whole number
/// from 1 counts as the next below, and 1 at least.
pub(crate) fn weight(spec: &InstanceSpec) -> u32 {
    let metadata = spec.instance_metadata.as_ref();
    let weight = metadata.and_then(|metadata| metadata.member("weight").ok().flatten());
    let weight = weight.and_then(|weight| weight.as_str().trim().parse::<f64>().ok());
    match weight {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between 1 and a million"
        )]
        Some(weight) if weight >= 1.0 => weight.min(f64::from(HEAVIEST)) as u32,
        _ => 1,
    }
}

/// The address of the MCP endpoint at `endpoint`, which may leave the usual `/mcp` away.
///
/// # Errors
/// With what is wrong with it.
pub(crate) fn mcp_url(endpoint: &str) -> Result<String, String> {
    let mut url = Url::parse(endpoint).map_err(|error| format!("`endpoint`: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("`endpoint` must begin with http:// or https://".to_owned());
    }
    if matches!(url.path(), "" | "/") {
        url.set_path("/mcp");
    }
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::RawJson;

    use super::*;

    #[test]
    fn an_endpoint_may_leave_its_path_away() {
        for (endpoint, url) in [
            ("http://h:1", "http://h:1/mcp"),
            ("http://h:1/", "http://h:1/mcp"),
            ("http://h:1/mcp", "http://h:1/mcp"),
            ("https://h/api/v1/?a=b", "https://h/api/v1/?a=b"),
        ] {
            assert_eq!(mcp_url(endpoint).as_deref(), Ok(url));
        }
        for endpoint in ["", "h:1", "ftp://h", "file:///etc/passwd"] {
            assert!(mcp_url(endpoint).is_err(), "{endpoint}");
        }
    }

    #[test]
    fn a_weight_is_a_number_or_one() {
        for (metadata, expected) in [
            (r#"{"weight":3}"#, 3),
            (r#"{"weight":2.9}"#, 2),
            (r#"{"weight":0}"#, 1),
            (r#"{"weight":-4}"#, 1),
            (r#"{"weight":1e99}"#, HEAVIEST),
            (r#"{"weight":"7"}"#, 1),
            (r#"{"weight":null}"#, 1),
            (r#"{"weight":{}}"#, 1),
            ("{}", 1),
        ] {
            let mut spec = InstanceSpec::new();
            spec.instance_metadata = RawJson::parse(metadata.to_owned()).ok();
            assert_eq!(weight(&spec), expected, "{metadata}");
        }
        assert_eq!(weight(&InstanceSpec::new()), 1);
    }

    #[test]
    fn only_weighted_looks_at_weights() {
        let mut spec = InstanceSpec::new();
        spec.instance_metadata = RawJson::parse(r#"{"weight":3}"#.to_owned()).ok();
        for strategy in Strategy::ALL.iter().copied() {
            let expected = if strategy == Strategy::Weighted { 3 } else { 1 };
            assert_eq!(share(strategy, &spec), expected, "{strategy:?}");
        }
    }
}
