//! How a child process is started, talked to and ended.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::Secret;

use crate::error::Error;
use crate::settings::{ClientInfo, Settings};
use crate::vet::Vet;

/// How to run an MCP server as a child process.
///
/// The child does not inherit the environment of the gateway: it gets [`Self::base_env`] and
/// [`Self::env`], and nothing else.
#[derive(Clone)]
#[non_exhaustive]
pub struct StdioServerConfig {
    /// The name of the backend; unique in a gateway.
    pub name: String,
    /// The program: a path, or a name to be found in the `PATH` that the child gets.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables that the child gets beside [`Self::base_env`]; they win.
    pub env: Vec<(String, Secret<String>)>,
    /// Variables that every child gets. Empty by default; see [`Self::with_inherited_env`].
    pub base_env: Vec<(OsString, OsString)>,
    /// The directory to run it in; that of the gateway by default.
    pub cwd: Option<PathBuf>,
    /// How the gateway introduces itself.
    pub client_info: ClientInfo,
    /// How long it may take to start and to answer for the first time. 30 s by default, as some
    /// commands download what they run.
    pub start_timeout: Duration,
    /// How long the first question, which an old server may not answer, may take before the
    /// handshake is tried. 2 s by default.
    pub probe_timeout: Duration,
    /// How long a request may take; progress starts it anew. 60 s by default.
    pub timeout: Duration,
    /// How long a request may take with all its progress. 10 min by default.
    pub max_total_timeout: Duration,
    /// How long the child gets to end by itself, and again to end when it is asked to. 2 s by
    /// default.
    pub grace: Duration,
    /// The longest line that is taken from the child, in bytes. 16 MiB by default.
    pub max_message_bytes: usize,
    /// How many clients may have a process of their own at the same time, beside the one that all
    /// share; those who find no room share. Servers of 2026-07-28 need no other. 16 by default. No
    /// more than 4 are started before their clients have called something.
    pub max_connections: usize,
    /// How many of them the clients of one caller may have; half of them if `None`, and at least one.
    /// Clients of a gateway without authentication are all of one caller.
    pub max_connections_per_caller: Option<usize>,
    /// How long a process of a client's own is kept while it is not used. 30 min by default.
    pub idle_timeout: Duration,
    /// Who hears of the lines that its processes write to their log, standard error, beside the log of
    /// the gateway.
    pub log_lines: Option<Arc<dyn LogLines>>,
    /// Judges what the server lists on each new connection before requests of clients go there.
    pub vet: Option<Arc<dyn Vet>>,
}

/// Hears of lines that a child process writes to its standard error. Must not block.
pub trait LogLines: Send + Sync + 'static {
    /// One line without its end and without control characters; a long one is cut.
    fn line(&self, line: &str);
}

impl StdioServerConfig {
    /// The server that `command` runs, with the defaults.
    pub fn new(name: impl Into<String>, command: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            command: command.into(),
            args: Vec::new(),
            env: Vec::new(),
            base_env: Vec::new(),
            cwd: None,
            client_info: ClientInfo::default(),
            start_timeout: Duration::from_secs(30),
            probe_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(60),
            max_total_timeout: Duration::from_secs(600),
            grace: Duration::from_secs(2),
            max_message_bytes: 16 * 1024 * 1024,
            max_connections: 16,
            max_connections_per_caller: None,
            idle_timeout: Duration::from_secs(30 * 60),
            log_lines: None,
            vet: None,
        }
    }

    /// Sets who hears of the lines of the child's log.
    #[must_use]
    pub fn with_log_lines(mut self, to: Arc<dyn LogLines>) -> Self {
        self.log_lines = Some(to);
        self
    }

    /// Sets the arguments.
    #[must_use]
    pub fn with_args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args = args.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a variable to the child's environment.
    #[must_use]
    pub fn with_env(mut self, name: impl Into<String>, value: impl Into<Secret<String>>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Takes, of all variables of the gateway, those that programs need and that hold no secrets:
    /// `PATH`, `HOME`, `USER`, `LOGNAME`, `LANG`, `LC_*`, `TMPDIR`, `TZ`, `SHELL`, `TERM`, and on
    /// Windows those that point to the system's and the user's folders.
    ///
    /// A binary passes `std::env::vars_os()`; this crate does not read the environment.
    #[must_use]
    pub fn with_inherited_env(
        mut self,
        all: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        self.base_env = all.into_iter().filter(|(name, _)| is_safe(name)).collect();
        self
    }

    /// Sets the directory to run it in.
    #[must_use]
    pub fn with_cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.cwd = Some(cwd.into());
        self
    }

    /// Sets how the gateway introduces itself.
    #[must_use]
    pub fn with_client_info(mut self, info: ClientInfo) -> Self {
        self.client_info = info;
        self
    }

    /// Sets how long it may take to start.
    #[must_use]
    pub const fn with_start_timeout(mut self, limit: Duration) -> Self {
        self.start_timeout = limit;
        self
    }

    /// Sets how long the first question may take before the handshake is tried.
    #[must_use]
    pub const fn with_probe_timeout(mut self, limit: Duration) -> Self {
        self.probe_timeout = limit;
        self
    }

    /// Sets how long a request may take; progress starts it anew.
    #[must_use]
    pub const fn with_timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Sets how long a request may take with all its progress.
    #[must_use]
    pub const fn with_max_total_timeout(mut self, limit: Duration) -> Self {
        self.max_total_timeout = limit;
        self
    }

    /// Sets how long the child gets to end.
    #[must_use]
    pub const fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets the longest line that is taken from the child, in bytes.
    #[must_use]
    pub const fn with_max_message_bytes(mut self, limit: usize) -> Self {
        self.max_message_bytes = limit;
        self
    }

    /// Sets how many clients may have a process of their own at the same time.
    #[must_use]
    pub const fn with_max_connections(mut self, limit: usize) -> Self {
        self.max_connections = limit;
        self
    }

    /// Sets how many of them the clients of one caller may have.
    #[must_use]
    pub const fn with_max_connections_per_caller(mut self, limit: Option<usize>) -> Self {
        self.max_connections_per_caller = limit;
        self
    }

    /// Sets how long a process of a client's own is kept while it is not used.
    #[must_use]
    pub const fn with_idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = limit;
        self
    }

    /// Has what the server lists on each new connection judged before requests of clients go there.
    #[must_use]
    pub fn with_vet(mut self, vet: Option<Arc<dyn Vet>>) -> Self {
        self.vet = vet;
        self
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            server: self.name.as_str().into(),
            client_info: Settings::client_info(&self.client_info),
            timeout: self.timeout,
            max_total_timeout: self.max_total_timeout,
            probe_timeout: self.probe_timeout,
            max_message_bytes: self.max_message_bytes,
            vet: self.vet.clone(),
        }
    }

    /// What the system would refuse, or understand otherwise than it was meant.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |option, reason| {
            Err(Error::Option {
                server: self.name.clone(),
                option,
                reason,
            })
        };
        if self.command.is_empty() {
            return wrong("command", "is empty");
        }
        if self.command.contains('\0') || self.args.iter().any(|arg| arg.contains('\0')) {
            return wrong("command", "or an argument of it holds a zero byte");
        }
        let is_bad = |name: &str| name.is_empty() || name.contains(['=', '\0']);
        let mut env = self.env.iter();
        if env.any(|(name, value)| is_bad(name) || value.expose().contains('\0')) {
            return wrong("env", "holds a name or value that no variable can have");
        }
        Ok(())
    }
}

/// True for variables that programs need and that hold no secrets.
fn is_safe(name: &OsStr) -> bool {
    const UNIX: [&str; 16] = [
        "HOME",
        "LANG",
        "LOGNAME",
        "NODE_EXTRA_CA_CERTS",
        "PATH",
        "SHELL",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TERM",
        "TMPDIR",
        "TZ",
        "USER",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_RUNTIME_DIR",
    ];
    const WINDOWS: [&str; 15] = [
        "APPDATA",
        "COMSPEC",
        "HOMEDRIVE",
        "HOMEPATH",
        "LOCALAPPDATA",
        "PATH",
        "PATHEXT",
        "PROCESSOR_ARCHITECTURE",
        "PROGRAMDATA",
        "PROGRAMFILES",
        "SYSTEMDRIVE",
        "SYSTEMROOT",
        "TEMP",
        "TMP",
        "USERPROFILE",
    ];
    let Some(name) = name.to_str() else {
        return false;
    };
    if cfg!(windows) {
        WINDOWS.iter().any(|safe| name.eq_ignore_ascii_case(safe))
    } else {
        UNIX.contains(&name) || name.starts_with("LC_")
    }
}

/// Arguments are not shown: some programs take credentials there.
impl fmt::Debug for StdioServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdioServerConfig")
            .field("name", &self.name)
            .field("command", &self.command)
            .field("args", &self.args.len())
            .field("env", &self.env)
            .field("cwd", &self.cwd)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn only_harmless_variables_are_inherited() {
        let all = ["PATH", "LC_ALL", "AWS_SECRET_ACCESS_KEY", "LD_PRELOAD"];
        let config = StdioServerConfig::new("s", "c")
            .with_inherited_env(all.map(|name| (name.into(), "v".into())));
        let names: Vec<_> = config.base_env.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["PATH", "LC_ALL"]);
    }

    #[test]
    fn debug_shows_neither_values_nor_arguments() {
        let config = StdioServerConfig::new("s", "c")
            .with_args(["--key=hidden"])
            .with_env("TOKEN", "hidden".to_owned());
        assert!(!format!("{config:?}").contains("hidden"));
    }

    #[test]
    fn what_the_system_would_refuse_is_refused_at_once() {
        let good = StdioServerConfig::new("s", "c");
        assert!(good.check().is_ok());
        assert!(StdioServerConfig::new("s", "").check().is_err());
        assert!(good.clone().with_args(["a\0b"]).check().is_err());
        assert!(good.with_env("A=B", String::new()).check().is_err());
    }
}
