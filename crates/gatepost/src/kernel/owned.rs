//! A queue of threads that all wait for one, which inherits their weight.

use super::Kernel;
use super::platform::{Platform, Unblock};
use super::queue::{Circle, WaitQueue, WakeOrder};
use super::thread::Thread;
use super::wait::{Deadline, WaitFailure};
use crate::sys::cell::UnsafeCell;
use crate::sys::const_fn;
use core::error::Error;
use core::fmt;
use core::ptr::NonNull;

/// A wait queue with an owner: the thread that those in it wait for. While it owns the queue it weighs as much as all of them and
/// itself together, and what it waits for in turn inherits that from it, along the whole chain. So a thread that holds up an
/// urgent one is urgent itself (priority inheritance), for as long as it does.
///
/// What a primitive makes of it, [`Mutex`](super::Mutex) shows.
///
/// # Examples
/// ```
/// use gatepost::kernel::{Deadline, OwnedWaitQueue, Recording, WakeOrder};
///
/// let kernel = Recording::kernel();
/// let (low, high) = (Recording::thread(kernel, 1), Recording::thread(kernel, 10));
/// let queue: &_ = Box::leak(Box::new(OwnedWaitQueue::new_in(kernel, WakeOrder::ByFinishTime)));
/// queue.assign_owner(Some(low))?;
/// Recording::block_in(queue, high, Deadline::INFINITE)?;
/// assert_eq!(low.effective_weight(), 11);
/// queue.wake_one();
/// assert_eq!(low.effective_weight(), 1);
/// queue.assign_owner(None)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct OwnedWaitQueue<P: Platform> {
    kernel: &'static Kernel<P>,
    queue: UnsafeCell<WaitQueue<P>>,
}

// SAFETY: the queue is touched under the kernel's lock only.
unsafe impl<P: Platform> Send for OwnedWaitQueue<P> {}
// SAFETY: as above.
unsafe impl<P: Platform> Sync for OwnedWaitQueue<P> {}

/// The thread would wait for itself, over however many others (`ZX_ERR_BAD_STATE`). Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WouldDeadlock;

impl fmt::Display for WouldDeadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the owner would wait for itself: a circle of threads that wait for one another")
    }
}

impl Error for WouldDeadlock {}

impl From<Circle> for WouldDeadlock {
    fn from(_: Circle) -> Self {
        Self
    }
}

/// Why a thread's wait in an owned queue ended without it being woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockError {
    /// It would have waited for itself.
    WouldDeadlock(WouldDeadlock),
    /// It waited, and the wait failed.
    Failed(WaitFailure),
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldDeadlock(error) => error.fmt(f),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

impl Error for BlockError {}

/// Who owns the queue after a thread has been woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// Whoever did before.
    Keep,
    /// The thread that is woken, before it can run.
    ToWoken,
    /// The thread that is woken, if others wait still; otherwise nobody.
    ToWokenIfAnyWaits,
}

/// Who owns the queue from when a thread blocks in it.
pub(super) enum Owner<P: Platform> {
    /// Whoever does already.
    Keep,
    /// This thread.
    Is(&'static Thread<P>),
}

impl<P: Platform> OwnedWaitQueue<P> {
    const_fn! {
        /// A queue of `kernel` that nobody owns.
        pub const fn new_in(kernel: &'static Kernel<P>, order: WakeOrder) -> Self {
            Self { kernel, queue: UnsafeCell::new(WaitQueue::new(order)) }
        }
    }

    pub(super) fn queue(&self) -> NonNull<WaitQueue<P>> {
        self.queue.with_mut(|queue| NonNull::new(queue).expect("a field has an address"))
    }

    /// Its kernel.
    pub(super) fn kernel(&self) -> &'static Kernel<P> {
        self.kernel
    }

    /// Makes a thread the owner, or nobody. A thread that has ended owns nothing: nobody is the owner then.
    ///
    /// # Errors
    /// If the owner, over however many others, waits in this queue. Nothing has changed then.
    ///
    /// # Panics
    /// If the owner is a thread of another kernel.
    #[track_caller]
    pub fn assign_owner(&self, owner: Option<&'static Thread<P>>) -> Result<(), WouldDeadlock> {
        if let Some(owner) = owner {
            owner.assert_of(self.kernel);
        }
        let lock = self.kernel.lock();
        // SAFETY: the lock is held.
        let assigned = unsafe { WaitQueue::assign(self.queue(), owner) };
        drop(lock);
        self.kernel.platform().settled();
        assigned.map_err(WouldDeadlock::from)
    }

    /// Blocks until it is woken, the deadline comes, or the thread is killed or suspended.
    ///
    /// # Errors
    /// [`BlockError`]. A wait that fails withdraws what it lent.
    pub fn block(&self, deadline: Deadline) -> Result<(), BlockError> {
        self.block_owned_by(deadline, Owner::Keep)
    }

    /// The same, and `owner` is the owner from then on: that others wait for is what they wait for.
    ///
    /// # Errors
    /// As [`block`](Self::block); if it did not wait, the owner is who it was.
    ///
    /// # Panics
    /// If the owner is a thread of another kernel.
    pub fn block_under(&self, owner: &'static Thread<P>, deadline: Deadline) -> Result<(), BlockError> {
        self.block_owned_by(deadline, Owner::Is(owner))
    }

    fn block_owned_by(&self, deadline: Deadline, owner: Owner<P>) -> Result<(), BlockError> {
        let thread = self.kernel.platform().current();
        // SAFETY: the thread is the caller; it leaves the queue before this returns.
        let blocked = unsafe { self.begin_block(thread, deadline, true, || Some(owner)) }?;
        debug_assert!(blocked, "nothing spoke against it");
        thread.sleep(deadline).map_err(BlockError::Failed)
    }

    /// The same up to where the thread blocks, if `still`, asked under the kernel's lock, names an owner. Whether it has.
    ///
    /// # Safety
    /// `thread` does nothing else until it has its outcome. The queue stays in place until then.
    ///
    /// # Panics
    /// If the thread [may not wait](Thread::assert_may_wait), or the owner is a thread of another kernel.
    pub(super) unsafe fn begin_block(
        &self,
        thread: &'static Thread<P>,
        deadline: Deadline,
        interruptible: bool,
        still: impl FnOnce() -> Option<Owner<P>>,
    ) -> Result<bool, BlockError> {
        let _lock = self.kernel.lock();
        // SAFETY: the lock is held.
        unsafe { thread.assert_may_wait(self.kernel) };
        let Some(owner) = still() else { return Ok(false) };
        if deadline.has_come(self.kernel.platform().now()) {
            return Err(BlockError::Failed(WaitFailure::TimedOut));
        }
        if let Some(failure) = thread.pending().filter(|_| interruptible) {
            return Err(BlockError::Failed(failure));
        }
        // SAFETY: the lock is held; the rest by the caller's promise.
        unsafe {
            let owner = match owner {
                Owner::Keep => self.queue().as_ref().owner(),
                Owner::Is(owner) => {
                    owner.assert_of(self.kernel);
                    Some(owner)
                }
            };
            WaitQueue::enqueue(self.queue(), thread, owner, interruptible, deadline)
                .map_err(|circle| BlockError::WouldDeadlock(circle.into()))?;
        }
        Ok(true)
    }

    /// Wakes the first, if there is one. The owner stays.
    pub fn wake_one(&self) -> bool {
        self.wake_with(Ownership::Keep, u64::MAX, |_| ())
    }

    /// Wakes the first, which becomes the owner before it can run, so that those who still wait lend it their weight from now on. If
    /// there is none, nobody is the owner.
    pub fn wake_one_to_own(&self) -> bool {
        self.wake_with(Ownership::ToWoken, u64::MAX, |_| ())
    }

    /// Wakes all that wait, and nobody who comes while it does. The owner stays.
    ///
    /// # Cost
    /// Each is woken in a hold of the lock of its own.
    pub fn wake_all(&self) -> usize {
        let arrivals = {
            let _lock = self.kernel.lock();
            // SAFETY: the lock is held.
            unsafe { self.kernel.arrivals() }
        };
        let mut woken = 0;
        while self.wake_with(Ownership::Keep, arrivals, |_| ()) {
            woken += 1;
        }
        woken
    }

    /// Wakes the first of the first `arrivals`. `then` is told, under the lock and before that can run, who it is, and how many are left.
    pub(super) fn wake_with(
        &self,
        ownership: Ownership,
        arrivals: u64,
        then: impl FnOnce(Option<(&'static Thread<P>, u32)>),
    ) -> bool {
        let kernel = self.kernel;
        let lock = kernel.lock();
        let queue = self.queue();
        // SAFETY: the lock is held.
        let front = unsafe { queue.as_ref().first_of(arrivals) };
        // SAFETY: as above; the front is blocked.
        front.inspect(|front| unsafe { WaitQueue::take_out(front) });
        if ownership != Ownership::Keep {
            // SAFETY: as above.
            let others = unsafe { queue.as_ref() }.len() > 0;
            let owner = front.filter(|_| others || ownership == Ownership::ToWoken);
            // SAFETY: as above. The front is blocked no more, so there is no circle.
            let assigned = unsafe { WaitQueue::assign(queue, owner) };
            debug_assert!(assigned.is_ok(), "who is not blocked is the end of a chain");
        }
        // SAFETY: as above.
        then(front.map(|front| (front, unsafe { queue.as_ref() }.len())));
        let wake = front.map(|front| front.tell(Ok(())));
        drop(lock);
        wake.inspect(|&wake| kernel.platform().unblock(wake, Unblock::Normal));
        kernel.platform().settled();
        wake.is_some()
    }

    /// The owner: a snapshot.
    pub fn owner(&self) -> Option<&'static Thread<P>> {
        let _lock = self.kernel.lock();
        // SAFETY: the lock is held.
        unsafe { self.queue().as_ref() }.owner()
    }

    /// How many threads wait: a snapshot.
    pub fn num_waiters(&self) -> u32 {
        let _lock = self.kernel.lock();
        // SAFETY: the lock is held.
        unsafe { self.queue().as_ref() }.len()
    }

    /// What they weigh together: a snapshot.
    pub fn weight(&self) -> u64 {
        let _lock = self.kernel.lock();
        // SAFETY: the lock is held.
        unsafe { self.queue().as_ref() }.weight()
    }
}

impl<P: Platform> Drop for OwnedWaitQueue<P> {
    /// # Panics
    /// If somebody owns it (Z27), unless the thread panics already. Nobody does any more afterwards.
    fn drop(&mut self) {
        let owned = self.owner().is_some();
        let released = self.assign_owner(None);
        debug_assert!(released.is_ok(), "nobody is no part of a circle");
        #[cfg(feature = "std")]
        let owned = owned && !std::thread::panicking();
        assert!(!owned, "a wait queue ends while a thread owns it: `assign_owner(None)` first");
    }
}

impl<P: Platform> fmt::Debug for OwnedWaitQueue<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedWaitQueue").finish_non_exhaustive()
    }
}
