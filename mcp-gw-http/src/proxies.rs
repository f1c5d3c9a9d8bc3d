//! Whose word is taken for the address of a client: proxies in front of the gateway.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::FORWARDED;
use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// Proxies that are trusted to say which client they speak for.
///
/// Without any, the address of a client is the one that its connection came from, and what headers
/// say is not looked at. With some, a request that comes from one of them has the address that it
/// gives: the last one in the header that is not itself a trusted proxy. Whatever stands before that
/// was written by somebody who is not trusted.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    header: ForwardedHeader,
}

/// The header in which proxies say which client they speak for. Only one is looked at: the other
/// passes proxies that do not know it as the client wrote it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// What is not an address or a network in CIDR notation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address or a network, such as `10.0.0.0/8` or `fd00::/8`")]
pub struct BadNetwork(String);

/// More elements than this are not looked at: no chain of proxies is that long.
const LONGEST: usize = 32;

impl TrustedProxies {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts this address, or all of this network (CIDR notation).
    ///
    /// # Errors
    /// When it is neither.
    pub fn with_network(mut self, network: &str) -> Result<Self, BadNetwork> {
        let parsed = network
            .parse::<IpNet>()
            .or_else(|_| network.parse::<IpAddr>().map(IpNet::from));
        let parsed = parsed.map_err(|_| BadNetwork(network.to_owned()))?;
        self.networks.push(parsed);
        Ok(self)
    }

    /// Sets the header that is looked at.
    #[must_use]
    pub const fn with_header(mut self, header: ForwardedHeader) -> Self {
        self.header = header;
        self
    }

    /// The address of the client of a request that came from `peer`. `None` when a proxy says
    /// something that is no address: it is not known then.
    pub(crate) fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer?.to_canonical();
        if !self.trusts(peer) {
            return Some(peer);
        }
        let values: Vec<&str> = match headers
            .get_all(self.header.name())
            .iter()
            .map(|value| value.to_str())
            .collect()
        {
            Ok(values) => values,
            Err(_) => return None,
        };
        let mut last = peer;
        for address in self.header.addresses(&values).into_iter().rev() {
            last = address?;
            if !self.trusts(last) {
                break;
            }
        }
        Some(last)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }
}

impl ForwardedHeader {
    fn name(self) -> HeaderName {
        match self {
            Self::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            Self::Forwarded => FORWARDED,
        }
    }

    /// The last addresses in all lines of the header, in their order; `None` for what is no address.
    fn addresses(self, lines: &[&str]) -> Vec<Option<IpAddr>> {
        let mut elements: Vec<&str> = Vec::new();
        for line in lines {
            match self {
                Self::XForwardedFor => elements.extend(line.split(',')),
                Self::Forwarded => elements.extend(outside_quotes(line, ',')),
            }
        }
        let first = elements.len().saturating_sub(LONGEST);
        let last = elements.iter().skip(first);
        let address = |element: &&str| match self {
            Self::XForwardedFor => node(element.trim()),
            Self::Forwarded => forwarded_for(element).as_deref().and_then(node),
        };
        last.map(address).collect()
    }
}

/// The value of `for` in one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<String> {
    let mut found = None;
    for pair in outside_quotes(element, ';') {
        let (name, value) = pair.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("for") {
            continue;
        }
        if found.is_some() {
            return None;
        }
        let value = value.trim();
        let quoted = value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        found = Some(quoted.unwrap_or(value).replace('\\', ""));
    }
    found
}

/// The parts of `text` between separators that stand in no quoted string.
fn outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(|c| {
        if is_escaped {
            is_escaped = false;
        } else if is_quoted && c == '\\' {
            is_escaped = true;
        } else if c == '"' {
            is_quoted = !is_quoted;
        } else {
            return c == separator && !is_quoted;
        }
        false
    })
    .collect()
}

/// An address as proxies write it: alone, in brackets, or with a port.
fn node(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let address = bare
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn proxies(header: ForwardedHeader) -> TrustedProxies {
        let proxies = TrustedProxies::new().with_network("10.0.0.0/8").unwrap();
        proxies.with_network("::1").unwrap().with_header(header)
    }

    fn client(header: ForwardedHeader, peer: &str, lines: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header.name(), HeaderValue::from_str(line).unwrap());
        }
        let found = proxies(header).client(Some(peer.parse().unwrap()), &headers);
        found.map(|address| address.to_string())
    }

    #[test]
    fn the_last_address_that_is_no_proxy_is_the_client() {
        for (peer, lines, expected) in [
            ("1.1.1.1", &["9.9.9.9"][..], Some("1.1.1.1")),
            ("10.0.0.1", &[], Some("10.0.0.1")),
            ("10.0.0.1", &["9.9.9.9"], Some("9.9.9.9")),
            ("::1", &["9.9.9.9"], Some("9.9.9.9")),
            ("::ffff:10.0.0.1", &["9.9.9.9"], Some("9.9.9.9")),
            ("10.0.0.1", &["6.6.6.6, 9.9.9.9, 10.2.3.4"], Some("9.9.9.9")),
            (
                "10.0.0.1",
                &["6.6.6.6", "9.9.9.9", "10.2.3.4"],
                Some("9.9.9.9"),
            ),
            ("10.0.0.1", &["10.0.0.3,10.0.0.2"], Some("10.0.0.3")),
            ("10.0.0.1", &["9.9.9.9:4711"], Some("9.9.9.9")),
            ("10.0.0.1", &["[2001:db8::7]:4711"], Some("2001:db8::7")),
            ("10.0.0.1", &["2001:db8::7"], Some("2001:db8::7")),
            ("10.0.0.1", &["::ffff:9.9.9.9"], Some("9.9.9.9")),
            // Junk that somebody wrote who is not trusted does no harm; junk of a proxy does.
            ("10.0.0.1", &["junk, 9.9.9.9"], Some("9.9.9.9")),
            ("10.0.0.1", &["9.9.9.9, junk"], None),
            ("10.0.0.1", &["9.9.9.9, junk, 10.0.0.2"], None),
            ("10.0.0.1", &["9.9.9.9,"], None),
            ("10.0.0.1", &["unknown"], None),
        ] {
            let found = client(ForwardedHeader::XForwardedFor, peer, lines);
            assert_eq!(found.as_deref(), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn forwarded_is_read_as_its_standard_says() {
        for (line, expected) in [
            ("for=9.9.9.9", Some("9.9.9.9")),
            (
                "For=\"9.9.9.9:80\";proto=https;by=10.0.0.1",
                Some("9.9.9.9"),
            ),
            (
                "for=6.6.6.6, for=9.9.9.9;by=\"a,b;c\", for=10.0.0.9",
                Some("9.9.9.9"),
            ),
            ("for=\"[2001:db8::7]:4711\"", Some("2001:db8::7")),
            ("for=_hidden", None),
            ("for=unknown", None),
            ("for=9.9.9.9;for=6.6.6.6", None),
            ("proto=https", None),
            ("for=\"9.9.9.9", None),
        ] {
            let found = client(ForwardedHeader::Forwarded, "10.0.0.1", &[line]);
            assert_eq!(found.as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in ["", "10.0.0.0/33", "proxy.example.com", "10.0.0", "*"] {
            assert!(TrustedProxies::new().with_network(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        /// Nothing that a client writes before what a proxy adds changes its address.
        #[test]
        fn what_clients_write_changes_nothing(junk in "[ -~]{0,80}") {
            let line = format!("{junk}, 9.9.9.9");
            let found = client(ForwardedHeader::XForwardedFor, "10.0.0.1", &[&line]);
            prop_assert_eq!(found.as_deref(), Some("9.9.9.9"));
            let found = client(ForwardedHeader::Forwarded, "10.0.0.1", &[&junk, "for=9.9.9.9"]);
            prop_assert_eq!(found.as_deref(), Some("9.9.9.9"));
        }
    }
}
