//! The question that a rate limiter answers, and the answer's type.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::caller::Caller;
use crate::context::RequestMeta;

/// One request that wants to be counted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Charge<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// Facts about the request.
    pub meta: &'a RequestMeta,
    /// The MCP method, such as `tools/call`.
    pub method: &'a str,
    /// The tool, resource or prompt, as the client names it; `None` for lists and for names that
    /// nobody serves, so that invented names cannot become keys.
    pub name: Option<&'a str>,
    /// The backend that serves it; `None` as above.
    pub server: Option<&'a str>,
    /// How much it costs, in units of the limit.
    pub cost: u32,
}

impl Charge<'_> {
    /// True for the methods that use something: `tools/call`, `resources/read`, `prompts/get`,
    /// `completion/complete`. Lists and handshakes are not.
    pub fn is_use(&self) -> bool {
        matches!(
            self.method,
            "tools/call" | "resources/read" | "prompts/get" | "completion/complete"
        )
    }
}

/// Where a caller stands with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quota {
    /// Units per window.
    pub limit: u64,
    /// Units left in the window.
    pub remaining: u64,
    /// Time until the window is whole again.
    pub reset: Duration,
}

impl Quota {
    /// `remaining` of `limit` units left, whole again after `reset`.
    pub const fn new(limit: u64, remaining: u64, reset: Duration) -> Self {
        Self {
            limit,
            remaining,
            reset,
        }
    }
}

/// What a limiter says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admission {
    /// It was charged and may go on.
    #[non_exhaustive]
    Admitted {
        /// The tightest of the limits that applied; `None` when none did.
        quota: Option<Quota>,
    },
    /// It was not charged and must stop.
    #[non_exhaustive]
    Limited {
        /// Name of the limit that was reached.
        limit_name: Arc<str>,
        /// Where the caller stands with it.
        quota: Quota,
        /// After this time the same request is admitted if nothing else happens.
        retry_after: Duration,
    },
}

impl Admission {
    /// Admitted, with the tightest limit that applied.
    pub const fn admitted(quota: Option<Quota>) -> Self {
        Self::Admitted { quota }
    }

    /// Refused by the limit `limit_name`.
    pub fn limited(limit_name: impl Into<Arc<str>>, quota: Quota, retry_after: Duration) -> Self {
        Self::Limited {
            limit_name: limit_name.into(),
            quota,
            retry_after,
        }
    }

    /// True when the request may go on.
    pub const fn is_admitted(&self) -> bool {
        matches!(self, Self::Admitted { .. })
    }
}

/// The limiter could not tell.
#[derive(Debug, thiserror::Error)]
#[error("the rate limiter cannot decide: {reason}")]
#[non_exhaustive]
pub struct LimiterError {
    /// For the log.
    pub reason: String,
}

impl LimiterError {
    /// The limiter could not tell, because of `reason`.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

/// Counts requests and refuses those over the limit.
///
/// The pipeline asks once per request, before the policy, so that refused requests cost as much as
/// others. All limits that apply are charged, or none. It must reject rather than wait, and is
/// cancelled by dropping the future.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::time::Duration;
/// use mcp_gw_core::{Admission, Charge, LimiterError, Quota, RateLimiter, async_trait};
///
/// /// So many calls, then no more.
/// struct Budget(AtomicU64);
///
/// #[async_trait]
/// impl RateLimiter for Budget {
///     async fn admit(&self, charge: &Charge<'_>) -> Result<Admission, LimiterError> {
///         let cost = u64::from(charge.cost);
///         let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(cost));
///         let quota = |remaining| Quota::new(100, remaining, Duration::MAX);
///         Ok(match left {
///             Ok(before) => Admission::admitted(Some(quota(before - cost))),
///             Err(left) => Admission::limited("budget", quota(left), Duration::MAX),
///         })
///     }
/// }
/// ```
#[async_trait]
pub trait RateLimiter: Send + Sync + 'static {
    /// Charges the request, or refuses it without charging.
    ///
    /// # Errors
    /// When the limiter's store cannot be asked. The pipeline then refuses the request.
    async fn admit(&self, charge: &Charge<'_>) -> Result<Admission, LimiterError>;
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: RateLimiter + ?Sized> RateLimiter for Arc<T> {
    async fn admit(&self, charge: &Charge<'_>) -> Result<Admission, LimiterError> {
        (**self).admit(charge).await
    }
}

/// No limit.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Unlimited;

impl Unlimited {
    /// No limit.
    pub const fn new() -> Self {
        Self
    }
}

#[async_trait]
impl RateLimiter for Unlimited {
    async fn admit(&self, _charge: &Charge<'_>) -> Result<Admission, LimiterError> {
        Ok(Admission::admitted(None))
    }
}
