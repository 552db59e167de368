//! `open`, `list`, `remove`: limits, names, files.

use std::os::fd::AsFd;
use std::sync::Barrier;

use gatepost_shared::{Error, Options, Policy, Semaphore, list, remove};

use super::common::{Folder, Other};

#[test]
fn a_limit_that_differs_is_an_error_that_names_both() {
    let folder = Folder::new();
    let s = folder.open(8);
    let error = Semaphore::open("s", &folder.options().limit(4)).expect_err("it has 8");
    assert!(matches!(error, Error::LimitDiffers { asked: 4, there: 8, .. }));
    let text = error.to_string();
    assert!(text.contains("limit 8") && text.contains("ask for 4") && text.contains("gatepost resize s 4"), "{text}");
    assert_eq!(s.limit(), 8);
    let set = Semaphore::open("s", &folder.options().limit(4).set_limit(true)).expect("it is set");
    assert_eq!((s.limit(), set.limit()), (4, 4));
    assert_eq!(Semaphore::open("s", &folder.options()).expect("any limit").limit(), 4);
    s.drain().expect("sound");
    drop(Semaphore::open("s", &folder.options().limit(4)).expect("one that is drained is not asked for its limit"));
    assert_eq!(s.limit(), 0);
    assert_eq!(s.status().expect("a look").sessions.len(), 2, "one that was refused is no session");
}

#[test]
fn without_a_limit_there_must_be_one() {
    let folder = Folder::new();
    let error = Semaphore::open("s", &folder.options()).expect_err("there is none");
    let text = error.to_string();
    assert!(matches!(error, Error::NotFound { .. }));
    assert!(text.contains("\"s\"") && text.contains("s.gate") && text.contains("give a limit"), "{text}");
}

#[test]
fn a_limit_above_what_the_file_can_hold_says_so() {
    let folder = Folder::new();
    let s = folder.open(8);
    let error = s.resize(1025).expect_err("too many");
    let text = error.to_string();
    assert!(matches!(error, Error::Capacity { asked: 1025, capacity: 1024, .. }));
    assert!(text.contains("1025") && text.contains("1024") && text.contains("slot"), "{text}");
    assert_eq!(s.limit(), 8);
    assert!(Semaphore::open("s", &folder.options().limit(1025).set_limit(true)).is_err());
    for limit in [1 << 30, u32::MAX] {
        let error = Semaphore::open("t", &folder.options().limit(limit)).expect_err("too many");
        assert!(
            matches!(error, Error::Capacity { asked, capacity, .. } if asked == limit && capacity == (1 << 30) - 1)
        );
    }
    assert!(!folder.join("t.gate").exists());
}

#[test]
fn many_that_open_at_once_make_one_file() {
    for _ in 0..10 {
        let folder = Folder::new();
        let barrier = Barrier::new(8);
        std::thread::scope(|scope| {
            let open = || {
                barrier.wait();
                folder.open(3)
            };
            let all: Vec<_> =
                [(); 8].map(|()| scope.spawn(open)).into_iter().map(|t| t.join().expect("open")).collect();
            let held = all[0].acquire_many(3).wait().expect("free");
            assert!(all.iter().all(|s| matches!(s.try_acquire(), Err(Error::Busy { .. }))));
            drop(held);
            assert_eq!(all[7].status().expect("a look").sessions.len(), 8);
        });
        assert_eq!(std::fs::read_dir(folder.join("")).expect("the folder").count(), 1, "nothing else is left");
    }
}

#[test]
fn a_path_is_a_file_and_a_name_is_one_in_the_folder() {
    let folder = Folder::new();
    let path = folder.join("by path.gate");
    let s = Semaphore::open(path.to_str().expect("a path"), &Options::new().limit(2)).expect("a path");
    assert_eq!((s.name(), s.path()), ("by path", path.as_path()));
    drop(folder.open(1));
    std::fs::write(folder.join("other.txt"), "").expect("to write");
    let found = list(&folder.join("")).expect("the folder");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "s");
    assert_eq!(list(&folder.join("nothing")).expect("none is none"), []);
}

#[test]
fn one_that_is_used_is_not_removed() {
    let folder = Folder::new();
    assert!(matches!(remove("s", &folder.options()), Err(Error::NotFound { .. })));
    let s = folder.open(2);
    let error = remove("s", &folder.options()).expect_err("it is used");
    assert!(error.to_string().contains("1 other process has it open"), "{error}");
    let mut other = Other::of(&folder);
    assert!(other.tell("acquire 1").starts_with("got"));
    assert_eq!(other.tell(&format!("keep {}", std::process::id())), "Ok(())");
    other.kill();
    drop(s);
    let error = remove("s", &folder.options()).expect_err("a permit is kept");
    assert!(error.to_string().contains("1 grant is held"), "{error}");
    let s = folder.open(2);
    for holder in s.status().expect("a look").holders {
        s.release(holder.id).expect("sound");
    }
    drop(s);
    remove("s", &folder.options()).expect("nobody uses it");
    assert!(!folder.path().exists());
    assert_eq!(folder.open(9).limit(), 9, "a new one");
}

#[test]
fn policy_and_name_of_the_session_are_as_told() {
    let folder = Folder::new();
    let options =
        folder.options().limit(2).policy(Policy::Overtaking).session_name("a rather long name, cut somewhere");
    let s = Semaphore::open("s", &options).expect("a semaphore");
    let status = s.status().expect("a look");
    assert_eq!((status.policy, status.sessions[0].name.as_str()), (Policy::Overtaking, "a rather long name, cut "));
    let again = Semaphore::open("s", &folder.options().policy(Policy::Fifo)).expect("it exists");
    assert_eq!(again.status().expect("a look").policy, Policy::Overtaking, "it counts when it is created");
}

#[test]
fn a_descriptor_is_enough() {
    let folder = Folder::new();
    let s = folder.open(2);
    let fd = s.as_fd().try_clone_to_owned().expect("a copy");
    let other = Semaphore::from_fd(fd, &Options::new()).expect("it");
    let held = other.acquire_many(2).wait().expect("free");
    assert!(matches!(s.try_acquire(), Err(Error::Busy { .. })));
    drop(held);
    drop(s.try_acquire_many(2).expect("given back"));
    let not_one = std::fs::File::open("/proc/self/exe").expect("this program");
    assert!(Semaphore::from_fd(not_one.into(), &Options::new()).is_err());
}
