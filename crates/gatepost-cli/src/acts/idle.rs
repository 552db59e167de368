//! `wait`: until nobody uses a semaphore and nobody waits for it.
//!
//! It only looks, so it needs no place in the semaphore's tables, and can be killed at any time.

use std::time::{Duration, Instant};

use clap::Args;
use gatepost_shared::{HolderState, Observer, Status};

use super::done;
use crate::error::Error;
use crate::machine::open::Place;
use crate::values;

/// How often it is looked without being told: the end of a command whose wrapper is gone changes nothing in the file.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// The arguments of `wait`.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// The semaphore
    #[arg(value_name = "NAME")]
    name: String,

    /// Wait until no permit is held and nobody waits for one
    #[arg(long, required = true)]
    idle: bool,

    /// Wait at most DUR, such as 90, 1.5s, 2min; then exit with 124
    #[arg(short, long, value_name = "DUR", value_parser = values::some_patience)]
    timeout: Option<Duration>,

    /// Where it is.
    #[command(flatten)]
    place: Place,
}

/// The permits that somebody has in fact: what the dead held is free for whoever needs it.
pub(super) fn in_use(status: &Status) -> u32 {
    let alive = status.holders.iter().filter(|holder| holder.state != HolderState::Dead);
    alive.fold(0, |sum, holder| sum.saturating_add(holder.permits))
}

/// Waits.
pub(crate) fn wait(args: &WaitArgs) -> Result<u8, Error> {
    let begun = Instant::now();
    let observer = Observer::open(&args.name, &args.place.options())?;
    loop {
        let status = observer.status()?;
        let waiting = status.waiters.iter().any(|waiter| waiter.session.alive);
        let used = in_use(&status);
        if used == 0 && !waiting {
            return done();
        }
        let left = args.timeout.map(|time| time.saturating_sub(begun.elapsed()));
        if left == Some(Duration::ZERO) {
            let waiting = status.waiters.len();
            return Err(Error::NotIdle { name: args.name.clone(), used, waiting });
        }
        observer.wait_change(left.map_or(LOOK, |left| left.min(LOOK)));
    }
}
