//! Indexes that are written ahead.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead as _, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::engine::{Engine, Writer};
use super::{Bounds, DocsError, Report, source};

/// The version of what is written: fields, how words are made, and the files of the engine. Whatever changes one of
/// them changes this.
const VERSION: u64 = 1;
/// The file that says that a folder is an index.
const MARK: &str = "mcp-gw-docs-index.json";

#[derive(Serialize, Deserialize)]
struct Mark {
    version: u64,
    report: Report,
    /// All other files. The engine may panic over one that is not as it wrote it, so they are looked at first.
    files: BTreeMap<String, Whole>,
}

/// What a file is known to be whole by.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Whole {
    length: u64,
    crc32: u32,
}

impl Whole {
    fn of(path: &Path) -> io::Result<Self> {
        let mut file = io::BufReader::with_capacity(1 << 16, fs::File::open(path)?);
        let mut crc = flate2::Crc::new();
        let mut length = 0u64;
        loop {
            let part = file.fill_buf()?;
            if part.is_empty() {
                return Ok(Self {
                    length,
                    crc32: crc.sum(),
                });
            }
            crc.update(part);
            let read = part.len();
            length = length.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
            file.consume(read);
        }
    }
}

/// Reads documentation and writes an index of it into a folder. An index that is there is replaced when the new one
/// is whole.
///
/// # Errors
/// Those of [`DocsIndex::in_memory`](super::DocsIndex::in_memory); the folder cannot be written, or something else than
/// an index is in it.
pub fn build(source: &Path, folder: &Path, bounds: &Bounds) -> Result<Report, DocsError> {
    let is_there = is_index(folder);
    if !is_there && !is_free(folder)? {
        return Err(DocsError::NoIndex {
            path: folder.to_owned(),
            why: "there are other things in it; name a folder that is empty or not there"
                .to_owned(),
        });
    }
    let new = beside(folder, "new")?;
    let written = write(source, &new, bounds).and_then(|report| {
        put(&new, folder, is_there)?;
        Ok(report)
    });
    if written.is_err() {
        // What is half written is of no use, and the first failure is the one that counts.
        let _ = fs::remove_dir_all(&new);
    }
    written
}

fn write(source: &Path, folder: &Path, bounds: &Bounds) -> Result<Report, DocsError> {
    let mut writer = Writer::in_folder(folder)?;
    let report = source::read(source, bounds, &mut writer)?;
    writer.finish()?;
    let mark = Mark {
        version: VERSION,
        report,
        files: files(folder).map_err(|error| DocsError::written(folder, error))?,
    };
    let path = folder.join(MARK);
    let text = serde_json::to_string(&mark).map_err(DocsError::index)?;
    fs::write(&path, text).map_err(|error| DocsError::written(&path, error))?;
    Ok(mark.report)
}

/// The files of a new index, but for locks, which are nobody's then.
fn files(folder: &Path) -> io::Result<BTreeMap<String, Whole>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(".tantivy-") {
            all.insert(name, Whole::of(&entry.path())?);
        }
    }
    Ok(all)
}

/// Puts the new folder where the old one is.
fn put(new: &Path, folder: &Path, is_there: bool) -> Result<(), DocsError> {
    let failed = |error| DocsError::written(folder, error);
    if !is_there {
        // An empty folder is in the way of none on Unix, and is elsewhere.
        let _ = fs::remove_dir(folder);
        return fs::rename(new, folder).map_err(failed);
    }
    let old = beside(folder, "old")?;
    fs::rename(folder, &old).map_err(failed)?;
    if let Err(error) = fs::rename(new, folder) {
        // The old one goes back.
        let _ = fs::rename(&old, folder);
        return Err(failed(error));
    }
    fs::remove_dir_all(&old).map_err(|error| DocsError::written(&old, error))
}

/// A new folder beside this one.
fn beside(folder: &Path, what: &str) -> Result<PathBuf, DocsError> {
    let failed = |error| DocsError::written(folder, error);
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(failed)?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    for number in 0..100 {
        let path = parent.join(format!(".{name}.{what}{number}"));
        match fs::create_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            other => return other.map(|()| path).map_err(failed),
        }
    }
    Err(failed(std::io::ErrorKind::AlreadyExists.into()))
}

/// Whether nothing is there, or an empty folder.
fn is_free(folder: &Path) -> Result<bool, DocsError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(DocsError::NoIndex {
            path: folder.to_owned(),
            why: "it is a file; name a folder that is empty or not there".to_owned(),
        }),
        Err(error) => Err(DocsError::read(folder, error)),
    }
}

/// Whether a folder says that it is an index, of whatever version.
pub(super) fn is_index(folder: &Path) -> bool {
    folder.join(MARK).is_file()
}

pub(super) fn open(folder: &Path) -> Result<(Engine, Report), DocsError> {
    let path = folder.join(MARK);
    let no_index = |why: &str| DocsError::NoIndex {
        path: folder.to_owned(),
        why: why.to_owned(),
    };
    let file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(no_index("there is none in it"));
        }
        Err(error) => return Err(DocsError::read(&path, error)),
    };
    let mut text = String::new();
    let was_read = file.take(1 << 16).read_to_string(&mut text);
    was_read.map_err(|error| DocsError::read(&path, error))?;
    let Ok(version) = serde_json::from_str::<Version>(&text) else {
        return Err(no_index("its version cannot be read; build it again"));
    };
    if version.version != VERSION {
        return Err(DocsError::OtherVersion {
            path: folder.to_owned(),
            found: version.version,
            wanted: VERSION,
        });
    }
    let Ok(mark) = serde_json::from_str::<Mark>(&text) else {
        return Err(no_index(
            "what it is made of cannot be read; build it again",
        ));
    };
    for (name, whole) in &mark.files {
        // A name that leads elsewhere is not one of those that were written.
        let is_name = !name.contains(['/', '\\']);
        let is_whole = || Whole::of(&folder.join(name)).is_ok_and(|found| found == *whole);
        if !is_name || !is_whole() {
            return Err(no_index("it is damaged; build it again"));
        }
    }
    Ok((Engine::open(folder)?, mark.report))
}

/// Only this is read of an index of another version.
#[derive(Deserialize)]
struct Version {
    version: u64,
}
