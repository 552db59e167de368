//! The contract of what is in [`gatepost::sync`], from outside.
#![cfg(feature = "std")]

#[macro_use]
#[allow(dead_code, unused_macros)] // each of the test programs uses its own part
mod common;

#[path = "sync/condvar.rs"]
mod condvar;
#[cfg(feature = "tokio")]
#[path = "sync/condvar_tasks.rs"]
mod condvar_tasks;
