//! The tools, and the methods around them.

use std::fmt::Write as _;

use serde_json::Value;

use crate::items;
use crate::message::{Params, error, quote, result};
use crate::state::{Era, State};
use crate::vendor;

/// Where the messages of one call go.
pub(crate) trait Out {
    fn notify(&mut self, message: &str);
    /// Also takes what is no message.
    fn answer(&mut self, message: &str);
    /// Waits until the other side gives the call up; false when it never does.
    fn wait_until_given_up(&mut self, state: &State, id: &str) -> bool;
}

/// A call of a tool.
pub(crate) struct Asked {
    id: String,
    name: String,
    arguments: String,
    token: Option<String>,
    /// What the client brings back.
    state: Option<String>,
    headers: String,
}

impl Asked {
    pub(crate) fn new(id: &str, params: &Params<'_>, headers: &str) -> Self {
        let meta = params.meta.as_ref();
        Self {
            id: id.to_owned(),
            name: params.name.as_deref().unwrap_or_default().to_owned(),
            arguments: params
                .arguments
                .map_or("{}", |arguments| arguments.get())
                .to_owned(),
            token: meta
                .and_then(|meta| meta.progress_token)
                .map(|token| token.get().to_owned()),
            state: params.request_state.clone(),
            headers: headers.to_owned(),
        }
    }

    fn argument(&self, name: &str) -> Option<Value> {
        let arguments: Value = serde_json::from_str(&self.arguments).ok()?;
        arguments.get(name).cloned()
    }

    fn number(&self, name: &str, default: u64) -> u64 {
        self.argument(name)
            .and_then(|value| value.as_u64())
            .unwrap_or(default)
    }

    fn text(&self, name: &str) -> String {
        let value = self.argument(name);
        value
            .as_ref()
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }
}

const NAMES: [&str; 15] = [
    "cancelled_count",
    "count",
    "die",
    "echo",
    "fail",
    "garbage",
    "headers",
    "huge",
    "never",
    "release",
    "rpc_error",
    "slow",
    "structured",
    "twice",
    "wrong_id",
];
const PAGE: usize = 400;
/// Longer than the gateway takes from a server.
const HUGE: usize = 17 * 1024 * 1024;

/// Answers a request that is not a call of a tool: a result, or an error object.
pub(crate) fn plain(
    state: &State,
    method: &str,
    params: &Params<'_>,
) -> Option<Result<String, String>> {
    let is_modern = state.options.era == Era::Modern;
    let has_items = state.options.items.is_some();
    let capabilities = if has_items {
        items::CAPABILITIES
    } else {
        r#"{"tools":{}}"#
    };
    let me = state.options.items.as_deref();
    if let Some(members) =
        me.and_then(|me| items::answer(me, method, params, state.options.nameless))
    {
        return Some(Ok(frame(state, &(members + &hints(state)))));
    }
    Some(Ok(match method {
        "tools/call" => return None,
        "tools/list" => list(state, params.cursor.as_deref()),
        "server/discover" if is_modern => frame(
            state,
            &format!(
                r#""supportedVersions":["2026-07-28"],"capabilities":{capabilities},"ttlMs":0,"cacheScope":"private""#
            ),
        ),
        "initialize" if !is_modern => {
            eprintln!("greeted");
            format!(
                r#"{{"protocolVersion":"2025-11-25","capabilities":{capabilities},"serverInfo":{{"name":"odd","version":"1"}},"instructions":"Be odd: echo."}}"#
            )
        }
        "ping" if !is_modern => "{}".to_owned(),
        _ => {
            let says = quote(&format!("Method not found: {method}"));
            return Some(Err(format!(r#"{{"code":-32601,"message":{says}}}"#)));
        }
    }))
}

/// A result with what the era wants in each.
fn frame(state: &State, members: &str) -> String {
    match state.options.era {
        Era::Legacy => format!("{{{members}}}"),
        Era::Modern => format!(r#"{{"resultType":"complete",{members}}}"#),
    }
}

fn list(state: &State, cursor: Option<&str>) -> String {
    let mut tools = vec![vendor::DEFINITION.to_owned()];
    let plain = |name: &str| {
        format!(
            r#"{{"name":"{name}","description":"Odd: {name}.","inputSchema":{{"type":"object"}}}}"#
        )
    };
    tools.extend(NAMES.iter().map(|name| plain(name)));
    if let Some(file) = &state.options.fickle {
        let says = quote(&std::fs::read_to_string(file).unwrap_or_default());
        tools.push(format!(
            r#"{{"name":"fickle","description":{says},"inputSchema":{{"type":"object"}}}}"#
        ));
        tools.push(plain("changed"));
    }
    if state.options.items.is_some() {
        tools.extend(items::TOOLS.map(str::to_owned));
    }
    if state.options.nameless {
        tools.extend(items::NAMELESS_TOOLS.map(str::to_owned));
    }
    tools.extend((0..state.options.many).map(|number| plain(&format!("tool_{number:05}"))));
    let start = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let end = (start + PAGE).min(tools.len());
    let page = tools.get(start..end).unwrap_or_default().join(",");
    let mut members = format!(r#""tools":[{page}]"#);
    if end < tools.len() {
        let _ = write!(members, r#","nextCursor":"{end}""#);
    }
    members.push_str(&hints(state));
    frame(state, &members)
}

/// What a list says about keeping it.
fn hints(state: &State) -> String {
    let ttl = if state.options.items.is_some() {
        60_000
    } else {
        0
    };
    match state.options.era {
        Era::Legacy => String::new(),
        Era::Modern => format!(r#","ttlMs":{ttl},"cacheScope":"public""#),
    }
}

/// Answers a call of a tool.
pub(crate) fn call(state: &State, asked: &Asked, out: &mut dyn Out) {
    let id = &asked.id;
    state.change(|memory| *memory.calls.entry(asked.name.clone()).or_default() += 1);
    eprintln!("called: {}", asked.name);
    let says = |text: &str| {
        let text = quote(text);
        result(
            id,
            &frame(
                state,
                &format!(r#""content":[{{"type":"text","text":{text}}}]"#),
            ),
        )
    };
    let calls_of = |tool: &str| state.look(|memory| memory.calls.get(tool).copied().unwrap_or(0));
    match asked.name.as_str() {
        "echo" => out.answer(&says(&asked.arguments)),
        "structured" => {
            let arguments = &asked.arguments;
            let members = format!(
                r#""content":[{{"type":"text","text":"see structuredContent"}}],"structuredContent":{arguments}"#
            );
            out.answer(&result(id, &frame(state, &members)));
        }
        // A result as the caller writes it, or what that has given the caller to bring back.
        "vendor" if asked.state.is_some() => {
            out.answer(&says(asked.state.as_deref().unwrap_or_default()));
        }
        "vendor" if asked.arguments != "{}" => out.answer(&result(id, &asked.arguments)),
        "vendor" => out.answer(&result(id, &frame(state, vendor::RESULT))),
        "slow" => slow(state, asked, out, &says),
        "release" => {
            state.change(|memory| *memory.released.entry(asked.text("key")).or_default() += 1);
            out.answer(&says("released"));
        }
        "never" => {
            let steps = asked.number("steps", 0);
            for step in 1..=steps {
                step_done(asked, step, steps, out);
            }
            if out.wait_until_given_up(state, id) {
                state.change(|memory| memory.given_up += 1);
                eprintln!("given up: never");
            }
        }
        "cancelled_count" => {
            out.answer(&says(&state.look(|memory| memory.given_up).to_string()));
        }
        "count" => out.answer(&says(&calls_of(&asked.text("tool")).to_string())),
        "link" => out.answer(&result(id, &frame(state, items::LINKS))),
        "order" => out.answer(&says(&format!("{} {}", asked.arguments, asked.headers))),
        "headers" => out.answer(&says(&asked.headers)),
        "fickle" => out.answer(&says("done")),
        "changed" => {
            out.notify(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
            out.answer(&says("told"));
        }
        "die" => std::process::exit(3),
        "fail" => {
            let members = r#""content":[{"type":"text","text":"it did not work"}],"isError":true"#;
            out.answer(&result(id, &frame(state, members)));
        }
        "rpc_error" => out.answer(&error(id, vendor::ERROR)),
        "garbage" => out.answer(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{oops}}"#)),
        "wrong_id" => out.answer(&result("987654321", &frame(state, r#""content":[]"#))),
        "twice" => {
            out.notify(&says("first"));
            out.answer(&says("second"));
        }
        "huge" => out.answer(&says(&"x".repeat(HUGE))),
        name if name.starts_with("tool_") => out.answer(&says(name)),
        name => {
            let says = quote(&format!("Unknown tool: {name}"));
            out.answer(&error(
                id,
                &format!(r#"{{"code":-32602,"message":{says}}}"#),
            ));
        }
    }
}

/// Says each step before it waits for its release, and then the next. At the end it reads the file
/// `fifo`, if there is one: a pipe that ends when somebody outside writes to it.
fn slow(state: &State, asked: &Asked, out: &mut dyn Out, says: &dyn Fn(&str) -> String) {
    let (steps, key) = (asked.number("steps", 3), asked.text("key"));
    for step in 1..=steps {
        step_done(asked, step, steps, out);
        let released = |freed: u64| freed >= step;
        if !key.is_empty()
            && !state.wait(|memory| memory.released.get(&key).copied().is_some_and(released))
        {
            return;
        }
    }
    let fifo = asked.text("fifo");
    if !fifo.is_empty() && std::fs::read(fifo).is_err() {
        return;
    }
    out.answer(&says(&asked.arguments));
}

/// Says that a step is done, if anybody wants to know.
fn step_done(asked: &Asked, step: u64, steps: u64, out: &mut dyn Out) {
    if let Some(token) = &asked.token {
        out.notify(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{step}.0,"total":{steps},"message":"step {step}","x-vendor":1e5}}}}"#
        ));
    }
}
