//! `docs index`: documentation that tools search, read ahead.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

/// What to do about documentation.
#[derive(Debug, Clone, Args)]
#[non_exhaustive]
pub struct DocsArgs {
    #[command(subcommand)]
    command: DocsCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum DocsCommand {
    /// Read documentation, and write an index of it, which servers open faster than they read the
    /// documentation: 0 when it is written, 1 when not
    Index {
        /// A folder or an archive (.tar.gz, .tar, .zip) of Markdown, HTML and text
        source: PathBuf,

        /// Where the index goes: a folder that is empty or not there, or an older index
        folder: PathBuf,
    },
}

/// Runs a command about documentation, and says how it ended: 0 when it was done, 1 when not.
pub fn docs(args: &DocsArgs) -> ExitCode {
    let DocsCommand::Index { source, folder } = &args.command;
    match index(source, folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            super::tell(&error);
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(feature = "docs-index"))]
fn index(_: &Path, _: &Path) -> Result<(), String> {
    Err("this program was built without a search for documentation: build it with `--features docs-index`".to_owned())
}

#[cfg(feature = "docs-index")]
fn index(source: &Path, folder: &Path) -> Result<(), String> {
    use mcp_gw_admin_client::docs_index::{Bounds, build};

    let bounds = Bounds::default();
    let report = build(source, folder, &bounds).map_err(|error| crate::config::chain(&error))?;
    for line in lines(&report, &bounds) {
        super::print(&line)?;
    }
    super::print(&format!(
        "the index is in {}: give it as `docs` of a server in the configuration, or with --docs",
        folder.display()
    ))
}

/// What was read, and what was not; for people.
#[cfg(feature = "docs-index")]
fn lines(
    report: &mcp_gw_admin_client::docs_index::Report,
    bounds: &mcp_gw_admin_client::docs_index::Bounds,
) -> Vec<String> {
    let read = format!(
        "{} with {}, {} KiB",
        super::count(report.documents, "document"),
        super::count(report.sections, "section"),
        report.bytes.div_ceil(1024)
    );
    let longest = format!("longer than {} KiB", bounds.document_bytes / 1024);
    let left_out = [
        (report.too_long, longest.as_str()),
        (report.links, "links"),
        (report.outside, "with names that lead out of the archive"),
        (report.no_text, "no text by what is in them"),
        (report.unreadable, "could not be read"),
        (report.other, "of other kinds"),
    ];
    let left_out = left_out
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, why)| format!("left out: {count} ({why})"));
    std::iter::once(read).chain(left_out).collect()
}
