//! Waits that end at a time.

use crate::common::leaked;
use crate::common::task::Task;
use crate::common::thread::{start, until, until_queued, within_limit};
use gatepost::{Semaphore, WaitError, WaitOptions};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Times that are over before the wait begins, or as good as.
const AT_ONCE: [Duration; 2] = [Duration::ZERO, Duration::from_nanos(1)];

fn past() -> Instant {
    let now = Instant::now();
    now.checked_sub(Duration::from_secs(1)).unwrap_or(now)
}

#[test]
fn a_wait_is_over_no_earlier_than_its_deadline() {
    let semaphore = leaked(0);
    for timeout in [1, 50, 300, 1_000, 20_000].map(Duration::from_micros) {
        let took = within_limit(move || {
            let start = Instant::now();
            assert_eq!(semaphore.acquire().wait_timeout(timeout).unwrap_err(), WaitError::TimedOut);
            start.elapsed()
        });
        assert!(took >= timeout, "{took:?} of {timeout:?}");
        let (deadline, ended) = within_limit(move || {
            let deadline = Instant::now() + timeout;
            assert_eq!(semaphore.acquire().wait_deadline(deadline).unwrap_err(), WaitError::TimedOut);
            (deadline, Instant::now())
        });
        assert!(ended >= deadline, "{:?} too early", deadline - ended);
    }
    assert_eq!(semaphore.num_waiters(), 0);
}

#[test]
fn p2_free_permits_win_over_an_expired_deadline() {
    let semaphore = Semaphore::new(3);
    for timeout in AT_ONCE {
        assert_eq!(semaphore.acquire_many(3).wait_timeout(timeout).expect("free").num_permits(), 3);
    }
    assert_eq!(semaphore.acquire_many(3).wait_deadline(past()).expect("free").num_permits(), 3);
    assert!(semaphore.acquire_many(0).wait_deadline(past()).is_ok());
    assert_eq!(semaphore.available_permits(), 3);
}

/// x/sync fails an acquisition whose context is over already, even if permits are free; and if it is over at the instant
/// of the grant, the permits go back. Here permits that are there win, in both cases: nothing has to go back.
#[test]
fn p5_met_the_other_way_a_grant_wins_over_a_deadline() {
    let semaphore = Semaphore::new(0);
    let mut granted = Task::queued(semaphore.acquire_many(2));
    semaphore.add_permits(2);
    let permit = granted.pinned().wait_pinned(WaitOptions::new().deadline(past())).expect("granted");
    assert_eq!(permit.num_permits(), 2);
}

#[test]
fn p2_an_expired_deadline_passes_nobody() {
    let semaphore = leaked(2);
    let mut head = Task::queued(semaphore.acquire_many(3));
    for timeout in AT_ONCE {
        let result = within_limit(move || semaphore.acquire().wait_timeout(timeout).map(drop));
        assert_eq!((result, semaphore.num_waiters()), (Err(WaitError::TimedOut), 1));
    }
    assert_eq!(semaphore.acquire().wait_deadline(past()).unwrap_err(), WaitError::TimedOut);
    assert!(semaphore.acquire_many(0).wait_deadline(past()).is_ok(), "none are always there");
    semaphore.add_permits(1);
    assert_eq!(head.permit().num_permits(), 3);
}

#[test]
fn p2_a_timed_wait_has_its_place_in_the_queue() {
    let semaphore = leaked(2);
    let timed = start(|| {
        let permit = semaphore.acquire_many(3).wait_timeout(Duration::from_secs(600)).expect("in time");
        permit.num_permits()
    });
    until_queued(semaphore, 1);
    let mut behind = Task::queued(semaphore.acquire());
    assert!(semaphore.try_acquire().is_err());
    semaphore.add_permits(1);
    assert_eq!(timed.join(), 3);
    behind.permit().forget();
    assert_eq!(semaphore.available_permits(), 2);
}

#[test]
fn a_wait_without_permits_and_without_time_fails_at_once() {
    let semaphore = leaked(0);
    for timeout in AT_ONCE {
        let error = within_limit(move || semaphore.acquire().wait_timeout(timeout).map(drop));
        assert_eq!(error, Err(WaitError::TimedOut));
    }
    let error = within_limit(|| semaphore.acquire().wait_deadline(past()).map(drop));
    assert_eq!(error, Err(WaitError::TimedOut));
    assert_eq!(semaphore.num_waiters(), 0);
}

#[test]
fn a_duration_beyond_the_clock_is_no_deadline() {
    let semaphore = leaked(0);
    let waiting = [
        start(|| semaphore.acquire().wait_timeout(Duration::MAX).map(|permit| permit.forget())),
        start(|| {
            let options = WaitOptions::new().deadline(past()).timeout(Duration::MAX); // the last word counts
            semaphore.acquire().wait_with(options).map(|permit| permit.forget())
        }),
        start(|| semaphore.acquire().wait_with(WaitOptions::new()).map(|permit| permit.forget())),
        start(|| {
            let far = Duration::from_secs(100 * 365 * 24 * 3600);
            semaphore.acquire().wait_timeout(far).map(|permit| permit.forget())
        }),
    ];
    until_queued(semaphore, waiting.len());
    semaphore.add_permits(waiting.len());
    for thread in waiting {
        thread.join().expect("permits");
    }
}

#[test]
fn a_wait_that_timed_out_has_left_the_queue_and_holds_nothing() {
    let semaphore = Semaphore::new(2);
    assert_eq!(semaphore.acquire_many(3).wait_timeout(Duration::from_millis(1)).unwrap_err(), WaitError::TimedOut);
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 2));
}

#[test]
fn a_front_that_times_out_lets_the_next_in() {
    let semaphore = leaked(2);
    let mut front = Task::queued(semaphore.acquire_many(3));
    let behind = start(|| semaphore.acquire_many(2).wait().expect("open").forget());
    until_queued(semaphore, 2);
    let options = WaitOptions::new().timeout(Duration::from_millis(1));
    assert_eq!(front.pinned().wait_pinned(options).map(drop), Err(WaitError::TimedOut));
    behind.join();
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 0));
}

#[test]
fn closed_comes_before_the_deadline() {
    let semaphore = Semaphore::new(1);
    semaphore.close();
    for timeout in AT_ONCE.into_iter().chain([Duration::from_secs(1)]) {
        assert_eq!(semaphore.acquire().wait_timeout(timeout).unwrap_err(), WaitError::Closed);
    }
    assert_eq!(semaphore.acquire().wait_deadline(past()).unwrap_err(), WaitError::Closed);

    let semaphore = leaked(0);
    let waiting = start(|| semaphore.acquire().wait_timeout(Duration::from_secs(600)).map(drop));
    until_queued(semaphore, 1);
    semaphore.close();
    assert_eq!(waiting.join(), Err(WaitError::Closed));
}

#[test]
#[cfg(feature = "alloc")]
fn owned_futures_wait_with_a_deadline_too() {
    use std::sync::Arc;

    let semaphore = Arc::new(Semaphore::new(3));
    let permit = semaphore.clone().acquire_many_owned(2).wait_deadline(past()).expect("free");
    let error = semaphore.clone().acquire_many_owned(2).wait_timeout(Duration::from_millis(1)).unwrap_err();
    assert_eq!(error, WaitError::TimedOut);
    let error = semaphore.clone().acquire_n_owned(2).wait_with(WaitOptions::new().timeout(Duration::ZERO)).unwrap_err();
    assert_eq!(error, WaitError::TimedOut);
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits(), permit.num_permits()), (0, 1, 2));
    drop(permit);
    assert_eq!(Arc::strong_count(&semaphore), 1, "a wait that failed kept its handle");
}

/// A release that is aimed at the deadline: the wait has its permit, or has left it.
#[test]
fn a_time_out_at_the_instant_of_the_grant_loses_and_doubles_nothing() {
    const ROUNDS: usize = 4_000;
    let semaphore = leaked(0);
    let begin = Instant::now();
    // In nanoseconds from the beginning; 0 once the release is done.
    let aimed_at: &'static AtomicU64 = Box::leak(Box::default());
    let releasing = start(move || {
        for round in 0..ROUNDS as u64 {
            until("there is a deadline", || aimed_at.load(Ordering::Acquire) != 0);
            let at = Duration::from_nanos(aimed_at.load(Ordering::Acquire) + round * 37 % 3_000);
            while begin.elapsed() < at {
                std::hint::spin_loop();
            }
            semaphore.add_permits(1);
            aimed_at.store(0, Ordering::Release);
        }
    });
    for round in 0..ROUNDS {
        let deadline = Instant::now() + Duration::from_micros(20);
        aimed_at.store((deadline - begin).as_nanos() as u64, Ordering::Release);
        let result = semaphore.acquire().wait_deadline(deadline).map(|permit| permit.forget());
        until("the release is done", || aimed_at.load(Ordering::Acquire) == 0);
        assert_eq!(semaphore.forget_permits(2), usize::from(result.is_err()), "in round {round}: {result:?}");
    }
    releasing.join();
    assert_eq!(semaphore.num_waiters(), 0);
}
