//! Which events are recorded, and as how much: sampling without bias (G42).
//!
//! A block event of duration `d` is recorded as it is if `d >= rate`; otherwise with probability `d / rate`, and then as
//! `rate / d` events that took `rate` together: 1 and `d` on average. A mutex event is recorded with probability
//! `1 / fraction`, as `fraction` of its kind.

use core::ops::AddAssign;
use std::cell::Cell;

/// What has been recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Totals {
    /// Events. With sampling a fraction is possible: an estimate.
    pub(super) count: f64,
    /// Their waiting, in nanoseconds.
    pub(super) nanos: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.nanos = self.nanos.saturating_add(other.nanos);
    }
}

/// A number below `n`, which is not 0, from a random word.
fn below(n: u64, random: u64) -> u64 {
    #[allow(clippy::cast_possible_truncation)] // less than n
    let scaled = ((u128::from(random) * u128::from(n)) >> 64) as u64;
    scaled
}

/// As what a wait of `nanos` is recorded, if it is.
#[allow(clippy::cast_precision_loss)] // an estimate
pub(super) fn block(nanos: u64, rate: u64, random: impl FnOnce() -> u64) -> Option<Totals> {
    let nanos = nanos.max(1); // G43
    if rate == 0 {
        None
    } else if nanos >= rate {
        Some(Totals { count: 1.0, nanos })
    } else {
        (below(rate, random()) < nanos).then(|| Totals { count: rate as f64 / nanos as f64, nanos: rate })
    }
}

/// As what a release is recorded that let `waiters` go and is charged with `nanos`, if it is.
#[allow(clippy::cast_precision_loss)] // fewer than 2^53 waiters
pub(super) fn mutex(waiters: u64, nanos: u64, fraction: u64, random: impl FnOnce() -> u64) -> Option<Totals> {
    if fraction == 0 || fraction > 1 && below(fraction, random()) != 0 {
        return None;
    }
    Some(Totals { count: waiters as f64 * fraction as f64, nanos: nanos.saturating_mul(fraction) })
}

/// A random word of this thread's: SplitMix64, each thread from a start of its own.
pub(super) fn random() -> u64 {
    use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static THREADS: AtomicU64 = AtomicU64::new(0);
    std::thread_local! {
        static STATE: Cell<u64> = const { Cell::new(0) };
    }
    STATE.with(|state| {
        let mut last = state.get();
        if last == 0 {
            last = mixed(THREADS.fetch_add(1, Relaxed) + 1);
        }
        state.set(last.wrapping_add(STEP));
        mixed(state.get())
    })
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's output function.
fn mixed(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A deterministic source.
    fn source(seed: u64) -> impl FnMut() -> u64 {
        let mut state = seed;
        move || {
            state = state.wrapping_add(STEP);
            mixed(state)
        }
    }

    fn close(estimate: f64, exact: f64, within: f64) {
        assert!((estimate / exact - 1.0).abs() < within, "{estimate} is not near {exact}");
    }

    #[test]
    fn g42_block_events_of_at_least_the_rate_are_recorded_as_they_are() {
        let never = || -> u64 { unreachable!("no chance is taken") };
        assert_eq!(block(1000, 1000, never), Some(Totals { count: 1.0, nanos: 1000 }));
        assert_eq!(block(1, 1, never), Some(Totals { count: 1.0, nanos: 1 }));
        assert_eq!(block(5000, 0, never), None);
    }

    #[test]
    fn g42_shorter_block_events_are_recorded_without_bias() {
        const EVENTS: u32 = 200_000;
        for (nanos, rate) in [(1, 1000), (10, 1000), (250, 1000), (999, 1000), (3, 7)] {
            let mut random = source(nanos * 31 + rate);
            let mut totals = Totals::default();
            for _ in 0..EVENTS {
                if let Some(recorded) = block(nanos, rate, &mut random) {
                    assert_eq!(recorded.nanos, rate);
                    totals += recorded;
                }
            }
            // The standard deviation of the least likely case, 200 expected, is 7 %.
            close(totals.count, f64::from(EVENTS), 0.2);
            close(totals.nanos as f64, f64::from(EVENTS) * nanos as f64, 0.2);
        }
    }

    #[test]
    fn g42_mutex_events_are_recorded_without_bias() {
        const EVENTS: u32 = 200_000;
        for fraction in [2, 5, 100, 1000] {
            let mut random = source(fraction);
            let mut totals = Totals::default();
            let mut recorded = 0;
            for _ in 0..EVENTS {
                if let Some(some) = mutex(3, 70, fraction, &mut random) {
                    assert_eq!(some, Totals { count: 3.0 * fraction as f64, nanos: 70 * fraction });
                    totals += some;
                    recorded += 1;
                }
            }
            close(f64::from(recorded), f64::from(EVENTS) / fraction as f64, 0.2);
            close(totals.count, f64::from(EVENTS) * 3.0, 0.2);
            close(totals.nanos as f64, f64::from(EVENTS) * 70.0, 0.2);
        }
        assert_eq!(mutex(3, 70, 0, || unreachable!()), None);
        assert_eq!(mutex(3, 70, 1, || unreachable!()), Some(Totals { count: 3.0, nanos: 70 }));
    }

    #[test]
    fn g43_a_block_event_without_a_duration_took_a_nanosecond() {
        assert_eq!(block(0, 1, || unreachable!()), Some(Totals { count: 1.0, nanos: 1 }));
        assert_eq!(block(0, 4, || 0), Some(Totals { count: 4.0, nanos: 4 }));
        assert_eq!(block(0, 4, || u64::MAX), None);
    }

    #[test]
    fn random_words_differ_from_thread_to_thread_and_from_call_to_call() {
        let mine = [random(), random()];
        let theirs = std::thread::spawn(|| [random(), random()]).join().expect("it does not panic");
        assert_ne!(mine[0], mine[1]);
        assert_ne!(mine, theirs);
    }
}
