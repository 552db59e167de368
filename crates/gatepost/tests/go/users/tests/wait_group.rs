//! Go's tests of its wait group (`sync/waitgroup_test.go`).

use super::leaked;
use super::wait_group::WaitGroup;
use crate::common::panics::caught;
use crate::common::thread::{start, until};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

const N: usize = 16;

/// `TestWaitGroup`: sixteen that are done with the first wait for the second; again and again with the same two.
#[test]
fn wait_group_test_wait_group() {
    let (first, second) = (leaked(WaitGroup::new()), leaked(WaitGroup::new()));
    for _ in 0..8 {
        let exited = leaked(AtomicUsize::new(0));
        first.add(N as i32);
        second.add(N as i32);
        let threads: Vec<_> = (0..N)
            .map(|_| {
                start(move || {
                    first.done();
                    second.wait();
                    exited.fetch_add(1, SeqCst);
                })
            })
            .collect();
        first.wait();
        for _ in 0..N {
            assert_eq!(exited.load(SeqCst), 0, "released too soon");
            second.done();
        }
        threads.into_iter().for_each(|thread| thread.join());
        assert_eq!(exited.load(SeqCst), N);
    }
}

/// All who wait go on with the last one that is done, and not before.
#[test]
fn wait_group_the_last_one_wakes_all_who_wait() {
    let group = leaked(WaitGroup::new());
    group.add(2);
    let threads: Vec<_> = (0..5).map(|_| start(|| group.wait())).collect();
    until("all sleep", || group.sleepers() == 5);
    group.add(1);
    group.done();
    group.done();
    assert_eq!(group.sleepers(), 5);
    group.done();
    threads.into_iter().for_each(|thread| thread.join());
    group.wait(); // nothing is to be done: at once
}

/// `TestWaitGroupMisuse`
#[test]
fn wait_group_test_wait_group_misuse() {
    let group = WaitGroup::new();
    group.add(1);
    group.done();
    caught(|| group.done()).says("fewer than none", file!());
    caught(|| WaitGroup::new().add(-1)).says("fewer than none", file!());
}

/// Go's `TestWaitGroupMisuse3`: used again before all who waited have returned. It is noticed if the waiter comes late enough,
/// which is as good as certain in one of the rounds.
#[test]
fn wait_group_that_is_used_again_too_early_panics() {
    until("it was noticed", || {
        let group = leaked(WaitGroup::new());
        group.add(1);
        let waiting = start(|| std::panic::catch_unwind(|| group.wait()));
        until("it sleeps", || group.sleepers() == 1);
        group.done();
        group.add(1);
        match waiting.join() {
            Ok(()) => false,
            Err(panic) => {
                let message = panic.downcast_ref::<&str>().expect("it says something");
                assert!(message.contains("used again before all who waited have returned"), "{message}");
                true
            }
        }
    });
}

/// `TestWaitGroupRace`: what came before each `done` is visible to whoever has waited.
#[test]
fn wait_group_test_wait_group_race() {
    struct Count(UnsafeCell<u32>);
    // SAFETY: each is written by one thread, and read after the wait.
    unsafe impl Sync for Count {}

    for _ in 0..500 {
        let shared =
            leaked((WaitGroup::new(), AtomicI32::new(0), [Count(UnsafeCell::new(0)), Count(UnsafeCell::new(0))]));
        let (group, n, counts) = shared;
        group.add(1);
        let one = start(move || {
            n.fetch_add(1, Relaxed);
            // SAFETY: this thread's, until it is done.
            unsafe { *counts[0].0.get() += 1 };
            group.done();
        });
        group.add(1);
        let other = start(move || {
            n.fetch_add(1, Relaxed);
            // SAFETY: as above.
            unsafe { *counts[1].0.get() += 1 };
            group.done();
        });
        group.wait();
        // SAFETY: both are done, and this thread has waited for them.
        let sum = unsafe { *counts[0].0.get() + *counts[1].0.get() };
        assert_eq!((n.load(Relaxed), sum), (2, 2));
        one.join();
        other.join();
    }
}
