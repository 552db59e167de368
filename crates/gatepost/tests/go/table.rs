//! Tables: one for the process, and one's own.

use crate::common::task::Task;
use gatepost::address::{RawSema, Sema, SemaTable};

#[test]
fn who_waits_in_one_table_is_not_seen_in_another() {
    let (one, other) = (SemaTable::new(), SemaTable::default());
    let sema = Sema::new(0);
    let mut here = Task::queued(sema.acquire_in(&one));
    assert_eq!((sema.num_waiters_in(&one), sema.num_waiters_in(&other), sema.num_waiters()), (1, 0, 0));
    sema.release_in(&one);
    here.ready();
    let raw = RawSema::new(0);
    let mut there = Task::queued(raw.acquire_in(&other));
    let mut global = Task::queued(raw.acquire());
    assert_eq!((raw.num_waiters_in(&one), raw.num_waiters_in(&other), raw.num_waiters()), (0, 1, 1));
    raw.release_in(&one);
    assert_eq!((there.wakes(), global.wakes(), raw.count()), (0, 0, 1), "released where nobody waits: it is there");
    assert!(raw.try_acquire());
    raw.release_n_in(2, &other);
    assert_eq!((there.wakes(), global.wakes()), (1, 0));
    there.ready();
    assert!(global.is_pending(), "what is there was released in another table");
    raw.release();
    global.ready();
    assert_eq!(raw.count(), 1);
}

#[test]
fn the_table_of_the_process_is_what_the_plain_methods_use() {
    let sema = Sema::new(0);
    let mut task = Task::queued(sema.acquire());
    assert_eq!(sema.num_waiters_in(SemaTable::global()), 1);
    sema.release_handoff_in(SemaTable::global());
    task.ready();
    let mut task = Task::queued(sema.acquire_in(SemaTable::global()));
    assert_eq!(sema.num_waiters(), 1);
    sema.release();
    task.ready();
}

/// A table that has grown has memory to give back; whoever was forgotten in it goes with it.
#[test]
fn a_table_that_has_grown_may_be_dropped_with_those_who_were_forgotten_in_it() {
    for _ in 0..3 {
        let semas: Vec<Sema> = (0..5_000).map(|_| Sema::new(0)).collect();
        let table = SemaTable::new();
        for (i, sema) in semas.iter().enumerate() {
            let task = Task::queued(sema.acquire_in(&table));
            if i % 100 == 0 {
                task.forget();
            } else if i % 2 == 0 {
                drop(task);
            } else {
                sema.release_in(&table);
                drop(task);
                assert_eq!(sema.count(), 1);
            }
        }
        let forgotten = semas.iter().filter(|sema| sema.num_waiters_in(&table) == 1).count();
        assert_eq!(forgotten, 50);
        drop(table);
        drop(semas);
    }
}

/// What is forgotten keeps its place at the address, whatever comes there; a word that is put in its place has that waiter
/// before its own. (A word must not be used again at an address at which somebody was forgotten, in the same table.)
#[test]
fn whoever_was_forgotten_at_an_address_is_woken_there_first() {
    let table: &'static SemaTable = Box::leak(Box::default());
    let mut word = RawSema::new(0);
    Task::queued(word.acquire_in(table)).forget();
    word = RawSema::new(0); // at the same address
    let mut waits = Task::queued(word.acquire_in(table));
    assert_eq!(word.num_waiters_in(table), 2);
    word.release_in(table);
    assert_eq!((waits.wakes(), word.count()), (0, 1));
    word.release_in(table);
    waits.ready();
}

#[cfg(feature = "alloc")]
#[test]
fn g54_whoever_waits_is_found_by_address_with_its_reason() {
    use gatepost::WaitReason::{Mutex, RwLockRead, Wakeup};
    let table = SemaTable::new();
    let (one, other) = (Sema::new(0), RawSema::new(0));
    let _first = Task::queued(one.acquire_in(&table).reason(Mutex));
    let second = Task::queued(one.acquire_in(&table));
    let _before = Task::queued(one.acquire_in(&table).reason(RwLockRead).lifo());
    let _elsewhere = Task::queued(other.acquire_in(&table));
    let at = |address: usize| {
        let mut found: Vec<_> = table.waiting().into_iter().filter(|waiting| waiting.address == address).collect();
        assert!(found.len() <= 1, "an address once");
        found.pop().map(|waiting| waiting.reasons)
    };
    let (one_at, other_at) = (std::ptr::from_ref(&one).addr(), std::ptr::from_ref(&other).addr());
    assert_eq!(at(one_at).unwrap(), [RwLockRead, Mutex, Wakeup], "in their order");
    assert_eq!(at(other_at).unwrap(), [Wakeup]);
    drop(second);
    assert_eq!(at(one_at).unwrap(), [RwLockRead, Mutex], "cleared when it is taken out");
    other.release_in(&table);
    assert_eq!(at(other_at), None);
    assert_eq!(table.waiting().len(), 1);
}

#[test]
fn g54_a_wait_says_what_it_is_for() {
    use gatepost::WaitReason;
    assert_eq!(WaitReason::default(), WaitReason::Semaphore);
    let said =
        [WaitReason::Wakeup, WaitReason::Mutex, WaitReason::RwLockWrite, WaitReason::WaitGroup].map(|r| r.to_string());
    assert_eq!(said, ["wake-up", "mutex", "write lock", "wait group"]);
}
