//! `acquire`, `acquire_many`: how many can be asked for.

use std::time::Duration;

use gatepost_shared::{Error, Semaphore};

use super::common::{Folder, LONG, Other};

#[test]
fn more_than_any_limit_can_be_is_refused_while_it_is_drained() {
    for (without_slots, most) in [(false, 1024), (true, (1 << 30) - 1)] {
        let folder = Folder::new();
        let options = if without_slots { folder.options().without_slots() } else { folder.options() };
        let s = Semaphore::open("s", &options.limit(0)).expect("a semaphore");
        for asked in [most + 1, 1 << 30, (1 << 30) + 1, u32::MAX] {
            match s.acquire_many(asked).wait_timeout(Duration::ZERO) {
                Err(Error::ExceedsLimit { asked: told, limit, .. }) => assert_eq!((told, limit), (asked, most)),
                other => panic!("{asked}: {other:?}"),
            }
            assert!(matches!(s.try_acquire_many(asked), Err(Error::ExceedsLimit { .. })));
        }
        assert!(matches!(s.acquire_many(most).wait_timeout(Duration::ZERO), Err(Error::TimedOut { .. })));
        s.resize(1).expect("to admit one");
        s.acquire().wait_timeout(LONG).expect("a sound semaphore");
        assert_eq!(s.status().expect("a look").damage, None);
    }
}

#[test]
fn none_at_all_and_more_than_the_limit_are_errors_that_name_the_numbers() {
    let folder = Folder::new();
    let s = folder.open(3);
    for error in [s.acquire_many(0).wait(), s.try_acquire_many(0)] {
        assert!(matches!(error, Err(Error::Zero)), "{error:?}");
    }
    for error in [s.acquire_many(4).wait(), s.try_acquire_many(4)] {
        let error = error.expect_err("too many");
        assert!(matches!(error, Error::ExceedsLimit { asked: 4, limit: 3, .. }));
        let text = error.to_string();
        assert!(
            text.contains("4 permits") && text.contains("limit of 3") && text.contains("ask for at most 3"),
            "{text}"
        );
    }
    assert_eq!(s.status().expect("a look").used, 0);
}

#[test]
fn a_try_takes_what_is_free_and_says_how_busy_it_is_otherwise() {
    let folder = Folder::new();
    let s = folder.open(3);
    let two = s.try_acquire_many(2).expect("free");
    let one = s.try_acquire().expect("free");
    assert_eq!((two.permits(), one.permits()), (2, 1));
    let error = s.try_acquire().expect_err("all are taken");
    assert!(matches!(error, Error::Busy { used: 3, limit: 3, waiting: 0, .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("3 of 3 in use") && text.contains("0 waiting") && text.contains("gatepost status s"),
        "{text}"
    );
    drop(one);
    assert!(matches!(s.try_acquire_many(2), Err(Error::Busy { used: 2, .. })));
    drop(s.try_acquire().expect("one came back"));
}

#[test]
fn a_try_does_not_pass_those_who_wait() {
    let folder = Folder::new();
    let s = folder.open(3);
    let held = s.acquire_many(2).wait().expect("free");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| s.acquire_many(3).wait_timeout(LONG));
        folder.until_waiters(1);
        assert!(matches!(s.try_acquire(), Err(Error::Busy { used: 2, limit: 3, waiting: 1, .. })), "one is free");
        drop(held);
        assert_eq!(waits.join().expect("no panic").expect("all are free").permits(), 3);
    });
}

#[test]
fn a_try_takes_back_what_the_dead_hold() {
    let folder = Folder::new();
    let s = folder.open(2);
    let mut other = Other::of(&folder);
    assert!(other.tell("acquire 2").starts_with("got"));
    assert!(matches!(s.try_acquire(), Err(Error::Busy { .. })));
    other.kill();
    assert_eq!(s.status().expect("a look").used, 2, "nobody has needed it yet");
    drop(s.try_acquire_many(2).expect("its holder is dead"));
    assert_eq!(s.status().expect("a look").statistics.reclaimed, 1);
}

#[test]
fn a_batch_is_taken_whole_or_not_at_all() {
    let folder = Folder::new();
    let s = folder.open(4);
    let held = s.acquire_many(3).wait().expect("free");
    std::thread::scope(|scope| {
        let batch = scope.spawn(|| s.acquire_many(2).wait_timeout(LONG));
        let status = folder.until_waiters(1);
        assert_eq!((status.used, status.waiters[0].permits), (3, 2), "the free one is not put aside");
        drop(held);
        let batch = batch.join().expect("no panic").expect("free");
        assert_eq!((batch.permits(), batch.slots().len()), (2, 2));
        assert_eq!(s.status().expect("a look").used, 2);
    });
}

#[test]
fn clones_are_one_session_and_two_opens_are_two() {
    let folder = Folder::new();
    let s = folder.open(4);
    assert_eq!(s.clone().session(), s.session());
    let other = folder.open(4);
    assert_ne!(other.session(), s.session());
    let held = s.clone().acquire_many(4).wait().expect("free");
    drop(s);
    assert!(matches!(other.try_acquire(), Err(Error::Busy { .. })), "a permit keeps its session");
    drop(held);
    drop(other.try_acquire_many(4).expect("given back"));
}
