use super::*;
use crate::config::ConfigFaults;

fn load(text: &str) -> Result<Config, ConfigFaults> {
    Config::load("test", text, &|_| None)
}

fn faults(text: &str) -> String {
    load(text).map(|_| ()).unwrap_err().to_string()
}

#[test]
#[cfg(feature = "management")]
fn a_section_alone_is_a_configuration() {
    let config = load("management: {}\npolicy: { default: allow }").unwrap();
    assert!(config.knows_callers() && config.is_keyed());
    let management = config.management.unwrap();
    assert_eq!(management.access_token_expire_minutes, 30);
    assert_eq!(management.database_url.expose(), "sqlite:///gateway.db");
    assert_eq!(management.audit.max_events, Some(MOST_EVENTS));
    assert!(management.local_commands);
    let text = "management: { audit: { max_events: 9000000000 }, local_commands: false }";
    let all = load(&format!("{text}\npolicy: {{ default: allow }}")).unwrap();
    let all = all.management.unwrap();
    assert_eq!(
        (all.audit.max_events, all.local_commands),
        (Some(9_000_000_000), false)
    );
    let open = load("management: { auth_enabled: false }\npolicy: { default: allow }").unwrap();
    assert!(!open.knows_callers() && !open.is_keyed());
    let shown = format!("{management:?}");
    assert!(!shown.contains("sqlite"), "{shown}");
}

#[test]
#[cfg(feature = "management")]
fn nobody_listens_beyond_this_machine_without_credentials() {
    let text = "http: { listen: 0.0.0.0:1 }\nmanagement: {}\npolicy: { default: allow }";
    load(text).unwrap();
    let open = "http: { listen: 0.0.0.0:1 }\nmanagement: { auth_enabled: false }\npolicy: { default: \
                allow }";
    assert!(
        faults(open).contains("let everybody in"),
        "{}",
        faults(open)
    );
}

#[test]
#[cfg(feature = "management")]
fn each_fault_says_where_and_what_to_do() {
    for (text, message) in [
        ("secret_key: your-secret-key", "stands in documents"),
        ("secret_key: YOUR-SECRET-KEY", "stands in documents"),
        ("secret_key: 0123456789abcdef", "shorter than 32 bytes"),
        ("admin_password: short", "has not 8 to 1024 bytes"),
        ("database_url: mysql://a/b", "not supported"),
        ("database_url: gateway.db", "no scheme"),
        ("role_scopes: { r: [admin] }", "no role has"),
        ("role_scopes: { r: [write] }", "`write` is no scope"),
        ("cors_origins: [example.com]", "is not an origin"),
        ("allowed_commands: [\" uvx\"]", "blanks around"),
        ("login: { window: 2h }", "longer than an hour"),
        ("login: { window: 0s }", "duration of zero"),
        ("access_token_expire_minutes: 0", "at least 1"),
    ] {
        let told = faults(&format!(
            "management:\n  {text}\npolicy: {{ default: allow }}"
        ));
        assert!(told.contains(message), "{text}: {told}");
        assert!(told.contains("test:2"), "{text}: {told}");
    }
}

#[test]
#[cfg(feature = "management")]
fn no_message_has_a_secret() {
    let env = |name: &str| (name == "S").then(|| "sikrit-of-sixteen".to_owned());
    let text =
        "management: { secret_key: \"${S}\", admin_password: \"${S}\", database_url: \"${S}\" }";
    let told = Config::load("test", text, &env).unwrap_err().to_string();
    assert!(!told.contains("sikrit"), "{told}");
}

#[test]
#[cfg(feature = "management")]
fn a_dull_secret_is_told_of() {
    let text = |secret: &str| {
        format!("management: {{ secret_key: {secret} }}\npolicy: {{ default: allow }}")
    };
    let remarks = load(&text(&"ab".repeat(16))).unwrap().remarks();
    let told = remarks.iter().map(crate::config::fault::Fault::sentence);
    assert!(told.into_iter().any(|told| told.contains("may be guessed")));
    // No token could be signed with it: the start would fail.
    let refused = faults(&text(&"a".repeat(40)));
    assert!(refused.contains("openssl rand -hex 32"), "{refused}");
}

#[test]
#[cfg(feature = "management")]
fn nobody_else_is_taken_for_a_user_or_a_key_of_it() {
    let told = faults(
        "management: {}
policy: { default: allow }
auth:
  api_keys: [{ id: \"key:1\", key: 0123456789abcdef0 }]
  jwt: [{ issuer: mcp-gw, hs256_secret: 0123456789abcdef0123456789abcdef, audience: [a] }]",
    );
    assert!(told.contains("does not begin with `key:`"), "{told}");
    assert!(told.contains("issues its tokens by this name"), "{told}");
}

#[test]
#[cfg(not(feature = "management"))]
fn a_program_without_it_says_so() {
    assert!(faults("management: {}").contains("built without"));
}
