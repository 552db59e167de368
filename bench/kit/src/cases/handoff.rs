//! C7: how long a permit takes from one to another. Two of them pass it back and forth over two semaphores, and half of a
//! round trip is one way. Between threads that are never asleep, if the peer spins before it sleeps; between threads of
//! which the other is certainly asleep; between tasks.

use super::PATIENCE;
use super::threads::join;
use crate::peer::{Deposit, Tasks, Threads, leak};
use crate::protocol::{Ask, Sample};
use crate::stats::median;
use anyhow::{Context as _, Result, ensure};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Takes a permit that the other has added.
fn take<S: Threads + Deposit>(semaphore: &'static S) {
    S::forget(semaphore.wait());
}

/// Takes turns with a partner, `there` to `back`, until the time is over; returns the nanoseconds one way. The partner
/// does the same the other way round, and ends when `last` is set before it gets its turn.
pub fn running<S: Threads + Deposit>(ask: &Ask) -> Result<Sample> {
    let (there, back) = (leak::<S>(0), leak::<S>(0));
    let last: &'static AtomicBool = Box::leak(Box::default());
    let (warm, window) = (ask.warm(), ask.window());
    let partner = std::thread::spawn(move || {
        loop {
            take(there);
            // ORDERING: Acquire pairs with the Release of the other thread, though the semaphore already orders them.
            let ends = last.load(Ordering::Acquire);
            back.add(1);
            if ends {
                return None;
            }
        }
    });
    let this = std::thread::spawn(move || {
        let round_trips = |time: Duration| {
            let (start, mut n) = (Instant::now(), 0_u32);
            while start.elapsed() < time {
                for _ in 0..8 {
                    there.add(1);
                    take(back);
                }
                n += 8;
            }
            start.elapsed().as_nanos() as f64 / f64::from(n)
        };
        round_trips(warm);
        let each = round_trips(window);
        // ORDERING: Release pairs with the Acquire of the partner.
        last.store(true, Ordering::Release);
        there.add(1);
        take(back);
        Some(each)
    });
    let each = join(vec![this, partner])?.into_iter().flatten().next().context("no thread measured")?;
    Ok(Sample::of("ns", each / 2.0))
}

/// Whether a thread of this process sleeps, as the kernel has it.
#[cfg(target_os = "linux")]
pub(crate) fn sleeps(thread: u64) -> bool {
    // After the name, which is in parentheses and may hold anything.
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('S'))
}

#[cfg(target_os = "linux")]
pub(crate) fn this_thread() -> u64 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) as u64 }
}

/// Elsewhere the pause before must do.
#[cfg(not(target_os = "linux"))]
pub(crate) fn sleeps(_thread: u64) -> bool {
    true
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn this_thread() -> u64 {
    0
}

/// C7 between threads of which the other is asleep: from before the release to where the other has its permit.
pub fn parked<S: Threads + Deposit>(ask: &Ask) -> Result<Sample> {
    /// Longer than anybody spins.
    const PAUSE: Duration = Duration::from_micros(200);
    struct Shared {
        partner: AtomicU64,
        /// When the partner ran, after `origin`; 0 while it has not.
        ran: AtomicU64,
        last: AtomicBool,
    }
    let semaphore = leak::<S>(0);
    let shared: &'static Shared =
        Box::leak(Box::new(Shared { partner: 0.into(), ran: 0.into(), last: AtomicBool::new(false) }));
    let origin = Instant::now();
    let partner = std::thread::spawn(move || {
        // ORDERING: the Release stores below pair with the Acquire loads of the thread that waits for them.
        shared.partner.store(this_thread(), Ordering::Release);
        loop {
            take(semaphore);
            let now = origin.elapsed().as_nanos() as u64;
            let ends = shared.last.load(Ordering::Acquire);
            shared.ran.store(now.max(1), Ordering::Release);
            if ends {
                return;
            }
        }
    });
    let one_way = || {
        let start = Instant::now();
        loop {
            std::thread::sleep(PAUSE);
            // ORDERING: Acquire pairs with the partner's Release.
            if sleeps(shared.partner.load(Ordering::Acquire)) {
                break;
            }
            ensure!(start.elapsed() < PATIENCE, "the thread that waits never sleeps");
        }
        shared.ran.store(0, Ordering::Relaxed);
        let released = origin.elapsed().as_nanos() as u64;
        semaphore.add(1);
        loop {
            // ORDERING: Acquire pairs with the partner's Release.
            let ran = shared.ran.load(Ordering::Acquire);
            if ran != 0 {
                return Ok(ran.saturating_sub(released) as f64);
            }
            ensure!(start.elapsed() < PATIENCE, "the thread that waits was not woken");
            // On one processor the partner needs it.
            std::thread::sleep(Duration::from_micros(20));
        }
    };
    let start = Instant::now();
    let mut each = Vec::new();
    while start.elapsed() < ask.window() || each.len() < 5 {
        each.push(one_way()?);
    }
    // ORDERING: Release pairs with the partner's Acquire.
    shared.last.store(true, Ordering::Release);
    one_way()?;
    join(vec![partner])?;
    Ok(Sample::of("ns", median(&each).context("no sample")?))
}

/// C7 between two tasks.
pub fn tasks<S: Tasks + Deposit>(ask: &Ask) -> Result<Sample> {
    let (there, back) = (leak::<S>(0), leak::<S>(0));
    let last: &'static AtomicBool = Box::leak(Box::default());
    let (warm, window) = (ask.warm(), ask.window());
    let runtime = super::tasks::runtime()?;
    let partner = runtime.spawn(async move {
        loop {
            S::forget(S::permit(there.one().await));
            // ORDERING: Acquire pairs with the Release of the other task.
            let ends = last.load(Ordering::Acquire);
            back.add(1);
            if ends {
                return;
            }
        }
    });
    let this = runtime.spawn(async move {
        let mut each = 0.0;
        for time in [warm, window] {
            let (start, mut n) = (Instant::now(), 0_u32);
            while start.elapsed() < time || n == 0 {
                for _ in 0..8 {
                    there.add(1);
                    S::forget(S::permit(back.one().await));
                }
                n += 8;
            }
            each = start.elapsed().as_nanos() as f64 / f64::from(n);
        }
        // ORDERING: Release pairs with the Acquire of the partner.
        last.store(true, Ordering::Release);
        there.add(1);
        S::forget(S::permit(back.one().await));
        each
    });
    let both = async { tokio::time::timeout(PATIENCE, async { (this.await, partner.await) }).await };
    let ended = runtime.block_on(both);
    runtime.shutdown_background();
    let (each, partner) = ended.context("tasks never came to their end: a wake-up was lost")?;
    partner.context("a task panicked")?;
    Ok(Sample::of("ns", each.context("a task panicked")? / 2.0))
}
