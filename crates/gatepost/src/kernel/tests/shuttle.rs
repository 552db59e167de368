//! Random schedules of more threads than loom can take. See `semaphore/tests/shuttle.rs` for how many.
//!
//! Each scenario posts as often as anybody waits, so at its end, which is its only quiescent point, nobody may be asleep (a deadlock
//! otherwise), and what is left is what Z14 says.

use super::ground::Ground;
use crate::kernel::{BlockError, Deadline, Kernel, Mutex, OwnedWaitQueue, Semaphore, Thread, WaitFailure, WakeOrder};
use crate::sys::explore::explore;
use crate::sys::mutant::{Mutant, caught};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;
use std::boxed::Box;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering::Relaxed};
use std::vec::Vec;

type Own = &'static Thread<Ground>;

const THREADS: usize = 4;
const STEPS: usize = 3;

struct World {
    kernel: &'static Kernel<Ground>,
    threads: Vec<Own>,
    semaphores: [Semaphore<Ground>; 2],
    /// Permits that were there, and waits that passed.
    passed: [AtomicI64; 2],
    initial: [i64; 2],
    owned: OwnedWaitQueue<Ground>,
    mutexes: [Mutex<(), Ground>; 2],
    /// Who is in each lock: `std`'s, so that it is no part of what is scheduled.
    inside: [AtomicU32; 2],
}

#[derive(Clone, Copy)]
enum Step {
    Wait { semaphore: usize, deadline: Deadline, interruptible: bool },
    TryWait { semaphore: usize },
    Lock { mutex: usize, deadline: Deadline, nested: bool },
    SetWeight { weight: u32 },
}

fn step() -> Step {
    let deadline = if thread_rng().gen_range(0..2) == 0 { Deadline::INFINITE } else { Deadline::at(1) };
    match thread_rng().gen_range(0..8) {
        0..4 => Step::Wait {
            semaphore: thread_rng().gen_range(0..2),
            deadline,
            interruptible: deadline != Deadline::INFINITE || thread_rng().gen_range(0..2) == 0,
        },
        4 => Step::TryWait { semaphore: thread_rng().gen_range(0..2) },
        5 | 6 => {
            Step::Lock { mutex: thread_rng().gen_range(0..2), deadline, nested: thread_rng().gen_range(0..2) == 0 }
        }
        _ => Step::SetWeight { weight: thread_rng().gen_range(0..5) },
    }
}

impl World {
    fn new() -> &'static Self {
        let kernel = Ground::kernel();
        let initial = [(); 2].map(|()| thread_rng().gen_range(-2..2));
        Box::leak(Box::new(Self {
            kernel,
            threads: (0..THREADS).map(|_| Ground::thread(kernel, 1)).collect(),
            semaphores: initial.map(|count| Semaphore::new_in(kernel, count, WakeOrder::ByFinishTime)),
            passed: Default::default(),
            initial,
            owned: OwnedWaitQueue::new_in(kernel, WakeOrder::Fifo),
            mutexes: [(); 2].map(|()| Mutex::new_in(kernel, (), WakeOrder::ByFinishTime)),
            inside: Default::default(),
        }))
    }

    fn lock(&self, mutex: usize, deadline: Deadline, then: impl FnOnce()) {
        match self.mutexes[mutex].lock_until(deadline) {
            Ok(_held) => {
                assert_eq!(self.inside[mutex].fetch_add(1, Relaxed), 0, "two in one lock");
                then();
                self.inside[mutex].fetch_sub(1, Relaxed);
            }
            Err(BlockError::WouldDeadlock(_)) => {} // the other way round, by another
            Err(BlockError::Failed(failure)) => {
                assert!(failure != WaitFailure::TimedOut || !deadline.is_infinite(), "Z21");
            }
        }
    }

    fn act(&self, own: Own, steps: [Step; STEPS]) {
        Ground::be(own);
        for step in steps {
            match step {
                Step::Wait { semaphore, deadline, interruptible } => {
                    let outcome = if interruptible {
                        self.semaphores[semaphore].wait(deadline)
                    } else {
                        self.semaphores[semaphore].wait_uninterruptible();
                        Ok(())
                    };
                    assert!(outcome != Err(WaitFailure::TimedOut) || !deadline.is_infinite(), "Z21");
                    self.passed[semaphore].fetch_add(i64::from(outcome.is_ok()), Relaxed);
                }
                Step::TryWait { semaphore } => {
                    let passed = self.semaphores[semaphore].try_wait();
                    self.passed[semaphore].fetch_add(i64::from(passed), Relaxed);
                }
                Step::Lock { mutex, deadline, nested } => self.lock(mutex, deadline, || {
                    if nested {
                        self.lock(1 - mutex, Deadline::INFINITE, || ());
                    }
                }),
                Step::SetWeight { weight } => own.set_base_weight(weight),
            }
        }
    }
}

fn scenario() {
    let world = World::new();
    let plans: Vec<[Step; STEPS]> = (0..THREADS).map(|_| [(); STEPS].map(|()| step())).collect();
    let mut posts = [0_i64; 2];
    for step in plans.iter().flatten() {
        if let Step::Wait { semaphore, .. } = step {
            posts[*semaphore] += 1;
        }
        if let Step::TryWait { semaphore } = step {
            posts[*semaphore] += 1; // which may take what somebody waits for
        }
    }
    let mut all: Vec<_> =
        plans.into_iter().zip(&world.threads).map(|(plan, own)| thread::spawn(move || world.act(own, plan))).collect();
    all.push(thread::spawn(move || {
        world.kernel.platform().set_now(1);
        world.threads.iter().for_each(|thread| thread.expire());
    }));
    all.push(thread::spawn(move || {
        let victim = world.threads[thread_rng().gen_range(0..THREADS)];
        victim.suspend();
        victim.resume();
        world.threads[thread_rng().gen_range(0..THREADS)].kill();
    }));
    for (semaphore, &posts) in world.semaphores.iter().zip(&posts) {
        for i in 0..posts {
            if i % 2 == 0 { semaphore.post() } else { semaphore.post_to_own(&world.owned) }
        }
    }
    all.into_iter().for_each(|thread| thread.join().unwrap());
    for (i, posts) in posts.into_iter().enumerate() {
        let (semaphore, passed) = (&world.semaphores[i], world.passed[i].load(Relaxed));
        assert_eq!(semaphore.num_waiters(), 0);
        assert_eq!(semaphore.count().max(0), world.initial[i].max(0) + posts - passed, "Z14");
        Ground::be(world.threads[0]);
        drop(world.mutexes[i].try_lock().expect("nobody holds it"));
        assert_eq!(world.mutexes[i].waiters().weight(), 0, "where nobody waits, nothing is lent");
    }
    world.owned.assign_owner(None).unwrap();
    for thread in &world.threads {
        assert_eq!(thread.effective_weight(), u64::from(thread.base_weight()), "who holds nothing inherits nothing");
        thread.exit();
    }
}

#[test]
fn z14_nothing_is_lost_and_nobody_who_may_pass_sleeps() {
    explore(scenario);
}

/// A bug shows itself in more than one way, by chance: where nothing is named below, any of them will do.
const CHECK: &str = "kernel::tests::shuttle::z14_nothing_is_lost_and_nobody_who_may_pass_sleeps";

#[test]
fn z4_a_count_that_goes_below_zero_without_the_lock_is_found() {
    caught(Mutant::SubtractUnlocked, CHECK, "");
}

#[test]
fn z15_a_failed_wait_that_undoes_its_decrement_is_found() {
    caught(Mutant::UndoFailedWait, CHECK, "");
}

#[test]
fn z28_a_weight_that_is_kept_is_found() {
    caught(Mutant::WeightKept, CHECK, "where nobody waits, nothing is lent");
}

#[test]
fn m1_a_mark_that_is_not_looked_at_again_is_found() {
    caught(Mutant::MarkUnseen, CHECK, "");
}
