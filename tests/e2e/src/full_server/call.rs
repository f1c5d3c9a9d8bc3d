//! One request: what it may ask its client, and how.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::features;
use crate::state::{Listen, Out, State, notification};

const KEY: &str = "io.modelcontextprotocol/";

/// Why there is no result yet, or ever.
pub(crate) enum Fault {
    /// A JSON-RPC error object.
    Rpc(Value),
    /// The client must be asked this first (2026-07-28).
    Needs(String, Value),
    /// The client has given up: there is no answer.
    GivenUp,
}

pub(crate) fn rpc(code: i64, message: &str) -> Fault {
    Fault::Rpc(json!({ "code": code, "message": message }))
}

/// A request at work.
pub(crate) struct Call {
    pub(crate) state: Arc<State>,
    pub(crate) session: String,
    pub(crate) params: Value,
    id: Value,
    out: Out,
    /// Answers that came with this request and before (2026-07-28).
    answers: Value,
    questions: AtomicU64,
}

impl Call {
    /// What the client can be asked for.
    fn capabilities(&self) -> Value {
        if self.state.is_modern() {
            return self.params["_meta"][format!("{KEY}clientCapabilities")].clone();
        }
        let memory = self.state.memory();
        let session = memory.sessions.get(&self.session);
        session.map_or(Value::Null, |session| session.capabilities.clone())
    }

    /// Asks the client, if it has declared `capability`, a path; `None` when it has not.
    pub(crate) async fn ask(
        &self,
        capability: &str,
        method: &str,
        params: Value,
    ) -> Result<Option<Value>, Fault> {
        let path = capability.split('.');
        let declared = path.fold(self.capabilities(), |value, name| value[name].clone());
        if !declared.is_object() {
            return Ok(None);
        }
        let number = self.questions.fetch_add(1, Ordering::Relaxed);
        if self.state.is_modern() {
            let key = format!("q{number}");
            return match self.answers.get(&key) {
                Some(answer) => Ok(Some(answer.clone())),
                None => Err(Fault::Needs(
                    key,
                    json!({ "method": method, "params": params }),
                )),
            };
        }
        let id = self.state.number();
        let (answer, answered) = oneshot::channel();
        self.state.memory().asked.insert(id, answer);
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let _ = self.out.send(request).await;
        match answered.await {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(error)) => Err(Fault::Rpc(error)),
            Err(_) => Err(rpc(-32603, "nobody answered")),
        }
    }

    /// Tells how far the work is, when the client wants to know.
    pub(crate) async fn progress(&self, step: u64, total: u64) {
        let Some(token) = self.params["_meta"].get("progressToken") else {
            return;
        };
        let params = json!({ "progressToken": token, "progress": step, "total": total });
        let _ = self
            .out
            .send(notification("notifications/progress", params))
            .await;
    }

    /// Logs, when the client wants so much.
    pub(crate) async fn log(&self, level: &str, text: &str) {
        let least = if self.state.is_modern() {
            let level = &self.params["_meta"][format!("{KEY}logLevel")];
            level.as_str().map(str::to_owned)
        } else {
            let memory = self.state.memory();
            let session = memory.sessions.get(&self.session);
            session.and_then(|session| session.level.clone())
        };
        let rank = |level: &str| {
            ["debug", "info", "warning", "error"]
                .iter()
                .position(|l| *l == level)
        };
        if least.is_some_and(|least| rank(level) >= rank(&least)) {
            let params = json!({ "level": level, "data": text });
            let _ = self
                .out
                .send(notification("notifications/message", params))
                .await;
        }
    }

    /// Waits until the client gives up; its beginning is told as progress.
    pub(crate) async fn wait(&self) -> Fault {
        let (cancel, cancelled) = oneshot::channel();
        let key = (self.session.clone(), self.id.to_string());
        self.state.memory().open.insert(key, cancel);
        let mut waiting = Waiting(&self.state, true);
        self.progress(1, 1).await;
        let _ = cancelled.await;
        waiting.1 = false;
        self.state.memory().cancelled += 1;
        Fault::GivenUp
    }
}

/// Counts a wait that is dropped: over HTTP the connection of a client of 2026-07-28 was closed.
struct Waiting<'a>(&'a State, bool);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.1 {
            self.0.memory().cancelled += 1;
        }
    }
}

/// Answers one request; what belongs to it goes to `out`, the answer last.
pub(crate) async fn run(state: Arc<State>, session: String, message: Value, out: Out) {
    let id = message["id"].clone();
    let method = message["method"].as_str().unwrap_or_default().to_owned();
    let params = message.get("params").cloned().unwrap_or_else(|| json!({}));
    if method == "subscriptions/listen" && state.is_modern() {
        listen(&state, id, &params, out).await;
        return;
    }
    let answers = collect(&params);
    let call = Call {
        state: Arc::clone(&state),
        session,
        params,
        id: id.clone(),
        out: out.clone(),
        answers: answers.clone(),
        questions: AtomicU64::new(0),
    };
    let outcome = features::answer(&call, &method).await;
    let mut message = json!({ "jsonrpc": "2.0", "id": id });
    match outcome {
        Ok(mut result) => {
            if state.is_modern() && result.get("resultType").is_none() {
                result["resultType"] = json!("complete");
            }
            message["result"] = result;
        }
        Err(Fault::GivenUp) => return,
        Err(Fault::Rpc(error)) => message["error"] = error,
        Err(Fault::Needs(key, request)) => {
            message["result"] = json!({
                "resultType": "input_required",
                "inputRequests": { key: request },
                "requestState": answers.to_string(),
            });
        }
    }
    let _ = out.send(message).await;
}

/// The answers of all rounds: those of earlier ones travel in the state.
fn collect(params: &Value) -> Value {
    let state = params["requestState"].as_str().unwrap_or("{}");
    let mut answers: Value = serde_json::from_str(state).unwrap_or_else(|_| json!({}));
    if let Some(new) = params["inputResponses"].as_object() {
        for (key, answer) in new {
            answers[key] = answer.clone();
        }
    }
    answers
}

/// Keeps a stream open until its client goes away.
async fn listen(state: &State, id: Value, params: &Value, out: Out) {
    let filter = params["notifications"].clone();
    let number = state.number();
    let acknowledged = json!({
        "notifications": filter,
        "_meta": { format!("{KEY}subscriptionId"): id },
    });
    let method = "notifications/subscriptions/acknowledged";
    let _ = out.send(notification(method, acknowledged)).await;
    let listen = Listen {
        id,
        filter,
        out: out.clone(),
    };
    state.memory().listens.insert(number, listen);
    out.closed().await;
    state.memory().listens.remove(&number);
}
