//! Giving permits: steps D of the protocol (see the head of [`super`]).

use super::word::{LOCKED, MAX_PERMITS, ONE, Word};
use super::{Gate, LockWord};
use crate::sys::atomic::{AcqRel, Relaxed, Release};
use crate::sys::mutant::{self, Mutant};
use crate::wait::batch::{Panics, WakeBatch};
use crate::wait::node;

impl Gate {
    /// D for what D1 did not find to be the simple case.
    #[cold]
    #[inline(never)]
    #[track_caller]
    pub(super) fn release_slow(&self, n: usize) {
        let mut panics = Panics::new();
        self.release_slow_with(n, &mut panics);
        panics.resume();
    }

    /// The same for a caller that has more to do.
    #[track_caller]
    pub(super) fn release_slow_with(&self, n: usize, panics: &mut Panics) {
        let mut word = Word(self.word.load(Relaxed));
        loop {
            if n > MAX_PERMITS - word.permits() {
                match self.release_over(n, panics) {
                    None => return,
                    Some(now) => word = now,
                }
                continue;
            }
            let serving = word.wants_server();
            let next = if serving { word.plus(n).with(LOCKED) } else { word.plus(n) };
            if !serving && word.takes_blindly(n) {
                return self.deposit_with(n, panics);
            }
            let locked = if serving { self.try_exchange_locked(word, next) } else { self.exchange(word, next) };
            match locked {
                Ok(()) => {
                    if serving {
                        self.serve_front(next, panics); // D2 and D3 in one
                    }
                    return;
                }
                // Contended: where adding blindly is safe the deposit is wait-free.
                Err(now) if now.takes_blindly(n) => return self.deposit_with(n, panics),
                Err(now) => word = now,
            }
        }
    }

    /// D2 by addition, and D3. `n` fits whatever others add meanwhile ([`Word::takes_blindly`]).
    #[inline(always)]
    pub(super) fn deposit(&self, n: usize) {
        if self.add(n).wants_server() {
            self.serve_if_unlocked();
        }
    }

    /// The same for a caller that has more to do.
    fn deposit_with(&self, n: usize, panics: &mut Panics) {
        if self.add(n).wants_server() {
            if let Some(word) = self.try_lock() {
                self.serve_and_wake_with(word, &mut WakeBatch::new(), panics);
            }
        }
    }

    /// D2. Returns the word that it found.
    #[inline(always)]
    fn add(&self, n: usize) -> Word {
        let order = if mutant::is(Mutant::ReleaseOnlyDeposit) { Release } else { AcqRel };
        // ORDERING: AcqRel: Release pairs with the Acquire of whoever takes these permits; Acquire, so that a release
        // also comes after every acquisition before it (T43, T44).
        Word(self.word.fetch_add(n * ONE, order))
    }

    /// D where the sum would exceed MAX_PERMITS. It still fits if somebody waits. After S the front needs more than the
    /// `p` permits that are there, and at most MAX: with p + n > MAX it fits, and p + n - need < n. So one waiter
    /// served from the hand makes room for the rest. Returns the word if the sum fits by now, `None` if it is deposited.
    #[cold]
    #[track_caller]
    fn release_over(&self, n: usize, panics: &mut Panics) -> Option<Word> {
        assert!(n <= MAX_PERMITS, "cannot add more than MAX_PERMITS permits ({MAX_PERMITS})");
        let fits = |word: Word| word.permits() + n <= MAX_PERMITS;
        loop {
            let word = match self.lock(0, |word| (fits(word) || !word.is_queued()).then_some(word)) {
                Ok(word) => word,
                Err(word) if fits(word) => return Some(word),
                Err(_) => panic!("number of added permits ({n}) would overflow MAX_PERMITS ({MAX_PERMITS})"),
            };
            let mut batch = WakeBatch::new();
            let (word, deposited) = self.serve_from_hand(n, word, &mut batch);
            self.serve_and_wake_with(word, &mut batch, panics);
            if deposited {
                return None;
            }
        }
    }

    /// The holder's part of that: returns the word as last examined, and whether the front was served. If it was not, it
    /// can be without the hand, or the sum fits by now.
    fn serve_from_hand(&self, n: usize, mut word: Word, batch: &mut WakeBatch) -> (Word, bool) {
        loop {
            // SAFETY: LOCKED is held.
            let front = unsafe { self.queue.front() }.expect("QUEUED is set, so somebody waits (I1, I2)");
            // SAFETY: a linked node is alive.
            let need = unsafe { front.as_ref() }.need();
            if word.is_closed() || need <= word.permits() || word.permits() + n <= MAX_PERMITS {
                return (word, false);
            }
            let next = if need >= n { word.minus(need - n) } else { word.plus(n - need) };
            match self.exchange(word, next) {
                Ok(()) => {
                    // SAFETY: LOCKED is held and the front is linked; its need has been taken from the word.
                    unsafe { self.dequeue(front, node::GRANTED, batch) };
                    return (next, true);
                }
                Err(now) => word = now,
            }
        }
    }
}
