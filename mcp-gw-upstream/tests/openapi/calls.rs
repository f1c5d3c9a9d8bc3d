//! Every operation of every description, called: what arrives is what was given.

use std::fmt::Write as _;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcp_gw_core::RawJson;
use mcp_gw_upstream::egress::RequestParts;
use mcp_gw_upstream::rest::Operation;
use mcp_gw_upstream::rest::openapi::{Options, read};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::served::{self, Param, Served};
use super::{sample, shapes, tree};

/// Sends what was made, byte for byte; the pairs of the query are encoded as the guard does it.
async fn send(address: SocketAddr, operation: &Operation, parts: RequestParts) -> Value {
    let mut target = parts.endpoint;
    for (name, value) in &parts.query {
        target.push(if target.contains('?') { '&' } else { '?' });
        write!(target, "{}={}", encoded(name), encoded(value)).unwrap();
    }
    let mut head = format!(
        "{} {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n",
        parts.method
    );
    write!(
        head,
        "x-operation: {} {}\r\n",
        operation.method(),
        operation.path()
    )
    .unwrap();
    for (name, value) in &parts.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    let body = parts.body.map(|body| {
        write!(head, "content-type: {}\r\n", body.content_type).unwrap();
        body.bytes
    });
    let body = body.unwrap_or_default();
    write!(head, "content-length: {}\r\n\r\n", body.len()).unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(&[head.as_bytes(), &body].concat())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{target}: {answer}"));
    assert!(head.starts_with("HTTP/1.1 200"), "{target}: {answer}");
    if operation.method() == "HEAD" {
        Value::Null
    } else {
        serde_json::from_str(body).unwrap()
    }
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            byte => write!(out, "%{byte:02X}").unwrap(),
        }
    }
    out
}

fn text(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(text),
        value => json!(value.to_string()),
    }
}

/// A value as a tree of texts, lists by their index: what `deepObject` says.
fn deep(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, it)| (name.clone(), deep(it)))
            .collect(),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items
                .map(|(index, it)| (index.to_string(), deep(it)))
                .collect::<Map<_, _>>()
                .into()
        }
        value => text(value),
    }
}

fn expected(param: &Param, value: &Value) -> Value {
    match value {
        _ if param.style == "deepObject" => deep(value),
        Value::Array(items) if param.is_list => items.iter().map(text).collect(),
        value => text(value),
    }
}

/// What has to arrive of the body.
fn expected_body(served: &Served, operation: &Operation, value: &Value) -> Value {
    let media = operation.content_type().unwrap();
    if media.ends_with("json") {
        return value.clone();
    }
    let base64 = |value: &Value| json!(STANDARD.encode(text(value).as_str().unwrap()));
    match media {
        "application/x-www-form-urlencoded" => {
            let encoding = &served.content[media]["encoding"];
            let fields = value.as_object().unwrap().iter().map(|(name, value)| {
                let is_deep = encoding[name]["style"] == "deepObject";
                let value = match value {
                    value if is_deep => deep(value),
                    Value::Array(items) if !items[0].is_object() => {
                        items.iter().map(text).collect()
                    }
                    value => text(value),
                };
                (name.clone(), value)
            });
            fields.collect()
        }
        "multipart/form-data" => {
            let schema = operation.input_schema().to_value().unwrap();
            let fields = value.as_object().unwrap().iter().map(|(name, value)| {
                let schema = schema["properties"]["body"]["properties"][name].to_string();
                let items = if let Value::Array(items) = value {
                    items.clone()
                } else {
                    vec![value.clone()]
                };
                let is_file = schema.contains("\"filename\"");
                let parts = items
                    .iter()
                    .map(|it| if is_file { it.clone() } else { base64(it) });
                (name.clone(), parts.collect::<Value>())
            });
            fields.collect()
        }
        media if media.starts_with("text/") => base64(value),
        _ => value.clone(),
    }
}

/// The parameter that an argument is.
fn param_of<'s>(served: &'s Served, argument: &str, schema: &Value) -> &'s Param {
    let named = schema["description"]
        .as_str()
        .and_then(|text| text.strip_prefix('`'));
    let named = named
        .and_then(|text| text.split('`').next())
        .unwrap_or(argument);
    let is = |it: &&Param| it.name == named || format!("{}_{}", it.place, it.name) == argument;
    served
        .params
        .iter()
        .find(is)
        .unwrap_or_else(|| panic!("{argument} of {}", served.path))
}

async fn call(address: SocketAddr, served: &Served, operation: &Operation) {
    let schema = operation.input_schema().to_value().unwrap();
    let mut arguments = Map::new();
    let mut wanted = Map::new();
    for (argument, schema) in schema["properties"].as_object().unwrap() {
        if argument == "body" {
            let value = sample::of(schema, false);
            wanted.insert("body".to_owned(), expected_body(served, operation, &value));
            arguments.insert(argument.clone(), value);
            continue;
        }
        let param = param_of(served, argument, schema);
        let value = sample::of(schema, param.place == "header");
        wanted.insert(
            format!("{} {}", param.place, param.name),
            expected(param, &value),
        );
        arguments.insert(argument.clone(), value);
    }
    let text = Value::Object(arguments).to_string();
    let parts = operation.parts(&RawJson::parse(text.clone()).unwrap());
    let parts = parts.unwrap_or_else(|error| panic!("{} {text}: {error}", operation.name()));
    let mut arrived = send(address, operation, parts).await;
    if operation.method() == "HEAD" {
        return;
    }
    // What the gateway says for itself is no argument.
    arrived.as_object_mut().unwrap().remove("header Accept");
    arrived
        .as_object_mut()
        .unwrap()
        .remove("header Content-Type");
    assert_eq!(
        arrived,
        Value::Object(wanted),
        "{} {text}",
        operation.name()
    );
}

#[tokio::test]
async fn what_arrives_is_what_was_given() {
    let mut calls = 0;
    for (name, bytes) in shapes() {
        let root = tree(&bytes);
        let address = served::serve(&root).await;
        let all = served::operations(&root);
        let description = read(&bytes, &Options::all()).unwrap();
        for operation in &description.operations {
            let is = |it: &&Served| it.method == operation.method() && it.path == operation.path();
            let served = all.iter().find(is).unwrap();
            call(address, served, operation).await;
            calls += 1;
        }
        println!("{name}: {} operations called", description.operations.len());
    }
    assert!(calls >= 100, "{calls}");
}
