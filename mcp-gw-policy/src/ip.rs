//! Address lists: CIDR blocks of IPv4 and IPv6, and the rules made of them.

use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::present;
use crate::fault::{FaultPath, PolicyFault, PolicyFaults, shown};

/// A set of addresses: sorted, disjoint ranges, so that a look-up is a binary search.
///
/// An IPv4 address and the same one mapped into IPv6 (`::ffff:a.b.c.d`, RFC 4291 §2.5.5.2) are one
/// address, in the blocks and in what is looked up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cidrs {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

/// Why a text is not a CIDR block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CidrError {
    #[error("`{0}` is not an address or a CIDR block such as 10.0.0.0/8 or 2001:db8::/32")]
    Malformed(String),
    #[error("`{text}` has bits set after its prefix; write `{network}`")]
    HostBits { text: String, network: String },
}

impl Cidrs {
    /// The union of these blocks; a bare address is a block of one.
    pub(crate) fn parse<'t>(blocks: impl IntoIterator<Item = &'t str>) -> Result<Self, CidrError> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for text in blocks {
            match block(text)? {
                Range::V4(range) => v4.push(range),
                Range::V6(range) => {
                    // The part of it that lies within the mapped addresses is IPv4 to us.
                    let (low, high) = (range.0.max(MAPPED.0), range.1.min(MAPPED.1));
                    if low <= high {
                        v4.push((low32(low), low32(high)));
                    }
                    v6.push(range);
                }
            }
        }
        Ok(Self {
            v4: union(v4),
            v6: union(v6),
        })
    }

    /// As [`Cidrs::parse`]; a fault says which of the blocks, what is wrong, and what to do.
    pub(crate) fn parse_list(blocks: &[String]) -> Result<Self, Vec<(usize, String, String)>> {
        let faults: Vec<_> = blocks
            .iter()
            .enumerate()
            .filter_map(|(at, text)| block(text).err().map(|error| (at, error)))
            .map(|(at, error)| match error {
                CidrError::Malformed(text) => (
                    at,
                    format!("{} is no block of addresses", shown(&text)),
                    "write an address, or a block such as `10.0.0.0/8` or `2001:db8::/32`"
                        .to_owned(),
                ),
                CidrError::HostBits { text, network } => (
                    at,
                    format!(
                        "{} is no block of addresses: bits are set after the prefix",
                        shown(&text)
                    ),
                    format!("write `{network}`"),
                ),
            })
            .collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self::parse(blocks.iter().map(String::as_str)).unwrap_or_default())
    }

    /// True when the address is in one of the blocks.
    pub(crate) fn contains(&self, addr: IpAddr) -> bool {
        match addr.to_canonical() {
            IpAddr::V4(addr) => within(&self.v4, u32::from(addr)),
            IpAddr::V6(addr) => within(&self.v6, u128::from(addr)),
        }
    }

    /// True when an address is in both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        meet(&self.v4, &other.v4) || meet(&self.v6, &other.v6)
    }

    /// True when `other` holds all that this one holds.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        let v4 = other
            .v4
            .iter()
            .map(|(low, high)| (*low, *high, low.checked_sub(1)));
        let v6 = other
            .v6
            .iter()
            .map(|(low, high)| (*low, *high, low.checked_sub(1)));
        hold(v4, &self.v4) && hold(v6, &self.v6)
    }

    /// True when no address is in it.
    pub(crate) const fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

/// `::ffff:0:0/96`.
const MAPPED: (u128, u128) = (0xffff_0000_0000, 0xffff_ffff_ffff);

fn low32(addr: u128) -> u32 {
    u32::try_from(addr & u128::from(u32::MAX)).unwrap_or(u32::MAX)
}

enum Range {
    V4((u32, u32)),
    V6((u128, u128)),
}

fn block(text: &str) -> Result<Range, CidrError> {
    let malformed = || CidrError::Malformed(text.to_owned());
    // Zeros in front are octal to some readers.
    let (address, prefix) = text.split_once('/').unwrap_or((text, "0"));
    if address.parse::<IpAddr>().is_err() || (prefix.len() > 1 && prefix.starts_with('0')) {
        return Err(malformed());
    }
    let net = match text.parse::<IpNet>() {
        Ok(net) => net,
        Err(_) => IpNet::from(text.parse::<IpAddr>().map_err(|_| malformed())?),
    };
    if net.trunc() != net {
        return Err(CidrError::HostBits {
            text: text.to_owned(),
            network: net.trunc().to_string(),
        });
    }
    Ok(match net {
        IpNet::V4(net) => Range::V4((u32::from(net.network()), u32::from(net.broadcast()))),
        IpNet::V6(net) => Range::V6((u128::from(net.network()), u128::from(net.broadcast()))),
    })
}

fn union<N: Ord + Copy>(mut ranges: Vec<(N, N)>) -> Box<[(N, N)]> {
    ranges.sort_unstable();
    let mut merged: Vec<(N, N)> = Vec::with_capacity(ranges.len());
    for (low, high) in ranges {
        match merged.last_mut() {
            Some(last) if low <= last.1 => last.1 = last.1.max(high),
            _ => merged.push((low, high)),
        }
    }
    merged.into()
}

fn meet<N: Ord + Copy>(one: &[(N, N)], other: &[(N, N)]) -> bool {
    let overlaps = |(low, high): &(N, N)| {
        let before = other.partition_point(|(start, _)| start <= high);
        let last = before.checked_sub(1).and_then(|at| other.get(at));
        last.is_some_and(|(_, end)| end >= low)
    };
    one.iter().any(overlaps)
}

/// True when ranges, each with what lies before it, hold all of the others.
fn hold<N: Ord + Copy>(ranges: impl Iterator<Item = (N, N, Option<N>)>, others: &[(N, N)]) -> bool {
    let mut joined: Vec<(N, N)> = Vec::new();
    for (low, high, before) in ranges {
        match joined.last_mut() {
            Some(last) if before == Some(last.1) => last.1 = high,
            _ => joined.push((low, high)),
        }
    }
    others.iter().all(|(low, high)| {
        joined
            .iter()
            .any(|(start, end)| start <= low && high <= end)
    })
}

fn within<N: Ord + Copy>(ranges: &[(N, N)], addr: N) -> bool {
    let after = ranges.partition_point(|(low, _)| *low <= addr);
    after
        .checked_sub(1)
        .and_then(|before| ranges.get(before))
        .is_some_and(|(_, high)| addr <= *high)
}

/// Which addresses may come at all, whoever they are.
///
/// Blocks are `10.0.0.0/8`, `2001:db8::/32`, or a bare address. The address is the client's after
/// trusted proxies; an IPv4 address mapped into IPv6 counts as IPv4.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct IpConfig {
    /// Only these may come; absent: all of them. With a list, a request without an address (stdio, in
    /// process) is refused.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub allow: Option<Vec<String>>,
    /// These may not come, also when they are in `allow`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

impl IpConfig {
    /// True when it refuses nobody.
    pub fn is_empty(&self) -> bool {
        self.allow.is_none() && self.deny.is_empty()
    }
}

/// Compiled [`IpConfig`]: for use before authentication, and by the policy engine.
///
/// ```
/// use mcp_gw_policy::{IpConfig, IpRules};
///
/// let mut config = IpConfig::default();
/// config.allow = Some(vec!["10.0.0.0/8".to_owned()]);
/// config.deny.push("10.6.6.6".to_owned());
/// let rules = IpRules::compile(&config)?;
/// assert!(rules.permits(Some("10.1.2.3".parse().unwrap())));
/// assert!(rules.permits(Some("::ffff:10.1.2.3".parse().unwrap())));
/// assert!(!rules.permits(Some("10.6.6.6".parse().unwrap())));
/// assert!(!rules.permits(None));
/// # Ok::<(), mcp_gw_policy::PolicyFaults>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IpRules {
    allow: Option<Cidrs>,
    deny: Cidrs,
}

impl IpRules {
    /// Compiles a configuration.
    ///
    /// # Errors
    /// Every block that is not one, or that has bits set after its prefix.
    pub fn compile(config: &IpConfig) -> Result<Self, PolicyFaults> {
        Self::compile_at(config, &FaultPath::root()).map_err(PolicyFaults::new)
    }

    /// Compiles a configuration that stands at `path`.
    pub(crate) fn compile_at(
        config: &IpConfig,
        path: &FaultPath,
    ) -> Result<Self, Vec<PolicyFault>> {
        let mut faults = Vec::new();
        let mut list = |key: &str, blocks: &[String]| {
            let path = path.key(key);
            Cidrs::parse_list(blocks).unwrap_or_else(|bad| {
                faults.extend(bad.into_iter().map(|(at, message, help)| {
                    PolicyFault::new(path.index(at), message).with_help(help)
                }));
                Cidrs::default()
            })
        };
        let allow = config.allow.as_deref().map(|blocks| list("allow", blocks));
        let deny = list("deny", &config.deny);
        if config.allow.as_ref().is_some_and(Vec::is_empty) {
            let fault = PolicyFault::new(path.key("allow"), "an empty list lets nobody come");
            faults.push(fault.with_help("name some blocks, or remove the key for all"));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self { allow, deny })
    }

    /// True when the address may come. One that is not known may come only when there is no list
    /// of those that may: over standard streams nobody has one. Where everybody has, it is
    /// [`IpRules::refusal`] that counts.
    pub fn permits(&self, addr: Option<IpAddr>) -> bool {
        match addr {
            Some(_) => self.refusal(addr).is_none(),
            None => self.allow.is_none(),
        }
    }

    /// Which list refuses a client over a network, whose address is this: `ip.deny`, `ip.allow`, or
    /// none. One that is not known, because a proxy tells of it what is none, may be any of those that
    /// may not come.
    pub fn refusal(&self, addr: Option<IpAddr>) -> Option<&'static str> {
        let is_denied = match addr {
            Some(addr) => self.deny.contains(addr),
            None => !self.deny.is_empty(),
        };
        let leaves_out = |allow: &Cidrs| addr.is_none_or(|addr| !allow.contains(addr));
        if is_denied {
            Some("ip.deny")
        } else if self.allow.as_ref().is_some_and(leaves_out) {
            Some("ip.allow")
        } else {
            None
        }
    }

    /// True when it refuses nobody.
    pub const fn is_empty(&self) -> bool {
        self.allow.is_none() && self.deny.is_empty()
    }

    /// Which list refuses all of these addresses.
    pub(crate) fn refuses_all(&self, from: &Cidrs) -> Option<&'static str> {
        if from.is_within(&self.deny) {
            Some("ip.deny")
        } else {
            let allow = self.allow.as_ref()?;
            (!allow.overlaps(from)).then_some("ip.allow")
        }
    }

    /// True when it refuses every address.
    pub(crate) fn is_shut(&self) -> bool {
        match &self.allow {
            Some(allow) => allow.is_within(&self.deny),
            None => Cidrs::parse(["::/0"]).is_ok_and(|all| all.is_within(&self.deny)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use ipnet::IpNet;
    use proptest::prelude::*;

    use super::{Cidrs, IpConfig, IpRules};

    fn cidrs(blocks: &[&str]) -> Cidrs {
        Cidrs::parse(blocks.iter().copied()).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn blocks_hold_their_edges_and_no_more() {
        let set = cidrs(&["10.0.0.0/8", "192.168.1.7", "2001:db8::/32"]);
        for inside in [
            "10.0.0.0",
            "10.255.255.255",
            "192.168.1.7",
            "2001:db8:ffff::1",
        ] {
            assert!(set.contains(ip(inside)), "{inside}");
        }
        for outside in [
            "9.255.255.255",
            "11.0.0.0",
            "192.168.1.8",
            "2001:db9::",
            "::",
        ] {
            assert!(!set.contains(ip(outside)), "{outside}");
        }
    }

    #[test]
    fn a_mapped_address_is_its_ipv4_address_on_both_sides() {
        assert!(cidrs(&["10.0.0.0/8"]).contains(ip("::ffff:10.1.1.1")));
        assert!(cidrs(&["::ffff:10.0.0.0/104"]).contains(ip("10.1.1.1")));
        assert!(!cidrs(&["::ffff:10.0.0.0/104"]).contains(ip("11.1.1.1")));
        assert!(cidrs(&["::/0"]).contains(ip("1.2.3.4")));
        assert!(!cidrs(&["0.0.0.0/0"]).contains(ip("2001:db8::1")));
    }

    #[test]
    fn what_is_no_block_is_refused_with_what_to_write() {
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0",
            "localhost",
            "10.0.0.0/-1",
            "010.0.0.0/8",
            "10.0.0.0/08",
            "10.0.0.01",
            "10.0.0.0/",
            "10.0.0.0/+8",
            " 10.0.0.1",
            "::/129",
        ] {
            let error = Cidrs::parse([bad]).unwrap_err().to_string();
            assert!(error.contains("not an address or a CIDR block"), "{error}");
        }
        let error = Cidrs::parse(["10.1.0.0/8"]).unwrap_err().to_string();
        assert_eq!(
            error,
            "`10.1.0.0/8` has bits set after its prefix; write `10.0.0.0/8`"
        );
    }

    #[test]
    fn all_bad_blocks_of_a_list_are_reported_together() {
        let config = IpConfig {
            allow: Some(vec!["10.0.0.0/8".into(), "x".into()]),
            deny: vec!["y".into()],
        };
        let faults = IpRules::compile(&config).unwrap_err();
        let paths: Vec<_> = faults
            .faults()
            .iter()
            .map(|fault| fault.path.to_string())
            .collect();
        assert_eq!(paths, ["allow[1]", "deny[0]"]);
    }

    #[test]
    fn deny_wins_and_an_unknown_address_is_not_on_an_allow_list() {
        let config = |allow: &[&str], deny: &[&str]| {
            let own = |list: &[&str]| -> Vec<String> {
                list.iter().map(|&text| text.to_owned()).collect()
            };
            IpRules::compile(&IpConfig {
                allow: (!allow.is_empty()).then(|| own(allow)),
                deny: own(deny),
            })
            .unwrap()
        };
        let both = config(&["10.0.0.0/8"], &["10.6.0.0/16"]);
        assert_eq!(both.refusal(Some(ip("10.6.1.1"))), Some("ip.deny"));
        assert_eq!(both.refusal(Some(ip("11.0.0.1"))), Some("ip.allow"));
        assert_eq!(both.refusal(None), Some("ip.deny"));
        assert_eq!(both.refusal(Some(ip("10.7.1.1"))), None);
        let deny = config(&[], &["10.0.0.0/8"]);
        assert_eq!(deny.refusal(None), Some("ip.deny"));
        assert!(deny.permits(None) && !both.permits(None));
        let allow = config(&["10.0.0.0/8"], &[]);
        assert_eq!(allow.refusal(None), Some("ip.allow"));
        assert_eq!(config(&[], &[]).refusal(None), None);
        assert!(config(&[], &[]).is_empty());
    }

    #[test]
    fn lists_that_let_nobody_come_are_told_apart() {
        for (allow, deny, is_shut) in [
            (None, &["::/0"][..], true),
            (None, &["0.0.0.0/0"], false),
            (None, &["::/1", "8000::/1"], true),
            (Some(&["0.0.0.0/0"][..]), &["::/0"], true),
            (Some(&["10.0.0.0/8"]), &["10.0.0.0/9", "10.128.0.0/9"], true),
            (Some(&["10.0.0.0/8", "::1"]), &["10.0.0.0/8"], false),
            (Some(&["10.0.0.0/8"]), &["10.0.0.0/9"], false),
            (Some(&["10.0.0.0/8"]), &[], false),
        ] {
            let own = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
            let rules = IpRules::compile(&IpConfig {
                allow: allow.map(own),
                deny: own(deny),
            });
            assert_eq!(rules.unwrap().is_shut(), is_shut, "{allow:?} {deny:?}");
        }
        assert!(cidrs(&["10.0.0.0/8"]).overlaps(&cidrs(&["9.0.0.0/8", "10.1.0.0/16"])));
        assert!(!cidrs(&["10.0.0.0/8", "::1"]).overlaps(&cidrs(&["9.0.0.0/8", "::2"])));
    }

    proptest! {
        #[test]
        fn a_set_holds_what_one_of_its_blocks_holds(
            blocks in prop::collection::vec((any::<u128>(), 0_u8..=128, any::<bool>()), 0..8),
            addrs in prop::collection::vec(any::<u128>(), 1..8),
        ) {
            let nets: Vec<IpNet> = blocks
                .iter()
                .map(|(bits, prefix, v4)| {
                    let net = if *v4 {
                        let addr = IpAddr::from(super::low32(*bits).to_be_bytes());
                        IpNet::new(addr, prefix % 33)
                    } else {
                        IpNet::new(IpAddr::from(Ipv6Addr::from(*bits)), *prefix)
                    };
                    net.unwrap().trunc()
                })
                .collect();
            let texts: Vec<String> = nets.iter().map(ToString::to_string).collect();
            let set = Cidrs::parse(texts.iter().map(String::as_str)).unwrap();
            let near = nets.iter().flat_map(|net| [net.network(), net.broadcast()]);
            let random = addrs.iter().map(|bits| IpAddr::from(Ipv6Addr::from(*bits)));
            for addr in near.chain(random) {
                let addr = addr.to_canonical();
                let mapped = match addr {
                    IpAddr::V4(v4) => IpAddr::V6(v4.to_ipv6_mapped()),
                    v6 @ IpAddr::V6(_) => v6,
                };
                let expected = nets.iter().any(|net| net.contains(&addr) || net.contains(&mapped));
                prop_assert_eq!(set.contains(addr), expected, "{}", addr);
                prop_assert_eq!(set.contains(mapped), expected, "{}", mapped);
            }
        }
    }
}
