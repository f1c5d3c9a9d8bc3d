//! The backend over a child process: started by the first call, shared by all, started again when
//! it has died.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mcp_gw_core::{BackendError, CallContext, Offer, RawJson};

use crate::ask::Ask;
use crate::deadline::Deadline;
use crate::era::Hello;
use crate::error::Error;
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
/// The process is started by the first call and serves all callers. When it dies, the calls that
/// wait for it fail at once and the next one starts it again; one that dies again and again is
/// left alone for longer and longer. It runs in a process group of its own, which is ended as a
/// whole when the backend is closed or dropped: its input is closed, then it is asked to end
/// (`SIGTERM`), then it is killed (`SIGKILL`), with [`StdioServerConfig::grace`] between.
#[derive(Debug)]
pub struct StdioServer {
    shared: Arc<Shared>,
    process: Single<Process>,
}

impl StdioServer {
    /// A backend for the server that `config` describes. Starts nothing yet.
    ///
    /// # Errors
    /// When the command, an argument or a variable is one that no process can have.
    pub fn new(config: &StdioServerConfig) -> Result<Self, Error> {
        config.check()?;
        Ok(Self {
            shared: Arc::new(Shared {
                settings: config.settings(),
                config: config.clone(),
                events: Arc::new(Events::default()),
                life: Arc::new(Life::default()),
                subscriptions: Subscriptions::default(),
                is_deadly: AtomicBool::new(false),
            }),
            process: Single::default(),
        })
    }

    /// A process that lives, as far as anybody knows.
    async fn process(&self) -> Result<Arc<Process>, BackendError> {
        let start = || Process::start(Arc::clone(&self.shared));
        let settings = &self.shared.settings;
        let process = self.process.get(settings, start).await?;
        if process.pipe.pending.dead().is_none() {
            return Ok(process);
        }
        self.process.forget(&process);
        self.process.get(settings, start).await
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

    async fn offered(&self) -> Result<Offer, BackendError> {
        offer::read(self).await
    }

    async fn end(&self) {
        if let Some(process) = self.process.close().await {
            process.pipe.end().await;
        }
    }

    async fn hello(&self) -> Result<Arc<Hello>, BackendError> {
        Ok(Arc::clone(&self.process().await?.hello))
    }

    async fn ask(&self, ask: Ask<'_>, ctx: Option<&CallContext>) -> Result<RawJson, BackendError> {
        let process = self.process().await?;
        let outcome = self.once(&process, ask, ctx).await;
        let is_dead = process.pipe.pending.dead().is_some();
        match outcome {
            // It died between the look and the call.
            Err(BackendError::Unavailable { .. }) if is_dead => {
                self.process.forget(&process);
                drop(process);
                let process = self.process().await?;
                self.once(&process, ask, ctx).await
            }
            other => other,
        }
    }
}

relay::backend!(StdioServer);
