//! maitake-sync: a list of waiters under a spinlock, first come first served.

use super::{Peer, under_pollster, version};
use crate::counted;
use gatepost_bench_kit::peer::{self, Deposit, Tasks, TasksMany, Threads, Try, TryMany};
use gatepost_bench_kit::result::Kind;
use gatepost_bench_kit::{Entry, block_on};
use maitake_sync::semaphore::{Permit, Semaphore};

pub(super) fn peer() -> Peer {
    let entry = Entry::new("maitake-sync", Kind::Fair, version("maitake-sync"))
        .tries::<Maitake>()
        .tries_many::<Maitake>()
        .tasks::<Maitake>()
        .tasks_many::<Maitake>()
        .tasks_and_deposits::<Maitake>()
        .threads::<Maitake>()
        .threads_and_deposits::<Maitake>()
        .note_in("C8 threads", "maitake-sync: no blocking form has a timeout");
    Peer::new(under_pollster(entry, &["U4", "C2", "C7"]), counted::all::<Maitake>())
}

/// The library's, under the kit's traits.
struct Maitake(Semaphore);

impl peer::Peer for Maitake {
    type Permit = Permit<'static>;

    fn new(permits: usize) -> Self {
        Self(Semaphore::new(permits))
    }
}

impl Try for Maitake {
    #[inline(always)]
    fn try_one(&'static self) -> Option<Self::Permit> {
        self.0.try_acquire(1).ok()
    }
}

impl TryMany for Maitake {
    #[inline(always)]
    fn try_many(&'static self, n: usize) -> Option<Self::Permit> {
        self.0.try_acquire(n).ok()
    }
}

impl Tasks for Maitake {
    type Granted = Result<Self::Permit, maitake_sync::Closed>;

    #[inline(always)]
    fn one(&'static self) -> impl Future<Output = Self::Granted> + Send + 'static {
        self.0.acquire(1)
    }

    #[inline(always)]
    fn permit(granted: Self::Granted) -> Self::Permit {
        granted.expect("it is never closed")
    }
}

impl TasksMany for Maitake {
    #[inline(always)]
    fn many(&'static self, n: usize) -> impl Future<Output = Self::Granted> + Send + 'static {
        self.0.acquire(n)
    }
}

impl Threads for Maitake {
    #[inline(always)]
    fn wait(&'static self) -> Self::Permit {
        Self::permit(block_on(self.0.acquire(1)))
    }
}

impl Deposit for Maitake {
    #[inline(always)]
    fn add(&'static self, n: usize) {
        self.0.add_permits(n);
    }

    fn forget(permit: Self::Permit) {
        permit.forget();
    }
}
