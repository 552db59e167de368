//! How long a thread waits, and why it stopped.

use core::error::Error;
use core::fmt;

/// Until when a thread waits: a moment on the platform's clock, and how much later it may be told.
///
/// # Examples
/// ```
/// use gatepost::kernel::Deadline;
///
/// let soon = Deadline::at(1_000).with_slack(50);
/// assert_eq!((soon.when(), soon.latest()), (1_000, 1_050));
/// assert!(Deadline::INFINITE.is_infinite());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    when: u64,
    slack: u64,
}

impl Deadline {
    /// Never.
    pub const INFINITE: Self = Self { when: u64::MAX, slack: 0 };

    /// A moment that has passed: takes what is there, and otherwise gives up.
    pub const PASSED: Self = Self { when: 0, slack: 0 };

    /// At `when`, in nanoseconds on the platform's clock. `u64::MAX` is never.
    pub const fn at(when: u64) -> Self {
        Self { when, slack: 0 }
    }

    /// The same, but up to `slack` nanoseconds later, so that several timers may be served at one time.
    #[must_use]
    pub const fn with_slack(self, slack: u64) -> Self {
        Self { slack, ..self }
    }

    /// The earliest moment at which the wait may time out.
    pub const fn when(self) -> u64 {
        self.when
    }

    /// The moment by which it should have.
    pub const fn latest(self) -> u64 {
        self.when.saturating_add(self.slack)
    }

    /// Whether there is none.
    pub const fn is_infinite(self) -> bool {
        self.when == u64::MAX
    }

    /// Whether it has come at `now`.
    pub const fn has_come(self, now: u64) -> bool {
        !self.is_infinite() && now >= self.when
    }
}

/// Why a thread's wait ended without what it waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitFailure {
    /// The deadline came first (`ZX_ERR_TIMED_OUT`).
    TimedOut,
    /// The thread is to die (`ZX_ERR_INTERNAL_INTR_KILLED`): it should unwind, and wait for nothing any more.
    Killed,
    /// The thread was suspended (`ZX_ERR_INTERNAL_INTR_RETRY`): when it has been resumed, it may wait again.
    Suspended,
    /// Something came that ends this one wait (`EINTR`): [`Thread::interrupt`](super::Thread::interrupt). It may wait again.
    Interrupted,
}

impl fmt::Display for WaitFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "timed out",
            Self::Killed => "interrupted: the thread is killed",
            Self::Suspended => "interrupted: the thread is suspended, retry when it is resumed",
            Self::Interrupted => "interrupted: retry",
        })
    }
}

impl Error for WaitFailure {}
