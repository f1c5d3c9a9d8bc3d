//! What a reload leaves as it is, of the file of API Gateway MCP too.

use super::*;

/// A place that takes connections, and says nothing.
fn closing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().for_each(drop));
    address
}

#[test]
fn apis_of_the_file_of_api_gateway_mcp_outlive_a_change_of_limits() {
    let (pets, dead) = (Echo::start(), closing());
    let yaml = |limit: u32, more: &str| {
        format!(
            "server: {{ port: 0 }}\napi_gateway:\n  allowed_apis:\n    - {}\n    \
             - {{ url: \"{dead}\", allow_http: true, allow_ip: true, allow_private: true, \
             retries: {{ attempts: 1 }}, circuit_breaker: {{ failures: 2, open_for: 10m }}{more} }}\n\
             rate_limits: {{ default: {limit} }}\n",
            pets.section(", cache: {}"),
        )
    };
    let gateway = Setup::verbatim(&yaml(1000, "")).over_http();
    let client = gateway.client(Era::Modern);
    let kept = || asked(&client, "api_gateway", &get(&pets.base(), "/kept"));
    let fails = || {
        let result = client.tool("api_gateway", &get(&dead, "/x")).result();
        string(&at(&result, &["structuredContent", "message"]))
    };
    for _ in 0..2 {
        kept();
        assert!(!fails().contains("left alone"));
    }
    assert!(fails().contains("left alone"));
    assert_eq!(pets.seen().len(), 1, "the cache has it");

    gateway.configure(&yaml(1001, ""));
    gateway.process.stderr.with("changed: limits");
    assert!(fails().contains("left alone"), "the breaker is open");
    kept();
    assert_eq!(pets.seen().len(), 1, "the cache has it");

    // What is about the APIs themselves begins them anew.
    gateway.configure(&yaml(1001, ", timeout: 9s"));
    gateway
        .process
        .stderr
        .with("changed: limits, rest (api_gateway)");
    assert!(!fails().contains("left alone"));
    kept();
    assert_eq!(pets.seen().len(), 2);
}
