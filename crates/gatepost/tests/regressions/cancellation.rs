//! Cancellations that left the queue asleep, gave permits to the wrong one, or lost them.

use crate::common::panics::caught;
use crate::common::task::Task;
use crate::common::wakers::{Event, hooked};
use gatepost::Semaphore;

#[cfg(feature = "std")]
use {
    crate::common::leaked,
    crate::common::thread::{start, until, until_queued, within_limit},
    gatepost::{Interrupter, WaitError, WaitOptions},
    std::sync::Barrier,
    std::time::Duration,
};

#[test]
fn b5_cancelled_head_serves_the_next() {
    let semaphore = Semaphore::new(3);
    let head = Task::queued(semaphore.acquire_many(4));
    let mut rest: Vec<_> = [1, 2, 1].into_iter().map(|n| Task::queued(semaphore.acquire_many(n))).collect();
    drop(head);
    assert_eq!(rest.iter().map(Task::wakes).collect::<Vec<_>>(), [1, 1, 0]);
    drop(rest[0].permit());
    assert_eq!(rest[2].wakes(), 1);
}

/// The whole queue, from the front: each one that leaves is followed by one that does not fit either.
#[test]
fn b5_a_queue_of_cancelled_heads_ends_at_one_that_fits() {
    let semaphore = Semaphore::new(1);
    let heads: Vec<_> = (0..50).map(|_| Task::queued(semaphore.acquire_many(2))).collect();
    let mut last = Task::queued(semaphore.acquire());
    for head in heads {
        assert_eq!(last.wakes(), 0);
        drop(head);
    }
    assert_eq!(last.wakes(), 1);
    last.permit().forget();
}

#[test]
#[cfg(feature = "std")]
fn b5_a_head_that_times_out_or_is_interrupted_serves_the_next() {
    let semaphore = leaked(1);
    let mut timed = Task::queued(semaphore.acquire_many(2));
    let mut next = Task::queued(semaphore.acquire());
    let result = within_limit(move || {
        let options = WaitOptions::new().timeout(Duration::from_millis(1));
        timed.pinned().wait_pinned(options).map(drop)
    });
    assert_eq!((result, next.wakes()), (Err(WaitError::TimedOut), 1));
    drop(next.permit());

    let interrupter: &'static Interrupter = Box::leak(Box::default());
    let interrupted = start(|| semaphore.acquire_many(2).wait_interruptible(interrupter).map(drop));
    until_queued(semaphore, 1);
    let mut next = Task::queued(semaphore.acquire());
    interrupter.interrupt();
    assert_eq!(interrupted.join(), Err(WaitError::Interrupted));
    drop(next.permit());
    assert_eq!(semaphore.available_permits(), 1);
}

/// A cancellation resumed the next one even if there was nothing to resume it with.
#[test]
fn b6_cancelling_resumes_nobody_without_permits() {
    let semaphore = Semaphore::new(0);
    let head = Task::queued(semaphore.acquire());
    let mut next = Task::queued(semaphore.acquire());
    drop(head);
    assert_eq!((next.wakes(), next.is_pending()), (0, true));
    semaphore.add_permits(1);
    assert_eq!(next.wakes(), 1);
    next.permit().forget();
    assert_eq!(semaphore.available_permits(), 0);
}

/// A permit that had been granted was lost with the acquisition that had not looked.
#[test]
fn b6_a_cancelled_grant_is_passed_on() {
    let semaphore = Semaphore::new(0);
    let mut chain: Vec<_> = (0..5).map(|_| Task::queued(semaphore.acquire())).collect();
    semaphore.add_permits(1);
    let last = chain.pop().expect("five");
    for task in chain {
        assert_eq!((task.wakes(), last.wakes()), (1, 0));
        drop(task);
    }
    assert_eq!(last.wakes(), 1);
    drop(last);
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 1));
}

/// Cancelled waiters stayed in the queue until the next release.
#[test]
fn b8_a_cancelled_waiter_leaves_at_once() {
    let semaphore = Semaphore::new(0);
    for _ in 0..1_000 {
        let task = Task::queued(semaphore.acquire());
        assert_eq!(semaphore.num_waiters(), 1);
        drop(task);
        assert_eq!(semaphore.num_waiters(), 0);
    }
}

/// To cancel took time in proportion to the queue, so to cancel all of it the square: here some 10^10 steps, minutes.
#[test]
#[cfg(feature = "std")]
fn b8_mass_cancellation_is_linear() {
    const WAITERS: usize = 100_000;
    for stride in [1, WAITERS - 1, 38_197] {
        // From the front, from the back, and back and forth: a stride that has no factor in common with the number
        // comes by everybody.
        within_limit(move || {
            let semaphore = leaked(0);
            let mut queue: Vec<_> = (0..WAITERS).map(|_| Some(Task::queued(semaphore.acquire()))).collect();
            let mut place = 0;
            for left in (0..WAITERS).rev() {
                assert!(queue[place].take().is_some());
                assert_eq!(semaphore.num_waiters(), left);
                place = (place + stride) % WAITERS;
            }
        });
    }
}

#[test]
#[cfg(feature = "std")]
fn b10_neighbours_that_cancel_at_once_leave_the_queue_whole() {
    const ROUNDS: usize = 2_000;
    let semaphore = leaked(0);
    let barrier: &'static Barrier = Box::leak(Box::new(Barrier::new(2)));
    let (give, theirs) = std::sync::mpsc::channel();
    let cancelling = start(move || {
        for task in theirs {
            barrier.wait();
            drop(task);
            barrier.wait();
        }
    });
    for round in 0..ROUNDS {
        let mut queue: Vec<_> = (0..4).map(|_| Task::queued(semaphore.acquire())).collect();
        // Two neighbours: in front, in the middle, at the back; this thread cancels the first or the second of them.
        let mut pair = [round % 3, round % 3].map(|place| queue.remove(place));
        if round % 2 == 0 {
            pair.reverse();
        }
        let [mine, other] = pair;
        give.send(other).expect("the other thread runs");
        barrier.wait();
        drop(mine);
        barrier.wait();
        assert_eq!(semaphore.num_waiters(), 2);
        semaphore.add_permits(2);
        for mut task in queue {
            assert_eq!(task.wakes(), 1);
            task.permit().forget();
        }
        assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 0));
    }
    drop(give);
    cancelling.join();
}

/// A panic between joining the queue and going to sleep: here the one that a second wait with an interrupter in use ends
/// in, once its thread has taken over a place in the queue.
#[test]
#[cfg(feature = "std")]
fn b10_a_panic_between_joining_and_parking_leaves_the_queue_whole() {
    let semaphore = leaked(0);
    let interrupter: &'static Interrupter = Box::leak(Box::default());
    let first = start(|| semaphore.acquire_many(2).wait_interruptible(interrupter).map(drop));
    until("the first wait uses the interrupter", || format!("{interrupter:?}").contains("waiting: true"));
    until_queued(semaphore, 1);
    let mut second = Task::queued(semaphore.acquire());
    let mut behind = Task::queued(semaphore.acquire());
    within_limit(move || {
        let options = WaitOptions::new().interrupter(interrupter);
        let _ = caught(|| second.pinned().wait_pinned(options).map(drop));
        assert_eq!(semaphore.num_waiters(), 3, "the future lives, and so does its place");
    });
    assert_eq!(semaphore.num_waiters(), 2);
    interrupter.interrupt();
    assert_eq!(first.join(), Err(WaitError::Interrupted));
    semaphore.add_permits(1);
    assert_eq!(behind.wakes(), 1);
    behind.permit().forget();
}

/// The same for a task: its waker panics while it joins, or while another takes its place.
#[test]
fn b10_a_panic_while_joining_leaves_the_queue_whole() {
    let semaphore = Semaphore::new(0);
    let mut front = Task::queued(semaphore.acquire());
    let waker = hooked(|event| assert_ne!(event, Event::Clone, "no clone today"));
    let mut joining = Task::new(semaphore.acquire());
    let _ = caught(|| joining.poll_with(&waker).is_pending());
    let _ = caught(|| front.poll_with(&waker).is_pending());
    let mut back = Task::queued(semaphore.acquire());
    assert_eq!(semaphore.num_waiters(), 2);
    drop(joining);
    semaphore.add_permits(2);
    assert_eq!((front.wakes(), back.wakes()), (1, 1));
    front.permit().forget();
    back.permit().forget();
}
