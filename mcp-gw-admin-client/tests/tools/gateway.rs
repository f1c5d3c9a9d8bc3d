//! Test requests through the gateway.

use mcp_gw_admin_client::tools::api7::Access;
use serde_json::json;
use tokio::sync::Barrier;

use super::support::{nobody, on};
use super::*;

const TOOL: &str = "send_request_to_gateway";

async fn gateway(plans: impl IntoIterator<Item = Plan>, access: Access) -> (Scripted, Setup) {
    let gateway = Scripted::start(plans).await;
    let url = format!("{}/", gateway.url());
    let setup = Setup::with([], |config| {
        config.gateway_url = Some(url);
        config.access = access;
        config.max_gateway_requests = 20;
    })
    .await;
    (gateway, setup)
}

#[tokio::test]
async fn requests_arrive_as_they_were_given_and_without_the_token() {
    let (server, setup) = gateway(
        [
            on("GET /get?x=%20y"),
            on("POST /json"),
            on("POST /text"),
            on("POST /form"),
            on("PURGE /cache"),
            on("GET /body"),
            on("POST /string"),
            on("POST /null"),
        ],
        Access::ReadWrite,
    )
    .await;
    let text = json!({"Content-Type": "text/plain"});
    let form = json!({"content-type": "application/x-www-form-urlencoded; charset=utf-8"});
    let requests = json!([
        {"path": "/get?x=%20y", "method": "get", "headers": {"Host": "shop.example", "X-API-KEY": "of-a-consumer"}},
        {"path": "/json", "method": "POST", "data": {"n": 1}},
        {"path": "/text", "method": "POST", "data": "as it is", "headers": text},
        {"path": "/form", "method": "POST", "data": {"a b": "c&d", "n": 1}, "headers": form},
        {"path": "/cache", "method": "PURGE"},
        {"path": "/body", "method": "GET", "data": {"q": 1}},
        {"path": "/string", "method": "POST", "data": "s"},
        {"path": "/null", "method": "POST", "data": null},
    ]);
    let answer = setup.call(TOOL, json!({ "requests": requests })).await.ok();
    assert_eq!(
        answer["summary"],
        json!({"total": 8, "successful": 8, "failed": 0, "unanswered": 0})
    );
    let seen = server.seen();
    let find = |path: &str| seen.iter().find(|seen| seen.line.contains(path)).unwrap();
    assert_eq!(find("/get").header("host"), Some("shop.example"));
    assert_eq!(find("/null").header("content-length"), Some("0"));
    assert_eq!(find("/get").header("x-api-key"), Some("of-a-consumer"));
    assert_eq!(
        find("/json").header("content-type"),
        Some("application/json")
    );
    for (path, body) in [
        ("/json", r#"{"n":1}"#),
        ("/text", "as it is"),
        ("/form", "a%20b=c%26d&n=1"),
        ("/cache", ""),
        ("/body", r#"{"q":1}"#),
        ("/string", r#""s""#),
        ("/null", ""),
    ] {
        assert_eq!(find(path).body, body, "{path}");
        assert_eq!(find(path).header("x-api-key"), None, "{path}");
    }
    assert!(seen.iter().all(|seen| !format!("{seen:?}").contains(TOKEN)));
}

#[tokio::test]
async fn answers_are_told_as_they_are() {
    let (_server, setup) = gateway(
        [
            on("GET /json")
                .body(r#"{"n":1.50}"#)
                .header("x-a", "b")
                .header("set-cookie", "s=1"),
            on("GET /text")
                .body("hello")
                .header("content-type", "text/plain"),
            on("GET /no").status(404).body("{}"),
            on("GET /moved")
                .status(302)
                .header("location", "http://other.example/")
                .body(""),
            on("GET /broken").body("x").broken(),
        ],
        Access::Preview,
    )
    .await;
    let paths = ["/json", "/text", "/no", "/moved", "/broken"];
    let requests: Vec<Value> = paths
        .iter()
        .map(|path| json!({"path": path, "method": "GET"}))
        .collect();
    let answer = setup.call(TOOL, json!({ "requests": requests })).await.ok();
    let results = &answer["results"];
    assert_eq!(results[0]["data"], json!({"n": 1.5}));
    assert_eq!(results[0]["headers"]["x-a"], "b");
    assert_eq!(results[0]["headers"]["set-cookie"], "[redacted]");
    assert!(results[0]["durationMs"].is_u64());
    assert_eq!(results[1]["data"], "hello");
    assert_eq!(results[2]["status"], 404);
    assert_eq!(results[3]["headers"]["location"], "http://other.example/");
    assert!(results[4]["status"].is_null());
    assert_eq!(results[4]["error"]["kind"], "lost");
    assert_eq!(
        answer["summary"],
        json!({"total": 5, "successful": 2, "failed": 2, "unanswered": 1})
    );
}

#[tokio::test]
async fn a_request_is_repeated_as_often_as_it_says_and_no_oftener_than_allowed() {
    let plans = [(); 7].map(|()| on("GET /x"));
    let (server, setup) = gateway(plans, Access::Preview).await;
    let repeat =
        |count: Value| json!({"requests": [{"path": "/x", "method": "GET", "repeatCount": count}]});
    let answer = setup.call(TOOL, repeat(json!(7))).await.ok();
    assert_eq!(answer["summary"]["total"], 7);
    for count in [
        json!(21),
        json!(4_000_000_000_u32),
        json!(2.5),
        json!(0),
        json!(-1),
    ] {
        setup.call(TOOL, repeat(count)).await.error();
    }
    let two = json!({"path": "/x", "method": "GET", "repeatCount": 11});
    let error = setup
        .call(TOOL, json!({"requests": [two, two]}))
        .await
        .error();
    assert!(error.contains("more than 20 requests"), "{error}");
    assert_eq!(server.seen().len(), 7);
    let answer = setup.call(TOOL, json!({"requests": []})).await.ok();
    assert_eq!(answer["summary"]["total"], 0);
}

#[tokio::test]
async fn no_request_leaves_for_another_host() {
    let (_server, setup) = gateway([], Access::ReadWrite).await;
    for path in [
        "@evil.example:80/x",
        "x",
        "",
        "//evil.example/x",
        "/\\evil.example",
        "/a b",
        "/a#b",
        "/../x",
        "/%2e%2e/x",
        "/a\r\nHost: evil",
        "http://evil.example/",
    ] {
        let requests = json!([{"path": path, "method": "GET"}]);
        let error = setup
            .call(TOOL, json!({ "requests": requests }))
            .await
            .error();
        assert!(
            error.contains("`path`") && error.contains("Nothing was sent"),
            "{error}"
        );
    }
    for (request, says) in [
        (json!({"path": "/", "method": "CONNECT"}), "`method`"),
        (json!({"path": "/", "method": "G T"}), "`method`"),
        (
            json!({"path": "/", "method": "GET", "headers": {"a b": "c"}}),
            "name of a header",
        ),
        (
            json!({"path": "/", "method": "GET", "headers": {"a": "b\r\nc: d"}}),
            "no header may have",
        ),
        (
            json!({"path": "/", "method": "GET", "headers": {"Transfer-Encoding": "x"}}),
            "cannot be set",
        ),
        (
            json!({"path": "/", "method": "GET", "headers": {"a": TOKEN}}),
            "dashboard's token",
        ),
        (
            json!({"path": format!("/?a={}", TOKEN.replacen('a', "%61", 1)), "method": "GET"}),
            "token",
        ),
        (
            json!({"path": format!("/{TOKEN}"), "method": "GET"}),
            "dashboard's token",
        ),
        (
            json!({"path": "/", "method": "POST", "data": {"a": TOKEN}}),
            "dashboard's token",
        ),
        (
            json!({"path": "/", "method": "POST", "data": {"a": {}},
            "headers": {"content-type": "application/x-www-form-urlencoded"}}),
            "plain value",
        ),
    ] {
        let error = setup
            .call(TOOL, json!({ "requests": [request] }))
            .await
            .error();
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn methods_that_may_change_something_need_to_be_allowed() {
    let (_server, setup) = gateway([on("HEAD /x"), on("OPTIONS /x")], Access::Preview).await;
    for method in ["POST", "delete", "PURGE"] {
        let requests = json!([{"path": "/x", "method": method}]);
        let error = setup
            .call(TOOL, json!({ "requests": requests }))
            .await
            .error();
        assert!(error.contains("--allow-write"), "{error}");
    }
    let requests = json!([{"path": "/x", "method": "HEAD"}, {"path": "/x", "method": "OPTIONS"}]);
    setup.call(TOOL, json!({ "requests": requests })).await.ok();
}

#[tokio::test]
async fn so_many_are_under_way_at_the_same_time_and_no_more() {
    let barrier = Arc::new(Barrier::new(4));
    let server = Scripted::start((0..12).map(|_| on("GET /x").together(&barrier))).await;
    let url = server.url();
    let setup = Setup::with([], |config| {
        config.gateway_url = Some(url);
        config.gateway_concurrency = 4;
    })
    .await;
    let requests = json!([{"path": "/x", "method": "GET", "repeatCount": 12}]);
    let answer = setup.call(TOOL, json!({ "requests": requests })).await.ok();
    assert_eq!(answer["summary"]["successful"], 12);
    assert_eq!(server.most(), 4);
}

#[tokio::test]
async fn long_answers_are_cut() {
    let (_server, setup) = gateway(
        [
            on("GET /long").long(4 << 20).body("x"),
            on("GET /text").body("x".repeat(5000)),
        ],
        Access::Preview,
    )
    .await;
    let requests = json!([{"path": "/long", "method": "GET"}, {"path": "/text", "method": "GET"}]);
    let answer = setup
        .call(TOOL, json!({"requests": requests, "max_bytes": 2000}))
        .await;
    assert!(answer.text.len() < 6000, "{}", answer.text.len());
    let answer = answer.ok();
    for result in answer["results"].as_array().unwrap() {
        assert!(result["cut"]["next"].is_string(), "{result}");
    }
    let (_server, setup) = gateway(
        [on("GET /h").header("x-long", &"h".repeat(9000))],
        Access::Preview,
    )
    .await;
    let requests = json!([{"path": "/h", "method": "GET"}]);
    let answer = setup
        .call(TOOL, json!({"requests": requests, "max_bytes": 2000}))
        .await
        .ok();
    assert_eq!(answer["results"][0]["headersLeftOut"], 1);
    assert!(answer["results"][0]["headers"]["x-long"].is_null());
}

#[tokio::test]
async fn without_a_gateway_it_says_what_to_do() {
    let setup = Setup::new([]).await;
    let requests = json!([{"path": "/x", "method": "GET"}]);
    let error = setup
        .call(TOOL, json!({ "requests": requests }))
        .await
        .error();
    assert!(error.contains("GATEWAY_URL"), "{error}");
    let gone = nobody().await;
    let setup = Setup::with([], |config| config.gateway_url = Some(gone)).await;
    let answer = setup.call(TOOL, json!({ "requests": requests })).await.ok();
    assert_eq!(answer["results"][0]["error"]["kind"], "unavailable");
    assert_eq!(answer["summary"]["unanswered"], 1);
}

#[tokio::test]
async fn a_body_that_nests_without_end_is_cut_and_one_that_says_a_thing_twice_is_text() {
    let deep = format!("{}{}", "[".repeat(1 << 17), "]".repeat(1 << 17));
    let twice = r#"{"password":1,"n":1,"password":"hidden"}"#;
    let plans = [
        on("GET /deep").body(&*deep),
        on("GET /twice").body(twice),
        on("GET /deep").body(&*deep),
    ];
    let (_server, setup) = gateway(plans, Access::ReadOnly).await;
    let get = |path: &str| json!({"path": path, "method": "GET"});
    let asked = json!({"requests": [get("/deep"), get("/twice")]});
    let answer = setup.call(TOOL, asked).await.ok();
    let [deep, twice] = [0, 1].map(|at| &answer["results"][at]);
    let shown = deep["data"].to_string();
    assert!(
        shown.contains("[[[\"[cut: nested too deep]\"]]]"),
        "{shown}"
    );
    assert!(deep["remarks"][0].as_str().unwrap().contains("96 levels"));
    assert_eq!(
        twice["data"],
        r#"{"password":"[redacted]","n":1,"password":"[redacted]"}"#
    );
    assert!(twice["remarks"][0].as_str().unwrap().contains("twice"));
    let asked = json!({"requests": [get("/deep")], "show_secrets": true});
    let answer = setup.call(TOOL, asked).await.ok();
    assert!(
        answer["results"][0]["data"]
            .to_string()
            .contains("nested too deep")
    );
}

#[tokio::test]
async fn headers_that_prove_something_are_not_shown_unless_they_are_asked_for() {
    let plan = || {
        on("GET /")
            .header("authorization", "hidden")
            .header("x-api-key", "hidden")
            .header("x-amz-security-token", "hidden")
            .header("set-cookie", "s=hidden")
            .header("x-request-id", "7")
    };
    let (_server, setup) = gateway([plan(), plan()], Access::ReadOnly).await;
    let requests = json!([{"path": "/", "method": "GET"}]);
    let answer = setup.call(TOOL, json!({ "requests": requests })).await.ok();
    assert!(!answer.to_string().contains("hidden"), "{answer}");
    assert_eq!(answer["results"][0]["headers"]["x-request-id"], "7");
    let asked = json!({"requests": requests, "show_secrets": true});
    let answer = setup.call(TOOL, asked).await.ok();
    assert_eq!(answer["results"][0]["headers"]["x-api-key"], "hidden");
}

#[tokio::test]
async fn no_read_says_that_it_is_a_write() {
    let (_server, setup) = gateway([], Access::ReadOnly).await;
    let read = |path: &str| json!({"path": path, "method": "GET"});
    let mut cases: Vec<Value> = ["/?_method=DELETE", "/?a=1&%5Fmethod=PUT", "/?x;_METHOD=PUT"]
        .map(read)
        .into();
    cases.extend(["/x;_method=DELETE", "/x%3B_method=DELETE/y"].map(read));
    for (kind, data) in [
        (
            "application/x-www-form-urlencoded",
            json!({"_method": "DELETE"}),
        ),
        (
            "application/x-www-form-urlencoded",
            json!("a=1&%5Fmethod=DELETE"),
        ),
        ("application/json", json!({"a": {"_method": "DELETE"}})),
        (
            "multipart/form-data; boundary=b",
            json!("--b\r\nname=\"_method\"\r\n\r\nDELETE"),
        ),
    ] {
        cases.push(
            json!({"path": "/", "method": "GET", "data": data, "headers": {"Content-Type": kind}}),
        );
    }
    for name in [
        "X-Original-Method",
        "X-HTTP-Method-Override",
        "x-http-method",
        "X-Method-Override",
        "X_HTTP_Method_Override",
    ] {
        cases.push(json!({"path": "/", "method": "GET", "headers": {name: "DELETE"}}));
    }
    for case in cases {
        let error = setup.call(TOOL, json!({"requests": [case]})).await.error();
        assert!(
            error.contains("--allow-write") && error.contains("Nothing was sent"),
            "{error}"
        );
    }
    let (_server, setup) = gateway([on("POST /?_method=DELETE")], Access::ReadWrite).await;
    let request = json!({"path": "/?_method=DELETE", "method": "POST"});
    setup.call(TOOL, json!({"requests": [request]})).await.ok();
}

#[tokio::test]
async fn no_two_readers_see_two_hosts() {
    let (_server, setup) = gateway([], Access::ReadWrite).await;
    for headers in [
        json!({"host": "a", "Host": "b"}),
        json!({"Content-Type": "text/plain", "content-type": "application/json"}),
        json!({"Host": "x y"}),
        json!({"Host": "a/b@c"}),
        json!({"Host": ""}),
    ] {
        let request = json!({"path": "/", "method": "GET", "headers": headers, "data": "x"});
        let asked = json!({"requests": [request]});
        let error = setup.call(TOOL, asked).await.error();
        assert!(error.contains("Nothing was sent"), "{error}");
    }
}

#[tokio::test]
async fn only_methods_that_read_are_sent_until_writing_is_allowed() {
    for access in [Access::ReadOnly, Access::Preview] {
        let (_server, setup) = gateway([], access).await;
        for method in ["QUERY", "PROPFIND", "REPORT", "SEARCH", "post"] {
            let asked = json!({"requests": [{"path": "/", "method": method}]});
            let error = setup.call(TOOL, asked).await.error();
            assert!(error.contains("--allow-write"), "{error}");
        }
    }
}

#[tokio::test]
async fn many_answers_are_no_longer_than_one_may_be() {
    let mut plans = Vec::new();
    for n in 0..20 {
        let mut plan = on(if n < 15 { "GET /x" } else { "GET /y" });
        plan = plan
            .status(if n == 7 { 503 } else { 200 })
            .body(r#"{"a":"same"}"#);
        for header in 0..60 {
            plan = plan.header(&format!("x-header-{header}"), &"v".repeat(40));
        }
        plans.push(plan.header("x-request-id", &n.to_string()));
    }
    let (_server, setup) = gateway(plans, Access::Preview).await;
    let asked = |max_bytes: u32| {
        json!({"requests": [{"path": "/x", "method": "GET", "repeatCount": 15}, {"path": "/y", "method": "GET", "repeatCount": 5}],
            "max_bytes": max_bytes})
    };
    let answer = setup.call(TOOL, asked(2000)).await;
    assert!(answer.text.len() < 6000, "{}", answer.text.len());
    let answer = answer.ok();
    let results = answer["results"].as_array().unwrap();
    let told: u64 = results
        .iter()
        .map(|r| 1 + r["moreLikeIt"].as_u64().unwrap_or(0))
        .sum();
    assert_eq!((results.len(), told), (3, 20), "{answer}");
    assert_eq!(
        answer["summary"],
        json!({"total": 20, "successful": 19, "failed": 1, "unanswered": 0})
    );
}

#[tokio::test]
async fn answers_that_find_no_room_are_counted() {
    let plans = (0..20).map(|n| on("GET /x").body(format!("\"{}{n}\"", "z".repeat(300))));
    let (_server, setup) = gateway(plans, Access::Preview).await;
    let asked = json!({"requests": [{"path": "/x", "method": "GET", "repeatCount": 20}], "max_bytes": 1000});
    let answer = setup.call(TOOL, asked).await;
    assert!(answer.text.len() < 4000, "{}", answer.text.len());
    let answer = answer.ok();
    let shown = answer["results"].as_array().unwrap().len();
    let remark = answer["remarks"][0].as_str().unwrap();
    assert!(
        remark.contains(&format!("{} with 200 are not shown", 20 - shown)),
        "{remark}"
    );
    assert_eq!(answer["summary"]["total"], 20);
}
