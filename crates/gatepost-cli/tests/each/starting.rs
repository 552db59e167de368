//! Commands that cannot be started.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::stage::{Stage, each, finish, lines_of, run, words};

#[test]
fn a_command_that_is_not_found_ends_the_run() {
    let ran = run(words("--limit 1 -- no-such-command ::: a b c"));
    assert_eq!(ran.status, 127);
    assert!(ran.err.contains("the command \"no-such-command\" was not found; check its spelling"), "{}", ran.err);
    assert_eq!(ran.err.matches("no-such-command").count(), 1, "said once: {}", ran.err);
    assert!(ran.err.contains("1 job, 1 failed"), "{}", ran.err);
}

#[test]
fn a_command_that_is_not_executable_ends_the_run() {
    let stage = Stage::new();
    stage.file("plain", b"#!/bin/sh\n", 0o600);
    stage.file("binary", b"\x7fNOT-A-PROGRAM", 0o700);
    for (command, advice) in [("./plain", "chmod +x"), ("./binary", "chmod +x"), ("/", "it is a directory")] {
        let ran = finish(stage.start(words(&format!("--limit 1 -- {command} ::: a b"))));
        assert_eq!(ran.status, 126, "{}", ran.err);
        assert!(ran.err.contains("cannot be run") && ran.err.contains(advice), "{}", ran.err);
        assert!(ran.err.contains("1 job, 1 failed"), "{}", ran.err);
    }
}

#[test]
fn quiet_does_not_hide_why_nothing_ran() {
    assert!(run(words("-q -- no-such-command ::: a")).err.contains("was not found"));
}

#[test]
fn a_command_that_differs_from_job_to_job_fails_for_its_job_only() {
    let stage = Stage::new();
    stage.script("good", "#!/bin/sh\necho good\n");
    stage.file("bad", b"", 0o600);
    let run = |items| finish(stage.start(words(&format!("--limit 1 -- ./{{}} ::: {items}"))));
    let ran = run("missing good bad");
    assert_eq!((ran.status, ran.text()), (2, "good\n"), "{}", ran.err);
    assert!(ran.err.contains("item 1 (\"missing\")") && ran.err.contains("item 3 (\"bad\")"), "{}", ran.err);
    assert_eq!(run("missing good").status, 127, "all failures are of that kind");
    assert_eq!(run("good bad").status, 126, "all failures are of that kind");
}

#[test]
fn a_process_table_that_stays_full_is_reported() {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: only root can become a user whose processes are counted from zero");
        return;
    }
    // Three tasks: the program's first thread, its listener for signals, a worker. There is no fourth, for a job.
    let stage = Stage::new();
    let program = stage.path("gatepost");
    std::fs::copy(each::<&str>([]).get_program(), &program).expect("a copy that everybody may run");
    for path in [stage.path(""), program.clone()] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("ours to set");
    }
    // Nobody else has this user's number, not even another run of this test.
    let user = 20_000 + std::process::id() % 40_000;
    let child = Command::new("setpriv")
        .args(words(&format!("--reuid={user} --clear-groups prlimit --nproc=3")))
        .arg(program)
        .args(words("each --limit 1 -- true ::: a b"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("setpriv and prlimit are there");
    finish(child).refuses(&[
        "item 1 (\"a\")",
        "no room for another process",
        "11 times",
        "ulimit -u",
        "1 job, 1 failed",
    ]);
}

#[test]
fn only_one_job_is_tried_where_the_command_is_missing() {
    let stage = Stage::new();
    let ran = finish(stage.start(words("--limit 1 --log log -- no-such-command ::: a b c")));
    assert_eq!((ran.status, lines_of(&stage.path("log")).len()), (127, 1));
}
