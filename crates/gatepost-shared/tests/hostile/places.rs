//! Places in the queue, and the numbers of permits, where the file has changed under their owners.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use gatepost_shared::Error;

use super::common::{Flag, Folder, LONG, at};

/// The file says that its lists are wrong, so whoever comes next makes them anew.
fn spoil_lists(folder: &Folder) {
    folder.bytes().put_u32(at::FREE_GRANT, 77_777);
    folder.bytes().put_u32(at::FREE_WAITER, 77_777);
}

#[test]
fn two_tasks_whose_places_have_one_number_are_both_woken() {
    let folder = Folder::new();
    let s = folder.open(2);
    let held = s.acquire_many(2).wait().expect("free");
    let flags = [(); 2].map(|()| Flag::new());
    let mut waits = [(); 2].map(|()| Box::pin(s.acquire()));
    let serial = folder.bytes().u64_at(at::SERIAL);
    for (wait, flag) in waits.iter_mut().zip(&flags) {
        folder.bytes().put_u64(at::SERIAL, serial);
        assert!(wait.as_mut().poll(&mut Context::from_waker(&flag.waker())).is_pending());
    }
    drop(held);
    for (wait, flag) in waits.iter_mut().zip(&flags) {
        assert!(flag.wait(1), "woken");
        assert!(wait.as_mut().poll(&mut Context::from_waker(&flag.waker())).is_ready());
    }
}

#[test]
fn one_whose_place_became_another_ones_does_not_wait_for_ever() {
    let folder = Folder::new();
    let s = folder.open(1);
    let _held = s.acquire().wait().expect("free");
    let (send, result) = std::sync::mpsc::channel();
    let waits = s.clone();
    std::thread::spawn(move || send.send(waits.acquire().wait().map(drop)));
    folder.until_waiters(1);
    folder.bytes().put_u64(at::waiter(0), 0);
    spoil_lists(&folder);
    let mut other = pin!(s.acquire());
    assert!(other.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(folder.bytes().u64_at(at::waiter(0)) & 3, 1, "the other one has the row");
    let answer = result.recv_timeout(LONG).expect("it ends");
    assert!(matches!(answer, Err(Error::Poisoned { .. })), "{answer:?}");
}

#[test]
fn a_number_in_use_is_not_given_out_again_once_the_lists_are_made_anew() {
    let folder = Folder::new();
    let s = folder.open(8);
    let held = [(); 3].map(|()| s.acquire().wait().expect("free"));
    folder.bytes().put_u64(at::SERIAL, 0);
    spoil_lists(&folder);
    let more = [(); 3].map(|()| s.acquire().wait().expect("free"));
    for permit in &more {
        assert!(held.iter().all(|other| other.id() != permit.id()), "{more:?} {held:?}");
    }
}
