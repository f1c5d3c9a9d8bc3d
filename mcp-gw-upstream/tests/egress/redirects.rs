//! Redirects (E-7).

use mcp_gw_upstream::egress::{Injected, Redirects, RefusalCode, RequestParts};

use crate::raw::{Raw, answer, ok};
use crate::{Api, credential, get, post};

/// Answers the first request with a redirect to `location`, further ones with `end`.
async fn redirecting(status: &'static str, location: &str) -> (Raw, Api) {
    let location = location.to_owned();
    let server = Raw::start(move |number, request| {
        let port = String::from_utf8_lossy(request);
        let port = port
            .split("api.test:")
            .nth(1)
            .unwrap()
            .split('\r')
            .next()
            .unwrap()
            .to_owned();
        let location = location.replace("PORT", &port);
        match number {
            0 => answer(status, &[("location", &location)], b"moved"),
            _ => ok("end"),
        }
    })
    .await;
    let api = Api::new(&server, |rules| rules.with_redirects(Redirects::SameOrigin));
    (server, api)
}

#[tokio::test]
async fn a_redirect_is_an_answer_unless_the_rules_say_otherwise() {
    let (server, mut api) = redirecting("302 Found", "https://evil.example/").await;
    api.rules = api.rules.with_redirects(Redirects::Never);
    let mut answer = api.get("/").await.unwrap();
    assert_eq!(answer.status(), 302);
    assert_eq!(answer.headers()["location"], "https://evil.example/");
    assert_eq!(answer.read().await.unwrap(), "moved");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_redirect_on_the_same_origin_is_followed() {
    for (location, second) in [
        ("/v1/b", "GET /v1/b HTTP/1.1"),
        ("/v1/b?x=1#frag", "GET /v1/b?x=1 HTTP/1.1"),
        ("http://api.test:PORT/v1/b", "GET /v1/b HTTP/1.1"),
        ("HTTP://API.test:PORT/v1/b?y", "GET /v1/b?y HTTP/1.1"),
        ("//api.test:PORT/v1/b", "GET /v1/b HTTP/1.1"),
        ("b", "GET /v1/x/b HTTP/1.1"),
        ("b/c?d=/e", "GET /v1/x/b/c?d=/e HTTP/1.1"),
        ("?page=2", "GET /v1/x/a?page=2 HTTP/1.1"),
    ] {
        let (server, api) = redirecting("302 Found", location).await;
        assert_eq!(
            api.text("/x/a").await.unwrap(),
            (200, "end".into()),
            "{location}"
        );
        assert_eq!(server.lines()[1], second, "{location}");
    }
}

#[tokio::test]
async fn a_redirect_to_elsewhere_is_blocked() {
    for location in [
        "https://evil.example/v1/b",
        "http://evil.example:PORT/v1/b",
        "//evil.example/v1/b",
        "https://api.test:PORT/v1/b",
        "http://api.test/v1/b",
        "http://api.test:1/v1/b",
        "http://api.test:PORT@evil.example/v1/b",
        "http://user@api.test:PORT/v1/b",
        "http://api.test:PORT.evil.example/v1/b",
        "http://api.test.:PORT/v1/b",
        "http://127.0.0.1:PORT/v1/b",
        "http://169.254.169.254/latest/meta-data",
        "/v2/b",
        "/v1",
        "/v10/b",
        "/",
        "/v1/../admin",
        "/v1/%2e%2e/admin",
        "/v1/..%2fadmin",
        "/v1//b",
        "../admin",
        "..",
        "./b",
        "/\\evil.example/",
        "\\\\evil.example/",
        "http:\\\\evil.example/",
        "/v1/b c",
        "/v1/%zz",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http:/v1/b",
        "",
        "#x",
    ] {
        let (server, api) = redirecting("302 Found", location).await;
        let error = api.get("/a").await.expect_err(location);
        assert_eq!(
            error.code,
            RefusalCode::RedirectBlocked,
            "{location}: {error}"
        );
        assert!(
            !error.is_unsent && !error.message.contains("evil"),
            "{error}"
        );
        assert_eq!(server.requests().len(), 1, "{location}");
    }
}

#[tokio::test]
async fn the_rules_of_the_api_hold_for_each_hop() {
    let glob = |text| mcp_gw_core::Glob::parse(text).unwrap();
    let (server, mut api) = redirecting("302 Found", "/v1/secret/x").await;
    api.rules = api.rules.with_denied_paths([glob("/secret/*")]);
    let error = api.get("/a").await.unwrap_err();
    assert_eq!(error.code, RefusalCode::RedirectBlocked);
    assert_eq!(server.requests().len(), 1);

    let (server, mut api) = redirecting("303 See Other", "/v1/b").await;
    api.rules = api.rules.with_methods([http::Method::POST]);
    let error = api.ask(post("/a", "{}")).await.unwrap_err();
    assert_eq!(error.code, RefusalCode::RedirectBlocked);
    assert_eq!(server.requests().len(), 1);

    let server = Raw::start(|_, _| {
        answer(
            "302 Found",
            &[("location", "/v1/a"), ("location", "/v1/b")],
            b"",
        )
    })
    .await;
    let api = Api::new(&server, |rules| rules.with_redirects(Redirects::SameOrigin));
    let error = api.get("/a").await.unwrap_err();
    assert_eq!(error.code, RefusalCode::RedirectBlocked);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn three_redirects_are_followed_and_no_more() {
    for (count, status) in [(3, Ok(200)), (4, Err(RefusalCode::RedirectBlocked))] {
        let server = Raw::start(move |number, _| match number {
            number if number < count => answer("307 X", &[("location", "/v1/a")], b""),
            _ => ok("end"),
        })
        .await;
        let api = Api::new(&server, |rules| rules.with_redirects(Redirects::SameOrigin));
        let answer = api.get("/a").await;
        let status_seen = answer
            .map(|answer| answer.status().as_u16())
            .map_err(|error| error.code);
        assert_eq!(status_seen, status);
        assert_eq!(server.requests().len(), 4);
    }
}

#[tokio::test]
async fn method_and_body_of_a_hop_are_those_of_the_standard() {
    let delete = || RequestParts {
        method: "DELETE".into(),
        ..post("/a", "{}")
    };
    for (status, parts, second, has_body) in [
        ("301 X", post("/a", "{}"), "GET", false),
        ("302 X", post("/a", "{}"), "GET", false),
        ("303 X", post("/a", "{}"), "GET", false),
        ("307 X", post("/a", "{}"), "POST", true),
        ("308 X", post("/a", "{}"), "POST", true),
        ("302 X", delete(), "DELETE", true),
        ("303 X", delete(), "GET", false),
    ] {
        let (server, api) = redirecting(status, "/v1/b").await;
        api.ask(parts).await.unwrap();
        let sent = server.requests().pop().unwrap();
        assert!(
            sent.starts_with(&format!("{second} /v1/b HTTP/1.1\r\n")),
            "{status}: {sent}"
        );
        assert_eq!(sent.ends_with("\r\n\r\n{}"), has_body, "{status}: {sent}");
        assert_eq!(sent.contains("content-type"), has_body, "{status}: {sent}");
    }
    for status in ["300 X", "304 X", "305 X", "306 X", "200 X", "201 X"] {
        let (server, api) = redirecting(status, "/v1/b").await;
        api.get("/a").await.unwrap();
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_credential_goes_along_once_and_only_on_the_same_origin() {
    let (server, api) = redirecting("302 Found", "/v1/b?x=1&appid=reflected").await;
    let checked = api.rules.check(get("/a")).unwrap();
    api.client.send(checked, &credential()).await.unwrap();
    let sent = server.requests().pop().unwrap();
    assert!(
        sent.starts_with("GET /v1/b?x=1&appid=k3y%20in%20%26%20query HTTP"),
        "{sent}"
    );
    assert_eq!(
        sent.matches("x-api-key: k3y-in-a-header").count(),
        1,
        "{sent}"
    );

    // Another origin gets nothing, not even a connection.
    let other = Raw::start(|_, _| ok("stolen")).await;
    let location = format!("http://api.test:{}/v1/b", other.port());
    let (_server, api) = redirecting("302 Found", &location).await;
    let checked = api.rules.check(get("/a")).unwrap();
    let error = api
        .client
        .send(checked, &Injected::none())
        .await
        .unwrap_err();
    assert_eq!(error.code, RefusalCode::RedirectBlocked);
    assert_eq!(other.connections(), 0);
}
