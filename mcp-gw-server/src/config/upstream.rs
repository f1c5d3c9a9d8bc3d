//! Checks of one server behind the gateway.

use std::collections::BTreeSet;

use http::{HeaderName, HeaderValue};
use url::Url;

use super::admin_api::{self, AdminApi};
use super::balance::{self, ReplicaConfig};
use super::check::Checker;
use super::fault::short;
use super::path::ConfigPath;
use super::reshape;
use super::server::{ServerConfig, ServerTarget};

/// Reports what is wrong with `server`.
pub(super) fn check(checker: &mut Checker<'_>, server: &ServerConfig, path: &ConfigPath) {
    reshape::check(checker, &server.tools, &path.key("tools"));
    checker.duration(&path.key("timeout"), server.timeout);
    checker.duration(&path.key("idle_timeout"), server.idle_timeout);
    connections(checker, server, &path.key("max_connections"));
    share(checker, server, &path.key("max_connections_per_caller"));
    for (key, value) in [
        ("start_timeout", server.start_timeout),
        ("connect_timeout", server.connect_timeout),
    ] {
        if let Some(value) = value {
            checker.duration(&path.key(key), value);
        }
    }
    balance::check(checker, server, path);
    empty_lists(checker, server, path);
    let places = || PLACES.map(|key| path.key(key)).into();
    if let Some(api) = server.admin_api() {
        admin_api::check(checker, &api, &path.key(api.key()));
        return beside_admin_api(checker, server, &api, path);
    }
    match (
        &server.command,
        &server.url,
        &*server.urls,
        &*server.replicas,
    ) {
        (Some(command), None, [], []) => {
            strays(checker, path, "command", &only_for_urls(server));
            process(checker, server, command, path);
        }
        (None, Some(url), [], []) => {
            strays(checker, path, "url", &only_for_commands(server));
            address(checker, url, &path.key("url"));
            headers(checker, server, &path.key("headers"));
        }
        (None, None, urls @ [_, ..], []) => {
            strays(checker, path, "urls", &only_for_commands(server));
            let at = |index| path.key("urls").index(index);
            for (index, url) in urls.iter().enumerate() {
                address(checker, url, &at(index));
            }
            let all = urls.iter().enumerate();
            balance::check_twice(checker, all.map(|(index, url)| (at(index), &**url)));
            headers(checker, server, &path.key("headers"));
        }
        (None, None, [], [_, ..]) => replicas(checker, server, path),
        (None, None, [], []) => checker.fault_of(
            path,
            places(),
            "neither `command` nor `url` is given",
            "add `command: npx` with `args:`, or `url: \"https://…\"`",
        ),
        (Some(_), Some(_), [], []) => checker.fault_of(
            path,
            places(),
            "both `command` and `url` are given",
            "keep `command` for a program that is started here, or `url` for one that runs already",
        ),
        _ => checker.fault_of(
            path,
            places(),
            "more than one of `command`, `url`, `urls` and `replicas` is given",
            "keep one; `urls` and `replicas` are for a server that runs in several places",
        ),
    }
}

/// Where a server is: one of these.
const PLACES: [&str; 8] = [
    "command", "url", "urls", "replicas", "api7", "apisix", "konnect", "kong",
];

/// Reports what belongs to MCP servers beside an admin API, and a time that its requests cannot have.
fn beside_admin_api(
    checker: &mut Checker<'_>,
    server: &ServerConfig,
    api: &AdminApi,
    path: &ConfigPath,
) {
    let kind = api.key();
    let elsewhere = [
        server.has_several_admin_apis(),
        server.command.is_some(),
        server.url.is_some(),
        !server.urls.is_empty(),
        !server.replicas.is_empty(),
    ];
    if elsewhere.contains(&true) {
        let message = format!("`{kind}` is given beside another place of the server");
        let help = format!("keep one; `{kind}` needs neither an MCP server nor anything beside it");
        return checker.fault_of(path, PLACES.map(|key| path.key(key)).into(), message, help);
    }
    strays(checker, path, kind, &only_for_urls(server));
    strays(checker, path, kind, &only_for_commands(server));
    let is_said = |key| checker.says(&path.key(key));
    let others = [
        ("health", server.health.is_some()),
        ("max_connections", server.max_connections.is_some()),
        (
            "max_connections_per_caller",
            server.max_connections_per_caller.is_some(),
        ),
        ("retries", is_said("retries")),
        ("idle_timeout", is_said("idle_timeout")),
    ];
    strays(checker, path, kind, &others);
    let timeout = server.timeout.get();
    if timeout.subsec_nanos() != 0 || !(1..=600).contains(&timeout.as_secs()) {
        let help = "write whole seconds, from `1s` to `10m`";
        checker.fault(
            &path.key("timeout"),
            "no time that a request can have",
            help,
        );
    }
}

/// Reports a list of places in which there is none. It is no list that was not given: something was
/// meant to be there.
fn empty_lists(checker: &mut Checker<'_>, server: &ServerConfig, path: &ConfigPath) {
    for (key, is_empty) in [
        ("urls", server.urls.is_empty()),
        ("replicas", server.replicas.is_empty()),
    ] {
        let at = path.key(key);
        if is_empty && checker.says(&at) {
            let help = "name the places where the server runs, or remove the key";
            checker.fault(&at, format!("`{key}` is an empty list"), help);
        }
    }
}

fn only_for_urls(server: &ServerConfig) -> [(&'static str, bool); 2] {
    [
        ("headers", !server.headers.is_empty()),
        ("connect_timeout", server.connect_timeout.is_some()),
    ]
}

fn only_for_commands(server: &ServerConfig) -> [(&'static str, bool); 4] {
    [
        ("args", !server.args.is_empty()),
        ("env", !server.env.is_empty()),
        ("cwd", server.cwd.is_some()),
        ("start_timeout", server.start_timeout.is_some()),
    ]
}

fn replicas(checker: &mut Checker<'_>, server: &ServerConfig, path: &ConfigPath) {
    let all = &server.replicas;
    if all.iter().all(|replica| replica.url.is_none()) {
        strays(checker, path, "command", &only_for_urls(server));
    }
    if all.iter().all(|replica| replica.command.is_none()) {
        strays(checker, path, "url", &only_for_commands(server));
    }
    for (index, replica) in all.iter().enumerate() {
        let at = path.key("replicas").index(index);
        match (&replica.command, &replica.url) {
            (Some(command), None) => program(checker, command, &at.key("command")),
            (None, Some(url)) => {
                if replica.args.is_some() {
                    strays(checker, &at, "url", &[("args", true)]);
                }
                address(checker, url, &at.key("url"));
            }
            _ => checker.fault_of(
                &at,
                vec![at.key("command"), at.key("url")],
                "not exactly one of `command` and `url` is given",
                "give each replica one of them",
            ),
        }
        arguments(checker, replica.args.iter().flatten(), &at.key("args"));
    }
    let urls = all.iter().enumerate().filter_map(|(index, replica)| {
        let at = path.key("replicas").index(index).key("url");
        Some((at, replica.url.as_deref()?))
    });
    balance::check_twice(checker, urls);
    arguments(checker, &server.args, &path.key("args"));
    variables(checker, server, path);
    headers(checker, server, &path.key("headers"));
}

/// Reports more connections than a machine can be meant to bear.
fn connections(checker: &mut Checker<'_>, server: &ServerConfig, path: &ConfigPath) {
    let is_process = |replica: &ReplicaConfig| replica.command.is_some();
    let (most, of) = if server.command.is_some() || server.replicas.iter().any(is_process) {
        (1024, "processes")
    } else {
        (65_536, "connections")
    };
    if server.max_connections.is_some_and(|wanted| wanted > most) {
        let help = format!("write at most {most}; `0` lets all clients share one");
        checker.fault(path, format!("that many {of} cannot be meant"), help);
    }
}

/// Reports a share of one caller that is none, or more than all.
fn share(checker: &mut Checker<'_>, server: &ServerConfig, path: &ConfigPath) {
    let Some(share) = server.max_connections_per_caller else {
        return;
    };
    let most = server
        .targets()
        .iter()
        .map(ServerTarget::max_connections)
        .min();
    if server.admin_api().is_some() {
        return;
    }
    if share == 0 {
        checker.fault(
            path,
            "no caller could have any",
            "write at least 1; `max_connections: 0` lets all clients share one",
        );
    } else if let Some(most) = most
        && share > most
    {
        checker.fault(
            path,
            format!("one caller cannot have more than all, which are {most}"),
            "write less, or a larger `max_connections`",
        );
    }
}

/// Reports keys that belong to the other kind of server.
fn strays(checker: &mut Checker<'_>, path: &ConfigPath, kind: &str, keys: &[(&str, bool)]) {
    for (key, present) in keys {
        if *present {
            let message = format!("`{key}` has no meaning for a server with `{kind}`");
            checker.key_fault(&path.key(key), message, "remove it");
        }
    }
}

fn process(checker: &mut Checker<'_>, server: &ServerConfig, command: &str, path: &ConfigPath) {
    program(checker, command, &path.key("command"));
    arguments(checker, &server.args, &path.key("args"));
    variables(checker, server, path);
}

fn program(checker: &mut Checker<'_>, command: &str, at: &ConfigPath) {
    if command.trim().is_empty() || command.contains('\0') {
        checker.fault(at, "the command is empty", "name a program, such as `npx`");
    } else if looks_like_a_line(command) {
        let message = "the command has arguments in it, but no shell splits it";
        checker.fault(
            at,
            message,
            "keep the program here and put the rest into `args:`",
        );
    }
}

fn arguments<'a>(
    checker: &mut Checker<'_>,
    args: impl IntoIterator<Item = &'a String>,
    path: &ConfigPath,
) {
    for (index, arg) in args.into_iter().enumerate() {
        if arg.contains('\0') {
            let at = path.index(index);
            checker.fault(&at, "the argument has a NUL character", "remove it");
        }
    }
}

fn variables(checker: &mut Checker<'_>, server: &ServerConfig, path: &ConfigPath) {
    for (name, value) in &server.env {
        let at = path.key("env").key(name);
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("`{}` cannot name an environment variable", short(name));
            checker.key_fault(&at, message, "use letters, digits and `_`");
        }
        if value.expose().contains('\0') {
            checker.fault(&at, "the value has a NUL character", "remove it");
        }
    }
}

/// `npx -y server`, but not `/Applications/My App/server`.
fn looks_like_a_line(command: &str) -> bool {
    command.split_once(' ').is_some_and(|(program, rest)| {
        !program.contains(['/', '\\']) || rest.trim_start().starts_with('-')
    })
}

fn address(checker: &mut Checker<'_>, text: &str, path: &ConfigPath) {
    let example = "write an address such as `https://mcp.example.com/mcp`";
    let Ok(url) = Url::parse(text) else {
        return checker.fault(path, "this is not a URL", example);
    };
    if !matches!(url.scheme(), "http" | "https") {
        checker.fault(path, "the URL is neither `http` nor `https`", example);
    } else if url.host_str().is_none_or(str::is_empty) {
        checker.fault(path, "the URL has no host", example);
    }
    if !url.username().is_empty() || url.password().is_some() {
        let help = "remove it and send it as a header: `headers: { Authorization: … }`";
        checker.fault(path, "the URL has a user name or password in it", help);
    }
    if url.fragment().is_some() {
        checker.fault(
            path,
            "the URL has a `#` part, which is never sent",
            "remove it",
        );
    }
}

fn headers(checker: &mut Checker<'_>, server: &ServerConfig, path: &ConfigPath) {
    let mut seen = BTreeSet::new();
    for (name, value) in &server.headers {
        let at = path.key(name);
        let Ok(header) = HeaderName::try_from(name.as_str()) else {
            let message = format!("`{}` is not the name of a header", short(name));
            checker.key_fault(&at, message, "use letters, digits and `-`");
            continue;
        };
        let lower = header.as_str();
        if RESERVED.contains(&lower) || lower.starts_with("mcp-") {
            let message = format!("the header `{lower}` is set by the gateway itself");
            checker.key_fault(&at, message, "remove it");
        }
        if !seen.insert(lower.to_owned()) {
            let message = "another header has the same name in other letters";
            checker.key_fault(&at, message, "keep one of the two");
        }
        if HeaderValue::try_from(value.expose().as_str()).is_err() {
            let message = "the value has a character that cannot be sent in a header";
            checker.fault(
                &at,
                message,
                "check it for line ends and control characters",
            );
        }
    }
}

/// Headers that belong to one connection or to the protocol (RFC 9110, section 7.6.1).
const RESERVED: [&str; 14] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
