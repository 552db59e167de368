//! [`Condvar`] with tasks, and with tasks and threads in one line, on Tokio's mutex.

use crate::common::task::Task;
use crate::common::thread::{start, until};
use gatepost::sync::{Condvar, Wait};
use gatepost::{WaitError, WaitOptions};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

type World = (Mutex<u32>, Condvar);

fn leaked() -> &'static World {
    Box::leak(Box::new((Mutex::new(0), Condvar::starting_at(u32::MAX - 1))))
}

type Waits = Task<Wait<'static, MutexGuard<'static, u32>>>;

/// A task that waits.
fn queued(world: &'static World) -> Waits {
    Task::queued(world.1.wait(world.0.try_lock().expect("nobody has it")))
}

/// Polls once more; the guard must be there.
#[track_caller]
fn guard(task: &mut Waits) -> MutexGuard<'static, u32> {
    match task.poll() {
        Poll::Ready(guard) => guard,
        Poll::Pending => panic!("still pending"),
    }
}

#[test]
fn a_task_unlocks_and_locks_again() {
    let world = leaked();
    let mut task = queued(world);
    *world.0.try_lock().expect("unlocked") = 7;
    assert!(task.is_pending());
    world.1.notify_one();
    assert_eq!(task.wakes(), 1);
    let guard = guard(&mut task);
    assert_eq!(*guard, 7);
    assert!(world.0.try_lock().is_err());
}

#[test]
fn nothing_happens_before_the_first_poll() {
    let world = leaked();
    let task = Task::new(world.1.wait(world.0.try_lock().unwrap()));
    assert!(world.0.try_lock().is_err() && world.1.num_waiters() == 0);
    drop(task);
    assert!(world.0.try_lock().is_ok());
}

#[test]
fn a_task_waits_for_the_mutex_without_its_thread() {
    let world = leaked();
    let mut task = queued(world);
    let held = world.0.try_lock().unwrap();
    world.1.notify_one();
    assert!(task.is_pending(), "notified, but the mutex is locked");
    drop(held);
    assert!(task.wakes() >= 2, "once by the notification, once by the mutex");
    drop(guard(&mut task));
}

#[test]
fn a_wait_that_is_dropped_holds_no_mutex_and_keeps_no_notification() {
    let world = leaked();
    let (listens, notified, relocks, mut last) = (queued(world), queued(world), queued(world), queued(world));
    drop(listens);
    assert_eq!(world.1.num_waiters(), 3);
    world.1.notify_one();
    drop(notified); // to `relocks`
    let mut relocks = relocks;
    let held = world.0.try_lock().unwrap();
    assert!(relocks.is_pending() && relocks.wakes() == 1);
    drop(relocks); // to `last`: its guard was not handed out yet
    assert_eq!(last.wakes(), 1);
    drop(held);
    drop(guard(&mut last));
    assert!(world.0.try_lock().is_ok());
    assert_eq!(world.1.num_waiters(), 0);
}

#[test]
fn tasks_and_threads_are_in_one_line() {
    let world = leaked();
    let mut first = queued(world);
    let second = start(|| *world.1.wait(world.0.blocking_lock()).wait());
    until("the thread waits", || world.1.num_waiters() == 2);
    let mut third = queued(world);
    world.1.notify_one();
    drop(guard(&mut first));
    assert!(third.is_pending() && !second.has_ended());
    *world.0.blocking_lock() = 2;
    world.1.notify_one();
    assert_eq!(second.join(), 2);
    assert!(third.is_pending());
    world.1.notify_all();
    drop(guard(&mut third));
}

#[test]
fn a_thread_goes_on_with_a_wait_that_a_task_began() {
    let world = leaked();
    let mut listens = queued(world);
    let options = WaitOptions::new().timeout(Duration::ZERO);
    let (guard, result) = listens.pinned().wait_pinned(options);
    assert_eq!(result, Err(WaitError::TimedOut));
    drop(guard);

    let mut relocks = queued(world);
    let held = world.0.try_lock().unwrap();
    world.1.notify_one();
    assert!(relocks.is_pending());
    drop(held);
    let (guard, result) = relocks.pinned().wait_pinned(options);
    assert_eq!(result, Ok(()), "it was notified");
    drop(guard);
    assert_eq!(world.1.num_waiters(), 0);
}

#[test]
fn wait_while_is_a_future_too() {
    let world = leaked();
    let mut task = Task::queued(world.1.wait_while(world.0.try_lock().unwrap(), |n| *n < 2));
    for n in 1..=2 {
        *world.0.try_lock().expect("unlocked while it waits") = n;
        world.1.notify_one();
        assert_eq!(task.is_pending(), n < 2);
    }
    let mut at_once = Task::new(world.1.wait_while(world.0.try_lock().unwrap(), |n| *n < 2));
    assert!(at_once.poll().is_ready());
}

#[test]
fn a_runtime_moves_waits_between_its_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        const TASKS: u32 = 100;
        let world = leaked();
        let owned = Arc::new(Mutex::new(0_u32));
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let owned = owned.clone();
                tokio::spawn(async move {
                    let mut guard = world.1.wait_while(world.0.lock().await, |n| *n == 0).await;
                    *guard -= 1;
                    drop(guard);
                    // An owned guard, with a condition variable of another mutex: any will do.
                    let mut count = owned.lock_owned().await;
                    *count += 1;
                })
            })
            .collect();
        for _ in 0..TASKS {
            *world.0.lock().await += 1;
            world.1.notify_one();
            tokio::task::yield_now().await;
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!((*world.0.lock().await, *owned.lock().await, world.1.num_waiters()), (0, TASKS, 0));
    });
}

#[test]
fn an_owned_guard_waits_as_well() {
    let mutex = Arc::new(Mutex::new(0));
    let condvar = Condvar::new();
    let mut task = Task::queued(condvar.wait(mutex.clone().try_lock_owned().unwrap()));
    *mutex.try_lock().unwrap() = 3;
    condvar.notify_one();
    match task.poll() {
        Poll::Ready(guard) => assert_eq!(*guard, 3),
        Poll::Pending => panic!("still pending"),
    }
    let (guard, result) = condvar.wait(mutex.try_lock_owned().unwrap()).wait_timeout(Duration::ZERO);
    assert_eq!((*guard, result), (3, Err(WaitError::TimedOut)));
}

#[test]
fn a_thread_of_the_runtime_is_refused_before_anything_happens() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let world = leaked();
    let panic = runtime.block_on(async {
        let wait = world.1.wait(world.0.lock().await);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(wait.wait()))).is_err()
    });
    assert!(panic && world.1.num_waiters() == 0 && world.0.try_lock().is_ok());
}
