//! `--halt`: what a failed job means for the others.

use crate::stage::{Stage, finish, next_line, run, sh};

#[test]
fn never_runs_everything() {
    let ran = run(sh("--limit 1", "echo {}; exit {}", "0 1 0 1"));
    assert_eq!((ran.status, ran.text()), (2, "0\n1\n0\n1\n"));
}

#[test]
fn soon_starts_no_more_and_lets_the_running_finish() {
    let mut stage = Stage::new();
    let script = "echo {} > said; [ {} = 1 ] && exit 1; read _ < go; echo {} done";
    let mut child = stage.start(sh("--halt soon --limit 2", script, "0 1 2"));
    assert_eq!(stage.hear_sorted(2), ["0", "1"]);
    let told = next_line(child.stderr.as_mut().expect("a pipe"));
    assert!(told.contains("item 2 (\"1\"): exited with status 1"), "{told}");
    stage.release(1);
    let ran = finish(child);
    assert_eq!((ran.status, ran.text()), (1, "0 done\n"));
    assert!(stage.is_silent(), "no other job was started");
    assert!(ran.err.contains("2 jobs, 1 failed;"), "{}", ran.err);
}

#[test]
fn now_ends_the_running_as_well() {
    let mut stage = Stage::new();
    let script = "echo {} > said; [ {} = 0 ] && exec sleep 1000; read _ < go; exit {}";
    let child = stage.start(sh("--halt now --limit 2", script, "0 1 2 3"));
    assert_eq!(stage.hear_sorted(2), ["0", "1"]);
    stage.release(1);
    let ran = finish(child);
    assert_eq!(ran.status, 1, "the job that was ended with the run is no failure");
    assert!(stage.is_silent(), "no other job was started");
    assert!(ran.err.contains("2 jobs, 1 failed, 1 stopped;"), "{}", ran.err);
}

#[test]
fn now_kills_what_does_not_heed_it() {
    let mut stage = Stage::new();
    let script = "trap '' TERM; echo {} > said; read _ < go; [ {} = 1 ] && exit 1; while :; do sleep 1000; done";
    let child = stage.start(sh("--halt now --kill-after 100ms --limit 2", script, "0 1"));
    stage.hear_sorted(2);
    stage.release(2);
    assert_eq!(finish(child).status, 1);
}

#[test]
fn a_job_that_succeeds_in_the_end_halts_nothing() {
    let stage = Stage::new();
    let script = "echo >> tries; [ $(wc -l < tries) != 1 ]";
    let ran = finish(stage.start(sh("--halt now --retries 1 --limit 1", script, "a b")));
    assert_eq!(ran.status, 0);
    assert!(ran.err.contains("2 jobs, 0 failed"), "{}", ran.err);
}
