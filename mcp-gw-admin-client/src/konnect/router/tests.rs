use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn facts(routes: &[Value]) -> Vec<RouteFacts> {
    let plane = |route: &Value| route["plane"].as_str().unwrap_or("p").to_owned();
    routes
        .iter()
        .map(|route| RouteFacts::of(route, plane(route), route["group"] == true).unwrap())
        .collect()
}

/// The ids of the routes that answer, best first.
fn ids(routes: &[Value], question: Question<'_>) -> Vec<String> {
    let facts = facts(routes);
    let found = answer(&facts, question);
    let id = |one: &Match| facts[one.route].id.clone().unwrap();
    found.matches.iter().map(id).collect()
}

fn asking<'q>(path: &'q str, method: Option<&'q str>, host: Option<&'q str>) -> Question<'q> {
    Question { path, method, host }
}

#[test]
fn expressions_come_before_prefixes_and_long_prefixes_before_short_ones() {
    let routes = [
        json!({"id": "root", "paths": ["/"]}),
        json!({"id": "api", "paths": ["/api"], "regex_priority": 99}),
        json!({"id": "low", "paths": ["~/api/\\w+$"]}),
        json!({"id": "users", "paths": ["/other", "/api/us", "/api"]}),
        json!({"id": "high", "paths": ["~/api"], "regex_priority": 5}),
        json!({"id": "elsewhere", "paths": ["/apis", "~/x/api/users", "~pi"]}),
    ];
    let found = ids(&routes, Question::path("/api/users"));
    assert_eq!(found, ["high", "low", "users", "api", "root"]);
    assert_eq!(
        ids(&routes, Question::path("/apix")),
        ["high", "api", "users", "root"]
    );
}

#[test]
fn equals_are_tried_by_age_and_then_as_they_are_listed() {
    let routes = [
        json!({"id": "undated", "paths": ["/a"]}),
        json!({"id": "young", "paths": ["/a"], "created_at": 20}),
        json!({"id": "old", "paths": ["/a"], "created_at": 10}),
    ];
    assert_eq!(
        ids(&routes, Question::path("/a")),
        ["old", "young", "undated"]
    );
}

#[test]
fn what_a_question_leaves_open_is_a_condition_and_what_it_says_must_hold() {
    let routes = [
        json!({"id": "any", "paths": ["/a/long"], "methods": [], "hosts": null}),
        json!({"id": "get", "paths": ["/a"], "methods": ["GET"]}),
        json!({"id": "wild", "paths": ["/a"], "methods": ["GET"], "hosts": ["*.example.com"]}),
        json!({"id": "plain", "paths": ["/a"], "methods": ["GET"], "hosts": ["x.example.com"],
               "headers": {"x": ["1"]}, "snis": ["s"], "sources": [{"ip": "::1"}], "destinations": [{"port": 1}]}),
        json!({"id": "post", "paths": ["/a"], "methods": ["POST"], "hosts": ["x.example.com"]}),
    ];
    let open = ids(&routes, Question::path("/a/long"));
    assert_eq!(open, ["any", "get", "wild", "post", "plain"]);
    let said = asking("/a/long", Some("GET"), Some("x.example.com:443"));
    assert_eq!(ids(&routes, said), ["plain", "wild", "get", "any"]);
    assert_eq!(
        ids(&routes, asking("/a", Some("get"), None)),
        Vec::<String>::new()
    );
    let facts = facts(&routes);
    let found = answer(&facts, asking("/a", Some("GET"), None));
    let plain = found.matches.iter().find(|one| one.route == 3).unwrap();
    assert_eq!(
        plain.conditions,
        [
            Condition::Host,
            Condition::Headers,
            Condition::Sni,
            Condition::Source,
            Condition::Destination
        ]
    );
}

#[test]
fn what_nobody_can_know_is_told_of_and_changes_nothing_else() {
    let routes = facts(&[
        json!({"id": "hosts", "paths": null, "hosts": ["a"]}),
        json!({"id": "none", "paths": []}),
        json!({"id": "expression", "expression": "http.path ^= \"/a\"", "priority": 1}),
        json!({"id": "around", "paths": ["~/(?=a)", "~/(a", "/a"]}),
        json!({"id": "back", "paths": ["~/(a)\\1"]}),
        json!({"id": "big", "paths": ["~/(a?){1000}{1000}"]}),
        json!({"id": "long", "paths": [format!("~/{}", "a".repeat(5000))]}),
        json!({"id": "good", "paths": ["~/(?<x>a+)(?P<y>b)?"]}),
    ]);
    let found = answer(&routes, Question::path("/aa"));
    let places: Vec<_> = found.matches.iter().map(|one| one.route).collect();
    assert_eq!(places, [7, 3]);
    assert_eq!(
        found.matches[0].captures,
        [("x".to_owned(), "aa".to_owned())]
    );
    let skipped: Vec<String> = found
        .skipped
        .iter()
        .map(|skipped| {
            let why = match &skipped.why {
                Why::Regex { path, message } => {
                    let path: String = path.chars().take(20).collect();
                    format!("{path}: {message}")
                }
                other => format!("{other:?}"),
            };
            format!("{} {why}", skipped.route)
        })
        .collect();
    insta::assert_snapshot!(skipped.join("\n"));
}

#[test]
fn what_matched_is_left_out_of_what_is_sent_on() {
    let routes = facts(&[
        json!({"paths": ["/api"], "strip_path": true}),
        json!({"paths": ["/api"], "strip_path": false}),
        json!({"paths": ["~/api/v\\d"], "strip_path": true}),
        json!({"paths": ["/api"]}),
    ]);
    let found = answer(&routes, Question::path("/api/v1/users?x=1"));
    let sent: Vec<_> = found
        .matches
        .iter()
        .map(|one| (one.route, one.forwarded.as_str()))
        .collect();
    assert_eq!(
        sent,
        [
            (2, "/users"),
            (0, "/v1/users"),
            (1, "/api/v1/users"),
            (3, "/v1/users")
        ]
    );
}

#[test]
fn a_route_of_a_member_is_not_found_again_at_its_group() {
    let routes = facts(&[
        json!({"id": "1", "paths": ["/a"], "plane": "group", "group": true}),
        json!({"id": "2", "paths": ["/a/b"], "plane": "group", "group": true}),
        json!({"id": "1", "paths": ["/a"], "plane": "member"}),
    ]);
    let found = answer(&routes, Question::path("/a/b"));
    let planes: Vec<_> = found
        .by_plane(&routes)
        .into_iter()
        .map(|(plane, matches)| (plane, matches.len()))
        .collect();
    assert_eq!(planes, [("group", 1), ("member", 1)]);
}

#[test]
fn planes_come_by_their_best_match() {
    let routes = facts(&[
        json!({"id": "1", "paths": ["/"], "plane": "a"}),
        json!({"id": "2", "paths": ["/a"], "plane": "b"}),
        json!({"id": "3", "paths": ["/a/b"], "plane": "a"}),
    ]);
    let found = answer(&routes, Question::path("/a/b"));
    let planes = found.by_plane(&routes);
    let order: Vec<_> = planes
        .iter()
        .map(|(plane, all)| (*plane, all.iter().map(|one| one.route).collect::<Vec<_>>()))
        .collect();
    assert_eq!(order, [("a", vec![2, 0]), ("b", vec![1])]);
}

#[test]
fn ten_thousand_routes_are_one_look() {
    let mut routes: Vec<Value> = (0..5_000)
        .map(|n| json!({"id": format!("p{n}"), "paths": [format!("/team/{n}")]}))
        .collect();
    routes.extend((0..5_000).map(|n| {
        json!({"id": format!("r{n}"), "paths": [format!("~/svc/{n}/(?<id>[^/]+)/(items|orders)$")]})
    }));
    assert_eq!(
        ids(&routes, Question::path("/svc/4711/x/orders")),
        ["r4711"]
    );
    // The prefix of a longer number, too.
    assert_eq!(ids(&routes, Question::path("/team/4711")).len(), 4);
}

#[test]
fn patterns_that_all_may_match_have_a_bound_that_is_told_of() {
    let routes: Vec<Value> = (0..2_100)
        .map(|n| json!({"id": format!("r{n}"), "paths": [format!("~.*{n}x")]}))
        .collect();
    let found = answer(&facts(&routes), Question::path("/a"));
    assert!(found.matches.is_empty());
    assert_eq!(found.skipped.len(), 100);
    assert_eq!(found.skipped[0].why, Why::TooMany { paths: 1 });
}

#[test]
fn patterns_that_are_work_to_read_have_a_bound_that_is_told_of() {
    let classes = "\\p{L}".repeat(400);
    let routes: Vec<Value> = (0..400)
        .map(|n| json!({"id": format!("r{n}"), "paths": [format!("~/{n}{classes}"), format!("/p{n}")]}))
        .collect();
    let found = answer(&facts(&routes), Question::path("/p399"));
    let ids: Vec<_> = found.matches.iter().map(|one| one.route).collect();
    assert_eq!(ids, [399, 39, 3]);
    assert!(
        found.skipped.len() > 200
            && found
                .skipped
                .iter()
                .all(|one| one.why == Why::TooMany { paths: 1 })
    );
}

#[test]
fn patterns_that_are_slow_elsewhere_are_linear() {
    let routes = [json!({"id": "slow", "paths": ["~/(a+)+$", "~/(a|aa)+$", "~/(.*)*x"]})];
    let path = format!("/{}b", "a".repeat(20_000));
    assert!(ids(&routes, Question::path(&path)).is_empty());
}

#[test]
fn a_route_of_another_shape_is_an_error_and_unknown_members_are_not() {
    assert!(RouteFacts::of(&json!({"paths": "/a"}), "p", false).is_err());
    let route = json!({"id": null, "name": null, "methods": null, "hosts": null, "headers": null, "snis": null,
        "regex_priority": null, "strip_path": null, "service": null, "created_at": null, "new": [1]});
    let facts = RouteFacts::of(&route, "p", false).unwrap();
    assert_eq!(facts.service_id(), None);
}

proptest! {
    /// Prefix routes against a plain reading of the rules.
    #[test]
    fn prefixes_answer_as_the_rules_say(
        routes in proptest::collection::vec(
            (proptest::collection::vec("/[ab/]{0,4}", 1..3), proptest::option::of("[GP]")), 0..8),
        path in "/[ab]{0,3}(/[ab]{1,2}){0,2}",
        method in proptest::option::of("[GP]"),
    ) {
        let values: Vec<Value> = routes.iter().enumerate()
            .map(|(at, (paths, method))| json!({"id": at.to_string(), "paths": paths,
                "methods": method.as_ref().map(|method| vec![method])}))
            .collect();
        let path = normalized(&path);
        let mut expected: Vec<_> = routes.iter().enumerate().filter_map(|(at, (paths, wanted))| {
            let length = paths.iter().filter(|p| path.starts_with(p.as_str())).map(String::len).max()?;
            let (hold, open) = match (wanted, &method) {
                (None, _) => (0, 0),
                (Some(_), None) => (0, 1),
                (Some(a), Some(b)) if a == b => (1, 0),
                _ => return None,
            };
            Some((-hold, -i64::try_from(length).unwrap(), open, at))
        }).collect();
        expected.sort_unstable();
        let expected: Vec<String> = expected.iter().map(|(_, _, _, at)| at.to_string()).collect();
        let question = Question { path: &path, method: method.as_deref(), host: None };
        prop_assert_eq!(ids(&values, question), expected);
    }

    /// The short cut by first characters leaves nothing out.
    #[test]
    fn a_pattern_is_found_as_by_the_plain_engine(
        pattern in "/?([ab]|\\(a\\|b\\)|a\\?|b\\*|\\.|\\[ab\\]\\+|\\$|\\^|\\||\\(\\?i\\)){0,6}",
        path in "/[abA]{0,6}",
    ) {
        let plain = regex::bytes::RegexBuilder::new(&pattern).unicode(false).build();
        let expected = plain.ok().and_then(|regex| {
            let found = regex.find(path.as_bytes())?;
            (found.start() == 0).then_some(found.end())
        });
        let found = Patterns::default().find(&pattern, &path).ok().flatten();
        prop_assert_eq!(found.map(|hit| hit.length), expected);
    }

    #[test]
    fn any_pattern_and_path_do_no_harm(pattern in "\\PC{0,20}", path in "\\PC{0,20}") {
        let routes = [json!({"id": "1", "paths": [format!("~{pattern}"), pattern]})];
        let _ = ids(&routes, Question::path(&path));
    }
}
