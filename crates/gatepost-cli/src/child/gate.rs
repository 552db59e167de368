//! The gate at which a command waits until it is granted to run.
//!
//! A permit must name the process that keeps it before that process runs, or a wrapper that is killed in between leaves a
//! command that runs without a permit. So the child waits between fork and exec:
//!
//! ```text
//!   us (the caller)        us (a thread)                 the child
//!   fork ─────────────────────────────────────────────> its own group; close its copy of the gate's far end
//!   waits for exec         read <──────── its number ── write
//!                          grant(number)                 read  (waits)
//!                          write ── a byte ───────────>  exec
//! ```
//! G1. The only writer of the gate is we: when we are gone, however that came, the child reads the end of the file and
//!     ends, without having run.
//! G2. Only one child at a time is between fork and exec; another one would have a copy of the far end, and the two
//!     would wait for each other.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::process::Pid;

use crate::system::Prelude;

/// Enough for two system calls and the grant.
const STACK: usize = 256 << 10;

/// What the child does besides.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extras<'a> {
    /// Descriptors that stay open in the program.
    pub(crate) inherit: &'a [OwnedFd],
    /// Whether it is killed when the thread that started it ends.
    pub(crate) die_with_parent: bool,
}

/// Why there is no child.
#[derive(Debug)]
pub(crate) enum Refusal<E> {
    /// The system says why.
    Start(io::Error),
    /// The grant says why.
    Grant(E),
}

/// Starts `command` in a process group of its own, once `grant` has agreed to the number of its process.
pub(crate) fn spawn<E: Send>(
    mut command: Command,
    extras: &Extras<'_>,
    grant: impl FnOnce(Pid) -> Result<(), E> + Send,
) -> Result<Child, Refusal<E>> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut named, name) = io::pipe().map_err(Refusal::Start)?;
    let (wait, mut open) = io::pipe().map_err(Refusal::Start)?;
    let prelude = Prelude {
        close: open.as_raw_fd(),
        pass_on: extras.inherit.iter().map(AsRawFd::as_raw_fd).collect(),
        die_with_parent: extras.die_with_parent,
        name,
        wait,
    };
    prelude.attach(command.process_group(0));

    // It has its end of the gate with it, and drops it when it refuses.
    let keeper = move || {
        let mut number = [0; 4];
        let Ok(()) = named.read_exact(&mut number) else {
            // There is no child, and `spawn` knows why.
            return Ok(());
        };
        let pid = i32::from_ne_bytes(number);
        // A process has a number above 0.
        let Some(pid) = Pid::from_raw(pid) else { return Ok(()) };
        grant(pid)?;
        // If the child is gone, so is the reader, and that is told by its end.
        let _ = open.write_all(&[1]);
        Ok(())
    };
    thread::scope(|scope| {
        let keeper = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, keeper).map_err(Refusal::Start)?;
        let spawned = command.spawn();
        // With it go our copies of the child's ends: without a child, the keeper reads the end of the file.
        drop(command);
        match keeper.join() {
            Ok(Ok(())) => spawned.map_err(Refusal::Start),
            Ok(Err(refused)) => {
                // It has ended at the gate.
                let _ = spawned.and_then(|mut child| child.wait());
                Err(Refusal::Grant(refused))
            }
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io::BufRead;
    use std::process::Stdio;
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{PidfdFlags, pidfd_open};

    use super::*;

    fn touch(path: &std::path::Path) -> Command {
        let mut command = Command::new("touch");
        command.arg(path).stdin(Stdio::null());
        command
    }

    #[test]
    fn the_grant_names_the_process_that_runs() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$"]).stdout(Stdio::piped());
        let mut named = None;
        let child = spawn(command, &Extras::default(), |pid| {
            named = Some(pid);
            Ok::<_, Infallible>(())
        });
        let child = child.unwrap_or_else(|refusal| panic!("{refusal:?}"));
        let output = child.wait_with_output().expect("it ends");
        let said: i32 = String::from_utf8(output.stdout).expect("text").trim().parse().expect("a number");
        assert_eq!(named.map(|pid| pid.as_raw_nonzero().get()), Some(said));
    }

    #[test]
    fn what_is_refused_does_not_run() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("ran");
        let refused = spawn(touch(&path), &Extras::default(), |_| Err("no"));
        assert!(matches!(refused, Err(Refusal::Grant("no"))), "{refused:?}");
        assert!(!path.exists());
    }

    #[test]
    fn a_signal_that_comes_at_the_gate_is_the_commands() {
        let _ours = crate::child::signals::Signals::new().expect("handlers");
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("ran");
        let child = spawn(touch(&path), &Extras::default(), |pid| {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)
        });
        let status = child.expect("it is at the gate").wait().expect("it ends");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
        assert!(!path.exists());
    }

    #[test]
    fn a_program_that_is_not_there_is_said_by_the_system() {
        let refused = spawn(Command::new("/no/such/program"), &Extras::default(), |_| Ok::<_, Infallible>(()));
        assert!(
            matches!(&refused, Err(Refusal::Start(error)) if error.kind() == io::ErrorKind::NotFound),
            "{refused:?}"
        );
    }

    #[test]
    fn many_threads_start_at_once() {
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..8 {
                        let child = spawn(Command::new("true"), &Extras::default(), |_| Ok::<_, Infallible>(()));
                        assert!(child.expect("it starts").wait().expect("it ends").success());
                    }
                });
            }
        });
    }

    /// Started by the test below as a process of its own: it says which child is at the gate, and never opens it.
    #[test]
    #[ignore = "a part of another test"]
    fn a_wrapper_that_hangs_before_it_opens_the_gate() {
        let Some(path) = std::env::var_os("GATEPOST_TEST_RAN") else { return };
        let _ = spawn(touch(std::path::Path::new(&path)), &Extras::default(), |pid| {
            println!("\nchild {}", pid.as_raw_nonzero());
            loop {
                thread::park();
            }
            #[allow(unreachable_code)]
            Ok::<_, Infallible>(())
        });
    }

    #[test]
    fn g1_a_wrapper_that_is_killed_before_it_opens_the_gate_leaves_nothing_that_runs() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("ran");
        let name = "child::gate::tests::a_wrapper_that_hangs_before_it_opens_the_gate";
        let mut wrapper = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", name, "--ignored", "--nocapture"])
            .env("GATEPOST_TEST_RAN", &path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = io::BufReader::new(wrapper.stdout.take().expect("a pipe")).lines();
        let child: i32 = lines
            .find_map(|line| line.expect("text").strip_prefix("child ").map(|pid| pid.parse().expect("a number")))
            .expect("the wrapper says it");
        let end = pidfd_open(Pid::from_raw(child).expect("a process"), PidfdFlags::empty()).expect("it is at the gate");
        wrapper.kill().expect("it is there");
        wrapper.wait().expect("it ends");
        let patience = Timespec::try_from(Duration::from_secs(60)).expect("a short time");
        let ended = poll(&mut [PollFd::new(&end, PollFlags::IN)], Some(&patience)).expect("poll works");
        assert_eq!(ended, 1, "the child waits at a gate that nobody will ever open");
        assert!(!path.exists(), "and it has not run");
    }
}
