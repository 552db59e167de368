//! The barging policy from outside, with threads and the real clock. (One call after the other, exactly: the library's own
//! tests, `semaphore/tests/barging.rs`.)
#![cfg(feature = "std")]

use gatepost::{Barging, Semaphore};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Overtakings for each look at the clock, and how long a front puts up with them: what `Barging` says of itself.
const SAMPLE: usize = 16;
const PATIENCE: Duration = Duration::from_micros(250);

/// However threads are scheduled, no more acquisitions *begin* after the front's time than the sample allows.
#[test]
fn threads_pass_the_front_for_its_time() {
    const BARGERS: usize = 3;
    let semaphore = Semaphore::barging(1);
    let held = semaphore.try_acquire().unwrap();
    let mut front = pin!(semaphore.acquire());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(front.as_mut().poll(&mut cx).is_pending());
    let refused = AtomicBool::new(false);
    drop(held); // wakes the front, which does not come
    let mut tickets: Vec<Instant> = std::thread::scope(|scope| {
        let bargers: Vec<_> = (0..BARGERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut tickets = Vec::new();
                    while !refused.load(SeqCst) {
                        let begin = Instant::now();
                        match semaphore.try_acquire() {
                            Ok(_permit) => tickets.push(begin),
                            // Another barger has it, or the front: then it is gone for good.
                            Err(_) => refused.store(semaphore.num_waiters() == 0, SeqCst),
                        }
                    }
                    tickets
                })
            })
            .collect();
        bargers.into_iter().flat_map(|barger| barger.join().unwrap()).collect()
    });
    assert!(
        matches!(front.as_mut().poll(&mut cx), Poll::Ready(Ok(_))),
        "it was handed its permit, though it did not come"
    );
    tickets.sort();
    // The first of 16 overtakings looks at the clock, and each barger may have looked just before.
    let sample = SAMPLE + BARGERS;
    let first_look = tickets.get(sample).copied().unwrap_or_else(Instant::now);
    let end = first_look + PATIENCE;
    let late = tickets.iter().filter(|&&ticket| ticket > end).count();
    assert!(late <= sample, "{late} acquisitions began after the front's time");
}

/// More threads than processors, one permit each, for as long as it takes that all have had it a hundred times: nobody is
/// starved, and never are two inside.
#[test]
fn everybody_has_a_turn() {
    let semaphore = Semaphore::barging(1);
    let inside = AtomicUsize::new(0);
    let turns: Vec<AtomicUsize> = (0..16).map(|_| AtomicUsize::new(0)).collect();
    let all_had = || turns.iter().all(|turns| turns.load(SeqCst) >= 100);
    std::thread::scope(|scope| {
        for turns in &turns {
            scope.spawn(|| {
                while !all_had() {
                    let _permit = semaphore.blocking_acquire().unwrap();
                    assert_eq!(inside.fetch_add(1, SeqCst), 0, "two at a time");
                    inside.fetch_sub(1, SeqCst);
                    turns.fetch_add(1, SeqCst);
                }
            });
        }
    });
    assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (1, 0));
}

/// Threads that give up after microseconds, against one that takes and gives back (B9): no permit and no turn is lost.
#[test]
fn b9_a_storm_of_deadlines_loses_nothing() {
    let semaphore = Semaphore::<Barging>::barging(1);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(SeqCst) {
                    drop(semaphore.acquire().wait_timeout(Duration::from_micros(20)));
                }
            });
        }
        for _ in 0..2000 {
            drop(semaphore.blocking_acquire().unwrap());
        }
        over.store(true, SeqCst);
    });
    assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (1, 0));
}
