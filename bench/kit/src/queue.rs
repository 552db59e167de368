//! Futures side by side in one block of memory, pinned: how a storm's waiters lie, for every peer alike.
//!
//! The block is not initialized to be dropped: each future is ended by name, in the order that the case wants. A block
//! that is left with futures in it is leaked, with the semaphore that may still point into it.

use std::mem::{self, MaybeUninit};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Futures that stay where they are.
pub struct Queue<F> {
    slots: Box<[MaybeUninit<F>]>,
    there: Box<[bool]>,
    left: usize,
}

impl<F: Future> Queue<F> {
    /// `n` futures, none polled yet.
    pub fn new(n: usize, mut make: impl FnMut() -> F) -> Self {
        let slots = (0..n).map(|_| MaybeUninit::new(make())).collect();
        Self { slots, there: vec![true; n].into(), left: n }
    }

    /// How many there are, ended ones included.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether it was made without futures.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether the future of that index has not ended.
    pub fn is_there(&self, index: usize) -> bool {
        self.there[index]
    }

    /// Polls a future that has not ended.
    #[inline]
    pub fn poll(&mut self, index: usize, cx: &mut Context<'_>) -> Poll<F::Output> {
        assert!(self.there[index]);
        // SAFETY: it is there, and stays in its slot: the box is only given up when none is left, or leaked.
        unsafe { Pin::new_unchecked(self.slots[index].assume_init_mut()) }.poll(cx)
    }

    /// Drops a future that has not ended.
    #[inline]
    pub fn end(&mut self, index: usize) {
        assert!(mem::replace(&mut self.there[index], false));
        self.left -= 1;
        // SAFETY: it was there until now, and is not touched again.
        unsafe { self.slots[index].assume_init_drop() };
    }
}

impl<F> Drop for Queue<F> {
    fn drop(&mut self) {
        if self.left > 0 {
            mem::forget(mem::take(&mut self.slots));
        }
    }
}
