//! How often may be tried to log in.
//!
//! What fails is counted, within a window that begins with the first failure: by address, and by user.
//! An attempt counts from when it begins, so that many at once are no way around, and is given back when it
//! succeeds. A success takes back what the user has against them.
//!
//! Who knows a name could keep its owner out. So the count of a user is not that of the addresses where the
//! user has logged in before (the last eight of them): each has a count of its own. Elsewhere the owner waits for
//! the rest of one window at most, unless the attacker goes on.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many addresses, users, and pairs of both are remembered; then the oldest windows go.
const MOST: usize = 16_384;

/// How many addresses are remembered of a user.
const PLACES: usize = 8;

#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    pub(super) per_address: u32,
    pub(super) per_user: u32,
    pub(super) window: Duration,
}

/// What was tried lately.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    addresses: Table<IpAddr>,
    users: Table<String>,
    pairs: Table<(String, IpAddr)>,
    /// Where users have logged in.
    places: HashMap<String, VecDeque<IpAddr>>,
    /// The users of `places`, the oldest first.
    known: VecDeque<String>,
}

#[derive(Debug)]
struct Table<K> {
    counts: HashMap<K, Count>,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        let counts = HashMap::new();
        Self { counts }
    }
}

#[derive(Debug, Clone, Copy)]
struct Count {
    used: u32,
    until: Instant,
}

/// An attempt that counts, until it is told how it went.
#[derive(Debug)]
pub(super) struct Attempt {
    user: String,
    address: Option<IpAddr>,
    is_known_place: bool,
}

impl Attempt {
    /// Whose count of all addresses it is on, if it is on that.
    pub(super) fn user(&self) -> Option<&str> {
        (!self.is_known_place).then_some(self.user.as_str())
    }

    pub(super) const fn address(&self) -> Option<IpAddr> {
        self.address
    }
}

impl Throttle {
    /// Begins an attempt.
    ///
    /// # Errors
    /// How long to wait, when there were too many.
    pub(super) fn begin(
        &self,
        user: &str,
        address: Option<IpAddr>,
        rates: Rates,
        now: Instant,
    ) -> Result<Attempt, Duration> {
        let user = folded(user);
        let address = address.map(network);
        let mut state = self.state();
        let is_known_place = address.is_some_and(|address| {
            let places = state.places.get(&user);
            places.is_some_and(|places| places.contains(&address))
        });
        let of_address = address.map(|at| state.addresses.left(&at, rates.per_address, now));
        let of_user = match address {
            Some(at) if is_known_place => {
                state.pairs.left(&(user.clone(), at), rates.per_user, now)
            }
            _ => state.users.left(&user, rates.per_user, now),
        };
        // All or none: what is refused costs nothing, and tells which wait is longer.
        let waits = [of_address.unwrap_or(Ok(())), of_user];
        if let Some(wait) = waits.into_iter().filter_map(Result::err).max() {
            return Err(wait);
        }
        if let Some(at) = address {
            state.addresses.add(at, rates.window, now);
        }
        match address {
            Some(at) if is_known_place => state.pairs.add((user.clone(), at), rates.window, now),
            _ => state.users.add(user.clone(), rates.window, now),
        }
        Ok(Attempt {
            user,
            address,
            is_known_place,
        })
    }

    /// It succeeded.
    pub(super) fn succeeded(&self, attempt: Attempt) {
        let mut state = self.state();
        let Attempt { user, address, .. } = attempt;
        state.users.counts.remove(&user);
        let Some(at) = address else {
            return;
        };
        state.addresses.give_back(&at);
        state.pairs.counts.remove(&(user.clone(), at));
        state.remember(user, at);
    }

    /// It came to nothing that tells of a password: it does not count.
    pub(super) fn undecided(&self, attempt: &Attempt) {
        let mut state = self.state();
        if let Some(at) = attempt.address {
            state.addresses.give_back(&at);
            if attempt.is_known_place {
                return state.pairs.give_back(&(attempt.user.clone(), at));
            }
        }
        state.users.give_back(&attempt.user);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remember(&mut self, user: String, at: IpAddr) {
        if !self.places.contains_key(&user) {
            if self.known.len() >= MOST
                && let Some(oldest) = self.known.pop_front()
            {
                self.places.remove(&oldest);
            }
            self.known.push_back(user.clone());
        }
        let places = self.places.entry(user).or_default();
        places.retain(|place| *place != at);
        if places.len() >= PLACES {
            places.pop_front();
        }
        places.push_back(at);
    }
}

impl<K: Hash + Eq + Clone> Table<K> {
    fn left(&self, key: &K, most: u32, now: Instant) -> Result<(), Duration> {
        match self.counts.get(key) {
            Some(count) if count.until > now && count.used >= most => Err(count.until - now),
            _ => Ok(()),
        }
    }

    fn add(&mut self, key: K, window: Duration, now: Instant) {
        if self.counts.len() >= MOST && !self.counts.contains_key(&key) {
            self.make_room(now);
        }
        let until = now + window;
        let count = self.counts.entry(key).or_insert(Count { used: 0, until });
        if count.until <= now {
            *count = Count { used: 0, until };
        }
        count.used = count.used.saturating_add(1);
    }

    fn give_back(&mut self, key: &K) {
        if let Some(count) = self.counts.get_mut(key) {
            count.used = count.used.saturating_sub(1);
        }
    }

    /// What is over goes; of what is not, the half with the fewest failures: a flood of other names and
    /// addresses does not wash away what was tried often.
    fn make_room(&mut self, now: Instant) {
        self.counts
            .retain(|_, count| count.until > now && count.used > 0);
        if self.counts.len() < MOST {
            return;
        }
        let mut used: Vec<u32> = self.counts.values().map(|count| count.used).collect();
        used.sort_unstable();
        let middle = used.get(used.len() / 2).copied().unwrap_or(u32::MAX);
        let mut go = MOST / 2;
        self.counts.retain(|_, count| {
            let goes = go > 0 && count.used <= middle;
            go -= usize::from(goes);
            !goes
        });
    }
}

/// One who has a network of IPv6 has all its addresses.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = address.to_bits() >> 64 << 64;
            IpAddr::V6(std::net::Ipv6Addr::from_bits(bits))
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// As the store takes names for the same one. The start is enough of what is too long to be a name.
fn folded(user: &str) -> String {
    user.chars()
        .take(256)
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::Clock as _;
    use mcp_gw_core::testing::ManualClock;

    use super::*;

    const RATES: Rates = Rates {
        per_address: 5,
        per_user: 3,
        window: Duration::from_secs(60),
    };

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    struct Case(Throttle, ManualClock);

    impl Case {
        fn new() -> Self {
            Self(Throttle::default(), ManualClock::new())
        }

        fn begin(&self, user: &str, address: &str) -> Result<Attempt, Duration> {
            self.0.begin(user, Some(at(address)), RATES, self.1.now())
        }

        fn fails(&self, user: &str, address: &str, times: usize) {
            for _ in 0..times {
                self.begin(user, address).unwrap();
            }
        }
    }

    #[test]
    fn a_user_waits_for_the_rest_of_the_window_and_no_longer() {
        let case = Case::new();
        for address in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
            case.fails("Ann", address, 1);
        }
        case.1.advance(Duration::from_secs(20));
        let wait = case.begin("aNN", "10.0.0.4").unwrap_err();
        assert_eq!(wait, Duration::from_secs(40), "in any case of letters");
        case.begin("bob", "10.0.0.4").unwrap();
        // What is refused does not make it longer.
        case.1.advance(Duration::from_secs(40));
        case.begin("ann", "10.0.0.4").unwrap();
    }

    #[test]
    fn an_address_waits_whoever_it_says_it_is() {
        let case = Case::new();
        for user in ["a", "b", "c", "d", "e"] {
            case.fails(user, "2001:db8::1", 1);
        }
        case.begin("f", "2001:db8::ffff").unwrap_err();
        case.begin("f", "2001:db8:0:1::1").unwrap();
        for user in ["a", "b", "c", "d", "e"] {
            case.fails(user, "::ffff:10.0.0.1", 1);
        }
        case.begin("f", "10.0.0.1").unwrap_err();
    }

    #[test]
    fn success_takes_back_what_the_user_has_and_costs_nothing() {
        let case = Case::new();
        case.fails("ann", "10.0.0.1", 2);
        let attempt = case.begin("ann", "10.0.0.1").unwrap();
        case.0.succeeded(attempt);
        case.fails("ann", "10.0.0.2", 3);
        // Of the address, what failed stays.
        case.fails("bob", "10.0.0.1", 3);
        case.begin("eve", "10.0.0.1").unwrap_err();
        for _ in 0..100 {
            let attempt = case.begin("dan", "10.0.0.9").unwrap();
            case.0.succeeded(attempt);
        }
    }

    #[test]
    fn nobody_keeps_a_user_out_of_where_they_came_from() {
        let case = Case::new();
        let attempt = case.begin("ann", "10.0.0.1").unwrap();
        case.0.succeeded(attempt);
        case.fails("ann", "10.0.0.2", 3);
        case.begin("ann", "10.0.0.3").unwrap_err();
        // There they may fail as often as elsewhere.
        case.fails("ann", "10.0.0.1", 3);
        case.begin("ann", "10.0.0.1").unwrap_err();
    }

    #[test]
    fn what_was_not_decided_does_not_count() {
        let case = Case::new();
        for _ in 0..100 {
            let attempt = case.begin("ann", "10.0.0.1").unwrap();
            case.0.undecided(&attempt);
        }
        let nowhere = case.0.begin("ann", None, RATES, case.1.now());
        nowhere.unwrap();
    }

    #[test]
    fn a_flood_of_names_takes_no_memory_and_forgets_nobody_who_failed_often() {
        let case = Case::new();
        let rates = Rates {
            per_address: u32::MAX,
            ..RATES
        };
        let begin = |user: &str| {
            case.0
                .begin(user, Some(at("10.0.0.1")), rates, case.1.now())
        };
        for _ in 0..3 {
            begin("ann").unwrap();
        }
        for index in 0..3 * MOST {
            begin(&format!("user {index}")).unwrap();
        }
        begin("ann").unwrap_err();
        assert!(case.0.state().users.counts.len() <= MOST);
    }
}
