//! Whatever is asked for: what goes out goes to the configured origin, below its base path, and without a
//! header that is refused.

use http::Method;
use http::header::HeaderName;
use proptest::prelude::*;

use crate::egress::{ApiRules, Base, BaseRules, RequestParts};
use crate::fuzzing;

fn rules(base: &str) -> ApiRules {
    let any = BaseRules::new().with_http(true).with_ip(true);
    ApiRules::new(Base::parse(base, any).unwrap())
        .with_methods([Method::GET, Method::HEAD, Method::CONNECT, Method::TRACE])
        .with_credential_headers([HeaderName::from_static("x-api-key")])
        .with_credential_query(["appid".to_owned()])
        .with_request_headers(["x-custom", "cookie"].map(HeaderName::from_static))
}

fn get(endpoint: &str) -> RequestParts {
    RequestParts {
        method: "GET".to_owned(),
        endpoint: endpoint.to_owned(),
        ..RequestParts::default()
    }
}

/// Pieces of which attacks are made.
fn endpoint() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/",
        "//",
        "\\",
        ".",
        "..",
        "%2e",
        "%2E",
        "%252e",
        "%2f",
        "%5c",
        "%252f",
        "@",
        ":",
        ":80",
        "evil.com",
        "a",
        "users",
        "admin",
        ";",
        ";x=1",
        "?",
        "#",
        "&",
        "=",
        "%",
        "%00",
        "%0d%0a",
        "\r\n",
        "\t",
        " ",
        "\u{ff0e}",
        "%ef%bc%8e",
        "\u{2044}",
        "https://",
        "[",
        "]",
        "appid",
        "%61",
        "v1",
        "%u002e",
        "%25",
        "+",
        "~",
        "'",
        "(",
        "*",
        "%c0%ae",
        "%e2%80%a6",
    ]);
    let pieces = prop::collection::vec(piece, 0..12).prop_map(|all| all.concat());
    prop_oneof![
        4 => pieces.clone().prop_map(|text| format!("/{text}")),
        1 => pieces,
        1 => any::<String>(),
        1 => "/[ -~]{0,30}",
        1 => "/[a-z0-9/._~-]{0,40}(\\?[a-z0-9=&%2e]{0,20})?",
    ]
}

fn header() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        prop::sample::select(vec![
            "Host",
            "hOst",
            "Authorization",
            "Cookie",
            "Connection",
            "TE",
            "Transfer-Encoding",
            "transfer_encoding",
            "Content-Length",
            "X-Forwarded-For",
            "Via",
            "mcp-name",
            "x-api-key",
            "accept",
            "Accept",
            "x-custom",
            "if-match",
            "content-type",
            "x-request-id",
            ":path",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    let value = prop_oneof![
        any::<String>(),
        "[ -~]{0,20}",
        Just("a\r\nHost: b".to_owned())
    ];
    (name, value)
}

fn parts() -> impl Strategy<Value = RequestParts> {
    let method = prop::sample::select(vec![
        "GET", "POST", "get", "CONNECT", "TRACE", "HEAD", "X Y",
    ]);
    let query = prop::collection::vec((any::<String>(), any::<String>()), 0..3);
    let headers = prop::collection::vec(header(), 0..4);
    (method, endpoint(), query, headers).prop_map(|(method, endpoint, query, headers)| {
        RequestParts {
            method: method.to_owned(),
            query,
            headers,
            ..get(&endpoint)
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_goes_out_stays_where_it_belongs(parts in parts()) {
        for address in ["https://api.example.com/v1", "http://[::1]:8080", "https://h/a%20b/c"] {
            fuzzing::stays_below(&rules(address), &parts);
        }
    }

    #[test]
    fn a_base_that_is_taken_is_the_one_that_a_browser_sees(
        scheme in prop::sample::select(vec!["https://", "http://", "HTTPS://", "https:/", "//", ""]),
        host in prop_oneof![
            "[a-z0-9_.-]{0,12}",
            "(0x)?[0-9a-f]{1,10}(\\.[0-9]{1,3}){0,3}",
            "\\[[0-9a-f:.]{0,20}\\]",
            "xn--[a-z0-9-]{0,8}",
            any::<String>(),
        ],
        rest in "(:[0-9]{0,6})?(/[a-zA-Z0-9%.;@:~?#\\\\-]{0,12}){0,2}",
    ) {
        fuzzing::egress(format!("{scheme}{host}{rest}").as_bytes());
    }

    #[test]
    fn plain_requests_always_pass(
        segments in prop::collection::vec("[a-z0-9~_-][a-z0-9.~_@:!$*',=+-]{0,8}", 0..6),
        query in prop::collection::vec((".{0,8}", ".{0,8}"), 0..4),
    ) {
        let rules = rules("https://api.example.com/v1");
        let endpoint = format!("/{}", segments.join("/"));
        let query: Vec<_> = query
            .into_iter()
            .map(|(name, value)| (format!("q{name}"), value))
            .collect();
        let parts = RequestParts { query: query.clone(), ..get(&endpoint) };
        let checked = rules.check(parts).unwrap();
        prop_assert_eq!(checked.uri().path(), format!("/v1{endpoint}"));
        // Another reader finds the same parameters.
        let url = url::Url::parse(&checked.uri().to_string()).unwrap();
        let read: Vec<_> = url.query_pairs().into_owned().collect();
        prop_assert_eq!(read, query);
    }
}
