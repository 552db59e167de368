//! How the system schedules one thread of this process, and how it is made to schedule it otherwise.
//!
//! Linux alone: elsewhere [`SUPPORTED`] is false, and every call is an error.

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"),
    target_pointer_width = "64"
))]
#[path = "linux.rs"]
mod backend;

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"),
    target_pointer_width = "64"
)))]
#[path = "none.rs"]
mod backend;

pub(crate) use backend::{SUPPORTED, Scheduling, ThreadId};

/// The system's number for why it refused.
pub(crate) type Errno = i32;
