//! `revoke`: permits taken away from whoever holds them.
//!
//! The holder is told: `gatepost run` ends its command then. A program that does not listen goes on without a permit, and
//! so there is `--kill`.

use std::collections::BTreeMap;

use clap::Args;
use gatepost_shared::Released;

use super::{done, print};
use crate::error::Error;
use crate::machine::name::PermitName;
use crate::machine::open::Place;
use crate::machine::process::{self, Killed};
use crate::run::line::say;

/// The arguments of `revoke`.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The permits, as `gatepost status` shows them, such as build:57
    #[arg(value_name = "NAME:ID", required = true)]
    permits: Vec<PermitName>,

    /// Kill the process that holds the permit, and its group if it leads one
    #[arg(long)]
    kill: bool,

    /// The reason that the record of events gives
    #[arg(long, value_name = "TEXT", default_value = "revoked by hand")]
    why: String,

    /// Where they are.
    #[command(flatten)]
    place: Place,
}

/// Takes them away.
pub(crate) fn revoke(args: &RevokeArgs) -> Result<u8, Error> {
    let mut semaphores = BTreeMap::new();
    for permit in &args.permits {
        if !semaphores.contains_key(&permit.name) {
            semaphores.insert(&permit.name, args.place.open_of(permit)?);
        }
    }
    for permit in &args.permits {
        let semaphore = &semaphores[&permit.name];
        // Before it is revoked, as nothing names the process afterwards.
        let process = args.kill.then(|| semaphore.status()).transpose()?.and_then(|status| {
            let holder = status.holders.into_iter().find(|holder| holder.id == permit.id)?;
            Some(holder.keep.unwrap_or(holder.session.process))
        });
        let was_there = process.as_ref().is_some_and(process::is_that);
        match semaphore.revoke(permit.id, &args.why)? {
            Released::Yes => print(&format!("{permit} revoked"))?,
            Released::WasGone => {
                // Given back since we looked: the process has nothing that it should not have.
                say(&format!("the permit {permit} was gone already"));
                continue;
            }
        }
        if let Some(process) = process {
            told(permit, process.pid, was_there, process::kill(&process))?;
        }
    }
    done()
}

/// Says what came of killing the holder, which `was_there` before its permit was revoked.
fn told(permit: &PermitName, pid: u32, was_there: bool, killed: Killed) -> Result<(), Error> {
    match killed {
        Killed::Yes => print(&format!("{permit}: process {pid} killed")),
        // The revocation itself has ended it, faster than we (`gatepost run` does that): it is as was asked.
        Killed::WasGone if was_there => Ok(()),
        Killed::WasGone => {
            say(&format!("{permit}: process {pid} was gone already"));
            Ok(())
        }
        Killed::OutOfReach => Err(Error::OutOfReach { permit: permit.to_string(), pid }),
    }
}
