//! Whose count it is, as a hash.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;

use mcp_gw_core::Caller;
use sha2::{Digest, Sha256};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::algorithm::{Algorithm, Limit, Period};
use crate::store::Key;

/// Makes the first part of keys.
///
/// Keys of one process are made with secrets of that process (`SipHash` with 128 bits of key and of
/// result), so that nobody can choose an id that shares a count with another's, and a million keys
/// are all different but for a chance of one in 2^88. Keys that others must make too, or the same
/// process after a restart, are made by a hash that is strong without a secret.
#[derive(Clone)]
pub(crate) struct Seeds(SipHasher13);

impl Default for Seeds {
    fn default() -> Self {
        // What they make of nothing is as random as their secrets.
        let secret = || RandomState::new().build_hasher().finish();
        Self(SipHasher13::new_with_keys(secret(), secret()))
    }
}

/// What the keys of a limit begin with: tenant, name, what it counts by, how and how long.
///
/// The quota is not in it, so that a change of the quota keeps the counts.
#[derive(Clone)]
pub(crate) enum Prefix {
    Local(SipHasher13),
    Stable(Sha256),
}

impl Seeds {
    pub(crate) fn prefix(&self, tenant: &str, scope: &str, limit: &Limit, shared: bool) -> Prefix {
        let prefix = match limit.algorithm() {
            // They outlive the process.
            Algorithm::Calendar(_) => Prefix::Stable(Sha256::new()),
            _ if shared => Prefix::Stable(Sha256::new()),
            _ => Prefix::Local(self.0),
        };
        let algorithm = match limit.algorithm() {
            Algorithm::SlidingWindow => "window",
            Algorithm::Gcra { .. } => "bucket",
            Algorithm::Calendar(Period::Day) => "day",
            Algorithm::Calendar(Period::Month) => "month",
        };
        let prefix = prefix
            .with(tenant)
            .with(limit.name())
            .with(scope)
            .with(algorithm);
        prefix.with(&limit.window_micros().to_string())
    }

    /// Keys of what is counted here and nowhere else.
    pub(crate) fn local(&self, name: &str, scope: &str) -> Prefix {
        Prefix::Local(self.0).with(name).with(scope)
    }
}

impl Prefix {
    /// With one more text. Its length comes first, so that no two lists of texts are the same.
    #[must_use]
    pub(crate) fn with(mut self, text: &str) -> Self {
        match &mut self {
            Self::Local(hash) => {
                hash.write_usize(text.len());
                hash.write(text.as_bytes());
            }
            Self::Stable(hash) => {
                hash.update((text.len() as u64).to_le_bytes());
                hash.update(text.as_bytes());
            }
        }
        self
    }

    /// With who somebody is, for the gateway: kind, issuer and id.
    #[must_use]
    pub(crate) fn with_caller(self, caller: &Caller) -> Self {
        self.with(caller.kind.as_str())
            .with(&caller.issuer)
            .with(&caller.id)
    }

    /// With the network that an address is in: for IPv6 its first 64 bits, since whoever has one
    /// address has them all.
    #[must_use]
    pub(crate) fn with_network(self, addr: IpAddr) -> Self {
        let text = match addr.to_canonical() {
            IpAddr::V4(addr) => addr.to_string(),
            IpAddr::V6(addr) => {
                let [a, b, c, d, ..] = addr.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}")
            }
        };
        self.with(&text)
    }

    pub(crate) fn key(self) -> Key {
        match self {
            Self::Local(hash) => Key::from_bytes(hash.finish128().as_bytes()),
            Self::Stable(hash) => {
                let mut bytes = [0; 16];
                for (byte, hashed) in bytes.iter_mut().zip(hash.finalize()) {
                    *byte = hashed;
                }
                Key::from_bytes(bytes)
            }
        }
    }
}

/// Without the secrets.
impl std::fmt::Debug for Seeds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seeds").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Local(_) => "Local",
            Self::Stable(_) => "Stable",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mcp_gw_core::CallerKind;

    use super::*;

    fn limit(name: &str, seconds: u64, quota: u64) -> Limit {
        let window = Duration::from_secs(seconds);
        Limit::new(name, quota, window, Algorithm::SlidingWindow).unwrap()
    }

    #[test]
    fn keys_differ_where_counts_differ_and_nowhere_else() {
        let seeds = Seeds::default();
        for shared in [false, true] {
            let prefix = |tenant, name, scope, seconds, quota| {
                seeds.prefix(tenant, scope, &limit(name, seconds, quota), shared)
            };
            let same = prefix("t", "l", "caller", 60, 1).with("id").key();
            assert_eq!(
                same,
                prefix("t", "l", "caller", 60, 2).with("id").key(),
                "the quota"
            );
            for other in [
                prefix("u", "l", "caller", 60, 1).with("id"),
                prefix("t", "m", "caller", 60, 1).with("id"),
                prefix("t", "l", "tool", 60, 1).with("id"),
                prefix("t", "l", "caller", 61, 1).with("id"),
                prefix("t", "l", "caller", 60, 1).with("i").with("d"),
                prefix("t", "l", "caller", 60, 1).with("id").with(""),
                prefix("t", "l", "caller", 60, 1).with(&"id".repeat(100_000)),
            ] {
                assert_ne!(same, other.key());
            }
        }
    }

    #[test]
    fn only_shared_keys_are_the_same_in_another_process() {
        let key = |shared| {
            Seeds::default()
                .prefix("", "s", &limit("l", 60, 1), shared)
                .key()
        };
        assert_eq!(key(true), key(true));
        assert_ne!(key(false), key(false));
        let day = Algorithm::Calendar(Period::Day);
        let day = Limit::new("l", 1, Duration::ZERO, day).unwrap();
        let key = || Seeds::default().prefix("", "s", &day, false).key();
        assert_eq!(key(), key(), "a quota outlives its process");
    }

    #[test]
    fn callers_are_told_apart_as_the_gateway_does() {
        let seeds = Seeds::default();
        let key = |caller: &Caller| seeds.local("l", "s").with_caller(caller).key();
        let ann = Caller::new(CallerKind::User, "ann");
        assert_eq!(key(&ann), key(&ann.clone().with_roles(["admin"])));
        for other in [
            Caller::new(CallerKind::ApiKey, "ann"),
            Caller::new(CallerKind::User, "bob"),
            ann.clone().with_issuer("https://issuer.example"),
        ] {
            assert_ne!(key(&ann), key(&other));
        }
    }

    #[test]
    fn an_address_stands_for_what_one_client_has() {
        let seeds = Seeds::default();
        let key = |addr: &str| {
            seeds
                .local("l", "s")
                .with_network(addr.parse().unwrap())
                .key()
        };
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:0:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
    }
}
