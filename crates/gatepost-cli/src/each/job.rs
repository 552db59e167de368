//! One job, from its start to its last trace: run it, again if it failed and may, then log, count and print it, and
//! only then give its permits back.

use std::ffi::OsString;
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use super::capture::Capture;
use super::dispatch::Run;
use super::gate::{Farewell, Pass, Reason};
use super::items::Item;
use super::log::{Record, exact};
use super::machine::Held;
use super::outcome::Outcome;
use super::output::Block;
use super::spawn::{Kind, spawn};
use super::watch::{WatchError, watch};
use crate::cli::Halt;
use crate::error::Error;

/// The most that is read from a pipe at once: as much as a pipe holds.
const SCRATCH: usize = 64 << 10;

/// A job that has passed the gate.
#[derive(Debug)]
pub(crate) struct Job<'gate> {
    /// What it is for.
    pub(crate) item: Item,
    /// The program and its arguments.
    pub(crate) arguments: Vec<OsString>,
    /// How many permits it has.
    pub(crate) weight: usize,
    /// The permits.
    pub(crate) pass: Pass<'gate>,
    /// Those of the machine, if it takes any.
    pub(crate) held: Option<Held>,
}

/// What does jobs, one after the other.
#[derive(Debug)]
pub(crate) struct Worker<'run, 'gate> {
    run: &'run Run<'gate>,
    scratch: Vec<u8>,
}

/// How a job went, all attempts together.
struct Course {
    started: SystemTime,
    run: Duration,
    attempts: u32,
    outcome: Outcome,
    capture: Capture,
}

impl<'run, 'gate> Worker<'run, 'gate> {
    /// A worker without a job.
    pub(crate) fn new(run: &'run Run<'gate>) -> Self {
        Self { run, scratch: vec![0; SCRATCH] }
    }

    /// Does `job`.
    pub(crate) fn run(&mut self, job: Job<'gate>) {
        let Course { started, run, attempts, outcome, capture } = self.attempt_all(&job);
        let Job { item, weight, pass: Pass { place, permits, waited }, held, .. } = job;
        // Its process is gone, and others of the machine need not wait for our printer.
        drop(held);
        if let Some(log) = &self.run.log {
            let record = Record {
                job: item.number,
                item: &item.text,
                item_bytes: exact(&item.text),
                weight,
                attempts,
                started,
                waited,
                run,
                status: outcome.status(),
                outcome: &outcome,
            };
            log.write(&record).unwrap_or_else(|error| self.run.fail(&error));
        }
        let note = self.heed(&item, &outcome);
        self.print(Block { number: item.number, capture, note, place });
        let counts = self.run.tally.end(weight, run, &outcome);
        self.run.output.show_progress(&counts);
        // Before the permits, so that the dispatcher never sees fewer workers free than permits; see `dispatch`.
        self.run.busy.fetch_sub(1, Ordering::Relaxed);
        drop(permits);
    }

    /// Runs `job` until it succeeds or may not be run again.
    fn attempt_all(&mut self, job: &Job<'gate>) -> Course {
        let (started, clock) = (SystemTime::now(), Instant::now());
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut capture = Capture::default();
            let outcome = self.attempt(job, &mut capture);
            // What cannot start now will not start then; where there was no room, it has been tried often enough.
            let again = outcome.is_failure()
                && !matches!(outcome, Outcome::CannotStart(_) | Outcome::Lost)
                && attempts <= self.run.options.retries
                && !self.run.gate.end.is_rung();
            if !again {
                return Course { started, run: clock.elapsed(), attempts, outcome, capture };
            }
        }
    }

    fn attempt(&mut self, job: &Job<'gate>, capture: &mut Capture) -> Outcome {
        let Run { gate, options, .. } = self.run;
        if gate.end.is_rung() {
            return Outcome::Stopped;
        }
        let mut child =
            match spawn(&job.arguments, job.item.number, job.weight, job.held.as_ref(), |pause| gate.end.wait(pause)) {
                Ok(child) => child,
                Err(error) if error.kind == Kind::Ended => return Outcome::Stopped,
                Err(error) => return Outcome::CannotStart(error),
            };
        watch(&mut child, &options.limits, gate, job.held.as_ref(), capture, &mut self.scratch).unwrap_or_else(
            |error| {
                let item = job.item.named();
                self.run.fail(&match error {
                    WatchError::Lost(source) => Error::Watch { item, source },
                    WatchError::Spill(source) => Error::Spill { item, directory: std::env::temp_dir(), source },
                });
                Outcome::Stopped
            },
        )
    }

    /// Draws the consequences of `outcome` for the other jobs, and returns what is to be said about it.
    fn heed(&self, item: &Item, outcome: &Outcome) -> Option<String> {
        let Run { gate, options, .. } = self.run;
        if !outcome.is_failure() {
            return None;
        }
        match options.halt {
            Halt::Never => {}
            Halt::Soon => {
                gate.shut(Reason::Halted);
            }
            Halt::Now => {
                gate.end_jobs(Reason::Halted, Farewell::TERMINATE);
            }
        }
        let Outcome::CannotStart(error) = outcome else {
            return (!options.quiet).then(|| format!("{}: {outcome}", item.named()));
        };
        match error.kind {
            Kind::NoRoom => {
                let reason = error.to_string();
                self.run.fail(&Error::CannotSpawn { item: item.named(), reason });
                None
            }
            // It is the same for every job, so it is said once, and one try is enough.
            Kind::NotFound | Kind::NotExecutable if options.template.program_is_fixed() => gate
                .shut(Reason::NoCommand { status: error.kind.status() })
                .then(|| format!("{error}; no more jobs start")),
            _ => Some(format!("{}: {outcome}", item.named())),
        }
    }

    fn print(&self, block: Block<'gate>) {
        match self.run.output.finish(block) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.run.gate.end_jobs(Reason::OutputClosed, Farewell::TERMINATE);
            }
            Err(source) => {
                self.run.fail(&Error::Output { source });
                // Whatever they do, nobody would see it.
                self.run.gate.end_jobs(Reason::OwnFailure, Farewell::TERMINATE);
            }
        }
    }
}
