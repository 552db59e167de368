//! Counts and flags that went wrong.

use crate::common::panics::caught;
use gatepost::Semaphore;
use std::sync::Arc;

/// The number given to the constructor was ignored.
#[test]
fn b12_the_constructors_number_counts() {
    static FIVE: Semaphore = Semaphore::const_new(5);
    for (semaphore, permits) in [(&Semaphore::new(0), 0), (&Semaphore::new(3), 3), (&FIVE, 5)] {
        let held: Vec<_> = std::iter::from_fn(|| semaphore.try_acquire().ok()).collect();
        assert_eq!(held.len(), permits);
    }
}

/// Negative weights corrupted the count, and so did a release of more than there may be. Here no number is negative, and
/// a release that has no room panics and changes nothing.
#[test]
fn b12_no_number_corrupts_the_count() {
    let semaphore = Semaphore::new(2);
    for n in [usize::MAX, isize::MAX as usize + 1, Semaphore::MAX_PERMITS + 1] {
        let _ = caught(|| semaphore.add_permits(n));
        let _ = caught(|| semaphore.try_acquire_n(n).map(drop));
        let _ = caught(|| semaphore.acquire_n(n));
    }
    assert_eq!(semaphore.available_permits(), 2);
    let _ = caught(|| semaphore.add_permits(Semaphore::MAX_PERMITS - 1));
    assert_eq!(semaphore.available_permits(), 2);
    assert_eq!(semaphore.forget_permits(usize::MAX), 2);
}

/// To forget permits opened a closed semaphore again.
#[test]
fn b13_forgetting_and_draining_keep_it_closed() {
    let semaphore = Semaphore::new(5);
    semaphore.close();
    assert_eq!(semaphore.forget_permits(2), 2);
    assert!(semaphore.is_closed());
    assert_eq!(semaphore.drain_permits(), 3);
    assert!(semaphore.is_closed());
    assert_eq!(semaphore.forget_permits(1), 0);
    assert!(semaphore.is_closed() && semaphore.try_acquire().is_err());
}

/// One guard that two threads disposed of gave its permit back twice. Here a guard is dropped once, as the type system has
/// it; what may be done with it concurrently gives back what was taken.
#[test]
fn b14_however_permits_are_split_and_merged_they_come_back_once() {
    let semaphore = Arc::new(Semaphore::new(64));
    std::thread::scope(|scope| {
        for seed in 0..2_usize {
            let semaphore = &semaphore;
            scope.spawn(move || {
                for round in 0..2_000 {
                    let n = (round * 7 + seed) % 20 + 1;
                    let Ok(mut permit) = semaphore.try_acquire_n(n) else { continue };
                    let parts: Vec<_> = (0..4).filter_map(|part| permit.split((round + part) % 5)).collect();
                    for (at, part) in parts.into_iter().enumerate() {
                        if (round + at) % 2 == 0 {
                            permit.merge(part);
                        }
                    }
                }
            });
        }
    });
    assert_eq!(semaphore.available_permits(), 64);
}

/// A length computed from two counters fell below zero while both changed.
#[test]
#[cfg(feature = "std")]
fn b18_the_number_of_waiters_is_never_absurd() {
    use crate::common::leaked;
    use crate::common::task::Task;
    use crate::common::thread::start;

    const ROUNDS: usize = 20_000;
    let semaphore = leaked(0);
    let threads = [(); 2].map(|()| {
        start(|| {
            for round in 0..ROUNDS {
                let first = Task::queued(semaphore.acquire_many(2));
                let second = Task::queued(semaphore.acquire_many(3));
                if round % 2 == 0 {
                    drop(first);
                } else {
                    drop((second, first));
                }
            }
        })
    });
    while !threads.iter().all(|thread| thread.has_ended()) {
        let waiters = semaphore.num_waiters();
        assert!(waiters <= 4, "{waiters} of at most 4");
        assert_eq!(semaphore.available_permits(), 0);
    }
    threads.into_iter().for_each(|thread| thread.join());
    assert_eq!(semaphore.num_waiters(), 0);
}
