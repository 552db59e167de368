//! The dispatcher: one thread passes the gate for every job, in the order of the items, and hands the job with its
//! permits to a worker.
//!
//! Workers are grown as jobs overlap and never more than that: a worker counts as busy from the moment a job is handed
//! over until just before it gives the permits back, so there are at most as many as there were jobs at one time. The
//! channel between is unbounded and yet never holds more than the few jobs whose worker is on its way to it; what
//! bounds the run is the gate alone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Scope};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};

use super::Options;
use super::descriptors;
use super::gate::{Gate, Reason};
use super::items::Item;
use super::job::{Job, Worker};
use super::log::Log;
use super::machine::Machine;
use super::output::Output;
use super::progress::Progress;
use super::signals::Listener;
use super::tally::{Summary, Tally};
use crate::error::Error;
use crate::exit;

/// Enough for a thread of ours, whose buffers are on the heap; the default would reserve two megabytes for each.
const STACK: usize = 256 << 10;

/// What all threads of a run share.
#[derive(Debug)]
pub(crate) struct Run<'gate> {
    /// What is to be done.
    pub(crate) options: &'gate Options,
    /// What every job passes.
    pub(crate) gate: &'gate Gate,
    /// What every job takes its weight of besides.
    pub(crate) machine: Option<Machine>,
    /// Where blocks are printed.
    pub(crate) output: Output<'gate>,
    /// What it came to so far.
    pub(crate) tally: Tally,
    /// The log, if there is one.
    pub(crate) log: Option<Log>,
    /// Workers with a job.
    pub(crate) busy: AtomicUsize,
}

impl Run<'_> {
    /// Gives up: says why, once, and starts no more jobs.
    pub(crate) fn fail(&self, error: &Error) {
        if self.gate.shut(Reason::OwnFailure) {
            self.output.say(&error.to_string());
        }
    }
}

/// Runs all jobs and returns the exit status.
pub(crate) fn run(options: &Options) -> Result<u8, Error> {
    let set_up = |source| Error::SetUp { source };
    let begun = Instant::now();
    let limit = options.weights.limit;
    descriptors::reserve(limit, options.keep_order);
    let gate = Gate::new(limit, options.keep_order).map_err(set_up)?;
    let machine = options.machine.as_ref().map(Machine::open).transpose()?;
    let log = options.log.as_deref().map(Log::create).transpose()?;
    let items = options.items.open(&gate.no_more)?;
    let progress = Progress::new(options.progress, options.items.len());
    let output = Output::new(options.keep_order, progress).map_err(set_up)?;
    let run = Run { options, gate: &gate, machine, output, tally: Tally::default(), log, busy: AtomicUsize::new(0) };

    thread::scope(|scope| {
        let listener = Listener::new().map_err(set_up)?;
        let _leash = listener.leash();
        let run = &run;
        let listen = move || listener.listen(run.gate, |line| run.output.mention(line));
        thread::Builder::new().stack_size(STACK).spawn_scoped(scope, listen).map_err(set_up)?;
        thread::scope(|scope| dispatch(run, items, scope));
        Ok::<_, Error>(())
    })?;

    let (reason, counts) = (gate.reason(), run.tally.counts());
    run.output.close_progress(&counts);
    if !options.quiet && reason != Some(Reason::OutputClosed) {
        let elapsed = begun.elapsed();
        let summary = Summary { counts, limit, elapsed };
        run.output.say(&summary.to_string());
    }
    Ok(exit::of_run(reason, &counts))
}

/// Takes items until there are no more, or no more jobs are to start.
fn dispatch<'scope, 'gate>(
    run: &'scope Run<'gate>,
    items: impl Iterator<Item = Result<Item, Error>>,
    scope: &'scope Scope<'scope, '_>,
) {
    let (sender, receiver) = crossbeam_channel::unbounded();
    let mut crew = Crew { run, scope, sender, receiver, size: 0 };
    for item in items {
        match item.and_then(|item| prepare(run, item)) {
            Ok(Some(job)) => crew.take(job),
            Ok(None) => break,
            Err(error) => {
                run.fail(&error);
                break;
            }
        }
    }
    // Dropping the sender sends the workers home.
}

/// Makes a job of `item` and brings it through the gate; `None` once that is shut.
fn prepare<'gate>(run: &Run<'gate>, item: Item) -> Result<Option<Job<'gate>>, Error> {
    let weight = run.options.weights.of(&item)?;
    let arguments = run.options.template.render(&item)?;
    let Some(mut pass) = run.gate.pass(weight) else { return Ok(None) };
    let mut held = None;
    if let Some(machine) = &run.machine {
        let since = Instant::now();
        let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
        held = machine.take(weight, &words.join(" "), &run.gate.no_more)?;
        pass.waited += since.elapsed();
        if held.is_none() {
            return Ok(None);
        }
    }
    run.tally.start(weight, pass.waited);
    Ok(Some(Job { item, arguments, weight, pass, held }))
}

/// The workers, and the way to them.
struct Crew<'scope, 'env, 'gate> {
    run: &'scope Run<'gate>,
    scope: &'scope Scope<'scope, 'env>,
    sender: Sender<Job<'gate>>,
    receiver: Receiver<Job<'gate>>,
    size: usize,
}

impl<'gate> Crew<'_, '_, 'gate> {
    /// Sees to it that `job` is done at once.
    fn take(&mut self, job: Job<'gate>) {
        // ORDERING: Relaxed; the count and the permits go the same way, a worker's decrement before its release and our
        // increment after the acquire that it allowed, and that pair orders them.
        let busy = self.run.busy.fetch_add(1, Ordering::Relaxed) + 1;
        if busy > self.size
            && let Err(error) = self.grow()
            && self.size == 0
        {
            // With nobody there the job would wait for ever. With somebody it waits until one is free.
            self.run.fail(&error);
            return;
        }
        // We hold a receiver, so the channel is open.
        let _ = self.sender.send(job);
    }

    fn grow(&mut self) -> Result<(), Error> {
        let jobs = self.receiver.clone();
        let mut worker = Worker::new(self.run);
        thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(self.scope, move || jobs.iter().for_each(|job| worker.run(job)))
            .map_err(|source| Error::SetUp { source })?;
        self.size += 1;
        Ok(())
    }
}
