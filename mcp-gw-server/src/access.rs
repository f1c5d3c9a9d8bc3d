//! What the configuration says about callers, made into the parts of the pipeline that ask who it is
//! and what it may do.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use mcp_gw_core::{
    AccessRequest, Authenticator, AuthnError, Caller, CallerKind, Credentials, Decision,
    ListPolicy, NoAuthentication, Policy, Transport,
};
use mcp_gw_policy::{PolicyEngine, PolicyFaults, PreparedPolicy};
use sha2::{Digest, Sha256};

use crate::config::{ApiKeyConfig, Config, KeyError, policy_warnings};

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
            callers.insert(digest, Arc::new(caller_of(key)));
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

    /// True when a caller who came in before comes in with the same rights now.
    pub(crate) fn knows(&self, caller: &Caller) -> bool {
        let now = self.callers.values().chain(&self.without_key);
        let has_key = now.into_iter().any(|now| has_same_rights(now, caller));
        // Whoever holds the other end of standard input is not asked for a key.
        has_key || (caller.kind == CallerKind::Local && self.without_key.is_none())
    }

    /// True when every key stands for the same as in `other`.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let has = |digest, caller: &Arc<Caller>| {
            let theirs: Option<&Arc<Caller>> = other.callers.get(digest);
            theirs.is_some_and(|theirs| has_same_rights(theirs, caller))
        };
        let others = other.without_key.as_ref().map(|caller| caller.kind);
        self.callers.len() == other.callers.len()
            && self
                .callers
                .iter()
                .all(|(digest, caller)| has(digest, caller))
            && self.without_key.as_ref().map(|caller| caller.kind) == others
    }
}

/// Whom a key stands for.
pub(crate) fn caller_of(key: &ApiKeyConfig) -> Caller {
    Caller::new(CallerKind::ApiKey, key.id.as_str())
        .with_roles(key.roles.iter().cloned())
        .with_groups(key.groups.iter().cloned())
        .with_scopes(key.scopes.iter().cloned())
        .with_claims(key.claims.clone())
}

/// The same identity with the same rights.
pub(crate) fn has_same_rights(one: &Caller, other: &Caller) -> bool {
    one.is_same(other)
        && (&one.roles, &one.groups, &one.scopes, &one.claims)
            == (&other.roles, &other.groups, &other.scopes, &other.claims)
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

/// The policy of a configuration. There is one for as long as the gateway runs; what it says is
/// replaced.
#[derive(Debug)]
pub(crate) struct Rules {
    engine: PolicyEngine,
    /// Nobody is asked who they are: what one sees, everybody may see.
    is_open: AtomicBool,
}

impl Rules {
    /// # Errors
    /// What is wrong with the policy; a checked configuration has no such fault.
    pub(crate) fn of(config: &Config) -> Result<Self, PolicyFaults> {
        let engine = PolicyEngine::compile(&config.whole_policy())?;
        tell(config, &engine);
        Ok(Self {
            engine,
            is_open: AtomicBool::new(config.auth.api_keys.is_empty()),
        })
    }

    pub(crate) const fn engine(&self) -> &PolicyEngine {
        &self.engine
    }

    /// What `config` says, to be put in force by [`Rules::put`].
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn prepare(&self, config: &Config) -> Result<PreparedPolicy, PolicyFaults> {
        self.engine.prepare(&config.whole_policy())
    }

    /// Puts the policy of `config` in force. True when it says something else than the one before.
    pub(crate) fn put(&self, config: &Config, prepared: PreparedPolicy) -> bool {
        let is_open = config.auth.api_keys.is_empty();
        if !is_open {
            self.is_open.store(false, Ordering::Relaxed);
        }
        let is_new = self.engine.put(prepared).is_new;
        self.is_open.store(is_open, Ordering::Relaxed);
        if is_new {
            tell(config, &self.engine);
        } else {
            // Who is named in the same policy may be gone.
            for remark in config.remarks() {
                warn(&remark.sentence());
            }
        }
        is_new
    }
}

/// Says which policy is in force, and what looks wrong with it.
fn tell(config: &Config, engine: &PolicyEngine) {
    let rules = engine.stats().rules.len();
    tracing::info!(target: "mcp_gw::policy", version = %engine.version(), rules, "policy in force");
    for warning in policy_warnings(config, engine) {
        warn(&warning);
    }
}

fn warn(warning: &str) {
    tracing::warn!(target: "mcp_gw::policy", "{warning}");
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Policy for Rules {
    async fn decide(&self, request: &AccessRequest<'_>) -> Decision {
        self.engine.decide_now(request)
    }

    async fn decide_all(&self, requests: &[AccessRequest<'_>]) -> Vec<Decision> {
        self.engine.decide_all_now(requests)
    }

    fn is_uniform(&self) -> bool {
        self.is_open.load(Ordering::Relaxed) && self.engine.is_uniform()
    }

    fn refuses_address(&self, addr: Option<IpAddr>) -> Option<&'static str> {
        self.engine.refuses_address(addr)
    }

    fn as_of_now(&self) -> Option<Arc<dyn ListPolicy>> {
        self.engine.as_of_now()
    }
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::testing::{authenticator_contract, policy_contract};
    use mcp_gw_core::{Feature, RequestMeta};

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
        for default in ["allow", "deny"] {
            let config = config(&KEYS.replace("allow", default));
            let rules = Rules::of(&config).unwrap();
            policy_contract(&rules).await;
            let meta = RequestMeta::new("1", Transport::Http);
            for (id, feature, name, allowed) in [
                ("ann", Feature::Tool, "drop_table", default == "allow"),
                ("ann", Feature::Prompt, "any", default == "allow"),
                ("bob", Feature::Tool, "get_time", true),
                ("bob", Feature::Tool, "forget_time", false),
                ("bob", Feature::Prompt, "get_prompt", false),
            ] {
                let caller = Caller::new(CallerKind::ApiKey, id);
                let mut request = mcp_gw_core::testing::access_request(&caller, &meta, name);
                request.feature = feature;
                if feature == Feature::Prompt {
                    request.method = "prompts/get";
                }
                let decision = rules.decide(&request).await;
                assert_eq!(decision.is_allowed(), allowed, "{default}: {id} {name}");
                let named = decision.reasons().iter();
                let mut named = named.filter(|reason| reason.contains("auth.api_keys.tools:bob"));
                assert_eq!(named.next().is_some(), id == "bob", "{decision:?}");
            }
        }
    }

    #[tokio::test]
    async fn rules_hold_for_a_key_with_tools_too() {
        let text = KEYS.replace(
            "policy: { default: allow }",
            "policy: { default: allow, rules: [{ id: no-money, effect: deny, tools: ['*money*'] }] }",
        );
        let rules = Rules::of(&config(&text)).unwrap();
        let (meta, bob) = (
            RequestMeta::new("1", Transport::Http),
            Caller::new(CallerKind::ApiKey, "bob"),
        );
        let ask = |name| mcp_gw_core::testing::access_request(&bob, &meta, name);
        assert!(rules.decide(&ask("get_time")).await.is_allowed());
        let denied = rules.decide(&ask("get_money")).await;
        assert_eq!(denied.reasons(), ["no-money"]);
    }

    #[test]
    fn that_nobody_may_do_anything_is_said_once() {
        for rules in ["", "rules: [{ id: no, effect: deny }]"] {
            let config = config(&format!("policy: {{ {rules} }}"));
            let rules = Rules::of(&config).unwrap();
            let told = policy_warnings(&config, rules.engine());
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].starts_with("policy: nobody may call anything"));
        }
    }

    #[test]
    fn what_one_sees_is_everybodys_only_where_nobody_is_asked_who_they_are() {
        let open = Rules::of(&config("policy: { default: allow }")).unwrap();
        assert!(open.is_uniform());
        let with_keys = config(KEYS);
        assert!(!Rules::of(&with_keys).unwrap().is_uniform());
        let next = open.prepare(&with_keys).unwrap();
        assert!(open.put(&with_keys, next));
        assert!(!open.is_uniform());
    }
}
