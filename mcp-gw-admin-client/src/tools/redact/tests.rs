//! What is taken out, what stays, and what strict readers can read of it.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn clean_at(path: &str, text: &str) -> Clean {
    let raw = RawJson::parse(text.to_owned()).unwrap();
    clean(&raw, &Place::at(path), false)
}

fn shown(text: &str) -> (String, usize) {
    let clean = clean_at("", text);
    (clean.raw.to_string(), clean.redacted)
}

#[test]
fn secrets_are_taken_out_where_apis_have_them() {
    for text in [
        r#"{"value":{"cert":"-----BEGIN CERTIFICATE-----","key":"SECRET"}}"#,
        r#"{"snis":["a"],"key":"SECRET"}"#,
        r#"{"cert":"c","keys":["SECRET","SECRET"]}"#,
        r#"{"plugins":{"key-auth":{"key":"SECRET"}}}"#,
        r#"{"plugins":{"jwt-auth":{"key":"user","secret":"SECRET"}}}"#,
        r#"{"plugins":{"basic-auth":{"username":"u","password":"SECRET"}}}"#,
        r#"{"plugins":{"hmac-auth":{"secret_key":"SECRET"}}}"#,
        r#"{"plugins":{"openid-connect":{"client_secret":"SECRET"}}}"#,
        r#"{"plugins":{"limit-count":{"key":"remote_addr","redis_password":"SECRET"}}}"#,
        r#"{"plugins":{"ai-proxy":{"auth":{"header":{"Authorization":"SECRET"}}}}}"#,
        r#"{"plugins":{"x":{"uri":"redis://u:SECRET@host/0"}}}"#,
        r#"{"list":[{"token":"SECRET"},{"access_token":"SECRET"}]}"#,
        r#"{"value":{"admin_key":{"id":"SECRET","key":"SECRET"}}}"#,
        r#"{"anything":"x -----BEGIN RSA PRIVATE KEY-----SECRET"}"#,
        r#"{"aws":{"access_key_id":"SECRET","secret_access_key":"SECRET"}}"#,
        r#"{"plugins":{"csrf":{"key":"SECRET"}}}"#,
        r#"{"plugins":{"jwe-decrypt":{"key":"SECRET"}}}"#,
        r#"{"plugins":{"multi-auth":{"auth_plugins":[{"key-auth":{"key":"SECRET"}}]}}}"#,
        r#"{"plugins":{"ai-proxy":{"auth":{"query":{"x":"SECRET"},"header":{"x-mine":"SECRET"}}}}}"#,
        r#"{"plugins":{"ai-proxy-multi":{"instances":[{"auth":{"header":{"x":"SECRET"}}}]}}}"#,
        r#"{"plugins":{"http-logger":{"auth_header":"SECRET"}}}"#,
        r#"{"plugins":{"loki-logger":{"headers":{"x":["SECRET"]}}}}"#,
        r#"{"plugins":{"aws-lambda":{"authorization":{"iam":{"accesskey":"SECRET"}}}}}"#,
        r#"{"plugins":{"proxy-rewrite":{"headers":{"set":{"Cookie":"SECRET"}}}}}"#,
        r#"{"tls":{"client_cert":"c","client_cert_key":"SECRET"}}"#,
        r#"{"auth_key":"SECRET","bind_pw":"SECRET","credential":"SECRET"}"#,
        r#"{"passwords":["SECRET"],"password":{"value":"SECRET","n":{"x":["SECRET"]}}}"#,
        r#"{"list":[{"token_plain_text":"SECRET"}]}"#,
        r#"{"uri":"https://host/x?token=SECRET"}"#,
        r#"{"uri":"https://host/x?a=1&code=SECRET"}"#,
        r#"{"url":"https://hooks.slack.com/services/T0/B0/SECRET"}"#,
        r#"{"webhook":"https://chat.example/SECRET"}"#,
        r#"{"value":"Bearer SECRETSECRETSECRET"}"#,
        r#"["a",{"p\u0061ssword":"SECRET"}]"#,
        r#"{"vars":[["arg_token","==","SECRET"],["http_x_api_key","in",["SECRET","SECRET"]],["cookie_token","!","==","SECRET"]]}"#,
        r#"{"plugin_name":"key-auth","config":{"key":"SECRET"}}"#,
        r#"{"value":"u:SECRET@host.example:80"}"#,
        r#"{"headers":{"X-Auth":"SECRET"},"license":"SECRET","authentication":"SECRET"}"#,
    ] {
        let (shown, count) = shown(text);
        assert!(!shown.contains("SECRET"), "{shown}");
        assert!(count > 0 && shown.contains(REDACTED), "{shown}");
    }
}

#[test]
fn what_is_no_secret_stays_byte_for_byte() {
    for text in [
        r#"{ "plugins" : {"limit-count":{"key":"remote_addr","count":1.50}} }"#,
        r#"{"conditions":{"x":{"type":"MatchLabel","options":{"key":"env","operator":"present"}}}}"#,
        r#"{"upstream":{"type":"chash","key":"$host"}}"#,
        r#"{"plugins":{"key-auth":{"header":"apikey","key":"$secret://vault/1/k"}}}"#,
        r#"{"plugins":{"jwt-auth":{"key":"user"}},"token_ttl":5,"url":"https://a/b@c:d"}"#,
        r#"{"secret":null,"password":"","token":7,"max_tokens":100,"hide_credentials":true}"#,
        r#"{"plugins":{"jwt-auth":{"cookie":"jwt","query":"jwt","key":"user"}}}"#,
        r#"{"session":{"cookie":{"name":"s","path":"/"}},"next_page_token":"abc"}"#,
        r#"{"type":"object","properties":{"password":{"type":"string","minLength":1}}}"#,
        r#"{"dependencies":{"password":["username"]},"required":["password"]}"#,
        r#"{"credentials":[{"id":"c","name":"n"}],"uri":"/x?token=$arg_token&page=2"}"#,
        r#"{"vars":[["arg_page","==","7"],["token","password","x"]],"required":["password","username","x"]}"#,
        r#"{"authentication":"basic","auth":"none","license":"Apache-2.0","keys":["remote_addr"]}"#,
        r#"{"headers":{"X-Token":"$http_token","Access-Control-Allow-Credentials":"true"}}"#,
        r#"{"name":"a","value":"b","cache_bypass":["$arg_bypass"],"desc":"a: b, c=d; the token: is used"}"#,
        r#"{"desc":"Bearer authentication?","uris":["/a?b=c"],"token_endpoint":"https://a/t"}"#,
        "[]",
        "7",
    ] {
        assert_eq!(shown(text), (text.to_owned(), 0));
    }
}

#[test]
fn only_the_secret_is_changed() {
    let (shown, count) = shown(r#"{"n":1.50,"plugins":{"key-auth":{"key":"k"}},"z":[1,{"a":2}]}"#);
    assert_eq!(
        shown,
        r#"{"n":1.50,"plugins":{"key-auth":{"key":"[redacted]"}},"z":[1,{"a":2}]}"#
    );
    assert_eq!(count, 1);
}

#[test]
fn a_number_may_be_a_password() {
    assert_eq!(
        shown(r#"{"password":1234,"redis_password":-1,"n":2}"#).0,
        r#"{"password":"[redacted]","redis_password":"[redacted]","n":2}"#
    );
}

#[test]
fn where_it_comes_from_says_what_is_secret() {
    for (path, text) in [
        (
            "/api/gateway_groups/g/admin_key",
            r#"{"value":{"key":"SECRET"}}"#,
        ),
        ("/api/system_settings/scim/token", r#"{"value":"SECRET"}"#),
        ("/api/system_settings/scim/token?x=1", r#""SECRET""#),
        (
            "/apisix/admin/plugin_metadata/azure-functions",
            r#"{"value":{"master_apikey":"SECRET"}}"#,
        ),
        ("/plugins/csrf", r#"{"key":"SECRET"}"#),
    ] {
        let clean = clean_at(path, text);
        assert!(
            !clean.raw.as_str().contains("SECRET"),
            "{path}: {}",
            clean.raw
        );
    }
    let text = r#"{"value":{"key":"remote_addr"}}"#;
    assert_eq!(clean_at("/apisix/admin/routes/1", text).redacted, 0);
}

#[test]
fn a_name_given_twice_hides_nothing_from_the_eye() {
    let clean = clean_at("", r#"{"token":"SECRET","a":1,"a":2,"token":"SECRET"}"#);
    assert_eq!(
        clean.raw.as_str(),
        r#""{\"token\":\"[redacted]\",\"a\":1,\"a\":2,\"token\":\"[redacted]\"}""#
    );
    assert!(clean.remarks.iter().any(|remark| remark.contains("twice")));
}

#[test]
fn what_nests_too_deep_is_cut_whatever_is_in_it() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"error":"#, "}]")] {
        let text = format!(
            r#"{{"n":1.50,"deep":{}{{"password":"SECRET"}}{},"z":{{"password":"SECRET"}}}}"#,
            open.repeat(100_000),
            close.repeat(100_000)
        );
        let raw = RawJson::parse(text).unwrap();
        for with_secrets in [false, true] {
            let clean = clean(&raw, &Place::default(), with_secrets);
            assert!(clean.raw.len() < 2_000);
            assert!(clean.raw.as_str().contains(TOO_DEEP));
            assert!(clean.raw.to_value().is_ok());
            assert_eq!(clean.redacted, usize::from(!with_secrets));
            assert_eq!(clean.remarks.len(), 1, "{:?}", clean.remarks);
        }
    }
}

#[test]
fn the_work_grows_with_the_length_alone() {
    // Each level once more would be a hundred times as much.
    let inner = "7,".repeat(200_000) + "7";
    let deep = format!("{}{inner}{}", r#"{"a":["#.repeat(45), "]}".repeat(45));
    let flat = format!("[{inner}]");
    let time = |text: &str| {
        let raw = RawJson::parse(text.to_owned()).unwrap();
        let once = || {
            let begin = tokio::time::Instant::now();
            assert_eq!(clean(&raw, &Place::default(), false).redacted, 0);
            begin.elapsed()
        };
        // The others are those in which the machine did something else too.
        (0..3).map(|_| once()).min().unwrap()
    };
    let (flat, deep) = (time(&flat), time(&deep));
    assert!(deep < flat * 8, "{deep:?} and {flat:?}");
}

proptest! {
    #[test]
    fn nothing_is_lost_and_twice_is_once(value in tree()) {
        let raw = RawJson::from_serialize(&value).unwrap();
        let once = clean(&raw, &Place::default(), false);
        let twice = clean(&once.raw, &Place::default(), false);
        prop_assert_eq!(&once.raw, &twice.raw);
        prop_assert_eq!(twice.redacted, 0);
        prop_assert_eq!(&clean(&raw, &Place::default(), true).raw, &raw);
        let after: Value = once.raw.to_value().unwrap();
        prop_assert!(same_shape(&value, &after));
    }
}

fn same_shape(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.keys().eq(b.keys()) && a.values().zip(b.values()).all(|(a, b)| same_shape(a, b))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_shape(a, b))
        }
        (Value::String(_) | Value::Number(_), Value::String(_)) => true,
        (a, b) => a == b,
    }
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z:/@$]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let name = "[a-c]|key|cert|password|admin_key|key-auth";
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name, inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
