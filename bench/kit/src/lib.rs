//! The loops of Gatepost's benchmarks: every peer runs the same ones.
//!
//! | room | what it holds |
//! |---|---|
//! | [`peer`] | what a semaphore must be able to do to take part, as small traits |
//! | `across` | the same for one that processes share, and how those processes are started (Linux) |
//! | [`entry`] | a peer under its name, with the cases that its traits allow |
//! | [`cases`] | the loops, one room for each group of cases |
//! | [`work`], [`waits`], [`waker`], [`queue`] | the work inside a permit, the histogram of waits, counting wakers, pinned futures |
//! | [`gatepost_peer`], [`sema_peer`], [`tokio_peer`] | the peers that are here in two builds or versions |
//! | [`stats`] | median, spread, paired ratios |
//! | [`result`] | what a run found, as JSON |
//! | [`protocol`], [`serve`] | requests and answers of a peer that is a program, and the server of one that is in Rust |
//!
//! Everything here is generic and compiled anew for each peer, so a loop costs each of them the same. Semaphores are
//! leaked: a peer that loses a wake-up leaves threads behind that still look at its semaphore, and is reported, not
//! waited for.

#[cfg(target_os = "linux")]
pub mod across;
pub mod cases;
pub mod entry;
pub mod gatepost_peer;
pub mod peer;
pub mod protocol;
pub mod queue;
pub mod result;
pub mod sema_peer;
pub mod serve;
pub mod stats;
pub mod tokio_peer;
pub mod waits;
pub mod waker;
pub mod work;

pub use entry::Entry;
pub use pollster::block_on;
pub use protocol::{Ask, Sample};
