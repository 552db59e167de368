//! What users of `gatepost::kernel` may rely on, from outside: with the threads of this process, and played.
#![cfg(feature = "std")]

#[path = "common/panics.rs"]
#[allow(dead_code)]
mod panics;

use gatepost::kernel::{
    BlockError, Count, Deadline, Kernel, Mutex, Native, OwnedWaitQueue, Recorded, Recording, Semaphore, Thread,
    Unblock, WaitFailure, WakeOrder, WouldDeadlock,
};
use panics::caught;
use static_assertions::{assert_impl_all, assert_not_impl_any};
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::thread::{scope, yield_now};
use std::time::{Duration, Instant};

assert_impl_all!(Semaphore<Native>: Send, Sync);
assert_impl_all!(OwnedWaitQueue<Native>: Send, Sync, Default);
assert_impl_all!(Kernel<Native>: Send, Sync);
assert_impl_all!(Thread<Native>: Send, Sync);
assert_impl_all!(Mutex<Cell<u32>, Native>: Send, Sync);
assert_not_impl_any!(Mutex<std::rc::Rc<u32>, Native>: Send, Sync);
assert_not_impl_any!(gatepost::kernel::MutexGuard<'static, u32, Native>: Send);
assert_not_impl_any!(gatepost::kernel::MutexGuard<'static, Cell<u32>, Native>: Sync);
assert_not_impl_any!(Semaphore<Native>: Clone, Copy);
assert_impl_all!(WaitFailure: std::error::Error, Copy, Send, Sync);
assert_impl_all!(BlockError: std::error::Error, Copy, Send, Sync);
assert_impl_all!(WouldDeadlock: std::error::Error, Copy, Send, Sync);

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// Gives way until `happened`.
fn until(mut happened: impl FnMut() -> bool) {
    while !happened() {
        yield_now();
    }
}

/// A thread that waits says what it was told; meanwhile `act` has its handle.
fn told(
    wait: impl FnOnce(&Semaphore<Native>) -> Result<(), WaitFailure> + Send,
    act: impl FnOnce(&Semaphore<Native>, &'static Thread<Native>),
) -> (Result<(), WaitFailure>, Count, u32) {
    let semaphore = Semaphore::new(0);
    let (handle, handles) = channel();
    let outcome = scope(|scope| {
        let waiter = scope.spawn(|| {
            handle.send(Native::current_thread()).unwrap();
            wait(&semaphore)
        });
        let thread = handles.recv().unwrap();
        until(|| semaphore.num_waiters() == 1);
        act(&semaphore, thread);
        waiter.join().unwrap()
    });
    (outcome, semaphore.count(), semaphore.num_waiters())
}

fn forever(semaphore: &Semaphore<Native>) -> Result<(), WaitFailure> {
    semaphore.wait(Deadline::INFINITE)
}

fn uninterruptible(semaphore: &Semaphore<Native>) -> Result<(), WaitFailure> {
    semaphore.wait_uninterruptible();
    Ok(())
}

#[test]
fn z1_a_semaphore_is_a_static_with_any_count() {
    static SEMAPHORE: Semaphore<Native> = Semaphore::new(-2);
    assert_eq!((SEMAPHORE.count(), SEMAPHORE.num_waiters()), (-2, 0));
    SEMAPHORE.post();
    assert_eq!(SEMAPHORE.count(), 1);
}

#[test]
fn z14_many_threads_lose_nothing() {
    const THREADS: i64 = 8;
    const TIMES: i64 = 500;
    let semaphore = Semaphore::new(2);
    let (inside, passed) = (AtomicU32::new(0), AtomicU32::new(0));
    scope(|scope| {
        for i in 0..THREADS {
            let (semaphore, inside, passed) = (&semaphore, &inside, &passed);
            scope.spawn(move || {
                for turn in 0..TIMES {
                    let hurried = (i + turn) % 3 == 0;
                    let deadline =
                        if hurried { Deadline::after(Duration::from_micros(20)) } else { Deadline::INFINITE };
                    if let Err(failure) = semaphore.wait(deadline) {
                        assert!(hurried && failure == WaitFailure::TimedOut);
                        continue;
                    }
                    assert!(inside.fetch_add(1, Relaxed) < 2, "three at a time");
                    passed.fetch_add(1, Relaxed);
                    inside.fetch_sub(1, Relaxed);
                    semaphore.post();
                }
            });
        }
    });
    assert!(passed.into_inner() > 0);
    assert_eq!((semaphore.count().max(0), semaphore.num_waiters()), (2, 0));
}

#[test]
fn z21_a_wait_does_not_time_out_early() {
    let semaphore = Semaphore::new(0);
    for slack in [0, 1_000_000] {
        let (start, timeout) = (Instant::now(), Duration::from_millis(5));
        let deadline = Deadline::after(timeout).with_slack(slack);
        assert_eq!(semaphore.wait(deadline), Err(WaitFailure::TimedOut));
        assert!(start.elapsed() >= timeout);
    }
    assert_eq!((semaphore.count(), semaphore.num_waiters()), (-2, 0));
}

// Zircon's eight, with threads.

#[test]
fn z32_smoke_test_with_threads() {
    let semaphore = Semaphore::new(0);
    scope(|scope| {
        scope.spawn(|| (0..5).for_each(|_| semaphore.post()));
        (0..5).for_each(|_| semaphore.wait(Deadline::INFINITE).unwrap());
    });
    assert_eq!(semaphore.count(), 0);
}

#[test]
fn z32_timeout_test_with_threads() {
    let semaphore = Semaphore::new(0);
    assert_eq!(semaphore.wait(Deadline::after(Duration::from_millis(1))), Err(WaitFailure::TimedOut));
    assert!(semaphore.count() <= 0);
    semaphore.post();
    assert_eq!(semaphore.wait(Deadline::INFINITE), Ok(()));
    assert_eq!((semaphore.count(), semaphore.num_waiters()), (0, 0));
}

#[test]
fn z32_post_signal_with_threads() {
    assert_eq!(told(forever, |semaphore, _| semaphore.post()), (Ok(()), 0, 0));
}

#[test]
fn z32_post_queue_signal_with_threads() {
    let queue = OwnedWaitQueue::new();
    let wait = |semaphore: &Semaphore<Native>| {
        semaphore.wait(Deadline::INFINITE)?;
        let owner = queue.owner().expect("it owns the queue as soon as it runs");
        assert!(std::ptr::eq(owner, Native::current_thread()));
        queue.assign_owner(None).unwrap(); // no thread ends as an owner
        Ok(())
    };
    assert_eq!(told(wait, |semaphore, _| semaphore.post_to_own(&queue)), (Ok(()), 0, 0));
}

#[test]
fn z32_kill_signal_with_threads() {
    assert_eq!(told(forever, |_, thread| thread.kill()), (Err(WaitFailure::Killed), -1, 0));
}

#[test]
fn z32_suspend_signal_with_threads() {
    assert_eq!(told(forever, |_, thread| thread.suspend()), (Err(WaitFailure::Suspended), -1, 0));
}

#[test]
fn z32_uninterruptible_kill_with_threads() {
    let act = |semaphore: &Semaphore<Native>, thread: &'static Thread<Native>| {
        thread.kill();
        assert_eq!((thread.is_blocked(), semaphore.num_waiters()), (true, 1));
        semaphore.post();
    };
    assert_eq!(told(uninterruptible, act), (Ok(()), 0, 0));
}

#[test]
fn z32_uninterruptible_suspend_with_threads() {
    let act = |semaphore: &Semaphore<Native>, thread: &'static Thread<Native>| {
        thread.suspend();
        assert_eq!((thread.is_blocked(), semaphore.num_waiters()), (true, 1));
        semaphore.post();
    };
    assert_eq!(told(uninterruptible, act), (Ok(()), 0, 0));
}

#[test]
fn z18_a_suspended_thread_waits_again_when_it_is_resumed() {
    let wait = |semaphore: &Semaphore<Native>| {
        assert_eq!(semaphore.wait(Deadline::INFINITE), Err(WaitFailure::Suspended));
        assert_eq!(semaphore.wait(Deadline::INFINITE), Err(WaitFailure::Suspended), "it is suspended still");
        Native::current_thread().resume();
        semaphore.wait(Deadline::INFINITE)
    };
    let act = |semaphore: &Semaphore<Native>, thread: &'static Thread<Native>| {
        thread.suspend();
        until(|| semaphore.count() == -3 && semaphore.num_waiters() == 1);
        semaphore.post();
    };
    assert_eq!(told(wait, act), (Ok(()), 0, 0));
}

#[test]
fn z27_two_locks_in_two_orders_are_an_error_and_not_a_deadlock() {
    let locks: [Mutex<u32, Native>; 2] = [Mutex::new(0), Mutex::new(0)];
    let would_deadlock = AtomicU32::new(0);
    let both_hold_one = std::sync::Barrier::new(2);
    scope(|scope| {
        for i in 0..2 {
            let (locks, would_deadlock, both_hold_one) = (&locks, &would_deadlock, &both_hold_one);
            scope.spawn(move || {
                let mut first = locks[i].lock().unwrap();
                both_hold_one.wait();
                match locks[1 - i].lock() {
                    Ok(mut second) => *second += 1,
                    Err(error) => {
                        assert_eq!(error, BlockError::WouldDeadlock(WouldDeadlock));
                        would_deadlock.fetch_add(1, Relaxed);
                    }
                }
                *first += 1;
            });
        }
    });
    assert_eq!(would_deadlock.into_inner(), 1, "who comes second");
    assert_eq!(locks.map(|mut lock| *lock.get_mut()).iter().sum::<u32>(), 3);
}

#[test]
fn a_lock_excludes_and_a_panic_gives_it_back() {
    let lock: Mutex<u32, Native> = Mutex::new(0);
    scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..500).for_each(|_| *lock.lock().unwrap() += 1));
        }
    });
    let panicked = caught(|| {
        let _held = lock.lock().unwrap();
        panic!("while it is held");
    });
    assert_eq!(panicked.message(), "while it is held");
    assert_eq!(*lock.lock_uninterruptible().unwrap(), 2_000);
    assert_eq!(*lock.lock_until(Deadline::PASSED).unwrap(), 2_000);
}

#[test]
fn a_lock_is_waited_for_until_a_deadline_and_its_holder_inherits_meanwhile() {
    let lock: Mutex<(), Native> = Mutex::new(());
    let held = lock.lock().unwrap();
    let holder = Native::current_thread();
    let own = holder.effective_weight();
    scope(|scope| {
        let (handle, handles) = channel();
        let lock = &lock;
        let late = scope.spawn(move || {
            handle.send(Native::current_thread()).unwrap();
            lock.lock().map(drop)
        });
        let waiter = handles.recv().unwrap();
        until(|| waiter.is_blocked());
        assert_eq!(holder.effective_weight(), own + waiter.effective_weight());
        waiter.kill();
        assert_eq!(late.join().unwrap(), Err(BlockError::Failed(WaitFailure::Killed)));
        assert_eq!(holder.effective_weight(), own);
        let hurried = scope.spawn(|| lock.lock_until(Deadline::after(Duration::from_millis(1))).map(drop));
        assert_eq!(hurried.join().unwrap(), Err(BlockError::Failed(WaitFailure::TimedOut)));
    });
    drop(held);
    assert!(lock.try_lock().is_some());
}

#[test]
fn z25_to_z28_played_threads_inherit() {
    let kernel = Recording::kernel();
    let [low, middle, high] = [1, 5, 10].map(|weight| Recording::thread(kernel, weight));
    let queues = [(); 2].map(|()| leak(OwnedWaitQueue::new_in(kernel, WakeOrder::default())));
    queues[0].assign_owner(Some(low)).unwrap();
    queues[1].assign_owner(Some(middle)).unwrap();
    Recording::block_in(queues[0], middle, Deadline::INFINITE).unwrap();
    Recording::block_in(queues[1], high, Deadline::INFINITE).unwrap();
    assert_eq!([low, middle, high].map(|thread| thread.effective_weight()), [16, 15, 10]);
    assert_eq!(queues[1].assign_owner(Some(low)), Ok(()), "low waits for nobody");
    assert_eq!(queues[0].assign_owner(Some(middle)), Err(WouldDeadlock));
    assert_eq!([low, middle, high].map(|thread| thread.effective_weight()), [16, 5, 10]);
    assert_eq!(kernel.platform().take().last(), Some(&Recorded::Effective(0, 16)));
    assert!(queues[1].wake_one());
    assert_eq!(kernel.platform().take(), [Recorded::Effective(0, 6), Recorded::Unblocked(2, Unblock::Normal)]);
    queues.iter().for_each(|queue| queue.assign_owner(None).unwrap());
}

#[test]
fn errors_say_what_happened() {
    assert_eq!(WaitFailure::TimedOut.to_string(), "timed out");
    assert_eq!(WaitFailure::Killed.to_string(), "interrupted: the thread is killed");
    assert_eq!(WaitFailure::Suspended.to_string(), "interrupted: the thread is suspended, retry when it is resumed");
    assert_eq!(
        WouldDeadlock.to_string(),
        "the owner would wait for itself: a circle of threads that wait for one another"
    );
    assert_eq!(BlockError::WouldDeadlock(WouldDeadlock).to_string(), WouldDeadlock.to_string());
    assert_eq!(BlockError::Failed(WaitFailure::Killed).to_string(), WaitFailure::Killed.to_string());
}

#[test]
fn debug_shows_what_is_known_without_the_lock() {
    let semaphore: Semaphore<Native> = Semaphore::new(3);
    assert_eq!(format!("{semaphore:?}"), "Semaphore { count: 3, .. }");
    assert_eq!(format!("{:?}", OwnedWaitQueue::new()), "OwnedWaitQueue { .. }");
    assert_eq!(format!("{:?}", Native::current_thread()), "Thread { state: \"not blocked\", .. }");
    let lock: Mutex<u32, Native> = Mutex::new(7);
    assert_eq!(format!("{lock:?}"), "Mutex { held: false, .. }");
    let held = lock.lock().unwrap();
    assert_eq!(format!("{lock:?} {held:?}"), "Mutex { held: true, .. } 7");
}

#[test]
fn a_broken_contract_is_blamed_on_its_caller() {
    let full: Semaphore<Native> = Semaphore::new(Count::MAX);
    caught(|| full.post()).says("a semaphore counts to its maximum, and not beyond", file!());
    assert_eq!(full.count(), Count::MAX);
    let (here, there) = (Recording::kernel(), Recording::kernel());
    let thread = Recording::thread(here, 1);
    let queue = leak(OwnedWaitQueue::new_in(there, WakeOrder::Fifo));
    caught(|| queue.assign_owner(Some(thread))).says("a thread meets a queue of another kernel", file!());
    let semaphore = leak(Semaphore::new_in(here, 0, WakeOrder::Fifo));
    caught(|| semaphore.post_to_own(queue)).says("a semaphore meets a queue of another kernel", file!());
    let owned = leak(OwnedWaitQueue::new_in(here, WakeOrder::Fifo));
    owned.assign_owner(Some(thread)).unwrap();
    caught(|| thread.exit()).says("a thread ends as the owner of 1 wait queues: release them first", file!());
    owned.assign_owner(None).unwrap();
    assert_eq!(Recording::wait_for(semaphore, thread, Deadline::INFINITE), None);
    caught(|| thread.exit()).says("a thread ends while it is blocked", file!());
    assert!(
        caught(|| Recording::wait_for(semaphore, thread, Deadline::INFINITE)).message().contains("it waits already")
    );
}

#[test]
fn z27_a_queue_that_is_owned_does_not_end_unnoticed() {
    let kernel = Recording::kernel();
    let thread = Recording::thread(kernel, 1);
    let queue = OwnedWaitQueue::new_in(kernel, WakeOrder::Fifo);
    queue.assign_owner(Some(thread)).unwrap();
    let panicked = caught(|| drop(queue));
    assert_eq!(panicked.message(), "a wait queue ends while a thread owns it: `assign_owner(None)` first");
    thread.exit();
}
