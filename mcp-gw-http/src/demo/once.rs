//! A client that plays through the demo once, and checks what it is told.

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::demo::{ALICE_KEY, BOB_KEY, CALLS_PER_MINUTE};

/// One request of MCP 2026-07-28.
pub(super) struct Message {
    method: &'static str,
    /// What `Mcp-Name` repeats.
    name: Option<String>,
    /// The members of `params` besides `_meta`.
    params: String,
}

pub(super) fn list() -> Message {
    Message {
        method: "tools/list",
        name: None,
        params: String::new(),
    }
}

pub(super) fn call(name: &str, arguments: &str) -> Message {
    let params = format!(r#""name":"{name}","arguments":{arguments},"#);
    Message {
        method: "tools/call",
        name: Some(name.to_owned()),
        params,
    }
}

const VERSION: &str = "2026-07-28";

impl Message {
    fn body(&self, meta: &str) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"{}","params":{{{}"_meta":{{{meta}"io.modelcontextprotocol/protocolVersion":"{VERSION}","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#,
            self.method, self.params
        )
    }

    fn headers(&self, key: &str) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("Authorization", format!("Bearer {key}")),
            ("Content-Type", "application/json".to_owned()),
            ("Accept", "application/json, text/event-stream".to_owned()),
            ("MCP-Protocol-Version", VERSION.to_owned()),
            ("Mcp-Method", self.method.to_owned()),
        ];
        headers.extend(self.name.clone().map(|name| ("Mcp-Name", name)));
        headers
    }
}

/// The same message as a line for a shell.
pub(super) fn curl(url: &str, key: &str, message: &Message) -> String {
    let headers = message.headers(key);
    let headers = headers
        .iter()
        .map(|(name, value)| format!("-H '{name}: {value}'"));
    let headers = headers.collect::<Vec<_>>().join(" ");
    format!("curl -s {url} {headers} -d '{}'", message.body(""))
}

/// Plays through: lists, calls, progress, a denial, a wrong key, the limit.
pub(super) async fn play(url: &str) -> anyhow::Result<()> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let stage = Stage { client, url };

    let seen = stage
        .send("alice", "lists the tools", ALICE_KEY, &list(), "")
        .await?;
    tell(&format!(
        "{} tools: {}",
        seen.names().len(),
        seen.names().join(", ")
    ));
    ensure!(seen.names().len() == 8, "alice should see eight tools");
    let api = seen.api().context("there should be an API")?;

    let seen = stage
        .send("bob", "lists the tools", BOB_KEY, &list(), "")
        .await?;
    tell(&format!(
        "{} tools: {}",
        seen.names().len(),
        seen.names().join(", ")
    ));
    ensure!(
        !seen
            .names()
            .iter()
            .any(|name| name.contains("note") && *name != "list_notes")
    );

    let roll = call("roll_dice", r#"{"count":2}"#);
    let rolled = stage
        .send("alice", "rolls two dice", ALICE_KEY, &roll, "")
        .await?;
    let dice = rolled.at("/result/structuredContent");
    tell(&dice.to_string());
    let fallen = rolled
        .at("/result/structuredContent/dice")
        .as_array()
        .map(Vec::len);
    ensure!(fallen == Some(2), "two dice should fall");

    let bad = call("roll_dice", r#"{"count":"two"}"#);
    let bad = stage
        .send("alice", "rolls \"two\" dice", ALICE_KEY, &bad, "")
        .await?;
    tell(bad.text());
    ensure!(
        bad.at("/result/isError") == &json!(true),
        "the tool should refuse"
    );

    let wait = call("wait", r#"{"steps":3}"#);
    let token = r#""progressToken":"p1","#;
    let waited = stage
        .send("alice", "waits, and watches", ALICE_KEY, &wait, token)
        .await?;
    tell(&format!(
        "{} progress messages, then: {}",
        waited.progress,
        waited.text()
    ));
    ensure!(waited.progress == 3, "three progress messages should come");

    ask_an_api(&stage, &api).await?;

    let delete = call("delete_notes", "{}");
    let denied = stage
        .send("bob", "tries to delete the notes", BOB_KEY, &delete, "")
        .await?;
    tell(&denied.at("/error").to_string());
    ensure!(
        denied.at("/error/code") == &json!(-32602),
        "bob should be refused"
    );

    let nobody = stage
        .send("mallory", "guesses a key", "not-a-key", &list(), "")
        .await?;
    tell(&format!("HTTP {}: {}", nobody.status, nobody.body.trim()));
    ensure!(nobody.status == 401, "an unknown key should be refused");

    announce("bob", "counts words until the limit stops him");
    let count = call("count_words", r#"{"text":"one two three"}"#);
    for n in 1..=CALLS_PER_MINUTE {
        let limited = stage.post(BOB_KEY, &count, "").await?;
        if limited.status == 429 {
            // The one to `delete_notes` was refused, and costs as much as the others.
            tell(&format!("at his call {}, HTTP 429:", n + 1));
            tell(&limited.at("/error").to_string());
            announce("mcp-gw", "did what it should");
            return Ok(());
        }
    }
    anyhow::bail!("the limit should have stopped bob")
}

/// Asks the demo's API by the tool that reaches APIs, and tries to leave it.
async fn ask_an_api(stage: &Stage<'_>, api: &str) -> anyhow::Result<()> {
    let ask = |endpoint: &str| {
        let arguments = json!({"api": api, "endpoint": endpoint, "method": "GET"});
        call("api_gateway", &arguments.to_string())
    };
    let weather = ask("/weather/Oslo");
    let weather = stage
        .send(
            "alice",
            "asks a REST API for the weather",
            ALICE_KEY,
            &weather,
            "",
        )
        .await?;
    let data = weather.at("/result/structuredContent/data");
    tell(&data.to_string());
    ensure!(data["town"] == "Oslo", "the API should answer");

    let elsewhere = ask("/../admin");
    let refused = stage
        .send("alice", "tries to leave the API", ALICE_KEY, &elsewhere, "")
        .await?;
    tell(refused.text());
    ensure!(
        refused.at("/result/structuredContent/code") == "endpoint_invalid",
        "the request should be refused"
    );
    Ok(())
}

struct Stage<'a> {
    client: Client<HttpConnector, Full<Bytes>>,
    url: &'a str,
}

struct Answer {
    status: u16,
    body: String,
    /// The JSON-RPC answer, or null.
    json: Value,
    progress: usize,
}

impl Stage<'_> {
    async fn send(
        &self,
        who: &str,
        does: &str,
        key: &str,
        message: &Message,
        meta: &str,
    ) -> anyhow::Result<Answer> {
        announce(who, does);
        self.post(key, message, meta).await
    }

    async fn post(&self, key: &str, message: &Message, meta: &str) -> anyhow::Result<Answer> {
        let mut request = Request::post(self.url);
        for (name, value) in message.headers(key) {
            request = request.header(name, value);
        }
        let request = request.body(Full::from(message.body(meta)))?;
        let response = self
            .client
            .request(request)
            .await
            .context("the gateway does not answer")?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        let mut messages: Vec<Value> = body
            .lines()
            .map(|line| line.strip_prefix("data: ").unwrap_or(line))
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let json = messages.pop().unwrap_or_default();
        Ok(Answer {
            status,
            body,
            json,
            progress: messages.len(),
        })
    }
}

impl Answer {
    /// What a JSON pointer leads to, or null.
    fn at(&self, pointer: &str) -> &Value {
        self.json.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The first API of the tool that reaches APIs.
    fn api(&self) -> Option<String> {
        let tools = self.at("/result/tools").as_array()?;
        let tool = tools.iter().find(|tool| tool["name"] == "api_gateway")?;
        let api = tool.pointer("/inputSchema/properties/api/enum/0")?;
        api.as_str().map(str::to_owned)
    }

    fn text(&self) -> &str {
        self.at("/result/content/0/text")
            .as_str()
            .unwrap_or_default()
    }

    fn names(&self) -> Vec<&str> {
        let tools = self
            .at("/result/tools")
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        tools
            .iter()
            .filter_map(|tool| tool.get("name")?.as_str())
            .collect()
    }
}

#[expect(clippy::print_stdout, reason = "the transcript is what was asked for")]
fn announce(who: &str, does: &str) {
    println!("\n{who} {does}");
}

#[expect(clippy::print_stdout, reason = "the transcript is what was asked for")]
fn tell(what: &str) {
    println!("  {what}");
}
