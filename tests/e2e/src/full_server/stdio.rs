//! One client on standard streams.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::call;
use crate::state::State;

pub(crate) async fn serve(state: Arc<State>) {
    let (out, mut messages) = mpsc::channel::<Value>(1024);
    let writing = tokio::spawn(async move {
        let mut stdout = tokio::io::stdout();
        while let Some(message) = messages.recv().await {
            let line = format!("{message}\n");
            if stdout.write_all(line.as_bytes()).await.is_err() || stdout.flush().await.is_err() {
                return;
            }
        }
    });
    let session = String::new();
    state
        .memory()
        .sessions
        .entry(session.clone())
        .or_default()
        .out = Some(out.clone());
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut running: HashMap<String, AbortHandle> = HashMap::new();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(message) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        match message["method"].as_str() {
            None => state.answered(&message),
            Some("notifications/cancelled") => {
                let id = &message["params"]["requestId"];
                state.cancel(&session, id);
                if let Some(listen) = running.remove(&id.to_string()) {
                    listen.abort();
                }
            }
            Some(method) if message.get("id").is_some() => {
                let is_listen = method == "subscriptions/listen";
                let id = message["id"].to_string();
                let work = call::run(Arc::clone(&state), session.clone(), message, out.clone());
                let task = tokio::spawn(work).abort_handle();
                if is_listen {
                    running.insert(id, task);
                }
            }
            Some(_) => {}
        }
    }
    writing.abort();
}
