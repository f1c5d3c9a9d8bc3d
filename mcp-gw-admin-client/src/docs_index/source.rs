//! Reading documentation: from a folder, or out of an archive that is never unpacked to disk.

mod archive;
mod folder;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::engine::Writer;
use super::section::{Document, Kind};
use super::{Bounds, DocsError, Report};
use crate::konnect::text::is_unseen;

/// Reads all documents into an index.
pub(super) fn read(
    source: &Path,
    bounds: &Bounds,
    writer: &mut Writer,
) -> Result<Report, DocsError> {
    let mut intake = Intake {
        source,
        bounds,
        writer,
        report: Report::default(),
        entries: 0,
        bytes: 0,
    };
    let metadata = std::fs::metadata(source).map_err(|error| DocsError::read(source, error))?;
    if metadata.is_dir() {
        folder::read(&mut intake)?;
    } else {
        let file = File::open(source).map_err(|error| DocsError::read(source, error))?;
        archive::read(file, &mut intake)?;
    }
    if intake.report.documents == 0 {
        return Err(DocsError::Empty {
            path: source.to_owned(),
        });
    }
    Ok(intake.report)
}

/// What takes documents, and keeps to the bounds.
struct Intake<'i> {
    source: &'i Path,
    bounds: &'i Bounds,
    writer: &'i mut Writer,
    report: Report,
    entries: usize,
    /// Of everything that was read, also of what was left out afterwards.
    bytes: u64,
}

impl Intake<'_> {
    fn too_much(&self, most: u64, what: &'static str) -> DocsError {
        DocsError::TooMuch {
            path: self.source.to_owned(),
            most,
            what,
        }
    }

    /// Counts a file or folder, whatever it is.
    fn entry(&mut self) -> Result<(), DocsError> {
        self.entries += 1;
        if self.entries > self.bounds.entries {
            return Err(self.too_much(count(self.bounds.entries), "files and folders"));
        }
        Ok(())
    }

    /// Reads one file, if it is a document by its name.
    fn offer(&mut self, name: &str, file: &mut dyn Read) -> Result<(), DocsError> {
        let Some(kind) = Kind::of(name) else {
            self.report.other += 1;
            return Ok(());
        };
        let mut bytes = Vec::new();
        // One more than may be: whoever fills that is too long, whatever it says of itself.
        let longest = self.bounds.document_bytes.saturating_add(1);
        let was_read = file.take(longest).read_to_end(&mut bytes);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(length);
        if self.bytes > self.bounds.total_bytes {
            return Err(self.too_much(self.bounds.total_bytes, "bytes"));
        }
        if let Err(error) = was_read {
            if archive::is_over(&error) {
                return Err(self.too_much(self.bounds.total_bytes, "bytes"));
            }
            self.report.unreadable += 1;
            return Ok(());
        }
        if length > self.bounds.document_bytes {
            self.report.too_long += 1;
            return Ok(());
        }
        let Some(text) = text(&bytes) else {
            self.report.no_text += 1;
            return Ok(());
        };
        self.take(&Document::of(name, kind, &text), length)
    }

    fn take(&mut self, document: &Document, length: u64) -> Result<(), DocsError> {
        if document.sections.is_empty() {
            return Ok(());
        }
        self.report.documents += 1;
        self.report.sections += document.sections.len();
        self.report.bytes += length;
        if self.report.documents > self.bounds.documents {
            return Err(self.too_much(count(self.bounds.documents), "documents"));
        }
        if self.report.sections > self.bounds.sections {
            return Err(self.too_much(count(self.bounds.sections), "sections"));
        }
        self.writer.add(document)
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Text, with a mark for each byte that is not of it; `None` when that is more than a few, or when it is something
/// else by its zeros.
fn text(bytes: &[u8]) -> Option<String> {
    if bytes.contains(&0) {
        return None;
    }
    let text = String::from_utf8_lossy(bytes);
    let strange = text
        .chars()
        .filter(|c| *c == char::REPLACEMENT_CHARACTER)
        .count();
    (strange <= bytes.len() / 20).then(|| text.into_owned())
}

/// A name as it is shown: `/` between its parts. `None` when it leads somewhere else.
fn name(path: &str) -> Option<String> {
    let path = path.replace('\\', "/");
    if path.starts_with('/')
        || path.contains(':')
        || path.chars().any(is_unseen)
        || path.len() > 1_000
    {
        return None;
    }
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    (!parts.is_empty() && !parts.contains(&"..")).then(|| parts.join("/"))
}

/// Whether a part of a name says that it is not for readers.
fn is_hidden(name: &str) -> bool {
    name.split('/')
        .any(|part| part.starts_with('.') || part == "__MACOSX" || part == "node_modules")
}
