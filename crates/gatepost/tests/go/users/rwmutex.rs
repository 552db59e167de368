//! Go's `sync.RWMutex` on two [`Sema`]s: readers pay one addition, and a writer is not starved by them.
//!
//! | field | meaning |
//! |---|---|
//! | `readers` | readers that are inside or wait; less [`MOST_READERS`] while a writer is inside or waits for the last of them |
//! | `departing` | readers that a writer waits for: those that were inside when it came |
//!
//! A writer takes `writer`, which excludes others, and makes `readers` negative: that is seen by whoever comes to read after it,
//! and sleeps. It adds the readers that were inside to `departing`. They subtract themselves, perhaps before that, so that
//! it may be negative for a moment; whoever brings it to 0 was the last, a reader that wakes the writer or the writer
//! itself, which then need not sleep. A writer that leaves lets in all the readers that have come meanwhile, before the
//! next writer: neither starves the other.
//!
//! # Ordering
//! All RMWs of `readers` and `departing` are `AcqRel`: a reader continues the writer before it, and a writer all readers before it,
//! through the chain of additions to `departing` or through `readers` itself.

use super::mutex::Mutex;
use gatepost::address::Sema;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// So many may read at one time.
const MOST_READERS: i32 = 1 << 30;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct RwMutex {
    writer: Mutex,
    readers: AtomicI32,
    departing: AtomicI32,
    /// Where a writer sleeps until those who read have gone.
    for_readers_to_go: Sema,
    /// Where readers sleep until the writer has gone.
    for_writer_to_go: Sema,
}

impl RwMutex {
    /// An unlocked one.
    pub(crate) const fn new() -> Self {
        Self {
            writer: Mutex::new(),
            readers: AtomicI32::new(0),
            departing: AtomicI32::new(0),
            for_readers_to_go: Sema::new(0),
            for_writer_to_go: Sema::new(0),
        }
    }

    /// Locks it for reading. (Not twice in one thread: a writer that comes in between would wait for the first, and the second
    /// for the writer.)
    pub(crate) fn read(&self) {
        if self.readers.fetch_add(1, AcqRel) < 0 {
            self.for_writer_to_go.acquire().wait();
        }
    }

    /// Locks it for reading if no writer is inside or waits.
    #[must_use = "whether it is locked now"]
    pub(crate) fn try_read(&self) -> bool {
        let mut readers = self.readers.load(Relaxed);
        while readers >= 0 {
            match self.readers.compare_exchange_weak(readers, readers + 1, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(now) => readers = now,
            }
        }
        false
    }

    /// Unlocks it from reading.
    ///
    /// # Panics
    /// If nobody reads; it stays as it was.
    #[track_caller]
    pub(crate) fn unread(&self) {
        let before = self.readers.fetch_sub(1, AcqRel);
        if before == 0 || before == -MOST_READERS {
            self.readers.fetch_add(1, Relaxed);
            panic!("unread of a lock that nobody reads under");
        }
        // A writer waits, perhaps for this one alone.
        if before < 0 && self.departing.fetch_sub(1, AcqRel) == 1 {
            self.for_readers_to_go.release();
        }
    }

    /// Locks it for writing.
    pub(crate) fn write(&self) {
        self.writer.lock();
        let inside = self.readers.fetch_sub(MOST_READERS, AcqRel);
        if inside != 0 && self.departing.fetch_add(inside, AcqRel) + inside != 0 {
            self.for_readers_to_go.acquire().wait();
        }
    }

    /// Locks it for writing if nobody is inside.
    #[must_use = "whether it is locked now"]
    pub(crate) fn try_write(&self) -> bool {
        if !self.writer.try_lock() {
            return false;
        }
        let free = self.readers.compare_exchange(0, -MOST_READERS, AcqRel, Relaxed).is_ok();
        if !free {
            self.writer.unlock();
        }
        free
    }

    /// Unlocks it from writing, and lets in who has come to read meanwhile.
    ///
    /// # Panics
    /// If nobody writes; it stays as it was.
    #[track_caller]
    pub(crate) fn unwrite(&self) {
        let before = self.readers.fetch_add(MOST_READERS, AcqRel);
        if before >= 0 {
            self.readers.fetch_sub(MOST_READERS, Relaxed);
            panic!("unwrite of a lock that nobody writes under");
        }
        let came = before + MOST_READERS;
        self.for_writer_to_go.release_n(came.unsigned_abs()); // Go releases one by one
        self.writer.unlock();
    }

    /// How many writers wait for readers to go (one, or none), and readers for the writer: a snapshot, for tests.
    pub(crate) fn sleepers(&self) -> (usize, usize) {
        (self.for_readers_to_go.num_waiters(), self.for_writer_to_go.num_waiters())
    }
}
