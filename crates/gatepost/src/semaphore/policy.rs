//! Who goes first: the policy of a semaphore.
//!
//! A policy owns the word that admission works on (its *gate*), so that what one policy needs costs no other anything.

use super::error::{AcquireError, TryAcquireError};
use crate::wait::batch::Panics;
use crate::wait::node::{Node, State};
use core::task::{Poll, Waker};

/// How a [`Semaphore`](super::Semaphore) chooses among its waiters. Sealed: the policies are those of this module.
pub trait Policy: sealed::Policy {
    /// The largest number of permits of a semaphore with this policy.
    const MAX_PERMITS: usize;
}

/// Nobody overtakes: permits are given out in the order in which they were asked for, a large request is not passed by
/// small ones, and a newcomer does not pass those who wait. This is what Tokio promises.
///
/// Overtaking bound: 0. Cost: a release that serves a waiter hands its permits over, so between threads each contended
/// acquisition costs a wake-up; [`Barging`] is there for that.
#[derive(Debug)]
#[non_exhaustive]
pub struct Strict;

impl Policy for Strict {
    const MAX_PERMITS: usize = super::strict::MAX_PERMITS;
}

impl sealed::Policy for Strict {
    type Gate = super::strict::Gate;
}

/// Whoever runs may pass those who sleep, within a bound: fast, and fair enough.
///
/// A release wakes the first waiter and hands it nothing: a thread or task that runs may take the permit before it. So a
/// contended permit goes from hand to hand without a context switch, where [`Strict`] pays one for each acquisition.
///
/// # Overtaking bound
/// The first waiter is passed until it has been woken four times in vain, or for a quarter of a millisecond; whichever
/// comes first. From then on it is protected: permits are kept for it until it is served, and nobody passes it. (Time is
/// looked at by the first of every 16 overtakings, so it begins and ends up to 16 overtakings late. Without `std` there is
/// no clock: 1,024 overtakings stand for it.) Then the next one is first, with a patience of its own. A large request that
/// is first is not passed for ever by small ones.
///
/// # What else differs from `Strict`
/// - `try_acquire` takes what is free even if somebody waits, and
///   [`available_permits`](super::Semaphore::available_permits) shows it, unless the first waiter is protected. So does a
///   wait whose time is up; otherwise waiters do not pass one another.
/// - One waiter is woken at a time, and wakes the next if permits are left over: to release many at once is slower.
/// - **A future that has been woken must be polled, or dropped.** The turn is its own until then: those behind it are not
///   woken, though permits may be free for whoever runs (unless it is passed until it is protected, and then served).
///   Under `Strict` such a future keeps the permits it was granted; here it keeps everybody behind it waiting. A thread
///   that waits always comes.
/// - Adding more than the maximum panics even where a waiter could have taken some, and the maximum is
///   [`Barging::MAX_PERMITS`](Policy::MAX_PERMITS): `usize::MAX / 512`.
///
/// # Cost
/// 40 bytes for the semaphore (64-bit, without `tracing`). Acquiring and releasing are one read-modify-write each while
/// nobody waits, and also while the first waiter is on its way.
///
/// # Examples
/// ```
/// use gatepost::{Barging, Semaphore};
///
/// static JOBS: Semaphore<Barging> = Semaphore::const_barging(4);
///
/// let permit = JOBS.blocking_acquire()?;
/// drop(permit);
/// # Ok::<(), gatepost::AcquireError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Barging;

impl Policy for Barging {
    const MAX_PERMITS: usize = super::barging::MAX_PERMITS;
}

impl sealed::Policy for Barging {
    type Gate = super::barging::Gate;
}

pub(crate) mod sealed {
    /// What `super::Policy` keeps to itself.
    pub trait Policy: Sized + 'static {
        /// The admission word and its queue.
        type Gate: super::Gate + core::fmt::Debug;
    }
}

/// What the typed faces need of a policy. Blocking and async, borrowed and owned, one and many all come down to this.
pub trait Gate: Send + Sync {
    /// Takes `n` permits if they are free for a newcomer; no lock. `Pending`: it would have to wait, or
    /// somebody must settle the word first.
    fn try_take(&self, n: usize) -> Poll<Result<(), AcquireError>>;

    /// Takes `n` permits or says why not; its "no" is exact.
    fn try_acquire(&self, n: usize) -> Result<(), TryAcquireError>;

    /// Adds `n` permits and serves the waiters that they satisfy.
    ///
    /// # Panics
    /// If there would be more than `MAX_PERMITS`; nothing has changed then.
    #[track_caller]
    fn release(&self, n: usize);

    /// The same for a caller that has more to do: the panics of wakers are its to resume.
    ///
    /// # Panics
    /// As [`release`](Self::release).
    #[track_caller]
    fn release_with(&self, n: usize, panics: &mut Panics);

    /// Removes up to `n` free permits for good and returns how many.
    fn forget(&self, n: usize) -> usize;

    /// Free permits, as a newcomer sees them.
    fn available(&self) -> usize;

    /// Whether the gate is closed.
    fn is_closed(&self) -> bool;

    /// Closes the gate and fails all who wait.
    fn close(&self);

    /// The number of waiters in the queue.
    fn waiters(&self) -> usize;

    /// Joins the queue, unless that turns out to be needless. With `may_take` false, permits that are free meanwhile are
    /// left alone and `Pending` is returned without joining.
    ///
    /// # Safety
    /// `node` is idle and its own; it stays in place and alive until its outcome is published or [`withdraw`](Self::withdraw)
    /// returns.
    unsafe fn enqueue(&self, node: &Node, waker: &Waker, may_take: bool) -> Poll<Result<(), AcquireError>>;

    /// Asks for the outcome of a node that has joined, and says whom to wake for it.
    ///
    /// # Safety
    /// The caller owns `node`, which joined this gate's queue.
    unsafe fn poll(&self, node: &Node, waker: &Waker) -> Poll<Result<(), AcquireError>>;

    /// The same for a thread, which may spend a little time where a task must not.
    ///
    /// # Safety
    /// As for [`poll`](Self::poll).
    #[cfg(feature = "std")]
    #[inline]
    unsafe fn poll_thread(&self, node: &Node, waker: &Waker) -> Poll<Result<(), AcquireError>> {
        // SAFETY: passed on.
        unsafe { self.poll(node, waker) }
    }

    /// Leaves the queue for good, if that can be done at once; whether it was. If it was not, the caller resumes the panics
    /// of others' wakers when it has.
    ///
    /// # Safety
    /// As for [`poll`](Self::poll).
    #[inline(always)]
    unsafe fn cancel(&self, _node: &Node, _panics: &mut Panics) -> bool {
        false
    }

    /// Leaves the queue with `outcome`, unless an outcome has been published already; returns the one that holds. After
    /// `GRANTED` the permits are the caller's. A `TIMED_OUT` or `INTERRUPTED` is as exact as a "no": what could have been
    /// granted before has been.
    ///
    /// Others may be served on the way. If one of their wakers panics, the outcome holds all the same: the caller resumes
    /// the panic when it has dealt with that.
    ///
    /// # Safety
    /// As for [`poll`](Self::poll).
    unsafe fn withdraw(&self, node: &Node, outcome: State, panics: &mut Panics) -> State;
}
