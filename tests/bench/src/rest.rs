//! What the guard costs: one request to a REST API by the tool `api_gateway`, beside the same request by
//! `reqwest`, in one run.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Args;
use mcp_gw_core::testing::{RecordingLink, call_context};
use mcp_gw_core::{Arguments, Backend, Caller, RawJson, Secret, SystemClock, ToolCall};
use mcp_gw_upstream::egress::{ApiRules, Base, BaseRules, Client};
use mcp_gw_upstream::rest::{Api, ApiConfig, ApiGateway, ApiGatewayConfig, Credential, Keeper};
use rustix::time::{ClockId, clock_gettime};

use crate::wire::Failure;

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Requests of each way in each round, one after the other.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    requests: u32,
    /// Rounds: in each, both ways are measured in turn. A figure is the median of its rounds.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Bytes of the text in each answer.
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    payload: usize,
}

const TOKEN: &str = "token-of-the-bench";

/// Microseconds of one request: on the clock, and of this thread.
#[derive(Default)]
struct Way {
    elapsed: Vec<f64>,
    cpu: Vec<f64>,
}

impl Way {
    fn add(&mut self, elapsed: Duration, cpu: Duration, requests: u32) {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(requests);
        self.elapsed.push(each(elapsed));
        self.cpu.push(each(cpu));
    }

    fn medians(&mut self) -> (f64, f64) {
        (median(&mut self.elapsed), median(&mut self.cpu))
    }
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

fn cpu() -> Duration {
    clock(ClockId::ThreadCPUTime)
}

fn wall() -> Duration {
    clock(ClockId::Monotonic)
}

fn clock(id: ClockId) -> Duration {
    Duration::try_from(clock_gettime(id)).unwrap_or_default()
}

/// Prints one Markdown table.
pub(crate) async fn run(options: &Options) -> Result<String, Failure> {
    let url = serve(options.payload)?;
    let (api, tool) = guarded(&url)?;
    let arguments = serde_json::json!({"api": api, "endpoint": "/items?page=1", "method": "GET"});
    let arguments = RawJson::parse(arguments.to_string())?;
    let arguments = Arguments::from_raw(arguments).map_err(|_| "the arguments are an object")?;
    let ctx = call_context(Caller::local(), Arc::new(RecordingLink::new()));
    // A client wants to know how it would encrypt, also where it does not.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let direct = format!("{url}/v1/items?page=1");
    let (mut plain, mut ours) = (Way::default(), Way::default());
    // The first round is for connections and caches.
    for round in 0..=options.rounds {
        let (began, before) = (wall(), cpu());
        for _ in 0..options.requests {
            let response = client.get(&direct).bearer_auth(TOKEN).send().await?;
            let body = response.error_for_status()?.bytes().await?;
            if body.len() <= options.payload {
                return Err("the API answered something else".into());
            }
        }
        let taken = (wall().saturating_sub(began), cpu().saturating_sub(before));
        if round > 0 {
            plain.add(taken.0, taken.1, options.requests);
        }
        let (began, before) = (wall(), cpu());
        for _ in 0..options.requests {
            let call = ToolCall::new("api_gateway", arguments.clone());
            let output = tool.call_tool(&ctx, call).await?;
            if output.is_error() || output.as_raw().len() <= options.payload {
                return Err(format!("the tool answered {}", output.as_raw().as_str()).into());
            }
        }
        let taken = (wall().saturating_sub(began), cpu().saturating_sub(before));
        if round > 0 {
            ours.add(taken.0, taken.1, options.requests);
        }
    }
    let ((plain, plain_cpu), (ours, ours_cpu)) = (plain.medians(), ours.medians());
    let mut table = String::from("| | us a request | CPU us of the caller |\n|---|---|---|\n");
    writeln!(table, "| `reqwest` | {plain:.1} | {plain_cpu:.1} |")?;
    writeln!(table, "| `api_gateway` | {ours:.1} | {ours_cpu:.1} |")?;
    let (elapsed, cpu) = (ours / plain, ours_cpu / plain_cpu);
    writeln!(table, "| ratio | {elapsed:.2} | {cpu:.2} |")?;
    Ok(table)
}

/// The tool over the API at `url`, and what that is called.
fn guarded(url: &str) -> Result<(String, ApiGateway), Failure> {
    let rules = BaseRules::new().with_http(true).with_ip(true);
    let base = Base::parse(&format!("{url}/v1"), rules)?;
    let rules = ApiRules::new(base).with_allow_private(true);
    let client = Client::new();
    let clock = Arc::new(SystemClock::new());
    let credential = Credential::Bearer(Secret::new(TOKEN.to_owned()));
    let keeper = Keeper::new(Some(&credential), &client, Arc::clone(&clock) as _)?;
    let config = ApiConfig::new("bench", rules);
    let api = Api::new(config, client, keeper, HashMap::new(), clock);
    let base = api.base();
    Ok((
        base,
        ApiGateway::new(ApiGatewayConfig::default(), [api], None)?,
    ))
}

/// An API that always answers the same, on threads of its own; says where it is.
fn serve(payload: usize) -> Result<String, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let body = format!(r#"{{"text":"{}"}}"#, "x".repeat(payload));
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer: Arc<[u8]> = answer.into_bytes().into();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            thread::spawn(move || answer_all(stream, &answer));
        }
    });
    Ok(url)
}

/// Answers each head of a request; none has a body.
fn answer_all(mut stream: TcpStream, answer: &[u8]) {
    let _ = stream.set_nodelay(true);
    let (mut buffer, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        buffer.extend_from_slice(piece.get(..read).unwrap_or_default());
        while let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            buffer.drain(..end + 4);
            if stream.write_all(answer).is_err() {
                return;
            }
        }
    }
}
