//! How many tasks are remembered, and how much of the calls that made them.

use std::sync::Arc;
use std::time::Instant;

use super::{Owned, Table};
use crate::tool::Arguments;

/// So many tasks are remembered for one caller; the oldest makes room.
const PER_CALLER: usize = 1024;
/// So many tasks are remembered in all.
const TOTAL: usize = 65_536;

/// The longest arguments that are kept, in bytes. `mcp-gw-policy` reads no longer ones: a call that was
/// allowed by what its arguments are has shorter ones.
const LONGEST_ARGUMENTS: usize = 64 << 10;
/// So many bytes of arguments are kept for one caller; the oldest make room.
const ARGUMENTS_PER_CALLER: usize = 1 << 20;
/// So many bytes of arguments are kept in all.
const ARGUMENTS_TOTAL: usize = 32 << 20;

/// What is kept of the arguments of a call: a copy, without the message that they were cut from.
pub(crate) fn kept(arguments: &Arguments) -> Option<Arguments> {
    let raw = arguments.as_raw();
    if raw.len() > LONGEST_ARGUMENTS {
        return None;
    }
    Arguments::from_raw(raw.detached()).ok()
}

/// Makes room for one more task. Only a caller with many tasks, or a full table, loses the oldest; and
/// where arguments take too much room, the oldest are forgotten, and their tasks are not.
pub(super) fn make(table: &mut Table, next: &Owned, now: Instant) {
    let mut used = Used::of(table, next);
    let more = size(next);
    if used.has_room_for_one() && used.has_room_for(more) {
        return;
    }
    table.retain(|_, all| {
        all.retain(|owned| now < owned.expires);
        !all.is_empty()
    });
    used = Used::of(table, next);
    if !used.has_room_for_one() {
        forget_oldest(table, next, used.tasks >= TOTAL);
        used = Used::of(table, next);
    }
    if !used.has_room_for(more) {
        forget_arguments(table, next, used, more);
    }
}

/// What is in use, by all and by one caller.
#[derive(Debug, Default, PartialEq, Eq)]
struct Used {
    tasks: usize,
    own_tasks: usize,
    bytes: usize,
    own_bytes: usize,
}

impl Used {
    fn of(table: &Table, next: &Owned) -> Self {
        let mut used = Self::default();
        for owned in table.values().flatten() {
            let bytes = size(owned);
            used.tasks += 1;
            used.bytes += bytes;
            if owned.caller.is_same(&next.caller) {
                used.own_tasks += 1;
                used.own_bytes += bytes;
            }
        }
        used
    }

    const fn has_room_for_one(&self) -> bool {
        self.tasks < TOTAL && self.own_tasks < PER_CALLER
    }

    const fn has_room_for(&self, more: usize) -> bool {
        self.bytes.saturating_add(more) <= ARGUMENTS_TOTAL
            && self.own_bytes.saturating_add(more) <= ARGUMENTS_PER_CALLER
    }
}

/// Bytes of arguments that are kept with a task.
fn size(owned: &Owned) -> usize {
    let arguments = owned.home.arguments.as_ref();
    arguments.map_or(0, |arguments| arguments.as_raw().len())
}

/// Forgets the oldest task of the caller of `next`, or of all when the table is full.
fn forget_oldest(table: &mut Table, next: &Owned, is_full: bool) {
    let may_go = |owned: &Owned| is_full || owned.caller.is_same(&next.caller);
    let oldest = table
        .iter()
        .flat_map(|(id, all)| all.iter().map(move |owned| (id, owned)))
        .filter(|(_, owned)| may_go(owned))
        .min_by_key(|(_, owned)| owned.made)
        .map(|(id, owned)| (Arc::clone(id), owned.made));
    let Some((id, made)) = oldest else { return };
    if let Some(all) = table.get_mut(&id) {
        let found = all
            .iter()
            .position(|owned| owned.made == made && may_go(owned));
        if let Some(at) = found {
            all.swap_remove(at);
        }
        if all.is_empty() {
            table.remove(&id);
        }
    }
}

/// Forgets arguments until there is room for so many bytes `more`: the oldest of the caller of `next`
/// first, then the oldest of anybody.
fn forget_arguments(table: &mut Table, next: &Owned, mut used: Used, more: usize) {
    let is_own = |owned: &Owned| owned.caller.is_same(&next.caller);
    let mut kept: Vec<&mut Owned> = table
        .values_mut()
        .flatten()
        .filter(|owned| owned.home.arguments.is_some())
        .collect();
    kept.sort_by_key(|owned| (!is_own(owned), owned.made));
    for owned in kept {
        if used.has_room_for(more) {
            return;
        }
        let bytes = size(owned);
        used.bytes = used.bytes.saturating_sub(bytes);
        if is_own(owned) {
            used.own_bytes = used.own_bytes.saturating_sub(bytes);
        }
        owned.home.arguments = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::caller::{Caller, CallerKind};
    use crate::clock::Clock as _;
    use crate::json::RawJson;
    use crate::task::{TaskHome, Tasks};
    use crate::testing::ManualClock;

    /// Tasks, and the moment when the next one is made.
    struct Made(Tasks, Instant);

    impl Made {
        fn make(&mut self, caller: &str, id: usize, bytes: usize) {
            let text = format!(r#"{{"x":"{}"}}"#, "x".repeat(bytes.saturating_sub(8)));
            let arguments = Arguments::from_raw(RawJson::parse(text).unwrap()).unwrap();
            let home = |id: &str| {
                let home = TaskHome {
                    server: "s".into(),
                    upstream: id.into(),
                    tool: "t".into(),
                    endpoint: None,
                    arguments: kept(&arguments),
                };
                (id.into(), home)
            };
            let text = format!(r#"{{"resultType":"task","taskId":"{id}"}}"#);
            let result = RawJson::parse(text).unwrap();
            self.1 += Duration::from_millis(1);
            assert!(self.0.learn(&caller_of(caller), home, &result, self.1));
        }

        /// `None` for no task, else whether its arguments are kept.
        fn find(&self, caller: &str, id: usize) -> Option<bool> {
            let id = id.to_string();
            let home = self.0.find(&caller_of(caller), &id, None, self.1);
            home.map(|home| home.arguments.is_some())
        }
    }

    fn caller_of(id: &str) -> Caller {
        Caller::new(CallerKind::ApiKey, id)
    }

    fn nothing() -> Made {
        Made(Tasks::default(), ManualClock::new().now())
    }

    #[test]
    fn a_caller_with_too_many_loses_its_own_oldest() {
        let mut made = nothing();
        made.make("b", 0, 8);
        for id in 1..=PER_CALLER + 1 {
            made.make("a", id, 8);
        }
        assert_eq!(made.find("a", 1), None);
        assert_eq!(made.find("a", 2), Some(true));
        assert_eq!(made.find("b", 0), Some(true));
    }

    #[test]
    fn long_arguments_are_forgotten_and_their_tasks_are_not() {
        let mut made = nothing();
        made.make("a", 0, LONGEST_ARGUMENTS + 1);
        assert_eq!(made.find("a", 0), Some(false));
        made.make("a", 1, LONGEST_ARGUMENTS);
        assert_eq!(made.find("a", 1), Some(true));
    }

    #[test]
    fn a_caller_with_much_loses_its_own_oldest_arguments() {
        let fit = ARGUMENTS_PER_CALLER / LONGEST_ARGUMENTS;
        let mut made = nothing();
        made.make("b", 0, LONGEST_ARGUMENTS);
        for id in 1..=fit + 1 {
            made.make("a", id, LONGEST_ARGUMENTS);
        }
        assert_eq!(made.find("a", 1), Some(false));
        for id in 2..=fit + 1 {
            assert_eq!(made.find("a", id), Some(true), "{id}");
        }
        assert_eq!(made.find("b", 0), Some(true));
    }

    #[test]
    fn many_callers_stay_within_one_bound() {
        let mut made = nothing();
        let fit = ARGUMENTS_TOTAL / LONGEST_ARGUMENTS;
        for id in 0..=fit {
            made.make(&format!("c{}", id % 64), id, LONGEST_ARGUMENTS);
        }
        let of = |id: usize| made.find(&format!("c{}", id % 64), id);
        let kept = (0..=fit).filter(|id| of(*id) == Some(true)).count();
        assert_eq!(kept, fit);
        assert_eq!(
            of(0),
            Some(false),
            "the oldest of who needs room goes first"
        );
        assert_eq!(of(fit), Some(true));
    }
}
