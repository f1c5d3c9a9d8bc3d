use std::fmt::Write as _;

use super::*;

fn env(name: &str) -> Option<String> {
    match name {
        "TOKEN" => Some("s3cret-token".to_owned()),
        "HOME" | "USERPROFILE" => Some("/home/me".to_owned()),
        _ => None,
    }
}

/// The servers or the faults, and the warnings, as text.
fn show(file: &str, text: &str) -> String {
    let imported = match import(Path::new(file), text, &env) {
        Ok(imported) => imported,
        Err(faults) => return faults.to_string(),
    };
    let mut shown = String::new();
    for (name, server) in &imported.servers {
        let headers: Vec<_> = server
            .headers
            .iter()
            .map(|(k, v)| (k, v.expose()))
            .collect();
        let env: Vec<_> = server.env.iter().map(|(k, v)| (k, v.expose())).collect();
        let start = (&server.command, &server.args, &server.cwd);
        writeln!(
            shown,
            "{name}: {start:?} {env:?} {:?} {headers:?}",
            server.url
        )
        .unwrap();
    }
    for line in imported.warning_lines(file) {
        writeln!(shown, "{line}").unwrap();
    }
    shown
}

#[test]
fn a_file_of_claude_code() {
    insta::assert_snapshot!(show(
        "/home/me/project/.mcp.json",
        r#"{
  "mcpServers": {
    "everything": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-everything"],
      "env": { "TOKEN": "${TOKEN}", "LEVEL": "${LEVEL:-info}", "PORT": 8080 },
      "timeout": 600000
    },
    "docs": {
      "type": "http",
      "url": "https://mcp.example.com/mcp",
      "headers": { "Authorization": "Bearer ${TOKEN}" },
      "oauth": { "clientId": "x" }
    },
    "old": { "type": "sse", "url": "https://mcp.example.com/sse" }
  }
}"#
    ));
}

#[test]
fn a_file_of_vs_code() {
    insta::assert_snapshot!(show(
        "/home/me/project/.vscode/mcp.json",
        r#"{
	// Comments and trailing commas are usual here.
	"inputs": [ { "type": "promptString", "id": "unused", "password": true }, ],
	"servers": {
		"my server": {
			"type": "stdio",
			"command": "${workspaceFolder}/bin/server",
			"args": ["${env:TOKEN}", "${userHome}", "${workspaceFolderBasename}", "😀", "\uD83D\uDE00"],
			"cwd": "sub",
			"env": { "GONE": null },
			"gallery": true, /* a note, */
			"dev": { "watch": "src/**" },
		},
		"off": { "command": "x", "disabled": true, "args": ["${input:unused}"] },
	},
}"#
    ));
}

#[test]
fn a_file_of_cursor() {
    insta::assert_snapshot!(show(
        "/home/me/project/.cursor/mcp.json",
        r#"{
  "mcpServers": {
    "remote": { "url": "http://localhost:3000/mcp", "headers": { "K": "${env:TOKEN}" } },
    "local": { "type": "stdio", "command": "python", "args": ["${workspaceFolder}/s.py"], "autoApprove": ["a"] }
  },
  "globalShortcut": "x"
}"#
    ));
}

#[test]
fn what_cannot_be_imported() {
    let table = [
        "",
        "[]",
        "{",
        "{\"mcpServers\": {\"a\": {\"command\": \"x\"}",
        "{\"theme\": \"dark\"}",
        "{\"mcpServers\": []}",
        "{\"mcpServers\": {}}",
        "{\"mcpServers\": {\"a\": \"npx\"}}",
        "{\"mcpServers\": {\"a\": {}}}",
        "{\"mcpServers\": {\"a\": {\"command\": \"x\", \"url\": \"https://x\"}}}",
        "{\"mcpServers\": {\"a\": {\"command\": [\"x\"], \"args\": \"y\", \"env\": [], \"headers\": {\"a\": []}}}}",
        "{\"mcpServers\": {\"a\": {\"type\": \"ws\", \"url\": \"wss://x\"}}}",
        "{\"mcpServers\": {\"a\": {\"type\": \"http\", \"command\": \"x\"}}}",
        "{\"mcpServers\": {\"a\": {\"type\": \"stdio\", \"url\": \"https://x\"}}}",
        "{\"mcpServers\": {\"a\": {\"url\": \"${TOKEN}\"}}}",
        "{\"mcpServers\": {\"a\": {\"command\": \"${NOPE}\", \"args\": [\"${config:x}\", \"${input:key}\"]}}}",
        "{\"servers\": {\"a\": {\"command\": \"x\", \"envFile\": \"${workspaceFolder}/.env\"}}}",
        "{\"servers\": {\"a\": {\"command\": \"x\", \"disabled\": true}}}",
        "{\"servers\": {\"a b\": {\"command\": \"x\"}, \"a_b\": {\"command\": \"y\"}}}",
        "{\"servers\": {\"a\": {\"command\": \"x\"}, \"a\": {\"command\": \"y\"}}}",
        "{\"servers\": {\"a\": {\"command\": \"x\", \"headers\": {\"Host\": \"y\"}}}}",
        "{\"servers\": {'a': &x 5}}",
    ];
    let shown = table.map(|text| format!("{text}\n=> {}\n", show("x.json", text)));
    let shown = shown.join("\n");
    assert!(!shown.contains("s3cret"), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn names_are_made_to_fit() {
    for (name, expected) in [("a", "a"), ("a b/c", "a_b_c"), ("ä", "_"), ("", "server")] {
        let text = format!("{{\"mcpServers\": {{\"{name}\": {{\"command\": \"x\"}}}}}}");
        let imported = import(Path::new("x"), &text, &env).unwrap();
        assert_eq!(imported.servers.keys().collect::<Vec<_>>(), [expected]);
        assert_eq!(imported.warnings.is_empty(), name == expected);
    }
    let text = format!(
        "{{\"mcpServers\": {{\"{}\": {{\"command\": \"x\"}}}}}}",
        "n".repeat(99)
    );
    let imported = import(Path::new("x"), &text, &env).unwrap();
    assert!(imported.servers.contains_key(&"n".repeat(64)));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_import_panic(text in "\\PC*") {
        let _ = import(Path::new("x"), &text, &env).map_err(|faults| faults.to_string());
    }

    #[test]
    fn no_text_of_json_tokens_makes_the_import_panic(
        tokens in proptest::collection::vec(proptest::sample::select(TOKENS), 0..30)
    ) {
        let text = format!("{{\"mcpServers\": {{ \"a\": {{ {}", tokens.concat());
        let _ = import(Path::new("x"), &text, &env).map_err(|faults| faults.to_string());
    }
}

const TOKENS: &[&str] = &[
    "\"command\"",
    "\"url\"",
    "\"env\"",
    "\"type\"",
    "\"sse\"",
    ":",
    ",",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    "\\uD83D",
    "\\uDE00",
    "//",
    "/*",
    "*/",
    "\n",
    "\t",
    "${",
    "}",
    "env:",
    "input:",
    "null",
    "5",
    "true",
    "\u{feff}",
    "é",
    "'",
    "#",
    "&a",
    "*a",
    "- ",
    "---\n",
];
