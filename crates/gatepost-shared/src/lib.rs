#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "gatepost-shared is for Linux: its liveness rests on open-file-description locks and its sleep on shared futexes, which \
     other systems do not have"
);

mod clock;
mod error;
mod events;
mod file;
mod futex;
mod layout;
mod liveness;
mod lock;
mod map;
#[cfg(test)]
mod model;
mod options;
mod permit;
mod protocol;
mod semaphore;
mod session;
mod snapshot;
mod status;
mod step;
mod stuck;
mod table;
#[cfg(test)]
mod tests;
mod upkeep;
mod wait;

pub use error::Error;
pub use events::{Events, Observer};
pub use file::default_directory;
pub use options::Options;
pub use permit::{Lost, Permit, Released};
pub use semaphore::Semaphore;
pub use status::{
    Capacity, Event, EventKind, Histogram, Holder, HolderState, Moment, PermitId, Policy, Process, SCHEMA, Session,
    Slot, Statistics, Status, Waiter,
};
pub use upkeep::{list, remove, repair};
pub use wait::{Acquire, stop_helpers};
