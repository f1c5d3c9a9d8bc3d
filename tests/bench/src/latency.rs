//! Latencies in buckets, so that a long run needs no more memory than a short one.

use std::time::Duration;

/// Counts by latency. A bucket is at most 1/128 of its value wide, and the maximum is exact.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Latencies {
    pub(crate) fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        let index = bucket_of(nanos);
        if index >= self.buckets.len() {
            self.buckets.resize(index + 1, 0);
        }
        if let Some(bucket) = self.buckets.get_mut(index) {
            *bucket += 1;
        }
        self.count += 1;
        self.max = self.max.max(nanos);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        if other.buckets.len() > self.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    pub(crate) const fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The latency that so many calls of a thousand stayed at or below; zero when there was none.
    pub(crate) fn per_mille(&self, share: u64) -> Duration {
        let rank = (self.count * share).div_ceil(1000).max(1);
        let mut seen = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            seen += bucket;
            if seen >= rank {
                return Duration::from_nanos(highest_in(index).min(self.max));
            }
        }
        self.max()
    }
}

/// Below 128 ns a bucket is one nanosecond; above, each doubling has 128 buckets.
fn bucket_of(nanos: u64) -> usize {
    let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(SUB_BITS + 1);
    let index = (u64::from(shift) << SUB_BITS) + (nanos >> shift);
    usize::try_from(index).unwrap_or(usize::MAX)
}

fn highest_in(index: usize) -> u64 {
    let index = u64::try_from(index).unwrap_or(u64::MAX);
    let shift = (index >> SUB_BITS).saturating_sub(1);
    let lowest = index - (shift << SUB_BITS);
    (u128::from(lowest + 1) << shift)
        .saturating_sub(1)
        .try_into()
        .unwrap_or(u64::MAX)
}

const SUB_BITS: u32 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_in_its_bucket_and_buckets_are_narrow() {
        for power in 0..64 {
            for offset in [0, 1, 3] {
                let nanos = (1_u64 << power).saturating_add(offset);
                let top = highest_in(bucket_of(nanos));
                assert!(top >= nanos, "{nanos} is above {top}");
                assert!(top - nanos <= nanos / 128, "{nanos} is far below {top}");
                assert_eq!(bucket_of(top), bucket_of(nanos));
            }
        }
    }

    #[test]
    fn buckets_are_in_order_without_gaps() {
        for index in 0..4096 {
            assert_eq!(bucket_of(highest_in(index)), index);
            assert_eq!(bucket_of(highest_in(index) + 1), index + 1);
        }
    }

    #[test]
    fn percentiles_of_one_to_a_hundred() {
        let mut low = Latencies::default();
        let mut all = Latencies::default();
        (1..=50).for_each(|nanos| low.record(Duration::from_nanos(nanos)));
        (51..=100).for_each(|nanos| all.record(Duration::from_nanos(nanos)));
        all.merge(&low);
        assert_eq!(all.count(), 100);
        assert_eq!(all.per_mille(500), Duration::from_nanos(50));
        assert_eq!(all.per_mille(990), Duration::from_nanos(99));
        assert_eq!(all.per_mille(1000), all.max());
        assert_eq!(Latencies::default().per_mille(500), Duration::ZERO);
    }
}
