//! The lock of the file: a spin, a futex, and a way on when its owner has died.
//!
//! # States
//!
//! | owner | contended | meaning
//! |:-----:|:---------:|-----------------------------------------------------------
//! |   0   |     0     | free
//! |  i+1  |     0     | session `i` is in the critical section
//! |  i+1  |     1     | so it is, and others may sleep: it wakes one when it leaves
//! |   0   |     1     | never stored
//!
//! The upper half is the *epoch*: it grows by one when a dead owner is followed by somebody else, and never otherwise.
//!
//! # Invariants
//!
//! L1. The word names its owner from the CAS that takes the lock to the CAS that leaves it: at no instruction is there an owner
//!     that the word does not name.
//! L2. A word that names `i` in epoch `e` is changed by a thread of session `i`, or by one that has seen byte `i` unlocked
//!     while the word was that, or by the process that has just got byte `i`.
//! L3. So a living owner is never followed. Let T follow `i` by its CAS from `(i, e)`. T saw `(i, e)`, then byte `i` free: the
//!     session that had locked in epoch `e` was dead, since a session locks in epoch `e` only once it has its byte and keeps
//!     that until it dies. Had another process got byte `i` since, then it would have found the word naming `i` and would
//!     have followed itself before anything else (`claim`), in epoch `e + 1`; and the CAS of T would fail.
//! L4. Whoever follows finds the critical section half done and makes the file whole before it does anything else.
//! L5. A sleeper is woken, or looks again after [`RECHECK`]. So a wake-up that is lost with its sender costs that long.
//!
//! # Cost
//!
//! Free: one CAS to take it and one to leave it. Held: a spin of some hundred cycles, then a system call.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use crate::futex;
use crate::layout::LockWord;
use crate::step;
use crate::table::Table;

/// How often a sleeper looks whether the owner lives.
const RECHECK: Duration = Duration::from_millis(2);
/// How often a contender looks before it sleeps. The section is short: about a hundred nanoseconds.
const SPINS: u32 = 60;

/// How the lock was got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// From nobody: the file is whole.
    Clean,
    /// From a dead owner: the file may be half changed.
    Over {
        /// Who it was.
        dead: u32,
    },
}

impl Table {
    fn lock_word(&self) -> LockWord {
        LockWord(self.map().header().lock.load(Relaxed))
    }

    /// One step from `old` to `new`.
    fn exchange_lock(&self, old: LockWord, new: LockWord) -> Result<(), LockWord> {
        let word = &self.map().header().lock;
        // ORDERING: Acquire, when it takes the lock, pairs with the Release of `leave`: the table is as its last owner left it.
        // A dead owner has not released, but its stores came before its death, which the kernel's lock on its byte orders
        // before our probe.
        word.compare_exchange(old.0, new.0, Acquire, Relaxed).map(drop).map_err(LockWord)
    }

    /// Waits for the lock.
    #[inline]
    pub(crate) fn take(&self) -> Taken {
        let old = self.lock_word();
        if old.owner().is_none() && self.exchange_lock(old, old.owned_by(self.me())).is_ok() {
            return Taken::Clean;
        }
        self.take_slow()
    }

    #[cold]
    #[inline(never)]
    fn take_slow(&self) -> Taken {
        for _ in 0..SPINS {
            let old = self.lock_word();
            if old.owner().is_none() && self.exchange_lock(old, old.owned_by(self.me())).is_ok() {
                return Taken::Clean;
            }
            std::hint::spin_loop();
        }
        loop {
            let old = self.lock_word();
            let Some(owner) = old.owner() else {
                // Whoever has slept cannot know whether others do, so it takes the lock as contended.
                if self.exchange_lock(old, old.owned_by(self.me()).contended()).is_ok() {
                    return Taken::Clean;
                }
                continue;
            };
            if !old.is_contended() && self.exchange_lock(old, old.contended()).is_err() {
                continue;
            }
            let seen = old.contended();
            futex::wait(futex::lower_half_of(&self.map().header().lock), seen.futex(), RECHECK);
            if self.lock_word() == seen && !self.is_session_alive(owner) {
                step::at("lock: the owner is dead");
                // L2, L3.
                if self.exchange_lock(seen, seen.next_epoch().owned_by(self.me()).contended()).is_ok() {
                    step::at("lock: followed the dead owner");
                    return Taken::Over { dead: owner };
                }
            }
        }
    }

    /// For one that has just got byte `me`: follows the dead predecessor that the word may name. L3.
    pub(crate) fn follow_predecessor(&self) -> Option<Taken> {
        loop {
            let old = self.lock_word();
            if old.owner() != Some(self.me()) {
                return None;
            }
            if self.exchange_lock(old, old.next_epoch().owned_by(self.me()).contended()).is_ok() {
                return Some(Taken::Over { dead: self.me() });
            }
        }
    }

    /// Gives the lock back; false: somebody has followed us, who saw our byte unlocked.
    #[inline]
    pub(crate) fn leave(&self) -> bool {
        let word = &self.map().header().lock;
        let mut old = self.lock_word();
        loop {
            if old.owner() != Some(self.me()) {
                return false;
            }
            // ORDERING: Release pairs with the Acquire of whoever takes the lock next.
            match word.compare_exchange_weak(old.0, old.free().0, Release, Relaxed) {
                Ok(_) => break,
                Err(seen) => old = LockWord(seen),
            }
        }
        step::at("lock: left");
        if old.is_contended() {
            futex::wake(futex::lower_half_of(word), 1);
        }
        true
    }

    /// The session in the critical section.
    pub(crate) fn lock_owner(&self) -> Option<u32> {
        self.lock_word().owner()
    }
}
