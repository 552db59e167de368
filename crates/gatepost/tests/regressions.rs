//! Bugs that other semaphores were shipped with, as regressions.
//!
//! `b1_…` to `b18_…` have their numbers from `docs/catalogue.md`, which says where each happened.

#[macro_use]
#[allow(dead_code, unused_macros)] // each of the test programs uses its own part
mod common;

#[path = "regressions/cancellation.rs"]
mod cancellation;
#[path = "regressions/state.rs"]
mod state;
#[cfg(feature = "std")]
#[path = "regressions/storms.rs"]
mod storms;
#[path = "regressions/wakeups.rs"]
mod wakeups;
