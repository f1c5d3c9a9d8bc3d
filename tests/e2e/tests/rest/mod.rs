//! REST APIs as tools, with real processes: who reaches which, with whose credential, and what changes with
//! a new configuration.

mod reload;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::support::client::{Client, Era, Wire};
use crate::support::json::{at, items, member, string};
use crate::support::setup::{Folder, Running, Setup};

/// What must be seen by the API alone.
const SECRET: &str = "s3cret-of-the-gateway-0123456789";

/// An API that answers with what it was asked, and remembers it.
struct Echo {
    address: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Echo {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Its section in a configuration, with further keys.
    fn section(&self, rest: &str) -> String {
        format!(
            "{{ url: \"{}/v1\", allow_http: true, allow_ip: true, allow_private: true{rest} }}",
            self.address
        )
    }

    fn base(&self) -> String {
        format!("{}/v1", self.address)
    }
}

/// Answers requests on one connection with their first line and body.
fn serve(mut stream: TcpStream, seen: &Mutex<Vec<String>>) {
    let mut buffer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&buffer).into_owned();
        if let Some(end) = text.find("\r\n\r\n") {
            let head = text.split_at(end).0;
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.parse::<usize>().unwrap())
            });
            let length = end + 4 + length.unwrap_or(0);
            if buffer.len() >= length {
                let request: Vec<u8> = buffer.drain(..length).collect();
                let request = String::from_utf8(request).unwrap();
                let line = request.lines().next().unwrap().to_owned();
                let echo = format!("{{\"asked\":{line:?}}}");
                seen.lock().unwrap().push(request);
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: max-age=600\r\ncontent-length: {}\r\n\r\n{echo}",
                    echo.len()
                );
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
                continue;
            }
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(read) => buffer.extend_from_slice(&piece[..read]),
        }
    }
}

const TOP: &str = "http: { listen: \"127.0.0.1:0\", shutdown_grace: 10s }\n";
const KEYS: &str = "auth: { api_keys: [{ id: ann, key: ann-0123456789abcdef }, { id: bob, key: bob-0123456789abcdef }] }\n";

fn client_of(gateway: &Running, caller: &str) -> Client {
    let key = format!("Bearer {caller}-0123456789abcdef");
    let endpoint = gateway.endpoint().clone();
    let wire: Arc<dyn Wire> = Arc::new(endpoint.with_header("authorization", &key));
    Client::open(&wire, Era::Modern)
}

/// The tools of a list, each with its name.
fn tools(client: &Client) -> Vec<(String, String)> {
    let list = client.ask("tools/list", "{}").result();
    let tools = items(&at(&list, &["tools"])).into_iter();
    tools
        .map(|tool| (string(&at(&tool, &["name"])), tool))
        .collect()
}

fn names(client: &Client) -> Vec<String> {
    tools(client).into_iter().map(|(name, _)| name).collect()
}

/// The APIs that the tool shows to a client; none when there is no such tool.
fn apis(client: &Client) -> Vec<String> {
    let tools = tools(client);
    let tool = tools.iter().find(|(name, _)| name == "api_gateway");
    let list = tool.map(|(_, tool)| at(tool, &["inputSchema", "properties", "api", "enum"]));
    let values = list.iter().flat_map(|list| items(list));
    values.map(|value| string(&value)).collect()
}

fn get(api: &str, endpoint: &str) -> String {
    format!(r#"{{"api":"{api}","endpoint":"{endpoint}","method":"GET"}}"#)
}

/// What the API was asked, as it says.
#[track_caller]
fn asked(client: &Client, tool: &str, arguments: &str) -> String {
    let result = client.tool(tool, arguments).result();
    assert_ne!(
        member(&result, "isError").as_deref(),
        Some("true"),
        "{result}"
    );
    string(&at(&result, &["structuredContent", "data", "asked"]))
}

#[test]
fn each_caller_reaches_the_apis_that_the_policy_gives_it() {
    let (pets, cars) = (Echo::start(), Echo::start());
    let yaml = format!(
        "{TOP}{KEYS}policy:\n  rules:\n\
         \x20   - {{ id: ann, effect: allow, who: {{ ids: [ann] }}, servers: [pets, cars] }}\n\
         \x20   - {{ id: bob, effect: allow, who: {{ ids: [bob] }}, servers: [cars] }}\n\
         apis:\n  pets: {}\n  cars: {}\n",
        pets.section(&format!(", credential: {{ bearer: {SECRET} }}")),
        cars.section(""),
    );
    let gateway = Setup::verbatim(&yaml).over_http();
    let (ann, bob) = (client_of(&gateway, "ann"), client_of(&gateway, "bob"));
    let mut both = [pets.base(), cars.base()];
    both.sort();
    let mut seen = apis(&ann);
    seen.sort();
    assert_eq!(seen, both);
    assert_eq!(apis(&bob), [cars.base()]);
    assert_eq!(
        asked(&ann, "api_gateway", &get(&pets.base(), "/a?x=1")),
        "GET /v1/a?x=1 HTTP/1.1"
    );
    assert_eq!(
        asked(&bob, "api_gateway", &get(&cars.base(), "/b")),
        "GET /v1/b HTTP/1.1"
    );
    // What bob may not use is to him as if it were not there.
    let refused = bob.tool("api_gateway", &get(&pets.base(), "/c")).result();
    let unknown = bob
        .tool("api_gateway", &get("https://elsewhere.example", "/c"))
        .result();
    assert_eq!(refused, unknown);
    let code = at(&refused, &["structuredContent", "code"]);
    assert_eq!(string(&code), "api_not_allowed");
    assert_eq!(pets.seen().len(), 1);
    let sent = &pets.seen()[0];
    assert!(
        sent.contains(&format!("authorization: Bearer {SECRET}\r\n")),
        "{sent}"
    );
    assert!(
        !sent.contains("0123456789abcdef\r\n") || !sent.contains("ann-"),
        "{sent}"
    );
    // The log knows each call as one of its API, and no secret.
    let lines = gateway.audit(5);
    let of = |server: &str| {
        lines
            .iter()
            .filter(|line| line.contains(&format!("\"server\":\"{server}\"")))
            .count()
    };
    assert_eq!((of("pets"), of("cars")), (2, 1), "{lines:#?}");
    assert!(!gateway.process.stderr.so_far().join("\n").contains(SECRET));
}

#[test]
fn limits_know_each_api() {
    let (pets, cars) = (Echo::start(), Echo::start());
    let yaml = format!(
        "{TOP}policy: {{ default: allow }}\n\
         limits: {{ rules: [{{ name: few, per: caller_and_server, quota: 1, window: 1h, for: {{ servers: [pets] }} }}] }}\n\
         apis:\n  pets: {}\n  cars: {}\n",
        pets.section(""),
        cars.section(""),
    );
    let gateway = Setup::verbatim(&yaml).over_http();
    let client = gateway.client(Era::Modern);
    asked(&client, "api_gateway", &get(&pets.base(), "/1"));
    // A result, which models see.
    let limited = client
        .tool("api_gateway", &get(&pets.base(), "/2"))
        .result();
    assert_eq!(
        string(&at(&limited, &["structuredContent", "code"])),
        "rate_limited"
    );
    assert_eq!(
        string(&at(&limited, &["structuredContent", "limit"])),
        "few"
    );
    let wait = at(&limited, &["structuredContent", "retry_after_ms"]);
    assert!(
        wait.parse::<u64>().is_ok_and(|wait| wait > 3_500_000),
        "{wait}"
    );
    assert_eq!(at(&limited, &["isError"]), "true");
    let lines = gateway.audit(2);
    assert!(lines[1].contains("\"outcome\":\"limited\""), "{lines:#?}");
    for path in ["/1", "/2", "/3"] {
        asked(&client, "api_gateway", &get(&cars.base(), path));
    }
    assert_eq!((pets.seen().len(), cars.seen().len()), (1, 3));
}

const DESCRIPTION: &str = r#"{"openapi":"3.1.0","info":{"title":"Pets","version":"1"},"paths":{
  "/pets/{id}":{"get":{"operationId":"getPet","parameters":[
      {"name":"id","in":"path","required":true,"schema":{"type":"string"}},
      {"name":"fields","in":"query","schema":{"type":"array","items":{"type":"string"}}}],
    "responses":{"200":{"description":"ok"}}},
   "delete":{"operationId":"deletePet","parameters":[
      {"name":"id","in":"path","required":true,"schema":{"type":"string"}}],"responses":{}}}}}"#;

#[test]
fn operations_are_tools_and_take_the_same_road() {
    let pets = Echo::start();
    let folder = Folder::new();
    let file = folder.file("pets.json", DESCRIPTION);
    let own = "tools: [{ name: find, description: Finds pets., path: /pets, inputs: { q: {} } }]";
    let section = |write: &str| {
        pets.section(&format!(
            ", gateway_tool: false, credential: {{ query: {{ name: key, value: {SECRET} }} }}, openapi: {{ file: {file:?}{write} }}, {own}"
        ))
    };
    let yaml = |write: &str| {
        format!(
            "{TOP}{KEYS}policy:\n  default: allow\n  rules:\n\
             \x20   - {{ id: r, effect: deny, who: {{ ids: [bob] }}, tools: [\"delete*\"] }}\n\
             apis:\n  pets: {}\n",
            section(write)
        )
    };
    let gateway = Setup::verbatim(&yaml("")).over_http();
    let (ann, bob) = (client_of(&gateway, "ann"), client_of(&gateway, "bob"));
    // Only what reads, unless somebody says more.
    assert_eq!(names(&ann), ["find", "getPet"]);
    let line = asked(&ann, "getPet", r#"{"id":"a?b #c","fields":["x","y"]}"#);
    let expected = "GET /v1/pets/a%3Fb%20%23c?fields=x&fields=y&key=";
    assert!(
        line.starts_with(expected) && !line.contains(SECRET),
        "{line}"
    );
    assert_eq!(pets.seen().len(), 1);
    for (wrong, code) in [
        ("{}", "arguments_invalid"),
        (r#"{"id":".."}"#, "arguments_invalid"),
        (r#"{"id":"a/../b"}"#, "arguments_invalid"),
    ] {
        let result = ann.tool("getPet", wrong).result();
        let told = string(&at(&result, &["structuredContent", "code"]));
        assert_eq!(told, code, "{wrong}");
    }
    assert_eq!(pets.seen().len(), 1);

    gateway.configure(&yaml(", write: true"));
    gateway.process.stderr.with("changed: apis.pets");
    assert_eq!(names(&ann), ["find", "getPet", "deletePet"]);
    assert_eq!(names(&bob), ["find", "getPet"]);
    asked(&ann, "deletePet", r#"{"id":"7"}"#);
    bob.tool("deletePet", r#"{"id":"7"}"#).fault();
    assert!(pets.seen()[1].starts_with("DELETE /v1/pets/7?key="));
}

#[test]
fn apis_come_and_go_with_the_configuration() {
    let (pets, cars) = (Echo::start(), Echo::start());
    let yaml = |apis: &str| format!("{TOP}policy: {{ default: allow }}\napis:\n{apis}");
    let one = format!("  pets: {}\n", pets.section(""));
    let two = format!("{one}  cars: {}\n", cars.section(""));
    let gateway = Setup::verbatim(&yaml(&one)).over_http();
    let client = gateway.client(Era::Modern);
    assert_eq!(apis(&client), [pets.base()]);
    gateway.configure(&yaml(&two));
    gateway.process.stderr.with("changed: rest (api_gateway)");
    assert_eq!(apis(&client).len(), 2);
    asked(&client, "api_gateway", &get(&cars.base(), "/"));
    // A faulty one changes nothing.
    gateway.configure(&yaml("  pets: { url: nowhere }\n"));
    gateway.process.stderr.with("not reloaded");
    assert_eq!(apis(&client).len(), 2);
    let own =
        ", gateway_tool: false, tools: [{ name: find, description: Finds pets., path: /pets }]";
    gateway.configure(&yaml(&format!("  pets: {}\n", pets.section(own))));
    gateway.process.stderr.with("rest (api_gateway) (gone)");
    assert_eq!(names(&client), ["find"]);
}

#[test]
fn over_standard_streams_it_is_the_same() {
    let pets = Echo::start();
    let yaml = format!(
        "policy: {{ default: allow }}\napis:\n  pets: {}\n",
        pets.section(&format!(", credential: {{ bearer: {SECRET} }}"))
    );
    for era in [Era::Legacy, Era::Modern] {
        let gateway = Setup::verbatim(&yaml).over_stdio();
        let client = gateway.client(era);
        assert_eq!(apis(&client), [pets.base()]);
        assert_eq!(
            asked(&client, "api_gateway", &get(&pets.base(), "/x")),
            "GET /v1/x HTTP/1.1"
        );
        let bad = client
            .tool("api_gateway", &get(&pets.base(), "/../x"))
            .result();
        assert_eq!(
            string(&at(&bad, &["structuredContent", "code"])),
            "endpoint_invalid"
        );
    }
}

#[test]
fn what_is_not_to_be_reached_is_not() {
    let pets = Echo::start();
    // Nobody has allowed addresses that are not public.
    let yaml = format!(
        "{TOP}policy: {{ default: allow }}\napis:\n  pets: {{ url: \"{}/v1\", allow_http: true, allow_ip: true }}\n",
        pets.address
    );
    let gateway = Setup::verbatim(&yaml).over_http();
    let client = gateway.client(Era::Modern);
    let result = client
        .tool("api_gateway", &get(&pets.base(), "/x"))
        .result();
    assert_eq!(
        string(&at(&result, &["structuredContent", "code"])),
        "egress_blocked"
    );
    assert!(!result.contains("127.0.0.1"), "{result}");
    assert!(pets.seen().is_empty());
}
