//! Random threads, queues, semaphores and locks, against a world in which every weight is computed from scratch.

use super::*;
use crate::kernel::owned::Owner;
use crate::kernel::queue::WaitQueue;
use crate::kernel::semaphore::Begun;
use crate::kernel::{
    BlockError, Count, Deadline, Kernel, Mutex, OwnedWaitQueue, Recorded, Recording, Semaphore, WaitFailure, WakeOrder,
};
use proptest::prelude::*;
use std::boxed::Box;
use std::ptr::NonNull;
use std::vec::Vec;

const THREADS: usize = 6;
const QUEUES: usize = 3;
const SEMAPHORES: usize = 2;
const MUTEXES: usize = 2;
const PLACES: usize = QUEUES + SEMAPHORES + MUTEXES;
/// The place of the first semaphore, and of the first lock.
const FIRST_SEMAPHORE: usize = QUEUES;
const FIRST_MUTEX: usize = QUEUES + SEMAPHORES;
/// Of the owned queues, the one that is first come, first served.
const FIFO: usize = QUEUES - 1;

#[derive(Clone, Copy, Debug)]
enum Step {
    Block { thread: usize, queue: usize, under: Option<usize>, timeout: Option<u64> },
    Wait { thread: usize, semaphore: usize, timeout: Option<u64>, interruptible: bool },
    Lock { thread: usize, mutex: usize, timeout: Option<u64> },
    Unlock { mutex: usize },
    Wake { queue: usize, to_own: bool },
    WakeAll { queue: usize },
    Assign { queue: usize, owner: Option<usize> },
    Post { semaphore: usize, to_own: Option<usize> },
    Pass { time: u64 },
    Kill { thread: usize },
    Suspend { thread: usize },
    Resume { thread: usize },
    SetBase { thread: usize, weight: u32 },
    Reorder { thread: usize, finish: u64 },
    EndAndBegin { thread: usize, weight: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    let (t, q, s, m) = (0..THREADS, 0..QUEUES, 0..SEMAPHORES, 0..MUTEXES);
    let timeout = || prop::option::weighted(0.3, 0_u64..4);
    let some = |strategy| prop::option::weighted(0.7, strategy);
    prop_oneof![
        6 => (t.clone(), q.clone(), prop::option::weighted(0.4, t.clone()), timeout())
            .prop_map(|(thread, queue, under, timeout)| Step::Block { thread, queue, under, timeout }),
        3 => (t.clone(), s.clone(), timeout(), prop::bool::weighted(0.8))
            .prop_map(|(thread, semaphore, timeout, interruptible)| Step::Wait { thread, semaphore, timeout, interruptible }),
        4 => (t.clone(), m.clone(), timeout()).prop_map(|(thread, mutex, timeout)| Step::Lock { thread, mutex, timeout }),
        2 => m.prop_map(|mutex| Step::Unlock { mutex }),
        2 => (q.clone(), any::<bool>()).prop_map(|(queue, to_own)| Step::Wake { queue, to_own }),
        1 => q.clone().prop_map(|queue| Step::WakeAll { queue }),
        5 => (q.clone(), some(t.clone())).prop_map(|(queue, owner)| Step::Assign { queue, owner }),
        3 => (s, some(q)).prop_map(|(semaphore, to_own)| Step::Post { semaphore, to_own }),
        1 => (0_u64..3).prop_map(|time| Step::Pass { time }),
        1 => t.clone().prop_map(|thread| Step::Kill { thread }),
        1 => t.clone().prop_map(|thread| Step::Suspend { thread }),
        2 => t.clone().prop_map(|thread| Step::Resume { thread }),
        2 => (t.clone(), 0_u32..9).prop_map(|(thread, weight)| Step::SetBase { thread, weight }),
        2 => (t.clone(), 0_u64..4).prop_map(|(thread, finish)| Step::Reorder { thread, finish }),
        1 => (t, 0_u32..9).prop_map(|(thread, weight)| Step::EndAndBegin { thread, weight }),
    ]
}

/// A thread as the naive world has it.
#[derive(Clone, Debug)]
struct Simple {
    base: u32,
    finish: u64,
    killed: bool,
    suspended: bool,
    /// Place, arrival, deadline, whether it can be interrupted.
    blocked: Option<(usize, u64, Deadline, bool)>,
    outcome: Option<Result<(), WaitFailure>>,
}

/// The naive world: who waits where, who owns what, and nothing that is derived from that.
#[derive(Clone, Debug)]
struct World {
    threads: Vec<Simple>,
    owners: [Option<usize>; PLACES],
    counts: [Count; SEMAPHORES],
    /// Who holds each lock, and whether somebody waits, or did.
    holders: [Option<(usize, bool)>; MUTEXES],
    now: u64,
    arrivals: u64,
}

impl World {
    fn waiters(&self, place: usize) -> impl Iterator<Item = usize> + '_ {
        (0..THREADS).filter(move |&t| self.threads[t].blocked.is_some_and(|(at, ..)| at == place))
    }

    fn front(&self, place: usize) -> Option<usize> {
        self.waiters(place).min_by_key(|&t| {
            let (_, arrival, ..) = self.threads[t].blocked.unwrap();
            (if place == FIFO { 0 } else { self.threads[t].finish }, arrival)
        })
    }

    fn effective(&self, thread: usize) -> u64 {
        let owned = (0..PLACES).filter(|&place| self.owners[place] == Some(thread));
        u64::from(self.threads[thread].base) + owned.map(|place| self.weight(place)).sum::<u64>()
    }

    fn weight(&self, place: usize) -> u64 {
        self.waiters(place).map(|thread| self.effective(thread)).sum()
    }

    /// Whether somebody waits for itself.
    fn is_circular(&self) -> bool {
        (0..THREADS).any(|from| {
            let next = |at: usize| self.threads[at].blocked.and_then(|(place, ..)| self.owners[place]);
            let mut at = next(from);
            for _ in 0..THREADS {
                if at == Some(from) {
                    return true;
                }
                at = at.and_then(next);
            }
            false
        })
    }

    /// What ends a wait before it begins.
    fn preamble(&self, thread: usize, deadline: Deadline, interruptible: bool) -> Option<WaitFailure> {
        let simple = &self.threads[thread];
        if deadline.has_come(self.now) {
            Some(WaitFailure::TimedOut)
        } else if interruptible && simple.killed {
            Some(WaitFailure::Killed)
        } else if interruptible && simple.suspended {
            Some(WaitFailure::Suspended)
        } else {
            None
        }
    }

    fn join(&mut self, thread: usize, place: usize, deadline: Deadline, interruptible: bool) {
        self.arrivals += 1;
        self.threads[thread].blocked = Some((place, self.arrivals, deadline, interruptible));
    }

    fn leave(&mut self, thread: usize, outcome: Result<(), WaitFailure>) {
        self.threads[thread].blocked = None;
        self.threads[thread].outcome = Some(outcome);
    }

    fn interrupt(&mut self, thread: usize, failure: WaitFailure) {
        if self.threads[thread].blocked.is_some_and(|(.., interruptible)| interruptible) {
            self.leave(thread, Err(failure));
        }
    }

    fn is_involved(&self, thread: usize) -> bool {
        self.threads[thread].blocked.is_some()
            || self.owners.contains(&Some(thread))
            || self.holders.iter().flatten().any(|&(holder, _)| holder == thread)
    }
}

/// Both worlds.
struct Both {
    kernel: &'static Kernel<Recording>,
    threads: Vec<Played>,
    queues: Vec<Queue>,
    semaphores: Vec<Gate>,
    mutexes: Vec<&'static Mutex<(), Recording>>,
    /// The effective weights that the platform was told last.
    told: Vec<u64>,
    world: World,
}

impl Both {
    fn new() -> Self {
        let kernel = Recording::kernel();
        kernel.platform().set_now(1);
        let threads: Vec<Played> = (0..THREADS).map(|i| Recording::thread(kernel, 1 << i)).collect();
        let order = |i| if i == FIFO { WakeOrder::Fifo } else { WakeOrder::ByFinishTime };
        let simple = |i: usize| Simple {
            base: 1 << i,
            finish: 0,
            killed: false,
            suspended: false,
            blocked: None,
            outcome: None,
        };
        Self {
            kernel,
            queues: (0..QUEUES).map(|i| &*Box::leak(Box::new(OwnedWaitQueue::new_in(kernel, order(i))))).collect(),
            semaphores: (0..SEMAPHORES)
                .map(|_| &*Box::leak(Box::new(Semaphore::new_in(kernel, 0, WakeOrder::ByFinishTime))))
                .collect(),
            mutexes: (0..MUTEXES)
                .map(|_| &*Box::leak(Box::new(Mutex::new_in(kernel, (), WakeOrder::ByFinishTime))))
                .collect(),
            told: threads.iter().map(|thread| thread.effective_weight()).collect(),
            threads,
            world: World {
                threads: (0..THREADS).map(simple).collect(),
                owners: [None; PLACES],
                counts: [0; SEMAPHORES],
                holders: [None; MUTEXES],
                now: 1,
                arrivals: 0,
            },
        }
    }

    fn place(&self, place: usize) -> NonNull<WaitQueue<Recording>> {
        match place {
            FIRST_MUTEX.. => self.mutexes[place - FIRST_MUTEX].waiters().queue(),
            FIRST_SEMAPHORE.. => self.semaphores[place - FIRST_SEMAPHORE].queue(),
            _ => self.queues[place].queue(),
        }
    }

    fn deadline(&self, timeout: Option<u64>) -> Deadline {
        timeout.map_or(Deadline::INFINITE, |timeout| Deadline::at(self.world.now + timeout))
    }

    /// A thread joins a queue that somebody owns, in both worlds: if the naive one says that it may.
    fn block(
        &mut self,
        thread: usize,
        place: usize,
        owner: Option<usize>,
        deadline: Deadline,
        blocks: impl FnOnce(&Self) -> Result<(), BlockError>,
    ) {
        let mut then = self.world.clone();
        let expected = match then.preamble(thread, deadline, true) {
            Some(failure) => Err(BlockError::Failed(failure)),
            None => {
                then.owners[place] = owner;
                then.join(thread, place, deadline, true);
                if then.is_circular() {
                    Err(BlockError::WouldDeadlock(crate::kernel::WouldDeadlock))
                } else {
                    self.world = then;
                    Ok(())
                }
            }
        };
        assert_eq!(blocks(self), expected);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Block { thread, .. } | Step::Wait { thread, .. } | Step::Lock { thread, .. }
                if self.world.threads[thread].blocked.is_some() => {}
            Step::Block { thread, queue, under, timeout } => {
                let deadline = self.deadline(timeout);
                let owner = under.or(self.world.owners[queue]);
                self.block(thread, queue, owner, deadline, |both| {
                    let owner = || Some(under.map_or(Owner::Keep, |under| Owner::Is(both.threads[under])));
                    // SAFETY: the thread does nothing else; the queue lives for ever.
                    unsafe { both.queues[queue].begin_block(both.threads[thread], deadline, true, owner) }.map(drop)
                });
            }
            Step::Wait { thread, semaphore, timeout, interruptible } => {
                let deadline = self.deadline(timeout);
                let real = self.semaphores[semaphore];
                let begun = if real.try_wait() {
                    Begun::Done(Ok(()))
                } else {
                    // SAFETY: as above.
                    unsafe { real.begin_wait(self.threads[thread], deadline, interruptible) }
                };
                let count = &mut self.world.counts[semaphore];
                *count -= 1;
                let expected = if *count >= 0 {
                    Begun::Done(Ok(()))
                } else if let Some(failure) = self.world.preamble(thread, deadline, interruptible) {
                    Begun::Done(Err(failure))
                } else {
                    self.world.join(thread, FIRST_SEMAPHORE + semaphore, deadline, interruptible);
                    Begun::Blocked
                };
                assert_eq!(begun, expected);
            }
            Step::Lock { thread, mutex, timeout } => {
                let deadline = self.deadline(timeout);
                let real = self.mutexes[mutex];
                assert_eq!(real.try_lock_for(self.threads[thread]), self.world.holders[mutex].is_none());
                match &mut self.world.holders[mutex] {
                    free @ None => *free = Some((thread, false)),
                    Some((holder, contended)) => {
                        *contended = true;
                        let owner = Some(*holder);
                        self.block(thread, FIRST_MUTEX + mutex, owner, deadline, |both| {
                            // SAFETY: as above.
                            let blocked = unsafe { real.begin_lock(both.threads[thread], deadline) };
                            blocked.map(|blocked| assert!(blocked, "it is held"))
                        });
                    }
                }
            }
            Step::Unlock { mutex } => {
                let Some((holder, contended)) = self.world.holders[mutex] else { return };
                if self.world.threads[holder].blocked.is_some() {
                    return; // it cannot call
                }
                self.mutexes[mutex].unlock(self.threads[holder]);
                let place = FIRST_MUTEX + mutex;
                let next = self.world.front(place).filter(|_| contended);
                if let Some(next) = next {
                    self.world.leave(next, Ok(()));
                }
                let others = self.world.waiters(place).count() > 0;
                self.world.owners[place] = next.filter(|_| others);
                self.world.holders[mutex] = next.map(|next| (next, others));
            }
            Step::Wake { queue, to_own } => {
                let front = self.world.front(queue);
                let real = self.queues[queue];
                let woke = if to_own { real.wake_one_to_own() } else { real.wake_one() };
                assert_eq!(woke, front.is_some());
                front.inspect(|&front| self.world.leave(front, Ok(())));
                if to_own {
                    self.world.owners[queue] = front;
                }
            }
            Step::WakeAll { queue } => {
                let all: Vec<usize> = self.world.waiters(queue).collect();
                assert_eq!(self.queues[queue].wake_all(), all.len());
                all.into_iter().for_each(|thread| self.world.leave(thread, Ok(())));
            }
            Step::Assign { queue, owner } => {
                let mut then = self.world.clone();
                then.owners[queue] = owner;
                let assigned = self.queues[queue].assign_owner(owner.map(|owner| self.threads[owner]));
                assert_eq!(assigned.is_err(), then.is_circular(), "refused when, and only when, it closes a circle");
                if assigned.is_ok() {
                    self.world = then;
                }
            }
            Step::Post { semaphore, to_own } => {
                match to_own {
                    None => self.semaphores[semaphore].post(),
                    Some(queue) => self.semaphores[semaphore].post_to_own(self.queues[queue]),
                }
                let place = FIRST_SEMAPHORE + semaphore;
                let front = self.world.front(place);
                if let Some(front) = front {
                    self.world.leave(front, Ok(()));
                    if let Some(queue) = to_own {
                        self.world.owners[queue] = Some(front);
                    }
                    if self.world.front(place).is_none() {
                        self.world.counts[semaphore] = 0;
                    }
                } else {
                    let count = &mut self.world.counts[semaphore];
                    *count = (*count).max(0) + 1;
                }
            }
            Step::Pass { time } => {
                self.world.now += time;
                self.kernel.platform().set_now(self.world.now);
                for thread in 0..THREADS {
                    self.threads[thread].expire();
                    if self.world.threads[thread].blocked.is_some_and(|(_, _, at, _)| at.has_come(self.world.now)) {
                        self.world.leave(thread, Err(WaitFailure::TimedOut));
                    }
                }
            }
            Step::Kill { thread } => {
                self.threads[thread].kill();
                self.world.threads[thread].killed = true;
                self.world.interrupt(thread, WaitFailure::Killed);
            }
            Step::Suspend { thread } => {
                self.threads[thread].suspend();
                self.world.threads[thread].suspended = true;
                self.world.interrupt(thread, WaitFailure::Suspended);
            }
            Step::Resume { thread } => {
                self.threads[thread].resume();
                self.world.threads[thread].suspended = false;
            }
            Step::SetBase { thread, weight } => {
                self.threads[thread].set_base_weight(weight);
                self.world.threads[thread].base = weight;
            }
            Step::Reorder { thread, finish } => {
                self.threads[thread].platform().set_finish_time(finish);
                self.threads[thread].reorder();
                self.world.threads[thread].finish = finish;
            }
            Step::EndAndBegin { thread, weight } => {
                if self.world.is_involved(thread) {
                    return; // that is refused, as other tests show
                }
                self.threads[thread].exit();
                self.queues[0].assign_owner(Some(self.threads[thread])).expect("nobody is in no circle");
                self.world.owners[0] = None;
                self.threads[thread].reuse(weight);
                let simple = &mut self.world.threads[thread];
                (simple.base, simple.killed, simple.suspended) = (weight, false, false);
                self.told[thread] = u64::from(weight);
            }
        }
    }

    /// Everything that is derived, compared with itself from scratch.
    fn check(&mut self) {
        for what in self.kernel.platform().take() {
            if let Recorded::Effective(id, effective) = what {
                self.told[usize::try_from(id).unwrap()] = effective;
            }
        }
        let world = &self.world;
        assert!(!world.is_circular(), "K3");
        for (i, (thread, simple)) in self.threads.iter().zip(&world.threads).enumerate() {
            let effective = world.effective(i);
            assert_eq!(thread.effective_weight(), effective, "the effective weight of {i}");
            assert_eq!(self.told[i], effective, "what the platform was told of {i}");
            assert_eq!(thread.is_blocked(), simple.blocked.is_some(), "whether {i} waits");
            if simple.blocked.is_some() {
                assert_eq!(thread.outcome(), None);
            } else if simple.outcome.is_some() {
                assert_eq!(thread.outcome(), simple.outcome, "the outcome of {i}");
            }
        }
        let _lock = self.kernel.lock();
        for place in 0..PLACES {
            // SAFETY: the lock is held.
            let queue = unsafe { self.place(place).as_ref() };
            queue.check();
            let index = |thread: Played| self.threads.iter().position(|at| core::ptr::eq(*at, thread));
            assert_eq!(queue.len() as usize, world.waiters(place).count());
            assert_eq!(queue.weight(), world.weight(place), "the weight of queue {place}");
            assert_eq!(queue.owner().and_then(index), world.owners[place], "the owner of queue {place}");
            assert_eq!(queue.front().and_then(index), world.front(place), "the front of queue {place}");
        }
        for (i, &count) in world.counts.iter().enumerate() {
            assert_eq!(self.semaphores[i].count(), count);
            assert!(count < 0 || world.front(FIRST_SEMAPHORE + i).is_none(), "S2");
        }
    }
}

/// How many scripts; the soak runs more.
fn scripts() -> u32 {
    std::env::var("GATEPOST_SCRIPTS").map_or(10_000, |n| n.parse().expect("a number of scripts"))
}

#[test]
fn z4_to_z28_scripts_agree_with_a_world_that_is_computed_from_scratch() {
    let config = ProptestConfig { cases: scripts(), ..ProptestConfig::default() };
    proptest!(config, |(script in prop::collection::vec(step(), 0..48))| {
        let mut both = Both::new();
        for step in script {
            both.take(step);
            both.check();
        }
    });
}

#[test]
fn z28_a_weight_that_is_kept_is_found_by_a_script() {
    crate::sys::mutant::caught(
        crate::sys::mutant::Mutant::WeightKept,
        "kernel::tests::topology::z4_to_z28_scripts_agree_with_a_world_that_is_computed_from_scratch",
        "the effective weight of",
    );
}
