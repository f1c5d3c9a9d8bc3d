//! Calls over the standard input and output of a program: so many under way at once.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{ChildStdin, ChildStdout},
    time::{Instant, timeout},
};

use crate::{
    client::Plan,
    load::Outcome,
    script::Script,
    wire::{Era, Failure},
};

/// Both ends of a program.
#[derive(Debug)]
pub(crate) struct Pipe {
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
    next_id: u64,
}

#[derive(Deserialize)]
struct Answered {
    id: u64,
}

impl Pipe {
    pub(crate) fn new(to: ChildStdin, from: ChildStdout) -> Self {
        Self {
            to,
            from: BufReader::with_capacity(1 << 16, from).lines(),
            next_id: 1,
        }
    }

    /// Calls for `time`, each call as soon as one of the `at_once` before it is answered. Each answer is checked.
    pub(crate) async fn run(
        &mut self,
        plan: &Plan,
        at_once: usize,
        time: Duration,
    ) -> Result<Outcome, Failure> {
        if plan.era != Era::Modern {
            return Err("over stdio only 2026-07-28 is measured".into());
        }
        let script = Script::of(plan)?;
        let mut outcome = Outcome::default();
        // Which calls are open, and since when.
        let mut open: Vec<(u64, Instant)> = Vec::with_capacity(at_once);
        let start = Instant::now();
        loop {
            while open.len() < at_once && start.elapsed() < time {
                let id = self.next_id;
                self.next_id += 1;
                let mut line = script.request(id, id);
                line.push('\n');
                open.push((id, Instant::now()));
                self.to.write_all(line.as_bytes()).await?;
            }
            if open.is_empty() {
                outcome.elapsed = start.elapsed();
                return Ok(outcome);
            }
            let line = timeout(PATIENCE, self.from.next_line()).await;
            let line = line.map_err(|_| "no answer within ten seconds")??;
            let line = line.ok_or("the program ended")?;
            let id = serde_json::from_str::<Answered>(&line)?.id;
            let place = open.iter().position(|(open, _)| *open == id);
            let (_, since) = open.swap_remove(place.ok_or("an answer to nothing")?);
            match script.check(id, id, StatusCode::OK, &line) {
                Ok(()) => outcome.latencies.record(since.elapsed()),
                Err(error) => outcome.fail(&error),
            }
        }
    }
}

/// How long a program may keep its client waiting.
const PATIENCE: Duration = Duration::from_secs(10);
