//! What is to be simulated: a machine, what its threads share, and their scripts. Data only: it can be run as often as one likes.

use super::MILLISECOND;
use super::machine::Machine;
use super::trace::Trace;
use crate::kernel::wait::Deadline;
use crate::kernel::{Count, WakeOrder};
use std::string::String;
use std::vec::Vec;

/// A thread of a [`Simulation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ThreadId(pub(super) usize);

/// A semaphore of a [`Simulation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SemaphoreId(pub(super) usize);

/// An owned wait queue of a [`Simulation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueueId(pub(super) usize);

/// A mutex of a [`Simulation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MutexId(pub(super) usize);

/// Who takes the next step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interleaving {
    /// Whom the scheduler lets run.
    #[default]
    Scheduled,
    /// Any thread that could, chosen by the seed, as if there were a processor for each, of any speed. The laws of the kernel are
    /// checked after each step.
    Random,
}

/// A machine, and what happens on it: see [the module](super).
///
/// What is named in a script belongs to the same simulation. Time is in nanoseconds.
///
/// # Examples
/// A producer and a consumer, on one processor:
/// ```
/// use gatepost::kernel::simulated::{Ending, MILLISECOND, Simulation};
///
/// let mut machine = Simulation::new();
/// let items = machine.semaphore("items", 0);
/// let producer = machine.thread("producer", 1);
/// let consumer = machine.thread("consumer", 2);
/// machine.script(producer).run(3 * MILLISECOND).post(items);
/// machine.script(consumer).wait(items).run(MILLISECOND).mark("consumed");
/// let trace = machine.run();
/// assert_eq!(trace.ending(), Ending::Finished);
/// assert_eq!(trace.marks().collect::<Vec<_>>(), [(4 * MILLISECOND, consumer, "consumed")]);
/// assert_eq!(trace, machine.run(), "the same seed, the same trace");
/// ```
#[derive(Clone, Debug)]
pub struct Simulation {
    pub(super) processors: usize,
    pub(super) quantum: u64,
    pub(super) seed: u64,
    pub(super) inheritance: bool,
    pub(super) interleaving: Interleaving,
    pub(super) limit: u64,
    pub(super) threads: Vec<Planned>,
    pub(super) semaphores: Vec<(String, Count, WakeOrder)>,
    pub(super) queues: Vec<String>,
    pub(super) mutexes: Vec<String>,
}

/// A thread as it is planned.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) name: String,
    pub(super) weight: u32,
    pub(super) finish: u64,
    pub(super) script: Script,
}

impl Simulation {
    /// One processor, a quantum of 10 ms, seed 0, with inheritance, without a limit.
    pub fn new() -> Self {
        Self {
            processors: 1,
            quantum: 10 * MILLISECOND,
            seed: 0,
            inheritance: true,
            interleaving: Interleaving::Scheduled,
            limit: u64::MAX,
            threads: Vec::new(),
            semaphores: Vec::new(),
            queues: Vec::new(),
            mutexes: Vec::new(),
        }
    }

    /// How many processors there are.
    ///
    /// # Panics
    /// If there are none.
    #[track_caller]
    pub fn processors(&mut self, processors: usize) -> &mut Self {
        assert!(processors > 0, "a machine has a processor");
        self.processors = processors;
        self
    }

    /// How long a thread runs before an equal has its turn.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn quantum(&mut self, quantum: u64) -> &mut Self {
        assert!(quantum > 0, "a quantum is some time");
        self.quantum = quantum;
        self
    }

    /// By what chance is decided. 0: ties by order.
    pub fn seed(&mut self, seed: u64) -> &mut Self {
        self.seed = seed;
        self
    }

    /// Whether the scheduler, and the order in which threads are woken, take into account what a thread inherits.
    pub fn inheritance(&mut self, inheritance: bool) -> &mut Self {
        self.inheritance = inheritance;
        self
    }

    /// Who takes the next step.
    pub fn interleaving(&mut self, interleaving: Interleaving) -> &mut Self {
        self.interleaving = interleaving;
        self
    }

    /// When the simulation ends, if there is still something to do.
    pub fn limit(&mut self, limit: u64) -> &mut Self {
        self.limit = limit;
        self
    }

    /// A semaphore, whose threads are woken in the order of their finish times: the most urgent first.
    pub fn semaphore(&mut self, name: &str, count: Count) -> SemaphoreId {
        self.semaphore_in(name, count, WakeOrder::ByFinishTime)
    }

    /// A semaphore whose threads are woken in this order.
    pub fn semaphore_in(&mut self, name: &str, count: Count, order: WakeOrder) -> SemaphoreId {
        self.semaphores.push((name.into(), count, order));
        SemaphoreId(self.semaphores.len() - 1)
    }

    /// A wait queue that nobody owns at first.
    pub fn queue(&mut self, name: &str) -> QueueId {
        self.queues.push(name.into());
        QueueId(self.queues.len() - 1)
    }

    /// A free mutex.
    pub fn mutex(&mut self, name: &str) -> MutexId {
        self.mutexes.push(name.into());
        MutexId(self.mutexes.len() - 1)
    }

    /// A thread, which is ready from the beginning, with its own weight. Its [script](Self::script) is empty at first.
    pub fn thread(&mut self, name: &str, weight: u32) -> ThreadId {
        let script = Script::default();
        self.threads.push(Planned { name: name.into(), weight, finish: u64::MAX, script });
        ThreadId(self.threads.len() - 1)
    }

    /// Gives a thread a finish time of its own, by which it stands in queues: not, as otherwise, its urgency.
    pub fn finish_time(&mut self, thread: ThreadId, finish: u64) -> &mut Self {
        self.threads[thread.0].finish = finish;
        self
    }

    /// What a thread does: to be appended to.
    pub fn script(&mut self, thread: ThreadId) -> &mut Script {
        &mut self.threads[thread.0].script
    }

    /// Runs it from the beginning to the end.
    ///
    /// The kernel that runs it is never freed, as kernels are not: a few kilobytes for each run.
    ///
    /// # Panics
    /// If a law of the kernel is broken, which is looked at after each step with [`Interleaving::Random`].
    pub fn run(&self) -> Trace {
        let machine = Machine::new(self);
        match self.interleaving {
            Interleaving::Scheduled => machine.run_scheduled(),
            Interleaving::Random => machine.run_at_random(),
        }
    }
}

impl Default for Simulation {
    fn default() -> Self {
        Self::new()
    }
}

/// What a thread does, step by step. Its end gives up what it holds.
#[derive(Clone, Debug, Default)]
pub struct Script {
    pub(super) steps: Vec<Step>,
    pub(super) forever: bool,
}

/// A step. Deadlines are counted from when it begins.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Run(u64),
    Sleep(Deadline),
    Wait { on: SemaphoreId, within: Deadline, interruptible: bool },
    Post(SemaphoreId),
    PostToOwn(SemaphoreId, QueueId),
    Lock(MutexId, Deadline),
    Unlock(MutexId),
    Block(QueueId, Deadline),
    Wake { queue: QueueId, to_own: bool },
    Own(QueueId),
    Disown(QueueId),
    Kill(ThreadId),
    Suspend(ThreadId),
    Resume(ThreadId),
    Weigh(ThreadId, u32),
    Finish(ThreadId, u64),
    Mark(String),
    MarkIfFailed(String),
}

impl Script {
    fn then(&mut self, step: Step) -> &mut Self {
        self.steps.push(step);
        self
    }

    /// Computes for so long, on whichever processor it gets.
    pub fn run(&mut self, nanoseconds: u64) -> &mut Self {
        self.then(Step::Run(nanoseconds))
    }

    /// Is not there for so long.
    pub fn sleep(&mut self, nanoseconds: u64) -> &mut Self {
        self.then(Step::Sleep(Deadline::at(nanoseconds)))
    }

    /// Waits for a semaphore.
    pub fn wait(&mut self, on: SemaphoreId) -> &mut Self {
        self.wait_within(on, Deadline::INFINITE)
    }

    /// Waits for a semaphore, until a deadline that is counted from when it begins to.
    pub fn wait_within(&mut self, on: SemaphoreId, within: Deadline) -> &mut Self {
        self.then(Step::Wait { on, within, interruptible: true })
    }

    /// Waits for a semaphore, and neither kill nor suspend ends that.
    pub fn wait_uninterruptible(&mut self, on: SemaphoreId) -> &mut Self {
        self.then(Step::Wait { on, within: Deadline::INFINITE, interruptible: false })
    }

    /// Lets one through.
    pub fn post(&mut self, to: SemaphoreId) -> &mut Self {
        self.then(Step::Post(to))
    }

    /// Lets one through, which owns `queue` from then on, and runs when this thread blocks.
    pub fn post_to_own(&mut self, to: SemaphoreId, queue: QueueId) -> &mut Self {
        self.then(Step::PostToOwn(to, queue))
    }

    /// Takes a mutex. If that fails, all is left out up to where the mutex is given up again.
    pub fn lock(&mut self, mutex: MutexId) -> &mut Self {
        self.lock_within(mutex, Deadline::INFINITE)
    }

    /// The same, until a deadline that is counted from when it begins to wait.
    pub fn lock_within(&mut self, mutex: MutexId, within: Deadline) -> &mut Self {
        self.then(Step::Lock(mutex, within))
    }

    /// Gives a mutex up. Nothing if it has not got it.
    pub fn unlock(&mut self, mutex: MutexId) -> &mut Self {
        self.then(Step::Unlock(mutex))
    }

    /// Waits in an owned queue until it is woken.
    pub fn block(&mut self, queue: QueueId) -> &mut Self {
        self.block_within(queue, Deadline::INFINITE)
    }

    /// The same, until a deadline that is counted from when it begins to wait.
    pub fn block_within(&mut self, queue: QueueId, within: Deadline) -> &mut Self {
        self.then(Step::Block(queue, within))
    }

    /// Wakes the first who waits in an owned queue.
    pub fn wake(&mut self, queue: QueueId) -> &mut Self {
        self.then(Step::Wake { queue, to_own: false })
    }

    /// Wakes the first who waits in an owned queue, which it owns from then on.
    pub fn wake_to_own(&mut self, queue: QueueId) -> &mut Self {
        self.then(Step::Wake { queue, to_own: true })
    }

    /// Becomes the owner of a queue, whoever was.
    pub fn own(&mut self, queue: QueueId) -> &mut Self {
        self.then(Step::Own(queue))
    }

    /// If it owns the queue, nobody does from then on.
    pub fn disown(&mut self, queue: QueueId) -> &mut Self {
        self.then(Step::Disown(queue))
    }

    /// Kills a thread.
    pub fn kill(&mut self, thread: ThreadId) -> &mut Self {
        self.then(Step::Kill(thread))
    }

    /// Suspends a thread.
    pub fn suspend(&mut self, thread: ThreadId) -> &mut Self {
        self.then(Step::Suspend(thread))
    }

    /// Lets a thread go on that was suspended.
    pub fn resume(&mut self, thread: ThreadId) -> &mut Self {
        self.then(Step::Resume(thread))
    }

    /// Gives a thread another weight of its own.
    pub fn set_weight(&mut self, thread: ThreadId, weight: u32) -> &mut Self {
        self.then(Step::Weigh(thread, weight))
    }

    /// Gives a thread another [finish time](Simulation::finish_time). If it waits, it gets another place in its queue.
    pub fn set_finish_time(&mut self, thread: ThreadId, finish: u64) -> &mut Self {
        self.then(Step::Finish(thread, finish))
    }

    /// Leaves a mark in the trace.
    pub fn mark(&mut self, label: &str) -> &mut Self {
        self.then(Step::Mark(label.into()))
    }

    /// Leaves a mark in the trace if the last wait has failed.
    pub fn mark_if_failed(&mut self, label: &str) -> &mut Self {
        self.then(Step::MarkIfFailed(label.into()))
    }

    /// What `steps` appends, so many times.
    pub fn repeat(&mut self, times: usize, mut steps: impl FnMut(&mut Self)) -> &mut Self {
        for _ in 0..times {
            steps(self);
        }
        self
    }

    /// Begins anew whenever it has come to its end. To be used with a [limit](Simulation::limit).
    pub fn forever(&mut self) -> &mut Self {
        self.forever = true;
        self
    }
}
