//! `gatepost run --from-jobserver`: a token of somebody else's jobserver, under a jobserver of the test and a real make.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::io::ioctl_fionread;
use rustix::process::Signal;
use serde_json::Value;

use crate::stage::{Stage, finish, run, send, start};

/// A jobserver in the fifo style.
#[derive(Debug)]
struct Jobserver {
    pipe: File,
    flags: String,
}

impl Jobserver {
    /// One with these tokens.
    fn new(stage: &Stage, tokens: &str) -> Self {
        let path = stage.path("tokens");
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a named pipe");
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
        let pipe = File::options().read(true).write(true).custom_flags(nonblocking).open(&path).expect("it opens");
        let jobserver = Self { pipe, flags: format!(" -j9 --jobserver-auth=fifo:{}", path.display()) };
        jobserver.offer(tokens);
        jobserver
    }

    fn offer(&self, tokens: &str) {
        (&self.pipe).write_all(tokens.as_bytes()).expect("there is room");
    }

    /// How many tokens nobody has.
    fn free(&self) -> u64 {
        ioctl_fionread(&self.pipe).expect("a count")
    }

    /// The tokens themselves, which are gone then.
    fn take_all(&self) -> String {
        let mut bytes = [0; 64];
        let count = (&self.pipe).read(&mut bytes).expect("there are some");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    /// `command`, as a recipe of this jobserver's make.
    fn around(&self, mut command: Command) -> Command {
        command.env("MAKEFLAGS", &self.flags);
        command
    }

    /// Starts a run with a token, of `script` in a shell.
    fn start(&self, stage: &Stage, line: &str, script: &str) -> Child {
        start(&mut self.around(stage.run_sh(&format!("--from-jobserver {line}"), script)))
    }
}

#[test]
fn a_token_is_held_while_the_command_runs_and_returned_whatever_its_status() {
    let mut stage = Stage::new();
    let jobserver = Jobserver::new(&stage, "q");
    for status in [0, 3] {
        let script = format!("echo \"$MAKEFLAGS\" > said; read _ < go; exit {status}");
        let child = jobserver.start(&stage, "--sem s --limit 1", &script);
        assert_eq!(stage.hear(), jobserver.flags, "the command may take more");
        assert_eq!((jobserver.free(), stage.status("s").used), (0, 1));
        assert_eq!(stage.let_finish(child).status, status);
        assert_eq!(jobserver.free(), 1);
    }
    stage.is_untouched("s");
    assert_eq!(jobserver.take_all(), "q", "as it was");
}

#[test]
fn a_token_is_returned_when_a_signal_or_a_loss_ends_the_command() {
    let mut stage = Stage::new();
    let jobserver = Jobserver::new(&stage, "+");
    for options in ["--sem s --limit 1", "--sem s --limit 1 --hold tree"] {
        let child = jobserver.start(&stage, options, "echo ready > said; exec sleep 1000");
        assert_eq!(stage.hear(), "ready");
        assert_eq!(jobserver.free(), 0);
        send(&child, Signal::TERM);
        assert_eq!(finish(child).status, 143);
        assert_eq!(jobserver.free(), 1);
    }
    let child = jobserver.start(&stage, "--sem s", "echo $GATEPOST_PERMIT > said; exec sleep 1000");
    let permit = stage.hear();
    assert_eq!(jobserver.free(), 0);
    stage.complete(&format!("revoke {permit}")).says(0, &[]);
    assert_eq!((finish(child).status, jobserver.free()), (120, 1));
    stage.is_untouched("s");
}

#[test]
fn a_token_is_returned_when_nothing_could_be_started() {
    let stage = Stage::new();
    let jobserver = Jobserver::new(&stage, "+");
    for (status, rest) in [
        (127, "--sem s --limit 1 -- /no/such/command"),
        (126, "--sem s -- /etc/passwd"),
        (64, "--sem s=2 -- true"),
        (64, "--sem s --slots --sem many --set-limit --limit many=5000 -- true"),
    ] {
        let ran = run(&mut jobserver.around(stage.gatepost(&format!("run --from-jobserver {rest}"))));
        assert_eq!((ran.status, jobserver.free()), (status, 1), "{rest}: {ran:?}");
    }
    stage.is_untouched("s");
}

#[test]
fn the_token_comes_before_the_permits_and_is_returned_when_those_do_not_come() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let jobserver = Jobserver::new(&stage, "+");
    let holder = stage.hold("s", 1);

    let child = jobserver.start(&stage, "--sem s", "echo ran > said");
    stage.until_waiting("s", 1);
    assert_eq!(jobserver.free(), 0);
    send(&child, Signal::TERM);
    assert_eq!((finish(child).signal, jobserver.free()), (Some(15), 1));

    for (options, status) in [("--timeout 50ms", 124), ("--no-wait", 75), ("--no-wait -E 9", 9)] {
        finish(jobserver.start(&stage, &format!("--sem s {options}"), "echo ran > said")).says(status, &["\"s\""]);
        assert_eq!(jobserver.free(), 1, "{options}");
    }
    assert!(stage.status("s").waiters.is_empty());
    assert_eq!(stage.let_finish(holder).status, 0);
    assert!(stage.is_silent());
}

#[test]
fn without_a_token_no_permit_is_asked_for() {
    let stage = Stage::new();
    stage.make("s", 1);
    let jobserver = Jobserver::new(&stage, "");
    let acquired = stage.status("s").statistics.acquired;
    for (options, status, outcome) in
        [("--timeout 50ms", 124, "timeout"), ("--no-wait", 75, "busy"), ("--timeout 1ms -E 9", 9, "timeout")]
    {
        let ran = finish(jobserver.start(&stage, &format!("--sem s --report told {options}"), "echo ran > said"));
        ran.says(status, &["token of the jobserver"]);
        let told: Value = serde_json::from_slice(&std::fs::read(stage.path("told")).expect("a report")).expect("JSON");
        assert_eq!((&told["outcome"], &told["status"]), (&outcome.into(), &status.into()), "{told}");
        assert_eq!(told["permits"], Value::Array(Vec::new()));
    }
    assert_eq!(stage.status("s").statistics.acquired, acquired);
    assert!(stage.is_silent());
}

#[test]
fn while_it_waits_for_a_token_it_says_so_holds_nothing_and_leaves_at_a_signal() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let jobserver = Jobserver::new(&stage, "");
    let script = "echo runs > said; read _ < go";
    let mut waiters = [(); 2].map(|()| jobserver.start(&stage, "--sem s --timeout 1h", script));
    for waiter in &mut waiters {
        let mut line = String::new();
        BufReader::new(waiter.stderr.take().expect("a pipe")).read_line(&mut line).expect("text");
        assert!(line.starts_with("gatepost: jobserver: waiting for a token"), "{line}");
    }
    let status = stage.status("s");
    assert_eq!((status.used, status.waiters.len()), (0, 0));
    let [left, stays] = waiters;
    send(&left, Signal::INT);
    assert_eq!(finish(left).signal, Some(2));
    jobserver.offer("+");
    assert_eq!(stage.hear(), "runs");
    assert_eq!(jobserver.free(), 0);
    assert_eq!((stage.let_finish(stays).status, jobserver.free()), (0, 1));
    stage.is_untouched("s");
}

#[test]
fn without_a_jobserver_it_is_an_error_that_says_what_to_do_and_makes_nothing() {
    let stage = Stage::new();
    let line = "run --from-jobserver --sem s --limit 1 -- true";
    stage.complete(line).says(64, &["there is no jobserver", "make with -j", "leave --from-jobserver out"]);
    for (flags, words) in [
        ("", ["names no jobserver", "run make with -j"]),
        ("ks -- X=1", ["names no jobserver", "run make with -j"]),
        (" -j2 --jobserver-auth=-2,-2", ["not for this process", "put +"]),
        (" -j2 --jobserver-auth=987654,987655", ["/proc/self/fd/987654", "put +"]),
        (" -j2 --jobserver-auth=fifo:/no/such", ["/no/such", "leave --from-jobserver out"]),
        (" -j2 --jobserver-auth=fifo:/etc/passwd", ["neither a pipe", "/etc/passwd"]),
        (" -j2 --jobserver-auth=nonsense", ["nonsense", "leave --from-jobserver out"]),
    ] {
        run(stage.gatepost(line).env("MAKEFLAGS", flags)).says(64, &words);
    }
    stage.complete("status s").says(64, &[]);
}

#[test]
fn exec_would_leave_nobody_to_return_the_token() {
    let stage = Stage::new();
    let jobserver = Jobserver::new(&stage, "+");
    let ran = run(&mut jobserver.around(stage.gatepost("run --exec --from-jobserver --sem s --limit 1 -- true")));
    ran.says(64, &["--exec", "--from-jobserver"]);
    assert_eq!(jobserver.free(), 1);
}

/// Runs `recipe` with one token besides its own.
fn make(stage: &Stage, recipe: &str) -> crate::stage::Ran {
    std::fs::write(stage.path("Makefile"), format!("all:\n{recipe}")).expect("it is written");
    run(&mut stage.shell("exec make -j2 -f Makefile"))
}

#[test]
fn a_real_make_lends_a_token_to_a_recipe_with_a_plus_and_has_it_back() {
    let stage = Stage::new();
    // Make reports a token that is not back at the end.
    let ran = make(
        &stage,
        "\t+@$(GATEPOST) run --from-jobserver --no-wait --sem s --limit 1 -- sh -c \
           '$(GATEPOST) run --from-jobserver --no-wait --sem t --limit 1 -- echo inner; echo $$?'\n\
         \t+-@$(GATEPOST) run --from-jobserver --no-wait --sem s -- sh -c 'echo again; exit 3'\n\
         \t+@$(GATEPOST) run --from-jobserver --no-wait --sem s -- echo third\n",
    );
    assert_eq!((ran.status, ran.out.as_str()), (0, "75\nagain\nthird\n"), "{ran:?}");
    assert!(ran.err.contains("no token of the jobserver is free") && !ran.err.contains("INTERNAL"), "{}", ran.err);
}

#[test]
fn a_recipe_without_a_plus_is_told_to_have_one_unless_make_has_a_fifo() {
    let stage = Stage::new();
    let ran = make(
        &stage,
        "\t@echo \"$$MAKEFLAGS\"; $(GATEPOST) run --from-jobserver --no-wait --sem s --limit 1 -- true; echo $$?\n",
    );
    if ran.out.contains("fifo:") {
        assert!(ran.out.ends_with("\n0\n"), "{ran:?}");
    } else {
        assert!(ran.out.ends_with("\n64\n") && ran.err.contains("put + in front of the recipe's line"), "{ran:?}");
    }
}
