//! The backend over a child process: started by the first call, shared by all, started again when
//! it has died.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mcp_gw_core::{BackendError, CallContext, Offer, RawJson, SessionKey};

use crate::ask::Ask;
use crate::deadline::Deadline;
use crate::era::{Hello, Known};
use crate::error::Error;
use crate::lanes::{Connection as _, Lanes, Seat};
use crate::listen_stream::Listening;
use crate::notice::Events;
use crate::offer;
use crate::relay::{self, Channel};
use crate::settings::Settings;
use crate::single::Single;
use crate::stdio::config::StdioServerConfig;
use crate::stdio::life::Life;
use crate::stdio::process::{Process, Shared};
use crate::subscriptions::Subscriptions;

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
    shared: Arc<Shared>,
    process: Single<Process>,
    lanes: Lanes<Process>,
}

impl StdioServer {
    /// A backend for the server that `config` describes. Starts nothing yet.
    ///
    /// # Errors
    /// When the command, an argument or a variable is one that no process can have.
    pub fn new(config: &StdioServerConfig) -> Result<Self, Error> {
        config.check()?;
        let events: Arc<Events> = Arc::default();
        Ok(Self {
            shared: Arc::new(Shared {
                settings: config.settings(),
                config: config.clone(),
                listening: Arc::new(Listening::new(Arc::clone(&events))),
                events,
                known: Known::default(),
                life: Arc::new(Life::default()),
                subscriptions: Subscriptions::default(),
                is_deadly: AtomicBool::new(false),
            }),
            process: Single::default(),
            lanes: Lanes::new(
                config.settings(),
                config.max_connections,
                config.idle_timeout,
            ),
        })
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

    /// The process of the client that makes this call, when it must have one.
    async fn seat(&self, ctx: Option<&CallContext>) -> Result<Option<Seat<Process>>, BackendError> {
        if ctx.is_none() {
            return Ok(None);
        }
        let hello = match self.shared.known.get() {
            Some(hello) => hello,
            None => self.hello().await?,
        };
        let open = |owner, life| Process::start_own(Arc::clone(&self.shared), owner, life);
        let Some(seat) = self.lanes.seat(&hello, ctx, open).await? else {
            return Ok(None);
        };
        if seat.connection.is_alive().await {
            return Ok(Some(seat));
        }
        seat.forget();
        drop(seat);
        self.lanes.seat(&hello, ctx, open).await
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

impl Channel for StdioServer {
    fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    fn events(&self) -> &Events {
        &self.shared.events
    }

    fn subscriptions(&self) -> &Subscriptions {
        &self.shared.subscriptions
    }

    fn listening(&self) -> &Listening {
        &self.shared.listening
    }

    async fn offered(&self) -> Result<Offer, BackendError> {
        offer::read(self).await
    }

    async fn end(&self) {
        let shared = async {
            if let Some(process) = self.process.close().await {
                process.end().await;
            }
        };
        tokio::join!(shared, self.lanes.close());
    }

    fn end_session(&self, session: &SessionKey) {
        self.lanes.end_session(session);
    }

    fn roots_changed(&self, session: &SessionKey) {
        self.lanes.roots_changed(session);
    }

    async fn hello(&self) -> Result<Arc<Hello>, BackendError> {
        Ok(Arc::clone(&self.process().await?.hello))
    }

    async fn ask(&self, ask: Ask<'_>, ctx: Option<&CallContext>) -> Result<RawJson, BackendError> {
        let mut is_first = true;
        loop {
            let seat = self.seat(ctx).await?;
            let process = match &seat {
                Some(seat) => Arc::clone(&seat.connection),
                None => self.process().await?,
            };
            self.set_level(&process, ctx).await;
            let outcome = self.once(&process, ask, ctx).await;
            match outcome {
                // It died between the look and the call.
                Err(BackendError::Unavailable { .. }) if is_first && process.is_dead() => {
                    is_first = false;
                }
                other => return other,
            }
        }
    }
}

relay::backend!(StdioServer);
