//! What has been recorded, by stack: a table of bounded size.
//!
//! Its lock is the standard library's mutex, which is no event of ours. It is taken on the recording thread's stack with
//! no queue locked, and under it nothing is allocated, freed, or called: an allocator of the user's may wait for a
//! semaphore whose holder is about to record something. So the table is made before the lock is taken, for as many stacks
//! as it will ever have, and so is the copy of a stack that is new. A stack that is known costs no allocation.

use super::sample::Totals;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use std::vec::Vec;

/// How many different stacks are kept, unless somebody says otherwise.
pub(super) const DEFAULT_STACKS: usize = 4096;

/// See the module head.
pub(super) struct Store {
    inner: Mutex<Inner>,
}

struct Inner {
    /// `None` until the profile is first switched on. Has room for `max` stacks.
    table: Option<HashMap<Arc<[usize]>, Totals>>,
    max: usize,
    /// What belongs to stacks that did not fit.
    overflow: Totals,
    /// Events that were not recorded, since they came from within the recording of another.
    lost: u64,
    /// Since when all this has been recorded.
    since: Option<Instant>,
}

/// A copy of what has been recorded.
pub(super) struct Recorded {
    pub(super) stacks: Vec<(Arc<[usize]>, Totals)>,
    pub(super) overflow: Totals,
    pub(super) lost: u64,
    pub(super) since: Option<Instant>,
}

impl Store {
    pub(super) const fn new() -> Self {
        let inner =
            Inner { table: None, max: DEFAULT_STACKS, overflow: Totals { count: 0.0, nanos: 0 }, lost: 0, since: None };
        Self { inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing under it panics halfway.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the table, if there is none yet.
    pub(super) fn prepare(&self) {
        let max = {
            let inner = self.lock();
            if inner.table.is_some() {
                return;
            }
            inner.max
        };
        self.replace(max, true);
    }

    /// At most so many stacks from now on. What is recorded stays, if it fits; otherwise it goes to the overflow.
    pub(super) fn set_max(&self, max: usize) {
        self.replace(max, true);
    }

    pub(super) fn max(&self) -> usize {
        self.lock().max
    }

    /// Forgets everything.
    pub(super) fn reset(&self) {
        self.replace(self.max(), false);
    }

    /// A table for `max` stacks, which keeps what there is, or forgets it.
    fn replace(&self, max: usize, keep: bool) {
        let mut table = HashMap::with_capacity(max);
        let mut surplus = Vec::new();
        loop {
            let mut inner = self.lock();
            let recorded = inner.table.as_ref().map_or(0, HashMap::len);
            if surplus.capacity() < recorded {
                drop(inner);
                surplus = Vec::with_capacity(recorded);
                continue;
            }
            let mut old = inner.table.take();
            if keep {
                for (stack, totals) in old.iter_mut().flat_map(HashMap::drain) {
                    if table.len() < max {
                        table.insert(stack, totals);
                    } else {
                        inner.overflow += totals;
                        surplus.push(stack); // to be freed without the lock
                    }
                }
                inner.since.get_or_insert_with(Instant::now);
            } else {
                (inner.overflow, inner.lost, inner.since) = (Totals::default(), 0, Some(Instant::now()));
            }
            (inner.table, inner.max) = (Some(table), max);
            drop(inner);
            return drop((old, surplus));
        }
    }

    /// Records something at a stack.
    pub(super) fn add(&self, stack: &[usize], totals: Totals) {
        if self.lock().add_known(stack, totals) {
            return;
        }
        let copy: Arc<[usize]> = Arc::from(stack);
        let unused = self.lock().add_new(copy, totals);
        drop(unused); // without the lock
    }

    /// An event was not recorded, since it came from within the recording of another.
    pub(super) fn lose(&self) {
        let mut inner = self.lock();
        inner.lost = inner.lost.saturating_add(1);
    }

    pub(super) fn recorded(&self) -> Recorded {
        let mut stacks = Vec::new();
        loop {
            let inner = self.lock();
            let len = inner.table.as_ref().map_or(0, HashMap::len);
            if stacks.capacity() < len {
                drop(inner);
                stacks.reserve_exact(len);
                continue;
            }
            stacks.extend(inner.table.iter().flatten().map(|(stack, totals)| (stack.clone(), *totals)));
            return Recorded { stacks, overflow: inner.overflow, lost: inner.lost, since: inner.since };
        }
    }
}

impl Inner {
    /// Whether it is recorded: the stack is known, or there is no room for another.
    fn add_known(&mut self, stack: &[usize], totals: Totals) -> bool {
        let Self { table: Some(table), overflow, max, .. } = self else {
            return true; // not started
        };
        if let Some(known) = table.get_mut(stack) {
            *known += totals;
        } else if table.len() >= *max {
            *overflow += totals;
        } else {
            return false;
        }
        true
    }

    /// Returns the stack if it was not needed.
    fn add_new(&mut self, stack: Arc<[usize]>, totals: Totals) -> Option<Arc<[usize]>> {
        if self.add_known(&stack, totals) {
            return Some(stack);
        }
        if let Some(table) = &mut self.table {
            table.insert(stack, totals);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Totals = Totals { count: 1.0, nanos: 10 };

    fn store(max: usize) -> Store {
        let store = Store::new();
        store.set_max(max);
        store
    }

    fn recorded(store: &Store) -> Vec<(Vec<usize>, f64, u64)> {
        let mut all: Vec<_> =
            store.recorded().stacks.iter().map(|(stack, t)| (stack.to_vec(), t.count, t.nanos)).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    #[test]
    fn a_stack_is_kept_once() {
        let store = store(8);
        store.add(&[1, 2], ONE);
        store.add(&[1, 2, 3], ONE);
        store.add(&[1, 2], ONE);
        assert_eq!(recorded(&store), [(vec![1, 2], 2.0, 20), (vec![1, 2, 3], 1.0, 10)]);
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let store = store(2);
        for stack in 0..5 {
            store.add(&[stack], ONE);
            store.add(&[0], ONE);
        }
        assert_eq!(recorded(&store), [(vec![0], 6.0, 60), (vec![1], 1.0, 10)]);
        assert_eq!(store.recorded().overflow, Totals { count: 3.0, nanos: 30 });
    }

    #[test]
    fn a_smaller_bound_moves_to_the_overflow_what_does_not_fit_any_more() {
        let store = store(100);
        (0..10).for_each(|stack| store.add(&[stack], ONE));
        store.set_max(4);
        assert_eq!((store.max(), store.recorded().stacks.len()), (4, 4));
        assert_eq!(store.recorded().overflow, Totals { count: 6.0, nanos: 60 });
        store.set_max(5);
        store.add(&[77], ONE);
        assert_eq!(store.recorded().stacks.len(), 5);
        store.set_max(0);
        store.add(&[77], ONE);
        assert_eq!((store.recorded().stacks.len(), store.recorded().overflow.nanos), (0, 120));
    }

    #[test]
    fn a_reset_forgets_everything_but_the_bound() {
        let store = store(1);
        store.add(&[1], ONE);
        store.add(&[2], ONE);
        store.lose();
        store.reset();
        let Recorded { stacks, overflow, lost, since } = store.recorded();
        assert_eq!((stacks.len(), overflow, lost, store.max()), (0, Totals::default(), 0, 1));
        assert!(since.is_some());
        store.add(&[3], ONE);
        assert_eq!(recorded(&store), [(vec![3], 1.0, 10)]);
    }

    #[test]
    fn what_was_never_started_records_nothing() {
        let store = Store::new();
        store.add(&[1], ONE);
        assert!(store.recorded().stacks.is_empty());
        store.prepare();
        store.add(&[1], ONE);
        store.prepare();
        assert_eq!(recorded(&store), [(vec![1], 1.0, 10)]);
    }
}
