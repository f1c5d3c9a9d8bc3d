//! The tool of many APIs: its arguments, and what comes back (C-1 to C-6).

use serde_json::{Value, json};

use super::*;
use crate::raw::{answer, ok};

fn echo(_: usize, request: &[u8]) -> raw::Reply {
    let headers = [
        ("content-type", "text/plain"),
        ("x-twice", "a"),
        ("x-twice", "b"),
        ("set-cookie", "sid=1"),
    ];
    answer("200 OK", &headers, request)
}

async fn echoing(change: impl FnOnce(ApiConfig) -> ApiConfig) -> Setup {
    Setup::of(Raw::start(echo).await, change)
}

#[tokio::test]
async fn status_data_and_headers_come_back() {
    let body = r#"{"n":1.50,"big":12345678901234567890}"#;
    let reply = answer(
        "404 Not Found",
        &[("content-type", "application/json"), ("etag", "\"1\"")],
        body.as_bytes(),
    );
    let setup = Setup::of(Raw::start(move |_, _| reply.clone()).await, |config| config);
    let result = setup
        .result(&of("bob"), json!({"endpoint": "/x", "method": "GET"}))
        .await;
    // A status of 400 or more is a result like any other (C-5).
    assert_eq!(result["isError"], false);
    let shown = &result["structuredContent"];
    assert_eq!(shown["status"], 404);
    assert_eq!(shown["truncated"], false);
    assert_eq!(shown["headers"]["etag"], "\"1\"");
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(text.contains(body), "{text}");
    assert_eq!(text.parse::<Value>().unwrap(), *shown);
}

#[tokio::test]
async fn a_request_has_what_was_asked_for_and_the_credential() {
    let setup = echoing(|config| config).await;
    let arguments = json!({
        "endpoint": "/a?x=1", "method": "POST",
        "headers": {"Accept": "application/json", "Content-Type": "application/json"},
        "query": {"q": "a b", "n": 1.50, "many": [1, "two", true], "none": null},
        "body": {"k": [1, {"z": null}]},
    });
    let shown = setup.ask(arguments).await;
    let request = shown["data"].as_str().unwrap();
    assert!(
        request.starts_with("POST /v1/a?x=1&many=1&many=two&many=true&n=1.5&q=a%20b HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("\r\naccept: application/json\r\n"),
        "{request}"
    );
    assert_eq!(request.matches("content-type").count(), 1, "{request}");
    assert!(request.ends_with(r#"{"k":[1,{"z":null}]}"#), "{request}");
    assert!(request.contains("\r\nauthorization: "), "{request}");
    // What the API repeats of the credential is not shown.
    assert!(!shown.to_string().contains("token-of-all"), "{shown}");
    assert!(setup.server.requests()[0].contains("authorization: Bearer token-of-all\r\n"));
    assert_eq!(shown["headers"]["x-twice"], "a, b");
    assert!(shown["headers"]["set-cookie"].is_null());
    // One caller has a credential of its own.
    setup
        .result(&of("ann"), json!({"endpoint": "/", "method": "GET"}))
        .await;
    assert!(setup.server.requests()[1].contains("authorization: Bearer token-of-ann\r\n"));
    // Whoever else has a token with her id has not.
    let by_token = Caller::new(CallerKind::User, "ann").with_issuer("https://guests.example");
    setup
        .result(
            &call_context(by_token, Arc::new(RecordingLink::new())),
            json!({"endpoint": "/", "method": "GET"}),
        )
        .await;
    assert!(setup.server.requests()[2].contains("authorization: Bearer token-of-all\r\n"));
}

#[tokio::test]
async fn every_spelling_of_an_address_means_its_api() {
    let setup = echoing(|config| config).await;
    let shouted = setup.base.replacen("http://", "HTTP://", 1);
    for api in [format!("{}/", setup.base), shouted] {
        let shown = setup
            .ask(json!({"api": api, "endpoint": "/x", "method": "GET"}))
            .await;
        assert_eq!(shown["status"], 200, "{api}: {shown}");
    }
    assert_eq!(setup.server.requests().len(), 2);
}

#[tokio::test]
async fn a_body_becomes_a_form_or_a_query_where_that_is_meant() {
    let setup = echoing(|config| config).await;
    let form = json!({
        "endpoint": "/f", "method": "POST",
        "headers": {"content-type": "application/x-www-form-urlencoded"},
        "body": {"a": "x & y", "b": [1, 2], "c": true},
    });
    let shown = setup.ask(form).await;
    assert!(
        shown["data"]
            .as_str()
            .unwrap()
            .ends_with("\r\n\r\na=x+%26+y&b=1&b=2&c=true"),
        "{shown}"
    );
    for method in ["GET", "DELETE"] {
        let shown = setup
            .ask(
                json!({"endpoint": "/w", "method": method, "body": {"q": "London,UK", "appid": 7}}),
            )
            .await;
        let line = format!("{method} /v1/w?appid=7&q=London%2CUK HTTP/1.1\r\n");
        let request = shown["data"].as_str().unwrap();
        assert!(
            request.starts_with(&line) && request.ends_with("\r\n\r\n"),
            "{request}"
        );
    }
    let strict = echoing(|config| config.with_get_body_as_query(false)).await;
    let shown = strict
        .ask(json!({"endpoint": "/w", "method": "GET", "body": {"q": 1}}))
        .await;
    assert_eq!(shown["code"], "body_not_allowed");
    assert!(strict.server.requests().is_empty());
}

/// What else is wrong is not said: of an API that the policy refuses it is not, either.
#[tokio::test]
async fn an_api_that_is_not_there_is_refused_by_a_name() {
    let setup = echoing(|config| config).await;
    let base = &setup.base;
    for arguments in [
        json!({"api": "https://evil.example", "endpoint": "/", "method": "GET"}),
        json!({"api": format!("{base}/x"), "endpoint": "/", "method": "GET"}),
        json!({"api": base.replace("/v1", "/V1"), "endpoint": "/", "method": "GET"}),
        json!({"api": "https://evil.example", "timeout_ms": "soon"}),
    ] {
        is_refused(&setup, &arguments, "api_not_allowed").await;
    }
    assert!(setup.server.requests().is_empty());
}

async fn is_refused(setup: &Setup, arguments: &Value, code: &str) {
    let result = setup.result(&of("bob"), arguments.clone()).await;
    assert_eq!(result["isError"], true, "{arguments}");
    assert_eq!(
        result["structuredContent"]["code"], code,
        "{arguments} {result}"
    );
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(
        text.starts_with(&format!("{code}: ")) && text.len() < 400,
        "{text}"
    );
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused_by_a_name() {
    let setup = echoing(|config| config).await;
    for (arguments, code) in [
        (
            json!({"endpoint": "//evil.example", "method": "GET"}),
            "endpoint_invalid",
        ),
        (
            json!({"endpoint": "/../admin", "method": "GET"}),
            "endpoint_invalid",
        ),
        (
            json!({"endpoint": "@evil.example", "method": "GET"}),
            "endpoint_invalid",
        ),
        (
            json!({"endpoint": "/x", "method": "TRACE"}),
            "method_not_allowed",
        ),
        (
            json!({"endpoint": "/x", "method": "get"}),
            "method_not_allowed",
        ),
        (
            json!({"endpoint": "/x", "method": "GET", "headers": {"Host": "a"}}),
            "header_not_allowed",
        ),
        (
            json!({"endpoint": "/x", "method": "GET", "headers": {"authorization": "a"}}),
            "header_not_allowed",
        ),
        (
            json!({"endpoint": "/x", "method": "GET", "headers": {"accept": "a", "Accept": "b"}}),
            "header_not_allowed",
        ),
        (
            json!({"endpoint": "/x", "method": "POST", "headers": {"content-type": "text/xml"}, "body": "<a/>"}),
            "content_type_not_allowed",
        ),
        (
            json!({"endpoint": "/x", "method": "POST", "body": {"a": "x".repeat(2 << 20)}}),
            "body_too_large",
        ),
        (
            json!({"endpoint": "/x", "method": "GET", "authToken": "t"}),
            "header_not_allowed",
        ),
        (
            json!({"endpoint": "/x", "method": "GET", "select": "a["}),
            "select_invalid",
        ),
        (
            json!({"endpoint": "/x", "method": "GET", "read_on": "answer://things/00/0"}),
            "answer_gone",
        ),
        (json!({"endpoint": "/x"}), "arguments_invalid"),
        (
            json!({"endpoint": "/x", "method": "GET", "url": "https://evil.example"}),
            "arguments_invalid",
        ),
        (
            json!({"endpoint": ["/x"], "method": "GET"}),
            "arguments_invalid",
        ),
        (
            json!({"endpoint": "/x", "method": "GET", "headers": {"accept": 1}}),
            "arguments_invalid",
        ),
        (
            json!({"endpoint": "/x", "method": "GET", "query": {"a": {"b": 1}}}),
            "arguments_invalid",
        ),
    ] {
        is_refused(&setup, &arguments, code).await;
    }
    assert!(setup.server.requests().is_empty());
}

#[tokio::test]
async fn what_is_there_twice_is_refused() {
    let setup = echoing(|config| config).await;
    let base = &setup.base;
    for text in [
        format!(r#"{{"api":"{base}","api":"{base}","endpoint":"/x","method":"GET"}}"#),
        format!(r#"{{"api":"{base}","endpoint":"/x","endpoint":"/y","method":"GET"}}"#),
        format!(
            r#"{{"api":"{base}","endpoint":"/x","method":"GET","headers":{{"accept":"a","accept":"b"}}}}"#
        ),
        format!(
            r#"{{"api":"{base}","endpoint":"/x","method":"POST","body":{{"a":1,"\u0061":2}}}}"#
        ),
    ] {
        let output = setup
            .tool
            .call_tool(&of("bob"), call("api_gateway", &text))
            .await
            .unwrap();
        let result = output.as_raw().to_value().unwrap();
        assert_eq!(
            result["structuredContent"]["code"], "arguments_invalid",
            "{text} {result}"
        );
    }
    assert!(setup.server.requests().is_empty());
}

#[tokio::test]
async fn a_token_of_the_callers_own_goes_where_it_may() {
    let setup = echoing(|config| config.with_auth_token(true)).await;
    let arguments = json!({"endpoint": "/me", "method": "GET", "authToken": "s3cret-of-bob"});
    let shown = setup.ask(arguments).await;
    assert!(!shown.to_string().contains("s3cret-of-bob"), "{shown}");
    let requests = setup.server.requests();
    assert!(requests[0].contains("authorization: Bearer s3cret-of-bob\r\n"));
    assert!(!requests[0].contains("token-of-all"));
    for bad in ["", " ", "a\r\nx: y"] {
        let arguments = json!({"endpoint": "/me", "method": "GET", "authToken": bad});
        let result = setup.result(&of("bob"), arguments).await;
        assert_eq!(result["isError"], true, "{result}");
    }
    assert_eq!(setup.server.requests().len(), 1);
}

#[tokio::test]
async fn a_part_of_an_answer_is_selected() {
    let body = r#"{"items":[{"id":1,"x":"long"},{"id":2}],"total":2}"#;
    let json = [("content-type", "application/json")];
    let reply = move |n: usize, _: &[u8]| match n {
        0 => answer("200 OK", &json, body.as_bytes()),
        1 => answer("500 Internal Server Error", &json, br#"{"error":"no"}"#),
        _ => ok("no json"),
    };
    let setup = Setup::of(Raw::start(reply).await, |config| config);
    let ask = || json!({"endpoint": "/x", "method": "POST", "select": "items[].id"});
    let shown = setup.ask(ask()).await;
    assert_eq!(shown["data"], json!([1, 2]));
    // What went wrong is told whole.
    assert_eq!(setup.ask(ask()).await["data"], json!({"error": "no"}));
    assert_eq!(setup.ask(ask()).await["code"], "select_invalid");
}

#[tokio::test]
async fn the_tool_says_what_it_takes() {
    let setup = echoing(|config| config).await;
    let offer = setup.tool.offer().await.unwrap();
    let definition = offer.tools[0].definition().to_value().unwrap();
    let schema = &definition["inputSchema"];
    assert_eq!(schema["properties"]["api"]["enum"], json!([setup.base]));
    assert_eq!(
        schema["properties"]["method"]["enum"],
        json!(["GET", "POST", "PUT", "DELETE"])
    );
    assert_eq!(schema["required"], json!(["api", "endpoint", "method"]));
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema["properties"]["authToken"].is_null());
    assert_eq!(
        definition["outputSchema"]["anyOf"][0]["required"],
        json!(["status", "data", "headers", "truncated"])
    );
    let choice = offer.tools[0].choice().unwrap();
    assert_eq!(&**choice.server(&setup.base).unwrap(), "things");
    let with_token = echoing(|config| config.with_auth_token(true)).await;
    let offer = with_token.tool.offer().await.unwrap();
    let definition = offer.tools[0].definition().to_value().unwrap();
    assert!(definition["inputSchema"]["properties"]["authToken"].is_object());
}

/// Clients hold results against the schema, those that say what went wrong as well.
#[tokio::test]
async fn results_and_refusals_are_what_the_schema_says() {
    let setup = Setup::of(Raw::start(|_, _| ok(r#"{"a":1}"#)).await, |config| config);
    let offer = setup.tool.offer().await.unwrap();
    let tool = offer
        .tools
        .first()
        .unwrap()
        .definition()
        .to_value()
        .unwrap();
    let schema = jsonschema::validator_for(&tool["outputSchema"]).unwrap();
    assert_eq!(tool["outputSchema"]["type"], "object");
    for (endpoint, is_error) in [("/x", false), ("/../x", true)] {
        let arguments = json!({"endpoint": endpoint, "method": "GET"});
        let result = setup.result(&of("bob"), arguments).await;
        assert_eq!(result["isError"], is_error);
        assert!(schema.is_valid(&result["structuredContent"]), "{result}");
    }
    for other in [json!({}), json!({"status": 200}), json!({"code": "x"})] {
        assert!(!schema.is_valid(&other), "{other}");
    }
}

/// Eight bytes at a time, an API that shows what it was sent would give the whole credential away.
#[tokio::test]
async fn parts_are_not_asked_for_with_a_credential_of_ours() {
    let part = || json!({"endpoint": "/x", "method": "GET", "headers": {"range": "bytes=0-7"}});
    let setup = echoing(|config| config).await;
    let shown = setup.ask(part()).await;
    assert_eq!(shown["code"], "header_not_allowed", "{shown}");
    assert!(setup.server.requests().is_empty());
    let setup = echoing(|mut config| {
        config.rules = config.rules.with_request_headers([http::header::RANGE]);
        config
    });
    assert_eq!(setup.await.ask(part()).await["status"], 200);
    // A token of the caller's own is no secret.
    let setup = echoing(|config| config.with_auth_token(true)).await;
    let mut own = part();
    own["authToken"] = json!("a-token-of-bob");
    assert_eq!(setup.ask(own).await["status"], 200);
}

#[tokio::test]
async fn what_nests_too_deeply_goes_as_text() {
    for (depth, is_text) in [(99, false), (100, true), (50_000, true)] {
        let body = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let json = [("content-type", "application/json")];
        let reply = answer("200 OK", &json, body.as_bytes());
        let setup = Setup::of(Raw::start(move |_, _| reply.clone()).await, |config| config);
        let shown = setup.get("/").await;
        assert_eq!(shown["data"].is_string(), is_text, "{depth}");
        assert!(!is_text || shown["data"] == body);
    }
}

#[tokio::test]
async fn an_empty_body_is_null_and_a_byte_order_mark_is_no_part_of_one() {
    for (body, media_type, data) in [
        ("", "text/plain", json!(null)),
        ("", "application/json", json!(null)),
        ("\u{feff}{\"a\":1}", "application/json", json!({"a": 1})),
        ("\u{feff}text", "text/plain", json!("text")),
    ] {
        let reply = answer("200 OK", &[("content-type", media_type)], body.as_bytes());
        let setup = Setup::of(Raw::start(move |_, _| reply.clone()).await, |config| config);
        assert_eq!(setup.get("/").await["data"], data, "{body:?} {media_type}");
    }
}

#[tokio::test]
async fn without_a_place_for_the_rest_all_of_an_answer_can_be_selected_from() {
    let items: Vec<Value> = (0..2_000).map(|n| json!({"id": n})).collect();
    let body = serde_json::to_vec(&items).unwrap();
    let reply = answer("200 OK", &[("content-type", "application/json")], &body);
    let server = Raw::start(move |_, _| reply.clone()).await;
    let config = ApiConfig::new("things", rules(&server)).with_max_shown(2_000);
    let api = api(config, None, Arc::new(SystemClock::new()));
    let base = api.base();
    let tool = ApiGateway::new(ApiGatewayConfig::default(), [api], None).unwrap();
    let ask = async |select: Option<&str>| {
        let mut arguments = json!({"api": base, "endpoint": "/", "method": "GET"});
        if let Some(select) = select {
            arguments["select"] = json!(select);
        }
        let call = call("api_gateway", &arguments.to_string());
        let output = tool.call_tool(&of("bob"), call).await.unwrap();
        output.as_raw().to_value().unwrap()["structuredContent"].clone()
    };
    let shown = ask(None).await;
    assert_eq!(
        (&shown["truncated"], &shown["next"]),
        (&json!(true), &json!(null))
    );
    assert_eq!(ask(Some("[-1].id")).await["data"], 1_999);
    assert_eq!(ask(Some("[].id")).await["code"], "select_invalid");
}

#[tokio::test]
async fn what_models_write_by_mistake_is_taken_as_meant_or_refused() {
    let setup = echoing(|config| config).await;
    for (body, sent) in [
        (json!("{\"a\": 1}"), "{\"a\": 1}"),
        (json!(" [1] "), "[1]"),
        (json!("{no"), "\"{no\""),
        (json!("text"), "\"text\""),
    ] {
        let asked = json!({"endpoint": "/", "method": "POST", "body": body});
        let shown = setup.ask(asked).await;
        let request = shown["data"].as_str().unwrap();
        assert!(request.ends_with(&format!("\r\n\r\n{sent}")), "{request}");
    }
    let twice = json!({"endpoint": "/", "method": "POST", "body": "{\"a\":1,\"a\":2}"});
    assert_eq!(setup.ask(twice).await["code"], "arguments_invalid");
    let typed = json!({"endpoint": "/", "method": "GET", "headers": {"Content-Type": "text/html"}});
    let shown = setup.ask(typed).await;
    assert!(
        !shown["data"].as_str().unwrap().contains("content-type"),
        "{shown}"
    );
    let hasty = json!({"endpoint": "/", "method": "GET", "timeout_ms": 0});
    assert_eq!(setup.ask(hasty).await["code"], "arguments_invalid");
}

#[tokio::test]
async fn what_readers_refuse_comes_as_text() {
    let long = format!("[{}]", "9".repeat(5_000));
    for (body, is_text) in [
        (r#"{"a":"\ud800"}"#, true),
        (r#"{"a":1e400}"#, true),
        (&*long, true),
        (r#"{"a":"\ud83d\ude00","a":12345678901234567890}"#, false),
    ] {
        let reply = answer(
            "200 OK",
            &[("content-type", "application/json")],
            body.as_bytes(),
        );
        let setup = Setup::of(Raw::start(move |_, _| reply.clone()).await, |config| config);
        // The result is read by such a reader.
        let shown = setup.get("/x").await;
        assert_eq!(shown["status"], 200);
        assert_eq!(shown["data"].as_str().is_some(), is_text, "{body:.60}");
        if is_text {
            assert_eq!(shown["data"], body);
        }
    }
}
