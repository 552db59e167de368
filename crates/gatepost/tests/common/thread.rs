//! Threads that are joined within a limit, so that a test that would hang fails.

use super::task::Task;
use gatepost::Semaphore;
use std::panic::resume_unwind;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Nothing in these tests takes as long, on the slowest machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Gives way until `happened`.
#[track_caller]
pub(crate) fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < LIMIT, "after {LIMIT:?} still not so: {what}");
        thread::yield_now();
    }
}

/// Gives way until `n` wait, at least one, and all of them are done with joining.
#[track_caller]
pub(crate) fn until_queued(semaphore: &Semaphore, n: usize) {
    until("as many waiters as expected", || semaphore.num_waiters() == n);
    // The last one is counted while it still has the queue's lock. It would serve a release that comes then, but only
    // when the processor lets it. Whoever joins and leaves now has had the lock after it.
    drop(Task::queued(semaphore.acquire_n(Semaphore::MAX_PERMITS)));
}

/// A thread that must end within the limit. Not scoped: one that hangs is left behind.
#[must_use = "a thread that nobody joins may fail unseen"]
pub(crate) struct Running<T>(JoinHandle<T>);

pub(crate) fn start<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Running<T> {
    Running(thread::spawn(f))
}

impl<T> Running<T> {
    pub(crate) fn has_ended(&self) -> bool {
        self.0.is_finished()
    }

    /// The thread's result, or its panic.
    #[track_caller]
    pub(crate) fn join(self) -> T {
        until("the thread has ended", || self.has_ended());
        self.0.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// Runs `f` in a thread of its own, so that a deadlock in it fails the test.
#[track_caller]
pub(crate) fn within_limit<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    start(f).join()
}
