//! Threads that wait, in the order in which they are to be woken; and who inherits from them.
//!
//! ```text
//!   waiter ──blocked in──▶ queue ──owned by──▶ thread ──blocked in──▶ queue ──owned by──▶ …
//!            weight ─────▶ sum ──────────────▶ inherits ─────────────▶ sum
//! ```
//! # Invariants, whenever the kernel's lock is free
//! **K1.** A thread is in at most one queue, `blocked` names it, and `front` is the thread of the smallest key there.
//!
//! **K2.** `weight` of a queue is the sum of the effective weights of the threads in it. What a thread inherits is the sum of the
//! weights of the queues that it owns. Its effective weight is its own and what it inherits.
//!
//! **K3.** Following *blocked in* and *owned by* from anywhere comes to an end: an edge that would close a circle is refused
//! before anything changes (Z27). So a change of weight travels along a chain and stops (`weight_changed`), and K2 defines weights.
//!
//! **K4.** The owner of a queue is alive.
//!
//! **K5.** Threads and queues that meet are of one kernel, whose lock it is: whoever brings them together asserts that. So does
//! whoever lets a thread wait that waits already, or has ended: a tree holds a thread once.
//!
//! Sums do not overflow: each thread's own weight, 32 bits, is in each of them once at most (K3), and a tree counts to 32 bits.
//!
//! # Cost
//! To insert and to remove, O(log n) of n threads in the queue; front and number, O(1); a change of weight, that for each
//! thread of the chain.

use super::platform::Platform;
use super::thread::{Blocked, Thread};
use super::wait::{Deadline, WaitFailure};
use crate::sys::mutant::{self, Mutant};
use crate::wait::tree::{Branch, Tree};
use core::ptr::NonNull;

/// Finish time, then arrival: no two are the same.
pub(super) type Key = (u64, u64);

/// In which order threads are woken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WakeOrder {
    /// The earliest [finish time](Platform::finish_time) first; among equals, first come, first served (Z23).
    #[default]
    ByFinishTime,
    /// First come, first served.
    Fifo,
}

/// See the module head. Everything in it is guarded by the kernel's lock.
pub(super) struct WaitQueue<P: Platform> {
    tree: Tree<Thread<P>>,
    front: Option<NonNull<Thread<P>>>,
    weight: u64,
    owner: Option<&'static Thread<P>>,
    order: WakeOrder,
}

impl<P: Platform> WaitQueue<P> {
    pub(super) const fn new(order: WakeOrder) -> Self {
        Self { tree: Tree::new(), front: None, weight: 0, owner: None, order }
    }

    pub(super) fn len(&self) -> u32 {
        self.tree.len()
    }

    pub(super) fn weight(&self) -> u64 {
        self.weight
    }

    pub(super) fn owner(&self) -> Option<&'static Thread<P>> {
        self.owner
    }

    /// Who is to be woken next.
    pub(super) fn front(&self) -> Option<&'static Thread<P>> {
        // SAFETY: threads live for ever.
        self.front.map(|front| unsafe { front.as_ref() })
    }

    /// Where `thread` stands.
    ///
    /// # Safety
    /// The lock is held. (So with all that follow.)
    unsafe fn key(&self, thread: &'static Thread<P>) -> Key {
        let kernel = thread.kernel;
        let finish = match self.order {
            WakeOrder::Fifo => 0,
            // SAFETY: the lock is held.
            WakeOrder::ByFinishTime => unsafe { kernel.platform().finish_time(thread, thread.effective()) },
        };
        // SAFETY: passed on.
        (finish, unsafe { kernel.next_arrival() })
    }

    /// # Safety
    /// As for all; the thread is in no tree.
    unsafe fn insert(&mut self, thread: &'static Thread<P>, key: Key) {
        let node = NonNull::from(thread);
        // SAFETY: passed on.
        unsafe {
            let first = self.front.is_none_or(|front| key < Thread::place(front, |place| place.key));
            self.tree.insert(node, key);
            if first {
                self.front = Some(node);
            }
        }
    }

    /// # Safety
    /// As for all; the thread is in this tree.
    unsafe fn remove(&mut self, thread: &'static Thread<P>) {
        let node = NonNull::from(thread);
        // SAFETY: passed on.
        unsafe {
            if self.front == Some(node) {
                self.front = Tree::next(node);
            }
            self.tree.delete(node);
        }
    }

    /// Lets `thread` wait in `queue`, which `owner` owns from now on, unless that would close a circle. (One step, so that a
    /// refusal leaves no trace, not even one that the platform sees.)
    ///
    /// # Safety
    /// As for all; `thread` [may wait](Thread::assert_may_wait), and does nothing else; `queue` stays in place while it is there.
    pub(super) unsafe fn enqueue(
        mut queue: NonNull<Self>,
        thread: &'static Thread<P>,
        owner: Option<&'static Thread<P>>,
        interruptible: bool,
        deadline: Deadline,
    ) -> Result<(), Circle> {
        // SAFETY: the lock is held.
        unsafe {
            let owner = Self::if_alive(owner);
            if Self::closes_circle(owner, |at| core::ptr::eq(at, thread), |at| at == queue) {
                return Err(Circle);
            }
            Self::set_owner(queue, owner);
            thread.set_blocked();
            thread.guarded(|guarded| guarded.blocked = Some(Blocked { queue, interruptible, deadline }));
            let key = queue.as_ref().key(thread);
            queue.as_mut().insert(thread, key);
            Self::queue_weight_changed(queue, 0, thread.effective());
        }
        Ok(())
    }

    /// Takes a blocked thread out of its queue. It must be [told](Thread::tell) why.
    ///
    /// # Safety
    /// As for all; the thread is blocked.
    pub(super) unsafe fn take_out(thread: &'static Thread<P>) {
        // SAFETY: the lock is held; a queue in which somebody is blocked is in place.
        unsafe {
            let blocked = thread.guarded(|guarded| guarded.blocked.take()).expect("it is blocked");
            let mut queue = blocked.queue;
            queue.as_mut().remove(thread);
            if !mutant::is(Mutant::WeightKept) {
                Self::queue_weight_changed(queue, thread.effective(), 0);
            }
        }
    }

    /// Takes a blocked thread out of its queue, with an outcome. Returns how to wake it, after the lock.
    ///
    /// # Safety
    /// As for all; the thread is blocked.
    pub(super) unsafe fn dequeue(thread: &'static Thread<P>, outcome: Result<(), WaitFailure>) -> P::Wake {
        // SAFETY: passed on.
        unsafe { Self::take_out(thread) };
        thread.tell(outcome)
    }

    /// The first of those who joined when `arrivals` had, or earlier.
    ///
    /// # Safety
    /// As for all.
    pub(super) unsafe fn first_of(&self, arrivals: u64) -> Option<&'static Thread<P>> {
        let mut at = self.front;
        // SAFETY: in the tree; threads live for ever.
        unsafe {
            while let Some(thread) = at {
                if Thread::place(thread, |place| place.key.1) <= arrivals {
                    break;
                }
                at = Tree::next(thread);
            }
            at.map(|thread| thread.as_ref())
        }
    }

    /// A thread that has ended owns nothing: K4.
    ///
    /// # Safety
    /// As for all.
    unsafe fn if_alive(owner: Option<&'static Thread<P>>) -> Option<&'static Thread<P>> {
        // SAFETY: the lock is held.
        owner.filter(|owner| unsafe { owner.guarded(|guarded| guarded.alive) })
    }

    /// Makes `owner` the owner, or nobody. A thread that has ended owns nothing.
    ///
    /// # Safety
    /// As for all.
    pub(super) unsafe fn assign(queue: NonNull<Self>, owner: Option<&'static Thread<P>>) -> Result<(), Circle> {
        // SAFETY: the lock is held.
        unsafe {
            let owner = Self::if_alive(owner);
            if Self::closes_circle(owner, |_| false, |at| at == queue) {
                return Err(Circle);
            }
            Self::set_owner(queue, owner);
        }
        Ok(())
    }

    /// Lets the weight of the queue go from its owner to another. Not from one to the same, and given before it is
    /// taken: who loses its urgency for a moment, at the end of a chain that both are in, can lose its processor.
    ///
    /// # Safety
    /// As for all; the owner is alive, and no circle closes.
    unsafe fn set_owner(mut queue: NonNull<Self>, owner: Option<&'static Thread<P>>) {
        // SAFETY: the lock is held.
        unsafe {
            let (before, weight) = (queue.as_ref().owner, queue.as_ref().weight);
            if before.map(core::ptr::from_ref) == owner.map(core::ptr::from_ref) {
                return;
            }
            queue.as_mut().owner = owner;
            if let Some(now) = owner {
                now.guarded(|guarded| guarded.owns += 1);
                Self::inherited_changed(now, 0, weight);
            }
            if let Some(before) = before {
                before.guarded(|guarded| guarded.owns -= 1);
                Self::inherited_changed(before, weight, 0);
            }
        }
    }

    /// Whether the chain from `owner` comes to a thread, or a queue, that is looked for. It ends: K3.
    ///
    /// # Safety
    /// As for all.
    unsafe fn closes_circle(
        owner: Option<&'static Thread<P>>,
        is_thread: impl Fn(&'static Thread<P>) -> bool,
        is_queue: impl Fn(NonNull<Self>) -> bool,
    ) -> bool {
        let Some(mut thread) = owner.filter(|_| !mutant::is(Mutant::CircleUnseen)) else { return false };
        loop {
            if is_thread(thread) {
                return true;
            }
            // SAFETY: the lock is held.
            let Some(blocked) = (unsafe { thread.guarded(|guarded| guarded.blocked) }) else { return false };
            if is_queue(blocked.queue) {
                return true;
            }
            // SAFETY: a queue in which somebody is blocked is in place.
            let Some(owner) = unsafe { blocked.queue.as_ref() }.owner else { return false };
            thread = owner;
        }
    }

    /// What is in a queue weighs `now` where it weighed `before`.
    ///
    /// # Safety
    /// As for all.
    unsafe fn queue_weight_changed(mut queue: NonNull<Self>, before: u64, now: u64) {
        // SAFETY: the lock is held.
        let owner = unsafe {
            let queue = queue.as_mut();
            queue.weight = queue.weight - before + now;
            queue.owner
        };
        if let Some(owner) = owner {
            // SAFETY: passed on.
            unsafe { Self::inherited_changed(owner, before, now) };
        }
    }

    /// A thread inherits `now` where it inherited `before`.
    ///
    /// # Safety
    /// As for all.
    unsafe fn inherited_changed(thread: &'static Thread<P>, before: u64, now: u64) {
        if before == now {
            return;
        }
        // SAFETY: passed on.
        unsafe {
            let effective = thread.effective();
            thread.guarded(|guarded| guarded.inherited = guarded.inherited - before + now);
            Self::weight_changed(thread, effective, thread.effective());
        }
    }

    /// A thread weighs `now` where it weighed `before`, and so does the chain from it. One step for each thread: a loop, since a
    /// kernel's stack is short.
    ///
    /// # Safety
    /// As for all.
    pub(super) unsafe fn weight_changed(mut thread: &'static Thread<P>, before: u64, now: u64) {
        if before == now {
            return;
        }
        // SAFETY: the lock is held; a queue in which somebody is blocked is in place.
        unsafe {
            loop {
                thread.kernel.platform().effective_changed(thread, thread.effective());
                let Some(mut blocked) = thread.guarded(|guarded| guarded.blocked) else { return };
                Self::reorder(thread);
                let queue = blocked.queue.as_mut();
                queue.weight = queue.weight - before + now;
                let Some(owner) = queue.owner else { return };
                owner.guarded(|guarded| guarded.inherited = guarded.inherited - before + now);
                thread = owner;
            }
        }
    }

    /// Gives a blocked thread the place that its finish time asks for now (Z24). Among those of the same time, when it came
    /// counts, and not when it was moved.
    ///
    /// # Safety
    /// As for all.
    pub(super) unsafe fn reorder(thread: &'static Thread<P>) {
        // SAFETY: the lock is held; a queue in which somebody is blocked is in place.
        unsafe {
            let Some(mut blocked) = thread.guarded(|guarded| guarded.blocked) else { return };
            let queue = blocked.queue.as_mut();
            if queue.order == WakeOrder::Fifo {
                return;
            }
            let (finish, arrival) = Thread::place(NonNull::from(thread), |place| place.key);
            let now = thread.kernel.platform().finish_time(thread, thread.effective());
            if now != finish {
                queue.remove(thread);
                queue.insert(thread, (now, arrival));
            }
        }
    }

    /// K1 and K2 of this queue, recomputed.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(super) fn check(&self) {
        // SAFETY: the lock is held by the caller.
        unsafe {
            let keys = self.tree.checked();
            let (mut at, mut weight) = (self.tree.first(), 0);
            assert_eq!(at, self.front);
            assert_eq!(self.front.map(|front| Thread::place(front, |place| place.key)), keys.first().copied());
            while let Some(thread) = at {
                weight += thread.as_ref().effective();
                at = Tree::next(thread);
            }
            assert_eq!(weight, self.weight, "K2: the effective weight of all in the queue, and what the queue says");
        }
    }
}

/// Two that would wait for one another, over however many others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Circle;
