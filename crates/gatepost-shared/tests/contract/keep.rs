//! `keep`, `lease`, `leave`: what outlives its session.

use std::process::{Command, Stdio};
use std::time::Duration;

use gatepost_shared::{Error, HolderState, Released};

use super::common::{Folder, LONG, Other};

#[test]
fn a_kept_permit_is_held_while_that_process_lives() {
    let folder = Folder::new();
    let s = folder.open(1);
    let mut command = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("cat");
    let mut other = Other::of(&folder);
    assert!(other.tell("acquire 1").starts_with("got"));
    assert_eq!(other.tell(&format!("keep {}", command.id())), "Ok(())");
    assert_eq!(s.status().expect("a look").holders[0].state, HolderState::Alive);
    other.kill();
    assert!(matches!(s.try_acquire(), Err(Error::Busy { .. })));
    let holder = &s.status().expect("a look").holders[0];
    assert_eq!((holder.state, holder.keep.map(|keep| keep.pid)), (HolderState::Kept, Some(command.id())));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| s.acquire().wait_timeout(LONG));
        folder.until_waiters(1);
        drop(command.stdin.take());
        command.wait().expect("it ends");
        assert!(waits.join().expect("no panic").expect("nobody keeps it").is_held());
    });
}

#[test]
fn a_process_that_is_gone_keeps_nothing() {
    let folder = Folder::new();
    let s = folder.open(1);
    let mut command = Command::new("true").spawn().expect("true");
    command.wait().expect("it ends");
    let mut other = Other::of(&folder);
    assert!(other.tell("acquire 1").starts_with("got"));
    assert_eq!(other.tell(&format!("keep {}", command.id())), "Ok(())");
    other.kill();
    assert_eq!(s.status().expect("a look").holders[0].state, HolderState::Dead);
    assert!(s.try_acquire().expect("nobody keeps it").is_held());
}

#[test]
fn a_leased_permit_is_held_until_its_time_has_run_out() {
    let folder = Folder::new();
    let s = folder.open(1);
    let mut other = Other::of(&folder);
    assert!(other.tell("acquire 1").starts_with("got"));
    assert_eq!(other.tell("lease 3600000"), "Ok(())");
    assert!(other.tell("leave").starts_with("left"));
    other.kill();
    assert!(matches!(s.try_acquire(), Err(Error::Busy { .. })));
    let holder = &s.status().expect("a look").holders[0];
    assert_eq!(holder.state, HolderState::Leased);
    let expires = holder.expires.expect("it has an end").boot_ns - s.status().expect("a look").now.boot_ns;
    assert!((3500..=3600).contains(&(expires / 1_000_000_000)), "{expires}");
    assert_eq!(s.release(holder.id).expect("sound"), Released::Yes);

    let mut other = Other::of(&folder);
    assert!(other.tell("acquire 1").starts_with("got"));
    assert_eq!(other.tell("lease 100"), "Ok(())");
    other.kill();
    assert!(s.acquire().wait_timeout(LONG).expect("its time runs out").is_held());
}

#[test]
fn a_lease_does_not_end_what_a_living_session_holds() {
    let folder = Folder::new();
    let s = folder.open(1);
    let held = s.acquire().wait().expect("free");
    held.lease(Duration::ZERO).expect("it is held");
    held.lease(Duration::MAX).expect("any time");
    held.lease(Duration::ZERO).expect("the last one counts");
    assert!(matches!(s.acquire().wait_timeout(Duration::from_millis(50)), Err(Error::TimedOut { .. })));
    assert!(held.is_held());
    assert_eq!(s.status().expect("a look").holders[0].state, HolderState::Alive);
}

#[test]
fn with_both_it_is_the_process_for_that_time() {
    let folder = Folder::new();
    let s = folder.open(1);
    let mut other = Other::of(&folder);
    assert!(other.tell("acquire 1").starts_with("got"));
    assert_eq!(other.tell(&format!("keep {}", std::process::id())), "Ok(())");
    assert_eq!(other.tell("lease 200"), "Ok(())");
    other.kill();
    assert!(s.acquire().wait_timeout(LONG).expect("we live, and the time runs out").is_held());
}

#[test]
fn what_was_taken_back_cannot_be_kept() {
    let folder = Folder::new();
    let s = folder.open(1);
    let held = s.acquire().wait().expect("free");
    s.revoke(held.id(), "a test").expect("it was held");
    let error = held.keep(std::process::id()).expect_err("it is gone");
    assert!(matches!(error, Error::Revoked { id } if id == held.id()));
    assert!(error.to_string().contains(&format!("permit {}", held.id())), "{error}");
    assert!(held.lease(Duration::ZERO).is_err());
}

#[test]
fn one_that_is_left_is_held_while_its_session_is() {
    let folder = Folder::new();
    let s = folder.open(2);
    let other = folder.open(2);
    let id = other.acquire().wait().expect("free").leave();
    assert!(matches!(s.try_acquire_many(2), Err(Error::Busy { used: 1, .. })));
    drop(other);
    drop(s.try_acquire_many(2).expect("its session is over"));
    assert_eq!(s.release(id).expect("sound"), Released::WasGone);
}
