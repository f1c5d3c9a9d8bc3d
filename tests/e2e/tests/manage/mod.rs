//! A gateway with a database, and nothing but the command line to manage it.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::process::Process;
use crate::support::setup::Folder;
use crate::support::{FULL_BIN, HTTP_BIN};

const PASSWORD: &str = "the password of the first admin";

/// A gateway, and a home without anything in it.
struct World {
    url: String,
    folder: Folder,
    _gateway: Process,
}

/// What a command said.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    #[track_caller]
    fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self.out
    }

    /// It failed, said all of this, and nothing on standard output.
    #[track_caller]
    fn fails(self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        assert_eq!(self.out, "");
        for word in words {
            assert!(self.err.contains(word), "no {word:?} in: {}", self.err);
        }
    }

    #[track_caller]
    fn json(self) -> Value {
        serde_json::from_str(&self.well()).unwrap()
    }
}

impl World {
    fn start() -> Self {
        let folder = Folder::new();
        let file = folder.file(
            "mcp-gw.yaml",
            "http: { listen: '127.0.0.1:0' }\npolicy: { default: allow }\n\
             management: { database_url: 'sqlite:///:memory:' }\n",
        );
        let mut command = Command::new(HTTP_BIN);
        command
            .args(["--config", &file])
            .env("GATEWAY_ADMIN_PASSWORD", PASSWORD);
        let gateway = Process::start(&mut command);
        let line = gateway.stderr.with("management API at ");
        let url = line.split("at ").nth(1).unwrap().split(',').next().unwrap();
        Self {
            url: url.to_owned(),
            folder,
            _gateway: gateway,
        }
    }

    /// A command in that home, with these variables and this on standard input.
    fn run_with(&self, env: &[(&str, &str)], input: &str, args: &[&str]) -> Said {
        let mut command = Command::new(HTTP_BIN);
        let mut child = command
            .args(args)
            .env_clear()
            .env("HOME", &self.folder.0)
            .env("XDG_CONFIG_HOME", self.folder.0.join("config"))
            .env("MCP_GW_URL", &self.url)
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads nothing has gone by then.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    fn run(&self, args: &[&str]) -> Said {
        self.run_with(&[], "", args)
    }

    fn tokens(&self) -> PathBuf {
        self.folder.0.join("config/mcp-gw/tokens.json")
    }

    fn login(&self) {
        let env = [("MCP_GW_PASSWORD", PASSWORD)];
        let said = self.run_with(&env, "", &["login", "--username", "admin"]);
        assert!(said.well().contains("logged in as admin"));
    }
}

#[test]
fn users_keys_servers_and_calls_by_the_command_line_only() {
    let world = World::start();
    world.login();
    let made = world.run_with(
        &[],
        "the password of ann\n",
        &[
            "users",
            "create",
            "ann",
            "--role",
            "dev",
            "--new-password-stdin",
            "--json",
        ],
    );
    let ann = made.json()["id"].as_i64().unwrap().to_string();
    let list = world.run(&["users", "list"]).well();
    assert!(list.starts_with("ID  NAME"), "{list}");
    assert!(
        list.lines()
            .any(|line| line.contains("ann") && line.ends_with("dev"))
    );
    // A key is shown once.
    let scopes = ["--scope", "gateway:read", "--scope", "tools:call"];
    let made = [&["keys", "create", "ci", "--user", "ann"][..], &scopes].concat();
    let made = world.run(&made).well();
    assert!(made.contains("not shown again"), "{made}");
    let key = made
        .split_whitespace()
        .find(|word| word.starts_with("mcp_"));
    let key = [("MCP_GW_API_KEY", key.unwrap())];
    let keys = world.run(&["keys", "list", "--json"]).json();
    assert_eq!(keys[0]["name"], "ci");
    assert!(!keys.to_string().contains(key[0].1));
    let id = keys[0]["id"].as_i64().unwrap().to_string();
    // A server, by its command, as the admin is on this machine.
    let server = [
        "servers",
        "create",
        "files",
        "--id",
        "one",
        "--",
        FULL_BIN,
        "2025-06-18",
    ];
    let shown = world.run(&server).well();
    assert!(
        shown
            .lines()
            .any(|line| line.starts_with("status") && line.ends_with(" healthy")),
        "{shown}"
    );
    let tools = world.run(&["servers", "tools", "one"]).well();
    assert!(
        tools.lines().any(|line| line.starts_with("echo")),
        "{tools}"
    );
    calls(&world, &key);
    // Off, on, gone.
    world.run(&["servers", "disable", "one"]).well();
    let away = world.run(&["call", "one", "echo"]);
    away.fails(1, &["Service unavailable", "request "]);
    world.run(&["servers", "enable", "one"]).well();
    world.run(&["servers", "logs", "one", "--last", "5"]).well();
    let strategy = ["templates", "update", "files", "--strategy", "random"];
    assert!(world.run(&strategy).well().contains("random"));
    world
        .run(&["templates", "delete", "files"])
        .fails(1, &["delete them first"]);
    world.run(&["servers", "delete", "one"]).well();
    world
        .run(&["servers", "show", "one"])
        .fails(1, &["no such"]);
    world.run(&["templates", "delete", "files"]).well();
    assert_eq!(world.run(&["templates", "list"]).well(), "");
    // Another text, and the end of the key and of its user.
    let other = world.run(&["keys", "rotate", &id, "--json"]).json();
    world
        .run_with(&key, "", &["servers", "list"])
        .fails(1, &["login", "MCP_GW_API_KEY"]);
    let other = [("MCP_GW_API_KEY", other["key"].as_str().unwrap())];
    world.run_with(&other, "", &["servers", "list"]).well();
    world.run(&["users", "disable", "ann"]).well();
    world
        .run_with(&other, "", &["servers", "list"])
        .fails(1, &["login"]);
    world.run(&["users", "delete", &ann]).well();
    world
        .run(&["users", "show", "ann"])
        .fails(1, &["no user ann"]);
    is_written_down(&world);
}

/// All of it is known to have been done.
fn is_written_down(world: &World) {
    let events = world.run(&["audit", "--json", "--last", "1000"]).json();
    let events: Vec<&str> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["method"].as_str().unwrap())
        .collect();
    for method in [
        "login",
        "create_user",
        "create_key",
        "register_server",
        "delete_user",
    ] {
        assert!(events.contains(&method), "{method}: {events:?}");
    }
    let some = ["audit", "--method", "create_user", "--last", "1"];
    let some = world.run(&some).well();
    assert!(some.lines().count() == 2 && some.contains("ok"), "{some}");
}

/// As who has a key for it.
fn calls(world: &World, key: &[(&str, &str)]) {
    let call = |arguments: &str, input: &str| {
        let args = ["call", "one", "echo", "--json", "--arguments", arguments];
        world.run_with(key, input, &args)
    };
    let said = call(r#"{"text": "hi"}"#, "").json();
    assert!(said["content"][0]["text"].is_string(), "{said}");
    let file = world
        .folder
        .file("arguments.json", r#"{"text": "from a file"}"#);
    call(&format!("@{file}"), "").well();
    call("-", r#"{"text": "from a pipe"}"#).well();
    call("nothing", "").fails(1, &["--arguments is not JSON"]);
    call("[1]", "").fails(1, &["not a JSON object"]);
    call("@/does/not/exist", "").fails(1, &["/does/not/exist"]);
    let by_template = ["call", "files", "echo", "--template"];
    world.run_with(key, "", &by_template).well();
    world
        .run_with(key, "", &["call", "files", "echo"])
        .fails(1, &["no such server at \"files\"", "--template"]);
    world
        .run_with(key, "", &["call", "one", "no-such-tool"])
        .fails(1, &["no-such-tool"]);
    // What a key may not.
    world
        .run_with(key, "", &["servers", "disable", "one"])
        .fails(1, &["gateway:write"]);
    world
        .run_with(key, "", &["users", "list"])
        .fails(1, &["admin"]);
    let stats = world.run_with(key, "", &["stats"]).well();
    assert!(stats.contains("enabled servers  1"), "{stats}");
}

#[test]
fn a_login_is_kept_for_its_user_and_its_gateway_only() {
    let world = World::start();
    world.run(&["users", "list"]).fails(1, &["log in", "login"]);
    world.run(&["login"]).fails(1, &["--username NAME"]);
    let no_password = world.run(&["login", "--username", "admin"]);
    no_password.fails(1, &["MCP_GW_PASSWORD", "--password-stdin"]);
    let wrong = ["login", "--username", "admin", "--password-stdin"];
    world
        .run_with(&[], "wrong\n", &wrong)
        .fails(1, &["Invalid credentials", "name and password"]);
    assert!(!world.tokens().exists());
    world.login();
    let mode = std::fs::metadata(world.tokens())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    world.run(&["users", "list"]).well();
    // Another gateway does not get the token.
    let other = World::start();
    let elsewhere = [("MCP_GW_URL", other.url.as_str())];
    world
        .run_with(&elsewhere, "", &["users", "list"])
        .fails(1, &["log in"]);
    // One that others may read is not used.
    std::fs::set_permissions(world.tokens(), PermissionsExt::from_mode(0o644)).unwrap();
    world
        .run(&["users", "list"])
        .fails(1, &["others may read it"]);
    std::fs::set_permissions(world.tokens(), PermissionsExt::from_mode(0o600)).unwrap();
    let token = std::fs::read_to_string(world.tokens()).unwrap();
    assert_eq!(world.run(&["logout"]).well(), "logged out\n");
    assert!(!world.tokens().exists());
    // It ended at the gateway too.
    std::fs::write(world.tokens(), token).unwrap();
    std::fs::set_permissions(world.tokens(), PermissionsExt::from_mode(0o600)).unwrap();
    world.run(&["users", "list"]).fails(1, &["log in"]);
    world.run(&["logout"]).well();
    assert!(
        world
            .run(&["logout"])
            .well()
            .contains("nobody is logged in")
    );
    // A user and a password do without.
    let by_name = ["users", "list", "--username", "admin", "--password-stdin"];
    let input = format!("{PASSWORD}\n");
    world.run_with(&[], &input, &by_name).well();
    assert!(!world.tokens().exists());
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let world = World::start();
    world.login();
    let health = world.run(&["health"]).well();
    assert!(health.contains("database  connected"), "{health}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    world
        .run(&["health", "--url", &nobody])
        .fails(1, &["cannot be reached", "running", "--url"]);
    world
        .run(&["health", "--url", "ftp://x"])
        .fails(1, &["--url", "http://"]);
    let two = ["users", "list", "--api-key", "mcp_x", "--username", "a"];
    world.run(&two).fails(2, &["cannot be used with"]);
    let odd = ["users", "list", "--api-key", "a\nb"];
    world.run(&odd).fails(1, &["no header may have"]);
    world
        .run(&["users", "create"])
        .fails(2, &["<NAME>", "--help"]);
    world
        .run(&["keys", "show", "x"])
        .fails(2, &["invalid value"]);
    world.run(&["keys", "show", "999"]).fails(1, &["no such"]);
    world
        .run(&["keys", "create", "x", "--scope", "all"])
        .fails(1, &["all"]);
    world
        .run(&["servers", "show", "../../health"])
        .fails(1, &["dot segment"]);
    let both = [
        "servers",
        "create",
        "t",
        "--endpoint",
        "http://h",
        "--",
        "x",
    ];
    world.run(&both).fails(2, &["cannot be used with"]);
    world
        .run(&["servers", "create", "t", "--env", "NOT_SET", "--", "x"])
        .fails(1, &["NOT_SET", "not set"]);
    world
        .run(&["servers", "create", "t", "--endpoint", "no url"])
        .fails(1, &["`endpoint`"]);
    world
        .run(&["templates", "show", "nothing"])
        .fails(1, &["no such template"]);
    world
        .run_with(
            &[],
            "short\n",
            &["users", "create", "bob", "--new-password-stdin"],
        )
        .fails(1, &["`password`"]);
    world
        .run(&["users", "disable", "admin"])
        .fails(1, &["last active superuser"]);
}

/// Who starts by variables or `start` may think that the file beside them is read.
#[test]
fn a_file_that_is_not_read_is_told_of() {
    let folder = Folder::new();
    folder.file("gateway.yaml", "port: 1\n");
    let mut command = Command::new(HTTP_BIN);
    command
        .args(["start", "--host", "127.0.0.1", "--port", "0"])
        .args(["--database-url", "sqlite:///:memory:"])
        .current_dir(&folder.0)
        .env("GATEWAY_ADMIN_PASSWORD", PASSWORD);
    let gateway = Process::start(&mut command);
    gateway.stderr.with("--config gateway.yaml");
    gateway.stderr.with("management API at ");
}
