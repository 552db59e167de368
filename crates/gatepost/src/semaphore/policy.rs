//! Who goes first: the policy of a semaphore.
//!
//! A policy owns the word that admission works on (its *gate*), so that what one policy needs costs no other anything.

use super::error::{AcquireError, TryAcquireError};
use crate::wait::batch::Panics;
use crate::wait::node::{Node, State};
use core::task::{Poll, Waker};

/// How a [`Semaphore`](super::Semaphore) chooses among its waiters. Sealed: the policies are those of this module.
pub trait Policy: sealed::Policy {}

/// Nobody overtakes: permits are given out in the order in which they were asked for, a large request is not passed by
/// small ones, and a newcomer does not pass those who wait. This is what Tokio promises.
///
/// Overtaking bound: 0. Cost: a release that serves a waiter hands its permits over, so between threads each contended
/// acquisition costs a wake-up.
#[derive(Debug)]
#[non_exhaustive]
pub struct Strict;

impl Policy for Strict {}

impl sealed::Policy for Strict {
    type Gate = super::strict::Gate;
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
