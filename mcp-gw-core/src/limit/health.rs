//! How a limiter does, for health checks.

use std::fmt;
use std::time::Duration;

/// How a limiter does. It is said in one line by its [`Display`](fmt::Display).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimiterHealth {
    /// Where is counted, such as `memory` or `redis`.
    pub counts: &'static str,
    /// False while nobody answers there.
    pub is_healthy: bool,
    /// For how long nobody has.
    pub failing_for: Option<Duration>,
    /// Why, for a person; without secrets.
    pub failure: Option<String>,
    /// What becomes of requests meanwhile, such as `they are refused`.
    pub meanwhile: Option<&'static str>,
}

impl LimiterHealth {
    /// A limiter that counts there, and can.
    pub const fn well(counts: &'static str) -> Self {
        Self {
            counts,
            is_healthy: true,
            failing_for: None,
            failure: None,
            meanwhile: None,
        }
    }

    /// A limiter that cannot count where it should.
    pub const fn failing(counts: &'static str, meanwhile: &'static str) -> Self {
        Self {
            counts,
            is_healthy: false,
            failing_for: None,
            failure: None,
            meanwhile: Some(meanwhile),
        }
    }

    /// Says for how long it has been so, and why.
    #[must_use]
    pub fn because(mut self, failing_for: Option<Duration>, failure: Option<String>) -> Self {
        (self.failing_for, self.failure) = (failing_for, failure);
        self
    }
}

impl fmt::Display for LimiterHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rate limits are counted in {}", self.counts)?;
        if self.is_healthy {
            return Ok(());
        }
        f.write_str(", which gives no answer")?;
        if let Some(failure) = &self.failure {
            write!(f, " ({failure})")?;
        }
        if let Some(time) = self.failing_for {
            write!(f, " for {} s", time.as_secs())?;
        }
        self.meanwhile
            .map_or(Ok(()), |meanwhile| write!(f, "; {meanwhile} meanwhile"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_in_one_line() {
        let well = LimiterHealth::well("memory");
        assert_eq!(well.to_string(), "rate limits are counted in memory");
        let failing = LimiterHealth::failing("redis", "calls are refused");
        assert_eq!(
            failing.to_string(),
            "rate limits are counted in redis, which gives no answer; calls are refused meanwhile"
        );
        let why = failing.because(Some(Duration::from_secs(7)), Some("refused".to_owned()));
        assert_eq!(
            why.to_string(),
            "rate limits are counted in redis, which gives no answer (refused) for 7 s; calls are \
             refused meanwhile"
        );
    }
}
