use proptest::prelude::*;

use super::*;
use crate::config::{Config, Fault};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn env(name: &str) -> Option<String> {
    (name == "KEY").then(|| SECRET.to_owned())
}

fn config(apis: &str) -> Result<Config, String> {
    let text = format!("policy: {{ default: allow }}\n{apis}");
    Config::load("mcp-gw.yaml", &text, &env).map_err(|faults| faults.to_string())
}

/// What one API with these keys is found to be.
fn one(rest: &str) -> String {
    let text = format!("apis: {{ a: {{ {rest} }} }}");
    match config(&text) {
        Ok(config) => {
            let remarks = config.remarks();
            let remarks: Vec<_> = remarks.iter().map(Fault::sentence).collect();
            match remarks.as_slice() {
                [] => "no fault".to_owned(),
                remarks => remarks.join("\n"),
            }
        }
        Err(faults) => faults,
    }
}

/// The same with a good address.
fn with(rest: &str) -> String {
    one(&format!("url: 'https://api.example.com', {rest}"))
}

fn all(table: &[&str], found: fn(&str) -> String) -> String {
    let lines = table
        .iter()
        .map(|text| format!("{text}\n=> {}\n", found(text)));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn an_api_needs_no_more_than_its_address() {
    let config = config("apis: { github: { url: https://API.GitHub.com:443/ } }").unwrap();
    let api = &config.apis["github"];
    assert_eq!(
        api.canonical_url().as_deref(),
        Some("https://api.github.com")
    );
    let methods: Vec<_> = api.methods.iter().copied().map(ApiMethod::as_str).collect();
    assert_eq!(methods, ["GET", "POST", "PUT", "DELETE"]);
    assert!(api.gateway_tool && api.get_body_as_query);
    assert!(!api.allow_http && !api.allow_private && !api.allow_ip && !api.allow_auth_token);
    assert_eq!(api.max_body_size.bytes(), 1 << 20);
    assert_eq!(api.max_response_size.bytes(), 1 << 20);
    assert_eq!(api.follow_redirects, RedirectMode::Never);
    assert_eq!(config.rest.tool_name, "api_gateway");
    // What is made in code is what a file makes.
    let made = Config::default()
        .with_policy(mcp_gw_policy::PolicyConfig::allow())
        .with_api("github", ApiConfig::new("https://api.github.com"));
    made.check("code").unwrap();
    assert_eq!(
        format!("{:?}", made.apis["github"].retries),
        format!("{:?}", api.retries)
    );
}

#[test]
fn addresses() {
    insta::assert_snapshot!(all(
        &[
            "url: 'https://api.example.com/v2/'",
            "url: 'https://api.example.com:8443'",
            "url: 'HTTPS://Api.Example.COM'",
            "url: 'http://api.example.com'",
            "url: 'http://api.example.com', allow_http: true",
            "url: 'ftp://api.example.com'",
            "url: 'api.example.com'",
            "url: '//api.example.com'",
            "url: 'https:api.example.com'",
            "url: 'https:/api.example.com'",
            "url: 'https://'",
            "url: 'https:///v1'",
            "url: ''",
            "url: ' https://api.example.com'",
            "url: \"https://api.example.com\\n\"",
            "url: \"https://api.exa\\tmple.com\"",
            "url: 'https://ann:pw@api.example.com'",
            "url: 'https://api.example.com@evil.example'",
            "url: 'https://@api.example.com'",
            "url: 'https://api.example.com?x=1'",
            "url: 'https://api.example.com/#x'",
            "url: 'https://*.example.com'",
            "url: 'https://api.example.com/*'",
            "url: 'https://api.example.com\\v1'",
            "url: 'https://api.example.com/a/../b'",
            "url: 'https://api.example.com/a/%2e%2E/b'",
            "url: 'https://api.example.com/a/..;x/b'",
            "url: 'https://api.example.com/a%2fb'",
            "url: 'https://api.example.com/a%252fb'",
            "url: 'https://api.example.com/a//b'",
            "url: 'https://api.example.com/a%zz'",
            "url: 'https://api.example.com.'",
            "url: 'https://api.example.com:0'",
            "url: 'https://api.example.com:99999'",
            "url: 'https://api.example%2ecom'",
            "url: 'https://аpi.example.com'",
            "url: 'https://１２７.0.0.1'",
            "url: 'https://127.0.0.1'",
            "url: 'https://127.0.0.1', allow_ip: true",
            "url: 'https://0x7f.1'",
            "url: 'https://2130706433'",
            "url: 'https://017700000001'",
            "url: 'https://[::1]'",
            "url: 'https://[::ffff:10.0.0.1]:8080/x', allow_ip: true",
            "url: 'https://localhost:8443'",
            "url: 'https://localhost:8443', allow_private: true",
            "url: '${KEY}'",
            "url: 7",
            "urll: 'https://api.example.com'",
        ],
        one
    ));
}

#[test]
fn what_requests_may_be() {
    insta::assert_snapshot!(all(
        &[
            "methods: [GET, HEAD, PATCH]",
            "methods: []",
            "methods: [get, CONNECT, TRACE, OPTIONS]",
            "paths: ['/v1/*'], deny_paths: ['/v1/admin*']",
            "paths: []",
            "paths: ['v1/*', '', '/a\\'], deny_paths: ['https://x']",
            "allow_addresses: [169.254.169.254, 'fd00::1']",
            "allow_addresses: [10.0.0.0/8, localhost, '']",
            "request_headers: [X-Trace, accept-charset]",
            "request_headers: [Host, authorization, Proxy-Foo, cookie, Connection, content-length, X-Forwarded-For, X-HTTP-Method-Override, mcp-session-id, X_Real_IP, Accept-Encoding, ':path', 'a b', \"a\\nb\"]",
            "request_headers: [x-api-key], credential: { header: { name: X-API-Key, value: '${KEY}' } }",
            "response_headers: [Set-Cookie, www-authenticate, 'a b']",
            "content_types: [application/json, 'text/plain; charset=utf-8', '*/*', json, '']",
            "max_body_size: 0, max_response_size: 0",
            "timeout: 0s",
            "timeout: 2h",
            "follow_redirects: always",
            "retries: { attempts: 0 }",
            "retries: { attempts: 11 }",
            "circuit_breaker: { failures: 0, open_for: 0s, probes: 0 }",
            "max_concurrent: 0",
            "cache: {}",
            "cache: { max_entries: 0, max_size: 0, max_age: 0s }",
            "gateway_tool: false",
            "ca_file: /does/not/exist",
            "ca_file: /",
        ],
        with
    ));
}

#[test]
fn credentials_and_callers() {
    insta::assert_snapshot!(all(
        &[
            "credential: { bearer: '${KEY}' }",
            "credential: { bearer: '${NONE}' }",
            "credential: {}",
            "credential: { bearer: '${KEY}', query: { name: appid, value: '${KEY}' } }",
            "credential: { bearer: \"two words\" }",
            "credential: { bearer: '' }",
            "credential: { bearer: abcd1 }",
            "credential: { bearer: '${KEY}', bearer_file: /x }",
            "credential: { bearer_file: /does/not/exist }",
            "credential: { token: '${KEY}' }",
            "credential: { header: { name: X-API-Key, value: '${KEY}' } }",
            "credential: { header: { name: authorization, value: 'Token ${KEY}' } }",
            "credential: { header: { name: Host, value: '${KEY}' } }",
            "credential: { header: { name: 'a b', value: \"a\\nb\" } }",
            "credential: { header: { name: X-API-Key } }",
            "credential: { query: { name: appid, value_file: /does/not/exist } }",
            "credential: { query: { name: '', value: '${KEY}' } }",
            "credential: { basic: { username: ann, password: '${KEY}' } }",
            "credential: { basic: { username: 'a:b', password: '' } }",
            "credential: { oauth2: { token_url: 'https://login.example.com/token', client_id: gw, client_secret: '${KEY}', scopes: [read], audience: x } }",
            "credential: { oauth2: { token_url: 'http://login.example.com/token', client_id: '', client_secret: '${KEY}', scopes: ['a b', ''] } }",
            "credential: { oauth2: { token_url: 'https://login.example.com/token', client_id: gw } }",
            "credentials_by_caller: { nobody: { bearer: '${KEY}' }, '': {} }",
            "callers: {}",
            "callers: { ids: [] }",
            "callers: { ids: [local], scopes: ['api:use'] }",
            "callers: { ids: [nobody, ' x'], roles: [admin] }",
        ],
        with
    ));
}

#[test]
fn tools_of_apis() {
    insta::assert_snapshot!(all(
        &[
            "openapi: {}",
            "openapi: { file: /does/not/exist }",
            "openapi: { file: /, url: 'https://x.example/openapi.json' }",
            "openapi: { url: 'http://x.example/openapi.json' }",
            "openapi: { url: 'https://ann:pw@x.example/openapi.json#x' }",
            "openapi: { url: 'data:,x' }",
            "openapi: { url: 'https://x.example/o.json', include: { tags: [''], operations: ['a\\'], methods: [POST], paths: [pets] }, exclude: { methods: [put] } }",
            "tools: [{ name: t, description: d, path: '/pets/{id}', inputs: { id: { type: integer }, limit: { default: 10, type: integer, enum: [10, 20] } } }]",
            "tools: [{ name: t, description: d, path: /a }, { name: t, description: ' ', path: '' }]",
            "tools: [{ name: 'a b', description: d, path: '/a?x=1' }]",
            "tools: [{ name: t, description: d, path: '/a/../b' }]",
            "tools: [{ name: t, description: d, path: '/a/{id' }, { name: u, description: d, path: '/{id}/{id}' }, { name: v, description: d, path: '/{}' }]",
            "tools: [{ name: t, description: d, path: '/{id}', method: PATCH, inputs: { id: { in: query }, x: { in: path }, h: { in: header, name: Host } } }]",
            "tools: [{ name: t, description: d, path: /a, inputs: { a: { in: body }, b: { name: c }, c: {} } }]",
            "tools: [{ name: t, description: d, path: /a, method: POST, body: form, inputs: { a: { type: integer, default: x }, b: { enum: [] }, c: { type: array, schema: { type: string } }, d: { schema: { type: 7 } } } }]",
            "content_types: [application/json], tools: [{ name: t, description: d, path: /a, method: POST, body: form, inputs: { a: {} } }]",
            "tools: [{ name: t, description: d, path: /a, inputs: { a: { schema: { $ref: 'http://127.0.0.1:1/x' } } } }]",
            "tools: [{ name: t, description: d, path: /a, inputs: { a: { enum: [1, two, ~] }, b: { type: integer, enum: [1, 2] } } }]",
            "credential: { bearer: '${KEY}' }, tools: [{ name: t, description: d, path: /a, inputs: { Range: { in: header } } }]",
            "request_headers: [range], credential: { bearer: '${KEY}' }, tools: [{ name: t, description: d, path: /a, inputs: { Range: { in: header } } }]",
            "gateway_tool: false, prefix_name: p, tools: [{ name: t, description: d, path: /a }]",
            "prefix: always, prefix_name: 'a b', tools: [{ name: t, description: d, path: /a }]",
        ],
        with
    ));
}

#[test]
fn names_beside_each_other() {
    let found = |text: &str| match config(text) {
        Ok(_) => "no fault".to_owned(),
        Err(faults) => faults,
    };
    insta::assert_snapshot!(all(
        &[
            "apis: { a: { url: 'https://a.example' }, b: { url: 'https://A.example:443/' } }",
            "apis: { a: { url: 'https://a.example' }, b: { url: 'https://a.example', gateway_tool: false, tools: [{ name: t, description: d, path: /a }] } }",
            "apis: { A: { url: 'https://a.example' }, a: { url: 'https://b.example' } }",
            "servers: { a: { command: npx } }\napis: { a: { url: 'https://a.example' } }",
            "apis: { 'a.b': { url: 'https://a.example' }, api_gateway: { url: 'https://b.example' } }",
            "apis: { x: { url: 'https://a.example' } }\nrest: { tool_name: x, connect_timeout: 0s, max_endpoint_length: 1 }",
            "apis: { x: { url: 'https://a.example' } }\nrest: { tool_name: 'a b', large_answers: { max_size: 1GiB, max_age: 0s } }",
            "apis: { x: { url: 'https://a.example' } }\nendpoints: { e: { servers: [x, api_gateway, y] }, x: { tools: ['*'] } }",
            "apis: { x: { url: 'https://a.example' } }\nlimits: { rules: [{ name: l, per: caller_and_server, quota: 5, window: 60s, for: { servers: [x] } }] }",
            "servers: { API_gateway: { command: npx } }\napis: { a: { url: 'https://a.example' } }",
            "apis: {}",
            "servers: {}\naips: { x: { url: 'https://a.example' } }",
            "version: \"\\u0007\"\napis: { x: { url: 'https://a.example' } }",
        ],
        found
    ));
}

#[test]
fn rules_about_the_tool_that_reaches_apis_name_apis_or_the_tool() {
    let found = |rule: &str| {
        let text = format!(
            "policy: {{ default: allow, {rule} }}\napis: {{ pets: {{ url: 'https://pets.example' }} }}"
        );
        match Config::load("mcp-gw.yaml", &text, &env) {
            Ok(config) => {
                let remarks = config.remarks();
                let remarks: Vec<_> = remarks.iter().map(Fault::sentence).collect();
                format!("taken {}", remarks.join("\n"))
            }
            Err(faults) => faults.to_string(),
        }
    };
    insta::assert_snapshot!(all(
        &[
            "rules: [{ id: d, effect: deny, servers: [api_gateway] }]",
            "rules: [{ id: d, effect: deny, servers: [pets, api_gateway], tools: ['*'] }]",
            "rules: [{ id: d, effect: deny, servers: ['api_*'] }]",
            "servers: { api_gateway: { rules: [] } }",
            "rules: [{ id: d, effect: deny, servers: [pets] }]",
            "rules: [{ id: d, effect: deny, tools: [api_gateway] }]",
            "rules: [{ id: d, effect: deny, servers: [api_gateway], resources: ['*'] }]",
            "rules: [{ id: d, effect: deny, servers: ['api_*'], resources: ['*'] }]",
        ],
        found
    ));
}

#[test]
fn an_explanation_says_what_is_reached_and_no_secret() {
    let config = config(
        "auth: { api_keys: [{ id: ann, key: '${KEY}', roles: [ops] }] }\n\
         apis:\n\
         \x20 weather:\n\
         \x20   url: https://api.example.com/data/\n\
         \x20   methods: [GET]\n\
         \x20   paths: ['/2.5/*']\n\
         \x20   deny_paths: ['*/admin/*']\n\
         \x20   credential: { query: { name: appid, value: '${KEY}' } }\n\
         \x20   credentials_by_caller: { ann: { bearer: '${KEY}' } }\n\
         \x20   callers: { ids: [ann], roles: [ops] }\n\
         \x20   allow_auth_token: true\n\
         \x20   allow_addresses: [10.0.0.7]\n\
         \x20 inside:\n\
         \x20   url: 'https://${NONE:-inside.example/secret-path}'\n\
         \x20   gateway_tool: false\n\
         \x20   allow_private: true\n\
         \x20   follow_redirects: same_origin\n\
         \x20   credential: { oauth2: { token_url: 'https://login.example/t', client_id: gw, client_secret: '${KEY}' } }\n\
         \x20   openapi: { url: 'https://inside.example/openapi.json' }\n\
         \x20   tools: [{ name: look, description: d, path: /look }]\n",
    )
    .unwrap();
    let text = config.explain();
    assert!(
        !text.contains(SECRET) && !text.contains("secret-path"),
        "{text}"
    );
    assert!(!format!("{config:?}").contains(SECRET));
    insta::assert_snapshot!(text);
}

#[test]
fn callers_of_an_api_are_a_rule_that_requires_them() {
    let config = config(
        "auth: { api_keys: [{ id: ann, key: '${KEY}', tools: [x] }] }\n\
         apis: { a: { url: 'https://a.example', callers: { ids: [ann], scopes: [s] } }, b: { url: 'https://b.example' } }",
    )
    .unwrap();
    let rules = config.whole_policy().rules;
    let ids: Vec<_> = rules.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids, ["auth.api_keys.tools:ann", "apis.callers:a"]);
    let value = serde_json::to_value(&rules[1]).unwrap();
    assert_eq!(
        value,
        serde_json::json!({
            "id": "apis.callers:a", "effect": "require", "servers": [{ "literal": "a" }],
            "match": "name", "mode": "enforce",
            "who": { "any_of": [{ "ids": ["ann"] }, { "scopes": ["s"] }] },
        })
    );
}

#[test]
fn an_id_is_that_of_a_key_unless_an_issuer_is_named() {
    let found = |lines: &str| {
        let text = format!(
            "policy: {{ default: allow }}\n\
             auth: {{ api_keys: [{{ id: ann, key: '${{KEY}}' }}], jwt: [{{ issuer: 'https://one', audience: [m], hs256_secret: '0123456789abcdef-0123456789abcdef' }}] }}\n\
             apis: {{ a: {{ url: 'https://a.example', {lines} }} }}"
        );
        match Config::load("mcp-gw.yaml", &text, &env) {
            Ok(config) => {
                let remarks = config.remarks();
                let remarks: Vec<_> = remarks.iter().map(Fault::sentence).collect();
                format!("taken {}", remarks.join("\n"))
            }
            Err(faults) => faults.to_string(),
        }
    };
    insta::assert_snapshot!(all(
        &[
            "credentials_by_caller: { ann: { bearer: '${KEY}' } }",
            "credentials_by_caller: { sub: { bearer: '${KEY}' } }",
            "credentials_by_caller: { sub: { bearer: '${KEY}', issuer: 'https://one' } }",
            "credentials_by_caller: { sub: { bearer: '${KEY}', issuer: 'https://two' } }",
            "credential: { bearer: '${KEY}', issuer: 'https://one' }",
            "callers: { ids: [ann] }",
            "callers: { ids: [ann], kinds: [api_key] }",
            "callers: { ids: [sub], issuers: ['https://one'] }",
            "callers: { issuers: ['https://one'] }",
            "callers: { ids: [ann], kinds: [key] }",
        ],
        found
    ));
}

#[test]
fn a_fault_of_the_rule_is_told_where_its_callers_stand() {
    let text = "policy: { default: allow, rules: [{ id: 'apis.callers:a', effect: deny, tools: [x] }] }\n\
                auth: { api_keys: [{ id: ann, key: 0123456789abcdef, tools: [x] }] }\n\
                apis: { a: { url: 'https://a.example', callers: { ids: [ann] } } }";
    let faults = Config::load("x", text, &env).unwrap_err().to_string();
    assert!(faults.contains("x:3:"), "{faults}");
    assert!(faults.contains("apis.a.callers: "), "{faults}");
}

#[test]
fn secrets_of_files_are_read_when_asked_for_and_files_are_watched() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    file("token", "  s3cret\n");
    file("ca.pem", "x");
    file("api.json", "{}");
    let text = "policy: { default: allow }\n\
                apis: { a: { url: 'https://a.example', ca_file: ca.pem, openapi: { file: api.json }, \
                credential: { header: { name: X-Key, value_file: token } }, \
                credentials_by_caller: { local: { bearer_file: token } } } }";
    let path = folder.path().join("mcp-gw.yaml");
    let config = Config::load(&path.display().to_string(), text, &env).unwrap();
    assert_eq!(config.files().len(), 4);
    assert!(
        config
            .files()
            .iter()
            .all(|file| file.starts_with(folder.path()))
    );
    let api = &config.apis["a"];
    let mut found = Vec::new();
    for caller in ["ann", "local"].map(CallerName::new) {
        match api.credential_for(&caller).unwrap().resolve().unwrap() {
            ApiCredential::Header { name, value } => {
                found.push(format!("{name} {}", value.expose()));
            }
            ApiCredential::Bearer { token } => found.push(token.expose().clone()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(found, ["X-Key s3cret", "s3cret"]);
    std::fs::remove_file(folder.path().join("token")).unwrap();
    let error = api.credential.as_ref().unwrap().resolve().unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
}

#[test]
fn arguments_know_where_they_go() {
    let config = config(
        "apis: { a: { url: 'https://a.example', tools: [\
         { name: read, description: d, path: '/p/{id}', inputs: { id: {}, q: {}, h: { in: header, name: X-H } } },\
         { name: make, description: d, method: POST, path: '/p/{id}', inputs: { q: {}, w: { in: query } } }] } }",
    )
    .unwrap();
    let [read, make] = config.apis["a"].tools.as_slice() else {
        panic!()
    };
    assert_eq!(read.placeholders(), Some(vec!["id"]));
    let places = ["id", "q", "h"].map(|name| read.place_of(name));
    assert_eq!(
        places,
        [InputPlace::Path, InputPlace::Query, InputPlace::Header]
    );
    let places = ["id", "q", "w"].map(|name| make.place_of(name));
    assert_eq!(
        places,
        [InputPlace::Path, InputPlace::Body, InputPlace::Query]
    );
}

#[test]
fn an_endpoint_that_shows_nothing_of_an_api_is_told_of() {
    let remarks = |server: &str| {
        let text = format!(
            "apis: {{ a: {{ url: 'https://a.example' }}, b: {{ url: 'https://b.example', tools: [ {{ name: t, \
             description: d, method: GET, path: /t }} ] }} }}\nendpoints: {{ e: {{ servers: [{server}] }} }}"
        );
        let remarks = config(&text).unwrap().remarks();
        remarks.iter().map(Fault::sentence).collect::<String>()
    };
    let told = remarks("a");
    assert!(
        told.contains("the API `a` has no tools of its own"),
        "{told}"
    );
    assert!(told.contains("`api_gateway`"), "{told}");
    assert_eq!(remarks("b"), "");
    assert_eq!(remarks("api_gateway"), "");
}

#[test]
fn names_made_of_addresses_are_names() {
    for (url, name) in [
        ("https://api.github.com", "api-github-com"),
        (
            "https://API.example.com:8443/v2/x",
            "api-example-com-8443-v2-x",
        ),
        ("https://[::1]/", "1"),
        ("https://xn--mnchen-3ya.example", "xn-mnchen-3ya-example"),
    ] {
        let base = Base::parse(url, Allowance::ALL).unwrap();
        assert_eq!(base.name(), name);
        assert!(crate::config::check::is_server_name(&base.name()));
    }
}

proptest! {
    #[test]
    fn an_address_that_is_taken_leads_where_it_says(
        text in "(https?://|HTTPS://|//|)([a-zA-Z0-9.@:\\[\\]%*\\\\_-]{0,12})([/?#.%;a-z0-9\\\\é-]{0,12})"
    ) {
        if let Ok(base) = Base::parse(&text, Allowance::ALL) {
            let again = Base::parse(&base.to_string(), Allowance::ALL).unwrap();
            prop_assert_eq!(&again, &base);
            let url = url::Url::parse(&text).unwrap();
            prop_assert!(url.username().is_empty() && url.password().is_none());
            prop_assert!(url.query().is_none() && url.fragment().is_none());
            prop_assert!(base.to_string().starts_with(&url.origin().ascii_serialization()));
            prop_assert!(!base.to_string().contains(['@', '\\', '*', '?', '#']));
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_section_of_apis_is_taken_or_refused(text in "\\PC{0,200}", key in "[a-z_]{1,20}") {
        // Neither may panic.
        let _ = one(&text);
        let _ = with(&format!("{key}: {text}"));
        let _ = config(&format!("apis:\n  a:\n    {key}: {text}\n    url: {text}\n"));
    }
}
