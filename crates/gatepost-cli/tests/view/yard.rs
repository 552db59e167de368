//! What the tests stand on: a folder with semaphores that this process takes part in, and the program that looks at them.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use gatepost_shared::{Options, Permit, Semaphore};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// After this long a test gives up. No test that passes waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of semaphores.
#[derive(Debug)]
pub(crate) struct Yard {
    dir: TempDir,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Yard {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::new().expect("a temporary directory") }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn options(&self) -> Options {
        Options::new().directory(self.path())
    }

    pub(crate) fn semaphore(&self, name: &str, limit: u32) -> Semaphore {
        Semaphore::open(name, &self.options().limit(limit)).expect("a semaphore")
    }

    /// The program, about to be run on this folder and nothing of the user's.
    pub(crate) fn gatepost<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatepost"));
        command.args(arguments).env("GATEPOST_DIR", self.path()).env_remove("NO_COLOR").env_remove("XDG_RUNTIME_DIR");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ran {
        let output = self.gatepost(arguments).output().expect("the program runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Ran { status: code(output.status), out: text(output.stdout), err: text(output.stderr) }
    }
}

#[track_caller]
fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| panic!("the program was ended by signal {:?}", status.signal()))
}

/// Takes permits at once.
pub(crate) fn take(semaphore: &Semaphore, permits: u32, label: &str) -> Permit {
    semaphore.acquire_many(permits).label(label).wait_timeout(PATIENCE).expect("they are free")
}

/// Waits in a thread until `semaphore` has a waiter more, which goes away when the semaphore grants it or the test ends.
pub(crate) fn queue(semaphore: &Semaphore, permits: u32, label: &str) {
    let before = semaphore.status().expect("a status").waiters.len();
    let (theirs, label) = (semaphore.clone(), label.to_owned());
    thread::spawn(move || drop(theirs.acquire_many(permits).label(&label).wait_timeout(PATIENCE)));
    until("it waits", || semaphore.status().expect("a status").waiters.len() > before);
}

/// Looks again and again, until it is so.
#[track_caller]
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < end, "in vain: {what}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// A program that runs, and is killed when the test is over.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("the program is there");
    }

    /// Its exit status, or that of a shell if a signal ended it.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> i32 {
        let mut status = None;
        until("it ends", || {
            status = self.0.try_wait().expect("it can be waited for");
            status.is_some()
        });
        let status = status.expect("it has ended");
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lines of `pipe` as they come.
pub(crate) fn lines(pipe: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (tell, hear) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            if tell.send(line.expect("text")).is_err() {
                return;
            }
        }
    });
    hear
}
