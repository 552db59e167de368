//! Semaphores by pointer: for words that may be freed by whoever acquires them.
//!
//! A reference to a word must not outlive it. But the last use of a semaphore is often to say "done", to somebody who then frees it:
//! between the count that the releaser makes visible and its return, the word may be gone. These functions promise what a
//! method on a reference cannot: after the count is visible they touch the word no more, unless somebody is
//! found to wait on it who has not been told yet (A-I4 of [`serve`](super::serve)).

use super::serve::Address;
use super::{RawSema, SemaTable};
use crate::sys::atomic::explored::AtomicU32 as Word;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;

#[cfg(feature = "std")]
use {
    super::acquire::Acquire,
    crate::wait::options::{WaitError, WaitOptions},
};

/// # Safety
/// That of the public functions.
#[inline(always)]
pub(super) unsafe fn at(addr: *const AtomicU32) -> Address<'static, RawSema> {
    debug_assert!(!addr.is_null() && addr.is_aligned(), "a semaphore is a word of four bytes, aligned to four");
    // SAFETY: by the caller's promise it points to a word. In the library's unit tests the same word, wrapped.
    let word = unsafe { NonNull::new_unchecked(addr.cast_mut()) }.cast::<Word>();
    // SAFETY: by the caller's promise.
    unsafe { Address::at(word, SemaTable::global()) }
}

/// Blocks this thread until `*addr > 0`, and then takes one from it, atomically. As Go's `semacquire`.
///
/// # Safety
/// `addr` is aligned, and points to an `AtomicU32` that lives until this returns.
///
/// # Panics
/// As [`Acquire::wait`](super::Acquire::wait).
///
/// # Examples
/// ```
/// use gatepost::address::{semacquire, semrelease};
/// use std::sync::atomic::AtomicU32;
///
/// // The waiter owns the word, and frees it as soon as it has been told.
/// let word = Box::into_raw(Box::new(AtomicU32::new(0)));
/// let shared = word as usize;
/// let releaser = std::thread::spawn(move || {
///     // SAFETY: the word lives until this has made the count visible.
///     unsafe { semrelease(std::ptr::with_exposed_provenance(shared), false) };
/// });
/// // SAFETY: this thread frees the word, after this.
/// unsafe { semacquire(word) };
/// // SAFETY: nobody else acquires, and the only releaser has released.
/// drop(unsafe { Box::from_raw(word) });
/// # releaser.join().unwrap();
/// ```
#[cfg(feature = "std")]
#[inline]
#[track_caller]
pub unsafe fn semacquire(addr: *const AtomicU32) {
    // SAFETY: passed on.
    let address = unsafe { at(addr) };
    if !address.try_take() {
        Acquire::new(address).wait();
    }
}

/// The same, waiting before all others and not behind them: for whoever has waited already, and was woken for nothing.
///
/// # Safety
/// As for [`semacquire`].
///
/// # Panics
/// As [`semacquire`].
#[cfg(feature = "std")]
#[track_caller]
pub unsafe fn semacquire_lifo(addr: *const AtomicU32) {
    // SAFETY: passed on.
    Acquire::new(unsafe { at(addr) }).lifo().wait();
}

/// The same, for as long as `options` allow.
///
/// # Errors
/// [`WaitError::TimedOut`], [`WaitError::Interrupted`]: nothing was taken.
///
/// # Safety
/// As for [`semacquire`].
///
/// # Panics
/// As [`semacquire`].
#[cfg(feature = "std")]
#[track_caller]
pub unsafe fn semacquire_with(addr: *const AtomicU32, options: WaitOptions<'_>) -> Result<(), WaitError> {
    // SAFETY: passed on.
    Acquire::new(unsafe { at(addr) }).wait_with(options)
}

/// Takes one from `*addr` if it is above 0; whether it was. (Plan 9's `semacquire` that does not block.)
///
/// # Safety
/// `addr` is aligned, and points to an `AtomicU32` that lives until this returns.
#[inline]
#[must_use = "whether one was taken"]
pub unsafe fn semtryacquire(addr: *const AtomicU32) -> bool {
    // SAFETY: passed on.
    unsafe { at(addr) }.try_take()
}

/// Adds one to `*addr`, atomically, and wakes one who waits for it, if anybody does. With `handoff`, the first who waits is
/// given the one instead, so that nobody else can take it. As Go's `semrelease`.
///
/// # Safety
/// `addr` is aligned, and points to an `AtomicU32` that lives until the count is visible, or, if somebody waits, until that
/// one has been told; so whoever has acquired what this releases may free the word at once.
///
/// # Panics
/// If the count would exceed [`RawSema::MAX_COUNT`], before anything has changed. (Go's wraps around.)
#[inline]
#[track_caller]
pub unsafe fn semrelease(addr: *const AtomicU32, handoff: bool) {
    // SAFETY: passed on.
    let address = unsafe { at(addr) };
    if !handoff {
        address.release(1);
    } else if address.hand_off() {
        super::give_way();
    }
}

/// Adds `n` to `*addr`, atomically, and wakes up to `n` of those who wait for it. Returns the count that this made. (Plan 9's
/// `semrelease`.)
///
/// # Safety
/// As for [`semrelease`].
///
/// # Panics
/// As [`semrelease`].
#[inline]
#[track_caller]
pub unsafe fn semrelease_n(addr: *const AtomicU32, n: u32) -> u32 {
    // SAFETY: passed on.
    unsafe { at(addr) }.release(n)
}
