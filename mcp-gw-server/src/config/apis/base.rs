//! The address of an API in the one form in which addresses are compared.

use std::cmp::Ordering;
use std::fmt;

use mcp_gw_upstream::egress::{Base as Guarded, BaseRules};

use super::ApiConfig;

/// What an address may be, beside `https` with a name.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::config) struct Allowance {
    pub(in crate::config) http: bool,
    pub(in crate::config) ip: bool,
}

impl Allowance {
    /// Whatever can be compared.
    pub(in crate::config) const ALL: Self = Self {
        http: true,
        ip: true,
    };

    /// What this API allows.
    pub(in crate::config) const fn of(api: &ApiConfig) -> Self {
        Self {
            http: api.allow_http,
            ip: api.allow_ip,
        }
    }
}

/// The address of an API, as the guard on requests has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Base(Guarded);

/// Why an address cannot be that of an API, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct BaseFault {
    pub(in crate::config) message: String,
    pub(in crate::config) help: &'static str,
}

impl Base {
    /// Reads an address.
    pub(in crate::config) fn parse(text: &str, allowed: Allowance) -> Result<Self, BaseFault> {
        let read = |http, ip| {
            let rules = BaseRules::new().with_http(http).with_ip(ip);
            Guarded::parse(text, rules)
        };
        let error = match read(allowed.http, allowed.ip) {
            Ok(base) => return Ok(Self(base)),
            Err(error) => error,
        };
        // What may be allowed is told as that.
        Err(match read(true, true) {
            Ok(base) if !base.is_https() && !allowed.http => HTTP.into(),
            Ok(_) => IP.into(),
            Err(_) => BaseFault {
                message: format!("this is not the address of an API: {error}"),
                help: "write one such as `https://api.example.com` or `https://api.example.com/v2`",
            },
        })
    }

    /// The host, in lower case.
    pub(in crate::config) fn host(&self) -> &str {
        self.0.host()
    }

    /// True when it is this machine by its name.
    pub(in crate::config) fn is_localhost(&self) -> bool {
        let host = self.0.host();
        host == "localhost" || host.ends_with(".localhost")
    }

    /// A name of 1 to 64 characters of `a-z 0-9 -`, made of the host, the port and the path.
    pub(in crate::config) fn name(&self) -> String {
        let text = self.to_string();
        let text = text.split_once("://").map_or("", |(_, rest)| rest);
        let mut name = String::new();
        for c in text.chars().flat_map(char::to_lowercase) {
            if c.is_ascii_alphanumeric() {
                name.push(c);
            } else if !name.is_empty() && !name.ends_with('-') {
                name.push('-');
            }
        }
        let name: String = name.chars().take(60).collect();
        match name.trim_end_matches('-') {
            "" => "api".to_owned(),
            name => name.to_owned(),
        }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Ord for Base {
    fn cmp(&self, other: &Self) -> Ordering {
        self.to_string().cmp(&other.to_string())
    }
}

impl PartialOrd for Base {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What can be allowed: what is wrong, and how.
struct Allowable(&'static str, &'static str);

impl From<Allowable> for BaseFault {
    fn from(Allowable(message, help): Allowable) -> Self {
        Self {
            message: message.to_owned(),
            help,
        }
    }
}

const HTTP: Allowable = Allowable(
    "requests to `http` addresses can be read and changed on the way",
    "write `https://…`, or add `allow_http: true`",
);

const IP: Allowable = Allowable(
    "the host is an IP address",
    "write its name, or add `allow_ip: true`",
);
