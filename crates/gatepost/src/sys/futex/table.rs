//! A futex for systems without one, and for the model checkers: sleepers of an address share a bucket with a mutex and a
//! condition variable. The word is compared under the mutex, and a waker, who changed the word before, takes the mutex
//! before it notifies: a sleeper either sees the new word or is already waiting on the condition variable.
//!
//! Addresses may share a bucket, so `wake_one` must wake all of it: more wakes than needed, never fewer.

use crate::sys::atomic::{Acquire, AtomicU32};
use std::time::Duration;

#[cfg(all(test, loom))]
use loom::sync::{Condvar, Mutex};
#[cfg(all(test, shuttle, not(loom)))]
use shuttle::sync::{Condvar, Mutex};
#[cfg(not(all(test, any(loom, shuttle))))]
use std::sync::{Condvar, Mutex};

struct Bucket {
    lock: Mutex<()>,
    changed: Condvar,
}

#[cfg(not(all(test, any(loom, shuttle))))]
fn bucket(word: &AtomicU32) -> &'static Bucket {
    const EMPTY: Bucket = Bucket { lock: Mutex::new(()), changed: Condvar::new() };
    static BUCKETS: [Bucket; 64] = [EMPTY; 64];
    let address = core::ptr::from_ref(word).addr();
    // Bits from the middle of a product with 2^32 / phi: aligned addresses spread evenly over them.
    &BUCKETS[(address.wrapping_mul(0x9E37_79B1) >> 16) % BUCKETS.len()]
}

// The checkers' statics start anew in each execution. One bucket: fewer objects to explore.
#[cfg(all(test, loom))]
loom::lazy_static! {
    static ref BUCKET: Bucket = Bucket { lock: Mutex::new(()), changed: Condvar::new() };
}
#[cfg(all(test, shuttle, not(loom)))]
shuttle::lazy_static! {
    static ref BUCKET: Bucket = Bucket { lock: Mutex::new(()), changed: Condvar::new() };
}
#[cfg(all(test, any(loom, shuttle)))]
fn bucket(_word: &AtomicU32) -> &'static Bucket {
    &BUCKET
}

/// Sleeps while `*word == expected`, at most for `timeout`; may return early.
pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
    let bucket = bucket(word);
    let guard = bucket.lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // ORDERING: Acquire, though the mutex would do: what the waker wrote before it changed the word is seen on return.
    if word.load(Acquire) != expected {
        return;
    }
    match timeout {
        None => drop(bucket.changed.wait(guard)),
        Some(timeout) => drop(bucket.changed.wait_timeout(guard, timeout)),
    }
}

/// Wakes at least one thread that sleeps on `word`.
pub(crate) fn wake_one(word: &AtomicU32) {
    wake_all(word);
}

/// Wakes every thread that sleeps on `word`.
pub(crate) fn wake_all(word: &AtomicU32) {
    let bucket = bucket(word);
    drop(bucket.lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    bucket.changed.notify_all();
}
