//! The traps of the protocol at an address, each set by hand.

use crate::address::serve::{Address, Give};
use crate::address::{Acquire, RawSema, Sema, SemaTable, Word};
use std::boxed::Box;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::vec::Vec;

fn poll<W: Word>(acquire: &mut Pin<Box<Acquire<'_, W>>>) -> Poll<()> {
    acquire.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

/// The first waker panics: everybody is told all the same, and the panic comes out at the end.
#[test]
fn a_waker_that_panics_keeps_nobody_from_being_woken() {
    let (table, sema) = (SemaTable::new(), Sema::new(0));
    let mut all: Vec<_> = (0..100).map(|_| Box::pin(sema.acquire_in(&table))).collect();
    let bomb = Waker::from(Arc::new(Bomb));
    assert!(all[0].as_mut().poll(&mut Context::from_waker(&bomb)).is_pending());
    all[1..].iter_mut().for_each(|acquire| assert!(poll(acquire).is_pending()));
    catch_unwind(AssertUnwindSafe(|| sema.release_n_in(100, &table))).unwrap_err();
    all.iter_mut().for_each(|acquire| assert!(poll(acquire).is_ready(), "stranded"));
    assert_eq!((sema.count(), table.check()), (0, 0));
}

/// The same when the permit is handed over: it is the waiter's, or, when that goes away, the next one's.
#[test]
fn a_waker_that_panics_has_its_permit() {
    let (table, sema) = (SemaTable::new(), RawSema::new(0));
    let (mut first, mut second) = (Box::pin(sema.acquire_in(&table)), Box::pin(sema.acquire_in(&table)));
    let bomb = Waker::from(Arc::new(Bomb));
    assert!(first.as_mut().poll(&mut Context::from_waker(&bomb)).is_pending());
    assert!(poll(&mut second).is_pending());
    catch_unwind(AssertUnwindSafe(|| sema.release_handoff_in(&table))).unwrap_err();
    drop(first);
    assert!(poll(&mut second).is_ready());
    assert_eq!((sema.count(), table.check()), (0, 0));
}

/// A hand-off that panics does so unlocked: the hook, which is the user's code, may look at the same bucket.
#[test]
fn a_hand_off_that_overflows_panics_without_the_lock() {
    static TABLE: SemaTable = SemaTable::new();
    static FULL: RawSema = RawSema::new(u32::MAX);
    let others: Vec<RawSema> = (0..1000).map(|_| RawSema::new(0)).collect();
    let bucket = |sema| crate::address::table::hash(std::ptr::from_ref::<RawSema>(sema).addr()) % 64;
    let beside = others.iter().find(|other| bucket(other) == bucket(&FULL)).expect("some of a thousand");
    let mut waiting = Box::pin(beside.acquire_in(&TABLE));
    assert!(poll(&mut waiting).is_pending());
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload_as_str().is_some_and(|said| said.contains("counts to 4294967295")) {
            FULL.num_waiters_in(&TABLE); // would wait for itself
        }
        before(info);
    }));
    catch_unwind(|| FULL.release_handoff_in(&TABLE)).unwrap_err();
    assert_eq!(FULL.count(), u32::MAX);
}

/// A-I4: after its addition a release of a `RawSema` does not look at the word, though somebody waits at its address: the word
/// may have been freed by whoever has taken what was added, and who waits there may have been forgotten.
#[test]
fn a_i4_a_release_wakes_without_a_look_at_a_word_that_may_be_gone() {
    let (table, sema) = (SemaTable::new(), RawSema::new(0));
    let mut forgotten = Box::pin(sema.acquire_in(&table)); // as good as: nobody polls it
    assert!(poll(&mut forgotten).is_pending());
    let loads = || crate::sys::atomic::counts().loads;
    let before = loads();
    Address::of(&sema, &table).serve(1, Give::Wake);
    // The size before and after the lock, `waiting` to take it out. None of the word, which counts nothing.
    assert_eq!(loads() - before, 3);
    assert!(poll(&mut forgotten).is_pending(), "woken for nothing");
}

/// Who was forgotten where a word of one kind was is in nobody's way where a word of the other kind is now.
#[test]
fn a_forgotten_waiter_of_the_other_kind_of_word_keeps_nobody_from_being_woken() {
    let table = SemaTable::new();
    let sema = Box::leak(Box::new(Sema::new(0)));
    let mut forgotten = Box::pin(sema.acquire_in(&table));
    assert!(poll(&mut forgotten).is_pending());
    std::mem::forget(forgotten);
    // SAFETY: both are transparent over one atomic word, and nobody uses the other one any more.
    let raw = unsafe { &*std::ptr::from_ref(sema).cast::<RawSema>() };
    raw.as_atomic().store(0, std::sync::atomic::Ordering::Relaxed);
    let mut waiting = Box::pin(raw.acquire_in(&table));
    assert!(poll(&mut waiting).is_pending());
    raw.release_in(&table);
    assert!(poll(&mut waiting).is_ready());
}
