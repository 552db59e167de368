//! The barging policy: whoever runs may take a permit past the sleepers, until the front of the queue has had enough.
//!
//! # Why this design
//! Handing a permit to a waiter that sleeps leaves it idle until the waiter runs: microseconds between threads, against
//! some tens of nanoseconds for an acquisition. So here a release only *wakes* the front, which then competes with
//! whoever runs. Free competition starves sleepers; so the front's patience ([`patience`]) is bounded, and when it is
//! out, permits are kept for the front and handed to it, as under the strict policy.
//!
//! A wake-up that may be in vain costs a system call, so there is at most one at a time: WAKING says that the front has
//! been woken and has not yet acted, and until then releases are one RMW, as if nobody waited. Whoever the front leaves
//! permits for is woken by it.
//!
//! # Protocol
//! Steps are named; the code cites the names. The word is that of [`word`]; LOCKED and how it is waited for (Z) are
//! those of [`locked`](super::locked).
//!
//! **A, acquire.** A1 load the word. A2 if it admits `n` (open, not STARVED, enough), CAS `n` away; if it is QUEUED
//! that is an *overtaking*, which the same CAS counts, and one in [`word::SAMPLE`] looks at the front's patience first
//! (A3): if it is out, it takes LOCKED, and U with the intent to protect.
//!
//! **E, enqueue.** E1 CAS from not LOCKED to LOCKED|QUEUED; while waiting for that, A2 or the news of CLOSED may end
//! it. E2 link the node, QUEUED. Then U.
//!
//! **D, deposit** of `n`. D1 one RMW adds `n`. If it found that it has to serve (QUEUED, not LOCKED, and the front not
//! on the way: WAKING without STARVED), D2: try LOCKED; with it, U; if another holds it, leave. (D1 and D2 are one CAS
//! where that was known before.) A deposit never waits.
//!
//! **U, serve and unlock**, by the holder, for the front of the queue. It *fits* if its need is within the permits of
//! the word as last examined. After CLOSED every front is told so. Otherwise: U1 if its patience is out and it does not
//! fit, it gets STARVED; U2 if its patience is out and it fits, or it is STARVED and fits, one CAS takes its need, it
//! leaves the queue, STARVED (and WAKING, if it was WOKEN) are to be cleared by the next RMW, and GRANTED is published;
//! then the next front is looked at. U3 if it fits and is not on the way: its waker is moved out, its state is WOKEN,
//! and WAKING is set. At most 32 nodes. If its waker panics, it may never come: LOCKED is taken once more, and it is
//! granted like one whose patience is out. U4 one addition clears LOCKED, and changes the other flags (which only the
//! holder changes); if the queue is empty, it clears all but CLOSED. It *owes* if the batch was full, or if the word it
//! found has enough for the front, which is not on the way. U5 wake the batch. U6 if owing, try LOCKED: with it, U
//! again; if another holds it, leave.
//!
//! **P, the front competes**, when it is polled (a thread: runs) and its state is WOKEN. P1 take LOCKED. P2 if it fits,
//! one CAS takes its need; it leaves the queue, GRANTED. P3 otherwise it has lost: it puts a waker and is QUEUED again,
//! at the front, and WAKING is cleared; its patience may be out now. Then U.
//!
//! **X, withdraw.** X0 for a time-out or an interrupt, if the word is STARVED and there are permits: S. Take LOCKED,
//! unless the outcome comes first. X1 for a time-out or an interrupt: if it fits, and is the front, or nobody is
//! protected and the front's patience not out, one CAS takes its need instead, GRANTED; so a time-out is as exact as a
//! "no". X2 unlink, set the outcome; if it was WOKEN clear WAKING, if it was the front clear STARVED. Then U: its turn
//! goes to the next.
//!
//! **C, close.** C1 if not QUEUED, one CAS sets CLOSED. C2 otherwise take LOCKED; every front that fits is granted
//! (U2); C3 set CLOSED by a CAS from exactly the word in which the front does not fit; then U, which tells the rest.
//!
//! **F, forget**, `available_permits`, and `try_acquire` see the permits unless the word is STARVED and open. If it is,
//! and has enough, S first: take LOCKED and U until an unlock that does not owe.
//!
//! # Invariants
//! Over the modification order of the word:
//!
//! **I1.** A node is linked and unlinked, and QUEUED, WAKING, STARVED and (while QUEUED) CLOSED are changed, by the
//! holder of LOCKED alone; so U4 can change flags by an addition that cannot fail.
//!
//! **I2.** At each unlock QUEUED is set iff a node is linked.
//!
//! **I3.** At each unlock WAKING is set iff the front is WOKEN, and no other node is: U3 sets both, P2, P3, X2, U2 and
//! the news of CLOSED clear both.
//!
//! **I4.** Permits are granted only after a CAS has taken them from the word, so none is given twice, whoever takes
//! others meanwhile.
//!
//! **I5.** While STARVED is set, and the word is open, permits are taken by the front alone (P2, U2): A2, F and X1
//! refuse.
//!
//! **I6.** The word counts overtakings by A2, and the first of 16 has looked at the front's patience just before its
//! CAS; X1 looks each time.
//!
//! # Claim: no wake-up is lost
//! At quiescence, if the queue is not empty, then CLOSED is clear and the front does not fit, or it has been woken (it
//! is WOKEN, or its waker is about to run) and has not been polled since.
//!
//! *Proof.* Let the queue be non-empty, the front not on the way, and let `r` be the last RMW that added permits or
//! changed flags (taking permits away cannot make the front fit). Nobody holds LOCKED. `r` is none of E1, D2, P1, X,
//! C2, S and A3, which take LOCKED: clearing it is a later RMW. It is not C1 (the word was not QUEUED; I2, and E1 would
//! be later), nor a CAS of the holder. If `r` is D1, it found QUEUED. LOCKED: clearing it is later. Not LOCKED, and the
//! front not on the way (by I3 flags show it, and no later RMW changed them): D2 was tried, and succeeded, a later RMW,
//! or found LOCKED, set and cleared by later RMWs. So `r` is U4. If it owed, U6 was tried: later again. So it did not
//! owe: the batch was not full, hence the word is open (else U would have told the front); and the word it found had
//! too little for the front, or the front was on the way, contrary to the assumption. ∎
//!
//! # Claim: overtaking is bounded
//! Once the front's patience is out, at most 16 overtakings follow. *Proof.* The 16th at the latest has seen it (I6),
//! and so has the front itself if it lost. Who sees it has LOCKED (P3, X1) or waits for it (A3), before it takes
//! anything. (A holder that is preempted holds up whoever comes to be the 16th, and since its CAS is then the next,
//! all.) With LOCKED, U1 sets STARVED or U2 grants. STARVED stays until the front leaves the queue, by I5 nobody else
//! takes permits until then, and each deposit serves (`wants_server`). ∎
//!
//! # Ordering
//! Every RMW on the word is AcqRel; the load or failed CAS that an answer rests on is Acquire. So acquisitions,
//! releases, forgets and closes are totally ordered, and each synchronizes with all before it. A grant by U2 reaches
//! the waiter by P1 of [`node`](crate::wait::node); one by P2 is its own RMW.
//!
//! # Cost
//! | operation | RMWs on the word | lock |
//! |---|---|---|
//! | acquire, try_acquire, release; nobody waits, or the front is on its way | 1 | no |
//! | enqueue | 2 | yes |
//! | release that wakes the front | 2 | tried |
//! | release to a protected front | 3 | tried |
//! | the woken front takes its permits, or loses | 3, or 2 | yes |
//! | withdrawal | 2, or 0 after the outcome | yes, or no |
//!
//! 40 bytes for the semaphore, 48 for a node (64-bit).

mod join;
pub(super) mod patience;
mod serve;
pub(super) mod word;

use super::error::{AcquireError, TryAcquireError};
use super::locked::{LockWord, LockedQueue};
use crate::sys::atomic::{AcqRel, Relaxed};
use crate::sys::const_fn;
use crate::sys::mutant::{self, Mutant};
use crate::wait::batch::Panics;
use crate::wait::node::{Node, State};
use crate::wait::timing;
use core::fmt;
use core::task::{Poll, Waker};
use patience::Patience;
use serve::{Hold, Intent};
use word::{CLOSED, LOCKED, ONE, QUEUED, STARVED, Word};

pub(super) use word::MAX_PERMITS;

/// How long a woken thread looks for a permit before it has lost.
#[cfg(feature = "std")]
const LONGEST_LINGER: std::time::Duration = std::time::Duration::from_micros(20);
/// Pauses between two looks.
#[cfg(feature = "std")]
const LOOK_EVERY: u32 = 64;

/// See the module head.
pub struct Gate {
    core: LockedQueue<Word>,
    patience: Patience,
}

impl core::ops::Deref for Gate {
    type Target = LockedQueue<Word>;

    #[inline(always)]
    fn deref(&self) -> &Self::Target {
        &self.core
    }
}

impl Gate {
    const_fn! {
        pub(crate) const fn new(permits: usize) -> Self {
            Self { core: LockedQueue::new(Word::new(permits).0), patience: Patience::new() }
        }
    }

    const_fn! {
        pub(crate) const fn new_closed() -> Self {
            Self { core: LockedQueue::new(CLOSED), patience: Patience::new() }
        }
    }

    /// A2, until the word does not admit `n`.
    #[inline(always)]
    fn take(&self, n: usize, mut word: Word) -> Result<(), Word> {
        let admits = |word: Word| word.admits(n) || mutant::is(Mutant::PassProtected) && word.permits() >= n;
        while admits(word) {
            let mut next = word.minus(n);
            if word.is_queued() && n > 0 {
                if word.is_sampled() {
                    word = self.look_at_patience();
                    if !admits(word) {
                        break;
                    }
                    next = word.minus(n);
                }
                next = next.passed();
            }
            match self.exchange(word, next) {
                Ok(()) => return Ok(()),
                Err(now) => word = now,
            }
        }
        Err(word)
    }

    /// A3. Returns the word as it is then.
    #[cold]
    #[inline(never)]
    fn look_at_patience(&self) -> Word {
        if self.patience.look() {
            // Waits for the lock: a holder that is preempted would let everybody pass meanwhile.
            let needless = |word: Word| word.0 & (QUEUED | STARVED | CLOSED) != QUEUED;
            if let Ok(word) = self.lock(0, |word| needless(word).then_some(())) {
                // The front may be another by now.
                let intent = if self.patience.is_out() { Intent::Protect } else { Intent::Serve };
                let mut panics = Panics::new();
                self.serve_and_wake(Hold::new(word), intent, &mut panics);
                panics.resume(); // nothing has been taken yet
            }
        }
        self.look()
    }

    #[cold]
    #[inline(never)]
    fn try_acquire_slow(&self, n: usize, word: Word) -> Result<(), TryAcquireError> {
        self.core.try_acquire_slow(n, word, |word| self.take(n, word), || self.settle_for_answer())
    }

    /// D.
    #[cold]
    #[inline(never)]
    #[track_caller]
    fn release_slow(&self, n: usize, panics: &mut Panics) {
        let mut word = Word(self.word.load(Relaxed));
        loop {
            assert!(
                n <= MAX_PERMITS - word.permits(),
                "number of added permits ({n}) would overflow MAX_PERMITS ({MAX_PERMITS})"
            );
            let serving = word.wants_server();
            let next = if serving { word.plus(n).with(LOCKED) } else { word.plus(n) };
            let done = if serving { self.try_exchange_locked(word, next) } else { self.exchange(word, next) };
            match done {
                Ok(()) if serving => return self.serve_and_wake(Hold::new(next), Intent::Serve, panics),
                Ok(()) => return,
                Err(now) if now.takes_blindly(n) => {
                    if self.add(n).wants_server() {
                        if let Some(word) = self.try_lock() {
                            self.serve_and_wake(Hold::new(word), Intent::Serve, panics);
                        }
                    }
                    return;
                }
                Err(now) => word = now,
            }
        }
    }

    /// D1. Returns the word that it found.
    #[inline(always)]
    fn add(&self, n: usize) -> Word {
        // ORDERING: AcqRel: Release pairs with the Acquire of whoever takes these permits; Acquire, so that a release
        // also comes after every acquisition before it (T43, T44).
        Word(self.word.fetch_add(n * ONE, AcqRel))
    }
}

impl super::Gate for Gate {
    #[inline(always)]
    fn try_take(&self, n: usize) -> Poll<Result<(), AcquireError>> {
        match self.take(n, self.look()) {
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
        if !word.wants_server() && word.takes_blindly(n) {
            if n > 0 && self.add(n).wants_server() {
                self.serve_if_wanted();
            }
        } else if n > 0 {
            let mut panics = Panics::new();
            self.release_slow(n, &mut panics);
            panics.resume();
        }
    }

    fn release_with(&self, n: usize, panics: &mut Panics) {
        if n > 0 {
            self.release_slow(n, panics);
        }
    }

    fn forget(&self, n: usize) -> usize {
        self.core.forget(n, || self.settle_for_answer())
    }

    #[inline]
    fn available(&self) -> usize {
        self.core.available(|| self.settle_for_answer())
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.look().is_closed()
    }

    fn close(&self) {
        self.core.close(|word, panics| self.close_and_wake(word, panics));
    }

    #[inline]
    fn waiters(&self) -> usize {
        self.core.waiters()
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

    #[cfg(feature = "std")]
    unsafe fn poll_thread(&self, node: &Node, waker: &Waker) -> Poll<Result<(), AcquireError>> {
        self.linger(node);
        // SAFETY: passed on.
        unsafe { self.ask(node, waker) }
    }

    unsafe fn withdraw(&self, node: &Node, outcome: State, panics: &mut Panics) -> State {
        // SAFETY: passed on.
        unsafe { self.leave(node, outcome, panics) }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.show(f)
    }
}
