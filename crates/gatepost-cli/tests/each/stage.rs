//! What the tests stand on: running the program, and meeting its jobs at agreed points.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// After this long a test gives up. No test that passes waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program, about to be run with `each` and these arguments.
pub(crate) fn each<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatepost"));
    command.arg("each").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).expect("the output is text")
    }

    /// The lines of the output, sorted, for jobs that end in any order.
    pub(crate) fn sorted(&self) -> Vec<&str> {
        let mut lines: Vec<_> = self.text().lines().collect();
        lines.sort_unstable();
        lines
    }

    /// Asserts that the program failed in its own right and said all of `words`.
    #[track_caller]
    pub(crate) fn refuses(&self, words: &[&str]) {
        assert_eq!(self.status, 125, "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in: {}", self.err);
        }
    }
}

/// The arguments in `line`, which spaces separate.
pub(crate) fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// The arguments to run `script` in a shell for each of `items`.
pub(crate) fn sh(options: &str, script: &str, items: &str) -> Vec<String> {
    [sh_each(options, script), words(":::"), words(items)].concat()
}

/// The arguments to run `script` in a shell for each item that is read.
pub(crate) fn sh_each(options: &str, script: &str) -> Vec<String> {
    [words(options), words("-- sh -c"), vec![script.to_owned()]].concat()
}

/// Runs `each` with `arguments` and nothing to read.
pub(crate) fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Ran {
    finish(each(arguments).spawn().expect("the program starts"))
}

/// Runs `each` with `arguments` and `input` to read.
pub(crate) fn run_on<S: AsRef<OsStr>>(input: &[u8], arguments: impl IntoIterator<Item = S>) -> Ran {
    feed(&mut each(arguments), input)
}

/// Runs `command` with `input` to read.
pub(crate) fn feed(command: &mut Command, input: &[u8]) -> Ran {
    let (child, mut stdin) = start_fed(command);
    thread::scope(|scope| {
        // A program that ends before it has read everything closes the pipe.
        scope.spawn(move || stdin.write_all(input).ok());
        finish(child)
    })
}

/// Starts `command` and waits for its end.
pub(crate) fn complete(command: &mut Command) -> Ran {
    finish(command.spawn().expect("the program starts"))
}

/// Starts `command` with an input that stays open until it is dropped.
pub(crate) fn start_fed(command: &mut Command) -> (Child, ChildStdin) {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the program starts");
    let stdin = child.stdin.take().expect("a pipe");
    (child, stdin)
}

/// The numbers from 1 to `last`, as items.
pub(crate) fn up_to(last: usize) -> String {
    (1..=last).map(|n| format!("{n} ")).collect()
}

/// Waits for the end of `child`, and kills it when that takes too long.
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
        Ran { status: code(status), out: stdout, err: String::from_utf8_lossy(&stderr).into_owned() }
    })
}

/// The exit status; a program that was killed has none, and its test has failed.
#[track_caller]
fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| panic!("the program was ended by signal {:?}", status.signal()))
}

/// The next line that the program itself, or a job through it, writes to `pipe`.
#[track_caller]
pub(crate) fn next_line(pipe: &mut (impl Read + AsFd)) -> String {
    let mut line = Vec::new();
    loop {
        assert!(is_ready(&*pipe, PollFlags::IN, PATIENCE), "nothing comes; so far {line:?}");
        let mut byte = [0];
        pipe.read_exact(&mut byte).expect("it is readable");
        match byte {
            [b'\n'] => return String::from_utf8(line).expect("it is text"),
            [byte] => line.push(byte),
        }
    }
}

/// Sends `signal` to the program.
pub(crate) fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("the program is there");
}

/// A directory with two named pipes, at which jobs meet the test.
///
/// The test holds both ends of both, so no job waits in `open`.
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

    /// `each` in the directory of the stage, so that jobs say something by `echo something > said`, and wait for the
    /// test by `read _ < go`.
    pub(crate) fn each<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = each(arguments);
        command.current_dir(self.dir.path());
        command
    }

    /// Starts `each` in the directory of the stage.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Child {
        self.each(arguments).spawn().expect("the program starts")
    }

    /// The next line that a job says.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> String {
        next_line(&mut self.said)
    }

    /// The next `count` lines, sorted, for jobs that may come in any order.
    #[track_caller]
    pub(crate) fn hear_sorted(&mut self, count: usize) -> Vec<String> {
        let mut lines: Vec<_> = (0..count).map(|_| self.hear()).collect();
        lines.sort_unstable();
        lines
    }

    /// Whether all that was said has been heard.
    pub(crate) fn is_silent(&self) -> bool {
        !is_ready(&self.said, PollFlags::IN, Duration::ZERO)
    }

    /// Lets `count` jobs go on, whichever come first.
    pub(crate) fn release(&mut self, count: usize) {
        self.go.write_all("\n".repeat(count).as_bytes()).expect("the pipe has room");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes an executable shell script and returns its path.
    pub(crate) fn script(&self, name: &str, text: &str) -> OsString {
        self.file(name, text.as_bytes(), 0o755).into()
    }

    /// Writes a file.
    pub(crate) fn file(&self, name: &str, content: &[u8], mode: u32) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        std::fs::write(&path, content).expect("the file is written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its mode is set");
        path
    }
}

/// Waits until `file` is ready.
pub(crate) fn is_ready(file: impl AsFd, what: PollFlags, patience: Duration) -> bool {
    let timeout = Timespec::try_from(patience).expect("a short time");
    let mut set = [PollFd::new(&file, what)];
    poll(&mut set, Some(&timeout)).expect("poll works") > 0
}

pub(crate) fn lines_of(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).expect("the file is there").lines().map(str::to_owned).collect()
}
