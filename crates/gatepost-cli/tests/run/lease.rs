//! `acquire` and `release`, for scripts.

use crate::stage::{Stage, finish, run, start};

#[test]
fn a_script_holds_a_permit_between_two_commands() {
    let mut stage = Stage::new();
    let script = "permit=$($GATEPOST acquire s --limit 1 --ttl 1h) || exit; echo $permit > said; read _ < go; \
                  $GATEPOST release $permit; echo $?; $GATEPOST release $permit; echo $?";
    let child = start(&mut stage.shell(script));
    let permit = stage.hear();
    assert!(permit.strip_prefix("s:").is_some_and(|id| id.parse::<u64>().is_ok()), "{permit}");
    let holder = stage.status("s").holders.remove(0);
    assert_eq!(holder.keep.map(|keep| keep.pid), Some(child.id()), "the shell keeps it");
    assert!(holder.expires.is_some());
    stage.complete("run --sem s --no-wait -- true").says(75, &[]);
    let ran = stage.let_finish(child);
    assert_eq!(ran.out, "0\n0\n", "twice is once, and no error");
    assert_eq!(ran.err, format!("gatepost: the permit {permit} was gone already\n"));
    stage.is_untouched("s");
}

#[test]
fn a_script_that_dies_gives_its_permit_back() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    for acquire in ["$GATEPOST acquire s --ttl 1h", "echo $($GATEPOST acquire s --ttl 1h || echo no; true)"] {
        let mut script = start(&mut stage.shell(&format!("{acquire} > said; read _ < go")));
        assert!(stage.hear().starts_with("s:"));
        stage.complete("run --sem s --no-wait -- true").says(75, &[]);
        script.kill().expect("it is there");
        script.wait().expect("it ends");
        stage.complete("run --sem s --timeout 60 -- true").says(0, &[]);
    }
}

#[test]
fn time_ends_a_permit_under_a_script_that_goes_on() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let script = start(&mut stage.shell("$GATEPOST acquire s --ttl 100ms > said; read _ < go"));
    stage.hear();
    stage.complete("run --sem s --timeout 60 -- true").says(0, &[]);
    assert_eq!(stage.let_finish(script).status, 0);
}

#[test]
fn another_process_may_keep_it() {
    let mut stage = Stage::new();
    stage.make("s", 2);
    let mut keeper = start(&mut stage.shell("echo > said; read _ < go"));
    stage.hear();
    let acquired = stage.complete(&format!("acquire s --ttl 1h --permits 2 --label mine --keep {}", keeper.id()));
    assert_eq!(acquired.status, 0, "{acquired:?}");
    let holder = stage.status("s").holders.remove(0);
    assert_eq!((holder.permits, holder.label.as_str()), (2, "mine"));
    stage.complete("run --sem s --no-wait -- true").says(75, &[]);
    keeper.kill().expect("it is there");
    keeper.wait().expect("it ends");
    stage.complete("run --sem s --timeout 60 -- true").says(0, &[]);
}

#[test]
fn a_process_that_is_not_there_keeps_nothing() {
    let stage = Stage::new();
    stage.make("s", 1);
    let mut ended = start(&mut stage.shell("exit"));
    // Not waited for, it still has its number, and has ended.
    stage.until_ended(&ended);
    for pid in [ended.id(), 0, u32::MAX] {
        let acquired = stage.complete(&format!("acquire s --ttl 1h --keep {pid}"));
        acquired.says(64, &[&format!("process {pid} "), "--keep"]);
        assert_eq!(acquired.out, "", "it is not told a name of what is not held");
        assert_eq!(stage.status("s").used, 0);
    }
    ended.wait().expect("it is ours");
}

#[test]
fn the_statuses_are_those_of_run() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let holder = stage.hold("s", 1);
    stage.complete("acquire s --ttl 1h --no-wait").says(75, &["busy"]);
    stage.complete("acquire s --ttl 1h --timeout 10ms").says(124, &["waited"]);
    stage.complete("acquire s --ttl 1h --timeout 10ms -E 4").says(4, &["waited"]);
    stage.complete("acquire s --ttl 1h --limit 2").says(64, &["limit 1", "ask for 2"]);
    assert_eq!(stage.let_finish(holder).status, 0);
    stage.is_untouched("s");
}

#[test]
fn a_name_that_nobody_can_be_told_is_given_back() {
    let stage = Stage::new();
    stage.make("s", 1);
    run(&mut stage.shell("$GATEPOST acquire s --ttl 1h > /dev/full")).says(125, &["cannot write"]);
    assert_eq!(stage.status("s").used, 0);
}

#[test]
fn to_release_what_never_was_is_no_error() {
    let stage = Stage::new();
    stage.make("s", 1);
    stage.complete("release s:987654").says(0, &["s:987654", "gone already"]);
    // But a name that there is not is a slip of the hand.
    for line in ["release nothing:7", "revoke nothing:7"] {
        stage.complete(line).says(64, &["no semaphore \"nothing\"", "nothing:7", "gatepost list"]);
    }
    stage.complete("release s").says(64, &["NAME:NUMBER"]);
}

#[test]
fn a_semaphore_is_named_by_its_path_as_well() {
    let stage = Stage::new();
    let acquired = stage.complete("acquire ./own.gate --limit 1 --ttl 1h");
    assert!(acquired.out.starts_with("./own.gate:"), "{acquired:?}");
    let child = start(&mut stage.gatepost(&format!("release {}", acquired.out.trim_end())));
    finish(child).says(0, &[]);
    assert_eq!(stage.status(stage.path("own.gate").to_str().expect("text")).used, 0);
}

#[test]
fn what_a_running_command_uses_is_not_released() {
    let mut stage = Stage::new();
    stage.make("s", 2);
    for options in ["--sem s", "--sem s --exec"] {
        let mut script = start(&mut stage.shell("$GATEPOST acquire s --ttl 1h > said; read _ < go"));
        let left = stage.hear();
        let child = start(&mut stage.run_sh(options, "echo holds > said; read _ < go"));
        assert_eq!(stage.hear(), "holds");
        let id = stage.status("s").holders[1].id;
        let hint = format!("gatepost revoke s:{id}");
        stage.complete(&format!("release {left} s:{id}")).says(64, &[&hint, "nothing was released"]);
        assert_eq!(stage.status("s").used, 2, "neither of them");
        stage.complete(&format!("release {left}")).says(0, &[]);
        assert_eq!(stage.status("s").used, 1);
        script.kill().expect("it is there");
        script.wait().expect("it ends");
        assert_eq!(stage.let_finish(child).status, 0);
        stage.is_untouched("s");
    }
}

#[test]
fn inside_of_a_run_of_the_same_it_is_an_error_with_a_hint() {
    let stage = Stage::new();
    stage.make("s", 1);
    stage.make("t", 1);
    let ran = run(&mut stage.run_sh("--sem s", "$GATEPOST acquire s --ttl 5; echo $?"));
    assert_eq!(ran.out, "64\n");
    assert!(ran.err.contains("\"s\"") && ran.err.contains("another semaphore"), "{ran:?}");
    let ran = run(&mut stage.run_sh("--sem s", "$GATEPOST acquire t --ttl 5"));
    assert!(ran.status == 0 && ran.out.starts_with("t:"), "of another one: {ran:?}");
}

#[test]
fn the_session_is_called_gatepost_and_the_permit_as_what_uses_it() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let child = stage.hold("s", 1);
    // Where it waits, its session is there for certain.
    let script = start(&mut stage.shell("$GATEPOST acquire s --ttl 1h; exit"));
    stage.until_waiting("s", 1);
    let status = stage.status("s");
    let (holder, waiter) = (&status.holders[0], &status.waiters[0]);
    assert_eq!((holder.session.name.as_str(), waiter.session.name.as_str()), ("gatepost", "gatepost"));
    assert!(holder.label.starts_with("sh -c ") && waiter.label == "sh", "{status:?}");
    assert_eq!(stage.let_finish(child).status, 0);
    finish(script).says(0, &[]);
}
