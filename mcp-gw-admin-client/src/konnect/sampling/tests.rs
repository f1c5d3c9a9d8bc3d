use proptest::prelude::*;

use super::*;

const SERVICE: &str = "0198bbbb-0000-7000-8000-00000000000b";
const PLANE: &str = "0198aaaa-0000-7000-8000-00000000000a";

/// A small reader of the router language, written from its grammar and not from the code above.
#[derive(Debug, PartialEq, Eq, Clone)]
enum Value {
    Text(String),
    Number(u64),
}

type Comparison = (String, String, Value);

/// The comparisons of a rule that is nothing but comparisons with `&&` between them.
fn read(rule: &str) -> Result<Vec<Comparison>, String> {
    let bytes: Vec<char> = rule.chars().collect();
    let mut at = 0;
    let mut all = Vec::new();
    loop {
        all.push((
            word(&bytes, &mut at, |c| {
                c.is_ascii_alphanumeric() || c == '_' || c == '.'
            })?,
            word(&bytes, &mut at, |c| "=!<>^~".contains(c))?,
            value(&bytes, &mut at)?,
        ));
        blanks(&bytes, &mut at);
        if at == bytes.len() {
            return Ok(all);
        }
        let joint = word(&bytes, &mut at, |c| {
            c == '&' || c == '|' || c == '(' || c == ')'
        })?;
        if joint != "&&" {
            return Err(format!("{joint} joins at {at}"));
        }
    }
}

fn blanks(text: &[char], at: &mut usize) {
    while text.get(*at).is_some_and(|c| " \t\r\n".contains(*c)) {
        *at += 1;
    }
}

fn word(text: &[char], at: &mut usize, is_part: impl Fn(char) -> bool) -> Result<String, String> {
    blanks(text, at);
    let start = *at;
    while text.get(*at).is_some_and(|c| is_part(*c)) {
        *at += 1;
    }
    if start == *at {
        return Err(format!("nothing to read at {start}"));
    }
    Ok(text[start..*at].iter().collect())
}

fn value(text: &[char], at: &mut usize) -> Result<Value, String> {
    blanks(text, at);
    if text.get(*at) != Some(&'"') {
        let digits = word(text, at, |c| c.is_ascii_digit())?;
        if digits.len() > 1 && digits.starts_with('0') {
            return Err("an octal number".to_owned());
        }
        return digits.parse().map(Value::Number).map_err(|e| e.to_string());
    }
    *at += 1;
    let mut out = String::new();
    loop {
        let c = *text.get(*at).ok_or("a literal without an end")?;
        *at += 1;
        match c {
            '"' => return Ok(Value::Text(out)),
            '\\' => {
                let escaped = *text.get(*at).ok_or("an escape without an end")?;
                *at += 1;
                out.push(match escaped {
                    '"' | '\\' => escaped,
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    other => return Err(format!("\\{other} is no escape")),
                });
            }
            c => out.push(c),
        }
    }
}

fn text(field: &str, value: &str) -> Comparison {
    (
        field.to_owned(),
        "==".to_owned(),
        Value::Text(value.to_owned()),
    )
}

fn number(field: &str, operator: &str, value: u64) -> Comparison {
    (field.to_owned(), operator.to_owned(), Value::Number(value))
}

fn of(change: impl FnOnce(&mut SamplingInput)) -> Result<SamplingPlan, Vec<ArgumentFault>> {
    let mut input = SamplingInput::default();
    change(&mut input);
    plan(&input)
}

#[test]
fn all_arguments_become_one_rule() {
    let plan = of(|input| {
        input.http_path = Some("/a\"b\\c".to_owned());
        input.http_method = Some("GET".to_owned());
        input.http_status_code = Some("500".to_owned());
        input.http_latency = Some(">=0100ms".to_owned());
        input.service_id = Some(format!("{PLANE}:{}", SERVICE.to_uppercase()));
        input.control_plane_id = Some(PLANE.to_owned());
        input.session_duration = Some(10);
        input.max_samples = Some(1000);
    })
    .unwrap();
    insta::assert_snapshot!(plan.rule, @r#"http.path == "/a\"b\\c" && http.method == "GET" && http.response.status_code == 500 && proxy.kong.latency_total_ms >= 100 && proxy.kong.service.id == "0198bbbb-0000-7000-8000-00000000000b""#);
    assert_eq!(
        (plan.conditions, plan.duration_seconds, plan.max_samples),
        (5, 10, 1000)
    );
}

#[test]
fn without_arguments_every_request_is_sampled_and_that_can_be_seen() {
    let plan = of(|_| ()).unwrap();
    assert_eq!(plan.rule, "http.path ^= \"/\"");
    assert_eq!(
        (plan.conditions, plan.duration_seconds, plan.max_samples),
        (0, 60, 100)
    );
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let faults = of(|input| {
        input.http_path = Some("api".to_owned());
        input.http_method = Some("get".to_owned());
        input.http_status_code = Some("5XX".to_owned());
        input.http_latency = Some("1000ms".to_owned());
        input.service_id = Some("orders".to_owned());
        input.session_duration = Some(9);
        input.max_samples = Some(0);
    })
    .unwrap_err();
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    http_path: begins with `/`: give the path of a request, such as /api/users
    http_method: is one of GET, POST, PUT, DELETE, PATCH
    http_status_code: is one status as a string of three digits, such as "500"
    http_latency: has the form >=<int>ms, such as >=1000ms, and is at most 86400000
    service_id: is not a UUID, and not two of them as <control_plane_id>:<id>
    session_duration: is 10 to 1800 seconds
    max_samples: is 1 to 1000 traces
    "#);
}

#[test]
fn values_at_the_edges() {
    let is_fine = |change: fn(&mut SamplingInput, String), value: &str| {
        of(|input| change(input, value.to_owned())).is_ok()
    };
    for (latency, fine) in [
        (">=0ms", true),
        (">=86400000ms", true),
        (">=86400001ms", false),
        (">=99999999999999999999ms", false),
        (">=ms", false),
        (">= 5ms", false),
        (">=-5ms", false),
        (">=+5ms", false),
        (">=٣ms", false),
        (">5ms", false),
        (">=5s", false),
        (">=5ms ", false),
        (">=5msms", false),
    ] {
        let set = |input: &mut SamplingInput, value| input.http_latency = Some(value);
        assert_eq!(is_fine(set, latency), fine, "{latency}");
    }
    for (status, fine) in [
        ("100", true),
        ("999", true),
        ("099", false),
        ("+50", false),
        ("5000", false),
        ("", false),
        ("500 || 1 == 1", false),
    ] {
        let set = |input: &mut SamplingInput, value| input.http_status_code = Some(value);
        assert_eq!(is_fine(set, status), fine, "{status}");
    }
    for (path, fine) in [
        ("/", true),
        ("/é/%2F", true),
        ("/a?b=1", false),
        ("/a#b", false),
        ("/a\nb", false),
        ("/a b", false),
        ("/a\u{202e}b", false),
        ("", false),
    ] {
        let set = |input: &mut SamplingInput, value| input.http_path = Some(value);
        assert_eq!(is_fine(set, path), fine, "{path}");
    }
    let longest = format!("/{}", "a".repeat(LONGEST_PATH - 1));
    let set = |input: &mut SamplingInput, value| input.http_path = Some(value);
    assert!(is_fine(set, &longest));
    assert!(!is_fine(set, &format!("{longest}a")));
    for (seconds, fine) in [
        (10, true),
        (1800, true),
        (9, false),
        (1801, false),
        (i64::MAX, false),
    ] {
        assert_eq!(of(|i| i.session_duration = Some(seconds)).is_ok(), fine);
    }
    for (samples, fine) in [
        (1, true),
        (1000, true),
        (0, false),
        (-1, false),
        (1001, false),
    ] {
        assert_eq!(of(|i| i.max_samples = Some(samples)).is_ok(), fine);
    }
}

#[test]
fn a_service_of_another_plane_is_refused() {
    let faults = of(|input| {
        input.service_id = Some(format!("{SERVICE}:{SERVICE}"));
        input.control_plane_id = Some(PLANE.to_owned());
    })
    .unwrap_err();
    assert!(
        faults[0].message.contains("belongs to control plane"),
        "{faults:?}"
    );
}

/// Text that tries to end a literal, to add a comparison, to be a comment or a number.
fn hostile() -> impl Strategy<Value = String> {
    let piece = "(\"|\\\\|\"#|r#\"|/\\*|//| && | \\|\\| |!\\(|\\)|==|\\^=|~|http\\.path|0x1|\n|\t|\0|[0-9]|ms|>=|/|\\PC)";
    proptest::string::string_regex(&format!("/?{piece}{{0,12}}")).unwrap()
}

/// Values that are taken, hostile ones, and ones that differ little from those that are taken.
fn given(good: &'static str) -> impl Strategy<Value = Option<String>> {
    let taken = || proptest::string::string_regex(good).unwrap();
    let appended = (taken(), hostile()).prop_map(|(a, b)| a + &b);
    proptest::option::weighted(
        0.8,
        prop_oneof![4 => taken(), 1 => hostile(), 1 => appended],
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn no_input_changes_what_a_rule_compares(
        path in given("/[a-z\"\\\\&|()~.%é/]{0,20}"),
        method in given("GET|POST|PUT|DELETE|PATCH"),
        status in given("[1-9][0-9]{2}"),
        latency in given(">=0{0,2}[0-9]{1,7}ms"),
        service in given("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    ) {
        let input = SamplingInput {
            http_path: path.clone(),
            http_method: method.clone(),
            http_status_code: status.clone(),
            http_latency: latency.clone(),
            service_id: service.clone(),
            ..SamplingInput::default()
        };
        let Ok(plan) = plan(&input) else {
            return Ok(());
        };
        let mut expected = Vec::new();
        expected.extend(path.map(|path| text("http.path", &path)));
        expected.extend(method.map(|method| text("http.method", &method)));
        expected.extend(status.map(|s| number("http.response.status_code", "==", s.parse().unwrap())));
        expected.extend(latency.map(|latency| {
            let digits = latency.replace(">=", "").replace("ms", "");
            number("proxy.kong.latency_total_ms", ">=", digits.parse().unwrap())
        }));
        expected.extend(service.map(|id| {
            let (_, id) = id.trim().rsplit_once(':').unwrap_or(("", id.trim()));
            text("proxy.kong.service.id", &id.to_lowercase())
        }));
        prop_assert_eq!(plan.conditions, expected.len());
        if expected.is_empty() {
            expected.push(("http.path".to_owned(), "^=".to_owned(), Value::Text("/".to_owned())));
        }
        prop_assert_eq!(read(&plan.rule), Ok(expected));
    }

    #[test]
    fn hostile_paths_stay_one_literal(path in hostile()) {
        let path = format!("/{path}");
        let input = SamplingInput { http_path: Some(path.clone()), ..SamplingInput::default() };
        if let Ok(plan) = plan(&input) {
            prop_assert_eq!(read(&plan.rule), Ok(vec![text("http.path", &path)]));
        }
    }

    #[test]
    fn what_is_good_is_taken(path in "/[!-~&&[^?#]]{0,40}", ms in 0u32..=GREATEST_LATENCY) {
        let input = SamplingInput {
            http_path: Some(path),
            http_latency: Some(format!(">={ms}ms")),
            ..SamplingInput::default()
        };
        prop_assert!(plan(&input).is_ok());
    }
}
