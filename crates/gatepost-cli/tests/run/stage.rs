//! What the tests stand on: a folder of semaphores of their own, and meeting commands at agreed points.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use gatepost_shared::{Observer, Options, Status};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tempfile::TempDir;

/// After this long a test gives up. No test that passes waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a program came to.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The status that a shell shows.
    pub(crate) status: i32,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Asserts that the program ended with `status` and said all of `words` on standard error.
    #[track_caller]
    pub(crate) fn says(&self, status: i32, words: &[&str]) {
        assert_eq!(self.status, status, "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in: {}", self.err);
        }
    }
}

/// The arguments in `line`, which spaces separate.
pub(crate) fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// A folder of semaphores, with two named pipes at which commands meet the test: they say something by `echo … > said`, and
/// wait for the test by `read _ < go`.
#[derive(Debug)]
pub(crate) struct Stage {
    dir: TempDir,
    said: File,
    go: File,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let pipe = |name: &str| {
            let path = dir.path().join(name);
            mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a named pipe");
            File::options().read(true).write(true).open(path).expect("both ends of it")
        };
        let (said, go) = (pipe("said"), pipe("go"));
        Self { dir, said, go }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `command` in this folder, with nothing of the environment that is ours.
    fn here(&self, mut command: Command) -> Command {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GATEPOST_") {
                command.env_remove(name);
            }
        }
        command
            .env_remove("CARGO_MAKEFLAGS")
            .env_remove("MAKEFLAGS")
            .env_remove("MFLAGS")
            .env_remove("GNUMAKEFLAGS")
            .env_remove("MAKELEVEL")
            .env_remove("CUDA_VISIBLE_DEVICES")
            .env("GATEPOST_DIR", self.dir.path())
            .env("GATEPOST", env!("CARGO_BIN_EXE_gatepost"))
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The program with the arguments in `line`.
    pub(crate) fn gatepost(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatepost"));
        command.args(words(line));
        self.here(command)
    }

    /// A shell with `script`, in which `$GATEPOST` is the program.
    pub(crate) fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        self.here(command)
    }

    /// `gatepost run` with the options in `line`, of `script` in a shell.
    pub(crate) fn run_sh(&self, line: &str, script: &str) -> Command {
        let mut command = self.gatepost(&format!("run {line} -- sh -c"));
        command.arg(script);
        command
    }

    /// Runs the program with the arguments in `line`.
    pub(crate) fn complete(&self, line: &str) -> Ran {
        finish(start(&mut self.gatepost(line)))
    }

    /// Makes the semaphore `name`, with this limit.
    pub(crate) fn make(&self, name: &str, limit: u32) {
        self.complete(&format!("run --sem {name} --limit {limit} -- true")).says(0, &[]);
    }

    /// Starts a run that holds `permits` of `name` until it is released, or ends; it is there when this returns.
    pub(crate) fn hold(&mut self, name: &str, permits: u32) -> Child {
        let child = start(&mut self.run_sh(&format!("--sem {name}={permits}"), "echo holds > said; read _ < go"));
        assert_eq!(self.hear(), "holds");
        child
    }

    /// The next line that a command says.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> String {
        next_line(&mut self.said)
    }

    /// Whether all that was said has been heard.
    pub(crate) fn is_silent(&self) -> bool {
        !is_ready(&self.said, Duration::ZERO)
    }

    /// Lets a command go on.
    pub(crate) fn release(&mut self) {
        self.go.write_all(b"\n").expect("the pipe has room");
    }

    /// Lets `child` go on and waits for its end.
    pub(crate) fn let_finish(&mut self, child: Child) -> Ran {
        self.release();
        finish(child)
    }

    /// The state of `name`.
    #[track_caller]
    pub(crate) fn status(&self, name: &str) -> Status {
        self.observer(name).status().expect("a state")
    }

    fn observer(&self, name: &str) -> Observer {
        Observer::open(name, &Options::new().directory(self.dir.path())).expect("the semaphore is there")
    }

    /// Waits until the state of `name` is as `wanted`.
    #[track_caller]
    pub(crate) fn until(&self, name: &str, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        let (observer, begun) = (self.observer(name), Instant::now());
        loop {
            let status = observer.status().expect("a state");
            if wanted(&status) {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "not {what}: {status:?}");
            observer.wait_change(Duration::from_millis(100));
        }
    }

    /// Waits until so many wait for `name`.
    #[track_caller]
    pub(crate) fn until_waiting(&self, name: &str, waiting: usize) {
        self.until(name, "in the queue", |status| status.waiters.len() == waiting);
    }

    /// Waits until `child` has ended, and leaves it as it is.
    pub(crate) fn until_ended(&self, child: &Child) {
        let end = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).expect("it is our child");
        assert!(is_ready(end, PATIENCE), "it goes on");
    }

    /// Asserts that `name` is as if nobody had ever used it: nothing that somebody has, and nobody in the queue.
    #[track_caller]
    pub(crate) fn is_untouched(&self, name: &str) {
        self.complete(&format!("wait {name} --idle --timeout 60")).says(0, &[]);
    }
}

/// Starts `command`.
pub(crate) fn start(command: &mut Command) -> Child {
    command.spawn().expect("the program starts")
}

/// Starts `command` and waits for its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    finish(start(command))
}

/// Waits for the end of `child`, and kills it when that takes too long.
#[track_caller]
pub(crate) fn finish(child: Child) -> Ran {
    let pid = Pid::from_child(&child);
    let (done, watchdog) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if watchdog.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        let Output { status, stdout, stderr } = child.wait_with_output().expect("it can be waited for");
        drop(done);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let shown = status.code().or(status.signal().map(|signal| 128 + signal)).expect("one of both");
        Ran { status: shown, signal: status.signal(), out: text(stdout), err: text(stderr) }
    })
}

/// The next line from `pipe`.
#[track_caller]
pub(crate) fn next_line(pipe: &mut (impl Read + AsFd)) -> String {
    let mut line = Vec::new();
    loop {
        assert!(is_ready(&*pipe, PATIENCE), "nothing comes; so far {line:?}");
        let mut byte = [0];
        pipe.read_exact(&mut byte).expect("it is readable");
        match byte {
            [b'\n'] => return String::from_utf8(line).expect("it is text"),
            [byte] => line.push(byte),
        }
    }
}

/// Waits until `file` can be read, or is at its end.
pub(crate) fn is_ready(file: impl AsFd, patience: Duration) -> bool {
    let timeout = Timespec::try_from(patience).expect("a short time");
    let mut set = [PollFd::new(&file, PollFlags::IN)];
    poll(&mut set, Some(&timeout)).expect("poll works") > 0
}

/// Sends `signal` to a program.
#[track_caller]
pub(crate) fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("the program is there");
}

/// A process that is not our child, seen to its end.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) pid: Pid,
    end: std::os::fd::OwnedFd,
}

impl Seen {
    /// The process with the number in `text`.
    #[track_caller]
    pub(crate) fn new(text: &str) -> Self {
        let pid = text.trim().parse().ok().and_then(Pid::from_raw).unwrap_or_else(|| panic!("{text:?} is no process"));
        Self { pid, end: pidfd_open(pid, PidfdFlags::empty()).expect("the process is there") }
    }

    pub(crate) fn is_there(&self) -> bool {
        !is_ready(&self.end, Duration::ZERO)
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ends(&self) {
        assert!(is_ready(&self.end, PATIENCE), "it does not end");
    }

    pub(crate) fn kill(&self) {
        kill_process(self.pid, Signal::KILL).expect("the process is there");
    }
}

/// Writes an executable script.
pub(crate) fn script(path: &Path, text: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).expect("the file is written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("its mode is set");
}
