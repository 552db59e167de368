//! What the command has started, and what that has started in turn.
//!
//! A process may leave its group, but not its ancestry: with us as the subreaper, an orphan's parent is us.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Kills all our descendants, the children first and then theirs.
///
/// A descendant that forks meanwhile has a child that is missed; that becomes ours when its parent is reaped, and the
/// next call, after that, meets it.
pub(super) fn kill_descendants() {
    let mut found = children_of("self");
    while let Some(process) = found.pop() {
        // Read first: an orphan is elsewhere.
        found.extend(children_of(&process.as_raw_nonzero().to_string()));
        let _ = kill_process(process, Signal::KILL);
    }
}

/// The children of all threads of `process`.
fn children_of(process: &str) -> Vec<Pid> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .filter_map(Pid::from_raw)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn children_are_found() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("it starts");
        let found = children_of("self").contains(&Pid::from_child(&child));
        drop(child.stdin.take());
        child.wait().expect("it ends");
        assert!(found);
    }
}
