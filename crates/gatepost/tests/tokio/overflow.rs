//! Counts at the upper end: what panics, and that a panic changes nothing.

use crate::common::panics::caught;
use crate::common::task::Task;
use crate::common::wakers::on_wake;
use gatepost::Semaphore;
use std::panic::panic_any;

const MAX: usize = Semaphore::MAX_PERMITS;
const TOO_MANY: &str = "cannot add more than MAX_PERMITS permits";
const OVERFLOW: &str = "would overflow MAX_PERMITS";

#[test]
fn t29_all_permits_may_be_added_and_not_one_more() {
    let semaphore = Semaphore::new(0);
    semaphore.add_permits(MAX);
    assert_eq!(semaphore.available_permits(), MAX);
    caught(|| semaphore.add_permits(1)).says(OVERFLOW, file!());
    caught(|| semaphore.add_permits(MAX)).says(OVERFLOW, file!());
    assert_eq!(semaphore.available_permits(), MAX);
}

#[test]
fn t29_more_than_max_at_once_is_refused() {
    for permits in [0, 1, MAX] {
        let semaphore = Semaphore::new(permits);
        for n in [MAX + 1, usize::MAX] {
            caught(|| semaphore.add_permits(n)).says(TOO_MANY, file!());
            assert_eq!(semaphore.available_permits(), permits);
        }
    }
}

#[test]
fn t29_the_edge_is_exact() {
    for n in [1, 2, 1 << 16, 1 << 31, MAX / 2, MAX - 1, MAX] {
        let semaphore = Semaphore::new(MAX - n);
        caught(|| semaphore.add_permits(n + 1)).message();
        assert_eq!(semaphore.available_permits(), MAX - n);
        semaphore.add_permits(n);
        assert_eq!(semaphore.available_permits(), MAX);
    }
}

#[test]
fn t29_a_closed_semaphore_overflows_as_an_open_one() {
    let semaphore = Semaphore::new(MAX - 1);
    semaphore.close();
    caught(|| semaphore.add_permits(2)).says(OVERFLOW, file!());
    assert_eq!(semaphore.available_permits(), MAX - 1);
    semaphore.add_permits(1);
    assert_eq!(semaphore.available_permits(), MAX);
    assert!(semaphore.is_closed());
}

#[test]
fn t29_a_permit_that_has_no_room_left_panics_and_changes_nothing() {
    let semaphore = Semaphore::new(1);
    let permit = semaphore.try_acquire().expect("free");
    semaphore.add_permits(MAX);
    let message = caught(|| drop(permit)).message().to_owned();
    assert!(message.contains(OVERFLOW), "{message}");
    assert_eq!(semaphore.available_permits(), MAX);
    assert_eq!(semaphore.try_acquire_n(MAX).expect("all").num_permits(), MAX);
}

#[test]
fn t30_a_refused_release_serves_nobody_and_loses_nobody() {
    let semaphore = Semaphore::new(1);
    let mut queue: Vec<_> = (0..40).map(|_| Task::queued(semaphore.acquire_many(2))).collect();
    for n in [MAX + 1, usize::MAX] {
        caught(|| semaphore.add_permits(n)).says(TOO_MANY, file!());
    }
    assert!(queue.iter_mut().all(Task::is_pending));
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (40, 0));
    semaphore.add_permits(79);
    for task in &mut queue {
        assert_eq!(task.wakes(), 1);
        task.permit().forget();
    }
    assert_eq!(semaphore.available_permits(), 0);
}

/// Upstream counts the waiters' share first and looks for an overflow afterwards. What counts is the sum that is left.
#[test]
fn t30_a_sum_that_fits_once_the_front_is_served_is_no_overflow() {
    let semaphore = Semaphore::new(MAX - 1);
    let mut all = Task::queued(semaphore.acquire_n(MAX));
    semaphore.add_permits(5);
    let seen = (all.wakes(), semaphore.num_waiters(), semaphore.available_permits());
    let all = all.permit();
    assert_eq!(all.num_permits(), MAX);
    assert!(caught(|| drop(all)).message().contains(OVERFLOW));
    assert_eq!((seen, semaphore.available_permits()), ((1, 0, 4), 4));
}

#[test]
fn t30_a_release_of_all_permits_serves_a_queue() {
    let semaphore = Semaphore::new(2);
    let mut queue: Vec<_> = [3, 1, MAX, 7].into_iter().map(|n| Task::queued(semaphore.acquire_n(n))).collect();
    let mut seen = Vec::new();
    // 3 and 1 are served and MAX - 2 are left; then MAX and 7.
    for _ in 0..2 {
        semaphore.add_permits(MAX);
        let wakes: Vec<_> = queue.iter().map(Task::wakes).collect();
        seen.push((wakes, semaphore.num_waiters(), semaphore.available_permits()));
    }
    for task in &mut queue {
        task.permit().forget();
    }
    assert_eq!(seen, [(vec![1, 1, 0, 0], 2, 0), (vec![1, 1, 1, 1], 0, MAX - 9)]);
}

#[test]
fn t30_beyond_a_batch_at_the_upper_end() {
    let semaphore = Semaphore::new(MAX - 1);
    let mut all = Task::queued(semaphore.acquire_n(MAX));
    let mut small: Vec<_> = (0..100).map(|_| Task::queued(semaphore.acquire())).collect();
    semaphore.add_permits(MAX); // 2 MAX - 1 - MAX - 100
    all.permit().forget();
    small.iter_mut().for_each(|task| task.permit().forget());
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, MAX - 101));
}

/// The one that is served to make room for the rest has a waker that panics: the rest is released all the same.
#[test]
fn t30_t31_a_panicking_waker_undoes_no_release_near_the_maximum() {
    let semaphore = Semaphore::new(MAX - 1);
    let waker = on_wake(|| panic_any("woken"));
    let mut all = Task::queued_with(semaphore.acquire_n(MAX), &waker);
    let mut three = Task::queued(semaphore.acquire_n(3));
    assert_eq!(caught(|| semaphore.add_permits(5)).message(), "woken");
    all.permit().forget();
    three.permit().forget();
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 1));
}
