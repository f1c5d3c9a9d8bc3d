//! What people see who look at policies before they put them in force.

use std::process::Command;

use super::{BOTH, run};
use crate::support::json::{at, items, string};
use crate::support::process::Process;
use crate::support::setup::Folder;
use crate::support::{HTTP_BIN, ODD_BIN};

/// Files in a folder of their own.
struct Desk(Folder);

const OFFICE: &str = "\
default: deny
roles:
  admin: { inherits: [reader], members: [{ groups: [ops] }] }
  reader: { members: [{ kinds: [user] }] }
rules:
  - { id: read, effect: allow, tools: [\"get_*\"], who: { roles: [reader] } }
  - { id: write, effect: allow, tools: [\"set_*\"], who: { roles: [admin] } }
  - { id: small-orders, effect: allow, tools: [order], when: \"mcp.tool.arguments.amount < 100\" }
  - { id: from-the-office, effect: require, tools: [order], from: [\"10.0.0.0/8\"] }
  - { id: no-secrets, effect: deny, tools: [\"*_secret*\"] }
";

/// A gateway with keys that the environment does not have.
const GATEWAY: &str = "\
auth:
  api_keys:
    - { id: alice, key: \"${NO_SUCH_ALICE_KEY}\", groups: [ops] }
    - { id: bob, key: \"${NO_SUCH_BOB_KEY}\", tools: [\"docs__get_*\"] }
policy:
  rules:
    - { id: ops, effect: allow, who: { groups: [ops] } }
    - { id: no-drop, effect: deny, tools: [\"*drop*\"] }
servers:
  docs: { url: \"https://mcp.example.com/mcp\" }
  notes: { command: notes-server }
";

impl Desk {
    fn new() -> Self {
        let desk = Self(Folder::new());
        desk.put("office.yaml", OFFICE);
        desk.put("gate.yaml", GATEWAY);
        desk
    }

    fn put(&self, name: &str, text: &str) {
        self.0.file(name, text);
    }

    /// Runs `policy` in the folder; both programs say the same.
    #[track_caller]
    fn policy(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let said = BOTH.map(|binary| {
            let mut command = Command::new(binary);
            command.current_dir(&self.0.0).arg("policy").args(args);
            Process::start(&mut command).finish()
        });
        let [http, stdio] = said;
        // Times are in reports for machines and in the log of what servers say.
        if !args.contains(&"json") {
            assert_eq!((http.0, &http.1), (stdio.0, &stdio.1));
        }
        if !args.contains(&"--ask") {
            assert_eq!(http.2, stdio.2);
        }
        http
    }

    #[track_caller]
    fn says(&self, args: &[&str], code: i32, words: &[&str]) -> String {
        let (found, stdout, stderr) = self.policy(args);
        let all = format!("{stdout}{stderr}");
        assert_eq!(found, Some(code), "{args:?}: {all}");
        for word in words {
            assert!(all.contains(word), "{args:?}: {word:?} is not in\n{all}");
        }
        all
    }
}

#[test]
fn a_check_finds_faults_and_what_looks_wrong() {
    let desk = Desk::new();
    desk.says(
        &["check", "office.yaml"],
        0,
        &["office.yaml is good: 5 rules and 2 roles"],
    );
    desk.says(&["check", "gate.yaml"], 0, &["gate.yaml is good"]);
    desk.put(
        "bad.yaml",
        "defalt: deny\nrules:\n  - { id: a, effect: alow }\n  - { id: b, effect: deny, when: 'jwt.x ==' }\n",
    );
    let faults = [
        "bad.yaml:1:1: defalt: unknown key `defalt`; did you mean `default`?",
        "bad.yaml:3:14: rules[0].effect: rule `a`: unknown word `alow`",
        "bad.yaml:4:",
        "bad.yaml cannot be used: 3 faults",
    ];
    desk.says(&["check", "bad.yaml"], 1, &faults);
    let dead = format!("{OFFICE}  - {{ id: dead, effect: allow, tools: [get_secret_7] }}\n");
    desk.put("odd.yaml", &dead);
    let warning = "odd.yaml:11:5: warning, shadowed: rules[5]: rule `dead`: `no-secrets` denies";
    desk.says(&["check", "odd.yaml"], 0, &[warning, "with 1 warning"]);
    desk.says(
        &["check", "odd.yaml", "office.yaml", "--strict"],
        1,
        &["office.yaml is good"],
    );
    desk.put(
        "gate2.yaml",
        &GATEWAY.replace("effect: allow", "efect: allow"),
    );
    desk.says(
        &["check", "gate2.yaml"],
        1,
        &["gate2.yaml:7:", "policy.rules[0]"],
    );
    // A key that is gone is no fault: else nobody could take one away.
    desk.put(
        "gate3.yaml",
        &GATEWAY.replace("{ groups: [ops] } }", "{ groups: [ops], ids: [alcie] } }"),
    );
    let warning = "gate3.yaml:7:61: warning, unknown name: policy.rules[0].who.ids[0]: there is no caller `alcie`; did you mean `alice`?";
    desk.says(&["check", "gate3.yaml"], 0, &[warning, "with 1 warning"]);
    desk.says(&["check", "gate3.yaml", "--strict"], 1, &[warning]);
}

#[test]
fn a_check_tells_of_what_shuts_a_server_or_is_for_none() {
    let desk = Desk::new();
    let with = |policy: &str| {
        desk.put(
            "gate3.yaml",
            &GATEWAY.replace("policy:\n", &format!("policy:\n{policy}")),
        );
        desk.says(&["check", "gate3.yaml"], 0, &["with 1 warning"])
    };
    let all = with("  servers: { notes: { default: deny } }\n");
    assert!(
        all.contains("policy.servers.notes.rules: this layer has no rules"),
        "{all}"
    );
    let all = with("  ip: { allow: [\"0.0.0.0/0\"], deny: [\"::/0\"] }\n");
    assert!(all.contains("nobody may come"), "{all}");
    let all = with(
        "  consumers: [{ name: c, who: { ids: [bob] }, default: allow, rules: [{ id: x, effect: deny, servers: [\"note?\", \"hr*\"] }] }]\n",
    );
    assert!(
        all.contains("rules[0].servers[1]: no server in `servers` fits this"),
        "{all}"
    );
    let all = with(
        "  roles: { admin: {} }\n  consumers: [{ name: c, who: { ids: [bob] }, default: allow, rules: [{ id: x, effect: deny, tools: [a], who: { roles: [admn] } }] }]\n",
    );
    assert!(all.contains("did you mean `admin`?"), "{all}");
    let all = with(
        "  consumers: [{ name: c, who: { ids: [bob] }, rules: [{ id: x, effect: allow, resources: [\"https://*.example.com/*\"] }] }]\n",
    );
    assert!(
        all.contains(r"regex: 'https://[^/?]*\.example\.com/.*'"),
        "{all}"
    );
}

#[test]
fn a_report_for_machines_is_json_whatever_was_found() {
    let desk = Desk::new();
    desk.put("bad.yaml", "rules: [{ id: a, effect: alow }]");
    let (code, stdout, _) = desk.policy(&["check", "office.yaml", "bad.yaml", "--format", "json"]);
    assert_eq!(code, Some(1));
    let reports = items(&stdout);
    assert_eq!(at(&reports[0], &["usable"]), "true");
    let fault = &items(&at(&reports[1], &["faults"]))[0];
    assert_eq!(string(&at(fault, &["rule"])), "a");
    assert_eq!(at(fault, &["line"]), "1");
}

#[test]
fn what_cannot_be_told_ends_with_2() {
    let desk = Desk::new();
    let missing = "there is no such file; check the path, or create the file";
    desk.says(&["check", "none.yaml"], 2, &["none.yaml: ", missing]);
    desk.says(&["test", "none.yaml"], 2, &[missing]);
    desk.says(&["import", "none.json"], 2, &[missing]);
    desk.says(
        &["check", ".", "office.yaml"],
        2,
        &["this is a directory", "office.yaml is good"],
    );
    // What servers need, and not what callers do.
    let docs =
        "docs: { command: docs, env: { A: \"${NO_SUCH_A}\", B: \"${NO_SUCH_B}\" } }\n  gone: {";
    desk.put("unset.yaml", &GATEWAY.replace("docs: {", docs));
    let unset = "lacks `NO_SUCH_A`, `NO_SUCH_B`; set it, or leave out --ask";
    desk.says(&["check", "unset.yaml", "--ask"], 2, &[unset]);
    desk.says(
        &["check", "office.yaml", "--ask"],
        2,
        &["names no servers that could be asked"],
    );
    let explain = |rest: &[&'static str]| {
        let mut args = vec!["explain", "--config"];
        args.extend(rest);
        args
    };
    for (args, words) in [
        (
            explain(&["gate.yaml", "--as", "alise", "tools/call", "x"]),
            "did you mean `alice`?",
        ),
        (
            explain(&["gate.yaml", "--as", "zebra", "tools/call", "x"]),
            "known are `alice`, `bob`",
        ),
        (
            explain(&["gate.yaml", "--as", "who.yaml", "tools/call", "x"]),
            missing,
        ),
        (
            explain(&["gate.yaml", "--as", "{ id: 7 }", "tools/call", "x"]),
            "--as: 1:",
        ),
        (
            explain(&["gate.yaml", "--as", "{ id: [", "tools/call", "x"]),
            "this is not YAML",
        ),
        (
            explain(&["gate.yaml", "--as", "{ kind: boss }", "tools/call", "x"]),
            "there are anonymous",
        ),
        (
            explain(&["gate.yaml", "--as", "alice", "tools/call", "x", "{"]),
            "no JSON: ",
        ),
        (
            explain(&["gate.yaml", "--as", "alice", "tools/call", "x", "[1]"]),
            "no JSON object",
        ),
        (
            explain(&["gate.yaml", "--as", "alice", "tools/list", "x", "{}"]),
            "a list has no arguments",
        ),
        (
            explain(&["gate.yaml", "--as", "alice", "completion/complete", "x"]),
            "--feature prompt",
        ),
        (
            explain(&["none.yaml", "--as", "alice", "tools/call", "x"]),
            missing,
        ),
        (
            explain(&[
                "gate.yaml",
                "--as",
                "alice",
                "--from-ip",
                "home",
                "tools/call",
                "x",
            ]),
            "--from-ip",
        ),
        (
            explain(&[
                "gate.yaml",
                "--as",
                "alice",
                "--header",
                "x",
                "tools/call",
                "x",
            ]),
            "`name: value`",
        ),
    ] {
        let (code, _, stderr) = desk_run(&desk, &args);
        assert_eq!(code, Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{args:?}: {stderr}");
    }
}

/// Faults of the command line name the program, so that the two do not say the same.
fn desk_run(desk: &Desk, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(HTTP_BIN);
    command.current_dir(&desk.0.0).arg("policy").args(args);
    Process::start(&mut command).finish()
}

#[test]
fn an_explanation_says_what_decides_and_what_to_do() {
    let desk = Desk::new();
    let office = ["explain", "--config", "office.yaml", "--as"];
    let told = |rest: &[&'static str], words: &[&str]| {
        let args = [&office[..], rest].concat();
        desk.says(&args, 0, words)
    };
    let allowed = [
        "allowed: rule `read` allowed it",
        "for ann (user)",
        "roles: reader",
    ];
    let said = told(&["{id: ann}", "tools/call", "get_time"], &allowed);
    assert!(!said.contains("what to do"), "{said}");
    told(
        &["{id: ann}", "tools/call", "set_time"],
        &[
            "denied: no rule allowed it, and the default is to deny",
            "rule `write`, which would allow it, in global\n    who.roles: ",
            "add to `rules`: { id: a-name-for-it, effect: allow, tools: [set_time], who: { ids: [ann] } }",
        ],
    );
    told(
        &["{id: ann}", "tools/call", "get_secret"],
        &[
            "denied: rule `no-secrets` denied it",
            "no other rule can allow what it denies",
        ],
    );
    told(
        &["{id: ann}", "tools/call", "order", r#"{"amount":"many"}"#],
        &[
            "does not apply to string and int",
            "--from-ip",
            "mcp.tool.arguments.amount < 100",
        ],
    );
    told(
        &[
            "{id: ann}",
            "--from-ip",
            "192.0.2.7",
            "tools/call",
            "order",
            r#"{"amount":5}"#,
        ],
        &[
            "what is required and does not hold",
            "from: 192.0.2.7 is not among the addresses",
        ],
    );
    told(
        &[
            "{id: ann}",
            "--from-ip",
            "10.0.0.7",
            "tools/call",
            "order",
            r#"{"amount":5}"#,
        ],
        &["allowed: rule `small-orders` allowed it"],
    );
    told(
        &["anonymous", "tools/cal", "x"],
        &["did you mean `tools/call`?"],
    );
    desk.put(
        "hr.yaml",
        "default: allow\nservers: { hr: { rules: [{ id: a, effect: allow, tools: [a] }] } }",
    );
    let hr = [
        "explain",
        "--config",
        "hr.yaml",
        "--as",
        "local",
        "tools/call",
        "b",
    ];
    desk.says(
        &hr,
        0,
        &["allowed: ", "say which server offers it: --server or --ask"],
    );
    desk.says(
        &[&hr[..], &["--server", "hr"]].concat(),
        0,
        &["denied: ", "`rules` of `servers`, `hr`"],
    );
    desk.put("ann.json", r#"{ "id": "ann", "groups": ["ops"] }"#);
    told(
        &["ann.json", "tools/call", "set_time"],
        &["roles: admin, reader", "allowed: "],
    );
}

#[test]
fn a_gateways_own_callers_and_servers_are_known() {
    let desk = Desk::new();
    let gate = ["explain", "--config", "gate.yaml", "--as"];
    let bob = [&gate[..], &["bob", "tools/call", "docs__get_page"]].concat();
    let words = [
        "for bob (api_key)",
        "of server docs",
        "consumer auth.api_keys.tools:bob",
    ];
    desk.says(&bob, 0, &words);
    let (_, stdout, _) = desk.policy(&[&bob[..], &["--format", "json"]].concat());
    assert_eq!(string(&at(&stdout, &["effect"])), "allow");
    assert_eq!(string(&at(&stdout, &["request", "caller", "id"])), "bob");
    assert_eq!(string(&at(&stdout, &["request", "server"])), "docs");
    let other = [&gate[..], &["bob", "tools/call", "docs__set_page"]].concat();
    let all = desk.says(
        &other,
        0,
        &["add `docs__set_page` to `tools` of the key `bob` in `auth.api_keys`"],
    );
    assert!(!all.contains("add to"), "{all}");
    let alice = [&gate[..], &["alice", "tools/list", "notes__drop"]].concat();
    desk.says(&alice, 0, &["denied: rule `no-drop` denied it"]);
}

/// What callers and servers call things is shown, and obeyed by nobody.
#[test]
fn hostile_names_stay_on_their_line() {
    let desk = Desk::new();
    let name = "x\u{1b}[2J\u{202e}\r\nallowed: fine";
    let caller = r#"{"id": "eve\u001b[2J\nallowed: fine", "roles": ["a\nallowed: fine"]}"#;
    let args = [
        "explain",
        "--config",
        "office.yaml",
        "--as",
        caller,
        "tools/call",
        name,
    ];
    let said = desk.says(&args, 0, &["\\u{1b}[2J", "\\u{202e}"]);
    assert!(
        !said.contains('\u{1b}') && !said.contains('\u{202e}'),
        "{said}"
    );
    assert!(!said.contains("\nallowed: fine"), "{said}");
    desk.put(
        "cases.yaml",
        "policy: office.yaml\ncases: [{ case: \"a\\u001b[2J\\nb\", name: x, expect: allow }]",
    );
    let said = desk.says(&["test", "cases.yaml"], 1, &["a\\u{1b}[2J b"]);
    assert!(!said.contains('\u{1b}'), "{said}");
    let long = "x".repeat(100_000);
    let args = [
        "explain",
        "--config",
        "office.yaml",
        "--as",
        "local",
        "tools/call",
        &long,
    ];
    desk.says(
        &args,
        0,
        &["denied: the name holds a control character, or is too long"],
    );
}

const CASES: &str = "\
policy: office.yaml
callers:
  ann: { id: ann }
  root: { id: root, groups: [ops] }
cases:
  - { case: ann reads, as: ann, name: get_time, expect: allow, rules: [read] }
  - { case: ann does not write, as: ann, name: set_time, expect: deny, reason: no_rule }
  - { case: root writes, as: root, name: set_time, expect: allow }
  - { case: orders from home, as: ann, from: 192.0.2.7, name: order, arguments: { amount: 5 }, expect: deny }
";

#[test]
fn a_table_of_decisions_passes_or_says_what_differs() {
    let desk = Desk::new();
    desk.put("cases.yaml", CASES);
    desk.says(
        &["test", "cases.yaml"],
        0,
        &["cases.yaml: 4 cases, all as expected"],
    );
    desk.put(
        "wrong.yaml",
        &CASES
            .replace("expect: allow }", "expect: deny }")
            .replace("as: root", "as: rot"),
    );
    let words = [
        "wrong.yaml: root writes\n    there is no caller `rot` here; did you mean `root`?",
        "wrong.yaml: 4 cases, 1 not as expected",
    ];
    // Who is asked about is not known, so it cannot be told.
    desk.says(&["test", "wrong.yaml", "cases.yaml"], 2, &words);
    let words = [
        "cases.yaml: ann reads\n    effect: expected allow, found deny\n    rules: expected read, found none\n    \
         denied: no rule allowed it",
        "cases.yaml: 4 cases, 2 not as expected",
    ];
    desk.put("none.yaml", "rules: []");
    desk.says(&["test", "cases.yaml", "--config", "none.yaml"], 1, &words);
    let (_, stdout, _) = desk.policy(&[
        "test",
        "cases.yaml",
        "--config",
        "none.yaml",
        "--format",
        "json",
    ]);
    let failure = &items(&at(&items(&stdout)[0], &["failures"]))[0];
    assert_eq!(string(&at(failure, &["explanation", "reason"])), "no_rule");
}

#[test]
fn a_table_that_cannot_be_run_says_why() {
    let desk = Desk::new();
    for (text, words) in [
        ("cases: []", "there are no cases in it"),
        (
            "cases: [{ case: a, name: x, expect: allow }]",
            "write `policy: FILE` above them",
        ),
        (
            "policy: none.yaml\ncases: [{ case: a, name: x, expect: allow }]",
            "there is no such file",
        ),
        ("cases: [{ case: a, name: x, expect: maybe }]", "t.yaml:1:"),
        (
            "cases: [{ case: a, name: x, expects: deny }]",
            "did you mean `expect`?",
        ),
        ("a: [", "this is not YAML"),
    ] {
        desk.put("t.yaml", text);
        desk.says(&["test", "t.yaml"], 2, &[words]);
    }
    // The gateway's callers are known to the cases.
    desk.put("t.yaml", "policy: gate.yaml\ncases: [{ case: a, as: bob, name: docs__get_x, server: docs, expect: allow }]");
    desk.says(&["test", "t.yaml"], 0, &["1 case, all as expected"]);
}

#[test]
fn another_gateways_policy_becomes_ours() {
    let desk = Desk::new();
    let feature = |condition: &str| {
        format!(
            r#"{{"authorizations":[{{"condition":"{condition}","authorizedFeatures":[{{"type":"TOOLS",
             "methods":["TOOLS_LIST","TOOLS_CALL"],"patternType":"LITERAL","patternValue":"get_time"}}]}}]}}"#
        )
    };
    desk.put(
        "same.json",
        &feature("{#context.attributes['jwt.claims']['dept'] == 'sales'}"),
    );
    let (code, yaml, report) = desk.policy(&["import", "same.json"]);
    assert_eq!(code, Some(0), "{report}");
    desk.put("same.yaml", &yaml);
    desk.says(&["check", "same.yaml", "--strict"], 0, &["is good: 1 rule"]);
    let caller = "{ id: ann, claims: { dept: sales } }";
    let args = [
        "explain",
        "--config",
        "same.yaml",
        "--as",
        caller,
        "tools/call",
        "get_time",
    ];
    desk.says(&args, 0, &["allowed: rule `acl-1-feature-1`"]);

    // Of a caller without a credential there is no user there; what that of an API key is, is not known.
    for (condition, bob) in [
        ("{#context.attributes['user'] != null}", "allowed"),
        ("{#context.attributes['jwt.claims']['a'] != 'x'}", "denied"),
        (
            "{(!#context.attributes['user'].startsWith('guest'))}",
            "allowed",
        ),
        (
            "{#request.jsonContent.params.arguments['a'] != 'x'}",
            "denied",
        ),
        ("{#request.params['a'][0] != 'x'}", "denied"),
        ("{#request.headers['X-A'][0] != 'x'}", "denied"),
    ] {
        desk.put("null.json", &feature(condition));
        let (code, yaml, report) = desk.policy(&["import", "null.json"]);
        assert_eq!(code, Some(0), "{condition}: {report}");
        desk.put("null.yaml", &yaml);
        for (caller, decision) in [
            ("anonymous", "denied"),
            ("{ id: bob, kind: api_key }", "denied"),
            ("{ id: bob, kind: user }", bob),
        ] {
            let args = ["explain", "--config", "null.yaml", "--as", caller];
            let all = desk.says(&[&args[..], &["tools/call", "get_time"]].concat(), 0, &[]);
            assert!(all.starts_with(decision), "{condition} for {caller}: {all}");
        }
    }
    let off = format!(
        r#"{{"flows":[{{"enabled":false,"selectors":[{{"type":"MCP","methods":["tools/call"]}}],"request":[{{"policy":"mcp-acl","configuration":{}}}]}}]}}"#,
        feature("true")
    );
    desk.put("off.json", &off);
    let words = [
        "flows[0].enabled: stricter:",
        "flows[0].selectors: stricter:",
    ];
    desk.says(&["import", "off.json"], 1, &words);

    desk.put("less.json", &feature("{#no.such.thing()}"));
    let words = [
        "authorizations[0].condition: stricter:",
        "allow less than before",
        "when: \"false\"",
    ];
    desk.says(&["import", "less.json"], 1, &words);
    desk.says(&["import", "less.json", "--lenient"], 0, &words);
    desk.put("none.json", "{ \"authorizations\": 7 }");
    desk.says(
        &["import", "none.json"],
        2,
        &["this is no mcp-acl configuration"],
    );
    desk.says(
        &["check", "less.json"],
        1,
        &["`policy import` makes a policy of"],
    );
}

#[test]
fn names_are_compared_with_what_servers_offer_when_they_are_asked() {
    let desk = Desk::new();
    let gate = |rules: &str| {
        format!("policy: {{ rules: [{rules}] }}\nservers: {{ odd: {{ command: {ODD_BIN:?} }} }}\n")
    };
    desk.put("fit.yaml", &gate("{ id: a, effect: allow, tools: [echo] }"));
    desk.says(
        &["check", "fit.yaml", "--ask", "--strict"],
        0,
        &["fit.yaml is good"],
    );
    // Keys of callers are of no use for asking servers.
    let keys = "auth: { api_keys: [{ id: ann, key: \"${NO_SUCH_KEY}\" }] }\n";
    let fit = gate("{ id: a, effect: allow, tools: [echo] }");
    desk.put("keys.yaml", &format!("{keys}{fit}"));
    desk.says(
        &["check", "keys.yaml", "--ask", "--strict"],
        0,
        &["keys.yaml is good"],
    );
    desk.put(
        "typo.yaml",
        &gate("{ id: a, effect: allow, tools: [ecko] }"),
    );
    let words = ["typo.yaml:1:", "matches nothing", "did you mean `echo`?"];
    desk.says(&["check", "typo.yaml", "--ask"], 0, &words);
    let explain = [
        "explain",
        "--config",
        "fit.yaml",
        "--ask",
        "--as",
        "local",
        "tools/call",
    ];
    desk.says(
        &[&explain[..], &["echo"]].concat(),
        0,
        &["allowed: ", "of server odd"],
    );
    desk.says(
        &[&explain[..], &["ecko"]].concat(),
        0,
        &["no server offers a tool `ecko`"],
    );
    let gone = "policy: { default: allow }\nservers: { gone: { command: no-such-command-here } }\n";
    desk.put("gone.yaml", gone);
    desk.says(
        &["check", "gone.yaml", "--ask"],
        2,
        &["the names in the policy are not compared"],
    );
}

#[test]
fn a_policy_command_needs_what_it_is_about() {
    for binary in BOTH {
        for args in [
            &["policy"][..],
            &["policy", "check"],
            &["policy", "explain", "x"],
            &["policy", "test"],
        ] {
            let (code, _, stderr) = run(binary, args);
            assert_eq!(code, Some(2), "{args:?}: {stderr}");
        }
    }
}

#[test]
fn the_explanation_in_the_documents_is_one() {
    let text = include_str!("../../../../docs/policy.md");
    let block = |from: &str, kind: &str| {
        let part = text.split(from).nth(1).unwrap();
        let part = part.split(&format!("```{kind}\n")).nth(1).unwrap();
        part.split("```").next().unwrap().to_owned()
    };
    let desk = Desk::new();
    desk.put("mcp-gw.yaml", &block("# Policy\n", "yaml"));
    let told = block("## When it does not do what you meant", "text");
    let args = [
        "explain",
        "--config",
        "mcp-gw.yaml",
        "--as",
        "bob",
        "tools/call",
        "set_time",
    ];
    let said = desk.says(&args, 0, &[]);
    let steady = |text: &str| text.split("version").next().unwrap().trim().to_owned();
    assert_eq!(steady(&said), steady(&told));
    desk.put("decisions.yaml", &block("## Look it over", "yaml"));
    desk.says(
        &["test", "decisions.yaml"],
        0,
        &["2 cases, all as expected"],
    );
}
