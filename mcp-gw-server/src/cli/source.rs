//! What a gateway is to serve: a command, a URL, another client's file, or a configuration.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use mcp_gw_core::BackendStatus;

use super::admin::{Api7Args, ApisixArgs};
use super::kong::{KongArgs, KonnectArgs};
use crate::config::{
    Config, ConfigFaults, PolicyConfig, ServerConfig, ServerTarget, import, limit_warnings,
    read_file, unknown_servers,
};
use crate::pins::{Guards, chain};

/// What to serve. Exactly one of these.
#[derive(Debug, Clone, Default, Args)]
#[group(id = "source", multiple = false)]
#[non_exhaustive]
pub struct SourceArgs {
    /// A configuration file, such as mcp-gw.yaml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The MCP servers of another client's file: .mcp.json of Claude Code, mcp.json of Cursor or
    /// VS Code
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,

    /// The URL of an MCP server that speaks streamable HTTP
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    /// The command of an MCP server that speaks over standard input and output, after `--`
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,

    /// The admin API of an API7 Enterprise, which has a subcommand of its own
    #[arg(skip)]
    pub api7: Option<Api7Args>,

    /// The Admin API of an Apache APISIX, which has one, too
    #[arg(skip)]
    pub apisix: Option<ApisixArgs>,

    /// A region of Kong Konnect, which has one, too
    #[arg(skip)]
    pub konnect: Option<KonnectArgs>,

    /// A Kong Gateway, which has one, too
    #[arg(skip)]
    pub kong: Option<KongArgs>,

    /// The APIs that the environment names, where nothing else is named
    #[arg(skip)]
    pub allowed_apis: bool,
}

impl SourceArgs {
    /// The admin API of an API7 Enterprise.
    pub fn api7(args: Api7Args) -> Self {
        Self {
            api7: Some(args),
            ..Self::default()
        }
    }

    /// The Admin API of an Apache APISIX.
    pub fn apisix(args: ApisixArgs) -> Self {
        Self {
            apisix: Some(args),
            ..Self::default()
        }
    }

    /// A region of Kong Konnect.
    pub fn konnect(args: KonnectArgs) -> Self {
        Self {
            konnect: Some(args),
            ..Self::default()
        }
    }

    /// A Kong Gateway.
    pub fn kong(args: KongArgs) -> Self {
        Self {
            kong: Some(args),
            ..Self::default()
        }
    }

    /// The same, or the APIs of `ALLOWED_APIS`, the variable of API Gateway MCP, where nothing was named.
    #[must_use]
    pub fn or_environment(mut self, env: &dyn Fn(&str) -> Option<String>) -> Self {
        self.allowed_apis = self.is_empty() && Config::from_env(env).is_some();
        self
    }

    /// True when nothing was named.
    pub fn is_empty(&self) -> bool {
        self.config.is_none()
            && self.from.is_none()
            && self.url.is_none()
            && self.command.is_empty()
            && self.api7.is_none()
            && self.apisix.is_none()
            && self.konnect.is_none()
            && self.kong.is_none()
            && !self.allowed_apis
    }

    /// Holds the start to the one server that was named: without it there is nothing to serve. The
    /// servers of a file may come later.
    ///
    /// # Errors
    /// A sentence for people, when it is not up.
    pub fn need_up(&self, status: &[BackendStatus]) -> Result<(), String> {
        let next = if self.url.is_some() {
            "start that server, or check its URL"
        } else if self.command.is_empty() {
            return Ok(());
        } else {
            "run the command by itself to see what it says"
        };
        match status.iter().find(|server| !server.is_up) {
            None => Ok(()),
            Some(server) => {
                let fault = server
                    .fault
                    .as_deref()
                    .unwrap_or("it has not answered in time");
                Err(format!("nothing to serve: {fault}; {next}"))
            }
        }
    }

    /// The configuration that was named, or the one that serves what was named. `change` is applied
    /// to the latter before it is checked; warnings go to `warn`.
    ///
    /// # Errors
    /// All faults at once.
    pub fn load(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
        change: impl FnOnce(Config) -> Config,
        warn: &mut dyn FnMut(&str),
    ) -> Result<Config, ConfigFaults> {
        if let Some(path) = &self.config {
            let text = read_file(path)?;
            return Config::load(&path.display().to_string(), &text, env);
        }
        if self.allowed_apis
            && let Some(config) = Config::from_env(env)
        {
            let config = change(config?);
            config.check("environment")?;
            return Ok(config);
        }
        // Whoever starts a gateway for one purpose on their own machine wants its tools.
        let mut config = Config::default().with_policy(PolicyConfig::allow());
        let label = if let Some(args) = &self.api7 {
            config = config.with_server("api7", args.server(env)?);
            "command line".to_owned()
        } else if let Some(args) = &self.apisix {
            config = config.with_server("apisix", args.server(env)?);
            "command line".to_owned()
        } else if let Some(args) = &self.konnect {
            config = config.with_server("konnect", args.server(env)?);
            "command line".to_owned()
        } else if let Some(args) = &self.kong {
            config = config.with_server("kong", args.server(env)?);
            "command line".to_owned()
        } else if let Some(path) = &self.from {
            let text = read_file(path)?;
            let imported = import(path, &text, env)?;
            for line in imported.warning_lines(&path.display().to_string()) {
                warn(&line);
            }
            config.servers = imported.servers;
            path.display().to_string()
        } else if let Some(url) = &self.url {
            config = config.with_server("upstream", ServerConfig::http(url.as_str()));
            "command line".to_owned()
        } else {
            let words = self
                .command
                .iter()
                .map(|word| word.to_string_lossy().into_owned());
            let words = words.collect::<Vec<_>>();
            let name = server_name(&words);
            let mut words = words.into_iter();
            if let Some(command) = words.next() {
                config = config.with_server(name, ServerConfig::stdio(command, words));
            }
            "command line".to_owned()
        };
        let config = change(config);
        config.check(&label)?;
        Ok(config)
    }
}

/// A server's name made of its command: of the program, or of what a launcher is to run.
fn server_name(words: &[String]) -> String {
    const LAUNCHERS: [&str; 12] = [
        "bun", "bunx", "cargo", "deno", "docker", "node", "npx", "pnpm", "python", "python3", "uv",
        "uvx",
    ];
    let stem = |word: &str| {
        let last = word.rsplit(['/', '\\']).next().unwrap_or_default();
        // `server@1.2.3` of a package, `server.js` of a file.
        let last = last.split('@').next().unwrap_or_default();
        let stem = Path::new(last)
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        stem.chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
            .take(64)
            .collect::<String>()
    };
    let mut words = words.iter().map(String::as_str);
    let program = words.next().map(stem).unwrap_or_default();
    let is_launcher = LAUNCHERS.contains(&program.as_str());
    let launched = words
        .find(|word| !word.starts_with('-') && !matches!(*word, "run" | "exec" | "dlx" | "x"))
        .filter(|_| is_launcher)
        .map(stem);
    let name = launched.filter(|name| !name.is_empty()).unwrap_or(program);
    if name.is_empty() {
        "upstream".to_owned()
    } else {
        name
    }
}

/// Checks what was named without serving it. What could not be served on this machine as it is now
/// goes to `warn`.
///
/// # Errors
/// All faults at once.
pub fn check(
    source: &SourceArgs,
    env: &dyn Fn(&str) -> Option<String>,
    warn: &mut dyn FnMut(&str),
) -> Result<Config, ConfigFaults> {
    let config = source.load(env, |config| config, warn)?;
    for remark in config.remarks() {
        warn(&remark.sentence());
    }
    for (name, server) in &config.servers {
        if server.cwd.as_deref().is_some_and(|cwd| !cwd.is_dir()) {
            warn(&format!(
                "servers.{name}.cwd: there is no such folder on this machine"
            ));
        }
        let path = server
            .env
            .get("PATH")
            .map(|path| path.expose().clone())
            .or_else(|| env("PATH"))
            .unwrap_or_default();
        for (index, target) in server.targets().into_iter().enumerate() {
            let ServerTarget::Stdio { command, cwd, .. } = target else {
                continue;
            };
            if is_command(&command, cwd.as_deref(), &path) {
                continue;
            }
            let replica = match &*server.replicas {
                [] => String::new(),
                _ => format!(".replicas[{index}]"),
            };
            warn(&format!(
                "servers.{name}{replica}.command: `{command}` is no program that can be run on this \
                 machine; install it, or give its full path"
            ));
        }
    }
    for line in limit_warnings(&config)
        .iter()
        .chain(&unknown_servers(&config))
    {
        warn(line);
    }
    if let Err(error) = Guards::of(&config) {
        warn(&format!("pins.file: {}", chain(&error)));
    }
    Ok(config)
}

/// True when there is a program that `command` may mean.
fn is_command(command: &str, cwd: Option<&Path>, path: &str) -> bool {
    let is_file = |file: &Path| is_program(file) || is_program(&file.with_extension("exe"));
    if command.contains(std::path::is_separator) {
        return is_file(&cwd.unwrap_or(Path::new(".")).join(command));
    }
    std::env::split_paths(path).any(|folder| is_file(&folder.join(command)))
}

fn is_program(file: &Path) -> bool {
    let Ok(metadata) = file.metadata() else {
        return false;
    };
    #[cfg(unix)]
    let may_run = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let may_run = true;
    metadata.is_file() && may_run
}

/// A look-up in the environment of this process.
#[expect(
    clippy::disallowed_methods,
    reason = "the composition root reads the environment"
)]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(source: &SourceArgs) -> Result<Config, ConfigFaults> {
        source.load(&|_| None, |config| config, &mut |_| {})
    }

    #[test]
    fn a_command_line_becomes_a_configuration() {
        let command = ["/usr/bin/my server.sh", "--x", "a b"]
            .map(OsString::from)
            .to_vec();
        let config = load(&SourceArgs {
            command,
            ..SourceArgs::default()
        })
        .unwrap();
        let (name, server) = config.servers.first_key_value().unwrap();
        assert_eq!(name, "myserver");
        assert_eq!(server.args, ["--x", "a b"]);
        let url = Some("http://127.0.0.1:1/mcp".to_owned());
        let config = load(&SourceArgs {
            url,
            ..SourceArgs::default()
        })
        .unwrap();
        assert!(config.servers.contains_key("upstream"));
    }

    #[test]
    fn a_server_is_called_by_what_it_is_and_not_by_its_launcher() {
        for (line, name) in [
            (
                "npx -y @modelcontextprotocol/server-everything",
                "server-everything",
            ),
            ("npx -y @scope/server@1.2.3 stdio", "server"),
            ("node dist/index.js", "index"),
            ("python3 -m time_server", "time_server"),
            ("uv run tools.py", "tools"),
            ("node", "node"),
            ("/opt/bin/my-server --x y", "my-server"),
            ("./", "upstream"),
        ] {
            let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(server_name(&words), name, "{line}");
        }
    }

    #[test]
    fn a_check_warns_of_what_this_machine_lacks() {
        let command = ["no-such-command-here"].map(OsString::from).to_vec();
        let source = SourceArgs {
            command,
            ..SourceArgs::default()
        };
        let mut warnings = Vec::new();
        let path = |name: &str| (name == "PATH").then(|| "/no/such/folder".to_owned());
        check(&source, &path, &mut |line| warnings.push(line.to_owned())).unwrap();
        assert!(
            warnings.iter().any(|line| line.contains("is no program")),
            "{warnings:?}"
        );
    }

    #[test]
    fn what_cannot_be_served_says_why() {
        let url = Some("ftp://x".to_owned());
        let error = load(&SourceArgs {
            url,
            ..SourceArgs::default()
        })
        .unwrap_err();
        assert!(error.to_string().contains("command line"), "{error}");
        let config = Some(PathBuf::from("/no/such/file.yaml"));
        let error = load(&SourceArgs {
            config,
            ..SourceArgs::default()
        })
        .unwrap_err();
        assert!(error.to_string().contains("/no/such/file.yaml"), "{error}");
    }
}
