//! The threads of this process as a kernel's threads.

use super::Kernel;
use super::mutex::Mutex;
use super::owned::OwnedWaitQueue;
use super::platform::{Platform, Unblock};
use super::semaphore::Semaphore;
use super::thread::Thread;
use super::wait::Deadline;
use super::{Count, WakeOrder};
use crate::wait::parker::Parker;
use std::boxed::Box;
use std::sync::{Mutex as StdMutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::vec::Vec;

/// The [`Platform`] of an ordinary program: its threads, asleep on futexes, and the monotonic clock, which begins with the
/// first use.
#[derive(Debug)]
pub struct Native(());

/// What [`Native`] keeps of a thread.
#[derive(Debug)]
pub struct NativeThread {
    parker: Parker,
}

static KERNEL: Kernel<Native> = Kernel::new(Native(()));

/// Blocks of threads that have ended.
static POOL: StdMutex<Vec<&'static Thread<Native>>> = StdMutex::new(Vec::new());

/// A thread's block, given back when it ends.
struct Borrowed(&'static Thread<Native>);

impl Borrowed {
    fn new() -> Self {
        let pooled = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(thread) = pooled {
            thread.reuse(1);
            return Self(thread);
        }
        let block = NativeThread { parker: Parker::new() };
        Self(Box::leak(Box::new(Thread::new(&KERNEL, block, 1))))
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        self.0.exit();
        POOL.lock().unwrap_or_else(PoisonError::into_inner).push(self.0);
    }
}

impl Native {
    /// The kernel of the process.
    pub fn kernel() -> &'static Kernel<Self> {
        &KERNEL
    }

    /// The block of this thread: what others kill, suspend and resume it by.
    pub fn current_thread() -> &'static Thread<Self> {
        KERNEL.platform().current()
    }

    fn start() -> Instant {
        static START: OnceLock<Instant> = OnceLock::new();
        *START.get_or_init(Instant::now)
    }
}

impl Deadline {
    /// In `timeout` from now, on the clock of [`Native`].
    pub fn after(timeout: Duration) -> Self {
        let timeout = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        Self::at(KERNEL.platform().now().saturating_add(timeout))
    }
}

// SAFETY: a block is its thread's until that has ended; what is called with the lock, and `block`, do not unwind.
unsafe impl Platform for Native {
    type Thread = NativeThread;
    type Wake = &'static NativeThread;

    fn current(&self) -> &'static Thread<Self> {
        std::thread_local! {
            static CURRENT: Borrowed = Borrowed::new();
        }
        CURRENT.with(|borrowed| borrowed.0)
    }

    fn now(&self) -> u64 {
        u64::try_from(Self::start().elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn block(&self, thread: &'static Thread<Self>, deadline: Deadline) {
        let until = (!deadline.is_infinite()).then(|| Self::start() + Duration::from_nanos(deadline.when()));
        thread.platform().parker.park(until);
        if deadline.has_come(self.now()) {
            thread.expire();
        }
    }

    fn wake(&self, thread: &'static Thread<Self>) -> &'static NativeThread {
        thread.platform()
    }

    fn unblock(&self, thread: &'static NativeThread, _how: Unblock) {
        thread.parker.unpark();
    }

    fn effective_changed(&self, _thread: &'static Thread<Self>, _effective: u64) {}
}

impl Semaphore<Native> {
    /// A semaphore for the threads of this process.
    pub const fn new(count: Count) -> Self {
        Self::new_in(&KERNEL, count, WakeOrder::ByFinishTime)
    }
}

impl OwnedWaitQueue<Native> {
    /// A queue for the threads of this process.
    pub const fn new() -> Self {
        Self::new_in(&KERNEL, WakeOrder::ByFinishTime)
    }
}

impl Default for OwnedWaitQueue<Native> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Mutex<T, Native> {
    /// A lock for the threads of this process.
    pub const fn new(value: T) -> Self {
        Self::new_in(&KERNEL, value, WakeOrder::ByFinishTime)
    }
}
