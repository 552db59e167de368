//! Random scripts against the semaphore as Go defines it, one step after the other.
//!
//! The model is naive: for each address a count and a list. After each step, the counts, the lengths of the queues, who has been
//! woken, in which order, and what a poll says must be the same.

use crate::common::wakers::on_wake;
use crate::gate::Word;
use gatepost::address::{Acquire, RawSema, Sema, SemaTable};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

type Id = usize;
/// Few, so that a queue has some length.
const ADDRESSES: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Somebody comes, and asks.
    Acquire {
        at: usize,
        lifo: bool,
    },
    TryAcquire {
        at: usize,
    },
    Release {
        at: usize,
    },
    ReleaseN {
        at: usize,
        n: u32,
    },
    HandOff {
        at: usize,
    },
    /// One of those who have come and are not done, chosen by this number, looks again.
    Poll {
        which: usize,
    },
    /// It looks again, and leaves a new waker if it has to wait.
    PollAnew {
        which: usize,
    },
    Drop {
        which: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let at = || 0..ADDRESSES;
    prop_oneof![
        6 => (at(), prop::bool::weighted(0.3)).prop_map(|(at, lifo)| Step::Acquire { at, lifo }),
        2 => at().prop_map(|at| Step::TryAcquire { at }),
        4 => at().prop_map(|at| Step::Release { at }),
        1 => (at(), 0_u32..5).prop_map(|(at, n)| Step::ReleaseN { at, n }),
        1 => (at(), 0_u32..70).prop_map(|(at, n)| Step::ReleaseN { at, n }),
        2 => at().prop_map(|at| Step::HandOff { at }),
        4 => any::<usize>().prop_map(|which| Step::Poll { which }),
        1 => any::<usize>().prop_map(|which| Step::PollAnew { which }),
        2 => any::<usize>().prop_map(|which| Step::Drop { which }),
    ]
}

/// Where somebody is who has come and is not done.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Queued,
    Woken,
    Handed,
}

#[derive(Debug, Default)]
struct Address {
    count: u32,
    queue: VecDeque<Id>,
}

#[derive(Debug)]
struct Model {
    addresses: [Address; ADDRESSES],
    people: BTreeMap<Id, (usize, bool, Stage)>,
    /// Who has been woken, in this order.
    woken: Vec<Id>,
}

impl Model {
    fn tell(&mut self, id: Id, stage: Stage) {
        self.people.get_mut(&id).expect("it is here").2 = stage;
        self.woken.push(id);
    }

    /// Wakes up to `n` for what is there.
    fn wake(&mut self, at: usize, n: u32) {
        for _ in 0..n {
            if self.addresses[at].count == 0 {
                break;
            }
            let Some(front) = self.addresses[at].queue.pop_front() else { break };
            self.tell(front, Stage::Woken);
        }
    }

    fn release(&mut self, at: usize, n: u32) {
        self.addresses[at].count += n;
        self.wake(at, n);
    }

    fn hand_off(&mut self, at: usize) {
        match self.addresses[at].queue.pop_front() {
            Some(front) => self.tell(front, Stage::Handed),
            None => self.addresses[at].count += 1,
        }
    }

    fn take(&mut self, at: usize) -> bool {
        let there = self.addresses[at].count > 0;
        self.addresses[at].count -= u32::from(there);
        there
    }

    /// Asks, for the first time or anew: takes, or waits.
    fn ask(&mut self, id: Id, at: usize, lifo: bool) -> bool {
        if self.take(at) {
            self.people.remove(&id);
            return true;
        }
        self.people.insert(id, (at, lifo, Stage::Queued));
        let queue = &mut self.addresses[at].queue;
        if lifo {
            queue.push_front(id)
        } else {
            queue.push_back(id)
        }
        false
    }

    fn poll(&mut self, id: Id) -> bool {
        let (at, lifo, stage) = self.people[&id];
        match stage {
            Stage::Queued => false,
            Stage::Woken => self.ask(id, at, lifo),
            Stage::Handed => self.people.remove(&id).is_some(),
        }
    }

    fn leave(&mut self, id: Id) {
        let (at, _, stage) = self.people.remove(&id).expect("it is here");
        match stage {
            Stage::Queued => self.addresses[at].queue.retain(|&other| other != id),
            Stage::Woken => self.wake(at, 1),
            Stage::Handed => self.release(at, 1),
        }
    }

    /// Nobody waits for what is there, unless somebody is on the way to it.
    fn nobody_is_stranded(&self) -> bool {
        (0..ADDRESSES).all(|at| {
            let here = |stage| self.people.values().filter(|person| (person.0, person.2) == (at, stage)).count();
            here(Stage::Queued) == 0 || self.addresses[at].count as usize <= here(Stage::Woken)
        })
    }
}

/// Somebody who has come, and whom its waker writes down.
type Person<'a, W> = (Pin<Box<Acquire<'a, W>>>, Waker);

/// The semaphores, and who waits.
struct Driver<'a, W: Word> {
    words: &'a [W; ADDRESSES],
    table: &'a SemaTable,
    futures: BTreeMap<Id, Person<'a, W>>,
    woken: Arc<Mutex<Vec<Id>>>,
    next: Id,
}

/// What `Word` of the tests can do for any lifetime.
trait In: Word {
    fn ask<'a>(&'a self, table: &'a SemaTable) -> Acquire<'a, Self>;
    fn add(&self, n: u32, table: &SemaTable);
    fn add_one(&self, table: &SemaTable);
    fn hand(&self, table: &SemaTable);
    fn waiting(&self, table: &SemaTable) -> usize;
}

macro_rules! in_table {
    ($name:ident) => {
        impl In for $name {
            fn ask<'a>(&'a self, table: &'a SemaTable) -> Acquire<'a, Self> {
                self.acquire_in(table)
            }
            fn add(&self, n: u32, table: &SemaTable) {
                let before = self.count();
                assert_eq!(self.release_n_in(n, table), before + n);
            }
            fn add_one(&self, table: &SemaTable) {
                self.release_in(table);
            }
            fn hand(&self, table: &SemaTable) {
                self.release_handoff_in(table);
            }
            fn waiting(&self, table: &SemaTable) -> usize {
                self.num_waiters_in(table)
            }
        }
    };
}

in_table!(Sema);
in_table!(RawSema);

impl<'a, W: In> Driver<'a, W> {
    fn waker(&self, id: Id) -> Waker {
        let woken = self.woken.clone();
        on_wake(move || woken.lock().unwrap().push(id))
    }

    fn poll(&mut self, id: Id) -> bool {
        let (future, waker) = self.futures.get_mut(&id).expect("it is here");
        let ready = future.as_mut().poll(&mut Context::from_waker(waker)).is_ready();
        if ready {
            self.futures.remove(&id);
        }
        ready
    }

    fn come(&mut self, at: usize, lifo: bool) -> Id {
        let id = self.next;
        self.next += 1;
        let acquire = self.words[at].ask(self.table);
        let acquire = if lifo { acquire.lifo() } else { acquire };
        self.futures.insert(id, (Box::pin(acquire), self.waker(id)));
        id
    }
}

fn play<W: In>(steps: &[Step]) {
    let table = SemaTable::new();
    let words = [(); ADDRESSES].map(|()| W::new(0));
    let mut real = Driver { words: &words, table: &table, futures: BTreeMap::new(), woken: Arc::default(), next: 0 };
    let mut model = Model { addresses: Default::default(), people: BTreeMap::new(), woken: Vec::new() };
    for &step in steps {
        let who = |which: usize| model.people.keys().nth(which % model.people.len().max(1)).copied();
        match step {
            Step::Acquire { at, lifo } => {
                let id = real.come(at, lifo);
                assert_eq!(real.poll(id), model.ask(id, at, lifo), "{step:?}");
            }
            Step::TryAcquire { at } => assert_eq!(words[at].try_acquire(), model.take(at), "{step:?}"),
            Step::Release { at } => {
                words[at].add_one(&table);
                model.release(at, 1);
            }
            Step::ReleaseN { at, n } => {
                words[at].add(n, &table);
                model.release(at, n);
            }
            Step::HandOff { at } => {
                words[at].hand(&table);
                model.hand_off(at);
            }
            Step::Poll { which } => {
                if let Some(id) = who(which) {
                    assert_eq!(real.poll(id), model.poll(id), "{step:?}");
                }
            }
            Step::PollAnew { which } => {
                if let Some(id) = who(which) {
                    let waker = real.waker(id);
                    real.futures.get_mut(&id).expect("it is here").1 = waker;
                    assert_eq!(real.poll(id), model.poll(id), "{step:?}");
                }
            }
            Step::Drop { which } => {
                if let Some(id) = who(which) {
                    drop(real.futures.remove(&id));
                    model.leave(id);
                }
            }
        }
        assert_eq!(*real.woken.lock().unwrap(), model.woken, "after {step:?}");
        for (at, word) in words.iter().enumerate() {
            let Address { count, queue } = &model.addresses[at];
            assert_eq!((word.count(), word.waiting(&table)), (*count, queue.len()), "at {at}, after {step:?}");
        }
        assert!(model.nobody_is_stranded(), "after {step:?}");
    }
}

fn config() -> ProptestConfig {
    let cases = std::env::var("GATEPOST_SCRIPTS").map_or(400, |n| n.parse().expect("a number of scripts"));
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn g8_g9_g17_g27_random_scripts_of_sema_are_as_go_has_them(steps in prop::collection::vec(step(), 1..200)) {
        play::<Sema>(&steps);
    }

    #[test]
    fn g8_g9_g17_g27_random_scripts_of_raw_sema_are_as_go_has_them(steps in prop::collection::vec(step(), 1..200)) {
        play::<RawSema>(&steps);
    }
}
