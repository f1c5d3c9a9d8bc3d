//! A gateway served by the official SDK, to its own client and to one that writes lines by hand.
#![cfg(test)]

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use mcp_gw_core::testing::RecordingAudit;
use mcp_gw_core::{
    AllowAll, Authenticator, AuthnError, Backend, BackendError, CallContext, Caller, CallerKind,
    Credentials, Endpoint, Feature, Gateway, GatewayBuilder, ItemSpec, Offer, Outcome, PromptGet,
    RawJson, ResourceRead, Secret, ToolCall, ToolOutput, ToolSpec, Transport, async_trait,
};
use mcp_gw_server::rmcp::{GatewayHandler, GatewayService};
use mcp_gw_server::{Engine, EngineConfig};
use rmcp::model::{
    CallToolRequestParams, ClientRequest, ErrorData, Extensions, GetPromptRequestParams,
    ProgressNotificationParam, ProtocolVersion, ReadResourceRequestParams, Request,
};
use rmcp::service::{
    ClientLifecycleMode, ClientServiceExt as _, NotificationContext, PeerRequestOptions,
    RunningService, Service, ServiceError,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ClientHandler, RoleClient, RoleServer, ServiceExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};

/// Nothing here takes longer.
const LIMIT: Duration = Duration::from_secs(20);

/// A server whose answers have members that nobody knows.
#[derive(Default)]
struct Vendor {
    called: Notify,
    given_up: Arc<Notify>,
}

/// Tells when it is dropped.
struct Guard(Arc<Notify>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

fn raw(value: &Value) -> RawJson {
    RawJson::from_serialize(value).unwrap()
}

#[async_trait]
impl Backend for Vendor {
    fn name(&self) -> &'static str {
        "vendor"
    }

    fn offer_now(&self) -> Option<Offer> {
        let tool = |name: &str| {
            let definition =
                json!({ "name": name, "inputSchema": { "type": "object" }, "x-vendor": 1 });
            ToolSpec::from_definition(raw(&definition)).unwrap()
        };
        let item = |feature, value| ItemSpec::from_definition(feature, raw(&value)).unwrap();
        let mut offer =
            Offer::of_tools(["echo", "count", "wait", "fail", "secret"].map(tool).into());
        offer.prompts = vec![item(Feature::Prompt, json!({ "name": "ask" }))];
        offer.resources = vec![item(
            Feature::Resource,
            json!({ "uri": "x:y", "name": "y" }),
        )];
        Some(offer)
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        Ok(self.offer_now().unwrap())
    }

    async fn call_tool(
        &self,
        ctx: &CallContext,
        call: ToolCall,
    ) -> Result<ToolOutput, BackendError> {
        let result = match &*call.name {
            "echo" => {
                let meta = call.extras.meta.map(|meta| meta.to_value().unwrap());
                let capabilities = ctx.meta().client_capabilities.as_ref();
                json!({
                    "content": [{ "type": "hologram", "x-data": 1 }],
                    "structuredContent": {
                        "arguments": call.arguments.to_value().unwrap(),
                        "meta": meta,
                        "revision": ctx.meta().protocol_version,
                        "capabilities": capabilities.map(|raw| raw.to_value().unwrap()),
                    },
                    "x-vendor": [1],
                })
            }
            "count" => {
                for step in 1..=3 {
                    ctx.progress(f64::from(step), Some(3.0), Some("on the way"));
                }
                json!({ "content": [{ "type": "text", "text": "counted" }] })
            }
            "wait" => {
                let _guard = Guard(Arc::clone(&self.given_up));
                self.called.notify_one();
                std::future::pending().await
            }
            _ => {
                let error = json!({ "code": -32050, "message": "no", "data": { "why": 1 } });
                return Err(BackendError::Rpc(raw(&error)));
            }
        };
        Ok(ToolOutput::from_raw(raw(&result)).unwrap())
    }

    async fn read_resource(
        &self,
        _: &CallContext,
        read: ResourceRead,
    ) -> Result<RawJson, BackendError> {
        Ok(raw(
            &json!({ "contents": [{ "uri": &*read.uri, "text": "read" }] }),
        ))
    }

    async fn get_prompt(&self, _: &CallContext, get: PromptGet) -> Result<RawJson, BackendError> {
        let content = json!({ "type": "text", "text": &*get.name });
        Ok(raw(
            &json!({ "messages": [{ "role": "user", "content": content }] }),
        ))
    }
}

/// Knows `alice` by her key, and nobody else.
struct Keys;

#[async_trait]
impl Authenticator for Keys {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Arc<Caller>, AuthnError> {
        match &credentials.api_key {
            Some(key) if key.expose() == "key-of-alice" => {
                Ok(Caller::new(CallerKind::ApiKey, "alice").into())
            }
            Some(_) => Err(AuthnError::Invalid {
                reason: "wrong".to_owned(),
            }),
            None => Err(AuthnError::Missing),
        }
    }
}

struct Scene {
    vendor: Arc<Vendor>,
    audit: RecordingAudit,
    service: GatewayService,
}

fn scene(change: impl FnOnce(GatewayBuilder) -> GatewayBuilder) -> Scene {
    let vendor = Arc::new(Vendor::default());
    let audit = RecordingAudit::new();
    let builder = Gateway::builder()
        .backend(Arc::clone(&vendor))
        .audit(audit.clone());
    let gateway = change(builder).build().unwrap();
    Scene {
        vendor,
        audit,
        service: GatewayService::new(Engine::new(gateway, EngineConfig::default())),
    }
}

fn open(builder: GatewayBuilder) -> GatewayBuilder {
    builder.policy(AllowAll::new())
}

/// Serves it on the other end of a pipe.
fn serve(service: impl Service<RoleServer>) -> DuplexStream {
    let (near, far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        if let Ok(running) = service.serve(far).await {
            running.waiting().await.unwrap();
        }
    });
    near
}

struct Ears(mpsc::Sender<ProgressNotificationParam>);

impl ClientHandler for Ears {
    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        let _ = self.0.send(params).await;
    }
}

type Client = RunningService<RoleClient, Ears>;

fn lifecycles() -> [ClientLifecycleMode; 2] {
    [
        ClientLifecycleMode::Initialize,
        ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        },
    ]
}

async fn connect(
    stream: DuplexStream,
    lifecycle: ClientLifecycleMode,
) -> (Client, mpsc::Receiver<ProgressNotificationParam>) {
    let (ears, progress) = mpsc::channel(16);
    let client = Ears(ears).serve_with_lifecycle(stream, lifecycle);
    (client.await.unwrap(), progress)
}

fn call(name: &'static str) -> CallToolRequestParams {
    let arguments = json!({ "a": [1, "x"] });
    CallToolRequestParams::new(name).with_arguments(arguments.as_object().unwrap().clone())
}

/// What a client of the SDK does, whichever way the gateway is served.
async fn use_it(
    scene: &Scene,
    caller: &str,
    client: Client,
    mut progress: mpsc::Receiver<ProgressNotificationParam>,
) {
    assert_eq!(client.list_all_tools().await.unwrap().len(), 5);
    assert_eq!(client.list_all_prompts().await.unwrap().len(), 1);
    assert_eq!(client.list_all_resources().await.unwrap().len(), 1);
    assert!(
        client
            .list_all_resource_templates()
            .await
            .unwrap()
            .is_empty()
    );
    let read = ReadResourceRequestParams::new("x:y");
    assert_eq!(client.read_resource(read).await.unwrap().contents.len(), 1);
    let get = GetPromptRequestParams::new("ask");
    assert_eq!(client.get_prompt(get).await.unwrap().messages.len(), 1);

    let counted = client.call_tool(call("count")).await.unwrap();
    assert_eq!(counted.content[0].as_text().unwrap().text, "counted");
    let mut steps = Vec::new();
    while steps.len() < 3 {
        let told = progress.recv().await.unwrap();
        assert_eq!(told.message.as_deref(), Some("on the way"));
        steps.push(told.progress);
    }
    // The SDK hands each on in a task of its own.
    steps.sort_by(f64::total_cmp);
    assert_eq!(steps, [1.0, 2.0, 3.0]);

    let Err(ServiceError::McpError(error)) = client.call_tool(call("fail")).await else {
        panic!("an error of the server is an error of the client");
    };
    let ErrorData { code, data, .. } = &error;
    assert_eq!(
        (code.0, data.as_ref()),
        (-32050, Some(&json!({ "why": 1 })))
    );

    let request = ClientRequest::CallToolRequest(Request::new(call("wait")));
    let handle = client
        .send_cancellable_request(request, PeerRequestOptions::no_options())
        .await
        .unwrap();
    scene.vendor.called.notified().await;
    handle.cancel(Some("test".to_owned())).await.unwrap();
    scene.vendor.given_up.notified().await;
    client.cancel().await.unwrap();

    let ended = |outcome: Outcome| {
        let events = scene.audit.events();
        events
            .iter()
            .filter(|event| event.outcome == outcome)
            .count()
    };
    assert!(ended(Outcome::Ok) >= 6);
    // The event of a call is closed after its work was dropped.
    while ended(Outcome::Cancelled) < 1 {
        tokio::task::yield_now().await;
    }
    let events = scene.audit.events();
    let mut callers = events.iter().map(|event| &*event.caller_id);
    assert!(callers.all(|id| id == caller));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_the_sdk_works_in_both_eras() {
    for lifecycle in lifecycles() {
        let scene = scene(open);
        let (client, progress) = connect(serve(scene.service.clone()), lifecycle).await;
        let used = use_it(&scene, "local", client, progress);
        tokio::time::timeout(LIMIT, used).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_the_sdk_works_in_both_eras_with_the_handler() {
    for lifecycle in lifecycles() {
        let scene = scene(open);
        let handler = GatewayHandler::new(scene.service.clone());
        let (client, progress) = connect(serve(handler), lifecycle).await;
        let used = use_it(&scene, "local", client, progress);
        tokio::time::timeout(LIMIT, used).await.unwrap();
    }
}

/// Serves it through the SDK's streamable HTTP, and says where.
async fn serve_http(handler: GatewayHandler) -> String {
    let sessions = Arc::new(LocalSessionManager::default());
    let config = StreamableHttpServerConfig::default();
    let service = StreamableHttpService::new(move || Ok(handler.clone()), sessions, config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            let io = TokioIo::new(stream);
            tokio::spawn(async move {
                // A client that hangs up is no fault.
                let _ = http1::Builder::new().serve_connection(io, service).await;
            });
        }
    });
    url
}

/// The key in a header of the HTTP request that the SDK hands on.
fn key_of(extensions: &Extensions) -> Credentials {
    let mut credentials = Credentials::none(Transport::Http);
    let head = extensions.get::<http::request::Parts>();
    let key = head.and_then(|head| head.headers.get("x-api-key"));
    credentials.api_key = key.map(|key| Secret::new(key.to_str().unwrap().to_owned()));
    credentials
}

async fn over_http(
    url: &str,
    key: &'static str,
    lifecycle: ClientLifecycleMode,
) -> Option<(Client, mpsc::Receiver<ProgressNotificationParam>)> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let headers = [("x-api-key".parse().unwrap(), key.parse().unwrap())];
    let config = StreamableHttpClientTransportConfig::with_uri(url).custom_headers(headers.into());
    let transport = StreamableHttpClientTransport::with_client(reqwest::Client::new(), config);
    let (ears, progress) = mpsc::channel(16);
    let client = Ears(ears).serve_with_lifecycle(transport, lifecycle);
    Some((client.await.ok()?, progress))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_the_sdk_works_in_both_eras_over_its_http() {
    for lifecycle in lifecycles() {
        let scene = scene(|builder| open(builder).authenticator(Keys));
        let service = scene.service.clone().with_credentials(key_of);
        let url = serve_http(GatewayHandler::new(service)).await;
        let (client, progress) = over_http(&url, "key-of-alice", lifecycle.clone())
            .await
            .unwrap();
        let used = use_it(&scene, "alice", client, progress);
        tokio::time::timeout(LIMIT, used).await.unwrap();
        // Whoever has no good key comes no further, whatever the SDK made of its greeting.
        if let Some((client, _)) = over_http(&url, "key-of-bob", lifecycle).await {
            assert!(client.list_all_tools().await.is_err());
        }
        let events = scene.audit.events();
        assert_eq!(events.last().unwrap().outcome, Outcome::Unauthenticated);
    }
}

/// The SDK waits for some seconds for answers that nobody can read any more.
#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_gives_up_what_is_open_on_it() {
    let scene = scene(open);
    let mut client = Lines::hello(serve(scene.service.clone())).await;
    let params = json!({ "name": "wait", "arguments": {} });
    let ask = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    tokio::select! {
        answer = client.ask(ask) => panic!("{answer}"),
        () = scene.vendor.called.notified() => {}
    }
    drop(client);
    scene.vendor.given_up.notified().await;
}

/// A client that writes lines.
struct Lines(BufReader<DuplexStream>);

impl Lines {
    async fn ask(&mut self, message: Value) -> Value {
        self.0
            .get_mut()
            .write_all(format!("{message}\n").as_bytes())
            .await
            .unwrap();
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(LIMIT, self.0.read_line(&mut line));
            assert_ne!(read.await.unwrap().unwrap(), 0, "the connection ended");
            let answer: Value = serde_json::from_str(&line).unwrap();
            if answer.get("id") == message.get("id") {
                return answer;
            }
        }
    }

    async fn hello(stream: DuplexStream) -> Self {
        let mut lines = Self(BufReader::new(stream));
        let params = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": { "sampling": {} },
            "clientInfo": { "name": "t", "version": "1" },
        });
        let hello = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
        let answer = lines.ask(hello).await;
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
        assert_eq!(answer["result"]["serverInfo"]["name"], "mcp-gw");
        lines
    }
}

fn modern(method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": { "elicitation": {} },
        "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" },
        "com.example/trace": 7,
    });
    json!({ "jsonrpc": "2.0", "id": method, "method": method, "params": params })
}

#[tokio::test]
async fn results_keep_what_the_sdk_has_no_name_for() {
    let scene = scene(open);
    let mut old = Lines::hello(serve(scene.service.clone())).await;
    let params = json!({
        "name": "echo", "arguments": { "z": 1, "a": null },
        "_meta": { "com.example/trace": 7, "progressToken": "p" },
    });
    let ask = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let result = &old.ask(ask).await["result"];
    assert_eq!(
        result["content"],
        json!([{ "type": "hologram", "x-data": 1 }])
    );
    assert_eq!(result["x-vendor"], json!([1]));
    let seen = &result["structuredContent"];
    assert_eq!(seen["arguments"], json!({ "z": 1, "a": null }));
    assert_eq!(seen["meta"], json!({ "com.example/trace": 7 }));
    assert_eq!(seen["revision"], "2025-11-25");
    assert_eq!(seen["capabilities"], json!({ "sampling": {} }));
    let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" });
    let list = old.ask(list).await;
    assert_eq!(list["result"]["tools"][0]["x-vendor"], 1);
    assert!(list["result"].get("resultType").is_none());

    let mut new = Lines(BufReader::new(serve(scene.service.clone())));
    let found = new.ask(modern("server/discover", json!({}))).await;
    assert_eq!(found["result"]["supportedVersions"], json!(["2026-07-28"]));
    let result = new
        .ask(modern(
            "tools/call",
            json!({ "name": "echo", "arguments": {} }),
        ))
        .await;
    let result = &result["result"];
    assert_eq!(
        (&result["resultType"], &result["x-vendor"]),
        (&json!("complete"), &json!([1]))
    );
    let seen = &result["structuredContent"];
    assert_eq!(seen["meta"], json!({ "com.example/trace": 7 }));
    assert_eq!(seen["revision"], "2026-07-28");
    assert_eq!(seen["capabilities"], json!({ "elicitation": {} }));
}

#[tokio::test]
async fn with_the_handler_what_fits_no_type_is_an_error_of_that_call_alone() {
    let scene = scene(open);
    let handler = GatewayHandler::new(scene.service.clone());
    let mut client = Lines::hello(serve(handler)).await;
    let params = json!({ "name": "echo", "arguments": {} });
    let ask = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    assert_eq!(client.ask(ask).await["error"]["code"], -31004);
    let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" });
    assert_eq!(
        client.ask(list).await["result"]["tools"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_by_the_gateway() {
    let scene = scene(open);
    let mut client = Lines::hello(serve(scene.service.clone())).await;
    for (method, params, code) in [
        (
            "tools/call",
            json!({ "name": "echo", "arguments": [] }),
            -32602,
        ),
        ("tools/call", json!({ "name": "nothing" }), -32602),
        ("tools/list", json!({ "cursor": "nonsense" }), -32602),
        ("x/y", json!({}), -32601),
        ("logging/setLevel", json!({ "level": "debug" }), -32601),
    ] {
        let ask = json!({ "jsonrpc": "2.0", "id": method, "method": method, "params": params });
        let answer = client.ask(ask).await;
        assert_eq!(answer["error"]["code"], code, "{method}: {answer}");
    }
    // Without a handshake each request must say what it is.
    let mut client = Lines(BufReader::new(serve(scene.service.clone())));
    client.ask(modern("tools/list", json!({}))).await;
    let ask = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    assert_eq!(client.ask(ask).await["error"]["code"], -32602);
}

#[tokio::test]
async fn nothing_is_allowed_that_no_policy_allows() {
    let scene = scene(|builder| builder);
    let mut client = Lines::hello(serve(scene.service.clone())).await;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    assert_eq!(client.ask(list).await["result"]["tools"], json!([]));
    let params = json!({ "name": "secret", "arguments": {} });
    let ask = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params });
    assert_eq!(
        client.ask(ask).await["error"]["message"],
        "Unknown tool: secret"
    );
}

#[tokio::test]
async fn an_endpoint_shows_its_part_alone() {
    let scene = scene(|builder| {
        let shows = |_: Feature, name: &str, _: &str| name == "echo";
        open(builder).endpoint(Endpoint::new("small", shows))
    });
    let engine = scene.service.engine().at("small").unwrap();
    let mut client = Lines::hello(serve(GatewayService::new(engine))).await;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let tools = &client.ask(list).await["result"]["tools"];
    assert_eq!(
        (tools.as_array().unwrap().len(), &tools[0]["name"]),
        (1, &json!("echo"))
    );
    let params = json!({ "name": "count", "arguments": {} });
    let ask = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params });
    assert_eq!(
        client.ask(ask).await["error"]["message"],
        "Unknown tool: count"
    );
}

#[tokio::test]
async fn every_request_shows_who_it_is_from() {
    let scene = scene(|builder| open(builder).authenticator(Keys));
    let with_key = |key: Option<&'static str>| {
        scene.service.clone().with_credentials(move |_| {
            let mut credentials = Credentials::none(Transport::InProcess);
            credentials.api_key = key.map(|key| key.to_owned().into());
            credentials
        })
    };
    let mut client = Lines::hello(serve(with_key(Some("key-of-alice")))).await;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    client.ask(list).await;
    let events = scene.audit.events();
    assert!(
        events.iter().any(|event| &*event.caller_id == "alice"),
        "{events:#?}"
    );
    for (key, says) in [(None, "no key"), (Some("wrong"), "not valid")] {
        let mut client = Lines(BufReader::new(serve(with_key(key))));
        let answer = client.ask(modern("tools/list", json!({}))).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(says), "{answer}");
        assert!(answer.get("result").is_none());
    }
}

#[tokio::test]
async fn a_gateway_that_stops_answers_what_is_open() {
    let scene = scene(open);
    let mut client = Lines::hello(serve(scene.service.clone())).await;
    let engine = scene.service.engine().clone();
    let params = json!({ "name": "wait", "arguments": {} });
    let ask = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let (answer, ()) = tokio::join!(client.ask(ask), async {
        scene.vendor.called.notified().await;
        engine.stop();
    });
    assert_eq!(answer["error"]["code"], -31005);
}
