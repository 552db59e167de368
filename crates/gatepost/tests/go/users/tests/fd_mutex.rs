//! Go's tests of its file descriptors' mutex (`internal/poll/fd_mutex_test.go`). G52.

use super::fd_mutex::{FdMutex, Side};
use super::leaked;
use crate::common::panics::caught;
use crate::common::thread::{start, until};
use std::cell::UnsafeCell;

const SIDES: [Side; 2] = [Side::Read, Side::Write];

/// `TestMutexClose`
#[test]
fn g52_test_mutex_close() {
    let mutex = FdMutex::new();
    assert!(mutex.incref(), "broken");
    assert!(!mutex.decref());
    assert!(mutex.incref_and_close());
    assert!(!mutex.incref());
    assert!(!mutex.lock(Side::Read) && !mutex.lock(Side::Write));
    assert!(!mutex.incref_and_close());
    assert!(mutex.decref(), "the last reference to what is closed");
}

/// `TestMutexCloseUnblock`: closing wakes all who wait, on either side, and each of them sees that it is closed.
#[test]
fn g52_test_mutex_close_unblock() {
    for side in SIDES {
        let mutex = leaked(FdMutex::new());
        assert!(mutex.lock(side));
        let waiting: Vec<_> = (0..4).map(|_| start(move || mutex.lock(side))).collect();
        until("all sleep", || mutex.sleepers(side) == 4);
        assert!(waiting.iter().all(|thread| !thread.has_ended()), "locked twice");
        assert!(mutex.incref_and_close());
        waiting.into_iter().for_each(|thread| assert!(!thread.join()));
        assert!(!mutex.decref(), "the lock holds a reference");
        assert!(mutex.unlock(side), "that was the last one");
        assert_eq!(mutex.sleepers(side), 0);
    }
}

/// `TestMutexPanic`
#[test]
fn g52_test_mutex_panic() {
    fn inconsistent(misuse: impl Fn(&FdMutex)) {
        let mutex = FdMutex::new();
        let panic = caught(|| misuse(&mutex));
        assert!(panic.message().contains("inconsistent"), "{}", panic.message());
        // It is not broken by that.
        assert!(mutex.incref() && !mutex.decref());
        for side in SIDES {
            assert!(mutex.lock(side) && !mutex.unlock(side));
        }
        assert!(mutex.incref_and_close() && mutex.decref());
    }
    inconsistent(|mutex| _ = mutex.decref());
    inconsistent(|mutex| {
        let _ = (mutex.incref(), mutex.decref(), mutex.decref());
    });
    for side in SIDES {
        inconsistent(|mutex| _ = mutex.unlock(side));
        inconsistent(|mutex| {
            let _ = (mutex.lock(side), mutex.unlock(side), mutex.unlock(side));
        });
    }
}

/// `TestMutexOverflowPanic`
#[test]
fn g52_test_mutex_overflow_panic() {
    const MOST: usize = (1 << 20) - 1;
    let mutex = FdMutex::new();
    for _ in 0..MOST {
        assert!(mutex.incref());
    }
    let refused: [fn(&FdMutex); 3] =
        [|mutex| _ = mutex.incref(), |mutex| _ = mutex.incref_and_close(), |mutex| _ = mutex.lock(Side::Read)];
    for refused in refused {
        let panic = caught(|| refused(&mutex));
        assert!(panic.message().contains("too many"), "{}", panic.message());
        assert!(!panic.message().contains("inconsistent"));
    }
    for _ in 0..MOST {
        assert!(!mutex.decref(), "it is not closed");
    }
    assert!(mutex.lock(Side::Read) && mutex.incref_and_close());
    assert!(!mutex.decref() && mutex.unlock(Side::Read));
}

/// Two numbers that only one side's lock protects.
#[derive(Default)]
struct Pair(UnsafeCell<[u64; 2]>);

// SAFETY: it is only touched with its side's lock held.
unsafe impl Sync for Pair {}

impl Pair {
    /// # Safety
    /// The lock of its side is held.
    unsafe fn add_one(&self) {
        // SAFETY: by the caller's promise.
        let pair = unsafe { &mut *self.0.get() };
        assert_eq!(pair[0], pair[1], "somebody else is here");
        pair[0] += 1;
        pair[1] += 1;
    }
}

/// `TestMutexStress`
fn stress(threads: usize, operations: usize) {
    let shared = leaked((FdMutex::new(), [Pair::default(), Pair::default()]));
    let threads: Vec<_> = (0..threads)
        .map(|i| {
            start(move || {
                let (mutex, pairs) = shared;
                let mut random = 0x9E37_79B9_u32.wrapping_mul(i as u32 + 1);
                for _ in 0..operations {
                    random ^= random << 13;
                    random ^= random >> 17;
                    random ^= random << 5;
                    let side = match random % 3 {
                        0 => {
                            assert!(mutex.incref() && !mutex.decref());
                            continue;
                        }
                        1 => Side::Read,
                        _ => Side::Write,
                    };
                    assert!(mutex.lock(side));
                    // SAFETY: locked.
                    unsafe { pairs[side as usize].add_one() };
                    assert!(!mutex.unlock(side));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join());
    assert!(shared.0.incref_and_close() && shared.0.decref());
}

#[test]
fn g52_test_mutex_stress() {
    stress(8, 10_000);
}

#[test]
#[ignore = "eight million operations, as Go has it"]
fn g52_test_mutex_stress_in_full() {
    // In parts: each thread is joined within a limit.
    (0..20).for_each(|_| stress(8, 50_000));
}
