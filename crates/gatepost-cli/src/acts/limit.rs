//! `resize`, `pause` and `resume`: how many are admitted from now on.

use std::cmp::Reverse;

use clap::Args;
use gatepost_shared::{Observer, Semaphore};

use super::idle::{LOOK, in_use};
use super::{done, print};
use crate::error::Error;
use crate::machine::limit::Limit;
use crate::machine::open::Place;

/// The arguments of `resize`.
#[derive(Debug, Args)]
pub(crate) struct ResizeArgs {
    /// The semaphore
    #[arg(value_name = "NAME")]
    name: String,

    /// Its new limit: a number, cores, cores/2, mem/3G; 0 admits nobody until it is raised
    #[arg(value_name = "LIMIT", allow_negative_numbers = true)]
    limit: Limit,

    /// Return only when no more permits are in use than the new limit
    #[arg(long, conflicts_with = "now")]
    drain: bool,

    /// Revoke the youngest permits until no more are in use than the new limit
    #[arg(long)]
    now: bool,

    /// Where it is.
    #[command(flatten)]
    place: Place,
}

/// The arguments of `pause` and `resume`.
#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    /// The semaphore
    #[arg(value_name = "NAME")]
    name: String,

    /// Where it is.
    #[command(flatten)]
    place: Place,
}

/// Changes the limit for everybody.
pub(crate) fn resize(args: &ResizeArgs) -> Result<u8, Error> {
    let semaphore = args.place.open(&args.name)?;
    let limit = args.limit.count();
    semaphore.resize(limit)?;
    if args.now {
        shrink(&semaphore, &args.name, limit)?;
    }
    if args.drain {
        // We want no place in the table of sessions while we wait.
        drop(semaphore);
        let observer = Observer::open(&args.name, &args.place.options())?;
        while in_use(&observer.status()?) > limit {
            observer.wait_change(LOOK);
        }
    }
    done()
}

/// Revokes the youngest grants until the rest fits into `limit`.
fn shrink(semaphore: &Semaphore, name: &str, limit: u32) -> Result<(), Error> {
    let mut status = semaphore.status()?;
    let mut used = status.used;
    status.holders.sort_by_key(|holder| Reverse((holder.since.boot_ns, holder.id)));
    for holder in status.holders {
        if used <= limit {
            break;
        }
        semaphore.revoke(holder.id, &format!("the limit was lowered to {limit}"))?;
        used = used.saturating_sub(holder.permits);
        print(&format!("{name}:{} revoked", holder.id))?;
    }
    Ok(())
}

/// Admits nobody until it is resumed.
pub(crate) fn pause(args: &PauseArgs) -> Result<u8, Error> {
    args.place.open(&args.name)?.pause()?;
    done()
}

/// Admits waiters again.
pub(crate) fn resume(args: &PauseArgs) -> Result<u8, Error> {
    args.place.open(&args.name)?.resume()?;
    done()
}
