//! The process that a semaphore names: whether it is still that one, and how it is killed.
//!
//! A number alone is given out again; so a process is a number, the moment when it started, and the namespace in which the
//! number counts.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use gatepost_shared::Process;
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, getpgid, kill_process_group, pidfd_open, pidfd_send_signal, test_kill_process,
};

/// What became of an attempt to kill a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Killed {
    /// It was sent SIGKILL, and so was its group if it leads one.
    Yes,
    /// It is gone.
    WasGone,
    /// It is in another PID namespace, or another user's.
    OutOfReach,
}

/// Kills `process`, and with it its group if it leads one.
pub(crate) fn kill(process: &Process) -> Killed {
    if !is_in_our_namespace(process) {
        return Killed::OutOfReach;
    }
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return Killed::WasGone };
    // The descriptor is of one process for ever: what is true of it after it was opened is true of what is killed.
    let Some(handle) = open(pid, process) else { return Killed::WasGone };
    let leads = getpgid(Some(pid)) == Ok(pid);
    let killed = pidfd_send_signal(&handle, Signal::KILL);
    if leads && killed.is_ok() {
        // It is not reaped yet, or its group has other members, or there is nobody to be hit.
        let _ = kill_process_group(pid, Signal::KILL);
    }
    match killed {
        Ok(()) => Killed::Yes,
        Err(Errno::SRCH) => Killed::WasGone,
        Err(_) => Killed::OutOfReach,
    }
}

/// Whether `process` can be seen to be there.
pub(crate) fn is_that(process: &Process) -> bool {
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
    is_in_our_namespace(process) && pid.is_some_and(|pid| open(pid, process).is_some())
}

/// A descriptor of `pid`, if that is still `process`.
fn open(pid: Pid, process: &Process) -> Option<OwnedFd> {
    let handle = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // 0 is said of a process whose start could not be read; if it can be read now, that is another one.
    (start_of(pid).unwrap_or(0) == process.start).then_some(handle)
}

/// Whether the number of `process` counts here.
pub(crate) fn is_in_our_namespace(process: &Process) -> bool {
    let ours = fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino());
    process.namespace == 0 || ours == 0 || process.namespace == ours
}

/// The fields of `/proc/PID/stat` behind the name, from the state on.
fn stat_of(pid: Pid) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name may hold anything, and ends at the last parenthesis.
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Whether there is a process with this number, which has not ended.
pub(crate) fn is_there(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    match stat_of(pid).as_deref() {
        Some([state, ..]) => !matches!(state.as_str(), "Z" | "X" | "x"),
        // There is none, or it is hidden from us.
        _ => test_kill_process(pid) != Err(Errno::SRCH),
    }
}

/// The parent of `pid`.
pub(crate) fn parent_of(pid: Pid) -> Option<Pid> {
    stat_of(pid)?.get(1)?.parse().ok().and_then(Pid::from_raw)
}

/// When `pid` started, in clock ticks since the machine did.
fn start_of(pid: Pid) -> Option<u64> {
    stat_of(pid)?.get(19)?.parse().ok()
}

/// The shell that called us.
///
/// That is our parent; but in `id=$(gatepost acquire … || exit)` the parent is a copy of the shell that ends with the
/// brackets. A copy runs the same program with the same arguments as its own parent, so the topmost such is meant.
pub(crate) fn calling_shell() -> Option<Pid> {
    let mut shell = rustix::process::getppid()?;
    while let Some(above) = parent_of(shell) {
        if looks_of(shell).is_none() || looks_of(shell) != looks_of(above) {
            break;
        }
        shell = above;
    }
    Some(shell)
}

/// The program of `pid` and its arguments.
fn looks_of(pid: Pid) -> Option<(std::path::PathBuf, Vec<u8>)> {
    let pid = pid.as_raw_nonzero();
    Some((fs::read_link(format!("/proc/{pid}/exe")).ok()?, fs::read(format!("/proc/{pid}/cmdline")).ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn only_the_very_process_is_killed_and_with_it_its_group() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & wait"]).stdin(Stdio::null()).process_group(0);
        let mut child = command.spawn().expect("it starts");
        let pid = Pid::from_child(&child);
        let start = start_of(pid).expect("it runs");
        let named = |start| Process { pid: child.id(), start, namespace: 0 };
        assert_eq!(kill(&named(start + 1)), Killed::WasGone, "another one with its number");
        assert_eq!(kill(&named(0)), Killed::WasGone, "one that had ended before it was named");
        assert_eq!(kill(&Process { namespace: 1, ..named(start) }), Killed::OutOfReach);
        let it = named(start);
        assert!(is_that(&it) && !is_that(&named(start + 1)));
        assert_eq!(kill(&it), Killed::Yes);
        assert_eq!(child.wait().expect("it ends").signal(), Some(9));
        assert_eq!(kill(&it), Killed::WasGone);
        assert!(!is_that(&it));
    }

    #[test]
    fn our_parent_is_read() {
        assert_eq!(parent_of(rustix::process::getpid()), rustix::process::getppid());
    }
}
