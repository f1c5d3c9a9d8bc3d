//! Keeps a gateway that runs at what its configuration file says.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::source::{SourceArgs, environment};
use super::stop::{Hangup, Stop};
use crate::Running;
use crate::config::{Config, ConfigFaults, chain};
use crate::metrics::MetricsListener;

/// How often the file is looked at. It is read again once two looks find the same.
const EVERY: Duration = Duration::from_secs(1);

/// A configuration file and the files that it names, and what they held when they were last read.
/// Make it before the first time that the file is read.
#[derive(Debug)]
pub struct ConfigWatch {
    source: SourceArgs,
    paths: Vec<PathBuf>,
    used: Prints,
    last: Prints,
    metrics: Option<MetricsListener>,
}

/// What each file holds, in short; nothing for one that cannot be read.
type Prints = Vec<Option<u64>>;

impl ConfigWatch {
    /// Looks at what is to be served. Without a file there is nothing to watch.
    pub fn new(source: &SourceArgs) -> Self {
        let mut watch = Self {
            source: source.clone(),
            paths: source.config.iter().cloned().collect(),
            used: Prints::new(),
            last: Prints::new(),
            metrics: None,
        };
        watch.used = prints(&watch.paths);
        watch
    }

    /// What SIGHUP asks for.
    pub const fn hangup(&self) -> Hangup {
        match self.source.config {
            Some(_) => Hangup::Reloads,
            None => Hangup::Stops,
        }
    }

    /// Keeps metrics, which are served already, where the file says that they are.
    pub fn keep_metrics(&mut self, metrics: MetricsListener) {
        self.metrics = Some(metrics);
    }

    /// Ends what it keeps.
    pub async fn shutdown(self) {
        if let Some(metrics) = self.metrics {
            metrics.shutdown().await;
        }
    }

    /// Reads the configuration file again when it has changed, or when SIGHUP asks for it, and puts
    /// it in force. A faulty one is reported and changes nothing. Never ends; drop it to end it.
    ///
    /// `change` is applied to what is read: what the command line says is stronger than the file.
    pub async fn keep_current(
        &mut self,
        change: impl Fn(Config) -> Config,
        running: &Running,
        stop: &Stop,
    ) {
        let Some(path) = self.source.config.clone() else {
            return std::future::pending().await;
        };
        loop {
            let is_asked = tokio::select! {
                () = stop.reload.notified() => true,
                () = tokio::time::sleep(EVERY) => false,
            };
            if !self.look(is_asked).await {
                continue;
            }
            let config = match read(&path, &change) {
                Ok(config) => config,
                Err(faults) => {
                    running.refused(&faults);
                    complain(&path, &faults.to_string());
                    continue;
                }
            };
            self.watch(&config);
            if let Some(metrics) = &mut self.metrics
                && let Err(error) = metrics.apply(&config.metrics).await
            {
                complain(&path, &chain(&error));
                continue;
            }
            match running.reload(&config).await {
                Ok(report) => {
                    tracing::info!(file = %path.display(), "reloaded: {report}");
                    for line in running.idle_rules().await {
                        tracing::warn!("{line}");
                    }
                }
                Err(error) => complain(&path, &chain(&error)),
            }
        }
    }

    /// From now on the files that `config` names are watched, too. At the start this is for who has read it: what
    /// changes after that is seen, however long the start takes.
    pub fn watch(&mut self, config: &Config) {
        self.paths.truncate(1);
        self.used.truncate(1);
        self.last.truncate(1);
        let others = config.files().into_iter().map(Path::to_owned);
        let others: Vec<_> = others.collect();
        let found = prints(&others);
        self.paths.extend(others);
        self.used.extend_from_slice(&found);
        self.last.extend(found);
    }

    /// True when the file is to be read: it has changed and whoever writes it is done, or somebody
    /// asks for it.
    async fn look(&mut self, is_asked: bool) -> bool {
        let paths = self.paths.clone();
        // A file may lie where looking at it takes its time.
        let found = tokio::task::spawn_blocking(move || prints(&paths)).await;
        let Ok(found) = found else {
            return is_asked;
        };
        let is_settled = found == self.last;
        self.last.clone_from(&found);
        // One that is away for a moment is being replaced.
        let is_there = found.first().is_some_and(Option::is_some);
        let is_due = is_asked || (is_there && is_settled && found != self.used);
        if is_due {
            self.used = found;
        }
        is_due
    }
}

fn complain(path: &Path, why: &str) {
    tracing::error!(
        file = %path.display(),
        "not reloaded, what was in force before stays: {why}"
    );
}

fn read(path: &Path, change: &impl Fn(Config) -> Config) -> Result<Config, ConfigFaults> {
    let text = crate::config::read_file(path)?;
    let config = Config::load(&path.display().to_string(), &text, &environment)?;
    let config = change(config);
    config.check("command line")?;
    Ok(config)
}

fn prints(paths: &[PathBuf]) -> Prints {
    let print = |path: &PathBuf| {
        let bytes = std::fs::read(path).ok()?;
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Some(hasher.finish())
    };
    paths.iter().map(print).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change counts once two looks find the same, and only once.
    #[tokio::test]
    async fn a_file_is_read_again_when_it_was_written_and_not_while_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mcp-gw.yaml");
        std::fs::write(&path, "one").unwrap();
        let source = SourceArgs {
            config: Some(path.clone()),
            ..SourceArgs::default()
        };
        let mut watch = ConfigWatch::new(&source);
        assert_eq!(watch.hangup(), Hangup::Reloads);
        assert!(!watch.look(false).await, "nothing has changed");
        std::fs::write(&path, "").unwrap();
        assert!(!watch.look(false).await, "somebody may be writing");
        std::fs::write(&path, "two").unwrap();
        assert!(!watch.look(false).await, "somebody was writing");
        assert!(watch.look(false).await);
        assert!(!watch.look(false).await, "it was read");
        std::fs::remove_file(&path).unwrap();
        assert!(!watch.look(false).await);
        assert!(!watch.look(false).await, "it is away");
        std::fs::write(&path, "two").unwrap();
        assert!(!watch.look(false).await);
        assert!(!watch.look(false).await, "it is back as it was");
        assert!(watch.look(true).await, "somebody asks");
    }
}
