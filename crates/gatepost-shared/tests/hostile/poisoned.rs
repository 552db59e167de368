//! A file that is marked as damaged admits nobody, and loses nothing that is given back meanwhile.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use gatepost_shared::{Error, Released};

use super::common::{Flag, Folder, LONG, at};

/// The mark of lists that do not agree with their tables.
const MARK: u32 = 6 << 24;

#[test]
fn what_is_given_back_meanwhile_is_free_after_the_repair() {
    let folder = Folder::new();
    let s = folder.open(3);
    let [one, two, three] = [0; 3].map(|_| s.acquire().wait().expect("free"));
    folder.bytes().put_u32(at::POISON, MARK);
    assert!(matches!(s.try_acquire(), Err(Error::Poisoned { .. })));
    drop(one);
    assert_eq!(two.release(), Released::Yes);
    assert_eq!(s.status().expect("a look").used, 1);
    assert_eq!(gatepost_shared::repair("s", &folder.options()).expect("to repair it").len(), 1);
    drop(s.try_acquire_many(2).expect("both of them"));
    drop(three);
    drop(s.try_acquire_many(3).expect("all of them"));
}

#[test]
fn who_waits_may_leave_and_nobody_is_served() {
    let folder = Folder::new();
    let s = folder.open(1);
    let held = s.acquire().wait().expect("free");
    let flag = Flag::new();
    let waker = flag.waker();
    let mut context = Context::from_waker(&waker);
    let mut stays = pin!(s.acquire());
    let mut goes = Box::pin(s.acquire());
    assert!(stays.as_mut().poll(&mut context).is_pending());
    assert!(goes.as_mut().poll(&mut context).is_pending());
    let path = folder.path();
    let (begun, has_begun) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            begun.send(()).expect("the test runs");
            s.acquire().wait_timeout(Duration::from_millis(300))
        });
        has_begun.recv().expect("the thread");
        folder.until_waiters(3);
        folder.bytes().put_u32(at::POISON, MARK);
        let error = thread.join().expect("no panic").expect_err("nobody is admitted");
        assert!(matches!(error, Error::Poisoned { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("gatepost repair s") && text.contains(path.to_str().expect("a path")), "{text}");
    });
    drop(goes);
    drop(held);
    let status = s.status().expect("a look");
    assert_eq!((status.used, status.waiters.len()), (0, 1));
    assert!(status.damage.is_some_and(|what| what.contains("lists")));
    assert!(stays.as_mut().poll(&mut context).is_pending());

    gatepost_shared::repair("s", &folder.options()).expect("to repair it");
    assert!(flag.wait(1), "whoever stayed is served");
    match stays.as_mut().poll(&mut context) {
        Poll::Ready(Ok(permit)) => assert_eq!(permit.permits(), 1),
        other => panic!("{other:?}"),
    }
    drop(s.acquire().wait_timeout(LONG).expect("given back"));
}
