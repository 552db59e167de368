//! `add_permits`, and permits that are dropped: who gets them, who is woken.

use crate::common::task::Task;
use crate::common::wakers::on_wake;
use gatepost::Semaphore;
use std::sync::{Arc, Mutex};

#[test]
fn t25_releasing_nothing_does_nothing() {
    let semaphore = Semaphore::new(2);
    semaphore.add_permits(0);
    assert_eq!(semaphore.available_permits(), 2);
    let mut queued = Task::queued(semaphore.acquire_many(3));
    semaphore.add_permits(0);
    drop(semaphore.try_acquire_many(0));
    assert!(queued.is_pending());
    assert_eq!((queued.wakes(), semaphore.num_waiters()), (0, 1));
    semaphore.close();
    semaphore.add_permits(0);
    assert_eq!(semaphore.available_permits(), 2);
}

#[test]
fn permits_may_be_added_beyond_the_first_number() {
    for size in 0..4 {
        for add in 0..4 {
            let semaphore = Semaphore::new(size);
            semaphore.add_permits(add);
            assert_eq!(semaphore.available_permits(), size + add);
            assert!(!semaphore.is_closed());
        }
    }
}

#[test]
fn t26_those_who_wait_come_first_and_the_rest_is_free() {
    let semaphore = Semaphore::new(0);
    let mut queue = [2, 3].map(|n| Task::queued(semaphore.acquire_many(n)));
    semaphore.add_permits(9);
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 4));
    let permits = queue.each_mut().map(Task::permit);
    assert_eq!(semaphore.available_permits(), 4);
    drop(permits);
    assert_eq!(semaphore.available_permits(), 9);
}

#[test]
fn t26_nothing_is_free_before_the_queue_is_empty() {
    let semaphore = Semaphore::new(0);
    let mut queue = [2, 3].map(|n| Task::queued(semaphore.acquire_many(n)));
    semaphore.add_permits(4);
    queue[0].permit().forget();
    assert_eq!(semaphore.available_permits(), 0);
    semaphore.add_permits(2);
    queue[1].permit().forget();
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn t27_a_release_wakes_exactly_those_whom_it_completes() {
    let semaphore = Semaphore::new(0);
    let mut queue: Vec<_> = [2, 1, 3, 1].into_iter().map(|n| Task::queued(semaphore.acquire_many(n))).collect();
    let wakes = |queue: &[Task<_>]| queue.iter().map(Task::wakes).collect::<Vec<_>>();
    semaphore.add_permits(1);
    assert_eq!(wakes(&queue), [0, 0, 0, 0], "half of what the front needs wakes nobody");
    semaphore.add_permits(4);
    assert_eq!(wakes(&queue), [1, 1, 0, 0], "two are complete, the third has 2 of 3");
    semaphore.add_permits(1);
    assert_eq!(wakes(&queue), [1, 1, 1, 0]);
    semaphore.add_permits(7);
    assert_eq!(wakes(&queue), [1, 1, 1, 1], "once each");
    for task in &mut queue {
        task.permit().forget();
    }
    assert_eq!(wakes(&queue), [1, 1, 1, 1]);
    assert_eq!(semaphore.available_permits(), 6);
}

#[test]
fn t27_a_dropped_permit_wakes_the_next_as_an_addition_does() {
    let semaphore = Arc::new(Semaphore::new(4));
    let permits = [(); 4].map(|()| semaphore.try_acquire().expect("free"));
    let mut queue = [1, 2, 1].map(|n| Task::queued(semaphore.acquire_many(n)));
    let mut wakes = Vec::new();
    for permit in permits {
        drop(permit);
        wakes.push(queue.each_ref().map(Task::wakes));
    }
    assert_eq!(wakes, [[1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]]);
    drop(queue.each_mut().map(Task::permit));
    assert_eq!(semaphore.available_permits(), 4);
}

#[test]
fn t28_one_release_serves_more_than_a_batch_in_order() {
    // A batch is 32: one short, exact, one over; several, and both sides of a boundary.
    for waiters in [31, 32, 33, 64, 65, 100, 1000] {
        let semaphore = Semaphore::new(0);
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut queue: Vec<_> = (0..waiters)
            .map(|place| {
                let woken = woken.clone();
                let waker = on_wake(move || woken.lock().unwrap().push(place));
                Task::queued_with(semaphore.acquire(), &waker)
            })
            .collect();
        semaphore.add_permits(waiters + 1);
        assert_eq!(*woken.lock().unwrap(), (0..waiters).collect::<Vec<_>>());
        assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 1));
        for task in &mut queue {
            task.permit().forget();
        }
    }
}

#[test]
fn t28_a_front_behind_a_full_batch_that_does_not_fit_waits() {
    let semaphore = Semaphore::new(0);
    let mut small: Vec<_> = (0..32).map(|_| Task::queued(semaphore.acquire())).collect();
    let mut large = Task::queued(semaphore.acquire_many(3));
    semaphore.add_permits(34);
    assert!(small.iter().all(|task| task.wakes() == 1));
    assert_eq!((large.wakes(), semaphore.num_waiters()), (0, 1));
    drop(small.pop());
    assert_eq!(large.wakes(), 1);
    large.permit().forget();
    assert_eq!(semaphore.available_permits(), 0);
}

#[test]
fn t32_a_release_on_a_closed_semaphore_adds_and_keeps_it_closed() {
    for size in 0..4 {
        for add in 0..4 {
            let semaphore = Semaphore::new(size);
            semaphore.close();
            semaphore.add_permits(add);
            assert_eq!(semaphore.available_permits(), size + add);
            assert!(semaphore.is_closed());
            assert!(semaphore.try_acquire().is_err_and(|error| error.is_closed()));
        }
    }
}
