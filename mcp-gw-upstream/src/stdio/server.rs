//! The backend over a child process: started by the first call, shared by all, started again when
//! it has died.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

use mcp_gw_core::{BackendError, CallContext, ClientRef, Offer, RawJson, SessionKey};

use crate::ask::Ask;
use crate::chores::Chores;
use crate::deadline::Deadline;
use crate::era::{Era, Hello, Known};
use crate::error::Error;
use crate::extras::Extras;
use crate::lanes::{Connection as _, Lanes, Seat, Spot, Upkeep};
use crate::listen_stream::Listening;
use crate::notice::Events;
use crate::offer;
use crate::owner::Owner;
use crate::relay::{self, Channel};
use crate::room::Bounds;
use crate::settings::Settings;
use crate::single::Single;
use crate::stdio::config::StdioServerConfig;
use crate::stdio::life::Life;
use crate::stdio::process::{Process, Shared};
use crate::watched::Watched;

/// An MCP server in a child process, of any revision from 2024-11-05 to 2026-07-28.
///
/// The process is started by the first call and serves all callers; beside it, clients of a server of
/// an old revision that can be asked something (sampling, elicitation, roots), or that want log
/// messages of a certain level, get a process of their own: see
/// [`StdioServerConfig::max_connections`]. When a process dies, the calls that
/// wait for it fail at once and the next one starts it again; one that dies again and again is
/// left alone for longer and longer. It runs in a process group of its own, which is ended as a
/// whole when the backend is closed or dropped: its input is closed, then it is asked to end
/// (`SIGTERM`), then it is killed (`SIGKILL`), with [`StdioServerConfig::grace`] between.
#[derive(Debug)]
pub struct StdioServer {
    core: Arc<Core>,
}

#[derive(Debug)]
struct Core {
    shared: Arc<Shared>,
    process: Single<Process>,
    lanes: Lanes<Process>,
    chores: Chores,
}

impl StdioServer {
    /// A backend for the server that `config` describes. Starts nothing yet.
    ///
    /// # Errors
    /// When the command, an argument or a variable is one that no process can have.
    pub fn new(config: &StdioServerConfig) -> Result<Self, Error> {
        config.check()?;
        Ok(Self {
            core: Arc::new_cyclic(|core| Core::new(config, core)),
        })
    }
}

impl Core {
    fn new(config: &StdioServerConfig, this: &Weak<Self>) -> Self {
        let events: Arc<Events> = Arc::default();
        let shared = Shared {
            settings: config.settings(),
            config: config.clone(),
            listening: Arc::new(Listening::new(Arc::clone(&events))),
            watched: Arc::new(Watched::new(Arc::clone(&events))),
            extras: Arc::new(Extras::new(Arc::clone(&events))),
            events,
            known: Known::default(),
            life: Arc::new(Life::default()),
            is_deadly: AtomicBool::new(false),
        };
        let upkeep = Upkeep {
            watched: Arc::clone(&shared.watched),
            extras: Arc::clone(&shared.extras),
            orphaned: Some(relay::adopting(this)),
        };
        Self {
            lanes: Lanes::new(
                config.settings(),
                Bounds::new(
                    config.max_connections,
                    config.max_connections_per_caller,
                    config.idle_timeout,
                ),
                upkeep,
            ),
            shared: Arc::new(shared),
            process: Single::default(),
            chores: Chores::default(),
        }
    }

    /// The shared process; one that lives, as far as anybody knows.
    async fn process(&self) -> Result<Arc<Process>, BackendError> {
        let start = || Process::start(Arc::clone(&self.shared));
        let settings = &self.shared.settings;
        let process = self.process.get(settings, start).await?;
        if process.is_alive().await {
            return Ok(process);
        }
        self.process.forget(&process);
        self.process.get(settings, start).await
    }

    /// The process that calls of this client must be in.
    async fn seat(&self, client: &ClientRef) -> Result<Spot<Process>, BackendError> {
        let hello = self.known().await?;
        let open = |owner, life| Process::start_own(Arc::clone(&self.shared), owner, life);
        let seat = match self.lanes.seat(&hello, client, open).await? {
            Spot::Own(seat) => seat,
            shared @ Spot::Shared(_) => return Ok(shared),
        };
        if seat.connection.is_alive().await {
            if !seat.connection.pipe.desk.is_stale() {
                return Ok(Spot::Own(seat));
            }
            seat.connection.end().await;
        }
        seat.forget();
        drop(seat);
        self.lanes.seat(&hello, client, open).await
    }

    /// Asks for the log messages that the client wants, before its call.
    async fn set_level(&self, process: &Process, ctx: Option<&CallContext>) {
        let desk = &process.pipe.desk;
        let level = ctx.and_then(|ctx| desk.level_to_set(ctx, &process.hello));
        if let Some(level) = level
            && self
                .once(process, Ask::SetLevel(level), None)
                .await
                .is_err()
        {
            desk.level_refused();
        }
    }

    async fn once(
        &self,
        process: &Process,
        ask: Ask<'_>,
        ctx: Option<&CallContext>,
    ) -> Result<RawJson, BackendError> {
        let settings = &self.shared.settings;
        let deadline = Deadline::new(settings.timeout, settings.max_total_timeout);
        process
            .pipe
            .call(&ask, process.hello.era, ctx, deadline)
            .await
    }
}

impl Channel for Core {
    type Own = Process;

    fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    fn events(&self) -> &Events {
        &self.shared.events
    }

    fn watched(&self) -> &Watched {
        &self.shared.watched
    }

    fn lanes(&self) -> &Lanes<Process> {
        &self.lanes
    }

    fn chores(&self) -> &Chores {
        &self.chores
    }

    fn listening(&self) -> &Listening {
        &self.shared.listening
    }

    async fn offered(&self) -> Result<Offer, BackendError> {
        let mut offer = offer::read(self).await?;
        if self.hello().await?.era == Era::Legacy {
            self.shared.extras.complete(&mut offer);
        }
        Ok(offer)
    }

    async fn end(&self) {
        self.chores.stop();
        let shared = async {
            if let Some(process) = self.process.close().await {
                process.end().await;
            }
        };
        tokio::join!(shared, self.lanes.close());
    }

    async fn hello(&self) -> Result<Arc<Hello>, BackendError> {
        Ok(Arc::clone(&self.process().await?.hello))
    }

    async fn known(&self) -> Result<Arc<Hello>, BackendError> {
        match self.shared.known.get() {
            Some(hello) => Ok(hello),
            None => self.hello().await,
        }
    }

    async fn open_ahead(
        &self,
        session: &SessionKey,
        client: &ClientRef,
    ) -> Result<(), BackendError> {
        let hello = self.known().await;
        let owner = hello.as_ref().ok();
        let owner = owner.and_then(|hello| Owner::of(client, hello));
        let open = |owner, life| Process::start_own(Arc::clone(&self.shared), owner, life);
        self.lanes.open_ahead(session, owner, open).await?;
        hello.map(drop)
    }

    async fn ask_own(
        &self,
        ask: Ask<'_>,
        client: &ClientRef,
    ) -> Result<Option<Seat<Process>>, BackendError> {
        let mut is_first = true;
        loop {
            let Spot::Own(seat) = self.seat(client).await? else {
                return Ok(None);
            };
            match self.once(&seat.connection, ask, None).await {
                // It died between the look and the question.
                Err(BackendError::Unavailable { .. }) if is_first && seat.connection.is_dead() => {
                    is_first = false;
                }
                other => return other.map(|_| Some(seat)),
            }
        }
    }

    async fn ask_on(
        &self,
        connection: &Arc<Process>,
        ask: Ask<'_>,
    ) -> Result<RawJson, BackendError> {
        if connection.is_dead() {
            return Err(self.shared.settings.unavailable("its process has ended"));
        }
        self.once(connection, ask, None).await
    }

    async fn ask(&self, ask: Ask<'_>, ctx: Option<&CallContext>) -> Result<RawJson, BackendError> {
        let client = ctx.map(CallContext::client);
        let settings = &self.shared.settings;
        let mut is_first = true;
        loop {
            let spot = match &client {
                Some(client) => self.seat(client).await?,
                None => Spot::Shared(None),
            };
            let process = match &spot {
                Spot::Own(seat) => Arc::clone(&seat.connection),
                Spot::Shared(_) => self.process().await?,
            };
            self.set_level(&process, ctx).await;
            let outcome = self.once(&process, ask, ctx).await;
            match outcome {
                // It died between the look and the call.
                Err(BackendError::Unavailable { .. }) if is_first && process.is_dead() => {
                    is_first = false;
                }
                outcome => {
                    let settled =
                        outcome.map(|result| relay::settled(result, process.hello.era, &ask, ctx));
                    return match spot {
                        Spot::Shared(Some(lack)) => lack.explain(&settings.server, settled),
                        _ => settled,
                    };
                }
            }
        }
    }
}

relay::backend!(StdioServer);
