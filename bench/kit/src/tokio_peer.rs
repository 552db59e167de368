//! Tokio's semaphore. It is here and not with the other peers because it runs in two versions: the newest in the suite's own
//! process, and 1.53.3, the last one before tasks could yield while they hold a permit, as a program.

use crate::Entry;
use crate::peer::{Deposit, Peer, Tasks, TasksMany, Threads, Try, TryMany};
use crate::result::Kind;
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// Its entry.
pub fn entry(name: &str, version: &str) -> Entry {
    let entry = Entry::new(name, Kind::Fair, version)
        .tries::<Semaphore>()
        .tries_many::<Semaphore>()
        .tasks::<Semaphore>()
        .tasks_many::<Semaphore>()
        .tasks_and_deposits::<Semaphore>()
        .threads::<Semaphore>()
        .threads_and_deposits::<Semaphore>()
        .note_in("C8 threads", format!("{name}: no blocking form has a timeout"));
    match cfg!(feature = "tokio-blocking") {
        true => entry,
        false => ["U4", "C2", "C7"].into_iter().fold(entry, |entry, case| {
            entry.note_in(case, format!("{name}: no blocking form; its future under pollster's block_on"))
        }),
    }
}

impl Peer for Semaphore {
    type Permit = SemaphorePermit<'static>;

    fn new(permits: usize) -> Self {
        Self::new(permits)
    }
}

impl Try for Semaphore {
    #[inline(always)]
    fn try_one(&'static self) -> Option<Self::Permit> {
        self.try_acquire().ok()
    }
}

impl TryMany for Semaphore {
    #[inline(always)]
    fn try_many(&'static self, n: usize) -> Option<Self::Permit> {
        self.try_acquire_many(n as u32).ok()
    }
}

impl Tasks for Semaphore {
    type Granted = Result<Self::Permit, AcquireError>;

    #[inline(always)]
    fn one(&'static self) -> impl Future<Output = Self::Granted> + Send + 'static {
        self.acquire()
    }

    #[inline(always)]
    fn permit(granted: Self::Granted) -> Self::Permit {
        granted.expect("it is never closed")
    }
}

impl TasksMany for Semaphore {
    #[inline(always)]
    fn many(&'static self, n: usize) -> impl Future<Output = Self::Granted> + Send + 'static {
        self.acquire_many(n as u32)
    }
}

impl Threads for Semaphore {
    #[cfg(feature = "tokio-blocking")]
    #[inline(always)]
    fn wait(&'static self) -> Self::Permit {
        self.blocking_acquire().expect("it is never closed")
    }

    #[cfg(not(feature = "tokio-blocking"))]
    #[inline(always)]
    fn wait(&'static self) -> Self::Permit {
        crate::block_on(self.acquire()).expect("it is never closed")
    }
}

impl Deposit for Semaphore {
    #[inline(always)]
    fn add(&'static self, n: usize) {
        self.add_permits(n);
    }

    fn forget(permit: Self::Permit) {
        permit.forget();
    }
}
