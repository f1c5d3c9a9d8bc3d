//! What the tools send, whatever they are told: to one host, below known paths, with known parameters.

use std::sync::Mutex;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::IntoResponse as _;
use mcp_gw_admin_client::tools::konnect::gateway_backend;
use proptest::prelude::*;

use super::*;

/// One request: method, path with query, `authorization`, `kong-admin-token`, `host`, body.
#[derive(Debug, Clone)]
struct Sent {
    line: String,
    headers: [Option<String>; 3],
    body: String,
}

/// An API that answers whatever it is asked with an empty list, and remembers it.
struct Anything {
    url: String,
    seen: Arc<Mutex<Vec<Sent>>>,
}

impl Anything {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<Sent>>>::default();
        let router = axum::Router::new()
            .fallback(Self::answer)
            .with_state(Arc::clone(&seen));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, seen }
    }

    async fn answer(
        State(seen): State<Arc<Mutex<Vec<Sent>>>>,
        request: Request<Body>,
    ) -> axum::response::Response {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        let header = |name: &str| {
            let value = parts.headers.get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        seen.lock().unwrap().push(Sent {
            line: format!("{} {}", parts.method, parts.uri),
            headers: ["authorization", "kong-admin-token", "host"].map(header),
            body: String::from_utf8(body.to_vec()).unwrap(),
        });
        let body = r#"{"data":[],"results":[],"meta":{"page":{"total":0}}}"#;
        ([("content-type", "application/json")], body).into_response()
    }

    fn seen(&self) -> Vec<Sent> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// Texts that try to be more than a value.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(vec![
            "..",
            "/",
            "%2f",
            "%2e%2e",
            "?",
            "#",
            "&filter[id][eq]=x",
            "@evil.example",
            "\\",
            "\r\nhost: evil.example",
            "+",
            "%",
            ":",
            "\"",
            "\u{202e}",
            "//evil.example",
            "http://evil.example/",
        ])
        .prop_map(str::to_owned),
        Just(CP.to_owned()),
        "[a-zA-Z0-9._~-]{1,8}",
        ".{0,3}",
    ];
    proptest::collection::vec(piece, 1..5).prop_map(|pieces| pieces.concat())
}

/// A value for an argument: mostly one that is taken, so that something is sent.
fn value(argument: &str, operations: &[String]) -> BoxedStrategy<Value> {
    let text = || hostile().prop_map(Value::from);
    let good: BoxedStrategy<Value> = match argument {
        "operation" => proptest::sample::select(operations.to_vec())
            .prop_map(Value::from)
            .boxed(),
        "control_plane_id" => Just(json!(CP)).boxed(),
        "time_range" => Just(json!("24H")).boxed(),
        "http_method" => Just(json!("GET")).boxed(),
        "http_status_code" => Just(json!("500")).boxed(),
        "http_latency" => Just(json!(">=5ms")).boxed(),
        "session_duration" | "max_samples" | "max_results" => Just(json!(60)).boxed(),
        "skip" => Just(json!(0)).boxed(),
        "confirm" | "successOnly" => Just(json!(true)).boxed(),
        "failureOnly" => Just(json!(false)).boxed(),
        "status_codes" | "excluded_status_codes" => Just(json!([500])).boxed(),
        "http_methods" => Just(json!(["GET"])).boxed(),
        "phase" => Just(json!("ingress")).boxed(),
        "path" | "http_path" => hostile().prop_map(|path| json!(format!("/{path}"))).boxed(),
        _ if argument.ends_with("_ids") => Just(json!([format!("{CP}:{ID}"), ID])).boxed(),
        _ if argument == "id" || argument.ends_with("_id") || argument.ends_with("_filter") => {
            proptest::sample::select(vec![json!(CP), json!(ID), json!(format!("{CP}:{ID}"))])
                .boxed()
        }
        _ => text().boxed(),
    };
    prop_oneof![12 => good, 1 => text()].boxed()
}

/// A call of one of these tools: what its schema wants, and some of the rest.
fn a_call(tools: &[Value]) -> impl Strategy<Value = (String, Value)> + use<> {
    let each = tools.iter().map(|tool| {
        let name = listed::name(tool).to_owned();
        let schema = &tool["inputSchema"];
        let properties = schema["properties"].as_object().unwrap();
        let operations: Vec<String> = serde_json::from_value(
            properties
                .get("operation")
                .map_or(json!([]), |one| one["enum"].clone()),
        )
        .unwrap();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let arguments = properties.keys().map(|argument| {
            let value = value(argument, &operations);
            let value = if required.contains(&json!(argument)) {
                value.prop_map(Some).boxed()
            } else {
                proptest::option::weighted(0.3, value).boxed()
            };
            (Just(argument.clone()), value)
        });
        let arguments: Vec<_> = arguments.collect();
        arguments.prop_map(move |given| {
            let given = given
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)));
            (name.clone(), Value::Object(given.collect()))
        })
    });
    proptest::strategy::Union::new(each.collect::<Vec<_>>())
}

/// What there is to ask Konnect for.
const KONNECT: [&str; 10] = [
    "GET /v2/control-planes",
    "GET /v2/control-planes/{id}",
    "GET /v2/control-planes/{id}/group-memberships",
    "GET /v2/control-planes/{id}/core-entities/{kind}",
    "GET /v2/control-planes/{id}/core-entities/{kind}/{id}",
    "POST /v2/api-requests",
    "POST /v2/control-planes/{id}/debug-sessions",
    "GET /v2/control-planes/{id}/debug-sessions/{id}",
    "POST /v2/control-planes/{id}/debug-sessions/{id}/stop",
    "GET /v2/alerting/events/{id}",
];

/// The same for a gateway, which finds some of them by name.
const GATEWAY: [&str; 4] = [
    "GET /",
    "GET /{kind}",
    "GET /{kind}/{id}",
    "GET /{kind}/{name}",
];

/// A path of known words and ids, and parameters that are known, each once.
fn is_known(line: &str, lines: &[&str]) -> bool {
    let (line, query) = line.split_once('?').unwrap_or((line, ""));
    let kinds = [
        "services",
        "routes",
        "consumers",
        "consumer_groups",
        "plugins",
        "vaults",
    ];
    let word = |(at, segment): (usize, &str)| match segment {
        id if id.parse::<Uuid>().is_ok() => "{id}".to_owned(),
        kind if kinds.contains(&kind) => "{kind}".to_owned(),
        name if at == 2 && lines == GATEWAY && !name.is_empty() => "{name}".to_owned(),
        other => other.to_owned(),
    };
    let line: Vec<String> = line.split('/').enumerate().map(word).collect();
    let mut known = vec!["size", "page[size]", "page[number]", "filter[name][eq]"];
    let mut is_once = |name: &str| {
        let at = known.iter().position(|one| *one == name);
        at.map(|at| known.remove(at)).is_some()
    };
    lines.contains(&&*line.join("/")) && pairs(query).all(|(name, _)| is_once(&name))
}

fn pairs(query: &str) -> impl Iterator<Item = (String, String)> + use<'_> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned()
}

/// Lines that may be asked, and the two headers of tokens that go with each.
type Promise<'p> = (&'p [&'p str], &'p [Option<&'p str>]);

fn held(
    tools: &[Value],
    backend: &dyn Backend,
    api: &Anything,
    runtime: &tokio::runtime::Runtime,
    (lines, token): Promise<'_>,
) {
    let sent = std::cell::Cell::new(0);
    proptest!(ProptestConfig::with_cases(400), |((tool, arguments) in a_call(tools))| {
        let answered = runtime.block_on(call(backend, &tool, &arguments, TOKEN));
        for one in api.seen() {
            sent.set(sent.get() + 1);
            prop_assert!(is_known(&one.line, lines), "{} {}: {:?}", tool, arguments, one);
            let [authorization, key, host] = &one.headers;
            prop_assert_eq!(&[authorization.as_deref(), key.as_deref()][..], token);
            prop_assert_eq!(format!("http://{}", host.as_deref().unwrap_or_default()), &*api.url);
            prop_assert!(!one.line.contains(TOKEN) && !one.body.contains(TOKEN));
            // A name that is looked for is the value of its parameter.
            let query = one.line.split_once('?').map_or("", |(_, query)| query);
            for (_, name) in pairs(query).filter(|(name, _)| name == "filter[name][eq]") {
                prop_assert!(arguments.as_object().unwrap().values().any(|value| value == &*name), "{}", name);
            }
        }
        drop(answered);
    });
    assert!(sent.get() > 60, "{} requests of 400 calls", sent.get());
}

#[test]
fn no_argument_of_a_tool_leads_elsewhere_in_konnect() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let api = runtime.block_on(Anything::start());
    let mut config = KonnectConfig::new(Region::Eu, Secret::new(TOKEN.to_owned()));
    config.base_url = Some(api.url.clone());
    let parts = Parts::default().with_knowledge(Arc::new(Book));
    let backend = konnect_backend(&config, parts).unwrap();
    let bearer = format!("Bearer {TOKEN}");
    let tools = listed::definitions(&*backend);
    held(
        &tools,
        &*backend,
        &api,
        &runtime,
        (&KONNECT, &[Some(&bearer), None]),
    );
}

#[test]
fn no_argument_of_a_tool_leads_elsewhere_in_a_gateway() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let api = runtime.block_on(Anything::start());
    let mut config = KongConfig::new(&*api.url);
    config.admin_token = Some(Secret::new(TOKEN.to_owned()));
    config.control_plane_id = Some(CP.to_owned());
    let backend = gateway_backend(&config, Parts::default()).unwrap();
    let tools = listed::definitions(&*backend);
    held(
        &tools,
        &*backend,
        &api,
        &runtime,
        (&GATEWAY, &[None, Some(TOKEN)]),
    );
}

#[tokio::test]
async fn links_in_answers_lead_to_no_other_host() {
    let other = Scripted::start([]).await;
    let members = format!("/v2/control-planes/{CP}/group-memberships?page%5Bsize%5D=100");
    let next = format!("{}{members}&page[after]=c", other.url());
    let first = json!({"data": [{"id": CP2}], "meta": {"page": {"next": next}}});
    let routes =
        json!({"data": [{"id": ID}], "next": format!("{}/routes?offset=o&size=1", other.url())});
    let setup = Setup::new([
        on(&format!("GET {members}")).body(first.to_string()),
        on(&format!("GET {members}&page%5Bafter%5D=c")).body(r#"{"data":[]}"#),
        planes(&[(CP2, "billing")]),
        on_core("GET /routes?size=1000").body(routes.to_string()),
        on_core("GET /routes?size=1000&offset=o").body(r#"{"data":[]}"#),
    ])
    .await;
    let group = json!({"operation": "list", "control_plane_group_id": CP});
    assert_eq!(
        setup.call("GetControlPlaneGroup", group).await.ok()["count"],
        1
    );
    let list = json!({"operation": "list", "control_plane_id": CP});
    assert_eq!(setup.call("GetRoute", list).await.ok()["count"], 1);
}
