//! Giving back, and taking away: `release`, `revoke`, `lost`.

use std::task::{Context, Waker};
use std::time::Duration;

use gatepost_shared::{PermitId, Released};

use super::common::{Flag, Folder, LONG, Other};

#[test]
fn to_give_back_twice_is_to_give_back_once() {
    let folder = Folder::new();
    let s = folder.open(2);
    let held = s.acquire_many(2).wait().expect("free");
    let id = held.id();
    assert_eq!(s.release(id).expect("sound"), Released::Yes);
    assert_eq!(s.release(id).expect("sound"), Released::WasGone);
    let other = s.acquire_many(2).wait().expect("free");
    assert!(!held.is_held() && held.slots().is_empty() && held.epochs().is_empty());
    assert_eq!(held.release(), Released::WasGone);
    assert!(other.is_held(), "what another one has is not given back");
    assert_eq!(other.release(), Released::Yes);
    assert_eq!(s.release(PermitId::from(u64::MAX)).expect("sound"), Released::WasGone);
    let statistics = s.status().expect("a look").statistics;
    assert_eq!((statistics.acquired, statistics.released, statistics.revoked), (2, 2, 0));
}

#[test]
fn a_permit_of_another_process_is_released_by_its_number() {
    let folder = Folder::new();
    let s = folder.open(1);
    let mut other = Other::of(&folder);
    let got = other.tell("acquire 1");
    let id: PermitId = got.strip_prefix("got ").expect("a permit").parse().expect("its number");
    assert_eq!(s.release(id).expect("sound"), Released::Yes);
    assert_eq!(other.tell("held"), "false");
    assert_eq!(other.tell("release"), "released WasGone");
    drop(s.try_acquire().expect("free"));
}

#[test]
fn numbers_are_never_used_again() {
    let folder = Folder::new();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..5 {
        let s = folder.open(3);
        for n in [1, 2, 3] {
            assert!(seen.insert(s.acquire_many(n).wait().expect("free").id()));
        }
    }
}

#[test]
fn whoever_loses_a_permit_is_told() {
    let folder = Folder::new();
    let s = folder.open(1);
    let other = folder.open(1);
    let held = s.acquire().wait().expect("free");
    assert!(!held.lost().wait_timeout(Duration::from_millis(10)));
    let flags = [(); 2].map(|()| Flag::new());
    let mut lost = [(); 2].map(|()| Box::pin(held.lost()));
    for (lost, flag) in lost.iter_mut().zip(&flags) {
        assert!(lost.as_mut().poll(&mut Context::from_waker(&flag.waker())).is_pending());
    }
    std::thread::scope(|scope| {
        let blocks = scope.spawn(|| held.lost().wait_timeout(LONG));
        assert_eq!(other.revoke(held.id(), "too long").expect("sound"), Released::Yes);
        assert!(blocks.join().expect("no panic"));
    });
    for (mut lost, flag) in lost.into_iter().zip(&flags) {
        assert!(flag.wait(1));
        assert!(lost.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }
    assert!(held.lost().wait_timeout(Duration::ZERO), "at once");
    drop(other.try_acquire().expect("it is free before its holder has looked"));
    assert_eq!(other.revoke(held.id(), "again").expect("sound"), Released::WasGone);
    assert_eq!(s.status().expect("a look").statistics.revoked, 1);
}

#[test]
fn a_waiter_behind_one_that_is_revoked_is_served() {
    let folder = Folder::new();
    let s = folder.open(1);
    let held = s.acquire().wait().expect("free");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| s.acquire().wait_timeout(LONG));
        folder.until_waiters(1);
        s.revoke(held.id(), "a test").expect("sound");
        assert!(waits.join().expect("no panic").expect("free").is_held());
    });
}

#[test]
fn one_granted_and_revoked_before_it_was_seen_is_an_error() {
    let folder = Folder::new();
    let s = folder.open(1);
    let held = s.acquire().wait().expect("free");
    let mut wait = Box::pin(s.acquire());
    let mut context = Context::from_waker(Waker::noop());
    assert!(wait.as_mut().poll(&mut context).is_pending());
    drop(held);
    let id = s.status().expect("a look").holders[0].id;
    assert_eq!(Some(id.get()), wait.ticket());
    s.revoke(id, "a test").expect("sound");
    match wait.as_mut().poll(&mut context) {
        std::task::Poll::Ready(Err(gatepost_shared::Error::Revoked { id: told })) => assert_eq!(told, id),
        other => panic!("{other:?}"),
    }
    drop(s.try_acquire().expect("free"));
}

use std::future::Future as _;
