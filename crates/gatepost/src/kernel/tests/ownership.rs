//! Owners, and what they inherit.

use super::ground::Ground;
use super::*;
use crate::kernel::owned::{Owner, Ownership};
use crate::kernel::semaphore::Begun;
use crate::kernel::{
    BlockError, Deadline, Mutex, OwnedWaitQueue, Recorded, Recording, Semaphore, Unblock, WaitFailure, WakeOrder,
    WouldDeadlock,
};
use crate::sys::mutant::{Mutant, caught};
use std::boxed::Box;
use std::vec::Vec;

const CIRCLE: Result<(), BlockError> = Err(BlockError::WouldDeadlock(WouldDeadlock));

fn weights<const N: usize>(threads: [Played; N]) -> [u64; N] {
    threads.map(|thread| thread.effective_weight())
}

fn is_owner(queue: Queue, thread: Played) -> bool {
    queue.owner().is_some_and(|owner| core::ptr::eq(owner, thread))
}

#[test]
fn z25_who_is_woken_to_own_a_queue_owns_it_before_it_can_run() {
    let kernel = Recording::kernel();
    let (semaphore, owned) = (semaphore(kernel, 0), queue(kernel));
    let [woken, waiter] = threads(kernel, [1, 10]);
    block(owned, waiter).unwrap();
    assert_eq!(wait(semaphore, woken), None);
    kernel.platform().take();
    semaphore.post_to_own(owned);
    assert_eq!(kernel.platform().take(), [Recorded::Effective(0, 11), Recorded::Unblocked(0, Unblock::Synchronous)]);
    assert!(is_owner(owned, woken));
    assert_eq!((state(semaphore), Recording::outcome(woken)), ((0, 0), Some(Ok(()))));
    owned.assign_owner(None).unwrap();
    assert_eq!(weights([woken, waiter]), [1, 10]);
}

/// A platform may let a thread return early that is told: so it owns before it is told.
#[test]
fn z25_it_is_told_after_it_owns() {
    let kernel = Ground::kernel();
    let semaphore: &_ = Box::leak(Box::new(Semaphore::new_in(kernel, 0, WakeOrder::ByFinishTime)));
    let owned: &_ = Box::leak(Box::new(OwnedWaitQueue::new_in(kernel, WakeOrder::ByFinishTime)));
    let (woken, waiter) = (Ground::thread(kernel, 1), Ground::thread(kernel, 10));
    // SAFETY: they do nothing else; semaphore and queue live for ever.
    unsafe {
        assert_eq!(owned.begin_block(waiter, Deadline::INFINITE, true, || Some(Owner::Keep)), Ok(true));
        assert_eq!(semaphore.begin_wait(woken, Deadline::INFINITE, true), Begun::Blocked);
    }
    semaphore.post_to_own(owned);
    assert_eq!(woken.platform().told(), [false], "it could run before it owned the queue");
    assert_eq!(woken.outcome(), Some(Ok(())));
    // The same where a queue's own first waiter becomes its owner.
    let (next, last) = (Ground::thread(kernel, 1), Ground::thread(kernel, 1));
    for thread in [next, last] {
        // SAFETY: as above.
        let blocked = unsafe { owned.begin_block(thread, Deadline::INFINITE, true, || Some(Owner::Keep)) };
        assert_eq!(blocked, Ok(true));
    }
    assert!(owned.wake_one_to_own());
    assert_eq!(waiter.platform().told(), [false], "it could run before it owned the queue");
    assert_eq!(waiter.effective_weight(), 12);
}

#[test]
fn z25_an_owner_that_comes_too_late_is_noticed() {
    caught(
        Mutant::OwnsTooLate,
        "kernel::tests::ownership::z25_it_is_told_after_it_owns",
        "it could run before it owned the queue",
    );
}

#[test]
fn z25_nobody_waits_so_nobody_becomes_an_owner() {
    let kernel = Recording::kernel();
    let owned = queue(kernel);
    for count in [-1, 0, 1] {
        let semaphore = semaphore(kernel, count);
        semaphore.post_to_own(owned);
        assert!(owned.owner().is_none());
        assert_eq!(semaphore.count(), count.max(0) + 1);
    }
    assert_eq!(kernel.platform().take(), []);
}

#[test]
fn z26_an_owner_is_replaced_as_a_whole() {
    let kernel = Recording::kernel();
    let (semaphore, owned) = (semaphore(kernel, 0), queue(kernel));
    let [before, woken, waiter] = threads(kernel, [1, 2, 10]);
    owned.assign_owner(Some(before)).unwrap();
    block(owned, waiter).unwrap();
    assert_eq!(wait(semaphore, woken), None);
    semaphore.post_to_own(owned);
    assert_eq!(weights([before, woken, waiter]), [1, 12, 10]);
    owned.assign_owner(None).unwrap();
}

/// What the platform is told never takes an owner's weight away to give it back.
#[test]
fn z26_to_assign_the_same_owner_again_is_nothing() {
    let kernel = Recording::kernel();
    let owned = queue(kernel);
    let [owner, waiter] = threads(kernel, [1, 10]);
    owned.assign_owner(Some(owner)).unwrap();
    block(owned, waiter).unwrap();
    kernel.platform().take();
    owned.assign_owner(Some(owner)).unwrap();
    assert_eq!(kernel.platform().take(), []);
    owned.assign_owner(None).unwrap();
    owner.exit();
}

/// `n` threads, each of which waits for the next: the last for nobody.
fn chain(n: usize, weight: u32) -> (Vec<Played>, Vec<Queue>) {
    let kernel = Recording::kernel();
    let all: Vec<Played> = (0..n).map(|_| Recording::thread(kernel, weight)).collect();
    let queues: Vec<Queue> = (0..n).map(|_| queue(kernel)).collect();
    for (i, &queue) in queues.iter().enumerate() {
        queue.assign_owner(Some(all[(i + 1) % n])).unwrap();
    }
    for i in 0..n - 1 {
        block(queues[i], all[i]).unwrap();
    }
    kernel.platform().take();
    (all, queues)
}

/// Weights of nothing, so that the seeded bug does not travel round the circle for ever.
#[test]
fn z27_a_circle_of_any_length_is_an_error_and_changes_nothing() {
    for weight in [0, 3] {
        for n in 1..=5 {
            let (all, queues) = chain(n, weight);
            let before: Vec<_> = all.iter().map(|thread| thread.effective_weight()).collect();
            assert_eq!(block(queues[n - 1], all[n - 1]), CIRCLE, "the last waits for the first");
            queues[n - 1].assign_owner(None).unwrap();
            // SAFETY: it is refused.
            let under =
                unsafe { queues[n - 1].begin_block(all[n - 1], Deadline::INFINITE, true, || Some(Owner::Is(all[0]))) };
            assert_eq!(under.map(drop), CIRCLE);
            assert!(queues[n - 1].owner().is_none(), "the owner is who it was");
            block(queues[n - 1], all[n - 1]).unwrap();
            assert_eq!(queues[n - 1].assign_owner(Some(all[0])), Err(WouldDeadlock));
            let kernel = all[0].kernel;
            let last = u64::try_from(n - 1).unwrap();
            assert_eq!(kernel.platform().take(), [Recorded::Blocked(last)], "the platform was told of nothing else");
            assert_eq!(all.iter().map(|thread| thread.effective_weight()).collect::<Vec<_>>(), before);
            assert!(queues[n - 1].owner().is_none());
        }
    }
}

#[test]
fn z27_a_circle_that_is_not_seen_is_noticed() {
    caught(
        Mutant::CircleUnseen,
        "kernel::tests::ownership::z27_a_circle_of_any_length_is_an_error_and_changes_nothing",
        "the last waits for the first",
    );
}

#[test]
fn z27_a_wait_that_fails_at_once_leaves_the_owner() {
    let kernel = Recording::kernel();
    let owned = queue(kernel);
    let [owner, other, thread] = threads(kernel, [1; 3]);
    owned.assign_owner(Some(owner)).unwrap();
    let under = |deadline| {
        // SAFETY: it does not block.
        unsafe { owned.begin_block(thread, deadline, true, || Some(Owner::Is(other))) }
    };
    assert_eq!(under(Deadline::PASSED), Err(BlockError::Failed(WaitFailure::TimedOut)));
    thread.kill();
    assert_eq!(under(Deadline::INFINITE), Err(BlockError::Failed(WaitFailure::Killed)));
    assert!(is_owner(owned, owner));
    owned.assign_owner(None).unwrap();
}

#[test]
fn z27_a_dead_owner_is_no_owner_and_null_releases() {
    let kernel = Recording::kernel();
    let owned = queue(kernel);
    let [alive, dead] = threads(kernel, [1; 2]);
    dead.exit();
    owned.assign_owner(Some(alive)).unwrap();
    owned.assign_owner(Some(dead)).unwrap();
    assert!(owned.owner().is_none());
    owned.assign_owner(Some(alive)).unwrap();
    owned.assign_owner(None).unwrap();
    assert!(owned.owner().is_none());
    alive.exit();
}

#[test]
fn z27_no_thread_ends_as_an_owner() {
    let kernel = Recording::kernel();
    let [thread] = threads(kernel, [1]);
    let queues = [queue(kernel), queue(kernel)];
    queues.iter().for_each(|queue| queue.assign_owner(Some(thread)).unwrap());
    let message = panic_of(|| thread.exit());
    assert_eq!(message, "a thread ends as the owner of 2 wait queues: release them first");
    queues.iter().for_each(|queue| queue.assign_owner(None).unwrap());
    thread.exit();
}

#[test]
fn z27_no_queue_is_destroyed_while_it_is_owned() {
    let kernel = Recording::kernel();
    let [thread] = threads(kernel, [1]);
    let owned = OwnedWaitQueue::new_in(kernel, WakeOrder::ByFinishTime);
    owned.assign_owner(Some(thread)).unwrap();
    let moved = Box::new(owned); // nothing points at a queue in which nobody waits
    let message = panic_of(|| drop(moved));
    assert_eq!(message, "a wait queue ends while a thread owns it: `assign_owner(None)` first");
    thread.exit(); // it owns nothing any more
}

#[test]
fn z27_a_queue_that_ends_by_a_panic_does_not_panic_again() {
    let kernel = Recording::kernel();
    let [thread] = threads(kernel, [1]);
    let message = panic_of(|| {
        let owned = OwnedWaitQueue::new_in(kernel, WakeOrder::ByFinishTime);
        owned.assign_owner(Some(thread)).unwrap();
        panic!("for another reason");
    });
    assert_eq!(message, "for another reason");
    thread.exit();
}

#[test]
fn wake_all_wakes_those_who_wait_and_the_owner_stays() {
    let kernel = Recording::kernel();
    let owned = queue(kernel);
    let all = threads(kernel, [1, 2, 3]);
    let [owner] = threads(kernel, [5]);
    owned.assign_owner(Some(owner)).unwrap();
    all.iter().for_each(|thread| block(owned, thread).unwrap());
    assert_eq!(owner.effective_weight(), 11);
    assert_eq!((owned.wake_all(), owned.wake_all()), (3, 0));
    assert!(is_owner(owned, owner) && owner.effective_weight() == 5);
    // Of those who came later, none, wherever they stand.
    block(owned, all[0]).unwrap();
    all[1].platform().set_finish_time(0);
    all[0].platform().set_finish_time(9);
    all[0].reorder();
    let joined = 4; // arrivals in this kernel so far
    block(owned, all[1]).unwrap();
    let woken = [(); 2].map(|()| owned.wake_with(Ownership::Keep, joined, |_| ()));
    assert_eq!(woken, [true, false]);
    assert_eq!((all[0].is_blocked(), all[1].is_blocked()), (false, true));
    owned.assign_owner(None).unwrap();
}

// Zircon's tests of inheritance: `zircon/kernel/tests/pi_tests.cc`, scenario by scenario. There a queue's owner takes the largest of
// what its waiters have, or the sum, by kind of profile; here it is the sum.

/// How a waiter may leave: each must take its weight with it.
fn ways_to_leave() -> [fn(Queue, Played); 4] {
    [
        |queue, _| assert!(queue.wake_one()),
        |_, thread| {
            thread.kernel.platform().set_now(u64::MAX);
            thread.expire();
        },
        |_, thread| thread.kill(),
        |_, thread| thread.suspend(),
    ]
}

#[test]
fn z28_basic() {
    for leave in ways_to_leave() {
        for waiter_weight in [1, 5, 20] {
            let kernel = Recording::kernel();
            let owned = queue(kernel);
            let [owner, waiter] = threads(kernel, [5, waiter_weight]);
            owned.assign_owner(Some(owner)).unwrap();
            assert_eq!(weights([owner]), [5]);
            Recording::block_in(owned, waiter, Deadline::at(1)).unwrap();
            assert_eq!(weights([owner, waiter]), [5 + u64::from(waiter_weight), u64::from(waiter_weight)]);
            assert_eq!(owned.weight(), u64::from(waiter_weight));
            leave(owned, waiter);
            assert_eq!(weights([owner]), [5], "what it was lent is withdrawn");
            assert_eq!(owned.weight(), 0);
            owned.assign_owner(None).unwrap();
        }
    }
}

#[test]
fn z28_a_weight_that_is_kept_is_noticed() {
    caught(Mutant::WeightKept, "kernel::tests::ownership::z28_basic", "what it was lent is withdrawn");
}

/// The weight comes to an owner that is active: it was told before it was owner of anything else.
#[test]
fn z28_critical_active() {
    let kernel = Recording::kernel();
    let owned = queue(kernel);
    let [owner, waiter] = threads(kernel, [5, 7]);
    block(owned, waiter).unwrap();
    owned.assign_owner(Some(owner)).unwrap();
    assert_eq!(weights([owner]), [12], "who waits already lends at once");
    owned.assign_owner(None).unwrap();
    assert_eq!(weights([owner]), [5]);
}

#[test]
fn z28_changing_priority_of_the_waiter() {
    let kernel = Recording::kernel();
    let owned = queue(kernel);
    let [owner, waiter] = threads(kernel, [5, 7]);
    owned.assign_owner(Some(owner)).unwrap();
    block(owned, waiter).unwrap();
    for weight in [1, 0, 30, u32::MAX] {
        waiter.set_base_weight(weight);
        assert_eq!(weights([owner]), [5 + u64::from(weight)]);
    }
    owned.assign_owner(None).unwrap();
}

#[test]
fn z28_changing_priority_of_the_owner() {
    let kernel = Recording::kernel();
    let owned = queue(kernel);
    let [owner, waiter] = threads(kernel, [5, 7]);
    owned.assign_owner(Some(owner)).unwrap();
    block(owned, waiter).unwrap();
    for weight in [1, 0, 30, u32::MAX] {
        owner.set_base_weight(weight);
        assert_eq!((owner.base_weight(), weights([owner])), (weight, [7 + u64::from(weight)]));
    }
    assert!(owned.wake_one());
    assert_eq!(weights([owner]), [u64::from(u32::MAX)], "its own stays");
    owned.assign_owner(None).unwrap();
}

#[test]
fn z28_chains() {
    for leave in ways_to_leave() {
        let (all, queues) = chain(6, 1);
        assert_eq!(all.iter().map(|thread| thread.effective_weight()).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        let kernel = all[0].kernel;
        all[0].set_base_weight(10);
        assert_eq!(all.iter().map(|thread| thread.effective_weight()).collect::<Vec<_>>(), [10, 11, 12, 13, 14, 15]);
        let told: Vec<_> = (0..6).map(|i| Recorded::Effective(i, 10 + i)).collect();
        assert_eq!(kernel.platform().take(), told, "one step for each thread of the chain");
        if leave as usize == ways_to_leave()[1] as usize {
            continue; // these wait for ever
        }
        leave(queues[2], all[2]); // the chain breaks
        assert_eq!(all.iter().map(|thread| thread.effective_weight()).collect::<Vec<_>>(), [10, 11, 12, 1, 2, 3]);
    }
}

#[test]
fn z28_multiple_waiters() {
    let kernel = Recording::kernel();
    let owned = queue(kernel);
    let [owner, a, b, c] = threads(kernel, [1, 2, 4, 8]);
    owned.assign_owner(Some(owner)).unwrap();
    for (thread, sum) in [(a, 3), (b, 7), (c, 15)] {
        block(owned, thread).unwrap();
        assert_eq!(weights([owner]), [sum]);
    }
    b.suspend();
    assert_eq!(weights([owner]), [11]);
    assert!(owned.wake_one_to_own());
    assert_eq!(weights([owner, a, c]), [1, 10, 8], "the woken owns, and the last waiter lends to it");
    assert!(owned.wake_one_to_own());
    assert_eq!(weights([a, c]), [2, 8]);
    assert!(!owned.wake_one_to_own());
    assert!(owned.owner().is_none(), "nobody was there to become it");
}

#[test]
fn z28_multiple_owned_queues() {
    let kernel = Recording::kernel();
    let queues = [queue(kernel), queue(kernel), queue(kernel)];
    let waiters = threads(kernel, [2, 4, 8]);
    let [owner] = threads(kernel, [1]);
    for (queue, waiter) in queues.into_iter().zip(waiters) {
        queue.assign_owner(Some(owner)).unwrap();
        block(queue, waiter).unwrap();
    }
    assert_eq!(weights([owner]), [15]);
    queues[1].assign_owner(None).unwrap();
    assert_eq!(weights([owner]), [11]);
    assert!(queues[0].wake_one());
    assert_eq!(weights([owner]), [9]);
    queues[1].assign_owner(Some(owner)).unwrap();
    assert_eq!(weights([owner]), [13]);
    queues.iter().for_each(|queue| queue.assign_owner(None).unwrap());
    assert_eq!(weights([owner]), [1]);
}

/// A circle of two: each owns what the other wants.
#[test]
fn z28_cycles() {
    let kernel = Recording::kernel();
    let (left, right) = (queue(kernel), queue(kernel));
    let [a, b] = threads(kernel, [1, 2]);
    left.assign_owner(Some(a)).unwrap();
    right.assign_owner(Some(b)).unwrap();
    block(right, a).unwrap();
    assert_eq!(block(left, b), CIRCLE);
    assert_eq!(weights([a, b]), [1, 3]);
    assert!(!b.is_blocked());
    // And it may wait as soon as nobody waits for it.
    a.suspend();
    block(left, b).unwrap();
    assert_eq!(weights([a, b]), [3, 2]);
}

/// A circle that a change of owner would close, over a third.
#[test]
fn z28_cycles_by_a_new_owner() {
    let (all, queues) = chain(3, 1);
    queues[2].assign_owner(None).unwrap();
    block(queues[2], all[2]).unwrap();
    assert_eq!(queues[2].assign_owner(Some(all[0])), Err(WouldDeadlock));
    assert_eq!(queues[2].assign_owner(Some(all[2])), Err(WouldDeadlock), "by itself");
    let [stranger] = threads(all[0].kernel, [1]);
    queues[2].assign_owner(Some(stranger)).unwrap();
    assert_eq!(stranger.effective_weight(), 4);
    queues[2].assign_owner(None).unwrap();
}

/// The bug 42182770: an owner that is itself blocked, and whose queue gets another owner while both have waiters.
#[test]
fn z28_an_owner_is_replaced_in_the_middle_of_a_chain() {
    let kernel = Recording::kernel();
    let (upper, lower) = (queue(kernel), queue(kernel));
    let [waiter, middle, end, other] = threads(kernel, [10, 1, 1, 1]);
    upper.assign_owner(Some(middle)).unwrap();
    lower.assign_owner(Some(end)).unwrap();
    block(lower, middle).unwrap();
    block(upper, waiter).unwrap();
    assert_eq!(weights([middle, end, other]), [11, 12, 1]);
    upper.assign_owner(Some(other)).unwrap();
    assert_eq!(weights([middle, end, other]), [1, 2, 11]);
    block(lower, other).unwrap();
    assert_eq!(weights([middle, end, other]), [1, 13, 11]);
    assert!(lower.wake_one_to_own());
    assert_eq!(weights([middle, end, other]), [12, 1, 11], "the first of the lower, which the second waits for now");
}

#[test]
fn z28_sums_do_not_overflow() {
    let kernel = Recording::kernel();
    let owned = queue(kernel);
    let [owner] = threads(kernel, [u32::MAX]);
    owned.assign_owner(Some(owner)).unwrap();
    for _ in 0..1_000 {
        block(owned, Recording::thread(kernel, u32::MAX)).unwrap();
    }
    assert_eq!(owner.effective_weight(), 1_001 * u64::from(u32::MAX));
    assert_eq!(owned.wake_all(), 1_000);
    assert_eq!(owner.effective_weight(), u64::from(u32::MAX));
    owned.assign_owner(None).unwrap();
}

#[test]
fn z25_z28_a_lock_is_handed_over_with_the_weight_of_those_who_still_wait() {
    let kernel = Recording::kernel();
    let mutex: &'static Mutex<(), Recording> = Box::leak(Box::new(Mutex::new_in(kernel, (), WakeOrder::ByFinishTime)));
    let [low, middle, high] = threads(kernel, [1, 5, 10]);
    assert!(mutex.try_lock_for(low));
    for thread in [middle, high] {
        // SAFETY: it does nothing else; the lock lives for ever.
        assert_eq!(unsafe { mutex.begin_lock(thread, Deadline::INFINITE) }, Ok(true));
    }
    assert_eq!(weights([low, middle, high]), [16, 5, 10]);
    kernel.platform().take();
    mutex.unlock(low);
    assert_eq!(
        kernel.platform().take(),
        [
            Recorded::Effective(0, 11),
            Recorded::Effective(1, 15), // given before it is taken
            Recorded::Effective(0, 1),
            Recorded::Unblocked(1, Unblock::Normal)
        ]
    );
    mutex.unlock(middle);
    assert_eq!((weights([middle, high]), mutex.waiters().owner().is_none()), ([5, 10], true));
    mutex.unlock(high);
    [low, middle, high].iter().for_each(|thread| thread.exit());
}
