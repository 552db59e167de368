//! What the fast paths cost, counted by the atomics themselves; `tests/cost.rs` counts them in the shipped build.

use crate::kernel::{Deadline, Mutex, Native, Semaphore};
use crate::sys::atomic::{Counts, counts};

fn cost<R>(f: impl FnOnce() -> R) -> (Counts, R) {
    let before = counts();
    let result = f();
    (counts() - before, result)
}

#[test]
fn z31_an_uncontended_wait_and_post_are_one_cas_each() {
    const ONE: Counts = Counts { loads: 1, stores: 0, rmws: 1, syscalls: 0 };
    let semaphore = Semaphore::<Native>::new(1);
    assert_eq!(cost(|| semaphore.wait(Deadline::INFINITE)), (ONE, Ok(())));
    assert_eq!(cost(|| semaphore.post()).0, ONE);
    assert_eq!(cost(|| semaphore.wait_uninterruptible()).0, ONE);
    assert_eq!(cost(|| semaphore.post()).0, ONE);
    let none = Counts { loads: 1, ..Counts::default() };
    assert!(semaphore.try_wait());
    assert_eq!(cost(|| semaphore.try_wait()), (none, false));
}

#[test]
fn an_uncontended_lock_and_unlock_are_one_cas_each() {
    let mutex = Mutex::<(), Native>::new(());
    drop(mutex.lock()); // this thread has its block
    let pair = cost(|| drop(mutex.lock())).0;
    // And a look at the word, which says whose the lock is.
    assert_eq!(pair, Counts { loads: 1, stores: 0, rmws: 2, syscalls: 0 });
}
