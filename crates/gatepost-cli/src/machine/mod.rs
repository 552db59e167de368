//! What all commands of the machine's scope share: where semaphores are, how they are opened, how permits are named.
//!
//! | room     | subject
//! |----------|------------------------------------------------------------------
//! | `open`   | `--dir`, `--limit`, `--set-limit`, `--policy`, `--group`, and opening with them
//! | `limit`  | a limit as it is written: `8`, `cores/2`, `mem/3G`
//! | `name`   | `NAME`, `NAME=PERMITS`, `NAME:ID`
//! | `bell`   | a waker that can be heard in `poll`, together with signals and timers
//! | `process`| the process that a semaphore names: whether it is still that one
//! | `status` | the exit status of each error

pub(crate) mod bell;
pub(crate) mod limit;
pub(crate) mod name;
pub(crate) mod open;
pub(crate) mod process;
pub(crate) mod status;
