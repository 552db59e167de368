//! Breadth first through all states, so that the trace to a broken property is a shortest one.

use super::Bug;
use super::plan::Plan;
use super::spec::{Property, broken_at_end};
use super::state::State;
use super::step::Turn;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::string::String;
use std::vec::Vec;
use std::{format, vec};

/// What an exploration found.
pub(super) struct Explored {
    pub(super) states: usize,
    /// The properties that do not hold, each with a shortest way to where it does not.
    pub(super) broken: BTreeMap<Property, String>,
}

/// Visits every state of `plan`, with `bug` seeded.
pub(super) fn explore(plan: &Plan, bug: Option<Bug>) -> Explored {
    let mut graph = Graph::new(plan.start());
    let mut broken = BTreeMap::new();
    let mut at = 0;
    while at < graph.states.len() {
        let state = graph.states[at];
        let mut ends = true;
        for thread in 0..plan.threads() {
            let mut turn = Turn::new(plan, bug, thread, state);
            if !turn.take() {
                continue;
            }
            ends = false;
            graph.step(turn.state, at, thread);
            for property in turn.broken {
                broken
                    .entry(property)
                    .or_insert_with(|| graph.trace(at) + &format!("\n  {}", shown(thread, &state, &turn.state)));
            }
        }
        if ends {
            for property in broken_at_end(plan, &state) {
                broken.entry(property).or_insert_with(|| graph.trace(at));
            }
        }
        at += 1;
        graph.ends.push(graph.edges.len() as u32);
    }
    if let Some(at) = graph.circle() {
        broken.insert(Property::EveryRunEnds, graph.trace(at));
    }
    Explored { states: graph.states.len(), broken }
}

/// A line of a trace: a thread, the step that it makes, the state after it.
fn shown(thread: usize, before: &State, after: &State) -> String {
    format!("{thread} {:?} -> {after:?}", before.threads[thread].pc)
}

/// The states met so far, in order, and the steps between them.
struct Graph {
    states: Vec<State>,
    /// For each state the one that it was first reached from, and the thread that made the step.
    from: Vec<(u32, u8)>,
    /// The states that the steps from each state lead to, those of one after those of another; and where they end.
    edges: Vec<u32>,
    ends: Vec<u32>,
    /// Open addressing, by hash: one more than a place in `states`, or 0.
    slots: Vec<u32>,
}

impl Graph {
    fn new(start: State) -> Self {
        let mut graph = Self { states: vec![], from: vec![], edges: vec![], ends: vec![], slots: vec![0; 1 << 12] };
        graph.place(start, 0, 0);
        graph
    }

    /// `thread` makes a step from the state `from` to `state`.
    fn step(&mut self, state: State, from: usize, thread: usize) {
        let to = self.place(state, from, thread);
        self.edges.push(to);
    }

    /// Where `state` is, as of now if it is new.
    fn place(&mut self, state: State, from: usize, thread: usize) -> u32 {
        if self.states.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let slot = self.slot(&state);
        if self.slots[slot] == 0 {
            self.states.push(state);
            self.from.push((from as u32, thread as u8));
            self.slots[slot] = self.states.len() as u32;
        }
        self.slots[slot] - 1
    }

    /// The slot of `state`, or the free one where it belongs.
    fn slot(&self, state: &State) -> usize {
        let mut hasher = Mixer(0);
        state.hash(&mut hasher);
        let mut slot = (hasher.finish() >> 32) as usize % self.slots.len();
        while self.slots[slot] != 0 && self.states[self.slots[slot] as usize - 1] != *state {
            slot = (slot + 1) % self.slots.len();
        }
        slot
    }

    fn grow(&mut self) {
        self.slots = vec![0; self.slots.len() * 4];
        for at in 0..self.states.len() {
            let slot = self.slot(&self.states[at]);
            self.slots[slot] = at as u32 + 1;
        }
    }

    /// A state on a circle of steps, or behind one, if there is any: one that is left when those that no step leads to
    /// have been taken away, again and again.
    fn circle(&self) -> Option<usize> {
        let mut entries = vec![0_u32; self.states.len()];
        self.edges.iter().for_each(|&to| entries[to as usize] += 1);
        let mut free: Vec<usize> = (0..entries.len()).filter(|&at| entries[at] == 0).collect();
        let mut left = entries.len();
        while let Some(at) = free.pop() {
            left -= 1;
            let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
            for &to in &self.edges[start..self.ends[at] as usize] {
                entries[to as usize] -= 1;
                if entries[to as usize] == 0 {
                    free.push(to as usize);
                }
            }
        }
        if left == 0 { None } else { entries.iter().position(|&entries| entries > 0) }
    }

    /// The way to the state `at`.
    fn trace(&self, mut at: usize) -> String {
        let mut lines = vec![];
        while at != 0 {
            let (from, thread) = self.from[at];
            lines.push(format!("  {}", shown(thread.into(), &self.states[from as usize], &self.states[at])));
            at = from as usize;
        }
        lines.push(format!("  {:?}", self.states[0]));
        lines.reverse();
        lines.join("\n")
    }
}

/// A hasher for small fields: a multiplication each.
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_isize(&mut self, discriminant: isize) {
        self.write_u64(discriminant as u64);
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
