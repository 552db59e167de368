//! Ours, with each policy.

use super::{Peer, version};
use crate::counted;
use gatepost::{AcquireError, Barging, Policy, Semaphore, SemaphorePermit, Strict};
use gatepost_bench_kit::Entry;
use gatepost_bench_kit::peer::{self, Deposit, Tasks, TasksMany, Threads, Timed, Try, TryMany};
use gatepost_bench_kit::result::Kind;
use std::time::Duration;

/// A policy that a semaphore can be made with.
trait Made: Policy + Send + Sync + 'static {
    /// The peer's name.
    const NAME: &'static str;

    fn made(permits: usize) -> Semaphore<Self>
    where
        Self: Sized;
}

impl Made for Strict {
    const NAME: &'static str = "gatepost";

    fn made(permits: usize) -> Semaphore {
        Semaphore::new(permits)
    }
}

impl Made for Barging {
    const NAME: &'static str = "gatepost barging";

    fn made(permits: usize) -> Semaphore<Self> {
        Semaphore::barging(permits)
    }
}

/// Each policy.
pub(super) fn peers() -> Vec<Peer> {
    vec![peer::<Strict>(), peer::<Barging>()]
}

fn peer<P: Made>() -> Peer {
    let entry = Entry::new(P::NAME, Kind::Ours, version("gatepost"))
        .tries::<Gate<P>>()
        .tries_many::<Gate<P>>()
        .tasks::<Gate<P>>()
        .tasks_many::<Gate<P>>()
        .tasks_and_deposits::<Gate<P>>()
        .threads::<Gate<P>>()
        .threads_and_deposits::<Gate<P>>()
        .timed::<Gate<P>>();
    let notes = ["U2", "U3", "U4"].into_iter().fold(entry, |entry, case| {
        entry.note_in(
            case,
            format!(
                "{}: with the feature `tokio`, as C1 needs it: each poll asks for the task's budget, each blocking call \
                 whether this is a runtime's thread. Without the feature it does neither",
                P::NAME
            ),
        )
    });
    Peer::new(notes, counted::all::<Gate<P>>())
}

/// The library's, under the kit's traits.
struct Gate<P: Policy>(Semaphore<P>);

impl<P: Made> peer::Peer for Gate<P> {
    type Permit = SemaphorePermit<'static, P>;

    fn new(permits: usize) -> Self {
        Self(P::made(permits))
    }
}

impl<P: Made> Try for Gate<P> {
    #[inline(always)]
    fn try_one(&'static self) -> Option<Self::Permit> {
        self.0.try_acquire().ok()
    }
}

impl<P: Made> TryMany for Gate<P> {
    #[inline(always)]
    fn try_many(&'static self, n: usize) -> Option<Self::Permit> {
        self.0.try_acquire_many(n as u32).ok()
    }
}

impl<P: Made> Tasks for Gate<P> {
    type Granted = Result<Self::Permit, AcquireError>;

    #[inline(always)]
    fn one(&'static self) -> impl Future<Output = Self::Granted> + Send + 'static {
        self.0.acquire()
    }

    #[inline(always)]
    fn permit(granted: Self::Granted) -> Self::Permit {
        granted.expect("it is never closed")
    }
}

impl<P: Made> TasksMany for Gate<P> {
    #[inline(always)]
    fn many(&'static self, n: usize) -> impl Future<Output = Self::Granted> + Send + 'static {
        self.0.acquire_many(n as u32)
    }
}

impl<P: Made> Threads for Gate<P> {
    #[inline(always)]
    fn wait(&'static self) -> Self::Permit {
        self.0.blocking_acquire().expect("it is never closed")
    }
}

impl<P: Made> Timed for Gate<P> {
    #[inline(always)]
    fn wait_timeout(&'static self, timeout: Duration) -> Option<Self::Permit> {
        self.0.acquire().wait_timeout(timeout).ok()
    }
}

impl<P: Made> Deposit for Gate<P> {
    #[inline(always)]
    fn add(&'static self, n: usize) {
        self.0.add_permits(n);
    }

    fn forget(permit: Self::Permit) {
        permit.forget();
    }
}
