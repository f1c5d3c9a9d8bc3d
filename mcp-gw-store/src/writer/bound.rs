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
    /// By whether they are logins: those are not lost in noise that anybody can make.
    kept: [u32; 2],
    by_address: HashMap<(bool, Option<IpAddr>), u32>,
    /// Not kept in this window, and in those before that nobody was told of.
    left_out: u64,
    due: u64,
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
        let from = (is_login, event.client_addr.map(network));
        let own = state.by_address.get(&from).copied().unwrap_or(0);
        let kept = &mut state.kept[usize::from(is_login)];
        if *kept >= self.total || own >= self.per_address {
            state.left_out = state.left_out.saturating_add(1);
            return false;
        }
        *kept += 1;
        state.by_address.insert(from, own + 1);
        true
    }

    /// How many were not kept in windows that are over, or with `is_end` in this one as well; once.
    pub(super) fn take(&self, is_end: bool) -> u64 {
        let mut state = self.turned();
        if is_end {
            state.due += std::mem::take(&mut state.left_out);
        }
        std::mem::take(&mut state.due)
    }

    fn turned(&self) -> MutexGuard<'_, State> {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |since| now.saturating_duration_since(since) >= WINDOW;
        if state.since.is_none_or(is_over) {
            state.due = state.due.saturating_add(state.left_out);
            (state.left_out, state.kept) = (0, [0; 2]);
            state.by_address.clear();
            state.since = Some(now);
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
