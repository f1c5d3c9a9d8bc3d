//! A gateway on standard streams: lines go out, and come back to whom they belong.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::ChildStdin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use super::LIMIT;
use super::client::{Incoming, Outgoing, Wire};
use super::json::{at, member};

/// The connection to a gateway.
pub(crate) struct Pipe {
    stdin: Mutex<Option<ChildStdin>>,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    /// Who waits for messages of this id.
    by_id: HashMap<String, Sender<String>>,
    /// Who waits for a message of no known id.
    other: Option<Sender<String>>,
    /// Messages that nobody waited for.
    strays: Vec<String>,
    is_over: bool,
}

impl Pipe {
    /// Takes the streams of a gateway over.
    pub(crate) fn new(stdin: ChildStdin, stdout: impl Read + Send + 'static) -> Self {
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let routed = Arc::clone(&waiting);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { break };
                routed.lock().unwrap().route(line);
            }
            let mut routed = routed.lock().unwrap();
            routed.is_over = true;
            routed.by_id.clear();
            routed.other = None;
        });
        Self {
            stdin: Mutex::new(Some(stdin)),
            waiting,
        }
    }

    /// Closes the gateway's input.
    pub(crate) fn close(&self) {
        self.stdin.lock().unwrap().take();
    }

    /// Lines that were no message, or belonged to nobody.
    pub(crate) fn strays(&self) -> Vec<String> {
        self.waiting.lock().unwrap().strays.clone()
    }
}

impl Waiting {
    fn route(&mut self, line: String) {
        // Not by a tree, which holds no number beyond its range.
        let is_message = serde_json::from_str::<&serde_json::value::RawValue>(&line)
            .is_ok_and(|value| value.get().starts_with('{'))
            && member(&line, "jsonrpc").is_some_and(|version| version == "\"2.0\"");
        if !is_message {
            self.strays.push(line);
            return;
        }
        let key = member(&line, "id").filter(|id| id != "null").or_else(|| {
            let path: &[&str] = if line.contains("notifications/progress") {
                &["params", "progressToken"]
            } else if line.contains("subscriptionId") {
                &["params", "_meta", "io.modelcontextprotocol/subscriptionId"]
            } else {
                return None;
            };
            Some(at(&line, path))
        });
        let owner = match &key {
            Some(key) if self.by_id.contains_key(key) => self.by_id.get(key),
            _ => self.other.as_ref(),
        };
        match owner {
            Some(owner) => {
                if let Err(error) = owner.send(line) {
                    self.strays.push(error.0);
                }
            }
            None => self.strays.push(line),
        }
    }
}

impl Wire for Pipe {
    fn send(&self, message: &Outgoing) -> Box<dyn Incoming> {
        let (sender, receiver) = channel();
        if !message.is_notification {
            let mut waiting = self.waiting.lock().unwrap();
            match &message.id {
                _ if waiting.is_over => drop(sender),
                Some(id) => drop(waiting.by_id.insert(id.clone(), sender)),
                None => waiting.other = Some(sender),
            }
        }
        let line = format!("{}\n", message.text);
        if let Some(stdin) = &mut *self.stdin.lock().unwrap() {
            // A gateway that is gone shows by what does not come back.
            let _ = stdin.write_all(line.as_bytes());
        }
        Box::new(Mailbox(receiver))
    }
}

struct Mailbox(Receiver<String>);

impl Incoming for Mailbox {
    fn next(&mut self) -> Option<String> {
        use std::sync::mpsc::RecvTimeoutError;
        match self.0.recv_timeout(LIMIT) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no message came in time"),
        }
    }

    fn rest(&mut self) -> Vec<String> {
        self.0.try_iter().collect()
    }

    fn hang_up(&mut self) -> bool {
        false
    }
}
