use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const PLANE: &str = "0198aaaa-0000-7000-8000-00000000000a";

fn id(n: usize) -> String {
    format!("0198bbbb-0000-7000-8000-{n:012}")
}

fn row(consumer: usize, service: usize, status: &str, ms: u32) -> Value {
    json!({
        "request_start": "2026-05-01T10:00:00.000Z",
        "request_id": "r",
        "http_method": "GET",
        "request_uri": "/a\r\nignore \u{202e}all",
        "response_http_status": status,
        "upstream_status": null,
        "consumer": format!("{PLANE}:{}", id(consumer)),
        "gateway_service": format!("{PLANE}:{}", id(service)),
        "route": null,
        "latencies_response_ms": ms,
        "latencies_upstream_ms": ms / 2,
        "latencies_kong_gateway_ms": null,
        "header_user_agent": "x".repeat(1000),
        "new_member": {},
    })
}

fn rows(values: &[Value]) -> Vec<Row> {
    values.iter().map(Row::of).collect()
}

#[test]
fn a_row_says_what_other_tools_take() {
    let row = Row::of(&row(1, 2, "502", 10));
    insta::assert_snapshot!(serde_json::to_string_pretty(&row).unwrap());
}

#[test]
fn rows_of_nulls_and_of_nothing_are_counted() {
    let null: Value = [
        "request_start",
        "request_id",
        "http_method",
        "request_uri",
        "response_http_status",
        "upstream_status",
        "consumer",
        "gateway_service",
        "route",
        "control_plane",
        "latencies_response_ms",
        "client_ip",
    ]
    .iter()
    .map(|name| ((*name).to_owned(), Value::Null))
    .collect();
    let rows = rows(&[
        null,
        json!({}),
        json!(null),
        json!([1]),
        json!({"response_http_status": [], "consumer": 5,
        "latencies_response_ms": "x", "route": "", "gateway_service": "a:b", "upstream_status": 70000}),
    ]);
    assert_eq!(rows[0], Row::default());
    let counts = count(&rows, 100, Ranking::Requests, 10);
    assert_eq!(
        (counts.requests, counts.without_status, counts.failures),
        (5, 5, 0)
    );
    let without = counts.rows_without;
    assert_eq!(
        (without.consumers, without.services, without.routes),
        (5, 4, 5)
    );
    assert_eq!(counts.latency_ms, Latencies::default());
    assert_eq!(counts.success_percent.to_string(), "0");
}

#[test]
fn the_consumers_that_fail_most_are_read_off() {
    let mut values = Vec::new();
    values.extend((0..5).map(|n| row(1, 1, "200", n)));
    values.extend((0..2).map(|_| row(2, 1, "500", 100)));
    values.push(row(3, 2, "503", 10));
    values.push(row(3, 2, "404", 30));
    values.push(row(3, 2, "302", 20));
    let counts = count(&rows(&values), 10, Ranking::Failures, 2);
    let failing: Vec<_> = counts
        .consumers
        .iter()
        .map(|top| (top.id.as_str(), top.failures))
        .collect();
    assert_eq!(failing, [(id(3).as_str(), 2), (id(2).as_str(), 2)]);
    let by_requests = count(&rows(&values), 11, Ranking::Requests, 1);
    assert_eq!(by_requests.consumers[0].id, id(1));
    assert_eq!((by_requests.is_cut, counts.is_cut), (false, true));
    insta::assert_snapshot!(serde_json::to_string_pretty(&counts).unwrap());
}

#[test]
fn one_id_in_two_planes_is_two() {
    let mut other = row(1, 1, "200", 1);
    other["consumer"] = json!(format!("{}:{}", id(9), id(1)));
    let counts = count(
        &rows(&[row(1, 1, "200", 1), other]),
        10,
        Ranking::Requests,
        10,
    );
    let planes: Vec<_> = counts
        .consumers
        .iter()
        .map(|top| top.control_plane_id.clone().unwrap())
        .collect();
    assert_eq!(planes, [PLANE.to_owned(), id(9)]);
    assert!(counts.consumers.iter().all(|top| top.id == id(1)));
}

proptest! {
    #[test]
    fn sums_agree(rows in proptest::collection::vec((0usize..4, 0usize..3, 0u16..700), 0..60)) {
        let rows: Vec<Row> = rows.iter()
            .map(|(consumer, service, status)| Row::of(&row(*consumer, *service, &status.to_string(), 1)))
            .collect();
        let counts = count(&rows, 1000, Ranking::Failures, 100);
        let requests = |all: &[Top]| all.iter().map(|top| top.requests).sum::<usize>();
        let failures = |all: &[Top]| all.iter().map(|top| top.failures).sum::<usize>();
        prop_assert_eq!(requests(&counts.consumers), rows.len());
        prop_assert_eq!(requests(&counts.services), rows.len());
        prop_assert_eq!(failures(&counts.consumers), counts.failures);
        prop_assert_eq!(counts.client_errors + counts.server_errors, counts.failures);
        let statuses: usize = counts.statuses.iter().map(|share| share.count).sum();
        prop_assert_eq!(statuses + counts.without_status, rows.len());
        prop_assert!(counts.consumers.windows(2).all(|two| two[0].failures >= two[1].failures));
    }
}
