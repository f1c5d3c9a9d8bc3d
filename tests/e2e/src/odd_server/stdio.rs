//! One message a line, on standard input and output.

use std::io::Write;
use std::sync::Arc;

use crate::message::{Message, error, result};
use crate::state::State;
use crate::tools::{self, Asked, Out};

pub(crate) fn serve(state: &Arc<State>) {
    for line in std::io::stdin().lines() {
        let Ok(line) = line else { return };
        take(state, line);
    }
}

fn take(state: &Arc<State>, line: String) {
    let Some(message) = Message::parse(&line) else {
        return;
    };
    let Some(method) = message.method.as_deref() else {
        return;
    };
    let Some(id) = message.id else {
        if method == "notifications/cancelled"
            && let Some(id) = message.params.request_id
        {
            state.cancelled(id, message.params.reason);
        }
        return;
    };
    let id = id.get().to_owned();
    match tools::plain(state, method, &message.params) {
        Some(Ok(answer)) => say(&result(&id, &answer)),
        Some(Err(object)) => say(&error(&id, &object)),
        None => {
            let state = Arc::clone(state);
            std::thread::spawn(move || {
                if let Some(message) = Message::parse(&line) {
                    let asked = Asked::new(&id, &message.params, "{}");
                    tools::call(&state, &asked, &mut Stdio);
                }
            });
        }
    }
}

struct Stdio;

impl Out for Stdio {
    fn notify(&mut self, message: &str) {
        say(message);
    }

    fn answer(&mut self, message: &str) {
        say(message);
    }

    fn wait_until_given_up(&mut self, state: &State, id: &str) -> bool {
        state.wait(|memory| memory.cancelled.contains(id))
    }
}

fn say(message: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody there to hear it means that the process is about to end.
    let _ = writeln!(out, "{message}").and_then(|()| out.flush());
}
