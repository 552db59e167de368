//! parking_lot_core: the classic semaphore on its parking lot. A word holds the permits and whether somebody is parked; who
//! finds none parks at the word's address, and a release that finds somebody parked unparks one, who tries again.

use super::{Peer, version};
use crate::counted;
use gatepost_bench_kit::Entry;
use gatepost_bench_kit::peer::{self, Deposit, Threads, Timed, Try, TryMany};
use gatepost_bench_kit::result::Kind;
use parking_lot_core::{DEFAULT_PARK_TOKEN, DEFAULT_UNPARK_TOKEN, park, unpark_one};
use std::sync::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::{Duration, Instant};

pub(super) fn peer() -> Peer {
    let entry = Entry::new("parking_lot_core", Kind::Barging, version("parking_lot_core"))
        .tries::<Parked>()
        .tries_many::<Parked>()
        .threads::<Parked>()
        .threads_and_deposits::<Parked>()
        .timed::<Parked>()
        .addresses_by_threads::<Parked>()
        .note("parking_lot_core: a semaphore of 60 lines on park and unpark_one, not one that the library has");
    Peer::new(entry, counted::of_threads::<Parked>())
}

/// Set while somebody may be parked.
const PARKED: usize = 1;
/// One permit.
const ONE: usize = 2;

/// The word.
struct Parked(AtomicUsize);

/// Permits.
struct Permit {
    semaphore: &'static Parked,
    permits: usize,
}

impl Drop for Permit {
    #[inline(always)]
    fn drop(&mut self) {
        self.semaphore.put_back(self.permits);
    }
}

impl Parked {
    #[inline(always)]
    fn put_back(&self, n: usize) {
        // ORDERING: Release pairs with the Acquire of whoever takes these permits.
        if self.0.fetch_add(n * ONE, Release) & PARKED != 0 {
            self.unpark_slow(n);
        }
    }

    #[cold]
    fn unpark_slow(&self, n: usize) {
        for _ in 0..n {
            // SAFETY: the address is ours alone, and the callback neither panics nor parks.
            unsafe {
                unpark_one(self.0.as_ptr().addr(), |result| {
                    if !result.have_more_threads {
                        self.0.fetch_and(!PARKED, Relaxed);
                    }
                    DEFAULT_UNPARK_TOKEN
                });
            }
        }
    }

    /// Takes `n` permits if they are there.
    #[inline(always)]
    fn take(&self, n: usize) -> bool {
        let mut word = self.0.load(Relaxed);
        while word >= n * ONE {
            // ORDERING: Acquire pairs with the Release of whoever gave these permits back.
            match self.0.compare_exchange_weak(word, word - n * ONE, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(seen) => word = seen,
            }
        }
        false
    }

    #[cold]
    fn wait_slow(&self, deadline: Option<Instant>) -> bool {
        loop {
            let word = self.0.load(Relaxed);
            let announced = word < ONE
                && (word & PARKED != 0 || self.0.compare_exchange(word, word | PARKED, Relaxed, Relaxed).is_ok());
            if announced {
                let must_wait = || self.0.load(Relaxed) == PARKED;
                let timed_out = |_, was_last: bool| {
                    if was_last {
                        self.0.fetch_and(!PARKED, Relaxed);
                    }
                };
                // SAFETY: the address is ours alone, and no callback panics or parks.
                let parked =
                    unsafe { park(self.0.as_ptr().addr(), must_wait, || (), timed_out, DEFAULT_PARK_TOKEN, deadline) };
                if parked == parking_lot_core::ParkResult::TimedOut {
                    return self.take(1);
                }
            }
            if self.take(1) {
                return true;
            }
        }
    }
}

impl peer::Peer for Parked {
    type Permit = Permit;

    fn new(permits: usize) -> Self {
        Self(AtomicUsize::new(permits * ONE))
    }
}

impl Try for Parked {
    #[inline(always)]
    fn try_one(&'static self) -> Option<Self::Permit> {
        self.try_many(1)
    }
}

impl TryMany for Parked {
    #[inline(always)]
    fn try_many(&'static self, n: usize) -> Option<Self::Permit> {
        self.take(n).then(|| Permit { semaphore: self, permits: n })
    }
}

impl Threads for Parked {
    #[inline(always)]
    fn wait(&'static self) -> Self::Permit {
        if !self.take(1) {
            self.wait_slow(None);
        }
        Permit { semaphore: self, permits: 1 }
    }
}

impl Timed for Parked {
    fn wait_timeout(&'static self, timeout: Duration) -> Option<Self::Permit> {
        let got = self.take(1) || self.wait_slow(Some(Instant::now() + timeout));
        got.then(|| Permit { semaphore: self, permits: 1 })
    }
}

impl Deposit for Parked {
    #[inline(always)]
    fn add(&'static self, n: usize) {
        self.put_back(n);
    }

    fn forget(permit: Self::Permit) {
        std::mem::forget(permit);
    }
}
