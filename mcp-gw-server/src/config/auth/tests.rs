use super::super::{Config, json_schema};

const REST: &str = "servers: { a: { command: npx } }\npolicy: { default: allow }";

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn load(auth: &str) -> Result<Config, String> {
    let text = format!("{auth}\n{REST}");
    let env = |name: &str| match name {
        "SECRET" => Some(SECRET.to_owned()),
        "OTHER" => Some(format!("{SECRET}-other")),
        _ => None,
    };
    Config::load("mcp-gw.yaml", &text, &env).map_err(|faults| faults.to_string())
}

fn all(table: &[&str]) -> String {
    let rendered = table.iter().map(|text| {
        let loaded = load(text).err().unwrap_or_else(|| "good".to_owned());
        assert!(!loaded.contains("0123456789"), "a secret is in {loaded}");
        format!("{text}\n=> {loaded}\n")
    });
    rendered.collect::<Vec<_>>().join("\n")
}

#[test]
fn tokens() {
    insta::assert_snapshot!(all(&[
        "auth: { jwt: [ { hs256_secret: '${SECRET}' } ] }",
        "auth: { jwt: [ { hs256_secret: '${SECRET}', issuer: 'https://x', audience: [ a ], max_age: 1h, leeway: 0s } ] }",
        "auth: { jwt: [ { issuer: 'https://x', audience: [ a ], jwks: { url: 'https://x/jwks' } } ] }",
        "auth: { jwt: [ { issuer: 'https://x', audience: [ a ], jwks: { url: 'http://127.0.0.1:1/jwks' } } ] }",
        "auth: { jwt: [ {} ] }",
        "auth: { jwt: [ { hs256_secret: '${SECRET}', jwks: { url: 'https://x/jwks' } } ] }",
        "auth: { jwt: [ { hs256_secret: '${SECRET}', hs256_secret_file: /x } ] }",
        "auth: { jwt: [ { hs256_secret: '${NO_SUCH}' } ] }",
        "auth: { jwt: [ { hs256_secret: 0123456789abcdef0123456789abcde } ] }",
        "auth: { jwt: [ { hs256_secret: '                                ' } ] }",
        "auth: { jwt: [ { hs256_secret: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx } ] }",
        "auth: { jwt: [ { hs256_secret_file: /does/not/exist } ] }",
        "auth: { jwt: [ { jwks: { url: 'https://x/jwks' } } ] }",
        "auth: { jwt: [ { issuer: '', audience: [ ' a' ], hs256_secret: '${SECRET}' } ] }",
        "auth: { jwt: [ { issuer: a, audience: [ a ], jwks: {} } ] }",
        "auth: { jwt: [ { issuer: a, audience: [ a ], jwks: { url: 'https://x', file: y } } ] }",
        "auth: { jwt: [ { issuer: a, audience: [ a ], jwks: { file: /does/not/exist } } ] }",
        "auth: { jwt: [ { issuer: a, audience: [ a ], jwks: { file: Cargo.toml } } ] }",
        "auth: { jwt: [ { issuer: a, audience: [ a ], jwks: { url: 'http://login.example/jwks' } } ] }",
        "auth: { jwt: [ { issuer: a, audience: [ a ], jwks: { url: 'https://u:0123456789@x/jwks' } } ] }",
        "auth: { jwt: [ { issuer: a, audience: [ a ], jwks: { url: 'file:///etc/passwd' } } ] }",
        "auth: { jwt: [ { issuer: a, audience: [ a ], jwks: { url: 'x' } } ] }",
        "auth: { jwt: [ { issuer: a, audience: [ a ], jwks: { url: 'https://169.254.169.254/latest' } } ] }",
        "auth: { jwt: [ { issuer: a, audience: [ a ], jwks: { url: 'https://10.0.0.7/jwks' } } ] }",
        "auth: { jwt: [ { issuer: a, audience: [ a ], jwks: { url: 'https://10.0.0.7/jwks', allow_private: true } } ] }",
        "auth: { jwt: [ { issuer: a, audience: [ a ], jwks: { url: 'https://x', allow_addresses: [ 10.0.0.0/8 ] } } ] }",
        "auth: { jwt: [ { issuer: a, audience: [ a ], jwks: { url: 'https://x', refresh: 59s, max_stale: 169h } } ] }",
        "auth: { jwt: [ { issuer: a, audience: [ a ], jwks: { url: 'https://x', refresh: 2h, max_stale: 1h } } ] }",
        "auth: { jwt: [ { issuer: a, audience: [ a ], jwks: { url: 'https://x' }, algorithms: [ HS256 ] } ] }",
        "auth: { jwt: [ { hs256_secret: '${SECRET}', algorithms: [ HS256, RS256, HS256 ] } ] }",
        "auth: { jwt: [ { hs256_secret: '${SECRET}', algorithms: [ none ] } ] }",
        "auth: { jwt: [ { hs256_secret: '${SECRET}', leeway: 61s, max_age: 0s } ] }",
        "auth: { jwt: [ { hs256_secret: '${SECRET}', claims: { id: '', role: x } } ] }",
        "auth: { api_key_header: Authorization }",
        "auth: { api_key_header: 'a b' }",
        "auth: { api_key_header: Mcp-Session-Id }",
        "auth: { api_key_header: X-Forwarded-For }",
        "auth: { api_key_header: X-Key }",
        "http: { listen: '0.0.0.0:80' }\nauth: { jwt: [ { hs256_secret: '${SECRET}' } ] }",
        "http: { listen: '0.0.0.0:80' }\nauth: { anonymous: true, jwt: [ { hs256_secret: '${SECRET}' } ] }",
    ]));
}

#[test]
fn signatures() {
    insta::assert_snapshot!(all(&[
        "auth: { signature: { keys: [ { id: a, secret: '${SECRET}' } ] } }",
        "auth: { signature: { keys: [ { id: a, secret: '${SECRET}' }, { id: b, secret: '${OTHER}' } ], required: false, profiles: [ compact ], header: X-Sig, max_age: 1m } }",
        "auth: { signature: {} }",
        "auth: { signature: { keys: [ { id: a } ] } }",
        "auth: { signature: { keys: [ { id: a, secret: short } ] } }",
        "auth: { signature: { keys: [ { id: a, secret: '${SECRET}', secret_file: x } ] } }",
        "auth: { signature: { keys: [ { id: a, secret_file: /does/not/exist } ] } }",
        "auth: { signature: { keys: [ { id: a, secret: '${SECRET}' }, { id: a, secret: '${OTHER}' } ] } }",
        "auth: { signature: { keys: [ { id: a, secret: '${SECRET}' }, { id: b, secret: '${SECRET}' } ] } }",
        "auth: { signature: { keys: [ { id: 'a b', secret: '${SECRET}' } ] } }",
        "auth: { signature: { keys: [ { id: a, secret: '${SECRET}', caller: bob } ] } }",
        "auth: { signature: { keys: [ { id: a, secret: '${SECRET}' } ], profiles: [] } }",
        "auth: { signature: { keys: [ { id: a, secret: '${SECRET}' } ], profiles: [ aws ] } }",
        "auth: { signature: { keys: [ { id: a, secret: '${SECRET}' } ], max_age: 16m, max_skew: 6m } }",
        "auth: { signature: { keys: [ { id: a, secret: '${SECRET}' } ], max_age: 10ms } }",
        "auth: { signature: { keys: [ { id: a, secret: '${SECRET}' } ], header: Signature } }",
        "auth: { signature: { keys: [ { id: a, secret: '${SECRET}' } ], header: x-api-key } }",
        "auth: { signature: { keys: [ { id: a, secret: '${SECRET}' } ], max_nonces: 1 } }",
        "http: { listen: '0.0.0.0:80' }\nauth: { signature: { keys: [ { id: a, secret: '${SECRET}' } ] } }",
        "http: { listen: '0.0.0.0:80' }\nauth: { signature: { required: false, keys: [ { id: a, secret: '${SECRET}' } ] } }",
    ]));
}

#[test]
fn what_is_said_of_them_is_explained_without_secrets() {
    let text = "auth:
  jwt:
    - { hs256_secret: '${SECRET}' }
    - { issuer: 'https://x', audience: [ a, b ], max_age: 1h, jwks: { url: 'https://x/jwks?key=0123456789' } }
  signature: { keys: [ { id: a, secret: '${SECRET}' }, { id: b, secret: '${OTHER}' } ] }";
    let explained = load(text).unwrap().explain();
    assert!(!explained.contains("0123456789"), "{explained}");
    let lines: Vec<_> = explained
        .lines()
        .skip_while(|line| *line != "who may call")
        .collect();
    assert_eq!(
        lines[1..4],
        [
            "  tokens of any issuer, a shared secret, HS256",
            "  tokens of https://x, keys from https://x, RS256 PS256 ES256 EdDSA, for a or b, at most 1h old",
            "  requests must be signed with a key of a, b, by HTTP Message Signatures or the header \
             X-Signature, good for 5m",
        ]
    );
    let only = load("auth: { signature: { keys: [ { id: a, secret: '${SECRET}' } ] } }");
    let explained = only.unwrap().explain();
    assert!(
        explained.contains("local (no key, this machine only)"),
        "{explained}"
    );
}

#[test]
fn files_stand_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("secret", SECRET);
    write(
        "keys.json",
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
    );
    let text = format!(
        "auth:\n  jwt:\n    - {{ hs256_secret_file: secret }}\n    \
         - {{ issuer: a, audience: [a], jwks: {{ file: keys.json }} }}\n  \
         signature: {{ keys: [ {{ id: a, secret_file: secret }} ] }}\n{REST}"
    );
    let file = folder.path().join("mcp-gw.yaml");
    let config = Config::load(file.to_str().unwrap(), &text, &|_| None).unwrap();
    let names = config
        .files()
        .into_iter()
        .map(|file| file.file_name().unwrap().to_owned());
    assert_eq!(names.collect::<Vec<_>>(), ["secret", "keys.json", "secret"]);
}

#[test]
fn who_has_a_token_may_be_anybody_that_rules_name() {
    let named = "policy: { default: allow, rules: [ { id: x, effect: deny, who: { ids: [eve], roles: [dev], groups: [g] } } ] }";
    let remarks = |auth: &str| {
        let text = format!("{named}\n{auth}\nservers: {{ a: {{ command: npx }} }}");
        let env = |_: &str| Some(SECRET.to_owned());
        Config::load("x", &text, &env).unwrap().remarks().len()
    };
    assert_eq!(remarks(""), 3);
    assert_eq!(
        remarks("auth: { jwt: [ { hs256_secret: '${SECRET}' } ] }"),
        0
    );
}

#[test]
fn secrets_are_marked_in_the_schema() {
    let schema = json_schema();
    for (section, name) in [
        ("JwtConfig", "hs256_secret"),
        ("SignatureKeyConfig", "secret"),
    ] {
        let key = &schema["$defs"][section]["properties"][name];
        assert_eq!(key["writeOnly"], true, "{section}: {key}");
    }
}
