//! Go's notify list: what a condition variable is made of.
//!
//! A waiter takes a *ticket*, gives up whatever lock it holds, and waits for the ticket to be notified. Notifications go to
//! tickets, in order, whether their waiters have come yet or not: so nothing is missed between the unlock and the wait.
//!
//! | room | what it holds |
//! |---|---|
//! | this one | [`NotifyList`]: the counters, the lock, the protocol, the proof |
//! | `line` | what the lock protects: who waits, in order, and which tickets nobody will come for |
//! | [`ticket`](self::Ticket) | a ticket in hand |
//! | [`notified`](self::Notified) | waiting for a ticket, for tasks and threads |
//!
//! # States
//! ```text
//!             add                        wait                        notify_one, notify_all
//!   (nobody) ─────▶ RACER, t in [base, wait) ─────▶ IN LINE, t in queue ─────────────────▶ notified
//!                     │  └────────────── notify_one, notify_all: notified, returns at once ──▲
//!                     │ dropped              │ dropped, timed out, interrupted
//!                     └──────▶ VOID ◀────────┘
//! ```
//! `wait` is the next ticket, and is incremented without the lock. `notify` is the next ticket to be notified, and is written
//! under the lock. Both wrap around; `less` compares what is less than 2^31 apart (G46).
//!
//! While nobody leaves without having been notified, this is Go's list to the letter: `base == notify`, `voids == 0`.
//! Go has neither deadlines nor cancellation. They leave void tickets behind, and a notification must not be swallowed by
//! one while somebody waits.
//!
//! # Invariants, while the lock is free
//! Let `end` be `wait` as the holder read it last.
//!
//! **N1.** The queue is in the order of the tickets. Its first `settled` nodes have tickets before `base`, the others in
//! `[base, end)`. Whoever has a ticket and is not in line has one not before `base`, or has been notified.
//! **N2.** Of the tickets in `[base, end)` that are not in line, at least `known` and at most `voids` are void; the others are
//! racers. Where `known` is all of them, S has been done: so if it is not 0, there is a racer.
//! **N3.** `notify == base - settled`, and never goes back. `end - notify` bounds those who wait from above, and is 0 only if
//! nobody does.
//!
//! # Protocol
//! **A (add, G44).** `wait.fetch_add(1)`.
//! **J (wait, G45).** J1 if `less(t, notify)`, return. J2 lock; the same again; otherwise link, at the place of the ticket.
//! **O (notify one, G48).** O1 if `wait == notify`, return. O2 lock. O3 if a node is settled, it is first: notify it. O4 otherwise
//! let `gap` be the number of tickets from `base` to the first in line (or to `end`). If `gap > voids`, move `base` past
//! `voids + 1` of them: by N2 at least one is a racer's, who will return at once. (Go's case is `voids == 0`: exactly one
//! ticket is consumed.) O5 otherwise they may all be void: move past them and past the first in line, which is notified.
//! O6 unlock; wake.
//! **B (notify all, G47).** B1 as O1. B2 lock; move the whole queue behind those that are being told; `base = notify = end`,
//! `told = end`. B3 tell [`CAPACITY`](crate::wait::batch::CAPACITY) of them, unlock, wake, and again while there are more.
//! **L (leave).** L1 lock. L2 who is in line leaves it: settled, it moves `notify` by one and is forgotten; not settled, its
//! ticket is void. L3 who was notified by `notify_one` passes the notification on, by O3 to O6 in the same hold. Who was
//! notified by `notify_all` (its ticket is before `told`) does not: everybody was.
//! **S (settle).** When all that are not in line are known to be void, all that are in line are settled, and the voids are
//! forgotten: `base = end`, `settled = queued`, `voids = known = 0`.
//!
//! S is why a million time-outs behind a waiter that stays cost nothing: the voids do not add up, neither for O4, which is
//! O(1), nor towards the limit of [`MAX_TICKETS`](NotifyList::MAX_TICKETS). After an O4 with `voids > 0` it is not known how
//! many of them are left (`known = 0`), until notifications have moved past them. Should more than 65,536 voids gather
//! meanwhile, and *may* all that are not in line be void, S is done all the same; a racer that was among them returns at once
//! when it comes, a spurious wake-up. Only a ticket that somebody keeps without waiting for it holds S up for good.
//!
//! # No notification is lost
//! *Claim: if a waiter's `add` happens before a `notify_one`, then that call, or one that happens at the same time, notifies
//! a ticket whose waiter is there to return, unless all who waited before it have been notified or have left.*
//!
//! O3 and O5 notify a node in line: whoever owns it returns, or passes on (L3). O4 moves past `voids + 1` tickets of which, by
//! N2, a racer's is one: it returns by J1 or J2, or passes on. So N2's upper bound is all that is needed, and each step keeps
//! it: A adds a racer; J takes one away from those not in line, who was no void; O4 and O5 shorten the interval, and `voids`,
//! which may then be too large, stays a bound and is cut to what is possible; L adds a void and counts it; S sets `voids` to
//! 0 where the interval is empty. What O4 notifies too much (tickets of racers beyond the first) are spurious wake-ups of
//! racers who arrive while others leave; a condition variable may have those, and lost ones it may not. ∎
//!
//! # Memory ordering: the fast path
//! O1 reads two locations, without the lock. It reads `notify` (Acquire) *and then* `wait`. Let both be `n`, let H be the
//! hold that stored this `notify` (Release), and `end` what H read from `wait`. By N3 `n` is not after `end`; the read of
//! `wait` comes after H's in happens-before, so by coherence it is not before `end`. Hence `n == end`: at H nobody waited
//! whose ticket is before `n` (N3), and any `add` that happens before this call has taken such a ticket (coherence of
//! `wait`). In the other order a `notify` that S has moved might be compared with a `wait` from long before, and equal it.
//!
//! A condition variable's `add` happens before every notification that matters: the waiter adds, *then* unlocks the mutex;
//! who changes the condition locks that mutex afterwards, *then* notifies. If it locked before the waiter did, the waiter saw
//! the change and did not wait. So no fence is needed, and `add` is Relaxed; this is Go's argument, with the mutex in the
//! place of sequential consistency. Who decides without a lock in common (an *event count*: add, look, wait, against
//! change, notify) has a store on either side that must not pass the load after it, and puts `fence(SeqCst)` between them:
//! see [`NotifyList`].
//!
//! Everything else is under the lock. A racer that J1 lets through reads a `notify` that its notifier stored with Release;
//! one in line, an outcome (P1 in `wait::node`).
//!
//! # Panicking wakers
//! As everywhere (see `wait::batch`): in B3 every ticket before `told` is notified all the same, and the first panic is
//! resumed at the end; without `std`, by a destructor while the panic unwinds.
//!
//! # Cost
//! 80 bytes (64-bit). Nobody waits: two loads to notify. Add: two loads, one RMW. Wait: two RMWs (the lock), none to complete.
//! Notify one: two RMWs, and looks at no other node. Linking looks at one node, and where adders raced at as many more as
//! overtook this one, or as it overtook (G50): two scans go from both ends at once.

mod line;
mod notified;
#[cfg(test)]
mod tests;
mod ticket;

pub use notified::Notified;
pub use ticket::Ticket;

use crate::sys::atomic::{Acquire, AtomicU32, Relaxed, Release};
use crate::sys::cell::UnsafeCell;
use crate::sys::const_fn;
use crate::sys::mutant::{self, Mutant};
use crate::wait::batch::{Panics, WakeBatch};
use crate::wait::lock::Lock;
use crate::wait::node::{self, State};
use core::fmt;
use core::task::{Poll, Waker};
use line::{Entry, Line};

/// The list of those who wait to be notified, in the order in which they took their tickets: Go's `notifyList`, for tasks
/// and threads, with deadlines, interrupts and cancellation.
///
/// It is the inside of a condition variable, and for the authors of such things; [`Condvar`](crate::sync::Condvar) is one.
/// A waiter takes a ticket with [`add`](Self::add) *before* it unlocks what protects its condition, and waits for the ticket
/// after: a notification in between goes to the ticket, and the wait returns at once.
///
/// # Fairness
/// [`notify_one`](Self::notify_one) notifies tickets in the order in which they were taken.
///
/// # Spurious wake-ups
/// None while every ticket is waited for. When waiters leave (time out, are interrupted or dropped), others whose tickets
/// were taken meanwhile may be notified once too often: look at the condition again after each wait.
///
/// # Memory ordering
/// What happened before a notification is visible to who is notified by it. A notification reaches every ticket whose `add`
/// *happens before* it, which a mutex around condition and `add` provides. Without one, a `fence(SeqCst)` between `add` and
/// the last look at the condition, and another between the change of the condition and the notification, do:
/// ```
/// use gatepost::address::NotifyList;
/// use std::sync::atomic::{AtomicBool, Ordering::{Relaxed, SeqCst}, fence};
///
/// static LIST: NotifyList = NotifyList::new();
/// static READY: AtomicBool = AtomicBool::new(false);
///
/// let waiting = std::thread::spawn(|| {
///     while !READY.load(Relaxed) {
///         let ticket = LIST.add();
///         fence(SeqCst);
///         if !READY.load(Relaxed) {
///             ticket.notified().wait();
///         }
///     }
/// });
/// READY.store(true, Relaxed);
/// fence(SeqCst);
/// LIST.notify_all();
/// waiting.join().unwrap();
/// ```
///
/// # Wakers
/// No lock is held while a waker is woken, cloned or dropped: it may call back. One that panics keeps nobody else from being
/// notified; the panic goes on to whoever notified.
///
/// # Cost
/// 80 bytes (64-bit). Nothing is allocated. A notification while nobody waits is two loads.
///
/// # Examples
/// ```
/// use gatepost::address::NotifyList;
/// use std::sync::Mutex;
///
/// let (jobs, list) = (Mutex::new(Vec::new()), NotifyList::new());
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         let mut guard = jobs.lock().unwrap();
///         while guard.is_empty() {
///             let ticket = list.add(); // before the unlock
///             drop(guard);
///             ticket.notified().wait();
///             guard = jobs.lock().unwrap();
///         }
///         assert_eq!(guard.pop(), Some("job"));
///     });
///     jobs.lock().unwrap().push("job");
///     list.notify_one();
/// });
/// ```
pub struct NotifyList {
    /// The next ticket. Incremented without the lock.
    wait: AtomicU32,
    /// The next ticket to be notified. Written under the lock.
    notify: AtomicU32,
    /// N2's upper bound, for [`num_waiters`](Self::num_waiters). Written under the lock.
    voids: AtomicU32,
    lock: Lock,
    line: UnsafeCell<Line>,
}

// SAFETY: `line` is touched under the lock only; it points at entries, which are `Sync`.
unsafe impl Send for NotifyList {}
// SAFETY: as above.
unsafe impl Sync for NotifyList {}

/// G46: whether `a` comes before `b`, where both wrap around and are less than 2^31 apart.
pub(crate) const fn less(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) > u32::MAX / 2
}

impl NotifyList {
    /// The most tickets that may be taken and not notified at a time: 2^31 − 1.
    pub const MAX_TICKETS: u32 = u32::MAX / 2;

    const_fn! {
        /// A list on which nobody waits.
        ///
        /// # Examples
        /// ```
        /// use gatepost::address::NotifyList;
        ///
        /// static LIST: NotifyList = NotifyList::new();
        /// LIST.notify_all(); // nobody waits
        /// ```
        pub const fn new() -> Self {
            Self::starting_at(0)
        }
    }

    const_fn! {
        /// One whose first ticket is `ticket`: for tests of the wrap-around.
        #[doc(hidden)]
        pub const fn starting_at(ticket: u32) -> Self {
            Self {
                wait: AtomicU32::new(ticket),
                notify: AtomicU32::new(ticket),
                voids: AtomicU32::new(0),
                lock: Lock::new(),
                line: UnsafeCell::new(Line::new(ticket)),
            }
        }
    }

    /// `notify` and `wait`, in this order: see *Memory ordering* in the module head.
    #[inline]
    fn look(&self) -> (u32, u32) {
        if mutant::is(Mutant::NotifySeenLast) {
            let wait = self.wait.load(Relaxed);
            // ORDERING: as below.
            return (self.notify.load(Acquire), wait);
        }
        // ORDERING: Acquire pairs with the Release of `show`: the `wait` that is read next is not before the one that the
        // storing hold had read.
        let notify = self.notify.load(Acquire);
        (notify, self.wait.load(Relaxed))
    }

    /// A (G44): takes a ticket, which the next notifications will count, whether it is waited for by then or not. May be
    /// called by many at the same time, and takes no lock.
    ///
    /// # Panics
    /// If [`MAX_TICKETS`](Self::MAX_TICKETS) are taken and not notified; nothing has changed then.
    ///
    /// # Cost
    /// Two loads and one RMW.
    ///
    /// # Examples
    /// ```
    /// use gatepost::address::NotifyList;
    ///
    /// let list = NotifyList::new();
    /// let ticket = list.add();
    /// list.notify_one();
    /// ticket.notified().wait(); // was notified already
    /// ```
    #[inline]
    #[track_caller]
    pub fn add(&self) -> Ticket<'_> {
        let (notify, wait) = self.look();
        // Far from the limit one RMW cannot pass it: that would take 2^30 threads between their look and this.
        if wait.wrapping_sub(notify) < Self::MAX_TICKETS / 2 {
            // Relaxed: see the module head.
            return Ticket::new(self, self.wait.fetch_add(1, Relaxed));
        }
        self.add_slow()
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    fn add_slow(&self) -> Ticket<'_> {
        loop {
            let (notify, wait) = self.look();
            let taken = wait.wrapping_sub(notify);
            assert!(
                taken < Self::MAX_TICKETS,
                "a notify list has {taken} tickets that were not notified, and takes no more: let the waiters wait, or drop \
                 the tickets that nobody waits for"
            );
            if self.wait.compare_exchange(wait, wait.wrapping_add(1), Relaxed, Relaxed).is_ok() {
                return Ticket::new(self, wait);
            }
        }
    }

    /// O (G48): notifies the first ticket that was not notified yet, if there is one: its waiter returns, at once if it does
    /// not wait yet.
    ///
    /// A waiter that is notified and then leaves (its future is dropped before it was polled again) passes the notification
    /// on to the next.
    ///
    /// # Cost
    /// Two loads if no ticket was taken since the last notification. Otherwise two RMWs, however many wait, and the wake-up.
    ///
    /// # Examples
    /// ```
    /// use gatepost::address::NotifyList;
    ///
    /// let list = NotifyList::new();
    /// let (first, second) = (list.add(), list.add());
    /// list.notify_one();
    /// assert!(first.is_notified() && !second.is_notified());
    /// ```
    #[inline]
    pub fn notify_one(&self) {
        let (notify, wait) = self.look();
        if wait != notify {
            self.notify_one_slow();
        }
    }

    #[inline(never)]
    fn notify_one_slow(&self) {
        let waker = self.with_line(|line| self.serve(line));
        if let Some(waker) = waker {
            waker.wake(); // O6: nothing is left to do
        }
    }

    /// O3 to O5, and the waker for O6.
    fn serve(&self, line: &mut Line) -> Option<Waker> {
        // SAFETY: the lock is held: only `with_line` gives a line out.
        let entry = unsafe { line.next(self.wait.load(Relaxed)) };
        self.show(line); // before the waiter can see its outcome, and ask how many wait
        // SAFETY: the lock is held, and the entry has just been unlinked.
        entry.map(|entry| unsafe { Entry::notify(entry) })
    }

    /// B (G47): notifies every ticket that was taken and not notified yet.
    ///
    /// # Cost
    /// Two loads if no ticket was taken since the last notification. Otherwise two RMWs for each 32 that wait, and the
    /// wake-ups; the lock is held for 32 at a time.
    ///
    /// # Examples
    /// ```
    /// use gatepost::address::NotifyList;
    ///
    /// let list = NotifyList::new();
    /// let before = [list.add(), list.add()];
    /// list.notify_all();
    /// let after = list.add();
    /// assert!(before.iter().all(|ticket| ticket.is_notified()) && !after.is_notified());
    /// ```
    #[inline]
    pub fn notify_all(&self) {
        let (notify, wait) = self.look();
        if wait != notify {
            self.notify_all_slow();
        }
    }

    #[inline(never)]
    fn notify_all_slow(&self) {
        let mut batch = WakeBatch::new();
        let mut telling = self.with_line(|line| {
            // SAFETY: the lock is held.
            let mark = unsafe { line.detach(self.wait.load(Relaxed)) }; // B2
            self.show(line);
            // SAFETY: as above; B3 for the first of them.
            let more = unsafe { line.tell(mark, &mut batch) };
            Telling { list: self, mark, more }
        });
        let mut panics = Panics::new();
        batch.wake_all(&mut panics);
        telling.tell(&mut batch, &mut panics);
        panics.resume();
    }

    /// The lock is held while `f` runs, which must not run the user's code (W3).
    #[inline]
    fn with_line<R>(&self, f: impl FnOnce(&mut Line) -> R) -> R {
        let held = self.lock.lock();
        // SAFETY: the lock's holder is alone with the line.
        let result = self.line.with_mut(|line| f(unsafe { &mut *line }));
        drop(held);
        result
    }

    /// Shows what has become of the line to those who look without the lock (N3).
    #[inline]
    fn show(&self, line: &Line) {
        // ORDERING: Release pairs with the Acquire in `look` and `is_notified`: `wait` is seen as it was seen here, and a
        // racer that is let through sees what led to its notification.
        self.notify.store(line.notify(), Release);
        self.voids.store(line.voids(), Relaxed);
    }

    /// J1: whether a ticket that is not in line has been notified. (By N1 and N3 it has not iff `notify` is not past it: the
    /// settled have lower numbers than any racer.)
    #[inline]
    fn is_notified(&self, ticket: u32) -> bool {
        // ORDERING: Acquire pairs with the Release of `show`: what came before the notification is seen.
        less(ticket, self.notify.load(Acquire))
    }

    /// J2. GRANTED: it was notified meanwhile, and has not joined.
    ///
    /// # Safety
    /// The entry is idle and the caller's, and stays in place until it has an outcome or has left.
    unsafe fn join(&self, entry: &Entry, waker: &Waker) -> Poll<State> {
        let mut waker = Some(waker.clone()); // W3: before the lock
        entry.node().begin_wait();
        self.with_line(|line| {
            let wait = self.wait.load(Relaxed);
            if line.is_past(entry.ticket(), wait) && !mutant::is(Mutant::ArrivalUnchecked) {
                return;
            }
            let waker = waker.take().expect("it was put there just now");
            // SAFETY: the entry is idle, hence the caller's, and the lock is held. It stays in place, as promised.
            if unsafe { line.join(entry, waker, wait) } {
                self.show(line);
            }
        });
        if waker.is_some() { Poll::Ready(node::GRANTED) } else { Poll::Pending }
    }

    /// A later poll of one that has joined.
    ///
    /// # Safety
    /// The caller owns the entry, which has joined.
    #[inline]
    unsafe fn ask(&self, entry: &Entry, waker: &Waker) -> Poll<State> {
        let state = entry.node().state();
        if state != node::QUEUED {
            return Poll::Ready(state);
        }
        // SAFETY: the owner; joining put a waker.
        if unsafe { entry.node().will_wake(waker) } {
            return Poll::Pending;
        }
        self.replace_waker(entry, waker)
    }

    #[cold]
    fn replace_waker(&self, entry: &Entry, waker: &Waker) -> Poll<State> {
        let mut waker = waker.clone(); // W3
        let state = self.with_line(|_| {
            let state = entry.node().state();
            if state == node::QUEUED {
                // SAFETY: the lock is held and the node is linked, so its waker is there and this thread's to move.
                unsafe {
                    let old = entry.node().take_waker();
                    entry.node().put_waker(core::mem::replace(&mut waker, old));
                }
            }
            state
        });
        drop(waker); // the old one, or the clone (W3)
        if state == node::QUEUED { Poll::Pending } else { Poll::Ready(state) }
    }

    /// L for one that has joined: leaves with `outcome`, unless it has been notified, and returns what holds.
    ///
    /// # Safety
    /// The caller owns the entry, which has joined.
    unsafe fn leave(&self, entry: &Entry, outcome: State, panics: &mut Panics) -> State {
        let (state, wakers) = self.with_line(|line| {
            let node = entry.node();
            let cancelled = outcome == node::CANCELLED;
            if node.state() == node::QUEUED {
                // SAFETY: the lock is held and QUEUED means linked, so the waker is there. L2.
                let (told, own) = unsafe { (line.leave(entry, self.wait.load(Relaxed)), node.take_waker()) };
                self.show(line);
                // A notification that is on its way wins over a deadline.
                node.set_state(if told && !cancelled { node::GRANTED } else { outcome });
                return (node.state(), [Some(own), None]);
            }
            // SAFETY: it has joined.
            let told = unsafe { line.was_told(entry) };
            let passes_on = cancelled && node.state() == node::GRANTED && !told;
            let next = if passes_on && !mutant::is(Mutant::NotificationLost) { self.serve(line) } else { None }; // L3
            (node.state(), [None, next])
        });
        let [own, next] = wakers;
        if let Some(next) = next {
            panics.catch(|| next.wake());
        }
        panics.catch(|| drop(own)); // W3
        state
    }

    /// L for a ticket that nobody will wait for, and that is not in line.
    fn give_up(&self, ticket: u32) {
        let next = self.with_line(|line| {
            let wait = self.wait.load(Relaxed);
            if !line.is_past(ticket, wait) {
                line.give_up(ticket, wait);
                self.show(line);
                return None;
            }
            let passes_on = !line.is_told(ticket) && !mutant::is(Mutant::NotificationLost);
            if passes_on { self.serve(line) } else { None } // L3
        });
        let mut panics = Panics::new();
        if let Some(next) = next {
            panics.catch(|| next.wake());
        }
        panics.resume();
    }

    /// How many have a ticket that was not notified, whether they wait for it already or not: for diagnostics.
    ///
    /// A snapshot. While nobody takes tickets, notifies or leaves, it is exact, but for tickets that somebody keeps without
    /// waiting while others leave: then it may be too low.
    ///
    /// # Examples
    /// ```
    /// use gatepost::address::NotifyList;
    ///
    /// let list = NotifyList::new();
    /// let ticket = list.add();
    /// assert_eq!(list.num_waiters(), 1);
    /// drop(ticket);
    /// assert_eq!(list.num_waiters(), 0);
    /// ```
    pub fn num_waiters(&self) -> usize {
        let (notify, wait) = self.look();
        wait.wrapping_sub(notify).saturating_sub(self.voids.load(Relaxed)) as usize
    }
}

/// B3, to be gone on with. A destructor, since without `std` the panic of a waker unwinds.
struct Telling<'a> {
    list: &'a NotifyList,
    mark: u64,
    more: bool,
}

impl Telling<'_> {
    fn tell(&mut self, batch: &mut WakeBatch, panics: &mut Panics) {
        while self.more {
            let mark = self.mark;
            // SAFETY: the lock is held.
            self.more = self.list.with_line(|line| unsafe { line.tell(mark, batch) });
            batch.wake_all(panics);
        }
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        if self.more {
            let mut panics = Panics::new();
            self.tell(&mut WakeBatch::new(), &mut panics);
            panics.resume();
        }
    }
}

impl Default for NotifyList {
    fn default() -> Self {
        Self::new()
    }
}

// The line is whole whenever the user's code runs: there is no state in between for a panic to show.
impl core::panic::UnwindSafe for NotifyList {}
impl core::panic::RefUnwindSafe for NotifyList {}

/// Never waits.
impl fmt::Debug for NotifyList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (notify, wait) = self.look();
        f.debug_struct("NotifyList")
            .field("waiters", &self.num_waiters())
            .field("next_ticket", &wait)
            .field("next_notified", &notify)
            .finish()
    }
}
