//! Starts that fail, and starts that do not.

use std::net::TcpListener;
use std::process::Command;

use super::{BOTH, run};
use crate::support::client::{Client, Era};
use crate::support::http::Endpoint;
use crate::support::json::{at, items, string};
use crate::support::process::Process;
use crate::support::setup::Folder;
use crate::support::{HTTP_BIN, ODD_BIN, STDIO_BIN};

/// Fails with this exit code, and says all of this.
#[track_caller]
fn fails(binary: &str, args: &[&str], code: i32, words: &[&str]) {
    let (found, stdout, stderr) = run(binary, args);
    assert_eq!(found, Some(code), "{args:?}: {stderr}");
    assert_eq!(
        stdout, "",
        "{args:?}: standard output is not for complaints"
    );
    for word in words {
        assert!(
            stderr.contains(word),
            "{binary} {args:?} does not say {word:?}:\n{stderr}"
        );
    }
}

/// These are only for one that listens.
fn listening<'a>(binary: &str, args: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["run"];
    if binary == HTTP_BIN {
        all.extend(["--listen", "127.0.0.1:0"]);
    }
    all.extend(args);
    all
}

#[test]
fn nothing_to_serve_says_what_could_be() {
    for binary in BOTH {
        for args in [&[][..], &["run"], &["check"]] {
            fails(
                binary,
                args,
                1,
                &[
                    "nothing to serve",
                    "`--`",
                    "--url",
                    "--from",
                    "--config",
                    "--help",
                ],
            );
        }
    }
}

#[test]
fn an_unknown_option_points_to_help() {
    for binary in BOTH {
        fails(
            binary,
            &["--prot", "8080"],
            2,
            &["unexpected argument '--prot'", "--help"],
        );
        fails(binary, &["rnu"], 2, &["rnu", "--help"]);
        fails(binary, &["--config"], 2, &["--config <FILE>"]);
        let two = ["--url", "http://127.0.0.1:1/mcp", "--from", "x"];
        fails(binary, &two, 2, &["cannot be used with", "--help"]);
    }
    fails(
        HTTP_BIN,
        &["--listen", "here"],
        2,
        &["--listen <ADDRESS>", "--help"],
    );
}

#[test]
fn how_to_log_may_be_said_anywhere() {
    for binary in BOTH {
        for args in [
            &["--log", "warn", "check", "--", "odd"][..],
            &["check", "--log", "warn", "--", "odd"],
            &[
                "--log-format",
                "json",
                "--log",
                "warn",
                "check",
                "--url",
                "http://127.0.0.1:1/",
            ],
        ] {
            let (code, _, stderr) = run(binary, args);
            assert_eq!(code, Some(0), "{args:?}: {stderr}");
        }
        let before = ["--url", "http://127.0.0.1:1/", "check", "--", "odd"];
        fails(binary, &before, 2, &["comes after its name", "--help"]);
        fails(
            binary,
            &["--log", "a=b=c", "check", "--", "odd"],
            1,
            &["--log"],
        );
    }
    fails(
        HTTP_BIN,
        &["--insecure", "check", "--", "odd"],
        2,
        &["comes after its name"],
    );
}

#[test]
fn a_command_that_is_not_there_is_named() {
    for binary in BOTH {
        let words = [
            "`no-such-command`",
            "not found in PATH",
            "install it or give the full path",
        ];
        fails(
            binary,
            &listening(binary, &["--", "no-such-command"]),
            1,
            &words,
        );
        let words = ["`/no/such/command`", "check the path"];
        fails(
            binary,
            &listening(binary, &["--", "/no/such/command"]),
            1,
            &words,
        );
        let words = ["/proc/version", "check its permissions"];
        fails(
            binary,
            &listening(binary, &["--", "/proc/version"]),
            1,
            &words,
        );
    }
}

#[test]
fn a_command_that_ends_at_once_has_its_last_words() {
    for binary in BOTH {
        let args = ["--", "sh", "-c", "echo 'set API_TOKEN first' >&2; exit 3"];
        let words = ["exit status: 3", "last words: set API_TOKEN first"];
        fails(binary, &listening(binary, &args), 1, &words);
    }
}

#[test]
fn a_url_where_nobody_listens_is_named() {
    // A port that was free a moment ago, and that nobody takes: it stays bound, but does not listen.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for binary in BOTH {
        let url = format!("http://{address}/mcp");
        let (code, _, stderr) = run(binary, &listening(binary, &["--url", &url]));
        assert_eq!(code, Some(1), "{stderr}");
        assert!(
            stderr.contains("upstream") || stderr.contains(&url),
            "{stderr}"
        );
        fails(
            binary,
            &listening(binary, &["--url", "ftp://x"]),
            1,
            &["neither `http` nor `https`"],
        );
    }
}

#[test]
fn a_port_in_use_is_named_and_another_one_suggested() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let words = [
        "cannot listen on",
        &address,
        "something else listens there",
        "--listen",
        "port 0",
    ];
    fails(
        HTTP_BIN,
        &["run", "--listen", &address, "--", ODD_BIN],
        1,
        &words,
    );
    fails(HTTP_BIN, &["demo", "--listen", &address], 1, &words);
    let words = ["loopback"];
    fails(HTTP_BIN, &["demo", "--listen", "0.0.0.0:0"], 1, &words);
    let open = ["run", "--listen", "0.0.0.0:0", "--", ODD_BIN];
    fails(HTTP_BIN, &open, 1, &["http.listen", "insecure", "api_keys"]);
}

#[test]
fn a_configuration_that_cannot_be_read_is_named() {
    let folder = Folder::new();
    let folder_path = folder.0.display().to_string();
    let binary_file = folder.0.join("binary.yaml");
    std::fs::write(&binary_file, [0xff, 0xfe, 0x00]).unwrap();
    for binary in BOTH {
        for path in [
            "/no/such/file.yaml",
            &folder_path,
            &binary_file.display().to_string(),
        ] {
            for flag in ["--config", "--from"] {
                fails(binary, &[flag, path], 1, &[path]);
                fails(binary, &["check", flag, path], 1, &[path]);
            }
        }
    }
}

#[test]
fn all_faults_of_a_configuration_are_told_with_their_places() {
    let folder = Folder::new();
    let shape = "htp: {}\ncall_timeout: soon\nservers:\n  odd: { comand: odd }\n";
    let meaning = "policy: { default: allow }\nhttp: { path: mcp }\nservers:\n  a: { command: a, headers: { a: b } }\n  b: {}\n";
    for (name, yaml, places, words) in [
        (
            "shape.yaml",
            shape,
            ["1:1", "2:15", "4:10"],
            [
                "did you mean `http`",
                "write a whole number with a unit",
                "did you mean `command`",
            ],
        ),
        (
            "meaning.yaml",
            meaning,
            ["2:15", "4:20", "5:6"],
            ["http.path", "remove it", "add `command: npx`"],
        ),
    ] {
        let file = folder.file(name, yaml);
        let places = places.map(|place| format!("{file}:{place}: "));
        let mut expected: Vec<&str> = places.iter().map(String::as_str).collect();
        expected.extend(words);
        expected.push("3 faults");
        for binary in BOTH {
            fails(binary, &["--config", &file], 1, &expected);
            fails(binary, &["check", "--config", &file], 1, &expected);
        }
    }
}

#[test]
fn a_good_configuration_is_explained() {
    let folder = Folder::new();
    let yaml = "policy: { default: allow }\nservers:\n  odd: { command: odd, args: [--secret] }\n";
    let file = folder.file("mcp-gw.yaml", yaml);
    for (binary, place) in [
        (HTTP_BIN, "127.0.0.1:8080"),
        (STDIO_BIN, "over standard streams"),
    ] {
        let (code, stdout, stderr) = run(binary, &["check", "--config", &file]);
        assert_eq!(code, Some(0), "{stderr}");
        for word in [place, "odd", "every tool"] {
            assert!(stdout.contains(word), "{stdout}");
        }
        assert!(!stdout.contains("--secret"), "{stdout}");
        let (code, stdout, _) = run(binary, &["check", "--", "odd"]);
        assert_eq!((code, stdout.contains("odd")), (Some(0), true));
    }
}

#[test]
fn the_demo_plays_itself_through() {
    let (code, stdout, stderr) = run(HTTP_BIN, &["demo", "--once"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    for word in ["alice", "bob"] {
        assert!(
            stdout.contains(word) || stderr.contains(word),
            "{stdout}{stderr}"
        );
    }
}

#[test]
fn the_servers_of_another_client_are_taken_over_under_their_names() {
    let folder = Folder::new();
    let text = format!(
        r#"{{ "mcpServers": {{
            "left": {{ "command": "{ODD_BIN}", "args": ["--legacy"] }},
            "right": {{ "type": "stdio", "command": "{ODD_BIN}", "args": ["--modern"] }} }} }}"#
    );
    let file = folder.file(".mcp.json", &text);
    let mut command = Command::new(HTTP_BIN);
    let http = Process::start(command.args(listening(HTTP_BIN, &["--from", &file])));
    let line = http.stderr.with("listening on ");
    let endpoint = Endpoint::at(line.rsplit(' ').next().unwrap());
    for server in ["left", "right"] {
        http.stderr.with(&format!("{server}: 16 tools"));
    }
    let mut command = Command::new(STDIO_BIN);
    let (_stdio, pipe) = Process::start_piped(command.args(["run", "--from", &file]));
    for wire in [std::sync::Arc::new(endpoint) as _, pipe as _] {
        let client = Client::open(&wire, Era::Legacy);
        let tools = client.ask("tools/list", "{}").result();
        let names = items(&at(&tools, &["tools"]));
        let names: Vec<String> = names
            .iter()
            .map(|tool| string(&at(tool, &["name"])))
            .collect();
        for name in ["left__echo", "right__echo"] {
            assert!(names.iter().any(|found| found == name), "{names:?}");
            assert_eq!(client.tool(name, "{}").text(), "{}");
        }
    }
}
