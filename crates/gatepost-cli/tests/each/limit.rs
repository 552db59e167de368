//! The limit: as many jobs as allowed, and never one more.

use std::process::{Command, Stdio};

use crate::stage::{Stage, finish, lines_of, run, sh, up_to, words};

#[test]
fn as_many_jobs_run_at_one_time_as_the_limit_allows() {
    let mut stage = Stage::new();
    let script = "echo {} > said; read _ < go";
    let child = stage.start(sh("--limit 3", script, "a b c d"));
    assert_eq!(stage.hear_sorted(3), ["a", "b", "c"], "all three are there at once, for none was let go");
    stage.release(1);
    assert_eq!(stage.hear(), "d", "and the fourth takes the place of the first to end");
    stage.release(3);
    let ran = finish(child);
    assert_eq!(ran.status, 0);
    assert!(ran.err.contains("at most 3 of 3 permits in use"), "{}", ran.err);
}

#[test]
fn never_do_more_jobs_run_than_the_limit_allows() {
    let stage = Stage::new();
    // A job that finds all three places taken is one too many.
    let script = "for n in 1 2 3; do mkdir place$n 2>&- && { echo $n; rmdir place$n; exit; }; done; exit 1";
    let ran = finish(stage.start(sh("--limit 3", script, &up_to(200))));
    assert_eq!((ran.status, ran.text().lines().count()), (0, 200), "{}", ran.err);
}

#[test]
fn a_limit_of_one_is_one_after_the_other() {
    let stage = Stage::new();
    let script = "echo start {} >> events; echo end {} >> events";
    let ran = finish(stage.start(sh("--limit 1", script, "a b")));
    assert_eq!(ran.status, 0);
    assert_eq!(lines_of(&stage.path("events")), ["start a", "end a", "start b", "end b"]);
}

#[test]
fn far_more_jobs_than_open_files_at_one_time() {
    let mut stage = Stage::new();
    let script = "echo {} > said; read _ < go";
    let each = stage.each(sh("-q --limit 400", script, &up_to(400)));
    // 1024 open files are the usual bound, which we may raise; each job needs six while it starts.
    let mut command = Command::new("prlimit");
    command.arg("--nofile=1024:").arg(each.get_program()).args(each.get_args());
    command.current_dir(stage.path("")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("prlimit is there");
    stage.hear_sorted(400);
    stage.release(400);
    assert_eq!(finish(child).status, 0);
}

#[test]
fn a_limit_must_let_something_run() {
    run(words("--limit 0 -- true ::: a")).refuses(&["limit of 0", "at least 1", "leave --limit out"]);
    run(words("--limit -3 -- true ::: a")).refuses(&["whole number"]);
    run(words("--limit lots -- true ::: a")).refuses(&["whole number"]);
    run(words("--limit 18446744073709551615 -- true ::: a")).refuses(&["greatest limit"]);
}

#[test]
fn without_a_limit_it_is_the_number_of_cpus() {
    let cpus = std::thread::available_parallelism().expect("the system tells").get();
    let ran = run(words("-- true ::: a"));
    assert!(ran.err.contains(&format!("at most 1 of {cpus} permits")), "{}", ran.err);
}
