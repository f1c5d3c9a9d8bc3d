//! The replicas of one server: how each is doing, what each has to do, and who is next.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mcp_gw_core::{Backend, BackendError, Clock};

use crate::balance::affinity::{Affinity, Homes};
use crate::balance::budget::Budget;
use crate::balance::config::{BalanceConfig, Replica, Sticky};
use crate::balance::health::{Call, Health, Sign, most_ejected};
use crate::balance::pick::{Candidate, Picker};
use crate::balance::random::{Random, digest};
use crate::balance::retry::{Failure, Retry, Situation, Step};

/// So long a session or caller that says nothing keeps its replica, and a task.
const IDLE: Duration = Duration::from_secs(30 * 60);
const TASK: Duration = Duration::from_secs(24 * 60 * 60);

/// How a replica is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplicaState {
    /// It gets calls.
    Healthy,
    /// It failed calls and is left out for a while.
    Ejected,
    /// It was left out and gets one call, to see.
    HalfOpen,
    /// It fails its checks.
    Down,
}

impl ReplicaState {
    /// The name used in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Ejected => "ejected",
            Self::HalfOpen => "half-open",
            Self::Down => "down",
        }
    }
}

/// One replica as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaStatus {
    /// What it is called in logs.
    pub label: String,
    /// How it is doing.
    pub state: ReplicaState,
    /// How many calls it is working on.
    pub in_flight: usize,
}

/// The replicas.
pub(crate) struct Fleet {
    pub(crate) server: Arc<str>,
    pub(crate) config: BalanceConfig,
    pub(crate) replicas: Vec<Replica>,
    keys: Vec<u64>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    health: Vec<Health>,
    in_flight: Vec<usize>,
    picker: Picker,
    homes: Homes,
    tasks: Homes,
    budget: Budget,
    random: Random,
}

/// Replicas that one request was sent to, as bits.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tried(u64);

impl Tried {
    /// All but this one.
    pub(crate) const fn all_but(index: usize) -> Self {
        Self(!(1 << index))
    }

    pub(crate) const fn add(&mut self, index: usize) {
        self.0 |= 1 << index;
    }

    const fn has(self, index: usize) -> bool {
        self.0 & (1 << index) != 0
    }
}

impl Fleet {
    pub(crate) fn new(
        config: BalanceConfig,
        replicas: Vec<Replica>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let now = clock.now();
        let count = replicas.len();
        Self {
            server: config.name.as_str().into(),
            keys: replicas.iter().map(|one| digest(&one.key)).collect(),
            state: Mutex::new(State {
                health: replicas.iter().map(|_| Health::default()).collect(),
                in_flight: vec![0; count],
                picker: Picker::new(config.strategy, count, Random::seeded()),
                homes: Homes::new(IDLE),
                tasks: Homes::new(TASK),
                budget: Budget::new(config.retries.budget_percent, now),
                random: Random::seeded(),
            }),
            config,
            replicas,
            clock,
        }
    }

    /// A request came.
    pub(crate) fn earn(&self) {
        self.lock().budget.earn();
    }

    /// Sends a call of `affinity` somewhere, where it was not `tried`. When no replica is well, one
    /// that is ejected gets it: that is better than none. One that fails its checks never does: those
    /// go on, and find out when it is back. `None` when nobody is left.
    pub(crate) fn lease(&self, affinity: Affinity, tried: Tried) -> Option<Lease<'_>> {
        let now = self.clock.now();
        let mut state = self.lock();
        let mut candidates = self.candidates(&state, tried, |health| health.takes_calls(now));
        if candidates.is_empty() {
            candidates = self.candidates(&state, tried, |health| !health.is_down());
        }
        let stays = match self.config.sticky {
            Sticky::Never => false,
            Sticky::Sessions => affinity.is_session,
            Sticky::Callers => true,
        } && self.replicas.len() > 1;
        let home = stays.then(|| state.homes.find(affinity.key, now)).flatten();
        let index = match home {
            Some(home) if candidates.iter().any(|one| one.index == home) => home,
            _ => state.picker.pick(&candidates, affinity.key)?,
        };
        if stays {
            state.homes.settle(affinity.key, index, now);
        }
        *state.in_flight.get_mut(index)? += 1;
        let is_trial = state.health.get_mut(index)?.call_begins(now);
        Some(Lease {
            fleet: self,
            index,
            call: Call {
                began: now,
                is_trial,
            },
            is_over: false,
        })
    }

    fn candidates(
        &self,
        state: &State,
        tried: Tried,
        may: impl Fn(&Health) -> bool,
    ) -> Vec<Candidate> {
        let now = self.clock.now();
        let all = self.replicas.iter().zip(&self.keys);
        let known = state.health.iter().zip(&state.in_flight);
        all.zip(known)
            .enumerate()
            .filter(|(index, (_, (health, _)))| !tried.has(*index) && may(health))
            .map(|(index, ((replica, key), (health, in_flight)))| Candidate {
                index,
                weight: replica.weight,
                in_flight: *in_flight,
                key: *key,
                failures: health.failures(now),
            })
            .collect()
    }

    /// Why a call has nowhere to go.
    pub(crate) fn why_nowhere(&self) -> &'static str {
        if self.lock().health.iter().all(Health::is_down) {
            "it does not answer its checks (`health`); they go on, and calls go there again when it does"
        } else {
            "no replica is left"
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// What to do with a request that failed like this, after it was `tried` there.
    pub(crate) fn next_step(&self, retry: &mut Retry, failure: Failure, tried: Tried) -> Step {
        let now = self.clock.now();
        let mut state = self.lock();
        let has_others = !self
            .candidates(&state, tried, |health| health.takes_calls(now))
            .is_empty();
        let State {
            health,
            budget,
            random,
            ..
        } = &mut *state;
        let situation = Situation {
            failure,
            has_others,
            patience: patience(health, self.config.retries.wait, now),
            now,
        };
        retry.after(&self.config.retries, situation, budget, random)
    }

    /// Where all calls of `affinity` will go, unless something happens; `None` when that is not one
    /// place.
    pub(crate) fn home(&self, affinity: Affinity) -> Option<usize> {
        if self.replicas.len() == 1 {
            return Some(0);
        }
        if self.config.sticky == Sticky::Never {
            return None;
        }
        // Nothing is sent, so nothing is learnt of it.
        Some(self.lease(affinity, Tried::default())?.index)
    }

    /// The session is no more.
    pub(crate) fn end_session(&self, affinity: Affinity) {
        self.lock().homes.forget(affinity.key);
    }

    /// The task of this id runs at this replica.
    pub(crate) fn task_made(&self, task_id: &str, index: usize) {
        if self.replicas.len() > 1 {
            let now = self.clock.now();
            self.lock().tasks.settle(digest(task_id), index, now);
        }
    }

    /// Where the task of this id runs.
    pub(crate) fn task_home(&self, task_id: &str) -> Option<usize> {
        let now = self.clock.now();
        self.lock().tasks.find(digest(task_id), now)
    }

    pub(crate) fn backend(&self, index: usize) -> Option<&Arc<dyn Backend>> {
        self.replicas.get(index).map(|replica| &replica.backend)
    }

    /// The replica of this label.
    pub(crate) fn labelled(&self, label: &str) -> Option<usize> {
        self.replicas.iter().position(|one| one.label == label)
    }

    /// What is known of each replica: true unless it is of no use now.
    pub(crate) fn alive(&self) -> Vec<bool> {
        self.lock().health.iter().map(Health::is_alive).collect()
    }

    /// Those that are alive, in their order, and then the rest.
    pub(crate) fn best_first(&self) -> Vec<usize> {
        let alive = self.alive();
        let of = |wanted: bool| {
            let alive = alive.iter().enumerate();
            alive.filter_map(move |(index, is)| (*is == wanted).then_some(index))
        };
        of(true).chain(of(false)).collect()
    }

    pub(crate) fn status(&self) -> Vec<ReplicaStatus> {
        let now = self.clock.now();
        let state = self.lock();
        let known = state.health.iter().zip(&state.in_flight);
        self.replicas
            .iter()
            .zip(known)
            .map(|(replica, (health, in_flight))| ReplicaStatus {
                label: replica.label.clone(),
                state: health.state(now),
                in_flight: *in_flight,
            })
            .collect()
    }

    /// True while a replica fails its checks.
    pub(crate) fn is_down(&self, index: usize) -> bool {
        self.lock().health.get(index).is_some_and(Health::is_down)
    }

    /// Changes what is known of a replica, and logs when that changes its state. True when it is
    /// alive and was not before, or the other way round.
    pub(crate) fn learn(
        &self,
        index: usize,
        reason: &dyn fmt::Display,
        change: impl FnOnce(&mut Health, Instant, bool),
    ) -> bool {
        let now = self.clock.now();
        let mut state = self.lock();
        let ejected = state.health.iter().filter(|one| one.is_ejected()).count();
        let may_eject = ejected < most_ejected(&self.config.ejection, self.replicas.len());
        let Some(health) = state.health.get_mut(index) else {
            return false;
        };
        let before = (health.state(now), health.is_alive());
        change(health, now, may_eject);
        let after = (health.state(now), health.is_alive());
        drop(state);
        if before.0 != after.0 {
            self.log(index, after.0, reason);
        }
        before.1 != after.1
    }

    fn log(&self, index: usize, state: ReplicaState, reason: &dyn fmt::Display) {
        let replica = self.replicas.get(index);
        let replica = replica.map_or("", |replica| replica.label.as_str());
        let (server, state_name) = (&*self.server, state.as_str());
        if state == ReplicaState::Healthy {
            tracing::info!(
                target: "mcp_gw::upstream", server, replica, state = state_name,
                "a replica is well again"
            );
        } else {
            tracing::warn!(
                target: "mcp_gw::upstream", server, replica, state = state_name, %reason,
                "a replica is not well"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("server", &self.server)
            .field("replicas", &self.replicas)
            .finish_non_exhaustive()
    }
}

/// How much longer a request waits when no replica answers: from the moment on when the last of
/// them stopped to.
fn patience(health: &[Health], wait: Duration, now: Instant) -> Duration {
    let since = health
        .iter()
        .map(Health::failing_since)
        .try_fold(None, |latest, since| Some(latest.max(Some(since?))));
    match since.flatten() {
        Some(since) => wait.saturating_sub(now.saturating_duration_since(since)),
        None => wait,
    }
}

/// A call that is with a replica. Dropping it says that the call was given up.
#[derive(Debug)]
pub(crate) struct Lease<'a> {
    fleet: &'a Fleet,
    pub(crate) index: usize,
    call: Call,
    is_over: bool,
}

impl Lease<'_> {
    pub(crate) fn backend(&self) -> Option<&Arc<dyn Backend>> {
        self.fleet.backend(self.index)
    }

    /// The call is over. True when the replica is alive and was not before, or the other way round.
    pub(crate) fn end(mut self, error: Option<&BackendError>) -> bool {
        let sign = error.map_or(Sign::Well, |error| Failure::of(error).sign());
        match error {
            Some(error) => self.over(sign, error),
            None => self.over(sign, &""),
        }
    }

    fn over(&mut self, sign: Sign, reason: &dyn fmt::Display) -> bool {
        self.is_over = true;
        if let Some(in_flight) = self.fleet.lock().in_flight.get_mut(self.index) {
            *in_flight = in_flight.saturating_sub(1);
        }
        let (ejection, call) = (&self.fleet.config.ejection, self.call);
        self.fleet
            .learn(self.index, reason, |health, now, may_eject| {
                health.call_ends(ejection, call, sign, may_eject, now);
            })
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.over(Sign::Nothing, &"the call was given up");
        }
    }
}
