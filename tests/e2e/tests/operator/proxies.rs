//! Behind a proxy, audit and limits know the client and not the proxy.

use std::sync::Arc;

use crate::support::client::{Client, Era, Wire};
use crate::support::setup::{ODDS, Setup};

const HTTP: &str = "http: { listen: \"127.0.0.1:0\"";

fn audited(http: &str, header: (&str, &str)) -> String {
    let gateway = Setup::of(ODDS[0]).with(http).over_http();
    let endpoint = gateway.endpoint().clone().with_header(header.0, header.1);
    let wire: Arc<dyn Wire> = Arc::new(endpoint);
    Client::open(&wire, Era::Modern).tool("echo", "{}").text();
    gateway.audit(1).remove(0)
}

#[test]
fn the_client_is_whom_a_trusted_proxy_names() {
    let trusting = format!("{HTTP}, trusted_proxies: [127.0.0.0/8] }}");
    let forwarded = trusting.replace(" }", ", forwarded_header: forwarded }");
    let nobody = format!("{HTTP} }}");
    let spoofed = ("x-forwarded-for", "6.6.6.6, 192.0.2.7");
    for (http, header, address) in [
        (&trusting, spoofed, "192.0.2.7"),
        (
            &forwarded,
            ("forwarded", "for=\"[2001:db8::7]:4711\""),
            "2001:db8::7",
        ),
        (&forwarded, spoofed, "127.0.0.1"),
        (&nobody, spoofed, "127.0.0.1"),
    ] {
        let line = audited(http, header);
        let expected = format!("\"client_addr\":\"{address}\"");
        assert!(line.contains(&expected), "{http} {header:?}: {line}");
    }
}
