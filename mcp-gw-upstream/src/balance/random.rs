//! Numbers that nobody needs to be unable to guess: for spreading load, not for secrets.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

/// A sequence of numbers (`SplitMix64`, Steele et al., OOPSLA 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// A sequence that begins anywhere.
    pub(crate) fn seeded() -> Self {
        Self(RandomState::new().hash_one(0))
    }

    /// The sequence that begins with `seed`.
    #[cfg(test)]
    pub(crate) const fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `end`, or 0 when that is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // The high half of the product is as even as the number itself for ends this small.
        let product = u128::from(self.next()) * u128::from(end);
        u64::try_from(product >> 64).unwrap_or(0)
    }
}

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A digest of `text` that is the same in every process (FNV-1a, finished with `SplitMix64`).
pub(crate) fn digest(text: &str) -> u64 {
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(fnv)
}

/// Two digests as one, the order of which matters.
pub(crate) const fn combine(a: u64, b: u64) -> u64 {
    mix(a ^ mix(b).rotate_left(32))
}
