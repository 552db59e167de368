//! The mutex of Go's file descriptors (`internal/poll.fdMutex`): a lifetime, a reader's lock and a writer's lock in one word, and two
//! [`Sema`]s to sleep on.
//!
//! ```text
//!   bit 0       1      2       3 … 22        23 … 42           43 … 62
//!       CLOSED  READ   WRITE   references    readers waiting   writers waiting
//! ```
//! Reading excludes reading, and writing writing; the two do not concern one another. Each lock holds a reference. Closing is final:
//! it wakes everybody who waits, who then sees CLOSED; whoever drops the last reference after that frees the descriptor.
//!
//! # Invariants
//! **F1.** Whoever is counted as waiting sleeps on its `Sema`, or is about to; whoever takes it out of the count releases that
//! once, after the change of the word. So each sleep is paired with one wake-up, in whichever order they come.
//! **F2.** With CLOSED set nobody is counted as waiting: closing takes out all of them in the same step, and nobody comes in.

use gatepost::address::Sema;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

const CLOSED: u64 = 1;
const REFERENCE: u64 = 1 << 3;
/// What fits into twenty bits.
const MOST: u64 = (1 << 20) - 1;
const REFERENCES: u64 = MOST << 3;
const ALL_WAITING: u64 = (MOST << 23) | (MOST << 43);

const TOO_MANY: &str = "too many concurrent operations on a single file or socket (max 1048575)";
const INCONSISTENT: &str = "inconsistent use of a file descriptor's mutex: dropped or unlocked more than taken";

/// Which of the two locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The reader's.
    Read,
    /// The writer's.
    Write,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct FdMutex {
    state: AtomicU64,
    readers: Sema,
    writers: Sema,
}

impl FdMutex {
    /// Open, with no references.
    pub(crate) const fn new() -> Self {
        Self { state: AtomicU64::new(0), readers: Sema::new(0), writers: Sema::new(0) }
    }

    /// The bit of the lock, one who waits for it, and where it sleeps.
    fn side(&self, side: Side) -> (u64, u64, &Sema) {
        match side {
            Side::Read => (1 << 1, 1 << 23, &self.readers),
            Side::Write => (1 << 2, 1 << 43, &self.writers),
        }
    }

    /// Changes the word as `change` says, unless that is `None`. Returns what it was, and is.
    fn update(&self, change: impl Fn(u64) -> Option<u64>) -> Option<(u64, u64)> {
        let mut old = self.state.load(Relaxed);
        loop {
            let new = change(old)?;
            match self.state.compare_exchange_weak(old, new, AcqRel, Relaxed) {
                Ok(_) => return Some((old, new)),
                Err(now) => old = now,
            }
        }
    }

    /// Takes a reference, unless it is closed. Whether it has.
    ///
    /// # Panics
    /// If there are as many as can be counted.
    #[must_use = "without a reference the descriptor may be freed"]
    pub(crate) fn incref(&self) -> bool {
        self.update(|old| (old & CLOSED == 0).then(|| counted(old + REFERENCE, REFERENCES))).is_some()
    }

    /// Closes it and takes a reference, unless it is closed. Whether it has. All who wait are woken, and find it closed.
    ///
    /// # Panics
    /// If there are as many references as can be counted; it is not closed then.
    #[must_use = "who has closed it has a reference"]
    pub(crate) fn incref_and_close(&self) -> bool {
        let closed = |old: u64| counted((old | CLOSED) + REFERENCE, REFERENCES) & !ALL_WAITING; // F2
        let Some((old, _)) = self.update(|old| (old & CLOSED == 0).then(|| closed(old))) else { return false };
        for side in [Side::Read, Side::Write] {
            let (_, waiter, sema) = self.side(side);
            sema.release_n(((old / waiter) & MOST) as u32); // F1; Go releases one by one
        }
        true
    }

    /// Drops a reference. Whether it was the last one, and the mutex is closed: then the descriptor is the caller's to free.
    ///
    /// # Panics
    /// If there is none.
    #[must_use = "whether to free the descriptor"]
    pub(crate) fn decref(&self) -> bool {
        let dropped = self.update(|old| (old & REFERENCES != 0).then(|| old - REFERENCE));
        let Some((_, new)) = dropped else { panic!("{INCONSISTENT}") };
        is_over(new)
    }

    /// Takes the lock, and a reference; waits for it. False if it is closed.
    ///
    /// # Panics
    /// If there are as many references, or as many who wait, as can be counted.
    #[must_use = "whether it is locked"]
    pub(crate) fn lock(&self, side: Side) -> bool {
        let (bit, waiter, sema) = self.side(side);
        loop {
            let joined = self.update(|old| match old {
                _ if old & CLOSED != 0 => None,
                _ if old & bit == 0 => Some(counted((old | bit) + REFERENCE, REFERENCES)),
                _ => Some(counted(old.wrapping_add(waiter), MOST * waiter)),
            });
            match joined {
                None => return false,
                Some((old, _)) if old & bit == 0 => return true,
                // Whoever wakes it has taken it out of the count.
                Some(_) => sema.acquire().wait(),
            }
        }
    }

    /// Gives the lock and its reference back, and wakes one who waits. Whether the descriptor is the caller's to free.
    ///
    /// # Panics
    /// If it is not locked.
    #[must_use = "whether to free the descriptor"]
    pub(crate) fn unlock(&self, side: Side) -> bool {
        let (bit, waiter, sema) = self.side(side);
        let waits = |old: u64| old & (MOST * waiter) != 0;
        let unlocked = self.update(|old| {
            let locked = old & bit != 0 && old & REFERENCES != 0;
            locked.then(|| (old & !bit) - REFERENCE - if waits(old) { waiter } else { 0 })
        });
        let Some((old, new)) = unlocked else { panic!("{INCONSISTENT}") };
        if waits(old) {
            sema.release(); // F1
        }
        is_over(new)
    }

    /// How many sleep: a snapshot, for tests.
    pub(crate) fn sleepers(&self, side: Side) -> usize {
        self.side(side).2.num_waiters()
    }
}

/// `new`, in which the field `mask` has been added to. It must not have wrapped around.
fn counted(new: u64, mask: u64) -> u64 {
    assert!(new & mask != 0, "{TOO_MANY}");
    new
}

fn is_over(state: u64) -> bool {
    state & (CLOSED | REFERENCES) == CLOSED
}
