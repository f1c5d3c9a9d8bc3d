//! What limits have done and hold, and how the Redis is that they count in.

use mcp_gw_ratelimit::redis::RedisStats;
use mcp_gw_ratelimit::{LimiterStats, StoreStats};

use super::exposition::Spread;
use super::live::level;
use super::{Families, MetricsSource};
use crate::limits::Limits;

/// Names of limits come from the configuration, so there are no more of them than that has.
impl MetricsSource for Limits {
    fn collect(&self, families: &mut Families) {
        let stats = self.limiter.now().stats();
        each_limit(&stats, families);
        store(&stats.store, stats.addresses.as_ref(), families);
        families
            .gauge(
                "mcp_gw_ratelimit_keys_under_way",
                "Callers, tools and whatever else has a limit of its own on calls under way, and \
                 has some.",
            )
            .set(&[], level(stats.under_way));
        if let Some(store) = self.redis() {
            let up = families.gauge(
                "mcp_gw_ratelimit_redis_up",
                "1 unless the last question to Redis got no answer.",
            );
            let is_up = u8::from(store.health().is_healthy);
            { up }.set(&[], f64::from(is_up));
            redis(&store.redis_stats(), families);
        }
    }
}

fn each_limit(stats: &LimiterStats, families: &mut Families) {
    for limit in &stats.limits {
        let labels = [("limit", &*limit.name), ("per", limit.per.as_str())];
        families
            .counter(
                "mcp_gw_ratelimit_admitted_total",
                "Requests that were charged to the limit.",
            )
            .add(&labels, limit.admitted);
        families
            .counter(
                "mcp_gw_ratelimit_limited_total",
                "Requests that the limit refused.",
            )
            .add(&labels, limit.limited);
    }
}

/// Callers and addresses have rooms of their own; the totals are of both.
fn store(stats: &StoreStats, addresses: Option<&StoreStats>, families: &mut Families) {
    let other = addresses.copied().unwrap_or_default();
    let keys = stats.keys.saturating_add(other.keys);
    families
        .gauge(
            "mcp_gw_ratelimit_keys",
            "Keys with counts in the memory of this process.",
        )
        .set(&[], level(usize::try_from(keys).unwrap_or(usize::MAX)));
    families
        .counter(
            "mcp_gw_ratelimit_keys_dropped_total",
            "Keys that were dropped because nothing of them counted any more.",
        )
        .add(&[], stats.evicted.saturating_add(other.evicted));
    families
        .counter(
            "mcp_gw_ratelimit_shared_bucket_total",
            "Charges to the bucket that new keys share when there is no room for them.",
        )
        .add(&[], stats.folded.saturating_add(other.folded));
}

fn redis(stats: &RedisStats, families: &mut Families) {
    let seconds = RedisStats::BOUNDS.map(|bound| bound.as_secs_f64());
    let above = stats.waits.last().copied().unwrap_or_default();
    let buckets = seconds.into_iter().zip(stats.waits);
    families
        .histogram(
            "mcp_gw_ratelimit_redis_seconds",
            "How long questions to Redis took, answered or not.",
        )
        .add(&[], Spread::new(buckets, above, stats.waited.as_secs_f64()));
    let mut errors = families.counter(
        "mcp_gw_ratelimit_redis_errors_total",
        "Questions that Redis did not answer, by reason.",
    );
    for (kind, count) in stats.failures {
        errors.add(&[("reason", kind.as_str())], count);
    }
    for (name, help, count) in [
        (
            "mcp_gw_ratelimit_redis_fallbacks_total",
            "Decisions that were made without Redis, as `on_error` says.",
            stats.fallbacks,
        ),
        (
            "mcp_gw_ratelimit_redis_connections_total",
            "Connections to Redis that were made.",
            stats.connections,
        ),
    ] {
        families.counter(name, help).add(&[], count);
    }
    families
        .gauge(
            "mcp_gw_ratelimit_redis_in_flight",
            "Questions to Redis that are under way.",
        )
        .set(&[], level(stats.in_flight));
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::{Caller, Charge, RateLimiter, RequestMeta, Transport};
    use serde_json::json;

    use super::*;
    use crate::metrics::{Format, Metrics};

    #[tokio::test]
    async fn each_limit_and_the_redis_are_counted() {
        let config = json!({
            "calls_per_minute": 1,
            "concurrent": [{ "name": "at-once", "max": 9 }],
            "redis": { "url": "redis+unix:///nonexistent/s", "on_error": "local" },
        });
        let limits = Limits::new(&serde_json::from_value(config).unwrap()).unwrap();
        let metrics = Metrics::new();
        let _registered = metrics.register(limits.clone());
        let (caller, meta) = (Caller::local(), RequestMeta::new("1", Transport::InProcess));
        let charge = Charge::new(&caller, &meta, "tools/call").of(Some("a"), Some("s"));
        let held = limits.limiter.admit(&charge).await.unwrap();
        assert!(held.is_admitted());
        let refused = limits.limiter.admit(&charge).await.unwrap();
        assert!(!refused.is_admitted());
        let text = metrics.render(Format::Prometheus);
        let of = "{limit=\"calls_per_minute\",per=\"caller\"}";
        for line in [
            format!("mcp_gw_ratelimit_admitted_total{of} 1"),
            format!("mcp_gw_ratelimit_limited_total{of} 1"),
            "mcp_gw_ratelimit_keys 1.0".to_owned(),
            "mcp_gw_ratelimit_keys_under_way 1.0".to_owned(),
            "mcp_gw_ratelimit_redis_up 0.0".to_owned(),
            "mcp_gw_ratelimit_redis_fallbacks_total 2".to_owned(),
            "mcp_gw_ratelimit_redis_errors_total{reason=\"unreachable\"} 2".to_owned(),
            "mcp_gw_ratelimit_redis_seconds_count 2".to_owned(),
        ] {
            assert!(text.contains(&format!("{line}\n")), "no {line} in\n{text}");
        }
        let health = RateLimiter::health(&limits.limiter);
        assert!(!health.is_healthy && health.failure.is_some());
        assert_eq!(health.counts, "redis");
        assert_eq!(limits.line(), Some(health.to_string()));
    }
}
