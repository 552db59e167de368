//! `gatepost run`: one command, under permits of semaphores that the whole machine shares.
//!
//! ```text
//!   open ──> nested? ──> take all, in the order of names ──> start behind a gate ──> watch ──> release ──> report
//!             │           │ one poll(2): bell, signals,       │ the permit names      │ one poll(2): signals,
//!             ▼           ▼ timers; a line says why           ▼ the process first     ▼ bell (a permit lost)
//!            64          75, 124, 128+s: nothing is held     126, 127                120
//! ```
//! | room          | subject
//! |---------------|------------------------------------------------------------------
//! | `args`        | what may be written
//! | `take`        | a token of the jobserver around us, permits of all semaphores, or none
//! | `line`        | why it waits, in one line
//! | `nested`      | a run inside of one that holds the same semaphore
//! | `environment` | what the command finds in its environment
//! | `watch`       | the command, until its end or the loss of a permit
//! | `report`      | what happened, as JSON
//!
//! R1. The command never runs without permits: the grant names its process before it starts (`child::gate`).
//! R2. Permits outlive us while the command runs: to kill the wrapper frees nothing.
//! R3. However a run ends, it holds nothing afterwards, no token either, and it is in no queue. Only a token is lost when we
//!     are killed by SIGKILL: its pipe does not know who has it.

pub(crate) mod args;
pub(crate) mod environment;
pub(crate) mod line;
pub(crate) mod nested;
mod report;
pub(crate) mod take;
mod watch;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_setfd};

use self::line::say;
use self::report::{Outcome, Target};
use self::take::{Held, Patience};
use crate::child::signals::{self, Signals};
use crate::each::spawn::{Kind, StartError};
use crate::error::Error;
use crate::exit;
use crate::jobserver::client::{self, Client};
use crate::machine::open::{self, Making};
use crate::machine::status;

/// What listings call our session: it is the wrapper's. The command is in the label of the permit.
pub(crate) const SESSION: &str = "gatepost";

/// What is to be done, checked.
#[derive(Debug)]
pub(crate) struct Options {
    /// The semaphores and how many permits of each, in the order of the names.
    pub(crate) wanted: Vec<(String, u32)>,
    /// How they are opened.
    pub(crate) making: Making,
    /// The jobserver that a token is taken from.
    pub(crate) jobserver: Option<Client>,
    /// How long to wait for all of them together, and for the token.
    pub(crate) timeout: Option<Duration>,
    /// Whether not to wait.
    pub(crate) no_wait: bool,
    /// The status where they were not to be had.
    pub(crate) conflict_status: Option<u8>,
    /// What listings call it.
    pub(crate) label: String,
    /// Whether the permits must have slots.
    pub(crate) slots: bool,
    /// Whose slots are GPUs.
    pub(crate) gpu: Option<String>,
    /// Where the report goes.
    pub(crate) report: Option<Target>,
    /// Whether the command replaces us.
    pub(crate) exec: bool,
    /// Whether the permits are held for all that the command starts.
    pub(crate) tree: bool,
    /// Whether the command is killed when we are.
    pub(crate) die_with_parent: bool,
    /// How long it may go on after a permit was lost.
    pub(crate) kill_after: Duration,
    /// Whether the permits of a run around us are used.
    pub(crate) reenter: bool,
    /// Whether nothing is said while waiting.
    pub(crate) quiet: bool,
    /// The command and its arguments; at least the command.
    pub(crate) command: Vec<OsString>,
}

/// What there is to tell of a run, so far.
#[derive(Debug, Default)]
pub(crate) struct Story {
    /// How long it waited for permits.
    pub(crate) waited: Duration,
    /// How long it held them.
    pub(crate) held: Duration,
    /// What it held.
    pub(crate) permits: Vec<report::Permit>,
    /// Which one it lost.
    pub(crate) lost: Option<String>,
}

/// Does what `options` say and returns the exit status.
pub(crate) fn run(options: &Options) -> Result<u8, Error> {
    let mut story = Story::default();
    let outcome = match course(options, &mut story) {
        Ok(outcome) => outcome,
        Err(error) => {
            say(&error.to_string());
            Outcome::of_error(&error)
        }
    };
    let status = match (&outcome, options.conflict_status) {
        (Outcome::TimedOut | Outcome::Busy, Some(status)) => status,
        _ => outcome.status(),
    };
    if let Some(target) = &options.report {
        target.write(&outcome, status, &story)?;
    }
    match outcome {
        Outcome::Interrupted { signal } => signals::die_of(signal),
        Outcome::Signal { signal, at_the_keyboard: true } => {
            // The terminal told the command alone. A script around us must hear of it, and see that we heeded it.
            let group = rustix::process::Signal::from_named_raw(signal);
            let _ = group.map(rustix::process::kill_current_process_group);
            signals::die_of(signal);
        }
        _ => {}
    }
    Ok(status)
}

/// From the first look at the semaphores to the end of the command; all permits are given back when it returns.
fn course(options: &Options, story: &mut Story) -> Result<Outcome, Error> {
    let mut signals = Signals::new().map_err(|source| Error::SetUp { source })?;
    let mut semaphores = Vec::with_capacity(options.wanted.len());
    for (name, permits) in &options.wanted {
        semaphores.push((name.as_str(), options.making.open(name, SESSION)?, *permits));
    }
    let semaphores = open::in_common_order(semaphores)?;
    let around = nested::ancestors();
    let mut wanted = Vec::with_capacity(semaphores.len());
    for (name, semaphore, permits) in semaphores {
        match nested::held_around(&around, &semaphore)? {
            None => wanted.push((name, semaphore, permits)),
            Some(_) if !options.reenter => return Err(Error::Nested { name: name.to_owned() }),
            Some((_, there)) if there < permits => {
                return Err(Error::ReenterMore { name: name.to_owned(), asked: permits, there });
            }
            Some(_) => {}
        }
    }

    let begun = Instant::now();
    let patience = match (options.no_wait, options.timeout) {
        (true, _) => Patience::None,
        (false, None) => Patience::Endless,
        (false, Some(time)) => Patience::Until { begun, time },
    };
    let bell = take::bell()?;
    // The token is returned when this function does, after the permits.
    let token = options.jobserver.as_ref();
    let token = token.map(|client| take::token(client, patience, options.quiet, &bell, &mut signals)).transpose();
    let taken = token.and_then(|token| {
        let held = take::all(wanted, &options.label, patience, options.quiet, &bell, &mut signals)?;
        Ok((token, held))
    });
    story.waited = begun.elapsed();
    let (_token, mut held) = match taken {
        Ok(taken) => taken,
        Err(take::Failure::Signal(signal)) => return Ok(Outcome::Interrupted { signal }),
        Err(take::Failure::Lost { permit }) => {
            say(&format!("the permit {permit} was revoked while others were waited for; nothing was started"));
            story.lost = Some(permit);
            return Ok(Outcome::Lost { end: None });
        }
        Err(take::Failure::Error(error)) => return Err(error),
    };
    story.permits = held.iter().map(report::Permit::of).collect();
    if let Some(without) = held.iter().find(|held| held.permit.slots().is_empty())
        && (options.slots || options.gpu.as_ref() == Some(&without.name))
    {
        return Err(Error::NoSlots { name: without.name.clone() });
    }
    if let Some(gpu) = &options.gpu
        && !held.iter().any(|held| held.name == *gpu)
    {
        return Err(Error::GpuReentered { name: gpu.clone() });
    }
    let environment = environment::of(&held, options.gpu.as_deref(), &around);
    let since = Instant::now();
    let outcome = if options.exec {
        Err(replace(options, environment, held))
    } else {
        watch::watch(options, environment, &mut held, &bell, &mut signals, story)
    };
    story.held = since.elapsed();
    outcome
}

/// Becomes the command; returns only if that cannot be, and then the permits are free.
fn replace(options: &Options, environment: environment::Variables, held: Vec<Held>) -> Error {
    let left = match leave_to_ourselves(held) {
        Ok(left) => left,
        Err(error) => return error,
    };
    let program = options.command.first().map(OsString::as_os_str).unwrap_or_default();
    let mut command = Command::new(program);
    command.args(options.command.iter().skip(1));
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let source = command.exec();
    for (semaphore, id) in left {
        // We end in an instant, and then it is free in any case.
        let _ = semaphore.release(id);
    }
    not_started(program, source)
}

type Left = Vec<(gatepost_shared::Semaphore, gatepost_shared::PermitId)>;

/// Ties the permits to our process, whatever program it becomes, and to the descriptors that it hands on.
fn leave_to_ourselves(held: Vec<Held>) -> Result<Left, Error> {
    // A helper that the exec ended in the middle of a change would leave the file's lock to a session that lives on.
    gatepost_shared::stop_helpers();
    for one in &held {
        one.permit.keep(std::process::id())?;
        fcntl_setfd(one.semaphore.session_fd(), FdFlags::empty())
            .map_err(|errno| Error::SetUp { source: errno.into() })?;
    }
    Ok(held.into_iter().map(|held| (held.semaphore, held.permit.leave())).collect())
}

/// The error of a program that could not be started.
fn not_started(program: &OsStr, source: std::io::Error) -> Error {
    Error::NotStarted(StartError::new(Kind::of(&source), program.as_bytes(), source))
}

impl Outcome {
    fn of_error(error: &Error) -> Self {
        match error {
            Error::Shared(gatepost_shared::Error::TimedOut { .. }) => Self::TimedOut,
            Error::Shared(gatepost_shared::Error::Busy { .. }) => Self::Busy,
            Error::Token(client::Error::TimedOut { .. }) => Self::TimedOut,
            Error::Token(client::Error::Busy) => Self::Busy,
            Error::NotStarted(start) => Self::NotStarted { kind: start.kind },
            Error::Shared(shared) if status::of(shared) == exit::LOST => Self::Lost { end: None },
            _ => Self::Failed { status: error.status(), why: error.to_string() },
        }
    }
}
