//! futures-intrusive: everything under a mutex, in a fair and in an unfair mode, which is a field of the semaphore.

use super::{Peer, under_pollster, version};
use crate::counted;
use futures_intrusive::sync::{Semaphore, SemaphoreReleaser};
use gatepost_bench_kit::peer::{self, Deposit, Tasks, TasksMany, Threads, Try, TryMany};
use gatepost_bench_kit::result::Kind;
use gatepost_bench_kit::{Entry, block_on};

pub(super) fn peers() -> [Peer; 2] {
    [peer::<true>("futures-intrusive fair", Kind::Fair), peer::<false>("futures-intrusive unfair", Kind::Barging)]
}

fn peer<const FAIR: bool>(name: &str, kind: Kind) -> Peer {
    let entry = Entry::new(name, kind, version("futures-intrusive"))
        .tries::<Intrusive<FAIR>>()
        .tries_many::<Intrusive<FAIR>>()
        .tasks::<Intrusive<FAIR>>()
        .tasks_many::<Intrusive<FAIR>>()
        .tasks_and_deposits::<Intrusive<FAIR>>()
        .threads::<Intrusive<FAIR>>()
        .threads_and_deposits::<Intrusive<FAIR>>()
        .note_in("C3", format!("{name}: a release wakes one waiter, whose poll wakes the next"))
        .note_in("C8 threads", format!("{name}: no blocking form has a timeout"));
    Peer::new(under_pollster(entry, &["U4", "C2", "C7"]), counted::all::<Intrusive<FAIR>>())
}

/// The library's, under the kit's traits.
struct Intrusive<const FAIR: bool>(Semaphore);

impl<const FAIR: bool> peer::Peer for Intrusive<FAIR> {
    type Permit = SemaphoreReleaser<'static>;

    fn new(permits: usize) -> Self {
        Self(Semaphore::new(FAIR, permits))
    }
}

impl<const FAIR: bool> Try for Intrusive<FAIR> {
    #[inline(always)]
    fn try_one(&'static self) -> Option<Self::Permit> {
        self.0.try_acquire(1)
    }
}

impl<const FAIR: bool> TryMany for Intrusive<FAIR> {
    #[inline(always)]
    fn try_many(&'static self, n: usize) -> Option<Self::Permit> {
        self.0.try_acquire(n)
    }
}

impl<const FAIR: bool> Tasks for Intrusive<FAIR> {
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

impl<const FAIR: bool> TasksMany for Intrusive<FAIR> {
    #[inline(always)]
    fn many(&'static self, n: usize) -> impl Future<Output = Self::Granted> + Send + 'static {
        self.0.acquire(n)
    }
}

impl<const FAIR: bool> Threads for Intrusive<FAIR> {
    #[inline(always)]
    fn wait(&'static self) -> Self::Permit {
        block_on(self.0.acquire(1))
    }
}

impl<const FAIR: bool> Deposit for Intrusive<FAIR> {
    #[inline(always)]
    fn add(&'static self, n: usize) {
        self.0.release(n);
    }

    fn forget(mut permit: Self::Permit) {
        permit.disarm();
    }
}
