//! Random schedules of more threads, at all addresses of a table that grows meanwhile: [`Sema`] and [`RawSema`].
//!
//! At the end the permits of each address are counted, the table is walked, and nobody is left asleep. Shuttle is
//! sequentially consistent: no claim on memory ordering rests on it. A batch holds two wakers here.

use super::world::{Kind, WORDS, World, poll};
use crate::address::{RawSema, Sema};
use crate::sys::explore::explore;
use crate::sys::mutant::{Mutant, caught};
use crate::{WaitError, WaitOptions};
use shuttle::future::block_on;
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::Arc;
use shuttle::thread;
use std::boxed::Box;
use std::future::Future;
use std::pin::Pin;
use std::time::Instant;
use std::vec::Vec;

type Task = (usize, Pin<Box<dyn Future<Output = ()> + Send>>);

fn task<W: Kind>(world: &Arc<World<W>>, i: usize, lifo: bool) -> Task {
    let world = world.clone();
    let task = async move {
        let acquire = world.acquire(i);
        if lifo { acquire.lifo() } else { acquire }.await;
    };
    (i, Box::pin(task))
}

/// Permits of each address: how many more were released than acquired.
type Balance = [u32; WORDS];

fn add(sums: &mut Balance, more: Balance) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

/// A few random calls. Returns what it has released and acquired, and the tasks that are left.
fn act<W: Kind>(world: &Arc<World<W>>) -> (Balance, Balance, Vec<Task>) {
    let (mut released, mut acquired) = ([0; WORDS], [0; WORDS]);
    let mut tasks: Vec<Task> = Vec::new();
    for _ in 0..5 {
        let i = thread_rng().gen_range(0..WORDS);
        match thread_rng().gen_range(0..10) {
            kind @ 0..3 => {
                let mut task = task(world, i, kind == 0);
                if poll(&mut task.1).is_ready() {
                    acquired[i] += 1;
                } else {
                    tasks.push(task);
                }
            }
            3 if !tasks.is_empty() => {
                let at = thread_rng().gen_range(0..tasks.len());
                if poll(&mut tasks[at].1).is_ready() {
                    acquired[tasks.swap_remove(at).0] += 1;
                }
            }
            4 if !tasks.is_empty() => drop(tasks.swap_remove(thread_rng().gen_range(0..tasks.len()))),
            5 => {
                let n = thread_rng().gen_range(0..4);
                world.release(i, n);
                released[i] += n;
            }
            6 => {
                world.hand_off(i);
                released[i] += 1;
            }
            7 => acquired[i] += u32::from(world.try_acquire(i)),
            8 => {
                // The deadline comes when this thread is scheduled next: at any moment, that is.
                let mut acquire = Box::pin(world.acquire(i));
                acquired[i] += 1;
                if poll(&mut acquire).is_pending() {
                    let expired = WaitOptions::new().deadline(Instant::now());
                    if let Err(error) = acquire.as_mut().wait_pinned(expired) {
                        assert_eq!(error, WaitError::TimedOut);
                        acquired[i] -= 1;
                    }
                }
            }
            _ => {
                world.release(i, 1);
                released[i] += 1;
            }
        }
    }
    (released, acquired, tasks)
}

/// Three threads of random calls. When they have ended, nobody sleeps where there is a permit (A-I3).
fn anything<W: Kind>() {
    let world = Arc::new(World::<W>::new());
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let world = world.clone();
            thread::spawn(move || act(&world))
        })
        .collect();
    let (mut released, mut acquired, mut tasks) = ([0; WORDS], [0; WORDS], Vec::new());
    for thread in threads {
        let (more_released, more_acquired, left) = thread.join().unwrap();
        add(&mut released, more_released);
        add(&mut acquired, more_acquired);
        tasks.extend(left);
    }
    world.check();
    // Whoever was woken has not looked yet, and may not want to.
    for mut task in tasks.split_off(tasks.len() / 2) {
        if thread_rng().gen_bool(0.5) {
            drop(task);
        } else if poll(&mut task.1).is_ready() {
            acquired[task.0] += 1;
        } else {
            tasks.push(task);
        }
    }
    tasks.retain_mut(|(i, task)| {
        let ready = poll(task).is_ready();
        acquired[*i] += u32::from(ready);
        !ready
    });
    assert_eq!(world.check() as usize, tasks.len());
    for i in 0..WORDS {
        assert_eq!(world.count(i) + acquired[i], released[i], "permits of word {i}");
        assert!(world.waiters(i) == 0 || world.count(i) == 0, "stranded at word {i} beside a permit");
    }
    drop(tasks);
    world.assert_ended(core::array::from_fn(|i| released[i] - acquired[i]));
}

/// Threads and tasks that wait until they have what they need, at all addresses, beside some that give up; as many permits as
/// are needed come by one, by many, and by hand.
fn everybody<W: Kind>() {
    let world = Arc::new(World::<W>::new());
    let waiters: Vec<_> = (0..8)
        .map(|kind| {
            let world = world.clone();
            let i = thread_rng().gen_range(0..WORDS);
            let thread = thread::spawn(move || match kind % 4 {
                0 => world.acquire(i).wait(),
                1 => world.acquire(i).lifo().wait(),
                2 => block_on(world.acquire(i)),
                _ => {
                    // Goes away, whatever it was given, and comes again.
                    let (_, mut task) = task(&world, i, false);
                    if poll(&mut task).is_pending() {
                        drop(task);
                        block_on(world.acquire(i));
                    }
                }
            });
            (i, thread)
        })
        .collect();
    let mut needed = [0; WORDS];
    waiters.iter().for_each(|(i, _)| needed[*i] += 1);
    let [first, second] = core::array::from_fn(|half| needed.map(|n: u32| if half == 0 { n / 2 } else { n - n / 2 }));
    let releasers = [first, second].map(|needed| {
        let world = world.clone();
        thread::spawn(move || {
            for (i, n) in needed.into_iter().enumerate() {
                match thread_rng().gen_range(0..3) {
                    0 => world.release(i, n),
                    1 => (0..n).for_each(|_| world.release(i, 1)),
                    _ => (0..n).for_each(|_| world.hand_off(i)),
                }
            }
        })
    });
    releasers.into_iter().for_each(|thread| thread.join().unwrap());
    waiters.into_iter().for_each(|(_, thread)| thread.join().unwrap());
    world.assert_ended([0; WORDS]);
}

#[test]
fn anything_at_semas_conserves_permits_and_strands_nobody() {
    explore(anything::<Sema>);
}

#[test]
fn anything_at_raw_semas_conserves_permits_and_strands_nobody() {
    explore(anything::<RawSema>);
}

#[test]
fn everybody_is_served_at_semas() {
    explore(everybody::<Sema>);
}

#[test]
fn everybody_is_served_at_raw_semas() {
    explore(everybody::<RawSema>);
}

const ANYTHING: &str = "address::tests::shuttle::anything_at_semas_conserves_permits_and_strands_nobody";
const ANYTHING_RAW: &str = "address::tests::shuttle::anything_at_raw_semas_conserves_permits_and_strands_nobody";
const EVERYBODY: &str = "address::tests::shuttle::everybody_is_served_at_semas";
const EVERYBODY_RAW: &str = "address::tests::shuttle::everybody_is_served_at_raw_semas";

#[test]
fn a_wake_up_that_is_not_passed_on_strands() {
    caught(Mutant::WakeNotPassedOn, ANYTHING, "stranded");
}

#[test]
fn a_grant_that_is_lost_is_missed() {
    caught(Mutant::GrantLost, ANYTHING_RAW, "permits of word");
}

#[test]
fn a_bit_that_is_cleared_early_strands() {
    caught(Mutant::BitClearedEarly, EVERYBODY, "deadlock");
}

#[test]
fn a_bucket_that_is_not_the_right_one_is_seen() {
    caught(Mutant::StaleBucket, ANYTHING, "panicked");
}

#[test]
fn a_split_that_is_not_seen_strands() {
    caught(Mutant::SplitUnseen, EVERYBODY_RAW, "deadlock");
}

#[test]
fn to_look_before_announcing_strands() {
    caught(Mutant::LookBeforeAnnounce, EVERYBODY_RAW, "deadlock");
}
