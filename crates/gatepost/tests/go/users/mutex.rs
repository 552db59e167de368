//! Go's `sync.Mutex` on a [`Sema`]: eight bytes, fast while it is free, and fair to whoever has waited too long.
//!
//! ```text
//!   state:  waiters ········ │ STARVING │ WOKEN │ LOCKED
//! ```
//! **Normal mode.** Whoever was woken competes with whoever runs, and will mostly lose: those who run have a processor, and are
//! many. So it waits again *before* all others. This is fast: a thread may take the mutex many times while a sleeper gets up.
//!
//! **Starvation mode.** Who has waited longer than `PATIENCE_NS` and lost once more sets STARVING. Then unlocking *hands over* to
//! the first who waits; newcomers do not try, even if the mutex looks free, and wait behind all others. Whoever was
//! handed the mutex ends the mode if it is the last who waits, or has waited less than `PATIENCE_NS`.
//!
//! **WOKEN** says that somebody is awake and tries: unlocking need not wake another one. Who spins sets it too.
//!
//! # Invariants
//! **M1.** The upper bits count those who are about to sleep, or asleep, and have not been chosen by an unlock in normal mode.
//! Each addition to `sema` is for one of them, and each of them takes one: a wake-up that comes before the sleep is there.
//! **M2.** With STARVING and no LOCKED a hand-off is on its way, and only who receives it changes LOCKED.
//!
//! # Ordering
//! `Acquire` where LOCKED is set, `Release` where it is cleared. In starvation mode LOCKED is set by whoever was handed the mutex:
//! it follows the unlock through the hand-off of `sema`.

use gatepost::address::Sema;
use std::hint::spin_loop;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::thread::available_parallelism;
use std::time::Instant;

const LOCKED: u32 = 1;
const WOKEN: u32 = 2;
const STARVING: u32 = 4;
/// One who waits.
const WAITER: u32 = 8;

/// Turns of spinning before it sleeps, and pauses in each.
const SPINS: u32 = 4;
const PAUSES: u32 = 30;

/// A millisecond, as Go has it.
const MILLISECOND: u64 = 1_000_000;

/// A mutual exclusion lock. See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Mutex<const PATIENCE_NS: u64 = MILLISECOND> {
    state: AtomicU32,
    sema: Sema,
}

impl<const PATIENCE_NS: u64> Mutex<PATIENCE_NS> {
    /// An unlocked one.
    pub(crate) const fn new() -> Self {
        Self { state: AtomicU32::new(0), sema: Sema::new(0) }
    }

    /// Locks it if it is free, and nobody is being handed it.
    #[must_use = "whether it is locked now"]
    pub(crate) fn try_lock(&self) -> bool {
        let old = self.state.load(Relaxed);
        // It may fail because of another's change of the state, which is as good as having come later.
        old & (LOCKED | STARVING) == 0 && self.state.compare_exchange(old, old | LOCKED, Acquire, Relaxed).is_ok()
    }

    /// Locks it, and waits until it can.
    pub(crate) fn lock(&self) {
        if self.state.compare_exchange(0, LOCKED, Acquire, Relaxed).is_err() {
            self.lock_slow();
        }
    }

    #[cold]
    fn lock_slow(&self) {
        let mut waiting_since = None;
        let mut starving = false;
        let mut awake = false; // and WOKEN is set, by whoever woke it or by itself
        let mut spins = 0;
        let mut old = self.state.load(Relaxed);
        loop {
            if old & (LOCKED | STARVING) == LOCKED && spins < SPINS && spinning_may_pay() {
                // Keeps unlocking from waking others: this one is awake.
                if !awake
                    && old & WOKEN == 0
                    && old >= WAITER
                    && self.state.compare_exchange(old, old | WOKEN, Relaxed, Relaxed).is_ok()
                {
                    awake = true;
                }
                (0..PAUSES).for_each(|_| spin_loop());
                spins += 1;
                old = self.state.load(Relaxed);
                continue;
            }
            let mut new = old;
            if old & STARVING == 0 {
                new |= LOCKED;
            }
            if old & (LOCKED | STARVING) != 0 {
                new += WAITER;
            }
            if starving && old & LOCKED != 0 {
                new |= STARVING;
            }
            if awake {
                debug_assert!(new & WOKEN != 0);
                new &= !WOKEN;
            }
            if let Err(now) = self.state.compare_exchange(old, new, Acquire, Relaxed) {
                old = now;
                continue;
            }
            if old & (LOCKED | STARVING) == 0 {
                return; // it was free
            }
            let has_waited = waiting_since.is_some();
            let since = *waiting_since.get_or_insert_with(Instant::now);
            if has_waited {
                self.sema.acquire().lifo().wait();
            } else {
                self.sema.acquire().wait();
            }
            starving = starving || since.elapsed().as_nanos() > u128::from(PATIENCE_NS);
            old = self.state.load(Relaxed);
            if old & STARVING != 0 {
                // M2: handed over; this one is still counted.
                debug_assert!(old & (LOCKED | WOKEN) == 0 && old >= WAITER);
                let mut change = LOCKED.wrapping_sub(WAITER);
                if !starving || old / WAITER == 1 {
                    change = change.wrapping_sub(STARVING);
                }
                self.state.fetch_add(change, Acquire);
                return;
            }
            awake = true;
            spins = 0;
        }
    }

    /// Unlocks it.
    ///
    /// # Panics
    /// If it is not locked; it stays as it was.
    #[track_caller]
    pub(crate) fn unlock(&self) {
        let old = self.state.fetch_sub(LOCKED, Release);
        if old != LOCKED {
            self.unlock_slow(old);
        }
    }

    #[cold]
    #[track_caller]
    fn unlock_slow(&self, old: u32) {
        if old & LOCKED == 0 {
            self.state.fetch_add(LOCKED, Relaxed);
            panic!("unlock of an unlocked mutex");
        }
        let mut old = old - LOCKED;
        if old & STARVING != 0 {
            // To the first who waits, and the processor with it. STARVING keeps all others away until it has it.
            self.sema.release_handoff();
            return;
        }
        // Nobody waits; or somebody is awake, or has the mutex, and will see to the others.
        while old >= WAITER && old & (LOCKED | WOKEN | STARVING) == 0 {
            match self.state.compare_exchange(old, (old - WAITER) | WOKEN, Relaxed, Relaxed) {
                Ok(_) => return self.sema.release(),
                Err(now) => old = now,
            }
        }
    }

    /// Whether it is in starvation mode: a snapshot.
    pub(crate) fn is_starving(&self) -> bool {
        self.state.load(Relaxed) & STARVING != 0
    }

    /// How many sleep: a snapshot, for tests.
    pub(crate) fn sleepers(&self) -> usize {
        self.sema.num_waiters()
    }
}

/// With one processor, whoever has the mutex cannot go on while another spins.
fn spinning_may_pay() -> bool {
    static SEVERAL: OnceLock<bool> = OnceLock::new();
    *SEVERAL.get_or_init(|| available_parallelism().is_ok_and(|n| n.get() > 1))
}
