//! The block profile: waiters, charged with what they waited.

use super::{BLOCK, Snapshot, sample};

/// A wait is over.
pub(super) fn event(nanos: u64) {
    if let Some(totals) = sample::block(nanos, BLOCK.rate(), sample::random) {
        BLOCK.record(totals);
    }
}

/// Starts the profile, or changes its rate; returns the rate before. 0 stops it.
///
/// One sample is taken, on average, for each `nanos_per_sample` nanoseconds of waiting: a wait that takes as long or longer
/// is always recorded, a shorter one with the probability of its length over the rate, and then as so many that the sums
/// are right on average. 1 records every wait. (Go's `SetBlockProfileRate`.)
///
/// Waits that have begun already are not counted.
///
/// # Examples
/// ```
/// use gatepost::profile::block;
///
/// assert_eq!(block::start(10_000), 0); // ten microseconds
/// assert_eq!(block::rate(), 10_000);
/// block::stop();
/// assert_eq!(block::rate(), 0);
/// ```
pub fn start(nanos_per_sample: u64) -> u64 {
    BLOCK.set_rate(nanos_per_sample)
}

/// Stops the profile. What it has recorded stays until [`reset`].
pub fn stop() {
    BLOCK.set_rate(0);
}

/// The rate in nanoseconds; 0 if the profile is off.
pub fn rate() -> u64 {
    BLOCK.rate()
}

/// What has been recorded, with names: that may take some time.
///
/// # Examples
/// See [`Snapshot`].
pub fn snapshot() -> Snapshot {
    BLOCK.snapshot()
}

/// Forgets what has been recorded. The profile goes on if it is on.
pub fn reset() {
    BLOCK.store.reset();
}

/// How many different stacks are kept: 4096, unless that was changed.
pub fn max_stacks() -> usize {
    BLOCK.store.max()
}

/// Keeps at most `max` different stacks from now on. What does not fit is counted together ([`Snapshot::overflow`]).
///
/// # Examples
/// ```
/// gatepost::profile::block::set_max_stacks(100);
/// assert_eq!(gatepost::profile::block::max_stacks(), 100);
/// ```
pub fn set_max_stacks(max: usize) {
    BLOCK.store.set_max(max);
}
