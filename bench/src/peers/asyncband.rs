//! asyncband, which was mea: a count and a slab of waiters under a mutex, first come first served.

use super::{Peer, under_pollster, version};
use crate::counted;
use asyncband::semaphore::{Semaphore, SemaphorePermit};
use gatepost_bench_kit::peer::{self, Deposit, Tasks, TasksMany, Threads, Try, TryMany};
use gatepost_bench_kit::result::Kind;
use gatepost_bench_kit::{Entry, block_on};

pub(super) fn peer() -> Peer {
    let entry = Entry::new("asyncband", Kind::Fair, version("asyncband"))
        .tries::<Band>()
        .tries_many::<Band>()
        .tasks::<Band>()
        .tasks_many::<Band>()
        .tasks_and_deposits::<Band>()
        .threads::<Band>()
        .threads_and_deposits::<Band>()
        .note_in("C8 threads", "asyncband: no blocking form has a timeout");
    Peer::new(under_pollster(entry, &["U4", "C2", "C7"]), counted::all::<Band>())
}

/// The library's, under the kit's traits.
struct Band(Semaphore);

impl peer::Peer for Band {
    type Permit = SemaphorePermit<'static>;

    fn new(permits: usize) -> Self {
        Self(Semaphore::new(permits))
    }
}

impl Try for Band {
    #[inline(always)]
    fn try_one(&'static self) -> Option<Self::Permit> {
        self.0.try_acquire(1)
    }
}

impl TryMany for Band {
    #[inline(always)]
    fn try_many(&'static self, n: usize) -> Option<Self::Permit> {
        self.0.try_acquire(n)
    }
}

impl Tasks for Band {
    type Granted = Self::Permit;

    #[inline(always)]
    fn one(&'static self) -> impl Future<Output = Self::Granted> + Send + 'static {
        self.0.acquire(1)
    }

    #[inline(always)]
    fn permit(granted: Self::Granted) -> Self::Permit {
        granted
    }
}

impl TasksMany for Band {
    #[inline(always)]
    fn many(&'static self, n: usize) -> impl Future<Output = Self::Granted> + Send + 'static {
        self.0.acquire(n)
    }
}

impl Threads for Band {
    #[inline(always)]
    fn wait(&'static self) -> Self::Permit {
        block_on(self.0.acquire(1))
    }
}

impl Deposit for Band {
    #[inline(always)]
    fn add(&'static self, n: usize) {
        self.0.release(n);
    }

    fn forget(permit: Self::Permit) {
        permit.forget();
    }
}
