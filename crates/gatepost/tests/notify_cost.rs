//! Waiting for a notification allocates nothing, in the shipped build. (Atomic operations are counted in the library's own
//! tests, `address/notify/tests/statements.rs`.)
#![cfg(feature = "std")]

#[path = "cost/allocations.rs"]
mod allocations;

use gatepost::address::NotifyList;
use gatepost::sync::{Condvar, StdGuard};
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Waker};
use std::time::Duration;

/// Calls of the allocator by `operation`, the second time: the first use of a thread-local, or of what is read once, may
/// allocate.
fn allocates(mut operation: impl FnMut()) -> u64 {
    operation();
    let before = allocations::calls();
    operation();
    allocations::calls() - before
}

#[test]
fn a_thread_that_waits_allocates_nothing() {
    let (list, mutex, condvar) = (NotifyList::new(), Mutex::new(false), Condvar::new());
    let short = Duration::from_millis(2); // long enough to get as far as sleeping
    assert_eq!(allocates(|| assert!(list.add().notified().wait_timeout(short).is_err())), 0);
    assert_eq!(allocates(|| drop(condvar.wait(StdGuard::lock(&mutex).unwrap()).wait_timeout(short))), 0);

    // And one that is woken.
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            // What this thread needs once to sleep it has then, although the first wait below may be over before it sleeps.
            let (none, nobody) = (Mutex::new(()), Condvar::new());
            drop(nobody.wait(StdGuard::lock(&none).unwrap()).wait_timeout(short));
            allocates(|| {
                *condvar.wait_while(StdGuard::lock(&mutex).unwrap(), |go| !*go).wait() = false;
            })
        });
        for _ in 0..2 {
            while condvar.num_waiters() == 0 {
                std::thread::yield_now();
            }
            *mutex.lock().unwrap() = true;
            condvar.notify_one();
            while *mutex.lock().unwrap() {
                std::thread::yield_now();
            }
        }
        assert_eq!(waits.join().unwrap(), 0);
    });
}

#[test]
fn a_task_that_waits_and_a_notification_allocate_nothing() {
    let list = NotifyList::new();
    let mut cx = Context::from_waker(Waker::noop());
    let calls = allocates(|| {
        let (mut first, mut second) = (pin!(list.add().notified()), pin!(list.add().notified()));
        assert!(first.as_mut().poll(&mut cx).is_pending() && second.as_mut().poll(&mut cx).is_pending());
        list.notify_one();
        assert!(first.poll(&mut cx).is_ready());
        list.notify_all();
        assert!(second.poll(&mut cx).is_ready());
    });
    assert_eq!(calls, 0);
}
