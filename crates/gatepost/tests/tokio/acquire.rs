//! `acquire` as a future: when it is ready, its place in the queue, its polls.

use crate::common::panics::caught;
use crate::common::task::Task;
use crate::common::wakers::{Wakes, hooked};
use gatepost::Semaphore;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

#[test]
fn each_form_waits_for_its_permits() {
    let semaphore = Arc::new(Semaphore::new(0));
    macro_rules! check {
        ($on:expr, $acquire:ident, $try_acquire:ident, $blocking:ident, ($($n:expr)?), $count:expr) => {{
            let mut task = Task::queued($on.$acquire($($n)?));
            semaphore.add_permits($count - 1);
            assert!(task.is_pending());
            semaphore.add_permits(1);
            let permit = task.permit();
            assert_eq!(permit.num_permits(), $count);
            permit.forget();
            assert_eq!(semaphore.available_permits(), 0);
        }};
    }
    each_form!(check, semaphore);
}

#[test]
fn t10_an_unpolled_future_does_nothing() {
    let semaphore = Semaphore::new(1);
    let idle = semaphore.acquire();
    let large = semaphore.acquire_n(Semaphore::MAX_PERMITS);
    assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (1, 0));
    drop(semaphore.try_acquire().expect("free"));
    drop((idle, large));
    assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (1, 0));
}

/// Only the first poll takes a place: the order of the calls means nothing.
#[test]
fn t10_the_first_poll_takes_the_place() {
    let semaphore = Semaphore::new(0);
    let mut called_first = Task::new(semaphore.acquire());
    let mut polled_first = Task::queued(semaphore.acquire());
    assert!(called_first.is_pending());
    semaphore.add_permits(1);
    assert!(called_first.is_pending());
    polled_first.permit().forget();
}

#[test]
fn t11_enough_permits_are_ready_at_the_first_poll() {
    let waker = hooked(|event| panic!("{event:?} of a waker that was not needed"));
    let semaphore = Semaphore::new(3);
    let mut task = Task::new(semaphore.acquire_many(3));
    assert!(task.poll_with(&waker).is_ready());
    std::mem::forget(waker); // whose drop would panic
}

#[test]
fn t12_what_a_waiter_has_been_given_so_far_is_hidden_and_kept_for_it() {
    let semaphore = Semaphore::new(3);
    let mut head = Task::queued(semaphore.acquire_many(5));
    assert_eq!(semaphore.available_permits(), 0);
    assert_eq!(semaphore.forget_permits(3), 0);
    assert!(semaphore.try_acquire().is_err());
    semaphore.add_permits(1);
    assert_eq!(semaphore.available_permits(), 0);
    semaphore.add_permits(2);
    let permit = head.permit();
    assert_eq!((permit.num_permits(), semaphore.available_permits()), (5, 1));
}

#[test]
fn t14_permits_go_out_in_the_order_of_the_queue() {
    let semaphore = Semaphore::new(0);
    let needs = [3, 1, 2, 5, 1, 1, 4];
    let mut queue: Vec<_> = needs.iter().map(|&n| Task::queued(semaphore.acquire_many(n))).collect();
    for (front, &need) in needs.iter().enumerate() {
        for released in 1..=need {
            assert!(queue[front..].iter_mut().all(Task::is_pending), "after {released} of {need} for {front}");
            semaphore.add_permits(1);
        }
        assert_eq!(queue.iter().map(Task::wakes).sum::<usize>(), front + 1);
        queue[front].permit().forget();
        assert_eq!(semaphore.num_waiters(), needs.len() - front - 1);
    }
}

#[test]
fn t14_a_large_request_is_not_overtaken() {
    let semaphore = Semaphore::new(9);
    let mut large = Task::queued(semaphore.acquire_many(10));
    let mut small: Vec<_> = (0..9).map(|_| Task::queued(semaphore.acquire())).collect();
    assert!(small.iter_mut().all(Task::is_pending));
    semaphore.add_permits(1);
    let permit = large.permit();
    assert!(small.iter_mut().all(Task::is_pending));
    drop(permit);
    assert!(small.iter().all(|task| task.wakes() == 1));
}

#[test]
fn t15_a_large_request_is_served_under_an_endless_stream_of_small_ones() {
    let semaphore = Semaphore::new(4);
    let mut running: Vec<_> = (0..4).map(|_| Task::new(semaphore.acquire()).permit()).collect();
    let mut large = Task::queued(semaphore.acquire_many(4));
    let mut behind = Vec::new();
    while large.wakes() == 0 {
        // A newcomer comes before each that leaves.
        behind.push(Task::queued(semaphore.acquire()));
        drop(running.pop().expect("each newcomer waits, so the large request is served by the fourth release"));
    }
    assert_eq!(large.permit().num_permits(), 4);
    assert!(behind.iter().take(4).all(|task| task.wakes() == 1));
}

#[test]
#[cfg(feature = "std")]
fn t15_a_writer_is_not_starved_by_threads_that_read() {
    use crate::common::leaked;
    use crate::common::thread::{start, until};
    use std::sync::atomic::AtomicBool;

    static WRITTEN: AtomicBool = AtomicBool::new(false);
    static READS: AtomicUsize = AtomicUsize::new(0);
    let semaphore = leaked(2);
    let readers: Vec<_> = (0..2)
        .map(|_| {
            start(move || {
                while !WRITTEN.load(Ordering::Relaxed) {
                    let _read = semaphore.acquire().wait().expect("open");
                    READS.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    until("the stream flows", || READS.load(Ordering::Relaxed) > 1_000);
    for _ in 0..100 {
        let permit = start(move || semaphore.acquire_many(2).wait().expect("open")).join();
        assert_eq!(permit.num_permits(), 2);
    }
    WRITTEN.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join();
    }
    assert_eq!(semaphore.available_permits(), 2);
}

#[test]
fn t16_another_waker_replaces_the_first_and_the_place_is_kept() {
    let semaphore = Semaphore::new(0);
    let mut front = Task::queued(semaphore.acquire());
    let mut back = Task::queued(semaphore.acquire());
    let second = Arc::new(Wakes::default());
    assert!(front.poll_with(&Waker::from(second.clone())).is_pending());
    assert_eq!(semaphore.num_waiters(), 2);
    semaphore.add_permits(1);
    assert_eq!((front.wakes(), second.count(), back.wakes()), (0, 1, 0));
    front.permit().forget();
    assert!(back.is_pending());
}

#[test]
fn t16_the_first_waker_is_let_go() {
    let semaphore = Semaphore::new(0);
    let [first, second] = [(); 2].map(|()| Arc::new(()));
    let waker = |token: &Arc<()>| {
        let token = token.clone();
        hooked(move |_| {
            let _kept = &token;
        })
    };
    let mut task = Task::queued_with(semaphore.acquire(), &waker(&first));
    assert_eq!(Arc::strong_count(&first), 2, "the queue keeps the waker");
    assert!(task.poll_with(&waker(&second)).is_pending());
    assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (1, 2));
    drop(task);
    assert_eq!(Arc::strong_count(&second), 1);
}

#[test]
fn t17_a_needless_poll_changes_nothing() {
    let clones = Arc::new(AtomicUsize::new(0));
    let wakes = Arc::new(AtomicUsize::new(0));
    let waker = {
        let (clones, wakes) = (clones.clone(), wakes.clone());
        hooked(move |event| match event {
            crate::common::wakers::Event::Clone => drop(clones.fetch_add(1, Ordering::Relaxed)),
            crate::common::wakers::Event::Wake => drop(wakes.fetch_add(1, Ordering::Relaxed)),
            crate::common::wakers::Event::Drop => (),
        })
    };
    let semaphore = Semaphore::new(0);
    let mut front = Task::queued_with(semaphore.acquire_many(2), &waker);
    let mut back = Task::queued(semaphore.acquire());
    for _ in 0..10 {
        assert!(front.poll_with(&waker).is_pending());
    }
    assert_eq!(semaphore.num_waiters(), 2);
    assert_eq!(clones.load(Ordering::Relaxed), 1, "the same waker is not cloned again");
    semaphore.add_permits(1);
    assert!(front.poll_with(&waker).is_pending());
    semaphore.add_permits(1);
    assert_eq!(wakes.load(Ordering::Relaxed), 1);
    assert!(back.is_pending());
    assert!(front.poll_with(&waker).is_ready());
}

/// Also P6, met the other way: x/sync lets those behind pass a request that can never be served. Here nobody passes, as in
/// Tokio, until it is dropped or the semaphore is closed.
#[test]
fn t24_p6_a_request_for_more_than_there_will_ever_be_waits_and_lets_nobody_pass() {
    let semaphore = Semaphore::new(3);
    let mut impossible = Task::queued(semaphore.acquire_n(Semaphore::MAX_PERMITS));
    let mut behind = Task::queued(semaphore.acquire());
    semaphore.add_permits(100);
    assert!(impossible.is_pending() && behind.is_pending());
    drop(impossible);
    drop(behind.permit());
    let mut impossible = Task::queued(semaphore.acquire_n(Semaphore::MAX_PERMITS));
    semaphore.close();
    assert_eq!(impossible.wakes(), 1);
    let _ = impossible.error();
}

#[test]
fn polling_again_what_is_done_panics_and_harms_nothing() {
    let semaphore = Semaphore::new(1);
    let mut task = Task::new(semaphore.acquire());
    let permit = task.permit();
    let _ = caught(|| task.is_pending());
    drop(task);
    assert_eq!(semaphore.available_permits(), 0);
    drop(permit);
    semaphore.close();
    let mut task = Task::new(semaphore.acquire());
    let _ = task.error();
    let _ = caught(|| task.is_pending());
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn num_waiters_counts_those_in_the_queue() {
    let semaphore = Semaphore::new(0);
    let mut queue: Vec<_> = (0..100).map(|_| Task::queued(semaphore.acquire())).collect();
    assert_eq!(semaphore.num_waiters(), 100);
    semaphore.add_permits(40);
    assert_eq!(semaphore.num_waiters(), 60, "whoever was granted waits no more, looked or not");
    queue.drain(90..);
    assert_eq!(semaphore.num_waiters(), 50);
    semaphore.close();
    assert_eq!(semaphore.num_waiters(), 0);
}

#[test]
fn a_future_may_be_moved_until_it_is_polled() {
    let semaphore = Semaphore::new(0);
    let moved = [semaphore.acquire(), semaphore.acquire_many(2)];
    let mut tasks = moved.map(Task::queued);
    semaphore.add_permits(3);
    let permits = tasks.each_mut().map(Task::permit);
    assert_eq!(permits.map(|permit| permit.num_permits()), [1, 2]);
}

/// Data that permits guard needs no atomics: each holder sees what the one before it did.
#[test]
#[cfg(feature = "std")]
fn t43_a_permit_carries_what_came_before_its_release() {
    use crate::common::thread::start;
    use std::cell::UnsafeCell;

    struct Guarded(Semaphore, UnsafeCell<usize>);
    // SAFETY: whoever touches the cell has the one permit of the semaphore.
    unsafe impl Sync for Guarded {}

    const THREADS: usize = 3;
    const ROUNDS: usize = 3_000;
    let guarded: &'static Guarded = Box::leak(Box::new(Guarded(Semaphore::new(1), UnsafeCell::new(0))));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            start(move || {
                for _ in 0..ROUNDS {
                    let permit = match guarded.0.try_acquire() {
                        Ok(permit) => permit,
                        Err(_) => guarded.0.acquire().wait().expect("open"),
                    };
                    // SAFETY: this thread has the permit.
                    unsafe { *guarded.1.get() += 1 };
                    drop(permit);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join();
    }
    let _permit = guarded.0.try_acquire().expect("all have ended");
    // SAFETY: this thread has the permit.
    assert_eq!(unsafe { *guarded.1.get() }, THREADS * ROUNDS);
}
