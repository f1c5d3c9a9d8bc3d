use super::super::jose::Token;
use super::*;

const TOKENS: &str = include_str!("../jwt/tokens.json");

fn data() -> (Value, Value) {
    let data: Value = serde_json::from_str(TOKENS).unwrap();
    (data["jwks"].clone(), data["tokens"].clone())
}

fn set(jwks: &Value) -> KeySet {
    KeySet::parse(jwks.to_string().as_bytes()).unwrap()
}

fn verifies(set: &KeySet, token: &Token<'_>) -> Option<bool> {
    match set.find(token.kid.as_deref(), token.algorithm) {
        Found::Keys(keys) => Some(
            keys.iter()
                .any(|key| key.verifies(token.algorithm, token.signed, &token.signature)),
        ),
        Found::Refused => Some(false),
        Found::Unknown => None,
    }
}

#[test]
fn what_another_implementation_signs_is_good_by_each_algorithm() {
    let (jwks, tokens) = data();
    let set = set(&jwks);
    assert_eq!(set.len(), 4, "keys of other purposes are left out");
    for algorithm in JwtAlgorithm::ALL {
        if algorithm == JwtAlgorithm::Hs256 {
            continue;
        }
        let text = tokens[algorithm.as_str()].as_str().unwrap();
        let token = Token::parse(text).unwrap();
        assert_eq!(token.algorithm, algorithm);
        assert_eq!(verifies(&set, &token), Some(true), "{algorithm:?}");
        let mut changed = token.signature.clone();
        changed[7] ^= 1;
        let changed = Token {
            signature: changed,
            ..token
        };
        assert_eq!(verifies(&set, &changed), Some(false), "{algorithm:?}");
    }
}

/// RFC 7515 A.1, A.2 and A.3, RFC 8037 A.4.
#[test]
fn the_examples_of_the_standards_are_good() {
    let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    for (algorithm, jwk, header, payload, signature) in [
        (
            JwtAlgorithm::Rs256,
            r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#,
            "eyJhbGciOiJSUzI1NiJ9",
            payload,
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            JwtAlgorithm::Es256,
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            "eyJhbGciOiJFUzI1NiJ9",
            payload,
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            JwtAlgorithm::EdDsa,
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            "eyJhbGciOiJFZERTQSJ9",
            "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ] {
        let jwk: Value = serde_json::from_str(jwk).unwrap();
        let key = Key::published(jwk.as_object().unwrap()).unwrap();
        let signed = format!("{header}.{payload}");
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(
            key.verifies(algorithm, signed.as_bytes(), &signature),
            "{algorithm:?}"
        );
        let other = format!("{signed}x");
        assert!(
            !key.verifies(algorithm, other.as_bytes(), &signature),
            "{algorithm:?}"
        );
    }
    let secret =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let secret = URL_SAFE_NO_PAD.decode(secret).unwrap();
    let key = Key {
        material: Material::Shared(hmac::Key::new(hmac::HMAC_SHA256, &secret)),
        ..Key::shared(&Secret::new(String::new()))
    };
    let text = format!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{payload}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    let token = Token::parse(&text).unwrap();
    assert!(key.verifies(token.algorithm, token.signed, &token.signature));
}

#[test]
fn a_key_is_for_what_it_is_for_and_for_nothing_else() {
    let (jwks, tokens) = data();
    let token = Token::parse(tokens["RS256"].as_str().unwrap()).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut key = jwks["keys"][0].clone();
        change(&mut key);
        KeySet::parse(serde_json::json!({ "keys": [key] }).to_string().as_bytes())
    };
    assert_eq!(verifies(&with(&|_| ()).unwrap(), &token), Some(true));
    let ps = with(&|key| key["alg"] = "PS256".into()).unwrap();
    assert_eq!(verifies(&ps, &token), Some(false), "by its `alg`");
    let zeros = with(&|key| {
        let n = URL_SAFE_NO_PAD.decode(key["n"].as_str().unwrap()).unwrap();
        key["n"] = URL_SAFE_NO_PAD.encode([&[0][..], &n].concat()).into();
    });
    assert_eq!(
        verifies(&zeros.unwrap(), &token),
        Some(true),
        "zeros before a number"
    );
    for (what, change) in [
        (
            "use",
            Box::new(|key: &mut Value| key["use"] = "enc".into()) as Box<dyn Fn(&mut Value)>,
        ),
        (
            "key_ops",
            Box::new(|key: &mut Value| key["key_ops"] = serde_json::json!(["encrypt"])),
        ),
        (
            "alg",
            Box::new(|key: &mut Value| key["alg"] = "RSA-OAEP".into()),
        ),
        (
            "another family",
            Box::new(|key: &mut Value| key["alg"] = "ES256".into()),
        ),
        (
            "a secret",
            Box::new(|key: &mut Value| key["alg"] = "HS256".into()),
        ),
        ("kty", Box::new(|key: &mut Value| key["kty"] = "EC".into())),
        (
            "short",
            Box::new(|key: &mut Value| key["n"] = URL_SAFE_NO_PAD.encode([0xff; 128]).into()),
        ),
        (
            "long",
            Box::new(|key: &mut Value| key["n"] = URL_SAFE_NO_PAD.encode([0xff; 1025]).into()),
        ),
        (
            "padded",
            Box::new(|key: &mut Value| key["n"] = "AA==".into()),
        ),
        (
            "missing",
            Box::new(|key: &mut Value| key["e"] = Value::Null),
        ),
    ] {
        assert!(with(&*change).is_err(), "{what}");
    }
}

#[test]
fn a_key_that_has_no_name_or_another_one_is_not_guessed() {
    let (jwks, tokens) = data();
    let set = set(&jwks);
    let token = Token::parse(tokens["ES256"].as_str().unwrap()).unwrap();
    let named = |kid: Option<&str>| {
        let kid = kid.map(str::to_owned);
        verifies(
            &set,
            &Token {
                kid,
                claims: Map::new(),
                signature: token.signature.clone(),
                ..token
            },
        )
    };
    assert_eq!(named(Some("p256")), Some(true));
    assert_eq!(
        named(None),
        Some(true),
        "there is but one for this algorithm"
    );
    assert_eq!(named(Some("nobody")), None);
    assert_eq!(named(Some("P256")), None);
    assert_eq!(named(Some("rsa")), Some(false));
    let mut two = jwks.clone();
    let mut again = jwks["keys"][1].clone();
    again["kid"] = "other".into();
    two["keys"].as_array_mut().unwrap().push(again);
    let two = self::set(&two);
    let nameless = Token {
        kid: None,
        claims: Map::new(),
        signature: token.signature.clone(),
        ..token
    };
    assert_eq!(verifies(&two, &nameless), Some(false), "one of two");
}

#[test]
fn what_is_no_set_of_keys_is_refused() {
    let key = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let good = format!(r#"{{"keys":[{key}]}}"#);
    assert_eq!(KeySet::parse(good.as_bytes()).unwrap().len(), 1);
    for wrong in [
        String::new(),
        "[]".to_owned(),
        "{}".to_owned(),
        r#"{"keys":{}}"#.to_owned(),
        r#"{"keys":[]}"#.to_owned(),
        r#"{"keys":[1,null]}"#.to_owned(),
        format!(r#"{{"keys":[],"keys":[{key}]}}"#),
        format!("{good} x"),
        format!("{good}{}", " ".repeat(LONGEST_SET)),
        "[".repeat(10_000),
    ] {
        let wrong = KeySet::parse(wrong.as_bytes());
        assert!(wrong.is_err());
    }
}
