//! The protocol at an address: who sleeps, who is woken, and why nobody is left asleep.
//!
//! A semaphore of four bytes is a place to sleep and be woken, as Go's runtime has it: whoever is woken competes with whoever
//! runs. So a permit never waits for a sleeper to get up, and a release pays for a wake-up only if somebody sleeps.
//!
//! # Protocol
//! **T, take.** Load the word; while it counts something, CAS one away. No lock, no look at the table.
//!
//! **A, acquire**, when T found nothing. Lock the bucket of the address. A1 announce: add one to its `waiting`. A2 T once
//! more; with it, A1 is taken back. Otherwise, of a `Sema`, set the bit if it is clear. A3 link the waiter. Unlock, sleep.
//! When told NOTIFIED: T, or A again (a new place in the queue, G9). When told GRANTED: done.
//!
//! **D, release** of `n`. D1 one RMW adds `n`. D2 is there somebody? Of a `Sema`, its bit in what D1 read; of a `RawSema`, the
//! `waiting` of the bucket (`may_wait`). If not, done, with nothing but D1 written. D3 lock the bucket. Up to `n` times: if somebody
//! waits at the address, and the word (of a `Sema`) counts something still, D4 take the front out (the last one of a `Sema` clears the bit) and
//! D5 tell it NOTIFIED. At most 32 in one hold. Unlock, then wake.
//!
//! **H, hand-off.** If there may be somebody, before anything is added: lock the bucket; the front is taken out and told
//! GRANTED: the permit was never in the count, and nobody could take it before. If there is nobody, D1, without the lock;
//! and if D2 then says otherwise, D3 to D5, where of a `Sema` a permit is taken by T for the front, which is told GRANTED. (If
//! somebody was faster and has left nothing, nobody is woken.)
//!
//! **X, leave.** Lock the bucket. If still linked, unlink (the last one of a `Sema` clears the bit). If it was told GRANTED, release
//! it. If it was told NOTIFIED, it has been woken for a permit that somebody else may sleep for: D3 to D5 for one, unless T
//! finds nothing.
//!
//! # Invariants
//! **A-I1.** Of a `Sema`: whenever the bucket's lock is free, the bit is set if and only if somebody is linked at its address.
//!
//! **A-I2.** A waiter is linked in the bucket to which its address belongs, and counted in its `waiting` (B-I1, B-I2 of
//! [`table`](super::table)).
//!
//! **A-I3.** At quiescence (nobody between D1 and the end of D, nobody NOTIFIED that has not looked), if somebody is linked
//! at an address, the word there counts 0.
//!
//! **A-I4 (who may touch the word).** Whoever is inside an operation of its own on the word may until D1, or until it has what it
//! came for. *Of a `RawSema`*, nobody touches it after D1: it may be gone, freed by whoever has acquired what D1 added; if
//! other memory has come to the same address, and others wait there, one of them is woken for nothing. *Of a `Sema`*, whose
//! methods borrow it, it is there while anybody is inside one; D4 clears the bit *before* D5, after which a waiter may end
//! its borrow.
//!
//! # Claim: nobody is left asleep (A-I3)
//! *Proof.* Suppose the contrary, with `w` linked. Consider the last D1 that made the count go up from what A2 of `w` saw, which
//! was 0, or a later one whose unit is still there; call it `d`. First, `d` comes to D3 after `w` was linked, or before and
//! then `w` would have seen its unit. *Of a `Sema`*: if `d` comes after A2's look in the order of the word, it reads the bit: A2 saw
//! it or set it, and it is cleared only with the lock held and nobody linked (A-I1), which is after `w` was taken out. If `d`
//! comes before A2's look in that order, A2 read a value that is older than `d`, or newer. Newer: then somebody has taken
//! that unit, and it is not there. Older: then `d` also read the bit, since A2 found it set and set it stays; and its D3 comes after
//! `w`'s hold of the lock, for otherwise A2 would have seen `d`. *Of a `RawSema`*: A1 is `SeqCst` and comes before A2's
//! `SeqCst` look; D1 is `SeqCst` and comes before D2's. If A2 did not see `d`, then A2's look is before D1 in the order of all
//! `SeqCst` accesses, so A1 is before D2, which sees `waiting` above 0 or that the bucket was split, and goes on in the new one (B-I3).
//! Then: in D3, `d` found `w` linked, or others before it. Either it told as many as it added: each looks, takes a unit (or
//! somebody else has) and if `n` are still there, nobody has looked yet, against quiescence; or nobody was left, `w` included;
//! or the word counted 0 in D3, so that the unit of `d` was taken. A waiter that is told NOTIFIED and goes away without looking
//! goes through X, which looks in its place. So the unit is not there: a contradiction. ∎
//!
//! # Ordering
//! A release is a Release, an acquisition an Acquire; RMWs continue one another's release sequences, so whoever takes a permit
//! sees what every release before it in the order of the word did. A hand-off passes through the bucket's lock, or through
//! the node (P1). `SeqCst` is where the head of [`table`](super::table) and the proof above name it.
//!
//! # Cost
//! | operation | RMWs on the word | the bucket's lock |
//! |---|---|---|
//! | acquire, a permit is there | 1 | no |
//! | release, nobody waits | 1; of a `RawSema` also a load of a line of the table | no |
//! | acquire that sleeps, of a `Sema` | 1, or 0 if the bit is set; and 1 when woken | once |
//! | acquire that sleeps, of a `RawSema` | 0; and 1 when woken | once |
//! | release that wakes | 1; 1 more of a `Sema` if nobody is left | once for 32 |
//! | hand-off | 0; 1 more of a `Sema` if nobody is left | once |

use super::table::{Locked, SemaTable};
use super::waiter::{Protocol, Waiter};
use super::word::sealed::Word;
use crate::sys::atomic::explored::AtomicU32;
use crate::sys::mutant::{self, Mutant};
use crate::wait::batch::{Panics, WakeBatch};
use crate::wait::node::{self, Node, State};
use core::marker::PhantomData;
use core::ptr::NonNull;

/// What a served waiter gets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Give {
    /// A wake-up.
    Wake,
    /// The permit.
    Permit,
}

/// A word and the table in which its waiters are.
pub(super) struct Address<'a, W> {
    word: NonNull<AtomicU32>,
    pub(super) table: &'a SemaTable,
    protocol: PhantomData<&'a W>,
}

impl<W> Clone for Address<'_, W> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<W> Copy for Address<'_, W> {}

// SAFETY: what is done through it is done by atomics, and by the table under its locks.
unsafe impl<W: Word> Send for Address<'_, W> {}
// SAFETY: as above.
unsafe impl<W: Word> Sync for Address<'_, W> {}

impl<'a, W: Word> Address<'a, W> {
    #[inline(always)]
    pub(super) fn of(word: &'a W, table: &'a SemaTable) -> Self {
        Self { word: word.word(), table, protocol: PhantomData }
    }

    /// # Safety
    /// The word is alive for each operation, as A-I4 says for how long.
    #[inline(always)]
    pub(super) unsafe fn at(word: NonNull<AtomicU32>, table: &'a SemaTable) -> Self {
        Self { word, table, protocol: PhantomData }
    }

    #[cfg(feature = "std")]
    pub(super) fn word(self) -> NonNull<AtomicU32> {
        self.word
    }

    #[inline(always)]
    pub(super) fn key(self) -> usize {
        self.word.as_ptr().addr() | W::PROTOCOL.tag()
    }

    /// T, which needs no table.
    #[inline(always)]
    pub(super) fn take_from(word: &W) -> bool {
        // SAFETY: borrowed.
        unsafe { W::try_take(word.word()) }
    }

    /// T.
    #[inline(always)]
    pub(super) fn try_take(self) -> bool {
        // SAFETY: the caller's operation: A-I4.
        unsafe { W::try_take(self.word) }
    }

    /// What the word counts.
    #[inline]
    pub(super) fn count(self) -> u32 {
        use crate::sys::atomic::Acquire;
        // ORDERING: Acquire pairs with the Release of the additions, for whoever draws a conclusion.
        // SAFETY: the caller's operation, or a waiter was found under the lock: A-I4.
        W::count_of(unsafe { self.word.as_ref() }.load(Acquire))
    }

    /// A, but for its first T. Whether the waiter is linked; if not, it has its permit. With `may_take` false a permit that is
    /// there is left, and it is neither: `None`.
    ///
    /// # Safety
    /// The waiter's node is idle, with its waker put, and the caller's; it stays in place and alive until it has been taken out.
    pub(super) unsafe fn join(self, waiter: NonNull<Waiter>, may_take: bool) -> Option<bool> {
        let early = mutant::is(Mutant::LookBeforeAnnounce).then(|| self.try_take());
        let locked = self.table.lock(self.key());
        locked.announce(W::PROTOCOL); // A1
        if !may_take && self.count() > 0 {
            locked.renounce();
            return None;
        }
        // SAFETY: the lock is held and the waiter announced. A2.
        if early.unwrap_or_else(|| unsafe { W::take_or_mark(self.word) }) {
            locked.renounce();
            return Some(false);
        }
        // SAFETY: not linked yet, hence the caller's.
        unsafe { waiter.as_ref() }.node.set_state(node::QUEUED);
        // SAFETY: by the caller's promise. A3.
        let crowded = unsafe { locked.link(self.key(), waiter) };
        drop(locked);
        if crowded {
            self.table.grow();
        }
        Some(true)
    }

    /// D.
    #[inline(always)]
    #[track_caller]
    pub(super) fn release(self, n: u32) -> u32 {
        // SAFETY: the caller's operation. D1.
        let before = unsafe { W::deposit(self.word, n) };
        if W::was_marked(before, self.table, self.key()) {
            self.serve(n, Give::Wake);
        }
        if mutant::is(Mutant::WordTouchedLate) {
            return self.count();
        }
        W::count_of(before) + n
    }

    /// H. Whether a thread that slept was handed the permit.
    #[track_caller]
    pub(super) fn hand_off(self) -> bool {
        if mutant::is(Mutant::HandoffThroughCount) {
            self.release(1);
            return false;
        }
        // SAFETY: the caller's operation, until it has released.
        if unsafe { W::is_marked(self.word, self.table) } {
            let locked = self.table.lock(self.key());
            if let Some(front) = locked.front(self.key()) {
                let mut batch = WakeBatch::new();
                // SAFETY: the lock is held, and `front` is the front there.
                unsafe { self.tell(&locked, front, node::GRANTED, &mut batch) };
                drop(locked);
                return wake(&mut batch);
            }
        } // unlocked: D1 may panic, and a panic runs the user's hook
        // SAFETY: as above. D1.
        let before = unsafe { W::deposit(self.word, 1) };
        W::was_marked(before, self.table, self.key()) && self.serve(1, Give::Permit)
    }

    /// D3 to D5 for `n` of those who wait. Whether a thread that slept was given the permit.
    #[cold]
    #[inline(never)]
    pub(super) fn serve(self, n: u32, give: Give) -> bool {
        let mut panics = Panics::new();
        let mut batch = WakeBatch::new();
        let mut rest = Rest { address: self, left: n };
        let mut a_thread = false;
        loop {
            let more = self.serve_some(&mut rest.left, give, &mut batch, &mut a_thread);
            batch.wake_all(&mut panics);
            if !more || mutant::is(Mutant::BatchUnfinished) {
                break;
            }
        }
        rest.left = 0;
        panics.resume();
        a_thread
    }

    /// One hold of the lock. Whether the batch was full before `left` was served. `a_thread` is set if one was given its permit.
    fn serve_some(self, left: &mut u32, give: Give, batch: &mut WakeBatch, a_thread: &mut bool) -> bool {
        let locked = self.table.lock(self.key());
        while *left > 0 {
            if batch.is_full() {
                return true;
            }
            let Some(front) = locked.front(self.key()) else { break };
            if W::PROTOCOL == Protocol::Raw {
                // The word may be gone: it is not looked at (A-I4).
                // SAFETY: the lock is held, and `front` is the front there.
                unsafe { self.tell(&locked, front, node::NOTIFIED, batch) };
            } else if give == Give::Permit && self.try_take() {
                // SAFETY: the lock is held, and `front` is the front there.
                unsafe { self.tell(&locked, front, node::GRANTED, batch) };
                *a_thread |= batch.has_thread();
            } else if self.count() > 0 {
                // SAFETY: as above.
                unsafe { self.tell(&locked, front, node::NOTIFIED, batch) };
            } else {
                break; // taken: whoever has it will release it, or has used it up
            }
            *left -= 1;
        }
        *left = 0;
        false
    }

    /// D4 and D5.
    ///
    /// # Safety
    /// The lock is held; `front` is the front at the address, and is not touched afterwards.
    unsafe fn tell(self, locked: &Locked<'_>, front: NonNull<Waiter>, outcome: State, batch: &mut WakeBatch) {
        // SAFETY: linked, hence alive and with its waker. The word is alive: A-I4.
        unsafe {
            Waiter::group(front, |group| batch.charge.decide(&group.list, Waiter::node_of(front), outcome));
            self.unlink(locked, front, front);
            if mutant::is(Mutant::WakerTakenLate) {
                Node::publish(Waiter::node_of(front), outcome);
                return batch.push(front.as_ref().node.take_waker());
            }
            batch.push(front.as_ref().node.take_waker());
            Node::publish(Waiter::node_of(front), outcome); // D5
            if mutant::is(Mutant::BitClearedLate) && locked.front(self.key()).is_none() {
                W::unmark(self.word);
            }
        }
    }

    /// Takes a waiter out.
    ///
    /// # Safety
    /// The lock is held, `front` is the front at the address, and `waiter` is linked there.
    pub(super) unsafe fn unlink(self, locked: &Locked<'_>, front: NonNull<Waiter>, waiter: NonNull<Waiter>) {
        // SAFETY: passed on; the word is alive, since `waiter` has not been told anything.
        unsafe {
            let last = locked.unlink(front, waiter) && !mutant::is(Mutant::BitClearedLate);
            if last || mutant::is(Mutant::BitClearedEarly) {
                W::unmark(self.word);
            }
        }
    }
}

/// Wakes what a hand-off has taken out. Whether that was a thread.
fn wake(batch: &mut WakeBatch) -> bool {
    let a_thread = batch.has_thread();
    let mut panics = Panics::new();
    batch.wake_all(&mut panics);
    panics.resume();
    a_thread
}

/// What is left to be served if a waker's panic unwinds, without `std`.
struct Rest<'a, W: Word> {
    address: Address<'a, W>,
    left: u32,
}

impl<W: Word> Drop for Rest<'_, W> {
    fn drop(&mut self) {
        if self.left > 0 {
            self.address.serve(core::mem::take(&mut self.left), Give::Wake);
        }
    }
}
