//! What the contract tests share: futures polled by hand, wakers that count or call back, threads that are joined
//! within a limit, panics as values.

#[macro_use]
mod forms;
pub(crate) mod panics;
pub(crate) mod task;
pub(crate) mod thread;
pub(crate) mod wakers;

use gatepost::Semaphore;

/// A semaphore that threads and wakers may use without keeping it alive.
pub(crate) fn leaked(permits: usize) -> &'static Semaphore {
    Box::leak(Box::new(Semaphore::new(permits)))
}
