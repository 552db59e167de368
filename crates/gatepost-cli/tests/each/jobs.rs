//! What a job finds around it, how long it may take, and how often it is tried.

use std::time::Instant;

use rustix::event::PollFlags;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::stage::{PATIENCE, Stage, finish, is_ready, lines_of, run, run_on, send, sh, sh_each, words};

#[test]
fn a_job_reads_dev_null() {
    let ran = run_on(b"item\nother\n", sh_each("-k", "readlink /proc/self/fd/0; cat"));
    assert_eq!((ran.status, ran.text()), (0, "/dev/null\n/dev/null\n"));
}

#[test]
fn a_job_leads_a_process_group_of_its_own() {
    let ran = run(sh("", "echo $$ $(cut -d' ' -f5 /proc/$$/stat)", "a"));
    let mut numbers = ran.text().split_whitespace();
    assert_eq!((numbers.next(), ran.status), (numbers.next(), 0), "{}", ran.text());
}

#[test]
fn a_job_finds_its_number_and_weight_in_the_environment() {
    let script = "echo $GATEPOST_JOB of weight $GATEPOST_WEIGHT";
    let ran = run_on(b"2\n1\n", sh_each("-k --limit 2 --weigh column:1", script));
    assert_eq!(ran.text(), "1 of weight 2\n2 of weight 1\n");
}

#[test]
fn a_job_that_takes_too_long_is_ended() {
    let begun = Instant::now();
    let ran = run(words("--timeout 100ms -- sleep ::: 1000"));
    assert_eq!(ran.status, 124);
    assert!(begun.elapsed() < PATIENCE);
    assert!(ran.err.contains("item 1 (\"1000\"): took longer than --timeout"), "{}", ran.err);
}

#[test]
fn a_job_that_is_quick_enough_is_not() {
    assert_eq!(run(words("--timeout 1h -- true ::: a")).status, 0);
}

#[test]
fn a_job_that_does_not_heed_its_end_is_killed() {
    let stubborn = "trap '' TERM; echo before; while :; do sleep 1000; done";
    let ran = run(sh("--timeout 1s --kill-after 100ms", stubborn, "a"));
    assert_eq!((ran.status, ran.text()), (124, "before\n"), "what it wrote before is not lost");
}

#[test]
fn the_whole_process_group_of_a_job_is_ended() {
    let mut stage = Stage::new();
    let child = stage.start(sh("", "sleep 1000 & echo $! > said; wait", "a"));
    let grandchild = stage.hear().parse().ok().and_then(Pid::from_raw).expect("its process number");
    let grandchild = pidfd_open(grandchild, PidfdFlags::empty()).expect("it is there");
    send(&child, Signal::TERM);
    assert_eq!(finish(child).status, 143);
    assert!(is_ready(&grandchild, PollFlags::IN, PATIENCE), "it goes on");
}

#[test]
fn a_time_out_counts_for_each_attempt() {
    let stage = Stage::new();
    let script = "echo >> tries; [ $(wc -l < tries) = 2 ] || exec sleep 1000; echo done";
    let ran = finish(stage.start(sh("--timeout 2s --retries 1", script, "a")));
    assert_eq!((ran.status, ran.text()), (0, "done\n"));
}

#[test]
fn a_failed_job_is_tried_again_and_the_last_output_printed() {
    let stage = Stage::new();
    let script = "echo >> tries; n=$(wc -l < tries); echo try $n; exit $((3 - n))";
    let ran = finish(stage.start(sh("--retries 5", script, "a")));
    assert_eq!((ran.status, ran.text()), (0, "try 3\n"), "{}", ran.err);
    assert!(ran.err.contains("1 job, 0 failed"), "{}", ran.err);
}

#[test]
fn retries_come_to_an_end() {
    let stage = Stage::new();
    let script = "echo >> tries; exit 7";
    let ran = finish(stage.start(sh("--retries 2", script, "a")));
    assert_eq!((ran.status, lines_of(&stage.path("tries")).len()), (1, 3));
    assert!(ran.err.contains("exited with status 7"), "{}", ran.err);
}

#[test]
fn what_a_job_leaves_running_does_not_hold_it_up() {
    let ran = run(sh("", "sleep 1000 & echo $!", "a"));
    let left: i32 = ran.text().trim().parse().expect("its process number, written before");
    let pid = Pid::from_raw(left).expect("a number of a process");
    assert_eq!((ran.status, kill_process(pid, Signal::KILL)), (0, Ok(())), "it runs on, and was not waited for");
}

#[test]
fn a_job_that_closes_its_output_is_still_waited_for() {
    let mut stage = Stage::new();
    let child = stage.start(sh("", "exec >&- 2>&-; echo > said; read _ < go; exit 3", "a"));
    stage.hear();
    stage.release(1);
    let ran = finish(child);
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("exited with status 3"), "{}", ran.err);
}
