//! A server made of a description: it finds the operation of a request and says what arrived where. It
//! reads descriptions and requests by rules of its own, not by those that are tested.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// An operation as the server knows it.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) params: Vec<Param>,
    /// The media types of its body, with their entries.
    pub(crate) content: Map<String, Value>,
    root: Arc<Value>,
}

#[derive(Debug, Clone)]
pub(crate) struct Param {
    pub(crate) place: String,
    pub(crate) name: String,
    pub(crate) style: String,
    pub(crate) explode: bool,
    pub(crate) is_list: bool,
}

/// What a reference leads to.
pub(crate) fn resolve<'v>(root: &'v Value, value: &'v Value) -> &'v Value {
    let mut value = value;
    while let Some(to) = value.get("$ref").and_then(Value::as_str) {
        value = root.pointer(to.strip_prefix('#').unwrap()).unwrap();
    }
    value
}

pub(crate) fn operations(root: &Value) -> Vec<Served> {
    let shared = Arc::new(root.clone());
    let mut all = Vec::new();
    for (path, item) in root["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let methods = ["get", "head", "options", "post", "put", "patch", "delete"];
            if !methods.contains(&method.as_str()) {
                continue;
            }
            let lists = [item.get("parameters"), operation.get("parameters")];
            let params = lists
                .into_iter()
                .flatten()
                .flat_map(|it| it.as_array().unwrap());
            let content = operation
                .get("requestBody")
                .map(|it| resolve(root, it)["content"].clone());
            all.push(Served {
                method: method.to_uppercase(),
                path: path.clone(),
                params: params.map(|it| param(root, resolve(root, it))).collect(),
                content: content
                    .and_then(|it| it.as_object().cloned())
                    .unwrap_or_default(),
                root: Arc::clone(&shared),
            });
        }
    }
    all
}

fn param(root: &Value, it: &Value) -> Param {
    let text = |name: &str| it.get(name).and_then(Value::as_str).map(str::to_owned);
    let place = text("in").unwrap();
    let usual = if matches!(place.as_str(), "query" | "cookie") {
        "form"
    } else {
        "simple"
    };
    let style = text("style").unwrap_or_else(|| usual.to_owned());
    Param {
        name: text("name").unwrap(),
        explode: it
            .get("explode")
            .and_then(Value::as_bool)
            .unwrap_or(style == "form"),
        is_list: resolve(root, &it["schema"])["type"] == "array",
        place,
        style,
    }
}

/// Text with its triplets decoded; what is no UTF-8 then is a fault of whoever sent it.
pub(crate) fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
            out.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).unwrap()
}

/// The values of the places in a template; `None` when the path is none of it.
fn match_path(template: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let (want, have): (Vec<&str>, Vec<&str>) =
        (template.split('/').collect(), path.split('/').collect());
    if want.len() != have.len() {
        return None;
    }
    let mut values = BTreeMap::new();
    for (want, have) in want.iter().zip(have) {
        let mut rest = have;
        let mut want = *want;
        while let Some((before, after)) = want.split_once('{') {
            rest = rest.strip_prefix(before)?;
            let (name, tail) = after.split_once('}').unwrap();
            let until = tail.split('{').next().unwrap();
            let end = if until.is_empty() {
                rest.len()
            } else {
                rest.find(until)?
            };
            let (value, behind) = rest.split_at(end);
            values.insert(name.to_owned(), decoded(value));
            rest = behind;
            want = tail;
        }
        if rest != want {
            return None;
        }
    }
    Some(values)
}

/// Pairs of a query or form, values still encoded. A plus is a blank in forms.
fn pairs(text: &str, is_form: bool) -> Vec<(String, String)> {
    let plus = |text: &str| {
        if is_form {
            text.replace('+', "%20")
        } else {
            text.to_owned()
        }
    };
    let all = text.split('&').filter(|pair| !pair.is_empty());
    all.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(&plus(name)), plus(value))
    })
    .collect()
}

/// Takes what belongs to one parameter out of `pairs`.
fn take(
    pairs: &mut Vec<(String, String)>,
    name: &str,
    style: &str,
    explode: bool,
    is_list: bool,
) -> Option<Value> {
    if style == "deepObject" {
        let mut tree = Value::Null;
        let mut is_any = false;
        pairs.retain(|(key, value)| {
            let Some(keys) = key
                .strip_prefix(name)
                .filter(|it| it.is_empty() || it.starts_with('['))
            else {
                return true;
            };
            is_any = true;
            let mut at = &mut tree;
            for key in keys.split('[').skip(1) {
                let key = key.strip_suffix(']').unwrap();
                if !at.is_object() {
                    *at = json!({});
                }
                at = at
                    .as_object_mut()
                    .unwrap()
                    .entry(key)
                    .or_insert(Value::Null);
            }
            *at = json!(decoded(value));
            false
        });
        return is_any.then_some(tree);
    }
    let mut found = Vec::new();
    pairs.retain(|(key, value)| {
        if key == name {
            found.push(value.clone());
        }
        key != name
    });
    match (found.as_slice(), is_list, explode) {
        ([], _, _) => None,
        (_, true, true) => Some(found.iter().map(|it| decoded(it)).collect()),
        ([one], true, false) => Some(one.split(',').map(decoded).collect()),
        ([one], false, _) => Some(json!(decoded(one))),
        _ => panic!("{name} came {} times", found.len()),
    }
}

impl Served {
    fn read(&self, path: &str, query: &str, headers: &HeaderMap, body: &[u8]) -> Value {
        let mut pairs = pairs(query, false);
        let (route, fixed) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let route = route.split('#').next().unwrap();
        let in_path = match_path(route, path).unwrap();
        let mut found = Map::new();
        for it in &self.params {
            let value = match it.place.as_str() {
                "path" => in_path.get(&it.name).map(|text| json!(text)),
                "query" => take(&mut pairs, &it.name, &it.style, it.explode, it.is_list),
                "header" => {
                    let value = headers.get(&it.name);
                    value.map(|value| json!(value.to_str().unwrap()))
                }
                place => panic!("{place}"),
            };
            if let Some(value) = value {
                found.insert(format!("{} {}", it.place, it.name), value);
            }
        }
        let rest: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(rest.join("&"), fixed, "parameters of nobody");
        if let Some(body) = self.body(headers, body) {
            found.insert("body".to_owned(), body);
        }
        Value::Object(found)
    }

    fn body(&self, headers: &HeaderMap, body: &[u8]) -> Option<Value> {
        let media = headers.get("content-type")?.to_str().unwrap();
        let essence = media.split(';').next().unwrap();
        if essence.ends_with("json") {
            return Some(serde_json::from_slice(body).unwrap());
        }
        if essence == "multipart/form-data" {
            return Some(multipart(media, body));
        }
        if essence != "application/x-www-form-urlencoded" {
            return Some(json!(STANDARD.encode(body)));
        }
        let entry = &self.content[essence];
        let mut pairs = pairs(std::str::from_utf8(body).unwrap(), true);
        let mut names: Vec<String> = pairs
            .iter()
            .map(|(name, _)| name.split('[').next().unwrap().to_owned())
            .collect();
        names.dedup();
        let mut found = Map::new();
        for name in names {
            let encoding = &entry["encoding"][&name];
            let style = encoding["style"].as_str().unwrap_or("form");
            let schema = resolve(&self.root, &entry["schema"]);
            let is_list = resolve(&self.root, &schema["properties"][&name])["type"] == "array";
            if let Some(value) = take(&mut pairs, &name, style, true, is_list) {
                found.insert(name, value);
            }
        }
        assert!(pairs.is_empty(), "{pairs:?}");
        Some(Value::Object(found))
    }
}

/// Each part by its name, in base64.
fn multipart(media: &str, body: &[u8]) -> Value {
    let boundary = media.split("boundary=").nth(1).unwrap();
    // One character for each byte, so that it can be cut as text.
    let text: String = body.iter().copied().map(char::from).collect();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for part in text.split(&format!("--{boundary}")).skip(1) {
        if part == "--\r\n" {
            break;
        }
        let part = part
            .strip_prefix("\r\n")
            .unwrap()
            .strip_suffix("\r\n")
            .unwrap();
        let (head, content) = part.split_once("\r\n\r\n").unwrap();
        let name = head
            .split("name=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        let bytes: Vec<u8> = content.chars().map(|c| u8::try_from(c).unwrap()).collect();
        found
            .entry(name.to_owned())
            .or_default()
            .push(STANDARD.encode(bytes));
    }
    json!(found)
}

/// Serves the operations; each answers what arrived.
pub(crate) async fn serve(root: &Value) -> SocketAddr {
    let operations = Arc::new(operations(root));
    let router = Router::new().fallback(answer).with_state(operations);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

async fn answer(State(operations): State<Arc<Vec<Served>>>, request: Request) -> impl IntoResponse {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    let wanted = parts.headers["x-operation"].to_str().unwrap();
    let found = operations.iter().find(|it| {
        let route = it.path.split(['?', '#']).next().unwrap();
        // Two operations may be told apart by a fixed query, or not at all.
        let is_named = format!("{} {}", it.method, it.path) == wanted;
        is_named && parts.method.as_str() == it.method && match_path(route, path).is_some()
    });
    match found {
        Some(found) => {
            let arrived = found.read(path, query, &parts.headers, &body);
            (StatusCode::OK, arrived.to_string())
        }
        None => (
            StatusCode::NOT_FOUND,
            format!("{} {path} is no {wanted}", parts.method),
        ),
    }
}
