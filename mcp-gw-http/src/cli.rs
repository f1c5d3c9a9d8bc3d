//! The command line of `mcp-gw-http`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use mcp_gw_server::cli::{
    Api7Args, ApisixArgs, ConfigWatch, DocsArgs, Hangup, KongArgs, KonnectArgs, LimitsArgs,
    LogArgs, PinsArgs, PolicyArgs, READY_LIMIT, SourceArgs, ask_servers, check, docs, environment,
    limits, misplaced, parse, policy, status_lines, stop_signals, stored_pins,
};
use mcp_gw_server::config::{Config, ConfigFaults};
use mcp_gw_server::identity::{FirstAdmin, Management};
use mcp_gw_server::metrics::{Metrics, MetricsListener};
use mcp_gw_server::{Launch, Running};

use crate::demo;
use crate::host::{listen, serve_until, shut_down};
use crate::managed;
use crate::platform::PlatformArgs;

/// An MCP gateway over HTTP: in front of MCP servers, it knows who calls, limits, decides, and
/// writes down what happened.
#[derive(Debug, Parser)]
#[command(name = "mcp-gw-http", version, after_help = EXAMPLES, subcommand_value_name = "SUBCOMMAND")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    run: RunArgs,

    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try it without a file and without a network: tools, two callers, a limit, curl lines
    Demo(DemoArgs),
    /// Serve an MCP server, or all servers of a file; the same as without `run`
    Run(RunArgs),
    /// Serve the management API with its database, as MCP Platform's gateway is started
    Start {
        #[command(flatten)]
        platform: PlatformArgs,

        /// Allow an address that others can reach although nobody needs a key
        #[arg(long)]
        insecure: bool,
    },
    /// Serve the admin API of an API7 Enterprise as tools, for an assistant to manage it
    Api7 {
        #[command(flatten)]
        api7: Api7Args,

        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Serve the Admin API of an Apache APISIX as tools, for an assistant to manage it
    Apisix {
        #[command(flatten)]
        apisix: ApisixArgs,

        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Serve a region of Kong Konnect as tools, for an assistant to look into it and debug APIs
    Konnect {
        #[command(flatten)]
        konnect: KonnectArgs,

        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Serve the Admin API of a Kong Gateway as tools, for an assistant to look into it
    Kong {
        #[command(flatten)]
        kong: KongArgs,

        #[command(flatten)]
        place: PlaceArgs,
    },
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
    /// Which limits apply to whom
    Limits(LimitsArgs),
    /// Who may do what: look a policy over, explain and test its decisions, import one
    Policy(PolicyArgs),
    /// Documentation that tools search: read it ahead
    Docs(DocsArgs),
    #[cfg(feature = "client")]
    #[command(flatten)]
    Manage(crate::manage::Manage),
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

#[derive(Debug, Args)]
struct DemoArgs {
    /// Call it yourself once, print what is said, and leave
    #[arg(long)]
    once: bool,

    /// Address and port to listen on; only loopback, as the keys are public
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    platform: PlatformArgs,

    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Default, Args)]
struct PlaceArgs {
    /// Address and port to listen on instead of the configured one; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,

    /// Allow an address that others can reach although nobody needs a key
    #[arg(long)]
    insecure: bool,
}

impl RunArgs {
    fn of(source: SourceArgs, place: PlaceArgs) -> Self {
        Self {
            source,
            platform: PlatformArgs::default(),
            place,
        }
    }

    fn or_environment(mut self) -> anyhow::Result<Self> {
        if !self.platform.is_empty() && !self.source.is_empty() {
            anyhow::bail!(
                "--database-url, --host and --port are for the management API without a file: keep them, or \
                 what is served beside them. A file says `management.database_url` and `http.listen` itself"
            );
        }
        let env = |name: &str| self.platform.variable(name, &environment);
        let was_named = !self.source.is_empty();
        self.source = self.source.or_environment(&env);
        if !was_named
            && !self.source.is_empty()
            && let Some(file) = overlooked(Path::new(""))
        {
            say(&format!(
                "{file} is in this folder and is not read: it is served by `mcp-gw-http --config {file}`"
            ));
        }
        Ok(self)
    }
}

/// The file in a folder that somebody may think is read when there are only variables.
fn overlooked(folder: &Path) -> Option<&'static str> {
    let files = ["gateway.yaml", "mcp-gw.yaml"];
    files.into_iter().find(|file| folder.join(file).is_file())
}

const EXAMPLES: &str = "\
Examples:
  mcp-gw-http demo                                      try it
  mcp-gw-http run -- npx -y @modelcontextprotocol/server-everything
  mcp-gw-http run --url https://mcp.example.com/mcp     in front of a server that runs already
  mcp-gw-http run --from .mcp.json                      in front of what your IDE uses now
  mcp-gw-http api7 --read-only                          the API7 of $DASHBOARD_URL
  mcp-gw-http konnect --region eu                       the Kong Konnect of $KONNECT_ACCESS_TOKEN
  mcp-gw-http check --config mcp-gw.yaml                is the configuration good?
  mcp-gw-http --config mcp-gw.yaml                      serve it
  mcp-gw-http pins diff --config mcp-gw.yaml            do servers offer what they did?
  mcp-gw-http limits show --config mcp-gw.yaml          how much may callers call?
  mcp-gw-http policy check mcp-gw.yaml                  who may do what?
  mcp-gw-http docs index docs.tar.gz docs.index         read documentation ahead
  mcp-gw-http login --username admin                    manage one that runs: users, keys, servers

Ctrl-C lets open calls end; a second Ctrl-C does not wait for them.";

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = match parse::<Cli>() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let RunArgs {
        source,
        platform,
        place,
    } = &cli.run;
    let is_named =
        !source.is_empty() || !platform.is_empty() || place.listen.is_some() || place.insecure;
    if cli.command.is_some() && is_named {
        return misplaced::<Cli>();
    }
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "a command line talks to people")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let init = match cli.command {
        // The demo shows its audit events in its own way.
        Some(Command::Demo(_)) => cli.log.init_without(&["mcp_gw::audit"]),
        // The report has what the engine would log.
        Some(Command::Policy(_)) => cli.log.init_without(&["mcp_gw::policy"]),
        _ => cli.log.init(),
    };
    let _log = init.map_err(anyhow::Error::msg)?;
    match cli.command {
        None => run(&cli.run.or_environment()?)?,
        Some(Command::Run(args)) => run(&args.or_environment()?)?,
        Some(Command::Start { platform, insecure }) => {
            let place = PlaceArgs {
                insecure,
                ..PlaceArgs::default()
            };
            let mut args = RunArgs::of(SourceArgs::default(), place);
            args.platform = platform.started();
            run(&args.or_environment()?)?;
        }
        Some(Command::Api7 { api7, place }) => {
            let source = SourceArgs::api7(api7);
            run(&RunArgs::of(source, place))?;
        }
        Some(Command::Apisix { apisix, place }) => {
            let source = SourceArgs::apisix(apisix);
            run(&RunArgs::of(source, place))?;
        }
        Some(Command::Konnect { konnect, place }) => {
            let source = SourceArgs::konnect(konnect);
            run(&RunArgs::of(source, place))?;
        }
        Some(Command::Kong { kong, place }) => {
            let source = SourceArgs::kong(kong);
            run(&RunArgs::of(source, place))?;
        }
        Some(Command::Check { what, source, ask }) => match what {
            Some(_) if !source.is_empty() => return Ok(misplaced::<Cli>()),
            Some(what) => explain(&what.source(), ask)?,
            None => explain(&source.or_environment(&environment), ask)?,
        },
        Some(Command::Pins(args)) => return Ok(stored_pins(&args)),
        Some(Command::Limits(args)) => return Ok(runtime()?.block_on(limits(&args))),
        Some(Command::Policy(args)) => return Ok(policy(&args)),
        Some(Command::Docs(args)) => return Ok(docs(&args)),
        #[cfg(feature = "client")]
        Some(Command::Manage(what)) => return Ok(runtime()?.block_on(crate::manage::run(what))),
        Some(Command::Demo(args)) => {
            runtime()?.block_on(demo::run(args.once, args.listen, || {
                stop_signals(Hangup::Stops)
            }))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    mcp_gw_server::cli::runtime().context("the runtime cannot be started")
}

fn need(source: &SourceArgs) -> anyhow::Result<()> {
    if source.is_empty() {
        anyhow::bail!(
            "nothing to serve: name the command of an MCP server after `--`, or give --url, --from \
             or --config; `api7`, `apisix`, `konnect` and `kong` serve admin APIs, and APIs that \
             `ALLOWED_APIS` names need nothing else, nor does `mcp-gw-http start`, the management \
             API with a database that `GATEWAY_DATABASE_URL` names. `mcp-gw-http demo` needs none of them, `--help` tells more"
        );
    }
    Ok(())
}

fn warn(line: &str) {
    say(&format!("warning: {line}"));
}

#[expect(clippy::print_stdout, reason = "the explanation is what was asked for")]
fn explain(source: &SourceArgs, ask: bool) -> anyhow::Result<()> {
    need(source)?;
    let config = check(source, &environment, &mut warn)?;
    for (key, address) in [
        ("http.listen", config.http.listen_address()),
        ("metrics.listen", config.metrics.listen_address()),
    ] {
        if let Some(address) = address
            && let Err(error) = std::net::TcpListener::bind(address)
        {
            warn(&format!(
                "{key}: this machine cannot listen on {address} now: {error}"
            ));
        }
    }
    print!("{}", config.explain());
    if ask {
        println!("\nwhat the servers say");
        for line in runtime()?.block_on(ask_servers(&config))? {
            println!("  {line}");
        }
    }
    Ok(())
}

fn run(args: &RunArgs) -> anyhow::Result<()> {
    need(&args.source)?;
    let change = |mut config: Config| {
        if let Some(listen) = args.place.listen {
            config.http.listen = listen.to_string();
        }
        config.http.insecure |= args.place.insecure;
        config
    };
    let mut watch = ConfigWatch::new(&args.source);
    let env = |name: &str| args.platform.variable(name, &environment);
    let mut config = args
        .source
        .load(&env, change, &mut warn)
        .map_err(|faults| in_words_of(args, faults))?;
    if args.source.config.is_some() && (args.place.listen.is_some() || args.place.insecure) {
        config = change(config);
        config.check("command line")?;
    }
    watch.watch(&config);
    runtime()?.block_on(async {
        let stop = stop_signals(watch.hangup()).context("signals cannot be handled")?;
        let listener = listen(&config.http).await?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the command line reads the environment"
        )]
        let env = std::env::vars_os();
        let mut launch = Launch::new().with_env(env);
        let metrics = Metrics::new();
        let mut scraped = MetricsListener::new(metrics.clone());
        if let Some(address) = scraped.apply(&config.metrics).await? {
            say(&format!(
                "metrics at http://{address}{}",
                config.metrics.path
            ));
            launch = launch.with_metrics(metrics);
            watch.keep_metrics(scraped);
        }
        if let Some(section) = &config.management {
            let management = Management::open(section).await?;
            if let Some(first) = management.take_first_admin() {
                tell_first(&first);
            }
            launch = launch.with_management(management);
        }
        let running = launch.start(&config)?;
        let registry = managed::start(&running, &config).await?;
        let result = tokio::select! {
            result = start(&args.source, &running) => result,
            () = stop.gently.cancelled() => Ok(()),
        };
        let result = match result {
            Ok(()) if !stop.gently.is_cancelled() => {
                tokio::select! {
                    result = serve_until(listener, &running, registry.as_ref(), &config, &stop) => result,
                    () = watch.keep_current(change, &running, &stop) => Ok(()),
                }
            }
            result => result,
        };
        if let Some(registry) = registry {
            registry.stop().await;
        }
        tokio::join!(shut_down(running, &stop), watch.shutdown());
        result
    })
}

/// The one time that the password is told.
fn tell_first(first: &FirstAdmin) {
    say(&format!(
        "made the first user `{}` with the password {}: it is told only now, change it soon",
        first.username,
        first.password.expose()
    ));
}

/// Faults of an address that was given on the command line, with what to do about them there.
fn in_words_of(args: &RunArgs, faults: ConfigFaults) -> anyhow::Error {
    match args.place.listen {
        Some(address) if !address.ip().is_loopback() && !args.place.insecure => anyhow::anyhow!(
            "{faults}\nkeys are given in a file: --config mcp-gw.yaml; to do without any, say \
             --insecure"
        ),
        _ => faults.into(),
    }
}

/// Waits for the servers behind, and says how they are doing.
async fn start(source: &SourceArgs, running: &Running) -> anyhow::Result<()> {
    let status = running.ready(READY_LIMIT).await;
    source.need_up(&status).map_err(anyhow::Error::msg)?;
    for line in status_lines(&status) {
        say(&line);
    }
    if let Some(line) = running.limits_line() {
        say(&line);
    }
    for line in running.idle_rules().await {
        warn(&line);
    }
    Ok(())
}
