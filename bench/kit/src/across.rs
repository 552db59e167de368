//! What a semaphore must be able to do that processes share, and the processes that share it.
//!
//! The other processes are this program again: it starts itself with [`ARGUMENTS`] and a [`Role`] in the environment, and
//! whoever finds a role there calls [`be`](crate::cases::processes::be) with the peer that the role names. What they tell
//! each other beside the semaphore (that they are ready, when to go and to stop, what they have counted) is on one
//! [`Page`], a mapped file in the folder of the sample, which also holds what peers need for themselves.

use anyhow::{Context as _, Result, bail, ensure};
use crossbeam_utils::CachePadded;
use serde::{Deserialize, Serialize};
use std::ffi::{CString, OsStr};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::ops::Deref;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
use std::time::{Duration, Instant};

/// A semaphore that processes share.
pub trait Across: Sized + 'static {
    /// Its name in the tables, by which another process knows which peer to be.
    const NAME: &'static str;
    /// The most permits that it can have.
    const MOST: usize = usize::MAX;

    /// What is held; dropping it gives it back.
    type Permit<'a>
    where
        Self: 'a;

    /// Makes it, with `permits` free permits; it is taken away when this is dropped. `place` is a path that nothing is at.
    fn create(place: &Path, permits: usize) -> Result<Self>;

    /// The same one, in another process.
    fn open(place: &Path, permits: usize) -> Result<Self>;

    /// One permit, however long it takes.
    fn acquire(&self) -> Self::Permit<'_>;

    /// One permit, if one is free.
    fn try_acquire(&self) -> Option<Self::Permit<'_>>;
}

/// Makes one with as many permits as a case asks for.
pub(crate) fn create<S: Across>(place: &Path, permits: usize) -> Result<S> {
    ensure!(permits <= S::MOST, "it cannot have more than {} at a time", S::MOST);
    S::create(place, permits)
}

/// That exactly `permits` can be taken: what was acquired has come back, and nothing more.
pub(crate) fn check_permits<S: Across>(semaphore: &S, permits: usize) -> Result<()> {
    let held: Vec<_> = (0..permits).map_while(|_| semaphore.try_acquire()).collect();
    ensure!(held.len() == permits, "only {} of {permits} permits are there at the end", held.len());
    ensure!(semaphore.try_acquire().is_none(), "there are more than {permits} permits at the end");
    Ok(())
}

/// What another process does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Takes turns with its like until the page says to stop, with or without a look at how many are inside.
    Contend {
        /// Whether to look.
        audit: bool,
    },
    /// Passes permits of three semaphores to and fro with [`Part::Pong`], and measures.
    Ping {
        /// How long to do so before.
        warm_ns: u64,
        /// How long to measure.
        window_ns: u64,
    },
    /// The other one.
    Pong,
    /// Takes a permit and keeps it until it is killed.
    Hold,
    /// Takes a permit, writes down when it had it, and ends.
    Wait,
    /// Takes a permit and gives it back as soon as the process of that number, which has been told to go, sleeps.
    HoldUntilAsleep(u32),
    /// Waits to be killed, and touches no semaphore.
    Idle,
    /// Takes turns without a semaphore.
    Work,
}

/// What another process is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// [`Across::NAME`].
    pub peer: String,
    /// What to do.
    pub part: Part,
    /// Where the page and the semaphores are.
    pub folder: PathBuf,
    /// Which of its like it is.
    pub index: usize,
    /// How many permits there are.
    pub permits: usize,
}

/// Where a role stands in the environment of the process that plays it.
pub const ROLE: &str = "GATEPOST_BENCH_ROLE";

/// What this program is started with to play a role; `--be-process` unless it was set before the first start.
pub static ARGUMENTS: OnceLock<Vec<String>> = OnceLock::new();

impl Role {
    /// The role of this process, if it has one.
    pub fn of_this_process() -> Result<Option<Self>> {
        match std::env::var(ROLE) {
            Ok(role) => Ok(Some(serde_json::from_str(&role).with_context(|| format!("no role: {role}"))?)),
            Err(_) => Ok(None),
        }
    }
}

/// A folder for one sample, in memory if that can be; it goes when this is dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new one.
    pub fn new() -> Result<Self> {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let template = CString::new(parent.join("gatepost-bench-XXXXXX").into_os_string().into_vec())?;
        let template = template.into_raw();
        // SAFETY: a string of our own, which mkdtemp writes within its length.
        let failed = unsafe { libc::mkdtemp(template) }.is_null();
        let error = io::Error::last_os_error();
        // SAFETY: it comes from `into_raw`, and its length has not changed.
        let made = unsafe { CString::from_raw(template) };
        ensure!(!failed, "a folder in {} cannot be made: {error}", parent.display());
        Ok(Self(OsStr::from_bytes(made.as_bytes()).into()))
    }
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be taken away is the system's to clear.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The most processes that contend.
pub(crate) const MOST_WORKERS: usize = 8;

/// What processes tell each other. All zeros is how it begins.
#[repr(C)]
#[derive(Debug)]
pub struct Page {
    /// How many are ready.
    pub(crate) ready: AtomicU32,
    pub(crate) go: AtomicBool,
    pub(crate) stop: CachePadded<AtomicBool>,
    /// How many hold a permit: what an audit counts.
    pub(crate) inside: AtomicUsize,
    pub(crate) broken: AtomicBool,
    /// A figure of a process that measures, or the moment at which one that waits had its permit; 0 while there is none.
    pub(crate) figure: AtomicU64,
    pub(crate) workers: [CachePadded<Worker>; MOST_WORKERS],
}

/// What one worker has done.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) count: AtomicU64,
    /// How long a processor worked for it, how often it gave one up, and for how many turns: known at its end.
    pub(crate) cpu_ns: AtomicU64,
    pub(crate) switches: AtomicU64,
    pub(crate) turns: AtomicU64,
}

/// A page that is mapped here.
#[derive(Debug)]
pub struct Mapped(NonNull<Page>);

impl Mapped {
    /// Makes it in a folder that has none.
    pub fn create(folder: &Path) -> Result<Self> {
        let path = folder.join("page");
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = file.with_context(|| format!("{} cannot be made", path.display()))?;
        file.set_len(size_of::<Page>() as u64)?;
        Self::of(&file)
    }

    /// That of another process.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("page");
        let file = OpenOptions::new().read(true).write(true).open(&path);
        Self::of(&file.with_context(|| format!("{} cannot be opened", path.display()))?)
    }

    fn of(file: &File) -> Result<Self> {
        Ok(Self(map(file, size_of::<Page>())?.cast()))
    }
}

impl Page {
    /// Waits until so many are ready.
    pub fn wait_for_ready(&self, processes: u32) -> Result<()> {
        until(&mut [], Duration::from_secs(10), || self.ready.load(std::sync::atomic::Ordering::Relaxed) >= processes)
    }

    /// Lets the others go: from now on this process sleeps only where it waits for a permit.
    pub fn go(&self) {
        self.go.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Deref for Mapped {
    type Target = Page;

    fn deref(&self) -> &Page {
        // SAFETY: mapped for as long as this lives, as large as a page, which is made of atomics: any bytes are a page.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with that length; no reference outlives this.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<Page>()) };
    }
}

/// Maps the first `length` bytes of a file, shared; the caller unmaps them.
pub fn map(file: &File, length: usize) -> Result<NonNull<u8>> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let address =
        unsafe { libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    ensure!(address != libc::MAP_FAILED, "a file cannot be mapped: {}", io::Error::last_os_error());
    NonNull::new(address.cast()).context("mapped at address 0")
}

/// Another process; it is killed if it is dropped before its end.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts this program again, in that role.
    pub fn start(role: &Role) -> Result<Self> {
        let this = std::env::current_exe().context("this program cannot be found again")?;
        let arguments = ARGUMENTS.get_or_init(|| vec!["--be-process".to_owned()]);
        let mut command = Command::new(this);
        command.args(arguments).env(ROLE, serde_json::to_string(role)?);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Ok(Self(command.spawn().context("this program cannot be started again")?))
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Its end, if it has come; an error if it failed.
    pub fn has_ended(&mut self) -> Result<bool> {
        let Some(status) = self.0.try_wait()? else { return Ok(false) };
        self.must_have(status)?;
        Ok(true)
    }

    fn must_have(&mut self, status: ExitStatus) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        let mut said = String::new();
        if let Some(mut pipe) = self.0.stderr.take() {
            pipe.read_to_string(&mut said)?;
        }
        bail!("another process failed with {status}: {}", said.trim())
    }

    /// Waits for its end.
    pub fn end(mut self, patience: Duration) -> Result<()> {
        let start = Instant::now();
        while !self.has_ended()? {
            ensure!(start.elapsed() < patience, "a process never came to its end: a wake-up or a permit was lost");
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// Kills it, and says when: just before.
    pub fn kill(&mut self) -> Result<u64> {
        let moment = now();
        self.0.kill().context("a process cannot be killed")?;
        Ok(moment)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// Waits until something is so, and looks after `processes` meanwhile.
pub(crate) fn until(processes: &mut [Process], patience: Duration, is_so: impl Fn() -> bool) -> Result<()> {
    let start = Instant::now();
    while !is_so() {
        for process in &mut *processes {
            process.has_ended()?;
        }
        ensure!(start.elapsed() < patience, "another process does not get on: a wake-up or a permit was lost");
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(())
}

/// Whether the first thread of a process sleeps, as the kernel has it.
pub fn sleeps(process: u32) -> bool {
    // After the name, which is in parentheses and may hold anything.
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('S'))
}

/// Nanoseconds of a clock that all processes share.
pub fn now() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds of a clock of the system.
pub(crate) fn clock(which: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is this frame's.
    unsafe { libc::clock_gettime(which, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
