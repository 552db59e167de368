//! A treap of nodes that lie elsewhere: a search tree by key, a heap by random ticket.
//!
//! **T1.** Keys are in order: left < node < right. **T2.** Tickets are a heap: node ≤ left, right. **T3.** Parents and children
//! name one another.
//!
//! To find, to insert and to delete take an expected O(log n), since the tickets are random, with O(1) rotations; to replace a
//! node by another of the same key, O(1). Nothing is allocated. Everything needs the lock of whoever owns the tree.

use core::ptr::NonNull;

/// A node's place in a tree.
pub(crate) struct Place<N, K> {
    pub(crate) key: K,
    /// Odd and random.
    ticket: u32,
    parent: Option<NonNull<N>>,
    left: Option<NonNull<N>>,
    right: Option<NonNull<N>>,
}

#[cfg(all(test, not(any(loom, shuttle))))]
impl<N, K> Place<N, K> {
    /// For tests that compare.
    pub(crate) fn ticket(&self) -> u32 {
        self.ticket
    }
}

/// What can stand in a tree.
///
/// # Safety
/// `put_place` is what `place` then finds; they are each node's own.
pub(crate) unsafe trait Branch: Sized {
    type Key: Ord + Copy;

    /// Gives the node a place.
    ///
    /// # Safety
    /// The lock is held; the node is alive and in no tree.
    unsafe fn put_place(node: NonNull<Self>, place: Place<Self, Self::Key>);

    /// Looks at, or changes, the place of a node.
    ///
    /// # Safety
    /// The lock is held; the node is in a tree, hence alive; `f` does not look at the same place.
    unsafe fn place<R>(node: NonNull<Self>, f: impl FnOnce(&mut Place<Self, Self::Key>) -> R) -> R;
}

/// See the module head.
pub(crate) struct Tree<N> {
    root: Option<NonNull<N>>,
    len: u32,
    /// Where tickets come from.
    random: u32,
}

/// Nodes that were looked at to find a key, for tests of the cost.
#[cfg(all(test, not(any(loom, shuttle))))]
pub(crate) mod steps {
    std::thread_local! {
        static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    }
    pub(crate) fn count() -> u64 {
        STEPS.get()
    }
    pub(super) fn step() {
        STEPS.set(STEPS.get() + 1);
    }
}

impl<N: Branch> Tree<N> {
    pub(crate) const fn new() -> Self {
        Self { root: None, len: 0, random: 0 }
    }

    /// Nodes in the tree.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// The node of `key`.
    ///
    /// # Safety
    /// The lock is held. (So with all that follow.)
    #[inline]
    pub(crate) unsafe fn find(&self, key: N::Key) -> Option<NonNull<N>> {
        let mut at = self.root;
        while let Some(node) = at {
            #[cfg(all(test, not(any(loom, shuttle))))]
            steps::step();
            // SAFETY: in the tree.
            let (here, left, right) = unsafe { N::place(node, |place| (place.key, place.left, place.right)) };
            if here == key {
                break;
            }
            at = if key < here { left } else { right };
        }
        at
    }

    /// The node of the smallest key.
    ///
    /// # Safety
    /// As for [`find`](Self::find).
    pub(crate) unsafe fn first(&self) -> Option<NonNull<N>> {
        let mut at = self.root?;
        // SAFETY: in the tree.
        while let Some(left) = unsafe { N::place(at, |place| place.left) } {
            at = left;
        }
        Some(at)
    }

    /// The node of the next key.
    ///
    /// # Safety
    /// As for [`find`](Self::find), and `node` is in the tree.
    pub(crate) unsafe fn next(node: NonNull<N>) -> Option<NonNull<N>> {
        // SAFETY: in the tree.
        unsafe {
            if let Some(mut at) = N::place(node, |place| place.right) {
                while let Some(left) = N::place(at, |place| place.left) {
                    at = left;
                }
                return Some(at);
            }
            let mut below = node;
            while let Some(above) = N::place(below, |place| place.parent) {
                if N::place(above, |place| place.left) == Some(below) {
                    return Some(above);
                }
                below = above;
            }
            None
        }
    }

    /// A random odd number (xorshift, begun anew at 0).
    fn ticket(&mut self) -> u32 {
        let mut x = if self.random == 0 { 0x9E37_79B9 } else { self.random };
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.random = x;
        x | 1
    }

    /// Puts a node into the tree: as a leaf by its key, which no other has, then up by its ticket.
    ///
    /// # Safety
    /// As for [`find`](Self::find); the node is in no tree, and stays alive and in place until it is deleted.
    pub(crate) unsafe fn insert(&mut self, node: NonNull<N>, key: N::Key) {
        let ticket = self.ticket();
        // SAFETY: the lock is held; `node` is in no tree yet, all others are in this one.
        unsafe {
            let (mut parent, mut at, mut goes_left) = (None, self.root, false);
            while let Some(here) = at {
                parent = at;
                (goes_left, at) = N::place(here, |place| {
                    debug_assert!(key != place.key, "T1");
                    let left = key < place.key;
                    (left, if left { place.left } else { place.right })
                });
            }
            N::put_place(node, Place { key, ticket, parent, left: None, right: None });
            match parent {
                None => self.root = Some(node),
                Some(parent) if goes_left => N::place(parent, |place| place.left = Some(node)),
                Some(parent) => N::place(parent, |place| place.right = Some(node)),
            }
            while let Some(parent) = N::place(node, |place| place.parent) {
                if N::place(parent, |place| place.ticket) <= ticket {
                    break;
                }
                self.rotate_up(node);
            }
        }
        self.len += 1;
    }

    /// Takes a node out: down by the tickets below it, until it is a leaf.
    ///
    /// # Safety
    /// As for [`find`](Self::find); the node is in this tree.
    pub(crate) unsafe fn delete(&mut self, node: NonNull<N>) {
        // SAFETY: the lock is held and the node is in the tree.
        unsafe {
            let ticket = |node| N::place(node, |place| place.ticket);
            loop {
                match N::place(node, |place| (place.left, place.right)) {
                    (None, None) => break,
                    (Some(only), None) | (None, Some(only)) => self.rotate_up(only),
                    (Some(left), Some(right)) => {
                        self.rotate_up(if ticket(left) < ticket(right) { left } else { right });
                    }
                }
            }
            let parent = N::place(node, |place| place.parent);
            self.aim(parent, node, None);
        }
        self.len -= 1;
    }

    /// Gives the place of a node, key and ticket, to `heir`, which is in no tree. Nothing is rotated.
    ///
    /// # Safety
    /// As for [`delete`](Self::delete); `heir` as for [`insert`](Self::insert).
    pub(crate) unsafe fn succeed(&mut self, node: NonNull<N>, heir: NonNull<N>) {
        // SAFETY: the lock is held and the node is in the tree.
        unsafe {
            let place = N::place(node, |place| Place { ..*place });
            let Place { parent, left, right, .. } = place;
            N::put_place(heir, place);
            self.aim(parent, node, Some(heir));
            for child in [left, right].into_iter().flatten() {
                N::place(child, |place| place.parent = Some(heir));
            }
        }
    }

    /// Lets what pointed down at `from` point at `to`.
    unsafe fn aim(&mut self, parent: Option<NonNull<N>>, from: NonNull<N>, to: Option<NonNull<N>>) {
        match parent {
            None => self.root = to,
            // SAFETY: the lock is held and `parent` is in the tree.
            Some(parent) => unsafe {
                N::place(parent, |place| {
                    if place.left == Some(from) {
                        place.left = to;
                    } else {
                        debug_assert!(place.right == Some(from), "T3");
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
    unsafe fn rotate_up(&mut self, x: NonNull<N>) {
        // SAFETY: the lock is held; `x` is in the tree and not its root.
        unsafe {
            let y = N::place(x, |place| place.parent).expect("it has a parent");
            let (above, is_left) = N::place(y, |place| (place.parent, place.left == Some(x)));
            let b = N::place(x, |place| {
                place.parent = above;
                if is_left { &mut place.right } else { &mut place.left }.replace(y)
            });
            N::place(y, |place| {
                place.parent = Some(x);
                *(if is_left { &mut place.left } else { &mut place.right }) = b;
            });
            if let Some(b) = b {
                N::place(b, |place| place.parent = Some(y));
            }
            self.aim(above, y, Some(x));
        }
    }
}

/// G22: everything that holds after each operation. Returns the keys in their order.
#[cfg(all(test, not(any(loom, shuttle))))]
impl<N: Branch> Tree<N> {
    /// # Safety
    /// As for [`find`](Self::find).
    pub(crate) unsafe fn checked(&self) -> std::vec::Vec<N::Key> {
        fn walk<N: Branch>(
            at: Option<NonNull<N>>,
            parent: Option<NonNull<N>>,
            keys: &mut std::vec::Vec<N::Key>,
        ) -> Option<u32> {
            let node = at?;
            // SAFETY: the lock is held; it is in the tree.
            let (key, ticket, above, left, right) =
                unsafe { N::place(node, |place| (place.key, place.ticket, place.parent, place.left, place.right)) };
            assert_eq!(above, parent, "a child names its parent");
            assert_eq!(ticket % 2, 1, "a ticket is odd, never 0");
            let below_left = walk(left, at, keys);
            keys.push(key);
            let below_right = walk(right, at, keys);
            for below in [below_left, below_right].into_iter().flatten() {
                assert!(ticket <= below, "a heap of the tickets");
            }
            Some(ticket)
        }
        let mut keys = std::vec::Vec::new();
        walk(self.root, None, &mut keys);
        assert!(keys.is_sorted(), "a search tree of the keys");
        assert_eq!(keys.len(), self.len as usize);
        keys
    }
}
