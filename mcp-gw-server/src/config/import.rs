//! The files in which other MCP clients list their servers: `.mcp.json` and its kin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::check::{Checker, is_server_name};
use super::expand::{self, Resolved};
use super::fault::{ConfigFaults, Fault, short};
use super::jsonc;
use super::path::{ConfigPath, Position};
use super::server::ServerConfig;
use super::tree::{self, Entry, Kind, Node};
use super::upstream;

mod entry;

/// The servers that another client's file lists.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Imported {
    /// The servers, under names that [`Config::servers`](super::Config::servers) accepts.
    pub servers: BTreeMap<String, ServerConfig>,
    /// What was left out or read differently than its author may expect, in the order of the file.
    pub warnings: Vec<Fault>,
}

impl Imported {
    /// One line per warning, as `ConfigFaults` shows faults, without a count.
    pub fn warning_lines(&self, file_name: &str) -> Vec<String> {
        self.warnings
            .iter()
            .map(|warning| warning.line(file_name))
            .collect()
    }
}

/// Reads the servers that a file of Claude Code, Claude Desktop, Cursor (`mcpServers`) or VS Code
/// (`servers`) lists; comments and trailing commas are allowed.
///
/// Texts are expanded as these clients do: `${VAR}`, `${VAR:-default}`, `${env:VAR}`,
/// `${workspaceFolder}`, `${workspaceFolderBasename}`, `${userHome}`, `${pathSeparator}`. The
/// workspace folder is the folder of `file`, or the one above if that is `.vscode` or `.cursor`.
/// Keys that mean nothing to a gateway, and entries that are disabled, are left out with a warning.
///
/// # Errors
///
/// Every fault at once: bad JSON, an entry that is neither a command nor a URL, a variable that is
/// not set, an input that only an editor could ask for.
pub fn import(
    file: &Path,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Imported, ConfigFaults> {
    let label = file.display().to_string();
    let mut root = tree::parse(&jsonc::to_yaml(text))
        .map_err(|fault| ConfigFaults::new(&label, vec![in_json(&fault)]))?;
    let mut faults = Vec::new();
    root.duplicates(&ConfigPath::root(), &mut faults);
    let variables = Variables {
        folder: workspace_folder(file),
        env,
    };
    let mut importer = Importer {
        faults,
        warnings: Vec::new(),
        servers: BTreeMap::new(),
    };
    importer.file(&mut root, &variables);
    let Importer {
        mut faults,
        mut warnings,
        servers,
    } = importer;

    if faults.is_empty() {
        let spans = root.spans();
        let mut checker = Checker::new(&spans);
        for found in servers.values() {
            upstream::check(&mut checker, &found.config, &found.path);
        }
        faults = checker.into_faults();
    }
    if !faults.is_empty() {
        return Err(ConfigFaults::new(label, faults));
    }
    warnings.sort_by_key(Fault::position);
    let servers = servers
        .into_iter()
        .map(|(name, found)| (name, found.config))
        .collect();
    Ok(Imported { servers, warnings })
}

/// A server and where it was found.
struct Found {
    path: ConfigPath,
    config: ServerConfig,
}

struct Importer {
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
    servers: BTreeMap<String, Found>,
}

impl Importer {
    fn file(&mut self, root: &mut Node, variables: &Variables<'_>) {
        let top = ConfigPath::root();
        let position = root.position;
        let Kind::Map(entries) = &mut root.kind else {
            return self.fault(
                &top,
                position,
                "this is not a JSON object",
                "write `{ \"mcpServers\": { … } }`",
            );
        };
        let listed = entries
            .iter()
            .position(|entry| entry.key == "mcpServers")
            .or_else(|| entries.iter().position(|entry| entry.key == "servers"));
        for (index, entry) in entries.iter().enumerate() {
            if Some(index) != listed && entry.key != "inputs" && entry.key != "$schema" {
                self.ignored(&top.key(&entry.key), entry);
            }
        }
        let Some(entry) = listed.and_then(|index| entries.get_mut(index)) else {
            return self.fault(
                &top,
                position,
                "there is neither `mcpServers` nor `servers` in this file",
                "name a file such as `.mcp.json`, `.cursor/mcp.json` or `.vscode/mcp.json`",
            );
        };
        let path = top.key(&entry.key);
        let at = entry.value.position;
        let Kind::Map(servers) = &mut entry.value.kind else {
            return self.fault(
                &path,
                at,
                "expected an object of servers",
                "write `{ \"name\": { \"command\": … } }`",
            );
        };
        for server in servers.iter_mut() {
            self.server(server, &path.key(&server.key), variables);
        }
        if servers.is_empty() {
            self.fault(
                &path,
                at,
                "no server is listed",
                "add one, or name another file",
            );
        } else if self.servers.is_empty() && self.faults.is_empty() {
            let help = "remove `\"disabled\": true` from one";
            self.fault(&path, at, "every server is disabled", help);
        }
    }

    fn server(&mut self, entry: &mut Entry, path: &ConfigPath, variables: &Variables<'_>) {
        if entry::is_disabled(&entry.value) {
            let message = "this server is disabled and left out";
            return self.warning(path, entry.key_position, message, None);
        }
        let before = self.faults.len();
        entry::expand(
            &mut entry.value,
            path,
            &|inside| variables.resolve(inside),
            &mut self.faults,
        );
        let config = entry::read(self, &entry.value, path);
        let Some(mut config) = config.filter(|_| self.faults.len() == before) else {
            return;
        };
        config.cwd = config.cwd.map(|cwd| variables.folder.join(cwd));
        let name = self.name(&entry.key, path, entry.key_position);
        let found = Found {
            path: path.clone(),
            config,
        };
        if self.servers.insert(name.clone(), found).is_some() {
            let message = format!("another server is called `{name}` as well");
            let help = "give the two names that differ in letters or digits";
            self.fault(path, entry.key_position, message, help);
        }
    }

    /// A name that we accept, as near to `name` as can be.
    fn name(&mut self, name: &str, path: &ConfigPath, position: Position) -> String {
        if is_server_name(name) {
            return name.to_owned();
        }
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        };
        let mut near: String = name.trim().chars().take(64).map(plain).collect();
        if near.is_empty() {
            near.push_str("server");
        }
        self.warning(
            path,
            position,
            format!("this server is called `{near}` here"),
            None,
        );
        near
    }

    fn ignored(&mut self, path: &ConfigPath, entry: &Entry) {
        let message = format!(
            "`{}` means nothing to a gateway and is left out",
            short(&entry.key)
        );
        self.warning(path, entry.key_position, message, None);
    }

    fn warning(
        &mut self,
        path: &ConfigPath,
        position: Position,
        message: impl Into<String>,
        help: Option<&str>,
    ) {
        let mut warning = Fault::new(path.clone(), message).with_position(position);
        if let Some(help) = help {
            warning = warning.with_help(help);
        }
        self.warnings.push(warning);
    }

    fn fault(
        &mut self,
        path: &ConfigPath,
        position: Position,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let fault = Fault::new(path.clone(), message).with_help(help);
        self.faults.push(fault.with_position(position));
    }
}

/// What `${…}` can stand for.
struct Variables<'a> {
    folder: PathBuf,
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl Variables<'_> {
    fn resolve(&self, inside: &str) -> Resolved {
        let folder = || self.folder.display().to_string();
        if let Some(name) = inside.strip_prefix("env:") {
            return expand::from_env(name, self.env);
        }
        if let Some(input) = inside.strip_prefix("input:") {
            return Err((
                format!(
                    "`${{input:{}}}` asks a question that only an editor can ask",
                    short(input)
                ),
                "write `${env:NAME}` instead and set that environment variable".to_owned(),
            ));
        }
        match inside {
            "workspaceFolder" => Ok(folder()),
            "workspaceFolderBasename" => {
                let absolute = std::path::absolute(&self.folder).unwrap_or_default();
                let name = absolute
                    .file_name()
                    .map(|name| name.to_string_lossy().into_owned());
                Ok(name.unwrap_or_default())
            }
            "userHome" => {
                expand::from_env(if cfg!(windows) { "USERPROFILE" } else { "HOME" }, self.env)
            }
            "pathSeparator" | "/" => Ok(std::path::MAIN_SEPARATOR.to_string()),
            // `${config:x}`, `${command:x}`, `${file}`: an editor's own.
            inside if inside.contains(':') && !inside.contains(":-") => Err((
                format!(
                    "`${{{}}}` can only be filled in by an editor",
                    short(inside)
                ),
                "write `${env:NAME}` instead and set that environment variable".to_owned(),
            )),
            inside => expand::from_env(inside, self.env),
        }
    }
}

/// The folder that the file is about.
fn workspace_folder(file: &Path) -> PathBuf {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let of_editor = folder
        .file_name()
        .is_some_and(|name| name == ".vscode" || name == ".cursor");
    match folder.parent() {
        Some(above) if of_editor => above.to_owned(),
        _ => folder,
    }
}

/// The reader is one for YAML, but nobody who wrote JSON wants to hear of YAML.
fn in_json(fault: &Fault) -> Fault {
    let position = fault.position().unwrap_or(Position::START);
    Fault::new(
        ConfigPath::root(),
        fault.message().replace("not YAML", "not JSON"),
    )
    .with_help("check quotes, commas and brackets here and on the line above")
    .with_position(position)
}

#[cfg(test)]
mod tests;
