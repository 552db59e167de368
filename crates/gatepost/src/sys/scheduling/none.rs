//! Systems whose scheduler this library does not speak to.

use super::Errno;

/// Whether there is anything below.
pub(crate) const SUPPORTED: bool = false;

/// A thread as the system names it: none can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ThreadId {}

/// How a thread is scheduled: nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheduling {}

impl ThreadId {
    pub(crate) fn of_this_thread() -> Option<Self> {
        None
    }
}

impl Scheduling {
    pub(crate) fn of(thread: ThreadId) -> Result<Self, Errno> {
        match thread {}
    }

    pub(crate) fn apply(self, _thread: ThreadId) -> Result<(), Errno> {
        match self {}
    }

    pub(crate) fn raised(self, _priority: Option<u8>, _effective: u64, _base: u64) -> Self {
        self
    }

    pub(crate) fn ordinary(self) -> Self {
        self
    }
}
