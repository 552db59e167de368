//! What the command finds, and what is told of it afterwards.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::stage::{Stage, finish, run, start};

const PRINT: &str = "echo \"$GATEPOST_SEM|$GATEPOST_PERMIT|$GATEPOST_SLOTS|$GATEPOST_FENCE|${GATEPOST_DEADLINE-none}\"";

#[test]
fn the_environment_names_the_permits() {
    let mut stage = Stage::new();
    stage.make("s", 4);
    let ran = run(stage.run_sh("--sem s=2", PRINT).env("GATEPOST_DEADLINE", "of another scope"));
    let words: Vec<_> = ran.out.trim_end().split('|').collect();
    let &[name, permit, slots, fence, deadline] = words.as_slice() else { panic!("{ran:?}") };
    assert_eq!((name, slots, deadline), ("s", "0,1", "none"));
    assert!(
        permit.starts_with("s:") && fence.split(',').all(|epoch| epoch.parse::<u64>().is_ok_and(|epoch| epoch > 0))
    );

    let holder = stage.hold("s", 1);
    let ran = run(&mut stage.run_sh("--sem s --sem t=2 --limit t=2", PRINT));
    assert!(ran.out.starts_with("s t|s:") && ran.out.contains("|1 0,1|"), "{ran:?}");
    assert_eq!(stage.let_finish(holder).status, 0);
}

#[test]
fn a_run_inside_of_a_run_of_the_same_is_an_error_with_a_hint() {
    let stage = Stage::new();
    stage.make("s", 4);
    stage.make("t", 4);
    let inner = |options: &str| format!("$GATEPOST run --sem s {options} -- echo inner; echo $?");
    let ran = run(&mut stage.run_sh("--sem s", &inner("")));
    assert_eq!(ran.out, "64\n");
    assert!(ran.err.contains("\"s\"") && ran.err.contains("--reenter"), "{ran:?}");
    let between = format!("$GATEPOST run --sem t -- sh -c '{}'", inner(""));
    assert_eq!(run(&mut stage.run_sh("--sem s", &between)).out, "64\n", "with another one between");
    assert_eq!(run(&mut stage.run_sh("--sem t", &inner(""))).out, "inner\n0\n", "of another one");
    // By its path it is the same one.
    let by_path = format!("$GATEPOST run --sem {} -- echo inner; echo $?", stage.path("s.gate").display());
    assert_eq!(run(&mut stage.run_sh("--sem s", &by_path)).out, "64\n");
}

#[test]
fn to_reenter_is_to_use_the_permits_around() {
    let stage = Stage::new();
    stage.make("s", 1);
    let ran =
        run(&mut stage.run_sh("--sem s", "$GATEPOST run --sem s --reenter -- echo inner $GATEPOST_PERMIT; echo $?"));
    assert!(ran.out.starts_with("inner s:") && ran.out.ends_with("\n0\n"), "with a limit of 1: {ran:?}");
    let ran = run(&mut stage.run_sh("--sem s", "$GATEPOST run --sem s=2 --reenter -- echo inner; echo $?"));
    assert_eq!(ran.out, "64\n");
    assert!(ran.err.contains("holds 1 permits") && ran.err.contains("asks for 2"), "{ran:?}");
}

#[test]
fn an_old_environment_is_no_run_around() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let child = start(&mut stage.run_sh("--sem s", "echo $GATEPOST_HELD > said; read _ < go"));
    let held = stage.hear();
    assert!(
        held.starts_with(stage.path("s.gate").canonicalize().expect("it is there").to_str().expect("text")),
        "{held}"
    );
    assert_eq!(stage.let_finish(child).status, 0);
    let ran = run(stage.gatepost("run --sem s -- echo alone").env("GATEPOST_HELD", held));
    assert_eq!((ran.status, ran.out.as_str()), (0, "alone\n"));
}

#[test]
fn gpus_are_slots_that_nobody_else_has() {
    let mut stage = Stage::new();
    stage.make("gpu", 3);
    let gpus = "echo $CUDA_VISIBLE_DEVICES > said; read _ < go";
    let first = start(&mut stage.run_sh("--sem gpu --gpu", gpus));
    assert_eq!(stage.hear(), "0");
    let second = start(&mut stage.run_sh("--sem gpu=2 --sem cpu --limit cpu=9 --gpu=gpu", gpus));
    assert_eq!(stage.hear(), "1,2");
    stage.release();
    stage.release();
    assert!([first, second].into_iter().all(|child| finish(child).status == 0));

    stage.complete("run --sem gpu --sem cpu --gpu -- true").says(64, &["--gpu="]);
    stage.complete("run --sem gpu --gpu=cpu -- true").says(64, &["--gpu=cpu"]);
    let ran = run(&mut stage.run_sh("--sem gpu", "echo ${CUDA_VISIBLE_DEVICES-unset}"));
    assert_eq!(ran.out, "unset\n");
    stage.complete("run --sem many --limit 5000 --gpu -- true").says(64, &["\"many\"", "no slots"]);
    stage.complete("run --sem many --slots -- true").says(64, &["no slots"]);
    stage.is_untouched("many");
}

fn report(path: &std::path::Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("a report")).expect("JSON")
}

#[test]
fn the_report_tells_what_the_status_cannot() {
    let mut stage = Stage::new();
    stage.make("s", 2);
    let path = stage.path("report");
    let options = "--sem s=2 --report report";
    assert_eq!(run(&mut stage.run_sh(options, "exit 124")).status, 124);
    let told = report(&path);
    let expected =
        [("schema", json!("gatepost/1")), ("outcome", json!("exit")), ("status", json!(124)), ("exit", json!(124))];
    for (key, value) in expected {
        assert_eq!(told[key], value, "{told}");
    }
    assert_eq!((&told["signal"], &told["lost"], &told["error"]), (&Value::Null, &Value::Null, &Value::Null));
    assert!(told["waited_ns"].as_u64().is_some() && told["held_ns"].as_u64().is_some_and(|time| time > 0), "{told}");
    let permit = &told["permits"][0];
    assert_eq!((&permit["semaphore"], &permit["permits"], &permit["slots"]), (&json!("s"), &json!(2), &json!([0, 1])));
    assert!(permit["id"].is_u64() && permit["epochs"][1].is_u64() && permit["path"].is_string(), "{told}");

    run(&mut stage.run_sh(options, "kill -KILL $$"));
    let told = report(&path);
    assert_eq!((&told["outcome"], &told["signal"], &told["status"]), (&json!("signal"), &json!(9), &json!(137)));

    let holder = stage.hold("s", 1);
    stage.complete(&format!("run {options} --no-wait -E 3 -- true")).says(3, &[]);
    let told = report(&path);
    assert_eq!((&told["outcome"], &told["status"], &told["permits"]), (&json!("busy"), &json!(3), &json!([])));
    stage.complete(&format!("run {options} --timeout 10ms -- true")).says(124, &[]);
    assert_eq!(report(&path)["outcome"], "timeout");
    assert_eq!(stage.let_finish(holder).status, 0);

    stage.complete(&format!("run {options} -- no-such-command")).says(127, &[]);
    assert_eq!(report(&path)["outcome"], "not-found");
    stage.complete(&format!("run {options} --limit 5 -- true")).says(64, &[]);
    let told = report(&path);
    assert!(
        told["outcome"] == "failed" && told["error"].as_str().is_some_and(|error| error.contains("limit 2")),
        "{told}"
    );

    let child = start(&mut stage.run_sh(options, "echo $GATEPOST_PERMIT > said; exec sleep 1000"));
    let permit = stage.hear();
    stage.complete(&format!("revoke {permit}")).says(0, &[]);
    assert_eq!(finish(child).status, 120);
    let told = report(&path);
    assert_eq!((&told["outcome"], &told["lost"], &told["signal"]), (&json!("lost"), &json!(permit), &json!(15)));
}

#[test]
fn a_path_that_is_no_unicode_is_told_as_well_as_it_can_be() {
    use std::os::unix::ffi::OsStrExt;
    let stage = Stage::new();
    let odd = stage.path("").join(std::ffi::OsStr::from_bytes(b"x\xFFy"));
    let ran = run(stage.gatepost("run --sem s --limit 1 --report report -- true").env("GATEPOST_DIR", odd));
    ran.says(0, &[]);
    let told = report(&stage.path("report"));
    assert!(told["permits"][0]["path"].as_str().is_some_and(|path| path.contains("x\u{FFFD}y/s.gate")), "{told}");
}

#[test]
fn the_report_may_go_to_a_descriptor() {
    let stage = Stage::new();
    let script = "$GATEPOST run --sem s --limit 1 --report 5 -- echo from the command 5>&1 | cat; echo >&2";
    let ran = run(stage.shell(script).stderr(Stdio::piped()));
    let mut lines = ran.out.lines();
    assert_eq!(lines.next(), Some("from the command"));
    let told: Value = serde_json::from_str(lines.next().expect("a report")).expect("JSON");
    assert_eq!(told["outcome"], "exit");
}

#[test]
fn the_report_may_go_to_a_socket_and_not_where_nothing_can_be_written() {
    use std::io::Read;
    let stage = Stage::new();
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let mut command = stage.shell("$GATEPOST run --sem s --limit 1 --report 0 -- true");
    let ran = run(command.stdin(std::os::fd::OwnedFd::from(theirs)));
    ran.says(0, &[]);
    drop(command);
    let mut text = String::new();
    ours.read_to_string(&mut text).expect("text");
    let told: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(told["outcome"], "exit");
    for (number, why) in [("0", "reading only"), ("999", "Bad file descriptor")] {
        stage.complete(&format!("run --sem s --report {number} -- touch ran")).says(125, &["report", why]);
        assert!(!stage.path("ran").exists(), "it is known before anything runs");
    }
}

#[test]
fn the_label_is_the_command_or_what_it_is_called() {
    let mut stage = Stage::new();
    stage.make("s", 2);
    let plain = stage.hold("s", 1);
    let named = start(&mut stage.run_sh("--sem s --label nightly", "echo > said; read _ < go"));
    stage.hear();
    let labels: Vec<_> = stage.status("s").holders.into_iter().map(|holder| holder.label).collect();
    assert_eq!(labels, ["sh -c echo holds > said; read _ < go", "nightly"]);
    stage.release();
    assert_eq!(stage.let_finish(plain).status, 0);
    assert_eq!(finish(named).status, 0);
}

#[test]
fn standard_streams_are_the_commands_own() {
    let stage = Stage::new();
    let ran = run(&mut stage
        .shell("echo typed | $GATEPOST run --sem s --limit 1 -- cat; $GATEPOST run --sem s -- sh -c 'echo e >&2'"));
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("typed\n", "e\n"));
}
