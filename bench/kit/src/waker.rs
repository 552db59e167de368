//! A waker that counts, and nothing more: what a wake-up costs in a storm is then the semaphore's own.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{RawWaker, RawWakerVTable, Waker};

/// Counts wake-ups. One thread wakes at a time, so a load and a store do: no locked instruction is added.
#[derive(Debug, Default)]
pub struct Tally(AtomicU64);

static VTABLE: RawWakerVTable = RawWakerVTable::new(|data| RawWaker::new(data, &VTABLE), wake, wake, |_| ());

fn wake(data: *const ()) {
    // SAFETY: `data` is the tally that `waker` was called with, which lives for ever.
    let tally = unsafe { &*data.cast::<Tally>() };
    tally.0.store(tally.0.load(Relaxed) + 1, Relaxed);
}

impl Tally {
    /// One that lives for ever, as its wakers may.
    pub fn leak() -> &'static Self {
        Box::leak(Box::default())
    }

    /// A waker that counts here.
    pub fn waker(&'static self) -> Waker {
        // SAFETY: cloning and dropping do nothing, and waking looks at `self`, which is shared between threads and static.
        unsafe { Waker::from_raw(RawWaker::new((&raw const *self).cast(), &VTABLE)) }
    }

    /// How many wake-ups there were.
    pub fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
