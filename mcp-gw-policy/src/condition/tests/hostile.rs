//! Arguments made to exhaust or to fool a condition (A.8 no. 2, 7, 13).

use super::{ARGUMENTS, Verdict, compile, compiler, verdict};
use super::{AccessRequest, Arguments, Facts, Feature, Identity, RawJson};
use super::{Map, json};
use super::{Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

#[track_caller]
fn error(source: &str, arguments: &str, expected: &str) {
    match verdict(&compile(source), arguments) {
        Verdict::Error(message) => assert!(message.contains(expected), "{message}"),
        other => panic!("{source}: {other:?}"),
    }
}

#[test]
fn arguments_that_are_too_large_are_an_error() {
    let source = "mcp.tool.arguments.x == 1 || true";
    let long = format!(r#"{{"x":1,"y":"{}"}}"#, "a".repeat(64 << 10));
    error(source, &long, "more than the 65536 bytes");
    let many = format!(r#"{{"x":1,"y":[{}1]}}"#, "1,".repeat(1000));
    error(source, &many, "more than the 1000 values");
    let deep = format!(r#"{{"x":1,"y":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    error(source, &deep, "deeper than the 32 levels");
    let fits = format!(r#"{{"x":1,"y":{}{}}}"#, "[".repeat(31), "]".repeat(31));
    assert_eq!(verdict(&compile(source), &fits), Verdict::True);
    // A condition that does not look at them does not care.
    assert_eq!(
        verdict(&compile("identity.authenticated"), &many),
        Verdict::True
    );
}

#[test]
fn a_member_named_twice_is_an_error_at_any_depth() {
    let source = "mcp.tool.arguments.x == 1 || true";
    for twice in [
        r#"{"x":1,"x":2}"#,
        r#"{"x":1,"y":[{"a":{"b":1,"b":1}}]}"#,
        r#"{"x":1,"\u0078":2}"#,
    ] {
        error(source, twice, "name a member twice");
    }
}

#[test]
fn numbers_are_exact_or_an_error() {
    let is = |source: &str, arguments: &str| verdict(&compile(source), arguments);
    let big = r#"{"n":9007199254740993}"#;
    assert_eq!(
        is("mcp.tool.arguments.n == 9007199254740993", big),
        Verdict::True
    );
    assert_eq!(
        is("mcp.tool.arguments.n == 9007199254740992", big),
        Verdict::False
    );
    for inexact in [
        "100.00000000000000001",
        "5.0000000000000001",
        "1e-400",
        "0.1000000000000000055511151231257827",
        "1.00000000000000000000000001E2",
        "18446744073709551616",
        "9007199254740993.0",
        "1e300",
        "-9223372036854775809",
    ] {
        error(
            "mcp.tool.arguments.n > 0",
            &format!(r#"{{"n":{inexact}}}"#),
            "compared exactly",
        );
    }
    for (exact, source) in [
        ("0.1", "mcp.tool.arguments.n == 0.1"),
        ("0.10", "mcp.tool.arguments.n == 0.1"),
        ("0.30000000000000004", "mcp.tool.arguments.n > 0.3"),
        ("1.0e2", "mcp.tool.arguments.n == 100"),
        ("1E+2", "mcp.tool.arguments.n == 100"),
        ("100.00", "mcp.tool.arguments.n <= 100"),
        ("-0.0", "mcp.tool.arguments.n == 0"),
        ("0e9", "mcp.tool.arguments.n == 0"),
        ("-2.5e-3", "mcp.tool.arguments.n == -0.0025"),
        ("5e-324", "mcp.tool.arguments.n > 0"),
        (
            "\"1e-400 100.00000000000000001\"",
            "size(mcp.tool.arguments.n) == 28",
        ),
        (
            "\"\\\"1.00000000000000000001\"",
            "size(mcp.tool.arguments.n) > 2",
        ),
    ] {
        let arguments = format!(r#"{{"n":{exact}}}"#);
        assert_eq!(is(source, &arguments), Verdict::True, "{exact}");
    }
    assert_eq!(
        is("mcp.tool.arguments.n < 0", r#"{"n":-9223372036854775808}"#),
        Verdict::True
    );
}

/// Doubles from 2^53 on are equal to several integers.
#[test]
fn what_is_worked_out_is_compared_exactly_or_not_at_all() {
    let big = r#"{"n":9007199254740993,"x":4503599627370496.0}"#;
    for source in [
        "mcp.tool.arguments.n <= 4503599627370496.0 + 4503599627370496.0",
        "mcp.tool.arguments.n == 4503599627370496.0 * 2.0",
        "double(mcp.tool.arguments.n) == 9007199254740992",
        "mcp.tool.arguments.n <= mcp.tool.arguments.x + mcp.tool.arguments.x",
    ] {
        error(source, big, "compared exactly");
    }
    let is = |source: &str| verdict(&compile(source), big);
    assert_eq!(is("mcp.tool.arguments.x + 1.0 > 5"), Verdict::True);
    // Claims are read before; from 2^53 on they are integers.
    let claims = Map::from_iter([("limit".to_owned(), json!(9_007_199_254_740_992.0))]);
    let (caller, meta) = (super::ann().with_claims(claims), super::meta());
    let identity = Identity::of(&caller);
    let facts = Facts::new(&caller, &identity, &meta);
    let arguments = Arguments::from_raw(RawJson::parse(big).unwrap()).unwrap();
    let mut request = AccessRequest::new(&caller, &meta, "tools/call", Feature::Tool, "t");
    request.arguments = Some(&arguments);
    for (source, expected) in [
        ("mcp.tool.arguments.n <= jwt.limit", Verdict::False),
        ("mcp.tool.arguments.n == jwt.limit", Verdict::False),
        ("mcp.tool.arguments.n > jwt.limit", Verdict::True),
        ("mcp.tool.arguments.n in [jwt.limit]", Verdict::False),
    ] {
        assert_eq!(
            compile(source).evaluate(&facts.of(&request, request.name)),
            expected,
            "{source}"
        );
    }
}

/// A list of `n` numbers under `x`, and one under `y`.
fn lists(n: usize) -> String {
    let items = vec!["1"; n].join(",");
    format!(r#"{{"x":[{items}],"y":[{items}]}}"#)
}

#[test]
fn loops_pay_for_their_rounds_and_stop_when_they_cannot() {
    let all = "mcp.tool.arguments.x.all(a, mcp.tool.arguments.y.all(b, a == b))";
    assert_eq!(verdict(&compile(all), &lists(40)), Verdict::True);
    error(all, &lists(400), "more steps than a condition may");
    // An error within is not absorbed: not by `||`, not by a later round.
    error(&format!("{all} || true"), &lists(400), "more steps");
    error(&format!("{all} && false"), &lists(400), "more steps");
    for loops in [
        "mcp.tool.arguments.x.exists(a, mcp.tool.arguments.y.exists(b, a + b == 3))",
        "mcp.tool.arguments.x.exists_one(a, mcp.tool.arguments.y.exists_one(b, a == b))",
        "mcp.tool.arguments.x.map(a, mcp.tool.arguments.y.map(b, a + b)) == []",
        "mcp.tool.arguments.x.filter(a, mcp.tool.arguments.y.filter(b, a != b) == []) == []",
        "mcp.tool.arguments.x.all(a, mcp.tool.arguments.y == mcp.tool.arguments.x)",
        "mcp.tool.arguments.x.all(a, a in mcp.tool.arguments.y)",
        "mcp.tool.arguments.x.map(a, mcp.tool.arguments) == []",
        "mcp.tool.arguments.x.map(a, [mcp.tool.arguments.x]) == []",
    ] {
        error(loops, &lists(498), "more steps");
    }
    // One loop over as many values as there may be goes through.
    let one = "mcp.tool.arguments.x.all(a, a == 1 && a < 5)";
    assert_eq!(verdict(&compile(one), &lists(490)), Verdict::True);
}

#[test]
fn long_texts_in_loops_cost_what_they_are_long() {
    let items = vec!["1"; 500].join(",");
    let long = "a".repeat(60_000);
    let arguments = format!(r#"{{"x":[{items}],"s":"{long}"}}"#);
    for source in [
        "mcp.tool.arguments.x.all(a, !mcp.tool.arguments.s.contains('b'))",
        "mcp.tool.arguments.x.map(a, mcp.tool.arguments.s + mcp.tool.arguments.s) == []",
        "mcp.tool.arguments.x.all(a, !mcp.tool.arguments.s.matches('b$'))",
        "mcp.tool.arguments.x.all(a, size(mcp.tool.arguments.s.split('')) > 0)",
        "mcp.tool.arguments.s.split('').all(a, mcp.tool.arguments.x.all(b, b == 1))",
    ] {
        error(source, &arguments, "more steps");
    }
    let once = "!mcp.tool.arguments.s.contains('b') && mcp.tool.arguments.s.matches('^a+$')";
    assert_eq!(verdict(&compile(once), &arguments), Verdict::True);
}

#[test]
fn what_is_outside_of_loops_pays_for_long_texts() {
    let long = format!(r#"{{"s":"{}","t":["a"]}}"#, "a".repeat(60_000));
    let text = "mcp.tool.arguments.s";
    let many = |part: &str, times: usize| vec![part; times].join(" && ");
    for source in [
        many(&format!("size({text}.split('')) > 0"), 88),
        many(
            &format!("!{text}.contains(mcp.tool.arguments.t[0] + 'b')"),
            60,
        ),
        many(&format!("{text}.matches('(a|b)+$')"), 60),
        format!("{text}.matches('(a|b)[ab]{{1,600}}c')"),
        many(&format!("{text}.lowerAscii() == {text}"), 60),
        format!("size({}) > 0", vec![text; 40].join(" + ")),
        format!(
            "[{}].exists(x, x.contains('b'))",
            vec![text; 30].join(" + ")
        ),
        format!("({text} + {text} + {text}).split('') != []"),
    ] {
        error(&source, &long, "more steps");
        // It is the length that costs.
        let short = r#"{"s":"aa","t":["a"]}"#;
        let verdict = verdict(&compile(&source), short);
        assert!(
            !matches!(verdict, Verdict::Error(_)),
            "{source}: {verdict:?}"
        );
    }
    let few = many(&format!("!{text}.contains('b')"), 20);
    assert_eq!(verdict(&compile(&few), &long), Verdict::True);
}

#[test]
fn a_condition_has_its_steps_whatever_others_took() {
    let (caller, meta) = (super::ann(), super::meta());
    let identity = Identity::of(&caller);
    let arguments = lists(490);
    let arguments = Arguments::from_raw(RawJson::parse(arguments).unwrap()).unwrap();
    let condition = compile("mcp.tool.arguments.x.all(a, a in [1, 2, 3] && a < 5)");
    let heavy = compile("mcp.tool.arguments.x.all(a, mcp.tool.arguments.y.all(b, a == b))");
    let facts = Facts::new(&caller, &identity, &meta);
    let mut request = AccessRequest::new(&caller, &meta, "tools/call", Feature::Tool, "t");
    request.arguments = Some(&arguments);
    let facts_of = facts.of(&request, request.name);
    for _ in 0..50 {
        assert!(matches!(heavy.evaluate(&facts_of), Verdict::Error(_)));
        assert_eq!(condition.evaluate(&facts_of), Verdict::True);
    }
    // No condition has more than the limit, and one that costs nothing has none.
    assert_eq!(heavy.steps(), super::ConditionLimits::default().steps);
    assert!((5000..25_000).contains(&condition.steps()), "{condition:?}");
    assert_eq!(
        compile("mcp.tool.arguments.x == 'a' && jwt.n in [1, 2]").steps(),
        0
    );
}

/// Values that double, at load and at the decision, in each way that makes values.
#[test]
fn values_that_grow_are_paid_for_as_they_grow() {
    let long = format!(
        r#"{{"s":"{}","l":[{}1],"n":1}}"#,
        "a".repeat(30_000),
        "1,".repeat(498)
    );
    let times = |part: &str, times: usize| part.repeat(times);
    for start in [
        "['aaaaaaaaaaaaaaaa']",
        "[b'aaaaaaaaaaaaaaaa']",
        "[[1, 2, 3, 4, 5, 6, 7, 8]]",
        "[mcp.tool.arguments.s]",
        "[mcp.tool.arguments.l]",
        "[mcp.tool.arguments.s.split('')]",
    ] {
        for grows in [".map(x,x+x)", ".map(x,true?x+x+x+x:x)"] {
            let source = format!("size({start}{}[0]) > 0", times(grows, 30));
            refused_or_exhausted(&source, &long);
        }
    }
    for (start, grows) in [
        ("[mcp.tool.arguments.s]", ".map(x,[x,x])"),
        ("['a']", ".map(x,[x,x])"),
        ("[1]", ".map(x,{'a':x,'b':x,'c':x})"),
        ("[mcp.tool.arguments]", ".map(x,[x,x].filter(y,true))"),
        ("['aaaaaaaaaaaaaaaa']", ".map(x,[x].map(y,y+y)[0])"),
        ("['aaaaaaaaaaaaaaaa']", ".map(x,(x+x).lowerAscii()+x)"),
        ("['aaaaaaaaaaaaaaaa']", ".map(x,string(x+x)+x.trim())"),
        (
            "['aaaaaaaaaaaaaaaa']",
            ".map(x,(x+x).substring(0)+x.substring(1))",
        ),
        ("[[1]]", ".map(x,(x+x).filter(y,true)+x.map(y,y))"),
    ] {
        let source = format!("size({start}{}) > 0", times(grows, 22));
        refused_or_exhausted(&source, &long);
    }
}

#[track_caller]
fn refused_or_exhausted(source: &str, arguments: &str) {
    match compiler().compile(source) {
        Ok(condition) => match verdict(&condition, arguments) {
            Verdict::Error(why) => assert!(why.contains("more steps"), "{source}: {why}"),
            other => panic!("{source}: {other:?}"),
        },
        Err(fault) => assert!(fault.to_string().contains("deeper"), "{source}: {fault}"),
    }
}

/// What it costs to fail counts, too: errors of the evaluator hold copies of the values.
#[test]
fn errors_that_hold_values_are_paid_for() {
    for source in [
        "mcp.tool.arguments.x.exists(a, mcp.tool.arguments.x[0.5] == 1 || mcp.tool.arguments.x < 5)",
        "mcp.tool.arguments.x.exists(a, mcp.tool.arguments.x < 5)",
        "mcp.tool.arguments.x.exists(a, 5 > mcp.tool.arguments.x)",
        "mcp.tool.arguments.x.exists(a, mcp.tool.arguments.x - a == 1)",
        "mcp.tool.arguments.x.exists(a, mcp.tool.arguments.x + a == 1)",
        "mcp.tool.arguments.x.exists(a, int(mcp.tool.arguments) == 1)",
        "mcp.tool.arguments.x.exists(a, dyn(mcp.tool.arguments) == a)",
    ] {
        error(source, &lists(498), "more steps");
    }
    // An index that is no whole number is an error at once.
    error(
        "mcp.tool.arguments.x.exists(a, mcp.tool.arguments.x[0.5] == 1)",
        &lists(498),
        "cannot read its argument",
    );
}

/// Issuers and authors may say more than callers may.
#[test]
fn long_claims_and_variables_are_looked_through() {
    let many: Vec<String> = (0..6000).map(|at| format!("group-{at}")).collect();
    let claims = Map::from_iter([("list".to_owned(), json!(many))]);
    let (caller, meta) = (super::ann().with_claims(claims.clone()), super::meta());
    let identity = Identity::of(&caller);
    let facts = Facts::new(&caller, &identity, &meta);
    let request = AccessRequest::new(&caller, &meta, "tools/call", Feature::Tool, "t");
    let compiler = super::ConditionCompiler::new(&claims, &super::ConditionLimits::default());
    for source in [
        "jwt.list.exists(g, g == 'group-5999')",
        "jwt.list.all(g, g.startsWith('group'))",
        "'group-5999' in jwt.list && 'group-5999' in vars.list",
        "vars.list.exists(g, g == 'group-5999')",
    ] {
        let condition = compiler.compile(source).unwrap();
        assert_eq!(
            condition.evaluate(&facts.of(&request, request.name)),
            Verdict::True,
            "{source}"
        );
    }
}

#[test]
fn a_list_of_a_thousand_is_looked_up_one_by_one() {
    let items = vec!["\"ab\""; 900].join(",");
    let arguments = format!(r#"{{"a":[{items}]}}"#);
    for source in [
        "mcp.tool.arguments.a.all(x, x in vars.regions || true)",
        "mcp.tool.arguments.a.all(x, x in ['ab', 'cd'])",
        "mcp.tool.arguments.a.all(x, x.startsWith('a') && x.size() < 5 && x != 'b')",
        "mcp.tool.arguments.a.filter(x, x == 'b').size() == 0",
        "mcp.tool.arguments.a.all(x, x.matches('^[a-z]+$') || x == identity.id)",
    ] {
        assert_eq!(
            verdict(&compile(source), &arguments),
            Verdict::True,
            "{source}"
        );
    }
}

#[test]
fn a_deep_condition_is_refused_or_has_room_on_a_small_stack() {
    let nested = |levels: usize, open: &str, close: &str| {
        format!(
            "{}jwt.dept == 'sales'{}",
            open.repeat(levels),
            close.repeat(levels)
        )
    };
    for (open, close) in [
        ("!(", ")"),
        ("(true ? ", " : false)"),
        ("[1].all(x, ", ")"),
        ("true == (", ")"),
    ] {
        for levels in [1, 10, 20, 30, 40, 60, 90, 400] {
            if let Ok(condition) = compiler().compile(&nested(levels, open, close)) {
                let _ = verdict(&condition, ARGUMENTS);
            }
        }
    }
    for chain in [
        "1+",
        "-",
        "!",
        "jwt.a.",
        "true ? true : ",
        "a[",
        "x.",
        "1==",
        "{'a':",
    ] {
        let _ = compiler().compile(&chain.repeat(4000 / chain.len()));
    }
    assert!(compiler().compile(&nested(10, "!(", ")")).is_ok());
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[a-c]{0,3}".prop_map(|text| format!("\"{text}\"")),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("finite", |f| f.is_finite())
            .prop_map(|f| format!("{f:e}")),
        prop_oneof![
            prop::strategy::Just("null".to_owned()),
            prop::strategy::Just("true".to_owned()),
            prop::strategy::Just("\"\\ud83d\\ude00\\u0000\"".to_owned()),
        ],
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(("[abxy]", inner), 0..6).prop_map(|members| {
                let members: Vec<String> = members
                    .iter()
                    .map(|(key, value)| format!("\"{key}\":{value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// Conditions over the members that [`json`] makes.
const OVER_JSON: [&str; 8] = [
    "mcp.tool.arguments.x < 5",
    "mcp.tool.arguments.x.all(a, a.b == mcp.tool.arguments.y)",
    "mcp.tool.arguments.x[0].startsWith('a')",
    "mcp.tool.arguments.x.exists(a, mcp.tool.arguments.y.exists(b, a < b))",
    "size(mcp.tool.arguments.x) > 2 || mcp.tool.arguments.x.matches('a|b')",
    "mcp.tool.arguments.x.filter(k, k in mcp.tool.arguments.y).map(k, [k]) != [['a']]",
    "int(mcp.tool.arguments.x) / int(mcp.tool.arguments.y) == 1",
    "mcp.tool.arguments.x.substring(1, 2).split(mcp.tool.arguments.y) == mcp.tool.arguments.x",
];

proptest! {
    #[test]
    fn any_arguments_get_an_answer_and_the_same_one_twice(
        x in json(), y in json(), which in 0..OVER_JSON.len(),
    ) {
        let condition = compile(OVER_JSON[which]);
        let arguments = format!(r#"{{"x":{x},"y":{y}}}"#);
        let first = verdict(&condition, &arguments);
        prop_assert!(first != Verdict::Error("the evaluator failed".to_owned()));
        prop_assert_eq!(first, verdict(&condition, &arguments));
    }

    #[test]
    fn any_source_is_taken_or_refused(source in "[a-z.()\\[\\]{}'\"0-9 &|!<>=+*/?:,@-]{0,60}") {
        if let Ok(condition) = compiler().compile(&source) {
            let _ = verdict(&condition, ARGUMENTS);
        }
    }

    #[test]
    fn sources_made_of_pieces_are_taken_or_refused(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "identity", ".", "roles", "mcp", "tool", "arguments", "x", "(", ")", "[", "]", "'a'", "1",
            "&&", "||", "!", "==", "<", "in", "?", ":", ".all(a, ", ".map(b, ", "has(", "matches", "-",
            "vars.team", "jwt", "{", "}", ",", "true", "null", "+", "size(", "source.ip_in('::/0')",
        ]), 0..24),
    ) {
        if let Ok(condition) = compiler().compile(&pieces.concat()) {
            let _ = verdict(&condition, ARGUMENTS);
        }
    }
}
