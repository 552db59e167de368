//! The two clocks: the boot clock, which counts through suspension and which nobody sets, to compute with; and the wall clock, to show.
//!
//! Reading the boot clock takes longer than the rest of an acquisition. Where a millisecond more or less does not matter - since
//! when a grant is held - it is the kernel's clock of ticks that is read, at a quarter of the cost, and what the two clocks differ
//! by is looked up again every ten milliseconds, since it grows with each suspension.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::Moment;

/// Nanoseconds of the boot clock.
pub(crate) fn boot_ns() -> u64 {
    read(ClockId::Boottime)
}

fn read(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// How far the boot clock is ahead of the clock of ticks, and until when that is believed. Two words that need not agree: each
/// difference was right when it was stored.
static AHEAD: AtomicU64 = AtomicU64::new(0);
static BELIEVED_UNTIL: AtomicU64 = AtomicU64::new(0);
const BELIEF_NS: u64 = 10_000_000;

/// Nanoseconds of the boot clock, to the kernel's tick: 1 to 10 ms.
#[inline]
pub(crate) fn boot_ns_by_ticks() -> u64 {
    let ticks = read(ClockId::MonotonicCoarse);
    if ticks >= BELIEVED_UNTIL.load(Relaxed) {
        AHEAD.store(boot_ns().saturating_sub(read(ClockId::Monotonic)), Relaxed);
        BELIEVED_UNTIL.store(ticks + BELIEF_NS, Relaxed);
    }
    ticks + AHEAD.load(Relaxed)
}

/// Nanoseconds since 1970.
pub(crate) fn real_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    boot_ns: u64,
    real: SystemTime,
}

impl Now {
    pub(crate) fn new() -> Self {
        Self { boot_ns: boot_ns(), real: SystemTime::now() }
    }

    /// This moment.
    pub(crate) fn moment(self) -> Moment {
        Moment { at: self.real, boot_ns: self.boot_ns }
    }

    /// The moment at which the boot clock shows `boot_ns`. A file may say anything, so it is kept where dates are.
    pub(crate) fn at(self, boot_ns: u64) -> Moment {
        let at = if boot_ns <= self.boot_ns {
            self.real.checked_sub(Duration::from_nanos(self.boot_ns - boot_ns))
        } else {
            self.real.checked_add(Duration::from_nanos(boot_ns - self.boot_ns))
        };
        Moment { at: at.filter(is_a_date).unwrap_or(UNIX_EPOCH), boot_ns }
    }

    /// How long ago that was.
    pub(crate) fn since(self, boot_ns: u64) -> Duration {
        Duration::from_nanos(self.boot_ns.saturating_sub(boot_ns))
    }
}

/// Whether the year has four digits.
fn is_a_date(at: &SystemTime) -> bool {
    *at >= UNIX_EPOCH && *at < UNIX_EPOCH + Duration::from_secs(250_000_000_000)
}

/// The moment that many nanoseconds after the beginning of 1970.
pub(crate) fn wall(real_ns: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_nanos(real_ns)).filter(is_a_date).unwrap_or(UNIX_EPOCH)
}
