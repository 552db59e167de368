//! The mutex profile: releasers, charged with what their holding has cost those who waited.

use super::{MUTEX, Snapshot, sample};

/// A release has let `waiters` go and is charged with `nanos`.
pub(super) fn event(waiters: u64, nanos: u64) {
    if let Some(totals) = sample::mutex(waiters, nanos, MUTEX.rate(), sample::random) {
        MUTEX.record(totals);
    }
}

/// Starts the profile, or changes its fraction; returns the fraction before. 0 stops it.
///
/// One in `fraction` of the releases that let somebody go is recorded, as that many of its kind. 1 records all of them.
/// (Go's `SetMutexProfileFraction`.)
///
/// A release is charged with the waiting of all who are in the queue since the release before it: three that waited from
/// second 0 on, and are let go at 1, 2 and 3, cost 3, 2 and 1 second; together the 6 that they waited. Waits that have begun
/// before the profile was started are not counted.
///
/// # Examples
/// ```
/// use gatepost::profile::mutex;
///
/// assert_eq!(mutex::start(100), 0);
/// assert_eq!(mutex::fraction(), 100);
/// mutex::stop();
/// assert_eq!(mutex::fraction(), 0);
/// ```
pub fn start(fraction: u64) -> u64 {
    MUTEX.set_rate(fraction)
}

/// Stops the profile. What it has recorded stays until [`reset`].
pub fn stop() {
    MUTEX.set_rate(0);
}

/// Of how many releases one is recorded; 0 if the profile is off.
pub fn fraction() -> u64 {
    MUTEX.rate()
}

/// What has been recorded, with names: that may take some time.
///
/// # Examples
/// See [`Snapshot`].
pub fn snapshot() -> Snapshot {
    MUTEX.snapshot()
}

/// Forgets what has been recorded. The profile goes on if it is on.
pub fn reset() {
    MUTEX.store.reset();
}

/// How many different stacks are kept: 4096, unless that was changed.
pub fn max_stacks() -> usize {
    MUTEX.store.max()
}

/// Keeps at most `max` different stacks from now on. What does not fit is counted together ([`Snapshot::overflow`]).
///
/// # Examples
/// ```
/// gatepost::profile::mutex::set_max_stacks(100);
/// assert_eq!(gatepost::profile::mutex::max_stacks(), 100);
/// ```
pub fn set_max_stacks(max: usize) {
    MUTEX.store.set_max(max);
}
