//! What the lock of a notify list protects: who is in line, and which tickets are void. See the head of [`super`].
//!
//! Tickets are 32 bits and wrap around. In here they are *numbers* of 64 bits, which do not: a ticket that is not in line is
//! less than 2^31 from `base`, which says which number it is; one in line keeps its number in its entry, since it may wait
//! while any number of others come and go.
//!
//! Nothing here runs the user's code (W3).

use crate::sys::cell::UnsafeCell;
use crate::sys::const_fn;
use crate::sys::mutant::{self, Mutant};
use crate::wait::batch::WakeBatch;
use crate::wait::node::{self, Node, Phase};
use crate::wait::queue::Queue;
use crate::wait::reason::WaitReason;
use crate::wait::timing::Charge;
use core::ptr::NonNull;
use core::task::Waker;

/// One waiter, in line or not yet. Its node's need is its ticket.
///
/// The node comes first: a pointer to the entry is one to its node, and the other way round, since a notify list's queues
/// hold nodes of entries only.
#[repr(C)]
pub(super) struct Entry {
    node: Node,
    /// Written by the owner, with the lock, before it is linked; read by the holder, and by the owner.
    number: UnsafeCell<u64>,
}

// SAFETY: `number` is constant while the entry is shared.
unsafe impl Send for Entry {}
// SAFETY: as above.
unsafe impl Sync for Entry {}

impl Entry {
    #[inline]
    pub(super) fn new(ticket: u32) -> Self {
        let node = Node::new(ticket as usize);
        node.set_reason(WaitReason::Condvar);
        Self { node, number: UnsafeCell::new(0) }
    }

    #[inline]
    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)] // it was made of 32 bits
    pub(super) fn ticket(&self) -> u32 {
        self.node.need() as u32
    }

    #[inline]
    fn as_node(&self) -> NonNull<Node> {
        NonNull::from(self).cast()
    }

    /// Moves the waker out and tells the waiter.
    ///
    /// # Safety
    /// The lock is held; the node is one of an entry that has just been unlinked. It must not be touched afterwards.
    #[inline]
    pub(super) unsafe fn notify(node: NonNull<Node>) -> Waker {
        // SAFETY: it has no outcome yet, so it is alive; its waker is there, and this holder's to move.
        unsafe {
            Charge::stamp(node.as_ref());
            let waker = node.as_ref().take_waker();
            Node::publish(node, node::GRANTED);
            waker
        }
    }
}

/// # Safety
/// The node is linked in a notify list's queue, whose lock is held; or the caller owns its entry, which has joined.
#[inline]
unsafe fn number_of(node: NonNull<Node>) -> u64 {
    #[cfg(all(test, not(any(loom, shuttle))))]
    looks::count();
    // SAFETY: the queues hold entries' nodes only (see `Entry`), and a linked one is alive. Nobody writes a number while
    // the entry is linked.
    unsafe { node.cast::<Entry>().as_ref() }.number.with(|number| unsafe { *number })
}

/// How many entries' numbers this thread has looked at (G50).
#[cfg(all(test, not(any(loom, shuttle))))]
pub(super) mod looks {
    use std::cell::Cell;

    std::thread_local! {
        static LOOKS: Cell<u64> = const { Cell::new(0) };
    }

    pub(super) fn count() {
        LOOKS.set(LOOKS.get() + 1);
    }

    pub(in super::super) fn so_far() -> u64 {
        LOOKS.get()
    }
}

/// See the module head.
pub(super) struct Line {
    /// Those in line, by number (N1).
    queue: Queue,
    /// Those that `notify_all` has notified and not yet told, by number: all before `told`.
    telling: Queue,
    /// Every number before it is settled, notified, or void for good.
    base: u64,
    /// What was `base` when `notify_all` was called last: every number before it has been notified.
    told: u64,
    /// The length of `queue`.
    queued: u32,
    /// How many of `queue` have numbers before `base`.
    settled: u32,
    /// N2's bounds: at least `known`, at most `voids`.
    voids: u32,
    known: u32,
}

/// S is done all the same with more voids than this, though a racer may be among them.
const FORGET: u32 = if cfg!(test) { 200 } else { 1 << 16 };

/// Numbers start here: none is negative.
const FIRST: u64 = 1 << 32;

impl Line {
    const_fn! {
        pub(super) const fn new(ticket: u32) -> Self {
            let base = FIRST + ticket as u64;
            Self {
                queue: Queue::new(),
                telling: Queue::new(),
                base,
                told: base,
                queued: 0,
                settled: 0,
                voids: 0,
                known: 0,
            }
        }
    }

    /// `base` as a ticket.
    #[allow(clippy::cast_possible_truncation)] // modulo 2^32
    fn base_ticket(&self) -> u32 {
        self.base as u32
    }

    /// N3.
    pub(super) fn notify(&self) -> u32 {
        self.base_ticket().wrapping_sub(self.settled)
    }

    pub(super) fn voids(&self) -> u32 {
        self.voids
    }

    /// The number of a ticket that is not in line.
    #[allow(clippy::cast_possible_wrap)] // less than 2^31 apart, either way
    fn number(&self, ticket: u32) -> u64 {
        self.base.wrapping_add_signed(i64::from(ticket.wrapping_sub(self.base_ticket()) as i32))
    }

    /// The number of the next ticket.
    fn end(&self, wait: u32) -> u64 {
        self.base + u64::from(wait.wrapping_sub(self.base_ticket()))
    }

    /// Whether a ticket that is not in line has been notified. (One that was kept while 2^31 others were notified looks as
    /// if it had still to be taken: it was notified long ago.)
    pub(super) fn is_past(&self, ticket: u32, wait: u32) -> bool {
        let number = self.number(ticket);
        number < self.base || number >= self.end(wait)
    }

    /// Whether `notify_all` has notified a ticket that is not in line.
    pub(super) fn is_told(&self, ticket: u32) -> bool {
        self.number(ticket) < self.told
    }

    /// The same for one that has joined.
    ///
    /// # Safety
    /// The lock is held, and the entry has joined.
    pub(super) unsafe fn was_told(&self, entry: &Entry) -> bool {
        // SAFETY: passed on.
        unsafe { number_of(entry.as_node()) < self.told }
    }

    /// J2. Returns whether there is something to show: the last racer has come, and S.
    ///
    /// # Safety
    /// The lock is held; the entry is idle and stays in place until it is unlinked.
    pub(super) unsafe fn join(&mut self, entry: &Entry, waker: Waker, wait: u32) -> bool {
        let number = self.number(entry.ticket());
        // SAFETY: the entry is idle, hence the caller's.
        unsafe {
            entry.number.with_mut(|slot| *slot = number);
            entry.node.put_waker(waker);
        }
        entry.node.set_state(node::QUEUED);
        entry.node.set_phase(Phase::Waiting);
        // SAFETY: passed on.
        unsafe { self.link(entry.as_node(), number) };
        self.queued += 1;
        let knows_voids = self.voids > 0;
        if knows_voids {
            self.bound_voids(wait);
        }
        knows_voids
    }

    /// Links a node at its place.
    ///
    /// # Safety
    /// As for [`join`](Self::join).
    unsafe fn link(&self, node: NonNull<Node>, number: u64) {
        // SAFETY: the lock is held, and the node stays in place until it is unlinked.
        unsafe {
            self.queue.push_back(node);
            match Node::prev(node) {
                Some(last) if number_of(last) > number => {
                    self.queue.remove(node);
                    self.link_between(node, number, last);
                }
                _ => {} // the ordinary case: nobody who came earlier had taken a later ticket
            }
        }
    }

    /// The same for one that does not come last. `last` does. From both ends: no more looks than others overtook it, or
    /// than it overtook.
    ///
    /// # Safety
    /// As for [`join`](Self::join).
    #[cold]
    unsafe fn link_between(&self, node: NonNull<Node>, number: u64, last: NonNull<Node>) {
        // SAFETY: the lock is held, so linked nodes are alive and their links this thread's to read and write.
        unsafe {
            let mut before = Node::prev(last);
            let mut after = self.queue.front();
            while let Some(next) = after {
                if number_of(next) > number {
                    // Ends at the latest at `last`.
                    return self.link_here(node, Node::prev(next), next);
                }
                after = Node::next(next);
                if let Some(prev) = before {
                    if number_of(prev) < number {
                        let next = Node::next(prev).expect("`last` comes after it");
                        return self.link_here(node, Some(prev), next);
                    }
                    before = Node::prev(prev);
                }
            }
        }
    }

    /// Links a node between two neighbours.
    ///
    /// # Safety
    /// As for [`join`](Self::join); `next` is linked and `prev` is what comes before it.
    unsafe fn link_here(&self, node: NonNull<Node>, prev: Option<NonNull<Node>>, next: NonNull<Node>) {
        // SAFETY: the lock is held, so the links are this thread's to write.
        unsafe {
            match prev {
                None => self.queue.push_front(node),
                Some(prev) => {
                    Node::init_links(node, Some(prev), Some(next));
                    Node::set_next(prev, Some(node));
                    Node::set_prev(next, Some(node));
                }
            }
        }
    }

    /// O3 to O5: consumes a ticket, and returns its node if it is in line, unlinked.
    ///
    /// # Safety
    /// The lock is held.
    pub(super) unsafe fn next(&mut self, wait: u32) -> Option<NonNull<Node>> {
        // SAFETY: the lock is held.
        let front = unsafe { self.queue.front() };
        if self.settled > 0 {
            self.settled -= 1; // O3
            // SAFETY: as above.
            return front.inspect(|&front| unsafe { self.unlink(front) });
        }
        // SAFETY: the lock is held, and the front is linked.
        let first = front.map_or_else(|| self.end(wait), |front| unsafe { number_of(front) });
        let served = if first - self.base > u64::from(self.voids) {
            self.base += u64::from(self.voids) + 1; // O4
            self.known = 0;
            None
        } else {
            let passed = u32::try_from(first - self.base).unwrap_or(u32::MAX); // O5
            self.known = self.known.saturating_sub(passed);
            self.base = first;
            // SAFETY: as above.
            front.inspect(|&front| unsafe {
                self.base += 1;
                self.unlink(front);
            })
        };
        self.bound_voids(wait);
        served
    }

    /// # Safety
    /// The lock is held, and the node is in `queue`.
    unsafe fn unlink(&mut self, node: NonNull<Node>) {
        // SAFETY: passed on.
        unsafe { self.queue.remove(node) };
        self.queued -= 1;
    }

    /// Keeps N2 when the interval, or what is in line, has changed; and S.
    fn bound_voids(&mut self, wait: u32) {
        let end = self.end(wait);
        // Saturating, for tickets that were kept for too long (see `is_past`): two may then have one number.
        let elsewhere = (end - self.base).saturating_sub(u64::from(self.queued - self.settled));
        let elsewhere = u32::try_from(elsewhere).unwrap_or(u32::MAX);
        self.voids = self.voids.min(elsewhere);
        if self.voids > 0 && self.voids == elsewhere && (self.known >= elsewhere || elsewhere > FORGET) {
            // S
            self.base = end;
            self.settled = self.queued;
            (self.voids, self.known) = (0, 0);
        }
    }

    /// B2. Returns the mark up to which to tell.
    ///
    /// # Safety
    /// The lock is held.
    pub(super) unsafe fn detach(&mut self, wait: u32) -> u64 {
        // SAFETY: both queues are under this lock.
        unsafe { self.telling.append(&self.queue) };
        self.base = self.end(wait);
        self.told = self.base;
        (self.queued, self.settled, self.voids, self.known) = (0, 0, 0, 0);
        self.told
    }

    /// B3 for as many as the batch, which is empty, holds. Returns whether there are more before `mark`.
    ///
    /// # Safety
    /// The lock is held.
    pub(super) unsafe fn tell(&mut self, mark: u64, batch: &mut WakeBatch) -> bool {
        // SAFETY: the lock is held; who is in `telling` is linked there and has its waker.
        unsafe {
            while let Some(front) = self.telling.front() {
                if number_of(front) >= mark {
                    return false; // another call's, which tells them
                }
                if batch.is_full() {
                    return true;
                }
                self.telling.remove(front);
                batch.push(Entry::notify(front));
            }
        }
        false
    }

    /// L2 for one in line, or one that has still to be told: returns whether it is the latter.
    ///
    /// # Safety
    /// The lock is held, and the entry is linked.
    pub(super) unsafe fn leave(&mut self, entry: &Entry, wait: u32) -> bool {
        let node = entry.as_node();
        Charge::stamp(entry.node());
        // SAFETY: it is linked.
        let number = unsafe { number_of(node) };
        if number < self.told {
            // SAFETY: the lock is held, and `detach` has moved it there.
            unsafe { self.telling.remove(node) };
            return true;
        }
        // SAFETY: not before `told`, so it has not been moved since it was linked.
        unsafe { self.unlink(node) };
        if number < self.base {
            self.settled -= 1;
        } else {
            self.void(number, wait);
        }
        false
    }

    /// L for a ticket that is not in line and was not notified.
    pub(super) fn give_up(&mut self, ticket: u32, wait: u32) {
        self.void(self.number(ticket), wait);
    }

    fn void(&mut self, number: u64, wait: u32) {
        if mutant::is(Mutant::VoidForgotten) {
            return;
        }
        if number == self.base {
            self.base += 1;
        } else {
            self.voids += 1;
            self.known += 1;
        }
        self.bound_voids(wait);
    }
}

/// Looks inside, for tests.
#[cfg(all(test, not(any(loom, shuttle))))]
impl Line {
    /// The lengths of the queue and of its settled part, and N2's bound.
    pub(super) fn counts(&self) -> (u32, u32, u32) {
        (self.queued, self.settled, self.voids)
    }

    /// As if so many tickets had been taken, and given up. Nobody may be a racer.
    pub(super) fn jump(&mut self, tickets: u32) {
        assert_eq!((self.voids, self.settled), (0, self.queued));
        self.base += u64::from(tickets);
    }

    /// Asserts N1 and N2, as far as they can be seen here.
    pub(super) fn check(&self, wait: u32) {
        let mut numbers = std::vec::Vec::new();
        // SAFETY: the lock is held.
        let mut at = unsafe { self.queue.front() };
        while let Some(node) = at {
            // SAFETY: the lock is held, and the node is linked.
            unsafe {
                numbers.push(number_of(node));
                at = Node::next(node);
            }
        }
        assert!(numbers.is_sorted_by(|a, b| a < b), "N1: {numbers:?}");
        assert_eq!(numbers.len(), self.queued as usize);
        let settled = numbers.iter().filter(|&&number| number < self.base).count();
        assert_eq!(settled, self.settled as usize, "N1");
        assert!(numbers.iter().all(|&number| (self.told..self.end(wait)).contains(&number)));
        let elsewhere = self.end(wait) - self.base - u64::from(self.queued - self.settled);
        assert!(self.known <= self.voids && u64::from(self.voids) <= elsewhere, "N2");
        assert!(self.known == 0 || u64::from(self.known) < elsewhere, "S");
    }
}
