//! A semaphore without a name, passed on by its descriptor.

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use gatepost_shared::{Error, Options, Semaphore};

use super::common::{Folder, LONG, Other};

#[test]
fn one_without_a_name_can_be_made_and_opened_again_by_its_descriptor() {
    let one = Semaphore::anonymous(&Options::new().limit(3)).expect("an anonymous one");
    assert_eq!((one.name(), one.limit()), ("anonymous", 3));
    let other = Semaphore::from_fd(one.as_fd().try_clone_to_owned().expect("a copy"), &Options::new()).expect("it");
    assert_ne!(one.session(), other.session());
    let held = one.acquire_many(3).wait().expect("free");
    assert!(matches!(other.try_acquire(), Err(Error::Busy { used: 3, limit: 3, .. })));
    drop(held);
    let held = other.acquire_many(2).wait_timeout(Duration::from_secs(60)).expect("free again");
    assert_eq!(held.slots(), [0, 1]);
}

#[test]
fn without_a_limit_there_is_nothing_to_make() {
    assert!(matches!(Semaphore::anonymous(&Options::new()), Err(Error::NotFound { .. })));
}

#[test]
fn nobody_else_may_use_its_descriptors_path() {
    let one = Semaphore::anonymous(&Options::new().limit(1)).expect("an anonymous one");
    let mode = rustix::fs::fstat(one.as_fd()).expect("it is open").st_mode & 0o7777;
    assert_eq!(mode, 0o600);
}

#[test]
fn a_child_process_gets_it_by_a_descriptor_that_it_inherits() {
    let folder = Folder::new();
    let s = Semaphore::anonymous(&Options::new().limit(2)).expect("an anonymous one");
    // A duplicate is open after exec.
    let passed = rustix::io::dup(s.as_fd()).expect("a copy");
    let mut child = Other::start(&folder);
    assert_eq!(child.tell(&format!("from-fd {}", passed.as_raw_fd())), "session");
    drop(passed);
    assert!(child.tell("acquire 2").starts_with("got"));
    assert!(matches!(s.try_acquire(), Err(Error::Busy { used: 2, .. })));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| s.acquire().wait_timeout(LONG));
        while s.status().expect("a look").waiters.is_empty() {
            std::thread::yield_now();
        }
        child.kill();
        assert!(waits.join().expect("no panic").expect("its death is noticed").is_held());
    });
}
