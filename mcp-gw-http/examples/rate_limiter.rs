//! A rate limiter written by hand: each caller has a bucket of tokens that refills with time.
//!
//! `cargo run -p mcp-gw-http --example rate_limiter [ADDRESS]`

#[path = "shared/mod.rs"]
mod shared;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use mcp_gw_core::{
    Admission, AllowAll, BuildError, CallContext, Charge, Clock, Gateway, LimiterError,
    NoArguments, Quota, RateLimiter, SystemClock, ToolError, TypedTool, async_trait,
};
use mcp_gw_http::{HttpConfig, router};

/// So many calls at once, and one more every [`REFILL`].
pub(crate) const BURST: u32 = 3;
const REFILL: Duration = Duration::from_secs(10);

/// Per caller, the time at which its bucket is full again. That one time says it all: how many
/// tokens are left, and when the next one is there.
pub(crate) struct TokenBuckets<C> {
    clock: C,
    full_at: Mutex<HashMap<String, Instant>>,
}

impl<C: Clock> TokenBuckets<C> {
    pub(crate) fn new(clock: C) -> Self {
        Self {
            clock,
            full_at: Mutex::default(),
        }
    }
}

#[async_trait]
impl<C: Clock> RateLimiter for TokenBuckets<C> {
    async fn admit(&self, charge: &Charge<'_>) -> Result<Admission, LimiterError> {
        // Lists and handshakes are free.
        if !charge.is_use() {
            return Ok(Admission::admitted(None));
        }
        let now = self.clock.now();
        let key = format!("{:?}/{}", charge.caller.kind, charge.caller.id);
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        // A full bucket need not be remembered, so memory holds callers of the last moments only.
        buckets.retain(|_, full_at| *full_at > now);
        let full_at = buckets.get(&key).copied().unwrap_or(now);
        let after = full_at + REFILL * charge.cost;
        let missing = after.saturating_duration_since(now);
        let whole = REFILL * BURST;
        if missing > whole {
            let quota = Quota::new(u64::from(BURST), 0, full_at.saturating_duration_since(now));
            return Ok(Admission::limited(
                "token_bucket",
                quota,
                missing.saturating_sub(whole),
            ));
        }
        let left = whole.saturating_sub(missing).as_millis() / REFILL.as_millis();
        let left = u64::try_from(left).unwrap_or(u64::MAX);
        buckets.insert(key, after);
        let quota = Quota::new(u64::from(BURST), left, missing);
        Ok(Admission::admitted(Some(quota)))
    }

    /// One bucket for all tools: who may not call one learns nothing by it.
    fn tells_items_apart(&self, _: &Charge<'_>) -> bool {
        false
    }
}

struct Ping;

impl TypedTool for Ping {
    const NAME: &'static str = "ping";
    const DESCRIPTION: &'static str = "Answers.";
    type Args = NoArguments;
    type Output = &'static str;

    async fn call(&self, _: &CallContext, _: NoArguments) -> Result<&'static str, ToolError> {
        Ok("pong")
    }
}

/// The gateway, at `/mcp`.
pub(crate) fn app(clock: impl Clock) -> Result<Router, BuildError> {
    let gateway = Gateway::builder()
        .tool(Ping)
        .policy(AllowAll::new())
        .rate_limiter(TokenBuckets::new(clock))
        .build()?;
    Ok(Router::new().nest_service("/mcp", router(gateway, HttpConfig::default())))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    shared::serve_until_ctrl_c(app(SystemClock::new())?, "ping", "{}", None).await
}
