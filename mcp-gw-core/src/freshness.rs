//! How long a list may be kept and by whom: `ttlMs` and `cacheScope` (MCP 2026-07-28, caching).

use std::time::Duration;

use crate::json::RawJson;
use crate::policy::Feature;

/// A list that lacks a server which is away should be asked for again soon.
const WHILE_AWAY: Duration = Duration::from_secs(5);
/// What a server may promise at most; an hour is as good as for ever.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// What is said about keeping a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CacheHint {
    /// For how long it is good, counted from the answer (`ttlMs`).
    pub ttl: Duration,
    /// True when it is the same for every caller (`cacheScope` is `public`).
    pub is_public: bool,
}

impl CacheHint {
    /// This hint; no longer than an hour.
    pub fn new(ttl: Duration, is_public: bool) -> Self {
        Self {
            ttl: ttl.min(LONGEST),
            is_public,
        }
    }

    /// The hint in a result; `None` when it has none that can be read, as results of revisions
    /// before 2026-07-28 have.
    pub fn read(result: &RawJson) -> Option<Self> {
        let members = result.members().ok()?;
        let ttl: f64 = serde_json::from_str(members.get("ttlMs")?.get()).ok()?;
        let ttl = Duration::try_from_secs_f64(ttl / 1000.0).unwrap_or(if ttl > 0.0 {
            LONGEST
        } else {
            Duration::ZERO
        });
        let is_public = members
            .get("cacheScope")
            .is_some_and(|scope| scope.get() == "\"public\"");
        Some(Self::new(ttl, is_public))
    }

    /// What is true of both together: a list of several pages, or of several servers.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            ttl: self.ttl.min(other.ttl),
            is_public: self.is_public && other.is_public,
        }
    }

    /// What is left of it after `age`.
    #[must_use]
    pub(crate) fn aged(self, age: Duration) -> Self {
        Self {
            ttl: self.ttl.saturating_sub(age),
            ..self
        }
    }

    /// The same for a list in which something may be missing.
    #[must_use]
    pub(crate) fn while_away(self) -> Self {
        Self {
            ttl: self.ttl.min(WHILE_AWAY),
            is_public: false,
        }
    }
}

/// What a server says about keeping each of its lists; `None` where it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ListHints {
    /// About `tools/list`.
    pub tools: Option<CacheHint>,
    /// About `resources/list`.
    pub resources: Option<CacheHint>,
    /// About `resources/templates/list`.
    pub resource_templates: Option<CacheHint>,
    /// About `prompts/list`.
    pub prompts: Option<CacheHint>,
}

impl ListHints {
    /// The same for all lists.
    pub const fn all(hint: Option<CacheHint>) -> Self {
        Self {
            tools: hint,
            resources: hint,
            resource_templates: hint,
            prompts: hint,
        }
    }

    /// The hint about the list of a feature.
    pub const fn of(&self, feature: Feature) -> Option<CacheHint> {
        match feature {
            Feature::Tool => self.tools,
            Feature::Resource => self.resources,
            Feature::ResourceTemplate => self.resource_templates,
            Feature::Prompt => self.prompts,
        }
    }

    /// When the first of the lists is no longer good; `None` when the server says nothing.
    pub fn soonest(&self) -> Option<Duration> {
        let hints = [
            self.tools,
            self.resources,
            self.resource_templates,
            self.prompts,
        ];
        hints.into_iter().flatten().map(|hint| hint.ttl).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(u128, bool)> {
        let hint = CacheHint::read(&RawJson::parse(text.to_owned()).unwrap())?;
        Some((hint.ttl.as_millis(), hint.is_public))
    }

    #[test]
    fn hints_are_read_and_strange_ones_promise_little() {
        for (text, hint) in [
            (
                r#"{"ttlMs":1500,"cacheScope":"public"}"#,
                Some((1500, true)),
            ),
            (
                r#"{"ttlMs":1.5e3,"cacheScope":"private"}"#,
                Some((1500, false)),
            ),
            (r#"{"ttlMs":10}"#, Some((10, false))),
            (r#"{"ttlMs":-1,"cacheScope":"public"}"#, Some((0, true))),
            (
                r#"{"ttlMs":1e300,"cacheScope":"PUBLIC"}"#,
                Some((3_600_000, false)),
            ),
            (r#"{"ttlMs":"10","cacheScope":"public"}"#, None),
            (r#"{"ttlMs":null}"#, None),
            (r#"{"cacheScope":"public"}"#, None),
            (r#"{"ttlMs":1,"ttlMs":2}"#, None),
            ("[]", None),
        ] {
            assert_eq!(read(text), hint, "{text}");
        }
    }

    #[test]
    fn a_whole_is_as_fresh_and_as_public_as_its_worst_part() {
        let hint = |ms, public| CacheHint::new(Duration::from_millis(ms), public);
        assert_eq!(hint(10, true).and(hint(20, true)), hint(10, true));
        assert_eq!(hint(10, true).and(hint(5, false)), hint(5, false));
        assert_eq!(hint(10, true).aged(Duration::from_millis(4)), hint(6, true));
        assert_eq!(hint(10, true).aged(Duration::from_secs(4)), hint(0, true));
        assert_eq!(hint(60_000, true).while_away(), hint(5000, false));
    }
}
