//! Every reason why the bridge cannot go on, with what to do.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::exit;

/// Why the bridge gives up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command asks for jobs of its own.
    #[error(
        "{word:?} makes {tool} start as many jobs as it says and ignore all others, so the limit would not hold; leave \
         it out: the jobs come from the semaphore"
    )]
    JobsAsked {
        /// make or ninja.
        tool: &'static str,
        /// What asks.
        word: OsString,
    },
    /// The tool cannot take part.
    #[error(
        "{program:?} is {found}, which takes no tokens from others ({needed} does); use a newer one, or take permits for \
         the whole build: gatepost run --sem NAME --permits N -- {program:?} -jN"
    )]
    TooOld {
        /// The program.
        program: OsString,
        /// What it says that it is.
        found: String,
        /// What would do.
        needed: &'static str,
    },
    /// The tool does not understand the style that was asked for.
    #[error("{program:?} is {found}, which does not understand --style {style}; leave --style out, or use {instead}")]
    Style {
        /// The program.
        program: OsString,
        /// What it says that it is.
        found: String,
        /// The style.
        style: &'static str,
        /// The other style, or a newer program.
        instead: &'static str,
    },
    /// A gate that cannot be looked at.
    #[error(
        "cannot read {path:?}: {source}; leave --min-free or --psi out (pressure needs a kernel with CONFIG_PSI, and psi=1)"
    )]
    Gate {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The pipe of the build cannot be made.
    #[error(
        "cannot make the pipe that the build takes its tokens from: {source}; set TMPDIR to a folder that can be written"
    )]
    Channel {
        /// What the system said.
        source: io::Error,
    },
    /// Tokens can no longer be moved.
    #[error("cannot use the pipe of the build: {source}; the build goes on with the tokens that it has")]
    Pump {
        /// What the system said.
        source: io::Error,
    },
    /// A run around this one holds the same semaphore.
    #[error(
        "this is inside of a run or a build that holds permits of the semaphore {name:?} already; run the command as it \
         is: in a build it finds the tokens of that in MAKEFLAGS"
    )]
    Nested {
        /// The name.
        name: String,
    },
}

impl Error {
    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::JobsAsked { .. }
            | Self::TooOld { .. }
            | Self::Style { .. }
            | Self::Gate { .. }
            | Self::Nested { .. } => exit::USAGE,
            Self::Channel { .. } | Self::Pump { .. } => exit::OWN_FAILURE,
        }
    }
}
