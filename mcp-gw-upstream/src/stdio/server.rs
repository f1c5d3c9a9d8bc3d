//! The backend over a child process: started by the first call, shared by all, started again when
//! it has died.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

use mcp_gw_core::{BackendError, CallContext, Offer, RawJson};

use crate::ask::Ask;
use crate::channel::{Base, Channel, Verdict};
use crate::common::Common;
use crate::deadline::Deadline;
use crate::era::Era;
use crate::error::Error;
use crate::offer;
use crate::relay;
use crate::room::Bounds;
use crate::stdio::config::StdioServerConfig;
use crate::stdio::life::Life;
use crate::stdio::process::{Process, Shared};

/// An MCP server in a child process, of any revision from 2024-11-05 to 2026-07-28.
///
/// The process is started by the first call and serves all callers; beside it, clients of a server of
/// an old revision that can be asked something (sampling, elicitation, roots), or that want log
/// messages of a certain level, get a process of their own: see
/// [`StdioServerConfig::max_connections`]. When a process dies, the calls that
/// wait for it fail at once and the next one starts it again; one that dies again and again is
/// left alone for longer and longer. One that closes its input or output has died, and one that
/// fails its checks (see [`HealthConfig`](crate::HealthConfig)) is ended. It runs in a process group of its own, which is ended as a
/// whole when the backend is closed or dropped: its input is closed, then it is asked to end
/// (`SIGTERM`), then it is killed (`SIGKILL`), with [`StdioServerConfig::grace`] between.
#[derive(Debug)]
pub struct StdioServer {
    core: Arc<Core>,
}

#[derive(Debug)]
struct Core {
    base: Base<Process>,
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
        let shared = Shared {
            common: Common::new(config.settings()),
            config: config.clone(),
            life: Arc::new(Life::default()),
            is_deadly: AtomicBool::new(false),
        };
        let bounds = Bounds::new(
            config.max_connections,
            config.max_connections_per_caller,
            config.idle_timeout,
        );
        shared.common.watched.bereaved.seen_to_by(this);
        Self {
            base: Base::new(shared, bounds, relay::adopting(this)),
        }
    }
}

impl Channel for Core {
    type Own = Process;

    fn base(&self) -> &Base<Process> {
        &self.base
    }

    async fn offered(&self) -> Result<Offer, BackendError> {
        let mut offer = offer::read(self).await?;
        if self.base.hello().await?.era == Era::Legacy {
            self.common().extras.complete(&mut offer);
        }
        Ok(offer)
    }

    fn renew(&self, reason: &str) {
        if let Some(process) = self.base.shared_now() {
            tracing::warn!(
                target: "mcp_gw::upstream",
                server = &*self.common().settings.server,
                reason,
                "a process fails its checks and is ended"
            );
            process
                .pipe
                .give_up(&format!("it was ended, as it fails its checks: {reason}"));
        }
    }

    async fn once(
        &self,
        process: &Arc<Process>,
        ask: Ask<'_>,
        ctx: Option<&CallContext>,
    ) -> Result<RawJson, Verdict> {
        let settings = &self.common().settings;
        let deadline = Deadline::new(settings.timeout, settings.max_total_timeout);
        let call = process.pipe.call(&ask, process.hello.era, ctx, deadline);
        call.await.map_err(|error| match error {
            // It died between the look and the question.
            BackendError::Unavailable { .. } if process.is_dead() => Verdict::Stale(error),
            error => Verdict::Final(error),
        })
    }
}

relay::backend!(StdioServer);
