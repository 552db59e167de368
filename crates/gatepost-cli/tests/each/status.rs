//! The exit status.

use crate::stage::{run, run_on, sh, words};

fn failures(count: usize) -> i32 {
    run_on("x\n".repeat(count).as_bytes(), words("-q -- false")).status
}

#[test]
fn the_status_counts_failed_jobs() {
    assert_eq!((failures(0), failures(1), failures(3)), (0, 1, 3));
    let ran = run(sh("", "exit {}", "0 9 0 200"));
    assert_eq!(ran.status, 2);
}

#[test]
fn over_a_hundred_is_101() {
    assert_eq!((failures(100), failures(101), failures(130)), (100, 101, 101));
}

#[test]
fn a_job_that_a_signal_ends_has_failed() {
    let ran = run(sh("", "kill -{} $$", "KILL"));
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("item 1 (\"KILL\"): was ended by SIGKILL"), "{}", ran.err);
}

#[test]
fn time_outs_are_124_only_if_all_failures_are() {
    let with = |last: &str| {
        let exec = sh("-q --timeout 1s", "exec {}", "true");
        run([exec, vec!["sleep 1000".to_owned(), last.to_owned()]].concat())
    };
    assert_eq!(with("true").status, 124);
    assert_eq!(with("false").status, 2);
}

#[test]
fn own_failures_are_125() {
    assert_eq!(run(words("--no-such-option -- true")).status, 125);
    assert_eq!(run(words("--timeout soon -- true")).status, 125);
    assert_eq!(run(words("--retries -1 -- true")).status, 125);
    assert_eq!(run(words("--halt sometimes -- true")).status, 125);
    assert_eq!(run(words("")).status, 125);
}

#[test]
fn an_own_failure_outranks_failed_jobs() {
    assert_eq!(run_on(b"1\nx\n", words("--weigh column:1 -- false")).status, 125);
}
