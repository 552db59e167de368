//! The two words of four bytes: what differs between [`Sema`](super::Sema) and [`RawSema`](super::RawSema).
//!
//! | | `RawSema` | `Sema` |
//! |---|---|---|
//! | bits | 0..31 count | 0 somebody waits, 1..31 count |
//! | who releases learns of waiters from | the bucket's `waiting`, another location | the RMW that adds |
//! | release with nobody waiting | one RMW, and a load of a line of the table | one RMW, and no line of the table |
//!
//! Everything else is common: see [`serve`](super::serve) for the protocol and its proof.

use super::table::SemaTable;
use super::waiter::Protocol;
use crate::sys::atomic::explored::AtomicU32;
use crate::sys::atomic::{AcqRel, Acquire, Relaxed, SeqCst};
use crate::sys::checked_fence;
use crate::sys::mutant::{self, Mutant};
use core::ptr::NonNull;

/// A word of four bytes at whose address tasks and threads wait. Sealed: [`Sema`](super::Sema) and
/// [`RawSema`](super::RawSema).
pub trait Word: sealed::Word {}

impl<W: sealed::Word> Word for W {}

pub(crate) mod sealed {
    use super::*;

    /// What `super::Word` keeps to itself. The functions take a pointer, and not a reference: after a release the word may
    /// be gone (see [`serve`](super::super::serve), A-I4, for who may touch it when).
    pub trait Word: Send + Sync {
        /// Which of the two it is.
        const PROTOCOL: Protocol;

        /// The word.
        fn word(&self) -> NonNull<AtomicU32>;

        /// The count in a value of the word.
        fn count_of(value: u32) -> u32;

        /// Takes one if there is one. "No" was true when it looked.
        ///
        /// # Safety
        /// The word is alive. (So with all that follow.)
        unsafe fn try_take(word: NonNull<AtomicU32>) -> bool;

        /// A2: takes one, or leaves the word so that whoever adds will look for waiters.
        ///
        /// # Safety
        /// The lock of its bucket is held, and a waiter was announced.
        unsafe fn take_or_mark(word: NonNull<AtomicU32>) -> bool;

        /// The last waiter has been taken out.
        ///
        /// # Safety
        /// The lock of its bucket is held.
        unsafe fn unmark(word: NonNull<AtomicU32>);

        /// Whether somebody may wait, by a look that comes before the release.
        ///
        /// # Safety
        /// As for all.
        unsafe fn is_marked(word: NonNull<AtomicU32>, table: &SemaTable) -> bool;

        /// D1: adds `n` and says what the word was. From here on it may be gone.
        ///
        /// # Safety
        /// As for all.
        ///
        /// # Panics
        /// If the count would exceed its maximum; nothing has changed then.
        #[track_caller]
        unsafe fn deposit(word: NonNull<AtomicU32>, n: u32) -> u32;

        /// Whether somebody may wait, for whoever has deposited on `before`. "No" is exact.
        fn was_marked(before: u32, table: &SemaTable, key: usize) -> bool;
    }
}

/// Adds `n` units of `unit` to the word, whose count fills the bits from `unit` on. Returns what it was.
///
/// One RMW where the count is below half and `n` below 2^12. Otherwise by a CAS, which refuses before it changes anything: a
/// word that was added to first would have to be put right again, and waiters could be lost meanwhile. The RMW can overflow
/// all the same if others bring the count from below half to within `n` of its maximum between the look and the RMW: by one
/// addition of 2^31, or by 2^19 of less. That is not noticed, and the count wraps around, as Go's does.
///
/// # Safety
/// The word is alive.
#[inline(always)]
#[track_caller]
unsafe fn add(word: NonNull<AtomicU32>, n: u32, unit: u32) -> u32 {
    // SAFETY: by the caller's promise. (A pointer is looked through anew for each access: after the RMW it may dangle.)
    let value = unsafe { word.as_ref() }.load(Relaxed);
    if value < 1 << 31 && n < 1 << 12 {
        // ORDERING: SeqCst for `RawSema`, whose releaser then looks at another location; the Release half pairs with the
        // Acquire of `take`; the Acquire half continues what others released.
        // SAFETY: as above.
        let before = unsafe { word.as_ref() }.fetch_add(n * unit, SeqCst);
        checked_fence();
        return before;
    }
    // SAFETY: passed on.
    unsafe { add_slow(word, n, unit, value) }
}

/// # Safety
/// The word is alive.
#[cold]
#[inline(never)]
#[track_caller]
unsafe fn add_slow(word: NonNull<AtomicU32>, n: u32, unit: u32, mut value: u32) -> u32 {
    loop {
        // Not in a closure: the panic is the caller's.
        let Some(sum) = n.checked_mul(unit).and_then(|n| value.checked_add(n)) else {
            panic!(
                "a semaphore of four bytes counts to {} and not beyond: {n} were to be added to {}",
                u32::MAX / unit,
                value / unit
            )
        };
        // ORDERING: as in `add`.
        // SAFETY: by the caller's promise; a failed CAS has released nothing.
        match unsafe { word.as_ref() }.compare_exchange(value, sum, SeqCst, Relaxed) {
            Ok(before) => {
                checked_fence();
                return before;
            }
            Err(now) => value = now,
        }
    }
}

/// Takes one unit of `unit` if there is one; otherwise what the word was.
///
/// # Safety
/// The word is alive.
#[inline(always)]
unsafe fn take(word: NonNull<AtomicU32>, unit: u32) -> Result<(), u32> {
    // SAFETY: by the caller's promise, until it has what it asks for.
    let word = unsafe { word.as_ref() };
    // ORDERING: SeqCst for A2 of `RawSema`, which comes after its announcement; its Acquire half pairs with the additions,
    // for a "no" that an answer rests on.
    let mut value = word.load(SeqCst);
    while value >= unit {
        // ORDERING: AcqRel: Acquire pairs with the Release half of the additions; Release, since to take is to say that
        // what came before is done (a releaser that finds the count taken may rest on it).
        match word.compare_exchange(value, value - unit, AcqRel, Acquire) {
            Ok(_) => return Ok(()),
            Err(now) => value = now,
        }
    }
    Err(value)
}

impl sealed::Word for super::RawSema {
    const PROTOCOL: Protocol = Protocol::Raw;

    #[inline(always)]
    fn word(&self) -> NonNull<AtomicU32> {
        NonNull::from(&self.0)
    }

    #[inline(always)]
    fn count_of(value: u32) -> u32 {
        value
    }

    #[inline(always)]
    unsafe fn try_take(word: NonNull<AtomicU32>) -> bool {
        // SAFETY: passed on.
        unsafe { take(word, 1) }.is_ok()
    }

    unsafe fn take_or_mark(word: NonNull<AtomicU32>) -> bool {
        // SAFETY: passed on. The announcement is in the bucket.
        unsafe { take(word, 1) }.is_ok()
    }

    unsafe fn unmark(_word: NonNull<AtomicU32>) {}

    unsafe fn is_marked(word: NonNull<AtomicU32>, table: &SemaTable) -> bool {
        table.may_wait(word.as_ptr().addr())
    }

    #[inline(always)]
    #[track_caller]
    unsafe fn deposit(word: NonNull<AtomicU32>, n: u32) -> u32 {
        // SAFETY: passed on.
        unsafe { add(word, n, 1) }
    }

    #[inline(always)]
    fn was_marked(_before: u32, table: &SemaTable, key: usize) -> bool {
        table.may_wait(key)
    }
}

/// Of a `Sema`: somebody waits.
pub(super) const WAITS: u32 = 1;
/// Of a `Sema`: one permit.
pub(super) const ONE: u32 = 2;

impl sealed::Word for super::Sema {
    const PROTOCOL: Protocol = Protocol::Bit;

    #[inline(always)]
    fn word(&self) -> NonNull<AtomicU32> {
        NonNull::from(&self.0)
    }

    #[inline(always)]
    fn count_of(value: u32) -> u32 {
        value / ONE
    }

    #[inline(always)]
    unsafe fn try_take(word: NonNull<AtomicU32>) -> bool {
        // SAFETY: passed on.
        unsafe { take(word, ONE) }.is_ok()
    }

    unsafe fn take_or_mark(word: NonNull<AtomicU32>) -> bool {
        loop {
            // SAFETY: passed on.
            let Err(value) = (unsafe { take(word, ONE) }) else { return true };
            if value & WAITS != 0 || mutant::is(Mutant::BitUnset) {
                return false;
            }
            // ORDERING: Relaxed: who sees the bit takes the lock. Relaxed on failure: it is looked at again.
            // SAFETY: as above.
            if unsafe { word.as_ref() }.compare_exchange(value, value | WAITS, Relaxed, Relaxed).is_ok() {
                return false;
            }
        }
    }

    unsafe fn unmark(word: NonNull<AtomicU32>) {
        // SAFETY: passed on. ORDERING: Relaxed, an RMW: it continues the release sequences of the additions.
        unsafe { word.as_ref() }.fetch_and(!WAITS, Relaxed);
    }

    unsafe fn is_marked(word: NonNull<AtomicU32>, _table: &SemaTable) -> bool {
        // SAFETY: passed on.
        unsafe { word.as_ref() }.load(Relaxed) & WAITS != 0
    }

    #[inline(always)]
    #[track_caller]
    unsafe fn deposit(word: NonNull<AtomicU32>, n: u32) -> u32 {
        // SAFETY: passed on.
        unsafe { add(word, n, ONE) }
    }

    #[inline(always)]
    fn was_marked(before: u32, _table: &SemaTable, _key: usize) -> bool {
        before & WAITS != 0
    }
}
