//! Where records of detached waiters come from, and go back to: Go's cache of sudogs (G33).
//!
//! Each thread has a cache of at most `CACHE` records. If it is empty, half of that is taken from the central list, under one lock;
//! if that is empty, too, one is allocated. If it is full, half of it goes to the central list, under one lock. The central
//! list keeps at most `CENTRAL`; what is beyond goes back to the allocator. A thread that ends gives all it has to the central
//! list.
//!
//! **R1.** In the steady state nothing is allocated: what one wait gives back the next one takes, from a list that only its
//! thread knows, without an atomic operation.
//! **R2.** After a burst at most `CENTRAL` records stay, and `CACHE` for each thread.
//!
//! Under a model checker, whose objects live for one execution, each record is allocated and freed.

use super::Record;
use core::ptr::NonNull;
use std::boxed::Box;

#[cfg(not(all(test, any(loom, shuttle))))]
use cached::{give, reuse};

#[cfg(all(test, any(loom, shuttle)))]
fn reuse() -> Option<NonNull<Record>> {
    None
}

#[cfg(all(test, any(loom, shuttle)))]
fn give(_record: NonNull<Record>) -> bool {
    false
}

fn allocate() -> NonNull<Record> {
    NonNull::from(Box::leak(Box::new(Record::new())))
}

/// A record that is the caller's.
pub(super) fn take() -> NonNull<Record> {
    reuse().unwrap_or_else(allocate)
}

/// Gives a record back.
///
/// # Safety
/// It is of [`take`], and the caller's.
pub(super) unsafe fn give_back(record: NonNull<Record>) {
    if !give(record) {
        // SAFETY: `allocate` made it, and it is nobody's now.
        drop(unsafe { Box::from_raw(record.as_ptr()) });
    }
}

#[cfg(not(all(test, any(loom, shuttle))))]
mod cached {
    use super::Record;
    use crate::wait::lock::Lock;
    use core::cell::Cell;
    use core::ptr::NonNull;
    use std::boxed::Box;

    /// The most records of a thread.
    const CACHE: usize = 128;
    /// The most records of the central list.
    const CENTRAL: usize = 1024;

    /// A list of records that nobody uses.
    struct Free {
        first: Cell<Option<NonNull<Record>>>,
        len: Cell<usize>,
    }

    impl Free {
        const fn new() -> Self {
            Self { first: Cell::new(None), len: Cell::new(0) }
        }

        fn pop(&self) -> Option<NonNull<Record>> {
            let record = self.first.get()?;
            // SAFETY: it is in this list, so nobody else uses it.
            self.first.set(unsafe { record.as_ref() }.next.take());
            self.len.set(self.len.get() - 1);
            Some(record)
        }

        fn push(&self, record: NonNull<Record>) {
            // SAFETY: by being given away it is this list's.
            unsafe { record.as_ref() }.next.set(self.first.replace(Some(record)));
            self.len.set(self.len.get() + 1);
        }

        /// Moves up to `n` records to `other`.
        fn give(&self, other: &Self, n: usize) {
            for _ in 0..n {
                match self.pop() {
                    Some(record) => other.push(record),
                    None => break,
                }
            }
        }

        /// Gives all to the allocator.
        fn free(&self) {
            while let Some(record) = self.pop() {
                // SAFETY: `allocate` made it, and it is nobody's now.
                drop(unsafe { Box::from_raw(record.as_ptr()) });
            }
        }
    }

    struct Central {
        lock: Lock,
        free: Free,
    }

    // SAFETY: the list is touched under the lock only; records belong to no thread.
    unsafe impl Sync for Central {}

    static POOL: Central = Central { lock: Lock::new(), free: Free::new() };

    impl Central {
        /// Fills an empty cache by half.
        fn refill(&self, cache: &Free) {
            let _held = self.lock.lock();
            self.free.give(cache, CACHE / 2);
        }

        /// Takes `n` records of a cache.
        fn spill(&self, cache: &Free, n: usize) {
            let rest = Free::new();
            {
                let _held = self.lock.lock();
                let room = CENTRAL - self.free.len.get();
                cache.give(&self.free, n.min(room));
                cache.give(&rest, n.saturating_sub(room));
            }
            rest.free(); // not under the lock
        }
    }

    /// A thread's cache.
    struct Cache(Free);

    impl Drop for Cache {
        fn drop(&mut self) {
            POOL.spill(&self.0, self.0.len.get());
        }
    }

    /// A record that somebody has given back.
    pub(super) fn reuse() -> Option<NonNull<Record>> {
        with_cache(|cache| {
            if cache.len.get() == 0 {
                POOL.refill(cache);
            }
            cache.pop()
        })
        .flatten()
    }

    /// Keeps a record for later, unless the thread is going down; whether it does.
    pub(super) fn give(record: NonNull<Record>) -> bool {
        with_cache(|cache| {
            if cache.len.get() == CACHE {
                POOL.spill(cache, CACHE / 2);
            }
            cache.push(record);
        })
        .is_some()
    }

    /// Calls `f` with this thread's cache; `None` if the thread is going down.
    fn with_cache<R>(f: impl FnOnce(&Free) -> R) -> Option<R> {
        std::thread_local! {
            static CACHE: Cache = const { Cache(Free::new()) };
        }
        CACHE.try_with(|cache| f(&cache.0)).ok()
    }

    #[cfg(test)]
    mod tests {
        use super::super::{give_back, take};
        use super::*;
        use std::vec::Vec;

        fn central() -> usize {
            let _held = POOL.lock.lock();
            POOL.free.len.get()
        }

        fn cached() -> usize {
            with_cache(|cache| cache.len.get()).expect("the thread lives")
        }

        /// In a thread of its own, whose cache is empty at first.
        fn alone(f: impl FnOnce() + Send + 'static) {
            std::thread::spawn(f).join().unwrap();
        }

        #[test]
        fn g33_an_empty_cache_takes_half_from_the_central_list_and_a_full_one_gives_half() {
            alone(|| {
                let all: Vec<_> = (0..3 * CACHE).map(|_| take()).collect();
                let mut most = 0;
                for (i, record) in all.into_iter().enumerate() {
                    // SAFETY: of `take`, and this test's.
                    unsafe { give_back(record) };
                    most = most.max(cached());
                    if i == CACHE {
                        assert_eq!(cached(), CACHE / 2 + 1, "half of a full cache went, and this one came");
                    }
                }
                assert_eq!(most, CACHE);
                // Empty it, then one more: half a cache comes (or what others have left).
                let all: Vec<_> = (0..cached()).map(|_| take()).collect();
                assert_eq!(cached(), 0);
                let one_more = take();
                assert!(cached() < CACHE / 2 && (cached() > 0 || central() == 0));
                // SAFETY: of `take`, and this test's.
                all.into_iter().chain([one_more]).for_each(|record| unsafe { give_back(record) });
            });
        }

        #[test]
        fn g34_after_a_burst_a_bounded_number_of_records_stays() {
            alone(|| {
                let all: Vec<_> = (0..20 * CENTRAL).map(|_| take()).collect();
                // SAFETY: of `take`, and this test's.
                all.into_iter().for_each(|record| unsafe { give_back(record) });
                assert!(cached() <= CACHE && central() <= CENTRAL);
            });
            assert!(central() <= CENTRAL, "with those of the thread that has ended");
            assert!(central() > 0);
        }
    }
}
