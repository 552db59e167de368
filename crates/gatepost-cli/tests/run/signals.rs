//! Signals to us, and the end of a command whose permit is lost.

use rustix::process::Signal;

use crate::stage::{Seen, Stage, finish, send, start};

#[test]
fn signals_are_passed_on_to_the_group() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let signals = [
        ("INT", Signal::INT),
        ("TERM", Signal::TERM),
        ("HUP", Signal::HUP),
        ("QUIT", Signal::QUIT),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
        ("WINCH", Signal::WINCH),
        ("CONT", Signal::CONT),
    ];
    for (name, signal) in signals {
        // A process that the command started hears it, too.
        let script = format!(
            "trap 'echo outer > said; exit 5' {name}; \
             sh -c \"trap 'echo inner > said; exit' {name}; echo ready > said; while :; do sleep 0.05; done\"; exit 6"
        );
        let child = start(&mut stage.run_sh("--sem s", &script));
        assert_eq!(stage.hear(), "ready");
        send(&child, signal);
        assert_eq!((stage.hear().as_str(), stage.hear().as_str()), ("inner", "outer"), "{name}");
        assert_eq!(finish(child).status, 5, "{name}: the command decides");
    }
    stage.is_untouched("s");
}

#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let mut stage = Stage::new();
    let script =
        "trap '' HUP; exec $GATEPOST run --sem s --limit 1 -- sh -c 'echo ready > said; read _ < go; echo done'";
    let child = start(&mut stage.shell(script));
    assert_eq!(stage.hear(), "ready");
    send(&child, Signal::HUP);
    let ran = stage.let_finish(child);
    assert_eq!((ran.status, ran.out.as_str()), (0, "done\n"), "as `nohup` wants it");
}

#[test]
fn a_mask_that_was_inherited_keeps_nothing_from_being_heard() {
    let mut stage = Stage::new();
    let script = "exec env --block-signal=CHLD,TERM $GATEPOST run --sem s --limit 1 -- \
                  sh -c 'trap \"exit 7\" TERM; echo ready > said; while :; do sleep 0.05; done'";
    let child = start(&mut stage.shell(script));
    assert_eq!(stage.hear(), "ready");
    send(&child, Signal::TERM);
    assert_eq!(finish(child).status, 7, "SIGTERM is passed on, and the end of the command is seen");
}

#[test]
fn a_command_that_is_told_to_end_may_do_so_in_its_own_way() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let script = "trap 'echo cleaned up; exit 3' TERM; echo $GATEPOST_PERMIT > said; while :; do sleep 0.05; done";
    let child = start(&mut stage.run_sh("--sem s --kill-after 1h", script));
    let permit = stage.hear();
    stage.complete(&format!("revoke {permit}")).says(0, &[]);
    let ran = finish(child);
    assert_eq!((ran.status, ran.out.as_str()), (120, "cleaned up\n"));
}

#[test]
fn nobody_needs_to_read_what_we_say() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let mut child = start(&mut stage.run_sh("--sem s", "echo $GATEPOST_PERMIT > said; exec sleep 1000"));
    drop(child.stderr.take());
    let permit = stage.hear();
    stage.complete(&format!("revoke {permit}")).says(0, &[]);
    assert_eq!(finish(child).status, 120);
}

#[test]
fn a_group_that_does_not_end_is_killed() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    // The command itself ends at once; what it started does not heed SIGTERM.
    let script =
        "sh -c \"trap '' TERM; echo \\$\\$ > said; while :; do sleep 1; done\" & echo $GATEPOST_PERMIT > said; wait";
    for (inner_first, options) in [(false, "--kill-after 300ms"), (true, "--kill-after 300ms --hold tree")] {
        let child = start(&mut stage.run_sh(&format!("--sem s {options}"), script));
        let mut said = [stage.hear(), stage.hear()];
        said.sort();
        let [inner, permit] = said;
        let inner = Seen::new(&inner);
        stage.complete(&format!("revoke {permit}")).says(0, &[]);
        assert_eq!(finish(child).status, 120, "{inner_first}");
        inner.ends();
    }
    stage.is_untouched("s");
}

#[test]
fn a_stopped_command_is_told_to_end_as_well() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let child = start(&mut stage.run_sh("--sem s --kill-after 1h", "echo $GATEPOST_PERMIT > said; kill -STOP $$"));
    let permit = stage.hear();
    stage.complete(&format!("revoke {permit}")).says(0, &[]);
    finish(child).says(120, &["revoked"]);
}

#[test]
fn with_tree_what_has_left_the_group_is_killed_as_well() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let script = "setsid sh -c 'trap \"\" TERM; echo $$ > said; while :; do sleep 1; done' & wait";
    let child = start(&mut stage.run_sh("--sem s --kill-after 200ms --hold tree", script));
    let inner = Seen::new(&stage.hear());
    let id = stage.status("s").holders[0].id;
    stage.complete(&format!("revoke s:{id}")).says(0, &[]);
    assert_eq!(finish(child).status, 120);
    inner.ends();
    stage.is_untouched("s");
}
