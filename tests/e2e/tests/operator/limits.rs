//! Limits of a gateway that runs: changed, and shared with another one.

use std::fmt::Write as _;

use crate::support::client::{Client, Era};
use crate::support::json::{at, items};
use crate::support::setup::{Folder, Running, Setup};
use crate::support::{HTTP_BIN, ODD_BIN};

use super::redis::Redis;
use super::run;

fn yaml(limits: &str) -> String {
    format!(
        "http: {{ listen: \"127.0.0.1:0\" }}\npolicy: {{ default: allow }}\n\
         limits: {{ {limits} }}\n\
         servers: {{ odd: {{ command: {ODD_BIN:?}, args: [\"--modern\"] }} }}\n"
    )
}

fn gateway(limits: &str) -> Running {
    Setup::verbatim(&yaml(limits)).over_http()
}

/// Puts other limits in force, as the reload of this number.
fn change(gateway: &Running, limits: &str, number: usize) {
    gateway.configure(&yaml(limits));
    let is_end = |line: &str| line.contains("\"reloaded: ") || line.contains("not reloaded");
    let lines = gateway.process.stderr.first(number, is_end);
    let last = lines.last().unwrap();
    assert!(last.contains("changed: limits"), "{last}");
}

/// The limit that refuses a call, if one does.
fn refused(client: &Client) -> Option<String> {
    let answer = client.tool("echo", "{}");
    answer
        .0
        .contains("-31001")
        .then(|| at(&answer.error(), &["data", "limit"]))
}

/// How many calls are admitted before one is not.
fn admitted(client: &Client) -> usize {
    (0..1_000).take_while(|_| refused(client).is_none()).count()
}

#[test]
fn a_lower_limit_holds_at_once_and_a_greater_one_forgives_nothing() {
    let gateway = gateway("calls_per_minute: 5");
    let client = gateway.client(Era::Modern);
    for _ in 0..3 {
        assert_eq!(refused(&client), None);
    }
    change(&gateway, "calls_per_minute: 2", 1);
    let name = Some("\"calls_per_minute\"".to_owned());
    assert_eq!(
        refused(&client),
        name,
        "three were used of what are two now"
    );
    change(&gateway, "calls_per_minute: 6", 2);
    assert_eq!(admitted(&client), 3, "three of six were used");
}

#[test]
fn two_gateways_with_one_redis_stay_within_one_limit_and_counts_outlive_them() {
    let Some(redis) = Redis::start() else { return };
    let mut limits = String::from("calls_per_minute: 20");
    let _ = write!(
        limits,
        ", redis: {{ url: \"{}\", timeout: 5s }}",
        redis.url()
    );
    let [one, two] = [gateway(&limits), gateway(&limits)];
    for each in [&one, &two] {
        each.process.stderr.with("rate limits are counted in Redis");
    }
    let count = |gateway: &Running| {
        let client = gateway.client(Era::Modern);
        std::thread::spawn(move || admitted(&client))
    };
    let both = [count(&one), count(&two)];
    let both = both.map(|thread| thread.join().unwrap());
    assert_eq!(both.iter().sum::<usize>(), 20, "{both:?}");
    drop((one, two));
    let three = gateway(&limits);
    assert_eq!(admitted(&three.client(Era::Modern)), 0);
}

#[test]
fn without_its_redis_a_gateway_starts_and_does_as_it_was_told() {
    for (on_error, most) in [("deny", 0), ("local, nodes: 2", 3), ("allow", 1_000)] {
        let away = "redis+unix:///nonexistent/redis.sock";
        let limits =
            format!("calls_per_minute: 6, redis: {{ url: \"{away}\", on_error: {on_error} }}");
        let gateway = gateway(&limits);
        let client = gateway.client(Era::Modern);
        let count = (0..=most).take_while(|_| {
            let answer = client.tool("echo", "{}");
            // That nobody can tell is another answer than that it was too much.
            !answer.0.contains("-31001") && !answer.0.contains("-31005")
        });
        let count = count.count().min(most);
        assert_eq!(count, most, "{on_error}");
        if on_error == "deny" {
            assert_eq!(client.tool("echo", "{}").fault().0, -31005);
        }
        let line = gateway.process.stderr.with("Redis does not decide");
        assert!(line.contains("\"WARN\""), "{line}");
    }
}

#[test]
fn counts_move_to_another_redis_and_back_into_memory() {
    let (Some(first), Some(second)) = (Redis::start(), Redis::start()) else {
        return;
    };
    let of = |redis: &Redis| {
        format!(
            "calls_per_minute: 2, redis: {{ url: \"{}\", timeout: 5s }}",
            redis.url()
        )
    };
    let gateway = gateway(&of(&first));
    let client = gateway.client(Era::Modern);
    assert_eq!(admitted(&client), 2);
    change(&gateway, &of(&second), 1);
    assert_eq!(admitted(&client), 2, "another Redis knows of nothing");
    change(&gateway, &of(&first), 2);
    assert_eq!(admitted(&client), 0, "the first knows of all");
    change(&gateway, "calls_per_minute: 2", 3);
    assert_eq!(admitted(&client), 2, "and this process of nothing");
}

#[test]
fn who_asks_is_shown_which_limits_apply_and_what_is_left() {
    let show = |limits: &str, args: &[&str]| {
        let folder = Folder::new();
        let auth = "auth: { api_keys: [{ id: ann, key: ann-0123456789abcdef, roles: [batch] }] }";
        let file = folder.file("mcp-gw.yaml", &(yaml(limits) + auth));
        let args = [&["limits", "show", "--config", &file], args].concat();
        run(HTTP_BIN, &args)
    };
    let rules = "rules: [{ name: minute, quota: 60, window: 1m, \
                 overrides: [{ for: { roles: [batch] }, quota: 600 }] }]";
    let (code, all, _) = show(rules, &[]);
    assert_eq!(code, Some(0));
    assert!(
        all.contains("minute: 600 per 1m for each caller (roles batch)\n"),
        "{all}"
    );
    assert!(all.contains("minute: 60 per 1m for each caller\n"), "{all}");
    let (_, ann, _) = show(rules, &["--caller", "ann"]);
    assert!(
        ann.contains("minute: 600 per 1m for each caller\n"),
        "{ann}"
    );
    assert!(
        !ann.contains("minute: 60 ") && ann.contains("in the memory"),
        "{ann}"
    );
    let (code, _, says) = show(rules, &["--caller", "bob"]);
    assert_eq!(code, Some(1));
    assert!(
        says.contains("there is no caller `bob`; there are: ann"),
        "{says}"
    );
    let (_, json, _) = show(rules, &["--caller", "ann", "--format", "json"]);
    let first = items(&at(&json, &["limits"])).remove(0);
    assert_eq!(at(&first, &["quota"]), "600");
    assert_eq!(at(&first, &["remaining"]), "null", "only the gateway knows");
    let away = format!("{rules}, redis: {{ url: \"redis+unix:///nonexistent/s\" }}");
    let (code, _, says) = show(&away, &["--caller", "ann"]);
    assert_eq!(code, Some(1));
    assert!(says.contains("nobody knows what is left"), "{says}");
    let (code, _, says) = show("calls_per_minute: 0", &[]);
    assert_eq!(code, Some(1));
    assert!(says.contains("calls_per_minute"), "{says}");
}

#[test]
fn with_redis_who_asks_is_shown_what_is_left_and_uses_nothing_up() {
    let Some(redis) = Redis::start() else { return };
    let limits = format!(
        "calls_per_minute: 9, redis: {{ url: \"{}\", timeout: 5s }}",
        redis.url()
    );
    let gateway = gateway(&limits);
    let client = gateway.client(Era::Modern);
    for _ in 0..2 {
        assert_eq!(refused(&client), None);
    }
    let folder = Folder::new();
    let file = folder.file("mcp-gw.yaml", &yaml(&limits));
    let args = ["limits", "show", "--config", &file, "--caller", "local"];
    for _ in 0..2 {
        let (code, text, says) = run(HTTP_BIN, &args);
        assert_eq!(code, Some(0), "{says}");
        let line = text.lines().find(|line| line.contains("calls_per_minute"));
        assert!(
            line.unwrap().contains(": 7 left, whole again in "),
            "{text}"
        );
    }
}

#[test]
fn what_is_left_of_each_tool_and_server_is_shown_as_it_is() {
    let Some(redis) = Redis::start() else { return };
    let limits = format!(
        "rules: [\
         {{ name: by-server, per: server, quota: 5, window: 1h }},\
         {{ name: by-tool, per: caller_and_tool, quota: 7, window: 1h }},\
         {{ name: mine, quota: 9, window: 1h, \
            overrides: [{{ for: {{ servers: [odd] }}, quota: 6 }}] }}], \
         redis: {{ url: \"{}\", timeout: 5s }}",
        redis.url()
    );
    let gateway = gateway(&limits);
    let client = gateway.client(Era::Modern);
    for _ in 0..4 {
        assert_eq!(refused(&client), None);
    }
    let folder = Folder::new();
    let file = folder.file("mcp-gw.yaml", &yaml(&limits));
    let show = |more: &[&str]| {
        let args = ["limits", "show", "--config", &file, "--caller", "local"];
        let (code, text, says) = run(HTTP_BIN, &[&args, more].concat());
        assert_eq!(code, Some(0), "{says}");
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| line.contains(" per 1h "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let left = |line: &str| {
        let told = line.split_once(" left, whole again in ");
        told.and_then(|(before, _)| before.rsplit(' ').next()?.parse::<u64>().ok())
    };
    let lines = show(&[]);
    assert!(lines[1].contains("--tool shows what is left"), "{lines:?}");
    let all: Vec<_> = lines.iter().map(|line| left(line)).collect();
    assert_eq!(all, [Some(1), None, Some(2), Some(5)], "{lines:?}");
    let lines = show(&["--tool", "echo"]);
    let all: Vec<_> = lines.iter().map(|line| left(line)).collect();
    assert_eq!(all, [Some(1), Some(3), Some(2), None], "{lines:?}");
    let lines = show(&["--tool", "echo", "--server", "another"]);
    let all: Vec<_> = lines.iter().map(|line| left(line)).collect();
    assert_eq!(all, [Some(5), Some(3), None, Some(5)], "{lines:?}");
}

/// Of two limits of a caller, one of which all share, the first is forgotten; and a tool that nobody
/// offers is told of.
#[test]
fn a_caller_is_set_free_and_names_that_nobody_serves_are_told_of() {
    let Some(redis) = Redis::start() else { return };
    let limits = format!(
        "rules: [\
         {{ name: mine, quota: 2, window: 1h }},\
         {{ name: by-tool, per: caller_and_tool, quota: 2, window: 1h }},\
         {{ name: all, per: global, quota: 5, window: 1h }}], \
         redis: {{ url: \"{}\", timeout: 5s }}",
        redis.url()
    );
    let gateway = gateway(&limits);
    gateway
        .process
        .stderr
        .with("rate limits are counted in redis");
    let client = gateway.client(Era::Modern);
    assert_eq!(admitted(&client), 2);
    let folder = Folder::new();
    let file = folder.file("mcp-gw.yaml", &yaml(&limits));
    let run_limits = |command: &str, more: &[&str]| {
        let args = ["limits", command, "--config", &file, "--caller", "local"];
        run(HTTP_BIN, &[&args, more].concat())
    };
    let (code, text, says) = run_limits("forget", &["--tool", "echo", "--ask"]);
    assert_eq!(code, Some(0), "{says}");
    assert_eq!(text, "forgot what local used of: mine, by-tool, other");
    assert_eq!(admitted(&client), 2);
    let (_, _, says) = run_limits("forget", &[]);
    assert_eq!(says, "");
    let refused = refused(&client);
    assert_eq!(refused, Some("\"by-tool\"".to_owned()), "of one tool alone");
    let (code, _, says) = run_limits("show", &["--tool", "nosuch", "--ask"]);
    assert_eq!(code, Some(1));
    assert!(says.contains("no server offers a tool `nosuch`"), "{says}");
    let (code, text, says) = run_limits("show", &["--tool", "nosuch", "--server", "nowhere"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        says.contains("--ask") && says.contains("no server `nowhere`"),
        "{says}"
    );
}

#[test]
fn how_redis_does_is_shown_and_nothing_is_forgotten_without_it() {
    let folder = Folder::new();
    let away =
        "calls_per_minute: 5, redis: { url: \"redis+unix:///nonexistent/s\", on_error: deny }";
    let file = folder.file("mcp-gw.yaml", &yaml(away));
    let (code, text, says) = run(HTTP_BIN, &["limits", "show", "--config", &file]);
    assert_eq!(code, Some(0), "{says}");
    assert!(
        text.contains("rate limits are counted in redis, which gives no answer (")
            && text.contains("; calls are refused meanwhile\n"),
        "{text}"
    );
    let json = ["limits", "show", "--config", &file, "--format", "json"];
    let (_, json, _) = run(HTTP_BIN, &json);
    assert_eq!(at(&json, &["health", "healthy"]), "false");
    let args = ["limits", "forget", "--config", &file, "--caller", "local"];
    let (code, _, says) = run(HTTP_BIN, &args);
    assert_eq!(code, Some(1));
    assert!(says.contains("nothing was forgotten"), "{says}");
    let here = folder.file("here.yaml", &yaml("calls_per_minute: 5"));
    let args = ["limits", "forget", "--config", &here, "--caller", "local"];
    let (code, _, says) = run(HTTP_BIN, &args);
    assert_eq!(code, Some(1));
    assert!(says.contains("in the memory of the gateway"), "{says}");
    let gateway = gateway(away);
    let line = gateway.process.stderr.with("rate limits ");
    assert!(
        line.contains("gives no answer") || line.contains("wait for a connection"),
        "{line}"
    );
}

#[test]
fn what_never_applies_is_told_of_and_so_is_what_takes_a_restart() {
    let odd = "rules: [{ name: a, quota: 5, window: 1h, for: { servers: [dod] }, \
               overrides: [{ for: { callers: [{ id: nobody }] }, quota: 9 }] }]";
    let folder = Folder::new();
    let file = folder.file("mcp-gw.yaml", &yaml(odd));
    let (code, _, says) = run(HTTP_BIN, &["check", "--config", &file]);
    assert_eq!(code, Some(0), "{says}");
    for warning in [
        "limits.rules[0].overrides[0].for.callers[0]: `nobody` is no caller of `auth`",
        "limits.rules[0].for.servers[0]: no server matches `dod`",
    ] {
        assert!(says.contains(warning), "{says}");
    }
    let gateway = gateway("calls_per_minute: 9");
    drop(gateway.client(Era::Modern));
    change(&gateway, &format!("calls_per_minute: 9, keys: 5, {odd}"), 1);
    let err = &gateway.process.stderr;
    assert!(err.with("takes a restart").contains("limits.keys"));
    for warning in ["is no caller of `auth`", "no server matches `dod`"] {
        assert!(err.with(warning).contains("WARN"), "{warning}");
    }
}

/// What is refused or unknown costs something also where all limits are about tools.
#[test]
fn guesses_are_not_free_where_limits_are_about_tools() {
    let yaml = format!(
        "http: {{ listen: \"127.0.0.1:0\" }}\n\
         policy: {{ default: allow, rules: [\n\
           {{ id: right, effect: deny, tools: [echo], when: \"mcp.tool.arguments.q != 'right'\" }},\n\
           {{ id: hidden, effect: deny, tools: [count] }}] }}\n\
         limits:\n\
         \x20 rules: [{{ name: echoes, per: caller_and_tool, quota: 3, window: 1h, for: {{ tools: [echo] }} }}]\n\
         \x20 other: {{ quota: 20, window: 1h }}\n\
         servers: {{ odd: {{ command: {ODD_BIN:?}, args: [\"--modern\"] }} }}\n"
    );
    let gateway = Setup::verbatim(&yaml).over_http();
    let client = gateway.client(Era::Modern);
    // Who sees a tool pays for it, whatever becomes of the call.
    for n in 0..3 {
        let answer = client.tool("echo", &format!(r#"{{"q":"guess {n}"}}"#));
        assert_eq!(answer.fault().0, -32602, "{answer:?}");
    }
    let answer = client.tool("echo", r#"{"q":"right"}"#);
    assert_eq!(at(&answer.error(), &["data", "limit"]), "\"echoes\"");
    // And what is hidden costs what is not there does.
    let refused = |name: &str| {
        let answer = client.tool(name, "{}");
        let error = answer.error();
        let limit = answer.0.contains("-31001");
        limit.then(|| at(&error, &["data", "limit"]))
    };
    let mut refusals = Vec::new();
    for n in 0..24 {
        refusals.push(refused(["count", "nobody"][n % 2]));
    }
    assert!(
        refusals[0].is_none() && refusals[1].is_none(),
        "{refusals:?}"
    );
    let other = Some("\"other\"".to_owned());
    assert!(
        refusals[22..].iter().all(|one| *one == other),
        "{refusals:?}"
    );
}

/// Anybody can have many addresses: what they cost is counted where nobody else is counted.
#[test]
fn addresses_take_no_room_in_a_shared_redis_unless_told_to() {
    let Some(redis) = Redis::start() else { return };
    for (more, shared) in [("", 0), (", addresses: true", 1)] {
        let limits = format!(
            "rules: [{{ name: door, per: address, quota: 2, window: 1h }}], \
             redis: {{ url: \"{}\", timeout: 5s, prefix: p{shared}{more} }}",
            redis.url(),
            more = more
        );
        let [one, two] = [gateway(&limits), gateway(&limits)];
        let refusals = [&one, &two].map(|gateway| {
            gateway
                .process
                .stderr
                .with("rate limits are counted in Redis");
            let knock = || gateway.endpoint().send("OPTIONS", &[], b"").status == 429;
            (0..4).filter(|_| knock()).count()
        });
        let expected = if shared == 0 { [2, 2] } else { [2, 4] };
        assert_eq!(refusals, expected, "{more}");
    }
}

/// A Redis that takes connections and says nothing holds up neither the start nor a change.
#[test]
fn nobody_waits_for_a_redis_that_says_nothing() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let limits = |timeout: &str| {
        format!(
            "calls_per_minute: 5, redis: {{ url: \"redis://127.0.0.1:{port}\", \
             connect_timeout: 60s, timeout: {timeout} }}"
        )
    };
    let began = std::time::Instant::now();
    let gateway = gateway(&limits("50ms"));
    let client = gateway.client(Era::Modern);
    assert_eq!(admitted(&client), 5, "which it counts itself");
    change(&gateway, &limits("60ms"), 1);
    assert_eq!(admitted(&client), 0, "and goes on to");
    assert!(began.elapsed() < std::time::Duration::from_secs(30));
}
