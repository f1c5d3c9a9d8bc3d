//! One connection that all checks share: made in the background, given up when it is dead, made
//! anew with growing pauses. Nobody waits for a server that is known to be away.
//!
//! Waiting for a turn is not waiting for Redis: the timeout counts from when a check is sent, and a
//! server that answers others meanwhile is not silent.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, RedisError, Value, cmd,
};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::eviction;
use super::failure::{Failure, FailureKind};
use super::turns::{Flow, Turns};

/// So many timeouts a check waits for a server that answers others.
const PATIENCE: u32 = 10;
/// Turns that the runtime has, after a timeout, to bring an answer that is there already.
const YIELDS: u32 = 8;
/// So many nodes of a cluster are asked, one after the other, where the keys are.
const HOPS: usize = 4;
/// First pause between attempts to connect; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause between attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a link needs to know.
pub(super) struct LinkSettings {
    pub(super) server: ConnectionInfo,
    /// For one check, from when it is sent.
    pub(super) timeout: Duration,
    /// For one attempt to connect, with greeting and password.
    pub(super) connect_timeout: Duration,
    /// Checks under way at once; others wait for their turn.
    pub(super) max_in_flight: usize,
    /// Sent first on each new connection; it has to be answered before the connection is used.
    pub(super) greeting: Cmd,
    /// Asks for a key that is not there: a cluster says where the keys live. What else comes back
    /// does not matter.
    pub(super) whereabouts: Cmd,
}

/// The connection, or the way to it. Clones share it.
#[derive(Clone)]
pub(super) struct Link(Arc<Shared>);

struct Shared {
    settings: LinkSettings,
    state: Mutex<State>,
    /// Told after each attempt to connect.
    attempted: Notify,
    turns: Turns,
    /// Where the cluster said the keys are; the configured server when `None`.
    moved_to: Mutex<Option<(String, u16)>>,
    /// Attempts without a check that was answered since; decides how long the next pause is.
    fruitless: AtomicU32,
    connections: AtomicU64,
    /// True when it was said that the server drops keys.
    warned: AtomicBool,
}

enum State {
    /// Nobody asked yet, or the runtime that connected is gone.
    Idle,
    /// The first attempt is under way, or that on the node that a cluster pointed to.
    Starting,
    Up(Arc<Line>),
    /// Attempts go on in the background.
    Down(Failure),
}

/// One connection that was greeted.
struct Line {
    connection: MultiplexedConnection,
    /// Answers so far.
    heard: AtomicU64,
    /// True while it is being found out whether the server says anything at all.
    is_probed: AtomicBool,
    gone: AtomicBool,
}

impl Link {
    pub(super) fn new(settings: LinkSettings) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State::Idle),
            attempted: Notify::new(),
            turns: Turns::new(settings.max_in_flight),
            moved_to: Mutex::new(None),
            fruitless: AtomicU32::new(0),
            connections: AtomicU64::new(0),
            warned: AtomicBool::new(false),
            settings,
        }))
    }

    /// Sends `command` when it is the turn of `flow`, and waits for its answer.
    pub(super) async fn ask(&self, flow: Flow, command: &Cmd) -> Result<Value, Failure> {
        // Refusals are immediate: who asks on and on must not keep the attempts to connect, or
        // anything else, from the thread.
        tokio::task::consume_budget().await;
        // Nobody queues for a server that is away.
        self.line(self.deadline()).await?;
        let Ok(_place) = self.0.turns.take(flow).await else {
            return Err(Failure::new(
                FailureKind::Busy,
                "too many checks wait for their turn",
            ));
        };
        let line = self.line(self.deadline()).await?;
        match self.ask_on(&line, command).await {
            Err(failure) if failure.node.is_some() => {
                let line = self.line(self.deadline()).await?;
                self.ask_on(&line, command).await
            }
            answer => answer,
        }
    }

    async fn ask_on(&self, line: &Arc<Line>, command: &Cmd) -> Result<Value, Failure> {
        let mut connection = line.connection.clone();
        let answer = command.query_async::<Value>(&mut connection);
        let Some(answer) = self.await_on(line, answer).await else {
            self.probe(line);
            return Err(self.0.silence());
        };
        line.heard.fetch_add(1, Ordering::Relaxed);
        match answer {
            Ok(value) => {
                self.0.fruitless.store(0, Ordering::Relaxed);
                Ok(value)
            }
            Err(error) => {
                let failure = Failure::from(error);
                if failure.ends_connection() {
                    self.give_up(line, &failure);
                }
                Err(failure)
            }
        }
    }

    /// Waits for an answer on `line`; `None` when the server was silent for the timeout, or slow for
    /// many.
    async fn await_on(
        &self,
        line: &Line,
        answer: impl Future<Output = Result<Value, RedisError>>,
    ) -> Option<Result<Value, RedisError>> {
        let patience = self.0.settings.timeout;
        let mut answer = pin!(answer);
        for _ in 0..PATIENCE {
            let heard = line.heard.load(Ordering::Relaxed);
            let due = Instant::now() + patience;
            if let Ok(answer) = timeout_at(due, &mut answer).await {
                return Some(answer);
            }
            // Where much is to be done the answer may be here and not read: each turn lets
            // everything that is ready run once. It is a task of its own, as some that wait here are
            // not in the line of the runtime.
            for _ in 0..YIELDS {
                let _ = tokio::spawn(tokio::task::yield_now()).await;
                let now = std::future::poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
                if let Poll::Ready(answer) = now {
                    return Some(answer);
                }
            }
            // Who is late itself cannot tell that the server is. And answers come in the order of the
            // questions: this one is on its way if others came.
            let is_late = due.elapsed() > patience / 4;
            let is_alive = is_late || line.heard.load(Ordering::Relaxed) != heard;
            if !is_alive || line.gone.load(Ordering::Relaxed) {
                return None;
            }
        }
        None
    }

    /// Finds out, in the background, whether the server says anything at all, and gives the
    /// connection up if it does not.
    fn probe(&self, line: &Arc<Line>) {
        if line.is_probed.swap(true, Ordering::Relaxed) {
            return;
        }
        let (own, line) = (self.clone(), Arc::clone(line));
        let pause = self.0.settings.timeout / 2;
        tokio::spawn(async move {
            let heard = line.heard.load(Ordering::Relaxed);
            let mut connection = line.connection.clone();
            let ping = cmd("PING");
            let mut answer = pin!(ping.query_async::<Value>(&mut connection));
            // A refusal is an answer, too.
            let is_silent = timeout(pause, &mut answer).await.is_err()
                && own.await_on(&line, answer).await.is_none();
            line.is_probed.store(false, Ordering::Relaxed);
            if is_silent && line.heard.load(Ordering::Relaxed) == heard {
                own.give_up(&line, &own.0.silence());
            }
        });
    }

    /// When a check that waits for a connection from now on has to be over.
    fn deadline(&self) -> Instant {
        Instant::now() + self.0.settings.timeout
    }

    /// Begins to connect, if nobody has, and waits for the outcome of the first attempt.
    pub(super) async fn connect(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + self.0.settings.connect_timeout.saturating_mul(2);
        self.line(deadline).await.map(drop)
    }

    /// Begins to connect, if nobody has, and waits until there is a connection.
    pub(super) async fn connected(&self) {
        loop {
            let attempted = self.0.attempted.notified();
            {
                let mut state = lock(&self.0.state);
                match &*state {
                    State::Up(_) => return,
                    State::Idle => {
                        *state = State::Starting;
                        Shared::connect_in_background(&self.0);
                    }
                    State::Starting | State::Down(_) => {}
                }
            }
            attempted.await;
        }
    }

    /// Connections made so far.
    pub(super) fn connections(&self) -> u64 {
        self.0.connections.load(Ordering::Relaxed)
    }

    /// Checks under way.
    pub(super) fn in_flight(&self) -> usize {
        self.0.turns.taken()
    }

    /// `None` when nobody asked yet, else whether there is a connection, and why not.
    pub(super) fn standing(&self) -> Option<Result<(), Failure>> {
        match &*lock(&self.0.state) {
            State::Idle | State::Starting => None,
            State::Up(_) => Some(Ok(())),
            State::Down(failure) => Some(Err(failure.clone())),
        }
    }

    /// The connection. Waits only while the very first attempt is under way, or one on another node
    /// of a cluster.
    async fn line(&self, deadline: Instant) -> Result<Arc<Line>, Failure> {
        loop {
            // Made before the state is looked at, so that no news is missed between the two.
            let attempted = self.0.attempted.notified();
            {
                let mut state = lock(&self.0.state);
                match &*state {
                    State::Up(line) => return Ok(Arc::clone(line)),
                    State::Down(failure) => return Err(failure.while_down()),
                    State::Starting => {}
                    State::Idle => {
                        *state = State::Starting;
                        Shared::connect_in_background(&self.0);
                    }
                }
            }
            if timeout_at(deadline, attempted).await.is_err() {
                return Err(self.0.silence());
            }
        }
    }

    /// Puts `line` away, once, and begins to make another.
    fn give_up(&self, line: &Arc<Line>, failure: &Failure) {
        if line.gone.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some((host, port)) = &failure.node {
            *lock(&self.0.moved_to) = Some((host.clone(), *port));
        }
        let mut state = lock(&self.0.state);
        if matches!(&*state, State::Up(current) if Arc::ptr_eq(current, line)) {
            *state = match failure.node {
                // Where it is, is known: that is worth the wait.
                Some(_) => State::Starting,
                None => State::Down(failure.clone()),
            };
            Shared::connect_in_background(&self.0);
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("server", &self.0.settings.server.addr.to_string())
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn silence(&self) -> Failure {
        Failure::new(
            FailureKind::Timeout,
            format!("no answer within {:?}", self.settings.timeout),
        )
    }

    /// Tries until there is a connection, or nobody holds the link any more.
    fn connect_in_background(shared: &Arc<Self>) {
        let weak = Arc::downgrade(shared);
        // A runtime that ends takes the task along; whoever asks on another one begins anew.
        let begun = Begun {
            shared: Weak::clone(&weak),
            done: false,
        };
        tokio::spawn(async move {
            let mut begun = begun;
            loop {
                let pause = match weak.upgrade() {
                    Some(shared) => shared.pause(),
                    None => return,
                };
                sleep(pause).await;
                let Some(shared) = weak.upgrade() else {
                    return;
                };
                if shared.attempt().await {
                    begun.done = true;
                    return;
                }
            }
        });
    }

    /// How long to wait before the next attempt: not at all after a connection that was of use.
    fn pause(&self) -> Duration {
        let fruitless = self.fruitless.fetch_add(1, Ordering::Relaxed);
        let Some(doublings) = fruitless.checked_sub(1) else {
            return Duration::ZERO;
        };
        let pause = FIRST_PAUSE
            .saturating_mul(1 << doublings.min(10))
            .min(LONGEST_PAUSE);
        // Between half of it and all of it, so that the nodes of a fleet do not come back as one.
        let per_mille = 500 + RandomState::new().hash_one(fruitless) % 501;
        pause.mul_f64(f64::from(u32::try_from(per_mille).unwrap_or(1000)) / 1000.0)
    }

    /// One attempt to connect. True when there is a connection now.
    async fn attempt(&self) -> bool {
        let outcome = match timeout(self.settings.connect_timeout, self.open()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::new(
                FailureKind::Unreachable,
                format!("no connection within {:?}", self.settings.connect_timeout),
            )),
        };
        let up = outcome.is_ok();
        *lock(&self.state) = match outcome {
            Ok(connection) => {
                self.connections.fetch_add(1, Ordering::Relaxed);
                State::Up(Arc::new(Line {
                    connection,
                    heard: AtomicU64::new(0),
                    is_probed: AtomicBool::new(false),
                    gone: AtomicBool::new(false),
                }))
            }
            Err(failure) => {
                // A node that does not answer may have left the cluster: ask the configured one.
                lock(&self.moved_to).clone_from(&failure.node);
                State::Down(failure)
            }
        };
        self.attempted.notify_waiters();
        up
    }

    /// A connection to the node that holds the keys.
    async fn open(&self) -> Result<MultiplexedConnection, Failure> {
        let mut hops = 0;
        loop {
            let mut connection = self.open_one().await?;
            let asked = self
                .settings
                .whereabouts
                .query_async::<Value>(&mut connection);
            match asked.await.map_err(Failure::from) {
                Err(moved) if moved.node.is_some() => {
                    hops += 1;
                    if hops == HOPS {
                        return Err(moved);
                    }
                    lock(&self.moved_to).clone_from(&moved.node);
                }
                Err(failure) if failure.kind == FailureKind::Lost => return Err(failure),
                _ => {
                    self.warn_of_eviction(&mut connection).await;
                    return Ok(connection);
                }
            }
        }
    }

    async fn open_one(&self) -> Result<MultiplexedConnection, Failure> {
        let client = Client::open(self.server())?;
        let config = AsyncConnectionConfig::new();
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        self.settings
            .greeting
            .query_async::<Value>(&mut connection)
            .await?;
        Ok(connection)
    }

    /// Says, once, that the server may forget what was used.
    async fn warn_of_eviction(&self, connection: &mut MultiplexedConnection) {
        if self.warned.load(Ordering::Relaxed) {
            return;
        }
        if let Some(policy) = eviction::policy_of(connection).await {
            self.warned.store(true, Ordering::Relaxed);
            tracing::warn!(
                policy,
                "Redis drops keys when its memory is full, and who fills it up resets the rate limits \
                 of everybody; set `maxmemory-policy noeviction`, or give the limits a Redis of \
                 their own"
            );
        }
    }

    /// The configured server, or the node of its cluster that holds the keys.
    fn server(&self) -> ConnectionInfo {
        let mut server = self.settings.server.clone();
        if let Some((new_host, new_port)) = &*lock(&self.moved_to) {
            match &mut server.addr {
                ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                    if !new_host.is_empty() {
                        host.clone_from(new_host);
                    }
                    *port = *new_port;
                }
                ConnectionAddr::Unix(_) => {}
            }
        }
        server
    }
}

/// Marks that somebody connects. Dropped before there is a connection, nobody does any more.
struct Begun {
    shared: Weak<Shared>,
    done: bool,
}

impl Drop for Begun {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if let Some(shared) = self.shared.upgrade() {
            *lock(&shared.state) = State::Idle;
            shared.attempted.notify_waiters();
        }
    }
}

/// Nothing panics while one of these is held, so that what a poisoned one holds is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
