//! `forget_permits` and `drain_permits`.

use crate::common::task::Task;
use gatepost::Semaphore;

#[test]
fn t38_forgets_what_is_there_and_says_how_much() {
    for size in 0..4 {
        for n in [0, 1, 2, 3, 4, 100, Semaphore::MAX_PERMITS, usize::MAX] {
            let semaphore = Semaphore::new(size);
            assert_eq!(semaphore.forget_permits(n), size.min(n));
            assert_eq!(semaphore.available_permits(), size - size.min(n));
            assert!(!semaphore.is_closed());
        }
    }
}

#[test]
fn t38_forgetting_keeps_a_closed_semaphore_closed() {
    for size in 0..4 {
        for n in 0..5 {
            let semaphore = Semaphore::new(size);
            semaphore.close();
            assert_eq!(semaphore.forget_permits(n), size.min(n));
            assert_eq!(semaphore.available_permits(), size - size.min(n));
            assert!(semaphore.is_closed());
        }
    }
}

#[test]
fn t38_what_is_kept_for_the_queue_is_not_forgotten() {
    let semaphore = Semaphore::new(3);
    let mut queued = Task::queued(semaphore.acquire_many(4));
    assert_eq!(semaphore.forget_permits(1), 0);
    assert_eq!(semaphore.forget_permits(usize::MAX), 0);
    assert_eq!(semaphore.drain_permits(), 0);
    semaphore.add_permits(1);
    queued.permit().forget();

    let queued = Task::queued(semaphore.acquire_many(4));
    semaphore.add_permits(3);
    drop(queued);
    assert_eq!(semaphore.forget_permits(2), 2);
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn t38_what_is_in_use_is_not_forgotten() {
    let semaphore = Semaphore::new(5);
    let permit = semaphore.try_acquire_many(3).expect("free");
    assert_eq!(semaphore.forget_permits(5), 2);
    drop(permit);
    assert_eq!(semaphore.available_permits(), 3);
}

#[test]
fn p4_drain_takes_all_that_are_free() {
    let semaphore = Semaphore::new(7);
    let permit = semaphore.try_acquire_many(3).expect("free");
    assert_eq!(semaphore.drain_permits(), 4);
    assert_eq!(semaphore.drain_permits(), 0);
    assert_eq!(semaphore.available_permits(), 0);
    drop(permit);
    assert_eq!(semaphore.available_permits(), 3);
    semaphore.close();
    assert_eq!(semaphore.drain_permits(), 3);
    assert!(semaphore.is_closed());
    let semaphore = Semaphore::new(Semaphore::MAX_PERMITS);
    assert_eq!(semaphore.drain_permits(), Semaphore::MAX_PERMITS);
}
