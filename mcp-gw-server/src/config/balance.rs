//! A server that runs in several places, and how much it is asked.

use std::collections::{BTreeMap, BTreeSet};

use mcp_gw_upstream::{
    BalanceConfig, EjectionConfig, HealthConfig, Hints, RetryConfig, Sticky, Strategy,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Checker;
use super::path::ConfigPath;
use super::server::ServerConfig;
use super::text::DurationText;
use super::types::{Config, seconds};

/// One of the places where a server runs: exactly one of `command` and `url`. What else the server
/// says (`env`, `headers`, `timeout`, …) counts for each of them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ReplicaConfig {
    /// The program to start.
    pub command: Option<String>,
    /// The arguments of `command`; those of the server if not given.
    pub args: Option<Vec<String>>,
    /// The address of a streamable HTTP server.
    pub url: Option<String>,
    /// Its share of the calls.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub weight: u32,
}

impl Default for ReplicaConfig {
    fn default() -> Self {
        Self {
            command: None,
            args: None,
            url: None,
            weight: 1,
        }
    }
}

impl ReplicaConfig {
    /// A streamable HTTP server at `url`.
    pub fn http(url: impl Into<String>) -> Self {
        Self {
            url: Some(url.into()),
            ..Self::default()
        }
    }

    /// Sets its share of the calls.
    #[must_use]
    pub const fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }
}

/// Who of several replicas gets the next call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[non_exhaustive]
pub enum StrategyName {
    /// One after the other.
    #[default]
    RoundRobin,
    /// The one with the fewest calls under way for its weight.
    LeastConnections,
    /// One after the other, as often as their weights say.
    Weighted,
    /// Any, by weight.
    Random,
    /// Of any two the one with fewer calls under way for its weight.
    TwoChoices,
    /// The same for the same session or caller, by hash; losing a replica moves only its callers.
    Consistent,
}

impl StrategyName {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::LeastConnections => "least_connections",
            Self::Weighted => "weighted",
            Self::Random => "random",
            Self::TwoChoices => "two_choices",
            Self::Consistent => "consistent",
        }
    }
}

/// Who stays with the replica that it was first sent to, while that is well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[non_exhaustive]
pub enum StickyName {
    /// Nobody.
    Never,
    /// A client session, as the replica may keep state for it; clients of revisions from 2026-07-28
    /// on have none.
    #[default]
    Sessions,
    /// A client session, and a caller without one.
    Callers,
}

/// How calls are spread over several replicas.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct BalanceSection {
    /// Who gets the next call.
    pub strategy: StrategyName,
    /// Who stays with the replica that it was first sent to, while that is well.
    pub sticky: StickyName,
    /// So many failed calls in a row and a replica is left out for a while; `0` switches it off.
    pub eject_after: u32,
    /// For how long the first time; twice as long each time it happens again, up to `5m`.
    pub eject_for: DurationText,
    /// So many percent of the replicas are left out at most at a time; never all.
    #[schemars(range(min = 0, max = 100))]
    pub max_ejected: u8,
}

impl Default for BalanceSection {
    fn default() -> Self {
        Self {
            strategy: StrategyName::default(),
            sticky: StickyName::default(),
            eject_after: 5,
            eject_for: seconds(10),
            max_ejected: 50,
        }
    }
}

/// Checks of a server between calls, by the cheapest request there is. With several replicas they
/// are made without this section too.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct HealthSection {
    /// Whether checks are made.
    pub enabled: bool,
    /// From the end of one check to the next.
    pub interval: DurationText,
    /// How long a check may take.
    pub timeout: DurationText,
    /// So many failed checks in a row and no calls go there: they fail at once when there is nowhere else.
    /// A child process is then ended and started again.
    #[schemars(range(min = 1, max = 1000))]
    pub unhealthy_after: u32,
    /// So many passed checks in a row and calls go there again.
    #[schemars(range(min = 1, max = 1000))]
    pub healthy_after: u32,
}

impl Default for HealthSection {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: seconds(10),
            timeout: seconds(5),
            unhealthy_after: 3,
            healthy_after: 2,
        }
    }
}

/// When a request is sent again: if it certainly did not reach the server, or if doing it twice is as
/// good as doing it once. Tools say that with `readOnlyHint` and `idempotentHint`; it is so for
/// everything that is no tool.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RetriesSection {
    /// How many times in all a server may get the same request; `1` means that nothing is sent again.
    #[schemars(range(min = 1, max = 100))]
    pub attempts: u32,
    /// So many percent of all requests may be sent again although the server may have got them; ten
    /// a second always may.
    #[schemars(range(min = 0, max = 100))]
    pub budget: u32,
    /// How long requests wait for a server that cannot be reached, from its first failure on: as long
    /// as a restart takes. `0s` means that none waits.
    pub wait: DurationText,
}

impl Default for RetriesSection {
    fn default() -> Self {
        Self {
            attempts: 5,
            budget: 20,
            wait: seconds(5),
        }
    }
}

impl ServerConfig {
    /// How calls to this server are spread, sent again and held back; `call_timeout` is the limit of
    /// a call.
    pub(crate) fn balancing(&self, name: &str, call_timeout: DurationText) -> BalanceConfig {
        let balance = self.balance.clone().unwrap_or_default();
        let is_several = self.replica_count() > 1;
        let health = match &self.health {
            Some(health) => health.enabled.then(|| health.clone()),
            None => is_several.then(HealthSection::default),
        };
        let health = health.map(|health| {
            HealthConfig::default()
                .with_interval(health.interval.get())
                .with_timeout(health.timeout.get())
                .with_thresholds(health.unhealthy_after, health.healthy_after)
        });
        let retries = RetryConfig::default()
            .with_attempts(self.retries.attempts)
            .with_budget_percent(self.retries.budget)
            .with_wait(self.retries.wait.get());
        let config = BalanceConfig::new(name)
            .with_strategy(balance.strategy.into())
            .with_sticky(balance.sticky.into())
            .with_health(health)
            .with_ejection(
                EjectionConfig::default()
                    .with_threshold(balance.eject_after, balance.eject_for.get())
                    .with_max_percent(balance.max_ejected),
            )
            .with_retries(retries)
            .with_hints(self.hints());
        let Some(max_concurrent) = self.max_concurrent else {
            return config;
        };
        let count = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let wait = self.queue_timeout.map_or_else(
            || seconds(10).get().min(call_timeout.get() / 2),
            DurationText::get,
        );
        let max_queue = self.max_queue.map_or(config.max_queue, count);
        config.with_limit(count(max_concurrent), max_queue, wait)
    }

    /// What the file says of tools, as far as it matters to sending calls again.
    fn hints(&self) -> BTreeMap<String, Hints> {
        let all = self.tools.iter().map(|(name, shape)| {
            let said = &shape.annotations;
            let hints = Hints::new(said.read_only, said.destructive, said.idempotent);
            (name.clone(), hints)
        });
        all.filter(|(_, hints)| *hints != Hints::default())
            .collect()
    }

    fn replica_count(&self) -> usize {
        1.max(self.urls.len()).max(self.replicas.len())
    }
}

impl From<StrategyName> for Strategy {
    fn from(name: StrategyName) -> Self {
        match name {
            StrategyName::RoundRobin => Self::RoundRobin,
            StrategyName::LeastConnections => Self::LeastConnections,
            StrategyName::Weighted => Self::Weighted,
            StrategyName::Random => Self::Random,
            StrategyName::TwoChoices => Self::TwoChoices,
            StrategyName::Consistent => Self::Consistent,
        }
    }
}

impl From<StickyName> for Sticky {
    fn from(name: StickyName) -> Self {
        match name {
            StickyName::Never => Self::Never,
            StickyName::Sessions => Self::Sessions,
            StickyName::Callers => Self::Callers,
        }
    }
}

/// Reports what is wrong with how `server` is asked.
pub(super) fn check(checker: &mut Checker<'_>, server: &ServerConfig, path: &ConfigPath) {
    if let Some(health) = &server.health {
        let at = path.key("health");
        checker.duration(&at.key("interval"), health.interval);
        checker.duration(&at.key("timeout"), health.timeout);
    }
    if let Some(balance) = &server.balance {
        let at = path.key("balance");
        checker.duration(&at.key("eject_for"), balance.eject_for);
        if server.replica_count() < 2 {
            let help = "remove it, or name several places in `urls` or `replicas`";
            checker.key_fault(&at, "there is nothing to balance for one replica", help);
        }
    }
    let strategy = server.balance.as_ref().map(|balance| balance.strategy);
    let has_weights = server.replicas.iter().any(|replica| replica.weight != 1);
    if has_weights && strategy.unwrap_or_default() == StrategyName::RoundRobin {
        checker.fault(
            &path.key("replicas"),
            "`weight` has no meaning for the strategy `round_robin`",
            "write `balance: { strategy: weighted }`, or remove the weights",
        );
    }
    let needs_limit = [
        ("max_queue", server.max_queue.is_some()),
        ("queue_timeout", server.queue_timeout.is_some()),
    ];
    for (key, is_given) in needs_limit {
        if is_given && server.max_concurrent.is_none() {
            let message = format!("`{key}` has no meaning without `max_concurrent`");
            checker.key_fault(
                &path.key(key),
                message,
                "add `max_concurrent`, or remove it",
            );
        }
    }
}

/// Reports queues in which a call would wait for longer than it may take.
pub(super) fn check_queues(checker: &mut Checker<'_>, config: &Config, path: &ConfigPath) {
    for (name, server) in &config.servers {
        if let Some(wait) = server.queue_timeout
            && wait >= config.call_timeout
        {
            let message = "a call would wait for as long as it may take";
            let help = format!(
                "write less than `call_timeout`, which is `{}`",
                config.call_timeout
            );
            checker.fault(&path.key(name).key("queue_timeout"), message, help);
        }
    }
}

/// Reports places that are named twice: calls would be spread over less than it seems.
pub(super) fn check_twice<'a>(
    checker: &mut Checker<'_>,
    urls: impl IntoIterator<Item = (ConfigPath, &'a str)>,
) {
    let mut seen = BTreeSet::new();
    for (path, url) in urls {
        if !seen.insert(url) {
            let help = "remove it, or give the other one a `weight`";
            checker.fault(&path, "another replica has the same address", help);
        }
    }
}
