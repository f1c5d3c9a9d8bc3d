//! What the configuration says about callers, made into the three parts of the pipeline that ask:
//! who is it, what may it do, how often.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mcp_gw_core::{
    AccessRequest, Admission, Authenticator, AuthnError, Caller, CallerKind, Charge, Clock,
    Credentials, Decision, Feature, LimiterError, NoAuthentication, Policy, Quota, RateLimiter,
    Transport, glob_matches,
};
use sha2::{Digest, Sha256};

use crate::config::{Config, DefaultRule, KeyError};

/// Knows callers by their API keys. Only digests are kept; a look-up by digest tells an attacker's
/// clock nothing about the key.
#[derive(Debug)]
pub(crate) struct ApiKeys {
    callers: HashMap<[u8; 32], Arc<Caller>>,
    /// Who comes over HTTP without a key, if anybody may.
    without_key: Option<Arc<Caller>>,
    open: NoAuthentication,
}

impl ApiKeys {
    /// The callers of a configuration.
    ///
    /// # Errors
    /// When a key cannot be had; a checked configuration has none such, unless a key file changed
    /// since.
    pub(crate) fn of(config: &Config) -> Result<Self, (String, KeyError)> {
        let mut callers = HashMap::new();
        for key in &config.auth.api_keys {
            let digest = key.sha256().map_err(|error| (key.id.clone(), error))?;
            let caller = Caller::new(CallerKind::ApiKey, key.id.as_str())
                .with_roles(key.roles.iter().cloned())
                .with_groups(key.groups.iter().cloned());
            callers.insert(digest, Arc::new(caller));
        }
        let loopback = config
            .http
            .listen_address()
            .is_some_and(|address| address.ip().is_loopback());
        let without_key = if config.auth.anonymous {
            Some(Caller::anonymous())
        } else if !callers.is_empty() {
            None
        } else if loopback {
            Some(Caller::local())
        } else {
            Some(Caller::anonymous())
        };
        Ok(Self {
            callers,
            without_key: without_key.map(Arc::new),
            open: NoAuthentication::new(),
        })
    }
}

#[async_trait]
impl Authenticator for ApiKeys {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Arc<Caller>, AuthnError> {
        if credentials.transport != Transport::Http {
            return self.open.authenticate(credentials).await;
        }
        // Where no key is known, a token that some client always sends is nobody's concern.
        let sent = [&credentials.bearer, &credentials.api_key]
            .into_iter()
            .flatten();
        let mut found: Option<&Arc<Caller>> = None;
        let mut any = false;
        for key in sent.filter(|_| !self.callers.is_empty()) {
            any = true;
            let digest: [u8; 32] = Sha256::digest(key.expose().as_bytes()).into();
            match (self.callers.get(&digest), found) {
                (Some(caller), None) => found = Some(caller),
                (Some(caller), Some(other)) if caller.is_same(other) => {}
                _ => {
                    return Err(AuthnError::Invalid {
                        reason: "unknown API key".to_owned(),
                    });
                }
            }
        }
        match (found, any) {
            (Some(caller), _) => Ok(Arc::clone(caller)),
            (None, false) => self.without_key.clone().ok_or(AuthnError::Missing),
            (None, true) => Err(AuthnError::Invalid {
                reason: "unknown API key".to_owned(),
            }),
        }
    }
}

/// The rules of a configuration: a default, and for some keys the only tools they may use.
#[derive(Debug)]
pub(crate) struct ToolRules {
    allow_by_default: bool,
    /// Nobody is asked who they are, and nobody is treated apart.
    is_uniform: bool,
    only: HashMap<String, Vec<String>>,
}

impl ToolRules {
    pub(crate) fn of(config: &Config) -> Self {
        let only = config.auth.api_keys.iter().filter_map(|key| {
            key.tools
                .as_ref()
                .map(|tools| (key.id.clone(), tools.clone()))
        });
        Self {
            allow_by_default: config.policy.default == DefaultRule::Allow,
            is_uniform: config.auth.api_keys.is_empty(),
            only: only.collect(),
        }
    }
}

impl ToolRules {
    /// The globs that match none of `names`, with the key they belong to.
    pub(crate) fn idle<'a>(&'a self, names: &[&str]) -> Vec<(&'a str, &'a str)> {
        let mut idle: Vec<_> = self
            .only
            .iter()
            .flat_map(|(id, globs)| globs.iter().map(move |glob| (id.as_str(), glob.as_str())))
            .filter(|(_, glob)| !names.iter().any(|name| glob_matches(glob, name)))
            .collect();
        idle.sort_unstable();
        idle
    }
}

#[async_trait]
impl Policy for ToolRules {
    async fn decide(&self, request: &AccessRequest<'_>) -> Decision {
        let only = match request.caller.kind {
            CallerKind::ApiKey => self.only.get(&*request.caller.id),
            _ => None,
        };
        let (allowed, reason) = match only {
            // "Only these tools" leaves no room for resources and prompts either.
            Some(globs) => (
                request.feature == Feature::Tool
                    && globs.iter().any(|glob| glob_matches(glob, request.name)),
                "auth.api_keys.tools",
            ),
            None => (self.allow_by_default, "policy.default"),
        };
        if allowed {
            Decision::allow().because(reason)
        } else {
            Decision::deny().because(reason)
        }
    }

    fn is_uniform(&self) -> bool {
        self.is_uniform
    }
}

/// At most so many uses by one caller in any 60 seconds: a log of the times of the last ones.
pub(crate) struct PerMinute {
    limit: u32,
    clock: Arc<dyn Clock>,
    callers: Mutex<HashMap<Key, VecDeque<Instant>>>,
}

type Key = (CallerKind, Arc<str>, Arc<str>);

const WINDOW: Duration = Duration::from_secs(60);

impl PerMinute {
    pub(crate) fn new(limit: u32, clock: Arc<dyn Clock>) -> Self {
        Self {
            limit: limit.max(1),
            clock,
            callers: Mutex::default(),
        }
    }
}

#[async_trait]
impl RateLimiter for PerMinute {
    async fn admit(&self, charge: &Charge<'_>) -> Result<Admission, LimiterError> {
        if !charge.is_use() {
            return Ok(Admission::admitted(None));
        }
        let caller = charge.caller;
        let key = (
            caller.kind,
            Arc::clone(&caller.issuer),
            Arc::clone(&caller.id),
        );
        let now = self.clock.now();
        let limit = u64::from(self.limit);
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let log = callers.entry(key).or_default();
        let over = |at: &Instant| now.saturating_duration_since(*at) >= WINDOW;
        while log.front().is_some_and(over) {
            log.pop_front();
        }
        let age = |at: &Instant| now.saturating_duration_since(*at);
        let used = u64::try_from(log.len()).unwrap_or(u64::MAX);
        if used < limit {
            log.push_back(now);
            return Ok(Admission::admitted(Some(Quota::new(
                limit,
                limit - used - 1,
                WINDOW,
            ))));
        }
        let oldest = log.front().map_or(Duration::ZERO, age);
        let newest = log.back().map_or(Duration::ZERO, age);
        let quota = Quota::new(limit, 0, WINDOW.saturating_sub(newest));
        Ok(Admission::limited(
            "calls_per_minute",
            quota,
            WINDOW.saturating_sub(oldest),
        ))
    }
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::RequestMeta;
    use mcp_gw_core::testing::{
        ManualClock, authenticator_contract, policy_contract, rate_limiter_contract,
    };

    use super::*;

    fn config(text: &str) -> Config {
        let text = format!("{text}\nservers: {{ a: {{ command: a }} }}");
        Config::load("test", &text, &|_| None).unwrap()
    }

    const KEYS: &str = "
policy: { default: allow }
auth:
  api_keys:
    - { id: ann, key: ann-0123456789abcdef, roles: [admin] }
    - { id: bob, key: bob-0123456789abcdef, tools: [\"get_*\"] }
";

    #[tokio::test]
    async fn keys_make_callers_and_nothing_else_does() {
        let keys = ApiKeys::of(&config(KEYS)).unwrap();
        let http = || Credentials::none(Transport::Http);
        let good = http().with_bearer("ann-0123456789abcdef".to_owned());
        authenticator_contract(&keys, Some(good.clone())).await;
        assert_eq!(&*keys.authenticate(&good).await.unwrap().id, "ann");
        assert_eq!(
            keys.authenticate(&http()).await.unwrap_err(),
            AuthnError::Missing
        );
        let both = good.clone().with_api_key("bob-0123456789abcdef".to_owned());
        assert!(
            keys.authenticate(&both).await.is_err(),
            "two callers at once are none"
        );
        let local = keys
            .authenticate(&Credentials::none(Transport::Stdio))
            .await
            .unwrap();
        assert_eq!(local.kind, CallerKind::Local);
    }

    #[tokio::test]
    async fn without_keys_the_address_says_who_it_is() {
        let http = Credentials::none(Transport::Http);
        for (text, kind) in [
            ("policy: { default: allow }", CallerKind::Local),
            (
                "policy: { default: allow }\nauth: { anonymous: true }",
                CallerKind::Anonymous,
            ),
            (
                "policy: { default: allow }\nhttp: { listen: 0.0.0.0:1, insecure: true }",
                CallerKind::Anonymous,
            ),
        ] {
            let keys = ApiKeys::of(&config(text)).unwrap();
            authenticator_contract(&keys, None).await;
            assert_eq!(keys.authenticate(&http).await.unwrap().kind, kind, "{text}");
            let stray = http.clone().with_bearer("whatever".to_owned());
            assert_eq!(
                keys.authenticate(&stray).await.unwrap().kind,
                kind,
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn a_key_with_tools_may_use_those_and_nothing_else() {
        let rules = ToolRules::of(&config(KEYS));
        policy_contract(&rules).await;
        let meta = RequestMeta::new("1", Transport::Http);
        for (id, feature, name, allowed) in [
            ("ann", Feature::Tool, "drop_table", true),
            ("ann", Feature::Prompt, "any", true),
            ("bob", Feature::Tool, "get_time", true),
            ("bob", Feature::Tool, "forget_time", false),
            ("bob", Feature::Prompt, "get_prompt", false),
        ] {
            let caller = Caller::new(CallerKind::ApiKey, id);
            let mut request = mcp_gw_core::testing::access_request(&caller, &meta, name);
            request.feature = feature;
            assert_eq!(
                rules.decide(&request).await.is_allowed(),
                allowed,
                "{id} {name}"
            );
        }
    }

    #[tokio::test]
    async fn a_window_is_never_exceeded_and_opens_when_it_says() {
        let clock = ManualClock::new();
        let limiter = PerMinute::new(3, Arc::new(clock.clone()));
        rate_limiter_contract(&limiter).await;
        let (caller, meta) = (Caller::anonymous(), RequestMeta::new("1", Transport::Http));
        let charge = |method| mcp_gw_core::testing::charge(&caller, &meta, method);
        for _ in 0..3 {
            assert!(
                limiter
                    .admit(&charge("tools/call"))
                    .await
                    .unwrap()
                    .is_admitted()
            );
            clock.advance(Duration::from_secs(10));
        }
        let Ok(Admission::Limited { retry_after, .. }) = limiter.admit(&charge("tools/call")).await
        else {
            panic!()
        };
        assert_eq!(retry_after, Duration::from_secs(30));
        assert!(
            limiter
                .admit(&charge("tools/list"))
                .await
                .unwrap()
                .is_admitted()
        );
        clock.advance(retry_after.saturating_sub(Duration::from_nanos(1)));
        assert!(
            !limiter
                .admit(&charge("tools/call"))
                .await
                .unwrap()
                .is_admitted()
        );
        clock.advance(Duration::from_nanos(1));
        assert!(
            limiter
                .admit(&charge("tools/call"))
                .await
                .unwrap()
                .is_admitted()
        );
    }
}
