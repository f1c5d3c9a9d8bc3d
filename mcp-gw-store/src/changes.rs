//! Who hears that something has changed.

use std::fmt;

use tokio::sync::watch;

/// Kinds of things whose changes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ChangeKind {
    /// Users.
    Users,
    /// API keys; when they were last used is no change.
    Keys,
    /// Templates, instances and load balancing.
    Servers,
    /// Health of instances.
    Health,
    /// Pins.
    Pins,
    /// Revoked tokens.
    Tokens,
}

impl ChangeKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Users,
        Self::Keys,
        Self::Servers,
        Self::Health,
        Self::Pins,
        Self::Tokens,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Keys => "keys",
            Self::Servers => "servers",
            Self::Health => "health",
            Self::Pins => "pins",
            Self::Tokens => "tokens",
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Users => 0,
            Self::Keys => 1,
            Self::Servers => 2,
            Self::Health => 3,
            Self::Pins => 4,
            Self::Tokens => 5,
        }
    }
}

/// How often things of each kind were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counters([i64; 6]);

impl Counters {
    pub(crate) fn get(&self, kind: ChangeKind) -> i64 {
        self.0.get(kind.index()).copied().unwrap_or_default()
    }

    /// Takes note of a count, unless a later one is known.
    fn raise(&mut self, kind: ChangeKind, count: i64) -> bool {
        match self.0.get_mut(kind.index()) {
            Some(known) if *known < count => {
                *known = count;
                true
            }
            _ => false,
        }
    }
}

/// The side of the store that hears of changes first.
#[derive(Debug)]
pub(crate) struct Bell(watch::Sender<Counters>);

impl Bell {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Counters::default()))
    }

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    /// These counts were read; whoever knows lower ones hears of it.
    pub(crate) fn ring(&self, counts: &[(ChangeKind, i64)]) {
        self.0.send_if_modified(|known| {
            let mut news = false;
            for (kind, count) in counts {
                news |= known.raise(*kind, *count);
            }
            news
        });
    }

    /// Something of this kind has changed in this process, which is all there is.
    pub(crate) fn ring_once(&self, kind: ChangeKind) {
        self.0.send_modify(|known| {
            let next = known.get(kind).saturating_add(1);
            known.raise(kind, next);
        });
    }

    pub(crate) fn listen(&self) -> Changes {
        let mut counters = self.0.subscribe();
        let known = *counters.borrow_and_update();
        Changes { counters, known }
    }
}

/// Hears of changes. Several that come at once are told of once; none is lost.
#[derive(Debug, Clone)]
pub struct Changes {
    counters: watch::Receiver<Counters>,
    known: Counters,
}

impl Changes {
    /// Waits until something has changed that was not told of yet; `None` when the store is gone.
    /// Nothing is lost when the future is dropped.
    ///
    /// It is told when the change can be read, and what was read before may be from before it: read
    /// after this returns.
    pub async fn changed(&mut self) -> Option<ChangeSet> {
        loop {
            let now = *self.counters.borrow_and_update();
            let set = ChangeSet::between(&self.known, &now);
            if !set.is_empty() {
                self.known = now;
                return Some(set);
            }
            self.counters.changed().await.ok()?;
        }
    }
}

/// Which kinds of things have changed.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ChangeSet(u8);

impl ChangeSet {
    fn between(before: &Counters, after: &Counters) -> Self {
        let changed = ChangeKind::ALL
            .into_iter()
            .filter(|kind| before.get(*kind) != after.get(*kind));
        Self(changed.fold(0, |set, kind| set | 1 << kind.index()))
    }

    /// True when things of this kind have changed.
    pub const fn contains(self, kind: ChangeKind) -> bool {
        self.0 & (1 << kind.index()) != 0
    }

    /// True when nothing has.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds.
    pub fn iter(self) -> impl Iterator<Item = ChangeKind> {
        let kinds = ChangeKind::ALL.into_iter();
        kinds.filter(move |kind| self.contains(*kind))
    }
}

impl fmt::Debug for ChangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
