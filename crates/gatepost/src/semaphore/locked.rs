//! A queue of waiters, and the word beside it whose bit LOCKED is the queue's lock: what every policy's gate is made of.
//!
//! A policy's word has its own meaning, but these three flags in common ([`LockWord`]): CLOSED, QUEUED and LOCKED.
//!
//! # Waiting for LOCKED
//! The lock is held for at most 32 nodes and never while the user's code runs, but its holder may be preempted. So who
//! needs it looks at it [`LOOKS`] times and then sleeps; an endless spin could keep a holder of lower priority from ever
//! running. Releasers never come here (save one whose sum would exceed MAX_PERMITS).
//!
//! ## Sleeping, steps Z1 to Z4
//! ```text
//!   sleepers: u32    bit 0: somebody sleeps, or is about to       bits 1..: how often they were woken
//! ```
//! Z1 set bit 0. Z2 an RMW on the word that changes nothing. Z3 if that read LOCKED, sleep while `sleepers` is what Z1
//! left. Z4, after an unlock: if bit 0 is set, add one (which clears it and counts) and wake all sleepers.
//!
//! Z2 is an RMW and not a load because RMWs on the word are in one order with the unlock: either Z2 comes first, and the
//! unlocker sees Z1; or the unlock comes first, and Z2 sees that. No fence is needed on the unlocking side, which pays
//! one load. To sleep through an unlock, 2^31 of them would have to fall between Z2 and Z3.

use super::error::TryAcquireError;
use crate::sys;
use crate::sys::atomic::{AcqRel, Acquire, AtomicU32, AtomicUsize, Relaxed};
use crate::sys::const_fn;
use crate::sys::mutant::{self, Mutant};
use crate::wait::batch::{Panics, WakeBatch};
use crate::wait::node::{Node, State};
use crate::wait::queue::Queue;
use crate::wait::timing::Charge;
use core::fmt;
use core::ptr::NonNull;
use core::task::Waker;

/// No more permits are given out.
pub(super) const CLOSED: usize = 1;
/// Somebody is in the queue.
pub(super) const QUEUED: usize = 2;
/// One thread, the *holder*, owns the queue. Implies QUEUED: an enqueuer sets both at once, and everybody else locks only
/// what is queued.
pub(super) const LOCKED: usize = 4;

/// Looks at LOCKED before sleeping for it. Under a checker fewer do.
const LOOKS: u32 = if cfg!(all(test, any(loom, shuttle))) { 1 } else { 50 };

/// A value of a policy's word. `Copy`: it is what somebody saw.
pub trait LockWord: Copy {
    fn from_bits(bits: usize) -> Self;
    fn bits(self) -> usize;

    /// The permits that are there.
    fn permits(self) -> usize;

    /// `n` permits fewer.
    #[must_use]
    fn minus(self, n: usize) -> Self;

    /// Whether the permits are hidden from everybody but the queue.
    fn masks(self) -> bool;

    /// Somebody waits, nobody holds LOCKED, and whoever deposits now has to serve.
    fn wants_server(self) -> bool;

    #[inline(always)]
    fn is_closed(self) -> bool {
        self.bits() & CLOSED != 0
    }

    #[inline(always)]
    fn is_queued(self) -> bool {
        self.bits() & QUEUED != 0
    }

    #[inline(always)]
    fn is_locked(self) -> bool {
        self.bits() & LOCKED != 0
    }

    #[inline(always)]
    #[must_use]
    fn with(self, flags: usize) -> Self {
        Self::from_bits(self.bits() | flags)
    }

    #[inline(always)]
    #[must_use]
    fn without(self, flags: usize) -> Self {
        Self::from_bits(self.bits() & !flags)
    }
}

/// See the module head.
pub struct LockedQueue<W> {
    pub(super) word: AtomicUsize,
    pub(super) queue: Queue,
    /// The length of the queue. Written by the holder of LOCKED.
    waiters: AtomicU32,
    /// Who sleeps for LOCKED.
    sleepers: Sleepers,
    meaning: core::marker::PhantomData<fn() -> W>,
}

impl<W: LockWord> LockedQueue<W> {
    const_fn! {
        pub(super) const fn new(word: usize) -> Self {
            Self {
                word: AtomicUsize::new(word),
                queue: Queue::new(),
                waiters: AtomicU32::new(0),
                sleepers: Sleepers::new(),
                meaning: core::marker::PhantomData,
            }
        }
    }

    /// The word, for an answer.
    #[inline(always)]
    pub(super) fn look(&self) -> W {
        // ORDERING: Acquire pairs with the Release half of every RMW on the word: an answer, "no" included, comes after
        // everything that led to it (T43).
        W::from_bits(self.word.load(Acquire))
    }

    /// CAS; on failure the word as it is.
    #[inline(always)]
    pub(super) fn exchange(&self, from: W, to: W) -> Result<(), W> {
        // ORDERING: AcqRel: each successful RMW synchronizes with all before it, and all after it with this one (T43).
        // Acquire on failure, since an answer or a service (U1) may rest on the word read.
        match self.word.compare_exchange(from.bits(), to.bits(), AcqRel, Acquire) {
            Ok(_) => Ok(()),
            Err(now) => Err(W::from_bits(now)),
        }
    }

    /// An RMW that changes nothing: orders its caller as if it had.
    #[inline]
    pub(super) fn touch(&self) -> W {
        // ORDERING: AcqRel, as every RMW on the word.
        W::from_bits(self.word.fetch_or(0, AcqRel))
    }

    /// F: takes up to `n` permits away for good and returns how many. `settle` is step S.
    pub(super) fn forget(&self, n: usize, settle: impl Fn() -> W) -> usize {
        if n == 0 {
            return 0;
        }
        let mut word = self.look();
        loop {
            if word.masks() {
                if word.permits() > 0 {
                    word = settle();
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

    /// The permits, as a newcomer sees them.
    #[inline]
    pub(super) fn available(&self, settle: impl Fn() -> W) -> usize {
        let mut word = self.look();
        if word.masks() && word.permits() > 0 {
            word = settle();
        }
        if word.masks() { 0 } else { word.permits() }
    }

    /// An attempt that did not succeed at once. `take` is step A2.
    pub(super) fn try_acquire_slow(
        &self,
        n: usize,
        mut word: W,
        take: impl Fn(W) -> Result<(), W>,
        settle: impl Fn() -> W,
    ) -> Result<(), TryAcquireError> {
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
                word = settle(); // I5 of the strict policy: "no" is exact
                if word.masks() {
                    return Err(TryAcquireError::NoPermits);
                }
                continue;
            }
            match take(word) {
                Ok(()) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    /// C. `close` is what the holder does: C3 and on; it says whether the semaphore is closed.
    pub(super) fn close(&self, mut close: impl FnMut(W, &mut Panics) -> bool) {
        let mut panics = Panics::new();
        let mut word = self.look();
        loop {
            if word.is_closed() {
                self.touch();
                break;
            }
            if !word.is_queued() {
                match self.exchange(word, word.with(CLOSED)) {
                    Ok(()) => break, // C1
                    Err(now) => word = now,
                }
                continue;
            }
            // C2
            if let Ok(locked) = self.lock(0, |word| (word.is_closed() || !word.is_queued()).then_some(())) {
                if close(locked, &mut panics) {
                    break;
                }
            }
            word = self.look();
        }
        panics.resume();
    }

    /// Never waits: a count that somebody is about to change is `<locked>`.
    pub(super) fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
            .field("waiters", &self.waiters())
            .field("closed", &word.is_closed())
            .finish()
    }

    /// The number of waiters in the queue: a snapshot, unless LOCKED is held.
    #[inline]
    pub(super) fn waiters(&self) -> usize {
        self.waiters.load(Relaxed) as usize
    }

    /// LOCKED is held, so this is no RMW. It counts modulo 2^32: as many waiters would fill 200 GB.
    pub(super) fn count_waiters(&self, change: i32) {
        self.waiters.store(self.waiters.load(Relaxed).wrapping_add_signed(change), Relaxed);
    }

    /// Unlinks a node, moves its waker into the batch, and publishes the outcome.
    ///
    /// # Safety
    /// LOCKED is held, the node is linked and has its waker. It must not be touched afterwards.
    pub(super) unsafe fn dequeue(&self, node: NonNull<Node>, outcome: State, batch: &mut WakeBatch) {
        // SAFETY: passed on.
        let waker = unsafe { self.pop(node, outcome, &mut batch.charge) };
        batch.push(waker);
    }

    /// The same for one waker.
    ///
    /// # Safety
    /// As for [`dequeue`](Self::dequeue).
    #[inline(always)]
    pub(super) unsafe fn pop(&self, node: NonNull<Node>, outcome: State, charge: &mut Charge) -> Waker {
        // SAFETY: by the caller's promise.
        let waker = unsafe {
            charge.decide(&self.queue, node, outcome);
            self.queue.remove(node);
            node.as_ref().take_waker()
        };
        self.count_waiters(-1);
        // SAFETY: LOCKED is held; unlinked and without its waker since just now.
        unsafe { Node::publish(node, outcome) };
        waker
    }

    /// Takes LOCKED, setting `mark` with it, and returns the word as it is then. At each look `bail` may end it with a
    /// reason; it must when the word is not QUEUED, unless `mark` says that it will be (LOCKED implies QUEUED).
    #[inline(always)]
    pub(super) fn lock<R>(&self, mark: usize, mut bail: impl FnMut(W) -> Option<R>) -> Result<W, R> {
        let word = self.look();
        if let Some(reason) = bail(word) {
            return Err(reason);
        }
        let next = word.with(LOCKED | mark);
        if !word.is_locked() && self.try_exchange_locked(word, next).is_ok() {
            debug_assert!((word.bits() | mark) & QUEUED != 0, "LOCKED implies QUEUED");
            return Ok(next);
        }
        self.lock_slow(mark, bail)
    }

    /// The same when the first try has failed.
    #[cold]
    #[inline(never)]
    fn lock_slow<R>(&self, mark: usize, mut bail: impl FnMut(W) -> Option<R>) -> Result<W, R> {
        let mut looks = 0;
        loop {
            let word = self.look();
            if let Some(reason) = bail(word) {
                return Err(reason);
            }
            if !word.is_locked() {
                debug_assert!((word.bits() | mark) & QUEUED != 0, "LOCKED implies QUEUED");
                let next = word.with(LOCKED | mark);
                if self.try_exchange_locked(word, next).is_ok() {
                    return Ok(next);
                }
                continue;
            }
            looks += 1;
            self.relax(looks);
        }
    }

    /// Takes LOCKED if the queue wants to be served and nobody holds it (D3, U5).
    pub(crate) fn try_lock(&self) -> Option<W> {
        let mut word = self.look();
        while word.wants_server() {
            let next = word.with(LOCKED);
            match self.try_exchange_locked(word, next) {
                Ok(()) => return Some(next),
                Err(now) => word = now,
            }
        }
        None
    }
}

use waiting::Sleepers;

#[cfg(feature = "std")]
mod waiting {
    use super::*;
    use crate::sys::futex;

    /// Who sleeps for LOCKED. See the head of the file.
    pub(in super::super) struct Sleepers(AtomicU32);

    impl Sleepers {
        const_fn! {
            pub(in super::super) const fn new() -> Self {
                Self(AtomicU32::new(0))
            }
        }
    }

    #[cfg(all(test, not(any(loom, shuttle))))]
    impl Sleepers {
        pub(super) fn is_announced(&self) -> bool {
            self.0.load(Relaxed) & 1 != 0
        }
    }

    impl<W: LockWord> LockedQueue<W> {
        /// The CAS that takes LOCKED, which `next` has.
        #[inline(always)]
        pub(in super::super) fn try_exchange_locked(&self, word: W, next: W) -> Result<(), W> {
            self.exchange(word, next)
        }

        /// The CAS that gives LOCKED back (U3), and Z4.
        #[inline]
        pub(in super::super) fn try_exchange_unlocked(&self, word: W, next: W) -> Result<(), W> {
            self.exchange(word, next)?;
            self.wake_sleepers();
            Ok(())
        }

        /// Adds `delta`, which clears LOCKED and changes other flags of the holder's; returns the word before. Cannot fail,
        /// whatever the rest of the word has become. And Z4.
        #[inline]
        pub(in super::super) fn unlock_by(&self, delta: usize) -> W {
            // ORDERING: AcqRel, as every RMW on the word.
            let before = W::from_bits(self.word.fetch_add(delta, AcqRel));
            self.wake_sleepers();
            before
        }

        /// Z4. LOCKED was cleared by this thread.
        #[inline]
        pub(in super::super) fn wake_sleepers(&self) {
            let sleepers = self.sleepers.0.load(Relaxed);
            if sleepers & 1 != 0 {
                self.wake_sleepers_slow(sleepers);
            }
        }

        #[cold]
        fn wake_sleepers_slow(&self, sleepers: u32) {
            // Fails if another unlocker was faster, who then wakes them.
            if self.sleepers.0.compare_exchange(sleepers, sleepers.wrapping_add(1), Relaxed, Relaxed).is_ok() {
                futex::wake_all(&self.sleepers.0);
            }
        }

        /// LOCKED was seen for the `looks`th time.
        pub(super) fn relax(&self, looks: u32) {
            if looks < LOOKS {
                return sys::pause();
            }
            let announced = self.sleepers.0.fetch_or(1, Relaxed) | 1; // Z1
            let locked = mutant::is(Mutant::SleepUnannounced) || self.touch().is_locked(); // Z2
            if locked {
                futex::wait(&self.sleepers.0, announced, None); // Z3
            }
        }
    }
}

#[cfg(not(feature = "std"))]
mod waiting {
    use super::*;
    use crate::sys::platform;

    /// Without `std` nobody sleeps. Here the holder keeps what [`platform::Platform::enter`] gave it.
    pub(in super::super) struct Sleepers(AtomicU32);

    impl Sleepers {
        pub(in super::super) const fn new() -> Self {
            Self(AtomicU32::new(0))
        }
    }

    impl<W: LockWord> LockedQueue<W> {
        /// The CAS that takes LOCKED, which `next` has, with preemption forbidden if it succeeds.
        pub(in super::super) fn try_exchange_locked(&self, word: W, next: W) -> Result<(), W> {
            let platform = platform::current();
            let token = (platform.enter)();
            let result = self.exchange(word, next);
            match result {
                Ok(()) => self.sleepers.0.store(token, Relaxed),
                Err(_) => (platform.exit)(token),
            }
            result
        }

        /// The CAS that gives LOCKED back (U3), after which preemption is allowed again.
        pub(in super::super) fn try_exchange_unlocked(&self, word: W, next: W) -> Result<(), W> {
            let token = self.sleepers.0.load(Relaxed);
            self.exchange(word, next)?;
            (platform::current().exit)(token);
            Ok(())
        }

        /// Adds `delta`, which clears LOCKED and changes other flags of the holder's; returns the word before. Cannot fail,
        /// whatever the rest of the word has become. Preemption is allowed again.
        pub(in super::super) fn unlock_by(&self, delta: usize) -> W {
            let token = self.sleepers.0.load(Relaxed);
            // ORDERING: AcqRel, as every RMW on the word.
            let before = W::from_bits(self.word.fetch_add(delta, AcqRel));
            (platform::current().exit)(token);
            before
        }

        /// Nobody sleeps.
        #[inline(always)]
        pub(in super::super) fn wake_sleepers(&self) {}

        /// LOCKED was seen for the `looks`th time.
        pub(super) fn relax(&self, looks: u32) {
            if looks < LOOKS {
                sys::pause();
            } else {
                (platform::current().relax)(looks - LOOKS);
            }
        }
    }
}

/// Hooks of the tests that set traps.
#[cfg(all(test, feature = "std", not(any(loom, shuttle))))]
impl<W: LockWord> LockedQueue<W> {
    /// Whether somebody sleeps for LOCKED, or is about to.
    pub(crate) fn has_sleepers(&self) -> bool {
        self.sleepers.is_announced()
    }

    /// The word as it is.
    pub(crate) fn look_for_test(&self) -> W {
        self.look()
    }
}
