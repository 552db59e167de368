//! What is killed keeps nothing, and frees nothing under what still runs.

use gatepost_shared::HolderState;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::stage::{NAME, Stage, finish, run, wait_for_end};

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).expect("a number")).expect("a process")
}

/// A client of the fifo that takes a token, says so, and is killed with it.
const TAKER: &str = "#!/bin/sh
exec 9<>\"${MAKEFLAGS##*fifo:}\"
head -c 1 <&9 >/dev/null
NAME=taker sh -c \"$JOB\"
kill -9 $$
";

#[test]
fn a_client_that_is_killed_with_a_token_keeps_it_no_longer_than_its_build() {
    let mut stage = Stage::new();
    let taker = stage.write("taker", TAKER);
    let build = stage.write("build", "#!/bin/sh\n./taker\nNAME=rest sh -c \"$JOB\"\nexit 3\n");
    let child = stage.bridge("--limit 4 --style fifo", [&build]).spawn().expect("it starts");
    assert_eq!(stage.hear().name, "taker");
    stage.release(1);
    assert_eq!(stage.hear().name, "rest", "{taker:?} is dead, and the build goes on");
    // The implicit one, the lost one, and the one on offer.
    assert_eq!(stage.wait_until("the token of the dead is held", |status| status.used == 3).used, 3);
    stage.release(1);
    assert_eq!(finish(child).status, 3);
    assert_eq!(stage.status().used, 0);
}

#[test]
fn a_job_that_is_killed_is_a_failed_job_and_leaks_nothing() {
    let mut stage = Stage::new();
    let mut build = stage.bridge("--limit 3", stage.makefile(3)).spawn().expect("it starts");
    let jobs = [stage.hear(), stage.hear(), stage.hear()];
    kill_process(pid(jobs[1].pid as u32), Signal::KILL).expect("it is there");
    stage.conduct(3, 2, std::slice::from_mut(&mut build));
    assert_eq!(finish(build).status, 2, "as make has it");
    assert_eq!(stage.status().used, 0);
}

#[test]
fn a_make_that_is_killed_with_all_its_jobs_leaks_nothing() {
    let mut stage = Stage::new();
    let build = stage.bridge("--limit 3", stage.makefile(9)).spawn().expect("it starts");
    for _ in 0..3 {
        stage.hear();
    }
    let make = stage.status().holders[0].keep.expect("it is kept for the build").pid;
    kill_process_group(pid(make), Signal::KILL).expect("it has a group");
    assert_eq!(finish(build).status, 128 + 9);
    let status = stage.status();
    assert_eq!((status.used, status.waiters.len()), (0, 0));
}

#[test]
fn a_bridge_that_is_killed_frees_nothing_under_a_build_that_runs() {
    let mut stage = Stage::new();
    let mut bridge = stage.bridge("--limit 3", stage.makefile(9)).spawn().expect("it starts");
    for _ in 0..3 {
        stage.hear();
    }
    let make = stage.status().holders[0].keep.expect("it is kept for the build").pid;
    bridge.kill().expect("it is there");
    bridge.wait().expect("it ends");

    let status = stage.status();
    assert_eq!(status.used, 3, "{status:#?}");
    assert!(status.holders.iter().all(|holder| holder.state == HolderState::Kept), "{status:#?}");
    let ran = run(stage.gatepost(["run", "--sem", NAME, "--no-wait", "--", "true"]));
    assert_eq!(ran.status, 75, "{}", ran.err);

    // It goes on with the tokens that it has, and finishes.
    stage.release(9);
    for _ in 3..9 {
        stage.hear();
    }
    wait_for_end(make);
    assert_eq!((stage.begun("make"), stage.most_at_once() <= 3), (9, true));
    assert_eq!(stage.status().used, 0);
    let ran = run(stage.gatepost(["run", "--sem", NAME, "--no-wait", "--", "true"]));
    assert_eq!(ran.status, 0, "{}", ran.err);
}

#[test]
fn a_bridge_that_is_killed_while_it_waits_leaves_the_line() {
    let mut stage = Stage::new();
    let semaphore = stage.semaphore(1);
    let held = semaphore.acquire().wait().expect("it is free");
    let mut bridge = stage.bridge("", stage.makefile(1)).spawn().expect("it starts");
    stage.wait_until("it waits", |status| status.waiters.len() == 1);
    bridge.kill().expect("it is there");
    bridge.wait().expect("it ends");
    drop(held);
    let mut next = stage.bridge("", stage.makefile(1)).spawn().expect("it starts");
    stage.conduct(1, 0, std::slice::from_mut(&mut next));
    assert_eq!(finish(next).status, 0);
    assert_eq!(stage.begun("make"), 1);
}

#[test]
fn a_signal_to_the_bridge_reaches_the_build_or_leaves_the_line() {
    let mut stage = Stage::new();
    let build = stage.bridge("--limit 2", stage.makefile(4)).spawn().expect("it starts");
    stage.hear();
    stage.hear();
    let waiting = stage.bridge("", stage.makefile(4)).spawn().expect("it starts");
    stage.wait_until("it waits", |status| status.waiters.iter().any(|waiter| waiter.label.ends_with(": implicit)")));
    kill_process(pid(waiting.id()), Signal::TERM).expect("it is there");
    assert!([-15, 143].contains(&finish(waiting).status));
    kill_process(pid(build.id()), Signal::TERM).expect("it is there");
    let ran = finish(build);
    assert!([2, -15, 143].contains(&ran.status), "{ran:?}");
    let status = stage.status();
    assert_eq!((status.used, status.waiters.len()), (0, 0));
}

#[test]
fn a_build_whose_own_permit_is_revoked_is_ended() {
    let mut stage = Stage::new();
    let build = stage.bridge("--limit 2", stage.makefile(4)).spawn().expect("it starts");
    stage.hear();
    let semaphore = stage.semaphore(2);
    let implicit = semaphore.status().expect("it can be seen").holders[0].id;
    semaphore.revoke(implicit, "a test").expect("it works");
    let ran = finish(build);
    assert_eq!(ran.status, 120, "{}", ran.err);
    assert!(ran.err.contains("was revoked"), "{}", ran.err);
    assert_eq!(stage.status().used, 0);
}

#[test]
fn a_build_goes_its_way_where_nobody_can_be_told_anything() {
    let mut stage = Stage::new();
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a full device");
    let build = stage.bridge("--limit 2", stage.makefile(4)).stderr(full).spawn().expect("it starts");
    stage.hear();
    let semaphore = stage.semaphore(2);
    let implicit = semaphore.status().expect("it can be seen").holders[0].id;
    semaphore.revoke(implicit, "a test").expect("it works");
    assert_eq!(finish(build).status, 120);
    assert_eq!(stage.status().used, 0);
}
