//! `get_prometheus_metrics` against a scripted dashboard.

use serde_json::json;

use super::support::on;
use super::*;

const API: &str = "GET /api/control_plane/prometheus/api/v1";

/// Fifteen minutes up to when the clock stands.
const TIME: &str = "&start=2001-09-09T01%3A31%3A40.000Z&end=2001-09-09T01%3A46%3A40.000Z&step=15s";

/// Seconds since 1970, where that begins.
const START: u32 = 999_999_100;

/// As a value in a query.
pub(super) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

fn instant(query: &str) -> Plan {
    on(&format!("{API}/query?query={}", encoded(query)))
}

fn range(query: &str) -> Plan {
    on(&format!("{API}/query_range?query={}{TIME}", encoded(query)))
}

/// What Prometheus answers, in the dashboard's envelope.
pub(super) fn found(result: &Value) -> String {
    json!({"value": {"status": "success", "data": {"resultType": "matrix", "result": result}}})
        .to_string()
}

const FAILURES: &str =
    r#"sum by (gateway_group_id)(increase(apisix_http_status{code=~"^[4-5]\\d\\d",}[15m]))"#;
const REQUESTS: &str = "sum by (gateway_group_id)(increase(apisix_http_status{}[15m]))";
const STATUS: &str = "sum by (gateway_group_id,code)(increase(apisix_http_status{}[15m])) != 0";
const BANDWIDTH: &str = "sum by(gateway_group_id,type)(rate(apisix_bandwidth{}[1m]))";
const QPS: &str = "sum by (gateway_group_id,code)(rate(apisix_http_status{}[1m]))";
const CONNECTIONS: &str =
    "sum by (gateway_group_id,state)(apisix_nginx_http_current_connections{})";

#[expect(clippy::needless_pass_by_value, reason = "easier to read")]
fn wave(labels: Value, scale: f64) -> Value {
    let values: Vec<Value> = (0..60_u32)
        .filter(|at| !(20..25).contains(at))
        .map(|at| {
            let value = f64::from(at % 12) * scale;
            json!([
                START + at * 15,
                if at == 3 {
                    "NaN".to_owned()
                } else {
                    value.to_string()
                }
            ])
        })
        .collect();
    json!({"metric": labels, "values": values})
}

#[tokio::test]
async fn the_text_is_a_table_for_each_type() {
    let latency = "sum by (gateway_group_id)(rate(apisix_http_latency_sum{type=\"request\",}[1m])) / sum by \
                   (gateway_group_id)(rate(apisix_http_latency_count{type=\"request\",}[1m]))";
    let one = |labels: Value, value: &str| json!({"metric": labels, "value": [START, value]});
    let group = json!({"gateway_group_id": "g"});
    let setup = Setup::new([
        instant(STATUS).body(found(&json!([
            one(json!({"gateway_group_id": "g", "code": "200"}), "940.2"),
            one(json!({"gateway_group_id": "g", "code": "502"}), "60"),
            one(json!({"gateway_group_id": "h", "code": "200"}), "12"),
        ]))),
        instant(FAILURES).body(found(&json!([one(group.clone(), "60.004")]))),
        instant(REQUESTS).body(found(&json!([one(group.clone(), "1000.2")]))),
        range(BANDWIDTH).body(found(&json!([
            wave(
                json!({"gateway_group_id": "g", "type": "ingress"}),
                12_345.0
            ),
            wave(json!({"gateway_group_id": "g", "type": "egress"}), 1e6),
        ]))),
        range(latency).body(found(&json!([wave(group, 7.5)]))),
        range(CONNECTIONS).body(found(&json!([]))),
        range(QPS).body(found(&json!([
            wave(json!({"gateway_group_id": "g", "code": "200"}), 0.25),
            wave(json!({"gateway_group_id": "g", "code": "404"}), 0.0),
        ]))),
    ])
    .await;
    let all = [
        "api-status-dist",
        "api-failure-requests",
        "api-requests",
        "api-bandwidth",
        "api-latency",
        "api-connections",
        "api-qps",
    ];
    let answered = setup
        .call("get_prometheus_metrics", json!({ "type": all }))
        .await;
    insta::assert_snapshot!("metrics_text", answered.text);
    let answer = answered.ok();
    assert_eq!(answer["window"]["start"], "2001-09-09T01:31:40.000Z");
    let status = &answer["results"][0]["series"];
    assert_eq!(status[0]["percent"], 94.0);
    assert_eq!(status[0]["values"], json!([[START, 940.2]]));
    let latency = &answer["results"][4]["series"][0];
    assert_eq!(latency["values"][3][1], "NaN");
    assert_eq!(
        (&latency["points"], &latency["not_numbers"]),
        (&json!(55), &json!(1))
    );
    assert_eq!(latency["downsampled"], false);
}

#[tokio::test]
async fn all_conditions_are_asked_for_and_no_value_is_more_than_one() {
    let hostile = "x\"} or up{a=\"&step=1s\n\\";
    let query = r#"sum by (code)(rate(apisix_http_status{service_id="s",route_id="x\"} or up{a=\"&step=1s\n\\",instance_id="i",gateway_group_id="g"}[1m]))"#;
    let setup = Setup::new([range(query).body(found(&json!([])))]).await;
    let answer = setup
        .call(
            "get_prometheus_metrics",
            json!({"type": "api-qps", "group_by": [], "service_id": "s", "route_id": hostile,
                   "instance_id": "i", "gateway_group_id": "g"}),
        )
        .await
        .ok();
    assert_eq!(answer["window"]["filters"].as_object().unwrap().len(), 4);
    assert_eq!(answer["results"][0]["query"], query);
}

#[tokio::test]
async fn the_time_that_is_named_is_asked_about() {
    let arguments = json!({"type": ["api-requests", "api-connections"], "start": "2001-09-09T00:00:00Z",
        "end": "2001-09-09T01:00:00+00:30", "step": "30s", "service_id": "s"});
    let query = r#"sum by (gateway_group_id)(increase(apisix_http_status{service_id="s"}[30m]))"#;
    let setup = Setup::new([
        on(&format!(
            "{API}/query?query={}&time=2001-09-09T00%3A30%3A00.000Z",
            encoded(query)
        ))
        .body(found(&json!([]))),
        on(&format!(
            "{API}/query_range?query={}&start=2001-09-09T00%3A00%3A00.000Z&end=2001-09-09T00%3A30%3A00.000Z&step=30s",
            encoded(CONNECTIONS)
        ))
        .body(found(&json!([]))),
    ])
    .await;
    let answer = setup.call("get_prometheus_metrics", arguments).await;
    assert!(answer.text.contains("service_id=s"), "{}", answer.text);
    let answer = answer.ok();
    let remark = answer["results"][1]["remarks"][0].as_str().unwrap();
    assert!(remark.contains("not measured by service_id"), "{remark}");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_before_anything_is_sent() {
    let setup = Setup::new([]).await;
    for (arguments, says) in [
        (json!({}), "type"),
        (
            json!({"type": "up"}),
            r#""up" is none of "api-status-dist", "api-failure-requests""#,
        ),
        (json!({"type": ["up"]}), "at /type/0: \"up\" is none of"),
        (json!({"type": []}), "type"),
        (
            json!({"type": "api-qps", "raw_time": "5m]) or up"}),
            "raw_time",
        ),
        (
            json!({"type": "api-qps", "raw_time": "7d", "step": "15s"}),
            "55s or more",
        ),
        (json!({"type": "api-qps", "step": "0s"}), "step"),
        (json!({"type": "api-qps", "start": "yesterday"}), "start"),
        (
            json!({"type": "api-qps", "start": "now", "end": "now-1h"}),
            "must be before",
        ),
        (
            json!({"type": "api-qps", "group_by": ["code) or (up"]}),
            "group_by",
        ),
        (
            json!({"type": "api-qps", "route_id": "x".repeat(300)}),
            "route_id",
        ),
        (json!({"type": "api-qps", "max_points": 1}), "max_points"),
    ] {
        let error = setup
            .call("get_prometheus_metrics", arguments)
            .await
            .error();
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn errors_of_prometheus_are_clear_errors() {
    for (plan, says) in [
        (
            instant(REQUESTS).body(
                r#"{"value":{"status":"error","errorType":"timeout","error":"query timed out"}}"#,
            ),
            "timeout: query timed out. Try a shorter time",
        ),
        (
            instant(REQUESTS).status(400).body(
                r#"{"status":"error","errorType":"bad_data","error":"parse error a7ee-hidden-token"}"#,
            ),
            "parse error [redacted]",
        ),
        (instant(REQUESTS).status(403).body(r#"{"error_msg":"no"}"#), "role with a permission"),
        (instant(REQUESTS).status(401), "TOKEN"),
        (instant(REQUESTS).body("<html>"), "DASHBOARD_URL"),
        (instant(REQUESTS).body(r#"{"value":{"id":"x"}}"#), "not one of Prometheus"),
        (instant(REQUESTS).body(""), "not one of Prometheus"),
        (
            instant(REQUESTS).body(found(&json!([{"metric": {}, "value": [1, "a7ee-hidden-token"]}]))),
            "is not a number",
        ),
    ] {
        let setup = Setup::new([plan]).await;
        let error = setup
            .call("get_prometheus_metrics", json!({"type": "api-requests"}))
            .await
            .error();
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn one_type_that_fails_does_not_spoil_the_others() {
    let setup = Setup::new([
        instant(REQUESTS)
            .status(400)
            .body(r#"{"error":"too many samples"}"#),
        range(QPS).body(found(&json!([wave(json!({"code": "200"}), 1.0)]))),
    ])
    .await;
    let answered = setup
        .call(
            "get_prometheus_metrics",
            json!({"type": ["api-requests", "api-qps", "api-qps"]}),
        )
        .await;
    assert!(
        answered
            .text
            .contains("failed: Prometheus refuses the query"),
        "{}",
        answered.text
    );
    let answer = answered.ok();
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    assert_eq!(
        (&results[0]["ok"], &results[1]["ok"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(results[0]["error"]["status"], 400);
}

#[tokio::test]
async fn an_empty_answer_says_what_was_asked_and_what_to_try() {
    let query = r#"sum by (gateway_group_id)(increase(apisix_http_status{route_id="r"}[15m]))"#;
    let setup = Setup::new([instant(query).body(found(&json!([])))]).await;
    let text = setup
        .call(
            "get_prometheus_metrics",
            json!({"type": "api-requests", "route_id": "r"}),
        )
        .await
        .text;
    for says in ["nothing was measured", query, "leave a condition out"] {
        assert!(text.contains(says), "{text}");
    }
}

#[tokio::test]
async fn long_answers_are_shortened_and_the_rest_can_be_read() {
    let many: Vec<Value> = (0..7)
        .map(|number| {
            wave(
                json!({"code": format!("20{number}")}),
                f64::from(number) + 1.0,
            )
        })
        .collect();
    let plan = || range(QPS).body(found(&json!(many)));
    let setup = Setup::new([plan(), plan(), plan()]).await;
    let (mut skip, mut seen) = (0, Vec::new());
    loop {
        let arguments =
            json!({"type": "api-qps", "max_points": 8, "max_series": 3, "skip_series": skip});
        let answered = setup.call("get_prometheus_metrics", arguments).await;
        let text = answered.text.clone();
        let answer = answered.ok();
        let result = &answer["results"][0];
        assert_eq!(result["total_series"], 7);
        for series in result["series"].as_array().unwrap() {
            let values = series["values"].as_array().unwrap();
            assert!(values.len() <= 8 && series["downsampled"] == true);
            let most = values
                .iter()
                .filter_map(|v| v[1].as_f64())
                .fold(0.0, f64::max);
            assert_eq!(Some(most), series["max"].as_f64());
            seen.push(series["labels"]["code"].as_str().unwrap().to_owned());
        }
        let Some(next) = result["next"].as_str() else {
            break;
        };
        assert!(text.contains(next), "{text}");
        skip = next.strip_prefix("skip_series: ").unwrap().parse().unwrap();
    }
    assert_eq!(seen, ["206", "205", "204", "203", "202", "201", "200"]);
}

#[tokio::test]
async fn an_answer_of_many_long_series_keeps_its_bound() {
    let many: Vec<Value> = (0..300)
        .map(|number| {
            wave(
                json!({"code": "x".repeat(200), "n": number.to_string()}),
                1.0,
            )
        })
        .collect();
    let setup = Setup::with([range(QPS).body(found(&json!(many)))], |config| {
        config.answer_bytes = 16 * 1024;
    })
    .await;
    let arguments = json!({"type": "api-qps", "max_series": 300});
    let answer = setup.call("get_prometheus_metrics", arguments).await.ok();
    let length = answer["results"][0]["series"].to_string().len();
    assert!(length < 16 * 1024 && length > 4096, "{length}");
    assert!(answer["results"][0]["next"].is_string());
}
