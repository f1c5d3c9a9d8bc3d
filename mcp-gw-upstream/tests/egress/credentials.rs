//! Credentials of APIs (C-15): what they add, how tokens are got and kept, and that nothing of them is
//! shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::header::HeaderName;
use mcp_gw_core::SystemClock;
use mcp_gw_core::testing::ManualClock;
use mcp_gw_upstream::egress::{
    AddressRules, BaseRules, Client, FixedUrl, RefusalCode, RequestParts,
};
use mcp_gw_upstream::rest::{ClientAuth, ClientCredentials, Credential, Keeper};

use crate::raw::{Raw, Reply, answer, ok};
use crate::{Api, get, post, secret};

const SECRET: &str = "s3cret/of+the client";

fn keeper(api: &Api, credential: &Credential) -> Keeper {
    Keeper::new(Some(credential), &api.client, Arc::new(SystemClock::new())).unwrap()
}

async fn sent_with(credential: Credential) -> String {
    let server = Raw::start(|_, _| ok("{}")).await;
    let api = Api::new(&server, |rules| {
        rules
            .with_credential_headers(credential.headers())
            .with_credential_query(credential.query().map(str::to_owned))
    });
    let keeper = keeper(&api, &credential);
    assert!(!format!("{keeper:?} {credential:?}").contains("s3cret"));
    let request = api.rules.check(get("/me")).unwrap();
    keeper.send(request).await.unwrap();
    // What the credential sets, a caller cannot.
    if let Some(name) = credential.headers() {
        let headers = vec![(name.to_string(), "mine".to_owned())];
        let refusal = api.rules.check(RequestParts {
            headers,
            ..get("/me")
        });
        assert_eq!(refusal.unwrap_err().code, RefusalCode::HeaderNotAllowed);
    }
    if let Some(name) = credential.query() {
        let refusal = api.rules.check(get(&format!("/me?{name}=mine")));
        assert_eq!(refusal.unwrap_err().code, RefusalCode::EndpointInvalid);
    }
    server.requests().remove(0)
}

#[tokio::test]
async fn each_kind_is_sent_in_its_place() {
    let sent = sent_with(Credential::Bearer(secret("s3cret"))).await;
    assert!(
        sent.contains("\r\nauthorization: Bearer s3cret\r\n"),
        "{sent}"
    );
    let name = HeaderName::from_static("x-api-key");
    let sent = sent_with(Credential::Header {
        name,
        value: secret("s3cret"),
    })
    .await;
    assert!(sent.contains("\r\nx-api-key: s3cret\r\n"), "{sent}");
    let (username, password) = ("Aladdin".to_owned(), secret("open s3cret"));
    let sent = sent_with(Credential::Basic { username, password }).await;
    assert!(
        sent.contains("\r\nauthorization: Basic QWxhZGRpbjpvcGVuIHMzY3JldA==\r\n"),
        "{sent}"
    );
    let sent = sent_with(Credential::Query {
        name: "appid".into(),
        value: secret("s3cret&"),
    })
    .await;
    assert!(
        sent.starts_with("GET /v1/me?appid=s3cret%26 HTTP/1.1\r\n"),
        "{sent}"
    );
}

#[test]
fn a_credential_that_cannot_be_sent_is_a_fault_before_the_first_call() {
    let make = |credential| {
        Keeper::new(
            Some(&credential),
            &Client::new(),
            Arc::new(SystemClock::new()),
        )
    };
    let wrong = [
        Credential::Bearer(secret("s3cret\n")),
        Credential::Header {
            name: HeaderName::from_static("host"),
            value: secret("s3cret"),
        },
        Credential::Basic {
            username: "a:b".into(),
            password: secret("s3cret"),
        },
    ];
    for credential in wrong {
        let error = make(credential).unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

/// An API that wants tokens, and where they come from.
struct Oauth {
    api: Api,
    resource: Raw,
    tokens: Raw,
    clock: Arc<ManualClock>,
    keeper: Keeper,
}

/// A token endpoint that grants `token-1`, `token-2` and so on.
fn granting(number: usize, _: &[u8]) -> Reply {
    let body = format!(
        r#"{{"access_token":"token-{}","token_type":"bearer","expires_in":100}}"#,
        number + 1
    );
    answer(
        "200 OK",
        &[("content-type", "application/json")],
        body.as_bytes(),
    )
}

impl Oauth {
    async fn new(
        tokens: impl Fn(usize, &[u8]) -> Reply + Send + Sync + 'static,
        resource: impl Fn(usize, &[u8]) -> Reply + Send + Sync + 'static,
        auth: ClientAuth,
    ) -> Self {
        Self::within(Duration::from_millis(500), tokens, resource, auth).await
    }

    /// With a token endpoint that may take so long.
    async fn within(
        limit: Duration,
        tokens: impl Fn(usize, &[u8]) -> Reply + Send + Sync + 'static,
        resource: impl Fn(usize, &[u8]) -> Reply + Send + Sync + 'static,
        auth: ClientAuth,
    ) -> Self {
        let (tokens, resource) = (Raw::start(tokens).await, Raw::start(resource).await);
        let api = Api::new(&resource, |rules| rules);
        let url = format!("{}/oauth/token?tenant=1", tokens.url());
        let any = BaseRules::new().with_http(true).with_ip(true);
        let url = FixedUrl::parse(&url, any)
            .unwrap()
            .with_addresses(AddressRules::new().with_private(true))
            .with_timeout(limit);
        let credential = ClientCredentials::new(url, "the:id".to_owned(), secret(SECRET))
            .with_scopes(["read".to_owned(), "write".to_owned()])
            .with_parameter("audience", "https://api/")
            .with_auth(auth);
        let credential = Credential::OAuth2ClientCredentials(credential);
        assert!(!format!("{credential:?}").contains("s3cret"));
        let clock = Arc::new(ManualClock::new());
        let shared = Arc::clone(&clock) as _;
        let keeper = Keeper::new(Some(&credential), &api.client, shared).unwrap();
        Self {
            api,
            resource,
            tokens,
            clock,
            keeper,
        }
    }

    /// The token that arrived, or why there was none.
    async fn call(&self) -> Result<String, RefusalCode> {
        let request = self.api.rules.check(post("/me", "{}")).unwrap();
        let answer = self.keeper.send(request).await.map_err(|error| {
            assert!(error.is_unsent, "{error:?}");
            assert!(!error.message.contains("s3cret") && !error.message.contains("127."));
            error.code
        })?;
        answer.read_whole().await.unwrap();
        let last = self.resource.requests().pop().unwrap();
        assert!(last.starts_with("POST /v1/me HTTP/1.1\r\n") && last.ends_with("\r\n\r\n{}"));
        let token = last.split("authorization: Bearer ").nth(1).unwrap();
        Ok(token.split('\r').next().unwrap().to_owned())
    }
}

#[tokio::test]
async fn a_token_is_asked_for_as_the_standard_says() {
    let oauth = Oauth::new(granting, |_, _| ok("{}"), ClientAuth::Basic).await;
    assert_eq!(oauth.call().await.unwrap(), "token-1");
    let sent = oauth.tokens.requests().remove(0);
    assert!(
        sent.starts_with("POST /oauth/token?tenant=1 HTTP/1.1\r\n"),
        "{sent}"
    );
    assert!(sent.contains("\r\naccept: application/json\r\n"), "{sent}");
    assert!(
        sent.contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"),
        "{sent}"
    );
    // the%3Aid:s3cret%2Fof%2Bthe%20client
    let basic = "authorization: Basic dGhlJTNBaWQ6czNjcmV0JTJGb2YlMkJ0aGUlMjBjbGllbnQ=\r\n";
    assert!(sent.contains(basic), "{sent}");
    let form = "grant_type=client_credentials&scope=read%20write&audience=https%3A%2F%2Fapi%2F";
    assert!(sent.ends_with(&format!("\r\n\r\n{form}")), "{sent}");

    let oauth = Oauth::new(granting, |_, _| ok("{}"), ClientAuth::Form).await;
    assert_eq!(oauth.call().await.unwrap(), "token-1");
    let sent = oauth.tokens.requests().remove(0);
    let both = "&client_id=the%3Aid&client_secret=s3cret%2Fof%2Bthe%20client";
    assert!(sent.ends_with(&format!("{form}{both}")), "{sent}");
    assert!(!sent.contains("authorization"), "{sent}");
}

#[tokio::test]
async fn a_token_is_kept_for_most_of_its_life_and_renewed_before_its_end() {
    let oauth = Oauth::new(granting, |_, _| ok("{}"), ClientAuth::Basic).await;
    assert_eq!(oauth.call().await.unwrap(), "token-1");
    oauth.clock.advance(Duration::from_secs(79));
    assert_eq!(oauth.call().await.unwrap(), "token-1");
    assert_eq!(oauth.tokens.requests().len(), 1);
    // At 80 % of its life it is still good, and another one is fetched meanwhile.
    oauth.clock.advance(Duration::from_secs(1));
    assert_eq!(oauth.call().await.unwrap(), "token-1");
    oauth.tokens.asked(2).await;
    while oauth.call().await.unwrap() == "token-1" {
        tokio::task::yield_now().await;
    }
    assert_eq!(oauth.call().await.unwrap(), "token-2");
    assert_eq!(oauth.tokens.requests().len(), 2);
    // Nobody called in time: the next one waits for a new one.
    oauth.clock.advance(Duration::from_secs(100));
    assert_eq!(oauth.call().await.unwrap(), "token-3");
}

#[tokio::test]
async fn many_calls_at_once_ask_for_one_token() {
    let oauth = Oauth::new(granting, |_, _| ok("{}"), ClientAuth::Basic).await;
    let calls = (0..50).map(|_| async {
        let request = oauth.api.rules.check(get("/me")).unwrap();
        oauth.keeper.send(request).await.unwrap().status()
    });
    let all = futures_util::future::join_all(calls).await;
    assert!(all.iter().all(|status| *status == 200));
    assert_eq!(oauth.tokens.requests().len(), 1);
}

#[tokio::test]
async fn one_that_gives_up_does_not_stop_the_others() {
    let first = AtomicUsize::new(0);
    let tokens = move |number: usize, request: &[u8]| match first.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::raw("").hang(),
        _ => granting(number, request),
    };
    let oauth = Oauth::new(tokens, |_, _| ok("{}"), ClientAuth::Basic).await;
    {
        let call = oauth.call();
        tokio::pin!(call);
        tokio::select! {
            _ = &mut call => panic!("nobody answers"),
            () = oauth.tokens.asked(1) => {}
        }
    }
    assert_eq!(oauth.call().await.unwrap(), "token-2");
}

#[tokio::test]
async fn a_refused_token_is_dropped_and_the_request_sent_once_more() {
    let resource = |_: usize, request: &[u8]| {
        let is_first = String::from_utf8_lossy(request).contains("token-1\r\n");
        if is_first {
            answer("401 Unauthorized", &[], b"no")
        } else {
            ok("{}")
        }
    };
    let oauth = Oauth::new(granting, resource, ClientAuth::Basic).await;
    assert_eq!(oauth.call().await.unwrap(), "token-2");
    assert_eq!(oauth.resource.requests().len(), 2);
    assert_eq!(oauth.call().await.unwrap(), "token-2");
    assert_eq!(
        (
            oauth.tokens.requests().len(),
            oauth.resource.requests().len()
        ),
        (2, 3)
    );
}

#[tokio::test]
async fn an_api_that_refuses_every_token_does_not_wear_out_the_token_endpoint() {
    let refusing =
        |_: usize, _: &[u8]| answer("401 Unauthorized", &[("www-authenticate", "x")], b"no");
    let oauth = Oauth::new(granting, refusing, ClientAuth::Basic).await;
    for _ in 0..5 {
        let request = oauth.api.rules.check(get("/me")).unwrap();
        let answer = oauth.keeper.send(request).await.unwrap();
        assert_eq!(answer.status(), 401);
        assert!(!answer.headers().contains_key("www-authenticate"));
    }
    assert_eq!(
        (
            oauth.tokens.requests().len(),
            oauth.resource.requests().len()
        ),
        (2, 6)
    );
    oauth.clock.advance(Duration::from_secs(11));
    oauth.call().await.unwrap();
    assert_eq!(oauth.tokens.requests().len(), 3);
}

#[tokio::test]
async fn a_token_endpoint_that_gives_none_is_told_of_without_what_it_says() {
    let json = |body: &str| answer("200 OK", &[], body.as_bytes());
    let long = format!(
        r#"{{"access_token":"{}","token_type":"bearer"}}"#,
        "a".repeat(100_000)
    );
    for (reply, code) in [
        (
            answer("401 X", &[], br#"{"error":"invalid_client","x":"s3cret"}"#),
            RefusalCode::AuthRequired,
        ),
        (answer("500 X", &[], b"s3cret"), RefusalCode::AuthRequired),
        (
            answer("302 X", &[("location", "/elsewhere")], b""),
            RefusalCode::AuthRequired,
        ),
        (json("s3cret"), RefusalCode::AuthRequired),
        (json(r#"{"access_token":"t"}"#), RefusalCode::AuthRequired),
        (
            json(r#"{"access_token":"t","token_type":"mac"}"#),
            RefusalCode::AuthRequired,
        ),
        (
            json(r#"{"access_token":"a\r\nb","token_type":"bearer"}"#),
            RefusalCode::AuthRequired,
        ),
        (json(&long), RefusalCode::ResponseTooLarge),
        (Reply::raw("").hang(), RefusalCode::UpstreamTimeout),
        (Reply::raw("").close(), RefusalCode::UpstreamUnreachable),
    ] {
        let oauth = Oauth::new(
            move |_, _| reply.clone(),
            |_, _| ok("{}"),
            ClientAuth::Basic,
        )
        .await;
        assert_eq!(oauth.call().await, Err(code));
        // It is not asked again at once.
        assert_eq!(oauth.call().await, Err(code));
        assert_eq!(oauth.tokens.requests().len(), 1);
        oauth.clock.advance(Duration::from_secs(2));
        assert_eq!(oauth.call().await, Err(code));
        assert_eq!(oauth.tokens.requests().len(), 2);
        assert!(oauth.resource.requests().is_empty());
    }
}

#[tokio::test]
async fn waiting_for_a_token_counts_for_the_time_of_the_request() {
    let (hang, fine) = (
        |_: usize, _: &[u8]| Reply::raw("").hang(),
        |_: usize, _: &[u8]| ok("{}"),
    );
    let oauth = Oauth::within(Duration::from_secs(30), hang, fine, ClientAuth::Basic).await;
    let limit = Duration::from_millis(50);
    let request = oauth.api.rules.check(get("/me")).unwrap().within(limit);
    let error = oauth.keeper.send(request).await.unwrap_err();
    assert_eq!(
        (error.code, error.is_unsent),
        (RefusalCode::UpstreamTimeout, true)
    );
    assert!(
        error
            .message
            .contains("token endpoint did not answer in time"),
        "{error}"
    );
}

#[tokio::test]
async fn a_token_of_no_or_of_unclear_life_is_used() {
    for (life, kept) in [
        ("0", false),
        ("-5", false),
        ("\"100\"", true),
        ("100.5", true),
        ("1e300", true),
        ("null", true),
        ("\"soon\"", false),
    ] {
        let grant = move |number: usize, _: &[u8]| {
            let head = format!(r#"{{"access_token":"token-{number}","token_type":"Bearer""#);
            ok(&format!(r#"{head},"expires_in":{life}}}"#))
        };
        let oauth = Oauth::new(grant, |_, _| ok("{}"), ClientAuth::Basic).await;
        oauth.call().await.unwrap();
        oauth.call().await.unwrap();
        let expected = if kept { 1 } else { 2 };
        assert_eq!(oauth.tokens.requests().len(), expected, "{life}");
    }
}

#[tokio::test]
async fn a_token_endpoint_is_under_the_guard() {
    let (tokens, resource) = (
        Raw::start(granting).await,
        Raw::start(|_, _| ok("{}")).await,
    );
    let any = BaseRules::new().with_http(true).with_ip(true);
    let url = FixedUrl::parse(&tokens.url(), any).unwrap();
    let config = ClientCredentials::new(url, "id".to_owned(), secret(SECRET));
    let api = Api::new(&resource, |rules| rules);
    let keeper = keeper(&api, &Credential::OAuth2ClientCredentials(config));
    let error = keeper
        .send(api.rules.check(get("/")).unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.code, RefusalCode::EgressBlocked);
    assert_eq!((tokens.connections(), resource.connections()), (0, 0));
}

#[tokio::test]
async fn an_api_that_shows_its_token_shows_it_to_nobody() {
    let echo = |_: usize, request: &[u8]| answer("200 OK", &[], request);
    let oauth = Oauth::new(granting, echo, ClientAuth::Basic).await;
    let request = oauth.api.rules.check(get("/echo")).unwrap();
    let mut answer = oauth.keeper.send(request).await.unwrap();
    let body = answer.read().await.unwrap();
    let body = String::from_utf8_lossy(&body);
    assert!(body.contains("authorization: Bearer [redacted]"), "{body}");
}
