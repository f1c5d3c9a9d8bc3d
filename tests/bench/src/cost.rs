//! What one request costs the gateway in allocations, held to figures: time on shared machines cannot be trusted, a count can.
//!
//! The real endpoint with everything on (API keys, policy, limits, audit lines, metrics) runs on the thread that is counted, and
//! the load and the upstream on others. A request at a time, so that nothing depends on who is faster.

use std::{
    io,
    sync::{Arc, LazyLock},
    thread,
    time::Duration,
};

use allocation_counter::measure;
use axum::Router;
use mcp_gw_http::{HttpConfig, router_for, serve_at};
use mcp_gw_server::{
    Launch, Running,
    cli::{LogArgs, LogGuard},
    config::Config,
    metrics::Metrics,
};
use tokio::{net::TcpListener, runtime, sync::oneshot};

use crate::{
    client::{Ask, Connection, Plan},
    gateway::{KEY, Settings},
    upstream::{self, Upstream},
    wire::{Answers, Era, Eras},
};

/// What is asked, and what it may cost: allocations, and kilobytes of them.
///
/// To be lowered when a change lowers them, and raised when there is a reason to say in the change.
struct Figure {
    ask: Ask,
    era: Era,
    eras: Eras,
    answers: Answers,
    allocations: u64,
    kilobytes: u64,
}

const ECHO: Figure = Figure {
    ask: Ask::Echo(1024),
    era: Era::Modern,
    eras: Eras::Both,
    answers: Answers::Json,
    allocations: 114,
    kilobytes: 50,
};

#[test]
fn a_call_costs_what_it_did() {
    hold(&ECHO);
}

#[test]
fn a_call_that_is_answered_with_events_costs_what_it_did() {
    hold(&Figure {
        answers: Answers::Events,
        allocations: 118,
        kilobytes: 58,
        ..ECHO
    });
}

#[test]
fn a_call_in_a_session_on_both_sides_costs_what_it_did() {
    hold(&Figure {
        era: Era::Legacy,
        eras: Eras::Legacy,
        allocations: 118,
        kilobytes: 49,
        ..ECHO
    });
}

#[test]
fn a_list_costs_what_it_did() {
    hold(&Figure {
        ask: Ask::List(100),
        allocations: 278,
        kilobytes: 120,
        ..ECHO
    });
}

#[test]
fn a_large_call_costs_what_it_did() {
    hold(&Figure {
        ask: Ask::Echo(100 * 1024),
        allocations: 112,
        kilobytes: 499,
        ..ECHO
    });
}

const CALLS: u64 = 400;

fn hold(figure: &Figure) {
    audit_lines();
    let (allocations, bytes) = cost(figure);
    let kilobytes = bytes / 1000;
    let says = format!(
        "{allocations} allocations and {kilobytes} kB a request, {} and {} before",
        figure.allocations, figure.kilobytes
    );
    crate::note(&says);
    let is_near = |is: u64, was: u64| is.abs_diff(was) * 20 <= was;
    assert!(
        is_near(allocations, figure.allocations) && is_near(kilobytes, figure.kilobytes),
        "{says}: more than 5 % away. Where it is less, lower the figures in {}; where it is more, find out why",
        file!()
    );
}

/// Has audit lines written as the program does, to nowhere.
fn audit_lines() {
    static LOG: LazyLock<LogGuard> = LazyLock::new(|| {
        let mut args = LogArgs::default();
        "info".clone_into(&mut args.log);
        args.init_to(io::sink(), &[]).unwrap()
    });
    LazyLock::force(&LOG);
}

/// Allocations and bytes of one request, the mean of many.
fn cost(figure: &Figure) -> (u64, u64) {
    let here = current_thread();
    let url = serve_upstream(figure);
    let (running, listener) = here.block_on(gateway(&url));
    let plan = Plan {
        url: format!("http://{}/mcp", listener.local_addr().unwrap())
            .parse()
            .unwrap(),
        era: figure.era,
        ask: figure.ask,
        tool: "echo".to_owned(),
        bearer: Some(KEY.to_owned()),
    };
    let config = HttpConfig::default().with_inbound(running.inbound());
    let engine = running.engine().clone();
    let rest = router_for(engine.clone(), config.clone());
    let rest = Router::new().nest_service("/mcp", rest);
    let (stop, stopped) = oneshot::channel::<()>();
    let until = async {
        drop(stopped.await);
    };
    let serving = async move {
        let endpoints = ("/mcp", engine, config);
        serve_at(listener, endpoints, rest, until, Duration::ZERO).await
    };
    let serving = here.spawn(serving);
    // Buffers, tables and connections are there after some requests.
    let load = here.block_on(elsewhere(move || Load::open(&plan).calls(1)));
    let mut load = Some(load);
    let info = measure(|| {
        let open = load.take().unwrap();
        load = Some(here.block_on(elsewhere(|| open.calls(CALLS + 1))));
    });
    drop((stop, load));
    here.block_on(async {
        serving.await.unwrap().unwrap();
        running.shutdown().await;
    });
    (info.count_total / CALLS, info.bytes_total / CALLS)
}

/// The load: a connection, and what it lives on.
struct Load {
    connection: Connection,
    there: runtime::Runtime,
}

impl Load {
    fn open(plan: &Plan) -> Self {
        let there = current_thread();
        let connection = there.block_on(Connection::open(plan)).unwrap();
        Self { connection, there }
    }

    /// Makes calls, one after the other.
    fn calls(mut self, first: u64) -> Self {
        for id in first..first + CALLS {
            self.there.block_on(self.connection.call(id, id)).unwrap();
        }
        self
    }
}

/// What `work` on another thread comes to.
async fn elsewhere(work: impl FnOnce() -> Load + Send + 'static) -> Load {
    let (done, finished) = oneshot::channel();
    thread::spawn(move || drop(done.send(work())));
    finished.await.unwrap()
}

async fn gateway(upstream: &str) -> (Running, TcpListener) {
    let folder = tempfile::tempdir().unwrap();
    let file = Settings::FULL
        .write(folder.path(), upstream, 1, true)
        .unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let config = Config::load("mcp-gw.yaml", &text, &|_| None).unwrap();
    let launch = Launch::new().with_metrics(Metrics::new());
    let running = launch.start(&config).unwrap();
    let status = running.ready(Duration::from_secs(30)).await;
    assert_eq!(status.len(), 1);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    (running, listener)
}

/// The upstream on a thread of its own, until the process ends; its URL.
fn serve_upstream(figure: &Figure) -> String {
    let tools = match figure.ask {
        Ask::List(tools) => tools,
        Ask::Echo(_) => 10,
    };
    let upstream = Arc::new(Upstream::new(figure.eras, figure.answers, tools));
    let there = current_thread();
    let listener = there.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    thread::spawn(move || {
        let answer = move |head: &_, body: &[u8]| upstream.answer(head, body);
        there.block_on(upstream::serve(listener, answer, std::future::pending()))
    });
    url
}

fn current_thread() -> runtime::Runtime {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}
