//! A count under std's mutex with a condition variable, which counts its waiters: without that, each release makes a
//! system call.

use super::Peer;
use crate::counted;
use gatepost_bench_kit::Entry;
use gatepost_bench_kit::peer::{self, Deposit, Threads, Timed, Try, TryMany};
use gatepost_bench_kit::result::Kind;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(super) fn peer() -> Peer {
    let entry = Entry::new("std Mutex+Condvar", Kind::Barging, crate::machine::rustc_version())
        .tries::<Monitor>()
        .tries_many::<Monitor>()
        .threads::<Monitor>()
        .threads_and_deposits::<Monitor>()
        .timed::<Monitor>();
    Peer::new(entry, counted::of_threads::<Monitor>())
}

/// The semaphore of the textbook.
struct Monitor {
    state: Mutex<State>,
    more: Condvar,
}

/// Waiters are counted, so that nobody is notified who is not there.
struct State {
    permits: usize,
    waiters: usize,
}

/// Permits.
struct Permit {
    monitor: &'static Monitor,
    permits: usize,
}

impl Drop for Permit {
    #[inline(always)]
    fn drop(&mut self) {
        self.monitor.put_back(self.permits);
    }
}

impl Monitor {
    #[inline(always)]
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline(always)]
    fn put_back(&self, n: usize) {
        let mut state = self.lock();
        state.permits += n;
        let notify = state.waiters > 0;
        drop(state);
        if notify {
            for _ in 0..n {
                self.more.notify_one();
            }
        }
    }
}

impl peer::Peer for Monitor {
    type Permit = Permit;

    fn new(permits: usize) -> Self {
        Self { state: Mutex::new(State { permits, waiters: 0 }), more: Condvar::new() }
    }
}

impl Try for Monitor {
    #[inline(always)]
    fn try_one(&'static self) -> Option<Self::Permit> {
        self.try_many(1)
    }
}

impl TryMany for Monitor {
    #[inline(always)]
    fn try_many(&'static self, n: usize) -> Option<Self::Permit> {
        let mut state = self.lock();
        state.permits = state.permits.checked_sub(n)?;
        drop(state);
        Some(Permit { monitor: self, permits: n })
    }
}

impl Threads for Monitor {
    #[inline(always)]
    fn wait(&'static self) -> Self::Permit {
        let mut state = self.lock();
        while state.permits == 0 {
            state.waiters += 1;
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiters -= 1;
        }
        state.permits -= 1;
        drop(state);
        Permit { monitor: self, permits: 1 }
    }
}

impl Timed for Monitor {
    fn wait_timeout(&'static self, timeout: Duration) -> Option<Self::Permit> {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        while state.permits == 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state.waiters += 1;
            state = self.more.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.waiters -= 1;
        }
        state.permits -= 1;
        drop(state);
        Some(Permit { monitor: self, permits: 1 })
    }
}

impl Deposit for Monitor {
    #[inline(always)]
    fn add(&'static self, n: usize) {
        self.put_back(n);
    }

    fn forget(permit: Self::Permit) {
        std::mem::forget(permit);
    }
}
