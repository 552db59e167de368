//! The barging policy: every interleaving of a few threads, under weak memory. As `loom`, with which it shares its rules.
//!
//! There is no clock here: the front's patience is out after one lost wake-up, or two overtakings.

use crate::semaphore::{AcquireError, Barging, Semaphore};
use crate::sys::explore::{bounded, join, model};
use crate::sys::mutant::{Mutant, caught};
use crate::{Interrupter, WaitError, WaitOptions};
use loom::cell::UnsafeCell;
use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use loom::thread;
use std::boxed::Box;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::vec::Vec;

type Task = Pin<Box<dyn Future<Output = Result<(), AcquireError>>>>;

/// An acquisition as a task that is polled by hand and keeps its permits.
fn task(semaphore: &Arc<Semaphore<Barging>>, n: usize) -> Task {
    let semaphore = semaphore.clone();
    Box::pin(async move {
        semaphore.acquire_n(n).await?.forget();
        Ok(())
    })
}

fn poll(task: &mut Task) -> Poll<Result<(), AcquireError>> {
    task.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn barging(permits: usize) -> Arc<Semaphore<Barging>> {
    Arc::new(Semaphore::barging(permits))
}

async fn acquire(semaphore: &Semaphore<Barging>, n: usize) -> Result<(), AcquireError> {
    semaphore.acquire_n(n).await?.forget();
    Ok(())
}

/// One permit, two tasks and a thread: never two at a time, and everybody's turn comes.
#[test]
fn one_at_a_time() {
    bounded(1, || {
        let shared = Arc::new((Semaphore::barging(1), AtomicUsize::new(0)));
        let enter = |shared: &(Semaphore<Barging>, AtomicUsize)| {
            assert_eq!(shared.1.fetch_add(1, SeqCst), 0, "two at a time");
            shared.1.fetch_sub(1, SeqCst);
            shared.0.add_permits(1);
        };
        let tasks = (0..2).map(|_| {
            let shared = shared.clone();
            thread::spawn(move || {
                block_on(acquire(&shared.0, 1)).unwrap();
                enter(&shared);
            })
        });
        let tasks: Vec<_> = tasks.collect();
        shared.0.acquire().wait().unwrap().forget();
        enter(&shared);
        join(tasks);
        assert_eq!((shared.0.available_permits(), shared.0.num_waiters()), (1, 0));
    });
}

/// A release against a waiter that joins, and against one that takes what it came for.
#[test]
fn a_release_reaches_the_waiter() {
    model(|| {
        let semaphore = barging(0);
        let releaser = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.add_permits(1))
        };
        block_on(acquire(&semaphore, 1)).unwrap();
        releaser.join().unwrap();
        assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (0, 0));
    });
}

/// The front needs two; they come one by one while it joins, is woken, loses, and goes back to sleep.
#[test]
fn permits_that_come_while_the_front_goes_back_to_sleep_are_seen() {
    model(|| {
        let semaphore = barging(0);
        let waiter = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.acquire_n(2).wait().unwrap().forget())
        };
        let releaser = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.add_permits(1))
        };
        semaphore.add_permits(1);
        releaser.join().unwrap();
        waiter.join().unwrap();
        assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (0, 0));
    });
}

#[test]
fn an_unlock_that_does_not_look_strands_the_front() {
    caught(
        Mutant::UnlockUnseen,
        "semaphore::tests::loom_barging::permits_that_come_while_the_front_goes_back_to_sleep_are_seen",
        "deadlock",
    );
}

/// A barger takes and gives back a permit, and the waiter whose wake-up was in vain is woken again.
#[test]
fn a_waiter_that_loses_is_woken_again() {
    model(|| {
        let semaphore = barging(1);
        let waiter = {
            let semaphore = semaphore.clone();
            thread::spawn(move || block_on(acquire(&semaphore, 1)).unwrap())
        };
        for _ in 0..2 {
            if let Ok(permit) = semaphore.try_acquire() {
                drop(permit);
            }
        }
        waiter.join().unwrap();
        assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (0, 0));
    });
}

/// The woken front goes away: its turn goes to the next.
#[test]
fn b5_a_turn_that_is_not_taken_goes_to_the_next() {
    model(|| {
        let semaphore = barging(0);
        let mut front = task(&semaphore, 1);
        assert!(poll(&mut front).is_pending());
        let behind = {
            let semaphore = semaphore.clone();
            thread::spawn(move || block_on(acquire(&semaphore, 1)).unwrap())
        };
        let releaser = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.add_permits(1))
        };
        drop(front);
        behind.join().unwrap();
        releaser.join().unwrap();
        assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (0, 0));
    });
}

#[test]
fn b5_a_turn_that_is_lost_strands_the_next() {
    caught(
        Mutant::TurnLost,
        "semaphore::tests::loom_barging::b5_a_turn_that_is_not_taken_goes_to_the_next",
        "deadlock",
    );
}

/// A front whose patience is out is granted its permit while it comes to compete for it: it takes once.
#[test]
fn a_grant_and_a_competing_front_take_once() {
    model(|| {
        let semaphore = barging(0);
        let mut front = task(&semaphore, 1);
        let mut second = task(&semaphore, 1);
        assert!(poll(&mut front).is_pending() && poll(&mut second).is_pending());
        semaphore.add_permits(2); // wakes the front
        let barger = {
            let semaphore = semaphore.clone();
            thread::spawn(move || {
                (0..3).for_each(|_| drop(semaphore.try_acquire()));
                semaphore.add_permits(1);
            })
        };
        assert!(poll(&mut front).is_ready(), "there was a permit all the time");
        barger.join().unwrap();
        assert!(poll(&mut second).is_ready(), "permits were taken twice");
        assert_eq!(semaphore.available_permits(), 1, "permits were taken twice");
    });
}

/// Two bargers that never stop to take and give back; the front is passed a bounded number of times.
#[test]
fn a_front_whose_patience_is_out_is_not_passed() {
    model(|| {
        let semaphore = barging(1);
        let held = semaphore.try_acquire().unwrap();
        let mut front = task(&semaphore, 1);
        assert!(poll(&mut front).is_pending());
        drop(held);
        let barger = {
            let semaphore = semaphore.clone();
            thread::spawn(move || (0..5).filter(|_| semaphore.try_acquire().is_ok()).count())
        };
        // The front is not polled: two overtakings, one that sees that its patience is out, and one for the lock.
        let passed = barger.join().unwrap();
        assert!(passed <= 3, "passed {passed} times");
        assert!(poll(&mut front).is_ready());
    });
}

#[test]
fn a_front_with_endless_patience_is_passed_for_ever() {
    caught(
        Mutant::EndlessPatience,
        "semaphore::tests::loom_barging::a_front_whose_patience_is_out_is_not_passed",
        "passed 5 times",
    );
}

/// A front of weight two that is protected, against a newcomer that would take one of its permits.
#[test]
fn a_protected_front_gets_every_permit() {
    model(|| {
        let semaphore = barging(1);
        let mut front = task(&semaphore, 2);
        assert!(poll(&mut front).is_pending());
        for _ in 0..3 {
            drop(semaphore.try_acquire()); // until its patience is out
        }
        assert!(semaphore.try_acquire().is_err(), "a protected front was passed");
        let newcomer = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.try_acquire().map(|permit| permit.forget()).is_ok())
        };
        semaphore.add_permits(1);
        assert!(!newcomer.join().unwrap(), "a protected front was passed");
        assert!(poll(&mut front).is_ready());
        assert_eq!(semaphore.available_permits(), 0);
    });
}

#[test]
fn a_newcomer_that_passes_a_protected_front_is_seen() {
    caught(
        Mutant::PassProtected,
        "semaphore::tests::loom_barging::a_protected_front_gets_every_permit",
        "a protected front was passed",
    );
}

/// A waiter whose deadline comes at the instant of a release has its permit or has left it.
#[test]
fn a_deadline_at_the_instant_of_the_release_loses_nothing() {
    model(|| {
        let semaphore = barging(0);
        let waiter = {
            let semaphore = semaphore.clone();
            thread::spawn(move || {
                let mut acquire = Box::pin(semaphore.acquire());
                let _ = acquire.as_mut().poll(&mut Context::from_waker(Waker::noop())).map_ok(|permit| permit.forget());
                if acquire.0.is_done() {
                    return 1;
                }
                match acquire.as_mut().wait_pinned(WaitOptions::new().deadline(std::time::Instant::now())) {
                    Ok(permit) => {
                        permit.forget();
                        1
                    }
                    Err(error) => {
                        assert_eq!(error, WaitError::TimedOut);
                        0
                    }
                }
            })
        };
        semaphore.add_permits(1);
        let got = waiter.join().unwrap();
        assert_eq!(got + semaphore.available_permits(), 1);
        assert_eq!(semaphore.num_waiters(), 0);
    });
}

/// An interrupt at the instant of the release: the permit, and the interrupt stays; or the interrupt, and the permit stays.
#[test]
fn an_interrupt_at_the_instant_of_the_release_loses_nothing() {
    bounded(1, || {
        let shared = Arc::new((Semaphore::barging(0), Interrupter::new()));
        let releaser = shared.clone();
        let interrupting = shared.clone();
        let releaser = thread::spawn(move || releaser.0.add_permits(1));
        let interrupting = thread::spawn(move || interrupting.1.interrupt());
        let result = shared.0.acquire().wait_interruptible(&shared.1).map(|permit| permit.forget());
        releaser.join().unwrap();
        interrupting.join().unwrap();
        match result {
            Ok(()) => assert!(shared.1.is_pending() && shared.0.available_permits() == 0),
            Err(error) => {
                assert_eq!(error, WaitError::Interrupted);
                assert!(!shared.1.is_pending() && shared.0.available_permits() == 1);
            }
        }
    });
}

/// Close against a waiting thread, a release and an attempt: everybody ends, nothing is lost.
#[test]
fn t36_close_against_everything() {
    model(|| {
        let semaphore = barging(0);
        let blocking = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.acquire().wait().map(|permit| permit.forget()).is_ok())
        };
        let releasing = {
            let semaphore = semaphore.clone();
            thread::spawn(move || {
                semaphore.add_permits(1);
                semaphore.try_acquire().map(|permit| permit.forget()).is_ok()
            })
        };
        semaphore.close();
        let got = usize::from(blocking.join().unwrap()) + usize::from(releasing.join().unwrap());
        assert_eq!(got + semaphore.available_permits(), 1);
        assert!(semaphore.is_closed() && semaphore.num_waiters() == 0);
    });
}

/// No poll that starts after `close` returned is pending, though another thread may still be telling the rest.
#[test]
fn t33_after_close_nothing_is_pending() {
    model(|| {
        let semaphore = barging(0);
        let mut tasks: Vec<_> = (0..3).map(|_| task(&semaphore, 1)).collect(); // one more than a batch
        tasks.iter_mut().for_each(|task| assert!(poll(task).is_pending()));
        let helper = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.add_permits(1))
        };
        semaphore.close();
        let served = tasks.iter_mut().map(poll).filter(|answer| match answer {
            Poll::Ready(result) => result.is_ok(),
            Poll::Pending => panic!("pending after close"),
        });
        assert!(served.count() <= 1);
        helper.join().unwrap();
    });
}

/// More permits than the front needs: it hands the turn on, and all are served, one after the other.
#[test]
fn a_chain_serves_everybody() {
    model(|| {
        let semaphore = barging(0);
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let semaphore = semaphore.clone();
                thread::spawn(move || block_on(acquire(&semaphore, 1)).unwrap())
            })
            .collect();
        semaphore.add_permits(2);
        join(waiters);
        assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (0, 0));
    });
}

/// What was written before a release is seen by the waiter that takes its permit.
#[test]
fn t43_a_permit_publishes() {
    model(|| {
        let shared = Arc::new((Semaphore::barging(0), UnsafeCell::new(0)));
        let releaser = {
            let shared = shared.clone();
            thread::spawn(move || {
                // SAFETY: nobody reads before the release.
                shared.1.with_mut(|value| unsafe { *value = 1 });
                shared.0.add_permits(1);
            })
        };
        shared.0.acquire().wait().unwrap().forget();
        // SAFETY: the releaser wrote before it released.
        assert_eq!(shared.1.with(|value| unsafe { *value }), 1);
        releaser.join().unwrap();
    });
}
