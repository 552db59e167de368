//! The exit status, line by line of the table.

use std::os::unix::fs::symlink;

use crate::stage::{Stage, finish, run, script, start, words};

#[test]
fn the_commands_own_status_is_passed_on() {
    let stage = Stage::new();
    for status in [0, 1, 7, 120, 124, 255] {
        let ran = run(&mut stage.run_sh("--sem s --limit 1", &format!("exit {status}")));
        assert_eq!((ran.status, ran.err.as_str()), (status, ""));
    }
}

#[test]
fn a_signal_n_that_ended_the_command_is_128_plus_n() {
    let stage = Stage::new();
    for (signal, status) in [("KILL", 137), ("TERM", 143), ("INT", 130)] {
        let ran = run(&mut stage.run_sh("--sem s --limit 1", &format!("kill -{signal} $$")));
        assert_eq!((ran.status, ran.signal), (status, None), "an exit status, not our own death");
    }
}

#[test]
fn what_cannot_be_is_64() {
    let stage = Stage::new();
    stage.make("s", 8);
    stage.complete("run --sem s --limit 4 -- true").says(64, &["limit 8", "ask for 4", "--set-limit"]);
    stage.complete("run --sem t -- true").says(64, &["no semaphore \"t\"", "give a limit"]);
    stage.complete("run --sem s=9 -- true").says(64, &["9 permits", "limit of 8"]);
    stage.complete("run --sem s --sem s=2 -- true").says(64, &["\"s\"", "twice"]);
    stage.complete("run --sem s=1 --permits 2 -- true").says(64, &["--permits 2"]);
    stage.complete("run --sem s --sem t --limit 3 -- true").says(64, &["--limit NAME=3"]);
    stage.complete("run --sem .. --limit 3 -- true").says(64, &["\"..\""]);
    stage.complete("run --sem s --limt 3 -- true").says(64, &["--limt"]);
    stage.complete("run -- true").says(64, &["--sem"]);
    stage.complete("run --sem s").says(64, &["CMD"]);
    stage.complete("run --sem s=0 -- true").says(64, &["at least 1"]);
    stage.complete("run --sem s -E 256 -- true").says(64, &["256"]);
    stage.complete("run --sem s -E -1 -- true").says(64, &["-1"]);
    stage.complete("acquire s").says(64, &["--ttl"]);
}

#[test]
fn set_limit_changes_the_limit_instead() {
    let stage = Stage::new();
    stage.make("s", 8);
    stage.complete("run --sem s --limit 4 --set-limit -- true").says(0, &[]);
    assert_eq!(stage.status("s").limit, 4);
}

#[test]
fn a_file_that_is_no_semaphore_is_69() {
    let stage = Stage::new();
    std::fs::write(stage.path("s.gate"), "this is a letter, not a semaphore".repeat(1000)).expect("written");
    let ran = stage.complete("run --sem s --limit 1 -- true");
    assert!(ran.status == 69 || ran.status == 77, "{ran:?}");
    assert!(ran.err.contains("s.gate"), "{ran:?}");
}

#[test]
fn busy_is_75_and_e_takes_its_place() {
    let mut stage = Stage::new();
    stage.make("s", 2);
    let holder = stage.hold("s", 1);
    stage.complete("run --sem s --no-wait -- true").says(0, &[]);
    stage.complete("run --sem s=2 --no-wait -- true").says(75, &["\"s\" is busy", "1 of 2 in use"]);
    for status in [0, 1, 255] {
        stage.complete(&format!("run --sem s=2 --no-wait -E {status} -- true")).says(status, &["busy"]);
    }
    assert_eq!(stage.let_finish(holder).status, 0);
    stage.is_untouched("s");
}

#[test]
fn a_link_in_place_of_the_file_is_77() {
    let stage = Stage::new();
    stage.make("s", 2);
    symlink(stage.path("s.gate"), stage.path("t.gate")).expect("a link");
    stage.complete("run --sem t -- true").says(77, &["t.gate"]);
}

#[test]
fn a_wait_in_vain_is_124_and_e_takes_its_place() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let holder = stage.hold("s", 1);
    stage.complete("run --sem s --timeout 100ms -- true").says(124, &["waited", "\"s\"", "gatepost status s"]);
    stage.complete("run --sem s --timeout 10ms -E 9 -- true").says(9, &["waited"]);
    assert!(stage.status("s").waiters.is_empty());
    assert_eq!(stage.status("s").statistics.timeouts, 2);
    assert_eq!(stage.let_finish(holder).status, 0);
    let ran = run(&mut stage.run_sh("--sem s -E 9", "exit 124"));
    assert_eq!(ran.status, 124, "the command's own is its own");
}

#[test]
fn what_is_wrong_with_us_is_125() {
    let stage = Stage::new();
    stage.complete("run --sem s --limit 1 --report /no/such/dir/report -- true").says(125, &["report", "descriptor"]);
    stage.complete("run --sem s --limit 1 --report 77 -- true").says(125, &["report \"77\""]);
    assert!(!stage.path("s.gate").exists(), "nothing was begun");
}

#[test]
fn a_command_that_cannot_be_run_is_126_or_127() {
    let stage = Stage::new();
    let path = stage.path("not-executable");
    script(&path, "#!/bin/sh\n", 0o644);
    for how in ["", "--exec "] {
        let mut command = stage.gatepost(&format!("run {how}--sem s --limit 1 --"));
        run(command.arg(&path)).says(126, &["cannot be run", "chmod"]);
        stage
            .complete(&format!("run {how}--sem s --limit 1 -- no-such-command"))
            .says(127, &["no-such-command", "not found"]);
        stage.is_untouched("s");
    }
}

#[test]
fn a_permit_that_is_revoked_is_120() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let child = start(&mut stage.run_sh("--sem s", "echo $GATEPOST_PERMIT > said; exec sleep 1000"));
    let permit = stage.hear();
    let revoked = stage.complete(&format!("revoke {permit}"));
    assert_eq!((revoked.status, revoked.out), (0, format!("{permit} revoked\n")));
    finish(child).says(120, &[&permit, "revoked"]);
    stage.is_untouched("s");
}

#[test]
fn each_keeps_its_own_statuses() {
    let stage = Stage::new();
    assert_eq!(run(stage.gatepost("each").args(words("--limt 3"))).status, 125);
}

#[test]
fn what_is_said_is_written_at_once() {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;
    let mut stage = Stage::new();
    stage.make("s", 1);
    let holder = stage.hold("s", 1);
    for line in ["run --sem s --no-wait -- true", "acquire s --ttl 1h --no-wait", "resize t 4", "release s:987654"] {
        // Each write is a message of its own here.
        let (ours, theirs) = UnixDatagram::pair().expect("a pair of sockets");
        let mut command = stage.gatepost(line);
        let child = start(command.stderr(OwnedFd::from(theirs)));
        drop(command);
        finish(child);
        ours.set_nonblocking(true).expect("it can be set");
        let mut message = [0; 4096];
        let length = ours.recv(&mut message).expect("a message");
        let said = String::from_utf8_lossy(&message[..length]);
        assert!(said.starts_with("gatepost: ") && said.ends_with('\n'), "{line}: {said:?}");
    }
    assert_eq!(stage.let_finish(holder).status, 0);
}

#[test]
fn what_only_counts_at_the_making_is_insisted_on_afterwards() {
    let stage = Stage::new();
    let group = rustix::process::getegid().as_raw();
    stage.complete(&format!("run --sem s --limit 1 --policy overtaking --group {group} -- true")).says(0, &[]);
    stage.make("t", 1);
    for line in ["run --sem %", "acquire % --ttl 1h", "jobserver run --sem %"] {
        let ran = |name: &str, options: &str| {
            let line = line.replace('%', name);
            let command = if line.starts_with("acquire") { "" } else { "-- true" };
            stage.complete(&format!("{line} {options} {command}"))
        };
        ran("s", &format!("--policy fifo --group {group}")).says(64, &["\"s\"", "overtaking", "fifo"]);
        ran("t", "--policy overtaking").says(64, &["\"t\"", "overtaking", "fifo"]);
        ran("t", &format!("--group {group}")).says(64, &["\"t\"", "of user", &format!("group {group}")]);
    }
    stage.complete(&format!("run --sem s --policy overtaking --group {group} -- true")).says(0, &[]);
    stage.complete("run --sem t --policy fifo -- true").says(0, &[]);
    stage.complete("run --sem t -- true").says(0, &[]);
}

#[test]
fn no_time_at_all_is_an_error_that_fits_the_option() {
    let stage = Stage::new();
    stage.make("s", 1);
    for (line, word) in [
        ("run --sem s --timeout 0 -- true", "--no-wait"),
        ("acquire s --ttl 1h --timeout 0", "--no-wait"),
        ("acquire s --ttl 0", "a permit that lasts no time"),
        ("wait s --idle --timeout 0", "too short to wait"),
        ("jobserver run --sem s --timeout 0 -- true", "too short to wait"),
        ("run --sem s --kill-after 0 -- true", "none to end in"),
    ] {
        stage.complete(line).says(64, &[word]);
    }
    stage.complete("each --timeout 0 -- true ::: a").says(125, &["every job at its start"]);
}

#[test]
fn a_negative_number_is_told_what_would_do() {
    let stage = Stage::new();
    stage.make("s", 1);
    for (line, word) in [
        ("run --sem s --limit -1 -- true", "\"-1\" is no limit; write a whole number"),
        ("acquire s --ttl 1h --limit -1", "\"-1\" is no limit; write a whole number"),
        ("resize s -1", "\"-1\" is no limit; write a whole number"),
        ("run --sem s -E -1 -- true", "-1 is not in 0..=255"),
        ("acquire s --ttl 1h -E -1", "-1 is not in 0..=255"),
        ("run --sem s --permits -1 -- true", "a whole number from 1"),
    ] {
        stage.complete(line).says(64, &[word]);
    }
    stage.complete("each --sem s --sem-limit -1 -- true ::: a").says(125, &["\"-1\" is no limit"]);
    assert_eq!(stage.status("s").limit, 1);
}

#[test]
fn a_command_that_is_a_directory_is_told_as_one() {
    let stage = Stage::new();
    std::fs::create_dir(stage.path("folder")).expect("a folder");
    for line in ["run --sem s --limit 1 -- ./folder", "run --exec --sem s -- ./folder", "each -- ./folder ::: a"] {
        let ran = stage.complete(line);
        ran.says(126, &["./folder", "is a directory"]);
        assert!(!ran.err.contains("chmod"), "{ran:?}");
    }
}
