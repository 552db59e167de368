//! What happened, as one JSON object: so that nobody needs to guess from an exit status whose it was.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use gatepost_shared::SCHEMA;
use serde::Serialize;

use super::Story;
use super::take::Held;
use crate::child::End;
use crate::each::spawn::Kind;
use crate::error::Error;
use crate::exit;
use crate::system::given_to_write;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The command exited.
    Exit {
        /// With this.
        status: u8,
    },
    /// A signal ended the command.
    Signal {
        /// Which one.
        signal: i32,
        /// Whether it came from a key of the terminal, which the command had to itself.
        at_the_keyboard: bool,
    },
    /// A permit was lost, and the command ended for it, if it ran.
    Lost {
        /// How the command ended, if it had begun.
        end: Option<End>,
    },
    /// The permits were not to be had in time.
    TimedOut,
    /// The permits were not free.
    Busy,
    /// A signal came while it waited.
    Interrupted {
        /// Which one.
        signal: i32,
    },
    /// The command cannot be run.
    NotStarted {
        /// Why.
        kind: Kind,
    },
    /// Something else went wrong.
    Failed {
        /// The exit status for it.
        status: u8,
        /// The error.
        why: String,
    },
}

impl Outcome {
    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Exit { status } | Self::Failed { status, .. } => *status,
            Self::Signal { signal, .. } | Self::Interrupted { signal } => exit::of_signal(*signal),
            Self::Lost { .. } => exit::LOST,
            Self::TimedOut => exit::TIMED_OUT,
            Self::Busy => exit::BUSY,
            Self::NotStarted { kind } => kind.status(),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Exit { .. } => "exit",
            Self::Signal { .. } => "signal",
            Self::Lost { .. } => "lost",
            Self::TimedOut => "timeout",
            Self::Busy => "busy",
            Self::Interrupted { .. } => "interrupted",
            Self::NotStarted { kind: Kind::NotFound } => "not-found",
            Self::NotStarted { kind: Kind::NotExecutable } => "not-executable",
            Self::NotStarted { .. } => "not-started",
            Self::Failed { .. } => "failed",
        }
    }

    fn end(&self) -> Option<End> {
        match self {
            Self::Exit { status } => Some(End::Exited(*status)),
            Self::Signal { signal, .. } => Some(End::Signalled(*signal)),
            Self::Lost { end } => *end,
            _ => None,
        }
    }

    fn error(&self) -> Option<&str> {
        match self {
            Self::Failed { why, .. } => Some(why),
            _ => None,
        }
    }
}

/// One permit in the report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Permit {
    semaphore: String,
    /// As text: JSON has no other.
    path: String,
    id: u64,
    permits: u32,
    slots: Vec<u32>,
    epochs: Vec<u64>,
}

impl Permit {
    /// What there is to tell of `held`.
    pub(crate) fn of(held: &Held) -> Self {
        Self {
            semaphore: held.name.clone(),
            path: held.semaphore.path().display().to_string(),
            id: held.permit.id().get(),
            permits: held.permit.permits(),
            slots: held.permit.slots(),
            epochs: held.permit.epochs(),
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    outcome: &'static str,
    /// Our exit status.
    status: u8,
    /// The command's own, if it exited.
    exit: Option<u8>,
    /// The signal that ended the command.
    signal: Option<i32>,
    waited_ns: u64,
    held_ns: u64,
    permits: &'a [Permit],
    lost: Option<&'a str>,
    error: Option<&'a str>,
}

/// Where the report goes.
#[derive(Debug)]
pub(crate) struct Target {
    path: PathBuf,
    file: File,
}

impl Target {
    /// Opens `path`, or the descriptor that it is the number of. Done first: that number must be one that we were given.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let number = path.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let opened = match number.and_then(|text| text.parse().ok()) {
            // Not opened anew by its path in /proc: a socket has none, and a file may be another user's.
            Some(number) => given_to_write(number).map(File::from),
            None => File::create(path),
        };
        match opened {
            Ok(file) => Ok(Self { path: path.to_owned(), file }),
            Err(source) => Err(Error::Report { path: path.to_owned(), source }),
        }
    }

    /// Writes it.
    pub(crate) fn write(&self, outcome: &Outcome, status: u8, story: &Story) -> Result<(), Error> {
        let nanoseconds = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let report = Report {
            schema: SCHEMA,
            outcome: outcome.name(),
            status,
            exit: outcome.end().and_then(|end| match end {
                End::Exited(status) => Some(status),
                End::Signalled(_) => None,
            }),
            signal: match outcome {
                Outcome::Interrupted { signal } => Some(*signal),
                _ => outcome.end().and_then(|end| match end {
                    End::Signalled(signal) => Some(signal),
                    End::Exited(_) => None,
                }),
            },
            waited_ns: nanoseconds(story.waited),
            held_ns: nanoseconds(story.held),
            permits: &story.permits,
            lost: story.lost.as_deref(),
            error: outcome.error(),
        };
        let mut line = serde_json::to_vec(&report).expect("numbers and text are JSON");
        line.push(b'\n');
        (&self.file).write_all(&line).map_err(|source| Error::Report { path: self.path.clone(), source })
    }
}
