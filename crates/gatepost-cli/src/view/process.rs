//! What `/proc` says of a process that the file names, if it is that process: the number alone proves nothing, since
//! numbers are used again and every PID namespace has its own.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use gatepost_shared::Process;

/// What could be seen of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its working directory.
    pub(crate) directory: Option<PathBuf>,
    /// Whether a signal or a debugger has stopped it.
    pub(crate) stopped: bool,
}

/// Looks at `process`; nothing if it cannot be shown to be the one that is meant.
pub(crate) fn look(process: Process) -> Option<Seen> {
    if process.start == 0 || process.namespace == 0 || own_namespace() != Some(process.namespace) {
        return None;
    }
    let before = state(process.pid)?;
    let directory = fs::read_link(format!("/proc/{}/cwd", process.pid)).ok();
    // Read before and after: the process may have ended, and its number may have gone to another, in between.
    let after = state(process.pid)?;
    let same = before.start == process.start && after.start == process.start;
    same.then_some(Seen { directory, stopped: after.stopped })
}

/// The PID namespace that this program sees through `/proc`.
pub(crate) fn own_namespace() -> Option<u64> {
    fs::metadata("/proc/self/ns/pid").ok().map(|namespace| namespace.ino())
}

/// Some of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct State {
    stopped: bool,
    start: u64,
}

fn state(pid: u32) -> Option<State> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name, in parentheses, may hold spaces and parentheses itself, so the fields are counted from its end.
fn parse(stat: &str) -> Option<State> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let stopped = matches!(fields.next()?, "T" | "t");
    // Field 22 of proc_pid_stat(5); the state was field 3.
    let start = fields.nth(18)?.parse().ok()?;
    Some(State { stopped, start })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Process {
        let pid = std::process::id();
        Process { pid, start: state(pid).expect("/proc").start, namespace: own_namespace().expect("/proc") }
    }

    #[test]
    fn a_process_is_seen_only_if_all_that_names_it_fits() {
        let seen = look(own()).expect("this process");
        assert_eq!(seen, Seen { directory: std::env::current_dir().ok(), stopped: false });
        let own = own();
        assert_eq!(look(Process { start: own.start + 1, ..own }), None);
        assert_eq!(look(Process { namespace: own.namespace + 1, ..own }), None);
        assert_eq!(look(Process { start: 0, ..own }), None);
        assert_eq!(look(Process { pid: u32::MAX, ..own }), None);
    }

    #[test]
    fn a_name_may_hold_what_separates_fields() {
        let line = "12 (a) T (b) T 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(parse(line), Some(State { stopped: true, start: 4711 }));
        assert_eq!(parse("12 (a) S 1"), None);
        assert_eq!(parse("nothing"), None);
    }
}
