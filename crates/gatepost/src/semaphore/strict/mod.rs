//! The strict policy: one word, one queue, nobody overtakes.
//!
//! # Why this design
//! Tokio's semaphore takes a mutex on each release, since a releaser cannot know whether somebody waits. Here the word
//! says so ([`word`]). Permits stay in the word while the front of the queue is short of them, so there is no second
//! place where they could be, and everything that decides who gets what happens in one location. One location has one
//! modification order: there is no store-buffer case, and the proof below is short.
//!
//! # Protocol
//! Steps are named; the code cites the names.
//!
//! **A, acquire.** A1 load the word. A2 if it admits `n` (open, not QUEUED, enough), CAS `n` away. One RMW. None at
//! all are admitted while open, queue or not: a CAS that changes nothing.
//!
//! **E, enqueue.** E1 CAS from not LOCKED to LOCKED|QUEUED; while waiting for that, A2 or the news of CLOSED may end
//! it. E2 link the node, QUEUED. Then U.
//!
//! **D, deposit** of `n`. D1 load the word. D2 one RMW adds `n`. If that RMW found QUEUED and not LOCKED, D3: try
//! LOCKED; with it, U; if another holds it, leave. (D2 and D3 are one CAS where D1 read QUEUED and not LOCKED.) A
//! deposit never waits. One RMW when nobody waits.
//!
//! **U, serve and unlock**, by the holder, with the word as last examined. U1 look at the front: it *fits* if its need
//! is within the permits of the examined word less what this hold has granted. U2 grant it: unlink, move the waker
//! out, publish GRANTED. After CLOSED every front fits, costs nothing, and is told CLOSED. At most 32 of them. U3 one
//! CAS from exactly the examined word: subtracts what was granted, clears LOCKED, and QUEUED if the queue is empty. If
//! it fails, somebody deposited: examine again. U3 *owes* if a front that fits is left (the batch was full). U4 wake
//! the batch. U5 if owing, try LOCKED: with it, U again; if another holds it, leave, for that one serves.
//!
//! **X, withdraw.** X0 for a time-out or an interrupt, if there are permits or CLOSED: S, so that it is as exact as a
//! "no". X1 take LOCKED, unless the outcome comes first. X2 unlink, set the outcome. Then U: the front may be another
//! now.
//!
//! **C, close.** C1 if not QUEUED, one CAS sets CLOSED. C2 otherwise take LOCKED; C3 U1 and U2 for every front that
//! fits; C4 set CLOSED by a CAS from exactly the examined word (the same CAS as U3 if the queue is empty by then);
//! then U, which tells the rest.
//!
//! **H, from the hand.** A deposit that would exceed MAX_PERMITS takes LOCKED first (unless nobody waits: that is an
//! error). If the front does not fit, one CAS adds `n` and subtracts its need, and it is granted; then U. See
//! [`deposit`].
//!
//! **F, forget.** If the word is not QUEUED, or CLOSED, a CAS takes the permits away. Otherwise S first, and none are
//! taken if it is QUEUED still.
//!
//! **S, settle.** Take LOCKED and U until an unlock that does not owe, or a word without QUEUED. Its result is exact.
//!
//! **Z, sleep** for LOCKED ([`locked`](super::locked)). Z1 announce in `sleepers`. Z2 an RMW on the word that changes nothing; if it
//! reads LOCKED, Z3 sleep until `sleepers` changes. Who succeeds in U3 looks at `sleepers` afterwards (Z4).
//!
//! # Invariants
//! Over the modification order of the word:
//!
//! **I1.** A node is linked only by the holder, and while one is linked QUEUED is set: E1 sets it before E2, and (I2).
//!
//! **I2.** QUEUED is cleared only by U3, from exactly the word examined, with an empty queue.
//!
//! **I3.** LOCKED is cleared only by U3, from exactly the word examined, in which the queue is empty, or the front
//! does not fit and CLOSED is clear, or the unlocker owes.
//!
//! **I4.** While LOCKED is set only the holder sets CLOSED and, until then, takes permits away. For A2 needs not
//! QUEUED (or takes none), LOCKED implies QUEUED, and F settles first, unless CLOSED, when fronts cost nothing. So
//! what U1 found to fit still fits at U3, and granting before subtracting (U2 before U3) gives no permit twice.
//!
//! **I5.** Nobody answers "no" from a word in motion. Who reads QUEUED *and* enough permits settles first. With QUEUED
//! and too few permits, or after S with QUEUED, "no" is exact: the queue comes first, and takes what is there or needs
//! more.
//!
//! # Claim: no wake-up is lost
//! At quiescence, if the queue is not empty, then the front does not fit and CLOSED is clear.
//!
//! *Proof.* Let the queue be non-empty and let `r` be the last RMW that changed the word. (Z2, A2 of none, and F and C
//! that find nothing to do do not.) By I1 QUEUED is set; at quiescence nobody holds LOCKED. `r` is none of: A2 (it
//! found QUEUED clear, and only E1 sets it: a later RMW); E1, D3, X1, C2, S (they take LOCKED; clearing it is a later
//! RMW); H, C4 (LOCKED is still set); C1 (it found QUEUED clear). F found QUEUED clear, or CLOSED with QUEUED: then
//! the queue is being told, and the last unlock before F owed, or LOCKED was set, so that a later RMW comes as for U3
//! below. If `r` is D2, it found QUEUED set. Not LOCKED: its issuer went to D3, whose CAS either succeeded, a later
//! RMW, or found LOCKED, set and cleared by later RMWs, or found QUEUED clear, later again. LOCKED: clearing it is a
//! later RMW. So `r` is U3. If it owes, its owner tried LOCKED (U5), with the same three outcomes. So it does not owe,
//! and I3 says the claim of the examined word, which is the word of `r`. ∎
//!
//! A waker that panics cannot skip U5, nor what its caller has still to do: see [`serve`]. A thread that is preempted
//! or killed between D2 and D3 delays its service; the next deposit, acquisition or settlement serves in its place.
//!
//! # Claim: nobody sleeps for a free lock
//! *Proof.* Let Z sleep after Z2 read LOCKED, and let U be the U3 that clears that LOCKED. U follows Z2 in the
//! modification order, hence (both AcqRel, RMWs continue release sequences) Z1 happens before Z4, which sees it,
//! changes `sleepers`, and wakes. Z3 compares `sleepers` with what Z1 left: changed before it sleeps, it does not. ∎
//!
//! # Ordering
//! Every successful RMW on the word is AcqRel; the load or failed CAS that an answer rests on is Acquire; one that is
//! retried is Relaxed unless U1 goes on from it. So acquisitions, releases, forgets and closes are totally ordered,
//! and each synchronizes with all before it (T43). A grant takes effect between the RMW whose word U1 examined and the
//! next one; it reaches the waiter by P1.
//!
//! # Cost
//! | operation | RMWs on the word | lock |
//! |---|---|---|
//! | acquire, try_acquire; nobody waits | 1 | no |
//! | release; nobody waits | 1 | no |
//! | enqueue | 2 | yes |
//! | release that serves up to 32 waiters | 2, and 1 for each concurrent deposit | tried |
//! | release while another serves | 1 | no |
//! | completion of a granted waiter | 0 | no |
//! | withdrawal | 2, or 0 after the outcome | yes, or no |
//!
//! 32 bytes for the semaphore, 48 for a node (64-bit).

mod deposit;
mod join;
mod serve;
mod word;

#[cfg(all(test, not(any(loom, shuttle))))]
mod model;

use super::error::{AcquireError, TryAcquireError};
use super::locked::{LockWord, LockedQueue};
use crate::sys::atomic::Relaxed;
use crate::sys::const_fn;
use crate::sys::mutant::{self, Mutant};
use crate::wait::batch::Panics;
use crate::wait::node::{Node, State};
use crate::wait::timing;
use core::fmt;
use core::task::{Poll, Waker};
use word::{CLOSED, LOCKED, QUEUED, Word};

pub(super) use word::MAX_PERMITS;

/// See the module head.
pub struct Gate(LockedQueue<Word>);

impl core::ops::Deref for Gate {
    type Target = LockedQueue<Word>;

    #[inline(always)]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Gate {
    const_fn! {
        pub(crate) const fn new(permits: usize) -> Self {
            Self(LockedQueue::new(Word::new(permits).0))
        }
    }

    const_fn! {
        pub(crate) const fn new_closed() -> Self {
            Self(LockedQueue::new(CLOSED))
        }
    }

    /// A2, until the word does not admit `n`.
    #[inline(always)]
    fn take(&self, n: usize, mut word: Word) -> Result<(), Word> {
        while word.admits(n) || mutant::is(Mutant::Overtake) && word.permits() >= n {
            match self.exchange(word, word.minus(n)) {
                Ok(()) => return Ok(()),
                Err(now) => word = now,
            }
        }
        Err(word)
    }
}

impl super::Gate for Gate {
    #[inline(always)]
    fn try_take(&self, n: usize) -> Poll<Result<(), AcquireError>> {
        let word = self.look();
        match self.take(n, word) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(word) if word.is_closed() => Poll::Ready(Err(AcquireError::closed())),
            Err(_) => Poll::Pending,
        }
    }

    #[inline(always)]
    fn try_acquire(&self, n: usize) -> Result<(), TryAcquireError> {
        match self.take(n, self.look()) {
            Ok(()) => Ok(()),
            Err(word) => self.try_acquire_slow(n, word),
        }
    }

    #[inline(always)]
    #[track_caller]
    fn release(&self, n: usize) {
        let word = Word(self.word.load(Relaxed));
        if !word.is_queued() && word.takes_blindly(n) {
            if n > 0 {
                self.deposit(n);
            }
        } else if n > 0 {
            self.release_slow(n);
        }
    }

    fn release_with(&self, n: usize, panics: &mut Panics) {
        if n > 0 {
            self.release_slow_with(n, panics);
        }
    }

    fn forget(&self, n: usize) -> usize {
        self.0.forget(n, || self.settle_for_answer())
    }

    #[inline]
    fn available(&self) -> usize {
        self.0.available(|| self.settle_for_answer())
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.look().is_closed()
    }

    fn close(&self) {
        self.0.close(|word, panics| self.close_and_wake(word, panics));
    }

    #[inline]
    fn waiters(&self) -> usize {
        self.0.waiters()
    }

    unsafe fn enqueue(&self, node: &Node, waker: &Waker, may_take: bool) -> Poll<Result<(), AcquireError>> {
        // SAFETY: passed on.
        unsafe { self.join(node, waker, may_take) }
    }

    #[inline]
    unsafe fn poll(&self, node: &Node, waker: &Waker) -> Poll<Result<(), AcquireError>> {
        // SAFETY: passed on.
        timing::answered(node, unsafe { self.ask(node, waker) })
    }

    #[inline(always)]
    unsafe fn cancel(&self, node: &Node, panics: &mut Panics) -> bool {
        // SAFETY: passed on.
        unsafe { self.leave_at_once(node, panics) }
    }

    unsafe fn withdraw(&self, node: &Node, outcome: State, panics: &mut Panics) -> State {
        // SAFETY: passed on.
        unsafe { self.leave(node, outcome, panics) }
    }
}

impl Gate {
    #[cold]
    #[inline(never)]
    fn try_acquire_slow(&self, n: usize, word: Word) -> Result<(), TryAcquireError> {
        self.0.try_acquire_slow(n, word, |word| self.take(n, word), || self.settle_for_answer())
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}
