//! Serving the queue: steps U, S and C of the protocol (see the head of [`super`]).

use super::Gate;
use super::word::{CLOSED, LOCKED, QUEUED, STARVED, WAKING, Word};
use crate::semaphore::locked::LockWord;
use crate::sys::mutant::{self, Mutant};
use crate::wait::batch::{Panics, WakeBatch};
use crate::wait::node::{self, Node, State};
use core::ptr::NonNull;

/// A hold of LOCKED.
pub(super) struct Hold {
    /// As last examined: its permits may have become more or fewer since, its flags are as here.
    pub(super) word: Word,
    /// What the flags will be at the next RMW.
    pub(super) flags: usize,
}

impl Hold {
    pub(super) fn new(word: Word) -> Self {
        Self { word, flags: word.flags() }
    }
}

/// What the holder is there for, besides serving who fits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    /// Nothing.
    Serve,
    /// The front's patience is out.
    Protect,
    /// C.
    Close,
}

/// What U4 did with LOCKED.
#[derive(Clone, Copy)]
pub(super) enum Unlocked {
    /// The claim holds of this word, which this thread wrote.
    Clean(Word),
    /// Somebody is left to be served: U6.
    Owing,
}

impl Gate {
    /// D2, for a deposit that found that it has to serve.
    #[cold]
    #[inline(never)]
    pub(super) fn serve_if_wanted(&self) {
        if let Some(word) = self.try_lock() {
            let mut panics = Panics::new();
            self.serve_and_wake(Hold::new(word), Intent::Serve, &mut panics);
            panics.resume();
        }
    }

    /// U, with U6 until nobody is owed.
    pub(super) fn serve_and_wake(&self, hold: Hold, intent: Intent, panics: &mut Panics) {
        let mut batch = WakeBatch::new();
        let unlocked = self.serve(hold, intent, &mut batch);
        self.pay(unlocked, &mut batch, panics);
    }

    /// U5 and U6 for an unlock, and for those that follow.
    pub(super) fn pay(&self, mut unlocked: Unlocked, batch: &mut WakeBatch, panics: &mut Panics) {
        loop {
            let owing = matches!(unlocked, Unlocked::Owing) && !mutant::is(Mutant::DebtUnpaid);
            let woken = !batch.is_empty();
            let debt = Debt { gate: self, woken };
            let all = batch.wake_all(panics); // U5
            core::mem::forget(debt);
            if !all {
                self.pass_over(panics);
            }
            if !owing {
                return;
            }
            match self.try_lock() {
                Some(word) => unlocked = self.serve(Hold::new(word), Intent::Serve, batch), // U6
                None => return,
            }
        }
    }

    /// A waker has panicked. If it was that of the front, which is WOKEN, nobody will come: its turn would be nobody's for
    /// ever. It is granted what it was woken for, like one that is protected, and the next one has the turn.
    #[cold]
    #[inline(never)]
    fn pass_over(&self, panics: &mut Panics) {
        let needless = |word: Word| word.0 & (QUEUED | WAKING | CLOSED) != QUEUED | WAKING;
        if let Ok(word) = self.lock(0, |word| needless(word).then_some(())) {
            self.serve_and_wake(Hold::new(word), Intent::Protect, panics);
        }
    }

    /// S: serves until the word is settled, and returns it. After it STARVED means that the front does not fit.
    #[cold]
    #[inline(never)]
    pub(super) fn settle(&self, panics: &mut Panics) -> Word {
        loop {
            let word = match self.lock(0, |word| (!word.masks()).then_some(word)) {
                Ok(locked) => locked,
                Err(settled) => return settled,
            };
            let mut batch = WakeBatch::new();
            let unlocked = self.serve(Hold::new(word), Intent::Serve, &mut batch);
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

    /// C2 and C3. Returns whether the semaphore is closed: if more fronts fit than one hold of the lock may serve, they have
    /// been served, and the closer must begin again.
    pub(super) fn close_and_wake(&self, word: Word, panics: &mut Panics) -> bool {
        let mut batch = WakeBatch::new();
        let unlocked = self.serve(Hold::new(word), Intent::Close, &mut batch);
        let closed = self.look().is_closed();
        batch.charge.forgive();
        self.pay(unlocked, &mut batch, panics);
        closed
    }

    /// U1 to U4.
    pub(super) fn serve(&self, mut hold: Hold, intent: Intent, batch: &mut WakeBatch) -> Unlocked {
        let mut intent = intent;
        loop {
            debug_assert!(hold.word.is_locked() && hold.word.is_queued());
            // SAFETY: LOCKED is held.
            let Some(front) = (unsafe { self.queue.front() }) else {
                hold.flags = if intent == Intent::Close { CLOSED } else { hold.flags & CLOSED };
                return Unlocked::Clean(self.unlock(&hold));
            };
            // SAFETY: a linked node is alive.
            let (need, state) = unsafe { (front.as_ref().need(), front.as_ref().state()) };
            if hold.flags & CLOSED != 0 {
                if batch.is_full() {
                    self.unlock(&hold);
                    return Unlocked::Owing;
                }
                // SAFETY: LOCKED is held and the front is linked; the batch has room.
                unsafe { self.dismiss(&mut hold, front, state, node::CLOSED, batch) };
                continue;
            }
            let fits = need <= hold.word.permits();
            if fits && (hold.flags & STARVED != 0 || intent != Intent::Serve) {
                // U2
                if batch.is_full() {
                    self.unlock(&hold);
                    return Unlocked::Owing;
                }
                if self.take_held(&mut hold, need) {
                    // SAFETY: as above; its need has been taken from the word.
                    unsafe { self.dismiss(&mut hold, front, state, node::GRANTED, batch) };
                    if intent == Intent::Protect {
                        intent = Intent::Serve; // that was the front whose patience was out
                    }
                }
                continue;
            }
            if intent == Intent::Close {
                // C3: the front does not fit in exactly this word.
                let next = hold.word.under(hold.flags | CLOSED);
                match self.exchange(hold.word, next) {
                    Ok(()) => hold = Hold::new(next),
                    Err(now) => hold.word = now,
                }
                continue;
            }
            if intent == Intent::Protect {
                hold.flags |= STARVED; // U1
            }
            if fits && hold.flags & WAKING == 0 {
                if batch.is_full() {
                    self.unlock(&hold);
                    return Unlocked::Owing;
                }
                // U3
                // SAFETY: LOCKED is held and the front is linked and QUEUED, so its waker is there.
                unsafe {
                    batch.charge.decide(&self.queue, front, node::WOKEN);
                    batch.push(front.as_ref().take_waker());
                    front.as_ref().set_state(node::WOKEN);
                }
                hold.flags |= WAKING;
            }
            let on_the_way = hold.flags & (WAKING | STARVED) == WAKING;
            let word = self.unlock(&hold);
            // Permits came since they were examined, and their depositor left because of LOCKED.
            return if need <= word.permits() && !on_the_way && !mutant::is(Mutant::UnlockUnseen) {
                Unlocked::Owing
            } else {
                Unlocked::Clean(word)
            };
        }
    }

    /// Takes `n` permits of the examined word for somebody in the queue; if the word has changed, examines it again.
    pub(super) fn take_held(&self, hold: &mut Hold, n: usize) -> bool {
        let next = hold.word.minus(n).under(hold.flags);
        match self.exchange(hold.word, next) {
            Ok(()) => {
                hold.word = next;
                true
            }
            Err(now) => {
                hold.word = now;
                false
            }
        }
    }

    /// U4. Returns the word that it left.
    fn unlock(&self, hold: &Hold) -> Word {
        // SAFETY: LOCKED is held until the addition below.
        let empty = unsafe { self.queue.front() }.is_none();
        let flags = if empty { hold.flags & CLOSED } else { hold.flags & !LOCKED };
        debug_assert!(empty || flags & QUEUED != 0);
        self.unlock_by(flags.wrapping_sub(hold.word.flags())).under(flags)
    }

    /// Takes a node out of the queue with an outcome. One that was WOKEN has been woken: it comes to look.
    ///
    /// # Safety
    /// LOCKED is held, the node is linked in `state`, and the batch has room. It must not be touched afterwards.
    unsafe fn dismiss(
        &self,
        hold: &mut Hold,
        node: NonNull<Node>,
        state: State,
        outcome: State,
        batch: &mut WakeBatch,
    ) {
        // SAFETY: by the caller's promise; a node that is QUEUED has its waker.
        unsafe {
            if state == node::WOKEN {
                batch.charge.decide(&self.queue, node, outcome);
                self.unlink(hold, node, state);
                Node::publish(node, outcome);
            } else {
                self.front_leaves(hold, node, state);
                self.dequeue(node, outcome, batch);
            }
        }
    }

    /// Takes a node out of the queue.
    ///
    /// # Safety
    /// LOCKED is held, and the node is linked in `state`.
    pub(super) unsafe fn unlink(&self, hold: &mut Hold, node: NonNull<Node>, state: State) {
        // SAFETY: by the caller's promise.
        unsafe {
            self.front_leaves(hold, node, state);
            self.queue.remove(node);
        }
        self.count_waiters(-1);
    }

    /// If `node` is the front, the next one is another, with patience of its own, and nobody is designated.
    ///
    /// # Safety
    /// As for [`unlink`](Self::unlink).
    unsafe fn front_leaves(&self, hold: &mut Hold, node: NonNull<Node>, state: State) {
        // SAFETY: by the caller's promise.
        if unsafe { self.queue.front() } == Some(node) {
            self.patience.renew();
            hold.flags &= !STARVED;
        }
        if state == node::WOKEN && !mutant::is(Mutant::TurnLost) {
            hold.flags &= !WAKING;
        }
    }
}

/// What is owed if U5, which runs the user's code, unwinds without `std`: U6, and the turn of a front that was not told.
struct Debt<'a> {
    gate: &'a Gate,
    woken: bool,
}

impl Drop for Debt<'_> {
    fn drop(&mut self) {
        if self.woken {
            let mut panics = Panics::new();
            self.gate.pass_over(&mut panics);
            panics.resume();
        }
        self.gate.serve_if_wanted();
    }
}
