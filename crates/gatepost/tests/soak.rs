//! Random load from threads and tasks, with invariants: a few rounds always, an hour with `cargo xtask soak`.
//!
//! Each round has its own semaphore, whose permits are known. Workers take them in every way there is, give up in every
//! way there is, and put them back. At each moment no more permits are in use than there are; at the end of a round all
//! are back, and nobody waits. A round that does not end is a lost wake-up: the watchdog says so.
#![cfg(feature = "std")]

use gatepost::{Interrupter, Semaphore, SemaphorePermit, WaitError, WaitOptions};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// A small generator: the load has to be random, not unpredictable. (xorshift64*)
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}

struct Round {
    semaphore: Semaphore,
    permits: usize,
    in_use: AtomicUsize,
    closing: bool,
}

impl Round {
    /// Uses the permits for a moment and puts them back, in one of several ways.
    fn use_and_return<'a>(&'a self, mut permit: SemaphorePermit<'a>, random: &mut Random) {
        let n = permit.num_permits();
        let others = self.in_use.fetch_add(n, SeqCst);
        assert!(others + n <= self.permits, "{others} and {n} of {} permits in use", self.permits);
        if random.below(4) == 0 {
            thread::yield_now();
        }
        self.in_use.fetch_sub(n, SeqCst);
        match random.below(4) {
            0 => {
                permit.forget();
                self.semaphore.add_permits(n);
            }
            1 => {
                let part = permit.split(random.below(n + 1)).expect("no more than there are");
                drop(permit);
                drop(part);
            }
            2 => {
                let part = permit.split(n / 2).expect("no more than there are");
                permit.merge(part);
            }
            _ => {}
        }
    }

    /// One acquisition, in one of several ways. Whether there is a point in going on.
    fn step(&self, random: &mut Random, interrupter: &Interrupter) -> bool {
        let n = random.below(self.permits + 1);
        let semaphore = &self.semaphore;
        let outcome = match random.below(8) {
            0 => semaphore
                .try_acquire_n(n)
                .map_err(|error| if error.is_closed() { WaitError::Closed } else { WaitError::TimedOut }),
            1 => semaphore.acquire_n(n).wait().map_err(WaitError::from),
            2 => semaphore.acquire_n(n).wait_timeout(Duration::from_nanos(random.below(50_000) as u64)),
            3 => semaphore.acquire_n(n).wait_interruptible(interrupter),
            4 => {
                // Polled, and then waited for in place, or dropped.
                let mut acquire = pin!(semaphore.acquire_n(n));
                match acquire.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(result) => result.map_err(WaitError::from),
                    Poll::Pending if random.below(2) == 0 => Err(WaitError::TimedOut),
                    Poll::Pending => acquire.wait_pinned(WaitOptions::new().timeout(Duration::from_micros(20))),
                }
            }
            5 => {
                // A resize: what is free goes and comes back.
                let forgotten =
                    if random.below(2) == 0 { semaphore.forget_permits(n) } else { semaphore.drain_permits() };
                semaphore.add_permits(forgotten);
                return true;
            }
            _ => block_on(semaphore.acquire_n(n)).map_err(WaitError::from),
        };
        match outcome {
            Ok(permit) => self.use_and_return(permit, random),
            Err(WaitError::Closed) => {
                assert!(self.closing && semaphore.is_closed());
                return false;
            }
            Err(_) => {}
        }
        assert!(semaphore.available_permits() <= self.permits);
        true
    }
}

/// Polls until ready, parked in between.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

const WORKERS: usize = 6;

fn round(seed: u64) {
    let permits = 1 + seed as usize % 7;
    let closing = seed % 5 == 0;
    let round = Round { semaphore: Semaphore::new(permits), permits, in_use: AtomicUsize::new(0), closing };
    let interrupters: Vec<_> = (0..WORKERS).map(|_| Interrupter::new()).collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = interrupters
            .iter()
            .enumerate()
            .map(|(i, interrupter)| {
                let round = &round;
                scope.spawn(move || {
                    let mut random = Random(seed.wrapping_mul(31).wrapping_add(i as u64) | 1);
                    for _ in 0..300 {
                        if !round.step(&mut random, interrupter) {
                            break;
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let mut random = Random(seed | 1);
            while !done.load(SeqCst) {
                interrupters[random.below(WORKERS)].interrupt();
                thread::yield_now();
                if closing && random.below(200) == 0 {
                    round.semaphore.close();
                }
            }
        });
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, SeqCst);
    });
    let Round { semaphore, permits, in_use, .. } = round;
    assert_eq!((semaphore.num_waiters(), in_use.into_inner()), (0, 0));
    assert_eq!(semaphore.available_permits(), permits);
}

/// Rounds until `enough`; each must end within a minute.
fn soak(enough: impl Fn(u64) -> bool + Send + 'static) {
    let (report, reports) = channel();
    let load = thread::spawn(move || {
        let mut rounds = 0;
        while !enough(rounds) {
            round(rounds);
            rounds += 1;
            report.send(rounds).expect("the watchdog lives as long as the load");
        }
    });
    let mut rounds = 0;
    loop {
        match reports.recv_timeout(Duration::from_secs(60)) {
            Ok(so_far) => rounds = so_far,
            Err(RecvTimeoutError::Timeout) => panic!("round {rounds} does not end: a wake-up was lost"),
            Err(RecvTimeoutError::Disconnected) => break, // it has ended, well or not
        }
    }
    load.join().unwrap();
}

#[test]
fn a_few_rounds() {
    soak(|rounds| rounds == 40);
}

#[test]
#[ignore = "an hour; GATEPOST_SOAK_SECS says how long"]
fn an_hour() {
    let seconds = std::env::var("GATEPOST_SOAK_SECS").map_or(3600, |s| s.parse().expect("a number of seconds"));
    let end = Instant::now() + Duration::from_secs(seconds);
    soak(move |_| Instant::now() >= end);
}
