//! What each path costs, counted by the atomics themselves: one more access, anywhere on a path, fails a test.

use crate::address::serve::Address;
use crate::address::{Acquire, RawSema, Sema, SemaTable, Word};
use crate::sys::atomic::{Counts, counts};
use crate::wait::batch::CAPACITY;
use crate::wait::tree::steps;
use std::boxed::Box;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::vec::Vec;

fn cost<R>(f: impl FnOnce() -> R) -> (Counts, R) {
    let before = counts();
    let result = f();
    (counts() - before, result)
}

fn poll<W: Word>(acquire: &mut Pin<Box<Acquire<'_, W>>>) -> Poll<()> {
    acquire.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn of(loads: u64, stores: u64, rmws: u64) -> Counts {
    Counts { loads, stores, rmws, syscalls: 0 }
}

/// One more address than a table has buckets: some two of them share one.
fn two_that_share_a_bucket<W: Word>(words: &[W]) -> (&W, &W) {
    use crate::address::table::{BASE, hash};
    let bucket = |word: &W| hash(std::ptr::from_ref(word).addr()) % BASE;
    let first = &words[0];
    let other = words[1..].iter().find(|word| bucket(word) == bucket(first));
    (first, other.expect("some of a thousand do"))
}

#[test]
fn g1_an_uncontended_pair_of_a_sema_is_two_rmws_and_nothing_of_the_table() {
    // No lock, which would be an RMW more; no table, which would be a load more; no clock, which nobody here asks for.
    let pair = of(2, 0, 2);
    let sema = Sema::new(1);
    assert_eq!(cost(|| (sema.try_acquire(), sema.release())).0, pair);
    assert_eq!(cost(|| (sema.acquire().wait(), sema.release())).0, pair);
    assert_eq!(cost(|| (sema.blocking_acquire(), sema.release())).0, pair);
    assert_eq!(cost(|| (sema.acquire().wait_timeout(core::time::Duration::MAX), sema.release())).0, pair);
    assert_eq!(cost(|| (sema.try_acquire(), sema.release_handoff())).0, of(3, 0, 2), "looks at its bit first");
    assert_eq!(cost(|| sema.release_n(7)).0, of(1, 0, 1));
    let mut acquire = Box::pin(sema.acquire());
    assert_eq!(cost(|| poll(&mut acquire).is_ready()), (of(1, 0, 1), true));
    assert_eq!(cost(|| drop(acquire)).0, of(0, 0, 0));
    assert_eq!(cost(|| drop(sema.acquire())).0, of(0, 0, 0), "it has asked for nothing");
}

#[test]
fn g1_g5_an_uncontended_pair_of_a_raw_sema_is_two_rmws_and_loads() {
    let (table, sema) = (SemaTable::new(), RawSema::new(1));
    let at = Address::of(&sema, &table);
    assert_eq!(cost(|| at.try_take()).0, of(1, 0, 1));
    // Its word before and in the RMW; the size, how many wait, and the size again.
    assert_eq!(cost(|| at.release(1)).0, of(4, 0, 1));
    assert_eq!(cost(|| sema.acquire_in(&table).wait()).0, of(1, 0, 1));
    assert_eq!(cost(|| at.hand_off()).0, of(7, 0, 1), "looks at the table before, too");
}

#[test]
fn g2_no_is_one_load() {
    assert_eq!(cost(|| Sema::new(0).try_acquire()), (of(1, 0, 0), false));
    assert_eq!(cost(|| RawSema::new(0).try_acquire()), (of(1, 0, 0), false));
}

/// What one waiter costs from its first poll to its last. The lock is an RMW to take and one to give back; `waiting` of the
/// bucket is read and written by its holder.
fn one_waits<W: Word>(sema: &W, joins: Counts, is_served: Counts, is_handed: Counts, leaves: Counts) {
    let table = SemaTable::new();
    let at = Address::of(sema, &table);
    let new = || Box::pin(Acquire::new(at));

    let mut acquire = new();
    assert_eq!(cost(|| poll(&mut acquire).is_pending()), (joins, true), "joins");
    assert_eq!(cost(|| poll(&mut acquire).is_pending()), (of(1, 0, 0), true), "is polled again: its own state");
    assert_eq!(cost(|| at.release(1)).0, is_served, "is woken");
    // Its own state, the word, and that it has it; G9.
    assert_eq!(cost(|| poll(&mut acquire).is_ready()), (of(2, 1, 1), true), "takes the permit");
    assert_eq!(cost(|| drop(acquire)).0, of(0, 0, 0), "is done");

    let mut acquire = new();
    assert!(poll(&mut acquire).is_pending());
    assert_eq!(cost(|| at.hand_off()).0, is_handed, "is handed the permit");
    assert_eq!(
        cost(|| poll(&mut acquire).is_ready()),
        (of(1, 0, 0), true),
        "has the permit: its own state, and no RMW"
    );

    let mut acquire = new();
    assert!(poll(&mut acquire).is_pending());
    assert_eq!(cost(|| drop(acquire)).0, leaves, "leaves");
    assert_eq!(table.check(), 0);
}

#[test]
fn g3_what_one_waiter_of_a_sema_costs() {
    // Joins: T; the size twice; `waiting`; A2. Stores of `waiting` and of its state; RMWs of the lock and of the bit.
    let joins = of(5, 2, 3);
    // D1 with its look; the size twice; `waiting`; the count once. Stores of `waiting` and of the outcome; the lock, D1, the bit.
    let is_served = of(5, 2, 4);
    let is_handed = of(4, 2, 3);
    let leaves = of(5, 2, 3);
    one_waits(&Sema::new(0), joins, is_served, is_handed, leaves);
}

#[test]
fn g3_g4_what_one_waiter_of_a_raw_sema_costs() {
    // As of a `Sema`, without the bit and the count; and D2 looks at the size and at `waiting`.
    let joins = of(5, 2, 2);
    let is_served = of(6, 2, 3);
    let is_handed = of(5, 2, 2);
    let leaves = of(5, 2, 2);
    one_waits(&RawSema::new(0), joins, is_served, is_handed, leaves);
}

#[test]
fn whoever_joins_behind_another_finds_the_bit_set() {
    let (table, sema) = (SemaTable::new(), Sema::new(0));
    let mut all: Vec<_> = (0..3).map(|_| Box::pin(sema.acquire_in(&table))).collect();
    let joins: Vec<_> = all.iter_mut().map(|acquire| cost(|| poll(acquire)).0).collect();
    assert_eq!(joins, [of(5, 2, 3), of(5, 2, 2), of(5, 2, 2)]);
    assert_eq!(cost(|| sema.release_in(&table)).0.rmws, 3, "D1 and the lock: others wait, so the bit stays");
}

#[test]
fn g6_a_release_beside_somebody_elses_waiter_locks_finds_nobody_and_changes_nothing() {
    let table = SemaTable::new();
    let semas: Vec<RawSema> = (0..1000).map(|_| RawSema::new(0)).collect();
    let (mine, other) = two_that_share_a_bucket(&semas);
    let mut waiting = Box::pin(other.acquire_in(&table));
    assert!(poll(&mut waiting).is_pending());
    let (released, ()) = cost(|| mine.release_in(&table));
    assert_eq!(released, of(5, 0, 3), "D1, the lock, and no store");
    assert_eq!((mine.count(), other.count()), (1, 0));
    assert_eq!((mine.num_waiters_in(&table), other.num_waiters_in(&table)), (0, 1));
    assert!(poll(&mut waiting).is_pending(), "G12");
}

#[test]
fn g6_a_release_of_a_sema_does_not_see_who_else_is_in_its_bucket() {
    let table = SemaTable::new();
    let semas: Vec<Sema> = (0..1000).map(|_| Sema::new(0)).collect();
    let (mine, other) = two_that_share_a_bucket(&semas);
    let mut waiting = Box::pin(other.acquire_in(&table));
    assert!(poll(&mut waiting).is_pending());
    assert_eq!(cost(|| mine.release_in(&table)).0, of(1, 0, 1));
}

#[test]
fn g7_a_release_that_finds_its_waiter_gone_unlocks_and_leaves() {
    let (table, sema) = (SemaTable::new(), RawSema::new(1));
    let (served, handed) = cost(|| Address::of(&sema, &table).serve(1, crate::address::serve::Give::Wake));
    assert!(!handed);
    assert_eq!(served, of(2, 0, 2), "the size twice, the lock");
}

#[test]
fn g7_a_release_whose_permit_was_taken_wakes_nobody() {
    let (table, sema) = (SemaTable::new(), Sema::new(0));
    let mut waiting = Box::pin(sema.acquire_in(&table));
    assert!(poll(&mut waiting).is_pending());
    let (served, _) = cost(|| Address::of(&sema, &table).serve(1, crate::address::serve::Give::Wake));
    assert_eq!(served, of(3, 0, 2), "the size twice, the count, the lock");
    assert_eq!(table.check(), 1);
}

#[test]
fn g8_one_release_wakes_one_however_much_the_word_counts() {
    let (table, sema) = (SemaTable::new(), Sema::new(0));
    let mut all: Vec<_> = (0..3).map(|_| Box::pin(sema.acquire_in(&table))).collect();
    all.iter_mut().for_each(|acquire| assert!(poll(acquire).is_pending()));
    sema.release_in(&table);
    sema.release_in(&table);
    assert_eq!((sema.count(), sema.num_waiters_in(&table)), (2, 1));
}

#[test]
fn a_full_batch_takes_the_lock_once() {
    let (table, sema) = (SemaTable::new(), Sema::new(0));
    let mut all: Vec<_> = (0..=CAPACITY).map(|_| Box::pin(sema.acquire_in(&table))).collect();
    all.iter_mut().for_each(|acquire| assert!(poll(acquire).is_pending()));
    let n = u32::try_from(CAPACITY).expect("a small number");
    assert_eq!(cost(|| sema.release_n_in(n, &table)).0.rmws, 3, "D1 and the lock");
}

#[test]
fn to_leave_costs_the_same_however_many_wait_there() {
    let leave_the_middle_of = |n: usize| {
        let (table, sema) = (SemaTable::new(), Sema::new(0));
        let mut all: Vec<_> = (0..n).map(|_| Box::pin(sema.acquire_in(&table))).collect();
        all.iter_mut().for_each(|acquire| assert!(poll(acquire).is_pending()));
        let middle = all.swap_remove(n / 2);
        let before = steps::count();
        (cost(|| drop(middle)).0, steps::count() - before)
    };
    let few = leave_the_middle_of(10);
    assert_eq!(few, (of(5, 2, 2), 1), "the lock, and no bit");
    assert_eq!(few, leave_the_middle_of(100_000));
}

#[test]
#[cfg(target_pointer_width = "64")]
fn sizes() {
    assert_eq!((size_of::<Sema>(), size_of::<RawSema>()), (4, 4));
    if cfg!(not(feature = "profile")) {
        assert!(size_of::<Acquire<'_>>() <= 144, "{}", size_of::<Acquire<'_>>());
    }
}
