//! Where an admin API is.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use url::{Host, Url};

/// The address that requests go to: `https` or `http`, a host, perhaps a port and a base path.
///
/// Credentials, a query or a fragment in it are refused: they would be lost or sent to where they do not
/// belong. A slash at the end means nothing.
///
/// ```
/// use mcp_gw_admin_client::http::BaseUrl;
///
/// let base: BaseUrl = "https://dashboard.example.com:7443/".parse()?;
/// assert_eq!(base.as_str(), "https://dashboard.example.com:7443");
/// assert!("https://me:password@dashboard.example.com".parse::<BaseUrl>().is_err());
/// # Ok::<(), mcp_gw_admin_client::http::BaseUrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl {
    url: Url,
    /// Without a slash at the end.
    text: String,
    prefix: String,
}

/// Why a text is not an address that requests can go to. It is not repeated: it may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BaseUrlError {
    /// It is not a URL.
    #[error("it is not a URL ({0}); write it like https://host:7443")]
    NotAUrl(String),
    /// It is neither `http` nor `https`.
    #[error("it must begin with http:// or https://")]
    Scheme,
    /// It holds a user name or password.
    #[error("it must not hold a user name or password; credentials have a setting of their own")]
    Credentials,
    /// It has a query or a fragment.
    #[error("it must end before `?` and `#`")]
    Query,
}

impl BaseUrl {
    /// The address without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True when connections are encrypted.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// True when the host is this machine: `localhost` or a name below it, `127.0.0.0/8`, `::1`.
    pub fn is_loopback(&self) -> bool {
        match self.url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                name == "localhost" || name.ends_with(".localhost")
            }
            None => false,
        }
    }

    /// Scheme, host and port, as a browser would write them.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// True when `other` has the same scheme, host and port.
    pub fn is_same_origin(&self, other: &Url) -> bool {
        self.url.origin() == other.origin()
    }

    /// The address of a request whose URI is a path and a query.
    ///
    /// `None` when the result is not exactly that path and query at this origin, below the base path.
    pub fn join(&self, uri: &Uri) -> Option<Url> {
        if uri.scheme().is_some() || uri.authority().is_some() || !uri.path().starts_with('/') {
            return None;
        }
        let path = format!("{}{}", self.prefix, uri.path());
        let mut url = self.url.clone();
        url.set_path(&path);
        url.set_query(uri.query());
        let is_exact = self.is_same_origin(&url)
            && url.path() == path
            && url.query() == uri.query()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        is_exact.then_some(url)
    }
}

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<Self, BaseUrlError> {
        let url = Url::parse(text.trim()).map_err(|e| BaseUrlError::NotAUrl(e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BaseUrlError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BaseUrlError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BaseUrlError::Query);
        }
        let prefix = url.path().trim_end_matches('/').to_owned();
        let text = format!("{}{prefix}", url.origin().ascii_serialization());
        Ok(Self { url, text, prefix })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_more_than_a_place_is_refused_without_repeating_it() {
        for text in [
            "",
            "dashboard:7443",
            "/path",
            "ftp://h",
            "file:///etc/passwd",
            "https://u:hidden@h",
            "https://u@h",
            "https://h/?token=hidden",
            "https://h/#hidden",
            "https://",
        ] {
            let error = text.parse::<BaseUrl>().unwrap_err();
            assert!(!error.to_string().contains("hidden"), "{text}: {error}");
        }
    }

    #[test]
    fn a_slash_at_the_end_means_nothing() {
        for text in ["https://H:7443", "https://h:7443/", " https://h:7443// "] {
            let base: BaseUrl = text.parse().unwrap();
            assert_eq!(base.as_str(), "https://h:7443", "{text}");
            let url = base.join(&"/api/x?y=1".parse().unwrap()).unwrap();
            assert_eq!(url.as_str(), "https://h:7443/api/x?y=1");
        }
        let base: BaseUrl = "http://[::1]:80/a/b/".parse().unwrap();
        assert_eq!(base.as_str(), "http://[::1]/a/b");
        assert!(!base.is_https());
        let url = base.join(&"/c".parse().unwrap()).unwrap();
        assert_eq!(url.as_str(), "http://[::1]/a/b/c");
    }

    #[test]
    fn this_machine_is_known_by_all_its_names() {
        let is_loopback = |text: &str| text.parse::<BaseUrl>().unwrap().is_loopback();
        for text in [
            "http://localhost:1",
            "http://LOCALHOST.",
            "http://a.localhost",
            "http://127.1.2.3",
            "http://[::1]:9180",
        ] {
            assert!(is_loopback(text), "{text}");
        }
        for text in [
            "http://localhost.example",
            "http://10.0.0.1",
            "http://[fd00::1]",
            "http://apisix",
        ] {
            assert!(!is_loopback(text), "{text}");
        }
    }

    #[test]
    fn what_would_lead_elsewhere_is_not_joined() {
        let base: BaseUrl = "https://h/base".parse().unwrap();
        for uri in [
            "https://other/x",
            "other:80",
            "/..",
            "/../x",
            "/a/../x",
            "/a/%2e%2E/x",
            "/./x",
            "*",
        ] {
            let uri: Uri = uri.parse().unwrap();
            assert_eq!(base.join(&uri), None, "{uri}");
        }
    }
}
