//! The other side: an MCP server that reads standard input and writes standard output.

use std::io::{BufRead as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use mcp_gw_core::jsonrpc::{self, Message, Request};
use mcp_gw_core::{Members, RawJson};
use mcp_gw_upstream::StdioServerConfig;

use crate::odd_json::answer;

const MODE: &str = "MCP_GW_FAKE";
/// Names a file: see [`Server::gives_up`].
pub(crate) const IMPATIENT: &str = "MCP_GW_FAKE_IMPATIENT";

/// A configuration that runs the server below in this mode.
pub(crate) fn fake(mode: &str) -> StdioServerConfig {
    let this = std::env::current_exe().unwrap();
    StdioServerConfig::new("up", this.to_str().unwrap())
        .with_args(["child::serve", "--exact", "--nocapture", "--test-threads=1"])
        .with_env(MODE, mode.to_owned())
        .with_probe_timeout(Duration::from_millis(match mode {
            "silent" | "late" => 50,
            // The answer to the second question takes no longer than that.
            "swapped" => 500,
            _ => 5000,
        }))
}

/// Waits until there is no such process, or only its entry in the table of somebody else.
pub(crate) async fn gone(pid: i64) {
    let is_gone = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
        let is_ours = state.split(' ').nth(1) == Some(&std::process::id().to_string());
        stat.is_empty() || (state.starts_with('Z') && !is_ours)
    };
    let wait = async {
        let mut look = tokio::time::interval(Duration::from_millis(5));
        while !is_gone() {
            look.tick().await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(10), wait)
            .await
            .is_ok(),
        "process {pid} is still there"
    );
}

pub(crate) fn number(text: &str) -> i64 {
    text.parse().unwrap()
}

/// Does nothing in a test run; is the server when it is started as one.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the variable says which program this is"
)]
fn serve() {
    if let Ok(mode) = std::env::var(MODE) {
        Server {
            mode,
            cancelled: "null".to_owned(),
            reason: "null".to_owned(),
            subscribed: Vec::new(),
            declared: "null".to_owned(),
            roots: "null".to_owned(),
            levels: Vec::new(),
            told: Vec::new(),
            has_grown: false,
            hung: None,
            grandchild: None,
            its_stdin: None,
            unanswered: "null".to_owned(),
        }
        .run();
    }
}

struct Server {
    mode: String,
    cancelled: String,
    /// Why, if that was said.
    reason: String,
    subscribed: Vec<String>,
    /// The capabilities of the client.
    declared: String,
    /// Those of the client.
    roots: String,
    levels: Vec<String>,
    /// Notifications that nothing else knows.
    told: Vec<String>,
    /// It lists one more tool.
    has_grown: bool,
    hung: Option<String>,
    grandchild: Option<std::process::Child>,
    its_stdin: Option<std::process::ChildStdin>,
    /// The id of the first question, which is answered after others.
    unanswered: String,
}

const DISCOVERED: &str = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"instructions":"be kind"}"#;

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

#[expect(clippy::exit, reason = "this is a program of its own")]
fn die(status: i32) -> ! {
    eprintln!("about to die");
    std::process::exit(status)
}

fn read() -> Option<String> {
    let mut line = String::new();
    let length = std::io::stdin().lock().read_line(&mut line).unwrap();
    (length > 0).then_some(line)
}

impl Server {
    fn run(mut self) {
        // Ends the line that the test harness has begun: junk, as many servers write it.
        say("");
        while let Some(line) = read() {
            match Message::parse(line.as_bytes()).unwrap() {
                Message::Request(request) => self.request(&request),
                Message::Notification(note) if note.method == "notifications/cancelled" => {
                    self.cancelled = note.params.get("requestId").unwrap().to_string();
                    let reason = note.params.get("reason").map(|reason| reason.to_string());
                    self.reason = reason.unwrap_or_else(|| "null".to_owned());
                }
                Message::Notification(note) => {
                    if note.method == "notifications/initialized" && self.declared.contains("roots")
                    {
                        say(r#"{"jsonrpc":"2.0","id":"r","method":"roots/list"}"#);
                    }
                    self.told.push(note.method.into_owned());
                }
                Message::Response(answer) => {
                    self.roots = answer
                        .outcome
                        .map_or("null", |roots| roots.get())
                        .to_owned();
                }
                _ => {}
            }
        }
        if let Some(mut grandchild) = self.grandchild {
            // It waits for what it has started, as wrappers do.
            grandchild.wait().unwrap();
        }
    }

    fn request(&mut self, request: &Request<'_>) {
        let is_modern = matches!(&*self.mode, "modern" | "news");
        let answer = |result: &str| {
            say(&format!(
                r#"{{"result":{result},"jsonrpc":"2.0","id":{}}}"#,
                request.id
            ));
        };
        let error = |code: i64, message: &str| {
            let id = RawJson::parse(request.id.to_string()).unwrap();
            let object = jsonrpc::error_object(code, message, None);
            say(jsonrpc::error(Some(&id), &object).as_str());
        };
        let discovered = |id: &str| {
            say(&format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{DISCOVERED}}}"#
            ));
        };
        match (&*request.method, &*self.mode) {
            // Servers of both eras that start slowly, and answer in turn or not.
            ("server/discover", "late" | "swapped") => {
                self.unanswered = request.id.to_string();
            }
            ("initialize", "late") => {
                discovered(&self.unanswered);
                answer(r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}}}"#);
            }
            ("ping", "swapped") => {
                discovered(&self.unanswered);
                answer("{}");
            }
            ("ping", "asking") => answer("{}"),
            (_, "mute") | ("server/discover", "silent") => {}
            (_, "stillborn") | ("server/discover", "deadly") => die(3),
            ("server/discover", "modern" | "news") => answer(DISCOVERED),
            ("subscriptions/listen", "news") => {
                let filter = request.params.get("notifications").unwrap();
                self.subscribed = vec![request.id.to_string(), filter.to_string()];
                say(&format!(
                    r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"notifications":{filter}}}}}"#
                ));
            }
            ("initialize", "asking") => {
                self.declared = request.params.get("capabilities").unwrap().to_string();
                answer(r#"{"protocolVersion":"2025-11-25","capabilities":{"logging":{}}}"#);
            }
            ("logging/setLevel", "asking") => {
                let level = request.params.get_str("level").unwrap();
                self.levels.push(level.into_owned());
                answer("{}");
            }
            ("initialize", _) if !is_modern => answer(
                r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"instructions":"be kind"}"#,
            ),
            ("tools/list", "repeating") => {
                answer(r#"{"tools":[{"name":"t","inputSchema":{}}],"nextCursor":"again"}"#);
            }
            ("tools/list", "asking") => {
                if self.declared.contains("roots") && Self::gives_up() {
                    say(
                        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"r"}}"#,
                    );
                }
                // Some tools are there for clients that can be asked.
                let samples = self.declared.contains("sampling");
                let all = [
                    ("echo", true),
                    ("sample", samples),
                    ("grown", self.has_grown),
                ];
                let listed = all.iter().filter(|(_, is_there)| *is_there);
                let tools: Vec<String> = listed
                    .map(|(name, _)| format!(r#"{{"name":"{name}","inputSchema":{{}}}}"#))
                    .collect();
                answer(&format!(r#"{{"tools":[{}]}}"#, tools.join(",")));
            }
            ("tools/list", _) => answer(
                r#"{"tools":[{"name":"echo","inputSchema":{"type":"object"},"x-vendor":1.0},{"name":"no_schema"}]}"#,
            ),
            ("resources/subscribe", _) if !is_modern => {
                let uri = request.params.get_str("uri").unwrap().into_owned();
                self.subscribed.push(uri);
                answer("{}");
            }
            ("resources/unsubscribe", _) if !is_modern => {
                let uri = request.params.get_str("uri").unwrap();
                self.subscribed.retain(|other| *other != uri);
                answer("{}");
            }
            ("tools/call", _) => self.call(request),
            _ => error(-32601, "Method not found"),
        }
    }

    fn call(&mut self, request: &Request<'_>) {
        let id = request.id.get();
        let value = |value: &str| {
            say(&format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"v":{value}}}}}"#
            ));
        };
        let arguments = request.params.get("arguments").unwrap().get();
        let meta = request
            .params
            .get("_meta")
            .map_or("null", |meta| meta.get());
        match &*request.params.get_str("name").unwrap() {
            "echo" if arguments == r#"{"meta":true}"# => value(meta),
            "echo" => say(&format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"x/new","v":{arguments}}}],"v":{arguments}}}}}"#
            )),
            "echo_all" => {
                let meta: Members<'_> = serde_json::from_str(meta).unwrap();
                let more = request.params.get("more").unwrap().get();
                let meta = meta.get("vendor/x").unwrap().get();
                let result = answer(arguments, meta, more);
                say(&format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#
                ));
            }
            "meta" => value(meta),
            "progress" => {
                (1..=3).for_each(|step| progress(id, step));
                value("1");
            }
            "endless_progress" => loop {
                progress(id, 1);
                // The pace of a server at work; nothing waits for it.
                std::thread::sleep(Duration::from_millis(100));
            },
            "ask" | "ask_and_hang" => {
                let id = arguments.strip_prefix(r#"{"id":"#).unwrap();
                let id = id.strip_suffix('}').unwrap();
                say(&format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"method":"elicitation/create","params":{{"n":1.0}}}}"#
                ));
                if request.params.get_str("name").unwrap() == "ask" {
                    value(read().unwrap().trim());
                }
            }
            "cancel_question" => {
                say(
                    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7,"reason":"no m\u006fre"}}"#,
                );
                value("1");
            }
            "log" => {
                say(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":1.0}}"#);
                value("1");
            }
            "log_later" => {
                value("1");
                say(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":2.0}}"#);
            }
            "grow" => {
                self.has_grown = true;
                say(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
                value("1");
            }
            "hang" => self.hung = Some(id.to_owned()),
            "answer_late" => {
                let late = self.hung.take().unwrap();
                say(&format!(r#"{{"jsonrpc":"2.0","id":{late},"result":{{}}}}"#));
                value("true");
            }
            "cancelled" => value(&self.cancelled),
            "reason" => value(&self.reason),
            "die" => die(7),
            "answer_and_die" => {
                value(&format!("\"{}\"", "x".repeat(300_000)));
                die(7);
            }
            "pid" => value(&std::process::id().to_string()),
            "parent" => value(&std::os::unix::process::parent_id().to_string()),
            "grandchild" => value(&self.start_grandchild().to_string()),
            "subscribed" => value(&format!("{:?}", self.subscribed)),
            "declared" => value(&self.declared),
            "roots" => value(&self.roots),
            "levels" => value(&format!("{:?}", self.levels).replace(", ", ",")),
            "told" => value(&format!("{:?}", self.told).replace(", ", ",")),
            "env" => value(&environment()),
            "change" => {
                say(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
                say(
                    r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x:y","x":1.0}}"#,
                );
                value("1");
            }
            name => odd(name, id),
        }
    }

    /// The first of several processes does not wait for the roots of the client: the one that finds the
    /// file, which it takes away.
    fn gives_up() -> bool {
        #[expect(clippy::disallowed_methods, reason = "the variable names the file")]
        let file = std::env::var(IMPATIENT).ok();
        file.is_some_and(|file| std::fs::remove_file(file).is_ok())
    }

    fn start_grandchild(&mut self) -> u32 {
        let this = std::env::current_exe().unwrap();
        let mut child = Command::new(this)
            .args(["child::serve", "--exact", "--nocapture"])
            .env(MODE, "mute")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        // Kept open, so that it does not end by itself.
        self.its_stdin = child.stdin.take();
        self.grandchild.insert(child).id()
    }
}

fn progress(id: &str, step: u32) {
    say(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{id},"progress":{step}.0,"total":3}}}}"#
    ));
}

fn environment() -> String {
    #[expect(clippy::disallowed_methods, reason = "this is what the test asks for")]
    let mut names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
    names.sort();
    format!("{names:?}").replace(", ", ",")
}

/// Things that no server should do.
fn odd(name: &str, id: &str) {
    let long = "x".repeat(300_000);
    match name {
        "junk" => {
            say("Server is starting...");
            say("");
            say(r#"{"jsonrpc":"2.0","id":4711,"result":{"v":"not yours"}}"#);
            say(r#"{"jsonrpc":"2.0","id":"x","result":{"v":"not yours"}}"#);
            say(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":1}}"#);
            say(&format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"v":"mine"}}}}"#
            ));
            say(&format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"v":"twice"}}}}"#
            ));
        }
        "not_utf8" | "zero_byte" => {
            let odd = if name == "zero_byte" { 0 } else { 0xff };
            let mut line = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"v":""#).into_bytes();
            line.extend([odd, b'"', b'}', b'}', b'\n']);
            let mut out = std::io::stdout().lock();
            out.write_all(&line).unwrap();
            out.flush().unwrap();
        }
        "deep" => say(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"v":{}{}}}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        )),
        "stray" => {
            // Nobody has asked for these.
            for line in [
                r#"{"jsonrpc":"2.0","id":-1,"result":{}}"#,
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"m"}}"#,
                r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":999}}"#,
                r#"{"jsonrpc":"2.0","method":"notifications/progress","params":[1]}"#,
                r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}"#,
                r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
                "[1,2,[",
                "[[[[]]]]",
            ] {
                say(line);
            }
            say(&format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"v":1}}}}"#
            ));
        }
        "malformed" => say(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"v":}}}}"#
        )),
        "not_an_object" => say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":[1]}}"#)),
        "error" => say(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-1,"message":"m","data":{{"x":1.0}},"vendor":[1e5]}}}}"#
        )),
        "big" => say(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"v":"{long}"}}}}"#
        )),
        "big_id_last" => {
            say(&format!(
                r#"{{"result":{{"v":"{long}"}},"jsonrpc":"2.0","id":{id}}}"#
            ));
        }
        "asks" => {
            say(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#);
            say(r#"{"jsonrpc":"2.0","id":8,"method":"sampling/createMessage","params":{}}"#);
            let answers = [read().unwrap(), read().unwrap()];
            let answers = answers.each_ref().map(|line| line.trim()).join(",");
            say(&format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"v":[{answers}]}}}}"#
            ));
        }
        _ => say(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32602,"message":"Unknown tool"}}}}"#
        )),
    }
}
