//! How long the front of the queue lets itself be overtaken.
//!
//! Until it has lost [`LOST_WAKES`] wake-ups, or a millisecond has passed since it was first overtaken. The clock is read
//! when a woken waiter loses, at the first overtaking, and then at one in [`SAMPLE`]: so nobody is overtaken any more
//! after the 16th acquisition that follows the millisecond. Where there is no clock (no `std`; under the model checkers)
//! overtakings are counted instead: [`OVERTAKINGS`] of them.
//!
//! `overtakings` is counted with a load and a store, by whoever has just written the word beside it: no RMW. Of two that
//! count at once one may be lost, so it runs late on many processors, by their number at most.

use crate::sys::atomic::{AtomicU32, Relaxed};
use crate::sys::const_fn;
use crate::sys::mutant::{self, Mutant};

/// Wake-ups that the front may lose.
pub(in super::super) const LOST_WAKES: u32 = if cfg!(all(test, any(loom, shuttle))) { 1 } else { 4 };
/// Overtakings for each look at the clock.
pub(in super::super) const SAMPLE: u32 = if cfg!(all(test, any(loom, shuttle))) { 1 } else { 16 };
/// Overtakings, where there is no clock.
#[cfg(any(not(feature = "std"), all(test, any(loom, shuttle))))]
const OVERTAKINGS: u32 = if cfg!(all(test, any(loom, shuttle))) { 2 } else { 1024 };
/// In microseconds.
#[cfg(all(feature = "std", not(all(test, any(loom, shuttle)))))]
pub(in super::super) const PATIENCE: u32 = 1000;

/// See the module head.
pub(super) struct Patience {
    /// When the clock was first read for this front, in microseconds, odd; 0: not yet.
    since: AtomicU32,
    /// Acquisitions that passed this front.
    overtakings: AtomicU32,
    /// Wake-ups that this front has lost. Of the holder of LOCKED.
    lost: AtomicU32,
}

impl Patience {
    const_fn! {
        pub(in super::super) const fn new() -> Self {
            Self { since: AtomicU32::new(0), overtakings: AtomicU32::new(0), lost: AtomicU32::new(0) }
        }
    }

    /// Another is the front now. LOCKED is held.
    pub(super) fn renew(&self) {
        self.since.store(0, Relaxed);
        self.overtakings.store(0, Relaxed);
        self.lost.store(0, Relaxed);
    }

    /// Somebody has passed the queue. Whether it is time to look at the clock.
    #[inline(always)]
    pub(super) fn overtaken(&self) -> bool {
        let overtakings = self.overtakings.load(Relaxed).wrapping_add(1);
        self.overtakings.store(overtakings, Relaxed);
        overtakings % SAMPLE == 1 % SAMPLE
    }

    /// The front was woken and found too few permits. LOCKED is held. Whether it is enough.
    pub(super) fn lose(&self) -> bool {
        let lost = self.lost.load(Relaxed) + 1;
        self.lost.store(lost, Relaxed);
        lost >= LOST_WAKES && !mutant::is(Mutant::EndlessPatience) || self.is_out()
    }

    /// Whether the front has been overtaken for long enough.
    pub(super) fn is_out(&self) -> bool {
        if mutant::is(Mutant::EndlessPatience) {
            return false;
        }
        #[cfg(all(feature = "std", not(all(test, any(loom, shuttle)))))]
        {
            let now = crate::sys::clock::micros() | 1;
            let since = self.since.load(Relaxed);
            if since == 0 {
                self.since.store(now, Relaxed);
                return false;
            }
            // Who stores late may bring a front the time of the one before: it is protected early.
            now.wrapping_sub(since) >= PATIENCE
        }
        #[cfg(any(not(feature = "std"), all(test, any(loom, shuttle))))]
        {
            self.overtakings.load(Relaxed) >= OVERTAKINGS
        }
    }
}
