//! `resize`, `drain`, `pause`: the limit while it is in use.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use gatepost_shared::{Acquire, Error, EventKind};

use super::common::{Flag, Folder};

/// Begins a wait, by a waker that the test thread sleeps for.
fn begin(mut acquire: Pin<Box<Acquire>>, flag: &std::sync::Arc<Flag>) -> Pin<Box<Acquire>> {
    assert!(acquire.as_mut().poll(&mut Context::from_waker(&flag.waker())).is_pending());
    acquire
}

#[test]
fn every_waiter_for_more_than_the_new_limit_is_sent_away_at_once() {
    let folder = Folder::new();
    let s = folder.open(8);
    let held = s.acquire_many(8).wait().expect("free");
    let flags = [(); 4].map(|()| Flag::new());
    let mut waits: Vec<_> =
        [2, 6, 4, 5].into_iter().zip(&flags).map(|(n, flag)| begin(Box::pin(s.acquire_many(n)), flag)).collect();
    s.resize(4).expect("less");
    for k in [1, 3] {
        assert!(flags[k].wait(1), "waiter {k} is told");
        match waits[k].as_mut().poll(&mut Context::from_waker(&flags[k].waker())) {
            Poll::Ready(Err(Error::ExceedsLimit { asked, limit: 4, .. })) => assert_eq!(asked, [2, 6, 4, 5][k]),
            other => panic!("{other:?}"),
        }
    }
    let status = s.status().expect("a look");
    let left: Vec<_> = status.waiters.iter().map(|waiter| waiter.permits).collect();
    assert_eq!((left, status.used, status.limit), (vec![2, 4], 8, 4));
    let refused: Vec<_> =
        s.events().filter(|event| event.kind == EventKind::Refused).map(|event| event.permits).collect();
    assert_eq!(refused, [6, 5], "it is written down");
    drop(held);
    assert!(flags[0].wait(1));
    let first = waits[0].as_mut().poll(&mut Context::from_waker(&flags[0].waker()));
    assert!(matches!(first, Poll::Ready(Ok(_))), "{first:?}");
}

#[test]
fn more_serves_the_queue_and_less_takes_nothing_away() {
    let folder = Folder::new();
    let s = folder.open(1);
    let held = s.acquire().wait().expect("free");
    let flag = Flag::new();
    let mut wait = begin(Box::pin(s.acquire()), &flag);
    s.resize(2).expect("room");
    assert!(flag.wait(1));
    let Poll::Ready(Ok(second)) = wait.as_mut().poll(&mut Context::from_waker(&flag.waker())) else { panic!("served") };
    s.resize(1).expect("less");
    assert!(held.is_held() && second.is_held());
    let status = s.status().expect("a look");
    assert_eq!((status.used, status.limit), (2, 1));
    drop(held);
    assert!(matches!(s.try_acquire(), Err(Error::Busy { used: 1, limit: 1, .. })));
    drop(second);
    drop(s.try_acquire().expect("free"));
}

#[test]
fn drained_it_admits_nobody_and_sends_nobody_away() {
    let folder = Folder::new();
    let s = folder.open(2);
    let held = s.acquire().wait().expect("free");
    s.drain().expect("sound");
    assert!(matches!(s.try_acquire(), Err(Error::Busy { used: 1, limit: 0, .. })));
    let flag = Flag::new();
    let mut wait = begin(Box::pin(s.acquire_many(2)), &flag);
    drop(held);
    assert_eq!((flag.count(), s.status().expect("a look").used), (0, 0));
    s.resize(2).expect("room");
    assert!(flag.wait(1));
    assert!(matches!(wait.as_mut().poll(&mut Context::from_waker(&flag.waker())), Poll::Ready(Ok(_))));
}

#[test]
fn paused_it_admits_nobody_and_remembers_the_limit() {
    let folder = Folder::new();
    let s = folder.open(2);
    let held = s.acquire().wait().expect("free");
    s.pause().expect("sound");
    assert!(matches!(s.try_acquire(), Err(Error::Busy { used: 1, limit: 2, .. })));
    assert!(matches!(s.try_acquire_many(3), Err(Error::ExceedsLimit { limit: 2, .. })));
    let flag = Flag::new();
    let mut wait = begin(Box::pin(s.acquire_many(2)), &flag);
    drop(held);
    s.resize(3).expect("room");
    let status = s.status().expect("a look");
    assert_eq!((status.paused, status.limit, status.used, flag.count()), (true, 3, 0, 0));
    s.resume().expect("sound");
    assert!(flag.wait(1));
    assert!(matches!(wait.as_mut().poll(&mut Context::from_waker(&flag.waker())), Poll::Ready(Ok(_))));
    assert!(!s.status().expect("a look").paused);
}
