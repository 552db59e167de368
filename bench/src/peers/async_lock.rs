//! async-lock: a count beside a list of listeners. Whoever comes may take a permit before those who were woken.

use super::{Peer, version};
use crate::counted;
use async_lock::{Semaphore, SemaphoreGuard};
use gatepost_bench_kit::Entry;
use gatepost_bench_kit::peer::{self, Deposit, Tasks, Threads, Try};
use gatepost_bench_kit::result::Kind;

pub(super) fn peer() -> Peer {
    let entry = Entry::new("async-lock", Kind::Barging, version("async-lock"))
        .tries::<Lock>()
        .tasks::<Lock>()
        .tasks_and_deposits::<Lock>()
        .threads::<Lock>()
        .threads_and_deposits::<Lock>()
        .note_in("U3", "async-lock: one permit at a time only")
        .note_in("C5", "async-lock: one permit at a time only")
        .note_in("C8 threads", "async-lock: no blocking form has a timeout");
    Peer::new(entry, counted::one_at_a_time::<Lock>())
}

/// The library's, under the kit's traits.
struct Lock(Semaphore);

impl peer::Peer for Lock {
    type Permit = SemaphoreGuard<'static>;

    fn new(permits: usize) -> Self {
        Self(Semaphore::new(permits))
    }
}

impl Try for Lock {
    #[inline(always)]
    fn try_one(&'static self) -> Option<Self::Permit> {
        self.0.try_acquire()
    }
}

impl Tasks for Lock {
    type Granted = Self::Permit;

    #[inline(always)]
    fn one(&'static self) -> impl Future<Output = Self::Granted> + Send + 'static {
        self.0.acquire()
    }

    #[inline(always)]
    fn permit(granted: Self::Granted) -> Self::Permit {
        granted
    }
}

impl Threads for Lock {
    #[inline(always)]
    fn wait(&'static self) -> Self::Permit {
        self.0.acquire_blocking()
    }
}

impl Deposit for Lock {
    #[inline(always)]
    fn add(&'static self, n: usize) {
        self.0.add_permits(n);
    }

    fn forget(permit: Self::Permit) {
        permit.forget();
    }
}
