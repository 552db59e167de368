//! Something to be done when a permit comes.

use crate::address::{RawSema, Sema, SemaTable};
use std::boxed::Box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::vec::Vec;

fn leaked<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

struct World {
    sema: &'static Sema,
    table: &'static SemaTable,
    calls: &'static Mutex<Vec<usize>>,
}

impl World {
    fn new(count: u32) -> Self {
        Self { sema: leaked(Sema::new(count)), table: leaked(SemaTable::new()), calls: leaked(Mutex::new(Vec::new())) }
    }

    fn note(&self, number: usize) {
        let calls = self.calls;
        self.sema.acquire_then_in(self.table, move || calls.lock().unwrap().push(number));
    }

    fn calls(&self) -> Vec<usize> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

#[test]
fn what_is_there_is_taken_at_once_and_what_comes_later_in_the_order_of_the_queue() {
    let world = World::new(1);
    (0..4).for_each(|number| world.note(number));
    assert_eq!(world.calls(), [0]);
    world.sema.release_in(world.table);
    assert_eq!(world.calls(), [1]);
    world.sema.release_n_in(3, world.table);
    assert_eq!(world.calls(), [2, 3]);
    assert_eq!((world.sema.count(), world.sema.num_waiters_in(world.table)), (1, 0));
}

#[test]
fn g27_a_hand_off_to_a_detached_waiter_gives_it_the_permit() {
    let world = World::new(0);
    world.note(0);
    world.sema.release_handoff_in(world.table);
    assert_eq!((world.calls(), world.sema.count()), (std::vec![0], 0));
}

#[test]
fn a_call_of_any_size_gets_what_it_captured_and_drops_it_once() {
    let world = World::new(0);
    let dropped = leaked(AtomicUsize::new(0));
    struct Big(#[allow(dead_code)] [usize; 100], &'static AtomicUsize);
    impl Drop for Big {
        fn drop(&mut self) {
            self.1.fetch_add(self.0[99], SeqCst);
        }
    }
    for _ in 0..2 {
        let big = Big([7; 100], dropped);
        world.sema.acquire_then_in(world.table, move || drop(big));
        let text = std::string::String::from("small, and on the heap");
        let calls = world.calls;
        world.sema.acquire_then_in(world.table, move || calls.lock().unwrap().push(text.len()));
    }
    assert_eq!(dropped.load(SeqCst), 0);
    world.sema.release_n_in(4, world.table);
    assert_eq!((dropped.load(SeqCst), world.calls()), (14, std::vec![22, 22]));
}

/// V2: each call releases, and so wakes the next.
#[test]
fn a_chain_of_a_hundred_thousand_needs_no_stack() {
    let world = World::new(0);
    let done = leaked(AtomicUsize::new(0));
    for _ in 0..100_000 {
        let World { sema, table, .. } = world;
        sema.acquire_then_in(table, move || {
            done.fetch_add(1, SeqCst);
            sema.release_in(table);
        });
    }
    world.sema.release_in(world.table);
    assert_eq!((done.load(SeqCst), world.sema.count()), (100_000, 1));
}

#[test]
fn a_call_that_asks_again_is_called_again_and_needs_no_stack() {
    static SEMA: RawSema = RawSema::new(1);
    static LEFT: AtomicUsize = AtomicUsize::new(100_000);
    fn again() {
        SEMA.release();
        if LEFT.fetch_sub(1, SeqCst) > 1 {
            SEMA.acquire_then(again);
        }
    }
    SEMA.acquire_then(again);
    assert_eq!((LEFT.load(SeqCst), SEMA.count()), (0, 1));
}

#[test]
fn a_call_that_panics_keeps_nobody_from_being_called() {
    let world = World::new(0);
    world.note(0);
    world.sema.acquire_then_in(world.table, || panic!("one of five"));
    (2..5).for_each(|number| world.note(number));
    let panic = catch_unwind(AssertUnwindSafe(|| world.sema.release_n_in(5, world.table))).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"one of five"));
    assert_eq!(world.calls(), [0, 2, 3, 4]);
    world.note(5);
    world.sema.release_in(world.table);
    assert_eq!(world.calls(), [5], "the thread's list is in order again");
}

#[test]
fn tasks_threads_and_calls_wait_in_one_queue() {
    let world = World::new(0);
    let thread = std::thread::scope(|scope| {
        let thread = scope.spawn(|| world.sema.acquire_in(world.table).wait());
        while world.sema.num_waiters_in(world.table) < 1 {
            std::thread::yield_now();
        }
        world.note(1);
        world.sema.release_handoff_in(world.table);
        assert!(world.calls().is_empty(), "the thread came first");
        world.sema.release_handoff_in(world.table);
        assert_eq!(world.calls(), [1]);
        thread.join()
    });
    thread.unwrap();
}

/// Threads that release and ask at one time: each call is made, once.
#[test]
fn calls_are_made_once_each_whoever_releases() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 5_000;
    let world = World::new(0);
    let made = leaked(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    world.sema.acquire_then_in(world.table, || {
                        made.fetch_add(1, SeqCst);
                    });
                    world.sema.release_in(world.table);
                }
            });
        }
    });
    assert_eq!(made.load(SeqCst), THREADS * ROUNDS);
    assert_eq!((world.sema.count(), world.sema.num_waiters_in(world.table)), (0, 0));
}
