//! The address of an API in the one form in which addresses are compared.

use std::fmt;

use url::{Host, Url};

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

/// Scheme, host, port and path of an API: lower case where case says nothing, without the port that goes
/// without saying, without a `/` at the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::config) struct Base {
    origin: String,
    host: String,
    path: String,
}

/// Why an address cannot be that of an API, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct BaseFault {
    pub(in crate::config) message: &'static str,
    pub(in crate::config) help: &'static str,
}

impl Base {
    /// Reads an address. What a parser would silently repair or reinterpret is refused before it is
    /// parsed.
    pub(in crate::config) fn parse(text: &str, allowed: Allowance) -> Result<Self, BaseFault> {
        let (authority, path) = raw_parts(text)?;
        check_authority(authority)?;
        check_path(path)?;
        let url = Url::parse(text).map_err(|_| NOT_AN_ADDRESS)?;
        match url.scheme() {
            "https" => {}
            "http" if allowed.http => {}
            "http" => return Err(HTTP),
            _ => return Err(NOT_AN_ADDRESS),
        }
        let host = url.host().ok_or(NOT_AN_ADDRESS)?;
        if !matches!(host, Host::Domain(_)) && !allowed.ip {
            return Err(IP);
        }
        if url.port() == Some(0) {
            return Err(BaseFault {
                message: "nothing listens on port 0",
                help: "write the port of the API, or none",
            });
        }
        // What was looked at is what was parsed.
        if url.path().trim_end_matches('/') != path.trim_end_matches('/') {
            return Err(PATH);
        }
        Ok(Self {
            origin: url.origin().ascii_serialization(),
            host: host.to_string(),
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    /// The host, in lower case.
    pub(in crate::config) fn host(&self) -> &str {
        &self.host
    }

    /// True when it is this machine by its name.
    pub(in crate::config) fn is_localhost(&self) -> bool {
        self.host == "localhost" || self.host.ends_with(".localhost")
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
        write!(f, "{}{}", self.origin, self.path)
    }
}

/// The authority and the path as they are written.
fn raw_parts(text: &str) -> Result<(&str, &str), BaseFault> {
    if text.len() > 2048 {
        return Err(NOT_AN_ADDRESS);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains(['\\', '"', '<', '>']) {
        return Err(BaseFault {
            message: "the address has a character that no address has",
            help: "remove blanks, `\\` and line ends; write a name outside of ASCII as `xn--…`",
        });
    }
    let (_, rest) = text.split_once("://").ok_or(NOT_AN_ADDRESS)?;
    if text.contains('#') {
        return Err(BaseFault {
            message: "the address has a `#` part, which is never sent",
            help: "remove it",
        });
    }
    if text.contains('?') {
        return Err(BaseFault {
            message: "the address has a query",
            help: "remove it; callers give theirs, and `credential: { query: … }` adds a key",
        });
    }
    Ok(match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    })
}

fn check_authority(authority: &str) -> Result<(), BaseFault> {
    if authority.contains('@') {
        return Err(BaseFault {
            message: "the address has a user name or password in it",
            help: "remove it, and give it as `credential: { basic: { username: …, password: … } }`",
        });
    }
    if authority.contains('*') {
        return Err(BaseFault {
            message: "the host is a pattern",
            help: "write one entry for each host",
        });
    }
    if authority.is_empty() || authority.contains('%') {
        return Err(NOT_AN_ADDRESS);
    }
    let host = match authority.rsplit_once(':') {
        Some((_, "")) => return Err(NOT_AN_ADDRESS),
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    if host.ends_with('.') {
        return Err(BaseFault {
            message: "the host ends with a dot",
            help: "remove the dot",
        });
    }
    let is_label = |label: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len())
            && label.bytes().all(is_plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_name = host.len() <= 253 && host.split('.').all(is_label);
    if is_name || host.starts_with('[') {
        Ok(())
    } else {
        Err(NOT_AN_ADDRESS)
    }
}

/// The path is a prefix of all requests: each segment means itself.
fn check_path(path: &str) -> Result<(), BaseFault> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let Some(path) = path.strip_prefix('/') else {
        return Ok(());
    };
    let is_plain = |segment: &str| {
        let lower = segment.to_ascii_lowercase();
        let without = lower.replace("%2e", ".");
        let is_dots = matches!(without.split(';').next(), Some("" | "." | ".."));
        let hides = ["%2f", "%5c", "%25", "%00", "*", "{", "}", "|", "^", "`"];
        !is_dots && !hides.iter().any(|hidden| lower.contains(hidden))
    };
    let is_encoded = |(at, _): (usize, &str)| {
        let digits = path
            .as_bytes()
            .get(at.saturating_add(1)..at.saturating_add(3));
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if path.split('/').all(is_plain) && path.match_indices('%').all(is_encoded) {
        Ok(())
    } else {
        Err(PATH)
    }
}

const NOT_AN_ADDRESS: BaseFault = BaseFault {
    message: "this is not the address of an API",
    help: "write one such as `https://api.example.com` or `https://api.example.com/v2`",
};

const HTTP: BaseFault = BaseFault {
    message: "requests to `http` addresses can be read and changed on the way",
    help: "write `https://…`, or add `allow_http: true`",
};

const IP: BaseFault = BaseFault {
    message: "the host is an IP address",
    help: "write its name, or add `allow_ip: true`",
};

const PATH: BaseFault = BaseFault {
    message: "the path of the address has a segment that is empty, means another, or is a pattern",
    help: "write a plain path such as `/v2`; `paths` is for patterns",
};
