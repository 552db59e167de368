//! What the model checkers look at: a table of their size, and words whose places in it are known.
//!
//! The table has one bucket at first and splits one as soon as two addresses are in a bucket, up to four. The words stand
//! in an array that is aligned to 1024 bytes, and the checkers' hash of a word is its position there: so words 1 and 3 move
//! when the first bucket is split, and then part; words 0 and 2 stay, and then part.

use crate::address::serve::Address;
use crate::address::{Acquire, RawSema, Sema, SemaTable, Word};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// How many words there are.
pub(super) const WORDS: usize = 4;

/// The two words.
pub(super) trait Kind: Word + 'static {
    fn with(count: u32) -> Self;
}

impl Kind for Sema {
    fn with(count: u32) -> Self {
        Self::new(count)
    }
}

impl Kind for RawSema {
    fn with(count: u32) -> Self {
        Self::new(count)
    }
}

#[repr(align(1024))]
struct Words<W>([W; WORDS]);

/// See the module head.
pub(super) struct World<W> {
    table: SemaTable,
    words: Words<W>,
}

impl<W: Kind> World<W> {
    pub(super) fn new() -> Self {
        const { assert!(WORDS * size_of::<W>() <= 1024, "each word has a position of its own") };
        Self { table: SemaTable::new(), words: Words(core::array::from_fn(|_| W::with(0))) }
    }

    pub(super) fn at(&self, i: usize) -> Address<'_, W> {
        Address::of(&self.words.0[i], &self.table)
    }

    pub(super) fn acquire(&self, i: usize) -> Acquire<'_, W> {
        Acquire::new(self.at(i))
    }

    pub(super) fn release(&self, i: usize, n: u32) {
        self.at(i).release(n);
    }

    pub(super) fn hand_off(&self, i: usize) {
        self.at(i).hand_off();
    }

    pub(super) fn try_acquire(&self, i: usize) -> bool {
        self.at(i).try_take()
    }

    pub(super) fn count(&self, i: usize) -> u32 {
        self.at(i).count()
    }

    #[cfg(shuttle)]
    pub(super) fn waiters(&self, i: usize) -> usize {
        crate::address::acquire::waiters(self.at(i))
    }

    /// Everything has ended: nobody waits, the table says so, no bit is left; and the words count `counts`.
    #[track_caller]
    pub(super) fn assert_ended(&self, counts: [u32; WORDS]) {
        assert_eq!(self.table.check(), 0, "nobody waits");
        for (i, count) in counts.into_iter().enumerate() {
            assert_eq!(self.count(i), count, "permits of word {i}");
            // SAFETY: the word is alive.
            assert!(!unsafe { W::is_marked(self.words.0[i].word(), &self.table) }, "word {i} says that somebody waits");
        }
    }

    /// The table is as it should be, whoever waits. Returns how many do.
    pub(super) fn check(&self) -> u32 {
        self.table.check()
    }

    /// The owner of word `i` makes something else of its memory. Under loom it is an error if anybody else has touched the word
    /// and this does not come after it, or touches it later and that does not come after this.
    ///
    /// # Safety
    /// Nobody touches the word at the same time: that is what is checked.
    #[cfg(loom)]
    pub(super) unsafe fn overwrite(&self, i: usize, value: u32) {
        let word = self.words.0[i].word().as_ptr();
        // SAFETY: alive, and by the caller's promise nobody else's just now.
        unsafe { (*word).with_mut(|word| *word = value) };
    }
}

/// Polls with a waker that does nothing.
pub(super) fn poll<F: Future + ?Sized>(future: &mut Pin<std::boxed::Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}
