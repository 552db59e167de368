//! The notify list without `std`: tasks only, and wakers that panic. (The harness has `std`; what is tested has not:
//! `cargo test -p gatepost --no-default-features --test notify_no_std`.)
#![cfg(not(feature = "std"))]

use gatepost::address::{Notified, NotifyList};
use gatepost::sync::{AsyncGuard, Condvar, Guard};
use std::cell::Cell;
use std::future::{Future, Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

static LIST: NotifyList = NotifyList::new();

type Task<'a> = Pin<Box<Notified<'a>>>;

fn queued<'a>(list: &'a NotifyList, waker: &Waker) -> Task<'a> {
    let mut task = Box::pin(list.add().notified());
    assert!(task.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    task
}

fn is_ready(task: &mut Task<'_>) -> bool {
    task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn g47_g48_tasks_are_notified() {
    let (mut first, mut second) = (queued(&LIST, Waker::noop()), queued(&LIST, Waker::noop()));
    LIST.notify_one();
    assert!(is_ready(&mut first) && !is_ready(&mut second));
    drop(queued(&LIST, Waker::noop()));
    LIST.notify_all();
    assert!(is_ready(&mut second));
    assert_eq!(LIST.num_waiters(), 0);
}

struct Explosive;

impl Wake for Explosive {
    fn wake(self: Arc<Self>) {
        resume_unwind(Box::new("woken")); // says nothing on its way
    }
}

/// The rest is told while the panic unwinds, later batches included.
#[test]
fn g47_a_waker_that_panics_keeps_nobody_else_from_being_notified() {
    for at in [0, 5, 31, 32, 99] {
        let list = NotifyList::new();
        let explosive = Waker::from(Arc::new(Explosive));
        let mut tasks: Vec<_> =
            (0..100).map(|i| queued(&list, if i == at { &explosive } else { Waker::noop() })).collect();
        assert!(catch_unwind(AssertUnwindSafe(|| list.notify_all())).is_err());
        assert!(tasks.iter_mut().all(is_ready));
        let (first, mut second) = (queued(&list, &explosive), queued(&list, &explosive));
        assert!(catch_unwind(AssertUnwindSafe(|| list.notify_one())).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(first))).is_err(), "it passes on");
        assert!(is_ready(&mut second));
        assert_eq!(list.num_waiters(), 0);
    }
}

/// A lock of a machine without threads.
struct Held<'a>(&'a Cell<bool>);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl<'a> Guard for Held<'a> {
    type Mutex = &'a Cell<bool>;
    type Relock = Ready<Self>;

    fn unlock(self) -> &'a Cell<bool> {
        self.0
    }

    fn lock(lock: &'a Cell<bool>) -> Self {
        assert!(!lock.replace(true), "there is nobody to wait for");
        Held(lock)
    }
}

impl AsyncGuard for Held<'_> {
    fn lock_async(lock: Self::Mutex) -> Ready<Self> {
        ready(Held::lock(lock))
    }
}

#[test]
fn a_condition_variable_works_for_tasks() {
    let (locked, condvar) = (Cell::new(false), Condvar::new());
    let mut cx = Context::from_waker(Waker::noop());
    let mut wait = Box::pin(condvar.wait(Held::lock(&locked)));
    assert!(wait.as_mut().poll(&mut cx).is_pending() && !locked.get());
    condvar.notify_one();
    match wait.as_mut().poll(&mut cx) {
        Poll::Ready(guard) => assert!(guard.0.get()),
        Poll::Pending => panic!("still pending"),
    }
    assert!(!locked.get());
}
