//! What happened, and the bounds that follow from it.

use super::plan::{MutexId, QueueId, SemaphoreId, Simulation, ThreadId};
use crate::kernel::Count;
use crate::kernel::wait::WaitFailure;
use std::io;
use std::string::{String, ToString};
use std::vec::Vec;

/// What a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum On {
    /// That time passes.
    Sleep,
    /// To be let through.
    Semaphore(SemaphoreId),
    /// To be woken.
    Queue(QueueId),
    /// To have it.
    Mutex(MutexId),
}

/// What a thread does, or what happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It has a processor, by number.
    Runs(usize),
    /// Another has its processor. It is ready.
    Displaced,
    /// It is in a queue.
    Blocks(On),
    /// It has been taken out of its queue, and what it will be told. It is ready, and does not run yet.
    Ready(Result<(), WaitFailure>),
    /// Its wait is over for itself: it runs, and knows.
    Returns(On, Result<(), WaitFailure>),
    /// It would have waited for itself, and does not.
    Refused(On),
    /// Its weights are others now.
    Weighs {
        /// With what it inherits.
        effective: u64,
        /// Its own.
        base: u64,
    },
    /// The mutex is its own.
    Takes(MutexId),
    /// It gives the mutex up.
    Gives(MutexId),
    /// It lets one through.
    Posts(SemaphoreId),
    /// What became of a semaphore by what the thread did, or by what happened to it.
    Counts {
        /// Which.
        semaphore: SemaphoreId,
        /// Its count.
        count: Count,
        /// How many wait.
        waiters: u32,
    },
    /// It kills a thread.
    Kills(ThreadId),
    /// It suspends a thread.
    Suspends(ThreadId),
    /// It lets a suspended thread go on.
    Resumes(ThreadId),
    /// Suspended, it has stopped.
    Stops,
    /// Resumed, or killed, it is ready.
    Continues,
    /// It has left a mark.
    Mark(String),
    /// It has left a mark, since its last wait has failed.
    Alarm(String),
    /// It is over.
    Ends,
}

/// Something happened at a moment of virtual time, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: u64,
    /// Whose it is.
    pub thread: ThreadId,
    /// What.
    pub what: What,
}

/// Why a simulation has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All threads have come to their ends.
    Finished,
    /// Some wait for what does not come, or are suspended.
    Stuck,
    /// The [limit](Simulation::limit) has come.
    Limit,
    /// A million steps took no time.
    Spinning,
}

/// The longest that a thread had to wait, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// From asking for a mutex that another held until it ran with it, or gave up.
    pub lock: u64,
    /// From being ready until it ran.
    pub ready: u64,
}

/// A thread, as the trace knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) name: String,
    pub(super) weight: u64,
}

/// What happened in a [`Simulation`], in order.
///
/// # Examples
/// ```
/// use gatepost::kernel::simulated::{MILLISECOND, Simulation, What};
///
/// let mut machine = Simulation::new();
/// let one = machine.thread("one", 1);
/// machine.script(one).run(MILLISECOND).mark("done");
/// let trace = machine.run();
/// let what: Vec<_> = trace.events().iter().map(|event| (event.at, &event.what)).collect();
/// assert_eq!(what[0], (0, &What::Runs(0)));
/// assert_eq!(what[1], (MILLISECOND, &What::Mark("done".into())));
///
/// let mut timeline = Vec::new();
/// trace.write_timeline(&mut timeline)?;
/// assert!(String::from_utf8_lossy(&timeline).contains("####"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    pub(super) lanes: Vec<Lane>,
    pub(super) mutexes: Vec<String>,
    queues: Vec<String>,
    semaphores: Vec<String>,
    pub(super) processors: usize,
    events: Vec<Event>,
    ending: Ending,
    end: u64,
}

impl Trace {
    pub(super) fn new(plan: &Simulation, events: Vec<Event>, ending: Ending, end: u64) -> Self {
        let lane = |planned: &super::plan::Planned| Lane { name: planned.name.clone(), weight: planned.weight.into() };
        Self {
            lanes: plan.threads.iter().map(lane).collect(),
            mutexes: plan.mutexes.clone(),
            queues: plan.queues.clone(),
            semaphores: plan.semaphores.iter().map(|(name, ..)| name.clone()).collect(),
            processors: plan.processors,
            events,
            ending,
            end,
        }
    }

    /// All that happened.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// What happened to one thread.
    pub fn of(&self, thread: ThreadId) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.thread == thread)
    }

    /// Why it ended.
    pub fn ending(&self) -> Ending {
        self.ending
    }

    /// When it ended.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// All marks, those of failures too.
    pub fn marks(&self) -> impl Iterator<Item = (u64, ThreadId, &str)> {
        self.events.iter().filter_map(|event| match &event.what {
            What::Mark(label) | What::Alarm(label) => Some((event.at, event.thread, label.as_str())),
            _ => None,
        })
    }

    /// The longest that a thread had to wait for a mutex, and for a processor. A wait that the end cut short counts up to there.
    pub fn delays(&self, thread: ThreadId) -> Delays {
        let mut delays = Delays::default();
        let mut lock = None;
        let mut ready = Some(0);
        let longer = |longest: &mut u64, since: &mut Option<u64>, at: u64| {
            *longest = (*longest).max(since.take().map_or(0, |since| at - since));
        };
        for event in self.of(thread) {
            match event.what {
                What::Blocks(On::Mutex(_)) => lock = Some(event.at),
                What::Returns(On::Mutex(_), _) => longer(&mut delays.lock, &mut lock, event.at),
                What::Ready(_) | What::Displaced | What::Continues => ready = Some(event.at),
                What::Runs(_) | What::Stops | What::Ends => longer(&mut delays.ready, &mut ready, event.at),
                _ => {}
            }
        }
        longer(&mut delays.lock, &mut lock, self.end);
        longer(&mut delays.ready, &mut ready, self.end);
        delays
    }

    /// The name of what a thread waits for.
    pub(super) fn name_of(&self, on: On) -> &str {
        match on {
            On::Sleep => "a time",
            On::Semaphore(SemaphoreId(index)) => &self.semaphores[index],
            On::Queue(QueueId(index)) => &self.queues[index],
            On::Mutex(MutexId(index)) => &self.mutexes[index],
        }
    }

    /// Writes every event in a line of its own: nanoseconds, thread, what.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn write_events(&self, to: &mut impl io::Write) -> io::Result<()> {
        let width = self.lanes.iter().map(|lane| lane.name.chars().count()).max().unwrap_or(0);
        for event in &self.events {
            let name = &self.lanes[event.thread.0].name;
            writeln!(to, "{:>12}  {name:width$}  {}", event.at, self.say(&event.what))?;
        }
        Ok(())
    }

    fn say(&self, what: &What) -> String {
        let thread = |thread: &ThreadId| &self.lanes[thread.0].name;
        let told = |outcome: &Result<(), WaitFailure>| {
            outcome.map_or_else(|failure| failure.to_string(), |()| "passed".into())
        };
        match what {
            What::Runs(processor) => format!("runs on processor {processor}"),
            What::Displaced => "is displaced".into(),
            What::Blocks(on) => format!("blocks on {}", self.name_of(*on)),
            What::Ready(outcome) => format!("is ready: {}", told(outcome)),
            What::Returns(on, outcome) => format!("returns from {}: {}", self.name_of(*on), told(outcome)),
            What::Refused(on) => format!("would wait for itself at {}", self.name_of(*on)),
            What::Weighs { effective, base } => format!("weighs {effective}, {base} of it its own"),
            What::Takes(mutex) => format!("takes {}", self.mutexes[mutex.0]),
            What::Gives(mutex) => format!("gives up {}", self.mutexes[mutex.0]),
            What::Posts(semaphore) => format!("posts {}", self.semaphores[semaphore.0]),
            What::Counts { semaphore, count, waiters } => {
                format!("{}: count {count}, {waiters} waiting", self.semaphores[semaphore.0])
            }
            What::Kills(other) => format!("kills {}", thread(other)),
            What::Suspends(other) => format!("suspends {}", thread(other)),
            What::Resumes(other) => format!("resumes {}", thread(other)),
            What::Stops => "stops".into(),
            What::Continues => "continues".into(),
            What::Mark(label) | What::Alarm(label) => format!("* {label}"),
            What::Ends => "ends".into(),
        }
    }
}
