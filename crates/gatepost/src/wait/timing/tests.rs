//! The hook and its arithmetic, by a virtual clock. How the semaphore uses it is tested in `semaphore/tests/profile.rs`.

use super::{Charge, Hooks, ended, set_hooks};
use crate::sys::clock;
use crate::wait::node::{GRANTED, NOTIFIED, Node, WOKEN};
use crate::wait::queue::Queue;
use crate::wait::reason::WaitReason;
use std::boxed::Box;
use std::cell::RefCell;
use std::ptr::NonNull;
use std::vec::Vec;

std::thread_local! {
    static BLOCKED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    static CHARGED: RefCell<Vec<(u64, u64)>> = const { RefCell::new(Vec::new()) };
}

/// Both profiles on, with functions that note what they are called with.
pub(crate) static BOTH: Hooks = Hooks {
    block: Some(|nanos| BLOCKED.with(|all| all.borrow_mut().push(nanos))),
    mutex: Some(|waiters, nanos| CHARGED.with(|all| all.borrow_mut().push((waiters, nanos)))),
};
static BLOCK: Hooks = Hooks { block: BOTH.block, mutex: None };

/// What this thread's waiters have been charged with since this was last called.
pub(crate) fn blocked() -> Vec<u64> {
    BLOCKED.with(RefCell::take)
}

/// What this thread's releases have been charged with since this was last called: waiters, and nanoseconds.
pub(crate) fn charged() -> Vec<(u64, u64)> {
    CHARGED.with(RefCell::take)
}

/// A queue whose lock is that there is one thread.
struct Waiters {
    queue: Queue,
    #[allow(clippy::vec_box)] // they are linked, and stay in place while the vector grows
    nodes: Vec<Box<Node>>,
}

impl Waiters {
    fn new() -> Self {
        Self { queue: Queue::new(), nodes: Vec::new() }
    }

    fn node(&self, id: usize) -> NonNull<Node> {
        NonNull::from(&*self.nodes[id])
    }

    fn begin(&mut self, reason: WaitReason) -> usize {
        let node = Node::new(1);
        node.set_reason(reason);
        node.begin_wait();
        self.nodes.push(Box::new(node));
        self.nodes.len() - 1
    }

    fn join(&mut self, reason: WaitReason) -> usize {
        let id = self.begin(reason);
        // SAFETY: one thread; the node is new, boxed, and freed with its queue.
        unsafe { self.queue.push_back(self.node(id)) };
        id
    }

    fn join_first(&mut self, reason: WaitReason) -> usize {
        let id = self.begin(reason);
        // SAFETY: as in `join`.
        unsafe { self.queue.push_front(self.node(id)) };
        id
    }

    fn join_again(&self, id: usize) {
        self.nodes[id].begin_wait();
        // SAFETY: as in `join`; it has left the queue.
        unsafe { self.queue.push_front(self.node(id)) };
    }

    fn let_go(&self, id: usize, outcome: u32) {
        let mut charge = Charge::new();
        // SAFETY: one thread, and the callers say which are linked.
        unsafe {
            charge.decide(&self.queue, self.node(id), outcome);
            self.queue.remove(self.node(id));
        }
        charge.report();
    }

    fn leave(&self, id: usize) {
        Charge::stamp(&self.nodes[id]);
        // SAFETY: as in `let_go`.
        unsafe { self.queue.remove(self.node(id)) };
    }
}

#[test]
fn g35_flags_follow_the_reason() {
    use WaitReason::{Condvar, Internal, Mutex, RwLockRead, RwLockWrite, Semaphore, WaitGroup};
    set_hooks(Some(&BOTH));
    for (reason, block, mutex) in [
        (Semaphore, true, true),
        (Mutex, true, true),
        (RwLockRead, true, true),
        (RwLockWrite, true, true),
        (WaitGroup, true, false),
        (Condvar, true, false),
        (Internal, false, false),
    ] {
        let mut waiters = Waiters::new();
        let id = waiters.join(reason);
        clock::advance_nanos(5);
        waiters.let_go(id, GRANTED);
        ended(&waiters.nodes[id]);
        assert_eq!(blocked(), if block { vec![5] } else { vec![] }, "{reason}");
        assert_eq!(charged(), if mutex { vec![(1, 5)] } else { vec![] }, "{reason}");
    }
}

#[test]
fn g36_a_profile_that_is_off_is_not_charged_and_off_reads_no_clock() {
    set_hooks(Some(&BLOCK));
    let mut waiters = Waiters::new();
    let id = waiters.join(WaitReason::Mutex);
    clock::advance_nanos(5);
    waiters.let_go(id, GRANTED);
    ended(&waiters.nodes[id]);
    assert_eq!((blocked(), charged()), (vec![5], vec![]));

    set_hooks(None);
    let before = clock::readings();
    let id = waiters.join(WaitReason::Mutex);
    waiters.let_go(id, GRANTED);
    ended(&waiters.nodes[id]);
    assert_eq!((blocked(), charged(), clock::readings()), (vec![], vec![], before));
}

#[test]
fn g36_a_wait_that_was_begun_while_off_does_not_count() {
    let mut waiters = Waiters::new();
    let early = waiters.join(WaitReason::Semaphore);
    set_hooks(Some(&BOTH));
    let late = waiters.join(WaitReason::Semaphore);
    clock::advance_nanos(10);
    waiters.let_go(early, GRANTED); // nobody whom the profile knows was let go
    ended(&waiters.nodes[early]);
    assert_eq!((blocked(), charged()), (vec![], vec![]));
    clock::advance_nanos(10);
    waiters.let_go(late, GRANTED);
    ended(&waiters.nodes[late]);
    assert_eq!((blocked(), charged()), (vec![20], vec![(1, 20)]));
}

#[test]
fn g36_a_wait_that_ends_while_off_reads_no_clock_and_is_not_charged() {
    set_hooks(Some(&BOTH));
    let mut waiters = Waiters::new();
    let [first, second, third] = [0; 3].map(|_| waiters.join(WaitReason::Semaphore));
    let before = clock::readings();
    set_hooks(None);
    clock::advance_nanos(10);
    waiters.let_go(first, GRANTED);
    waiters.leave(second);
    (first..=second).for_each(|id| ended(&waiters.nodes[id]));
    assert_eq!(clock::readings(), before);
    set_hooks(Some(&BOTH));
    assert_eq!((blocked(), charged()), (vec![], vec![]));
    waiters.let_go(third, GRANTED);
    assert_eq!(charged(), [(1, 10)], "the others have taken their waiting with them");
}

#[test]
fn g37_the_wait_begins_once_and_retries_are_charged_once() {
    set_hooks(Some(&BOTH));
    let mut waiters = Waiters::new();
    let id = waiters.join(WaitReason::Mutex);
    clock::advance_nanos(10);
    waiters.let_go(id, NOTIFIED);
    clock::advance_nanos(3); // it wakes up, looks, has lost, and joins again
    waiters.join_again(id);
    clock::advance_nanos(7);
    waiters.let_go(id, NOTIFIED);
    clock::advance_nanos(100); // it wakes up and wins: the time to wake up is nobody's
    ended(&waiters.nodes[id]);
    ended(&waiters.nodes[id]);
    assert_eq!(blocked(), [20], "one event");
    assert_eq!(charged(), [(1, 10), (1, 10)], "20 in all, and not 10 + 20");
}

#[test]
fn g37_a_waiter_that_is_woken_in_the_queue_is_charged_to_its_last_wake_up() {
    set_hooks(Some(&BOTH));
    let mut waiters = Waiters::new();
    let id = waiters.join(WaitReason::Mutex);
    let mut charge = Charge::new();
    clock::advance_nanos(10);
    // SAFETY: one thread, and it is linked.
    unsafe { charge.decide(&waiters.queue, waiters.node(id), WOKEN) };
    charge.report();
    clock::advance_nanos(4);
    // SAFETY: as above.
    unsafe { waiters.queue.remove(waiters.node(id)) }; // it takes what it wants itself
    ended(&waiters.nodes[id]);
    assert_eq!((blocked(), charged()), (vec![10], vec![(1, 10)]));
}

#[test]
fn g41_three_waiters_at_0_released_at_1_2_3_total_6() {
    set_hooks(Some(&BOTH));
    let mut waiters = Waiters::new();
    let ids = [0; 3].map(|_| waiters.join(WaitReason::Mutex));
    for id in ids {
        clock::advance_nanos(1);
        waiters.let_go(id, GRANTED);
    }
    assert_eq!(charged(), [(1, 3), (1, 2), (1, 1)]);
}

#[test]
fn g41_two_waiters_at_0_released_at_1_2_total_3() {
    set_hooks(Some(&BOTH));
    let mut waiters = Waiters::new();
    let ids = [0; 2].map(|_| waiters.join(WaitReason::Mutex));
    for id in ids {
        clock::advance_nanos(1);
        waiters.let_go(id, GRANTED);
    }
    assert_eq!(charged(), [(1, 2), (1, 1)]);
}

#[test]
fn g40_a_hundred_thousand_waiters_are_counted_as_that_many() {
    const N: usize = 100_000;
    const LATE: u64 = 1 << 62;
    clock::advance_nanos(LATE); // the sum of the bases wraps around 2^64, many times
    set_hooks(Some(&BOTH));
    let mut waiters = Waiters::new();
    for _ in 0..N {
        waiters.join(WaitReason::Mutex);
    }
    clock::advance_nanos(7);
    waiters.let_go(0, GRANTED);
    assert_eq!(charged(), [(1, 7 * N as u64)]);
    (1..N).for_each(|id| waiters.let_go(id, GRANTED));
    assert_eq!(charged().iter().map(|charge| charge.1).sum::<u64>(), 0, "no time has passed since");
}

/// What one waiter has waited and was not charged for yet, as a model that looks at everybody has it.
struct Model {
    /// Ids in the order of the queue, each with its base if it is timed.
    queue: Vec<(usize, Option<u64>)>,
}

proptest::proptest! {
    /// Any mixture of arrivals at both ends, releases, departures, and time, with some that are not timed: each release is
    /// charged with what a model says that looks at each waiter.
    #[test]
    fn g41_charges_are_those_of_a_model_that_looks_at_each_waiter(
        script in proptest::collection::vec((0_u8..8, 0_usize..32, 0_u64..50), 0..150),
    ) {
        set_hooks(Some(&BOTH));
        charged();
        let mut waiters = Waiters::new();
        let mut model = Model { queue: Vec::new() };
        for (kind, at, pause) in script {
            clock::advance_nanos(pause);
            let now = clock::nanos();
            let len = model.queue.len();
            match kind {
                0..=2 => {
                    let timed = kind > 0;
                    let id = waiters.join(if timed { WaitReason::Mutex } else { WaitReason::Condvar });
                    model.queue.push((id, timed.then_some(now)));
                }
                3 => {
                    let id = waiters.join_first(WaitReason::Semaphore);
                    model.queue.insert(0, (id, Some(now)));
                }
                4 => {
                    let heir = Queue::new();
                    // SAFETY: one thread.
                    unsafe { heir.append(&waiters.queue) };
                    waiters.queue = heir;
                }
                5 if len > 0 => {
                    let (id, _) = model.queue.remove(at % len);
                    waiters.leave(id);
                }
                6 | 7 if len > 0 => {
                    // Not always the front: a need may be passed, or a waiter chosen.
                    let (id, base) = model.queue[if kind == 6 { 0 } else { at % len }];
                    waiters.let_go(id, GRANTED);
                    let expected = base.map(|_| {
                        let bases = model.queue.iter_mut().filter_map(|(_, base)| base.as_mut());
                        (1, bases.map(|base| now - core::mem::replace(base, now)).sum())
                    });
                    model.queue.retain(|&(other, _)| other != id);
                    proptest::prop_assert_eq!(charged(), Vec::from_iter(expected));
                }
                _ => {}
            }
        }
    }

    /// The charges of releases sum up to what those have waited who were let go, if everybody is.
    #[test]
    fn g41_the_sum_of_all_charges_is_the_sum_of_all_waits(
        script in proptest::collection::vec((proptest::bool::ANY, 0_u64..1000), 1..100),
    ) {
        set_hooks(Some(&BOTH));
        charged();
        blocked();
        let mut waiters = Waiters::new();
        let mut next = 0;
        let mut released = 0;
        for (joins, pause) in script {
            clock::advance_nanos(pause);
            if joins {
                waiters.join(WaitReason::Mutex);
                next += 1;
            } else if released < next {
                waiters.let_go(released, GRANTED);
                released += 1;
            }
        }
        (released..next).for_each(|id| waiters.let_go(id, GRANTED));
        waiters.nodes.iter().for_each(|node| ended(node));
        let waits: u64 = blocked().iter().sum();
        proptest::prop_assert_eq!(charged().iter().map(|charge| charge.1).sum::<u64>(), waits);
    }
}
