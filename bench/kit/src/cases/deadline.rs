//! C8: a storm of deadlines. There is one permit; a holder takes it for 100 µs, gives it back and takes it again, and many
//! others ask for it with less patience than that. What matters: that a time-out comes when it should, that some of them
//! get the permit, and that it is still there at the end.

use super::threads::{join, start};
use super::{Counted, PATIENCE, Window};
use crate::peer::{Tasks, Timed, check_permits, leak};
use crate::protocol::{Ask, Sample};
use crate::waits::Waits;
use anyhow::{Context as _, Result};
use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const HOLD: Duration = Duration::from_micros(100);
const THREADS: usize = 16;
const THREAD_PATIENCE: Duration = Duration::from_micros(50);
const TASKS: usize = 1000;
const TASK_PATIENCE: Duration = Duration::from_millis(1);

/// Keeps the processor for as long as the permit is to be held: to sleep would take longer than that.
fn hold<P>(permit: P) {
    black_box(&permit);
    let start = Instant::now();
    while start.elapsed() < HOLD {
        spin_loop();
    }
    drop(permit);
}

/// What those who asked found.
#[derive(Default)]
struct Outcome {
    granted: AtomicU64,
    refused: AtomicU64,
    late: Mutex<Waits>,
}

impl Outcome {
    /// An attempt ended after `took`, with a permit or without.
    fn ended(&self, shared: &Window, granted: bool, took: Duration, patience: Duration) {
        if !shared.recording.load(Relaxed) {
            return;
        }
        if granted {
            self.granted.fetch_add(1, Relaxed);
        } else {
            self.refused.fetch_add(1, Relaxed);
            let mut waits = self.late.lock().unwrap_or_else(PoisonError::into_inner);
            waits.record(took.saturating_sub(patience).as_nanos() as u64);
        }
    }

    fn sample(&self, counted: &Counted) -> Result<Sample> {
        counted.check()?;
        let (granted, refused) = (self.granted.load(Relaxed) as f64, self.refused.load(Relaxed) as f64);
        let late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Sample {
            histogram: late.buckets(),
            ..Sample::of("ops_per_s", counted.per_second())
                .with("granted", granted / (granted + refused).max(1.0))
                .with("late_p99", late.quantile(0.99) as f64)
        })
    }
}

/// C8 by threads.
pub fn threads<S: Timed>(ask: &Ask) -> Result<Sample> {
    let semaphore = leak::<S>(1);
    // The holder is not counted among those who ask.
    let shared = Window::leak(THREADS);
    let outcome = Arc::new(Outcome::default());
    let seen = outcome.clone();
    let handles = start(THREADS + 1, move |thread| {
        let mut done = 0;
        while !shared.stop.load(Relaxed) {
            if thread == THREADS {
                hold(semaphore.wait());
                continue;
            }
            let start = Instant::now();
            let permit = semaphore.wait_timeout(THREAD_PATIENCE);
            seen.ended(shared, permit.is_some(), start.elapsed(), THREAD_PATIENCE);
            drop(permit);
            done += 1;
            shared.count(thread, done);
        }
    })?;
    let counted = shared.open(ask.warm(), ask.window());
    join(handles)?;
    check_permits(semaphore, 1)?;
    outcome.sample(&counted)
}

/// C8 by tasks, whose deadline is the runtime's own timer: it counts whole milliseconds.
pub fn tasks<S: Tasks>(ask: &Ask) -> Result<Sample> {
    let semaphore = leak::<S>(1);
    let shared = Window::leak(TASKS);
    let outcome = Arc::new(Outcome::default());
    let runtime = super::tasks::runtime()?;
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn_on(
        async move {
            while !shared.stop.load(Relaxed) {
                let granted = semaphore.one().await;
                hold(S::permit(granted));
                // Others run on this worker, too.
                tokio::task::yield_now().await;
            }
        },
        runtime.handle(),
    );
    for task in 0..TASKS {
        let seen = outcome.clone();
        let asking = async move {
            let mut done = 0;
            while !shared.stop.load(Relaxed) {
                let start = Instant::now();
                // Not held over the yield below.
                let end = |granted: Result<S::Granted, _>| {
                    seen.ended(shared, granted.is_ok(), start.elapsed(), TASK_PATIENCE);
                    drop(granted.map(S::permit));
                };
                end(tokio::time::timeout(TASK_PATIENCE, semaphore.one()).await);
                done += 1;
                shared.count(task, done);
                tokio::task::yield_now().await;
            }
        };
        tasks.spawn_on(asking, runtime.handle());
    }
    let counted = shared.open(ask.warm(), ask.window());
    let ended = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, async {
            while let Some(ended) = tasks.join_next().await {
                ended.context("a task panicked")?;
            }
            anyhow::Ok(())
        })
        .await
    });
    runtime.shutdown_background();
    ended.context("tasks never came to their end: a wake-up was lost")??;
    check_permits(semaphore, 1)?;
    outcome.sample(&counted)
}
