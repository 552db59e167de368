//! `gatepost top` on a pseudoterminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::fs::{Mode, OFlags, open};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::yard::{Running, Yard, queue, take, until};

/// `top` on a terminal of 100 columns and 30 rows.
struct Screen {
    ours: File,
    theirs: OwnedFd,
    before: Termios,
    /// What a terminal makes of what was drawn, and how often the screen was taken.
    drawn: Arc<Mutex<(vt100::Parser, usize)>>,
    running: Running,
}

impl Screen {
    fn of(yard: &Yard) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudoterminal");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("it is ours");
        let name = ptsname(&ours, Vec::new()).expect("it has a name");
        let theirs = open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).expect("its other end");
        tcsetwinsize(&theirs, Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).expect("a size");
        let before = tcgetattr(&theirs).expect("a terminal");
        let end = || Stdio::from(theirs.try_clone().expect("another descriptor"));
        let mut command = yard.gatepost(["top"]);
        command.env("TERM", "xterm-256color").env("NO_COLOR", "1").stdin(end()).stdout(end());
        let running = Running(command.spawn().expect("it starts"));
        let ours = File::from(ours);
        let mut reader = ours.try_clone().expect("another descriptor");
        let size = |cells| std::num::NonZero::new(cells).expect("not zero");
        let drawn = Arc::new(Mutex::new((vt100::Parser::new(size(30), size(100), 0), 0)));
        let sink = Arc::clone(&drawn);
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut piece) {
                let mut drawn = sink.lock().expect("nobody panics with it");
                let before = drawn.0.screen().alternate_screen();
                drawn.0.process(&piece[..length]);
                drawn.1 += usize::from(!before && drawn.0.screen().alternate_screen());
            }
        });
        Self { ours, theirs, before, drawn, running }
    }

    fn press(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    fn text(&self) -> String {
        self.drawn.lock().expect("nobody panics with it").0.screen().contents()
    }

    #[track_caller]
    fn shows(&self, words: &str) {
        until(words, || self.text().contains(words));
    }

    /// The shell's own screen and settings are back.
    #[track_caller]
    fn is_given_back(&self) {
        until("the screen is left", || {
            !self.drawn.lock().expect("nobody panics with it").0.screen().alternate_screen()
        });
        assert!(!self.drawn.lock().expect("nobody panics with it").0.screen().hide_cursor());
        let after = tcgetattr(&self.theirs).expect("a terminal");
        assert_eq!(after.local_modes, self.before.local_modes);
        assert_eq!(after.input_modes, self.before.input_modes);
    }
}

#[test]
fn it_shows_what_there_is_and_keys_act_on_it() {
    let yard = Yard::new();
    let build = yard.semaphore("build", 8);
    let held = take(&build, 7, "cargo-build-of-the-test");
    queue(&build, 3, "cargo-test-behind-it");
    let mut screen = Screen::of(&yard);
    screen.shows("7/8 +1");
    screen.shows("cargo-build-of-the-test");
    screen.shows("cargo-test-behind-it");
    let status = || build.status().expect("a status");
    screen.press("p");
    until("it is paused", || status().paused);
    screen.shows("build  7 of 8 permits in use, 1 free; paused");
    screen.press("p");
    until("it is resumed", || !status().paused);
    screen.press("r12\r");
    until("it is resized", || status().limit == 12);
    until("the waiter is served, and goes", || status().waiters.is_empty() && status().used == 7);
    screen.press("x\r");
    screen.press("y");
    until("it is revoked", || !held.is_held());
    screen.press("q");
    assert_eq!(screen.running.ends(), 0);
    screen.is_given_back();
}

#[test]
fn a_signal_finds_the_terminal_given_back() {
    let yard = Yard::new();
    let _build = yard.semaphore("build", 8);
    for (signal, status) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let mut screen = Screen::of(&yard);
        screen.shows("0/8");
        screen.running.signal(signal);
        assert_eq!(screen.running.ends(), status);
        screen.is_given_back();
    }
}

#[test]
fn it_can_be_stopped_and_continued() {
    let yard = Yard::new();
    let _build = yard.semaphore("build", 8);
    let mut screen = Screen::of(&yard);
    screen.shows("0/8");
    screen.press("\x1a");
    screen.is_given_back();
    let stat = format!("/proc/{}/stat", screen.running.0.id());
    until("it is stopped", || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
    screen.running.signal(Signal::CONT);
    until("it takes the screen again", || screen.drawn.lock().expect("nobody panics with it").1 == 2);
    screen.shows("0/8");
    screen.press("q");
    assert_eq!(screen.running.ends(), 0);
    screen.is_given_back();
}

#[test]
fn without_a_terminal_it_says_so() {
    let ran = Yard::new().run(["top"]);
    assert_eq!((ran.status, ran.out.as_str()), (125, ""));
    assert!(ran.err.contains("standard input is none") && ran.err.contains("gatepost list"), "{}", ran.err);
}

#[test]
fn an_empty_folder_says_what_to_do() {
    let mut screen = Screen::of(&Yard::new());
    screen.shows("there is no semaphore in");
    screen.press("\x03");
    assert_eq!(screen.running.ends(), 0);
    screen.is_given_back();
}
