use std::path::Path;

use super::super::Config;

const TOKEN: &str = "a7ee-0123456789abcdef";

fn env(name: &str) -> Option<String> {
    match name {
        "TOKEN" => Some(TOKEN.to_owned()),
        "BROKEN" => Some(format!("{TOKEN}\n{TOKEN}")),
        "EMPTY" => Some(" ".to_owned()),
        _ => None,
    }
}

fn load(server: &str) -> Result<Config, String> {
    let text = format!("servers: {{ a: {{ {server} }} }}\npolicy: {{ default: allow }}\n");
    let loaded = Config::load("/no/such/folder/mcp-gw.yaml", &text, &env);
    loaded.map_err(|faults| {
        let says = faults.to_string();
        assert!(!says.contains(TOKEN), "{says}");
        says
    })
}

/// A section with further keys.
fn section(rest: &str) -> String {
    format!("api7: {{ dashboard_url: 'https://d.example:7443', token: '${{TOKEN}}'{rest} }}")
}

#[test]
fn what_is_wrong_with_it_is_said_with_what_to_do() {
    let table = [
        section(""),
        section(", access: read-write, gateway_url: 'http://g.example:9080'"),
        "api7: {}".to_owned(),
        "api7: { dashboard_url: 'https://d.example' }".to_owned(),
        "api7: { dashboard_url: 'https://d.example', token: '${EMPTY}' }".to_owned(),
        "api7: { dashboard_url: 'https://d.example', token: '${BROKEN}' }".to_owned(),
        "api7: { dashboard_url: 'https://d.example', token: '${UNSET}' }".to_owned(),
        "api7: { dashboard_url: 'https://d.example', token_file: token }".to_owned(),
        "api7: { dashboard_url: d.example, token: '${TOKEN}' }".to_owned(),
        "api7: { dashboard_url: 'https://me:${TOKEN}@d.example', token: '${TOKEN}' }".to_owned(),
        section(", token_file: token, gateway_url: 'ftp://g'"),
        section(", ca_file: ca.pem, proxy: '://${TOKEN}', answer_size: 2MiB"),
        section(", access: write, secrets: always, max_gateway_requests: 0"),
        section(", tools: [get_ressource, wrong], exclude_tools: [nothing]"),
        section(", tools: [get_role, create_role], access: read-only"),
        section(", tools: [get_role, create_role], exclude_tools: [create_role]"),
        section(", tools: []"),
        section("") + ", url: 'https://x', command: b",
        section("") + ", apisix: { admin_url: 'http://x', admin_key: '${TOKEN}' }",
        "apisix: {}".to_owned(),
        "apisix: { admin_url: 'http://x/apisix/admin', admin_key: '${TOKEN}', tools: [get_route] }"
            .to_owned(),
        "apisix: { admin_url: x, admin_key: '${EMPTY}', gateway_url: 'ftp://x' }".to_owned(),
        "apisix: { admin_url: 'http://x', admin_key_file: key }, retries: {}".to_owned(),
        section("") + ", args: [a], headers: { A: b }, health: {}, retries: {}, max_connections: 5",
        section("") + ", max_connections_per_caller: 0, idle_timeout: 1m, balance: {}",
        section("") + ", timeout: 1500ms",
        section(", risk: { certificate_days: 60, max_full_admins: 1, rules_off: [unused-role] }"),
        section(", risk: { certificate_dais: 60, rules_off: [unused-rol], max_seconds: 0 }"),
        section(
            ", risk: { max_server_error_percent: 101, max_full_admins: many, traffic_factor: 1 }",
        ),
        section(
            ", risk: { min_gateway_version: latest, exposed_words: [admin, /x], auth_plugins: [''] }",
        ),
        "apisix: { admin_url: 'http://x', admin_key: '${TOKEN}', risk: {} }".to_owned(),
        section("") + ", timeout: 11m, max_concurrent: 4, prefix: always, pins: warn",
        section("") + ", timeout: 1m, max_concurrent: 4, tools: { get_role: { hide: true } }",
    ];
    let rendered = table.map(|server| {
        let says = load(&server).map_or_else(|says| says, |_| "no fault".to_owned());
        // Which tools there are is another test's matter.
        let shown = says
            .lines()
            .map(|line| match line.split_once("; there are get_") {
                Some((before, _)) => format!("{before}; there are …"),
                None => line.to_owned(),
            });
        let shown = shown.collect::<Vec<_>>().join("\n");
        format!("{server}\n=> {shown}\n")
    });
    insta::assert_snapshot!(rendered.join("\n"));
}

#[test]
fn a_credential_that_leaves_this_machine_without_tls_is_warned_of() {
    let told = |server: String| {
        let remarks = load(&server).unwrap().remarks();
        let lines: Vec<_> = remarks.iter().map(crate::config::Fault::sentence).collect();
        lines.join("\n")
    };
    let api7 = |url: &str| {
        told(format!(
            "api7: {{ dashboard_url: '{url}', token: '${{TOKEN}}' }}"
        ))
    };
    let apisix = |url: &str| {
        told(format!(
            "apisix: {{ admin_url: '{url}', admin_key: '${{TOKEN}}' }}"
        ))
    };
    let says = api7("http://d.example:7080");
    assert!(
        says.starts_with(
            "servers.a.api7.dashboard_url: the token goes over the network without TLS"
        ),
        "{says}"
    );
    let says = apisix("http://10.0.0.1:9180/apisix/admin");
    assert!(
        says.starts_with("servers.a.apisix.admin_url: the key goes over the network without TLS"),
        "{says}"
    );
    for url in [
        "https://d.example",
        "http://localhost:9180",
        "http://127.0.0.1:9180",
        "http://[::1]",
    ] {
        assert_eq!(
            (api7(url), apisix(url)),
            (String::new(), String::new()),
            "{url}"
        );
    }
}

#[test]
fn it_is_explained_without_what_is_secret() {
    let explained = |rest: &str| {
        let text = load(&section(rest)).unwrap().explain();
        let (_, text) = text.split_once("what is behind it\n").unwrap();
        text.lines().next().unwrap().to_owned()
    };
    assert_eq!(
        explained(", gateway_url: 'http://g.example:9080/x', access: read-only"),
        "  a: API7 Enterprise at https://d.example:7443, reads only, test requests to \
         http://g.example:9080/x, answers in 30s"
    );
    let text = "apisix: { admin_url: 'http://x.example:9180/apisix/admin', admin_key: '${TOKEN}' }";
    let text = load(text).unwrap().explain();
    assert!(
        text.contains(
            "  a: Apache APISIX at http://x.example:9180/apisix/admin, shows what it would write, "
        ),
        "{text}"
    );
    assert!(explained("").contains(", shows what it would write, "));
    assert!(explained(", access: read-write").contains(", may write, "));
    let debug = format!("{:?}", load(&section("")).unwrap());
    assert!(!debug.contains(TOKEN), "{debug}");
}

/// A configuration whose token is in a file.
fn of_folder(folder: &Path, text: &str) -> Config {
    let file = folder.join("mcp-gw.yaml");
    Config::load(&file.display().to_string(), text, &env).unwrap()
}

#[test]
fn a_server_is_another_when_a_file_that_it_names_is() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
    let text = "policy: { default: allow }\nservers:\n  \
                a: { api7: { dashboard_url: 'https://d.example', token_file: token } }\n  \
                b: { command: b }\n";
    let before = of_folder(folder.path(), text);
    assert_eq!(before.files(), [token.as_path()]);
    let same = of_folder(folder.path(), text);
    assert!(!before.marks.differ_in_server(&same.marks, "a"));
    std::fs::write(&token, "a7ee-another").unwrap();
    let after = of_folder(folder.path(), text);
    assert!(before.marks.differ_in_server(&after.marks, "a"));
    assert!(!before.marks.differ_in_server(&after.marks, "b"));
    let section = after.servers["a"].api7.as_ref().unwrap();
    let made = section
        .resolve("a", std::time::Duration::from_secs(7))
        .unwrap();
    assert_eq!(made.token.expose(), "a7ee-another");
    assert_eq!((made.name.as_str(), made.timeout_seconds), ("a", 7));
}
