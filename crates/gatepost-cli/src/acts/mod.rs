//! The commands that do something to a semaphore of the machine, and end.
//!
//! | room    | subject
//! |---------|------------------------------------------------------------------
//! | `limit` | `resize`, `pause`, `resume`
//! | `lease` | `acquire` and `release`, for scripts
//! | `revoke`| `revoke`: permits taken away
//! | `idle`  | `wait`: until nobody uses it
//! | `file`  | `repair` and `remove`

pub(crate) mod file;
pub(crate) mod idle;
pub(crate) mod lease;
pub(crate) mod limit;
pub(crate) mod revoke;

use std::io::{self, Write};

use clap::Subcommand;

use crate::error::Error;
use crate::exit;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Take permits for a script, and print what to call them
    ///
    /// They are given back by `gatepost release`, after --ttl, or when the shell that called has ended, whichever comes
    /// first.
    #[command(after_help = "\
Examples:
  Around several commands of a script:
    permit=$(gatepost acquire build --limit 2 --ttl 1h) || exit
    make && make install
    gatepost release \"$permit\"
  For a process that is there already:
    gatepost acquire db --ttl 10min --keep 4121

Exit status: as that of `gatepost run`.")]
    Acquire(Box<lease::AcquireArgs>),
    /// Give back permits that `acquire` took
    ///
    /// One that is gone already, by release, by time, or by the end of its script, is said so and is no error.
    #[command(after_help = "Example:\n  gatepost release build:57\n\nExit status: 0, or as that of `gatepost run`.")]
    Release(lease::ReleaseArgs),
    /// Wait until nobody uses a semaphore
    #[command(after_help = "\
Example:
  Let what runs finish, and then stop the machine:
    gatepost resize build 0 && gatepost wait build --idle --timeout 1h; poweroff")]
    Wait(idle::WaitArgs),
    /// Change the limit of a semaphore, for everybody and at once
    ///
    /// A larger limit admits waiters. A smaller one takes nothing away from those who hold permits, unless --now is given:
    /// it holds as they give them back. Waiters that ask for more than the new limit are sent away, but with a limit of 0
    /// all of them stay, until it is raised.
    #[command(after_help = "\
Examples:
  gatepost resize build 4
  gatepost resize build cores/2 --drain
  gatepost resize gpu 0 --now

Exit status: 0, or as that of `gatepost run`.")]
    Resize(limit::ResizeArgs),
    /// Admit nobody until it is resumed; those inside stay
    #[command(after_help = "Example:\n  gatepost pause build\n\nExit status: 0, or as that of `gatepost run`.")]
    Pause(limit::PauseArgs),
    /// Admit waiters again
    #[command(after_help = "Example:\n  gatepost resume build\n\nExit status: 0, or as that of `gatepost run`.")]
    Resume(limit::PauseArgs),
    /// Take permits away from whoever holds them
    ///
    /// The holder is told: `gatepost run` ends its command. Others may not listen, and go on without: for these there is
    /// --kill. It is recorded, with the reason (`gatepost events`).
    #[command(after_help = "\
Examples:
  gatepost revoke build:57
  gatepost revoke build:57 build:58 --kill --why 'hangs since yesterday'

Exit status: 0, or as that of `gatepost run`.")]
    Revoke(revoke::RevokeArgs),
    /// Make a damaged semaphore sound again, and say what was changed
    #[command(after_help = "Example:\n  gatepost repair build\n\nExit status: 0, or as that of `gatepost run`.")]
    Repair(file::FileArgs),
    /// Take an unused semaphore's file away
    ///
    /// Refused while a process has it open or a permit is kept. Its limit is forgotten; the next one gives it a new one.
    #[command(after_help = "Example:\n  gatepost remove build\n\nExit status: 0, or as that of `gatepost run`.")]
    Remove(file::FileArgs),
}

impl Command {
    /// Does it, and returns the exit status.
    pub(crate) fn run(self) -> Result<u8, Error> {
        match self {
            Self::Acquire(args) => lease::acquire(&args),
            Self::Release(args) => lease::release(&args),
            Self::Wait(args) => idle::wait(&args),
            Self::Resize(args) => limit::resize(&args),
            Self::Pause(args) => limit::pause(&args),
            Self::Resume(args) => limit::resume(&args),
            Self::Revoke(args) => revoke::revoke(&args),
            Self::Repair(args) => file::repair(&args),
            Self::Remove(args) => file::remove(&args),
        }
    }
}

/// Writes `line` to standard output; a reader that went away is no failure.
fn print(line: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output { source }),
        _ => Ok(()),
    }
}

/// All is well.
fn done() -> Result<u8, Error> {
    Ok(exit::SUCCESS)
}
