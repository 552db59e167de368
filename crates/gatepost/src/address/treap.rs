//! The addresses of a bucket: a treap of heads.
//!
//! ```text
//!            head ─list─ waiter ─ waiter          by address a search tree: left < head < right
//!           ╱    ╲                                by ticket a heap: head ≤ left, right
//!       head      head ─list─ waiter
//! ```
//! **T1.** An address is in the tree once, as the head of the list of those who wait there; the head is the list's front.
//! **T2.** Keys are in order, tickets are a heap, and parents and children name one another.
//! **T3.** Tickets are odd and random, and stay with the *place*: whoever becomes the head of an address takes the ticket,
//! so that to serve one of many costs no rotation (G18), nor does to come before all (G17).
//!
//! To find an address takes O(log n) for n addresses, since the tickets are random; to append, to come first, to take the
//! first or any other out, O(1) afterwards; a new address, and the last waiter of one, cost an expected O(1) rotations.
//!
//! Everything here needs the bucket's lock.

use super::waiter::{Link, Order, Place, Waiter};
use crate::wait::queue::Queue;
use core::ptr::NonNull;

/// See the module head.
pub(super) struct Treap {
    root: Link,
    /// Distinct addresses.
    heads: u32,
    /// Where tickets come from.
    random: u32,
}

/// Nodes that were looked at to find an address, for tests of the cost.
#[cfg(all(test, not(any(loom, shuttle))))]
pub(super) mod steps {
    std::thread_local! {
        static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    }
    pub(in super::super) fn count() -> u64 {
        STEPS.get()
    }
    pub(super) fn step() {
        STEPS.set(STEPS.get() + 1);
    }
}

impl Treap {
    pub(super) const fn new() -> Self {
        Self { root: None, heads: 0, random: 0 }
    }

    /// Distinct addresses.
    pub(super) fn heads(&self) -> u32 {
        self.heads
    }

    /// The head of those who wait at `key`.
    ///
    /// # Safety
    /// The caller holds the bucket's lock. (So with all that follow.)
    #[inline]
    pub(super) unsafe fn find(&self, key: usize) -> Link {
        let mut at = self.root;
        while let Some(head) = at {
            #[cfg(all(test, not(any(loom, shuttle))))]
            steps::step();
            // SAFETY: in the tree, hence a head.
            let (here, left, right) = unsafe { Waiter::place(head, |place| (place.key, place.left, place.right)) };
            if here == key {
                break;
            }
            at = if key < here { left } else { right };
        }
        at
    }

    /// Adds a waiter at `key`. Returns how many it stands behind.
    ///
    /// # Safety
    /// The waiter is in no list, and stays alive and in place until it is removed.
    pub(super) unsafe fn push(&mut self, key: usize, waiter: NonNull<Waiter>) -> u32 {
        let node = Waiter::node_of(waiter);
        // SAFETY: the lock is held; `waiter` is the caller's and alive. T1: the head's list holds the head.
        unsafe {
            match self.find(key) {
                None => {
                    let ticket = self.ticket();
                    self.insert(waiter, key, ticket);
                    Waiter::place(waiter, |place| place.list.push_back(node));
                    0
                }
                Some(head) if waiter.as_ref().order == Order::Lifo => {
                    self.succeed(head, waiter);
                    Waiter::place(waiter, |place| {
                        place.list.push_front(node);
                        place.len += 1;
                    });
                    0
                }
                Some(head) => Waiter::place(head, |place| {
                    place.list.push_back(node);
                    place.len += 1;
                    place.len - 1
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
            let next = Waiter::place(head, |place| {
                place.list.remove(Waiter::node_of(waiter));
                place.len -= 1;
                place.list.front()
            });
            if waiter == head {
                match next {
                    Some(next) => self.succeed(head, Waiter::of_node(next)),
                    None => self.delete(head),
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
        let mut at = self.first();
        while let Some(head) = at {
            // SAFETY: in the tree. The next one is found before the tree changes; which rotations leave alone: it is the
            // next by its key.
            unsafe {
                at = Self::next(head);
                let (key, ticket) = Waiter::place(head, |place| (place.key, place.ticket));
                if moves(key) {
                    let (list, len) = Waiter::place(head, |place| {
                        let list = Queue::new();
                        list.take_over(&place.list);
                        (list, place.len)
                    });
                    self.delete(head);
                    other.insert(head, key, ticket);
                    Waiter::place(head, |place| {
                        place.list.take_over(&list);
                        place.len = len;
                    });
                    moved += len;
                }
            }
        }
        moved
    }

    /// The head with the smallest address.
    fn first(&self) -> Link {
        let mut at = self.root?;
        // SAFETY: the lock is held (a promise of every caller in this module), and those in the tree are heads.
        while let Some(left) = unsafe { Waiter::place(at, |place| place.left) } {
            at = left;
        }
        Some(at)
    }

    /// The head with the next address.
    ///
    /// # Safety
    /// `head` is in the tree.
    unsafe fn next(head: NonNull<Waiter>) -> Link {
        // SAFETY: the lock is held, and those in the tree are heads.
        unsafe {
            if let Some(mut at) = Waiter::place(head, |place| place.right) {
                while let Some(left) = Waiter::place(at, |place| place.left) {
                    at = left;
                }
                return Some(at);
            }
            let mut below = head;
            while let Some(above) = Waiter::place(below, |place| place.parent) {
                if Waiter::place(above, |place| place.left) == Some(below) {
                    return Some(above);
                }
                below = above;
            }
            None
        }
    }

    /// Calls `f` with each address and its waiters, first come first.
    ///
    /// # Safety
    /// As for all; `f` changes nothing.
    #[cfg(feature = "alloc")]
    pub(super) unsafe fn for_each(&self, mut f: impl FnMut(usize, &mut dyn Iterator<Item = NonNull<Waiter>>)) {
        let mut at = self.first();
        while let Some(head) = at {
            // SAFETY: the lock is held; heads are in the tree, and those in the list are linked.
            unsafe {
                let key = Waiter::place(head, |place| place.key);
                let mut node = Some(Waiter::node_of(head));
                f(
                    key,
                    &mut core::iter::from_fn(|| {
                        let here = node?;
                        node = crate::wait::node::Node::next(here);
                        Some(Waiter::of_node(here))
                    }),
                );
                at = Self::next(head);
            }
        }
    }

    /// Where the tree begins, for tests that walk it.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(super) fn root(&self) -> Link {
        self.root
    }

    /// A random odd number (xorshift, begun anew at 0).
    fn ticket(&mut self) -> u32 {
        let mut x = self.random;
        if x == 0 {
            x = 0x9E37_79B9;
        }
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.random = x;
        x | 1
    }

    /// Puts a new head into the tree: as a leaf by its key, then up by its ticket.
    unsafe fn insert(&mut self, head: NonNull<Waiter>, key: usize, ticket: u32) {
        // SAFETY: the lock is held; `head` is no head yet, all others are.
        unsafe {
            let (mut parent, mut at) = (None, self.root);
            let mut goes_left = false;
            while let Some(here) = at {
                parent = at;
                (goes_left, at) = Waiter::place(here, |place| {
                    let left = key < place.key;
                    (left, if left { place.left } else { place.right })
                });
            }
            let place = Place { key, ticket, len: 1, parent, left: None, right: None, list: Queue::new() };
            Waiter::put_place(head, place);
            match parent {
                None => self.root = Some(head),
                Some(parent) if goes_left => Waiter::place(parent, |place| place.left = Some(head)),
                Some(parent) => Waiter::place(parent, |place| place.right = Some(head)),
            }
            while let Some(parent) = Waiter::place(head, |place| place.parent) {
                if Waiter::place(parent, |place| place.ticket) <= ticket {
                    break;
                }
                self.rotate_up(head);
            }
        }
        self.heads += 1;
    }

    /// Takes a head out of the tree: down by the tickets below it, until it is a leaf.
    unsafe fn delete(&mut self, head: NonNull<Waiter>) {
        // SAFETY: the lock is held and `head` is in the tree.
        unsafe {
            let ticket = |head| Waiter::place(head, |place| place.ticket);
            loop {
                match Waiter::place(head, |place| (place.left, place.right)) {
                    (None, None) => break,
                    (Some(only), None) | (None, Some(only)) => self.rotate_up(only),
                    (Some(left), Some(right)) => {
                        self.rotate_up(if ticket(left) < ticket(right) { left } else { right });
                    }
                }
            }
            let parent = Waiter::place(head, |place| place.parent);
            self.aim(parent, head, None);
        }
        self.heads -= 1;
    }

    /// Gives the place of `head`, and its list, to `heir`, which is no head.
    unsafe fn succeed(&mut self, head: NonNull<Waiter>, heir: NonNull<Waiter>) {
        // SAFETY: the lock is held and `head` is in the tree.
        unsafe {
            let place = Waiter::place(head, |place| {
                let list = Queue::new();
                list.take_over(&place.list);
                Place { list, ..*place }
            });
            let Place { parent, left, right, .. } = place;
            Waiter::put_place(heir, place);
            self.aim(parent, head, Some(heir));
            for child in [left, right].into_iter().flatten() {
                Waiter::place(child, |place| place.parent = Some(heir));
            }
        }
    }

    /// Lets what pointed down at `from` point at `to`.
    unsafe fn aim(&mut self, parent: Link, from: NonNull<Waiter>, to: Link) {
        match parent {
            None => self.root = to,
            // SAFETY: the lock is held and `parent` is in the tree.
            Some(parent) => unsafe {
                Waiter::place(parent, |place| {
                    if place.left == Some(from) {
                        place.left = to;
                    } else {
                        debug_assert!(place.right == Some(from), "T2");
                        place.right = to;
                    }
                });
            },
        }
    }

    /// Turns the tree so that `x` comes above its parent `y`.
    /// ```text
    ///      y            x
    ///     ╱ ╲          ╱ ╲
    ///    x   c   ─▶   a   y       and the mirror image
    ///   ╱ ╲              ╱ ╲
    ///  a   b            b   c
    /// ```
    unsafe fn rotate_up(&mut self, x: NonNull<Waiter>) {
        // SAFETY: the lock is held; `x` is in the tree and not its root.
        unsafe {
            let y = Waiter::place(x, |place| place.parent).expect("it has a parent");
            let (above, is_left) = Waiter::place(y, |place| (place.parent, place.left == Some(x)));
            let b = Waiter::place(x, |place| {
                place.parent = above;
                core::mem::replace(if is_left { &mut place.right } else { &mut place.left }, Some(y))
            });
            Waiter::place(y, |place| {
                place.parent = Some(x);
                *(if is_left { &mut place.left } else { &mut place.right }) = b;
            });
            if let Some(b) = b {
                Waiter::place(b, |place| place.parent = Some(y));
            }
            self.aim(above, y, Some(x));
        }
    }
}
