//! A word of the tables says what cannot be, or what is not so.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use gatepost_shared::{Error, Semaphore};

use super::common::{Folder, LONG, at};

fn assert_damaged(s: &Semaphore, word: &str) {
    match s.try_acquire() {
        Err(Error::Poisoned { what, .. }) => assert!(what.contains(word), "{what}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_waiter_for_no_permits_or_of_no_session_is_not_served() {
    for (mask, set) in [(!(0x3FFF_FFFF << 2), 0), (!(0xFFFF << 32), 0x2222 << 32)] {
        let folder = Folder::new();
        let s = folder.open(1);
        let held = s.acquire().wait().expect("free");
        let mut waits = pin!(s.acquire());
        let mut context = Context::from_waker(Waker::noop());
        assert!(waits.as_mut().poll(&mut context).is_pending());
        let bytes = folder.bytes();
        bytes.put_u64(at::waiter(0), bytes.u64_at(at::waiter(0)) & mask | set);
        drop(held);
        assert_damaged(&s, "waiter 0");
        assert_eq!(s.status().expect("a look").holders, []);
        let done = gatepost_shared::repair("s", &folder.options()).expect("to repair it");
        assert!(done.iter().any(|what| what.contains("waiter 0")), "{done:?}");
        assert!(matches!(waits.as_mut().poll(&mut context), Poll::Ready(Err(_))), "it is told");
        drop(s.acquire().wait_timeout(LONG).expect("sound again"));
    }
}

#[test]
fn a_limit_above_the_capacity_admits_nobody() {
    let folder = Folder::new();
    let s = folder.open(1);
    let held = s.acquire().wait().expect("free");
    let mut waits = [(); 3].map(|()| Box::pin(s.acquire()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waits.iter_mut().all(|wait| wait.as_mut().poll(&mut context).is_pending()));
    let bytes = folder.bytes();
    bytes.put_u64(at::CONFIG, bytes.u64_at(at::CONFIG) | 0xFFFF_FFF0);
    drop(held);
    assert_eq!(s.status().expect("a look").holders, [], "nobody is served by such a limit");
    assert_damaged(&s, "limit");
    let done = gatepost_shared::repair("s", &folder.options()).expect("to repair it");
    assert!(done.iter().any(|what| what.contains("1024")), "{done:?}");
    s.resize(1).expect("as it was");
}
