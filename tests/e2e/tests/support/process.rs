//! Child processes that end with the test, whatever becomes of it.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::LIMIT;
use super::stdio::Pipe;

/// The lines of one of a process's streams, kept as they come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines(Arc<(Mutex<Kept>, Condvar)>);

#[derive(Debug, Default)]
struct Kept {
    lines: Vec<String>,
    is_over: bool,
}

impl Lines {
    fn collect(stream: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let kept = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n') {
                let Ok(line) = line else { break };
                kept.change(|kept| kept.lines.push(String::from_utf8_lossy(&line).into_owned()));
            }
            kept.change(|kept| kept.is_over = true);
        });
        lines
    }

    /// Of a stream that somebody else reads.
    fn of_nothing() -> Self {
        let lines = Self::default();
        lines.change(|kept| kept.is_over = true);
        lines
    }

    fn change(&self, change: impl FnOnce(&mut Kept)) {
        let (kept, changed) = &*self.0;
        change(&mut kept.lock().unwrap());
        changed.notify_all();
    }

    /// What has come so far.
    pub(crate) fn so_far(&self) -> Vec<String> {
        self.0.0.lock().unwrap().lines.clone()
    }

    /// Everything, once the stream has ended.
    pub(crate) fn all(&self) -> Vec<String> {
        self.wait("the end of the stream", |kept| {
            kept.is_over.then(|| kept.lines.clone())
        })
    }

    /// The first `count` lines that `wanted` takes.
    pub(crate) fn first(&self, count: usize, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        self.wait(&format!("{count} lines of the kind wanted"), |kept| {
            let found: Vec<_> = kept.lines.iter().filter(|line| wanted(line)).collect();
            (found.len() >= count).then(|| found.into_iter().take(count).cloned().collect())
        })
    }

    /// The first line with `part` in it.
    pub(crate) fn with(&self, part: &str) -> String {
        self.wait(&format!("a line with {part:?}"), |kept| {
            kept.lines.iter().find(|line| line.contains(part)).cloned()
        })
    }

    fn wait<T>(&self, what: &str, find: impl Fn(&Kept) -> Option<T>) -> T {
        let (kept, changed) = &*self.0;
        let until = Instant::now() + LIMIT;
        let mut kept = kept.lock().unwrap();
        loop {
            if let Some(found) = find(&kept) {
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && !kept.is_over,
                "waited in vain for {what} (stream over: {}); there is\n{}",
                kept.is_over,
                kept.lines.join("\n")
            );
            kept = changed.wait_timeout(kept, left).unwrap().0;
        }
    }
}

/// A process; killed and reaped when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

impl Process {
    /// Starts it with an environment of its own; its input stays open.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self {
            stdout: Lines::collect(child.stdout.take().unwrap()),
            stderr: Lines::collect(child.stderr.take().unwrap()),
            child,
        }
    }

    /// Starts a gateway on standard streams, and takes those over.
    pub(crate) fn start_piped(command: &mut Command) -> (Self, Arc<Pipe>) {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let process = Self {
            stdout: Lines::of_nothing(),
            stderr: Lines::collect(child.stderr.take().unwrap()),
            child,
        };
        (process, Arc::new(Pipe::new(stdin, stdout)))
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid()).unwrap(), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        if let Some(status) = self.child.try_wait().unwrap() {
            return status;
        }
        let lives = Lives::of(self.pid());
        assert!(
            lives.is_none_or(|lives| lives.end_within_limit()),
            "the process does not end; it said\n{}",
            self.stderr.so_far().join("\n")
        );
        self.child.wait().unwrap()
    }

    /// Waits for its end: exit code, standard output, standard error.
    pub(crate) fn finish(&mut self) -> (Option<i32>, String, String) {
        let status = self.wait();
        let text = |lines: &Lines| lines.all().join("\n");
        (status.code(), text(&self.stdout), text(&self.stderr))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process, ours or not, that was alive when looked at.
#[derive(Debug)]
pub(crate) struct Lives(OwnedFd);

impl Lives {
    /// `None` when there is no such process any more.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty())
            .ok()
            .map(Self)
    }

    /// Waits for its end; false when it does not come.
    pub(crate) fn end_within_limit(&self) -> bool {
        let until = Instant::now() + LIMIT;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).unwrap();
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&timeout)) {
                Ok(ready) => return ready > 0,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("poll: {error}"),
            }
        }
    }
}

/// The processes that descend from `pid`.
pub(crate) fn descendants(pid: i32) -> Vec<i32> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name();
        let Some(child) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // It may have gone since.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        // pid (name) state parent; the name may have anything in it.
        let rest = stat.rsplit(')').next().unwrap_or_default();
        if let Some(parent) = rest.split_whitespace().nth(1) {
            parents.push((child, parent.parse::<i32>().unwrap()));
        }
    }
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(c, _)| c));
        next += 1;
    }
    found.split_off(1)
}
