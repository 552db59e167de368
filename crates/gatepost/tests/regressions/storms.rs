//! Many threads at once, in bounded numbers of rounds.

use crate::common::leaked;
use crate::common::thread::{start, until};
use gatepost::{Semaphore, WaitOptions};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A storm of waits that time out after a microsecond kept the queue busy with being cleaned, so that permits which had
/// been released were never taken.
#[test]
fn b9_a_storm_of_short_waits_does_not_keep_permits_from_being_taken() {
    const WIDTH: usize = 4;
    const ROUNDS: usize = 1_500;
    static RELEASED: AtomicBool = AtomicBool::new(false);
    static STORMING: AtomicUsize = AtomicUsize::new(0);
    let semaphore = leaked(0);
    let threads: Vec<_> = (0..WIDTH)
        .map(|_| {
            start(move || {
                for round in 0.. {
                    if round == ROUNDS {
                        STORMING.fetch_add(1, Ordering::Relaxed);
                    }
                    // Before the release nothing is to be had. After it there is one for each thread: it is had at once.
                    let all_are_there = RELEASED.load(Ordering::Acquire);
                    match semaphore.acquire().wait_timeout(Duration::from_micros(1)) {
                        Ok(permit) => return permit.forget(),
                        Err(_) => assert!(!all_are_there, "one for each was released, and this thread got none"),
                    }
                }
            })
        })
        .collect();
    until("the storm has raged", || STORMING.load(Ordering::Relaxed) == WIDTH);
    semaphore.add_permits(WIDTH);
    RELEASED.store(true, Ordering::Release);
    for thread in threads {
        thread.join();
    }
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 0));
}

/// The one that releases touched the semaphore after the one that it woke had freed it. What a reference promises rules
/// that out for the semaphore itself; here the last handle goes, with the waiter's node, right after the grant. (Freeing
/// without a handle is a promise that only the address-keyed semaphore makes.) A late touch is one of freed memory: seen
/// under an address sanitizer, not otherwise.
#[test]
fn b11_a_waiter_may_drop_the_semaphore_right_after_its_grant() {
    const ROUNDS: usize = 10_000;
    let (give, take) = mpsc::sync_channel::<Arc<Semaphore>>(1);
    let releasing = start(move || {
        for semaphore in take {
            // A wait that is granted in the queue, not before; but not for ever: the other may wait for the processor.
            (0..1_000).find(|_| semaphore.num_waiters() > 0);
            semaphore.add_permits(1);
        }
    });
    for round in 0..ROUNDS {
        let semaphore = Arc::new(Semaphore::new(0));
        let theirs = semaphore.clone();
        let mut acquire = Box::pin(semaphore.acquire_owned());
        give.send(theirs).expect("the other thread runs");
        let permit = if round % 2 == 0 {
            acquire.as_mut().wait_pinned(WaitOptions::new()).expect("open")
        } else {
            // Sees the grant at the instant when it is published, before anybody is woken for it.
            let mut cx = Context::from_waker(Waker::noop());
            let mut polls = 0;
            loop {
                if let Poll::Ready(permit) = acquire.as_mut().poll(&mut cx) {
                    break permit.expect("open");
                }
                polls += 1;
                if polls % 4_096 == 0 {
                    std::thread::yield_now();
                }
            }
        };
        drop(acquire);
        permit.forget();
    }
    drop(give);
    releasing.join();
}

/// Tasks and threads, one and many, with and without a deadline, dropped and forgotten: every permit is somewhere.
#[test]
fn permits_are_conserved_in_a_storm_of_everything() {
    use crate::common::task::Task;

    const THREADS: usize = 4;
    const ROUNDS: usize = 1_500;
    const PERMITS: usize = 5;
    let semaphore = leaked(PERMITS);
    static HELD: AtomicUsize = AtomicUsize::new(0);
    let threads: Vec<_> = (0..THREADS)
        .map(|seed| {
            start(move || {
                for round in 0..ROUNDS {
                    let n = (round + seed) % PERMITS + 1;
                    let permit = match (round * 5 + seed) % 6 {
                        0 => semaphore.try_acquire_n(n).ok(),
                        1 => semaphore.acquire_n(n).wait_timeout(Duration::from_nanos(round as u64)).ok(),
                        2 => semaphore.acquire_n(n).wait().ok(),
                        3 => {
                            let mut task = Task::new(semaphore.acquire_n(n));
                            let _ = task.is_pending();
                            None // with its place, or its permits
                        }
                        4 => {
                            let forgotten = semaphore.forget_permits(1);
                            semaphore.add_permits(forgotten);
                            None
                        }
                        _ => {
                            let mut task = Task::new(semaphore.acquire_n(n));
                            loop {
                                if let std::task::Poll::Ready(permit) = task.poll() {
                                    break permit.ok();
                                }
                                std::thread::yield_now();
                            }
                        }
                    };
                    if let Some(permit) = permit {
                        let held = HELD.fetch_add(n, Ordering::AcqRel) + n;
                        assert!(held <= PERMITS, "{held} of {PERMITS} are held");
                        HELD.fetch_sub(n, Ordering::AcqRel);
                        drop(permit);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join();
    }
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, PERMITS));
}
