//! The command line of `mcp-gw-stdio`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use mcp_gw_server::cli::{
    Api7Args, ApisixArgs, ConfigWatch, DocsArgs, KongArgs, KonnectArgs, LogArgs, PinsArgs,
    PolicyArgs, SourceArgs, ask_servers, check, docs, environment, misplaced, parse, pins, policy,
    status_lines, stop_signals,
};
use mcp_gw_server::metrics::{Metrics, MetricsListener};
use mcp_gw_server::{Launch, LineConfig, serve_lines_until};

/// An MCP gateway over standard input and output.
///
/// Put it where an IDE or assistant starts MCP servers, in place of the server itself: every call
/// then passes the policy, the limits and the audit log of the gateway.
#[derive(Debug, Parser)]
#[command(name = "mcp-gw-stdio", version, after_help = EXAMPLES, subcommand_value_name = "SUBCOMMAND")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    source: SourceArgs,

    /// Serve this endpoint alone: one server by its name, or one of `endpoints`
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,

    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve; the same as without `run`
    Run {
        #[command(flatten)]
        source: SourceArgs,

        /// Serve this endpoint alone: one server by its name, or one of `endpoints`
        #[arg(long, value_name = "NAME")]
        endpoint: Option<String>,
    },
    /// Serve the admin API of an API7 Enterprise as tools, for an assistant to manage it
    Api7(Api7Args),
    /// Serve the Admin API of an Apache APISIX as tools, for an assistant to manage it
    Apisix(ApisixArgs),
    /// Serve a region of Kong Konnect as tools, for an assistant to look into it and debug APIs
    Konnect(KonnectArgs),
    /// Serve the Admin API of a Kong Gateway as tools, for an assistant to look into it
    Kong(KongArgs),
    /// Check what would be served, explain it, and leave: 0 when it is good, 1 when it is not
    #[command(subcommand_value_name = "SUBCOMMAND")]
    Check {
        #[command(subcommand)]
        what: Option<What>,

        #[command(flatten)]
        source: SourceArgs,

        /// Ask the servers too: start or connect to them, and say what does not fit what they offer
        #[arg(long, global = true)]
        ask: bool,
    },
    /// What servers offered when they were trusted: show it, see what differs now, approve that
    Pins(PinsArgs),
    /// Who may do what: look a policy over, explain and test its decisions, import one
    Policy(PolicyArgs),
    /// Documentation that tools search: read it ahead
    Docs(DocsArgs),
}

/// What is checked, where it has a subcommand of its own.
#[derive(Debug, Subcommand)]
enum What {
    /// The admin API of an API7 Enterprise as tools, with the options of the subcommand `api7`
    Api7(Api7Args),
    /// The Admin API of an Apache APISIX as tools, with the options of the subcommand `apisix`
    Apisix(ApisixArgs),
    /// A region of Kong Konnect as tools, with the options of the subcommand `konnect`
    Konnect(KonnectArgs),
    /// The Admin API of a Kong Gateway as tools, with the options of the subcommand `kong`
    Kong(KongArgs),
}

impl What {
    fn source(self) -> SourceArgs {
        match self {
            Self::Api7(args) => SourceArgs::api7(args),
            Self::Apisix(args) => SourceArgs::apisix(args),
            Self::Konnect(args) => SourceArgs::konnect(args),
            Self::Kong(args) => SourceArgs::kong(args),
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  mcp-gw-stdio run -- npx -y @modelcontextprotocol/server-everything
  mcp-gw-stdio run --url https://mcp.example.com/mcp
  mcp-gw-stdio run --from .mcp.json
  mcp-gw-stdio --config mcp-gw.yaml
  mcp-gw-stdio api7 --read-only        the API7 of $DASHBOARD_URL
  mcp-gw-stdio konnect --region eu     the Kong Konnect of $KONNECT_ACCESS_TOKEN
  mcp-gw-stdio check --config mcp-gw.yaml
  mcp-gw-stdio pins diff --config mcp-gw.yaml
  mcp-gw-stdio policy check mcp-gw.yaml
  mcp-gw-stdio docs index docs.tar.gz docs.index

Standard output carries MCP only; logs, the audit log among them, go to standard error.";

/// Child processes must be gone before the client loses patience with us: SDKs send SIGTERM two
/// seconds after they close our input.
const CHILD_GRACE: Duration = Duration::from_millis(400);

/// How long last answers may take to be written, and the runtime to let go of what it holds.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// How long the servers behind may take before lists and calls are answered without them.
const READY_LIMIT: Duration = Duration::from_secs(20);

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = match parse::<Cli>() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    if cli.command.is_some() && (!cli.source.is_empty() || cli.endpoint.is_some()) {
        return misplaced::<Cli>();
    }
    let init = match cli.command {
        // The report has what the engine would log.
        Some(Command::Policy(_)) => cli.log.init_without(&["mcp_gw::policy"]),
        _ => cli.log.init(),
    };
    let _log = match init {
        Ok(guard) => guard,
        Err(error) => return fail(&error),
    };
    let result = match cli.command {
        None => run(&cli.source, cli.endpoint.as_deref()),
        Some(Command::Run { source, endpoint }) => run(&source, endpoint.as_deref()),
        Some(Command::Api7(args)) => run(&SourceArgs::api7(args.telling_in_calls()), None),
        Some(Command::Apisix(args)) => run(&SourceArgs::apisix(args.telling_in_calls()), None),
        Some(Command::Konnect(args)) => run(&SourceArgs::konnect(args.telling_in_calls()), None),
        Some(Command::Kong(args)) => run(&SourceArgs::kong(args), None),
        Some(Command::Check { what, source, ask }) => match what {
            Some(_) if !source.is_empty() => return misplaced::<Cli>(),
            Some(what) => explain(&what.source(), ask),
            None => explain(&source, ask),
        },
        Some(Command::Pins(args)) => return pins(&args),
        Some(Command::Policy(args)) => return policy(&args),
        Some(Command::Docs(args)) => return docs(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}")),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a command line tells people what went wrong"
)]
fn fail(says: &str) -> ExitCode {
    eprintln!("{says}");
    ExitCode::FAILURE
}

fn warn(line: &str) {
    tracing::warn!("{line}");
}

fn need(source: &SourceArgs) -> anyhow::Result<()> {
    if source.is_empty() {
        anyhow::bail!(
            "nothing to serve: name the command of an MCP server after `--`, or give --url, --from \
             or --config; `api7`, `apisix`, `konnect` and `kong` serve admin APIs (see --help)"
        );
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the explanation is what was asked for")]
fn explain(source: &SourceArgs, ask: bool) -> anyhow::Result<()> {
    need(source)?;
    let config = check(source, &environment, &mut warn)?;
    print!("{}", config.explain_stdio());
    if ask {
        println!("\nwhat the servers say");
        let runtime = mcp_gw_server::cli::runtime().context("the runtime cannot be started")?;
        for line in runtime.block_on(ask_servers(&config))? {
            println!("  {line}");
        }
    }
    Ok(())
}

fn run(source: &SourceArgs, endpoint: Option<&str>) -> anyhow::Result<()> {
    need(source)?;
    let mut watch = ConfigWatch::new(source);
    let config = source.load(&environment, |config| config, &mut warn)?;
    watch.watch(&config);
    let runtime = mcp_gw_server::cli::runtime().context("the runtime cannot be started")?;
    let result = runtime.block_on(serve(source, &config, endpoint, watch));
    // Reading standard input blocks a thread that nothing can wake; it must not hold up the end.
    runtime.shutdown_timeout(LAST_WORDS);
    result
}

async fn serve(
    source: &SourceArgs,
    config: &mcp_gw_server::config::Config,
    endpoint: Option<&str>,
    mut watch: ConfigWatch,
) -> anyhow::Result<()> {
    let stop = stop_signals(watch.hangup()).context("signals cannot be handled")?;
    #[expect(
        clippy::disallowed_methods,
        reason = "the command line reads the environment"
    )]
    let env = std::env::vars_os();
    let mut launch = Launch::new().with_env(env).with_child_grace(CHILD_GRACE);
    let metrics = Metrics::new();
    let mut scraped = MetricsListener::new(metrics.clone());
    if let Some(address) = scraped.apply(&config.metrics).await? {
        tracing::info!("metrics at http://{address}{}", config.metrics.path);
        launch = launch.with_metrics(metrics);
        watch.keep_metrics(scraped);
    }
    let running = launch.start(config)?;
    let engine = match endpoint {
        None => running.engine().clone(),
        Some(name) => running.engine().at(name).with_context(|| {
            let known = running.gateway().endpoints().join(", ");
            format!("there is no endpoint `{name}`; there are: {known}")
        })?,
    };
    let gently = stop.gently.clone();
    let stopping = async {
        gently.cancelled().await;
        engine.wind_down();
        tracing::info!("stopping when open calls have ended; a second signal stops at once");
    };
    engine.hold();
    let serving = async {
        let limits = LineConfig::default().with_stop_grace(config.http.shutdown_grace.get());
        let (stdin, stdout) = (tokio::io::stdin(), tokio::io::stdout());
        let served = serve_lines_until(&engine, limits, stdin, stdout, stopping);
        let mut served = std::pin::pin!(served);
        // The client is heard from the beginning; what needs the servers waits for them.
        let status = tokio::select! {
            result = &mut served => return result.map_err(anyhow::Error::from),
            status = running.ready(READY_LIMIT) => status,
        };
        source.need_up(&status).map_err(anyhow::Error::msg)?;
        engine.open();
        for line in status_lines(&status) {
            tracing::info!("{line}");
        }
        if let Some(line) = running.limits_line() {
            tracing::info!("{line}");
        }
        for line in running.idle_rules().await {
            warn(&line);
        }
        served.await?;
        Ok(())
    };
    let cut = async {
        stop.now.cancelled().await;
        engine.stop();
        tokio::time::sleep(LAST_WORDS).await;
    };
    let result = tokio::select! {
        result = serving => result,
        () = cut => Ok(()),
        () = watch.keep_current(|config| config, &running, &stop) => Ok(()),
    };
    // Whoever says it twice does not wait for a server that does not end: it is killed with the
    // runtime.
    tokio::select! {
        _ = async { tokio::join!(running.shutdown(), watch.shutdown()) } => {}
        () = stop.now.cancelled() => {}
    }
    result
}
