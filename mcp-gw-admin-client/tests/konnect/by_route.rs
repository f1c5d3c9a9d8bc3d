//! Which control planes answer a path, when some can be read and some cannot.

use super::*;

fn routes_of(plane: &str, routes: &Value) -> Plan {
    let line = format!("GET /v2/control-planes/{plane}/core-entities/routes?size=1000");
    on(&line).body(data(routes))
}

fn ask(path: &str) -> Value {
    json!({"operation": "get_by_route", "path": path})
}

#[tokio::test]
async fn the_best_plane_comes_first_with_route_and_service() {
    let setup = Setup::new([
        planes(&[(CP, "orders"), (CP2, "billing")]),
        routes_of(CP, &json!([{"id": ID, "name": "all", "paths": ["/"], "service": {"id": ID}}])),
        routes_of(CP2, &json!([
            {"id": CP2, "name": "users", "paths": ["/api/users", "/x"], "methods": ["GET"], "service": {"id": CP}},
            {"id": CP, "name": "odd", "paths": ["~/api/(?=users)"]},
            {"id": CP, "name": "hosts", "hosts": ["h"]},
            {"id": CP, "expression": "http.path == \"/api\"", "priority": 1},
            {"id": CP, "paths": 7},
        ])),
    ])
    .await;
    let answer = setup
        .call("GetControlPlane", ask("/api/users/7"))
        .await
        .ok();
    assert_eq!(answer["items"][0]["control_plane_id"], CP2);
    assert_eq!(answer["items"][1]["name"], "orders");
    let wanted = json!({"control_plane_id": CP2, "route_id": CP2, "route_name": "users", "service_id": CP,
        "path": "/api/users", "kind": "prefix", "only_if": ["method"]});
    assert_eq!(answer["routes"][0], wanted);
    let remarks = answer["remarks"].to_string();
    for says in [
        "cannot be compiled",
        "have no paths",
        "as expressions",
        "left out",
    ] {
        assert!(remarks.contains(says), "{says}: {remarks}");
    }
}

#[tokio::test]
async fn a_plane_that_may_not_be_read_leaves_a_part_and_a_name() {
    let denied = |plane: &str| {
        let line = format!("GET /v2/control-planes/{plane}/core-entities/routes?size=1000");
        on(&line)
            .status(403)
            .body(r#"{"status":403,"title":"Forbidden"}"#)
    };
    let setup = Setup::new([
        planes(&[(CP, "orders"), (CP2, "billing")]),
        routes_of(CP, &json!([{"id": ID, "paths": ["/a"]}])),
        denied(CP2),
        planes(&[(CP2, "billing")]),
        denied(CP2),
    ])
    .await;
    let answer = setup.call("GetControlPlane", ask("/a")).await.ok();
    assert_eq!(answer["count"], 1);
    assert_eq!(answer["unread"][0]["name"], "billing");
    let message = answer["unread"][0]["message"].as_str().unwrap();
    assert!(message.contains("the role Viewer"), "{message}");
    // When nothing could be read there is no answer.
    let error = setup.call("GetControlPlane", ask("/a")).await.error();
    assert!(error.contains("the role Viewer"), "{error}");
}

#[tokio::test]
async fn no_route_is_an_empty_answer_that_says_where_was_looked() {
    let setup = Setup::new([planes(&[(CP, "orders")]), routes_of(CP, &json!([]))]).await;
    let answer = setup.call("GetControlPlane", ask("/nowhere\n")).await.ok();
    assert_eq!(answer["count"], 0);
    let says = answer["remarks"][0].as_str().unwrap();
    assert!(says.contains("region eu") && !says.contains('\n'), "{says}");
}

#[tokio::test]
async fn ten_thousand_routes_are_read_to_their_end() {
    let routes = |from: usize| -> Vec<Value> {
        (from..from + 1000)
            .map(|n| json!({"id": ID, "paths": [format!("/r{n:05}")]}))
            .collect()
    };
    let path = format!("/v2/control-planes/{CP}/core-entities/routes?size=1000");
    let mut plans = vec![planes(&[(CP, "orders")])];
    for page in 0..10 {
        let at = if page == 0 {
            String::new()
        } else {
            format!("&offset=o{page}")
        };
        let next = (page < 9).then(|| format!("o{}", page + 1));
        let body = json!({"data": routes(page * 1000), "offset": next}).to_string();
        plans.push(on(&format!("GET {path}{at}")).body(body));
    }
    let setup = Setup::new(plans).await;
    let answer = setup.call("GetControlPlane", ask("/r09999")).await.ok();
    assert_eq!(answer["routes"].as_array().unwrap().len(), 1);
    assert_eq!(answer["routes"][0]["path"], "/r09999");
}
