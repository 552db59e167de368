//! The word of the barging policy.
//!
//! ```text
//!   63 (31)                  9   8     5    4         3        2        1        0
//!   ┌─────────────────────────┬────────┬─────────┬────────┬────────┬────────┬────────┐
//!   │ free permits            │ passed │ STARVED │ WAKING │ LOCKED │ QUEUED │ CLOSED │
//!   └─────────────────────────┴────────┴─────────┴────────┴────────┴────────┴────────┘
//! ```
//! *passed* counts overtakings modulo 16, in the very CAS that overtakes: exact, and no RMW more.
//!
//! | QUEUED | WAKING | STARVED | meaning (open, not LOCKED) |
//! |:-:|:-:|:-:|---|
//! | 0 | 0 | 0 | nobody waits: acquire and release are one RMW each |
//! | 1 | 0 | 0 | waiters sleep; the front needs more than there is, or somebody is about to take LOCKED |
//! | 1 | 1 | 0 | the front has been woken and competes with newcomers; a release is one RMW, as if nobody waited |
//! | 1 | · | 1 | the front is protected: permits are kept for it |
//!
//! WAKING and STARVED imply QUEUED, and so does LOCKED. All flags but CLOSED of an empty queue are changed by the holder
//! of LOCKED alone; permits are changed by anybody, at any time.

use crate::semaphore::locked::LockWord;
pub(super) use crate::semaphore::locked::{CLOSED, LOCKED, QUEUED};

/// A value of the word. `Copy`: it is what somebody saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word(pub(super) usize);

/// The front of the queue has been woken, and has neither taken its permits nor lost.
pub(super) const WAKING: usize = 8;
/// The front of the queue is protected until it is served.
pub(super) const STARVED: usize = 16;
const FLAGS: usize = 31;
/// One overtaking.
const PASSED: usize = 32;
/// The overtakings that are counted.
const ALL_PASSED: usize = PASSED * 15;
/// None of these: the overtaking is one of [`SAMPLE`].
const SAMPLED: usize = PASSED * (SAMPLE - 1);
/// One permit.
pub(super) const ONE: usize = 512;
/// The largest number of permits that the word can count.
pub(in super::super) const MAX_PERMITS: usize = usize::MAX / ONE;

/// Overtakings for each look at the front's patience: a power of two, 16 at most.
pub(in super::super) const SAMPLE: usize = if cfg!(all(test, any(loom, shuttle))) { 1 } else { 16 };

/// A deposit below this, onto a word below `SAFE_WORD`, cannot overflow, whatever others deposit between the look at the
/// word and the addition: that would take 2^28 (on 32 bits 2^12) threads in that very place at once.
const SAFE_DEPOSIT: usize = 1 << (usize::BITS / 2 - 6);
const SAFE_WORD: usize = 1 << (usize::BITS - 1);

impl Word {
    pub(super) const fn new(permits: usize) -> Self {
        Self(permits * ONE)
    }

    #[inline(always)]
    const fn count(self) -> usize {
        self.0 / ONE
    }

    #[inline(always)]
    pub(super) const fn flags(self) -> usize {
        self.0 & FLAGS
    }

    #[inline(always)]
    pub(super) const fn is_starved(self) -> bool {
        self.0 & STARVED != 0
    }

    /// Open, nobody is protected, and `n` permits are there. None at all are always there while open (T8); taking them is
    /// an RMW all the same (T43).
    #[inline(always)]
    pub(super) const fn admits(self, n: usize) -> bool {
        self.0 & (CLOSED | STARVED) == 0 && self.count() >= n || n == 0 && self.0 & CLOSED == 0
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

    /// One more overtaking.
    #[inline(always)]
    pub(super) const fn passed(self) -> Self {
        Self(self.0 & !ALL_PASSED | self.0.wrapping_add(PASSED) & ALL_PASSED)
    }

    /// Whether the overtaking that would be next is the one of [`SAMPLE`] that looks at the front's patience.
    #[inline(always)]
    #[allow(clippy::bad_bit_mask)] // under the checkers each is
    pub(super) const fn is_sampled(self) -> bool {
        self.0 & SAMPLED == 0
    }

    /// The same permits under other flags.
    #[inline(always)]
    pub(super) const fn under(self, flags: usize) -> Self {
        Self(self.0 & !FLAGS | flags)
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

    /// The permits that are hidden from everybody but the front: those of an open semaphore whose front is protected.
    #[inline(always)]
    fn masks(self) -> bool {
        self.0 & (CLOSED | STARVED) == STARVED
    }

    /// Somebody waits, and nobody is on the way: neither a holder nor the designated waiter. A protected front is handed
    /// its permits, awake or not.
    #[inline(always)]
    fn wants_server(self) -> bool {
        self.0 & (QUEUED | LOCKED) == QUEUED && self.0 & (CLOSED | STARVED | WAKING) != WAKING
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn flags_and_permits_do_not_touch() {
        for permits in [0, 1, 7, MAX_PERMITS - 1, MAX_PERMITS] {
            let word = Word::new(permits).with(FLAGS);
            assert_eq!((word.permits(), word.flags()), (permits, FLAGS));
            assert_eq!(word.under(QUEUED).under(0), Word::new(permits));
            let mut passed = word;
            for overtaking in 0..40 {
                assert_eq!((passed.permits(), passed.flags()), (permits, FLAGS));
                assert_eq!(passed.is_sampled(), overtaking % SAMPLE == 0);
                passed = passed.passed();
            }
        }
    }

    #[test]
    fn a_blind_deposit_cannot_overflow() {
        let racing = 1_usize << (usize::BITS / 2 - 4);
        assert!(!Word(SAFE_WORD).takes_blindly(1) && !Word(0).takes_blindly(SAFE_DEPOSIT));
        assert!(Word(SAFE_WORD - 1).permits() + racing * (SAFE_DEPOSIT - 1) <= MAX_PERMITS);
    }

    #[test]
    fn a_release_serves_unless_somebody_is_on_the_way() {
        for (flags, serves) in [
            (0, false),
            (QUEUED, true),
            (QUEUED | LOCKED, false),
            (QUEUED | WAKING, false),
            (QUEUED | WAKING | STARVED, true),
            (QUEUED | STARVED, true),
            (QUEUED | STARVED | LOCKED, false),
            (QUEUED | WAKING | CLOSED, true),
            (CLOSED, false),
        ] {
            assert_eq!(Word(flags).wants_server(), serves, "{flags:b}");
        }
    }
}
