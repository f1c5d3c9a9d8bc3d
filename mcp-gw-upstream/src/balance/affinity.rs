//! What keeps calls with a replica: the caller, its session, a task.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mcp_gw_core::{CallContext, RawJson, SessionKey, is_plainly_complete};
use memchr::memmem;
use serde::Deserialize;

use crate::balance::random::{combine, digest};

/// The most callers, sessions or tasks that are kept with a replica.
const MOST: usize = 16_384;

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Affinity {
    /// A digest of the session, or else of the caller.
    pub(crate) key: u64,
    pub(crate) is_session: bool,
}

impl Affinity {
    /// Of this call. That of a caller is the same in every process.
    pub(crate) fn of(ctx: &CallContext) -> Self {
        if let Some(session) = &ctx.meta().session {
            return Self::of_session(session);
        }
        let caller = ctx.caller();
        let id = combine(digest(&caller.issuer), digest(&caller.id));
        Self {
            key: combine(digest(caller.kind.as_str()), id),
            is_session: false,
        }
    }

    pub(crate) fn of_session(session: &SessionKey) -> Self {
        Self {
            key: digest(session.as_str()),
            is_session: true,
        }
    }

    /// Of what nobody calls for.
    pub(crate) fn of_text(text: &str) -> Self {
        Self {
            key: digest(text),
            is_session: false,
        }
    }
}

/// The task that a call was answered with, if it was (extension `io.modelcontextprotocol/tasks`).
pub(crate) fn task_in(result: &RawJson) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Made {
        result_type: String,
        task_id: String,
    }
    if is_plainly_complete(result) {
        return None;
    }
    memmem::find(result.as_bytes(), b"taskId")?;
    let made: Made = result.decode_owned().ok()?;
    (made.result_type == "task").then_some(made.task_id)
}

/// Where callers, sessions or tasks are at home.
#[derive(Debug)]
pub(crate) struct Homes {
    of: HashMap<u64, Home>,
    /// So long one is kept of which nothing is heard.
    idle: Duration,
}

#[derive(Debug)]
struct Home {
    replica: usize,
    used: Instant,
}

impl Homes {
    pub(crate) fn new(idle: Duration) -> Self {
        Self {
            of: HashMap::new(),
            idle,
        }
    }

    /// The replica that this one was sent to before.
    pub(crate) fn find(&self, key: u64, now: Instant) -> Option<usize> {
        self.of
            .get(&key)
            .filter(|home| now.saturating_duration_since(home.used) < self.idle)
            .map(|home| home.replica)
    }

    /// This one was sent to `replica`.
    pub(crate) fn settle(&mut self, key: u64, replica: usize, now: Instant) {
        if self.of.len() >= MOST && !self.of.contains_key(&key) {
            self.make_room(now);
        }
        self.of.insert(key, Home { replica, used: now });
    }

    /// This one is no more.
    pub(crate) fn forget(&mut self, key: u64) {
        self.of.remove(&key);
    }

    /// Forgets who is idle, and if nobody is, the eighth that was not heard of for the longest.
    fn make_room(&mut self, now: Instant) {
        let idle = self.idle;
        self.of
            .retain(|_, home| now.saturating_duration_since(home.used) < idle);
        if self.of.len() < MOST {
            return;
        }
        let mut times: Vec<Instant> = self.of.values().map(|home| home.used).collect();
        let (_, oldest, _) = times.select_nth_unstable(MOST / 8);
        let oldest = *oldest;
        let mut excess = MOST / 8;
        self.of.retain(|_, home| {
            let goes = home.used <= oldest && excess > 0;
            excess -= usize::from(goes);
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mcp_gw_core::testing::{ManualClock, RecordingLink, call_context};
    use mcp_gw_core::{Caller, CallerKind, Clock as _};

    use super::*;

    #[test]
    fn only_the_same_identity_has_the_same_digest() {
        let digest =
            |caller| Affinity::of(&call_context(caller, Arc::new(RecordingLink::new()))).key;
        let key = |id: &str| Caller::new(CallerKind::ApiKey, id);
        assert_eq!(digest(key("a")), digest(key("a").with_roles(["admin"])));
        let others = [
            key("b"),
            key("a").with_issuer("b"),
            key("").with_issuer("a"),
            Caller::new(CallerKind::User, "a"),
        ];
        for other in others {
            assert_ne!(digest(key("a")), digest(other));
        }
    }

    #[test]
    fn callers_that_are_idle_are_forgotten_first_and_their_number_is_bounded() {
        let idle = Duration::from_secs(60);
        let (mut homes, clock) = (Homes::new(idle), ManualClock::new());
        homes.settle(0, 7, clock.now());
        clock.advance(idle / 2);
        assert_eq!(homes.find(0, clock.now()), Some(7));
        for caller in 1..MOST as u64 {
            homes.settle(caller, 1, clock.now());
        }
        clock.advance(idle / 2);
        assert_eq!(homes.find(0, clock.now()), None);
        homes.settle(u64::MAX, 2, clock.now());
        assert_eq!(homes.of.len(), MOST);
        homes.settle(u64::MAX - 1, 2, clock.now());
        assert_eq!(homes.of.len(), MOST - MOST / 8 + 1);
        assert_eq!(homes.find(u64::MAX, clock.now()), Some(2));
    }

    #[test]
    fn a_task_is_what_says_so_and_names_itself() {
        let task = |text: &str| task_in(&RawJson::parse(text.to_owned()).unwrap());
        assert_eq!(
            task(r#"{"taskId":"7","resultType":"task","status":"working"}"#).as_deref(),
            Some("7")
        );
        for text in [
            r#"{"content":[],"structuredContent":{"taskId":"7"}}"#,
            r#"{"resultType":"complete","taskId":"7"}"#,
            r#"{"resultType":"task","taskId":7}"#,
            r#"{"resultType":"task"}"#,
        ] {
            assert_eq!(task(text), None, "{text}");
        }
    }
}
