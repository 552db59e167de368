//! How anything waits: one engine for tasks and threads, whatever they wait for.
//!
//! | room | what it holds |
//! |---|---|
//! | [`node`] | one waiter: its links, its need, its waker, and the outcome that it waits for |
//! | [`queue`] | the waiters in order; O(1) append, front, remove |
//! | [`batch`] | wakers on their way from the queue, where they may not run, to where they may |
//! | [`parker`] | a thread as a waker: the pool of parkers, sleeping, spinning |
//! | [`interrupt`] | ending another thread's wait |
//! | [`thread`] | a thread that waits for its node's outcome: spin, park, deadline, interrupt |
//! | [`options`] | how long a thread waits, and why it stopped |
//! | [`tree`] | a search tree of nodes that lie elsewhere |
//! | [`lock`] | a small lock for the queues that have none in a word of their own |
//! | [`reason`] | what a waiter waits for, in a word |
//! | [`timing`] | the hook of the contention profiles: who waited for how long, and whose release ended it |
//! | [`coop`] | what the feature `tokio` adds |
//!
//! # The rules of the house
//! **W1.** A node's state leaves `QUEUED` once, under its queue's lock, and the waker is moved out before (P1 in [`node`]).
//! After the outcome is published nobody but the waiter touches the node: it may be freed at once.
//!
//! **W2.** The queue points at nodes; a node never points at the queue or at anything inside its owner. So a future that
//! is queued may be forgotten while the memory below it stays pinned, and the semaphore may be moved afterwards.
//!
//! **W3.** No waker is woken, cloned or dropped while a queue is locked. Wakers are the user's code: they may panic, block,
//! or call back.
//!
//! **W4.** A lock is held for at most [`batch::CAPACITY`] nodes.

pub(crate) mod batch;
pub(crate) mod coop;
#[cfg(feature = "std")]
pub(crate) mod interrupt;
pub(crate) mod lock;
pub(crate) mod node;
#[cfg(feature = "std")]
pub(crate) mod options;
#[cfg(feature = "std")]
pub(crate) mod parker;
pub(crate) mod queue;
pub(crate) mod reason;
#[cfg(feature = "std")]
pub(crate) mod thread;
pub(crate) mod timing;
pub(crate) mod tree;
