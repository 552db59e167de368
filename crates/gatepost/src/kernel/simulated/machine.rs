//! The kernel's objects, the threads, and what the kernel told of them.
//!
//! # A thread's states
//! ```text
//!   Ready ──scheduler──▶ Running ──a step that blocks──▶ Blocked ──the kernel's news──▶ Ready
//!     ◀────scheduler───── │ ▲                                                             (it has `waited`, and is told
//!                 suspended ▼ │ resumed, by way of Ready                                    when it takes its next step)
//!                        Stopped
//! ```
//! **V1.** Of a thread that is Blocked, and of no other, the kernel's block is in a queue.
//!
//! **V2.** The kernel is called for a thread by its own steps only, and it takes none unless it is Ready or Running: what the split-phase
//! functions ask for.

use super::plan::{Simulation, Step, ThreadId};
use super::random::Random;
use super::trace::{Ending, Event, On, Trace, What};
use super::{News, Number, Simulated, SimulatedThread};
use crate::kernel::platform::Unblock;
use crate::kernel::wait::Deadline;
use crate::kernel::{Count, Kernel, Mutex, OwnedWaitQueue, Semaphore, Thread, WakeOrder};
use std::boxed::Box;
use std::vec::Vec;

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    /// On this processor.
    Running(usize),
    Blocked(On, Deadline),
    /// Suspended.
    Stopped,
    Ended,
}

/// A thread.
pub(super) struct Task<'a> {
    pub(super) block: &'static Thread<Simulated>,
    pub(super) steps: &'a [Step],
    /// The step that it is at.
    pub(super) at: usize,
    pub(super) state: State,
    /// What is left of a step that takes time.
    pub(super) left: u64,
    /// It has found that it cannot have at once what its step asks for.
    pub(super) tried: bool,
    /// What it was waiting for: it has an outcome that it does not know yet.
    pub(super) waited: Option<On>,
    /// Until when the wait of its step may take.
    pub(super) until: Option<Deadline>,
    /// Whether its last wait has failed.
    pub(super) failed: bool,
    /// What it weighs for the scheduler.
    pub(super) weight: u64,
    /// When it became ready; chance; a number of its own.
    pub(super) turn: (u64, u64, u64),
    /// What is left of its quantum.
    pub(super) quantum: u64,
    /// The processor that it had last.
    pub(super) processor: usize,
    /// It was woken synchronously, by whoever runs on this processor.
    pub(super) handed: Option<usize>,
    /// Mutexes.
    pub(super) holds: Vec<usize>,
    pub(super) killed: bool,
    pub(super) suspended: bool,
}

/// A semaphore and what has become of it.
pub(super) struct Counted {
    pub(super) semaphore: &'static Semaphore<Simulated>,
    pub(super) initial: Count,
    pub(super) posts: Count,
    /// Waits that were let through.
    pub(super) passed: Count,
}

/// A mutex and who has it.
pub(super) struct Locked {
    pub(super) mutex: &'static Mutex<(), Simulated>,
    pub(super) holder: Option<usize>,
}

/// See the module head.
pub(super) struct Machine<'a> {
    pub(super) plan: &'a Simulation,
    kernel: &'static Kernel<Simulated>,
    pub(super) semaphores: Vec<Counted>,
    pub(super) queues: Vec<&'static OwnedWaitQueue<Simulated>>,
    pub(super) mutexes: Vec<Locked>,
    /// What those wait for who sleep.
    pub(super) nowhere: &'static Semaphore<Simulated>,
    pub(super) tasks: Vec<Task<'a>>,
    events: Vec<Event>,
    pub(super) chance: Random,
    turns: u64,
}

fn forever<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

impl<'a> Machine<'a> {
    /// The machine of `plan`, in which nothing has happened yet.
    pub(super) fn new(plan: &'a Simulation) -> Self {
        let kernel = forever(Kernel::new(Simulated::new(plan.inheritance)));
        let orderly = plan.seed == 0 && plan.interleaving == super::Interleaving::Scheduled;
        let semaphore = |&(_, initial, order): &(_, Count, WakeOrder)| Counted {
            semaphore: forever(Semaphore::new_in(kernel, initial, order)),
            initial,
            posts: 0,
            passed: 0,
        };
        let mut machine = Self {
            plan,
            kernel,
            semaphores: plan.semaphores.iter().map(semaphore).collect(),
            queues: plan
                .queues
                .iter()
                .map(|_| forever(OwnedWaitQueue::new_in(kernel, WakeOrder::ByFinishTime)))
                .collect(),
            mutexes: plan
                .mutexes
                .iter()
                .map(|_| Locked { mutex: forever(Mutex::new_in(kernel, (), WakeOrder::ByFinishTime)), holder: None })
                .collect(),
            nowhere: forever(Semaphore::new_in(kernel, 0, WakeOrder::Fifo)),
            tasks: Vec::new(),
            events: Vec::new(),
            chance: Random::new(plan.seed, orderly),
            turns: 0,
        };
        for (index, planned) in plan.threads.iter().enumerate() {
            let base = Number::new(planned.weight.into());
            let platform = SimulatedThread { index, base, finish: Number::new(planned.finish) };
            let turn = machine.next_turn();
            machine.tasks.push(Task {
                block: forever(Thread::new(kernel, platform, planned.weight)),
                steps: &planned.script.steps,
                at: 0,
                state: State::Ready,
                left: 0,
                tried: false,
                waited: None,
                until: None,
                failed: false,
                weight: planned.weight.into(),
                turn,
                quantum: plan.quantum,
                processor: 0,
                handed: None,
                holds: Vec::new(),
                killed: false,
                suspended: false,
            });
        }
        machine
    }

    pub(super) fn now(&self) -> u64 {
        self.kernel.platform().now.get()
    }

    pub(super) fn set_now(&mut self, now: u64) {
        self.kernel.platform().now.set(now);
    }

    pub(super) fn record(&mut self, who: usize, what: What) {
        let at = self.now();
        self.events.push(Event { at, thread: ThreadId(who), what });
    }

    /// How a semaphore is.
    pub(super) fn record_count(&mut self, who: usize, which: usize) {
        let semaphore = self.semaphores[which].semaphore;
        let (count, waiters) = (semaphore.count(), semaphore.num_waiters());
        self.record(who, What::Counts { semaphore: super::SemaphoreId(which), count, waiters });
    }

    fn next_turn(&mut self) -> (u64, u64, u64) {
        self.turns += 1;
        (self.now(), self.chance.next(), self.turns)
    }

    /// A thread has a new quantum, behind its equals.
    pub(super) fn send_back(&mut self, who: usize) {
        let turn = self.next_turn();
        let task = &mut self.tasks[who];
        (task.turn, task.quantum) = (turn, self.plan.quantum);
    }

    pub(super) fn make_ready(&mut self, who: usize) {
        self.send_back(who);
        self.tasks[who].state = State::Ready;
    }

    /// Acts upon what the kernel has told since it was last asked, by what `actor` did.
    pub(super) fn settle(&mut self, actor: Option<usize>) {
        for news in self.kernel.platform().take_news() {
            match news {
                News::Effective(who, effective) => {
                    let task = &mut self.tasks[who];
                    task.weight = effective;
                    let base = task.block.platform().base.get();
                    self.record(who, What::Weighs { effective, base });
                }
                News::Unblocked(who, how) => {
                    let processor = match (how, actor.map(|actor| self.tasks[actor].state)) {
                        (Unblock::Synchronous, Some(State::Running(processor))) => Some(processor),
                        _ => None,
                    };
                    self.unblocked(who, processor);
                }
            }
        }
    }

    fn unblocked(&mut self, who: usize, handed: Option<usize>) {
        let State::Blocked(on, _) = self.tasks[who].state else {
            panic!("thread {who} is unblocked, which is {:?}", self.tasks[who].state)
        };
        let outcome = self.tasks[who].block.outcome().expect("V1: it has left its queue");
        self.make_ready(who);
        let task = &mut self.tasks[who];
        task.waited = Some(on);
        if let Some(processor) = handed.filter(|_| self.plan.interleaving == super::Interleaving::Scheduled) {
            (task.handed, task.processor) = (handed, processor);
        }
        self.record(who, What::Ready(outcome));
        match (on, outcome) {
            (On::Semaphore(which), Ok(())) => self.semaphores[which.0].passed += 1,
            (On::Semaphore(which), Err(_)) => self.record_count(who, which.0),
            (On::Mutex(which), Ok(())) => self.has_taken(who, which.0),
            _ => {}
        }
    }

    /// The mutex is this thread's.
    pub(super) fn has_taken(&mut self, who: usize, which: usize) {
        self.mutexes[which].holder = Some(who);
        self.tasks[who].holds.push(which);
        self.record(who, What::Takes(super::MutexId(which)));
    }

    /// The deadlines of those who wait.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = (usize, Deadline)> {
        self.tasks.iter().enumerate().filter_map(|(who, task)| match task.state {
            State::Blocked(_, deadline) if !deadline.is_infinite() => Some((who, deadline)),
            _ => None,
        })
    }

    /// A thread's timer fires.
    pub(super) fn expire(&mut self, who: usize) {
        self.tasks[who].block.expire();
        self.settle(None);
    }

    /// All that happened. Nothing does any more.
    pub(super) fn finish(self, early: Option<Ending>) -> Trace {
        let end = self.now();
        let finished = self.tasks.iter().all(|task| task.state == State::Ended);
        let ending = early.unwrap_or(if finished { Ending::Finished } else { Ending::Stuck });
        Trace::new(self.plan, self.events, ending, end)
    }
}
