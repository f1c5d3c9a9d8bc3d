//! Logs on standard error; standard output belongs to the protocol, or to what was asked for.

mod fields;

use clap::{Args, ValueEnum};
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use fields::PlainFields;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
#[non_exhaustive]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Logging options.
#[derive(Debug, Clone, Default, Args)]
#[non_exhaustive]
pub struct LogArgs {
    /// What to log: a level (error, warn, info, debug, trace), or targets with levels, such as
    /// `warn,mcp_gw::audit=info`
    #[arg(long, value_name = "FILTER", default_value = "info", global = true)]
    pub log: String,

    /// How log lines look
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text, global = true)]
    pub log_format: LogFormat,
}

impl LogArgs {
    /// Begins to log to standard error.
    ///
    /// # Errors
    /// A sentence for people, when the filter cannot be read.
    pub fn init(&self) -> Result<LogGuard, String> {
        self.init_without(&[])
    }

    /// The same, leaving out some targets that are shown in another way.
    ///
    /// # Errors
    /// A sentence for people, when the filter cannot be read.
    pub fn init_without(&self, targets: &[&'static str]) -> Result<LogGuard, String> {
        let mut filter: Targets = self.log.parse().map_err(|_| {
            format!(
                "--log {:?} cannot be read: give a level (error, warn, info, debug, trace), or \
                 targets with levels, such as `warn,mcp_gw::audit=info`",
                self.log
            )
        })?;
        for target in targets {
            filter = filter.with_target(*target, tracing_subscriber::filter::LevelFilter::OFF);
        }
        // A reader of standard error that does not read must not hold up a call: lines go through a
        // queue, and those that do not fit are lost.
        let (writer, guard) = tracing_appender::non_blocking(std::io::stderr());
        let registry = tracing_subscriber::registry().with(filter);
        let layer = tracing_subscriber::fmt::layer().with_writer(writer);
        // Setting it twice is an embedder's choice, not a fault.
        let _ = match self.log_format {
            LogFormat::Text => {
                let layer = layer.with_ansi(false).fmt_fields(PlainFields);
                registry.with(layer).try_init()
            }
            LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        };
        Ok(LogGuard(guard))
    }
}

/// Writes what is still in the queue when it is dropped: keep it to the end of the program.
#[derive(Debug)]
#[must_use]
pub struct LogGuard(#[expect(dead_code, reason = "dropping it is its use")] WorkerGuard);
