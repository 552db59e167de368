//! Whoever is killed: a permit is held as long as its command runs, and not longer.

use rustix::process::Signal;

use crate::stage::{Seen, Stage, finish, run, send, start};

/// The command that the tests leave behind, which says its number.
const COMMAND: &str = "echo $$ > said; exec sleep 1000";

#[test]
fn a_wrapper_that_is_killed_frees_nothing_under_a_command_that_runs() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    for options in ["--sem s", "--sem s --hold tree"] {
        let mut wrapper = start(&mut stage.run_sh(options, COMMAND));
        let command = Seen::new(&stage.hear());
        wrapper.kill().expect("it is there");
        wrapper.wait().expect("it ends");
        assert!(command.is_there());
        stage.complete("run --sem s --no-wait -- true").says(75, &["1 of 1 in use"]);
        let waiter = start(&mut stage.run_sh("--sem s", "echo mine > said"));
        stage.until_waiting("s", 1);
        assert!(stage.is_silent());
        // It is free when the command has ended, without anybody's help.
        command.kill();
        assert_eq!(stage.hear(), "mine");
        assert_eq!(finish(waiter).status, 0);
        stage.is_untouched("s");
    }
}

#[test]
fn a_wrapper_and_a_command_that_are_killed_leave_nothing() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let mut wrapper = start(&mut stage.run_sh("--sem s", COMMAND));
    let command = Seen::new(&stage.hear());
    wrapper.kill().expect("it is there");
    command.kill();
    wrapper.wait().expect("it ends");
    stage.complete("run --sem s --timeout 60 -- true").says(0, &[]);
}

#[test]
fn what_a_command_leaves_in_the_background_holds_nothing_unless_the_tree_does() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let script = "sh -c 'echo $$ > said; exec sleep 1000' > /dev/null 2>&1 & exit 3";
    let wrapper = start(&mut stage.run_sh("--sem s", script));
    let left = Seen::new(&stage.hear());
    assert_eq!(finish(wrapper).status, 3);
    stage.complete("run --sem s --no-wait -- true").says(0, &[]);
    assert!(left.is_there());
    left.kill();

    let mut wrapper = start(&mut stage.run_sh("--sem s --hold tree", &script.replace("sh -c", "setsid sh -c")));
    let left = Seen::new(&stage.hear());
    stage.complete("run --sem s --no-wait -- true").says(75, &[]);
    assert!(wrapper.try_wait().expect("it can be asked").is_none(), "it waits for what was left");
    left.kill();
    assert_eq!(finish(wrapper).status, 3);
    stage.complete("run --sem s --no-wait -- true").says(0, &[]);
}

#[test]
fn with_tree_the_kernel_holds_on_for_what_is_left_when_the_wrapper_is_killed() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let script = "setsid sh -c 'echo $$ > said; exec sleep 1000' & echo $$ > said; wait";
    let mut wrapper = start(&mut stage.run_sh("--sem s --hold tree", script));
    let both = [Seen::new(&stage.hear()), Seen::new(&stage.hear())];
    let keeper = stage.status("s").holders[0].keep.expect("the command").pid;
    wrapper.kill().expect("it is there");
    wrapper.wait().expect("it ends");
    let (command, left): (Vec<_>, Vec<_>) =
        both.into_iter().partition(|seen| seen.pid.as_raw_nonzero().get().unsigned_abs() == keeper);
    command[0].kill();
    command[0].ends();
    stage.complete("run --sem s --no-wait -- true").says(75, &[]);
    left[0].kill();
    left[0].ends();
    stage.complete("run --sem s --timeout 60 -- true").says(0, &[]);
}

#[test]
fn exec_leaves_no_wrapper_and_the_permit_with_the_command() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let mut command =
        start(&mut stage.run_sh("--exec --sem s", "echo $$ $GATEPOST_PERMIT > said; read _ < go; exit 5"));
    let said = stage.hear();
    let (pid, permit) = said.split_once(' ').expect("both");
    assert_eq!(pid, command.id().to_string(), "it is our process");
    assert_eq!(permit, format!("s:{}", stage.status("s").holders[0].id));
    stage.complete("run --sem s --no-wait -- true").says(75, &[]);
    stage.release();
    assert_eq!(command.wait().expect("it ends").code(), Some(5));
    stage.complete("run --sem s --timeout 60 -- true").says(0, &[]);

    // What it leaves behind has inherited the lock.
    let script = "setsid sh -c 'echo $$ > said; exec sleep 1000' > /dev/null 2>&1 & exit 0";
    assert_eq!(run(&mut stage.run_sh("--exec --sem s", script)).status, 0);
    let left = Seen::new(&stage.hear());
    stage.complete("run --sem s --no-wait -- true").says(75, &[]);
    left.kill();
    stage.complete("run --sem s --timeout 60 -- true").says(0, &[]);
}

#[test]
fn a_command_can_die_with_its_wrapper() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let mut wrapper = start(&mut stage.run_sh("--sem s --die-with-parent", COMMAND));
    let command = Seen::new(&stage.hear());
    wrapper.kill().expect("it is there");
    wrapper.wait().expect("it ends");
    command.ends();
    stage.complete("run --sem s --timeout 60 -- true").says(0, &[]);
}

#[test]
fn a_wrapper_that_is_stopped_holds_on() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let wrapper = stage.hold("s", 1);
    send(&wrapper, Signal::STOP);
    stage.complete("run --sem s --no-wait -- true").says(75, &[]);
    send(&wrapper, Signal::CONT);
    assert_eq!(stage.let_finish(wrapper).status, 0);
    stage.is_untouched("s");
}

#[test]
fn wrappers_killed_at_any_moment_leave_no_command_without_a_permit() {
    let stage = Stage::new();
    stage.make("s", 1);
    // The command takes a lock for as long as it runs: two at one time would be seen. The wrapper is killed at moments that
    // are spread over its start.
    let script = "mkdir busy || echo twice >> wrong; rmdir busy || echo gone >> wrong";
    for round in 0..60u32 {
        let mut wrapper = start(&mut stage.run_sh("--sem s --timeout 60", script));
        for _ in 0..round * 40 {
            std::thread::yield_now();
        }
        let _ = wrapper.kill();
        wrapper.wait().expect("it ends");
        assert!(!stage.path("wrong").exists(), "in round {round}");
    }
    stage.complete("run --sem s --timeout 60 -- true").says(0, &[]);
    stage.is_untouched("s");
}
