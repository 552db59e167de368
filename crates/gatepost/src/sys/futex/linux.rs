//! The kernel's futex, called through the C library that `std` links anyway: no dependency for one system call.

use crate::sys::atomic::AtomicU32;
use core::ffi::{c_int, c_long};
use core::ptr;
use std::time::Duration;

#[cfg(target_arch = "x86_64")]
const SYS_FUTEX: c_long = 202;
#[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
const SYS_FUTEX: c_long = 98;

const FUTEX_WAIT_PRIVATE: c_int = 128;
const FUTEX_WAKE_PRIVATE: c_int = 1 | 128;

/// `struct timespec` of the 64-bit Linux targets named above.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

fn counted() {
    #[cfg(all(test, not(any(loom, shuttle))))]
    crate::sys::atomic::count_syscall();
}

/// Sleeps while `*word == expected`, at most for `timeout` (on the monotonic clock); may return early.
pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
    counted();
    let timespec = timeout.map(|t| Timespec {
        // More seconds than the kernel can count are as good as for ever: the caller looks at its deadline again.
        seconds: i64::try_from(t.as_secs()).unwrap_or(i64::MAX),
        nanoseconds: i64::from(t.subsec_nanos()),
    });
    let timespec = timespec.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: FUTEX_WAIT reads four bytes at `word`, which outlives the call, and the timespec, which is null or does too.
    // The result is of no interest: woken, timed out, interrupted and "differs already" all mean "look again".
    unsafe { syscall(SYS_FUTEX, word.as_ptr(), FUTEX_WAIT_PRIVATE, expected, timespec, ptr::null::<u32>(), 0_u32) };
}

fn wake(word: &AtomicU32, at_most: c_int) {
    counted();
    // SAFETY: FUTEX_WAKE uses the address as a key only.
    unsafe {
        let none = ptr::null::<Timespec>();
        syscall(SYS_FUTEX, word.as_ptr(), FUTEX_WAKE_PRIVATE, at_most, none, ptr::null::<u32>(), 0_u32)
    };
}

/// Wakes one thread that sleeps on `word`.
pub(crate) fn wake_one(word: &AtomicU32) {
    wake(word, 1);
}

/// Wakes every thread that sleeps on `word`.
pub(crate) fn wake_all(word: &AtomicU32) {
    wake(word, c_int::MAX);
}
