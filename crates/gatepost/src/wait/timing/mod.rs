//! The one hook of the contention profiles (feature `profile`). Without the feature all of this is empty.
//!
//! Whoever waits says when it begins ([`Node::begin_wait`]), whoever decides about a waiter stamps it under the queue's
//! lock ([`Charge`]), and the waiter reports its wait when it takes the outcome ([`ended`]). What a release ended, for
//! everybody in the queue, is reported by the releaser when the lock has been given back. A profile is a table of two
//! functions ([`Hooks`]); null means that none is on.
//!
//! # Off
//! A wait that begins while no profile is on costs one relaxed load, of the pointer to the table, when it joins the queue.
//! Such a waiter is not timed; that is a flag in its node, which is all that the others look at. No clock is read. Nothing
//! here is on a path on which nobody waits.
//!
//! # Who may touch what
//! | field of a node | while not linked | while linked |
//! |---|---|---|
//! | `reason`, `timed` | the owner | anybody with the lock, read only |
//! | `times` | the owner | the holder of the queue's lock |
//!
//! `times` is initialised when `timed` is not zero, but for `crowd`, which is when the node is the front of a queue.
//!
//! # The block profile
//! A waiter is charged with what it waited: from its first attempt, however often it was woken and lost (G37), to the last
//! time that somebody decided about it or woke it to compete.
//!
//! # The mutex profile
//! A release that lets somebody go is charged with the waiting, of all who are in the queue, since that was last charged.
//! Let each timed waiter have a *base*: its arrival, or the last charge if that came later. The front of a queue carries
//! ([`Crowd`]) how many are timed, and the sum of their bases. **T1.** A release at `now` is charged `count * now - sum`,
//! and then all bases are `now`: `sum = count * now`. **T2.** Who joins adds its base, who leaves by itself subtracts it.
//! So each instant of each wait is charged once, to the release at which that wait, or the next stretch of it, ended:
//! over a waiter's life the charges telescope to last charge less arrival. Each step is O(1).
//!
//! A waiter's own base is not looked up from others: it is the arrival if there was no charge since it joined, which the
//! crowd's count of charges says, and the time of the last charge otherwise.
//!
//! Arithmetic wraps, so that the sum of more bases than 2^64 nanoseconds hold is of no concern: the difference is what
//! counts. `now` is read under the lock, so no base is later.

#[cfg(not(all(feature = "profile", not(all(test, any(loom, shuttle))))))]
mod off;
#[cfg(all(feature = "profile", not(all(test, any(loom, shuttle)))))]
mod on;
#[cfg(all(test, feature = "profile", not(any(loom, shuttle))))]
pub(crate) mod tests;

#[cfg(not(all(feature = "profile", not(all(test, any(loom, shuttle))))))]
pub(crate) use off::{Charge, Times, ended};
#[cfg(all(feature = "profile", not(all(test, any(loom, shuttle)))))]
pub(crate) use on::{Charge, Hooks, Times, ended, set_hooks};

use super::node::Node;
use core::task::Poll;

/// Passes on what a waiter is told when it asks for its outcome: with an outcome its wait is over ([`ended`]).
#[inline(always)]
pub(crate) fn answered<T>(node: &Node, answer: Poll<T>) -> Poll<T> {
    if answer.is_ready() {
        ended(node);
    }
    answer
}
