//! Texts that people and programs rely on.

use std::process::Command;
use std::sync::Arc;

use insta::{Settings, assert_snapshot};
use serde_json::Value;

use crate::support::client::{Client, ERAS, Era, Wire};
use crate::support::http::Endpoint;
use crate::support::process::Process;
use crate::support::setup::{Odd, Setup};
use crate::support::{HTTP_BIN, STDIO_BIN};

/// Snapshots under the names that are given, and nothing else.
fn settings() -> Settings {
    let mut settings = Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

/// JSON to be read by people, members in alphabetical order, without what changes.
fn pretty(text: &str) -> String {
    let mut value: Value = serde_json::from_str(text).unwrap();
    redact(&mut value);
    serde_json::to_string_pretty(&value).unwrap()
}

fn redact(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match name.as_str() {
                    "version" | "timestamp" | "time" | "request_id" | "duration_us"
                    | "policy_us" => {
                        assert!(!value.is_null(), "{name}");
                        *value = format!("[{name}]").into();
                    }
                    _ => redact(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

/// The first answer of an era: `initialize` or `server/discover`.
fn hello(wire: &Arc<dyn Wire>, era: Era) -> String {
    let client = Client {
        session: None,
        wire: Arc::clone(wire),
        era,
    };
    let answer = match era {
        Era::Legacy => client.ask(
            "initialize",
            r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}"#,
        ),
        Era::Modern => client.ask("server/discover", "{}"),
    };
    pretty(&answer.result())
}

#[test]
fn how_the_gateway_introduces_itself() {
    for (era, name) in ERAS.into_iter().zip(["initialize", "discover"]) {
        let setup = || Setup::of(Odd::stdio(Era::Modern));
        let http = hello(&setup().over_http().wire, era);
        let stdio = hello(&setup().over_stdio().wire, era);
        assert_eq!(http, stdio);
        settings().bind(|| assert_snapshot!(name, http));
    }
}

#[test]
fn the_tools_of_the_demo() {
    let mut command = Command::new(HTTP_BIN);
    let demo = Process::start(command.args(["demo", "--listen", "127.0.0.1:0"]));
    let line = demo.stderr.with("listening on ");
    let endpoint = Endpoint::at(line.rsplit(' ').next().unwrap())
        .with_header("authorization", "Bearer demo-key-of-alice");
    let wire: Arc<dyn Wire> = Arc::new(endpoint);
    let list = Client::open(&wire, Era::Modern)
        .ask("tools/list", "{}")
        .result();
    // The API of the demo is at any port.
    let (before, api) = list.split_once("http://127.0.0.1:").unwrap();
    let after = api.trim_start_matches(|c: char| c.is_ascii_digit());
    let list = format!("{before}http://127.0.0.1:0{after}");
    settings().bind(|| assert_snapshot!("demo_tools", pretty(&list)));
}

/// Standard output of a run that ends well; not a matter of the width of anybody's terminal.
fn output(binary: &str, args: &[&str], env: &[(&str, &str)]) -> String {
    let mut command = Command::new(binary);
    command
        .args(args)
        .env("COLUMNS", "100")
        .envs(env.iter().copied());
    let (code, stdout, stderr) = Process::start(&mut command).finish();
    assert_eq!(code, Some(0), "{stderr}");
    stdout
        .replace("e2e-http", "mcp-gw-http")
        .replace("e2e-stdio", "mcp-gw-stdio")
}

#[test]
fn the_help_of_both_servers() {
    for (binary, name) in [(HTTP_BIN, "http"), (STDIO_BIN, "stdio")] {
        for (args, suffix) in [
            (&["--help"][..], "help"),
            (&["run", "--help"], "run_help"),
            (&["check", "--help"], "check_help"),
            (&["api7", "--help"], "api7_help"),
            (&["apisix", "--help"], "apisix_help"),
            (&["pins", "--help"], "pins_help"),
            (&["pins", "approve", "--help"], "pins_approve_help"),
            (&["policy", "--help"], "policy_help"),
            (&["policy", "check", "--help"], "policy_check_help"),
            (&["policy", "explain", "--help"], "policy_explain_help"),
            (&["policy", "test", "--help"], "policy_test_help"),
            (&["policy", "import", "--help"], "policy_import_help"),
        ] {
            let name = format!("{name}_{suffix}");
            settings().bind(|| assert_snapshot!(name, output(binary, args, &[])));
        }
    }
    settings()
        .bind(|| assert_snapshot!("http_demo_help", output(HTTP_BIN, &["demo", "--help"], &[])));
}

#[test]
fn the_example_configuration_explained() {
    let example = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/mcp-gw.example.yaml"
    );
    let env = [
        ("ALICE_KEY", "alice-0123456789abcdef"),
        ("BUILD_KEY", "build-0123456789abcdef"),
        ("DOCS_TOKEN", "token-0123456789abcdef"),
        ("API7_TOKEN", "a7ee-0123456789abcdef"),
        ("APISIX_ADMIN_KEY", "apisix-0123456789abcdef"),
        ("KONNECT_ACCESS_TOKEN", "kpat_konnect-0123456789abcdef"),
        ("KONG_ADMIN_TOKEN", "kong-0123456789abcdef"),
        ("WEATHER_API_KEY", "weather-0123456789abcdef"),
        ("GITHUB_TOKEN", "github-0123456789abcdef"),
        ("BUILD_GITHUB_TOKEN", "github-build-0123456789"),
        ("ORDERS_SECRET", "orders-0123456789abcdef"),
        ("METRICS_TOKEN", "metrics-0123456789abcdef"),
        (
            "SESSION_KEY",
            "c2Vzc2lvbi0wMTIzNDU2Nzg5YWJjZGVmLW9mMzJieXQ=",
        ),
    ];
    let http = output(HTTP_BIN, &["check", "--config", example], &env);
    // Over standard streams it is the same but for who may call.
    let stdio = output(STDIO_BIN, &["check", "--config", example], &env);
    let begins = "my-gateway serves the program that starts it, over standard streams\n\nwho may call\n  local (";
    assert!(stdio.starts_with(begins), "{stdio}");
    let rest = |text: &str| text.split_once("\nwhat is behind it").unwrap().1.to_owned();
    assert_eq!(rest(&stdio), rest(&http));
    assert!(!http.contains("0123456789"), "a secret is in it");
    let folder = example.replace("mcp-gw.example.yaml", "");
    let shown = http.replace(&folder, "[docs]/");
    settings().bind(|| assert_snapshot!("check_example", shown));
}

#[test]
fn a_line_of_the_audit_log() {
    let gateway = Setup::of(Odd::stdio(Era::Modern)).over_http();
    gateway
        .client(Era::Modern)
        .tool("echo", r#"{"a":1}"#)
        .result();
    gateway.client(Era::Modern).tool("rpc_error", "{}").error();
    let lines: Vec<String> = gateway.audit(2).iter().map(|line| pretty(line)).collect();
    settings().bind(|| assert_snapshot!("audit", lines.join("\n")));
}
