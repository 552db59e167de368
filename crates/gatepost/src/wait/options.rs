//! How long a thread waits, and why a wait ended without what was waited for.

use super::interrupt::Interrupter;
use core::error::Error;
use core::fmt;
use std::time::{Duration, Instant};

/// How long a thread waits, and what else may end the wait.
///
/// # Examples
/// ```
/// use gatepost::{Interrupter, Semaphore, WaitError, WaitOptions};
/// use std::time::Duration;
///
/// let semaphore = Semaphore::new(0);
/// let interrupter = Interrupter::new();
/// let options = WaitOptions::new().timeout(Duration::from_millis(1)).interrupter(&interrupter);
/// assert_eq!(semaphore.acquire().wait_with(options).unwrap_err(), WaitError::TimedOut);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct WaitOptions<'i> {
    pub(crate) deadline: Option<Instant>,
    pub(crate) interrupter: Option<&'i Interrupter>,
}

impl<'i> WaitOptions<'i> {
    /// Waits for as long as it takes.
    pub const fn new() -> Self {
        Self { deadline: None, interrupter: None }
    }

    /// Gives up after `timeout` from now, instead of at a deadline set before. One that is too long for the clock
    /// ([`Duration::MAX`], say) is none.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { deadline: Instant::now().checked_add(timeout), ..self }
    }

    /// Gives up at `deadline`, instead of at one set before.
    pub const fn deadline(self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), interrupter: self.interrupter }
    }

    /// Gives up when `interrupter` is used.
    pub const fn interrupter(self, interrupter: &'i Interrupter) -> Self {
        Self { deadline: self.deadline, interrupter: Some(interrupter) }
    }
}

/// Why a thread's wait ended without what it waited for. The waiter has left the queue and holds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitError {
    /// The semaphore has been [closed](crate::Semaphore::close) and gives out no more permits.
    Closed,
    /// The deadline came first.
    TimedOut,
    /// The wait's [`Interrupter`](crate::Interrupter) was used, and this wait has consumed the interrupt.
    Interrupted,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "semaphore closed",
            Self::TimedOut => "timed out before what was waited for came",
            Self::Interrupted => "interrupted before what was waited for came",
        })
    }
}

impl Error for WaitError {}
