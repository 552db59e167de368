//! The atomics of the shipped path, and what counts them.
//!
//! In the library's own unit tests each atomic is a wrapper that counts for the thread that uses it: loads, stores,
//! read-modify-writes. Fast paths are held to exact counts by `semaphore/tests/cost.rs`, so that one RMW more, anywhere,
//! fails a test. (Reference counts of `Arc` and whatever `std` does are beyond a wrapper: `tests/cost.rs` counts those,
//! in the shipped build, by single-stepping the processor.)

pub(crate) use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

/// A signed count of 64 bits, or, where there is no such atomic, of as many as a pointer has. (`gatepost_no_64_bit_atomics` says that
/// there is none, so that the tests can be run as on such a machine.)
#[cfg(all(target_has_atomic = "64", not(gatepost_no_64_bit_atomics)))]
mod count {
    pub(crate) type Count = i64;
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) use super::counted::AtomicI64 as AtomicCount;
    #[cfg(not(test))]
    pub(crate) use core::sync::atomic::AtomicI64 as AtomicCount;
    #[cfg(all(test, loom))]
    pub(crate) use loom::sync::atomic::AtomicI64 as AtomicCount;
    #[cfg(all(test, shuttle, not(loom)))]
    pub(crate) use shuttle::sync::atomic::AtomicI64 as AtomicCount;
}
#[cfg(not(all(target_has_atomic = "64", not(gatepost_no_64_bit_atomics))))]
mod count {
    pub(crate) type Count = isize;
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) use super::counted::AtomicIsize as AtomicCount;
    #[cfg(not(test))]
    pub(crate) use core::sync::atomic::AtomicIsize as AtomicCount;
    #[cfg(all(test, loom))]
    pub(crate) use loom::sync::atomic::AtomicIsize as AtomicCount;
    #[cfg(all(test, shuttle, not(loom)))]
    pub(crate) use shuttle::sync::atomic::AtomicIsize as AtomicCount;
}
pub(crate) use count::{AtomicCount, Count};

#[cfg(not(test))]
#[cfg_attr(not(feature = "std"), allow(unused_imports))]
pub(crate) use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize};
#[cfg(all(test, loom))]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize};
#[cfg(all(test, shuttle, not(loom)))]
pub(crate) use shuttle::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize};

#[cfg(all(test, not(any(loom, shuttle))))]
pub(crate) use counted::{AtomicPtr, AtomicU32, AtomicUsize};

/// The same atomics, but for loom, which explores more of them: for words that are read before they are written to.
pub(crate) mod explored {
    #[cfg(all(test, loom))]
    pub(crate) use super::touched::{AtomicU32, AtomicUsize};
    #[cfg(not(all(test, loom)))]
    pub(crate) use super::{AtomicU32, AtomicUsize};
}

/// Loom remembers one last access of each object. A thread that reads a word and then writes to it has itself been the last
/// one, so loom does not see that its write races with what another thread read before, and never tries the write
/// first. Here each read comes after an RMW of a word beside it, which is relaxed and so orders nothing for the program;
/// but loom sees that two of them race, and tries both orders.
#[cfg(all(test, loom))]
mod touched {
    use core::sync::atomic::Ordering::{self, Relaxed};

    macro_rules! touched {
        ($name:ident, $value:ty) => {
            #[allow(unreachable_pub)]
            #[derive(Debug)]
            pub struct $name {
                value: loom::sync::atomic::$name,
                touch: loom::sync::atomic::AtomicUsize,
            }

            #[allow(dead_code)]
            impl $name {
                pub(crate) fn new(value: $value) -> Self {
                    let value = loom::sync::atomic::$name::new(value);
                    Self { value, touch: loom::sync::atomic::AtomicUsize::new(0) }
                }
                pub(crate) fn load(&self, order: Ordering) -> $value {
                    self.touch.fetch_add(0, Relaxed);
                    self.value.load(order)
                }
                pub(crate) fn store(&self, value: $value, order: Ordering) {
                    self.value.store(value, order);
                }
                pub(crate) fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    self.value.compare_exchange(current, new, success, failure)
                }
                pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                    self.value.fetch_add(value, order)
                }
                pub(crate) fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                    self.value.fetch_and(value, order)
                }
                pub(crate) fn with_mut<R>(&mut self, f: impl FnOnce(&mut $value) -> R) -> R {
                    self.value.with_mut(f)
                }
            }
        };
    }
    touched!(AtomicU32, u32);
    touched!(AtomicUsize, usize);
}
#[cfg(all(test, not(any(loom, shuttle))))]
pub(crate) use counted::{Counts, count_syscall, counts};

#[cfg(all(test, not(any(loom, shuttle))))]
mod counted {
    use core::sync::atomic::Ordering;
    use std::cell::Cell;

    /// What the current thread has done since it started.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Counts {
        pub(crate) loads: u64,
        pub(crate) stores: u64,
        pub(crate) rmws: u64,
        pub(crate) syscalls: u64,
    }

    impl core::ops::Sub for Counts {
        type Output = Self;
        fn sub(self, earlier: Self) -> Self {
            Self {
                loads: self.loads - earlier.loads,
                stores: self.stores - earlier.stores,
                rmws: self.rmws - earlier.rmws,
                syscalls: self.syscalls - earlier.syscalls,
            }
        }
    }

    thread_local! {
        static COUNTS: Cell<Counts> = const { Cell::new(Counts { loads: 0, stores: 0, rmws: 0, syscalls: 0 }) };
    }

    fn add(change: impl FnOnce(&mut Counts)) {
        // A thread that is going down has nobody left to read its counts.
        let _ = COUNTS.try_with(|cell| {
            let mut counts = cell.get();
            change(&mut counts);
            cell.set(counts);
        });
    }

    /// The counts of the current thread.
    pub(crate) fn counts() -> Counts {
        COUNTS.with(Cell::get)
    }

    /// Called by `sys` for each system call it makes.
    pub(crate) fn count_syscall() {
        add(|c| c.syscalls += 1);
    }

    macro_rules! counted {
        ($name:ident $(<$t:ident>)?, $value:ty) => {
            // As public as what it stands for: a sealed trait names it.
            #[allow(unreachable_pub)]
            #[derive(Debug)]
            #[repr(transparent)]
            pub struct $name $(<$t>)? (core::sync::atomic::$name $(<$t>)?);

            #[allow(dead_code)]
            impl $(<$t>)? $name $(<$t>)? {
                pub(crate) const fn new(value: $value) -> Self {
                    Self(core::sync::atomic::$name::new(value))
                }
                pub(crate) fn load(&self, order: Ordering) -> $value {
                    add(|c| c.loads += 1);
                    self.0.load(order)
                }
                pub(crate) fn store(&self, value: $value, order: Ordering) {
                    add(|c| c.stores += 1);
                    self.0.store(value, order)
                }
                pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                    add(|c| c.rmws += 1);
                    self.0.swap(value, order)
                }
                pub(crate) fn compare_exchange(
                    &self, current: $value, new: $value, success: Ordering, failure: Ordering,
                ) -> Result<$value, $value> {
                    add(|c| c.rmws += 1);
                    self.0.compare_exchange(current, new, success, failure)
                }
                pub(crate) fn compare_exchange_weak(
                    &self, current: $value, new: $value, success: Ordering, failure: Ordering,
                ) -> Result<$value, $value> {
                    add(|c| c.rmws += 1);
                    self.0.compare_exchange_weak(current, new, success, failure)
                }
            }
        };
    }
    macro_rules! counted_arithmetic {
        ($name:ident, $value:ty) => {
            #[allow(dead_code)]
            impl $name {
                pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                    add(|c| c.rmws += 1);
                    self.0.fetch_add(value, order)
                }
                pub(crate) fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                    add(|c| c.rmws += 1);
                    self.0.fetch_sub(value, order)
                }
                pub(crate) fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                    add(|c| c.rmws += 1);
                    self.0.fetch_or(value, order)
                }
                pub(crate) fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                    add(|c| c.rmws += 1);
                    self.0.fetch_and(value, order)
                }
                pub(crate) const fn as_ptr(&self) -> *mut $value {
                    self.0.as_ptr()
                }
            }
        };
    }
    counted!(AtomicUsize, usize);
    counted_arithmetic!(AtomicUsize, usize);
    counted!(AtomicU32, u32);
    counted_arithmetic!(AtomicU32, u32);
    counted!(AtomicPtr<T>, *mut T);
    #[cfg(all(target_has_atomic = "64", not(gatepost_no_64_bit_atomics)))]
    counted!(AtomicI64, i64);
    #[cfg(all(target_has_atomic = "64", not(gatepost_no_64_bit_atomics)))]
    counted_arithmetic!(AtomicI64, i64);
    #[cfg(not(all(target_has_atomic = "64", not(gatepost_no_64_bit_atomics))))]
    counted!(AtomicIsize, isize);
    #[cfg(not(all(target_has_atomic = "64", not(gatepost_no_64_bit_atomics))))]
    counted_arithmetic!(AtomicIsize, isize);
}
