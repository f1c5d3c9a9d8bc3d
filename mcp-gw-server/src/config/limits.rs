//! What of the limits fits no caller and no server of the configuration.

use mcp_gw_ratelimit::{CallerConfig, KindConfig, MatchConfig};

use super::Config;
use super::management::{KEY_ID, MANAGEMENT_ISSUER};

/// Warnings about limits: what costs more than ever fits, what has no effect, and what is about callers
/// and servers that this configuration does not have. One sentence for each.
pub(crate) fn limit_warnings(config: &Config) -> Vec<String> {
    let mut lines: Vec<_> = config
        .limits
        .doubts()
        .iter()
        .map(ToString::to_string)
        .collect();
    for (n, rule) in config.limits.rules.iter().enumerate() {
        let path = format!("limits.rules[{n}]");
        unmet(config, &format!("{path}.for"), &rule.applies_to, &mut lines);
        for (n, other) in rule.overrides.iter().enumerate() {
            let path = format!("{path}.overrides[{n}].for");
            unmet(config, &path, &other.applies_to, &mut lines);
        }
    }
    for (n, limit) in config.limits.concurrent.iter().enumerate() {
        let path = format!("limits.concurrent[{n}].for");
        unmet(config, &path, &limit.applies_to, &mut lines);
    }
    lines
}

/// Warnings about patterns of servers that match none of the configuration.
#[cfg(any(feature = "cli", test))]
pub(crate) fn unknown_servers(config: &Config) -> Vec<String> {
    let Ok(set) = mcp_gw_ratelimit::LimitSet::new(&config.limits) else {
        return Vec::new();
    };
    let servers: Vec<_> = config.server_names().collect();
    // Of tools nobody knows the names yet.
    let faults = set.unmatched(&[], &servers).into_iter();
    let is_of_servers =
        |fault: &mcp_gw_ratelimit::LimitFault| fault.message.starts_with("no server");
    faults
        .filter(is_of_servers)
        .map(|fault| fault.to_string())
        .collect()
}

/// What `applies` says of callers whom nobody can be.
fn unmet(config: &Config, path: &str, applies: &MatchConfig, lines: &mut Vec<String>) {
    let (keys, issuers) = (&config.auth.api_keys, &config.auth.jwt);
    let is_managed = config.management.is_some();
    for (n, server) in applies.servers.iter().enumerate() {
        if config.gateway_tool() == Some(server) {
            lines.push(format!(
                "{path}.servers[{n}]: no call is one of `{server}`: each is one of the API that it names; name \
                 the APIs, or write `tools: [{server}]`"
            ));
        }
    }
    let mut warn = |key: &str, n: usize, what: String| {
        let help = "it never applies; look for a misspelling, or leave it out";
        lines.push(format!("{path}.{key}[{n}]: {what}; {help}"));
    };
    for (n, caller) in applies.callers.iter().enumerate() {
        let CallerConfig { id, issuer, .. } = caller;
        // Whoever has a token of that issuer.
        let by_token = issuers.iter().any(|known| known.issuer == *issuer)
            || (is_managed && issuer.as_deref() == Some(MANAGEMENT_ISSUER));
        let by_key = issuer.is_none()
            && (keys.iter().any(|key| key.id == *id)
                || (is_managed && id.starts_with(KEY_ID))
                || matches!(id.as_str(), "anonymous" | "local"));
        let is_there = by_token || by_key;
        if !is_there {
            warn("callers", n, format!("`{id}` is no caller of `auth`"));
        }
    }
    for (n, role) in applies.roles.iter().enumerate() {
        if issuers.is_empty() && !is_managed && !keys.iter().any(|key| key.roles.contains(role)) {
            warn(
                "roles",
                n,
                format!("no key of `auth` has the role `{role}`"),
            );
        }
    }
    for (n, kind) in applies.kinds.iter().enumerate() {
        let is_there = match kind {
            KindConfig::Anonymous => !config.knows_callers() || config.auth.anonymous,
            KindConfig::ApiKey => !keys.is_empty() || is_managed,
            KindConfig::User => !issuers.is_empty() || is_managed,
            KindConfig::OauthClient => !issuers.is_empty(),
            KindConfig::Local => true,
            _ => false,
        };
        if !is_there {
            let kind = kind.get().as_str();
            warn(
                "kinds",
                n,
                format!("`auth` lets nobody in of the kind `{kind}`"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(limits: &str) -> Config {
        let text = format!(
            "auth: {{ api_keys: [{{ id: ann, key: ann-0123456789abcdef, roles: [batch] }}] }}\n\
             policy: {{ default: allow }}\nlimits: {limits}\n\
             servers: {{ docs: {{ url: \"http://127.0.0.1:1/mcp\" }} }}\n"
        );
        Config::load("mcp-gw.yaml", &text, &|_| None).unwrap()
    }

    #[test]
    fn rules_for_whom_nobody_can_be_are_told_of() {
        let limits = "{ rules: [{ name: a, quota: 5, window: 60s, overrides: [\
             { for: { callers: [{ id: nobody }] }, quota: 9 },\
             { for: { roles: [admin] }, quota: 9 },\
             { for: { kinds: [oauth_client] }, quota: 9 },\
             { for: { callers: [{ id: ann }], roles: [batch], kinds: [api_key] }, quota: 9 }] }],\
             concurrent: [{ name: b, max: 1, for: { kinds: [user], servers: [dcos] } }] }";
        let config = config(limits);
        let lines = limit_warnings(&config);
        let at: Vec<_> = lines
            .iter()
            .filter_map(|line| line.split(": ").next())
            .collect();
        assert_eq!(
            at,
            [
                "limits.rules[0].overrides[0].for.callers[0]",
                "limits.rules[0].overrides[1].for.roles[0]",
                "limits.rules[0].overrides[2].for.kinds[0]",
                "limits.concurrent[0].for.kinds[0]",
            ],
            "{lines:?}"
        );
        assert_eq!(
            unknown_servers(&config),
            ["limits.concurrent[0].for.servers[0]: no server matches `dcos`; did you mean `docs`?"]
        );
    }

    #[test]
    fn a_limit_for_the_tool_that_reaches_apis_is_told_of() {
        let limits = |applies: &str| {
            let limits = format!(
                "{{ rules: [{{ name: a, quota: 5, window: 60s, for: {{ {applies} }} }}] }}\n\
                 apis: {{ pets: {{ url: 'https://pets.example' }} }}"
            );
            limit_warnings(&config(&limits))
        };
        assert_eq!(
            limits("servers: [api_gateway]"),
            [
                "limits.rules[0].for.servers[0]: no call is one of `api_gateway`: each is one of the API that it \
              names; name the APIs, or write `tools: [api_gateway]`"
            ]
        );
        for good in ["servers: [pets]", "tools: [api_gateway]", "servers: ['*']"] {
            assert_eq!(limits(good), [""; 0], "{good}");
        }
    }

    #[test]
    fn a_number_that_is_too_great_is_said_where_it_is() {
        for great in [
            "18446744073709551615",
            "9223372036854775808",
            "1e30",
            "2000000000",
        ] {
            let text = format!(
                "policy: {{ default: allow }}\nlimits: {{ rules: [{{ name: a, quota: 5, \
                 window: 60s, burst: {great} }}] }}\n\
                 servers: {{ docs: {{ url: \"http://127.0.0.1:1/mcp\" }} }}\n"
            );
            let faults = Config::load("mcp-gw.yaml", &text, &|_| None).unwrap_err();
            let text = faults.to_string();
            assert!(text.contains("limits.rules[0].burst: "), "{great}: {text}");
        }
    }
}
