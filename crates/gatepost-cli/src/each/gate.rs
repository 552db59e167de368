//! The gate that every job passes, and the ways in which it is shut.
//!
//! ```text
//!   item ──> window (--keep-order: 4 × limit places, freed as output is printed)
//!        ──> permits (the limit: as many as the job weighs, freed as the job is done) ──> job
//! ```
//! Both are semaphores, strictly first in, first out. One thread passes the gate for all jobs, in the order of the
//! items, so nothing overtakes a heavy job. To start no more is to close both semaphores: the thread that waits at
//! either is told at once, and the jobs inside keep what they hold.
//!
//! | step        | said by                          | the waiting dispatcher | the running jobs
//! |-------------|----------------------------------|------------------------|------------------------------
//! | `shut`      | --halt soon, a bad item          | leaves                 | finish
//! | `end_jobs`  | --halt now, a signal, a lost reader | leaves              | are told to end
//! | `kill_jobs` | a second signal                  | leaves                 | are killed
//!
//! Each step includes the one above it, and none can be taken back.

use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use gatepost::{Semaphore, SemaphorePermit};
use rustix::process::Signal;

use super::alarm::Alarm;

/// With `--keep-order`, how many times the limit a job may run ahead of the oldest one not printed.
pub(crate) const WINDOW_FACTOR: usize = 4;

/// The gate of one run.
#[derive(Debug)]
pub(crate) struct Gate {
    permits: Semaphore,
    window: Option<Semaphore>,
    /// Rung by `shut`: reading items ends.
    pub(crate) no_more: Alarm,
    /// Rung by `end_jobs`: every job is told to end, as `farewell` says.
    pub(crate) end: Alarm,
    /// Rung by `kill_jobs`: every job is killed.
    pub(crate) kill: Alarm,
    farewell: OnceLock<Farewell>,
    reason: Mutex<Option<Reason>>,
}

/// Why no more jobs start, the weightiest last: it decides the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// A job failed, and `--halt` says what that means.
    Halted,
    /// The command itself cannot be started, whatever the item.
    NoCommand {
        /// 126 or 127.
        status: u8,
    },
    /// Nobody reads our output.
    OutputClosed,
    /// Gatepost cannot go on; the error was printed.
    OwnFailure,
    /// A signal came.
    Signal(i32),
}

/// How running jobs are told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Farewell {
    /// What their process groups get.
    pub(crate) signal: Signal,
    /// Whether they are killed when that does not help within `--kill-after`. Not after Ctrl-C, which a person
    /// follows up by hand.
    pub(crate) then_kill: bool,
}

impl Farewell {
    /// As at a time-out: SIGTERM, then SIGKILL.
    pub(crate) const TERMINATE: Self = Self { signal: Signal::TERM, then_kill: true };
}

/// What a job holds while it runs.
#[derive(Debug)]
pub(crate) struct Pass<'gate> {
    /// Its place in the window, which it keeps until its output is printed.
    pub(crate) place: Option<SemaphorePermit<'gate>>,
    /// As many permits as it weighs.
    pub(crate) permits: SemaphorePermit<'gate>,
    /// How long it waited for the permits.
    pub(crate) waited: Duration,
}

impl Gate {
    /// An open gate with `limit` permits and, to keep the order, a window.
    pub(crate) fn new(limit: usize, keep_order: bool) -> io::Result<Self> {
        let places = limit.saturating_mul(WINDOW_FACTOR).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            permits: Semaphore::new(limit),
            window: keep_order.then(|| Semaphore::new(places)),
            no_more: Alarm::new()?,
            end: Alarm::new()?,
            kill: Alarm::new()?,
            farewell: OnceLock::new(),
            reason: Mutex::new(None),
        })
    }

    /// Waits for a place and for `weight` permits; `None` once the gate is shut.
    ///
    /// The place comes first, so that no permits idle while output waits to be printed.
    pub(crate) fn pass(&self, weight: usize) -> Option<Pass<'_>> {
        let place = match &self.window {
            Some(window) => Some(window.acquire().wait().ok()?),
            None => None,
        };
        let since = Instant::now();
        let permits = self.permits.acquire_n(weight).wait().ok()?;
        Some(Pass { place, permits, waited: since.elapsed() })
    }

    /// Starts no more jobs. Whether `reason` is the weightiest so far.
    pub(crate) fn shut(&self, reason: Reason) -> bool {
        let first = {
            let mut known = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
            let first = *known < Some(reason);
            *known = (*known).max(Some(reason));
            first
        };
        self.permits.close();
        if let Some(window) = &self.window {
            window.close();
        }
        self.no_more.ring();
        first
    }

    /// Starts no more jobs and tells the running ones to end. The first farewell stands.
    pub(crate) fn end_jobs(&self, reason: Reason, farewell: Farewell) -> bool {
        let first = self.shut(reason);
        let _ = self.farewell.set(farewell);
        self.end.ring();
        first
    }

    /// Kills the running jobs; `end_jobs` came before.
    pub(crate) fn kill_jobs(&self) {
        self.kill.ring();
    }

    /// How jobs are told to end, once they are.
    pub(crate) fn farewell(&self) -> Option<Farewell> {
        self.end.is_rung().then(|| self.farewell.get().copied()).flatten()
    }

    /// Why no more jobs start, if so.
    pub(crate) fn reason(&self) -> Option<Reason> {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shut_gate_lets_nobody_pass_and_those_inside_keep_their_permits() {
        let gate = Gate::new(2, true).expect("pipes");
        let inside = gate.pass(2).expect("open");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| gate.pass(1).is_none());
            assert!(gate.shut(Reason::Halted));
            assert!(waiting.join().expect("no panic"), "told at once, though the permits are still held");
        });
        assert!(inside.place.is_some());
        drop(inside);
        assert!(gate.pass(1).is_none(), "free permits change nothing");
        assert!(gate.no_more.is_rung() && !gate.end.is_rung());
    }

    #[test]
    fn the_window_is_four_limits_wide() {
        let gate = Gate::new(2, true).expect("pipes");
        let free = || gate.window.as_ref().map(Semaphore::available_permits);
        assert_eq!(free(), Some(8));
        let pass = gate.pass(1).expect("open");
        drop(pass.permits);
        assert_eq!(free(), Some(7), "the place outlasts the job");
        drop(pass.place);
        assert_eq!(free(), Some(8));
        let unordered = Gate::new(1, false).expect("pipes");
        assert!(unordered.pass(1).expect("open").place.is_none());
    }

    #[test]
    fn the_weightiest_reason_stands_and_the_first_farewell() {
        let gate = Gate::new(1, false).expect("pipes");
        assert_eq!(gate.farewell(), None);
        assert!(gate.end_jobs(Reason::Signal(2), Farewell { signal: Signal::INT, then_kill: false }));
        assert!(!gate.end_jobs(Reason::Halted, Farewell::TERMINATE));
        assert_eq!(gate.reason(), Some(Reason::Signal(2)));
        assert_eq!(gate.farewell().map(|farewell| farewell.signal), Some(Signal::INT));
    }
}
