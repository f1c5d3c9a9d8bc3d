//! Lists that change for some callers and not for others: who is told.

use super::*;
use crate::support::client::Call;

/// How a client hears of changes.
enum Heard {
    /// The stream of its session.
    Stream(Reply),
    /// A request that stays open.
    Listen(Call),
}

impl Heard {
    /// The method of the next notification.
    fn next(&mut self) -> String {
        let message = match self {
            Self::Stream(reply) => reply.next().expect("a message"),
            Self::Listen(call) => call.next().0,
        };
        string(&at(&message, &["method"]))
    }
}

/// A caller who hears of changes of the tools, and of the resource that `touch` touches.
struct Hearer {
    client: Client,
    heard: Heard,
}

const WATCHED: &str = "test://watched";
const CHANGED: &str = "notifications/tools/list_changed";
const UPDATED: &str = "notifications/resources/updated";

fn hearer(gateway: &Running, caller: &str, era: Era) -> Hearer {
    let client = client_of(gateway, caller, era);
    let heard = if era == Era::Modern {
        let filter = format!(
            r#"{{"notifications":{{"toolsListChanged":true,"resourceSubscriptions":["{WATCHED}"]}}}}"#
        );
        let mut heard = Heard::Listen(client.begin("subscriptions/listen", &filter));
        assert_eq!(
            heard.next(),
            "notifications/subscriptions/acknowledged",
            "{caller}"
        );
        heard
    } else {
        let uri = format!(r#"{{"uri":"{WATCHED}"}}"#);
        client.ask("resources/subscribe", &uri).result();
        let session = client.session.clone().unwrap();
        let endpoint = endpoint_of(gateway, caller);
        let own = endpoint.headers.iter();
        let mut headers: Vec<_> = own.map(|(name, value)| (&**name, &**value)).collect();
        headers.push(("accept", "text/event-stream"));
        headers.push(("mcp-session-id", &session));
        Heard::Stream(endpoint.send("GET", &headers, b""))
    };
    Hearer { client, heard }
}

/// Bob and Ann see these tools.
fn yaml(ann: &str, bob: &str) -> String {
    let rule = |caller: &str, tools: &str| {
        format!("{{ id: {caller}, effect: allow, tools: [{tools}], who: {{ ids: [{caller}] }} }}")
    };
    format!(
        "http: {{ listen: \"127.0.0.1:0\" }}\n{KEYS}\n\
         policy: {{ rules: [{}, {}, {{ id: read, effect: allow, resources: [\"test://**\"] }}] }}\n\
         servers: {{ full: {{ command: {FULL_BIN:?}, args: [\"2025-11-25\"] }} }}\n",
        rule("ann", ann),
        rule("bob", bob)
    )
}

#[test]
fn a_change_is_told_to_whose_list_it_changes() {
    for era in ERAS {
        let gateway = Setup::verbatim(&yaml("echo, touch, \"grow*\"", "echo")).over_http();
        let [mut ann, mut bob] = ["ann", "bob"].map(|caller| hearer(&gateway, caller, era));
        assert_eq!(tools(&ann.client), ["echo", "grow", "touch"]);
        // The server lists a tool more, which Ann sees and Bob does not.
        ann.client.tool("grow", "{}").result();
        assert_eq!(ann.heard.next(), CHANGED, "{era:?}");
        assert_eq!(tools(&ann.client), ["echo", "grow", "touch", "grown"]);
        assert_eq!(tools(&bob.client), ["echo"]);
        ann.client.tool("touch", "{}").result();
        assert_eq!(ann.heard.next(), UPDATED, "{era:?}");
        assert_eq!(bob.heard.next(), UPDATED, "{era:?}: nothing came before");

        // Other rules, by which Bob sees a tool more, and Ann what she saw.
        gateway.configure(&yaml("echo, touch, grow, grown", "echo, wait"));
        assert_eq!(bob.heard.next(), CHANGED, "{era:?}");
        assert_eq!(tools(&bob.client), ["echo", "wait"]);
        ann.client.tool("touch", "{}").result();
        assert_eq!(bob.heard.next(), UPDATED, "{era:?}");
        assert_eq!(ann.heard.next(), UPDATED, "{era:?}: nothing came before");

        // And by which he sees one less.
        gateway.configure(&yaml("echo, touch, grow, grown", "wait"));
        assert_eq!(bob.heard.next(), CHANGED, "{era:?}");
        assert_eq!(tools(&bob.client), ["wait"]);
    }
}
