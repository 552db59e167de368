//! `gatepost jobserver`: builds that share the permits of one semaphore, by the protocol of GNU Make's jobserver.
//!
//! ```text
//!   semaphore ◄─── tokens ───► pump ◄─── channel ───► make, cargo, ninja … and all that they start
//!   (the machine's)              ▲        (a named pipe of this build, one token offered at a time)
//!                                └── gates: free memory, pressure          share: how many, while others wait
//! ```
//! A build has one permit before it starts, for its own job: the protocol's implicit token. All others are offered
//! one by one. When the build's process has ended, all permits come back, whatever died inside and kept its token; if we
//! are killed, they come back when the build's process ends, since they are kept for it.
//!
//! | room      | subject
//! |-----------|------------------------------------------------------------------
//! | `args`    | what may be written on the command line
//! | `help`    | the long sections of its help
//! | `style`   | which tool the command is, and how it can be told
//! | `flags`   | `MAKEFLAGS`, read and written
//! | `channel` | the pipe of a build, and what the kernel says of it
//! | `tokens`  | where tokens come from
//! | `pump`    | tokens into the pipe and back
//! | `share`   | how many a build may hold
//! | `gates`   | what else must hold
//! | `client`  | one token from somebody else's jobserver, for `gatepost run --from-jobserver`
//! | `build`   | one build, from its first permit to its end
//! | `error`   | every reason why the bridge gives up

pub(crate) mod args;
mod build;
pub(crate) mod channel;
pub(crate) mod client;
pub(crate) mod error;
pub(crate) mod flags;
pub(crate) mod gates;
mod help;
pub(crate) mod pump;
pub(crate) mod share;
pub(crate) mod style;
pub(crate) mod tokens;

use std::ffi::OsString;
use std::time::Duration;

use crate::error::Error;
use crate::machine::open::Making;

/// What is to be done, checked.
#[derive(Debug)]
pub(crate) struct Options {
    /// The semaphore.
    pub(crate) name: String,
    /// How it is opened.
    pub(crate) making: Making,
    /// How the build is told.
    pub(crate) style: style::Wanted,
    /// How builds share.
    pub(crate) rule: share::Rule,
    /// What else must hold before a token is offered.
    pub(crate) gates: gates::Gates,
    /// How long to wait for the first permit.
    pub(crate) timeout: Option<Duration>,
    /// How long the build may go on after its permit was lost.
    pub(crate) kill_after: Duration,
    /// What listings call it.
    pub(crate) label: String,
    /// Whether nothing is said while waiting.
    pub(crate) quiet: bool,
    /// The command and its arguments; at least the command.
    pub(crate) command: Vec<OsString>,
}

/// Does what was written after `gatepost jobserver`.
pub(crate) fn run(arguments: args::JobserverArgs) -> Result<u8, Error> {
    match arguments.command {
        args::Command::Run(arguments) => arguments.into_options().and_then(|options| build::run(&options)),
    }
}
