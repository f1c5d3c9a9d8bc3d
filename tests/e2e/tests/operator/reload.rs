//! A configuration that changes while the gateway runs.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;

use crate::support::ODD_BIN;
use crate::support::client::{Client, ERAS, Era, Wire};
use crate::support::http::{Endpoint, JSON};
use crate::support::json::{at, items, string};
use crate::support::process::{Process, descendants};
use crate::support::setup::{Odd, Running, Setup};

/// A configuration with these callers and servers.
fn yaml(keys: &str, servers: &str) -> String {
    format!(
        "http: {{ listen: \"127.0.0.1:0\" }}\npolicy: {{ default: allow }}\n\
         auth: {{ api_keys: [{keys}] }}\nservers: {servers}\n"
    )
}

fn odd(name: &str) -> String {
    format!("{{ {name}: {{ command: {ODD_BIN:?}, args: [\"--modern\"] }} }}")
}

const ANN: &str = "{ id: ann, key: ann-0123456789abcdef }";
const BOB: &str = "{ id: bob, key: bob-0123456789abcdef, tools: [echo] }";

/// Starts the gateway with a configuration of its own.
fn gateway(yaml: &str) -> Running {
    Setup::verbatim(yaml).over_http()
}

fn client_of(gateway: &Running, caller: &str, era: Era) -> Client {
    let key = format!("Bearer {caller}-0123456789abcdef");
    let endpoint = gateway
        .endpoint()
        .clone()
        .with_header("authorization", &key);
    let wire: Arc<dyn Wire> = Arc::new(endpoint);
    Client::open(&wire, era)
}

fn tools(client: &Client) -> Vec<String> {
    let tools = at(&client.ask("tools/list", "{}").result(), &["tools"]);
    let names = items(&tools)
        .into_iter()
        .map(|tool| string(&at(&tool, &["name"])));
    names.collect()
}

fn reloaded(gateway: &Running, times: usize) -> String {
    let lines = gateway.process.stderr.first(times, |line| {
        line.contains("\"reloaded: ") || line.contains("not reloaded")
    });
    let last = lines.last().unwrap().clone();
    assert!(last.contains("\"reloaded: "), "{last}");
    last
}

#[test]
fn callers_and_their_rights_change_without_a_restart() {
    let gateway = gateway(&yaml(&format!("{ANN}, {BOB}"), &odd("odd")));
    let listen = r#"{"notifications":{"toolsListChanged":true}}"#;
    let (ann, bob) = (
        client_of(&gateway, "ann", Era::Legacy),
        client_of(&gateway, "bob", Era::Modern),
    );
    assert_eq!(tools(&bob), ["echo"]);
    let mut heard = bob.begin("subscriptions/listen", listen);
    heard.next();

    let more = BOB.replace("[echo]", "[echo, count]");
    gateway.configure(&yaml(&format!("{ANN}, {more}"), &odd("odd")));
    let says = reloaded(&gateway, 1);
    assert!(says.contains("changed: auth\""), "{says}");
    let method = at(&heard.next().0, &["method"]);
    assert_eq!(method, r#""notifications/tools/list_changed""#);
    // Told of the other lists, too, if they want to hear of them: this one does not.
    assert_eq!(tools(&bob), ["count", "echo"]);

    gateway.configure(&yaml(ANN, &odd("odd")));
    reloaded(&gateway, 2);
    let end = at(&heard.answer().result(), &["resultType"]);
    assert_eq!(
        end, r#""complete""#,
        "whoever has lost the key hears no more"
    );
    let key = ("authorization", "Bearer bob-0123456789abcdef");
    let reply = gateway
        .endpoint()
        .send("POST", &[JSON[0], JSON[1], key], b"{}");
    assert_eq!(reply.status, 401);
    assert_eq!(ann.tool("echo", "{}").text(), "{}", "her session goes on");
}

#[test]
fn a_faulty_file_changes_nothing_and_says_why() {
    let good = yaml(ANN, &odd("odd"));
    let mut gateway = gateway(&good);
    let ann = client_of(&gateway, "ann", Era::Modern);
    gateway.configure(&good.replace("default: allow", "default: alow"));
    let complaint = |gateway: &Running, times| {
        let lines = gateway
            .process
            .stderr
            .first(times, |line| line.contains("not reloaded"));
        lines.last().unwrap().clone()
    };
    let says = complaint(&gateway, 1);
    for word in [
        "mcp-gw.yaml",
        "2:",
        "alow",
        "what was in force before stays",
    ] {
        assert!(says.contains(word), "no {word:?} in {says}");
    }
    assert_eq!(ann.tool("echo", "{}").text(), "{}");
    gateway.process.signal(Signal::HUP);
    complaint(&gateway, 2);
    // Whether anybody needs a key is not for a file that changes under a listener beyond loopback.
    gateway.configure(&good.replace(ANN, ""));
    let says = complaint(&gateway, 3);
    assert!(says.contains("whether callers need a key"), "{says}");
    gateway.configure(&good.replace("listen: \"127.0.0.1:0\"", "listen: \"127.0.0.1:1\""));
    let lines = gateway
        .process
        .stderr
        .first(1, |line| line.contains("\"reloaded: "));
    assert!(lines[0].contains("takes a restart: http"), "{lines:?}");
    assert_eq!(ann.tool("echo", "{}").text(), "{}");
    gateway.process.signal(Signal::TERM);
    assert_eq!(gateway.process.finish().0, Some(0));
}

#[test]
fn a_call_goes_on_with_a_server_that_goes() {
    for era in ERAS {
        let mut command = Command::new(ODD_BIN);
        let upstream = Process::start(command.args(["--modern", "--http"]));
        let url = upstream.stdout.with("http://");
        let server = |name: &str| format!("{{ {name}: {{ url: {url:?} }} }}");
        let gateway = gateway(&yaml(ANN, &server("before")));
        let ann = client_of(&gateway, "ann", era);
        let mut slow = ann.begin_tool("slow", "{}");
        upstream.stderr.with("called: slow");
        gateway.configure(&yaml(ANN, &server("after")));
        let says = reloaded(&gateway, 1);
        assert!(
            says.contains("servers.after (new), servers.before (gone)"),
            "{says}"
        );
        gateway.wait_until_up("after");
        ann.tool("release", "{}").text();
        slow.answer().text();
        let audit = gateway.process.stderr.first(1, |line| {
            line.contains("\"name\":\"slow\"") && line.contains("\"outcome\":\"ok\"")
        });
        assert!(audit[0].contains("\"server\":\"before\""), "{audit:?}");
    }
}

#[test]
fn over_stdio_a_signal_reads_the_file_again() {
    let one = format!("policy: {{ default: allow }}\nservers: {}\n", odd("odd"));
    let mut gateway = Setup::verbatim(&one).over_stdio();
    let client = gateway.client(Era::Legacy);
    assert_eq!(client.tool("echo", "{}").text(), "{}");
    gateway.configure(&one.replace("odd: {", "odd: { tools: { echo: { rename: say } },"));
    gateway.process.signal(Signal::HUP);
    reloaded(&gateway, 1);
    gateway
        .process
        .stderr
        .first(2, |line| line.contains("a server is up"));
    assert_eq!(client.tool("say", "{}").text(), "{}");
    gateway.process.signal(Signal::TERM);
    assert_eq!(gateway.process.finish().0, Some(0));
}

/// Lines of the children of a gateway with this in them.
fn said(gateway: &Running, says: &str) -> usize {
    let lines = gateway.process.stderr.so_far();
    lines.iter().filter(|line| line.contains(says)).count()
}

#[test]
fn children_stay_when_only_the_time_of_a_call_changes() {
    for behind in [Era::Legacy, Era::Modern] {
        let server = format!(
            "{{ odd: {{ command: {ODD_BIN:?}, args: [{:?}] }} }}",
            Odd::stdio(behind).flag()
        );
        let file = |limit: &str| yaml(ANN, &server) + &format!("call_timeout: {limit}\n");
        let gateway = gateway(&file("50s"));
        let ann = client_of(&gateway, "ann", Era::Modern);
        ann.tool("echo", "{}").text();
        let children = descendants(gateway.process.pid());
        assert_eq!(children.len(), 1);
        let mut slow = ann.begin_tool("slow", r#"{"steps":1,"key":"k"}"#);
        gateway.wait_for_upstream("called: slow", 1);
        for (times, limit) in ["40s", "700ms"].into_iter().enumerate() {
            gateway.configure(&file(limit));
            let says = reloaded(&gateway, times + 1);
            assert!(says.contains("changed: call_timeout\""), "{says}");
            assert_eq!(ann.tool("echo", "{}").text(), "{}");
        }
        // Calls have less time now; the one under way has what it began with.
        assert_eq!(ann.tool("never", "{}").fault().0, -31003);
        ann.tool("release", r#"{"key":"k"}"#).text();
        assert!(slow.answer().text().contains("\"steps\":1"));
        assert_eq!(descendants(gateway.process.pid()), children);
        assert_eq!(said(&gateway, "the odd server starts"), 1);
        let greeted = usize::from(behind == Era::Legacy);
        assert_eq!(said(&gateway, "greeted"), greeted);
    }
}

/// Without a file there is nothing to read again, and a terminal that closes ends the gateway.
#[test]
fn without_a_file_a_hangup_ends_it() {
    let mut command = Command::new(crate::support::HTTP_BIN);
    let args = ["run", "--listen", "127.0.0.1:0", "--", ODD_BIN];
    let mut gateway = Process::start(command.args(args));
    gateway.stderr.with("listening on ");
    gateway.signal(Signal::HUP);
    assert_eq!(gateway.finish().0, Some(0));
}

/// Says that it is over when it goes.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const CLIENTS: usize = 4;
const RELOADS: usize = 24;

#[test]
fn no_call_is_lost_while_everything_is_replaced_again_and_again() {
    let file = |number: usize| {
        // Each time the server is described differently, so that it is replaced; every other time
        // another one is beside it, or the limit is another one.
        let other = match number % 2 {
            0 => String::new(),
            _ => format!(", other: {{ command: {ODD_BIN:?} }}"),
        };
        let odd =
            format!("odd: {{ command: {ODD_BIN:?}, env: {{ N: \"{number}\" }}, prefix: never }}");
        let servers = format!("{{ {odd}{other} }}");
        yaml(ANN, &servers) + &format!("limits: {{ calls_per_minute: {} }}\n", 900_000 + number)
    };
    let gateway = gateway(&file(0));
    let endpoint: Endpoint = gateway.endpoint().clone();
    let is_over = AtomicBool::new(false);
    let done = std::thread::scope(|scope| {
        let load = |era: Era| {
            let key = ("authorization", "Bearer ann-0123456789abcdef");
            let wire: Arc<dyn Wire> = Arc::new(endpoint.clone().with_header(key.0, key.1));
            let client = Client::open(&wire, era);
            let mut done = 0_usize;
            while !is_over.load(Ordering::Relaxed) {
                let arguments = format!(r#"{{"n":{done}}}"#);
                assert_eq!(client.tool("echo", &arguments).text(), arguments);
                done += 1;
            }
            done
        };
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| scope.spawn(move || load(ERAS[number % 2])))
            .collect();
        // Also when something fails: the clients must end.
        let over = Over(&is_over);
        for number in 1..=RELOADS {
            gateway.configure(&file(number));
            gateway.process.signal(Signal::HUP);
            reloaded(&gateway, number);
        }
        drop(over);
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum::<usize>()
    });
    assert!(done > RELOADS, "{done} calls");
}
