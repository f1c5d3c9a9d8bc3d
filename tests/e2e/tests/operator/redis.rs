//! A Redis of a test's own.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::process::Process;
use crate::support::setup::Folder;

/// A Redis on a Unix socket, in a folder that goes with it. It keeps nothing on disk.
#[derive(Debug)]
pub(super) struct Redis {
    /// Ends with this.
    _process: Process,
    folder: Folder,
}

impl Redis {
    /// Starts one; `None` when there is no such program. Then the test is skipped, loudly, or fails
    /// where `MCP_GW_REQUIRE_SERVICES` is 1.
    pub(super) fn start() -> Option<Self> {
        let program = program();
        let mut version = Command::new(&program);
        let there = version.arg("--version").stdout(Stdio::null()).status();
        let is_there = there.is_ok_and(|status| status.success());
        assert!(
            is_there || !is_required(),
            "{} is not there, and MCP_GW_REQUIRE_SERVICES=1 says that it must be",
            program.display()
        );
        if !is_there {
            eprintln!("SKIPPED: {} is not there", program.display());
            return None;
        }
        let folder = short_folder();
        let mut command = Command::new(program);
        command
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--dir"])
            .arg(&folder.0)
            .arg("--unixsocket")
            .arg(folder.0.join("s"));
        let process = Process::start(&mut command);
        process.stdout.with("eady to accept connections");
        Some(Self {
            _process: process,
            folder,
        })
    }

    /// Its URL for a configuration.
    pub(super) fn url(&self) -> String {
        format!("redis+unix://{}", self.folder.0.join("s").display())
    }
}

/// One with a path that is short enough for the name of a socket.
fn short_folder() -> Folder {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("mcp-gw-e2e-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).unwrap();
    Folder(path)
}

#[expect(
    clippy::disallowed_methods,
    reason = "where the program is, is said by whoever runs the tests"
)]
fn program() -> PathBuf {
    let path = std::env::var_os("MCP_GW_REDIS_SERVER");
    path.map_or_else(|| PathBuf::from("redis-server"), PathBuf::from)
}

#[expect(
    clippy::disallowed_methods,
    reason = "whether it has to be there, is said by whoever runs the tests"
)]
fn is_required() -> bool {
    std::env::var_os("MCP_GW_REQUIRE_SERVICES").is_some_and(|value| value == "1")
}
