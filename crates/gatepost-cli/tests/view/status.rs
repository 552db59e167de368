//! `gatepost status NAME`.

use gatepost_shared::Status;
use rustix::process::{Pid, Signal, kill_process};

use crate::yard::{Yard, queue, take};

#[test]
fn everything_that_is_asked_is_answered() {
    let yard = Yard::new();
    let build = yard.semaphore("build", 8);
    let held = take(&build, 4, "cargo build --release");
    let _more = take(&build, 2, "make -j2");
    queue(&build, 3, "cargo test");
    queue(&build, 1, "npm run build");
    let ran = yard.run(["status", "build"]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    let own = std::process::id();
    let here = std::env::current_dir().expect("a directory");
    for words in [
        "build: 6 of 8 permits in use, 2 free".to_owned(),
        format!("build:{}  4 permits, slots 0-3", held.id()),
        "cargo build --release".to_owned(),
        format!("pid {own} in {}: alive", here.display()),
        "queue: the head asks for 3, 2 are free".to_owned(),
        "  1.  3 permits".to_owned(),
        "  2.  1 permit ".to_owned(),
        "sessions open\n  0.".to_owned(),
        "2 acquired".to_owned(),
        "created with a limit of 8".to_owned(),
    ] {
        assert!(ran.out.contains(&words), "{words:?} is not in:\n{}", ran.out);
    }
}

#[test]
fn why_nobody_is_admitted_is_said() {
    let yard = Yard::new();
    let build = yard.semaphore("build", 2);
    let _held = take(&build, 2, "");
    queue(&build, 1, "");
    build.pause().expect("paused");
    assert!(yard.run(["status", "build"]).out.contains("queue: it is paused"));
    build.resume().expect("resumed");
    build.resize(1).expect("resized");
    let out = yard.run(["status", "build"]).out;
    assert!(out.contains("2 of 1 permit in use") && out.contains("the limit was lowered to 1"), "{out}");
    build.drain().expect("drained");
    let out = yard.run(["status", "build"]).out;
    // Who waits for more than the limit is sent away, or stays to wait for a raise: either is said.
    assert!(out.contains("the limit is 0: drained") || out.contains("nobody waits"), "{out}");
}

#[test]
fn json_is_the_librarys_own_status() {
    let yard = Yard::new();
    let build = yard.semaphore("build", 8);
    let _held = take(&build, 3, "a\nb");
    let ran = yard.run(["status", "build", "--json"]);
    assert_eq!(ran.out.matches('\n').count(), 1);
    let status: Status = serde_json::from_str(&ran.out).expect("a status");
    assert_eq!((status.schema.as_str(), status.name.as_str()), ("gatepost/1", "build"));
    assert_eq!((status.limit, status.used, status.holders.len()), (8, 3, 1));
    let by_path = yard.path().join("build.gate");
    assert_eq!(yard.run(["status".as_ref(), by_path.as_os_str()]).status, 0);
}

#[test]
fn a_holder_that_was_killed_is_dead_until_somebody_needs_it() {
    let yard = Yard::new();
    let build = yard.semaphore("build", 2);
    let child = holder(&yard, "build", "the one that is killed", None);
    let pid = Pid::from_child(&child.0);
    kill_process(pid, Signal::KILL).expect("it is there");
    drop(child);
    let out = yard.run(["status", "build"]).out;
    assert!(out.contains("dead: the next acquire takes it back"), "{out}");
    drop(take(&build, 2, ""));
    assert!(yard.run(["status", "build"]).out.contains("back from the dead"));
}

/// This test binary again, as a process that takes a permit and has it until it is killed, or while `keep` lives.
pub(crate) fn holder(yard: &Yard, name: &str, label: &str, keep: Option<u32>) -> crate::yard::Running {
    let own = std::env::current_exe().expect("a path");
    let mut command = std::process::Command::new(own);
    command.args(["--exact", "status::a_process_that_holds", "--nocapture"]);
    command.env("GATEPOST_TEST_HOLD", yard.path().join(format!("{name}.gate"))).env("GATEPOST_TEST_LABEL", label);
    command.env("GATEPOST_TEST_KEEP", keep.map_or_else(String::new, |pid| pid.to_string()));
    let child = command.stdout(std::process::Stdio::null()).spawn().expect("it starts");
    let semaphore = gatepost_shared::Semaphore::open(name, &yard.options()).expect("a semaphore");
    let pid = child.id();
    crate::yard::until("it holds", || {
        let status = semaphore.status().expect("a status");
        let ready = |holder: &gatepost_shared::Holder| {
            holder.session.process.pid == pid && holder.keep.map(|process| process.pid) == keep
        };
        status.holders.iter().any(ready)
    });
    crate::yard::Running(child)
}

/// No test, unless [`holder`] starts it.
#[test]
fn a_process_that_holds() {
    if let Ok(path) = std::env::var("GATEPOST_TEST_HOLD") {
        let semaphore = gatepost_shared::Semaphore::open(&path, &gatepost_shared::Options::new()).expect("it is there");
        let held = take(&semaphore, 1, &std::env::var("GATEPOST_TEST_LABEL").expect("a label"));
        if let Ok(pid) = std::env::var("GATEPOST_TEST_KEEP").expect("a process, or none").parse() {
            held.keep(pid).expect("it lives");
        }
        loop {
            std::thread::park();
        }
    }
}

#[test]
fn what_outlives_its_process_is_kept_and_by_whom_is_said() {
    let yard = Yard::new();
    let _build = yard.semaphore("build", 2);
    drop(holder(&yard, "build", "a wrapper that was killed", Some(std::process::id())));
    let out = yard.run(["status", "build"]).out;
    assert!(out.contains(&format!("gone, kept by pid {}, which is alive", std::process::id())), "{out}");
}

#[test]
fn a_name_that_is_not_there_is_a_usage_error_with_a_hint() {
    let yard = Yard::new();
    for command in ["status", "events"] {
        let ran = yard.run([command, "nothing"]);
        assert_eq!(ran.status, 64, "{}", ran.err);
        assert!(ran.err.contains("\"nothing\""), "{}", ran.err);
    }
    assert_eq!(yard.run(["status", "a/../b/.gate"]).status, 64);
    assert_eq!(yard.run(["status"]).status, 64);
}
