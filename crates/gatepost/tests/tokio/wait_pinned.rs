//! Threads that wait for a future which was perhaps polled already.

use crate::common::leaked;
use crate::common::panics::caught;
use crate::common::task::Task;
use crate::common::thread::{start, until, until_queued};
use crate::common::wakers::{Event, hooked};
use gatepost::{Semaphore, WaitError, WaitOptions};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn a_polled_future_keeps_its_place_when_a_thread_waits_for_it() {
    static TAKEN_OVER: AtomicBool = AtomicBool::new(false);
    let semaphore = leaked(0);
    let waker = hooked(|event| match event {
        Event::Clone => (),
        Event::Wake => panic!("a thread waits, not the task"),
        Event::Drop => TAKEN_OVER.store(true, Ordering::Relaxed),
    });
    let mut front = Task::queued_with(semaphore.acquire_many(2), &waker);
    let mut back = Task::queued(semaphore.acquire());
    let waiting = start(move || {
        let permit = front.pinned().wait_pinned(WaitOptions::new()).expect("open");
        let n = permit.num_permits();
        permit.forget();
        n
    });
    until("the thread waits in the task's place", || TAKEN_OVER.load(Ordering::Relaxed));
    assert_eq!(semaphore.num_waiters(), 2);
    semaphore.add_permits(1);
    assert!(back.is_pending());
    semaphore.add_permits(1);
    assert_eq!(waiting.join(), 2);
    assert!(back.is_pending());
    semaphore.add_permits(1);
    back.permit().forget();
}

#[test]
fn a_future_that_was_not_polled_takes_its_place_then() {
    let semaphore = Semaphore::new(1);
    let first = pin!(semaphore.acquire());
    let permit = first.wait_pinned(WaitOptions::new()).expect("free");
    let second = pin!(semaphore.acquire());
    let error = second.wait_pinned(WaitOptions::new().timeout(Duration::from_millis(1))).unwrap_err();
    assert_eq!(error, WaitError::TimedOut);
    drop(permit);
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 1));
}

#[test]
fn a_grant_that_was_not_looked_at_is_there_at_once() {
    let semaphore = Semaphore::new(0);
    let mut task = Task::queued(semaphore.acquire_many(2));
    semaphore.add_permits(2);
    let permit = task.pinned().wait_pinned(WaitOptions::new().timeout(Duration::ZERO)).expect("granted");
    drop(task);
    assert_eq!((permit.num_permits(), semaphore.available_permits()), (2, 0));
}

#[test]
fn after_a_time_out_the_future_is_done_and_has_left_the_queue() {
    let semaphore = Semaphore::new(1);
    let mut task = Task::queued(semaphore.acquire_many(2));
    let mut behind = Task::queued(semaphore.acquire());
    let error = task.pinned().wait_pinned(WaitOptions::new().timeout(Duration::from_millis(1))).unwrap_err();
    assert_eq!((error, task.wakes()), (WaitError::TimedOut, 0));
    let permit = behind.permit();
    assert_eq!(semaphore.num_waiters(), 0);
    let _ = caught(|| task.is_pending());
    let _ = caught(|| task.pinned().wait_pinned(WaitOptions::new()).map(drop));
    drop(task);
    drop(permit);
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn after_its_permits_the_future_is_done() {
    let semaphore = Semaphore::new(1);
    let mut task = Task::new(semaphore.acquire());
    let permit = task.pinned().wait_pinned(WaitOptions::new()).expect("free");
    let _ = caught(|| task.pinned().wait_pinned(WaitOptions::new()).map(drop));
    let _ = caught(|| task.is_pending());
    drop((task, permit));
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn close_ends_a_pinned_wait() {
    let semaphore = leaked(0);
    let waiting = start(|| {
        let mut task = Task::queued(semaphore.acquire());
        task.pinned().wait_pinned(WaitOptions::new()).map(drop)
    });
    until_queued(semaphore, 1);
    semaphore.close();
    assert_eq!(waiting.join(), Err(WaitError::Closed));

    let semaphore = leaked(0);
    let mut task = Task::queued(semaphore.acquire());
    semaphore.close();
    assert_eq!(task.pinned().wait_pinned(WaitOptions::new()).unwrap_err(), WaitError::Closed);
}

#[test]
#[cfg(feature = "alloc")]
fn an_owned_future_may_be_waited_for_in_another_thread() {
    use std::sync::Arc;

    let semaphore = Arc::new(Semaphore::new(0));
    let mut task = Task::queued(semaphore.clone().acquire_n_owned(2));
    let waiting = start(move || task.pinned().wait_pinned(WaitOptions::new()).expect("open"));
    semaphore.add_permits(2);
    let permit = waiting.join();
    assert_eq!((permit.num_permits(), semaphore.available_permits()), (2, 0));
    drop(permit);
    assert_eq!((semaphore.available_permits(), Arc::strong_count(&semaphore)), (2, 1));
}
