//! The waiters of one semaphore, in order.
//!
//! ```text
//!   front ─▶ node ⇄ node ⇄ node ◀─ back          a node's `prev` and `next` are nodes, never the queue (W2)
//! ```
//!
//! **Q1.** `front` is `None` iff `back` is; the front's `prev` and the back's `next` are `None`.
//! **Q2.** A node is in at most one queue, once; between `push_back` and `remove` it is alive and does not move.
//!
//! Every operation is O(1), touches at most the node, its two neighbours and the front, and needs the lock of whoever owns
//! the queue.
//!
//! With the feature `profile` the front carries what its queue's waiters have in common ([`timing`](super::timing)), and
//! hands it on when another becomes the front.

use super::node::Node;
use super::timing::Times;
use crate::sys::cell::UnsafeCell;
use crate::sys::const_fn;
use core::ptr::NonNull;

/// See the module head.
pub(crate) struct Queue {
    ends: UnsafeCell<Ends>,
}

#[derive(Clone, Copy)]
struct Ends {
    front: Option<NonNull<Node>>,
    back: Option<NonNull<Node>>,
}

impl Ends {
    const EMPTY: Self = Self { front: None, back: None };
}

// SAFETY: the ends are touched under the owner's lock only, and nodes may be touched from any thread (`Node: Sync`).
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl Queue {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Self { ends: UnsafeCell::new(Ends::EMPTY) }
        }
    }

    /// The node that has waited longest.
    ///
    /// # Safety
    /// The caller holds the lock.
    #[inline]
    pub(crate) unsafe fn front(&self) -> Option<NonNull<Node>> {
        // SAFETY: the lock's holder is alone with the ends.
        self.ends.with(|ends| unsafe { (*ends).front })
    }

    /// Appends a node.
    ///
    /// # Safety
    /// The caller holds the lock; the node is in no queue, and stays alive and in place until it is removed.
    #[inline]
    pub(crate) unsafe fn push_back(&self, node: NonNull<Node>) {
        self.ends.with_mut(|ends| {
            // SAFETY: the lock's holder is alone with the ends and with the links of linked nodes; Q1, Q2.
            unsafe {
                let back = (*ends).back;
                Node::init_links(node, back, None);
                match back {
                    Some(back) => Node::set_next(back, Some(node)),
                    None => {
                        (*ends).front = Some(node);
                        Times::hand_on(None, node);
                    }
                }
                (*ends).back = Some(node);
                Times::join(node, (*ends).front.unwrap_or(node));
            }
        });
    }

    /// Puts a node before all others.
    ///
    /// # Safety
    /// As for [`push_back`](Self::push_back).
    #[inline]
    pub(crate) unsafe fn push_front(&self, node: NonNull<Node>) {
        self.ends.with_mut(|ends| {
            // SAFETY: as in `push_back`.
            unsafe {
                let front = (*ends).front;
                Node::init_links(node, None, front);
                match front {
                    Some(front) => Node::set_prev(front, Some(node)),
                    None => (*ends).back = Some(node),
                }
                (*ends).front = Some(node);
                Times::hand_on(front, node);
                Times::join(node, node);
            }
        });
    }

    /// Moves all that is in `other`, which is empty afterwards, behind what is in this queue. (What a front carries for the profiles
    /// comes with it into an empty queue only: waiters of two queues that are joined belong in no mutex profile.)
    ///
    /// # Safety
    /// The caller holds the locks of both.
    #[inline]
    pub(crate) unsafe fn append(&self, other: &Self) {
        // SAFETY: the locks' holder is alone with the ends.
        let moved = other.ends.with_mut(|ends| unsafe { core::mem::replace(&mut *ends, Ends::EMPTY) });
        let Some(first) = moved.front else { return };
        self.ends.with_mut(|ends| {
            // SAFETY: as in `push_back`; both nodes are linked.
            unsafe {
                match (*ends).back {
                    Some(back) => {
                        Node::set_next(back, Some(first));
                        Node::set_prev(first, Some(back));
                    }
                    None => (*ends).front = Some(first),
                }
                (*ends).back = moved.back;
            }
        });
    }

    /// Takes a node out, wherever it stands.
    ///
    /// # Safety
    /// The caller holds the lock, and the node is in this queue.
    #[inline]
    pub(crate) unsafe fn remove(&self, node: NonNull<Node>) {
        self.ends.with_mut(|ends| {
            // SAFETY: as in `push_back`; the neighbours of a linked node are linked, hence alive (Q2).
            unsafe {
                let (prev, next) = (Node::prev(node), Node::next(node));
                Times::leave(node, (*ends).front.unwrap_or(node));
                match prev {
                    Some(prev) => Node::set_next(prev, next),
                    None => {
                        (*ends).front = next;
                        if let Some(next) = next {
                            Times::hand_on(Some(node), next);
                        }
                    }
                }
                match next {
                    Some(next) => Node::set_prev(next, prev),
                    None => (*ends).back = prev,
                }
            }
        });
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    fn contents(queue: &Queue) -> Vec<usize> {
        let mut needs = vec![];
        // SAFETY: one thread, and every node of these tests outlives its queue.
        let mut at = unsafe { queue.front() };
        let mut prev = None;
        while let Some(node) = at {
            // SAFETY: as above.
            unsafe {
                assert_eq!(Node::prev(node), prev);
                needs.push(node.as_ref().need());
                prev = at;
                at = Node::next(node);
            }
        }
        // SAFETY: as above.
        assert_eq!(queue.ends.with(|ends| unsafe { (*ends).back }), prev);
        needs
    }

    proptest::proptest! {
        /// Any mixture of additions at both ends and removals leaves what a `VecDeque` leaves, with sound links.
        #[test]
        fn queue_equals_a_deque(script in proptest::collection::vec((0_u8..5, 0_usize..64), 0..200)) {
            let nodes: Vec<Node> = (0..200).map(Node::new).collect();
            let queue = Queue::new();
            let mut model = VecDeque::new();
            let mut fresh = nodes.iter().enumerate();
            for (kind, at) in script {
                if kind < 3 {
                    let (id, node) = fresh.next().expect("as many nodes as steps");
                    if kind < 2 {
                        // SAFETY: one thread; the node is new and outlives the queue.
                        unsafe { queue.push_back(NonNull::from(node)) };
                        model.push_back(id);
                    } else {
                        // SAFETY: as above.
                        unsafe { queue.push_front(NonNull::from(node)) };
                        model.push_front(id);
                    }
                } else if !model.is_empty() {
                    let id = model.remove(at % model.len()).expect("in range");
                    // SAFETY: one thread; the model says that it is linked.
                    unsafe { queue.remove(NonNull::from(&nodes[id])) };
                }
                proptest::prop_assert_eq!(contents(&queue), Vec::from(model.clone()));
            }
            let heir = Queue::new();
            // SAFETY: one thread.
            unsafe { heir.append(&queue) };
            proptest::prop_assert_eq!(contents(&heir), Vec::from(model.clone()));
            proptest::prop_assert!(contents(&queue).is_empty());
            // Behind what is there, and behind nothing.
            if let Some((id, node)) = fresh.next() {
                // SAFETY: one thread; the node is new and outlives the queue.
                unsafe { queue.push_back(NonNull::from(node)) };
                model.push_front(id);
            }
            for _ in 0..2 {
                // SAFETY: one thread.
                unsafe { queue.append(&heir) };
                proptest::prop_assert_eq!(contents(&queue), Vec::from(model.clone()));
                proptest::prop_assert!(contents(&heir).is_empty());
                // SAFETY: one thread.
                unsafe { heir.append(&queue) };
                proptest::prop_assert_eq!(contents(&heir), Vec::from(model.clone()));
            }
        }
    }
}
