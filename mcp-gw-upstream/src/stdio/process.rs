//! From a command to a server that has said what it speaks.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use mcp_gw_core::{BackendError, BackendEvent, RawJson, jsonrpc};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use crate::ask::Ask;
use crate::deadline::Deadline;
use crate::era::{Era, Hello, Probe, read_discover, read_initialize, read_probe_error};
use crate::notice::Events;
use crate::settings::Settings;
use crate::stdio::child::{Keeper, Streams, spawn};
use crate::stdio::config::StdioServerConfig;
use crate::stdio::life::Life;
use crate::stdio::pending::Pending;
use crate::stdio::pipe::{Pipe, QUEUE, write};
use crate::stdio::router::{Router, log_stderr};
use crate::subscriptions::{Subscriptions, warn_refused};

/// What outlives the processes of one server.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: StdioServerConfig,
    pub(crate) settings: Settings,
    pub(crate) events: Arc<Events>,
    pub(crate) life: Arc<Life>,
    pub(crate) subscriptions: Subscriptions,
    /// The first question ended the process; it is not asked again.
    pub(crate) is_deadly: AtomicBool,
}

/// A process that has said what it speaks.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pipe: Pipe,
    pub(crate) hello: Arc<Hello>,
}

impl Process {
    /// Starts the process and meets it.
    pub(crate) async fn start(shared: Arc<Shared>) -> Result<Self, BackendError> {
        shared
            .life
            .may_start()
            .map_err(|reason| shared.settings.unavailable(reason))?;
        let asks_first = !shared.is_deadly.load(Ordering::Relaxed);
        let outcome = Self::attempt(&shared, asks_first).await;
        if asks_first && shared.is_deadly.load(Ordering::Relaxed) {
            return Self::attempt(&shared, false).await;
        }
        outcome
    }

    async fn attempt(shared: &Arc<Shared>, asks_first: bool) -> Result<Self, BackendError> {
        let born = Instant::now();
        let is_met = Arc::new(AtomicBool::new(false));
        let pipe = connect(shared, Arc::clone(&is_met))?;
        let limit = shared.config.start_timeout;
        let met = timeout(limit, meet(shared, &pipe, asks_first))
            .await
            .unwrap_or_else(|_| {
                Err(shared.settings.unavailable(format!(
                    "it did not answer within {limit:?} after its start"
                )))
            });
        match met {
            Ok(hello) => {
                is_met.store(true, Ordering::Relaxed);
                hello.log(&shared.settings);
                if hello.era == Era::Legacy {
                    let again = timeout(limit, subscribe_again(shared, &pipe));
                    if again.await.is_err() {
                        warn_refused(&shared.settings);
                    }
                }
                if shared.life.started() {
                    shared.events.emit(BackendEvent::OfferChanged);
                }
                Ok(Self {
                    pipe,
                    hello: Arc::new(hello),
                })
            }
            Err(error) => {
                if pipe.pending.dead().is_none() {
                    shared.life.died(born, &error.to_string());
                }
                Err(error)
            }
        }
    }
}

/// What was subscribed to in the process before, if there was one.
async fn subscribe_again(shared: &Shared, pipe: &Pipe) {
    for (uri, ()) in shared.subscriptions.all() {
        let ask = Ask::subscribe(&uri);
        let limit = shared.settings.timeout;
        let deadline = Deadline::new(limit, limit);
        if pipe.call(&ask, Era::Legacy, None, deadline).await.is_err() {
            warn_refused(&shared.settings);
        }
    }
}

/// Starts the process and the tasks around it.
fn connect(shared: &Arc<Shared>, is_met: Arc<AtomicBool>) -> Result<Pipe, BackendError> {
    let settings = &shared.settings;
    let mut child = spawn(&shared.config, settings)?;
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(settings.unavailable("its standard streams could not be opened"));
    };
    let pending = Arc::new(Pending::default());
    let (out, messages) = mpsc::channel(QUEUE);
    let (stop, stopped) = oneshot::channel();
    let (gone, is_gone) = watch::channel(false);
    let router = Router {
        settings: settings.clone(),
        pending: Arc::clone(&pending),
        events: Arc::clone(&shared.events),
        out: out.clone(),
        odd: 0,
    };
    let last_words = Arc::new(Mutex::new(String::new()));
    let server = Arc::clone(&settings.server);
    let streams = Streams {
        stdin: tokio::spawn(write(stdin, messages)),
        stdout: tokio::spawn(router.run(stdout)),
        stderr: tokio::spawn(log_stderr(server, stderr, Arc::clone(&last_words))),
        last_words,
    };
    let keeper = Keeper::new(
        child,
        streams,
        shared.config.grace,
        Arc::clone(&pending),
        gone,
    );
    let (events, life, born) = (
        Arc::clone(&shared.events),
        Arc::clone(&shared.life),
        Instant::now(),
    );
    tokio::spawn(keeper.run(stopped, move |reason| {
        life.died(born, reason);
        if is_met.load(Ordering::Relaxed) {
            let reason = reason.to_owned();
            events.emit(BackendEvent::Down { reason });
        }
    }));
    Ok(Pipe {
        settings: settings.clone(),
        out,
        pending,
        ids: AtomicI64::new(1),
        stop: Mutex::new(Some(stop)),
        gone: is_gone,
    })
}

/// Finds out what the process speaks.
async fn meet(shared: &Shared, pipe: &Pipe, asks_first: bool) -> Result<Hello, BackendError> {
    let settings = &shared.settings;
    let limit = shared.config.start_timeout;
    if !asks_first {
        return initialize(pipe, limit).await;
    }
    let deadline = Deadline::new(limit, limit);
    let mut question = pin!(pipe.call(&Ask::Discover, Era::Modern, None, deadline));
    let Ok(answer) = timeout(settings.probe_timeout, &mut question).await else {
        // It is an old server that does not answer what it does not know, or one that takes its
        // time to start and will answer both.
        let refusal = match initialize(pipe, limit).await {
            Err(BackendError::Rpc(refusal)) => refusal,
            other => return other,
        };
        return match read_answer(settings, question.await)? {
            Probe::Modern(hello) => Ok(hello),
            Probe::Legacy => Err(BackendError::Rpc(refusal)),
        };
    };
    if matches!(answer, Err(BackendError::Lost { .. })) {
        shared.is_deadly.store(true, Ordering::Relaxed);
    }
    match read_answer(settings, answer)? {
        Probe::Modern(hello) => Ok(hello),
        Probe::Legacy => initialize(pipe, limit).await,
    }
}

fn read_answer(
    settings: &Settings,
    answer: Result<RawJson, BackendError>,
) -> Result<Probe, BackendError> {
    match answer {
        Ok(result) => read_discover(settings, &result),
        Err(BackendError::Rpc(error)) => read_probe_error(settings, error),
        Err(error @ (BackendError::Lost { .. } | BackendError::Unavailable { .. })) => Err(error),
        Err(_) => Ok(Probe::Legacy),
    }
}

async fn initialize(pipe: &Pipe, limit: std::time::Duration) -> Result<Hello, BackendError> {
    let deadline = Deadline::new(limit, limit);
    let result = pipe
        .call(&Ask::Initialize, Era::Legacy, None, deadline)
        .await?;
    let hello = read_initialize(&pipe.settings, &result)?;
    let nothing = RawJson::empty_object();
    let ready = jsonrpc::notification("notifications/initialized", &nothing);
    pipe.tell(ready).await;
    Ok(hello)
}
