//! The word of the strict policy: everything that admission needs, in one location.
//!
//! ```text
//!   63 (31)                                                    3     2        1        0
//!   ┌──────────────────────────────────────────────────────────┬────────┬────────┬────────┐
//!   │ free permits, and deposits that have not been served yet │ LOCKED │ QUEUED │ CLOSED │
//!   └──────────────────────────────────────────────────────────┴────────┴────────┴────────┘
//! ```
//!
//! | CLOSED | QUEUED | LOCKED | meaning |
//! |:-:|:-:|:-:|---|
//! | 0 | 0 | 0 | open, nobody waits: acquire and release are one RMW each |
//! | 0 | 1 | 0 | waiters; the front needs more than there is, or somebody is about to take LOCKED (a word *in motion*) |
//! | · | 1 | 1 | one thread, the *holder*, owns the queue |
//! | 1 | 0 | 0 | closed for good; permits may still come back, and are shown |
//! | 1 | 1 | 0 | closed; the rest of the queue is about to be told |
//!
//! LOCKED implies QUEUED: an enqueuer sets both at once, and everybody else locks only what is queued.

use crate::semaphore::locked::LockWord;
pub(super) use crate::semaphore::locked::{CLOSED, LOCKED, QUEUED};

/// A value of the word. `Copy`: it is what somebody saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word(pub(super) usize);

/// One permit.
pub(super) const ONE: usize = 8;
/// The largest number of permits that the word can count.
pub(in super::super) const MAX_PERMITS: usize = usize::MAX >> 3;

/// A deposit below this, onto a word below `SAFE_WORD`, cannot overflow, whatever others deposit between the look at the
/// word and the addition: that would take 2^28 (on 32 bits 2^12) threads in that very place at once.
const SAFE_DEPOSIT: usize = 1 << (usize::BITS / 2);
const SAFE_WORD: usize = 1 << (usize::BITS - 1);

impl Word {
    pub(super) const fn new(permits: usize) -> Self {
        Self(permits * ONE)
    }

    #[inline(always)]
    const fn count(self) -> usize {
        self.0 >> 3
    }

    /// Open, nobody waits, and `n` permits are there. None at all are always there while open, queue or not (T8); taking
    /// them is an RMW all the same (T43).
    #[inline(always)]
    pub(super) const fn admits(self, n: usize) -> bool {
        self.0 & (CLOSED | QUEUED) == 0 && self.count() >= n || n == 0 && self.0 & CLOSED == 0
    }

    /// Whether `n` more permits can be added without looking again.
    #[inline(always)]
    pub(super) const fn takes_blindly(self, n: usize) -> bool {
        self.0 < SAFE_WORD && n < SAFE_DEPOSIT
    }

    #[inline(always)]
    pub(super) const fn plus(self, n: usize) -> Self {
        Self(self.0 + n * ONE)
    }
}

impl LockWord for Word {
    #[inline(always)]
    fn from_bits(bits: usize) -> Self {
        Self(bits)
    }

    #[inline(always)]
    fn bits(self) -> usize {
        self.0
    }

    #[inline(always)]
    fn permits(self) -> usize {
        self.count()
    }

    #[inline(always)]
    fn minus(self, n: usize) -> Self {
        Self(self.0 - n * ONE)
    }

    /// The permits that are hidden from everybody but the queue: those of an open semaphore on which somebody waits.
    #[inline(always)]
    fn masks(self) -> bool {
        self.0 & (CLOSED | QUEUED) == QUEUED
    }

    #[inline(always)]
    fn wants_server(self) -> bool {
        self.0 & (QUEUED | LOCKED) == QUEUED
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn flags_and_permits_do_not_touch() {
        for permits in [0, 1, 7, MAX_PERMITS - 1, MAX_PERMITS] {
            let word = Word::new(permits).with(CLOSED | QUEUED | LOCKED);
            assert_eq!(word.permits(), permits);
            assert!(word.is_closed() && word.is_queued() && word.is_locked());
            let word = word.without(CLOSED | QUEUED | LOCKED);
            assert_eq!(word, Word::new(permits));
            assert!(!word.is_closed() && !word.is_queued() && !word.is_locked());
        }
    }

    #[test]
    fn a_blind_deposit_cannot_overflow() {
        let racing = 1_usize << (usize::BITS / 2 - 4);
        assert!(!Word(SAFE_WORD).takes_blindly(1) && !Word(0).takes_blindly(SAFE_DEPOSIT));
        assert!(Word(SAFE_WORD - 1).permits() + racing * (SAFE_DEPOSIT - 1) <= MAX_PERMITS);
    }
}
