//! What runs API Gateway MCP now: its file and its variables start this gateway.

use std::process::Command;

use crate::support::HTTP_BIN;
use crate::support::http::{Endpoint, JSON};
use crate::support::json::{at, string};
use crate::support::process::Process;
use crate::support::setup::{Folder, Setup};

/// The file of its authors.
const FILE: &str =
    include_str!("../../../../mcp-gw-server/src/config/seed/api-gateway-mcp-config.yaml");

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn with_secrets(command: &mut Command) -> &mut Command {
    for name in ["JWT_SECRET", "WEATHER_API_KEY", "GITHUB_API_KEY"] {
        command.env(name, format!("{SECRET}-{name}"));
    }
    command
}

/// Asks who the gateway is.
fn initialize(endpoint: &Endpoint) -> (u16, String) {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
    let mut reply = endpoint.send("POST", &JSON, body.as_bytes());
    (reply.status, reply.next().unwrap_or_default())
}

#[test]
fn its_file_is_checked_and_explained() {
    let folder = Folder::new();
    let file = folder.file("api-gateway-mcp-config.yaml", FILE);
    let mut command = Command::new(HTTP_BIN);
    let command = with_secrets(command.args(["check", "--config", &file]));
    let (code, says, warns) = Process::start(command).finish();
    assert_eq!(code, Some(0), "{warns}");
    assert!(
        says.contains("api-github-com: the API at https://api.github.com"),
        "{says}"
    );
    assert!(
        warns.contains("security.audit_logging.storage: not active yet"),
        "{warns}"
    );
    assert!(!says.contains(SECRET) && !warns.contains(SECRET));
    let (code, _, says) = super::run(HTTP_BIN, &["check", "--config", &file]);
    assert_eq!(code, Some(1));
    assert!(
        says.contains(":29:17: authentication.token_validation.jwt_secret: "),
        "{says}"
    );
}

#[test]
fn its_policy_is_looked_over_without_its_secrets() {
    let folder = Folder::new();
    let file = folder.file("api-gateway-mcp-config.yaml", FILE);
    let (code, says, _) = super::run(HTTP_BIN, &["policy", "check", &file]);
    assert_eq!(code, Some(0), "{says}");
    assert!(says.contains("is good"), "{says}");
    assert!(!says.contains("not active"), "{says}");
}

#[test]
fn its_file_starts_a_gateway_that_says_who_it_is() {
    let file = "server: { name: weather-desk, version: 7.1.0, port: 0 }\n\
                api_gateway: { allowed_apis: [\"https://api.openweathermap.org\"] }\n\
                audit_logging: { storage: database }\n";
    let gateway = Setup::verbatim(file).over_http();
    let (status, answer) = initialize(gateway.endpoint());
    assert_eq!(status, 200);
    let of_server = |key| string(&at(&answer, &["result", "serverInfo", key]));
    assert_eq!(
        (&*of_server("name"), &*of_server("version")),
        ("weather-desk", "7.1.0")
    );
    gateway
        .process
        .stderr
        .with("audit_logging.storage: not active yet");
    // A change of the file is seen, one that is faulty changes nothing.
    gateway.configure(&file.replace("7.1.0", "7.2.0"));
    gateway.process.stderr.with("takes a restart: version");
    gateway.configure("api_gateway: { allowed_apis: [api] }\n");
    gateway.process.stderr.with("not reloaded");
}

#[test]
fn its_variables_start_a_gateway_without_a_file() {
    let mut command = Command::new(HTTP_BIN);
    command
        .args(["--listen", "127.0.0.1:0"])
        .env(
            "ALLOWED_APIS",
            "https://api.github.com, https://api.stripe.com",
        )
        .env("RATE_LIMIT", "5")
        .env("AUTH_REQUIRED", "false");
    let gateway = Process::start(&mut command);
    let line = gateway.stderr.with("listening on ");
    let (status, answer) = initialize(&Endpoint::at(line.rsplit(' ').next().unwrap()));
    assert_eq!(status, 200);
    assert!(answer.contains("\"api-gateway-mcp\""), "{answer}");
}

#[test]
fn variables_that_mean_nothing_stop_the_start() {
    for (name, value) in [
        ("RATE_LIMIT", "ten"),
        ("AUTH_REQUIRED", "TRUE"),
        ("ALLOWED_APIS", "api"),
    ] {
        let mut command = Command::new(HTTP_BIN);
        command
            .args(["--listen", "127.0.0.1:0"])
            .env("ALLOWED_APIS", "https://api.github.com")
            .env(name, value);
        let (code, _, says) = Process::start(&mut command).finish();
        assert_eq!(code, Some(1), "{says}");
        assert!(says.contains(&format!("environment: {name}: ")), "{says}");
    }
}

#[test]
fn nobody_comes_in_where_authentication_is_required() {
    let folder = Folder::new();
    let text = FILE
        .replace("port: 3000", "port: 0")
        .replace("prometheus: true", "prometheus: false")
        .replace("    - 10.0.0.0/8\n", "    - 127.0.0.0/8\n");
    let file = folder.file("api-gateway-mcp-config.yaml", &text);
    let mut command = Command::new(HTTP_BIN);
    let gateway = Process::start(with_secrets(command.args(["--config", &file])));
    let line = gateway.stderr.with("listening on ");
    let endpoint = Endpoint::at(line.rsplit(' ').next().unwrap());
    assert_eq!(initialize(&endpoint).0, 401, "without a token");
    let any = endpoint.with_header("authorization", "Bearer anything-at-all-0123456789");
    assert_eq!(initialize(&any).0, 401, "with any token");
}
