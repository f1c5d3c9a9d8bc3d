//! `OpenAPI` 3.0 and 3.1 descriptions as operations. Pure: bytes in, operations and a report out; nothing
//! is fetched, and a reference to another document is never followed.
//!
//! What cannot be used is left out and told of in the [`Report`]; the rest works. Whatever the bytes
//! are, reading ends in bounded time and memory.

mod bodies;
mod build;
mod document;
mod keywords;
mod names;
mod parameters;
mod report;
mod schema;
mod security;
mod select;
mod servers;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::Value;

pub(crate) use parameters::Guarded;
pub(super) use parameters::is_set_by_others;
pub use report::{LeftOut, Note, Report, Skipped};
pub use select::Filter;

use super::operation::Operation;
use super::text::trimmed;
use build::{Builder, Found};
use document::Document;
use servers::Home;

/// What to make of a description.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The address that the configuration has for the API: compared with what the description says.
    pub base: Option<String>,
    /// Only these operations; all when it names nothing.
    pub include: Filter,
    /// None of these, also when they are included.
    pub exclude: Filter,
    /// Also operations that change something: others than `GET` and `HEAD`.
    pub write: bool,
    /// Also operations that the description calls deprecated.
    pub deprecated: bool,
    /// The longest description, in bytes.
    pub max_bytes: usize,
    /// How large the schema of one tool may become, in bytes, before its depths are left out.
    pub max_schema: usize,
    /// How many operations may be chosen; those after them, by path and method, are skipped.
    pub max_operations: usize,
    guarded: Guarded,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            base: None,
            include: Filter::default(),
            exclude: Filter::default(),
            write: false,
            deprecated: false,
            max_bytes: 16 << 20,
            max_schema: 16 << 10,
            max_operations: 5_000,
            guarded: Guarded::default(),
        }
    }
}

impl Options {
    /// Operations that read, and are not deprecated.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every operation there is.
    pub fn all() -> Self {
        Self::new().with_write(true).with_deprecated(true)
    }

    /// Sets the address that requests will go to.
    #[must_use]
    pub fn with_base(mut self, base: impl Into<String>) -> Self {
        self.base = Some(base.into());
        self
    }

    /// Takes only these operations.
    #[must_use]
    pub fn with_include(mut self, filter: Filter) -> Self {
        self.include = filter;
        self
    }

    /// Takes none of these.
    #[must_use]
    pub fn with_exclude(mut self, filter: Filter) -> Self {
        self.exclude = filter;
        self
    }

    /// Whether operations that change something are taken.
    #[must_use]
    pub const fn with_write(mut self, write: bool) -> Self {
        self.write = write;
        self
    }

    /// Whether operations are taken that nobody should use any more.
    #[must_use]
    pub const fn with_deprecated(mut self, deprecated: bool) -> Self {
        self.deprecated = deprecated;
        self
    }

    /// Leaves out what the guard on requests would refuse.
    #[must_use]
    pub(crate) fn guarded_by(mut self, guarded: Guarded) -> Self {
        self.guarded = guarded;
        self
    }

    /// Sets the longest description, in bytes.
    #[must_use]
    pub const fn with_max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Sets how many operations may be chosen.
    #[must_use]
    pub const fn with_max_operations(mut self, max_operations: usize) -> Self {
        self.max_operations = max_operations;
        self
    }

    /// Sets how large the schema of one tool may become, in bytes.
    #[must_use]
    pub const fn with_max_schema(mut self, max_schema: usize) -> Self {
        self.max_schema = max_schema;
        self
    }
}

/// A description that was read.
#[derive(Debug)]
#[non_exhaustive]
pub struct Description {
    /// What the API is called, if anything.
    pub title: Option<String>,
    /// The version of the API.
    pub version: Option<String>,
    /// Where the description says that it is: a hint.
    pub servers: Vec<String>,
    /// The operations that were chosen and can be called; each has a name of its own.
    pub operations: Vec<Operation>,
    /// What was left out, and why.
    pub report: Report,
}

/// Why nothing of a description can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptionError {
    /// It is longer than allowed.
    #[error("the description is longer than {max_bytes} bytes")]
    TooLarge {
        /// How long it may be.
        max_bytes: usize,
    },
    /// It is neither JSON nor YAML, or too deep or large as a tree.
    #[error("the description cannot be read: {message} (line {line}, column {column})")]
    Syntax {
        /// What is wrong.
        message: String,
        /// The line, from 1; 0 when unknown.
        line: usize,
        /// The column, from 1; 0 when unknown.
        column: usize,
    },
    /// It is of a version before `OpenAPI` 3.
    #[error(
        "this is a Swagger 2.0 description; convert it to OpenAPI 3.0 (for example with `npx swagger2openapi`), \
         or write the tools that you need by hand"
    )]
    Swagger,
    /// It is something else.
    #[error(
        "this is no OpenAPI description: it has no `openapi: 3.0.x` or `openapi: 3.1.x` at its top"
    )]
    NotOpenApi,
    /// It is of a version that this crate does not know.
    #[error("OpenAPI {version} is not known here; use 3.0 or 3.1")]
    Version {
        /// What it says.
        version: String,
    },
}

/// Reads a description, JSON or YAML, and makes operations of what `options` choose.
///
/// # Errors
/// When nothing of it can be used. An operation that cannot be used is no error: the report names it.
pub fn read(bytes: &[u8], options: &Options) -> Result<Description, DescriptionError> {
    let document = Document::new(source::read(bytes, options.max_bytes)?)?;
    let mut report = Report::default();
    let servers = servers::of(document.member("servers"));
    let found = build::find(&document, &mut report);
    let home = Home::new(
        &servers,
        options.base.as_deref(),
        found.iter().map(Found::servers),
    );
    if let Some(note) = home.note() {
        report.note("servers", note);
    }
    let named = names::of(&found);
    let mut builder = Builder::new(&document, options, &home);
    let mut operations = Vec::new();
    for (found, name) in found.iter().zip(named) {
        if !choose(found, &name, options, &mut report) {
            continue;
        }
        let max = options.max_operations;
        if operations.len() >= max {
            report.skip(found, format!("more than {max} operations are chosen"));
            continue;
        }
        match builder.operation(found, name, &mut report) {
            Ok(operation) => operations.push(operation),
            Err(reason) => report.skip(found, reason),
        }
    }
    let info = |name: &str| {
        let text = document.member("info")?.get(name)?.as_str()?;
        Some(trimmed(text, 200)).filter(|text| !text.is_empty())
    };
    Ok(Description {
        title: info("title"),
        version: info("version"),
        servers,
        operations,
        report,
    })
}

fn choose(found: &Found<'_>, name: &str, options: &Options, report: &mut Report) -> bool {
    let tags: BTreeSet<&str> = strings(found.operation.get("tags")).collect();
    let facts = select::Facts {
        tags: &tags,
        id: found.id,
        name,
        method: found.method,
        path: found.path,
    };
    let out = &mut report.left_out;
    let is_included = options.include.is_empty() || options.include.names(&facts);
    let counter = if !is_included || options.exclude.names(&facts) {
        &mut out.not_chosen
    } else if !options.write && !matches!(found.method, "GET" | "HEAD") {
        &mut out.write
    } else if !options.deprecated && found.is_deprecated() {
        &mut out.deprecated
    } else {
        return true;
    };
    *counter = counter.saturating_add(1);
    false
}

/// The strings of a list.
fn strings(list: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str)
}
