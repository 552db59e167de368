//! What was done by force, and that something has changed: `events`, `Observer`.

use std::time::{Duration, Instant};

use gatepost_shared::{Error, EventKind, Observer, SCHEMA, Semaphore};

use super::common::{Folder, LONG, Other};

#[test]
fn each_act_of_force_is_written_down_with_who_what_and_why() {
    let folder = Folder::new();
    let s = folder.open(2);
    let held = s.acquire_many(2).wait().expect("free");
    s.revoke(held.id(), "too long").expect("it was held");
    s.resize(3).expect("room");
    s.pause().expect("sound");
    s.pause().expect("once more is once");
    s.resume().expect("sound");
    let mut other = Other::of(&folder);
    assert!(other.tell("acquire 2").starts_with("got"));
    let pid = other.pid();
    other.kill();
    assert_eq!(s.reclaim().expect("sound"), 1);
    let events: Vec<_> = s.events().collect();
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    use EventKind::{Created, Paused, Reclaimed, Resized, Resumed, Revoked};
    assert_eq!(kinds, [Created, Revoked, Resized, Paused, Resumed, Reclaimed]);
    for (number, event) in (0..).zip(&events) {
        assert_eq!((event.number, event.by.pid, event.semaphore.as_str()), (number, std::process::id(), "s"));
        assert_eq!(event.schema, SCHEMA);
        let json = serde_json::to_string(event).expect("JSON");
        let again: gatepost_shared::Event = serde_json::from_str(&json).expect("it can be read again");
        assert_eq!((again.kind, again.when.boot_ns, again.why), (event.kind, event.when.boot_ns, event.why.clone()));
    }
    let [_, revoked, resized, _, _, reclaimed] = &events[..] else { panic!("six") };
    assert_eq!((revoked.permit, revoked.permits, revoked.why.as_str()), (Some(held.id()), 2, "too long"));
    assert_eq!(revoked.to.map(|to| to.pid), Some(std::process::id()));
    assert_eq!((resized.permits, resized.why.as_str()), (3, "the limit was 2"));
    assert_eq!((reclaimed.permits, reclaimed.to.map(|to| to.pid)), (2, Some(pid)));
    assert_eq!(s.events().since(4).map(|event| event.number).collect::<Vec<_>>(), [4, 5]);
}

#[test]
fn the_ring_keeps_the_last_and_the_numbers_tell_what_was_missed() {
    let folder = Folder::new();
    let s = folder.open(2);
    let mut early = s.events();
    assert_eq!(early.next().map(|event| event.number), Some(0));
    for limit in 0..600 {
        s.resize(limit % 1000 + 1).expect("room");
    }
    assert_eq!(early.next().map(|event| event.number), Some(601 - 512));
    let numbers: Vec<_> = s.events().map(|event| event.number).collect();
    assert_eq!(numbers, (601 - 512..601).collect::<Vec<_>>());
    assert_eq!(s.events().last().map(|event| event.permits), Some(600));
}

#[test]
fn a_reader_waits_for_the_next_one() {
    let folder = Folder::new();
    let s = folder.open(2);
    let observer = Observer::open("s", &folder.options()).expect("an observer");
    for mut events in [s.events(), observer.events()] {
        assert!(events.by_ref().count() > 0);
        let begin = Instant::now();
        assert_eq!(events.wait(Duration::from_millis(30)), None);
        assert!(begin.elapsed() >= Duration::from_millis(30));
        std::thread::scope(|scope| {
            let waits = scope.spawn(move || events.wait(LONG));
            s.resize(5).expect("room");
            assert_eq!(waits.join().expect("no panic").map(|event| event.permits), Some(5));
        });
    }
}

#[test]
fn an_observer_is_no_session_and_sees_what_a_session_sees() {
    let folder = Folder::new();
    assert!(matches!(Observer::open("s", &folder.options()), Err(Error::NotFound { .. })));
    assert!(!folder.path().exists(), "it makes nothing");
    let s = folder.open(3);
    let observer = Observer::open("s", &folder.options().limit(77)).expect("a limit is nothing to it");
    let held = s.acquire_many(2).label("linking").wait().expect("free");
    let (seen, own) = (observer.status().expect("a look"), s.status().expect("a look"));
    assert_eq!((seen.sessions.len(), seen.used, &seen.statistics), (1, 2, &own.statistics));
    assert_eq!((&seen.holders[0].label, &seen.holders[0].slots), (&own.holders[0].label, &own.holders[0].slots));
    assert!(!observer.wait_change(Duration::from_millis(10)), "nothing has changed");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| observer.wait_change(LONG));
        drop(held);
        assert!(waits.join().expect("no panic"));
    });
    assert!(observer.wait_change(LONG), "until the next look it has changed");
    observer.status().expect("a look");
    assert!(!observer.wait_change(Duration::from_millis(10)));
}

#[test]
fn an_observer_sees_a_semaphore_that_was_removed_to_its_end() {
    let folder = Folder::new();
    let s = folder.open(3);
    let observer = Observer::open("s", &folder.options()).expect("an observer");
    drop(s);
    gatepost_shared::remove("s", &folder.options()).expect("nobody uses it");
    assert_eq!(observer.status().expect("a look").limit, 3);
    assert!(Semaphore::open("s", &folder.options()).is_err());
}

#[test]
fn who_died_is_named_although_another_process_has_its_number() {
    let folder = Folder::new();
    let s = folder.open(1);
    let mut other = Other::of(&folder);
    assert!(other.tell("acquire 1").starts_with("got"));
    let (pid, status) = (other.pid(), s.status().expect("a look"));
    other.kill();
    let successor = folder.open(1);
    assert_eq!(successor.session().0, status.holders[0].session.index);
    let reclaimed = s.events().last().expect("an event");
    assert_eq!((reclaimed.kind, reclaimed.to.map(|to| to.pid)), (EventKind::Reclaimed, Some(pid)));
}

#[test]
fn a_grant_that_was_to_outlive_its_session_ends_and_is_not_lost() {
    let folder = Folder::new();
    let s = folder.open(1);
    let mut other = Other::of(&folder);
    assert!(other.tell("acquire 1").starts_with("got"));
    let mut keeper = std::process::Command::new("sleep").arg("1000").spawn().expect("sleep");
    assert_eq!(other.tell(&format!("keep {}", keeper.id())), "Ok(())");
    other.kill();
    assert_eq!(s.reclaim().expect("sound"), 0);
    keeper.kill().expect("it runs");
    keeper.wait().expect("our child");
    assert_eq!(s.reclaim().expect("sound"), 1);
    let ended = s.events().last().expect("an event");
    assert_eq!((ended.kind, ended.to.map(|to| to.pid)), (EventKind::Ended, Some(keeper.id())));
    let status = s.status().expect("a look");
    assert_eq!((status.statistics.reclaimed, status.statistics.released), (0, 1));
}

#[test]
fn who_got_nothing_is_told_of_a_pause_and_of_a_drain() {
    let folder = Folder::new();
    let s = folder.open(1);
    s.pause().expect("sound");
    let error = s.try_acquire().expect_err("paused").to_string();
    assert!(error.contains("paused") && error.contains("gatepost resume s"), "{error}");
    s.resume().expect("sound");
    s.drain().expect("sound");
    let error = s.acquire().wait_timeout(Duration::ZERO).expect_err("drained").to_string();
    assert!(error.contains("drained") && error.contains("gatepost resize s"), "{error}");
}
