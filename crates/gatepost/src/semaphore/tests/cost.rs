//! What each path costs, counted by the atomics themselves: one more access, anywhere on a path, fails a test.
//!
//! `tests/cost.rs` counts the same paths in the shipped build, instruction by instruction.

use crate::semaphore::policy::Gate;
use crate::semaphore::{Acquire, Semaphore};
use crate::sys::atomic::{Counts, counts};
use crate::wait::batch::CAPACITY;
use std::boxed::Box;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::vec::Vec;

fn cost<R>(f: impl FnOnce() -> R) -> (Counts, R) {
    let before = counts();
    let result = f();
    (counts() - before, result)
}

fn poll<'a>(acquire: &mut Pin<Box<Acquire<'a>>>) -> Poll<crate::SemaphorePermit<'a>> {
    acquire.as_mut().poll(&mut Context::from_waker(Waker::noop())).map(Result::unwrap)
}

/// One load and one RMW to acquire, the same to release.
const PAIR: Counts = Counts { loads: 2, stores: 0, rmws: 2, syscalls: 0 };

/// With the feature `tracing` an acquisition notes in its node that it owns the permits until they have been reported.
const NOTED: u64 = if cfg!(feature = "tracing") { 1 } else { 0 };

#[test]
fn t46_an_uncontended_pair_is_two_rmws() {
    let semaphore = Arc::new(Semaphore::new(8));
    assert_eq!(cost(|| drop(semaphore.try_acquire())).0, PAIR);
    assert_eq!(cost(|| drop(semaphore.try_acquire_many(8))).0, PAIR, "the last permit, too");
    assert_eq!(cost(|| drop(semaphore.clone().try_acquire_owned())).0, PAIR);
    assert_eq!(cost(|| drop(semaphore.blocking_acquire())).0, Counts { stores: NOTED, ..PAIR });
    assert_eq!(cost(|| drop(semaphore.clone().blocking_acquire_many_owned(2))).0, Counts { stores: NOTED, ..PAIR });
    assert_eq!(
        cost(|| drop(semaphore.acquire().wait_timeout(std::time::Duration::from_secs(1)))).0,
        Counts { stores: NOTED, ..PAIR }
    );
}

#[test]
fn t11_a_first_poll_that_succeeds_is_one_rmw() {
    let semaphore = Semaphore::new(8);
    let mut cx = Context::from_waker(Waker::noop());
    let (polled, permit) = cost(|| pin!(semaphore.acquire_many(8)).poll(&mut cx));
    assert_eq!(polled, Counts { loads: 1, stores: NOTED, rmws: 1, syscalls: 0 });
    assert_eq!(cost(|| drop(permit)).0, Counts { loads: 1, stores: 0, rmws: 1, syscalls: 0 });
}

#[test]
fn t10_t20_a_future_that_waits_for_nothing_costs_nothing_to_drop() {
    let semaphore = Semaphore::new(1);
    assert_eq!(cost(|| drop(semaphore.acquire())).0, Counts::default());
    let mut acquire = Box::pin(semaphore.acquire());
    let permit = poll(&mut acquire);
    assert_eq!(cost(|| drop(acquire)).0, Counts::default());
    drop(permit);
}

#[test]
fn the_queue_costs_two_rmws_to_join_and_none_to_complete() {
    let semaphore = Semaphore::new(0);
    let mut acquire = Box::pin(semaphore.acquire());
    let (joined, pending) = cost(|| poll(&mut acquire).is_pending());
    assert!(pending && joined.rmws == 2 && joined.syscalls == 0, "{joined:?}");
    let (again, pending) = cost(|| poll(&mut acquire).is_pending());
    assert!(pending, "T17");
    assert_eq!(again, Counts { loads: 2, ..Counts::default() }, "its own state, and whether the word is closed");
    let (served, ()) = cost(|| semaphore.add_permits(1));
    assert!(served.rmws == 2 && served.syscalls == 0, "deposit with the lock, and unlock: {served:?}");
    let (completed, permit) = cost(|| poll(&mut acquire));
    assert_eq!(completed, Counts { loads: 1, ..Counts::default() }, "its own state, and nothing else");
    drop(permit);
}

#[test]
fn a_release_serves_a_full_batch_with_two_rmws() {
    let semaphore = Semaphore::new(0);
    let mut all: Vec<_> = (0..CAPACITY).map(|_| Box::pin(semaphore.acquire())).collect();
    all.iter_mut().for_each(|acquire| assert!(poll(acquire).is_pending()));
    let (served, ()) = cost(|| semaphore.add_permits(CAPACITY));
    assert_eq!((served.rmws, served.syscalls), (2, 0));
    let permits = all.iter_mut().filter_map(|acquire| matches!(poll(acquire), Poll::Ready(_)).then_some(())).count();
    assert_eq!(permits, CAPACITY);
}

#[test]
fn b8_a_cancel_costs_the_same_however_many_wait() {
    let cancel_in_the_middle_of = |n: usize| {
        let semaphore = Semaphore::new(0);
        let mut all: Vec<_> = (0..n).map(|_| Box::pin(semaphore.acquire())).collect();
        all.iter_mut().for_each(|acquire| assert!(poll(acquire).is_pending()));
        let middle = all.swap_remove(n / 2);
        cost(|| drop(middle)).0
    };
    let few = cancel_in_the_middle_of(10);
    assert_eq!(few.rmws, 2);
    assert_eq!(few, cancel_in_the_middle_of(100_000));
}

#[test]
fn a_releaser_never_waits_for_the_holder() {
    let semaphore = Semaphore::new(0);
    let mut acquire = Box::pin(semaphore.acquire());
    assert!(poll(&mut acquire).is_pending());
    let locked = semaphore.gate.try_lock().expect("nobody else holds it");
    // The lock is held; a deposit leaves with one RMW, and the holder's unlock serves it.
    let (left, ()) = cost(|| semaphore.add_permits(1));
    assert_eq!((left.rmws, left.syscalls), (1, 0));
    assert!(poll(&mut acquire).is_pending());
    semaphore.gate.serve_and_wake(locked);
    assert!(poll(&mut acquire).is_ready());
}

#[test]
fn a_futex_wake_is_issued_for_a_parked_thread_only() {
    let semaphore = Semaphore::new(0);
    let mut tasks: Vec<_> = (0..2).map(|_| Box::pin(semaphore.acquire())).collect();
    tasks.iter_mut().for_each(|acquire| assert!(poll(acquire).is_pending()));
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..3).map(|_| scope.spawn(|| cost(|| semaphore.acquire().wait().unwrap().forget()).0)).collect();
        while semaphore.num_waiters() < 5 {
            std::thread::yield_now();
        }
        // Two tasks and three threads: at most three wakes (fewer if one of them still spins).
        let (served, ()) = cost(|| semaphore.add_permits(5));
        assert!(served.syscalls <= 3, "{served:?}");
        let slept: u64 = threads.into_iter().map(|thread| thread.join().unwrap().syscalls).sum();
        assert!(served.syscalls <= slept, "woke {} of {slept} that slept", served.syscalls);
    });
    drop(tasks);
    assert_eq!(semaphore.gate.waiters(), 0);
}

#[test]
#[cfg(all(target_pointer_width = "64", not(any(feature = "tracing", feature = "profile"))))]
fn sizes() {
    assert_eq!(size_of::<Semaphore>(), 32);
    assert_eq!(size_of::<Semaphore<crate::Barging>>(), 40);
    assert_eq!(size_of::<crate::wait::node::Node>(), 48);
    assert_eq!(size_of::<Acquire<'_>>(), 56);
    assert_eq!(size_of::<crate::AcquireOwned>(), 56);
    assert_eq!(size_of::<crate::SemaphorePermit<'_>>(), 16);
    assert_eq!(size_of::<Option<crate::OwnedSemaphorePermit>>(), 16);
}
