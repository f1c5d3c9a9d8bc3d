//! Log lines on their way to a reader that may be slow: calls never wait for it, and what does not fit
//! is counted and said.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// So many bytes wait to be written; lines beyond that are lost, and counted.
const ROOM: usize = 16 * 1024 * 1024;
/// Lines that come within this time are written together: a line for each call would otherwise be a
/// switch to another thread and back for each.
const TOGETHER: Duration = Duration::from_millis(2);
/// A buffer that had to grow beyond this is given back.
const KEPT: usize = 256 * 1024;
/// So long the end waits for a reader.
const LAST: Duration = Duration::from_secs(1);

/// Takes lines; clones lead to the same place.
#[derive(Debug, Clone)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write, or it ends.
    filled: Condvar,
    /// All was written, after the end.
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    lost: u64,
    /// The writer sleeps until it is told.
    is_idle: bool,
    is_ending: bool,
    is_done: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Has a thread write to `to`. What `lost` makes of a number of lines stands in their place.
    pub(super) fn new<W: Write + Send + 'static>(mut to: W, lost: fn(u64) -> String) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            filled: Condvar::new(),
            done: Condvar::new(),
        });
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new().name("log".to_owned());
        let started = thread.spawn(move || write_all(&own, &mut to, lost));
        if started.is_err() {
            // Without a thread nobody takes lines; the end must not wait for that.
            shared.lock().is_done = true;
        }
        Self(shared)
    }

    fn put(&self, line: &[u8]) {
        let mut state = self.0.lock();
        if state.lines.len().saturating_add(line.len()) > ROOM {
            state.lost += 1;
        } else {
            state.lines.extend_from_slice(line);
        }
        if mem::take(&mut state.is_idle) {
            drop(state);
            self.0.filled.notify_one();
        }
    }

    /// Has what is there written, and waits for that, but not for ever.
    pub(super) fn end(&self) {
        let mut state = self.0.lock();
        state.is_ending = true;
        self.0.filled.notify_one();
        let waited = self
            .0
            .done
            .wait_timeout_while(state, LAST, |state| !state.is_done);
        drop(waited);
    }
}

/// Until the end.
fn write_all(shared: &Shared, to: &mut dyn Write, lost: fn(u64) -> String) {
    let mut taken = Vec::new();
    loop {
        let mut state = shared.lock();
        while state.lines.is_empty() && state.lost == 0 && !state.is_ending {
            state.is_idle = true;
            state = wait(shared.filled.wait(state));
        }
        state.is_idle = false;
        if !state.is_ending {
            let ending = |state: &mut State| !state.is_ending;
            state = wait(shared.filled.wait_timeout_while(state, TOGETHER, ending)).0;
        }
        mem::swap(&mut state.lines, &mut taken);
        let missing = mem::take(&mut state.lost);
        let is_last = state.is_ending;
        drop(state);
        // Nobody could be told that standard error is gone.
        let _ = to.write_all(&taken);
        if missing > 0 {
            let _ = to.write_all(lost(missing).as_bytes());
        }
        let _ = to.flush();
        taken.clear();
        taken.shrink_to(KEPT);
        if is_last {
            shared.lock().is_done = true;
            shared.done.notify_all();
            return;
        }
    }
}

fn wait<T>(waited: Result<T, PoisonError<T>>) -> T {
    waited.unwrap_or_else(PoisonError::into_inner)
}

impl Write for Queue {
    /// Takes a whole line, or loses it; it never says that it could not.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Queue {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn lost(lines: u64) -> String {
        format!("{lines} lost\n")
    }

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !bytes.is_empty() {
                self.0.lock().unwrap().push(bytes.to_vec());
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Takes nothing before it is told to.
    struct Held(mpsc::Receiver<()>, Written);

    impl Write for Held {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn all_lines_come_out_in_order_and_many_at_once() {
        let written = Written::default();
        let mut queue = Queue::new(written.clone(), lost);
        let mut expected = String::new();
        for number in 0..10_000 {
            let line = format!("line {number}\n");
            queue.write_all(line.as_bytes()).unwrap();
            expected.push_str(&line);
        }
        queue.end();
        let pieces = written.0.lock().unwrap();
        assert_eq!(pieces.concat(), expected.as_bytes());
        assert!(pieces.len() < 5_000, "{} writes", pieces.len());
    }

    #[test]
    fn what_does_not_fit_is_counted_and_said_behind_what_did() {
        let written = Written::default();
        let (go, hold) = mpsc::channel();
        let mut queue = Queue::new(Held(hold, written.clone()), lost);
        let line = vec![b'x'; ROOM / 4];
        // One or four of them may have been taken to be written already; no more than four wait.
        for _ in 0..32 {
            queue.write_all(&line).unwrap();
        }
        drop(go);
        queue.end();
        let all = written.0.lock().unwrap().concat();
        let end = all.iter().rposition(|byte| *byte == b'x').unwrap() + 1;
        let said = String::from_utf8(all[end..].to_vec()).unwrap();
        let kept = end / line.len();
        assert!((4..=8).contains(&kept), "{kept}");
        assert_eq!(said, lost(32 - kept as u64));
    }

    #[test]
    fn the_end_does_not_wait_for_a_reader_that_never_comes() {
        let (_go, hold) = mpsc::channel();
        let mut queue = Queue::new(Held(hold, Written::default()), lost);
        queue.write_all(b"nobody reads this\n").unwrap();
        let (ended, end) = mpsc::channel();
        thread::spawn(move || {
            queue.end();
            ended.send(())
        });
        assert_eq!(end.recv_timeout(LAST * 5), Ok(()));
    }
}
