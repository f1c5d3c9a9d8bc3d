//! What the configuration says about limits. It is turned into limits by [`LimitSet::new`].
//!
//! [`LimitSet::new`]: crate::LimitSet::new

use mcp_gw_core::{CallerKind, DurationText};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much callers may call. Several limits count side by side: a call is charged to all that
/// apply, or refused and charged to none.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct LimitsConfig {
    /// How many calls each caller may make in any 60 seconds; short for a rule.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub calls_per_minute: Option<u64>,
    /// Ready-made limits for kinds of callers.
    pub classes: Option<Classes>,
    /// The limits.
    pub rules: Vec<RuleConfig>,
    /// What calls of some tools cost, instead of 1. The first that matches counts.
    pub costs: Vec<CostConfig>,
    /// How many calls may be under way at the same time, in this process.
    pub concurrent: Vec<ConcurrentConfig>,
    /// What each caller may do beside calls, reads and prompts: lists, pings, handshakes, questions
    /// about tasks. It counts as soon as there is any other limit.
    pub other: OtherConfig,
    /// For how many keys (a caller, a tool, …) counts are kept in memory.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub keys: Option<usize>,
    /// For how many client addresses counts are kept in memory, beside `keys`: who has no key uses up
    /// no room of those who have one.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub addresses: Option<usize>,
    /// Keeps the counts in Redis or Valkey, shared with other gateways and kept over a restart. Without
    /// it they are in the memory of this process. What is under way is counted here in any case.
    #[cfg(feature = "redis")]
    pub redis: Option<crate::redis::RedisConfig>,
}

impl LimitsConfig {
    /// At most `calls` calls by each caller in any 60 seconds.
    pub fn per_minute(calls: u64) -> Self {
        Self {
            calls_per_minute: Some(calls),
            ..Self::default()
        }
    }

    /// True when nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.calls_per_minute.is_none()
            && self.classes.is_none()
            && self.rules.is_empty()
            && self.concurrent.is_empty()
    }
}

impl LimitsConfig {
    /// What is limited beside `calls_per_minute`: a line for each limit, for people.
    pub fn explain(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(Classes::Standard) = self.classes {
            let text =
                "class: 1000 per 1h for each caller, 5000 for API keys, none for role `admin`";
            lines.push(text.to_owned());
        }
        lines.extend(self.rules.iter().map(RuleConfig::explain));
        for limit in &self.concurrent {
            let scope = scope(limit.per);
            lines.push(format!(
                "{}: {} under way at once {scope}",
                limit.name, limit.max
            ));
        }
        #[cfg(feature = "redis")]
        lines.extend(self.redis.as_ref().map(crate::redis::RedisConfig::explain));
        lines
    }
}

fn scope(per: Per) -> String {
    match per {
        Per::Global => "in all".to_owned(),
        per => format!("for each {}", per.as_str().replace('_', " ")),
    }
}

impl RuleConfig {
    fn explain(&self) -> String {
        let time = match (self.period, self.window) {
            (Some(PeriodConfig::Day), _) => "day".to_owned(),
            (Some(PeriodConfig::Month), _) => "month".to_owned(),
            (None, window) => window.unwrap_or_default().to_string(),
        };
        let burst = match self.burst {
            0 => String::new(),
            burst => format!(", bursts of {burst}"),
        };
        let even = match self.algorithm {
            AlgorithmConfig::Gcra => ", evenly",
            AlgorithmConfig::SlidingWindow => "",
        };
        let applies = crate::view::text(&[&self.applies_to], None);
        let applies = match applies.as_str() {
            "" => String::new(),
            applies => format!(" ({applies})"),
        };
        let overrides = match self.overrides.len() {
            0 => String::new(),
            1 => ", 1 override".to_owned(),
            many => format!(", {many} overrides"),
        };
        let scope = scope(self.per);
        format!(
            "{}: {} per {time} {scope}{even}{burst}{overrides}{applies}",
            self.name, self.quota
        )
    }
}

/// Ready-made limits for kinds of callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[non_exhaustive]
pub enum Classes {
    /// 1,000 calls an hour for each caller, 5,000 for holders of API keys, no limit for callers with
    /// the role `admin`.
    Standard,
}

/// One limit.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RuleConfig {
    /// Its name, for headers, errors, logs and metrics.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// What has a count of its own.
    pub per: Per,
    /// How many units; a call costs 1 unless `costs` says otherwise.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub quota: u64,
    /// For how long: from a millisecond to 366 days. Not with `period`.
    pub window: Option<DurationText>,
    /// A period of the calendar, in UTC, instead of a window.
    pub period: Option<PeriodConfig>,
    /// How it counts within a window.
    pub algorithm: AlgorithmConfig,
    /// For `sliding_window`: so many units on top of the quota now and then, while the quota still
    /// holds in the long run. For `gcra`: how many units may come at once, at least 1.
    #[schemars(range(max = 1_000_000_000))]
    pub burst: u64,
    /// Counts refused calls too: who does not stop calling is not admitted again.
    pub penalty: bool,
    /// To which calls it applies; to all if not given.
    #[serde(rename = "for")]
    pub applies_to: MatchConfig,
    /// Other quotas for some. The first that matches counts.
    pub overrides: Vec<OverrideConfig>,
}

/// What has a count of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[non_exhaustive]
pub enum Per {
    /// Each caller.
    #[default]
    Caller,
    /// Each server, for all callers together.
    Server,
    /// Each tool, for all callers together.
    Tool,
    /// Each caller at each tool.
    CallerAndTool,
    /// Each caller at each server.
    CallerAndServer,
    /// Each client address, before anybody knows who it is; all requests count.
    Address,
    /// All callers together.
    Global,
}

impl Per {
    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Server => "server",
            Self::Tool => "tool",
            Self::CallerAndTool => "caller_and_tool",
            Self::CallerAndServer => "caller_and_server",
            Self::Address => "address",
            Self::Global => "global",
        }
    }

    /// True when it counts calls of tools only: their names are known, those of resources have no
    /// end.
    pub(crate) const fn is_of_tools(self) -> bool {
        matches!(self, Self::Tool | Self::CallerAndTool)
    }

    /// True when callers share its counts.
    pub(crate) const fn is_shared(self) -> bool {
        match self {
            Self::Tool | Self::Server | Self::Global | Self::Address => true,
            Self::Caller | Self::CallerAndTool | Self::CallerAndServer => false,
        }
    }

    /// True when it counts by what is used, not only by who uses it.
    pub(crate) const fn tells_items_apart(self) -> bool {
        match self {
            Self::Tool | Self::CallerAndTool | Self::Server | Self::CallerAndServer => true,
            Self::Caller | Self::Global | Self::Address => false,
        }
    }
}

/// How a limit counts within a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[non_exhaustive]
pub enum AlgorithmConfig {
    /// Never more than the quota in any window.
    #[default]
    SlidingWindow,
    /// Evenly: the quota comes back bit by bit; `burst` may come at once.
    Gcra,
}

/// A period of the calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[non_exhaustive]
pub enum PeriodConfig {
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the first of the next.
    Month,
}

/// Which calls: all that is given must match, and of each list one item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct MatchConfig {
    /// Kinds of callers.
    pub kinds: Vec<KindConfig>,
    /// Callers.
    pub callers: Vec<CallerConfig>,
    /// Roles; a caller with one of them matches.
    pub roles: Vec<String>,
    /// Names of tools as clients see them; `*` stands for any characters, `?` for one, and `\` takes the next as it is.
    pub tools: Vec<String>,
    /// Names of servers; `*` stands for any characters, `?` for one, and `\` takes the next as it is.
    pub servers: Vec<String>,
}

impl MatchConfig {
    /// True when it matches everything.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
            && self.callers.is_empty()
            && self.roles.is_empty()
            && self.tools.is_empty()
            && self.servers.is_empty()
    }
}

/// One caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CallerConfig {
    /// The id, such as that of an API key or the subject of a token.
    #[schemars(length(min = 1))]
    pub id: String,
    /// Who vouches for the id: the issuer of the token. Without it a caller is meant whom the
    /// gateway knows itself.
    pub issuer: Option<String>,
}

/// A kind of caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[non_exhaustive]
pub enum KindConfig {
    /// Nobody in particular.
    Anonymous,
    /// The user of this machine.
    Local,
    /// A person, known by name.
    User,
    /// The holder of an API key.
    ApiKey,
    /// An OAuth client with an access token.
    OauthClient,
}

impl KindConfig {
    /// The kind that it names.
    pub const fn get(self) -> CallerKind {
        match self {
            Self::Anonymous => CallerKind::Anonymous,
            Self::Local => CallerKind::Local,
            Self::User => CallerKind::User,
            Self::ApiKey => CallerKind::ApiKey,
            Self::OauthClient => CallerKind::OAuthClient,
        }
    }
}

/// Another quota for some calls of a rule.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct OverrideConfig {
    /// For which calls.
    #[serde(rename = "for")]
    pub applies_to: MatchConfig,
    /// The quota; either this or `unlimited`.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub quota: Option<u64>,
    /// The burst; that of the rule if not given.
    #[schemars(range(max = 1_000_000_000))]
    pub burst: Option<u64>,
    /// The rule does not apply to these calls.
    pub unlimited: bool,
}

/// What calls of some tools cost.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CostConfig {
    /// Names of tools as clients see them; `*` stands for any characters, `?` for one, and `\` takes the next as it is.
    pub tools: Vec<String>,
    /// Units for each call; 0 is free. It has to be said.
    #[schemars(range(max = 1_000_000_000))]
    pub cost: Option<u64>,
}

/// How many calls may be under way at the same time.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ConcurrentConfig {
    /// Its name, for headers, errors, logs and metrics.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// What has a count of its own; not `address`.
    pub per: Per,
    /// How many.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max: u64,
    /// To which calls it applies; to all if not given.
    #[serde(rename = "for")]
    pub applies_to: MatchConfig,
}

/// What each caller may do beside calls.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct OtherConfig {
    /// How many requests.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub quota: u64,
    /// In any window of this length.
    pub window: DurationText,
}

impl Default for OtherConfig {
    fn default() -> Self {
        Self {
            quota: 6_000,
            window: DurationText::new(std::time::Duration::from_secs(60)),
        }
    }
}
