//! `repair` and `remove`: what is done to a semaphore's file.

use clap::Args;

use super::{done, print};
use crate::error::Error;
use crate::machine::open::Place;

/// The arguments of `repair` and `remove`.
#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// The semaphore
    #[arg(value_name = "NAME")]
    name: String,

    /// Where it is.
    #[command(flatten)]
    place: Place,
}

/// Makes a damaged file sound again, and says what was changed.
pub(crate) fn repair(args: &FileArgs) -> Result<u8, Error> {
    let changes = gatepost_shared::repair(&args.name, &args.place.options())?;
    if changes.is_empty() {
        print(&format!("{}: nothing was wrong", args.name))?;
    }
    for change in changes {
        print(&format!("{}: {change}", args.name))?;
    }
    done()
}

/// Takes an unused semaphore's file away.
pub(crate) fn remove(args: &FileArgs) -> Result<u8, Error> {
    gatepost_shared::remove(&args.name, &args.place.options())?;
    done()
}
