//! What Linux knows about a process.

use std::{fs, time::Duration};

use crate::wire::Failure;

/// CPU time a process has used so far, in user and kernel mode, all its threads together. Steps of 10 ms.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration, Failure> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    ticks_in(&stat)
        .map(|ticks| Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
        .ok_or_else(|| format!("/proc/{pid}/stat has an unknown form").into())
}

/// Resident memory of a process in KiB, now.
pub(crate) fn resident_kib(pid: u32) -> Result<u64, Failure> {
    memory(pid, "VmRSS:")
}

/// The most resident memory that a process has had, in KiB.
pub(crate) fn most_resident_kib(pid: u32) -> Result<u64, Failure> {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, name: &str) -> Result<u64, Failure> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = field(&status, name).and_then(|rest| rest.strip_suffix("kB")?.trim().parse().ok());
    line.ok_or_else(|| format!("/proc/{pid}/status has an unknown form").into())
}

/// What is worth knowing of the machine beside figures that it gave.
pub(crate) fn machine(is_pinned: bool) -> Vec<(&'static str, String)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| value.trim().to_owned())
    });
    vec![
        ("cpu", model.unwrap_or_default()),
        (
            "cores",
            allowed_cores().unwrap_or_default().len().to_string(),
        ),
        (
            "kernel",
            read("/proc/sys/kernel/osrelease").trim().to_owned(),
        ),
        ("load", read("/proc/loadavg").trim().to_owned()),
        ("pinned", is_pinned.to_string()),
    ]
}

/// The cores that this process may use.
pub(crate) fn allowed_cores() -> Result<Vec<usize>, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    field(&status, "Cpus_allowed_list:")
        .and_then(cores_in)
        .ok_or_else(|| "/proc/self/status has an unknown form".into())
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .map(str::trim)
}

/// User and system time are the 14th and 15th field. The second, the name, may itself hold blanks and parentheses.
fn ticks_in(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// `0-2,5` is 0, 1, 2 and 5.
fn cores_in(list: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for part in list.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        cores.extend(from.parse::<usize>().ok()?..=to.parse().ok()?);
    }
    Some(cores)
}

/// `USER_HZ`, which the kernel shows to processes as 100 on every architecture we build for.
const TICKS_PER_SECOND: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_added() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 3 0 120 34 5 6 20 0 1 0 100 1 1";
        assert_eq!(ticks_in(stat), Some(154));
        assert_eq!(ticks_in("7 (short) S 1"), None);
    }

    #[test]
    fn cores_come_in_ranges() {
        assert_eq!(cores_in("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(cores_in("3"), Some(vec![3]));
        assert_eq!(cores_in("x"), None);
    }

    #[test]
    fn this_process_can_be_read() {
        assert!(cpu_time(std::process::id()).is_ok());
        let now = resident_kib(std::process::id());
        assert!(now.is_ok_and(|kib| kib > 0));
        assert!(most_resident_kib(std::process::id()).is_ok_and(|kib| kib > 0));
        assert!(allowed_cores().is_ok_and(|cores| !cores.is_empty()));
    }
}
