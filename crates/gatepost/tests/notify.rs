//! The contract of [`gatepost::address::NotifyList`], statement by statement, and Go's own tests of what is made of it. (What
//! needs to see inside is beside the code, in `address/notify/tests`.)
//!
//! A test that checks statement N of `docs/catalogue.md` has N in its name. No test waits for time to pass in order to let
//! something happen.
#![cfg(feature = "std")]

#[macro_use]
#[allow(dead_code, unused_macros)] // each of the test programs uses its own part
mod common;

#[path = "go/cond.rs"]
mod cond;
#[path = "go/notify.rs"]
mod notify;
