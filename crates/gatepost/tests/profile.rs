//! Feature `profile`, from outside: real stacks and a real clock. What is exact to the nanosecond is tested in the library,
//! by a virtual clock; here nothing is said about how long anything takes, but for lower bounds and equalities.
#![cfg(feature = "profile")]

#[path = "profile/decode.rs"]
mod decode;
#[path = "profile/go.rs"]
mod go;

use gatepost::profile::{Record, Snapshot, block, mutex};
use gatepost::{Acquire, Barging, Policy, Semaphore, WaitReason};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// The profiles are the process's: one test at a time has them, from the beginning, with everything recorded.
struct Alone {
    _guard: MutexGuard<'static, ()>,
}

fn alone() -> Alone {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    block::reset();
    mutex::reset();
    block::start(1);
    mutex::start(1);
    Alone { _guard: guard }
}

impl Drop for Alone {
    fn drop(&mut self) {
        block::stop();
        mutex::stop();
        block::set_max_stacks(4096);
        mutex::set_max_stacks(4096);
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Lets `time` pass.
fn pass(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        thread::yield_now();
    }
}

const MOMENT: Duration = Duration::from_millis(2);

/// Whether a function has this name, whatever its path. (With line tables alone names have no path, but type arguments.)
fn is(function: &str, name: &str) -> bool {
    function == name || function.ends_with(&format!("::{name}")) || function.starts_with(&format!("{name}<"))
}

/// The one record, which is charged to `function` first.
#[track_caller]
fn only<'s>(snapshot: &'s Snapshot, function: &str) -> &'s Record {
    let [record] = snapshot.records() else {
        panic!("not one record: {:#?}", snapshot.records());
    };
    let first = &record.frames()[0];
    assert!(is(first.name(), function), "{first:?} is not {function}: {record:#?}");
    assert!(first.file().is_some_and(|file| file.ends_with("profile.rs")), "{first:?}");
    record
}

#[inline(never)]
fn waits(semaphore: &Semaphore<impl Policy>) {
    semaphore.blocking_acquire().expect("it is open").forget();
}

/// Whether it is granted; the permits are gone then.
#[inline(never)]
fn polls<P: Policy>(acquire: Pin<&mut Acquire<'_, P>>) -> bool {
    match acquire.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(permit) => {
            permit.expect("it is open").forget();
            true
        }
        Poll::Pending => false,
    }
}

#[inline(never)]
fn lets_go(semaphore: &Semaphore<impl Policy>, n: usize) {
    semaphore.add_permits(n);
    no_tail_call();
}

/// A function whose last call is a jump leaves no trace on the stack.
fn no_tail_call() {
    std::hint::black_box(());
}

#[test]
fn g37_g38_the_waiters_stack_and_the_releasers_stack_are_charged() {
    fn check<P: Policy>(semaphore: &Semaphore<P>) {
        let _alone = alone();
        thread::scope(|scope| {
            scope.spawn(|| waits(semaphore));
            while semaphore.num_waiters() == 0 {
                thread::yield_now();
            }
            pass(MOMENT);
            lets_go(semaphore, 1);
        });
        let (blocked, charged) = (block::snapshot(), mutex::snapshot());
        let (waiter, releaser) = (only(&blocked, "waits"), only(&charged, "lets_go"));
        assert!(waiter.total() >= MOMENT, "{waiter:?}");
        assert_eq!(waiter.total(), releaser.total(), "the one waited for the other, and for nothing else");
        assert_eq!((waiter.count(), releaser.count()), (1.0, 1.0));
    }
    check(&Semaphore::new(0));
    check(&Semaphore::barging(0));
}

#[test]
fn g37_a_tasks_wait_is_charged_to_the_poll_that_finds_the_outcome() {
    let _alone = alone();
    let semaphore = Semaphore::new(0);
    let mut acquire = pin!(semaphore.acquire());
    assert!(poll(acquire.as_mut()).is_pending());
    pass(MOMENT);
    assert!(block::snapshot().records().is_empty());
    lets_go(&semaphore, 1);
    assert!(polls(acquire.as_mut()));
    let (blocked, charged) = (block::snapshot(), mutex::snapshot());
    assert_eq!(only(&blocked, "polls").total(), only(&charged, "lets_go").total());
}

#[test]
fn g37_a_future_that_is_dropped_is_charged_where_it_is_dropped() {
    #[inline(never)]
    fn drops<P: Policy>(acquire: Pin<Box<Acquire<'_, P>>>) {
        drop(acquire);
        no_tail_call();
    }
    let _alone = alone();
    let semaphore = Semaphore::new(0);
    let mut acquire = Box::pin(semaphore.acquire());
    assert!(poll(acquire.as_mut()).is_pending());
    pass(MOMENT);
    drops(acquire);
    assert!(only(&block::snapshot(), "drops").total() >= MOMENT);
    assert!(mutex::snapshot().records().is_empty());
}

#[test]
fn a_permit_that_is_dropped_is_charged_to_whoever_drops_it() {
    #[inline(never)]
    fn gives_back(permit: gatepost::SemaphorePermit<'_>) {
        drop(permit);
        no_tail_call();
    }
    let _alone = alone();
    let semaphore = Semaphore::new(1);
    let permit = semaphore.try_acquire().expect("it is free");
    let mut acquire = pin!(semaphore.acquire());
    assert!(poll(acquire.as_mut()).is_pending());
    gives_back(permit);
    only(&mutex::snapshot(), "gives_back");
}

#[test]
fn g41_waits_and_charges_have_one_sum_however_threads_and_tasks_meet() {
    const ROUNDS: usize = 300;
    let _alone = alone();
    let (strict, barging) = (Semaphore::new(2), Semaphore::<Barging>::barging(1));
    let work = |n: u32| {
        for _ in 0..ROUNDS {
            let held = strict.acquire_many(n).wait().expect("it is open");
            std::hint::black_box((0..100).sum::<u32>());
            drop(held);
            drop(barging.blocking_acquire());
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    thread::scope(|scope| {
        for n in [1, 1, 2] {
            scope.spawn(move || work(n));
        }
        let task = || async {
            for _ in 0..ROUNDS {
                let held = strict.acquire().await.expect("it is open");
                tokio::task::yield_now().await;
                drop(held);
            }
        };
        runtime.block_on(async { futures::join!(task(), task(), task()) });
    });
    let (blocked, charged) = (block::snapshot(), mutex::snapshot());
    assert!(blocked.count() > 0.0);
    // Wakes in vain are a barging semaphore's mutex events; waits are counted once.
    assert!(charged.count() >= blocked.count(), "{} and {}", charged.count(), blocked.count());
    assert_eq!(blocked.total(), charged.total());
    assert_eq!((blocked.lost(), charged.lost()), (0, 0));
}

#[test]
fn g42_rates_are_set_and_asked_for() {
    let _alone = alone();
    assert_eq!((block::rate(), mutex::fraction()), (1, 1));
    assert_eq!((block::start(1000), mutex::start(10)), (1, 1));
    assert_eq!((block::rate(), mutex::fraction()), (1000, 10));
    block::stop();
    assert_eq!((block::rate(), mutex::fraction()), (0, 10));
    assert_eq!((block::start(0), mutex::start(0)), (0, 10));
    assert_eq!((block::rate(), mutex::fraction()), (0, 0));
}

#[test]
fn g42_one_release_in_many_stands_for_the_others() {
    const RELEASES: u32 = 20_000;
    let _alone = alone();
    mutex::start(10);
    let semaphore = Semaphore::new(0);
    for _ in 0..RELEASES {
        let mut acquire = pin!(semaphore.acquire());
        assert!(poll(acquire.as_mut()).is_pending());
        lets_go(&semaphore, 1);
        assert!(polls(acquire.as_mut()));
    }
    let charged = mutex::snapshot();
    let recorded = charged.count() / 10.0;
    assert!(recorded.fract() == 0.0, "each record stands for ten");
    // 2,000 are expected, with a standard deviation of 42: this fails once in 10^30 runs.
    assert!((1500.0..2500.0).contains(&recorded), "{recorded}");
}

#[test]
fn g43_what_is_off_records_nothing_and_keeps_what_it_has() {
    let _alone = alone();
    let semaphore = Semaphore::new(0);
    let mut early = Box::pin(semaphore.acquire());
    assert!(poll(early.as_mut()).is_pending());
    lets_go(&semaphore, 1);
    assert!(polls(early.as_mut()));
    block::stop();
    mutex::stop();
    let mut while_off = Box::pin(semaphore.acquire());
    assert!(poll(while_off.as_mut()).is_pending());
    lets_go(&semaphore, 1);
    assert!(polls(while_off.as_mut()));
    let mut begun_while_off = Box::pin(semaphore.acquire());
    assert!(poll(begun_while_off.as_mut()).is_pending());
    block::start(1);
    mutex::start(1);
    lets_go(&semaphore, 1);
    assert!(polls(begun_while_off.as_mut()));
    assert_eq!((block::snapshot().count(), mutex::snapshot().count()), (1.0, 1.0));
}

/// Waits for a moment, beneath `depth` calls.
#[inline(never)]
fn waits_at(depth: usize, semaphore: &Semaphore) {
    if depth == 0 {
        let mut acquire = Box::pin(semaphore.acquire());
        assert!(poll(acquire.as_mut()).is_pending());
        drop(std::hint::black_box(acquire));
    } else {
        waits_at(depth - 1, semaphore);
    }
    std::hint::black_box(depth);
}

#[test]
fn memory_is_bounded_and_what_does_not_fit_is_counted() {
    let _alone = alone();
    block::set_max_stacks(3);
    assert_eq!(block::max_stacks(), 3);
    let semaphore = Semaphore::new(0);
    // Not unrolled: that would be other stacks.
    for round in 0..std::hint::black_box(2) {
        (0..10).for_each(|depth| waits_at(depth, &semaphore));
        let blocked = block::snapshot();
        assert_eq!(blocked.records().len(), 3, "{blocked:#?}");
        assert_eq!(blocked.overflow().count(), f64::from(7 * (round + 1)));
        assert_eq!(blocked.count(), f64::from(10 * (round + 1)), "nothing is missing");
        assert!(blocked.overflow().total() > Duration::ZERO);
    }
    let (mut text, mut svg) = (Vec::new(), Vec::new());
    block::snapshot().write_text(&mut text).expect("a vector takes all");
    block::snapshot().write_flamegraph(&mut svg).expect("a vector takes all");
    for written in [text, svg] {
        assert!(String::from_utf8(written).expect("text").contains("(stacks that did not fit)"));
    }
    block::reset();
    waits_at(0, &semaphore);
    assert_eq!((block::snapshot().count(), block::snapshot().overflow().count()), (1.0, 0.0));
}

#[test]
fn deep_stacks_are_cut_and_one_stack_is_one_record() {
    let _alone = alone();
    let semaphore = Semaphore::new(0);
    for depth in [200, 300] {
        (0..5).for_each(|_| waits_at(depth, &semaphore));
    }
    let blocked = block::snapshot();
    assert!((1..=64).contains(&only(&blocked, "waits_at").frames().len()));
    assert_eq!(blocked.count(), 10.0, "beyond 64 frames they are the same");
}

#[test]
fn a_difference_is_what_came_in_between() {
    let _alone = alone();
    let semaphore = Semaphore::new(0);
    waits_at(0, &semaphore);
    waits_at(1, &semaphore);
    let before = block::snapshot();
    assert_eq!(before.since(&before).records(), []);
    waits_at(1, &semaphore);
    waits_at(2, &semaphore);
    let after = block::snapshot();
    let between = after.since(&before);
    assert_eq!((between.count(), between.records().len()), (2.0, 2));
    assert_eq!(between.total(), after.total() - before.total());
    assert!(between.elapsed() <= after.elapsed());
    block::reset();
    waits_at(0, &semaphore);
    assert_eq!(block::snapshot().since(&after).count(), 1.0, "after a reset there is nothing to subtract from");
}

/// An allocator that, once for each time that it is told to, waits for a semaphore and releases one.
struct Contending;

thread_local! {
    static CONTEND: Cell<bool> = const { Cell::new(false) };
}

static WAITED_FOR: Semaphore = Semaphore::const_new(0);

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Contending {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if CONTEND.replace(false) {
            let mut acquire = pin!(WAITED_FOR.acquire());
            assert!(poll(acquire.as_mut()).is_pending());
            WAITED_FOR.add_permits(1);
            match poll(acquire.as_mut()) {
                Poll::Ready(Ok(permit)) => permit.forget(),
                _ => std::process::abort(),
            }
        }
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Contending = Contending;

#[test]
fn an_allocator_that_waits_while_an_event_is_recorded_neither_recurses_nor_deadlocks() {
    let _alone = alone();
    let semaphore = Semaphore::new(0);
    let mut acquire = Box::pin(semaphore.acquire());
    assert!(poll(acquire.as_mut()).is_pending());
    CONTEND.set(true);
    drop(acquire); // its stack is new: to keep that allocates
    assert!(!CONTEND.get(), "it was called");
    let (blocked, charged) = (block::snapshot(), mutex::snapshot());
    assert_eq!((blocked.count(), blocked.lost()), (1.0, 1));
    assert_eq!((charged.count(), charged.lost()), (0.0, 1));
    let mut text = Vec::new();
    blocked.write_text(&mut text).expect("a vector takes all");
    assert!(String::from_utf8(text).expect("text").contains("lost: 1 event"));
}

#[test]
fn a_known_stack_costs_no_allocation() {
    let _alone = alone();
    let semaphore = Semaphore::new(0);
    let mut acquires: Vec<_> = (0..2).map(|_| Box::pin(semaphore.acquire())).collect();
    for acquire in &mut acquires {
        assert!(poll(acquire.as_mut()).is_pending());
    }
    for (round, acquire) in acquires.iter_mut().enumerate() {
        CONTEND.set(round > 0);
        acquire.set(semaphore.acquire()); // drops the one that waits
    }
    assert!(CONTEND.replace(false), "the second time allocated");
    assert_eq!(block::snapshot().lost(), 0);
    assert_eq!(only(&block::snapshot(), "a_known_stack_costs_no_allocation").count(), 2.0);
}

#[test]
fn a_waker_that_waits_and_releases_is_recorded_as_anybody_is() {
    struct Contends(Semaphore);
    impl Wake for Contends {
        fn wake(self: Arc<Self>) {
            waits_at(0, &self.0);
            let mut acquire = pin!(self.0.acquire());
            assert!(poll(acquire.as_mut()).is_pending());
            lets_go(&self.0, 1);
            assert!(polls(acquire.as_mut()));
        }
    }
    let _alone = alone();
    let semaphore = Semaphore::new(0);
    let mut acquire = pin!(semaphore.acquire());
    let waker = Waker::from(Arc::new(Contends(Semaphore::new(0))));
    assert!(acquire.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    lets_go(&semaphore, 1);
    assert!(polls(acquire.as_mut()));
    let (blocked, charged) = (block::snapshot(), mutex::snapshot());
    assert_eq!((blocked.count(), charged.count()), (3.0, 2.0));
    assert_eq!((blocked.lost(), charged.lost()), (0, 0));
}

#[test]
fn snapshots_resets_and_switches_may_come_at_any_time() {
    let _alone = alone();
    let semaphore = Semaphore::new(1);
    let done = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    drop(semaphore.blocking_acquire());
                    thread::yield_now();
                }
            });
        }
        for round in 0..40 {
            let snapshot = block::snapshot();
            assert!(snapshot.records().iter().all(|record| record.count() > 0.0));
            match round % 4 {
                0 => block::reset(),
                1 => drop(block::start(round)),
                2 => mutex::stop(),
                _ => drop(mutex::start(1)),
            }
            block::set_max_stacks(if round % 2 == 0 { 1 } else { 100 });
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn pprof_has_the_names_and_the_totals() {
    let _alone = alone();
    let semaphore = Semaphore::new(0);
    let mut acquires: Vec<_> = (0..3).map(|_| Box::pin(semaphore.acquire())).collect();
    for acquire in &mut acquires {
        assert!(poll(acquire.as_mut()).is_pending());
    }
    pass(MOMENT);
    lets_go(&semaphore, 3);
    for acquire in &mut acquires {
        assert!(polls(acquire.as_mut()));
    }
    for (snapshot, function, name) in [(block::snapshot(), "polls", "block"), (mutex::snapshot(), "lets_go", "mutex")] {
        let mut file = Vec::new();
        snapshot.write_pprof(&mut file).expect("a vector takes all");
        let profile = decode::profile(&file);
        assert_eq!(
            profile.sample_types,
            [("contentions".into(), "count".into()), ("delay".into(), "nanoseconds".into())]
        );
        assert_eq!((profile.default_type.as_str(), profile.period), ("delay", 1));
        assert_eq!(profile.period_type, ("contentions".into(), "count".into()));
        assert!(profile.time_nanos > 1_600_000_000_000_000_000, "a time of day");
        assert_eq!(u128::from(profile.duration_nanos), snapshot.elapsed().as_nanos());
        assert!(profile.comments[0].contains(name), "{:?}", profile.comments);
        let [count, nanos] = profile.sums();
        assert_eq!((count, u128::from(nanos)), (3, snapshot.total().as_nanos()));
        assert!(u128::from(nanos) >= 3 * MOMENT.as_nanos());
        for sample in &profile.samples {
            let first = &sample.stack[0];
            assert!(is(&first.name, function) && first.file.ends_with("profile.rs") && first.line > 0, "{first:?}");
        }
        // As the snapshot has them, inlined functions included.
        let names = |record: &Record| record.frames().iter().map(|f| f.name().to_owned()).collect::<Vec<_>>();
        let expected: Vec<_> = snapshot.records().iter().map(names).collect();
        let found: Vec<Vec<_>> =
            profile.samples.iter().map(|s| s.stack.iter().map(|f| f.name.clone()).collect()).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn an_empty_profile_is_written_too() {
    let _alone = alone();
    let snapshot = mutex::snapshot();
    let (mut pprof, mut svg, mut text) = (Vec::new(), Vec::new(), Vec::new());
    snapshot.write_pprof(&mut pprof).expect("a vector takes all");
    snapshot.write_flamegraph(&mut svg).expect("a vector takes all");
    snapshot.write_text(&mut text).expect("a vector takes all");
    assert_eq!(decode::profile(&pprof).sums(), [0, 0]);
    assert!(String::from_utf8(svg).expect("text").ends_with("</svg>\n"));
    assert!(String::from_utf8(text).expect("text").starts_with("mutex profile: 0 in 0 contentions"));
}

#[test]
fn reasons_have_names() {
    assert_eq!(WaitReason::default(), WaitReason::Semaphore);
    assert_eq!(WaitReason::Condvar.to_string(), "condition variable");
}
