//! The module's own tests. What users may rely on is tested from outside, in `tests/kernel.rs`; here is what needs to see inside.
//!
//! | room | what it shows | setting |
//! |---|---|---|
//! | `counting` | the rules of the count, what it costs, and why a failed wait undoes nothing | plain |
//! | `waiting` | deadlines, kill, suspend, the order of checks; Zircon's eight semaphore tests | plain |
//! | `order` | who is woken next, and in how many steps that is known | plain |
//! | `ownership` | owners, circles, the ends of threads and queues; Zircon's ten tests of inheritance | plain |
//! | `topology` | random threads, queues, semaphores and locks against weights computed from scratch | plain |
//! | `ground` | a platform of a checker's threads | all |
//! | `loom` | every interleaving of a few threads, weak memory | `--cfg loom` |
//! | `shuttle` | random schedules of more threads | `--cfg shuttle` |

#[cfg(not(any(loom, shuttle)))]
mod counting;
mod ground;
#[cfg(loom)]
mod loom;
#[cfg(not(any(loom, shuttle)))]
mod order;
#[cfg(not(any(loom, shuttle)))]
mod ownership;
#[cfg(shuttle)]
mod shuttle;
#[cfg(not(any(loom, shuttle)))]
mod topology;
#[cfg(not(any(loom, shuttle)))]
mod waiting;

#[cfg(not(any(loom, shuttle)))]
use played::*;

/// Threads that one real thread plays, on [`Recording`](super::Recording).
#[cfg(not(any(loom, shuttle)))]
mod played {
    use crate::kernel::{
        BlockError, Count, Deadline, Kernel, OwnedWaitQueue, Recording, Semaphore, Thread, WaitFailure, WakeOrder,
    };
    use std::boxed::Box;
    use std::string::String;

    pub(super) type Played = &'static Thread<Recording>;
    pub(super) type Queue = &'static OwnedWaitQueue<Recording>;
    pub(super) type Gate = &'static Semaphore<Recording>;

    pub(super) fn semaphore(kernel: &'static Kernel<Recording>, count: Count) -> Gate {
        Box::leak(Box::new(Semaphore::new_in(kernel, count, WakeOrder::ByFinishTime)))
    }

    pub(super) fn queue(kernel: &'static Kernel<Recording>) -> Queue {
        Box::leak(Box::new(OwnedWaitQueue::new_in(kernel, WakeOrder::ByFinishTime)))
    }

    pub(super) fn threads<const N: usize>(kernel: &'static Kernel<Recording>, weights: [u32; N]) -> [Played; N] {
        weights.map(|weight| Recording::thread(kernel, weight))
    }

    pub(super) fn wait(semaphore: Gate, thread: Played) -> Option<Result<(), WaitFailure>> {
        Recording::wait_for(semaphore, thread, Deadline::INFINITE)
    }

    pub(super) fn block(queue: Queue, thread: Played) -> Result<(), BlockError> {
        Recording::block_in(queue, thread, Deadline::INFINITE)
    }

    /// What `f` says as it panics.
    #[track_caller]
    pub(super) fn panic_of<R>(f: impl FnOnce() -> R) -> String {
        let panicked = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| drop(f())));
        let said = panicked.expect_err("it does not panic");
        said.downcast::<String>().map_or_else(|said| String::from(*said.downcast::<&str>().unwrap()), |said| *said)
    }

    /// How many wait, and the count.
    pub(super) fn state(semaphore: Gate) -> (u32, Count) {
        (semaphore.num_waiters(), semaphore.count())
    }
}
