//! How many refusals of callers whom nobody knows are kept: whoever reaches the port can make them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mcp_gw_core::{AuditEvent, CallerKind, Clock, Outcome};

/// So long the same refusals are counted together.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// The method of an attempt to log in, as the management API writes it.
const LOGIN: &str = "login";

/// Counts refusals by address, and says which of them are kept.
pub(super) struct Bound {
    clock: Arc<dyn Clock>,
    per_address: u32,
    total: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    /// Wrong passwords, and logins that were refused before a look at it: neither is to be lost in noise that
    /// anybody can make, nor the second in the first.
    guesses: Kept,
    held_off: Kept,
    others: Kept,
    /// Not kept in this window, and in those before that nobody was told of.
    left_out: LeftOut,
    due: LeftOut,
}

/// How many were kept in this window.
#[derive(Debug, Default)]
struct Kept {
    all: u32,
    by_address: HashMap<Option<IpAddr>, u32>,
}

/// How many were not kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) logins: u64,
    pub(super) others: u64,
}

impl LeftOut {
    const fn add(&mut self, more: Self) {
        self.logins = self.logins.saturating_add(more.logins);
        self.others = self.others.saturating_add(more.others);
    }
}

impl Bound {
    pub(super) fn new(clock: Arc<dyn Clock>, per_address: u32, total: u32) -> Self {
        Self {
            clock,
            per_address,
            total,
            state: Mutex::default(),
        }
    }

    /// True when an event is kept; another one is counted.
    pub(super) fn keeps(&self, event: &AuditEvent) -> bool {
        if !is_refusal(event) {
            return true;
        }
        let mut state = self.turned();
        let is_login = event.method == LOGIN;
        let kept = match event.outcome {
            Outcome::Unauthenticated if is_login => &mut state.guesses,
            _ if is_login => &mut state.held_off,
            _ => &mut state.others,
        };
        let address = event.client_addr.map(network);
        let own = kept.by_address.get(&address).copied().unwrap_or(0);
        if kept.all >= self.total || own >= self.per_address {
            state.left_out.add(LeftOut {
                logins: u64::from(is_login),
                others: u64::from(!is_login),
            });
            return false;
        }
        kept.all += 1;
        kept.by_address.insert(address, own + 1);
        true
    }

    /// How many were not kept in windows that are over, or with `is_end` in this one as well; once.
    pub(super) fn take(&self, is_end: bool) -> LeftOut {
        let mut state = self.turned();
        if is_end {
            let now = std::mem::take(&mut state.left_out);
            state.due.add(now);
        }
        std::mem::take(&mut state.due)
    }

    fn turned(&self) -> MutexGuard<'_, State> {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |since| now.saturating_duration_since(since) >= WINDOW;
        if state.since.is_none_or(is_over) {
            let mut due = state.due;
            due.add(state.left_out);
            *state = State {
                since: Some(now),
                due,
                ..State::default()
            };
        }
        state
    }
}

/// Something that was refused, of nobody in particular.
fn is_refusal(event: &AuditEvent) -> bool {
    let is_refused = matches!(event.outcome, Outcome::Unauthenticated | Outcome::Error(_));
    is_refused && event.caller_kind == CallerKind::Anonymous
}

/// Who has one address of IPv6 has all of its network.
fn network(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(addr) => {
            let prefix = addr.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(prefix.into())
        }
        addr @ IpAddr::V4(_) => addr,
    }
}
