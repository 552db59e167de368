//! Enough open files for the jobs of a run.
//!
//! Many systems allow 1024 by default and far more to whoever asks. A running job needs a handful, so a run with a
//! high limit asks, for as many as it needs and no more: jobs inherit what we get.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::gate::WINDOW_FACTOR;

/// Two pipes, the process, the bell of its permit, and while starting the far ends of the pipes and `/dev/null`.
const TO_RUN: u64 = 7;
/// Two temporary files, where output waits for its turn.
const TO_WAIT: u64 = 2;
/// Our own.
const OWN: u64 = 64;

/// Asks for as many open files as a run with `limit` may need.
///
/// Getting fewer is no error: with weights, far fewer jobs run than there are permits.
pub(crate) fn reserve(limit: usize, keep_order: bool) {
    let waiting = if keep_order { TO_WAIT * WINDOW_FACTOR as u64 } else { 0 };
    let wanted = (limit as u64).saturating_mul(TO_RUN + waiting).saturating_add(OWN);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let possible = maximum.map_or(wanted, |maximum| wanted.min(maximum));
    if current.is_some_and(|current| current < possible) {
        let more = Rlimit { current: Some(possible), maximum };
        // Without more, jobs wait until there is room, and that is told of if it takes too long.
        let _ = setrlimit(Resource::Nofile, more);
    }
}
