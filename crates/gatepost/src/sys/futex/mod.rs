//! Sleep until a `u32` changes: the one way in which a thread of this library sleeps.
//!
//! [`wait`] returns when woken, when the time is up, when the word already differs, or for no reason: the caller looks
//! again. A wake that comes after the word was changed is never lost. Private to the process.
//!
//! Linux calls the kernel; elsewhere, and under the model checkers, a small table of mutexes and condition variables
//! stands in (`table.rs`). Why not `std::thread::park`: its token would leak into the user's own parking. Why not a
//! mutex and a condition variable on Linux too: a wake would take a lock that the sleeper may hold (so no longer be
//! allowed in a signal handler), and cost two RMWs more; see `docs/performance.md`.

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"),
    target_pointer_width = "64",
    not(all(test, any(loom, shuttle)))
))]
#[path = "linux.rs"]
mod backend;

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"),
    target_pointer_width = "64",
    not(all(test, any(loom, shuttle)))
)))]
#[path = "table.rs"]
mod backend;

pub(crate) use backend::{wait, wake_all, wake_one};
