//! Serving the queue: steps U, S and C2 to C4 of the protocol (see the head of [`super`]).
//!
//! # Panicking wakers
//! A waker may panic in U4, and U5 must come all the same, and so must the rest of what the caller came for: a deposit, a
//! close, the return of a grant. With `std`, [`Panics`] catches each, and the first is resumed when the caller is done.
//! Without, the rest of the batch is woken by its destructor and U5 is paid by that of [`Debt`]; a close in several
//! batches, and a deposit over MAX_PERMITS, may be cut short by the panic.

use super::{CLOSED, Gate, LOCKED, LockWord, QUEUED, Word};
use crate::sys::atomic::AcqRel;
use crate::sys::mutant::{self, Mutant};
use crate::wait::batch::{Panics, WakeBatch};
use crate::wait::node::{self, Node};
use crate::wait::timing::Charge;
use core::task::Waker;

/// What U3 did with LOCKED.
#[derive(Clone, Copy)]
enum Unlocked {
    /// The claim holds of this word, which this thread wrote.
    Clean(Word),
    /// More fronts fit: U5.
    Owing,
}

/// Whether this hold of LOCKED closes the semaphore (C3, C4).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    No,
    Yes,
}

impl Gate {
    /// D3, for a deposit that found QUEUED and not LOCKED.
    #[cold]
    #[inline(never)]
    pub(super) fn serve_if_unlocked(&self) {
        if let Some(word) = self.try_lock() {
            self.serve_and_wake(word);
        }
    }

    /// U where the front does not fit, or nobody waits: the ordinary end of a hold that served nobody. Otherwise, or if the
    /// word has changed, the word as it is: there is somebody to serve.
    #[inline(always)]
    pub(super) fn unlock_if_none_fits(&self, word: Word) -> Result<(), Word> {
        if word.is_closed() || mutant::is(Mutant::BlindUnlock) {
            return Err(word);
        }
        // SAFETY: LOCKED is held.
        let Some(front) = (unsafe { self.queue.front() }) else {
            return self.try_exchange_unlocked(word, word.without(LOCKED | QUEUED));
        };
        // Without a permit nobody fits, and the front's memory need not be looked at: none at all are never waited for.
        // SAFETY: a linked node is alive.
        if word.permits() > 0 && unsafe { front.as_ref() }.need() <= word.permits() {
            return Err(word);
        }
        self.try_exchange_unlocked(word, word.without(LOCKED))
    }

    /// U for a deposit that serves the front and nobody else, which is the ordinary case.
    #[inline]
    pub(super) fn serve_front(&self, word: Word, panics: &mut Panics) {
        // SAFETY: LOCKED is held.
        let front = unsafe { self.queue.front() }.expect("QUEUED is set, so somebody waits (I1, I2)");
        // SAFETY: a linked node is alive.
        let (need, next) = unsafe { (front.as_ref().need(), Node::next(front)) };
        // SAFETY: as above.
        let next_fits = |left| next.is_some_and(|next| left > 0 && unsafe { next.as_ref() }.need() <= left);
        if word.is_closed()
            || need > word.permits()
            || next_fits(word.permits() - need)
            || mutant::is(Mutant::BlindUnlock)
        {
            return self.serve_and_wake_with(word, &mut WakeBatch::new(), panics);
        }
        let mut charge = Charge::new();
        // SAFETY: LOCKED is held and the front is linked, so its waker is there. U2.
        let waker = unsafe { self.pop(front, node::GRANTED, &mut charge) };
        let unlocked = word.minus(need).without(if next.is_none() { LOCKED | QUEUED } else { LOCKED });
        match self.try_exchange_unlocked(word, unlocked) {
            Ok(()) => {
                panics.catch(|| waker.wake()); // U4
                charge.report();
            }
            Err(now) => self.serve_more(now, need, waker, charge, panics),
        }
    }

    /// Deposits came between: U goes on.
    #[cold]
    #[inline(never)]
    fn serve_more(&self, word: Word, granted: usize, waker: Waker, charge: Charge, panics: &mut Panics) {
        let mut batch = WakeBatch::new();
        batch.charge = charge;
        batch.push(waker);
        let unlocked = self.serve(word, granted, Closing::No, &mut batch);
        self.pay(unlocked, &mut batch, panics);
    }

    /// U, with U5 until nobody is owed. `word` is as the holder last examined it. The last thing that its caller does.
    #[cold]
    #[inline(never)]
    pub(crate) fn serve_and_wake(&self, word: Word) {
        let mut panics = Panics::new();
        self.serve_and_wake_with(word, &mut WakeBatch::new(), &mut panics);
        panics.resume();
    }

    /// The same for a caller that has more to do; wakers that are in `batch` already go first.
    #[cold]
    #[inline(never)]
    pub(super) fn serve_and_wake_with(&self, word: Word, batch: &mut WakeBatch, panics: &mut Panics) {
        let unlocked = self.serve(word, 0, Closing::No, batch);
        self.pay(unlocked, batch, panics);
    }

    /// U4 and U5 for an unlock, and for those that follow.
    fn pay(&self, mut unlocked: Unlocked, batch: &mut WakeBatch, panics: &mut Panics) {
        loop {
            let owing = matches!(unlocked, Unlocked::Owing) && !mutant::is(Mutant::DebtUnpaid);
            let debt = Debt { gate: self, owing };
            batch.wake_all(panics); // U4
            core::mem::forget(debt);
            if !owing {
                return;
            }
            match self.try_lock() {
                Some(word) => unlocked = self.serve(word, 0, Closing::No, batch), // U5
                None => return,
            }
        }
    }

    /// S: serves until the word is settled, and returns it. After it QUEUED means that the front does not fit.
    #[cold]
    #[inline(never)]
    pub(super) fn settle(&self, panics: &mut Panics) -> Word {
        loop {
            let word = match self.lock(0, |word| (!word.is_queued()).then_some(word)) {
                Ok(locked) => locked,
                Err(settled) => return settled,
            };
            let mut batch = WakeBatch::new();
            let unlocked = self.serve(word, 0, Closing::No, &mut batch);
            self.pay(unlocked, &mut batch, panics);
            if let Unlocked::Clean(word) = unlocked {
                return word;
            }
        }
    }

    /// S, for an answer: nothing has been changed for its caller yet, who may be unwound.
    #[cold]
    pub(super) fn settle_for_answer(&self) -> Word {
        let mut panics = Panics::new();
        let word = self.settle(&mut panics);
        panics.resume();
        word
    }

    /// C3, C4, and U for those who are left. Returns whether the semaphore is closed: if more fronts fit than one hold of
    /// the lock may serve, they have been served, and the closer must begin again.
    #[cold]
    #[inline(never)]
    pub(super) fn close_and_wake(&self, word: Word, panics: &mut Panics) -> bool {
        let mut batch = WakeBatch::new();
        let unlocked = self.serve(word, 0, Closing::Yes, &mut batch);
        // An unlock that is clean has closed. One that owes may have come before C4 or after.
        let closed = matches!(unlocked, Unlocked::Clean(_)) || self.look().is_closed();
        batch.charge.forgive();
        self.pay(unlocked, &mut batch, panics);
        closed
    }

    /// U1 to U3. `granted` is what this hold has granted and not yet subtracted from the word.
    fn serve(&self, mut word: Word, mut granted: usize, closing: Closing, batch: &mut WakeBatch) -> Unlocked {
        let mut closing = closing == Closing::Yes;
        if closing && mutant::is(Mutant::CloseFailsServedHead) {
            while let Err(now) = self.exchange(word, word.with(CLOSED)) {
                word = now;
            }
            word = word.with(CLOSED);
        }
        loop {
            debug_assert!(word.is_locked() && word.is_queued());
            let owing = self.serve_fitting(word, &mut granted, batch);
            // SAFETY: LOCKED is held.
            let empty = unsafe { self.queue.front() }.is_none();
            let mut next = word.minus(granted);
            if closing && !owing && !word.is_closed() {
                next = next.with(CLOSED);
                if !empty {
                    // C4: still the holder; the rest of the queue is told next.
                    match self.exchange(word, next) {
                        Ok(()) => {
                            (word, granted, closing) = (next, 0, false);
                        }
                        Err(now) => word = now,
                    }
                    continue;
                }
            }
            next = next.without(if empty { LOCKED | QUEUED } else { LOCKED });
            if mutant::is(Mutant::BlindUnlock) {
                let change = next.0.wrapping_sub(word.0);
                // ORDERING: AcqRel, as the CAS that it stands for: only the value is wrong.
                self.word.fetch_add(change, AcqRel);
                self.wake_sleepers();
                return Unlocked::Clean(next);
            }
            match self.try_exchange_unlocked(word, next) {
                Ok(()) if owing => return Unlocked::Owing, // U3
                Ok(()) => return Unlocked::Clean(next),
                Err(now) => word = now, // deposits came; they may fit somebody
            }
        }
    }

    /// U1 and U2, up to the capacity of the batch. Returns whether a front that fits is left.
    fn serve_fitting(&self, word: Word, granted: &mut usize, batch: &mut WakeBatch) -> bool {
        let closed = word.is_closed();
        // SAFETY: LOCKED is held.
        while let Some(front) = unsafe { self.queue.front() } {
            // SAFETY: a linked node is alive.
            let need = unsafe { front.as_ref() }.need();
            if !closed && need > word.permits() - *granted {
                return false;
            }
            if batch.is_full() {
                return true;
            }
            if !closed {
                *granted += need;
            }
            // SAFETY: LOCKED is held, `front` is linked, and the batch has room.
            unsafe { self.dequeue(front, if closed { node::CLOSED } else { node::GRANTED }, batch) };
        }
        false
    }

    /// The mutant of X that forgets the next front.
    pub(crate) fn unlock_unserved(&self, mut word: Word) {
        loop {
            // SAFETY: LOCKED is held.
            let empty = unsafe { self.queue.front() }.is_none();
            match self.try_exchange_unlocked(word, word.without(if empty { LOCKED | QUEUED } else { LOCKED })) {
                Ok(()) => return,
                Err(now) => word = now,
            }
        }
    }
}

/// U5, owed while U4 runs the user's code without `std`: paid if that unwinds.
struct Debt<'a> {
    gate: &'a Gate,
    owing: bool,
}

impl Drop for Debt<'_> {
    fn drop(&mut self) {
        if self.owing {
            self.gate.serve_if_unlocked();
        }
    }
}
