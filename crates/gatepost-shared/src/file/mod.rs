//! The file among others: where it lies, who may be trusted with it, how it comes into being and how it is opened.
//!
//! F1. Nobody sees half a file: it is made without a name and linked when it is whole, or renamed to its name where the file
//!     system has no nameless files.
//! F2. It has its size, and the blocks behind it, before it has a name: a full file system is an error at creation and no
//!     signal later.
//! F3. What is opened is a regular file with one name, owned by us or by root or shared with a group that was declared, that
//!     nobody else may write, of the size that its header says.
//! F4. The setup lock is held from the look at its name to the lock on a session's byte. So a file that is taken away under
//!     that lock while no byte is locked is nobody's.

mod create;
mod directory;
mod filesystem;
mod mend;

pub(crate) use create::{Access, create, create_anonymous, examine, open_existing, reopen};
pub use directory::default_directory;
pub(crate) use directory::{Place, list_in};
pub(crate) use mend::mend_header;

use crate::layout::Fixed;
use crate::liveness::fork::Registered;

/// A file that has been opened and looked at: F3.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file: Registered,
    pub(crate) fixed: Fixed,
}
