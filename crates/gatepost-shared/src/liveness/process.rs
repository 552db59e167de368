//! A process, told from every other one: its PID, the moment at which it started, and the namespace in which the PID counts.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::Process;

/// What can be said of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    Alive,
    Dead,
    /// It is in another namespace, in which its number means another process or none.
    Unknown,
}

/// This process.
pub(crate) fn own() -> Process {
    of(std::process::id())
}

/// The process that now has the number `pid` in our namespace.
pub(crate) fn of(pid: u32) -> Process {
    Process { pid, start: start_of(pid).unwrap_or(0), namespace: namespace() }
}

/// The number of the PID namespace that we are in; 0 if the system does not say.
pub(crate) fn namespace() -> u64 {
    // A process never changes its own PID namespace; only a child can be in another one, and a child by fork is told apart by
    // its PID.
    static KNOWN: OnceLock<(u32, u64)> = OnceLock::new();
    let pid = std::process::id();
    // In a namespace for which nobody has mounted a /proc, ours is another one's: a number there is another process.
    let is_ours = || fs::read_link("/proc/self").is_ok_and(|link| link.as_os_str() == pid.to_string().as_str());
    let read = || fs::metadata("/proc/self/ns/pid").ok().filter(|_| is_ours()).map_or(0, |file| file.ino());
    let (known_by, namespace) = *KNOWN.get_or_init(|| (pid, read()));
    if known_by == pid { namespace } else { read() }
}

/// When process `pid` started, in clock ticks since the machine did; nothing for one that has ended, a zombie included, and
/// nothing where the system does not say.
pub(crate) fn start_of(pid: u32) -> Option<u64> {
    let (state, start) = read_stat(pid)?;
    (!is_over(state)).then_some(start)
}

fn is_over(state: u8) -> bool {
    matches!(state, b'Z' | b'X' | b'x')
}

/// State and start time of process `pid`.
fn read_stat(pid: u32) -> Option<(u8, u64)> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold any, so count from the last one.
    let rest = &stat[stat.iter().rposition(|byte| *byte == b')')? + 1..];
    let mut fields = rest.split(|byte| *byte == b' ').skip(1);
    let state = *fields.next()?.first()?;
    // The start time is field 22, the state is field 3.
    let start = std::str::from_utf8(fields.nth(18)?).ok()?.parse().ok()?;
    Some((state, start))
}

/// Whether `process` has been stopped by a signal or by a debugger, as far as can be seen.
pub(crate) fn is_stopped(process: Process) -> bool {
    let ours = namespace();
    let here = ours != 0 && process.namespace == ours;
    here && matches!(read_stat(process.pid), Some((b'T' | b't', start)) if start == process.start)
}

/// Whether `process` lives.
pub(crate) fn judge(process: Process) -> Judgement {
    let ours = namespace();
    if process.namespace == 0 || ours == 0 || process.namespace != ours {
        return Judgement::Unknown;
    }
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else {
        return Judgement::Dead;
    };
    match read_stat(process.pid) {
        Some((state, start)) if is_over(state) || start != process.start => Judgement::Dead,
        Some(_) => Judgement::Alive,
        // Not there, or hidden from us.
        None if test_kill_process(pid) == Err(Errno::SRCH) => Judgement::Dead,
        None => Judgement::Alive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_live_and_one_with_another_start_does_not() {
        let own = own();
        assert_ne!(own.namespace, 0);
        assert_eq!(judge(own), Judgement::Alive);
        assert_eq!(judge(Process { start: own.start + 1, ..own }), Judgement::Dead);
        assert_eq!(judge(Process { namespace: own.namespace + 1, ..own }), Judgement::Unknown);
        assert_eq!(judge(Process { pid: 0, ..own }), Judgement::Dead);
    }

    #[test]
    fn a_zombie_is_dead() {
        let mut child = std::process::Command::new("true").spawn().expect("true");
        let process = of(child.id());
        let pid = Pid::from_child(&child);
        // Waits for its end and leaves it a zombie.
        rustix::process::waitid(
            rustix::process::WaitId::Pid(pid),
            rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
        )
        .expect("our child");
        assert_eq!(judge(process), Judgement::Dead);
        child.wait().expect("our child");
        assert_eq!(judge(process), Judgement::Dead);
    }
}
