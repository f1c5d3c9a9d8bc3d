//! Calls that are given up after a while: what was done by then is told before.

use mcp_gw_admin_client::tools::api7::Access;
use serde_json::json;

use super::support::on;
use super::*;

const TIME: Duration = Duration::from_secs(2);

#[tokio::test]
async fn what_was_sent_is_told_and_the_rest_is_not_sent() {
    let gateway = Scripted::start([on("POST /").never()]).await;
    let url = gateway.url();
    let setup = Setup::with([], |config| {
        config.gateway_url = Some(url);
        config.access = Access::ReadWrite;
        config.gateway_concurrency = 1;
    })
    .await;
    let requests = json!([{"path": "/", "method": "POST", "repeatCount": 3}]);
    let arguments = json!({ "requests": requests });
    let answer = setup
        .call_within(TIME, "send_request_to_gateway", arguments)
        .await
        .ok();
    assert_eq!(
        answer["summary"],
        json!({"total": 1, "successful": 0, "failed": 1, "unanswered": 1, "not_sent": 2})
    );
    let remark = answer["remarks"][0].as_str().unwrap();
    assert!(
        remark.contains("2 of the 3 requests were not sent"),
        "{remark}"
    );
}

#[tokio::test]
async fn a_slow_check_leaves_time_for_the_write() {
    let setup = Setup::writing([
        on("GET /apisix/admin/plugins/cors?gateway_group_id=g").never(),
        on("POST /apisix/admin/services?gateway_group_id=g").status(201),
    ])
    .await;
    let arguments = json!({
        "kind": "publishedService", "gateway_group_id": "g", "body": {"name": "s", "plugins": {"cors": {}}},
    });
    let answer = setup
        .call_within(TIME, "create_resource", arguments)
        .await
        .ok();
    assert_eq!(answer["status"], 201);
    assert!(
        answer["remarks"].to_string().contains("not checked"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_read_says_that_nothing_came_before_the_call_is_given_up() {
    let setup = Setup::new([on("GET /api/roles/a").never()]).await;
    let error = setup
        .call_within(TIME, "get_role", json!({"id": "a"}))
        .await
        .error();
    assert!(error.contains("no answer within 1."), "{error}");
    assert!(error.contains("Try again"), "{error}");
}

#[tokio::test]
async fn a_scan_tells_what_it_could_not_read() {
    let setup = Setup::new([
        on("GET /api/gateway_groups").body(r#"{"list":[{"id":"g"}],"total":1}"#),
        on("GET /apisix/admin/consumers?gateway_group_id=g").never(),
    ])
    .await;
    let arguments = json!({"rules": ["long-lived-token"]});
    let scan = setup.call_within(TIME, "check_risk", arguments).await;
    let scan = scan.ok();
    assert_eq!(scan["complete"], false);
    assert!(scan["not_read"].to_string().contains("no answer within"));
}

#[tokio::test]
async fn no_write_is_begun_when_the_time_is_over() {
    let setup = Setup::writing([]).await;
    for (tool, arguments) in [
        ("delete_role", json!({"id": "a"})),
        (
            "create_role",
            json!({"role": {"name": "dev", "policies": []}}),
        ),
    ] {
        let error = setup
            .call_within(Duration::ZERO, tool, arguments)
            .await
            .error();
        assert!(error.contains("nothing was written"), "{error}");
    }
}
