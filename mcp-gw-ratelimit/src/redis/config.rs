//! Where the Redis is, and what happens while it is away.

use std::time::Duration;

use mcp_gw_core::{DurationText, Secret};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::{LimitFault, LimitPath};

/// What an address looks like.
const FORM: &str = "write `redis://host:6379/0` or `redis+unix:///run/redis.sock`";
/// Longest prefix of keys, in bytes.
const LONGEST_PREFIX: usize = 64;
/// Longest time that a check may wait.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time that an attempt to connect may take.
const LONGEST_CONNECT: Duration = Duration::from_secs(60);
/// Most checks under way at once.
const MOST_IN_FLIGHT: usize = 65_536;
/// Most gateways that may share a limit.
const MOST_NODES: u32 = 10_000;

/// What becomes of a call while Redis gives no answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[non_exhaustive]
pub enum OnError {
    /// It is refused.
    Deny,
    /// It goes on, as if there were no limit.
    Allow,
    /// Each gateway counts for itself, up to its share: the quota divided by `nodes`, at least 1.
    #[default]
    Local,
}

impl OnError {
    /// What becomes of calls, in words.
    pub(super) const fn meanwhile(self) -> &'static str {
        match self {
            Self::Deny => "calls are refused",
            Self::Allow => "there is no limit",
            Self::Local => "each gateway counts for itself",
        }
    }

    /// As it is written in a configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Allow => "allow",
            Self::Local => "local",
        }
    }
}

/// The Redis or Valkey that several gateways count in.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RedisConfig {
    /// Where it is: `redis://host:6379/0`, or `redis+unix:///run/redis.sock`. Of a cluster, any
    /// node. Without user and password, which have keys of their own.
    pub url: String,
    /// The user, if the server knows users.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret<String>>,
    /// What the names of all keys begin with. Gateways with the same prefix share their counts.
    #[schemars(length(min = 1, max = 64))]
    pub prefix: String,
    /// How long Redis may be silent after a check was sent, before `on_error` decides. While it
    /// answers others a check waits up to ten times as long.
    pub timeout: DurationText,
    /// How long an attempt to connect may take.
    pub connect_timeout: DurationText,
    /// Checks that Redis is asked at once; others wait for their turn, callers one after the other.
    #[schemars(range(min = 1, max = 65_536))]
    pub max_in_flight: usize,
    /// What becomes of a call while Redis gives no answer.
    pub on_error: OnError,
    /// How many gateways share the limits; each takes its part of a quota with `on_error: local`.
    #[schemars(range(min = 1, max = 10_000))]
    pub nodes: u32,
    /// Counts client addresses in it, too. Otherwise each gateway counts them in its memory: anybody
    /// can have so many addresses that their counts fill a Redis.
    pub addresses: bool,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            username: None,
            password: None,
            prefix: "mcp-gw".to_owned(),
            timeout: DurationText::new(Duration::from_millis(100)),
            connect_timeout: DurationText::new(Duration::from_secs(2)),
            max_in_flight: 256,
            on_error: OnError::Local,
            nodes: 1,
            addresses: false,
        }
    }
}

/// A fault of `limits.redis`. It never repeats a value that may hold a secret.
fn fault(key: &'static str, message: impl Into<String>, help: &str) -> LimitFault {
    LimitFault::new(LimitPath::root().key("redis").key(key), message, help)
}

impl RedisConfig {
    /// The server at `url`, and defaults.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ..Self::default()
        }
    }

    /// Sets the password.
    #[must_use]
    pub fn with_password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(Secret::new(password.into()));
        self
    }

    /// Sets what the names of all keys begin with.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how long a check may take.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = DurationText::new(timeout);
        self
    }

    /// Sets how many checks may be under way at once.
    #[must_use]
    pub const fn with_max_in_flight(mut self, max_in_flight: usize) -> Self {
        self.max_in_flight = max_in_flight;
        self
    }

    /// Sets what becomes of a call while Redis gives no answer, and how many gateways share.
    #[must_use]
    pub const fn with_on_error(mut self, on_error: OnError, nodes: u32) -> Self {
        self.on_error = on_error;
        self.nodes = nodes;
        self
    }

    /// True when `other` says the same, so that a store of one does for both.
    pub fn is_same(&self, other: &Self) -> bool {
        // Both are ours: nobody can learn anything from how long it takes.
        let password = |one: &Self| one.password.as_ref().map(|it| it.expose().clone());
        let all = |one: &Self| {
            let times = (one.timeout.get(), one.connect_timeout.get());
            let numbers = (one.max_in_flight, one.on_error.as_str(), one.nodes);
            (times, numbers, one.addresses)
        };
        (&self.url, &self.username, &self.prefix) == (&other.url, &other.username, &other.prefix)
            && all(self) == all(other)
            && password(self) == password(other)
    }

    /// Where counts are kept, and who decides while that is away: a line for people.
    pub(crate) fn explain(&self) -> String {
        let away = match self.on_error {
            OnError::Deny => "calls are refused".to_owned(),
            OnError::Allow => "calls are not limited".to_owned(),
            OnError::Local if self.nodes > 1 => {
                format!("each of {} gateways admits its part", self.nodes)
            }
            OnError::Local => "this gateway counts for itself".to_owned(),
        };
        format!(
            "counts: in Redis at {}, keys `{}`; while it is away {away}",
            self.url, self.prefix
        )
    }

    /// All that is wrong with it; nothing when it can be used.
    ///
    /// ```
    /// use mcp_gw_ratelimit::redis::RedisConfig;
    ///
    /// let config: RedisConfig = serde_json::from_str(
    ///     r#"{ "url": "redis://redis.internal:6379/1", "password": "s3cret", "nodes": 3 }"#,
    /// )?;
    /// assert!(config.faults().is_empty());
    /// assert!(!format!("{config:?}").contains("s3cret"));
    /// # Ok::<_, serde_json::Error>(())
    /// ```
    pub fn faults(&self) -> Vec<LimitFault> {
        let mut faults: Vec<LimitFault> = self.server().err().into_iter().collect();
        let named = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if self.prefix.is_empty()
            || self.prefix.len() > LONGEST_PREFIX
            || !self.prefix.chars().all(named)
        {
            faults.push(fault(
                "prefix",
                "the prefix is not 1 to 64 letters, digits or one of `-_.:`",
                "use a name such as `mcp-gw`",
            ));
        }
        let mut time = |key, time: DurationText, most: Duration, help| {
            if time.get().is_zero() || time.get() > most {
                let most = DurationText::new(most);
                let message = format!("{time} is not between 1ms and {most}");
                faults.push(fault(key, message, help));
            }
        };
        time(
            "timeout",
            self.timeout,
            LONGEST_TIMEOUT,
            "a call waits this long for a server that is away; `100ms` is a good start",
        );
        time(
            "connect_timeout",
            self.connect_timeout,
            LONGEST_CONNECT,
            "`2s` is a good start",
        );
        if self.max_in_flight == 0 || self.max_in_flight > MOST_IN_FLIGHT {
            faults.push(fault(
                "max_in_flight",
                format!(
                    "{} is not between 1 and {MOST_IN_FLIGHT}",
                    self.max_in_flight
                ),
                "leave it out for 256",
            ));
        }
        if self.nodes == 0 || self.nodes > MOST_NODES {
            faults.push(fault(
                "nodes",
                format!("{} is not between 1 and {MOST_NODES}", self.nodes),
                "say how many gateways there are",
            ));
        }
        if self.username.is_some() && self.password.is_none() {
            faults.push(fault(
                "username",
                "there is a user and no password",
                "add `password`, or leave `username` out",
            ));
        }
        faults
    }

    /// What to connect to, with user and password.
    pub(super) fn server(&self) -> Result<ConnectionInfo, LimitFault> {
        let refuse = |message, help| Err(fault("url", message, help));
        if self.url.is_empty() {
            return refuse("there is no address", FORM);
        }
        // The text may hold a password, so that no fault repeats it.
        let Ok(mut server) = self.url.as_str().into_connection_info() else {
            return refuse("this is not an address of a Redis", FORM);
        };
        if server.redis.password.is_some() || server.redis.username.is_some() {
            return refuse(
                "user and password do not belong into the address",
                "use the keys `username` and `password`, which are never shown",
            );
        }
        if matches!(server.addr, ConnectionAddr::TcpTls { .. }) {
            return refuse(
                "TLS to Redis is not supported",
                "use `redis://` in a network that you trust, or a TLS tunnel on this machine",
            );
        }
        // How many databases there are, the server says; it numbers them in 32 bits.
        if !(0..=i64::from(i32::MAX)).contains(&server.redis.db) {
            return refuse(
                "there is no database of this number",
                "leave the number out for the first; servers have 16 unless told otherwise",
            );
        }
        if !server.addr.is_supported() {
            return refuse(
                "this system has no Unix sockets",
                "write `redis://host:6379/0`",
            );
        }
        server.redis.username.clone_from(&self.username);
        server.redis.password = self.password.as_ref().map(|it| it.expose().clone());
        Ok(server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault_of(change: impl FnOnce(&mut RedisConfig)) -> String {
        let mut config = RedisConfig::new("redis://localhost");
        assert_eq!(config.faults(), []);
        change(&mut config);
        let faults = config.faults();
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults[0].to_string()
    }

    #[test]
    fn each_fault_says_where_it_is_and_what_to_do() {
        for (key, fault) in [
            ("url", fault_of(|it| it.url.clear())),
            ("url", fault_of(|it| it.url = "localhost:6379".to_owned())),
            ("url", fault_of(|it| it.url = "rediss://host".to_owned())),
            (
                "url",
                fault_of(|it| it.url = "redis://host/99999999999".to_owned()),
            ),
            ("prefix", fault_of(|it| it.prefix = "a{b}".to_owned())),
            ("prefix", fault_of(|it| it.prefix.clear())),
            ("timeout", fault_of(|it| it.timeout = Duration::ZERO.into())),
            (
                "connect_timeout",
                fault_of(|it| it.connect_timeout = Duration::MAX.into()),
            ),
            ("max_in_flight", fault_of(|it| it.max_in_flight = 0)),
            ("nodes", fault_of(|it| it.nodes = 0)),
            (
                "username",
                fault_of(|it| it.username = Some("u".to_owned())),
            ),
        ] {
            assert!(
                fault.starts_with(&format!("limits.redis.{key}: ")),
                "{fault}"
            );
            assert!(fault.contains("; "), "{fault}");
        }
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        let config = RedisConfig::new("redis://localhost").with_password("hunter2");
        assert!(!format!("{config:?}").contains("hunter2"));
        let fault = fault_of(|it| it.url = "redis://user:hunter2@host".to_owned());
        assert!(fault.contains("`password`"), "{fault}");
        assert!(!fault.contains("hunter2"), "{fault}");
        let fault = fault_of(|it| it.url = "redis://user:hunter2@host:port:port".to_owned());
        assert!(!fault.contains("hunter2"), "{fault}");
    }

    #[test]
    fn unknown_keys_and_odd_durations_are_refused() {
        let read = serde_json::from_str::<RedisConfig>;
        let config =
            read(r#"{"url":"redis://h","timeout":"50ms","connect_timeout":"1s"}"#).unwrap();
        assert_eq!(config.timeout.get(), Duration::from_millis(50));
        assert_eq!(config.connect_timeout.get(), Duration::from_secs(1));
        for bad in [
            r#"{"url":"redis://h","timout":"50ms"}"#,
            r#"{"url":"redis://h","timeout":"50"}"#,
            r#"{"url":"redis://h","timeout":"-5s"}"#,
            r#"{"url":"redis://h","timeout":"99999999999999999999s"}"#,
            r#"{"url":"redis://h","on_error":"maybe"}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
