//! A configuration of limits, checked and made quick to ask.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use mcp_gw_core::Charge;

use crate::algorithm::{Algorithm, Limit, LimitError, Period};
use crate::check::Checker;
use crate::config::{
    AlgorithmConfig, Classes, ConcurrentConfig, CostConfig, KindConfig, LimitsConfig, MatchConfig,
    OverrideConfig, Per, PeriodConfig, RuleConfig,
};
use crate::fault::{LimitFault, LimitPath};
use crate::matcher::{Globs, Matcher};

/// Name of the limit that `calls_per_minute` stands for.
pub(crate) const PER_MINUTE: &str = "calls_per_minute";

/// Name of the limit that `classes` stands for.
pub(crate) const CLASS: &str = "class";

/// Name of the limit on everything but calls.
pub(crate) const OTHER: &str = "other";

/// The limits of a configuration.
#[derive(Debug)]
pub struct LimitSet {
    pub(crate) rules: Vec<Rule>,
    pub(crate) address: Vec<Rule>,
    pub(crate) other: Option<Rule>,
    pub(crate) concurrent: Vec<Concurrent>,
    costs: Vec<(Globs, u64)>,
    patterns: Vec<Pattern>,
    keys: Option<usize>,
    addresses: Option<usize>,
}

/// A pattern of the configuration that should match something.
#[derive(Debug)]
struct Pattern {
    path: LimitPath,
    is_tool: bool,
    glob: String,
}

/// A rule of the configuration.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: Arc<str>,
    pub(crate) per: Per,
    matcher: Matcher,
    quotas: Quotas,
    /// `None` where there is no limit.
    overrides: Vec<(Matcher, Option<Quotas>)>,
    pub(crate) admitted: Arc<AtomicU64>,
    pub(crate) limited: Arc<AtomicU64>,
}

/// The numbers of a rule.
#[derive(Debug)]
pub(crate) struct Quotas {
    pub(crate) quota: u64,
    pub(crate) burst: u64,
    /// The limit itself.
    pub(crate) main: Limit,
    /// For a sliding window with a burst: what holds in the long run.
    pub(crate) long_run: Option<Limit>,
}

/// A limit on calls under way.
#[derive(Debug)]
pub(crate) struct Concurrent {
    pub(crate) name: Arc<str>,
    pub(crate) per: Per,
    pub(crate) max: u64,
    matcher: Matcher,
    pub(crate) limited: Arc<AtomicU64>,
}

impl LimitSet {
    /// The limits of `config`.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(config: &LimitsConfig) -> Result<Self, Vec<LimitFault>> {
        let mut checker = Checker::default();
        checker.names(config, &[PER_MINUTE, CLASS, OTHER]);
        let root = LimitPath::root();
        let (mut rules, mut address) = (Vec::new(), Vec::new());
        if let Some(calls) = config.calls_per_minute {
            let path = root.key("calls_per_minute");
            let limit = checker.limit((&path, &path), &path, simple(PER_MINUTE, calls, 60));
            rules.extend(limit.map(|limit| Rule::plain(PER_MINUTE, limit)));
        }
        if let Some(Classes::Standard) = config.classes {
            rules.extend(standard());
        }
        for (n, rule) in config.rules.iter().enumerate() {
            let path = root.key("rules").index(n);
            let made = checker
                .rule(&path, rule)
                .and_then(|()| Rule::new(&mut checker, &path, rule));
            match rule.per {
                Per::Address => address.extend(made),
                _ => rules.extend(made),
            }
        }
        let path = root.key("other");
        let other = Limit::new(
            OTHER,
            config.other.quota,
            config.other.window.get(),
            Algorithm::SlidingWindow,
        );
        let other = checker.limit(
            (&path.key("quota"), &path.key("quota")),
            &path.key("window"),
            other,
        );
        let other = other.filter(|_| !config.is_empty());
        let concurrent = config.concurrent.iter().enumerate();
        let concurrent = concurrent
            .filter_map(|(n, limit)| {
                let path = root.key("concurrent").index(n);
                checker
                    .concurrent(&path, limit)
                    .map(|()| Concurrent::new(limit))
            })
            .collect();
        checker.costs(config, &rules);
        checker.keys("keys", config.keys);
        checker.keys("addresses", config.addresses);
        #[cfg(feature = "redis")]
        checker.redis(config.redis.as_ref());
        checker.finish()?;
        Ok(Self {
            rules,
            address,
            other: other.map(|limit| Rule::plain(OTHER, limit)),
            concurrent,
            costs: config.costs.iter().filter_map(cost).collect(),
            patterns: patterns(config),
            keys: config.keys,
            addresses: config.addresses,
        })
    }

    /// For how many keys counts are to be kept in memory, if that is said.
    pub const fn keys(&self) -> Option<usize> {
        self.keys
    }

    /// For how many client addresses counts are to be kept in memory, if that is said.
    pub const fn addresses(&self) -> Option<usize> {
        self.addresses
    }

    /// Warnings about patterns that match none of the tools and servers that there are: one for
    /// each, with the name that may have been meant.
    pub fn unmatched(&self, tools: &[&str], servers: &[&str]) -> Vec<LimitFault> {
        let warn = |pattern: &Pattern| {
            let (what, names) = if pattern.is_tool {
                ("tool", tools)
            } else {
                ("server", servers)
            };
            let globs = Globs::of(std::slice::from_ref(&pattern.glob));
            if names.iter().any(|name| globs.any(Some(name))) {
                return None;
            }
            let near = names
                .iter()
                .map(|name| (strsim::jaro_winkler(name, &pattern.glob), name));
            let near = near.filter(|(likeness, _)| *likeness > 0.8);
            let help = match near.max_by(|a, b| a.0.total_cmp(&b.0)) {
                Some((_, name)) => format!("did you mean `{name}`?"),
                None => format!("look at the names of the {what}s, or leave it out"),
            };
            let message = format!("no {what} matches `{}`", pattern.glob);
            Some(LimitFault::new(pattern.path.clone(), message, help))
        };
        self.patterns.iter().filter_map(warn).collect()
    }

    /// Goes on with the totals of limits that `before` had under the same names.
    pub(crate) fn go_on_from(&mut self, before: &Self) {
        let rules = self.rules.iter_mut().chain(&mut self.address);
        for rule in rules.chain(&mut self.other) {
            let mut old = before.each_rule();
            if let Some(old) = old.find(|old| old.name == rule.name && old.per == rule.per) {
                rule.admitted = Arc::clone(&old.admitted);
                rule.limited = Arc::clone(&old.limited);
            }
        }
        for limit in &mut self.concurrent {
            let mut old = before.concurrent.iter();
            if let Some(old) = old.find(|old| old.name == limit.name && old.per == limit.per) {
                limit.limited = Arc::clone(&old.limited);
            }
        }
    }

    /// True when a limit on calls may count one item in another way than another.
    pub(crate) fn tells_items_apart(&self) -> bool {
        let rules = self.rules.iter();
        let mut rules = rules.map(|rule| (rule.per, rule.tells_items_apart()));
        let concurrent = self.concurrent.iter();
        let mut concurrent = concurrent.map(|limit| (limit.per, limit.matcher.tells_items_apart()));
        let apart = |(per, matches): (Per, bool)| matches || per.tells_items_apart();
        !self.costs.is_empty() || rules.any(apart) || concurrent.any(apart)
    }

    /// What a call costs.
    pub(crate) fn cost(&self, charge: &Charge<'_>) -> u64 {
        let tool = charge.name.filter(|_| charge.method == "tools/call");
        let of = |tool| {
            let mut costs = self.costs.iter();
            let cost = costs.find(|(tools, _)| tools.any(Some(tool)));
            cost.map(|(_, units)| *units)
        };
        let weight = tool.and_then(of).unwrap_or(1);
        weight.saturating_mul(u64::from(charge.cost))
    }

    pub(crate) fn each_rule(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().chain(&self.address).chain(&self.other)
    }
}

impl Rule {
    fn plain(name: &str, limit: Limit) -> Self {
        Self {
            name: name.into(),
            per: Per::Caller,
            matcher: Matcher::default(),
            quotas: Quotas {
                quota: limit.quota(),
                burst: 0,
                main: limit,
                long_run: None,
            },
            overrides: Vec::new(),
            admitted: Arc::default(),
            limited: Arc::default(),
        }
    }

    fn new(checker: &mut Checker, path: &LimitPath, config: &RuleConfig) -> Option<Self> {
        let at_burst = path.key("burst");
        let numbers = (config.quota, config.burst);
        let quotas = Quotas::new(checker, (path, &at_burst), config, numbers);
        let overrides = config.overrides.iter().enumerate().map(|(n, other)| {
            let path = path.key("overrides").index(n);
            let matcher = Matcher::new(&other.applies_to);
            let quota = other.quota.filter(|_| !other.unlimited);
            let Some(quota) = quota else {
                return Some((matcher, None));
            };
            let numbers = (quota, other.burst.unwrap_or(config.burst));
            // A burst of the rule's is not wrong by itself.
            let at_burst = path.key(other.burst.map_or("quota", |_| "burst"));
            let quotas = Quotas::new(checker, (&path, &at_burst), config, numbers)?;
            Some((matcher, Some(quotas)))
        });
        let overrides: Vec<_> = overrides.collect();
        Some(Self {
            name: config.name.as_str().into(),
            per: config.per,
            matcher: Matcher::new(&config.applies_to),
            quotas: quotas?,
            overrides: overrides.into_iter().collect::<Option<_>>()?,
            admitted: Arc::default(),
            limited: Arc::default(),
        })
    }

    /// What this rule says to a call, if it is about it.
    pub(crate) fn quotas(&self, charge: &Charge<'_>) -> Option<&Quotas> {
        if self.per.is_of_tools() && charge.method != "tools/call" {
            return None;
        }
        if !self.matcher.matches(charge) {
            return None;
        }
        let mut overrides = self.overrides.iter();
        match overrides.find(|(matcher, _)| matcher.matches(charge)) {
            Some((_, quotas)) => quotas.as_ref(),
            None => Some(&self.quotas),
        }
    }

    /// What the part says that is shown as `part`, to such a call. Of a call of a tool only the part
    /// that applies does; a call that names none may be about whatever the part is about.
    pub(crate) fn quotas_of(&self, part: Option<usize>, charge: &Charge<'_>) -> Option<&Quotas> {
        let quotas = match part {
            None => &self.quotas,
            Some(n) => self.overrides.get(n)?.1.as_ref()?,
        };
        let is_known = match self.per {
            Per::Tool | Per::CallerAndTool => charge.name.is_some(),
            Per::Server | Per::CallerAndServer => charge.server.is_some(),
            Per::Caller | Per::Global => true,
            Per::Address => false,
        };
        let applies = || {
            self.quotas(charge)
                .is_some_and(|it| std::ptr::eq(it, quotas))
        };
        (is_known && (charge.name.is_none() || applies())).then_some(quotas)
    }

    fn tells_items_apart(&self) -> bool {
        let mut overrides = self.overrides.iter();
        self.matcher.tells_items_apart()
            || overrides.any(|(matcher, _)| matcher.tells_items_apart())
    }

    /// True when it is about all calls of tools.
    pub(crate) fn is_for_all(&self) -> bool {
        self.matcher.is_empty() && self.overrides.is_empty()
    }

    /// What this rule says where nothing is known of a call.
    pub(crate) const fn plain_quotas(&self) -> &Quotas {
        &self.quotas
    }
}

impl Quotas {
    fn new(
        checker: &mut Checker,
        (path, at_burst): (&LimitPath, &LimitPath),
        config: &RuleConfig,
        (quota, burst): (u64, u64),
    ) -> Option<Self> {
        let window = config.window.unwrap_or_default().get();
        let name = config.name.as_str();
        let bucket = |burst| NonZeroU64::new(burst).map(Algorithm::gcra);
        let (most, algorithm) = match (config.period, config.algorithm) {
            (Some(PeriodConfig::Day), _) => (quota, Algorithm::Calendar(Period::Day)),
            (Some(PeriodConfig::Month), _) => (quota, Algorithm::Calendar(Period::Month)),
            (None, AlgorithmConfig::Gcra) => (quota, bucket(burst)?),
            // With a quota of zero the burst makes no limit of it.
            (None, AlgorithmConfig::SlidingWindow) if quota == 0 => (0, Algorithm::SlidingWindow),
            (None, AlgorithmConfig::SlidingWindow) => {
                (quota.saturating_add(burst), Algorithm::SlidingWindow)
            }
        };
        let (at_quota, at_window) = (path.key("quota"), path.key("window"));
        if most > quota {
            checker.sum(at_burst, (quota, burst))?;
        }
        let numbers = (&at_quota, at_burst);
        let main = Limit::new(name, most, window, algorithm);
        let main = checker
            .limit(numbers, &at_window, main)?
            .with_penalty(config.penalty);
        let is_window = algorithm == Algorithm::SlidingWindow;
        let long_run = match bucket(most).filter(|_| is_window && burst > 0) {
            Some(bucket) => {
                let limit = Limit::new(name, quota, window, bucket);
                let limit = checker.limit(numbers, &at_window, limit)?;
                Some(limit.with_penalty(config.penalty))
            }
            None => None,
        };
        Some(Self {
            quota,
            burst,
            main,
            long_run,
        })
    }

    /// The most units that one call may cost.
    pub(crate) const fn capacity(&self) -> u64 {
        self.main.capacity()
    }

    pub(crate) fn limits(&self) -> impl Iterator<Item = &Limit> {
        std::iter::once(&self.main).chain(&self.long_run)
    }
}

impl Concurrent {
    fn new(config: &ConcurrentConfig) -> Self {
        Self {
            name: config.name.as_str().into(),
            per: config.per,
            max: config.max,
            matcher: Matcher::new(&config.applies_to),
            limited: Arc::default(),
        }
    }

    pub(crate) fn applies(&self, charge: &Charge<'_>) -> bool {
        (!self.per.is_of_tools() || charge.method == "tools/call") && self.matcher.matches(charge)
    }
}

fn cost(config: &CostConfig) -> Option<(Globs, u64)> {
    Some((Globs::of(&config.tools), config.cost?))
}

fn simple(name: &str, quota: u64, seconds: u64) -> Result<Limit, LimitError> {
    let window = std::time::Duration::from_secs(seconds);
    Limit::new(name, quota, window, Algorithm::SlidingWindow)
}

fn standard() -> Option<Rule> {
    let rule = standard_rule();
    // The numbers are good: a test makes it.
    Rule::new(&mut Checker::default(), &LimitPath::root(), &rule)
}

/// Users 1,000 an hour, API keys 5,000, administrators without limit.
pub(crate) fn standard_rule() -> RuleConfig {
    let of = |kinds, roles| MatchConfig {
        kinds,
        roles,
        ..MatchConfig::default()
    };
    let admin = OverrideConfig {
        applies_to: of(Vec::new(), vec!["admin".to_owned()]),
        unlimited: true,
        ..OverrideConfig::default()
    };
    let keys = OverrideConfig {
        applies_to: of(vec![KindConfig::ApiKey], Vec::new()),
        quota: Some(5_000),
        ..OverrideConfig::default()
    };
    RuleConfig {
        name: CLASS.to_owned(),
        quota: 1_000,
        window: Some(std::time::Duration::from_secs(3_600).into()),
        overrides: vec![admin, keys],
        ..RuleConfig::default()
    }
}

fn patterns(config: &LimitsConfig) -> Vec<Pattern> {
    let mut found = Vec::new();
    let mut add = |path: LimitPath, is_tool, globs: &[String]| {
        found.extend(globs.iter().enumerate().map(|(n, glob)| Pattern {
            path: path.index(n),
            is_tool,
            glob: glob.clone(),
        }));
    };
    let root = LimitPath::root();
    let mut add_match = |path: &LimitPath, of: &MatchConfig| {
        let path = path.key("for");
        add(path.key("tools"), true, &of.tools);
        add(path.key("servers"), false, &of.servers);
    };
    for (n, rule) in config.rules.iter().enumerate() {
        let path = root.key("rules").index(n);
        add_match(&path, &rule.applies_to);
        for (n, other) in rule.overrides.iter().enumerate() {
            add_match(&path.key("overrides").index(n), &other.applies_to);
        }
    }
    for (n, limit) in config.concurrent.iter().enumerate() {
        add_match(&root.key("concurrent").index(n), &limit.applies_to);
    }
    for (n, cost) in config.costs.iter().enumerate() {
        add(root.key("costs").index(n).key("tools"), true, &cost.tools);
    }
    found
}
