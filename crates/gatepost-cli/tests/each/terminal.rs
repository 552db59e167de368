//! Terminals: items typed at one, and a progress bar drawn on one. The terminal is a pseudoterminal of our own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::stage::{each, finish, run_on, words};

/// A pseudoterminal: our end, and the one that programs take for a terminal.
fn terminal() -> (File, OwnedFd) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudoterminal");
    grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("it is ours");
    let name = ptsname(&ours, Vec::new()).expect("it has a name");
    let theirs = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("its other end");
    (File::from(ours), theirs)
}

#[test]
fn items_may_be_typed_and_the_user_is_told_so() {
    let (mut ours, theirs) = terminal();
    let mut command = each(words("-- echo item"));
    let child = command.stdin(Stdio::from(theirs)).spawn().expect("the program starts");
    // The command keeps a descriptor of the terminal until it is gone.
    drop(command);
    ours.write_all(b"typed\nline\n\x04").expect("the terminal takes keys");
    let ran = finish(child);
    assert_eq!((ran.status, ran.sorted()), (0, vec!["item line", "item typed"]));
    assert!(ran.err.starts_with("gatepost: reading items from the terminal, one a line; Ctrl-D ends them\n"));
}

#[test]
fn from_elsewhere_there_is_no_such_hint() {
    assert!(!run_on(b"a\n", words("-- true")).err.contains("terminal"));
}

/// What `each` with `arguments` writes to a terminal that is its standard error.
fn drawn(arguments: &[&str]) -> String {
    let (mut ours, theirs) = terminal();
    let mut command = each(arguments);
    let child = command.env("TERM", "xterm").stderr(Stdio::from(theirs)).spawn().expect("the program starts");
    drop(command);
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    // Once nobody has the other end, reading fails.
    while let Ok(length) = ours.read(&mut piece) {
        text.extend_from_slice(&piece[..length]);
    }
    assert_eq!(finish(child).status, 0);
    String::from_utf8(text).expect("text")
}

#[test]
fn a_terminal_shows_a_bar_and_then_the_summary() {
    let command = ["--", "sleep", ":::", "0.3", "0.3"];
    let text = drawn(&command);
    assert!(text.contains("/2 jobs"), "{text:?}");
    assert!(text.contains("2 jobs, 0 failed"), "{text:?}");
    for hidden in [["--progress", "never"].as_slice(), &["--quiet"]] {
        let text = drawn(&[hidden, &command[..]].concat());
        assert!(!text.contains("/2 jobs"), "{text:?}");
    }
}
