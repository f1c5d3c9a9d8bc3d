use std::fmt::Write as _;

use super::*;
use crate::config::Config;

fn env(name: &str) -> Option<String> {
    match name {
        "TOKEN" => Some("s3cret-s3cret-s3cret".to_owned()),
        "WORD" => Some("allow: [x".to_owned()),
        "NUMBER" => Some("7".to_owned()),
        _ => None,
    }
}

fn faults(text: &str) -> String {
    match load::<Config>("mcp-gw.yaml", text, &env) {
        Ok(_) => "no fault".to_owned(),
        Err(faults) => faults.to_string(),
    }
}

fn all(cases: &[&str]) -> String {
    let rendered = cases
        .iter()
        .map(|text| format!("{text}\n=> {}\n", faults(text)));
    rendered.collect::<Vec<_>>().join("\n")
}

#[test]
fn syntax_faults() {
    insta::assert_snapshot!(all(&[
        "http:\n\tlisten: x",
        "http: {listen: x",
        "name: \"x",
        "a: b: c",
        "servers:\n  a: [\n",
        "? [a]\n: b",
        "{a}: b",
        "a: &a [*a]",
        "name: *nowhere",
        "name: !!int x",
        "name: x\n---\nname: y",
        "servers: { docs: { url: ${URL} } }",
        "name: x\n  path: y",
        "name: \u{1}",
    ]));
}

#[test]
fn structural_faults() {
    insta::assert_snapshot!(all(&[
        "- a",
        "just text",
        "htp: {}",
        "http:\n  Listen: x\n  max-body-size: 1MiB\n  zzz: 1",
        "name: 5",
        "name:",
        "name: ''",
        "http:",
        "http: 5",
        "auth: { anonymous: yes }",
        "auth: { anonymous: 'true' }",
        "auth: { api_keys: { id: x } }",
        "auth:\n  api_keys:\n    - key: aaaaaaaaaaaaaaaaaaaaaaa\n    - id: x\n      roles: admin",
        "auth: { api_keys: [ { id: x, key: 12345678901234567890 } ] }",
        "policy: { default: alow }",
        "policy: { default: [] }",
        "limits: { calls_per_minute: 0 }",
        "limits: { calls_per_minute: -1.5 }",
        "limits: { calls_per_minute: 99999999999 }",
        "call_timeout: 60",
        "call_timeout: 60 seconds",
        "call_timeout: 99999999999999999999h",
        "http: { max_body_size: 4 MiB }",
        "http: { max_body_size: -4 }",
        "http: { max_body_size: true }",
        "servers: { a: { env: { PORT: 8080, X: } } }",
        "servers: { a: { command: npx, arg: [x] } }",
        "servers: { a: { command: npx, args: [x, 5] } }",
        "servers: { a b: { url: 5 } }",
        "servers: { a: npx }",
        "name: x\nname: y\nhttp: { path: /a, path: /b }",
    ]));
}

#[test]
fn environment_faults() {
    insta::assert_snapshot!(all(&[
        "name: ${NOPE}",
        "name: ${NOPE:-x}",
        "name: ${WORD",
        "name: ${a b}",
        "policy: { default: '${WORD}' }",
        "call_timeout: ${TOKEN}",
        "auth: { anonymous: '${TOKEN}' }",
        "limits: { calls_per_minute: \"${NUMBER}\" }",
        "auth:\n  api_keys:\n    - id: ${NOPE}\n      key: ${ALSO_NOPE}\n      rolls: [a]",
    ]));
}

#[test]
fn numbers_of_a_policy_keep_their_digits() {
    for number in ["100.00000000000000001", "1.5e999", "99999999999999999999"] {
        let text = format!("name: x\npolicy:\n  vars: {{ most: {number} }}\n");
        let faults = load::<Config>("x.yaml", &text, &env)
            .unwrap_err()
            .to_string();
        assert!(faults.contains("x.yaml:3:17"), "{faults}");
        assert!(
            faults.contains("more digits than a number keeps"),
            "{faults}"
        );
        let text = text.replace(number, &format!("'{number}'"));
        assert!(load::<Config>("x.yaml", &text, &env).is_ok());
    }
}

#[test]
fn all_faults_are_reported_in_the_order_of_the_file() {
    let text = "name: 5\nhttp:\n  lsten: x\nservers:\n  a: { command: npx, timeout: soon }\n";
    let faults = load::<Config>("x.yaml", text, &env).unwrap_err();
    let places: Vec<_> = faults
        .faults()
        .iter()
        .map(|fault| {
            let at = fault.position().unwrap();
            (fault.path().to_string(), at.line(), at.column())
        })
        .collect();
    let expected = [
        ("name", 1, 7),
        ("http.lsten", 3, 3),
        ("servers.a.timeout", 5, 31),
    ];
    assert_eq!(
        places,
        expected.map(|(path, line, column)| (path.to_owned(), line, column))
    );
    assert!(faults.to_string().ends_with("\n3 faults in x.yaml"));
}

#[test]
fn what_the_environment_holds_is_text_and_never_shown() {
    let text = "name: ${WORD}\nservers: { a: { url: 'https://x', headers: { A: 'B ${TOKEN}' } } }";
    let loaded = load::<Config>("x.yaml", text, &env).unwrap();
    assert_eq!(loaded.value.name, "allow: [x");
    let header = loaded.value.servers["a"].headers["A"].expose();
    assert_eq!(header, "B s3cret-s3cret-s3cret");
    for text in [
        "call_timeout: ${TOKEN}",
        "policy: { default: \"${TOKEN}\" }",
        "name: ${TOKEN} ${N}",
    ] {
        let faults = faults(text);
        assert!(!faults.contains("s3cret"), "{faults}");
        assert_ne!(faults, "no fault");
    }
}

#[test]
fn an_empty_file_is_an_empty_mapping() {
    for text in ["", "# nothing\n", "---\n", "\u{feff}", "{}", "null"] {
        assert_eq!(faults(text), "no fault", "{text:?}");
    }
}

#[test]
fn json_is_read_like_yaml() {
    let text = "{\n\t\"name\": \"x\",\n\t\"http\": {\n\t\t\"path\": \"\\/m\"\n\t}\n}\n";
    assert_eq!(faults(text), "no fault");
}

#[test]
fn aliases_are_followed_but_cannot_explode() {
    let text = "auth: { api_keys: [ { id: a, roles: &r [x, y] }, { id: b, roles: *r } ] }";
    let loaded = load::<Config>("x", text, &env).unwrap();
    assert_eq!(loaded.value.auth.api_keys[1].roles, ["x", "y"]);

    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let above = format!("*a{}", level - 1);
        writeln!(bomb, "a{level}: &a{level} [{}]", vec![above; 10].join(", ")).unwrap();
    }
    assert!(faults(&bomb).contains("more than 100000 values"));
    let mut tower = "a0: &a0 [x]\n".to_owned();
    for level in 1..90 {
        writeln!(tower, "a{level}: &a{level} [*a{}]", level - 1).unwrap();
    }
    assert!(faults(&tower).contains("levels of nesting"));
    for open in ["[", "- ", "? ", "{a: ", "[[{a: "] {
        assert!(faults(&open.repeat(10_000)).contains("1 fault"), "{open}");
        assert!(
            faults(&open.repeat(70)).contains("levels of nesting"),
            "{open}"
        );
    }
}

#[test]
fn spans_locate_values_keys_and_blocks() {
    let text = "name: x\nhttp:\n  listen: y\n  sessions: { max_total: 5 }\n";
    let spans = load::<Config>("x", text, &env).unwrap().spans;
    let http = ConfigPath::root().key("http");
    let at = |path: &ConfigPath| spans.locate(path).to_string();
    assert_eq!(at(&http), "2:1");
    assert_eq!(at(&http.key("listen")), "3:11");
    assert_eq!(spans.locate_key(&http.key("listen")).to_string(), "3:3");
    assert_eq!(at(&http.key("sessions")), "4:13");
    assert_eq!(at(&http.key("path")), "2:1");
}

#[test]
fn files_that_cannot_be_read_say_what_to_do() {
    let folder = std::env::temp_dir().join(format!("mcp-gw-read-file-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let binary = folder.join("binary");
    std::fs::write(&binary, [0xff, 0xfe]).unwrap();
    let large = folder.join("large");
    std::fs::write(&large, vec![b'#'; 16 * 1024 * 1024 + 1]).unwrap();
    let fine = folder.join("fine");
    std::fs::write(&fine, "name: x").unwrap();
    for (path, expected) in [
        (
            folder.join("missing"),
            "missing: there is no such file; check the path",
        ),
        (folder.clone(), "this is a directory; name the file in it"),
        (
            binary,
            "binary: the file is not UTF-8 text; save it as UTF-8",
        ),
        (large, "large: the file is larger than 16 MiB"),
    ] {
        let message = read_file(&path).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(read_file(&fine).unwrap(), "name: x");
    std::fs::remove_dir_all(&folder).unwrap();
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in "\\PC*") {
        let _ = load::<Config>("x", &text, &env).map_err(|faults| faults.to_string());
    }

    #[test]
    fn no_text_of_yaml_tokens_makes_the_loader_panic(
        tokens in proptest::collection::vec(proptest::sample::select(TOKENS), 0..40)
    ) {
        let text = tokens.concat();
        let _ = load::<Config>("x", &text, &env).map_err(|faults| faults.to_string());
    }
}

const TOKENS: &[&str] = &[
    "\n",
    "  ",
    "\t",
    ": ",
    "- ",
    "? ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "\"",
    "'",
    "|\n",
    ">-\n",
    "&a ",
    "*a",
    "!!str ",
    "!x ",
    "---\n",
    "...\n",
    "#",
    "%YAML 1.2\n",
    "~",
    "true",
    "5",
    "1e999",
    "<<",
    "${",
    "}",
    "$${",
    "${TOKEN}",
    "name",
    "http",
    "auth",
    "api_keys",
    "servers",
    "\u{feff}",
    "\\u",
    "\u{85}",
    "\r",
    "é",
    "\0",
];
