//! The traps of the protocol, each set by hand: LOCKED is taken by the test, so that the moment is exact.

use crate::semaphore::policy::Gate;
use crate::semaphore::strict::MAX_PERMITS;
use crate::semaphore::{Acquire, Semaphore, TryAcquireError};
use crate::wait::batch::{CAPACITY, Panics};
use crate::wait::node;
use std::boxed::Box;
use std::format;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::vec::Vec;

type Queued<'a> = Pin<Box<Acquire<'a>>>;

fn queued(semaphore: &Semaphore, n: usize) -> Queued<'_> {
    let mut acquire = Box::pin(semaphore.acquire_n(n));
    assert!(acquire.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    acquire
}

/// Whether it was granted; keeps the permits.
fn granted(acquire: &mut Queued<'_>) -> bool {
    match acquire.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(permit) => {
            permit.unwrap().forget();
            true
        }
        Poll::Pending => false,
    }
}

/// Runs `f` in another thread while this one holds LOCKED, waits until it sleeps for LOCKED, and unlocks.
fn while_locked<R: Send>(semaphore: &Semaphore, f: impl FnOnce() -> R + Send) -> R {
    let locked = semaphore.gate.try_lock().expect("somebody waits, and nobody holds LOCKED");
    std::thread::scope(|scope| {
        let blocked = scope.spawn(f);
        while !semaphore.gate.has_sleepers() {
            assert!(!blocked.is_finished(), "it did not wait for LOCKED");
            std::thread::yield_now();
        }
        semaphore.gate.serve_and_wake(locked);
        blocked.join().unwrap()
    })
}

/// What `ask` is answered after a deposit of 6 of its own, which nobody has served yet, to a queue that needs 1.
fn answer_in_motion<R: Send>(ask: impl FnOnce(&Semaphore) -> R + Send) -> R {
    let semaphore = Semaphore::new(0);
    let mut waiter = queued(&semaphore, 1);
    let answer = while_locked(&semaphore, || {
        semaphore.add_permits(6); // leaves: LOCKED is held
        ask(&semaphore)
    });
    assert!(granted(&mut waiter));
    answer
}

#[test]
fn nobody_answers_no_from_a_word_in_motion() {
    assert_eq!(answer_in_motion(|semaphore| semaphore.try_acquire_n(5).map(|permit| permit.forget())), Ok(()));
    assert_eq!(answer_in_motion(Semaphore::available_permits), 5);
    assert_eq!(answer_in_motion(|semaphore| semaphore.forget_permits(9)), 5);
    assert_eq!(answer_in_motion(Semaphore::drain_permits), 5);
}

#[test]
fn with_too_few_permits_no_is_exact_and_waits_for_nobody() {
    let semaphore = Semaphore::new(0);
    let _front = queued(&semaphore, 9);
    semaphore.add_permits(2);
    let locked = semaphore.gate.try_lock().unwrap();
    assert_eq!(semaphore.try_acquire_n(3).unwrap_err(), TryAcquireError::NoPermits);
    semaphore.gate.serve_and_wake(locked);
    assert_eq!(semaphore.try_acquire_n(2).unwrap_err(), TryAcquireError::NoPermits, "they are the front's");
    assert_eq!((semaphore.available_permits(), semaphore.forget_permits(1)), (0, 0), "T9, T38");
}

#[test]
fn close_serves_a_front_that_already_fits() {
    let semaphore = Semaphore::new(0);
    let mut front = queued(&semaphore, 1);
    let mut behind = queued(&semaphore, 9);
    let locked = semaphore.gate.try_lock().unwrap();
    semaphore.add_permits(3); // the front fits, and nobody has served it
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| semaphore.close());
        while !semaphore.gate.has_sleepers() {
            std::thread::yield_now();
        }
        // Unlock without serving: what the closer finds is a word in motion.
        semaphore.gate.unlock_unserved(locked);
        closing.join().unwrap();
    });
    assert!(granted(&mut front));
    assert!(matches!(behind.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Err(_))));
    assert_eq!(semaphore.available_permits(), 2);
}

#[test]
fn a_poll_after_close_is_ready_though_another_holds_the_queue() {
    // A waker of the first batch takes LOCKED while the closer owes the second: the closer leaves it to us.
    struct Locks(Arc<Semaphore>, AtomicBool);
    impl Wake for Locks {
        fn wake(self: Arc<Self>) {
            self.1.store(self.0.gate.try_lock().is_some(), SeqCst);
        }
    }
    let semaphore = Arc::new(Semaphore::new(0));
    let locks = Arc::new(Locks(semaphore.clone(), AtomicBool::new(false)));
    let mut all = Vec::new();
    for i in 0..CAPACITY + 1 {
        let waker = if i == 0 { Waker::from(locks.clone()) } else { Waker::noop().clone() };
        let mut acquire = Box::pin(semaphore.acquire());
        assert!(acquire.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        all.push(acquire);
    }
    semaphore.close();
    assert!(locks.1.load(SeqCst), "the waker did not get LOCKED");
    let mut last = all.pop().unwrap();
    std::thread::scope(|scope| {
        let polling = scope.spawn(|| last.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        while !semaphore.gate.has_sleepers() {
            assert!(!polling.is_finished(), "pending after close");
            std::thread::yield_now();
        }
        let locked = semaphore.gate.look_for_test();
        semaphore.gate.serve_and_wake(locked);
        assert!(polling.join().unwrap());
    });
    drop(last);
}

#[test]
fn t29_an_overflow_changes_nothing() {
    let semaphore = Semaphore::new(MAX_PERMITS - 1);
    let overflow = std::panic::catch_unwind(|| semaphore.add_permits(2)).unwrap_err();
    let text = overflow.downcast_ref::<std::string::String>().unwrap();
    assert!(text.starts_with("number of added permits (2) would overflow MAX_PERMITS"), "{text}");
    assert_eq!(semaphore.available_permits(), MAX_PERMITS - 1);
    semaphore.add_permits(1);
    assert!(std::panic::catch_unwind(|| semaphore.add_permits(1)).is_err());
    let overflow = std::panic::catch_unwind(|| semaphore.add_permits(MAX_PERMITS + 1)).unwrap_err();
    let text = overflow.downcast_ref::<std::string::String>().unwrap();
    assert!(text.starts_with("cannot add more than MAX_PERMITS permits"), "{text}");
    assert_eq!(semaphore.available_permits(), MAX_PERMITS);
}

#[test]
fn t30_a_sum_over_the_maximum_fits_where_somebody_waits() {
    // The front needs all, and one is missing: five more are one for the front and four for the rest.
    let semaphore = Semaphore::new(MAX_PERMITS - 1);
    let mut front = queued(&semaphore, MAX_PERMITS);
    let mut behind = queued(&semaphore, 3);
    semaphore.add_permits(5);
    assert!(granted(&mut front) && granted(&mut behind));
    assert_eq!(semaphore.available_permits(), 1);

    // Fronts that fit are served first, in batches, and make room.
    let semaphore = Semaphore::new(MAX_PERMITS - 1);
    let mut front = queued(&semaphore, MAX_PERMITS);
    let mut crowd: Vec<_> = (0..2 * CAPACITY + 1).map(|_| queued(&semaphore, 1)).collect();
    semaphore.add_permits(MAX_PERMITS);
    assert!(granted(&mut front) && crowd.iter_mut().all(granted));
    assert_eq!(semaphore.available_permits(), MAX_PERMITS - 1 - crowd.len());
}

#[test]
fn t30_an_overflow_in_motion_waits_for_the_holder() {
    let semaphore = Semaphore::new(MAX_PERMITS - 1);
    let mut front = queued(&semaphore, MAX_PERMITS);
    while_locked(&semaphore, || {
        semaphore.add_permits(1); // leaves: now there are MAX, and the front fits
        semaphore.add_permits(7); // one too many, if the front had no claim
    });
    assert!(granted(&mut front));
    assert_eq!(semaphore.available_permits(), 7);
}

#[test]
fn a_withdrawal_waits_for_the_holder_and_takes_the_outcome() {
    let semaphore = Semaphore::new(0);
    let waiter = queued(&semaphore, 1);
    while_locked(&semaphore, || {
        semaphore.add_permits(1);
        drop(waiter); // granted by the holder's unlock: given back
    });
    assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (1, 0));
}

#[test]
fn an_enqueuer_that_waits_for_the_lock_takes_what_is_free_by_then() {
    let semaphore = Semaphore::new(0);
    let mut front = queued(&semaphore, 1);
    let got = while_locked(&semaphore, || {
        semaphore.add_permits(2);
        semaphore.acquire().wait().map(|permit| permit.forget()).is_ok()
    });
    assert!(got && granted(&mut front));
    assert_eq!(semaphore.available_permits(), 0);
}

#[test]
fn debug_never_waits() {
    let semaphore = Semaphore::new(0);
    let _waiter = queued(&semaphore, 9);
    semaphore.add_permits(2);
    assert_eq!(format!("{semaphore:?}"), "Semaphore { permits: 0, waiters: 1, closed: false }");
    let locked = semaphore.gate.try_lock().unwrap();
    assert_eq!(format!("{semaphore:?}"), "Semaphore { permits: <locked>, waiters: 1, closed: false }");
    semaphore.gate.serve_and_wake(locked);
}

/// A waker that counts, and once panics.
struct Counting {
    woken: AtomicUsize,
    panic_at: usize,
}

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        if self.woken.fetch_add(1, SeqCst) + 1 == self.panic_at {
            panic!("the {}th waker panics", self.panic_at);
        }
    }
}

#[test]
fn t31_a_panicking_waker_strands_nobody() {
    for by_close in [false, true] {
        let semaphore = Semaphore::new(0);
        let counting = Arc::new(Counting { woken: AtomicUsize::new(0), panic_at: 5 });
        let waker = Waker::from(counting.clone());
        let mut all: Vec<_> = (0..100).map(|_| Box::pin(semaphore.acquire())).collect();
        for acquire in &mut all {
            assert!(acquire.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        let panic = std::panic::catch_unwind(|| if by_close { semaphore.close() } else { semaphore.add_permits(100) });
        assert_eq!(panic.unwrap_err().downcast_ref::<std::string::String>().unwrap(), "the 5th waker panics");
        assert_eq!(counting.woken.load(SeqCst), 100);
        for acquire in &mut all {
            match acquire.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(Ok(permit)) => permit.forget(),
                Poll::Ready(Err(_)) => assert!(by_close),
                Poll::Pending => panic!("stranded"),
            }
        }
        assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (0, 0));
    }
}

#[test]
fn t31_a_panicking_waker_during_a_panic_does_not_abort() {
    let semaphore = Semaphore::new(1);
    let counting = Arc::new(Counting { woken: AtomicUsize::new(0), panic_at: 1 });
    let waker = Waker::from(counting.clone());
    let permit = semaphore.try_acquire().unwrap();
    let mut acquire = Box::pin(semaphore.acquire());
    assert!(acquire.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _permit = permit; // given back while unwinding
        panic!("the first");
    }));
    assert_eq!(*panic.unwrap_err().downcast_ref::<&str>().unwrap(), "the first");
    assert!(granted(&mut acquire));
}

/// A word in motion: `n` permits have been deposited, and nobody has served them yet.
fn in_motion(semaphore: &Semaphore, n: usize) {
    let locked = semaphore.gate.try_lock().expect("somebody waits, and nobody holds LOCKED");
    semaphore.add_permits(n); // leaves: LOCKED is held
    semaphore.gate.unlock_unserved(locked);
}

fn panicking_waker() -> Waker {
    Waker::from(Arc::new(Counting { woken: AtomicUsize::new(0), panic_at: 1 }))
}

#[test]
fn a_time_out_is_exact() {
    let semaphore = Semaphore::new(0);
    let mut first = queued(&semaphore, 1);
    let mut second = queued(&semaphore, 1);
    in_motion(&semaphore, 2);
    // SAFETY: the owner of a node that has joined; its future does not look before this returns.
    let state = unsafe { semaphore.gate.withdraw(second.0.node(), node::TIMED_OUT, &mut Panics::new()) };
    assert_eq!(state, node::GRANTED, "its permit has been there since before it gave up");
    assert!(granted(&mut first) && granted(&mut second));
}

#[test]
fn a_foreign_panic_keeps_no_close_from_closing() {
    let semaphore = Semaphore::new(0);
    let waker = panicking_waker();
    let mut all: Vec<_> = (0..2 * CAPACITY).map(|_| Box::pin(semaphore.acquire())).collect();
    for acquire in &mut all {
        assert!(acquire.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    in_motion(&semaphore, CAPACITY + 1); // more fit than a batch: it is woken before the semaphore is closed
    assert!(std::panic::catch_unwind(|| semaphore.close()).is_err());
    assert!(semaphore.is_closed());
    let mut cx = Context::from_waker(Waker::noop());
    let served = all.iter_mut().filter_map(|acquire| match acquire.as_mut().poll(&mut cx) {
        Poll::Ready(result) => result.ok().map(|permit| permit.forget()),
        Poll::Pending => panic!("pending after close"),
    });
    assert_eq!(served.count(), CAPACITY + 1);
}

#[test]
fn a_foreign_panic_loses_no_release() {
    let semaphore = Semaphore::new(0);
    let waker = panicking_waker();
    let mut acquire = Box::pin(semaphore.acquire());
    assert!(acquire.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    in_motion(&semaphore, MAX_PERMITS);
    // One too many, until the waiter has been served; its waker panics.
    assert!(std::panic::catch_unwind(|| semaphore.add_permits(1)).is_err());
    assert!(granted(&mut acquire));
    assert_eq!(semaphore.available_permits(), MAX_PERMITS);
}

/// A waker that releases a permit when it is cloned, and panics when the clone is dropped.
mod spiteful {
    use super::*;
    use std::task::{RawWaker, RawWakerVTable};

    static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, |_| (), |_| (), |_| panic!("the clone is dropped"));
    static GIVING: RawWakerVTable = RawWakerVTable::new(clone, |_| (), |_| (), |_| ());

    fn clone(data: *const ()) -> RawWaker {
        // SAFETY: `waker` made the pointer, from a semaphore that outlives the waker.
        unsafe { &*data.cast::<Semaphore>() }.add_permits(1);
        RawWaker::new(data, &VTABLE)
    }

    pub(super) fn waker(semaphore: &Semaphore) -> Waker {
        // SAFETY: the functions keep the contract (the data is a shared reference), and the caller keeps the semaphore.
        unsafe { Waker::from_raw(RawWaker::new(std::ptr::from_ref(semaphore).cast(), &GIVING)) }
    }
}

#[test]
fn a_panic_in_the_drop_of_a_clone_loses_no_permit() {
    for poll_again in [false, true] {
        let semaphore = Semaphore::new(0);
        let waker = spiteful::waker(&semaphore);
        let mut acquire = Box::pin(semaphore.acquire());
        // The clone brings the permit, so it is taken instead of waiting; then the clone is dropped.
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            drop(acquire.as_mut().poll(&mut Context::from_waker(&waker)));
        }));
        assert!(panic.is_err());
        if poll_again {
            assert!(granted(&mut acquire));
            semaphore.add_permits(1);
        }
        drop(acquire);
        assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (1, 0));
    }
}

#[test]
fn a_wait_that_unwinds_after_its_time_out_is_done() {
    let semaphore = Semaphore::new(0);
    let mut first = queued(&semaphore, 9);
    let mut behind = Box::pin(semaphore.acquire());
    assert!(behind.as_mut().poll(&mut Context::from_waker(&panicking_waker())).is_pending());
    in_motion(&semaphore, 1);
    // The front, of 9, gives up: whoever is behind it is served on the way, and its waker panics.
    let expired = crate::WaitOptions::new().deadline(std::time::Instant::now());
    let panic =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| first.as_mut().wait_pinned(expired).map(drop)));
    assert_eq!(panic.unwrap_err().downcast_ref::<std::string::String>().unwrap(), "the 1th waker panics");
    assert!(first.0.is_done(), "it has timed out, and must not say that the semaphore is closed");
    assert!(granted(&mut behind));
}
