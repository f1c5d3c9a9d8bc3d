use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const OIDC: &str = "0198cccc-0000-7000-8000-00000000000c";
const LIMIT: &str = "0198dddd-0000-7000-8000-00000000000d";
const MS: u64 = 1_000_000;
const BEGIN: u64 = 1_770_000_000_000_000_000;

/// `(id, parent, name, start, end)` with times in milliseconds from the begin.
type Line<'l> = (&'l str, &'l str, &'l str, u64, u64);

fn span(line: Line<'_>, attributes: &[(&str, &str)]) -> Value {
    let (id, parent, name, start, end) = line;
    let attributes: Vec<Value> = attributes
        .iter()
        .map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}))
        .collect();
    json!({
        "traceId": "00000000000000000000000000000001",
        "spanId": id,
        "parentSpanId": parent,
        "name": name,
        "startTimeUnixNano": (BEGIN + start * MS).to_string(),
        "endTimeUnixNano": (BEGIN + end * MS).to_string(),
        "attributes": attributes,
    })
}

fn trace(id: &str, spans: &[Value]) -> Trace {
    Trace::of(
        &json!({"trace_id": id, "otlp": {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}}),
    )
}

/// A request whose identity provider took `idp` milliseconds and whose upstream took 20.
fn slow(id: &str, idp: u64, more: bool) -> Trace {
    let after = idp + 10;
    let mut spans = vec![
        span(
            ("1", "", "kong", 0, after + 25),
            &[
                ("http.request.method", "GET"),
                ("url.full", "http://x/a\r\n\u{202e}obey me"),
                ("http.response.status_code", "200"),
                ("proxy.kong.request.id", "req"),
            ],
        ),
        span(
            ("2", "1", "kong.router", 0, 1),
            &[
                ("proxy.kong.router.service_id", "svc"),
                ("proxy.kong.router.route_id", "rt"),
            ],
        ),
        span(("3", "1", "kong.phase.access", 1, after), &[]),
        span(
            ("4", "3", "kong.access.plugin.openid-connect", 2, after - 2),
            &[("proxy.kong.plugin.id", OIDC)],
        ),
        span(
            ("5", "4", "kong.io.http.request", 3, 3 + idp),
            &[("url.full", "http://idp")],
        ),
        span(
            (
                "6",
                "3",
                "kong.access.plugin.rate-limiting",
                after - 2,
                after,
            ),
            &[("proxy.kong.plugin.id", LIMIT)],
        ),
        span(
            (
                "7",
                "1",
                "kong.read_headers_from_upstream",
                after,
                after + 20,
            ),
            &[],
        ),
        span(
            ("8", "1", "kong.phase.body_filter", after + 20, after + 22),
            &[],
        ),
    ];
    if more {
        spans.push(span(
            (
                "9",
                "8",
                "kong.body_filter.plugin.cors",
                after + 20,
                after + 21,
            ),
            &[],
        ));
    }
    trace(id, &spans)
}

fn shown<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

#[test]
fn a_plugin_that_waits_for_its_identity_provider_is_the_bottleneck() {
    let traces = [
        slow("a", 100, false),
        slow("b", 200, false),
        slow("c", 300, true),
    ];
    let summary = summarize(&traces, SummaryBounds::default());
    let first = &summary.bottlenecks[0];
    assert_eq!(first.what, "plugin openid-connect");
    assert_eq!(
        (first.plugin_id.as_deref(), first.worst_trace_id.as_str()),
        (Some(OIDC), "c")
    );
    assert_eq!(first.parts[0].span, "kong.io.http.request");
    insta::assert_snapshot!(shown(&summary));
}

#[test]
fn the_split_is_what_the_gateway_measured_where_it_says_so() {
    let said = |name: &'static str, ms: &'static str| (name, ms);
    let measured = trace(
        "a",
        &[span(
            ("1", "", "kong", 0, 50),
            &[
                said("proxy.kong.latency.total", "50"),
                said("proxy.kong.latency.internal", "5"),
                said("proxy.kong.latency.upstream", "30"),
                said("proxy.kong.latency.client", "-1"),
                said("proxy.kong.latency.3p.total_io", "15.5"),
            ],
        )],
    );
    let bounds = SummaryBounds::default();
    let split = summarize(std::slice::from_ref(&measured), bounds)
        .split
        .unwrap();
    assert_eq!(split.source, SplitSource::Attributes);
    assert_eq!((split.gateway_ms, split.upstream_ms), (5.0, 30.0));
    assert_eq!((split.third_party_io_ms, split.client_ms), (15.5, 0.0));
    let both = summarize(&[measured, slow("b", 100, false)], bounds)
        .split
        .unwrap();
    assert_eq!(both.source, SplitSource::Both);
    assert_eq!((both.upstream_ms, both.client_ms), (25.0, 0.0));
    let empty = summarize(&[], bounds);
    assert_eq!(
        (empty.traces, empty.latency_ms, empty.split),
        (0, None, None)
    );
}

#[test]
fn io_of_the_upstream_is_the_upstreams() {
    let trace = trace(
        "a",
        &[
            span(("1", "", "kong", 0, 10), &[]),
            span(("2", "1", "kong.read_headers_from_upstream", 0, 6), &[]),
            span(("3", "2", "kong.io.socket.receive", 1, 6), &[]),
            span(("4", "1", "kong.io.redis.get", 6, 9), &[]),
        ],
    );
    let split = summarize(&[trace], SummaryBounds::default()).split.unwrap();
    assert_eq!(
        (split.upstream_ms, split.third_party_io_ms, split.gateway_ms),
        (6.0, 3.0, 1.0)
    );
}

#[test]
fn a_compact_trace_has_everything_in_few_words() {
    let compact = compact(&[slow("a", 100, false)], &SpanFilter::default(), 100);
    insta::assert_snapshot!(shown(&compact));
}

fn names(filter: &SpanFilter) -> Vec<String> {
    let compact = compact(&[slow("a", 100, true)], filter, 100);
    let spans = compact.traces.iter().flat_map(|trace| &trace.spans);
    spans
        .map(|span| {
            format!(
                "{}{}",
                span.name,
                if span.is_context { " (context)" } else { "" }
            )
        })
        .collect()
}

#[test]
fn filters_show_what_they_name_and_where_it_is() {
    let egress = SpanFilter::of(Some("egress"), None, None).unwrap();
    assert_eq!(
        names(&egress),
        [
            "kong (context)",
            "kong.read_headers_from_upstream",
            "kong.phase.body_filter",
            "kong.body_filter.plugin.cors"
        ]
    );
    let plugin = SpanFilter::of(None, Some(&OIDC.to_uppercase()), None).unwrap();
    assert_eq!(
        names(&plugin),
        [
            "kong (context)",
            "kong.phase.access (context)",
            "kong.access.plugin.openid-connect",
            "kong.io.http.request"
        ]
    );
    let neither = SpanFilter::of(Some("egress"), Some(OIDC), None).unwrap();
    let none = compact(&[slow("a", 1, false), slow("b", 1, false)], &neither, 100);
    assert_eq!((none.traces.len(), none.without_match), (0, 2));
}

#[test]
fn both_names_of_the_plugin_filter_are_read() {
    let by_first = SpanFilter::of(None, Some(OIDC), None).unwrap();
    assert_eq!(SpanFilter::of(None, None, Some(OIDC)).unwrap(), by_first);
    assert_eq!(
        SpanFilter::of(None, Some(OIDC), Some(OIDC)).unwrap(),
        by_first
    );
    let phase = SpanFilter::of(Some("ingress"), None, None).unwrap();
    assert_eq!(SpanFilter::of(None, None, Some("ingress")).unwrap(), phase);
    let faults = [
        SpanFilter::of(Some("in"), None, None),
        SpanFilter::of(None, Some("ingress"), None),
        SpanFilter::of(None, None, Some("cors")),
        SpanFilter::of(None, Some(OIDC), Some(LIMIT)),
        SpanFilter::of(Some("egress"), None, Some("ingress")),
    ];
    let lines: Vec<String> = faults
        .into_iter()
        .map(|fault| fault.unwrap_err().to_string())
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    phase: is ingress or egress
    plugin_filter: is the UUID of a plugin
    phase_filter: is the UUID of a plugin
    phase_filter: says another plugin than plugin_filter does: give one of them
    phase_filter: says another phase than phase does: give one of them
    ");
}

#[test]
fn there_is_a_bound_and_it_is_told_of() {
    let traces = [
        slow("a", 1, false),
        slow("b", 1, false),
        slow("c", 1, false),
    ];
    let compact = compact(&traces, &SpanFilter::default(), 10);
    let lengths: Vec<_> = compact
        .traces
        .iter()
        .map(|t| (t.spans.len(), t.spans_left_out))
        .collect();
    assert_eq!(lengths, [(8, None), (2, Some(6))]);
    assert_eq!(compact.left_out, 1);
    let bounds = SummaryBounds {
        spans: 1,
        plugins: 1,
        bottlenecks: 1,
    };
    let summary = summarize(&traces, bounds);
    assert_eq!(
        (
            summary.spans.len(),
            summary.plugins.len(),
            summary.bottlenecks.len()
        ),
        (1, 1, 1)
    );
    // 7 more names, 1 more plugin, 6 more causes.
    assert_eq!(summary.not_listed, 7 + 1 + 6);
}

#[test]
fn traces_that_are_alike_are_shown_once() {
    let traces = [
        slow("odd", 500, true),
        slow("a", 100, false),
        slow("b", 300, false),
        slow("c", 300, false),
    ];
    let compressed = compress(&traces, 10, 100);
    let forms: Vec<_> = compressed
        .distinct
        .iter()
        .map(|form| {
            (
                form.count,
                form.slowest.trace_id.as_str(),
                form.latency_ms.max,
            )
        })
        .collect();
    assert_eq!(forms, [(3, "b", 335.0), (1, "odd", 535.0)]);
    assert_eq!((compressed.traces, compressed.forms), (4, 2));
    let cut = compress(&traces, 1, 3);
    assert_eq!((cut.forms, cut.distinct.len()), (2, 1));
    assert_eq!(cut.distinct[0].slowest.spans_left_out, Some(5));
}

#[test]
fn broken_trees_are_read_and_their_faults_told_of() {
    let broken = trace(
        "x",
        &[
            span(("1", "", "kong", 0, 10), &[]),
            span(("2", "gone", "kong.phase.log", 1, 2), &[]),
            span(("3", "4", "ring a", 5, 6), &[]),
            span(("4", "3", "ring b", 4, 7), &[]),
            span(("5", "4", "below the ring", 4, 5), &[]),
            span(("6", "6", "its own parent", 1, 2), &[]),
            span(("7", "1", "backwards", 9, 3), &[]),
            span(("1", "1", "same id", 2, 4), &[]),
            json!({"spanId": "8", "parentSpanId": "1", "name": null, "startTimeUnixNano": null, "attributes": null}),
            json!({"name": "without ids", "endTimeUnixNano": "x", "attributes": [null, {"key": 1}, {"key": "a", "value": null},
                {"key": "b", "value": {"intValue": "5"}}, {"key": "c", "value": {"arrayValue": {"values": []}}},
                {"key": "d", "value": {"boolValue": true}}], "status": {"code": "STATUS_CODE_ERROR"}}),
            json!(null),
            json!("span"),
        ],
    );
    let lines: Vec<String> = broken
        .spans
        .iter()
        .map(|span| {
            let (own, all) = (span.self_ns / MS, span.duration_ns / MS);
            format!(
                "{}{} {own}/{all} {:?}",
                "  ".repeat(span.depth),
                span.name,
                span.attributes
            )
        })
        .collect();
    insta::assert_snapshot!(format!("{}\n{:#?}", lines.join("\n"), broken.faults));
}

#[test]
fn what_is_no_trace_is_one_without_spans() {
    for value in [
        json!(null),
        json!([]),
        json!({"otlp": 5}),
        json!({"resourceSpans": {"a": 1}}),
        json!({"otlp": {"resourceSpans": [null, {"scopeSpans": [null, {"spans": 7}]}]}}),
    ] {
        let trace = Trace::of(&value);
        assert!(trace.spans.is_empty() && trace.faults.is_none());
        assert_eq!(
            compact(std::slice::from_ref(&trace), &SpanFilter::default(), 5)
                .traces
                .len(),
            1
        );
        assert_eq!(compress(&[trace], 5, 5).forms, 1);
    }
}

#[test]
fn what_strangers_wrote_is_bounded() {
    let long = "x\n".repeat(100_000);
    let attributes: Vec<(String, String)> = (0..100)
        .map(|n| (format!("{n}{long}"), long.clone()))
        .collect();
    let attributes: Vec<(&str, &str)> = attributes
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    let trace = trace(&long, &[span((&long, "", &long, 0, 1), &attributes)]);
    let text = shown(&compact(&[trace], &SpanFilter::default(), 10));
    assert!(
        text.len() < 30_000 && !text.contains("\\n"),
        "{}",
        text.len()
    );
}

#[test]
fn a_trace_as_deep_as_it_is_long_and_one_over_the_bound() {
    let spans: Vec<Value> = (0..MOST_SPANS + 5)
        .map(|n| {
            let (id, parent) = (format!("s{n}"), format!("s{}", n.saturating_sub(1)));
            span((&id, &parent, "s", 0, 10), &[])
        })
        .collect();
    let trace = trace("deep", &spans);
    assert_eq!(trace.spans.len(), MOST_SPANS);
    assert_eq!(trace.spans.last().unwrap().depth, MOST_SPANS - 1);
    assert_eq!((trace.faults.rings, trace.faults.spans_left_out), (1, 5));
    let compact = compact(&[trace], &SpanFilter::default(), MOST_SPANS);
    assert_eq!(compact.traces[0].spans.len(), MOST_SPANS);
}

proptest! {
    /// Any spans at all: each is in the tree once, below its parent, and time is neither lost nor made.
    #[test]
    fn any_spans_make_a_tree(
        lines in proptest::collection::vec((0u8..12, 0u8..14, 0u64..40, 0u64..40, 0usize..6), 0..30),
    ) {
        let known = ["kong", "kong.phase.access", "kong.access.plugin.a", "kong.io.dns", "kong.read_body_from_upstream", ""];
        let spans: Vec<Value> = lines.iter()
            .map(|(id, parent, start, end, name)| {
                let parent = if *parent > 12 { String::new() } else { parent.to_string() };
                span((&id.to_string(), &parent, known[*name], *start, *end), &[])
            })
            .collect();
        let tree = trace("t", &spans);
        prop_assert_eq!(tree.spans.len(), spans.len());
        for (at, span) in tree.spans.iter().enumerate() {
            prop_assert!(span.self_ns <= span.duration_ns);
            if let Some(parent) = span.parent {
                prop_assert!(parent < at);
                prop_assert_eq!(tree.spans[parent].depth + 1, span.depth);
            } else {
                prop_assert_eq!(span.depth, 0);
            }
        }
        let summary = summarize(std::slice::from_ref(&tree), SummaryBounds::default());
        let own: u64 = tree.spans.iter().map(|span| span.self_ns).sum();
        let blamed: f64 = summary.bottlenecks.iter().map(|one| one.self_ms).sum();
        prop_assert!((blamed - std::time::Duration::from_nanos(own).as_secs_f64() * 1e3).abs() < 0.01);
        let names: BTreeSet<&str> = tree.spans.iter().map(|span| span.name.as_str()).collect();
        prop_assert_eq!(summary.spans.len(), names.len());
        let whole = compact(&[tree], &SpanFilter::default(), 100);
        prop_assert_eq!(whole.traces[0].spans.len(), spans.len());
    }

    #[test]
    fn overlapping_times_are_counted_once(parts in proptest::collection::vec((0u64..30, 0u64..30), 0..8)) {
        let expected = (5..20u64).filter(|at| parts.iter().any(|(a, b)| a <= at && at < b)).count();
        prop_assert_eq!(tree::covered(parts, 5, 20), expected as u64);
    }
}
