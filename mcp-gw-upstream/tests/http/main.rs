//! MCP servers over HTTP, against a server in this process.
#![cfg(test)]

mod anything;
mod asking;
#[path = "../support/client.rs"]
mod client;
mod eras;
#[path = "../support/fake.rs"]
mod fake;
mod lanes;
mod news;
#[path = "../support/odd_json.rs"]
mod odd_json;
mod old;
mod old_stream;
mod payload;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod trouble;
mod vet;

use axum::response::Response;
use fake::{Fake, Seen};
use mcp_gw_core::{Backend as _, BackendError};
use mcp_gw_upstream::{HttpServer, HttpServerConfig};
use support::{ODD, call, context};

fn server(fake: &Fake) -> HttpServer {
    HttpServer::new(&HttpServerConfig::new("up", fake.url())).unwrap()
}

async fn ask(backend: &HttpServer) -> Result<String, BackendError> {
    let (ctx, _) = context();
    let output = backend.call_tool(&ctx, call("echo", "{}")).await?;
    Ok(output.as_raw().to_string())
}

const TOOL: &str = r#"{"name":"echo","inputSchema":{"type":"object"},"x-vendor":1.0}"#;

fn echoed() -> String {
    format!(
        r#"{{"content":[{{"type":"x/new","v":{ODD}}}],"structuredContent":{ODD},"_meta":{{"n":1.0}}}}"#
    )
}

fn answer(seen: &Seen) -> Response {
    match seen.method() {
        "tools/list" => seen.result(&format!(r#"{{"tools":[{TOOL},{{"name":"no_schema"}}]}}"#)),
        "tools/call" if seen.body["params"]["name"] == "echo" => seen.result(&echoed()),
        "tools/call" => seen.error(200, -32602, "Unknown tool"),
        "resources/read" => seen.error(200, -32602, "no such resource"),
        _ => seen.error(404, -32601, "Method not found"),
    }
}
