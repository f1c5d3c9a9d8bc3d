//! What goes over the wire: certificates, TLS, plain text, versions of gateways.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use mcp_gw_core::rfc3339;
use serde_json::{Value, json};

use super::{Judge, Rule, Severity, step};
use crate::tools::api7::risk::key::end;
use crate::tools::api7::risk::scan::{Resource, is_public, nodes};
use crate::tools::api7::risk::source::Source;

pub(super) static RULES: &[Rule] = &[
    Rule {
        id: "certificate-expired",
        category: "transmission",
        severity: Severity::Critical,
        title: "A certificate has expired",
        remedy: "Renew the certificate and put the new one in its place.",
        reference: "https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.5",
        needs: &[Source::Certificates, Source::CaCertificates],
        run: expired,
    },
    Rule {
        id: "certificate-expiring",
        category: "transmission",
        severity: Severity::Medium,
        title: "A certificate expires soon",
        remedy: "Renew the certificate before it expires.",
        reference: "https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.5",
        needs: &[Source::Certificates, Source::CaCertificates],
        run: expiring,
    },
    Rule {
        id: "weak-tls-protocol",
        category: "transmission",
        severity: Severity::High,
        title: "An old version of TLS is allowed",
        remedy: "Allow TLSv1.2 and TLSv1.3 only.",
        reference: "https://www.rfc-editor.org/rfc/rfc8996",
        needs: &[Source::Certificates, Source::Snis],
        run: old_tls,
    },
    Rule {
        id: "verification-off",
        category: "transmission",
        severity: Severity::High,
        title: "The certificate of another server is not checked",
        remedy: "Set the member to true, and give the gateway the authority of that server.",
        reference: "https://cwe.mitre.org/data/definitions/295.html",
        needs: &[
            Source::Routes,
            Source::StreamRoutes,
            Source::GlobalRules,
            Source::Credentials,
        ],
        run: unverified,
    },
    Rule {
        id: "plain-upstream",
        category: "transmission",
        severity: Severity::Medium,
        title: "Requests go to a public host without TLS",
        remedy: "Set the scheme of the upstream to https, grpcs or tls.",
        reference: "https://cwe.mitre.org/data/definitions/319.html",
        needs: &[Source::Upstreams],
        run: plain_upstreams,
    },
    Rule {
        id: "no-https-redirect",
        category: "transmission",
        severity: Severity::Low,
        title: "Routes of a service also answer over plain HTTP",
        remedy: "Give the service the plugin redirect with http_to_https, or close the port for HTTP.",
        reference: "https://apisix.apache.org/docs/apisix/plugins/redirect/",
        needs: &[Source::Routes, Source::GlobalRules],
        run: plain_http,
    },
    Rule {
        id: "mixed-gateway-versions",
        category: "transmission",
        severity: Severity::Medium,
        title: "Gateways of one group have different versions",
        remedy: "Bring all instances of the group to one version.",
        reference: "https://docs.api7.ai/enterprise/",
        needs: &[Source::Instances],
        run: mixed_versions,
    },
    Rule {
        id: "old-gateway-version",
        category: "transmission",
        severity: Severity::Medium,
        title: "A gateway is older than it may be",
        remedy: "Upgrade the instance. The least version is min_gateway_version in the configuration of this tool.",
        reference: "https://docs.api7.ai/enterprise/",
        needs: &[Source::Instances],
        run: old_versions,
    },
];

/// When a certificate ends, in seconds since 1970: as the API says, or else as the certificate itself does.
fn end_of(certificate: &Resource) -> Option<(&'static str, i64)> {
    let said = ["exptime", "not_after", "validity_end"].into_iter();
    let mut said = said.filter_map(|name| Some((name, seconds_of(certificate.body.get(name)?)?)));
    said.next().or_else(|| {
        let names = ["cert", "certificate", "certs"].into_iter();
        let all = names.flat_map(|name| {
            let texts = certificate.texts(name).into_iter();
            texts.map(move |pem| Some((name, end(pem)?)))
        });
        // All of them have to be read: another may end before.
        let all: Option<Vec<_>> = all.collect();
        all?.into_iter().min_by_key(|(_, end)| *end)
    })
}

fn seconds_of(value: &Value) -> Option<i64> {
    let seconds = match value {
        Value::Number(number) => match number.as_i64() {
            Some(seconds) => seconds,
            // A float: what is behind the point is less than a second.
            None => format!("{:.0}", number.as_f64()?.trunc()).parse().ok()?,
        },
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    // What counts milliseconds would end after the year 5000.
    let seconds = if seconds > 100_000_000_000 {
        seconds / 1000
    } else {
        seconds
    };
    (seconds > 0).then_some(seconds)
}

fn day(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let text = rfc3339(SystemTime::UNIX_EPOCH + since);
    text.chars().take(10).collect()
}

fn certificates<'a>(judge: &Judge<'a>) -> Vec<&'a Resource> {
    let groups = judge.scan.groups.iter();
    groups
        .flat_map(|group| group.certificates.iter().chain(&group.ca_certificates))
        .collect()
}

const NO_END: &str = "the API does not say when the certificate ends";

fn expired(judge: &mut Judge<'_>) {
    let now = judge.scan.now;
    for certificate in certificates(judge) {
        judge.look();
        match end_of(certificate) {
            None => judge.undecided(NO_END),
            Some((member, end)) if end <= now => {
                let says = format!("it ended on {}", day(end));
                judge.found(certificate, format!("/{member}"), json!(end), says);
            }
            Some(_) => {}
        }
    }
}

fn expiring(judge: &mut Judge<'_>) {
    let now = judge.scan.now;
    let (soon, urgent) = (
        judge.limits.certificate_days,
        judge.limits.certificate_urgent_days,
    );
    for certificate in certificates(judge) {
        judge.look();
        let Some((member, end)) = end_of(certificate) else {
            judge.undecided(NO_END);
            continue;
        };
        let left = end.saturating_sub(now);
        let within = |days: u32| left > 0 && left <= i64::from(days) * 86_400;
        if !within(soon) && !within(urgent) {
            continue;
        }
        let severity = if within(urgent) {
            Severity::High
        } else {
            Severity::Medium
        };
        let says = format!("it ends on {}, in {} days", day(end), left / 86_400);
        judge.found_as(
            severity,
            certificate,
            format!("/{member}"),
            json!(end),
            says,
        );
    }
}

fn old_tls(judge: &mut Judge<'_>) {
    const OLD: [&str; 5] = ["sslv2", "sslv3", "tlsv1", "tlsv1.0", "tlsv1.1"];
    for group in &judge.scan.groups {
        for resource in group.snis.iter().chain(&group.certificates) {
            let protocols = resource.texts("ssl_protocols");
            if protocols.is_empty() {
                // It has what the gateway's own configuration says, which the API does not tell.
                if resource.kind == "sni" {
                    judge.look();
                    judge.undecided("the versions are those of the gateway's own configuration");
                }
                continue;
            }
            judge.look();
            let old: Vec<&str> = protocols
                .into_iter()
                .filter(|name| OLD.contains(&name.to_ascii_lowercase().as_str()))
                .collect();
            if !old.is_empty() {
                let says = format!("{} can be broken", old.join(", "));
                judge.found(resource, "/ssl_protocols", json!(old), says);
            }
        }
    }
}

/// Members that are `false` where a certificate is not checked.
const VERIFY: [&str; 5] = [
    "ssl_verify",
    "tls_verify",
    "verify_ssl",
    "verify_tls",
    "redis_ssl_verify",
];

fn unverified(judge: &mut Judge<'_>) {
    let all: Vec<&Resource> = judge
        .scan
        .with_plugins()
        .chain(judge.scan.proofs())
        .collect();
    for holder in all {
        for (name, settings) in holder.plugins() {
            judge.look();
            let mut fields = Vec::new();
            let at = format!("/plugins/{}", step(name));
            let is_read = walk(settings, &at, &mut fields);
            if !is_read {
                judge.undecided("it cannot be read whether the certificate is checked");
            }
            for field in fields {
                let says = "whoever stands between can pretend to be that server";
                judge.found(holder, field, json!(false), says);
            }
        }
    }
}

/// Finds the members that say no; false when one says neither yes nor no.
fn walk(value: &Value, at: &str, fields: &mut Vec<String>) -> bool {
    let mut is_read = true;
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let below = format!("{at}/{}", step(name));
                match value {
                    Value::Bool(false) if VERIFY.contains(&name.as_str()) => fields.push(below),
                    Value::Bool(_) | Value::Null => {}
                    _ if VERIFY.contains(&name.as_str()) => is_read = false,
                    value => is_read &= walk(value, &below, fields),
                }
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                is_read &= walk(item, &format!("{at}/{number}"), fields);
            }
        }
        _ => {}
    }
    is_read
}

fn plain_upstreams(judge: &mut Judge<'_>) {
    for (_, service) in judge.scan.services() {
        for (upstream, at) in service.all_upstreams() {
            judge.look();
            // Without a scheme it is http; of a stream service, tcp.
            let scheme = upstream.text("scheme").unwrap_or("http");
            if !matches!(scheme, "http" | "grpc" | "tcp" | "kafka") {
                continue;
            }
            let Some(nodes) = nodes(&upstream.body) else {
                judge.undecided("the nodes are looked up elsewhere");
                continue;
            };
            if let Some(node) = nodes.iter().find(|node| is_public(&node.host)) {
                // A name and a password before it are nobody's business.
                let host = node.host.rsplit('@').next().unwrap_or_default();
                let says = format!("{scheme} to {host}, which is no private address or name");
                judge.found(&upstream, format!("{at}/scheme"), json!(scheme), says);
            } else if has_odd_node(&upstream.body) {
                judge.undecided("a node cannot be read");
            }
        }
    }
}

fn has_odd_node(upstream: &Value) -> bool {
    let nodes = upstream.get("nodes").and_then(Value::as_array);
    let is_odd = |node: &Value| !node.get("host").is_some_and(Value::is_string);
    nodes.into_iter().flatten().any(is_odd)
}

fn plain_http(judge: &mut Judge<'_>) {
    let redirects = |resource: &Resource| {
        let plugin = resource.plugin("redirect");
        plugin.and_then(|redirect| redirect.get("http_to_https")?.as_bool()) == Some(true)
    };
    for (group, service) in judge.scan.services() {
        if service.is_stream() || service.routes.is_empty() {
            continue;
        }
        judge.look();
        if redirects(&service.resource) || group.global_rules.iter().any(redirects) {
            continue;
        }
        let open = service
            .routes
            .iter()
            .filter(|route| !redirects(route))
            .count();
        if open == 0 {
            continue;
        }
        if group.missing.contains(&Source::GlobalRules) {
            judge.undecided("the global rules of the gateway group are not known");
            continue;
        }
        let says = format!(
            "{open} of {} routes have no redirect to HTTPS",
            service.routes.len()
        );
        judge.found(&service.resource, "/plugins/redirect", Value::Null, says);
    }
}

/// The numbers of a version: `3.8.0`.
pub(crate) fn numbers(version: &str) -> Option<Vec<u64>> {
    let text = version.trim().trim_start_matches(['v', 'V']);
    let text = text.split(['-', '+', ' ']).next()?;
    text.split('.').map(|part| part.parse().ok()).collect()
}

/// `-rc1` of `3.8.0-rc1`; how it was built (`+…`) makes no other version.
fn suffix(version: &str) -> String {
    let text = version.trim().split(['+', ' ']).next().unwrap_or_default();
    text.split_once('-')
        .map_or_else(String::new, |(_, suffix)| format!("-{suffix}"))
}

fn mixed_versions(judge: &mut Judge<'_>) {
    for group in &judge.scan.groups {
        // With what is behind the numbers: a candidate is another version.
        let mut versions: BTreeMap<(Vec<u64>, String), Vec<&str>> = BTreeMap::new();
        for instance in &group.instances {
            judge.look();
            let text = instance.text("version");
            match text.and_then(|text| Some((numbers(text)?, suffix(text)))) {
                Some(version) => versions.entry(version).or_default().push(&instance.id),
                None => judge.undecided("the version of an instance is not known"),
            }
        }
        if versions.len() > 1 {
            let shown: Vec<String> = versions
                .iter()
                .map(|((version, suffix), who)| {
                    format!("{}{suffix} ({})", dotted(version), who.len())
                })
                .collect();
            let says = format!("{} versions: {}", versions.len(), shown.join(", "));
            let found: Vec<String> = versions
                .keys()
                .map(|(version, suffix)| format!("{}{suffix}", dotted(version)))
                .collect();
            judge.found(&group.resource, "/instances", json!(found), says);
        }
    }
}

fn dotted(version: &[u64]) -> String {
    let parts: Vec<String> = version.iter().map(u64::to_string).collect();
    parts.join(".")
}

fn old_versions(judge: &mut Judge<'_>) {
    let Some(least) = judge.limits.min_gateway_version.as_deref() else {
        return;
    };
    let Some(wanted) = numbers(least) else {
        judge.look();
        judge.undecided("min_gateway_version is no version like 3.8.0");
        return;
    };
    for group in &judge.scan.groups {
        for instance in &group.instances {
            judge.look();
            let Some(text) = instance.text("version") else {
                judge.undecided("the version of an instance is not known");
                continue;
            };
            match numbers(text) {
                Some(version) if version < wanted => {
                    let says = format!("it is older than {least}");
                    judge.found(instance, "/version", json!(text), says);
                }
                Some(_) => {}
                None => judge.undecided("the version of an instance is not known"),
            }
        }
    }
}
