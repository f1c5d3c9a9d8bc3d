//! What the configuration says about what callers may do, made into the part of the pipeline that is
//! asked.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use mcp_gw_core::{AccessRequest, Decision, ListPolicy, Policy};
use mcp_gw_policy::{PolicyEngine, PolicyFaults, PreparedPolicy};

use crate::config::{Config, policy_warnings};

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
            is_open: AtomicBool::new(!config.knows_callers()),
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
        let is_open = !config.knows_callers();
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
        self.engine.decide(request).await
    }

    async fn decide_all(&self, requests: &[AccessRequest<'_>]) -> Vec<Decision> {
        self.engine.decide_all(requests).await
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
    use mcp_gw_core::testing::policy_contract;
    use std::task::Poll;

    use mcp_gw_core::{Arguments, Caller, CallerKind, Feature, RawJson, RequestMeta, Transport};

    use super::*;

    fn config(text: &str) -> Config {
        let text = format!("{text}\nservers: {{ a: {{ command: a }} }}");
        Config::load("test", &text, &|_| None).unwrap()
    }

    /// What may take long is not decided on the thread that asks.
    #[tokio::test]
    async fn a_long_decision_leaves_the_thread_to_others() {
        let a = "mcp.tool.arguments.a";
        let rule = |at: usize| {
            format!(
                "    - {{ id: r{at}, effect: deny, tools: [order], when: \"{a}.exists(x, {a}.exists(y, x == y + 'z'))\" }}\n"
            )
        };
        let rules: String = (0..20).map(rule).collect();
        let config = config(&format!("policy:\n  default: allow\n  rules:\n{rules}"));
        let rules = Rules::of(&config).unwrap();
        let caller = Caller::new(CallerKind::ApiKey, "bob");
        let meta = RequestMeta::new("1", Transport::Http);
        let long = serde_json::json!({ "a": vec!["abcd"; 200] }).to_string();
        let long = Arguments::from_raw(RawJson::parse(long).unwrap()).unwrap();
        let mut request = AccessRequest::new(&caller, &meta, "tools/call", Feature::Tool, "order");
        request.arguments = Some(&long);
        let mut deciding = std::pin::pin!(rules.decide(&request));
        let first =
            std::future::poll_fn(|cx| Poll::Ready(deciding.as_mut().poll(cx).is_ready())).await;
        assert!(!first, "it is under way elsewhere");
        assert!(!deciding.await.is_allowed(), "it takes too many steps");
        // No rule is about this one, so it does not wait behind the others.
        let mut other = request.clone();
        (other.name, other.upstream_name) = ("get_time", "get_time");
        let mut deciding = std::pin::pin!(rules.decide(&other));
        assert!(
            std::future::poll_fn(|cx| Poll::Ready(deciding.as_mut().poll(cx).is_ready())).await
        );
    }

    const KEYS: &str = "
policy: { default: allow }
auth:
  api_keys:
    - { id: ann, key: ann-0123456789abcdef, roles: [admin] }
    - { id: bob, key: bob-0123456789abcdef, tools: [\"get_*\"] }
";

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

    #[cfg(feature = "management")]
    #[tokio::test]
    async fn users_and_keys_need_scopes_whatever_rules_allow() {
        let config = config("policy: { default: allow }\nmanagement: {}");
        let rules = Rules::of(&config).unwrap();
        policy_contract(&rules).await;
        let meta = RequestMeta::new("1", Transport::Http);
        for kind in [CallerKind::User, CallerKind::ApiKey] {
            for (issuer, scopes, calls, sees) in [
                ("mcp-gw", &["tools:call"][..], true, true),
                ("mcp-gw", &["gateway:read"], false, true),
                ("mcp-gw", &["gateway:write"], false, false),
                ("mcp-gw", &[], false, false),
                ("", &[], true, true),
            ] {
                let caller = Caller::new(kind, "ann").with_issuer(issuer);
                let caller = caller.with_scopes(scopes.iter().copied());
                let mut request = mcp_gw_core::testing::access_request(&caller, &meta, "tool");
                let decision = rules.decide(&request).await;
                assert_eq!(
                    decision.is_allowed(),
                    calls,
                    "{issuer} {scopes:?} {decision:?}"
                );
                (request.method, request.phase) = ("tools/list", mcp_gw_core::Phase::List);
                let seen = rules.decide(&request).await;
                assert_eq!(seen.is_allowed(), sees, "{issuer} {scopes:?} {seen:?}");
            }
        }
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
