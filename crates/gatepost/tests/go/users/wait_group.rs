//! Go's `sync.WaitGroup` on a [`Sema`]: waits until as many have finished as were announced.
//!
//! ```text
//!   state:  to be done, 32 bits, signed │ waiting, 32 bits
//! ```
//! Whoever brings the upper half to 0 resets the word and releases as many as wait: all of them, and nobody else, since nobody may
//! add while somebody waits for 0. (That is what the panics watch over.)
//!
//! # Ordering
//! Each `done` is a `Release`, and whoever finds 0, by a look or through the semaphore, has an `Acquire` of all of them.

use gatepost::address::Sema;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct WaitGroup {
    state: AtomicU64,
    sema: Sema,
}

fn to_be_done(state: u64) -> i32 {
    (state >> 32) as i32
}

fn waiting(state: u64) -> u32 {
    state as u32
}

impl WaitGroup {
    /// Nothing is to be done.
    pub(crate) const fn new() -> Self {
        Self { state: AtomicU64::new(0), sema: Sema::new(0) }
    }

    /// So many more are to be done; fewer, if it is negative. At 0, whoever waits goes on. What makes it more than 0 comes before
    /// the wait.
    ///
    /// # Panics
    /// If fewer than none would be left to do; or, as far as it notices, if somebody has begun to wait meanwhile.
    #[track_caller]
    pub(crate) fn add(&self, change: i32) {
        let change_of_state = (change as u32 as u64) << 32;
        let state = self.state.fetch_add(change_of_state, AcqRel).wrapping_add(change_of_state);
        let (left, waiters) = (to_be_done(state), waiting(state));
        assert!(left >= 0, "a wait group with fewer than none to be done");
        let began = change > 0 && left == change;
        assert!(!(waiters != 0 && began), "misuse of a wait group: begun anew while somebody waits");
        if left > 0 || waiters == 0 {
            return;
        }
        // It was brought to 0 here, and somebody waits: by the rules, nobody changes the word now.
        let unchanged = self.state.compare_exchange(state, 0, Acquire, Relaxed).is_ok();
        assert!(unchanged, "misuse of a wait group: added to while its waiters were woken");
        self.sema.release_n(waiters); // Go releases one by one
    }

    /// One is done.
    ///
    /// # Panics
    /// As [`add`](Self::add).
    #[track_caller]
    pub(crate) fn done(&self) {
        self.add(-1);
    }

    /// Waits until all are done.
    ///
    /// # Panics
    /// If the group is used again before this has returned.
    #[track_caller]
    pub(crate) fn wait(&self) {
        let mut state = self.state.load(Acquire);
        while to_be_done(state) != 0 {
            match self.state.compare_exchange_weak(state, state + 1, Acquire, Acquire) {
                Ok(_) => {
                    self.sema.acquire().wait();
                    let over = self.state.load(Acquire) == 0;
                    assert!(over, "a wait group is used again before all who waited have returned");
                    return;
                }
                Err(now) => state = now,
            }
        }
    }

    /// How many sleep: a snapshot, for tests.
    pub(crate) fn sleepers(&self) -> usize {
        self.sema.num_waiters()
    }
}
