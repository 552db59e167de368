//! Random schedules of more threads than loom can take. Shuttle is sequentially consistent: no claim on memory ordering rests
//! on it. A batch holds two wakers here.

use super::super::NotifyList;
use crate::WaitOptions;
use crate::sys::explore::explore;
use crate::sys::mutant::{Mutant, caught};
use shuttle::future::block_on;
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;
use std::boxed::Box;
use std::future::Future;
use std::task::{Context, Waker};
use std::time::Instant;
use std::vec::Vec;

/// Things to take, and who waits for one.
struct World {
    things: Mutex<usize>,
    list: NotifyList,
}

/// Takes a thing, however long it takes, and waits in all possible ways, most of which give up and try again.
fn take(world: &World) {
    loop {
        let mut things = world.things.lock().unwrap();
        if *things > 0 {
            *things -= 1;
            return;
        }
        let ticket = world.list.add();
        drop(things);
        let expired = WaitOptions::new().deadline(Instant::now());
        match thread_rng().gen_range(0..6) {
            0 => ticket.notified().wait(),
            1 => block_on(ticket.notified()),
            2 => drop(ticket),
            3 => {
                let _ = ticket.notified().wait_with(expired);
            }
            way => {
                let mut task = Box::pin(ticket.notified());
                let pending = task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
                if pending && way == 4 {
                    let _ = task.as_mut().wait_pinned(expired);
                } // or dropped
            }
        }
        thread::yield_now();
    }
}

/// Waits for a thing, and goes away without one.
fn leave(world: &World) {
    let things = world.things.lock().unwrap();
    if *things > 0 {
        return;
    }
    let ticket = world.list.add();
    drop(things);
    if thread_rng().gen_bool(0.3) {
        return drop(ticket);
    }
    let mut task = Box::pin(ticket.notified());
    if task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
        return world.list.notify_one(); // it has seen the notification: to pass it on is its own affair
    }
    thread::yield_now();
    if thread_rng().gen_bool(0.5) {
        let expired = WaitOptions::new().deadline(Instant::now());
        if task.as_mut().wait_pinned(expired).is_ok() {
            world.list.notify_one();
        }
    } // or dropped
}

/// As many things as takers, each notified once: whoever leaves with a notification that somebody else needs strands them.
fn nobody_is_stranded() {
    const TAKERS: usize = 3;
    const LEAVERS: usize = 2;
    let world = Arc::new(World { things: Mutex::new(0), list: NotifyList::starting_at(u32::MAX - 3) });
    let others: Vec<_> = (0..TAKERS + LEAVERS)
        .map(|i| {
            let world = world.clone();
            thread::spawn(move || if i < LEAVERS { leave(&world) } else { take(&world) })
        })
        .collect();
    let mut given = 0;
    while given < TAKERS {
        let n = thread_rng().gen_range(1..=TAKERS - given);
        *world.things.lock().unwrap() += n;
        given += n;
        if n > 1 && thread_rng().gen_bool(0.3) {
            world.list.notify_all();
        } else {
            (0..n).for_each(|_| world.list.notify_one());
        }
    }
    others.into_iter().for_each(|other| other.join().unwrap());
    assert_eq!(*world.things.lock().unwrap(), 0);
    world.list.notify_all(); // forgets voids, where it is not known that there are no others
    assert_eq!(world.list.num_waiters(), 0);
}

#[test]
fn whatever_waiters_do_nobody_is_stranded() {
    explore(nobody_is_stranded);
}

#[test]
fn each_seeded_bug_strands_somebody() {
    for mutant in [Mutant::VoidForgotten, Mutant::NotificationLost] {
        caught(mutant, "address::notify::tests::shuttle::whatever_waiters_do_nobody_is_stranded", "deadlock");
    }
}
