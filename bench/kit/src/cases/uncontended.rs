//! U: one thread, and the permits are there. A permit is looked at through a reference and dropped: to pass one by value
//! through `black_box` costs more than to get it.

use super::nanoseconds_each;
use crate::peer::{Tasks, TasksMany, Threads, Try, TryMany, check_permits, leak};
use crate::protocol::{Ask, Sample};
use anyhow::Result;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Enough for two requests for many.
pub const PERMITS: usize = 16;
/// How many U3 asks for.
pub const MANY: usize = 8;

fn sample<S: Try>(ask: &Ask, operations: fn(&'static S, u64)) -> Result<Sample> {
    let semaphore = leak::<S>(PERMITS);
    let ns = nanoseconds_each(ask.window(), |n| operations(semaphore, n));
    check_permits(semaphore, PERMITS)?;
    Ok(Sample::of("ns", ns))
}

/// The same for a peer that cannot try for one.
fn sample_many<S: TryMany>(ask: &Ask, operations: fn(&'static S, u64)) -> Result<Sample> {
    let semaphore = leak::<S>(PERMITS);
    let ns = nanoseconds_each(ask.window(), |n| operations(semaphore, n));
    let all = semaphore.try_many(PERMITS);
    anyhow::ensure!(all.is_some() && semaphore.try_many(1).is_none(), "not exactly {PERMITS} permits are there");
    Ok(Sample::of("ns", ns))
}

/// U1.
pub fn try_one<S: Try>(ask: &Ask) -> Result<Sample> {
    #[inline(never)]
    fn operations<S: Try>(semaphore: &'static S, n: u64) {
        for _ in 0..n {
            let permit = semaphore.try_one().expect("permits are free");
            black_box(&permit);
            drop(permit);
        }
    }
    sample::<S>(ask, operations)
}

/// U3try.
pub fn try_many<S: TryMany>(ask: &Ask) -> Result<Sample> {
    #[inline(never)]
    fn operations<S: TryMany>(semaphore: &'static S, n: u64) {
        for _ in 0..n {
            let permits = semaphore.try_many(MANY).expect("permits are free");
            black_box(&permits);
            drop(permits);
        }
    }
    sample_many::<S>(ask, operations)
}

/// Polls once, which must do.
#[inline(always)]
pub(crate) fn poll_once<S: Tasks>(future: impl Future<Output = S::Granted>, cx: &mut Context<'_>) -> S::Permit {
    match pin!(future).poll(cx) {
        Poll::Ready(granted) => S::permit(granted),
        Poll::Pending => panic!("permits are free, and yet it waits"),
    }
}

/// U2.
pub fn await_one<S: Tasks>(ask: &Ask) -> Result<Sample> {
    #[inline(never)]
    fn operations<S: Tasks>(semaphore: &'static S, n: u64) {
        let cx = &mut Context::from_waker(Waker::noop());
        for _ in 0..n {
            let permit = poll_once::<S>(semaphore.one(), cx);
            black_box(&permit);
            drop(permit);
        }
    }
    sample::<S>(ask, operations)
}

/// U3.
pub fn await_many<S: TasksMany>(ask: &Ask) -> Result<Sample> {
    #[inline(never)]
    fn operations<S: TasksMany>(semaphore: &'static S, n: u64) {
        let cx = &mut Context::from_waker(Waker::noop());
        for _ in 0..n {
            let permits = poll_once::<S>(semaphore.many(MANY), cx);
            black_box(&permits);
            drop(permits);
        }
    }
    sample::<S>(ask, operations)
}

/// U4.
pub fn block_one<S: Threads>(ask: &Ask) -> Result<Sample> {
    #[inline(never)]
    fn operations<S: Threads>(semaphore: &'static S, n: u64) {
        for _ in 0..n {
            let permit = semaphore.wait();
            black_box(&permit);
            drop(permit);
        }
    }
    sample::<S>(ask, operations)
}

/// U, for a loop that is no semaphore's.
pub fn reference(ask: &Ask, operations: fn(u64)) -> Result<Sample> {
    Ok(Sample::of("ns", nanoseconds_each(ask.window(), operations)))
}
