//! How a job ended.

use std::fmt;

use super::spawn::{Kind, StartError};
use crate::exit;

/// How a job ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It exited with 0.
    Success,
    /// It exited with another status.
    Exit(u8),
    /// A signal ended it, which did not come from us.
    Signal(i32),
    /// `--timeout` ended it.
    TimedOut,
    /// Its permit of the machine's semaphore was revoked, and it was ended for that.
    Lost,
    /// It was never there.
    CannotStart(StartError),
    /// The run ended it, or ended before it could start.
    Stopped,
}

impl Outcome {
    /// Whether it counts as a failed job. One that the run itself ended does not.
    pub(crate) fn is_failure(&self) -> bool {
        !matches!(self, Self::Success | Self::Stopped)
    }

    /// The status that a shell would show for it.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Success => exit::SUCCESS,
            Self::Exit(status) => *status,
            Self::Signal(signal) => exit::of_signal(*signal),
            Self::TimedOut => exit::TIMED_OUT,
            Self::Lost => exit::LOST,
            Self::CannotStart(error) => error.kind.status(),
            Self::Stopped => exit::of_signal(signal_hook::consts::SIGTERM),
        }
    }

    /// Its name in the log.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Exit(_) => "exit",
            Self::Signal(_) => "signal",
            Self::TimedOut => "timeout",
            Self::Lost => "lost",
            Self::CannotStart(error) => match error.kind {
                Kind::Lost => "lost",
                Kind::NotFound => "not-found",
                Kind::NotExecutable => "not-executable",
                Kind::ArgumentsTooLong | Kind::NoRoom | Kind::Ended => "not-started",
            },
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => write!(f, "succeeded"),
            Self::Exit(status) => write!(f, "exited with status {status}"),
            Self::Signal(signal) => match signal_hook::low_level::signal_name(*signal) {
                Some(name) => write!(f, "was ended by {name}"),
                None => write!(f, "was ended by signal {signal}"),
            },
            Self::TimedOut => write!(f, "took longer than --timeout allows and was ended"),
            Self::Lost => write!(f, "lost its permit, which was revoked, and was ended"),
            Self::CannotStart(error) => write!(f, "did not start: {error}"),
            Self::Stopped => write!(f, "was ended with the run"),
        }
    }
}
