//! Where published keys are fetched from, under the guard on everything that goes out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use mcp_gw_upstream::egress::{AddressRules, BaseRules, FixedUrl, check_addresses};
use url::{Host, Url};

use super::JwksConfig;

/// What is wrong with an address of keys, and what to do. The address is not repeated: it may hold a
/// secret.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AddressFault {
    pub(crate) message: String,
    pub(crate) help: &'static str,
}

impl AddressFault {
    fn new(message: impl Into<String>, help: &'static str) -> Self {
        Self {
            message: message.into(),
            help,
        }
    }
}

const USUAL: &str = "write it as `https://login.example.com/.well-known/jwks.json`";

/// The address at `url` with what may be connected to for it: the public internet, what `config` allows,
/// and this machine where the address names it.
pub(crate) fn keys_at(config: &JwksConfig, url: &str) -> Result<FixedUrl, AddressFault> {
    let parsed = Url::parse(url).map_err(|_| AddressFault::new("this is not a URL", USUAL))?;
    let has_user = !parsed.username().is_empty() || parsed.password().is_some();
    if has_user || parsed.fragment().is_some() {
        let message = "a user, a password or a fragment cannot be sent there";
        return Err(AddressFault::new(message, USUAL));
    }
    let host = parsed.host();
    let written = match host {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        _ => None,
    };
    let is_localhost = matches!(host, Some(Host::Domain("localhost")));
    let is_here = is_localhost || written.is_some_and(|address| address.is_loopback());
    match parsed.scheme() {
        "https" => {}
        "http" if is_here => {}
        "http" => {
            return Err(AddressFault::new(
                "keys that are fetched without TLS can be anybody's",
                "write `https://`; `http://` is for this machine alone",
            ));
        }
        _ => {
            return Err(AddressFault::new(
                "keys are fetched by `https` alone",
                USUAL,
            ));
        }
    }
    let mut rules = AddressRules::new().with_private(config.allow_private);
    let listed = config.allow_addresses.iter();
    let listed = listed.filter_map(|text| text.parse::<IpAddr>().ok());
    let here = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let here = here.into_iter().filter(|_| is_localhost);
    let here = here.chain(written.filter(IpAddr::is_loopback));
    for address in listed.chain(here) {
        rules = rules.with_address(address);
    }
    if written.is_some_and(|address| check_addresses(&[address], &rules).is_err()) {
        return Err(AddressFault::new(
            "the address is not one of the public internet",
            "if the login server is there, add `allow_private: true` for a private network, or the \
             address to `allow_addresses`",
        ));
    }
    let base = BaseRules::new().with_http(is_here).with_ip(true);
    let fixed = FixedUrl::parse(url, base);
    let fixed = fixed.map_err(|error| {
        AddressFault::new(format!("this address cannot be fetched: {error}"), USUAL)
    })?;
    Ok(fixed.with_addresses(rules))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, allow_private: bool, allowed: &[&str]) -> Result<FixedUrl, AddressFault> {
        let config = JwksConfig {
            allow_private,
            allow_addresses: allowed.iter().map(ToString::to_string).collect(),
            ..JwksConfig::default()
        };
        keys_at(&config, url)
    }

    #[test]
    fn addresses_beyond_the_public_internet_have_to_be_named() {
        for url in [
            "https://169.254.169.254/j",
            "https://0xa9fea9fe/j",
            "https://[::ffff:169.254.169.254]/j",
            "https://10.0.0.7/j",
            "https://[fd00::7]/j",
            "https://0.0.0.0/j",
        ] {
            let fault = read(url, false, &[]).unwrap_err();
            assert!(fault.help.contains("allow_private"), "{url}: {fault:?}");
        }
        assert!(read("https://10.0.0.7/j", true, &[]).is_ok());
        assert!(read("https://[fd00::7]/j", false, &["fd00::7"]).is_ok());
        assert!(read("https://169.254.169.254/j", true, &[]).is_err());
        assert!(read("https://169.254.169.254/j", false, &["169.254.169.254"]).is_ok());
        for url in [
            "https://login.example.com/keys?p=b2c_1&x=%20",
            "https://8.8.8.8/j",
            "https://127.0.0.1:8443/j",
            "http://127.0.0.1:8080/j",
            "http://[::1]:8080/j",
            "http://localhost:8080/j",
        ] {
            assert!(read(url, false, &[]).is_ok(), "{url}");
        }
    }

    #[test]
    fn what_cannot_be_requested_is_refused_without_repeating_it() {
        for url in [
            "x",
            "file:///etc/passwd",
            "http://login.example/j",
            "https://u:secret@login.example/j",
            "https://login.example/j#secret",
            "https://login.example/a/%2e%2e/secret",
            "https://login.example\\secret/j",
        ] {
            let fault = read(url, true, &[]).unwrap_err();
            assert!(!fault.message.contains("secret"), "{fault:?}");
        }
    }
}
