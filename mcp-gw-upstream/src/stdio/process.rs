//! From a command to a server that has said what it speaks.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_gw_core::{BackendError, BackendEvent, RawJson, jsonrpc};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use crate::ask::Ask;
use crate::bereaved::updated;
use crate::call::Room;
use crate::channel::Met;
use crate::common::Common;
use crate::deadline::Deadline;
use crate::desk::Desk;
use crate::era::{Era, Hello, Probe, read_discover, read_initialize, read_probe_error};
use crate::extras;
use crate::lanes::Connection;
use crate::listen_stream::{self, End, Opener};
use crate::offer::Lists;
use crate::owner::{Owner, ROOTS};
use crate::settings::Settings;
use crate::stdio::child::{Keeper, Streams, spawn};
use crate::stdio::config::StdioServerConfig;
use crate::stdio::life::Life;
use crate::stdio::pipe::{Answers, Pipe, QUEUE, write};
use crate::stdio::router::{Router, log_stderr};
use crate::watched::warn_refused;

/// What outlives the processes of one server.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: StdioServerConfig,
    pub(crate) common: Common,
    /// Of the process that all share.
    pub(crate) life: Arc<Life>,
    /// The first question ended the process; it is not asked again.
    pub(crate) is_deadly: AtomicBool,
}

impl AsRef<Common> for Shared {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// A process that has said what it speaks.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pipe: Arc<Pipe>,
    pub(crate) hello: Arc<Hello>,
    listener: Option<AbortHandle>,
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            listener.abort();
        }
    }
}

impl Process {
    async fn attempt(shared: &Arc<Shared>, asks_first: bool) -> Result<Self, BackendError> {
        let birth = Birth {
            owner: None,
            life: Arc::clone(&shared.life),
            at: Instant::now(),
            is_met: Arc::default(),
        };
        let (born, is_met) = (birth.at, Arc::clone(&birth.is_met));
        let pipe = connect(shared, birth)?;
        let limit = shared.config.start_timeout;
        let met = timeout(limit, meet(shared, &pipe, asks_first))
            .await
            .unwrap_or_else(|_| Err(no_answer(&shared.common.settings, limit)));
        match met {
            Ok(hello) => {
                is_met.store(true, Ordering::Relaxed);
                hello.log(&shared.common.settings);
                let mut this = Self::met(pipe, hello);
                shared.common.known.learn(&this.hello);
                if this.hello.era == Era::Legacy {
                    let all = shared.common.watched.shared.all().into_iter();
                    let all = all.map(|(uri, ())| uri).collect();
                    let again = timeout(limit, subscribe_again(shared, &this.pipe, all));
                    if again.await.is_err() {
                        warn_refused(&shared.common.settings);
                    }
                }
                if this.hello.era == Era::Modern {
                    shared.common.listening.adopt(&shared.common.watched.shared);
                    let news = listen_stream::run(
                        Arc::new(News(Arc::clone(&this.pipe))),
                        Arc::clone(&shared.common.listening),
                        shared.common.settings.clone(),
                        Arc::clone(&this.hello),
                    );
                    this.listener = Some(tokio::spawn(news).abort_handle());
                }
                if shared.life.started() {
                    shared.common.events.emit(BackendEvent::OfferChanged);
                }
                Ok(this)
            }
            Err(error) => {
                if pipe.desk.pending.dead().is_none() {
                    shared.life.died(born, &error.to_string());
                }
                Err(error)
            }
        }
    }

    fn met(pipe: Pipe, hello: Hello) -> Self {
        // It is set once only.
        let _ = pipe.desk.era.set(hello.era);
        Self {
            pipe: Arc::new(pipe),
            hello: Arc::new(hello),
            listener: None,
        }
    }

    /// Has it known what it lists.
    fn keep_lists(&mut self, shared: &Shared, owner: Arc<Owner>) {
        let lists = OwnLists {
            pipe: Arc::clone(&self.pipe),
            hello: Arc::clone(&self.hello),
        };
        let extras = Arc::clone(&shared.common.extras);
        let desk = Arc::clone(&self.pipe.desk);
        let keep = extras::keep(lists, extras, owner, desk);
        self.listener = Some(tokio::spawn(keep).abort_handle());
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.pipe.desk.pending.dead().is_some()
    }
}

impl Met for Process {
    type Road = Shared;

    /// Starts the process that all share, and meets it.
    async fn open(shared: Arc<Shared>) -> Result<Self, BackendError> {
        may_start(&shared, &shared.life)?;
        let asks_first = !shared.is_deadly.load(Ordering::Relaxed);
        let outcome = Self::attempt(&shared, asks_first).await;
        if asks_first && shared.is_deadly.load(Ordering::Relaxed) {
            return Self::attempt(&shared, false).await;
        }
        outcome
    }

    /// Starts a process for one client, of a program that is known to speak an old revision.
    async fn open_own(
        shared: Arc<Shared>,
        owner: Arc<Owner>,
        life: Arc<Life>,
    ) -> Result<Self, BackendError> {
        may_start(&shared, &life)?;
        let own = Arc::clone(&owner);
        let birth = Birth {
            owner: Some(owner),
            life: Arc::clone(&life),
            at: Instant::now(),
            is_met: Arc::default(),
        };
        let (at, is_met) = (birth.at, Arc::clone(&birth.is_met));
        let pipe = connect(&shared, birth)?;
        let limit = shared.config.start_timeout;
        let met = timeout(limit, introduce(&pipe, limit)).await;
        match met.unwrap_or_else(|_| Err(no_answer(&shared.common.settings, limit))) {
            Ok(hello) => {
                is_met.store(true, Ordering::Relaxed);
                let mut this = Self::met(pipe, hello);
                let watched = shared.common.watched.take_up(&own.watcher);
                let again = timeout(limit, subscribe_again(&shared, &this.pipe, watched));
                if again.await.is_err() {
                    warn_refused(&shared.common.settings);
                }
                this.keep_lists(&shared, own);
                Ok(this)
            }
            Err(error) => {
                if pipe.desk.pending.dead().is_none() {
                    life.died(at, &error.to_string());
                }
                Err(error)
            }
        }
    }

    fn hello(&self) -> &Arc<Hello> {
        &self.hello
    }

    fn desk(&self) -> &Desk {
        &self.pipe.desk
    }

    async fn is_alive(&self) -> bool {
        if !self.is_dead() {
            return true;
        }
        self.pipe.gone().await;
        false
    }
}

impl Connection for Process {
    type Memory = Life;

    const SHARES: bool = false;

    /// Processes are dear.
    fn ahead(max: usize) -> usize {
        max.min(4)
    }

    async fn end(&self) {
        self.pipe.end().await;
    }

    fn tell_now(&self, message: RawJson) {
        // A process that does not read is told nothing.
        let _ = self.pipe.out.try_send(message);
    }
}

fn may_start(shared: &Shared, life: &Life) -> Result<(), BackendError> {
    life.may_start()
        .map_err(|reason| shared.common.settings.unavailable(reason))
}

fn no_answer(settings: &Settings, limit: Duration) -> BackendError {
    settings.unavailable(format!(
        "it did not answer within {limit:?} after its start"
    ))
}

/// Opens the stream of news of a server of 2026-07-28: a request that is not answered until its end.
struct News(Arc<Pipe>);

impl Opener for News {
    async fn open(&self, filter: RawJson, acknowledged: oneshot::Sender<RawJson>) -> End {
        /// Nobody means more than a year.
        const ALWAYS: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        self.0.desk.await_acknowledgement(acknowledged);
        let ask = Ask::Listen { filter: &filter };
        let deadline = Deadline::new(ALWAYS, ALWAYS);
        match self.0.call(&ask, Era::Modern, None, deadline).await {
            Ok(_) => End::Closed,
            Err(BackendError::Rpc(error)) => End::of_error(error),
            Err(_) => End::Broken,
        }
    }
}

/// The lists of one client's process.
struct OwnLists {
    pipe: Arc<Pipe>,
    hello: Arc<Hello>,
}

impl Lists for OwnLists {
    fn settings(&self) -> &Settings {
        &self.pipe.settings
    }

    async fn met(&self) -> Result<Arc<Hello>, BackendError> {
        Ok(Arc::clone(&self.hello))
    }

    async fn ask_for_list(&self, ask: Ask<'_>) -> Result<RawJson, BackendError> {
        let settings = &self.pipe.settings;
        let deadline = Deadline::new(settings.timeout, settings.max_total_timeout);
        self.pipe.call(&ask, self.hello.era, None, deadline).await
    }
}

/// What is known of a process when it is started.
struct Birth {
    owner: Option<Arc<Owner>>,
    life: Arc<Life>,
    at: Instant,
    /// Set once it has said what it speaks.
    is_met: Arc<AtomicBool>,
}

/// What was subscribed to in the process before, if there was one.
async fn subscribe_again(shared: &Shared, pipe: &Pipe, watched: Vec<Arc<str>>) {
    for uri in watched {
        let ask = Ask::subscribe(&uri);
        let limit = shared.common.settings.timeout;
        let deadline = Deadline::new(limit, limit);
        if pipe.call(&ask, Era::Legacy, None, deadline).await.is_err() {
            warn_refused(&shared.common.settings);
        }
        // It may have changed while nobody looked.
        let params = updated(&uri);
        shared.common.watched.updated(uri, params);
    }
}

/// Starts the process and the tasks around it.
fn connect(shared: &Arc<Shared>, birth: Birth) -> Result<Pipe, BackendError> {
    let settings = &shared.common.settings;
    let mut child = spawn(&shared.config, settings)?;
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(settings.unavailable("its standard streams could not be opened"));
    };
    let Birth {
        owner,
        life,
        at: born,
        is_met,
    } = birth;
    let client = owner.as_ref().map(|owner| owner.watcher.clone());
    let desk = Arc::new(Desk::new(
        settings,
        Arc::clone(&shared.common.events),
        Arc::clone(&shared.common.watched),
        owner,
    ));
    let (out, messages) = mpsc::channel(QUEUE);
    let (stop, stopped) = oneshot::channel();
    let (gone, is_gone) = watch::channel(false);
    let router = Router {
        settings: settings.clone(),
        desk: Arc::clone(&desk),
        back: Answers {
            out: out.clone(),
            room: Room::new(),
        },
        odd: 0,
    };
    let last_words = Arc::new(Mutex::new(String::new()));
    let server = Arc::clone(&settings.server);
    let also = shared.config.log_lines.clone();
    let server_name = Arc::clone(&server);
    let streams = Streams {
        stdin: tokio::spawn(write(stdin, messages)),
        stdout: tokio::spawn(router.run(stdout)),
        stderr: tokio::spawn(log_stderr(server, stderr, Arc::clone(&last_words), also)),
        last_words,
    };
    let keeper = Keeper::new(child, streams, shared.config.grace, Arc::clone(&desk), gone);
    let events = Arc::clone(&shared.common.events);
    let watched = Arc::clone(&shared.common.watched);
    tokio::spawn(keeper.run(stopped, move |reason| {
        life.died(born, reason);
        if !is_met.load(Ordering::Relaxed) {
            return;
        }
        // The end of one client's process is not that of the server.
        let Some(client) = client else {
            let reason = reason.to_owned();
            events.emit(BackendEvent::Down { reason });
            return;
        };
        tracing::warn!(
            target: "mcp_gw::upstream",
            server = &*server_name,
            reason,
            "a client's own process is down"
        );
        watched.bereaved.note(&client);
    }));
    Ok(Pipe {
        settings: settings.clone(),
        out,
        desk,
        ids: AtomicI64::new(1),
        stop: Mutex::new(Some(stop)),
        over: is_gone,
    })
}

/// Finds out what the process speaks.
async fn meet(shared: &Shared, pipe: &Pipe, asks_first: bool) -> Result<Hello, BackendError> {
    let settings = &shared.common.settings;
    let limit = shared.config.start_timeout;
    if !asks_first {
        return initialize(pipe, limit).await;
    }
    let deadline = Deadline::new(limit, limit);
    let mut question = pin!(pipe.call(&Ask::Discover, Era::Modern, None, deadline));
    let Ok(answer) = timeout(settings.probe_timeout, &mut question).await else {
        return meet_late(pipe, limit, question).await;
    };
    if matches!(answer, Err(BackendError::Lost { .. })) {
        shared.is_deadly.store(true, Ordering::Relaxed);
    }
    match read_answer(settings, answer)? {
        Probe::Modern(hello) => Ok(hello),
        Probe::Legacy => initialize(pipe, limit).await,
    }
}

/// Finds out what a process speaks that has not answered the first question yet: an old server that does
/// not answer what it does not know, or one that takes its time to start. What it answers first decides,
/// not the clock.
async fn meet_late(
    pipe: &Pipe,
    limit: Duration,
    mut question: Pin<&mut impl Future<Output = Result<RawJson, BackendError>>>,
) -> Result<Hello, BackendError> {
    let settings = &pipe.settings;
    let mut handshake = pin!(shake_hands(pipe, limit));
    let outcome = tokio::select! {
        biased;
        answer = &mut question => {
            return match read_answer(settings, answer)? {
                Probe::Modern(hello) => Ok(hello),
                Probe::Legacy => initialized(pipe, handshake.await).await,
            };
        }
        outcome = &mut handshake => outcome,
    };
    match outcome {
        Err(refusal @ (BackendError::Rpc(_) | BackendError::Protocol { .. })) => {
            match read_answer(settings, question.await)? {
                Probe::Modern(hello) => Ok(hello),
                Probe::Legacy => Err(refusal),
            }
        }
        Err(error) => Err(error),
        // The answer to a `ping` comes behind all that it will answer of what came before.
        Ok(old) => {
            let patience = limit.min(settings.probe_timeout);
            let deadline = Deadline::new(patience, patience);
            let answer = tokio::select! {
                biased;
                answer = &mut question => Some(answer),
                _ = pipe.call(&Ask::Ping, Era::Legacy, None, deadline) => None,
            };
            match answer.map(|answer| read_answer(settings, answer)) {
                Some(Ok(Probe::Modern(hello))) => Ok(hello),
                _ => initialized(pipe, Ok(old)).await,
            }
        }
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

/// Initializes the process of one client. Many servers ask for the client's roots as soon as that is
/// done: the answer to the `ping` comes behind that question, so that it is known before the call.
async fn introduce(pipe: &Pipe, limit: Duration) -> Result<Hello, BackendError> {
    let hello = initialize(pipe, limit).await?;
    let owner = pipe.desk.owner.as_ref();
    if owner.is_some_and(|owner| owner.covers(ROOTS)) {
        let patience = limit.min(pipe.settings.probe_timeout);
        let deadline = Deadline::new(patience, patience);
        // Whatever it says, it has read what was sent before.
        let _ = pipe.call(&Ask::Ping, Era::Legacy, None, deadline).await;
    }
    Ok(hello)
}

async fn initialize(pipe: &Pipe, limit: Duration) -> Result<Hello, BackendError> {
    initialized(pipe, shake_hands(pipe, limit).await).await
}

/// Asks for the handshake, which [`initialized`] ends.
async fn shake_hands(pipe: &Pipe, limit: Duration) -> Result<Hello, BackendError> {
    let deadline = Deadline::new(limit, limit);
    let capabilities = pipe.desk.owner.as_ref().map(|owner| &owner.capabilities);
    let ask = Ask::Initialize { capabilities };
    let result = pipe.call(&ask, Era::Legacy, None, deadline).await?;
    read_initialize(&pipe.settings, &result)
}

/// Says that the handshake is done, if it is.
async fn initialized(pipe: &Pipe, met: Result<Hello, BackendError>) -> Result<Hello, BackendError> {
    let hello = met?;
    let nothing = RawJson::empty_object();
    let ready = jsonrpc::notification("notifications/initialized", &nothing);
    pipe.tell(ready).await;
    Ok(hello)
}
