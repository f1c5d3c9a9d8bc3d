//! Answers that are used again, by the rules of RFC 9111, and never for another caller.

use http::header::RANGE;
use mcp_gw_upstream::rest::CacheConfig;
use serde_json::json;

use super::*;
use crate::raw::{Reply, answer};

async fn cached(headers: &'static [(&'static str, &'static str)]) -> Setup {
    let reply = move |n: usize, request: &[u8]| -> Reply {
        let request = String::from_utf8_lossy(request);
        if request.contains("if-none-match: \"1\"") {
            return answer("304 Not Modified", headers, b"");
        }
        answer("200 OK", headers, format!("answer {n}").as_bytes())
    };
    Setup::of(Raw::start(reply).await, |mut config| {
        config.rules = config.rules.with_request_headers([RANGE]);
        config.with_cache(Some(CacheConfig::default()))
    })
}

async fn data(setup: &Setup, caller: &str, arguments: serde_json::Value) -> String {
    let result = setup.result(&of(caller), arguments).await;
    let data = &result["structuredContent"]["data"];
    data.as_str().unwrap().to_owned()
}

fn get(endpoint: &str) -> serde_json::Value {
    json!({"endpoint": endpoint, "method": "GET"})
}

#[tokio::test]
async fn an_answer_is_used_again_by_its_caller_alone() {
    let setup = cached(&[("cache-control", "max-age=60")]).await;
    assert_eq!(data(&setup, "bob", get("/x")).await, "answer 0");
    assert_eq!(data(&setup, "bob", get("/x")).await, "answer 0");
    assert_eq!(data(&setup, "eve", get("/x")).await, "answer 1");
    assert_eq!(data(&setup, "ann", get("/x")).await, "answer 2");
    assert_eq!(data(&setup, "bob", get("/x?y")).await, "answer 3");
    assert_eq!(data(&setup, "bob", get("/x")).await, "answer 0");
}

#[tokio::test]
async fn a_public_answer_is_everybodys() {
    let setup = cached(&[("cache-control", "public, max-age=60")]).await;
    for caller in ["bob", "eve", "ann"] {
        assert_eq!(data(&setup, caller, get("/x")).await, "answer 0");
    }
}

#[tokio::test]
async fn what_says_nothing_or_no_is_asked_for_again() {
    for headers in [
        &[][..],
        &[("cache-control", "no-store")],
        &[("cache-control", "max-age=0")],
        &[("cache-control", "max-age=60"), ("vary", "*")],
        &[("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT")],
    ] {
        let setup = cached(headers).await;
        assert_eq!(
            data(&setup, "bob", get("/x")).await,
            "answer 0",
            "{headers:?}"
        );
        assert_eq!(
            data(&setup, "bob", get("/x")).await,
            "answer 1",
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn what_is_still_the_same_is_not_sent_twice() {
    let setup = cached(&[("cache-control", "no-cache"), ("etag", "\"1\"")]).await;
    assert_eq!(data(&setup, "bob", get("/x")).await, "answer 0");
    assert_eq!(data(&setup, "bob", get("/x")).await, "answer 0");
    assert!(setup.server.requests()[1].contains("\r\nif-none-match: \"1\"\r\n"));
    // Who asks on a condition of its own hears what the API says.
    let mut own = get("/x");
    own["headers"] = json!({"if-none-match": "\"1\""});
    let shown = setup.ask(own).await;
    assert_eq!(shown["status"], 304);
}

#[tokio::test]
async fn other_headers_may_mean_another_answer() {
    let setup = cached(&[("cache-control", "max-age=60"), ("vary", "accept")]).await;
    let with = |accept: &str| {
        let mut arguments = get("/x");
        arguments["headers"] = json!({"accept": accept});
        arguments
    };
    assert_eq!(data(&setup, "bob", with("text/a")).await, "answer 0");
    assert_eq!(data(&setup, "bob", with("text/a")).await, "answer 0");
    assert_eq!(data(&setup, "bob", with("text/b")).await, "answer 1");
}

#[tokio::test]
async fn a_change_makes_what_was_kept_wrong() {
    let setup = cached(&[("cache-control", "public, max-age=60")]).await;
    assert_eq!(data(&setup, "bob", get("/x")).await, "answer 0");
    let change = json!({"endpoint": "/x", "method": "PUT", "body": {}});
    data(&setup, "eve", change).await;
    assert_eq!(data(&setup, "bob", get("/x")).await, "answer 2");
    // A part, and a token of one's own, are asked for each time.
    let mut part = get("/x");
    part["headers"] = json!({"range": "bytes=0-1"});
    assert_eq!(data(&setup, "bob", part).await, "answer 3");
}

#[tokio::test]
async fn a_change_with_a_token_of_the_callers_own_forgets_what_was_kept() {
    let headers = [("cache-control", "public, max-age=60")];
    let reply =
        move |n: usize, _: &[u8]| answer("200 OK", &headers, format!("answer {n}").as_bytes());
    let setup = Setup::of(Raw::start(reply).await, |config| {
        config
            .with_auth_token(true)
            .with_cache(Some(CacheConfig::default()))
    });
    assert_eq!(data(&setup, "bob", get("/x")).await, "answer 0");
    assert_eq!(data(&setup, "bob", get("/x")).await, "answer 0");
    let change = json!({"endpoint": "/x", "method": "PUT", "body": {}, "authToken": "of-eve"});
    assert_eq!(data(&setup, "eve", change).await, "answer 1");
    assert_eq!(data(&setup, "bob", get("/x")).await, "answer 2");
}

#[tokio::test]
async fn what_depends_on_the_credential_is_for_those_who_have_it() {
    for vary in ["Authorization", "accept, AUTHORIZATION"] {
        let headers = [("cache-control", "public, max-age=60"), ("vary", vary)];
        let setup = cached(headers.to_vec().leak()).await;
        for (caller, expected) in [
            ("bob", "answer 0"),
            ("eve", "answer 0"),
            ("ann", "answer 1"),
            ("ann", "answer 1"),
            ("bob", "answer 0"),
        ] {
            assert_eq!(data(&setup, caller, get("/x")).await, expected, "{vary}");
        }
    }
}

/// Over an API that says which credential it got: that of ann, and that of all others.
async fn with_credentials(
    headers: &'static [(&'static str, &'static str)],
    all: &Credential,
    anns: Option<&Credential>,
) -> Setup {
    let reply =
        move |n: usize, _: &[u8]| answer("200 OK", headers, format!("answer {n}").as_bytes());
    over(Raw::start(reply).await, all, anns)
}

fn over(server: Raw, all: &Credential, anns: Option<&Credential>) -> Setup {
    let config = ApiConfig::new("things", rules(&server));
    let config = config.with_cache(Some(CacheConfig::default()));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let client = Client::new();
    let keeper = |credential| Keeper::new(credential, &client, Arc::clone(&clock)).unwrap();
    let by_caller = HashMap::from([(CallerName::new("ann"), keeper(anns))]);
    let own = keeper(Some(all));
    let api = Api::new(config, client.clone(), own, by_caller, Arc::clone(&clock));
    let base = api.base();
    let tool = ApiGateway::new(ApiGatewayConfig::default(), [api], None).unwrap();
    Setup { server, tool, base }
}

#[tokio::test]
async fn a_credential_in_the_query_is_a_part_of_the_address() {
    let in_query = |value: &str| Credential::Query {
        name: "key".to_owned(),
        value: Secret::new(value.to_owned()),
    };
    let in_header = |value: &str| Credential::Header {
        name: "x-key".parse().unwrap(),
        value: Secret::new(value.to_owned()),
    };
    let public = &[("cache-control", "public, max-age=60")];
    let varies = &[("cache-control", "public, max-age=60"), ("vary", "X-Key")];
    for (headers, all, anns, is_shared) in [
        (
            &public[..],
            in_query("key-of-all"),
            Some(in_query("key-of-ann")),
            false,
        ),
        (public, in_query("key-of-all"), None, false),
        (
            public,
            in_header("key-of-all"),
            Some(in_query("key-of-ann")),
            false,
        ),
        (
            varies,
            in_header("key-of-all"),
            Some(in_header("key-of-ann")),
            false,
        ),
        (varies, in_header("key-of-all"), None, false),
        (
            public,
            in_header("key-of-all"),
            Some(in_header("key-of-ann")),
            true,
        ),
    ] {
        let setup = with_credentials(headers, &all, anns.as_ref()).await;
        let of_ann = if is_shared { "answer 0" } else { "answer 1" };
        for (caller, expected) in [
            ("bob", "answer 0"),
            ("eve", "answer 0"),
            ("ann", of_ann),
            ("ann", of_ann),
            ("bob", "answer 0"),
        ] {
            assert_eq!(data(&setup, caller, get("/x")).await, expected, "{anns:?}");
        }
    }
}

#[tokio::test]
async fn directives_have_no_case_and_private_wins() {
    for (said, again, others) in [
        ("No-Store, max-age=60", "answer 1", "answer 2"),
        ("NO-CACHE, max-age=60", "answer 1", "answer 2"),
        ("Max-Age=0, max-age=60", "answer 1", "answer 2"),
        ("Private, s-maxage=60", "answer 1", "answer 2"),
        ("PRIVATE, public, max-age=60", "answer 0", "answer 1"),
        ("private, max-age=60, s-maxage=60", "answer 0", "answer 1"),
        (
            "private=\"x-a\", s-maxage=60, max-age=60",
            "answer 0",
            "answer 1",
        ),
        ("ext=\"a, public\", max-age=60", "answer 0", "answer 1"),
        ("MAX-AGE=60", "answer 0", "answer 1"),
        ("S-MaxAge=60", "answer 0", "answer 0"),
        ("Public, MAX-AGE=\"60\"", "answer 0", "answer 0"),
    ] {
        let setup = cached(vec![("cache-control", said)].leak()).await;
        assert_eq!(data(&setup, "bob", get("/x")).await, "answer 0", "{said}");
        assert_eq!(data(&setup, "bob", get("/x")).await, again, "{said}");
        assert_eq!(data(&setup, "eve", get("/x")).await, others, "{said}");
        // It is shown as it was said.
        let shown = setup.get("/x").await;
        assert_eq!(shown["headers"]["cache-control"], said);
    }
}

#[tokio::test]
async fn who_an_answer_is_for_is_decided_again_when_it_is_still_the_same() {
    let authorization = Credential::Header {
        name: "authorization".parse().unwrap(),
        value: Secret::new("Bearer of-all".to_owned()),
    };
    let own = Credential::Header {
        name: "x-key".parse().unwrap(),
        value: Secret::new("key-of-all".to_owned()),
    };
    for (credential, said, of_others) in [
        (
            &authorization,
            &[
                ("cache-control", "public, max-age=60"),
                ("vary", "Authorization"),
            ][..],
            "answer 2",
        ),
        (
            &own,
            &[("cache-control", "public, max-age=60"), ("vary", "X-Key")],
            "answer 2",
        ),
        (
            &own,
            &[("cache-control", "private, max-age=60")],
            "answer 2",
        ),
        (&own, &[("cache-control", "no-store")], "answer 2"),
        (&own, &[("cache-control", "public, max-age=60")], "answer 0"),
    ] {
        let reply = move |n: usize, request: &[u8]| {
            if n == 1 {
                assert!(String::from_utf8_lossy(request).contains("if-none-match: \"1\""));
                let said = [&[("etag", "\"1\"")], said].concat();
                return answer("304 Not Modified", &said, b"");
            }
            let first = [("cache-control", "public, no-cache"), ("etag", "\"1\"")];
            answer("200 OK", &first, format!("answer {n}").as_bytes())
        };
        let setup = over(Raw::start(reply).await, credential, None);
        assert_eq!(data(&setup, "bob", get("/x")).await, "answer 0");
        assert_eq!(data(&setup, "bob", get("/x")).await, "answer 0");
        assert_eq!(data(&setup, "ann", get("/x")).await, of_others, "{said:?}");
    }
}
