//! What the tests share: a folder of its own for each, the bytes of a semaphore's file, and other processes.
//!
//! Another process is this test binary, started again with the test that is called [`AS_CHILD`] in its `main.rs` and nothing
//! else: it opens the semaphore that its environment names, does what is written to it line by line, and answers each line
//! with one.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::fs::File;
use std::future::Future as _;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use gatepost_shared::{Observer, Options, Permit, Semaphore, Status};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How long anything may take before a test gives it up: far more than it needs.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A folder for the semaphores of one test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn options(&self) -> Options {
        Options::new().directory(self.0.path())
    }

    /// A new semaphore, `s`, or another session of it.
    pub(crate) fn open(&self, limit: u32) -> Semaphore {
        Semaphore::open("s", &self.options().limit(limit)).expect("a semaphore")
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("s.gate")
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn bytes(&self) -> Bytes {
        Bytes(File::options().read(true).write(true).open(self.path()).expect("the file"))
    }

    /// Waits until the semaphore looks as `is` says.
    pub(crate) fn until(&self, is: impl Fn(&Status) -> bool) -> Status {
        let observer = Observer::open("s", &self.options()).expect("an observer");
        let deadline = Instant::now() + LONG;
        loop {
            let status = observer.status().expect("a look");
            if is(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "it never came to that: {status:#?}");
            observer.wait_change(Duration::from_millis(100));
        }
    }

    pub(crate) fn until_waiters(&self, count: usize) -> Status {
        self.until(|status| status.waiters.len() == count)
    }
}

/// Where things are in the file: written down a second time, since the places are a promise to other versions.
pub(crate) mod at {
    pub(crate) const LOCK: u64 = 0x80;
    pub(crate) const SEQ: u64 = 0x88;
    pub(crate) const POISON: u64 = 0x8C;
    pub(crate) const CONFIG: u64 = 0xC0;
    pub(crate) const SERIAL: u64 = 0xC8;
    pub(crate) const NEXT_EVENT: u64 = 0xD0;
    pub(crate) const USED: u64 = 0x100;
    pub(crate) const HELD: u64 = 0x104;
    pub(crate) const FREE_GRANT: u64 = 0x10C;
    pub(crate) const FREE_WAITER: u64 = 0x110;
    pub(crate) const HEAD: u64 = 0x114;
    pub(crate) const TAIL: u64 = 0x118;
    pub(crate) const SESSIONS: u64 = 0x1000;
    pub(crate) const GRANTS: u64 = SESSIONS + 1024 * 64;
    pub(crate) const SLOTS: u64 = GRANTS + 1024 * 192;
    pub(crate) const WAITERS: u64 = SLOTS + 1024 * 16;
    pub(crate) const EVENTS: u64 = WAITERS + 1024 * 192;
    pub(crate) const END: u64 = EVENTS + 512 * 192;

    pub(crate) fn grant(index: u64) -> u64 {
        GRANTS + index * 192
    }

    pub(crate) fn waiter(index: u64) -> u64 {
        WAITERS + index * 192
    }
}

/// The bytes of the file, as anybody may write them who may write it.
pub(crate) struct Bytes(pub(crate) File);

impl Bytes {
    pub(crate) fn u64_at(&self, at: u64) -> u64 {
        let mut raw = [0; 8];
        self.0.read_exact_at(&mut raw, at).expect("a word");
        u64::from_le_bytes(raw)
    }

    pub(crate) fn u32_at(&self, at: u64) -> u32 {
        let mut raw = [0; 4];
        self.0.read_exact_at(&mut raw, at).expect("a word");
        u32::from_le_bytes(raw)
    }

    pub(crate) fn put_u64(&self, at: u64, value: u64) {
        self.0.write_all_at(&value.to_le_bytes(), at).expect("a word");
    }

    pub(crate) fn put_u32(&self, at: u64, value: u32) {
        self.0.write_all_at(&value.to_le_bytes(), at).expect("a word");
    }

    pub(crate) fn flip(&self, bit: u64) {
        let mut byte = [0];
        self.0.read_exact_at(&mut byte, bit / 8).expect("a byte");
        byte[0] ^= 1 << (bit % 8);
        self.0.write_all_at(&byte, bit / 8).expect("a byte");
    }
}

/// Random numbers that can be had again.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// The next one below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // splitmix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31) % end
    }
}

/// A thread as a task: to be polled by hand.
pub(crate) struct Flag(std::sync::atomic::AtomicUsize, Thread);

impl Flag {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(0.into(), std::thread::current()))
    }

    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(std::sync::atomic::Ordering::Acquire)
    }

    /// Blocks until it has been woken `count` times; false: it was not.
    pub(crate) fn wait(&self, count: usize) -> bool {
        let deadline = Instant::now() + LONG;
        while self.count() < count {
            let now = Instant::now();
            if now >= deadline {
                return false;
            }
            std::thread::park_timeout(deadline - now);
        }
        true
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Release);
        self.1.unpark();
    }
}

const FOLDER: &str = "GATEPOST_TEST_FOLDER";

/// What the test that each `main.rs` names does: nothing, unless the process was started by [`Other::start`].
pub(crate) fn as_child() {
    as_child_with(|_, _| None);
}

/// As [`as_child`], with commands of its own.
pub(crate) fn as_child_with(own: impl Fn(&[&str], &Options) -> Option<String>) {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let options = Options::new().directory(folder).session_name("child");
    let mut semaphore: Option<Semaphore> = None;
    let mut permits: Vec<Permit> = Vec::new();
    for line in std::io::stdin().lines() {
        let line = line.expect("a line");
        let words: Vec<&str> = line.split(' ').collect();
        let number = || -> u64 { words[1].parse().expect("a number") };
        if let Some(answer) = own(&words, &options) {
            println!("\n@{answer}");
            continue;
        }
        let answer = match (words[0], &semaphore) {
            ("open", _) => match Semaphore::open(words[1], &options) {
                Ok(opened) => {
                    let (index, generation) = opened.session();
                    semaphore = Some(opened);
                    format!("session {index} {generation}")
                }
                Err(error) => format!("error {error}"),
            },
            ("from-fd", _) => {
                // SAFETY: whoever started us left this descriptor open for us, and nobody else here knows of it.
                let fd = unsafe { OwnedFd::from_raw_fd(number() as i32) };
                match Semaphore::from_fd(fd, &Options::new()) {
                    Ok(opened) => {
                        semaphore = Some(opened);
                        "session".to_owned()
                    }
                    Err(error) => format!("error {error}"),
                }
            }
            ("open-many", _) => {
                // Sessions until one more is refused.
                let mut all = Vec::new();
                let error = loop {
                    match Semaphore::open(words[1], &options) {
                        Ok(one) => all.push(one),
                        Err(error) => break error,
                    }
                    if all.len() == words[2].parse::<usize>().expect("a number") {
                        std::mem::forget(all);
                        break gatepost_shared::Error::Zero;
                    }
                };
                format!("error {error}")
            }
            ("acquire", Some(s)) => match s.acquire_many(number() as u32).label("child").wait_timeout(LONG) {
                Ok(permit) => {
                    permits.push(permit);
                    format!("got {}", permits.last().expect("it").id())
                }
                Err(error) => format!("error {error}"),
            },
            ("wait", Some(s)) => format!("{:?}", s.acquire().wait_timeout(Duration::from_millis(number()))),
            ("poll", Some(s)) => {
                let mut acquire = std::pin::pin!(s.acquire());
                let mut context = std::task::Context::from_waker(Waker::noop());
                format!("{:?}", acquire.as_mut().poll(&mut context))
            }
            ("files" | "memory", _) => {
                let resource = if words[0] == "files" { Resource::Nofile } else { Resource::As };
                let old = getrlimit(resource);
                let current = if words[1] == "all" { old.maximum } else { Some(number()) };
                setrlimit(resource, Rlimit { current, ..old }).expect("a lower limit of its own");
                "limited".to_owned()
            }
            ("release", Some(_)) => {
                let permit = permits.remove(0);
                format!("released {:?}", permit.release())
            }
            ("leave", Some(_)) => format!("left {}", permits.remove(0).leave()),
            ("keep", Some(_)) => format!("{:?}", permits[0].keep(number() as u32)),
            ("lease", Some(_)) => format!("{:?}", permits[0].lease(Duration::from_millis(number()))),
            ("held", Some(_)) => format!("{}", permits[0].is_held()),
            ("close", Some(_)) => {
                permits.clear();
                semaphore = None;
                "closed".to_owned()
            }
            (other, _) => panic!("no such command: {other}"),
        };
        // On a line of its own, whatever the harness has printed.
        println!("\n@{answer}");
    }
}

/// Another process. It is killed when the value is dropped.
pub(crate) struct Other {
    child: Child,
    stdin: ChildStdin,
    lines: BufReader<ChildStdout>,
}

impl Other {
    /// `test`: the full name of the test that calls [`as_child`].
    pub(crate) fn start(folder: &Folder) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["as_child", "--exact", "--nocapture", "--test-threads=1"]);
        command.env(FOLDER, folder.0.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("another process");
        let (stdin, stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        Self { child, stdin, lines: BufReader::new(stdout) }
    }

    /// One that has opened `s`.
    pub(crate) fn of(folder: &Folder) -> Self {
        let mut other = Self::start(folder);
        let answer = other.tell("open s");
        assert!(answer.starts_with("session"), "{answer}");
        other
    }

    /// Has it do something, and does not wait for the answer.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").expect("it reads");
    }

    /// The next answer.
    pub(crate) fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).expect("a line"), 0, "the other process has ended");
            if let Some(answer) = line.strip_prefix('@') {
                return answer.trim_end().to_owned();
            }
        }
    }

    pub(crate) fn tell(&mut self, line: &str) -> String {
        self.say(line);
        self.hear()
    }

    /// The names of its threads, as seen from here: it may be busy.
    pub(crate) fn threads(&self) -> String {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("/proc");
        // One that ends meanwhile has no name.
        let name =
            |task: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.ok()?.path().join("comm")).ok();
        tasks.filter_map(name).collect()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).expect("it is ours");
    }

    /// Kills it, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.end();
    }
}
