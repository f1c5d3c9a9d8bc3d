use super::*;

const NO_ENV: &dyn Fn(&str) -> Option<String> = &|_| None;

/// As its page shows it, with a secret of a proper length.
const FILE: &str = "
host: 0.0.0.0
port: 8000
database_url: sqlite:///gateway.db
auth:
  enabled: true
  secret_key: 0123456789abcdef0123456789abcdef
  access_token_expire_minutes: 60
cors_origins:
  - http://localhost:3000
  - https://app.example.com
load_balancer:
  strategy: least_connections
  health_check_interval: 15
";

/// Empty when there are none.
fn faults(text: &str) -> String {
    let faults = Config::load("gateway.yaml", text, NO_ENV).err();
    faults.map(|faults| faults.to_string()).unwrap_or_default()
}

fn env(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    move |name| {
        let mut pairs = pairs.iter();
        pairs
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    }
}

#[test]
fn the_file_of_the_page_is_taken_as_it_stands() {
    let config = Config::load("gateway.yaml", FILE, NO_ENV).unwrap();
    assert_eq!(config.http.listen, "0.0.0.0:8000");
    assert_eq!(config.limits.classes, Some(Classes::Standard));
    let management = config.management.unwrap();
    assert_eq!(management.database_url.expose(), "sqlite:///gateway.db");
    assert_eq!(management.access_token_expire_minutes, 60);
    assert_eq!(management.cors_origins.len(), 2);
    let balancer = management.load_balancer;
    assert_eq!(
        (balancer.strategy, balancer.health_check_interval),
        (SpreadName::LeastConnections, 15)
    );
}

#[test]
fn the_other_page_nests_the_database() {
    let text = "database: { url: postgresql://a@b/c, echo: true, pool_size: 5, max_overflow: 10 }";
    let config = Config::load("gateway.yaml", text, NO_ENV).unwrap();
    assert!(
        config
            .remarks()
            .iter()
            .any(|it| it.sentence().contains("not active"))
    );
    let management = config.management.unwrap();
    assert_eq!(management.database_connections, 15);
    assert_eq!(management.database_url.expose(), "postgresql://a@b/c");
    assert_eq!(management.cors_origins, ["*"]);
    let twice = format!("{text}\ndatabase_url: sqlite:///a.db");
    assert!(faults(&twice).contains("says it, too"));
}

#[test]
fn variables_are_stronger_than_the_file_and_enough_without_one() {
    const ALL: &[(&str, &str)] = &[
        ("GATEWAY_HOST", "127.0.0.1"),
        ("GATEWAY_PORT", "9000"),
        ("GATEWAY_DATABASE_URL", "sqlite:///:memory:"),
        ("GATEWAY_SECRET_KEY", "fedcba9876543210fedcba9876543210"),
        ("GATEWAY_AUTH_ENABLED", "False"),
        ("GATEWAY_ADMIN_PASSWORD", "correct horse"),
        (
            "GATEWAY_CORS_ORIGINS",
            "https://a.example, https://b.example",
        ),
        ("GATEWAY_ACCESS_TOKEN_EXPIRE_MINUTES", "5"),
        ("GATEWAY_ALLOW_PRIVATE", "TRUE"),
        ("GATEWAY_ALLOWED_COMMANDS", "uvx, /usr/bin/npx"),
        ("GATEWAY_LOCAL_COMMANDS", "false"),
    ];
    let env = env(ALL);
    let of_file = Config::load("gateway.yaml", FILE, &env).unwrap();
    let alone = Config::from_env(&env).unwrap().unwrap();
    for config in [of_file, alone] {
        assert_eq!(config.http.listen, "127.0.0.1:9000");
        let management = config.management.unwrap();
        assert_eq!(management.database_url.expose(), "sqlite:///:memory:");
        assert!(!management.auth_enabled);
        assert_eq!(management.admin_password.unwrap().expose(), "correct horse");
        assert_eq!(
            management.cors_origins,
            ["https://a.example", "https://b.example"]
        );
        assert_eq!(management.access_token_expire_minutes, 5);
        assert!(management.allow_private);
        assert_eq!(management.allowed_commands, ["uvx", "/usr/bin/npx"]);
        assert!(!management.local_commands);
        assert!(management.secret_key.unwrap().expose().starts_with("fedc"));
    }
    assert!(Config::from_env(NO_ENV).is_none());
}

#[test]
fn any_of_the_variables_is_enough_and_the_rest_is_as_the_page_has_it() {
    for name in super::VARIABLES {
        let value = match name {
            "GATEWAY_HOST" => "127.0.0.1",
            "GATEWAY_PORT" => "9000",
            "GATEWAY_DATABASE_URL" => "sqlite:///gateway.db",
            "GATEWAY_ACCESS_TOKEN_EXPIRE_MINUTES" => "30",
            "GATEWAY_AUTH_ENABLED" | "GATEWAY_ALLOW_PRIVATE" | "GATEWAY_LOCAL_COMMANDS" => "true",
            "GATEWAY_CORS_ORIGINS" => "https://a.example",
            _ => "fedcba9876543210fedcba9876543210",
        };
        let one = |asked: &str| (asked == name).then(|| value.to_owned());
        let config = Config::from_env(&one).unwrap().unwrap();
        let management = config.management.unwrap();
        assert_eq!(management.database_url.expose(), "sqlite:///gateway.db");
        let empty = |asked: &str| (asked == name).then(|| " ".to_owned());
        assert!(Config::from_env(&empty).is_none(), "{name}");
    }
}

#[test]
fn the_file_says_what_users_may_register() {
    let text = "port: 1\nallow_private: true\nallowed_commands: [uvx]";
    let config = Config::load("gateway.yaml", text, NO_ENV).unwrap();
    let management = config.management.unwrap();
    assert!(management.allow_private);
    assert_eq!(management.allowed_commands, ["uvx"]);
    let strict = env(&[("GATEWAY_ALLOW_PRIVATE", "false")]);
    let config = Config::load("gateway.yaml", text, &strict).unwrap();
    assert!(!config.management.unwrap().allow_private);
    let told = faults("port: 1\nallowed_commands: [' uvx']");
    assert!(
        told.contains("gateway.yaml:2:20: allowed_commands[0]"),
        "{told}"
    );
}

#[test]
fn each_fault_is_at_the_key_or_variable_that_it_is_of() {
    for (text, message) in [
        (
            "host: nowhere",
            "gateway.yaml:1:7: host: this is not an address",
        ),
        ("port: 70000", "gateway.yaml:1:"),
        (
            "port: 8000\nauth: { secret_key: your-secret-key }",
            "stands in documents",
        ),
        (
            "port: 8000\nauth: { secret_key: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa }",
            "openssl rand -hex 32",
        ),
        (
            "port: 8000\nauth: { secret_key: '                   a                  ' }",
            "shorter than 32 bytes",
        ),
        (
            "port: 8000\nauth: { secret_key: short }",
            "gateway.yaml:2:21: auth.secret_key",
        ),
        (
            "database_url: mysql://a/b",
            "gateway.yaml:1:15: database_url",
        ),
        ("port: 8000\nauth: { algorithm: none }", "gateway.yaml:2:"),
        (
            "port: 8000\nload_balancer: { strategy: fastest }",
            "gateway.yaml:2:",
        ),
        (
            "host: 0.0.0.0\nauth: { enabled: false }",
            "let everybody in",
        ),
        ("port: 8000\nhosts: a", "hosts"),
        (
            "cors_origins: [nowhere]",
            "gateway.yaml:1:16: cors_origins[0]",
        ),
    ] {
        let told = faults(text);
        assert!(told.contains(message), "{text}: {told}");
    }
    let open = Config::load("gateway.yaml", "port: 1\nauth: { enabled: false }", NO_ENV);
    assert_eq!(open.unwrap().http.listen, "127.0.0.1:1");
    let env = env(&[
        ("GATEWAY_PORT", "many-sikrit"),
        ("GATEWAY_AUTH_ENABLED", "perhaps"),
        ("GATEWAY_SECRET_KEY", "sikrit"),
    ]);
    let told = Config::load("gateway.yaml", FILE, &env)
        .unwrap_err()
        .to_string();
    assert!(
        told.contains("GATEWAY_PORT") && told.contains("GATEWAY_AUTH_ENABLED"),
        "{told}"
    );
    assert!(!told.contains("sikrit"), "{told}");
}

#[test]
fn files_of_ours_are_not_taken_for_one() {
    for text in [
        "servers: { a: { command: a } }\npolicy: { default: allow }",
        "management: {}\npolicy: { default: allow }",
        "auth: { anonymous: true }",
        "",
        "host: a\nservers: {}",
    ] {
        assert!(!is_platform(text), "{text}");
    }
    assert!(is_platform(FILE));
    assert!(is_platform("auth: { enabled: true }"));
}

#[test]
fn the_password_of_the_first_user_may_come_from_the_environment_in_a_file_of_ours() {
    let env = env(&[("GATEWAY_ADMIN_PASSWORD", "correct horse")]);
    let text = "management: {}\npolicy: { default: allow }";
    let management = Config::load("mcp-gw.yaml", text, &env).unwrap().management;
    assert_eq!(
        management.unwrap().admin_password.unwrap().expose(),
        "correct horse"
    );
}
