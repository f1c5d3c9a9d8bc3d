//! What a limit is: its numbers, checked once, and what the algorithms derive from them.
//!
//! All maths of this crate is in whole microseconds and whole units. Every number that occurs, and
//! every product on the way to one, is below 2^53, so that a store which computes in doubles (Lua
//! inside Redis) gets the same result to the last digit.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

/// The longest name of a limit, in bytes.
pub const MAX_NAME: usize = 64;

/// The most units that a limit may have.
pub const MAX_QUOTA: u64 = 1_000_000_000;

/// The shortest window: a millisecond.
pub const MIN_WINDOW: Duration = Duration::from_millis(1);

/// The longest window: 366 days.
pub const MAX_WINDOW: Duration = Duration::from_secs(366 * 86_400);

/// Up to this quota a sliding window keeps the time of each unit.
pub const MAX_EXACT: u64 = 256;

/// Into so many parts a sliding window with a greater quota is divided.
pub const PARTS: u64 = 60;

/// 2^52: what products in the maths stay below.
const EXACT: u128 = 1 << 52;

/// How a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// Never more than the quota in any window, wherever the window begins.
    ///
    /// Up to a quota of [`MAX_EXACT`] the time of each unit is kept, above it the units in each of
    /// [`PARTS`] parts of the window: then units count for up to one part longer than the window.
    SlidingWindow,
    /// A bucket of `burst` units that fills evenly, `quota` in each window (generic cell rate
    /// algorithm). At most `quota + burst - 1` units are admitted in any window.
    #[non_exhaustive]
    Gcra {
        /// How many units may come at once.
        burst: NonZeroU64,
    },
    /// A quota that begins anew with each period of the calendar, in UTC. Twice the quota may be
    /// used around the turn of a period.
    Calendar(Period),
}

impl Algorithm {
    /// The generic cell rate algorithm with room for `burst` units at once.
    pub const fn gcra(burst: NonZeroU64) -> Self {
        Self::Gcra { burst }
    }
}

/// A period of the calendar, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the first of the next.
    Month,
}

impl Period {
    /// The greatest length of the period.
    pub const fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::Day => 86_400,
            Self::Month => 31 * 86_400,
        })
    }
}

/// Numbers that make no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// The name is none that could stand in a header: [`MAX_NAME`] letters, digits, `_`, `-` and `.`
    /// at most, of ASCII.
    #[error(
        "a limit needs a name of 1 to {MAX_NAME} letters, digits, `_`, `-` and `.`; it is shown to clients"
    )]
    Name,
    /// The quota is zero.
    #[error("a quota of 0 would refuse everything; deny it in the policy instead")]
    ZeroQuota,
    /// The quota is above [`MAX_QUOTA`].
    #[error("the quota is above {MAX_QUOTA}; leave the limit out if none is meant")]
    GreatQuota,
    /// The window is below [`MIN_WINDOW`].
    #[error("the window is shorter than a millisecond; write it with its unit, such as `60s`")]
    ShortWindow,
    /// The window is above [`MAX_WINDOW`].
    #[error("the window is longer than 366 days; use a quota by month for the long run")]
    LongWindow,
    /// The burst would take lifetimes to fill, or it and the quota are too great together to be counted
    /// exactly.
    #[error("the burst is too great for this quota and window; make it smaller")]
    GreatBurst,
}

/// A limit whose numbers have been checked.
///
/// ```
/// use std::time::Duration;
/// use mcp_gw_ratelimit::{Algorithm, Limit, LimitError};
///
/// let minute = Duration::from_secs(60);
/// let limit = Limit::new("caller", 100, minute, Algorithm::SlidingWindow)?;
/// assert_eq!(limit.quota(), 100);
/// assert_eq!(
///     Limit::new("caller", 0, minute, Algorithm::SlidingWindow).unwrap_err(),
///     LimitError::ZeroQuota
/// );
/// # Ok::<_, LimitError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    name: Arc<str>,
    quota: u64,
    /// In microseconds.
    window: u64,
    algorithm: Algorithm,
    penalty: bool,
    shape: Shape,
}

/// What the maths of a limit needs beside its quota; all times in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// Times are counted in granules: a unit used at `t` is marked with `t / granule`, and counts
    /// as long as the granule of now is less than `span` after that.
    #[non_exhaustive]
    Window {
        /// Length of a granule. A power of two if `exact`.
        granule: u64,
        /// How many granules a unit counts.
        span: u64,
        /// True when the time of each unit is kept, false for the parts of a window.
        exact: bool,
    },
    /// A bucket.
    #[non_exhaustive]
    Bucket {
        /// How many units fit in.
        burst: u64,
        /// How long one unit takes to come back: whole microseconds, …
        step: u64,
        /// … and this many parts of a microsecond, each the quota's part of one.
        step_part: u64,
        /// How long the whole bucket takes: microseconds, …
        depth: u64,
        /// … and parts.
        depth_part: u64,
    },
    /// The calendar.
    Calendar(Period),
}

impl Limit {
    /// A limit of `quota` units per `window`. Of a calendar quota the window is the period's
    /// greatest length, whatever `window` says. The name is for headers and metrics: 1 to [`MAX_NAME`]
    /// letters, digits, `_`, `-` and `.`.
    ///
    /// # Errors
    /// When the name cannot be shown, or the numbers are zero, too great, or do not go together.
    pub fn new(
        name: impl Into<Arc<str>>,
        quota: u64,
        window: Duration,
        algorithm: Algorithm,
    ) -> Result<Self, LimitError> {
        let name = name.into();
        if !is_name(&name) {
            return Err(LimitError::Name);
        }
        if quota == 0 {
            return Err(LimitError::ZeroQuota);
        }
        if quota > MAX_QUOTA {
            return Err(LimitError::GreatQuota);
        }
        let window = match algorithm {
            Algorithm::Calendar(period) => period.length(),
            Algorithm::SlidingWindow | Algorithm::Gcra { .. } => window,
        };
        if window < MIN_WINDOW {
            return Err(LimitError::ShortWindow);
        }
        if window > MAX_WINDOW {
            return Err(LimitError::LongWindow);
        }
        let window = micros(window);
        let shape = match algorithm {
            Algorithm::SlidingWindow => Shape::window(quota, window),
            Algorithm::Gcra { burst } => bucket_shape(quota, window, burst.get())?,
            Algorithm::Calendar(period) => Shape::Calendar(period),
        };
        Ok(Self {
            name,
            quota,
            window,
            algorithm,
            penalty: false,
            shape,
        })
    }

    /// Counts refused calls too: who does not stop calling is not admitted again.
    #[must_use]
    pub fn with_penalty(mut self, penalty: bool) -> Self {
        self.penalty = penalty;
        self
    }

    /// The name, for people, headers and metrics.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Units per window, at least 1.
    pub const fn quota(&self) -> u64 {
        self.quota
    }

    /// The window.
    pub const fn window(&self) -> Duration {
        Duration::from_micros(self.window)
    }

    pub(crate) const fn window_micros(&self) -> u64 {
        self.window
    }

    /// How it counts.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// True when refused calls are counted too.
    pub const fn penalty(&self) -> bool {
        self.penalty
    }

    /// What the maths needs.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// The most units that fit in at once: the quota, or a bucket's burst. What costs more is never
    /// admitted.
    pub const fn capacity(&self) -> u64 {
        match self.shape {
            Shape::Bucket { burst, .. } => burst,
            Shape::Window { .. } | Shape::Calendar(_) => self.quota,
        }
    }
}

/// True for what can be the name of a limit.
pub(crate) fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(is_plain)
}

/// Whole microseconds of a duration that is known to be short.
pub(crate) fn micros(duration: Duration) -> u64 {
    let whole = duration.as_secs().saturating_mul(1_000_000);
    whole.saturating_add(u64::from(duration.subsec_micros()))
}

impl Shape {
    /// Granule and span of a window that keeps a mark for each unit.
    ///
    /// Marks are kept in 32 bits, and must tell apart what is up to two windows old: so a window has
    /// about 2^30 granules at most. In windows of up to 17 minutes a granule is a microsecond;
    /// beyond, the span is up to two granules too long rather than a moment too short.
    pub(crate) fn units(window: u64) -> (u64, u64) {
        let shift = (window >> 30).checked_ilog2().map_or(0, |log| log + 1);
        let granule = 1 << shift;
        let more = if granule == 1 { 0 } else { 2 };
        (granule, window / granule + more)
    }

    /// Granule and span of a window that keeps a mark for each part.
    pub(crate) const fn parts(window: u64) -> (u64, u64) {
        (window.div_ceil(PARTS), PARTS + 1)
    }

    fn window(quota: u64, window: u64) -> Self {
        let exact = quota <= MAX_EXACT;
        let (granule, span) = if exact {
            Self::units(window)
        } else {
            Self::parts(window)
        };
        Self::Window {
            granule,
            span,
            exact,
        }
    }
}

fn bucket_shape(quota: u64, window: u64, burst: u64) -> Result<Shape, LimitError> {
    if burst > MAX_QUOTA || u128::from(burst) * u128::from(quota) >= EXACT {
        return Err(LimitError::GreatBurst);
    }
    if u128::from(burst) * u128::from(window) / u128::from(quota) >= EXACT / 2 {
        return Err(LimitError::GreatBurst);
    }
    let (step, step_part) = (window / quota, window % quota);
    let parts = burst * step_part;
    Ok(Shape::Bucket {
        burst,
        step,
        step_part,
        depth: burst * step + parts / quota,
        depth_part: parts % quota,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(quota: u64, seconds: u64) -> (u64, u64, bool) {
        let window = Duration::from_secs(seconds);
        match Limit::new("l", quota, window, Algorithm::SlidingWindow)
            .unwrap()
            .shape()
        {
            Shape::Window {
                granule,
                span,
                exact,
            } => (granule, span, exact),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn granules_are_microseconds_as_long_as_marks_have_room() {
        assert_eq!(shape(256, 60), (1, 60_000_000, true));
        assert_eq!(shape(257, 60), (1_000_000, 61, false));
        for seconds in [1, 1_000, 1_073, 1_074, 3_600, 86_400, 366 * 86_400] {
            let (granule, span, _) = shape(1, seconds);
            assert!(span < 1 << 31, "{seconds}");
            let window = seconds * 1_000_000;
            assert!(granule == 1 || (span - 1) * granule >= window, "{seconds}");
        }
    }

    #[test]
    fn a_bucket_takes_exactly_its_window_for_its_quota() {
        let window = Duration::from_secs(1);
        let burst = NonZeroU64::new(14).unwrap();
        let limit = Limit::new("l", 7, window, Algorithm::gcra(burst)).unwrap();
        let Shape::Bucket {
            step,
            step_part,
            depth,
            depth_part,
            ..
        } = limit.shape()
        else {
            panic!()
        };
        assert_eq!((step, step_part), (142_857, 1));
        assert_eq!((depth, depth_part), (2_000_000, 0));
    }

    #[test]
    fn names_that_no_header_could_hold_are_refused() {
        let new = |name: &str| {
            let minute = Duration::from_secs(60);
            Limit::new(name, 1, minute, Algorithm::SlidingWindow)
        };
        let (longest, long) = ("x".repeat(MAX_NAME), "x".repeat(MAX_NAME + 1));
        for name in ["", "a\r\nb", "a b", "\u{fc}ber", "a\"", &long] {
            assert_eq!(new(name).unwrap_err(), LimitError::Name, "{name:?}");
        }
        for name in ["a", "per-minute_2.b", &longest] {
            assert_eq!(new(name).unwrap().name().as_ref(), name);
        }
    }

    #[test]
    fn numbers_that_make_no_limit_are_refused() {
        let (minute, year) = (Duration::from_secs(60), MAX_WINDOW);
        let new = |quota, window, algorithm| Limit::new("l", quota, window, algorithm);
        let gcra = |burst| Algorithm::gcra(NonZeroU64::new(burst).unwrap());
        let sliding = Algorithm::SlidingWindow;
        for (error, result) in [
            (LimitError::ZeroQuota, new(0, minute, sliding)),
            (LimitError::GreatQuota, new(u64::MAX, minute, sliding)),
            (LimitError::ShortWindow, new(1, Duration::ZERO, sliding)),
            (LimitError::LongWindow, new(1, Duration::MAX, sliding)),
            (LimitError::GreatBurst, new(1, year, gcra(100))),
            (
                LimitError::GreatBurst,
                new(MAX_QUOTA, minute, gcra(MAX_QUOTA)),
            ),
            (LimitError::GreatBurst, new(1, minute, gcra(u64::MAX))),
        ] {
            assert_eq!(result.unwrap_err(), error);
        }
        assert!(new(MAX_QUOTA, year, sliding).is_ok());
        let day = new(5, Duration::ZERO, Algorithm::Calendar(Period::Day)).unwrap();
        assert_eq!(day.window(), Duration::from_secs(86_400));
    }
}
