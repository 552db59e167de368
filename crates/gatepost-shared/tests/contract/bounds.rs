//! Every table when it is full: a named error, and all is well once there is room.

use std::future::Future;
use std::task::{Context, Waker};

use gatepost_shared::{Error, Semaphore};

use super::common::{Folder, LONG, Other};

#[test]
fn a_full_table_of_grants() {
    let folder = Folder::new();
    let s = Semaphore::open("s", &folder.options().limit(2000)).expect("a semaphore");
    let mut held: Vec<_> = (0..1024).map(|_| s.try_acquire().expect("a row")).collect();
    for error in [s.try_acquire(), s.acquire().wait_timeout(LONG)] {
        let error = error.expect_err("no row");
        assert!(matches!(error, Error::GrantsFull { max: 1024, .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("1024 grants") && text.contains("release some"), "{text}");
    }
    assert_eq!(s.status().expect("a look").holders.len(), 1024);
    drop(held.pop());
    held.push(s.try_acquire_many(900).expect("a row is free"));
    drop(held);
    drop(s.try_acquire_many(2000).expect("all came back"));
}

#[test]
fn a_waiter_is_served_when_there_is_a_row_again() {
    let folder = Folder::new();
    let s = Semaphore::open("s", &folder.options().limit(1025)).expect("a semaphore");
    let large = s.try_acquire_many(2).expect("free");
    let mut held: Vec<_> = (0..1023).map(|_| s.try_acquire().expect("a row")).collect();
    // All permits are in use, and all rows.
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| s.acquire_many(2).wait_timeout(LONG));
        folder.until_waiters(1);
        drop(large);
        assert!(waits.join().expect("no panic").expect("a row and two permits").is_held());
    });
    held.clear();
    drop(s.try_acquire_many(1025).expect("all came back"));
}

#[test]
fn a_full_queue() {
    let folder = Folder::new();
    let s = folder.open(1);
    let held = s.acquire().wait().expect("free");
    let mut context = Context::from_waker(Waker::noop());
    let mut waits: Vec<_> = (0..1024).map(|_| Box::pin(s.acquire())).collect();
    assert!(waits.iter_mut().all(|wait| wait.as_mut().poll(&mut context).is_pending()));
    let error = s.acquire().wait_timeout(LONG).expect_err("no row");
    assert!(matches!(error, Error::QueueFull { max: 1024, .. }), "{error:?}");
    assert!(error.to_string().contains("1024 are waiting") && error.to_string().contains("try again"), "{error}");
    assert!(matches!(s.try_acquire(), Err(Error::Busy { waiting: 1024, .. })));
    drop(waits.remove(512));
    let mut last = Box::pin(s.acquire());
    assert!(last.as_mut().poll(&mut context).is_pending());
    waits.push(last);
    drop(held);
    for wait in &mut waits {
        let std::task::Poll::Ready(Ok(permit)) = wait.as_mut().poll(&mut context) else { panic!("in their order") };
        drop(permit);
    }
    drop(s.try_acquire().expect("nobody waits"));
}

#[test]
fn a_full_table_of_sessions() {
    let folder = Folder::new();
    let s = folder.open(2);
    // Each has two descriptors: in several processes, since one may not have so many.
    let mut others = [(); 4].map(|()| Other::start(&folder));
    for other in &mut others[..3] {
        assert!(other.tell("open-many s 300").contains("0 permits"), "it has its 300");
    }
    let error = others[3].tell("open-many s 300");
    assert!(
        error.contains("1024 processes have the semaphore \"s\" open") && error.contains("let some end"),
        "{error}"
    );
    let [one, two, three, mut four] = others;
    assert!(four.tell("open s").starts_with("session"), "it gave back what it had got");
    drop(Semaphore::open("s", &folder.options()).expect("there is room"));
    two.kill();
    let more = folder.open(2);
    drop(s.try_acquire_many(2).expect("free"));
    drop(more.try_acquire_many(2).expect("free"));
    drop((one, three));
}
