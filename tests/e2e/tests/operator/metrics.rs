//! Metrics, as Prometheus reads them from the real servers.

use std::collections::{BTreeMap, BTreeSet};

use super::run;
use crate::support::client::{ERAS, Era};
use crate::support::http::Endpoint;
use crate::support::setup::{Folder, Odd, Running, Setup};
use crate::support::{HTTP_BIN, STDIO_BIN};

const METRICS: &str = "metrics: { listen: \"127.0.0.1:0\" }";

/// Where a gateway says that its metrics are.
fn metrics_of(gateway: &Running) -> Endpoint {
    let line = gateway.process.stderr.with("metrics at http://");
    let url = line.split("metrics at ").nth(1).unwrap();
    Endpoint::at(url.split(['"', ' ']).next().unwrap())
}

/// Names and values, in their order.
type Labels = Vec<(String, String)>;

/// A family: its type, and its samples by name and labels.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    samples: BTreeMap<(String, Labels), f64>,
}

/// A small reader of both formats, which takes nothing that Prometheus would refuse.
fn read(text: &str, is_open: bool) -> BTreeMap<String, Family> {
    let body = match text.strip_suffix("# EOF\n") {
        Some(body) if is_open => body,
        None if !is_open => text,
        _ => panic!("the end of {text}"),
    };
    assert!(body.ends_with('\n'));
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let (mut helped, mut current) = (None, String::new());
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, says) = help.split_once(' ').expect("a help text");
            assert!(!says.is_empty() && helped.is_none(), "{line}");
            helped = Some(name.to_owned());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert_eq!(helped.take().as_deref(), Some(name), "{line}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            current = name.to_owned();
            let family = Family {
                kind: kind.to_owned(),
                ..Family::default()
            };
            assert!(families.insert(current.clone(), family).is_none(), "{line}");
        } else {
            let (name, labels, value) = sample(line);
            let family = families.get_mut(&current).expect("a family");
            let suffixes: &[&str] = match &*family.kind {
                "counter" if is_open => &["_total"],
                "histogram" => &["_bucket", "_count", "_sum"],
                _ => &[""],
            };
            let is_its = suffixes.iter().any(|end| name == format!("{current}{end}"));
            assert!(is_its, "{line} in {current}");
            let is_new = family.samples.insert((name, labels), value).is_none();
            assert!(is_new, "twice: {line}");
        }
    }
    assert!(helped.is_none());
    for (name, family) in &families {
        if family.kind == "counter" {
            assert!(is_open || name.ends_with("_total"), "{name}");
            assert!(family.samples.values().all(|value| *value >= 0.0));
        }
        if family.kind == "histogram" {
            check_histogram(name, family);
        }
    }
    families
}

/// `name{label="value",…} number`.
fn sample(line: &str) -> (String, Labels, f64) {
    let is_name = |name: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !name.is_empty()
            && name.chars().all(good)
            && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    let end = line.find(['{', ' ']).expect("a value");
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").expect("a label");
            assert!(is_name(label), "{line}");
            let (mut value, mut chars) = (String::new(), after.char_indices());
            let end = loop {
                match chars.next().expect("a closing quote") {
                    (at, '"') => break at,
                    (_, '\\') => match chars.next().expect("an escaped character").1 {
                        'n' => value.push('\n'),
                        c @ ('\\' | '"') => value.push(c),
                        c => panic!("\\{c} in {line}"),
                    },
                    (_, c) => value.push(c),
                }
            };
            labels.push((label.to_owned(), value));
            rest = after.get(end + 1..).expect("more after a label");
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').expect("a closing brace");
    }
    let names: BTreeSet<_> = labels.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), labels.len(), "{line}");
    labels.sort();
    let value = rest.strip_prefix(' ').expect("a blank");
    let value = value.replace("+Inf", "inf");
    (name.to_owned(), labels, value.parse().expect("a number"))
}

/// Buckets grow, and the last one is the count.
fn check_histogram(name: &str, family: &Family) {
    let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for ((sample, labels), count) in &family.samples {
        if *sample == format!("{name}_bucket") {
            let (bound, rest): (Vec<_>, Vec<_>) =
                labels.iter().cloned().partition(|(label, _)| label == "le");
            let bound = bound[0].1.replace("+Inf", "inf").parse().unwrap();
            series.entry(rest).or_default().push((bound, *count));
        }
    }
    for (labels, mut buckets) in series {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
        let (bound, count) = buckets.last().unwrap();
        assert!(bound.is_infinite());
        let all = family.samples[&(format!("{name}_count"), labels.clone())];
        assert!((count - all).abs() < 0.5);
        assert!(
            family
                .samples
                .contains_key(&(format!("{name}_sum"), labels))
        );
    }
}

fn scrape(endpoint: &Endpoint) -> BTreeMap<String, Family> {
    let mut reply = endpoint.send("GET", &[], b"");
    assert_eq!(reply.status, 200);
    let kind = reply.header("content-type").unwrap().to_owned();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    read(&reply.text(), false)
}

/// The sum of the samples with all of these labels.
fn sum(families: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let samples = families[name].samples.iter();
    let has = |of: &[(String, String)], (label, value): &(&str, &str)| {
        of.iter().any(|(l, v)| l == label && v == value)
    };
    samples
        .filter(|((_, of), _)| labels.iter().all(|label| has(of, label)))
        .map(|(_, value)| value)
        .sum()
}

#[track_caller]
fn is(families: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)], value: u32) {
    let found = sum(families, name, labels);
    assert!(
        (found - f64::from(value)).abs() < 1e-9,
        "{name} {labels:?}: {found}"
    );
}

fn calls_are_counted(gateway: &Running, transport: &str) {
    let endpoint = metrics_of(gateway);
    let client = gateway.client(Era::Modern);
    client.tool("echo", "{}").result();
    client.tool("echo", "{}").result();
    client.tool("rpc_error", "{}").error();
    // Such names cannot stand in the headers of newer clients.
    let hostile = gateway.client(Era::Legacy);
    for name in ["nothing", "a\"b\\c\nd", "echo{x=\"y\"} 1", "\u{0}\u{85}"] {
        hostile.tool(name, "{}").error();
    }
    client.ask("tools/list", "{}").result();
    // One call at a time over this client, so that its audit event is written before its answer is read.
    assert_eq!(
        gateway.audit(8).len(),
        8,
        "the audit log is written as without"
    );
    let found = scrape(&endpoint);
    let call = ("method", "tools/call");
    let requests = "mcp_gw_requests_total";
    is(
        &found,
        requests,
        &[call, ("outcome", "ok"), ("server", "odd")],
        2,
    );
    is(&found, requests, &[call, ("outcome", "upstream_error")], 1);
    is(
        &found,
        requests,
        &[call, ("outcome", "unknown"), ("server", "")],
        4,
    );
    is(&found, requests, &[("transport", transport)], 8);
    is(&found, "mcp_gw_tool_calls_total", &[("tool", "echo")], 2);
    is(&found, "mcp_gw_tool_calls_total", &[], 3);
    is(&found, "mcp_gw_upstream_up", &[("server", "odd")], 1);
    is(
        &found,
        "mcp_gw_upstream_replicas",
        &[("state", "healthy")],
        1,
    );
    is(&found, "mcp_gw_requests_in_flight", &[], 0);
    let (all, visible) = (("state", "upstream"), ("state", "visible"));
    let items = "mcp_gw_list_items_total";
    assert!(sum(&found, items, &[all]) > 1.0);
    assert!((sum(&found, items, &[all]) - sum(&found, items, &[visible])).abs() < 0.5);

    let open = [("accept", "application/openmetrics-text; version=1.0.0")];
    let mut reply = endpoint.send("GET", &open, b"");
    let kind = reply.header("content-type").unwrap();
    assert!(
        kind.starts_with("application/openmetrics-text; version=1.0.0;"),
        "{kind}"
    );
    let names = |families: &BTreeMap<String, Family>| -> BTreeSet<String> {
        let names = families.keys();
        names
            .map(|name| name.trim_end_matches("_total").to_owned())
            .collect()
    };
    assert_eq!(names(&read(&reply.text(), true)), names(&found));
    assert_eq!(endpoint.send("HEAD", &[], b"").status, 200);
}

#[test]
fn calls_over_http_are_counted() {
    let gateway = Setup::of(Odd::stdio(Era::Modern)).with(METRICS).over_http();
    calls_are_counted(&gateway, "http");
    // Not where clients are, and clients are not there.
    let mut elsewhere = gateway.endpoint().clone();
    elsewhere.path = "/metrics".to_owned();
    assert_eq!(elsewhere.send("GET", &[], b"").status, 404);
    let mut elsewhere = metrics_of(&gateway);
    elsewhere.path = gateway.endpoint().path.clone();
    assert_eq!(elsewhere.send("POST", &[], b"{}").status, 404);
}

#[test]
fn calls_over_standard_streams_are_counted() {
    let gateway = Setup::of(Odd::stdio(Era::Modern))
        .with(METRICS)
        .over_stdio();
    calls_are_counted(&gateway, "stdio");
}

#[test]
fn sessions_and_those_who_are_refused_are_counted() {
    let gateway = Setup::of(Odd::http(Era::Legacy))
        .with("auth: { api_keys: [ { id: ann, key: 0123456789abcdef, tools: [echo] } ] }")
        .with("limits: { calls_per_minute: 2 }")
        .with("metrics: { listen: \"127.0.0.1:0\", path: /m, token: metrics-0123456789 }")
        .over_http();
    let refused = gateway
        .endpoint()
        .send("POST", &crate::support::http::JSON, b"{}");
    assert_eq!(refused.status, 401);
    let keyed = gateway
        .endpoint()
        .clone()
        .with_header("authorization", "Bearer 0123456789abcdef");
    let wire: std::sync::Arc<dyn crate::support::client::Wire> = std::sync::Arc::new(keyed);
    for era in ERAS {
        let client = crate::support::client::Client::open(&wire, era);
        client.tool("echo", "{}").result();
    }
    let client = crate::support::client::Client::open(&wire, Era::Legacy);
    client.tool("echo", "{}").error();
    let endpoint = metrics_of(&gateway);
    assert_eq!(endpoint.send("GET", &[], b"").status, 401);
    let key = [("authorization", "Bearer metrics-0123456789")];
    let found = read(&endpoint.send("GET", &key, b"").text(), false);
    is(
        &found,
        "mcp_gw_auth_failures_total",
        &[("transport", "http")],
        1,
    );
    is(&found, "mcp_gw_rate_limited_total", &[("server", "odd")], 1);
    is(&found, "mcp_gw_sessions", &[], 2);
    let allowed = [("method", "tools/call"), ("effect", "allow")];
    is(&found, "mcp_gw_policy_decisions_total", &allowed, 2);
}

#[test]
fn a_child_that_dies_is_counted() {
    let gateway = Setup::of(Odd::stdio(Era::Modern)).with(METRICS).over_http();
    let client = gateway.client(Era::Modern);
    client.tool("die", "{}").error();
    gateway.process.stderr.with("a server is down");
    client.tool("echo", "{}").result();
    let found = scrape(&metrics_of(&gateway));
    is(
        &found,
        "mcp_gw_upstream_down_total",
        &[("server", "odd")],
        1,
    );
    let lost = ("outcome", "upstream_lost");
    is(
        &found,
        "mcp_gw_tool_calls_total",
        &[lost, ("tool", "die")],
        1,
    );
}

#[test]
fn without_an_address_there_are_no_metrics() {
    let gateway = Setup::of(Odd::stdio(Era::Modern)).over_http();
    gateway.client(Era::Modern).tool("echo", "{}").result();
    let said = gateway.process.stderr.so_far().join("\n");
    assert!(!said.contains("metrics at"), "{said}");
}

#[test]
fn an_address_that_cannot_be_had_ends_the_start_and_says_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = Folder::new();
    for (listen, words) in [
        (
            address.to_string(),
            &["metrics cannot be served on", "metrics.listen"][..],
        ),
        (
            "0.0.0.0:0".to_owned(),
            &[
                "metrics.listen",
                "by everybody",
                "`token`",
                "`insecure: true`",
            ],
        ),
        ("localhost".to_owned(), &["`localhost`", "`127.0.0.1:9464`"]),
    ] {
        let yaml = format!(
            "http: {{ listen: '127.0.0.1:0' }}\nmetrics: {{ listen: '{listen}' }}\npolicy: {{ default: allow }}\n\
             servers: {{ a: {{ command: x }} }}"
        );
        let file = folder.file("mcp-gw.yaml", &yaml);
        for binary in [HTTP_BIN, STDIO_BIN] {
            let (code, _, says) = run(binary, &["--config", &file]);
            assert_eq!(code, Some(1), "{says}");
            for word in words {
                assert!(says.contains(word), "{listen}: {says}");
            }
        }
    }
}

/// Metrics follow the file, and count servers that come with it.
#[test]
fn a_changed_file_moves_the_metrics() {
    use crate::support::ODD_BIN;

    let file = |path: &str, server: &str| {
        format!(
            "http: {{ listen: \"127.0.0.1:0\" }}\npolicy: {{ default: allow }}\n\
             metrics: {{ listen: \"127.0.0.1:0\", path: {path} }}\n\
             servers: {{ {server}: {{ command: {ODD_BIN:?} }} }}\n"
        )
    };
    let gateway = Setup::verbatim(&file("/metrics", "before")).over_http();
    let mut metrics = metrics_of(&gateway);
    let up = |text: &str, server: &str| {
        text.contains(&format!("mcp_gw_upstream_up{{server=\"{server}\"}} 1"))
    };
    let text = |endpoint: &Endpoint| endpoint.send("GET", &[], b"").text();
    assert!(up(&text(&metrics), "before"));
    gateway.configure(&file("/other", "after"));
    let line = gateway.process.stderr.with("\"reloaded: ");
    assert!(line.contains("metrics"), "{line}");
    gateway.wait_until_up("after");
    metrics.path = "/other".to_owned();
    let now = text(&metrics);
    assert!(up(&now, "after") && !up(&now, "before"), "{now}");
    assert!(
        now.contains("mcp_gw_upstream_calls_in_flight{server=\"after\"}"),
        "{now}"
    );
}
