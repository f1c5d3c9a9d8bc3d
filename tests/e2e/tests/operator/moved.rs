//! What clients hear of when servers and endpoints are replaced while the gateway runs.

use std::sync::Arc;

use crate::support::client::{Call, Client, ERAS, Era, Wire};
use crate::support::http::{Endpoint, JSON, Reply};
use crate::support::json::{at, member};
use crate::support::setup::{Running, Setup};
use crate::support::{FULL_BIN, ODD_BIN};

const WATCHED: &str = "test://watched";
const UPDATED: &str = "notifications/resources/updated";
const CHANGED: &str = "notifications/resources/list_changed";

/// How a client hears of changes.
enum Heard {
    /// The stream of its session.
    Stream(Reply),
    /// A request that stays open.
    Listen(Call),
}

/// A client that hears of a resource.
struct Hearer {
    client: Client,
    heard: Heard,
}

impl Hearer {
    fn at(endpoint: &Endpoint, era: Era) -> Self {
        let wire: Arc<dyn Wire> = Arc::new(endpoint.clone());
        let client = Client::open(&wire, era);
        let heard = if era == Era::Modern {
            let filter =
                format!(r#"{{"notifications":{{"resourceSubscriptions":["{WATCHED}"]}}}}"#);
            let mut call = client.begin("subscriptions/listen", &filter);
            assert!(call.next().0.contains(WATCHED));
            Heard::Listen(call)
        } else {
            let uri = format!(r#"{{"uri":"{WATCHED}"}}"#);
            client.ask("resources/subscribe", &uri).result();
            let session = client.session.clone().unwrap();
            let headers = [
                ("accept", "text/event-stream"),
                ("mcp-session-id", &*session),
            ];
            Heard::Stream(endpoint.send("GET", &headers, b""))
        };
        Self { client, heard }
    }

    /// Reads on until a message with this method has come, or the end; true when it has.
    fn hears(&mut self, method: &str) -> bool {
        let method = format!("\"{method}\"");
        loop {
            let message = match &mut self.heard {
                Heard::Stream(reply) => match reply.next() {
                    Some(message) => message,
                    None => return false,
                },
                Heard::Listen(call) => call.next().0,
            };
            if member(&message, "result").is_some() {
                return false;
            }
            if at(&message, &["method"]) == method {
                return true;
            }
        }
    }

    /// Reads to the end, which must come by itself.
    fn ends(&mut self) -> String {
        loop {
            match &mut self.heard {
                Heard::Stream(reply) => {
                    if reply.next().is_none() {
                        return String::new();
                    }
                }
                Heard::Listen(call) => {
                    let message = call.next().0;
                    if let Some(result) = member(&message, "result") {
                        return at(&result, &["resultType"]);
                    }
                }
            }
        }
    }
}

fn yaml(revision: &str, servers: &str) -> String {
    format!(
        "http: {{ listen: \"127.0.0.1:0\" }}\npolicy: {{ default: allow }}\nservers:\n  \
         full: {{ command: {FULL_BIN:?}, args: [\"{revision}\"]{servers}\n"
    )
}

const REVISIONS: [&str; 2] = ["2025-11-25", "2026-07-28"];

fn reloaded(gateway: &Running, times: usize) {
    let lines = |line: &str| line.contains("\"reloaded: ");
    gateway.process.stderr.first(times, lines);
}

#[test]
fn what_is_subscribed_to_goes_on_at_the_server_that_comes() {
    for revision in REVISIONS {
        for era in ERAS {
            let gateway = Setup::verbatim(&yaml(revision, " }")).over_http();
            let mut hearer = Hearer::at(gateway.endpoint(), era);
            for round in 1..=2 {
                let env = format!(", env: {{ ROUND: \"{round}\" }} }}");
                gateway.configure(&yaml(revision, &env));
                reloaded(&gateway, round);
                // It has to read again what may be another thing by now.
                assert!(hearer.hears(UPDATED), "{revision} {era:?} {round}");
                hearer.client.tool("touch", "{}").result();
                assert!(hearer.hears(UPDATED), "{revision} {era:?} {round}");
            }
        }
    }
}

#[test]
fn what_goes_with_its_server_ends_visibly() {
    for era in ERAS {
        let gateway = Setup::verbatim(&yaml("2025-11-25", " }")).over_http();
        let mut hearer = Hearer::at(gateway.endpoint(), era);
        let other = format!(
            "http: {{ listen: \"127.0.0.1:0\" }}\npolicy: {{ default: allow }}\n\
             servers: {{ odd: {{ command: {ODD_BIN:?}, args: [--modern] }} }}\n"
        );
        gateway.configure(&other);
        reloaded(&gateway, 1);
        match era {
            Era::Modern => assert_eq!(hearer.ends(), "\"complete\""),
            Era::Legacy => assert!(hearer.hears(CHANGED)),
        }
    }
}

#[test]
fn streams_and_sessions_end_with_their_endpoint() {
    for era in ERAS {
        let with = yaml("2026-07-28", " }\nendpoints: { rd: { servers: [full] } }");
        let gateway = Setup::verbatim(&with).over_http();
        let endpoint = gateway.endpoint_at("rd");
        let mut there = Hearer::at(&endpoint, era);
        let mut here = Hearer::at(gateway.endpoint(), era);
        gateway.configure(&yaml("2026-07-28", " }"));
        reloaded(&gateway, 1);
        let end = there.ends();
        assert!(era == Era::Legacy || end == "\"complete\"", "{end}");
        if let Some(session) = &there.client.session {
            let headers = [JSON[0], JSON[1], ("mcp-session-id", session)];
            let ping = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
            assert_eq!(endpoint.send("POST", &headers, ping).status, 404);
        }
        here.client.tool("touch", "{}").result();
        assert!(here.hears(UPDATED), "{era:?}: those elsewhere go on");
    }
}
