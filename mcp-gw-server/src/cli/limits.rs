//! `limits show`: which limits apply to whom, and, where counts are shared, what is left of them.

mod forget;
mod names;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use mcp_gw_core::{Caller, Charge, LimiterHealth, RateLimiter, RequestMeta, Transport};
use mcp_gw_ratelimit::LimitView;
use serde::Serialize;

use forget::ForgetArgs;

use super::source::environment;
use crate::authn::caller_of;
use crate::config::{Config, read_file};
use crate::limits::Limits;

/// What to do about limits.
#[derive(Debug, Clone, Args)]
#[non_exhaustive]
pub struct LimitsArgs {
    #[command(subcommand)]
    command: LimitsCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum LimitsCommand {
    /// Forget what a caller has used, with `limits.redis`; what callers share stays
    Forget(ForgetArgs),

    /// Show which limits apply; with `limits.redis` also what is left of them now
    Show {
        /// The configuration file
        #[arg(long, value_name = "FILE", default_value = "mcp-gw.yaml")]
        config: PathBuf,

        /// For this caller: the id of a key in `auth.api_keys`, or `anonymous` or `local`
        #[arg(long, value_name = "ID")]
        caller: Option<String>,

        /// For calls of this tool, when counts are looked up
        #[arg(long, value_name = "NAME", requires = "caller")]
        tool: Option<String>,

        /// For calls to this server, when counts are looked up
        #[arg(long, value_name = "NAME", requires = "caller")]
        server: Option<String>,

        /// Ask the servers whether there is such a tool, and which of them offers it
        #[arg(long, requires = "tool")]
        ask: bool,

        /// How to write it
        #[arg(long, value_enum, default_value_t = Form::Text)]
        format: Form,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// What is shown.
#[derive(Debug, Serialize)]
struct Shown {
    /// Whose limits these are; `null` for everybody's.
    caller: Option<String>,
    /// Where is counted: `memory` or `redis`.
    counts: &'static str,
    /// How the Redis does; `null` where there is none.
    health: Option<ShownHealth>,
    limits: Vec<ShownLimit>,
}

#[derive(Debug, Serialize)]
struct ShownHealth {
    healthy: bool,
    /// In one line for people.
    says: String,
}

impl From<LimiterHealth> for ShownHealth {
    fn from(health: LimiterHealth) -> Self {
        Self {
            healthy: health.is_healthy,
            says: health.to_string(),
        }
    }
}

#[derive(Debug, Serialize)]
struct ShownLimit {
    #[serde(flatten)]
    view: LimitView,
    /// Units left now; `null` when nobody outside of the gateway knows.
    remaining: Option<u64>,
    /// Seconds until all units are there again.
    reset_seconds: Option<u64>,
    /// What has to be said for that, when there is a number for each.
    #[serde(skip)]
    missing: Option<&'static str>,
}

/// Which calls are asked about.
#[derive(Debug, Clone, Copy)]
struct About<'a> {
    tool: Option<&'a str>,
    server: Option<&'a str>,
    /// Whether the servers are asked what they offer.
    ask: bool,
}

/// Runs a command about limits, in a tokio runtime.
pub async fn limits(args: &LimitsArgs) -> ExitCode {
    let result = match &args.command {
        LimitsCommand::Forget(args) => forget::forget(args).await,
        LimitsCommand::Show {
            config,
            caller,
            tool,
            server,
            ask,
            format,
        } => {
            let about = About {
                tool: tool.as_deref(),
                server: server.as_deref(),
                ask: *ask,
            };
            let shown = async {
                let shown = show(&load(config)?, caller.as_deref(), about).await?;
                Ok::<_, String>(match format {
                    Form::Text => shown.text(),
                    Form::Json => shown.json(),
                })
            };
            shown.await
        }
    };
    match result {
        Ok(text) => {
            // A stream that nobody reads leaves nothing to be done.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            super::tell(&error);
            ExitCode::FAILURE
        }
    }
}

fn load(file: &Path) -> Result<Config, String> {
    let text = read_file(file).map_err(|error| error.to_string())?;
    let label = file.display().to_string();
    Config::load(&label, &text, &environment).map_err(|it| it.to_string())
}

async fn show(config: &Config, id: Option<&str>, about: About<'_>) -> Result<Shown, String> {
    let caller = id.map(|id| find(config, id)).transpose()?;
    let offers = names::check(config, about).await?;
    let about = About {
        server: about.server.or(offers.as_deref()),
        ..about
    };
    let views = config.limits.view(caller.as_ref());
    let (limits, health) = match (&caller, &config.limits.redis) {
        (Some(caller), Some(_)) => {
            let all = with_counts(config, caller, about, views).await?;
            (all, Some(LimiterHealth::well("redis")))
        }
        (_, redis) => {
            let health = match redis {
                Some(_) => Some(health_of(config).await?),
                None => None,
            };
            (views.into_iter().map(ShownLimit::plain).collect(), health)
        }
    };
    Ok(Shown {
        caller: id.map(str::to_owned),
        counts: match config.limits.redis {
            Some(_) => "redis",
            None => "memory",
        },
        health: health.map(ShownHealth::from),
        limits,
    })
}

/// How the Redis does that limits are counted in.
async fn health_of(config: &Config) -> Result<LimiterHealth, String> {
    let limits = Limits::new(&config.limits).map_err(|error| error.to_string())?;
    if let Some(redis) = limits.redis() {
        // What it fails for, its health says.
        let _ = redis.connect().await;
    }
    Ok(limits.limiter.now().health())
}

/// The caller of this id.
fn find(config: &Config, id: &str) -> Result<Caller, String> {
    let keys = &config.auth.api_keys;
    if let Some(key) = keys.iter().find(|key| key.id == id) {
        return Ok(caller_of(key));
    }
    match id {
        "anonymous" => Ok(Caller::anonymous()),
        "local" => Ok(Caller::local()),
        _ => {
            let known: Vec<_> = keys.iter().map(|key| key.id.as_str()).collect();
            let known = [known.as_slice(), &["anonymous", "local"]]
                .concat()
                .join(", ");
            Err(format!("there is no caller `{id}`; there are: {known}"))
        }
    }
}

/// The limits with what is left of each, where that is one number. Nothing is charged.
async fn with_counts(
    config: &Config,
    caller: &Caller,
    about: About<'_>,
    views: Vec<LimitView>,
) -> Result<Vec<ShownLimit>, String> {
    let limits = Limits::new(&config.limits).map_err(|error| error.to_string())?;
    let redis = limits.redis().ok_or("there is no Redis")?;
    // What stands in for a Redis that is away knows nothing of what others count.
    let connected = redis.connect().await;
    connected.map_err(|error| format!("{error}; without it nobody knows what is left"))?;
    let meta = RequestMeta::new("limits show", Transport::InProcess);
    let mut servers = config.servers.keys().map(String::as_str);
    // Of one server nobody has to say which.
    let only = servers.next().filter(|_| config.servers.len() == 1);
    let server = about.server.or(only);
    let charge = Charge::new(caller, &meta, "tools/call").of(about.tool, server);
    let limiter = limits.limiter.now();
    let mut all = Vec::new();
    for view in views {
        let standing = limiter.peek_at(&view, &charge).await;
        let standing = standing.map_err(|error| error.to_string())?;
        let missing = match view.per {
            "tool" | "caller_and_tool" if about.tool.is_none() => Some("--tool"),
            "server" | "caller_and_server" if server.is_none() => Some("--server"),
            _ => None,
        };
        all.push(ShownLimit {
            remaining: standing.as_ref().map(|one| one.quota.remaining),
            reset_seconds: standing.map(|one| one.quota.reset.as_secs()),
            missing: missing.filter(|_| view.quota.is_some() && view.window.is_some()),
            view,
        });
    }
    match redis.health().failure {
        None => Ok(all),
        Some((_, says)) => Err(format!("Redis gives no answer: {says}")),
    }
}

impl ShownLimit {
    fn plain(view: LimitView) -> Self {
        Self {
            view,
            remaining: None,
            reset_seconds: None,
            missing: None,
        }
    }
}

impl Shown {
    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = match &self.caller {
            Some(caller) => writeln!(text, "limits of {caller}"),
            None => writeln!(text, "limits"),
        };
        for limit in &self.limits {
            let _ = write!(text, "  {}", limit.view);
            if let (Some(left), Some(reset)) = (limit.remaining, limit.reset_seconds) {
                let _ = write!(text, ": {left} left, whole again in {reset}s");
            } else if let Some(missing) = limit.missing {
                let _ = write!(text, ": {missing} shows what is left");
            }
            text.push('\n');
        }
        if self.limits.is_empty() {
            text.push_str("  none\n");
        }
        if let Some(health) = self.health.as_ref().filter(|it| !it.healthy) {
            let _ = writeln!(text, "{}", health.says);
        }
        text.push_str(match (self.counts, &self.caller) {
            ("redis", Some(_)) => "counted in Redis\n",
            ("redis", None) => "counted in Redis; --caller shows what is left\n",
            _ => {
                "counted in the memory of the gateway: its metrics tell how often a limit was \
                 charged and refused\n"
            }
        });
        text
    }

    fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}
