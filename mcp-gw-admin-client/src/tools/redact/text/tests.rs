//! Secrets in texts of all kinds, and texts that only look like them.

use proptest::prelude::*;

use super::*;

#[test]
fn secrets_are_found_in_texts_of_all_kinds() {
    for text in [
        r#"failed to check the configuration of plugin key-auth: {"key":"SECRET1"} password=SECRET2 x"#,
        "see https://u:SECRET3@host/x and redis://:SECRET@h:1/0",
        "curl -H \"Authorization: Bearer SECRETSECRETSECRET4\" https://h",
        "Bearer SECRETSECRETSECRET4",
        "access_token=SECRET6&refresh_token=SECRET7",
        "a=1&password=SECRET&b=2",
        "Authorization: Basic SECRETSECRETSECRET",
        "Authorization: SECRET",
        "X-Api-Key: SECRET2",
        "X-Auth: SECRET",
        "Cookie: a=SECRET; b=SECRET",
        "GET / HTTP/1.1\r\nHost: h\r\nX-Api-Key: SECRET\r\nCookie: a=SECRET\r\n\r\n",
        "id,body\n1,\"{\"\"password\"\":\"\"SECRET5\"\",\"\"a\"\":1}\"",
        "Server=h;User=u;Password=SECRET;Port=1",
        "jdbc:mysql://h/db?user=u&password=SECRET and more",
        "look at /x?password=SECRET now",
        "API_KEY=SECRET",
        "spring.datasource.password=SECRET",
        "password: 'SECRET'\nuser: u",
        "db:\n  password: SECRET1\n",
        "local password = \"SECRET\" return 1",
        "ngx.req.set_header('Authorization', 'SECRET')",
        "ngx.req.set_header(\"X-Api-Key\",\"SECRET\")",
        r#"body: {\"password\":\"SE\\\"CRET\",\"a\":1}"#,
        r#"{"password":"SECRET","cut off": "#,
        r#"jwe-decrypt says "key":"SECRET" is too short {"#,
        "<password>SECRET</password>",
        "mysql --password SECRET -h x",
        "mysql --password=SECRET -h x",
        "x eyJSECRETSECRET.eyJSECRETSECRET.SECRETSECRET y",
        "token ghp_SECRETSECRETSECRET12345 leaked",
        "hook https://hooks.slack.com/services/SECRET/SECRET failed",
        "-----BEGIN RSA PRIVATE KEY-----SECRET",
        "user:SECRET@host.example.com",
        "secret=>SECRET",
        "see redis://:SEC/RET@h:1/0, please",
        "see redis://u:SEC,SECRET;x@h:1/0, please",
        "amqp://a,redis://u:SECRET@h",
        "conf[\"password\"] = \"SECRET\"",
        "client_secret: |\n  SECRET\n  SECRET\n",
        "client_secret: >-\r\n  SECRET\n",
        "/x?body=%7B%22password%22%3A%22SECRET%22%7D",
        "a password%3DSECRET&b",
        r#"x \\\"password\\\":\\\"SECRET\\\\\\\"SECRET\\\" y"#,
        "api_key=12345SECRET",
        "Bearer of_a_long_password=SECRET",
    ] {
        let (shown, count) = hidden(text, false, LEVELS, Place::default).expect(text);
        assert!(!shown.contains("SECRET"), "{text}: {shown}");
        assert!(count > 0 && shown.contains(REDACTED), "{shown}");
        let again = hidden(&shown, false, LEVELS, Place::default);
        assert_eq!(again, None, "{shown}");
    }
    let (shown, _) = hidden("password=123456 x", false, 1, Place::default).unwrap();
    assert_eq!(shown, "password=[redacted] x");
}

#[test]
fn what_is_no_secret_is_not_touched() {
    for text in [
        "",
        "Bearer authentication?",
        "Basic auth is used",
        "Bearer realm=\"x\"",
        "the token: is required",
        "token:read secret:write",
        "http://h:80/x@y http://[::1]:80/@ token synchronization of basic internationalization",
        "a%3Ab %22quoted%22 /x?next=%2Fy%3Fpage%3D2",
        "headers[\"token\"] and conf.token[1]",
        "cookie: name of the cookie; jwt: HS256, RS256",
        "return 401, {message = 'missing token: ' .. conf.header}",
        "curl -H 'X-API-KEY: $admin_key' -X PUT",
        "missing token in Authorization header; log_format token=$http_authorization",
        "invalid token: expired",
        "property \"secret\" is required",
        "property \"password\" validation failed: wrong type: expected string, got number",
        "token_ttl=5 max_tokens=100 n=7",
        "https://a/b@c:d and http://h:80/x?page=2&token=$arg_token",
        "local token = ngx.req.get_headers()[\"token\"]",
        "local token = conf.token",
        "if token == nil then return 401 end",
        "password=$secret://vault/1/k",
        "password: null, secret=true, token=[redacted]",
        "a::token::b",
        "mailto:a@b.example sip:x@y",
        "uses the cookie of the session",
        "10.0.0.1:80 2001:db8::1",
        "require(\"token\")",
        "{{{{{{{{[[[[[[[[",
    ] {
        assert_eq!(hidden(text, false, LEVELS, Place::default), None, "{text}");
    }
}

#[test]
fn headers_are_secret_by_name_or_by_value() {
    for (name, value) in [
        ("X-Auth", "x"),
        ("X-Secret-Header", "x"),
        ("Authorization", "x"),
        ("Cookie", "a=b"),
        ("X-Foo", "Bearer x"),
        ("Location", "https://idp/cb?code=x&state=y"),
        ("Link", "<https://h/?token=x>; rel=next"),
        ("X-Note", "password=x"),
    ] {
        assert!(is_secret_header(name, value), "{name}: {value}");
    }
    for (name, value) in [
        ("WWW-Authenticate", "Bearer realm=x"),
        ("Access-Control-Allow-Credentials", "true"),
        ("X-RateLimit-Remaining-Tokens", "500"),
        ("X-Token", "$http_x_token"),
        ("Content-Type", "text/html; charset=utf-8"),
        ("Date", "Fri, 20 Nov 2026 23:00:00 GMT"),
    ] {
        assert!(!is_secret_header(name, value), "{name}: {value}");
    }
}

#[test]
fn the_work_grows_with_the_length_alone() {
    for piece in [
        "token=$",
        "https://",
        "https://a:b",
        "{\"a\":",
        "\"\"",
        "password:",
        "(\"password\",",
        "password\\\"",
        "--password ",
        "<password>",
        "\\",
        "authorization: $",
        "bearer ",
        "password=(",
        "password = a(",
        "\"password\"=\"\\",
        "token: a.",
        "a",
        "-",
    ] {
        let time = |length: usize| {
            let text = piece.repeat(length / piece.len());
            let begin = tokio::time::Instant::now();
            without_secrets(&text);
            begin.elapsed()
        };
        // Its square would be four hundred times as much. The machine does something else now and then.
        let short = (0..3).map(|_| time(10_000)).min().unwrap();
        let most = short.max(std::time::Duration::from_micros(300)) * 200;
        assert!((0..5).any(|_| time(200_000) < most), "{piece}: {short:?}");
    }
}

proptest! {
    #[test]
    fn a_text_is_clean_after_it_was_cleaned(
        text in r#"([a-z:= "'{}\\\[\],?&@/;.<>é\n-]|password|token|Bearer |key|://|\$|[A-Z0-9]{3,9}|authorization: ){0,24}"#,
    ) {
        let once = without_secrets(&text).into_owned();
        prop_assert_eq!(without_secrets(&once), &*once);
    }

    #[test]
    fn no_secret_survives_what_is_around_it(
        before in "[a-z ,;{}&]{0,12}", after in "[a-z ,;{}&]{0,12}", secret in "[A-Z][A-Za-z0-9]{7,20}",
        form in 0_usize..8,
    ) {
        let pair = match form {
            0 => format!("password={secret}"),
            1 => format!("\"password\":\"{secret}\""),
            2 => format!("\\\"client_secret\\\": \\\"{secret}\\\""),
            3 => format!("X-Api-Key: {secret}"),
            4 => format!("https://u:{secret}@h/"),
            5 => format!("{{\"token\":\"{secret}\"}}"),
            6 => format!("'api_key' => '{secret}'"),
            _ => format!("Authorization: Basic {secret}"),
        };
        let text = format!("{before} {pair} {after}");
        prop_assert!(!without_secrets(&text).contains(&secret), "{}", text);
    }
}
