//! Bodies, by their media types.

use mcp_gw_core::RawJson;
use serde_json::{Value, json};

use super::{call, operation, refusal};
use crate::egress::PartsBody;
use crate::rest::Operation;

fn post(content: &Value) -> Operation {
    let body = json!({ "required": true, "content": content });
    operation("/a", "post", &json!({ "requestBody": body }))
}

fn body(content: &Value, value: &Value) -> PartsBody {
    let parts = call(&post(content), &json!({ "body": value })).unwrap();
    parts.body.unwrap()
}

#[test]
fn json_goes_as_it_came() {
    let post = post(&json!({ "application/json": { "schema": { "type": "object" } } }));
    let text = r#"{"body":{"z":1.0,"a":12345678901234567890123,  "é":"\u00e9"}}"#;
    let parts = post.parts(&RawJson::parse(text).unwrap()).unwrap();
    let body = parts.body.unwrap();
    assert_eq!(body.content_type, "application/json");
    assert_eq!(
        body.bytes,
        r#"{"z":1.0,"a":12345678901234567890123,  "é":"\u00e9"}"#
    );
}

#[test]
fn what_is_checked_is_what_is_sent() {
    let post = post(&json!({ "application/json": { "schema": { "type": "object" } } }));
    let twice = RawJson::parse(r#"{"body":{"a":[{"b":1,"b":2}]}}"#).unwrap();
    let said = post.parts(&twice).unwrap_err().to_string();
    assert_eq!(said, "argument `body`: duplicate member `b`");
}

#[test]
fn the_media_type_that_a_model_writes_best_is_taken() {
    let any = json!({ "schema": {} });
    let binary = json!({ "schema": { "type": "string", "format": "binary" } });
    for (content, expected) in [
        (
            json!({ "application/xml": any, "application/json; charset=utf-8": any }),
            "application/json; charset=utf-8",
        ),
        (
            json!({ "application/json-patch+json": any, "application/merge-patch+json": any, "application/apply-patch+yaml": any }),
            "application/merge-patch+json",
        ),
        (
            json!({ "text/plain": any, "application/vnd.x+json": any }),
            "application/vnd.x+json",
        ),
        (
            json!({ "multipart/form-data": any, "application/x-www-form-urlencoded": any }),
            "application/x-www-form-urlencoded",
        ),
        (json!({ "*/*": any }), "application/json"),
        (json!({ "*/*": binary }), "application/octet-stream"),
        (
            json!({ "image/png": binary, "text/plain": any }),
            "text/plain",
        ),
        (json!({ "image/png": binary }), "image/png"),
        (json!({ "application/xml": any }), "application/xml"),
    ] {
        assert_eq!(
            post(&content).content_type(),
            expected.split(';').next(),
            "{content}"
        );
    }
}

#[test]
fn texts_and_bytes() {
    let xml = json!({ "application/xml": { "schema": { "type": "object" } } });
    assert_eq!(body(&xml, &json!("<a/>")).bytes, "<a/>");
    assert!(refusal(&post(&xml), &json!({ "body": {} })).contains("is not of type \"string\""));

    let binary = json!({ "application/octet-stream": {} });
    for text in ["aGk_", "aGk/", "aGk/\n", " aGk/ "] {
        assert_eq!(body(&binary, &json!(text)).bytes, &b"hi?"[..]);
    }
    assert_eq!(body(&binary, &json!("aGk")).bytes, "hi");
    let said = refusal(&post(&binary), &json!({ "body": "not base64!" }));
    assert_eq!(
        said,
        "argument `body`: this is not base64; encode the bytes of the file in base64"
    );
}

#[test]
fn forms_are_written_as_their_encoding_says() {
    let form = json!({ "application/x-www-form-urlencoded": {
        "schema": { "type": "object", "properties": {
            "name": { "type": "string" }, "expand": { "type": "array" }, "metadata": { "type": "object" },
            "ids": { "type": "array" }, "plain": { "type": "object" }, "list": { "type": "array" },
        } },
        "encoding": {
            "expand": { "style": "deepObject", "explode": true },
            "metadata": { "style": "deepObject", "explode": true },
            "ids": { "style": "form", "explode": false },
        },
    } });
    let value = json!({
        "name": "a b&c=d+é", "expand": ["x.y"], "metadata": { "k": { "l": "v" } }, "ids": ["1,2", "3"],
        "plain": { "a": 1 }, "list": ["p", "q"], "other": true,
    });
    let body = body(&form, &value);
    assert_eq!(body.content_type, "application/x-www-form-urlencoded");
    assert_eq!(
        body.bytes,
        "ids=1%2C2,3&expand%5B0%5D=x.y&list=p&list=q&metadata%5Bk%5D%5Bl%5D=v&name=a+b%26c%3Dd%2B%C3%A9\
         &other=true&plain=%7B%22a%22%3A1%7D"
    );
}

#[test]
fn files_are_parts_of_a_form() {
    let form = json!({ "multipart/form-data": {
        "schema": { "type": "object", "required": ["file"], "properties": {
            "file": { "type": "string", "format": "binary", "description": "The file." },
            "more": { "type": "array", "items": { "type": "string", "contentMediaType": "application/octet-stream" } },
            "meta": { "type": "object" }, "note": { "type": "string" }, "icon": { "type": "string" },
        } },
        "encoding": { "icon": { "contentType": "image/png, image/jpeg" } },
    } });
    let post = post(&form);
    let schema = post.input_schema().to_value().unwrap();
    let file = &schema["properties"]["body"]["properties"]["file"];
    assert_eq!(
        file["anyOf"][0],
        json!({ "type": "string", "contentEncoding": "base64" })
    );
    assert_eq!(
        file["description"],
        "The file. A file: a string in base64, or an object with its `base64` or `text`."
    );
    let value = json!({
        "file": { "text": "hello", "filename": "a\"b.txt", "contentType": "text/plain" },
        "more": ["aGk=", { "base64": "eW8=" }], "meta": { "k": 1 }, "note": "n", "icon": "aGk=",
    });
    let sent = call(&post, &json!({ "body": value }))
        .unwrap()
        .body
        .unwrap();
    assert_eq!(
        sent.content_type,
        "multipart/form-data; boundary=----mcp-gw-part-00000000"
    );
    let text = String::from_utf8(sent.bytes.to_vec()).unwrap();
    let parts: Vec<&str> = text
        .split("------mcp-gw-part-00000000")
        .map(str::trim)
        .collect();
    assert_eq!(
        parts,
        [
            "",
            "content-disposition: form-data; name=\"file\"; filename=\"a%22b.txt\"\r\ncontent-type: text/plain\r\n\r\nhello",
            "content-disposition: form-data; name=\"icon\"; filename=\"icon\"\r\ncontent-type: image/png\r\n\r\nhi",
            "content-disposition: form-data; name=\"meta\"\r\ncontent-type: application/json\r\n\r\n{\"k\":1}",
            "content-disposition: form-data; name=\"more\"; filename=\"more\"\r\ncontent-type: application/octet-stream\r\n\r\nhi",
            "content-disposition: form-data; name=\"more\"; filename=\"more\"\r\ncontent-type: application/octet-stream\r\n\r\nyo",
            "content-disposition: form-data; name=\"note\"\r\n\r\nn",
            "--",
        ]
    );
    for (value, says) in [
        (
            json!({ "file": { "filename": "x" } }),
            "either `base64` or `text`",
        ),
        (
            json!({ "file": { "text": "a", "base64": "aGk=" } }),
            "either `base64` or `text`",
        ),
        (
            json!({ "file": { "text": "a", "contentType": "x\r\ny: z" } }),
            "`contentType` is no media type",
        ),
        (json!({ "file": "%" }), "this is not base64"),
        (json!({ "note": "n" }), "\"file\" is a required property"),
    ] {
        let said = refusal(&post, &json!({ "body": value }));
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn a_body_that_may_be_left_out_is() {
    let content = json!({ "application/json": { "schema": { "type": "object" } } });
    let post = operation(
        "/a",
        "post",
        &json!({ "requestBody": { "content": content } }),
    );
    assert_eq!(call(&post, &json!({})).unwrap().body, None);
    assert_eq!(call(&post, &json!({ "body": null })).unwrap().body, None);
    let delete = operation(
        "/a",
        "delete",
        &json!({ "requestBody": { "content": content } }),
    );
    assert!(
        call(&delete, &json!({ "body": {} }))
            .unwrap()
            .body
            .is_some()
    );
    let get = operation(
        "/a",
        "get",
        &json!({ "requestBody": { "content": content } }),
    );
    assert!(refusal(&get, &json!({ "body": {} })).contains("there are none"));
}
