//! Waiting for LOCKED.
//!
//! The lock is held for at most 32 nodes and never while the user's code runs, but its holder may be preempted. So who
//! needs it looks at it [`LOOKS`] times and then sleeps; an endless spin could keep a holder of lower priority from ever
//! running. Releasers never come here (save one whose sum would exceed MAX_PERMITS).
//!
//! # Sleeping, steps Z1 to Z4
//! ```text
//!   sleepers: u32    bit 0: somebody sleeps, or is about to       bits 1..: how often they were woken
//! ```
//! Z1 set bit 0. Z2 an RMW on the word that changes nothing. Z3 if that read LOCKED, sleep while `sleepers` is what Z1
//! left. Z4, after an unlock: if bit 0 is set, add one (which clears it and counts) and wake all sleepers.
//!
//! Z2 is an RMW and not a load because RMWs on the word are in one order with the unlock: either Z2 comes first, and the
//! unlocker sees Z1; or the unlock comes first, and Z2 sees that. No fence is needed on the unlocking side, which pays
//! one load. To sleep through an unlock, 2^31 of them would have to fall between Z2 and Z3.

use super::{Gate, LOCKED, QUEUED, Word};
use crate::sys;

/// Looks at LOCKED before sleeping for it. Under a checker fewer do.
const LOOKS: u32 = if cfg!(all(test, any(loom, shuttle))) { 1 } else { 50 };

impl Gate {
    /// Takes LOCKED, setting `mark` with it, and returns the word as it is then. At each look `bail` may end it with a
    /// reason; it must when the word is not QUEUED, unless `mark` says that it will be (LOCKED implies QUEUED).
    #[cold]
    pub(super) fn lock<R>(&self, mark: usize, mut bail: impl FnMut(Word) -> Option<R>) -> Result<Word, R> {
        let mut looks = 0;
        loop {
            let word = self.look();
            if let Some(reason) = bail(word) {
                return Err(reason);
            }
            if !word.is_locked() {
                debug_assert!((word.0 | mark) & QUEUED != 0, "LOCKED implies QUEUED");
                let next = word.with(LOCKED | mark);
                if self.try_exchange_locked(word, next).is_ok() {
                    return Ok(next);
                }
                continue;
            }
            looks += 1;
            self.relax(looks);
        }
    }

    /// Takes LOCKED if somebody waits and nobody holds it (D3, U5).
    pub(crate) fn try_lock(&self) -> Option<Word> {
        let mut word = self.look();
        while word.wants_server() {
            let next = word.with(LOCKED);
            match self.try_exchange_locked(word, next) {
                Ok(()) => return Some(next),
                Err(now) => word = now,
            }
        }
        None
    }
}

pub(super) use waiting::Sleepers;

#[cfg(feature = "std")]
mod waiting {
    use super::*;
    use crate::sys::atomic::{AtomicU32, Relaxed};
    use crate::sys::const_fn;
    use crate::sys::futex;
    use crate::sys::mutant::{self, Mutant};

    /// Who sleeps for LOCKED. See the head of the file.
    pub(in super::super) struct Sleepers(AtomicU32);

    impl Sleepers {
        const_fn! {
            pub(in super::super) const fn new() -> Self {
                Self(AtomicU32::new(0))
            }
        }
    }

    #[cfg(all(test, not(any(loom, shuttle))))]
    impl Sleepers {
        pub(super) fn is_announced(&self) -> bool {
            self.0.load(Relaxed) & 1 != 0
        }
    }

    impl Gate {
        /// The CAS that takes LOCKED, which `next` has.
        #[inline(always)]
        pub(in super::super) fn try_exchange_locked(&self, word: Word, next: Word) -> Result<(), Word> {
            self.exchange(word, next)
        }

        /// The CAS that gives LOCKED back (U3), and Z4.
        #[inline]
        pub(in super::super) fn try_exchange_unlocked(&self, word: Word, next: Word) -> Result<(), Word> {
            self.exchange(word, next)?;
            self.wake_sleepers();
            Ok(())
        }

        /// Z4. LOCKED was cleared by this thread.
        #[inline]
        pub(in super::super) fn wake_sleepers(&self) {
            let sleepers = self.sleepers.0.load(Relaxed);
            if sleepers & 1 != 0 {
                self.wake_sleepers_slow(sleepers);
            }
        }

        #[cold]
        fn wake_sleepers_slow(&self, sleepers: u32) {
            // Fails if another unlocker was faster, who then wakes them.
            if self.sleepers.0.compare_exchange(sleepers, sleepers.wrapping_add(1), Relaxed, Relaxed).is_ok() {
                futex::wake_all(&self.sleepers.0);
            }
        }

        /// LOCKED was seen for the `looks`th time.
        pub(super) fn relax(&self, looks: u32) {
            if looks < LOOKS {
                return sys::pause();
            }
            let announced = self.sleepers.0.fetch_or(1, Relaxed) | 1; // Z1
            let locked = mutant::is(Mutant::SleepUnannounced) || self.touch().is_locked(); // Z2
            if locked {
                futex::wait(&self.sleepers.0, announced, None); // Z3
            }
        }
    }
}

#[cfg(not(feature = "std"))]
mod waiting {
    use super::*;
    use crate::sys::atomic::{AtomicU32, Relaxed};
    use crate::sys::platform;

    /// Without `std` nobody sleeps. Here the holder keeps what [`platform::Platform::enter`] gave it.
    pub(in super::super) struct Sleepers(AtomicU32);

    impl Sleepers {
        pub(in super::super) const fn new() -> Self {
            Self(AtomicU32::new(0))
        }
    }

    impl Gate {
        /// The CAS that takes LOCKED, which `next` has, with preemption forbidden if it succeeds.
        pub(in super::super) fn try_exchange_locked(&self, word: Word, next: Word) -> Result<(), Word> {
            let platform = platform::current();
            let token = (platform.enter)();
            let result = self.exchange(word, next);
            match result {
                Ok(()) => self.sleepers.0.store(token, Relaxed),
                Err(_) => (platform.exit)(token),
            }
            result
        }

        /// The CAS that gives LOCKED back (U3), after which preemption is allowed again.
        pub(in super::super) fn try_exchange_unlocked(&self, word: Word, next: Word) -> Result<(), Word> {
            let token = self.sleepers.0.load(Relaxed);
            self.exchange(word, next)?;
            (platform::current().exit)(token);
            Ok(())
        }

        /// Nobody sleeps.
        #[inline(always)]
        pub(in super::super) fn wake_sleepers(&self) {}

        /// LOCKED was seen for the `looks`th time.
        pub(super) fn relax(&self, looks: u32) {
            if looks < LOOKS {
                sys::pause();
            } else {
                (platform::current().relax)(looks - LOOKS);
            }
        }
    }
}

/// Hooks of the tests that set traps.
#[cfg(all(test, feature = "std", not(any(loom, shuttle))))]
impl Gate {
    /// Whether somebody sleeps for LOCKED, or is about to.
    pub(crate) fn has_sleepers(&self) -> bool {
        self.sleepers.is_announced()
    }

    /// The word as it is.
    pub(crate) fn look_for_test(&self) -> Word {
        self.look()
    }
}
