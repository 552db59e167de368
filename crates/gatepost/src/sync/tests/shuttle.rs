//! Random schedules of many threads that wait on a condition variable with shuttle's own mutex, and give up at random.

use crate::WaitOptions;
use crate::sync::{Condvar, Guard};
use crate::sys::explore::explore;
use crate::sys::mutant::{Mutant, caught};
use core::convert::Infallible;
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::{Arc, Mutex, MutexGuard};
use shuttle::thread;
use std::time::Instant;
use std::vec::Vec;

/// Shuttle's guard, with its mutex.
struct ShuttleGuard<'a>(&'a Mutex<usize>, MutexGuard<'a, usize>);

fn lock(mutex: &Mutex<usize>) -> ShuttleGuard<'_> {
    ShuttleGuard(mutex, mutex.lock().unwrap())
}

impl<'a> Guard for ShuttleGuard<'a> {
    type Mutex = &'a Mutex<usize>;
    type Relock = Infallible;

    fn unlock(self) -> &'a Mutex<usize> {
        self.0
    }

    fn lock(mutex: &'a Mutex<usize>) -> Self {
        lock(mutex)
    }
}

/// A queue of bounded length, with a condition variable for either side: consumers and producers, some of whom time out
/// and try again.
fn bounded_queue() {
    const EACH: usize = 2;
    const ROOM: usize = 1;
    let world = Arc::new((Mutex::new(0), Condvar::starting_at(u32::MAX - 3), Condvar::new()));
    let work = |produces: bool| {
        let world = world.clone();
        thread::spawn(move || {
            let (length, filled, emptied) = &*world;
            for _ in 0..EACH {
                let mut guard = lock(length);
                while *guard.1 == if produces { ROOM } else { 0 } {
                    let wait = if produces { emptied } else { filled }.wait(guard);
                    guard = if thread_rng().gen_bool(0.3) {
                        wait.wait_with(WaitOptions::new().deadline(Instant::now())).0
                    } else {
                        wait.wait()
                    };
                }
                if produces {
                    *guard.1 += 1;
                    filled.notify_one();
                } else {
                    *guard.1 -= 1;
                    emptied.notify_one();
                }
            }
        })
    };
    let threads: Vec<_> = [true, false, true, false].into_iter().map(work).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*world.0.lock().unwrap(), 0);
}

#[test]
fn producers_and_consumers_who_give_up_at_random_all_end() {
    explore(bounded_queue);
}

#[test]
fn a_ticket_that_is_taken_after_the_unlock_strands_somebody() {
    caught(
        Mutant::TicketAfterUnlock,
        "sync::tests::shuttle::producers_and_consumers_who_give_up_at_random_all_end",
        "deadlock",
    );
}
