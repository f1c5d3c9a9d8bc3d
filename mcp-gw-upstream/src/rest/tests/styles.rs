//! Every style, exploded and not, by the table of `OpenAPI` 3.1 §4.8.12.4.

use serde_json::{Value, json};

use super::{call, operation, refusal};

/// The request that a parameter `color` makes of a value: endpoint, and query or header or cookie.
fn written(place: &str, extra: &Value, value: &Value) -> (String, Vec<(String, String)>) {
    let mut parameter = json!({ "name": "color", "in": place, "required": true });
    let members = parameter.as_object_mut().unwrap();
    members.extend(extra.as_object().unwrap().clone());
    members.entry("schema").or_insert(json!({}));
    let path = if place == "path" {
        "/a/{color}/z"
    } else {
        "/a"
    };
    let get = operation(path, "get", &json!({ "parameters": [parameter] }));
    let parts = call(&get, &json!({ "color": value })).unwrap();
    let pairs = if place == "query" {
        parts.query
    } else {
        parts.headers
    };
    (parts.endpoint, pairs)
}

fn list() -> Value {
    json!(["blue", "black", "brown"])
}

fn object() -> Value {
    json!({ "B": 150, "G": 200, "R": 100 })
}

#[test]
fn in_paths() {
    for (style, explode, value, expected) in [
        ("simple", false, json!("blue"), "blue"),
        ("simple", false, list(), "blue,black,brown"),
        ("simple", false, object(), "B,150,G,200,R,100"),
        ("simple", true, list(), "blue,black,brown"),
        ("simple", true, object(), "B=150,G=200,R=100"),
        ("label", false, json!("blue"), ".blue"),
        ("label", false, list(), ".blue,black,brown"),
        ("label", false, object(), ".B,150,G,200,R,100"),
        ("label", true, list(), ".blue.black.brown"),
        ("label", true, object(), ".B=150.G=200.R=100"),
        ("matrix", false, json!("blue"), ";color=blue"),
        ("matrix", false, list(), ";color=blue,black,brown"),
        ("matrix", false, object(), ";color=B,150,G,200,R,100"),
        (
            "matrix",
            true,
            list(),
            ";color=blue;color=black;color=brown",
        ),
        ("matrix", true, object(), ";B=150;G=200;R=100"),
        (
            "simple",
            false,
            json!("a/b?c#d;e=f,g%h"),
            "a%2Fb%3Fc%23d%3Be%3Df%2Cg%25h",
        ),
        ("simple", false, json!(["a,b", "c"]), "a%2Cb,c"),
        ("simple", false, json!("ü"), "%C3%BC"),
    ] {
        let (endpoint, _) = written(
            "path",
            &json!({ "style": style, "explode": explode }),
            &value,
        );
        assert_eq!(
            endpoint,
            format!("/a/{expected}/z"),
            "{style} {explode} {value}"
        );
    }
}

#[test]
fn in_queries_as_pairs() {
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    for (style, explode, value, expected) in [
        ("form", true, json!("bl ue"), pairs(&[("color", "bl ue")])),
        (
            "form",
            true,
            list(),
            pairs(&[("color", "blue"), ("color", "black"), ("color", "brown")]),
        ),
        (
            "form",
            true,
            object(),
            pairs(&[("B", "150"), ("G", "200"), ("R", "100")]),
        ),
        (
            "spaceDelimited",
            true,
            json!(["a", "b"]),
            pairs(&[("color", "a"), ("color", "b")]),
        ),
        (
            "deepObject",
            true,
            object(),
            pairs(&[
                ("color[B]", "150"),
                ("color[G]", "200"),
                ("color[R]", "100"),
            ]),
        ),
        (
            "deepObject",
            true,
            json!({ "a": { "b": ["x", true] } }),
            pairs(&[("color[a][b][0]", "x"), ("color[a][b][1]", "true")]),
        ),
        (
            "form",
            true,
            json!({ "a": [1, 2] }),
            pairs(&[("a", "[1,2]")]),
        ),
    ] {
        let extra = json!({ "style": style, "explode": explode });
        let (endpoint, query) = written("query", &extra, &value);
        assert_eq!(
            (endpoint, query),
            ("/a".to_owned(), expected),
            "{style} {value}"
        );
    }
    let content = json!({ "content": { "application/json": { "schema": {} } } });
    let (_, query) = written("query", &content, &json!({ "a": [1] }));
    assert_eq!(query, pairs(&[("color", r#"{"a":[1]}"#)]));
}

#[test]
fn in_queries_where_the_sign_between_items_counts() {
    for (extra, value, expected) in [
        (
            json!({ "style": "form", "explode": false }),
            list(),
            "color=blue,black,brown",
        ),
        (
            json!({ "style": "form", "explode": false }),
            object(),
            "color=B,150,G,200,R,100",
        ),
        (
            json!({ "style": "form", "explode": false }),
            json!(["a,b&c=d", "e"]),
            "color=a%2Cb%26c%3Dd,e",
        ),
        (
            json!({ "style": "spaceDelimited", "explode": false }),
            list(),
            "color=blue%20black%20brown",
        ),
        (
            json!({ "style": "pipeDelimited", "explode": false }),
            list(),
            "color=blue%7Cblack%7Cbrown",
        ),
        (
            json!({ "allowReserved": true }),
            json!("a/b:c,d?e"),
            "color=a/b:c,d?e",
        ),
        (
            json!({ "allowReserved": true }),
            json!("a&b=c#d+e;f[g]%41"),
            "color=a%26b%3Dc%23d%2Be%3Bf%5Bg%5D%2541",
        ),
        (
            json!({ "allowReserved": true, "explode": false }),
            json!(["a/b", "c,d"]),
            "color=a/b,c%2Cd",
        ),
    ] {
        let (endpoint, query) = written("query", &extra, &value);
        assert_eq!(
            (endpoint, query),
            (format!("/a?{expected}"), Vec::new()),
            "{extra} {value}"
        );
    }
    let (endpoint, _) = written("query", &json!({ "explode": false }), &json!([]));
    assert_eq!(endpoint, "/a");
}

#[test]
fn in_headers_and_cookies() {
    for (place, extra, value, expected) in [
        ("header", json!({}), list(), "blue,black,brown"),
        ("header", json!({}), object(), "B,150,G,200,R,100"),
        (
            "header",
            json!({ "explode": true }),
            object(),
            "B=150,G=200,R=100",
        ),
        ("cookie", json!({}), json!("a;b=c"), "color=a%3Bb%3Dc"),
        ("cookie", json!({}), json!(["a", "b"]), "color=a; color=b"),
        (
            "cookie",
            json!({ "explode": false }),
            list(),
            "color=blue,black,brown",
        ),
    ] {
        let (_, headers) = written(place, &extra, &value);
        let name = if place == "header" { "color" } else { "cookie" };
        assert_eq!(headers, [(name.to_owned(), expected.to_owned())]);
    }
}

#[test]
fn no_member_becomes_another_parameter() {
    let get = operation(
        "/a",
        "get",
        &json!({ "security": [{ "key": [], "cookie": [] }], "parameters": [
            { "name": "more", "in": "query", "schema": { "type": "object" } },
            { "name": "page", "in": "query", "schema": {} },
            { "name": "f", "in": "query", "style": "deepObject", "schema": {} },
            { "name": "f[x]", "in": "query", "schema": {} },
            { "name": "c", "in": "cookie", "schema": {} },
            { "name": "tags", "in": "query", "style": "pipeDelimited", "explode": false, "schema": {} },
        ] }),
    );
    for (arguments, says) in [
        (
            json!({ "more": { "page": 2 } }),
            "\"page\" is a parameter of its own",
        ),
        (
            json!({ "more": { "api_key": "k" } }),
            "\"api_key\" is a parameter of its own",
        ),
        (json!({ "more": { "": "k" } }), "empty name"),
        (
            json!({ "f": { "x": 1 } }),
            "\"f[x]\" is a parameter of its own",
        ),
        (json!({ "f": { "x]&y[": 1 } }), "brackets"),
        (
            json!({ "c": { "sid": "s" } }),
            "\"sid\" is a parameter of its own",
        ),
        (
            json!({ "tags": ["a|b", "c"] }),
            "no item can have the character '|'",
        ),
    ] {
        let said = refusal(&get, &arguments);
        assert!(said.contains(says), "{said}");
    }
    assert!(call(&get, &json!({ "more": { "other": 2 }, "f": { "y": 1 } })).is_ok());
}

#[test]
fn a_value_in_a_path_stays_in_its_segment() {
    let get = operation("/a/{x}/b", "get", &json!({}));
    for value in [".", "..", ""] {
        let said = refusal(&get, &json!({ "x": value }));
        assert!(said.starts_with("argument `x`: "), "{said}");
    }
    for (value, expected) in [
        ("../..", "/a/..%2F../b"),
        ("%2e%2e", "/a/%252e%252e/b"),
        ("..;x", "/a/..%3Bx/b"),
        ("a\\..\\b", "/a/a%5C..%5Cb/b"),
        ("\u{0}\r\n", "/a/%00%0D%0A/b"),
    ] {
        let parts = call(&get, &json!({ "x": value })).unwrap();
        assert_eq!(parts.endpoint, expected);
    }
}
