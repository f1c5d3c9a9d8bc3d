//! How values are spread.

use schemars::JsonSchema;
use serde::Serialize;

/// How some times are spread, in milliseconds with three decimals. Percentiles are the least value that as many per
/// cent of all are not above.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct Spread {
    /// How many there are.
    pub count: usize,
    /// The least.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// Half of them are not above.
    pub p50: f64,
    /// 90 % are not above.
    pub p90: f64,
    /// 95 % are not above.
    pub p95: f64,
    /// 99 % are not above.
    pub p99: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of values in any order; those that are no numbers are left out. `None` of none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let at = |percent: usize| {
            // The nearest rank: of 10 values the 9th is the 90th percentile.
            let rank = (values.len() * percent).div_ceil(100).max(1);
            rounded(values.get(rank - 1).copied().unwrap_or(max))
        };
        Some(Self {
            count: values.len(),
            min: rounded(min),
            mean: rounded(mean(&values)),
            p50: at(50),
            p90: at(90),
            p95: at(95),
            p99: at(99),
            max: rounded(max),
        })
    }
}

fn mean(values: &[f64]) -> f64 {
    let count = number(values.len());
    values.iter().map(|value| value / count).sum()
}

/// With three decimals.
pub(crate) fn rounded(value: f64) -> f64 {
    let thousandfold = (value * 1000.0).round() / 1000.0;
    if thousandfold.is_finite() {
        thousandfold
    } else {
        value
    }
}

/// A part in per cent, with one decimal; 0 of nothing.
pub(crate) fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 {
        (part / whole * 1000.0).round() / 10.0
    } else {
        0.0
    }
}

/// A count as a number to reckon with.
pub(crate) fn number(count: usize) -> f64 {
    // Counts of rows and spans: far below where this is not exact.
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentiles_are_values_that_there_are() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([f64::NAN]), None);
        let ten = Spread::of((1..=10).rev().map(f64::from)).unwrap();
        assert_eq!(
            (ten.min, ten.p50, ten.p90, ten.p99, ten.max),
            (1.0, 5.0, 9.0, 10.0, 10.0)
        );
        assert_eq!((ten.count, ten.mean), (10, 5.5));
        let one = Spread::of([0.12345]).unwrap();
        assert_eq!((one.min, one.p50, one.max), (0.123, 0.123, 0.123));
        assert_eq!(percent(1.0, 3.0).to_string(), "33.3");
        assert_eq!(percent(1.0, 0.0).to_string(), "0");
    }

    proptest! {
        #[test]
        fn they_are_in_order(values in proptest::collection::vec(proptest::num::f64::ANY, 0..40)) {
            let real = values.iter().filter(|v| v.is_finite()).count();
            match Spread::of(values) {
                None => prop_assert_eq!(real, 0),
                Some(s) => {
                    prop_assert_eq!(s.count, real);
                    prop_assert!(s.min <= s.p50 && s.p50 <= s.p90 && s.p90 <= s.p95 && s.p95 <= s.p99 && s.p99 <= s.max);
                }
            }
        }
    }
}
