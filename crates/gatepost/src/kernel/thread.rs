//! A thread as this module sees it: its block.
//!
//! # Who may touch what
//! | field | who |
//! |---|---|
//! | `state` | the thread itself while it runs; from `BLOCKED` on whoever dequeues it, under the kernel's lock, once |
//! | `signals` | set under the lock; read by anybody |
//! | `guarded` | the holder of the kernel's lock |

use super::Kernel;
use super::platform::{Platform, Unblock};
use super::queue::{Key, WaitQueue};
use super::wait::{Deadline, WaitFailure};
use crate::sys::atomic::{Acquire, AtomicU32, Relaxed, Release};
use crate::sys::cell::UnsafeCell;
use crate::sys::const_fn;
use crate::sys::mutant::{self, Mutant};
use crate::wait::lock::Held;
use crate::wait::tree::{Branch, Place};
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// Not waiting, or woken with what it waited for.
const READY: u32 = 0;
/// In a queue.
const BLOCKED: u32 = 1;
const TIMED_OUT: u32 = 2;
const KILLED: u32 = 3;
const SUSPENDED: u32 = 4;
const INTERRUPTED: u32 = 5;

/// The thread is to die.
const KILL: u32 = 1;
/// The thread is to stop.
const SUSPEND: u32 = 2;

/// A thread's block. It lives for ever: queues and their owners name threads, and a thread that is gone must not be
/// found there. (A kernel has them in a table. [`Native`](super::Native) takes them from a pool.) So a reference outlives the thread, and
/// names another when the block is [used again](Self::reuse).
pub struct Thread<P: Platform> {
    pub(super) kernel: &'static Kernel<P>,
    platform: P::Thread,
    state: AtomicU32,
    signals: AtomicU32,
    pub(super) guarded: UnsafeCell<Guarded<P>>,
}

/// What the kernel's lock guards.
pub(super) struct Guarded<P: Platform> {
    /// Its own weight.
    pub(super) base: u32,
    /// The sum of the effective weights of all that wait in queues that it owns.
    pub(super) inherited: u64,
    /// Queues that it owns.
    pub(super) owns: u32,
    pub(super) alive: bool,
    pub(super) blocked: Option<Blocked<P>>,
    place: MaybeUninit<Place<Thread<P>, Key>>,
}

/// Where and how a thread is blocked.
pub(super) struct Blocked<P: Platform> {
    pub(super) queue: NonNull<WaitQueue<P>>,
    /// Whether kill and suspend end the wait.
    pub(super) interruptible: bool,
    pub(super) deadline: Deadline,
}

impl<P: Platform> Clone for Blocked<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Platform> Copy for Blocked<P> {}

// SAFETY: the module head. The pointers in `guarded` are followed under the lock only.
unsafe impl<P: Platform> Send for Thread<P> {}
// SAFETY: as above.
unsafe impl<P: Platform> Sync for Thread<P> {}

impl<P: Platform> Thread<P> {
    const_fn! {
        /// A thread of `kernel`, with its own weight: what it lends to the owner of a queue in which it waits.
        pub const fn new(kernel: &'static Kernel<P>, platform: P::Thread, weight: u32) -> Self {
            Self {
                kernel,
                platform,
                state: AtomicU32::new(READY),
                signals: AtomicU32::new(0),
                guarded: UnsafeCell::new(Guarded {
                    base: weight,
                    inherited: 0,
                    owns: 0,
                    alive: true,
                    blocked: None,
                    place: MaybeUninit::uninit(),
                }),
            }
        }
    }

    /// What the platform keeps of it.
    pub fn platform(&self) -> &P::Thread {
        &self.platform
    }

    /// Its own weight and what it inherits.
    pub fn effective_weight(&'static self) -> u64 {
        let _lock = self.kernel.lock();
        // SAFETY: the lock is held.
        unsafe { self.effective() }
    }

    /// Its own weight.
    pub fn base_weight(&'static self) -> u32 {
        let _lock = self.kernel.lock();
        // SAFETY: the lock is held.
        unsafe { self.guarded(|guarded| guarded.base) }
    }

    /// Gives it another weight of its own. What it lends changes with it, along the whole chain (Z28).
    pub fn set_base_weight(&'static self, weight: u32) {
        let lock = self.kernel.lock();
        // SAFETY: the lock is held.
        unsafe {
            let before = self.effective();
            self.guarded(|guarded| guarded.base = weight);
            let now = self.effective();
            WaitQueue::weight_changed(self, before, now);
        }
        drop(lock);
        self.kernel.platform().settled();
    }

    /// The platform would say another [finish time](Platform::finish_time) now: if it is blocked, it gets another place in its queue (Z24).
    pub fn reorder(&'static self) {
        let _lock = self.kernel.lock();
        // SAFETY: the lock is held.
        unsafe { WaitQueue::reorder(self) }
    }

    /// Whether it is in a queue.
    pub fn is_blocked(&'static self) -> bool {
        let _lock = self.kernel.lock();
        // SAFETY: the lock is held.
        unsafe { self.guarded(|guarded| guarded.blocked.is_some()) }
    }

    /// Kills it: the wait in which it is, and each that would have to block from now on, ends by
    /// [`WaitFailure::Killed`], unless it cannot be interrupted.
    pub fn kill(&'static self) {
        self.signal(KILL, WaitFailure::Killed);
    }

    /// Suspends it: the wait in which it is, and each that would have to block before it is [resumed](Self::resume), ends by
    /// [`WaitFailure::Suspended`], unless it cannot be interrupted.
    pub fn suspend(&'static self) {
        self.signal(SUSPEND, WaitFailure::Suspended);
    }

    /// Takes a suspension back.
    pub fn resume(&'static self) {
        let _lock = self.kernel.lock();
        self.signals.fetch_and(!SUSPEND, Relaxed); // under the lock, as are those who look
    }

    fn signal(&'static self, signal: u32, failure: WaitFailure) {
        let lock = self.kernel.lock();
        self.signals.fetch_or(signal, Relaxed); // under the lock, as are those who look
        self.end_wait(lock, failure);
    }

    /// Ends the wait in which it is by [`WaitFailure::Interrupted`], unless it cannot be interrupted. Whether it has: otherwise nothing
    /// happens, and nothing is kept for the next wait.
    pub fn interrupt(&'static self) -> bool {
        self.end_wait(self.kernel.lock(), WaitFailure::Interrupted)
    }

    /// Ends its wait, if it is in one that can be interrupted.
    fn end_wait(&'static self, lock: Held<'_>, failure: WaitFailure) -> bool {
        // SAFETY: the lock is held: it is the kernel's.
        let wake = unsafe {
            match self.guarded(|guarded| guarded.blocked) {
                Some(blocked) if blocked.interruptible => Some(WaitQueue::dequeue(self, Err(failure))),
                _ => None,
            }
        };
        drop(lock);
        wake.inspect(|&wake| self.kernel.platform().unblock(wake, Unblock::Normal));
        self.kernel.platform().settled();
        wake.is_some()
    }

    /// The deadline of its wait has come: called by the platform's timer, or by the thread itself. If somebody else was
    /// faster, or the deadline has not come, nothing happens (Z22).
    pub fn expire(&'static self) {
        let lock = self.kernel.lock();
        // SAFETY: the lock is held.
        let wake = unsafe {
            match self.guarded(|guarded| guarded.blocked) {
                Some(blocked) if blocked.deadline.has_come(self.kernel.platform().now()) => {
                    Some(WaitQueue::dequeue(self, Err(WaitFailure::TimedOut)))
                }
                _ => None,
            }
        };
        drop(lock);
        wake.inspect(|&wake| self.kernel.platform().unblock(wake, Unblock::Normal));
        self.kernel.platform().settled();
    }

    /// Its end: from here on it can own nothing.
    ///
    /// # Panics
    /// If it owns a queue or is blocked (Z27): whoever waits there would wait for somebody who does not come.
    #[track_caller]
    pub fn exit(&'static self) {
        let _lock = self.kernel.lock();
        // SAFETY: the lock is held.
        unsafe {
            let (owns, blocked) = self.guarded(|guarded| (guarded.owns, guarded.blocked.is_some()));
            assert!(owns == 0, "a thread ends as the owner of {owns} wait queues: release them first");
            assert!(!blocked, "a thread ends while it is blocked");
            self.guarded(|guarded| guarded.alive = false);
        }
    }

    /// A block that was used by a thread that has ended is another's now: nobody has killed or suspended that.
    ///
    /// # Panics
    /// If the thread has not [ended](Self::exit).
    #[track_caller]
    pub fn reuse(&'static self, weight: u32) {
        let _lock = self.kernel.lock();
        // SAFETY: the lock is held.
        unsafe {
            // So it is not blocked: who has ended does not wait (K5).
            assert!(
                !self.guarded(|guarded| guarded.alive),
                "the block of a thread that has not ended is used for another"
            );
            self.guarded(|guarded| (guarded.alive, guarded.base) = (true, weight));
        }
        self.signals.store(0, Relaxed); // under the lock, as are those who look
    }

    /// # Safety
    /// The kernel's lock is held; `f` does not come here again for the same thread.
    pub(super) unsafe fn guarded<R>(&self, f: impl FnOnce(&mut Guarded<P>) -> R) -> R {
        // SAFETY: by the caller's promise.
        self.guarded.with_mut(|guarded| f(unsafe { &mut *guarded }))
    }

    /// # Safety
    /// The kernel's lock is held.
    pub(super) unsafe fn effective(&self) -> u64 {
        // SAFETY: passed on.
        unsafe { self.guarded(|guarded| u64::from(guarded.base) + guarded.inherited) }
    }

    /// What ends an interruptible wait before it begins: kill comes first (Z18). The lock is held.
    pub(super) fn pending(&self) -> Option<WaitFailure> {
        let signals = self.signals.load(Relaxed);
        if signals & KILL != 0 {
            Some(WaitFailure::Killed)
        } else if signals & SUSPEND != 0 {
            Some(WaitFailure::Suspended)
        } else {
            None
        }
    }

    /// K5, before it waits.
    ///
    /// # Safety
    /// The lock of `kernel` is held.
    ///
    /// # Panics
    /// If it may not: the caller has brought together what does not belong together. Nothing has changed.
    pub(super) unsafe fn assert_may_wait(&'static self, kernel: &'static Kernel<P>) {
        self.assert_of(kernel);
        // SAFETY: the lock is held, and it is this thread's.
        let (blocked, alive) = unsafe { self.guarded(|guarded| (guarded.blocked.is_some(), guarded.alive)) };
        assert!(!blocked, "a thread waits in two queues at a time");
        assert!(alive, "a thread that has ended waits");
    }

    /// K5.
    ///
    /// # Panics
    /// If it is another kernel's.
    #[track_caller]
    pub(super) fn assert_of(&self, kernel: &'static Kernel<P>) {
        assert!(core::ptr::eq(self.kernel, kernel), "a thread meets a queue of another kernel");
    }

    /// It has left its queue; why. Returns how to wake it, after the lock. Whatever is to be true before it can run is done before
    /// this. The lock is held.
    pub(super) fn tell(&'static self, outcome: Result<(), WaitFailure>) -> P::Wake {
        let wake = self.kernel.platform().wake(self);
        self.decide(outcome);
        wake
    }

    /// It is in a queue from now on. The lock is held, and the thread is the caller.
    pub(super) fn set_blocked(&self) {
        self.state.store(BLOCKED, Relaxed);
    }

    /// It has left its queue; what it is told. The lock is held. It may run, and its wait's frame be gone, after this.
    fn decide(&self, outcome: Result<(), WaitFailure>) {
        let state = match outcome {
            Ok(()) => READY,
            Err(WaitFailure::TimedOut) => TIMED_OUT,
            Err(WaitFailure::Killed) => KILLED,
            Err(WaitFailure::Suspended) => SUSPENDED,
            Err(WaitFailure::Interrupted) => INTERRUPTED,
        };
        // ORDERING: Release pairs with the Acquire of `outcome`: what came before a post is seen after the wait that it
        // satisfies (Z29).
        let order = if mutant::is(Mutant::RelaxedDecide) { Relaxed } else { Release };
        self.state.store(state, order);
    }

    /// What it was told; `None` while it is in a queue.
    pub(super) fn outcome(&self) -> Option<Result<(), WaitFailure>> {
        // ORDERING: Acquire pairs with the Release of `decide`.
        match self.state.load(Acquire) {
            BLOCKED => None,
            READY => Some(Ok(())),
            TIMED_OUT => Some(Err(WaitFailure::TimedOut)),
            KILLED => Some(Err(WaitFailure::Killed)),
            SUSPENDED => Some(Err(WaitFailure::Suspended)),
            _ => Some(Err(WaitFailure::Interrupted)),
        }
    }

    /// Sleeps until it is told (Z22: what the waker stored, and nothing else).
    pub(super) fn sleep(&'static self, deadline: Deadline) -> Result<(), WaitFailure> {
        self.kernel.platform().settled(); // it may have changed weights as it joined, and be told before it sleeps
        loop {
            if let Some(outcome) = self.outcome() {
                return outcome;
            }
            // SAFETY: the thread is the caller, as all who come here have it from `current`.
            unsafe { self.kernel.platform().block(self, deadline) };
        }
    }
}

// SAFETY: both are about the field `place`.
unsafe impl<P: Platform> Branch for Thread<P> {
    type Key = Key;

    unsafe fn put_place(thread: NonNull<Self>, place: Place<Self, Key>) {
        // SAFETY: the lock is held; threads live for ever.
        unsafe {
            thread.as_ref().guarded(|guarded| {
                guarded.place.write(place);
            });
        }
    }

    unsafe fn place<R>(thread: NonNull<Self>, f: impl FnOnce(&mut Place<Self, Key>) -> R) -> R {
        // SAFETY: as above; in a tree, so it has a place.
        unsafe { thread.as_ref().guarded(|guarded| f(guarded.place.assume_init_mut())) }
    }
}

impl<P: Platform> fmt::Debug for Thread<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state.load(Relaxed) {
            BLOCKED => "blocked",
            _ => "not blocked",
        };
        f.debug_struct("Thread").field("state", &state).finish_non_exhaustive()
    }
}
