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
//! **A, acquire.** A1 load the word. A2 if it admits `n` (open, not QUEUED, enough), CAS `n` away. One RMW.
//!
//! **E, enqueue.** E1 CAS from not LOCKED to LOCKED|QUEUED; while waiting for that, A2 or the news of CLOSED may end it.
//! E2 link the node, QUEUED. Then U.
//!
//! **D, deposit** of `n`. D1 load the word. D2 one RMW adds `n`. If that RMW found QUEUED and not LOCKED, D3: try LOCKED;
//! with it, U; if another holds it, leave. (D2 and D3 are one CAS where D1 read QUEUED and not LOCKED.) A deposit never
//! waits. One RMW when nobody waits.
//!
//! **U, serve and unlock**, by the holder, with the word as last examined. U1 look at the front: it *fits* if its need is
//! within the permits of the examined word less what this hold has granted. U2 grant it: unlink, move the waker out,
//! publish GRANTED. After CLOSED every front fits, costs nothing, and is told CLOSED. At most 32 of them. U3 one CAS from
//! exactly the examined word: subtracts what was granted, clears LOCKED, and QUEUED if the queue is empty. If it fails,
//! somebody deposited: examine again. U3 *owes* if a front that fits is left (the batch was full). U4 wake the batch.
//! U5 if owing, try LOCKED: with it, U again; if another holds it, leave, for that one serves.
//!
//! **X, withdraw.** X1 take LOCKED, unless the outcome comes first. X2 unlink, set the outcome. Then U: the front may be
//! another now.
//!
//! **C, close.** C1 if not QUEUED, one CAS sets CLOSED. C2 otherwise take LOCKED; C3 U1 and U2 for every front that fits;
//! C4 set CLOSED by a CAS from exactly the examined word; then U, which tells the rest.
//!
//! **S, settle.** Take LOCKED and U until an unlock that does not owe, or a word without QUEUED. Its result is exact.
//!
//! **Z, sleep** for LOCKED ([`lock`]). Z1 announce in `sleepers`. Z2 an RMW on the word that changes nothing; if it reads
//! LOCKED, Z3 sleep until `sleepers` changes. Who succeeds in U3 looks at `sleepers` afterwards (Z4).
//!
//! # Invariants
//! Over the modification order of the word:
//!
//! **I1.** A node is linked only by the holder, and while one is linked QUEUED is set: E1 sets it before E2, and (I2).
//!
//! **I2.** QUEUED is cleared only by U3, from exactly the word examined, with an empty queue.
//!
//! **I3.** LOCKED is cleared only by U3, from exactly the word examined, in which the queue is empty, or the front does
//! not fit and CLOSED is clear, or the unlocker owes.
//!
//! **I4.** While LOCKED is set the permits only grow, and CLOSED changes only by the holder (C4). For A2 needs not
//! QUEUED, LOCKED implies QUEUED, and who would forget permits settles first. So what U1 found to fit still fits at U3,
//! and granting before subtracting (U2 before U3) gives no permit twice.
//!
//! **I5.** Nobody answers "no" from a word in motion. Who reads QUEUED *and* enough permits settles first. With QUEUED
//! and too few permits, or after S with QUEUED, "no" is exact: the queue comes first, and takes what is there or needs
//! more.
//!
//! # Claim: no wake-up is lost
//! At quiescence, if the queue is not empty, then the front does not fit and CLOSED is clear.
//!
//! *Proof.* Let the queue be non-empty and let `r` be the last RMW on the word that is not Z2 (which changes nothing).
//! By I1 QUEUED is set; at quiescence nobody holds LOCKED. `r` is none of: A2 (it found QUEUED clear, and only E1 sets it:
//! a later RMW); E1, D3, X1, C2, S (they take LOCKED; clearing it is a later RMW); C1 (it found QUEUED clear); C4 (LOCKED
//! is still set). If `r` is D2, it found QUEUED set. Not LOCKED: its issuer went to D3, whose CAS either succeeded, a
//! later RMW, or found LOCKED, set and cleared by later RMWs, or found QUEUED clear, later again. LOCKED: clearing it is
//! a later RMW. So `r` is U3. If it owes, its owner tried LOCKED (U5), with the same three outcomes. So it does not owe,
//! and I3 says the claim of the examined word, which is the word of `r`. ∎
//!
//! A waker that panics cannot skip U5: see [`serve`]. A thread that is preempted or killed between D2 and D3 delays its
//! service; the next deposit, acquisition or settlement serves in its place.
//!
//! # Claim: nobody sleeps for a free lock
//! *Proof.* Let Z sleep after Z2 read LOCKED, and let U be the U3 that clears that LOCKED. U follows Z2 in the
//! modification order, hence (both AcqRel, RMWs continue release sequences) Z1 happens before Z4, which sees it, changes
//! `sleepers`, and wakes. Z3 compares `sleepers` with what Z1 left: changed before it sleeps, it does not. ∎
//!
//! # Ordering
//! Every successful RMW on the word is AcqRel; the load or failed CAS that an answer rests on is Acquire; one that is
//! retried is Relaxed unless U1 goes on from it. So acquisitions, releases, forgets and closes are totally ordered, and
//! each synchronizes with all before it (T43). A grant takes effect between the RMW whose word U1 examined and the next
//! one; it reaches the waiter by P1.
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

mod lock;
mod serve;
mod word;

#[cfg(all(test, not(any(loom, shuttle))))]
mod model;

use super::error::{AcquireError, TryAcquireError};
use crate::sys::atomic::{AcqRel, Acquire, AtomicU32, AtomicUsize, Relaxed, Release};
use crate::sys::const_fn;
use crate::sys::mutant::{self, Mutant};
use crate::wait::batch::WakeBatch;
use crate::wait::node::{self, Node, State};
use crate::wait::queue::Queue;
use core::fmt;
use core::ptr::NonNull;
use core::task::{Poll, Waker};
use word::{CLOSED, LOCKED, ONE, QUEUED, Word};

pub(super) use word::MAX_PERMITS;

/// See the module head.
pub struct Gate {
    word: AtomicUsize,
    queue: Queue,
    /// The length of the queue. Written by the holder of LOCKED.
    waiters: AtomicU32,
    /// Who sleeps for LOCKED: see [`lock`].
    sleepers: lock::Sleepers,
}

impl Gate {
    const_fn! {
        pub(crate) const fn new(permits: usize) -> Self {
            Self::of(Word::new(permits))
        }
    }

    const_fn! {
        pub(crate) const fn new_closed() -> Self {
            Self::of(Word::new(0).with(CLOSED))
        }
    }

    const_fn! {
        const fn of(word: Word) -> Self {
            Self {
                word: AtomicUsize::new(word.0),
                queue: Queue::new(),
                waiters: AtomicU32::new(0),
                sleepers: lock::Sleepers::new(),
            }
        }
    }

    /// The word, for an answer.
    #[inline(always)]
    fn look(&self) -> Word {
        // ORDERING: Acquire pairs with the Release half of every RMW on the word: an answer, "no" included, comes after
        // everything that led to it (T43).
        Word(self.word.load(Acquire))
    }

    /// CAS; on failure the word as it is.
    #[inline(always)]
    fn exchange(&self, from: Word, to: Word) -> Result<(), Word> {
        // ORDERING: AcqRel: each successful RMW synchronizes with all before it, and all after it with this one (T43).
        // Acquire on failure, since an answer or a service (U1) may rest on the word read.
        match self.word.compare_exchange(from.0, to.0, AcqRel, Acquire) {
            Ok(_) => Ok(()),
            Err(now) => Err(Word(now)),
        }
    }

    /// An RMW that changes nothing: orders its caller as if it had.
    #[inline]
    fn touch(&self) -> Word {
        // ORDERING: AcqRel, as every RMW on the word.
        Word(self.word.fetch_or(0, AcqRel))
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

    /// D for what D1 did not find to be the simple case.
    #[cold]
    #[inline(never)]
    #[track_caller]
    fn release_slow(&self, n: usize) {
        let mut word = Word(self.word.load(Relaxed));
        loop {
            if n > MAX_PERMITS - word.permits() {
                match self.release_over(n) {
                    Ok(()) => return,
                    Err(now) => word = now,
                }
                continue;
            }
            let serving = word.wants_server();
            let next = if serving { word.plus(n).with(LOCKED) } else { word.plus(n) };
            if !serving && word.takes_blindly(n) {
                return self.deposit(n);
            }
            let locked = if serving { self.try_exchange_locked(word, next) } else { self.exchange(word, next) };
            match locked {
                Ok(()) if serving => return self.serve_and_wake(next, WakeBatch::new()), // D2 and D3 in one
                Ok(()) => return,
                // Contended: where adding blindly is safe the deposit is wait-free.
                Err(now) if now.takes_blindly(n) => return self.deposit(n),
                Err(now) => word = now,
            }
        }
    }

    /// D2 by addition, and D3. `n` fits whatever others add meanwhile ([`Word::takes_blindly`]).
    #[inline(always)]
    fn deposit(&self, n: usize) {
        let order = if mutant::is(Mutant::ReleaseOnlyDeposit) { Release } else { AcqRel };
        // ORDERING: AcqRel: Release pairs with the Acquire of whoever takes these permits; Acquire, so that a release
        // also comes after every acquisition before it (T43, T44).
        let before = Word(self.word.fetch_add(n * ONE, order));
        if before.wants_server() {
            self.serve_if_unlocked();
        }
    }

    /// D where the sum would exceed MAX_PERMITS. It still fits if somebody waits. After S the front needs more than the
    /// `p` permits that are there, and at most MAX: with p + n > MAX it fits, and p + n - need < n. So one waiter
    /// served from the hand makes room for the rest. Errs with the word if the sum fits by now.
    #[cold]
    #[track_caller]
    fn release_over(&self, n: usize) -> Result<(), Word> {
        assert!(n <= MAX_PERMITS, "cannot add more than MAX_PERMITS permits ({MAX_PERMITS})");
        loop {
            let fits = |word: Word| word.permits() + n <= MAX_PERMITS;
            let mut word = match self.lock(0, |word| (fits(word) || !word.is_queued()).then_some(word)) {
                Ok(word) => word,
                Err(word) if fits(word) => return Err(word),
                Err(_) => panic!("number of added permits ({n}) would overflow MAX_PERMITS ({MAX_PERMITS})"),
            };
            loop {
                // SAFETY: LOCKED is held, and QUEUED was set in the word that it was taken from, so there is a front.
                let front = unsafe { self.queue.front() }.expect("QUEUED is set, so somebody waits (I1, I2)");
                // SAFETY: a linked node is alive.
                let need = unsafe { front.as_ref() }.need();
                if word.is_closed() || need <= word.permits() || fits(word) {
                    // It can be served, or the sum fits, without us: do that, and look again.
                    self.serve_and_wake(word, WakeBatch::new());
                    break;
                }
                let next = if need >= n { word.minus(need - n) } else { word.plus(n - need) };
                match self.exchange(word, next) {
                    Ok(()) => {
                        let mut batch = WakeBatch::new();
                        // SAFETY: LOCKED is held and the front is linked; its need has been taken from the word.
                        unsafe { self.dequeue(front, node::GRANTED, &mut batch) };
                        self.serve_and_wake(next, batch);
                        return Ok(());
                    }
                    Err(now) => word = now,
                }
            }
        }
    }

    /// Outcome of a node that somebody has published, or that is still queued.
    #[inline(always)]
    fn answer(state: State) -> Poll<Result<(), AcquireError>> {
        match state {
            node::GRANTED => Poll::Ready(Ok(())),
            node::QUEUED => Poll::Pending,
            _ => Poll::Ready(Err(AcquireError::closed())),
        }
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

    fn forget(&self, n: usize) -> usize {
        if n == 0 {
            return 0;
        }
        let mut word = self.look();
        loop {
            if word.masks() {
                if word.permits() > 0 {
                    word = self.settle(); // I5
                }
                if word.masks() {
                    self.touch();
                    return 0;
                }
            }
            let taken = word.permits().min(n);
            match self.exchange(word, word.minus(taken)) {
                Ok(()) => return taken,
                Err(now) => word = now,
            }
        }
    }

    fn available(&self) -> usize {
        let mut word = self.look();
        if word.masks() && word.permits() > 0 {
            word = self.settle(); // I5
        }
        if word.masks() { 0 } else { word.permits() }
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.look().is_closed()
    }

    fn close(&self) {
        let mut word = self.look();
        loop {
            if word.is_closed() {
                self.touch();
                return;
            }
            if !word.is_queued() {
                match self.exchange(word, word.with(CLOSED)) {
                    Ok(()) => return, // C1
                    Err(now) => word = now,
                }
                continue;
            }
            // C2
            if let Ok(locked) = self.lock(0, |word| (word.is_closed() || !word.is_queued()).then_some(())) {
                if self.close_and_wake(locked).is_ok() {
                    return;
                }
            }
            word = self.look();
        }
    }

    fn waiters(&self) -> usize {
        self.waiters.load(Relaxed) as usize
    }

    unsafe fn enqueue(&self, node: &Node, waker: &Waker, may_take: bool) -> Poll<Result<(), AcquireError>> {
        let waker = waker.clone(); // W3: before the lock
        let n = node.need();
        match self.lock(QUEUED, |word| {
            if word.is_closed() {
                return Some(Poll::Ready(Err(AcquireError::closed())));
            }
            if !word.admits(n) {
                return None;
            }
            if !may_take {
                return Some(Poll::Pending);
            }
            self.take(n, word).is_ok().then_some(Poll::Ready(Ok(())))
        }) {
            Err(answer) => answer,
            Ok(word) => {
                // SAFETY: the node is idle, hence the caller's.
                unsafe { node.put_waker(waker) };
                node.set_state(node::QUEUED);
                node.set_phase(node::Phase::Waiting);
                // SAFETY: LOCKED is held; by the caller's promise the node stays in place until it is unlinked. E2.
                unsafe { self.queue.push_back(NonNull::from(node)) };
                self.count_waiters(1);
                self.serve_and_wake(word, WakeBatch::new());
                Self::answer(node.state())
            }
        }
    }

    #[inline]
    unsafe fn poll(&self, node: &Node, waker: &Waker) -> Poll<Result<(), AcquireError>> {
        let answer = Self::answer(node.state());
        if answer.is_ready() {
            return answer;
        }
        if self.look().is_closed() && !mutant::is(Mutant::PollMissesClose) {
            // `close` may have returned while another thread still has this node in its batches: do not stay pending.
            // SAFETY: passed on.
            return Self::answer(unsafe { self.withdraw(node, node::CLOSED) });
        }
        // SAFETY: the caller is the owner, and joining put a waker.
        if unsafe { node.will_wake(waker) } {
            return Poll::Pending;
        }
        self.replace_waker(node, waker)
    }

    unsafe fn withdraw(&self, node: &Node, outcome: State) -> State {
        match self.lock(0, |_| match node.state() {
            node::QUEUED => None,
            decided => Some(decided),
        }) {
            Err(decided) => decided,
            Ok(word) => {
                if node.state() != node::QUEUED {
                    // Published between the look and the lock.
                    self.serve_and_wake(word, WakeBatch::new());
                    return node.state();
                }
                // X2. SAFETY: LOCKED is held and QUEUED means linked; the waker is still there.
                let waker = unsafe {
                    self.queue.remove(NonNull::from(node));
                    node.take_waker()
                };
                self.count_waiters(-1);
                node.set_state(outcome);
                if mutant::is(Mutant::CancelWithoutServing) {
                    self.unlock_unserved(word);
                } else {
                    self.serve_and_wake(word, WakeBatch::new());
                }
                drop(waker); // W3: after the lock, even if a waker of the batch panicked
                outcome
            }
        }
    }
}

impl Gate {
    #[cold]
    #[inline(never)]
    fn try_acquire_slow(&self, n: usize, mut word: Word) -> Result<(), TryAcquireError> {
        loop {
            if word.is_closed() {
                return Err(TryAcquireError::Closed);
            }
            if word.permits() < n {
                return Err(TryAcquireError::NoPermits);
            }
            if word.masks() && n > 0 {
                if mutant::is(Mutant::AnswerInMotion) {
                    return Err(TryAcquireError::NoPermits);
                }
                word = self.settle(); // I5
                if word.masks() {
                    return Err(TryAcquireError::NoPermits);
                }
                continue;
            }
            match self.take(n, word) {
                Ok(()) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    /// A queued node is polled with another waker (T16).
    #[cold]
    fn replace_waker(&self, node: &Node, waker: &Waker) -> Poll<Result<(), AcquireError>> {
        let waker = waker.clone(); // W3
        match self.lock(0, |_| match node.state() {
            node::QUEUED => None,
            decided => Some(decided),
        }) {
            Err(decided) => Self::answer(decided),
            Ok(word) => {
                let old = (node.state() == node::QUEUED).then(|| {
                    // SAFETY: LOCKED is held and the node is linked, so its waker is there and this thread's to move.
                    unsafe {
                        let old = node.take_waker();
                        node.put_waker(waker);
                        old
                    }
                });
                self.serve_and_wake(word, WakeBatch::new());
                drop(old); // W3
                Self::answer(node.state())
            }
        }
    }
}

impl fmt::Debug for Gate {
    /// Never waits: a count that somebody is about to change is `<locked>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.look();
        let permits: &dyn fmt::Debug = if word.is_locked() && word.masks() && word.permits() > 0 {
            &format_args!("<locked>")
        } else if word.masks() {
            &0_usize
        } else {
            &word.permits()
        };
        f.debug_struct("Semaphore")
            .field("permits", permits)
            .field("waiters", &super::Gate::waiters(self))
            .field("closed", &word.is_closed())
            .finish()
    }
}
