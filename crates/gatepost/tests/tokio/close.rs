//! `close`: who is told, what stays valid, what the errors say.

use crate::common::task::Task;
use gatepost::{AcquireError, Semaphore, TryAcquireError};
use std::sync::Arc;

#[test]
fn t23_acquiring_from_a_closed_semaphore_fails() {
    macro_rules! check {
        ($on:expr, $acquire:ident, $try_acquire:ident, $blocking:ident, ($($n:expr)?), $count:expr) => {
            let error: AcquireError = Task::new($on.$acquire($($n)?)).error();
            assert_eq!(error.to_string(), "semaphore closed");
        };
    }
    let semaphore = Arc::new(Semaphore::new(4));
    semaphore.close();
    each_form!(check, semaphore);
    assert_eq!(semaphore.available_permits(), 4);
}

#[test]
fn t23_errors_say_what_tokio_says() {
    let (closed, none) = (TryAcquireError::Closed, TryAcquireError::NoPermits);
    assert_eq!((closed.to_string(), none.to_string()), ("semaphore closed".into(), "no permits available".into()));
    assert_eq!((closed.is_closed(), closed.is_no_permits()), (true, false));
    assert_eq!((none.is_closed(), none.is_no_permits()), (false, true));
    assert_eq!((format!("{closed:?}"), format!("{none:?}")), ("Closed".into(), "NoPermits".into()));
    assert_ne!(closed, none);
    match closed {
        TryAcquireError::Closed | TryAcquireError::NoPermits => {} // and no third: this match is the check
    }
    let semaphore = Semaphore::new_closed();
    let error = Task::new(semaphore.acquire()).error();
    assert_eq!(format!("{error:?}"), "AcquireError(())");
    assert_eq!(error, error.clone());
}

#[test]
#[cfg(feature = "std")]
fn wait_errors_say_which_of_the_three() {
    use gatepost::WaitError;

    let texts = [WaitError::Closed, WaitError::TimedOut, WaitError::Interrupted].map(|error| error.to_string());
    assert_eq!(texts[0], "semaphore closed");
    assert!(texts[1].contains("timed out") && texts[2].contains("interrupted"), "{texts:?}");
    let error = Task::new(Semaphore::new_closed().acquire()).error();
    assert_eq!(WaitError::from(error), WaitError::Closed);
}

#[test]
fn t33_close_tells_everybody_who_waits() {
    for waiters in [1, 2, 31, 32, 33, 100] {
        let semaphore = Semaphore::new(1);
        let mut queue: Vec<_> = (0..waiters).map(|_| Task::queued(semaphore.acquire_many(2))).collect();
        semaphore.close();
        assert_eq!(semaphore.num_waiters(), 0);
        for task in &mut queue {
            assert_eq!(task.wakes(), 1);
            let _ = task.error();
        }
        assert_eq!(semaphore.available_permits(), 1);
    }
}

#[test]
fn t33_close_is_idempotent() {
    let semaphore = Semaphore::new(1);
    let mut queued = Task::queued(semaphore.acquire_many(2));
    for _ in 0..3 {
        semaphore.close();
        assert!(semaphore.is_closed());
        assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 1));
    }
    assert_eq!(queued.wakes(), 1);
    let _ = queued.error();
    semaphore.close();
    assert_eq!(queued.wakes(), 1);
}

/// Whoever was complete before has its permits, even if it looks only afterwards.
#[test]
fn t33_a_grant_before_close_stays_one() {
    let semaphore = Semaphore::new(0);
    let mut granted = Task::queued(semaphore.acquire_many(2));
    let mut waiting = Task::queued(semaphore.acquire());
    semaphore.add_permits(2);
    semaphore.close();
    let permit = granted.permit();
    assert_eq!(permit.num_permits(), 2);
    let _ = waiting.error();
    drop(permit);
    assert_eq!(semaphore.available_permits(), 2);
}

/// Met another way: the permits that were kept for the front never left the count, so they show at once and not only when
/// the future is dropped.
#[test]
fn t34_what_was_kept_for_the_front_is_there_after_close() {
    let semaphore = Semaphore::new(3);
    let mut queued = Task::queued(semaphore.acquire_many(5));
    semaphore.add_permits(1);
    assert_eq!(semaphore.available_permits(), 0);
    semaphore.close();
    assert_eq!(semaphore.available_permits(), 4);
    let _ = queued.error();
    drop(queued);
    assert_eq!(semaphore.available_permits(), 4);
}

#[test]
fn t35_permits_in_use_stay_valid_and_go_back() {
    let semaphore = Semaphore::new(5);
    let mut permit = semaphore.try_acquire_many(4).expect("free");
    semaphore.close();
    assert_eq!(semaphore.available_permits(), 1);
    drop(permit.split(1));
    assert_eq!(semaphore.available_permits(), 2);
    permit.split(1).expect("1 of 3").forget();
    drop(permit);
    assert_eq!(semaphore.available_permits(), 4);
    assert!(semaphore.is_closed());
}

/// The interleavings are the model checker's; this looks that real threads, tasks and polls come out of it too.
#[test]
#[cfg(feature = "std")]
fn t36_close_against_acquire_never_hangs() {
    use crate::common::leaked;
    use crate::common::thread::start;
    use std::sync::Barrier;

    const ROUNDS: usize = 500;
    let round = |permits: usize| {
        let semaphore = leaked(permits);
        let barrier: &Barrier = Box::leak(Box::new(Barrier::new(2)));
        let waiting = start(move || {
            barrier.wait();
            semaphore.acquire_many(2).wait().map(|permit| permit.num_permits())
        });
        let mut task = Task::new(semaphore.acquire());
        barrier.wait();
        let polled = task.is_pending();
        semaphore.close();
        if polled {
            assert!(!task.is_pending(), "close has returned");
        }
        let waited = waiting.join();
        assert!(waited.is_err() || permits >= 2, "a wait for 2 of {permits} succeeded");
        drop(task);
        assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, permits));
    };
    for permits in 0..ROUNDS {
        round(permits % 4);
    }
}
