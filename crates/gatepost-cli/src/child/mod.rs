//! One command, supervised as a shell supervises a job: for `gatepost run` and its kin.
//!
//! | room       | subject
//! |------------|------------------------------------------------------------------
//! | `gate`     | the command waits until it is granted to run
//! | `signals`  | signals to us, in `poll`
//! | `terminal` | who is in the foreground
//! | `tree`     | what the command has started
//!
//! A [`Plan`] goes in, and [`Child::turn`], called whenever `poll` returns, says how it ended once it is over:
//!
//! ```text
//!   running ──exit──────────────────────────────────────────────────> over
//!     │ end()                                                          ▲
//!     ▼                                                                │
//!   told (TERM, CONT) ──the last of its group is gone──────────────────┤
//!     └──kill_after──> killed (KILL) ──exit────────────────────────────┘
//! ```
//! C1. The command runs in a process group of its own, which gets every signal of ours that can be meant for it. It
//!     has the terminal's foreground exactly while we would have it.
//! C2. The command is reaped here and nowhere else, so until then its number is its own.
//! C3. With `tree`, the orphans of the command are our children, and it is over when there is no child left.

pub(crate) mod gate;
pub(crate) mod signals;
pub(crate) mod terminal;
mod tree;

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, set_child_subreaper,
    test_kill_process_group, wait, waitpid,
};
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGINT, SIGQUIT, SIGTTIN, SIGTTOU};

use self::gate::{Extras, Refusal};
use self::signals::Signals;
use self::terminal::Terminal;
use crate::each::spawn::{StartError, while_no_room};

/// How often it is looked whether a group that was told to end is empty, once its first process is gone: nothing tells.
const GLANCE: Duration = Duration::from_millis(50);

/// What is to be run, and how.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The program and its arguments; at least the program.
    pub(crate) command: Vec<OsString>,
    /// What is set in its environment, or taken out of it.
    pub(crate) environment: Vec<(&'static str, Option<OsString>)>,
    /// Descriptors that it inherits.
    pub(crate) inherit: Vec<OwnedFd>,
    /// Whether all that it starts is waited for, too.
    pub(crate) tree: bool,
    /// Whether it is killed when we are.
    pub(crate) die_with_parent: bool,
    /// How long it may go on after it was told to end.
    pub(crate) kill_after: Duration,
}

/// Why nothing was started.
#[derive(Debug)]
pub(crate) enum NotStarted<E> {
    /// The system says why.
    Start(StartError),
    /// The grant was refused.
    Grant(E),
    /// A signal came while the system had no room for a process.
    Signal(i32),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With this status.
    Exited(u8),
    /// By this signal.
    Signalled(i32),
}

/// A command that runs.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its first process, and the number of its group.
    group: Pid,
    terminal: Option<Terminal>,
    tree: bool,
    /// In a tree: whether no process of it is left.
    alone: bool,
    kill_after: Duration,
    stage: Stage,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// It was told to end, and is killed then; `None` is never.
    Told(Option<Instant>),
    Killed,
}

impl Child {
    /// Starts what `plan` says once `grant` has agreed to the process that will be it.
    ///
    /// While the system has no room for a process it tries again for about ten seconds, or until a signal to end comes.
    pub(crate) fn start<E: Send>(
        plan: &Plan,
        signals: &mut Signals,
        grant: impl Fn(Pid) -> Result<(), E> + Sync,
    ) -> Result<Self, NotStarted<E>> {
        let program = plan.command.first().map(OsString::as_os_str).unwrap_or_default();
        let no_start = |(kind, source)| NotStarted::Start(StartError::new(kind, program.as_bytes(), source));
        if plan.tree {
            // Any number but 0 says yes.
            let _ = set_child_subreaper(Some(rustix::process::getpid()));
        }
        let mut terminal = Terminal::of_ours();
        let mut ended = None;
        let mut refused = None;
        let try_once = || {
            let mut command = Command::new(program);
            command.args(plan.command.iter().skip(1));
            for (name, value) in &plan.environment {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
            let extras = Extras { inherit: &plan.inherit, die_with_parent: plan.die_with_parent };
            let terminal = terminal.as_mut().filter(|terminal| terminal.is_given_at_once());
            let started = gate::spawn(command, &extras, |pid| {
                grant(pid)?;
                // Before it runs: it never finds itself in the background.
                terminal.into_iter().for_each(|terminal| terminal.give(pid));
                Ok(())
            });
            match started {
                Ok(child) => Ok(Some(child)),
                Err(Refusal::Start(error)) => Err(error),
                Err(Refusal::Grant(error)) => {
                    refused = Some(error);
                    Ok(None)
                }
            }
        };
        let pause = |length| {
            ended = signals.wait_for_ending(length);
            ended.is_some()
        };
        let started = while_no_room(try_once, pause);
        match (started, ended, refused) {
            (Ok(Some(process)), _, _) => Ok(Self {
                group: Pid::from_child(&process),
                terminal,
                tree: plan.tree,
                alone: false,
                kill_after: plan.kill_after,
                stage: Stage::Running,
                end: None,
            }),
            (failed, ended, refused) => {
                terminal.iter_mut().for_each(Terminal::take_back);
                match (failed, ended, refused) {
                    (_, _, Some(error)) => Err(NotStarted::Grant(error)),
                    (_, Some(signal), _) => Err(NotStarted::Signal(signal)),
                    (Err(failure), ..) => Err(no_start(failure)),
                    (Ok(_), None, None) => unreachable!("nothing is refused without an error"),
                }
            }
        }
    }

    /// How long `poll` may wait before the next turn; `None` is for ever.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        let deadline = match self.stage {
            Stage::Running => return None,
            // What escaped the first look at the tree is met at the next one.
            Stage::Killed => return self.tree.then_some(GLANCE),
            Stage::Told(deadline) => deadline,
        };
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match self.end {
            None => left,
            Some(_) => Some(left.map_or(GLANCE, |left| left.min(GLANCE))),
        }
    }

    /// Does what is due: signals that came are passed on, time that is over is told. How it ended, once all is over.
    pub(crate) fn turn(&mut self, signals: &mut Signals) -> io::Result<Option<End>> {
        for signal in signals.pending() {
            self.heed(signal);
        }
        self.reap()?;
        if let Stage::Told(Some(deadline)) = self.stage
            && deadline <= Instant::now()
        {
            self.kill();
        }
        if self.stage == Stage::Killed && self.tree {
            // Those that have left the group; each death may bring more of them to us.
            tree::kill_descendants();
        }
        if !self.is_over() {
            return Ok(None);
        }
        Ok(self.end)
    }

    /// Tells it to end, and kills it later if that does not help.
    pub(crate) fn end(&mut self) {
        if self.stage == Stage::Running {
            self.signal(Signal::TERM);
            // One that is stopped would never hear of it.
            self.signal(Signal::CONT);
            self.stage = Stage::Told(Instant::now().checked_add(self.kill_after));
        }
    }

    /// Kills it: for when nobody can look after it any more.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.stage = Stage::Killed;
    }

    /// Whether it was ended by a key of the terminal, which was its own at that time.
    ///
    /// Then those in our process group have not seen the signal and must be told, as if the terminal had.
    pub(crate) fn ended_at_the_keyboard(&self) -> Option<i32> {
        match self.end {
            Some(End::Signalled(signal @ (SIGINT | SIGQUIT))) => {
                self.terminal.as_ref().is_some_and(Terminal::was_given).then_some(signal)
            }
            _ => None,
        }
    }

    fn heed(&mut self, signal: i32) {
        match signal {
            SIGCHLD => {}
            SIGCONT => {
                if self.end.is_none()
                    && let Some(terminal) = &mut self.terminal
                    && terminal.is_wanted()
                    && terminal.is_ours()
                {
                    terminal.give(self.group);
                }
                self.signal(Signal::CONT);
            }
            _ => {
                if let Some(signal) = Signal::from_named_raw(signal) {
                    self.signal(signal);
                }
            }
        }
    }

    fn signal(&self, signal: Signal) {
        if self.end.is_none() {
            // It may not have its group yet, for an instant.
            if kill_process_group(self.group, signal).is_err() {
                let _ = kill_process(self.group, signal);
            }
        } else {
            // Its number is free, and yet its group's as long as there is a member; if there is none, nobody is hit
            // unless all numbers were given out anew since the last glance.
            let _ = kill_process_group(self.group, signal);
        }
    }

    /// Takes up what became of the command, and in a tree of its orphans.
    fn reap(&mut self) -> io::Result<()> {
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
        while self.end.is_none() || (self.tree && !self.alone) {
            let changed = if self.tree { wait(options) } else { waitpid(Some(self.group), options) };
            match changed {
                Ok(Some((pid, status))) if pid == self.group => self.changed(status),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(Errno::INTR) => {}
                Err(Errno::CHILD) if self.tree && self.end.is_some() => self.alone = true,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn changed(&mut self, status: WaitStatus) {
        if let Some(signal) = status.stopping_signal() {
            self.stopped(signal);
        } else if let Some(signal) = status.terminating_signal() {
            self.ended(End::Signalled(signal));
        } else if let Some(status) = status.exit_status() {
            // A status has eight bits.
            self.ended(End::Exited(status as u8));
        }
    }

    fn ended(&mut self, end: End) {
        self.end = Some(end);
        // While we wait for the rest of its tree, the keys are ours.
        self.terminal.iter_mut().for_each(Terminal::take_back);
    }

    /// The command was stopped: so are we, as the shell expects of its job.
    fn stopped(&mut self, signal: i32) {
        let Some(terminal) = &mut self.terminal else {
            // Without a terminal there is no job control; whoever stopped it goes on with it.
            return;
        };
        if matches!(signal, SIGTTIN | SIGTTOU) && terminal.is_ours() {
            // It wants the terminal, and we have it to give.
            terminal.give(self.group);
            self.signal(Signal::CONT);
            return;
        }
        terminal.take_back();
        // When we are continued, SIGCONT is pending, and `heed` continues the command.
        if !terminal::stop_ourselves() {
            self.signal(Signal::CONT);
        }
    }

    fn is_over(&self) -> bool {
        match (self.end, self.stage) {
            (None, _) => false,
            _ if self.tree => self.alone,
            (_, Stage::Told(_)) => test_kill_process_group(self.group) == Err(Errno::SRCH),
            (_, Stage::Running | Stage::Killed) => true,
        }
    }
}

impl Drop for Child {
    /// In a panic only: nobody will look after it any more, and its permits are about to be given back.
    fn drop(&mut self) {
        if self.end.is_none() && self.stage != Stage::Killed {
            self.kill();
        }
    }
}
