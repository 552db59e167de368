//! The hook without the feature `profile`: nothing.

use crate::wait::node::{Node, State};
use crate::wait::queue::Queue;
use core::ptr::NonNull;

/// Nothing.
pub(crate) struct Times;

impl Times {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) unsafe fn join(_node: NonNull<Node>, _front: NonNull<Node>) {}

    #[inline(always)]
    pub(crate) unsafe fn leave(_node: NonNull<Node>, _front: NonNull<Node>) {}

    #[inline(always)]
    pub(crate) unsafe fn hand_on(_from: Option<NonNull<Node>>, _to: NonNull<Node>) {}
}

impl Node {
    /// Nothing.
    #[inline(always)]
    pub(crate) fn begin_wait(&self) {}
}

/// Nothing.
#[inline(always)]
pub(crate) fn ended(_node: &Node) {}

/// Nothing.
#[derive(Debug)]
pub(crate) struct Charge;

impl Charge {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) unsafe fn decide(&mut self, _queue: &Queue, _node: NonNull<Node>, _outcome: State) {}

    #[inline(always)]
    pub(crate) fn stamp(_node: &Node) {}

    #[inline(always)]
    pub(crate) fn forgive(&mut self) {}

    #[inline(always)]
    pub(crate) fn report(&mut self) {}
}
