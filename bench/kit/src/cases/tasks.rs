//! C1, C1b and C5: tasks that contend on a runtime with as many workers as there are processors.
//!
//! In C1 each peer is as it comes: some spend the runtime's cooperative budget, the others never make a task yield while
//! permits are free. In C1b nobody has a budget, and every task yields by itself, holding nothing.

use super::{AUDIT, Audit, Counted, PATIENCE, Window};
use crate::peer::{Tasks, TasksMany, check_permits, leak};
use crate::protocol::{Ask, Sample};
use crate::work::work;
use anyhow::{Context as _, Result};
use std::hint::black_box;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// How many operations lie between two yields in C1b.
const BETWEEN_YIELDS: u64 = 64;

/// Of how many permits C5's tasks ask for some.
const MIXED: usize = 16;

/// What a task does again and again.
pub trait Turn: Copy + Send + 'static {
    /// Once.
    fn turn(self, task: usize) -> impl Future<Output = ()> + Send;
}

pub(crate) fn runtime() -> Result<Runtime> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = Builder::new_multi_thread().worker_threads(workers).enable_time().build();
    runtime.context("tokio's runtime cannot be started")
}

/// Has tasks take turns for the window.
pub(crate) fn contend(
    tasks: usize,
    warm: Duration,
    window: Duration,
    yields: bool,
    turn: impl Turn,
) -> Result<Counted> {
    let runtime = runtime()?;
    let shared = Window::leak(tasks);
    let body = move |task| async move {
        while !shared.go.load(Relaxed) {
            tokio::task::yield_now().await;
        }
        let mut done = 0;
        while !shared.stop.load(Relaxed) {
            turn.turn(task).await;
            done += 1;
            shared.count(task, done);
            if yields && u64::is_multiple_of(done, BETWEEN_YIELDS) {
                tokio::task::yield_now().await;
            }
        }
    };
    let handles: Vec<_> = (0..tasks)
        .map(|task| match yields {
            true => runtime.spawn(tokio::task::unconstrained(body(task))),
            false => runtime.spawn(body(task)),
        })
        .collect();
    let counted = shared.open(warm, window);
    let ended = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, async {
            for handle in handles {
                handle.await.context("a task panicked")?;
            }
            anyhow::Ok(())
        })
        .await
    });
    runtime.shutdown_background();
    ended.context("tasks never came to their end: a wake-up was lost")??;
    Ok(counted)
}

struct One<S: 'static>(&'static S);
struct OneAudited<S: 'static>(&'static S, &'static Audit);
struct Mixed<S: 'static>(&'static S);
struct MixedAudited<S: 'static>(&'static S, &'static Audit);

macro_rules! copy {
    ($($turn:ident),*) => {$(
        impl<S> Clone for $turn<S> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<S> Copy for $turn<S> {}
    )*};
}
copy!(One, OneAudited, Mixed, MixedAudited);

/// Not a future: so a permit is never held over an await.
#[inline(always)]
fn hold<S: Tasks>(granted: S::Granted) {
    let permit = S::permit(granted);
    black_box(&permit);
    work();
    drop(permit);
}

fn hold_audited<S: Tasks>(granted: S::Granted, audit: &Audit, n: usize) {
    let permit = S::permit(granted);
    audit.enter(n);
    work();
    audit.leave(n);
    drop(permit);
}

/// How many permits a task of C5 asks for.
fn weight(task: usize) -> usize {
    task % MIXED + 1
}

impl<S: Tasks> Turn for One<S> {
    #[inline(always)]
    async fn turn(self, _task: usize) {
        hold::<S>(self.0.one().await);
    }
}

impl<S: Tasks> Turn for OneAudited<S> {
    async fn turn(self, _task: usize) {
        hold_audited::<S>(self.0.one().await, self.1, 1);
    }
}

impl<S: TasksMany> Turn for Mixed<S> {
    #[inline(always)]
    async fn turn(self, task: usize) {
        hold::<S>(self.0.many(weight(task)).await);
    }
}

impl<S: TasksMany> Turn for MixedAudited<S> {
    async fn turn(self, task: usize) {
        hold_audited::<S>(self.0.many(weight(task)).await, self.1, weight(task));
    }
}

/// A turn without a semaphore: how fast the runtime could be.
#[derive(Clone, Copy, Debug)]
pub struct NoSemaphore;

impl Turn for NoSemaphore {
    #[inline(always)]
    async fn turn(self, _task: usize) {
        work();
    }
}

/// A turn without a semaphore that goes through the runtime each time, as one that waits must.
#[derive(Clone, Copy, Debug)]
pub struct YieldControl;

impl Turn for YieldControl {
    #[inline(always)]
    async fn turn(self, _task: usize) {
        work();
        tokio::task::yield_now().await;
    }
}

fn sample(counted: &Counted) -> Result<Sample> {
    counted.check()?;
    Ok(Sample::of("ops_per_s", counted.per_second()).with("share", counted.share()).with("idle", counted.idle()))
}

fn one<S: Tasks>(ask: &Ask, yields: bool) -> Result<Sample> {
    let (tasks, permits) = (ask.count("tasks")?, ask.count("permits")?);
    if ask.audit {
        let (semaphore, audit) = (leak::<S>(permits), Audit::leak(permits));
        contend(tasks, Duration::ZERO, AUDIT, yields, OneAudited(semaphore, audit))?;
        audit.check()?;
    }
    let semaphore = leak::<S>(permits);
    let counted = contend(tasks, ask.warm(), ask.window(), yields, One(semaphore))?;
    check_permits(semaphore, permits)?;
    sample(&counted)
}

/// C1.
pub fn as_it_comes<S: Tasks>(ask: &Ask) -> Result<Sample> {
    one::<S>(ask, false)
}

/// C1b.
pub fn yielding<S: Tasks>(ask: &Ask) -> Result<Sample> {
    one::<S>(ask, true)
}

/// C1 or C1b of what is no semaphore.
pub fn reference(ask: &Ask, turn: impl Turn) -> Result<Sample> {
    sample(&contend(ask.count("tasks")?, ask.warm(), ask.window(), ask.case == "C1b", turn)?)
}

/// C5.
pub fn mixed<S: TasksMany>(ask: &Ask) -> Result<Sample> {
    const TASKS: usize = 64;
    if ask.audit {
        let (semaphore, audit) = (leak::<S>(MIXED), Audit::leak(MIXED));
        contend(TASKS, Duration::ZERO, AUDIT, false, MixedAudited(semaphore, audit))?;
        audit.check()?;
    }
    let semaphore = leak::<S>(MIXED);
    let counted = contend(TASKS, ask.warm(), ask.window(), false, Mixed(semaphore))?;
    check_permits(semaphore, MIXED)?;
    counted.check()?;
    let mean = |of: std::ops::RangeInclusive<usize>| {
        let counts = || counted.each.iter().enumerate().filter(|(task, _)| of.contains(&weight(*task)));
        counts().map(|(_, count)| *count as f64).sum::<f64>() / counts().count() as f64
    };
    let (big, small) = (mean(13..=16), mean(1..=4));
    let sample = Sample::of("ops_per_s", counted.per_second()).with("share", counted.share());
    Ok(sample.with("big_small", if small > 0.0 { big / small } else { f64::from(big > 0.0) }))
}
