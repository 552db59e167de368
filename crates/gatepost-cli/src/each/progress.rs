//! How far the run is, on standard error: a bar on a terminal, lines elsewhere.
//!
//! Escape sequences in a file help nobody, so `--progress always` writes a plain line now and then, at most one a second, where
//! there is no terminal, as the log of a build server shows it.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::tally::Counts;
use crate::cli::When;

/// The least time between two plain lines, and between two movements of the bar's spinner.
const LINE_EVERY: Duration = Duration::from_secs(1);
const TICK_EVERY: Duration = Duration::from_millis(100);

/// The display of progress.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Nothing is shown.
    Hidden,
    /// A bar, or a spinner where the number of jobs is not known.
    Bar(ProgressBar),
    /// A line now and then.
    Lines {
        /// How many jobs there will be, if known.
        total: Option<u64>,
        /// When the last line was written.
        last: Mutex<Instant>,
    },
}

impl Progress {
    /// The display that `when` asks for, of `total` jobs if that is known.
    pub(crate) fn new(when: When, total: Option<u64>) -> Self {
        let terminal = io::stderr().is_terminal();
        match when {
            When::Auto | When::Always if terminal => Self::Bar(bar(total)),
            When::Always => Self::Lines { total, last: Mutex::new(Instant::now()) },
            When::Auto | When::Never => Self::Hidden,
        }
    }

    /// Shows that jobs have ended, as `counts` says; returns the line that is to be written, if one is due.
    pub(crate) fn show(&self, counts: &Counts) -> Option<String> {
        match self {
            Self::Hidden => None,
            Self::Bar(bar) => {
                if counts.failed > 0 {
                    bar.set_message(format!(", {} failed", counts.failed));
                }
                bar.set_position(counts.jobs);
                None
            }
            Self::Lines { total, last } => {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                let due = last.elapsed() >= LINE_EVERY;
                due.then(|| {
                    *last = Instant::now();
                    line(counts, *total)
                })
            }
        }
    }

    /// Does `write` with the bar out of the way.
    pub(crate) fn aside<R>(&self, write: impl FnOnce() -> R) -> R {
        match self {
            Self::Bar(bar) => bar.suspend(write),
            Self::Hidden | Self::Lines { .. } => write(),
        }
    }

    /// Clears the bar; returns the last line that is to be written, if there is one.
    pub(crate) fn close(&self, counts: &Counts) -> Option<String> {
        match self {
            Self::Hidden => None,
            Self::Bar(bar) => {
                bar.finish_and_clear();
                None
            }
            Self::Lines { total, .. } => Some(line(counts, *total)),
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{wide_bar} {pos}/{len} jobs{msg}, {elapsed}, {eta} to go"),
        None => (ProgressBar::new_spinner(), "{spinner} {pos} jobs{msg}, {elapsed}"),
    };
    bar.set_style(ProgressStyle::with_template(template).expect("the template is right, as the tests show"));
    bar.enable_steady_tick(TICK_EVERY);
    bar
}

fn line(counts: &Counts, total: Option<u64>) -> String {
    let of = total.map(|total| format!("/{total}")).unwrap_or_default();
    format!("{}{of} jobs done, {} failed", counts.jobs, counts.failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_templates_are_right() {
        bar(None).finish_and_clear();
        bar(Some(3)).finish_and_clear();
    }

    #[test]
    fn a_line_says_how_many_of_how_many() {
        let counts = Counts { jobs: 3, failed: 1, ..Counts::default() };
        assert_eq!(line(&counts, Some(9)), "3/9 jobs done, 1 failed");
        assert_eq!(line(&counts, None), "3 jobs done, 1 failed");
    }
}
