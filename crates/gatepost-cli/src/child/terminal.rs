//! The terminal, and whose process group is in its foreground.
//!
//! Keys such as Ctrl-C go to the group in the foreground, and only that group may read. The command has a group of its
//! own, so we hand the foreground over as a shell does, and take it back. *When* depends on who else is in our group:
//!
//! | standard streams                 | handed over
//! |----------------------------------|----------------------------------------------------------------------
//! | all three are the terminal       | before the command runs: the command is alone with it
//! | some are not (`run … \| less`)   | when the command asks for it (it is stopped by SIGTTIN or SIGTTOU):
//! |                                  | others in our group may want the terminal as much as it does

use std::fs::File;
use std::io::{self, IsTerminal};

use rustix::process::{Pid, Signal, getpgid, getpgrp, getsid};
use rustix::termios::{tcgetpgrp, tcsetpgrp};

use crate::machine::process;
use crate::system::with_blocked;

/// Our controlling terminal.
#[derive(Debug)]
pub(super) struct Terminal {
    tty: File,
    /// Our process group.
    own: Pid,
    /// Whether the command has it from the start.
    at_once: bool,
    /// Whether the command has it now.
    given: bool,
    /// Whether the command ever had it.
    was_given: bool,
}

impl Terminal {
    /// The terminal that controls us, if there is one.
    pub(super) fn of_ours() -> Option<Self> {
        let tty = File::options().read(true).write(true).open("/dev/tty").ok()?;
        let streams = [io::stdin().is_terminal(), io::stdout().is_terminal(), io::stderr().is_terminal()];
        Some(Self { tty, own: getpgrp(), at_once: streams == [true; 3], given: false, was_given: false })
    }

    /// Whether the command has the foreground from the start: it can be given, and nobody else needs it.
    pub(super) fn is_given_at_once(&self) -> bool {
        self.at_once && self.is_ours()
    }

    /// Whether the command is to have the foreground when we have it.
    pub(super) fn is_wanted(&self) -> bool {
        self.at_once || self.was_given
    }

    /// Whether our group is in the foreground.
    pub(super) fn is_ours(&self) -> bool {
        tcgetpgrp(&self.tty).is_ok_and(|group| group == self.own)
    }

    /// Whether the command ever was in the foreground.
    pub(super) fn was_given(&self) -> bool {
        self.was_given
    }

    /// Puts `group` in the foreground.
    pub(super) fn give(&mut self, group: Pid) {
        self.given = self.set(group).is_ok();
        self.was_given |= self.given;
    }

    /// Puts us there, if the command was.
    pub(super) fn take_back(&mut self) {
        if self.given {
            // A terminal that was hung up is nobody's.
            let _ = self.set(self.own);
            self.given = false;
        }
    }

    fn set(&self, group: Pid) -> rustix::io::Result<()> {
        // Who sets it from the background is stopped by SIGTTOU, unless that cannot come.
        with_blocked(Signal::TTOU, || tcsetpgrp(&self.tty, group))
    }
}

/// Stops us as Ctrl-Z does, unless nobody would ever continue us; whether it did. It returns when we are continued.
pub(crate) fn stop_ourselves() -> bool {
    !is_orphaned() && signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP).is_ok()
}

/// Whether our process group is orphaned: nobody in our session outside of it is the parent of one in it, so there is no
/// shell to continue us when we are stopped.
fn is_orphaned() -> bool {
    let (group, session) = (getpgrp(), getsid(None).ok());
    let mut above = rustix::process::getppid();
    while let Some(parent) = above {
        if getsid(Some(parent)).ok() != session {
            return true;
        }
        if getpgid(Some(parent)) != Ok(group) {
            return false;
        }
        above = process::parent_of(parent);
    }
    true
}
