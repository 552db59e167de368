//! Explicit-state models: every state that can be reached is visited, with a death between any two steps.
//!
//! `lock` has the steps of the lock, written down again, since threads mix inside of it. `table` has no steps of its own: it
//! runs the critical sections as they are shipped, on a small file, and ends each of them at each of its steps.

mod lock;
mod table;

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// What happens without anybody being asked, and so cannot be relied upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A process goes on.
    Step,
    /// A process dies, or loses something.
    Fault,
    /// A process begins that need not have: a new one, or one that gives up.
    Choice,
}

/// Something whose states are explored.
pub(super) trait Model {
    type State: Clone + Eq + Hash + Debug;

    fn start(&self) -> Self::State;

    /// All that can happen next. An error is a broken invariant.
    fn next(&self, state: &Self::State, to: &mut dyn FnMut(Kind, Self::State)) -> Result<(), String>;

    /// What has to hold in each state.
    fn check(&self, state: &Self::State) -> Result<(), String>;

    /// Nobody who lives has anything left to do.
    fn is_done(&self, state: &Self::State) -> bool;
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Explored {
    pub(super) states: usize,
    pub(super) transitions: usize,
    /// States from which no steps lead to an end, without another fault or choice.
    pub(super) stuck: usize,
}

/// The hash of the compiler's own tables: one multiplication for each word.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut raw = [0; 8];
            raw[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(raw));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517C_C1B7_2722_0A95);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Visits every state, and looks from which of them an end can be reached by steps alone.
pub(super) fn explore<M: Model>(model: &M) -> Result<Explored, String> {
    let start = model.start();
    let mut known: HashMap<M::State, u32, BuildHasherDefault<Mix>> = HashMap::default();
    let mut states = vec![start.clone()];
    let mut parents = vec![0u32];
    // From, to: steps only.
    let mut steps: Vec<(u32, u32)> = Vec::new();
    let mut transitions = 0;
    known.insert(start, 0);
    let mut at = 0;
    while at < states.len() {
        let state = states[at].clone();
        let mut reached = Vec::new();
        let found = model.check(&state).and_then(|()| model.next(&state, &mut |kind, next| reached.push((kind, next))));
        if let Err(what) = found {
            return Err(format!("{what}\n{}", trace::<M>(&states, &parents, at)));
        }
        for (kind, next) in reached {
            transitions += 1;
            let index = *known.entry(next).or_insert_with_key(|next| {
                states.push(next.clone());
                parents.push(at as u32);
                states.len() as u32 - 1
            });
            if kind == Kind::Step {
                steps.push((index, at as u32));
            }
        }
        at += 1;
    }
    // Backwards from the ends. The steps are sorted by where they lead to.
    steps.sort_unstable();
    let mut reaches = vec![false; states.len()];
    let mut left: Vec<u32> = (0..states.len() as u32).filter(|at| model.is_done(&states[*at as usize])).collect();
    for end in &left {
        reaches[*end as usize] = true;
    }
    while let Some(to) = left.pop() {
        let first = steps.partition_point(|step| step.0 < to);
        for (_, from) in steps[first..].iter().take_while(|step| step.0 == to) {
            if !std::mem::replace(&mut reaches[*from as usize], true) {
                left.push(*from);
            }
        }
    }
    let stuck = reaches.iter().filter(|reaches| !**reaches).count();
    Ok(Explored { states: states.len(), transitions, stuck })
}

/// How a state was reached: one line for each state on a shortest way.
fn trace<M: Model>(states: &[M::State], parents: &[u32], mut at: usize) -> String {
    let mut lines = vec![format!("{:?}", states[at])];
    while at != 0 {
        at = parents[at] as usize;
        lines.push(format!("{:?}", states[at]));
    }
    lines.reverse();
    lines.join("\n")
}
