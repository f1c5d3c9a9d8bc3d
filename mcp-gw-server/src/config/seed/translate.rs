//! The file of API Gateway MCP made into a configuration.

use std::net::{IpAddr, SocketAddr};

use mcp_gw_policy::{IpConfig, IpRules, PolicyConfig};

use super::apis::Listed;
use super::env::Variables;
use super::file::{
    Authentication, MetricsPart, Monitoring, RequestValidation, Security, SeedFile, SeedKey,
    ServerPart, TokenValidation,
};
use super::map::Places;
use crate::config::check::Checker;
use crate::config::fault::Fault;
use crate::config::path::ConfigPath;
use crate::config::types::Config;

/// A section, and where it stands.
#[derive(Debug)]
pub(super) struct Found<'f, T> {
    pub(super) path: ConfigPath,
    pub(super) value: &'f T,
}

impl<'f, T> Found<'f, T> {
    /// The one that is there; a second one is a fault.
    pub(super) fn one<const N: usize>(
        checker: &mut Checker<'_>,
        places: [(ConfigPath, Option<&'f T>); N],
    ) -> Option<Self> {
        let places = places.into_iter();
        let mut found = places.filter_map(|(path, value)| Some((path, value?)));
        let (path, value) = found.next()?;
        if let Some((other, _)) = found.next() {
            let message = format!("`{path}` says it, too");
            checker.key_fault(&other, message, "keep one of the two");
        }
        Some(Self { path, value })
    }
}

/// A configuration that is being made.
pub(super) struct Translation<'a, 'c> {
    pub(super) checker: &'a mut Checker<'c>,
    pub(super) variables: &'a Variables,
    pub(super) config: Config,
    pub(super) places: Places,
    pub(super) of_env: Vec<Fault>,
}

/// What a file means.
pub(super) struct Translated {
    pub(super) config: Config,
    pub(super) places: Places,
    /// Faults of variables: they are at no place of the file.
    pub(super) of_env: Vec<Fault>,
}

/// What a file means. What cannot be translated is told to `checker`.
pub(super) fn translate(
    checker: &mut Checker<'_>,
    file: &SeedFile,
    variables: &Variables,
) -> Translated {
    let root = ConfigPath::root();
    let gateway = root.key("api_gateway");
    let inner = &file.api_gateway;
    let rates = [
        (gateway.key("rate_limits"), inner.rate_limits.as_ref()),
        (root.key("rate_limits"), file.rate_limits.as_ref()),
    ];
    let rates = Found::one(checker, rates);
    let auth = [
        (root.key("authentication"), file.authentication.as_ref()),
        (gateway.key("authentication"), inner.authentication.as_ref()),
    ];
    let auth = Found::one(checker, auth);
    let security = [
        (root.key("security"), file.security.as_ref()),
        (gateway.key("security"), inner.security.as_ref()),
    ];
    let security = Found::one(checker, security);
    let mut it = Translation {
        checker,
        variables,
        config: Config::default().with_policy(PolicyConfig::allow()),
        places: Places::default(),
        of_env: Vec::new(),
    };
    it.server(&file.server, &root.key("server"));
    let chosen = it.choose(&inner.allowed_apis, &gateway.key("allowed_apis"));
    let listed: Vec<Listed> = chosen.listed;
    it.rates(rates.as_ref(), &listed, &chosen.left_out);
    it.authentication(file, auth.as_ref(), &listed, &chosen.left_out);
    it.security(security.as_ref());
    let validation = [
        (
            root.key("request_validation"),
            file.request_validation.as_ref(),
        ),
        below(security.as_ref(), "request_validation", |it| {
            it.request_validation.as_ref()
        }),
        (
            gateway.key("request_validation"),
            inner.request_validation.as_ref(),
        ),
    ];
    let validation = Found::one(it.checker, validation);
    it.validation(validation.as_ref());
    if let Some(monitoring) = monitoring(it.checker, file) {
        let path = monitoring.path.key("metrics");
        it.metrics(monitoring.value.metrics.as_ref(), &path);
    }
    it.exposure(&root.key("server").key("host"));
    Translated {
        config: it.config,
        places: it.places,
        of_env: it.of_env,
    }
}

impl Translation<'_, '_> {
    fn server(&mut self, server: &ServerPart, path: &ConfigPath) {
        let root = ConfigPath::root();
        let config = &mut self.config;
        config.name = server
            .name
            .clone()
            .unwrap_or_else(|| "api-gateway-mcp".to_owned());
        config.version.clone_from(&server.version);
        config.http.insecure = server.insecure;
        config
            .http
            .trusted_proxies
            .clone_from(&server.trusted_proxies);
        let port = server.port.unwrap_or(3000);
        let host = server.host.as_deref().unwrap_or("localhost");
        if let Some(ip) = address(host) {
            config.http.listen = SocketAddr::new(ip, port).to_string();
        } else {
            let at = path.key("host");
            let shown = self.checker.shown(&at, host);
            let message = format!("{shown} is not an address to listen on");
            let help = "write `localhost`, or an IP address such as `0.0.0.0`";
            self.checker.fault(&at, message, help);
        }
        let http = root.key("http");
        for (ours, theirs) in [
            (root.key("name"), path.key("name")),
            (root.key("version"), path.key("version")),
            (http.key("listen"), path.key("host")),
            (http.key("insecure"), path.key("insecure")),
            (http.key("trusted_proxies"), path.key("trusted_proxies")),
        ] {
            self.places.put(ours, theirs);
        }
    }

    /// Reports a gateway that others reach and that asks nobody who they are.
    fn exposure(&mut self, at: &ConfigPath) {
        let (http, auth) = (&self.config.http, &self.config.auth);
        let is_here = http.listen_address().is_none_or(|it| it.ip().is_loopback());
        let is_known = auth.has_credentials() && !auth.anonymous;
        if is_here || is_known || http.insecure {
            return;
        }
        let root = ConfigPath::root();
        let sections = ["server", "authentication", "token_validation", "api_keys"];
        let values = sections.map(|key| root.key(key)).into();
        let message = "the gateway would listen beyond this machine and let everybody in";
        let help = "write `authentication: { required: true, … }`, or `host: localhost`, or \
                    `insecure: true` if something in front of it checks who calls";
        self.checker.fault_of(at, values, message, help);
    }

    /// Which addresses may come at all.
    fn security(&mut self, security: Option<&Found<'_, Security>>) {
        let Some(Found { path, value }) = security else {
            return;
        };
        let ours = ConfigPath::root().key("policy").key("ip");
        let allow = [
            (path.key("ip_whitelist"), value.ip_whitelist.as_ref()),
            (path.key("ip_allowlist"), value.ip_allowlist.as_ref()),
        ];
        let deny = [
            (path.key("ip_blacklist"), value.ip_blacklist.as_ref()),
            (path.key("ip_denylist"), value.ip_denylist.as_ref()),
        ];
        let mut ip = IpConfig::default();
        if let Some(found) = Found::one(self.checker, deny) {
            ip.deny.clone_from(found.value);
            self.places.put(ours.key("deny"), found.path);
        }
        if let Some(found) = Found::one(self.checker, allow) {
            // An empty list names nobody who is meant to be kept out.
            ip.allow = Some(found.value.clone()).filter(|list| !list.is_empty());
            self.reachable(&ip, &found.path);
            self.places.put(ours.key("allow"), found.path);
        }
        self.config.policy.ip = ip;
    }

    /// Tells of a list that keeps everybody out who can reach the address.
    fn reachable(&mut self, ip: &IpConfig, path: &ConfigPath) {
        let http = &self.config.http;
        let Some(address) = http.listen_address() else {
            return;
        };
        let Ok(rules) = IpRules::compile(ip) else {
            return;
        };
        let is_reached = !address.ip().is_loopback()
            || rules.permits(Some(address.ip()))
            || !http.trusted_proxies.is_empty();
        if !is_reached {
            let message = "nobody gets in: the gateway listens on this machine alone, whose own \
                           address is not in the list";
            let help = "add `127.0.0.1`, or write another `server.host`, or name the proxy in front \
                        of the gateway in `server.trusted_proxies`; over standard streams clients \
                        have no address: leave the list out";
            self.checker.remark(path, message, help);
        }
    }

    fn validation(&mut self, validation: Option<&Found<'_, RequestValidation>>) {
        let Some(Found { path, value }) = validation else {
            return;
        };
        let http = ConfigPath::root().key("http");
        let size = path.key("max_body_size");
        let types = path.key("allowed_content_types");
        if let Some(bytes) = value.max_body_size {
            self.config.http.max_body_size = bytes;
            if bytes.bytes() == 0 {
                let help = "write at least `1KiB`, or remove the key";
                let message = "a size of zero lets no request in";
                self.checker.fault(&size, message, help);
            }
        }
        self.places.put(http.key("max_body_size"), size.clone());
        for (name, api) in &mut self.config.apis {
            let ours = ConfigPath::root().key("apis").key(name);
            if let Some(size_of_all) = value.max_body_size {
                api.max_body_size = size_of_all;
                self.places.put(ours.key("max_body_size"), size.clone());
            }
            if let Some(all) = &value.allowed_content_types {
                api.content_types.clone_from(all);
                self.places.put(ours.key("content_types"), types.clone());
            }
        }
    }

    fn metrics(&mut self, metrics: Option<&MetricsPart>, path: &ConfigPath) {
        let Some(metrics) = metrics else {
            return;
        };
        let ours = ConfigPath::root().key("metrics");
        self.places.put(ours, path.clone());
        match (metrics.enabled, metrics.prometheus) {
            (true, Some(true)) => {
                self.config.metrics.listen = Some(METRICS.to_owned());
                // The file cannot say another address, and two gateways may run on one machine.
                self.config.metrics.is_optional = true;
            }
            (true, _) => {
                let message = "metrics are shown nowhere without `prometheus: true`";
                let help = "add it, or remove the section";
                self.checker.remark(path, message, help);
            }
            (false, Some(true)) => {
                let message = "without `enabled: true` there are no metrics";
                let help = "write `enabled: true`, or remove the key";
                let at = path.key("prometheus");
                self.checker.remark(&at, message, help);
            }
            (false, _) => {}
        }
    }

    /// The sections about keys and tokens, wherever they stand.
    pub(super) fn parts<'f>(
        &mut self,
        file: &'f SeedFile,
        auth: Option<&Found<'f, Authentication>>,
    ) -> (
        Option<Found<'f, TokenValidation>>,
        Option<Found<'f, Vec<SeedKey>>>,
    ) {
        let root = ConfigPath::root();
        let (gateway, inner) = (root.key("api_gateway"), &file.api_gateway);
        let tokens = [
            (root.key("token_validation"), file.token_validation.as_ref()),
            below(auth, "token_validation", |it| it.token_validation.as_ref()),
            (
                gateway.key("token_validation"),
                inner.token_validation.as_ref(),
            ),
        ];
        let keys = [
            (root.key("api_keys"), file.api_keys.as_ref()),
            below(auth, "api_keys", |it| it.api_keys.as_ref()),
            (gateway.key("api_keys"), inner.api_keys.as_ref()),
        ];
        (
            Found::one(self.checker, tokens),
            Found::one(self.checker, keys),
        )
    }
}

/// What is said of metrics and alerts, wherever it stands.
pub(super) fn monitoring<'f>(
    checker: &mut Checker<'_>,
    file: &'f SeedFile,
) -> Option<Found<'f, Monitoring>> {
    let root = ConfigPath::root();
    let places = [
        (root.key("monitoring"), file.monitoring.as_ref()),
        (
            root.key("api_gateway").key("monitoring"),
            file.api_gateway.monitoring.as_ref(),
        ),
    ];
    Found::one(checker, places)
}

/// A part of a section that may be there.
pub(super) fn below<'f, S, T>(
    section: Option<&Found<'f, S>>,
    key: &str,
    part: impl FnOnce(&'f S) -> Option<&'f T>,
) -> (ConfigPath, Option<&'f T>) {
    match section {
        Some(Found { path, value }) => (path.key(key), part(value)),
        None => (ConfigPath::root(), None),
    }
}

/// The address that a host means: names other than that of this machine are none.
fn address(host: &str) -> Option<IpAddr> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(IpAddr::from([127, 0, 0, 1]));
    }
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    inner.unwrap_or(host).parse().ok()
}

/// Where Prometheus finds metrics; the file does not say.
const METRICS: &str = "127.0.0.1:9464";
