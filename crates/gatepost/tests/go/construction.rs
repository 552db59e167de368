//! Constructors, conversions, `Debug`, auto traits, sizes, and the panics of a broken contract.

use crate::common::panics::caught;
use crate::common::task::Task;
use crate::gate::{New, Word};
use gatepost::address::{Acquire, RawSema, Sema, SemaTable};
use static_assertions::{assert_eq_align, assert_eq_size, assert_impl_all, assert_not_impl_any};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

#[test]
fn four_bytes_and_nothing_else() {
    assert_eq_size!(Sema, RawSema, u32);
    assert_eq_align!(Sema, RawSema, u32);
    assert_eq!(size_of::<[Sema; 1000]>(), 4000);
}

#[test]
fn an_acquisition_is_as_small_as_its_documentation_says() {
    println!("{} bytes", size_of::<Acquire<'_, Sema>>());
    assert_eq_size!(Acquire<'_, Sema>, Acquire<'_, RawSema>);
    if cfg!(target_pointer_width = "64") {
        assert!(size_of::<Acquire<'_, Sema>>() <= 144);
    }
}

#[test]
fn what_may_be_shared_sent_and_moved() {
    assert_impl_all!(Sema: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Default);
    assert_impl_all!(RawSema: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Default);
    assert_impl_all!(SemaTable: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Default);
    assert_not_impl_any!(Sema: Clone, Copy);
    assert_impl_all!(Acquire<'static, Sema>: Send, Sync);
    assert_impl_all!(Acquire<'static, RawSema>: Send, Sync);
    assert_not_impl_any!(Acquire<'static, Sema>: Unpin, Clone);
    assert_not_impl_any!(Acquire<'static, RawSema>: Unpin, Clone);
}

#[test]
fn statics_of_all_three() {
    static SEMA: Sema = Sema::new(2);
    static RAW: RawSema = RawSema::new(u32::MAX);
    static FULL: Sema = Sema::new(Sema::MAX_COUNT);
    static TABLE: SemaTable = SemaTable::new();
    assert_eq!((SEMA.count(), RAW.count(), FULL.count()), (2, u32::MAX, (1 << 31) - 1));
    let sema = Sema::new(0);
    let mut task = Task::queued(sema.acquire_in(&TABLE));
    assert_eq!((sema.num_waiters_in(&TABLE), sema.num_waiters()), (1, 0));
    sema.release_in(&TABLE);
    task.ready();
}

#[test]
fn g11_more_than_can_be_counted_is_refused_from_the_beginning() {
    assert_eq!((Sema::MAX_COUNT, RawSema::MAX_COUNT), (u32::MAX / 2, u32::MAX));
    caught(|| Sema::new(Sema::MAX_COUNT + 1)).says("2^31 - 1", file!());
    caught(|| Sema::new(u32::MAX)).says("a `Sema` counts to MAX_COUNT", file!());
}

#[test]
fn a_default_has_no_permit() {
    fn check<W: Word>(_: New<W>) {
        assert_eq!(W::default().count(), 0);
        assert!(!W::default().try_acquire());
    }
    each_gate!(check);
}

#[test]
fn debug_shows_the_count_and_not_the_word() {
    let sema = Sema::new(3);
    assert_eq!(format!("{sema:?}"), "Sema { count: 3, has_waiters: false }");
    assert_eq!(format!("{:?}", RawSema::new(3)), "RawSema { count: 3 }");
    let sema: &'static Sema = Box::leak(Box::default());
    let task = Task::queued(sema.acquire());
    assert_eq!(format!("{sema:?}"), "Sema { count: 0, has_waiters: true }");
    assert!(sema.has_waiters());
    drop(task);
    assert!(!sema.has_waiters());
    assert!(format!("{:?}", sema.acquire()).starts_with("Acquire { phase: New"));
    assert!(format!("{:?}", SemaTable::new()).starts_with("SemaTable { buckets: "));
}

/// Any `AtomicU32`, bit for bit: it may be looked at, and written, by other means.
#[test]
fn a_raw_semaphore_is_the_word_itself() {
    let word = AtomicU32::new(5);
    let sema = RawSema::from_atomic(&word);
    assert!(std::ptr::eq(sema.as_atomic(), &word));
    assert!(sema.try_acquire());
    assert_eq!(word.load(Relaxed), 4);
    word.store(0, Relaxed);
    let mut task = Task::queued(sema.acquire());
    assert_eq!(word.load(Relaxed), 0, "that somebody waits is not in the word");
    sema.release();
    assert_eq!(word.load(Relaxed), 1);
    task.ready();
    assert_eq!(word.load(Relaxed), 0);
}

#[test]
fn an_acquisition_that_is_done_is_not_polled_again() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(1);
        let mut task = Task::new(gate.acquire());
        task.ready();
        let panic = caught(|| task.is_pending());
        assert!(panic.message().contains("after it was done"), "{}", panic.message());
        drop(task);
        gate.has(0, 0);
    }
    each_gate!(check);
}

#[test]
#[cfg(feature = "std")]
fn an_acquisition_that_is_done_is_not_waited_for_again() {
    use gatepost::{WaitError, WaitOptions};
    use std::time::Duration;

    fn check<W: Word>(new: New<W>) {
        let gate = new(1);
        let mut task = Task::new(gate.acquire());
        task.ready();
        let at_once = WaitOptions::new().timeout(Duration::ZERO);
        caught(|| task.pinned().wait_pinned(at_once)).says("after it was done", file!());
        // However a wait has ended: also one that gave up before it had joined.
        for mut late in [Task::new(gate.acquire()), Task::queued(gate.acquire())] {
            assert_eq!(late.pinned().wait_pinned(at_once), Err(WaitError::TimedOut));
            caught(|| late.pinned().wait_pinned(at_once)).says("after it was done", file!());
            let _ = caught(|| late.is_pending());
        }
        gate.has(0, 0);
    }
    each_gate!(check);
}
