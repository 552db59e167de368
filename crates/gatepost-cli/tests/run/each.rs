//! `gatepost each --sem`: its jobs hold permits of the machine, too.

use rustix::process::Signal;

use crate::stage::{Seen, Stage, finish, run, send, start};

/// `each` with these options, of `script` for each of `items`.
fn each(stage: &Stage, options: &str, script: &str, items: &str) -> std::process::Command {
    let mut command = stage.gatepost(&format!("each {options} -- sh -c"));
    command.arg(script).arg(":::").args(items.split_whitespace());
    command
}

#[test]
fn two_runs_together_keep_the_limit() {
    let stage = Stage::new();
    stage.make("s", 1);
    // With a limit of 1 nobody ever finds the folder there.
    let script = "mkdir busy && rmdir busy";
    let start = || start(&mut each(&stage, "--limit 4 --sem s", script, &"x ".repeat(40)));
    for child in [start(), start()] {
        let ran = finish(child);
        assert_eq!(ran.status, 0, "{ran:?}");
    }
    assert!(stage.status("s").statistics.acquired >= 80);
    stage.is_untouched("s");
}

#[test]
fn a_job_takes_its_weight_and_is_named() {
    let mut stage = Stage::new();
    let mut command = stage.gatepost("each --sem s --sem-limit 9 --limit 9 --weigh column:1 -- sh -c");
    let script = "echo $$ $GATEPOST_PERMIT > said; read _ < go";
    let child = start(command.arg(script).args(["sh", "{}", ":::", "3"]));
    let said = stage.hear();
    let holder = stage.status("s").holders.remove(0);
    assert_eq!(said, format!("{} s:{}", holder.keep.expect("the job").pid, holder.id));
    assert!(holder.permits == 3 && holder.label.starts_with("sh -c echo"), "{holder:?}");
    assert_eq!(stage.let_finish(child).status, 0);
    run(&mut each(&stage, "--sem s --sem-limit 4", "true", "x")).says(64, &["limit 9", "ask for 4"]);
    run(&mut each(&stage, "--sem t", "true", "x")).says(64, &["no semaphore \"t\""]);
}

#[test]
fn a_job_that_is_too_heavy_for_the_machine_ends_the_run() {
    let stage = Stage::new();
    stage.make("s", 2);
    let mut command = stage.gatepost("each --sem s --limit 9 --weigh column:1 -- echo ::: 3");
    run(&mut command).says(125, &["3 permits", "limit of 2"]);
}

#[test]
fn each_that_is_killed_frees_nothing_under_its_jobs() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let mut child = start(&mut each(&stage, "--sem s", "echo $$ > said; exec sleep 1000", "x"));
    let job = Seen::new(&stage.hear());
    child.kill().expect("it is there");
    child.wait().expect("it ends");
    stage.complete("run --sem s --no-wait -- true").says(75, &[]);
    job.kill();
    stage.complete("run --sem s --timeout 60 -- true").says(0, &[]);
}

#[test]
fn a_signal_ends_a_run_that_waits_for_the_machine() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let holder = stage.hold("s", 1);
    let child = start(&mut each(&stage, "--sem s", "echo ran > said", "x y"));
    stage.until_waiting("s", 1);
    send(&child, Signal::INT);
    assert_eq!(finish(child).status, 130);
    assert!(stage.status("s").waiters.is_empty() && stage.is_silent());
    assert_eq!(stage.let_finish(holder).status, 0);
}

#[test]
fn a_job_whose_permit_is_revoked_is_ended_and_has_failed() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let options = "--sem s --retries 3 --log log";
    let child = start(&mut each(&stage, options, "echo $GATEPOST_PERMIT > said; exec sleep 1000", "x"));
    let permit = stage.hear();
    stage.complete(&format!("revoke {permit}")).says(0, &[]);
    finish(child).says(1, &["lost its permit"]);
    assert!(stage.is_silent(), "it is not run again");
    let log = std::fs::read_to_string(stage.path("log")).expect("a log");
    assert!(log.contains("\"outcome\":\"lost\"") && log.contains("\"status\":120"), "{log}");
}

#[test]
fn a_run_inside_of_a_job_is_noticed() {
    let stage = Stage::new();
    stage.make("s", 2);
    let ran = run(&mut each(&stage, "--sem s", "$GATEPOST run --sem s -- true; echo $?", "x"));
    assert_eq!(ran.out, "64\n", "{ran:?}");
    run(&mut stage.run_sh("--sem s", "$GATEPOST each --sem s -- true ::: x")).says(64, &["--reenter"]);
}
