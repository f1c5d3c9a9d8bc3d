//! Archives.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use flate2::read::MultiGzDecoder;

use super::{Intake, count, is_hidden, name};
use crate::docs_index::DocsError;

/// Reads an archive of the kind that its first bytes say.
pub(super) fn read(mut file: File, intake: &mut Intake<'_>) -> Result<(), DocsError> {
    let source = intake.source;
    let failed = |error: io::Error| DocsError::read(source, error);
    let mut head = Vec::new();
    Read::by_ref(&mut file)
        .take(512)
        .read_to_end(&mut head)
        .map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    if head.starts_with(&[0x1f, 0x8b]) {
        return tar(MultiGzDecoder::new(io::BufReader::new(file)), intake);
    }
    if head.starts_with(b"PK\x03\x04") {
        return zip(file, intake);
    }
    if head.get(257..262) == Some(b"ustar".as_slice()) {
        return tar(io::BufReader::new(file), intake);
    }
    Err(DocsError::NoSource {
        path: source.to_owned(),
    })
}

fn tar(stream: impl Read, intake: &mut Intake<'_>) -> Result<(), DocsError> {
    let (source, most) = (intake.source, intake.bounds.total_bytes);
    let failed = |error: io::Error| {
        if is_over(&error) {
            return DocsError::TooMuch {
                path: source.to_owned(),
                most,
                what: "bytes",
            };
        }
        DocsError::read(source, error)
    };
    let mut archive = tar::Archive::new(Bounded { stream, left: most });
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        intake.entry()?;
        let kind = entry.header().entry_type();
        if kind.is_symlink() || kind.is_hard_link() {
            intake.report.links += 1;
            continue;
        }
        if !kind.is_file() {
            continue;
        }
        let path = entry.path_bytes().into_owned();
        match std::str::from_utf8(&path).ok().and_then(name) {
            Some(name) if is_hidden(&name) => {}
            Some(name) => intake.offer(&name, &mut entry)?,
            None => intake.report.outside += 1,
        }
    }
    Ok(())
}

fn zip(file: File, intake: &mut Intake<'_>) -> Result<(), DocsError> {
    let failed =
        |error: zip::result::ZipError| DocsError::read(intake.source, io::Error::other(error));
    let mut archive = zip::ZipArchive::new(io::BufReader::new(file)).map_err(failed)?;
    if archive.len() > intake.bounds.entries {
        let most = count(intake.bounds.entries);
        return Err(intake.too_much(most, "files and folders"));
    }
    for at in 0..archive.len() {
        intake.entry()?;
        let Ok(mut entry) = archive.by_index(at) else {
            intake.report.unreadable += 1;
            continue;
        };
        if entry.is_dir() {
            continue;
        }
        if entry.is_symlink() {
            intake.report.links += 1;
            continue;
        }
        match std::str::from_utf8(entry.name_raw()).ok().and_then(name) {
            Some(name) if is_hidden(&name) => {}
            Some(name) => intake.offer(&name, &mut entry)?,
            None => intake.report.outside += 1,
        }
    }
    Ok(())
}

/// A stream that fails when there is more of it than there may be: a small archive can be a large one inside.
struct Bounded<R> {
    stream: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.stream.read(buffer)?;
        self.left = u64::try_from(length)
            .ok()
            .and_then(|length| self.left.checked_sub(length))
            .ok_or_else(|| io::Error::other(Over))?;
        Ok(length)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("there is more in the archive than may be read")]
struct Over;

/// Whether it is the failure of [`Bounded`], perhaps inside of another.
pub(super) fn is_over(error: &io::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> =
        error.get_ref().map(|inner| inner as _);
    while let Some(error) = cause {
        if error.is::<Over>() {
            return true;
        }
        let within = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        cause = within.map(|inner| inner as _).or_else(|| error.source());
    }
    false
}
