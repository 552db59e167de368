//! Sleeping on a word that other processes see.
//!
//! The address is a pointer and no reference: the lock's futex is the lower half of a word that is accessed with 64 bits, and
//! only the kernel looks at the half.

use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

/// The word at which `wait` sleeps: all of it.
pub(crate) fn of(word: &AtomicU32) -> *const u32 {
    word.as_ptr()
}

/// The lower half of `word`.
pub(crate) fn lower_half_of(word: &AtomicU64) -> *const u32 {
    word.as_ptr().cast()
}

/// Sleeps while `*word == expected`, at most for `timeout`; may return early for no reason.
pub(crate) fn wait(word: *const u32, expected: u32, timeout: Duration) {
    #[cfg(test)]
    if crate::step::unwind::is_running() {
        return; // In the model of the tables a sleep is over at once.
    }
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // SAFETY: the kernel reads `timeout`, which lives until the call returns, and compares the word at `word`: if it is not
    // mapped, it says so and nothing happens.
    unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAIT, expected, &raw const timeout) };
    // Whatever it says - woken, too late, interrupted, changed before - the caller looks for itself.
}

/// Wakes at most `count` sleepers, in whichever process.
pub(crate) fn wake(word: *const u32, count: i32) {
    #[cfg(test)]
    crate::step::unwind::woken(word);
    let none: *const libc::timespec = ptr::null();
    // SAFETY: the kernel uses the address as a name.
    unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, count, none) };
}
