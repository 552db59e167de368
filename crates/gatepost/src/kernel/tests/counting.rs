//! The rules of the count, call by call.

use super::*;
use crate::kernel::{Count, Deadline, Recorded, Recording, Unblock, WaitFailure};
use crate::sys::atomic::{Counts, counts};
use crate::sys::mutant::{self, Mutant, caught};
use std::vec::Vec;

fn cost<R>(f: impl FnOnce() -> R) -> (Counts, R) {
    let before = counts();
    let result = f();
    (counts() - before, result)
}

/// One look and one read-modify-write: no lock.
const ONE_CAS: Counts = Counts { loads: 1, stores: 0, rmws: 1, syscalls: 0 };

/// A wait that has failed: its deadline had come.
fn fail(semaphore: Gate, thread: Played) {
    assert_eq!(Recording::wait_for(semaphore, thread, Deadline::PASSED), Some(Err(WaitFailure::TimedOut)));
}

#[test]
fn z1_any_initial_count_is_legal() {
    let kernel = Recording::kernel();
    for count in [Count::MIN, -2, 0, 3, Count::MAX] {
        assert_eq!(state(semaphore(kernel, count)), (0, count));
    }
}

#[test]
fn z2_z3_z31_uncontended_calls_are_one_cas_each() {
    let semaphore = semaphore(Recording::kernel(), 0);
    assert_eq!(cost(|| semaphore.post()).0, ONE_CAS);
    assert_eq!(cost(|| semaphore.post()).0, ONE_CAS);
    assert_eq!(cost(|| semaphore.wait(Deadline::INFINITE)), (ONE_CAS, Ok(())));
    assert_eq!(cost(|| semaphore.wait_uninterruptible()).0, ONE_CAS);
    let (failed, passed) = cost(|| semaphore.try_wait());
    assert!(!passed);
    assert_eq!(failed, Counts { loads: 1, ..Counts::default() }, "what has not failed has changed nothing");
}

#[test]
fn z31_a_queue_to_own_costs_nothing_while_nobody_waits() {
    let kernel = Recording::kernel();
    let (semaphore, queue) = (semaphore(kernel, 0), queue(kernel));
    assert_eq!(cost(|| semaphore.post_to_own(queue)).0, ONE_CAS);
    assert_eq!(cost(|| semaphore.wait(Deadline::PASSED)), (ONE_CAS, Ok(())));
}

#[test]
fn z4_what_makes_the_count_negative_or_ends_that_takes_the_lock() {
    let kernel = Recording::kernel();
    let semaphore = semaphore(kernel, 0);
    let [thread] = threads(kernel, [1]);
    // Lock and unlock are a read-modify-write each, the count another.
    let locked = |counts: Counts| counts.rmws >= 2;
    assert!(locked(cost(|| fail(semaphore, thread)).0), "0 to -1");
    assert!(locked(cost(|| semaphore.post()).0), "-1 to 1");
    assert_eq!(cost(|| semaphore.post()).0, ONE_CAS, "1 to 2");
}

#[test]
fn z5_the_count_is_as_low_as_many_wait() {
    let kernel = Recording::kernel();
    let semaphore = semaphore(kernel, 2);
    for (i, thread) in threads(kernel, [1; 5]).into_iter().enumerate() {
        assert_eq!(wait(semaphore, thread), (i < 2).then_some(Ok(())));
    }
    assert_eq!(state(semaphore), (3, -3));
}

#[test]
fn z6_a_post_that_finds_nobody_adds_one() {
    let semaphore = semaphore(Recording::kernel(), 0);
    (0..5).for_each(|_| semaphore.post());
    assert_eq!(state(semaphore), (0, 5));
}

#[test]
fn z7_z11_failed_waits_are_forgotten_however_many() {
    let kernel = Recording::kernel();
    let semaphore = semaphore(kernel, 0);
    let [thread] = threads(kernel, [1]);
    (0..7).for_each(|_| fail(semaphore, thread));
    assert_eq!(state(semaphore), (0, -7));
    semaphore.post();
    assert_eq!(state(semaphore), (0, 1));
    assert_eq!(wait(semaphore, thread), Some(Ok(())));
    assert_eq!(state(semaphore), (0, 0));
}

#[test]
fn z8_a_post_wakes_one_and_the_last_one_sets_zero() {
    let kernel = Recording::kernel();
    let semaphore = semaphore(kernel, 0);
    for thread in threads(kernel, [1; 3]) {
        assert_eq!(wait(semaphore, thread), None);
    }
    kernel.platform().take();
    let mut trace = Vec::from([state(semaphore)]);
    for _ in 0..3 {
        semaphore.post();
        trace.push(state(semaphore));
    }
    assert_eq!(trace, [(3, -3), (2, -3), (1, -3), (0, 0)]);
    let unblocked = |id| Recorded::Unblocked(id, Unblock::Normal);
    assert_eq!(kernel.platform().take(), [unblocked(0), unblocked(1), unblocked(2)], "one each, first come first");
}

#[test]
fn z8_z30_a_zero_that_is_forgotten_is_noticed_at_once() {
    caught(Mutant::ZeroForgotten, "kernel::tests::counting::z8_a_post_wakes_one_and_the_last_one_sets_zero", "S3");
}

#[test]
fn z9_a_post_has_added_one_or_woken_one() {
    let kernel = Recording::kernel();
    for count in -3..3 {
        for waiting in 0..3 {
            for failing in 0..3 {
                let semaphore = semaphore(kernel, count);
                let all = (0..waiting).map(|_| Recording::thread(kernel, 1)).collect::<Vec<_>>();
                let [other] = threads(kernel, [1]);
                let blocked = all.iter().filter(|thread| wait(semaphore, thread).is_none()).count();
                if semaphore.count() <= 0 {
                    (0..failing).for_each(|_| fail(semaphore, other));
                }
                let (waited, before) = state(semaphore);
                assert_eq!(waited as usize, blocked);
                semaphore.post();
                let (wait, after) = state(semaphore);
                let added = before >= 0 && after == before + 1 && waited == 0;
                let woke = wait + 1 == waited && ((wait == 0 && after == 0) || (wait > 0 && after == before));
                let repaired = waited == 0 && before < 0 && after == 1;
                assert!(added || woke || repaired, "{waited} {before} to {wait} {after}");
            }
        }
    }
}

#[test]
fn z10_p13_looking_changes_nothing_and_negative_is_not_waiting() {
    let kernel = Recording::kernel();
    let semaphore = semaphore(kernel, -2);
    assert_eq!(state(semaphore), (0, -2), "negative, and nobody waits");
    assert_eq!(cost(|| semaphore.count()), (Counts { loads: 1, ..Counts::default() }, -2));
    assert!(cost(|| semaphore.num_waiters()).0.rmws > 0, "takes the lock");
    assert_eq!(state(semaphore), (0, -2));
}

#[test]
fn z12_those_who_wait_are_woken_before_the_failed_are_forgotten() {
    let kernel = Recording::kernel();
    let semaphore = semaphore(kernel, 0);
    let [a, b, failed] = threads(kernel, [1; 3]);
    assert_eq!((wait(semaphore, a), wait(semaphore, b)), (None, None));
    (0..3).for_each(|_| fail(semaphore, failed));
    assert_eq!(state(semaphore), (2, -5));
    let states = [(); 3].map(|()| {
        semaphore.post();
        state(semaphore)
    });
    assert_eq!(states, [(1, -5), (0, 0), (0, 1)]);
    assert_eq!((Recording::outcome(a), Recording::outcome(b)), (Some(Ok(())), Some(Ok(()))));
}

#[test]
fn z12_p22_the_failed_do_not_stand_between_a_post_and_who_comes_next() {
    let kernel = Recording::kernel();
    let semaphore = semaphore(kernel, 0);
    let [failed, next] = threads(kernel, [1; 2]);
    fail(semaphore, failed);
    assert_eq!(wait(semaphore, next), None);
    assert_eq!(state(semaphore), (1, -2), "the count is not repaired by whoever fails");
    semaphore.post();
    assert_eq!(Recording::outcome(next), Some(Ok(())), "and it needs not be");
    assert_eq!(state(semaphore), (0, 0));
}

#[test]
fn z13_an_initial_negative_count_is_not_a_debt() {
    let kernel = Recording::kernel();
    for count in [Count::MIN, -2, -1] {
        let semaphore = semaphore(kernel, count);
        semaphore.post();
        assert_eq!(state(semaphore), (0, 1));
    }
}

#[test]
fn z13_one_failure_below_the_smallest_count_makes_no_difference() {
    let kernel = Recording::kernel();
    let semaphore = semaphore(kernel, Count::MIN);
    let [failed, waits] = threads(kernel, [1; 2]);
    fail(semaphore, failed);
    assert_eq!(wait(semaphore, waits), None);
    assert_eq!(state(semaphore), (1, Count::MIN));
    semaphore.post();
    assert_eq!((Recording::outcome(waits), state(semaphore)), (Some(Ok(())), (0, 0)));
}

#[test]
fn z14_nothing_is_lost_and_nothing_comes_from_nowhere() {
    let kernel = Recording::kernel();
    let all = threads(kernel, [1; 4]);
    for initial in -2..3 {
        let semaphore = semaphore(kernel, initial);
        let (mut posts, mut passed, mut random) = (0, 0, 12_345_u32);
        for _ in 0..2_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let thread = all[(random >> 20) as usize % 4];
            let blocked = thread.is_blocked();
            match random >> 28 {
                0..6 => {
                    posts += 1;
                    let waited = semaphore.num_waiters();
                    semaphore.post();
                    #[allow(clippy::unnecessary_fallible_conversions)] // not where a count has 32 bits
                    let woken = Count::try_from(waited - semaphore.num_waiters()).expect("a few");
                    passed += woken;
                }
                6..12 if !blocked => passed += Count::from(wait(semaphore, thread) == Some(Ok(()))),
                12 if !blocked => {
                    passed += Count::from(Recording::wait_for(semaphore, thread, Deadline::PASSED) == Some(Ok(())));
                }
                _ => {
                    thread.suspend();
                    thread.resume();
                }
            }
            if semaphore.num_waiters() == 0 {
                assert_eq!(semaphore.count().max(0), initial.max(0) + posts - passed);
            }
        }
        all.iter().for_each(|thread| thread.suspend());
        all.iter().for_each(|thread| thread.resume());
    }
}

/// The seed's table: how many wait, and the count, after each step. The hook between the moment in which thread 1 is taken
/// out of the queue and the one in which it runs again is that it is played.
#[test]
fn z15_a_failed_wait_does_not_undo_its_decrement() {
    let kernel = Recording::kernel();
    let semaphore = semaphore(kernel, 0);
    let [one, three] = threads(kernel, [1; 2]);
    let mut table = Vec::from([state(semaphore)]);
    assert_eq!(Recording::wait_for(semaphore, one, Deadline::at(10)), None);
    table.push(state(semaphore)); // 1W
    kernel.platform().set_now(10);
    one.expire();
    table.push(state(semaphore)); // 1T
    semaphore.post();
    table.push(state(semaphore)); // 2P
    let third = wait(semaphore, three);
    table.push(state(semaphore)); // 3W
    let first = semaphore.failed(Recording::outcome(one).expect("it was taken out"));
    table.push(state(semaphore)); // 1R
    assert_eq!(first, Err(WaitFailure::TimedOut));
    if mutant::is(Mutant::UndoFailedWait) {
        assert_eq!(table, [(0, 0), (1, -1), (0, -1), (0, 0), (1, -1), (1, 0)], "as the seed has it");
    }
    semaphore.post();
    let passed = third.or_else(|| Recording::outcome(three));
    assert_eq!(passed, Some(Ok(())), "a lost wake-up: two posts, and thread 3 sleeps");
    assert_eq!(table, [(0, 0), (1, -1), (0, -1), (0, 1), (0, 0), (0, 0)]);
    assert_eq!(state(semaphore), (0, 1));
}

#[test]
fn z15_the_naive_version_loses_the_wake_up() {
    caught(
        Mutant::UndoFailedWait,
        "kernel::tests::counting::z15_a_failed_wait_does_not_undo_its_decrement",
        "a lost wake-up: two posts, and thread 3 sleeps",
    );
}

#[test]
fn p15_a_post_beyond_the_maximum_panics_and_changes_nothing() {
    let semaphore = semaphore(Recording::kernel(), Count::MAX);
    assert!(panic_of(|| semaphore.post()).contains("a semaphore counts to its maximum, and not beyond"));
    assert_eq!(state(semaphore), (0, Count::MAX));
    assert!(semaphore.try_wait());
    semaphore.post();
}
