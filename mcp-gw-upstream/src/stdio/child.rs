//! The child process: started in a group of its own, ended with all it has started, always reaped.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcp_gw_core::BackendError;
use tokio::process::{Child, Command};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::desk::Desk;
use crate::settings::Settings;
use crate::stdio::config::StdioServerConfig;

/// What stands in an error before that which a process wrote to its standard error last.
pub const BEFORE_LAST_WORDS: &str = "; its last words: ";

/// So long the last words of a process that is gone are waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Starts the process.
pub(crate) fn spawn(
    config: &StdioServerConfig,
    settings: &Settings,
) -> Result<Child, BackendError> {
    if let Some(cwd) = config.cwd.as_ref().filter(|cwd| !cwd.is_dir()) {
        let shown = cwd.display();
        return Err(settings.unavailable(format!("its `cwd` {shown} is not a folder")));
    }
    let mut command = Command::new(&config.command);
    command
        .args(&config.args)
        .env_clear()
        .envs(config.base_env.iter().map(|(name, value)| (name, value)))
        .envs(
            config
                .env
                .iter()
                .map(|(name, value)| (name, value.expose())),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if let Some(cwd) = &config.cwd {
        command.current_dir(cwd);
    }
    #[cfg(unix)]
    command.process_group(0);
    command
        .spawn()
        .map_err(|error| settings.unavailable(spawn_reason(&config.command, &error)))
}

fn spawn_reason(command: &str, error: &io::Error) -> String {
    let is_path = command.contains(std::path::is_separator);
    match error.kind() {
        io::ErrorKind::NotFound if is_path => {
            format!("command `{command}` does not exist; check the path in `command`")
        }
        io::ErrorKind::NotFound => format!(
            "command `{command}` was not found in PATH; install it or give the full path in \
             `command`"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("command `{command}` may not be run; check its permissions")
        }
        _ => format!("command `{command}` cannot be run: {error}"),
    }
}

/// All processes that the child has started and that stayed in its group. Killed when dropped, so
/// that also a runtime that ends leaves none behind.
#[derive(Debug)]
struct Group(#[cfg(unix)] Option<rustix::process::Pid>);

impl Group {
    #[cfg(unix)]
    fn of(child: &Child) -> Self {
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        Self(pid.and_then(rustix::process::Pid::from_raw))
    }

    #[cfg(not(unix))]
    const fn of(_child: &Child) -> Self {
        Self()
    }

    /// Asks all to end.
    fn terminate(&self) {
        #[cfg(unix)]
        if let Some(pid) = self.0 {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::TERM);
        }
    }

    /// Ends all.
    fn kill(&mut self) {
        #[cfg(unix)]
        if let Some(pid) = self.0.take() {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The tasks that read from and write to the process.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) stdin: JoinHandle<()>,
    pub(crate) stdout: JoinHandle<()>,
    pub(crate) stderr: JoinHandle<()>,
    /// The last line of the process's log.
    pub(crate) last_words: Arc<Mutex<String>>,
}

/// Why a child is of no use any more.
enum Cause {
    Ended(Option<ExitStatus>),
    /// It lives, as far as is known, and cannot be spoken with.
    Left(&'static str),
    /// It was given up.
    Ill(String),
    Unwanted,
}

/// Owns the child until it is reaped.
#[derive(Debug)]
pub(crate) struct Keeper {
    child: Child,
    group: Group,
    streams: Streams,
    grace: Duration,
    desk: Arc<Desk>,
    /// Tells that everything is over.
    gone: watch::Sender<bool>,
}

impl Keeper {
    pub(crate) fn new(
        child: Child,
        streams: Streams,
        grace: Duration,
        desk: Arc<Desk>,
        gone: watch::Sender<bool>,
    ) -> Self {
        Self {
            group: Group::of(&child),
            child,
            streams,
            grace,
            desk,
            gone,
        }
    }

    /// Keeps the child until it ends, or until `stop` is dropped, and then ends it. One that
    /// closes a stream that is needed to speak with it is of no use any more and is ended as well, and
    /// so is one for which a reason comes through `stop`. `died` hears why, except when it was dropped.
    pub(crate) async fn run(
        mut self,
        stop: oneshot::Receiver<String>,
        died: impl FnOnce(&str) + Send,
    ) {
        let cause = tokio::select! {
            status = self.child.wait() => Cause::Ended(status.ok()),
            _ = &mut self.streams.stdout => Cause::Left("it closed its output"),
            // The end of the tasks that send comes with that of the output, or with `stop`.
            _ = &mut self.streams.stdin => Cause::Left("it closed its input"),
            why = stop => match why {
                Ok(why) => Cause::Ill(why),
                Err(_) => Cause::Unwanted,
            }
        };
        if matches!(cause, Cause::Unwanted) {
            self.desk.pending.close("the gateway has closed it");
            self.end().await;
            self.finish();
            return;
        }
        // From here on nothing is sent to it any more. What was sent before may still be answered.
        self.desk.pending.seal("it has ended");
        let reason = match cause {
            Cause::Ended(status) => self.last_answers(status).await,
            // Mostly it is about to end.
            Cause::Left(how) => match timeout(LAST_WORDS, self.child.wait()).await {
                Ok(status) => self.last_answers(status.ok()).await,
                Err(_) => self.reason(how),
            },
            Cause::Ill(why) => self.reason(&why),
            Cause::Unwanted => String::new(),
        };
        // Told before the calls fail, so that whoever tries again finds it recorded.
        died(&reason);
        self.desk.pending.close(&reason);
        // Nobody waits for the end of one that lives on but those who start it again.
        self.end_now().await;
        self.finish();
    }

    /// Reads what a process that has ended has said before, and says how it has ended.
    async fn last_answers(&mut self, status: Option<ExitStatus>) -> String {
        self.group.kill();
        // What it has answered before its end counts.
        if !self.streams.stdout.is_finished() {
            let _ = timeout(LAST_WORDS, &mut self.streams.stdout).await;
        }
        let _ = timeout(LAST_WORDS, &mut self.streams.stderr).await;
        match status {
            Some(status) => self.reason(&format!("it ended with {status}")),
            None => self.reason("it ended"),
        }
    }

    /// Closes its input, then asks it to end, then ends it.
    async fn end(&mut self) {
        if !self.streams.stdin.is_finished() {
            self.streams.stdin.abort();
            let _ = (&mut self.streams.stdin).await;
        }
        if timeout(self.grace, self.child.wait()).await.is_err() {
            self.end_now().await;
        }
        self.group.kill();
    }

    /// Asks it to end, then ends it, with all it has started.
    async fn end_now(&mut self) {
        // What waits to be written to it fails.
        self.streams.stdin.abort();
        self.group.terminate();
        let ended = timeout(self.grace, self.child.wait()).await;
        self.group.kill();
        if ended.is_err() {
            let _ = self.child.start_kill();
            let _ = self.child.wait().await;
        }
    }

    /// How it went, and what it said last.
    fn reason(&self, how: &str) -> String {
        let last = self
            .streams
            .last_words
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if last.is_empty() {
            how.to_owned()
        } else {
            format!("{how}{BEFORE_LAST_WORDS}{last}")
        }
    }

    fn finish(self) {
        self.streams.stdin.abort();
        self.streams.stdout.abort();
        self.streams.stderr.abort();
        self.gone.send_replace(true);
    }
}
