//! Waits that end: `wait_timeout`, `wait_deadline`.

use std::time::{Duration, Instant};

use gatepost_shared::Error;

use super::common::{Folder, LONG};

#[test]
fn a_wait_ends_in_time_and_leaves_nothing() {
    let folder = Folder::new();
    let s = folder.open(2);
    let held = s.acquire_many(2).wait().expect("free");
    let begin = Instant::now();
    let error = s.acquire().wait_timeout(Duration::from_millis(50)).expect_err("all are taken");
    assert!(begin.elapsed() >= Duration::from_millis(50));
    let Error::TimedOut { asked: 1, waited, .. } = error else { panic!("{error:?}") };
    assert!(waited >= Duration::from_millis(50), "{waited:?}");
    let text = error.to_string();
    assert!(text.contains("1 permit ") && text.contains("ms") && text.contains("gatepost status s"), "{text}");
    let deadline = Instant::now() + Duration::from_millis(20);
    assert!(matches!(s.acquire().wait_deadline(deadline), Err(Error::TimedOut { .. })));
    assert!(Instant::now() >= deadline);
    let status = s.status().expect("a look");
    assert_eq!((status.waiters.len(), status.statistics.timeouts, status.statistics.cancelled), (0, 2, 0));
    drop(held);
    drop(s.try_acquire_many(2).expect("all came back"));
}

#[test]
fn a_deadline_that_is_over_is_a_try_that_takes_what_is_free() {
    let folder = Folder::new();
    let s = folder.open(1);
    for _ in 0..2 {
        drop(s.acquire().wait_deadline(Instant::now()).expect("free"));
        drop(s.acquire().wait_timeout(Duration::ZERO).expect("free"));
    }
    let _held = s.acquire().wait().expect("free");
    assert!(matches!(s.acquire().wait_timeout(Duration::ZERO), Err(Error::TimedOut { .. })));
}

#[test]
fn a_time_that_no_clock_can_count_is_no_bound() {
    let folder = Folder::new();
    let s = folder.open(1);
    let held = s.acquire().wait().expect("free");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| s.acquire().wait_timeout(Duration::MAX));
        folder.until_waiters(1);
        drop(held);
        drop(waits.join().expect("no panic").expect("given back"));
    });
}

#[test]
fn one_who_times_out_at_the_head_lets_the_next_in() {
    let folder = Folder::new();
    let s = folder.open(3);
    let _held = s.acquire_many(2).wait().expect("free");
    std::thread::scope(|scope| {
        let large = scope.spawn(|| s.acquire_many(3).wait_timeout(Duration::from_millis(300)));
        folder.until_waiters(1);
        let small = scope.spawn(|| s.acquire().wait_timeout(LONG));
        drop(small.join().expect("no panic").expect("the head went away"));
        assert!(matches!(large.join().expect("no panic"), Err(Error::TimedOut { asked: 3, .. })));
    });
}
