//! Names in merged lists, what becomes of a list without one of its servers, how long lists are good.

use super::{listed, tools, two};
use crate::support::client::{ERAS, Era};
use crate::support::json::{at, member};
use crate::support::setup::{ODDS, Setup};
use crate::support::{HTTP_BIN, STDIO_BIN};

#[test]
fn names_get_prefixes_as_configured() {
    let always = ", prefix: always";
    let on_collision = ", prefix: on_collision";
    let never = ", prefix: never";
    for (one, two_yaml, first, second) in [
        ("", "", "one__echo", Some("two__echo")),
        (always, never, "one__echo", Some("echo")),
        (on_collision, on_collision, "echo", Some("two__echo")),
        (never, never, "echo", None),
        (
            ", prefix_name: first",
            always,
            "first__echo",
            Some("two__echo"),
        ),
    ] {
        let gateway = two(one, two_yaml).over_http();
        let client = gateway.client(Era::Modern);
        let names = tools(&client);
        assert_eq!(
            names.len(),
            if second.is_some() { 36 } else { 18 },
            "{names:?}"
        );
        assert!(names[..18].contains(&first.to_owned()), "{names:?}");
        let text = client.tool(first, r#"{"n":1.0}"#).text();
        assert_eq!(text, r#"{"n":1.0}"#);
        if let Some(second) = second {
            assert!(names[18..].contains(&second.to_owned()), "{names:?}");
            client.tool(second, "{}").text();
            let prompts = listed(&client, "prompts/list", "prompts", "name");
            assert_eq!(prompts[1], second.replace("echo", "p"));
        } else {
            let log = gateway.process.stderr.with("is left out");
            assert!(
                log.contains("two") && log.contains("server `one` has"),
                "{log}"
            );
        }
    }
}

#[test]
fn a_server_that_is_not_there_takes_only_its_own_from_the_list() {
    let gateway = two("", "").command("gone", "false", &[]).over_http();
    for era in ERAS {
        let client = gateway.client(era);
        let list = client.ask("tools/list", "{}").result();
        assert_eq!(tools(&client).len(), 36);
        if era == Era::Modern {
            let ttl: u64 = at(&list, &["ttlMs"]).parse().unwrap();
            assert!(ttl <= 5000, "{ttl}");
            assert_eq!(at(&list, &["cacheScope"]), "\"private\"");
        } else {
            assert_eq!(member(&list, "ttlMs"), None);
        }
        let unknown = client.tool("gone__echo", "{}").fault();
        assert_eq!(unknown, (-32602, "Unknown tool: gone__echo".to_owned()));
    }
    let mut two = super::client_at(gateway.endpoint_at("two"), None, Era::Modern);
    two.session = None;
    let list = two.ask("tools/list", "{}").result();
    let ttl: u64 = at(&list, &["ttlMs"]).parse().unwrap();
    assert!(
        ttl > 5000,
        "the server that is away is not at this endpoint: {ttl}"
    );
}

#[test]
fn a_server_that_goes_away_keeps_its_names_and_the_others_work() {
    let gateway = two("", "").over_http();
    let client = gateway.client(Era::Modern);
    let before = tools(&client);
    let error = client.tool("one__die", "{}").fault();
    assert_eq!(error.0, -31003, "{error:?}");
    assert_eq!(tools(&client), before);
    assert_eq!(client.tool("two__echo", "{}").text(), "{}");
    let (uri, text) = super::read(&client, "two+file:///a");
    assert_eq!((&*uri, &*text), ("two+file:///a", "two file:///a"));
}

#[test]
fn a_list_says_how_long_it_is_good_and_for_whom() {
    const KEY: &str = "auth: { api_keys: [{ id: ann, key: ann-0123456789abcdef }] }";
    let hints = |setup: Setup, key: Option<&str>| {
        let gateway = setup.over_http();
        let client = super::client_at(gateway.endpoint().clone(), key, Era::Modern);
        let list = client.ask("resources/list", "{}").result();
        let read = client
            .ask("resources/read", r#"{"uri":"file:///a"}"#)
            .result();
        let ttl: u64 = at(&list, &["ttlMs"]).parse().unwrap();
        let scope = |result: &str| at(result, &["cacheScope"]).replace('"', "");
        (ttl, scope(&list), at(&read, &["ttlMs"]), scope(&read))
    };
    let alone = |odd| Setup::new().odd("one", odd, &["--items", "one"], "");
    let (ttl, scope, read_ttl, read_scope) = hints(alone(ODDS[1]), None);
    assert!((1..=60_000).contains(&ttl), "{ttl}");
    assert_eq!(
        (&*scope, &*read_ttl, &*read_scope),
        ("public", "60000", "public")
    );
    let (_, scope, read_ttl, read_scope) =
        hints(alone(ODDS[3]).with(KEY), Some("ann-0123456789abcdef"));
    assert_eq!(
        (&*scope, &*read_ttl, &*read_scope),
        ("private", "60000", "private")
    );
    let (ttl, scope, read_ttl, _) = hints(alone(ODDS[0]), None);
    assert_eq!((ttl, &*scope, &*read_ttl), (0, "private", "0"));
    let (ttl, scope, ..) = hints(two(", uris: keep", ""), None);
    assert_eq!((ttl, &*scope), (0, "private"), "one of two says nothing");
}

#[test]
fn what_has_no_name_or_no_scheme_is_left_out_and_the_rest_is_there() {
    let args = ["--items", "odd", "--nameless"];
    for odd in ODDS {
        let gateway = Setup::new().odd("odd", odd, &args, "").over_http();
        let client = gateway.client(Era::Modern);
        let names = tools(&client);
        assert_eq!(names.len(), 18, "{names:?}");
        let of = |method, member, key| listed(&client, method, member, key);
        let uris = of("resources/list", "resources", "uri");
        assert_eq!(uris, ["file:///a", "ui://page"], "{odd:?}");
        let templates = of(
            "resources/templates/list",
            "resourceTemplates",
            "uriTemplate",
        );
        assert_eq!(templates, ["file:///d/{name}"]);
    }
    let no_scheme = "has no scheme, such as `file:`";
    for binary in [HTTP_BIN, STDIO_BIN] {
        let setup = Setup::new().odd("odd", ODDS[0], &args, "");
        let (_, says) = setup.check(binary, &["--ask"]);
        for line in [
            "odd: 18 tools".to_owned(),
            "odd: tool `number 19` is left out: `name` is missing".to_owned(),
            "odd: tool `T` is left out: `name` is empty".to_owned(),
            "odd: tool `number 21` is left out: `name` is not a string".to_owned(),
            "odd: tool `number 22` is left out: `name` is not a string".to_owned(),
            "odd: tool `number 23` is left out: the definition cannot be read".to_owned(),
            format!(
                r#"odd: resource `foo` is left out: the URI "foo" cannot be used: it {no_scheme}"#
            ),
            format!(
                r#"odd: resource `odd+` is left out: the URI "odd+" cannot be used: it {no_scheme}"#
            ),
            format!(
                r#"resource `odd+:x` is left out: the URI "odd+:x" cannot be used: it {no_scheme}"#
            ),
            "odd: resource `empty` is left out: `uri` is empty".to_owned(),
            "odd: resource `number` is left out: `uri` is not a string".to_owned(),
            "odd: resource `none` is left out: `uri` is missing".to_owned(),
            format!(
                r#"`d/{{name}}` is left out: the URI "d/{{name}}" cannot be used: it {no_scheme}"#
            ),
            format!(
                r#"`odd+:{{x}}` is left out: the URI "odd+:{{x}}" cannot be used: it {no_scheme}"#
            ),
            "`l` is left out: `uriTemplate` is not a string".to_owned(),
        ] {
            assert!(says.contains(&line), "no {line:?} in\n{says}");
        }
    }
}
