//! Full-text search over documentation: a folder, or an archive (`.tar.gz`, `.tar`, `.zip`), of Markdown, HTML and
//! text (feature `docs-index`).
//!
//! [`DocsIndex::in_memory`] reads it at start; [`build`] writes an index ahead, which [`DocsIndex::open`] opens.
//! Sections are found by their words (BM25, English stems), in titles and headings before texts. A query is words and
//! nothing else: none is a mistake in syntax.
//!
//! All of it blocks: call it where that is allowed. Nothing is ever unpacked to disk, links are not followed, and
//! everything that is read has a bound ([`Bounds`]).

mod engine;
mod html;
mod markdown;
mod search;
mod section;
mod source;
mod store;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use search::Excerpt;
pub use store::build;

/// An index that can be searched. Cheap to clone.
#[derive(Clone)]
pub struct DocsIndex {
    engine: Arc<engine::Engine>,
    report: Report,
}

impl std::fmt::Debug for DocsIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DocsIndex")
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

impl DocsIndex {
    /// Reads a folder or an archive, and keeps the index in memory.
    ///
    /// # Errors
    /// The source cannot be read, is over a bound, or has no documents in it.
    pub fn in_memory(source: &Path, bounds: &Bounds) -> Result<Self, DocsError> {
        let mut writer = engine::Writer::in_memory()?;
        let report = source::read(source, bounds, &mut writer)?;
        Ok(Self {
            engine: Arc::new(writer.finish()?),
            report,
        })
    }

    /// Opens an index that [`build`] wrote, and looks whether it is whole.
    ///
    /// # Errors
    /// There is no index, it is one of another version, or it is damaged.
    pub fn open(folder: &Path) -> Result<Self, DocsError> {
        let (engine, report) = store::open(folder)?;
        Ok(Self {
            engine: Arc::new(engine),
            report,
        })
    }

    /// Opens an index, or reads documentation: whichever the path is.
    ///
    /// # Errors
    /// Those of [`open`](Self::open) and [`in_memory`](Self::in_memory).
    pub fn load(path: &Path, bounds: &Bounds) -> Result<Self, DocsError> {
        if store::is_index(path) {
            Self::open(path)
        } else {
            Self::in_memory(path, bounds)
        }
    }

    /// What was read when the index was made.
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// The sections that fit a query best, best first: at most `most`, and at most three of one document.
    ///
    /// Any text is a query. One without words finds nothing.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn search(&self, query: &str, most: usize) -> Result<Vec<Excerpt>, DocsError> {
        search::search(&self.engine, query, most)
    }
}

/// How much is read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// Documents.
    pub documents: usize,
    /// Bytes of one document: longer ones are left out.
    pub document_bytes: u64,
    /// Bytes of all documents together, and of an archive when it is unpacked.
    pub total_bytes: u64,
    /// Files and folders that are looked at, whatever they are.
    pub entries: usize,
    /// Sections of all documents together.
    pub sections: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            documents: 50_000,
            document_bytes: 2 << 20,
            total_bytes: 512 << 20,
            entries: 500_000,
            sections: 500_000,
        }
    }
}

/// What was read, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[non_exhaustive]
pub struct Report {
    /// Documents in the index.
    pub documents: usize,
    /// Their sections.
    pub sections: usize,
    /// Bytes that were read of them.
    pub bytes: u64,
    /// Left out: longer than a document may be.
    pub too_long: usize,
    /// Left out: links.
    pub links: usize,
    /// Left out: names that lead out of the archive.
    pub outside: usize,
    /// Left out: no text, by what is in them.
    pub no_text: usize,
    /// Left out: could not be read.
    pub unreadable: usize,
    /// Left out: other kinds of files.
    pub other: usize,
}

/// Why there is no index.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocsError {
    /// Something cannot be read or written.
    #[error("{} cannot be {doing}", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// `read` or `written`.
        doing: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// Neither a folder nor an archive of a kind that is known.
    #[error("{} is neither a folder nor a .tar.gz, .tar or .zip archive", path.display())]
    NoSource {
        /// What.
        path: PathBuf,
    },
    /// There is no document in it.
    #[error("{} has no documents (.md, .markdown, .mdx, .html, .htm, .txt, .rst, .adoc) in it", path.display())]
    Empty {
        /// What.
        path: PathBuf,
    },
    /// It is over a bound.
    #[error("{} has more than {most} {what}", path.display())]
    TooMuch {
        /// What.
        path: PathBuf,
        /// The bound.
        most: u64,
        /// Of what.
        what: &'static str,
    },
    /// There is something that is no index.
    #[error("{} is not an index: {why}", path.display())]
    NoIndex {
        /// Where.
        path: PathBuf,
        /// Why not, and what to do.
        why: String,
    },
    /// The index was made by another version.
    #[error("{} is an index of version {found}, and this program reads version {wanted}: build it again", path.display())]
    OtherVersion {
        /// Where.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The version that is read.
        wanted: u64,
    },
    /// The index does what it should not.
    #[error("the index failed")]
    Index {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl DocsError {
    pub(crate) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            doing: "read",
            source,
        }
    }

    pub(crate) fn written(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            doing: "written",
            source,
        }
    }

    pub(crate) fn index(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Index {
            source: source.into(),
        }
    }
}

#[cfg(test)]
mod tests;
