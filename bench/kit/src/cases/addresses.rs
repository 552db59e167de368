//! A: many addresses. What it costs to join and to be woken where many wait: each at an address of its own (A1), all at one
//! (A2), each at an address that shares a root of Go's table with all others (A3); and what it costs one that comes and goes
//! beside them (A4).
//!
//! Raw futures are polled by hand, as in C3: what is timed is the semaphore's own work. Tasks and threads pay for being
//! scheduled, too, and are compared with goroutines, who do.

use super::handoff::{sleeps, this_thread};
use super::{PATIENCE, nanoseconds_each};
use crate::cases::threads::join;
use crate::peer::{Deposit, Peer, Tasks, Threads};
use crate::protocol::{Ask, Sample};
use crate::queue::Queue;
use crate::waker::Tally;
use anyhow::{Context as _, Result, bail, ensure};
use std::mem::MaybeUninit;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// More threads than that are more than anybody has.
const MOST_THREADS: usize = 10_000;

/// Words whose addresses, by eights, leave the same remainder by 251: one root of Go's table.
#[repr(C, align(8))]
struct Apart<S> {
    word: S,
    _rest: MaybeUninit<[u8; 2000]>,
}

/// The semaphores, none of which has a permit.
enum Spots<S: 'static> {
    Beside(&'static [S]),
    Apart(&'static [Apart<S>]),
}

impl<S: Peer> Spots<S> {
    /// Where the `n` waiters of a case wait.
    fn of(case: &str, n: usize) -> Self {
        match case {
            "A1" => Self::Beside(Box::leak((0..n).map(|_| S::new(0)).collect())),
            "A2" => Self::Beside(Box::leak(Box::new([S::new(0)]))),
            _ => Self::apart(n),
        }
    }

    fn apart(n: usize) -> Self {
        let mut words = Box::new_uninit_slice(n);
        for word in &mut words {
            let word: &mut MaybeUninit<Apart<S>> = word;
            // SAFETY: only the semaphore is written: the rest may stay as it is, and its pages untouched.
            unsafe { (&raw mut (*word.as_mut_ptr()).word).write(S::new(0)) };
        }
        // SAFETY: each has its semaphore; the rest may be anything.
        Self::Apart(Box::leak(unsafe { words.assume_init() }))
    }

    fn at(&self, index: usize) -> &'static S {
        match self {
            Self::Beside(one) if one.len() == 1 => &one[0],
            Self::Beside(all) => &all[index],
            Self::Apart(all) => &all[index].word,
        }
    }

    /// Nobody waits any more. (Whoever fails leaks them, as somebody may.)
    fn free(self) {
        // SAFETY: they came from a box, and every future and thread that knew them has ended.
        unsafe {
            match self {
                Self::Beside(all) => drop(Box::from_raw(std::ptr::from_ref(all).cast_mut())),
                Self::Apart(all) => drop(Box::from_raw(std::ptr::from_ref(all).cast_mut())),
            }
        }
    }
}

/// How long it took, for all waiters together.
#[derive(Clone, Copy, Default)]
struct Times {
    /// Until the last one waits, or is about to.
    enqueue: Duration,
    /// The releases alone.
    release: Duration,
    /// From the first release until the last one has its permit.
    wake: Duration,
}

impl Times {
    /// Of passes that are alike: of each part the middle one, which no turn of the scheduler is in.
    fn median(passes: &[Self]) -> Self {
        let of = |part: fn(&Self) -> Duration| {
            let mut all: Vec<Duration> = passes.iter().map(part).collect();
            all.sort_unstable();
            all[all.len() / 2]
        };
        Self { enqueue: of(|pass| pass.enqueue), release: of(|pass| pass.release), wake: of(|pass| pass.wake) }
    }

    fn total(self) -> f64 {
        (self.enqueue + self.wake).as_nanos() as f64
    }
}

/// An interval less the look at the clock that is in it.
fn since(start: Instant, clock: Duration) -> Duration {
    start.elapsed().saturating_sub(clock)
}

/// How long a look at the clock takes.
fn clock() -> Duration {
    const LOOKS: u32 = 1000;
    let start = Instant::now();
    for _ in 0..LOOKS {
        std::hint::black_box(Instant::now());
    }
    start.elapsed() / LOOKS
}

/// Waiters in all passes together, if one pass has fewer.
const ONCE: usize = 20_000;

/// The most passes of those in which somebody sleeps, so as to be sure that others do.
const MOST_PASSES: usize = 20;

/// Passes of `n` waiters and of half as many: each waiter's part, and how the whole grows.
fn sample(ask: &Ask, most: usize, mut pass: impl FnMut(usize) -> Result<Times>) -> Result<Sample> {
    let n = waiters(ask)?;
    let mut times = |n: usize| -> Result<Times> {
        let passes: Vec<Times> = (0..(ONCE / n).clamp(1, most)).map(|_| pass(n)).collect::<Result<_>>()?;
        Ok(Times::median(&passes))
    };
    let (large, small) = (n.max(2), n.max(2) / 2);
    let few = times(small)?;
    let many = times(large)?;
    let times = if n == small { few } else { many };
    let each = |time: Duration| time.as_nanos() as f64 / n as f64;
    Ok(Sample::of("ns", each(times.enqueue + times.wake))
        .with("enqueue_ns", each(times.enqueue))
        .with("wake_ns", each(times.wake))
        .with("release_ns", each(times.release))
        .with("doubling", many.total() / few.total().max(1.0)))
}

fn waiters(ask: &Ask) -> Result<usize> {
    ask.count("addresses").or_else(|_| ask.count("waiters"))
}

/// The order in which they are released: at random, the same for each peer.
fn order(n: usize) -> Vec<u32> {
    super::cancel::order(n)
}

/// A1 to A3 by futures, polled by hand.
pub fn futures<S: Tasks + Deposit>(ask: &Ask) -> Result<Sample> {
    let clock = clock();
    sample(ask, ONCE, |n| {
        let spots = Spots::<S>::of(&ask.case, n);
        let times = by_hand(&spots, &order(n), ask.limit(), clock)?;
        spots.free();
        Ok(times)
    })
}

fn by_hand<S: Tasks + Deposit>(spots: &Spots<S>, order: &[u32], limit: Duration, clock: Duration) -> Result<Times> {
    let n = order.len();
    // One for each pass would be left for ever.
    let tally = Box::into_raw(Box::new(Tally::default()));
    // SAFETY: it is given back below, when nobody has a waker of it any more; on failure it is leaked.
    let tally: &'static Tally = unsafe { &*tally };
    let waker = tally.waker();
    let cx = &mut Context::from_waker(&waker);
    let mut next = 0..n;
    let mut queue = Queue::new(n, || spots.at(next.next().unwrap_or(0)).one());

    let start = Instant::now();
    for index in 0..n {
        if index % 4096 == 4095 && start.elapsed() > limit {
            bail!("too slow: to join took {} ns each", start.elapsed().as_nanos() / index as u128);
        }
        ensure!(queue.poll(index, cx).is_pending(), "it got a permit that is not there");
    }
    let enqueue = since(start, clock);
    let start = Instant::now();
    for (released, &index) in order.iter().enumerate() {
        if released % 4096 == 4095 && start.elapsed() > limit {
            bail!("too slow: a release took {} ns", start.elapsed().as_nanos() / released as u128);
        }
        spots.at(index as usize).add(1);
    }
    let release = since(start, clock);
    let polling = Instant::now();
    let mut pending = 0;
    for &index in order {
        match queue.poll(index as usize, cx) {
            Poll::Ready(granted) => S::forget(S::permit(granted)),
            Poll::Pending => pending += 1,
        }
    }
    let wake = release + since(polling, clock);
    ensure!(pending == 0, "{pending} of {n} waiters have no permit though there is one for each");
    ensure!(tally.count() == n as u64, "{} wake-ups of {n} waiters", tally.count());
    (0..n).for_each(|index| queue.end(index));
    // SAFETY: made above; the futures, and with them the wakers, have ended.
    drop(unsafe { Box::from_raw(std::ptr::from_ref(tally).cast_mut()) });
    Ok(Times { enqueue, release, wake })
}

/// A4: one that comes, is woken and goes, beside many that stay.
pub fn beside<S: Tasks + Deposit>(ask: &Ask) -> Result<Sample> {
    let (others, many) = (ask.count("others")?, ask.word("at")? == "many");
    let of = |n: usize| -> Result<f64> {
        let spots = Spots::<S>::apart(if many { n + 1 } else { 2 });
        let place = |index: usize| spots.at(if many { index + 1 } else { 1 });
        let waker = Tally::leak().waker();
        let cx = &mut Context::from_waker(&waker);
        let mut next = 0..n;
        let mut queue = Queue::new(n, || place(next.next().unwrap_or(0)).one());
        for index in 0..n {
            ensure!(queue.poll(index, cx).is_pending(), "it got a permit that is not there");
        }
        let own = spots.at(0);
        let ns = nanoseconds_each(ask.window(), |times| {
            for _ in 0..times {
                let mut one = pin!(own.one());
                assert!(one.as_mut().poll(cx).is_pending(), "it got a permit that is not there");
                own.add(1);
                let Poll::Ready(granted) = one.as_mut().poll(cx) else { panic!("it was not woken") };
                S::forget(S::permit(granted));
            }
        });
        (0..n).for_each(|index| queue.end(index));
        spots.free();
        Ok(ns)
    };
    let half = of(others / 2)?;
    let ns = of(others)?;
    Ok(Sample::of("ns", ns).with("doubling", ns / half))
}

/// Those who wait to begin, who are about to wait, and who have been woken.
#[derive(Default)]
struct Crowd {
    ready: AtomicUsize,
    arrived: AtomicUsize,
    done: AtomicUsize,
    /// Not all could be started: nobody waits.
    given_up: AtomicBool,
}

/// Waits for others, on processors that they need, too.
fn until(counter: &AtomicUsize, n: usize, what: &str) -> Result<()> {
    let start = Instant::now();
    // ORDERING: Acquire pairs with the Release of whoever counts.
    while counter.load(Ordering::Acquire) < n {
        ensure!(start.elapsed() < PATIENCE, "{} of {n} {what}", counter.load(Ordering::Relaxed));
        std::thread::yield_now();
    }
    Ok(())
}

/// Releases all, each at its spot, and waits until they have their permits.
fn release_all<S: Deposit>(spots: &Spots<S>, order: &[u32], crowd: &Crowd, clock: Duration) -> Result<Times> {
    let start = Instant::now();
    for &index in order {
        spots.at(index as usize).add(1);
    }
    let release = since(start, clock);
    until(&crowd.done, order.len(), "were woken")?;
    Ok(Times { release, wake: since(start, clock), ..Times::default() })
}

/// A1 to A3 by tasks of a runtime with two workers.
pub fn tasks<S: Tasks + Deposit>(ask: &Ask) -> Result<Sample> {
    let (clock, runtime) = (clock(), super::tasks::runtime()?);
    let result = sample(ask, MOST_PASSES, |n| {
        let spots = Spots::<S>::of(&ask.case, n);
        let crowd: &'static Crowd = Box::leak(Box::default());
        let gate: &'static tokio::sync::Semaphore = Box::leak(Box::new(tokio::sync::Semaphore::new(0)));
        for index in 0..n {
            let spot = spots.at(index);
            runtime.spawn(async move {
                // ORDERING: the Release halves of these pair with the Acquire of `until`.
                crowd.ready.fetch_add(1, Ordering::Release);
                let opened = gate.acquire().await;
                crowd.arrived.fetch_add(1, Ordering::Release);
                drop(opened);
                let granted = spot.one().await;
                S::forget(S::permit(granted));
                crowd.done.fetch_add(1, Ordering::Release);
            });
        }
        until(&crowd.ready, n, "tasks began")?;
        let start = Instant::now();
        gate.close();
        until(&crowd.arrived, n, "tasks came to wait")?;
        let enqueue = since(start, clock);
        // The last may still be on its way.
        std::thread::sleep(Duration::from_millis(2));
        let times = Times { enqueue, ..release_all(&spots, &order(n), crowd, clock)? };
        // A release may still be at its spot, though whom it woke is gone; and so may a future of a task that has counted.
        while runtime.metrics().num_alive_tasks() > 0 {
            std::thread::yield_now();
        }
        spots.free();
        Ok(times)
    });
    runtime.shutdown_background();
    result
}

/// A1 to A3 by threads.
pub fn threads<S: Threads + Deposit>(ask: &Ask) -> Result<Sample> {
    let n = waiters(ask)?;
    ensure!(n <= MOST_THREADS, "cannot wait with that many threads: {MOST_THREADS} at most");
    let clock = clock();
    sample(ask, MOST_PASSES, |n| {
        let spots = Spots::<S>::of(&ask.case, n);
        let crowd: &'static Crowd = Box::leak(Box::default());
        let gate: &'static RwLock<()> = Box::leak(Box::default());
        let ids: &'static [AtomicU64] = Box::leak((0..n).map(|_| AtomicU64::new(0)).collect());
        let closed = gate.write().unwrap_or_else(PoisonError::into_inner);
        let spawn = |index: usize| {
            let spot = spots.at(index);
            let body = move || {
                ids[index].store(this_thread(), Ordering::Relaxed);
                // ORDERING: the Release halves of these pair with the Acquire of `until`.
                crowd.ready.fetch_add(1, Ordering::Release);
                drop(gate.read().unwrap_or_else(PoisonError::into_inner));
                if crowd.given_up.load(Ordering::Relaxed) {
                    return;
                }
                crowd.arrived.fetch_add(1, Ordering::Release);
                S::forget(spot.wait());
                crowd.done.fetch_add(1, Ordering::Release);
            };
            std::thread::Builder::new().stack_size(64 << 10).spawn(body)
        };
        let mut handles = Vec::new();
        for index in 0..n {
            match spawn(index) {
                Ok(handle) => handles.push(handle),
                Err(error) => {
                    crowd.given_up.store(true, Ordering::Relaxed);
                    return Err(error).with_context(|| format!("thread {index} of {n} cannot be started"));
                }
            }
        }
        until(&crowd.ready, n, "threads began")?;
        let start = Instant::now();
        drop(closed);
        until(&crowd.arrived, n, "threads came to wait")?;
        let enqueue = since(start, clock);
        let patience = Instant::now();
        for id in ids {
            while !sleeps(id.load(Ordering::Relaxed)) {
                ensure!(patience.elapsed() < PATIENCE, "a thread that waits never sleeps");
                std::thread::sleep(Duration::from_micros(50));
            }
        }
        let times = Times { enqueue, ..release_all(&spots, &order(n), crowd, clock)? };
        join(handles)?;
        spots.free();
        Ok(times)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Word(#[allow(dead_code)] u32);

    impl Peer for Word {
        type Permit = ();

        fn new(_permits: usize) -> Self {
            Self(0)
        }
    }

    #[test]
    fn words_apart_share_a_root_of_gos_table_and_words_beside_one_another_do_not() {
        let root = |spots: &Spots<Word>, index| (std::ptr::from_ref(spots.at(index)).addr() >> 3) % 251;
        let apart = Spots::<Word>::of("A3", 9);
        assert!((1..9).all(|index| root(&apart, index) == root(&apart, 0)));
        assert!(!std::ptr::eq(apart.at(0), apart.at(1)));
        apart.free();
        let (beside, one) = (Spots::<Word>::of("A1", 9), Spots::<Word>::of("A2", 9));
        assert!(root(&beside, 0) != root(&beside, 8) && std::ptr::eq(one.at(0), one.at(8)));
        beside.free();
        one.free();
    }
}
