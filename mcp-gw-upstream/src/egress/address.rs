//! Which addresses may be connected to (E-5, E-6).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::egress::refusal::{Refusal, RefusalCode};
use crate::net::connect::{Admit, BoxError};

/// What an API may be reached at, beyond addresses of the public internet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressRules {
    /// Also private and other special addresses; not those of [`is_metadata`].
    pub allow_private: bool,
    /// These, whatever they are.
    pub listed: Vec<IpAddr>,
}

impl AddressRules {
    /// Only addresses of the public internet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether private addresses are allowed.
    #[must_use]
    pub const fn with_private(mut self, allow: bool) -> Self {
        self.allow_private = allow;
        self
    }

    /// Allows this address.
    #[must_use]
    pub fn with_address(mut self, address: IpAddr) -> Self {
        self.listed.push(address);
        self
    }

    fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if self.listed.iter().any(|one| one.to_canonical() == address) {
            return true;
        }
        !is_metadata(address) && (self.allow_private || is_public(address))
    }
}

/// Judges all addresses that a name has. One bad address refuses all of them.
///
/// # Errors
/// `egress_blocked` when one of them is not allowed, `upstream_unreachable` when there is none. Neither
/// says which address it is.
pub fn check_addresses(addresses: &[IpAddr], rules: &AddressRules) -> Result<(), Refusal> {
    if addresses.is_empty() {
        return Err(Refusal::new(
            RefusalCode::UpstreamUnreachable,
            "E-5",
            "the name of this API has no address",
        ));
    }
    if addresses.iter().all(|address| rules.allows(*address)) {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalCode::EgressBlocked,
        "E-6",
        "the name of this API leads to an address that may not be connected to",
    ))
}

impl Admit for AddressRules {
    fn admit(&self, addresses: &[IpAddr]) -> Result<(), BoxError> {
        Ok(check_addresses(addresses, self)?)
    }
}

/// True for addresses at which machines are told their secrets: the metadata services of clouds.
pub fn is_metadata(address: IpAddr) -> bool {
    /// EC2 and most others; containers and pods of AWS; Alibaba; Oracle, once; the agent's of Azure,
    /// which is a public address.
    const V4: [Ipv4Addr; 6] = [
        Ipv4Addr::new(169, 254, 169, 254),
        Ipv4Addr::new(169, 254, 170, 2),
        Ipv4Addr::new(169, 254, 170, 23),
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(192, 0, 0, 192),
        Ipv4Addr::new(168, 63, 129, 16),
    ];
    /// EC2, its pods, Google.
    const V6: [Ipv6Addr; 3] = [
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    ];
    match address.to_canonical() {
        IpAddr::V4(v4) => V4.contains(&v4),
        IpAddr::V6(v6) => {
            V6.contains(&v6) || embedded(v6).is_some_and(|v4| is_metadata(IpAddr::V4(v4)))
        }
    }
}

/// True for addresses that are of the public internet, as far as the registries of special addresses
/// say.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match embedded(v6) {
            Some(v4) => is_public_v4(v4),
            None => is_public_v6(v6),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

/// Inside of `2000::/3`, without `2001::/23`, `2001:db8::/32` and `3fff::/20`.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    a & 0xe000 == 0x2000
        && !(a == 0x2001 && b < 0x200)
        && !(a == 0x2001 && b == 0xdb8)
        && !(a == 0x3fff && b < 0x1000)
}

/// The address behind one that only wraps it: `::ffff:0:0/96`, `::/96`, `64:ff9b::/96`, `2002::/16`.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let ([0, 0, 0, 0, 0, 0xffff | 0, high, low]
    | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
    | [0x2002, high, low, ..]) = address.segments()
    else {
        return None;
    };
    Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// First and last of each range that is blocked, and what stands before and behind it.
    const BLOCKED: &str = "
        0.0.0.0 0.255.255.255  10.0.0.0 10.255.255.255  100.64.0.0 100.127.255.255
        127.0.0.0 127.0.0.1 127.255.255.255  169.254.0.0 169.254.169.254 169.254.255.255
        172.16.0.0 172.31.255.255  192.0.0.0 192.0.0.255  192.0.2.0 192.0.2.255
        192.88.99.0 192.88.99.255  192.168.0.0 192.168.255.255  198.18.0.0 198.19.255.255
        198.51.100.0 198.51.100.255  203.0.113.0 203.0.113.255  224.0.0.0 239.255.255.255
        240.0.0.0 255.255.255.255  168.63.129.16
        :: ::1 fc00:: fdff:ffff:: fe80:: fe80::1 febf:: fec0:: ff00:: ff02::1 100::1 100:0:0:1::
        2001:: 2001:0:1:: 2001:1ff:: 2001:db8:: 2001:db8:ffff:: 3fff:: 3fff:fff::
        4000:: 1fff:: 5f00:: fd00:ec2::254 fd00:ec2::23 fd20:ce::254
        ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1 ::10.1.2.3
        64:ff9b::7f00:1 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254 64:ff9b:1:: 64:ff9b:1::808:808
        2002:7f00:1:: 2002:a00:1:: 2002:a9fe:a9fe:: 2002:c0a8:101::1";

    const PUBLIC: &str = "
        1.0.0.0 1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255
        128.0.0.0 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0
        192.88.98.255 192.88.100.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0
        198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255
        2000:: 2001:200:: 2001:4860:4860::8888 2001:db7:: 2001:db9:: 2606:4700::1111 3ffe:: 3fff:1000::
        ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808:: ::8.8.8.8";

    #[test]
    fn only_public_addresses_are_allowed() {
        let rules = AddressRules::new();
        for text in BLOCKED.split_whitespace() {
            let refusal = check_addresses(&[ip(text)], &rules).expect_err(text);
            assert_eq!(refusal.code, RefusalCode::EgressBlocked, "{text}");
            assert!(!refusal.message.contains(text), "{refusal}");
        }
        for text in PUBLIC.split_whitespace() {
            check_addresses(&[ip(text)], &rules).expect(text);
        }
    }

    #[test]
    fn private_addresses_are_allowed_together_and_metadata_only_one_by_one() {
        let private = AddressRules::new().with_private(true);
        for text in ["127.0.0.1", "10.1.2.3", "::1", "fd12::1", "192.168.0.1"] {
            check_addresses(&[ip(text)], &private).expect(text);
        }
        let metadata = [
            "169.254.169.254",
            "fd00:ec2::254",
            "100.100.100.200",
            "168.63.129.16",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "::169.254.169.254",
            "::ffff:100.100.100.200",
        ];
        for text in metadata {
            check_addresses(&[ip(text)], &private).expect_err(text);
            let listed = AddressRules::new().with_address(ip(text));
            check_addresses(&[ip(text)], &listed).expect(text);
            check_addresses(&[ip("10.0.0.1")], &listed).expect_err(text);
        }
        let listed = AddressRules::new().with_address(ip("10.0.0.1"));
        check_addresses(&[ip("::ffff:10.0.0.1")], &listed).unwrap();
    }

    #[test]
    fn one_bad_address_refuses_all_and_none_is_not_enough() {
        let rules = AddressRules::new();
        let mixed = [ip("8.8.8.8"), ip("1.1.1.1"), ip("10.0.0.1")];
        assert!(check_addresses(&mixed, &rules).is_err());
        assert!(check_addresses(&mixed[..2], &rules).is_ok());
        let none = check_addresses(&[], &rules.with_private(true)).unwrap_err();
        assert_eq!(none.code, RefusalCode::UpstreamUnreachable);
    }
}
