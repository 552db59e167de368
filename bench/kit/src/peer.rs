//! What a semaphore must be able to do to take part in a case.
//!
//! A peer implements the traits that its library has the means for, and no more: nothing is emulated here that the library
//! does not offer, but for the ways that a table's footnote names. All borrow for ever, since semaphores are leaked (see the
//! head of the library); it keeps lifetimes out of the loops.

use anyhow::{Result, ensure};
use std::time::Duration;

/// A semaphore.
pub trait Peer: Send + Sync + Sized + 'static {
    /// What is held; dropping it gives it back.
    type Permit: 'static;

    /// A semaphore with `permits` free permits.
    fn new(permits: usize) -> Self;
}

/// It can take a permit if one is free.
pub trait Try: Peer {
    /// One permit, or nothing.
    fn try_one(&'static self) -> Option<Self::Permit>;
}

/// It can take many at once if they are free.
pub trait TryMany: Peer {
    /// `n` permits, or nothing.
    fn try_many(&'static self, n: usize) -> Option<Self::Permit>;
}

/// Tasks can wait for it.
pub trait Tasks: Try {
    /// What its future resolves to.
    type Granted: 'static;

    /// A future that asks for one permit.
    fn one(&'static self) -> impl Future<Output = Self::Granted> + Send + 'static;

    /// The permit in an answer that must hold one.
    fn permit(granted: Self::Granted) -> Self::Permit;
}

/// Tasks can wait for many at once.
pub trait TasksMany: Tasks {
    /// A future that asks for `n` permits.
    fn many(&'static self, n: usize) -> impl Future<Output = Self::Granted> + Send + 'static;
}

/// Threads can wait for it.
pub trait Threads: Try {
    /// One permit, however long it takes.
    fn wait(&'static self) -> Self::Permit;
}

/// Threads can wait for a while.
pub trait Timed: Threads {
    /// One permit, or nothing when the time is over.
    fn wait_timeout(&'static self, timeout: Duration) -> Option<Self::Permit>;
}

/// Permits can be added that nobody has taken.
pub trait Deposit: Peer {
    /// Whether any number may be added in one call.
    const MANY: bool = true;

    /// Adds `n` permits.
    fn add(&'static self, n: usize);

    /// Ends a permit without giving it back.
    fn forget(permit: Self::Permit);
}

/// A semaphore that lives as long as the process.
pub fn leak<S: Peer>(permits: usize) -> &'static S {
    // Two threads' semaphores on one line would disturb each other.
    let padded = Box::leak(Box::new(crossbeam_utils::CachePadded::new(S::new(permits))));
    std::hint::black_box(&**padded)
}

/// That exactly `permits` can be taken: what was acquired has come back, and nothing more.
pub fn check_permits<S: Try>(semaphore: &'static S, permits: usize) -> Result<()> {
    let held: Vec<_> = (0..permits).map_while(|_| semaphore.try_one()).collect();
    ensure!(held.len() == permits, "only {} of {permits} permits are there at the end", held.len());
    ensure!(semaphore.try_one().is_none(), "there are more than {permits} permits at the end");
    Ok(())
}
