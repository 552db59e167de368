//! Waits that another thread ends.

use crate::common::leaked;
use crate::common::panics::caught;
use crate::common::task::Task;
use crate::common::thread::{start, until, until_queued, within_limit};
use gatepost::{Interrupter, Semaphore, WaitError, WaitOptions};
use std::time::{Duration, Instant};

fn interrupter() -> &'static Interrupter {
    Box::leak(Box::default())
}

#[test]
fn p3_an_interrupt_before_the_wait_ends_it() {
    let semaphore = leaked(0);
    let interrupter = interrupter();
    interrupter.interrupt();
    assert!(interrupter.is_pending());
    let result = within_limit(move || semaphore.acquire().wait_interruptible(interrupter).map(drop));
    assert_eq!(result, Err(WaitError::Interrupted));
    assert!(!interrupter.is_pending(), "the wait that it ended has consumed it");
    assert_eq!(semaphore.num_waiters(), 0);
}

#[test]
fn p3_an_interrupt_during_the_wait_ends_it() {
    let semaphore = leaked(2);
    let interrupter = interrupter();
    let waiting = start(move || semaphore.acquire_many(3).wait_interruptible(interrupter).map(drop));
    until_queued(semaphore, 1);
    interrupter.interrupt();
    assert_eq!(waiting.join(), Err(WaitError::Interrupted));
    assert!(!interrupter.is_pending());
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 2));
}

#[test]
fn p3_a_wait_without_the_interrupter_goes_on_and_the_interrupt_stays() {
    let semaphore = leaked(0);
    let interrupter = interrupter();
    interrupter.interrupt();
    let waiting = start(|| semaphore.acquire().wait().expect("open").forget());
    until_queued(semaphore, 1);
    interrupter.interrupt();
    assert!(!waiting.has_ended());
    semaphore.add_permits(1);
    waiting.join();
    assert!(interrupter.is_pending());
}

#[test]
fn p3_the_wait_after_an_interrupted_one_is_not_interrupted() {
    let semaphore = leaked(0);
    let interrupter = interrupter();
    interrupter.interrupt();
    interrupter.interrupt(); // they do not add up
    let waiting = start(move || {
        let first = semaphore.acquire().wait_interruptible(interrupter).map(drop);
        let second = semaphore.acquire().wait_interruptible(interrupter).map(|permit| permit.forget());
        (first, second)
    });
    until_queued(semaphore, 1);
    semaphore.add_permits(1);
    assert_eq!(waiting.join(), (Err(WaitError::Interrupted), Ok(())));
}

#[test]
fn interrupts_end_wait_after_wait() {
    const ROUNDS: usize = 500;
    let semaphore = leaked(0);
    let interrupter = interrupter();
    let waiting = start(move || {
        for _ in 0..ROUNDS {
            let result = semaphore.acquire().wait_interruptible(interrupter).map(drop);
            assert_eq!(result, Err(WaitError::Interrupted));
        }
    });
    for _ in 0..ROUNDS {
        // The next is sent when this one has been consumed, whether the wait has begun by then or not.
        interrupter.interrupt();
        until("the interrupt has been consumed", || !interrupter.is_pending());
    }
    waiting.join();
    assert_eq!(semaphore.num_waiters(), 0);
}

#[test]
fn free_permits_win_over_an_interrupt_and_leave_it_pending() {
    let semaphore = Semaphore::new(2);
    let interrupter = Interrupter::new();
    interrupter.interrupt();
    assert_eq!(semaphore.acquire_many(2).wait_interruptible(&interrupter).expect("free").num_permits(), 2);
    assert!(interrupter.is_pending());
    let mut granted = Task::queued(semaphore.acquire_many(3));
    semaphore.add_permits(1);
    let options = WaitOptions::new().interrupter(&interrupter);
    assert_eq!(granted.pinned().wait_pinned(options).expect("granted").num_permits(), 3);
    assert!(interrupter.is_pending());
}

#[test]
fn an_interrupt_that_is_taken_back_ends_nothing() {
    let semaphore = leaked(0);
    let interrupter = interrupter();
    assert!(!interrupter.clear());
    interrupter.interrupt();
    assert!(interrupter.clear());
    assert!(!interrupter.is_pending() && !interrupter.clear());
    let waiting = start(move || semaphore.acquire().wait_interruptible(interrupter).map(|permit| permit.forget()));
    until_queued(semaphore, 1);
    assert!(!interrupter.is_pending() && !interrupter.clear(), "a wait in progress is no interrupt");
    semaphore.add_permits(1);
    assert_eq!(waiting.join(), Ok(()));
}

#[test]
fn an_interrupter_is_free_again_however_the_wait_ends() {
    let semaphore = leaked(0);
    let interrupter = interrupter();
    for _ in 0..3 {
        let waiting = start(move || semaphore.acquire().wait_interruptible(interrupter).map(|permit| permit.forget()));
        until_queued(semaphore, 1);
        semaphore.add_permits(1);
        assert_eq!(waiting.join(), Ok(()));
        let options = WaitOptions::new().interrupter(interrupter).timeout(Duration::from_millis(1));
        assert_eq!(semaphore.acquire().wait_with(options).unwrap_err(), WaitError::TimedOut);
    }
    let waiting = start(move || semaphore.acquire().wait_interruptible(interrupter).map(drop));
    until_queued(semaphore, 1);
    semaphore.close();
    assert_eq!(waiting.join(), Err(WaitError::Closed));
    interrupter.interrupt();
    assert_eq!(semaphore.acquire().wait_interruptible(interrupter).unwrap_err(), WaitError::Closed);
    assert!(interrupter.is_pending(), "a wait that ends because of the close leaves it");
}

#[test]
fn a_deadline_and_an_interrupt_at_once_are_a_time_out() {
    let semaphore = leaked(0);
    let interrupter = interrupter();
    interrupter.interrupt();
    let options = WaitOptions::new().interrupter(interrupter).deadline(Instant::now());
    let result = within_limit(move || semaphore.acquire().wait_with(options).map(drop));
    assert_eq!(result, Err(WaitError::TimedOut));
    assert!(interrupter.is_pending());
    let options = WaitOptions::new().timeout(Duration::from_secs(600)).interrupter(interrupter);
    let result = within_limit(move || semaphore.acquire().wait_with(options).map(drop));
    assert_eq!(result, Err(WaitError::Interrupted));
}

#[test]
fn a_front_that_is_interrupted_lets_the_next_in() {
    let semaphore = leaked(2);
    let interrupter = interrupter();
    let front = start(move || semaphore.acquire_many(3).wait_interruptible(interrupter).map(drop));
    until_queued(semaphore, 1);
    let mut behind = Task::queued(semaphore.acquire_many(2));
    interrupter.interrupt();
    assert_eq!(front.join(), Err(WaitError::Interrupted));
    assert_eq!(behind.permit().num_permits(), 2);
}

/// The second wait's panic leaves the first wait, the queue and the interrupter as they were.
#[test]
fn a_second_wait_with_the_same_interrupter_panics_and_harms_nothing() {
    let semaphore = leaked(0);
    let interrupter = interrupter();
    let first = start(move || semaphore.acquire().wait_interruptible(interrupter).map(|permit| permit.forget()));
    until_queued(semaphore, 1);
    until("the first wait uses the interrupter", || format!("{interrupter:?}").contains("waiting: true"));
    within_limit(move || {
        let panic = caught(|| semaphore.acquire().wait_interruptible(interrupter).map(drop));
        assert!(panic.message().contains("an interrupter serves one wait at a time"), "{}", panic.message());
    });
    assert_eq!(semaphore.num_waiters(), 1);

    // One that has its place in the queue already leaves it.
    let mut queued = Task::queued(semaphore.acquire_many(2));
    let mut behind = Task::queued(semaphore.acquire_many(3));
    within_limit(move || {
        let options = WaitOptions::new().interrupter(interrupter);
        let _ = caught(|| queued.pinned().wait_pinned(options).map(drop));
    });
    assert_eq!(semaphore.num_waiters(), 2);

    semaphore.add_permits(3);
    assert!(behind.is_pending());
    interrupter.interrupt();
    assert_eq!(first.join(), Ok(()), "it was granted before it was interrupted");
    assert!(interrupter.clear());
    semaphore.add_permits(1);
    assert_eq!(behind.permit().num_permits(), 3);
}

#[test]
fn debug_of_an_interrupter_shows_what_it_does() {
    let interrupter = Interrupter::new();
    assert_eq!(format!("{interrupter:?}"), "Interrupter { pending: false, waiting: false }");
    interrupter.interrupt();
    assert_eq!(format!("{interrupter:?}"), "Interrupter { pending: true, waiting: false }");
}

/// Interrupts and grants at the same instants: each wait has its permits or has given them back.
#[test]
fn an_interrupt_at_the_instant_of_the_grant_loses_and_doubles_nothing() {
    const ROUNDS: usize = 2_000;
    let semaphore = leaked(0);
    let interrupter = interrupter();
    let waiting = start(move || {
        let mut granted = 0;
        for _ in 0..ROUNDS {
            if let Ok(permit) = semaphore.acquire_many(2).wait_interruptible(interrupter) {
                permit.forget();
                granted += 1;
            }
        }
        granted
    });
    let mut released = 0;
    while !waiting.has_ended() {
        semaphore.add_permits(1);
        released += 1;
        interrupter.interrupt();
        std::thread::yield_now();
    }
    let granted: usize = waiting.join();
    assert_eq!(semaphore.num_waiters(), 0);
    assert_eq!(semaphore.available_permits(), released - 2 * granted);
}
