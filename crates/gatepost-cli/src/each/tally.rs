//! What the run came to: counts, the peak of permits in use, times.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::outcome::Outcome;
use super::spawn::Kind;

/// The counts of a run, which all its threads add to.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counts>);

/// A state of the counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Jobs that ended, however they did.
    pub(crate) jobs: u64,
    /// Jobs that failed.
    pub(crate) failed: u64,
    /// Of these, ended by `--timeout`.
    pub(crate) timed_out: u64,
    /// Of these, not found.
    pub(crate) not_found: u64,
    /// Of these, not executable.
    pub(crate) not_executable: u64,
    /// Jobs that the run itself ended.
    pub(crate) stopped: u64,
    /// Permits in use.
    pub(crate) in_use: usize,
    /// The most permits that were in use at one time.
    pub(crate) peak: usize,
    /// For how long the front of the queue waited for permits.
    pub(crate) waited: Duration,
    /// For how long jobs ran, added up.
    pub(crate) run: Duration,
}

impl Tally {
    /// A job took `weight` permits, for which it had waited.
    pub(crate) fn start(&self, weight: usize, waited: Duration) {
        let mut counts = self.lock();
        counts.in_use += weight;
        counts.peak = counts.peak.max(counts.in_use);
        counts.waited += waited;
    }

    /// A job of `weight`, which ran for so long, is about to give its permits back. The counts after that.
    pub(crate) fn end(&self, weight: usize, run: Duration, outcome: &Outcome) -> Counts {
        let mut counts = self.lock();
        counts.in_use -= weight;
        counts.run += run;
        counts.jobs += 1;
        counts.failed += u64::from(outcome.is_failure());
        match outcome {
            Outcome::TimedOut => counts.timed_out += 1,
            Outcome::Stopped => counts.stopped += 1,
            Outcome::CannotStart(error) => match error.kind {
                Kind::NotFound => counts.not_found += 1,
                Kind::NotExecutable | Kind::ArgumentsTooLong => counts.not_executable += 1,
                Kind::NoRoom | Kind::Ended | Kind::Lost => {}
            },
            Outcome::Success | Outcome::Exit(_) | Outcome::Signal(_) | Outcome::Lost => {}
        }
        *counts
    }

    /// The counts now.
    pub(crate) fn counts(&self) -> Counts {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The closing line of a run.
#[derive(Debug)]
pub(crate) struct Summary {
    /// What it came to.
    pub(crate) counts: Counts,
    /// The number of permits there were.
    pub(crate) limit: usize,
    /// How long it took.
    pub(crate) elapsed: Duration,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { counts, limit, elapsed } = self;
        let plural = if counts.jobs == 1 { "" } else { "s" };
        write!(f, "{} job{plural}, {} failed", counts.jobs, counts.failed)?;
        if counts.stopped > 0 {
            write!(f, ", {} stopped", counts.stopped)?;
        }
        let [waited, run, elapsed] = [counts.waited, counts.run, *elapsed].map(|time| time.as_secs_f64());
        write!(
            f,
            "; at most {} of {limit} permits in use; waited {waited:.2} s for permits, \
             ran {run:.2} s in {elapsed:.2} s",
            counts.peak
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_the_most_at_one_time() {
        let tally = Tally::default();
        let second = Duration::from_secs(1);
        tally.start(2, second);
        tally.start(3, second);
        tally.end(3, second, &Outcome::Success);
        tally.start(1, second);
        let counts = tally.counts();
        assert_eq!((counts.peak, counts.waited, counts.run), (5, 3 * second, second));
    }

    #[test]
    fn the_summary_says_all_five() {
        let tally = Tally::default();
        tally.start(2, Duration::from_millis(250));
        tally.end(2, Duration::from_secs(3), &Outcome::Exit(1));
        let summary = |counts| Summary { counts, limit: 4, elapsed: Duration::from_millis(3500) }.to_string();
        assert_eq!(
            summary(tally.counts()),
            "1 job, 1 failed; at most 2 of 4 permits in use; waited 0.25 s for permits, ran 3.00 s in 3.50 s"
        );
        tally.start(1, Duration::ZERO);
        tally.end(1, Duration::ZERO, &Outcome::Stopped);
        assert!(summary(tally.counts()).starts_with("2 jobs, 1 failed, 1 stopped; at most 2 of 4"));
    }
}
