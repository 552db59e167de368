//! What the threads of a scenario do.

use super::super::word::{QUEUED, Word};
use super::state::{Bits, Fate, Goal, List, NODES, Node, Pc, State, THREADS, Thread};
use crate::semaphore::locked::LockWord as _;
use std::vec;
use std::vec::Vec;

/// An operation of a script. Those without a number concern the thread's node: the last that it joined or owns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Op {
    /// The first poll of an acquisition.
    Join(usize),
    /// Waits until the acquisition has its outcome.
    Wait,
    /// `Join` and `Wait`.
    Acquire(usize),
    /// A blocking acquisition whose time is up as soon as it waits.
    Timed(usize),
    /// Waits until the acquisition has its outcome, or this other thread has done all its script says, at the end of
    /// which it interrupts this one.
    Interrupted(usize),
    /// A later poll, with the same waker.
    Poll,
    /// A later poll, with another waker.
    Repoll,
    /// Drops the acquisition; gives a grant back that nobody has seen.
    Cancel,
    Try(usize),
    Release(usize),
    Forget(usize),
    Available,
    Close,
    /// Takes no step: the thread's node is this one of those that wait from the beginning.
    Own(usize),
}

impl Op {
    /// Whether it gives its thread a node.
    pub(super) fn is_on_node(self) -> bool {
        matches!(self, Self::Join(_) | Self::Acquire(_) | Self::Timed(_) | Self::Own(_))
    }
}

/// A scenario.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) name: &'static str,
    permits: usize,
    /// MAX_PERMITS.
    pub(super) max: usize,
    /// Words with fewer permits take a deposit blindly. The author of a scenario sees to it that this cannot overflow.
    pub(super) blind: usize,
    /// The capacity of a batch.
    pub(super) batch: usize,
    /// The nodes whose wakers panic, a bit each.
    pub(super) panics: u8,
    needs: Vec<usize>,
    /// How many nodes wait from the beginning.
    queued: usize,
    scripts: Vec<Vec<(Op, usize)>>,
}

/// A scenario with so many permits, where batches hold two and nothing comes near MAX.
pub(super) fn plan(name: &'static str, permits: usize) -> Plan {
    let (max, batch) = (15, 2);
    Plan { name, permits, max, blind: max, batch, panics: 0, needs: vec![], queued: 0, scripts: vec![] }
}

impl Plan {
    /// Batches hold one.
    pub(super) fn in_ones(self) -> Self {
        Self { batch: 1, ..self }
    }

    /// There may be so many permits, and a word with `blind` or more is added to by CAS.
    pub(super) fn at_most(self, max: usize, blind: usize) -> Self {
        Self { max, blind, ..self }
    }

    /// These wait from the beginning, and the first does not fit.
    pub(super) fn queue(mut self, needs: &[usize]) -> Self {
        assert!(needs[0] > self.permits && self.needs.is_empty(), "{}: they would not wait", self.name);
        self.needs.extend(needs);
        self.queued = needs.len();
        self
    }

    /// The wakers of these nodes panic.
    pub(super) fn panicking(mut self, nodes: &[usize]) -> Self {
        nodes.iter().for_each(|node| self.panics |= 1 << node);
        self
    }

    /// One more thread.
    pub(super) fn thread(mut self, script: &[Op]) -> Self {
        let mut steps = vec![];
        let mut node = usize::MAX;
        for &op in script {
            match op {
                Op::Own(mine) => node = mine,
                Op::Join(n) | Op::Acquire(n) | Op::Timed(n) => {
                    node = self.needs.len();
                    self.needs.push(n);
                    steps.push((if matches!(op, Op::Acquire(_)) { Op::Join(n) } else { op }, node));
                    if matches!(op, Op::Acquire(_)) {
                        steps.push((Op::Wait, node));
                    }
                }
                op => steps.push((op, node)),
            }
        }
        self.scripts.push(steps);
        assert!(self.scripts.len() <= THREADS && self.needs.len() <= NODES, "{}: too large", self.name);
        self
    }

    pub(super) fn threads(&self) -> usize {
        self.scripts.len()
    }

    pub(super) fn need(&self, node: usize) -> usize {
        self.needs[node]
    }

    /// The operation of `thread`, next or in progress, and the node that it concerns.
    pub(super) fn op(&self, thread: usize, at: u8) -> Option<(Op, usize)> {
        self.scripts[thread].get(usize::from(at)).copied()
    }

    pub(super) fn permits(&self) -> usize {
        self.permits
    }

    /// The state in which the scenario begins.
    pub(super) fn start(&self) -> State {
        let mut queue = List::EMPTY;
        let mut nodes = [Node { fate: Fate::Idle, due: 0 }; NODES];
        for (at, node) in nodes.iter_mut().enumerate().take(self.queued) {
            queue.push(at);
            node.fate = Fate::Queued;
        }
        let word = Word::new(self.permits).with(if self.queued == 0 { 0 } else { QUEUED });
        State {
            word: Bits::from(word),
            sleepers: 0,
            queue,
            nodes,
            threads: [Thread { at: 0, pc: Pc::Idle, goal: Goal::None, panicked: false, seen: 0 }; THREADS],
            holder: None,
            kept: 0,
            permits: self.permits as u8,
            served: 0,
        }
    }
}
