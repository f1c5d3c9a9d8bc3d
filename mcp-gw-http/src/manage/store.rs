//! The file with the tokens of `login`, by the URL of the gateway: nobody else may read it.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use mcp_gw_core::Secret;
use mcp_gw_server::cli::environment;

/// So long may the file be.
const LONGEST: u64 = 1024 * 1024;

type Tokens = BTreeMap<String, String>;

/// Where the file is.
fn file() -> Result<PathBuf, String> {
    let named = |name: &str| environment(name).filter(|text| Path::new(text).is_absolute());
    let folder = named("XDG_CONFIG_HOME").map(PathBuf::from);
    let folder = folder.or_else(|| Some(Path::new(&named("HOME")?).join(".config")));
    let folder =
        folder.ok_or("there is no folder to keep a token in: set HOME or XDG_CONFIG_HOME")?;
    Ok(folder.join("mcp-gw").join("tokens.json"))
}

fn read(file: &Path) -> Result<Tokens, String> {
    let wrong = |what: &dyn std::fmt::Display| {
        let file = file.display();
        format!("{file} cannot be used: {what}; remove it, and log in again")
    };
    let opened = match fs::File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Tokens::new()),
        Err(error) => return Err(wrong(&error)),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;

        let metadata = opened.metadata().map_err(|error| wrong(&error))?;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(wrong(&"others may read it"));
        }
    }
    let mut text = String::new();
    let bounded = opened.take(LONGEST).read_to_string(&mut text);
    bounded.map_err(|error| wrong(&error))?;
    // What is in it is not repeated.
    serde_json::from_str(&text).map_err(|_| wrong(&"it is not what `login` writes"))
}

fn write(file: &Path, tokens: &Tokens) -> Result<(), String> {
    let wrong = |error: std::io::Error| format!("{} cannot be written: {error}", file.display());
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(wrong)?;
    }
    // Whole or not at all, and never readable for others.
    let new = file.with_extension(format!("{}.new", std::process::id()));
    let _ = fs::remove_file(&new);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let text = serde_json::to_vec(tokens).map_err(|error| wrong(error.into()))?;
    let mut opened = options.open(&new).map_err(wrong)?;
    let written = opened
        .write_all(&text)
        .and_then(|()| fs::rename(&new, file));
    written.map_err(|error| {
        let _ = fs::remove_file(&new);
        wrong(error)
    })
}

/// The token that is kept for a gateway.
pub(super) fn token(url: &str) -> Result<Option<Secret<String>>, String> {
    let Ok(file) = file() else { return Ok(None) };
    Ok(read(&file)?.remove(url).map(Secret::new))
}

/// Keeps a token; where.
pub(super) fn keep(url: &str, token: &Secret<String>) -> Result<PathBuf, String> {
    let file = file()?;
    let mut tokens = read(&file)?;
    tokens.insert(url.to_owned(), token.expose().clone());
    write(&file, &tokens)?;
    Ok(file)
}

/// Removes a token; false when there is none.
pub(super) fn remove(url: &str) -> Result<bool, String> {
    let file = file()?;
    let mut tokens = read(&file)?;
    if tokens.remove(url).is_none() {
        return Ok(false);
    }
    if tokens.is_empty() {
        fs::remove_file(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    } else {
        write(&file, &tokens)?;
    }
    Ok(true)
}
