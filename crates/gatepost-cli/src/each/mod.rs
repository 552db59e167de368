//! `gatepost each`: a command once for each item, with at most N permits in use at one time.
//!
//! ```text
//!   items ──> dispatcher ──────────────> worker ──────────────────────────────> output
//!   (stream)  weigh, fill in the         spawn, watch, retry; then              whole blocks,
//!             template, pass the gate    log, count, print, free the permits    in order if asked
//!                  ▲                          │
//!                  └── gate: the semaphore ◄──┘            signals ──> gate: shut, end, kill
//! ```
//! | room          | subject
//! |---------------|------------------------------------------------------------------
//! | `items`       | where items come from, as a stream
//! | `template`    | the command and its placeholders
//! | `weight`      | how many permits a job takes
//! | `gate`        | the permits, the window of `--keep-order`, and how both are shut
//! | `machine`     | permits of a semaphore of the machine, too (`--sem`)
//! | `alarm`       | how threads that poll are told so
//! | `dispatch`    | the one thread that passes the gate, and the workers it grows
//! | `job`         | one job from its start to its last trace
//! | `spawn`       | starting a process
//! | `watch`       | its output, its time, its end
//! | `capture`     | what it wrote, in memory or in a file without a name
//! | `outcome`     | how it ended
//! | `output`      | printing in whole blocks
//! | `progress`, `tally`, `log` | the bar, the counts, the record
//! | `signals`     | Ctrl-C and its kin
//! | `descriptors` | enough open files
//! | `dry_run`     | all of it but the jobs

pub(crate) mod alarm;
pub(crate) mod capture;
mod descriptors;
mod dispatch;
mod dry_run;
pub(crate) mod gate;
pub(crate) mod items;
mod job;
mod log;
#[cfg_attr(not(target_os = "linux"), path = "no_machine.rs")]
pub(crate) mod machine;
mod outcome;
mod output;
mod progress;
pub(crate) mod signals;
pub(crate) mod spawn;
pub(crate) mod tally;
pub(crate) mod template;
mod watch;
pub(crate) mod weight;

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::{Halt, When};
use crate::error::Error;

/// What is to be done, checked.
#[derive(Debug)]
pub(crate) struct Options {
    /// Where items come from.
    pub(crate) items: items::Source,
    /// The command.
    pub(crate) template: template::Template,
    /// How many permits there are, and how many a job takes.
    pub(crate) weights: weight::Weights,
    /// The semaphore of the machine that jobs hold permits of, too.
    pub(crate) machine: Option<machine::Wish>,
    /// Whether output is printed in the order of the items.
    pub(crate) keep_order: bool,
    /// How long a job may take.
    pub(crate) limits: Limits,
    /// What a failed job means for the others.
    pub(crate) halt: Halt,
    /// How often a failed job is run again.
    pub(crate) retries: u32,
    /// Whether commands are printed instead of run.
    pub(crate) dry_run: bool,
    /// When progress is shown.
    pub(crate) progress: When,
    /// Whether we keep our own lines to ourselves.
    pub(crate) quiet: bool,
    /// Where the log goes.
    pub(crate) log: Option<PathBuf>,
}

/// How long a job may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// From its start until it is told to end.
    pub(crate) timeout: Option<Duration>,
    /// From then until it is killed.
    pub(crate) kill_after: Duration,
}

/// Does what `options` say and returns the exit status.
pub(crate) fn run(options: &Options) -> Result<u8, Error> {
    if options.dry_run { dry_run::run(options) } else { dispatch::run(options) }
}
