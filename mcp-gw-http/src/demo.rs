//! `mcp-gw-http demo`: everything a gateway does, with nothing around it.

mod api;
mod audit;
mod once;
mod tools;

use std::net::SocketAddr;

use mcp_gw_core::ToolRegistry;
use mcp_gw_server::cli::Stop;
use mcp_gw_server::config::{ApiKeyConfig, Config, HttpConfig, LimitsConfig, PolicyConfig};
use mcp_gw_server::{Launch, Running};
use tokio::net::TcpListener;

use crate::cli::say;
use crate::host::{listen, serve_until, shut_down};

/// May use every tool.
const ALICE_KEY: &str = "demo-key-of-alice";
/// May only look.
const BOB_KEY: &str = "demo-key-of-bob-1";
const POLICY: &str = r#"
rules:
  - { id: everybody-looks, effect: allow, tools: ["get_*", "list_*", count_words, roll_dice, wait] }
  - { id: alice-writes, effect: allow, tools: [add_note, delete_notes], who: { ids: [alice] } }
  - { id: alice-asks-apis, effect: allow, servers: [weather], who: { ids: [alice] } }
  - { id: only-alice-deletes, effect: require, tools: ["delete_*"], who: { ids: [alice] } }
"#;
const CALLS_PER_MINUTE: u64 = 10;

/// Runs the demo until told to stop, or once through.
pub(crate) async fn run(
    once: bool,
    address: SocketAddr,
    stop: impl FnOnce() -> std::io::Result<Stop>,
) -> anyhow::Result<()> {
    anyhow::ensure!(
        address.ip().is_loopback(),
        "the demo listens on loopback only, as its keys are known to everybody"
    );
    let stop = stop()?;
    let address = if once {
        SocketAddr::from(([127, 0, 0, 1], 0))
    } else {
        address
    };
    let http = HttpConfig::default().with_listen(address.to_string());
    let listener = listen(&http).await?;
    let weather = api::Weather::start().await?;
    let mut config = config(http)?;
    config.apis.insert("weather".to_owned(), weather.config());
    let running = start(&config)?;
    let result = if once {
        play(listener, &running, &config, &stop).await
    } else {
        say(&banner(listener.local_addr()?));
        serve_until(listener, &running, None, &config, &stop).await
    };
    shut_down(running, &stop).await;
    result
}

fn config(http: HttpConfig) -> anyhow::Result<Config> {
    let mut config = Config::default()
        .with_http(http)
        .with_policy(PolicyConfig::from_yaml(POLICY)?)
        .with_api_key(ApiKeyConfig::new("alice", ALICE_KEY.to_owned()))
        .with_api_key(ApiKeyConfig::new("bob", BOB_KEY.to_owned()));
    "mcp-gw demo".clone_into(&mut config.name);
    config.limits = LimitsConfig::per_minute(CALLS_PER_MINUTE);
    Ok(config)
}

/// The demo's gateway: the same parts as any other, put together from the same configuration.
fn start(config: &Config) -> anyhow::Result<Running> {
    let notes = tools::Notes::default();
    let registry = ToolRegistry::builder("demo")
        .typed(tools::GetTime)
        .typed(tools::RollDice::default())
        .typed(tools::CountWords)
        .typed(tools::Wait)
        .typed(tools::ListNotes(notes.clone()))
        .typed(tools::AddNote(notes.clone()))
        .typed(tools::DeleteNotes(notes))
        .build()?;
    Ok(Launch::new()
        .with_backend(registry)
        .with_audit(audit::Lines)
        .start(config)?)
}

/// Serves while a scripted client calls.
async fn play(
    listener: TcpListener,
    running: &Running,
    config: &Config,
    stop: &Stop,
) -> anyhow::Result<()> {
    let url = format!("http://{}{}", listener.local_addr()?, config.http.path);
    tokio::select! {
        // First, so that it says where it listens before anybody calls.
        biased;
        result = serve_until(listener, running, None, config, stop) => {
            result?;
            anyhow::bail!("stopped before the end")
        }
        result = once::play(&url) => result,
    }
}

fn banner(address: SocketAddr) -> String {
    let url = format!("http://{address}/mcp");
    format!(
        r#"
mcp-gw demo: seven tools and a REST API behind one gateway, nothing else needed.

  alice  may use every tool       key {ALICE_KEY}
  bob    may only look            key {BOB_KEY}
  limit  {CALLS_PER_MINUTE} calls per minute and caller

Let your assistant in, as alice (take bob's key to see fewer tools):

  Claude Code:
    claude mcp add --transport http mcp-gw-demo {url} --header "Authorization: Bearer {ALICE_KEY}"

  Cursor, .cursor/mcp.json:
    {{"mcpServers":{{"mcp-gw-demo":{{"url":"{url}","headers":{{"Authorization":"Bearer {ALICE_KEY}"}}}}}}}}

  VS Code, .vscode/mcp.json:
    {{"servers":{{"mcp-gw-demo":{{"type":"http","url":"{url}","headers":{{"Authorization":"Bearer {ALICE_KEY}"}}}}}}}}

Or call it yourself:

  1. what bob may see
    {list}

  2. alice rolls two dice
    {call}

  3. bob tries to delete the notes, and learns nothing
    {denied}

Each call shows up below as the audit log has it. Ctrl-C ends the demo.
"#,
        list = once::curl(&url, BOB_KEY, &once::list()),
        call = once::curl(&url, ALICE_KEY, &once::call("roll_dice", r#"{"count":2}"#)),
        denied = once::curl(&url, BOB_KEY, &once::call("delete_notes", "{}")),
    )
}
