//! Who lives.
//!
//! A session lives while the kernel holds a lock for it: an open-file-description lock on one byte of the file, taken through
//! a description that nobody but the session's process has. The kernel drops it when that process ends, however it ends; a
//! probe is one system call, and no PID, no clock and no heartbeat can be wrong about it. It holds across PID, IPC, network and user
//! namespaces, since the file is what both sides have in common.
//!
//! A description never conflicts with itself, so a session has two: one holds its byte, the other one probes.
//!
//! Where a grant may outlive its session, it names a process that keeps it, by PID, start time and PID namespace: that one is
//! judged by `/proc`, from inside its namespace only.

pub(crate) mod fork;
mod ofd;
mod process;

#[cfg(test)]
pub(crate) use ofd::unlock;
pub(crate) use ofd::{Descriptions, SetupLock, is_locked, lock_setup, try_lock, try_lock_setup};
pub(crate) use process::{Judgement, is_stopped, judge, namespace, of, own};
