//! Why permits were not given.

#[cfg(feature = "std")]
use crate::wait::options::WaitError;
use core::error::Error;
use core::fmt;

/// The semaphore has been [closed](super::Semaphore::close) and gives out no more permits.
///
/// As in Tokio, waiting for permits can fail for this reason only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcquireError(());

impl AcquireError {
    pub(crate) const fn closed() -> Self {
        Self(())
    }
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("semaphore closed")
    }
}

impl Error for AcquireError {}

/// Why a `try_acquire` form did not get its permits. It left everything as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryAcquireError {
    /// The semaphore has been [closed](super::Semaphore::close) and gives out no more permits.
    Closed,
    /// There are fewer free permits than were asked for, or others wait for them already.
    NoPermits,
}

impl TryAcquireError {
    /// Whether the semaphore is closed.
    pub const fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }

    /// Whether there were too few permits.
    pub const fn is_no_permits(&self) -> bool {
        matches!(self, Self::NoPermits)
    }
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "semaphore closed",
            Self::NoPermits => "no permits available",
        })
    }
}

impl Error for TryAcquireError {}

#[cfg(feature = "std")]
impl From<AcquireError> for WaitError {
    fn from(_: AcquireError) -> Self {
        Self::Closed
    }
}
