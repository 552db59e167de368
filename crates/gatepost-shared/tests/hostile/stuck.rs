//! A lock that names a session which lives, and does not let go of it.

use std::time::{Duration, Instant};

use gatepost_shared::Error;
use rustix::process::Signal;

use super::common::{Folder, LONG, Other, at};

/// Has the lock's word name session `index`, as if it were in the section.
fn lock_for(folder: &Folder, index: u32) {
    let bytes = folder.bytes();
    bytes.put_u64(at::LOCK, bytes.u64_at(at::LOCK) & !0xFFFF_FFFF | u64::from(index + 1));
}

#[test]
fn a_stopped_owner_is_waited_for_and_named_and_repair_says_what_to_do() {
    let folder = Folder::new();
    let s = folder.open(2);
    let other = Other::of(&folder);
    other.signal(Signal::STOP);
    lock_for(&folder, 1);
    folder.bytes().put_u32(at::SEQ, folder.bytes().u32_at(at::SEQ) | 1);
    let (send, result) = std::sync::mpsc::channel();
    let asks = s.clone();
    std::thread::spawn(move || send.send(asks.try_acquire().map(drop)));
    let status = folder.until(|status| status.locked_by.is_some());
    assert_eq!(status.locked_by.map(|session| session.process.pid), Some(other.pid()));
    let error = gatepost_shared::repair("s", &folder.options()).expect_err("it is stopped");
    assert!(matches!(error, Error::Refused { .. }));
    let text = error.to_string();
    assert!(text.contains(&format!("process {}", other.pid())) && text.contains("kill -CONT"), "{text}");
    assert!(result.recv_timeout(Duration::ZERO).is_err(), "the owner lives");
    other.kill();
    result.recv_timeout(LONG).expect("the owner is dead").expect("free");
    assert_eq!(s.status().expect("a look").locked_by, None);
}

#[test]
fn repair_takes_the_lock_from_one_that_lives_and_does_nothing() {
    let folder = Folder::new();
    let s = folder.open(2);
    let mut other = Other::of(&folder);
    let held = s.acquire().wait().expect("free");
    lock_for(&folder, 1);
    // Somebody opens it, and holds the setup lock while it waits for the lock.
    let mut opens = Other::start(&folder);
    opens.say("open s");
    let done = gatepost_shared::repair("s", &folder.options()).expect("to repair it");
    assert!(done.iter().any(|what| what.contains("session 1") && what.contains(&other.pid().to_string())), "{done:?}");
    assert!(opens.hear().starts_with("session"));
    drop(s.try_acquire().expect("one is free"));
    assert!(other.tell("acquire 1").starts_with("got"), "the session that was named is as good as before");
    assert_eq!(held.release(), gatepost_shared::Released::Yes);
    assert_eq!(gatepost_shared::repair("s", &folder.options()).expect("it is sound"), [""; 0]);
}

#[test]
fn a_stuck_semaphore_does_not_keep_a_process_from_noticing_deaths_at_another() {
    let (stuck, fine) = (Folder::new(), Folder::new());
    let (a, b) = (stuck.open(1), fine.open(1));
    let mut other = Other::of(&stuck);
    assert!(other.tell("acquire 1").starts_with("got"));
    let mut holder = Other::of(&fine);
    assert!(holder.tell("acquire 1").starts_with("got"));
    std::thread::scope(|scope| {
        // It is first in line where somebody has died, and nobody gets the lock.
        let waits = scope.spawn(|| a.acquire().wait_timeout(LONG));
        stuck.until_waiters(1);
        let named = Other::of(&stuck);
        let status = a.status().expect("a look");
        let index = status.sessions.iter().find(|session| session.process.pid == named.pid()).expect("it").index;
        lock_for(&stuck, index);
        other.kill();
        // The watcher has noticed, and waits for the lock.
        let deadline = Instant::now() + LONG;
        while stuck.bytes().u64_at(at::LOCK) & 1 << 31 == 0 {
            assert!(Instant::now() < deadline, "nobody tried");
            std::thread::yield_now();
        }
        let granted = scope.spawn(|| b.acquire().wait_timeout(LONG));
        fine.until_waiters(1);
        holder.kill();
        granted.join().expect("no panic").expect("the death was noticed");
        named.kill();
        waits.join().expect("no panic").expect("the death of the owner was noticed, too");
    });
}

#[test]
fn repair_does_not_wait_for_an_opener_that_waits_for_the_lock() {
    let folder = Folder::new();
    let s = folder.open(2);
    let _other = Other::of(&folder);
    lock_for(&folder, 1);
    let mut opens = Other::start(&folder);
    opens.say("open s");
    // It has the setup lock, and waits for the other one.
    let deadline = Instant::now() + LONG;
    while folder.bytes().u64_at(at::LOCK) & 1 << 31 == 0 {
        assert!(Instant::now() < deadline, "it never came");
        std::thread::yield_now();
    }
    let (send, result) = std::sync::mpsc::channel();
    let options = folder.options();
    std::thread::spawn(move || send.send(gatepost_shared::repair("s", &options)));
    // At first somebody seems to get on, so that repair goes on to wait for the setup lock.
    let end = Instant::now() + Duration::from_millis(300);
    while Instant::now() < end {
        folder.bytes().put_u32(at::SEQ, folder.bytes().u32_at(at::SEQ).wrapping_add(2));
        std::thread::yield_now();
    }
    let done = result.recv_timeout(LONG).expect("it comes to an end").expect("to repair it");
    assert!(done.iter().any(|what| what.contains("session 1")), "{done:?}");
    assert!(opens.hear().starts_with("session"));
    drop(s.try_acquire_many(2).expect("free"));
}
