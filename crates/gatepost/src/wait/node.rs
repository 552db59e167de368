//! One waiter.
//!
//! A node lives inside its future, or on the stack of a thread, and is linked into a queue while it waits.
//!
//! ```text
//!            owner, before linking          the lock's holder, once            owner
//!   IDLE ──────────────────────────▶ QUEUED ──────────────────────▶ GRANTED ─────────▶ (done)
//!                                      │  ├────────────────────────▶ CLOSED
//!                                      │  └── by its own waiter, who holds the lock:
//!                                      └────────────────────────────▶ TIMED_OUT | INTERRUPTED | CANCELLED
//! ```
//! A policy that lets waiters compete has one more state: the holder wakes the front (QUEUED to WOKEN) without deciding
//! anything. The node stays linked and has no waker; it takes what it needs, or, as the holder, puts a waker and is QUEUED
//! again. What is said of QUEUED holds of WOKEN, but for the waker.
//!
//! Where waiters are woken to compete *after* they have left the queue, as at an address, the outcome is NOTIFIED: it says
//! that something has happened, and gives nothing. Its waiter looks, and may make itself IDLE and join again.
//!
//! # Who may touch what
//! | field | while not linked | while linked |
//! |---|---|---|
//! | `links` | the owner | the holder of the queue's lock |
//! | `waker` | the owner | the holder writes; the owner may compare (it is then bits that nobody writes) |
//! | `need` | the owner | anybody, read only |
//! | `state` | the owner | the holder writes, anybody reads |
//! | `phase` | the owner | the owner |
//! | `reason` | the owner | anybody, read only |
//! | `timed`, `times` | see [`timing`](super::timing) | |
//!
//! *Linked* ends with the store that publishes the outcome.
//!
//! **P1 (publish).** The holder unlinks, moves the waker out, and as its last touch stores the outcome with Release. The
//! waiter's Acquire load of that outcome orders everything the holder did, and whatever the holder had acquired, before
//! the waiter's return.
//!
//! Fields are written when they are first needed: a future that is granted at once writes `state`, `phase` and `need`.

use super::reason::WaitReason;
use super::timing::Times;
use crate::sys::atomic::{Acquire, AtomicU32, Relaxed, Release};
use crate::sys::cell::UnsafeCell;
use crate::sys::const_fn;
use crate::sys::mutant::{self, Mutant};
use core::cell::Cell;
use core::marker::PhantomPinned;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::task::Waker;

/// What a node is waiting for, or what came of it.
pub(crate) type State = u32;

/// Not in a queue.
pub(crate) const IDLE: State = 0;
/// In a queue; no outcome yet.
pub(crate) const QUEUED: State = 1;
/// What was asked for has been handed over and belongs to the waiter.
pub(crate) const GRANTED: State = 2;
/// What was waited for will not come any more.
pub(crate) const CLOSED: State = 3;
/// The waiter gave up at its deadline.
#[cfg_attr(not(feature = "std"), allow(dead_code))]
pub(crate) const TIMED_OUT: State = 4;
/// The waiter was interrupted.
#[cfg_attr(not(feature = "std"), allow(dead_code))]
pub(crate) const INTERRUPTED: State = 5;
/// The waiter went away: its future was dropped.
pub(crate) const CANCELLED: State = 6;
/// In a queue, woken to compete; no outcome yet.
pub(crate) const WOKEN: State = 7;
/// Not in the queue any more: what was waited for may be there, and is whoever's that takes it.
pub(crate) const NOTIFIED: State = 8;

/// Where the owner is with its node. Known to the owner alone, so it costs no atomic access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing has been asked for yet.
    New,
    /// The node has been linked, or holds a grant that was not handed out: dropping it has something to undo.
    Waiting,
    /// The outcome has been handed out.
    Done,
}

#[derive(Clone, Copy)]
struct Links {
    prev: Option<NonNull<Node>>,
    next: Option<NonNull<Node>>,
}

/// One waiter. See the module head.
pub struct Node {
    state: AtomicU32,
    phase: Cell<Phase>,
    reason: Cell<WaitReason>,
    /// Which profiles the wait belongs in: see [`timing`](super::timing). As wide as makes the four fields eight bytes, which
    /// are written at once.
    timed: Cell<u16>,
    need: usize,
    waker: UnsafeCell<MaybeUninit<Waker>>,
    links: UnsafeCell<MaybeUninit<Links>>,
    times: Times,
    _pinned: PhantomPinned,
}

// SAFETY: the table in the module head: each field is atomic, constant while shared, or touched by one party at a time.
// `phase` is read and written only through the owner's `Pin<&mut _>` or by value; `reason` and `timed` are written so.
unsafe impl Send for Node {}
// SAFETY: as above.
unsafe impl Sync for Node {}

impl Node {
    const_fn! {
        #[inline(always)]
        pub(crate) const fn new(need: usize) -> Self {
            Self {
                state: AtomicU32::new(IDLE),
                phase: Cell::new(Phase::New),
                reason: Cell::new(WaitReason::Semaphore),
                timed: Cell::new(0),
                need,
                waker: UnsafeCell::new(MaybeUninit::uninit()),
                links: UnsafeCell::new(MaybeUninit::uninit()),
                times: Times::new(),
                _pinned: PhantomPinned,
            }
        }
    }

    /// How much the waiter asks for.
    #[inline(always)]
    pub(crate) fn need(&self) -> usize {
        self.need
    }

    /// Owner only.
    #[inline(always)]
    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Owner only.
    #[inline(always)]
    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.set(phase);
    }

    /// What it waits for.
    #[inline(always)]
    #[allow(dead_code)] // asked for by profiles and diagnostics
    pub(crate) fn reason(&self) -> WaitReason {
        self.reason.get()
    }

    /// Owner only, before the node is linked.
    #[inline(always)]
    #[allow(dead_code)] // what waits for something else than a semaphore
    pub(crate) fn set_reason(&self, reason: WaitReason) {
        self.reason.set(reason);
    }

    /// Which profiles the wait belongs in. Owner, or holder of the lock of the queue that it is in.
    #[inline(always)]
    #[allow(dead_code)] // always 0 without the feature `profile`
    pub(super) fn timed(&self) -> u16 {
        self.timed.get()
    }

    /// Owner only, while not linked.
    #[inline(always)]
    #[allow(dead_code)] // always 0 without the feature `profile`
    pub(super) fn set_timed(&self, timed: u16) {
        self.timed.set(timed);
    }

    /// See [`timing`](super::timing).
    #[inline(always)]
    #[allow(dead_code)] // empty without the feature `profile`
    pub(super) fn times(&self) -> &Times {
        &self.times
    }

    /// The state, with everything that its publisher did.
    #[inline(always)]
    pub(crate) fn state(&self) -> State {
        // ORDERING: Acquire pairs with the Release of `publish` (P1).
        self.state.load(Acquire)
    }

    /// Sets the state without publishing anything: by the owner while not linked, or by the lock's holder (its own node's, or
    /// QUEUED to WOKEN, which decides nothing).
    #[inline(always)]
    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state, Relaxed);
    }

    /// P1: hands the outcome to the waiter. The node is the waiter's from here on: the caller must not touch it again.
    ///
    /// # Safety
    /// The caller holds the lock, has unlinked the node, and has moved its waker out.
    #[inline]
    pub(crate) unsafe fn publish(node: NonNull<Node>, outcome: State) {
        // SAFETY: until the store below the waiter cannot have seen an outcome, so the node is alive.
        let state = unsafe { &node.as_ref().state };
        if mutant::is(Mutant::RelaxedPublish) {
            return state.store(outcome, Relaxed);
        }
        // ORDERING: Release pairs with the Acquire of `state()` in the waiter: it sees the permits' history, and its
        // memory is not touched any more.
        state.store(outcome, Release);
    }

    /// Writes the waker of a node that has none (or one that was moved out).
    ///
    /// # Safety
    /// The node is not linked and the caller owns it, or the caller holds the lock and has moved the old one out.
    #[inline]
    pub(crate) unsafe fn put_waker(&self, waker: Waker) {
        // SAFETY: by the caller's promise nobody else looks at the slot.
        self.waker.with_mut(|slot| unsafe { (*slot).write(waker) });
    }

    /// Moves the waker out.
    ///
    /// # Safety
    /// As for [`put_waker`](Self::put_waker), and there is one to move.
    #[inline]
    pub(crate) unsafe fn take_waker(&self) -> Waker {
        // SAFETY: by the caller's promise the slot is initialised and this is the only move out of it. It reads and does
        // not write, so an owner may compare the bits at the same time (`will_wake`).
        self.waker.with(|slot| unsafe { (*slot).assume_init_read() })
    }

    /// Whether the waker put last wakes the same task as `other`.
    ///
    /// # Safety
    /// The caller is the owner, and has put a waker. (The holder may have moved it out: then its bits are compared, which
    /// says the same.)
    #[inline]
    pub(crate) unsafe fn will_wake(&self, other: &Waker) -> bool {
        // SAFETY: the slot was written by the owner and nobody writes it while the owner reads. `ManuallyDrop`, in effect:
        // the waker is looked at through a reference and its vtable is not called.
        self.waker.with(|slot| unsafe { (*slot).assume_init_ref().will_wake(other) })
    }

    /// # Safety
    /// The caller holds the lock and the node is linked.
    pub(crate) unsafe fn prev(node: NonNull<Node>) -> Option<NonNull<Node>> {
        // SAFETY: a linked node is alive and its links are the holder's.
        unsafe { node.as_ref() }.links.with(|links| unsafe { (*links).assume_init_ref().prev })
    }

    /// # Safety
    /// The caller holds the lock and the node is linked.
    pub(crate) unsafe fn next(node: NonNull<Node>) -> Option<NonNull<Node>> {
        // SAFETY: as in `prev`.
        unsafe { node.as_ref() }.links.with(|links| unsafe { (*links).assume_init_ref().next })
    }

    /// # Safety
    /// The caller holds the lock and the node is linked.
    pub(crate) unsafe fn set_prev(node: NonNull<Node>, prev: Option<NonNull<Node>>) {
        // SAFETY: as in `prev`; the holder is alone.
        unsafe { node.as_ref() }.links.with_mut(|links| unsafe { (*links).assume_init_mut().prev = prev });
    }

    /// # Safety
    /// The caller holds the lock and the node is linked.
    pub(crate) unsafe fn set_next(node: NonNull<Node>, next: Option<NonNull<Node>>) {
        // SAFETY: as in `set_prev`.
        unsafe { node.as_ref() }.links.with_mut(|links| unsafe { (*links).assume_init_mut().next = next });
    }

    /// # Safety
    /// The caller holds the lock, and the node is alive and not linked.
    pub(crate) unsafe fn init_links(node: NonNull<Node>, prev: Option<NonNull<Node>>, next: Option<NonNull<Node>>) {
        // SAFETY: as in `set_prev`.
        unsafe { node.as_ref() }.links.with_mut(|links| unsafe {
            (*links).write(Links { prev, next });
        });
    }
}
