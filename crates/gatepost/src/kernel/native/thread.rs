//! A thread's block, from its first wait to its end.
//!
//! ```text
//!   first wait ──▶ CURRENT names the block ──▶ … ──▶ the thread ends: exit, CURRENT names none ──▶ pool, unless somebody may name it
//! ```
//! **B1.** A block is never freed. What wakes a thread that has ended, or the next one of its block, leaves a token, which costs that
//! one look.
//!
//! **B2.** Whoever can kill, suspend or interrupt a thread, or make it an owner, got its name from the thread
//! ([`Native::current_thread`]): then the block is not used again, and those calls cannot meet another thread.
//!
//! **B3.** A thread that waits while its thread-locals are destroyed, after this module's, gets a new block. Nobody will be told when
//! it ends, so the block is never used again and has no system's thread: it cannot be raised, rather than raise somebody else.
//!
//! # Interrupts
//! | who | steps |
//! |---|---|
//! | whoever interrupts | I1 set `interrupted`; I2 leave a token, and wake the thread if it is parked |
//! | the thread, in each turn of its sleep | T1 look at its outcome; T2 look at `interrupted`: if set, and the wait can be interrupted, take itself out of the queue under the lock, and clear it; T3 park |
//!
//! **I.** *No interrupt is lost, and a handler takes no lock.* I1 and I2 are an atomic store, an RMW and at most one futex wake, none of which
//! waits for anybody: so they may interrupt anything, the holder of the kernel's lock included. If T2 has not seen I1, I2 comes
//! after it: then T3 finds the token and does not sleep, or I2 finds the thread parked and wakes it (the parker's one word decides),
//! and the next T2 sees I1 (Release of I2, Acquire of T3). If an earlier park has eaten the token, it was followed by a T2, which saw I1,
//! or its wait was over, or could not be interrupted: then `interrupted` is still set, and the first T2 of the next wait sees it. The
//! thread leaves its queue by the same step as for a timeout, so whoever dequeues it first wins: a permit that it was given is not lost.

use super::inherit::Scheduled;
use super::{KERNEL, Native};
use crate::kernel::thread::Thread;
use crate::sys::atomic::{Acquire, AtomicU32, Relaxed, Release};
use crate::sys::cell::UnsafeCell;
use crate::sys::scheduling::ThreadId;
use crate::wait::parker::Parker;
use core::cell::Cell;
use std::boxed::Box;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use std::vec::Vec;

/// What [`Native`] keeps of a thread.
#[derive(Debug)]
pub struct NativeThread {
    parker: Parker,
    /// 1: the wait in which it is, or the next one that blocks, ends.
    interrupted: AtomicU32,
    /// 1: its block has a name outside this module (B2).
    named: AtomicU32,
    /// 1: it has come to weigh less by a step of its own, which is not over (H3). Of the thread alone.
    lowered: AtomicU32,
    guarded: UnsafeCell<Guarded>,
}

// SAFETY: `guarded` is guarded by the kernel's lock.
unsafe impl Sync for NativeThread {}

/// What the kernel's lock guards.
#[derive(Debug)]
pub(super) struct Guarded {
    pub(super) finish: Option<u64>,
    /// What it was last said to weigh.
    pub(super) effective: u64,
    pub(super) scheduled: Scheduled,
}

impl Guarded {
    /// Of a thread that begins, and weighs 1.
    const fn of(id: Option<ThreadId>) -> Self {
        Self { finish: None, effective: 1, scheduled: Scheduled::of(id) }
    }
}

impl NativeThread {
    fn new() -> Self {
        Self {
            parker: Parker::new(),
            interrupted: AtomicU32::new(0),
            named: AtomicU32::new(0),
            lowered: AtomicU32::new(0),
            guarded: UnsafeCell::new(Guarded::of(None)),
        }
    }

    /// Ends the wait in which the thread is, or, if it is in none that can be interrupted, the next such one that has to block, by
    /// [`WaitFailure::Interrupted`](crate::kernel::WaitFailure::Interrupted). Interrupts do not add up.
    ///
    /// Where the system has a futex (Linux), this may be called in a signal handler. ([`Thread::interrupt`], which ends a wait only if there
    /// is one, may not: it takes the kernel's lock.)
    ///
    /// # Memory ordering
    /// What came before it is seen by the thread after the wait that it ends.
    ///
    /// # Cost
    /// A store and an RMW, and a wake-up if the thread sleeps.
    ///
    /// # Examples
    /// ```
    /// use gatepost::kernel::{Deadline, Native, Semaphore, WaitFailure};
    ///
    /// let semaphore = Semaphore::new(1);
    /// Native::current_thread().platform().interrupt();
    /// assert_eq!(semaphore.wait(Deadline::INFINITE), Ok(()), "it does not have to block");
    /// assert_eq!(semaphore.wait(Deadline::INFINITE), Err(WaitFailure::Interrupted));
    /// ```
    pub fn interrupt(&self) {
        // ORDERING: Release pairs with the Acquires of `ends_interrupted`.
        self.interrupted.store(1, Release); // I1
        self.parker.unpark(); // I2
    }

    /// T2.
    pub(super) fn ends_interrupted(&self, this: &'static Thread<Native>) -> bool {
        // ORDERING: Acquire pairs with the Release of `interrupt`.
        let ended = self.interrupted.load(Acquire) != 0 && this.interrupt();
        if ended {
            // ORDERING: as above: of those that came together the last one is seen, too.
            self.interrupted.swap(0, Acquire);
        }
        ended
    }

    /// T3.
    pub(super) fn park(&self, until: Option<Instant>) {
        self.parker.park(until);
    }

    pub(super) fn unpark(&self) {
        self.parker.unpark();
    }

    pub(super) fn set_named(&self) {
        self.named.store(1, Relaxed); // read by the same thread, at its end
    }

    pub(super) fn set_lowered(&self) {
        self.lowered.store(1, Relaxed); // by the thread itself
    }

    /// # Safety
    /// The kernel's lock is held; `f` does not come here again for the same thread.
    pub(super) unsafe fn guarded<R>(&self, f: impl FnOnce(&mut Guarded) -> R) -> R {
        // SAFETY: by the caller's promise.
        self.guarded.with_mut(|guarded| f(unsafe { &mut *guarded }))
    }
}

/// Blocks of threads that have ended. A mutex: touched when a thread blocks for the first time, and when it ends.
static POOL: Mutex<Vec<&'static Thread<Native>>> = Mutex::new(Vec::new());

/// Gives the block back when the thread ends.
struct GivenBack;

impl Drop for GivenBack {
    fn drop(&mut self) {
        if let Some(thread) = CURRENT.take() {
            thread.exit();
            // SAFETY: the lock is held. From here on the system may give the thread's number to another.
            let forget = || unsafe { thread.platform().guarded(|guarded| *guarded = Guarded::of(None)) };
            let lock = KERNEL.lock();
            forget();
            drop(lock);
            if thread.platform().named.load(Relaxed) == 0 {
                POOL.lock().unwrap_or_else(PoisonError::into_inner).push(thread); // B2
            }
        }
    }
}

std::thread_local! {
    // Without a destructor, so that it is there to the end, and a signal handler may look at it.
    static CURRENT: Cell<Option<&'static Thread<Native>>> = const { Cell::new(None) };
    static GIVEN_BACK: GivenBack = const { GivenBack };
}

/// The block of this thread.
pub(super) fn current() -> &'static Thread<Native> {
    CURRENT.get().unwrap_or_else(begin)
}

#[cold]
fn begin() -> &'static Thread<Native> {
    let will_end = GIVEN_BACK.try_with(|_| ()).is_ok(); // B3
    let pooled = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let thread = match pooled {
        Some(thread) => {
            thread.platform().interrupted.store(0, Relaxed);
            thread.reuse(1);
            thread
        }
        None => Box::leak(Box::new(Thread::new(&KERNEL, NativeThread::new(), 1))),
    };
    let id = if will_end { ThreadId::of_this_thread() } else { None };
    let lock = KERNEL.lock();
    // SAFETY: the lock is held.
    unsafe { thread.platform().guarded(|guarded| *guarded = Guarded::of(id)) };
    drop(lock);
    CURRENT.set(Some(thread));
    thread
}

pub(super) fn is_current(thread: &'static Thread<Native>) -> bool {
    CURRENT.get().is_some_and(|current| core::ptr::eq(current, thread))
}

/// This thread, if it has come to weigh less in a step that is over now.
pub(super) fn lowered() -> Option<&'static Thread<Native>> {
    let thread = CURRENT.get().filter(|thread| thread.platform().lowered.load(Relaxed) != 0)?;
    thread.platform().lowered.store(0, Relaxed);
    Some(thread)
}

/// Interrupts this thread, if it has a block. For signal handlers: takes no lock, allocates nothing.
pub(super) fn interrupt_current() {
    if let Some(thread) = CURRENT.get() {
        thread.platform().interrupt();
    }
}
