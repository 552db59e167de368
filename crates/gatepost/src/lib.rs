#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod address;
pub mod kernel;
#[cfg(all(feature = "profile", not(all(test, any(loom, shuttle)))))]
pub mod profile;
pub mod semaphore;
pub mod sync;
mod sys;
mod wait;

pub use semaphore::{Acquire, AcquireError, Barging, Policy, Semaphore, SemaphorePermit, Strict, TryAcquireError};
#[cfg(feature = "alloc")]
pub use semaphore::{AcquireOwned, OwnedSemaphorePermit, PollSemaphore};
pub use sys::platform;
#[cfg(feature = "std")]
pub use wait::interrupt::Interrupter;
#[cfg(feature = "std")]
pub use wait::options::{WaitError, WaitOptions};
pub use wait::reason::WaitReason;
