//! Every interleaving of a few threads, under weak memory: `RUSTFLAGS="--cfg loom" cargo test --release -p gatepost --lib
//! kernel::tests::loom`. The kernel's lock is loom's own mutex; threads sleep on the engine's parkers.
//!
//! A kernel lives for one execution: it is leaked.

use super::ground::Ground;
use crate::kernel::{Deadline, Kernel, Mutex, OwnedWaitQueue, Semaphore, Thread, WaitFailure, WakeOrder};
use crate::sys::explore::{bounded, join, model};
use crate::sys::mutant::{Mutant, caught};
use loom::cell::UnsafeCell;
use loom::thread::{self, JoinHandle};
use std::boxed::Box;

type Own = &'static Thread<Ground>;
type Gate = &'static Semaphore<Ground>;

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn gate(kernel: &'static Kernel<Ground>, count: i64) -> Gate {
    leak(Semaphore::new_in(kernel, count, WakeOrder::ByFinishTime))
}

/// A thread that knows which one it is.
fn spawn(kernel: &'static Kernel<Ground>, weight: u32, f: impl FnOnce(Own) + 'static) -> JoinHandle<()> {
    let own = Ground::thread(kernel, weight);
    thread::spawn(move || {
        Ground::be(own);
        f(own);
    })
}

/// The clock comes to 1, and the timer of `thread` is served.
fn time_out(kernel: &'static Kernel<Ground>, thread: Own) {
    kernel.platform().set_now(1);
    thread.expire();
}

#[test]
fn z22_post_against_timeout_against_kill() {
    model(|| {
        let kernel = Ground::kernel();
        let semaphore = gate(kernel, 0);
        let waiter = Ground::thread(kernel, 1);
        let others = std::vec![
            thread::spawn(move || semaphore.post()),
            thread::spawn(move || time_out(kernel, waiter)),
            thread::spawn(move || waiter.kill()),
        ];
        Ground::be(waiter);
        let outcome = semaphore.wait(Deadline::at(1));
        assert_ne!(outcome, Err(WaitFailure::Suspended));
        join(others);
        let left = i64::from(outcome.is_err());
        assert_eq!((semaphore.num_waiters(), semaphore.count().max(0)), (0, left), "Z14");
    });
}

#[test]
fn z19_suspend_against_kill_against_post() {
    model(|| {
        let kernel = Ground::kernel();
        let semaphore = gate(kernel, 0);
        let waiter = Ground::thread(kernel, 1);
        let others = std::vec![
            thread::spawn(move || {
                waiter.suspend();
                waiter.kill();
            }),
            thread::spawn(move || semaphore.post()),
        ];
        Ground::be(waiter);
        let outcome = semaphore.wait(Deadline::INFINITE);
        assert_ne!(outcome, Err(WaitFailure::TimedOut));
        join(others);
        assert_eq!((semaphore.num_waiters(), semaphore.count().max(0)), (0, i64::from(outcome.is_err())), "Z14");
    });
}

/// Two that fail while two post: whatever they leave, a wait passes for each post that nobody has used.
#[test]
fn z15_failed_waits_and_posts() {
    bounded(1, || {
        let kernel = Ground::kernel();
        let semaphore = gate(kernel, 0);
        let failing = Ground::thread(kernel, 1);
        let others = std::vec![
            thread::spawn(move || time_out(kernel, failing)),
            spawn(kernel, 1, move |_| assert_eq!(semaphore.wait(Deadline::INFINITE), Ok(()))),
            thread::spawn(move || {
                semaphore.post();
                semaphore.post();
            }),
        ];
        Ground::be(failing);
        let outcome = semaphore.wait(Deadline::at(1));
        join(others);
        assert_eq!((semaphore.num_waiters(), semaphore.count().max(0)), (0, i64::from(outcome.is_err())), "Z14");
    });
}

/// Whichever way each goes: a look at the count, the lock, the queue.
#[test]
fn z2_to_z9_two_posts_against_two_waits() {
    bounded(1, || {
        let kernel = Ground::kernel();
        let semaphore = gate(kernel, 0);
        let others = std::vec![
            thread::spawn(move || semaphore.post()),
            thread::spawn(move || semaphore.post()),
            spawn(kernel, 1, move |_| assert_eq!(semaphore.wait(Deadline::INFINITE), Ok(()))),
        ];
        Ground::be(Ground::thread(kernel, 1));
        assert_eq!(semaphore.wait(Deadline::INFINITE), Ok(()));
        join(others);
        assert_eq!((semaphore.num_waiters(), semaphore.count()), (0, 0));
    });
}

/// A post that wakes the last sets 0, and another adds to it before the first has given the lock back.
#[test]
fn z9_the_exit_condition_allows_for_a_post_that_needs_no_lock() {
    model(|| {
        let kernel = Ground::kernel();
        let semaphore = gate(kernel, 0);
        let others = std::vec![thread::spawn(move || semaphore.post()), thread::spawn(move || semaphore.post())];
        Ground::be(Ground::thread(kernel, 1));
        assert_eq!(semaphore.wait(Deadline::INFINITE), Ok(()));
        join(others);
        assert_eq!((semaphore.num_waiters(), semaphore.count()), (0, 1));
    });
}

#[test]
fn z9_an_exit_condition_that_does_not_is_found() {
    caught(
        Mutant::ExactlyZero,
        "kernel::tests::loom::z9_the_exit_condition_allows_for_a_post_that_needs_no_lock",
        "S3",
    );
}

#[test]
fn z4_a_count_that_goes_below_zero_without_the_lock_is_found() {
    caught(Mutant::SubtractUnlocked, "kernel::tests::loom::z2_to_z9_two_posts_against_two_waits", "S1");
}

#[test]
fn z8_a_zero_that_is_forgotten_is_found() {
    caught(Mutant::ZeroForgotten, "kernel::tests::loom::z2_to_z9_two_posts_against_two_waits", "S3");
}

/// Shared data without a lock of its own: loom fails if an access is not ordered after the last.
struct Data(UnsafeCell<u32>);

// SAFETY: loom checks it.
unsafe impl Sync for Data {}
// SAFETY: as above.
unsafe impl Send for Data {}

impl Data {
    fn new() -> &'static Self {
        leak(Self(UnsafeCell::new(0)))
    }

    fn add(&self) {
        // SAFETY: loom checks it.
        self.0.with_mut(|data| unsafe { *data += 1 });
    }

    fn read(&self) -> u32 {
        // SAFETY: loom checks it.
        self.0.with(|data| unsafe { *data })
    }
}

#[test]
fn z29_what_came_before_a_post_is_seen_after_the_wait() {
    model(|| {
        let kernel = Ground::kernel();
        let (semaphore, data) = (gate(kernel, 0), Data::new());
        let poster = thread::spawn(move || {
            data.add();
            semaphore.post();
        });
        Ground::be(Ground::thread(kernel, 1));
        assert_eq!(semaphore.wait(Deadline::INFINITE), Ok(()));
        assert_eq!(data.read(), 1);
        poster.join().unwrap();
    });
}

/// Also of the second of two posts, and by a wait that takes one of both; after a failed wait, too.
#[test]
fn z29_two_posts_are_seen_after_two_waits() {
    model(|| {
        let kernel = Ground::kernel();
        let (semaphore, data) = (gate(kernel, -1), [Data::new(), Data::new()]);
        let posters = data.map(|data| {
            thread::spawn(move || {
                data.add();
                semaphore.post();
            })
        });
        Ground::be(Ground::thread(kernel, 1));
        for _ in 0..2 {
            assert_eq!(semaphore.wait(Deadline::INFINITE), Ok(()));
        }
        assert_eq!(data.map(Data::read), [1, 1]);
        join(posters.into());
    });
}

#[test]
fn z29_a_hand_off_that_is_not_published_is_found() {
    caught(
        Mutant::RelaxedDecide,
        "kernel::tests::loom::z29_what_came_before_a_post_is_seen_after_the_wait",
        "Causality violation",
    );
}

#[test]
fn z25_who_is_woken_to_own_a_queue_owns_it() {
    model(|| {
        let kernel = Ground::kernel();
        let semaphore = gate(kernel, 0);
        let owned: &'static _ = leak(OwnedWaitQueue::new_in(kernel, WakeOrder::ByFinishTime));
        let poster = thread::spawn(move || semaphore.post_to_own(owned));
        let waiter = spawn(kernel, 10, move |_| {
            assert_eq!(owned.block(Deadline::INFINITE), Ok(()));
        });
        let own = Ground::thread(kernel, 1);
        Ground::be(own);
        assert_eq!(semaphore.wait(Deadline::INFINITE), Ok(()));
        if let Some(owner) = owned.owner() {
            assert!(core::ptr::eq(owner, own));
            assert!([1, 11].contains(&own.effective_weight()));
        }
        poster.join().unwrap();
        while !owned.wake_one() {
            thread::yield_now(); // it has not joined yet
        }
        waiter.join().unwrap();
        owned.assign_owner(None).unwrap();
        assert_eq!((own.effective_weight(), semaphore.count()), (1, 0));
        own.exit();
    });
}

/// A lock that three want, one of them not for long.
#[test]
fn a_lock_excludes_and_is_handed_over() {
    bounded(3, || {
        let kernel = Ground::kernel();
        let (mutex, data) = (leak(Mutex::new_in(kernel, (), WakeOrder::ByFinishTime)), Data::new());
        let hurried = Ground::thread(kernel, 1);
        let others = std::vec![
            spawn(kernel, 2, move |own| {
                let held = mutex.lock().unwrap();
                data.add();
                drop(held);
                own.exit();
            }),
            thread::spawn(move || time_out(kernel, hurried)),
        ];
        Ground::be(hurried);
        let locked = mutex.lock_until(Deadline::at(1)).is_ok_and(|held| {
            data.add();
            drop(held);
            true
        });
        join(others);
        let _held = mutex.try_lock().expect("nobody holds it any more");
        assert_eq!(data.read(), 1 + u32::from(locked));
        assert_eq!(hurried.effective_weight(), 1);
    });
}

#[test]
fn a_lock_is_not_waited_for_that_is_free() {
    bounded(4, || {
        let kernel = Ground::kernel();
        let (mutex, data) = (leak(Mutex::new_in(kernel, (), WakeOrder::ByFinishTime)), Data::new());
        let lock_twice = move |own: Own| {
            for _ in 0..2 {
                let held = mutex.lock().unwrap();
                data.add();
                drop(held);
            }
            assert_eq!(own.effective_weight(), 1, "who holds nothing inherits nothing");
            own.exit();
        };
        let other = spawn(kernel, 1, lock_twice);
        let own = Ground::thread(kernel, 1);
        Ground::be(own);
        lock_twice(own);
        other.join().unwrap();
        assert_eq!(data.read(), 4);
    });
}

/// The block of the thread that was begun last is known to the other by the lock's word alone.
#[test]
fn m3_a_holder_that_is_not_published_is_found() {
    caught(Mutant::RelaxedHolder, "kernel::tests::loom::a_lock_is_not_waited_for_that_is_free", "Causality violation");
}

#[test]
fn m1_a_mark_that_is_not_looked_at_again_is_found() {
    caught(Mutant::MarkUnseen, "kernel::tests::loom::a_lock_is_not_waited_for_that_is_free", "deadlock");
}
