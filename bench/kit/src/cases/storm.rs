//! C3: many wait, then permits come, all in one call or one call for each; then each waiter is polled to its end, and its
//! permit dropped. One thread, raw futures side by side, a waker that counts: nothing but the semaphore's own work.

use crate::peer::{Deposit, Tasks, leak};
use crate::protocol::{Ask, Sample};
use crate::queue::Queue;
use crate::waker::Tally;
use anyhow::{Result, bail, ensure};
use std::hint::black_box;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Has `n` futures join the queue of a semaphore without permits, and returns them with the time for each. Whoever takes
/// longer than `limit` is given up: what is left of it is leaked.
pub(crate) fn enqueue<S: Tasks>(
    semaphore: &'static S,
    n: usize,
    limit: Duration,
    waker: &Waker,
) -> Result<(Queue<impl Future<Output = S::Granted> + use<S>>, f64)> {
    let cx = &mut Context::from_waker(waker);
    let mut queue = Queue::new(n, || semaphore.one());
    let start = Instant::now();
    for index in 0..n {
        if index % 256 == 255 && start.elapsed() > limit {
            let each = start.elapsed().as_nanos() / index as u128;
            bail!("too slow: joining the queue took {each} ns for each of the first {index} waiters of {n}");
        }
        ensure!(queue.poll(index, cx).is_pending(), "it got a permit that is not there");
    }
    let each = start.elapsed().as_nanos() as f64 / n as f64;
    Ok((queue, each))
}

/// C3.
pub fn wake<S: Tasks + Deposit>(ask: &Ask) -> Result<Sample> {
    let n = ask.count("waiters")?;
    let at_once = ask.word("release")? == "all";
    ensure!(S::MANY || !at_once, "it cannot add that many permits in one call");
    let (semaphore, tally) = (leak::<S>(0), Tally::leak());
    let waker = tally.waker();
    let cx = &mut Context::from_waker(&waker);
    let (mut queue, enqueue_ns) = enqueue(semaphore, n, ask.limit(), &waker)?;

    let start = Instant::now();
    if at_once {
        semaphore.add(n);
    } else {
        for released in 0..n {
            if released % 256 == 255 && start.elapsed() > ask.limit() {
                let each = start.elapsed().as_nanos() / released as u128;
                bail!("too slow: a release took {each} ns, of the first {released} of {n}");
            }
            semaphore.add(1);
        }
    }
    let released = start.elapsed();
    let polling = Instant::now();
    let mut pending = 0;
    for index in 0..n {
        pending += usize::from(!complete::<S>(&mut queue, index, cx));
    }
    let polled = polling.elapsed();
    // A peer that wakes one waiter at a time may be behind by some polls, but by no permit.
    for index in 0..n {
        if pending > 0 && queue.is_there(index) && complete::<S>(&mut queue, index, cx) {
            pending -= 1;
        }
    }
    ensure!(pending == 0, "{pending} of {n} waiters have no permit though there is one for each");
    ensure!(tally.count() > 0, "nobody was woken");
    let each = |time: Duration| time.as_nanos() as f64 / n as f64;
    Ok(Sample::of("ns", each(released) + each(polled))
        .with("enqueue_ns", enqueue_ns)
        .with("release_ns", each(released))
        .with("poll_ns", each(polled)))
}

#[inline(always)]
fn complete<S: Tasks>(queue: &mut Queue<impl Future<Output = S::Granted>>, index: usize, cx: &mut Context<'_>) -> bool {
    match queue.poll(index, cx) {
        Poll::Ready(granted) => {
            let permit = S::permit(granted);
            black_box(&permit);
            drop(permit);
            queue.end(index);
            true
        }
        Poll::Pending => false,
    }
}
