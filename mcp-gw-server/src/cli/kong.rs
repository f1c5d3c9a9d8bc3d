//! Kong Konnect and Kong Gateways, served without a file: options of the command line, and variables.

use std::path::PathBuf;

use clap::Args;
use mcp_gw_admin_client::tools::konnect::{Access, KongConfig, KonnectConfig, Visibility};
use mcp_gw_core::Secret;

use super::admin::{UNSET, fault, faults, found_as, is_of_environment, told};
use crate::config::{ConfigFaults, Fault, KongSection, KonnectSection, ServerConfig};

/// Which tools there are, and how an API is reached.
#[derive(Debug, Clone, Default, Args)]
#[non_exhaustive]
pub struct ReadArgs {
    /// Only these tools, with commas between them
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub tools: Option<Vec<String>>,

    /// Not these tools, with commas between them
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub exclude_tools: Vec<String>,

    /// Documentation for `KnowledgeBaseSearch`: a folder, an archive, or an index that `docs index` wrote
    #[arg(long, value_name = "PATH")]
    pub docs: Option<PathBuf>,

    /// Certificates of authorities, in PEM, that are believed instead of those of the system: for an
    /// API with a certificate of its own
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// A proxy that requests go through, such as `http://proxy.example.com:3128`
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
}

/// The tools of a region of Kong Konnect. Its token is said by a variable of the environment.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = KONNECT)]
#[non_exhaustive]
pub struct KonnectArgs {
    /// Which tools there are.
    #[command(flatten)]
    pub read: ReadArgs,

    /// The region: us, eu, au, me, in or sg; otherwise that of `KONNECT_REGION`, or us
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,

    /// Create and stop no debug sessions
    #[arg(long)]
    pub read_only: bool,

    /// List all tools, whatever the rights of the token: Konnect is not asked for them
    #[arg(long)]
    pub all_tools: bool,

    #[arg(skip)]
    tells_in_calls: bool,
}

/// The tools of a Kong Gateway. Where it is, is said by variables of the environment.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = KONG)]
#[non_exhaustive]
pub struct KongArgs {
    /// Which tools there are.
    #[command(flatten)]
    pub read: ReadArgs,
}

const KONNECT: &str = "\
Environment:
  KONNECT_ACCESS_TOKEN  a token of a person (kpat_…) or a system account (spat_…); it is sent to Konnect
                        and nowhere else
  KONNECT_REGION        the region, where --region does not say it
  KONNECT_BASE_URL      another address than that of the region; the token is sent there
  KONNECT_GLOBAL_URL    another address than https://global.api.konghq.com";

const KONG: &str = "\
Environment:
  KONG_ADMIN_URL    the address of the Admin API: http://127.0.0.1:8001 if not set
  KONG_ADMIN_TOKEN  a token of the Enterprise edition; it is sent there and nowhere else
  KONG_WORKSPACE    the workspace (Enterprise); the default one if not set";

/// What a client's configuration looks like that sets what is missing.
const EXAMPLE: &str = "set it where your client starts this program: \"env\": { \
                       \"KONNECT_ACCESS_TOKEN\": \"kpat_…\", \"KONNECT_REGION\": \"eu\" }";

/// Which keys stand for which variables.
const OF_KONNECT: [(&str, &str); 4] = [
    ("token", "KONNECT_ACCESS_TOKEN"),
    ("region", "KONNECT_REGION"),
    ("base_url", "KONNECT_BASE_URL"),
    ("global_url", "KONNECT_GLOBAL_URL"),
];

const OF_KONG: [(&str, &str); 3] = [
    ("admin_url", "KONG_ADMIN_URL"),
    ("admin_token", "KONG_ADMIN_TOKEN"),
    ("workspace", "KONG_WORKSPACE"),
];

impl KonnectArgs {
    /// As [`Api7Args::telling_in_calls`](super::Api7Args::telling_in_calls).
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
        let said = |name: &str| match name {
            "KONNECT_REGION" => self.region.clone().or_else(|| env(name)),
            _ => env(name),
        };
        let (mut section, mut lacks) = match KonnectConfig::from_lookup(said) {
            Ok(config) => {
                let mut section = KonnectSection::new(config.region, config.token);
                section.base_url = config.base_url;
                section.global_url = config.global_url;
                (section, Vec::new())
            }
            Err(error) => {
                // Each begins with the variable that it is about.
                let lacks = error.faults.iter().map(|says| {
                    let (name, says) = says.split_once(' ').unwrap_or(("", says));
                    fault(name.trim_end_matches(':'), says, EXAMPLE)
                });
                let nobody = KonnectSection::new("us", Secret::new(UNSET.to_owned()));
                (nobody, lacks.collect())
            }
        };
        section.docs.clone_from(&self.read.docs);
        self.read.fill(
            (&mut section.tools, &mut section.exclude_tools),
            (&mut section.ca_file, &mut section.proxy),
        );
        if self.read_only {
            section.access = Access::ReadOnly;
        }
        if self.all_tools {
            section.visibility = Visibility::All;
        }
        lacks.extend(found_as(
            &ServerConfig::konnect(section.clone()),
            &OF_KONNECT,
        ));
        if lacks.is_empty() {
            return Ok(ServerConfig::konnect(section));
        }
        let is_of_options = |fault: &Fault| !is_of_environment(fault) || self.region.is_some();
        if !self.tells_in_calls || lacks.iter().any(is_of_options) {
            return Err(faults(lacks));
        }
        section.unset = Some(told(&faults(lacks)));
        section.token = Some(Secret::new(UNSET.to_owned()));
        (section.base_url, section.global_url) = (None, None);
        Ok(ServerConfig::konnect(section))
    }
}

impl KongArgs {
    /// The server that is meant. `env` finds variables of the environment.
    ///
    /// # Errors
    /// All faults at once, in the words of the command line and of the environment.
    pub(super) fn server(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ServerConfig, ConfigFaults> {
        let config = KongConfig::from_lookup(env);
        let mut section = KongSection::new(config.admin_url);
        section.admin_token = config.admin_token;
        section.workspace = config.workspace;
        section.docs.clone_from(&self.read.docs);
        self.read.fill(
            (&mut section.tools, &mut section.exclude_tools),
            (&mut section.ca_file, &mut section.proxy),
        );
        let found = found_as(&ServerConfig::kong(section.clone()), &OF_KONG);
        if found.is_empty() {
            Ok(ServerConfig::kong(section))
        } else {
            Err(faults(found))
        }
    }
}

type Tools<'a> = (&'a mut Option<Vec<String>>, &'a mut Vec<String>);
type Way<'a> = (&'a mut Option<PathBuf>, &'a mut Option<Secret<String>>);

impl ReadArgs {
    fn fill(&self, (tools, exclude_tools): Tools<'_>, (ca_file, proxy): Way<'_>) {
        tools.clone_from(&self.tools);
        exclude_tools.clone_from(&self.exclude_tools);
        ca_file.clone_from(&self.ca_file);
        *proxy = self.proxy.clone().map(Into::into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(args: &KonnectArgs, env: &[(&str, &str)]) -> Result<KonnectSection, String> {
        let look_up = |name: &str| {
            let mut env = env.iter();
            let found = env.find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        match args.server(&look_up) {
            Ok(server) => Ok(server.konnect.unwrap()),
            Err(error) => Err(error.to_string()),
        }
    }

    const TOKEN: (&str, &str) = ("KONNECT_ACCESS_TOKEN", "kpat_hidden");

    #[test]
    fn a_token_is_enough_and_the_option_goes_before_the_variable() {
        let usual = server(&KonnectArgs::default(), &[TOKEN]).unwrap();
        assert_eq!((&*usual.region, usual.access), ("us", Access::ReadWrite));
        assert_eq!(usual.visibility, Visibility::Rights);
        let args = KonnectArgs {
            region: Some("sg".to_owned()),
            read_only: true,
            all_tools: true,
            ..KonnectArgs::default()
        };
        let other = server(&args, &[TOKEN, ("KONNECT_REGION", "eu")]).unwrap();
        assert_eq!((&*other.region, other.access), ("sg", Access::ReadOnly));
        assert_eq!(other.visibility, Visibility::All);
    }

    #[test]
    fn what_is_missing_is_told_in_calls_where_nobody_reads_what_is_said_at_the_start() {
        let usual = KonnectArgs::default();
        let error = server(&usual, &[]).unwrap_err();
        for word in ["KONNECT_ACCESS_TOKEN", "\"env\": {"] {
            assert!(error.contains(word), "{error}");
        }
        let told = usual.clone().telling_in_calls();
        let section = server(&told, &[("KONNECT_REGION", "mars")]).unwrap();
        let unset = section.unset.unwrap();
        assert!(
            unset.contains("KONNECT_REGION") && unset.contains("KONNECT_ACCESS_TOKEN"),
            "{unset}"
        );
        // Options are for who reads what this program says.
        let args = KonnectArgs {
            region: Some("mars".to_owned()),
            ..KonnectArgs::default()
        };
        let error = server(&args.telling_in_calls(), &[TOKEN]).unwrap_err();
        assert!(
            error.contains("no such region") && !error.contains("hidden"),
            "{error}"
        );
        let error = server(&usual, &[TOKEN, ("KONNECT_BASE_URL", "http://k.example")]).unwrap_err();
        assert!(error.contains("KONNECT_BASE_URL"), "{error}");
    }

    #[test]
    fn a_gateway_is_found_by_its_variables() {
        let look_up = |name: &str| match name {
            "KONG_ADMIN_URL" => Some("http://kong:8001".to_owned()),
            "KONG_ADMIN_TOKEN" => Some("hidden".to_owned()),
            _ => None,
        };
        let section = KongArgs::default().server(&look_up).unwrap().kong.unwrap();
        assert_eq!(section.admin_url, "http://kong:8001");
        assert!(section.admin_token.is_some());
        let error = KongArgs::default()
            .server(&|name| (name == "KONG_ADMIN_URL").then(|| "kong".to_owned()));
        assert!(error.unwrap_err().to_string().contains("KONG_ADMIN_URL"));
    }
}
