//! A PostgreSQL of a test's own: on a Unix socket in a folder that goes with it.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The folder with the programs, if they are there.
#[expect(
    clippy::disallowed_methods,
    reason = "where the programs are, is said by whoever runs the tests"
)]
fn programs() -> Option<PathBuf> {
    let named = std::env::var_os("MCP_GW_POSTGRES_BIN").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut packaged: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    packaged.sort();
    folders.extend(packaged.into_iter().rev());
    folders.push(PathBuf::from("/usr/local/pgsql/bin"));
    let mut folders = named.into_iter().chain(folders);
    let found = folders.find(|it| it.join("postgres").exists() && it.join("initdb").exists());
    // A link may lead out of the folder that has the rest of it.
    Some(
        std::fs::canonicalize(found?.join("postgres"))
            .ok()?
            .parent()?
            .to_owned(),
    )
}

/// True when there is a PostgreSQL. Without it the test is skipped, loudly, or fails where
/// `MCP_GW_REQUIRE_SERVICES=1`.
#[expect(
    clippy::disallowed_methods,
    reason = "whether it has to be there, is said by whoever runs the tests"
)]
fn is_there() -> Option<PathBuf> {
    let programs = programs();
    let required = std::env::var_os("MCP_GW_REQUIRE_SERVICES").is_some_and(|value| value == "1");
    assert!(
        programs.is_some() || !required,
        "postgres and initdb are not there, and MCP_GW_REQUIRE_SERVICES=1 says that they must be"
    );
    if programs.is_none() {
        eprintln!("SKIPPED: postgres and initdb are not there (see MCP_GW_POSTGRES_BIN)");
    }
    programs
}

/// User and group of somebody without rights: PostgreSQL does not run as root.
fn somebody() -> Option<(u32, u32)> {
    if std::fs::metadata("/proc/self").ok()?.uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2).map(|id| id.parse().ok());
        Some((ids.next()??, ids.next()??))
    };
    find("postgres").or_else(|| find("nobody"))
}

/// A running server. Dropped, it is killed and its folder removed.
pub(crate) struct Server {
    child: Option<Child>,
    programs: PathBuf,
    folder: tempfile::TempDir,
    owner: Option<(u32, u32)>,
    arguments: Vec<String>,
}

impl Server {
    /// Starts one with these arguments; `None` when there is no PostgreSQL.
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        let programs = is_there()?;
        let folder = tempfile::tempdir().unwrap();
        let owner = somebody();
        if let Some((user, group)) = owner {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let mut server = Self {
            child: None,
            programs,
            folder,
            owner,
            arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
        };
        let made = server
            .command("initdb")
            .args([
                "--username=gw",
                "--auth=trust",
                "--no-sync",
                "--no-instructions",
            ])
            .args(["--encoding=UTF8", "--locale=C", "-D"])
            .arg(server.data())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        server.run();
        Some(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }

    /// Starts it again, knowing what is on its disk.
    pub(crate) fn run(&mut self) {
        assert!(self.child.is_none());
        let mut tries = 0;
        // Until the last process of the one that was killed is gone, there is no other.
        while let Err(said) = self.try_run() {
            tries += 1;
            assert!(tries < 500, "{said}");
        }
    }

    fn try_run(&mut self) -> Result<(), String> {
        let mut child = self
            .command("postgres")
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.folder.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off"])
            .args(["-c", "shared_buffers=8MB", "-c", "logging_collector=off"])
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("ready to accept connections") {
            if log.read_line(&mut said).unwrap_or(0) == 0 {
                let _ = child.wait();
                return Err(said);
            }
        }
        // Nobody reads on: the pipe must not fill up.
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut log.by_ref(), &mut std::io::sink());
        });
        self.child = Some(child);
        Ok(())
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Ends it as an operator would, breaking off what is under way.
    pub(crate) fn stop(&mut self) {
        let stopped = self
            .command("pg_ctl")
            .args(["stop", "-m", "fast", "-s", "-D"])
            .arg(self.data())
            .status()
            .unwrap();
        assert!(stopped.success());
        self.child.take().unwrap().wait().unwrap();
    }

    /// From the next start on, this user needs a password.
    pub(crate) fn ask_for_password(&self, user: &str) {
        let rules = format!("local all {user} scram-sha-256\nlocal all all trust\n");
        std::fs::write(self.data().join("pg_hba.conf"), rules).unwrap();
    }

    /// The URL of a database.
    pub(crate) fn url_of(&self, name: &str) -> String {
        let folder = self.folder.path().display().to_string();
        let folder = folder.replace('/', "%2F");
        format!("postgresql://gw@localhost/{name}?host={folder}")
    }

    /// A new database.
    pub(crate) async fn database(&self, name: &str) -> String {
        self.execute(
            "postgres",
            &format!("CREATE DATABASE {name} TEMPLATE template0"),
        )
        .await;
        self.url_of(name)
    }

    /// A connection of the test's own, to look and to meddle.
    pub(crate) async fn connect(&self, name: &str) -> sqlx::PgConnection {
        use sqlx::Connection as _;
        sqlx::PgConnection::connect(&self.url_of(name))
            .await
            .unwrap()
    }

    pub(crate) async fn execute(&self, name: &str, sql: &str) {
        use sqlx::Executor as _;
        self.connect(name).await.execute(sql).await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        // Its processes write until they see that it is gone.
        let _ = (0..1_000).find(|_| std::fs::remove_dir_all(self.data()).is_ok());
    }
}
