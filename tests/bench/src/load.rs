//! Closed-loop load: each connection sends its next call when it has the answer to the last.

use std::{fmt, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout, timeout_at},
};

use crate::{
    client::{CallError, Connection, Plan},
    latency::Latencies,
    wire::Failure,
};

/// When a run ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// After this time; calls under way are waited for.
    Elapsed(Duration),
    /// The same, but no connection sends before this time has gone by since it last sent: the load is less than the
    /// most that there can be. The connections take turns.
    Paced(Duration, Duration),
    /// After so many calls on each connection.
    Calls(u64),
}

/// Connections that are ready to call.
#[derive(Debug)]
pub(crate) struct Fleet {
    connections: Vec<(Connection, Plan)>,
}

impl Fleet {
    /// Opens all connections, so that a run does not measure that.
    pub(crate) async fn open(plan: Plan, connections: usize) -> Result<Self, Failure> {
        Self::open_to(vec![plan], connections).await
    }

    /// The same with several plans, which the connections take in turn.
    pub(crate) async fn open_to(plans: Vec<Plan>, connections: usize) -> Result<Self, Failure> {
        let mut opened = Vec::with_capacity(connections);
        for plan in plans.iter().cycle().take(connections) {
            let connection = timeout(PATIENCE, Connection::open(plan)).await;
            let connection = connection.map_err(|_| "no connection within ten seconds")??;
            opened.push((connection, plan.clone()));
        }
        Ok(Self {
            connections: opened,
        })
    }

    /// Calls from all connections at once.
    pub(crate) async fn run(&mut self, until: Until) -> Outcome {
        let start = Instant::now();
        let mut lanes = JoinSet::new();
        let count = u32::try_from(self.connections.len().max(1)).unwrap_or(u32::MAX);
        for (lane, (connection, plan)) in (0_u32..).zip(self.connections.drain(..)) {
            let first = match until {
                Until::Paced(_, interval) => start + interval * lane / count,
                Until::Elapsed(_) | Until::Calls(_) => start,
            };
            let lane = u64::from(lane);
            lanes.spawn(drive(connection, plan, lane, (start, first), until));
        }
        let mut outcome = Outcome::default();
        while let Some(lane) = lanes.join_next().await {
            match lane {
                Ok((part, connection)) => {
                    outcome.merge(part);
                    self.connections.extend(connection);
                }
                Err(error) => outcome.fail(&error.into()),
            }
        }
        outcome.elapsed = start.elapsed();
        outcome
    }

    /// Ends the sessions.
    pub(crate) async fn close(self) {
        for (connection, _) in self.connections {
            // A server that does not answer has been reported by the run.
            drop(timeout(PATIENCE, connection.close()).await);
        }
    }
}

/// What came of a run. Only right answers count as calls.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) latencies: Latencies,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    pub(crate) elapsed: Duration,
}

impl Outcome {
    /// Adds another run, made after this one.
    pub(crate) fn add(&mut self, other: Self) {
        let elapsed = other.elapsed;
        self.merge(other);
        self.elapsed += elapsed;
    }

    pub(crate) fn calls_per_second(&self) -> u64 {
        let nanos = self.elapsed.as_nanos().max(1);
        u64::try_from(u128::from(self.latencies.count()) * 1_000_000_000 / nanos)
            .unwrap_or(u64::MAX)
    }

    fn merge(&mut self, other: Self) {
        self.latencies.merge(&other.latencies);
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }

    pub(crate) fn fail(&mut self, error: &Failure) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| error.to_string());
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let latencies = &self.latencies;
        write!(
            f,
            "{} calls/s, p50 {:.3?}, p90 {:.3?}, p99 {:.3?}, p99.9 {:.3?}, max {:.3?}, {} errors",
            self.calls_per_second(),
            latencies.per_mille(500),
            latencies.per_mille(900),
            latencies.per_mille(990),
            latencies.per_mille(999),
            latencies.max(),
            self.errors,
        )?;
        match &self.first_error {
            Some(error) => write!(f, "; the first: {error}"),
            None => Ok(()),
        }
    }
}

/// The calls of one connection, which is handed back unless it broke and could not be opened again.
async fn drive(
    connection: Connection,
    plan: Plan,
    lane: u64,
    (start, first): (Instant, Instant),
    until: Until,
) -> (Outcome, Option<(Connection, Plan)>) {
    let mut outcome = Outcome::default();
    let mut current = Some(connection);
    let times = (start, first);
    let run = calls(&mut current, &plan, lane, times, until, &mut outcome);
    let ended = match until {
        Until::Elapsed(time) | Until::Paced(time, _) => {
            timeout_at(start + time + PATIENCE, run).await.is_ok()
        }
        // Each call has its own time.
        Until::Calls(_) => {
            run.await;
            true
        }
    };
    if !ended {
        outcome.fail(&"no answer within ten seconds of the end".into());
        current = None;
    }
    (outcome, current.map(|connection| (connection, plan)))
}

async fn calls(
    current: &mut Option<Connection>,
    plan: &Plan,
    lane: u64,
    (start, mut turn): (Instant, Instant),
    until: Until,
    outcome: &mut Outcome,
) {
    for id in 1.. {
        if let Until::Paced(_, interval) = until {
            sleep_until(turn).await;
            turn += interval;
        }
        let before = Instant::now();
        let done = match until {
            Until::Elapsed(time) | Until::Paced(time, _) => before - start >= time,
            Until::Calls(calls) => id > calls,
        };
        let Some(connection) = current.as_mut().filter(|_| !done) else {
            return;
        };
        let call = connection.call(id, lane << 40 | id);
        let answer = match until {
            Until::Calls(_) => timeout(PATIENCE, call)
                .await
                .unwrap_or_else(|_| Err(CallError::Broken("no answer within ten seconds".into()))),
            Until::Elapsed(_) | Until::Paced(..) => call.await,
        };
        match answer {
            Ok(()) => outcome.latencies.record(before.elapsed()),
            Err(CallError::Wrong(error)) => outcome.fail(&error),
            Err(CallError::Broken(error)) => {
                outcome.fail(&error);
                *current = Connection::open(plan)
                    .await
                    .map_err(|error| outcome.fail(&error))
                    .ok();
            }
        }
    }
}

/// How long a server may keep a connection waiting.
const PATIENCE: Duration = Duration::from_secs(10);
