//! The addresses of a bucket: a tree of heads.
//!
//! ```text
//!            head ─list─ waiter ─ waiter          a treap by address: see `wait/tree.rs`
//!           ╱    ╲
//!       head      head ─list─ waiter
//! ```
//! **T4.** An address is in the tree once, as the head of the list of those who wait there; the head is the list's front.
//! **T5.** A ticket stays with the *place*: whoever becomes the head of an address takes the ticket, so that to serve one of
//! many costs no rotation (G18), nor does to come before all (G17).
//!
//! To find an address takes O(log n) for n addresses; to append, to come first, to take the first or any other out, O(1)
//! afterwards; a new address, and the last waiter of one, cost an expected O(1) rotations.
//!
//! Everything here needs the bucket's lock.

use super::waiter::{Group, Link, Order, Waiter};
use crate::wait::queue::Queue;
use crate::wait::tree::Tree;
use core::ptr::NonNull;

/// See the module head.
pub(super) struct Treap(Tree<Waiter>);

impl Treap {
    pub(super) const fn new() -> Self {
        Self(Tree::new())
    }

    /// Distinct addresses.
    pub(super) fn heads(&self) -> u32 {
        self.0.len()
    }

    /// The head of those who wait at `key`.
    ///
    /// # Safety
    /// The caller holds the bucket's lock. (So with all that follow.)
    #[inline]
    pub(super) unsafe fn find(&self, key: usize) -> Link {
        // SAFETY: passed on.
        unsafe { self.0.find(key) }
    }

    /// Adds a waiter at `key`. Returns how many it stands behind.
    ///
    /// # Safety
    /// The waiter is in no list, and stays alive and in place until it is removed.
    pub(super) unsafe fn push(&mut self, key: usize, waiter: NonNull<Waiter>) -> u32 {
        let node = Waiter::node_of(waiter);
        // SAFETY: the lock is held; `waiter` is the caller's and alive. T4: the head's list holds the head.
        unsafe {
            match self.find(key) {
                None => {
                    self.0.insert(waiter, key);
                    Waiter::put_group(waiter, Group { list: Queue::new(), len: 1 });
                    Waiter::group(waiter, |group| group.list.push_back(node));
                    0
                }
                Some(head) if waiter.as_ref().order == Order::Lifo => {
                    self.succeed(head, waiter);
                    Waiter::group(waiter, |group| {
                        group.list.push_front(node);
                        group.len += 1;
                    });
                    0
                }
                Some(head) => Waiter::group(head, |group| {
                    group.list.push_back(node);
                    group.len += 1;
                    group.len - 1
                }),
            }
        }
    }

    /// Takes out a waiter of the address of `head`. Whether it was the last one there.
    ///
    /// # Safety
    /// `head` is what [`find`](Self::find) says, and `waiter` is in its list.
    pub(super) unsafe fn remove(&mut self, head: NonNull<Waiter>, waiter: NonNull<Waiter>) -> bool {
        // SAFETY: the lock is held and both are linked.
        unsafe {
            let next = Waiter::group(head, |group| {
                group.list.remove(Waiter::node_of(waiter));
                group.len -= 1;
                group.list.front()
            });
            if waiter == head {
                match next {
                    Some(next) => self.succeed(head, Waiter::of_node(next)),
                    None => self.0.delete(head),
                }
            }
            next.is_none()
        }
    }

    /// Moves every address for which `moves` into `other`. Returns how many waiters moved.
    ///
    /// # Safety
    /// The locks of both buckets are held.
    #[cfg_attr(not(feature = "alloc"), allow(dead_code))] // without an allocator a table does not grow
    pub(super) unsafe fn split(&mut self, other: &mut Self, moves: impl Fn(usize) -> bool) -> u32 {
        let mut moved = 0;
        // SAFETY: the locks are held. The next one is found before the tree changes; which rotations leave alone: it is the
        // next by its key. What a head has of its group stays with it.
        unsafe {
            let mut at = self.0.first();
            while let Some(head) = at {
                at = Tree::next(head);
                let key = Waiter::key(head);
                if moves(key) {
                    self.0.delete(head);
                    other.0.insert(head, key);
                    moved += Waiter::group(head, |group| group.len);
                }
            }
        }
        moved
    }

    /// Calls `f` with each address and its waiters, first come first.
    ///
    /// # Safety
    /// As for all; `f` changes nothing.
    #[cfg(feature = "alloc")]
    pub(super) unsafe fn for_each(&self, mut f: impl FnMut(usize, &mut dyn Iterator<Item = NonNull<Waiter>>)) {
        // SAFETY: the lock is held; heads are in the tree, and those in the list are linked.
        unsafe {
            let mut at = self.0.first();
            while let Some(head) = at {
                let mut node = Some(Waiter::node_of(head));
                f(
                    Waiter::key(head),
                    &mut core::iter::from_fn(|| {
                        let here = node?;
                        node = crate::wait::node::Node::next(here);
                        Some(Waiter::of_node(here))
                    }),
                );
                at = Tree::next(head);
            }
        }
    }

    /// Gives the place of `head`, and its list, to `heir`, which is no head.
    unsafe fn succeed(&mut self, head: NonNull<Waiter>, heir: NonNull<Waiter>) {
        // SAFETY: the lock is held and `head` is in the tree.
        unsafe {
            self.0.succeed(head, heir);
            let list = Queue::new();
            let len = Waiter::group(head, |group| {
                list.append(&group.list);
                group.len
            });
            Waiter::put_group(heir, Group { list, len });
        }
    }

    /// The tree, for tests that check it.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(super) fn tree(&self) -> &Tree<Waiter> {
        &self.0
    }
}
