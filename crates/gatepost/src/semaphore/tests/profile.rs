//! What the contention profiles are told about a semaphore, by a virtual clock: exact to the nanosecond.

use crate::semaphore::{Acquire, Barging, Policy, Semaphore, WaitOptions};
use crate::sys::clock::{advance_nanos, readings};
use crate::wait::batch::CAPACITY;
use crate::wait::interrupt::Interrupter;
use crate::wait::timing::set_hooks;
use crate::wait::timing::tests::{BOTH, blocked, charged};
use std::boxed::Box;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;
use std::vec::Vec;

type Waiting<'a, P> = Pin<Box<Acquire<'a, P>>>;

fn poll<P: Policy>(acquire: &mut Waiting<'_, P>) -> bool {
    match acquire.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(permit)) => {
            permit.forget();
            true
        }
        Poll::Ready(Err(_)) => true,
        Poll::Pending => false,
    }
}

fn join<P: Policy>(semaphore: &Semaphore<P>, n: u32) -> Waiting<'_, P> {
    let mut acquire = Box::pin(semaphore.acquire_many(n));
    assert!(!poll(&mut acquire));
    acquire
}

fn totals() -> (u64, u64) {
    (blocked().iter().sum(), charged().iter().map(|charge| charge.1).sum())
}

/// Waiters at 0, released one by one at 1, 2, ...
fn one_by_one<P: Policy>(semaphore: &Semaphore<P>, n: u64) {
    set_hooks(Some(&BOTH));
    let mut all: Vec<_> = (0..n).map(|_| join(semaphore, 1)).collect();
    for acquire in &mut all {
        advance_nanos(1);
        semaphore.add_permits(1);
        assert!(poll(acquire));
    }
    assert_eq!(blocked(), Vec::from_iter(1..=n));
    assert_eq!(charged(), Vec::from_iter((1..=n).rev().map(|left| (1, left))));
}

#[test]
fn g41_waiters_at_0_that_are_released_at_1_2_3_cost_6_and_at_1_2_cost_3() {
    for n in [2, 3, 10] {
        one_by_one(&Semaphore::new(0), n); // 3, 6, 55
        one_by_one(&Semaphore::barging(0), n);
    }
}

#[test]
fn g39_newcomers_are_charged_from_their_arrival() {
    fn check<P: Policy>(semaphore: &Semaphore<P>) {
        set_hooks(Some(&BOTH));
        let mut first = join(semaphore, 1);
        advance_nanos(10);
        let mut second = join(semaphore, 1);
        advance_nanos(5);
        semaphore.add_permits(1); // 15 and 5
        assert!(poll(&mut first));
        let mut third = join(semaphore, 1);
        advance_nanos(7);
        semaphore.add_permits(1); // 7 and 7
        assert!(poll(&mut second));
        advance_nanos(1);
        semaphore.add_permits(1);
        assert!(poll(&mut third));
        assert_eq!(charged(), [(1, 20), (1, 14), (1, 1)]);
        assert_eq!(blocked(), [15, 12, 8]);
    }
    check(&Semaphore::new(0));
    check(&Semaphore::barging(0));
}

#[test]
fn g38_a_release_that_lets_many_go_is_charged_once() {
    set_hooks(Some(&BOTH));
    let semaphore = Semaphore::new(0);
    let mut all: Vec<_> = (0..3).map(|_| join(&semaphore, 1)).collect();
    let before = readings();
    advance_nanos(5);
    semaphore.add_permits(3);
    assert_eq!(charged(), [(3, 15)]);
    assert_eq!(readings() - before, 1, "one reading of the clock for a hold");
    assert!(all.iter_mut().all(poll));
    assert_eq!(blocked(), [5, 5, 5]);
    assert_eq!(readings() - before, 1, "none to take the outcome");

    let n = CAPACITY as u64 + 8;
    let mut all: Vec<_> = (0..n).map(|_| join(&semaphore, 1)).collect();
    advance_nanos(5);
    semaphore.add_permits(all.len());
    // The second batch has been charged for by the first.
    assert_eq!(charged(), [(CAPACITY as u64, 5 * n), (8, 0)]);
    assert!(all.iter_mut().all(poll));
    assert_eq!(totals().0, 5 * n);
}

#[test]
fn g38_a_release_that_lets_nobody_go_is_not_charged() {
    set_hooks(Some(&BOTH));
    let semaphore = Semaphore::new(0);
    let mut large = join(&semaphore, 2);
    advance_nanos(5);
    semaphore.add_permits(1);
    assert!(charged().is_empty());
    advance_nanos(5);
    semaphore.add_permits(1);
    assert_eq!(charged(), [(1, 10)]);
    assert!(poll(&mut large));
    assert_eq!(blocked(), [10]);
}

#[test]
fn g38_who_serves_for_another_is_charged() {
    set_hooks(Some(&BOTH));
    let semaphore = Semaphore::new(0);
    let mut waiting = join(&semaphore, 1);
    let locked = semaphore.gate.try_lock().expect("nobody else holds it");
    advance_nanos(5);
    semaphore.add_permits(1); // leaves, since LOCKED is held
    assert!(charged().is_empty());
    semaphore.gate.serve_and_wake(locked);
    assert_eq!(charged(), [(1, 5)]);
    assert!(poll(&mut waiting));

    // So is one who goes away and lets others pass.
    let (large, mut small) = (join(&semaphore, 3), join(&semaphore, 1));
    semaphore.add_permits(1);
    advance_nanos(5);
    drop(large);
    assert_eq!(charged(), [(1, 5)], "what the small one has waited; the large one has waited for nothing");
    assert!(poll(&mut small));
    assert_eq!(blocked(), [5, 5, 5]);
}

#[test]
fn g37_a_waiter_that_was_woken_and_lost_is_charged_once() {
    set_hooks(Some(&BOTH));
    let semaphore = Semaphore::barging(0);
    let (mut first, mut second) = (join(&semaphore, 1), join(&semaphore, 1));
    for _ in 0..3 {
        advance_nanos(10);
        semaphore.add_permits(1);
        let barged = semaphore.try_acquire().expect("the front has been woken, and no more");
        barged.forget();
        assert!(!poll(&mut first), "it has lost");
        assert!(blocked().is_empty(), "the wait goes on");
    }
    assert_eq!(charged(), [(1, 20); 3], "of both, the ten since the release before");
    advance_nanos(10);
    semaphore.add_permits(1);
    assert!(poll(&mut first));
    semaphore.add_permits(1);
    assert!(poll(&mut second));
    assert_eq!(blocked(), [40, 40]);
    assert_eq!(charged(), [(1, 20), (1, 0)]);
}

#[test]
fn g37_the_block_event_is_reported_once_and_by_the_poll_that_finds_the_outcome() {
    set_hooks(Some(&BOTH));
    let semaphore = Semaphore::new(0);
    let mut waiting = join(&semaphore, 1);
    advance_nanos(5);
    assert!(!poll(&mut waiting));
    semaphore.add_permits(1);
    advance_nanos(5); // granted, and not looked at yet: that is no waiting for a permit
    assert!(blocked().is_empty());
    assert!(poll(&mut waiting));
    drop(waiting);
    assert_eq!(blocked(), [5]);
}

#[test]
fn g37_waits_that_end_without_permits_are_block_events_and_nobodys_mutex_events() {
    fn check<P: Policy>(semaphore: &Semaphore<P>) {
        set_hooks(Some(&BOTH));
        // Dropped in the middle, and at the front.
        let (first, middle, last) = (join(semaphore, 1), join(semaphore, 1), join(semaphore, 1));
        advance_nanos(1);
        drop(middle);
        advance_nanos(1);
        drop(first);
        assert_eq!(blocked(), [1, 2]);
        // At a deadline.
        let mut waiting = join(semaphore, 1);
        advance_nanos(3);
        assert!(waiting.as_mut().wait_pinned(WaitOptions::new().deadline(Instant::now())).is_err());
        drop(waiting);
        assert_eq!(blocked(), [3]);
        // By an interrupt.
        let interrupter = Interrupter::new();
        let mut waiting = join(semaphore, 1);
        advance_nanos(4);
        interrupter.interrupt();
        assert!(waiting.as_mut().wait_pinned(WaitOptions::new().interrupter(&interrupter)).is_err());
        assert_eq!(blocked(), [4]);
        assert!(charged().is_empty());
        // Who is left is charged for alone.
        semaphore.add_permits(1);
        assert_eq!(charged(), [(1, 9)]);
        // Granted, and dropped before anybody looked.
        drop(last);
        assert_eq!(blocked(), [9]);
        assert_eq!(semaphore.forget_permits(1), 1);
        // By a close.
        let mut waiting = join(semaphore, 1);
        advance_nanos(6);
        semaphore.close();
        advance_nanos(6);
        assert!(poll(&mut waiting));
        assert_eq!((blocked(), charged()), (vec![6], vec![]));
    }
    check(&Semaphore::new(0));
    check(&Semaphore::barging(0));
}

#[test]
fn g38_what_a_close_grants_is_charged_to_nobody() {
    set_hooks(Some(&BOTH));
    let semaphore = Semaphore::new(0);
    let (mut fits, mut fails) = (join(&semaphore, 1), join(&semaphore, 1));
    let locked = semaphore.gate.try_lock().expect("nobody else holds it");
    advance_nanos(5);
    semaphore.add_permits(1); // leaves, since LOCKED is held
    semaphore.gate.unlock_unserved(locked);
    semaphore.close(); // meets a front that fits
    assert!(poll(&mut fits) && poll(&mut fails));
    assert_eq!((blocked(), charged()), (vec![5, 5], vec![]));
}

#[test]
fn g36_a_wait_that_is_none_is_not_recorded() {
    set_hooks(Some(&BOTH));
    let semaphore = Semaphore::new(1);
    assert!(poll(&mut Box::pin(semaphore.acquire())));
    semaphore.add_permits(1);
    drop(semaphore.blocking_acquire());
    assert!(semaphore.acquire_many(2).wait_deadline(Instant::now()).is_err(), "it has never joined");
    assert_eq!((blocked(), charged(), readings()), (vec![], vec![], 0));
}

#[test]
fn threads_report_on_their_own_stacks() {
    fn check<P: Policy>(semaphore: &Semaphore<P>) {
        set_hooks(Some(&BOTH));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                set_hooks(Some(&BOTH));
                advance_nanos(100);
                semaphore.blocking_acquire().expect("it is open").forget();
                (blocked(), charged())
            });
            while semaphore.num_waiters() < 1 {
                std::thread::yield_now();
            }
            advance_nanos(1000);
            semaphore.add_permits(1);
            assert_eq!(waiter.join().expect("it has not panicked"), (vec![900], vec![]));
            assert_eq!((blocked(), charged()), (vec![], vec![(1, 900)]));
        });
    }
    std::thread::spawn(|| check(&Semaphore::new(0))).join().expect("strict");
    std::thread::spawn(|| check(&Semaphore::barging(0))).join().expect("barging");
}

#[test]
fn g43_off_means_that_no_clock_is_read() {
    fn check<P: Policy>(semaphore: &Semaphore<P>) {
        drop(semaphore.try_acquire());
        drop(semaphore.blocking_acquire());
        let mut all: Vec<_> = (0..2 * CAPACITY).map(|_| join(semaphore, 3)).collect();
        semaphore.add_permits(2); // three by now: the front goes
        assert!(poll(&mut all[0]));
        for acquire in &mut all[1..8] {
            assert!(!poll(acquire));
        }
        drop(all.remove(7));
        let mut timed_out = all.remove(6);
        assert!(timed_out.as_mut().wait_pinned(WaitOptions::new().deadline(Instant::now())).is_err());
        semaphore.add_permits(6);
        assert!(poll(&mut all[1]) && poll(&mut all[2]));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| {
                assert!(semaphore.acquire().wait().is_err());
                readings()
            });
            while semaphore.num_waiters() < all.len() - 3 + 1 {
                std::thread::yield_now();
            }
            semaphore.close();
            assert_eq!(waits.join().expect("it has not panicked"), 0);
        });
        assert!(all[3..].iter_mut().all(poll));
        assert_eq!((readings(), blocked(), charged()), (0, vec![], vec![]));
    }
    check(&Semaphore::new(1));
    check::<Barging>(&Semaphore::barging(1));
}

proptest::proptest! {
    /// Any script in which everybody gets what it waits for: what releases are charged with is what waiters have waited.
    #[test]
    fn g41_charges_and_waits_have_one_sum(
        script in proptest::collection::vec((1_u32..4, 0_u64..100, proptest::bool::ANY), 1..60),
        barging in proptest::bool::ANY,
    ) {
        fn run<P: Policy>(semaphore: &Semaphore<P>, script: Vec<(u32, u64, bool)>) {
            let mut all = Vec::new();
            let mut asked = 0;
            for (n, pause, joins) in script {
                advance_nanos(pause);
                if joins {
                    let mut acquire = Box::pin(semaphore.acquire_many(n));
                    if !poll(&mut acquire) {
                        all.push(acquire);
                    }
                    asked += n as usize;
                } else {
                    semaphore.add_permits(n as usize);
                    all.retain_mut(|acquire| !poll(acquire));
                }
            }
            advance_nanos(1);
            semaphore.add_permits(asked);
            while !all.is_empty() {
                all.retain_mut(|acquire| !poll(acquire));
            }
        }
        set_hooks(Some(&BOTH));
        totals();
        if barging {
            run(&Semaphore::barging(0), script);
        } else {
            run(&Semaphore::new(0), script);
        }
        let (waits, charges) = totals();
        proptest::prop_assert_eq!(waits, charges);
    }
}
