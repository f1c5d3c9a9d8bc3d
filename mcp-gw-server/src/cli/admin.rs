//! Admin APIs of API gateways, served without a file: options of the command line, and the variables that
//! other servers for them read.

use std::path::PathBuf;

use clap::Args;
use mcp_gw_admin_client::tools::api7::{Access, Api7Config};

use crate::config::{Api7Fault, Api7Section, ConfigFaults, ConfigPath, Fault, ServerConfig};

/// The tools of an API7 Enterprise: what they may do, and how its dashboard is reached. Where it is, is said
/// by variables of the environment.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = ENVIRONMENT)]
#[non_exhaustive]
pub struct Api7Args {
    /// List no tool that changes anything
    #[arg(long, conflicts_with = "allow_write")]
    pub read_only: bool,

    /// Let tools change what the token permits; without this they are listed, and only show the
    /// request that they would send
    #[arg(long)]
    pub allow_write: bool,

    /// Only these tools, with commas between them
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub tools: Option<Vec<String>>,

    /// Not these tools, with commas between them
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub exclude_tools: Vec<String>,

    /// Certificates of authorities, in PEM, that are believed instead of those of the system: for a
    /// dashboard with a certificate of its own
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// A proxy that requests go through, such as `http://proxy.example.com:3128`
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
}

const ENVIRONMENT: &str = "\
Environment:
  DASHBOARD_URL  the address of the dashboard: https://dashboard.example.com:7443
  TOKEN          a token of the dashboard; it is sent to the dashboard and nowhere else
  GATEWAY_URL    the address of a gateway, if there are to be test requests:
                 http://gateway.example.com:9080";

/// What a client's configuration looks like that sets what is missing.
const EXAMPLE: &str = "set it where your client starts this program: \"env\": { \"DASHBOARD_URL\": \
                       \"https://dashboard.example.com:7443\", \"TOKEN\": \"a7ee-…\", \
                       \"GATEWAY_URL\": \"http://gateway.example.com:9080\" }";

impl Api7Args {
    /// The server that is meant. `env` finds variables of the environment.
    ///
    /// # Errors
    /// All faults at once, in the words of the command line and of the environment.
    pub(super) fn server(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ServerConfig, ConfigFaults> {
        let section = self.section(env).map_err(faults)?;
        let server = ServerConfig::api7(section.clone());
        match section.resolve("api7", server.timeout.get()) {
            Ok(_) => Ok(server),
            Err(found) => Err(faults(found.into_iter().map(said).collect())),
        }
    }

    fn section(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Api7Section, Vec<Fault>> {
        let config = Api7Config::from_lookup(env).map_err(|_| missing(env))?;
        let mut section = Api7Section::new(config.dashboard_url, config.token);
        section.gateway_url = config.gateway_url;
        section.access = match (self.read_only, self.allow_write) {
            (true, _) => Access::ReadOnly,
            (false, true) => Access::ReadWrite,
            (false, false) => Access::Preview,
        };
        section.tools.clone_from(&self.tools);
        section.exclude_tools.clone_from(&self.exclude_tools);
        section.ca_file.clone_from(&self.ca_file);
        section.proxy = self.proxy.clone().map(Into::into);
        Ok(section)
    }
}

/// The variables that are not set, and what they are for.
fn missing(env: &dyn Fn(&str) -> Option<String>) -> Vec<Fault> {
    let is_blank = |name: &str| env(name).is_none_or(|value| value.trim().is_empty());
    let needed = NEEDED.into_iter().filter(|(name, _)| is_blank(name));
    needed
        .map(|(name, what)| fault(name, format!("{what} is not set"), EXAMPLE))
        .collect()
}

/// What has to be there.
const NEEDED: [(&str, &str); 2] = [
    ("DASHBOARD_URL", "the address of the dashboard"),
    ("TOKEN", "a token of the dashboard"),
];

/// A fault of the section in the words of the command line.
fn said(found: Api7Fault) -> Fault {
    let (name, help) = match found.key {
        "dashboard_url" => ("DASHBOARD_URL", found.help),
        "gateway_url" => ("GATEWAY_URL", found.help),
        "token" => ("TOKEN", found.help),
        "tools" if found.index.is_none() => {
            let help = "look at --tools, --exclude-tools and --read-only";
            ("--tools", help.to_owned())
        }
        "tools" => {
            let help = found.help.replace("`access`", "--read-only");
            (
                "--tools",
                help.replace("`exclude_tools`", "--exclude-tools"),
            )
        }
        "exclude_tools" => ("--exclude-tools", found.help),
        "ca_file" => ("--ca-file", found.help),
        "proxy" => ("--proxy", found.help),
        other => (other, found.help),
    };
    let message = found.message.replace("`access: read-only`", "--read-only");
    fault(
        name,
        message.replace("`exclude_tools`", "--exclude-tools"),
        help,
    )
}

fn fault(name: &str, message: impl Into<String>, help: impl Into<String>) -> Fault {
    Fault::new(ConfigPath::root().key(name), message).with_help(help)
}

fn faults(faults: Vec<Fault>) -> ConfigFaults {
    ConfigFaults::new("command line", faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(args: &Api7Args, env: &[(&str, &str)]) -> String {
        let look_up = |name: &str| {
            let mut env = env.iter();
            env.find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        match args.server(&look_up) {
            Ok(server) => format!("{:?}", server.api7.unwrap()),
            Err(faults) => faults.to_string(),
        }
    }

    const GOOD: [(&str, &str); 2] = [
        ("DASHBOARD_URL", "https://d:7443"),
        ("TOKEN", "a7ee-hidden"),
    ];

    #[test]
    fn what_is_missing_or_malformed_is_said_with_an_example_and_without_the_token() {
        let none = says(&Api7Args::default(), &[("TOKEN", " \n")]);
        for word in [
            "DASHBOARD_URL: the address of the dashboard is not set",
            "TOKEN: a token of the dashboard is not set",
            "\"env\": {",
            "2 faults",
        ] {
            assert!(none.contains(word), "no {word:?} in {none}");
        }
        for (url, word) in [
            ("d:7443", "neither `http` nor `https`"),
            ("dashboard", "not a URL"),
            ("https://me:hidden@d", "user name or password"),
            ("https://d/?token=hidden", "`?` or `#`"),
        ] {
            let found = says(
                &Api7Args::default(),
                &[("DASHBOARD_URL", url), GOOD[1], ("GATEWAY_URL", url)],
            );
            assert!(found.contains("2 faults"), "{found}");
            for word in [word, "DASHBOARD_URL: ", "GATEWAY_URL: ", "such as `http"] {
                assert!(found.contains(word), "no {word:?} in {found}");
            }
            assert!(!found.contains("hidden"), "{found}");
        }
        for token in ["a7ee hidden", "a7ee\nhidden", "\u{201c}hidden\u{201d}"] {
            let found = says(&Api7Args::default(), &[GOOD[0], ("TOKEN", token)]);
            assert!(found.contains("TOKEN: "), "{found}");
            assert!(!found.contains("hidden"), "{found}");
        }
    }

    #[test]
    fn options_that_contradict_each_other_are_told_in_the_words_of_the_command_line() {
        let args = Api7Args {
            read_only: true,
            tools: Some(["get_resource", "create_role"].map(str::to_owned).into()),
            ..Api7Args::default()
        };
        let found = says(&args, &GOOD);
        assert!(
            found.contains("--tools: `create_role` changes something"),
            "{found}"
        );
        assert!(found.contains("--read-only"), "{found}");
        assert!(!found.contains("`access"), "{found}");
        let args = Api7Args {
            exclude_tools: vec!["get_ressource".to_owned()],
            ..Api7Args::default()
        };
        let found = says(&args, &GOOD);
        assert!(found.contains("did you mean `get_resource`?"), "{found}");
        let args = Api7Args {
            tools: Some(vec!["get_role".to_owned()]),
            exclude_tools: vec!["get_role".to_owned()],
            ca_file: Some("/no/such/file".into()),
            proxy: Some("://".to_owned()),
            ..Api7Args::default()
        };
        let found = says(&args, &GOOD);
        for word in [
            "--tools: no tool is left",
            "--ca-file: the file",
            "--proxy: the address",
        ] {
            assert!(found.contains(word), "no {word:?} in {found}");
        }
    }

    #[test]
    fn the_environment_becomes_a_server() {
        let found = says(&Api7Args::default(), &GOOD);
        for word in ["https://d:7443", "Preview"] {
            assert!(found.contains(word), "no {word:?} in {found}");
        }
        assert!(!found.contains("hidden"), "{found}");
    }
}
