//! What was read for a scan, and what rules ask of it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::tools::api7::metrics::Series;
use crate::tools::api7::risk::source::Source;

/// A resource as the API writes it, and where it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resource {
    pub(crate) kind: &'static str,
    /// Empty for what is in no gateway group.
    pub(crate) group: String,
    /// The service of a route or an upstream, the consumer of a credential.
    pub(crate) owner: Option<String>,
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) body: Value,
}

impl Resource {
    pub(crate) fn new(kind: &'static str, group: &str, owner: Option<&str>, body: Value) -> Self {
        let text = |name: &str| match body.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        // A consumer is known by its username.
        let id = if kind == "consumer" {
            text("username").or_else(|| text("id"))
        } else {
            text("id").or_else(|| text("username"))
        };
        let name = ["name", "hostname", "common_name"]
            .iter()
            .find_map(|name| text(name));
        Self {
            kind,
            group: group.to_owned(),
            owner: owner.map(str::to_owned),
            id: id.or_else(|| name.clone()).unwrap_or_default(),
            name,
            body,
        }
    }

    /// The text of a member.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name)?.as_str()
    }

    /// The texts of a list, or of a single one.
    pub(crate) fn texts(&self, name: &str) -> Vec<&str> {
        match self.body.get(name) {
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(text)) => vec![text],
            _ => Vec::new(),
        }
    }

    /// The plugins that are switched on.
    pub(crate) fn plugins(&self) -> impl Iterator<Item = (&str, &Value)> {
        let plugins = self.body.get("plugins").and_then(Value::as_object);
        plugins
            .into_iter()
            .flatten()
            .filter(|(_, settings)| {
                settings.pointer("/_meta/disable").and_then(Value::as_bool) != Some(true)
            })
            .map(|(name, settings)| (name.as_str(), settings))
    }

    /// Why it cannot be told which plugins there are.
    pub(crate) fn odd_plugins(&self) -> Option<&'static str> {
        let is_none = |value: &Value| match value {
            Value::Null | Value::Object(_) => true,
            // Lua knows no difference between an empty list and an empty object.
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        let is_read = self.body.get("plugins").is_none_or(is_none);
        (!is_read).then_some("its plugins cannot be read")
    }

    pub(crate) fn plugin(&self, name: &str) -> Option<&Value> {
        self.plugins().find(|(n, _)| *n == name).map(|(_, s)| s)
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Service {
    pub(crate) resource: Resource,
    pub(crate) routes: Vec<Resource>,
    pub(crate) stream_routes: Vec<Resource>,
    pub(crate) upstreams: Vec<Resource>,
    /// What health checks say, as the API writes it.
    pub(crate) health: Option<Value>,
}

impl Service {
    pub(crate) fn is_stream(&self) -> bool {
        self.resource.text("type") == Some("stream")
    }

    /// The id of what it was published from.
    pub(crate) fn template(&self) -> Option<&str> {
        let names = ["service_template_id", "template_id", "service_id"].iter();
        let mut ids = names.filter_map(|name| self.resource.text(name));
        ids.find(|id| !id.is_empty())
    }

    /// Whether an upstream has health checks.
    pub(crate) fn has_checks(&self) -> bool {
        let checks = |body: &Value| {
            let checks = body.get("checks").and_then(Value::as_object);
            checks.is_some_and(|checks| !checks.is_empty())
        };
        self.resource.body.get("upstream").is_some_and(checks)
            || self.upstreams.iter().any(|upstream| checks(&upstream.body))
    }

    /// The upstream within the service and those beside it, each once, with where it is in the resource.
    pub(crate) fn all_upstreams(&self) -> Vec<(Resource, &'static str)> {
        let mut all = Vec::new();
        if let Some(body @ Value::Object(members)) = self.resource.body.get("upstream")
            && !members.is_empty()
        {
            let id = body.get("id").and_then(Value::as_str);
            let is_known = |known: &Resource| {
                id.is_some_and(|id| known.id == id) || known.body.get("nodes") == body.get("nodes")
            };
            if !self.upstreams.iter().any(is_known) {
                let inline = Resource {
                    body: body.clone(),
                    ..self.resource.clone()
                };
                all.push((inline, "/upstream"));
            }
        }
        all.extend(self.upstreams.iter().map(|upstream| (upstream.clone(), "")));
        all
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Consumer {
    pub(crate) resource: Resource,
    pub(crate) credentials: Vec<Resource>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Group {
    pub(crate) resource: Resource,
    pub(crate) services: Vec<Service>,
    pub(crate) global_rules: Vec<Resource>,
    pub(crate) certificates: Vec<Resource>,
    pub(crate) ca_certificates: Vec<Resource>,
    pub(crate) snis: Vec<Resource>,
    pub(crate) consumers: Vec<Consumer>,
    pub(crate) instances: Vec<Resource>,
    /// What could not be read, or not all of it.
    pub(crate) missing: BTreeSet<Source>,
}

/// All that was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scan {
    pub(crate) groups: Vec<Group>,
    pub(crate) custom_plugins: Vec<Resource>,
    pub(crate) roles: Vec<Resource>,
    pub(crate) policies: Vec<Resource>,
    pub(crate) users: Vec<Resource>,
    /// Requests by gateway group and status.
    pub(crate) traffic: Option<Vec<Series>>,
    pub(crate) traffic_before: Option<Vec<Series>>,
    /// Seconds since 1970.
    pub(crate) now: i64,
    pub(crate) missing: BTreeSet<Source>,
}

/// A route with what holds for it: its service and its gateway group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Served<'a> {
    pub(crate) group: &'a Group,
    pub(crate) service: &'a Service,
    pub(crate) route: &'a Resource,
}

impl Scan {
    /// All HTTP routes that are switched on.
    pub(crate) fn routes(&self) -> impl Iterator<Item = Served<'_>> {
        let is_on =
            |resource: &Resource| resource.body.get("status").and_then(Value::as_i64) != Some(0);
        let served = self.services().flat_map(|(group, service)| {
            let routes = service.routes.iter();
            routes.map(move |route| Served {
                group,
                service,
                route,
            })
        });
        served
            .filter(|served| !served.service.is_stream())
            .filter(move |served| is_on(served.route) && is_on(&served.service.resource))
    }

    pub(crate) fn services(&self) -> impl Iterator<Item = (&Group, &Service)> {
        let groups = self.groups.iter();
        groups.flat_map(|group| group.services.iter().map(move |service| (group, service)))
    }

    /// All that can hold plugins that run for requests.
    pub(crate) fn with_plugins(&self) -> impl Iterator<Item = &Resource> {
        self.groups.iter().flat_map(|group| {
            let services = group.services.iter().flat_map(|service| {
                let routes = service.routes.iter().chain(&service.stream_routes);
                std::iter::once(&service.resource).chain(routes)
            });
            group.global_rules.iter().chain(services)
        })
    }

    /// Consumers and their credentials.
    pub(crate) fn proofs(&self) -> impl Iterator<Item = &Resource> {
        let consumers = self.groups.iter().flat_map(|group| &group.consumers);
        consumers.flat_map(|one| std::iter::once(&one.resource).chain(&one.credentials))
    }
}

impl<'a> Served<'a> {
    /// The plugins that run for it, with who holds them.
    pub(crate) fn plugins(
        &self,
    ) -> impl Iterator<Item = (&'a Resource, &'a str, &'a Value)> + use<'a> {
        let (route, service) = (self.route, &self.service.resource);
        let holders = [route, service].into_iter();
        let holders = holders.chain(&self.group.global_rules);
        holders.flat_map(move |holder| {
            // What the route says of a plugin, also that it is off, is said instead of what the service says.
            let is_hidden = move |name: &str| {
                std::ptr::eq(holder, service)
                    && route
                        .body
                        .pointer("/plugins")
                        .is_some_and(|all| all.get(name).is_some())
            };
            holder
                .plugins()
                .filter(move |(name, _)| !is_hidden(name))
                .map(move |(name, settings)| (holder, name, settings))
        })
    }

    /// Why it cannot be told which plugins there are.
    pub(crate) fn odd_plugins(&self) -> Option<&'static str> {
        let elsewhere = self.route.body.get("plugin_config_id");
        if elsewhere.is_some_and(|id| !id.is_null() && *id != "") {
            return Some("some of its plugins are kept elsewhere (plugin_config_id)");
        }
        let holders = [self.route, &self.service.resource].into_iter();
        let mut holders = holders.chain(&self.group.global_rules);
        holders.find_map(Resource::odd_plugins)
    }

    /// Whole paths, with the prefix of the service.
    pub(crate) fn paths(&self) -> Vec<String> {
        let prefix = self
            .service
            .resource
            .text("path_prefix")
            .unwrap_or_default();
        let prefix = prefix.trim_end_matches('/');
        ["paths", "uris", "uri"]
            .iter()
            .flat_map(|name| self.route.texts(name))
            .map(|path| format!("{prefix}{path}"))
            .collect()
    }

    /// Host names; `*` when all are served.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let of = |resource: &Resource| -> Vec<String> {
            let names = ["hosts", "host"].iter();
            let all = names.flat_map(|name| resource.texts(name));
            all.map(str::to_ascii_lowercase).collect()
        };
        let own = of(self.route);
        let hosts = if own.is_empty() {
            of(&self.service.resource)
        } else {
            own
        };
        if hosts.is_empty() {
            vec!["*".to_owned()]
        } else {
            hosts
        }
    }

    /// Methods in capitals; none when all are served.
    pub(crate) fn methods(&self) -> BTreeSet<String> {
        let methods = self.route.texts("methods").into_iter();
        methods.map(str::to_ascii_uppercase).collect()
    }

    /// Whether something can be changed through it.
    pub(crate) fn is_writing(&self) -> bool {
        let methods = self.methods();
        methods.is_empty()
            || methods
                .iter()
                .any(|method| !matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS"))
    }

    /// The first path that has one of these words as a segment or a part of one.
    pub(crate) fn path_with(&self, words: &[String]) -> Option<(String, String)> {
        self.paths().into_iter().find_map(|path| {
            let word = words.iter().find(|word| {
                path.split('/').any(|segment| {
                    segment.eq_ignore_ascii_case(word)
                        || segment
                            .split(['-', '_', '.'])
                            .any(|part| part.eq_ignore_ascii_case(word))
                })
            });
            word.map(|word| (path, word.clone()))
        })
    }
}

/// A node of an upstream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) host: String,
    pub(crate) weight: Option<i64>,
}

/// The nodes of an upstream; `None` when they are looked up elsewhere.
pub(crate) fn nodes(upstream: &Value) -> Option<Vec<Node>> {
    match upstream.get("nodes")? {
        Value::Array(items) => Some(
            items
                .iter()
                .filter_map(|node| {
                    Some(Node {
                        host: node.get("host")?.as_str()?.to_owned(),
                        weight: node.get("weight").and_then(Value::as_i64),
                    })
                })
                .collect(),
        ),
        Value::Object(members) => Some(of_map(members)),
        _ => None,
    }
}

/// `{"host:port": weight}`.
fn of_map(members: &Map<String, Value>) -> Vec<Node> {
    let nodes = members.iter().map(|(address, weight)| {
        let host = match address.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => address,
        };
        Node {
            host: host.to_owned(),
            weight: weight.as_i64(),
        }
    });
    nodes.collect()
}

/// Whether a host is out in the world: no private address, no name that only a network of one's own knows.
pub(crate) fn is_public(host: &str) -> bool {
    let host = host.rsplit('@').next().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = host.parse::<IpAddr>() {
        return match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, ..] = v4.octets();
                let is_shared = a == 100 && (64..128).contains(&b);
                !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || is_shared || a == 0)
            }
            IpAddr::V6(v6) => {
                !(v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local())
            }
        };
    }
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is_inner = [
        ".local",
        ".internal",
        ".svc",
        ".lan",
        ".localhost",
        ".home.arpa",
        ".intranet",
    ]
    .iter()
    .any(|end| host.ends_with(end));
    host.contains('.') && !is_inner
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn public_hosts_are_told_from_others() {
        for host in [
            "8.8.8.8",
            "api.example.com",
            "2606:4700::1",
            "[2606:4700::1]",
        ] {
            assert!(is_public(host), "{host}");
        }
        for host in [
            "10.0.0.1",
            "127.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "::1",
            "::ffff:10.0.0.1",
            "fd00::1",
            "localhost",
            "db",
            "users.default.svc",
            "x.svc.cluster.local",
            "a.internal",
        ] {
            assert!(!is_public(host), "{host}");
        }
    }

    #[test]
    fn nodes_are_read_in_both_shapes() {
        let list = json!({"nodes": [{"host": "a", "port": 1, "weight": 0}, {"port": 2}]});
        let map = json!({"nodes": {"a:80": 0}});
        let expected = vec![Node {
            host: "a".to_owned(),
            weight: Some(0),
        }];
        assert_eq!(nodes(&list), Some(expected));
        assert_eq!(nodes(&map), nodes(&list));
        assert_eq!(nodes(&json!({"service_name": "x"})), None);
    }

    #[test]
    fn a_plugin_that_is_switched_off_is_none() {
        let body = json!({"id": 7, "plugins": {"a": {"_meta": {"disable": true}}, "b": {}}});
        let resource = Resource::new("route", "g", None, body);
        let names: Vec<&str> = resource.plugins().map(|(name, _)| name).collect();
        assert_eq!((names, &*resource.id), (vec!["b"], "7"));
    }
}
