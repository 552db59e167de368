//! Sleep and wake-up on any four bytes.
//!
//! The semaphore of Go's runtime: not a limit on how much runs at one time, but the place where the contended case of other
//! primitives sleeps. It costs four bytes where it stands; everything about waiting is in a table that all share, keyed by
//! address, and only while somebody waits.
//!
//! | | |
//! |---|---|
//! | [`Sema`] | four bytes, one bit of them for "somebody waits": the one to choose |
//! | [`RawSema`] | any `AtomicU32`, all its bits a count, as Go has it |
//! | [`semacquire`], [`semrelease`], … | the same by pointer, for words that their waiter frees |
//! | [`SemaTable`] | who waits at which address; one for the process, more if wanted |
//! | [`NotifyList`] | tickets, and waiting for a ticket to be notified: what a [condition variable](crate::sync::Condvar) is made of |
//!
//! Inside, for those who read on:
//!
//! | room | what it holds |
//! |---|---|
//! | `serve` | the protocol at an address, its proof, its cost |
//! | `word` | what differs between the two words |
//! | `table` | the buckets, and how they become more |
//! | `treap` | the addresses of a bucket, each with its waiters |
//! | `acquire` | acquisitions as futures, for tasks and threads |
//! | `notify` | the notify list |
//! | `detached` | something to be done when a permit comes, and the pool of such waiters |
//!
//! # Examples
//! A lock of four bytes, in the shape in which Go's was first written (Mullender and Cox, "Semaphores in Plan 9"): a count
//! of those who have it or want it, and a semaphore to sleep on.
//! ```
//! use gatepost::address::Sema;
//! use std::sync::atomic::{AtomicU32, Ordering::{Acquire, Release}};
//!
//! struct Lock { key: AtomicU32, sleepers: Sema }
//!
//! impl Lock {
//!     fn lock(&self) {
//!         if self.key.fetch_add(1, Acquire) > 0 {
//!             self.sleepers.acquire().wait();
//!         }
//!     }
//!     fn unlock(&self) {
//!         if self.key.fetch_sub(1, Release) > 1 {
//!             self.sleepers.release();
//!         }
//!     }
//! }
//!
//! static LOCK: Lock = Lock { key: AtomicU32::new(0), sleepers: Sema::new(0) };
//! static mut COUNTER: u32 = 0;
//! let add = || for _ in 0..1000 {
//!     LOCK.lock();
//!     // SAFETY: the lock is held.
//!     unsafe { COUNTER += 1 };
//!     LOCK.unlock();
//! };
//! std::thread::scope(|scope| {
//!     scope.spawn(add);
//!     scope.spawn(add);
//! });
//! // SAFETY: the threads have ended.
//! assert_eq!(unsafe { COUNTER }, 2000);
//! ```

mod acquire;
#[cfg(feature = "std")]
mod detached;
mod notify;
mod raw;
mod sema;
mod serve;
mod table;
#[cfg(test)]
mod tests;
mod treap;
mod waiter;
mod word;

pub use acquire::Acquire;
#[cfg(feature = "std")]
pub use detached::semacquire_then;
pub use notify::{Notified, NotifyList, Ticket};
#[cfg(feature = "std")]
pub use raw::{semacquire, semacquire_lifo, semacquire_with};
pub use raw::{semrelease, semrelease_n, semtryacquire};
pub use sema::{RawSema, Sema};
pub use table::SemaTable;
#[cfg(feature = "alloc")]
pub use table::WaitingAt;
pub use word::Word;

/// After a hand-off to a thread that slept: it may have the processor (G29).
fn give_way() {
    #[cfg(all(feature = "std", not(all(test, any(loom, shuttle)))))]
    std::thread::yield_now();
}
