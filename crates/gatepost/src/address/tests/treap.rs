//! The treap of a bucket, after each operation.

use crate::address::treap::Treap;
use crate::address::waiter::{Order, Waiter};
use crate::wait::node::Node;
use crate::wait::tree::{Branch, steps};
use proptest::prelude::*;
use std::boxed::Box;
use std::collections::{BTreeMap, VecDeque};
use std::ptr::NonNull;
use std::vec::Vec;

/// A treap, and what it should hold: for each address the numbers of its waiters, in their order.
struct Both {
    treap: Treap,
    model: BTreeMap<usize, VecDeque<usize>>,
    #[allow(clippy::vec_box)] // they are linked, and must not move when the vector grows
    waiters: Vec<Box<Waiter>>,
}

impl Both {
    fn new() -> Self {
        Self { treap: Treap::new(), model: BTreeMap::new(), waiters: Vec::new() }
    }

    fn waiter(&self, number: usize) -> NonNull<Waiter> {
        NonNull::from(&*self.waiters[number])
    }

    fn push(&mut self, key: usize, order: Order) {
        let mut waiter = Box::new(Waiter::new());
        waiter.order = order;
        let number = self.waiters.len();
        self.waiters.push(waiter);
        // SAFETY: one thread; the waiter is new, boxed, and outlives the treap.
        unsafe { self.treap.push(key, self.waiter(number)) };
        let list = self.model.entry(key).or_default();
        match order {
            Order::Fifo => list.push_back(number),
            Order::Lifo => list.push_front(number),
        }
    }

    /// Removes the `at`th waiter of `key`, if there is any.
    fn remove(&mut self, key: usize, at: usize) {
        // SAFETY: one thread.
        let head = unsafe { self.treap.find(key) };
        let Some(list) = self.model.get_mut(&key) else { return assert!(head.is_none()) };
        let number = list.remove(at % list.len()).unwrap();
        let last = list.is_empty();
        if last {
            self.model.remove(&key);
        }
        // SAFETY: one thread; the model says that it is linked there.
        let was_last = unsafe { self.treap.remove(head.unwrap(), self.waiter(number)) };
        assert_eq!(was_last, last);
    }

    /// G22: everything that holds after each operation.
    fn check(&self) {
        // SAFETY: one thread.
        let keys = unsafe { self.treap.tree().checked() };
        assert!(keys.iter().eq(self.model.keys()), "a search tree of the addresses, each once: {keys:?}");
        assert_eq!(self.treap.heads() as usize, self.model.len());
        for (key, list) in &self.model {
            let mut waiters = Vec::new();
            // SAFETY: one thread.
            unsafe {
                self.treap.for_each(|at, all| {
                    if at == *key {
                        waiters = all.collect();
                    }
                });
            }
            let expected: Vec<_> = list.iter().map(|&number| self.waiter(number)).collect();
            assert_eq!(waiters, expected, "the waiters of {key}, in their order");
            // SAFETY: one thread; it is the head.
            let len = unsafe { Waiter::group(waiters[0], |group| group.len) };
            assert_eq!(len as usize, list.len());
        }
    }

    fn ticket_of(&self, key: usize) -> u32 {
        // SAFETY: one thread; there is a head.
        unsafe { Waiter::place(self.treap.find(key).unwrap(), |place| place.ticket()) }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn g22_after_each_operation_the_treap_is_one_and_holds_what_the_model_holds(
        script in proptest::collection::vec((0_u8..8, 0_usize..24, any::<usize>()), 0..200)
    ) {
        let mut both = Both::new();
        for (kind, key, at) in script {
            match kind {
                0..3 => both.push(key * 4, Order::Fifo),
                3..5 => both.push(key * 4, Order::Lifo),
                5..7 => both.remove(key * 4, at),
                _ => both.remove(key * 4, 0),
            }
            both.check();
        }
    }

    #[test]
    fn b_i2_a_split_moves_exactly_those_that_belong_elsewhere_with_all_their_waiters(
        script in proptest::collection::vec((0_usize..64, any::<bool>()), 0..200)
    ) {
        let mut both = Both::new();
        for (key, lifo) in script {
            both.push(key * 4, if lifo { Order::Lifo } else { Order::Fifo });
        }
        let mut other = Both::new();
        let belongs = |key: usize| key / 4 % 3 == 1;
        // SAFETY: one thread.
        let moved = unsafe { both.treap.split(&mut other.treap, belongs) };
        let (there, here): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut both.model).into_iter().partition(|(key, _)| belongs(*key));
        prop_assert_eq!(moved as usize, there.values().map(VecDeque::len).sum::<usize>());
        both.model = here;
        both.check();
        other.model = there;
        other.waiters = std::mem::take(&mut both.waiters);
        other.check();
    }
}

#[test]
fn g15_an_address_stands_in_the_tree_once_and_others_wait_behind_its_head() {
    let mut both = Both::new();
    for _ in 0..5 {
        both.push(8, Order::Fifo);
        both.push(4, Order::Fifo);
    }
    assert_eq!(both.treap.heads(), 2);
    both.check();
}

#[test]
fn g16_to_append_takes_as_many_steps_however_many_wait() {
    let mut both = Both::new();
    let mut taken = Vec::new();
    for _ in 0..1000 {
        let before = steps::count();
        both.push(4, Order::Fifo);
        taken.push(steps::count() - before);
    }
    assert_eq!(taken[0], 0, "an empty tree");
    assert!(taken[1..].iter().all(|&steps| steps == 1), "the head, and nothing behind it");
}

#[test]
fn g17_who_comes_first_replaces_the_head_in_its_place() {
    let mut both = Both::new();
    (1..10).for_each(|key| both.push(key * 4, Order::Fifo));
    let ticket = both.ticket_of(20);
    both.push(20, Order::Lifo);
    assert_eq!(both.ticket_of(20), ticket, "with its ticket, so that nothing is rotated");
    assert_eq!(both.model[&20], [9, 4]);
    both.check();
}

#[test]
fn g18_the_next_waiter_takes_over_the_place_of_the_head() {
    let mut both = Both::new();
    (1..10).for_each(|key| both.push(key * 4, Order::Fifo));
    both.push(20, Order::Fifo);
    let ticket = both.ticket_of(20);
    both.remove(20, 0);
    assert_eq!(both.ticket_of(20), ticket);
    both.check();
}

#[test]
fn g19_the_last_waiter_of_an_address_takes_it_out_of_the_tree() {
    let mut both = Both::new();
    (1..10).for_each(|key| both.push(key * 4, Order::Fifo));
    for key in [20, 4, 36, 8, 12, 32, 28, 24, 16] {
        both.remove(key, 0);
        both.check();
    }
    assert_eq!(both.treap.heads(), 0);
}

/// G20 and G23: the tree stays flat whatever the order of the addresses.
#[test]
fn g20_g23_a_search_takes_a_logarithm_of_the_addresses() {
    let mean_steps = |n: usize| {
        let mut both = Both::new();
        (1..=n).for_each(|key| both.push(key * 4, Order::Fifo)); // in order: a plain tree would be a list
        let before = steps::count();
        for key in 1..=n {
            // SAFETY: one thread.
            assert!(unsafe { both.treap.find(key * 4) }.is_some());
        }
        (steps::count() - before) as f64 / n as f64
    };
    let (small, large) = (mean_steps(1000), mean_steps(8000));
    // The mean of a random search tree is 2 ln n: three more for eight times as many.
    assert!(small < 2.0 * 1000_f64.ln() + 2.0, "{small}");
    assert!(large < small + 2.0 * 8_f64.ln() + 2.0, "{small} and {large}");
}

#[test]
fn g21_a_waiter_that_was_taken_out_may_come_again() {
    let mut both = Both::new();
    both.push(4, Order::Fifo);
    both.push(4, Order::Fifo);
    let first = both.waiter(0);
    both.remove(4, 0);
    // SAFETY: one thread; it is in no list.
    unsafe { both.treap.push(8, first) };
    both.model.insert(8, [0].into());
    both.check();
    assert_eq!(Waiter::node_of(first).cast(), first, "a waiter begins with its node");
    let _: NonNull<Node> = Waiter::node_of(first);
}
