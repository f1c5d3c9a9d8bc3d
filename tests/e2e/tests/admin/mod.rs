//! Admin APIs of API gateways as tools, between a real process and a scripted dashboard: every request that
//! the script does not plan fails the test, and so does the token where it must not be.

mod bad_answers;
mod configured;
mod documentation;
mod ends;
mod konnect;
mod konnect_rights;
mod names;
#[path = "../../../../mcp-gw-admin-client/tests/support/mod.rs"]
mod scripted;
mod serving;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use scripted::{Plan, Scripted, Seen};
use tokio::runtime::Runtime;

use crate::support::client::{Answer, Client, Era, Wire};
use crate::support::http::Endpoint;
use crate::support::json::{at, items, member, string};
use crate::support::process::Process;
use crate::support::stdio::Pipe;
use crate::support::{HTTP_BIN, LIMIT, STDIO_BIN};

/// What must never be seen but by the dashboard.
const TOKEN: &str = "a7ee-hidden-0123456789";

/// A dashboard, or a gateway of APIs, that answers as planned.
struct Dashboard {
    script: Scripted,
    _runtime: Runtime,
}

impl Dashboard {
    fn start(plans: impl IntoIterator<Item = Plan>) -> Self {
        let runtime = Runtime::new().unwrap();
        Self {
            script: runtime.block_on(Scripted::start(plans)),
            _runtime: runtime,
        }
    }

    fn url(&self) -> String {
        self.script.url()
    }

    fn plan(&self, plan: Plan) {
        self.script.plan(plan);
    }

    fn seen(&self) -> Vec<Seen> {
        self.script.seen()
    }
}

/// A dashboard that takes its time: it says when it is asked, answers when it is told to, and says when it
/// has been given up.
struct Slow {
    url: String,
    news: Receiver<&'static str>,
    go: Sender<()>,
}

impl Slow {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let ((sender, news), (go, told)) = (channel(), channel());
        let told = Arc::new(Mutex::new(told));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let (sender, told) = (sender.clone(), Arc::clone(&told));
                std::thread::spawn(move || {
                    let writer = stream.try_clone().unwrap();
                    let mut reader = BufReader::new(stream);
                    let mut line = String::new();
                    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                        line.clear();
                    }
                    std::thread::spawn(move || answer(writer, &told));
                    let _ = sender.send("asked");
                    // Whatever ends it: the other side has gone.
                    let _ = reader.read_to_end(&mut Vec::new());
                    let _ = sender.send("given up");
                });
            }
        });
        Self { url, news, go }
    }

    #[track_caller]
    fn wait_until(&self, what: &str) {
        let news = self.news.recv_timeout(LIMIT);
        assert_eq!(news.ok(), Some(what));
    }

    /// Answers what it was asked.
    fn answer(&self) {
        self.go.send(()).unwrap();
    }
}

fn answer(mut writer: TcpStream, told: &Mutex<Receiver<()>>) {
    let text = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    if told.lock().unwrap().recv().is_ok() {
        // Who has gone is not answered.
        let _ = writer.write_all(text.as_bytes());
    }
}

/// The two ways to serve tools.
const BOTH: [&str; 2] = [STDIO_BIN, HTTP_BIN];

/// A gateway with the tools of a dashboard.
struct Served {
    process: Process,
    wire: Arc<dyn Wire>,
    /// On standard streams only.
    pipe: Option<Arc<Pipe>>,
}

impl Served {
    /// `api7` with these options and variables, and everything that can be logged in its log.
    fn start(binary: &str, args: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::of_kind("api7", binary, args, variables)
    }

    /// The same for another admin API.
    fn of_kind(kind: &str, binary: &str, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary);
        command.arg(kind).args(args).env_clear();
        command.args(["--log", "trace", "--log-format", "json"]);
        command.envs(variables.iter().copied());
        if binary == HTTP_BIN {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        Self::of(binary, &mut command)
    }

    fn of(binary: &str, command: &mut Command) -> Self {
        if binary == STDIO_BIN {
            let (process, pipe) = Process::start_piped(command);
            let wire = Arc::<Pipe>::clone(&pipe);
            return Self {
                process,
                wire,
                pipe: Some(pipe),
            };
        }
        let process = Process::start(command);
        let line = process.stderr.with("listening on ");
        Self {
            wire: Arc::new(Endpoint::at(line.rsplit(' ').next().unwrap())),
            process,
            pipe: None,
        }
    }

    /// For this dashboard.
    fn with(binary: &str, args: &[&str], dashboard: &str) -> Self {
        let variables = [("DASHBOARD_URL", dashboard), ("TOKEN", TOKEN)];
        Self::start(binary, args, &variables)
    }

    fn client(&self) -> Caller {
        Caller(Client::open(&self.wire, Era::Modern))
    }

    /// The first audit lines, as many as are asked for.
    fn audit(&self, count: usize) -> Vec<String> {
        let is_audit = |line: &str| line.contains("\"target\":\"mcp_gw::audit\"");
        self.process.stderr.first(count, is_audit)
    }

    /// Ends it, and looks at everything that it has said.
    fn end(mut self) -> Vec<String> {
        if let Some(pipe) = &self.pipe {
            pipe.close();
        } else {
            self.process.signal(rustix::process::Signal::TERM);
        }
        let status = self.process.wait();
        assert_eq!(status.code(), Some(0), "{:?}", self.process.stderr.so_far());
        self.without_token()
    }

    /// Everything that it has said, once it has ended: the token is not in it.
    fn without_token(&self) -> Vec<String> {
        let mut said = self.process.stderr.all();
        said.extend(self.process.stdout.all());
        said.extend(self.pipe.iter().flat_map(|pipe| pipe.strays()));
        assert_clean(&said.join("\n"));
        said
    }
}

#[track_caller]
fn assert_clean(text: &str) {
    let line = text.lines().find(|line| line.contains(TOKEN));
    assert_eq!(line, None, "the token is shown");
}

/// A client that looks for the token in what it is told.
struct Caller(Client);

impl Caller {
    #[track_caller]
    fn tool(&self, name: &str, arguments: &str) -> Answer {
        let answer = self.0.tool(name, arguments);
        assert_clean(&answer.0);
        answer
    }

    /// The structured content of an answer that is no error.
    #[track_caller]
    fn ok(&self, name: &str, arguments: &str) -> String {
        let result = self.tool(name, arguments).result();
        assert_ne!(
            member(&result, "isError").as_deref(),
            Some("true"),
            "{result}"
        );
        at(&result, &["structuredContent"])
    }

    /// What an error of a tool says.
    #[track_caller]
    fn error(&self, name: &str, arguments: &str) -> String {
        let answer = self.tool(name, arguments);
        let is_error = member(&answer.result(), "isError");
        assert_eq!(is_error.as_deref(), Some("true"), "{}", answer.0);
        answer.text()
    }

    /// All tools, as text.
    fn list(&self) -> Vec<String> {
        let result = self.0.ask("tools/list", "{}").result();
        assert_clean(&result);
        items(&at(&result, &["tools"]))
    }

    /// Their names.
    fn names(&self) -> Vec<String> {
        let tools = self.list();
        let names = tools.iter().map(|tool| string(&at(tool, &["name"])));
        names.collect()
    }
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
}
