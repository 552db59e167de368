//! Constructors, the state that they give, `Debug`, auto traits, sizes.

use crate::common::panics::caught;
use crate::common::task::Task;
use gatepost::{Acquire, AcquireError, Semaphore, SemaphorePermit, Strict, TryAcquireError};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use std::panic::{RefUnwindSafe, UnwindSafe};

const MAX: usize = Semaphore::MAX_PERMITS;

#[test]
fn t1_max_permits_leaves_three_bits() {
    assert_eq!(Semaphore::MAX_PERMITS, usize::MAX >> 3);
}

#[test]
fn t1_new_takes_up_to_max_permits() {
    for permits in [0, 1, 2, 3, 1000, MAX - 1, MAX] {
        let semaphore = Semaphore::new(permits);
        assert_eq!(semaphore.available_permits(), permits);
        assert!(!semaphore.is_closed());
        assert_eq!(semaphore.num_waiters(), 0);
    }
}

#[test]
fn t1_new_refuses_more_than_max_permits() {
    for permits in [MAX + 1, usize::MAX] {
        let panic = caught(|| Semaphore::new(permits));
        panic.says("a semaphore may not have more than MAX_PERMITS permits", file!());
    }
}

#[test]
fn t2_const_new_makes_a_static() {
    static SEMAPHORE: Semaphore = Semaphore::const_new(3);
    static FULL: Semaphore = Semaphore::const_new(Semaphore::MAX_PERMITS);
    let permit = SEMAPHORE.try_acquire_many(2).expect("2 of 3");
    assert_eq!(SEMAPHORE.available_permits(), 1);
    drop(permit);
    assert_eq!(SEMAPHORE.available_permits(), 3);
    assert_eq!(FULL.available_permits(), MAX);
}

#[test]
fn t2_const_new_refuses_more_than_max_permits() {
    let message = caught(|| Semaphore::const_new(MAX + 1)).message().to_owned();
    assert!(message.contains("a semaphore may not have more than MAX_PERMITS permits"), "{message}");
}

#[test]
fn t3_new_closed_is_closed_from_birth() {
    static CLOSED: Semaphore = Semaphore::const_new_closed();
    for semaphore in [&Semaphore::new_closed(), &CLOSED] {
        assert!(semaphore.is_closed());
        assert_eq!(semaphore.available_permits(), 0);
        assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
        assert_eq!(semaphore.try_acquire_many(0).unwrap_err(), TryAcquireError::Closed);
        let _: AcquireError = Task::new(semaphore.acquire()).error();
        semaphore.add_permits(2);
        assert_eq!(semaphore.available_permits(), 2);
        assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
    }
}

#[test]
fn t4_the_count_means_the_same_after_close() {
    for permits in [0, 1, 5, MAX] {
        let semaphore = Semaphore::new(permits);
        assert!(!semaphore.is_closed());
        semaphore.close();
        assert!(semaphore.is_closed());
        assert_eq!(semaphore.available_permits(), permits);
    }
}

#[test]
fn t5_debug_shows_permits_waiters_and_closed() {
    let semaphore = Semaphore::new(5);
    assert_eq!(format!("{semaphore:?}"), "Semaphore { permits: 5, waiters: 0, closed: false }");
    let queued = [Task::queued(semaphore.acquire_n(6)), Task::queued(semaphore.acquire())];
    assert_eq!(format!("{semaphore:?}"), "Semaphore { permits: 0, waiters: 2, closed: false }");
    drop(queued);
    semaphore.close();
    assert_eq!(format!("{semaphore:?}"), "Semaphore { permits: 5, waiters: 0, closed: true }");
}

#[test]
fn t5_debug_shows_the_count_and_not_the_word() {
    for permits in [0, 1, 2, 7, 8, MAX] {
        let semaphore = Semaphore::const_new(permits);
        assert!(format!("{semaphore:?}").contains(&format!("permits: {permits},")), "{semaphore:?}");
    }
}

#[test]
fn debug_of_futures_and_permits_names_their_permits() {
    let semaphore = Semaphore::new(7);
    assert_eq!(format!("{:?}", semaphore.acquire_many(3)), "Acquire { permits: 3, .. }");
    let permit = semaphore.try_acquire_many(3).expect("3 of 7");
    assert_eq!(
        format!("{permit:?}"),
        "SemaphorePermit { permits: 3, semaphore: Semaphore { permits: 4, waiters: 0, closed: false } }"
    );
}

/// `Strict` is the policy of whoever names none.
#[test]
fn strict_is_the_default_policy() {
    fn named(semaphore: &Semaphore<Strict>) -> usize {
        semaphore.available_permits()
    }
    assert_eq!(named(&Semaphore::new(1)), 1);
}

// T21, and what Tokio documents of its types.
assert_impl_all!(Semaphore: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, std::fmt::Debug);
assert_impl_all!(SemaphorePermit<'static>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, std::fmt::Debug);
assert_impl_all!(Acquire<'static>: Send, Sync, std::fmt::Debug);
assert_not_impl_any!(Acquire<'static>: Unpin, Clone);
assert_not_impl_any!(Semaphore: Clone);
assert_not_impl_any!(SemaphorePermit<'static>: Clone);
assert_impl_all!(AcquireError: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Clone, Eq, std::error::Error);
assert_impl_all!(TryAcquireError: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Clone, Eq, std::error::Error);

#[cfg(feature = "alloc")]
mod owned {
    use super::*;
    use gatepost::{AcquireOwned, OwnedSemaphorePermit, PollSemaphore};

    assert_impl_all!(OwnedSemaphorePermit: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, std::fmt::Debug);
    assert_impl_all!(AcquireOwned: Send, Sync, std::fmt::Debug);
    assert_not_impl_any!(AcquireOwned: Unpin, Clone);
    assert_not_impl_any!(OwnedSemaphorePermit: Clone);
    assert_impl_all!(PollSemaphore: Send, Sync, Unpin, Clone, AsRef<Semaphore>, std::fmt::Debug);
}

#[cfg(feature = "std")]
mod waiting {
    use super::*;
    use gatepost::{Interrupter, WaitError, WaitOptions};

    assert_impl_all!(Interrupter: Send, Sync, Unpin, Default, std::fmt::Debug);
    assert_impl_all!(WaitError: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Copy, Eq, std::error::Error);
    assert_impl_all!(WaitOptions<'static>: Send, Sync, Unpin, Copy, Default, std::fmt::Debug);
}

#[test]
#[cfg(not(any(feature = "tracing", feature = "profile")))] // which keep spans, or times, in the future
fn sizes_are_as_promised() {
    assert!(size_of::<Semaphore>() <= 32, "{}", size_of::<Semaphore>());
    assert!(size_of::<Acquire<'static>>() <= 80, "{}", size_of::<Acquire<'static>>());
    assert!(size_of::<SemaphorePermit<'static>>() <= 2 * size_of::<usize>());
    #[cfg(feature = "alloc")]
    assert!(size_of::<gatepost::AcquireOwned>() <= 80, "{}", size_of::<gatepost::AcquireOwned>());
}
