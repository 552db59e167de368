//! What is done to the file by those who do not exclude each other: the orderings, each in one place.
//!
//! It is written for any atomics: those of the mapping, and those of loom, with which the tests explore it (`loom`, run by
//! `cargo xtask test --only loom`).
//!
//! | what | who writes | who reads
//! |------|------------|-----------
//! | the lock | [`exchange`] takes, [`leave`] gives back | each other: what the last owner did is seen by the next one
//! | `seq` | [`begin`] and [`end`], by the owner of the lock | [`look`]: whole, or known not to be
//! | an event | [`write_event`] and [`publish_event`], by the owner of the lock | [`read_event`]: whole, or none
//! | a word to sleep at | [`bump`], by the owner of the lock, after what it tells of | [`heard`], before one looks for that
//! | `changes` | [`leave`] finds `watched`, then [`ring`] | [`heard`], then [`watch`], then one looks

#[cfg(all(test, loom))]
mod loom;

use std::sync::atomic::Ordering::{self, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64, fence};

use crate::layout::LockWord;
use crate::step::has_bug;

/// An atomic.
pub(crate) trait Word<T> {
    fn load(&self, order: Ordering) -> T;
    fn store(&self, value: T, order: Ordering);
    fn exchange(&self, old: T, new: T, order: Ordering) -> Result<T, T>;
    fn fetch_add(&self, value: T, order: Ordering) -> T;
    fn fetch_or(&self, value: T, order: Ordering) -> T;
    /// A fence between atomics of this kind.
    fn fence(order: Ordering);
}

macro_rules! word {
    ($($atomic:ty, $value:ty;)*) => {$(
        impl Word<$value> for $atomic {
            #[inline]
            fn load(&self, order: Ordering) -> $value {
                self.load(order)
            }
            #[inline]
            fn store(&self, value: $value, order: Ordering) {
                self.store(value, order);
            }
            #[inline]
            fn exchange(&self, old: $value, new: $value, order: Ordering) -> Result<$value, $value> {
                self.compare_exchange(old, new, order, Relaxed)
            }
            #[inline]
            fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                self.fetch_add(value, order)
            }
            #[inline]
            fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                self.fetch_or(value, order)
            }
            #[inline]
            fn fence(order: Ordering) {
                fence(order);
            }
        }
    )*};
}

word! {
    AtomicU32, u32;
    AtomicU64, u64;
}

/// `order`; in a test that wants this bug, no order.
#[inline(always)]
fn unless(bug: &'static str, order: Ordering) -> Ordering {
    if has_bug(bug) { Relaxed } else { order }
}

/// One step of the lock from `old` to `new`.
#[inline]
pub(crate) fn exchange(lock: &impl Word<u64>, old: LockWord, new: LockWord) -> Result<(), LockWord> {
    // ORDERING: Acquire, when it takes the lock, pairs with the Release of `leave`: the table is as its last owner left it.
    // A dead owner has not released, but its stores came before its death, which the kernel's lock on its byte orders
    // before our probe.
    lock.exchange(old.0, new.0, unless("the lock is taken relaxed", Acquire)).map(drop).map_err(LockWord)
}

/// Gives the lock back that `me` took in `epoch`, and says what it was like; nothing if it is not `me`'s.
#[inline]
pub(crate) fn leave(lock: &impl Word<u64>, me: u32, epoch: u32) -> Option<LockWord> {
    let mut old = LockWord(lock.load(Relaxed));
    loop {
        if old.owner() != Some(me) || old.epoch() != epoch {
            return None;
        }
        // ORDERING: Release pairs with the Acquire of whoever takes the lock next, and of whoever watches from then on.
        match lock.exchange(old.0, old.free().0, unless("the lock is left relaxed", Release)) {
            Ok(_) => return Some(old),
            Err(seen) => old = LockWord(seen),
        }
    }
}

/// Has whoever leaves the lock next ring `changes`. What was done by those who left before is seen by the caller. See `lock`.
#[inline]
pub(crate) fn watch(lock: &impl Word<u64>) {
    // ORDERING: Acquire pairs with the Release of `leave`, or of an earlier one, whose sequence only RMWs continue.
    lock.fetch_or(LockWord::WATCHED, unless("one watches relaxed", Acquire));
}

/// Makes those see that something has changed who watch. Without the lock, hence an RMW.
#[inline]
pub(crate) fn ring(changes: &impl Word<u32>) {
    // ORDERING: Release pairs with the Acquire in `heard`.
    changes.fetch_add(1, Release);
}

/// Makes whoever compares the word before it sleeps see that something has changed. By the owner of the lock.
#[inline]
pub(crate) fn bump(word: &impl Word<u32>) {
    let next = word.load(Relaxed).wrapping_add(1);
    // ORDERING: Release pairs with the Acquire in `heard`: whoever hears it sees what was stored before.
    word.store(next, unless("one is told relaxed", Release));
}

/// What a word to sleep at says: read it first, then look, and sleep while it says the same.
#[inline]
pub(crate) fn heard(word: &impl Word<u32>) -> u32 {
    // ORDERING: Acquire pairs with the Release of `bump` or `ring`: what it tells of is seen by the look that follows.
    word.load(unless("one hears relaxed", Acquire))
}

/// Before the first store of the owner of the lock; it gives what [`end`] needs.
#[inline]
pub(crate) fn begin<W: Word<u32>>(seq: &W) -> u32 {
    let odd = seq.load(Relaxed) | 1;
    seq.store(odd, Relaxed);
    if !has_bug("a section begins without a fence") {
        // ORDERING: Release pairs with the fence of `look`: a reader that sees anything stored from here on sees `seq` odd.
        W::fence(Release);
    }
    odd
}

/// After the last one.
#[inline]
pub(crate) fn end(seq: &impl Word<u32>, odd: u32) {
    // ORDERING: Release pairs with the Acquire of `look`: a reader that sees this sees everything before.
    seq.store(odd.wrapping_add(1), unless("a section ends relaxed", Release));
}

/// Looks, and says whether nobody has stored anything meanwhile.
///
/// Why the fences suffice. The owner: `seq` odd (Relaxed), release fence, stores. The reader: loads, acquire fence, `seq`
/// (Relaxed). If a load saw one of the stores, then the fences synchronise, and the second look at `seq` sees at least odd.
pub(crate) fn look<W: Word<u32>, R>(seq: &W, read: impl FnOnce() -> R) -> (R, bool) {
    // ORDERING: Acquire pairs with the Release of `end`: what is read is not older.
    let before = seq.load(Acquire);
    let seen = read();
    if !has_bug("one looks without a fence") {
        // ORDERING: Acquire pairs with the fence of `begin`: the loads above come before the look below.
        W::fence(Acquire);
    }
    (seen, before % 2 == 0 && seq.load(Relaxed) == before)
}

/// Writes event `event` into its row, whose number is `number`. By the owner of the lock.
pub(crate) fn write_event<W: Word<u64>>(number: &W, event: u64, write: impl FnOnce()) {
    number.store(0, Relaxed);
    if !has_bug("an event begins without a fence") {
        // ORDERING: Release pairs with the fence of `read_event`: whoever sees one of the stores below sees that the row is not the
        // old event any more.
        W::fence(Release);
    }
    write();
    // ORDERING: Release pairs with the Acquire in `read_event`: the number is there once the event is.
    number.store(event.wrapping_add(1), unless("an event ends relaxed", Release));
}

/// Makes event `event`, which has been written, one that readers look for; `next` is the number of the next event. By the owner of
/// the lock.
pub(crate) fn publish_event<W: Word<u64>>(next: &W, event: u64) {
    // ORDERING: Release pairs with the Acquire of whoever reads the number of the next event: the row is that event's, or a later one's.
    next.store(event.wrapping_add(1), Release);
}

/// Reads event `event` from the row in which it is, or was.
pub(crate) fn read_event<W: Word<u64>, R>(number: &W, event: u64, read: impl FnOnce() -> R) -> Option<R> {
    let stamp = event.wrapping_add(1);
    // ORDERING: Acquire pairs with the Release of the number in `write_event`.
    if number.load(Acquire) != stamp {
        return None;
    }
    let seen = read();
    if !has_bug("an event is read without a fence") {
        // ORDERING: Acquire pairs with the fence of `write_event`: what was read comes before the second look, which finds 0 or another
        // number if any of it was a later event's.
        W::fence(Acquire);
    }
    (number.load(Relaxed) == stamp).then_some(seen)
}
