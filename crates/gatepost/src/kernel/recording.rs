//! A platform that writes down what it is told, and does nothing.
//!
//! One real thread plays all threads: whoever blocks is put into its queue and left there, and asked for its outcome later.

use super::Kernel;
use super::owned::{BlockError, OwnedWaitQueue, Owner};
use super::platform::{Platform, Unblock};
use super::semaphore::{Begun, Semaphore};
use super::thread::Thread;
use super::wait::{Deadline, WaitFailure};
use std::boxed::Box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::vec::Vec;

/// A [`Platform`] for tests: records each block, unblock, and change of an effective weight. Its clock stands still unless it
/// is set, and what it records is read by [`take`](Self::take).
///
/// # Examples
/// ```
/// use gatepost::kernel::{Deadline, Recorded, Recording, Semaphore, Unblock, WakeOrder};
///
/// let kernel = Recording::kernel();
/// let thread = Recording::thread(kernel, 1);
/// let semaphore: &_ = Box::leak(Box::new(Semaphore::new_in(kernel, 0, WakeOrder::ByFinishTime)));
/// assert_eq!(Recording::wait_for(semaphore, thread, Deadline::INFINITE), None, "it blocks");
/// semaphore.post();
/// assert_eq!(Recording::outcome(thread), Some(Ok(())));
/// let id = thread.platform().id();
/// assert_eq!(kernel.platform().take(), [Recorded::Blocked(id), Recorded::Unblocked(id, Unblock::Normal)]);
/// ```
#[derive(Debug)]
pub struct Recording {
    now: Mutex<u64>,
    threads: AtomicUsize,
    log: Mutex<Vec<Recorded>>,
}

/// What was told to [`Recording`]. Threads are numbered as they were made, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// The thread has joined a queue.
    Blocked(u64),
    /// The thread runs again.
    Unblocked(u64, Unblock),
    /// The thread's effective weight is this now.
    Effective(u64, u64),
}

/// What [`Recording`] keeps of a thread.
#[derive(Debug)]
pub struct RecordedThread {
    id: u64,
    finish: Mutex<u64>,
}

impl RecordedThread {
    /// Its number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Sets the time by which it would be done. Of a thread that is blocked: then [`Thread::reorder`].
    pub fn set_finish_time(&self, finish: u64) {
        *self.finish.lock().unwrap_or_else(PoisonError::into_inner) = finish;
    }
}

impl Recording {
    /// A kernel that records. It is never freed, as kernels are not.
    pub fn kernel() -> &'static Kernel<Self> {
        let platform = Self { now: Mutex::new(0), threads: AtomicUsize::new(0), log: Mutex::new(Vec::new()) };
        Box::leak(Box::new(Kernel::new(platform)))
    }

    /// A thread of `kernel`. It is never freed.
    pub fn thread(kernel: &'static Kernel<Self>, weight: u32) -> &'static Thread<Self> {
        let id = kernel.platform().threads.fetch_add(1, Relaxed) as u64;
        Box::leak(Box::new(Thread::new(kernel, RecordedThread { id, finish: Mutex::new(0) }, weight)))
    }

    /// Sets the clock, in nanoseconds. Whoever's deadline has come then is to be told: [`Thread::expire`].
    pub fn set_now(&self, now: u64) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// What was recorded since this was last called.
    pub fn take(&self) -> Vec<Recorded> {
        core::mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn record(&self, what: Recorded) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// `thread` waits for `semaphore`: the outcome, or `None` if it blocks, and gets it [later](Self::outcome).
    ///
    /// # Panics
    /// If it is blocked already.
    pub fn wait_for(
        semaphore: &'static Semaphore<Self>,
        thread: &'static Thread<Self>,
        deadline: Deadline,
    ) -> Option<Result<(), WaitFailure>> {
        Self::wait_with(semaphore, thread, deadline, true)
    }

    /// The same, as [`Semaphore::wait_uninterruptible`].
    pub fn wait_uninterruptible_for(
        semaphore: &'static Semaphore<Self>,
        thread: &'static Thread<Self>,
    ) -> Option<Result<(), WaitFailure>> {
        Self::wait_with(semaphore, thread, Deadline::INFINITE, false)
    }

    fn wait_with(
        semaphore: &'static Semaphore<Self>,
        thread: &'static Thread<Self>,
        deadline: Deadline,
        interruptible: bool,
    ) -> Option<Result<(), WaitFailure>> {
        assert!(!thread.is_blocked(), "it waits already");
        if semaphore.try_wait() {
            return Some(Ok(()));
        }
        // SAFETY: it is in no queue, and does nothing else: what is played by one thread is checked above. The semaphore
        // lives for ever.
        match unsafe { semaphore.begin_wait(thread, deadline, interruptible) } {
            Begun::Done(outcome) => Some(outcome),
            Begun::Blocked => {
                thread.kernel.platform().record(Recorded::Blocked(thread.platform().id));
                None
            }
        }
    }
}

impl Recording {
    /// `thread` blocks in `queue`, until it is woken.
    ///
    /// # Errors
    /// [`BlockError`]: then it does not.
    ///
    /// # Panics
    /// If it is blocked already.
    pub fn block_in(
        queue: &'static OwnedWaitQueue<Self>,
        thread: &'static Thread<Self>,
        deadline: Deadline,
    ) -> Result<(), BlockError> {
        assert!(!thread.is_blocked(), "it waits already");
        // SAFETY: as in `wait_with`.
        if unsafe { queue.begin_block(thread, deadline, true, || Some(Owner::Keep)) }? {
            thread.kernel.platform().record(Recorded::Blocked(thread.platform().id));
        }
        Ok(())
    }

    /// What a thread's last wait came to; `None` while it is blocked.
    pub fn outcome(thread: &'static Thread<Self>) -> Option<Result<(), WaitFailure>> {
        thread.outcome()
    }
}

// SAFETY: threads are told apart by whoever plays them, and what is played twice at a time is refused (K5).
unsafe impl Platform for Recording {
    type Thread = RecordedThread;
    type Wake = u64;

    /// # Panics
    /// Always: threads that are only played have no call from which to tell which one it is.
    fn current(&self) -> &'static Thread<Self> {
        panic!("who plays the threads says which one it is: `Recording::wait_for`, `Recording::block_in`")
    }

    fn now(&self) -> u64 {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Panics
    /// Always, as [`current`](Self::current).
    unsafe fn block(&self, _thread: &'static Thread<Self>, _deadline: Deadline) {
        panic!("a thread that is only played cannot sleep")
    }

    fn wake(&self, thread: &'static Thread<Self>) -> u64 {
        thread.platform().id
    }

    fn unblock(&self, wake: u64, how: Unblock) {
        self.record(Recorded::Unblocked(wake, how));
    }

    unsafe fn effective_changed(&self, thread: &'static Thread<Self>, effective: u64) {
        self.record(Recorded::Effective(thread.platform().id, effective));
    }

    unsafe fn finish_time(&self, thread: &'static Thread<Self>, _effective: u64) -> u64 {
        *thread.platform().finish.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
