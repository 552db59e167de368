//! Every interleaving of a few threads that wait on a condition variable with loom's own mutex.

use crate::sync::{AsyncGuard, Condvar, Guard};
use crate::sys::explore::model;
use crate::sys::mutant::{Mutant, caught};
use loom::future::block_on;
use loom::sync::{Arc, Mutex, MutexGuard};
use loom::thread;
use std::boxed::Box;
use std::future::{Future, Ready, ready};
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Waker};

/// Loom's guard, with its mutex.
struct LoomGuard<'a>(&'a Mutex<u32>, MutexGuard<'a, u32>);

fn lock(mutex: &Mutex<u32>) -> LoomGuard<'_> {
    LoomGuard(mutex, mutex.lock().unwrap())
}

impl Deref for LoomGuard<'_> {
    type Target = u32;

    fn deref(&self) -> &u32 {
        &self.1
    }
}

impl DerefMut for LoomGuard<'_> {
    fn deref_mut(&mut self) -> &mut u32 {
        &mut self.1
    }
}

impl<'a> Guard for LoomGuard<'a> {
    type Mutex = &'a Mutex<u32>;
    type Relock = Ready<Self>;

    fn unlock(self) -> &'a Mutex<u32> {
        self.0
    }

    fn lock(mutex: &'a Mutex<u32>) -> Self {
        lock(mutex)
    }
}

impl AsyncGuard for LoomGuard<'_> {
    fn lock_async(mutex: Self::Mutex) -> Ready<Self> {
        ready(lock(mutex)) // its critical sections are short
    }
}

/// Things to take, and who waits for one.
type World = (Mutex<u32>, Condvar);

fn world() -> Arc<World> {
    Arc::new((Mutex::new(0), Condvar::starting_at(u32::MAX - 1)))
}

fn give(world: &World) {
    *world.0.lock().unwrap() += 1;
    world.1.notify_one();
}

fn spawn(world: &Arc<World>, f: impl FnOnce(&World) + 'static) -> thread::JoinHandle<()> {
    let world = world.clone();
    thread::spawn(move || f(&world))
}

/// The change and its notification come at any moment of a wait. The mutex is the only thing in common (C1).
#[test]
fn c1_no_notification_falls_between_unlock_and_wait() {
    model(|| {
        let world = world();
        let giver = spawn(&world, give);
        let mut things = lock(&world.0);
        while *things == 0 {
            things = world.1.wait(things).wait();
        }
        drop(things);
        giver.join().unwrap();
    });
}

#[test]
fn c1_a_ticket_that_is_taken_after_the_unlock_is_too_late() {
    caught(
        Mutant::TicketAfterUnlock,
        "sync::tests::loom::c1_no_notification_falls_between_unlock_and_wait",
        "deadlock",
    );
}

/// A thread and a task for two things.
#[test]
fn each_notification_wakes_one() {
    model(|| {
        let world = world();
        let taker = spawn(&world, |world| {
            let wait = world.1.wait_while(lock(&world.0), |things| *things == 0);
            *block_on(wait) -= 1;
        });
        let giver = spawn(&world, |world| {
            give(world);
            give(world);
        });
        *world.1.wait_while(lock(&world.0), |things| *things == 0).wait() -= 1;
        taker.join().unwrap();
        giver.join().unwrap();
        assert_eq!((*world.0.lock().unwrap(), world.1.num_waiters()), (0, 0));
    });
}

/// The wait of a task is dropped at any moment: the thing is there for who waits behind it (C2).
#[test]
fn c2_a_wait_that_is_dropped_passes_its_notification_on() {
    model(|| {
        let world = world();
        let leaves = world.clone();
        let mut leaver = Box::pin(async move {
            // Not `wait_while`: whoever was notified looks first, and then it waits no more.
            drop(leaves.1.wait(lock(&leaves.0)).await);
        });
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut leaver).poll(&mut cx).is_pending());
        let taker = spawn(&world, |world| *world.1.wait_while(lock(&world.0), |things| *things == 0).wait() -= 1);
        let giver = spawn(&world, give);
        drop(leaver);
        taker.join().unwrap();
        giver.join().unwrap();
        assert_eq!((*world.0.lock().unwrap(), world.1.num_waiters()), (0, 0));
    });
}

#[test]
fn c2_a_notification_that_is_not_passed_on_strands_somebody() {
    caught(
        Mutant::NotificationLost,
        "sync::tests::loom::c2_a_wait_that_is_dropped_passes_its_notification_on",
        "deadlock",
    );
}
