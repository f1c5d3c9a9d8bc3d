//! Logs on standard error; standard output belongs to the protocol, or to what was asked for.

mod fields;
mod queue;

use std::io::Write;

use clap::{Args, ValueEnum};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use fields::PlainFields;
use queue::Queue;

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
        self.init_to(std::io::stderr(), targets)
    }

    /// The same to another place.
    ///
    /// # Errors
    /// A sentence for people, when the filter cannot be read.
    pub fn init_to(
        &self,
        to: impl Write + Send + 'static,
        without: &[&'static str],
    ) -> Result<LogGuard, String> {
        let mut filter: Targets = self.log.parse().map_err(|_| {
            format!(
                "--log {:?} cannot be read: give a level (error, warn, info, debug, trace), or \
                 targets with levels, such as `warn,mcp_gw::audit=info`",
                self.log
            )
        })?;
        // It tells of each step of its work, which is of use to nobody here.
        if !self.log.contains(SEARCH) {
            filter = filter.with_target(SEARCH, tracing_subscriber::filter::LevelFilter::WARN);
        }
        for target in without {
            filter = filter.with_target(*target, tracing_subscriber::filter::LevelFilter::OFF);
        }
        let lost = match self.log_format {
            LogFormat::Text => lost_as_text,
            LogFormat::Json => lost_as_json,
        };
        let queue = Queue::new(to, lost);
        let registry = tracing_subscriber::registry().with(filter);
        let layer = tracing_subscriber::fmt::layer().with_writer(queue.clone());
        // Setting it twice is an embedder's choice, not a fault.
        let _ = match self.log_format {
            LogFormat::Text => {
                let layer = layer.with_ansi(false).fmt_fields(PlainFields);
                registry.with(layer).try_init()
            }
            LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        };
        Ok(LogGuard(queue))
    }
}

/// What stands in the place of lines that did not fit into the queue.
fn lost_as_text(lines: u64) -> String {
    format!(" WARN mcp_gw::log: {LOST} lines={lines}\n")
}

/// The same for machines.
fn lost_as_json(lines: u64) -> String {
    format!(
        "{{\"level\":\"WARN\",\"message\":\"{LOST}\",\"lines\":{lines},\"target\":\"mcp_gw::log\"}}\n"
    )
}

/// The full-text search.
const SEARCH: &str = "tantivy";

const LOST: &str =
    "log lines were lost, audit events maybe among them: nobody read standard error in time";

/// Writes what is still in the queue when it is dropped: keep it to the end of the program.
#[derive(Debug)]
#[must_use]
pub struct LogGuard(Queue);

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_lines_are_a_line_in_either_format() {
        let line = lost_as_json(7);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["lines"], 7);
        assert!(line.ends_with('\n'), "{line}");
        let line = lost_as_text(7);
        assert!(
            line.contains(LOST) && line.ends_with(" lines=7\n"),
            "{line}"
        );
    }
}
