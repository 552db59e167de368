//! `status`: what is seen, and that it adds up.

use std::time::Duration;

use gatepost_shared::{HolderState, SCHEMA, Status};

use super::common::{Dice, Folder, LONG, Other};

#[test]
fn holders_waiters_and_sessions_are_named() {
    let folder = Folder::new();
    let s = folder.open(3);
    let held = s.acquire_many(2).label("linking").wait().expect("free");
    let mut other = Other::of(&folder);
    other.say("acquire 3");
    let status = folder.until_waiters(1);
    assert_eq!((status.schema.as_str(), status.name.as_str(), status.path), (SCHEMA, "s", folder.path()));
    assert_eq!((status.limit, status.used, status.paused, status.slots), (3, 2, false, true));
    let capacity = status.capacity;
    assert_eq!((capacity.limit, capacity.sessions, capacity.grants, capacity.waiters), (1024, 1024, 1024, 1024));
    let [holder] = &status.holders[..] else { panic!("{:?}", status.holders) };
    assert_eq!((holder.id, holder.permits, holder.label.as_str()), (held.id(), 2, "linking"));
    assert_eq!(holder.slots.iter().map(|slot| slot.index).collect::<Vec<_>>(), held.slots());
    assert_eq!(holder.slots.iter().map(|slot| slot.epoch).collect::<Vec<_>>(), held.epochs());
    assert_eq!((holder.state, holder.session.process.pid), (HolderState::Alive, std::process::id()));
    assert!(holder.session.alive && holder.keep.is_none() && holder.expires.is_none());
    let [waiter] = &status.waiters[..] else { panic!("{:?}", status.waiters) };
    assert_eq!((waiter.permits, waiter.label.as_str(), waiter.session.process.pid), (3, "child", other.pid()));
    assert!(waiter.ticket > held.id().get() && waiter.since.boot_ns >= holder.since.boot_ns);
    assert_eq!(status.sessions.len(), 2);
    assert_eq!((status.sessions[0].index, status.sessions[0].generation), s.session());
    assert_eq!(status.sessions[1].name, "child");
    assert_eq!((status.locked_by, status.damage), (None, None));
    drop(held);
    assert!(other.hear().starts_with("got"));
}

#[test]
fn json_can_be_read_again() {
    let folder = Folder::new();
    let s = folder.open(3);
    let _held = s.acquire_many(2).label("\u{1b}[31m \"é\"").wait().expect("free");
    let status = s.status().expect("a look");
    assert_eq!(status.holders[0].label, "\u{FFFD}[31m \"é\"", "nothing steers a terminal");
    let json = serde_json::to_value(&status).expect("JSON");
    assert_eq!((&json["schema"], &json["policy"], &json["used"]), (&SCHEMA.into(), &"fifo".into(), &2.into()));
    let again: Status = serde_json::from_value(json).expect("it can be read again");
    assert_eq!(
        (again.used, &again.holders[0].slots, again.statistics),
        (2, &status.holders[0].slots, status.statistics)
    );
}

#[test]
fn what_was_counted_adds_up() {
    let folder = Folder::new();
    let s = folder.open(4);
    std::thread::scope(|scope| {
        for k in 0..4 {
            let s = &s;
            scope.spawn(move || {
                let mut dice = Dice(k);
                for _ in 0..150 {
                    match dice.below(4) {
                        0 => drop(s.try_acquire()),
                        1 => drop(s.acquire_many(3).wait_timeout(Duration::from_micros(dice.below(200)))),
                        2 => {
                            let permit = s.acquire_many(2).wait_timeout(LONG).expect("its turn");
                            if dice.below(2) == 0 {
                                let _ = s.revoke(permit.id(), "a test");
                            }
                        }
                        _ => drop(s.acquire().wait_timeout(LONG).expect("its turn")),
                    }
                }
            });
        }
    });
    let status = s.status().expect("a look");
    let statistics = status.statistics;
    assert_eq!((status.used, status.waiters.len()), (0, 0));
    assert_eq!(statistics.acquired, statistics.released + statistics.revoked + statistics.reclaimed);
    assert_eq!(statistics.hold.count(), statistics.acquired);
    assert_eq!(statistics.wait.count(), statistics.waited);
    assert!(statistics.waited <= statistics.acquired && statistics.revoked > 0);
    assert!(statistics.hold.sum_ns > 0 && statistics.hold.quantile(0.5) <= statistics.hold.quantile(0.99));
    assert_eq!((statistics.takeovers, statistics.reclaimed), (0, 0));
}

#[test]
fn the_dead_are_shown_until_somebody_needs_what_they_hold() {
    let folder = Folder::new();
    let s = folder.open(2);
    let mut other = Other::of(&folder);
    assert!(other.tell("acquire 1").starts_with("got"));
    other.kill();
    let status = s.status().expect("a look");
    assert_eq!((status.used, status.holders[0].state), (1, HolderState::Dead));
    assert!(!status.holders[0].session.alive);
    assert_eq!(s.reclaim().expect("sound"), 1);
    assert_eq!(s.reclaim().expect("sound"), 0);
    assert_eq!(s.status().expect("a look").used, 0);
}

#[test]
fn a_path_that_is_no_unicode_can_be_told() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().expect("a folder");
    let odd = folder.path().join(std::ffi::OsStr::from_bytes(b"x\xFFy"));
    std::fs::create_dir(&odd).expect("a folder in it");
    let s = gatepost_shared::Semaphore::open("s", &gatepost_shared::Options::new().directory(&odd).limit(1));
    let status = s.expect("it opens").status().expect("a status");
    assert_eq!(status.path, odd.join("s.gate"));
    let json = serde_json::to_value(status).expect("JSON");
    assert!(json["path"].as_str().is_some_and(|path| path.ends_with("/x\u{FFFD}y/s.gate")), "{json}");
}
