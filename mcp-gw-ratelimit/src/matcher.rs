//! Which calls a rule is about.

use std::collections::{HashMap, HashSet};

use mcp_gw_core::{Caller, CallerKind, Charge, Glob};

use crate::config::MatchConfig;

/// A [`MatchConfig`] that is quick to ask.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    kinds: Vec<CallerKind>,
    /// Ids by issuer.
    callers: HashMap<String, HashSet<String>>,
    roles: HashSet<String>,
    tools: Globs,
    servers: Globs,
}

impl Matcher {
    pub(crate) fn new(config: &MatchConfig) -> Self {
        let mut callers: HashMap<_, HashSet<_>> = HashMap::new();
        for caller in &config.callers {
            let issuer = caller.issuer.clone().unwrap_or_default();
            callers.entry(issuer).or_default().insert(caller.id.clone());
        }
        Self {
            kinds: config.kinds.iter().map(|kind| kind.get()).collect(),
            callers,
            roles: config.roles.iter().cloned().collect(),
            tools: Globs::of(&config.tools),
            servers: Globs::of(&config.servers),
        }
    }

    /// True when it matches everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.kinds.is_empty()
            && self.callers.is_empty()
            && self.roles.is_empty()
            && self.tools.is_empty()
            && self.servers.is_empty()
    }

    /// True when it is about some tools or servers and not about others.
    pub(crate) fn tells_items_apart(&self) -> bool {
        !self.tools.is_empty() || !self.servers.is_empty()
    }

    /// Names that nobody serves match no pattern.
    pub(crate) fn matches(&self, charge: &Charge<'_>) -> bool {
        let tool = charge.name.filter(|_| charge.method == "tools/call");
        self.matches_caller(charge.caller)
            && self.tools.any(tool)
            && self.servers.any(charge.server)
    }

    pub(crate) fn matches_caller(&self, caller: &Caller) -> bool {
        let is_named = || {
            let ids = self.callers.get(&*caller.issuer);
            ids.is_some_and(|ids| ids.contains(&*caller.id))
        };
        (self.kinds.is_empty() || self.kinds.contains(&caller.kind))
            && (self.callers.is_empty() || is_named())
            && (self.roles.is_empty() || caller.roles.iter().any(|role| self.roles.contains(role)))
    }
}

/// Patterns of which one has to match, if there are any.
#[derive(Debug, Default)]
pub(crate) struct Globs(Vec<Glob>);

impl Globs {
    /// These patterns. What is none was found when the configuration was checked.
    pub(crate) fn of(patterns: &[String]) -> Self {
        let globs = patterns.iter().filter_map(|glob| Glob::parse(glob));
        Self(globs.collect())
    }

    /// True when one of them matches, or there are none.
    pub(crate) fn any(&self, name: Option<&str>) -> bool {
        let matches = |name| self.0.iter().any(|glob| glob.matches(name));
        self.0.is_empty() || name.is_some_and(matches)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::{RequestMeta, Transport};

    use super::*;
    use crate::config::{CallerConfig, KindConfig};

    fn caller(id: &str, issuer: Option<&str>) -> CallerConfig {
        CallerConfig {
            id: id.to_owned(),
            issuer: issuer.map(str::to_owned),
        }
    }

    fn matches(config: &MatchConfig, caller: &Caller, method: &str) -> bool {
        let meta = RequestMeta::new("1", Transport::Http);
        Matcher::new(config).matches(&mcp_gw_core::testing::charge(caller, &meta, method))
    }

    #[test]
    fn all_that_is_given_must_match_and_one_of_each_list() {
        let ann = Caller::new(CallerKind::User, "ann").with_roles(["dev", "ops"]);
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        let everything = MatchConfig {
            kinds: vec![KindConfig::ApiKey, KindConfig::User],
            callers: vec![caller("ann", None)],
            roles: list(&["admin", "ops"]),
            tools: list(&["b*", "a"]),
            servers: list(&["t?st"]),
        };
        assert!(matches(&everything, &ann, "tools/call"));
        assert!(
            !matches(&everything, &ann, "prompts/get"),
            "a prompt is no tool"
        );
        assert!(matches(&MatchConfig::default(), &ann, "prompts/get"));
        let change = |change: fn(&mut MatchConfig)| {
            let mut config = everything.clone();
            change(&mut config);
            matches(&config, &ann, "tools/call")
        };
        assert!(!change(|config| config.kinds = vec![KindConfig::Anonymous]));
        assert!(!change(|config| config.callers = vec![caller("bob", None)]));
        assert!(!change(|config| config.roles = vec!["admin".to_owned()]));
        assert!(!change(|config| config.tools = vec!["b".to_owned()]));
        assert!(!change(|config| config.servers = vec!["other".to_owned()]));
    }

    /// A token of somebody else's issuer must not borrow the rights of an API key of the same id.
    #[test]
    fn an_id_alone_means_a_caller_whom_the_gateway_knows_itself() {
        const ISSUER: &str = "https://issuer.example";
        let of = |caller| MatchConfig {
            callers: vec![caller],
            ..MatchConfig::default()
        };
        let (own, foreign) = (of(caller("ann", None)), of(caller("ann", Some(ISSUER))));
        let ann = Caller::new(CallerKind::ApiKey, "ann");
        let token =
            Caller::new(CallerKind::OAuthClient, "ann").with_issuer("https://issuer.example");
        for (config, caller, expected) in [
            (&own, &ann, true),
            (&own, &token, false),
            (&foreign, &ann, false),
            (&foreign, &token, true),
        ] {
            assert_eq!(matches(config, caller, "tools/call"), expected);
        }
    }
}
