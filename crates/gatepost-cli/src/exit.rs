//! The exit status, as one table.
//!
//! | status  | meaning
//! |---------|----------------------------------------------------------------------
//! | 0       | every job succeeded
//! | 1–100   | that many jobs failed
//! | 101     | more than 100 jobs failed
//! | 124     | jobs failed, and every one of them by `--timeout`
//! | 125     | Gatepost itself failed: usage, unreadable input, a weight over the limit
//! | 126     | the command was found and cannot be run
//! | 127     | the command was not found
//! | 128 + n | ended by signal n: 130 on Ctrl-C, 143 on SIGTERM, 129 on SIGHUP; 141: output closed
//!
//! Commands that deal with a semaphore of the machine (`run`, `acquire`, `status` and so on) have these besides; `run` has the
//! command's own status otherwise, and those from 124 on mean the same as above, for its one command:
//!
//! | status  | meaning
//! |---------|----------------------------------------------------------------------
//! | 64      | usage: an option that cannot be, a limit that differs, no such semaphore
//! | 69      | the semaphore cannot be used: damaged, full, of another version, on a network file system
//! | 75      | busy, and `--no-wait` was given (EX_TEMPFAIL)
//! | 77      | no permission to use it
//! | 120     | the permit was lost or revoked, and the command was ended for it
//! | 124     | waited in vain for as long as `--timeout` allows
//!
//! A count says more than a kind, so 124, 126 and 127 stand for a run only when *all* its failures are of that one
//! kind: a script can rely on 3 being three failed jobs, whatever the reasons of the three were.

use crate::each::gate::Reason;
use crate::each::tally::Counts;

/// Every job succeeded.
pub(crate) const SUCCESS: u8 = 0;
/// More than [`MOST_COUNTED`] jobs failed.
pub(crate) const UNCOUNTED: u8 = 101;
/// The greatest number of failed jobs that is told by number.
pub(crate) const MOST_COUNTED: u64 = 100;
/// The command line, or what it asks of a semaphore, cannot be (EX_USAGE).
pub(crate) const USAGE: u8 = 64;
/// The semaphore cannot be used (EX_UNAVAILABLE).
pub(crate) const UNAVAILABLE: u8 = 69;
/// The permits are not to be had now, and the caller does not wait (EX_TEMPFAIL).
pub(crate) const BUSY: u8 = 75;
/// The user may not use the semaphore (EX_NOPERM).
pub(crate) const NO_PERMISSION: u8 = 77;
/// The permit was taken back while the command ran.
pub(crate) const LOST: u8 = 120;
/// A job was ended by its time-out, as `timeout` has it.
pub(crate) const TIMED_OUT: u8 = 124;
/// Gatepost itself failed, as `timeout` and `env` have it.
pub(crate) const OWN_FAILURE: u8 = 125;
/// The command was found and cannot be run, as `env` has it.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// The command was not found, as `env` has it.
pub(crate) const NOT_FOUND: u8 = 127;
/// Added to a signal's number, as shells have it.
const SIGNAL_BASE: u8 = 128;

/// The status that shells show for a program ended by `signal`.
pub(crate) fn of_signal(signal: i32) -> u8 {
    SIGNAL_BASE.saturating_add(u8::try_from(signal).unwrap_or(u8::MAX))
}

/// The status of a whole run: why it stopped, if it did, and what its jobs came to.
pub(crate) fn of_run(reason: Option<Reason>, counts: &Counts) -> u8 {
    match reason {
        Some(Reason::Signal(signal)) => of_signal(signal),
        Some(Reason::OwnFailure) => OWN_FAILURE,
        Some(Reason::OutputClosed) => of_signal(signal_hook::consts::SIGPIPE),
        Some(Reason::NoCommand { status }) => status,
        Some(Reason::Halted) | None => of_failures(counts),
    }
}

fn of_failures(counts: &Counts) -> u8 {
    match counts.failed {
        0 => SUCCESS,
        all if all == counts.timed_out => TIMED_OUT,
        all if all == counts.not_executable => NOT_EXECUTABLE,
        all if all == counts.not_found => NOT_FOUND,
        some if some <= MOST_COUNTED => some as u8,
        _ => UNCOUNTED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(failed: u64) -> Counts {
        Counts { failed, ..Counts::default() }
    }

    #[test]
    fn failures_are_counted_up_to_a_hundred() {
        let status = |n| of_run(None, &failed(n));
        assert_eq!([status(0), status(1), status(100), status(101)], [0, 1, 100, 101]);
        assert_eq!(status(u64::MAX), 101);
    }

    #[test]
    fn a_kind_stands_for_the_run_only_when_all_failures_are_of_it() {
        let all = Counts { timed_out: 2, ..failed(2) };
        let some = Counts { timed_out: 2, ..failed(3) };
        assert_eq!((of_run(None, &all), of_run(None, &some)), (124, 3));
        let not_found = Counts { not_found: 1, ..failed(1) };
        let not_executable = Counts { not_executable: 1, ..failed(1) };
        assert_eq!((of_run(None, &not_found), of_run(None, &not_executable)), (127, 126));
    }

    #[test]
    fn the_reason_for_stopping_outranks_the_count() {
        let status = |reason| of_run(Some(reason), &failed(7));
        assert_eq!(status(Reason::Signal(2)), 130);
        assert_eq!(status(Reason::Signal(15)), 143);
        assert_eq!(status(Reason::OwnFailure), 125);
        assert_eq!(status(Reason::OutputClosed), 141);
        assert_eq!(status(Reason::NoCommand { status: 126 }), 126);
        assert_eq!(status(Reason::Halted), 7);
    }
}
