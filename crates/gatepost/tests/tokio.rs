//! The contract of [`gatepost::Semaphore`], statement by statement: what it shares with Tokio's semaphore, and what it
//! has beyond.
//!
//! A test that checks statement N of `docs/catalogue.md` has N in its name: `t19_…` is of Tokio's semaphore, `p3_…` of
//! another peer. The rest say what they check. No test waits for time to pass in order to let something happen: who
//! needs to know that a thread waits looks at `num_waiters`.

#[macro_use]
#[allow(dead_code)] // each of the test programs uses its own part
mod common;

#[path = "tokio/acquire.rs"]
mod acquire;
#[cfg(feature = "std")]
#[path = "tokio/blocking.rs"]
mod blocking;
#[path = "tokio/callbacks.rs"]
mod callbacks;
#[path = "tokio/cancel.rs"]
mod cancel;
#[path = "tokio/catalogue.rs"]
mod catalogue;
#[path = "tokio/close.rs"]
mod close;
#[path = "tokio/construction.rs"]
mod construction;
#[cfg(feature = "std")]
#[path = "tokio/deadline.rs"]
mod deadline;
#[path = "tokio/forget.rs"]
mod forget;
#[cfg(feature = "std")]
#[path = "tokio/interrupt.rs"]
mod interrupt;
#[path = "tokio/overflow.rs"]
mod overflow;
#[path = "tokio/permits.rs"]
mod permits;
#[cfg(feature = "alloc")]
#[path = "tokio/poll_semaphore.rs"]
mod poll_semaphore;
#[path = "tokio/release.rs"]
mod release;
#[path = "tokio/try_acquire.rs"]
mod try_acquire;
#[cfg(feature = "std")]
#[path = "tokio/wait_pinned.rs"]
mod wait_pinned;
#[path = "tokio/wakers.rs"]
mod wakers;
