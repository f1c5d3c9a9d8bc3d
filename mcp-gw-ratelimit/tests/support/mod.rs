//! Redis and Valkey servers of a test's own: on a Unix socket in a folder that goes with them, or
//! on a port that the system chose.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub(crate) mod proxy;

/// Which program plays the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Redis,
    Valkey,
}

impl Program {
    #[expect(
        clippy::disallowed_methods,
        reason = "where the program is, is said by whoever runs the tests"
    )]
    /// Its name, or what the environment says instead.
    fn path(self) -> PathBuf {
        let (variable, name) = match self {
            Self::Redis => ("MCP_GW_REDIS_SERVER", "redis-server"),
            Self::Valkey => ("MCP_GW_VALKEY_SERVER", "valkey-server"),
        };
        std::env::var_os(variable).map_or_else(|| PathBuf::from(name), PathBuf::from)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "whether it has to be there, is said by whoever runs the tests"
    )]
    /// True when the program is there. Without it the test is skipped, loudly, or fails where
    /// `MCP_GW_REQUIRE_SERVICES` (Redis) or `MCP_GW_REQUIRE_VALKEY` (Valkey) is set.
    pub(crate) fn is_there(self) -> bool {
        let path = self.path();
        let there = Command::new(&path)
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        let variable = match self {
            Self::Redis => "MCP_GW_REQUIRE_SERVICES",
            Self::Valkey => "MCP_GW_REQUIRE_VALKEY",
        };
        let required = std::env::var_os(variable).is_some_and(|value| value == "1");
        assert!(
            there || !required,
            "{} is not there, and {variable}=1 says that it must be",
            path.display()
        );
        if !there {
            eprintln!("SKIPPED: {} is not there", path.display());
        }
        there
    }
}

/// A running server. Dropped, it is killed and its folder removed.
pub(crate) struct Server {
    child: Option<Child>,
    program: Program,
    arguments: Vec<String>,
    folder: tempfile::TempDir,
    port: Option<u16>,
}

impl Server {
    /// On a Unix socket, keeping nothing on disk. `None` when the program is not there.
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        Self::start_program(Program::Redis, arguments)
    }

    /// The same with `program`.
    pub(crate) fn start_program(program: Program, arguments: &[&str]) -> Option<Self> {
        program.is_there().then(|| {
            let mut server = Self::new(program, arguments, None);
            server.run().expect("the server starts");
            server
        })
    }

    /// On a TCP port of the loopback that was free a moment ago.
    pub(crate) fn start_on_port(arguments: &[&str]) -> Option<Self> {
        Program::Redis.is_there().then(|| {
            for _ in 0..20 {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let port = listener.local_addr().unwrap().port();
                drop(listener);
                // The bus of a cluster is on a port beside it, and there is none beyond 65535.
                let mut server = Self::new(Program::Redis, arguments, Some(port));
                if server.run().is_ok() {
                    return server;
                }
            }
            panic!("no port was free, 20 times in a row");
        })
    }

    fn new(program: Program, arguments: &[&str], port: Option<u16>) -> Self {
        Self {
            child: None,
            program,
            arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
            folder: tempfile::tempdir().unwrap(),
            port,
        }
    }

    fn run(&mut self) -> Result<(), String> {
        let mut child = Command::new(self.program.path())
            .args(["--port", &self.port.unwrap_or(0).to_string()])
            .args(["--bind", "127.0.0.1"])
            .arg("--unixsocket")
            .arg(self.socket())
            .arg("--dir")
            .arg(self.folder.path())
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut log = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        loop {
            said.clear();
            if log.read_line(&mut said).unwrap_or(0) == 0 {
                let _ = child.wait();
                return Err("it ended".to_owned());
            }
            if said.contains("eady to accept connections") {
                break;
            }
        }
        // Nobody reads on: the pipe must not fill up.
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut log.by_ref(), &mut std::io::sink());
        });
        self.child = Some(child);
        Ok(())
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again at the same address, knowing nothing.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let _ = std::fs::remove_file(self.socket());
        self.run().expect("the server starts again");
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.expect("it was started on a port")
    }

    /// The address for a configuration.
    pub(crate) fn url(&self) -> String {
        match self.port {
            Some(port) => format!("redis://127.0.0.1:{port}"),
            None => format!("redis+unix://{}", self.socket().display()),
        }
    }

    /// A connection of the test's own, to look and to meddle.
    pub(crate) fn connection(&self) -> redis::Connection {
        redis::Client::open(format!("redis+unix://{}", self.socket().display()))
            .unwrap()
            .get_connection()
            .unwrap()
    }

    /// Sends the words of `command` and returns what comes back.
    pub(crate) fn command<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let mut words = command.iter();
        let mut built = redis::cmd(words.next().unwrap());
        for word in words {
            built.arg(*word);
        }
        built.query(&mut self.connection()).unwrap()
    }

    /// How often the server was asked to do `command`, from INFO commandstats.
    pub(crate) fn calls_of(&self, command: &str) -> u64 {
        let info: String = self.command(&["INFO", "commandstats"]);
        let start = format!("cmdstat_{command}:calls=");
        info.lines()
            .find_map(|line| line.strip_prefix(&start))
            .map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
