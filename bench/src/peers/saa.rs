//! saa: a word whose waiters are a list that hangs on it; at most 63 permits. It has no permit object: ours gives one back.

use super::{Peer, version};
use crate::counted;
use gatepost_bench_kit::Entry;
use gatepost_bench_kit::peer::{self, Deposit, Tasks, TasksMany, Threads, Try, TryMany};
use gatepost_bench_kit::result::Kind;
use saa::Semaphore;

pub(super) fn peer() -> Peer {
    let entry = Entry::new("saa", Kind::Fair, version("saa"))
        .tries::<Saa>()
        .tries_many::<Saa>()
        .tasks::<Saa>()
        .tasks_many::<Saa>()
        .tasks_and_deposits::<Saa>()
        .threads::<Saa>()
        .threads_and_deposits::<Saa>()
        .note_in("U1", "saa: its quickest release needs all of its 63 permits to be free but one; here 16 are")
        .note_in(
            "C3",
            "saa: cannot add more than 63 permits in one call; spins in its first poll before it joins the queue",
        )
        .note_in("C4", "saa: spins in its first poll before it joins the queue")
        .note_in("C8 threads", "saa: no form has a timeout");
    Peer::new(entry, counted::all::<Saa>())
}

/// The library's, under the kit's traits.
struct Saa(Semaphore);

/// Permits, which the library has no object for.
struct Permit {
    semaphore: &'static Semaphore,
    permits: usize,
}

impl Drop for Permit {
    #[inline(always)]
    fn drop(&mut self) {
        match self.permits {
            1 => self.semaphore.release(),
            n => self.semaphore.release_many(n),
        };
    }
}

impl Saa {
    #[inline(always)]
    fn permit(&'static self, permits: usize) -> Permit {
        Permit { semaphore: &self.0, permits }
    }
}

impl peer::Peer for Saa {
    type Permit = Permit;

    fn new(permits: usize) -> Self {
        assert!(permits <= Semaphore::MAX_PERMITS, "{} permits at most", Semaphore::MAX_PERMITS);
        Self(Semaphore::with_permits(permits))
    }
}

impl Try for Saa {
    #[inline(always)]
    fn try_one(&'static self) -> Option<Self::Permit> {
        self.0.try_acquire().then(|| self.permit(1))
    }
}

impl TryMany for Saa {
    #[inline(always)]
    fn try_many(&'static self, n: usize) -> Option<Self::Permit> {
        self.0.try_acquire_many(n).then(|| self.permit(n))
    }
}

impl Tasks for Saa {
    type Granted = Permit;

    #[inline(always)]
    async fn one(&'static self) -> Self::Granted {
        self.0.acquire_async().await;
        self.permit(1)
    }

    #[inline(always)]
    fn permit(granted: Self::Granted) -> Self::Permit {
        granted
    }
}

impl TasksMany for Saa {
    #[inline(always)]
    async fn many(&'static self, n: usize) -> Self::Granted {
        assert!(self.0.acquire_many_async(n).await, "more than it can ever have");
        self.permit(n)
    }
}

impl Threads for Saa {
    #[inline(always)]
    fn wait(&'static self) -> Self::Permit {
        self.0.acquire_sync();
        self.permit(1)
    }
}

impl Deposit for Saa {
    const MANY: bool = false;

    #[inline(always)]
    fn add(&'static self, n: usize) {
        match n {
            1 => assert!(self.0.release(), "more than it can have"),
            n => assert!(self.0.release_many(n), "more than it can have"),
        }
    }

    fn forget(permit: Self::Permit) {
        std::mem::forget(permit);
    }
}
