//! Admin APIs of API gateways, served without a file: options of the command line, and the variables that
//! other servers for them read.

use std::path::PathBuf;

use clap::Args;
use mcp_gw_admin_client::tools::api7::{Access, Api7Config, RiskConfig, Secrets};
use mcp_gw_admin_client::tools::apisix::ApisixConfig;
use mcp_gw_core::Secret;
use serde_json::{Map, Value};

use crate::config::{
    AdminFault, Api7Section, ApisixSection, ConfigFaults, ConfigPath, Fault, ServerConfig, load,
    schema_of,
};

/// What the tools of an admin API may do, and how it is reached.
#[derive(Debug, Clone, Default, Args)]
#[non_exhaustive]
pub struct AdminArgs {
    /// List no tool that changes anything
    #[arg(long, conflicts_with = "allow_write")]
    pub read_only: bool,

    /// Let tools change what the credentials permit; without this they are listed, and only show the
    /// request that they would send
    #[arg(long)]
    pub allow_write: bool,

    /// Only these tools, with commas between them
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub tools: Option<Vec<String>>,

    /// Not these tools, with commas between them
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub exclude_tools: Vec<String>,

    /// Certificates of authorities, in PEM, that are believed instead of those of the system: for an
    /// API with a certificate of its own
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// Show no secrets in answers, also when a call asks for them
    #[arg(long)]
    pub no_secrets: bool,

    /// A proxy that requests go through, such as `http://proxy.example.com:3128`
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
}

impl AdminArgs {
    const fn secrets(&self) -> Secrets {
        if self.no_secrets {
            Secrets::Never
        } else {
            Secrets::OnRequest
        }
    }

    const fn access(&self) -> Access {
        match (self.read_only, self.allow_write) {
            (true, _) => Access::ReadOnly,
            (false, true) => Access::ReadWrite,
            (false, false) => Access::Preview,
        }
    }
}

/// The tools of an API7 Enterprise. Where its dashboard is, is said by variables of the environment.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = API7)]
#[non_exhaustive]
pub struct Api7Args {
    /// What the tools may do.
    #[command(flatten)]
    pub admin: AdminArgs,

    /// A threshold of `check_risk`: `certificate_days=60`, `rules_off=unused-role,unused-policy`; can
    /// be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub risk: Vec<String>,

    #[arg(skip)]
    tells_in_calls: bool,
}

/// The tools of an Apache APISIX. Where it is, is said by variables of the environment.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = APISIX)]
#[non_exhaustive]
pub struct ApisixArgs {
    /// What the tools may do.
    #[command(flatten)]
    pub admin: AdminArgs,

    #[arg(skip)]
    tells_in_calls: bool,
}

const API7: &str = "\
Environment:
  DASHBOARD_URL  the address of the dashboard: https://dashboard.example.com:7443
  TOKEN          a token of the dashboard; it is sent to the dashboard and nowhere else
  GATEWAY_URL    the address of a gateway, if there are to be test requests:
                 http://gateway.example.com:9080";

const APISIX: &str = "\
Environment:
  APISIX_SERVER_HOST       where APISIX is: http://127.0.0.1 if not set
  APISIX_ADMIN_KEY         the key of its Admin API; it is sent there and nowhere else. An APISIX on
                           this machine may do without: the key that it comes with is taken
  APISIX_ADMIN_API_PORT    9180 if not set
  APISIX_ADMIN_API_PREFIX  /apisix/admin if not set
  APISIX_SERVER_PORT       of the gateway, for test requests: 9080 if not set";

/// What a client's configuration looks like that sets what is missing.
const API7_EXAMPLE: &str = "set it where your client starts this program: \"env\": { \
                            \"DASHBOARD_URL\": \"https://dashboard.example.com:7443\", \
                            \"TOKEN\": \"a7ee-…\", \
                            \"GATEWAY_URL\": \"http://gateway.example.com:9080\" }";

const APISIX_EXAMPLE: &str = "set it where your client starts this program: \"env\": { \
                              \"APISIX_SERVER_HOST\": \"http://apisix.example.com\", \
                              \"APISIX_ADMIN_KEY\": \"…\" }";

impl Api7Args {
    /// Serves also when variables are missing or cannot be used, and tells what to set when a tool is called: whoever is
    /// started by an IDE is not heard when it ends with an error.
    #[must_use]
    pub const fn telling_in_calls(mut self) -> Self {
        self.tells_in_calls = true;
        self
    }

    /// The server that is meant. `env` finds variables of the environment.
    ///
    /// # Errors
    /// All faults at once, in the words of the command line and of the environment.
    pub(super) fn server(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ServerConfig, ConfigFaults> {
        let mut lacks = missing(env);
        if !lacks.is_empty() && !self.tells_in_calls {
            return Err(faults(lacks));
        }
        // What is missing must not hide what is wrong with the rest.
        let filled = |name: &str| {
            let given = env(name).filter(|value| !value.trim().is_empty());
            given.or_else(|| match name {
                "DASHBOARD_URL" => Some(NOWHERE.to_owned()),
                "TOKEN" => Some(UNSET.to_owned()),
                _ => None,
            })
        };
        let config = Api7Config::from_lookup(filled).map_err(|error| {
            faults(vec![fault(
                "DASHBOARD_URL",
                error.to_string(),
                API7_EXAMPLE,
            )])
        })?;
        let mut section = Api7Section::new(config.dashboard_url, config.token);
        section.gateway_url = config.gateway_url;
        section.access = self.admin.access();
        section.secrets = self.admin.secrets();
        section.tools.clone_from(&self.admin.tools);
        section.exclude_tools.clone_from(&self.admin.exclude_tools);
        section.ca_file.clone_from(&self.admin.ca_file);
        section.proxy = self.admin.proxy.clone().map(Into::into);
        section.risk = thresholds(&self.risk).map_err(faults)?;
        let found = found_in(&ServerConfig::api7(section.clone()));
        if found.is_empty() && lacks.is_empty() {
            return Ok(ServerConfig::api7(section));
        }
        let (wrong, of_options): (Vec<Fault>, Vec<Fault>) =
            found.into_iter().partition(is_of_environment);
        if !self.tells_in_calls || !of_options.is_empty() {
            return Err(faults([wrong, of_options].concat()));
        }
        // Without a gateway there are no test requests; all else can be asked.
        let (gateway, wrong): (Vec<Fault>, Vec<Fault>) = wrong
            .into_iter()
            .partition(|fault| fault.path().to_string() == "GATEWAY_URL");
        if !gateway.is_empty() {
            tracing::warn!("{}", faults(gateway));
            section.gateway_url = None;
        }
        lacks.extend(wrong);
        if !lacks.is_empty() {
            section.unset = Some(told(&faults(lacks)));
            NOWHERE.clone_into(&mut section.dashboard_url);
            section.token = Some(Secret::new(UNSET.to_owned()));
        }
        Ok(ServerConfig::api7(section))
    }
}

impl ApisixArgs {
    /// As [`Api7Args::telling_in_calls`].
    #[must_use]
    pub const fn telling_in_calls(mut self) -> Self {
        self.tells_in_calls = true;
        self
    }

    /// The server that is meant. `env` finds variables of the environment.
    ///
    /// # Errors
    /// All faults at once, in the words of the command line and of the environment.
    pub(super) fn server(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ServerConfig, ConfigFaults> {
        let (config, lacks) = match ApisixConfig::from_lookup(env) {
            Ok(config) => (config, Vec::new()),
            Err(error) => {
                // Each begins with the variable that it is about.
                let said = error.faults.iter().map(|says| {
                    let (name, says) = says.split_once(' ').unwrap_or(("", says));
                    fault(name, says, APISIX_EXAMPLE)
                });
                let lacks: Vec<Fault> = said.collect();
                if !self.tells_in_calls {
                    return Err(faults(lacks));
                }
                let nowhere = ApisixConfig::new(NOWHERE, Secret::new(UNSET.to_owned()));
                (nowhere, lacks)
            }
        };
        let mut section = ApisixSection::new(config.admin_url, config.admin_key);
        section.gateway_url = config.gateway_url;
        section.access = self.admin.access();
        section.secrets = self.admin.secrets();
        section.tools.clone_from(&self.admin.tools);
        section.exclude_tools.clone_from(&self.admin.exclude_tools);
        section.ca_file.clone_from(&self.admin.ca_file);
        section.proxy = self.admin.proxy.clone().map(Into::into);
        let found = found_in(&ServerConfig::apisix(section.clone()));
        let is_told = self.tells_in_calls && found.iter().all(is_of_environment);
        if !found.is_empty() && !is_told {
            return Err(faults(found));
        }
        let lacks = [lacks, found].concat();
        if !lacks.is_empty() {
            section.unset = Some(told(&faults(lacks)));
            NOWHERE.clone_into(&mut section.admin_url);
            section.admin_key = Some(Secret::new(UNSET.to_owned()));
            section.gateway_url = None;
        }
        Ok(ServerConfig::apisix(section))
    }
}

/// Where nothing is sent: it stands for an address that is missing.
pub(super) const NOWHERE: &str = "http://localhost";

/// It stands for a credential that is missing.
pub(super) const UNSET: &str = "unset";

/// What each call is answered with while something is wrong with the environment.
pub(super) fn told(lacks: &ConfigFaults) -> String {
    let lacks = lacks.to_string();
    tracing::warn!("{lacks}");
    format!(
        "Nothing was sent: this server was started without what it needs. The user has to set that, and start it again. {}",
        lacks.trim_end()
    )
}

/// Options have dashes, variables have none.
pub(super) fn is_of_environment(fault: &Fault) -> bool {
    let name = fault.path().to_string();
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

/// What `--risk` says, held to what a file may say under `risk`.
fn thresholds(pairs: &[String]) -> Result<Option<RiskConfig>, Vec<Fault>> {
    let schema = schema_of::<RiskConfig>();
    let mut said = Map::new();
    for pair in pairs {
        let Some((key, text)) = pair.split_once('=') else {
            let help = "write it like `certificate_days=60`";
            return Err(vec![fault("--risk", "there is no `=` in it", help)]);
        };
        let kind = schema.pointer(&format!("/properties/{key}/type"));
        let value = match kind.and_then(Value::as_str) {
            Some("integer") => text
                .parse::<u64>()
                .map_or_else(|_| Value::from(text), Value::from),
            Some("array") => {
                let items = text.split(',').map(str::trim);
                items.filter(|item| !item.is_empty()).collect()
            }
            _ => Value::from(text),
        };
        if said.insert(key.to_owned(), value).is_some() {
            let help = "write it once; items of a list have commas between them";
            return Err(vec![fault(
                "--risk",
                format!("`{key}` is given twice"),
                help,
            )]);
        }
    }
    if said.is_empty() {
        return Ok(None);
    }
    // JSON is YAML: what is wrong is said as it is of a file.
    let text = Value::Object(said).to_string();
    match load("command line", &text, &|_| None) {
        Ok(loaded) => Ok(Some(loaded.value)),
        Err(found) => Err(found
            .faults()
            .iter()
            .map(|found| {
                let message = format!("`{}`: {}", found.path(), found.message());
                fault("--risk", message, found.help().unwrap_or_default())
            })
            .collect()),
    }
}

/// What is wrong with the server.
fn found_in(server: &ServerConfig) -> Vec<Fault> {
    found_as(server, &VARIABLES)
}

/// The same, where keys stand for these variables.
pub(super) fn found_as(server: &ServerConfig, variables: &[(&str, &'static str)]) -> Vec<Fault> {
    let found = server.admin_api().map(|api| api.faults());
    let found = found.into_iter().flatten();
    found.map(|fault| said(fault, variables)).collect()
}

/// Which keys of sections of API7 and APISIX stand for which variables.
const VARIABLES: [(&str, &str); 5] = [
    ("dashboard_url", "DASHBOARD_URL"),
    ("gateway_url", "GATEWAY_URL"),
    ("token", "TOKEN"),
    ("admin_url", "APISIX_SERVER_HOST"),
    ("admin_key", "APISIX_ADMIN_KEY"),
];

/// The variables that are not set, and what they are for.
fn missing(env: &dyn Fn(&str) -> Option<String>) -> Vec<Fault> {
    let is_blank = |name: &str| env(name).is_none_or(|value| value.trim().is_empty());
    let needed = NEEDED.into_iter().filter(|(name, _)| is_blank(name));
    needed
        .map(|(name, what)| fault(name, format!("{what} is not set"), API7_EXAMPLE))
        .collect()
}

/// What has to be there.
const NEEDED: [(&str, &str); 2] = [
    ("DASHBOARD_URL", "the address of the dashboard"),
    ("TOKEN", "a token of the dashboard"),
];

/// A fault of a section in the words of the command line.
fn said(found: AdminFault, variables: &[(&str, &'static str)]) -> Fault {
    let variable = variables.iter().find(|(key, _)| *key == found.key);
    let name = match found.key {
        _ if variable.is_some() => variable.map_or("", |(_, name)| name),
        "tools" => "--tools",
        "exclude_tools" => "--exclude-tools",
        "ca_file" => "--ca-file",
        "proxy" => "--proxy",
        "docs" => "--docs",
        "risk" => "--risk",
        other => other,
    };
    let words = [
        ("`access: read-only`", "--read-only"),
        ("`access`", "--read-only"),
        ("`exclude_tools`", "--exclude-tools"),
        ("`tools`", "--tools"),
    ];
    let say = |text: String| {
        words
            .iter()
            .fold(text, |text, (word, ours)| text.replace(word, ours))
    };
    let message = match found.inner {
        Some(inner) => format!("`{inner}`: {}", found.message),
        None => found.message,
    };
    fault(name, say(message), say(found.help))
}

pub(super) fn fault(name: &str, message: impl Into<String>, help: impl Into<String>) -> Fault {
    Fault::new(ConfigPath::root().key(name), message).with_help(help)
}

pub(super) fn faults(faults: Vec<Fault>) -> ConfigFaults {
    ConfigFaults::new("command line", faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(admin: &AdminArgs, env: &[(&str, &str)]) -> String {
        says_of(
            &Api7Args {
                admin: admin.clone(),
                ..Api7Args::default()
            },
            env,
        )
    }

    fn says_of(args: &Api7Args, env: &[(&str, &str)]) -> String {
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
        let none = says(&AdminArgs::default(), &[("TOKEN", " \n")]);
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
                &AdminArgs::default(),
                &[("DASHBOARD_URL", url), GOOD[1], ("GATEWAY_URL", url)],
            );
            assert!(found.contains("2 faults"), "{found}");
            for word in [word, "DASHBOARD_URL: ", "GATEWAY_URL: ", "such as `http"] {
                assert!(found.contains(word), "no {word:?} in {found}");
            }
            assert!(!found.contains("hidden"), "{found}");
        }
        for token in ["a7ee hidden", "a7ee\nhidden", "\u{201c}hidden\u{201d}"] {
            let found = says(&AdminArgs::default(), &[GOOD[0], ("TOKEN", token)]);
            assert!(found.contains("TOKEN: "), "{found}");
            assert!(!found.contains("hidden"), "{found}");
        }
    }

    #[test]
    fn who_is_told_in_calls_is_served_whatever_the_environment_is() {
        let told = |env: &[(&str, &str)]| {
            let args = Api7Args::default().telling_in_calls();
            let look_up = |name: &str| {
                let found = env.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            args.server(&look_up).unwrap().api7.unwrap()
        };
        assert_eq!(told(&GOOD).unset, None);
        // The rest works without a gateway.
        let section = told(&[GOOD[0], GOOD[1], ("GATEWAY_URL", "nope")]);
        assert_eq!((section.unset, section.gateway_url), (None, None));
        for (env, words) in [
            (
                &[("DASHBOARD_URL", "x")][..],
                ["DASHBOARD_URL: ", "TOKEN: "],
            ),
            (
                &[("DASHBOARD_URL", "https://u:hidden@h"), GOOD[1]][..],
                ["DASHBOARD_URL: ", "user name"],
            ),
            (
                &[GOOD[0], ("TOKEN", "hidden\u{fc}")][..],
                ["TOKEN: ", "start it again"],
            ),
            (&[][..], ["DASHBOARD_URL: ", "TOKEN: "]),
        ] {
            let says = told(env).unset.unwrap();
            for word in words {
                assert!(says.contains(word), "no {word:?} in {says}");
            }
            assert!(!says.contains("hidden"), "{says}");
        }
        for env in [
            &[("APISIX_SERVER_HOST", "http://10.0.0.9")][..],
            &[("APISIX_ADMIN_API_PORT", "x")][..],
            &[("APISIX_ADMIN_KEY", "\u{fc}")][..],
        ] {
            let look_up = |name: &str| {
                let found = env.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let args = ApisixArgs::default().telling_in_calls();
            let section = args.server(&look_up).unwrap().apisix.unwrap();
            assert!(section.unset.is_some(), "{env:?}");
        }
        // Options are for who reads what this program says.
        let args = Api7Args {
            admin: AdminArgs {
                proxy: Some("nope".to_owned()),
                ..AdminArgs::default()
            },
            ..Api7Args::default()
        };
        assert!(args.telling_in_calls().server(&|_| None).is_err());
    }

    #[test]
    fn secrets_can_be_kept_from_all_calls() {
        let never = AdminArgs {
            no_secrets: true,
            ..AdminArgs::default()
        };
        assert!(says(&never, &GOOD).contains("secrets: Never"));
        let usual = says(&AdminArgs::default(), &GOOD);
        assert!(usual.contains("secrets: OnRequest"), "{usual}");
        let args = ApisixArgs {
            admin: never,
            ..ApisixArgs::default()
        };
        let server = args.server(&|_| None).unwrap().apisix.unwrap();
        assert_eq!(server.secrets, Secrets::Never);
    }

    #[test]
    fn options_that_contradict_each_other_are_told_in_the_words_of_the_command_line() {
        let args = AdminArgs {
            read_only: true,
            tools: Some(["get_resource", "create_role"].map(str::to_owned).into()),
            ..AdminArgs::default()
        };
        let found = says(&args, &GOOD);
        assert!(
            found.contains("--tools: `create_role` changes something"),
            "{found}"
        );
        assert!(found.contains("--read-only"), "{found}");
        assert!(!found.contains("`access"), "{found}");
        let args = AdminArgs {
            exclude_tools: vec!["get_ressource".to_owned()],
            ..AdminArgs::default()
        };
        let found = says(&args, &GOOD);
        assert!(found.contains("did you mean `get_resource`?"), "{found}");
        let args = AdminArgs {
            tools: Some(vec!["get_role".to_owned()]),
            exclude_tools: vec!["get_role".to_owned()],
            ca_file: Some("/no/such/file".into()),
            proxy: Some("://".to_owned()),
            ..AdminArgs::default()
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
    fn thresholds_are_held_to_what_a_file_may_say() {
        let of = |pairs: &[&str]| {
            let risk = pairs.iter().map(|pair| (*pair).to_owned()).collect();
            says_of(
                &Api7Args {
                    risk,
                    ..Api7Args::default()
                },
                &GOOD,
            )
        };
        let good = of(&[
            "certificate_days=60",
            "rules_off=unused-role, weak-secret",
            "min_gateway_version=3.8",
        ]);
        for word in [
            "certificate_days: 60",
            "[\"unused-role\", \"weak-secret\"]",
            "Some(\"3.8\")",
        ] {
            assert!(good.contains(word), "no {word:?} in {good}");
        }
        for (pair, words) in [
            ("certificate_days", ["--risk: ", "there is no `=`"]),
            (
                "certificate_day=60",
                ["`certificate_day`: ", "did you mean `certificate_days`?"],
            ),
            (
                "certificate_days=soon",
                ["`certificate_days`: ", "whole number"],
            ),
            (
                "rules_off=unused-rol",
                ["`rules_off[0]`: ", "did you mean `unused-role`?"],
            ),
            (
                "max_server_error_percent=101",
                ["`max_server_error_percent`: ", "100"],
            ),
            ("min_gateway_version=latest", ["not a version", "`3.8.0`"]),
        ] {
            let found = of(&[pair]);
            for word in words {
                assert!(found.contains(word), "{pair}: no {word:?} in {found}");
            }
        }
        let twice = of(&["max_seconds=5", "max_seconds=6"]);
        assert!(twice.contains("`max_seconds` is given twice"), "{twice}");
    }

    #[test]
    fn the_environment_becomes_a_server() {
        let found = says(&AdminArgs::default(), &GOOD);
        for word in ["https://d:7443", "Preview"] {
            assert!(found.contains(word), "no {word:?} in {found}");
        }
        assert!(!found.contains("hidden"), "{found}");
    }

    #[test]
    fn the_variables_of_apisix_mcp_are_enough_for_it() {
        let server = |env: &[(&str, &str)]| {
            ApisixArgs::default().server(&|name| {
                let mut env = env.iter();
                let found = env.find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        let here = server(&[]).unwrap().apisix.unwrap();
        assert_eq!(here.admin_url, "http://127.0.0.1:9180/apisix/admin");
        let error = server(&[
            ("APISIX_SERVER_HOST", "http://apisix.example"),
            ("APISIX_SERVER_PORT", "hidden"),
        ]);
        let error = error.unwrap_err().to_string();
        for word in [
            "APISIX_ADMIN_KEY: is not set",
            "APISIX_SERVER_PORT: is not a port",
            "\"env\": {",
            "2 faults",
        ] {
            assert!(error.contains(word), "no {word:?} in {error}");
        }
        assert!(!error.contains("hidden"), "{error}");
    }
}
