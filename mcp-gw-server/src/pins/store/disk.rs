//! The pins file on disk: read whole, replaced whole, by one writer at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::PinsError;
use crate::pins::file::{FileFault, PinsFile};

/// A file of pins.
#[derive(Debug)]
pub(crate) struct FileStore {
    path: PathBuf,
}

/// Something that is another one when a file was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    number: u64,
}

impl FileStore {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is no pins file.
    pub(crate) fn read(&self) -> Result<Option<PinsFile>, PinsError> {
        let fault = |source| PinsError::Read {
            path: self.path.clone(),
            source,
        };
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault(error)),
        };
        let mut text = Vec::new();
        file.take(LONGEST + 1)
            .read_to_end(&mut text)
            .map_err(fault)?;
        if u64::try_from(text.len()).is_ok_and(|length| length > LONGEST) {
            return Err(self.damaged("it is longer than 256 MiB".to_owned()));
        }
        match PinsFile::parse(text) {
            Ok(file) => Ok(Some(file)),
            Err(FileFault::Newer(version)) => Err(PinsError::Newer {
                path: self.path.clone(),
                version,
            }),
            Err(FileFault::Damaged(reason)) => Err(self.damaged(reason)),
        }
    }

    /// Changes what the file says now, whoever wrote it last: nobody else writes between the reading
    /// and the writing. A file that `change` leaves as it is is not written.
    ///
    /// # Errors
    /// When the file cannot be read or written, and then nothing has changed.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut PinsFile) -> T,
    ) -> Result<T, PinsError> {
        // What a link points to is replaced, not the link.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let _lock = self.lock(&path)?;
        let before = self.read()?.unwrap_or_default();
        let mut file = before.clone();
        let result = change(&mut file);
        if file != before {
            replace(&path, &file.write()).map_err(|source| PinsError::Write {
                path: self.path.clone(),
                source,
            })?;
        }
        Ok(result)
    }

    /// `None` when there is no file that can be looked at.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        let metadata = fs::metadata(&self.path).ok()?;
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let number = 0;
        Some(Stamp {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            number,
        })
    }

    fn lock(&self, path: &Path) -> Result<Lock, PinsError> {
        let lock = with_suffix(path, ".lock");
        for _ in 0..TRIES {
            match Lock::try_new(&lock) {
                Ok(Some(lock)) => return Ok(lock),
                // A writer holds it for as long as a file takes to be written.
                Ok(None) => std::thread::sleep(PAUSE),
                Err(source) => {
                    return Err(PinsError::Write {
                        path: self.path.clone(),
                        source,
                    });
                }
            }
        }
        Err(PinsError::Busy {
            path: self.path.clone(),
            lock,
        })
    }

    fn damaged(&self, reason: String) -> PinsError {
        PinsError::Damaged {
            path: self.path.clone(),
            reason,
        }
    }
}

/// The longest file that is read, in bytes.
const LONGEST: u64 = 256 * 1024 * 1024;
const TRIES: u32 = 250;
const PAUSE: Duration = Duration::from_millis(20);

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Puts a file with `text`, for its owner alone, in the place of `path`: others see the old one or
/// the new one, whole.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut number = [0; 8];
    getrandom::fill(&mut number).map_err(io::Error::other)?;
    let number = u64::from_le_bytes(number);
    let beside = with_suffix(path, &format!(".{number:016x}.tmp"));
    let written = write_new(&beside, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What cannot be removed is left over; the error that is told is the first one.
        let _ = fs::remove_file(&beside);
    } else if let Some(folder) = path.parent()
        && let Ok(folder) = File::open(folder)
    {
        // Not every system can do this, and the file is in its place without it.
        let _ = folder.sync_all();
    }
    written
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = private(OpenOptions::new().write(true).create_new(true)).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// For the owner of the file alone.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// The right to write; given back when dropped, and by the system when the process ends.
#[cfg(unix)]
struct Lock {
    _file: File,
}

#[cfg(unix)]
impl Lock {
    /// `None` when somebody else has it.
    fn try_new(path: &Path) -> io::Result<Option<Self>> {
        use rustix::fs::{FlockOperation, flock};
        use rustix::io::Errno;
        let file =
            private(OpenOptions::new().write(true).create(true).truncate(false)).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The right to write: having made the file. Given back when dropped.
#[cfg(not(unix))]
struct Lock {
    path: PathBuf,
}

#[cfg(not(unix))]
impl Lock {
    /// `None` when somebody else has it.
    fn try_new(path: &Path) -> io::Result<Option<Self>> {
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(_) => Ok(Some(Self {
                path: path.to_owned(),
            })),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(not(unix))]
impl Drop for Lock {
    fn drop(&mut self) {
        // Who cannot remove it is told by the next who wants it.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::FileStore as Store;
    use super::*;
    use crate::pins::file::ServerPins;

    fn store(folder: &tempfile::TempDir) -> Store {
        Store::new(folder.path().join("mcp-gw.pins.json"))
    }

    fn add(store: &Store, name: &str) -> Result<(), PinsError> {
        store.change(|file| {
            file.servers.insert(name.to_owned(), ServerPins::default());
        })
    }

    #[test]
    fn a_file_is_replaced_whole_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        assert!(store.read().unwrap().is_none() && store.stamp().is_none());
        add(&store, "a").unwrap();
        let first = store.stamp();
        add(&store, "b").unwrap();
        assert_ne!(store.stamp(), first);
        let file = store.read().unwrap().unwrap();
        assert_eq!(file.servers.keys().collect::<Vec<_>>(), ["a", "b"]);
        #[cfg(unix)]
        for entry in fs::read_dir(folder.path()).unwrap() {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert!(
            left.iter()
                .all(|name| !name.to_string_lossy().ends_with(".tmp"))
        );
    }

    #[test]
    fn what_does_not_change_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        add(&store, "a").unwrap();
        let stamp = store.stamp();
        add(&store, "a").unwrap();
        assert_eq!(store.stamp(), stamp);
    }

    #[test]
    fn writers_at_the_same_time_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let store = store(&folder);
                scope.spawn(move || {
                    for number in 0..5 {
                        add(&store, &format!("{writer}-{number}")).unwrap();
                    }
                });
            }
        });
        assert_eq!(store(&folder).read().unwrap().unwrap().servers.len(), 40);
    }

    #[test]
    fn what_is_no_pins_file_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        for (text, says) in [
            ("{\"version\":7}", "newer than this program"),
            ("{\"version\":1,", "is damaged"),
        ] {
            fs::write(store.path(), text).unwrap();
            let error = add(&store, "a").unwrap_err().to_string();
            assert!(
                error.contains(says) && error.contains("mcp-gw.pins.json"),
                "{error}"
            );
            assert_eq!(fs::read_to_string(store.path()).unwrap(), text);
        }
    }

    #[test]
    #[cfg(unix)]
    fn what_a_link_points_to_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let real = Store::new(folder.path().join("real.json"));
        add(&real, "a").unwrap();
        let link = store(&folder);
        std::os::unix::fs::symlink(real.path(), link.path()).unwrap();
        add(&link, "b").unwrap();
        assert!(fs::symlink_metadata(link.path()).unwrap().is_symlink());
        assert_eq!(real.read().unwrap().unwrap().servers.len(), 2);
    }

    #[test]
    fn a_folder_that_is_not_there_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("no/such/pins.json"));
        let error = add(&store, "a").unwrap_err();
        assert!(matches!(error, PinsError::Write { .. }), "{error}");
    }
}
