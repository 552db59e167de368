//! A folder with a semaphore in it, builds whose jobs meet the test, and the log of what ran when.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use gatepost_shared::{Observer, Options, Semaphore, Status};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;

/// After this long a test gives up. No test that passes waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// The semaphore of all tests, each in a folder of its own.
pub(crate) const NAME: &str = "cores";

/// What a build could find in the environment of the tests, which may be run by a build themselves.
const FOREIGN: [&str; 17] = [
    "MAKEFLAGS",
    "MFLAGS",
    "GNUMAKEFLAGS",
    "MAKELEVEL",
    "CARGO_MAKEFLAGS",
    "CARGO_BUILD_JOBS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_INCREMENTAL",
    "GATEPOST_HELD",
    "GATEPOST_SEM",
    "NINJA_STATUS",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "XDG_RUNTIME_DIR",
];

/// The folder.
#[derive(Debug)]
pub(crate) struct Stage {
    dir: TempDir,
    said: File,
    go: File,
}

/// A program that ran to its end.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) err: String,
}

/// A job that has said its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) pid: i32,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let pipe = |name: &str| {
            let path = dir.path().join(name);
            mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a named pipe");
            // Both ends, so that no job waits in `open`.
            File::options().read(true).write(true).open(path).expect("it opens")
        };
        let (said, go) = (pipe("said"), pipe("go"));
        std::fs::create_dir(dir.path().join("semaphores")).expect("a folder");
        std::fs::write(dir.path().join("log"), "").expect("a file");
        Self { dir, said, go }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
        std::fs::write(&path, text).expect("it is written");
        let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its mode is set");
        path
    }

    fn options(&self) -> Options {
        Options::new().directory(self.path("semaphores"))
    }

    pub(crate) fn semaphore(&self, limit: u32) -> Semaphore {
        Semaphore::open(NAME, &self.options().limit(limit)).expect("it opens")
    }

    /// The semaphore as it is, after what dead processes hold was taken back.
    pub(crate) fn status(&self) -> Status {
        // A session of ours for a moment: only sessions reclaim.
        let semaphore = Semaphore::open(NAME, &self.options()).expect("it is there");
        semaphore.reclaim().expect("it works");
        semaphore.status().expect("it can be seen")
    }

    /// Waits until the semaphore is as wanted.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&Status) -> bool) -> Status {
        let observer = Observer::open(NAME, &self.options()).expect("it is there");
        let begun = std::time::Instant::now();
        loop {
            let status = observer.status().expect("it can be seen");
            if is_so(&status) {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: {status:#?}");
            observer.wait_change(Duration::from_millis(200));
        }
    }

    /// `gatepost` with these arguments, in the folder.
    pub(crate) fn gatepost<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatepost"));
        command.args(arguments).current_dir(self.dir.path());
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
            .env("GATEPOST_DIR", self.path("semaphores"))
            .env("TMPDIR", self.dir.path())
            .env("STAGE", self.dir.path())
            .env("JOB", job_command())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// The bridge, with these options, and the words of the build.
    pub(crate) fn bridge<S: AsRef<OsStr>>(&self, options: &str, build: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.gatepost(["jobserver", "run", "--sem", NAME]);
        command.args(options.split_whitespace()).arg("--").args(build);
        command
    }

    /// A Makefile with so many jobs that do not depend on each other, named `make1` and so on.
    pub(crate) fn makefile(&self, count: usize) -> [OsString; 3] {
        let names: Vec<String> = (1..=count).map(|n| format!("make{n}")).collect();
        let rules: String = names.iter().map(|name| format!("{name}:\n\t@NAME=$@ $(JOB)\n")).collect();
        let path = self.write("make/Makefile", &format!("all: {0}\n.PHONY: all {0}\n{rules}", names.join(" ")));
        ["make".into(), "-C".into(), path.parent().expect("a folder").into()]
    }

    /// The same for ninja.
    pub(crate) fn ninja(&self, ninja: &Path, count: usize) -> [OsString; 3] {
        let builds: String = (1..=count).map(|n| format!("build ninja{n}: job\n")).collect();
        let path = self.write("ninja/build.ninja", &format!("rule job\n  command = NAME=$out $$JOB\n{builds}"));
        [ninja.into(), "-C".into(), path.parent().expect("a folder").into()]
    }

    /// The next job that says its name.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> Job {
        self.hear_within(PATIENCE).expect("a job begins")
    }

    /// The next job that says its name, if one does in time.
    pub(crate) fn hear_within(&mut self, patience: Duration) -> Option<Job> {
        let mut line = Vec::new();
        loop {
            // A line is written in one piece.
            let patience = if line.is_empty() { patience } else { PATIENCE };
            if !is_ready(&self.said, patience) {
                return None;
            }
            let mut byte = [0];
            self.said.read_exact(&mut byte).expect("it is readable");
            if byte == *b"\n" {
                let line = String::from_utf8(line).expect("it is text");
                let (name, pid) = line.split_once(' ').expect("a name and a number");
                return Some(Job { name: name.to_owned(), pid: pid.parse().expect("a number") });
            }
            line.push(byte[0]);
        }
    }

    /// Lets so many jobs end, whichever come first.
    pub(crate) fn release(&mut self, count: usize) {
        self.go.write_all(&b"+".repeat(count)).expect("the pipe has room");
    }

    /// Waits until another build is in line, and ends jobs, of which `running` run, until it has begun one of its own, named
    /// `prefix` and so on. How many run then.
    pub(crate) fn let_in(&mut self, prefix: &str, running: usize) -> usize {
        self.wait_until("it is in line, or has begun", |status| {
            let implicit = status.waiters.iter().any(|waiter| waiter.label.ends_with(": implicit)"));
            implicit || status.holders.iter().filter(|holder| holder.label.ends_with(": implicit)")).count() > 1
        });
        let mut running = running;
        loop {
            // Either a job takes its place, or its token goes to the other build.
            if running > 0 {
                self.release(1);
                running -= 1;
            }
            running += 1;
            if self.hear().name.starts_with(prefix) {
                return running;
            }
        }
    }

    /// Lets jobs begin and end until `builds` have ended, always as many of them at one time as come by themselves, up to
    /// `most`.
    pub(crate) fn conduct(&mut self, most: usize, running: usize, builds: &mut [Child]) {
        let mut running = running;
        let begun = std::time::Instant::now();
        while builds.iter_mut().any(|build| build.try_wait().expect("it can be waited for").is_none()) {
            assert!(begun.elapsed() < PATIENCE, "the builds do not end: {}", self.log_text());
            // There may be no more to come, or not before one of those has ended.
            match self.hear_within(Duration::from_millis(if running < most { 100 } else { 0 })) {
                Some(_) => running += 1,
                None if running > 0 => {
                    self.release(1);
                    running -= 1;
                }
                None => {}
            }
        }
    }

    fn log_text(&self) -> String {
        std::fs::read_to_string(self.path("log")).expect("the log is there")
    }

    /// What happened: `(time, +1 or -1, name)`, in the order of time.
    pub(crate) fn log(&self) -> Vec<(u64, i32, String)> {
        let mut log: Vec<_> = self.log_text().lines().map(parse).collect();
        // At one time, a beginning first: the stricter reading.
        log.sort_by_key(|(time, step, _)| (*time, -step));
        log
    }

    /// How many jobs ran at one time, at most.
    pub(crate) fn most_at_once(&self) -> i32 {
        let mut running = 0;
        self.log()
            .iter()
            .map(|(_, step, _)| {
                running += step;
                running
            })
            .max()
            .unwrap_or(0)
    }

    /// How many jobs whose name begins with `prefix` began.
    pub(crate) fn begun(&self, prefix: &str) -> usize {
        self.log().iter().filter(|(_, step, name)| *step > 0 && name.starts_with(prefix)).count()
    }

    /// How often it was another build's turn to begin a job.
    pub(crate) fn turns(&self) -> usize {
        let kind = |name: &str| name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        let log = self.log();
        let begun: Vec<_> = log.iter().filter(|(_, step, _)| *step > 0).map(|(_, _, name)| kind(name)).collect();
        begun.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }
}

fn parse(line: &str) -> (u64, i32, String) {
    let mut words = line.split(' ');
    let time = words.next().and_then(|word| word.parse().ok()).expect("a time");
    let step = words.next().and_then(|word| word.parse().ok()).expect("a step");
    (time, step, words.next().expect("a name").to_owned())
}

/// The command of a job, for a shell.
fn job_command() -> OsString {
    let mut command = std::env::current_exe().expect("this program").into_os_string();
    command.push(" --exact stage::a_job --ignored --quiet >/dev/null 2>&1");
    command
}

/// A job of a build: `$NAME` in `$STAGE`. With `$STEP` only the beginning or the end of one.
#[test]
#[ignore = "a part of the builds"]
fn a_job() {
    let Some(dir) = std::env::var_os("STAGE").map(PathBuf::from) else { return };
    let name = std::env::var("NAME").expect("a name");
    let note = |step: i32| {
        let now = clock_gettime(ClockId::Monotonic);
        let line = format!("{} {step} {name}\n", now.tv_sec * 1_000_000_000 + now.tv_nsec);
        let mut log = OpenOptions::new().append(true).open(dir.join("log")).expect("the log is there");
        // In one piece: others write, too.
        assert_eq!(log.write(line.as_bytes()).expect("it is written"), line.len());
    };
    let step = std::env::var("STEP").unwrap_or_default();
    if step != "end" {
        note(1);
        let mut said = OpenOptions::new().write(true).open(dir.join("said")).expect("the test is there");
        let pid = if step == "begin" {
            rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get())
        } else {
            std::process::id() as i32
        };
        said.write_all(format!("{name} {pid}\n").as_bytes()).expect("the test hears");
        File::open(dir.join("go")).expect("it opens").read_exact(&mut [0]).expect("the test lets it end");
    }
    if step != "begin" {
        note(-1);
    }
}

/// Waits until `file` is readable.
pub(crate) fn is_ready(file: impl AsFd, patience: Duration) -> bool {
    let timeout = Timespec::try_from(patience).expect("a short time");
    poll(&mut [PollFd::new(&file, PollFlags::IN)], Some(&timeout)).expect("poll works") > 0
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
        let Output { status, stderr, .. } = child.wait_with_output().expect("it can be waited for");
        drop(done);
        let status = status.code().unwrap_or_else(|| -status.signal().expect("a signal"));
        Ran { status, err: String::from_utf8_lossy(&stderr).into_owned() }
    })
}

/// Starts `command` and waits for its end.
pub(crate) fn run(mut command: Command) -> Ran {
    finish(command.spawn().expect("the program starts"))
}

/// Waits until the process `pid` has ended, whoever's child it is.
#[track_caller]
pub(crate) fn wait_for_end(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a number")).expect("a process");
    // If there is none, it has ended.
    if let Ok(end) = pidfd_open(pid, PidfdFlags::empty()) {
        assert!(is_ready(&end, PATIENCE), "{pid:?} does not end");
    }
}

/// A ninja that takes tokens, if there is one here: `$GATEPOST_NINJA`, or one in PATH of version 1.13 or later.
///
/// `GATEPOST_REQUIRE_NINJA=1` makes its absence an error.
pub(crate) fn ninja() -> Option<PathBuf> {
    let named = std::env::var_os("GATEPOST_NINJA").map(PathBuf::from);
    let ninja = named.unwrap_or_else(|| PathBuf::from("ninja"));
    let output = Command::new(&ninja).arg("--version").output().ok();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let mut numbers = text.split('.').map(|number| number.trim().parse::<u32>().unwrap_or(0));
    if (numbers.next(), numbers.next()) >= (Some(1), Some(13)) {
        return Some(ninja);
    }
    let required = std::env::var_os("GATEPOST_REQUIRE_NINJA").is_some_and(|value| value == "1");
    assert!(!required, "GATEPOST_REQUIRE_NINJA is set and there is no ninja 1.13: {ninja:?} says {text:?}");
    eprintln!("left out: there is no ninja 1.13 or later (GATEPOST_NINJA names one); {ninja:?} says {text:?}");
    None
}

/// Whether this ninja is one that understands the pipe style, too.
pub(crate) fn reads_pipes(ninja: &Path) -> bool {
    let output = Command::new(ninja).arg("--version").output().expect("it was there");
    String::from_utf8_lossy(&output.stdout).contains("jobserver-pipe")
}
