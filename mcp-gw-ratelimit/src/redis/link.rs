//! One connection that all checks share: made in the background, given up when it is dead, made
//! anew with growing pauses. Nobody waits for a server that is known to be away.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, Value};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::failure::{Failure, FailureKind};

/// So many checks in a row without an answer, and the connection is taken for dead.
const SILENCE: u32 = 3;
/// First pause between attempts to connect; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause between attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a link needs to know.
pub(super) struct LinkSettings {
    pub(super) server: ConnectionInfo,
    /// For one check, everything in.
    pub(super) timeout: Duration,
    /// For one attempt to connect, with greeting and password.
    pub(super) connect_timeout: Duration,
    /// Checks under way at once.
    pub(super) max_in_flight: usize,
    /// Sent first on each new connection; it has to be answered before the connection is used.
    pub(super) greeting: Cmd,
}

/// The connection, or the way to it.
pub(super) struct Link(Arc<Shared>);

struct Shared {
    settings: LinkSettings,
    state: Mutex<State>,
    /// Told after each attempt to connect.
    attempted: Notify,
    places: Semaphore,
    /// Where the cluster said the keys are; the configured server when `None`.
    moved_to: Mutex<Option<(String, u16)>>,
    /// Attempts without a check that was answered since; decides how long the next pause is.
    fruitless: AtomicU32,
    connections: AtomicU64,
}

enum State {
    /// Nobody asked yet, or the runtime that connected is gone.
    Idle,
    /// The first attempt is under way.
    Starting,
    Up(Arc<Line>),
    /// Attempts go on in the background.
    Down(Failure),
}

/// One connection that was greeted.
struct Line {
    connection: MultiplexedConnection,
    /// Checks in a row without an answer.
    silent: AtomicU32,
    gone: AtomicBool,
}

impl Link {
    pub(super) fn new(settings: LinkSettings) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State::Idle),
            attempted: Notify::new(),
            places: Semaphore::new(settings.max_in_flight),
            moved_to: Mutex::new(None),
            fruitless: AtomicU32::new(0),
            connections: AtomicU64::new(0),
            settings,
        }))
    }

    /// Sends `command` and waits for its answer, in all no longer than the timeout.
    pub(super) async fn ask(&self, command: &Cmd, deadline: Instant) -> Result<Value, Failure> {
        // Refusals are immediate: who asks on and on must not keep the attempts to connect, or
        // anything else, from the thread.
        tokio::task::consume_budget().await;
        let Ok(_place) = self.0.places.try_acquire() else {
            return Err(Failure::new(
                FailureKind::Busy,
                format!("{} checks are under way", self.0.settings.max_in_flight),
            ));
        };
        let line = self.line(deadline).await?;
        let mut connection = line.connection.clone();
        match timeout_at(deadline, command.query_async::<Value>(&mut connection)).await {
            Ok(Ok(value)) => {
                line.silent.store(0, Ordering::Relaxed);
                self.0.fruitless.store(0, Ordering::Relaxed);
                Ok(value)
            }
            Ok(Err(error)) => {
                let failure = Failure::from(error);
                line.silent.store(0, Ordering::Relaxed);
                if failure.ends_connection() {
                    self.give_up(&line, &failure);
                }
                Err(failure)
            }
            Err(_) => {
                let failure = self.0.silence();
                if line.silent.fetch_add(1, Ordering::Relaxed) + 1 >= SILENCE {
                    self.give_up(&line, &failure);
                }
                Err(failure)
            }
        }
    }

    /// When a check that begins now has to be over.
    pub(super) fn deadline(&self) -> Instant {
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
        self.0
            .settings
            .max_in_flight
            .saturating_sub(self.0.places.available_permits())
    }

    /// `None` when nobody asked yet, else whether there is a connection, and why not.
    pub(super) fn standing(&self) -> Option<Result<(), Failure>> {
        match &*lock(&self.0.state) {
            State::Idle | State::Starting => None,
            State::Up(_) => Some(Ok(())),
            State::Down(failure) => Some(Err(failure.clone())),
        }
    }

    /// The connection. Waits only while the very first attempt is under way.
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
            *state = State::Down(failure.clone());
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
                    silent: AtomicU32::new(0),
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

    async fn open(&self) -> Result<MultiplexedConnection, Failure> {
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
