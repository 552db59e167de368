//! [`Condvar`] with threads and the mutex of `std`. (Go's own tests: `tests/go/cond.rs`.)

use crate::common::panics::caught;
use crate::common::thread::{start, until};
use gatepost::sync::{Condvar, Guard, StdGuard};
use gatepost::{Interrupter, WaitError, WaitOptions};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::{Mutex, TryLockError};
use std::time::{Duration, Instant};

type World<T> = (Mutex<T>, Condvar);

fn leaked<T>(value: T) -> &'static World<T> {
    Box::leak(Box::new((Mutex::new(value), Condvar::starting_at(u32::MAX - 1))))
}

fn lock<T>(world: &World<T>) -> StdGuard<'_, T> {
    StdGuard::lock(&world.0).unwrap()
}

fn is_locked<T>(mutex: &Mutex<T>) -> bool {
    matches!(mutex.try_lock(), Err(TryLockError::WouldBlock))
}

#[test]
fn a_wait_unlocks_and_locks_again() {
    let world = leaked(0);
    let waits = start(|| {
        let mut guard = lock(world);
        *guard = 1;
        guard = world.1.wait(guard).wait();
        assert!(is_locked(&world.0));
        *guard
    });
    until("it waits", || world.1.num_waiters() == 1);
    let mut guard = lock(world);
    assert_eq!(*guard, 1);
    *guard = 2;
    world.1.notify_one(); // with the mutex locked
    drop(guard);
    assert_eq!((waits.join(), world.1.num_waiters()), (2, 0));
}

#[test]
fn nothing_happens_until_it_is_waited_for() {
    let world = leaked(0);
    let wait = world.1.wait(lock(world));
    assert!(is_locked(&world.0) && world.1.num_waiters() == 0);
    drop(wait);
    assert!(!is_locked(&world.0));
}

#[test]
fn the_guard_comes_back_however_the_wait_ends() {
    let world = leaked(5);
    let start = Instant::now();
    let (guard, result) = world.1.wait(lock(world)).wait_timeout(Duration::from_millis(2));
    assert_eq!((*guard, result), (5, Err(WaitError::TimedOut)));
    assert!(start.elapsed() >= Duration::from_millis(2) && is_locked(&world.0));
    let (guard, result) = world.1.wait(guard).wait_deadline(Instant::now());
    assert_eq!((*guard, result), (5, Err(WaitError::TimedOut)));
    let interrupter = Interrupter::new();
    interrupter.interrupt();
    let (guard, result) = world.1.wait(guard).wait_interruptible(&interrupter);
    assert_eq!((*guard, result), (5, Err(WaitError::Interrupted)));
    assert!(is_locked(&world.0) && world.1.num_waiters() == 0);
    drop(guard);
    assert!(!is_locked(&world.0));
}

#[test]
fn who_timed_out_swallows_no_notification() {
    let world = leaked(0);
    let waits = start(|| drop(world.1.wait(lock(world)).wait()));
    until("it waits", || world.1.num_waiters() == 1);
    for _ in 0..100 {
        assert!(world.1.wait(lock(world)).wait_timeout(Duration::ZERO).1.is_err());
    }
    let behind = start(|| drop(world.1.wait(lock(world)).wait()));
    until("both wait", || world.1.num_waiters() == 2);
    world.1.notify_one();
    waits.join();
    assert_eq!(world.1.num_waiters(), 1);
    world.1.notify_one();
    behind.join();
}

#[test]
fn wait_while_looks_before_it_waits_and_after() {
    let world = leaked(0);
    let guard = world.1.wait_while(lock(world), |n| *n > 0).wait();
    assert!(is_locked(&world.0), "it did not hold: no wait at all");
    drop(guard);
    let waits = start(|| *world.1.wait_while(lock(world), |n| *n < 3).wait());
    for n in 1..=3 {
        until("it waits", || world.1.num_waiters() == 1);
        *lock(world) = n;
        world.1.notify_one();
    }
    assert_eq!((waits.join(), world.1.num_waiters()), (3, 0));
}

#[test]
fn wait_while_gives_up_only_if_the_condition_still_holds() {
    let world = leaked(0);
    let (guard, result) = world.1.wait_while(lock(world), |n| *n == 0).wait_timeout(Duration::from_millis(1));
    assert_eq!((*guard, result), (0, Err(WaitError::TimedOut)));
    let mut looks = 0;
    let condition = |n: &mut i32| {
        looks += 1;
        *n += 1;
        *n < 2
    };
    // The deadline has come, but at the second look the condition does not hold.
    let (guard, result) = world.1.wait_while(guard, condition).wait_deadline(Instant::now());
    assert_eq!((*guard, result, looks), (2, Ok(()), 2));
    let interrupter = Interrupter::new();
    interrupter.interrupt();
    let (guard, result) = world.1.wait_while(guard, |_| true).wait_interruptible(&interrupter);
    assert_eq!((*guard, result), (2, Err(WaitError::Interrupted)));
}

#[test]
fn a_condition_that_panics_unlocks_and_poisons() {
    let world = leaked(0);
    let guard = lock(world);
    assert_eq!(caught(|| world.1.wait_while(guard, |_| panic_any("looked")).wait()).message(), "looked");
    assert!(world.0.is_poisoned() && world.1.num_waiters() == 0);
}

/// Has somebody wait, poisons the mutex, and notifies.
fn poisoned<T: Send + 'static>(wait: fn(&'static World<()>) -> T) -> T {
    let world = leaked(());
    let waits = start(move || wait(world));
    until("it waits", || world.1.num_waiters() == 1);
    let guard = lock(world);
    drop(caught(move || {
        let _guard = guard;
        panic_any("poison");
    }));
    world.1.notify_one();
    waits.join()
}

#[test]
fn poisoning_is_a_panic_or_a_value_as_one_likes() {
    let said = poisoned(|world| {
        let wait = world.1.wait(lock(world));
        caught(|| wait.wait()).message().to_owned()
    });
    assert!(said.contains("was poisoned during a wait"), "{said}");
    assert!(poisoned(|world| world.1.wait(StdGuard::lock(&world.0)).wait().is_err()));
    let world = leaked(());
    world.1.notify_one();
    let (result, ended) = world.1.wait(StdGuard::lock(&world.0)).wait_timeout(Duration::ZERO);
    assert!(result.is_ok() && ended.is_err());
}

#[test]
fn a_notified_waiter_that_cannot_lock_passes_on() {
    let world = leaked(());
    let first = start(|| {
        let wait = world.1.wait(lock(world));
        drop(caught(|| wait.wait()));
    });
    until("it waits", || world.1.num_waiters() == 1);
    let second = start(|| drop(world.1.wait(StdGuard::lock(&world.0)).wait()));
    until("both wait", || world.1.num_waiters() == 2);
    let guard = lock(world);
    drop(caught(move || {
        let _guard = guard;
        panic_any("poison");
    }));
    world.1.notify_one(); // one only
    first.join();
    second.join();
}

/// A guard whose unlocking panics.
struct Stuck;

impl Guard for Stuck {
    type Mutex = ();
    type Relock = Infallible;

    fn unlock(self) {
        panic_any("stuck");
    }

    fn lock((): ()) -> Self {
        Self
    }
}

#[test]
fn a_mutex_that_panics_leaves_no_waiter_behind() {
    let condvar = Condvar::new();
    let wait = condvar.wait(Stuck);
    assert!(catch_unwind(AssertUnwindSafe(|| wait.wait())).is_err());
    assert_eq!(condvar.num_waiters(), 0);
}

#[test]
fn a_wait_that_is_done_says_so() {
    let world = leaked(());
    let mut wait = Box::pin(world.1.wait(lock(world)));
    let options = WaitOptions::new().timeout(Duration::ZERO);
    drop(wait.as_mut().wait_pinned(options));
    assert_eq!(format!("{wait:?}"), "Wait { state: \"done\", .. }");
    assert!(caught(|| drop(wait.as_mut().wait_pinned(options))).message().contains("after it was done"));
    assert!(!is_locked(&world.0));
}

#[test]
fn a_guard_of_std_becomes_one_and_becomes_one_again() {
    let world = leaked(1);
    let guard = world.0.lock().unwrap();
    let mut guard = StdGuard::new(&world.0, guard);
    *guard += 1;
    assert_eq!((*guard, *guard.into_inner()), (2, 2));
}

#[test]
fn debug_never_waits() {
    let world = leaked(());
    let guard = lock(world);
    assert_eq!(format!("{:?}", world.1), "Condvar { waiters: 0 }");
    drop(guard);
}
