//! One waiter at an address: a node of the wait engine, and a place in a tree.
//!
//! # Who may touch what
//! The node as its own head says. `place` and `group` are written when the waiter becomes the *head* of its address: the first of those
//! who wait there, which stands in the tree for all of them. From then on they are the holder's of the bucket's lock, until the
//! waiter is no head any more; those behind a head have neither. `order` is the owner's while not linked, and
//! read only while linked; `ahead` is the owner's.

use crate::sys::cell::UnsafeCell;
use crate::wait::node::Node;
use crate::wait::queue::Queue;
use crate::wait::reason::WaitReason;
use crate::wait::tree::{Branch, Place};
use core::cell::Cell;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

pub(super) type Link = Option<NonNull<Waiter>>;

/// Where a waiter joins those of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Behind all.
    Fifo,
    /// Before all.
    Lifo,
}

/// Which of the two words somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A [`Sema`](super::Sema).
    Bit,
    /// A [`RawSema`](super::RawSema).
    Raw,
}

impl Protocol {
    /// Told apart by the lowest bit of a key, which no address of a word has: who was forgotten where a word of one kind was,
    /// is in nobody's way where a word of the other kind is now.
    #[inline(always)]
    pub(super) const fn tag(self) -> usize {
        match self {
            Self::Bit => 0,
            Self::Raw => 1,
        }
    }
}

/// What a head has for all who wait at its address.
pub(super) struct Group {
    /// All who wait here, this head first.
    pub(super) list: Queue,
    /// Waiters in `list`.
    pub(super) len: u32,
}

/// See the module head. `repr(C)`, the node first: a list links nodes, and what it finds are waiters.
#[repr(C)]
pub(super) struct Waiter {
    pub(super) node: Node,
    pub(super) order: Order,
    /// How many waited at the address when it joined.
    pub(super) ahead: Cell<u32>,
    place: UnsafeCell<MaybeUninit<Place<Self, usize>>>,
    group: UnsafeCell<MaybeUninit<Group>>,
}

// SAFETY: the module head: each field is touched by one party at a time, or constant while shared.
unsafe impl Send for Waiter {}
// SAFETY: as above.
unsafe impl Sync for Waiter {}

impl Waiter {
    #[inline(always)]
    pub(super) fn new() -> Self {
        let node = Node::new(1);
        node.set_reason(WaitReason::Wakeup);
        Self {
            node,
            order: Order::Fifo,
            ahead: Cell::new(0),
            place: UnsafeCell::new(MaybeUninit::uninit()),
            group: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// The node of a waiter.
    pub(super) fn node_of(waiter: NonNull<Self>) -> NonNull<Node> {
        waiter.cast() // `repr(C)`, the first field
    }

    /// The waiter that a list of an address has the node of.
    ///
    /// # Safety
    /// The node came from [`node_of`](Self::node_of).
    pub(super) unsafe fn of_node(node: NonNull<Node>) -> NonNull<Self> {
        node.cast() // with the provenance of the whole waiter, since it was made from one
    }

    /// Makes the waiter a head for those of `group`.
    ///
    /// # Safety
    /// The caller holds the lock of the bucket, and the waiter is alive and no head.
    pub(super) unsafe fn put_group(waiter: NonNull<Self>, group: Group) {
        // SAFETY: by the caller's promise nobody else looks at it.
        unsafe { waiter.as_ref() }.group.with_mut(|at| unsafe {
            (*at).write(group);
        });
    }

    /// Looks at, or changes, what a head has of its group.
    ///
    /// # Safety
    /// The caller holds the lock of the bucket in which the waiter is a head, and `f` does not look at the same group.
    #[inline(always)]
    pub(super) unsafe fn group<R>(head: NonNull<Self>, f: impl FnOnce(&mut Group) -> R) -> R {
        // SAFETY: a linked waiter is alive; a head has a group, which is the lock's holder's.
        unsafe { head.as_ref() }.group.with_mut(|at| f(unsafe { (*at).assume_init_mut() }))
    }

    /// The address at which a head waits.
    ///
    /// # Safety
    /// As for [`group`](Self::group).
    pub(super) unsafe fn key(head: NonNull<Self>) -> usize {
        // SAFETY: passed on.
        unsafe { Self::place(head, |place| place.key) }
    }
}

// SAFETY: both are about the field `place`.
unsafe impl Branch for Waiter {
    type Key = usize;

    unsafe fn put_place(head: NonNull<Self>, place: Place<Self, usize>) {
        // SAFETY: the lock is held and the waiter no head yet, so nobody else looks at the place.
        unsafe { head.as_ref() }.place.with_mut(|at| unsafe {
            (*at).write(place);
        });
    }

    #[inline(always)]
    unsafe fn place<R>(head: NonNull<Self>, f: impl FnOnce(&mut Place<Self, usize>) -> R) -> R {
        // SAFETY: a head is alive and has a place, which is the lock's holder's.
        unsafe { head.as_ref() }.place.with_mut(|at| f(unsafe { (*at).assume_init_mut() }))
    }
}
