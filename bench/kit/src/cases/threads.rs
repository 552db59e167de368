//! C2: threads that contend. One pass without a clock says how much gets through, a second one with a clock around each
//! acquisition says how long each took.

use super::{AUDIT, Audit, Counted, PATIENCE, Window};
use crate::peer::{Threads, check_permits, leak};
use crate::protocol::{Ask, Sample};
use crate::waits::Waits;
use crate::work::work;
use anyhow::{Context as _, Result, anyhow, ensure};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Starts threads that begin together.
pub(crate) fn start<R: Send + 'static>(
    threads: usize,
    body: impl Fn(usize) -> R + Clone + Send + 'static,
) -> Result<Vec<JoinHandle<R>>> {
    let barrier = Arc::new(Barrier::new(threads + 1));
    let handles = (0..threads).map(|thread| {
        let (barrier, body) = (barrier.clone(), body.clone());
        let named = std::thread::Builder::new().name(format!("bench {thread}"));
        named.spawn(move || {
            barrier.wait();
            body(thread)
        })
    });
    let handles = handles.collect::<Result<_, _>>().context("a thread cannot be started")?;
    barrier.wait();
    Ok(handles)
}

/// Joins threads that have been told to stop; those that do not are left behind and reported.
pub(crate) fn join<R>(handles: Vec<JoinHandle<R>>) -> Result<Vec<R>> {
    let start = Instant::now();
    while !handles.iter().all(JoinHandle::is_finished) {
        ensure!(start.elapsed() < PATIENCE, "threads never came to their end: a wake-up was lost");
        std::thread::sleep(Duration::from_micros(100));
    }
    handles.into_iter().map(|handle| handle.join().map_err(|_| anyhow!("a thread panicked"))).collect()
}

/// Has threads take turns for the window, without clocks.
fn throughput(
    threads: usize,
    warm: Duration,
    window: Duration,
    turn: impl Fn() + Clone + Send + 'static,
) -> Result<Counted> {
    let shared = Window::leak(threads);
    let handles = start(threads, move |thread| {
        let mut done = 0;
        while !shared.stop.load(Relaxed) {
            turn();
            done += 1;
            shared.count(thread, done);
        }
    })?;
    let counted = shared.open(warm, window);
    join(handles)?;
    Ok(counted)
}

/// Has threads take turns for the window, with a clock around each `acquire`.
fn waits<P>(
    threads: usize,
    warm: Duration,
    window: Duration,
    acquire: impl Fn() -> P + Clone + Send + 'static,
) -> Result<Waits> {
    let shared = Window::leak(threads);
    let handles = start(threads, move |thread| {
        let (mut waits, mut done) = (Waits::default(), 0);
        while !shared.stop.load(Relaxed) {
            let before = Instant::now();
            let permit = acquire();
            let waited = before.elapsed();
            black_box(&permit);
            work();
            drop(permit);
            done += 1;
            shared.count(thread, done);
            // A wait that began before, or ends after the window, is one of those that somebody had in it.
            if shared.recording.load(Relaxed) {
                waits.record(waited.as_nanos() as u64);
            }
        }
        waits
    })?;
    shared.open(warm, window);
    let mut all = Waits::default();
    join(handles)?.iter().for_each(|waits| all.merge(waits));
    Ok(all)
}

fn sample(counted: &Counted, waits: &Waits) -> Sample {
    Sample {
        histogram: waits.buckets(),
        ..Sample::of("ops_per_s", counted.per_second())
            .with("share", counted.share())
            .with("idle", counted.idle())
            .with("wait_p50", waits.quantile(0.5) as f64)
            .with("wait_p99", waits.quantile(0.99) as f64)
            .with("wait_max", waits.max() as f64)
    }
}

/// C2.
pub fn contend<S: Threads>(ask: &Ask) -> Result<Sample> {
    let (threads, permits) = (ask.count("threads")?, ask.count("permits")?);
    if ask.audit {
        let (semaphore, audit) = (leak::<S>(permits), Audit::leak(permits));
        throughput(threads, Duration::ZERO, AUDIT, move || {
            let permit = semaphore.wait();
            audit.enter(1);
            work();
            audit.leave(1);
            drop(permit);
        })?;
        audit.check()?;
    }
    let semaphore = leak::<S>(permits);
    let counted = throughput(threads, ask.warm(), ask.window(), move || {
        let permit = semaphore.wait();
        black_box(&permit);
        work();
        drop(permit);
    })?;
    counted.check()?;
    check_permits(semaphore, permits)?;
    let semaphore = leak::<S>(permits);
    let waits = waits(threads, ask.warm(), ask.window(), move || semaphore.wait())?;
    check_permits(semaphore, permits)?;
    Ok(sample(&counted, &waits))
}

/// C2 of what is no semaphore.
pub fn no_semaphore(ask: &Ask) -> Result<Sample> {
    let threads = ask.count("threads")?;
    let counted = throughput(threads, ask.warm(), ask.window(), work)?;
    Ok(sample(&counted, &waits(threads, ask.warm(), ask.window(), || ())?))
}
