//! A counting semaphore with a signed count: Zircon's.
//!
//! # The count
//! | count | queue | meaning |
//! |---|---|---|
//! | `n >= 0` | empty | `n` may pass |
//! | `-n < 0` | `k <= n` threads | `k` wait, and `n - k` have failed to (or the count began below 0) |
//!
//! A wait that fails leaves its decrement where it is. To undo it would be wrong: between the moment in which the thread is taken out
//! of the queue and the one in which it runs and could undo it, others post and wait, and a wake-up is lost (Z15; a test has
//! both versions side by side). The next post repairs the count: a post that finds it negative and nobody waiting sets it
//! to 1, however negative it was.
//!
//! # Steps
//! **W, wait.** W1 while the count is above 0, CAS one away: no lock. W2 otherwise, under the kernel's lock, subtract one; if it was
//! above 0 after all, done. W3 the preamble: a deadline that has come, then (if it can be interrupted) kill, then suspend, end the wait;
//! the count stays as it is. W4 join the queue, give the lock back, block. What it returns is what its waker stored.
//!
//! **P, post.** P1 while the count is 0 or above, CAS one to it: no lock. P2 otherwise, under the kernel's lock: P3 if it is 0 or above now,
//! add one. P4 if nobody waits, store 1. P5 otherwise take the front out; if that was the last one, store 0, else leave the
//! count as it is; then tell the front, which may run from then on. With a queue to own, it becomes its owner before it is taken
//! out (Z25).
//!
//! # Invariants
//! **S1.** The count goes from negative to not negative, or back, with the kernel's lock held only: W1 and P1 do neither (Z4).
//! So in P2, if it is negative, nobody else changes it.
//!
//! **S2.** Whenever the lock is free: if somebody is in the queue, the count is negative. (W2 has made it so, S1, and P5 leaves
//! it so unless the queue is empty then.)
//!
//! **S3 (Z9).** At the end of a post, either it has added one to a count of 0 or above, or it has woken one, and the queue is empty and
//! the count 0, or the queue is not empty and the count negative; or it has stored 1 where nobody waited. (What others see may be
//! above 0 already: P1 adds to a 0 without the lock. So what is asserted is the sign.)
//!
//! *Nobody is left asleep*: a post that could have gone to a waiter finds the count negative (S2), comes to P2, and wakes it.
//!
//! # Ordering
//! A post is a Release, a wait an Acquire, on the count (W1, W2 with P1, P3, P4) or on the thread's block (P5: `Thread::decide`). (Z29)
//!
//! # Cost
//! One CAS for a wait and for a post while nobody waits (Z31). Otherwise the kernel's lock.

use super::Count;
use super::Kernel;
use super::owned::OwnedWaitQueue;
use super::platform::{Platform, Unblock};
use super::queue::{Circle, WaitQueue, WakeOrder};
use super::thread::Thread;
use super::wait::{Deadline, WaitFailure};
use crate::sys::atomic::{Acquire, AtomicCount, Relaxed, Release};
use crate::sys::cell::UnsafeCell;
use crate::sys::const_fn;
use crate::sys::mutant::{self, Mutant};
use core::fmt;
use core::ptr::NonNull;

/// A counting semaphore for the threads of a kernel: see [the module](super) for how it differs from the others.
///
/// # Examples
/// ```
/// use gatepost::kernel::{Deadline, Semaphore, WaitFailure};
///
/// let semaphore = Semaphore::new(1);
/// assert_eq!(semaphore.wait(Deadline::INFINITE), Ok(()));
/// assert_eq!(semaphore.wait(Deadline::PASSED), Err(WaitFailure::TimedOut));
/// assert_eq!(semaphore.count(), -1, "the failed wait has left its mark");
/// semaphore.post();
/// assert_eq!(semaphore.count(), 1, "and the post has repaired it");
/// ```
pub struct Semaphore<P: Platform> {
    count: AtomicCount,
    kernel: &'static Kernel<P>,
    queue: UnsafeCell<WaitQueue<P>>,
}

// SAFETY: the queue is touched under the kernel's lock only.
unsafe impl<P: Platform> Send for Semaphore<P> {}
// SAFETY: as above.
unsafe impl<P: Platform> Sync for Semaphore<P> {}

/// What a wait has come to that has not blocked yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// It is over.
    Done(Result<(), WaitFailure>),
    /// The thread is in the queue: it has to block, and to ask for its outcome.
    Blocked,
}

impl<P: Platform> Semaphore<P> {
    const_fn! {
        /// A semaphore of `kernel` with any count: a negative one is not a debt, but what failed waits would have left (Z13).
        pub const fn new_in(kernel: &'static Kernel<P>, count: Count, order: WakeOrder) -> Self {
            Self { count: AtomicCount::new(count), kernel, queue: UnsafeCell::new(WaitQueue::new(order)) }
        }
    }

    /// Lets one through: the front of the queue, or, if nobody waits, one who comes.
    ///
    /// If the count is negative (somebody waits, or a wait has failed since the last post) it takes the kernel's lock: from an interrupt handler (or a signal's) only where that cannot have interrupted
    /// a holder of the lock. See [`Platform`](super::Platform).
    ///
    /// # Panics
    /// If the count would exceed its maximum. Nothing has changed then.
    ///
    /// # Cost
    /// One CAS if the count is not negative.
    #[inline]
    #[track_caller]
    pub fn post(&self) {
        if !self.try_post() {
            self.post_slow(None);
        }
    }

    /// The same; and if somebody waits, it becomes the owner of `queue` before it can run, so that who then waits there lends it
    /// its weight at once. It is woken synchronously: see [`Unblock::Synchronous`]. If nobody waits, nobody becomes an owner.
    ///
    /// # Panics
    /// As [`post`](Self::post), and if the queue is another kernel's.
    #[track_caller]
    pub fn post_to_own(&self, queue: &OwnedWaitQueue<P>) {
        assert!(core::ptr::eq(self.kernel, queue.kernel()), "a semaphore meets a queue of another kernel");
        if !self.try_post() {
            self.post_slow(Some(queue));
        }
    }

    /// P1.
    #[inline(always)]
    #[track_caller]
    fn try_post(&self) -> bool {
        let mut count = self.count.load(Relaxed);
        while count >= 0 {
            let more = count.checked_add(1).expect("a semaphore counts to its maximum, and not beyond");
            // ORDERING: Release pairs with the Acquire of the wait that this satisfies (Z29).
            match self.count.compare_exchange(count, more, Release, Relaxed) {
                Ok(_) => return true,
                Err(now) => count = now,
            }
        }
        false
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    fn post_slow(&self, to_own: Option<&OwnedWaitQueue<P>>) {
        let kernel = self.kernel;
        let lock = kernel.lock(); // P2
        let naive = mutant::is(Mutant::UndoFailedWait);
        let count = self.count.load(Relaxed);
        let queue = self.queue();
        // SAFETY: the lock is held, and the queue is not looked at by anybody else meanwhile.
        let front = unsafe { queue.as_ref() }.front();
        let (wake, how) = match front {
            _ if count >= 0 => {
                debug_assert!(front.is_none(), "S2");
                // Meanwhile it has been posted to, and others may take from it: not under S1's protection. P3.
                let posted = self.try_post();
                debug_assert!(posted, "S1: nobody makes it negative while the lock is held");
                return;
            }
            None => {
                // ORDERING: Release, as in `try_post`. P4.
                self.count.store(if naive { count + 1 } else { 1 }, Release);
                return;
            }
            Some(front) => {
                let too_early = mutant::is(Mutant::OwnsTooLate).then(|| front.tell(Ok(())));
                if let Some(owned) = to_own {
                    // SAFETY: the lock is held. `front` is blocked in a queue that nobody owns, so there is no circle.
                    let assigned = unsafe { WaitQueue::assign(owned.queue(), Some(front)) };
                    debug_assert!(assigned != Err(Circle), "a chain of one has no circle");
                }
                // SAFETY: the lock is held; the front is blocked. P5.
                unsafe { WaitQueue::take_out(front) };
                // SAFETY: as above.
                let last = unsafe { queue.as_ref() }.front().is_none();
                if (last || naive) && !mutant::is(Mutant::ZeroForgotten) {
                    // ORDERING: Release, though nobody can pass by it: what follows continues from here.
                    self.count.store(if naive { count + 1 } else { 0 }, Release);
                }
                // Not that it is 0: P1 needs no lock, and may have added to it already.
                let as_it_should =
                    if mutant::is(Mutant::ExactlyZero) { |count| count == 0 } else { |count| count >= 0 };
                debug_assert_eq!(last, as_it_should(self.count.load(Relaxed)), "S3");
                let wake = too_early.unwrap_or_else(|| front.tell(Ok(())));
                (wake, if to_own.is_some() { Unblock::Synchronous } else { Unblock::Normal })
            }
        };
        drop(lock);
        kernel.platform().unblock(wake, how);
        kernel.platform().settled();
    }

    /// Blocks until it is let through, the deadline comes, or the thread is killed or suspended. A permit that is there wins over all
    /// of these (Z16).
    ///
    /// # Errors
    /// [`WaitFailure`]; the count stays one lower, until a post repairs it. Never [`TimedOut`](WaitFailure::TimedOut) before the
    /// deadline, and not at all for [`Deadline::INFINITE`].
    ///
    /// # Cost
    /// One CAS if it is let through at once.
    #[inline]
    pub fn wait(&self, deadline: Deadline) -> Result<(), WaitFailure> {
        if self.try_wait() {
            return Ok(());
        }
        self.wait_slow(deadline, true)
    }

    /// Blocks until it is let through. Kill and suspend do not end it (Z20).
    #[inline]
    pub fn wait_uninterruptible(&self) {
        if !self.try_wait() {
            let ended = self.wait_slow(Deadline::INFINITE, false);
            debug_assert_eq!(ended, Ok(()), "nothing else ends it");
        }
    }

    /// Passes if that is possible at once. The count stays as it is if not: nothing has failed.
    #[inline]
    #[must_use = "whether it was let through"]
    pub fn try_wait(&self) -> bool {
        // W1.
        let mut count = self.count.load(Relaxed);
        while count > 0 {
            // ORDERING: Acquire pairs with the Release of the posts (Z29).
            match self.count.compare_exchange(count, count - 1, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(now) => count = now,
            }
        }
        false
    }

    #[cold]
    #[inline(never)]
    fn wait_slow(&self, deadline: Deadline, interruptible: bool) -> Result<(), WaitFailure> {
        let thread = self.kernel.platform().current();
        // SAFETY: the thread is the caller; it leaves the queue before this returns.
        match unsafe { self.begin_wait(thread, deadline, interruptible) } {
            Begun::Done(outcome) => outcome,
            Begun::Blocked => self.failed(thread.sleep(deadline)),
        }
    }

    /// W2 to W4, up to where the thread blocks.
    ///
    /// # Safety
    /// `thread` does nothing else until it has its outcome. The semaphore stays in place until then.
    ///
    /// # Panics
    /// If the thread [may not wait](Thread::assert_may_wait).
    pub(super) unsafe fn begin_wait(
        &self,
        thread: &'static Thread<P>,
        deadline: Deadline,
        interruptible: bool,
    ) -> Begun {
        let seeded = mutant::is(Mutant::SubtractUnlocked).then(|| self.subtract());
        let _lock = self.kernel.lock();
        // SAFETY: the lock is held.
        unsafe { thread.assert_may_wait(self.kernel) };
        if seeded.unwrap_or_else(|| self.subtract()) > 0 {
            return Begun::Done(Ok(())); // W2
        }
        if deadline.has_come(self.kernel.platform().now()) {
            return Begun::Done(self.failed(Err(WaitFailure::TimedOut))); // W3
        }
        if let Some(failure) = thread.pending().filter(|_| interruptible) {
            return Begun::Done(self.failed(Err(failure)));
        }
        // SAFETY: the lock is held; the rest by the caller's promise. W4.
        let joined = unsafe { WaitQueue::enqueue(self.queue(), thread, None, interruptible, deadline) };
        debug_assert!(joined.is_ok(), "nobody owns the queue of a semaphore");
        Begun::Blocked
    }

    /// W2: subtracts one, and says what the count was. Not below the smallest number, where one failure more makes no difference.
    /// The lock is held, so what is negative stays as it is seen: S1.
    fn subtract(&self) -> Count {
        if self.count.load(Relaxed) == Count::MIN {
            return Count::MIN;
        }
        // ORDERING: Acquire, as in `try_wait`.
        self.count.fetch_sub(1, Acquire)
    }

    /// A wait has ended. (The version that undoes a failed one is kept for the test that shows why it must not.)
    pub(super) fn failed(&self, outcome: Result<(), WaitFailure>) -> Result<(), WaitFailure> {
        if mutant::is(Mutant::UndoFailedWait) && outcome.is_err() {
            let count = self.count.load(Relaxed);
            self.count.store(count + 1, Relaxed);
        }
        outcome
    }

    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(super) fn kernel(&self) -> &'static Kernel<P> {
        self.kernel
    }

    pub(super) fn queue(&self) -> NonNull<WaitQueue<P>> {
        self.queue.with_mut(|queue| NonNull::new(queue).expect("a field has an address"))
    }

    /// The count as it is: a snapshot, for diagnostics. Negative does not mean that anybody waits (Z10).
    pub fn count(&self) -> Count {
        self.count.load(Relaxed)
    }

    /// How many threads wait: a snapshot, for diagnostics. Takes the kernel's lock.
    pub fn num_waiters(&self) -> u32 {
        let _lock = self.kernel.lock();
        // SAFETY: the lock is held.
        unsafe { self.queue().as_ref() }.len()
    }
}

impl<P: Platform> Drop for Semaphore<P> {
    fn drop(&mut self) {
        // SAFETY: nobody else has it. (Whoever waits borrows it, so this can fail for a broken platform only.)
        debug_assert!(unsafe { self.queue().as_ref() }.front().is_none(), "Z30: somebody waits at its end");
    }
}

impl<P: Platform> fmt::Debug for Semaphore<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("count", &self.count()).finish_non_exhaustive()
    }
}
