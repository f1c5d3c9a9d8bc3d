//! Answers that were too long for one result: kept for a while, for the caller who asked.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mcp_gw_core::{Caller, CallerKind, Clock};

use super::piece::Form;

/// What is kept of answers that are too long for one result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptConfig {
    /// Bytes of one answer. 16 MiB by default.
    pub max_bytes: usize,
    /// Bytes of all answers. 64 MiB by default.
    pub max_total_bytes: usize,
    /// Answers of one caller. 8 by default.
    pub max_per_caller: usize,
    /// For how long. 5 min by default.
    pub max_age: Duration,
}

impl Default for KeptConfig {
    fn default() -> Self {
        Self {
            max_bytes: 16 << 20,
            max_total_bytes: 64 << 20,
            max_per_caller: 8,
            max_age: Duration::from_secs(300),
        }
    }
}

impl KeptConfig {
    /// Sets how many bytes of one answer and of all are kept.
    #[must_use]
    pub const fn with_bytes(mut self, of_one: usize, of_all: usize) -> Self {
        self.max_bytes = of_one;
        self.max_total_bytes = of_all;
        self
    }

    /// Sets how many answers of one caller are kept.
    #[must_use]
    pub const fn with_max_per_caller(mut self, answers: usize) -> Self {
        self.max_per_caller = answers;
        self
    }

    /// Sets for how long.
    #[must_use]
    pub const fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }
}

/// Answers by their handles. Clones are the same store: one is enough for all APIs.
#[derive(Clone)]
pub struct KeptAnswers(Arc<Inner>);

struct Inner {
    config: KeptConfig,
    clock: Arc<dyn Clock>,
    stock: Mutex<Stock>,
}

#[derive(Default)]
struct Stock {
    answers: HashMap<Handle, Kept>,
    bytes: usize,
    /// Counts what is put there.
    turn: u64,
}

struct Kept {
    owner: Owner,
    answer: KeptAnswer,
    until: Instant,
    turn: u64,
}

/// An answer, and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct KeptAnswer {
    pub(crate) api: Arc<str>,
    pub(crate) body: Bytes,
    pub(crate) form: Form,
    pub(crate) media_type: Option<Arc<str>>,
    /// It is longer than what is kept of it.
    pub(crate) is_truncated: bool,
}

/// The same exactly when [`Caller::is_same`] says so.
#[derive(Clone, PartialEq, Eq)]
struct Owner {
    kind: CallerKind,
    id: Arc<str>,
    issuer: Arc<str>,
}

impl Owner {
    fn of(caller: &Caller) -> Self {
        Self {
            kind: caller.kind,
            id: Arc::clone(&caller.id),
            issuer: Arc::clone(&caller.issuer),
        }
    }
}

/// Names an answer: 128 bits that nobody guesses.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Handle([u8; 16]);

impl Handle {
    fn new() -> Option<Self> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).ok()?;
        Some(Self(bits))
    }

    /// Reads what [`Display`](fmt::Display) wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let canonical = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 32 && text.bytes().all(canonical)).then_some(())?;
        let bits = u128::from_str_radix(text, 16).ok()?;
        Some(Self(bits.to_be_bytes()))
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// It is a key to the answer.
impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle(…)")
    }
}

impl KeptAnswers {
    /// An empty store.
    pub fn new(config: KeptConfig, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            config,
            clock,
            stock: Mutex::default(),
        }))
    }

    /// How much is kept of one answer.
    pub(crate) fn max_bytes(&self) -> usize {
        self.0.config.max_bytes
    }

    /// Bytes that are kept now.
    pub fn bytes(&self) -> usize {
        self.stock().bytes
    }

    /// Keeps an answer for `caller`; `None` when there is no room for it.
    ///
    /// The oldest of the caller go first when it has too many; when there is too much in all, the oldest
    /// of whoever has most.
    pub(crate) fn keep(&self, caller: &Caller, answer: KeptAnswer) -> Option<Handle> {
        let config = &self.0.config;
        let size = size_of_answer(&answer);
        let most = config.max_bytes.saturating_add(OVERHEAD);
        if size > most.min(config.max_total_bytes) || config.max_per_caller == 0 {
            return None;
        }
        let handle = Handle::new()?;
        let now = self.0.clock.now();
        let owner = Owner::of(caller);
        let mut stock = self.stock();
        stock.drop_old(now);
        while stock.count(&owner) >= config.max_per_caller {
            stock.drop_oldest(&owner)?;
        }
        while stock.bytes + size > config.max_total_bytes {
            let most = stock.greediest()?;
            // Who has more than others makes room, the one who comes among them.
            let own = stock.bytes_of(&owner) + size;
            let other = stock.bytes_of(&most);
            let loser = if own > other && stock.count(&owner) > 0 {
                owner.clone()
            } else {
                most
            };
            stock.drop_oldest(&loser)?;
        }
        stock.turn += 1;
        stock.bytes += size;
        let kept = Kept {
            owner,
            answer,
            until: now + config.max_age,
            turn: stock.turn,
        };
        stock.answers.insert(handle, kept);
        Some(handle)
    }

    /// An answer of `caller`; `None` also when it is somebody else's.
    pub(crate) fn find(&self, caller: &Caller, handle: Handle) -> Option<KeptAnswer> {
        let now = self.0.clock.now();
        let stock = self.stock();
        let kept = stock.answers.get(&handle)?;
        let is_theirs = kept.owner == Owner::of(caller) && now < kept.until;
        is_theirs.then(|| kept.answer.clone())
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        let stock = &self.0.stock;
        stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an answer takes beside its body, about.
const OVERHEAD: usize = 256;

fn size_of_answer(answer: &KeptAnswer) -> usize {
    answer.body.len().saturating_add(OVERHEAD)
}

impl Stock {
    fn drop_old(&mut self, now: Instant) {
        let bytes = &mut self.bytes;
        self.answers.retain(|_, kept| {
            let is_good = now < kept.until;
            if !is_good {
                *bytes = bytes.saturating_sub(size_of_answer(&kept.answer));
            }
            is_good
        });
    }

    fn of<'s>(&'s self, owner: &'s Owner) -> impl Iterator<Item = (&'s Handle, &'s Kept)> {
        let all = self.answers.iter();
        all.filter(move |(_, kept)| kept.owner == *owner)
    }

    fn count(&self, owner: &Owner) -> usize {
        self.of(owner).count()
    }

    fn bytes_of(&self, owner: &Owner) -> usize {
        let sizes = self.of(owner).map(|(_, kept)| size_of_answer(&kept.answer));
        sizes.sum()
    }

    /// Whose answers take most.
    fn greediest(&self) -> Option<Owner> {
        let owners = self.answers.values().map(|kept| &kept.owner);
        owners.max_by_key(|owner| self.bytes_of(owner)).cloned()
    }

    fn drop_oldest(&mut self, owner: &Owner) -> Option<()> {
        let oldest = self.of(owner).min_by_key(|(_, kept)| kept.turn);
        let handle = *oldest?.0;
        let gone = self.answers.remove(&handle)?;
        self.bytes = self.bytes.saturating_sub(size_of_answer(&gone.answer));
        Some(())
    }
}

impl fmt::Debug for KeptAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stock = self.stock();
        f.debug_struct("KeptAnswers")
            .field("answers", &stock.answers.len())
            .field("bytes", &stock.bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::testing::ManualClock;

    use super::*;

    fn caller(id: &str) -> Caller {
        Caller::new(CallerKind::ApiKey, id)
    }

    fn answer(bytes: usize) -> KeptAnswer {
        KeptAnswer {
            api: "api".into(),
            body: Bytes::from(vec![b'x'; bytes]),
            form: Form::Text,
            media_type: None,
            is_truncated: false,
        }
    }

    fn store(config: KeptConfig) -> (KeptAnswers, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new());
        (KeptAnswers::new(config, Arc::clone(&clock) as _), clock)
    }

    #[test]
    fn an_answer_is_its_callers_alone_and_for_a_while() {
        let (store, clock) = store(KeptConfig::default());
        let handle = store.keep(&caller("ann"), answer(10)).unwrap();
        assert_eq!(Handle::parse(&handle.to_string()), Some(handle));
        assert!(store.find(&caller("ann"), handle).is_some());
        assert!(store.find(&caller("bob"), handle).is_none());
        let same_name = Caller::new(CallerKind::User, "ann");
        assert!(store.find(&same_name, handle).is_none());
        let issued = caller("ann").with_issuer("https://elsewhere");
        assert!(store.find(&issued, handle).is_none());
        clock.advance(Duration::from_secs(300));
        assert!(store.find(&caller("ann"), handle).is_none());
        store.keep(&caller("bob"), answer(1)).unwrap();
        assert_eq!(store.bytes(), 1 + OVERHEAD);
    }

    #[test]
    fn the_oldest_of_a_caller_go_first() {
        let (store, _) = store(KeptConfig::default().with_max_per_caller(2));
        let bobs = store.keep(&caller("bob"), answer(1)).unwrap();
        let handles = [1, 2, 3].map(|_| store.keep(&caller("ann"), answer(1)).unwrap());
        let found = handles.map(|handle| store.find(&caller("ann"), handle).is_some());
        assert_eq!(found, [false, true, true]);
        assert!(store.find(&caller("bob"), bobs).is_some());
    }

    #[test]
    fn who_keeps_much_does_not_push_out_who_keeps_little() {
        let config = KeptConfig::default().with_bytes(10_000, 40_000);
        let (store, _) = store(config.with_max_per_caller(100));
        let bobs = store.keep(&caller("bob"), answer(1_000)).unwrap();
        for _ in 0..50 {
            store.keep(&caller("ann"), answer(10_000)).unwrap();
        }
        assert!(store.find(&caller("bob"), bobs).is_some());
        assert!(store.bytes() <= 40_000);
        // Too long for any room.
        assert!(store.keep(&caller("eve"), answer(10_001)).is_none());
        // A new caller gets room from who has most.
        let eves = store.keep(&caller("eve"), answer(9_000)).unwrap();
        assert!(store.find(&caller("eve"), eves).is_some());
        assert!(store.find(&caller("bob"), bobs).is_some());
    }

    #[test]
    fn only_what_was_given_out_is_a_handle() {
        for text in [
            "",
            "00",
            &"g".repeat(32),
            &"A".repeat(32),
            &format!("+{}", "1".repeat(31)),
        ] {
            assert_eq!(Handle::parse(text), None, "{text}");
        }
        assert!(!format!("{:?}", Handle([7; 16])).contains('7'));
    }
}
