//! The contract of [`gatepost::address`], statement by statement: Go's runtime semaphore on any four bytes, and what stands on it.
//!
//! A test that checks statement N of `docs/catalogue.md` has N in its name: `g8_…` is of Go's semaphore, `b5_…` a bug that
//! others were shipped with, `p25_…` Plan 9's. Each runs for both words, in the table of the process and in one of its own
//! (`gate`). No test waits for time to pass in order to let something happen: who needs to know that a thread waits looks
//! at `num_waiters`.
//!
//! What cannot be seen from outside (the tree, the steps of a search, every interleaving) is tested beside the code, in
//! `src/address/tests/`.

#[macro_use]
#[allow(dead_code, unused_macros)] // each of the test programs uses its own part
mod common;
#[macro_use]
#[path = "go/gate.rs"]
mod gate;

#[path = "go/acquire.rs"]
mod acquire;
#[path = "go/cancel.rs"]
mod cancel;
#[path = "go/compete.rs"]
mod compete;
#[path = "go/construction.rs"]
mod construction;
#[cfg(feature = "std")]
#[path = "go/deadline.rs"]
mod deadline;
#[path = "go/handoff.rs"]
mod handoff;
#[cfg(feature = "std")]
#[path = "go/interrupt.rs"]
mod interrupt;
#[path = "go/model.rs"]
mod model;
#[path = "go/order.rs"]
mod order;
#[path = "go/overflow.rs"]
mod overflow;
#[cfg(feature = "std")]
#[path = "go/pointer.rs"]
mod pointer;
#[cfg(feature = "std")]
#[path = "go/storms.rs"]
mod storms;
#[path = "go/table.rs"]
mod table;
#[cfg(feature = "std")]
#[path = "go/users.rs"]
mod users;
#[path = "go/wakers.rs"]
mod wakers;
