//! Folders.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::{Intake, is_hidden, name};
use crate::docs_index::DocsError;

/// How deep folders lie in each other at most.
const DEEPEST: usize = 64;

/// Reads all files below the folder, in the order of their names. Links are left out: none leads out of it.
pub(super) fn read(intake: &mut Intake<'_>) -> Result<(), DocsError> {
    let mut open: Vec<(PathBuf, usize)> = vec![(intake.source.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        let mut below = Vec::new();
        for path in listed(&folder, intake)? {
            intake.entry()?;
            let Some(name) = relative(&path, intake.source) else {
                intake.report.unreadable += 1;
                continue;
            };
            if is_hidden(&name) {
                continue;
            }
            let Ok(metadata) = std::fs::symlink_metadata(&path) else {
                intake.report.unreadable += 1;
                continue;
            };
            if metadata.is_symlink() {
                intake.report.links += 1;
            } else if metadata.is_dir() {
                if depth < DEEPEST {
                    below.push((path, depth + 1));
                } else {
                    intake.report.unreadable += 1;
                }
            } else if metadata.is_file() {
                match File::open(&path) {
                    Ok(mut file) => intake.offer(&name, &mut file)?,
                    Err(_) => intake.report.unreadable += 1,
                }
            } else {
                // Pipes and devices: reading one might never end.
                intake.report.other += 1;
            }
        }
        open.extend(below.into_iter().rev());
    }
    Ok(())
}

fn listed(folder: &Path, intake: &mut Intake<'_>) -> Result<Vec<PathBuf>, DocsError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if folder == intake.source => return Err(DocsError::read(folder, error)),
        Err(_) => {
            intake.report.unreadable += 1;
            return Ok(Vec::new());
        }
    };
    let most = intake.bounds.entries.saturating_add(1);
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .take(most)
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    Ok(paths)
}

fn relative(path: &Path, root: &Path) -> Option<String> {
    name(path.strip_prefix(root).ok()?.to_str()?)
}
