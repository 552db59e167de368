//! A lock whose holder is as urgent as all who wait for it.
//!
//! # The word
//! | word | meaning |
//! |---|---|
//! | null | free |
//! | thread | held by that thread, nobody waits |
//! | thread, and bit 0 | held by that thread; somebody waits, or did: to unlock takes the kernel's lock |
//!
//! **M1.** Bit 0 is set by whoever will wait, while the lock is held, and cleared by an unlock only, under the kernel's lock. So who
//! finds it set under the kernel's lock cannot be missed by the unlock of that holder.
//!
//! **M2.** While somebody waits, the thread in the word owns the queue: a waiter assigns it as it joins, and an unlock hands
//! lock and ownership to the first who waits, before that can run.
//!
//! **M3.** Who finds a thread in the word follows that pointer, and the thread may have met nobody else before: it took the lock
//! without the kernel's. So the CAS that puts it there is a Release as well, for the block, and `begin` looks with Acquire.
//!
//! One CAS each to lock and to unlock while nobody contends.

use super::owned::{BlockError, OwnedWaitQueue, Owner, Ownership};
use super::platform::Platform;
use super::queue::WakeOrder;
use super::thread::Thread;
use super::wait::{Deadline, WaitFailure};
use super::{Kernel, WouldDeadlock};
use crate::sys::atomic::{AcqRel, Acquire, AtomicPtr, Relaxed, Release};
use crate::sys::const_fn;
use crate::sys::mutant::{self, Mutant};
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr;

/// Somebody waits.
const CONTENDED: usize = 1;

/// A mutual exclusion lock with priority inheritance: whoever holds it weighs as much as itself and all who wait for it together, over chains
/// of such locks.
///
/// An unlock hands it to the first who waits: nobody overtakes. A panic with the lock held gives it back like any other end of the
/// guard, and leaves no mark.
///
/// # Examples
/// ```
/// use gatepost::kernel::{BlockError, Deadline, Mutex};
///
/// let log = Mutex::new(Vec::new());
/// log.lock()?.push("one");
/// {
///     let _held = log.lock()?;
///     assert!(log.try_lock().is_none());
///     assert!(matches!(log.lock(), Err(BlockError::WouldDeadlock(_))), "by its own holder");
/// }
/// assert_eq!(log.lock_until(Deadline::PASSED)?.len(), 1, "what is free is had at once");
/// # Ok::<(), BlockError>(())
/// ```
pub struct Mutex<T: ?Sized, P: Platform> {
    word: AtomicPtr<Thread<P>>,
    queue: OwnedWaitQueue<P>,
    value: UnsafeCell<T>,
}

// SAFETY: the value goes from thread to thread with the lock.
unsafe impl<T: ?Sized + Send, P: Platform> Send for Mutex<T, P> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send, P: Platform> Sync for Mutex<T, P> {}

impl<T, P: Platform> Mutex<T, P> {
    const_fn! {
        /// A free lock of `kernel`.
        pub const fn new_in(kernel: &'static Kernel<P>, value: T, order: WakeOrder) -> Self {
            Self {
                word: AtomicPtr::new(ptr::null_mut()),
                queue: OwnedWaitQueue::new_in(kernel, order),
                value: UnsafeCell::new(value),
            }
        }
    }
}

fn contended<P: Platform>(holder: *mut Thread<P>) -> *mut Thread<P> {
    holder.map_addr(|addr| addr | CONTENDED)
}

fn holder<P: Platform>(word: *mut Thread<P>) -> Option<&'static Thread<P>> {
    // SAFETY: null, or a thread, which lives for ever.
    unsafe { word.map_addr(|addr| addr & !CONTENDED).as_ref() }
}

fn pointer<P: Platform>(thread: &'static Thread<P>) -> *mut Thread<P> {
    ptr::from_ref(thread).cast_mut()
}

impl<T: ?Sized, P: Platform> Mutex<T, P> {
    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T, P>> {
        self.try_lock_for(self.queue.kernel().platform().current()).then(|| self.guard())
    }

    /// Blocks until it has the lock.
    ///
    /// # Errors
    /// [`BlockError::WouldDeadlock`] if the holder is, or waits for, the caller; [`WaitFailure::Killed`],
    /// [`WaitFailure::Suspended`].
    pub fn lock(&self) -> Result<MutexGuard<'_, T, P>, BlockError> {
        self.lock_until(Deadline::INFINITE)
    }

    /// Blocks until it has the lock, or the deadline comes.
    ///
    /// # Errors
    /// As [`lock`](Self::lock), and [`WaitFailure::TimedOut`].
    pub fn lock_until(&self, deadline: Deadline) -> Result<MutexGuard<'_, T, P>, BlockError> {
        let thread = self.queue.kernel().platform().current();
        loop {
            if self.try_lock_for(thread) {
                return Ok(self.guard());
            }
            // SAFETY: the thread is the caller; it leaves the queue before this returns.
            if unsafe { self.begin_lock(thread, deadline) }? {
                thread.sleep(deadline).map_err(BlockError::Failed)?; // handed over
                return Ok(self.guard());
            }
        }
    }

    /// The same without being interrupted by kill or suspend.
    ///
    /// # Errors
    /// If the holder is, or waits for, the caller.
    pub fn lock_uninterruptible(&self) -> Result<MutexGuard<'_, T, P>, WouldDeadlock> {
        let thread = self.queue.kernel().platform().current();
        loop {
            if self.try_lock_for(thread) {
                return Ok(self.guard());
            }
            // SAFETY: as in `lock_until`.
            match unsafe { self.begin(thread, Deadline::INFINITE, false) } {
                Ok(false) => {}
                Ok(true) => {
                    let ended = thread.sleep(Deadline::INFINITE);
                    debug_assert_eq!(ended, Ok::<(), WaitFailure>(()), "nothing else ends it");
                    return Ok(self.guard());
                }
                Err(BlockError::WouldDeadlock(error)) => return Err(error),
                Err(BlockError::Failed(failure)) => unreachable!("{failure}, of a wait that cannot fail"),
            }
        }
    }

    /// For `thread`, if it is free.
    pub(super) fn try_lock_for(&self, thread: &'static Thread<P>) -> bool {
        // ORDERING: Acquire pairs with the Release of the unlock, Release with the Acquire in `begin`: M3.
        let order = if mutant::is(Mutant::RelaxedHolder) { Acquire } else { AcqRel };
        self.word.compare_exchange(ptr::null_mut(), pointer(thread), order, Relaxed).is_ok()
    }

    /// Joins the queue for a lock that is held. False: it is held no more, or by another: try again.
    ///
    /// # Safety
    /// `thread` does nothing else until it has its outcome. The lock stays in place until then.
    pub(super) unsafe fn begin_lock(&self, thread: &'static Thread<P>, deadline: Deadline) -> Result<bool, BlockError> {
        // SAFETY: passed on.
        unsafe { self.begin(thread, deadline, true) }
    }

    /// # Safety
    /// As for [`begin_lock`](Self::begin_lock).
    unsafe fn begin(
        &self,
        thread: &'static Thread<P>,
        deadline: Deadline,
        interruptible: bool,
    ) -> Result<bool, BlockError> {
        // ORDERING: Acquire pairs with the Release of whoever put the holder there: M3. (A mark is a read-modify-write, which
        // goes on with what that released.)
        let word = self.word.load(Acquire);
        let Some(held_by) = holder(word) else { return Ok(false) };
        let marked = contended(word);
        if word != marked && self.word.compare_exchange(word, marked, Relaxed, Relaxed).is_err() {
            return Ok(false);
        }
        let unseen = mutant::is(Mutant::MarkUnseen);
        let still = || (unseen || self.word.load(Relaxed) == marked).then_some(Owner::Is(held_by)); // M1
        // SAFETY: passed on. M2.
        unsafe { self.queue.begin_block(thread, deadline, interruptible, still) }
    }

    fn guard(&self) -> MutexGuard<'_, T, P> {
        MutexGuard { mutex: self, of_its_thread: PhantomData }
    }

    /// Gives it up. `thread` holds it.
    pub(super) fn unlock(&self, thread: &'static Thread<P>) {
        // ORDERING: Release pairs with the Acquire of the next lock.
        if self.word.compare_exchange(pointer(thread), ptr::null_mut(), Release, Relaxed).is_ok() {
            return;
        }
        self.queue.wake_with(Ownership::ToWokenIfAnyWaits, u64::MAX, |next| {
            let word = match next {
                None => ptr::null_mut(),
                Some((next, 0)) => pointer(next),
                Some((next, _)) => contended(pointer(next)),
            };
            // ORDERING: Release pairs with the Acquire of whoever locks it next. (Whom it is handed to has its own: `decide`.)
            self.word.store(word, Release);
        });
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn waiters(&self) -> &OwnedWaitQueue<P> {
        &self.queue
    }

    /// The value, of a lock that nobody else has.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: ?Sized, P: Platform> Drop for Mutex<T, P> {
    fn drop(&mut self) {
        // A guard that was forgotten may have left an owner behind.
        let released = self.queue.assign_owner(None);
        debug_assert!(released.is_ok(), "nobody is no part of a circle");
    }
}

impl<T: ?Sized + fmt::Debug, P: Platform> fmt::Debug for Mutex<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = !self.word.load(Relaxed).is_null();
        f.debug_struct("Mutex").field("held", &held).finish_non_exhaustive()
    }
}

/// The lock is held by this thread until this is dropped.
#[must_use = "dropping it gives the lock back"]
pub struct MutexGuard<'a, T: ?Sized, P: Platform> {
    mutex: &'a Mutex<T, P>,
    of_its_thread: PhantomData<*mut ()>,
}

// SAFETY: a shared guard gives a shared value.
unsafe impl<T: ?Sized + Sync, P: Platform> Sync for MutexGuard<'_, T, P> {}

impl<T: ?Sized, P: Platform> Deref for MutexGuard<'_, T, P> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized, P: Platform> DerefMut for MutexGuard<'_, T, P> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized, P: Platform> Drop for MutexGuard<'_, T, P> {
    fn drop(&mut self) {
        // This thread; and the word can be asked when the platform cannot any more, while a thread's locals are destroyed.
        if let Some(thread) = holder(self.mutex.word.load(Relaxed)) {
            self.mutex.unlock(thread);
        }
    }
}

impl<T: ?Sized + fmt::Debug, P: Platform> fmt::Debug for MutexGuard<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
