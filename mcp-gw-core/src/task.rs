//! Who owns which task (extension `io.modelcontextprotocol/tasks`). A task id is a handle, not a
//! credential: only the caller whose call made the task may ask about it.

mod room;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::caller::Caller;
use crate::json::{ESCAPE, Needle, RawJson};
use crate::result_type::is_plainly_complete;
use crate::tool::Arguments;

pub(crate) use room::kept;

/// A task is remembered at least so long, and no longer than [`LONGEST`], whatever its server says.
const SHORTEST: Duration = Duration::from_secs(60 * 60);
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Longest id of a task, in bytes.
const LONGEST_ID: usize = 1024;

/// Where a task runs, and of which tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskHome {
    pub(crate) server: Arc<str>,
    /// What the server calls it.
    pub(crate) upstream: Arc<str>,
    /// The tool, as clients see it.
    pub(crate) tool: Arc<str>,
    /// Where it was made; it is known nowhere else.
    pub(crate) endpoint: Option<Arc<str>>,
    /// The arguments of the call that made it, for the policy; `None` when they take too much room.
    pub(crate) arguments: Option<Arguments>,
}

#[derive(Debug)]
struct Owned {
    caller: Caller,
    home: TaskHome,
    made: Instant,
    expires: Instant,
}

impl Owned {
    /// True when both have one id for one client.
    fn is_same(&self, other: &Self) -> bool {
        self.caller.is_same(&other.caller) && self.home.endpoint == other.home.endpoint
    }
}

/// The tasks of all callers, by the id that clients know.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<Table>);

type Table = HashMap<Arc<str>, Vec<Owned>>;

/// What a result says when it is a task.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    result_type: Option<Value>,
    task_id: Option<Value>,
    ttl_ms: Option<Value>,
}

/// True for what can name a task, in headers too.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= LONGEST_ID && id.trim() == id && !id.chars().any(char::is_control)
}

static TASK_ID: Needle = Needle::new("taskId");
static TASK: Needle = Needle::new("\"task\"");

impl Tasks {
    /// Remembers the task that a call was answered with, if it was. False when the answer names a
    /// task that cannot be told: its id is another server's already, or no id. `home` says where the
    /// task is that its server calls so, and what clients call it.
    pub(crate) fn learn(
        &self,
        caller: &Caller,
        home: impl FnOnce(&str) -> (Arc<str>, TaskHome),
        result: &RawJson,
        now: Instant,
    ) -> bool {
        let is_none = || ![&TASK_ID, &TASK, &ESCAPE].iter().any(|it| it.is_in(result));
        if is_plainly_complete(result) || is_none() {
            return true;
        }
        let Ok(made) = result.decode::<Made>() else {
            return true;
        };
        if made.result_type.as_ref().and_then(Value::as_str) != Some("task") {
            return true;
        }
        let id = made.task_id.as_ref().and_then(Value::as_str);
        let Some(id) = id.filter(|id| is_id(id)) else {
            return false;
        };
        let kept = match made.ttl_ms.as_ref().and_then(Value::as_f64) {
            Some(ms) if ms.is_finite() && ms >= 0.0 => {
                Duration::try_from_secs_f64(ms / 1000.0).unwrap_or(LONGEST)
            }
            _ => LONGEST,
        };
        let (id, home) = home(id);
        let owned = Owned {
            caller: caller.clone(),
            home,
            made: now,
            expires: now + kept.clamp(SHORTEST, LONGEST),
        };
        self.add(id, owned, now)
    }

    fn add(&self, id: Arc<str>, owned: Owned, now: Instant) -> bool {
        let mut table = self.lock();
        let known = table
            .get(&id)
            .and_then(|all| all.iter().find(|other| other.is_same(&owned)));
        if let Some(other) = known {
            return other.home.server == owned.home.server;
        }
        room::make(&mut table, &owned, now);
        table.entry(id).or_default().push(owned);
        true
    }

    /// Where the task runs that this caller knows by this id at this endpoint.
    pub(crate) fn find(
        &self,
        caller: &Caller,
        id: &str,
        endpoint: Option<&str>,
        now: Instant,
    ) -> Option<TaskHome> {
        self.lock()
            .get(id)?
            .iter()
            .filter(|owned| owned.home.endpoint.as_deref() == endpoint)
            .find(|owned| owned.caller.is_same(caller) && now < owned.expires)
            .map(|owned| owned.home.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use crate::caller::CallerKind;
    use crate::clock::Clock as _;
    use crate::testing::ManualClock;

    use super::*;

    fn home(server: &str) -> TaskHome {
        TaskHome {
            server: server.into(),
            upstream: "1".into(),
            tool: "t".into(),
            endpoint: None,
            arguments: None,
        }
    }

    fn find(tasks: &Tasks, caller: &Caller, id: &str, now: Instant) -> Option<TaskHome> {
        tasks.find(caller, id, None, now)
    }

    fn learn(tasks: &Tasks, caller: &Caller, server: &str, text: &str, now: Instant) -> bool {
        let result = RawJson::parse(text.to_owned()).unwrap();
        let told = |id: &str| {
            let upstream = id.into();
            (
                id.into(),
                TaskHome {
                    upstream,
                    ..home(server)
                },
            )
        };
        tasks.learn(caller, told, &result, now)
    }

    fn made(id: usize) -> String {
        format!(r#"{{"resultType":"task","taskId":"{id}","ttlMs":1000}}"#)
    }

    #[test]
    fn a_task_is_its_callers_alone_and_one_servers_alone() {
        let (tasks, now) = (Tasks::default(), ManualClock::new().now());
        let (a, b) = (
            Caller::new(CallerKind::ApiKey, "a"),
            Caller::new(CallerKind::ApiKey, "b"),
        );
        assert!(learn(&tasks, &a, "x", &made(1), now));
        assert!(learn(&tasks, &a, "x", &made(1), now));
        assert!(!learn(&tasks, &a, "y", &made(1), now));
        assert_eq!(find(&tasks, &a, "1", now), Some(home("x")));
        assert_eq!(find(&tasks, &b, "1", now), None);
        assert!(learn(&tasks, &b, "y", &made(1), now));
        assert_eq!(find(&tasks, &b, "1", now), Some(home("y")));
        assert_eq!(find(&tasks, &a, "1", now), Some(home("x")));
        assert_eq!(find(&tasks, &a, "1", now + SHORTEST), None);
    }

    #[test]
    fn one_id_at_two_endpoints_is_two_tasks() {
        let (tasks, now) = (Tasks::default(), ManualClock::new().now());
        let a = Caller::new(CallerKind::ApiKey, "a");
        for server in ["x", "y"] {
            let at = TaskHome {
                endpoint: Some(server.into()),
                ..home(server)
            };
            let result = RawJson::parse(made(1)).unwrap();
            let told = |id: &str| (id.into(), at.clone());
            assert!(tasks.learn(&a, told, &result, now));
            assert_eq!(tasks.find(&a, "1", Some(server), now), Some(at));
        }
        assert_eq!(find(&tasks, &a, "1", now), None);
    }

    #[test]
    fn only_a_task_is_one() {
        let (tasks, now) = (Tasks::default(), ManualClock::new().now());
        let a = Caller::new(CallerKind::ApiKey, "a");
        for text in [
            r#"{"content":[],"taskId":"1"}"#,
            r#"{"resultType":"complete","taskId":"1"}"#,
            "[\"taskId\"]",
        ] {
            assert!(learn(&tasks, &a, "x", text, now));
        }
        assert_eq!(find(&tasks, &a, "1", now), None);
        for id in [
            "",
            r#","taskId":5"#,
            r#","taskId":"""#,
            r#","taskId":" a\n""#,
        ] {
            let text = format!(r#"{{"resultType":"task"{id}}}"#);
            assert!(!learn(&tasks, &a, "x", &text, now), "{text}");
        }
    }
}
