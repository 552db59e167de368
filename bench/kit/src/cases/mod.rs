//! The loops of the cases.

pub mod addresses;
pub mod cancel;
pub mod deadline;
pub mod handoff;
pub mod limits;
pub mod memory;
#[cfg(target_os = "linux")]
pub mod processes;
pub mod profiles;
pub mod storm;
pub mod tasks;
pub mod threads;
pub mod uncontended;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use crossbeam_utils::CachePadded;

/// How long workers may take to end when they are told to. Whoever needs longer has lost a wake-up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long a window waits for each worker to have begun.
const LATEST: Duration = Duration::from_millis(50);

/// What the workers of a contended case share.
#[derive(Debug)]
pub(crate) struct Window {
    /// How often each has been through; each has a line of its own.
    pub(crate) counts: Box<[CachePadded<AtomicU64>]>,
    pub(crate) go: AtomicBool,
    /// Waits count from here on.
    pub(crate) recording: AtomicBool,
    pub(crate) stop: CachePadded<AtomicBool>,
}

/// What they did in the window.
pub(crate) struct Counted {
    pub(crate) each: Vec<u64>,
    pub(crate) took: Duration,
}

impl Window {
    /// For so many workers; it lives for ever, as a worker that is stuck may.
    pub(crate) fn leak(workers: usize) -> &'static Self {
        Box::leak(Box::new(Self {
            counts: (0..workers).map(|_| CachePadded::default()).collect(),
            go: AtomicBool::new(false),
            recording: AtomicBool::new(false),
            stop: CachePadded::new(AtomicBool::new(false)),
        }))
    }

    /// Counts one operation of a worker, which alone writes this count.
    #[inline(always)]
    pub(crate) fn count(&self, worker: usize, done: u64) {
        self.counts[worker].store(done, Relaxed);
    }

    fn now(&self) -> Vec<u64> {
        self.counts.iter().map(|count| count.load(Relaxed)).collect()
    }

    /// Sleeps for `time`, and then on until somebody has done something since `before`: on a machine that is busy with
    /// something else, nobody may have run meanwhile.
    fn pass(&self, time: Duration, before: &[u64]) {
        let start = Instant::now();
        std::thread::sleep(time);
        while self.now() == before && start.elapsed() < PATIENCE {
            std::thread::sleep(time.max(Duration::from_millis(1)));
        }
    }

    /// Lets them go, warm up, and work for the window; then tells them to stop.
    pub(crate) fn open(&self, warm: Duration, window: Duration) -> Counted {
        self.go.store(true, Relaxed);
        self.pass(warm, &vec![0; self.counts.len()]);
        // The first to come have it all to themselves until the last have begun. (Some never do, with some peers.)
        let start = Instant::now();
        while self.now().contains(&0) && start.elapsed() < LATEST {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.recording.store(true, Relaxed);
        let (start, before) = (Instant::now(), self.now());
        self.pass(window, &before);
        let (took, after) = (start.elapsed(), self.now());
        self.stop.store(true, Relaxed);
        Counted { each: after.iter().zip(&before).map(|(after, before)| after - before).collect(), took }
    }
}

impl Counted {
    /// Operations of all of them in a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.each.iter().sum::<u64>() as f64 / self.took.as_secs_f64()
    }

    /// What the least got of what the most got.
    pub(crate) fn share(&self) -> f64 {
        let (min, max) = (self.each.iter().min(), self.each.iter().max());
        min.zip(max).map_or(0.0, |(min, max)| if *max == 0 { 0.0 } else { *min as f64 / *max as f64 })
    }

    /// How many got nothing.
    pub(crate) fn idle(&self) -> f64 {
        self.each.iter().filter(|count| **count == 0).count() as f64
    }

    /// That something happened at all.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(self.each.iter().any(|count| *count > 0), "nobody got a permit in {:?}", self.took);
        Ok(())
    }
}

/// Whether more permits are out than there are: what an audit counts, apart from what is measured.
#[derive(Debug)]
pub(crate) struct Audit {
    permits: usize,
    inside: std::sync::atomic::AtomicUsize,
    broken: AtomicBool,
}

impl Audit {
    pub(crate) fn leak(permits: usize) -> &'static Self {
        Box::leak(Box::new(Self { permits, inside: 0.into(), broken: AtomicBool::new(false) }))
    }

    /// `n` permits are held.
    pub(crate) fn enter(&self, n: usize) {
        if self.inside.fetch_add(n, Relaxed) + n > self.permits {
            self.broken.store(true, Relaxed);
        }
    }

    /// `n` permits are about to be given back.
    pub(crate) fn leave(&self, n: usize) {
        self.inside.fetch_sub(n, Relaxed);
    }

    pub(crate) fn check(&self) -> Result<()> {
        ensure!(!self.broken.load(Relaxed), "more than {} permits were out at one time", self.permits);
        Ok(())
    }
}

/// How long an audit runs.
pub(crate) const AUDIT: Duration = Duration::from_millis(2);

/// Runs `operations(n)` so often that it takes about `window`, and returns the nanoseconds for each.
///
/// The count is found first, by shorter runs of the same loop, which also warm it up; no clock is read within the loop.
pub(crate) fn nanoseconds_each(window: Duration, mut operations: impl FnMut(u64)) -> f64 {
    let calibration = (window / 8).max(Duration::from_micros(200));
    let mut timed = |n| {
        let start = Instant::now();
        operations(n);
        start.elapsed()
    };
    let mut n = 64;
    let each = loop {
        let took = timed(n);
        if took >= calibration {
            break took.as_secs_f64() / n as f64;
        }
        let missing = calibration.as_secs_f64() / took.as_secs_f64().max(1e-9);
        n = (n as f64 * (missing * 1.2).clamp(1.5, 64.0)) as u64;
    };
    let n = ((window.as_secs_f64() / each) as u64).max(1);
    timed(n).as_nanos() as f64 / n as f64
}
