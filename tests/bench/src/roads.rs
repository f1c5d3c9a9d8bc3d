//! The ways to the upstream: straight, through nginx, through ours with nothing or everything on, through others.

use std::{
    fs,
    path::{Path, PathBuf},
};

use http::Uri;
use tempfile::TempDir;

use crate::{
    children::Children,
    client::Plan,
    compare::Options,
    gateway::{KEY, Settings},
    nginx,
    stdio::Pipe,
    suite::{Front, Row, Stage},
    wire::{Era, Eras, Failure},
};

/// A way to the upstream.
pub(crate) struct Road {
    pub(crate) name: String,
    pub(crate) way: Way,
    pub(crate) proxy: Option<u32>,
    /// Names of the upstream's `echo`, which the connections take in turn.
    tools: Vec<String>,
    bearer: Option<String>,
    /// It lets a client of one era call a server of another.
    bridges: bool,
}

pub(crate) enum Way {
    Http(Uri),
    Stdio(Pipe),
}

/// The processes of one stage, and the folders that they work in.
pub(crate) struct Roads {
    pub(crate) upstream: u32,
    pub(crate) all: Vec<Road>,
    /// They go when this does.
    folders: Vec<TempDir>,
}

impl Road {
    /// What its connections ask in a row.
    pub(crate) fn plans(&self, row: &Row, eras: Eras) -> Vec<Plan> {
        let era = match (row.era, self.bridges || eras.include(row.era)) {
            (era, true) => era,
            (Era::Modern, false) => Era::Legacy,
            (Era::Legacy, false) => Era::Modern,
        };
        let url = match &self.way {
            Way::Http(url) => url.clone(),
            Way::Stdio(_) => Uri::from_static("http://stdio/"),
        };
        let plan = |tool: &String| Plan {
            url: url.clone(),
            era,
            ask: row.ask,
            tool: tool.clone(),
            bearer: self.bearer.clone(),
        };
        self.tools.iter().map(plan).collect()
    }

    fn plain(name: &str, url: &str, proxy: Option<u32>) -> Result<Self, Failure> {
        Ok(Self {
            name: name.to_owned(),
            way: Way::Http(url.parse()?),
            proxy,
            tools: vec!["echo".to_owned()],
            bearer: None,
            bridges: false,
        })
    }
}

impl Roads {
    /// Starts what a stage needs.
    pub(crate) async fn open(
        options: &Options,
        stage: &Stage,
        children: &mut Children,
        core: Option<usize>,
    ) -> Result<Self, Failure> {
        let (upstream, direct) = children
            .upstream(stage.tools, stage.eras, stage.answers)
            .await?;
        let mut open = Self {
            upstream,
            all: Vec::new(),
            folders: Vec::new(),
        };
        let is_http = stage.rows.iter().all(|row| row.front == Front::Http);
        if is_http && stage.servers == 1 {
            open.all.push(Road::plain("direct", &direct, None)?);
            if options.has_nginx() {
                let (pid, url, folder) = nginx::start(children, &direct, core).await?;
                open.all.push(Road::plain("nginx", &url, Some(pid))?);
                open.folders.push(folder);
            }
            for other in &options.other {
                let (pid, url) = children.other(other, &direct, core).await?;
                let mut road = Road::plain(other.name(), &url, Some(pid))?;
                road.tools = vec![options.other_tool.clone()];
                open.all.push(road);
            }
        }
        for settings in [Settings::BARE, Settings::FULL] {
            open.ours(options, stage, &direct, settings, (children, core))
                .await?;
        }
        if open.all.is_empty() {
            return Err("there is nothing to measure: give --gateway, or install nginx".into());
        }
        Ok(open)
    }

    async fn ours(
        &mut self,
        options: &Options,
        stage: &Stage,
        upstream: &str,
        settings: Settings,
        (children, core): (&mut Children, Option<usize>),
    ) -> Result<(), Failure> {
        let is_http = stage.rows.iter().all(|row| row.front == Front::Http);
        let program = if is_http {
            options.gateway()
        } else {
            options.stdio()
        };
        let Some(program) = program else {
            return Ok(());
        };
        let folder = tempfile::tempdir()?;
        let file = settings.write(folder.path(), upstream, stage.servers, is_http)?;
        let (pid, way) = if is_http {
            let (pid, url) = children.gateway(&program, &file, settings, core).await?;
            (pid, Way::Http(url.parse()?))
        } else {
            let (pid, pipe) = children.piped(&program, &file, settings, core)?;
            (pid, Way::Stdio(pipe))
        };
        self.all.push(Road {
            name: settings.name.to_owned(),
            way,
            proxy: Some(pid),
            tools: Settings::echoes(stage.servers),
            bearer: (settings.is_full && is_http).then(|| KEY.to_owned()),
            bridges: true,
        });
        self.folders.push(folder);
        Ok(())
    }
}

/// Another gateway, by the command that starts it.
#[derive(Clone, Debug)]
pub(crate) struct Other {
    name: String,
    command: String,
}

impl Other {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The command that has it listen on `port` in front of `upstream`, and the URL at which it is then asked.
    pub(crate) fn on(&self, port: u16, upstream: &str) -> (String, String) {
        let filled = self
            .command
            .replace("{port}", &port.to_string())
            .replace("{upstream}", upstream);
        (filled, format!("http://127.0.0.1:{port}/mcp"))
    }
}

impl std::str::FromStr for Other {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, command)) if !name.is_empty() && command.contains("{port}") => Ok(Self {
                name: name.to_owned(),
                command: command.to_owned(),
            }),
            _ => Err("expected NAME=COMMAND with {port} and {upstream} in the command".to_owned()),
        }
    }
}

/// A program that was built beside this one.
pub(crate) fn sibling(name: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let path = own.parent()?.join(name);
    fs::metadata(&path).is_ok().then_some(path)
}

/// True when a program of this name is on the path.
#[expect(clippy::disallowed_methods, reason = "a program of its own")]
pub(crate) fn is_installed(name: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else {
        return false;
    };
    std::env::split_paths(&path).any(|folder: PathBuf| Path::new(&folder).join(name).is_file())
}
