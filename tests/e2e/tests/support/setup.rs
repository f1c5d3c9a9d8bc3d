//! What is put in front of what: configurations, gateways, servers behind them.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::client::{Client, Era, Wire};
use super::http::Endpoint;
use super::process::Process;
use super::{HTTP_BIN, ODD_BIN, STDIO_BIN};

/// A folder that goes away with the test.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", std::process::id());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file, and says where it is.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How the odd server is reached, and what it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Odd {
    pub(crate) era: Era,
    pub(crate) is_http: bool,
}

/// Each way to have the odd server behind the gateway.
pub(crate) const ODDS: [Odd; 4] = [
    Odd::stdio(Era::Legacy),
    Odd::stdio(Era::Modern),
    Odd::http(Era::Legacy),
    Odd::http(Era::Modern),
];

impl Odd {
    pub(crate) const fn stdio(era: Era) -> Self {
        Self {
            era,
            is_http: false,
        }
    }

    pub(crate) const fn http(era: Era) -> Self {
        Self { era, is_http: true }
    }

    pub(crate) const fn flag(self) -> &'static str {
        match self.era {
            Era::Legacy => "--legacy",
            Era::Modern => "--modern",
        }
    }
}

/// A configuration in the making, and the servers that it names.
#[derive(Debug)]
pub(crate) struct Setup {
    verbatim: Option<String>,
    top: String,
    servers: String,
    upstreams: Vec<Process>,
}

impl Setup {
    pub(crate) const fn new() -> Self {
        Self {
            verbatim: None,
            top: String::new(),
            servers: String::new(),
            upstreams: Vec::new(),
        }
    }

    /// Exactly this configuration.
    pub(crate) fn verbatim(yaml: &str) -> Self {
        let mut setup = Self::new();
        setup.verbatim = Some(yaml.to_owned());
        setup
    }

    /// With the odd server as `odd`, and nothing else.
    pub(crate) fn of(odd: Odd) -> Self {
        Self::new().odd("odd", odd, &[], "")
    }

    /// Adds lines of YAML at the top level.
    #[must_use]
    pub(crate) fn with(mut self, yaml: &str) -> Self {
        let _ = writeln!(self.top, "{yaml}");
        self
    }

    /// Adds the odd server under this name, with further arguments and further YAML (`key: value`
    /// pairs, each with a comma before it).
    #[must_use]
    pub(crate) fn odd(mut self, name: &str, odd: Odd, args: &[&str], yaml: &str) -> Self {
        if odd.is_http {
            let mut command = Command::new(ODD_BIN);
            let server = Process::start(command.args([odd.flag(), "--http"]).args(args));
            let url = server.stdout.with("http://");
            let _ = writeln!(self.servers, "  {name}: {{ url: {url:?}{yaml} }}");
            self.upstreams.push(server);
        } else {
            let args = [&[odd.flag()], args].concat();
            let _ = writeln!(
                self.servers,
                "  {name}: {{ command: {ODD_BIN:?}, args: {args:?}{yaml} }}"
            );
        }
        self
    }

    /// Adds the odd server under this name in so many places, with further YAML as above.
    #[must_use]
    pub(crate) fn odd_places(self, name: &str, era: Era, places: usize, yaml: &str) -> Self {
        self.odd_each(name, era, &vec![&[][..]; places], yaml)
    }

    /// Adds the odd server under this name in places with these further arguments, one for each, and
    /// with further YAML as above.
    #[must_use]
    pub(crate) fn odd_each(mut self, name: &str, era: Era, places: &[&[&str]], yaml: &str) -> Self {
        let mut urls = Vec::new();
        for args in places {
            let mut command = Command::new(ODD_BIN);
            let command = command.args([Odd::http(era).flag(), "--http"]);
            let server = Process::start(command.args(*args));
            urls.push(server.stdout.with("http://"));
            self.upstreams.push(server);
        }
        let _ = writeln!(self.servers, "  {name}: {{ urls: {urls:?}{yaml} }}");
        self
    }

    /// Adds a server that is a command.
    #[must_use]
    pub(crate) fn command(mut self, name: &str, command: &str, args: &[&str]) -> Self {
        let _ = writeln!(
            self.servers,
            "  {name}: {{ command: {command:?}, args: {args:?} }}"
        );
        self
    }

    fn yaml(&self) -> String {
        if let Some(yaml) = &self.verbatim {
            return yaml.clone();
        }
        let Self { top, servers, .. } = self;
        let mut yaml = String::new();
        for (key, default) in [
            ("policy:", "policy: { default: allow }\n"),
            ("http:", "http: { listen: \"127.0.0.1:0\" }\n"),
        ] {
            if !top.contains(key) {
                yaml += default;
            }
        }
        format!("{yaml}{top}servers:\n{servers}")
    }

    fn command_line(&self, binary: &str) -> (Command, Folder) {
        let folder = Folder::new();
        let file = folder.file("mcp-gw.yaml", &self.yaml());
        let mut command = Command::new(binary);
        command.args(["--config", &file, "--log-format", "json"]);
        (command, folder)
    }

    /// Starts the gateway over HTTP.
    pub(crate) fn over_http(self) -> Running {
        let (mut command, folder) = self.command_line(HTTP_BIN);
        let process = Process::start(&mut command);
        let line = process.stderr.with("listening on ");
        let url = line.rsplit(' ').next().unwrap();
        let endpoint = Endpoint::at(url);
        Running {
            process,
            endpoint: Some(endpoint.clone()),
            wire: Arc::new(endpoint),
            upstreams: self.upstreams,
            folder,
        }
    }

    /// What `check` says, and the code with which it ends.
    pub(crate) fn check(self, binary: &str, args: &[&str]) -> (Option<i32>, String) {
        let folder = Folder::new();
        let file = folder.file("mcp-gw.yaml", &self.yaml());
        let mut command = Command::new(binary);
        let output = command
            .args(["check", "--config", &file])
            .args(args)
            .output();
        let output = output.unwrap();
        let says = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), says)
    }

    /// Starts the gateway on standard streams.
    pub(crate) fn over_stdio(self) -> Running {
        self.over_stdio_with(&[])
    }

    /// Starts the gateway on standard streams, with further arguments.
    pub(crate) fn over_stdio_with(self, args: &[&str]) -> Running {
        let (mut command, folder) = self.command_line(STDIO_BIN);
        command.args(args);
        let (process, pipe) = Process::start_piped(&mut command);
        Running {
            process,
            endpoint: None,
            wire: pipe,
            upstreams: self.upstreams,
            folder,
        }
    }
}

/// A gateway that runs. It ends with this.
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) wire: Arc<dyn Wire>,
    /// Over HTTP only.
    pub(crate) endpoint: Option<Endpoint>,
    /// The servers behind it that are not its children.
    pub(crate) upstreams: Vec<Process>,
    folder: Folder,
}

impl Running {
    /// A client of it.
    pub(crate) fn client(&self, era: Era) -> Client {
        Client::open(&self.wire, era)
    }

    /// Another endpoint of a gateway over HTTP.
    pub(crate) fn endpoint_at(&self, name: &str) -> Endpoint {
        let mut endpoint = self.endpoint().clone();
        endpoint.path = format!("{}/{name}", endpoint.path);
        endpoint
    }

    /// The endpoint of a gateway over HTTP.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        self.endpoint.as_ref().expect("a gateway over HTTP")
    }

    /// The configuration that it was started with, or got last.
    pub(crate) fn configuration(&self) -> String {
        std::fs::read_to_string(self.folder.0.join("mcp-gw.yaml")).unwrap()
    }

    /// Puts another configuration in the place of the one there is, as editors do.
    pub(crate) fn configure(&self, yaml: &str) {
        let new = self.folder.file("mcp-gw.yaml.new", yaml);
        std::fs::rename(new, self.folder.0.join("mcp-gw.yaml")).unwrap();
    }

    /// Waits until the gateway has said that a server is up, in a log of JSON.
    pub(crate) fn wait_until_up(&self, server: &str) {
        let name = format!("\"server\":\"{server}\"");
        let is_it = |line: &str| line.contains("\"a server is up\"") && line.contains(&name);
        self.process.stderr.first(1, is_it);
    }

    /// Waits until the gateway has said that it stops.
    pub(crate) fn wait_until_stopping(&self) {
        self.process
            .stderr
            .with("stopping when open calls have ended");
    }

    /// Waits until the servers behind have said this so often.
    pub(crate) fn wait_for_upstream(&self, says: &str, times: usize) {
        self.upstream_lines(says, times);
    }

    /// The first lines, as many as are asked for, in which the servers behind have said this.
    pub(crate) fn upstream_lines(&self, says: &str, times: usize) -> Vec<String> {
        match self.upstreams.as_slice() {
            [] => self.process.stderr.first(times, |line| line.contains(says)),
            [one, ..] => one.stderr.first(times, |line| line.contains(says)),
        }
    }

    /// The first audit lines, as many as are asked for.
    pub(crate) fn audit(&self, count: usize) -> Vec<String> {
        self.process
            .stderr
            .first(count, |line| line.contains("\"target\":\"mcp_gw::audit\""))
    }
}
