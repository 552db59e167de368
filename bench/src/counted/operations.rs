//! The operations whose costs are counted, for any peer that has them.

use gatepost_bench_kit::cases::cancel;
use gatepost_bench_kit::cases::uncontended::{MANY, PERMITS};
use gatepost_bench_kit::peer::{Deposit, Peer, Tasks, TasksMany, Threads, Try, TryMany, leak};
use gatepost_bench_kit::queue::Queue;
use gatepost_bench_kit::waker::Tally;
use std::hint::black_box;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// What is counted, and of how many of it the mean is shown.
pub(super) const OPERATIONS: &[(&str, u64)] = &[
    ("U1 try_acquire, drop", 1),
    ("U2 acquire().poll, drop", 1),
    ("U3 acquire_many(8).poll, drop", 1),
    ("U3try try_acquire_many(8), drop", 1),
    ("U4 blocking acquire, drop", 1),
    ("first poll, that joins the queue", 1),
    ("release that serves one", 1),
    ("poll of a granted future", 1),
    ("contended hand-off: join, release, poll", 1),
    ("cancel, of 1,000 waiters", CANCELS),
    ("cancel, of 1,000,000 waiters", CANCELS),
    ("P1 acquire, release: processes share it", 1),
    ("acquire that waits for another process", 1),
    ("release that another process waits for", 1),
];

/// The rows of what processes share.
#[cfg(target_os = "linux")]
pub(super) const OF_PROCESSES: [usize; 3] = [11, 12, 13];

/// How many waiters of each queue are cancelled, at random.
const CANCELS: u64 = 64;

/// How long a queue may take to be made; who takes longer has no such row.
const LIMIT: Duration = Duration::from_secs(2);

/// What can be counted of a peer.
pub(crate) struct Count {
    /// The size of its semaphore, and of its future if it has one.
    pub(super) sizes: fn() -> Option<(u64, Option<u64>)>,
    /// Goes through its operations, as the process that is stepped over.
    pub(super) regions: fn(),
    pub(super) nothing: bool,
}

impl Count {
    pub(super) fn is_nothing(&self) -> bool {
        self.nothing
    }
}

/// Of a yardstick.
pub(crate) fn nothing() -> Count {
    Count { sizes: || None, regions: || (), nothing: true }
}

/// Of a peer for tasks and threads that gives out many at once.
pub(crate) fn all<S: TasksMany + TryMany + Threads + Deposit>() -> Count {
    let regions = || {
        twice(|| {
            try_one::<S>();
            try_many::<S>();
            await_one::<S>();
            await_many::<S>();
            block::<S>();
            queued::<S>();
        });
        cancels::<S>();
    };
    Count { sizes: with_future::<S>, regions, nothing: false }
}

/// The same without many at once.
pub(crate) fn one_at_a_time<S: Tasks + Threads + Deposit>() -> Count {
    let regions = || {
        twice(|| {
            try_one::<S>();
            await_one::<S>();
            block::<S>();
            queued::<S>();
        });
        cancels::<S>();
    };
    Count { sizes: with_future::<S>, regions, nothing: false }
}

/// Of a peer for threads only.
pub(crate) fn of_threads<S: Threads + TryMany>() -> Count {
    let regions = || {
        twice(|| {
            try_one::<S>();
            try_many::<S>();
            block::<S>();
        });
    };
    Count { sizes: without_future::<S>, regions, nothing: false }
}

/// The same without many at once.
pub(crate) fn of_threads_one_at_a_time<S: Threads>() -> Count {
    let regions = || {
        twice(|| {
            try_one::<S>();
            block::<S>();
        });
    };
    Count { sizes: without_future::<S>, regions, nothing: false }
}

fn with_future<S: Tasks>() -> Option<(u64, Option<u64>)> {
    let future = leak::<S>(1).one();
    Some((size_of::<S>() as u64, Some(size_of_val(&future) as u64)))
}

fn without_future<S: Peer>() -> Option<(u64, Option<u64>)> {
    Some((size_of::<S>() as u64, None))
}

/// How long each row's operation takes when it is not stepped over, in ns; 0 while that is not known.
static NATIVE: [AtomicU64; OPERATIONS.len()] = [const { AtomicU64::new(0) }; OPERATIONS.len()];

/// What takes longer than this is not stepped over, which takes a thousand times as long: it has no such row.
const LONGEST: Duration = Duration::from_micros(150);

/// The first time warms up what is set up once, and finds out what takes too long; the second time counts.
fn twice(operations: impl Fn()) {
    operations();
    operations();
}

#[inline(always)]
fn region<R>(row: usize, operation: impl FnOnce() -> R) -> R {
    match NATIVE[row].load(Relaxed) {
        0 => {
            let start = Instant::now();
            let result = operation();
            NATIVE[row].store((start.elapsed().as_nanos() as u64).max(1), Relaxed);
            result
        }
        took if u128::from(took) > LONGEST.as_nanos() => operation(),
        _ => stepped(row, operation),
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn stepped<R>(row: usize, operation: impl FnOnce() -> R) -> R {
    super::ruler::measured::region(row, operation)
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(super) fn stepped<R>(_row: usize, operation: impl FnOnce() -> R) -> R {
    operation()
}

/// Counts an operation that has been done on the same semaphore before: some set themselves up in the first one.
#[inline(always)]
fn warmed(row: usize, mut operation: impl FnMut()) {
    operation();
    region(row, operation);
}

fn try_one<S: Try>() {
    let semaphore = leak::<S>(PERMITS);
    warmed(0, || {
        let permit = semaphore.try_one().expect("permits are free");
        black_box(&permit);
        drop(permit);
    });
}

fn try_many<S: TryMany>() {
    let semaphore = leak::<S>(PERMITS);
    warmed(3, || {
        let permits = semaphore.try_many(MANY).expect("permits are free");
        black_box(&permits);
        drop(permits);
    });
}

/// Polls a future that must be ready, and drops the permit.
#[inline(always)]
fn through<S: Tasks>(future: impl Future<Output = S::Granted>, cx: &mut Context<'_>) {
    let Poll::Ready(granted) = pin!(future).poll(cx) else { panic!("permits are free, and yet it waits") };
    let permit = S::permit(granted);
    black_box(&permit);
    drop(permit);
}

fn await_one<S: Tasks>() {
    let semaphore = leak::<S>(PERMITS);
    let waker = Tally::leak().waker();
    let cx = &mut Context::from_waker(&waker);
    warmed(1, || through::<S>(semaphore.one(), cx));
}

fn await_many<S: TasksMany>() {
    let semaphore = leak::<S>(PERMITS);
    let waker = Tally::leak().waker();
    let cx = &mut Context::from_waker(&waker);
    warmed(2, || through::<S>(semaphore.many(MANY), cx));
}

fn block<S: Threads>() {
    let semaphore = leak::<S>(PERMITS);
    warmed(4, || {
        let permit = semaphore.wait();
        black_box(&permit);
        drop(permit);
    });
}

fn queued<S: Tasks + Deposit>() {
    let semaphore = leak::<S>(0);
    let waker = Tally::leak().waker();
    let cx = &mut Context::from_waker(&waker);

    let mut first = Box::pin(semaphore.one());
    assert!(first.as_mut().poll(cx).is_pending(), "there is no permit");
    semaphore.add(1);
    let Poll::Ready(granted) = first.as_mut().poll(cx) else { panic!("it has been served") };
    S::forget(S::permit(granted));

    let mut step_by_step = Box::pin(semaphore.one());
    let pending = region(5, || step_by_step.as_mut().poll(cx).is_pending());
    assert!(pending, "there is no permit");
    region(6, || semaphore.add(1));
    let granted = region(7, || step_by_step.as_mut().poll(cx));
    let Poll::Ready(granted) = granted else { panic!("it has been served") };
    S::forget(S::permit(granted));

    let mut at_once = Box::pin(semaphore.one());
    let granted = region(8, || {
        assert!(at_once.as_mut().poll(cx).is_pending(), "there is no permit");
        semaphore.add(1);
        at_once.as_mut().poll(cx)
    });
    let Poll::Ready(granted) = granted else { panic!("it has been served") };
    S::forget(S::permit(granted));
}

fn cancels<S: Tasks>() {
    for (row, n) in [(9, 1000), (10, 1_000_000)] {
        let semaphore = leak::<S>(0);
        let waker = Tally::leak().waker();
        let cx = &mut Context::from_waker(&waker);
        let mut queue = Queue::new(n, || semaphore.one());
        let start = Instant::now();
        for index in 0..n {
            if index % 256 == 255 && start.elapsed() > LIMIT {
                return; // what is left of it is leaked
            }
            assert!(queue.poll(index, cx).is_pending(), "there is no permit");
        }
        let order = cancel::order(n);
        // As many for the warm-up as are counted.
        for some in order.chunks(CANCELS as usize).take(2) {
            region(row, || some.iter().for_each(|&index| queue.end(index as usize)));
        }
        // The rest is leaked, with its semaphore: to cancel it may take long.
    }
}
