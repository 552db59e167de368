//! A semaphore for the threads of a kernel: Zircon's.
//!
//! For those who write a kernel, or a real-time system, and for whoever wants to see what one promises. It needs neither `std`
//! nor an allocator; what it stands on is a [`Platform`].
//!
//! | | |
//! |---|---|
//! | [`Semaphore`] | a signed count, deadlines, kill and suspend; threads are woken in the order of their finish times, or as they came |
//! | [`OwnedWaitQueue`] | threads that wait for one, which inherits their weight |
//! | [`Mutex`] | what is made of it: a lock whose holder is as urgent as the most urgent who wait for it |
//! | [`Platform`], [`Kernel`], [`Thread`] | the ground, and what a kernel keeps |
//! | `simulated` (with `std`) | a whole machine with virtual processors and a virtual clock, to see what all this promises |
//!
//! # Three meanings of a negative count
//! | | a count of -2 means | the next release makes it | and lets somebody pass |
//! |---|---|---|---|
//! | this [`Semaphore`] | two wait, or have failed to, or it began so | unchanged if others wait still, 0 if the last one is woken, 1 if nobody waits | at once |
//! | `java.util.concurrent.Semaphore` | a debt of two permits: more is in use than there should be | -1 | after two more |
//! | POSIX `sem_getvalue`, where it goes below 0 | two wait | -1 | at once |
//! | [`gatepost::Semaphore`](crate::Semaphore) | cannot be: counts are `usize` | | |
//!
//! Inside, for those who read on: `semaphore` has the protocol of the count and its proof, `queue` what inheritance is and
//! why it ends.

mod mutex;
#[cfg(all(feature = "std", not(all(test, loom))))] // a static kernel, which loom cannot have
mod native;
mod owned;
mod platform;
mod queue;
#[cfg(feature = "std")]
mod recording;
mod semaphore;
#[cfg(feature = "std")]
pub mod simulated;
#[cfg(test)]
mod tests;
mod thread;
mod wait;

pub use mutex::{Mutex, MutexGuard};
#[cfg(all(feature = "std", not(all(test, loom))))]
pub use native::{Inheritance, Native, NativeThread, Scale};
pub use owned::{BlockError, OwnedWaitQueue, WouldDeadlock};
pub use platform::{Platform, Unblock};
pub use queue::WakeOrder;
#[cfg(feature = "std")]
pub use recording::{Recorded, RecordedThread, Recording};
pub use semaphore::Semaphore;
pub use thread::Thread;
pub use wait::{Deadline, WaitFailure};

/// A signed count: `i64`, or `isize` where the machine has no 64-bit atomics.
pub type Count = crate::sys::atomic::Count;

use crate::sys::cell::UnsafeCell;
use crate::sys::const_fn;
use crate::wait::lock::{Held, Lock};

/// What all semaphores, queues and threads of one kernel share: its platform, and the lock under which everything happens that
/// is not a fast path.
///
/// One lock, since what changes together must be seen together: a chain of owners goes through any queues. (Zircon has a lock
/// for each queue, takes all those of a chain, and begins anew if it cannot get one; the faults of its inheritance were there.)
pub struct Kernel<P> {
    platform: P,
    lock: Lock,
    /// How many threads have joined a queue.
    arrivals: UnsafeCell<u64>,
}

// SAFETY: `arrivals` is guarded by the lock.
unsafe impl<P: Sync> Sync for Kernel<P> {}

impl<P: Platform> Kernel<P> {
    const_fn! {
        /// A kernel on `platform`.
        pub const fn new(platform: P) -> Self {
            Self { platform, lock: Lock::new(), arrivals: UnsafeCell::new(0) }
        }
    }

    /// Its platform.
    pub fn platform(&self) -> &P {
        &self.platform
    }

    fn lock(&self) -> Held<'_> {
        self.lock.lock()
    }

    /// # Safety
    /// The lock is held.
    unsafe fn arrivals(&self) -> u64 {
        // SAFETY: by the caller's promise.
        self.arrivals.with(|arrivals| unsafe { *arrivals })
    }

    /// # Safety
    /// The lock is held.
    unsafe fn next_arrival(&self) -> u64 {
        // SAFETY: by the caller's promise.
        self.arrivals.with_mut(|arrivals| unsafe {
            *arrivals += 1;
            *arrivals
        })
    }
}

impl<P: core::fmt::Debug> core::fmt::Debug for Kernel<P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Kernel").field("platform", &self.platform).finish_non_exhaustive()
    }
}
