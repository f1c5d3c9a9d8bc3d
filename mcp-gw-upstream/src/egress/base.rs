//! The origin and base path of an API, as the operator configured it (E-1).

use std::fmt;
use std::net::Ipv6Addr;

use url::Host;

use crate::egress::endpoint;
use crate::egress::refusal::Refusal;

/// What else than `https` with a name is taken for a base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BaseRules {
    /// Also `http`.
    pub allow_http: bool,
    /// Also an address in the place of a name, in any spelling.
    pub allow_ip: bool,
}

impl BaseRules {
    /// `https` with a name.
    pub const fn new() -> Self {
        Self {
            allow_http: false,
            allow_ip: false,
        }
    }

    /// Sets whether `http` is taken.
    #[must_use]
    pub const fn with_http(mut self, allow: bool) -> Self {
        self.allow_http = allow;
        self
    }

    /// Sets whether addresses are taken.
    #[must_use]
    pub const fn with_ip(mut self, allow: bool) -> Self {
        self.allow_ip = allow;
        self
    }
}

/// Scheme, host, port and base path of an API, in one canonical form: two that are equal are the same API.
///
/// The scheme and the host are in lower case, a port that the scheme implies is left out, an address is
/// written in its usual form, and a `/` at the end is left out.
///
/// ```
/// use mcp_gw_upstream::egress::{Base, BaseRules};
///
/// let base = Base::parse("HTTPS://API.example.com:443/v1/", BaseRules::new()).unwrap();
/// assert_eq!(base.to_string(), "https://api.example.com/v1");
/// assert_eq!(base, Base::parse("https://api.example.com/v1", BaseRules::new()).unwrap());
/// assert!(Base::parse("https://user@api.example.com", BaseRules::new()).is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Base {
    is_https: bool,
    /// `host` or `host:port`, as in a URL.
    authority: Box<str>,
    /// How much of that is the host.
    host: usize,
    /// Empty, or `/` and what follows, without a `/` at the end.
    path: Box<str>,
}

/// Why an address cannot be the base of an API. Says what to write instead; repeats nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BaseError {
    reason: String,
}

impl BaseError {
    fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

impl BaseError {
    /// What is wrong with a path, in the words for a base.
    pub(crate) fn of_refusal(refusal: &Refusal) -> Self {
        let message = refusal
            .message
            .replace("the path of the endpoint", "its path");
        Self::new(message.replace("the endpoint", "its path"))
    }
}

impl Base {
    /// Reads the address of an API: `https://host[:port][/path]`.
    ///
    /// # Errors
    /// When it is something else: another scheme, credentials, a query, a fragment, a wildcard, dot
    /// segments, or what `rules` do not allow.
    pub fn parse(text: &str, rules: BaseRules) -> Result<Self, BaseError> {
        let wrong = |reason: &str| Err(BaseError::new(reason));
        if text.len() > 2048 {
            return wrong("it is longer than 2048 bytes");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains('\\') {
            return wrong(
                "it must be ASCII without blanks and backslashes; write a name with other letters in its xn-- form",
            );
        }
        let (is_https, rest) = scheme(text, rules)?;
        if rest.contains('#') || rest.contains('?') {
            return wrong("it must have no `?` and no `#`: parameters belong to calls");
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return wrong("it must hold no user and no password: credentials are configured apart");
        }
        let (host, port) = split_port(authority)?;
        let host = host_of(host, rules)?;
        let implied = if is_https { 443 } else { 80 };
        let authority = match port {
            Some(port) if port != implied => format!("{host}:{port}"),
            _ => host.clone(),
        };
        Ok(Self {
            is_https,
            authority: authority.into(),
            host: host.len(),
            path: base_path(path)?.into(),
        })
    }

    /// `http` or `https`.
    pub const fn scheme(&self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }

    /// True for `https`.
    pub const fn is_https(&self) -> bool {
        self.is_https
    }

    /// The host, and the port if it is not the one that the scheme implies.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host: a name, or an address in the form that URLs have it in.
    pub fn host(&self) -> &str {
        self.authority.get(..self.host).unwrap_or_default()
    }

    /// The base path: empty, or beginning with `/` and not ending with one.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The same origin without a path.
    pub(crate) fn origin(&self) -> Self {
        Self {
            path: "".into(),
            ..self.clone()
        }
    }

    /// What of `path` is below the base path; `None` when it is elsewhere.
    pub(crate) fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(&*self.path)
            .filter(|rest| rest.starts_with('/'))
    }
}

fn scheme(text: &str, rules: BaseRules) -> Result<(bool, &str), BaseError> {
    let after = |scheme: &str| {
        let head = text.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme)
            .then(|| text.get(scheme.len()..))
            .flatten()
    };
    match (after("https://"), after("http://")) {
        (Some(rest), _) => Ok((true, rest)),
        (None, Some(rest)) if rules.allow_http => Ok((false, rest)),
        (None, Some(_)) => Err(BaseError::new(
            "it must begin with https://, or http has to be allowed",
        )),
        (None, None) => Err(BaseError::new("it must begin with https://")),
    }
}

/// Takes the port off, which may be missing but not empty.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), BaseError> {
    let end = authority.rfind(']').map_or(0, |at| at + 1);
    let behind = authority.get(end..).unwrap_or_default();
    let Some(at) = behind.find(':') else {
        return Ok((authority, None));
    };
    let (host, port) = authority.split_at(end + at);
    let digits = port.get(1..).unwrap_or_default();
    let port = digits.parse::<u16>().ok().filter(|port| *port > 0);
    match port {
        Some(port) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok((host, Some(port))),
        _ => Err(BaseError::new("its port must be a number from 1 to 65535")),
    }
}

/// A host in its canonical form.
fn host_of(host: &str, rules: BaseRules) -> Result<String, BaseError> {
    let wrong = |reason: &str| Err(BaseError::new(reason));
    if host.contains('*') {
        return wrong("its host must be one name, without `*`");
    }
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|it| it.parse().ok());
        let Some(address): Option<Ipv6Addr> = address else {
            return wrong("what is in its brackets is no IPv6 address");
        };
        if rules.allow_ip {
            return Ok(Host::<&str>::Ipv6(address).to_string());
        }
        return wrong("it must have a name for its host, or addresses have to be allowed");
    }
    if host.is_empty() {
        return wrong("it has no host");
    }
    if host.ends_with('.') {
        return wrong("its host must not end with a dot");
    }
    let host = host.to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if host.len() > 253 || !host.split('.').all(is_label) {
        return wrong("its host is not a name: letters, digits, `-` and `_` between single dots");
    }
    match Host::parse(&host) {
        Ok(Host::Domain(name)) if name == host => Ok(host),
        Ok(Host::Ipv4(address)) if rules.allow_ip => Ok(address.to_string()),
        Ok(Host::Ipv4(_)) => {
            wrong("it must have a name for its host, or addresses have to be allowed")
        }
        _ => wrong("its host is not a name that can be looked up"),
    }
}

fn base_path(path: &str) -> Result<&str, BaseError> {
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok(path);
    }
    if path.ends_with('/') {
        return Err(BaseError::new("its path has an empty segment"));
    }
    if path.contains('*') {
        return Err(BaseError::new("its path must be one path, without `*`"));
    }
    endpoint::parse(path, 2048, false)
        .map(|_| path)
        .map_err(|refusal| BaseError::of_refusal(&refusal))
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority, self.path)
    }
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Base({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: BaseRules = BaseRules {
        allow_http: true,
        allow_ip: true,
    };

    #[test]
    fn equal_bases_have_one_form() {
        for (text, canonical) in [
            ("https://api.github.com", "https://api.github.com"),
            ("https://api.github.com/", "https://api.github.com"),
            ("HTTPS://API.GitHub.COM:443", "https://api.github.com"),
            ("https://h:0443/v1/", "https://h/v1"),
            ("https://h:8443/v1/x@y:z", "https://h:8443/v1/x@y:z"),
            ("http://h:80/", "http://h"),
            ("http://h:443/", "http://h:443"),
            ("https://my_service.internal", "https://my_service.internal"),
            (
                "https://xn--bcher-kva.example",
                "https://xn--bcher-kva.example",
            ),
            ("http://127.0.0.1:8080/a", "http://127.0.0.1:8080/a"),
            ("http://0x7f.1/", "http://127.0.0.1"),
            ("http://2130706433/", "http://127.0.0.1"),
            ("http://017700000001/", "http://127.0.0.1"),
            ("http://127.1/", "http://127.0.0.1"),
            ("http://[::0:1]:80/", "http://[::1]"),
            ("http://[::1]:81/", "http://[::1]:81"),
        ] {
            let base = Base::parse(text, ALL).expect(text);
            assert_eq!(base.to_string(), canonical);
            assert_eq!(Base::parse(canonical, ALL).unwrap(), base);
        }
    }

    #[test]
    fn what_is_no_base_is_refused_without_repeating_it() {
        for text in [
            "",
            "api.github.com",
            "//h",
            "https:/h",
            "https:h",
            "ftp://h",
            "file:///etc",
            "https://",
            "https:///v1",
            "https://:443",
            "https://user@h",
            "https://u:secret@h",
            "https://@h",
            "https://h?x",
            "https://h/#x",
            "https://h/?",
            "https://*.h",
            "https://*",
            "https://h*",
            "https://h/../x",
            "https://h/a/./b",
            "https://h/%2e%2e/",
            "https://h/a%2fb",
            "https://h//",
            "https://h/a//b",
            "https://h\\x",
            "https://h/a b",
            "https://h\t",
            " https://h",
            "https://h\n",
            "https://h.",
            "https://h..x",
            "https://.h",
            "https://-h",
            "https://h-",
            "https://h:",
            "https://h:0",
            "https://h:65536",
            "https://h:+1",
            "https://h:x",
            "https://h:1:2",
            "https://h%41",
            "https://h%2fx",
            "https://b\u{fc}cher.example",
            "https://\u{ff11}",
            "https://1.2.3.4.5",
            "https://1.2.3.256",
            "https://[::1",
            "https://::1",
            "https://[fe80::1%25eth0]",
            "https://[::1]x",
            "https://[v1.x]",
            "https://h,i",
            "https://h;x",
            "https://xn--a",
            "https://h/%",
            "https://h/%zz",
            "https://h/{x}",
        ] {
            let error = Base::parse(text, ALL).expect_err(text);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let long = format!("https://{}.example", "a".repeat(64));
        assert!(Base::parse(&long, ALL).is_err());
    }

    #[test]
    fn http_and_addresses_have_to_be_allowed() {
        for text in [
            "http://h",
            "https://127.0.0.1",
            "https://0x7f.0.0.1",
            "https://2130706433",
            "https://[::1]",
            "https://8.8.8.8",
            "https://127.1",
            "https://0",
            "https://0x",
        ] {
            assert!(Base::parse(text, BaseRules::new()).is_err(), "{text}");
        }
        assert!(Base::parse("http://h", BaseRules::new().with_http(true)).is_ok());
        assert!(Base::parse("https://127.1", BaseRules::new().with_ip(true)).is_ok());
    }

    #[test]
    fn below_is_judged_at_the_end_of_a_segment() {
        let base = Base::parse("https://h/v1", ALL).unwrap();
        assert_eq!(base.below("/v1/x"), Some("/x"));
        assert_eq!(base.below("/v1/"), Some("/"));
        for elsewhere in ["/v1", "/v10/x", "/v1x", "/", "/V1/x", "v1/x"] {
            assert_eq!(base.below(elsewhere), None, "{elsewhere}");
        }
    }
}
