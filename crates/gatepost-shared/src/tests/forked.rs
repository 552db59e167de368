//! Another process that came of this one: by fork, by a bare clone, by exec. And one that runs out of descriptors.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::alone::alone;
use super::process::{Child, folder, forever, fork, pipe, readable, until};
use crate::{Error, HolderState, Options, Permit, Semaphore};

/// What one who is not the session may not do.
fn is_foreign(semaphore: &Semaphore, permit: Permit) {
    assert!(matches!(semaphore.try_acquire(), Err(Error::Forked { .. })));
    assert!(matches!(semaphore.acquire().wait_timeout(forever()), Err(Error::Forked { .. })));
    assert!(matches!(semaphore.status(), Err(Error::Forked { .. })));
    assert!(matches!(semaphore.resize(9), Err(Error::Forked { .. })));
    assert!(matches!(permit.keep(1), Err(Error::Forked { .. })));
    assert!(!permit.is_held());
    assert_eq!(permit.slots(), []);
    drop(permit);
}

#[test]
fn a_forked_child_holds_nothing_and_gives_nothing_back() {
    alone("tests::forked::a_forked_child_holds_nothing_and_gives_nothing_back", || {
        let folder = folder();
        let options = Options::new().directory(folder.path());
        let semaphore = Semaphore::open("fork", &options.clone().limit(2)).expect("it opens");
        let permit = RefCell::new(Some(semaphore.try_acquire_many(2).expect("free")));
        let mut child = fork(|| {
            is_foreign(&semaphore, permit.take().expect("it is there"));
            // As a session of its own it sees that all is taken.
            let own = Semaphore::open("fork", &options).expect("it opens");
            assert_ne!(own.session(), semaphore.session());
            assert!(matches!(own.try_acquire(), Err(Error::Busy { used: 2, .. })));
            0
        });
        child.succeed();
        let permit = permit.take().expect("it is there");
        assert!(permit.is_held());
        assert_eq!(permit.slots(), [0, 1]);
    });
}

#[test]
fn a_child_by_a_bare_clone_is_told_apart_by_the_wiped_page() {
    alone("tests::forked::a_child_by_a_bare_clone_is_told_apart_by_the_wiped_page", || {
        let folder = folder();
        let options = Options::new().directory(folder.path());
        let semaphore = Semaphore::open("clone", &options.limit(1)).expect("it opens");
        let permit = RefCell::new(Some(semaphore.try_acquire().expect("free")));
        // No handler of the C library runs.
        // SAFETY: as a fork: see `process::fork`. No stack is given, so the child has a copy of this one.
        let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
        if pid == 0 {
            let check = || is_foreign(&semaphore, permit.take().expect("it is there"));
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
            // SAFETY: ends the process.
            unsafe { libc::_exit(i32::from(result.is_err())) };
        }
        let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a child");
        Child::adopt(pid).succeed();
        assert!(permit.take().expect("it is there").is_held());
    });
}

/// A process that holds both permits, starts another one by `start`, and is killed; the other one, which lives until it is
/// written to, keeps nothing held.
fn dies_and_leaves_a_child(start: impl FnOnce(std::os::fd::OwnedFd, std::os::fd::OwnedFd)) {
    let folder = folder();
    let options = Options::new().directory(folder.path());
    let semaphore = Semaphore::open("child", &options.clone().limit(2)).expect("it opens");
    let (answers, answer) = pipe();
    let (commands, command) = pipe();
    let mut parent = fork(|| {
        let semaphore = Semaphore::open("child", &options).expect("it opens");
        semaphore.try_acquire_many(2).expect("free").leave();
        start(commands, answer);
        loop {
            std::thread::park();
        }
    });
    assert!(readable(&answers, forever()), "the child has started");
    assert_eq!(rustix::io::read(&answers, &mut [0; 1][..]), Ok(1));
    let status = semaphore.status().expect("it can be seen");
    assert_eq!(status.holders[0].state, HolderState::Alive);
    parent.kill();
    assert_eq!(semaphore.reclaim().expect("it works"), 1, "the parent is dead, and its child keeps it alive");
    let permit = semaphore.try_acquire_many(2).expect("free");
    // It lives: it answers.
    rustix::io::write(&command, b"x").expect("it lives");
    assert!(readable(&answers, forever()), "the child lives");
    assert_eq!(rustix::io::read(&answers, &mut [0; 1][..]), Ok(1), "the child lives");
    drop(permit);
}

#[test]
fn the_death_of_a_parent_frees_its_permits_although_a_forked_child_lives() {
    alone("tests::forked::the_death_of_a_parent_frees_its_permits_although_a_forked_child_lives", || {
        dies_and_leaves_a_child(|commands, answer| {
            let child = fork(|| {
                // It survives its parent.
                // SAFETY: the call takes numbers.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0) };
                rustix::io::write(&answer, b"x").expect("the test listens");
                // For no longer than the test may last: it has the other end of this pipe, too, so that never ends.
                assert!(readable(&commands, forever()), "the test lives");
                rustix::io::read(&commands, &mut [0; 1][..]).expect("the test lives");
                rustix::io::write(&answer, b"x").expect("the test listens");
                0
            });
            std::mem::forget(child);
        });
    });
}

#[test]
fn a_program_that_was_started_keeps_nothing_held() {
    alone("tests::forked::a_program_that_was_started_keeps_nothing_held", || {
        dies_and_leaves_a_child(|commands, answer| {
            let mut cat = Command::new("cat");
            cat.stdin(Stdio::from(commands)).stdout(Stdio::from(answer.try_clone().expect("a descriptor")));
            std::mem::forget(cat.spawn().expect("cat"));
            rustix::io::write(&answer, b"x").expect("the test listens");
        });
    });
}

#[test]
fn exec_ends_the_session() {
    alone("tests::forked::exec_ends_the_session", || {
        let folder = folder();
        let options = Options::new().directory(folder.path());
        let semaphore = Semaphore::open("exec", &options.clone().limit(2)).expect("it opens");
        let (answers, answer) = pipe();
        let (commands, command) = pipe();
        let mut child = fork(|| {
            let semaphore = Semaphore::open("exec", &options).expect("it opens");
            semaphore.try_acquire_many(2).expect("free").leave();
            let mut cat = Command::new("cat");
            cat.stdin(File::from(commands)).stdout(File::from(answer));
            panic!("{}", cat.exec());
        });
        // It answers once it is the other program.
        rustix::io::write(&command, b"x").expect("it lives");
        assert!(readable(&answers, forever()), "it is another program");
        assert_eq!(semaphore.reclaim().expect("it works"), 1);
        assert_eq!(semaphore.status().expect("it can be seen").used, 0);
        drop(command);
        child.succeed();
    });
}

#[test]
fn one_who_cannot_be_watched_over_leaves_the_queue() {
    alone("tests::forked::one_who_cannot_be_watched_over_leaves_the_queue", || {
        let folder = folder();
        let options = Options::new().directory(folder.path());
        let holder = Semaphore::open("full", &options.clone().limit(1)).expect("it opens");
        let waiter = Semaphore::open("full", &options).expect("it opens");
        let held = holder.try_acquire().expect("free");
        let files = rustix::process::Resource::Nofile;
        let lowered = rustix::process::Rlimit { current: Some(64), ..rustix::process::getrlimit(files) };
        rustix::process::setrlimit(files, lowered).expect("it may be lowered");
        let mut files = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            files.push(file);
        }
        let result = waiter.acquire().wait_timeout(Duration::from_secs(1));
        assert!(matches!(&result, Err(Error::Io { .. })), "{result:?}");
        assert_eq!(holder.status().expect("it can be seen").waiters, [], "its place is nobody's");
        drop(files);
        // And now it works: the thread that watches is started when it can be.
        let mut child = fork(|| {
            let other = Semaphore::open("full", &options).expect("it opens");
            let map = other.table().map();
            until("one waits", || map.header().waiting.load(std::sync::atomic::Ordering::Relaxed) == 1);
            other.release(held.id()).expect("it works");
            0
        });
        assert!(waiter.acquire().wait_timeout(forever()).is_ok());
        child.succeed();
    });
}
