//! `acquire` and `release`: permits for a script, which holds them between two commands.
//!
//! The permit outlives `acquire`, by two bounds: a time (`--ttl`), and a process, by default the shell that called us, so
//! that a script that dies gives it back at once.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use clap::Args;
use gatepost_shared::{Holder, HolderState, Released, Semaphore};

use super::done;
use crate::child::signals::{self, Signals};
use crate::error::Error;
use crate::exit;
use crate::machine::name::{self, PermitName};
use crate::machine::open::{Making, Place};
use crate::machine::process;
use crate::run::line::say;
use crate::run::take::{self, Failure, Patience};
use crate::run::{SESSION, nested};
use crate::values;

/// The arguments of `acquire`.
#[derive(Debug, Args)]
pub(crate) struct AcquireArgs {
    /// The semaphore
    #[arg(value_name = "NAME")]
    name: String,

    /// Give the permits back after DUR in any case, such as 90, 10min, 1h
    #[arg(long, value_name = "DUR", required = true, value_parser = values::ttl)]
    ttl: Duration,

    /// Take N permits at once
    #[arg(short, long, value_name = "N", default_value = "1", value_parser = name::permits, allow_negative_numbers = true)]
    permits: u32,

    /// Give them back, too, when process PID has ended [default: the shell that called]
    #[arg(long, value_name = "PID")]
    keep: Option<u32>,

    /// Wait for permits at most DUR, such as 90, 1.5s, 2min; then exit with 124
    #[arg(short, long, value_name = "DUR", value_parser = values::patience)]
    timeout: Option<Duration>,

    /// Do not wait at all: exit with 75 if the permits are not free
    #[arg(short, long, conflicts_with = "timeout")]
    no_wait: bool,

    /// Exit with N instead of 124 or 75 where the permits were not to be had
    #[arg(short = 'E', long, value_name = "N", allow_negative_numbers = true)]
    conflict_exit_code: Option<u8>,

    /// What listings call it [default: the program of the process that keeps it]
    #[arg(short, long, value_name = "TEXT")]
    label: Option<String>,

    /// Say nothing while waiting
    #[arg(short, long)]
    quiet: bool,

    /// How it is opened.
    #[command(flatten)]
    making: Making,
}

/// The arguments of `release`.
#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// The permits, as `gatepost acquire` printed them, such as build:57
    #[arg(value_name = "NAME:ID", required = true)]
    permits: Vec<PermitName>,

    /// Where they are.
    #[command(flatten)]
    place: Place,
}

/// Takes permits, prints what to call them, and leaves them with the process that keeps them.
pub(crate) fn acquire(args: &AcquireArgs) -> Result<u8, Error> {
    args.making.check(std::iter::once(args.name.as_str()))?;
    // Found first: a shell that dies while we wait must not be mistaken for the process that adopts us.
    let keeper = match args.keep {
        Some(pid) => pid,
        None => process::calling_shell().map_or(1, |pid| pid.as_raw_nonzero().get().unsigned_abs()),
    };
    let command = std::fs::read_to_string(format!("/proc/{keeper}/comm")).unwrap_or_default();
    let command = command.trim_end();
    let label = args.label.as_deref().unwrap_or(command);
    let semaphore = args.making.open(&args.name, SESSION)?;
    if nested::held_around(&nested::ancestors(), &semaphore)?.is_some() {
        return Err(Error::NestedAcquire { name: args.name.clone() });
    }

    let patience = match (args.no_wait, args.timeout) {
        (true, _) => Patience::None,
        (false, None) => Patience::Endless,
        (false, Some(time)) => Patience::Until { begun: Instant::now(), time },
    };
    let mut signals = Signals::new().map_err(|source| Error::SetUp { source })?;
    let wanted = vec![(args.name.as_str(), semaphore, args.permits)];
    let taken = take::all(wanted, label, patience, args.quiet, &take::bell()?, &mut signals);
    let held = match taken {
        Ok(held) => held,
        Err(Failure::Signal(signal)) => {
            signals::die_of(signal);
            return Ok(exit::of_signal(signal));
        }
        // With one semaphore there is nothing to lose while it is waited for.
        Err(Failure::Lost { permit }) => return Err(Error::Gone { permit }),
        Err(Failure::Error(error)) => return give_up(args, error),
    };
    for held in held {
        held.permit.lease(args.ttl)?;
        held.permit.keep(keeper)?;
        // Looked at last: if it ended before it was named, the name is nobody's, and the permit would be free by now.
        if !process::is_there(keeper) {
            return Err(Error::NoKeeper { pid: keeper });
        }
        let name = held.permit_name();
        // If nobody can be told its name, it is given back: a reader that went away is a failure here.
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{name}").and_then(|()| stdout.flush()).map_err(|source| Error::Output { source })?;
        held.permit.leave();
    }
    done()
}

fn give_up(args: &AcquireArgs, error: Error) -> Result<u8, Error> {
    match (args.conflict_exit_code, error.status()) {
        (Some(status), exit::TIMED_OUT | exit::BUSY) => {
            say(&error.to_string());
            Ok(status)
        }
        _ => Err(error),
    }
}

/// Gives permits back; twice is once.
///
/// All are looked at before the first is given back, so that an error has changed nothing.
pub(crate) fn release(args: &ReleaseArgs) -> Result<u8, Error> {
    for permit in &args.permits {
        refuse_if_in_use(&args.place.open_of(permit)?, permit)?;
    }
    for permit in &args.permits {
        if args.place.open_of(permit)?.release(permit.id)? == Released::WasGone {
            say(&format!("the permit {permit} was gone already"));
        }
    }
    done()
}

/// Refuses a permit that a living session uses: a command would go on without it, and not know.
///
/// One that has a time is of an `acquire`, which may have printed its name and not have ended yet.
fn refuse_if_in_use(semaphore: &Semaphore, permit: &PermitName) -> Result<(), Error> {
    let holders = semaphore.status()?.holders;
    let in_use =
        |holder: &&Holder| holder.id == permit.id && holder.state == HolderState::Alive && holder.expires.is_none();
    match holders.iter().find(in_use) {
        Some(holder) => {
            let pid = holder.keep.unwrap_or(holder.session.process).pid;
            Err(Error::InUse { permit: permit.to_string(), pid })
        }
        None => Ok(()),
    }
}
