//! A whole machine in one thread: virtual processors, a virtual clock, and threads that are scripts.
//!
//! What runs is the protocol of [`kernel`](super), not a copy of it: a script's *wait* is a [`Semaphore`](super::Semaphore)'s, up to
//! where the thread blocks. Only what is around it is simulated: the scheduler, the clock, the timers. So a promise about time can be
//! looked at, and stated: how long does the most urgent thread wait, and for whom?
//!
//! ```
//! use gatepost::kernel::simulated::{MILLISECOND, Simulation};
//!
//! let mut machine = Simulation::new();
//! let bus = machine.mutex("bus");
//! let low = machine.thread("low", 1);
//! let medium = machine.thread("medium", 5);
//! let high = machine.thread("high", 10);
//! machine.script(low).lock(bus).run(4 * MILLISECOND).unlock(bus);
//! machine.script(medium).sleep(2 * MILLISECOND).run(50 * MILLISECOND);
//! machine.script(high).sleep(MILLISECOND).lock(bus).run(MILLISECOND).unlock(bus);
//!
//! // Low holds the bus, and high waits for it: low is as urgent as both, and is done before medium can run.
//! assert_eq!(machine.run().delays(high).lock, 3 * MILLISECOND);
//! // Without inheritance high waits for medium, which has nothing to do with the bus.
//! assert_eq!(machine.inheritance(false).run().delays(high).lock, 53 * MILLISECOND);
//! ```
//!
//! # The scheduler
//! The threads of the greatest effective weights run, as many as there are processors, and who they are is asked again at every event.
//! Equals take turns: who was ready first runs first, for a quantum. A thread that is displaced keeps its turn and the rest of
//! its quantum. The woken thread of a [synchronous](super::Unblock::Synchronous) wake-up does not displace its waker.
//! Every step but [`run`](Script::run) takes no time.
//!
//! Timers are served together: one fires when the first deadline that has a thread waiting comes to its
//! [latest](super::Deadline::latest) moment, and then ends all waits whose deadline has come.
//!
//! # Interrupts
//! A thread that holds a mutex, or waits, is in the kernel. It is stopped or ended there only by a wait that fails, and otherwise
//! as soon as it holds nothing. Who is killed gives up what it holds; who is suspended keeps it, and tries its wait again when it is resumed.
//!
//! # Chance
//! With [seed](Simulation::seed) 0 a tie is decided by order: of the threads, of the processors. With another, by chance, and always
//! alike for the same seed. With [`Interleaving::Random`] chance decides everything: which thread takes the next step, and whether a
//! timer that is due comes before. So a thread that was told something may find much changed when it runs, and the laws of the
//! kernel are checked after each step.
//!
//! | file | what it is |
//! |---|---|
//! | `plan` | what is to be simulated |
//! | `machine`, `step` | the kernel's objects and the threads; what one step of a script does |
//! | `scheduler` | who runs, and how time passes |
//! | `explore` | chance instead of it, and the laws |
//! | `trace`, `lanes`, `timeline`, `svg` | what happened, and how to look at it |

mod explore;
mod lanes;
mod machine;
mod plan;
mod random;
mod scheduler;
mod step;
mod svg;
mod timeline;
mod trace;

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

pub use plan::{Interleaving, MutexId, QueueId, Script, SemaphoreId, Simulation, ThreadId};
pub use svg::write_svg;
pub use trace::{Delays, Ending, Event, On, Trace, What};

use super::platform::{Platform, Unblock};
use super::thread::Thread;
use super::wait::Deadline;
use std::sync::{Mutex, PoisonError};
use std::vec::Vec;

/// A microsecond of virtual time.
pub const MICROSECOND: u64 = 1_000;
/// A millisecond of virtual time.
pub const MILLISECOND: u64 = 1_000_000;

/// The [`Platform`] under a [`Simulation`]: what it is told, the simulation acts upon after the call that told it.
#[derive(Debug)]
pub struct Simulated {
    now: Number,
    /// Whether what a thread inherits counts.
    inheritance: bool,
    news: Mutex<Vec<News>>,
}

/// What the kernel told its platform. Threads by number.
#[derive(Clone, Copy, Debug)]
enum News {
    Unblocked(usize, Unblock),
    Effective(usize, u64),
}

/// What the platform keeps of a thread.
#[derive(Debug)]
pub struct SimulatedThread {
    index: usize,
    /// Its own weight: what its effective weight is without inheritance.
    base: Number,
    /// The time by which it would be done, if it has one of its own; otherwise `u64::MAX`.
    finish: Number,
}

/// A number that is shared, on machines too that have no atomic one of 64 bits.
#[derive(Debug)]
struct Number(Mutex<u64>);

impl Number {
    fn new(number: u64) -> Self {
        Self(Mutex::new(number))
    }

    fn get(&self) -> u64 {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, number: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = number;
    }
}

impl Simulated {
    fn new(inheritance: bool) -> Self {
        Self { now: Number::new(0), inheritance, news: Mutex::new(Vec::new()) }
    }

    fn tell(&self, news: News) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).push(news);
    }

    fn take_news(&self) -> Vec<News> {
        core::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// SAFETY: one real thread plays all threads, and nothing that is called with the lock unwinds.
unsafe impl Platform for Simulated {
    type Thread = SimulatedThread;
    type Wake = usize;

    /// # Panics
    /// Always: whoever plays the threads says which one it is.
    fn current(&self) -> &'static Thread<Self> {
        panic!("a simulated thread is a script, which has no calls of its own")
    }

    fn now(&self) -> u64 {
        self.now.get()
    }

    /// # Panics
    /// Always, as [`current`](Self::current).
    unsafe fn block(&self, _thread: &'static Thread<Self>, _deadline: Deadline) {
        panic!("a simulated thread is a script, which cannot sleep")
    }

    fn wake(&self, thread: &'static Thread<Self>) -> usize {
        thread.platform().index
    }

    fn unblock(&self, wake: usize, how: Unblock) {
        self.tell(News::Unblocked(wake, how));
    }

    unsafe fn effective_changed(&self, thread: &'static Thread<Self>, effective: u64) {
        if self.inheritance {
            self.tell(News::Effective(thread.platform().index, effective));
        }
    }

    /// The most urgent first, unless the thread has a time of its own.
    unsafe fn finish_time(&self, thread: &'static Thread<Self>, effective: u64) -> u64 {
        let block = thread.platform();
        match block.finish.get() {
            u64::MAX if self.inheritance => u64::MAX - effective,
            u64::MAX => u64::MAX - block.base.get(),
            finish => finish,
        }
    }
}
