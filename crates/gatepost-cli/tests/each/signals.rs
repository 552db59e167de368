//! Signals to the program: passed on, then killing, and ignored where they were.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use rustix::process::Signal;

use crate::stage::{PATIENCE, Stage, each, finish, send, sh, sh_each, start_fed};

#[test]
fn a_signal_is_passed_on_and_no_more_jobs_start() {
    for (signal, name, status) in [(Signal::INT, "INT", 130), (Signal::TERM, "TERM", 143), (Signal::HUP, "HUP", 129)] {
        let mut stage = Stage::new();
        let script = format!("trap 'echo got {name}; kill $!; exit 5' {name}; echo {{}} > said; sleep 1000 & wait");
        let child = stage.start(sh("--limit 2", &script, "a b c"));
        assert_eq!(stage.hear_sorted(2), ["a", "b"]);
        send(&child, signal);
        let ran = finish(child);
        assert_eq!((ran.status, ran.text()), (status, format!("got {name}\ngot {name}\n").as_str()));
        assert!(stage.is_silent(), "no other job was started");
        assert!(ran.err.contains("once more kills them"), "{}", ran.err);
        assert!(ran.err.contains("2 jobs, 0 failed, 2 stopped"), "{}", ran.err);
    }
}

#[test]
fn a_second_signal_kills() {
    let mut stage = Stage::new();
    let script = "trap 'echo told > said' INT; echo ready > said; while :; do sleep 1000 & wait; done";
    let child = stage.start(sh("", script, "a"));
    assert_eq!(stage.hear(), "ready");
    send(&child, Signal::INT);
    assert_eq!(stage.hear(), "told", "the first is passed on");
    send(&child, Signal::INT);
    assert_eq!(finish(child).status, 130);
}

#[test]
fn a_third_signal_leaves_even_if_nobody_reads_our_output() {
    let mut stage = Stage::new();
    // The job has ended and its megabyte fits no pipe, so its printing waits for a reader.
    let script = "head -c 1000000 /dev/zero; trap '' INT; echo ready > said";
    let mut child = stage.start(sh("--limit 1", script, "a"));
    assert_eq!(stage.hear(), "ready");
    // Nobody reads this, and it is not closed either.
    let _stdout = child.stdout.take().expect("a pipe");
    let begun = Instant::now();
    // Signals of one kind that come together are one, so they are sent until three have arrived.
    let ended = loop {
        send(&child, Signal::INT);
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            break status;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not leave");
        thread::yield_now();
    };
    assert_eq!(ended.code(), Some(130));
}

#[test]
fn a_signal_ends_a_run_that_waits_for_input() {
    let mut stage = Stage::new();
    let (child, mut stdin) = start_fed(&mut stage.each(sh_each("", "echo > said")));
    stdin.write_all(b"a\n").expect("it is read");
    stage.hear();
    send(&child, Signal::INT);
    assert_eq!(finish(child).status, 130);
    drop(stdin);
}

#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let mut stage = Stage::new();
    let gatepost = each::<&str>([]).get_program().to_owned();
    let child = Command::new("sh")
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh"])
        .arg(gatepost)
        .arg("each")
        .args(sh("", "echo ready > said; read _ < go; echo done", "a"))
        .current_dir(stage.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the shell starts");
    assert_eq!(stage.hear(), "ready");
    send(&child, Signal::HUP);
    stage.release(1);
    let ran = finish(child);
    assert_eq!((ran.status, ran.text()), (0, "done\n"), "as `nohup` wants it");
}

#[test]
fn a_time_out_holds_after_a_signal_that_was_not_heeded() {
    let mut stage = Stage::new();
    let script = "trap '' INT; echo ready > said; sleep 1000 & wait";
    let child = stage.start(sh("--timeout 2s --kill-after 100ms", script, "a"));
    assert_eq!(stage.hear(), "ready");
    send(&child, Signal::INT);
    assert_eq!(finish(child).status, 130);
}
