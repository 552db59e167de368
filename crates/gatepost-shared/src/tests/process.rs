//! Forked processes that leave nothing behind, and waiting for what they do.

use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus};
use rustix::process::{kill_process, pidfd_open, waitid, waitpid};

/// How many seconds something may take, where a check is to find that it takes for ever.
pub(super) const PATIENCE: &str = "GATEPOST_TEST_PATIENCE";

/// A bound that no machine reaches: what takes longer hangs.
pub(super) fn forever() -> Duration {
    let seconds = std::env::var(PATIENCE).ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

/// A child process, killed when it is dropped.
#[derive(Debug)]
pub(super) struct Child {
    pid: Pid,
    pidfd: OwnedFd,
    status: Option<WaitStatus>,
}

/// Runs `body` in a forked process, which ends with what it returns, or with 101 if it panics.
pub(super) fn fork(body: impl FnOnce() -> i32) -> Child {
    // SAFETY: beside this thread there is only the harness's, which waits and has no lock (see `alone`), so the child may
    // do what a process may do.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        // If its parent goes, so does it.
        // SAFETY: the call takes numbers.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let code = catch_unwind(AssertUnwindSafe(body)).unwrap_or(101);
        // SAFETY: ends the process, without what the parent would have done at its end.
        unsafe { libc::_exit(code) };
    }
    Child::adopt(Pid::from_raw(pid).expect("a process has a number"))
}

impl Child {
    /// A child that was made otherwise.
    pub(super) fn adopt(pid: Pid) -> Self {
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("our child");
        Self { pid, pidfd, status: None }
    }

    pub(super) fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("our child");
    }

    /// It is stopped, and has stopped when this returns.
    pub(super) fn stop(&self) {
        self.signal(Signal::STOP);
        self.wait_stopped();
    }

    /// Waits until it has stopped, or ended.
    pub(super) fn wait_stopped(&self) {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.pid), options).expect("our child");
    }

    /// Whether it has ended; it stays to be waited for.
    pub(super) fn has_ended(&self) -> bool {
        self.status.is_some() || readable(&self.pidfd, Duration::ZERO)
    }

    /// Waits for its end.
    pub(super) fn wait(&mut self) -> WaitStatus {
        if let Some(status) = self.status {
            return status;
        }
        assert!(readable(&self.pidfd, forever()), "process {} does not end", self.id());
        let (_, status) = waitpid(Some(self.pid), WaitOptions::empty()).expect("our child").expect("it has ended");
        self.status = Some(status);
        status
    }

    pub(super) fn kill(&mut self) {
        if self.status.is_none() {
            let _ = kill_process(self.pid, Signal::KILL);
            self.wait();
        }
    }

    /// Somebody has been told of its end already.
    pub(super) fn has_been_waited_for(mut self, status: WaitStatus) {
        self.status = Some(status);
    }

    /// Waits for its end, which is a good one.
    #[track_caller]
    pub(super) fn succeed(&mut self) {
        let status = self.wait();
        assert_eq!(status.exit_status(), Some(0), "process {} ended badly: {status:?}", self.id());
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until `fd` can be read, or has come to its end.
pub(super) fn readable(fd: &OwnedFd, time: Duration) -> bool {
    let timeout = Timespec::try_from(time).expect("a short time");
    loop {
        match poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&timeout)) {
            Ok(count) => return count > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => panic!("poll: {errno}"),
        }
    }
}

/// Looks again and again until `cond` holds.
#[track_caller]
pub(super) fn until(what: &str, mut cond: impl FnMut() -> bool) {
    let end = Instant::now() + forever();
    let pause = Timespec { tv_sec: 0, tv_nsec: 200_000 };
    while !cond() {
        assert!(Instant::now() < end, "in vain waited until {what}");
        let _ = poll(&mut [], Some(&pause));
    }
}

/// A folder for the test's files, in memory if there is one.
pub(super) fn folder() -> tempfile::TempDir {
    let in_memory = tempfile::tempdir_in("/dev/shm");
    in_memory.or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// A pipe that no program inherits.
pub(super) fn pipe() -> (OwnedFd, OwnedFd) {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe")
}

/// All that is written to a pipe until nobody has it open for writing.
pub(super) fn read_all(from: OwnedFd) -> String {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut std::fs::File::from(from), &mut text).expect("a pipe can be read");
    text
}
