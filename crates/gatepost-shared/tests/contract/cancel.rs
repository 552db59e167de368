//! A wait that is dropped.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::common::{Flag, Folder};

#[test]
fn one_that_never_began_costs_nothing() {
    let folder = Folder::new();
    let s = folder.open(1);
    drop(s.acquire_many(1).label("never"));
    let status = s.status().expect("a look");
    assert_eq!((status.waiters.len(), status.statistics.cancelled), (0, 0));
    assert_eq!(s.acquire().ticket(), None);
}

#[test]
fn one_that_waits_leaves_the_queue_from_any_place_in_it() {
    for gone in 0..3 {
        let folder = Folder::new();
        let s = folder.open(1);
        let held = s.acquire().wait().expect("free");
        let mut context = Context::from_waker(Waker::noop());
        let mut waits = [(); 3].map(|()| Some(Box::pin(s.acquire())));
        for wait in waits.iter_mut().flatten() {
            assert!(wait.as_mut().poll(&mut context).is_pending());
        }
        let tickets: Vec<_> = waits.iter().flatten().map(|wait| wait.ticket().expect("a place")).collect();
        assert!(tickets.is_sorted());
        waits[gone] = None;
        let status = s.status().expect("a look");
        let left: Vec<_> = status.waiters.iter().map(|waiter| waiter.ticket).collect();
        let expected: Vec<_> = tickets.iter().enumerate().filter(|(k, _)| *k != gone).map(|(_, t)| *t).collect();
        assert_eq!((left, status.statistics.cancelled), (expected, 1));
        drop(held);
        for wait in waits.iter_mut().flatten() {
            let Poll::Ready(Ok(permit)) = wait.as_mut().poll(&mut context) else { panic!("in their order") };
            drop(permit);
        }
    }
}

#[test]
fn one_that_was_granted_and_not_polled_gives_the_permits_back() {
    let folder = Folder::new();
    let s = folder.open(2);
    let held = s.acquire_many(2).wait().expect("free");
    let flag = Flag::new();
    let mut first = Box::pin(s.acquire_many(2));
    let mut second = pin!(s.acquire_many(2));
    assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(second.as_mut().poll(&mut Context::from_waker(&flag.waker())).is_pending());
    drop(held);
    assert_eq!(s.status().expect("a look").used, 2, "the first one has them");
    assert_eq!(flag.count(), 0);
    drop(first);
    assert!(flag.wait(1), "the second one's turn");
    assert!(matches!(second.as_mut().poll(&mut Context::from_waker(&flag.waker())), Poll::Ready(Ok(_))));
}

#[test]
#[should_panic(expected = "polled again")]
fn one_that_is_over_may_not_be_polled() {
    let folder = Folder::new();
    let s = folder.open(1);
    let mut wait = pin!(s.acquire());
    let mut context = Context::from_waker(Waker::noop());
    assert!(wait.as_mut().poll(&mut context).is_ready());
    let _ = wait.as_mut().poll(&mut context);
}
