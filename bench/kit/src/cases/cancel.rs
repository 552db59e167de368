//! C4: many wait, and are dropped in a random order, the same for each peer.

use super::storm::enqueue;
use crate::peer::{Tasks, leak};
use crate::protocol::{Ask, Sample};
use crate::waker::Tally;
use crate::work::Random;
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// The order in which `n` waiters are dropped.
pub fn order(n: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    Random::new(n as u64).shuffle(&mut order);
    order
}

/// Does `cancel` for each of `order` and returns the nanoseconds for each, and how many it was when `limit` cut it short.
pub fn timed(order: &[u32], limit: Duration, mut cancel: impl FnMut(usize)) -> (f64, Option<usize>) {
    let start = Instant::now();
    for (done, chunk) in order.chunks(256).enumerate() {
        if done > 0 && start.elapsed() > limit {
            let done = done * 256;
            return (start.elapsed().as_nanos() as f64 / done as f64, Some(done));
        }
        chunk.iter().for_each(|&index| cancel(index as usize));
    }
    (start.elapsed().as_nanos() as f64 / order.len() as f64, None)
}

/// C4.
pub fn storm<S: Tasks>(ask: &Ask) -> Result<Sample> {
    let n = ask.count("waiters")?;
    let order = order(n);
    let (semaphore, tally) = (leak::<S>(0), Tally::leak());
    let waker = tally.waker();
    let (mut queue, _) = enqueue(semaphore, n, ask.limit(), &waker)?;
    let (ns, cut) = timed(&order, ask.limit(), |index| queue.end(index));
    ensure!(tally.count() == 0, "somebody was woken though there is no permit");
    ensure!(semaphore.try_one().is_none(), "there is a permit that nobody added");
    let note = cut.map(|done| format!("ended after {done} of {n} cancels, for time"));
    Ok(Sample { note, ..Sample::of("ns", ns) })
}
