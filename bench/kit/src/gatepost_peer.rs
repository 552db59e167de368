//! Gatepost's semaphore, with each policy. It is here and not with the other peers because it runs in two builds: with the
//! feature `tokio` in the suite's own process, so that its tasks have the budget that Tokio's have, and without any as a
//! program, as a user gets it who asks for nothing.

use crate::Entry;
use crate::peer::{self, Deposit, Tasks, TasksMany, Threads, Timed, Try, TryMany};
use crate::result::Kind;
use gatepost::{AcquireError, Barging, Policy, Semaphore, SemaphorePermit, Strict};
use std::time::Duration;

/// A policy that a semaphore can be made with.
pub trait Made: Policy + Send + Sync + 'static {
    /// The peer's name, and the beginning of those of its other builds.
    const NAME: &'static str;

    /// Such a semaphore.
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

/// Its entry, under a name of the build's own.
pub fn entry<P: Made>(name: &str, version: &str) -> Entry {
    Entry::new(name, Kind::Ours, version)
        .tries::<Gate<P>>()
        .tries_many::<Gate<P>>()
        .tasks::<Gate<P>>()
        .tasks_many::<Gate<P>>()
        .tasks_and_deposits::<Gate<P>>()
        .threads::<Gate<P>>()
        .threads_and_deposits::<Gate<P>>()
        .timed::<Gate<P>>()
        .profiled::<Gate<P>>()
}

/// What a build without features makes different: the polls and the blocking calls of U2 to U4.
pub fn plain<P: Made>(version: &str) -> Entry {
    let kind = if P::NAME.contains("barging") { Kind::Barging } else { Kind::Fair };
    let all = Entry::new(format!("{}, no features", P::NAME), kind, version).tasks::<Gate<P>>().tasks_many::<Gate<P>>();
    all.threads::<Gate<P>>().only(&["U2", "U3", "U4"])
}

/// The library's, under the kit's traits.
#[derive(Debug)]
pub struct Gate<P: Policy>(Semaphore<P>);

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
