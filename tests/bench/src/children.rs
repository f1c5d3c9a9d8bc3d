//! The processes that are measured. None of them outlives the run.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::Path,
    process::Stdio,
    time::Duration,
};

use clap::ValueEnum as _;

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use crate::{
    gateway::Settings,
    procfs,
    roads::Other,
    stdio::Pipe,
    wire::{Answers, Eras, Failure},
};

/// Processes that were started. To be ended by [`Children::end`]; if dropped instead, they are killed but not waited for.
#[derive(Debug, Default)]
pub(crate) struct Children {
    running: Vec<Child>,
}

impl Children {
    /// Starts this program as upstream. Gives its process id and URL.
    pub(crate) async fn upstream(
        &mut self,
        tools: usize,
        eras: Eras,
        answers: Answers,
    ) -> Result<(u32, String), Failure> {
        let eras = eras.to_possible_value().ok_or("unknown eras")?;
        let answers = answers.to_possible_value().ok_or("unknown answers")?;
        let (eras, answers) = (eras.get_name(), answers.get_name());
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["upstream", "--until-stdin-ends", "--eras", eras]);
        command.args(["--answers", answers, "--tools"]);
        command
            .arg(tools.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let (pid, child) = self.start(command)?;
        let output = child.stdout.take().ok_or("the upstream has no output")?;
        Ok((pid, url_from(output, "", "the upstream").await?))
    }

    /// Starts our gateway with the configuration in `file`. Its log, and with it the audit log, goes to a file beside
    /// that. Gives its process id and URL.
    pub(crate) async fn gateway(
        &mut self,
        program: &Path,
        file: &Path,
        settings: Settings,
        core: Option<usize>,
    ) -> Result<(u32, String), Failure> {
        let mut command = on_core(core, program);
        command.args(["--log", settings.log()]);
        self.listening(command, file, START).await
    }

    /// The same with a management API, whose first user has this password; it may take this long until it listens.
    #[cfg(feature = "management")]
    pub(crate) async fn managed(
        &mut self,
        program: &Path,
        file: &Path,
        password: &str,
        core: Option<usize>,
        patience: Duration,
    ) -> Result<(u32, String), Failure> {
        let mut command = on_core(core, program);
        command.args(["--log", Settings::FULL.log()]);
        command.env("GATEWAY_ADMIN_PASSWORD", password);
        self.listening(command, file, patience).await
    }

    async fn listening(
        &mut self,
        mut command: Command,
        file: &Path,
        patience: Duration,
    ) -> Result<(u32, String), Failure> {
        let log = file.with_extension("log");
        command.arg("--config").arg(file);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?);
        let (pid, child) = self.start(command)?;
        let begun = Instant::now();
        loop {
            let said = fs::read_to_string(&log)?;
            let mut lines = said.lines();
            if said.ends_with('\n')
                && let Some(url) = lines.find_map(|line| url_in(line, "listening on "))
            {
                return Ok((pid, url));
            }
            if let Some(status) = child.try_wait()? {
                return Err(format!("the gateway ended, {status}: {said}").into());
            }
            if begun.elapsed() > patience {
                return Err(format!("the gateway does not say where it listens: {said}").into());
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Starts our gateway over standard input and output.
    pub(crate) fn piped(
        &mut self,
        program: &Path,
        file: &Path,
        settings: Settings,
        core: Option<usize>,
    ) -> Result<(u32, Pipe), Failure> {
        let mut command = on_core(core, program);
        command.arg("--config").arg(file);
        command.args(["--log", settings.log()]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(file.with_extension("log"))?);
        let (pid, child) = self.start(command)?;
        let to = child.stdin.take().ok_or("the gateway has no input")?;
        let from = child.stdout.take().ok_or("the gateway has no output")?;
        Ok((pid, Pipe::new(to, from)))
    }

    /// Starts another gateway in front of `upstream`, and waits until it listens. Gives its process id and URL.
    pub(crate) async fn other(
        &mut self,
        other: &Other,
        upstream: &str,
        core: Option<usize>,
    ) -> Result<(u32, String), Failure> {
        // One that was free a moment ago hardly ever is not.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let (line, url) = other.on(port, upstream);
        let mut command = on_core(core, Path::new("sh"));
        // The shell becomes the program: the process id stays.
        command.args(["-c", &format!("exec {line}")]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let (pid, child) = self.start(command)?;
        let listening = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            biased;
            _ = child.wait() => Err(format!("{} ended before it listened", other.name()).into()),
            () = listening => Ok((pid, url)),
            () = sleep(START) => Err(format!("{} does not listen on {port}", other.name()).into()),
        }
    }

    /// Starts nginx with the configuration in `folder`, and waits until it listens on `port`. Gives its process id, or
    /// nothing if it ended, as it does when the port is taken.
    pub(crate) async fn nginx(
        &mut self,
        folder: &Path,
        port: u16,
        core: Option<usize>,
    ) -> Result<Option<u32>, Failure> {
        let mut command = on_core(core, Path::new("nginx"));
        command
            .arg("-p")
            .arg(folder)
            .arg("-c")
            .arg(folder.join("nginx.conf"));
        command
            .args(["-e", "stderr"])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let (pid, child) = self.start(command)?;
        let listening = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            biased;
            _ = child.wait() => Ok(None),
            () = listening => Ok(Some(pid)),
            () = sleep(START) => Err("nginx does not listen".into()),
        }
    }

    /// Kills and reaps all.
    pub(crate) async fn end(mut self) {
        for child in &mut self.running {
            // It fails only for a child that has ended and been reaped.
            drop(child.kill().await);
        }
    }

    fn start(&mut self, mut command: Command) -> Result<(u32, &mut Child), Failure> {
        let name = command.as_std().get_program().to_os_string();
        let child = command.kill_on_drop(true).spawn();
        let child = child.map_err(|error| format!("{}: {error}", name.display()))?;
        let pid = child.id().ok_or("the child has ended")?;
        self.running.push(child);
        Ok((pid, self.running.last_mut().ok_or("the child is lost")?))
    }
}

/// Confines this process, and the children it starts from now on, to one core.
async fn confine_self(core: usize) -> Result<(), Failure> {
    let own = std::process::id().to_string();
    let status = Command::new("taskset")
        .args(["-a", "-c", "-p", &core.to_string(), &own])
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|error| format!("taskset: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("taskset: {status}").into())
    }
}

/// What the machine is, and, where `pins`, the core for what stands between: this process, and the upstream with it,
/// keeps to another one from now on.
pub(crate) async fn settle(
    pins: bool,
) -> Result<(Vec<(&'static str, String)>, Option<usize>), Failure> {
    // Afterwards this process sees one core only.
    let machine = procfs::machine(pins);
    if !pins {
        return Ok((machine, None));
    }
    match *procfs::allowed_cores()? {
        [first, second, ..] => {
            confine_self(first).await?;
            Ok((machine, Some(second)))
        }
        _ => Err("pinning needs two cores: --no-pin goes without".into()),
    }
}

fn on_core(core: Option<usize>, program: &Path) -> Command {
    match core {
        None => Command::new(program),
        Some(core) => {
            let mut command = Command::new("taskset"); // It becomes the program: the process id stays.
            command.arg("-c").arg(core.to_string()).arg(program);
            command
        }
    }
}

/// The URL that a child prints after `marker`. What it prints later is read and dropped, or it would block.
async fn url_from(
    output: impl AsyncRead + Unpin + Send + 'static,
    marker: &str,
    who: &str,
) -> Result<String, Failure> {
    let mut lines = BufReader::new(output).lines();
    let mut said = String::new();
    let search = async {
        while let Some(line) = lines.next_line().await? {
            if let Some(url) = url_in(&line, marker) {
                return Ok(Some(url));
            }
            said.push_str("\n  ");
            said.push_str(&line);
        }
        Ok::<_, Failure>(None)
    };
    let found = timeout(START, search).await;
    match found {
        Ok(Ok(Some(url))) => {
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            Ok(url)
        }
        Ok(Err(error)) => Err(error),
        Ok(Ok(None)) => Err(format!("{who} ended before it listened{said}").into()),
        Err(_) => Err(format!("{who} does not say where it listens{said}").into()),
    }
}

fn url_in(line: &str, marker: &str) -> Option<String> {
    let (_, rest) = line.split_once(&format!("{marker}http://"))?;
    let end = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | ',');
    let rest = rest.split(end).next()?;
    Some(format!("http://{rest}"))
}

/// How long a child may take until it listens.
const START: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_found_in_a_log_line() {
        let line =
            "\u{1b}[2m12:00\u{1b}[0m INFO listening on http://127.0.0.1:4000/mcp\u{1b}[0m era=both";
        assert_eq!(
            url_in(line, "listening on ").as_deref(),
            Some("http://127.0.0.1:4000/mcp")
        );
        assert_eq!(
            url_in("connecting to http://127.0.0.1:1/mcp", "listening on "),
            None
        );
    }
}
