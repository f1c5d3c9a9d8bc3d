//! Which limits apply to a call, whose counts they are, and what their store says.

mod answer;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mcp_gw_core::{
    Admission, Caller, Charge, Clock, Hold, LimitStanding, LimiterError, LimiterHealth, Quota,
    RateLimiter,
};
use smallvec::SmallVec;

use crate::algorithm::Limit;
use crate::config::{LimitsConfig, Per};
use crate::fault::LimitFault;
use crate::inflight::{Full, InFlight, Lending, Want, Wants};
use crate::keys::{Prefix, Seeds};
use crate::memory::{DEFAULT_KEYS, MemoryStore};
use crate::set::{CLASS, Concurrent, LimitSet, Quotas, Rule};
use crate::store::{Demand, Key, Standing, Store, StoreError, StoreStats};
use crate::view::LimitView;
use answer::admission;

/// A client is told to come back after this time when too much is under way: nobody knows when
/// something ends.
const BUSY: Duration = Duration::from_secs(1);

/// What requests of the management API are charged as.
const MANAGEMENT: &str = "management";

/// Charges calls to all limits of a configuration that apply, or to none.
///
/// Calls of tools, reads of resources, prompts and completion are charged to the rules. Whatever
/// else is asked for (lists, pings, handshakes) is charged to the limit `other`, one unit each.
/// Requests of the management API are charged to the ready-made classes, where those are chosen.
/// Names that nobody serves share one count, so that inventing names makes no keys; when all rules
/// are about names, and none about these, it is that of `other`.
#[derive(Clone)]
pub struct Limiter {
    set: Arc<LimitSet>,
    prefixes: Arc<Prefixes>,
    store: Arc<dyn Store>,
    /// Where limits on addresses are counted.
    addresses: Arc<dyn Store>,
    seeds: Seeds,
    under_way: InFlight,
    tenant: Arc<str>,
}

/// What keys begin with, for each rule in the order of the set.
#[derive(Debug, Default)]
struct Prefixes {
    rules: Vec<RulePrefix>,
    address: Vec<RulePrefix>,
    other: Vec<RulePrefix>,
    concurrent: Vec<Prefix>,
}

/// What the keys of a rule begin with: of its limit, and of what holds in the long run.
#[derive(Debug)]
struct RulePrefix {
    main: Prefix,
    long_run: Prefix,
}

/// A rule that applies to a call, and its part of the demands.
struct Part<'a> {
    rule: &'a Rule,
    quotas: &'a Quotas,
}

type Demands<'a> = SmallVec<[Demand<'a>; 4]>;
type Parts<'a> = SmallVec<[Part<'a>; 4]>;

/// What the limits have done, for metrics. Totals count from the making of the set of limits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimiterStats {
    /// Each limit, in the order of the configuration.
    pub limits: Vec<LimitStats>,
    /// Keys of which something is under way.
    pub under_way: usize,
    /// What the store says of itself.
    pub store: StoreStats,
    /// What the store of the limits on addresses says, where it is another.
    pub addresses: Option<StoreStats>,
}

/// What one limit has done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitStats {
    /// Its name.
    pub name: Arc<str>,
    /// What it counts by.
    pub per: Per,
    /// Calls that it was charged for; 0 for limits on what is under way.
    pub admitted: u64,
    /// Calls that it refused.
    pub limited: u64,
}

impl Limiter {
    /// Applies `set`, and keeps counts in `store`; those of client addresses, too, unless
    /// [`Limiter::with_address_store`] says otherwise.
    pub fn new(set: LimitSet, store: Arc<dyn Store>) -> Self {
        let addresses = Arc::clone(&store);
        let (seeds, under_way) = (Seeds::default(), InFlight::default());
        Self::make(set, (store, addresses), seeds, under_way, "".into())
    }

    /// The limits of a configuration, with counts in the memory of this process.
    ///
    /// # Errors
    /// All that is wrong with the configuration; and that it wants the counts to be in Redis, for which
    /// there are [`Limiter::new`] and `RedisStore`.
    pub fn in_memory(
        config: &LimitsConfig,
        clock: impl Clock + Clone,
    ) -> Result<Self, Vec<LimitFault>> {
        let set = LimitSet::new(config)?;
        #[cfg(feature = "redis")]
        if config.redis.is_some() {
            return Err(vec![LimitFault::new(
                crate::fault::LimitPath::root().key("redis"),
                "the counts are to be in Redis, and this limiter has them in memory",
                "make it with `Limiter::new` and a `RedisStore`, or leave `redis` out",
            )]);
        }
        let room = |keys: Option<usize>| keys.unwrap_or(DEFAULT_KEYS);
        let store = MemoryStore::with_room(clock.clone(), room(set.keys()));
        let addresses = MemoryStore::with_room(clock, room(set.addresses()));
        Ok(Self::new(set, Arc::new(store)).with_address_store(Arc::new(addresses)))
    }

    /// Keeps the counts of client addresses apart: anybody can have many of them, and the room of
    /// callers must not be what they use up.
    #[must_use]
    pub fn with_address_store(self, store: Arc<dyn Store>) -> Self {
        let stores = (&*self.store, &*store);
        let prefixes = Prefixes::new(&self.set, stores, &self.seeds, &self.tenant);
        Self {
            prefixes: Arc::new(prefixes),
            addresses: store,
            ..self
        }
    }

    /// Keeps the counts of this gateway apart from those of others that use the same store.
    #[must_use]
    pub fn with_tenant(self, tenant: impl Into<Arc<str>>) -> Self {
        let tenant = tenant.into();
        let stores = (&*self.store, &*self.addresses);
        let prefixes = Prefixes::new(&self.set, stores, &self.seeds, &tenant);
        Self {
            prefixes: Arc::new(prefixes),
            tenant,
            ..self
        }
    }

    /// Other limits, after the configuration has changed, with the same counts. Limits are the same
    /// when name, `per`, algorithm and window are: a lower quota holds at once, a greater one does
    /// not forgive what was used.
    #[must_use]
    pub fn with_set(&self, set: LimitSet) -> Self {
        let stores = (Arc::clone(&self.store), Arc::clone(&self.addresses));
        self.go_on_with(set, stores)
    }

    /// Other limits with the counts of another store, for callers and for addresses. What is under way goes on to count; and totals
    /// for metrics go on with limits of the same name, as they do in [`Limiter::with_set`].
    #[must_use]
    pub fn with_set_and_store(&self, set: LimitSet, store: Arc<dyn Store>) -> Self {
        let addresses = Arc::clone(&store);
        self.go_on_with(set, (store, addresses))
    }

    fn go_on_with(&self, mut set: LimitSet, stores: (Arc<dyn Store>, Arc<dyn Store>)) -> Self {
        set.go_on_from(&self.set);
        let (seeds, under_way) = (self.seeds.clone(), self.under_way.clone());
        Self::make(set, stores, seeds, under_way, Arc::clone(&self.tenant))
    }

    fn make(
        set: LimitSet,
        (store, addresses): (Arc<dyn Store>, Arc<dyn Store>),
        seeds: Seeds,
        under_way: InFlight,
        tenant: Arc<str>,
    ) -> Self {
        Self {
            prefixes: Arc::new(Prefixes::new(&set, (&*store, &*addresses), &seeds, &tenant)),
            set: Arc::new(set),
            store,
            addresses,
            seeds,
            under_way,
            tenant,
        }
    }

    /// The limits.
    pub fn set(&self) -> &LimitSet {
        &self.set
    }

    /// Where a call would stand with each limit that applies, without charging it: `remaining` and
    /// `reset` are those of now. The tightest comes first.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn peek(&self, charge: &Charge<'_>) -> Result<Vec<LimitStanding>, LimiterError> {
        let (parts, demands) = self.demands(charge);
        let standings = self.store.peek(&demands).await.map_err(failed)?;
        let mut all = answer::of_parts(&parts, &standings)?;
        let concurrent = self.concurrent(charge);
        all.extend(concurrent.map(|(limit, want)| self.standing(limit, want)));
        answer::sort(&mut all);
        Ok(all)
    }

    /// Where such calls stand with the limit that a view shows, without charging it. `None` where
    /// that is another for each tool or server and `charge` names none, for limits that do not apply
    /// to it, and for what is counted elsewhere: client addresses, and what is under way.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn peek_at(
        &self,
        view: &LimitView,
        charge: &Charge<'_>,
    ) -> Result<Option<LimitStanding>, LimiterError> {
        let rules = self.set.rules.iter().zip(&self.prefixes.rules);
        let other = self.set.other.iter().zip(&self.prefixes.other);
        let mut all = rules.chain(other);
        let Some((rule, prefix)) = all.find(|(rule, _)| *rule.name == *view.name) else {
            return Ok(None);
        };
        let Some(quotas) = rule.quotas_of(view.part, charge) else {
            return Ok(None);
        };
        let key = |prefix: &Prefix| prefix.key_of(rule.per, charge);
        let demands: Demands<'_> = prefix.demands(quotas, 1, key).collect();
        let standings = self.store.peek(&demands).await.map_err(failed)?;
        let told = answer::of_parts(&[Part { rule, quotas }], &standings)?;
        Ok(told.into_iter().next())
    }

    /// Forgets what was charged to the limits that apply to such a call, for an administrator who
    /// sets somebody free. Counts by tool or server are those of the names that `charge` has; those of
    /// other names, and of client addresses, stay.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn forget(&self, charge: &Charge<'_>) -> Result<(), LimiterError> {
        let (_, demands) = self.demands(charge);
        self.store.reset(&demands).await.map_err(failed)
    }

    /// Forgets what this caller used of limits that count it by itself (`per: caller`,
    /// `caller_and_tool`, `caller_and_server`, and `other`), and tells which those are. What others
    /// share stays, as do counts by tool or server when `charge` names none.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn forget_own(&self, charge: &Charge<'_>) -> Result<Vec<Arc<str>>, LimiterError> {
        let rules = self.set.rules.iter().zip(&self.prefixes.rules);
        let other = self.set.other.iter().zip(&self.prefixes.other);
        let is_own = |per: Per| match per {
            Per::Caller => true,
            Per::CallerAndTool => charge.name.is_some(),
            Per::CallerAndServer => charge.server.is_some(),
            Per::Server | Per::Tool | Per::Global | Per::Address => false,
        };
        let (mut names, mut demands) = (Vec::new(), Demands::new());
        for (rule, prefix) in rules.chain(other).filter(|(rule, _)| is_own(rule.per)) {
            let limit = &rule.plain_quotas().main;
            // Whatever part of the rule is this caller's, it may have both.
            let keys = [&prefix.main, &prefix.long_run].map(|it| it.key_of(rule.per, charge));
            demands.extend(keys.map(|key| Demand::new(limit, key, 1)));
            names.push(Arc::clone(&rule.name));
        }
        self.store.reset(&demands).await.map_err(failed)?;
        Ok(names)
    }

    /// What the limits have done, for metrics.
    pub fn stats(&self) -> LimiterStats {
        let of = |name: &Arc<str>, per, admitted: u64, limited: &AtomicU64| LimitStats {
            name: Arc::clone(name),
            per,
            admitted,
            limited: limited.load(Ordering::Relaxed),
        };
        let rules = self.set.each_rule();
        let rules = rules.map(|rule| {
            let admitted = rule.admitted.load(Ordering::Relaxed);
            of(&rule.name, rule.per, admitted, &rule.limited)
        });
        let concurrent = self.set.concurrent.iter();
        let concurrent = concurrent.map(|limit| of(&limit.name, limit.per, 0, &limit.limited));
        LimiterStats {
            limits: rules.chain(concurrent).collect(),
            under_way: self.under_way.keys(),
            store: self.store.stats(),
            addresses: (!Arc::ptr_eq(&self.store, &self.addresses)).then(|| self.addresses.stats()),
        }
    }

    /// The rules that apply to a call, and what is to be charged.
    fn demands<'a>(&'a self, charge: &Charge<'_>) -> (Parts<'a>, Demands<'a>) {
        let (mut parts, mut demands) = (Parts::new(), Demands::new());
        if charge.method == MANAGEMENT
            && let Some((rule, prefix)) = self.class()
        {
            // Whom the class does not limit, `other` does not, either.
            if let Some(quotas) = rule.quotas(charge) {
                let key = |prefix: &Prefix| prefix.key_of(rule.per, charge);
                demands.extend(prefix.demands(quotas, u64::from(charge.cost), key));
                parts.push(Part { rule, quotas });
            }
            return (parts, demands);
        }
        if charge.is_use() {
            let cost = self.set.cost(charge);
            for (rule, prefix) in self.set.rules.iter().zip(&self.prefixes.rules) {
                if let Some(quotas) = rule.quotas(charge) {
                    let key = |prefix: &Prefix| prefix.key_of(rule.per, charge);
                    demands.extend(prefix.demands(quotas, cost, key));
                    parts.push(Part { rule, quotas });
                }
            }
        }
        // What has no name that may be known is guessed, or refused. Where the rules are about names
        // none of them may be about it, and guesses for nothing would find out anything.
        let is_guess = charge.name.is_none() && self.set.tells_items_apart();
        if !charge.is_use() || (is_guess && demands.is_empty()) {
            for (rule, prefix) in self.set.other.iter().zip(&self.prefixes.other) {
                let quotas = rule.plain_quotas();
                let key = |prefix: &Prefix| prefix.key_of(rule.per, charge);
                demands.extend(prefix.demands(quotas, u64::from(charge.cost), key));
                parts.push(Part { rule, quotas });
            }
        }
        (parts, demands)
    }

    /// The ready-made rule for kinds of callers.
    fn class(&self) -> Option<(&Rule, &RulePrefix)> {
        let mut rules = self.set.rules.iter().zip(&self.prefixes.rules);
        rules.find(|(rule, _)| &*rule.name == CLASS)
    }

    /// The limits on what is under way that apply to a call.
    fn concurrent<'a>(
        &'a self,
        charge: &'a Charge<'_>,
    ) -> impl Iterator<Item = (&'a Concurrent, Want)> {
        let limits = self.set.concurrent.iter().zip(&self.prefixes.concurrent);
        // What goes on has a place already; to need a second one would be to wait for itself.
        let counts = charge.is_use() && !charge.goes_on;
        let limits = limits.filter(move |(limit, _)| counts && limit.applies(charge));
        limits.map(|(limit, prefix)| {
            let key = prefix.key_of(limit.per, charge);
            let most = limit.max;
            (limit, Want { key, most })
        })
    }

    /// How it stands with a limit on what is under way.
    fn standing(&self, limit: &Concurrent, want: Want) -> LimitStanding {
        let left = limit.max.saturating_sub(self.under_way.count(want.key));
        let quota = Quota::new(limit.max, left, Duration::ZERO);
        LimitStanding::new(Arc::clone(&limit.name), quota, None)
    }

    /// What those have in common that wait in one line.
    fn flow(&self, caller: &Caller) -> Prefix {
        self.seeds.local("flow", "caller").with_caller(caller)
    }

    /// Too much is under way. Limits with a penalty count that, too; the others are looked at, since
    /// what else refuses may take longer.
    async fn crowded(
        &self,
        limits: &[(&Concurrent, Want)],
        full: Full,
        parts: Parts<'_>,
        demands: Demands<'_>,
    ) -> Admission {
        let mut told = Vec::new();
        if let Some((limit, _)) = limits.get(full.at) {
            limit.limited.fetch_add(1, Ordering::Relaxed);
            let left = limit.max.saturating_sub(full.count);
            let quota = Quota::new(limit.max, left, Duration::ZERO);
            let standing = LimitStanding::new(Arc::clone(&limit.name), quota, None);
            told.push(standing.refused(BUSY));
        }
        let (counted, seen): (Demands<'_>, Demands<'_>) =
            demands.into_iter().partition(|it| it.limit.penalty());
        let (counting, seeing): (Parts<'_>, Parts<'_>) =
            parts.into_iter().partition(|it| it.quotas.main.penalty());
        // It is refused in any case, so that nothing depends on whether the store can be asked.
        if let Ok(Admission::Admitted { standings, .. } | Admission::Limited { standings, .. }) =
            self.charge(&*self.store, counting, counted).await
        {
            told.extend(standings);
        }
        if !seen.is_empty()
            && let Ok(standings) = self.store.peek(&seen).await
            && let Ok(standings) = answer::of_parts(&seeing, &standings)
        {
            count_refusals(&seeing, &standings);
            told.extend(standings);
        }
        admission(told)
    }

    /// Asks the store, and says what it means.
    async fn charge(
        &self,
        store: &dyn Store,
        parts: Parts<'_>,
        demands: Demands<'_>,
    ) -> Result<Admission, LimiterError> {
        if demands.is_empty() {
            return Ok(Admission::admitted(None));
        }
        let standings = store.charge(&demands).await.map_err(failed)?;
        let is_admitted = standings.iter().all(|standing| standing.admitted);
        let all = answer::of_parts(&parts, &standings)?;
        if is_admitted {
            for part in &parts {
                part.rule.admitted.fetch_add(1, Ordering::Relaxed);
            }
        }
        count_refusals(&parts, &all);
        Ok(admission(all))
    }
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter")
            .field("set", &self.set)
            .finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RateLimiter for Limiter {
    async fn admit(&self, charge: &Charge<'_>) -> Result<Admission, LimiterError> {
        let limits: SmallVec<[_; 2]> = self.concurrent(charge).collect();
        let (parts, mut demands) = self.demands(charge);
        if limits.is_empty() {
            if self.store.is_shared() {
                let flow = self.flow(charge.caller).key();
                demands.iter_mut().for_each(|demand| demand.flow = flow);
            }
            return self.charge(&*self.store, parts, demands).await;
        }
        // Places are asked for first, since they can be given back: they are when the store refuses,
        // or this future is dropped.
        let wants: Wants = limits.iter().map(|(_, want)| *want).collect();
        // In a line apart from what else this caller asks the store, so that who waits for the place
        // does not wait for all of that.
        let flow = self.flow(charge.caller).with("under way").key();
        demands.iter_mut().for_each(|demand| demand.flow = flow);
        let places = self.under_way.take(wants, flow).await;
        let mut places = match places {
            Ok(places) => places,
            Err(full) => return Ok(self.crowded(&limits, full, parts, demands).await),
        };
        let mut answer = self.charge(&*self.store, parts, demands).await?;
        if answer.is_admitted() {
            places.keep();
        }
        let told = limits
            .iter()
            .map(|(limit, want)| self.standing(limit, *want));
        answer = answer::with(answer, told.collect());
        let is_shared = |at: usize| {
            limits
                .get(at)
                .is_some_and(|(limit, _)| limit.per.is_shared())
        };
        let lending = Lending::new(places, is_shared);
        Ok(answer.with_hold(Hold::lending(lending)))
    }

    fn tells_items_apart(&self, charge: &Charge<'_>) -> bool {
        charge.is_use() && self.set.tells_items_apart()
    }

    async fn admit_address(&self, addr: Option<IpAddr>) -> Result<Admission, LimiterError> {
        if self.set.address.is_empty() {
            return Ok(Admission::admitted(None));
        }
        let addr = addr.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let (mut parts, mut demands) = (Parts::new(), Demands::new());
        for (rule, prefix) in self.set.address.iter().zip(&self.prefixes.address) {
            let quotas = rule.plain_quotas();
            let key = |prefix: &Prefix| prefix.clone().with_network(addr).key();
            demands.extend(prefix.demands(quotas, 1, key));
            parts.push(Part { rule, quotas });
        }
        let flow = self.seeds.local("flow", "address").with_network(addr);
        let flow = flow.key();
        demands.iter_mut().for_each(|demand| demand.flow = flow);
        self.charge(&*self.addresses, parts, demands).await
    }

    fn health(&self) -> LimiterHealth {
        self.store.health()
    }
}

impl Prefixes {
    fn new(
        set: &LimitSet,
        (store, addresses): (&dyn Store, &dyn Store),
        seeds: &Seeds,
        tenant: &str,
    ) -> Self {
        let of = |rule: &Rule| {
            let shared = match rule.per {
                Per::Address => addresses.is_shared(),
                _ => store.is_shared(),
            };
            let prefix = |limit: &Limit| seeds.prefix(tenant, rule.per.as_str(), limit, shared);
            let quotas = rule.plain_quotas();
            let main = prefix(&quotas.main);
            RulePrefix {
                long_run: main.clone().with("long run"),
                main,
            }
        };
        let concurrent = set.concurrent.iter();
        Self {
            rules: set.rules.iter().map(of).collect(),
            address: set.address.iter().map(of).collect(),
            other: set.other.iter().map(of).collect(),
            concurrent: concurrent
                .map(|limit| seeds.local(&limit.name, limit.per.as_str()))
                .collect(),
        }
    }
}

impl RulePrefix {
    fn demands<'q>(
        &self,
        quotas: &'q Quotas,
        cost: u64,
        key: impl Fn(&Prefix) -> Key,
    ) -> impl Iterator<Item = Demand<'q>> {
        let main = Demand::new(&quotas.main, key(&self.main), cost);
        let long_run = quotas.long_run.as_ref();
        let long_run = long_run.map(|limit| Demand::new(limit, key(&self.long_run), cost));
        std::iter::once(main).chain(long_run)
    }
}

impl Prefix {
    fn key_of(&self, per: Per, charge: &Charge<'_>) -> Key {
        let prefix = self.clone();
        let tool = charge.name.unwrap_or_default();
        let server = charge.server.unwrap_or_default();
        let prefix = match per {
            Per::Caller => prefix.with_caller(charge.caller),
            Per::Server => prefix.with(server),
            Per::Tool => prefix.with(tool),
            Per::CallerAndTool => prefix.with_caller(charge.caller).with(tool),
            Per::CallerAndServer => prefix.with_caller(charge.caller).with(server),
            // An address has a way of its own.
            Per::Global | Per::Address => prefix,
        };
        prefix.key()
    }
}

/// Limits that refuse have limited a call.
fn count_refusals(parts: &[Part<'_>], standings: &[LimitStanding]) {
    let each = parts.iter().zip(standings);
    for (part, _) in each.filter(|(_, standing)| standing.retry_after.is_some()) {
        part.rule.limited.fetch_add(1, Ordering::Relaxed);
    }
}

fn failed(error: StoreError) -> LimiterError {
    LimiterError::new(error.reason)
}
