//! How long the front of the queue lets itself be overtaken.
//!
//! Until it has lost [`LOST_WAKES`] wake-ups, or [`PATIENCE`] has passed since somebody first looked: the first of every 16
//! overtakings, in the order of the word, and each wake-up that is lost. So nobody passes the front any more from the 16th
//! overtaking on that follows its quarter of a millisecond. Where there is no clock (no `std`; under the model checkers)
//! the looks are counted instead: [`LOOKS`] of them.
//!
//! A quarter of a millisecond, since waiters come to the front one after the other: with sixteen threads and one permit
//! the last of them waits for fifteen patiences. (Measured: with a whole one the longest wait is 9 to 13 ms, with a quarter
//! 3 ms, for 7 % of the speed.)

use crate::sys::atomic::{AtomicU32, Relaxed};
use crate::sys::const_fn;
use crate::sys::mutant::{self, Mutant};

/// Wake-ups that the front may lose.
pub(in super::super) const LOST_WAKES: u32 = if cfg!(all(test, any(loom, shuttle))) { 1 } else { 4 };
/// Looks, where there is no clock.
#[cfg(any(not(feature = "std"), all(test, any(loom, shuttle))))]
const LOOKS: u32 = if cfg!(all(test, any(loom, shuttle))) { 2 } else { 64 };
/// In microseconds.
#[cfg(all(feature = "std", not(all(test, any(loom, shuttle)))))]
pub(in super::super) const PATIENCE: u32 = 250;

/// See the module head. What is written late, by somebody who looked for the front before, ends the patience early.
pub(super) struct Patience {
    /// When somebody first looked for this front, in microseconds, odd; 0: not yet. Without a clock: the looks.
    since: AtomicU32,
    /// Wake-ups that this front has lost. Of the holder of LOCKED.
    lost: AtomicU32,
}

impl Patience {
    const_fn! {
        pub(super) const fn new() -> Self {
            Self { since: AtomicU32::new(0), lost: AtomicU32::new(0) }
        }
    }

    /// Another is the front now. LOCKED is held.
    pub(super) fn renew(&self) {
        self.since.store(0, Relaxed);
        self.lost.store(0, Relaxed);
    }

    /// The front was woken and found too few permits. LOCKED is held. Whether it is enough.
    pub(super) fn lose(&self) -> bool {
        let lost = self.lost.load(Relaxed) + 1;
        self.lost.store(lost, Relaxed);
        lost >= LOST_WAKES && !mutant::is(Mutant::EndlessPatience) || self.is_out()
    }

    /// A look: whether the front has been overtaken for long enough.
    pub(super) fn look(&self) -> bool {
        #[cfg(any(not(feature = "std"), all(test, any(loom, shuttle))))]
        self.since.fetch_add(1, Relaxed);
        self.is_out()
    }

    /// The same, if somebody has looked just now.
    pub(super) fn is_out(&self) -> bool {
        if mutant::is(Mutant::EndlessPatience) {
            return false;
        }
        let since = self.since.load(Relaxed);
        #[cfg(all(feature = "std", not(all(test, any(loom, shuttle)))))]
        {
            // Read after `since`, so that it is no earlier; and if it were, it would not be taken for an age.
            let now = crate::sys::clock::micros() | 1;
            if since == 0 {
                self.since.store(now, Relaxed);
                return false;
            }
            #[allow(clippy::cast_possible_wrap)] // on purpose
            let elapsed = now.wrapping_sub(since) as i32;
            elapsed >= PATIENCE as i32
        }
        #[cfg(any(not(feature = "std"), all(test, any(loom, shuttle))))]
        {
            since >= LOOKS
        }
    }
}

#[cfg(all(test, feature = "std", not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::sys::clock;

    #[test]
    fn a_look_from_the_future_ends_no_patience() {
        let patience = Patience::new();
        patience.since.store(clock::micros() + 3, Relaxed);
        assert!(!patience.look());
    }
}
