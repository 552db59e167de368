//! Dropping an acquisition: before, while and after it waits; forgetting it.

use crate::common::task::Task;
use gatepost::Semaphore;
use std::sync::Arc;

#[test]
fn t18_dropping_a_queued_future_leaves_the_queue() {
    for dropped in 0..5 {
        let semaphore = Semaphore::new(0);
        let mut queue: Vec<_> = (0..5).map(|_| Task::queued(semaphore.acquire())).collect();
        drop(queue.remove(dropped));
        assert_eq!(semaphore.num_waiters(), 4);
        for served in 0..4 {
            semaphore.add_permits(1);
            assert_eq!(
                queue.iter().map(Task::wakes).collect::<Vec<_>>(),
                (0..4).map(|place| usize::from(place <= served)).collect::<Vec<_>>(),
                "the order of the others is as it was"
            );
        }
        assert_eq!(semaphore.num_waiters(), 0);
        assert_eq!(semaphore.available_permits(), 0);
    }
}

#[test]
fn t18_all_orders_of_dropping_leave_an_empty_queue() {
    fn orders(left: &mut Vec<usize>, order: &mut Vec<usize>, check: &mut impl FnMut(&[usize])) {
        if left.is_empty() {
            return check(order);
        }
        for at in 0..left.len() {
            let place = left.remove(at);
            order.push(place);
            orders(left, order, check);
            order.pop();
            left.insert(at, place);
        }
    }
    let semaphore = Semaphore::new(2);
    orders(&mut (0..5).collect(), &mut Vec::new(), &mut |order| {
        let mut queue: Vec<_> = (0..5).map(|_| Some(Task::queued(semaphore.acquire_many(3)))).collect();
        for (dropped, &place) in order.iter().enumerate() {
            assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (5 - dropped, 0));
            queue[place] = None;
        }
        assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 2));
    });
}

#[test]
fn t18_what_was_kept_for_a_dropped_front_goes_to_those_behind() {
    let semaphore = Semaphore::new(6);
    let front = Task::queued(semaphore.acquire_many(10));
    let mut behind: Vec<_> = [3, 2, 2].into_iter().map(|n| Task::queued(semaphore.acquire_many(n))).collect();
    drop(front);
    assert_eq!(behind.iter().map(Task::wakes).collect::<Vec<_>>(), [1, 1, 0]);
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (1, 0), "1 is kept for the third");
    behind[0].permit().forget();
    behind[1].permit().forget();
    assert!(behind[2].is_pending());
    drop(behind);
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 1));
}

#[test]
fn t18_what_nobody_behind_can_use_is_free_again() {
    let semaphore = Semaphore::new(4);
    let front = Task::queued(semaphore.acquire_many(10));
    assert_eq!(semaphore.available_permits(), 0);
    drop(front);
    assert_eq!(semaphore.available_permits(), 4);
    assert!(semaphore.try_acquire_many(4).is_ok());
}

#[test]
fn t19_drop_after_grant_releases_all() {
    let semaphore = Semaphore::new(0);
    let granted = Task::queued(semaphore.acquire_many(3));
    semaphore.add_permits(3);
    assert_eq!((granted.wakes(), semaphore.num_waiters(), semaphore.available_permits()), (1, 0, 0));
    drop(granted);
    assert_eq!(semaphore.available_permits(), 3);
}

#[test]
fn t19_drop_after_grant_serves_the_next() {
    let semaphore = Semaphore::new(0);
    let granted = Task::queued(semaphore.acquire_many(3));
    let mut next = Task::queued(semaphore.acquire_many(2));
    let mut last = Task::queued(semaphore.acquire_many(2));
    semaphore.add_permits(3);
    drop(granted);
    assert_eq!((next.wakes(), last.wakes()), (1, 0));
    drop(next.permit());
    assert_eq!((next.wakes(), last.wakes()), (1, 1));
    last.permit().forget();
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn t19_drop_after_grant_of_a_closed_semaphore_gives_back_too() {
    let semaphore = Semaphore::new(0);
    let granted = Task::queued(semaphore.acquire_many(3));
    semaphore.add_permits(3);
    semaphore.close();
    assert_eq!(semaphore.available_permits(), 0);
    drop(granted);
    assert_eq!(semaphore.available_permits(), 3);
}

#[test]
fn t20_dropping_a_done_future_gives_nothing_back() {
    let semaphore = Semaphore::new(2);
    let mut at_once = Task::new(semaphore.acquire_many(2));
    let permit = at_once.permit();
    drop(at_once);
    assert_eq!(semaphore.available_permits(), 0);

    let mut waited = Task::queued(semaphore.acquire_many(2));
    drop(permit);
    let permit = waited.permit();
    drop(waited);
    assert_eq!(semaphore.available_permits(), 0);
    drop(permit);
    assert_eq!(semaphore.available_permits(), 2);
}

#[test]
#[cfg(feature = "alloc")]
fn owned_futures_and_permits_keep_the_semaphore_alive_and_no_longer() {
    let semaphore = Arc::new(Semaphore::new(0));
    let weak = Arc::downgrade(&semaphore);
    let mut task = Task::queued(semaphore.clone().acquire_owned());
    semaphore.add_permits(1);
    drop(semaphore);
    let permit = task.permit();
    drop(task);
    assert_eq!(weak.strong_count(), 1);
    drop(permit);
    assert_eq!(weak.strong_count(), 0);

    let semaphore = Arc::new(Semaphore::new(0));
    let weak = Arc::downgrade(&semaphore);
    let queued = Task::queued(semaphore.acquire_owned());
    drop(queued);
    assert_eq!(weak.strong_count(), 0);
}

#[test]
fn p9_only_the_front_that_leaves_lets_others_in() {
    let semaphore = Semaphore::new(2);
    let front = Task::queued(semaphore.acquire_many(3));
    let middle = Task::queued(semaphore.acquire_many(3));
    let back = Task::queued(semaphore.acquire_many(2));
    drop(middle);
    assert_eq!((front.wakes(), back.wakes()), (0, 0));
    drop(front);
    assert_eq!(back.wakes(), 1);
}

/// A pinned future may be forgotten while it waits: its memory stays, its borrow ends, and the semaphore may be moved. What
/// its place in the queue gets is lost with it.
#[test]
fn a_forgotten_future_keeps_its_place_wherever_the_semaphore_goes() {
    let semaphore = Semaphore::new(0);
    Task::queued(semaphore.acquire_many(2)).forget();
    let semaphore = Box::new(semaphore);
    assert_eq!(semaphore.num_waiters(), 1);
    let mut behind = Task::queued(semaphore.acquire());
    semaphore.add_permits(1);
    assert!(behind.is_pending());
    semaphore.add_permits(2);
    drop(behind.permit());
    drop(behind);
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 1));

    let semaphore = *semaphore;
    Task::queued(semaphore.acquire_many(2)).forget();
    Task::queued(semaphore.acquire_many(2)).forget();
    let semaphore = Arc::new(semaphore);
    semaphore.close();
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 1));
}

#[test]
fn a_semaphore_may_go_while_forgotten_futures_are_in_its_queue() {
    let semaphore = Box::new(Semaphore::new(0));
    Task::queued(semaphore.acquire()).forget();
    Task::queued(semaphore.acquire_many(2)).forget();
    drop(semaphore);
}
