//! Processes of another PID namespace: they live by the kernel's lock, and what they keep cannot be judged from outside.

use std::io;
use std::os::fd::OwnedFd;
use std::ptr;

use super::alone::alone;
use super::process::{Child, folder, forever, fork, pipe, readable};
use crate::{Error, EventKind, HolderState, Options, Semaphore, repair};

/// 1: where there are no namespaces to be had, that is a failure.
const REQUIRED: &str = "GATEPOST_REQUIRE_NAMESPACES";
/// The status of a process that may not make a namespace.
const MAY_NOT: i32 = 77;

/// Into new namespaces of these kinds; false: that is not allowed.
pub(super) fn unshare(flags: libc::c_int) -> bool {
    // SAFETY: the call takes numbers.
    unsafe { libc::unshare(flags) == 0 }
}

/// Mounts a file system of this kind.
pub(super) fn mount(kind: &std::ffi::CStr, at: &std::ffi::CStr, flags: libc::c_ulong, options: &std::ffi::CStr) {
    // SAFETY: all are strings with a NUL at their end.
    let result = unsafe { libc::mount(kind.as_ptr(), at.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast()) };
    assert_eq!(result, 0, "mount: {}", io::Error::last_os_error());
}

/// What is mounted from here on is seen by nobody else.
pub(super) fn mounts_are_private() {
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: the strings have a NUL at their end, the others are not looked at.
    let result = unsafe { libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), flags, ptr::null()) };
    assert_eq!(result, 0, "mount: {}", io::Error::last_os_error());
}

/// Whether the test `child` is about cannot be done here.
pub(super) fn is_left_out(child: &mut Child) -> bool {
    let is_left_out = child.wait().exit_status() == Some(MAY_NOT);
    if is_left_out {
        assert!(std::env::var(REQUIRED).as_deref() != Ok("1"), "there are no namespaces to be had here");
        println!("left out: there are no namespaces to be had here");
    }
    is_left_out
}

/// Both sides do something in turns.
struct Turns {
    read: OwnedFd,
    write: OwnedFd,
}

impl Turns {
    /// The other side may go on.
    fn give(&self) {
        rustix::io::write(&self.write, b"x").expect("the other side lives");
    }

    /// Waits for the other side; false: it has ended.
    fn take(&self) -> bool {
        assert!(readable(&self.read, forever()), "the other side does something");
        rustix::io::read(&self.read, &mut [0; 1][..]).expect("it can be read") == 1
    }
}

/// A grant of a session that has been killed, kept by a process that lives.
fn kept_grant(options: &Options, turns: &Turns) -> Child {
    let keeper = fork(|| {
        loop {
            std::thread::park();
        }
    });
    let (ready, say) = pipe();
    let mut holder = fork(|| {
        let semaphore = Semaphore::open("names", options).expect("it opens");
        let permit = semaphore.try_acquire().expect("free");
        permit.keep(keeper.id()).expect("held");
        permit.leave();
        rustix::io::write(&say, b"x").expect("somebody listens");
        loop {
            std::thread::park();
        }
    });
    assert!(readable(&ready, forever()), "it holds");
    turns.give();
    turns.take();
    holder.kill();
    keeper
}

/// The first process of the namespace.
fn inside(options: &Options, turns: &Turns, has_own_proc: bool) -> i32 {
    if has_own_proc {
        mounts_are_private();
        mount(c"proc", c"/proc", 0, c"");
    }
    assert_eq!(std::process::id(), 1, "the first of its namespace");
    let semaphore = Semaphore::open("names", options).expect("it opens");
    let mut keeper = kept_grant(options, turns);
    let state = semaphore.status().expect("it can be seen").holders[0].state;
    assert_eq!(state, if has_own_proc { HolderState::Kept } else { HolderState::Unknown });
    assert_eq!(semaphore.reclaim().expect("it works"), 0, "it is kept");
    turns.give();
    turns.take();
    keeper.kill();
    if has_own_proc {
        // From its own namespace it is seen to be over.
        assert_eq!(semaphore.reclaim().expect("it works"), 1);
        turns.give();
        turns.take();
        let keeper = kept_grant(options, turns);
        turns.give();
        turns.take();
        drop(keeper);
    } else {
        // Whose number means which process cannot be seen without a /proc of its own, so it stays held.
        assert_eq!(semaphore.reclaim().expect("it works"), 0);
        turns.give();
        turns.take();
    }
    0
}

fn namespaces(has_own_proc: bool) {
    let folder = folder();
    let options = Options::new().directory(folder.path());
    let semaphore = Semaphore::open("names", &options.clone().limit(1)).expect("it opens");
    let (read, theirs_write) = pipe();
    let (theirs_read, write) = pipe();
    let turns = Turns { read, write };
    let theirs = Turns { read: theirs_read, write: theirs_write };
    let mut outer = fork(|| {
        if !unshare(libc::CLONE_NEWPID | libc::CLONE_NEWNS) {
            return MAY_NOT;
        }
        let mut first = fork(|| inside(&options, &theirs, has_own_proc));
        first.succeed();
        0
    });
    drop(theirs);
    if !turns.take() {
        assert!(is_left_out(&mut outer), "it ended early");
        return;
    }
    let holder = || semaphore.status().expect("it can be seen").holders.pop();
    // It lives, although its number means another process here.
    let alive = holder().expect("it is held");
    assert_eq!(alive.state, HolderState::Alive);
    assert_ne!(alive.session.process.namespace, semaphore.table().own().namespace);
    assert!(matches!(semaphore.try_acquire(), Err(Error::Busy { .. })));
    let ours = |what: &str| assert!(turns.take(), "{what}");
    turns.give();

    ours("its session is dead, and the process that keeps it lives");
    let held = |why: &str| {
        assert_eq!(holder().map(|holder| holder.state), Some(HolderState::Unknown), "{why}");
        assert_eq!(semaphore.reclaim().expect("it works"), 0, "{why}");
        assert!(matches!(semaphore.try_acquire(), Err(Error::Busy { .. })), "{why}");
    };
    held("it cannot be judged from here");
    turns.give();

    ours("the process that keeps it has ended");
    if has_own_proc {
        assert!(semaphore.try_acquire().is_ok(), "it was freed from its own namespace");
        turns.give();
        ours("another one is held");
        turns.give();
        ours("and its session is dead");
    }
    held("neither can this one");
    let done = repair("names", &options).expect("it works");
    assert!(done.iter().any(|line| line.contains("PID namespace")), "{done:?}");
    assert_eq!(holder(), None);
    assert!(semaphore.try_acquire().is_ok(), "it was freed by repair");
    let freed =
        semaphore.events().filter(|event| event.kind == EventKind::Reclaimed).last().expect("it is written down");
    assert!(freed.why.contains("cannot be seen"), "{freed:?}");
    turns.give();
    outer.succeed();
}

#[test]
fn what_another_pid_namespace_keeps_is_freed_from_there_or_by_repair() {
    alone("tests::namespaces::what_another_pid_namespace_keeps_is_freed_from_there_or_by_repair", || namespaces(true));
}

#[test]
fn what_is_kept_in_a_namespace_without_its_own_proc_is_not_judged_by_another_ones() {
    alone("tests::namespaces::what_is_kept_in_a_namespace_without_its_own_proc_is_not_judged_by_another_ones", || {
        namespaces(false);
    });
}
