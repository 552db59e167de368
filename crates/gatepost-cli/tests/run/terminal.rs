//! On a terminal: the line while it waits, and who is in the foreground. The terminal is a pseudoterminal of our own, and the
//! shell on it one with job control.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::fs::{Mode, OFlags, open};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::stage::{PATIENCE, Seen, Stage, finish, is_ready};

/// A terminal with a shell on it, which runs a script.
struct Terminal {
    ours: File,
    shell: Child,
    text: String,
}

impl Terminal {
    /// A terminal whose shell runs `script`; it controls that shell.
    fn new(stage: &Stage, script: &str) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudoterminal");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("it is ours");
        let name = ptsname(&ours, Vec::new()).expect("it has a name");
        let theirs = open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).expect("its other end");
        let stdio = || Stdio::from(theirs.try_clone().expect("a copy"));
        let like = stage.shell(script);
        let mut command = Command::new("setsid");
        command.args(["--ctty", "sh", "-m"]).args(like.get_args()).current_dir(stage.path(""));
        for (name, value) in like.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let shell = command.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn().expect("it starts");
        Self { ours: File::from(ours), shell, text: String::new() }
    }

    /// Waits until `word` was written.
    #[track_caller]
    fn shows(&mut self, word: &str) {
        let begun = Instant::now();
        while !self.text.contains(word) {
            assert!(begun.elapsed() < PATIENCE && self.read(), "{word:?} is not in {:?}", self.text);
        }
    }

    /// Reads once; whether there was something.
    fn read(&mut self) -> bool {
        let mut piece = [0; 4096];
        match is_ready(&self.ours, PATIENCE).then(|| self.ours.read(&mut piece)) {
            Some(Ok(length)) => {
                self.text.push_str(&String::from_utf8_lossy(&piece[..length]));
                length > 0
            }
            _ => false,
        }
    }

    /// Presses keys.
    fn press(&mut self, keys: &[u8]) {
        self.ours.write_all(keys).expect("the terminal takes keys");
    }

    /// All that was written until the shell had ended.
    fn end(self) -> String {
        self.end_with_status().0
    }

    /// The same, and the shell's own status.
    fn end_with_status(mut self) -> (String, i32) {
        // Once nobody has the other end, reading fails.
        while self.read() {}
        (self.text, finish(self.shell).status)
    }
}

#[test]
fn the_line_says_why_it_waits_and_is_gone_afterwards() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let holder = stage.hold("s", 1);
    let mut terminal = Terminal::new(&stage, "$GATEPOST run --sem s -- echo begun");
    terminal.shows("\r\u{1b}[Ks: 1st in line, 1/1 used; oldest: sh -c echo holds");
    assert_eq!(stage.let_finish(holder).status, 0);
    let text = terminal.end();
    assert!(text.ends_with("\r\u{1b}[Kbegun\r\n"), "{text:?}");
}

#[test]
fn the_line_is_as_wide_as_the_terminal_and_no_wider() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let holder = stage.hold("s", 1);
    let mut terminal = Terminal::new(&stage, "stty cols 20; $GATEPOST run --sem s -- echo begun");
    terminal.shows("\u{1b}[Ks: 1st in line, 1/1");
    assert_eq!(stage.let_finish(holder).status, 0);
    let text = terminal.end();
    let longest = text.split("\r\u{1b}[K").map(|line| line.trim_end().chars().count()).max();
    assert!(longest.is_some_and(|longest| longest <= 19), "{text:?}");
}

#[test]
fn ctrl_c_leaves_the_queue_at_once() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let holder = stage.hold("s", 1);
    let mut terminal = Terminal::new(&stage, "$GATEPOST run --sem s -- echo begun; echo the script goes on");
    terminal.shows("1st in line");
    terminal.press(b"\x03");
    let (text, status) = terminal.end_with_status();
    assert!(status == 130 && !text.contains("begun") && !text.contains("goes on"), "{status} {text:?}");
    assert!(stage.status("s").waiters.is_empty());
    assert_eq!(stage.let_finish(holder).status, 0);
}

/// Prints whether the process group of the shell that runs it is in the foreground.
const WHERE: &str = "set -- $(cat /proc/$$/stat); test $5 = $8 && echo in front || echo behind";

#[test]
fn the_command_is_in_the_foreground_and_then_we_are() {
    let stage = Stage::new();
    let script = format!(
        "$GATEPOST run --sem s --limit 1 -- sh -c '{WHERE}; read line; echo got $line'; {}; echo the end",
        WHERE.replace("echo ", "echo shell ")
    );
    let mut terminal = Terminal::new(&stage, &script);
    terminal.shows("in front");
    terminal.press(b"typed\n");
    terminal.shows("got typed");
    let text = terminal.end();
    assert!(text.contains("shell in front") && !text.contains("behind"), "{text:?}");
}

#[test]
fn ctrl_c_goes_to_the_command_and_ends_a_script_around_us() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let script = "$GATEPOST run --sem s -- sh -c 'echo ready > said; exec sleep 1000'; echo the script goes on";
    let mut terminal = Terminal::new(&stage, script);
    assert_eq!(stage.hear(), "ready");
    terminal.press(b"\x03");
    let (text, status) = terminal.end_with_status();
    assert!(status == 130 && !text.contains("goes on"), "{status} {text:?}");
    stage.is_untouched("s");
}

#[test]
fn a_command_that_heeds_ctrl_c_decides_itself() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let script = "$GATEPOST run --sem s -- sh -c \"trap 'exit 9' INT; echo ready > said; while :; do sleep 0.05; done\"; echo status $?";
    let mut terminal = Terminal::new(&stage, script);
    assert_eq!(stage.hear(), "ready");
    terminal.press(b"\x03");
    terminal.shows("status 9");
    terminal.end();
}

#[test]
fn a_stopped_command_stops_us_and_fg_continues_both() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let script = "$GATEPOST run --sem s -- sh -c 'echo ready > said; read line; echo got $line; exit 6'; \
                  echo stopped; jobs; fg; echo status $?";
    let mut terminal = Terminal::new(&stage, script);
    assert_eq!(stage.hear(), "ready");
    terminal.press(b"\x1a");
    terminal.shows("stopped\r\n");
    terminal.shows("Stopped");
    terminal.press(b"typed\n");
    terminal.shows("got typed");
    terminal.shows("status 6");
    terminal.end();
    stage.is_untouched("s");
}

#[test]
fn in_a_pipeline_the_command_gets_the_terminal_when_it_asks() {
    let stage = Stage::new();
    let script = "$GATEPOST run --sem s --limit 1 -- sh -c 'read line; echo got $line' | cat; echo the end";
    let mut terminal = Terminal::new(&stage, script);
    terminal.press(b"typed\n");
    terminal.shows("got typed");
    terminal.shows("the end");
    terminal.end();
}

#[test]
fn in_the_background_nothing_is_taken_from_the_shell() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let script = format!(
        "$GATEPOST run --sem s -- sh -c '{WHERE} > said; read _ < go' & read line; echo shell got $line; wait; echo the end"
    );
    let mut terminal = Terminal::new(&stage, &script);
    assert_eq!(stage.hear(), "behind");
    terminal.press(b"typed\n");
    terminal.shows("shell got typed");
    stage.release();
    terminal.shows("the end");
    terminal.end();
}

#[test]
fn a_tstp_for_us_stops_the_command_too() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    // The wrapper's number is that of the shell, which it replaces.
    let script = "sh -c 'echo $$ > said; exec $GATEPOST run --sem s -- sh -c \"echo \\$\\$ > said; read _ < go\"'; echo stopped; fg; echo status $?";
    let mut terminal = Terminal::new(&stage, script);
    let wrapper = Seen::new(&stage.hear());
    let command = stage.hear();
    rustix::process::kill_process(wrapper.pid, Signal::TSTP).expect("it is there");
    terminal.shows("stopped");
    // Continued by `fg`, both go on.
    stage.release();
    terminal.shows("status 0");
    assert!(!command.is_empty());
    terminal.end();
}
