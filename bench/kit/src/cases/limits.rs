//! L1: what the machine itself takes. No semaphore is in any of these.

use super::nanoseconds_each;
use super::tasks::{self, YieldControl};
use crate::protocol::{Ask, Sample};
use crate::waker::Tally;
use anyhow::{Context as _, Result, anyhow, bail};
use crossbeam_utils::CachePadded;
use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The probes, in the order in which they are shown.
pub const PROBES: &[&str] =
    &["rmw pair", "line one way", "futex wake, nobody", "futex wake to run", "bare wake", "task yield", "clock"];

/// L1.
pub fn probe(ask: &Ask) -> Result<Sample> {
    let ns = match ask.word("probe")? {
        "rmw pair" => nanoseconds_each(ask.window(), rmw_pairs),
        "line one way" => line_one_way(ask.window())?,
        "futex wake, nobody" => futex::wake_nobody(ask.window())?,
        "futex wake to run" => futex::wake_to_run(ask.window())?,
        "bare wake" => nanoseconds_each(ask.window(), wakes),
        "task yield" => task_yield(ask)?,
        "clock" => nanoseconds_each(ask.window(), clock),
        other => bail!("there is no probe {other:?}; there are {PROBES:?}"),
    };
    Ok(Sample::of("ns", ns))
}

/// What an acquisition and a release take at least: a load and a compare-and-swap, then an addition, on one line.
#[inline(never)]
pub fn rmw_pairs(n: u64) {
    let word = CachePadded::new(AtomicU64::new(16));
    let word = black_box(&word);
    for _ in 0..n {
        // ORDERING: as a semaphore's own: what is acquired synchronizes with what was released.
        let seen = word.load(Ordering::Relaxed);
        let taken = word.compare_exchange(seen, seen - 1, Ordering::Acquire, Ordering::Relaxed);
        assert!(taken.is_ok(), "nobody else changes it");
        word.fetch_add(1, Ordering::Release);
    }
}

fn wakes(n: u64) {
    let tally = Tally::leak();
    for _ in 0..n {
        black_box(tally.waker()).wake();
    }
}

fn clock(n: u64) {
    for _ in 0..n {
        black_box(Instant::now());
    }
}

/// A task that yields, among 64 on one worker for each processor: what a task pays at least that waits.
fn task_yield(ask: &Ask) -> Result<f64> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let counted = tasks::contend(64, ask.warm(), ask.window(), false, YieldControl)?;
    let with_work = workers as f64 * 1e9 / counted.per_second();
    let counted = tasks::contend(64, ask.warm(), ask.window(), true, tasks::NoSemaphore)?;
    let work = workers as f64 * 1e9 / counted.per_second();
    Ok((with_work - work).max(0.0))
}

/// A cache line from one processor to another: half of a round trip, in rounds of 1000, the median of which counts.
pub fn line_one_way(window: Duration) -> Result<f64> {
    const TRIPS: u64 = 1000;
    let line: &'static CachePadded<AtomicU64> = Box::leak(Box::new(CachePadded::new(AtomicU64::new(0))));
    const END: u64 = u64::MAX;
    let partner = std::thread::spawn(move || {
        loop {
            let mut seen = line.load(Ordering::Acquire);
            while seen.is_multiple_of(2) {
                spin_loop();
                seen = line.load(Ordering::Acquire);
            }
            if seen == END {
                return;
            }
            // ORDERING: Release and Acquire only so that each sees the other's value and nothing is reordered.
            line.store(seen + 1, Ordering::Release);
        }
    });
    let (start, mut rounds, mut value) = (Instant::now(), Vec::new(), 0);
    while start.elapsed() < window || rounds.len() < 3 {
        let round = Instant::now();
        for _ in 0..TRIPS {
            line.store(value + 1, Ordering::Release);
            value += 2;
            while line.load(Ordering::Acquire) != value {
                spin_loop();
            }
        }
        rounds.push(round.elapsed().as_nanos() as f64 / (2 * TRIPS) as f64);
    }
    // ORDERING: as above.
    line.store(END, Ordering::Release);
    partner.join().map_err(|_| anyhow!("a thread panicked"))?;
    crate::stats::median(&rounds).context("no round")
}

#[cfg(target_os = "linux")]
mod futex {
    use super::*;
    use crate::stats::median;
    use std::sync::atomic::AtomicU32;

    fn call(word: &AtomicU32, operation: libc::c_int, value: u32) -> libc::c_long {
        let operation = operation | libc::FUTEX_PRIVATE_FLAG;
        let no_timeout = std::ptr::null::<libc::timespec>();
        // SAFETY: the word outlives the call, and there is no other pointer.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, no_timeout) }
    }

    pub(super) fn wake_nobody(window: Duration) -> Result<f64> {
        let word = AtomicU32::new(0);
        Ok(nanoseconds_each(window, |n| {
            for _ in 0..n {
                black_box(call(&word, libc::FUTEX_WAKE, 1));
            }
        }))
    }

    /// From before the call that wakes to where the sleeper runs.
    pub(super) fn wake_to_run(window: Duration) -> Result<f64> {
        struct Shared {
            /// Even: sleep. Odd: run. 1 less than the largest: end.
            word: AtomicU32,
            ran: AtomicU64,
        }
        const END: u32 = u32::MAX;
        let shared: &'static Shared = Box::leak(Box::new(Shared { word: 0.into(), ran: 0.into() }));
        let origin = Instant::now();
        let sleeper = std::thread::spawn(move || {
            let mut asleep = 0;
            loop {
                // ORDERING: Acquire and Release pair with the waker's, so that each sees what the other wrote before.
                while shared.word.load(Ordering::Acquire) == asleep {
                    call(&shared.word, libc::FUTEX_WAIT, asleep);
                }
                shared.ran.store((origin.elapsed().as_nanos() as u64).max(1), Ordering::Release);
                asleep = shared.word.load(Ordering::Acquire);
                if asleep == END {
                    return;
                }
            }
        });
        let mut times = Vec::new();
        while origin.elapsed() < window || times.len() < 5 {
            // Long enough to fall asleep.
            std::thread::sleep(Duration::from_micros(200));
            shared.ran.store(0, Ordering::Relaxed);
            let woken = origin.elapsed().as_nanos() as u64;
            shared.word.fetch_add(1, Ordering::Release);
            call(&shared.word, libc::FUTEX_WAKE, 1);
            let ran = loop {
                // ORDERING: as above.
                match shared.ran.load(Ordering::Acquire) {
                    0 => std::thread::sleep(Duration::from_micros(20)),
                    ran => break ran,
                }
            };
            times.push(ran.saturating_sub(woken) as f64);
        }
        shared.word.store(END, Ordering::Release);
        call(&shared.word, libc::FUTEX_WAKE, 1);
        sleeper.join().map_err(|_| anyhow!("a thread panicked"))?;
        median(&times).context("no sample")
    }
}

#[cfg(not(target_os = "linux"))]
mod futex {
    use super::*;

    pub(super) fn wake_nobody(_window: Duration) -> Result<f64> {
        bail!("futex(2) is Linux's")
    }

    pub(super) fn wake_to_run(_window: Duration) -> Result<f64> {
        bail!("futex(2) is Linux's")
    }
}
